/* Doubts about what stands guard: breakers, ejection, health checks, limits, fallbacks, ACLs. */
#include <inttypes.h>

#include "base/mem.h"
#include "model/config_warn.h"

/* So many calls are let through in a time, at most. */
static double calls_in(const struct limit_config *limit, usec_t time)
{
	return (double)limit->rate.count * (double)time / (double)limit->rate.per + limit->burst;
}

static const struct limit_config *limit_of(const struct policy *p)
{
	const struct limit_config *limit = p->limits[policy_level(p)];

	if (limit == NULL && p->service && !p->method && !p->route)
		limit = p->limits[LEVEL_DEFAULTS];
	return limit && limit->has_rate && limit->by == LIMIT_BY_NONE ? limit : NULL;
}

static void of_breaker(struct check *c, const struct policy *p)
{
	const struct breaker_config *breaker = p->breakers[policy_level(p)];
	const struct limit_config *limit = limit_of(p);

	if (breaker == NULL)
		return;
	if (limit && calls_in(limit, breaker->policy.window) < (double)breaker->policy.min_samples)
		warn_part(c, WARN_BREAKER_SAMPLES, breaker, breaker->at, "min_samples",
		    "the limit lets fewer calls through in the window, so it never opens\nexpected "
		    "fewer min_samples, or a longer window");
	if ((double)breaker->policy.min_samples * breaker->policy.error_rate <= 1)
		warn_part(c, WARN_BREAKER_ONE, breaker, breaker->at, "min_samples",
		    "one failure is enough to stop all calls\nexpected more min_samples");
}

/* A name may stand for any number of endpoints. */
static bool is_counted(const struct service_config *service)
{
	for (size_t i = 0; i < service->n_endpoints; i++)
		if (service->endpoints[i].address.kind == ADDRESS_NAME)
			return false;
	return true;
}

static void of_eject(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {
	    "eject.at_most", "eject.consecutive", "eject.for", "eject.on", NULL};
	static const char *const at_most[] = {"eject.at_most", NULL};
	const struct service_config *s = p->service;

	if (s == NULL || p->method || p->route || p->eject.on == 0 || !is_counted(s))
		return;
	if (s->n_endpoints == 1 && warn_own(c, p, keys))
		warn_policy(c, WARN_EJECT, p, warn_own(c, p, keys),
		    "the only endpoint is never ejected\nleave it out, or expected several endpoints");
	else if (s->n_endpoints > 1 && (double)s->n_endpoints * p->eject.at_most < 1 &&
		 warn_own(c, p, at_most))
		warn_policy(c, WARN_EJECT, p, "eject.at_most",
		    "that is less than one of %zu endpoints, and one may be ejected all the same\n"
		    "expected a larger share, or eject: none",
		    s->n_endpoints);
}

static void of_health(struct check *c, const struct policy *p)
{
	static const char *const times[] = {"health.timeout", "health.interval", NULL};
	static const char *const method[] = {"health.method", NULL};
	static const char *const others[] = {"health.interval", "health.timeout", "health.rise",
	    "health.fall", "health.method", NULL};
	const char *own = warn_own(c, p, times);

	if (p->method || p->route)
		return;
	if (own && p->health.type != HEALTH_NONE && p->health.timeout >= p->health.interval)
		warn_policy(c, WARN_HEALTH_TIME, p, own,
		    "a check may take as long as the time to the next\nexpected health.timeout below "
		    "health.interval");
	if (p->health.type == HEALTH_TCP && p->health.method && warn_own(c, p, method))
		warn_policy(c, WARN_HEALTH_KEY, p, "health.method",
		    "a check of tcp only connects\nleave it out, or expected type: thrift or grpc");
	/* Defaults may say how, and a service whether. */
	if (p->health.type == HEALTH_NONE && p->service && warn_own(c, p, others))
		warn_policy(c, WARN_HEALTH_KEY, p, warn_own(c, p, others),
		    "there are no checks\nexpected type: tcp, thrift or grpc beside it");
}

static void of_fallback(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {"fallback.to.service", "fallback.on", NULL};
	const struct service_config *to = p->fallback;
	const char *own = warn_own(c, p, keys);

	if (to == NULL || p->fallback_on == 0 || p->service == NULL)
		return;
	if (to == p->service && (own || !p->method))
		warn_policy(c, WARN_FALLBACK_SELF, p, own ? own : "fallback.to.service",
		    "it is the service itself\nexpected another service; to ask again, retry");
	else if (own && to->policy.fallback == p->service && to->policy.fallback_on &&
		 strcmp(p->service->label, to->label) < 0)
		warn_policy(c, WARN_FALLBACK_LOOP, p, own,
		    "\"%s\" falls back to this service in turn\nexpected a service that can do without",
		    to->label);
}

