/*
 * Serves HTTP requests on one bound address, one after another on each connection. Bounded in every
 * way: connections, size of heads and bodies, and the time a request may take to arrive and its
 * answer to be fetched. Requests are answered at once, in the loop's thread.
 */
#ifndef BRIDLE_DAEMON_HTTP_SERVER_H
#define BRIDLE_DAEMON_HTTP_SERVER_H

#include "base/address.h"
#include "daemon/http.h"

struct http_server;
struct loop;

#define HTTP_CONNECTIONS 64u /* of one server; more are closed at once */

struct http_reply {
	int status;
	const char *type;  /* content type, constant */
	const char *allow; /* methods, with status 405; constant */
	char *body;        /* from malloc, moves to the server */
	size_t len;
};

/* A HEAD is answered as the GET would be; that its body stays away is the server's care. */
typedef void (*http_serve_fn)(
    void *arg, const struct http_request *request, struct http_reply *reply);

/* Takes over @fd, which is bound and listening. @label is for log lines, borrowed, as is @arg. */
struct http_server *http_server_new(struct loop *loop, int fd, const struct address *bound,
    const char *label, http_serve_fn serve, void *arg);
/* Closes all; removes a unix socket's file. Not from within a request. */
void http_server_free(struct http_server **server);

#endif
