#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "support/asked_http.h"
#include "support/suite.h"

static void answer_stream(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)server;
	(void)request;
	script_stream(peer);
}

static void await_pieces(struct asked *asked, unsigned n)
{
	usec_t until = clock_monotonic() + ASKED_HTTP_PATIENCE;

	while (asked->n_pieces < n) {
		ck_assert_msg(clock_monotonic() < until, "no piece in time");
		ck_assert_uint_eq(asked->n_done, 0);
		loop_turn(http.loop, 10 * USEC_MS);
	}
}

START_TEST(a_stream_comes_in_pieces_and_outlives_its_timeout)
{
	struct asked asked = {0};
	struct http_request request = asked_http_get("/a");

	request.timeout = 50 * USEC_MS;
	http.respond = answer_stream;
	asked_http_open(1);
	asked_http_start(&asked, request, &asked_http_in_pieces);
	asked_http_await();
	script_chunk(http.last_peer, "one\n");
	await_pieces(&asked, 1);
	asked_http_turn(100 * USEC_MS);
	script_chunk(http.last_peer, "two\n");
	await_pieces(&asked, 2);
	ck_assert(slice_eq_str(slice_of(asked.pieces.bytes, asked.pieces.len), "one\ntwo\n"));
	script_stream_end(http.last_peer);
	asked_http_wait(&asked);
	ck_assert_int_eq(asked.status, 200);
	ck_assert(asked_http_has_body(&asked, ""));
	asked_http_forget(&asked);
}
END_TEST

START_TEST(a_stream_may_be_longer_than_any_answer)
{
	static char chunk[50001];
	struct asked asked = {0};

	memset(chunk, 'x', sizeof chunk - 1);
	http.respond = answer_stream;
	asked_http_open(1);
	asked_http_start(&asked, asked_http_get("/a"), &asked_http_in_pieces);
	asked_http_await();
	for (unsigned i = 1; i <= 40; i++) {
		script_chunk(http.last_peer, chunk);
		await_pieces(&asked, i);
	}
	ck_assert_uint_eq(asked.pieces.len, 40 * 50000);
	ck_assert_uint_eq(asked.n_done, 0);
	http_exchange_drop(&asked.exchange);
	asked_http_forget(&asked);
}
END_TEST

static void answer_refusal(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)server;
	(void)request;
	script_send_text(peer, "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n"
			       "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n");
}

START_TEST(a_stream_that_is_refused_has_no_pieces_but_a_body)
{
	struct asked asked = {0};

	http.respond = answer_refusal;
	asked_http_open(1);
	asked_http_start(&asked, asked_http_get("/a"), &asked_http_in_pieces);
	asked_http_wait(&asked);
	ck_assert_int_eq(asked.status, 403);
	ck_assert_uint_eq(asked.n_pieces, 0);
	ck_assert(asked_http_has_body(&asked, "hello!"));
	asked_http_forget(&asked);
}
END_TEST

static void drop_it(struct asked *asked)
{
	http_exchange_drop(&asked->exchange);
	ck_assert_ptr_null(asked->exchange);
}

static void free_client(struct asked *asked)
{
	(void)asked;
	http_client_free(&http.client);
}

static void ask_another(struct asked *asked)
{
	static struct asked other;

	(void)asked;
	asked_http_forget(&other);
	if (http.client)
		asked_http_start(&other, asked_http_get("/a"), &asked_http_whole);
}

