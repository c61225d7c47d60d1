#include "proxy/trace.h"

#include <string.h>

#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/call.h"
#include "proxy/carriage.h"
#include "proxy/world.h"
#include "rpc/trace_context.h"

#define CHANGES_MAX 8u /* that a context makes of a head */

struct call_trace {
	struct trace_context parent; /* as it came; without ids: the trace begins here */
	unsigned spellings;          /* that it came in */
	bool is_recorded;
	bool is_ours; /* what goes out is not what came */
	struct trace_context own;
	usec_t started; /* by the calendar; what comes later is told by the other clock */
	char id_text[TRACE_ID_TEXT];
};

static const struct tracing_config *config_of(const struct call *call)
{
	return &call->world->snapshot->config->tracing;
}

static void make_id(struct rng *rng, uint8_t *id, size_t n)
{
	for (size_t i = 0; i < n; i += 8) {
		uint64_t word = rng_next(rng);

		memcpy(id + i, &word, 8);
	}
	id[n - 1] |= 1; /* all zero is none */
}

static enum trace_decision decide(struct call *call, const struct trace_context *parent)
{
	if (parent->decision != TRACE_UNDECIDED)
		return parent->decision;
	return rng_chance(&call->worker->rng, config_of(call)->sample) ? TRACE_SAMPLED
								       : TRACE_LEFT_OUT;
}

/* Spans are wanted: is this call to have some? What goes on is a child of ours then; a trace that
 * begins here goes on even when it is left out, so that nobody behind us decides anew. */
static bool join(struct call *call, struct call_trace *t)
{
	t->own.decision = decide(call, &t->parent);
	t->is_recorded = t->own.decision == TRACE_SAMPLED;
	t->is_ours = t->is_recorded || (!t->parent.has_ids && config_of(call)->propagate);
	if (!t->is_ours)
		return false;
	t->own.has_ids = true;
	if (t->parent.has_ids)
		memcpy(t->own.trace_id, t->parent.trace_id, sizeof t->own.trace_id);
	else
		make_id(&call->worker->rng, t->own.trace_id, sizeof t->own.trace_id);
	make_id(&call->worker->rng, t->own.span_id, sizeof t->own.span_id);
	trace_write_hex(t->id_text, t->own.trace_id, sizeof t->own.trace_id);
	t->started =
	    loop_calendar(call->worker->loop) - (loop_now(call->worker->loop) - call->started);
	return true;
}

void trace_begin_call(struct call *call)
{
	const struct tracing_config *c = config_of(call);
	struct call_trace t = {.parent = {.has_ids = false}}, *kept;

	if (c->otlp.text == NULL && c->propagate == 0)
		return;
	if (!trace_context_find(&t.parent, &call->request, &t.spellings))
		t.parent = (struct trace_context){.has_ids = false};
	if (c->otlp.text ? !join(call, &t) : !t.parent.has_ids)
		return;
	kept = arena_alloc(&call->arena, sizeof *kept);
	*kept = t;
	call->trace = kept;
}

struct slice trace_id_of(const struct call *call)
{
	if (call->trace && call->trace->is_ours)
		return slice_of(call->trace->id_text, TRACE_ID_TEXT);
	return call->request.trace_id;
}

/* ---- spans ---- */

/* What all spans of a call have in common. */
static struct span *begin_span(struct call *call, usec_t from, usec_t took)
{
	const struct service_config *service =
	    call->service ? call->service->service->config : call->listener->service;
	struct span *span = span_new(&call->worker->spans, call->worker->loop);

	if (span == NULL)
		return NULL;
	memcpy(span->trace_id, call->trace->own.trace_id, sizeof span->trace_id);
	span->start = call->trace->started + (from - call->started);
	span->took = took;
	span->protocol = call_protocol(call);
	span_add(span, slice_str(service ? service->label : ""));
	span_add(span, service ? slice_str(service->name) : call->request.service_asked);
	span_add(span, call->request.idl_service);
	span_add(span, call->request.method);
	span_add(span, call->caller);
	span_add(span, slice_str(call->listener->name));
	return span;
}

void trace_end_call(struct call *call, usec_t now)
{
	const struct call_trace *t = call->trace;
	struct span *span;

	if (!t->is_recorded)
		return;
	span = begin_span(call, call->started, now - call->started);
	if (span == NULL)
		return;
	memcpy(span->id, t->own.span_id, sizeof span->id);
	span->has_parent = t->parent.has_ids;
	memcpy(span->parent, t->parent.span_id, sizeof span->parent);
	span->kind = call_is_server(call) ? SPAN_SERVER : SPAN_CLIENT;
	span->is_failed = !reason_is_success(call->reason);
	span->reason = call->reason;
	span->status = call->status;
	span->attempts = call->n_attempts;
	span->bytes_in = call->bytes_in;
	span->bytes_out = call->bytes_out;
	span->messages_in = call->up.messages;
	span->messages_out = call->down.messages;
	span_add(span, slice_str(call->endpoint ? call->endpoint->address.text : ""));
	span_add(span, call->reply_biz_status);
	span_add(span, call_log_id(call));
	span_add(span, slice_str(call->failure.detail));
	span_add(span, SLICE_NONE);
}

void trace_begin_attempt(struct attempt *a)
{
	struct call *call = a->call;

	if (call->trace->is_recorded)
		make_id(&call->worker->rng, a->span, sizeof a->span);
}

static struct slice why(const struct attempt *a)
{
	if (a->why)
		return slice_str(a->why);
	return a->error ? slice_str(strerror(a->error)) : SLICE_NONE;
}

