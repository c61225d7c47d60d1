/* Consistent hashing, by ring and by Maglev's table: evenness, and what moves when endpoints do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/lb_bench.h"
#include "support/suite.h"

#define KEYS 200000u

static const enum lb_type types[] = {LB_CONSISTENT_HASH, LB_MAGLEV};

static struct lb_bench bench;

static void begin(void)
{
	bench = (struct lb_bench){0};
}

static void end(void)
{
	lb_bench_free(&bench);
}

static uint64_t hash_of(unsigned key)
{
	char text[24];
	int len = snprintf(text, sizeof text, "user-%u", key);

	return lb_hash(slice_of(text, (size_t)len));
}

static size_t pick(struct lb_bench *b, unsigned key)
{
	return lb_pick(b->table, b->state, &b->view, hash_of(key), &b->rng);
}

static void pick_all(struct lb_bench *b)
{
	lb_bench_forget(b);
	for (unsigned key = 0; key < KEYS; key++)
		b->picked[pick(b, key)]++;
}

START_TEST(the_hash_is_xxhash64_with_seed_0)
{
	ck_assert_uint_eq(lb_hash(SLICE_NONE), 0xef46db3751d8e999u); /* xxHash's own test values */
	ck_assert_uint_eq(lb_hash(SLICE_LIT("a")), 0xd24ec4f1a98c6e5bu);
	ck_assert_uint_eq(lb_hash(SLICE_LIT("abc")), 0x44bc2cf5ad770999u);
}
END_TEST

/* Every sidecar, everywhere, in any version, has to agree on these. */
START_TEST(keys_go_where_they_always_went)
{
	static const size_t known[2][8] = {
	    {2, 1, 1, 1, 1, 1, 3, 1},
	    {1, 2, 0, 1, 0, 2, 2, 2},
	};
	static const uint32_t weights[] = {10, 10, 30, 10, 10};

	lb_bench_start(&bench, types[_i], weights, 5, 1);
	for (unsigned key = 0; key < 8; key++)
		ck_assert_msg(pick(&bench, key) == known[_i][key], "key %u of type %d: %zu", key,
		    _i, pick(&bench, key));
}
END_TEST

/* Kitex's rule, in numbers that were worked out elsewhere: the first point strictly above. */
START_TEST(a_hash_goes_to_the_first_point_above_it)
{
	uint64_t point = lb_hash(SLICE_LIT("10.0.0.0:80#0")),
		 other = lb_hash(SLICE_LIT("10.0.0.1:80#0"));
	uint64_t low = point < other ? point : other, high = point < other ? other : point;
	size_t of_low = point < other ? 0 : 1, of_high = 1 - of_low;

	lb_bench_init(&bench, LB_CONSISTENT_HASH, NULL, 2);
	bench.options.virtual_nodes = 1;
	lb_bench_build(&bench, 1);
#define AT(hash) lb_pick(bench.table, bench.state, &bench.view, (hash), &bench.rng)
	ck_assert_uint_eq(AT(low - 1), of_low);
	ck_assert_uint_eq(AT(low), of_high);
	ck_assert_uint_eq(AT(high - 1), of_high);
	ck_assert_uint_eq(AT(high), of_low); /* past the last it wraps */
	ck_assert_uint_eq(AT(UINT64_MAX), of_low);
	ck_assert_uint_eq(AT(0), of_low);
#undef AT
}
END_TEST

static double most_over_mean(const struct lb_bench *b)
{
	size_t most = 0;

	for (size_t i = 0; i < b->n; i++)
		most = b->picked[i] > most ? b->picked[i] : most;
	return (double)most * (double)b->n / KEYS;
}

START_TEST(keys_are_spread_evenly)
{
	static const size_t sizes[] = {2, 3, 10, 50};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint32_t weights[50];
		double over;

		for (size_t k = 0; k < sizes[i]; k++)
			weights[k] = 10; /* the default */
		lb_bench_start(&bench, types[_i], weights, sizes[i], 1);
		pick_all(&bench);
		over = most_over_mean(&bench);
		printf("type %d, %zu endpoints: max/mean %.3f\n", (int)types[_i], sizes[i], over);
		ck_assert_double_lt(over, _i == 0 ? 1.12 : 1.06);
		lb_bench_free(&bench);
		bench = (struct lb_bench){0};
	}
}
END_TEST

