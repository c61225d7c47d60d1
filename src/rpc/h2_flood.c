#include "rpc/h2_flood.h"

#include "base/cursor.h"

#define PREFACE     24u /* bytes of a client's. Source: RFC 9113, 3.4 */
#define FRAME_HEAD  9u  /* source: RFC 9113, 4.1 */
#define BLOCK_SLACK 16384u

#define CONTROL_DETAIL "http2.control_frames: too many control frames"

/* Source: RFC 9113, 6; RFC 9218. */
enum frame_type {
	FRAME_DATA = 0,
	FRAME_HEADERS = 1,
	FRAME_PRIORITY = 2,
	FRAME_RST_STREAM = 3,
	FRAME_SETTINGS = 4,
	FRAME_PUSH_PROMISE = 5,
	FRAME_PING = 6,
	FRAME_GOAWAY = 7,
	FRAME_WINDOW_UPDATE = 8,
	FRAME_CONTINUATION = 9,
	FRAME_PRIORITY_UPDATE = 16,
};

enum frame_flag {
	FLAG_ACK = 0x1,
	FLAG_END_STREAM = 0x1,
	FLAG_END_HEADERS = 0x4,
	FLAG_PADDED = 0x8,
};

void h2_flood_init(
    struct h2_flood *f, const struct http2_limits *limits, bool is_server, uint64_t max_header)
{
	*f = (struct h2_flood){
	    .limits = limits ? limits : &http2_limits_default,
	    .max_block = max_header + BLOCK_SLACK,
	    .is_server = is_server,
	    .preface_left = is_server ? PREFACE : 0,
	};
}

/* ---- budgets ---- */

/* One event costs `per`; `count` run off in that time, so a microsecond takes `count` off the
 * debt. */
static bool spend(struct h2_bucket *b, const struct http2_budget *budget, usec_t now)
{
	uint64_t passed = now > b->at ? now - b->at : 0, count = budget->rate.count;
	uint64_t gone = count && passed > UINT64_MAX / count ? UINT64_MAX : passed * count;

	if (budget->burst == HTTP2_NO_LIMIT)
		return true;
	b->debt = b->debt > gone ? b->debt - gone : 0;
	b->at = now;
	if (b->debt + budget->rate.per > (uint64_t)budget->burst * budget->rate.per)
		return false;
	b->debt += budget->rate.per;
	return true;
}

static void give_back(struct h2_bucket *b, const struct http2_budget *budget)
{
	b->debt = b->debt > budget->rate.per ? b->debt - budget->rate.per : 0;
}

static void strike_out(struct h2_strike *strike, enum reason reason, const char *detail)
{
	strike->reason = reason;
	strike->is_late = false;
	strike->detail = detail;
}

static void spend_reset(struct h2_flood *f, usec_t now, struct h2_strike *strike)
{
	if (!spend(&f->resets, &f->limits->resets, now))
		strike_out(strike, REASON_OVERLOAD, "http2.resets: too many streams were reset");
}

static void spend_control(
    struct h2_flood *f, usec_t now, const char *detail, struct h2_strike *strike)
{
	if (!spend(&f->controls, &f->limits->control_frames, now))
		strike_out(strike, REASON_OVERLOAD, detail);
}

void h2_flood_frame_sent(struct h2_flood *f, bool is_data)
{
	f->data_sent += is_data;
	give_back(&f->controls, &f->limits->control_frames);
}

void h2_flood_reset_sent(struct h2_flood *f, usec_t now, struct h2_strike *strike)
{
	spend_reset(f, now, strike);
}

void h2_flood_stream_opened(struct h2_flood *f, bool is_refused, struct h2_strike *strike)
{
	if (!is_refused)
		f->refused -= f->refused > 0;
	else if (++f->refused > f->limits->refused_streams)
		strike_out(strike, REASON_OVERLOAD,
		    "http2.refused_streams: too many streams beyond those allowed at once");
}

/* ---- frames ---- */

/* @count is above @per for each of @n; nothing is when there is no limit. */
static bool is_above(uint64_t count, unsigned per, uint64_t n)
{
	return per != HTTP2_NO_LIMIT && count > per * n;
}

static void count_block(struct h2_flood *f, uint32_t length, struct h2_strike *strike)
{
	f->block += length;
	f->in_block = !(f->head[4] & FLAG_END_HEADERS);
	if (f->block > f->max_block)
		strike_out(strike, REASON_OVERLOAD, "max_header: header block too long");
}

static uint32_t stream_id(const struct h2_flood *f)
{
	return load_u32(f->head + 5) & INT32_MAX;
}

/* Where a stream of the caller stands in the two sets; 64: it is too old, or nothing of the
 * kind. */
static unsigned place_of(const struct h2_flood *f, uint32_t id)
{
	bool is_known = f->is_server && id % 2 && id <= f->last_id && (f->last_id - id) / 2 < 64;

	return is_known ? (f->last_id - id) / 2 : 64;
}

static void open_stream(struct h2_flood *f, uint32_t id)
{
	uint32_t gap = (id - f->last_id) / 2;

	f->opened = gap < 64 ? f->opened << gap : 0;
	f->ended = gap < 64 ? f->ended << gap : 0;
	f->opened |= 1;
	f->last_id = id;
	f->streams++;
}

static void end_stream(struct h2_flood *f, uint32_t id)
{
	unsigned place = place_of(f, id);

	if (place < 64)
		f->ended |= (uint64_t)1 << place;
}

/* A stream that we have reset may get frames that were on their way; one that its caller has ended,
 * or passed over, may not. Source: RFC 9113, 5.1 and 5.1.1. */
