/*
 * When checks change what is thought of an endpoint: so many bad ones in a row take it out, so many
 * good ones bring it back. Pure; who checks and how is not known here.
 *
 *     UNKNOWN --good--> UP --`fall` bad--> DOWN --`rise` good--> UP
 *     UNKNOWN --`fall` bad--> DOWN
 */
#ifndef BRIDLE_POLICY_HEALTH_H
#define BRIDLE_POLICY_HEALTH_H

#include <stdbool.h>

#include "base/clock.h"

struct rng;

enum health_state { HEALTH_STATE_UNKNOWN, HEALTH_STATE_UP, HEALTH_STATE_DOWN };

/* All zero is "never checked". */
struct health_streak {
	enum health_state state;
	unsigned against; /* results in a row that speak against the state */
};

/* One more result. True: the state is another now. */
bool health_note(struct health_streak *s, bool is_good, unsigned rise, unsigned fall);

/* How long to wait for the next check: the interval, 10 % more or less, so that checks spread. */
usec_t health_wait(usec_t interval, struct rng *rng);
/* The same for the first one: anywhere within an interval. */
usec_t health_first_wait(usec_t interval, struct rng *rng);

#endif
