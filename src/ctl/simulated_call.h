/*
 * One simulated call: what proxy/call*.c and proxy/admit.c do with a real one, without bytes.
 * Decisions are made by the same functions of policy/ and model/; the order in which they are asked
 * is repeated here.
 */
#ifndef BRIDLE_CTL_SIMULATED_CALL_H
#define BRIDLE_CTL_SIMULATED_CALL_H

#include "ctl/far_end.h"
#include "ctl/simulation.h"
#include "model/balance.h"
#include "model/route.h"
#include "policy/deadline.h"
#include "policy/latency.h"
#include "policy/retry.h"

/* An endpoint as the proxy sees it, and as it is. */
struct simulated_backend {
	struct far_end far;
	struct latency latency;
	unsigned in_flight;
	struct simulated_load *load; /* borrowed */
};

struct simulated_service {
	struct simulated_backend *backends; /* owned */
	struct balance_state *balance;      /* owned; one for each group */
};

struct simulation {
	const struct simulation_plan *plan;
	struct simulation_report *report;
	struct tallies *tallies;            /* owned */
	struct snapshot *snapshot;          /* owned */
	struct simulated_service *services; /* owned; in the order of the snapshot */
	struct timeline timeline;
	struct rng rng;      /* for decisions; what comes in and what endpoints do have their own */
	struct list calls;   /* all that run */
	struct list waiting; /* those that wait for slots, longest first */
};

#define SIMULATED_TRIED_MAX (RETRY_ATTEMPTS_MAX + 1)

struct simulated_attempt {
	struct simulated_call *call;
	struct simulated_backend *backend;
	size_t endpoint;
	struct far_work *work; /* NULL: it is over */
	struct moment timer;   /* timeout.attempt */
	usec_t began;
};

struct simulated_call {
	struct simulation *sim;
	struct list link; /* in sim->calls */
	struct route_decision route;
	size_t caller;
	usec_t started, tried_at;
	struct deadline deadline;
	struct moment over; /* the deadline */

	/* admission */
	uint64_t slots[LEVELS], tickets[LEVELS];
	struct breaker *breakers[LEVELS];
	unsigned place;
	struct list waiting; /* in sim->waiting */
	uint64_t queue_place;
	struct moment wait; /* queue.wait; then the injected delay */

	/* attempts */
	struct simulated_attempt *attempts; /* owned */
	unsigned n_attempts, n_running, room;
	struct moment shot;
	bool waits_to_try, is_marked;
};

static inline usec_t simulated_now(const struct simulated_call *call)
{
	return call->sim->timeline.now;
}

/* Begins a call now. It ends by itself. */
void simulated_call_begin(
    struct simulation *sim, const struct route_decision *decision, size_t caller);
/* It is admitted: tries an endpoint, or all. */
void simulated_call_try(struct simulated_call *call);
/* Notes how it ended, and frees it. */
void simulated_call_finish(struct simulated_call *call, enum reason reason);
/* Frees all, in the middle of whatever they do. */
void simulated_call_drop_all(struct simulation *sim);

#endif
