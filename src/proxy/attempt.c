#include "proxy/attempt.h"

#include <errno.h>

#include "base/log.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/call.h"
#include "proxy/carriage.h"
#include "proxy/downstream.h"
#include "proxy/relay.h"
#include "proxy/trace.h"
#include "proxy/tying.h"
#include "proxy/upstream.h"
#include "proxy/world.h"

#define FLUSH_POLL    (5 * USEC_MS) /* for a oneway that the kernel did not take at once */
#define BACKLOG_FIRST (1 * USEC_MS)
#define BACKLOG_LAST  (50 * USEC_MS)

static usec_t now_of(const struct attempt *a)
{
	return loop_now(a->call->worker->loop);
}

void attempt_init(struct attempt *a, struct call *call)
{
	*a = (struct attempt){.call = call};
	list_init(&a->link);
}

/* What ejection counts against an endpoint; a full accept queue is not its fault. */
static unsigned fault_of(const struct attempt *a, enum attempt_outcome outcome)
{
	switch (outcome) {
	case ATTEMPT_CONNECT_FAILED:
		return a->state == ATTEMPT_BACKLOG ? 0 : EJECT_ON_CONNECT;
	case ATTEMPT_RESET:
		return EJECT_ON_RESET;
	case ATTEMPT_TIMEOUT:
		return EJECT_ON_TIMEOUT;
	case ATTEMPT_BAD_REPLY:
		return EJECT_ON_BAD_REPLY;
	case ATTEMPT_OK:
	case ATTEMPT_EXCEPTION:
		return a->is_sick ? EJECT_ON_BIZ : 0;
	case ATTEMPT_UNSENT:
	case ATTEMPT_CANCELED:
	case ATTEMPT_LOST:
	case ATTEMPT_OUTCOMES:
		break;
	}
	return 0;
}

/* What a reply, or its trailers, say of the endpoint's own health. */
static void note_health(struct attempt *a, const struct rpc_message *m)
{
	const struct eject_policy *eject = &a->call->service->service->config->policy.eject;
	int32_t code;

	if (eject->on & EJECT_ON_BIZ)
		a->is_sick = rpc_biz_code(m, &code) && code_list_has(&eject->biz, code);
}

/* What the operator lets a call, or an attempt, take. */
static usec_t allowed_time(const struct call *call)
{
	const struct policy *p = call->policy;
	usec_t whole = p->timeout_call;

	if (whole == USEC_NONE && call->deadline.stated == USEC_NONE)
		whole = p->timeout_default;
	return usec_min(whole, p->timeout_attempt);
}

/* Callers that are slow to send or to read, that let a stream rest or allow no time to speak of say
 * nothing of the endpoint. */
static bool is_fair_timeout(const struct attempt *a)
{
	const struct call *call = a->call;
	usec_t since = a->state == ATTEMPT_CONNECTING ? a->began : a->asked;

	if (a->state < ATTEMPT_CONNECTING || since == 0 || call->stalled_at ||
	    call->waits_for_turn || (call->is_stream && call->has_reply))
		return false;
	return now_of(a) - since >=
	       eject_fair_time(histogram_quantile(&a->backend->took, 0.9), allowed_time(call));
}

/* A call that the protocol cannot carry was never sent, nor one for which we had no descriptor. */
static bool is_innocent(const struct attempt *a, enum attempt_outcome outcome)
{
	if (outcome == ATTEMPT_CONNECT_FAILED)
		return conn_error_is_ours(a->error);
	if (outcome == ATTEMPT_BAD_REPLY)
		return a->state < ATTEMPT_WAITING;
	return outcome == ATTEMPT_TIMEOUT && !is_fair_timeout(a);
}

static bool is_answer(enum attempt_outcome outcome)
{
	return outcome == ATTEMPT_OK || outcome == ATTEMPT_EXCEPTION;
}

