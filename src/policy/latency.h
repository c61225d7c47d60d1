/*
 * How quickly an endpoint answers, as balancing wants to know it: a moving average that follows a
 * slow reply at once and a fast one little by little, and forgives with time.
 */
#ifndef BRIDLE_POLICY_LATENCY_H
#define BRIDLE_POLICY_LATENCY_H

#include "base/clock.h"

struct latency {
	usec_t average, at; /* as it was then; private */
};

/* A reply took so long. */
void latency_note(struct latency *l, usec_t took, usec_t now);
/* What it is now; 0: there was none yet. */
usec_t latency_at(const struct latency *l, usec_t now);
/* The same for connect times, which come seldom: plainly averaged. 0: none yet. */
usec_t latency_mix(usec_t average, usec_t took);

#endif
