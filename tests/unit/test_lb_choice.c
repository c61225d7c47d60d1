/* Balancing by what is known of endpoints: their load, their replies, their places, their
 * distance. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/lb_bench.h"
#include "support/suite.h"

static struct lb_bench bench;

static void begin(void)
{
	bench = (struct lb_bench){0};
}

static void end(void)
{
	lb_bench_free(&bench);
}

/* ---- load ---- */

static const enum lb_type by_load[] = {LB_LEAST_REQUEST, LB_PEAK_EWMA};

START_TEST(the_less_loaded_of_two_is_taken)
{
	lb_bench_start(&bench, by_load[_i], NULL, 2, 1);
	bench.loads[0] = (struct lb_load){.in_flight = 3, .latency = 1000};
	bench.loads[1] = (struct lb_load){.in_flight = 2, .latency = 1000};
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), 1);
	bench.loads[0].in_flight = 1;
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), 0);
}
END_TEST

START_TEST(load_counts_for_its_weight)
{
	static const uint32_t weights[] = {30, 10};

	lb_bench_start(&bench, by_load[_i], weights, 2, 1);
	bench.loads[0] = (struct lb_load){.in_flight = 10, .latency = 1000}; /* 11/30 */
	bench.loads[1] = (struct lb_load){.in_flight = 3, .latency = 1000};  /* 4/10 */
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), 0);
	bench.loads[0].in_flight = 12; /* 13/30 */
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), 1);
}
END_TEST

START_TEST(the_sooner_of_two_is_taken)
{
	lb_bench_start(&bench, LB_PEAK_EWMA, NULL, 2, 1);
	bench.loads[0] = (struct lb_load){.in_flight = 5, .latency = 1000}; /* 6 ms */
	bench.loads[1] = (struct lb_load){.in_flight = 0, .latency = 7000};
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), 0);
	bench.loads[1].latency = 5000;
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), 1);
}
END_TEST

/* Neither shunned nor flooded. */
START_TEST(one_that_never_answered_is_as_fast_as_the_others)
{
	lb_bench_start(&bench, LB_PEAK_EWMA, NULL, 2, 1);
	bench.loads[0] = (struct lb_load){.in_flight = 1, .latency = 50000};
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), 1);
	bench.loads[1].in_flight = 2;
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), 0);
}
END_TEST

START_TEST(more_choices_find_the_idle_one_more_often)
{
	size_t found[3];

	for (unsigned choices = 1; choices <= 3; choices++) {
		lb_bench_init(&bench, LB_LEAST_REQUEST, NULL, 10);
		bench.options.choices = choices;
		lb_bench_build(&bench, 1);
		for (size_t i = 0; i < 10; i++)
			bench.loads[i].in_flight = i == 6 ? 0 : 9;
		lb_bench_picks(&bench, 100000);
		found[choices - 1] = bench.picked[6];
		lb_bench_free(&bench);
		bench = (struct lb_bench){0};
	}
	ck_assert_uint_gt(found[0], 9500); /* 1 - 9/10 */
	ck_assert_uint_lt(found[0], 10500);
	ck_assert_uint_gt(found[1], 19400); /* two different ones of ten */
	ck_assert_uint_lt(found[1], 20600);
	ck_assert_uint_gt(found[2], 28500);
	ck_assert_uint_lt(found[2], 30600);
}
END_TEST

#define RUNNING 2000 /* calls under way at any time */

/* Calls that last by chance: each new one takes the place of one that ends. Returns the most that
 * an endpoint ever had for its weight, over what all had. */
static double most_loaded(enum lb_type type, const uint32_t *weights, size_t n)
{
	size_t *running = mem_calloc(RUNNING, sizeof *running);
	double most = 0, total = 0;

	lb_bench_start(&bench, type, weights, n, 5);
	for (size_t i = 0; i < n; i++)
		total += bench.endpoints[i].weight;
	for (size_t i = 0; i < 400000; i++) {
		size_t slot = i < RUNNING ? i : (size_t)rng_below(&bench.rng, RUNNING), at;

		if (i >= RUNNING)
			bench.loads[running[slot]].in_flight--;
		at = running[slot] = lb_bench_pick(&bench);
		bench.loads[at].in_flight++;
		if (i > RUNNING * 10)
			most = fmax(most, bench.loads[at].in_flight * total /
					      (RUNNING * (double)bench.endpoints[at].weight));
	}
	for (size_t i = 0; i < n; i++)
		bench.picked[i] = bench.loads[i].in_flight;
	free(running);
	return most;
}

START_TEST(load_is_flatter_than_chance_leaves_it)
{
	double chance = most_loaded(LB_RANDOM, NULL, 100), load;

	lb_bench_free(&bench);
	load = most_loaded(by_load[_i], NULL, 100);
	ck_assert_double_lt(load, 1.35);
	ck_assert_double_gt(chance, 1.6);
}
END_TEST