static void tell_tally(struct attempt *a, enum attempt_outcome outcome)
{
	const struct service *service = a->call->service->service;
	struct endpoint_tally *tally = service->endpoint_tallies[a->endpoint];
	const struct eject_policy *eject = &service->config->policy.eject;
	unsigned fault = fault_of(a, outcome);

	if (fault == 0) {
		if (is_answer(outcome))
			endpoint_tally_good(tally);
		return;
	}
	a->call->is_blameless = is_innocent(a, outcome);
	if (!a->call->is_blameless && eject->on & fault &&
	    endpoint_tally_bad(tally, eject, now_of(a)))
		log_warn("endpoint", "ejected",
		    "service=%s endpoint=%s after=%u last=%s for_ms=%llu", service->config->label,
		    a->backend->address.text, eject->consecutive,
		    fault == EJECT_ON_BIZ ? reason_name(REASON_BIZ_ERROR)
					  : attempt_outcome_name(outcome),
		    (unsigned long long)(eject->time / USEC_MS));
}

static void count_outcome(struct attempt *a, enum attempt_outcome outcome)
{
	struct service_tally *tally = a->call->service->service->tally;
	struct backend *b = a->backend;
	usec_t took = now_of(a) - a->began;

	a->took = took;
	if (!atomic_load_explicit(&tally->is_used, memory_order_relaxed))
		atomic_store_explicit(&tally->is_used, true, memory_order_relaxed);
	counter_add(&b->stats->attempts[outcome], 1);
	counter_sub(&b->in_flight, 1);
	if (is_answer(outcome)) {
		histogram_add(&b->took, took);
		if (a->call->service->service->config->balance.type == LB_PEAK_EWMA)
			backend_note_reply(b, took, now_of(a));
	} else if (outcome != ATTEMPT_CANCELED && outcome != ATTEMPT_LOST) {
		counter_add(&b->errors, 1);
	}
	tell_tally(a, outcome);
}

static void wait_no_more(struct attempt *a)
{
	if (a->waits_for_pool)
		counter_sub(&a->backend->waiting, 1);
	a->waits_for_pool = false;
}

/* The one way for an attempt to end. */
static void end(struct attempt *a, enum attempt_outcome outcome)
{
	count_outcome(a, outcome);
	if (a->call->trace)
		trace_end_attempt(a, outcome);
	if (a->flight.process)
		tying_end(a, outcome);
	a->state = ATTEMPT_NONE;
	a->is_sending = false;
	a->outcome = outcome;
	a->call->n_running--;
	if (a->waits_for_pool)
		list_remove(&a->link);
	wait_no_more(a);
	wheel_clear(&a->timer);
}

/* Notes why it failed; whoever began the try ends the attempt, or tries once more. */
static bool note(struct attempt *a, enum attempt_outcome outcome, int error, const char *why)
{
	a->outcome = outcome;
	a->error = error;
	a->why = why;
	return false;
}

static void tell_failed(struct attempt *a)
{
	a->call->failed = a;
	call_event(a->call, CALL_EVENT_FAILED);
}

static void fail(struct attempt *a, enum attempt_outcome outcome, int error, const char *why)
{
	note(a, outcome, error, why);
	end(a, outcome);
	tell_failed(a);
}

static bool send_call(struct attempt *a);
static bool try_connect(struct attempt *a);

static void try_again(struct attempt *a)
{
	if (!try_connect(a))
		fail(a, a->outcome, a->error, a->why);
	else if (a->state != ATTEMPT_BACKLOG)
		call_event(a->call, CALL_EVENT_BODY);
}

static const char *why_no_connection(const struct attempt *a)
{
	if (a->waits_for_pool)
		return "no connection became free within timeout.connect (pool.connections)";
	if (a->state == ATTEMPT_BACKLOG)
		return "it took neither connections nor bytes";
	return "connect timeout";
}

static void connect_timer(struct timer *timer, usec_t now)
{
	struct attempt *a = container_of(timer, struct attempt, timer);

	if (a->state == ATTEMPT_BACKLOG && now < a->connect_until) {
		try_again(a);
		return;
	}
	if (a->upstream)
		upstream_abandon(a->upstream, a, false, 0);
	fail(a, ATTEMPT_CONNECT_FAILED, ETIMEDOUT, why_no_connection(a));
}

static void reply_timer(struct timer *timer, usec_t now)
{
	struct attempt *a = container_of(timer, struct attempt, timer);

	(void)now;
	attempt_give_up(a, ATTEMPT_TIMEOUT, 0);
	a->why = "no reply within timeout.attempt";
	tell_failed(a);
}

