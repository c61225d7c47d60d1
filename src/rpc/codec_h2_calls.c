/* What the proxy asks of calls on HTTP/2: see codec.h. */
#include "rpc/codec_h2.h"

#include <assert.h>

#include "rpc/h2_fields.h"

#define WIDE_WINDOW (256 << 10)
#define ARENA_ROOM  4096u

/* ---- sending ---- */

/* The stream if something can still be sent on it. What ends a stream lets go of it in any case. */
static struct h2_stream *writable(struct h2 *h, uint32_t id, bool is_last)
{
	struct h2_stream *s = h2_find(h, id);

	if (s == NULL || s->end_asked)
		return NULL;
	if (!s->is_closed && !h->is_dying)
		return s;
	s->end_asked = is_last;
	h2_let_go(h, s);
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
	h2_send_bytes(h, s, first, m->body, m->complete);
}

static bool send_call(struct h2 *h, struct h2_stream *s, const struct rpc_message *m,
    struct rpc_edit *edit, struct arena *arena)
{
	bool is_own = m->form.transport == RPC_HTTP2;
	bool has_body = m->body.len || !is_own;
	struct field_list list = {.arena = arena};

	if (!h2_call_fields(m, edit, &list))
		return false;
	h2_submit_block(h, s, list.items, list.n, m->complete && !has_body);
	s->head_sent = true;
	h2_flush(h, true); /* the stream is there for data only when its head is out */
	if (has_body)
		send_body(h, s, m);
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
		h2_send_trailers(h, s, trailers.items, trailers.n);
		return;
	}
	h2_submit_block(h, s, head.items, head.n, false);
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
	h2_submit_block(h, s, list.items, list.n, m->complete && m->body.len == 0);
	s->head_sent = m->kind != RPC_INTERIM;
	if (m->body.len)
		send_body(h, s, m);
	else
		h2_flush(h, true);
}

/* A message of another form whose length no prefix can tell. */
static bool has_no_prefix(const struct rpc_message *m)
{
	return m->form.transport != RPC_HTTP2 && m->body_len > UINT32_MAX;
}

/* A call that was begun, and of which nobody has heard. */
static void forget_call(struct h2 *h, struct h2_stream *s)
{
	h->n_open--;
	s->is_closed = true;
	s->owner = NULL;
	h2_let_go(h, s);
}

bool h2_send_message(
    struct codec *c, uint32_t id, const struct rpc_message *m, struct rpc_edit *edit)
{
	struct h2 *h = c->state;
	struct h2_stream *s = writable(h, id, m->complete);
	uint64_t room[ARENA_ROOM / sizeof(uint64_t)];
	struct arena arena;
	bool is_sent = true;

	if (s == NULL)
		return true;
	arena_init(&arena, room, sizeof room);
	if (has_no_prefix(m))
		is_sent = false;
	else if (h->is_server)
		send_reply(h, s, m, edit, &arena);
	else
		is_sent = send_call(h, s, m, edit, &arena);
	arena_fini(&arena);
	if (!is_sent && !h->is_server)
		forget_call(h, s);
	return is_sent;
}

void h2_send_data(struct codec *c, uint32_t id, struct slice data, bool last)
{
	struct h2 *h = c->state;
	struct h2_stream *s = writable(h, id, last);

	if (s && (data.len || last))
		h2_send_bytes(h, s, data, SLICE_NONE, last);
}

void h2_send_end(struct codec *c, uint32_t id, const struct rpc_message *trailers)
{
	struct h2 *h = c->state;
	struct h2_stream *s = writable(h, id, true);

	if (s && trailers && trailers->n_fields)
		h2_send_trailers(h, s, trailers->fields, trailers->n_fields);
	else if (s)
		h2_send_bytes(h, s, SLICE_NONE, SLICE_NONE, true);
}

/* What waits of the reply is worth nothing any more, and could keep the news from leaving. */
static void send_grpc_failure(struct h2 *h, struct h2_stream *s, const struct rpc_message *call,
    const struct rpc_status *why, struct arena *arena)
{
	struct field_list list = {.arena = arena};

	h2_failure_fields(call, why, s->head_sent, &list);
	h2_drop_output(h, s);
	s->head_sent = true;
	h2_submit_block(h, s, list.items, list.n, true);
	h2_flush(h, true);
}

