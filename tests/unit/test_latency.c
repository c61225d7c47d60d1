#include "policy/latency.h"

#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

START_TEST(nothing_is_known_before_the_first_reply)
{
	struct latency l = {0};

	ck_assert_uint_eq(latency_at(&l, 5 * USEC_S), 0);
	latency_note(&l, 0, 5 * USEC_S); /* quicker than the clock can tell */
	ck_assert_uint_gt(latency_at(&l, 5 * USEC_S), 0);
}
END_TEST

START_TEST(a_slow_reply_counts_at_once_and_a_fast_one_little_by_little)
{
	struct latency l = {0};
	usec_t now = USEC_S;

	latency_note(&l, 1000, now);
	latency_note(&l, 80000, now);
	ck_assert_uint_ge(latency_at(&l, now), 80000);
	latency_note(&l, 1000, now + 100 * USEC_MS);
	ck_assert_uint_gt(latency_at(&l, now + 100 * USEC_MS), 75000);
	ck_assert_uint_lt(latency_at(&l, now + 100 * USEC_MS), 80000);
}
END_TEST

START_TEST(one_that_is_not_asked_is_forgiven)
{
	struct latency l = {0};

	latency_note(&l, 100000, USEC_S);
	ck_assert_uint_lt(latency_at(&l, 11 * USEC_S), 40000); /* 1/e after ten seconds */
	ck_assert_uint_gt(latency_at(&l, 11 * USEC_S), 35000);
	ck_assert_uint_lt(latency_at(&l, 200 * USEC_S), 10);
	ck_assert_uint_gt(latency_at(&l, 2000 * USEC_S), 0);
	ck_assert_uint_eq(latency_at(&l, 0), 100001); /* a clock that another thread read earlier */
}
END_TEST

START_TEST(connect_times_are_averaged)
{
	usec_t average = latency_mix(0, 800);

	ck_assert_uint_eq(average, 800);
	ck_assert_uint_eq(latency_mix(average, 1600), 900);
	ck_assert_uint_gt(latency_mix(0, 0), 0);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    nothing_is_known_before_the_first_reply,
	    a_slow_reply_counts_at_once_and_a_fast_one_little_by_little,
	    one_that_is_not_asked_is_forgiven,
	    connect_times_are_averaged,
	};

	return suite_run("latency", tests, ARRAY_LEN(tests));
}