static enum upstream_use use_of(const struct call *call)
{
	const struct rpc_message *m = &call->request;

	if (call->target.transport == RPC_HTTP2)
		return UPSTREAM_FOR_HTTP2;
	if (call->target.transport == RPC_TTSTREAM)
		return UPSTREAM_FOR_TTSTREAM;
	if (m->kind == RPC_ONEWAY)
		return m->complete ? UPSTREAM_FOR_ONEWAY : UPSTREAM_FOR_LONG_ONEWAY;
	if (call->service->service->config->multiplex && call->target.transport == RPC_TTHEADER &&
	    m->complete && m->body.len <= CODEC_RELAY_ABOVE)
		return UPSTREAM_FOR_MANY;
	return UPSTREAM_FOR_CALL;
}

static void wait_backlog(struct attempt *a)
{
	struct loop *loop = a->call->worker->loop;
	usec_t at = usec_min(loop_now(loop) + a->backlog_wait, a->connect_until);

	a->state = ATTEMPT_BACKLOG;
	a->backlog_wait = usec_min(a->backlog_wait * 2, BACKLOG_LAST);
	counter_add(&a->backend->stats->connect_backlog, 1);
	counter_add(&a->backend->backlog, 1);
	wheel_set(loop_wheel(loop), &a->timer, at, connect_timer);
}

static void wait_for_pool(struct attempt *a)
{
	a->state = ATTEMPT_BACKLOG;
	if (!a->waits_for_pool)
		counter_add(&a->backend->waiting, 1);
	a->waits_for_pool = true;
	wheel_set(loop_wheel(a->call->worker->loop), &a->timer, a->connect_until, connect_timer);
}

/* A pooled connection may turn out to be dead only when it is written to; as no byte has left, the
 * next one is as good, until a fresh one is made. */
static bool try_connect(struct attempt *a)
{
	struct loop *loop = a->call->worker->loop;
	int error = 0;

	for (;;) {
		bool was_reused;

		switch (upstream_lease(a->backend, use_of(a->call), a, &error)) {
		case LEASE_FAILED:
			return note(a, ATTEMPT_CONNECT_FAILED, error, NULL);
		case LEASE_BACKLOG:
			wait_backlog(a);
			return true;
		case LEASE_FULL:
			wait_for_pool(a);
			return true;
		case LEASE_PENDING:
			a->state = ATTEMPT_CONNECTING;
			wheel_set(loop_wheel(loop), &a->timer, a->connect_until, connect_timer);
			return true;
		case LEASE_READY:
			break;
		}
		was_reused = a->upstream->is_reused;
		if (!was_reused)
			backend_note_connect(a->backend, loop_now(loop) - a->began);
		if (send_call(a))
			return true;
		if (a->outcome != ATTEMPT_UNSENT || !was_reused)
			return false;
	}
}

bool attempt_begin(struct attempt *a, size_t endpoint)
{
	struct backend *backend = world_backend(a->call->world, a->call->service, endpoint);
	usec_t now = now_of(a);

	a->endpoint = endpoint;
	a->mark = a->call->mark;
	a->backend = backend;
	a->began = now;
	a->id = 0;
	a->stream = 0;
	a->error = 0;
	a->why = NULL;
	a->asked = 0;
	a->backlog_wait = BACKLOG_FIRST;
	a->is_offered = a->waits_for_pool = a->is_sick = false;
	a->connect_until = usec_after(now, a->call->policy->timeout_connect);
	a->call->n_running++;
	if (a->call->trace)
		trace_begin_attempt(a);
	counter_add(&backend->in_flight, 1);
	counter_add(&backend->calls, 1);
	if (try_connect(a))
		return true;
	end(a, a->outcome);
	return false;
}

static void set_reply_timer(struct attempt *a)
{
	usec_t limit = a->call->policy->timeout_attempt;
	usec_t from = a->call->id ? now_of(a) : a->began; /* of streams: from their caller's end */

	if (limit != USEC_NONE && (a->call->id == 0 || !a->is_sending))
		wheel_set(loop_wheel(a->call->worker->loop), &a->timer, usec_after(from, limit),
		    reply_timer);
	else if (timer_is_set(&a->timer))
		wheel_clear(&a->timer);
}

