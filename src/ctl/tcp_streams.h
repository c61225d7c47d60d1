/*
 * TCP connections of a capture, put together again: bytes in their order, whatever order, overlap
 * and repetition they were captured in, and how many are missing where the capture has none. The
 * first bytes that came for a place count. What they mean is not known here.
 *
 * A hole is given up when the other side has acknowledged it and then answered, or when nothing has
 * filled it for a while, or when too much waits behind it.
 */
#ifndef BRIDLE_CTL_TCP_STREAMS_H
#define BRIDLE_CTL_TCP_STREAMS_H

#include "base/clock.h"
#include "base/list.h"
#include "base/table.h"
#include "ctl/tcp_segment.h"

#define TCP_HOLE_WAIT  (200 * USEC_MS) /* of the capture's time, for what was acknowledged */
#define TCP_PIECES_MAX 256u            /* of one direction, waiting behind a hole */
#define TCP_KEPT_MAX   (1u << 20)      /* bytes of them */
#define TCP_KEY        40u

struct tcp_side {
	struct tcp_place place; /* whose bytes these are */
	bool has_syn;           /* its beginning was captured */
	bool has_next, has_fin, has_ended, has_acked;
	uint32_t start, next, fin, acked;
	struct list pieces; /* that came too early, by sequence number */
	unsigned n_pieces;
	size_t kept;
	usec_t hole_since; /* USEC_NONE: no hole */
};

struct tcp_stream {
	uint8_t key[TCP_KEY];
	struct list by_use;       /* link */
	struct tcp_side sides[2]; /* [0]: who opened it or, where that is not known, spoke first */
	void *owner;              /* of whoever is told */
};

/* Who is told. @side: an index of stream->sides. */
struct tcp_events {
	void (*bytes)(
	    void *arg, struct tcp_stream *stream, unsigned side, usec_t at, struct slice bytes);
	void (*missing)(void *arg, struct tcp_stream *stream, unsigned side, usec_t at, uint32_t n);
	void (*ended)(
	    void *arg, struct tcp_stream *stream, unsigned side, usec_t at, bool is_reset);
	/* Nothing more is known of it; `owner` is to be let go. */
	void (*gone)(void *arg, struct tcp_stream *stream);
};

struct tcp_limits {
	unsigned connections; /* the one that was silent longest goes first */
	size_t kept;          /* bytes that wait behind holes, of all */
};

struct tcp_streams {
	struct tcp_limits limits;
	const struct tcp_events *events; /* borrowed */
	void *arg;
	struct table by_key;
	struct list by_use; /* the longest silent first */
	size_t kept;
	uint64_t evicted; /* connections that were forgotten for lack of room */
};

void tcp_streams_init(struct tcp_streams *t, const struct tcp_limits *limits,
    const struct tcp_events *events, void *arg);
/* Gives up all holes and forgets all connections, telling so. */
void tcp_streams_fini(struct tcp_streams *t);
void tcp_streams_take(struct tcp_streams *t, const struct segment *segment, usec_t at);
/* Forgets the connection that was silent longest, but not @keep. False: there is none. */
bool tcp_streams_shed(struct tcp_streams *t, const struct tcp_stream *keep);

#endif
