#include <check.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "support/bytes.h"
#include "support/suite.h"

static unsigned lines;
static char last[4096];

static void remember(const struct log_record *r)
{
	lines++;
	snprintf(last, sizeof last, "%s|%s|%s|%s", log_level_name(r->level), r->subject, r->event,
	    r->pairs);
}

static void start_log(enum log_level level)
{
	lines = 0;
	log_set_sink(remember);
	log_set_level(level);
}

static const char *escaped(struct slice s, size_t size)
{
	static char room[LOG_ESCAPED_MAX];
	size_t len;

	memset(room, '#', sizeof room);
	len = log_escape(room, size, s);
	ck_assert_uint_eq(strlen(room), len);
	ck_assert_uint_lt(len, size);
	for (size_t i = len + 1; i < sizeof room; i++)
		ck_assert_msg(room[i] == '#' || i < size, "wrote past its room");
	return room;
}

START_TEST(log_passes_lines_at_and_above_the_level)
{
	start_log(LOG_LEVEL_WARN);
	log_info("conn", "opened", "id=%d", 1);
	ck_assert_uint_eq(lines, 0);
	log_warn("conn", "slow", "id=%d name=%s", 1, "a");
	ck_assert_uint_eq(lines, 1);
	ck_assert_str_eq(last, "warn|conn|slow|id=1 name=a");
	log_error("conn", "lost", "%s", "");
	ck_assert_str_eq(last, "error|conn|lost|");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("conn", "read", "bytes=%d", 3);
	ck_assert_str_eq(last, "debug|conn|read|bytes=3");
}
END_TEST

static int count_call(int *calls)
{
	return ++*calls;
}

START_TEST(log_debug_below_the_level_costs_no_arguments)
{
	int calls = 0;

	start_log(LOG_LEVEL_INFO);
	log_debug("conn", "read", "n=%d", count_call(&calls));
	ck_assert_int_eq(calls, 0);
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("conn", "read", "n=%d", count_call(&calls));
	ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(log_cuts_long_lines)
{
	start_log(LOG_LEVEL_INFO);
	log_error("conn", "lost", "%5000s", "x");
	ck_assert_uint_eq(lines, 1);
	ck_assert_uint_lt(strlen(last), 2100);
}
END_TEST

START_TEST(log_levels_have_names_both_ways)
{
	enum log_level level;

	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
		ck_assert(log_level_parse(log_level_name((enum log_level)i), &level));
		ck_assert_int_eq(level, i);
	}
	ck_assert(!log_level_parse("WARN", &level));
	ck_assert(!log_level_parse("", &level));
	ck_assert(!log_level_parse("warning", &level));
}
END_TEST

START_TEST(log_gate_opens_once_a_second_and_tells_what_it_held)
{
	struct log_gate gate = {0};
	unsigned held = 99;

	ck_assert(log_gate_open(&gate, 0, &held));
	ck_assert_uint_eq(held, 0);
	for (int i = 0; i < 5; i++)
		ck_assert(!log_gate_open(&gate, USEC_S - 1, &held));
	ck_assert_uint_eq(held, 0);
	ck_assert(log_gate_open(&gate, USEC_S, &held));
	ck_assert_uint_eq(held, 5);
	ck_assert(log_gate_open(&gate, 9 * USEC_S, &held));
	ck_assert_uint_eq(held, 0);
}
END_TEST

START_TEST(log_escape_leaves_plain_text_alone)
{
	ck_assert_str_eq(escaped(SLICE_LIT("Echo/a-b_c.d:80 [x]'y'"), LOG_ESCAPED_MAX),
	    "Echo/a-b_c.d:80 [x]'y'");
	ck_assert_str_eq(escaped(SLICE_NONE, LOG_ESCAPED_MAX), "");
}
END_TEST

START_TEST(log_escape_lets_nothing_out_of_the_line_or_the_quotes)
{
	for (unsigned b = 0; b <= UINT8_MAX; b++) {
		uint8_t byte = (uint8_t)b;
		const char *text = escaped(slice_of(&byte, 1), LOG_ESCAPED_MAX);
		bool plain = b >= 0x20 && b < 0x7f && b != '"' && b != '\\';
		char expected[5];

		if (plain)
			snprintf(expected, sizeof expected, "%c", (int)b);
		else
			snprintf(expected, sizeof expected, "\\x%02x", b);
		ck_assert_str_eq(text, expected);
	}
}
END_TEST

START_TEST(log_escape_cuts_at_256_bytes_and_says_so)
{
	uint8_t bytes[300];
	const char *text;

	memset(bytes, 'a', sizeof bytes);
	ck_assert_uint_eq(strlen(escaped(slice_of(bytes, 256), LOG_ESCAPED_MAX)), 256);
	text = escaped(slice_of(bytes, 257), LOG_ESCAPED_MAX);
	ck_assert_uint_eq(strlen(text), 259);
	ck_assert_str_eq(text + 256, "...");
	memset(bytes, 0, sizeof bytes);
	text = escaped(slice_of(bytes, 300), LOG_ESCAPED_MAX);
	ck_assert_uint_eq(strlen(text), 1027);
	ck_assert_str_eq(text + 1020, "\\x00...");
}
END_TEST

START_TEST(log_escape_cuts_in_a_small_room_and_says_so)
{
	ck_assert_str_eq(escaped(SLICE_LIT("0123456789abcdef"), 12), "01234...");
	ck_assert_str_eq(escaped(BYTES(0, 1, 2, 3), 12), "\\x00\\x01...");
	for (size_t size = 1; size < 20; size++)
		escaped(BYTES('a', 0, 'b', 0, 0, 'c', 'd', 'e'), size);
	ck_assert_uint_eq(log_escape(NULL, 0, SLICE_LIT("abc")), 0);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    log_passes_lines_at_and_above_the_level,
	    log_debug_below_the_level_costs_no_arguments,
	    log_cuts_long_lines,
	    log_levels_have_names_both_ways,
	    log_gate_opens_once_a_second_and_tells_what_it_held,
	    log_escape_leaves_plain_text_alone,
	    log_escape_lets_nothing_out_of_the_line_or_the_quotes,
	    log_escape_cuts_at_256_bytes_and_says_so,
	    log_escape_cuts_in_a_small_room_and_says_so,
	};

	return suite_run("log", tests, ARRAY_LEN(tests));
}
