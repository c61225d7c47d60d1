/* Finds a connection's family of codecs by its first bytes, and calls through to it. */
#include "rpc/codec.h"

#include <stdlib.h>

#include "base/mem.h"
#include "rpc/codec_ops.h"
#include "wire/sniff.h"

static void take_family(struct codec *c, enum codec_family family)
{
	static const struct codec_ops *const families[] = {
	    [CODEC_UNARY] = &codec_unary_ops,
	    [CODEC_HTTP2] = &codec_h2_ops,
	    [CODEC_TTSTREAM] = &codec_ttstream_ops,
	};

	c->family = family;
	c->ops = families[family];
	c->state = c->ops->open(c);
}

struct codec *codec_open(enum codec_side side, enum codec_family family,
    const struct codec_limits *limits, const struct codec_io *io, void *arg)
{
	struct codec *c = mem_calloc(1, sizeof *c);

	c->side = side;
	c->limits = *limits;
	c->io = io;
	c->arg = arg;
	if (family != CODEC_UNDETECTED)
		take_family(c, family);
	return c;
}

void codec_close(struct codec **codec)
{
	struct codec *c = *codec;

	if (c == NULL)
		return;
	if (c->ops)
		c->ops->close(c->state);
	free(c);
	*codec = NULL;
}

enum codec_family codec_family(const struct codec *c)
{
	return c->family;
}

bool codec_is_multiplexed(const struct codec *c)
{
	return c->family == CODEC_HTTP2 || c->family == CODEC_TTSTREAM;
}

void codec_set_now(struct codec *c, usec_t now)
{
	c->now = now;
}

/* ---- detection ---- */

static enum codec_event refuse(
    struct codec *c, struct slice *in, struct codec_item *item, const char *why)
{
	c->is_dead = true;
	*in = slice_from(*in, in->len);
	rpc_status_set(&item->why, REASON_PROTOCOL_UNKNOWN, "%s", why);
	return CODEC_REFUSED;
}

/* MESSAGE: the family is known. */
static enum codec_event decide(
    struct codec *c, struct slice view, struct slice *in, struct codec_item *item)
{
	switch (sniff_family(view)) {
	case SNIFF_FAMILY_MORE:
		return CODEC_MORE;
	case SNIFF_FAMILY_HTTP2:
		if (!(c->limits.protocols & PROTOCOL_BIT(PROTOCOL_GRPC)))
			return refuse(
			    c, in, item, "HTTP/2 (grpc) is not among this listener's protocols");
		take_family(c, CODEC_HTTP2);
		break;
	case SNIFF_FAMILY_TTSTREAM:
		if (!(c->limits.protocols & PROTOCOL_BIT(PROTOCOL_TTHEADER_STREAMING)))
			return refuse(c, in, item,
			    "ttheader_streaming is not among this listener's protocols");
		take_family(c, CODEC_TTSTREAM);
		break;
	case SNIFF_FAMILY_UNARY:
	case SNIFF_FAMILY_UNKNOWN: /* it knows how to say what is wrong */
		take_family(c, CODEC_UNARY);
		break;
	}
	return CODEC_MESSAGE;
}

/* Looks at the input itself if that is enough, else at what was gathered of it. */
static enum codec_event detect(struct codec *c, struct slice *in, struct codec_item *item)
{
	enum codec_event event = CODEC_MORE;

	if (c->n_first == 0)
		event = in->len ? decide(c, *in, in, item) : CODEC_MORE;
	while (event == CODEC_MORE && in->len && c->n_first < SNIFF_BYTES) {
		c->first[c->n_first++] = in->data[0];
		*in = slice_from(*in, 1);
		event = decide(c, slice_of(c->first, c->n_first), in, item);
	}
	return event;
}

enum codec_event codec_next(struct codec *c, struct slice *in, struct codec_item *item)
{
	enum codec_event event;

	item->has_message = false;
	item->id = 0;
	item->owner = NULL;
	item->n_messages = 0;
	item->message_bytes = 0;
	if (c->is_dead) {
		*in = slice_from(*in, in->len);
		return CODEC_MORE;
	}
	if (c->ops == NULL) {
		event = detect(c, in, item);
		if (event != CODEC_MESSAGE)
			return event;
	}
	while (c->first_at < c->n_first) { /* what was gathered goes first */
		struct slice first = slice_of(c->first + c->first_at, c->n_first - c->first_at);

		event = c->ops->next(c, &first, item);
		c->first_at = (uint8_t)(c->n_first - first.len);
		if (event != CODEC_MORE)
			return event;
	}
	return c->ops->next(c, in, item);
}

bool codec_is_idle(const struct codec *c)
{
	return c->ops ? c->ops->is_idle(c) : c->n_first == 0;
}

bool codec_has_detected(const struct codec *c)
{
	return c->ops && c->ops->has_detected(c);
}

size_t codec_held(const struct codec *c)
{
	return c->ops ? c->ops->held(c) : 0;
}

/* ---- calling through ---- */

bool codec_send_message(
    struct codec *c, uint32_t id, const struct rpc_message *m, struct rpc_edit *edit)
{
	return c->ops->send_message(c, id, m, edit);
}

void codec_send_data(struct codec *c, uint32_t id, struct slice data, bool last)
{
	c->ops->send_data(c, id, data, last);
}

void codec_send_failure(struct codec *c, uint32_t id, const struct rpc_message *call,
    const struct rpc_status *why, bool closing)
{
	if (c->ops)
		c->ops->send_failure(c, id, call, why, closing);
}

unsigned codec_capacity(const struct codec *c)
{
	return c->ops->capacity(c);
}

bool codec_is_ending(const struct codec *c)
{
	return c->ops && c->ops->is_ending && c->ops->is_ending(c);
}

uint32_t codec_begin(struct codec *c, void *owner)
{
	return c->ops->begin(c, owner);
}

void codec_own(struct codec *c, uint32_t id, void *owner)
{
	if (c->ops->own)
		c->ops->own(c, id, owner);
}

void codec_send_end(struct codec *c, uint32_t id, const struct rpc_message *trailers)
{
	c->ops->send_end(c, id, trailers);
}

void codec_reset(struct codec *c, uint32_t id, const struct codec_reset *why)
{
	c->ops->reset(c, id, why);
}

void codec_credit(struct codec *c, uint32_t id, size_t bytes)
{
	if (c->ops->credit)
		c->ops->credit(c, id, bytes);
}

size_t codec_pending(const struct codec *c, uint32_t id)
{
	return c->ops->pending ? c->ops->pending(c, id) : 0;
}

void codec_pump(struct codec *c)
{
	if (c->ops && c->ops->pump)
		c->ops->pump(c);
}

void codec_drain(struct codec *c, enum codec_drain step)
{
	if (c->ops && c->ops->drain)
		c->ops->drain(c, step);
}

bool codec_is_unordered(const struct codec *c)
{
	return c->is_unordered;
}

void codec_rest(struct codec *c)
{
	if (c->ops && c->ops->rest)
		c->ops->rest(c);
}

void codec_ping(struct codec *c)
{
	if (c->ops && c->ops->ping)
		c->ops->ping(c);
}
