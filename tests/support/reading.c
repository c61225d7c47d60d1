#include "support/reading.h"

#include <stdlib.h>

#include "base/mem.h"

#define BODY_FIRST 256u

const struct codec_limits reading_limits = {
    .max_message = 64u << 20, .max_header = 262140, .protocols = ~0u, .in_flight = 1000};

/* As assert, in every build; fuzz targets use this file, too, so it is not Check's. */
static void must(bool fact)
{
	if (!fact)
		abort();
}

static void no_sink(void *arg, const struct slice *pieces, int n)
{
	(void)arg;
	(void)pieces;
	(void)n;
	abort(); /* a reading writes nothing */
}

static const struct codec_io no_io = {.write = no_sink};

void reading_open(struct reading *r, enum codec_side side, const struct codec_limits *limits)
{
	enum codec_family family = side == CODEC_DOWNSTREAM ? CODEC_UNDETECTED : CODEC_UNARY;
	struct codec_limits unary = *limits; /* the other families write, too */

	unary.protocols &=
	    ~(PROTOCOL_BIT(PROTOCOL_GRPC) | PROTOCOL_BIT(PROTOCOL_TTHEADER_STREAMING));
	*r = (struct reading){.codec = codec_open(side, family, &unary, &no_io, NULL)};
}

void reading_close(struct reading *r)
{
	for (size_t i = 0; i < r->n; i++) {
		arena_fini(&r->list[i].arena);
		free(r->list[i].body);
	}
	free(r->list);
	codec_close(&r->codec);
	*r = (struct reading){0};
}

static void add_body(struct heard *h, struct slice data)
{
	size_t len = h->message.body.len;

	if (h->body_size - len < data.len) {
		h->body_size = 2 * h->body_size + data.len + BODY_FIRST;
		h->body = mem_realloc(h->body, h->body_size);
	}
	if (data.len)
		memcpy(h->body + len, data.data, data.len);
	h->message.body = slice_of(h->body, len + data.len);
}

static struct heard *add_heard(struct reading *r, const struct codec_item *item)
{
	struct heard *h;

	/* Messages point into their arenas, not into this list: it may move. */
	r->list = mem_realloc(r->list, (r->n + 1) * sizeof *r->list);
	h = &r->list[r->n++];
	*h = (struct heard){.has_message = item->has_message};
	arena_init(&h->arena, NULL, 0);
	if (!item->has_message)
		return h;
	h->message = item->message;
	h->message.body = SLICE_NONE;
	rpc_message_keep_head(&h->message, &h->arena);
	return h;
}

static bool is_open(const struct reading *r)
{
	return r->n && !r->list[r->n - 1].is_whole && !r->list[r->n - 1].is_refused;
}

static void on_message(struct reading *r, const struct codec_item *item)
{
	struct heard *h;

	must(item->has_message && !is_open(r));
	h = add_heard(r, item);
	add_body(h, item->message.body);
	h->is_whole = item->message.complete;
	h->was_long = !h->is_whole;
	must(h->is_whole == codec_is_idle(r->codec));
	must(!h->is_whole || h->message.body_len == RPC_LENGTH_UNKNOWN ||
	     h->message.body_len == item->message.body.len);
}

static void on_data(struct reading *r, const struct codec_item *item)
{
	must(is_open(r));
	add_body(&r->list[r->n - 1], item->data);
	r->list[r->n - 1].is_whole = item->last;
	must(item->last == codec_is_idle(r->codec));
}

/* A message that is refused in the middle of its body is a refused message. */
static void on_refused(struct reading *r, const struct codec_item *item)
{
	struct heard *h = is_open(r) ? &r->list[r->n - 1] : add_heard(r, item);

	h->is_refused = true;
	h->why = item->why;
	add_body(h, SLICE_NONE);
	h->message.body = SLICE_NONE; /* how much of it was seen depends on the pieces */
}