/* A write that broke: nothing else will tell. */
static bool write_broke(struct attempt *a)
{
	struct upstream *u = a->upstream;
	bool unsent = upstream_is_unsent(u, a->start);
	int error = u->write_error;

	upstream_abandon(u, a, false, 0);
	upstream_break(u, error, NULL);
	return note(a, unsent ? ATTEMPT_UNSENT : ATTEMPT_RESET, error, NULL);
}

/* The head, and what has come of the body. */
static bool write_call(struct attempt *a, struct rpc_edit *edit)
{
	struct call *call = a->call;
	struct upstream *u = a->upstream;

	if (upstream_is_multiplexed(u))
		upstream_begin(u, a);
	if (!codec_send_message(u->codec, a->stream, &call->request, edit)) {
		upstream_abandon(u, a, false, 0);
		return note(a, ATTEMPT_BAD_REPLY, 0, "the call's header does not fit the protocol");
	}
	a->state = ATTEMPT_WAITING;
	a->is_sending = !call->request.complete;
	a->asked = a->is_sending ? 0 : now_of(a);
	if (call->is_stream && a->is_sending)
		relay_begin(a);
	return u->write_error ? write_broke(a) : true;
}

static bool send_call(struct attempt *a)
{
	struct call *call = a->call;
	struct upstream *u = a->upstream;
	struct rpc_edit edit = {.form = call->target};

	upstream_use_policy(u, call->policy->pool_keep, call->policy->pool_idle_timeout);
	a->start = upstream_written(u);
	call->connected = now_of(a);
	call_request_edit(call, a, &edit);
	if (call->world->correlates)
		tying_begin(a, &edit);
	if (!write_call(a, &edit))
		return false;
	a->end = upstream_written(u);
	worker_count_dropped(call->worker, edit.dropped);
	if (u->number && call->request.kind == RPC_ONEWAY)
		oneway_notes_add(&u->oneways, a, now_of(a));
	set_reply_timer(a);
	return true;
}

static bool has_sent(struct attempt *a, bool last)
{
	if (a->upstream->write_error) {
		write_broke(a);
		end(a, a->outcome);
		return false;
	}
	a->end = upstream_written(a->upstream);
	a->is_sending = !last;
	a->asked = last ? now_of(a) : 0;
	if (last && a->call->id && a->state == ATTEMPT_WAITING)
		set_reply_timer(a);
	return true;
}

bool attempt_send_data(struct attempt *a, struct slice data, bool last)
{
	codec_send_data(a->upstream->codec, a->stream, data, last);
	upstream_ask(a->upstream);
	return has_sent(a, last);
}

void attempt_send_end(struct attempt *a, const struct rpc_message *trailers)
{
	codec_send_end(a->upstream->codec, a->stream, trailers);
	a->end = upstream_written(a->upstream);
	a->is_sending = false;
	a->asked = now_of(a);
	if (a->state == ATTEMPT_WAITING)
		set_reply_timer(a);
}

bool attempt_is_full(const struct attempt *a)
{
	const struct upstream *u = a->upstream;

	if (u && a->stream) /* what a full connection does not take waits there, and is told of */
		return codec_pending(u->codec, a->stream) > CODEC_RELAY_ABOVE;
	return u && upstream_is_full(u);
}

bool attempt_is_unsent(const struct attempt *a)
{
	return a->upstream && upstream_is_unsent(a->upstream, a->start);
}

static void flush_timer(struct timer *timer, usec_t now)
{
	(void)now;
	call_event(container_of(timer, struct attempt, timer)->call, CALL_EVENT_BODY);
}

bool attempt_finish_oneway(struct attempt *a)
{
	struct loop *loop = a->call->worker->loop;

	if (!upstream_is_unsent(a->upstream, a->end - 1)) {
		attempt_give_up(a, ATTEMPT_OK, 0);
		return true;
	}
	upstream_watch(a->upstream, a);
	wheel_set(loop_wheel(loop), &a->timer, loop_now(loop) + FLUSH_POLL, flush_timer);
	return false;
}

