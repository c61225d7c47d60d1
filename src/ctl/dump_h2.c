/*
 * HTTP/2 as one direction of a connection has it: frames, header blocks, and the messages of gRPC
 * in them. Whether the other side may say so is not asked.
 *
 *     HEAD --nine bytes--> PAYLOAD --all of it--> HEAD
 *     HEAD, PAYLOAD --hole, nonsense--> SEARCH --a segment that begins with frames--> HEAD
 *
 * After a hole the table that header blocks refer to may be another one than ours: what is read
 * then is said to be unsure.
 */
#include <stdlib.h>

#include "base/cursor.h"
#include "ctl/dump_h2.h"
#include "rpc/codec_h2_inflate.h"

#define FRAME_HEAD    9u
#define INFLATE_HELD  (16u << 10) /* about what a table takes */
#define LIKELY_LENGTH (128u << 10)

static const char *const frame_names[] = {"data", "headers", "priority", "reset", "settings",
    "push_promise", "ping", "goaway", "window_update", "continuation"};
static const char *const error_names[] = {"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM",
    "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED"};
static const char *const setting_names[] = {NULL, "HEADER_TABLE_SIZE", "ENABLE_PUSH",
    "MAX_CONCURRENT_STREAMS", "INITIAL_WINDOW_SIZE", "MAX_FRAME_SIZE", "MAX_HEADER_LIST_SIZE"};

struct h2_lane *h2_lane_new(struct dump_lane *lane, bool is_whole)
{
	struct h2_lane *h = mem_calloc(1, sizeof *h);

	h->lane = lane;
	h->inflate = h2_inflate_new();
	h->is_sure = is_whole;
	h->step = H2_BEGIN;
	return h;
}

void h2_lane_free(struct h2_lane **h2)
{
	struct h2_lane *h = *h2;

	if (h == NULL)
		return;
	h2_inflate_free(&h->inflate);
	text_fini(&h->payload);
	text_fini(&h->block);
	text_fini(&h->names);
	free(h);
	*h2 = NULL;
}

size_t h2_lane_held(const struct h2_lane *h)
{
	return sizeof *h + INFLATE_HELD + h->payload.room + h->block.room + h->names.room;
}

/* ---- frames by their looks ---- */

static bool has_likely_length(unsigned type, unsigned flags, uint32_t length)
{
	switch (type) {
	case H2_PRIORITY:
		return length == 5;
	case H2_RST_STREAM:
	case H2_WINDOW_UPDATE:
		return length == 4;
	case H2_SETTINGS:
		return length % 6 == 0 && length <= 6 * 64 && (!(flags & H2_ACK) || length == 0);
	case H2_PING:
		return length == 8;
	case H2_GOAWAY:
		return length >= 8 && length < 4096;
	default:
		return length <= LIKELY_LENGTH;
	}
}

static bool is_likely_frame(const uint8_t *head)
{
	static const uint8_t flags_of[] = {H2_END_STREAM | H2_PADDED,
	    H2_END_STREAM | H2_END_HEADERS | H2_PADDED | H2_HAS_PRIORITY, 0, 0, H2_ACK,
	    H2_END_HEADERS | H2_PADDED, H2_ACK, 0, 0, H2_END_HEADERS};
	uint32_t length = load_u32(head) >> 8, stream = load_u32(head + 5);
	unsigned type = head[3], flags = head[4];

	if (type > H2_CONTINUATION || flags & ~(unsigned)flags_of[type] || stream >> 31)
		return false;
	if (type == H2_SETTINGS || type == H2_PING || type == H2_GOAWAY)
		return stream == 0 && has_likely_length(type, flags, length);
	return (stream != 0 || type == H2_WINDOW_UPDATE) && has_likely_length(type, flags, length);
}

bool h2_is_likely(struct slice bytes)
{
	unsigned n = 0;

	for (; bytes.len >= FRAME_HEAD && is_likely_frame(bytes.data); n++) {
		if (bytes.data[3] == H2_SETTINGS)
			return true; /* nothing else looks like them */
		bytes = slice_from(bytes, FRAME_HEAD + (load_u32(bytes.data) >> 8));
		if (bytes.len == 0)
			return true;
	}
	return n >= 2;
}

/* ---- messages ---- */

struct dump_call *h2_find_call(const struct h2_lane *h, uint32_t stream)
{
	const struct dump_lane *lane = h->lane;
	struct dump_call *call = dump_calls_find(&lane->conn->calls, !lane->side, stream);

	return call ? call : dump_calls_find(&lane->conn->calls, lane->side, stream);
}

