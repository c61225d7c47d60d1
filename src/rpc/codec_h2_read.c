/*
 * What an HTTP/2 session reads: its callbacks turn frames into events, which codec_h2.c gives out.
 * A message of gRPC is looked at as far as its prefix.
 */
#include "rpc/codec_h2.h"

/* ---- streams that end ---- */

/* The other side's reset, or the session's own because the other side broke HTTP/2. */
static void push_closed(struct h2 *h, struct h2_stream *s, uint32_t code)
{
	enum reason reason = h->is_server ? REASON_CANCELED : REASON_RESET;
	const char *detail =
	    h->is_server ? "the caller reset the stream" : "the endpoint reset the stream";

	if (code == NGHTTP2_REFUSED_STREAM && !h->is_server) {
		detail = s->is_reset_by_peer ? "the endpoint refused the stream"
					     : "the stream is above the GOAWAY of the endpoint";
	} else if (!s->is_reset_by_peer) {
		reason = h->is_server ? REASON_MALFORMED : REASON_BAD_REPLY;
		detail = s->detail ? s->detail : "the stream broke the rules of HTTP/2";
	}
	h2_push_reset(h, s, reason, code, detail);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = h2_find(h, (uint32_t)id);
	bool is_over;

	(void)session;
	if (s == NULL || s->is_closed)
		return 0;
	is_over = h->is_server ? s->end_sent || !s->has_begun : s->is_ended;
	s->is_closed = true;
	s->has_item = false;
	h2_drop_output(h, s);
	if (!h->is_server)
		h->n_open--;
	if (!is_over && !s->is_reset_by_us && !h->is_dying)
		push_closed(h, s, code);
	if (s->n_events == 0) /* whoever is busy with it now sees it freed after that */
		h2_events_add(&h->events, CODEC_MORE, s);
	return 0;
}

/*
 * The peer broke a rule of gRPC. A caller can still be answered: its stream stays open for that. An
 * endpoint is told at once.
 */
static void break_off(struct h2 *h, struct h2_stream *s, enum reason reason, const char *detail)
{
	if (h->is_server) {
		h2_push_reset(h, s, reason, NGHTTP2_NO_ERROR, detail);
		return;
	}
	h2_push_reset(
	    h, s, reason == REASON_MALFORMED ? REASON_BAD_REPLY : reason, NGHTTP2_NO_ERROR, detail);
	h2_submit_reset(h, s, reason == REASON_TOO_LARGE ? NGHTTP2_CANCEL : NGHTTP2_PROTOCOL_ERROR);
}

/* ---- frames ---- */

