#include "ctl/thrift_view.h"

#include <stdlib.h>

#include <cJSON.h>
#include <check.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/secret.h"
#include "ctl/shown.h"
#include "support/bytes.h"
#include "support/suite.h"

enum { STOP = 0, BOOL = 2, BYTE = 3, DOUBLE = 4, I16 = 6, I32 = 8, I64 = 10, STRING = 11 };
enum { STRUCT = 12, MAP = 13, SET = 14, LIST = 15 };

static const struct thrift_view_limits full = THRIFT_VIEW_FULL;

static struct text text;
static struct thrift_view view;

static const char *shown(struct slice body, const struct thrift_view_limits *limits, bool is_json)
{
	text_fini(&text);
	view = (is_json ? thrift_view_json : thrift_view_text)(&text, body, limits);
	text_add(&text, SLICE_LIT("\0"));
	return text.bytes;
}

/* In both forms; what is JSON can be read. */
static void expect(struct slice body, const char *as_text, const char *as_json)
{
	cJSON *root;

	ck_assert_str_eq(shown(body, &full, false), as_text);
	ck_assert_str_eq(shown(body, &full, true), as_json);
	root = cJSON_Parse(text.bytes);
	ck_assert_ptr_nonnull(root);
	cJSON_Delete(root);
}

START_TEST(thrift_view_shows_every_type)
{
	expect(BYTES(STRING, 0, 1, 0, 0, 0, 2, 'h', 'i', I32, 0, 2, 0xff, 0xff, 0xff, 0xfb, BOOL, 0,
		   3, 1, BYTE, 0, 4, 0x80, I16, 0, 5, 1, 0, I64, 0x7f, 0xff, 0, 0, 0, 1, 0, 0, 0, 0,
		   DOUBLE, 0xff, 0xff, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, STRUCT, 0, 7, STOP, STOP),
	    "{1: \"hi\", 2: i32 -5, 3: true, 4: byte -128, 5: i16 256, 32767: i64 4294967296, "
	    "-1: double 1.5, 7: {}}",
	    "{\"1\":{\"string\":\"hi\"},\"2\":{\"i32\":-5},\"3\":{\"bool\":true},\"4\":{\"byte\":-128},"
	    "\"5\":{\"i16\":256},\"32767\":{\"i64\":4294967296},\"-1\":{\"double\":1.5},"
	    "\"7\":{\"struct\":{}}}");
	ck_assert(view.is_whole);
}
END_TEST

START_TEST(thrift_view_shows_containers_with_their_types)
{
	expect(
	    BYTES(LIST, 0, 1, I32, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, SET, 0, 2, STRING, 0, 0, 0,
		1, 0, 0, 0, 1, 'x', MAP, 0, 3, STRING, LIST, 0, 0, 0, 1, 0, 0, 0, 1, 'k', BOOL, 0,
		0, 0, 1, 0, LIST, 0, 4, STRUCT, 0, 0, 0, 2, STOP, BYTE, 0, 1, 9, STOP, STOP),
	    "{1: list<i32>[1, 2], 2: set<string>[\"x\"], 3: map<string,list>{\"k\": list<bool>[false]}, "
	    "4: list<struct>[{}, {1: byte 9}]}",
	    "{\"1\":{\"list<i32>\":[1,2]},\"2\":{\"set<string>\":[\"x\"]},"
	    "\"3\":{\"map<string,list>\":[[\"k\",{\"list<bool>\":[false]}]]},"
	    "\"4\":{\"list<struct>\":[{},{\"1\":{\"byte\":9}}]}}");
}
END_TEST

START_TEST(thrift_view_accepts_empty_containers_of_no_type)
{
	expect(BYTES(LIST, 0, 1, 0, 0, 0, 0, 0, MAP, 0, 2, 0, 0, 0, 0, 0, 0, STOP),
	    "{1: list<>[], 2: map<,>{}}", "{\"1\":{\"list<>\":[]},\"2\":{\"map<,>\":[]}}");
	ck_assert(view.is_whole);
}
END_TEST

START_TEST(thrift_view_shows_binary_as_hex_and_escapes_what_steers_a_terminal)
{
	expect(BYTES(STRING, 0, 1, 0, 0, 0, 3, 0, 0xff, 0x1b, STRING, 0, 2, 0, 0, 0, 4, 'a', '"',
		   '\n', '\\', STRING, 0, 3, 0, 0, 0, 3, 0xe2, 0x80, 0xae, STRING, 0, 4, 0, 0, 0, 2,
		   0xc3, 0xa9, LIST, 0, 5, STRING, 0, 0, 0, 1, 0, 0, 0, 1, 0, STOP),
	    "{1: hex 00ff1b, 2: \"a\\\"\\n\\\\\", 3: hex e280ae, 4: \"\xc3\xa9\", "
	    "5: list<string>[hex 00]}",
	    "{\"1\":{\"binary\":\"00ff1b\"},\"2\":{\"string\":\"a\\\"\\n\\\\\"},"
	    "\"3\":{\"binary\":\"e280ae\"},\"4\":{\"string\":\"\xc3\xa9\"},"
	    "\"5\":{\"list<string>\":[{\"binary\":\"00\"}]}}");
}
END_TEST

