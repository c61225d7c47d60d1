#include "policy/eject.h"

/* What binary fractions lose: 29 % of 100 is 28.999999999999996 without it. */
#define ROUNDING 1e-9

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
