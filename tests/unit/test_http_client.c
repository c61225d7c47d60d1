#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "support/asked_http.h"
#include "support/suite.h"

START_TEST(an_answer_comes_with_its_headers)
{
	struct asked asked = {0};

	http.respond = asked_http_hello;
	asked_http_open(1);
	asked_http_ask(&asked, asked_http_get("/a"));
	ck_assert_int_eq(asked.status, 200);
	ck_assert(asked_http_has_body(&asked, "hello"));
	ck_assert_str_eq(asked.header, "42");
	asked_http_forget(&asked);
}
END_TEST

START_TEST(short_exchanges_use_their_connection_again)
{
	struct asked asked = {0};

	http.respond = asked_http_hello;
	asked_http_open(1);
	for (int i = 0; i < 5; i++) {
		asked_http_ask(&asked, asked_http_get("/a"));
		ck_assert_int_eq(asked.status, 200);
		asked_http_forget(&asked);
	}
	ck_assert_uint_eq(script_accepted(http.servers[0]), 1);
}
END_TEST

static const char *answer;

static void answer_text(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)server;
	(void)request;
	script_send_text(peer, answer);
	script_close(peer);
}

static void expect_failure(const char *bytes, const char *why)
{
	struct asked asked = {0};

	answer = bytes;
	http.respond = answer_text;
	asked_http_open(1);
	asked_http_ask(&asked, asked_http_get("/a"));
	ck_assert_msg(asked.status == 0, "%s: status %d", bytes, asked.status);
	ck_assert_msg(strstr(asked.error, why) != NULL, "%s: %s", bytes, asked.error);
	asked_http_forget(&asked);
}

START_TEST(an_answer_that_breaks_off_is_none)
{
	static const char *const answers[] = {"", "H", "HTTP/1.1 200 OK\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"};

	expect_failure(answers[_i], "");
}
END_TEST

START_TEST(what_is_no_http_is_none)
{
	static const char *const answers[] = {"SSH-2.0-x\r\n\r\n", "HTTP/1.1\r\n\r\n",
	    "HTTP/9.1 200 OK\r\n\r\n", "HTTP/1.1 two OK\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\nhello",
	    "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
	    "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
	    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
	    "HTTP/1.1 101 Switching\r\n\r\n", "HTTP/1.1 103 Early\r\n\r\n"};

	expect_failure(answers[_i], "");
}
END_TEST

START_TEST(what_ends_with_its_connection_is_whole)
{
	struct asked asked = {0};

	answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";
	http.respond = answer_text;
	asked_http_open(1);
	asked_http_ask(&asked, asked_http_get("/a"));
	ck_assert_int_eq(asked.status, 200);
	ck_assert(asked_http_has_body(&asked, "hello"));
	asked_http_forget(&asked);
}
END_TEST

static void answer_after_interim(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)server;
	(void)request;
	script_send_text(peer, "HTTP/1.1 100 Continue\r\n\r\n");
	script_answer(peer, 200, "hello");
}

START_TEST(an_interim_answer_harms_nobody)
{
	struct asked asked = {0};
	struct http_request request = asked_http_get("/a");

	request.timeout = 500 * USEC_MS;
	http.respond = answer_after_interim;
	asked_http_open(1);
	asked_http_ask(&asked, request);
	ck_assert(asked.status == 0 || asked_http_has_body(&asked, "hello"));
	asked_http_forget(&asked);
}
END_TEST

static void answer_endless(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	static char much[60000];
	char head[128] = "HTTP/1.1 200 OK\r\n";

	(void)server;
	memset(much, 'a', sizeof much - 1);
	if (strcmp(request->target, "/header") == 0)
		strcat(head, "X-Long: ");
	else if (strcmp(request->target, "/line") == 0)
		head[0] = '\0';
	else if (strcmp(request->target, "/size") == 0)
		strcat(head, "Transfer-Encoding: chunked\r\n\r\n");
	else if (strcmp(request->target, "/chunk") == 0)
		strcat(head, "Transfer-Encoding: chunked\r\n\r\n7000000\r\n");
	else if (strcmp(request->target, "/length") == 0)
		strcat(head, "Content-Length: 100001\r\n\r\n");
	else
		strcat(head, "Connection: close\r\n\r\n");
	script_send_text(peer, head);
	for (int i = 0; i < 200; i++)
		script_send_text(peer, much);
}

