#include "daemon/http_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/loop.h"

#define PATIENCE     (10 * USEC_S) /* for a request to come, and for a byte of its answer to go */
#define FIRST_ASKED  (1 * USEC_S)  /* by whoever connects to ask */
#define ROOM_MAX     (HTTP_HEAD_MAX + HTTP_BODY_MAX)
#define PAUSE_OUTPUT 1u /* conn_pause: its answers are not fetched */

struct http_server {
	struct loop *loop;         /* borrowed */
	struct listener *listener; /* owned; NULL: nothing more is accepted */
	const char *label;         /* borrowed */
	struct list conns;         /* who has been silent for longest first */
	unsigned n_conns, most_conns;
	bool makes_room; /* the silent give way to those who come */
	http_serve_fn serve;
	void *arg; /* borrowed */
};

/* A connection; it is in the server's list until it is given to the reaper. */
struct http_conn {
	struct list link;
	struct http_server *server; /* borrowed */
	struct conn *conn;          /* owned */
	struct timer patience;
	uint8_t *room; /* owned: bytes of a request that is not whole */
	size_t len;
	usec_t opened_at;
	bool has_asked;           /* a whole request */
	bool has_continued;       /* was told to send its body */
	bool has_ended;           /* the asker says nothing more */
	struct http_later *later; /* owned: the answer that is owed; NULL: none */
};

struct http_later {
	struct http_conn *conn; /* borrowed */
	void (*gone)(void *arg);
	void *arg; /* borrowed */
	bool shows_body, keeps_alive, knows_chunks;
	bool has_begun;
};

static void conn_freed(void *object)
{
	struct http_conn *c = object;

	free(c->room);
	free(c);
}

static void leave(struct http_conn *c)
{
	wheel_clear(&c->patience);
	list_remove(&c->link);
	c->server->n_conns--;
	loop_reap(c->server->loop, c, conn_freed);
}

static void drop(struct http_conn *c)
{
	struct http_later *later = c->later;

	c->later = NULL;
	conn_close(&c->conn);
	leave(c);
	if (later)
		later->gone(later->arg);
	free(later);
}

static void out_of_patience(struct timer *timer, usec_t now)
{
	struct http_conn *c = container_of(timer, struct http_conn, patience);
	usec_t stalled = conn_stalled_since(c->conn);

	/* An answer that is being fetched, however slowly, is left alone. */
	if (stalled != USEC_NONE && now < usec_after(stalled, PATIENCE))
		wheel_set(loop_wheel(c->server->loop), timer, usec_after(stalled, PATIENCE),
		    out_of_patience);
	else
		drop(c);
}

static void be_patient(struct http_conn *c)
{
	struct loop *loop = c->server->loop;

	wheel_set(
	    loop_wheel(loop), &c->patience, usec_after(loop_now(loop), PATIENCE), out_of_patience);
}

/* With @shows_body false its length is told, but not sent. Returns false when the connection is
 * gone. */
static bool send_reply(
    struct http_conn *c, const struct http_reply *reply, bool shows_body, bool keeps_alive)
{
	char head[1024];
	struct slice pieces[2];
	int n, error, failed;

	n = snprintf(head, sizeof head,
	    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\n%s%s%s%s%s\r\n",
	    reply->status, http_status_text(reply->status), reply->type, reply->len,
	    reply->allow ? "Allow: " : "", reply->allow ? reply->allow : "",
	    reply->allow ? "\r\n" : "", reply->headers ? reply->headers : "",
	    keeps_alive ? "" : "Connection: close\r\n");
	pieces[0] = slice_of(head, (size_t)n);
	pieces[1] = slice_of(reply->body, reply->len);
	failed = conn_write(c->conn, pieces, shows_body && reply->len ? 2 : 1, &error);
	free(reply->body);
	if (failed < 0) {
		drop(c);
		return false;
	}
	if (!keeps_alive) {
		conn_close_after_output(&c->conn, PATIENCE);
		leave(c);
		return false;
	}
	return true;
}

static void refuse(struct http_conn *c, int status)
{
	struct http_reply reply = {.status = status, .type = "application/json"};
	char body[128];

	snprintf(body, sizeof body, "{\"ok\":false,\"error\":\"%s\"}\n", http_status_text(status));
	reply.body = mem_strdup(body);
	reply.len = strlen(body);
	send_reply(c, &reply, true, false);
}

enum served { SERVED, SERVED_LATER, SERVED_LAST };

static enum served serve_one(struct http_conn *c, const struct http_request *request)
{
	struct http_reply reply = {.status = 500, .type = "application/json", .asker = c};
	bool shows_body = !slice_eq_str(request->method, "HEAD");

