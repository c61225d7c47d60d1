/*
 * The codec of TTHeader Streaming: many streams on one connection, each a header frame, data frames
 * and a trailer frame in both directions. Frames are read whole and given out whole; one that is
 * passed on gets another stream number and keeps every other byte. The protocol has no flow control
 * and no way to refuse streams beforehand, so what a slow reader leaves behind waits here, up to a
 * limit, stream by stream.
 *
 *     caller's side:    open --header--> --data*--> --trailer--> half closed
 *     endpoint's side:  open --header--> --data*--> --trailer--> over, both ways
 *     either side, any time: --rst--> over
 *
 * Frames of streams that are over, or never began, are ignored, as Kitex ignores them. Stream 0 is
 * the connection itself, for which the protocol has no frames yet.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/head.h"
#include "rpc/tts.h"
#include "wire/sniff.h"
#include "wire/thrift.h"

#define CAPACITY  10000u       /* streams at once on a connection to an endpoint */
#define EARLY_MAX (16u * 1024) /* frames that may come before a reply's header */

static void *ttstream_open(struct codec *codec)
{
	struct tts *c = mem_calloc(1, sizeof *c);

	tts_init(c, codec);
	return c;
}

static void ttstream_close(void *state)
{
	tts_fini(state);
	free(state);
}

/* ---- numbers and owners ---- */

static size_t ttstream_pending(const struct codec *codec, uint32_t id)
{
	const struct tts_stream *s = tts_find(codec->state, id);

	return s ? s->queue.len : 0;
}

static unsigned ttstream_capacity(const struct codec *codec)
{
	const struct tts *c = codec->state;

	return c->streams.used < CAPACITY ? (unsigned)(CAPACITY - c->streams.used) : 0;
}

static uint32_t ttstream_begin(struct codec *codec, void *owner)
{
	struct tts *c = codec->state;

	do {
		c->last_id++;
	} while (c->last_id == 0 || tts_find(c, c->last_id));
	tts_open(c, c->last_id, owner);
	return c->last_id;
}

static void ttstream_own(struct codec *codec, uint32_t id, void *owner)
{
	struct tts *c = codec->state;
	struct tts_stream *s = tts_find(c, id);

	if (s == NULL)
		return;
	s->owner = owner;
	if (owner)
		return;
	tts_queue_drop(c, &s->early);
	list_remove(&s->due);
	s->room_due = false;
	if (s->is_over)
		tts_finish(c, s);
}

/* ---- reading ---- */

static enum codec_event refuse(
    struct tts *c, struct codec_item *item, enum reason reason, const char *why)
{
	c->is_dead = true;
	rpc_status_set(&item->why, reason, "%s", why);
	return CODEC_REFUSED;
}

static void fill_message(
    const struct ttstream_frame *f, enum rpc_kind kind, struct codec_item *item)
{
	struct rpc_message *m = &item->message;
	size_t payload_at = f->bytes.len - f->payload.len;
	const char *why;

	*m = (struct rpc_message){.form = {RPC_TTSTREAM, RPC_THRIFT, false},
	    .kind = kind,
	    .seq = (int32_t)f->stream,
	    .transport_seq = (int32_t)f->stream,
	    .flags = f->flags,
	    .method = f->method,
	    .status = RPC_STATUS_NONE,
	    .head = f->bytes,
	    .sections = f->sections,
	    .payload_at = payload_at,
	    .message_at = payload_at,
	    .body_len = RPC_LENGTH_UNKNOWN};
	head_note(m, ttheader_entries(f->sections), &why); /* walked before: it cannot fail */
	m->timeout = USEC_NONE;                            /* streams state none */
	item->has_message = true;
}

/* Of a stream without an owner nothing is given out. */
static enum codec_event give(
    const struct tts_stream *s, enum codec_event event, struct codec_item *item)
{
	item->id = s->id;
	item->owner = s->owner;
	return s->owner ? event : CODEC_MORE;
}

/* The other side broke the rules of a stream: that one ends, the connection goes on. */
static enum codec_event break_stream(
    struct tts *c, struct tts_stream *s, struct codec_item *item, const char *why)
{
	enum codec_event event = give(s, CODEC_RESET, item);

