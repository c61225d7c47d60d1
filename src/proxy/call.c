#include "proxy/call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/route.h"
#include "net/loop.h"
#include "proxy/access.h"
#include "proxy/access_log.h"
#include "proxy/downstream.h"
#include "proxy/world.h"

#define FREE_CALLS_MAX 256u /* kept for reuse; what a burst needs beyond goes back to malloc */
#define COLLECT_FIRST  (16u * 1024)

static const struct {
	const char *name;
	enum step (*run)(struct call *call);
} steps[CALL_STEPS] = {
    [CALL_ROUTE] = {"route", call_step_route},
    [CALL_ADMIT] = {"admit", call_step_admit},
    [CALL_COLLECT] = {"collect", call_step_collect},
    [CALL_TRY] = {"try", call_step_try},
    [CALL_AWAIT] = {"await", call_step_await},
    [CALL_JUDGE] = {"judge", call_step_judge},
    [CALL_REPLY] = {"reply", call_step_reply},
    [CALL_FINISH] = {"finish", call_step_finish},
};

static void run(struct call *call)
{
	enum step result;

	assert(!call->is_running);
	call->is_running = true;
	do {
		log_debug("call", "step", "call=%llu step=%s", (unsigned long long)call->number,
		    steps[call->step].name);
		result = steps[call->step].run(call);
	} while (result == STEP_NEXT);
	if (result != STEP_WAIT)
		return; /* it is gone */
	call->is_running = false;
	if (!call->upload_is_over && call->downstream && call_wants_body(call))
		downstream_resume(call->downstream);
}

/* ---- beginning ---- */

static struct call *take_call(struct worker *worker)
{
	struct call *call = worker->free_calls;

	if (call) {
		worker->free_calls = (struct call *)call->link.next;
		worker->n_free_calls--;
	} else {
		call = mem_alloc(sizeof *call);
	}
	memset(call, 0, offsetof(struct call, room));
	return call;
}

static void give_call(struct worker *worker, struct call *call)
{
	if (worker->n_free_calls >= FREE_CALLS_MAX) {
		free(call);
		return;
	}
	call->link.next = (struct list *)worker->free_calls;
	worker->free_calls = call;
	worker->n_free_calls++;
}

static struct call *call_new(struct downstream *d, const struct rpc_message *m, usec_t started)
{
	struct worker *worker = d->worker;
	struct call *call = take_call(worker);
	bool replaced;

	call->worker = worker;
	call->world = worker->world;
	world_enter(call->world);
	call->downstream = d;
	call->listener = d->listener;
	call->listener_stats = d->stats;
	call->started = started;
	call->number = ++worker->next_call;
	call->failure.reason = REASON_OK;
	arena_init(&call->arena, call->room, sizeof call->room);
	call->request = *m;
	rpc_message_keep_head(&call->request, &call->arena);
	call->caller =
	    access_caller(d, call->world->snapshot->config, call->request.caller, &replaced);
	call->caller_is_replaced = replaced && !slice_eq(call->caller, call->request.caller);
	call->upload_is_over = m->complete;
	call->bytes_in = m->head.len + m->body.len;
	memcpy(call->source, d->source, sizeof call->source);
	call->listener_is_gone = d->kept != NULL;
	attempt_init(&call->attempt, call);
	list_push_back(&d->calls, &call->link);
	d->n_calls++;
	counter_add(&worker->calls_running, 1);
	return call;
}

void call_go(struct call *call)
{
	call->has_begun = true;
	run(call);
}

void call_start(struct downstream *d, const struct rpc_message *m, usec_t started)
{
	struct call *call = call_new(d, m, started);
	bool unordered = rpc_message_is_unordered(m);

	if (!m->complete)
		d->upload = call;
	if (d->n_calls > 1 && !unordered) {
		d->parked = call; /* answered in order: after all that came before it */
		if (call_keep_body(call))
			return;
		call_fail(call, REASON_OVERLOAD, "no memory to keep the call");
	}
	d->is_unordered = unordered;
	call_go(call);
}

void call_refuse(
    struct downstream *d, const struct rpc_message *partial, const struct rpc_status *why)
{
	static const struct rpc_message nothing = {.timeout = USEC_NONE};
	const struct rpc_message *m = partial ? partial : &nothing;
	struct call *call = call_new(d, m, d->message_since ? d->message_since : d->active_at);