	list_remove(&c->link);
	list_push_back(&c->server->conns, &c->link);
	c->server->serve(c->server->arg, request, &reply);
	c->has_continued = false;
	c->has_asked = true;
	be_patient(c);
	if (c->later == NULL)
		return send_reply(c, &reply, shows_body, request->keeps_alive) ? SERVED
									       : SERVED_LAST;
	wheel_clear(&c->patience);
	c->later->shows_body = shows_body;
	c->later->keeps_alive = request->keeps_alive;
	c->later->knows_chunks = request->knows_chunks;
	return SERVED_LATER;
}

static bool tell_to_continue(struct http_conn *c)
{
	struct slice line = SLICE_LIT("HTTP/1.1 100 Continue\r\n\r\n");
	int error;

	c->has_continued = true;
	if (conn_write(c->conn, &line, 1, &error) == 0)
		return true;
	drop(c);
	return false;
}

static void keep_rest(struct http_conn *c, size_t used)
{
	if (used == 0)
		return;
	c->len -= used;
	memmove(c->room, c->room + used, c->len);
	if (c->len)
		return;
	free(c->room);
	c->room = NULL;
}

/* Answers every request that is whole, until the answers are not fetched. */
static void serve_all(struct http_conn *c)
{
	size_t done = 0;

	while (done < c->len) {
		struct http_request request;
		size_t used;
		int status;

		if (conn_pending(c->conn) > CONN_HIGH_WATER) {
			conn_pause(c->conn, PAUSE_OUTPUT);
			break;
		}
		switch (
		    http_parse(slice_of(c->room + done, c->len - done), &request, &used, &status)) {
		case HTTP_BAD:
			refuse(c, status);
			return;
		case HTTP_MORE:
			if (request.awaits_continue && !c->has_continued && !tell_to_continue(c))
				return;
			keep_rest(c, done);
			return;
		case HTTP_WHOLE:
			switch (serve_one(c, &request)) {
			case SERVED:
				done += used;
				break;
			case SERVED_LATER:
				keep_rest(c, done + used);
				return;
			case SERVED_LAST:
				return;
			}
		}
	}
	keep_rest(c, done);
}

static void input(void *arg, struct slice in)
{
	struct http_conn *c = arg;

	if (in.len > ROOM_MAX - c->len) {
		if (c->later)
			drop(c);
		else
			refuse(c, 413);
		return;
	}
	c->room = mem_realloc(c->room, c->len + in.len);
	memcpy(c->room + c->len, in.data, in.len);
	c->len += in.len;
	if (c->later == NULL)
		serve_all(c);
}

static void drained(void *arg)
{
	struct http_conn *c = arg;

	conn_resume(c->conn, PAUSE_OUTPUT);
	if (c->later == NULL)
		serve_all(c);
}

/* The asker has said all it wants to say; what it asked has been answered by now, or is owed. */
static void ended(void *arg)
{
	struct http_conn *c = arg;

	c->has_ended = true;
	if (c->later && c->later->has_begun) {
		drop(c); /* nobody reads on who has gone */
		return;
	}
	if (c->later)
		return;
	conn_close_after_output(&c->conn, PATIENCE);
	leave(c);
}

static void broken(void *arg, int error)
{
	(void)error;
	drop(arg);
}

static const struct conn_events events = {
    .input = input,
    .eof = ended,
    .closed = broken,
    .drained = drained,
};

/* --- answers that come later --- */

struct http_later *http_reply_later(struct http_reply *reply, void (*gone)(void *arg), void *arg)
{
	struct http_later *later = mem_calloc(1, sizeof *later);

	later->conn = reply->asker;
	later->gone = gone;
	later->arg = arg;
	later->conn->later = later;
	return later;
}

/* The connection is as before the request. */
static struct http_conn *take_over(struct http_later **later)
{
	struct http_conn *c = (*later)->conn;

	c->later = NULL;
	free(*later);
	*later = NULL;
	be_patient(c);
	return c;
}

void http_later_answer(struct http_later **later, struct http_reply *reply)
{
	bool shows_body = (*later)->shows_body, keeps_alive = (*later)->keeps_alive;
	struct http_conn *c = take_over(later);

	if (send_reply(c, reply, shows_body, keeps_alive && !c->has_ended))
		serve_all(c);
}

static void gone_by_now(struct timer *timer, usec_t now)
{
	(void)now;
	drop(container_of(timer, struct http_conn, patience));
}

