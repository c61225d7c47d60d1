/*
 * Consul, by its HTTP API: sets of instances that pass their checks (or rpcx's tree of keys) and
 * documents by blocking queries, registrations with the agent (or as keys under sessions).
 *
 * Source: Consul's HTTP API, pages features/blocking, health, kv, agent/service, agent/check,
 * session.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "registry/consul_impl.h"

#define TOKEN_MAX 4096u

static void close_client(struct registry_client **pc)
{
	struct registry_client *client = *pc;

	if (client == NULL)
		return;
	*pc = NULL;
	consul_unwatch_all(client);
	upkeep_drop_all(&client->enrolled);
	http_place_close(&client->place);
	free(client);
}

static struct registry_client *open_client(
    const struct registry_client_start *start, struct err *err)
{
	struct registry_client *client = mem_calloc(1, sizeof *client);

	client->start = start;
	list_init(&client->watches);
	list_init(&client->enrolled);
	if (http_place_open(&client->place, start, err) < 0)
		close_client(&client);
	return client;
}

struct http_exchange *consul_ask(
    struct registry_client *client, const struct consul_request *request, struct err *err)
{
	char token[TOKEN_MAX];
	struct http_header header = {"X-Consul-Token", token};
	struct http_done done = {.done = request->done};
	struct http_request ask = {
	    .method = request->method,
	    .headers = &header,
	    .body = request->body,
	    /* The agent adds up to a sixteenth to the wait. */
	    .timeout = request->wait + request->wait / 16 + REGISTRY_TIMEOUT,
	    .waits = request->wait > 0,
	    .at_most = CONSUL_ANSWER_MAX,
	};
	struct http_exchange *exchange;
	char *target;

	if (secret_read(&client->start->config->token, token, sizeof token, err) < 0) {
		err_wrap(err, "token");
		return NULL;
	}
	target = slice_dup(request->target);
	ask.target = target;
	ask.n_headers = token[0] != '\0';
	exchange = http_client_ask(client->place.http, &ask, &done, request->arg);
	free(target);
	explicit_bzero(token, sizeof token);
	return exchange;
}

void consul_add(struct text *target, const char *parameter, struct slice value)
{
	bool is_first = memchr(target->bytes, '?', target->len) == NULL;

	text_printf(target, "%c%s=", is_first ? '?' : '&', parameter);
	record_escape(value, target);
}

void consul_add_wait(struct text *target, uint64_t index, usec_t wait)
{
	struct text number = {0};

	text_add_u64(&number, index);
	consul_add(target, "index", slice_of(number.bytes, number.len));
	number.len = 0;
	text_printf(&number, "%us", (unsigned)(wait / USEC_S));
	consul_add(target, "wait", slice_of(number.bytes, number.len));
	text_fini(&number);
}

void consul_add_key(struct text *target, struct slice key)
{
	if (slice_starts(key, SLICE_LIT("/")))
		key = slice_from(key, 1);
	for (size_t i = 0; i < key.len; i++) {
		if (key.data[i] == '/')
			text_add_str(target, "/");
		else
			record_escape(slice_sub(key, i, 1), target);
	}
}

void consul_tree(const struct registry_config *config, struct slice service, struct text *prefix)
{
	const char *base = config->base ? config->base : "";

	base += base[0] == '/';
	text_add_str(prefix, base);
	if (base[0])
		text_add_str(prefix, "/");
	text_add(prefix, service);
	text_add_str(prefix, "/");
}

/* ---- steps of an upkeep ---- */

void consul_step(struct consul_upkeep *c, const char *method, struct text *target,
    struct slice body, usec_t wait, void (*done)(void *arg, const struct http_response *response))
{
	struct consul_request request = {
	    .method = method,
	    .target = slice_of(target->bytes, target->len),
	    .body = body,
	    .wait = wait,
	    .done = done,
	    .arg = c,
	};
	struct http_exchange *exchange;
	struct err err = {0};

	exchange = consul_ask(c->client, &request, &err);
	text_fini(target);
	upkeep_began(&c->upkeep, exchange, &err);
}

void consul_beat(struct consul_upkeep *c, struct text *target,
    void (*done)(void *arg, const struct http_response *response))
{
	struct consul_request request = {
	    .method = "PUT",
	    .target = slice_of(target->bytes, target->len),
	    .done = done,
	    .arg = c,
	};
	struct err err = {0};

	upkeep_beats(&c->upkeep, consul_ask(c->client, &request, &err));
	text_fini(target);
}

void consul_upkeep_free(struct upkeep *u)
{
	free(consul_of(u));
}

void consul_upkeep_forget(struct upkeep *u)
{
	struct consul_upkeep *c = consul_of(u);

	c->index = 0;
	c->hash[0] = '\0';
}

static void enroll(struct registry_client *client, struct registration *registration)
{
	bool is_rpcx = client->start->config->format == REGISTRY_FORMAT_RPCX;
	struct consul_upkeep *c;

	if (registration->client) {
		upkeep_change(registration->client);
		return;
	}
	c = mem_calloc(1, sizeof *c);
	c->client = client;
	upkeep_start(&c->upkeep, is_rpcx ? &consul_lock : &consul_agent, &client->place,
	    registration, &client->enrolled);
}

static void withdraw(struct registry_client *client, struct registration *registration)
{
	(void)client;
	upkeep_withdraw(registration->client);
}

static void let_go(struct registry_client *client, struct registration *registration)
{
	(void)client;
	upkeep_let_go(registration->client);
}

/* ---- what the registry calls ---- */

static void watch(struct registry_client *client, struct slice service)
{
	consul_watch(client, service, false);
}

static void unwatch(struct registry_client *client, struct slice service)
{
	consul_unwatch(client, service, false);
}

static void watch_document(struct registry_client *client, struct slice key)
{
	consul_watch(client, key, true);
}

static void unwatch_document(struct registry_client *client, struct slice key)
{
	consul_unwatch(client, key, true);
}

const struct registry_client_ops consul_ops = {
    .open = open_client,
    .close = close_client,
    .watch = watch,
    .unwatch = unwatch,
    .watch_document = watch_document,
    .unwatch_document = unwatch_document,
    .enroll = enroll,
    .withdraw = withdraw,
    .let_go = let_go,
};
