#include "proxy/admit.h"

#include <assert.h>

#include "base/log.h"
#include "model/admission.h"
#include "proxy/call.h"
#include "proxy/overload.h"

static usec_t now_of(const struct call *call)
{
	return loop_now(call->worker->loop);
}

static struct limit_who who_of(const struct call *call)
{
	return (struct limit_who){call->caller, call->request.method};
}

static struct slot slot_at(const struct call *call, enum level level)
{
	const struct admission *a = &call->admission;

	return (struct slot){
	    a->guard->limits[level], a->policy->limits[level], who_of(call), a->slots[level]};
}

static bool has_limit(const struct admission *a, enum level level)
{
	return a->guard->limits[level] && a->policy->limits[level];
}

static bool has_breaker(const struct admission *a, enum level level)
{
	return a->guard->breakers[level] && a->policy->breakers[level];
}

/* ---- giving back ---- */

static void give_slots_back(struct call *call)
{
	struct admission *a = &call->admission;

	for (int level = 0; level < LEVELS; level++) {
		struct slot slot;

		if (a->slots[level] == LIMIT_REFUSED)
			continue;
		slot = slot_at(call, (enum level)level);
		a->slots[level] = LIMIT_REFUSED;
		slot_queue_release(call->worker, &slot);
	}
}

static void give_rates_back(struct call *call)
{
	struct admission *a = &call->admission;
	struct limit_who who = who_of(call);

	for (int level = 0; level < LEVELS; level++) {
		if (a->rates[level] == LIMIT_REFUSED)
			continue;
		limit_give_back(a->guard->limits[level], a->policy->limits[level], &who,
		    a->rates[level], now_of(call));
		a->rates[level] = LIMIT_REFUSED;
	}
}

static void log_change(const struct breaker_config *config, enum breaker_state state)
{
	if (state == BREAKER_OPEN)
		log_warn("breaker", "opened", "at=%s", config->at);
	else
		log_info(
		    "breaker", "changed", "at=%s state=%s", config->at, breaker_state_name(state));
}

static void tell_breakers(struct call *call, enum breaker_outcome outcome)
{
	struct admission *a = &call->admission;
	usec_t now = now_of(call);

	for (int level = 0; level < LEVELS; level++) {
		const struct breaker_config *config = a->policy->breakers[level];
		struct breaker *b = a->breakers[level].breaker;
		uint64_t changes;

		if (b == NULL)
			continue;
		a->breakers[level].breaker = NULL;
		changes = atomic_load_explicit(&b->changes, memory_order_relaxed);
		breaker_record(b, &config->policy, a->breakers[level].ticket, outcome, now);
		if (atomic_load_explicit(&b->changes, memory_order_relaxed) != changes)
			log_change(config, breaker_state_of(b, &config->policy, now));
	}
}

static void stop_waiting(struct call *call)
{
	struct admission *a = &call->admission;

	slot_queue_leave(call->worker, &a->waiter);
	wheel_clear(&a->timer);
	loop_undefer(&a->wake);
}

/* Nothing of the call has left: it counts nowhere. */
static void give_all_back(struct call *call)
{
	stop_waiting(call);
	tell_breakers(call, BREAKER_IGNORED);
	give_slots_back(call);
	give_rates_back(call);
	call->admission.state = ADMISSION_NONE;
}

/* ---- rates ---- */

static const char *rate_unit(struct rate rate)
{
	return rate.per == USEC_S ? "s" : rate.per == USEC_MIN ? "m" : "h";
}

static const char *for_each(const struct limit_config *config)
{
	switch (config->by) {
	case LIMIT_BY_NONE:
		return "";
	case LIMIT_BY_CALLER:
		return " for each caller";
	case LIMIT_BY_METHOD:
		return " for each method";
	}
	return "";
}

/* The first limit that refuses it, or NULL. */
static const struct limit_config *take_rates(struct call *call)
{
	struct admission *a = &call->admission;
	struct limit_who who = who_of(call);

	for (int level = 0; level < LEVELS; level++) {
		const struct limit_config *config = a->policy->limits[level];

		if (!has_limit(a, (enum level)level) || !config->has_rate)
			continue;
		a->rates[level] = limit_take(a->guard->limits[level], config, &who, now_of(call));
		if (a->rates[level] == LIMIT_REFUSED)
			return config;
	}
	return NULL;
}

/* ---- breakers, delay ---- */

static enum admit_verdict refuse_open(struct call *call, const struct breaker_config *config)
{
	give_all_back(call);
	call_fail(call, REASON_BREAKER_OPEN,
	    "%s is open after %.4g%% or more of the calls failed; it tries calls again %llu ms "
	    "after it opened",
	    config->at, 100 * config->policy.error_rate,
	    (unsigned long long)(config->policy.open / USEC_MS));
	return ADMIT_REFUSED;
}

