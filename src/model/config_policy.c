/*
 * All policies of a configuration, each with its number and with what it is of. A policy is merged
 * while it is bound; this only goes over what there is in the end.
 */
#include "model/config_bind.h"

static size_t count_service(const struct service_config *service)
{
	size_t n = 1 + service->n_methods;

	for (size_t r = 0; r < service->n_routes; r++)
		if (service->routes[r].policy)
			n += 1 +
			     (service->routes[r].to ? service->routes[r].to : service)->n_methods;
	return n;
}

static size_t count_policies(const struct config *config)
{
	size_t n = 1;

	for (size_t i = 0; i < config->n_services; i++)
		n += count_service(config->services[i]);
	return n + (config->any ? count_service(config->any) : 0);
}

/* They were ours while they were bound, and are until the loading is done. */
static struct policy *add_policy(
    const struct policy **list, struct config *config, const struct policy *policy)
{
	struct policy *own = (struct policy *)(uintptr_t)policy;

	own->index = config->n_policies;
	list[config->n_policies++] = policy;
	return own;
}

static void add_route(const struct policy **list, struct config *config,
    const struct service_config *of, const struct route_config *route)
{
	const struct service_config *service = route->to ? route->to : of;
	struct policy *own;

	if (route->policy == NULL)
		return;
	own = add_policy(list, config, route->policy);
	own->service = service;
	own->route = route;
	for (size_t i = 0; i < service->n_methods; i++) {
		own = add_policy(list, config, &route->methods[i]);
		own->service = service;
		own->route = route;
		own->method = service->methods[i].name;
	}
}

static void add_service(
    const struct policy **list, struct config *config, const struct service_config *service)
{
	add_policy(list, config, &service->policy)->service = service;
	for (size_t i = 0; i < service->n_methods; i++) {
		struct policy *own = add_policy(list, config, &service->methods[i].policy);

		own->service = service;
		own->method = service->methods[i].name;
	}
	for (size_t r = 0; r < service->n_routes; r++)
		add_route(list, config, service, &service->routes[r]);
}

void config_number_policies(struct config *config)
{
	const struct policy **list =
	    arena_calloc(&config->arena, count_policies(config), sizeof *list);

	config->n_policies = 0;
	add_policy(list, config, &config->defaults);
	for (size_t i = 0; i < config->n_services; i++)
		add_service(list, config, config->services[i]);
	if (config->any)
		add_service(list, config, config->any);
	config->policies = list;
}
