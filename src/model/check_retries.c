/*
 * Rules about retries: how many there may be of a kind, and that what may run twice was said to be
 * safe. What a policy inherits is complained about where it was written, or, when only the two
 * together are wrong, where they meet.
 */
#include <stdio.h>

#include "model/config_bind.h"
#include "model/config_check.h"

static const char remedy_method[] =
    "expected idempotent: true at the method, or retry.unsafe: true, or only connect and unsent";

static const char *name_of(enum retry_type type)
{
	static const char *const names[] = {
	    "none", "failure", "backup", "mixed", "fork", "broadcast"};

	return names[type];
}

/* The key to point at: one that was written here. */
static const char *own_key(const struct check *c, const struct policy *policy)
{
	static const char *const keys[] = {"retry.type", "retry.on", "retry.unsafe"};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (check_is_own(c, policy, keys[i]))
			return keys[i];
	return NULL;
}

static unsigned most_attempts(enum retry_type type)
{
	return type == RETRY_BACKUP ? 2 : type == RETRY_MIXED ? 3 : RETRY_ATTEMPTS_MAX;
}

static void check_attempts(struct check *c, const struct policy *policy)
{
	const struct retry_policy *retry = &policy->retry;
	bool is_own = check_is_own(c, policy, "retry.attempts");

	if (retry->attempts == RETRY_ATTEMPTS_AUTO || retry->attempts <= most_attempts(retry->type))
		return;
	if (is_own || check_is_own(c, policy, "retry.type"))
		check_refuse(c, policy, is_own ? "retry.attempts" : "retry.type",
		    "%u attempts after the first are too many of %s\nexpected at most %u, or auto",
		    retry->attempts, name_of(retry->type), most_attempts(retry->type));
}

static void check_delay(struct check *c, const struct policy *policy)
{
	enum retry_type type = policy->retry.type;

	if (policy->retry.delay != USEC_NONE || (type != RETRY_BACKUP && type != RETRY_MIXED))
		return;
	if (check_is_own(c, policy, "retry.type") || check_is_own(c, policy, "retry.delay"))
		check_refuse(c, policy,
		    check_is_own(c, policy, "retry.delay") ? "retry.delay" : "retry.type",
		    "%s needs a time after which the next attempt leaves\nexpected retry.delay, somewhat "
		    "above the usual latency, like delay: 60ms",
		    name_of(type));
}

/* ---- what is safe ---- */

static const struct method_config *find_method(
    const struct service_config *service, const char *name)
{
	for (size_t i = 0; i < service->n_methods; i++)
		if (strcmp(service->methods[i].name, name) == 0)
			return &service->methods[i];
	return NULL;
}

/* Somebody has to say that calls may run twice, and nobody did. */
static bool needs_word(const struct policy *policy)
{
	return retry_needs_idempotent(&policy->retry) && !policy->retry.is_unsafe &&
	       !policy->is_idempotent;
}

static void check_method(struct check *c, const struct policy *policy)
{
	if (!needs_word(policy))
		return;
	check_refuse(c, policy, own_key(c, policy),
	    "these retries may run a call twice, and the method is not said to be idempotent\n%s",
	    remedy_method);
}

/* Methods that are not listed have the service's own policy, unless there is one for all of
 * them. */
static void check_service(struct check *c, const struct service_config *service)
{
	const struct origin *origin = origin_named(c->config, &service->policy, "retry.type");

	if (!needs_word(&service->policy) || find_method(service, "*"))
		return;
	if (origin_named(c->config, &service->policy, "retry.on"))
		origin = origin_named(c->config, &service->policy, "retry.on");
	check_refuse(c, &service->policy,
	    origin == origin_named(c->config, &service->policy, "retry.on") ? "retry.on"
									    : "retry.type",
	    "these retries may run a call twice, and methods that are not listed are not said to be "
	    "idempotent\nexpected methods: {\"*\": {idempotent: true}}, or retry.unsafe: true, or only "
	    "connect and unsent");
}

/* The policy of a route makes unsafe what was safe without it. */
static void check_route(struct check *c, const struct route_config *route)
{
	const struct policy *policy = route->policy;
	const struct service_config *service = policy->service;
	const char *key = own_key(c, policy);

	if (key == NULL || service->label == NULL)
		return;
	for (size_t i = 0; i < service->n_methods; i++) {
		const struct policy *merged = &route->methods[i];

		if (!needs_word(merged) || own_key(c, &service->methods[i].policy))
			continue;
		check_refuse(c, policy, key,
		    "these retries may run a call twice, and the method %s of \"%s\" is not said to be "
		    "idempotent\n%s",
		    service->methods[i].name, service->label, remedy_method);
		return;
	}
	if (needs_word(policy) && find_method(service, "*") == NULL)
		check_refuse(c, policy, key,
		    "these retries may run a call twice, and methods of \"%s\" that are not listed are "
		    "not said to be idempotent\nexpected methods: {\"*\": {idempotent: true}} there, or "
		    "retry.unsafe: true",
		    service->label);
}

void check_retries(struct check *c)
{
	for (size_t i = 0; i < c->config->n_policies; i++) {
		const struct policy *policy = c->config->policies[i];

		if (policy->route && policy->method)
			continue;
		check_attempts(c, policy);
		check_delay(c, policy);
		if (policy->route)
			check_route(c, policy->route);
		else if (policy->method)
			check_method(c, policy);
		else if (policy->service)
			check_service(c, policy->service);
	}
}
