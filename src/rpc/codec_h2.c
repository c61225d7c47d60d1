/*
 * The codec of HTTP/2, on nghttp2: gRPC above all, and any other call of HTTP/2 that passes through.
 *
 * All of an input is handed to the session at once; what its callbacks tell becomes events, which are
 * then given out one by one; and when the last has been, everything that the session wants to say
 * leaves together. Bytes that are sent leave straight from where their owner has them, as far as
 * windows and the connection admit; the rest is copied and waits in its stream.
 *
 * A stream is known here from its first frame until both sides of it are closed, its events are given
 * out, and (downstream) the proxy has let go of it: so long it counts among those allowed at once.
 *
 * Not here: what the fields of a block mean (grpc_head.c), which ones are written (h2_fields.c), and
 * which frames are too many (h2_flood.c).
 */
#include <nghttp2/nghttp2.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/codec_ops.h"
#include "rpc/h2_fields.h"
#include "rpc/h2_flood.h"
#include "rpc/h2_head.h"
#include "rpc/h2_stream.h"

#define CONNECTION_WINDOW (16 << 20)
#define REPLY_WINDOW      (32 << 10) /* of a reply, to begin with */
#define CALL_WINDOW       65535      /* of a call: what the protocol starts with */
#define WIDE_WINDOW       (256 << 10)
#define HEADERS_MAX       (1u << 20) /* of a block that we write */
#define FRAME_HEAD        9u
#define PIECES_MAX        8
#define ARENA_ROOM        4096u
#define STATUS_INTERIM    200u /* below: another head follows */

struct h2 {
	struct codec *codec;      /* whose state this is: borrowed */
	nghttp2_session *session; /* owned */
	bool is_server;
	uint32_t in_flight; /* downstream: streams allowed at once */
	uint32_t n_open;    /* upstream: streams begun and not closed */
	struct h2_streams streams;
	struct h2_events events;
	struct h2_heads heads;
	struct h2_flood flood;
	size_t held; /* bytes that wait in streams */

	bool has_input, has_settings;
	bool settings_sent; /* our own, which go first */
	bool is_over_limit; /* the present block is longer than it may be */
	bool is_dying;      /* the session has ended; `why` will be given out, or was */
	bool is_dead;       /* it was */
	uint32_t block_of;  /* the stream of the present block */
	struct rpc_status why;
	struct h2_strike strike; /* a limit that was passed while writing */
};

static struct h2_stream *find(const struct h2 *h, uint32_t id)
{
	return h2_streams_find(&h->streams, id);
}

/* ---- streams that end ---- */

/* Frees the stream if nothing and nobody knows it any more. */
static void let_go(struct h2 *h, struct h2_stream *s)
{
	bool is_wanted = h->is_server && s->owner && !s->end_asked;

	if (s->is_closed && s->n_events == 0 && !is_wanted)
		h2_streams_remove(&h->streams, s);
}

static void drop_output(struct h2 *h, struct h2_stream *s)
{
	h->held -= s->queue.len;
	h2_queue_clear(&s->queue);
	h2_stream_drop_trailers(s, &h->held);
}

static void submit_reset(struct h2 *h, struct h2_stream *s, uint32_t code)
{
	if (s->is_closed || s->is_reset_by_us)
		return;
	s->is_reset_by_us = true;
	nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, (int32_t)s->id, code);
}

/* Nothing more of what comes is given out. */
static void push_reset(
    struct h2 *h, struct h2_stream *s, enum reason reason, uint32_t code, const char *detail)
{
	if (s->is_deaf)
		return;
	s->is_deaf = true;
	s->reason = reason;
	s->code = code;
	s->detail = detail;
	h2_events_add(&h->events, CODEC_RESET, s);
}

/*
 * The peer broke a rule of gRPC. A caller can still be answered: its stream stays open for that. An
 * endpoint is told at once.
 */
static void break_off(struct h2 *h, struct h2_stream *s, enum reason reason, const char *detail)
{
	if (h->is_server) {
		push_reset(h, s, reason, NGHTTP2_NO_ERROR, detail);
		return;
	}
	push_reset(
	    h, s, reason == REASON_MALFORMED ? REASON_BAD_REPLY : reason, NGHTTP2_NO_ERROR, detail);
	submit_reset(h, s, reason == REASON_TOO_LARGE ? NGHTTP2_CANCEL : NGHTTP2_PROTOCOL_ERROR);
}

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
	push_reset(h, s, reason, code, detail);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = find(h, (uint32_t)id);
	bool is_over;

	(void)session;
	if (s == NULL || s->is_closed)
		return 0;
	is_over = h->is_server ? s->end_sent || !s->has_begun : s->is_ended;
	s->is_closed = true;
	s->has_item = false;
	drop_output(h, s);
	if (!h->is_server)
		h->n_open--;
	if (!is_over && !s->is_reset_by_us && !h->is_dying)
		push_closed(h, s, code);
	if (s->n_events == 0) /* whoever is busy with it now sees it freed after that */
		h2_events_add(&h->events, CODEC_MORE, s);
	return 0;
}

