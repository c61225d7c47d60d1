#include "model/snapshot.h"

#include <stdlib.h>

#include "base/mem.h"
#include "model/balance.h"
#include "model/guards.h"
#include "model/route.h"

const char *endpoint_state_name(enum endpoint_state state)
{
	switch (state) {
	case ENDPOINTS_UNKNOWN:
		return "unknown";
	case ENDPOINTS_FRESH:
		return "fresh";
	case ENDPOINTS_STALE:
		return "stale";
	case ENDPOINTS_EMPTY:
		return "empty";
	}
	return "unknown";
}

struct shared_config *shared_config_new(struct config *moved)
{
	struct shared_config *shared = mem_alloc(sizeof *shared);

	ref_init(&shared->ref);
	shared->config = moved;
	return shared;
}

struct shared_config *shared_config_ref(struct shared_config *shared)
{
	ref_take(&shared->ref);
	return shared;
}

void shared_config_unref(struct shared_config **shared)
{
	struct shared_config *s = *shared;

	*shared = NULL;
	if (s && ref_drop(&s->ref)) {
		config_free(&s->config);
		free(s);
	}
}

static void copy_endpoints(struct snapshot *s, struct service *service,
    const struct endpoint_set *set, struct endpoint *list)
{
	for (size_t i = 0; i < set->n; i++) {
		list[i] = set->list[i];
		list[i].tags = config_map_copy(&s->arena, &set->list[i].tags);
		list[i].zone =
		    set->list[i].zone ? arena_str(&s->arena, slice_str(set->list[i].zone)) : NULL;
	}
	service->is_local = set->n > 0;
	for (size_t i = 0; i < set->n; i++)
		service->is_local &= address_is_local(&list[i].address);
	service->endpoints = list;
	service->n_endpoints = set->n;
	service->state = set->state;
}

static void find_limits(struct snapshot *s)
{
	for (size_t i = 0; i < s->config->n_listeners; i++) {
		const struct listener_config *l = &s->config->listeners[i];

		s->max_message = l->max_message > s->max_message ? l->max_message : s->max_message;
		s->max_header = l->max_header > s->max_header ? l->max_header : s->max_header;
	}
}

static void use_tallies(struct service *service, struct tallies *tallies, usec_t now)
{
	size_t n = service->n_endpoints;

	service->tally = tallies_service(tallies, service->label);
	for (size_t i = 0; i < n; i++) {
		const struct endpoint *e = &service->endpoints[i];

		service->endpoint_tallies[i] =
		    tallies_endpoint(tallies, service->tally, slice_str(e->address.text), now);
		endpoint_tally_disable(service->endpoint_tallies[i], e->is_disabled);
	}
	service_tally_present(service->tally, service->endpoint_tallies, n);
}

/* Rooms for the endpoints of all services, from which each takes its own. */
struct rooms {
	struct endpoint *endpoints;
	struct endpoint_tally **tallies;
};

static struct rooms rooms_for(struct snapshot *s, const struct endpoint_set *sets)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_services; i++)
		n += sets[i].n;
	return (struct rooms){arena_calloc(&s->arena, n, sizeof(struct endpoint)),
	    arena_calloc(&s->arena, n, sizeof(struct endpoint_tally *))};
}

static void fill_service(
    struct snapshot *s, size_t index, const struct endpoint_set *set, struct rooms *rooms)
{
	struct service *service = &s->services[index];
	const char *zone = s->config->node.zone;

	service->config = s->config->services[index];
	service->label = slice_str(service->config->label);
	service->name = slice_str(service->config->name);
	service->index = index;
	service->zone = zone && zone[0] ? zone : NULL;
	copy_endpoints(s, service, set, rooms->endpoints);
	service->endpoint_tallies = rooms->tallies;
	rooms->endpoints += set->n;
	rooms->tallies += set->n;
}

/* The service of that label; labels are sorted on both sides, so @from only goes up. */
static const struct service *service_before(
    const struct snapshot *before, size_t *from, const struct service *service)
{
	while (before && *from < before->n_services) {
		const struct service *other = &before->services[*from];
		int order = slice_cmp(other->label, service->label);

		if (order == 0)
			return other;
		if (order > 0)
			break;
		++*from;
	}
	return NULL;
}

struct snapshot *snapshot_new(struct shared_config *shared, const struct endpoint_set *sets,
    struct tallies *tallies, const struct snapshot *before, usec_t now)
{
	struct snapshot *s = mem_calloc(1, sizeof *s);
	struct rooms rooms;
	size_t from = 0;

	ref_init(&s->ref);
	arena_init(&s->arena, NULL, 0);
	s->shared = shared_config_ref(shared);
	s->config = shared->config;
	s->n_services = s->config->n_services;
	s->services = arena_calloc(&s->arena, s->n_services, sizeof *s->services);
	rooms = rooms_for(s, sets);
	for (size_t i = 0; i < s->n_services; i++) {
		struct service *service = &s->services[i];

		fill_service(s, i, &sets[i], &rooms);
		use_tallies(service, tallies, now);
		balance_build_groups(
		    service, s->config, service_before(before, &from, service), &s->arena);
	}
	s->guards = guards_new(s->config, tallies, &s->arena);
	find_limits(s);
	route_index(s);
	return s;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
	ref_take(&s->ref);
	return s;
}

static void free_service(struct service *service)
{
	balance_free_groups(service);
	for (size_t i = 0; i < service->n_endpoints; i++)
		endpoint_tally_unref(&service->endpoint_tallies[i]);
	service_tally_unref(&service->tally);
}

void snapshot_unref(struct snapshot **snapshot)
{
	struct snapshot *s = *snapshot;

	*snapshot = NULL;
	if (s == NULL || !ref_drop(&s->ref))
		return;
	for (size_t i = 0; i < s->n_services; i++)
		free_service(&s->services[i]);
	guards_free(s->guards, s->config->n_policies);
	table_fini(&s->by_name);
	arena_fini(&s->arena);
	shared_config_unref(&s->shared);
	free(s);
}

static int compare_label(const void *label, const void *element)
{
	return slice_cmp(*(const struct slice *)label, ((const struct service *)element)->label);
}

const struct service *snapshot_service(const struct snapshot *s, struct slice label)
{
	if (s->n_services == 0)
		return NULL;
	return bsearch(&label, s->services, s->n_services, sizeof *s->services, compare_label);
}

const struct listener_config *snapshot_listener(const struct snapshot *s, struct slice name)
{
	for (size_t i = 0; i < s->config->n_listeners; i++)
		if (slice_eq_str(name, s->config->listeners[i].name))
			return &s->config->listeners[i];
	return NULL;
}
