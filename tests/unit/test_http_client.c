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
	ask_for(&asked, get("/a"), &whole);
	wait_done(&asked);
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
		ask_for(&asked, get("/a"), &whole);
		wait_done(&asked);
		ck_assert_int_eq(asked.status, 200);
		forget(&asked);
	}
	ck_assert_uint_eq(script_accepted(servers[0]), 1);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {an_answer_comes_with_its_headers, 1},
	    {short_exchanges_use_their_connection_again, 1},
	};

	return suite_run_between("http_client", tests, ARRAY_LEN(tests), begin, end);
}
