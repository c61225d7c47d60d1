#include "registry/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>
#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

static struct arena arena;
static struct err err;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
	err = (struct err){0};
}

static void end(void)
{
	arena_fini(&arena);
}

static cJSON *parsed(const char *text)
{
	cJSON *root = json_parse(slice_str(text), &err);

	ck_assert_msg(root != NULL, "%s: %s", text, err.text);
	return root;
}

static const char *const refused[] = {
    "",
    " ",
    "{",
    "{}x",
    "{} {}",
    "[1,2",
    "{\"a\":1,}",
    "nul",
    "\"a",
    "\"a\\\"",
    "\"\\u0000\"",
    "{\"a\\u0000b\":1}",
    "\"a\nb\"",
    "\"a\x01\"",
    "\"\xff\"",
    "\"\xc0\x80\"",
    "{\"a\":1,\"a\":1}",
    "[{\"b\":{\"x\":1,\"y\":2,\"x\":3}}]",
    "{\"1\":1,",
};

START_TEST(what_is_no_json_or_could_be_read_in_two_ways_is_refused)
{
	ck_assert_msg(json_parse(slice_str(refused[_i]), &err) == NULL, "%s", refused[_i]);
	ck_assert_str_ne(err.text, "");
}
END_TEST

START_TEST(a_text_may_be_cut_anywhere_without_being_read_past_its_end)
{
	static const char text[] =
	    "{\"a\\\\\":[1,-2.5e3,true,false,null,\"\\u00e9\\ud83d\\ude00\"],\"b\":{\"c\":\"d\"}}";

	for (size_t len = 0; len < sizeof text; len++) {
		/* of exactly that size, so that a sanitizer sees the byte behind it */
		char *copy = malloc(len ? len : 1);
		cJSON *root;

		memcpy(copy, text, len);
		root = json_parse(slice_of(copy, len), &err);
		ck_assert_msg((root != NULL) == (len == sizeof text - 1), "%zu", len);
		cJSON_Delete(root);
		free(copy);
	}
}
END_TEST

START_TEST(an_escaped_backslash_before_u0000_is_only_text)
{
	cJSON *root = parsed("{\"a\":\"\\\\u0000\"}");

	ck_assert(slice_eq_str(json_text(root, "a"), "\\u0000"));
	cJSON_Delete(root);
}
END_TEST

START_TEST(delete_and_the_control_characters_behind_it_are_text)
{
	cJSON *root = parsed("{\"a\":\"\x7f\xc2\x80\xc2\x9f\u00a0\"}");

	ck_assert(slice_eq_str(json_text(root, "a"), "\x7f\xc2\x80\xc2\x9f\u00a0"));
	cJSON_Delete(root);
	ck_assert_ptr_null(json_parse(SLICE_LIT("\"\xc2\""), &err));
	ck_assert_ptr_null(json_parse(SLICE_LIT("\"\xc2\xc0\""), &err));
}
END_TEST

START_TEST(nesting_ends_at_32)
{
	char text[70];

	for (int depth = 31; depth < 35; depth++) {
		cJSON *root;

		memset(text, '[', (size_t)depth);
		memset(text + depth, ']', (size_t)depth);
		root = json_parse(slice_of(text, 2 * (size_t)depth), &err);
		ck_assert_int_eq(root != NULL, depth <= 32);
		cJSON_Delete(root);
	}
}
END_TEST

START_TEST(a_million_values_are_too_many_before_any_memory_is_spent_on_them)
{
	size_t len = 2 * 1000100 + 1;
	char *text = malloc(len);
	usec_t began = suite_cpu_time();

	memset(text, ',', len);
	for (size_t i = 1; i < len; i += 2)
		text[i] = '1';
	text[0] = '[';
	text[len - 1] = ']';
	ck_assert_ptr_null(json_parse(slice_of(text, len), &err));
	ck_assert_ptr_nonnull(strstr(err.text, "too many"));
	ck_assert_uint_lt(suite_cpu_time() - began, USEC_S);
	free(text);
}
END_TEST

START_TEST(brackets_in_texts_do_not_nest)
{
	cJSON *root = parsed("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{{{{,,,,\"]");

	cJSON_Delete(root);
}
END_TEST

START_TEST(members_are_found_by_their_exact_name_and_null_is_none)
{
	cJSON *root = parsed("{\"Weight\":1,\"weight\":2,\"no\":null,\"t\":\"x\",\"e\":\"\"}");
	int64_t value = 0;

	ck_assert(json_integer(root, "weight", 0, 9, &value) && value == 2);
	ck_assert(json_integer(root, "Weight", 0, 9, &value) && value == 1);
	ck_assert_ptr_null(json_get(root, "WEIGHT"));
	ck_assert_ptr_null(json_get(root, "no"));
	ck_assert_ptr_null(json_get(NULL, "no"));
	ck_assert_ptr_null(json_get(json_get(root, "t"), "no"));
	ck_assert(slice_eq_str(json_text(root, "t"), "x"));
	ck_assert_ptr_null(json_text(root, "weight").data);
	ck_assert(json_text(root, "e").data != NULL && json_text(root, "e").len == 0);
	cJSON_Delete(root);
}
END_TEST

