#include <stdio.h>

#include <check.h>

#include "base/mem.h"
#include "model/key_path.h"
#include "support/suite.h"

START_TEST(key_path_grows_and_is_cut)
{
	struct key_path path = {.len = 0};
	size_t before;

	key_path_key(&path, SLICE_LIT("listeners"));
	before = key_path_index(&path, 12);
	key_path_key(&path, SLICE_LIT("timeout"));
	ck_assert_str_eq(path.text, "listeners[12].timeout");
	key_path_cut(&path, before);
	ck_assert_str_eq(path.text, "listeners");
}
END_TEST

START_TEST(key_path_quotes_what_is_no_word)
{
	struct key_path path = {.len = 0};

	key_path_key(&path, SLICE_LIT("a.b"));
	key_path_key(&path, SLICE_LIT(""));
	key_path_key(&path, SLICE_LIT("x\ny"));
	key_path_key(&path, SLICE_LIT("w-1_*"));
	ck_assert_str_eq(path.text, "\"a.b\".\"\".\"x?y\".w-1_*");
}
END_TEST

START_TEST(key_path_too_long_is_cut_off)
{
	struct key_path path = {.len = 0};

	for (int i = 0; i < 500; i++)
		key_path_key(&path, SLICE_LIT("abcdefghij"));
	ck_assert_uint_eq(path.len, sizeof path.text - 1);
	ck_assert_uint_eq(strlen(path.text), path.len);
	key_path_index(&path, 3);
	ck_assert_uint_eq(path.len, sizeof path.text - 1);
}
END_TEST

/* The steps as text, with ! where it stops before the end. */
static const char *steps_of(const char *text)
{
	static char room[300];
	struct slice rest = slice_str(text);
	struct key_step step;
	size_t len = 0;

	room[0] = '\0';
	while (key_path_step(&rest, &step)) {
		if (step.is_index)
			len += (size_t)sprintf(room + len, "#%zu ", step.index);
		else
			len += (size_t)sprintf(
			    room + len, "%.*s ", (int)step.key.len, (const char *)step.key.data);
	}
	if (rest.len > 0)
		sprintf(room + len, "!");
	return room;
}

START_TEST(key_path_is_read_step_by_step)
{
	ck_assert_str_eq(steps_of("a"), "a ");
	ck_assert_str_eq(steps_of("listeners[0].timeout.idle"), "listeners #0 timeout idle ");
	ck_assert_str_eq(
	    steps_of("services.\"a.b[0]\".endpoints[10]"), "services a.b[0] endpoints #10 ");
	ck_assert_str_eq(steps_of(""), "");
}
END_TEST

START_TEST(key_path_junk_leaves_a_rest)
{
	ck_assert_str_eq(steps_of("a..b"), "a !");
	ck_assert_str_eq(steps_of("a."), "a !");
	ck_assert_str_eq(steps_of("a[x]"), "a !");
	ck_assert_str_eq(steps_of("a[1"), "a !");
	ck_assert_str_eq(steps_of("a[]"), "a !");
	ck_assert_str_eq(steps_of("a[99999999999999999999]"), "a !");
	ck_assert_str_eq(steps_of("\"a"), "!");
	ck_assert_str_eq(steps_of("\"\""), "!");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    key_path_grows_and_is_cut,
	    key_path_quotes_what_is_no_word,
	    key_path_too_long_is_cut_off,
	    key_path_is_read_step_by_step,
	    key_path_junk_leaves_a_rest,
	};

	return suite_run("key_path", tests, ARRAY_LEN(tests));
}
