/* Round robin: the order of turns, plain, smooth and interleaved. */
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

/* The picks that follow are @order again and again, from anywhere in it. */
static void must_go(const size_t *order, size_t n)
{
	size_t picks[256], start;

	ck_assert_uint_le(2 * n, ARRAY_LEN(picks));
	for (size_t i = 0; i < 2 * n; i++)
		picks[i] = lb_bench_pick(&bench);
	for (start = 0; start < n; start++) {
		size_t same = 0;

		while (same < 2 * n && picks[same] == order[(start + same) % n])
			same++;
		if (same == 2 * n)
			return;
	}
	ck_abort_msg("another order: %zu %zu %zu %zu ...", picks[0], picks[1], picks[2], picks[3]);
}

/* The sequences that nginx's smooth weighted round robin gives, worked out by hand. */
START_TEST(smooth_turns_are_those_of_kitex)
{
	static const struct {
		uint32_t weights[4];
		size_t n, order[12], length;
	} known[] = {
	    {{5, 1, 1}, 3, {0, 0, 1, 0, 2, 0, 0}, 7},
	    {{50, 10, 10}, 3, {0, 0, 1, 0, 2, 0, 0}, 7},
	    {{1, 2}, 2, {1, 0, 1}, 3},
	    {{4, 2, 3}, 3, {0, 2, 1, 0, 2, 0, 1, 2, 0}, 9},
	    {{3, 0, 1}, 3, {0, 0, 2, 0}, 4},
	};

	for (uint64_t seed = 0; seed < 20; seed++) {
		lb_bench_start(
		    &bench, LB_WEIGHTED_ROUND_ROBIN, known[_i].weights, known[_i].n, seed);
		must_go(known[_i].order, known[_i].length);
		lb_bench_free(&bench);
		bench = (struct lb_bench){0};
	}
}
END_TEST

START_TEST(equal_weights_just_go_round)
{
	static const uint32_t weights[] = {10, 10, 10};
	static const size_t order[] = {0, 1, 2};

	lb_bench_start(&bench, (enum lb_type)_i, weights, 3, 3);
	must_go(order, 3);
}
END_TEST

START_TEST(plain_turns_heed_no_weights_but_0)
{
	static const uint32_t weights[] = {1, 0, 500, 7};
	static const size_t order[] = {0, 2, 3};

	lb_bench_start(&bench, LB_ROUND_ROBIN, weights, 4, 3);
	must_go(order, 3);
}
END_TEST

/* The next of one that is out does not get two turns. */
START_TEST(plain_turns_of_who_is_out_go_to_all_alike)
{
	static const size_t order[] = {0, 2, 3};

	lb_bench_start(&bench, LB_ROUND_ROBIN, NULL, 4, 3);
	bench.is_out[1] = true;
	must_go(order, 3);
}
END_TEST

START_TEST(interleaved_turns_are_those_of_kitex)
{
	static const struct {
		uint32_t weights[4];
		size_t n, order[12], length;
	} known[] = {
	    {{1, 2, 3}, 3, {0, 1, 2, 1, 2, 2}, 6},
	    {{3, 1, 2}, 3, {1, 2, 0, 2, 0, 0}, 6}, /* sorted from the second round on */
	    {{30, 10, 20}, 3, {1, 2, 0, 2, 0, 0}, 6},
	    {{2, 2, 4}, 3, {0, 1, 2, 2}, 4},
	    {{2, 0, 5}, 3, {0, 2, 0, 2, 2, 2, 2}, 7},
	};

	for (uint64_t seed = 0; seed < 20; seed++) {
		lb_bench_start(&bench, LB_INTERLEAVED_WEIGHTED_ROUND_ROBIN, known[_i].weights,
		    known[_i].n, seed);
		must_go(known[_i].order, known[_i].length);
		lb_bench_free(&bench);
		bench = (struct lb_bench){0};
	}
}
END_TEST

static const uint32_t small[] = {5, 1, 0, 3, 10};
static const uint32_t primes[] = {2, 3, 5, 7, 11, 13, 997};
static const uint32_t long_primes[] = {104729, 7919, 99991, 3, 65537};
static const uint32_t huge[] = {1000000, 1, 1, 999983};

static const struct {
	const uint32_t *weights;
	size_t n, total;
} sets[] = {
    {small, 5, 19},
    {primes, 7, 1038},
    {long_primes, 5, 278179}, /* no sequence is written down for this one, nor for the next */
    {huge, 4, 1999985},
};

#define SETS ((int)ARRAY_LEN(sets))

/* Wherever a round is said to begin. */
static void must_be_exact(int set, size_t rounds)
{
	for (size_t round = 1; round <= rounds; round++) {
		lb_bench_picks(&bench, sets[set].total);
		for (size_t i = 0; i < sets[set].n; i++)
			ck_assert_uint_eq(bench.picked[i], round * sets[set].weights[i]);
	}
}

START_TEST(shares_are_exact_over_every_round)
{
	static const enum lb_type types[] = {
	    LB_WEIGHTED_ROUND_ROBIN, LB_INTERLEAVED_WEIGHTED_ROUND_ROBIN};
	int set = _i % SETS;

	lb_bench_start(
	    &bench, types[_i / SETS], sets[set].weights, sets[set].n, 1000u + (unsigned)_i);
	must_be_exact(set, sets[set].total > 100000 ? 3 : 500);
}
END_TEST

