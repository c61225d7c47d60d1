/*
 * Instances of ours: registered, kept by beats, read back from the list of all instances. What is
 * read there tells nothing about who registered an instance, so nobody else's is ever seen here:
 * the same address in the same service and cluster is the same instance.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "registry/nacos_impl.h"
#include "registry/nacos_read.h"
#include "registry/record.h"

#define LOOK_EVERY (10 * USEC_S)
#define AWAKENING  (60 * USEC_S) /* at the latest; the login wakes it */

struct nacos_upkeep {
	struct upkeep upkeep;
	struct registry_client *client; /* borrowed */
	bool is_light;                  /* beats need not say all: the server has heard one */
};

static void put(struct upkeep *u);
static void look(struct upkeep *u);
static void take_away(struct upkeep *u);

static struct nacos_upkeep *nacos_of(struct upkeep *u)
{
	return container_of(u, struct nacos_upkeep, upkeep);
}

static void refused(struct nacos_upkeep *n, upkeep_fn next, const struct http_response *response)
{
	struct registry_client *client = n->client;
	struct err err = {0};

	http_place_refuse(response, &err);
	upkeep_failed(&n->upkeep, next, response->status, &err);
	nacos_heard_status(client, response->status);
}

static void step(struct nacos_upkeep *n, const char *method, struct text *target,
    void (*done)(void *arg, const struct http_response *response))
{
	upkeep_began(&n->upkeep, nacos_ask(n->client, method, target, done, n), NULL);
}

/* What names the instance in all requests but the first. */
static void write_instance(const struct nacos_upkeep *n, struct text *target)
{
	const struct registry_config *config = n->client->start->config;
	const struct registration_plan *plan = &n->upkeep.registration->plan;

	nacos_add(target, "?serviceName=", slice_str(nacos_group(config)));
	nacos_add(target, "%40%40", plan->service);
	nacos_add(target, "&groupName=", slice_str(nacos_group(config)));
	nacos_add(target, "&clusterName=", slice_str(nacos_cluster(config)));
	if (config->namespace && config->namespace[0])
		nacos_add(target, "&namespaceId=", slice_str(config->namespace));
	nacos_add(target, "&ip=", record_host(&plan->address));
	text_printf(target, "&port=%u&ephemeral=true", plan->address.port);
}

/* ---- beats ---- */

static void take_beat(struct nacos_upkeep *n, const struct nacos_beat *beat)
{
	usec_t every = n->client->start->config->beat;

	if (beat->every)
		every = usec_min(every, beat->every);
	n->is_light = beat->is_light;
	n->upkeep.beat_every = every;
	registry_alive(n->client->start->registry);
	if (!beat->is_known)
		upkeep_lost(&n->upkeep, "the registry does not know it");
}

static void beaten(void *arg, const struct http_response *response)
{
	struct nacos_upkeep *n = arg;
	struct nacos_beat beat;
	struct err err = {0};

	n->upkeep.beating = NULL;
	if (response->status == 0 || response->status >= 500) {
		upkeep_beat_in(&n->upkeep, UPKEEP_BEAT_RETRY);
		return;
	}
	nacos_heard_status(n->client, response->status);
	if (response->status == 200 && nacos_read_beat(response->body, &beat, &err) == 0)
		take_beat(n, &beat);
}

static void send_beat(struct upkeep *u)
{
	struct nacos_upkeep *n = nacos_of(u);
	struct text target = {0}, beat = {0};

	text_add_str(&target, "/instance/beat");
	write_instance(n, &target);
	if (!n->is_light) {
		nacos_write_beat(&u->registration->plan, n->client->start->config, &beat);
		nacos_add(&target, "&beat=", slice_of(beat.bytes, beat.len));
		text_fini(&beat);
	}
	upkeep_beats(u, nacos_ask(n->client, "PUT", &target, beaten, n));
}

/* ---- looking ---- */

static void judge(struct nacos_upkeep *n, const struct http_response *response)
{
	struct err why = {0};

	switch (nacos_find(response->body, &n->upkeep.registration->plan, &why)) {
	case NACOS_UNREADABLE:
		upkeep_failed(&n->upkeep, look, response->status, &why);
		return;
	case NACOS_MISSING:
	case NACOS_CHANGED:
		upkeep_lost(&n->upkeep, why.text);
		return;
	case NACOS_DISABLED:
		registration_is(n->upkeep.registration, REGISTRATION_LOST, why.text);
		upkeep_later(&n->upkeep, LOOK_EVERY, look);
		return;
	case NACOS_AS_WANTED:
		upkeep_present(&n->upkeep, LOOK_EVERY);
		return;
	}
}

static void looked(void *arg, const struct http_response *response)
{
	struct nacos_upkeep *n = arg;

	if (!upkeep_answered(&n->upkeep))
		return;
	if (response->status == 200)
		judge(n, response);
	else
		refused(n, look, response);
}

static void look(struct upkeep *u)
{
	struct nacos_upkeep *n = nacos_of(u);
	struct text target = {0};

	nacos_list_target(n->client, u->registration->plan.service, false, &target);
	u->looked_at = http_place_now(u->place);
	step(n, "GET", &target, looked);
}

/* ---- putting and removing ---- */

static void put_done(void *arg, const struct http_response *response)
{
	struct nacos_upkeep *n = arg;

	if (!upkeep_answered(&n->upkeep))
		return;
	if (response->status != 200) {
		refused(n, put, response);
		return;
	}
	send_beat(&n->upkeep);
	look(&n->upkeep);
}

static void put(struct upkeep *u)
{
	struct nacos_upkeep *n = nacos_of(u);
	struct text target = {0};

	if (!nacos_may_ask(n->client)) {
		upkeep_later(u, AWAKENING, put);
		return;
	}
	n->is_light = false;
	u->beat_every = n->client->start->config->beat;
	text_add_str(&target, "/instance?");
	record_write_nacos(&u->registration->plan, n->client->start->config, &target);
	upkeep_puts(u);
	step(n, "POST", &target, put_done);
}

static void removed(void *arg, const struct http_response *response)
{
	struct nacos_upkeep *n = arg;

	upkeep_answered(&n->upkeep);
	if (response->status == 200 || response->status == 404)
		upkeep_gone(&n->upkeep);
	else
		refused(n, take_away, response);
}

static void take_away(struct upkeep *u)
{
	struct nacos_upkeep *n = nacos_of(u);
	struct text target = {0};

	text_add_str(&target, "/instance");
	write_instance(n, &target);
	step(n, "DELETE", &target, removed);
}

static void upkeep_free(struct upkeep *u)
{
	free(nacos_of(u));
}

static const struct upkeep_kind nacos_instance = {
    .put = put,
    .look = look,
    .beat = send_beat,
    .remove = take_away,
    .free = upkeep_free,
};

void nacos_enroll(struct registry_client *client, struct registration *registration)
{
	struct nacos_upkeep *n;

	if (registration->client) {
		upkeep_change(registration->client);
		return;
	}
	n = mem_calloc(1, sizeof *n);
	n->client = client;
	upkeep_start(&n->upkeep, &nacos_instance, &client->place, registration, &client->enrolled);
}

void nacos_withdraw(struct registry_client *client, struct registration *registration)
{
	(void)client;
	upkeep_withdraw(registration->client);
}

void nacos_let_go(struct registry_client *client, struct registration *registration)
{
	(void)client;
	upkeep_let_go(registration->client);
}
