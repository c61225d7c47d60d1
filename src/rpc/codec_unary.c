/*
 * The codec of every unary protocol: Buffered and Framed Thrift, TTHeader in both forms, Kitex
 * Protobuf, and the mesh header on input. Kitex decides for each message anew what it is, and so
 * does this: a connection may carry a TTHeader call and then a Framed one.
 *
 *     AT_HEAD --whole message--> AT_HEAD
 *     AT_HEAD --long message--> IN_BODY --last byte--> AT_HEAD
 *     any --a byte that cannot be--> DEAD
 *
 * Input that makes no whole message yet is held, and only that: an idle codec has no buffer.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/codec_ops.h"
#include "rpc/exception.h"
#include "rpc/head.h"
#include "wire/sniff.h"
#include "wire/thrift.h"
#include "wire/ttheader.h"

#define HELD_MIN   512u
#define STACK_HEAD 2048u

enum codec_state { AT_HEAD, IN_BODY, DEAD };

struct unary {
	struct codec *codec; /* whose state this is: borrowed */
	enum codec_state state;
	bool has_detected; /* the message that is coming in is of a known kind */
	bool is_thrift;    /* IN_BODY: the body is walked */
	bool held_is_out;  /* the last event's views lie in what is held */

	uint64_t left; /* IN_BODY: of the body, or RPC_LENGTH_UNKNOWN */
	uint64_t seen; /* bytes of the present message so far, while its length is unknown */
	struct thrift_walk *walk; /* owned; of a body that is walked in pieces */
	size_t walked; /* AT_HEAD: bytes of a held body of unknown length that were walked */

	uint8_t *held; /* owned; the beginning of a message */
	size_t held_len, held_size;
	size_t want; /* bytes to hold before it is worth another look; 0: any more will do */
};

static void *unary_open(struct codec *codec)
{
	struct unary *c = mem_calloc(1, sizeof *c);

	c->codec = codec;
	return c;
}

static void drop_held(struct unary *c)
{
	free(c->held);
	c->held = NULL;
	c->held_len = c->held_size = c->want = 0;
	c->held_is_out = false;
}

static void drop_walk(struct unary *c)
{
	free(c->walk);
	c->walk = NULL;
	c->walked = 0;
}

static void unary_close(void *state)
{
	struct unary *c = state;

	drop_held(c);
	drop_walk(c);
	free(c);
}

static bool unary_is_idle(const struct codec *codec)
{
	const struct unary *c = codec->state;

	return c->state == AT_HEAD && (c->held_len == 0 || c->held_is_out);
}

static bool unary_has_detected(const struct codec *codec)
{
	const struct unary *c = codec->state;

	return c->has_detected;
}

static size_t unary_held(const struct codec *codec)
{
	const struct unary *c = codec->state;

	return c->held_size;
}

static enum codec_event refuse(
    struct unary *c, struct codec_item *item, enum reason reason, const char *why)
{
	c->state = DEAD;
	rpc_status_set(&item->why, reason, "%s", why);
	return CODEC_REFUSED;
}

/* Moves up to @len bytes from the input into what is held. False when memory is gone. */
static bool hold(struct unary *c, struct slice *in, size_t len)
{
	len = len < in->len ? len : in->len;
	if (c->held_size - c->held_len < len) {
		size_t size = c->held_size ? c->held_size : HELD_MIN;
		uint8_t *bigger;

		while (size - c->held_len < len)
			size *= 2;
		bigger = realloc(c->held, size);
		if (bigger == NULL)
			return false;
		c->held = bigger;
		c->held_size = size;
	}
	memcpy(c->held + c->held_len, in->data, len);
	c->held_len += len;
	*in = slice_from(*in, len);
	return true;
}

/* The walk goes on in another piece: most end in their first and need no memory. */
static void keep_walk(struct unary *c, const struct thrift_walk *walk)
{
	c->walk = mem_alloc(sizeof *c->walk);
	*c->walk = *walk;
}

static const char *why_inexact(enum wire_result result, const struct wire_note *note)
{
	return result == WIRE_BAD ? note->why : "the struct does not end where its frame does";
}

/* Does the struct end exactly where the body does? */
static bool body_is_exact(const struct rpc_message *m, const char **why)
{
	struct thrift_walk walk;
	struct wire_note note;
	size_t used;
	enum wire_result result;

	if (m->form.payload == RPC_KITEXPB)
		return true;
	thrift_walk_init(&walk);
	result = thrift_walk(&walk, m->body, &used, &note);
	if (result == WIRE_OK && used == m->body.len)
		return true;
	*why = why_inexact(result, &note);
	return false;
}

