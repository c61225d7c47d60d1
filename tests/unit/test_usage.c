#include "base/usage.h"

#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

static struct usage usage;

static void is_option(size_t i, char letter, const char *name, const char *value, const char *help)
{
	const struct usage_option *option = &usage.options[i];

	ck_assert_uint_lt(i, usage.n_options);
	ck_assert_int_eq(option->letter, letter);
	ck_assert_msg(slice_eq_str(option->name, name), "option %zu", i);
	ck_assert_msg(slice_eq_str(option->value, value), "value of %s", name);
	ck_assert_msg(slice_eq_str(option->help, help), "help of %s", name);
}

START_TEST(a_text_without_words_has_neither_options_nor_operands)
{
	usage_read(&usage, "");
	ck_assert_uint_eq(usage.n_options, 0);
	ck_assert_uint_eq(usage.n_operands, 0);
}
END_TEST

START_TEST(operands_stand_in_the_first_line_with_or_without_brackets)
{
	usage_read(&usage, "ENDPOINT [SERVICE] [OPTION]... -- COMMAND [WORD]...\n  NEVER this");
	ck_assert_uint_eq(usage.n_operands, 4);
	ck_assert(slice_eq_str(usage.operands[0], "ENDPOINT"));
	ck_assert(slice_eq_str(usage.operands[1], "SERVICE"));
	ck_assert(slice_eq_str(usage.operands[2], "COMMAND"));
	ck_assert(slice_eq_str(usage.operands[3], "WORD"));
	ck_assert_uint_eq(usage.n_options, 0);
}
END_TEST

START_TEST(an_option_has_the_value_that_stands_behind_it)
{
	usage_read(&usage, "[--dry-run] [-c FILE] [--level=LEVEL] NAME");
	ck_assert_uint_eq(usage.n_options, 3);
	is_option(0, 0, "dry-run", "", "");
	is_option(1, 'c', "", "FILE", "");
	is_option(2, 0, "level", "LEVEL", "");
	ck_assert_uint_eq(usage.n_operands, 1);
}
END_TEST

START_TEST(an_option_in_brackets_takes_no_operand_behind_them)
{
	usage_read(&usage, "[--json] NAME");
	is_option(0, 0, "json", "", "");
	ck_assert(slice_eq_str(usage.operands[0], "NAME"));
}
END_TEST

START_TEST(letter_and_name_are_one_option_wherever_they_stand)
{
	usage_read(&usage, "[-c FILE]\n"
			   "  -c, --config FILE   ask the file\n"
			   "      --all           show it all");
	ck_assert_uint_eq(usage.n_options, 2);
	is_option(0, 'c', "config", "FILE", "ask the file");
	is_option(1, 0, "all", "", "show it all");
}
END_TEST

START_TEST(options_in_a_row_share_what_is_said_behind_them)
{
	usage_read(&usage, "\n  --uid N, --field 1.3.2=VALUE    who calls, in --no-way\n  --gid N");
	ck_assert_uint_eq(usage.n_options, 3);
	is_option(0, 0, "uid", "N", "who calls, in --no-way");
	is_option(1, 0, "field", "1.3.2=VALUE", "who calls, in --no-way");
	is_option(2, 0, "gid", "N", "");
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    a_text_without_words_has_neither_options_nor_operands,
	    operands_stand_in_the_first_line_with_or_without_brackets,
	    an_option_has_the_value_that_stands_behind_it,
	    an_option_in_brackets_takes_no_operand_behind_them,
	    letter_and_name_are_one_option_wherever_they_stand,
	    options_in_a_row_share_what_is_said_behind_them,
	};

	return suite_run("usage", tests, ARRAY_LEN(tests));
}
