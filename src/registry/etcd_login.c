/*
 * The token that requests carry where the configuration has a user: asked for at the begin, and
 * again when one is refused. A password that was refused is not shown again but after ever longer
 * pauses, since each time costs the server much; another one in its file is tried soon.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/etcd_impl.h"

#define PASSWORD_MAX 4096u
#define TOKEN_MAX    8192u
#define LOOK_EVERY   (2 * USEC_S)

static void log_in(struct registry_client *client);

static void run_again(struct timer *timer, usec_t now)
{
	(void)now;
	log_in(container_of(timer, struct registry_client, login.again));
}

static void log_in_after(struct registry_client *client, usec_t wait)
{
	http_place_timer(&client->place, &client->login.again, wait, run_again);
}

static void forget_token(struct registry_client *client)
{
	if (client->login.token) {
		explicit_bzero(client->login.token, strlen(client->login.token));
		free(client->login.token);
	}
	client->login.token = NULL;
}

static void fail(struct registry_client *client, struct err *err)
{
	err_wrap(err, "login");
	snprintf(client->login.error, sizeof client->login.error, "%.250s", err->text);
	registry_failed(client->start->registry, SLICE_NONE, err);
	list_each (link, &client->enrolled) {
		struct registration *r = list_item(link, struct upkeep, link)->registration;

		registration_is(r,
		    r->state == REGISTRATION_PENDING ? REGISTRATION_PENDING : REGISTRATION_LOST,
		    err->text);
	}
}

static void refused(struct registry_client *client, int status, struct err *err)
{
	usec_t pause = http_place_pause(&client->place, &client->login.pause, status);

	fail(client, err);
	if (status == 0 || status >= 500)
		client->login.refused = 0;
	client->login.not_before = http_place_now(&client->place) + pause;
	log_in_after(client, usec_min(pause, LOOK_EVERY));
}

static int take_token(
    struct registry_client *client, const struct http_response *response, struct err *err)
{
	struct slice token = SLICE_NONE;
	struct arena arena;
	int result;

	if (response->status != 200) {
		char why[200];

		etcd_read_error(response->body, why, sizeof why);
		client->login.is_open = strstr(why, "authentication is not enabled") != NULL;
		if (client->login.is_open)
			return 0;
		return response->status && why[0]
			   ? err_set(err, 0, "it answers %d: %s", response->status, why)
			   : http_place_refuse(response, err);
	}
	arena_init(&arena, NULL, 0);
	result = etcd_read_token(response->body, &arena, &token, err);
	if (result == 0 && token.len > TOKEN_MAX)
		result = err_set(err, 0, "a token of more than %u bytes", TOKEN_MAX);
	if (result == 0) {
		forget_token(client);
		client->login.token = slice_dup(token);
	}
	arena_fini(&arena);
	return result;
}

static void logged_in(void *arg, const struct http_response *response)
{
	struct registry_client *client = arg;
	struct err err = {0};

	client->login.exchange = NULL;
	if (take_token(client, response, &err) < 0) {
		refused(client, response->status, &err);
		return;
	}
	client->login.refused = 0;
	client->login.error[0] = '\0';
	etcd_follow_wake_all(client);
	list_each (link, &client->enrolled)
		upkeep_wake(list_item(link, struct upkeep, link));
}

static void send_login(struct registry_client *client, const char *password)
{
	static const struct http_header form = {"Content-Type", "application/json"};
	const struct http_done done = {.done = logged_in};
	struct http_request request = {
	    .method = "POST",
	    .target = "/v3/auth/authenticate",
	    .headers = &form,
	    .n_headers = 1,
	    .timeout = REGISTRY_TIMEOUT,
	    .at_most = REGISTRY_ANSWER_MAX,
	};
	struct text body = {0};

	text_add_str(&body, "{\"name\":");
	etcd_add_text(&body, client->start->config->user);
	text_add_str(&body, ",\"password\":");
	etcd_add_text(&body, password);
	text_add_str(&body, "}");
	request.body = slice_of(body.bytes, body.len);
	client->login.exchange = http_client_ask(client->place.http, &request, &done, client);
	explicit_bzero(body.bytes, body.len);
	text_fini(&body);
}

static void log_in(struct registry_client *client)
{
	char password[PASSWORD_MAX];
	struct err err = {0};
	uint64_t hash;

	if (client->login.exchange)
		return;
	if (secret_read(&client->start->config->password, password, sizeof password, &err) < 0) {
		fail(client, &err);
		log_in_after(client, LOOK_EVERY);
		return;
	}
	hash = slice_hash(slice_str(password), client->start->place->seed) | 1;
	if (hash == client->login.refused &&
	    http_place_now(&client->place) < client->login.not_before) {
		log_in_after(client, LOOK_EVERY);
	} else {
		if (hash != client->login.refused)
			registry_pause_reset(&client->login.pause);
		client->login.refused = hash;
		send_login(client, password);
	}
	explicit_bzero(password, sizeof password);
}

void etcd_login_start(struct registry_client *client)
{
	if (client->start->config->user)
		log_in_after(client, 0);
}

void etcd_login_end(struct registry_client *client)
{
	wheel_clear(&client->login.again);
	if (client->login.exchange)
		http_exchange_drop(&client->login.exchange);
	forget_token(client);
}

bool etcd_may_ask(const struct registry_client *client)
{
	return client->start->config->user == NULL || client->login.token || client->login.is_open;
}

/* Several exchanges may be refused for the same token, some of them late: with none there is
 * nothing to do, and a new one is not asked for more often than every two seconds. */
void etcd_login_again(struct registry_client *client)
{
	usec_t now = http_place_now(&client->place);

	if (client->start->config->user == NULL || !etcd_may_ask(client))
		return;
	forget_token(client);
	client->login.is_open = false;
	log_in_after(client, now < client->login.renewed_at + LOOK_EVERY ? LOOK_EVERY : 0);
	client->login.renewed_at = now;
}
