/*
 * Frames on their way out: those that are passed on under another number, and our own. What cannot
 * be written yet waits, stream by stream; a stream of which too much waits is given up.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "rpc/head.h"
#include "rpc/tts.h"
#include "wire/thrift.h"

#define QUANTUM    (16u * 1024) /* what one stream writes before it is another's turn */
#define NODE_MAX   256u         /* a longer name is no name */
#define STACK_HEAD 2048u

/* ---- to the connection, or to what waits ---- */

/* Whoever waits goes first. */
static bool must_wait(const struct tts *c)
{
	return !list_is_empty(&c->waiting) || c->control.len || codec_is_full(c->codec);
}

/* Whole frames that belong to no queue of a stream. An honest peer reads them; the connection of
 * one that does not, and goes on to provoke them, is refused. */
static void put_control(struct tts *c, const struct slice *pieces, int n)
{
	if (!must_wait(c))
		codec_write(c->codec, pieces, n);
	else if (!c->is_overrun)
		c->is_overrun = !tts_queue_add(c, &c->control, pieces, n) ||
				c->control.len > CODEC_STREAM_QUEUE;
}

struct codec_reset tts_overload(void)
{
	struct codec_reset why = {
	    .reason = REASON_OVERLOAD, .code = (uint32_t)reason_ttstream_id(REASON_OVERLOAD)};

	snprintf(why.detail, sizeof why.detail, "more than %u bytes wait to be read on this stream",
	    CODEC_STREAM_QUEUE);
	return why;
}

/* A slow reader's stream is given up, and its owner told; its neighbours go on. */
static void overload(struct tts *c, struct tts_stream *s)
{
	struct codec_reset why = tts_overload();

	tts_give_up(c, s, &why);
	tts_quiet(c, s);
	if (s->owner == NULL) {
		tts_finish(c, s);
		return;
	}
	s->is_over = s->reset_due = true;
	tts_make_due(c, s);
}

/* Whole frames of a stream. False when it had to be given up; it may be gone then. */
static bool put(struct tts *c, struct tts_stream *s, const struct slice *pieces, int n)
{
	if (!must_wait(c)) {
		codec_write(c->codec, pieces, n);
		s->is_on_wire = true;
		return true;
	}
	if (!tts_queue_add(c, &s->queue, pieces, n)) {
		overload(c, s);
		return false;
	}
	if (list_is_empty(&s->waiting))
		list_push_back(&c->waiting, &s->waiting);
	return true;
}

static bool put_piece(struct tts *c, struct tts_stream *s, struct slice frame)
{
	return put(c, s, &frame, 1);
}

/* The trailer of a reply ends its stream in both directions, once it has been written. */
static void after_writing(struct tts *c, struct tts_stream *s)
{
	if (tts_is_upstream(c) || !s->end_sent || s->queue.len)
		return;
	if (s->room_due)
		s->is_over = true;
	else
		tts_finish(c, s);
}

static void pump_stream(struct tts *c, struct tts_stream *s)
{
	struct slice chunk = frame_queue_first(&s->queue, QUANTUM);

	codec_write(c->codec, &chunk, 1);
	s->is_on_wire = true;
	tts_queue_skip(c, &s->queue, chunk.len);
	if (s->queue.len)
		list_push_back(&c->waiting, &s->waiting);
	if (s->owner) {
		s->room_due = true;
		tts_make_due(c, s);
	}
	after_writing(c, s);
}

void tts_pump(struct codec *codec)
{
	struct tts *c = codec->state;

	while (c->control.len && !codec_is_full(codec)) {
		struct slice chunk = frame_queue_first(&c->control, QUANTUM);

		codec_write(codec, &chunk, 1);
		tts_queue_skip(c, &c->control, chunk.len);
	}
	while (!list_is_empty(&c->waiting) && !codec_is_full(codec))
		pump_stream(c, list_item(list_pop_front(&c->waiting), struct tts_stream, waiting));
}

/* ---- our own frames ---- */

struct slice tts_own_frame(uint8_t *room, const struct ttstream_own *own)
{
	struct writer w = writer_of(room, TTS_OWN_MAX);

	ttstream_write(&w, own);
	return writer_slice(&w);
}

/* A header or trailer that says nothing. */
static struct slice bare_frame(uint8_t *room, const struct tts_stream *s, enum ttstream_type type)
{
	struct ttstream_own own = {.type = type, .stream = s->id, .method = s->method};

	return tts_own_frame(room, &own);
}

/* A trailer with the exception that tells @why. */
static struct slice failed_trailer(
    uint8_t *room, uint32_t id, struct slice method, const struct rpc_status *why)
{
	char text[RPC_STATUS_TEXT_MAX];
	struct ttstream_own own = {.type = TTSTREAM_TRAILER,
	    .stream = id,
	    .method = method,
	    .has_exception = true,
	    .exception =
		why->has_exception_id ? why->exception_id : reason_ttstream_id(why->reason)};

	own.text = slice_of(text, rpc_status_text(why, text, sizeof text));
	return tts_own_frame(room, &own);
}