struct dump_message h2_message(
    const struct h2_lane *h, uint32_t stream, const char *kind, const struct dump_call *call)
{
	struct dump_message m = dump_message_of(h->lane, h->lane->at);

	m.protocol = call && call->flows[call->side].is_grpc ? "grpc" : "http2";
	m.kind = kind;
	m.has_stream = stream != 0;
	m.stream = stream;
	if (call) {
		m.service = call->service;
		m.method = call->method;
	}
	return m;
}

void h2_show(const struct h2_lane *h, const struct dump_message *m)
{
	struct dump *d = h->lane->conn->dump;

	dump_print(&d->options, m, &d->room, d->out);
}

void h2_set_latency(const struct h2_lane *h, const struct dump_call *call, struct dump_message *m)
{
	usec_t at = h->lane->at;

	if (call->side != h->lane->side && at != USEC_NONE && call->at != USEC_NONE &&
	    at >= call->at)
		m->latency = at - call->at;
}

/* A direction of the call has ended; with both of them the call is forgotten. */
void h2_end_flow(struct h2_lane *h, struct dump_call *call)
{
	struct dump_calls *calls = &h->lane->conn->calls;
	struct dump_flow *flow = &call->flows[h->lane->side];

	if (flow->n_prefix && !flow->is_broken) {
		struct dump_message m = h2_message(h, call->id, "message", call);

		m.bytes = flow->n_prefix + flow->length - flow->left;
		m.problem = "the stream ends within it";
		h2_show(h, &m);
	}
	flow->is_over = true;
	if (call->flows[!h->lane->side].is_over)
		dump_calls_remove(calls, call);
}

/* ---- all other frames ---- */

static const char *error_name(uint32_t code)
{
	if (code == 1000) /* source: kitex pkg/remote/trans/nphttp2, of a server that ends */
		return "graceful shutdown";
	return code < ARRAY_LEN(error_names) ? error_names[code] : "no code of RFC 9113";
}

static void end_reset(struct h2_lane *h)
{
	struct dump_call *call = h2_find_call(h, h->stream);
	struct dump_message m = h2_message(h, h->stream, "reset", call);
	uint32_t code = h->payload.len >= 4 ? load_u32(h2_bytes(&h->payload).data) : 0;

	m.is_error = code != 0;
	m.code_name = "http2_error";
	m.code = code;
	dump_add_detail(&m, "%s", error_name(code));
	if (call)
		h2_set_latency(h, call, &m);
	h2_show(h, &m);
	if (call)
		dump_calls_remove(&h->lane->conn->calls, call);
}

static void end_goaway(struct h2_lane *h)
{
	struct dump_message m = h2_message(h, 0, "goaway", NULL);
	struct slice s = h2_bytes(&h->payload);

	m.protocol = "http2";
	if (s.len < 8) {
		m.problem = "a GOAWAY that is too short";
	} else {
		m.code_name = "http2_error";
		m.code = load_u32(s.data + 4);
		m.is_error = m.code != 0;
		m.text = slice_from(s, 8);
		dump_add_detail(&m, "%s, last stream %u", error_name((uint32_t)m.code),
		    load_u32(s.data) & INT32_MAX);
	}
	h2_show(h, &m);
}

/* What the reader of the other direction allows its writer. */
static void take_setting(struct h2_lane *h, unsigned id, uint32_t value, struct dump_message *m)
{
	struct h2_lane *other = h->lane->conn->lanes[!h->lane->side].h2;

	if (id == 1 && other && other->inflate)
		h2_inflate_allow(other->inflate, value);
	if (id < ARRAY_LEN(setting_names) && setting_names[id])
		dump_add_detail(m, "%s %u", setting_names[id], value);
	else
		dump_add_detail(m, "%u %u", id, value);
}

static void end_other(struct h2_lane *h)
{
	bool is_known = h->type <= H2_CONTINUATION;
	struct dump_message m =
	    h2_message(h, h->stream, is_known ? frame_names[h->type] : "frame", NULL);
	struct slice s = h2_bytes(&h->payload);

	m.protocol = "http2";
	m.is_detail = true;
	m.bytes = m.payload_bytes = h->length;
	if (h->type == H2_SETTINGS && h->flags & H2_ACK)
		dump_add_detail(&m, "acknowledged");
	else if (h->type == H2_SETTINGS)
		for (; s.len >= 6; s = slice_from(s, 6))
			take_setting(h, load_u16(s.data), load_u32(s.data + 2), &m);
	else if (h->type == H2_PING && h->flags & H2_ACK)
		dump_add_detail(&m, "acknowledged");
	else if (h->type == H2_WINDOW_UPDATE && s.len >= 4)
		dump_add_detail(&m, "of %u", load_u32(s.data) & INT32_MAX);
	else if (!is_known)
		dump_add_detail(&m, "of type %u", h->type);
	h2_show(h, &m);
}

