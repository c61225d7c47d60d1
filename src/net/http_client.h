/*
 * HTTP/1.1 asked from within a loop, for registries: exchanges with one of several servers, each
 * bounded in time and bytes, and long streams. libevent's client does the work. Addresses are
 * numbers; looking up names is the owner's business.
 */
#ifndef BRIDLE_NET_HTTP_CLIENT_H
#define BRIDLE_NET_HTTP_CLIENT_H

#include <stdbool.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"

struct http_client;
struct http_exchange;
struct loop;
struct tls_client;

struct http_client_start {
	struct loop *loop;
	struct tls_client *tls; /* NULL: plain; borrowed */
	const char *sni;        /* NULL: the host of the server */
	/* The @i-th server to try, false past the end: asked whenever a connection is made. Its
	 * text may be that of a name, by which it is then called and verified. */
	bool (*server)(void *arg, size_t i, struct address *server);
	void *arg;
};

struct http_client *http_client_new(const struct http_client_start *start);
/* Exchanges under way are dropped without a word. */
void http_client_free(struct http_client **client);
/* The next exchange goes to the next server: this one answers, but not well. */
void http_client_turn(struct http_client *client);

struct http_header {
	const char *name, *value;
};

struct http_request {
	const char *method; /* GET, POST, PUT, DELETE */
	const char *target; /* as it is sent */
	const struct http_header *headers;
	size_t n_headers;
	struct slice body;
	/* Of the whole; of a stream, until the head of its answer. */
	usec_t timeout;
	size_t at_most; /* bytes of the body; a stream: of one chunk */
	/* The server answers when something has happened: not one of those few that share
	 * connections. A stream never is. */
	bool waits;
};

struct http_response {
	int status; /* 0: there was none, @error says why */
	const char *error;
	struct slice body;                    /* empty at the end of a stream */
	const struct http_exchange *exchange; /* for http_response_header */
};

struct http_done {
	/* A stream's next bytes, as they came: a message may come in pieces. NULL: not a stream.
	 * Only for a status of 2xx; the body of another is that of the response. */
	void (*piece)(void *arg, struct slice bytes);
	/* The end, well or not: once, never inside http_client_ask; the exchange is gone
	 * afterwards. */
	void (*done)(void *arg, const struct http_response *response);
};

/* Copies what it is given. Exchanges of one client run side by side. */
struct http_exchange *http_client_ask(struct http_client *client,
    const struct http_request *request, const struct http_done *done, void *arg);
/* Drops it without a word. Legal within its own callbacks. NULLs the pointer. */
void http_exchange_drop(struct http_exchange **exchange);
/* NULL when there is no such header. */
const char *http_response_header(const struct http_response *response, const char *name);

#endif