START_TEST(load_settles_by_weight)
{
	uint32_t weights[40];

	for (size_t i = 0; i < 40; i++)
		weights[i] = i % 2 ? 30 : 10;
	ck_assert_double_lt(most_loaded(by_load[_i], weights, 40), 1.5);
	for (size_t i = 0; i < 40; i++) {
		double fair = RUNNING * (double)weights[i] / 800;

		ck_assert_double_gt((double)bench.picked[i], fair * 0.7);
		ck_assert_double_lt((double)bench.picked[i], fair * 1.3);
	}
}
END_TEST

/* One in three answers five times slower: it is given less. */
START_TEST(slow_ones_are_given_less)
{
	lb_bench_start(&bench, LB_PEAK_EWMA, NULL, 3, 6);
	for (size_t i = 0; i < 3; i++)
		bench.loads[i].latency = i == 1 ? 5000 : 1000;
	for (size_t i = 0; i < 60000; i++) {
		size_t at = lb_bench_pick(&bench);

		bench.picked[at]++;
		bench.loads[at].in_flight++;
		for (size_t k = 0; k < 3; k++) /* it ends what it can in the time of a call */
			if (bench.loads[k].in_flight && rng_below(&bench.rng, k == 1 ? 10 : 2) == 0)
				bench.loads[k].in_flight--;
	}
	ck_assert_uint_lt(bench.picked[1] * 3, bench.picked[0]);
	ck_assert_uint_gt(bench.picked[1], 0);
}
END_TEST

START_TEST(the_least_loaded_is_found_when_drawing_finds_none)
{
	static const uint32_t weights[] = {1000000, 1, 1, 1};

	lb_bench_start(&bench, LB_LEAST_REQUEST, weights, 4, 7);
	bench.is_out[0] = true;
	bench.loads[1].in_flight = bench.loads[3].in_flight = 5;
	bench.loads[2].in_flight = 4;
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), 2);
}
END_TEST

/* ---- places ---- */

static void put(size_t endpoint, double latitude, double longitude)
{
	bench.endpoints[endpoint].has_location = true;
	bench.endpoints[endpoint].latitude = latitude;
	bench.endpoints[endpoint].longitude = longitude;
}

START_TEST(distances_are_those_of_the_globe)
{
	const double degree = 6378100.0 * 3.14159265358979323846 / 180;

	ck_assert_double_eq_tol(lb_distance(0, 0, 0, 0), 0, 1e-6);
	ck_assert_double_eq_tol(lb_distance(0, 0, 0, 1), degree, 1);
	ck_assert_double_eq_tol(lb_distance(10, 50, 11, 50), degree, 1);
	ck_assert_double_eq_tol(
	    lb_distance(0, 179.5, 0, -179.5), degree, 1); /* across the date line */
	ck_assert_double_eq_tol(lb_distance(90, 0, -90, 0), 180 * degree, 1);
	ck_assert_double_eq_tol(lb_distance(90, 12, 90, -77), 0, 1); /* one pole */
	/* Berlin to Tokyo: 8 918 km on a globe of 6 371 km. */
	ck_assert_double_eq_tol(
	    lb_distance(52.5200, 13.4050, 35.6762, 139.6503), 8918e3 * 6378.1 / 6371, 10e3);
}
END_TEST

/* Here is Frankfurt. 0, 1: Frankfurt; 2: Mainz; 3: Paris; 4: New York; 5: nobody knows. */
static void start_places(void)
{
	lb_bench_init(&bench, LB_CLOSEST, NULL, 6);
	bench.options.has_location = true;
	bench.options.latitude = 50.1109;
	bench.options.longitude = 8.6821;
	put(0, 50.1109, 8.6821);
	put(1, 50.1150, 8.6850);
	put(2, 49.9929, 8.2473);
	put(3, 48.8566, 2.3522);
	put(4, 40.7128, -74.0060);
	lb_bench_build(&bench, 1);
}

START_TEST(those_nearest_share_all_calls)
{
	double parts[] = {1, 1, 0, 0, 0, 0};

	start_places();
	lb_bench_picks(&bench, 100000);
	ck_assert(lb_bench_is_fair(&bench, parts));
}
END_TEST

START_TEST(the_next_nearest_follow_when_the_nearest_are_out)
{
	static const size_t order[] = {2, 3, 4, 5};

	start_places();
	bench.is_out[0] = true;
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), 1);
	bench.is_out[1] = true;
	for (size_t k = 0; k < 4; k++) {
		for (int i = 0; i < 100; i++)
			ck_assert_uint_eq(lb_bench_pick(&bench), order[k]);
		bench.is_out[order[k]] = true;
	}
	ck_assert(lb_bench_pick(&bench) == LB_NONE);
}
END_TEST

