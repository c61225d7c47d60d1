/* Levels of overload: where they begin, and where they end again. */
#include "base/mem.h"
#include "proxy/overload.h"
#include "support/suite.h"

static enum overload_level after(enum overload_level before, double memory)
{
	struct overload_levels levels = {before, OVERLOAD_NONE};

	return overload_next(levels, &(struct overload_shares){.memory = memory}).memory;
}

START_TEST(each_level_begins_at_its_share)
{
	static const struct {
		double used;
		enum overload_level level;
	} cases[] = {
	    {0, OVERLOAD_NONE},
	    {0.7999, OVERLOAD_NONE},
	    {0.80, OVERLOAD_SHRINK},
	    {0.8999, OVERLOAD_SHRINK},
	    {0.90, OVERLOAD_REFUSE},
	    {0.9499, OVERLOAD_REFUSE},
	    {0.95, OVERLOAD_CLOSED},
	    {7, OVERLOAD_CLOSED},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ck_assert_int_eq(after(OVERLOAD_NONE, cases[i].used), cases[i].level);
}
END_TEST

START_TEST(nothing_is_accepted_again_before_it_is_below_nine_tenths)
{
	ck_assert_int_eq(after(OVERLOAD_CLOSED, 0.94), OVERLOAD_CLOSED);
	ck_assert_int_eq(after(OVERLOAD_CLOSED, 0.90), OVERLOAD_CLOSED);
	ck_assert_int_eq(after(OVERLOAD_CLOSED, 0.8999), OVERLOAD_REFUSE);
}
END_TEST

START_TEST(a_level_lasts_a_little_below_where_it_began)
{
	ck_assert_int_eq(after(OVERLOAD_REFUSE, 0.86), OVERLOAD_REFUSE);
	ck_assert_int_eq(after(OVERLOAD_REFUSE, 0.8499), OVERLOAD_SHRINK);
	ck_assert_int_eq(after(OVERLOAD_SHRINK, 0.76), OVERLOAD_SHRINK);
	ck_assert_int_eq(after(OVERLOAD_SHRINK, 0.7499), OVERLOAD_NONE);
	/* It is left, not skipped to: below all of them all end. */
	ck_assert_int_eq(after(OVERLOAD_CLOSED, 0.1), OVERLOAD_NONE);
	/* What lasts does not keep a higher one from beginning. */
	ck_assert_int_eq(after(OVERLOAD_SHRINK, 0.96), OVERLOAD_CLOSED);
}
END_TEST

START_TEST(a_use_that_swings_by_a_hundredth_does_not_flicker)
{
	static const double borders[] = {0.80, 0.90, 0.95};

	for (size_t i = 0; i < ARRAY_LEN(borders); i++) {
		enum overload_level level = after(OVERLOAD_NONE, borders[i] + 0.005);

		for (int n = 0; n < 100; n++)
			ck_assert_int_eq(
			    after(level, borders[i] + (n % 2 ? 0.005 : -0.005)), level);
	}
}
END_TEST

static enum overload_level worst_of(const struct overload_shares *shares)
{
	return overload_worst(overload_next((struct overload_levels){0}, shares));
}

START_TEST(the_scarcest_decides)
{
	struct overload_shares shares = {.memory = 0.92, .resident = 0.2, .descriptors = 0.81};

	ck_assert_int_eq(worst_of(&shares), OVERLOAD_REFUSE);
	shares = (struct overload_shares){.memory = 0.1, .resident = 0.97, .descriptors = 0.92};
	ck_assert_int_eq(worst_of(&shares), OVERLOAD_CLOSED);
	shares = (struct overload_shares){.memory = 0.1, .resident = 0, .descriptors = 0.96};
	ck_assert_int_eq(worst_of(&shares), OVERLOAD_CLOSED);
	shares = (struct overload_shares){.memory = 0.81, .resident = 0, .descriptors = 0};
	ck_assert_int_eq(worst_of(&shares), OVERLOAD_SHRINK);
}
END_TEST

START_TEST(calls_are_refused_from_the_second_level_on)
{
	struct overload o = {0};

	ck_assert(!overload_refuses(&o));
	overload_set(&o, (struct overload_levels){.memory = OVERLOAD_SHRINK});
	ck_assert(!overload_refuses(&o));
	overload_set(&o, (struct overload_levels){.memory = OVERLOAD_REFUSE});
	ck_assert(overload_refuses(&o));
	overload_set(&o, (struct overload_levels){.memory = OVERLOAD_CLOSED});
	ck_assert(overload_refuses(&o));
	ck_assert_str_eq(overload_level_name(overload_get(&o)), "closed");
}
END_TEST

START_TEST(a_shortage_of_descriptors_refuses_no_calls)
{
	static const struct {
		double used;
		enum overload_level level;
	} course[] = {
	    {0.79, OVERLOAD_NONE},
	    {0.81, OVERLOAD_SHRINK},
	    {0.92, OVERLOAD_SHRINK},
	    {0.95, OVERLOAD_CLOSED},
	    {1.10, OVERLOAD_CLOSED},
	    {0.91, OVERLOAD_CLOSED},
	    {0.89, OVERLOAD_SHRINK},
	    {0.76, OVERLOAD_SHRINK},
	    {0.74, OVERLOAD_NONE},
	};
	struct overload o = {0};

	for (size_t i = 0; i < ARRAY_LEN(course); i++) {
		struct overload_shares shares = {.memory = 0.5, .descriptors = course[i].used};

		overload_set(&o, overload_next(overload_levels(&o), &shares));
		ck_assert_int_eq(overload_get(&o), course[i].level);
		ck_assert(!overload_refuses(&o));
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    each_level_begins_at_its_share,
	    nothing_is_accepted_again_before_it_is_below_nine_tenths,
	    a_level_lasts_a_little_below_where_it_began,
	    a_use_that_swings_by_a_hundredth_does_not_flicker,
	    the_scarcest_decides,
	    calls_are_refused_from_the_second_level_on,
	    a_shortage_of_descriptors_refuses_no_calls,
	};

	return suite_run("overload", tests, ARRAY_LEN(tests));
}
