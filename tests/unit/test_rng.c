#include <check.h>

#include "base/mem.h"
#include "base/rng.h"
#include "support/suite.h"

/* Source: the authors' xoshiro256** with the state 1, 2, 3, 4. */
START_TEST(rng_gives_the_published_sequence)
{
	static const uint64_t expected[] = {
	    11520, 0, 1509978240, 1215971899390074240, 1216172134540287360};
	struct rng r = {{1, 2, 3, 4}};

	for (size_t i = 0; i < ARRAY_LEN(expected); i++)
		ck_assert_uint_eq(rng_next(&r), expected[i]);
}
END_TEST

/* Source: the authors' splitmix64 with the seed 1234567. */
START_TEST(rng_seeds_with_splitmix64)
{
	struct rng r;

	rng_init(&r, 1234567);
	ck_assert_uint_eq(r.s[0], 6457827717110365317u);
	ck_assert_uint_eq(r.s[1], 3203168211198807973u);
	ck_assert_uint_eq(r.s[2], 9817491932198370423u);
	ck_assert_uint_eq(r.s[3], 4593380528125082431u);
}
END_TEST

START_TEST(rng_repeats_itself_for_a_seed_and_differs_for_another)
{
	struct rng a, b, c;
	unsigned same = 0;

	rng_init(&a, 0);
	rng_init(&b, 0);
	rng_init(&c, 1);
	for (int i = 0; i < 100; i++) {
		uint64_t x = rng_next(&a);

		ck_assert_uint_eq(x, rng_next(&b));
		same += x == rng_next(&c);
	}
	ck_assert_uint_eq(same, 0);
}
END_TEST

START_TEST(rng_below_stays_below_and_is_even)
{
	unsigned seen[10] = {0};
	struct rng r;

	rng_init(&r, 5);
	for (int i = 0; i < 100000; i++)
		seen[rng_below(&r, 10)]++;
	for (int i = 0; i < 10; i++)
		ck_assert(seen[i] > 9500 && seen[i] < 10500); /* five standard deviations */
	for (int i = 0; i < 100; i++) {
		ck_assert_uint_eq(rng_below(&r, 1), 0);
		ck_assert_uint_lt(rng_below(&r, UINT64_MAX), UINT64_MAX);
	}
}
END_TEST

/* With a bound of 3/4 of the range, every fourth number has to be thrown away: kept, it would make
 * the lower third twice as likely. */
START_TEST(rng_below_does_not_favour_low_numbers)
{
	uint64_t bound = UINT64_C(3) << 62;
	unsigned low = 0;
	struct rng r;

	rng_init(&r, 6);
	for (int i = 0; i < 30000; i++)
		low += rng_below(&r, bound) < bound / 3;
	ck_assert(low > 9500 && low < 10500);
}
END_TEST

START_TEST(a_chance_of_none_or_all_takes_no_number)
{
	ck_assert(rng_chance(NULL, 1));
	ck_assert(rng_chance(NULL, 1.5));
	ck_assert(!rng_chance(NULL, 0));
	ck_assert(!rng_chance(NULL, -1));
}
END_TEST

START_TEST(a_chance_is_taken_in_its_share)
{
	unsigned taken = 0;
	struct rng r;

	rng_init(&r, 8);
	for (int i = 0; i < 100000; i++)
		taken += rng_chance(&r, 0.1);
	ck_assert(taken > 9520 && taken < 10480); /* five standard deviations */
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    rng_gives_the_published_sequence,
	    rng_seeds_with_splitmix64,
	    rng_repeats_itself_for_a_seed_and_differs_for_another,
	    rng_below_stays_below_and_is_even,
	    rng_below_does_not_favour_low_numbers,
	    a_chance_of_none_or_all_takes_no_number,
	    a_chance_is_taken_in_its_share,
	};

	return suite_run("rng", tests, ARRAY_LEN(tests));
}
