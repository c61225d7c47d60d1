#include "proxy/span.h"

#include <string.h>

#include "base/mem.h"
#include "net/loop.h"

#define GATHER (200 * USEC_MS) /* how long a span waits for others */

void span_add(struct span *span, struct slice text)
{
	uint16_t at = span->n_texts ? span->ends[span->n_texts - 1] : 0;
	size_t room = SPAN_ROOM - at;

	text = slice_first(slice_first(text, SPAN_TEXT_MAX), room);
	if (text.len)
		memcpy(span->room + at, text.data, text.len);
	span->ends[span->n_texts++] = (uint16_t)(at + text.len);
}

struct slice span_text(const struct span *span, enum span_text which)
{
	uint16_t at;

	if ((unsigned)which >= span->n_texts)
		return SLICE_NONE;
	at = which ? span->ends[which - 1] : 0;
	return slice_of(span->room + at, (size_t)span->ends[which] - at);
}

void span_outbox_flush(struct span_outbox *o)
{
	struct span_batch *batch = o->batch;

	wheel_clear(&o->timer);
	o->batch = NULL;
	if (batch)
		o->take(o->arg, batch);
}

static void gathered(struct timer *timer, usec_t now)
{
	(void)now;
	span_outbox_flush(container_of(timer, struct span_outbox, timer));
}

struct span *span_new(struct span_outbox *o, struct loop *loop)
{
	struct span *span;

	if (o->take == NULL)
		return NULL;
	if (o->batch && o->batch->n == SPAN_BATCH)
		span_outbox_flush(o);
	if (o->batch == NULL) {
		o->batch = mem_alloc(sizeof *o->batch);
		o->batch->n = 0;
		wheel_set(
		    loop_wheel(loop), &o->timer, usec_after(loop_now(loop), GATHER), gathered);
	}
	span = &o->batch->list[o->batch->n++];
	memset(span, 0, offsetof(struct span, room));
	return span;
}
