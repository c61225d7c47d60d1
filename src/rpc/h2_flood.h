/*
 * What one HTTP/2 connection does that costs us and brings no call, counted against http2_limits.
 * It walks the frames of the input by itself, before the session reads them, since it has to see
 * each: also such as the session throws away. What frames mean is not its business. Private to
 * rpc/.
 */
#ifndef BRIDLE_RPC_H2_FLOOD_H
#define BRIDLE_RPC_H2_FLOOD_H

#include "base/http2_limits.h"
#include "base/reason.h"
#include "base/slice.h"

/* A limit that was passed: the connection has to end. */
struct h2_strike {
	enum reason reason;
	bool is_late;       /* a frame of a stream that its sender had ended */
	const char *detail; /* constant text that begins with the key; NULL: none was passed */
};

struct h2_bucket {
	uint64_t debt; /* in microseconds, times the rate's count; what has to run off */
	usec_t at;     /* when it was brought up to date */
};

struct h2_flood {
	const struct http2_limits *limits; /* borrowed */
	uint64_t max_block;                /* bytes of a header block as it is on the wire */
	bool is_server;

	struct h2_bucket resets, controls;
	uint64_t streams, data_sent, priorities, window_updates;
	uint64_t acks; /* that were asked of us and may still wait */
	unsigned empty_run, continuations, refused;
	uint32_t last_id;
	/* Of that stream (bit 0) and those numbered before it: was it opened, has the peer ended
	 * it? The session forgets streams when they are closed. */
	uint64_t opened, ended;

	/* Where the walk is. */
	unsigned preface_left;
	uint8_t head[10]; /* of a frame; and how long its padding is, for DATA */
	unsigned n_head;
	uint32_t left;   /* of the frame's payload */
	uint64_t block;  /* bytes of the present header block */
	bool in_block;   /* a header block has begun, and END_HEADERS has not come */
	bool is_partial; /* a frame is partly here whose content matters: no DATA */
};

/* @max_header: longest decoded header list. */
void h2_flood_init(
    struct h2_flood *f, const struct http2_limits *limits, bool is_server, uint64_t max_header);
/*
 * Walks the frames in @in. Returns how many bytes may be read: all of them, or, with @strike
 * filled, those before the frame that passed a limit.
 */
size_t h2_flood_walk(struct h2_flood *f, struct slice in, usec_t now, struct h2_strike *strike);

/*
 * We have written a HEADERS or a DATA frame: updates of windows may follow data, and a ping that
 * measures the connection may follow either. Source: kitex
 * pkg/remote/trans/nphttp2/grpc/bdp_estimator.go.
 */
void h2_flood_frame_sent(struct h2_flood *f, bool is_data);

/* Nothing but data waits to be written. */
static inline void h2_flood_all_sent(struct h2_flood *f)
{
	f->acks = 0;
}

/* We had to reset a stream because the peer broke a rule. */
void h2_flood_reset_sent(struct h2_flood *f, usec_t now, struct h2_strike *strike);
/* A stream was opened: within what is allowed, or refused. */
void h2_flood_stream_opened(struct h2_flood *f, bool is_refused, struct h2_strike *strike);

#endif