static enum codec_event give(
    struct unary *c, struct codec_item *item, size_t body_len, bool complete)
{
	item->has_message = true;
	item->message.complete = complete;
	item->message.body.len = body_len;
	if (complete)
		item->message.body_len = body_len;
	c->state = complete ? AT_HEAD : IN_BODY;
	c->is_thrift = item->message.form.payload == RPC_THRIFT;
	c->has_detected = !complete;
	c->codec->is_unordered = rpc_message_is_unordered(&item->message);
	return CODEC_MESSAGE;
}

/* A long body begins: what is here of it is walked and given out with the head. */
static enum codec_event begin_long(struct unary *c, struct codec_item *item)
{
	struct rpc_message *m = &item->message;
	struct thrift_walk walk;
	struct wire_note note;
	enum wire_result result;
	size_t used;

	c->left = m->body_len - m->body.len;
	if (m->form.payload == RPC_THRIFT) {
		thrift_walk_init(&walk);
		result = thrift_walk(&walk, m->body, &used, &note);
		if (result != WIRE_MORE)
			return refuse(c, item, REASON_MALFORMED, why_inexact(result, &note));
		keep_walk(c, &walk);
	}
	return give(c, item, m->body.len, false);
}

/*
 * A Buffered message says nowhere how long it is; its end is found by walking, and never looked for
 * past max_message. @new_bytes is what of the body has not been walked yet. Sets *@used to how much
 * of it belongs to the message.
 */
static enum codec_event find_end(struct unary *c, struct slice new_bytes, struct codec_item *item,
    size_t body_before, size_t *used)
{
	uint64_t before = (uint64_t)item->message.head.len + body_before;
	uint64_t room =
	    before < c->codec->limits.max_message ? c->codec->limits.max_message - before : 0;
	struct thrift_walk fresh, *walk = c->walk;
	struct wire_note note;
	enum wire_result result;

	if (walk == NULL) {
		walk = &fresh;
		thrift_walk_init(walk);
	}
	result = thrift_walk(walk, slice_first(new_bytes, room), used, &note);
	if (result == WIRE_BAD)
		return refuse(c, item, REASON_MALFORMED, note.why);
	if (result == WIRE_OK) {
		drop_walk(c);
		return give(c, item, body_before + *used, true);
	}
	if (new_bytes.len > room)
		return refuse(c, item, REASON_TOO_LARGE, "message longer than max_message");
	if (walk == &fresh)
		keep_walk(c, walk);
	c->walked = body_before + *used;
	if (c->walked <= CODEC_RELAY_ABOVE)
		return CODEC_MORE;
	c->left = RPC_LENGTH_UNKNOWN;
	c->seen = item->message.head.len + c->walked;
	return give(c, item, c->walked, false);
}

/*
 * Tries to read a message from the start of @view. CODEC_MORE: *@need bytes are wanted in all, 0
 * when any will do. Otherwise *@used says how much of the view the event took.
 */
static enum codec_event read_message(
    struct unary *c, struct slice view, struct codec_item *item, size_t *need, size_t *used)
{
	struct rpc_message *m = &item->message;
	struct head_refusal refusal;
	const char *why;

	switch (head_read(c->codec->side, &c->codec->limits, view, m, need, &refusal)) {
	case WIRE_OK:
		break;
	case WIRE_MORE:
		c->has_detected = view.len >= SNIFF_BYTES;
		return CODEC_MORE;
	case WIRE_BAD:
	case WIRE_TOO_LARGE:
		item->has_message = refusal.has_message;
		return refuse(c, item, refusal.reason, refusal.why);
	}
	c->has_detected = true;
	item->has_message = true;
	m->body = slice_from(view, m->head.len);
	if (m->body_len == RPC_LENGTH_UNKNOWN) {
		size_t walked = c->walked, got = 0;
		enum codec_event event =
		    find_end(c, slice_from(m->body, walked), item, walked, &got);

		*need = 0;
		*used = m->head.len + walked + got;
		return event;
	}
	m->body = slice_first(m->body, m->body_len);
	*used = m->head.len + m->body.len;
	if (m->body.len < m->body_len) {
		*need = m->head.len + m->body_len;
		return m->body_len > CODEC_RELAY_ABOVE ? begin_long(c, item) : CODEC_MORE;
	}
	if (!body_is_exact(m, &why))
		return refuse(c, item, REASON_MALFORMED, why);
	return give(c, item, m->body.len, true);
}

