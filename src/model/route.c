#include "model/route.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/rng.h"
#include "model/balance.h"
#include "model/key_path.h"
#include "model/route_name.h"

#define NO_METHOD SIZE_MAX

/* One decision while it is made. */
struct deciding {
	const struct snapshot *s;
	const struct call_facts *facts;
	struct fact_source source; /* of everything that is known, call_facts included */
	struct rng *rng;
	const struct route_trace *trace;
	struct route_decision d;
};

/* ---- what is heard of it ---- */

static void tell(const struct deciding *w, bool matched, const char *at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void tell(const struct deciding *w, bool matched, const char *at, const char *format, ...)
{
	char why[512];
	va_list args;

	if (w->trace == NULL)
		return;
	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	w->trace->rule(w->trace->arg, at, matched, why);
}

static void tell_service(const struct deciding *w, const char *why)
{
	const struct config *config = w->s->config;
	char at[64];

	if (w->trace == NULL)
		return;
	snprintf(at, sizeof at, "listeners[%td]", w->facts->listener - config->listeners);
	if (w->d.service)
		tell(w, true, at, "service %s: %s", w->d.service->config->label, why);
	else
		tell(w, false, at, "%s", why);
}

/* All rules hold: each of them is worth a word. */
static void describe_all(const struct deciding *w, const struct match *m, char *why, size_t size)
{
	size_t len = 0;

	snprintf(why, size, "every call");
	for (size_t i = 0; i < m->n && len + 3 < size; i++) {
		if (i > 0)
			len += (size_t)snprintf(why + len, size - len, "; ");
		match_describe(&m->rules[i], &w->source, why + len, size - len);
		len += strlen(why + len);
	}
}

static void print_share(char *room, size_t size, bool is_drawn, double share)
{
	if (share >= 1)
		snprintf(room, size, "every call");
	else
		snprintf(room, size, "%s, at %g%%", is_drawn ? "drawn" : "not drawn", share * 100);
}

/* @does: what the rule is for, "allow: ", or "". */
static bool matches(
    const struct deciding *w, const char *at, const char *does, const struct match *m)
{
	const struct match_rule *failing = match_find_failing(m, &w->source);
	bool is_drawn = failing == NULL && rng_chance(w->rng, m->percent);
	char why[400], share[64];

	if (w->trace == NULL)
		return is_drawn;
	print_share(share, sizeof share, is_drawn, m->percent);
	if (failing)
		match_describe(failing, &w->source, why, sizeof why);
	else
		describe_all(w, m, why, sizeof why);
	if (failing || m->percent >= 1)
		tell(w, is_drawn, at, "%s%s", does, why);
	else
		tell(w, is_drawn, at, "%s%s; %s", does, why, share);
	return is_drawn;
}

/* ---- facts ---- */

/* What the head of a call says anyway is not asked for; what a route sets is what the service that it
 * leads to goes by. */
static bool find_fact(const void *arg, const struct fact_key *key, struct slice *value)
{
	const struct deciding *w = arg;
	const struct call_facts *f = w->facts;

	switch (key->kind) {
	case FACT_METHOD:
		*value = f->method;
		return f->method.len > 0;
	case FACT_IDL_SERVICE:
		*value = f->idl_service;
		return f->idl_service.len > 0;
	case FACT_SERVICE:
		*value = f->service_asked;
		return f->service_asked.len > 0;
	default:
		return f->more.find && f->more.find(f->more.call, key, value);
	}
}

static bool find_after_route(
    const struct deciding *w, const struct fact_key *key, char room[FACT_ROOM], struct slice *value)
{
	const struct route_config *r = w->d.route;

	for (size_t i = 0; r && i < r->n_set; i++)
		if (fact_key_eq(&r->set[i].key, key)) {
			*value = r->set[i].value;
			return true;
		}
	for (size_t i = 0; r && i < r->n_remove; i++)
		if (fact_key_eq(&r->remove[i], key))
			return false;
	return fact_find(&w->source, key, room, value);
}

/* ---- route ---- */

static int refuse(struct deciding *w, enum reason reason, const char *at, const char *why)
{
	w->d.reason = reason;
	w->d.at = at;
	w->d.why = why;
	return -1;
}

static const struct service *service_of(
    const struct snapshot *s, const struct service_config *config)
{
	return table_get(&s->by_name, slice_str(config->label));
}

static int choose_service(struct deciding *w)
{
	const char *why;

	w->d.service = route_find_service(w->s, w->facts, &why);
	tell_service(w, why);
	if (w->d.service == NULL)
		return refuse(w, REASON_NO_ROUTE, NULL, why);
	w->d.why = why;
	return 0;
}

static void choose_route(struct deciding *w)
{
	const struct service_config *service = w->d.service->config;

	for (size_t i = 0; i < service->n_routes; i++) {
		const struct route_config *route = &service->routes[i];

		if (!matches(w, route->at, "", &route->match))
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
			if (!matches(
				w, rule->at, rule->is_allow ? "allow: " : "deny: ", &rule->match))
				continue;
			if (rule->is_allow)
				return 0;
			return refuse(
			    w, REASON_ACL_DENIED, rule->at, "a rule of the acl denies it");
		}
	}
	if (!has_allow)
		return 0;
	return refuse(w, REASON_ACL_DENIED, NULL, "no rule of the acl allows it");
}

