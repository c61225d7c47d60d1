#include "policy/health.h"

#include <check.h>

#include "base/mem.h"
#include "base/rng.h"
#include "support/suite.h"

/* Notes a result for each letter: '+' good, '-' bad. Returns how often the state changed. */
static unsigned note_all(struct health_streak *s, const char *results, unsigned rise, unsigned fall)
{
	unsigned changes = 0;

	for (; *results; results++)
		changes += health_note(s, *results == '+', rise, fall);
	return changes;
}

static void comes_to(const char *results, enum health_state state, unsigned changes)
{
	struct health_streak s = {0};
	unsigned changed = note_all(&s, results, 2, 3);

	ck_assert_msg(s.state == state && changed == changes, "%s: %d after %u changes", results,
	    (int)s.state, changed);
}

START_TEST(states_change_after_so_many_in_a_row)
{
	comes_to("", HEALTH_STATE_UNKNOWN, 0);
	comes_to("+", HEALTH_STATE_UP, 1);
	comes_to("--", HEALTH_STATE_UNKNOWN, 0);
	comes_to("---", HEALTH_STATE_DOWN, 1);
	comes_to("+--", HEALTH_STATE_UP, 1);
	comes_to("+---", HEALTH_STATE_DOWN, 2);
	comes_to("---+", HEALTH_STATE_DOWN, 1);
	comes_to("---++", HEALTH_STATE_UP, 2);
}
END_TEST

START_TEST(a_result_to_the_contrary_starts_the_count_anew)
{
	comes_to("+--+--+--", HEALTH_STATE_UP, 1);
	comes_to("---+-+-+-", HEALTH_STATE_DOWN, 1);
	comes_to("--+--", HEALTH_STATE_UP, 1);
	comes_to("+---+-++", HEALTH_STATE_UP, 3);
}
END_TEST

START_TEST(one_can_be_enough)
{
	struct health_streak s = {0};

	ck_assert_uint_eq(note_all(&s, "-+-+", 1, 1), 4);
}
END_TEST

START_TEST(waits_are_spread_around_the_interval)
{
	usec_t least = USEC_NONE, most = 0, first_least = USEC_NONE, first_most = 0;
	struct rng rng;

	rng_init(&rng, 3);
	for (int i = 0; i < 2000; i++) {
		usec_t wait = health_wait(1000, &rng), first = health_first_wait(1000, &rng);

		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
		first_least = first < first_least ? first : first_least;
		first_most = first > first_most ? first : first_most;
	}
	ck_assert_uint_eq(least, 900);
	ck_assert_uint_eq(most, 1100);
	ck_assert_uint_lt(first_least, 10);
	ck_assert_uint_gt(first_most, 990);
	ck_assert_uint_le(first_most, 1000);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    states_change_after_so_many_in_a_row,
	    a_result_to_the_contrary_starts_the_count_anew,
	    one_can_be_enough,
	    waits_are_spread_around_the_interval,
	};

	return suite_run("health", tests, ARRAY_LEN(tests));
}
