/*
 * One direction of a connection: what it speaks, and where it can be understood again after bytes
 * that are missing or wrong.
 *
 *     NEW --first bytes, behind a PROXY header--> FRAMES, H2, DEAF
 *     FRAMES --hole, nonsense--> LOST --a beginning is recognised--> FRAMES, H2
 *
 * A connection whose beginning was not captured begins with LOST.
 */
#include "ctl/dump.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "ctl/shown.h"

#define SETTINGS_BYTES  9u /* of HTTP/2's frame head, the first that a server sends */
#define PREFACE         "PRI * HTTP/2.0"
#define LOST_FOR        (1u << 20) /* bytes in which nothing was recognised: then nothing will be */
#define TLS_RECORD_HEAD 5u
#define TLS_RECORD_MAX  (16384u + 256)

struct dump_conn *dump_conn_new(struct dump *d)
{
	struct dump_conn *conn = mem_calloc(1, sizeof *conn);

	conn->dump = d;
	dump_calls_init(&conn->calls);
	for (unsigned i = 0; i < 2; i++) {
		conn->lanes[i].conn = conn;
		conn->lanes[i].side = i;
		dump_frame_begin(&conn->lanes[i].frame, d->body_kept);
	}
	return conn;
}

void dump_conn_free(struct dump_conn **conn)
{
	struct dump_conn *c = *conn;

	for (unsigned i = 0; i < 2; i++) {
		dump_frame_fini(&c->lanes[i].frame);
		text_fini(&c->lanes[i].window);
		h2_lane_free(&c->lanes[i].h2);
	}
	dump_calls_fini(&c->calls);
	free(c);
	*conn = NULL;
}

size_t dump_conn_held(const struct dump_conn *conn)
{
	size_t held = sizeof *conn + conn->calls.held;

	for (unsigned i = 0; i < 2; i++) {
		const struct dump_lane *lane = &conn->lanes[i];

		held += lane->frame.kept.room + lane->window.room;
		held += lane->h2 ? h2_lane_held(lane->h2) : 0;
	}
	return held;
}

struct dump_message dump_message_of(const struct dump_lane *lane, usec_t at)
{
	struct dump_message m = {.at = at, .latency = USEC_NONE};

	if (lane->conn->has_places) {
		m.from = lane->conn->places[lane->side];
		m.to = lane->conn->places[!lane->side];
	}
	return m;
}

void dump_lane_note(const struct dump_lane *lane, const char *protocol, const char *format, ...)
{
	struct dump_message m = dump_message_of(lane, lane->at);
	struct dump *d = lane->conn->dump;
	va_list args;

	va_start(args, format);
	vsnprintf(m.detail, sizeof m.detail, format, args);
	va_end(args);
	m.protocol = protocol;
	m.kind = "note";
	dump_note(&d->options, &m, &d->room, d->out);
}

static void lose(struct dump_lane *lane)
{
	lane->state = LANE_LOST;
	lane->skipped = 0;
	lane->window.len = 0;
	dump_frame_begin(&lane->frame, lane->conn->dump->body_kept);
}

/* Bytes of which only more of them will tell what they are. */
static void keep(struct dump_lane *lane, struct slice rest)
{
	text_add(&lane->window, rest);
}

/* ---- connections that are not looked into ---- */

/* Records of TLS, to the end of the view or at least two. */
static bool is_tls(struct slice s)
{
	unsigned n = 0;

	for (; s.len >= TLS_RECORD_HEAD; n++) {
		size_t len = load_u16(s.data + 3);

		if (s.data[0] < 20 || s.data[0] > 23 || s.data[1] != 3 || s.data[2] > 4 ||
		    len == 0 || len > TLS_RECORD_MAX)
			return false;
		if (n == 0 && s.data[0] == 22)
			return true; /* a handshake is where it begins */
		s = slice_from(s, TLS_RECORD_HEAD + len);
	}
	return n >= 2 || (n == 1 && s.len == 0);
}

static bool is_http1(struct slice s)
{
	static const char *const words[] = {"GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS ",
	    "PATCH ", "CONNECT ", "HTTP/1."};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_starts(s, slice_str(words[i])))
			return true;
	return false;
}