static bool draw(const struct deciding *w, const char *at, double share)
{
	bool is_drawn = rng_chance(w->rng, share);
	char why[64];

	if (w->trace) {
		print_share(why, sizeof why, is_drawn, share);
		tell(w, is_drawn, at, "%s", why);
	}
	return is_drawn;
}

static int draw_degrade(struct deciding *w)
{
	double share = w->d.policy->degrade;

	if (!(share > 0) || !draw(w, "degrade", share))
		return 0;
	return refuse(w, REASON_DEGRADED, NULL, "degrade refuses a share of the calls");
}

/* Of the route: its fault, its mirror. */
static bool draw_at(const struct deciding *w, const char *what, double share)
{
	char at[256] = "";

	if (w->trace)
		snprintf(at, sizeof at, "%s.%s", w->d.route->at, what);
	return draw(w, at, share);
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

/* ---- group ---- */

/* The groups stand as snapshot.h says: all, the subsets, the base of subset_by. */
static const struct endpoint_group *all_of(const struct service *service)
{
	return &service->groups[0];
}

static const struct endpoint_group *base_of(const struct service *service)
{
	return &service->groups[1 + service->config->n_subsets];
}

/* A part without a subset is the base of subset_by. */
static const struct endpoint_group *group_of(
    const struct service *service, const struct subset_config *subset)
{
	return subset ? balance_group_of(service, subset) : base_of(service);
}

static const struct endpoint_group *draw_split(struct deciding *w)
{
	const struct route_config *r = w->d.route;
	const struct split_part *part = r->split;
	char room[FACT_ROOM];
	struct slice value;
	bool is_stuck;
	uint64_t point;

	if (r->n_split == 1)
		return group_of(w->d.service, part->subset);
	is_stuck = r->sticky.kind != FACT_NONE && find_after_route(w, &r->sticky, room, &value);
	point = is_stuck ? lb_hash(value) % r->split_total : rng_below(w->rng, r->split_total);
	while (point >= part->weight)
		point -= (part++)->weight;
	if (w->trace) {
		char at[256];

		snprintf(at, sizeof at, "%s.split", r->at);
		tell(w, true, at, "%s has %u of %u, drawn by %s",
		    part->subset ? part->subset->name : "base", part->weight, r->split_total,
		    is_stuck ? "the sticky key" : "chance");
	}
	return group_of(w->d.service, part->subset);
}

/* A route names the subset; where it is empty, the route's fallback. */
static int choose_named_group(struct deciding *w)
{
	const struct route_config *r = w->d.route;
	const struct endpoint_group *other = NULL;

	w->d.group = r->n_split ? draw_split(w) : group_of(w->d.service, r->subset);
	if (w->d.group->n)
		return 0;
	if (r->fallback_any)
		other = all_of(w->d.service);
	else if (r->fallback)
		other = balance_group_of(w->d.service, r->fallback);
	if (other && w->trace) {
		char at[256];

		snprintf(at, sizeof at, "%s.fallback", r->at);
		tell(w, other->n > 0, at, "the subset is empty");
	}
	if (other && other->n) {
		w->d.group = other;
		return 0;
	}
	return refuse(w, REASON_NO_ENDPOINT, r->at, "the subset that the route leads to is empty");
}

static void tell_subset_by(const struct deciding *w, struct slice value, bool is_found)
{
	const struct subset_by_config *by = &w->d.service->config->subset_by;
	static const char *const falls_back[] = {
	    [SUBSET_BASE] = "base", [SUBSET_ANY] = "any", [SUBSET_NONE] = "none"};
	struct key_path at = {.len = 0};
	char text[LOG_ESCAPED_MAX];

	if (w->trace == NULL)
		return;
	key_path_key(&at, SLICE_LIT("services"));
	key_path_key(&at, w->d.service->label);
	key_path_key(&at, SLICE_LIT("subset_by"));
	log_escape(text, sizeof text, slice_first(value, 64));
	if (is_found)
		tell(w, true, at.text, "endpoints with %s \"%s\"", by->tag, text);
	else if (value.len)
		tell(w, false, at.text, "no endpoint has %s \"%s\": fallback %s", by->tag, text,
		    falls_back[by->fallback]);
	else
		tell(w, false, at.text, "there is no %.*s: fallback %s", (int)by->key.text.len,
		    (const char *)by->key.text.data, falls_back[by->fallback]);
}

static int choose_group_by(struct deciding *w)
{
	const struct subset_by_config *by = &w->d.service->config->subset_by;
	char room[FACT_ROOM];
	struct slice value = SLICE_NONE;
	bool is_found;

	if (!find_after_route(w, &by->key, room, &value))
		value = SLICE_NONE;
	if (value.len)
		w->d.group = balance_group_by(w->d.service, value);
	is_found = w->d.group && w->d.group->n;
	tell_subset_by(w, value, is_found);
	if (is_found)
		return 0;
	switch (by->fallback) {
	case SUBSET_BASE:
		w->d.group = base_of(w->d.service);
		break;
	case SUBSET_ANY:
		w->d.group = all_of(w->d.service);
		break;
	case SUBSET_NONE:
		break;
	}
	if (w->d.group && w->d.group->n)
		return 0;
	return refuse(w, REASON_NO_ENDPOINT, NULL,
	    by->fallback == SUBSET_BASE ? "no endpoint is without the tag of subset_by"
					: "no endpoint has the tag of subset_by that it asks for");
}

static const char *why_empty(enum endpoint_state state)
{
	switch (state) {
	case ENDPOINTS_UNKNOWN:
		return "its endpoints are not known yet";
	case ENDPOINTS_FRESH:
	case ENDPOINTS_STALE:
	case ENDPOINTS_EMPTY:
		break;
	}
	return "it has no endpoints";
}

static int choose_group(struct deciding *w)
{
	const struct service *service = w->d.service;
	const struct route_config *r = w->d.route;

	if (service->n_endpoints == 0) {
		w->d.group = all_of(service);
		return refuse(w, REASON_NO_ENDPOINT, NULL, why_empty(service->state));
	}
	if (r && (r->subset || r->n_split))
		return choose_named_group(w);
	if (service->config->subset_by.tag)
		return choose_group_by(w);
	w->d.group = all_of(service);
	return 0;
}

/* ---- hash ---- */

/* Kitex's clients say by these which instance they mean. */
static const struct fact_key ring_keys[] = {
    {.kind = FACT_INT, .number = 14, .text = SLICE_LIT("int.ring_hash_key")},
    {.kind = FACT_INT, .number = 24, .text = SLICE_LIT("int.raw_ring_hash_key")},
};

static void find_hash(struct deciding *w)
{
	const struct balance_config *b = &w->d.service->config->balance;
	const struct fact_key *keys = b->key.kind == FACT_NONE ? ring_keys : &b->key;
	size_t n = b->key.kind == FACT_NONE ? 2 : 1;
	char room[FACT_ROOM];
	struct slice value;

	if (b->type != LB_CONSISTENT_HASH && b->type != LB_MAGLEV)
		return;
	for (size_t i = 0; i < n; i++)
		if (find_after_route(w, &keys[i], room, &value)) {
			w->d.has_hash = true;
			w->d.hash = lb_hash(value);
			return;
		}
}

/* ---- all of it ---- */

static struct deciding begin(const struct snapshot *s, const struct call_facts *facts)
{
	return (struct deciding){.s = s,
	    .facts = facts,
	    .source = {find_fact, NULL, facts->more.address, facts->more.uid, facts->more.gid}};
}

static void decide(struct deciding *w)
{
	if (choose_service(w) < 0)
		return;
	choose_route(w);
	choose_policy(w);
	if (w->d.route == NULL && w->d.service->config->n_endpoints == 0) {
		refuse(w, REASON_NO_ROUTE, NULL,
		    "no route of the service matches, and it has no endpoints of its own");
		return;
	}
	if (check_acls(w) < 0 || draw_degrade(w) < 0)
		return;
	draw_faults(w);
	if (choose_group(w) == 0)
		find_hash(w);
}

struct route_decision route_decide(const struct snapshot *s, const struct call_facts *facts,
    struct rng *rng, const struct route_trace *trace)
{
	struct deciding w = begin(s, facts);

	w.source.call = &w;
	w.rng = rng;
	w.trace = trace;
	decide(&w);
	return w.d;
}

struct route_decision route_to(
    const struct snapshot *s, const struct service_config *service, const struct call_facts *facts)
{
	struct deciding w = begin(s, facts);

	w.source.call = &w;
	w.d.service = service_of(s, service);
	w.d.why = "another service leads here";
	choose_policy(&w);
	if (choose_group(&w) == 0)
		find_hash(&w);
	return w.d;
}
