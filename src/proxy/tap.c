#include "proxy/tap.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "proxy/call.h"
#include "proxy/tap_line.h"
#include "proxy/worker.h"

/* ---- taps and their lists ---- */

struct tap *tap_new(tap_deliver_fn deliver, void *arg)
{
	struct tap *tap = mem_calloc(1, sizeof *tap);

	ref_init(&tap->ref);
	tap_filter_init(&tap->filter);
	tap->deliver = deliver;
	tap->arg = arg;
	return tap;
}

struct tap *tap_ref(struct tap *tap)
{
	ref_take(&tap->ref);
	return tap;
}

void tap_unref(struct tap **at)
{
	struct tap *tap = *at;

	*at = NULL;
	if (tap == NULL || !ref_drop(&tap->ref))
		return;
	tap_filter_fini(&tap->filter);
	free(tap);
}

void tap_line_free(struct tap_line *line)
{
	atomic_fetch_sub_explicit(&line->tap->waiting, line->len, memory_order_relaxed);
	tap_unref(&line->tap);
	free(line);
}

struct tap_list *tap_list_new(struct tap *const *taps, unsigned n)
{
	struct tap_list *list;

	if (n == 0)
		return NULL;
	list = mem_calloc(1, sizeof *list);
	ref_init(&list->ref);
	list->n = n;
	for (unsigned i = 0; i < n; i++) {
		list->taps[i] = tap_ref(taps[i]);
		if (taps[i]->body > list->body)
			list->body = taps[i]->body;
	}
	return list;
}

struct tap_list *tap_list_ref(struct tap_list *list)
{
	if (list)
		ref_take(&list->ref);
	return list;
}

void tap_list_unref(struct tap_list **at)
{
	struct tap_list *list = *at;

	*at = NULL;
	if (list == NULL || !ref_drop(&list->ref))
		return;
	for (unsigned i = 0; i < list->n; i++)
		tap_unref(&list->taps[i]);
	free(list);
}

void tap_list_adopt(struct worker *worker, struct tap_list *moved)
{
	tap_list_unref(&worker->taps);
	worker->taps = moved;
}

/* ---- what is kept on the way ---- */

/* NULL: no memory. */
static struct tapped *keep_for(struct call *call, size_t body)
{
	size_t size = sizeof(struct tapped) + 2 * body;
	struct tapped *kept = call->tapped;

	if (kept)
		return kept;
	if (!call_charge(call, size))
		return NULL;
	kept = arena_alloc(&call->arena, size);
	memset(kept, 0, sizeof *kept);
	kept->room = body;
	kept->in.bytes = (uint8_t *)(kept + 1);
	kept->out.bytes = kept->in.bytes + body;
	call->tapped = kept;
	return kept;
}

void tap_note_body(struct tapped *kept, struct tap_body *body, struct slice data)
{
	struct slice fits = slice_first(data, kept->room - body->len);

	body->total += data.len;
	if (fits.len)
		memcpy(body->bytes + body->len, fits.data, fits.len);
	body->len += fits.len;
}

/* The most of a body that is wanted by those that may want this call; -1: none does. */
static ssize_t body_wanted(struct call *call, enum tap_stage stage)
{
	const struct tap_list *list = call->worker->taps;
	ssize_t body = -1;

	for (unsigned i = 0; i < list->n; i++) {
		const struct tap *tap = list->taps[i];

		if ((ssize_t)tap->body > body && tap_filter_holds(&tap->filter, call, stage, 0))
			body = (ssize_t)tap->body;
	}
	return body;
}

void tap_call_started(struct call *call)
{
	ssize_t body;

	if (call->worker->taps->body == 0)
		return; /* its head stays until it ends */
	body = body_wanted(call, TAP_STARTED);
	if (body > 0 && keep_for(call, (size_t)body))
		tap_note_body(call->tapped, &call->tapped->in, call->request.body);
}

static bool keep_head(struct call *call, const struct rpc_message *from, struct rpc_message *to)
{
	if (!call_charge(call, call_head_size(from)))
		return false;
	*to = *from;
	to->body = SLICE_NONE;
	rpc_message_keep_head(to, &call->arena);
	return true;
}

/* Most calls end with their reply, and whether anybody wants them is only asked then. */
void tap_call_replied(struct call *call)
{
	ssize_t body;

	call->reply_is_at_hand = call->id == 0 && call->reply_is_complete && call->upload_is_over;
	if (call->reply_is_at_hand)
		return;
	body = body_wanted(call, TAP_REPLIED);
	if (body < 0 || keep_for(call, (size_t)body) == NULL)
		return;
	call->tapped->has_reply = keep_head(call, &call->reply, &call->tapped->reply);
	tap_note_body(call->tapped, &call->tapped->out, call->reply.body);
}

void tap_note_trailers(struct call *call, const struct rpc_message *trailers)
{
	call->tapped->has_trailers = keep_head(call, trailers, &call->tapped->trailers);
}

/* ---- the end ---- */

static bool is_sampled(const struct tap *tap, struct call *call)
{
	return tap->filter.share >= 1 ||
	       (double)rng_below(&call->worker->rng, 1000000) < tap->filter.share * 1000000.0;
}

static void take(struct tap *tap, struct call *call, usec_t now)
{
	struct tap_line *line;

	if (atomic_fetch_add_explicit(&tap->taken, 1, memory_order_relaxed) >= tap->limit &&
	    tap->limit)
		return;
	if (atomic_load_explicit(&tap->waiting, memory_order_relaxed) > TAP_WAITS) {
		atomic_fetch_add_explicit(&tap->lost, 1, memory_order_relaxed);
		return;
	}
	line = tap_line_of(tap, call, now);
	atomic_fetch_add_explicit(&tap->waiting, line->len, memory_order_relaxed);
	tap->deliver(tap->arg, line);
}

void tap_call_ended(struct call *call, usec_t now)
{
	const struct tap_list *list = call->worker->taps;

	for (unsigned i = 0; i < list->n; i++) {
		struct tap *tap = list->taps[i];

		if (tap_filter_holds(&tap->filter, call, TAP_ENDED, now) && is_sampled(tap, call))
			take(tap, call, now);
	}
}
