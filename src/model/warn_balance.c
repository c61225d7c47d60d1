/* Doubts about balancing: balancers, zones, subsets. */
#include "base/mem.h"
#include "model/config_warn.h"

/* Source of the numbers: the keys' own defaults, which -T writes out. */
#define VIRTUAL_NODES_DEFAULT 100u
#define CHOICES_DEFAULT       2u

static bool is_hash(enum lb_type type)
{
	return type == LB_CONSISTENT_HASH || type == LB_MAGLEV;
}

static void of_keys(struct check *c, const struct service_config *s)
{
	const struct balance_config *b = &s->balance;
	const char *key = NULL;

	if (b->key.kind != FACT_NONE && !is_hash(b->type))
		key = "balance.key";
	else if (b->virtual_nodes != VIRTUAL_NODES_DEFAULT && b->type != LB_CONSISTENT_HASH)
		key = "balance.virtual_nodes";
	else if (b->choices != CHOICES_DEFAULT && b->type != LB_LEAST_REQUEST &&
		 b->type != LB_PEAK_EWMA)
		key = "balance.choices";
	if (key)
		warn_service(c, WARN_BALANCE_KEY, s, key,
		    "it means nothing to this type of balancing\nleave it out, or expected another "
		    "balance.type");
	if (is_hash(b->type) && b->key.kind == FACT_NONE)
		warn_service(c, WARN_HASH_KEY, s, "balance.type",
		    "only calls with a ring hash key (int.14, int.24) stay with their endpoint\n"
		    "expected balance: {key: ...}, like key: meta.user");
}

static bool has_weights(const struct service_config *s)
{
	unsigned weight = 0;

	for (size_t i = 0; i < s->n_endpoints; i++) {
		if (s->endpoints[i].weight == 0)
			continue;
		if (weight && weight != s->endpoints[i].weight)
			return true;
		weight = s->endpoints[i].weight;
	}
	return false;
}

static void of_weights(struct check *c, const struct service_config *s)
{
	enum lb_type type = s->balance.type;

	if ((type == LB_ROUND_ROBIN || type == LB_RANDOM) && has_weights(s))
		warn_service(c, WARN_WEIGHTS, s, "balance.type",
		    "the weights of the endpoints do not count\nexpected a balancer that looks at them, "
		    "like weighted_round_robin or weighted_random");
}

static void of_zone(struct check *c, const struct service_config *s)
{
	if (s->balance.zone == ZONE_ANY || s->n_endpoints == 0)
		return;
	for (size_t i = 0; i < s->n_endpoints; i++)
		if (strcmp(s->endpoints[i].zone, c->config->node.zone) == 0)
			return;
	warn_service(c, WARN_ZONE, s, "balance.zone",
	    "no endpoint is in our zone, \"%.200s\"\nexpected zone: at the endpoints that are",
	    c->config->node.zone);
}

static void of_slow_start(struct check *c, const struct service_config *s)
{
	if (s->balance.slow_start != USEC_NONE && s->n_endpoints == 1 &&
	    s->endpoints[0].address.kind != ADDRESS_NAME)
		warn_service(c, WARN_SLOW_START, s, "balance.slow_start",
		    "the only endpoint takes all calls from the start\nleave it out, or expected several "
		    "endpoints");
}

/* ---- subsets ---- */

static bool leads_to(const struct route_config *route, const struct subset_config *subset)
{
	for (size_t i = 0; i < route->n_split; i++)
		if (route->split[i].subset == subset)
			return true;
	return route->subset == subset;
}

/* Whoever gives each route to it a fallback counts on its being empty. */
static bool is_provided_for(const struct config *config, const struct subset_config *subset)
{
	bool is_used = false;

	for (size_t i = 0; i < config->n_services; i++) {
		const struct service_config *s = config->services[i];

		for (size_t k = 0; k < s->n_routes; k++) {
			const struct route_config *route = &s->routes[k];

			if (!leads_to(route, subset))
				continue;
			if (!route->fallback && !route->fallback_any)
				return false;
			is_used = true;
		}
	}
	return is_used;
}

static void of_subset(
    struct check *c, const struct service_config *s, const struct subset_config *subset)
{
	struct key_path path;

	for (size_t i = 0; i < s->n_endpoints; i++)
		if (config_map_has(&s->endpoints[i].tags, &subset->tags))
			return;
	if (is_provided_for(c->config, subset))
		return;
	check_service_path(s, "subsets", &path);
	key_path_key(&path, slice_str(subset->name));
	warn_part(c, WARN_SUBSET, subset, path.text, NULL,
	    "no endpoint has these tags\nexpected tags: at some of the endpoints");
}

static void of_subset_by(struct check *c, const struct service_config *s)
{
	if (s->subset_by.tag == NULL)
		return;
	for (size_t i = 0; i < s->n_endpoints; i++)
		if (*config_map_get(&s->endpoints[i].tags, s->subset_by.tag))
			return;
	warn_service(c, WARN_SUBSET, s, "subset_by.tag",
	    "no endpoint has this tag\nexpected tags: {%.100s: ...} at some of the endpoints",
	    s->subset_by.tag);
}

void warn_of_balance(struct check *c, const struct service_config *service)
{
	of_keys(c, service);
	of_weights(c, service);
	of_zone(c, service);
	of_slow_start(c, service);
	for (size_t i = 0; service->n_endpoints && i < service->n_subsets; i++)
		of_subset(c, service, &service->subsets[i]);
	if (service->n_endpoints)
		of_subset_by(c, service);
}
