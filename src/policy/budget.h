/*
 * The retry budget of a service: retries may be a share of the calls of the last ten seconds, and
 * BUDGET_FLOOR more a second, so that services with few calls can retry at all. Shared by all
 * threads.
 */
#ifndef BRIDLE_POLICY_BUDGET_H
#define BRIDLE_POLICY_BUDGET_H

#include "policy/limiter.h"

#define BUDGET_FLOOR   3u
#define BUDGET_SECONDS 10u

struct budget {
	/* One slot a second, which says whose it is. */
	struct budget_slot {
		_Atomic uint64_t calls, retries; /* second (32 bits), count (32 bits) */
	} slots[BUDGET_SECONDS + 1];
	struct limiter floor;
};

void budget_count_call(struct budget *b, usec_t now);
/* One retry or backup more, if there is budget for it. @share: of 0..1. */
bool budget_take(struct budget *b, double share, usec_t now);

#endif