START_TEST(keys_are_spread_by_weight)
{
	static const uint32_t weights[] = {10, 40, 0, 100, 5, 1};

	lb_bench_start(&bench, types[_i], weights, 6, 1);
	bench.options.virtual_nodes = 500;
	lb_bench_build(&bench, 1);
	pick_all(&bench);
	ck_assert_uint_eq(bench.picked[2], 0);
	for (size_t i = 0; i < 6; i++) {
		double share = (double)bench.picked[i] / KEYS * 156 / (weights[i] ? weights[i] : 1);

		ck_assert_msg(weights[i] == 0 || fabs(share - 1) < (weights[i] < 10 ? 0.2 : 0.08),
		    "endpoint %zu has %.3f of its share", i, share);
	}
}
END_TEST

/* Where each value of a key has its group there are as many tables as endpoints. */
START_TEST(one_alone_takes_next_to_no_memory)
{
	static const uint32_t weight = 100000;

	lb_bench_start(&bench, types[_i], &weight, 1, 1);
	ck_assert_uint_lt(lb_table_size(bench.table), 512);
	pick_all(&bench);
	ck_assert_uint_eq(bench.picked[0], KEYS);
}
END_TEST

/* A ring of too many points is thinned out evenly. */
START_TEST(large_weights_do_not_make_a_large_ring)
{
	static const uint32_t weights[] = {1000000, 500000, 250000, 1};

	lb_bench_start(&bench, types[_i], weights, 4, 1);
	ck_assert_uint_lt(lb_table_size(bench.table), (size_t)(1u << 20) * 12 + 4096);
	pick_all(&bench);
	ck_assert_double_eq_tol((double)bench.picked[0] / (double)bench.picked[1], 2, 0.1);
	ck_assert_double_eq_tol((double)bench.picked[1] / (double)bench.picked[2], 2, 0.1);
	ck_assert_uint_lt(bench.picked[3], KEYS / 1000);
}
END_TEST

START_TEST(the_order_of_the_list_does_not_matter)
{
	struct lb_bench other;

	lb_bench_start(&bench, types[_i], NULL, 20, 1);
	lb_bench_init(&other, types[_i], NULL, 20);
	for (size_t i = 0; i < 20; i++)
		other.endpoints[i].key = slice_str(bench.keys[i * 7 % 20]);
	lb_bench_build(&other, 2);
	for (unsigned key = 0; key < 20000; key++)
		ck_assert_uint_eq(pick(&bench, key), pick(&other, key) * 7 % 20);
	lb_bench_free(&other);
}
END_TEST

/* Keys that moved, of those that need not have; @who: who came, or went. */
struct moved {
	unsigned at_all, needlessly;
};

static struct moved compare(struct lb_bench *less, struct lb_bench *more, size_t who)
{
	struct moved moved = {0};

	for (unsigned key = 0; key < KEYS; key++) {
		size_t a = pick(less, key), b = pick(more, key);

		moved.at_all += a != b;
		moved.needlessly += a != b && b != who;
	}
	return moved;
}

/* A ring moves no key but to or from the one that changed; Maglev's table a few in a hundred. */
START_TEST(few_keys_move_when_an_endpoint_comes_or_goes)
{
	static const size_t sizes[] = {3, 10, 40};
	struct lb_bench other;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t n = sizes[i], who = n / 2;
		uint32_t weights[40];
		struct moved moved;

		for (size_t k = 0; k < n; k++)
			weights[k] = 10;
		lb_bench_start(&bench, types[_i], weights, n, 1);
		weights[who] = 0; /* it has gone */
		lb_bench_start(&other, types[_i], weights, n, 1);
		moved = compare(&other, &bench, who);
		printf("type %d, 1 of %zu goes: %.2f %% move, %.2f %% of them needlessly\n",
		    (int)types[_i], n, 100.0 * moved.at_all / KEYS,
		    100.0 * moved.needlessly / KEYS);
		ck_assert_uint_lt(moved.at_all, 2 * KEYS / n);
		if (types[_i] == LB_CONSISTENT_HASH)
			ck_assert_uint_eq(moved.needlessly, 0);
		else
			ck_assert_uint_lt(moved.needlessly, KEYS / 25);
		lb_bench_free(&other);
		lb_bench_free(&bench);
		bench = (struct lb_bench){0};
	}
}
END_TEST

