#include "proxy/tying.h"

#include <unistd.h>

#include "base/log.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/call.h"
#include "proxy/carriage.h"
#include "proxy/correlation.h"
#include "proxy/downstream.h"
#include "proxy/trace.h"
#include "proxy/upstream.h"
#include "proxy/world.h"
#include "rpc/trace_context.h"

/* How long a call may run on that was given up: as long again as it had, within these. */
#define BLIND_USUAL (30 * USEC_S)
#define BLIND_MAX   (60 * USEC_MIN)

static struct correlation *table_of(const struct call *call)
{
	return call->worker->shares->correlation;
}

static usec_t now_of(const struct call *call)
{
	return loop_now(call->worker->loop);
}

bool tying_is_asked(const struct snapshot *snapshot)
{
	const struct config *config = snapshot->config;

	if (config->any && config->any->correlate)
		return true;
	for (size_t i = 0; i < config->n_services; i++)
		if (config->services[i]->correlate)
			return true;
	return false;
}

/* ---- what is sent ---- */

/* Until when C1's caller waits, or we do, if that is shorter. */
static usec_t time_of(const struct call *call)
{
	if (call->deadline.stated == USEC_NONE)
		return USEC_NONE;
	return usec_after(call->deadline.start, call->deadline.allowed);
}

static struct slice add_bytes(struct correlated *to, size_t *at, struct slice s)
{
	uint8_t *place = to->bytes + *at;

	if (s.len)
		memcpy(place, s.data, s.len);
	*at += s.len;
	return slice_of(place, s.len);
}

/* All that it hands on, for other threads to read. */
static struct correlated *handed_on_by(const struct attempt *a, const struct rpc_edit *edit)
{
	struct call *call = a->call;
	struct slice log_id = call_log_id(call), method = call->request.method, sections;
	uint8_t room[CORRELATION_BYTES_MAX];
	struct trace_context context;
	struct correlated *correlated;
	size_t at = 0;
	bool is_large;

	trace_context_sent(a, &context);
	is_large = !rpc_hand_on(&call->request, edit, &context, room, sizeof room, &sections) ||
		   sections.len + log_id.len + method.len > sizeof room;
	if (is_large)
		sections = log_id = method = SLICE_NONE;
	correlated = correlated_new(sections.len + log_id.len + method.len);
	correlated->is_large = is_large;
	correlated->until = time_of(call);
	correlated->what.sections = add_bytes(correlated, &at, sections);
	correlated->what.log_id = add_bytes(correlated, &at, log_id);
	correlated->what.method = add_bytes(correlated, &at, method);
	return correlated;
}

/* Which process is behind the connection: asked once, as it will stay. */
static void find_process(struct upstream *u, const struct call *call)
{
	struct conn_process who;

	u->has_asked_process = true;
	if (conn_process(u->conn, &who))
		u->process = correlation_process(
		    table_of(call), &who, call->service->service->label, now_of(call));
}

void tying_begin(struct attempt *a, const struct rpc_edit *edit)
{
	struct call *call = a->call;
	struct upstream *u = a->upstream;
	bool correlates = call->service->service->config->correlate;

	if (table_of(call) == NULL)
		return;
	if (a->flight.process) /* on another connection, which took no byte of it */
		correlation_end(table_of(call), &a->flight, 0);
	if (!u->has_asked_process)
		find_process(u, call);
	if (u->process)
		correlation_begin(table_of(call), &a->flight, u->process,
		    correlates ? handed_on_by(a, edit) : NULL);
}

/* Nobody here sees when the process is done with it. */
static usec_t blind_time(const struct call *call)
{
	usec_t allowed = call->deadline.allowed;

	return allowed == USEC_NONE ? BLIND_USUAL : usec_min(allowed, BLIND_MAX);
}

/* What was answered is over, and so is what was never sent. */
static bool is_known_to_be_over(const struct attempt *a, enum attempt_outcome outcome)
{
	if (outcome == ATTEMPT_OK)
		return a->call->request.kind != RPC_ONEWAY;
	return outcome == ATTEMPT_EXCEPTION || outcome == ATTEMPT_UNSENT;
}

void tying_end(struct attempt *a, enum attempt_outcome outcome)
{
	correlation_end(table_of(a->call), &a->flight,
	    is_known_to_be_over(a, outcome) ? 0 : usec_after(now_of(a->call), blind_time(a->call)));
}

