/* The groups of a service's endpoints, and the balancing tables of each. */
#include "model/balance.h"

#include <stdlib.h>

#include "base/mem.h"

#define BASE "base" /* what the endpoints without the tag of subset_by are called */

static bool is_same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

bool balance_is_here(const struct service *service, size_t endpoint)
{
	return service->zone && is_same_text(service->endpoints[endpoint].zone, service->zone);
}

bool balance_is_in_reach(const struct service *service, size_t endpoint)
{
	return service->zone == NULL || service->config->balance.zone != ZONE_ONLY ||
	       balance_is_here(service, endpoint);
}

/* ---- members ---- */

/* An endpoint by the value of the tag of subset_by. */
struct tagged {
	const char *value;
	uint32_t endpoint;
};

static int compare_tagged(const void *a, const void *b)
{
	const struct tagged *x = a, *y = b;
	int order = slice_cmp(slice_str(x->value), slice_str(y->value));

	if (order != 0)
		return order;
	return x->endpoint < y->endpoint ? -1 : 1;
}

static struct tagged *sort_by_tag(const struct service *service)
{
	struct tagged *list = mem_alloc((service->n_endpoints + 1) * sizeof *list);

	for (size_t i = 0; i < service->n_endpoints; i++)
		list[i] = (struct tagged){
		    config_map_get(&service->endpoints[i].tags, service->config->subset_by.tag),
		    (uint32_t)i};
	if (service->n_endpoints)
		qsort(list, service->n_endpoints, sizeof *list, compare_tagged);
	return list;
}

/* Groups while they are gathered. */
struct grouping {
	struct service *service;
	struct arena *arena;
	struct tagged *sorted; /* owned; NULL without subset_by */
};

static size_t count_groups(const struct grouping *g)
{
	size_t n = 1 + g->service->config->n_subsets;

	if (g->sorted == NULL)
		return n;
	for (size_t i = 0; i < g->service->n_endpoints; i++) {
		const char *value = g->sorted[i].value;

		n += value[0] && (i == 0 || strcmp(value, g->sorted[i - 1].value) != 0);
	}
	return n + 1;
}

static struct endpoint_group *add_group(struct grouping *g, struct slice name)
{
	struct endpoint_group *group = &g->service->groups[g->service->n_groups];

	group->name = name;
	group->index = g->service->n_groups++;
	return group;
}

static void group_by_tags(struct grouping *g, const char *name, const struct config_map *tags)
{
	const struct service *service = g->service;
	struct endpoint_group *group = add_group(g, slice_str(name));
	uint32_t *members;
	size_t n = 0;

	for (size_t i = 0; i < service->n_endpoints; i++)
		n += config_map_has(&service->endpoints[i].tags, tags);
	group->members = members = arena_calloc(g->arena, n, sizeof *members);
	for (size_t i = 0; i < service->n_endpoints; i++)
		if (config_map_has(&service->endpoints[i].tags, tags))
			members[group->n++] = (uint32_t)i;
}

/* The base comes first even if it is empty: "" is the least of all values. */
static void group_by_value(struct grouping *g)
{
	const struct tagged *sorted = g->sorted;
	size_t n = g->service->n_endpoints, from = 0, to = 0;
	const char *value = "";

	do {
		struct endpoint_group *group = add_group(g, slice_str(value[0] ? value : BASE));
		uint32_t *members;

		while (to < n && strcmp(sorted[to].value, value) == 0)
			to++;
		group->n = to - from;
		group->members = members = arena_calloc(g->arena, group->n, sizeof *members);
		for (size_t i = from; i < to; i++)
			members[i - from] = sorted[i].endpoint;
		from = to;
		value = from < n ? sorted[from].value : NULL;
	} while (value);
}

/* ---- tables ---- */

struct tables {
	const struct config *config;
	struct service *service;
	const struct service *before; /* NULL, or balanced by the same options */
	struct lb_endpoint *list;     /* owned rooms, for all endpoints */
	uint32_t *ids;
};

static struct lb_endpoint lb_endpoint_of(const struct endpoint *e)
{
	struct lb_endpoint made = {
	    .key = slice_str(e->address.text),
	    .weight = endpoint_share(e),
	};

	made.has_location = config_place_of(&e->tags, &made.latitude, &made.longitude) == 0;
	return made;
}

static struct lb_options options_of(const struct config *config, const struct service *service)
{
	const struct balance_config *b = &service->config->balance;

	return (struct lb_options){
	    .type = b->type,
	    .virtual_nodes = b->virtual_nodes,
	    .choices = b->choices,
	    .has_location = config->node.has_location,
	    .latitude = config->node.latitude,
	    .longitude = config->node.longitude,
	};
}

enum side { SIDE_ALL, SIDE_HERE, SIDE_ELSEWHERE };

/* NULL when nobody is there. */
static struct lb_table *new_table(
    const struct tables *t, const struct endpoint_group *group, enum side side)
{
	struct lb_options options = options_of(t->config, t->service);
	size_t n = 0;

	for (size_t i = 0; i < group->n; i++) {
		uint32_t endpoint = group->members[i];

		if (side != SIDE_ALL &&
		    balance_is_here(t->service, endpoint) != (side == SIDE_HERE))
			continue;
		t->ids[n] = endpoint;
		t->list[n++] = lb_endpoint_of(&t->service->endpoints[endpoint]);
	}
	return n ? lb_table_new(&options, t->list, t->ids, n) : NULL;
}

/* Does anybody of the group have weight there? A zone of endpoints that take no calls is none. */
static bool is_anybody_here(const struct service *service, const struct endpoint_group *group)
{
	for (size_t i = 0; i < group->n; i++)
		if (endpoint_share(&service->endpoints[group->members[i]]) > 0 &&
		    balance_is_here(service, group->members[i]))
			return true;
	return false;
}

