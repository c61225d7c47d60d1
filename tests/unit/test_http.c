#include "daemon/http.h"

#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

static struct http_request request;
static size_t used;
static int status;

/* From a copy of exact size, so that a sanitizer sees a read past its end. */
static enum http_result parse(const char *text, size_t len)
{
	static char *copy;

	free(copy);
	copy = malloc(len ? len : 1);
	memcpy(copy, text, len);
	used = 0;
	status = 0;
	return http_parse(slice_of(copy, len), &request, &used, &status);
}

static void is_bad(const char *text, int expected)
{
	ck_assert_msg(parse(text, strlen(text)) == HTTP_BAD, "taken: %s", text);
	ck_assert_msg(status == expected, "%d: %s", status, text);
}

static void is_whole(const char *text)
{
	ck_assert_msg(parse(text, strlen(text)) == HTTP_WHOLE, "%d: %s", status, text);
	ck_assert_uint_eq(used, strlen(text));
}

static void has(struct slice s, const char *expected)
{
	ck_assert_msg(slice_eq_str(s, expected), "%.*s", (int)s.len, (const char *)s.data);
}

START_TEST(a_request_is_cut_into_its_parts)
{
	is_whole("POST /reload?dry_run=1&x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
	has(request.method, "POST");
	has(request.path, "/reload");
	has(request.query, "dry_run=1&x");
	has(request.body, "hello");
	ck_assert(request.keeps_alive);
}
END_TEST

START_TEST(every_part_of_a_request_waits_for_more)
{
	static const char text[] = "PUT /log HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";

	for (size_t len = 0; len < sizeof text - 1; len++)
		ck_assert_msg(parse(text, len) == HTTP_MORE, "at %zu", len);
	ck_assert_int_eq(parse(text, sizeof text - 1), HTTP_WHOLE);
}
END_TEST

START_TEST(what_follows_a_request_is_the_next_one)
{
	static const char text[] = "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n";

	ck_assert_int_eq(parse(text, sizeof text - 1), HTTP_WHOLE);
	ck_assert_uint_eq(used, (sizeof text - 1) / 2);
	has(request.path, "/a");
}
END_TEST

START_TEST(a_connection_is_kept_by_version_and_field)
{
	is_whole("GET / HTTP/1.0\r\n\r\n");
	ck_assert(!request.keeps_alive);
	is_whole("GET / HTTP/1.1\r\nconnection:\t Close \r\n\r\n");
	ck_assert(!request.keeps_alive);
	is_whole("GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n");
	ck_assert(request.keeps_alive);
}
END_TEST

START_TEST(a_body_may_have_to_be_asked_for)
{
	static const char text[] =
	    "PUT /log HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n";

	ck_assert_int_eq(parse(text, sizeof text - 1), HTTP_MORE);
	ck_assert(request.awaits_continue);
}
END_TEST

START_TEST(a_target_may_name_the_host_as_well)
{
	is_whole("GET http://127.0.0.1:8080/services/a?b=http://c HTTP/1.1\r\n\r\n");
	has(request.path, "/services/a");
	has(request.query, "b=http://c");
	is_whole("GET HTTP://localhost HTTP/1.1\r\n\r\n");
	has(request.path, "/");
	has(request.query, "");
	is_whole("GET http://localhost?x HTTP/1.1\r\n\r\n");
	has(request.path, "/");
	has(request.query, "x");
	is_bad("GET http:// HTTP/1.1\r\n\r\n", 400);
	is_bad("GET http:///path HTTP/1.1\r\n\r\n", 400);
	is_bad("GET ftp://localhost/ HTTP/1.1\r\n\r\n", 400);
	is_bad("GET http:/path HTTP/1.1\r\n\r\n", 400);
}
END_TEST

START_TEST(odd_requests_are_refused_with_the_right_status)
{
	is_bad("\r\n\r\n", 400);
	is_bad("GET\r\n\r\n", 400);
	is_bad("GET / \r\n\r\n", 400);
	is_bad("GET a HTTP/1.1\r\n\r\n", 400);
	is_bad("GET  / HTTP/1.1\r\n\r\n", 400);
	is_bad("GET / HTTP/1.1 \r\n\r\n", 505);
	is_bad("GET / HTTP/2.0\r\n\r\n", 505);
	is_bad("GET / FTP/1.1\r\n\r\n", 400);
	is_bad("G\tT / HTTP/1.1\r\n\r\n", 400);
	is_bad("GET /\x01 HTTP/1.1\r\n\r\n", 400);
	is_bad("GET / HTTP/1.1\nHost: a\r\n\r\n", 400);
	is_bad("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400);
	is_bad("GET / HTTP/1.1\r\n: nameless\r\n\r\n", 400);
	is_bad("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400);
	is_bad("GET / HTTP/1.1\r\n folded: a\r\n\r\n", 400);
	is_bad("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501);
}
END_TEST

START_TEST(a_length_is_digits_stands_once_and_is_bounded)
{
	is_bad("GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400);
	is_bad("GET / HTTP/1.1\r\nContent-Length: \r\n\r\n", 400);
	is_bad("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400);
	is_bad("GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 400);
	is_bad("GET / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n", 413);
	is_bad("GET / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413);
}
END_TEST

START_TEST(a_head_is_bounded)
{
	static char text[2 * HTTP_HEAD_MAX];

	memset(text, 'a', sizeof text);
	memcpy(text, "GET /", 5);
	ck_assert_int_eq(parse(text, HTTP_HEAD_MAX - 1), HTTP_MORE);
	ck_assert_int_eq(parse(text, HTTP_HEAD_MAX), HTTP_BAD);
	ck_assert_int_eq(status, 431);
	/* Its end was found, but too late. */
	memcpy(text + sizeof text - 4, "\r\n\r\n", 4);
	ck_assert_int_eq(parse(text, sizeof text), HTTP_BAD);
	ck_assert_int_eq(status, 431);
}
END_TEST

START_TEST(a_query_is_searched_by_name)
{
	struct slice query = slice_str("a=1&dry_run&b=x=y&dry_run=2");

	has(http_query_value(query, "a"), "1");
	has(http_query_value(query, "b"), "x=y");
	has(http_query_value(query, "dry_run"), "");
	has(http_query_value(query, "none"), "");
	has(http_query_value(SLICE_NONE, "a"), "");
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    a_request_is_cut_into_its_parts,
	    every_part_of_a_request_waits_for_more,
	    what_follows_a_request_is_the_next_one,
	    a_connection_is_kept_by_version_and_field,
	    a_body_may_have_to_be_asked_for,
	    a_target_may_name_the_host_as_well,
	    odd_requests_are_refused_with_the_right_status,
	    a_length_is_digits_stands_once_and_is_bounded,
	    a_head_is_bounded,
	    a_query_is_searched_by_name,
	};

	return suite_run("http", tests, ARRAY_LEN(tests));
}
