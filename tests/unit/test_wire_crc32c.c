#include <check.h>

#include "base/mem.h"
#include "support/suite.h"
#include "wire/crc32c.h"

static void fill(uint8_t *bytes, size_t len, unsigned first, int step)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)((int)first + (int)i * step);
}

/* Source of the values: RFC 3720 appendix B.4. */
START_TEST(crc32c_gives_the_published_values)
{
	uint8_t bytes[32];

	ck_assert_uint_eq(crc32c(0, SLICE_LIT("123456789")), 0xe3069283u);
	fill(bytes, sizeof bytes, 0, 0);
	ck_assert_uint_eq(crc32c(0, slice_of(bytes, sizeof bytes)), 0x8a9136aau);
	fill(bytes, sizeof bytes, 0xff, 0);
	ck_assert_uint_eq(crc32c(0, slice_of(bytes, sizeof bytes)), 0x62a8ab43u);
	fill(bytes, sizeof bytes, 0, 1);
	ck_assert_uint_eq(crc32c(0, slice_of(bytes, sizeof bytes)), 0x46dd794eu);
	fill(bytes, sizeof bytes, 31, -1);
	ck_assert_uint_eq(crc32c(0, slice_of(bytes, sizeof bytes)), 0x113fdb5cu);
}
END_TEST

START_TEST(crc32c_of_nothing_changes_nothing)
{
	ck_assert_uint_eq(crc32c(0, SLICE_NONE), 0);
	ck_assert_uint_eq(crc32c(0x12345678u, SLICE_NONE), 0x12345678u);
}
END_TEST

START_TEST(crc32c_can_be_continued_at_any_place)
{
	uint8_t bytes[61];
	struct slice whole = slice_of(bytes, sizeof bytes);
	uint32_t expected;

	fill(bytes, sizeof bytes, 7, 13);
	expected = crc32c(0, whole);
	for (size_t cut = 0; cut <= whole.len; cut++) {
		uint32_t crc = crc32c(0, slice_first(whole, cut));

		ck_assert_uint_eq(crc32c(crc, slice_from(whole, cut)), expected);
	}
}
END_TEST

/* The definition, a bit at a time: whichever way the machine goes must agree with it. */
static uint32_t by_definition(struct slice s)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < s.len; i++) {
		crc ^= s.data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

START_TEST(crc32c_agrees_with_its_definition)
{
	uint8_t bytes[300];

	fill(bytes, sizeof bytes, 3, 89);
	for (size_t from = 0; from < 9; from++)
		for (size_t len = 0; from + len <= sizeof bytes; len++) {
			struct slice s = slice_of(bytes + from, len);

			ck_assert_uint_eq(crc32c(0, s), by_definition(s));
		}
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    crc32c_gives_the_published_values,
	    crc32c_of_nothing_changes_nothing,
	    crc32c_can_be_continued_at_any_place,
	    crc32c_agrees_with_its_definition,
	};

	return suite_run("wire_crc32c", tests, ARRAY_LEN(tests));
}
