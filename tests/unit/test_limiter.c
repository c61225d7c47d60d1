/* Rates: never more than one over, no drift over years of calls, any rate, any number of
 * threads. */
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "policy/limiter.h"
#include "support/suite.h"

static const struct rate per_second = {.count = 1, .per = USEC_S};

START_TEST(a_burst_passes_at_once_and_then_the_rate)
{
	struct rate rate = {.count = 10, .per = USEC_S};
	struct limiter l = {0};
	usec_t now = 1000 * USEC_S;

	for (int i = 0; i < 5; i++)
		ck_assert(limiter_take(&l, rate, 5, now));
	ck_assert(!limiter_has(&l, rate, 5, now));
	ck_assert(!limiter_take(&l, rate, 5, now));
	ck_assert(!limiter_take(&l, rate, 5, now + 99 * USEC_MS));
	ck_assert(limiter_has(&l, rate, 5, now + 100 * USEC_MS));
	ck_assert(limiter_take(&l, rate, 5, now + 100 * USEC_MS));
	ck_assert(!limiter_take(&l, rate, 5, now + 100 * USEC_MS));
}
END_TEST

START_TEST(having_takes_nothing)
{
	struct limiter l = {0};

	for (int i = 0; i < 10; i++)
		ck_assert(limiter_has(&l, per_second, 1, 5 * USEC_S));
	ck_assert(limiter_take(&l, per_second, 1, 5 * USEC_S));
	ck_assert(!limiter_has(&l, per_second, 1, 5 * USEC_S));
}
END_TEST

START_TEST(what_is_given_back_can_be_taken_again_and_is_not_saved_up)
{
	struct limiter l = {0};
	usec_t now = 7 * USEC_S;

	ck_assert(limiter_take(&l, per_second, 1, now));
	limiter_give_back(&l, per_second);
	ck_assert(limiter_take(&l, per_second, 1, now));
	ck_assert(!limiter_take(&l, per_second, 1, now));
	for (int i = 0; i < 20; i++) /* even if somebody gives back what was never taken */
		limiter_give_back(&l, per_second);
	ck_assert(limiter_take(&l, per_second, 1, now));
	ck_assert(!limiter_take(&l, per_second, 1, now));
}
END_TEST

START_TEST(what_is_kept_for_others_is_left)
{
	struct rate rate = {.count = 10, .per = USEC_S};
	struct limiter l = {0};
	usec_t now = 9 * USEC_S;

	for (int i = 0; i < 6; i++)
		ck_assert(limiter_take_over(&l, rate, 10, 4, now));
	ck_assert(!limiter_take_over(&l, rate, 10, 4, now));
	for (int i = 0; i < 4; i++)
		ck_assert(limiter_take(&l, rate, 10, now));
	ck_assert(!limiter_take(&l, rate, 10, now));
	ck_assert(!limiter_take_over(&l, rate, 10, 10, now + USEC_MIN));
}
END_TEST

/* One an hour, one a minute, a prime number a second, more than one a microsecond. */
static const struct rate rates[] = {
    {1, 60 * USEC_MIN},
    {7, 60 * USEC_MIN},
    {1, USEC_MIN},
    {97, USEC_MIN},
    {3, USEC_S},
    {15, USEC_S},
    {99, USEC_S},
    {9973, USEC_S},
    {999983, USEC_S},
    {3000017, USEC_S},
    {4000000000, USEC_S},
    {UINT32_MAX, USEC_S},
    {UINT32_MAX, 60 * USEC_MIN},
};

/* How many lines of the grid lie in (@from, @to]. */
static uint64_t due(struct rate rate, usec_t from, usec_t to)
{
	__extension__ unsigned __int128 a = from, b = to;

	return (uint64_t)(b * rate.count / rate.per - a * rate.count / rate.per);
}

/* Asked all the time it gives exactly what is due, call for call, whatever the uptime. */
START_TEST(no_call_is_lost_or_won_by_rounding)
{
	struct rate rate = rates[_i];
	usec_t step = rate.per / rate.count / 3 + 1, start = UINT64_C(123456789012345);
	uint64_t at_once = due(rate, 0, step) + 1, taken = 0;
	unsigned burst = (unsigned)at_once + 1;
	struct limiter l = {0};
	usec_t now = start;

	while (limiter_take(&l, rate, burst, now))
		taken++;
	ck_assert_uint_eq(taken, burst);
	for (uint64_t i = 0; i < 1 + 20000 / at_once; i++) {
		now += step;
		while (limiter_take(&l, rate, burst, now))
			taken++;
		ck_assert_uint_eq(taken - burst, due(rate, start, now));
	}
}
END_TEST

/* Calls at random times: in no span are there more than the rate, rounded up, and the burst. */
START_TEST(no_span_has_more_than_the_rate_and_the_burst)
{
	enum { CALLS = 3000 };
	static usec_t passed[CALLS];
	struct rng rng;

	rng_init(&rng, (uint64_t)_i);
	for (int round = 0; round < 8; round++) {
		struct rate rate = {
		    1 + (unsigned)rng_below(&rng, 2000), round % 2 ? USEC_S : USEC_MIN};
		unsigned burst = 1 + (unsigned)rng_below(&rng, 30);
		usec_t now = rng_below(&rng, UINT64_C(1) << 50), gap = rate.per / rate.count;
		struct limiter l = {0};
		int n = 0;

		for (int i = 0; i < CALLS; i++) {
			now += rng_below(&rng, rng_below(&rng, 100) ? gap + 1 : 40 * gap + 1);
			if (limiter_take(&l, rate, burst, now))
				passed[n++] = now;
		}
		for (int from = 0; from < n; from++)
			for (int to = from; to < n && to < from + 64; to++)
				if ((uint64_t)(to - from + 1) >
				    burst + due(rate, passed[from], passed[to]))
					ck_abort_msg("%u of %d: over", rate.count, to - from + 1);
		ck_assert_int_gt(n, 100);
	}
}
END_TEST

