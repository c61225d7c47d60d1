#include "ctl/simulated_call.h"

#include <stdlib.h>

#include "base/mem.h"
#include "ctl/simulated_admit.h"

static const struct retry_policy *retry_of(const struct simulated_call *call)
{
	return &call->route.policy->retry;
}

static struct simulated_service *service_of(const struct simulated_call *call)
{
	return &call->sim->services[call->route.service->index];
}

/* --- the end --- */

static void end_attempt(struct simulated_attempt *a)
{
	if (a->work == NULL)
		return;
	a->work = NULL;
	a->backend->in_flight--;
	a->call->n_running--;
	timeline_clear(&a->call->sim->timeline, &a->timer);
}

static void give_up(struct simulated_call *call)
{
	for (unsigned i = 0; i < call->n_attempts; i++) {
		struct simulated_attempt *a = &call->attempts[i];

		if (a->work)
			far_work_forget(a->work);
		end_attempt(a);
	}
}

static void call_free(struct simulated_call *call)
{
	struct timeline *t = &call->sim->timeline;

	give_up(call);
	timeline_clear(t, &call->over);
	timeline_clear(t, &call->wait);
	timeline_clear(t, &call->shot);
	list_remove(&call->link);
	list_remove(&call->waiting);
	free(call->attempts);
	free(call);
}

