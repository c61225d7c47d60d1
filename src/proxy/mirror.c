#include "proxy/mirror.h"

#include <string.h>

#include "base/log.h"
#include "proxy/call.h"
#include "proxy/downstream.h"
#include "proxy/facts.h"
#include "proxy/introduction.h"
#include "proxy/world.h"

/* A slow service must not make copies pile up: what is beyond this on one worker is not sent. */
#define MIRRORS_MAX 1000u

/* Calls of several pieces are copied only where the pieces are kept anyway; what becomes another
 * protocol has lost the form it came in. */
bool mirror_is_due(const struct call *call)
{
	const struct rpc_message *m = &call->request;

	if (!call->route.is_mirrored || call->is_mirrored || call->has_fallen_back ||
	    call->listener_is_gone) /* it goes with the connection, and a copy does not */
		return false;
	if (call->is_stream)
		return m->form.transport == RPC_HTTP2 && call->upload_is_over && !call->is_spent &&
		       call->kept_len == call->up.bytes && call->request_trailers == NULL;
	return m->complete && m->form.transport != RPC_HTTP2;
}

/* False: no memory. */
static bool copy_body(struct call *copy, const struct call *call)
{
	struct slice body =
	    call->is_stream ? slice_of(call->kept, call->kept_len) : call->request.body;

	if (call->is_stream)
		return body.len == 0 || call_collect(copy, body);
	copy->request.body = body;
	return call_keep_body(copy);
}

static struct call *copy_of(struct call *call)
{
	struct call *copy = call_take(call->world, call->listener, call->listener_stats);

	copy->is_mirror = true;
	copy->number = call->number;
	copy->started = copy->active_at = call->started;
	copy->has_begun = true;
	copy->request = call->request;
	copy->upload_is_over = true;
	copy->up.bytes = call->up.bytes;
	memcpy(copy->source, call->source, sizeof copy->source);
	copy->caller = arena_copy(&copy->arena, call->caller);
	introduction_keep(copy, call);
	list_push_back(&call->worker->orphans, &copy->link);
	call->worker->n_mirrors++;
	return copy;
}

/* Where it goes, and what the route changes in it. */
static bool lead(struct call *copy, const struct call *call)
{
	struct call_finder finder;
	struct call_facts facts = {.listener = call->listener,
	    .method = call->request.method,
	    .more = call_fact_source(call, &finder)};
	struct route_decision decision =
	    route_to(call->world->snapshot, call->route.route->mirror, &facts);

	if (decision.reason != REASON_OK)
		return false;
	decision.route = call->route.route;
	copy->meant = call->meant;
	call_lead(copy, &decision);
	if (call_set_target(copy))
		return false;
	call_note_changes(copy, &facts.more);
	return true;
}

void mirror_send(struct call *call)
{
	struct call *copy;

	call->is_mirrored = true;
	if (call->worker->n_mirrors >= MIRRORS_MAX)
		return;
	copy = copy_of(call);
	if (call_charge(copy, call_head_size(&call->request))) {
		rpc_message_keep_head(&copy->request, &copy->arena);
		if (copy_body(copy, call) && lead(copy, call)) {
			copy->step = CALL_ADMIT;
			counter_add(&copy->service->stats->mirrored, 1);
			call_go(copy);
			return;
		}
	}
	log_debug("mirror", "not sent", "call=%llu", (unsigned long long)call->number);
	call_finish(copy);
}
