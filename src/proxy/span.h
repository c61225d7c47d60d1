/*
 * Spans on their way out: what a trace says of a call or of one of its attempts, in records of one
 * size, which a worker gathers and hands over in batches. What they say on the wire is the
 * exporter's business.
 */
#ifndef BRIDLE_PROXY_SPAN_H
#define BRIDLE_PROXY_SPAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/protocol.h"
#include "base/reason.h"
#include "base/slice.h"
#include "base/wheel.h"

struct loop;

enum span_text {
	SPAN_SERVICE,     /* the label of its service */
	SPAN_CALLEE,      /* what that is called */
	SPAN_IDL_SERVICE, /* with its package, if that is known */
	SPAN_METHOD,
	SPAN_CALLER,
	SPAN_LISTENER,
	SPAN_ENDPOINT,
	SPAN_BIZ_STATUS,
	SPAN_LOG_ID,
	SPAN_DETAIL,  /* why it failed */
	SPAN_OUTCOME, /* of an attempt */
	SPAN_TEXTS,
};

enum span_kind {
	SPAN_SERVER,  /* a call to the application beside us */
	SPAN_CLIENT,  /* any other */
	SPAN_ATTEMPT, /* one try of a call */
};

#define SPAN_ROOM     768u /* bytes of all its texts */
#define SPAN_TEXT_MAX 200u /* of one */
#define SPAN_BATCH    64u

struct span {
	uint8_t trace_id[16], id[8], parent[8];
	bool has_parent, is_failed;
	enum span_kind kind;
	usec_t start, took; /* since 1970; how long */
	enum protocol protocol;
	enum reason reason; /* of a call */
	unsigned status, attempts,
	    mark; /* an attempt's: what number it has on the wire, 0: the first */
	uint64_t bytes_in, bytes_out; /* of a call */
	uint64_t messages_in, messages_out;
	uint16_t
	    ends[SPAN_TEXTS]; /* where each text ends in room, which is where the next begins */
	uint16_t n_texts;
	char room[SPAN_ROOM];
};

/* The next text of a new span, in the order of enum span_text; cut where it is long. */
void span_add(struct span *span, struct slice text);
struct slice span_text(const struct span *span, enum span_text which);

struct span_batch {
	struct span_batch *next; /* whoever took it over may hang others behind it */
	unsigned n;
	struct span list[SPAN_BATCH];
};

/* A worker's; all zero but for take: nothing waits. */
struct span_outbox {
	struct span_batch *batch; /* owned; NULL: nothing waits */
	struct timer timer;
	/* Takes a batch over; must not block. NULL: nobody wants spans. */
	void (*take)(void *arg, struct span_batch *batch);
	void *arg;
};

/* A record to fill in, which leaves soon; its texts are to be added. NULL: nobody wants it. */
struct span *span_new(struct span_outbox *outbox, struct loop *loop);
/* Hands over what waits. */
void span_outbox_flush(struct span_outbox *outbox);

#endif