START_TEST(thrift_view_says_where_the_struct_ends)
{
	shown(BYTES(BOOL, 0, 1, 1, STOP, 0xee, 0xee), &full, false);
	ck_assert(view.is_whole);
	ck_assert_uint_eq(view.used, 5);
}
END_TEST

START_TEST(thrift_view_shows_a_lying_struct_as_far_as_it_is_good)
{
	expect(BYTES(BOOL, 0, 1, 1, STRING, 0, 2, 0, 0, 1, 0, 'a', 'b'), "{1: true, 2: \"ab\"}",
	    "{\"1\":{\"bool\":true},\"2\":{\"string\":\"ab\"}}");
	ck_assert(!view.is_whole);
	ck_assert_uint_eq(view.used, 7);
	ck_assert_str_eq(view.why, "a string of 256 bytes, of which 2 are here");
	expect(BYTES(BOOL, 0, 1, 1, LIST, 0, 2, I32, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0),
	    "{1: true, 2: list<i32>[1, ?]}",
	    "{\"1\":{\"bool\":true},\"2\":{\"list<i32>\":[1,null]}}");
	ck_assert_str_eq(view.why, "the bytes end within i32");
	expect(BYTES(BOOL, 0, 1, 1, 9, 0, 2), "{1: true}", "{\"1\":{\"bool\":true}}");
	ck_assert_uint_eq(view.used, 4);
	ck_assert_str_eq(view.why, "there is no type 9");
	expect(BYTES(LIST, 0, 1, 7, 0, 0, 0, 1, 0), "{1: list<>[]}", "{\"1\":{\"list<>\":[]}}");
	ck_assert_str_eq(view.why, "there is no type 7");
	expect(BYTES(LIST, 0, 1, BYTE, 0x80, 0, 0, 0, 0), "{1: list<byte>[]}",
	    "{\"1\":{\"list<byte>\":[]}}");
	ck_assert_str_eq(view.why, "a negative number of elements");
	expect(SLICE_NONE, "{}", "{}");
	ck_assert(!view.is_whole);
	ck_assert_str_eq(view.why, "the bytes end within a struct");
}
END_TEST

START_TEST(thrift_view_leaves_out_items_past_the_limit_and_finds_what_is_behind_them)
{
	static const struct thrift_view_limits two = {4, 2, 64, 4096};
	struct slice body = BYTES(LIST, 0, 1, BYTE, 0, 0, 0, 5, 1, 2, 3, 4, 5, BOOL, 0, 2, 0, BOOL,
	    0, 3, 0, BOOL, 0, 4, 1, STOP, 7);

	ck_assert_str_eq(
	    shown(body, &two, false), "{1: list<byte>[1, 2, … 3 more], 2: false, … 2 more}");
	ck_assert(view.is_whole);
	ck_assert_uint_eq(view.used, body.len - 1);
	ck_assert_str_eq(shown(body, &two, true),
	    "{\"1\":{\"list<byte>\":[1,2,\"… 3 more\"]},\"2\":{\"bool\":false},\"…\":2}");
}
END_TEST

START_TEST(thrift_view_goes_no_deeper_than_it_may)
{
	static const struct thrift_view_limits flat = {2, 9, 64, 4096};
	struct slice body = BYTES(STRUCT, 0, 1, STRUCT, 0, 2, BOOL, 0, 3, 1, STOP, LIST, 0, 4, BOOL,
	    0, 0, 0, 1, 1, STOP, BOOL, 0, 5, 1, STOP);

	ck_assert_str_eq(shown(body, &flat, false), "{1: {2: {…}, 4: list<bool>[…]}, 5: true}");
	ck_assert(view.is_whole);
	ck_assert_str_eq(shown(body, &flat, true),
	    "{\"1\":{\"struct\":{\"2\":{\"struct\":{\"…\":null}},\"4\":{\"list<bool>\":[\"…\"]}}},"
	    "\"5\":{\"bool\":true}}");
}
END_TEST

START_TEST(thrift_view_refuses_bottomless_nesting)
{
	uint8_t deep[3 * 100];

	for (size_t i = 0; i < sizeof deep; i += 3)
		memcpy(deep + i, (uint8_t[]){STRUCT, 0, 1}, 3);
	shown(slice_of(deep, sizeof deep), &full, true);
	ck_assert(!view.is_whole);
	ck_assert_str_eq(view.why, "nested too deeply");
}
END_TEST

