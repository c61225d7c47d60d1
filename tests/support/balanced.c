#include "support/balanced.h"

#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "support/loaded.h"

void balanced_init(struct balanced *b)
{
	*b = (struct balanced){.tallies = tallies_new()};
	b->request.now = 100 * USEC_S;
	b->request.tried = b->tried;
	rng_init(&b->rng, 2024);
}

static struct endpoint *endpoints_of(const struct service_config *service)
{
	struct endpoint *list = mem_calloc(service->n_endpoints + 1, sizeof *list);

	for (size_t i = 0; i < service->n_endpoints; i++)
		list[i] = (struct endpoint){
		    .address = service->endpoints[i].address,
		    .weight = service->endpoints[i].weight,
		    .zone = service->endpoints[i].zone,
		    .tags = service->endpoints[i].tags,
		};
	return list;
}

static void publish(struct balanced *b, struct shared_config *shared)
{
	const struct config *config = shared->config;
	struct endpoint_set *sets = mem_calloc(config->n_services, sizeof *sets);
	struct snapshot *fresh;

	for (size_t i = 0; i < config->n_services; i++)
		sets[i] = (struct endpoint_set){endpoints_of(config->services[i]),
		    config->services[i]->n_endpoints, ENDPOINTS_FRESH};
	fresh = snapshot_new(shared, sets, b->tallies, b->snapshot, b->request.now);
	balance_state_fini(&b->state);
	snapshot_unref(&b->snapshot);
	b->snapshot = fresh;
	for (size_t i = 0; i < config->n_services; i++)
		free((void *)(uintptr_t)sets[i].list);
	free(sets);
}

void balanced_load(struct balanced *b, const char *services)
{
	char *text = mem_alloc(strlen(services) + 256);
	struct shared_config *shared;
	struct loaded loaded;

	sprintf(text,
	    "node: {service: me, zone: east, location: {latitude: 50, longitude: 8}}\n"
	    "listeners: [{address: 127.0.0.1:0}]\n%s",
	    services);
	loaded = loaded_from(text);
	loaded_config(&loaded);
	shared = shared_config_new(loaded.config);
	loaded.config = NULL; /* moved */
	publish(b, shared);
	shared_config_unref(&shared);
	loaded_free(&loaded);
	free(text);
	b->request.service = &b->snapshot->services[0];
	balanced_use(b, &b->request.service->groups[0]);
}

void balanced_use(struct balanced *b, const struct endpoint_group *group)
{
	balance_state_fini(&b->state);
	balance_state_init(&b->state, group, &b->rng);
	b->request.group = group;
}

void balanced_free(struct balanced *b)
{
	balance_state_fini(&b->state);
	snapshot_unref(&b->snapshot);
	tallies_free(&b->tallies);
}

const struct service *balanced_service(const struct balanced *b)
{
	return b->request.service;
}

void balanced_set_health(struct balanced *b, size_t endpoint, enum health health)
{
	endpoint_tally_set_health(b->request.service->endpoint_tallies[endpoint], health);
}

void balanced_eject(struct balanced *b, size_t endpoint)
{
	static const struct eject_policy at_once = {
	    .on = EJECT_ON_RESET, .consecutive = 1, .time = 10 * USEC_S, .at_most = 1};

	ck_assert(endpoint_tally_bad(
	    b->request.service->endpoint_tallies[endpoint], &at_once, b->request.now));
}

void balanced_try(struct balanced *b, size_t endpoint)
{
	ck_assert_uint_lt(b->request.n_tried, ARRAY_LEN(b->tried));
	b->tried[b->request.n_tried++] = endpoint;
}

size_t balanced_pick(struct balanced *b)
{
	return balance_pick(&b->state, &b->request, &b->rng);
}

size_t balanced_picks(struct balanced *b, size_t times)
{
	size_t nowhere = 0;

	memset(b->picked, 0, sizeof b->picked);
	for (size_t i = 0; i < times; i++) {
		size_t at = balanced_pick(b);

		if (at == LB_NONE)
			nowhere++;
		else if (at < ARRAY_LEN(b->picked))
			b->picked[at]++;
		else
			ck_abort_msg("endpoint %zu", at);
	}
	return nowhere;
}
