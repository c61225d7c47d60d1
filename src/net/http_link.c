/*
 * evhttp frees requests and connections within its callbacks, and crashes where somebody else
 * does. So nothing is freed in there: they note what happened, the end is told by work put off to
 * the end of the turn, and a link that is closed goes through the loop's reaper.
 *
 * evhttp collects a chunk until it is whole, whatever its announced length, and reads the line
 * that announces it to any length; and its bound of the body counts all chunks together, which
 * would end every long stream. So for streams that bound is off, and what lies unread is bounded
 * here instead.
 */
#include "net/http_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>

#include "base/mem.h"
#include "base/text.h"
#include "net/loop.h"
#include "net/tls.h"

#define HEAD_MAX 16384u
#define SLACK    65536u /* what may lie unread beside the body: the head, one read too much */
/* evhttp's own timers, which cannot be switched off, are out of the way: ours are on the wheel. */
#define NEVER_S (10 * 365 * 86400L)

struct http_link {
	struct loop *loop;
	bool is_tls;
	struct evhttp_connection *con; /* owned */
	struct bufferevent *stream;    /* the connection's */
	const struct http_link_events *events;
	void *arg;
	bool is_busy;   /* an exchange is under way */
	bool is_stream; /* its answer is raised in pieces */
	bool is_ending; /* it is over, and that is to be told */
	bool is_closed; /* by the other side, or past use */
	bool was_sent, was_heard;
	int status;
	size_t at_most;
	struct evhttp_request *answer; /* owned: the last whole one */
	struct text body;              /* of a stream whose status is not 2xx */
	char error[256];
	struct loop_work work;
};

static void fail(struct http_link *link, const char *why)
{
	if (link->is_busy && !link->is_ending)
		snprintf(link->error, sizeof link->error, "%s", why);
	link->is_closed = true;
	link->is_ending = link->is_busy;
	loop_defer(link->loop, &link->work);
}

static void forget_answer(struct http_link *link)
{
	if (link->answer)
		evhttp_request_free(link->answer);
	link->answer = NULL;
	link->body.len = 0;
}

/* ---- what the connection says ---- */

static void on_closed(struct evhttp_connection *con, void *arg)
{
	struct http_link *link = arg;

	(void)con;
	link->is_closed = true;
	if (!link->is_busy)
		loop_defer(link->loop, &link->work);
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *change, void *arg)
{
	struct http_link *link = arg;

	if (change->n_added)
		link->was_heard = true;
	if (evbuffer_get_length(input) > link->at_most + SLACK)
		fail(link, "the answer is too long");
}

static void on_output(struct evbuffer *output, const struct evbuffer_cb_info *change, void *arg)
{
	struct http_link *link = arg;

	(void)output;
	if (change->n_deleted)
		link->was_sent = true;
}

static bool is_good(int status)
{
	return status >= 200 && status < 300;
}

/* An interim answer has a head, too, and none of these statuses. */
static int on_head(struct evhttp_request *answer, void *arg)
{
	struct http_link *link = arg;

	link->status = evhttp_request_get_response_code(answer);
	if (is_good(link->status) && !link->is_ending)
		link->events->streaming(link->arg);
	return 0;
}

static void on_piece(struct evhttp_request *answer, void *arg)
{
	struct http_link *link = arg;
	struct evbuffer *buffer = evhttp_request_get_input_buffer(answer);
	size_t len = evbuffer_get_length(buffer);
	const unsigned char *bytes = evbuffer_pullup(buffer, -1);

	if (link->is_ending || bytes == NULL)
		return;
	if (is_good(link->status))
		link->events->piece(link->arg, slice_of(bytes, len));
	else if (len > link->at_most - link->body.len)
		fail(link, "the answer is too long");
	else
		text_add(&link->body, slice_of(bytes, len));
}