static bool is_failed(enum attempt_outcome outcome)
{
	return outcome != ATTEMPT_OK && outcome != ATTEMPT_LOST && outcome != ATTEMPT_CANCELED;
}

void trace_end_attempt(struct attempt *a, enum attempt_outcome outcome)
{
	struct call *call = a->call;
	struct span *span;

	if (!call->trace->is_recorded)
		return;
	span = begin_span(call, a->began, a->took);
	if (span == NULL)
		return;
	memcpy(span->id, a->span, sizeof span->id);
	span->has_parent = true;
	memcpy(span->parent, call->trace->own.span_id, sizeof span->parent);
	span->kind = SPAN_ATTEMPT;
	span->is_failed = is_failed(outcome);
	span->mark = a->mark;
	span_add(span, slice_str(a->backend->address.text));
	span_add(span, SLICE_NONE);
	span_add(span, call_log_id(call));
	span_add(span, is_failed(outcome) ? why(a) : SLICE_NONE);
	span_add(span, slice_str(attempt_outcome_name(outcome)));
}

/* ---- what goes out ---- */

/* Changes under construction, in the call's arena. */
struct carried {
	struct rpc_change *list;
	size_t n;
	unsigned there; /* enum trace_spelling: what stands in the call as it goes out */
	bool is_ours;
};

/* Whatever stands there already must not contradict us; without a span of ours it is right as it
 * came. */
static void put(
    struct carried *c, unsigned spelling, struct slice name, struct slice value, bool is_wanted)
{
	if (c->there & spelling ? c->is_ours : is_wanted)
		c->list[c->n++] =
		    (struct rpc_change){.kind = RPC_CHANGE_HEADER, .name = name, .value = value};
}

#define PLAIN_SPELLINGS     (TRACE_PARENT | TRACE_B3_SINGLE | TRACE_B3_MULTI)
#define TRANSIENT_SPELLINGS (PLAIN_SPELLINGS << 1)

/* A conversion has added plain names to transient ones, or put those in the place of plain ones. */
static unsigned there_after(const struct call *call)
{
	unsigned spellings = call->trace->spellings;

	if (call->request.form.transport == call->target.transport)
		return spellings;
	if (call->target.transport == RPC_HTTP2)
		return spellings | (spellings & TRANSIENT_SPELLINGS) >> 1;
	if (call->request.form.transport != RPC_HTTP2)
		return spellings;
	return (spellings & TRANSIENT_SPELLINGS) | (spellings & PLAIN_SPELLINGS) << 1;
}

static struct slice written(struct arena *arena, const struct trace_context *context, size_t max,
    size_t (*write)(const struct trace_context *c, char *room))
{
	char *room = arena_alloc(arena, max);

	return slice_of(room, write(context, room));
}

static void carry(
    struct carried *c, const struct trace_context *context, struct call *call, unsigned propagate)
{
	bool is_http = call->target.transport == RPC_HTTP2;
	unsigned parent = is_http ? TRACE_KITEX : TRACE_KITEX | TRACE_W3C;
	struct slice w3c, b3, span;

	w3c = written(&call->arena, context, TRACE_W3C_TEXT, trace_context_write_w3c);
	b3 = written(&call->arena, context, TRACE_B3_TEXT, trace_context_write_b3);
	span = slice_sub(w3c, 36, 16);
	put(c, TRACE_PARENT, SLICE_LIT("traceparent"), w3c, is_http && propagate & TRACE_W3C);
	put(c, TRACE_PARENT_TRANSIENT, SLICE_LIT("RPC_TRANSIT_traceparent"), w3c,
	    propagate & parent);
	put(c, TRACE_B3_SINGLE, SLICE_LIT("b3"), b3, is_http && propagate & TRACE_B3);
	put(c, TRACE_B3_SINGLE_TRANSIENT, SLICE_LIT("RPC_TRANSIT_b3"), b3,
	    !is_http && propagate & TRACE_B3);
	/* Of several fields only the one that names the parent is not what it was. */
	put(c, TRACE_B3_MULTI, SLICE_LIT("x-b3-spanid"), span, false);
	put(c, TRACE_B3_MULTI_TRANSIENT, SLICE_LIT("RPC_TRANSIT_x-b3-spanid"), span, false);
}

static bool has_room_for_context(const struct call *call, struct rpc_form form)
{
	return form.transport == RPC_TTHEADER || rpc_form_is_multiplexed(form) ||
	       carriage_gives(call);
}

void trace_context_sent(const struct attempt *a, struct trace_context *context)
{
	const struct call_trace *t = a->call->trace;
	unsigned spellings;

	if (t) {
		*context = t->is_ours ? t->own : t->parent;
		if (t->is_recorded)
			memcpy(context->span_id, a->span, sizeof context->span_id);
	} else if (!trace_context_find(context, &a->call->request, &spellings)) {
		context->has_ids = false;
	}
}

void trace_edit(const struct attempt *a, struct rpc_edit *edit)
{
	struct call *call = a->call;
	const struct call_trace *t = call->trace;
	unsigned propagate = config_of(call)->propagate;
	struct trace_context context;
	struct carried c = {.there = there_after(call), .is_ours = t->is_ours};

	if (propagate == 0 || !has_room_for_context(call, edit->form))
		return;
	trace_context_sent(a, &context);
	c.list = arena_alloc(&call->arena, (CHANGES_MAX + edit->n_changes) * sizeof *c.list);
	carry(&c, &context, call, propagate);
	if (c.n == 0)
		return;
	if (edit->n_changes)
		memcpy(c.list + c.n, edit->changes, edit->n_changes * sizeof *c.list);
	edit->changes = c.list;
	edit->n_changes += c.n;
}