static void delay_is_over(struct timer *timer, usec_t now)
{
	struct call *call = container_of(timer, struct call, admission.timer);

	(void)now;
	call->admission.state = ADMISSION_OVER;
	call_event(call, CALL_EVENT_ADMITTED);
}

static enum admit_verdict pass_delay(struct call *call)
{
	struct admission *a = &call->admission;

	if (a->delay == 0) {
		a->state = ADMISSION_GIVEN;
		return ADMIT_GO;
	}
	a->state = ADMISSION_DELAYED;
	wheel_set(loop_wheel(call->worker->loop), &a->timer, usec_after(now_of(call), a->delay),
	    delay_is_over);
	return ADMIT_WAIT;
}

static enum admit_verdict pass_breakers(struct call *call)
{
	struct admission *a = &call->admission;

	for (int level = 0; level < LEVELS; level++) {
		const struct breaker_config *config = a->policy->breakers[level];
		struct breaker *b;
		uint64_t ticket;

		if (!has_breaker(a, (enum level)level))
			continue;
		b = breaker_tally_find(
		    a->guard->breakers[level], config, call->request.method, now_of(call));
		ticket = breaker_allow(b, &config->policy, now_of(call));
		if (ticket == BREAKER_REFUSED)
			return refuse_open(call, config);
		a->breakers[level].breaker = b;
		a->breakers[level].ticket = ticket;
	}
	return pass_delay(call);
}

/* One that refuses calls now. To ask takes no probe: a call that is about to wait for a slot might
 * never come to be one. */
static const struct breaker_config *open_breaker(const struct call *call)
{
	const struct admission *a = &call->admission;

	for (int level = 0; level < LEVELS; level++) {
		const struct breaker_config *config = a->policy->breakers[level];
		struct breaker *b;

		if (!has_breaker(a, (enum level)level))
			continue;
		b = breaker_tally_find(
		    a->guard->breakers[level], config, call->request.method, now_of(call));
		if (breaker_state_of(b, &config->policy, now_of(call)) == BREAKER_OPEN)
			return config;
	}
	return NULL;
}

/* ---- slots ---- */

static void tell_granted(struct loop_work *work)
{
	call_event(container_of(work, struct call, admission.wake), CALL_EVENT_ADMITTED);
}

static void granted(struct slot_waiter *waiter)
{
	struct call *call = container_of(waiter, struct call, admission.waiter);
	struct admission *a = &call->admission;

	a->slots[admission_slot_order[a->next]] = waiter->slot.place;
	a->waited += now_of(call) - waiter->since;
	a->state = ADMISSION_GRANTED;
	wheel_clear(&a->timer);
	a->wake.run = tell_granted;
	loop_defer(call->worker->loop, &a->wake);
}

static void waited_in_vain(struct timer *timer, usec_t now)
{
	struct call *call = container_of(timer, struct call, admission.timer);
	struct admission *a = &call->admission;

	slot_queue_leave(call->worker, &a->waiter);
	a->waited += now - a->waiter.since;
	a->state = ADMISSION_LATE;
	call_event(call, CALL_EVENT_ADMITTED);
}

static enum admit_verdict refuse_slot(struct call *call, const struct limit_config *config)
{
	limit_count_refused(call->admission.waiter.slot.tally);
	if (config->queue_length) {
		give_all_back(call);
		call_fail(call, REASON_CONCURRENCY_LIMITED,
		    "%s: concurrency %llu%s is used up and its queue is full (length %u); raise "
		    "them, or call less at once",
		    config->at, (unsigned long long)config->concurrency, for_each(config),
		    config->queue_length);
		return ADMIT_REFUSED;
	}
	give_all_back(call);
	call_fail(call, REASON_CONCURRENCY_LIMITED,
	    "%s: concurrency %llu%s is used up; raise it, give it a queue, or call less at once",
	    config->at, (unsigned long long)config->concurrency, for_each(config));
	return ADMIT_REFUSED;
}

static enum admit_verdict refuse_late(struct call *call)
{
	const struct limit_config *config = call->admission.waiter.slot.config;

	limit_count_refused(call->admission.waiter.slot.tally);
	give_all_back(call);
	call_fail(call, REASON_QUEUE_TIMEOUT,
	    "%s: none of concurrency %llu%s became free within queue.wait (%llu ms); raise them, "
	    "or call less at once",
	    config->at, (unsigned long long)config->concurrency, for_each(config),
	    (unsigned long long)(config->queue_wait / USEC_MS));
	return ADMIT_REFUSED;
}

