/* Balancing: who gets how many calls, in which order, and who never gets one. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "policy/lb.h"
#include "support/suite.h"

#define MOST 8

static const enum lb_type types[] = {LB_ROUND_ROBIN, LB_SMOOTH_WEIGHTED, LB_RANDOM};

struct bench {
	struct rng rng;
	struct lb_state state;
	struct lb_view views[MOST];
	size_t n, picked[MOST];
};

static void begin_with(struct bench *b, const uint32_t *weights, size_t n, uint64_t seed)
{
	*b = (struct bench){.n = n};
	rng_init(&b->rng, seed);
	lb_state_init(&b->state, n, &b->rng);
	for (size_t i = 0; i < n; i++)
		b->views[i] = (struct lb_view){weights[i], true};
}

static void pick_many(struct bench *b, enum lb_type type, size_t times)
{
	for (size_t i = 0; i < times; i++) {
		size_t at = lb_pick(type, &b->state, b->views, b->n, &b->rng);

		ck_assert_uint_lt(at, b->n);
		b->picked[at]++;
	}
}

START_TEST(smooth_weighted_shares_are_exact_over_every_round)
{
	static const uint32_t weights[] = {5, 1, 0, 3, 10};
	struct bench b;

	begin_with(&b, weights, 5, 1);
	for (size_t round = 1; round <= 20000; round++) {
		pick_many(&b, LB_SMOOTH_WEIGHTED, 19);
		for (size_t i = 0; i < 5; i++)
			ck_assert_uint_eq(b.picked[i], round * weights[i]);
	}
	lb_state_fini(&b.state);
}
END_TEST

START_TEST(smooth_weighted_picks_do_not_come_in_bursts)
{
	static const uint32_t weights[] = {5, 1, 1};
	static const size_t order[] = {0, 0, 1, 0, 2, 0, 0};
	struct bench b;

	begin_with(&b, weights, 3, 1);
	for (size_t i = 0; i < 3 * ARRAY_LEN(order); i++)
		ck_assert_uint_eq(lb_pick(LB_SMOOTH_WEIGHTED, &b.state, b.views, 3, &b.rng),
		    order[i % ARRAY_LEN(order)]);
	lb_state_fini(&b.state);
}
END_TEST

START_TEST(smooth_weighted_stands_the_largest_weights)
{
	static const uint32_t weights[] = {UINT32_MAX, UINT32_MAX, 1};
	struct bench b;

	begin_with(&b, weights, 3, 1);
	pick_many(&b, LB_SMOOTH_WEIGHTED, 100000);
	ck_assert_uint_eq(b.picked[0], 50000);
	ck_assert_uint_eq(b.picked[1], 50000);
	lb_state_fini(&b.state);
}
END_TEST

START_TEST(round_robin_goes_round_and_ignores_weights)
{
	static const uint32_t weights[] = {5, 1, 7};
	struct bench b;
	size_t first;

	begin_with(&b, weights, 3, 9);
	first = lb_pick(LB_ROUND_ROBIN, &b.state, b.views, 3, &b.rng);
	for (size_t i = 1; i < 100000; i++)
		ck_assert_uint_eq(
		    lb_pick(LB_ROUND_ROBIN, &b.state, b.views, 3, &b.rng), (first + i) % 3);
	lb_state_fini(&b.state);
}
END_TEST

START_TEST(round_robin_starts_anywhere)
{
	static const uint32_t weights[] = {1, 1, 1, 1};
	size_t starts[4] = {0};

	for (uint64_t seed = 0; seed < 4000; seed++) {
		struct bench b;

		begin_with(&b, weights, 4, seed);
		starts[lb_pick(LB_ROUND_ROBIN, &b.state, b.views, 4, &b.rng)]++;
		lb_state_fini(&b.state);
	}
	for (size_t i = 0; i < 4; i++)
		ck_assert_uint_gt(starts[i], 800);
}
END_TEST

/* Within five standard deviations of the even share. */
static void must_be_even(size_t picked, size_t times, size_t among)
{
	double p = 1.0 / (double)among, sigma = sqrt((double)times * p * (1 - p));

	ck_assert(fabs((double)picked - (double)times * p) < 5 * sigma);
}

