/*
 * Rates, exact for any value: the generic cell rate algorithm on one atomic word, shared by all
 * threads. Over any span of time at most rate x span, rounded up, + burst calls are let through.
 */
#ifndef BRIDLE_POLICY_LIMITER_H
#define BRIDLE_POLICY_LIMITER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/rate.h"

struct limiter {
	_Atomic uint64_t arrival; /* when the next call is due by the rate alone; private */
};

/* One more call at @now, if it is within the rate. @burst is at least 1. */
bool limiter_take(struct limiter *l, struct rate rate, unsigned burst, usec_t now);
/* The same, but the last @keep of the burst are left for others. */
bool limiter_take_over(
    struct limiter *l, struct rate rate, unsigned burst, unsigned keep, usec_t now);
/* Would one be let through? Takes nothing. */
bool limiter_has(const struct limiter *l, struct rate rate, unsigned burst, usec_t now);
/* What was taken in vain goes back: another limit refused the call. */
void limiter_give_back(struct limiter *l, struct rate rate);

#endif
