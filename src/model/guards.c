#include "model/guards.h"

#define ROUTE_AT "services."

/* services.shop.price.routes[0] is shop.price/routes[0]. */
static struct slice name_of_route(const struct route_config *route, struct arena *arena)
{
	char *name = arena_str(arena, slice_str(route->at));
	char *dot = NULL;

	for (char *at = strstr(name, ".routes["); at; at = strstr(at + 1, ".routes["))
		dot = at;
	if (dot)
		*dot = '/';
	return strncmp(name, ROUTE_AT, sizeof ROUTE_AT - 1) == 0
		   ? slice_str(name + sizeof ROUTE_AT - 1)
		   : slice_str(name);
}

/* What stands in defaults is each service's own. */
static struct slice owner_of(const struct policy *p, enum level level, struct arena *arena)
{
	switch (level) {
	case LEVEL_ROUTE:
		if (p->route)
			return name_of_route(p->route, arena);
		break;
	case LEVEL_METHOD:
		if (p->method)
			return slice_str(
			    arena_printf(arena, "%s/%s", p->service->label, p->method));
		break;
	case LEVEL_DEFAULTS:
	case LEVEL_SERVICE:
	case LEVELS:
		break;
	}
	return slice_str(p->service->label);
}

static struct slice name_of(
    const struct policy *p, enum level level, const char *what, struct arena *arena)
{
	struct slice owner = owner_of(p, level, arena);

	return slice_str(
	    arena_printf(arena, "%.*s/%s", (int)owner.len, (const char *)owner.data, what));
}

static void fill(
    struct guard *g, const struct policy *p, struct tallies *tallies, struct arena *arena)
{
	for (enum level level = LEVEL_DEFAULTS; level < LEVELS; level++) {
		if (p->limits[level])
			g->limits[level] = tallies_limit(
			    tallies, name_of(p, level, "limit", arena), p->limits[level]);
		if (p->breakers[level])
			g->breakers[level] =
			    tallies_breaker(tallies, name_of(p, level, "breaker", arena));
		g->is_open &= g->limits[level] == NULL && g->breakers[level] == NULL;
	}
}

struct guard *guards_new(const struct config *config, struct tallies *tallies, struct arena *arena)
{
	struct guard *guards = arena_calloc(arena, config->n_policies, sizeof *guards);

	for (size_t i = 0; i < config->n_policies; i++) {
		guards[i].is_open = true;
		if (config->policies[i]->service) /* no call is under defaults alone */
			fill(&guards[i], config->policies[i], tallies, arena);
	}
	return guards;
}

void guards_free(struct guard *guards, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (enum level level = LEVEL_DEFAULTS; level < LEVELS; level++) {
			limit_tally_unref(&guards[i].limits[level]);
			breaker_tally_unref(&guards[i].breakers[level]);
		}
}
