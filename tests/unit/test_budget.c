/* The retry budget: a share of the calls of ten seconds, and a floor for those who have few. */
#include <pthread.h>

#include "base/mem.h"
#include "base/rng.h"
#include "policy/budget.h"
#include "support/suite.h"

static void count_calls(struct budget *b, unsigned n, usec_t now)
{
	for (unsigned i = 0; i < n; i++)
		budget_count_call(b, now);
}

static unsigned take_all(struct budget *b, double share, usec_t now)
{
	unsigned n = 0;

	while (budget_take(b, share, now))
		n++;
	return n;
}

START_TEST(the_share_of_the_calls_may_be_retried_and_the_floor_beside)
{
	struct budget b = {0};
	usec_t now = 50 * USEC_S;

	count_calls(&b, 100, now);
	ck_assert_uint_eq(take_all(&b, 0.2, now), 20 + BUDGET_FLOOR);
	ck_assert(!budget_take(&b, 0.2, now));
	count_calls(&b, 4, now);
	ck_assert(!budget_take(&b, 0.2, now));
	count_calls(&b, 1, now);
	ck_assert_uint_eq(take_all(&b, 0.2, now), 1);
}
END_TEST

START_TEST(without_calls_there_is_the_floor_each_second)
{
	struct budget b = {0};
	unsigned taken = 0;

	for (usec_t now = 10 * USEC_S; now < 110 * USEC_S; now += 10 * USEC_MS)
		taken += budget_take(&b, 0.2, now);
	ck_assert_uint_ge(taken, 100 * BUDGET_FLOOR);
	ck_assert_uint_le(taken, 100 * BUDGET_FLOOR + BUDGET_FLOOR);
}
END_TEST

START_TEST(a_share_of_nothing_leaves_the_floor_and_of_all_doubles)
{
	struct budget none = {0}, all = {0};

	count_calls(&none, 1000, USEC_S);
	ck_assert_uint_eq(take_all(&none, 0, USEC_S), BUDGET_FLOOR);
	count_calls(&all, 1000, USEC_S);
	ck_assert_uint_eq(take_all(&all, 1, USEC_S), 1000 + BUDGET_FLOOR);
}
END_TEST

START_TEST(calls_and_retries_are_forgotten_together_after_ten_seconds)
{
	struct budget b = {0};
	usec_t now = 1000 * USEC_S;

	count_calls(&b, 100, now);
	ck_assert_uint_eq(take_all(&b, 0.2, now + 9 * USEC_S), 20 + BUDGET_FLOOR);
	/* The calls are gone now, the retries not yet: nothing is owed for them. */
	ck_assert_uint_eq(take_all(&b, 0.2, now + 10 * USEC_S), BUDGET_FLOOR);
	count_calls(&b, 200, now + 10 * USEC_S);
	ck_assert_uint_eq(take_all(&b, 0.2, now + 10 * USEC_S), 20);
	ck_assert_uint_eq(take_all(&b, 0.2, now + 19 * USEC_S), 20 + BUDGET_FLOOR);
}
END_TEST

START_TEST(a_thread_whose_clock_is_far_behind_spoils_no_count)
{
	struct budget b = {0};
	usec_t now = 100 * USEC_S;

	count_calls(&b, 100, now - 12 * USEC_S);
	count_calls(&b, 100, now);
	count_calls(&b, 50, now - 11 * USEC_S); /* the same slot, in a lap before */
	ck_assert_uint_eq(take_all(&b, 0.2, now), 20 + BUDGET_FLOOR);
	ck_assert(!budget_take(&b, 0.2, now - 11 * USEC_S));
	count_calls(&b, 5, now);
	ck_assert_uint_eq(take_all(&b, 0.2, now), 1);
}
END_TEST

/* Against a list of everything that happened. */
START_TEST(it_is_what_a_list_of_the_last_seconds_says)
{
	enum { SECONDS = 400 };
	uint32_t calls[SECONDS] = {0}, retries[SECONDS] = {0};
	struct budget b = {0};
	struct rng rng;
	usec_t now = 11 * USEC_S;

	rng_init(&rng, (uint64_t)_i);
	for (int i = 0; i < 30000; i++) {
		uint32_t second, sum_calls = 0, sum_retries = 0;
		bool by_share, has_floor;

		now += rng_below(&rng, rng_below(&rng, 300) ? 20 * USEC_MS : 9 * USEC_S);
		second = (uint32_t)(now / USEC_S);
		if (second >= SECONDS)
			break;
		if (rng_below(&rng, 3)) {
			budget_count_call(&b, now);
			calls[second]++;
			continue;
		}
		for (uint32_t s = second - BUDGET_SECONDS + 1; s <= second; s++) {
			sum_calls += calls[s];
			sum_retries += retries[s];
		}
		by_share = 4 * (sum_retries + 1) <= sum_calls; /* a quarter */
		has_floor =
		    limiter_has(&b.floor, (struct rate){BUDGET_FLOOR, USEC_S}, BUDGET_FLOOR, now);
		ck_assert_int_eq(budget_take(&b, 0.25, now), by_share || has_floor);
		retries[second] += by_share;
	}
	ck_assert_uint_gt(now, 200 * USEC_S);
}
END_TEST

/* All calls fail, and each failure wants two retries more: an hour of it, after an hour without. */
START_TEST(total_failure_of_a_hundred_calls_a_second_sends_at_most_a_quarter_more)
{
	struct budget b = {0};
	uint64_t calls = 0, retries = 0;
	usec_t now = 100 * USEC_S, gap = USEC_S / (100u << _i);

	for (; now < 200 * USEC_S; now += gap)
		budget_count_call(&b, now);
	for (; now < 500 * USEC_S; now += gap, calls++) {
		budget_count_call(&b, now);
		for (int i = 0; i < 2 && budget_take(&b, 0.2, now); i++)
			retries++;
	}
	ck_assert_double_le((double)(calls + retries) / (double)calls, 1.25);
	ck_assert_double_ge((double)(calls + retries) / (double)calls, 1.20);
}
END_TEST

enum { THREADS = 8, TRIES = 20000 };

static struct budget shared;

static void *take_many(void *arg)
{
	uint64_t *taken = arg;

	for (int i = 0; i < TRIES; i++)
		*taken += budget_take(&shared, 0.2, 60 * USEC_S);
	return NULL;
}

static void *count_many(void *arg)
{
	(void)arg;
	count_calls(&shared, TRIES, 60 * USEC_S);
	return NULL;
}

static void run_all(void *(*body)(void *), uint64_t *results)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, body, &results[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

START_TEST(threads_together_take_exactly_the_budget)
{
	uint64_t taken[THREADS] = {0}, sum = 0;

	run_all(count_many, taken);
	run_all(take_many, taken);
	for (int i = 0; i < THREADS; i++)
		sum += taken[i];
	ck_assert_uint_eq(sum, THREADS * TRIES / 5 + BUDGET_FLOOR);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {the_share_of_the_calls_may_be_retried_and_the_floor_beside, 1},
	    {without_calls_there_is_the_floor_each_second, 1},
	    {a_share_of_nothing_leaves_the_floor_and_of_all_doubles, 1},
	    {calls_and_retries_are_forgotten_together_after_ten_seconds, 1},
	    {a_thread_whose_clock_is_far_behind_spoils_no_count, 1},
	    {it_is_what_a_list_of_the_last_seconds_says, 4},
	    {total_failure_of_a_hundred_calls_a_second_sends_at_most_a_quarter_more, 4},
	    {threads_together_take_exactly_the_budget, 1},
	};

	return suite_run_between("budget", tests, ARRAY_LEN(tests), NULL, NULL);
}