void tts_refuse(
    struct tts *c, uint32_t id, struct slice method, enum reason reason, const char *detail)
{
	uint8_t header[TTS_OWN_MAX], trailer[TTS_OWN_MAX];
	struct ttstream_own own = {.type = TTSTREAM_HEADER, .stream = id};
	struct slice frames[2];
	struct rpc_status why;

	if (method.len <= THRIFT_METHOD_MAX)
		own.method = method;
	rpc_status_set(&why, reason, "%s", detail);
	frames[0] = tts_own_frame(header, &own);
	frames[1] = failed_trailer(trailer, id, own.method, &why);
	put_control(c, frames, 2);
}

/* A reply's header frame comes before anything else of it. False as put(). */
static bool put_header_first(struct tts *c, struct tts_stream *s)
{
	uint8_t room[TTS_OWN_MAX];

	if (tts_is_upstream(c) || s->header_sent)
		return true;
	s->header_sent = true;
	return put_piece(c, s, bare_frame(room, s, TTSTREAM_HEADER));
}

/* ---- passing on ---- */

/* A frame under another number, in pieces. */
struct renumbered {
	uint8_t fixed[TTSTREAM_SEQ_AT + 4];
	struct slice pieces[3];
};

/* @payload: what does not lie behind the header. */
static void renumber(struct renumbered *r, struct slice header, struct slice payload, uint32_t id)
{
	memcpy(r->fixed, header.data, TTSTREAM_SEQ_AT);
	store_u32(r->fixed + TTSTREAM_SEQ_AT, id);
	r->pieces[0] = slice_of(r->fixed, sizeof r->fixed);
	r->pieces[1] = slice_from(header, sizeof r->fixed);
	r->pieces[2] = payload;
}

/* The head goes as that of a unary message would: its sections are the same, and so are the changes
 * to them. False when it has no room, and nothing was written. */
static bool put_head(
    struct tts *c, struct tts_stream *s, const struct rpc_message *m, const struct rpc_edit *edit)
{
	struct rpc_message as_unary = *m;
	struct rpc_edit changes = {.form = {RPC_TTHEADER, RPC_THRIFT, false},
	    .rip = edit->rip,
	    .strip_crrst = edit->strip_crrst,
	    .changes = edit->changes,
	    .n_changes = edit->n_changes,
	    .retry = edit->retry};
	uint8_t small[STACK_HEAD], *room = small;
	struct renumbered r;
	struct writer w;
	size_t bound;
	bool fits;

	as_unary.form = changes.form;
	as_unary.transport_seq = (int32_t)s->id;
	as_unary.body_len = 0; /* what payload it has lies in the head */
	if (!head_is_changed(&as_unary, &changes)) {
		renumber(&r, m->head, SLICE_NONE, s->id);
		put(c, s, r.pieces, 2);
		return true;
	}
	bound = head_write_bound(&as_unary, &changes);
	if (bound > sizeof small)
		room = malloc(bound);
	w = writer_of(room, room ? bound : 0);
	head_write(&w, &as_unary, &changes);
	fits = !w.bad;
	if (fits)
		put_piece(c, s, writer_slice(&w));
	if (room != small)
		free(room);
	return fits;
}

bool tts_send_message(
    struct codec *codec, uint32_t id, const struct rpc_message *m, struct rpc_edit *edit)
{
	struct tts *c = codec->state;
	struct tts_stream *s = tts_find_open(c, id);

	if (s == NULL || s->header_sent)
		return true; /* it is over: its owner knows, or is about to be told */
	if (m->form.transport == RPC_TTSTREAM) {
		tts_keep_method(s, m->method);
		s->header_sent = true;
		if (put_head(c, s, m, edit))
			return true;
		s->header_sent = false;
	}
	if (tts_is_upstream(c))
		tts_finish(c, s);
	return false;
}

/* False as put(). */
static bool put_data(struct tts *c, struct tts_stream *s, struct slice frame)
{
	struct renumbered r;

	if (s->queue.len && s->queue.len + frame.len > CODEC_STREAM_QUEUE) {
		overload(c, s);
		return false;
	}
	renumber(&r, frame, SLICE_NONE, s->id);
	return put(c, s, r.pieces, 2);
}

static void put_end(struct tts *c, struct tts_stream *s, const struct rpc_message *trailers)
{
	uint8_t room[TTS_OWN_MAX];
	struct renumbered r;
	bool ok;

	if (!put_header_first(c, s))
		return;
	s->end_sent = true;
	if (trailers) {
		renumber(&r, trailers->head, trailers->body, s->id);
		ok = put(c, s, r.pieces, 3);
	} else {
		ok = put_piece(c, s, bare_frame(room, s, TTSTREAM_TRAILER));
	}
	if (ok)
		after_writing(c, s);
}

void tts_send_end(struct codec *codec, uint32_t id, const struct rpc_message *trailers)
{
	struct tts *c = codec->state;
	struct tts_stream *s = tts_find_open(c, id);

	if (s)
		put_end(c, s, trailers);
}