START_TEST(random_is_even_over_those_that_take_calls)
{
	static const uint32_t weights[] = {1, 100, 0, 7, 1};
	const size_t times = 1000000;
	struct bench b;

	begin_with(&b, weights, 5, 42);
	b.views[4].is_usable = false;
	pick_many(&b, LB_RANDOM, times);
	ck_assert_uint_eq(b.picked[2] + b.picked[4], 0);
	must_be_even(b.picked[0], times, 3);
	must_be_even(b.picked[1], times, 3);
	must_be_even(b.picked[3], times, 3);
	lb_state_fini(&b.state);
}
END_TEST

START_TEST(who_is_down_or_has_weight_0_is_never_picked)
{
	static const uint32_t weights[] = {3, 0, 2, 5, 1};
	struct bench b;

	begin_with(&b, weights, 5, 3);
	b.views[3].is_usable = false;
	pick_many(&b, types[_i], 100000);
	ck_assert_uint_eq(b.picked[1] + b.picked[3], 0);
	ck_assert_uint_gt(b.picked[0], 1000);
	ck_assert_uint_gt(b.picked[2], 1000);
	ck_assert_uint_gt(b.picked[4], 1000);
	lb_state_fini(&b.state);
}
END_TEST

START_TEST(nobody_is_picked_when_all_are_out)
{
	static const uint32_t weights[] = {1, 0, 4};
	struct bench b;

	begin_with(&b, weights, 3, 3);
	b.views[0].is_usable = b.views[2].is_usable = false;
	for (int i = 0; i < 10; i++)
		ck_assert(lb_pick(types[_i], &b.state, b.views, 3, &b.rng) == LB_NONE);
	b.views[2].is_usable = true; /* and is again as soon as one is back */
	ck_assert_uint_eq(lb_pick(types[_i], &b.state, b.views, 3, &b.rng), 2);
	lb_state_fini(&b.state);
}
END_TEST

START_TEST(no_endpoints_are_no_pick)
{
	struct bench b;

	begin_with(&b, NULL, 0, 3);
	ck_assert(lb_pick(types[_i], &b.state, b.views, 0, &b.rng) == LB_NONE);
	lb_state_fini(&b.state);
	ck_assert_ptr_null(b.state.current);
}
END_TEST

START_TEST(the_share_of_one_that_is_out_goes_to_the_others_by_weight)
{
	static const uint32_t weights[] = {6, 3, 1};
	struct bench b;

	begin_with(&b, weights, 3, 3);
	b.views[0].is_usable = false;
	pick_many(&b, LB_SMOOTH_WEIGHTED, 40000);
	ck_assert_uint_eq(b.picked[1], 30000);
	ck_assert_uint_eq(b.picked[2], 10000);
	b.views[0].is_usable = true; /* nobody owes it what it missed */
	b = (struct bench){b.rng, b.state, {b.views[0], b.views[1], b.views[2]}, 3, {0}};
	pick_many(&b, LB_SMOOTH_WEIGHTED, 100);
	ck_assert_uint_ge(b.picked[0], 59);
	ck_assert_uint_le(b.picked[0], 61);
	lb_state_fini(&b.state);
}
END_TEST

START_TEST(two_sidecars_with_one_seed_pick_alike)
{
	static const uint32_t weights[] = {6, 3, 1, 2};
	struct bench a, b;

	begin_with(&a, weights, 4, 77);
	begin_with(&b, weights, 4, 77);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(lb_pick(types[_i], &a.state, a.views, 4, &a.rng),
		    lb_pick(types[_i], &b.state, b.views, 4, &b.rng));
	lb_state_fini(&a.state);
	lb_state_fini(&b.state);
}
END_TEST

int main(void)
{
	const int all = ARRAY_LEN(types);
	const struct suite_test tests[] = {
	    {smooth_weighted_shares_are_exact_over_every_round, 1},
	    {smooth_weighted_picks_do_not_come_in_bursts, 1},
	    {smooth_weighted_stands_the_largest_weights, 1},
	    {round_robin_goes_round_and_ignores_weights, 1},
	    {round_robin_starts_anywhere, 1},
	    {random_is_even_over_those_that_take_calls, 1},
	    {who_is_down_or_has_weight_0_is_never_picked, all},
	    {nobody_is_picked_when_all_are_out, all},
	    {no_endpoints_are_no_pick, all},
	    {the_share_of_one_that_is_out_goes_to_the_others_by_weight, 1},
	    {two_sidecars_with_one_seed_pick_alike, all},
	};

	return suite_run_between("lb", tests, ARRAY_LEN(tests), NULL, NULL);
}
