#include "net/http_client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "base/text.h"
#include "net/loop.h"
#include "support/descriptors.h"
#include "support/http_script.h"
#include "support/suite.h"

#define PATIENCE (20 * USEC_S)

static struct loop *loop;
static struct http_client *client;
static struct script *servers[3];
static size_t n_servers;
static int descriptors_before;

/* What a server does with a request: the same for all, told which it is. */
static void (*respond)(
    size_t server, struct script_peer *peer, const struct script_request *request);
static struct script_peer *last_peer;
static unsigned n_requests[3];

static void requested(void *arg, struct script_peer *peer, const struct script_request *request)
{
	size_t i = (size_t)(uintptr_t)arg;

	last_peer = peer;
	n_requests[i]++;
	respond(i, peer, request);
}

static bool server_of(void *arg, size_t i, struct address *server)
{
	(void)arg;
	if (i >= n_servers)
		return false;
	*server = *script_address(servers[i]);
	return true;
}

static void open_client(size_t n)
{
	struct http_client_start start = {.loop = loop, .server = server_of};

	n_servers = n;
	for (size_t i = 0; i < n; i++)
		servers[i] = script_new(loop, NULL, requested, (void *)(uintptr_t)i);
	client = http_client_new(&start);
}

static void begin(void)
{
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	last_peer = NULL;
	memset(n_requests, 0, sizeof n_requests);
	descriptors_before = descriptors_open();
	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
}

static void end(void)
{
	http_client_free(&client);
	for (size_t i = 0; i < ARRAY_LEN(servers); i++)
		script_free(&servers[i]);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 0);
	loop_free(&loop);
	ck_assert_int_eq(descriptors_open(), descriptors_before);
}

/* ---- exchanges as the tests see them ---- */

struct asked {
	struct http_exchange *exchange;
	struct text pieces;
	struct text body;
	unsigned n_pieces, n_done;
	int status;
	char error[300], header[64];
	void (*on_piece)(struct asked *asked);
	void (*on_done)(struct asked *asked);
};

static void got_piece(void *arg, struct slice bytes)
{
	struct asked *asked = arg;

	asked->n_pieces++;
	text_add(&asked->pieces, bytes);
	if (asked->on_piece)
		asked->on_piece(asked);
}

static void got_done(void *arg, const struct http_response *response)
{
	struct asked *asked = arg;
	const char *header = http_response_header(response, "X-Index");

	asked->n_done++;
	asked->status = response->status;
	snprintf(asked->error, sizeof asked->error, "%s", response->error ? response->error : "");
	snprintf(asked->header, sizeof asked->header, "%s", header ? header : "");
	text_add(&asked->body, response->body);
	text_add_str(&asked->body, "");
	if (asked->on_done)
		asked->on_done(asked);
}

static const struct http_done whole = {NULL, got_done}, in_pieces = {got_piece, got_done};

static struct http_request get(const char *target)
{
	return (struct http_request){
	    .method = "GET", .target = target, .timeout = 5 * USEC_S, .at_most = 100000};
}

static void ask_for(struct asked *asked, struct http_request request, const struct http_done *done)
{
	asked->exchange = http_client_ask(client, &request, done, asked);
	ck_assert_uint_eq(asked->n_done, 0);
}

static void wait_done(struct asked *asked)
{
	usec_t until = clock_monotonic() + PATIENCE;

	while (asked->n_done == 0) {
		ck_assert_msg(clock_monotonic() < until, "no end in time");
		loop_turn(loop, 10 * USEC_MS);
	}
	ck_assert_uint_eq(asked->n_done, 1);
}

static void ask(struct asked *asked, struct http_request request)
{
	ask_for(asked, request, &whole);
	wait_done(asked);
}

static void await_request(void)
{
	usec_t until = clock_monotonic() + PATIENCE;

	while (last_peer == NULL) {
		ck_assert_msg(clock_monotonic() < until, "no request in time");
		loop_turn(loop, 10 * USEC_MS);
	}
}

static void turns(usec_t time)
{
	usec_t until = clock_monotonic() + time;

	while (clock_monotonic() < until)
		loop_turn(loop, USEC_MS);
}

static void forget(struct asked *asked)
{
	text_fini(&asked->pieces);
	text_fini(&asked->body);
	*asked = (struct asked){0};
}

