#include "policy/eject.h"

/* What binary fractions lose: 29 % of 100 is 28.999999999999996 without it. */
#define ROUNDING 1e-9

#define FAIR_LEAST   (10 * USEC_MS)  /* nobody is faster in all that it does */
#define FAIR_UNKNOWN (100 * USEC_MS) /* where there was no answer yet */

size_t eject_cap(const struct eject_policy *p, size_t n)
{
	double share;

	if (p->on == 0 || n < 2)
		return 0;
	share = (double)n * p->at_most + ROUNDING;
	if (!(share >= 1))
		return 1;
	return share >= (double)(n - 1) ? n - 1 : (size_t)share;
}

usec_t eject_fair_time(usec_t usual, usec_t allowed)
{
	usec_t fair = usual ? usual * 2 : FAIR_UNKNOWN;

	if (fair < FAIR_LEAST)
		fair = FAIR_LEAST;
	return allowed == USEC_NONE ? fair : usec_min(fair, allowed - allowed / 10);
}