/* One that is out is as one that has gone, for a ring; and all comes back to it. */
START_TEST(who_is_out_moves_only_its_own_keys)
{
	size_t *before = mem_calloc(KEYS, sizeof *before);

	lb_bench_start(&bench, types[_i], NULL, 10, 1);
	bench.options.virtual_nodes = 1000;
	lb_bench_build(&bench, 1);
	for (unsigned key = 0; key < KEYS; key++)
		before[key] = pick(&bench, key);
	bench.is_out[4] = true;
	lb_bench_forget(&bench);
	for (unsigned key = 0; key < KEYS; key++) {
		size_t at = pick(&bench, key);

		if (at == 4 || (before[key] != 4 && at != before[key]))
			ck_abort_msg("key %u moved to %zu", key, at);
		if (before[key] == 4)
			bench.picked[at]++;
	}
	for (size_t i = 0; i < 10; i++) /* the others take it over together */
		ck_assert((i == 4) == (bench.picked[i] < KEYS / 200));
	bench.is_out[4] = false;
	for (unsigned key = 0; key < KEYS; key += 10)
		ck_assert_uint_eq(pick(&bench, key), before[key]);
	free(before);
}
END_TEST

START_TEST(ring_keys_of_who_is_out_go_where_they_would_if_it_had_gone)
{
	uint32_t weights[10];
	struct lb_bench other;

	for (size_t i = 0; i < 10; i++)
		weights[i] = 10;
	lb_bench_start(&bench, LB_CONSISTENT_HASH, weights, 10, 1);
	bench.is_out[6] = true;
	weights[6] = 0;
	lb_bench_start(&other, LB_CONSISTENT_HASH, weights, 10, 1);
	for (unsigned key = 0; key < 50000; key++)
		ck_assert_uint_eq(pick(&bench, key), pick(&other, key));
	lb_bench_free(&other);
}
END_TEST

/* Even when so many are out that walking does not find the others, all sidecars agree. */
START_TEST(sidecars_agree_when_most_are_out)
{
	const size_t n = 1000;
	struct lb_bench other;
	size_t used = 0;

	lb_bench_start(&bench, types[_i], NULL, n, 1);
	lb_bench_init(&other, types[_i], NULL, n);
	for (size_t i = 0; i < n; i++) {
		bench.is_out[i] = i % 333 != 7;
		other.endpoints[i].key = slice_str(bench.keys[n - 1 - i]);
		other.is_out[n - 1 - i] = bench.is_out[i];
	}
	lb_bench_build(&other, 99);
	for (unsigned key = 0; key < 3000; key++) {
		size_t at = pick(&bench, key);

		ck_assert_uint_eq(at, n - 1 - pick(&other, key));
		ck_assert(!bench.is_out[at]);
		bench.picked[at]++;
	}
	for (size_t i = 0; i < n; i++)
		used += bench.picked[i] > 500;
	ck_assert_uint_eq(used, 3); /* 7, 340, 673: a third each */
	lb_bench_free(&other);
}
END_TEST

/* While a new endpoint starts slowly a key moves to it once, and stays. */
START_TEST(keys_move_to_a_new_endpoint_one_by_one)
{
	bool *has_moved = mem_calloc(KEYS, sizeof *has_moved);

	lb_bench_start(&bench, types[_i], NULL, 5, 1);
	bench.view.share = lb_bench_share;
	for (unsigned share = 0; share <= 256; share += 32) {
		bench.shares[3] = share;
		for (unsigned key = 0; key < KEYS / 4; key++) {
			bool is_there = pick(&bench, key) == 3;

			if (has_moved[key] && !is_there)
				ck_abort_msg("key %u moved back at %u", key, share);
			if (is_there && share == 0)
				ck_abort_msg("key %u moved too early", key);
			has_moved[key] = is_there;
		}
	}
	free(has_moved);
}
END_TEST

int main(void)
{
	const int both = ARRAY_LEN(types);
	const struct suite_test tests[] = {
	    {the_hash_is_xxhash64_with_seed_0, 1},
	    {keys_go_where_they_always_went, both},
	    {a_hash_goes_to_the_first_point_above_it, 1},
	    {keys_are_spread_evenly, both},
	    {keys_are_spread_by_weight, both},
	    {one_alone_takes_next_to_no_memory, both},
	    {large_weights_do_not_make_a_large_ring, both},
	    {the_order_of_the_list_does_not_matter, both},
	    {few_keys_move_when_an_endpoint_comes_or_goes, both},
	    {who_is_out_moves_only_its_own_keys, both},
	    {ring_keys_of_who_is_out_go_where_they_would_if_it_had_gone, 1},
	    {sidecars_agree_when_most_are_out, both},
	    {keys_move_to_a_new_endpoint_one_by_one, both},
	};

	return suite_run_between("lb_hash", tests, ARRAY_LEN(tests), begin, end);
}