/* A caller within the rate is never refused, whatever the phase. */
START_TEST(a_steady_caller_at_the_rate_always_passes)
{
	struct rng rng;

	rng_init(&rng, 3);
	for (int round = 0; round < 100; round++) {
		struct rate rate = {1 + (unsigned)rng_below(&rng, 50000), USEC_S};
		usec_t gap = (rate.per + rate.count - 1) / rate.count;
		usec_t now = rng_below(&rng, UINT64_C(1) << 45);
		struct limiter l = {0};

		for (int i = 0; i < 1000; i++, now += gap)
			ck_assert(limiter_take(&l, rate, 1, now));
	}
}
END_TEST

START_TEST(a_clock_that_is_a_little_back_changes_nothing)
{
	struct rate rate = {.count = 1000, .per = USEC_S};
	usec_t start = 100 * USEC_S, now = start;
	struct limiter l = {0};
	uint64_t taken = 0;
	struct rng rng;

	rng_init(&rng, 4);
	for (int i = 0; i < 100000; i++, now += 100)
		taken += limiter_take(&l, rate, 10, now - rng_below(&rng, 3000));
	ck_assert_uint_le(taken, 10 + due(rate, start - 3000, now));
	ck_assert_uint_ge(taken + 5, due(rate, start, now));
}
END_TEST

START_TEST(a_new_rate_takes_over_where_the_old_one_was)
{
	struct rate fast = {.count = 1000, .per = USEC_S}, slow = {.count = 2, .per = USEC_S};
	struct limiter l = {0};
	usec_t now = 40 * 24 * 60 * USEC_MIN; /* long up */

	while (limiter_take(&l, fast, 100, now))
		;
	/* Nothing is left, but neither is anything owed for long. */
	ck_assert(!limiter_take(&l, slow, 1, now));
	ck_assert(limiter_take(&l, slow, 1, now + USEC_S));
	ck_assert(!limiter_take(&l, slow, 1, now + USEC_S));
	/* And back: old and new snapshots may take turns for a while. */
	ck_assert(!limiter_take(&l, fast, 1, now + USEC_S + 1));
	ck_assert(limiter_take(&l, fast, 1, now + 2 * USEC_S));
	ck_assert(!limiter_take(&l, slow, 1, now + 2 * USEC_S));
}
END_TEST

START_TEST(the_ends_of_all_numbers_are_survived)
{
	struct rate rate = {.count = 1, .per = 30 * 24 * 60 * USEC_MIN},
		    huge = {UINT32_MAX, USEC_S};
	struct limiter l = {0};
	uint64_t taken = 0;

	ck_assert(limiter_take(&l, huge, UINT32_MAX, 0));
	ck_assert(limiter_take(&l, rate, 1, USEC_NONE));
	ck_assert(!limiter_take(&l, rate, 1, USEC_NONE)); /* nothing comes after it */
	l = (struct limiter){0};
	while (limiter_take(&l, rate, UINT32_MAX, 0))
		taken++;
	/* 71 years of months, then it is the end of time. */
	ck_assert(taken > 860 && taken < 875);
	ck_assert(!limiter_has(&l, rate, UINT32_MAX, 0));
	limiter_give_back(&(struct limiter){0}, huge);
}
END_TEST

enum { THREADS = 8, TRIES = 20000 };

struct taker {
	pthread_t thread;
	struct limiter *l;
	_Atomic uint64_t *clock;
	uint64_t taken;
};

static const struct rate shared_rate = {.count = 500000, .per = USEC_S};

static void *take_many(void *arg)
{
	struct taker *t = arg;

	for (int i = 0; i < TRIES; i++) {
		usec_t now = atomic_fetch_add_explicit(t->clock, 1, memory_order_relaxed);

		t->taken += limiter_take(t->l, shared_rate, 100, now);
	}
	return NULL;
}

START_TEST(threads_together_get_exactly_the_rate)
{
	_Atomic uint64_t clock = 1000 * USEC_S;
	struct taker takers[THREADS];
	struct limiter l = {0};
	uint64_t taken = 0;

	for (int i = 0; i < THREADS; i++) {
		takers[i] = (struct taker){.l = &l, .clock = &clock};
		ck_assert_int_eq(pthread_create(&takers[i].thread, NULL, take_many, &takers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(takers[i].thread, NULL);
		taken += takers[i].taken;
	}
	/* One try each microsecond, half of them within the rate. A thread that was stopped
	 * between reading the clock and taking comes late, and then its try may be lost, but
	 * none is won. */
	ck_assert_uint_le(taken, THREADS * TRIES / 2 + 100);
	ck_assert_uint_ge(taken, THREADS * TRIES / 2 - 100);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_burst_passes_at_once_and_then_the_rate, 1},
	    {having_takes_nothing, 1},
	    {what_is_given_back_can_be_taken_again_and_is_not_saved_up, 1},
	    {what_is_kept_for_others_is_left, 1},
	    {no_call_is_lost_or_won_by_rounding, ARRAY_LEN(rates)},
	    {no_span_has_more_than_the_rate_and_the_burst, 4},
	    {a_steady_caller_at_the_rate_always_passes, 1},
	    {a_clock_that_is_a_little_back_changes_nothing, 1},
	    {a_new_rate_takes_over_where_the_old_one_was, 1},
	    {the_ends_of_all_numbers_are_survived, 1},
	    {threads_together_get_exactly_the_rate, 1},
	};

	return suite_run_between("limiter", tests, ARRAY_LEN(tests), NULL, NULL);
}
