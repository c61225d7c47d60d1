/*
 * The streams of one HTTP/2 connection, by their ids, and the events that wait to be given out for
 * them. What a frame does to a stream is decided in codec_h2_read.c. Private to rpc/.
 */
#ifndef BRIDLE_RPC_H2_STREAM_H
#define BRIDLE_RPC_H2_STREAM_H

#include "rpc/codec.h"
#include "rpc/h2_queue.h"
#include "wire/grpc.h"

/* How our direction of a stream ends once all that waits has left. */
enum h2_ending {
	H2_ENDS_NOT,
	H2_ENDS_WITH_DATA,
	H2_ENDS_WITH_TRAILERS, /* those that are kept */
};

/* Trailers that wait behind the data: a copy. */
struct h2_trailers {
	unsigned n;
	size_t size; /* in memory */
	struct rpc_field fields[];
};

struct h2_stream {
	struct h2_stream *next; /* in its bucket, or among the spare ones */
	uint32_t id;
	void *owner;       /* borrowed; see codec_own */
	unsigned n_events; /* of its own that have not been given out */

	/* What comes in. */
	struct grpc_walk walk;
	size_t owed;         /* bytes given out that were not credited yet */
	uint64_t credited;   /* since the beginning, until the window has grown */
	const char *detail;  /* of a reset, constant text */
	uint32_t code;       /* of a reset */
	enum reason reason;  /* of a reset */
	bool has_begun : 1;  /* its first block has come: it was, or will be, given out */
	bool is_encoded : 1; /* grpc-encoding */
	bool is_walked : 1;  /* gRPC: messages are counted and limited */
	bool is_ended : 1;   /* END_STREAM came */
	bool is_deaf : 1;    /* what still comes is thrown away */
	bool is_reset_by_peer : 1;
	bool is_reset_by_us : 1; /* because the proxy said so */
	bool is_closed : 1;      /* neither side may send */
	bool is_wide : 1;        /* its window has grown */
	bool has_room_event : 1;

	/* What goes out. */
	bool head_sent : 1; /* the final one */
	bool end_asked : 1; /* nothing may be added */
	bool end_sent : 1;
	bool has_item : 1; /* the session knows that data waits */
	enum h2_ending ending;
	struct slice direct[2]; /* within a send: bytes that were not copied yet */
	struct h2_queue queue;
	struct h2_trailers *trailers; /* owned */
};

#define H2_SPARE_STREAMS 64u

struct h2_streams {
	struct h2_stream **buckets; /* owned; NULL: none */
	unsigned n_buckets, n;
	struct h2_stream *spare; /* owned */
	unsigned n_spare;
};

void h2_streams_fini(struct h2_streams *t);
struct h2_stream *h2_streams_find(const struct h2_streams *t, uint32_t id);
struct h2_stream *h2_streams_add(struct h2_streams *t, uint32_t id);
/* Frees what only traffic needs. */
void h2_streams_rest(struct h2_streams *t);
/* Takes it out and frees it. */
void h2_streams_remove(struct h2_streams *t, struct h2_stream *s);

/* Keeps a copy of fields to be sent behind the data. */
void h2_stream_keep_trailers(
    struct h2_stream *s, const struct rpc_field *fields, unsigned n, size_t *held);
void h2_stream_drop_trailers(struct h2_stream *s, size_t *held);

/* ---- events ---- */

struct h2_event {
	struct h2_stream *stream;
	enum codec_event kind;
	bool last;           /* DATA */
	unsigned n_messages; /* DATA */
	size_t block;        /* MESSAGE, END: number of the header block, or H2_NO_BLOCK */
	uint64_t message_bytes;
	struct slice data;
};

#define H2_NO_BLOCK SIZE_MAX

/* First in, first out. */
struct h2_events {
	struct h2_event *items; /* owned */
	size_t first, n, size;  /* size: a power of two, or 0 */
};

void h2_events_fini(struct h2_events *q);
/* The new event is zeroed but for its kind and stream; it stays there until the next one is
 * added. */
struct h2_event *h2_events_add(
    struct h2_events *q, enum codec_event kind, struct h2_stream *stream);
/* The oldest, or NULL. */
struct h2_event *h2_events_first(struct h2_events *q);
/* The newest, or NULL. */
struct h2_event *h2_events_newest(struct h2_events *q);
void h2_events_drop_first(struct h2_events *q);
/* Of an empty queue: gives back memory that is large, or all of it. */
void h2_events_reset(struct h2_events *q, bool is_idle);

#endif
