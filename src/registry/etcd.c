/*
 * etcd, by the JSON gateway of its third API: listings, watches as long streams, leases kept
 * alive by single requests.
 *
 * Source: etcd's api/etcdserverpb/rpc.proto with its HTTP annotations, and the page on the
 * gateway.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/mem.h"
#include "registry/etcd_impl.h"
#include "registry/json.h"

static void close_client(struct registry_client **at)
{
	struct registry_client *client = *at;

	if (client == NULL)
		return;
	*at = NULL;
	etcd_unfollow_all(client);
	upkeep_drop_all(&client->enrolled);
	etcd_login_end(client);
	http_place_close(&client->place);
	free(client);
}

static struct registry_client *open_client(
    const struct registry_client_start *start, struct err *err)
{
	struct registry_client *client = mem_calloc(1, sizeof *client);

	client->start = start;
	list_init(&client->follows);
	list_init(&client->watches);
	list_init(&client->enrolled);
	if (http_place_open(&client->place, start, err) < 0)
		close_client(&client);
	else
		etcd_login_start(client);
	return client;
}

/* ---- keys ---- */

struct slice etcd_range_end(struct slice start)
{
	char *end = slice_dup(start);

	/* Every range here ends with a slash. */
	end[start.len - 1]++;
	return slice_of(end, start.len);
}

struct slice etcd_service_start(const struct registry_client *client, struct slice service)
{
	const char *prefix = client->start->config->prefix;
	struct text key = {0};

	text_add_str(&key, prefix ? prefix : "");
	text_add_str(&key, "/");
	text_add(&key, service);
	text_add_str(&key, "/");
	return slice_of(key.bytes, key.len);
}

/* ---- asking ---- */

void etcd_add_text(struct text *body, const char *text)
{
	text_add_str(body, "\"");
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == '"' || c == '\\')
			text_printf(body, "\\u%04x", c);
		else
			text_add(body, slice_of(text, 1));
	}
	text_add_str(body, "\"");
}

void etcd_add_bytes(struct text *body, const char *name, struct slice bytes)
{
	struct arena arena;
	struct slice coded;

	arena_init(&arena, NULL, 0);
	coded = base64_encode(bytes, &arena);
	text_printf(body, "\"%s\":\"", name);
	text_add(body, coded);
	text_add_str(body, "\"");
	arena_fini(&arena);
}

void etcd_add_range(struct text *body, struct slice start, struct slice end)
{
	etcd_add_bytes(body, "key", start);
	if (end.len) {
		text_add_str(body, ",");
		etcd_add_bytes(body, "range_end", end);
	}
}

struct http_exchange *etcd_ask(struct registry_client *client, const char *path, struct text *body,
    etcd_done_fn done, void *arg, struct err *err)
{
	const struct http_done on = {.done = done};
	struct http_header headers[2] = {{"Content-Type", "application/json"}};
	struct http_request request = {
	    .method = "POST",
	    .target = path,
	    .headers = headers,
	    .n_headers = 1,
	    .body = slice_of(body->bytes, body->len),
	    .timeout = REGISTRY_TIMEOUT,
	    .at_most = REGISTRY_ANSWER_MAX,
	};
	struct http_exchange *exchange = NULL;

	if (client->login.token)
		headers[request.n_headers++] =
		    (struct http_header){"Authorization", client->login.token};
	if (etcd_may_ask(client))
		exchange = http_client_ask(client->place.http, &request, &on, arg);
	else
		err_set(err, 0, "%s",
		    client->login.error[0] ? client->login.error : "not logged in yet");
	text_fini(body);
	return exchange;
}

int etcd_refuse(
    struct registry_client *client, const struct http_response *response, struct err *err)
{
	char why[200];

	if (response->status == 0)
		return http_place_refuse(response, err);
	etcd_read_error(response->body, why, sizeof why);
	if (why[0] == '\0')
		http_place_refuse(response, err);
	else
		err_set(err, 0, "it answers %d: %s", response->status, why);
	/* The last is what they say who have begun to ask for tokens. */
	if (response->status == ETCD_REFUSED || strstr(why, "revision of auth store is old") ||
	    strstr(why, "user name is empty"))
		etcd_login_again(client);
	return -1;
}

const struct registry_client_ops etcd_ops = {
    .open = open_client,
    .close = close_client,
    .watch = etcd_follow_service,
    .unwatch = etcd_unfollow_service,
    .watch_document = etcd_follow_document,
    .unwatch_document = etcd_unfollow_document,
    .enroll = etcd_enroll,
    .withdraw = etcd_withdraw,
    .let_go = etcd_let_go,
};