static enum admit_verdict wait_for_slot(struct call *call)
{
	struct admission *a = &call->admission;
	const struct limit_config *config = a->waiter.slot.config;
	const struct breaker_config *open;

	if (config->queue_length == 0)
		return refuse_slot(call, config);
	open = open_breaker(call);
	if (open)
		return refuse_open(call, open);
	switch (slot_queue_wait(call->worker, &a->waiter)) {
	case SLOT_QUEUE_FULL:
		return refuse_slot(call, config);
	case SLOT_TAKEN:
		return ADMIT_GO;
	case SLOT_WAITING:
		break;
	}
	a->state = ADMISSION_QUEUED;
	wheel_set(loop_wheel(call->worker->loop), &a->timer,
	    usec_after(a->waiter.since, config->queue_wait), waited_in_vain);
	return ADMIT_WAIT;
}

/* From the place where it is to the last. */
static enum admit_verdict pass_slots(struct call *call)
{
	struct admission *a = &call->admission;
	enum admit_verdict verdict;

	for (; a->next < LEVELS; a->next++) {
		enum level level = admission_slot_order[a->next];

		if (!has_limit(a, level) || a->policy->limits[level]->concurrency == COUNT_NONE)
			continue;
		a->waiter.slot = slot_at(call, level);
		a->waiter.granted = granted;
		verdict =
		    slot_queue_take(call->worker, &a->waiter.slot) ? ADMIT_GO : wait_for_slot(call);
		if (verdict != ADMIT_GO)
			return verdict;
		a->slots[level] = a->waiter.slot.place;
	}
	return pass_breakers(call);
}

/* ---- the doors ---- */

enum admit_verdict admit_begin(
    struct call *call, const struct guard *guard, const struct policy *policy, usec_t delay)
{
	struct admission *a = &call->admission;
	const struct limit_config *over;

	assert(a->state == ADMISSION_NONE);
	if (guard->is_open && delay == 0 && !overload_refuses(&call->worker->shares->overload))
		return ADMIT_GO; /* as nearly all calls do */
	*a = (struct admission){.state = ADMISSION_PASSING, .waited = a->waited};
	a->guard = guard;
	a->policy = policy;
	a->delay = delay;
	if (overload_refuses(&call->worker->shares->overload)) {
		give_all_back(call);
		call_fail(call, REASON_OVERLOAD, "the proxy is short of memory; try again later");
		return ADMIT_REFUSED;
	}
	over = take_rates(call);
	if (over) {
		give_all_back(call);
		call_fail(call, REASON_RATE_LIMITED,
		    "%s: rate %u/%s%s (burst %u) is used up; raise it, or call less often",
		    over->at, over->rate.count, rate_unit(over->rate), for_each(over), over->burst);
		return ADMIT_REFUSED;
	}
	return pass_slots(call);
}

enum admit_verdict admit_go_on(struct call *call)
{
	struct admission *a = &call->admission;

	switch (a->state) {
	case ADMISSION_GRANTED:
		loop_undefer(&a->wake); /* some other event was earlier */
		a->state = ADMISSION_PASSING;
		a->next++;
		return pass_slots(call);
	case ADMISSION_LATE:
		return refuse_late(call);
	case ADMISSION_OVER:
	case ADMISSION_GIVEN:
		a->state = ADMISSION_GIVEN;
		return ADMIT_GO;
	case ADMISSION_QUEUED:
	case ADMISSION_DELAYED:
		return ADMIT_WAIT;
	case ADMISSION_NONE:
	case ADMISSION_PASSING:
		break;
	}
	assert(false);
	return ADMIT_WAIT;
}

void admit_cancel(struct call *call)
{
	if (admit_is_waiting(&call->admission))
		give_all_back(call);
}

/* A call that was never tried tells breakers nothing, nor does one whose caller left it no time, or
 * for which we lacked something. */
static enum breaker_outcome outcome_of(const struct call *call)
{
	bool is_unfair =
	    call->is_blameless &&
	    (call->reason == REASON_TIMEOUT || call->reason == REASON_CALLER_DEADLINE ||
		call->reason == REASON_BAD_REPLY || call->reason == REASON_CONNECT_FAILED);

	return call->n_attempts && !is_unfair ? admission_outcome(call->reason) : BREAKER_IGNORED;
}

void admit_finish(struct call *call)
{
	struct admission *a = &call->admission;

	if (a->state == ADMISSION_NONE)
		return;
	if (admit_is_waiting(a)) {
		give_all_back(call);
		return;
	}
	tell_breakers(call, outcome_of(call));
	give_slots_back(call);
	a->state = ADMISSION_NONE;
}
