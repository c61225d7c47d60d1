/*
 * The tries of a call: which endpoint, when another attempt follows or joins, whose reply it is,
 * and where the call is led when nothing came of it.
 */
#include <stdio.h>
#include <string.h>

#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/call.h"
#include "proxy/downstream.h"
#include "proxy/facts.h"
#include "proxy/mirror.h"
#include "proxy/tying.h"
#include "proxy/world.h"
#include "rpc/facts.h"

#define SPARE_MAX 4096u /* bytes of a bad reply's body that are kept */

static usec_t now_of(const struct call *call)
{
	return loop_now(call->worker->loop);
}

static enum step go(struct call *call, enum call_step next)
{
	call->step = next;
	return STEP_NEXT;
}

bool call_may_repeat(const struct call *call)
{
	return retry_needs_idempotent(&call->policy->retry) || call->policy->fallback_on;
}

/* All of the call is here, to be sent as often as need be. A stream has ended on its caller's side;
 * only gRPC's may be a unary call. */
bool call_is_whole(const struct call *call)
{
	if (call->is_spent)
		return false;
	if (call->id && call->is_stream)
		return call->upload_is_over && call->request.form.transport == RPC_HTTP2 &&
		       call->request.form.payload != RPC_OPAQUE;
	return call->request.complete;
}

/* ---- attempts ---- */

/* One that is over is used again, but where each has to be told of in the end. */
static struct attempt *take_attempt(struct call *call)
{
	struct attempt *a, **end = &call->first.next;

	if (call->n_attempts == 0 || (call->first.state == ATTEMPT_NONE && !call->went_to_all))
		return &call->first;
	for (; *end; end = &(*end)->next)
		if ((*end)->state == ATTEMPT_NONE && !call->went_to_all)
			return *end;
	a = arena_alloc(&call->arena, sizeof *a);
	attempt_init(a, call);
	*end = a;
	return a;
}

void call_give_up(struct call *call, enum attempt_outcome outcome, usec_t until)
{
	wheel_clear(&call->shot);
	call->waits_to_try = false;
	for (struct attempt *a = &call->first; a; a = a->next)
		attempt_give_up(a, outcome, until);
}

void call_choose(struct call *call, struct attempt *chosen)
{
	call->attempt = chosen;
	call->endpoint = &call->service->service->endpoints[chosen->endpoint];
	if (timer_is_set(&call->shot))
		wheel_clear(&call->shot);
	call->waits_to_try = false;
	if (call->n_running <= 1)
		return;
	for (struct attempt *a = &call->first; a; a = a->next)
		if (a != chosen)
			attempt_give_up(a, ATTEMPT_LOST, call->deadline.at);
}

/* ---- try ---- */

static struct lb_load load_of(const void *arg, size_t endpoint)
{
	const struct call *call = arg;

	return backend_load(world_backend(call->world, call->service, endpoint), now_of(call));
}

/* As in a restart of one endpoint after another: one that was ejected may be back before the next
 * goes. */
static bool was_not_there(const struct attempt *a)
{
	return a && a->outcome == ATTEMPT_CONNECT_FAILED;
}

static struct balance_request balance_request(const struct call *call)
{
	return (struct balance_request){
	    .service = call->service->service,
	    .group = call->route.group,
	    .has_hash = call->route.has_hash,
	    .hash = call->route.hash,
	    .tried = call->tried,
	    .n_tried = call->n_attempts < CALL_TRIED_MAX ? call->n_attempts : CALL_TRIED_MAX,
	    .avoids_tried = call->n_attempts && was_not_there(call->failed),
	    .load = load_of,
	    .arg = call,
	    .now = now_of(call),
	};
}

static size_t pick(struct call *call)
{
	struct balance_request request = balance_request(call);

	if (call->n_attempts > 0 && call->policy->retry.same_endpoint)
		return call->attempt->endpoint;
	return balance_pick(
	    world_balance(call->world, call->service, request.group), &request, &call->worker->rng);
}