/* The endpoint hears why: in its caller's own words, if those can be passed on. */
static void reset_stream(struct attempt *a, enum attempt_outcome outcome)
{
	static const enum reason reasons[ATTEMPT_OUTCOMES] = {
	    [ATTEMPT_TIMEOUT] = REASON_TIMEOUT,
	    [ATTEMPT_BAD_REPLY] = REASON_BAD_REPLY,
	    [ATTEMPT_CANCELED] = REASON_CANCELED,
	    [ATTEMPT_LOST] = REASON_CANCELED,
	};
	const struct call *call = a->call;
	struct codec_reset why = {.reason = reasons[outcome]};

	if (call->is_stream && call->given_up && outcome == ATTEMPT_CANCELED)
		why = *call->given_up;
	codec_reset(a->upstream->codec, a->stream, &why);
}

void attempt_give_up(struct attempt *a, enum attempt_outcome outcome, usec_t until)
{
	struct upstream *u = a->upstream;
	bool sent =
	    !a->is_sending && (a->state == ATTEMPT_WAITING || a->state == ATTEMPT_RECEIVING);

	if (a->state == ATTEMPT_NONE)
		return;
	if (u && a->stream)
		reset_stream(a, outcome);
	if (a->stream && outcome == ATTEMPT_TIMEOUT)
		upstream_doubt(u, a);
	if (u)
		upstream_abandon(u, a, sent, until);
	if (u && a->flight.process && u->state == UPSTREAM_DISCARDING)
		tying_leave(a, u);
	end(a, outcome);
}

void attempt_pause(struct attempt *a)
{
	if (a->upstream)
		upstream_pause(a->upstream);
}

void attempt_resume(struct attempt *a)
{
	if (a->upstream)
		upstream_resume(a->upstream);
}

/* ---- from the upstream ---- */

void attempt_offered(struct attempt *a)
{
	wheel_clear(&a->timer);
	wait_no_more(a);
	a->is_offered = true;
	try_again(a);
}

void attempt_connected(struct attempt *a)
{
	bool ok;

	wheel_clear(&a->timer);
	backend_note_connect(a->backend, now_of(a) - a->began);
	if (upstream_has_room(a->upstream)) {
		ok = send_call(a);
	} else { /* others were there first: another connection, or later */
		a->upstream = NULL;
		ok = try_connect(a);
	}
	if (ok)
		call_event(a->call, CALL_EVENT_BODY); /* a long call may go on, a oneway is done */
	else
		fail(a, a->outcome, a->error, a->why);
}

void attempt_broken(struct attempt *a, int error, const char *why)
{
	bool was_connecting = a->state == ATTEMPT_CONNECTING;
	bool unsent = a->upstream && upstream_is_unsent(a->upstream, a->start);

	if (a->state == ATTEMPT_NONE)
		return;
	a->upstream = NULL;
	fail(a,
	    was_connecting ? ATTEMPT_CONNECT_FAILED
	    : unsent       ? ATTEMPT_UNSENT
			   : ATTEMPT_RESET,
	    error, why);
}

void attempt_room(struct attempt *a)
{
	if (a->call->id)
		relay_settle(a->call);
	else if (a->is_sending)
		call_event(a->call, CALL_EVENT_BODY);
}

void attempt_bad_reply(struct attempt *a, const char *why)
{
	struct upstream *u = a->upstream;

	if (a->state == ATTEMPT_NONE)
		return;
	if (u) {
		upstream_abandon(u, a, false, 0);
		upstream_break(u, 0, "a bad reply came on its connection");
	}
	fail(a, ATTEMPT_BAD_REPLY, 0, why);
}

/*
 * A good reply carries the id and the method of its call. An exception may carry neither: servers
 * that could not read the call make one up. Source: kitex pkg/remote/codec/util.go SetOrCheckSeqID.
 */
static const char *check_reply(struct attempt *a, const struct rpc_message *m)
{
	const struct rpc_message *call = &a->call->request;
	int32_t seq = a->id ? a->id : call->seq;

	if (a->stream)
		return NULL; /* its stream says whose it is */
	if (m->form.payload != call->form.payload)
		return "the reply is of another payload than the call";
	if (m->kind == RPC_EXCEPTION)
		return NULL;
	if (m->seq != seq)
		return "the reply carries another sequence id";
	if (!slice_eq(m->method, call->method))
		return "the reply carries another method";
	if (a->id == 0 && m->form.transport == RPC_TTHEADER &&
	    m->transport_seq != call->transport_seq)
		counter_add(&a->backend->stats->odd_sequence_ids, 1);
	return NULL;
}

