/* The sets of the services that are followed, asked for one by one every `refresh`. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "registry/nacos_impl.h"
#include "registry/nacos_read.h"

struct nacos_watch {
	struct list link; /* the client's */
	struct registry_client *client;
	struct http_exchange *exchange;
	struct timer again;
	struct registry_pause pause;
	usec_t asked_at;
	char name[];
};

static void ask(struct nacos_watch *w);

static void ask_again(struct timer *timer, usec_t now)
{
	(void)now;
	ask(container_of(timer, struct nacos_watch, again));
}

static void ask_in(struct nacos_watch *w, usec_t wait)
{
	http_place_timer(&w->client->place, &w->again, wait, ask_again);
}

static int take(struct nacos_watch *w, const struct http_response *response, struct err *err)
{
	struct gathering set;
	int result;

	if (response->status != 200)
		return http_place_refuse(response, err);
	gathering_init(&set);
	result = nacos_read_list(response->body, &set, err);
	if (result == 0)
		gathering_tell(&set, w->client->start->registry, slice_str(w->name), "");
	gathering_fini(&set);
	return result;
}

static void answered(void *arg, const struct http_response *response)
{
	struct nacos_watch *w = arg;
	usec_t took = http_place_now(&w->client->place) - w->asked_at;
	usec_t refresh = w->client->start->config->refresh;
	struct err err = {0};

	w->exchange = NULL;
	if (take(w, response, &err) == 0) {
		registry_pause_reset(&w->pause);
		ask_in(w, took < refresh ? refresh - took : 0);
		return;
	}
	registry_failed(w->client->start->registry, slice_str(w->name), &err);
	ask_in(w, http_place_pause(&w->client->place, &w->pause, response->status));
	nacos_heard_status(w->client, response->status);
}

static void ask(struct nacos_watch *w)
{
	struct text target = {0};

	wheel_clear(&w->again);
	if (w->exchange || !nacos_may_ask(w->client))
		return;
	nacos_list_target(w->client, slice_str(w->name), true, &target);
	w->asked_at = http_place_now(&w->client->place);
	w->exchange = nacos_ask(w->client, "GET", &target, answered, w);
}

void nacos_watch(struct registry_client *client, struct slice service)
{
	struct nacos_watch *w = mem_calloc(1, sizeof *w + service.len + 1);

	w->client = client;
	memcpy(w->name, service.data, service.len);
	list_push_back(&client->watches, &w->link);
	ask(w);
}

static void drop(struct nacos_watch *w)
{
	wheel_clear(&w->again);
	if (w->exchange)
		http_exchange_drop(&w->exchange);
	list_remove(&w->link);
	free(w);
}

void nacos_unwatch(struct registry_client *client, struct slice service)
{
	list_each_safe (link, &client->watches) {
		struct nacos_watch *w = list_item(link, struct nacos_watch, link);

		if (slice_eq_str(service, w->name))
			drop(w);
	}
}

void nacos_unwatch_all(struct registry_client *client)
{
	list_each_safe (link, &client->watches)
		drop(list_item(link, struct nacos_watch, link));
}

void nacos_watch_wake_all(struct registry_client *client)
{
	list_each (link, &client->watches)
		ask(list_item(link, struct nacos_watch, link));
}
