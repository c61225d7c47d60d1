/* Balancing, what holds for every type: who gets how much, who is left out, who begins slowly. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/lb_bench.h"
#include "support/suite.h"

static const uint32_t even[] = {10, 10, 10, 10};
static const uint32_t with_none[] = {5, 1, 0, 3, 10};
static const uint32_t with_huge[] = {1000000, 1, 1, 2};
static const uint32_t primes[] = {7, 11, 13, 17, 19, 23, 29, 31};
static const uint32_t large_primes[] = {104729, 7919, 99991, 3};

static const struct {
	const uint32_t *list;
	size_t n;
} sets[] = {
    {even, ARRAY_LEN(even)},
    {with_none, ARRAY_LEN(with_none)},
    {with_huge, ARRAY_LEN(with_huge)},
    {primes, ARRAY_LEN(primes)},
    {large_primes, ARRAY_LEN(large_primes)},
};

#define SETS ((int)ARRAY_LEN(sets))

static struct lb_bench bench;

static void start(enum lb_type type, int set, uint64_t seed)
{
	lb_bench_start(&bench, type, sets[set].list, sets[set].n, seed);
}

static void end(void)
{
	lb_bench_free(&bench);
	bench = (struct lb_bench){0};
}

static void begin(void)
{
	bench = (struct lb_bench){0};
}

/* Types that heed weights, draw or go round, and need nothing to be known. */
static const enum lb_type by_weight[] = {LB_WEIGHTED_ROUND_ROBIN,
    LB_INTERLEAVED_WEIGHTED_ROUND_ROBIN, LB_WEIGHTED_RANDOM, LB_LEAST_REQUEST, LB_PEAK_EWMA,
    LB_CLOSEST};
static const enum lb_type evenly[] = {LB_ROUND_ROBIN, LB_RANDOM, LB_NETWORK_QUALITY};

/* Whole rounds: the end of an interleaved one is all the largest's. */
static size_t rounds_of(size_t at_least)
{
	size_t total = 0;

	for (size_t i = 0; i < bench.n; i++)
		total += bench.endpoints[i].weight;
	return (at_least / total + 1) * total;
}

START_TEST(shares_are_by_weight)
{
	start(by_weight[_i / SETS], _i % SETS, 11);
	lb_bench_picks(&bench, rounds_of(1000000));
	ck_assert_msg(
	    lb_bench_is_fair(&bench, NULL), "type %d, set %d", by_weight[_i / SETS], _i % SETS);
}
END_TEST

START_TEST(shares_are_even_where_weights_do_not_count)
{
	double parts[8] = {0};
	int set = _i % SETS;

	start(evenly[_i / SETS], set, 12);
	for (size_t i = 0; i < bench.n; i++)
		parts[i] = sets[set].list[i] ? 1 : 0;
	lb_bench_picks(&bench, 1000000);
	ck_assert_msg(lb_bench_is_fair(&bench, parts), "type %d, set %d", evenly[_i / SETS], set);
}
END_TEST

/* Among those that are left shares stay what they were, however few are. */
START_TEST(who_is_out_leaves_its_share_to_the_others_by_weight)
{
	static const uint32_t weights[] = {3, 900, 2, 5, 1, 400};
	double parts[] = {3, 0, 2, 5, 1, 0};

	lb_bench_start(&bench, by_weight[_i], weights, 6, 13);
	bench.is_out[1] = bench.is_out[5] = true; /* hard to draw past */
	lb_bench_picks(&bench, 500000);
	if (by_weight[_i] == LB_LEAST_REQUEST || by_weight[_i] == LB_PEAK_EWMA)
		return; /* the scan of these goes by load, and there is none */
	ck_assert_msg(lb_bench_is_fair(&bench, parts), "type %d", by_weight[_i]);
}
END_TEST

START_TEST(who_is_out_or_weighs_nothing_is_never_picked)
{
	lb_bench_start(&bench, (enum lb_type)_i, with_none, 5, 14);
	bench.is_out[3] = true;
	lb_bench_picks(&bench, 100000); /* which looks */
	for (size_t i = 0; i < 5; i++)
		ck_assert_msg((bench.picked[i] > 0) == (i != 2 && i != 3), "endpoint %zu", i);
}
END_TEST

START_TEST(the_last_one_left_gets_all)
{
	uint32_t weights[300];

	for (size_t i = 0; i < 300; i++)
		weights[i] = 1 + (uint32_t)(i * 7 % 13);
	lb_bench_start(&bench, (enum lb_type)_i, weights, 300, 15);
	for (size_t i = 0; i < 300; i++)
		bench.is_out[i] = i != 77;
	for (int i = 0; i < 2000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), 77);
	bench.is_out[77] = true;
	for (int i = 0; i < 100; i++)
		ck_assert(lb_bench_pick(&bench) == LB_NONE);
	bench.is_out[5] = false; /* and is again as soon as one is back */
	ck_assert_uint_eq(lb_bench_pick(&bench), 5);
}
END_TEST