/* After which replies a server keeps the connection: good ones, and a handler's own error. */
static bool is_reusable(const struct rpc_message *m)
{
	if (m->marks & RPC_HAS_CRRST)
		return false;
	return m->kind == RPC_REPLY || codec_exception_id(m) == RPC_EXCEPTION_INTERNAL;
}

/* Whole: back with the connection, before the call hears of it: its caller's next call can have
 * it. */
static void end_whole(struct attempt *a, bool is_ok, bool clean)
{
	struct upstream *u = a->upstream;

	/* What is still to come of the call, or still to leave, interests nobody. */
	if (a->stream && (a->is_sending || codec_pending(u->codec, a->stream))) {
		struct codec_reset done = {.reason = REASON_OK};

		codec_reset(u->codec, a->stream, &done);
	}
	clean &= !a->is_sending;
	end(a, is_ok ? ATTEMPT_OK : ATTEMPT_EXCEPTION);
	upstream_return(u, a, clean);
}

static bool is_good(const struct rpc_message *m)
{
	return m->kind != RPC_EXCEPTION && m->status <= 0;
}

/* A bad one, for which there is to be a better. */
static void drop_reply(struct attempt *a, const struct rpc_message *m, bool clean)
{
	a->upstream->is_unclean = !is_reusable(m);
	if (m->complete)
		end_whole(a, is_good(m), clean);
	else
		attempt_give_up(a, ATTEMPT_EXCEPTION, 0);
	tell_failed(a);
}

void attempt_reply(struct attempt *a, const struct rpc_message *m, bool clean)
{
	struct call *call = a->call;
	const char *why = check_reply(a, m);
	struct rpc_message noted;

	if (why) {
		attempt_bad_reply(a, why);
		return;
	}
	if (carriage_reads_replies(call)) {
		noted = *m;
		carriage_note_reply(call, &noted);
		m = &noted;
	}
	note_health(a, m);
	if (!call_takes_reply(call, a, m)) {
		drop_reply(a, m, clean);
		return;
	}
	call_choose(call, a);
	call->reply = *m;
	a->upstream->is_unclean = !is_reusable(m);
	if (m->complete) {
		end_whole(a, is_good(m), clean);
	} else {
		a->state = ATTEMPT_RECEIVING;
		wheel_clear(&a->timer);
	}
	call_event(call, CALL_EVENT_REPLY);
}

/* Clients of gRPC take a second block of headers for an error; of plain HTTP they may want it. */
void attempt_interim(struct attempt *a, const struct rpc_message *m)
{
	struct call *call = a->call;
	struct rpc_edit edit = {.form = m->form};

	if (call->is_stream && call->downstream && !call->reply_is_begun &&
	    call->request.form.payload == RPC_OPAQUE)
		codec_send_message(call->downstream->codec, call->id, m, &edit);
}

void attempt_data(struct attempt *a, const struct codec_item *item, bool clean)
{
	struct call *call = a->call;

	if (item->last)
		end_whole(a, is_good(&call->reply), clean);
	relay_reply(call, item);
}

void attempt_reply_end(struct attempt *a, const struct rpc_message *trailers)
{
	note_health(a, trailers);
	end_whole(a, is_good(trailers), true);
	relay_reply_end(a->call, trailers);
}

void attempt_reset(struct attempt *a, const struct codec_reset *why)
{
	struct call *call = a->call;
	enum attempt_outcome outcome = why->is_unprocessed              ? ATTEMPT_UNSENT
				       : why->reason == REASON_RESET    ? ATTEMPT_RESET
				       : why->reason == REASON_OVERLOAD ? ATTEMPT_RESET
									: ATTEMPT_BAD_REPLY;

	if (a->state == ATTEMPT_NONE)
		return;
	if (why->is_passed_on)
		call_keep_reset(call, why);
	upstream_abandon(a->upstream, a, true, 0);
	fail(a, outcome, 0, arena_str(&call->arena, slice_str(why->detail)));
}