static const char *error_text(enum evhttp_request_error error)
{
	switch (error) {
	case EVREQ_HTTP_TIMEOUT:
		return "no answer in time";
	case EVREQ_HTTP_EOF:
		return "the answer broke off";
	case EVREQ_HTTP_INVALID_HEADER:
		return "the answer is no HTTP";
	case EVREQ_HTTP_BUFFER_ERROR:
		return "the connection broke off";
	case EVREQ_HTTP_REQUEST_CANCEL:
		return "given up";
	case EVREQ_HTTP_DATA_TOO_LONG:
		return "the answer is too long";
	}
	return "unknown reason";
}

static void on_error(enum evhttp_request_error error, void *arg)
{
	struct http_link *link = arg;
	char why[200];

	if (link->is_tls && tls_stream_reason(link->stream, why, sizeof why))
		fail(link, why);
	else
		fail(link, error_text(error));
}

/* What is over without an answer and without an error never had a connection. */
static void on_done(struct evhttp_request *answer, void *arg)
{
	struct http_link *link = arg;
	int status = answer ? evhttp_request_get_response_code(answer) : 0;
	char why[200];

	if (status < 200) {
		link->is_closed = true;
		if (link->is_tls && tls_stream_reason(link->stream, why, sizeof why))
			fail(link, why);
		else if (!link->is_ending && link->was_sent)
			fail(link,
			    status ? "an interim answer nobody asked for" : "the answer broke off");
		else if (!link->is_ending)
			fail(link, "cannot connect"); /* why has got lost */
		return;
	}
	evhttp_request_own(answer);
	link->answer = answer;
	link->status = status;
	link->is_ending = true;
	loop_defer(link->loop, &link->work);
}

/* ---- the end of a turn ---- */

static struct slice body_of(struct http_link *link)
{
	struct evbuffer *buffer;

	if (link->answer == NULL)
		return SLICE_NONE;
	if (link->is_stream)
		return slice_of(link->body.bytes, link->body.len);
	buffer = evhttp_request_get_input_buffer(link->answer);
	return slice_of(evbuffer_pullup(buffer, -1), evbuffer_get_length(buffer));
}

static void tell(struct loop_work *work)
{
	struct http_link *link = container_of(work, struct http_link, work);
	struct http_link_end end = {
	    .error = link->error,
	    .was_sent = link->was_sent,
	    .was_heard = link->was_heard,
	    .is_reusable = !link->is_closed,
	};

	if (link->events == NULL)
		return;
	if (!link->is_busy) {
		link->events->closed(link->arg);
		return;
	}
	if (!link->is_ending)
		return;
	/* An answer that was too long for us is none, even if it is whole by now. */
	if (link->error[0] == '\0' && link->answer) {
		end.status = link->status;
		end.body = body_of(link);
	}
	link->is_busy = link->is_ending = false;
	link->events->end(link->arg, &end);
}

/* ---- open, ask, close ---- */

static struct evhttp_connection *connection(
    struct http_link *link, const struct http_link_to *to, struct err *err)
{
	const struct sockaddr *sa = (const struct sockaddr *)&to->server->sa;
	const struct timeval never = {.tv_sec = NEVER_S};
	struct event_base *base = loop_base(to->loop);
	struct evhttp_connection *con;
	char host[INET6_ADDRSTRLEN] = "";

	if (sa->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, host,
		    sizeof host);
	else if (sa->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
		    host, sizeof host);
	if (host[0] == '\0') {
		err_set(err, EAFNOSUPPORT, "%s is no IP address", to->server->text);
		return NULL;
	}
	link->stream = to->tls ? tls_client_stream(to->tls, base, to->name, err)
			       : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (link->stream == NULL) {
		if (to->tls == NULL)
			err_set(err, ENOMEM, "no memory for a connection");
		return NULL;
	}
	con = evhttp_connection_base_bufferevent_new(
	    base, NULL, link->stream, host, to->server->port);
	if (con == NULL) {
		bufferevent_free(link->stream);
		err_set(err, ENOMEM, "no memory for a connection");
		return NULL;
	}
	evhttp_connection_set_timeout_tv(con, &never);
	evhttp_connection_set_max_headers_size(con, HEAD_MAX);
	return con;
}

struct http_link *http_link_open(const struct http_link_to *to, struct err *err)
{
	struct http_link *link = mem_calloc(1, sizeof *link);