	item->reset =
	    (struct codec_reset){.reason = tts_is_upstream(c) ? REASON_BAD_REPLY : REASON_MALFORMED,
		.code = TTSTREAM_CODE_ILLEGAL_FRAME};
	snprintf(item->reset.detail, sizeof item->reset.detail, "%s", why);
	tts_give_up(c, s, &item->reset);
	tts_finish(c, s);
	return event;
}

/* A frame of a stream that is not there: only a caller's header means anything. */
static enum codec_event take_unknown(
    struct tts *c, const struct ttstream_frame *f, struct codec_item *item)
{
	struct tts_stream *s;

	if (tts_is_upstream(c) || f->type != TTSTREAM_HEADER)
		return CODEC_MORE;
	if (f->method.len == 0 || f->method.len > THRIFT_METHOD_MAX) {
		tts_refuse(c, f->stream, f->method, REASON_MALFORMED,
		    f->method.len ? "the method's name is too long" : "a stream without a method");
		return CODEC_MORE;
	}
	if (c->streams.used >= c->codec->limits.in_flight) {
		tts_refuse(c, f->stream, f->method, REASON_CONCURRENCY_LIMITED,
		    "too many streams on this connection (in_flight)");
		return CODEC_MORE;
	}
	s = tts_open(c, f->stream, NULL);
	s->has_begun = true;
	tts_keep_method(s, f->method);
	fill_message(f, RPC_CALL, item);
	item->id = s->id;
	return CODEC_MESSAGE;
}

static enum codec_event take_header(
    struct tts *c, struct tts_stream *s, const struct ttstream_frame *f, struct codec_item *item)
{
	if (s->has_begun)
		return break_stream(c, s, item, "a second header frame");
	s->has_begun = true;
	if (s->early.len)
		tts_make_due(c, s);
	if (s->owner)
		fill_message(f, RPC_REPLY, item);
	return give(s, CODEC_MESSAGE, item);
}

/* The reply begins without its header: it gets an empty one, and the frame is looked at again. */
static enum codec_event make_header(
    struct tts *c, struct tts_stream *s, struct codec_item *item, bool *stays)
{
	struct ttstream_own own = {.type = TTSTREAM_HEADER, .stream = s->id, .method = s->method};
	struct ttstream_frame header;
	struct wire_note note;

	*stays = true;
	c->made = mem_alloc(TTS_OWN_MAX);
	/* Ours: it can be read. */
	ttstream_read(tts_own_frame(c->made, &own), SIZE_MAX, SIZE_MAX, &header, &note);
	return take_header(c, s, &header, item);
}

/* What may come before the header of a reply is kept until that has been given out. */
static enum codec_event keep_early(
    struct tts *c, struct tts_stream *s, const struct ttstream_frame *f, struct codec_item *item)
{
	if (s->owner == NULL)
		return CODEC_MORE;
	if (s->early.len + f->bytes.len > EARLY_MAX || !tts_queue_add(c, &s->early, &f->bytes, 1))
		return break_stream(c, s, item, "too much before the header frame");
	return CODEC_MORE;
}

static enum codec_event give_data(
    struct tts_stream *s, const struct ttstream_frame *f, struct codec_item *item)
{
	bool is_message = f->type == TTSTREAM_DATA;

	item->data = f->bytes;
	item->last = false;
	item->n_messages = is_message;
	item->message_bytes = is_message ? f->payload.len : 0;
	return give(s, CODEC_DATA, item);
}

static enum codec_event take_trailer(
    struct tts *c, struct tts_stream *s, const struct ttstream_frame *f, struct codec_item *item)
{
	struct rpc_message *m = &item->message;
	enum codec_event event = give(s, CODEC_END, item);
	int32_t exception;