/* Picks of one endpoint are never much farther apart, or closer, than its share says. */
START_TEST(smooth_turns_do_not_come_in_bursts)
{
	const uint32_t *weights = sets[_i].weights;
	size_t n = sets[_i].n, last = LB_NONE, run = 0, gap[8] = {0};

	lb_bench_start(&bench, LB_WEIGHTED_ROUND_ROBIN, weights, n, 7);
	for (size_t k = 0; k < 2 * sets[_i].total; k++) {
		size_t at = lb_bench_pick(&bench);
		double apart = (double)sets[_i].total / weights[at];

		run = at == last ? run + 1 : 1;
		last = at;
		/* others get their turns in between: so many in a row at most */
		if (run > 1 + 2 * weights[at] / (sets[_i].total - weights[at]) + n)
			ck_abort_msg("%zu in a row of %zu", run, at);
		if (gap[at] && (double)(k + 1 - gap[at]) > 2 * apart + (double)n)
			ck_abort_msg("%zu between turns of %zu", k + 1 - gap[at], at);
		gap[at] = k + 1;
	}
}
END_TEST

START_TEST(many_endpoints_have_exact_shares)
{
	const size_t n = 3000;
	uint32_t *weights = mem_calloc(n, sizeof *weights);
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += weights[i] = 1 + (uint32_t)(i * i % 37);
	lb_bench_start(&bench, LB_WEIGHTED_ROUND_ROBIN, weights, n, 8);
	for (size_t round = 1; round <= 10; round++) {
		lb_bench_picks(&bench, total);
		for (size_t i = 0; i < n; i++)
			ck_assert_uint_eq(bench.picked[i], round * weights[i]);
	}
	free(weights);
}
END_TEST

/* The others keep the order and the shares that they have among themselves. */
START_TEST(the_share_of_one_that_is_out_goes_to_the_others_exactly)
{
	static const uint32_t weights[] = {6, 3, 1};

	lb_bench_start(&bench, LB_WEIGHTED_ROUND_ROBIN, weights, 3, 3);
	bench.is_out[0] = true;
	lb_bench_picks(&bench, 40000);
	ck_assert_uint_eq(bench.picked[1], 30000);
	ck_assert_uint_eq(bench.picked[2], 10000);
	bench.is_out[0] = false; /* nobody owes it what it missed */
	lb_bench_forget(&bench);
	lb_bench_picks(&bench, 100);
	ck_assert_uint_eq(bench.picked[0], 60);
}
END_TEST

START_TEST(turns_too_long_to_be_written_down_survive_who_is_out)
{
	static const uint32_t weights[] = {104729, 7919, 99991, 3, 65537};
	double parts[] = {104729, 7919, 0, 3, 65537};

	lb_bench_start(&bench, LB_WEIGHTED_ROUND_ROBIN, weights, 5, 3);
	bench.is_out[2] = true;
	lb_bench_picks(&bench, 104729 + 7919 + 3 + 65537);
	for (size_t i = 0; i < 5; i++) {
		ck_assert_double_le((double)bench.picked[i], parts[i] + 1);
		ck_assert_double_ge((double)bench.picked[i], parts[i] - 1);
	}
}
END_TEST

/* Calls that find nobody must not shift the turns of those that will. */
START_TEST(turns_are_not_lost_while_all_are_out)
{
	static const enum lb_type types[] = {
	    LB_ROUND_ROBIN, LB_WEIGHTED_ROUND_ROBIN, LB_INTERLEAVED_WEIGHTED_ROUND_ROBIN};
	struct lb_bench other;

	lb_bench_start(&bench, types[_i], primes, 7, 3);
	lb_bench_start(&other, types[_i], primes, 7, 3);
	for (size_t i = 0; i < 7; i++)
		bench.is_out[i] = true;
	for (int i = 0; i < 5; i++)
		ck_assert(lb_bench_pick(&bench) == LB_NONE);
	for (size_t i = 0; i < 7; i++)
		bench.is_out[i] = false;
	for (int i = 0; i < 2000; i++)
		ck_assert_uint_eq(lb_bench_pick(&bench), lb_bench_pick(&other));
	lb_bench_free(&other);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {smooth_turns_are_those_of_kitex, 5},
	    {equal_weights_just_go_round, 2}, /* smooth, interleaved */
	    {plain_turns_heed_no_weights_but_0, 1},
	    {plain_turns_of_who_is_out_go_to_all_alike, 1},
	    {interleaved_turns_are_those_of_kitex, 5},
	    {shares_are_exact_over_every_round, 2 * SETS},
	    {smooth_turns_do_not_come_in_bursts, SETS},
	    {many_endpoints_have_exact_shares, 1},
	    {the_share_of_one_that_is_out_goes_to_the_others_exactly, 1},
	    {turns_are_not_lost_while_all_are_out, 3},
	    {turns_too_long_to_be_written_down_survive_who_is_out, 1},
	};

	return suite_run_between("lb_rr", tests, ARRAY_LEN(tests), begin, end);
}