	link->loop = to->loop;
	link->is_tls = to->tls != NULL;
	link->work.run = tell;
	link->con = connection(link, to, err);
	if (link->con == NULL) {
		free(link);
		return NULL;
	}
	evhttp_connection_set_closecb(link->con, on_closed, link);
	evbuffer_add_cb(bufferevent_get_input(link->stream), on_input, link);
	evbuffer_add_cb(bufferevent_get_output(link->stream), on_output, link);
	return link;
}

static void free_link(void *object)
{
	struct http_link *link = object;

	evhttp_connection_set_closecb(link->con, NULL, NULL);
	evbuffer_remove_cb(bufferevent_get_input(link->stream), on_input, link);
	evbuffer_remove_cb(bufferevent_get_output(link->stream), on_output, link);
	evhttp_connection_free(link->con);
	forget_answer(link);
	text_fini(&link->body);
	loop_undefer(&link->work);
	free(link);
}

static void hear_none(void *arg)
{
	(void)arg;
}

static void hear_no_piece(void *arg, struct slice bytes)
{
	(void)arg;
	(void)bytes;
}

static void hear_no_end(void *arg, const struct http_link_end *end)
{
	(void)arg;
	(void)end;
}

void http_link_close(struct http_link **at)
{
	static const struct http_link_events silence = {
	    hear_none, hear_no_piece, hear_no_end, hear_none};
	struct http_link *link = *at;

	*at = NULL;
	if (link == NULL)
		return;
	link->events = &silence;
	loop_reap(link->loop, link, free_link);
}

static enum evhttp_cmd_type method_of(const char *method)
{
	if (strcmp(method, "POST") == 0)
		return EVHTTP_REQ_POST;
	if (strcmp(method, "PUT") == 0)
		return EVHTTP_REQ_PUT;
	if (strcmp(method, "DELETE") == 0)
		return EVHTTP_REQ_DELETE;
	return EVHTTP_REQ_GET;
}

static struct evhttp_request *request_new(
    struct http_link *link, const struct http_request *request, const char *host)
{
	struct evhttp_request *out = evhttp_request_new(on_done, link);
	struct evkeyvalq *headers;

	if (out == NULL)
		return NULL;
	headers = evhttp_request_get_output_headers(out);
	evhttp_request_set_error_cb(out, on_error);
	if (link->is_stream) {
		evhttp_request_set_header_cb(out, on_head);
		evhttp_request_set_chunked_cb(out, on_piece);
	}
	evhttp_add_header(headers, "Host", host);
	for (size_t i = 0; i < request->n_headers; i++)
		evhttp_add_header(headers, request->headers[i].name, request->headers[i].value);
	if (request->body.len)
		evbuffer_add(
		    evhttp_request_get_output_buffer(out), request->body.data, request->body.len);
	return out;
}

void http_link_ask(struct http_link *link, const struct http_request *request, const char *host,
    const struct http_link_events *events, void *arg)
{
	struct evhttp_request *out;

	forget_answer(link);
	link->events = events;
	link->arg = arg;
	link->is_busy = true;
	link->is_stream = events->piece != NULL;
	link->is_ending = link->was_sent = link->was_heard = false;
	link->status = 0;
	link->error[0] = '\0';
	link->at_most = request->at_most;
	evhttp_connection_set_max_body_size(
	    link->con, link->is_stream ? -1 : (ev_ssize_t)request->at_most);
	out = request_new(link, request, host);
	/* A failure frees the request. */
	if (out == NULL ||
	    evhttp_make_request(link->con, out, method_of(request->method), request->target) < 0)
		fail(link, "cannot send the request");
}

void http_link_rest(struct http_link *link, const struct http_link_events *events, void *arg)
{
	link->events = events;
	link->arg = arg;
}

bool http_link_was_sent(const struct http_link *link)
{
	return link->was_sent;
}

const char *http_link_header(const struct http_link *link, const char *name)
{
	return link->answer
		   ? evhttp_find_header(evhttp_request_get_input_headers(link->answer), name)
		   : NULL;
}