/* ---- writing ---- */

static void flush(struct h2 *h, bool is_forced);

/* The connection cannot go on: says so, and nothing more. */
static void die(struct h2 *h, enum reason reason, uint32_t code, const char *detail)
{
	int32_t last = nghttp2_session_get_last_proc_stream_id(h->session);

	if (h->is_dying)
		return;
	h->is_dying = true;
	rpc_status_set(&h->why, reason, "%s", detail);
	nghttp2_submit_goaway(
	    h->session, NGHTTP2_FLAG_NONE, last, code, (const uint8_t *)detail, strlen(detail));
	flush(h, true);
}

static void die_of_strike(struct h2 *h, const struct h2_strike *strike)
{
	die(h, strike->reason,
	    strike->reason == REASON_MALFORMED ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM,
	    strike->detail);
}

/*
 * The session would end the connection of a peer that opens more streams than were announced. We
 * refuse them one by one, so it was told a larger number than the one that is announced.
 */
static void write_settings(struct h2 *h, const uint8_t *bytes, size_t len)
{
	uint8_t frame[64];
	struct slice piece = slice_of(bytes, len);

	h->settings_sent = true;
	if (h->is_server && len <= sizeof frame) {
		memcpy(frame, bytes, len);
		for (size_t at = FRAME_HEAD; at + 6 <= len; at += 6)
			if (load_u16(frame + at) == NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
				store_u32(frame + at + 2, h->in_flight);
		piece.data = frame;
	}
	codec_write(h->codec, &piece, 1);
}

/* Everything that the session has to say, until nothing is left or (unless @is_forced) the connection
 * is full. Data stops at a full connection in any case: read_data sees to that. */
static void flush(struct h2 *h, bool is_forced)
{
	const uint8_t *bytes;
	ssize_t len;

	while (is_forced || !codec_is_full(h->codec)) {
		struct slice piece;

		len = nghttp2_session_mem_send(h->session, &bytes);
		if (len <= 0)
			break;
		piece = slice_of(bytes, (size_t)len);
		if (!h->settings_sent && bytes[3] == NGHTTP2_SETTINGS)
			write_settings(h, bytes, (size_t)len);
		else
			codec_write(h->codec, &piece, 1);
	}
	if (h->strike.detail)
		die_of_strike(h, &h->strike);
}

static size_t waiting(const struct h2_stream *s)
{
	return s->queue.len + s->direct[0].len + s->direct[1].len;
}

static void to_nv(nghttp2_nv *nv, const struct rpc_field *field)
{
	nv->name = (uint8_t *)(uintptr_t)field->name.data;
	nv->namelen = field->name.len;
	nv->value = (uint8_t *)(uintptr_t)field->value.data;
	nv->valuelen = field->value.len;
	nv->flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
	if (field->is_secret)
		nv->flags |= NGHTTP2_NV_FLAG_NO_INDEX;
}

#define NV_ROOM 32u

/* A header block, which leaves before its fields go: with the flush that follows at once. */
static void submit_block(
    struct h2 *h, struct h2_stream *s, const struct rpc_field *fields, unsigned n, bool is_end)
{
	bool is_request = !h->is_server && !s->head_sent;
	nghttp2_nv room[NV_ROOM], *nv = room;

	if (n > NV_ROOM)
		nv = mem_alloc(n * sizeof *nv);
	for (unsigned i = 0; i < n; i++)
		to_nv(&nv[i], &fields[i]);
	s->end_asked |= is_end;
	nghttp2_submit_headers(h->session, is_end ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE,
	    is_request ? -1 : (int32_t)s->id, NULL, nv, n, NULL);
	if (nv != room)
		free(nv);
}

/* Takes bytes off the front of what waits, into pieces. Returns how many. */
static int take_pieces(struct h2_stream *s, size_t len, struct slice *pieces)
{
	int n = 0;

	if (s->queue.len)
		return h2_queue_peek(&s->queue, len, pieces, PIECES_MAX);
	for (size_t i = 0; i < ARRAY_LEN(s->direct) && len; i++) {
		if (s->direct[i].len == 0)
			continue;
		pieces[n] = slice_first(s->direct[i], len);
		s->direct[i] = slice_from(s->direct[i], pieces[n].len);
		len -= pieces[n++].len;
	}
	return n;
}

static size_t pieces_len(const struct slice *pieces, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		len += pieces[i].len;
	return len;
}

/* The frame is to be written now: its head, and the bytes from where they are. */
static int send_data_frame(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
    size_t len, nghttp2_data_source *source, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = source->ptr;
	struct slice pieces[1 + PIECES_MAX];
	int n = 1;

	(void)session;
	(void)frame;
	pieces[0] = slice_of(head, FRAME_HEAD);
	do {
		bool is_queued = s->queue.len > 0;
		size_t taken;

		n += take_pieces(s, len, pieces + n);
		taken = pieces_len(pieces, n) - (pieces[0].data == head ? FRAME_HEAD : 0);
		codec_write(h->codec, pieces, n);
		if (is_queued) {
			h2_queue_drop(&s->queue, taken);
			h->held -= taken;
			if (!s->has_room_event)
				h2_events_add(&h->events, CODEC_ROOM, s);
			s->has_room_event = true;
		}
		len -= taken;
		pieces[0] = SLICE_NONE;
		n = 0;
	} while (len);
	return 0;
}

/* How much of what waits goes into the next frame, and whether the stream's data ends with it. */
static ssize_t read_data(nghttp2_session *session, int32_t id, uint8_t *room, size_t size,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = source->ptr;
	size_t len = waiting(s);

	(void)session;
	(void)id;
	(void)room;
	if (codec_is_full(h->codec))
		return NGHTTP2_ERR_PAUSE;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (len > size)
		return (ssize_t)size;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	s->has_item = false;
	if (s->ending != H2_ENDS_WITH_DATA)
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	if (s->ending == H2_ENDS_WITH_TRAILERS)
		submit_block(h, s, s->trailers->fields, s->trailers->n, true);
	return (ssize_t)len;
}

/* What could not leave within the call that brought it. */
static void keep_rest(struct h2 *h, struct h2_stream *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->direct); i++) {
		h->held += s->direct[i].len;
		h2_queue_add(&s->queue, s->direct[i]);
		s->direct[i] = SLICE_NONE;
	}
}