	call->has_begun = true;
	call->upload_is_over = true;
	call->failure = *why;
	call->reason = why->reason;
	if (partial && d->writing == NULL) {
		uint64_t sent = d->sent;

		call->status = (unsigned)reason_exception_id(why->reason);
		codec_send_failure(d->codec, 0, &call->request, why, true);
		call->bytes_out = d->sent - sent;
	}
	call_finish(call);
}

/* As Kitex makes them: "02", the time in milliseconds, and something random. */
struct slice call_log_id(struct call *call)
{
	struct worker *worker = call->worker;

	if (call->request.log_id.len)
		return call->request.log_id;
	if (call->log_id[0] == '\0')
		snprintf(call->log_id, sizeof call->log_id, "02%013llu%06x",
		    (unsigned long long)(loop_calendar(worker->loop) / USEC_MS),
		    (unsigned)(rng_next(&worker->rng) & 0xffffff));
	return slice_str(call->log_id);
}

/* ---- the body ---- */

bool call_keep_body(struct call *call)
{
	struct rpc_message *m = &call->request;

	if (call->body_is_kept || m->body.len == 0)
		return true;
	if (m->body.len <= CALL_ROOM) {
		m->body = arena_copy(&call->arena, m->body);
	} else {
		if (!call_collect(call, m->body))
			return false;
		m->body = slice_of(call->kept, call->kept_len);
	}
	call->body_is_kept = true;
	return true;
}

bool call_collect(struct call *call, struct slice data)
{
	size_t size = call->kept_size ? call->kept_size : COLLECT_FIRST;
	uint8_t *bigger;

	if (call->kept_size - call->kept_len < data.len) {
		while (size - call->kept_len < data.len)
			size *= 2;
		if (!worker_charge(call->worker, size - call->kept_size))
			return false;
		bigger = realloc(call->kept, size);
		if (bigger == NULL) {
			worker_uncharge(call->worker, size - call->kept_size);
			return false;
		}
		call->kept = bigger;
		call->kept_size = size;
	}
	if (data.len)
		memcpy(call->kept + call->kept_len, data.data, data.len);
	call->kept_len += data.len;
	return true;
}

bool call_wants_body(const struct call *call)
{
	if (!call->has_begun)
		return false;
	if (call->upload_is_discarded || call->step == CALL_COLLECT)
		return true;
	if (call->attempt.state == ATTEMPT_BACKLOG || call->attempt.state == ATTEMPT_CONNECTING)
		return false;
	return !call->attempt.is_sending || !attempt_is_full(&call->attempt);
}

void call_body(struct call *call, struct slice data, bool last)
{
	bool failed = false;

	call->bytes_in += data.len;
	call->upload_is_over = last;
	if (call->upload_is_discarded) {
		failed = false;
	} else if (call->step == CALL_COLLECT) {
		if (!call_collect(call, data))
			call_fail(
			    call, REASON_OVERLOAD, "no memory for the whole call (limits.memory)");
	} else if (call->attempt.is_sending) {
		call->is_spent = true;
		failed = !attempt_send_data(&call->attempt, data, last);
	}
	if (failed)
		call_event(call, CALL_EVENT_FAILED);
	else if (last || call->step == CALL_REPLY)
		call_event(call, CALL_EVENT_BODY);
}

void call_body_failed(struct call *call, const struct rpc_status *why)
{
	call->upload_is_over = true;
	if (call->reply_is_begun) {
		call_event(call, CALL_EVENT_BODY);
		return;
	}
	attempt_give_up(&call->attempt, ATTEMPT_CANCELED, 0); /* no fault of the endpoint's */
	call_fail(call, why->reason, "%s", why->detail);
	run(call);
}

/* ---- events ---- */

void call_fail(struct call *call, enum reason reason, const char *format, ...)
{
	va_list args;

	call->failure.reason = reason;
	va_start(args, format);
	vsnprintf(call->failure.detail, sizeof call->failure.detail, format, args);
	va_end(args);
	call->has_reply = false;
	call->upload_is_discarded = true;
	call->step = CALL_REPLY;
}

/* A reply that has begun cannot be taken back: the caller's connection goes with it. */
static void break_reply(struct call *call, enum reason reason, const char *what)
{
	rpc_status_set(&call->failure, reason, "%s", what);
	call->reason = reason;
	if (call->downstream)
		downstream_abort(call->downstream);
	call->step = CALL_FINISH;
}