static void go_deaf(struct dump_lane *lane, struct slice first)
{
	bool is_told = lane->conn->lanes[!lane->side].state == LANE_DEAF;
	struct text hex = {0};

	lane->state = LANE_DEAF;
	if (is_told)
		return;
	if (is_tls(first)) {
		dump_lane_note(lane, "tls", "encrypted; what is said cannot be shown");
	} else if (is_http1(first)) {
		dump_lane_note(lane, "http/1", "not decoded");
	} else {
		shown_hex(&hex, first, 16);
		dump_lane_note(lane, "unknown", "no protocol that is known here begins with %.*s",
		    (int)hex.len, hex.bytes);
		text_fini(&hex);
	}
}

/* ---- the beginning ---- */

/* Could these be the first bytes of a server that speaks HTTP/2? */
static bool may_be_settings(struct slice s)
{
	return s.len < SETTINGS_BYTES && (s.len < 4 || s.data[3] == 4) && s.data[0] == 0;
}

static void begin_h2(struct dump_lane *lane, bool is_whole)
{
	lane->h2 = h2_lane_new(lane, is_whole);
	lane->state = LANE_H2;
}

/* Nothing is consumed, unless nothing can be told of it yet. */
static void decide(struct dump_lane *lane, struct slice *bytes)
{
	struct slice first = *bytes;

	switch (sniff_family(first)) {
	case SNIFF_FAMILY_MORE:
		keep(lane, first);
		*bytes = SLICE_NONE;
		return;
	case SNIFF_FAMILY_HTTP2:
		begin_h2(lane, true);
		return;
	case SNIFF_FAMILY_UNARY:
	case SNIFF_FAMILY_TTSTREAM:
		lane->state = LANE_FRAMES;
		return;
	case SNIFF_FAMILY_UNKNOWN:
		break;
	}
	if (h2_is_likely(first)) {
		begin_h2(lane, true);
	} else if (!lane->conn->has_places && !is_http1(first) && !is_tls(first)) {
		lane->state = LANE_LOST;
	} else if (may_be_settings(first)) {
		keep(lane, first);
		*bytes = SLICE_NONE;
	} else {
		go_deaf(lane, first);
	}
}

/* ---- messages ---- */

static void take_frames(struct dump_lane *lane, struct slice *bytes)
{
	const char *why = NULL;

	switch (dump_frame_take(&lane->frame, bytes, lane->at, &why)) {
	case FRAME_MORE:
		return;
	case FRAME_DONE:
		dump_unary(lane, &lane->frame, NULL);
		dump_frame_begin(&lane->frame, lane->conn->dump->body_kept);
		return;
	case FRAME_BAD:
		dump_unary(lane, &lane->frame, why);
		lose(lane);
		return;
	}
}

/* ---- where it can be understood again ---- */

/* Two bytes tell most places at which nothing begins. */
static bool is_candidate(struct slice s)
{
	if (s.len < SNIFF_BYTES)
		return true;
	return (s.data[0] == 0x80 && s.data[1] == 1) || (s.data[4] == 0x10 && s.data[5] == 0) ||
	       ((s.data[4] == 0x80 || s.data[4] == 0x90) && s.data[5] == 1);
}

static void found(struct dump_lane *lane, size_t at)
{
	if (lane->skipped + at)
		dump_lane_note(lane, "note", "%llu bytes passed over until a message began",
		    (unsigned long long)(lane->skipped + at));
	lane->skipped = 0;
}

/* Frames of HTTP/2 and records of TLS are only looked for where a segment begins. */
static bool look_at_segment(struct dump_lane *lane, struct slice s, size_t at)
{
	bool is_preface = slice_starts(s, SLICE_LIT(PREFACE));

	if (is_preface || h2_is_likely(s)) {
		found(lane, at);
		begin_h2(lane, is_preface);
		return true;
	}
	if (lane->skipped == 0 && is_tls(s)) {
		go_deaf(lane, s);
		return true;
	}
	return false;
}

/* The first @n bytes are none of a message, the others have to wait. */
static void pass_over(struct dump_lane *lane, struct slice bytes, size_t n)
{
	lane->skipped += n;
	if (lane->skipped < LOST_FOR) {
		keep(lane, slice_from(bytes, n));
		return;
	}
	dump_lane_note(lane, "unknown", "nothing was recognised in %llu bytes; given up",
	    (unsigned long long)lane->skipped);
	lane->state = LANE_DEAF;
}

