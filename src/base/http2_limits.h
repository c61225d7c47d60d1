/*
 * How much of what costs us and brings no call one HTTP/2 connection may do before it is ended. The
 * library has no limit, or a laxer one, for most of it. Not here: sizes and numbers that any
 * protocol has (the longest header list and message, calls at once), and times.
 */
#ifndef BRIDLE_BASE_HTTP2_LIMITS_H
#define BRIDLE_BASE_HTTP2_LIMITS_H

#include <stdint.h>

#include "base/rate.h"
#include "base/slice.h"

#define HTTP2_NO_LIMIT UINT32_MAX /* of every count here */

/* A bucket: full at first, empty when @burst events came at once. */
struct http2_budget {
	unsigned burst; /* HTTP2_NO_LIMIT: the rate does not matter either */
	struct rate rate;
};

struct http2_limits {
	/*
	 * RST_STREAM from the peer, and those that we send for its errors: each buys the work of a
	 * call for the price of two frames. The burst lets a caller give up all its calls at once.
	 */
	struct http2_budget resets;
	/*
	 * PING, SETTINGS and unknown frames, which cost an answer or a look and are worth nothing;
	 * the same goes for PRIORITY and WINDOW_UPDATE beyond the numbers below. A DATA frame from
	 * the peer, and a DATA or HEADERS frame from us, gives one back, so that pings which
	 * measure a busy connection are free.
	 */
	struct http2_budget control_frames;
	/* Acknowledgements that wait because the peer does not read them; they take memory. */
	unsigned unread_acks;
	/* CONTINUATION frames of one header block: nothing can be decided before its end. */
	unsigned continuations;
	/* Fields of one decoded header list: each costs more than its bytes. */
	unsigned header_fields;
	/* DATA frames in a row, on all streams, that are empty and do not end theirs. */
	unsigned empty_data;
	/* PRIORITY frames for each stream that was opened, and one more lot for the connection. */
	unsigned priorities;
	/* WINDOW_UPDATE frames for each DATA frame that we sent and each stream that was opened. */
	unsigned window_updates;
	/* Streams opened beyond those allowed at once, which are refused one by one. */
	unsigned refused_streams;
};

/* The members by name, in their order. */
#define HTTP2_LIMITS 9
const char *http2_limit_name(unsigned limit);
/* Which one a text like "http2.resets: too many" tells of; HTTP2_LIMITS: none. */
unsigned http2_limit_in(struct slice text);

/* What a listener has where the file says nothing, and every upstream connection. */
static const struct http2_limits http2_limits_default = {
    .resets = {1000, {33, USEC_S}},
    .control_frames = {200, {20, USEC_S}},
    .unread_acks = 100,
    .continuations = 8,
    .header_fields = 200,
    .empty_data = 10,
    .priorities = 100,
    .window_updates = 10,
    .refused_streams = 100,
};

#endif