static void note_time(struct simulated_times *times, usec_t took)
{
	if (times->n == times->room) {
		times->room = times->room ? 2 * times->room : 1024;
		times->list = mem_realloc(times->list, times->room * sizeof *times->list);
	}
	times->list[times->n++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
}

void simulated_call_finish(struct simulated_call *call, enum reason reason)
{
	struct simulation_report *report = call->sim->report;

	report->reasons[reason]++;
	report->callers[call->caller].ok += reason == REASON_OK;
	if (call->n_attempts)
		note_time(&report->times, simulated_now(call) - call->started);
	give_up(call);
	simulated_admit_finish(call, reason);
	call_free(call);
}

void simulated_call_drop_all(struct simulation *sim)
{
	list_each_safe (link, &sim->calls)
		call_free(list_item(link, struct simulated_call, link));
}

/* --- attempts --- */

static void judge(struct simulated_call *call, enum retry_outcome outcome, enum reason reason);

static struct lb_load load_of(const void *arg, size_t endpoint)
{
	const struct simulated_call *call = arg;
	const struct simulated_backend *b = &service_of(call)->backends[endpoint];

	return (struct lb_load){
	    .in_flight = b->in_flight,
	    .latency = latency_at(&b->latency, simulated_now(call)),
	    .connect = b->far.model->connect,
	};
}

static struct balance_request request_of(const struct simulated_call *call, size_t *tried)
{
	unsigned n =
	    call->n_attempts < SIMULATED_TRIED_MAX ? call->n_attempts : SIMULATED_TRIED_MAX;

	for (unsigned i = 0; i < n; i++)
		tried[i] = call->attempts[i].endpoint;
	return (struct balance_request){
	    .service = call->route.service,
	    .group = call->route.group,
	    .has_hash = call->route.has_hash,
	    .hash = call->route.hash,
	    .tried = tried,
	    .n_tried = n,
	    .load = load_of,
	    .arg = call,
	    .now = simulated_now(call),
	};
}

static size_t pick(struct simulated_call *call)
{
	size_t tried[SIMULATED_TRIED_MAX];
	struct balance_request request = request_of(call, tried);

	if (call->n_attempts > 0 && retry_of(call)->same_endpoint)
		return call->attempts[call->n_attempts - 1].endpoint;
	return balance_pick(
	    &service_of(call)->balance[call->route.group->index], &request, &call->sim->rng);
}

static unsigned fault_of(enum retry_outcome outcome)
{
	switch (outcome) {
	case RETRY_CONNECT_FAILED:
		return EJECT_ON_CONNECT;
	case RETRY_RESET:
		return EJECT_ON_RESET;
	case RETRY_TIMED_OUT:
		return EJECT_ON_TIMEOUT;
	default:
		return 0;
	}
}

static void tell_tally(const struct simulated_attempt *a, enum retry_outcome outcome)
{
	const struct service *service = a->call->route.service;
	struct endpoint_tally *tally = service->endpoint_tallies[a->endpoint];
	const struct eject_policy *eject = &service->config->policy.eject;

	if (outcome == RETRY_GOOD || outcome == RETRY_EXCEPTION)
		endpoint_tally_good(tally);
	else if (eject->on & fault_of(outcome) &&
		 endpoint_tally_bad(tally, eject, simulated_now(a->call)))
		a->backend->load->ejections++;
}

static void count(const struct simulated_attempt *a, enum retry_outcome outcome)
{
	struct simulated_backend *b = a->backend;
	usec_t took = simulated_now(a->call) - a->began;

	tell_tally(a, outcome);
	b->load->failed += outcome != RETRY_GOOD;
	if (outcome != RETRY_GOOD && outcome != RETRY_EXCEPTION)
		return;
	latency_note(&b->latency, took, simulated_now(a->call));
	note_time(&b->load->times, took);
}

static void attempt_timed_out(struct moment *moment)
{
	struct simulated_attempt *a = container_of(moment, struct simulated_attempt, timer);

	far_work_forget(a->work);
	count(a, RETRY_TIMED_OUT);
	end_attempt(a);
	judge(a->call, RETRY_TIMED_OUT, REASON_TIMEOUT);
}

static void attempt_done(void *arg, enum far_result result)
{
	static const struct {
		enum retry_outcome outcome;
		enum reason reason;
	} meanings[] = {
	    [FAR_ANSWERS] = {RETRY_GOOD, REASON_OK},
	    [FAR_EXCEPTION] = {RETRY_EXCEPTION, REASON_APP_EXCEPTION},
	    [FAR_REFUSED] = {RETRY_CONNECT_FAILED, REASON_CONNECT_FAILED},
	    [FAR_RESET] = {RETRY_RESET, REASON_RESET},
	    [FAR_SILENT] = {RETRY_OTHER, REASON_INTERNAL}, /* never told */
	};
	struct simulated_attempt *a = arg;

	count(a, meanings[result].outcome);
	end_attempt(a);
	judge(a->call, meanings[result].outcome, meanings[result].reason);
}

static void begin_attempt(struct simulated_call *call, size_t endpoint)
{
	struct simulated_attempt *a = &call->attempts[call->n_attempts];
	usec_t timeout = call->route.policy->timeout_attempt;

	if (call->n_attempts == 0) {
		call->tried_at = simulated_now(call);
		if (retry_needs_idempotent(retry_of(call)))
			budget_count_call(&call->route.service->tally->budget, simulated_now(call));
	}
	*a = (struct simulated_attempt){
	    .call = call, .endpoint = endpoint, .began = simulated_now(call)};
	a->backend = &service_of(call)->backends[endpoint];
	call->n_attempts++;
	call->n_running++;
	call->sim->report->attempts++;
	a->backend->load->attempts++;
	a->backend->in_flight++;
	a->work = far_end_begin(&a->backend->far, attempt_done, a);
	if (timeout != USEC_NONE)
		timeline_set(&call->sim->timeline, &a->timer,
		    usec_after(simulated_now(call), timeout), attempt_timed_out);
}

static bool is_fan(const struct simulated_call *call)
{
	return retry_of(call)->type == RETRY_FORK || retry_of(call)->type == RETRY_BROADCAST;
}

/* To all that are usable; where none is, to all. */
static void try_all(struct simulated_call *call)
{
	const struct endpoint_group *group = call->route.group;
	size_t tried[SIMULATED_TRIED_MAX];
	struct balance_request request = request_of(call, tried);
	bool is_panic = balance_is_panic(request.service, group, request.now);
	size_t start = group->n ? (size_t)rng_below(&call->sim->rng, group->n) : 0;

	for (unsigned pass = 0; pass < 2 && call->n_attempts == 0; pass++) {
		for (size_t i = 0; i < group->n && call->n_attempts < call->room; i++) {
			size_t endpoint = group->members[(start + i) % group->n];

			if (pass > 0 || is_panic || balance_why_not(&request, endpoint) == NULL)
				begin_attempt(call, endpoint);
		}
	}
	if (call->n_attempts == 0)
		simulated_call_finish(call, REASON_NO_ENDPOINT);
}

static void on_shot(struct moment *moment);

static void set_shot(struct simulated_call *call, usec_t wait)
{
	timeline_set(
	    &call->sim->timeline, &call->shot, usec_after(simulated_now(call), wait), on_shot);
}

static bool sends_backups(const struct simulated_call *call)
{
	const struct retry_policy *p = retry_of(call);

	return (p->type == RETRY_BACKUP || p->type == RETRY_MIXED) &&
	       call->n_attempts <= retry_attempts(p);
}

void simulated_call_try(struct simulated_call *call)
{
	size_t endpoint;

	if (is_fan(call)) {
		try_all(call);
		return;
	}
	endpoint = pick(call);
	if (endpoint == LB_NONE) {
		simulated_call_finish(call, REASON_NO_ENDPOINT);
		return;
	}
	begin_attempt(call, endpoint);
	if (sends_backups(call))
		set_shot(call, retry_of(call)->delay);
}

/* --- later attempts --- */

static struct retry_state state_of(const struct simulated_call *call)
{
	return (struct retry_state){
	    .attempts = call->n_attempts,
	    .started = call->tried_at,
	    .is_marked = call->is_marked,
	    .is_idempotent = call->route.policy->is_idempotent,
	};
}

/* Pays for it and marks it; false: it cannot be. */
static bool pay_for(struct simulated_call *call, const struct retry_verdict *verdict)
{
	double share = retry_of(call)->budget;

	if (!verdict->again)
		return false;
	if (verdict->needs_budget && share >= 0 &&
	    !budget_take(&call->route.service->tally->budget, share, simulated_now(call))) {
		call->sim->report->budget_refused++;
		return false;
	}
	call->is_marked |= verdict->is_marked;
	if (verdict->wait) {
		call->waits_to_try = true;
		set_shot(call, verdict->wait);
	}
	return true;
}

static bool may_try(const struct simulated_call *call)
{
	return call->n_attempts < SIMULATED_TRIED_MAX && simulated_now(call) < call->deadline.at &&
	       !is_fan(call);
}

static bool try_again(struct simulated_call *call, enum retry_outcome outcome)
{
	struct retry_state st = state_of(call);
	struct retry_verdict verdict;

	if (!may_try(call))
		return false;
	/* An exception is one of a handler, of type 6. */
	verdict = retry_decide(retry_of(call), &st, outcome, outcome == RETRY_EXCEPTION ? 6 : 0,
	    simulated_now(call), &call->sim->rng);
	if (!pay_for(call, &verdict))
		return false;
	call->sim->report->retries++;
	if (!call->waits_to_try)
		simulated_call_try(call);
	return true;
}

static void on_shot(struct moment *moment)
{
	struct simulated_call *call = container_of(moment, struct simulated_call, shot);
	struct retry_verdict verdict;
	struct retry_state st = state_of(call);

	if (call->waits_to_try) {
		call->waits_to_try = false;
		simulated_call_try(call);
		return;
	}
	if (!sends_backups(call) || !may_try(call))
		return;
	verdict = retry_decide_backup(retry_of(call), &st, simulated_now(call), &call->sim->rng);
	if (!pay_for(call, &verdict))
		return;
	call->sim->report->backups++;
	if (!call->waits_to_try)
		simulated_call_try(call);
}

/* One attempt is over. */
static void judge(struct simulated_call *call, enum retry_outcome outcome, enum reason reason)
{
	enum retry_type type = retry_of(call)->type;
	bool is_good = outcome == RETRY_GOOD;
	bool is_answer = is_good || outcome == RETRY_EXCEPTION;

	if (type == RETRY_BROADCAST) {
		if (call->n_running == 0 || !is_good)
			simulated_call_finish(call, reason);
		return;
	}
	if (is_good) {
		simulated_call_finish(call, reason);
		return;
	}
	/* A backup is there already: only `mixed` answers a failure with another one. */
	if ((call->n_running == 0 || type == RETRY_MIXED || is_answer) && try_again(call, outcome))
		return;
	if (call->n_running == 0 && !call->waits_to_try)
		simulated_call_finish(call, reason);
}

/* --- the beginning --- */

static void deadline_over(struct moment *moment)
{
	struct simulated_call *call = container_of(moment, struct simulated_call, over);

	for (unsigned i = 0; i < call->n_attempts; i++)
		if (call->attempts[i].work)
			count(&call->attempts[i], RETRY_TIMED_OUT);
	simulated_call_finish(
	    call, call->deadline.is_callers ? REASON_CALLER_DEADLINE : REASON_TIMEOUT);
}

static void begin_clock(struct simulated_call *call)
{
	const struct policy *p = call->route.policy;
	struct deadline_policy policy = {p->timeout_call, p->timeout_default, p->timeout_margin};

	call->deadline = deadline_of(&policy, call->sim->plan->timeout, simulated_now(call));
	timeline_set(&call->sim->timeline, &call->over, call->deadline.at, deadline_over);
}

void simulated_call_begin(
    struct simulation *sim, const struct route_decision *decision, size_t caller)
{
	struct simulated_call *call = mem_calloc(1, sizeof *call);

	call->sim = sim;
	call->route = *decision;
	call->caller = caller;
	call->started = sim->timeline.now;
	list_init(&call->waiting);
	list_push_back(&sim->calls, &call->link);
	if (decision->reason != REASON_OK) {
		simulated_call_finish(call, decision->reason);
		return;
	}
	call->room = is_fan(call) ? RETRY_FAN_MAX : SIMULATED_TRIED_MAX;
	call->attempts = mem_calloc(call->room, sizeof *call->attempts);
	begin_clock(call);
	simulated_admit(call);
}