static bool has_body(const struct asked *asked, const char *body)
{
	return slice_eq_str(slice_of(asked->body.bytes, asked->body.len), body);
}

/* ---- tests ---- */

static void answer_hello(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)server;
	(void)request;
	script_send_text(peer, "HTTP/1.1 200 OK\r\nX-Index: 42\r\nContent-Length: 5\r\n\r\nhello");
}

START_TEST(an_answer_comes_with_its_headers)
{
	struct asked asked = {0};

	respond = answer_hello;
	open_client(1);
	ask(&asked, get("/a"));
	ck_assert_int_eq(asked.status, 200);
	ck_assert(has_body(&asked, "hello"));
	ck_assert_str_eq(asked.header, "42");
	forget(&asked);
}
END_TEST

START_TEST(short_exchanges_use_their_connection_again)
{
	struct asked asked = {0};

	respond = answer_hello;
	open_client(1);
	for (int i = 0; i < 5; i++) {
		ask(&asked, get("/a"));
		ck_assert_int_eq(asked.status, 200);
		forget(&asked);
	}
	ck_assert_uint_eq(script_accepted(servers[0]), 1);
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
	respond = answer_text;
	open_client(1);
	ask(&asked, get("/a"));
	ck_assert_msg(asked.status == 0, "%s: status %d", bytes, asked.status);
	ck_assert_msg(strstr(asked.error, why) != NULL, "%s: %s", bytes, asked.error);
	forget(&asked);
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
	respond = answer_text;
	open_client(1);
	ask(&asked, get("/a"));
	ck_assert_int_eq(asked.status, 200);
	ck_assert(has_body(&asked, "hello"));
	forget(&asked);
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
	struct http_request request = get("/a");

	request.timeout = 500 * USEC_MS;
	respond = answer_after_interim;
	open_client(1);
	ask(&asked, request);
	ck_assert(asked.status == 0 || has_body(&asked, "hello"));
	forget(&asked);
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

	respond = answer_endless;
	open_client(1);
	ask_for(&asked, get(targets[_i % 6]), _i < 6 ? &whole : &in_pieces);
	/* A stream may be as long as it likes, piece by piece. */
	if (_i == 10) {
		wait_done(&asked);
		ck_assert_int_eq(asked.status, 200);
		ck_assert_uint_eq(asked.pieces.len, 100001);
	} else if (_i == 11) {
		while (asked.n_pieces == 0)
			loop_turn(loop, 10 * USEC_MS);
		http_exchange_drop(&asked.exchange);
	} else {
		wait_done(&asked);
		ck_assert_int_eq(asked.status, 0);
		ck_assert_uint_lt(clock_monotonic() - began, 4 * USEC_S);
	}
	while (script_open(servers[0]) > 0)
		loop_turn(loop, 10 * USEC_MS);
	forget(&asked);
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

	respond = answer_dripping;
	open_client(1);
	ask(&asked, get("/a"));
	ck_assert(has_body(&asked, "hello"));
	forget(&asked);
}
END_TEST

START_TEST(what_drips_too_slowly_is_given_up_in_time)
{
	struct asked asked = {0};
	struct http_request request = get("/a");
	usec_t began;

	request.timeout = 30 * USEC_MS;
	respond = answer_dripping;
	open_client(1);
	loop_turn(loop, 0); /* which reads the clock */
	began = loop_now(loop);
	ask(&asked, request);
	ck_assert_int_eq(asked.status, 0);
	ck_assert_ptr_nonnull(strstr(asked.error, "no answer in time"));
	ck_assert_uint_ge(clock_monotonic() - began, 29 * USEC_MS);
	forget(&asked);
}
END_TEST

static void answer_never(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)server;
	(void)peer;
	(void)request;
}

START_TEST(whoever_never_answers_is_given_up_in_time)
{
	struct asked asked[2] = {{0}, {0}};
	struct http_request request = get("/a");

	request.timeout = 40 * USEC_MS;
	respond = answer_never;
	open_client(1);
	ask_for(&asked[0], request, &whole);
	ask_for(&asked[1], request, &in_pieces);
	wait_done(&asked[0]);
	wait_done(&asked[1]);
	ck_assert_int_eq(asked[0].status, 0);
	ck_assert_int_eq(asked[1].status, 0);
	while (script_open(servers[0]) > 0)
		loop_turn(loop, 10 * USEC_MS);
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

	respond = answer_first_bytes;
	snprintf(target, sizeof target, "/%d", _i);
	open_client(1);
	ask_for(&asked, get(target), _i % 2 ? &whole : &in_pieces);
	await_request();
	turns((usec_t)(_i % 3) * USEC_MS);
	script_reset(last_peer);
	wait_done(&asked);
	if (asked.status == 0)
		ck_assert_str_ne(asked.error, "");
	forget(&asked);
}
END_TEST