/* Writes both pieces behind what waits, and ends the direction if that is asked. Flushes. */
static void send_bytes(
    struct h2 *h, struct h2_stream *s, struct slice first, struct slice second, bool is_last)
{
	nghttp2_data_provider source = {.source = {.ptr = s}, .read_callback = read_data};
	bool was_waiting = s->queue.len > 0;

	s->direct[0] = first;
	s->direct[1] = second;
	if (is_last) {
		s->end_asked = true;
		s->ending = s->trailers ? H2_ENDS_WITH_TRAILERS : H2_ENDS_WITH_DATA;
	}
	if (was_waiting)
		keep_rest(h, s);
	if (!s->has_item && waiting(s) == 0 && s->ending == H2_ENDS_WITH_TRAILERS)
		submit_block(h, s, s->trailers->fields, s->trailers->n, true);
	else if (!s->has_item && (waiting(s) || s->ending == H2_ENDS_WITH_DATA))
		s->has_item = nghttp2_submit_data(h->session, NGHTTP2_FLAG_END_STREAM,
				  (int32_t)s->id, &source) == 0;
	flush(h, true);
	if (s->is_closed)
		s->direct[0] = s->direct[1] = SLICE_NONE;
	keep_rest(h, s);
}

/* Ends the direction with these fields once everything else has left. Flushes. */
static void send_trailers(
    struct h2 *h, struct h2_stream *s, const struct rpc_field *fields, unsigned n)
{
	s->end_asked = true;
	if (s->has_item) {
		h2_stream_keep_trailers(s, fields, n, &h->held);
		s->ending = H2_ENDS_WITH_TRAILERS;
		return;
	}
	submit_block(h, s, fields, n, true);
	flush(h, true);
}

/* Our side of the stream has ended. A caller that still sends is told that nobody listens. */
static void on_end_sent(struct h2 *h, struct h2_stream *s)
{
	s->end_sent = true;
	if (h->is_server && !s->is_ended)
		submit_reset(h, s, NGHTTP2_NO_ERROR);
}

static void on_reset_sent(struct h2 *h, const nghttp2_frame *frame)
{
	const struct h2_stream *s = find(h, (uint32_t)frame->hd.stream_id);
	bool is_refusal = frame->rst_stream.error_code == NGHTTP2_REFUSED_STREAM;

	if (h->is_server && !is_refusal && !(s && s->is_reset_by_us))
		h2_flood_reset_sent(&h->flood, h->codec->now, &h->strike);
}

