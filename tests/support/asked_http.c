#include "support/asked_http.h"

#include <signal.h>
#include <stdio.h>

#include <check.h>

#include "base/mem.h"
#include "support/descriptors.h"

struct asked_http http;

static void requested(void *arg, struct script_peer *peer, const struct script_request *request)
{
	size_t i = (size_t)(uintptr_t)arg;

	http.last_peer = peer;
	http.n_requests[i]++;
	http.respond(i, peer, request);
}

static bool server_of(void *arg, size_t i, struct address *server)
{
	(void)arg;
	if (i >= http.n_servers)
		return false;
	*server = *script_address(http.servers[i]);
	return true;
}

void asked_http_open(size_t n)
{
	struct http_client_start start = {.loop = http.loop, .server = server_of};

	http.n_servers = n;
	for (size_t i = 0; i < n; i++)
		http.servers[i] = script_new(http.loop, NULL, requested, (void *)(uintptr_t)i);
	http.client = http_client_new(&start);
}

void asked_http_begin(void)
{
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	http.last_peer = NULL;
	memset(http.n_requests, 0, sizeof http.n_requests);
	http.descriptors_before = descriptors_open();
	http.loop = loop_new(&err);
	ck_assert_ptr_nonnull(http.loop);
}

void asked_http_end(void)
{
	http_client_free(&http.client);
	for (size_t i = 0; i < ARRAY_LEN(http.servers); i++)
		script_free(&http.servers[i]);
	for (int i = 0; i < 5; i++)
		loop_turn(http.loop, 0);
	loop_free(&http.loop);
	ck_assert_int_eq(descriptors_open(), http.descriptors_before);
}

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

const struct http_done asked_http_whole = {NULL, got_done},
		       asked_http_in_pieces = {got_piece, got_done};

struct http_request asked_http_get(const char *target)
{
	return (struct http_request){
	    .method = "GET", .target = target, .timeout = 5 * USEC_S, .at_most = 100000};
}

void asked_http_start(
    struct asked *asked, struct http_request request, const struct http_done *done)
{
	asked->exchange = http_client_ask(http.client, &request, done, asked);
	ck_assert_uint_eq(asked->n_done, 0);
}

void asked_http_wait(struct asked *asked)
{
	usec_t until = clock_monotonic() + ASKED_HTTP_PATIENCE;

	while (asked->n_done == 0) {
		ck_assert_msg(clock_monotonic() < until, "no end in time");
		loop_turn(http.loop, 10 * USEC_MS);
	}
	ck_assert_uint_eq(asked->n_done, 1);
}

void asked_http_ask(struct asked *asked, struct http_request request)
{
	asked_http_start(asked, request, &asked_http_whole);
	asked_http_wait(asked);
}

void asked_http_await(void)
{
	usec_t until = clock_monotonic() + ASKED_HTTP_PATIENCE;

	while (http.last_peer == NULL) {
		ck_assert_msg(clock_monotonic() < until, "no request in time");
		loop_turn(http.loop, 10 * USEC_MS);
	}
}

void asked_http_turn(usec_t time)
{
	usec_t until = clock_monotonic() + time;

	while (clock_monotonic() < until)
		loop_turn(http.loop, USEC_MS);
}

void asked_http_forget(struct asked *asked)
{
	text_fini(&asked->pieces);
	text_fini(&asked->body);
	*asked = (struct asked){0};
}

bool asked_http_has_body(const struct asked *asked, const char *body)
{
	return slice_eq_str(slice_of(asked->body.bytes, asked->body.len), body);
}

void asked_http_hello(size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)server;
	(void)request;
	script_send_text(peer, "HTTP/1.1 200 OK\r\nX-Index: 42\r\nContent-Length: 5\r\n\r\nhello");
}

void asked_http_never(size_t server, struct script_peer *peer, const struct script_request *request)
{
	(void)server;
	(void)peer;
	(void)request;
}
