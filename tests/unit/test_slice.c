#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/slice.h"
#include "support/bytes.h"
#include "support/suite.h"

START_TEST(slice_of_null_is_empty_everywhere)
{
	uint64_t number;

	ck_assert_uint_eq(slice_str(NULL).len, 0);
	ck_assert(slice_eq(SLICE_NONE, slice_str("")));
	ck_assert(slice_starts(SLICE_NONE, SLICE_NONE));
	ck_assert_uint_eq(slice_from(SLICE_NONE, 3).len, 0);
	ck_assert_uint_eq(slice_first(SLICE_NONE, 3).len, 0);
	ck_assert_int_eq(slice_cmp(SLICE_NONE, slice_str("")), 0);
	ck_assert(!slice_to_u64(SLICE_NONE, &number));
	slice_hash(SLICE_NONE, 1);
}
END_TEST

START_TEST(slice_from_stays_inside)
{
	struct slice s = SLICE_LIT("abc");

	ck_assert(slice_eq_str(slice_from(s, 0), "abc"));
	ck_assert(slice_eq_str(slice_from(s, 2), "c"));
	ck_assert_uint_eq(slice_from(s, 3).len, 0);
	ck_assert_ptr_eq(slice_from(s, 3).data, s.data + 3);
	ck_assert_ptr_eq(slice_from(s, SIZE_MAX).data, s.data + 3);
	ck_assert(slice_eq_str(slice_first(s, 2), "ab"));
	ck_assert(slice_eq_str(slice_first(s, 9), "abc"));
	ck_assert(slice_eq_str(slice_sub(s, 1, 1), "b"));
}
END_TEST

START_TEST(slice_eq_compares_bytes_not_strings)
{
	ck_assert(slice_eq(BYTES(0, 1, 0), BYTES(0, 1, 0)));
	ck_assert(!slice_eq(BYTES(0, 1, 0), BYTES(0, 1, 2)));
	ck_assert(!slice_eq(BYTES(0), SLICE_NONE));
	ck_assert(!slice_eq_str(BYTES('a', 0), "a"));
}
END_TEST

START_TEST(slice_starts_with_itself_and_with_nothing)
{
	struct slice s = SLICE_LIT("RPC_PERSIST_K");

	ck_assert(slice_starts(s, s));
	ck_assert(slice_starts(s, SLICE_NONE));
	ck_assert(slice_starts(s, SLICE_LIT("RPC_PERSIST_")));
	ck_assert(!slice_starts(s, SLICE_LIT("RPC_PERSIST_K_")));
	ck_assert(!slice_starts(SLICE_NONE, s));
}
END_TEST

START_TEST(slice_cmp_puts_the_prefix_first)
{
	static const char *const order[] = {"", "\x01", "a", "aa", "ab", "b", "\xff"};

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		for (size_t k = 0; k < ARRAY_LEN(order); k++) {
			int got = slice_cmp(slice_str(order[i]), slice_str(order[k]));

			ck_assert_int_eq((got > 0) - (got < 0), (i > k) - (i < k));
		}
}
END_TEST

START_TEST(slice_to_u64_takes_decimal_digits_only)
{
	static const struct {
		const char *text;
		bool good;
		uint64_t value;
	} cases[] = {
	    {"0", true, 0},
	    {"007", true, 7},
	    {"18446744073709551615", true, UINT64_MAX},
	    {"18446744073709551616", false, 0},
	    {"18446744073709551620", false, 0},
	    {"99999999999999999999", false, 0},
	    {"", false, 0},
	    {"-1", false, 0},
	    {"+1", false, 0},
	    {" 1", false, 0},
	    {"1 ", false, 0},
	    {"0x10", false, 0},
	    {"1e3", false, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t value = 99;

		ck_assert_msg(slice_to_u64(slice_str(cases[i].text), &value) == cases[i].good, "%s",
		    cases[i].text);
		ck_assert_uint_eq(value, cases[i].good ? cases[i].value : 99);
	}
	ck_assert(!slice_to_u64(BYTES('1', 0), &(uint64_t){0}));
}
END_TEST

START_TEST(slice_hash_depends_on_bytes_and_seed)
{
	ck_assert_uint_eq(slice_hash(SLICE_LIT("a"), 1), slice_hash(slice_str("a"), 1));
	ck_assert_uint_ne(slice_hash(SLICE_LIT("a"), 1), slice_hash(SLICE_LIT("a"), 2));
	ck_assert_uint_ne(slice_hash(SLICE_LIT("ab"), 1), slice_hash(SLICE_LIT("ba"), 1));
	ck_assert_uint_ne(slice_hash(BYTES(0), 1), slice_hash(BYTES(0, 0), 1));
}
END_TEST

/* Bits that a product leaves where they are must not be a way to names that collide under any
 * seed. */
START_TEST(slice_hash_has_no_collisions_that_hold_for_all_seeds)
{
	uint8_t a[24], b[24];
	unsigned same = 0;

	for (unsigned high = 0; high < 64; high++) {
		for (uint64_t seed = 1; seed <= 50; seed++) {
			memset(a, 'x', sizeof a);
			memcpy(b, a, sizeof b);
			b[7] ^=
			    0x80; /* the upper bit of the first word, and where it is mixed to */
			b[15] ^= 0x80;
			b[8 + high / 8] ^= (uint8_t)(1u << high % 8);
			same += slice_hash(slice_of(a, sizeof a), seed) ==
				slice_hash(slice_of(b, sizeof b), seed);
		}
	}
	ck_assert_uint_eq(same, 0);
}
END_TEST

START_TEST(slice_hash_is_even_in_its_lower_and_its_upper_bits)
{
	unsigned low[256] = {0}, high[256] = {0};
	char name[24];

	for (unsigned i = 0; i < 25600; i++) {
		uint64_t h;

		snprintf(name, sizeof name, "Method%u", i);
		h = slice_hash(slice_str(name), 7);
		low[h & 255]++;
		high[h >> 56]++;
	}
	for (unsigned i = 0; i < 256; i++) { /* six standard deviations */
		ck_assert_uint_lt(low[i] > 100 ? low[i] - 100 : 100 - low[i], 60);
		ck_assert_uint_lt(high[i] > 100 ? high[i] - 100 : 100 - high[i], 60);
	}
}
END_TEST

START_TEST(slice_dup_copies_and_terminates)
{
	char *copy = slice_dup(BYTES('a', 0, 'b'));

	ck_assert_mem_eq(copy, "a\0b\0", 4);
	free(copy);
	copy = slice_dup(SLICE_NONE);
	ck_assert_str_eq(copy, "");
	free(copy);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    slice_of_null_is_empty_everywhere,
	    slice_from_stays_inside,
	    slice_eq_compares_bytes_not_strings,
	    slice_starts_with_itself_and_with_nothing,
	    slice_cmp_puts_the_prefix_first,
	    slice_to_u64_takes_decimal_digits_only,
	    slice_hash_depends_on_bytes_and_seed,
	    slice_hash_has_no_collisions_that_hold_for_all_seeds,
	    slice_hash_is_even_in_its_lower_and_its_upper_bits,
	    slice_dup_copies_and_terminates,
	};

	return suite_run("slice", tests, ARRAY_LEN(tests));
}