void reading_feed(struct reading *r, struct slice piece)
{
	uint8_t *exact = mem_alloc(piece.len ? piece.len : 1);
	struct slice in = slice_of(exact, piece.len);
	struct codec_item item;
	enum codec_event event;

	if (piece.len)
		memcpy(exact, piece.data, piece.len);
	while ((event = codec_next(r->codec, &in, &item)) != CODEC_MORE) {
		if (event == CODEC_MESSAGE)
			on_message(r, &item);
		else if (event == CODEC_DATA)
			on_data(r, &item);
		else
			on_refused(r, &item);
	}
	must(in.len == 0);
	must(!codec_is_idle(r->codec) || codec_held(r->codec) == 0);
	if (codec_held(r->codec) > r->most_held)
		r->most_held = codec_held(r->codec);
	free(exact);
}

void reading_feed_in(struct reading *r, struct slice in, size_t step)
{
	if (step == 0)
		step = in.len;
	while (in.len) {
		reading_feed(r, slice_first(in, step));
		in = slice_from(in, step);
	}
}

static const char *heads_differ(const struct rpc_message *a, const struct rpc_message *b)
{
	if (!rpc_form_eq(a->form, b->form) || a->kind != b->kind)
		return "form or kind";
	if (a->seq != b->seq || a->transport_seq != b->transport_seq || a->flags != b->flags)
		return "sequence ids or flags";
	if (a->marks != b->marks || a->timeout != b->timeout)
		return "marks or timeout";
	if (!slice_eq(a->method, b->method) || !slice_eq(a->service_asked, b->service_asked) ||
	    !slice_eq(a->idl_service, b->idl_service) || !slice_eq(a->caller, b->caller))
		return "names";
	if (!slice_eq(a->caller_method, b->caller_method) || !slice_eq(a->log_id, b->log_id) ||
	    !slice_eq(a->trace_id, b->trace_id) || !slice_eq(a->biz_status, b->biz_status) ||
	    !slice_eq(a->biz_message, b->biz_message))
		return "other facts";
	if (!slice_eq(a->head, b->head) || !slice_eq(a->sections, b->sections) ||
	    a->payload_at != b->payload_at || a->message_at != b->message_at)
		return "bytes of the head";
	return NULL;
}

static const char *heard_differ(const struct heard *a, const struct heard *b)
{
	if (a->is_whole != b->is_whole || a->is_refused != b->is_refused)
		return "ending";
	if (a->has_message != b->has_message)
		return "whether a message is known";
	if (a->is_refused &&
	    (a->why.reason != b->why.reason || strcmp(a->why.detail, b->why.detail)))
		return "reason";
	/* The end of a message that has not ended depends on what came before the cut. */
	if (a->is_whole && !slice_eq(a->message.body, b->message.body))
		return "body";
	return a->has_message ? heads_differ(&a->message, &b->message) : NULL;
}

const char *reading_difference(const struct reading *a, const struct reading *b)
{
	if (a->n != b->n)
		return "number of messages";
	for (size_t i = 0; i < a->n; i++) {
		const char *what = heard_differ(&a->list[i], &b->list[i]);

		if (what)
			return what;
	}
	return NULL;
}

static void written_sink(void *arg, const struct slice *pieces, int n)
{
	struct written *w = arg;

	for (int i = 0; i < n; i++) {
		if (w->size - w->len < pieces[i].len) {
			w->size = 2 * w->size + pieces[i].len;
			w->bytes = mem_realloc(w->bytes, w->size);
		}
		if (pieces[i].len)
			memcpy(w->bytes + w->len, pieces[i].data, pieces[i].len);
		w->len += pieces[i].len;
	}
	w->times++;
}

const struct codec_io written_io = {.write = written_sink};

void written_fini(struct written *w)
{
	free(w->bytes);
	*w = (struct written){0};
}

struct slice written_slice(const struct written *w)
{
	return slice_of(w->bytes, w->len);
}

bool written_message(
    struct written *w, const struct rpc_message *m, struct rpc_edit *edit, enum codec_side side)
{
	struct codec *to = codec_open(side, CODEC_UNARY, &reading_limits, &written_io, w);
	bool is_sent;

	w->len = 0;
	is_sent = codec_send_message(to, 0, m, edit);
	codec_close(&to);
	return is_sent;
}
