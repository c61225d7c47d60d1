/*
 * One end of an HTTP/2 connection: a codec, what it said, as lines of text, and what it wrote. Each
 * piece of input lives in memory of its own exact size while the codec looks at it.
 */
#ifndef BRIDLE_TESTS_H2_END_H
#define BRIDLE_TESTS_H2_END_H

#include "support/h2_frames.h"

struct h2_end {
	struct codec *codec; /* owned */
	struct written out;  /* must be the first that a sink is given */
	bool is_full;        /* the connection takes no more data */
	size_t room;         /* it is full when so much has been written; 0: never */
	bool owns_none;      /* calls that come get no owner */
	bool tells_fields;   /* the log has header fields, too */
	char *log;           /* owned */
	size_t log_len, log_size;
	struct written body; /* the data of all streams, one behind the other */
	unsigned refused;    /* CODEC_REFUSED that were heard */
	size_t most_held;    /* codec_held, at its highest after a piece */
};

/* Limits that are none: 1 MiB messages, 64 KiB of fields, 100 streams. */
extern const struct codec_limits h2_end_limits;

/* Downstream it detects its family; upstream it is of this one. */
void h2_end_open(struct h2_end *e, enum codec_side side, const struct codec_limits *limits);
void h2_end_close(struct h2_end *e);
/* One piece of input, used up when this returns. Calls that come get the end itself as owner. */
void h2_end_feed(struct h2_end *e, struct slice piece);
/* All of @in in pieces of @step bytes; 0: in one. */
void h2_end_feed_in(struct h2_end *e, struct slice in, size_t step);
/* The frames made in @w, which is emptied. */
void h2_end_hears(struct h2_end *e, struct written *w);
/* Everything that @from has written. True when that was something. */
bool h2_end_pass(struct h2_end *from, struct h2_end *to);
/* Passes both ways until neither has anything left. */
void h2_ends_settle(struct h2_end *a, struct h2_end *b);

/*
 * What was heard since the last call, one event to a line, in memory that stays until the next:
 *	call 1 POST /pkg.Service/Method (end)	reply 1 200 (end) grpc=0	interim 1 100
 *	trailers 1 grpc=0	data 1 12 (1 of 7) end	room 1
 *	reset 1 canceled 8 unprocessed: text	refused malformed: text
 */
const char *h2_end_log(struct h2_end *e);
/* What was written since the last call, as h2_frames_text has it. */
const char *h2_end_frames(struct h2_end *e);

/* Begins a call with these fields ("name value\n"); returns its id. */
uint32_t h2_end_begin(struct h2_end *e, const char *path, const char *fields, bool is_complete);
void h2_end_reply(struct h2_end *e, uint32_t id, unsigned status, const char *fields, bool is_end);
void h2_end_trailers(struct h2_end *e, uint32_t id, const char *fields);
/* One message of gRPC, of @len bytes. */
void h2_end_message(struct h2_end *e, uint32_t id, size_t len, bool is_last);
void h2_end_fail(struct h2_end *e, uint32_t id, enum rpc_payload payload, enum reason reason);

/* Fields from text, views into it. Returns how many. */
unsigned h2_fields_of(const char *text, struct rpc_field *fields, unsigned max);

#endif