/* The session itself has found that the connection cannot go on. */
static void on_goaway_sent(struct h2 *h, const nghttp2_goaway *frame)
{
	if (frame->error_code == NGHTTP2_NO_ERROR || h->is_dying)
		return;
	h->is_dying = true;
	rpc_status_set(&h->why, h->is_server ? REASON_MALFORMED : REASON_BAD_REPLY,
	    "the rules of HTTP/2 were broken (%s)%s%.*s", nghttp2_http2_strerror(frame->error_code),
	    frame->opaque_data_len ? ": " : "", (int)frame->opaque_data_len,
	    (const char *)frame->opaque_data);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s;

	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_DATA:
		h2_flood_data_sent(&h->flood);
		break;
	case NGHTTP2_HEADERS:
		break;
	case NGHTTP2_RST_STREAM:
		on_reset_sent(h, frame);
		return 0;
	case NGHTTP2_GOAWAY:
		on_goaway_sent(h, &frame->goaway);
		return 0;
	default:
		return 0;
	}
	s = find(h, (uint32_t)frame->hd.stream_id);
	if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		on_end_sent(h, s);
	return 0;
}

/* A block that has no room, or a call on a connection that ends. */
static int on_frame_not_send(
    nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = find(h, (uint32_t)frame->hd.stream_id);
	bool is_unseen = error == NGHTTP2_ERR_START_STREAM_NOT_ALLOWED;

	(void)session;
	if (s == NULL || frame->hd.type != NGHTTP2_HEADERS || s->is_closed)
		return 0;
	push_reset(h, s, is_unseen ? REASON_RESET : REASON_INTERNAL,
	    is_unseen ? NGHTTP2_REFUSED_STREAM : NGHTTP2_INTERNAL_ERROR, nghttp2_strerror(error));
	if (h->is_server || s->head_sent) {
		submit_reset(h, s, NGHTTP2_INTERNAL_ERROR);
	} else {
		s->is_closed = true;
		h->n_open--;
	}
	return 0;
}

/* ---- reading ---- */

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
	struct h2_stream *s = find(h, h->block_of);

	if (h->heads.is_open)
		h2_heads_drop(&h->heads);
	if (s && (s->has_begun || !h->is_server))
		push_reset(h, s, reason, code, detail);
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
	struct h2_stream *s = find(h, (uint32_t)frame->hd.stream_id);

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
	if (h->is_server)
		s->is_opaque = !s->is_walked;
	grpc_walk_init(&s->walk, h->codec->limits.max_message);
}