static const struct {
	const char *text;
	int64_t min, max;
	bool is_one;
	int64_t value;
} integers[] = {
    {"10", 0, 10, true, 10},
    {"10.0", 0, 10, true, 10},
    {"1e1", 0, 10, true, 10},
    {"11", 0, 10, false, 0},
    {"-1", 0, 10, false, 0},
    {"-1", -1, 10, true, -1},
    {"1.5", 0, 10, false, 0},
    {"1e999", 0, INT64_MAX, false, 0},
    {"9007199254740992", 0, INT64_MAX, true, 9007199254740992},
    {"9007199254740994", 0, INT64_MAX, false, 0}, /* from here on numbers are not exact */
    {"\"9223372036854775807\"", 0, INT64_MAX, true, INT64_MAX},
    {"\"9223372036854775808\"", 0, INT64_MAX, false, 0},
    {"\"-9223372036854775808\"", INT64_MIN, 0, true, INT64_MIN},
    {"\"-9223372036854775809\"", INT64_MIN, 0, false, 0},
    {"\"\"", 0, 10, false, 0},
    {"\"-\"", -10, 10, false, 0},
    {"\" 1\"", 0, 10, false, 0},
    {"\"1x\"", 0, 10, false, 0},
    {"\"+1\"", 0, 10, false, 0},
    {"true", 0, 10, false, 0},
    {"null", 0, 10, false, 0},
    {"[1]", 0, 10, false, 0},
};

START_TEST(integers_are_whole_and_within_their_range)
{
	char text[80];
	int64_t value = 77;
	cJSON *root;

	snprintf(text, sizeof text, "{\"n\":%s}", integers[_i].text);
	root = parsed(text);
	ck_assert_msg(json_integer(root, "n", integers[_i].min, integers[_i].max, &value) ==
			  integers[_i].is_one,
	    "%s", text);
	ck_assert_int_eq(value, integers[_i].is_one ? integers[_i].value : 77);
	cJSON_Delete(root);
}
END_TEST

START_TEST(a_bool_is_true_or_false_and_nothing_else)
{
	cJSON *root = parsed("{\"t\":true,\"f\":false,\"n\":1,\"s\":\"true\"}");
	bool value = false;

	ck_assert(json_bool(root, "t", &value) && value);
	ck_assert(json_bool(root, "f", &value) && !value);
	value = true;
	ck_assert(!json_bool(root, "n", &value) && value);
	ck_assert(!json_bool(root, "s", &value) && value);
	ck_assert(!json_bool(root, "missing", &value) && value);
	cJSON_Delete(root);
}
END_TEST

START_TEST(tags_are_sorted_and_none_when_there_are_none)
{
	cJSON *root = parsed("{\"t\":{\"b\":\"2\",\"a\":\"1\",\"B\":\"\"},\"n\":null,\"e\":{}}");
	struct config_map tags;

	ck_assert_int_eq(json_tags(root, "t", &arena, &tags), 0);
	ck_assert_uint_eq(tags.n, 3);
	ck_assert_str_eq(tags.pairs[0].name, "B");
	ck_assert_str_eq(tags.pairs[1].name, "a");
	ck_assert_str_eq(tags.pairs[2].value, "2");
	ck_assert(json_tags(root, "n", &arena, &tags) == 0 && tags.n == 0);
	ck_assert(json_tags(root, "e", &arena, &tags) == 0 && tags.n == 0);
	ck_assert(json_tags(root, "missing", &arena, &tags) == 0 && tags.n == 0);
	cJSON_Delete(root);
}
END_TEST

START_TEST(tags_are_texts_and_at_most_4_kib)
{
	static const char *const wrong[] = {"{\"t\":{\"a\":1}}", "{\"t\":{\"a\":null}}",
	    "{\"t\":{\"a\":{}}}", "{\"t\":[]}", "{\"t\":\"a\"}", "{\"t\":0}"};
	struct config_map tags;
	char text[5000];
	cJSON *root;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		root = parsed(wrong[i]);
		ck_assert_msg(json_tags(root, "t", &arena, &tags) == -1, "%s", wrong[i]);
		ck_assert_uint_eq(tags.n, 0);
		cJSON_Delete(root);
	}
	for (int len = 4095; len < 4097; len++) {
		snprintf(text, sizeof text, "{\"t\":{\"a\":\"%0*d\"}}", len, 0);
		root = parsed(text);
		ck_assert_int_eq(json_tags(root, "t", &arena, &tags), len == 4095 ? 0 : -1);
		cJSON_Delete(root);
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {what_is_no_json_or_could_be_read_in_two_ways_is_refused, ARRAY_LEN(refused)},
	    {a_text_may_be_cut_anywhere_without_being_read_past_its_end, 1},
	    {an_escaped_backslash_before_u0000_is_only_text, 1},
	    {delete_and_the_control_characters_behind_it_are_text, 1},
	    {nesting_ends_at_32, 1},
	    {a_million_values_are_too_many_before_any_memory_is_spent_on_them, 1},
	    {brackets_in_texts_do_not_nest, 1},
	    {members_are_found_by_their_exact_name_and_null_is_none, 1},
	    {integers_are_whole_and_within_their_range, ARRAY_LEN(integers)},
	    {a_bool_is_true_or_false_and_nothing_else, 1},
	    {tags_are_sorted_and_none_when_there_are_none, 1},
	    {tags_are_texts_and_at_most_4_kib, 1},
	};

	return suite_run_between("json", tests, ARRAY_LEN(tests), begin, end);
}