static uint32_t some_weight(struct rng *rng)
{
	static const uint32_t odd[] = {0, 0, 1, 1, 10, 10, 100, 997, 1000000, UINT32_MAX};

	return odd[rng_below(rng, ARRAY_LEN(odd))];
}

/* A world by chance: some weigh nothing, some are out, some are new. True: somebody can be
 * picked. */
static bool make_world(struct rng *rng, enum lb_type type)
{
	size_t n = 1 + (size_t)rng_below(rng, 12);
	bool is_any = false;

	lb_bench_init(&bench, type, NULL, n);
	bench.options.choices = 1 + (unsigned)rng_below(rng, 4);
	bench.options.virtual_nodes = 1 + (unsigned)rng_below(rng, 20);
	bench.options.has_location = rng_below(rng, 2);
	bench.view.share = rng_below(rng, 2) ? lb_bench_share : NULL;
	for (size_t i = 0; i < n; i++) {
		bench.endpoints[i].weight = some_weight(rng);
		bench.endpoints[i].has_location = rng_below(rng, 3);
		bench.endpoints[i].latitude = (double)rng_below(rng, 3);
		bench.shares[i] = (unsigned)rng_below(rng, 257);
		bench.loads[i] = (struct lb_load){(uint32_t)rng_below(rng, 4),
		    rng_below(rng, 3) * 1000, rng_below(rng, 3) * 600000};
		bench.is_out[i] = rng_below(rng, 3) == 0;
		is_any |= !bench.is_out[i] && bench.endpoints[i].weight > 0;
	}
	lb_bench_build(&bench, rng_next(rng));
	return is_any;
}

/* Whatever the world: whenever somebody can be picked, somebody is. */
START_TEST(nobody_is_overlooked_in_any_world)
{
	/* rings of largest weights, and Maglev's tables, take their time */
	int worlds = _i == LB_CONSISTENT_HASH || _i == LB_MAGLEV ? 15 : 1500;
	struct rng rng;

	rng_init(&rng, 4242u + (unsigned)_i);
	for (int world = 0; world < worlds; world++) {
		if (make_world(&rng, (enum lb_type)_i))
			lb_bench_picks(&bench, 40); /* which looks */
		else
			ck_assert(lb_bench_pick(&bench) == LB_NONE);
		lb_bench_free(&bench);
	}
	bench = (struct lb_bench){0};
}
END_TEST

START_TEST(no_endpoints_are_no_pick)
{
	static const uint32_t nothing[] = {0, 0};

	lb_bench_start(&bench, (enum lb_type)_i, NULL, 0, 16);
	ck_assert(lb_bench_pick(&bench) == LB_NONE);
	lb_bench_free(&bench);
	lb_bench_start(&bench, (enum lb_type)_i, nothing, 2, 16);
	ck_assert(lb_bench_pick(&bench) == LB_NONE);
	lb_bench_free(&bench);
	lb_bench_start(&bench, (enum lb_type)_i, NULL, 1, 16);
	ck_assert_uint_eq(lb_bench_pick(&bench), 0);
}
END_TEST

START_TEST(largest_weights_do_not_overflow)
{
	static const uint32_t weights[] = {UINT32_MAX, UINT32_MAX, UINT32_MAX - 1, 1};

	lb_bench_start(&bench, (enum lb_type)_i, weights, 4, 17);
	lb_bench_picks(&bench, 30000);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_gt(bench.picked[i], 7000);
		ck_assert_uint_lt(bench.picked[i], 11000);
	}
}
END_TEST

START_TEST(results_are_called_as_the_caller_calls_them)
{
	static const uint32_t ids[] = {7, 3, 5};
	struct lb_table *table;
	struct lb_state *state;

	lb_bench_start(&bench, (enum lb_type)_i, NULL, 8, 18);
	for (size_t i = 0; i < 8; i++)
		bench.is_out[i] = true;
	bench.is_out[3] = bench.is_out[5] = false;
	table = lb_table_new(&bench.options, bench.endpoints, ids, 3);
	state = lb_state_new(table, &bench.rng);
	for (int i = 0; i < 1000; i++) {
		size_t at = lb_pick(table, state, &bench.view, rng_next(&bench.rng), &bench.rng);

		ck_assert(at == 3 || at == 5);
		bench.picked[at]++;
	}
	ck_assert_uint_gt(bench.picked[3], 200);
	ck_assert_uint_gt(bench.picked[5], 200);
	lb_state_free(&state);
	ck_assert_ptr_null(state);
	lb_table_unref(&table);
	ck_assert_ptr_null(table);
}
END_TEST