static void end_frame(struct h2_lane *h)
{
	h->step = H2_HEAD;
	h->n_head = 0;
	switch (h->type) {
	case H2_DATA:
		h2_end_data(h);
		return;
	case H2_HEADERS:
	case H2_PUSH_PROMISE:
	case H2_CONTINUATION:
		h2_take_fragment(h);
		break;
	case H2_RST_STREAM:
		end_reset(h);
		break;
	case H2_GOAWAY:
		end_goaway(h);
		break;
	default:
		end_other(h);
		break;
	}
	h2_empty(&h->payload);
}

/* ---- bytes ---- */

static void search_on(struct h2_lane *h)
{
	h->step = H2_SEARCH;
	h->n_head = 0;
	h->skipped = 0;
	h->is_sure = false;
	h->is_block_open = false;
	h2_empty(&h->payload);
	h2_empty(&h->block);
}

static void begin_frame(struct h2_lane *h)
{
	h->length = h->left = load_u32(h->head) >> 8;
	h->type = h->head[3];
	h->flags = h->head[4];
	h->stream = load_u32(h->head + 5) & INT32_MAX;
	h->padding = 0;
	h->has_padding = !(h->flags & H2_PADDED);
	h->step = H2_PAYLOAD;
	if (h->type <= H2_CONTINUATION && h->length > LIKELY_LENGTH && !is_likely_frame(h->head)) {
		dump_lane_note(h->lane, "http2", "what follows is no frame");
		search_on(h);
	} else if (h->left == 0) {
		end_frame(h);
	}
}

/* The preface stands before a client's first frame. */
static bool is_in_preface(const struct h2_lane *h)
{
	return h->step == H2_BEGIN && h->n_head && memcmp(h->head, H2_PREFACE, h->n_head) == 0;
}

static void take_head(struct h2_lane *h, struct slice *bytes)
{
	h->head[h->n_head++] = bytes->data[0];
	*bytes = slice_from(*bytes, 1);
	if (is_in_preface(h)) {
		if (h->n_head == H2_PREFACE_LEN) {
			h->step = H2_HEAD;
			h->n_head = 0;
		}
		return;
	}
	if (h->n_head >= FRAME_HEAD)
		begin_frame(h);
}

static void take_data_payload(struct h2_lane *h, struct slice *bytes)
{
	uint32_t data;
	struct slice piece;

	if (!h->has_padding) {
		h->has_padding = true;
		h->padding = bytes->data[0];
		h->left--;
		*bytes = slice_from(*bytes, 1);
		if (h->left == 0)
			end_frame(h);
		return;
	}
	piece = slice_first(*bytes, h->left);
	data = h->left > h->padding ? h->left - h->padding : 0;
	h->left -= (uint32_t)piece.len;
	*bytes = slice_from(*bytes, piece.len);
	h2_take_data(h, slice_first(piece, data));
	if (h->left == 0)
		end_frame(h);
}

static void take_payload(struct h2_lane *h, struct slice *bytes)
{
	struct slice piece = slice_first(*bytes, h->left);

	if (h->type == H2_DATA) {
		take_data_payload(h, bytes);
		return;
	}
	if (h->payload.len < H2_KEPT)
		text_add(&h->payload, slice_first(piece, H2_KEPT - h->payload.len));
	h->left -= (uint32_t)piece.len;
	*bytes = slice_from(*bytes, piece.len);
	if (h->left == 0)
		end_frame(h);
}

void h2_lane_take(struct h2_lane *h, struct slice bytes)
{
	if (h->step == H2_SEARCH) {
		if (!h2_is_likely(bytes)) {
			h->skipped += bytes.len;
			return;
		}
		if (h->skipped)
			dump_lane_note(h->lane, "http2",
			    "%llu bytes passed over until a frame began",
			    (unsigned long long)h->skipped);
		h->step = H2_HEAD;
	}
	while (bytes.len && h->step != H2_SEARCH) {
		if (h->step == H2_PAYLOAD)
			take_payload(h, &bytes);
		else
			take_head(h, &bytes);
	}
}

void h2_lane_miss(struct h2_lane *h, uint64_t n)
{
	dump_lane_note(h->lane, "http2", "%llu bytes missing here", (unsigned long long)n);
	if (h->step == H2_PAYLOAD && h->type == H2_DATA && h->has_padding &&
	    n + h->padding <= h->left) {
		h->left -= (uint32_t)n;
		h2_miss_data(h, (uint32_t)n);
		if (h->left == 0)
			end_frame(h);
		return;
	}
	search_on(h);
}