static void on_failed(struct call *call)
{
	if (call->reply_is_begun)
		break_reply(call,
		    call->attempt.outcome == ATTEMPT_BAD_REPLY ? REASON_BAD_REPLY : REASON_RESET,
		    "the endpoint broke off within its reply");
	else
		call->step = CALL_JUDGE;
}

static void on_timeout(struct call *call)
{
	enum reason reason = call->deadline.is_callers ? REASON_CALLER_DEADLINE : REASON_TIMEOUT;
	unsigned long long ms = (call->deadline.at - call->deadline.start) / USEC_MS;

	attempt_give_up(&call->attempt, ATTEMPT_TIMEOUT, 0);
	if (call->reply_is_begun)
		break_reply(call, reason, "the time was up within the reply");
	else
		call_fail(call, reason, "service %s, no reply within %llu ms, attempt %u of %u",
		    call->service->service->config->label, ms, call->n_attempts,
		    call->policy->retry_attempts + 1);
}

/* The caller has its whole reply; at most the rest of its own body is still thrown away. */
static bool is_answered(const struct call *call)
{
	return call->reply_is_begun && (call->reply_is_complete || !call->has_reply);
}

/* A oneway that has come whole is carried out even when its caller is gone: Kitex's clients close
 * right after it. */
static bool on_cancel(struct call *call)
{
	if (call->request.kind == RPC_ONEWAY && call->upload_is_over && call->has_begun &&
	    call->failure.reason == REASON_OK && !call->listener_is_gone) {
		list_push_back(&call->worker->orphans, &call->link);
		return false;
	}
	attempt_give_up(&call->attempt, ATTEMPT_CANCELED, call->deadline.at);
	call->step = CALL_FINISH;
	if (is_answered(call))
		return true;
	if (call->worker->is_ending)
		rpc_status_set(&call->failure, REASON_DRAINING, "the time to drain was over");
	else
		rpc_status_set(&call->failure, REASON_CANCELED, "the caller is gone");
	call->reason = call->failure.reason;
	return true;
}

void call_event(struct call *call, enum call_what what)
{
	switch (what) {
	case CALL_EVENT_FAILED:
		on_failed(call);
		break;
	case CALL_EVENT_REPLY:
		call->first_byte = loop_now(call->worker->loop);
		call->step = CALL_REPLY;
		break;
	case CALL_EVENT_TIMEOUT:
		if (is_answered(call))
			return; /* answered: only the rest of its own body is still thrown away */
		on_timeout(call);
		break;
	case CALL_EVENT_CANCEL:
		if (!on_cancel(call))
			return;
		break;
	case CALL_EVENT_DATA:
	case CALL_EVENT_BODY:
	case CALL_EVENT_TURN:
		break;
	}
	run(call);
}

/* ---- the end ---- */

static void count(struct call *call, usec_t now)
{
	struct worker *worker = call->worker;
	const struct service *service = call->service ? call->service->service : NULL;
	const struct service_config *meant = service ? service->config : call->listener->service;
	struct call_labels labels = {
	    .listener = slice_str(call->listener->name),
	    .service = meant ? slice_str(meant->label) : SLICE_NONE,
	    .callee = meant ? slice_str(meant->name) : SLICE_NONE,
	    .method = call->request.method,
	    .caller = call->caller,
	    .protocol = rpc_form_protocol(call->request.form),
	    .retries = call->n_attempts ? call->n_attempts - 1 : 0,
	    .is_server = call->listener->service && service && call->service->is_local,
	};

	call_series_count(
	    call_stats_find(&worker->calls, &labels), call->reason, now - call->started);
	counter_add(&call->listener_stats->calls, 1);
	counter_add(&worker->calls_total, 1);
	counter_add(&worker->bytes_out, call->bytes_out);
	counter_sub(&worker->calls_running, 1);
}

void call_finish(struct call *call)
{
	struct worker *worker = call->worker;
	struct downstream *d = call->downstream;
	usec_t now = loop_now(worker->loop);

	wheel_clear(&call->timer);
	wheel_clear(&call->attempt.timer);
	count(call, now);
	if (worker->access_sink)
		access_log_call(call, now);
	if (d == NULL)
		list_remove(&call->link);
	if (call->kept) {
		worker_uncharge(worker, call->kept_size);
		free(call->kept);
	}
	arena_fini(&call->arena);
	world_leave(call->world);
	if (d)
		downstream_call_done(d, call);
	give_call(worker, call);
}