/*
 * Gives the message out of what is held. Behind a message of unknown length there may be bytes that
 * were held too: they came out of this very input, so it is simply moved back over them.
 */
static void unhold_rest(struct unary *c, struct slice *in, size_t used)
{
	size_t rest = c->held_len - used;

	in->data -= rest;
	in->len += rest;
	c->held_len = used;
	c->held_is_out = true;
}

/*
 * Joins what is held with just as much input as the next look needs. False when memory is gone;
 * CODEC_MORE in *@event when there is still too little.
 */
static bool join(struct unary *c, struct slice *in, enum codec_event *event)
{
	size_t before = c->held_len;

	if (!hold(c, in, c->want > before ? c->want - before : in->len))
		return false;
	*event = c->held_len == before || c->held_len < c->want ? CODEC_MORE : CODEC_MESSAGE;
	return true;
}

/* The view is what is held, or the input itself while nothing is. */
static enum codec_event next_message(struct unary *c, struct slice *in, struct codec_item *item)
{
	for (;;) {
		bool is_held = c->held_len > 0;
		struct slice view = *in;
		size_t used = 0;
		enum codec_event event = CODEC_MESSAGE;

		if (is_held && !join(c, in, &event))
			return refuse(c, item, REASON_OVERLOAD, "no memory for the message");
		if (event == CODEC_MORE || view.len == 0)
			return CODEC_MORE;
		if (is_held)
			view = slice_of(c->held, c->held_len);
		event = read_message(c, view, item, &c->want, &used);
		if (event == CODEC_REFUSED)
			return event;
		if (event == CODEC_MESSAGE) {
			if (is_held)
				unhold_rest(c, in, used);
			else
				*in = slice_from(*in, used);
			return event;
		}
		if (!is_held && !hold(c, in, in->len))
			return refuse(c, item, REASON_OVERLOAD, "no memory for the message");
	}
}

/* Walks what has come of a long body: *@used bytes of @piece belong to it, *@is_last: no more
 * do. */
static enum codec_event walk_data(
    struct unary *c, struct slice piece, struct codec_item *item, size_t *used, bool *is_last)
{
	bool is_measured = c->left != RPC_LENGTH_UNKNOWN;
	struct wire_note note;
	enum wire_result result = thrift_walk(c->walk, piece, used, &note);

	if (result == WIRE_BAD ||
	    (is_measured && (*is_last != (result == WIRE_OK) || *used != piece.len)))
		return refuse(c, item, REASON_MALFORMED, why_inexact(result, &note));
	*is_last = result == WIRE_OK;
	return CODEC_DATA;
}

static enum codec_event next_data(struct unary *c, struct slice *in, struct codec_item *item)
{
	bool is_measured = c->left != RPC_LENGTH_UNKNOWN;
	uint64_t room = is_measured ? c->left : c->codec->limits.max_message - c->seen;
	struct slice piece = slice_first(*in, room);
	bool is_last = is_measured && piece.len == room;
	size_t used = piece.len;

	if (in->len == 0)
		return CODEC_MORE;
	if (c->is_thrift && walk_data(c, piece, item, &used, &is_last) == CODEC_REFUSED)
		return CODEC_REFUSED;
	if (!is_measured && !is_last && in->len > room)
		return refuse(c, item, REASON_TOO_LARGE, "message longer than max_message");
	if (is_measured)
		c->left -= used;
	else
		c->seen += used;
	item->data = slice_first(piece, used);
	item->last = is_last;
	*in = slice_from(*in, used);
	if (is_last) {
		drop_walk(c);
		c->state = AT_HEAD;
		c->has_detected = false;
	}
	return CODEC_DATA;
}

static enum codec_event unary_next(struct codec *codec, struct slice *in, struct codec_item *item)
{
	struct unary *c = codec->state;

	if (c->held_is_out)
		drop_held(c);
	switch (c->state) {
	case AT_HEAD:
		return next_message(c, in, item);
	case IN_BODY:
		return next_data(c, in, item);
	case DEAD:
		break;
	}
	*in = slice_from(*in, in->len);
	return CODEC_MORE;
}