void tying_leave(struct attempt *a, struct upstream *u)
{
	correlation_give_up(table_of(a->call), &a->flight, &u->flight);
	u->blind_time = blind_time(a->call);
}

void tying_answered(struct upstream *u)
{
	correlation_end(u->backend->worker->shares->correlation, &u->flight, 0);
}

void tying_forget(struct upstream *u)
{
	const struct worker *worker = u->backend->worker;

	if (u->flight.process)
		correlation_end(worker->shares->correlation, &u->flight,
		    usec_after(loop_now(worker->loop), u->blind_time));
	correlation_leave(worker->shares->correlation, &u->process);
}

/* ---- what comes ---- */

/* Whether the process at the other end is still the one that connected: then its number is its own,
 * and no other's. */
static bool is_alive(const struct downstream *d)
{
	struct conn_process who;

	if (!conn_process(d->conn, &who))
		return false;
	if (who.process >= 0)
		close(who.process);
	return true;
}

static enum correlation_result find(const struct call *call, struct correlated **found, char *label)
{
	struct downstream *d = call->downstream;
	struct correlation_asker *asker = &d->asker;
	enum correlation_result result;

	result = correlation_find(table_of(call), asker, now_of(call), found, label);
	if (result != CORRELATION_UNPROVEN)
		return result;
	if (!is_alive(d)) {
		asker->pid = 0;
		return CORRELATION_STRANGER;
	}
	return correlation_find(table_of(call), asker, now_of(call), found, label);
}

/* What is left of the other's time, counted from this one's first byte as all that it states. */
static usec_t rest_of(const struct call *call, usec_t until)
{
	if (until == USEC_NONE)
		return USEC_NONE;
	return until > call->started + USEC_MS ? until - call->started : USEC_MS;
}

static bool give(struct call *call, const struct rpc_handed_on *what)
{
	return call_charge(call, rpc_handed_on_bound(&call->request, what)) &&
	       rpc_handed_on_give(&call->request, what, &call->arena);
}

/* The time counts from the beginning; the rest has to wait for what the body says. */
static void put_off(struct call *call, const struct rpc_handed_on *what)
{
	struct rpc_handed_on *kept = arena_alloc(&call->arena, sizeof *kept);

	*kept = *what;
	kept->sections = arena_copy(&call->arena, what->sections);
	kept->log_id = arena_copy(&call->arena, what->log_id);
	kept->method = arena_copy(&call->arena, what->method);
	call->request.timeout = usec_min(call->request.timeout, what->timeout);
	call->handed_on = kept;
}

static bool tie(struct call *call, const struct correlated *to)
{
	struct rpc_handed_on what = to->what;

	what.timeout = rest_of(call, to->until);
	if (!call->request.complete && carriage_may_bring(call))
		put_off(call, &what);
	else if (!give(call, &what))
		return false;
	call->is_tied = true;
	return true;
}

/* A oneway may have been sent by a call that is over by now: the process waits for nothing. */
static bool may_be_tied(const struct call *call)
{
	const struct rpc_message *m = &call->request;

	return call->downstream->asker.pid > 0 && m->kind == RPC_CALL && m->method.len &&
	       m->form.payload != RPC_OPAQUE && call->failure.reason == REASON_OK;
}

void tying_tie(struct call *call)
{
	struct correlated *found = NULL;
	char label[CORRELATION_LABEL_MAX];
	enum correlation_result result;

	if (table_of(call) == NULL || !may_be_tied(call))
		return;
	result = find(call, &found, label);
	if (found && !tie(call, found))
		result = CORRELATION_LARGE;
	correlated_unref(&found);
	if (result == CORRELATION_TIED)
		log_debug("call", "tied", "call=%llu service=%s", (unsigned long long)call->number,
		    label);
	if (result < CORRELATION_COUNTED)
		counter_add(
		    &worker_service_stats(call->worker, slice_str(label))->correlated[result], 1);
}

void tying_complete(struct call *call)
{
	const struct rpc_handed_on *what = call->handed_on;

	call->handed_on = NULL;
	if (!give(call, what))
		log_debug("call", "no room for what it is tied to", "call=%llu",
		    (unsigned long long)call->number);
}