static void send_opaque_failure(
    struct h2 *h, struct h2_stream *s, const struct rpc_status *why, struct arena *arena)
{
	struct field_list list = {.arena = arena};
	struct slice body;

	h2_opaque_failure_fields(why, &list, &body);
	s->head_sent = true;
	h2_submit_block(h, s, list.items, list.n, false);
	h2_send_bytes(h, s, body, SLICE_NONE, true);
}

void h2_send_failure(struct codec *c, uint32_t id, const struct rpc_message *call,
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
	else if (s || h2_pending(c, id)) /* the end is asked for, and cannot leave */
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

bool h2_is_ending(const struct codec *c)
{
	const struct h2 *h = c->state;

	if (h->is_dying)
		return true;
	if (h->is_server) /* its caller has said goodbye, and all is done */
		return !nghttp2_session_want_read(h->session) &&
		       !nghttp2_session_want_write(h->session);
	return !nghttp2_session_check_request_allowed(h->session);
}

unsigned h2_capacity(const struct codec *c)
{
	const struct h2 *h = c->state;
	uint32_t max = max_streams(h);

	return h2_is_ending(c) || max <= h->n_open ? 0 : max - h->n_open;
}

uint32_t h2_begin(struct codec *c, void *owner)
{
	struct h2 *h = c->state;
	struct h2_stream *s;

	assert(h2_capacity(c) > 0); /* else its head would not leave before its fields go */
	s = h2_streams_add(&h->streams, nghttp2_session_get_next_stream_id(h->session));
	s->owner = owner;
	h->n_open++;
	return s->id;
}

void h2_own(struct codec *c, uint32_t id, void *owner)
{
	struct h2 *h = c->state;
	struct h2_stream *s = h2_find(h, id);

	if (s == NULL)
		return;
	s->owner = owner;
	if (owner)
		return;
	h2_refund(h, s, s->owed);
	s->owed = 0;
	h2_let_go(h, s);
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

void h2_reset(struct codec *c, uint32_t id, const struct codec_reset *why)
{
	struct h2 *h = c->state;
	struct h2_stream *s = h2_find(h, id);

	if (s == NULL)
		return;
	s->owner = NULL;
	s->is_deaf = s->end_asked = true;
	if (!h->is_server && !s->head_sent && !s->is_closed) { /* nobody has heard of it */
		h->n_open--;
		s->is_closed = true;
	}
	h2_drop_output(h, s);
	h2_submit_reset(h, s, code_of(why));
	h2_flush(h, true);
	h2_let_go(h, s);
}

/* A stream that keeps flowing gets a window that does not slow it down over a long way. */
static void widen(struct h2 *h, struct h2_stream *s)
{
	size_t window = h->is_server ? H2_CALL_WINDOW : H2_REPLY_WINDOW;

	if (s->is_wide || s->credited < window || s->is_ended || s->is_closed)
		return;
	s->is_wide = true;
	nghttp2_session_set_local_window_size(
	    h->session, NGHTTP2_FLAG_NONE, (int32_t)s->id, WIDE_WINDOW);
}

void h2_credit(struct codec *c, uint32_t id, size_t bytes)
{
	struct h2 *h = c->state;
	struct h2_stream *s = h2_find(h, id);

	if (s == NULL)
		return;
	bytes = bytes < s->owed ? bytes : s->owed;
	s->owed -= bytes;
	s->credited += bytes;
	h2_refund(h, s, bytes);
	widen(h, s);
	h2_flush(h, false);
}

size_t h2_pending(const struct codec *c, uint32_t id)
{
	const struct h2 *h = c->state;
	const struct h2_stream *s = h2_find(h, id);

	return s ? s->queue.len : 0;
}

void h2_pump(struct codec *c)
{
	h2_flush(c->state, false);
}

void h2_drain(struct codec *c, enum codec_drain step)
{
	struct h2 *h = c->state;

	if (!h->is_server || h->is_dying)
		return;
	if (step == CODEC_DRAIN_SOON)
		nghttp2_submit_shutdown_notice(h->session);
	else
		nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
		    nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR, NULL, 0);
	h2_flush(h, true);
}

void h2_ping(struct codec *c)
{
	struct h2 *h = c->state;

	nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
	h2_flush(h, true);
}
