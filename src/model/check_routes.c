/* Rules about where calls are led: routes, balancing, subsets, zones and tests. */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_check.h"
#include "model/nearest.h"

static void refuse_service(
    struct check *c, const struct service_config *service, const char *key, const char *text)
{
	struct key_path path;

	problems_error(c->problems, origin_place(c->config, service, key),
	    check_service_path(service, key, &path), "%s", text);
}

static void refuse_route(
    struct check *c, const struct route_config *route, const char *key, const char *text)
{
	char path[600];

	snprintf(path, sizeof path, "%s%s%s", route->at, key ? "." : "", key ? key : "");
	problems_error(c->problems, origin_place(c->config, route, key), path, "%s", text);
}

/* ---- balancing ---- */

static void check_locations(struct check *c, const struct service_config *service)
{
	for (size_t i = 0; i < service->n_endpoints; i++) {
		const struct endpoint_config *endpoint = &service->endpoints[i];
		double latitude, longitude;
		struct key_path path;

		if (config_place_of(&endpoint->tags, &latitude, &longitude) != -EINVAL)
			continue;
		check_service_path(service, "endpoints", &path);
		key_path_index(&path, i);
		key_path_key(&path, SLICE_LIT("tags"));
		problems_error(c->problems, origin_place(c->config, endpoint, "tags"), path.text,
		    "this is no place on earth\nexpected degrees, like location: \"48.14,11.58\"");
	}
}

static void check_balance(struct check *c, const struct service_config *service)
{
	const struct balance_config *balance = &service->balance;

	if (balance->zone != ZONE_ANY && c->config->node.zone[0] == '\0')
		refuse_service(c, service, "balance.zone",
		    "it is not said which zone is ours\nexpected node: {zone: NAME} at the top");
	if (balance->type != LB_CLOSEST)
		return;
	if (!c->config->node.has_location)
		refuse_service(c, service, "balance.type",
		    "it is not said where we are\nexpected node: {location: {latitude: 48.14, longitude: "
		    "11.58}} at the top");
	check_locations(c, service);
}

static void check_subset_by(struct check *c, const struct service_config *service)
{
	const struct subset_by_config *by = &service->subset_by;

	if (by->tag && by->key.kind == FACT_NONE)
		refuse_service(c, service, "subset_by.tag",
		    "it is not said what of a call is compared with the tag\nexpected key: beside it, "
		    "like key: meta.env");
	if (by->tag == NULL && by->key.kind != FACT_NONE)
		refuse_service(c, service, "subset_by.key",
		    "it is not said which tag it is compared with\nexpected tag: beside it, like tag: env");
}

/* ---- routes ---- */

static bool has_no_endpoints(const struct service_config *service)
{
	return service && service->label && service->n_endpoints == 0 &&
	       service->endpoints == NULL && service->discover.from == NULL;
}

static void check_targets(struct check *c, const struct route_config *route)
{
	static const char text[] =
	    "that service has no endpoints of its own, and its routes are not "
	    "looked at\nexpected a service with endpoints";

	if (has_no_endpoints(route->to))
		refuse_route(c, route, "to.service", text);
	if (has_no_endpoints(route->mirror))
		refuse_route(c, route, "mirror.service", text);
	if (route->mirror == NULL && route->mirror_percent < 1)
		refuse_route(c, route, "mirror.percent",
		    "it is not said who gets the copies\nexpected service: beside it");
}

static void check_order(struct check *c, const struct service_config *service)
{
	for (size_t i = 0; i + 1 < service->n_routes; i++) {
		const struct match *match = &service->routes[i].match;
		char text[700];

		/* Also empty: one with an error in it. */
		if (match->n > 0 || match->percent < 1 || c->problems->n_errors > 0)
			continue;
		snprintf(text, sizeof text,
		    "no call gets here: %s matches all\nexpected the route without match to be the last",
		    service->routes[i].at);
		refuse_route(c, &service->routes[i + 1], NULL, text);
		return;
	}
}

