/* The time of a call: who limits it, when the proxy gives up, and what it tells the endpoint. */
#include "base/mem.h"
#include "policy/deadline.h"
#include "support/suite.h"

#define NOW (1000 * USEC_S)
#define MS  USEC_MS

static const struct deadline_policy open_policy = {USEC_NONE, 30 * USEC_S, USEC_NONE};

START_TEST(the_default_counts_where_nobody_says_anything)
{
	struct deadline d = deadline_of(&open_policy, USEC_NONE, NOW);

	ck_assert_uint_eq(d.at, NOW + 30 * USEC_S);
	ck_assert(!d.is_callers);
	ck_assert_uint_eq(deadline_to_write(&d, NOW + USEC_S), 0);
	ck_assert_uint_eq(deadline_rest_ms(&d, NOW + USEC_S), 29000);
}
END_TEST

START_TEST(the_operators_limit_replaces_the_default)
{
	struct deadline_policy p = {100 * MS, 30 * USEC_S, USEC_NONE};
	struct deadline longer, d = deadline_of(&p, USEC_NONE, NOW);

	ck_assert_uint_eq(d.at, NOW + 100 * MS);
	ck_assert(!d.is_callers);
	p.call = 60 * USEC_S;
	longer = deadline_of(&p, USEC_NONE, NOW);
	ck_assert_uint_eq(longer.at, NOW + 60 * USEC_S);
}
END_TEST

START_TEST(a_caller_that_states_its_time_is_outwaited_by_5_ms)
{
	struct deadline d = deadline_of(&open_policy, 300 * MS, NOW);

	ck_assert_uint_eq(d.at, NOW + 305 * MS);
	ck_assert(d.is_callers);
	ck_assert_uint_eq(d.allowed, 300 * MS);
}
END_TEST

START_TEST(the_default_does_not_shorten_what_a_caller_states)
{
	struct deadline d = deadline_of(&open_policy, 90 * USEC_S, NOW);

	ck_assert_uint_eq(d.at, NOW + 90 * USEC_S + 5 * MS);
}
END_TEST

START_TEST(the_operators_limit_shortens_what_a_caller_states)
{
	struct deadline_policy p = {100 * MS, 30 * USEC_S, USEC_NONE};
	struct deadline d = deadline_of(&p, 300 * MS, NOW);

	ck_assert_uint_eq(d.at, NOW + 100 * MS);
	ck_assert(!d.is_callers);
	ck_assert_uint_eq(deadline_to_write(&d, NOW), 100);
	d = deadline_of(&p, 100 * MS, NOW); /* equal: the caller's own, and its timer is first */
	ck_assert(d.is_callers);
	ck_assert_uint_eq(d.at, NOW + 105 * MS);
	d = deadline_of(&p, 50 * MS, NOW);
	ck_assert(d.is_callers);
	ck_assert_uint_eq(d.at, NOW + 55 * MS);
}
END_TEST

START_TEST(with_a_margin_the_answer_comes_before_the_callers_time_is_up)
{
	struct deadline_policy p = {USEC_NONE, 30 * USEC_S, 10 * MS};

	ck_assert_uint_eq(deadline_of(&p, 300 * MS, NOW).at, NOW + 290 * MS);
	/* But never more than a tenth of it. */
	ck_assert_uint_eq(deadline_of(&p, 50 * MS, NOW).at, NOW + 45 * MS);
	ck_assert_uint_eq(deadline_of(&p, 1 * MS, NOW).at, NOW + 900);
	p.margin = 0;
	ck_assert_uint_eq(deadline_of(&p, 300 * MS, NOW).at, NOW + 300 * MS);
}
END_TEST

START_TEST(what_the_caller_wrote_stays_while_99_percent_of_it_are_left)
{
	struct deadline d = deadline_of(&open_policy, 1000 * MS, NOW);

	ck_assert_uint_eq(deadline_to_write(&d, NOW), 0);
	ck_assert_uint_eq(deadline_to_write(&d, NOW + 10 * MS), 0);
	ck_assert_uint_eq(deadline_to_write(&d, NOW + 10 * MS + 1), 989);
	ck_assert_uint_eq(deadline_to_write(&d, NOW + 400 * MS), 600);
}
END_TEST

START_TEST(the_rest_is_never_written_as_0_which_would_mean_no_limit)
{
	struct deadline d = deadline_of(&open_policy, 1000 * MS, NOW);

	ck_assert_uint_eq(deadline_to_write(&d, NOW + 1000 * MS - 1), 1);
	ck_assert_uint_eq(deadline_to_write(&d, NOW + 1000 * MS), 1);
	ck_assert_uint_eq(deadline_to_write(&d, NOW + 1003 * MS), 1); /* within the 5 ms */
	ck_assert_uint_eq(deadline_rest_ms(&d, NOW + USEC_S * 9), 1);
}
END_TEST

START_TEST(no_limit_at_all_is_legal)
{
	struct deadline_policy p = {USEC_NONE, USEC_NONE, USEC_NONE};
	struct deadline d = deadline_of(&p, USEC_NONE, NOW);

	ck_assert_uint_eq(d.at, USEC_NONE);
	ck_assert_uint_eq(deadline_rest_ms(&d, NOW), 0);
	ck_assert_uint_eq(deadline_to_write(&d, NOW), 0);
}
END_TEST

START_TEST(times_near_the_end_of_the_range_do_not_wrap)
{
	struct deadline_policy p = {USEC_NONE, USEC_NONE - 1, USEC_NONE};
	struct deadline d = deadline_of(&p, USEC_NONE, NOW);

	ck_assert_uint_eq(d.at, USEC_NONE);
	d = deadline_of(&p, USEC_NONE - 2, NOW);
	ck_assert_uint_eq(d.at, USEC_NONE);
	ck_assert_uint_eq(deadline_to_write(&d, NOW + USEC_S), 0);
	p.margin = USEC_NONE - 1;
	ck_assert_uint_eq(deadline_of(&p, 1000 * MS, NOW).at, NOW + 900 * MS);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    the_default_counts_where_nobody_says_anything,
	    the_operators_limit_replaces_the_default,
	    a_caller_that_states_its_time_is_outwaited_by_5_ms,
	    the_default_does_not_shorten_what_a_caller_states,
	    the_operators_limit_shortens_what_a_caller_states,
	    with_a_margin_the_answer_comes_before_the_callers_time_is_up,
	    what_the_caller_wrote_stays_while_99_percent_of_it_are_left,
	    the_rest_is_never_written_as_0_which_would_mean_no_limit,
	    no_limit_at_all_is_legal,
	    times_near_the_end_of_the_range_do_not_wrap,
	};

	return suite_run("deadline", tests, ARRAY_LEN(tests));
}