/* The head in its new form, and the body behind it. */
static bool send_changed(struct codec *c, const struct rpc_message *m, struct rpc_edit *edit)
{
	uint8_t small[STACK_HEAD], *room = small;
	size_t bound = head_write_bound(m, edit);
	struct slice pieces[1 + BODY_PIECES];
	struct writer w;
	int n;

	if (bound > sizeof small)
		room = malloc(bound);
	w = writer_of(room, room ? bound : 0);
	head_write(&w, m, edit);
	pieces[0] = writer_slice(&w);
	n = 1 + head_body_pieces(m, edit, pieces + 1);
	if (!w.bad)
		codec_write(c, pieces, n);
	if (room != small)
		free(room);
	return !w.bad;
}

/* What gRPC said with a status becomes an exception, whose body is made here. */
static bool send_status(struct codec *c, const struct rpc_message *m, struct rpc_edit *edit)
{
	size_t size = m->status_text.len + EXCEPTION_EXTRA;
	uint8_t *room = malloc(size);
	struct writer w = writer_of(room, room ? size : 0);
	struct rpc_message whole = *m;
	bool is_sent = false;

	exception_write(&w, edit->form.payload, m->status_text, (int32_t)m->status);
	if (!w.bad) {
		whole.body = writer_slice(&w);
		whole.body_len = whole.body.len;
		is_sent = send_changed(c, &whole, edit);
	}
	free(room);
	return is_sent;
}

static bool unary_send_message(
    struct codec *c, uint32_t id, const struct rpc_message *m, struct rpc_edit *edit)
{
	struct slice pieces[2] = {m->head, m->body};

	(void)id;
	if (m->form.transport == RPC_HTTP2 && m->kind == RPC_EXCEPTION)
		return send_status(c, m, edit);
	if (head_is_changed(m, edit))
		return send_changed(c, m, edit);
	codec_write(c, pieces, 2);
	return true;
}

static void unary_send_data(struct codec *c, uint32_t id, struct slice data, bool last)
{
	(void)id;
	(void)last; /* its length said so already, or its struct has ended */
	codec_write(c, &data, 1);
}

void codec_send_exception(struct codec *c, const struct rpc_message *call, struct slice text,
    int exception_id, bool closing)
{
	uint8_t head[STACK_HEAD], body[STACK_HEAD];
	struct writer h = writer_of(head, sizeof head), b = writer_of(body, sizeof body);
	struct slice pieces[2];

	if (call->kind == RPC_ONEWAY)
		return;
	text = exception_cut(text, sizeof body - EXCEPTION_EXTRA);
	exception_write(&b, call->form.payload, text, exception_id);
	head_write_exception(&h, call, writer_len(&b), closing);
	pieces[0] = writer_slice(&h);
	pieces[1] = writer_slice(&b);
	codec_write(c, pieces, 2);
}

static void unary_send_failure(struct codec *c, uint32_t id, const struct rpc_message *call,
    const struct rpc_status *why, bool closing)
{
	char text[RPC_STATUS_TEXT_MAX];
	size_t len = rpc_status_text(why, text, sizeof text);
	int32_t type = why->has_exception_id ? why->exception_id : reason_exception_id(why->reason);

	(void)id;
	codec_send_exception(c, call, slice_of(text, len), type, closing);
}

/*
 * To callers with many calls at once: a reply that answers none (SEQ 0), with crrst in a TTHeader
 * and an empty struct behind it. Others hear of a drain by crrst in their replies, or not at all.
 * Source: kitex pkg/remote/trans/netpollmux/server_handler.go, GracefulShutdown.
 */
static void unary_drain(struct codec *c, enum codec_drain step)
{
	static const uint8_t no_more[] = {0, 0, 0, 43, 0x10, 0, 0, 0, 0, 0, 0, 0, 0,
	    4, /* fixed part */
	    0, 0, TTHEADER_STR, 0, 1, 0, 5, 'c', 'r', 'r', 's', 't', 0, 1, '1', TTHEADER_PADDING,
	    0x80, 1, 0, THRIFT_REPLY, 0, 0, 0, 4, 'n', 'o', 'n', 'e', 0, 0, 0, 0, 0};
	const struct slice piece = slice_of(no_more, sizeof no_more);

	if (step == CODEC_DRAIN_NOW && c->is_unordered)
		codec_write(c, &piece, 1);
}

const struct codec_ops codec_unary_ops = {
    .open = unary_open,
    .close = unary_close,
    .next = unary_next,
    .is_idle = unary_is_idle,
    .has_detected = unary_has_detected,
    .held = unary_held,
    .send_message = unary_send_message,
    .send_data = unary_send_data,
    .send_failure = unary_send_failure,
    .drain = unary_drain,
};