/* The call may have to be written later, or again, when its first bytes have not surely left. */
static bool may_need_body(const struct call *call, const struct attempt *a)
{
	return a->state == ATTEMPT_BACKLOG || a->state == ATTEMPT_CONNECTING || a->id != 0 ||
	       a->stream != 0 || /* its endpoint may refuse it unprocessed */
	       attempt_is_unsent(a) || call_may_repeat(call);
}

static void arm_backup(struct call *call);

/* False: it has failed at once, and call->failed says so. */
static bool begin(struct call *call, size_t endpoint)
{
	struct attempt *a = take_attempt(call);

	if (call->n_attempts == 0) {
		call->tried_at = now_of(call);
		if (retry_needs_idempotent(&call->policy->retry))
			budget_count_call(&call->service->service->tally->budget, now_of(call));
	}
	if (call->n_attempts < CALL_TRIED_MAX)
		call->tried[call->n_attempts] = endpoint;
	call->n_attempts++;
	call->attempt = a;
	call->endpoint = &call->service->service->endpoints[endpoint];
	call->given_up = NULL;
	if (attempt_begin(a, endpoint))
		return true;
	call->failed = a;
	return false;
}

/* False: the call has failed for want of memory. */
static bool keep_body(struct call *call)
{
	if (call->is_stream || !may_need_body(call, call->attempt) || call_keep_body(call))
		return true;
	call_give_up(call, ATTEMPT_CANCELED, 0);
	call_fail(call, REASON_OVERLOAD, "no memory to keep the call (limits.memory)");
	return false;
}

bool call_goes_to_all(const struct call *call)
{
	enum retry_type type = call->policy->retry.type;

	return type == RETRY_FORK || type == RETRY_BROADCAST;
}

/* What is written once more may have to wait in one more queue. False: no memory for that. */
static bool charge_again(struct call *call)
{
	return call_charge(call, call->kept_len ? call->kept_len : call->request.body.len);
}

/* To all that are usable, or to all; from a random one on, where there are more than can be
 * asked. */
static enum step try_all(struct call *call)
{
	const struct endpoint_group *group = call->route.group;
	struct balance_request request = balance_request(call);
	bool is_panic = balance_is_panic(request.service, group, request.now);
	bool is_broadcast = call->policy->retry.type == RETRY_BROADCAST, any = false;
	size_t start = group->n ? (size_t)rng_below(&call->worker->rng, group->n) : 0;

	call->went_to_all = true;
	for (unsigned pass = 0; pass < 2 && !any; pass++) {
		for (size_t i = 0; i < group->n && call->n_attempts < RETRY_FAN_MAX; i++) {
			size_t endpoint = group->members[(start + i) % group->n];

			if (pass == 0 && !is_panic && balance_why_not(&request, endpoint))
				continue;
			if (balance_is_disabled(request.service, endpoint))
				continue;
			if (call->n_attempts && !charge_again(call))
				break;
			any = true;
			if (!begin(call, endpoint) && is_broadcast)
				return go(call, CALL_JUDGE);
			if (call->n_running && !keep_body(call))
				return STEP_NEXT;
		}
	}
	if (call->n_running && mirror_is_due(call))
		mirror_send(call);
	if (call->n_running)
		return go(call, CALL_AWAIT);
	if (any)
		return go(call, CALL_JUDGE);
	call_fail(call, REASON_NO_ENDPOINT, "service %s has none that takes calls",
	    call->service->service->config->label);
	return STEP_NEXT;
}

enum step call_step_try(struct call *call)
{
	size_t endpoint;

	if (call->handed_on)
		tying_complete(call);
	if (call_goes_to_all(call) && call->n_attempts == 0 && call_is_whole(call))
		return try_all(call);
	endpoint = pick(call);
	if (endpoint == LB_NONE && call->n_running)
		return go(call, CALL_AWAIT); /* for those that run */
	if (endpoint == LB_NONE) {
		call_fail(call, REASON_NO_ENDPOINT, "service %s has none that takes calls",
		    call->service->service->config->label);
		return STEP_NEXT;
	}
	if (!begin(call, endpoint))
		return go(call, CALL_JUDGE);
	if (!keep_body(call))
		return STEP_NEXT;
	if (mirror_is_due(call))
		mirror_send(call);
	arm_backup(call);
	return go(call, CALL_AWAIT);
}

