/*
 * Passive ejection: an endpoint that fails so many times in a row is left out for a while. The cap
 * holds for any size of set: at least one may be out when there are two or more, never the last.
 * Process-wide: its state lies in tallies (model/tally.h).
 */
#ifndef BRIDLE_POLICY_EJECT_H
#define BRIDLE_POLICY_EJECT_H

#include <stddef.h>

#include "base/clock.h"
#include "policy/code_list.h"

enum eject_on {
	EJECT_ON_CONNECT = 1 << 0,
	EJECT_ON_RESET = 1 << 1,
	EJECT_ON_TIMEOUT = 1 << 2,
	EJECT_ON_BAD_REPLY = 1 << 3,
	EJECT_ON_BIZ = 1 << 4, /* a business error of one of the codes */
};

struct eject_policy {
	unsigned on;          /* enum eject_on; 0: eject is none */
	struct code_list biz; /* of EJECT_ON_BIZ */
	unsigned consecutive; /* failures */
	usec_t time;          /* `for` */
	double at_most;       /* 0..1 of the set */
};

/* How many of @n endpoints may be ejected at once. */
size_t eject_cap(const struct eject_policy *p, size_t n);

/*
 * How long an endpoint must have had a whole call for its timeout to count. Callers choose their
 * times, and one that allows a millisecond must not have endpoints ejected, and breakers opened,
 * that serve all others well. @usual: what nine of ten of its answers take at most, 0: none known;
 * @allowed: what the operator allows, of which nine tenths are enough in any case.
 */
usec_t eject_fair_time(usec_t usual, usec_t allowed);

#endif
