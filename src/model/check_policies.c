/* Rules within one policy: limits, breakers, health checks, fallbacks, connections. */
#include <stdarg.h>
#include <stdio.h>

#include "model/config_bind.h"
#include "model/config_check.h"

void check_path_dotted(struct key_path *path, const char *key)
{
	for (const char *dot; (dot = strchr(key, '.')) != NULL; key = dot + 1)
		key_path_key(path, slice_of(key, (size_t)(dot - key)));
	key_path_key(path, slice_str(key));
}

const char *check_policy_path(const struct policy *policy, const char *key, struct key_path *path)
{
	path->len = 0;
	if (policy->route) {
		path->len =
		    (size_t)snprintf(path->text, sizeof path->text, "%s.policy", policy->route->at);
		if (path->len >= sizeof path->text)
			path->len = sizeof path->text - 1;
	} else if (policy->service) {
		check_service_path(policy->service, NULL, path);
		if (policy->method) {
			key_path_key(path, SLICE_LIT("methods"));
			key_path_key(path, slice_str(policy->method));
		}
	} else {
		key_path_key(path, SLICE_LIT("defaults"));
	}
	if (key)
		check_path_dotted(path, key);
	return path->text;
}

bool check_is_own(const struct check *c, const void *base, const char *key)
{
	const struct origin *origin = origin_named(c->config, base, key);

	return origin && !origin->is_inherited;
}

void check_refuse(
    struct check *c, const struct policy *policy, const char *key, const char *format, ...)
{
	struct key_path path;
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	problems_error(c->problems, origin_place(c->config, policy, key),
	    check_policy_path(policy, key, &path), "%s", text);
}

/* ---- limits ---- */

static void refuse_limit(
    struct check *c, const struct limit_config *limit, const char *key, const char *text)
{
	char path[600];

	snprintf(path, sizeof path, "%s%s%s", limit->at, key ? "." : "", key ? key : "");
	problems_error(c->problems, origin_place(c->config, limit, key), path, "%s", text);
}

static void check_limit(struct check *c, const struct limit_config *limit)
{
	bool has_slots = limit->concurrency != COUNT_NONE;

	if (!limit->has_rate && !has_slots)
		refuse_limit(c, limit, NULL,
		    "it limits nothing\nexpected rate: 100/s, concurrency: 50, or both; to lift a "
		    "limit, limit: none");
	if (limit->queue_length > 0 && !has_slots)
		refuse_limit(c, limit, "queue.length",
		    "calls queue up for a place among those under way, of which there is no limit\n"
		    "expected concurrency beside it");
	if (!limit->has_rate && limit->burst > 1)
		refuse_limit(c, limit, "burst",
		    "a burst of no rate\nexpected rate beside it, like rate: 100/s");
	if (limit->share_equal && limit->by != LIMIT_BY_NONE)
		refuse_limit(c, limit, "share",
		    "callers share a limit that they have in common, and here each has its own\n"
		    "expected by: none");
}

/* ---- health ---- */

static bool speaks_thrift(enum service_protocol protocol)
{
	return protocol != SERVICE_GRPC && protocol != SERVICE_TTHEADER_STREAMING;
}

static void check_health_method(struct check *c, const struct policy *policy)
{
	static const char *const keys[] = {"health.type", "health.method", "health.interval",
	    "health.timeout", "health.rise", "health.fall"};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (!check_is_own(c, policy, keys[i]))
			continue;
		check_refuse(c, policy, keys[i],
		    "endpoints are asked about their health as a whole\nexpected health at the service, "
		    "not at a method or a route");
		return;
	}
}

static void check_health(struct check *c, const struct policy *policy)
{
	const struct service_config *service = policy->service;

	if (policy->method || policy->route) {
		check_health_method(c, policy);
		return;
	}
	if (service == NULL)
		return;
	if (policy->health.type == HEALTH_GRPC && service->protocol != SERVICE_GRPC &&
	    service->protocol != SERVICE_SAME)
		check_refuse(c, policy, "health.type",
		    "the endpoints do not speak gRPC\nexpected thrift or tcp, or protocol: grpc");
	if (policy->health.type == HEALTH_THRIFT && !speaks_thrift(service->protocol))
		check_refuse(c, policy, "health.type",
		    "the endpoints do not take Thrift calls\nexpected %s, or another protocol",
		    service->protocol == SERVICE_GRPC ? "grpc or tcp" : "tcp");
}

/* ---- the rest ---- */

static void check_fallback(struct check *c, const struct policy *policy)
{
	bool is_own = check_is_own(c, policy, "fallback.on") ||
		      check_is_own(c, policy, "fallback.to.service");

	if (!is_own)
		return;
	if (policy->fallback_on && policy->fallback == NULL)
		check_refuse(c, policy, "fallback.on",
		    "it says when, but not whom to ask\nexpected to: {service: LABEL} beside it");
	if (policy->fallback && policy->fallback_on == 0 && !check_is_own(c, policy, "fallback.on"))
		check_refuse(c, policy, "fallback.to.service",
		    "it says whom to ask, but not when\nexpected on: with some of timeout, breaker, "
		    "no_endpoint, any");
	if (policy->fallback && policy->fallback->label && policy->fallback->n_endpoints == 0 &&
	    policy->fallback->endpoints == NULL && policy->fallback->discover.from == NULL)
		check_refuse(c, policy, "fallback.to.service",
		    "the service \"%s\" has no endpoints of its own, and its routes are not looked at\n"
		    "expected a service with endpoints",
		    policy->fallback->label);
}

static void check_pool(struct check *c, const struct policy *policy)
{
	if (!check_is_own(c, policy, "pool.warm") && !check_is_own(c, policy, "pool.connections"))
		return;
	if (policy->pool_warm > policy->pool_connections)
		check_refuse(c, policy, "pool.warm",
		    "more are to be warm than there may be\nexpected at most pool.connections, %u",
		    policy->pool_connections);
}

void check_policies(struct check *c)
{
	for (size_t i = 0; i < c->config->n_policies; i++) {
		const struct policy *policy = c->config->policies[i];
		const struct limit_config *limit = policy->limits[policy_level(policy)];

		/* What a method adds to a route was looked at in the method. */
		if (policy->route && policy->method)
			continue;
		if (limit)
			check_limit(c, limit);
		check_health(c, policy);
		check_fallback(c, policy);
		check_pool(c, policy);
	}
}
