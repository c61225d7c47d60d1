/*
 * The time of a call: one point that owns every timer of it, worked out from what the operator
 * allows and what the caller states. Pure arithmetic; times are microseconds, USEC_NONE is "not
 * stated".
 */
#ifndef BRIDLE_POLICY_DEADLINE_H
#define BRIDLE_POLICY_DEADLINE_H

#include <stdbool.h>

#include "base/clock.h"

/* How long a caller that states a time is outwaited when no margin is asked for, so that its own
 * timer fires first: Kitex clients retry only their own timeouts. */
#define DEADLINE_GRACE (5 * USEC_MS)

struct deadline_policy {
	usec_t call;   /* the operator's limit */
	usec_t dflt;   /* where neither says anything */
	usec_t margin; /* answer this much before the caller's time is up */
};

struct deadline {
	usec_t at;       /* when the proxy gives up */
	usec_t start;    /* the call's first byte */
	usec_t stated;   /* by the caller, from start */
	usec_t allowed;  /* what the far side may be told: the smaller of all limits, from start */
	bool is_callers; /* it is the caller's time that ends it */
};

struct deadline deadline_of(const struct deadline_policy *p, usec_t stated, usec_t start);

/* What is left of the time that the far side may be told, USEC_NONE when there is no limit. */
usec_t deadline_rest(const struct deadline *d, usec_t now);
/*
 * What to write into int key 12 of a call that goes out at @now, in milliseconds: 0 when what the
 * caller wrote may stay, which is as long as 99 % of it are left.
 */
uint64_t deadline_to_write(const struct deadline *d, usec_t now);
/* The same for a header of our own making: always the rest. */
uint64_t deadline_rest_ms(const struct deadline *d, usec_t now);

#endif