/* @segment: where one begins in @bytes, which afterwards are those that are understood again. */
static void search(struct dump_lane *lane, struct slice *bytes, size_t segment)
{
	for (size_t at = 0; at < bytes->len; at++) {
		struct slice s = slice_from(*bytes, at);
		enum frame_guess guess;

		if (at == segment && look_at_segment(lane, s, at)) {
			*bytes = s;
			return;
		}
		guess = is_candidate(s) ? dump_frame_guess(s) : GUESS_NO;
		if (guess == GUESS_YES) {
			found(lane, at);
			lane->state = LANE_FRAMES;
			*bytes = s;
			return;
		}
		if (guess == GUESS_MORE) {
			pass_over(lane, *bytes, at);
			*bytes = SLICE_NONE;
			return;
		}
	}
	pass_over(lane, *bytes, bytes->len);
	*bytes = SLICE_NONE;
}

/* ---- what comes ---- */

/* Whoever says nothing but beginnings of messages that break off is to cost no more than others do:
 * what follows is looked at where it lies, and by a loop. */
static void take(struct dump_lane *lane, struct slice bytes, size_t segment)
{
	while (bytes.len) {
		switch (lane->state) {
		case LANE_NEW:
			if (!lane->has_syn)
				lane->state = LANE_LOST;
			else if (lane->is_introduced || !dump_proxy_header(lane, &bytes))
				decide(lane, &bytes);
			break;
		case LANE_FRAMES:
			take_frames(lane, &bytes);
			break;
		case LANE_LOST:
			search(lane, &bytes, segment);
			segment = 0;
			break;
		case LANE_H2:
			h2_lane_take(lane->h2, bytes);
			return;
		case LANE_DEAF:
			return;
		}
	}
}

void dump_lane_take(struct dump_lane *lane, usec_t at, struct slice bytes)
{
	struct text waited = lane->window;
	size_t segment = lane->state == LANE_LOST ? waited.len : 0;

	lane->at = at;
	if (waited.len == 0) {
		take(lane, bytes, 0);
		return;
	}
	lane->window = (struct text){0};
	text_add(&waited, bytes);
	take(lane, slice_of(waited.bytes, waited.len), segment);
	text_fini(&waited);
}

static void miss_frames(struct dump_lane *lane, uint64_t n)
{
	struct dump_frame *frame = &lane->frame;

	if (!dump_frame_is_between(frame)) {
		if (!dump_frame_miss(frame, n)) {
			dump_unary(lane, frame, "bytes are missing here, and with them its end");
		} else {
			if (frame->have < frame->total)
				return;
			dump_unary(lane, frame, NULL);
			dump_frame_begin(frame, lane->conn->dump->body_kept);
			return;
		}
	}
	dump_lane_note(lane, "note", "%llu bytes missing here", (unsigned long long)n);
	lose(lane);
}

void dump_lane_miss(struct dump_lane *lane, usec_t at, uint64_t n)
{
	lane->at = at;
	switch (lane->state) {
	case LANE_FRAMES:
		miss_frames(lane, n);
		return;
	case LANE_H2:
		h2_lane_miss(lane->h2, n);
		return;
	case LANE_NEW:
	case LANE_LOST:
		dump_lane_note(lane, "note", "%llu bytes missing here", (unsigned long long)n);
		lose(lane);
		return;
	case LANE_DEAF:
		return;
	}
}

void dump_lane_end(struct dump_lane *lane, usec_t at, bool is_reset)
{
	lane->at = at;
	if (lane->state == LANE_FRAMES && !dump_frame_is_between(&lane->frame))
		dump_unary(lane, &lane->frame,
		    is_reset ? "the connection was reset within it"
			     : "the direction ends within it");
	if ((lane->state == LANE_NEW || lane->state == LANE_LOST) && lane->window.len)
		dump_lane_note(lane, "unknown", "%llu bytes that are no message",
		    (unsigned long long)(lane->skipped + lane->window.len));
	lane->window.len = 0;
	dump_frame_begin(&lane->frame, lane->conn->dump->body_kept);
	if (lane->state != LANE_H2)
		lane->state = LANE_DEAF;
}

void dump_conn_end(struct dump_conn *conn)
{
	for (unsigned i = 0; i < 2; i++) {
		struct dump_lane *lane = &conn->lanes[i];

		if (lane->state == LANE_FRAMES && !dump_frame_is_between(&lane->frame))
			dump_unary(lane, &lane->frame, "the capture ends within it");
		else if (lane->state == LANE_NEW || lane->state == LANE_LOST)
			dump_lane_end(lane, lane->at, false);
	}
}