	s->has_ended = true;
	if (event == CODEC_END) {
		fill_message(f, RPC_TRAILERS, item);
		m->head = slice_first(f->bytes, m->payload_at);
		m->body = f->payload;
		m->body_len = f->payload.len;
		m->complete = true;
		m->status = 0;
		if (ttstream_exception_read(f->payload, &m->status_text, &exception))
			m->status = exception;
		else if (f->payload.len)
			m->status = TTSTREAM_CODE_RST;
	}
	if (tts_is_upstream(c))
		tts_finish(c, s);
	return event;
}

static enum codec_event take_rst(
    struct tts *c, struct tts_stream *s, const struct ttstream_frame *f, struct codec_item *item)
{
	enum codec_event event = give(s, CODEC_RESET, item);
	struct slice text = SLICE_LIT("rst");
	int32_t exception = TTSTREAM_CODE_RST;

	ttstream_exception_read(f->payload, &text, &exception);
	item->reset =
	    (struct codec_reset){.reason = tts_is_upstream(c) ? REASON_RESET : REASON_CANCELED,
		.is_passed_on = true,
		.code = (uint32_t)exception,
		.frame = f->bytes};
	snprintf(item->reset.detail, sizeof item->reset.detail, "%d: %.*s", (int)exception,
	    (int)(text.len < sizeof item->reset.detail ? text.len : sizeof item->reset.detail),
	    (const char *)text.data);
	tts_finish(c, s);
	return event;
}

/* CODEC_MORE: there is nothing to tell. *@stays: the frame is to be looked at again. */
static enum codec_event take_frame(
    struct tts *c, const struct ttstream_frame *f, struct codec_item *item, bool *stays)
{
	struct tts_stream *s = f->stream ? tts_find(c, f->stream) : NULL;

	if (f->stream == 0)
		return CODEC_MORE;
	if (s == NULL)
		return take_unknown(c, f, item);
	if (f->type == TTSTREAM_HEADER)
		return take_header(c, s, f, item);
	if (f->type == TTSTREAM_RST)
		return take_rst(c, s, f, item);
	if (s->has_ended || (s->end_sent && !tts_is_upstream(c)))
		return CODEC_MORE;
	if (!s->has_begun && f->type != TTSTREAM_DATA && f->type != TTSTREAM_TRAILER)
		return keep_early(c, s, f, item);
	if (!s->has_begun && s->owner)
		return make_header(c, s, item, stays);
	return f->type == TTSTREAM_TRAILER ? take_trailer(c, s, f, item) : give_data(s, f, item);
}

/* A frame out of @view, which is what is held or the input. CODEC_MORE: nothing to tell, *@used
 * bytes are done with; none when more are needed. */
static enum codec_event read_frame(
    struct tts *c, struct slice view, struct codec_item *item, size_t *used)
{
	const struct codec_limits *limits = &c->codec->limits;
	struct ttstream_frame f;
	struct wire_note note;
	bool stays = false;
	enum codec_event event;

	switch (ttstream_read(view, limits->max_header, limits->max_message, &f, &note)) {
	case WIRE_OK:
		break;
	case WIRE_MORE:
		c->want = note.need;
		return CODEC_MORE;
	case WIRE_BAD:
		return refuse(c, item, REASON_MALFORMED, note.why);
	case WIRE_TOO_LARGE:
		return refuse(c, item, REASON_TOO_LARGE, note.why);
	}
	event = take_frame(c, &f, item, &stays);
	*used = stays ? 0 : f.bytes.len;
	return event;
}

/* Joins what is held with just as much input as the next look needs. False when memory is gone. */
static bool join(struct tts *c, struct slice *in)
{
	struct slice piece = slice_first(*in, c->want - c->held.len);

	if (piece.len && !frame_queue_add(&c->held, &piece, 1))
		return false;
	*in = slice_from(*in, piece.len);
	return true;
}

static enum codec_event next_held(struct tts *c, struct slice *in, struct codec_item *item)
{
	enum codec_event event = CODEC_MORE;
	size_t used = 0;

	while (event == CODEC_MORE && used == 0) {
		if (!join(c, in))
			return refuse(c, item, REASON_OVERLOAD, "no memory for the frame");
		if (c->held.len < c->want)
			return CODEC_MORE;
		event = read_frame(c, slice_of(c->held.bytes, c->held.len), item, &used);
	}
	c->held_is_out = used > 0;
	return event;
}