enum step call_step_await(struct call *call)
{
	if (mirror_is_due(call)) /* its last piece has come */
		mirror_send(call);
	if (call->request.kind != RPC_ONEWAY)
		return STEP_WAIT;
	for (struct attempt *a = &call->first; a; a = a->next)
		if (a->state == ATTEMPT_WAITING && !a->is_sending)
			attempt_finish_oneway(a);
	return call->n_running || call->waits_to_try ? STEP_WAIT : go(call, CALL_FINISH);
}

/* ---- what a reply is worth ---- */

static enum retry_outcome outcome_of(const struct attempt *a)
{
	switch (a->outcome) {
	case ATTEMPT_CONNECT_FAILED:
		return RETRY_CONNECT_FAILED;
	case ATTEMPT_UNSENT:
		return RETRY_UNSENT;
	case ATTEMPT_RESET:
		return RETRY_RESET;
	case ATTEMPT_TIMEOUT:
		return RETRY_TIMED_OUT;
	case ATTEMPT_OK:
	case ATTEMPT_EXCEPTION:
		return a->result;
	case ATTEMPT_BAD_REPLY:
	case ATTEMPT_CANCELED:
	case ATTEMPT_LOST:
	case ATTEMPT_OUTCOMES:
		break;
	}
	return RETRY_OTHER;
}

static enum retry_outcome value_of(const struct rpc_message *m, int32_t *number)
{
	*number = 0;
	if (m->kind == RPC_REPLY && !(m->marks & RPC_HAS_BIZ) && m->status <= 0)
		return RETRY_GOOD;
	if (rpc_is_overload(m))
		return RETRY_OVERLOADED;
	if (m->marks & RPC_HAS_BIZ)
		return rpc_biz_code(m, number) ? RETRY_BIZ_ERROR : RETRY_OTHER;
	if (m->kind == RPC_EXCEPTION) {
		*number = codec_exception_id(m);
		return RETRY_EXCEPTION;
	}
	*number = m->status > INT32_MAX ? INT32_MAX : (int32_t)m->status;
	return m->form.transport == RPC_HTTP2 ? RETRY_GRPC : RETRY_OTHER;
}

/* While others run, a business error is an answer like any other, unless the policy says
 * otherwise. */
static bool is_good_enough(const struct retry_policy *p, enum retry_outcome result, int32_t number)
{
	return result == RETRY_GOOD ||
	       (result == RETRY_BIZ_ERROR && !code_list_has(&p->biz, number));
}

/* May there be another attempt at all? What the policy says comes after. */
static bool can_try_again(const struct call *call, enum retry_outcome outcome)
{
	bool is_safe = outcome == RETRY_CONNECT_FAILED || outcome == RETRY_UNSENT;

	if (call->is_spent || call->has_reply || call->n_attempts >= CALL_TRIED_MAX ||
	    now_of(call) >= call->deadline.at || call_goes_to_all(call) || call->is_mirror)
		return false;
	if (is_safe)
		return true;
	return call->downstream && call->request.kind != RPC_ONEWAY && call_is_whole(call);
}

static struct retry_state retry_state_of(const struct call *call)
{
	return (struct retry_state){
	    .attempts = call->n_attempts,
	    .started = call->tried_at,
	    .is_chained = rpc_is_marked_retry(&call->request),
	    .is_idempotent = call->policy->is_idempotent,
	};
}

static bool pay(struct call *call, const struct retry_verdict *verdict)
{
	struct service_tally *tally = call->service->service->tally;
	double share = call->policy->retry.budget;

	if (!charge_again(call))
		return false;
	if (!verdict->needs_budget || share < 0 || budget_take(&tally->budget, share, now_of(call)))
		return true;
	atomic_fetch_add_explicit(&tally->budget_exhausted, 1, memory_order_relaxed);
	return false;
}

