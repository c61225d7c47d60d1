/*
 * The token that requests carry where the configuration has a user. It is asked for anew when nine
 * tenths of its time are over, and at once when a request is refused for it, but ever more seldom:
 * a user who may not do something gets no other token for that.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "registry/nacos_impl.h"
#include "registry/nacos_read.h"
#include "registry/record.h"

#define PASSWORD_MAX 4096u
#define TOKEN_MAX    8192u
#define CALM         (120 * USEC_S) /* without a refusal: the next may well be the token's fault */
#define REFUSED      403            /* as good as: we have no password to show */

static void log_in(struct registry_client *client);

static void log_in_again(struct timer *timer, usec_t now)
{
	(void)now;
	log_in(container_of(timer, struct registry_client, login.again));
}

static void log_in_after(struct registry_client *client, usec_t wait)
{
	http_place_timer(&client->place, &client->login.again, wait, log_in_again);
}

static void forget_token(struct registry_client *client)
{
	if (client->login.token) {
		explicit_bzero(client->login.token, strlen(client->login.token));
		free(client->login.token);
	}
	client->login.token = NULL;
}

static void fail(struct registry_client *client, int status, struct err *err)
{
	err_wrap(err, "login");
	registry_failed(client->start->registry, SLICE_NONE, err);
	log_in_after(client, http_place_pause(&client->place, &client->login.pause, status));
	if (client->login.token)
		return;
	list_each (link, &client->enrolled) {
		struct registration *r = list_item(link, struct upkeep, link)->registration;

		registration_is(r,
		    r->state == REGISTRATION_PENDING ? REGISTRATION_PENDING : REGISTRATION_LOST,
		    err->text);
	}
}

static void wake_all(struct registry_client *client)
{
	nacos_watch_wake_all(client);
	list_each (link, &client->enrolled)
		upkeep_wake(list_item(link, struct upkeep, link));
}

static int take_token(
    struct registry_client *client, const struct http_response *response, struct err *err)
{
	struct slice token = SLICE_NONE;
	struct arena arena;
	usec_t ttl = USEC_NONE;
	int result;

	if (response->status != 200)
		return http_place_refuse(response, err);
	arena_init(&arena, NULL, 0);
	result = nacos_read_login(response->body, &arena, &token, &ttl, err);
	if (result == 0 && token.len > TOKEN_MAX)
		result = err_set(err, 0, "a token of more than %u bytes", TOKEN_MAX);
	if (result == 0) {
		forget_token(client);
		client->login.token = slice_dup(token);
		log_in_after(client, ttl == USEC_NONE ? USEC_NONE : ttl - ttl / 10);
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
		fail(client, response->status, &err);
		return;
	}
	registry_pause_reset(&client->login.pause);
	wake_all(client);
}

static void send_login(struct registry_client *client, const char *password)
{
	static const struct http_header form = {
	    "Content-Type", "application/x-www-form-urlencoded"};
	struct http_request request = {
	    .method = "POST",
	    .target = "/nacos/v1/auth/login",
	    .headers = &form,
	    .n_headers = 1,
	    .timeout = REGISTRY_TIMEOUT,
	    .at_most = REGISTRY_ANSWER_MAX,
	};
	struct http_done done = {.done = logged_in};
	struct text body = {0};

	nacos_add(&body, "username=", slice_str(client->start->config->user));
	nacos_add(&body, "&password=", slice_str(password));
	request.body = slice_of(body.bytes, body.len);
	client->login.exchange = http_client_ask(client->place.http, &request, &done, client);
	explicit_bzero(body.bytes, body.len);
	text_fini(&body);
}

static void log_in(struct registry_client *client)
{
	char password[PASSWORD_MAX];
	struct err err = {0};

	if (secret_read(&client->start->config->password, password, sizeof password, &err) < 0) {
		fail(client, REFUSED, &err);
		return;
	}
	send_login(client, password);
	explicit_bzero(password, sizeof password);
}

void nacos_login_start(struct registry_client *client)
{
	if (client->start->config->user)
		log_in_after(client, 0);
}

void nacos_login_end(struct registry_client *client)
{
	wheel_clear(&client->login.again);
	if (client->login.exchange)
		http_exchange_drop(&client->login.exchange);
	forget_token(client);
}

bool nacos_may_ask(const struct registry_client *client)
{
	return client->start->config->user == NULL || client->login.token != NULL;
}

void nacos_heard_status(struct registry_client *client, int status)
{
	usec_t now = http_place_now(&client->place);
	bool is_calm = now - client->login.refused_at > CALM;

	if (status != 401 && status != 403)
		return;
	client->login.refused_at = now;
	if (is_calm)
		registry_pause_reset(&client->login.blame);
	if (client->login.token == NULL || now < client->login.not_before)
		return;
	client->login.not_before =
	    now + registry_pause_next(&client->login.blame, &client->place.rng);
	forget_token(client);
	if (client->login.exchange == NULL)
		log_in_after(client, 0);
}