static void drop_held(struct tts *c)
{
	frame_queue_fini(&c->held);
	c->held_is_out = false;
}

static enum codec_event next_frame(struct tts *c, struct slice *in, struct codec_item *item)
{
	enum codec_event event = CODEC_MORE;

	while (c->held.len || in->len) {
		size_t used = 0;

		if (c->held.len) {
			event = next_held(c, in, item);
			if (event != CODEC_MORE || !c->held_is_out)
				return event;
			drop_held(c);
			continue;
		}
		event = read_frame(c, *in, item, &used);
		*in = slice_from(*in, used);
		if (event != CODEC_MORE)
			return event;
		if (used == 0 && !join(c, in))
			return refuse(c, item, REASON_OVERLOAD, "no memory for the frame");
	}
	return event;
}

/* A frame that came before the header of its reply, which is out now. */
static enum codec_event give_early(struct tts *c, struct tts_stream *s, struct codec_item *item)
{
	struct slice first = frame_queue_first(&s->early, 0);
	struct ttstream_frame f;
	struct wire_note note;

	c->made = mem_alloc(first.len);
	memcpy(c->made, first.data, first.len);
	ttstream_read(
	    slice_of(c->made, first.len), SIZE_MAX, SIZE_MAX, &f, &note); /* it was before */
	tts_queue_skip(c, &s->early, first.len);
	return give_data(s, &f, item);
}

static enum codec_event give_overload(struct tts *c, struct tts_stream *s, struct codec_item *item)
{
	enum codec_event event = give(s, CODEC_RESET, item);

	item->reset = tts_overload();
	tts_finish(c, s);
	return event;
}

/* Events that need no input. */
static enum codec_event next_due(struct tts *c, struct codec_item *item)
{
	while (!list_is_empty(&c->due)) {
		struct tts_stream *s = list_item(c->due.next, struct tts_stream, due);

		if (s->reset_due)
			return give_overload(c, s, item);
		if (s->early.len && s->has_begun)
			return give_early(c, s, item);
		list_remove(&s->due);
		if (s->room_due) {
			enum codec_event event = give(s, CODEC_ROOM, item);

			s->room_due = false;
			if (s->is_over)
				tts_finish(c, s);
			return event;
		}
	}
	return CODEC_MORE;
}

static enum codec_event ttstream_next(
    struct codec *codec, struct slice *in, struct codec_item *item)
{
	struct tts *c = codec->state;
	enum codec_event event;

	if (c->held_is_out)
		drop_held(c);
	free(c->made);
	c->made = NULL;
	if (c->is_dead) {
		*in = slice_from(*in, in->len);
		return CODEC_MORE;
	}
	event = next_due(c, item);
	if (event != CODEC_MORE)
		return event;
	if (c->is_overrun)
		return refuse(c, item, REASON_OVERLOAD, "answers that are not read pile up");
	return next_frame(c, in, item);
}

static bool ttstream_is_idle(const struct codec *codec)
{
	const struct tts *c = codec->state;

	return c->held.len == 0 || c->held_is_out;
}

static bool ttstream_has_detected(const struct codec *codec)
{
	const struct tts *c = codec->state;

	return c->held.len >= SNIFF_BYTES && !c->held_is_out;
}

static size_t ttstream_held(const struct codec *codec)
{
	const struct tts *c = codec->state;

	return c->held.size + c->queued;
}

const struct codec_ops codec_ttstream_ops = {
    .open = ttstream_open,
    .close = ttstream_close,
    .next = ttstream_next,
    .is_idle = ttstream_is_idle,
    .has_detected = ttstream_has_detected,
    .held = ttstream_held,
    .send_message = tts_send_message,
    .send_data = tts_send_data,
    .send_failure = tts_send_failure,
    .capacity = ttstream_capacity,
    .begin = ttstream_begin,
    .own = ttstream_own,
    .send_end = tts_send_end,
    .reset = tts_reset,
    .pending = ttstream_pending,
    .pump = tts_pump,
};
