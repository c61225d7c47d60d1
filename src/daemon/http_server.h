/*
 * Serves HTTP requests on one bound address, one after another on each connection. Bounded in every
 * way: connections, size of heads and bodies, and the time a request may take to arrive and its
 * answer to be fetched. Requests are answered in the loop's thread: at once, later, or bit by bit.
 */
#ifndef BRIDLE_DAEMON_HTTP_SERVER_H
#define BRIDLE_DAEMON_HTTP_SERVER_H

#include "base/address.h"
#include "daemon/http.h"

struct conn_identity;
struct http_server;
struct loop;

#define HTTP_CONNECTIONS 64u /* of one server, or what it allows; more are closed at once */

struct http_reply {
	int status;
	const char *type;  /* content type, constant */
	const char *allow; /* methods, with status 405; constant */
	/* Further lines, each ended by CRLF; constant, or behind the body in its memory; NULL:
	 * none. */
	const char *headers;
	char *body; /* from malloc, moves to the server */
	size_t len;
	struct http_conn *asker; /* the server's own, for http_reply_later */
};

/* A HEAD is answered as the GET would be; that its body stays away is the server's care. */
typedef void (*http_serve_fn)(
    void *arg, const struct http_request *request, struct http_reply *reply);

/*
 * An answer that is not there yet, or that goes on. While it is owed, what else its asker sends
 * waits.
 */
struct http_later;

/*
 * From within a request: it is answered by http_later_answer, or begun and ended; what @reply says
 * does not count. Until then the asker may leave, or the server may be freed: @gone is called, the
 * answer is not to be touched any more. Not from within any function below.
 */
struct http_later *http_reply_later(struct http_reply *reply, void (*gone)(void *arg), void *arg);
/* The whole answer; *later is NULL. Not from within the request itself, nor are those below. */
void http_later_answer(struct http_later **later, struct http_reply *reply);
/* An answer that goes on until http_later_end; the connection ends with it. An asker that ends its
 * side has left. */
void http_later_begin(struct http_later *later, int status, const char *type);
/* False: more than HTTP_LATER_WAITS is not fetched yet, or the asker is about to be gone; nothing
 * of @bytes was taken. */
bool http_later_write(struct http_later *later, struct slice bytes);
void http_later_end(struct http_later **later);

#define HTTP_LATER_WAITS (256u * 1024)

/* Takes over @fd, which is bound and listening. @label is for log lines, borrowed, as is @arg. */
struct http_server *http_server_new(struct loop *loop, int fd, const struct address *bound,
    const char *label, http_serve_fn serve, void *arg);
/* So many connections at a time, instead of HTTP_CONNECTIONS, from whoever likes to: when there are
 * as many, the one that has been silent for longest gives way to the next. */
void http_server_allow(struct http_server *server, unsigned connections);
/* From within a request: who asks, over a unix socket; false elsewhere. */
bool http_asker(const struct http_reply *reply, struct conn_identity *who);
/* Accepts nothing more there; who is connected is served on. A unix socket's file stays. */
void http_server_leave(struct http_server *server);
/* Lets in who waits at the door; whether somebody came within the last second and has not asked
 * yet. */
bool http_server_is_asked_soon(struct http_server *server);
/* Accepts on @fd, which it takes over, in place of where it did. */
void http_server_move(struct http_server *server, int fd, const struct address *bound);
/* Closes all; removes a unix socket's file. Not from within a request. */
void http_server_free(struct http_server **server);

#endif
