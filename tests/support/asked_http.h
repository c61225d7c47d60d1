/*
 * An HTTP client and the servers that it asks, scripts all of them, in one loop; and exchanges with
 * what became of them.
 */
#ifndef BRIDLE_TESTS_ASKED_HTTP_H
#define BRIDLE_TESTS_ASKED_HTTP_H

#include "base/text.h"
#include "net/http_client.h"
#include "net/loop.h"
#include "support/http_script.h"

#define ASKED_HTTP_PATIENCE (20 * USEC_S)

/* Of the test that runs: its functions are the callbacks of suite_run_between and of scripts. */
extern struct asked_http {
	struct loop *loop;
	struct http_client *client;
	struct script *servers[3];
	size_t n_servers;
	int descriptors_before;
	/* What a server does with a request: the same for all, told which it is. */
	void (*respond)(
	    size_t server, struct script_peer *peer, const struct script_request *request);
	struct script_peer *last_peer;
	unsigned n_requests[3];
} http;

void asked_http_begin(void);
void asked_http_end(void);
/* The client, over @n servers. */
void asked_http_open(size_t n);

/* To respond with: "hello" and the header X-Index: 42; nothing. */
void asked_http_hello(
    size_t server, struct script_peer *peer, const struct script_request *request);
void asked_http_never(
    size_t server, struct script_peer *peer, const struct script_request *request);

/* One exchange; all zero at first. */
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
extern const struct http_done asked_http_whole, asked_http_in_pieces;

struct http_request asked_http_get(const char *target);
void asked_http_start(
    struct asked *asked, struct http_request request, const struct http_done *done);
/* Turns the loop until it has ended, with an answer or without. */
void asked_http_wait(struct asked *asked);
/* Both. */
void asked_http_ask(struct asked *asked, struct http_request request);
void asked_http_await(void);
void asked_http_turn(usec_t time);
void asked_http_forget(struct asked *asked);
bool asked_http_has_body(const struct asked *asked, const char *body);

#endif