START_TEST(thrift_view_ends_near_its_limit_of_length)
{
	static const struct thrift_view_limits tight = {4, 1000, 8, 64};
	uint8_t body[8 + 4096] = {LIST, 0, 1, BYTE, 0, 0, 16, 0};
	struct slice s = slice_of(body, sizeof body);
	cJSON *root;

	ck_assert_uint_lt(strlen(shown(s, &tight, false)), 100);
	ck_assert_str_eq(view.why, "");
	ck_assert(!view.is_whole);
	ck_assert_uint_lt(strlen(shown(s, &tight, true)), 100);
	root = cJSON_Parse(text.bytes);
	ck_assert_ptr_nonnull(root);
	cJSON_Delete(root);
}
END_TEST

START_TEST(thrift_view_cuts_long_strings)
{
	static const struct thrift_view_limits tight = {4, 9, 4, 512};

	ck_assert_str_eq(shown(BYTES(STRING, 0, 1, 0, 0, 0, 6, 'a', 'b', 'c', 'd', 'e', 'f', STRING,
				   0, 2, 0, 0, 0, 3, 0, 1, 2, STOP),
			     &tight, false),
	    "{1: \"abcd…\", 2: hex 0001…}");
	ck_assert(view.is_whole);
}
END_TEST

/* Every cut of good bytes, and bytes of chance: it never reads past its end, and JSON stays
 * JSON. */
START_TEST(thrift_view_is_whole_whatever_comes)
{
	static const struct thrift_view_limits small = {3, 3, 8, 200};
	static const uint8_t kinds[] = {0, 2, 3, 4, 6, 8, 10, 11, 12, 13, 14, 15, 1, 0, 0, 0};
	struct rng rng;

	rng_init(&rng, 7);
	for (unsigned round = 0; round < 20000; round++) {
		size_t len = rng_below(&rng, 60);
		uint8_t *body = mem_alloc(len ? len : 1);
		cJSON *root;

		for (size_t i = 0; i < len; i++)
			body[i] = kinds[rng_below(&rng, ARRAY_LEN(kinds))];
		shown(slice_of(body, len), round % 2 ? &small : &full, true);
		ck_assert_uint_le(view.used, len);
		ck_assert(view.is_whole || view.why[0] || text.len > 200);
		root = cJSON_Parse(text.bytes);
		ck_assert_msg(root != NULL, "%s", text.bytes);
		cJSON_Delete(root);
		free(body);
	}
}
END_TEST

START_TEST(shown_words_hold_neither_spaces_nor_escapes)
{
	struct text out = {0};

	shown_word(&out, BYTES('a', ' ', 0x1b, '[', 0xff, 0xc3, 0xa9, 'z'), 7);
	ck_assert(slice_eq_str(slice_of(out.bytes, out.len), "a??[?\xc3\xa9…"));
	text_fini(&out);
}
END_TEST

START_TEST(secret_names_are_known_in_any_spelling)
{
	static const char *const secrets[] = {"Authorization", "x-api-key",
	    "RPC_PERSIST_SESSION_TOKEN", "gdpr-token", "passwd", "X-Auth", "set-cookie",
	    "DB_PASSWORD", "aws.secret", "AK", "sig"};
	static const char *const others[] = {"author", "x-monkey", "log-id", "env", "",
	    "user-agent", "sku", "authority", ":authority"};

	for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
		ck_assert_msg(secret_is_named(slice_str(secrets[i])), "%s", secrets[i]);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		ck_assert_msg(!secret_is_named(slice_str(others[i])), "%s", others[i]);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    thrift_view_shows_every_type,
	    thrift_view_shows_containers_with_their_types,
	    thrift_view_accepts_empty_containers_of_no_type,
	    thrift_view_shows_binary_as_hex_and_escapes_what_steers_a_terminal,
	    thrift_view_says_where_the_struct_ends,
	    thrift_view_shows_a_lying_struct_as_far_as_it_is_good,
	    thrift_view_leaves_out_items_past_the_limit_and_finds_what_is_behind_them,
	    thrift_view_goes_no_deeper_than_it_may,
	    thrift_view_refuses_bottomless_nesting,
	    thrift_view_ends_near_its_limit_of_length,
	    thrift_view_cuts_long_strings,
	    thrift_view_is_whole_whatever_comes,
	    shown_words_hold_neither_spaces_nor_escapes,
	    secret_names_are_known_in_any_spelling,
	};

	return suite_run("thrift_view", tests, ARRAY_LEN(tests));
}