/* What cannot be written any more is dropped by the timer: whoever writes is not to hear of it
 * inside. */
static bool put(struct http_later *later, const struct slice *pieces, int n)
{
	struct http_conn *c = later->conn;
	struct loop *loop = c->server->loop;
	int error;

	if (conn_write(c->conn, pieces, n, &error) == 0)
		return true;
	wheel_set(loop_wheel(loop), &c->patience, loop_now(loop), gone_by_now);
	return false;
}

void http_later_begin(struct http_later *later, int status, const char *type)
{
	struct slice piece;
	char head[256];
	int n;

	n = snprintf(head, sizeof head,
	    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%sCache-Control: no-store\r\n"
	    "Connection: close\r\n\r\n",
	    status, http_status_text(status), type,
	    later->knows_chunks ? "Transfer-Encoding: chunked\r\n" : "");
	later->has_begun = true;
	piece = slice_of(head, (size_t)n);
	put(later, &piece, 1);
}

bool http_later_write(struct http_later *later, struct slice bytes)
{
	struct slice pieces[3] = {SLICE_NONE, bytes, SLICE_LIT("\r\n")};
	char size[24];

	if (conn_pending(later->conn->conn) > HTTP_LATER_WAITS)
		return false;
	if (!later->shows_body || bytes.len == 0)
		return true;
	if (!later->knows_chunks)
		return put(later, &bytes, 1);
	pieces[0] = slice_of(size, (size_t)snprintf(size, sizeof size, "%zx\r\n", bytes.len));
	return put(later, pieces, 3);
}

void http_later_end(struct http_later **later)
{
	struct slice last = SLICE_LIT("0\r\n\r\n");
	bool is_chunked = (*later)->knows_chunks && (*later)->shows_body;
	struct http_conn *c = take_over(later);
	int error;

	if (is_chunked && conn_write(c->conn, &last, 1, &error) < 0) {
		drop(c);
		return;
	}
	conn_close_after_output(&c->conn, PATIENCE);
	leave(c);
}

/* Who waits for an answer stays. */
static bool make_room(struct http_server *s)
{
	list_each (link, &s->conns) {
		struct http_conn *c = list_item(link, struct http_conn, link);

		if (c->later == NULL && conn_pending(c->conn) == 0) {
			drop(c);
			return true;
		}
	}
	return false;
}

static void accepted(void *arg, int fd, const struct address *from)
{
	struct http_server *s = arg;
	struct http_conn *c;

	(void)from;
	if (s->n_conns >= s->most_conns && !(s->makes_room && make_room(s))) {
		close(fd);
		return;
	}
	c = mem_calloc(1, sizeof *c);
	c->server = s;
	c->opened_at = loop_now(s->loop);
	list_push_back(&s->conns, &c->link);
	s->n_conns++;
	be_patient(c);
	c->conn = conn_accepted(s->loop, fd, &events, c);
}

struct http_server *http_server_new(struct loop *loop, int fd, const struct address *bound,
    const char *label, http_serve_fn serve, void *arg)
{
	struct http_server *s = mem_calloc(1, sizeof *s);

	s->loop = loop;
	s->label = label;
	s->serve = serve;
	s->arg = arg;
	s->most_conns = HTTP_CONNECTIONS;
	list_init(&s->conns);
	s->listener = listener_start(loop, fd, bound, label, accepted, s);
	return s;
}

void http_server_allow(struct http_server *s, unsigned connections)
{
	s->most_conns = connections;
	s->makes_room = true;
}

bool http_asker(const struct http_reply *reply, struct conn_identity *who)
{
	return conn_identity(reply->asker->conn, who);
}

void http_server_leave(struct http_server *s)
{
	listener_stop(&s->listener, false);
}

bool http_server_is_asked_soon(struct http_server *s)
{
	usec_t now = loop_now(s->loop);

	listener_take_waiting(s->listener, false);
	list_each (link, &s->conns) {
		const struct http_conn *c = list_item(link, struct http_conn, link);

		if (!c->has_asked && now < usec_after(c->opened_at, FIRST_ASKED))
			return true;
	}
	return false;
}

void http_server_move(struct http_server *s, int fd, const struct address *bound)
{
	http_server_leave(s);
	s->listener = listener_start(s->loop, fd, bound, s->label, accepted, s);
}

void http_server_free(struct http_server **ps)
{
	struct http_server *s = *ps;

	if (s == NULL)
		return;
	*ps = NULL;
	listener_stop(&s->listener, true);
	list_each_safe (link, &s->conns)
		drop(list_item(link, struct http_conn, link));
	free(s);
}
