#include "proxy/call.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/route.h"
#include "net/loop.h"
#include "proxy/access_log.h"
#include "proxy/carriage.h"
#include "proxy/downstream.h"
#include "proxy/identity.h"
#include "proxy/introduction.h"
#include "proxy/relay.h"
#include "proxy/tap.h"
#include "proxy/trace.h"
#include "proxy/tying.h"
#include "proxy/world.h"
#include "rpc/exception.h"

#define FREE_CALLS_MAX 256u /* kept for reuse; what a burst needs beyond goes back to malloc */
#define COLLECT_FIRST  (16u * 1024)
#define LOG_ID_LEN     21
#define COLLECT_SMALL  1024u /* as much is collected in the call's own room */

/* Of the random part of a log id: six hexadecimal digits. */
#define LOG_ID_RANDOM_MIN 0x100000u
#define LOG_ID_RANDOM_END 0x1000000u

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
	if (call->id)
		relay_settle(call);
	else if (!call->upload_is_over && call->downstream && relay_wants_body(call))
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
	memset(call, 0, offsetof(struct call, request));
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

bool call_charge(struct call *call, size_t size)
{
	if (size <= CALL_ROOM)
		return true;
	if (!worker_charge(call->worker, size))
		return false;
	call->charged += size;
	return true;
}

size_t call_head_size(const struct rpc_message *m)
{
	return m->head.len + m->n_fields * sizeof *m->fields;
}

struct call *call_take(
    struct world *world, const struct listener_config *listener, struct listener_stats *stats)
{
	struct worker *worker = world->worker;
	struct call *call = take_call(worker);

	call->worker = worker;
	call->world = world;
	world_enter(world);
	call->listener = listener;
	call->listener_stats = stats;
	call->reply_by = USEC_NONE;
	call->failure.reason = REASON_OK;
	call->failure.detail[0] = '\0';
	call->failure.has_exception_id = false;
	call->admission.state = ADMISSION_NONE;
	call->admission.waited = 0;
	call->route.abort = call->route.is_mirrored = false;
	arena_init(&call->arena, call->room, sizeof call->room);
	call->attempt = &call->first;
	attempt_init(&call->first, call);
	counter_add(&worker->calls_running, 1);
	return call;
}

static struct call *call_new(
    struct downstream *d, uint32_t id, const struct rpc_message *m, usec_t started)
{
	struct call *call = call_take(d->worker->world, d->listener, d->stats);

	call->number = ++d->worker->next_call;
	call->downstream = d;
	call->id = id;
	call->started = started;
	call->active_at = started;
	call->request = *m;
	if (!call_charge(call, call_head_size(m)))
		call_fail(call, REASON_OVERLOAD, "no memory for the head (limits.memory)");
	rpc_message_keep_head(&call->request, &call->arena);
	carriage_lift(call);
	call->upload_is_over = m->complete;
	call->bytes_in = m->head.len + m->body.len;
	memcpy(call->source, d->source, sizeof call->source);
	identity_establish(call);
	call->listener_is_gone = d->kept != NULL;
	if (call->world->correlates)
		tying_tie(call);
	trace_begin_call(call);
	list_push_back(&d->calls, &call->link);
	d->n_calls++;
	d->has_called = true;
	if (call->worker->taps)
		tap_call_started(call);
	return call;
}

void call_go(struct call *call)
{
	call->has_begun = true;
	run(call);
}

/* Into the present world, as if it had begun there. False: its listener is not there any more. */
static bool move_on(struct call *call)
{
	struct worker *worker = call->worker;
	const struct listener_config *listener =
	    call->downstream
		? call->downstream->listener
		: snapshot_listener(worker->world->snapshot, slice_str(call->listener->name));

	if (listener == NULL)
		return false;
	world_leave(call->world);
	call->world = worker->world;
	world_enter(call->world);
	call->listener = listener;
	call->policy = NULL;
	return true;
}

void call_is_named(struct call *call, const char *why)
{
	char name[LOG_ESCAPED_MAX];

	log_escape(name, sizeof name,
	    call->request.service_asked.len ? call->request.service_asked
					    : call->request.authority);
	if (why)
		call_fail(call, REASON_NO_ENDPOINT, "service \"%.100s\": %s", name, why);
	else if (!move_on(call))
		call_fail(call, REASON_CANCELED, "its listener was taken away");
	run(call);
}

