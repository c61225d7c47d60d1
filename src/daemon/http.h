/*
 * Requests of HTTP/1.1 as far as an admin door needs them: a strict reader of request heads with a
 * body of known length. Pure; sockets are http_server's. Source: RFC 9112.
 */
#ifndef BRIDLE_DAEMON_HTTP_H
#define BRIDLE_DAEMON_HTTP_H

#include "base/slice.h"

#define HTTP_HEAD_MAX (8u * 1024)
#define HTTP_BODY_MAX (64u * 1024)

/* Views into the bytes that were parsed; the path begins with a slash. */
struct http_request {
	struct slice method, path, query, body;
	bool keeps_alive;
	bool knows_chunks;    /* HTTP/1.1 */
	bool awaits_continue; /* sends its body only once it has been told to */
};

enum http_result {
	HTTP_WHOLE,
	HTTP_MORE, /* awaits_continue is valid */
	HTTP_BAD,
};

/* *used gets the length of a whole request, *status the answer to a bad one. */
enum http_result http_parse(
    struct slice in, struct http_request *request, size_t *used, int *status);
/* "Not Found" */
const char *http_status_text(int status);
/* The value of a name in a query string, as it stands there; nothing when it is not there. */
struct slice http_query_value(struct slice query, const char *name);

#endif
