/* What discovery knows, turned into the endpoint sets of a snapshot. */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/discovery_impl.h"
#include "daemon/endpoint_orders.h"
#include "registry/client.h"
#include "registry/dns.h"

#define TOLD_MAX 1000u /* own addresses that are logged, once each */

/* What one service's sources come to, while a snapshot is built. */
struct gathering {
	struct discovery *d;
	const struct service_config *service;
	struct arena *arena;
	struct table seen; /* by address: two names may share one */
	struct endpoint *list;
	size_t n, room;
	bool has_unknown, has_stale;
};

/* An endpoint's @from says all but its address. */
static void add_endpoint(
    struct gathering *g, const struct address *address, const struct endpoint *from)
{
	struct endpoint *bigger;

	if (g->n == g->room) {
		g->room = g->room ? g->room * 2 : 8;
		bigger = arena_calloc(g->arena, g->room, sizeof *bigger);
		if (g->n)
			memcpy(bigger, g->list, g->n * sizeof *bigger);
		g->list = bigger;
	}
	g->list[g->n] = *from;
	g->list[g->n++].address = *address;
}

/* Of the file and of DNS, where nobody has sorted out doubles. */
static void add_once(
    struct gathering *g, const struct address *address, const struct endpoint *from)
{
	if (table_get(&g->seen, slice_str(address->text)))
		return;
	/* The key must stay where it is, and the list may move. */
	table_put(&g->seen, arena_copy(g->arena, slice_str(address->text)), g);
	add_endpoint(g, address, from);
}

/* An endpoint where we listen ourselves would send its calls round for ever. */
static bool is_own(struct gathering *g, const struct address *address)
{
	static const char why[] = "a listener of this daemon is there";
	struct discovery *d = g->d;
	struct slice key;

	if (!own_addresses_has(&d->own, address))
		return false;
	key = slice_str(arena_printf(g->arena, "%s %s", g->service->name, address->text));
	if (table_get(&d->told, key) || d->told.used >= TOLD_MAX)
		return true;
	table_put(&d->told, arena_copy(&d->told_arena, key), d);
	log_warn("discovery", "an endpoint is skipped: calls to it would come back here",
	    "service=%s address=%s", g->service->label, address->text);
	if (g->service->discover.from) {
		struct registry *r = discovery_registry(d, g->service->discover.from);

		if (r)
			registry_skipped(
			    r, slice_str(g->service->name), slice_str(address->text), why);
	}
	return true;
}

static void gather_configured(struct gathering *g, const struct endpoint_config *e)
{
	struct endpoint from = {.weight = e->weight, .zone = e->zone, .tags = e->tags};
	struct dns_answer answer;

	if (e->address.kind != ADDRESS_NAME) {
		add_once(g, &e->address, &from);
		return;
	}
	answer = dns_answer(g->d->dns, address_host(&e->address));
	g->has_unknown = g->has_unknown || !answer.is_known;
	g->has_stale = g->has_stale || answer.is_stale;
	for (size_t i = 0; i < answer.n; i++) {
		struct address address = address_with_port(&answer.list[i], e->address.port);

		if (!is_own(g, &address))
			add_once(g, &address, &from);
	}
}

static void gather_registry(struct gathering *g)
{
	const struct discover_config *discover = &g->service->discover;
	struct registry *r = discovery_registry(g->d, discover->from);
	struct registry_set set;

	if (r == NULL) {
		g->has_unknown = true;
		return;
	}
	set = registry_set(r, slice_str(g->service->name));
	g->has_unknown = set.state == ENDPOINTS_UNKNOWN;
	g->has_stale = set.state == ENDPOINTS_STALE;
	g->list = arena_alloc(g->arena, (set.n + 1) * sizeof *g->list);
	g->room = set.n + 1;
	for (size_t i = 0; i < set.n; i++) {
		const struct endpoint *from = &set.list[i];

		if (config_map_has(&from->tags, &discover->tags) && !is_own(g, &from->address))
			add_endpoint(g, &from->address, from);
	}
}