/* ---- streams ---- */

static void answer_stream(
    size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)server;
	(void)request;
	script_stream(peer);
}

static void await_pieces(struct asked *asked, unsigned n)
{
	usec_t until = clock_monotonic() + PATIENCE;

	while (asked->n_pieces < n) {
		ck_assert_msg(clock_monotonic() < until, "no piece in time");
		ck_assert_uint_eq(asked->n_done, 0);
		loop_turn(loop, 10 * USEC_MS);
	}
}

START_TEST(a_stream_comes_in_pieces_and_outlives_its_timeout)
{
	struct asked asked = {0};
	struct http_request request = get("/a");

	request.timeout = 50 * USEC_MS;
	respond = answer_stream;
	open_client(1);
	ask_for(&asked, request, &in_pieces);
	await_request();
	script_chunk(last_peer, "one\n");
	await_pieces(&asked, 1);
	turns(100 * USEC_MS);
	script_chunk(last_peer, "two\n");
	await_pieces(&asked, 2);
	ck_assert(slice_eq_str(slice_of(asked.pieces.bytes, asked.pieces.len), "one\ntwo\n"));
	script_stream_end(last_peer);
	wait_done(&asked);
	ck_assert_int_eq(asked.status, 200);
	ck_assert(has_body(&asked, ""));
	forget(&asked);
}
END_TEST

START_TEST(a_stream_may_be_longer_than_any_answer)
{
	static char chunk[50001];
	struct asked asked = {0};

	memset(chunk, 'x', sizeof chunk - 1);
	respond = answer_stream;
	open_client(1);
	ask_for(&asked, get("/a"), &in_pieces);
	await_request();
	for (unsigned i = 1; i <= 40; i++) {
		script_chunk(last_peer, chunk);
		await_pieces(&asked, i);
	}
	ck_assert_uint_eq(asked.pieces.len, 40 * 50000);
	ck_assert_uint_eq(asked.n_done, 0);
	http_exchange_drop(&asked.exchange);
	forget(&asked);
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

	respond = answer_refusal;
	open_client(1);
	ask_for(&asked, get("/a"), &in_pieces);
	wait_done(&asked);
	ck_assert_int_eq(asked.status, 403);
	ck_assert_uint_eq(asked.n_pieces, 0);
	ck_assert(has_body(&asked, "hello!"));
	forget(&asked);
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
	http_client_free(&client);
}

static void ask_another(struct asked *asked)
{
	static struct asked other;

	(void)asked;
	forget(&other);
	if (client)
		ask_for(&other, get("/a"), &whole);
}

START_TEST(whatever_is_done_within_callbacks_is_legal)
{
	void (*const acts[])(struct asked *) = {drop_it, free_client, ask_another};
	struct asked asked = {.on_piece = acts[_i % 3]};
	struct asked done = {.on_done = acts[_i % 3]};

	respond = answer_stream;
	open_client(1);
	if (_i < 3) {
		ask_for(&asked, get("/a"), &in_pieces);
		await_request();
		script_chunk(last_peer, "one");
		script_chunk(last_peer, "two");
		await_pieces(&asked, acts[_i % 3] == ask_another ? 2 : 1);
		turns(10 * USEC_MS);
		ck_assert_uint_eq(asked.n_pieces, acts[_i % 3] == ask_another ? 2 : 1);
		ck_assert_uint_eq(asked.n_done, 0);
	} else {
		respond = answer_hello;
		ask_for(&done, get("/a"), &whole);
		wait_done(&done);
		turns(10 * USEC_MS);
	}
	forget(&asked);
	forget(&done);
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

	respond = answer_index;
	open_client(3);
	script_deaf(servers[0]);
	script_deaf(servers[1]);
	for (int i = 0; i < 2; i++) {
		ask(&asked, get("/a"));
		ck_assert(has_body(&asked, "2"));
		forget(&asked);
	}
	script_listen(servers[0]);
	script_deaf(servers[2]);
	script_reset_all(servers[2]);
	ask(&asked, get("/a"));
	ck_assert(has_body(&asked, "0"));
	forget(&asked);
}
END_TEST