static void count_retry(struct call *call, enum retry_outcome outcome)
{
	struct service_stats *stats = call->service->stats;

	counter_add(outcome == RETRY_CONNECT_FAILED ? &stats->retries_connect
		    : outcome == RETRY_UNSENT       ? &stats->retries_unsent
						    : &stats->retries_failure,
	    1);
}

static bool wait_to_try(struct call *call, usec_t wait);

/* Another attempt, if the verdict is for one: paid for, marked, and where it has to wait, waited
 * for. */
static bool follow(struct call *call, const struct retry_verdict *verdict)
{
	if (!verdict->again || !pay(call, verdict) || !wait_to_try(call, verdict->wait))
		return false;
	if (verdict->is_marked)
		call->mark = call->n_attempts;
	return true;
}

/* Is there another attempt after this outcome? */
static bool try_again(struct call *call, enum retry_outcome outcome, int32_t number)
{
	struct retry_state st;
	struct retry_verdict verdict;

	if (!can_try_again(call, outcome))
		return false;
	st = retry_state_of(call);
	verdict = retry_decide(
	    &call->policy->retry, &st, outcome, number, now_of(call), &call->worker->rng);
	if (!follow(call, &verdict))
		return false;
	count_retry(call, outcome);
	return true;
}

/* Kept for when nothing better comes. */
static void keep_spare(struct call *call, const struct attempt *a, const struct rpc_message *m)
{
	if (!m->complete || m->body.len > SPARE_MAX || !call_charge(call, call_head_size(m)))
		return;
	if (call->spare == NULL)
		call->spare = arena_alloc(&call->arena, sizeof *call->spare);
	*call->spare = *m;
	rpc_message_keep_head(call->spare, &call->arena);
	call->spare->body = arena_copy(&call->arena, m->body);
	call->spare_id = a->id;
}

static bool falls_back_on(const struct call *call, unsigned on)
{
	return call->policy->fallback_on & on && !call->has_fallen_back && !call->is_spent &&
	       call->downstream;
}

bool call_takes_reply(struct call *call, struct attempt *a, const struct rpc_message *m)
{
	const struct retry_policy *p = &call->policy->retry;
	bool others = call->n_running > 1;

	a->result = value_of(m, &a->number);
	if (p->type == RETRY_BROADCAST) /* the last good answer, or the first bad one */
		return !others || !is_good_enough(p, a->result, a->number);
	if (a->result == RETRY_GOOD)
		return true;
	if (others && is_good_enough(p, a->result, a->number))
		return true;
	call->was_expected = call->waits_to_try || try_again(call, a->result, a->number);
	if (!others && !call->was_expected &&
	    (a->result == RETRY_BIZ_ERROR || !falls_back_on(call, FALLBACK_ON_ANY)))
		return true;
	keep_spare(call, a, m);
	return false;
}

/* ---- judge ---- */

static enum reason reason_of(enum attempt_outcome outcome)
{
	switch (outcome) {
	case ATTEMPT_CONNECT_FAILED:
		return REASON_CONNECT_FAILED;
	case ATTEMPT_UNSENT:
	case ATTEMPT_RESET:
		return REASON_RESET;
	case ATTEMPT_TIMEOUT:
		return REASON_TIMEOUT;
	case ATTEMPT_BAD_REPLY:
		return REASON_BAD_REPLY;
	case ATTEMPT_EXCEPTION:
		return REASON_APP_EXCEPTION;
	case ATTEMPT_CANCELED:
	case ATTEMPT_LOST:
		return REASON_CANCELED;
	case ATTEMPT_OK:
	case ATTEMPT_OUTCOMES:
		break;
	}
	return REASON_INTERNAL;
}

