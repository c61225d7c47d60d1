/*
 * An exchange waits for a link, is under way, or is over:
 *
 *     WAITING --a link is free--> UNDER_WAY --answer, failure, timeout--> over: done, freed
 *        ^------ nothing was sent, or a link that had rested was gone ------'
 *
 * Only what no server can have seen, or what a link that had rested before swallowed without a
 * word, is asked again by itself; everything else is for the owner to decide.
 */
#include "net/http_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/http_link.h"
#include "net/loop.h"

#define LINKS_MAX    8u /* of exchanges that share */
#define RESTING_MAX  2u
#define SERVERS_MAX  64u
#define CONNECT_WAIT USEC_S /* for one of several servers */

struct http_client {
	struct http_client_start start;
	char *sni;             /* owned, or NULL */
	size_t at;             /* the server to ask */
	struct list waiting;   /* exchanges, in the order they were asked */
	struct list under_way; /* exchanges */
	struct list resting;   /* links with nothing to do, of struct rest */
	unsigned n_resting, n_sharing;
	struct loop_work work;
};

/* A link that is kept for the next exchange. */
struct rest {
	struct list link;
	struct http_client *client;
	struct http_link *connection; /* owned */
	size_t server;
};

struct http_exchange {
	struct list link;
	struct http_client *client; /* NULL: it is over or dropped */
	struct http_request request;
	struct http_header *headers; /* owned, with all texts behind it */
	struct http_done done;
	void *arg;
	struct http_link *connection; /* owned while it is under way */
	struct http_link *answer;     /* borrowed within done: where the headers are */
	bool is_reused;               /* the connection had rested before */
	size_t server, tried;
	usec_t until;
	struct timer timer;
	bool is_stillborn;            /* it could not even be begun */
	char asked[ADDRESS_TEXT_MAX]; /* the server */
	char error[ADDRESS_TEXT_MAX + 256];
};

/* ---- servers ---- */

static size_t count_servers(struct http_client *client)
{
	struct address server;
	size_t n = 0;

	while (n < SERVERS_MAX && client->start.server(client->start.arg, n, &server))
		n++;
	return n;
}

static bool choose_server(struct http_client *client, struct address *server)
{
	if (client->start.server(client->start.arg, client->at, server))
		return true;
	client->at = 0;
	return client->start.server(client->start.arg, 0, server);
}

static void close_rest(struct rest *rest)
{
	list_remove(&rest->link);
	rest->client->n_resting--;
	if (rest->connection)
		http_link_close(&rest->connection);
	free(rest);
}

static void turn(struct http_client *client)
{
	client->at = (client->at + 1) % SERVERS_MAX;
	list_each_safe (link, &client->resting)
		close_rest(list_item(link, struct rest, link));
}

void http_client_turn(struct http_client *client)
{
	turn(client);
}

/* ---- links at rest ---- */

static void rest_closed(void *arg)
{
	close_rest(arg);
}

static void rest(struct http_client *client, struct http_link *connection, size_t server)
{
	static const struct http_link_events events = {.closed = rest_closed};
	struct rest *rest;

	if (client->n_resting == RESTING_MAX || server != client->at) {
		http_link_close(&connection);
		return;
	}
	rest = mem_calloc(1, sizeof *rest);
	rest->client = client;
	rest->connection = connection;
	http_link_rest(connection, &events, rest);
	list_push_back(&client->resting, &rest->link);
	client->n_resting++;
}

static struct http_link *wake(struct http_client *client)
{
	struct rest *rest;
	struct http_link *connection;

	if (list_is_empty(&client->resting))
		return NULL;
	rest = list_item(client->resting.prev, struct rest, link);
	connection = rest->connection;
	rest->connection = NULL;
	close_rest(rest);
	return connection;
}

/* ---- exchanges ---- */

static bool is_sharing(const struct http_exchange *x)
{
	return x->done.piece == NULL && !x->request.waits;
}

static struct http_link *take_connection(struct http_exchange *x)
{
	struct http_link *connection = x->connection;

	x->connection = NULL;
	if (connection)
		x->client->n_sharing -= is_sharing(x);
	return connection;
}

static void free_exchange(void *object)
{
	struct http_exchange *x = object;

	free(x->headers);
	free(x);
}

/* Takes it out of everything; its memory stays until the end of the turn. */
static void retire(struct http_exchange *x)
{
	struct http_client *client = x->client;
	struct http_link *connection = take_connection(x);

	x->client = NULL;
	wheel_clear(&x->timer);
	list_remove(&x->link);
	http_link_close(&connection);
	if (!list_is_empty(&client->waiting))
		loop_defer(client->start.loop, &client->work);
	loop_reap(client->start.loop, x, free_exchange);
}