/* Many at once, each by its number, and no turns. */
static void start_multiplexed(
    struct downstream *d, uint32_t id, const struct rpc_message *m, usec_t started)
{
	struct call *call = call_new(d, id, m, started);

	codec_own(d->codec, id, call);
	log_debug("stream", "RPCStart", "call=%llu", (unsigned long long)call->number);
	call_go(call);
}

void call_start(struct downstream *d, uint32_t id, const struct rpc_message *m, usec_t started)
{
	bool unordered = rpc_message_is_unordered(m);
	struct call *call;

	if (id) {
		start_multiplexed(d, id, m, started);
		return;
	}
	call = call_new(d, 0, m, started);
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

enum protocol call_protocol(const struct call *call)
{
	bool is_told = call->request.method.len || call->id;

	return is_told ? rpc_form_protocol(call->request.form) : PROTOCOL_COUNT;
}

/* The number by which a caller of this protocol knows how its call went. */
unsigned call_failure_status(const struct call *call, enum reason reason)
{
	const struct rpc_status *f = &call->failure;

	if (call->request.form.transport == RPC_HTTP2)
		return f->has_exception_id ? exception_grpc_status(f->exception_id)
					   : (unsigned)reason_grpc_status(reason);
	if (f->has_exception_id)
		return (unsigned)f->exception_id;
	if (call->request.form.transport == RPC_TTSTREAM)
		return (unsigned)reason_ttstream_id(reason);
	return (unsigned)reason_exception_id(reason);
}

void call_refuse(struct downstream *d, uint32_t id, const struct rpc_message *partial,
    const struct rpc_status *why)
{
	static const struct rpc_message nothing = {.timeout = USEC_NONE};
	const struct rpc_message *m = partial ? partial : &nothing;
	struct call *call = call_new(d, id, m, d->message_since ? d->message_since : d->active_at);

	call->has_begun = true;
	call->upload_is_over = true;
	call->failure = *why;
	call->reason = why->reason;
	if (partial && d->writing == NULL) {
		uint64_t sent = d->sent;

		call->status = call_failure_status(call, why->reason);
		codec_send_failure(d->codec, id, &call->request, why, true);
		call->bytes_out = d->sent - sent;
	}
	call_finish(call);
}

/* As Kitex makes them: "02", the time in milliseconds with 13 digits, and a random number in 6
 * hexadecimal ones, the first of which is not 0. Source: kitex pkg/logid/logid.go. */
static void make_log_id(char room[LOG_ID_LEN + 1], usec_t calendar, uint64_t random)
{
	uint64_t ms = calendar / USEC_MS;
	uint64_t number = LOG_ID_RANDOM_MIN + random % (LOG_ID_RANDOM_END - LOG_ID_RANDOM_MIN);

	room[0] = '0';
	room[1] = '2';
	for (int i = 14; i >= 2; i--, ms /= 10)
		room[i] = (char)('0' + ms % 10);
	for (int i = LOG_ID_LEN - 1; i >= 15; i--, number >>= 4)
		room[i] = "0123456789abcdef"[number & 15];
	room[LOG_ID_LEN] = '\0';
}

struct slice call_log_id(struct call *call)
{
	struct worker *worker = call->worker;

	if (call->request.log_id.len)
		return call->request.log_id;
	if (call->log_id[0] == '\0')
		make_log_id(call->log_id, loop_calendar(worker->loop), rng_next(&worker->rng));
	return slice_of(call->log_id, LOG_ID_LEN);
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

	if (call->kept_len + data.len <= COLLECT_SMALL && call->kept_size == 0) {
		if (call->kept == NULL)
			call->kept = arena_alloc(&call->arena, COLLECT_SMALL);
	} else if (call->kept_size < call->kept_len + data.len) {
		while (size - call->kept_len < data.len)
			size *= 2;
		if (!worker_charge(call->worker, size - call->kept_size))
			return false;
		bigger = realloc(call->kept_size ? call->kept : NULL, size);
		if (bigger == NULL) {
			worker_uncharge(call->worker, size - call->kept_size);
			return false;
		}
		if (call->kept_size == 0 && call->kept_len)
			memcpy(bigger, call->kept, call->kept_len);
		call->kept = bigger;
		call->kept_size = size;
	}
	if (data.len)
		memcpy(call->kept + call->kept_len, data.data, data.len);
	call->kept_len += data.len;
	return true;
}

void call_drop_kept(struct call *call)
{
	if (call->kept_size) {
		worker_uncharge(call->worker, call->kept_size);
		free(call->kept);
	}
	call->kept = NULL;
	call->kept_len = call->kept_size = 0;
}

void call_body_failed(struct call *call, const struct rpc_status *why)
{
	call->upload_is_over = true;
	if (call->reply_is_begun) {
		call_event(call, CALL_EVENT_BODY);
		return;
	}
	call->is_spent = true;                   /* what there is of it is not all */
	call_give_up(call, ATTEMPT_CANCELED, 0); /* no fault of the endpoint's */
	call_fail(call, why->reason, "%s", why->detail);
	run(call);
}

/* ---- events ---- */

void call_fail(struct call *call, enum reason reason, const char *format, ...)
{
	va_list args;

	naming_cancel(call);
	admit_cancel(call);
	call->failure.reason = reason;
	call->failure.has_exception_id = false;
	va_start(args, format);
	vsnprintf(call->failure.detail, sizeof call->failure.detail, format, args);
	va_end(args);
	call->has_reply = false;
	call->upload_is_discarded = true;
	call->step = CALL_REPLY;
}

void call_reset_caller(struct call *call, enum reason reason, const char *what)
{
	struct codec_reset reset = {.reason = reason};

	call_fail(call, reason, "%s", what);
	call->reason = reason;
	call->step = CALL_FINISH;
	if (call->id)
		codec_reset(call->downstream->codec, call->id, &reset);
	else
		downstream_abort(call->downstream);
}

/* A reply that has begun cannot be taken back. A stream has an end for it; elsewhere the caller's
 * connection goes with it. */
void call_break_reply(struct call *call, enum reason reason, const char *what)
{
	struct downstream *d = call->downstream;
	struct codec_reset stuck = {.reason = reason};
	bool has_end = call->reply_is_complete; /* behind what does not leave */

	call_give_up(call, ATTEMPT_CANCELED, 0);
	rpc_status_set(&call->failure, reason, "%s", what);
	call->reason = reason;
	call->reply_is_complete = true;
	call->upload_is_discarded = true;
	call->step = CALL_FINISH;
	if (d == NULL)
		return;
	if (call->id == 0) {
		downstream_abort(d);
		return;
	}
	call->status = call_failure_status(call, reason);
	if (call->given_up && call->given_up->is_passed_on)
		codec_reset(d->codec, call->id, call->given_up);
	else if (has_end)
		codec_reset(d->codec, call->id, &stuck);
	else
		codec_send_failure(d->codec, call->id, &call->request, &call->failure, false);
	call->step = CALL_REPLY; /* to its last byte */
}

static void on_failed(struct call *call)
{
	if (call->reply_is_begun)
		call_break_reply(call,
		    call->attempt->outcome == ATTEMPT_BAD_REPLY ? REASON_BAD_REPLY : REASON_RESET,
		    "the endpoint broke off within its reply");
	else
		call->step = CALL_JUDGE;
}

/* A call that is collected on a connection of many has the time of a message to become whole. */
static usec_t whole_by(const struct call *call)
{
	if (call->id == 0 || call->upload_is_over ||
	    (call->is_stream && call->step != CALL_COLLECT))
		return USEC_NONE;
	return usec_after(call->started, call->listener->timeout_message);
}

/* Which of a call's times is up; NULL: none, the timer was early. */
static const char *what_is_up(const struct call *call, usec_t now)
{
	const struct policy *p = call->policy;

	if (now >= call->deadline.at || now >= call->reply_by)
		return "no reply";
	if (now >= whole_by(call))
		return "the call did not become whole in time (timeout.message)";
	if (call->is_stream && now >= usec_after(call->started, p->timeout_stream))
		return "timeout.stream is over";
	if (call->is_stream && now >= usec_after(call->active_at, p->timeout_idle))
		return "nothing moved for timeout.idle";
	if (call->stalled_at &&
	    now >= usec_after(call->stalled_at, call->listener->timeout_write_stall))
		return "the caller does not take its reply (timeout.write_stall)";
	return NULL;
}

static void on_timer(struct timer *timer, usec_t now)
{
	struct call *call = container_of(timer, struct call, timer);

	if (what_is_up(call, now))
		call_event(call, CALL_EVENT_TIMEOUT);
	else
		call_arm(call);
}

void call_arm(struct call *call)
{
	usec_t at = call->deadline.at;

	at = usec_min(usec_min(at, call->reply_by), whole_by(call));
	if (call->is_stream) {
		at = usec_min(at, usec_after(call->started, call->policy->timeout_stream));
		at = usec_min(at, usec_after(call->active_at, call->policy->timeout_idle));
	}
	if (call->stalled_at)
		at =
		    usec_min(at, usec_after(call->stalled_at, call->listener->timeout_write_stall));
	if (!timer_is_set(&call->timer) || call->timer.at > at)
		wheel_set(loop_wheel(call->worker->loop), &call->timer, at, on_timer);
}

void call_upload_is_over(struct call *call)
{
	struct deadline_policy times;
	usec_t now = loop_now(call->worker->loop);

	call->upload_is_over = true;
	if (call->id == 0 || call->policy == NULL || call->has_reply)
		return;
	times = (struct deadline_policy){call->policy->timeout_call, call->policy->timeout_default,
	    call->policy->timeout_margin};
	if (call->request.timeout != USEC_NONE && times.call == USEC_NONE)
		return; /* the caller's own time bounds it */
	call->reply_by = deadline_of(&times, USEC_NONE, now).at;
	if (call->step > CALL_ADMIT)
		call_arm(call);
}

static void on_timeout(struct call *call)
{
	usec_t now = loop_now(call->worker->loop);
	const char *what = what_is_up(call, now);
	bool is_callers = now >= call->deadline.at && call->deadline.is_callers;
	enum reason reason = is_callers ? REASON_CALLER_DEADLINE : REASON_TIMEOUT;
	unsigned long long ms = (now - call->started) / USEC_MS;

	call->is_spent |=
	    now >= whole_by(call); /* nobody else gets what its caller does not send */
	call_give_up(call, ATTEMPT_TIMEOUT, 0);
	if (call->reply_is_begun)
		call_break_reply(call, reason, "the time was up within the reply");
	else if (call->service == NULL)
		call_fail(call, reason, "no answer from the registry within %llu ms", ms);
	else
		call_fail(call, reason, "service %s, %s within %llu ms, attempt %u of %u",
		    call->service->service->config->label, what ? what : "no reply", ms,
		    call->n_attempts, call_attempts_allowed(call));
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
	call_give_up(call, ATTEMPT_CANCELED, call->deadline.at);
	if (call->downstream)
		codec_own(call->downstream->codec, call->id, NULL);
	call->step = CALL_FINISH;
	if (is_answered(call))
		return true;
	if (call->worker->is_ending)
		rpc_status_set(&call->failure, REASON_DRAINING, "the time to drain was over");
	else
		rpc_status_set(&call->failure, REASON_CANCELED, "%s",
		    call->downstream ? "the caller canceled it" : "the caller is gone");
	call->reason = call->failure.reason;
	return true;
}

/* Its caller hears it if it can still be told. What has its answer, or waits for its turn to be
 * written, is let be. False: there is nothing to be done. */
static bool on_drained(struct call *call)
{
	static const char what[] = "the time to drain was over";

	if (is_answered(call) || call->waits_for_turn)
		return false;
	call_give_up(call, ATTEMPT_CANCELED, 0);
	if (call->reply_is_begun)
		call_break_reply(call, REASON_DRAINING, what);
	else if (call->service == NULL)
		call_fail(call, REASON_DRAINING, "%s", what);
	else
		call_fail(call, REASON_DRAINING, "service %s, %s, attempt %u of %u",
		    call->service->service->config->label, what, call->n_attempts,
		    call_attempts_allowed(call));
	return true;
}

void call_has_reply(struct call *call)
{
	const char *why = NULL;

	call->has_reply = true;
	call->first_byte = loop_now(call->worker->loop);
	if (call->is_stream) /* others count as answered when their reply is whole */
		call->reply_by = USEC_NONE;
	call->step = CALL_REPLY;
	if (call->reply.form.transport == RPC_HTTP2 && call->reply.complete && !call->is_stream)
		why = call_reply_is_collected(call, NULL);
	if (why)
		call_fail(call, REASON_BAD_REPLY, "%s", why);
}

void call_keep_reset(struct call *call, const struct codec_reset *why)
{
	call->given_up = arena_alloc(&call->arena, sizeof *call->given_up);
	*call->given_up = *why;
	call->given_up->frame = arena_copy(&call->arena, why->frame);
}

void call_given_up(struct call *call, const struct codec_reset *why)
{
	if (why->reason == REASON_CANCELED) {
		call_keep_reset(call, why);
		call_event(call, CALL_EVENT_CANCEL);
		return;
	}
	call_give_up(call, ATTEMPT_CANCELED, 0);
	call->upload_is_over = true;
	call->is_spent = true; /* what is kept may not be all of it */
	if (call->reply_is_begun)
		call_break_reply(call, why->reason, why->detail);
	else
		call_fail(call, why->reason, "%s", why->detail);
	run(call);
}

void call_event(struct call *call, enum call_what what)
{
	switch (what) {
	case CALL_EVENT_FAILED:
		on_failed(call);
		break;
	case CALL_EVENT_SHOT:
		if (!call_shoots(call))
			return;
		call->step = CALL_TRY;
		break;
	case CALL_EVENT_ADMITTED:
		break;
	case CALL_EVENT_REPLY:
		call_has_reply(call);
		break;
	case CALL_EVENT_TIMEOUT:
		if (call->id == 0 && is_answered(call))
			return; /* answered: only the rest of its own body is still thrown away */
		if (call->waits_for_turn && !call->has_reply)
			return; /* it has failed already */
		on_timeout(call);
		break;
	case CALL_EVENT_DRAINED:
		if (!on_drained(call))
			return;
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

bool call_is_server(const struct call *call)
{
	const struct service_config *pin = call->listener->service;
	const struct service *service;

	if (pin == NULL)
		return false;
	service = call->service ? call->service->service /* else: refused before it was routed */
				: snapshot_service(call->world->snapshot, slice_str(pin->label));
	return service && service->is_local;
}

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
	    .protocol = call_protocol(call),
	    .retries = call->n_attempts ? call->n_attempts - 1 : 0,
	    .is_server = call_is_server(call),
	};
	struct call_series *series = call_stats_find(&worker->calls, &labels);

	call_series_count(series, call->reason, now - call->started);
	if (!reason_is_success(call->reason))
		call_stats_note(
		    &worker->calls, series, call->reason, slice_str(call->failure.detail), now);
	counter_add(&call->listener_stats->calls, 1);
	counter_add(&worker->calls_total, 1);
	counter_add(&worker->bytes_out, call->bytes_out);
}

void call_finish(struct call *call)
{
	struct worker *worker = call->worker;
	struct downstream *d = call->downstream;
	usec_t now = loop_now(worker->loop);

	assert(call->n_running == 0); /* they would come back to it */
	wheel_clear(&call->timer);
	wheel_clear(&call->shot);
	naming_cancel(call);
	admit_cancel(call);
	admit_finish(call);
	if (d && call->id)
		codec_own(d->codec, call->id, NULL);
	if (call->id)
		log_debug("stream", "RPCFinish", "call=%llu reason=%s in=%llu out=%llu",
		    (unsigned long long)call->number, reason_name(call->reason),
		    (unsigned long long)call->up.messages, (unsigned long long)call->down.messages);
	counter_sub(&worker->calls_running, 1);
	if (call->is_mirror) {
		worker->n_mirrors--;
	} else {
		count(call, now);
		if (call->trace)
			trace_end_call(call, now);
		if (worker->access_sink)
			access_log_call(call, now);
		if (worker->taps)
			tap_call_ended(call, now);
	}
	if (d == NULL)
		list_remove(&call->link);
	call_drop_kept(call);
	if (call->introduction)
		introduction_unref(&call->introduction);
	worker_uncharge(worker, call->charged);
	arena_fini(&call->arena);
	world_leave(call->world);
	if (d)
		downstream_call_done(d, call);
	give_call(worker, call);
}
