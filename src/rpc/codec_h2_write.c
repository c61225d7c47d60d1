/*
 * What an HTTP/2 session writes. Bytes of a call leave straight from where their owner has them, as
 * far as windows and the connection admit; the rest waits in its stream. Header blocks leave at
 * once.
 */
#include <stdlib.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "rpc/codec_h2.h"

#define FRAME_HEAD 9u
#define PIECES_MAX 8
#define NV_ROOM    32u

/* The connection cannot go on: says so, and nothing more. */
void h2_die(struct h2 *h, enum reason reason, uint32_t code, const char *detail)
{
	int32_t last = nghttp2_session_get_last_proc_stream_id(h->session);

	if (h->is_dying)
		return;
	h->is_dying = true;
	h->why = mem_alloc(sizeof *h->why);
	rpc_status_set(h->why, reason, "%s", detail);
	nghttp2_submit_goaway(
	    h->session, NGHTTP2_FLAG_NONE, last, code, (const uint8_t *)detail, strlen(detail));
	h2_flush(h, true);
}

void h2_die_of_strike(struct h2 *h, const struct h2_strike *strike)
{
	bool is_malformed = strike->reason == REASON_MALFORMED;

	h2_die(h, is_malformed && !h->is_server ? REASON_BAD_REPLY : strike->reason,
	    strike->is_late ? NGHTTP2_STREAM_CLOSED
	    : is_malformed  ? NGHTTP2_PROTOCOL_ERROR
			    : NGHTTP2_ENHANCE_YOUR_CALM,
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

/* Everything that the session has to say, until nothing is left or (unless @is_forced) the
 * connection is full. Data stops at a full connection in any case: read_data sees to that. */
void h2_flush(struct h2 *h, bool is_forced)
{
	const uint8_t *bytes;
	ssize_t len = 1;

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
	if (len == 0)
		h2_flood_all_sent(&h->flood); /* but for data */
	if (len < 0)
		h2_die(h, REASON_INTERNAL, NGHTTP2_INTERNAL_ERROR, nghttp2_strerror((int)len));
	if (h->strike.detail)
		h2_die_of_strike(h, &h->strike);
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

/* A header block, which leaves before its fields go: with the flush that follows at once. */
void h2_submit_block(
    struct h2 *h, struct h2_stream *s, const struct rpc_field *fields, unsigned n, bool is_end)
{
	bool is_request = !h->is_server && !s->head_sent;
	nghttp2_nv room[NV_ROOM], *nv = room;

	if (n > NV_ROOM)
		nv = mem_alloc(n * sizeof *nv);
	room[0] = (nghttp2_nv){0}; /* for the compiler: a block is never empty */
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
		h2_submit_block(h, s, s->trailers->fields, s->trailers->n, true);
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
void h2_send_bytes(
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
		h2_submit_block(h, s, s->trailers->fields, s->trailers->n, true);
	else if (!s->has_item && (waiting(s) || s->ending == H2_ENDS_WITH_DATA))
		s->has_item = nghttp2_submit_data(h->session, NGHTTP2_FLAG_END_STREAM,
				  (int32_t)s->id, &source) == 0;
	h2_flush(h, true);
	if (s->is_closed)
		s->direct[0] = s->direct[1] = SLICE_NONE;
	keep_rest(h, s);
}

/* Ends the direction with these fields once everything else has left. Flushes. */
void h2_send_trailers(struct h2 *h, struct h2_stream *s, const struct rpc_field *fields, unsigned n)
{
	s->end_asked = true;
	if (s->has_item) {
		h2_stream_keep_trailers(s, fields, n, &h->held);
		s->ending = H2_ENDS_WITH_TRAILERS;
		return;
	}
	h2_submit_block(h, s, fields, n, true);
	h2_flush(h, true);
}

/* Our side of the stream has ended. A caller that still sends is told that nobody listens. */
static void on_end_sent(struct h2 *h, struct h2_stream *s)
{
	s->end_sent = true;
	if (h->is_server && !s->is_ended)
		h2_submit_reset(h, s, NGHTTP2_NO_ERROR);
}

static void on_reset_sent(struct h2 *h, const nghttp2_frame *frame)
{
	const struct h2_stream *s = h2_find(h, (uint32_t)frame->hd.stream_id);
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
	h->why = mem_alloc(sizeof *h->why);
	rpc_status_set(h->why, h->is_server ? REASON_MALFORMED : REASON_BAD_REPLY,
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
	case NGHTTP2_HEADERS:
		h2_flood_frame_sent(&h->flood, frame->hd.type == NGHTTP2_DATA);
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
	s = h2_find(h, (uint32_t)frame->hd.stream_id);
	if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		on_end_sent(h, s);
	return 0;
}

/* A block that has no room, or a call on a connection that ends. */
static int on_frame_not_send(
    nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
	struct h2 *h = arg;
	struct h2_stream *s = h2_find(h, (uint32_t)frame->hd.stream_id);
	bool is_unseen = error == NGHTTP2_ERR_START_STREAM_NOT_ALLOWED;
	bool is_request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;

	(void)session;
	if (s == NULL || frame->hd.type != NGHTTP2_HEADERS || s->is_closed)
		return 0;
	h2_push_reset(h, s, is_unseen ? REASON_RESET : REASON_INTERNAL,
	    is_unseen ? NGHTTP2_REFUSED_STREAM : NGHTTP2_INTERNAL_ERROR, nghttp2_strerror(error));
	if (is_request) { /* nobody has heard of the stream */
		s->is_closed = true;
		h->n_open--;
	} else {
		h2_submit_reset(h, s, NGHTTP2_INTERNAL_ERROR);
	}
	return 0;
}

void h2_writing_callbacks(nghttp2_session_callbacks *cb)
{
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
	nghttp2_session_callbacks_set_send_data_callback(cb, send_data_frame);
}