START_TEST(whatever_is_done_within_callbacks_is_legal)
{
	void (*const acts[])(struct asked *) = {drop_it, free_client, ask_another};
	struct asked asked = {.on_piece = acts[_i % 3]};
	struct asked done = {.on_done = acts[_i % 3]};

	http.respond = answer_stream;
	asked_http_open(1);
	if (_i < 3) {
		asked_http_start(&asked, asked_http_get("/a"), &asked_http_in_pieces);
		asked_http_await();
		script_chunk(http.last_peer, "one");
		script_chunk(http.last_peer, "two");
		await_pieces(&asked, acts[_i % 3] == ask_another ? 2 : 1);
		asked_http_turn(10 * USEC_MS);
		ck_assert_uint_eq(asked.n_pieces, acts[_i % 3] == ask_another ? 2 : 1);
		ck_assert_uint_eq(asked.n_done, 0);
	} else {
		http.respond = asked_http_hello;
		asked_http_start(&done, asked_http_get("/a"), &asked_http_whole);
		asked_http_wait(&done);
		asked_http_turn(10 * USEC_MS);
	}
	asked_http_forget(&asked);
	asked_http_forget(&done);
}
END_TEST

/* ---- several servers, several exchanges ---- */

static void answer_index(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	char text[8];

	(void)request;
	snprintf(text, sizeof text, "%zu", server);
	script_answer(peer, 200, text);
}

static void answer_unwell_first(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)request;
	script_answer(peer, server == 0 ? 503 : 200, server == 0 ? "unwell" : "well");
}

START_TEST(a_server_that_cannot_be_reached_is_passed_over_at_once)
{
	struct asked asked = {0};

	http.respond = answer_index;
	asked_http_open(3);
	script_deaf(http.servers[0]);
	script_deaf(http.servers[1]);
	for (int i = 0; i < 2; i++) {
		asked_http_ask(&asked, asked_http_get("/a"));
		ck_assert(asked_http_has_body(&asked, "2"));
		asked_http_forget(&asked);
	}
	script_listen(http.servers[0]);
	script_deaf(http.servers[2]);
	script_reset_all(http.servers[2]);
	asked_http_ask(&asked, asked_http_get("/a"));
	ck_assert(asked_http_has_body(&asked, "0"));
	asked_http_forget(&asked);
}
END_TEST

START_TEST(when_none_can_be_reached_that_is_said_soon)
{
	struct asked asked = {0};
	usec_t began = clock_monotonic();

	http.respond = answer_index;
	asked_http_open(3);
	for (int i = 0; i < 3; i++)
		script_deaf(http.servers[i]);
	asked_http_ask(&asked, asked_http_get("/a"));
	ck_assert_int_eq(asked.status, 0);
	ck_assert_msg(strstr(asked.error, "cannot connect") != NULL, "%s", asked.error);
	ck_assert_uint_lt(clock_monotonic() - began, 3 * USEC_S);
	asked_http_forget(&asked);
}
END_TEST

START_TEST(a_server_that_is_unwell_is_not_asked_again)
{
	struct asked asked = {0};

	http.respond = answer_unwell_first;
	asked_http_open(2);
	asked_http_ask(&asked, asked_http_get("/a"));
	ck_assert_int_eq(asked.status, 503);
	asked_http_forget(&asked);
	asked_http_ask(&asked, asked_http_get("/a"));
	ck_assert(asked_http_has_body(&asked, "well"));
	asked_http_forget(&asked);
	http_client_turn(http.client);
	asked_http_ask(&asked, asked_http_get("/a"));
	ck_assert_int_eq(asked.status, 503);
	asked_http_forget(&asked);
}
END_TEST

START_TEST(without_a_server_that_is_said)
{
	struct asked asked = {0};

	asked_http_open(0);
	asked_http_ask(&asked, asked_http_get("/a"));
	ck_assert_ptr_nonnull(strstr(asked.error, "no server"));
	asked_http_forget(&asked);
}
END_TEST

START_TEST(a_connection_that_was_closed_while_it_rested_fails_nobody)
{
	struct asked asked = {0};

	http.respond = asked_http_hello;
	asked_http_open(1);
	for (int i = 0; i < 4; i++) {
		asked_http_ask(&asked, asked_http_get("/a"));
		ck_assert_int_eq(asked.status, 200);
		asked_http_forget(&asked);
		if (i % 2)
			asked_http_turn(5 * USEC_MS);
		script_reset_all(http.servers[0]);
		if (i == 3)
			asked_http_turn(5 * USEC_MS);
	}
	ck_assert_uint_eq(http.n_requests[0], 4);
}
END_TEST

