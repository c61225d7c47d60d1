/* What top makes of two answers, on screens of three sizes and on paper. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>
#include <check.h>

#include "base/mem.h"
#include "ctl/top_frame.h"
#include "ctl/top_json.h"
#include "support/suite.h"

static const char status[] =
    "{\"version\":\"1.2.3\",\"uptime_s\":3723,\"pid\":%d,\"state\":\"%s\","
    "\"config\":{\"last_reload\":%s},\"workers\":[{\"connections\":3},{\"connections\":4}],"
    "\"memory\":{\"rss_bytes\":10485760}}";

/* The counters of a first look, and of one two seconds later. */
static const char first_look[] =
    "[{\"label\":\"cart\",\"state\":\"fresh\",\"breaker\":\"closed\",\"calls_total\":100,"
    "\"reasons\":{\"ok\":100},\"latency\":[100],\"retries\":{\"connect\":1},\"endpoints\":["
    "{\"address\":\"10.0.0.1:80\",\"health\":\"up\",\"calls_total\":60,\"errors_total\":0,"
    "\"latency\":[60],\"zone\":\"a\",\"tags\":{\"env\":\"prod\"}},"
    "{\"address\":\"10.0.0.2:80\",\"health\":\"up\",\"calls_total\":40,\"errors_total\":0}]},"
    "{\"label\":\"ledger\",\"state\":\"stale\",\"breaker\":\"open\",\"calls_total\":10,"
    "\"reasons\":{\"timeout\":10},\"latency\":[],\"endpoints\":["
    "{\"address\":\"[2001:db8::1]:80\",\"health\":\"down\",\"calls_total\":10}]}]";
static const char second_look[] =
    "[{\"label\":\"cart\",\"state\":\"fresh\",\"breaker\":\"closed\",\"calls_total\":140,"
    "\"reasons\":{\"ok\":138,\"biz_error\":2},\"latency\":[120,10,10],"
    "\"retries\":{\"connect\":3,\"backup\":2},\"endpoints\":["
    "{\"address\":\"10.0.0.1:80\",\"health\":\"up\",\"calls_total\":70,\"errors_total\":0,"
    "\"latency\":[70],\"zone\":\"a\",\"tags\":{\"env\":\"prod\"},\"in_flight\":2,"
    "\"connections\":5},"
    "{\"address\":\"10.0.0.2:80\",\"health\":\"up\",\"calls_total\":70,\"errors_total\":0,"
    "\"latency\":[10,10,10],\"in_flight\":1,\"connections\":2}]},"
    "{\"label\":\"ledger\",\"state\":\"stale\",\"breaker\":\"open\",\"calls_total\":60,"
    "\"reasons\":{\"timeout\":30,\"breaker_open\":30},\"latency\":[],\"endpoints\":["
    "{\"address\":\"[2001:db8::1]:80\",\"health\":\"down\",\"calls_total\":10}]}]";

static struct top_sample before, now;
static struct arena arena;
static struct top_rows rows;
static struct text out;

static cJSON *read_json(const char *text)
{
	cJSON *root = cJSON_Parse(text);

	ck_assert_msg(root != NULL, "no JSON: %s", text);
	return root;
}

static void take(struct top_sample *sample, usec_t at, int pid, const char *services)
{
	char text[1024];

	top_sample_fini(sample);
	snprintf(text, sizeof text, status, pid, "ready", "null");
	*sample = (struct top_sample){read_json(text), read_json(services), at};
}

static void begin(void)
{
	arena_init(&arena, NULL, 0);
	take(&before, 10 * USEC_S, 77, first_look);
	take(&now, 12 * USEC_S, 77, second_look);
}

static void end(void)
{
	top_sample_fini(&before);
	top_sample_fini(&now);
	arena_fini(&arena);
	text_fini(&out);
	out = (struct text){0};
}

static void draw(unsigned width, unsigned height, enum top_order order, const char *trouble)
{
	struct top_screen screen = {
	    .width = width,
	    .height = height,
	    .is_terminal = height > 0,
	    .order = order,
	    .trouble = trouble,
	};

	top_rows_build(&rows, &arena, &before, &now, order);
	out.len = 0;
	top_frame(&out, &screen, &now, &rows, &arena);
	text_add(&out, slice_of("", 1));
}

/* The lines of a screen: those at its top, nothing, and the last. On a terminal each is erased to
 * its end. */
static void shows(const char *top, unsigned height, const char *last)
{
	struct text wanted = {0};
	unsigned lines = 1;

	for (; *top; top++) {
		lines += *top == '\n';
		text_add_str(&wanted, *top == '\n' ? "\033[K\r\n" : "");
		text_add(&wanted, slice_of(top, *top != '\n'));
	}
	for (; lines < height; lines++)
		text_add_str(&wanted, "\033[K\r\n");
	text_printf(&wanted, "%s\033[K", last);
	text_add(&wanted, slice_of("", 1));
	ck_assert_str_eq(out.bytes, wanted.bytes);
	text_fini(&wanted);
}