static void of_queue(struct check *c, const struct policy *p)
{
	const struct limit_config *limit = p->limits[policy_level(p)];
	usec_t time = p->timeout_call != USEC_NONE ? p->timeout_call : p->timeout_default;

	if (limit && limit->queue_length && limit->queue_wait >= time)
		warn_part(c, WARN_QUEUE_WAIT, limit, limit->at, "queue.wait",
		    "a call has no time left when its turn comes\nexpected less than %s",
		    p->timeout_call != USEC_NONE ? "timeout.call" : "timeout.default");
}

static void of_method_limit(struct check *c, const struct policy *p)
{
	const struct limit_config *own = p->limits[LEVEL_METHOD];
	const struct limit_config *all =
	    p->limits[LEVEL_SERVICE] ? p->limits[LEVEL_SERVICE] : p->limits[LEVEL_DEFAULTS];

	if (!p->method || !own || !all || own->by != all->by || own->by != LIMIT_BY_NONE)
		return;
	if (own->has_rate && all->has_rate &&
	    (double)own->rate.count * (double)all->rate.per >=
		(double)all->rate.count * (double)own->rate.per)
		warn_part(c, WARN_METHOD_LIMIT, own, own->at, "rate",
		    "the limit of the whole service, %s, is reached first\nexpected a lower rate",
		    all->at);
	else if (own->concurrency != COUNT_NONE && all->concurrency != COUNT_NONE &&
		 own->concurrency >= all->concurrency)
		warn_part(c, WARN_METHOD_LIMIT, own, own->at, "concurrency",
		    "the limit of the whole service, %s, is reached first\nexpected fewer",
		    all->at);
}

static void of_the_rest(struct check *c, const struct policy *p)
{
	static const char *const degrade[] = {"degrade", NULL};
	static const char *const pool[] = {"pool.warm", "pool.keep", NULL};
	const char *own = warn_own(c, p, pool);

	if (p->degrade >= 1 && warn_own(c, p, degrade))
		warn_policy(c, WARN_DEGRADE, p, "degrade",
		    "every call is refused\nexpected a share below 100%%");
	if (own && p->pool_warm > p->pool_keep)
		warn_policy(c, WARN_POOL, p, own,
		    "more connections are made than are kept\nexpected pool.warm up to pool.keep, %u",
		    p->pool_keep);
}

void warn_of_guards(struct check *c, const struct policy *policy)
{
	of_breaker(c, policy);
	of_eject(c, policy);
	of_health(c, policy);
	of_fallback(c, policy);
	of_queue(c, policy);
	of_method_limit(c, policy);
	of_the_rest(c, policy);
}

/* ---- ACLs ---- */

static bool asks_for_ids(const struct match *match)
{
	for (size_t i = 0; i < match->n; i++)
		if (match->rules[i].key.kind == FACT_UID || match->rules[i].key.kind == FACT_GID)
			return true;
	return false;
}

static bool is_unix(const struct listener_config *listener)
{
	for (size_t i = 0; i < listener->n_addresses; i++)
		if (listener->addresses[i].kind != ADDRESS_IP)
			return true;
	return false;
}

/* A listener on a unix socket by which calls of this policy may come. Those that a route leads here
 * come by the listeners of another service. */
static bool has_unix_listener(const struct config *config, const struct policy *p)
{
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener_config *listener = &config->listeners[i];

		if (is_unix(listener) && (listener->service == NULL || p->service == NULL ||
					     p->route || listener->service == p->service))
			return true;
	}
	return false;
}

void warn_of_acl(struct check *c, const struct policy *p)
{
	const struct acl_config *acl = p->acls[policy_level(p)];
	bool knows_ids = acl && has_unix_listener(c->config, p);
	bool is_over = false;

	for (size_t i = 0; acl && i < acl->n; i++) {
		const struct acl_rule *rule = &acl->rules[i];

		if (is_over)
			warn_part(c, WARN_ACL, rule, rule->at, NULL,
			    "a rule before it matches every call\nexpected the rule for all to be the "
			    "last");
		is_over |= rule->match.n == 0 && rule->match.percent >= 1;
		if (!knows_ids && asks_for_ids(&rule->match))
			warn_part(c, WARN_ACL_ID, rule, rule->at, rule->is_allow ? "allow" : "deny",
			    "no caller has a uid or gid here: no listener is on a unix socket\nexpected "
			    "a listener with address: \"unix:/path\"");
	}
}