START_TEST(when_none_can_be_reached_that_is_said_soon)
{
	struct asked asked = {0};
	usec_t began = clock_monotonic();

	respond = answer_index;
	open_client(3);
	for (int i = 0; i < 3; i++)
		script_deaf(servers[i]);
	ask(&asked, get("/a"));
	ck_assert_int_eq(asked.status, 0);
	ck_assert_msg(strstr(asked.error, "cannot connect") != NULL, "%s", asked.error);
	ck_assert_uint_lt(clock_monotonic() - began, 3 * USEC_S);
	forget(&asked);
}
END_TEST

START_TEST(a_server_that_is_unwell_is_not_asked_again)
{
	struct asked asked = {0};

	respond = answer_unwell_first;
	open_client(2);
	ask(&asked, get("/a"));
	ck_assert_int_eq(asked.status, 503);
	forget(&asked);
	ask(&asked, get("/a"));
	ck_assert(has_body(&asked, "well"));
	forget(&asked);
	http_client_turn(client);
	ask(&asked, get("/a"));
	ck_assert_int_eq(asked.status, 503);
	forget(&asked);
}
END_TEST

START_TEST(without_a_server_that_is_said)
{
	struct asked asked = {0};

	open_client(0);
	ask(&asked, get("/a"));
	ck_assert_ptr_nonnull(strstr(asked.error, "no server"));
	forget(&asked);
}
END_TEST

START_TEST(a_connection_that_was_closed_while_it_rested_fails_nobody)
{
	struct asked asked = {0};

	respond = answer_hello;
	open_client(1);
	for (int i = 0; i < 4; i++) {
		ask(&asked, get("/a"));
		ck_assert_int_eq(asked.status, 200);
		forget(&asked);
		if (i % 2)
			turns(5 * USEC_MS);
		script_reset_all(servers[0]);
		if (i == 3)
			turns(5 * USEC_MS);
	}
	ck_assert_uint_eq(n_requests[0], 4);
}
END_TEST

START_TEST(many_exchanges_share_few_connections)
{
	static struct asked asked[100];

	respond = answer_hello;
	open_client(1);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		ask_for(&asked[i], get("/a"), &whole);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		wait_done(&asked[i]);
		ck_assert_int_eq(asked[i].status, 200);
	}
	ck_assert_uint_le(script_open(servers[0]), 8);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		forget(&asked[i]);
}
END_TEST

START_TEST(streams_and_those_that_wait_hold_up_nobody)
{
	static struct asked waiting[20]; /* dropped with the client */
	struct asked asked = {0};
	struct http_request request = get("/a");

	request.waits = true;
	respond = answer_never;
	open_client(1);
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++)
		ask_for(&waiting[i], request, i % 2 ? &whole : &in_pieces);
	while (n_requests[0] < 20)
		loop_turn(loop, 10 * USEC_MS);
	respond = answer_hello;
	ask(&asked, get("/a"));
	ck_assert_int_eq(asked.status, 200);
	forget(&asked);
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
	struct http_request request = get("/path?query=%20x");
	char host[ADDRESS_TEXT_MAX + 16];

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	request.method = "PUT";
	request.headers = &header;
	request.n_headers = 1;
	request.body = SLICE_LIT("the body");
	respond = note_request;
	open_client(1);
	snprintf(host, sizeof host, "Host: %s\r\n", script_address(servers[0])->text);
	ask(&asked, request);
	ck_assert_int_eq(asked.status, 302);
	ck_assert(slice_starts(seen_head, SLICE_LIT("PUT /path?query=%20x HTTP/1.1\r\n")));
	ck_assert_ptr_nonnull(memmem(seen, seen_head.len, host, strlen(host)));
	ck_assert_ptr_nonnull(memmem(seen, seen_head.len, "X-Thing: value of it\r\n", 22));
	ck_assert(slice_eq_str(seen_body, "the body"));
	ck_assert_uint_eq(n_requests[0], 1);
	forget(&asked);
}
END_TEST

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

	return suite_run_between("http_client", tests, ARRAY_LEN(tests), begin, end);
}