START_TEST(as_near_is_within_a_hundredth_of_the_way)
{
	double parts[] = {3, 1, 0};

	lb_bench_init(&bench, LB_CLOSEST, NULL, 3);
	bench.options.has_location = true;
	put(0, 0, 10);
	put(1, 10.09, 0); /* 0.9 % farther */
	put(2, 0, -10.2); /* 2 % farther */
	bench.endpoints[0].weight = 3;
	lb_bench_build(&bench, 1);
	lb_bench_picks(&bench, 100000);
	ck_assert(lb_bench_is_fair(&bench, parts));
}
END_TEST

START_TEST(without_a_place_of_our_own_all_are_near)
{
	start_places();
	bench.options.has_location = false;
	lb_bench_build(&bench, 1);
	lb_bench_picks(&bench, 100000);
	ck_assert(lb_bench_is_fair(&bench, NULL));
}
END_TEST

/* ---- connect times ---- */

static void start_quality(const usec_t *connects_ms, size_t n)
{
	lb_bench_start(&bench, LB_NETWORK_QUALITY, NULL, n, 2);
	for (size_t i = 0; i < n; i++)
		bench.loads[i].connect = connects_ms[i] * USEC_MS;
}

START_TEST(connect_times_weigh_as_rpcx_weighs_pings)
{
	static const usec_t ms[] = {1, 10, 11, 100, 200, 201, 999, 1000, 5000};
	double parts[] = {191, 191, 190, 101, 1, 1, 1, 0, 0};

	start_quality(ms, ARRAY_LEN(ms));
	lb_bench_picks(&bench, 1000000);
	ck_assert(lb_bench_is_fair(&bench, parts));
}
END_TEST

START_TEST(who_was_not_measured_counts_as_the_middle)
{
	static const usec_t ms[] = {1, 0, 101, 151, 0};
	double parts[] = {191, 100, 100, 50, 100};

	start_quality(ms, ARRAY_LEN(ms));
	lb_bench_picks(&bench, 300000);
	ck_assert(lb_bench_is_fair(&bench, parts));
}
END_TEST

START_TEST(those_beyond_measure_are_better_than_nobody)
{
	static const usec_t ms[] = {5, 2000, 3000};

	start_quality(ms, 3);
	lb_bench_picks(&bench, 1000);
	ck_assert_uint_eq(bench.picked[0], 1000);
	bench.is_out[0] = true;
	lb_bench_picks(&bench, 1000);
	ck_assert_uint_gt(bench.picked[1], 300);
	ck_assert_uint_gt(bench.picked[2], 300);
	lb_bench_free(&bench);
	start_quality(ms + 1, 2);
	lb_bench_picks(&bench, 1000);
	ck_assert_uint_gt(bench.picked[0], 300);
}
END_TEST

START_TEST(times_that_change_are_heard_of)
{
	static const usec_t ms[] = {5, 5};

	start_quality(ms, 2);
	lb_bench_picks(&bench, 10000);
	bench.loads[0].connect = 3000 * USEC_MS;
	lb_bench_picks(&bench, 1024); /* until it is weighed anew */
	lb_bench_forget(&bench);
	lb_bench_picks(&bench, 1000);
	ck_assert_uint_eq(bench.picked[0], 0);
}
END_TEST

START_TEST(nothing_known_at_all_is_no_harm)
{
	static const enum lb_type types[] = {LB_LEAST_REQUEST, LB_PEAK_EWMA, LB_NETWORK_QUALITY};
	static const uint32_t weights[] = {7, 7, 7};

	lb_bench_start(&bench, types[_i], weights, 3, 3);
	bench.view.load = NULL;
	lb_bench_picks(&bench, 100000);
	ck_assert(lb_bench_is_fair(&bench, NULL));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {the_sooner_of_two_is_taken, 1},
	    {one_that_never_answered_is_as_fast_as_the_others, 1},
	    {more_choices_find_the_idle_one_more_often, 1},
	    {slow_ones_are_given_less, 1},
	    {the_least_loaded_is_found_when_drawing_finds_none, 1},
	    {distances_are_those_of_the_globe, 1},
	    {those_nearest_share_all_calls, 1},
	    {the_next_nearest_follow_when_the_nearest_are_out, 1},
	    {as_near_is_within_a_hundredth_of_the_way, 1},
	    {without_a_place_of_our_own_all_are_near, 1},
	    {connect_times_weigh_as_rpcx_weighs_pings, 1},
	    {who_was_not_measured_counts_as_the_middle, 1},
	    {those_beyond_measure_are_better_than_nobody, 1},
	    {times_that_change_are_heard_of, 1},
	    {nothing_known_at_all_is_no_harm, 3},
	    {the_less_loaded_of_two_is_taken, 2},
	    {load_counts_for_its_weight, 2},
	    {load_is_flatter_than_chance_leaves_it, 2},
	    {load_settles_by_weight, 2},
	};

	return suite_run_between("lb_choice", tests, ARRAY_LEN(tests), begin, end);
}