static void check_names(struct check *c, const struct service_config *service)
{
	for (size_t i = 0; i < service->n_routes; i++) {
		const struct route_config *route = &service->routes[i];

		for (size_t k = 0; route->name && k < i; k++) {
			if (service->routes[k].name == NULL ||
			    strcmp(service->routes[k].name, route->name) != 0)
				continue;
			refuse_route(c, route, "name",
			    "another route of this service has this name\nexpected a name of its own");
			break;
		}
	}
}

void check_routes(struct check *c)
{
	const struct service_config *service;

	for (size_t k = 0; (service = check_service_at(c->config, k)) != NULL; k++) {
		check_balance(c, service);
		check_subset_by(c, service);
		check_names(c, service);
		for (size_t r = 0; r < service->n_routes; r++)
			check_targets(c, &service->routes[r]);
		check_order(c, service);
	}
}

/* ---- tests ---- */

static void refuse_expected(
    struct check *c, const struct test_config *test, const char *key, const char *text)
{
	char path[100];

	snprintf(path, sizeof path, "%s.%s", test->at, key);
	problems_error(c->problems, origin_place(c->config, test, key), path, "%s", text);
}

static void refuse_unknown(struct check *c, const struct test_config *test, const char *key,
    const char *what, const char *word, const struct nearest *nearest)
{
	char text[800], meant[300] = "";

	if (nearest_found(nearest))
		snprintf(meant, sizeof meant, "; did you mean \"%.*s\"?", (int)nearest->best.len,
		    (const char *)nearest->best.data);
	snprintf(text, sizeof text, "there is no %s \"%s\"\nexpected one that there is%s", what,
	    word, meant);
	refuse_expected(c, test, key, text);
}

static void check_expected_service(struct check *c, const struct test_config *test)
{
	struct nearest nearest;
	struct slice label;

	if (test->service_label == NULL)
		return;
	label = slice_str(test->service_label);
	/* A name that is not listed is a service by being called. */
	if (config_service(c->config, label) || (c->config->any && slice_eq(label, test->service)))
		return;
	nearest_init(&nearest, label);
	for (size_t i = 0; i < c->config->n_services; i++)
		nearest_try(&nearest, slice_str(c->config->services[i]->label));
	refuse_unknown(c, test, "expect.service", "service", test->service_label, &nearest);
}

/* A value of the tag of subset_by is a subset as well, and any text may be one. */
static void check_expected_subset(struct check *c, const struct test_config *test)
{
	const struct service_config *service;
	struct nearest nearest;

	if (test->subset == NULL)
		return;
	nearest_init(&nearest, slice_str(test->subset));
	for (size_t i = 0; (service = check_service_at(c->config, i)) != NULL; i++) {
		if (service->subset_by.tag)
			return;
		for (size_t k = 0; k < service->n_subsets; k++) {
			if (strcmp(service->subsets[k].name, test->subset) == 0)
				return;
			nearest_try(&nearest, slice_str(service->subsets[k].name));
		}
	}
	refuse_unknown(c, test, "expect.subset", "subset", test->subset, &nearest);
}

static void check_expected_route(struct check *c, const struct test_config *test)
{
	const struct service_config *service;
	struct nearest nearest;

	if (test->route == NULL)
		return;
	nearest_init(&nearest, slice_str(test->route));
	for (size_t i = 0; (service = check_service_at(c->config, i)) != NULL; i++) {
		for (size_t k = 0; k < service->n_routes; k++) {
			const struct route_config *route = &service->routes[k];

			if (strcmp(route->at, test->route) == 0 ||
			    (route->name && strcmp(route->name, test->route) == 0))
				return;
			nearest_try(&nearest, slice_str(route->name ? route->name : route->at));
		}
	}
	refuse_unknown(c, test, "expect.route", "route", test->route, &nearest);
}

void check_tests(struct check *c)
{
	for (size_t i = 0; i < c->config->n_tests; i++) {
		check_expected_service(c, &c->config->tests[i]);
		check_expected_subset(c, &c->config->tests[i]);
		check_expected_route(c, &c->config->tests[i]);
	}
}