START_TEST(many_exchanges_share_few_connections)
{
	static struct asked asked[100];

	http.respond = asked_http_hello;
	asked_http_open(1);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		asked_http_start(&asked[i], asked_http_get("/a"), &asked_http_whole);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		asked_http_wait(&asked[i]);
		ck_assert_int_eq(asked[i].status, 200);
	}
	ck_assert_uint_le(script_open(http.servers[0]), 8);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		asked_http_forget(&asked[i]);
}
END_TEST

START_TEST(streams_and_those_that_wait_hold_up_nobody)
{
	static struct asked waiting[20]; /* dropped with the client */
	struct asked asked = {0};
	struct http_request request = asked_http_get("/a");

	request.waits = true;
	http.respond = asked_http_never;
	asked_http_open(1);
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++)
		asked_http_start(
		    &waiting[i], request, i % 2 ? &asked_http_whole : &asked_http_in_pieces);
	while (http.n_requests[0] < 20)
		loop_turn(http.loop, 10 * USEC_MS);
	http.respond = asked_http_hello;
	asked_http_ask(&asked, asked_http_get("/a"));
	ck_assert_int_eq(asked.status, 200);
	asked_http_forget(&asked);
}
END_TEST

static struct slice seen_head, seen_body;
static char seen[4096];

static void note_request(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)server;
	ck_assert_uint_lt(request->head.len + request->body.len, sizeof seen);
	memcpy(seen, request->head.data, request->head.len + request->body.len);
	seen_head = slice_of(seen, request->head.len);
	seen_body = slice_of(seen + request->head.len, request->body.len);
	script_send_text(
	    peer, "HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n");
}

START_TEST(a_request_is_sent_as_it_was_given_and_no_redirect_followed)
{
	const struct http_header header = {"X-Thing", "value of it"};
	struct asked asked = {0};
	struct http_request request = asked_http_get("/path?query=%20x");
	char host[ADDRESS_TEXT_MAX + 16];

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	request.method = "PUT";
	request.headers = &header;
	request.n_headers = 1;
	request.body = SLICE_LIT("the body");
	http.respond = note_request;
	asked_http_open(1);
	snprintf(host, sizeof host, "Host: %s\r\n", script_address(http.servers[0])->text);
	asked_http_ask(&asked, request);
	ck_assert_int_eq(asked.status, 302);
	ck_assert(slice_starts(seen_head, SLICE_LIT("PUT /path?query=%20x HTTP/1.1\r\n")));
	ck_assert_ptr_nonnull(memmem(seen, seen_head.len, host, strlen(host)));
	ck_assert_ptr_nonnull(memmem(seen, seen_head.len, "X-Thing: value of it\r\n", 22));
	ck_assert(slice_eq_str(seen_body, "the body"));
	ck_assert_uint_eq(http.n_requests[0], 1);
	asked_http_forget(&asked);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_stream_comes_in_pieces_and_outlives_its_timeout, 1},
	    {a_stream_may_be_longer_than_any_answer, 1},
	    {a_stream_that_is_refused_has_no_pieces_but_a_body, 1},
	    {whatever_is_done_within_callbacks_is_legal, 6},
	    {a_server_that_cannot_be_reached_is_passed_over_at_once, 1},
	    {when_none_can_be_reached_that_is_said_soon, 1},
	    {a_server_that_is_unwell_is_not_asked_again, 1},
	    {without_a_server_that_is_said, 1},
	    {a_connection_that_was_closed_while_it_rested_fails_nobody, 1},
	    {many_exchanges_share_few_connections, 1},
	    {streams_and_those_that_wait_hold_up_nobody, 1},
	    {a_request_is_sent_as_it_was_given_and_no_redirect_followed, 1},
	};

	return suite_run_between(
	    "http_client_many", tests, ARRAY_LEN(tests), asked_http_begin, asked_http_end);
}
