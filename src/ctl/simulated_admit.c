#include "ctl/simulated_admit.h"

#include "model/admission.h"

static struct limit_who who_of(const struct simulated_call *call)
{
	return (struct limit_who){
	    call->sim->plan->callers[call->caller].name, call->sim->plan->method};
}

static const struct limit_config *limit_at(const struct simulated_call *call, int level)
{
	return call->route.guard->limits[level] ? call->route.policy->limits[level] : NULL;
}

/* --- rates --- */

static void give_rates_back(struct simulated_call *call, const uint64_t *taken)
{
	struct limit_who who = who_of(call);

	for (int level = 0; level < LEVELS; level++)
		if (taken[level] != LIMIT_REFUSED)
			limit_give_back(call->route.guard->limits[level], limit_at(call, level),
			    &who, taken[level], simulated_now(call));
}

/* False: one of them refuses it, and the others have theirs back. */
static bool take_rates(struct simulated_call *call)
{
	struct limit_who who = who_of(call);
	uint64_t taken[LEVELS] = {0};

	for (int level = 0; level < LEVELS; level++) {
		const struct limit_config *config = limit_at(call, level);

		if (config == NULL || !config->has_rate)
			continue;
		taken[level] =
		    limit_take(call->route.guard->limits[level], config, &who, simulated_now(call));
		if (taken[level] != LIMIT_REFUSED)
			continue;
		give_rates_back(call, taken);
		return false;
	}
	return true;
}

/* --- delay, breakers --- */

static void pass_delay(struct simulated_call *call)
{
	if (call->route.abort)
		simulated_call_finish(call, call->route.route->fault.abort_reason);
	else
		simulated_call_try(call);
}

static void delay_is_over(struct moment *moment)
{
	pass_delay(container_of(moment, struct simulated_call, wait));
}

static void pass_breakers(struct simulated_call *call)
{
	for (int level = 0; level < LEVELS; level++) {
		const struct breaker_config *config = call->route.policy->breakers[level];
		struct breaker_tally *tally = call->route.guard->breakers[level];
		struct breaker *b;

		if (tally == NULL || config == NULL)
			continue;
		b = breaker_tally_find(tally, config, call->sim->plan->method, simulated_now(call));
		call->tickets[level] = breaker_allow(b, &config->policy, simulated_now(call));
		if (call->tickets[level] == BREAKER_REFUSED) {
			simulated_call_finish(call, REASON_BREAKER_OPEN);
			return;
		}
		call->breakers[level] = b;
	}
	if (call->route.delay)
		timeline_set(&call->sim->timeline, &call->wait,
		    usec_after(simulated_now(call), call->route.delay), delay_is_over);
	else
		pass_delay(call);
}

/* --- slots --- */

static void leave_queue(struct simulated_call *call, struct limit_tally *tally)
{
	list_remove(&call->waiting);
	limit_queue_leave(tally, call->queue_place);
}

static void waited_in_vain(struct moment *moment)
{
	struct simulated_call *call = container_of(moment, struct simulated_call, wait);

	simulated_call_finish(call, REASON_QUEUE_TIMEOUT);
}

static void wait_for_slot(struct simulated_call *call, enum level level)
{
	struct limit_tally *tally = call->route.guard->limits[level];
	const struct limit_config *config = call->route.policy->limits[level];
	struct limit_who who = who_of(call);

	call->queue_place = config->queue_length
				? limit_queue_enter(tally, config, &who, simulated_now(call))
				: LIMIT_REFUSED;
	if (call->queue_place == LIMIT_REFUSED) {
		simulated_call_finish(call, REASON_CONCURRENCY_LIMITED);
		return;
	}
	list_push_back(&call->sim->waiting, &call->waiting);
	timeline_set(&call->sim->timeline, &call->wait,
	    usec_after(simulated_now(call), config->queue_wait), waited_in_vain);
}

static bool enter(struct simulated_call *call, enum level level)
{
	struct limit_who who = who_of(call);

	call->slots[level] = limit_enter(call->route.guard->limits[level],
	    call->route.policy->limits[level], &who, simulated_now(call));
	return call->slots[level] != LIMIT_REFUSED;
}

static void pass_slots(struct simulated_call *call)
{
	for (; call->place < LEVELS; call->place++) {
		enum level level = admission_slot_order[call->place];
		const struct limit_config *config = limit_at(call, (int)level);

		if (config == NULL || config->concurrency == COUNT_NONE)
			continue;
		if (!enter(call, level)) {
			wait_for_slot(call, level);
			return;
		}
	}
	pass_breakers(call);
}

/* A slot is free: to the one that has waited longest of those that it is of use to. */
static void grant_next(struct simulation *sim, const struct limit_tally *tally)
{
	list_each_safe (link, &sim->waiting) {
		struct simulated_call *call = list_item(link, struct simulated_call, waiting);
		enum level level = admission_slot_order[call->place];

		if (call->route.guard->limits[level] != tally || !enter(call, level))
			continue;
		leave_queue(call, call->route.guard->limits[level]);
		timeline_clear(&sim->timeline, &call->wait);
		call->place++;
		pass_slots(call);
		return;
	}
}

/* --- the doors --- */

void simulated_admit(struct simulated_call *call)
{
	if (take_rates(call))
		pass_slots(call);
	else
		simulated_call_finish(call, REASON_RATE_LIMITED);
}

static void give_slots_back(struct simulated_call *call)
{
	for (int level = 0; level < LEVELS; level++) {
		struct limit_tally *tally = call->route.guard->limits[level];

		if (call->slots[level] == LIMIT_REFUSED)
			continue;
		limit_leave(tally, call->slots[level]);
		call->slots[level] = LIMIT_REFUSED;
		grant_next(call->sim, tally);
	}
}

static void tell_breakers(struct simulated_call *call, enum breaker_outcome outcome)
{
	for (int level = 0; level < LEVELS; level++) {
		const struct breaker_config *config = call->route.policy->breakers[level];
		struct breaker *b = call->breakers[level];
		uint64_t changes;

		if (b == NULL)
			continue;
		changes = atomic_load(&b->changes);
		breaker_record(
		    b, &config->policy, call->tickets[level], outcome, simulated_now(call));
		if (atomic_load(&b->changes) != changes &&
		    breaker_state_of(b, &config->policy, simulated_now(call)) == BREAKER_OPEN)
			call->sim->report->breakers_opened++;
		call->breakers[level] = NULL;
	}
}

void simulated_admit_finish(struct simulated_call *call, enum reason reason)
{
	if (call->route.guard == NULL) /* it had no service */
		return;
	if (!list_is_empty(&call->waiting))
		leave_queue(call, call->route.guard->limits[admission_slot_order[call->place]]);
	tell_breakers(call, call->n_attempts ? admission_outcome(reason) : BREAKER_IGNORED);
	give_slots_back(call);
}