START_TEST(what_is_endless_is_cut_off)
{
	static const char *const targets[] = {
	    "/header", "/line", "/size", "/chunk", "/length", "/body"};
	struct asked asked = {0};
	usec_t began = clock_monotonic();

	http.respond = answer_endless;
	asked_http_open(1);
	asked_http_start(&asked, asked_http_get(targets[_i % 6]),
	    _i < 6 ? &asked_http_whole : &asked_http_in_pieces);
	/* A stream may be as long as it likes, piece by piece. */
	if (_i == 10) {
		asked_http_wait(&asked);
		ck_assert_int_eq(asked.status, 200);
		ck_assert_uint_eq(asked.pieces.len, 100001);
	} else if (_i == 11) {
		while (asked.n_pieces == 0)
			loop_turn(http.loop, 10 * USEC_MS);
		http_exchange_drop(&asked.exchange);
	} else {
		asked_http_wait(&asked);
		ck_assert_int_eq(asked.status, 0);
		ck_assert_uint_lt(clock_monotonic() - began, 4 * USEC_S);
	}
	while (script_open(http.servers[0]) > 0)
		loop_turn(http.loop, 10 * USEC_MS);
	asked_http_forget(&asked);
}
END_TEST

static void answer_dripping(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)server;
	(void)request;
	script_drip(
	    peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
}

START_TEST(what_drips_is_put_together)
{
	struct asked asked = {0};

	http.respond = answer_dripping;
	asked_http_open(1);
	asked_http_ask(&asked, asked_http_get("/a"));
	ck_assert(asked_http_has_body(&asked, "hello"));
	asked_http_forget(&asked);
}
END_TEST

START_TEST(what_drips_too_slowly_is_given_up_in_time)
{
	struct asked asked = {0};
	struct http_request request = asked_http_get("/a");
	usec_t began;

	request.timeout = 30 * USEC_MS;
	http.respond = answer_dripping;
	asked_http_open(1);
	loop_turn(http.loop, 0); /* which reads the clock */
	began = loop_now(http.loop);
	asked_http_ask(&asked, request);
	ck_assert_int_eq(asked.status, 0);
	ck_assert_ptr_nonnull(strstr(asked.error, "no answer in time"));
	ck_assert_uint_ge(clock_monotonic() - began, 29 * USEC_MS);
	asked_http_forget(&asked);
}
END_TEST

START_TEST(whoever_never_answers_is_given_up_in_time)
{
	struct asked asked[2] = {{0}, {0}};
	struct http_request request = asked_http_get("/a");

	request.timeout = 40 * USEC_MS;
	http.respond = asked_http_never;
	asked_http_open(1);
	asked_http_start(&asked[0], request, &asked_http_whole);
	asked_http_start(&asked[1], request, &asked_http_in_pieces);
	asked_http_wait(&asked[0]);
	asked_http_wait(&asked[1]);
	ck_assert_int_eq(asked[0].status, 0);
	ck_assert_int_eq(asked[1].status, 0);
	while (script_open(http.servers[0]) > 0)
		loop_turn(http.loop, 10 * USEC_MS);
}
END_TEST

static void answer_first_bytes(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	static const char text[] =
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
	size_t cut = strtoul(request->target + 1, NULL, 10);

	(void)server;
	script_send(peer, slice_first(slice_str(text), cut));
}

START_TEST(a_reset_at_any_point_is_a_failure_or_an_answer)
{
	struct asked asked = {0};
	char target[16];

	http.respond = answer_first_bytes;
	snprintf(target, sizeof target, "/%d", _i);
	asked_http_open(1);
	asked_http_start(
	    &asked, asked_http_get(target), _i % 2 ? &asked_http_whole : &asked_http_in_pieces);
	asked_http_await();
	asked_http_turn((usec_t)(_i % 3) * USEC_MS);
	script_reset(http.last_peer);
	asked_http_wait(&asked);
	if (asked.status == 0)
		ck_assert_str_ne(asked.error, "");
	asked_http_forget(&asked);
}
END_TEST

/* ---- streams ---- */

int main(void)
{
	const struct suite_test tests[] = {
	    {an_answer_comes_with_its_headers, 1},
	    {short_exchanges_use_their_connection_again, 1},
	    {an_answer_that_breaks_off_is_none, 9},
	    {what_is_no_http_is_none, 13},
	    {what_ends_with_its_connection_is_whole, 1},
	    {an_interim_answer_harms_nobody, 1},
	    {what_is_endless_is_cut_off, 12},
	    {what_drips_is_put_together, 1},
	    {what_drips_too_slowly_is_given_up_in_time, 1},
	    {whoever_never_answers_is_given_up_in_time, 1},
	    {a_reset_at_any_point_is_a_failure_or_an_answer, 65},
	};

	return suite_run_between(
	    "http_client", tests, ARRAY_LEN(tests), asked_http_begin, asked_http_end);
}