static void end_body(struct h2 *h, struct h2_stream *s)
{
	s->is_ended = true;
	if (s->is_walked && !s->is_deaf && !grpc_walk_is_between(&s->walk))
		break_off(h, s, REASON_MALFORMED, "the body ends within a gRPC message");
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
	if (is_head && (h->is_server || status >= STATUS_INTERIM)) {
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
	struct h2_stream *s = find(h, (uint32_t)frame->hd.stream_id);
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
		s = find(h, (uint32_t)frame->hd.stream_id);
		if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			on_data_end(h, s);
		break;
	case NGHTTP2_RST_STREAM:
		s = find(h, (uint32_t)frame->hd.stream_id);
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

static void refund(struct h2 *h, const struct h2_stream *s, size_t bytes)
{
	if (bytes && !s->is_closed)
		nghttp2_session_consume_stream(h->session, (int32_t)s->id, bytes);
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes,
    size_t len, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = find(h, (uint32_t)id);
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

/* ---- giving out ---- */

static enum rpc_payload payload_of(struct slice content_type)
{
	switch (grpc_content_type(content_type)) {
	case GRPC_CONTENT_PROTOBUF:
		return RPC_KITEXPB;
	case GRPC_CONTENT_THRIFT:
		return RPC_THRIFT;
	case GRPC_CONTENT_NONE:
		break;
	}
	return RPC_OPAQUE;
}

static void give_block(struct h2 *h, const struct h2_event *e, struct codec_item *item)
{
	struct rpc_message *m = &item->message;

	*m = (struct rpc_message){.form = {RPC_HTTP2, RPC_OPAQUE, false}, .timeout = USEC_NONE};
	item->has_message = true;
	h2_heads_view(&h->heads, e->block, m);
	m->form.payload = payload_of(m->content_type);
	m->complete = e->last;
	m->body_len = e->last ? 0 : RPC_LENGTH_UNKNOWN;
	m->status = RPC_STATUS_NONE;
	if (e->kind == CODEC_END)
		m->kind = RPC_TRAILERS;
	else if (h->is_server)
		m->kind = RPC_CALL;
	else
		m->kind = m->http_status < STATUS_INTERIM ? RPC_INTERIM : RPC_REPLY;
	if (m->kind == RPC_CALL)
		grpc_note_call(m);
	else
		grpc_note_reply(m);
}

static void give_reset(const struct h2_stream *s, struct codec_item *item)
{
	item->reset = (struct codec_reset){
	    .reason = s->reason,
	    .is_unprocessed = s->code == NGHTTP2_REFUSED_STREAM,
	    .code = s->code,
	};
	snprintf(item->reset.detail, sizeof item->reset.detail, "%s", s->detail);
}

/* Fills the item; false when nobody wants to know. */
static bool give(struct h2 *h, const struct h2_event *e, struct codec_item *item)
{
	struct h2_stream *s = e->stream;

	item->id = s->id;
	item->owner = s->owner;
	if (e->kind == CODEC_ROOM)
		s->has_room_event = false;
	if (e->kind == CODEC_MORE ||
	    (s->owner == NULL && !(e->kind == CODEC_MESSAGE && h->is_server))) {
		refund(h, s, e->data.len);
		return false;
	}
	if (e->block != H2_NO_BLOCK)
		give_block(h, e, item);
	if (e->kind == CODEC_RESET)
		give_reset(s, item);
	if (e->kind == CODEC_DATA) {
		item->data = e->data;
		item->last = e->last;
		item->n_messages = e->n_messages;
		item->message_bytes = e->message_bytes;
		s->owed += e->data.len;
	}
	return true;
}

/* The next event that somebody wants, CODEC_MORE when there is none. */
static enum codec_event give_next(struct h2 *h, struct codec_item *item)
{
	struct h2_event *first;

	while ((first = h2_events_first(&h->events))) {
		struct h2_event e = *first;
		bool is_given = give(h, &e, item);

		h2_events_drop_first(&h->events);
		let_go(h, e.stream);
		if (is_given)
			return e.kind;
	}
	return CODEC_MORE;
}

static void feed(struct h2 *h, struct slice *in)
{
	struct h2_strike strike;
	size_t len = h2_flood_walk(&h->flood, *in, h->codec->now, &strike);
	ssize_t used;

	h->has_input = true;
	h2_heads_reset(&h->heads, false);
	used = nghttp2_session_mem_recv(h->session, in->data, len);
	*in = slice_from(*in, in->len);
	if (h->strike.detail)
		die_of_strike(h, &h->strike);
	else if (used == NGHTTP2_ERR_FLOODED)
		die(h, REASON_OVERLOAD, NGHTTP2_ENHANCE_YOUR_CALM,
		    "http2.unread_acks: too many acknowledgements are not read");
	else if (used < 0)
		die(h, h->is_server ? REASON_MALFORMED : REASON_BAD_REPLY, NGHTTP2_PROTOCOL_ERROR,
		    nghttp2_strerror((int)used));
	else if (strike.detail)
		die_of_strike(h, &strike);
}

/* The connection has ended, and all before that was given out. */
static enum codec_event give_refusal(struct h2 *h, struct slice *in, struct codec_item *item)
{
	h->is_dead = true;
	*in = slice_from(*in, in->len);
	item->id = 0;
	item->owner = NULL;
	item->why = h->why;
	return CODEC_REFUSED;
}

/* All is given out: what the session wants to say leaves, and memory that nothing needs is freed. */
static void settle(struct h2 *h)
{
	bool is_idle = h->streams.n == 0;

	flush(h, false);
	if (h->events.n)
		return;
	h2_heads_reset(&h->heads, is_idle);
	h2_events_reset(&h->events, is_idle);
}

static enum codec_event h2_next(struct codec *c, struct slice *in, struct codec_item *item)
{
	struct h2 *h = c->state;

	while (!h->is_dead) {
		enum codec_event event = give_next(h, item);

		if (event != CODEC_MORE)
			return event;
		if (h->is_dying)
			return give_refusal(h, in, item);
		if (in->len) {
			feed(h, in);
			continue;
		}
		settle(h);
		if (h->events.n == 0 && !h->is_dying)
			return CODEC_MORE;
	}
	*in = slice_from(*in, in->len);
	return CODEC_MORE;
}

static bool h2_has_detected(const struct codec *c)
{
	const struct h2 *h = c->state;

	return h->has_settings && !h->flood.in_block && !h->flood.is_partial;
}

static bool h2_is_idle(const struct codec *c)
{
	const struct h2 *h = c->state;

	return !h->has_input || h2_has_detected(c);
}

static size_t h2_held(const struct codec *c)
{
	const struct h2 *h = c->state;

	return h->held + h2_heads_held(&h->heads) + h->events.size * sizeof *h->events.items;
}

/* ---- sending ---- */

/* The stream if something can still be sent on it. What ends a stream lets go of it in any case. */
static struct h2_stream *writable(struct h2 *h, uint32_t id, bool is_last)
{
	struct h2_stream *s = find(h, id);

	if (s == NULL || s->end_asked)
		return NULL;
	if (!s->is_closed && !h->is_dying)
		return s;
	s->end_asked = is_last;
	let_go(h, s);
	return NULL;
}

/* The body of a message: as it is, or, from another form, as one message of gRPC. */
static void send_body(struct h2 *h, struct h2_stream *s, const struct rpc_message *m)
{
	uint8_t prefix[GRPC_PREFIX];
	struct slice first = SLICE_NONE;

	if (m->form.transport != RPC_HTTP2) {
		grpc_prefix_write(prefix, (uint32_t)m->body_len);
		first = slice_of(prefix, sizeof prefix);
	}
	send_bytes(h, s, first, m->body, m->complete);
}

static bool send_call(struct h2 *h, struct h2_stream *s, const struct rpc_message *m,
    struct rpc_edit *edit, struct arena *arena)
{
	bool is_own = m->form.transport == RPC_HTTP2;
	bool has_body = m->body.len || !is_own;
	struct field_list list = {.arena = arena};

	if (!h2_call_fields(m, edit, &list)) {
		h->n_open--;
		h2_streams_remove(&h->streams, s);
		return false;
	}
	submit_block(h, s, list.items, list.n, m->complete && !has_body);
	s->head_sent = true;
	if (has_body)
		send_body(h, s, m); /* all leaves together */
	else
		flush(h, true);
	return true;
}

/* A unary reply: head, its one message, and trailers that wait for its last byte. */
static void send_unary_reply(struct h2 *h, struct h2_stream *s, const struct rpc_message *m,
    struct rpc_edit *edit, struct arena *arena)
{
	struct field_list head = {.arena = arena}, trailers = {.arena = arena};

	h2_unary_reply_fields(m, edit, &head, &trailers);
	s->head_sent = true;
	if (head.n == 0) {
		send_trailers(h, s, trailers.items, trailers.n);
		return;
	}
	submit_block(h, s, head.items, head.n, false);
	h2_stream_keep_trailers(s, trailers.items, trailers.n, &h->held);
	send_body(h, s, m);
}

static void send_reply(struct h2 *h, struct h2_stream *s, const struct rpc_message *m,
    struct rpc_edit *edit, struct arena *arena)
{
	struct field_list list = {.arena = arena};

	if (m->form.transport != RPC_HTTP2) {
		send_unary_reply(h, s, m, edit, arena);
		return;
	}
	h2_reply_fields(m, &list);
	submit_block(h, s, list.items, list.n, m->complete && m->body.len == 0);
	s->head_sent = m->kind != RPC_INTERIM;
	if (m->body.len)
		send_body(h, s, m);
	else
		flush(h, true);
}

static bool h2_send_message(
    struct codec *c, uint32_t id, const struct rpc_message *m, struct rpc_edit *edit)
{
	struct h2 *h = c->state;
	struct h2_stream *s = writable(h, id, m->complete);
	uint64_t room[ARENA_ROOM / sizeof(uint64_t)];
	struct arena arena;
	bool is_sent = true;

	if (s == NULL)
		return true;
	if (m->form.transport != RPC_HTTP2 && m->body_len > UINT32_MAX)
		return false; /* no prefix can tell it; RPC_LENGTH_UNKNOWN, too */
	arena_init(&arena, room, sizeof room);
	if (h->is_server)
		send_reply(h, s, m, edit, &arena);
	else
		is_sent = send_call(h, s, m, edit, &arena);
	arena_fini(&arena);
	return is_sent;
}

static void h2_send_data(struct codec *c, uint32_t id, struct slice data, bool last)
{
	struct h2 *h = c->state;
	struct h2_stream *s = writable(h, id, last);

	if (s && (data.len || last))
		send_bytes(h, s, data, SLICE_NONE, last);
}

static void h2_send_end(struct codec *c, uint32_t id, const struct rpc_message *trailers)
{
	struct h2 *h = c->state;
	struct h2_stream *s = writable(h, id, true);

	if (s && trailers && trailers->n_fields)
		send_trailers(h, s, trailers->fields, trailers->n_fields);
	else if (s)
		send_bytes(h, s, SLICE_NONE, SLICE_NONE, true);
}

/* What waits of the reply is worth nothing any more, and could keep the news from leaving. */
static void send_grpc_failure(struct h2 *h, struct h2_stream *s, const struct rpc_message *call,
    const struct rpc_status *why, struct arena *arena)
{
	struct field_list list = {.arena = arena};

	h2_failure_fields(call, why, s->head_sent, &list);
	drop_output(h, s);
	s->head_sent = true;
	submit_block(h, s, list.items, list.n, true);
	flush(h, true);
}

static void send_opaque_failure(
    struct h2 *h, struct h2_stream *s, const struct rpc_status *why, struct arena *arena)
{
	struct field_list list = {.arena = arena};
	struct slice body;

	h2_opaque_failure_fields(why, &list, &body);
	s->head_sent = true;
	submit_block(h, s, list.items, list.n, false);
	send_bytes(h, s, body, SLICE_NONE, true);
}

static void h2_drain(struct codec *c, enum codec_drain step);
static void h2_reset(struct codec *c, uint32_t id, const struct codec_reset *why);

static void h2_send_failure(struct codec *c, uint32_t id, const struct rpc_message *call,
    const struct rpc_status *why, bool closing)
{
	struct h2 *h = c->state;
	struct h2_stream *s = writable(h, id, true);
	struct codec_reset reset = {.reason = why->reason};
	uint64_t room[ARENA_ROOM / sizeof(uint64_t)];
	struct arena arena;

	arena_init(&arena, room, sizeof room);
	if (s && call->form.payload != RPC_OPAQUE)
		send_grpc_failure(h, s, call, why, &arena);
	else if (s && !s->head_sent)
		send_opaque_failure(h, s, why, &arena);
	else if (s)
		h2_reset(c, id, &reset);
	arena_fini(&arena);
	if (closing)
		h2_drain(c, CODEC_DRAIN_NOW);
}

/* ---- calls ---- */

static uint32_t max_streams(const struct h2 *h)
{
	return nghttp2_session_get_remote_settings(
	    h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

static bool h2_is_ending(const struct codec *c)
{
	const struct h2 *h = c->state;

	return h->is_dying || !nghttp2_session_check_request_allowed(h->session);
}

static unsigned h2_capacity(const struct codec *c)
{
	const struct h2 *h = c->state;
	uint32_t max = max_streams(h);

	return h2_is_ending(c) || max <= h->n_open ? 0 : max - h->n_open;
}

static uint32_t h2_begin(struct codec *c, void *owner)
{
	struct h2 *h = c->state;
	struct h2_stream *s =
	    h2_streams_add(&h->streams, nghttp2_session_get_next_stream_id(h->session));

	s->owner = owner;
	h->n_open++;
	return s->id;
}

static void h2_own(struct codec *c, uint32_t id, void *owner)
{
	struct h2 *h = c->state;
	struct h2_stream *s = find(h, id);

	if (s == NULL)
		return;
	s->owner = owner;
	if (owner)
		return;
	refund(h, s, s->owed);
	s->owed = 0;
	let_go(h, s);
}

/* The code that tells the other side why. */
static uint32_t code_of(const struct codec_reset *why)
{
	if (why->is_passed_on)
		return why->code;
	switch (why->reason) {
	case REASON_OK:
		return NGHTTP2_NO_ERROR;
	case REASON_CANCELED:
	case REASON_TIMEOUT:
	case REASON_CALLER_DEADLINE:
		return NGHTTP2_CANCEL;
	case REASON_OVERLOAD:
		return NGHTTP2_ENHANCE_YOUR_CALM;
	case REASON_DRAINING:
		return NGHTTP2_REFUSED_STREAM;
	case REASON_MALFORMED:
	case REASON_BAD_REPLY:
		return NGHTTP2_PROTOCOL_ERROR;
	default:
		return NGHTTP2_INTERNAL_ERROR;
	}
}

static void h2_reset(struct codec *c, uint32_t id, const struct codec_reset *why)
{
	struct h2 *h = c->state;
	struct h2_stream *s = find(h, id);

	if (s == NULL)
		return;
	s->owner = NULL;
	s->is_deaf = s->end_asked = true;
	if (!h->is_server && !s->head_sent && !s->is_closed) { /* nobody has heard of it */
		h->n_open--;
		s->is_closed = true;
	}
	drop_output(h, s);
	submit_reset(h, s, code_of(why));
	flush(h, true);
	let_go(h, s);
}

/* A stream that keeps flowing gets a window that does not slow it down over a long way. */
static void widen(struct h2 *h, struct h2_stream *s)
{
	size_t window = h->is_server ? CALL_WINDOW : REPLY_WINDOW;

	if (s->is_wide || s->credited < window || s->is_ended || s->is_closed)
		return;
	s->is_wide = true;
	nghttp2_session_set_local_window_size(
	    h->session, NGHTTP2_FLAG_NONE, (int32_t)s->id, WIDE_WINDOW);
}

static void h2_credit(struct codec *c, uint32_t id, size_t bytes)
{
	struct h2 *h = c->state;
	struct h2_stream *s = find(h, id);

	if (s == NULL)
		return;
	bytes = bytes < s->owed ? bytes : s->owed;
	s->owed -= bytes;
	s->credited += bytes;
	refund(h, s, bytes);
	widen(h, s);
	flush(h, false);
}

static size_t h2_pending(const struct codec *c, uint32_t id)
{
	const struct h2 *h = c->state;
	const struct h2_stream *s = find(h, id);

	return s ? s->queue.len : 0;
}

static void h2_pump(struct codec *c)
{
	flush(c->state, false);
}

static void h2_drain(struct codec *c, enum codec_drain step)
{
	struct h2 *h = c->state;

	if (!h->is_server || h->is_dying)
		return;
	if (step == CODEC_DRAIN_SOON)
		nghttp2_submit_shutdown_notice(h->session);
	else
		nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
		    nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL, 0);
	flush(h, true);
}

static void h2_ping(struct codec *c)
{
	struct h2 *h = c->state;

	nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
	flush(h, true);
}

/* ---- opening ---- */

static nghttp2_session_callbacks *make_callbacks(void)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		abort(); /* as mem_alloc */
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
	nghttp2_session_callbacks_set_send_data_callback(cb, send_data_frame);
	return cb;
}

static size_t or_none(unsigned limit)
{
	return limit == HTTP2_NO_LIMIT ? SIZE_MAX : limit;
}

static nghttp2_option *make_options(const struct http2_limits *limits)
{
	nghttp2_option *option;

	if (nghttp2_option_new(&option) != 0)
		abort();
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_max_send_header_block_length(option, HEADERS_MAX);
	nghttp2_option_set_max_outbound_ack(option, or_none(limits->unread_acks));
#if HAVE_DECL_NGHTTP2_OPTION_SET_STREAM_RESET_RATE_LIMIT /* ours is told the time */
	nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, UINT64_MAX);
#endif
#if HAVE_DECL_NGHTTP2_OPTION_SET_MAX_CONTINUATIONS
	nghttp2_option_set_max_continuations(option, or_none(limits->continuations));
#endif
	return option;
}

static uint32_t sum(uint32_t a, uint32_t b)
{
	return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static void submit_settings(struct h2 *h)
{
	uint32_t header = (uint32_t)h->codec->limits.max_header;
	nghttp2_settings_entry server[] = {
	    {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
		sum(sum(h->in_flight, h->flood.limits->refused_streams), 1)},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, header},
	};
	nghttp2_settings_entry client[] = {
	    {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, REPLY_WINDOW},
	    {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, header},
	};

	if (h->is_server)
		nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, server, ARRAY_LEN(server));
	else
		nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, client, ARRAY_LEN(client));
	nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
}

