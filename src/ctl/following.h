/*
 * An answer of the daemon that goes on, read line by line as it comes. Waiting for more ends with a
 * signal, too, so that whoever follows can stop.
 */
#ifndef BRIDLE_CTL_FOLLOWING_H
#define BRIDLE_CTL_FOLLOWING_H

#include "base/err.h"
#include "base/text.h"

enum following_got {
	FOLLOWING_LINE,
	FOLLOWING_NOTHING, /* for a second, or until a signal came */
	FOLLOWING_END,     /* the daemon has said all it had to say */
	FOLLOWING_BROKEN,
};

struct following {
	int fd;            /* owned */
	int status;        /* 0: the answer's head is still to come */
	struct text in;    /* owned: came in and is not looked at yet */
	struct text lines; /* owned: the answer itself, as far as it is not given out */
	size_t given;      /* of the lines */
	uint64_t chunk;    /* bytes of a chunk that are still to come */
	bool is_in_chunk, is_over;
	bool is_bad;    /* what comes behind the lines makes no sense, */
	struct err why; /* in these words */
};

/* GETs @target from the admin socket @path. Returns 0, or -1 with @err set; following_close is due
 * either way. */
int following_open(struct following *f, const char *path, const char *target, struct err *err);
/* Waits for the next line, without its end; it stays until the next call. @err: where BROKEN. An
 * answer with another status than 200 is one line, its body. */
enum following_got following_next(struct following *f, struct slice *line, struct err *err);
void following_close(struct following *f);

#endif
