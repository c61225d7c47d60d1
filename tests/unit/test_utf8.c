#include <check.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "support/suite.h"

/* Source: The Unicode Standard, table 3-7, at both ends of each row, and what lies just outside. */
static const struct {
	const char *bytes;
	size_t len;
	uint32_t code;
} characters[] = {
    {"\x7f", 1, 0x7f},
    {"\xc2\x80", 2, 0x80},
    {"\xdf\xbf", 2, 0x7ff},
    {"\xe0\xa0\x80", 3, 0x800},
    {"\xed\x9f\xbf", 3, 0xd7ff},
    {"\xee\x80\x80", 3, 0xe000},
    {"\xef\xbf\xbf", 3, 0xffff},
    {"\xf0\x90\x80\x80", 4, 0x10000},
    {"\xf0\x9f\x98\x80", 4, 0x1f600},
    {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
};

static const char *const none[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x7f", "\xc2\xc0",
    "\xe0\x9f\xbf", "\xe2\x82", "\xe2\x82\x41", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80",
    "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"};

START_TEST(utf8_is_as_the_standard_has_it)
{
	struct slice bytes = slice_str(characters[_i].bytes);
	uint32_t code;

	ck_assert_uint_eq(utf8_take(bytes, &code), characters[_i].len);
	ck_assert_uint_eq(code, characters[_i].code);
	ck_assert_uint_eq(utf8_take(slice_first(bytes, bytes.len - 1), &code), 0);
}
END_TEST

START_TEST(what_is_no_utf8_is_not_taken)
{
	uint32_t code;

	ck_assert_uint_eq(utf8_take(slice_str(none[_i]), &code), 0);
}
END_TEST

START_TEST(what_steers_is_known_and_letters_are_not_taken_for_it)
{
	ck_assert(utf8_steers(0x1b) && utf8_steers(0x7f) && utf8_steers(0x9b));
	ck_assert(utf8_steers(0x061c) && utf8_steers(0x202e) && utf8_steers(0x2069));
	ck_assert(!utf8_steers('a') && !utf8_steers(0xa0) && !utf8_steers(0x206a));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {utf8_is_as_the_standard_has_it, ARRAY_LEN(characters)},
	    {what_is_no_utf8_is_not_taken, ARRAY_LEN(none)},
	    {what_steers_is_known_and_letters_are_not_taken_for_it, 1},
	};

	return suite_run_between("utf8", tests, ARRAY_LEN(tests), NULL, NULL);
}