void h2_refund(struct h2 *h, const struct h2_stream *s, size_t bytes)
{
	if (bytes && !s->is_closed)
		nghttp2_session_consume_stream(h->session, (int32_t)s->id, bytes);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	bool is_new = h->is_server && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
	bool is_refused = is_new && h->streams.n >= h->in_flight;

	if (h->heads.is_open)
		h2_heads_drop(&h->heads); /* it came to nothing */
	h->block_of = (uint32_t)frame->hd.stream_id;
	if (is_new)
		h2_flood_stream_opened(&h->flood, is_refused, &h->strike);
	if (is_refused) {
		nghttp2_submit_rst_stream(
		    session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	if (is_new)
		h2_streams_add(&h->streams, h->block_of);
	h2_heads_begin(&h->heads);
	return 0;
}

/* The stream cannot go on because of the block that is coming in. */
static int refuse_block(struct h2 *h, enum reason reason, uint32_t code, const char *detail)
{
	struct h2_stream *s = h2_find(h, h->block_of);

	if (h->heads.is_open)
		h2_heads_drop(&h->heads);
	if (s && (s->has_begun || !h->is_server))
		h2_push_reset(h, s, reason, code, detail);
	nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, (int32_t)h->block_of, code);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct h2 *h = arg;
	const struct h2_block *block;

	(void)session;
	(void)frame;
	if (!h->heads.is_open)
		return 0;
	h2_heads_add(&h->heads, slice_of(name, name_len), slice_of(value, value_len),
	    flags & NGHTTP2_NV_FLAG_NO_INDEX);
	block = h2_heads_current(&h->heads);
	if (block->listed > h->codec->limits.max_header)
		return refuse_block(h, REASON_TOO_LARGE, NGHTTP2_ENHANCE_YOUR_CALM,
		    "the header list is longer than max_header");
	if (block->n_fields > h->flood.limits->header_fields)
		return refuse_block(h, REASON_TOO_LARGE, NGHTTP2_ENHANCE_YOUR_CALM,
		    "http2.header_fields: too many fields in a header list");
	return 0;
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
    const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
    void *arg)
{
	struct h2 *h = arg;

	(void)session;
	(void)frame;
	(void)name;
	(void)name_len;
	(void)value;
	(void)value_len;
	(void)flags;
	return refuse_block(h, h->is_server ? REASON_MALFORMED : REASON_BAD_REPLY,
	    NGHTTP2_PROTOCOL_ERROR, "a header field that HTTP/2 does not allow");
}

static int on_invalid_frame(
    nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = h2_find(h, (uint32_t)frame->hd.stream_id);

	(void)session;
	if (s)
		s->detail = nghttp2_strerror(error);
	if (frame->hd.type == NGHTTP2_HEADERS && h->heads.is_open)
		h2_heads_drop(&h->heads);
	return 0;
}

/* The head of the direction that comes in tells how its body is read. */
static void begin_body(struct h2 *h, struct h2_stream *s, size_t block)
{
	enum grpc_content content = grpc_content_type(h2_heads_content_type(&h->heads, block));

	s->is_encoded = h->heads.blocks[block].is_encoded;
	s->is_walked = content != GRPC_CONTENT_NONE;
	grpc_walk_init(&s->walk, h->codec->limits.max_message);
}

static void end_body(struct h2 *h, struct h2_stream *s)
{
	s->is_ended = true;
	if (s->is_walked && !s->is_deaf && !grpc_walk_is_between(&s->walk))
		break_off(h, s, REASON_MALFORMED, "the body ends within a gRPC message");
}

/* A tunnel is no call. */
static bool is_connect(const struct h2 *h, size_t block)
{
	return h->is_server &&
	       slice_eq(h2_heads_pseudo(&h->heads, block, H2_METHOD), SLICE_LIT("CONNECT"));
}

static void on_block(struct h2 *h, struct h2_stream *s, bool is_end)
{
	size_t block = h2_heads_end(&h->heads);
	unsigned status = h2_heads_status(&h->heads, block);
	bool is_head = h->is_server ? !s->has_begun : status > 0;
	struct h2_event *e;

	if (s->is_deaf) {
		s->is_ended |= is_end;
		return;
	}
	if (is_head && is_connect(h, block)) {
		nghttp2_submit_rst_stream(
		    h->session, NGHTTP2_FLAG_NONE, (int32_t)s->id, NGHTTP2_CONNECT_ERROR);
		return;
	}
	if (is_head && (h->is_server || status >= H2_STATUS_INTERIM)) {
		s->has_begun = true;
		begin_body(h, s, block);
	}
	if (!is_head)
		end_body(h, s);
	s->is_ended |= is_end;
	if (s->is_deaf)
		return;
	e = h2_events_add(&h->events, is_head ? CODEC_MESSAGE : CODEC_END, s);
	e->block = block;
	e->last = is_end;
}

static void on_headers(struct h2 *h, const nghttp2_frame *frame)
{
	struct h2_stream *s = h2_find(h, (uint32_t)frame->hd.stream_id);
	bool is_end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	if (!h->heads.is_open)
		return;
	if (s)
		on_block(h, s, is_end);
	else
		h2_heads_drop(&h->heads);
}

/* END_STREAM on a DATA frame: told with its bytes if they are still here. */
static void on_data_end(struct h2 *h, struct h2_stream *s)
{
	struct h2_event *e;

	end_body(h, s);
	if (s->is_deaf)
		return;
	e = h2_events_newest(&h->events);
	if (e == NULL || e->kind != CODEC_DATA || e->stream != s)
		e = h2_events_add(&h->events, CODEC_DATA, s);
	e->last = true;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s;

	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		on_headers(h, frame);
		break;
	case NGHTTP2_DATA:
		s = h2_find(h, (uint32_t)frame->hd.stream_id);
		if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			on_data_end(h, s);
		break;
	case NGHTTP2_RST_STREAM:
		s = h2_find(h, (uint32_t)frame->hd.stream_id);
		if (s)
			s->is_reset_by_peer = true;
		break;
	case NGHTTP2_SETTINGS:
		h->has_settings = true;
		break;
	default:
		break;
	}
	return 0;
}

/* Follows the messages of gRPC; false when the stream has broken their rules. */
static bool walk_messages(
    struct h2 *h, struct h2_stream *s, struct slice data, struct grpc_ended *ended)
{
	struct wire_note note;

	switch (grpc_walk(&s->walk, data, ended, &note)) {
	case WIRE_OK:
		break;
	case WIRE_TOO_LARGE:
		break_off(h, s, REASON_TOO_LARGE, note.why);
		return false;
	case WIRE_BAD:
	case WIRE_MORE:
		break_off(h, s, REASON_MALFORMED, note.why);
		return false;
	}
	if (s->walk.is_compressed && !s->is_encoded) {
		break_off(h, s, REASON_MALFORMED, "a compressed message without grpc-encoding");
		return false;
	}
	return true;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
    size_t len, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = h2_find(h, (uint32_t)id);
	struct slice data = slice_of(bytes, len);
	struct grpc_ended ended = {0};
	struct h2_event *e;

	(void)flags;
	nghttp2_session_consume_connection(session, len);
	if (s && !s->is_deaf && s->is_walked)
		walk_messages(h, s, data, &ended);
	if (s == NULL || s->is_deaf) {
		nghttp2_session_consume_stream(session, id, len);
		return 0;
	}
	e = h2_events_add(&h->events, CODEC_DATA, s);
	e->data = data;
	e->n_messages = ended.n;
	e->message_bytes = ended.bytes;
	return 0;
}

void h2_reading_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
}

void h2_feed(struct h2 *h, struct slice *in)
{
	struct h2_strike strike;
	size_t len = h2_flood_walk(&h->flood, *in, h->codec->now, &strike);
	ssize_t used;

	h->has_input = true;
	h2_heads_reset(&h->heads, false);
	used = nghttp2_session_mem_recv(h->session, in->data, len);
	*in = slice_from(*in, in->len);
	if (h->strike.detail)
		h2_die_of_strike(h, &h->strike);
	else if (used < 0)
		h2_die(h, h->is_server ? REASON_MALFORMED : REASON_BAD_REPLY,
		    NGHTTP2_PROTOCOL_ERROR, nghttp2_strerror((int)used));
	else if (strike.detail)
		h2_die_of_strike(h, &strike);
}