/* What the answer lies in stays until the end of the turn, whatever becomes of its connection. */
static void finish(struct http_exchange *x, const struct http_link_end *end)
{
	struct http_client *client = x->client;
	struct http_response response = {
	    .status = end->status, .error = end->error, .body = end->body, .exchange = x};

	if ((end->status == 0 || end->status >= 500) && x->server == client->at)
		turn(client);
	if (end->status == 0 && x->asked[0]) {
		snprintf(x->error, sizeof x->error, "%s: %s", x->asked, end->error);
		response.error = x->error;
	}
	x->answer = x->connection;
	if (end->is_reusable && end->status && is_sharing(x))
		rest(client, take_connection(x), x->server);
	retire(x);
	x->done.done(x->arg, &response);
	x->answer = NULL;
}

static void finish_failed(struct http_exchange *x, const char *why)
{
	const struct http_link_end end = {.error = why};

	finish(x, &end);
}

static void expire(struct timer *timer, usec_t now);

static void ask_again(struct http_exchange *x)
{
	struct http_client *client = x->client;
	struct http_link *connection = take_connection(x);

	http_link_close(&connection);
	list_remove(&x->link);
	list_push_front(&client->waiting, &x->link);
	wheel_set(loop_wheel(client->start.loop), &x->timer, x->until, expire);
	loop_defer(client->start.loop, &client->work);
}

/* Nobody has seen it yet: is there another server to ask? */
static bool try_next(struct http_exchange *x)
{
	if (x->tried >= count_servers(x->client))
		return false;
	if (x->server == x->client->at)
		turn(x->client);
	ask_again(x);
	return true;
}

static void expire(struct timer *timer, usec_t now)
{
	struct http_exchange *x = container_of(timer, struct http_exchange, timer);
	bool was_sent = x->connection && http_link_was_sent(x->connection);

	if (x->is_stillborn)
		finish_failed(x, x->error);
	else if (was_sent)
		finish_failed(x, "no answer in time");
	else if (now >= x->until || !try_next(x))
		finish_failed(x, "no connection in time");
}

static void link_ended(void *arg, const struct http_link_end *end)
{
	struct http_exchange *x = arg;
	struct http_client *client = x->client;

	if (end->status == 0 && x->is_reused && !end->was_heard) {
		while (!list_is_empty(&client->resting))
			close_rest(list_item(client->resting.next, struct rest, link));
		ask_again(x);
		return;
	}
	if (end->status == 0 && !end->was_sent && try_next(x))
		return;
	finish(x, end);
}

static void link_streaming(void *arg)
{
	struct http_exchange *x = arg;

	wheel_clear(&x->timer);
}

static void link_piece(void *arg, struct slice bytes)
{
	struct http_exchange *x = arg;

	x->done.piece(x->arg, bytes);
}

static void link_closed(void *arg)
{
	(void)arg;
}

/* ---- the next one that waits ---- */

/* The name that a server has: its text without the port and brackets. */
static void name_of(const struct address *server, char *room, size_t size)
{
	struct slice text = slice_str(server->text);
	size_t end = text.len;

	while (end && text.data[end - 1] != ':')
		end--;
	if (end)
		text = slice_first(text, end - 1);
	if (text.len > 1 && text.data[0] == '[')
		text = slice_sub(text, 1, text.len - 2);
	snprintf(room, size, "%.*s", (int)text.len, (const char *)text.data);
}

/* Returns -1 with @err set when there is nobody to ask. */
static int connect_to(struct http_exchange *x, struct address *server, struct err *err)
{
	struct http_client *client = x->client;
	char name[ADDRESS_TEXT_MAX];
	struct http_link_to to = {.loop = client->start.loop,
	    .tls = client->start.tls,
	    .name = client->sni ? client->sni : name,
	    .server = server};

	if (!choose_server(client, server))
		return err_set(err, 0, "no server's address is known");
	name_of(server, name, sizeof name);
	x->server = client->at;
	snprintf(x->asked, sizeof x->asked, "%s", server->text);
	x->connection = is_sharing(x) ? wake(client) : NULL;
	x->is_reused = x->connection != NULL;
	if (x->connection == NULL) {
		x->connection = http_link_open(&to, err);
		x->tried++;
	}
	if (x->connection == NULL)
		return -1;
	client->n_sharing += is_sharing(x);
	return 0;
}

