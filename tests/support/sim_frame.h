/*
 * Messages as the far ends of a scenario write and read them. Made and read here without the
 * product's own codec, so that a fault there cannot hide itself.
 */
#ifndef BRIDLE_TESTS_SIM_FRAME_H
#define BRIDLE_TESTS_SIM_FRAME_H

#include "base/slice.h"

enum sim_form { FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED, KPB, KPB_TTHEADER, MESH };
/* As on the wire. */
enum sim_kind { CALL = 1, REPLY = 2, EXCEPTION = 3, ONEWAY = 4 };

#define OUTER_ZERO INT64_MIN

/* What is left out has a default, so that a scenario only says what matters to it. */
struct sim_frame {
	enum sim_form form;
	enum sim_kind kind; /* CALL */
	int32_t seq;
	int64_t outer;      /* the transport header's own id; 0: as seq */
	const char *method; /* "Echo" */
	const char *text;   /* the one string in the body */
	size_t fill;        /* the text is made this long by a pattern that follows it */
	int id;             /* of an exception */
	unsigned flags;
	const char *keys; /* "12=100 isn=Shop": numbers are int keys */
	/* The text stands in a struct: field 1 of the arguments, 0 of the result. "" is no more
	 * than that; else its field 255 has these: "@2=cart K=v", @N for a field, all others in its
	 * map. */
	const char *base;
	const char *map; /* one more argument of this id: a map<string,string> of "K=v L=w" */
	int map_id;
};

/* Writes it; free() the bytes. */
uint8_t *sim_frame_make(const struct sim_frame *f, size_t *len);

#define SIM_KEYS_MAX 4096

struct sim_heard {
	enum sim_form form;
	enum sim_kind kind;
	int32_t seq, outer;
	char method[300];
	struct slice text; /* a view into what was read */
	int id;
	unsigned flags;
	char keys[SIM_KEYS_MAX]; /* " key=value" one after another, and a blank at the end */
	char base[SIM_KEYS_MAX]; /* as in a sim_frame; so is the map */
	char map[SIM_KEYS_MAX];
	int map_id; /* 0: there is none */
};

static inline bool sim_form_has_header(enum sim_form form)
{
	return form == TTHEADER || form == TTHEADER_FRAMED || form == KPB_TTHEADER;
}

/* Reads one from the start of @in. 0: it is not whole yet. Fails the test if it is no frame. */
size_t sim_frame_read(struct slice in, struct sim_heard *r);
/* Whether the text is @start and, up to @fill bytes, the pattern. */
bool sim_text_is(struct slice text, const char *start, size_t fill);

#endif