START_TEST(two_sidecars_with_one_seed_pick_alike)
{
	struct lb_bench other;

	lb_bench_start(&bench, (enum lb_type)_i, primes, 8, 77);
	lb_bench_start(&other, (enum lb_type)_i, primes, 8, 77);
	for (int i = 0; i < 10000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), lb_bench_pick(&other));
	lb_bench_free(&other);
}
END_TEST

/* A crowd of sidecars that start at once must not all call the same endpoint. */
START_TEST(states_begin_anywhere)
{
	lb_bench_start(&bench, (enum lb_type)_i, primes, 8, 19);
	for (size_t i = 0; i < 40000; i++) {
		struct lb_state *state = lb_state_new(bench.table, &bench.rng);

		bench.picked[lb_pick(
		    bench.table, state, &bench.view, rng_next(&bench.rng), &bench.rng)]++;
		lb_state_free(&state);
	}
	for (size_t i = 0; i < 8; i++)
		ck_assert_uint_gt(bench.picked[i], 500);
	if (_i == LB_WEIGHTED_ROUND_ROBIN || _i == LB_INTERLEAVED_WEIGHTED_ROUND_ROBIN)
		ck_assert(lb_bench_is_fair(&bench, NULL));
}
END_TEST

START_TEST(tables_are_shared_by_reference)
{
	struct lb_table *mine;

	lb_bench_start(&bench, (enum lb_type)_i, primes, 8, 20);
	ck_assert_uint_gt(lb_table_size(bench.table), 8 * 2 * sizeof(uint32_t));
	mine = lb_table_ref(bench.table);
	ck_assert_ptr_eq(mine, bench.table);
	lb_table_unref(&mine);
	ck_assert_uint_lt(lb_bench_pick(&bench), 8); /* ASan: it is still there */
	lb_table_unref(&mine);                       /* nothing is legal */
}
END_TEST

/* A part of its weight, and all are taken as soon as there is nobody else. */
START_TEST(a_new_endpoint_has_its_part_of_calls)
{
	const enum lb_type type = (enum lb_type)_i;
	double got, full = 1.0 / 6;

	lb_bench_start(&bench, type, NULL, 6, 21);
	bench.options.virtual_nodes = 1000;
	lb_bench_build(&bench, 21);
	bench.view.share = lb_bench_share;
	for (unsigned share = 26; share <= 256; share += 46) {
		bench.shares[2] = share;
		lb_bench_forget(&bench);
		lb_bench_picks(&bench, 200000);
		got = (double)bench.picked[2] / 200000;
		/* of what it would have; what the others get instead is drawn again, from it too */
		ck_assert_msg(
		    got > full * share / 256 * 0.8, "type %d: %f of %u", type, got, share);
		ck_assert_msg(
		    got < full * share / 256 * 1.3 + 0.003, "type %d: %f of %u", type, got, share);
	}
}
END_TEST

START_TEST(new_ones_alone_share_all_calls)
{
	lb_bench_start(&bench, (enum lb_type)_i, NULL, 3, 22);
	bench.view.share = lb_bench_share;
	bench.shares[0] = bench.shares[1] = bench.shares[2] = 26;
	lb_bench_picks(&bench, 30000);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_gt(bench.picked[i], 5000);
	bench.is_out[0] = bench.is_out[1] = true;
	lb_bench_picks(&bench, 1000);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {shares_are_by_weight, (int)ARRAY_LEN(by_weight) * SETS},
	    {shares_are_even_where_weights_do_not_count, (int)ARRAY_LEN(evenly) * SETS},
	    {who_is_out_leaves_its_share_to_the_others_by_weight, (int)ARRAY_LEN(by_weight)},
	    {who_is_out_or_weighs_nothing_is_never_picked, LB_TYPES},
	    {the_last_one_left_gets_all, LB_TYPES},
	    {nobody_is_overlooked_in_any_world, LB_TYPES},
	    {no_endpoints_are_no_pick, LB_TYPES},
	    {largest_weights_do_not_overflow, LB_TYPES},
	    {results_are_called_as_the_caller_calls_them, LB_TYPES},
	    {two_sidecars_with_one_seed_pick_alike, LB_TYPES},
	    {states_begin_anywhere, LB_TYPES},
	    {tables_are_shared_by_reference, LB_TYPES},
	    {a_new_endpoint_has_its_part_of_calls, LB_TYPES},
	    {new_ones_alone_share_all_calls, LB_TYPES},
	};

	return suite_run_between("lb", tests, ARRAY_LEN(tests), begin, end);
}