static void *h2_open(struct codec *c)
{
	struct h2 *h = mem_calloc(1, sizeof *h);
	nghttp2_session_callbacks *cb = make_callbacks();
	nghttp2_option *option;
	int error;

	h->codec = c;
	h->is_server = c->side == CODEC_DOWNSTREAM;
	h->in_flight = c->limits.in_flight ? c->limits.in_flight : UINT32_MAX;
	h2_flood_init(&h->flood, c->limits.http2, h->is_server, c->limits.max_header);
	option = make_options(h->flood.limits);
	error = h->is_server ? nghttp2_session_server_new2(&h->session, cb, h, option)
			     : nghttp2_session_client_new2(&h->session, cb, h, option);
	if (error)
		abort();
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(cb);
	submit_settings(h);
	return h;
}

static void h2_close(void *state)
{
	struct h2 *h = state;

	h2_events_fini(&h->events);
	h->is_dying = true; /* the session tells of streams that end with it */
	nghttp2_session_del(h->session);
	h2_events_fini(&h->events);
	h2_streams_fini(&h->streams);
	h2_heads_fini(&h->heads);
	free(h);
}

const struct codec_ops codec_h2_ops = {
    .open = h2_open,
    .close = h2_close,
    .next = h2_next,
    .is_idle = h2_is_idle,
    .has_detected = h2_has_detected,
    .held = h2_held,
    .send_message = h2_send_message,
    .send_data = h2_send_data,
    .send_failure = h2_send_failure,
    .capacity = h2_capacity,
    .is_ending = h2_is_ending,
    .begin = h2_begin,
    .own = h2_own,
    .send_end = h2_send_end,
    .reset = h2_reset,
    .credit = h2_credit,
    .pending = h2_pending,
    .pump = h2_pump,
    .drain = h2_drain,
    .ping = h2_ping,
};