static void begin(struct http_exchange *x)
{
	static const struct http_link_events events = {NULL, NULL, link_ended, link_closed};
	static const struct http_link_events stream_events = {
	    link_streaming, link_piece, link_ended, link_closed};
	struct http_client *client = x->client;
	struct loop *loop = client->start.loop;
	usec_t now = loop_now(loop), until = x->until;
	struct address server;
	struct err err;

	list_remove(&x->link);
	list_push_back(&client->under_way, &x->link);
	if (connect_to(x, &server, &err) < 0) {
		x->is_stillborn = true;
		x->asked[0] = '\0';
		snprintf(x->error, sizeof x->error, "%s", err.text);
		wheel_set(loop_wheel(loop), &x->timer, now, expire);
		return;
	}
	if (!x->is_reused && x->tried < count_servers(client))
		until = usec_min(until, usec_after(now, CONNECT_WAIT));
	wheel_set(loop_wheel(loop), &x->timer, until, expire);
	http_link_ask(
	    x->connection, &x->request, server.text, x->done.piece ? &stream_events : &events, x);
}

static void run_waiting(struct loop_work *work)
{
	struct http_client *client = container_of(work, struct http_client, work);

	list_each_safe (link, &client->waiting) {
		struct http_exchange *x = list_item(link, struct http_exchange, link);

		if (!is_sharing(x) || client->n_sharing < LINKS_MAX)
			begin(x);
	}
}

/* ---- for the owner ---- */

struct http_client *http_client_new(const struct http_client_start *start)
{
	struct http_client *client = mem_calloc(1, sizeof *client);

	client->start = *start;
	client->sni = start->sni ? mem_strdup(start->sni) : NULL;
	list_init(&client->waiting);
	list_init(&client->under_way);
	list_init(&client->resting);
	client->work.run = run_waiting;
	return client;
}

static void retire_all(struct list *exchanges)
{
	while (!list_is_empty(exchanges))
		retire(list_item(exchanges->next, struct http_exchange, link));
}

void http_client_free(struct http_client **at)
{
	struct http_client *client = *at;

	if (client == NULL)
		return;
	*at = NULL;
	retire_all(&client->under_way);
	retire_all(&client->waiting);
	while (!list_is_empty(&client->resting))
		close_rest(list_item(client->resting.next, struct rest, link));
	loop_undefer(&client->work);
	free(client->sni);
	free(client);
}

static const char *put_text(char **room, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = *room;

	memcpy(copy, text, size);
	*room += size;
	return copy;
}

/* One block: the headers' table, all texts, the body. */
static void copy_request(struct http_exchange *x, const struct http_request *request)
{
	size_t size = request->n_headers * sizeof *x->headers + strlen(request->method) +
		      strlen(request->target) + 2 + request->body.len;
	char *room;

	for (size_t i = 0; i < request->n_headers; i++)
		size += strlen(request->headers[i].name) + strlen(request->headers[i].value) + 2;
	x->request = *request;
	x->headers = mem_alloc(size);
	room = (char *)(x->headers + request->n_headers);
	for (size_t i = 0; i < request->n_headers; i++) {
		x->headers[i].name = put_text(&room, request->headers[i].name);
		x->headers[i].value = put_text(&room, request->headers[i].value);
	}
	x->request.headers = x->headers;
	x->request.method = put_text(&room, request->method);
	x->request.target = put_text(&room, request->target);
	if (request->body.len)
		memcpy(room, request->body.data, request->body.len);
	x->request.body = slice_of(room, request->body.len);
}

struct http_exchange *http_client_ask(struct http_client *client,
    const struct http_request *request, const struct http_done *done, void *arg)
{
	struct http_exchange *x = mem_calloc(1, sizeof *x);
	struct loop *loop = client->start.loop;

	copy_request(x, request);
	x->client = client;
	x->done = *done;
	x->arg = arg;
	x->until = usec_after(loop_now(loop), request->timeout);
	list_init(&x->link);
	list_push_back(&client->waiting, &x->link);
	wheel_set(loop_wheel(loop), &x->timer, x->until, expire);
	loop_defer(loop, &client->work);
	return x;
}

void http_exchange_drop(struct http_exchange **at)
{
	struct http_exchange *x = *at;

	*at = NULL;
	if (x && x->client)
		retire(x);
}

const char *http_response_header(const struct http_response *response, const char *name)
{
	return response->exchange->answer ? http_link_header(response->exchange->answer, name)
					  : NULL;
}