void tts_send_data(struct codec *codec, uint32_t id, struct slice data, bool last)
{
	struct tts *c = codec->state;
	struct tts_stream *s = tts_find_open(c, id);

	if (s == NULL || !put_header_first(c, s))
		return;
	while (data.len) {
		size_t len = (size_t)ttstream_frame_len(data);

		assert(len > TTHEADER_FIXED && len <= data.len); /* they come from a codec */
		if (!put_data(c, s, slice_first(data, len)))
			return;
		data = slice_from(data, len);
	}
	if (last)
		put_end(c, s, NULL);
}

/* ---- giving up ---- */

static void put_rst(struct tts *c, const struct tts_stream *s, const struct codec_reset *why)
{
	struct slice node = c->codec->limits.node;
	char text[RPC_STATUS_TEXT_MAX];
	uint8_t room[TTS_OWN_MAX];
	struct ttstream_own own = {.type = TTSTREAM_RST,
	    .stream = s->id,
	    .method = s->method,
	    .path = node.len <= NODE_MAX ? node : SLICE_NONE,
	    .has_exception = true,
	    .exception = (int32_t)why->code};
	struct rpc_status status;
	struct slice frame;

	rpc_status_set(&status, why->reason, "%s", why->detail);
	own.text = slice_of(text, rpc_status_text(&status, text, sizeof text));
	frame = tts_own_frame(room, &own);
	put_control(c, &frame, 1);
}

/* A reset that is passed on tells in its path that it came through here. False when @frame is
 * none. */
static bool put_passed_rst(struct tts *c, uint32_t id, struct slice frame)
{
	struct slice node = c->codec->limits.node, header;
	struct ttstream_frame rst;
	struct wire_note note;
	struct renumbered r;
	struct writer w;
	uint8_t *room;
	size_t bound;

	if (ttstream_read(frame, SIZE_MAX, SIZE_MAX, &rst, &note) != WIRE_OK)
		return false;
	header = slice_first(rst.bytes, rst.bytes.len - rst.payload.len);
	bound = header.len + node.len + 16; /* a section, padding */
	room = node.len && node.len <= NODE_MAX ? malloc(bound) : NULL;
	w = writer_of(room, room ? bound : 0);
	if (room && ttstream_extend_path(&w, &rst, node))
		header = writer_slice(&w);
	renumber(&r, header, rst.payload, id);
	put_control(c, r.pieces, 3);
	free(room);
	return true;
}

void tts_give_up(struct tts *c, struct tts_stream *s, const struct codec_reset *why)
{
	bool is_ended = s->end_sent && s->queue.len == 0;
	uint8_t room[TTS_OWN_MAX];
	struct slice trailer;

	tts_queue_drop(c, &s->queue);
	list_remove(&s->waiting);
	if (tts_is_upstream(c) && !s->is_on_wire)
		return;
	if (!why->is_passed_on || !put_passed_rst(c, s->id, why->frame))
		put_rst(c, s, why);
	if (!tts_is_upstream(c) || is_ended)
		return;
	/* As Kitex's clients do, for servers that know no resets.
	 * Source: kitex pkg/remote/trans/ttstream/stream_client.go. */
	trailer = bare_frame(room, s, TTSTREAM_TRAILER);
	put_control(c, &trailer, 1);
}

void tts_reset(struct codec *codec, uint32_t id, const struct codec_reset *why)
{
	struct tts *c = codec->state;
	struct tts_stream *s = tts_find(c, id);
	struct codec_reset known = *why;

	if (s == NULL)
		return;
	if (why->reason == REASON_OK) /* the rest interests nobody: there is no milder word */
		known.reason = REASON_CANCELED;
	if (!why->is_passed_on || why->code == 0)
		known.code = (uint32_t)reason_ttstream_id(known.reason);
	if (!s->is_over) /* else the other side knows */
		tts_give_up(c, s, &known);
	tts_finish(c, s);
}

/* A stream whose end waits to be written cannot be told more: what waits is given up. */
static void end_stuck(struct codec *codec, const struct tts_stream *s, const struct rpc_status *why)
{
	struct codec_reset reset = {.reason = why->reason};

	if (s == NULL || s->queue.len == 0)
		return;
	snprintf(reset.detail, sizeof reset.detail, "%.127s", why->detail);
	tts_reset(codec, s->id, &reset);
}

void tts_send_failure(struct codec *codec, uint32_t id, const struct rpc_message *call,
    const struct rpc_status *why, bool closing)
{
	struct tts *c = codec->state;
	struct tts_stream *s = tts_find_open(c, id);
	uint8_t room[TTS_OWN_MAX];

	(void)call;    /* the stream knows what it is called */
	(void)closing; /* the protocol has no word for it */
	if (s == NULL) {
		end_stuck(codec, tts_find(c, id), why);
		return;
	}
	if (!put_header_first(c, s))
		return;
	s->end_sent = true;
	if (put_piece(c, s, failed_trailer(room, id, s->method, why)))
		after_writing(c, s);
}
