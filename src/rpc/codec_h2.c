/*
 * The codec of HTTP/2, on nghttp2: gRPC above all, and any other call of HTTP/2 that passes
 * through.
 *
 * All of an input is handed to the session at once; what its callbacks tell becomes events, which
 * are then given out one by one; and when the last has been, everything that the session wants to
 * say leaves together. Bytes that are sent leave straight from where their owner has them, as far
 * as windows and the connection admit; the rest is copied and waits in its stream.
 *
 * A stream is known here from its first frame until both sides of it are closed, its events are
 * given out, and (downstream) the proxy has let go of it: so long it counts among those allowed at
 * once.
 *
 * Not here: what the fields of a block mean (grpc_head.c), which ones are written (h2_fields.c),
 * and which frames are too many (h2_flood.c).
 */
#include "rpc/codec_h2.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/grpc_head.h"

#define CONNECTION_WINDOW (16 << 20)
#define HEADERS_MAX       (1u << 20) /* of a block that we write */

/* ---- streams ---- */

struct h2_stream *h2_find(const struct h2 *h, uint32_t id)
{
	return h2_streams_find(&h->streams, id);
}

/* Frees the stream if nothing and nobody knows it any more. */
void h2_let_go(struct h2 *h, struct h2_stream *s)
{
	bool is_wanted = h->is_server && s->owner && !s->end_asked;

	if (s->is_closed && s->n_events == 0 && !is_wanted)
		h2_streams_remove(&h->streams, s);
}

void h2_drop_output(struct h2 *h, struct h2_stream *s)
{
	h->held -= s->queue.len;
	h2_queue_clear(&s->queue);
	h2_stream_drop_trailers(s, &h->held);
}

void h2_submit_reset(struct h2 *h, struct h2_stream *s, uint32_t code)
{
	if (s->is_closed || s->is_reset_by_us)
		return;
	s->is_reset_by_us = true;
	nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, (int32_t)s->id, code);
}

/* Nothing more of what comes is given out. */
void h2_push_reset(
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
		m->kind = m->http_status < H2_STATUS_INTERIM ? RPC_INTERIM : RPC_REPLY;
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
	    .is_passed_on = s->is_reset_by_peer,
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
		h2_refund(h, s, e->data.len);
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
		h2_let_go(h, e.stream);
		if (is_given)
			return e.kind;
	}
	return CODEC_MORE;
}

/* The connection has ended, and all before that was given out. */
static enum codec_event give_refusal(struct h2 *h, struct slice *in, struct codec_item *item)
{
	h->is_dead = true;
	h2_heads_fini(&h->heads);
	h2_events_fini(&h->events);
	*in = slice_from(*in, in->len);
	item->id = 0;
	item->owner = NULL;
	item->why = *h->why;
	return CODEC_REFUSED;
}

/* All is given out: what the session wants to say leaves, and memory that nothing needs is
 * freed. */
static void settle(struct h2 *h)
{
	bool is_idle = h->streams.n == 0;

	h2_flush(h, false);
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
			h2_feed(h, in);
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

static void h2_rest(struct codec *c)
{
	struct h2 *h = c->state;

	h2_streams_rest(&h->streams);
	if (h->streams.n == 0 && !nghttp2_session_want_write(h->session))
		h2_memory_rest(&h->memory);
}

/* ---- opening ---- */

static nghttp2_session_callbacks *make_callbacks(void)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		abort(); /* as mem_alloc */
	h2_reading_callbacks(cb);
	h2_writing_callbacks(cb);
	return cb;
}

static nghttp2_option *make_options(void)
{
	nghttp2_option *option;

	if (nghttp2_option_new(&option) != 0)
		abort();
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	nghttp2_option_set_max_send_header_block_length(option, HEADERS_MAX);
	/* h2_flood.c counts in the configuration's terms, and regardless of how input is cut. */
	nghttp2_option_set_max_outbound_ack(option, SIZE_MAX);
#if HAVE_DECL_NGHTTP2_OPTION_SET_STREAM_RESET_RATE_LIMIT
	nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, UINT64_MAX);
#endif
#if HAVE_DECL_NGHTTP2_OPTION_SET_MAX_CONTINUATIONS
	nghttp2_option_set_max_continuations(option, SIZE_MAX);
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
	    {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_REPLY_WINDOW},
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
	nghttp2_mem memory = {
	    &h->memory, h2_memory_malloc, h2_memory_free, h2_memory_calloc, h2_memory_realloc};
	nghttp2_option *option;
	int error;

	h->codec = c;
	h->is_server = c->side == CODEC_DOWNSTREAM;
	h->in_flight = c->limits.in_flight ? c->limits.in_flight : UINT32_MAX;
	h2_flood_init(&h->flood, c->limits.http2, h->is_server, c->limits.max_header);
	option = make_options();
	error = h->is_server ? nghttp2_session_server_new3(&h->session, cb, h, option, &memory)
			     : nghttp2_session_client_new3(&h->session, cb, h, option, &memory);
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
	free(h->why);
	free(h);
}

const char *codec_library_version(void)
{
	return nghttp2_version(0)->version_str;
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
    .rest = h2_rest,
};
