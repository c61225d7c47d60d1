#include "daemon/log_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

#define NOON ((usec_t)1700000000 * USEC_S + 5) /* 2023-11-14T22:13:20Z and 5 us */

static void becomes(
    enum log_format format, enum log_level level, const char *pairs, const char *expected)
{
	struct log_record record = {level, "listener", "accept failed", pairs};
	char line[LOG_LINE_MAX + 1];
	size_t n = log_format_line(line, LOG_LINE_MAX, format, &record, NOON);

	line[n] = '\0';
	ck_assert_str_eq(line, expected);
}

START_TEST(text_has_time_and_level)
{
	becomes(LOG_FORMAT_TEXT, LOG_LEVEL_WARN, "name=in error=\"no room\"",
	    "2023-11-14T22:13:20.000005Z warn listener: accept failed name=in error=\"no room\"");
	becomes(LOG_FORMAT_TEXT, LOG_LEVEL_INFO, "",
	    "2023-11-14T22:13:20.000005Z info listener: accept failed");
}
END_TEST

START_TEST(the_journal_gets_a_priority_and_no_time)
{
	becomes(LOG_FORMAT_JOURNAL, LOG_LEVEL_ERROR, "n=1", "<3>listener: accept failed n=1");
	becomes(LOG_FORMAT_JOURNAL, LOG_LEVEL_WARN, "", "<4>listener: accept failed");
	becomes(LOG_FORMAT_JOURNAL, LOG_LEVEL_INFO, "", "<6>listener: accept failed");
	becomes(LOG_FORMAT_JOURNAL, LOG_LEVEL_DEBUG, "", "<7>listener: accept failed");
}
END_TEST

START_TEST(json_makes_members_of_pairs)
{
	static const char head[] = "{\"time\":\"2023-11-14T22:13:20.000005Z\",\"level\":\"info\","
				   "\"subject\":\"listener\",\"event\":\"accept failed\"";
	static const struct {
		const char *pairs, *members;
	} rows[] = {
	    {"", ""},
	    {"a=1", ",\"a\":\"1\""},
	    {"a=1 b=\"two words\" c=3", ",\"a\":\"1\",\"b\":\"two words\",\"c\":\"3\""},
	    {"a= b", ",\"a\":\"\",\"b\":\"\""},
	    {"a=\"open", ",\"a\":\"\\u0022open\""},
	    {"a=\"\"", ",\"a\":\"\""},
	    {"a=\"x\\\"y\" b=2", ",\"a\":\"x\\u005c\\u0022y\",\"b\":\"2\""},
	    {"=lost  a=1 ", ",\"a\":\"1\""},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char expected[512];

		snprintf(expected, sizeof expected, "%s%s}", head, rows[i].members);
		becomes(LOG_FORMAT_JSON, LOG_LEVEL_INFO, rows[i].pairs, expected);
	}
}
END_TEST

START_TEST(a_record_is_one_line_whatever_is_in_it)
{
	becomes(LOG_FORMAT_JOURNAL, LOG_LEVEL_INFO, "a=1\nb=2\r",
	    "<6>listener: accept failed a=1 b=2 ");
	becomes(LOG_FORMAT_JSON, LOG_LEVEL_INFO, "a=1\n2",
	    "{\"time\":\"2023-11-14T22:13:20.000005Z\",\"level\":\"info\",\"subject\":\"listener\","
	    "\"event\":\"accept failed\",\"a\":\"1\\u000a2\"}");
}
END_TEST

START_TEST(a_line_that_is_too_long_is_cut)
{
	struct log_record record = {LOG_LEVEL_INFO, "s", "e", "key=value"};
	char room[8];

	for (size_t size = 0; size <= sizeof room; size++) {
		memset(room, '!', sizeof room);
		ck_assert_uint_eq(
		    log_format_line(room, size, LOG_FORMAT_JOURNAL, &record, NOON), size);
		ck_assert(size == sizeof room || room[size] == '!');
	}
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    text_has_time_and_level,
	    the_journal_gets_a_priority_and_no_time,
	    json_makes_members_of_pairs,
	    a_record_is_one_line_whatever_is_in_it,
	    a_line_that_is_too_long_is_cut,
	};

	return suite_run("log_format", tests, ARRAY_LEN(tests));
}