static bool says(const char *part)
{
	return strstr(out.bytes, part) != NULL;
}

START_TEST(a_small_screen_shows_what_matters_most)
{
	draw(40, 12, TOP_BY_ERRORS, NULL);
	shows("bridled 1.2.3   ready   up 1h 2m   conne\n"
	      "calls/s 45   errors/s 25   p50 100us   p\n"
	      "failing: breaker_open 15/s, timeout 10/s\n"
	      "SERVICE           CALLS/S  ERR/S     P99\n"
	      "ledger                 25     25       -\n"
	      "  [2001:db8::1]:8       0      0       -\n"
	      "cart                   20      0   490us\n"
	      "  10.0.0.1:80         5.0      0    99us\n"
	      "  10.0.0.2:80          15      0   492us\n",
	    12, "q quit   s sort: errors");
}
END_TEST

START_TEST(a_usual_screen_shows_states_and_loads)
{
	draw(80, 24, TOP_BY_CALLS, NULL);
	shows("bridled 1.2.3   ready   up 1h 2m   connections 7   memory 10.0 MiB   workers 2\n"
	      "calls/s 45   errors/s 25   p50 100us   p99 490us   retries/s 2.0   services 2\n"
	      "failing: breaker_open 15/s, timeout 10/s\n"
	      "SERVICE                STATE     USABLE IN-FLIGHT CALLS/S  ERR/S     P50     P99\n"
	      "ledger                 stale        0/1         0      25     25       -       -\n"
	      "  [2001:db8::1]:80     down                     0       0      0       -       -\n"
	      "cart                   fresh        2/2         3      20      0   100us   490us\n"
	      "  10.0.0.2:80          up                       1      15      0   175us   492us\n"
	      "  10.0.0.1:80          up                       2     5.0      0    50us    99us\n",
	    24, "q quit   s sort: calls");
}
END_TEST

START_TEST(a_wide_screen_shows_breakers_retries_and_reasons)
{
	draw(120, 40, TOP_BY_LATENCY, NULL);
	shows(
	    "bridled 1.2.3   ready   up 1h 2m   connections 7   memory 10.0 MiB   workers 2   pid 77\n"
	    "calls/s 45   errors/s 25   p50 100us   p99 490us   retries/s 2.0   services 2   "
	    "endpoints 3\n"
	    "failing: breaker_open 15/s, timeout 10/s\n"
	    "SERVICE            STATE    BREAKER    USABLE IN-FLIGHT CALLS/S  ERR/S RETRY/S     P50     "
	    "P99 FAILING, OR WHERE\n"
	    "cart               fresh    closed        2/2         3      20      0     2.0   100us   "
	    "490us\n"
	    "  10.0.0.2:80      up                                 1      15      0           175us   "
	    "492us\n"
	    "  10.0.0.1:80      up                                 2     5.0      0            50us    "
	    "99us a env=prod\n"
	    "ledger             stale    open          0/1         0      25     25       0       -     "
	    "  - breaker_open 15/s, timeou\n"
	    "  [2001:db8::1]:80 down                               0       0      0               -     "
	    "  -\n",
	    40, "q quit   s sort: p99");
}
END_TEST

START_TEST(on_paper_lines_are_lines)
{
	draw(120, 0, TOP_BY_CALLS, NULL);
	ck_assert(!says("\033") && !says("\r") && !says("q quit"));
	ck_assert(says("\nledger ") && says("\ncart "));
	ck_assert_int_eq(out.bytes[out.len - 2], '\n');
}
END_TEST

/* Every service comes before endpoints; what has no room at all is counted. */
START_TEST(services_go_before_endpoints_where_there_is_no_room)
{
	draw(80, 8, TOP_BY_NAME, NULL);
	ck_assert(says("\ncart ") && says("\n  10.0.0.1:80 ") && says("\nledger "));
	ck_assert(!says("10.0.0.2") && !says("2001:db8") && !says("not shown"));
	draw(80, 6, TOP_BY_NAME, NULL);
	ck_assert(says("\ncart ") && !says("\nledger ") && !says("10.0.0.1"));
	ck_assert(says("services that are not shown: 1"));
}
END_TEST

static void line_widths_fit(unsigned width)
{
	size_t shown = 0;

	for (const char *c = out.bytes; *c; c++) {
		if (*c == '\033')
			c = strpbrk(c, "Km");
		else
			shown = *c == '\r' || *c == '\n' ? 0 : shown + 1;
		ck_assert_uint_le(shown, width);
	}
}

START_TEST(no_line_is_wider_than_the_screen)
{
	for (unsigned width = TOP_WIDTH_MIN; width <= 300; width++) {
		draw(width, 24, TOP_BY_CALLS, NULL);
		line_widths_fit(width);
	}
}
END_TEST

