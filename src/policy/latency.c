#include "policy/latency.h"

#include <math.h>

/* How long a slow reply is remembered: after so long it counts 1/e. Source: Finagle's peak EWMA. */
#define MEMORY (10 * USEC_S)

static double faded(const struct latency *l, usec_t now)
{
	usec_t age = now > l->at ? now - l->at : 0;

	return exp(-(double)age / (double)MEMORY);
}

void latency_note(struct latency *l, usec_t took, usec_t now)
{
	double old = (double)l->average, weight = faded(l, now);

	if (took == 0)
		took = 1; /* 0 would say that there was none */
	if (took >= l->average)
		l->average = took;
	else
		l->average = (usec_t)(old * weight + (double)took * (1 - weight));
	l->at = now;
}

/* One that was slow and is not asked any more is forgiven. */
usec_t latency_at(const struct latency *l, usec_t now)
{
	return l->average ? (usec_t)((double)l->average * faded(l, now)) + 1 : 0;
}

usec_t latency_mix(usec_t average, usec_t took)
{
	if (took == 0)
		took = 1;
	return average ? (average * 7 + took) / 8 : took;
}
