/*
 * What a codec makes of bytes, written down so that two readings can be compared: the pieces in
 * which the bytes came must not show. Everything here is a copy; each piece lives in memory of its
 * own exact size while the codec looks at it, so that a sanitizer sees a view that stays too long.
 */
#ifndef BRIDLE_TESTS_READING_H
#define BRIDLE_TESTS_READING_H

#include "rpc/codec.h"

/* One message: its body joined from all its pieces, and how it ended. */
struct heard {
	struct rpc_message message; /* views into `arena` and `body` */
	bool has_message;
	bool is_whole;   /* its last byte has come */
	bool is_refused; /* at once, or in the middle of its body; then `why` says so */
	bool was_long;   /* given out before it was whole */
	struct rpc_status why;
	struct arena arena;
	uint8_t *body; /* owned */
	size_t body_size;
};

struct reading {
	struct codec *codec; /* owned */
	struct heard *list;  /* owned */
	size_t n;
	size_t most_held; /* codec_held, at its highest after a piece */
};

/* Limits that are no limits: everything is admitted up to 64 MiB. */
extern const struct codec_limits reading_limits;

void reading_open(struct reading *r, enum codec_side side, const struct codec_limits *limits);
/* One piece of input, as it would come from a socket; all of it is used when this returns. */
void reading_feed(struct reading *r, struct slice piece);
/* All of @in in pieces of @step bytes; 0: in one. */
void reading_feed_in(struct reading *r, struct slice in, size_t step);
void reading_close(struct reading *r);

/* NULL when both heard the same; else what differs. */
const char *reading_difference(const struct reading *a, const struct reading *b);

/* What a codec has written: a sink, and the bytes. */
struct written {
	uint8_t *bytes; /* owned */
	size_t len, size;
	unsigned times; /* that the sink was called */
};

extern const struct codec_io written_io;
void written_fini(struct written *w);
struct slice written_slice(const struct written *w);
/* It holds the bytes of this message alone. False: it has no room in the form. */
bool written_message(
    struct written *w, const struct rpc_message *m, struct rpc_edit *edit, enum codec_side side);

#endif
