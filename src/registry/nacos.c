/*
 * Nacos, by version 1 of its HTTP API: sets of instances by polling, our own instances kept there
 * by beats, requests with a token where there is a user.
 *
 * Source: Nacos' open API, pages service discovery and auth.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "registry/nacos_impl.h"
#include "registry/nacos_read.h"
#include "registry/record.h"

static void close_client(struct registry_client **pc)
{
	struct registry_client *client = *pc;

	if (client == NULL)
		return;
	*pc = NULL;
	nacos_unwatch_all(client);
	upkeep_drop_all(&client->enrolled);
	nacos_login_end(client);
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
	else
		nacos_login_start(client);
	return client;
}

struct http_exchange *nacos_ask(struct registry_client *client, const char *method,
    struct text *target, void (*done)(void *arg, const struct http_response *response), void *arg)
{
	struct http_done on = {.done = done};
	struct http_request request = {
	    .method = method, .timeout = REGISTRY_TIMEOUT, .at_most = REGISTRY_ANSWER_MAX};
	struct http_exchange *exchange;
	struct text whole = {0};

	text_add_str(&whole, "/nacos/v1/ns");
	text_add(&whole, slice_of(target->bytes, target->len));
	if (client->login.token)
		nacos_add(&whole, "&accessToken=", slice_str(client->login.token));
	text_add(&whole, slice_of("", 1));
	request.target = whole.bytes;
	exchange = http_client_ask(client->place.http, &request, &on, arg);
	explicit_bzero(whole.bytes, whole.len);
	text_fini(&whole);
	text_fini(target);
	return exchange;
}

void nacos_add(struct text *target, const char *parameter, struct slice value)
{
	text_add_str(target, parameter);
	record_escape(value, target);
}

void nacos_list_target(const struct registry_client *client, struct slice service,
    bool only_healthy, struct text *target)
{
	const struct registry_config *config = client->start->config;
	const char *group = nacos_group(config);

	nacos_add(target, "/instance/list?serviceName=", slice_str(group));
	nacos_add(target, "%40%40", service);
	nacos_add(target, "&groupName=", slice_str(group));
	if (config->namespace && config->namespace[0])
		nacos_add(target, "&namespaceId=", slice_str(config->namespace));
	nacos_add(target, "&clusters=", slice_str(nacos_cluster(config)));
	text_add_str(target, only_healthy ? "&healthyOnly=true" : "&healthyOnly=false");
}

const struct registry_client_ops nacos_ops = {
    .open = open_client,
    .close = close_client,
    .watch = nacos_watch,
    .unwatch = nacos_unwatch,
    .enroll = nacos_enroll,
    .withdraw = nacos_withdraw,
    .let_go = nacos_let_go,
};
