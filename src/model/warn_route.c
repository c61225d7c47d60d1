/* Doubts about routes and what they ask of calls. */
#include "base/mem.h"
#include "model/config_warn.h"

/* ---- routes that no call gets to ---- */

static bool is_same_rule(const struct match_rule *a, const struct match_rule *b)
{
	if (a->how != b->how || a->is_negated != b->is_negated || !fact_key_eq(&a->key, &b->key) ||
	    a->n_texts != b->n_texts || a->n_cidrs != b->n_cidrs)
		return false;
	for (size_t i = 0; i < a->n_texts; i++)
		if (!slice_eq(a->texts[i], b->texts[i]))
			return false;
	for (size_t i = 0; i < a->n_cidrs; i++)
		if (a->cidrs[i].family != b->cidrs[i].family ||
		    a->cidrs[i].bits != b->cidrs[i].bits ||
		    memcmp(a->cidrs[i].bytes, b->cidrs[i].bytes, sizeof a->cidrs[i].bytes) != 0)
			return false;
	return true;
}

/* Each rule of the wider one is one of the narrower. */
static bool is_within(const struct match *narrow, const struct match *wide)
{
	for (size_t i = 0; i < wide->n; i++) {
		bool found = false;

		for (size_t k = 0; k < narrow->n && !found; k++)
			found = is_same_rule(&wide->rules[i], &narrow->rules[k]);
		if (!found)
			return false;
	}
	return wide->percent >= 1;
}

static void of_order(struct check *c, const struct service_config *service, size_t i)
{
	const struct route_config *route = &service->routes[i];

	for (size_t k = 0; k < i; k++) {
		if (!is_within(&route->match, &service->routes[k].match))
			continue;
		warn_part(c, WARN_SHADOWED, route, route->at, "match",
		    "%s takes all of these calls before\nexpected the narrower match before the wider",
		    service->routes[k].at);
		return;
	}
}

/* ---- one route ---- */

static void of_split(struct check *c, const struct route_config *route)
{
	for (size_t i = 0; i < route->n_split; i++)
		if (route->split[i].weight == 0)
			warn_part(c, WARN_SPLIT, &route->split[i], route->at, "split",
			    "\"%s\" gets no calls\nleave it out, or expected a weight above 0",
			    route->split[i].subset ? route->split[i].subset->name : "base");
}

static void of_keys(struct check *c, const struct route_config *route)
{
	if (route->sticky.kind != FACT_NONE && route->n_split < 2)
		warn_part(c, WARN_ROUTE_KEY, route, route->at, "sticky",
		    "there is no choice to stick to\nexpected a split beside it");
	if ((route->fallback || route->fallback_any) && !route->subset && route->n_split == 0)
		warn_part(c, WARN_ROUTE_KEY, route, route->at, "fallback",
		    "there is no subset that could be empty\nexpected to: SUBSET or split beside it");
	for (size_t i = 0; i < route->n_set; i++)
		for (size_t k = 0; k < route->n_remove; k++)
			if (fact_key_eq(&route->set[i].to, &route->remove[k]))
				warn_part(c, WARN_SET, route, route->at, "remove",
				    "%.*s is set as well\nexpected one of the two",
				    (int)route->remove[k].text.len,
				    (const char *)route->remove[k].text.data);
}

static void of_targets(
    struct check *c, const struct service_config *service, const struct route_config *route)
{
	const struct service_config *to = route->to ? route->to : service;

	if (route->to == service)
		warn_part(c, WARN_TO_SELF, route, route->at, "to.service",
		    "it is the service itself\nleave it out, or expected another service");
	if (route->mirror == to && route->mirror_percent > 0)
		warn_part(c, WARN_MIRROR, route, route->at, "mirror.service",
		    "the service gets these calls twice\nexpected another service");
}

static void of_share(struct check *c, const struct route_config *route)
{
	const struct fault_config *fault = &route->fault;

	if (route->match.percent <= 0)
		warn_part(c, WARN_PERCENT, route, route->at, "match",
		    "it is for no call: percent is 0%%\nexpected a share above 0%%");
	if (fault->has_abort && fault->abort_percent >= 1 && route->match.n == 0 &&
	    route->match.percent >= 1)
		warn_part(c, WARN_FAULT, route, route->at, "fault",
		    "every call that gets here ends with it\nexpected a match, or abort.percent");
}

void warn_of_routes(struct check *c, const struct service_config *service)
{
	for (size_t i = 0; i < service->n_routes; i++) {
		const struct route_config *route = &service->routes[i];

		of_order(c, service, i);
		of_split(c, route);
		of_keys(c, route);
		of_targets(c, service, route);
		of_share(c, route);
	}
}

/* ---- facts that calls cannot have ---- */

#define CARRIES_METADATA CHECK_NAMING_PROTOCOLS

/* Whether any call that comes to the service has more than a method. */
static bool has_metadata(const struct config *config, const struct service_config *service)
{
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener_config *listener = &config->listeners[i];

		if ((listener->service == NULL || listener->service == service) &&
		    ((listener->protocols & CARRIES_METADATA) ||
			metadata_is_in_body(config_callers_metadata(listener))))
			return true;
	}
	return false;
}

static bool is_metadata(const struct fact_key *key)
{
	switch (key->kind) {
	case FACT_IDL_SERVICE:
	case FACT_CALLER_METHOD:
	case FACT_LOG_ID:
	case FACT_META:
	case FACT_HEADER:
	case FACT_INT:
		return true;
	default:
		return false;
	}
}

static void of_fact(
    struct check *c, const void *base, const char *at, const char *key, const struct fact_key *fact)
{
	if (is_metadata(fact))
		warn_part(c, WARN_FACT, base, at, key,
		    "no call that comes here has %.*s\nexpected a listener whose protocols have ttheader, "
		    "ttheader_streaming or grpc, or metadata: base255",
		    (int)fact->text.len, (const char *)fact->text.data);
}

static void of_service_facts(struct check *c, const struct service_config *service)
{
	struct key_path path;

	check_service_path(service, NULL, &path);
	of_fact(c, service, path.text, "balance.key", &service->balance.key);
	of_fact(c, service, path.text, "subset_by.key", &service->subset_by.key);
	for (size_t i = 0; i < service->n_routes; i++) {
		const struct route_config *route = &service->routes[i];

		of_fact(c, route, route->at, "sticky", &route->sticky);
		for (size_t k = 0; k < route->match.n; k++)
			of_fact(c, route, route->at, "match", &route->match.rules[k].key);
	}
}

void warn_of_facts(struct check *c)
{
	const struct service_config *service;

	for (size_t i = 0; (service = check_service_at(c->config, i)) != NULL; i++)
		if (!has_metadata(c->config, service) && !check_is_led_to(c->config, service))
			of_service_facts(c, service);
}

/* ---- tests ---- */

void warn_of_tests(struct check *c)
{
	for (size_t i = 0; i < c->config->n_tests; i++) {
		const struct test_config *test = &c->config->tests[i];

		if (!test->service_label && !test->subset && !test->route &&
		    test->endpoint_tags.n == 0 && test->timeout == USEC_NONE &&
		    test->attempts == 0 && !test->has_reason && test->n_expected == 0)
			warn_part(c, WARN_TEST, test, test->at, NULL,
			    "it expects nothing, so it cannot fail\nexpected expect: with something in it");
	}
}