START_TEST(names_from_outside_cannot_steer_the_terminal)
{
	take(&now, 12 * USEC_S, 77,
	    "[{\"label\":\"\\u001b[2Jx\\u009b\\r\",\"state\":\"\\u001b]0;t\\u0007\",\"breaker\":\"a\","
	    "\"endpoints\":[{\"address\":\"\\u001b[H\",\"zone\":\"\\u009b5n\","
	    "\"tags\":{\"\\u001bc\":\"\\n\\b\"}}]}]");
	for (unsigned width = 40; width <= 160; width += 40) {
		draw(width, 24, TOP_BY_CALLS, NULL);
		for (const char *c = out.bytes; *c; c++) {
			ck_assert_msg((*c >= ' ' && *c <= '~') || strchr("\033\r\n", *c), "%02x",
			    (unsigned char)*c);
			ck_assert(*c != '\033' || strncmp(c, "\033[K", 3) == 0);
			ck_assert(*c != '\r' || c[1] == '\n');
		}
		line_widths_fit(width);
	}
	ck_assert(says("?[2Jx???") && says("?c=??"));
}
END_TEST

START_TEST(another_run_of_the_daemon_has_no_rates_yet)
{
	take(&before, 10 * USEC_S, 76, first_look);
	draw(80, 24, TOP_BY_CALLS, NULL);
	ck_assert(says("calls/s 0   errors/s 0   p50 -   p99 -"));
	top_sample_fini(&before);
	draw(80, 24, TOP_BY_CALLS, NULL);
	ck_assert(says("calls/s 0   errors/s 0   p50 -   p99 -"));
}
END_TEST

START_TEST(what_came_and_what_went_between_two_looks_is_no_rate)
{
	take(&before, 10 * USEC_S, 77,
	    "[{\"label\":\"gone\",\"calls_total\":5},{\"label\":\"cart\",\"calls_total\":1000,"
	    "\"reasons\":{\"ok\":1000},\"latency\":[1000],\"endpoints\":[]}]");
	draw(80, 24, TOP_BY_CALLS, NULL);
	ck_assert(!says("gone"));
	ck_assert(says("calls/s 0   errors/s 0   p50 -"));
}
END_TEST

START_TEST(a_daemon_that_is_gone_and_a_reload_that_failed_are_said)
{
	char text[1024];

	draw(80, 24, TOP_BY_CALLS, "no daemon answers at /x: nothing there");
	ck_assert(says("no answer") && says("\nno daemon answers at /x: nothing there\033[K"));
	cJSON_Delete(now.status);
	snprintf(text, sizeof text, status, 77, "draining", "{\"ok\":false,\"error\":\"line 3\"}");
	now.status = read_json(text);
	draw(80, 24, TOP_BY_CALLS, NULL);
	ck_assert(says("   draining   ") && says("\nreload refused: line 3\033[K"));
}
END_TEST

START_TEST(as_json_it_has_rates_and_reasons)
{
	cJSON *root;
	const cJSON *service;

	top_rows_build(&rows, &arena, &before, &now, TOP_BY_CALLS);
	root = top_json(&rows, 2);
	service = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "services"), 0);
	ck_assert_str_eq(cJSON_GetObjectItem(service, "label")->valuestring, "ledger");
	ck_assert_double_eq(cJSON_GetObjectItem(root, "calls_per_s")->valuedouble, 45);
	ck_assert_double_eq(
	    cJSON_GetObjectItem(cJSON_GetObjectItem(service, "reasons_per_s"), "timeout")
		->valuedouble,
	    10);
	ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(service, "endpoints")), 1);
	cJSON_Delete(root);
}
END_TEST

START_TEST(rates_are_short)
{
	static const struct {
		double rate;
		const char *text;
	} rows_of[] = {{0, "0"}, {0.04, "0.0"}, {0.5, "0.5"}, {9.94, "9.9"}, {9.96, "10"},
	    {9999, "9999"}, {12345, "12.3k"}, {4.2e6, "4.2M"}};
	char room[16];

	for (size_t i = 0; i < ARRAY_LEN(rows_of); i++)
		ck_assert_str_eq(top_rate(rows_of[i].rate, room), rows_of[i].text);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_small_screen_shows_what_matters_most, 1},
	    {a_usual_screen_shows_states_and_loads, 1},
	    {a_wide_screen_shows_breakers_retries_and_reasons, 1},
	    {on_paper_lines_are_lines, 1},
	    {services_go_before_endpoints_where_there_is_no_room, 1},
	    {no_line_is_wider_than_the_screen, 1},
	    {names_from_outside_cannot_steer_the_terminal, 1},
	    {another_run_of_the_daemon_has_no_rates_yet, 1},
	    {what_came_and_what_went_between_two_looks_is_no_rate, 1},
	    {a_daemon_that_is_gone_and_a_reload_that_failed_are_said, 1},
	    {as_json_it_has_rates_and_reasons, 1},
	    {rates_are_short, 1},
	};

	return suite_run_between("top", tests, ARRAY_LEN(tests), begin, end);
}