static void check_stream(struct h2_flood *f, struct h2_strike *strike)
{
	unsigned place = place_of(f, stream_id(f));

	if (place == 64)
		return;
	if (!(f->opened >> place & 1)) {
		strike_out(strike, REASON_MALFORMED, "a stream below one that was opened before");
	} else if (f->ended >> place & 1) {
		strike_out(strike, REASON_MALFORMED, "a frame of a stream that has ended");
		strike->is_late = true;
	}
}

static void count_data(struct h2_flood *f, uint32_t length, struct h2_strike *strike)
{
	bool is_padded = f->head[4] & FLAG_PADDED;
	bool is_empty = is_padded ? length <= 1u + f->head[9] : length == 0;

	give_back(&f->controls, &f->limits->control_frames);
	check_stream(f, strike);
	if (strike->detail)
		return;
	if (f->head[4] & FLAG_END_STREAM)
		end_stream(f, stream_id(f));
	if (!is_empty || f->head[4] & FLAG_END_STREAM)
		f->empty_run = 0;
	else if (++f->empty_run > f->limits->empty_data)
		strike_out(
		    strike, REASON_MALFORMED, "http2.empty_data: too many empty DATA frames");
}

static void count_headers(struct h2_flood *f, uint32_t length, struct h2_strike *strike)
{
	uint32_t id = stream_id(f);

	f->continuations = 0;
	f->block = 0;
	if (id > f->last_id && (id % 2 || !f->is_server))
		open_stream(f, id);
	else
		check_stream(f, strike);
	if (f->head[4] & FLAG_END_STREAM)
		end_stream(f, id);
	if (strike->detail == NULL)
		count_block(f, length, strike);
}

static void count_control(struct h2_flood *f, usec_t now, struct h2_strike *strike)
{
	switch (f->head[3]) {
	case FRAME_PRIORITY:
	case FRAME_PRIORITY_UPDATE:
		if (is_above(++f->priorities, f->limits->priorities, f->streams + 1))
			spend_control(f, now, "http2.priorities: too many PRIORITY frames", strike);
		break;
	case FRAME_WINDOW_UPDATE:
		if (is_above(++f->window_updates, f->limits->window_updates,
			f->data_sent + f->streams + 1))
			spend_control(
			    f, now, "http2.window_updates: too many WINDOW_UPDATE frames", strike);
		break;
	case FRAME_RST_STREAM: /* an endpoint can reset no more than we have opened */
		end_stream(f, stream_id(f));
		if (f->is_server)
			spend_reset(f, now, strike);
		break;
	case FRAME_PING:
	case FRAME_SETTINGS:
		f->acks += !(f->head[4] & FLAG_ACK);
		spend_control(f, now, CONTROL_DETAIL, strike);
		break;
	default: /* GOAWAY, unknown ones */
		spend_control(f, now, CONTROL_DETAIL, strike);
		break;
	}
}

/* The head of a frame is here. */
static void count_frame(struct h2_flood *f, uint32_t length, usec_t now, struct h2_strike *strike)
{
	switch (f->head[3]) {
	case FRAME_DATA:
		count_data(f, length, strike);
		break;
	case FRAME_PUSH_PROMISE:
		strike_out(strike, REASON_MALFORMED, "PUSH_PROMISE, which was not allowed");
		break;
	case FRAME_HEADERS:
		count_headers(f, length, strike);
		break;
	case FRAME_CONTINUATION:
		if (++f->continuations > f->limits->continuations)
			strike_out(strike, REASON_OVERLOAD,
			    "http2.continuations: too many CONTINUATION frames");
		else
			count_block(f, length, strike);
		break;
	default:
		count_control(f, now, strike);
		break;
	}
}

/* How many bytes the head of the present frame has, as far as it is known. */
static unsigned head_size(const struct h2_flood *f)
{
	bool is_padded_data = f->n_head >= 5 && f->head[3] == FRAME_DATA &&
			      f->head[4] & FLAG_PADDED && load_u32(f->head) >> 8 > 0;

	return is_padded_data ? FRAME_HEAD + 1 : FRAME_HEAD;
}

/* Takes a head, or what is here of it. True when it is whole. */
static bool take_head(struct h2_flood *f, struct slice in, size_t *at)
{
	if (f->n_head == 0 && in.len - *at >= FRAME_HEAD) {
		memcpy(f->head, in.data + *at, FRAME_HEAD);
		f->n_head = FRAME_HEAD;
		*at += FRAME_HEAD;
	}
	while (*at < in.len && f->n_head < head_size(f))
		f->head[f->n_head++] = in.data[(*at)++];
	return f->n_head >= FRAME_HEAD && f->n_head == head_size(f);
}

static size_t skip(size_t have, uint32_t *left)
{
	size_t n = have < *left ? have : *left;

	*left -= (uint32_t)n;
	return n;
}

size_t h2_flood_walk(struct h2_flood *f, struct slice in, usec_t now, struct h2_strike *strike)
{
	uint32_t preface = f->preface_left;
	size_t at = skip(in.len, &preface);

	f->preface_left = preface;
	strike->detail = NULL;
	if (f->acks > f->limits->unread_acks) {
		strike_out(strike, REASON_OVERLOAD,
		    "http2.unread_acks: too many acknowledgements are not read");
		return 0;
	}
	at += skip(in.len - at, &f->left);
	while (at < in.len) {
		size_t start = at;
		uint32_t length;

		if (!take_head(f, in, &at))
			break;
		length = load_u32(f->head) >> 8;
		count_frame(f, length, now, strike);
		if (strike->detail)
			return start;
		f->left = length - (f->n_head - FRAME_HEAD);
		f->n_head = 0;
		at += skip(in.len - at, &f->left);
	}
	f->is_partial = f->n_head > 0 || (f->left > 0 && f->head[3] != FRAME_DATA);
	return in.len;
}
