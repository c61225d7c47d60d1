#include <check.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/mem.h"
#include "base/stat.h"
#include "support/suite.h"

START_TEST(counter_counts_up_and_down)
{
	struct counter c = {0};

	counter_add(&c, 5);
	counter_sub(&c, 2);
	ck_assert_uint_eq(counter_get(&c), 3);
}
END_TEST

static void *count_up(void *arg)
{
	struct counter *c = arg;

	for (int i = 0; i < 200000; i++)
		counter_add(c, 1);
	return NULL;
}

START_TEST(counter_never_goes_back_for_a_reader_on_another_thread)
{
	struct counter c = {0};
	pthread_t writer;
	uint64_t last = 0;

	ck_assert_int_eq(pthread_create(&writer, NULL, count_up, &c), 0);
	for (int i = 0; i < 100000; i++) {
		uint64_t now = counter_get(&c);

		ck_assert(now >= last);
		last = now;
	}
	pthread_join(writer, NULL);
	ck_assert_uint_eq(counter_get(&c), 200000);
}
END_TEST

START_TEST(histogram_bounds_ascend_and_hold_kitex_s)
{
	static const usec_t kitex[] = {5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000};

	for (int i = 1; i < HISTOGRAM_BOUNDS; i++)
		ck_assert_uint_gt(histogram_bounds[i], histogram_bounds[i - 1]);
	for (size_t k = 0; k < ARRAY_LEN(kitex); k++) {
		bool found = false;

		for (int i = 0; i < HISTOGRAM_BOUNDS; i++)
			found |= histogram_bounds[i] == kitex[k];
		ck_assert_msg(found, "%llu", (unsigned long long)kitex[k]);
	}
}
END_TEST

START_TEST(histogram_puts_a_bound_into_its_own_bucket)
{
	struct histogram h = {0};

	histogram_add(&h, 0);
	histogram_add(&h, 100);
	histogram_add(&h, 101);
	histogram_add(&h, 10000000);
	histogram_add(&h, 10000001);
	ck_assert_uint_eq(counter_get(&h.buckets[0]), 2);
	ck_assert_uint_eq(counter_get(&h.buckets[1]), 1);
	ck_assert_uint_eq(counter_get(&h.buckets[HISTOGRAM_BOUNDS - 1]), 1);
	ck_assert_uint_eq(counter_get(&h.buckets[HISTOGRAM_BOUNDS]), 1);
	ck_assert_uint_eq(counter_get(&h.sum_us), 20000202);
}
END_TEST

START_TEST(histogram_quantile_of_nothing_is_zero)
{
	struct histogram h = {0};

	ck_assert_uint_eq(histogram_quantile(&h, 0.5), 0);
}
END_TEST

START_TEST(histogram_quantile_interpolates_in_its_bucket)
{
	struct histogram h = {0};

	for (int i = 0; i < 100; i++)
		histogram_add(&h, 750); /* 500 .. 1000 */
	ck_assert_uint_eq(histogram_quantile(&h, 0), 500);
	ck_assert_uint_eq(histogram_quantile(&h, 0.5), 750);
	ck_assert_uint_eq(histogram_quantile(&h, 1), 1000);
	for (int i = 0; i < 100; i++)
		histogram_add(&h, 2000); /* 1000 .. 2500 */
	ck_assert_uint_eq(histogram_quantile(&h, 0.75), 1750);
}
END_TEST

/* There is no upper end to interpolate towards. */
START_TEST(histogram_quantile_past_the_last_bound_is_the_last_bound)
{
	struct histogram h = {0};

	histogram_add(&h, USEC_S * 3600);
	ck_assert_uint_eq(histogram_quantile(&h, 0.99), histogram_bounds[HISTOGRAM_BOUNDS - 1]);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    counter_counts_up_and_down,
	    counter_never_goes_back_for_a_reader_on_another_thread,
	    histogram_bounds_ascend_and_hold_kitex_s,
	    histogram_puts_a_bound_into_its_own_bucket,
	    histogram_quantile_of_nothing_is_zero,
	    histogram_quantile_interpolates_in_its_bucket,
	    histogram_quantile_past_the_last_bound_is_the_last_bound,
	};

	return suite_run("stat", tests, ARRAY_LEN(tests));
}