static const char *time_left(const struct call *call, char *room, size_t size)
{
	usec_t at = usec_min(call->deadline.at, call->reply_by), now = now_of(call);

	if (at == USEC_NONE)
		return "no time limit";
	snprintf(
	    room, size, "%llu ms left", (unsigned long long)(at > now ? (at - now) / USEC_MS : 0));
	return room;
}

unsigned call_attempts_allowed(const struct call *call)
{
	unsigned more = call_goes_to_all(call) ? 0 : retry_attempts(&call->policy->retry);

	return call->n_attempts > more + 1 ? call->n_attempts : more + 1;
}

/* Instead of whatever has come of a later one. */
static enum step give_spare(struct call *call)
{
	wheel_clear(&call->shot);
	call->reply = *call->spare;
	call->spare = NULL;
	call->attempt->id = call->spare_id;
	call->reply_is_kept = call->reply_is_complete = false;
	call->kept_len = 0;
	call->reply_by = USEC_NONE;
	call->failure.reason = REASON_OK;
	call_has_reply(call);
	return STEP_NEXT;
}

bool call_gives_spare(struct call *call)
{
	if (call->spare == NULL || call->failure.reason != REASON_APP_EXCEPTION)
		return false;
	give_spare(call);
	return true;
}

static enum step fail(struct call *call, const struct attempt *a)
{
	char left[32];
	const char *what = a->why ? a->why : a->error ? strerror(a->error) : "failed";

	call_give_up(call, ATTEMPT_LOST, call->deadline.at);
	call_fail(call, reason_of(a->outcome), "service %s, endpoint %s: %s, attempt %u of %u, %s",
	    call->service->service->config->label,
	    call->service->service->endpoints[a->endpoint].address.text, what, call->n_attempts,
	    call_attempts_allowed(call), time_left(call, left, sizeof left));
	return STEP_NEXT;
}

/* A oneway for anybody has got to one. */
static bool has_arrived(const struct call *call)
{
	if (call->request.kind != RPC_ONEWAY || call->policy->retry.type != RETRY_FORK)
		return false;
	for (const struct attempt *a = &call->first; a; a = a->next)
		if (a->state == ATTEMPT_NONE && a->outcome == ATTEMPT_OK)
			return true;
	return false;
}

enum step call_step_judge(struct call *call)
{
	const struct attempt *a = call->failed;
	bool is_answer = a->outcome == ATTEMPT_OK || a->outcome == ATTEMPT_EXCEPTION;
	bool again = call->was_expected;

	call->was_expected = false;
	if (call->policy->retry.type == RETRY_BROADCAST && !is_answer)
		return fail(call, a);
	/* A backup is there already: only `mixed` answers a failure with another one. */
	if (!again && !call->waits_to_try && !is_answer &&
	    (call->n_running == 0 || call->policy->retry.type == RETRY_MIXED))
		again = try_again(call, outcome_of(a), a->number);
	if (call->waits_to_try) /* another is to come */
		return go(call, CALL_AWAIT);
	if (again)
		return go(call, CALL_TRY);
	if (call->n_running) {
		call->given_up = NULL; /* what that one said is nobody's last word */
		return go(call, CALL_AWAIT);
	}
	if (has_arrived(call))
		return go(call, CALL_FINISH);
	if (call->spare && !falls_back_on(call, FALLBACK_ON_ANY))
		return give_spare(call);
	return fail(call, a);
}

/* ---- later attempts ---- */

static void on_shot(struct timer *timer, usec_t now)
{
	struct call *call = container_of(timer, struct call, shot);

	(void)now;
	call_event(call, CALL_EVENT_SHOT);
}

static void set_shot(struct call *call, usec_t wait)
{
	wheel_set(
	    loop_wheel(call->worker->loop), &call->shot, usec_after(now_of(call), wait), on_shot);
}

/* False: no memory to keep the body for so long. */
static bool wait_to_try(struct call *call, usec_t wait)
{
	if (wait == 0)
		return true;
	if (!call->is_stream && !call_keep_body(call))
		return false;
	call->waits_to_try = true;
	set_shot(call, wait);
	return true;
}