static void add_tables(const struct tables *t, struct endpoint_group *group)
{
	enum balance_zone zone = t->service->zone ? t->service->config->balance.zone : ZONE_ANY;

	if (zone == ZONE_ONLY) {
		group->table = new_table(t, group, SIDE_HERE);
	} else if (zone == ZONE_PREFER && is_anybody_here(t->service, group)) {
		group->table = new_table(t, group, SIDE_HERE);
		group->elsewhere = new_table(t, group, SIDE_ELSEWHERE);
	} else {
		group->table = new_table(t, group, SIDE_ALL);
	}
}

/* ---- what was there before ---- */

static bool is_same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	return endpoint_share(a) == endpoint_share(b) && is_same_text(a->zone, b->zone) &&
	       strcmp(a->address.text, b->address.text) == 0 &&
	       strcmp(config_map_get(&a->tags, "location"), config_map_get(&b->tags, "location")) ==
		   0 &&
	       strcmp(config_map_get(&a->tags, "latitude"), config_map_get(&b->tags, "latitude")) ==
		   0 &&
	       strcmp(config_map_get(&a->tags, "longitude"),
		   config_map_get(&b->tags, "longitude")) == 0;
}

static bool is_same_group(const struct service *a, const struct endpoint_group *x,
    const struct service *b, const struct endpoint_group *y)
{
	if (x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++)
		if (x->members[i] != y->members[i] ||
		    !is_same_endpoint(&a->endpoints[x->members[i]], &b->endpoints[y->members[i]]))
			return false;
	return true;
}

static bool is_balanced_alike(
    const struct config *config, const struct service *service, const struct service *before)
{
	const struct balance_config *a = &service->config->balance, *b = &before->config->balance;

	return a->type == b->type && a->virtual_nodes == b->virtual_nodes &&
	       a->choices == b->choices && a->zone == b->zone &&
	       is_same_text(service->zone, before->zone) &&
	       (a->type != LB_CLOSEST || !config->node.has_location);
}

/* The group of that kind and name before, or NULL. Names of values are sorted, those of subsets
 * too. */
static const struct endpoint_group *group_before(
    const struct tables *t, const struct endpoint_group *group)
{
	const struct service *before = t->before;

	if (before == NULL)
		return NULL;
	if (group->index < before->n_groups &&
	    slice_eq(before->groups[group->index].name, group->name))
		return &before->groups[group->index];
	return balance_group_by(before, group->name);
}

static void share_or_add_tables(const struct tables *t, struct endpoint_group *group)
{
	const struct endpoint_group *before = group_before(t, group);

	if (before == NULL || !is_same_group(t->service, group, t->before, before)) {
		add_tables(t, group);
		return;
	}
	group->table = before->table ? lb_table_ref(before->table) : NULL;
	group->elsewhere = before->elsewhere ? lb_table_ref(before->elsewhere) : NULL;
}

/* ---- all of it ---- */

static bool is_all_disabled(const struct service *service, const struct endpoint_group *group)
{
	for (size_t i = 0; i < group->n; i++)
		if (!service->endpoints[group->members[i]].is_disabled)
			return false;
	return group->n > 0;
}

static void build_tables(
    struct service *service, const struct config *config, const struct service *before)
{
	struct tables t = {
	    .config = config,
	    .service = service,
	    .before = before && is_balanced_alike(config, service, before) ? before : NULL,
	    .list = mem_alloc((service->n_endpoints + 1) * sizeof *t.list),
	    .ids = mem_alloc((service->n_endpoints + 1) * sizeof *t.ids),
	};

	for (size_t i = 0; i < service->n_groups; i++) {
		service->groups[i].is_disabled = is_all_disabled(service, &service->groups[i]);
		share_or_add_tables(&t, &service->groups[i]);
	}
	free(t.list);
	free(t.ids);
}

void balance_build_groups(struct service *service, const struct config *config,
    const struct service *before, struct arena *arena)
{
	const struct service_config *sc = service->config;
	const struct config_map no_tags = {0};
	struct grouping g = {service, arena, sc->subset_by.tag ? sort_by_tag(service) : NULL};

	service->groups = arena_calloc(arena, count_groups(&g), sizeof *service->groups);
	service->n_groups = 0;
	group_by_tags(&g, "", &no_tags);
	for (size_t i = 0; i < sc->n_subsets; i++)
		group_by_tags(&g, sc->subsets[i].name, &sc->subsets[i].tags);
	if (g.sorted)
		group_by_value(&g);
	free(g.sorted);
	build_tables(service, config, before);
}

void balance_free_groups(struct service *service)
{
	for (size_t i = 0; i < service->n_groups; i++) {
		lb_table_unref(&service->groups[i].table);
		lb_table_unref(&service->groups[i].elsewhere);
	}
	service->n_groups = 0;
}

/* ---- finding one ---- */

/* The base of subset_by, or the end. */
static size_t base_index(const struct service *service)
{
	return 1 + service->config->n_subsets;
}

const struct endpoint_group *balance_group_by(const struct service *service, struct slice value)
{
	size_t low = base_index(service) + 1, high = service->n_groups;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = slice_cmp(value, service->groups[middle].name);

		if (order == 0)
			return &service->groups[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct endpoint_group *balance_group_of(
    const struct service *service, const struct subset_config *subset)
{
	const struct service_config *sc = service->config;
	size_t base = base_index(service);

	for (size_t i = 0; i < sc->n_subsets; i++)
		if (strcmp(sc->subsets[i].name, subset->name) == 0)
			return &service->groups[1 + i];
	if (strcmp(subset->name, BASE) == 0 && base < service->n_groups)
		return &service->groups[base];
	return NULL;
}