static struct endpoint_set gather(
    struct discovery *d, const struct service_config *s, struct arena *arena)
{
	struct gathering g = {.d = d, .service = s, .arena = arena};
	struct endpoint_set set;

	table_init(&g.seen, d->start.seed);
	for (size_t i = 0; i < s->n_endpoints; i++)
		gather_configured(&g, &s->endpoints[i]);
	if (s->discover.from)
		gather_registry(&g);
	table_fini(&g.seen);
	set = (struct endpoint_set){g.list, g.n, ENDPOINTS_FRESH};
	if (g.n == 0)
		set.state = g.has_unknown ? ENDPOINTS_UNKNOWN : ENDPOINTS_EMPTY;
	else if (g.has_stale)
		set.state = ENDPOINTS_STALE;
	return set;
}

/* Where a service is found has changed, and nobody has answered yet: the old places still serve. */
static void keep_known(
    struct endpoint_set *set, const struct service_config *s, const struct table *known)
{
	const struct service *before = table_get(known, slice_str(s->label));

	if (set->state == ENDPOINTS_UNKNOWN && set->n == 0 && before && before->n_endpoints)
		*set =
		    (struct endpoint_set){before->endpoints, before->n_endpoints, ENDPOINTS_STALE};
}

static void index_services(struct table *known, const struct snapshot *before)
{
	for (size_t i = 0; before && i < before->n_services; i++)
		table_put(known, before->services[i].label, &before->services[i]);
}

/* Which services wait for endpoints, so that their first ones are published without delay. */
static void remember_without(
    struct discovery *d, struct shared_config *shared, const struct endpoint_set *sets)
{
	const struct config *config = shared->config;
	struct shared_config *old = d->pictured;

	table_fini(&d->without);
	table_init(&d->without, d->start.seed);
	d->pictured = shared_config_ref(shared);
	if (old)
		shared_config_unref(&old);
	d->waits_for_names = false;
	for (size_t i = 0; i < config->n_services; i++) {
		const struct service_config *s = config->services[i];

		if (sets[i].n)
			continue;
		table_put(&d->without, slice_str(s->name), d);
		d->waits_for_names = d->waits_for_names || s->n_endpoints;
	}
}

struct snapshot *discovery_snapshot(struct discovery *d, struct shared_config *shared,
    struct tallies *tallies, const struct snapshot *before, usec_t now)
{
	const struct config *config = shared->config;
	struct endpoint_set *sets = mem_calloc(config->n_services + 1, sizeof *sets);
	struct snapshot *snapshot;
	struct table known;
	struct arena arena;

	arena_init(&arena, NULL, 0);
	table_init(&known, d->start.seed);
	index_services(&known, before);
	own_addresses_set(&d->own, config, d->start.bindings, now);
	for (size_t i = 0; i < config->n_services; i++) {
		sets[i] = gather(d, config->services[i], &arena);
		keep_known(&sets[i], config->services[i], &known);
		endpoint_orders_apply(
		    d->start.orders, slice_str(config->services[i]->label), &arena, &sets[i]);
	}
	snapshot = snapshot_new(shared, sets, tallies, before, now);
	remember_without(d, shared, sets);
	table_fini(&known);
	arena_fini(&arena);
	free(sets);
	return snapshot;
}

bool discovery_has_endpoints(
    struct discovery *d, const struct service_config *config, struct slice name, const char **why)
{
	struct registry *r = discovery_registry(d, config->discover.from);
	struct registry_set set = {.error = ""};
	size_t fitting = 0;

	if (r)
		set = registry_set(r, name);
	for (size_t i = 0; i < set.n && fitting == 0; i++)
		fitting += config_map_has(&set.list[i].tags, &config->discover.tags) &&
			   !own_addresses_has(&d->own, &set.list[i].address);
	*why = fitting        ? ""
	       : set.n        ? "the registry has no endpoint with the tags asked for"
	       : set.error[0] ? set.error
			      : "the registry has no endpoints of it";
	return fitting > 0;
}
