#include "model/route.h"

#include <stdio.h>
#include <stdlib.h>

#include "model/deciding.h"
#include "model/route_group.h"
#include "model/route_name.h"

#define NO_METHOD SIZE_MAX

/* ---- route ---- */

static const struct service *service_of(
    const struct snapshot *s, const struct service_config *config)
{
	return table_get(&s->by_name, slice_str(config->label));
}

static void tell_service(const struct deciding *w, const char *why)
{
	const struct config *config = w->s->config;
	char at[64];

	if (w->trace == NULL)
		return;
	snprintf(at, sizeof at, "listeners[%td]", w->facts->listener - config->listeners);
	if (w->d.service)
		deciding_tell(w, true, at, "service %s: %s", w->d.service->config->label, why);
	else
		deciding_tell(w, false, at, "%s", why);
}

static int choose_service(struct deciding *w)
{
	const char *why;

	w->d.service = route_find_service(w->s, w->facts, &why, &w->d.wanted);
	tell_service(w, why);
	if (w->d.service == NULL)
		return deciding_refuse(w, REASON_NO_ROUTE, NULL, why);
	w->d.why = why;
	return 0;
}

static void choose_route(struct deciding *w)
{
	const struct service_config *service = w->d.service->config;

	for (size_t i = 0; i < service->n_routes; i++) {
		const struct route_config *route = &service->routes[i];

		if (!deciding_matches(w, route->at, "", &route->match))
			continue;
		w->d.route = route;
		if (route->to)
			w->d.service = service_of(w->s, route->to);
		return;
	}
}

static int compare_method(const void *key, const void *element)
{
	const struct slice *name = key;
	const struct method_config *method = element;

	return slice_cmp(*name, slice_str(method->name));
}

/* Which of the service's methods it is, "*" included. */
static size_t find_method(const struct service_config *service, struct slice name)
{
	const struct method_config *found;
	struct slice all = SLICE_LIT("*");

	if (service->n_methods == 0)
		return NO_METHOD;
	found = bsearch(
	    &name, service->methods, service->n_methods, sizeof *service->methods, compare_method);
	if (found == NULL)
		found = bsearch(&all, service->methods, service->n_methods,
		    sizeof *service->methods, compare_method);
	return found ? (size_t)(found - service->methods) : NO_METHOD;
}

static void choose_policy(struct deciding *w)
{
	const struct service_config *service = w->d.service->config;
	const struct route_config *route = w->d.route;
	size_t method = find_method(service, w->facts->method);

	if (route && route->has_policy)
		w->d.policy = method == NO_METHOD ? route->policy : &route->methods[method];
	else
		w->d.policy =
		    method == NO_METHOD ? &service->policy : &service->methods[method].policy;
	w->d.guard = &w->s->guards[w->d.policy->index];
}

/* ---- acl, degrade, faults ---- */

static int check_acls(struct deciding *w)
{
	static const enum level order[] = {
	    LEVEL_METHOD, LEVEL_ROUTE, LEVEL_SERVICE, LEVEL_DEFAULTS};
	bool has_allow = false;

	for (size_t i = 0; i < LEVELS; i++) {
		const struct acl_config *acl = w->d.policy->acls[order[i]];

		for (size_t k = 0; acl && k < acl->n; k++) {
			const struct acl_rule *rule = &acl->rules[k];

			has_allow |= rule->is_allow;
			if (!deciding_matches(
				w, rule->at, rule->is_allow ? "allow: " : "deny: ", &rule->match))
				continue;
			if (rule->is_allow)
				return 0;
			return deciding_refuse(
			    w, REASON_ACL_DENIED, rule->at, "a rule of the acl denies it");
		}
	}
	if (!has_allow)
		return 0;
	return deciding_refuse(w, REASON_ACL_DENIED, NULL, "no rule of the acl allows it");
}

static int draw_degrade(struct deciding *w)
{
	double share = w->d.policy->degrade;

	if (!(share > 0) || !deciding_draw(w, "degrade", share))
		return 0;
	return deciding_refuse(w, REASON_DEGRADED, NULL, "degrade refuses a share of the calls");
}

/* Of the route: its fault, its mirror. */
static bool draw_at(const struct deciding *w, const char *what, double share)
{
	char at[256] = "";

	if (w->trace)
		snprintf(at, sizeof at, "%s.%s", w->d.route->at, what);
	return deciding_draw(w, at, share);
}

static void draw_faults(struct deciding *w)
{
	const struct route_config *r = w->d.route;

	if (r == NULL)
		return;
	if (r->fault.delay && draw_at(w, "fault.delay", r->fault.delay_percent))
		w->d.delay = r->fault.delay;
	w->d.abort = r->fault.has_abort && draw_at(w, "fault.abort", r->fault.abort_percent);
	w->d.is_mirrored = r->mirror && draw_at(w, "mirror", r->mirror_percent);
}

/* ---- all of it ---- */

static void decide(struct deciding *w)
{
	if (choose_service(w) < 0)
		return;
	choose_route(w);
	choose_policy(w);
	if (w->d.route == NULL && w->d.service->config->n_endpoints == 0 &&
	    w->d.service->config->discover.from == NULL) {
		deciding_refuse(w, REASON_NO_ROUTE, NULL,
		    "no route of the service matches, and it has no endpoints of its own");
		return;
	}
	if (check_acls(w) < 0 || draw_degrade(w) < 0)
		return;
	draw_faults(w);
	if (route_choose_group(w) == 0)
		route_find_hash(w);
}

struct route_decision route_decide(const struct snapshot *s, const struct call_facts *facts,
    struct rng *rng, const struct route_trace *trace)
{
	struct deciding w;

	deciding_init(&w, s, facts);
	w.rng = rng;
	w.trace = trace;
	decide(&w);
	return w.d;
}

struct route_decision route_to(
    const struct snapshot *s, const struct service_config *service, const struct call_facts *facts)
{
	struct deciding w;

	deciding_init(&w, s, facts);
	w.d.service = service_of(s, service);
	w.d.why = "another service leads here";
	choose_policy(&w);
	if (route_choose_group(&w) == 0)
		route_find_hash(&w);
	return w.d;
}
