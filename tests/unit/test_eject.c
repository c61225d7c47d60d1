/* How many endpoints may be out at once, for any size of set. */
#include <math.h>

#include "base/mem.h"
#include "policy/eject.h"
#include "support/suite.h"

static struct eject_policy policy(double at_most)
{
	return (struct eject_policy){.on = EJECT_ON_RESET, .consecutive = 5, .at_most = at_most};
}

/* In whole per cent, so that nothing of binary fractions is in the reckoning. */
static size_t expected(size_t n, size_t percent)
{
	size_t cap = n * percent / 100;

	if (n < 2)
		return 0;
	if (cap == 0)
		return 1;
	return cap > n - 1 ? n - 1 : cap;
}

START_TEST(the_cap_is_the_share_but_one_at_least_and_never_all)
{
	for (size_t percent = 0; percent <= 100; percent++) {
		struct eject_policy p = policy((double)percent / 100);

		for (size_t n = 0; n <= 100; n++)
			ck_assert_uint_eq(eject_cap(&p, n), expected(n, percent));
		ck_assert_uint_eq(eject_cap(&p, 10000), expected(10000, percent));
	}
}
END_TEST

START_TEST(nobody_is_ejected_where_nothing_ejects)
{
	struct eject_policy p = policy(1);

	p.on = 0;
	for (size_t n = 0; n <= 100; n++)
		ck_assert_uint_eq(eject_cap(&p, n), 0);
}
END_TEST

START_TEST(a_share_that_makes_no_sense_is_the_nearest_that_does)
{
	static const double shares[] = {-1, NAN, 7, INFINITY};
	static const size_t caps[] = {1, 1, 9, 9};

	for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
		struct eject_policy p = policy(shares[i]);

		ck_assert_uint_eq(eject_cap(&p, 10), caps[i]);
		ck_assert_uint_eq(eject_cap(&p, 1), 0);
	}
}
END_TEST

START_TEST(what_is_usual_or_allowed_is_fair)
{
	ck_assert_uint_eq(eject_fair_time(0, USEC_NONE), 100 * USEC_MS);
	ck_assert_uint_eq(eject_fair_time(200, USEC_NONE), 10 * USEC_MS);
	ck_assert_uint_eq(eject_fair_time(30 * USEC_MS, USEC_NONE), 60 * USEC_MS);
	/* The operator knows best. */
	ck_assert_uint_eq(eject_fair_time(30 * USEC_MS, 20 * USEC_MS), 18 * USEC_MS);
	ck_assert_uint_eq(eject_fair_time(200, 1 * USEC_MS), 900);
	ck_assert_uint_eq(eject_fair_time(30 * USEC_MS, 1 * USEC_S), 60 * USEC_MS);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    the_cap_is_the_share_but_one_at_least_and_never_all,
	    nobody_is_ejected_where_nothing_ejects,
	    a_share_that_makes_no_sense_is_the_nearest_that_does,
	    what_is_usual_or_allowed_is_fair,
	};

	return suite_run("eject", tests, ARRAY_LEN(tests));
}