static bool sends_backups(const struct call *call)
{
	const struct retry_policy *p = &call->policy->retry;

	return (p->type == RETRY_BACKUP || p->type == RETRY_MIXED) &&
	       call->request.kind == RPC_CALL && call->n_attempts <= retry_attempts(p) &&
	       call->downstream;
}

static void arm_backup(struct call *call)
{
	if (sends_backups(call) && !call->waits_to_try)
		set_shot(call, call->policy->retry.delay);
}

bool call_shoots(struct call *call)
{
	struct retry_verdict verdict;
	struct retry_state st;

	if (call->waits_to_try) {
		call->waits_to_try = false;
		return true;
	}
	if (!sends_backups(call))
		return false;
	if (!call_is_whole(call)) { /* its caller is still sending */
		if (!call->is_spent)
			arm_backup(call);
		return false;
	}
	if (!can_try_again(call, RETRY_TIMED_OUT))
		return false;
	st = retry_state_of(call);
	verdict = retry_decide_backup(&call->policy->retry, &st, now_of(call), &call->worker->rng);
	if (!follow(call, &verdict))
		return false;
	counter_add(&call->service->stats->retries_backup, 1);
	return !call->waits_to_try;
}

/* ---- fallback ---- */

static unsigned fallback_class(enum reason reason)
{
	switch (reason) {
	case REASON_TIMEOUT:
		return FALLBACK_ON_TIMEOUT | FALLBACK_ON_ANY;
	case REASON_BREAKER_OPEN:
		return FALLBACK_ON_BREAKER | FALLBACK_ON_ANY;
	case REASON_NO_ENDPOINT:
	case REASON_CONNECT_FAILED: /* none could be reached */
		return FALLBACK_ON_NO_ENDPOINT | FALLBACK_ON_ANY;
	case REASON_RESET:
	case REASON_BAD_REPLY:
	case REASON_APP_EXCEPTION:
	case REASON_RATE_LIMITED:
	case REASON_CONCURRENCY_LIMITED:
	case REASON_QUEUE_TIMEOUT:
	case REASON_DEGRADED:
	case REASON_FAULT_INJECTED:
	case REASON_OVERLOAD:
		return FALLBACK_ON_ANY;
	default:
		return 0; /* the caller's own doing, or nothing that another service would mend */
	}
}

static void forget_tries(struct call *call)
{
	wheel_clear(&call->shot);
	call->n_attempts = 0;
	call->went_to_all = false;
	call->first.next = NULL; /* none of them runs */
	call->spare = NULL;
	call->given_up = NULL;
	call->endpoint = NULL;
	call->has_reply = false;
	call->upload_is_discarded = false;
	call->failure = (struct rpc_status){.reason = REASON_OK};
}

bool call_falls_back(struct call *call)
{
	struct route_decision decision;
	struct call_facts facts = {.listener = call->listener};
	struct call_finder finder;
	struct route_decision before = call->route;
	bool was_stream = call->is_stream;

	if (call->policy == NULL || call->n_running ||
	    !falls_back_on(call, fallback_class(call->failure.reason)))
		return false;
	facts.method = call->request.method;
	facts.more = call_fact_source(call, &finder);
	decision = route_to(call->world->snapshot, call->policy->fallback, &facts);
	if (decision.reason != REASON_OK)
		return false;
	call->has_fallen_back = true;
	call_lead(call, &decision);
	if (call_set_target(call) || call->is_stream != was_stream) {
		call_lead(call, &before);
		call_set_target(call);
		return false;
	}
	call->reason = call->failure.reason;
	admit_finish(call); /* for the service that failed */
	counter_add(&call->world->services[before.service->index].stats->fallbacks, 1);
	log_debug("call", "falls back", "call=%llu service=%s reason=%s",
	    (unsigned long long)call->number, decision.service->config->label,
	    reason_name(call->reason));
	forget_tries(call);
	call->step = CALL_ADMIT;
	return true;
}
