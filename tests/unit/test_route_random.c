/*
 * Decisions about 100 000 random calls in random worlds: each is what a second, naive reading of
 * the rules says, and the explanation of a call is of what happens to it.
 */
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/balance.h"
#include "model/config_bind.h"
#include "model/explain.h"
#include "support/suite.h"

#define WORLDS     200
#define CALLS      500
#define ENDPOINTS  7
#define ROUTES_MAX 6
#define RULES_MAX  3
#define SERVICES   3
#define POLICIES   64

/* ---- a world out of chance ---- */

struct world {
	struct arena arena;
	struct rng rng;
	struct config config;
	struct config_origins origins;
	struct listener_config listener;
	struct service_config services[SERVICES]; /* a and b have endpoints, c only routes */
	const struct service_config *list[SERVICES];
	const struct policy *policies[POLICIES];
	struct snapshot *snapshot;
	struct shared_config *shared;
};

static unsigned upto(struct world *w, unsigned bound)
{
	return (unsigned)rng_below(&w->rng, bound);
}

static bool coin(struct world *w)
{
	return upto(w, 2) == 0;
}

/* The values that facts have and rules ask for: few, so that they meet. */
static const char *const words[] = {"", "gray", "blue", "gray-blue", "web", "cart", "7"};
static const char *const methods[] = {"Get", "Put", "Delete"};
static const char *const lanes[] = {"", "gray", "blue"};
static const char *const keys[] = {"method", "caller", "meta.env", "header.x", "int.21",
    "field.1.2", "uid", "idl_service", "caller_method"};
static const char *const patterns[] = {"^gray", "a", "^$", "e$", "^(web|cart)$"};
static const char *const networks[] = {"10.0.0.0/8", "192.168.1.0/24", "::1"};
static regex_t regexes[ARRAY_LEN(patterns)];

static double random_share(struct world *w)
{
	static const double shares[] = {1, 1, 1, 0.5, 0.1, 0};

	return shares[upto(w, ARRAY_LEN(shares))];
}

static struct fact_key random_key(struct world *w)
{
	struct fact_key key;

	ck_assert_ptr_null(
	    fact_key_parse(&key, slice_str(keys[upto(w, ARRAY_LEN(keys))]), &w->arena));
	return key;
}

static void random_rule(struct world *w, struct match_rule *rule)
{
	struct slice *texts = arena_calloc(&w->arena, 2, sizeof *texts);
	size_t pattern = upto(w, ARRAY_LEN(patterns));
	struct cidr *cidr = arena_calloc(&w->arena, 1, sizeof *cidr);

	for (int i = 0; i < 2; i++)
		texts[i] = slice_str(words[upto(w, ARRAY_LEN(words))]);
	*rule = (struct match_rule){.key = random_key(w),
	    .how = (enum match_how)upto(w, MATCH_CIDR + 1),
	    .is_negated = upto(w, 4) == 0,
	    .texts = texts};
	rule->n_texts = rule->how == MATCH_IN ? 2 : 1;
	if (rule->key.kind == FACT_METHOD)
		texts[0] = slice_str(methods[upto(w, ARRAY_LEN(methods))]);
	if (rule->how == MATCH_REGEX) {
		texts[0] = slice_str(patterns[pattern]);
		rule->regex = &regexes[pattern];
	}
	if (rule->how == MATCH_CIDR) {
		rule->key = (struct fact_key){.kind = FACT_SOURCE, .text = SLICE_LIT("source")};
		ck_assert(cidr_parse(cidr, slice_str(networks[upto(w, ARRAY_LEN(networks))])));
		rule->cidrs = cidr;
		rule->n_cidrs = 1;
	}
}

static struct match random_match(struct world *w)
{
	size_t n = upto(w, RULES_MAX + 1);
	struct match_rule *rules = arena_calloc(&w->arena, n, sizeof *rules);

	for (size_t i = 0; i < n; i++)
		random_rule(w, &rules[i]);
	return (struct match){rules, n, random_share(w)};
}

static const struct acl_config *random_acl(struct world *w)
{
	struct acl_config *acl = arena_calloc(&w->arena, 1, sizeof *acl);
	struct acl_rule *rules;

	if (upto(w, 4) != 0)
		return NULL;
	acl->n = 1 + upto(w, 3);
	acl->rules = rules = arena_calloc(&w->arena, acl->n, sizeof *rules);
	for (size_t i = 0; i < acl->n; i++)
		rules[i] = (struct acl_rule){
		    arena_printf(&w->arena, "acl[%zu]", i), coin(w), random_match(w)};
	return acl;
}

static void random_policy(struct world *w, struct policy *p, const struct service_config *service)
{
	*p = (struct policy){.timeout_call = USEC_S,
	    .degrade = upto(w, 4) ? 0 : random_share(w),
	    .service = service,
	    .index = w->config.n_policies};
	for (size_t level = 0; level < LEVELS; level++)
		p->acls[level] = random_acl(w);
	ck_assert_uint_lt(p->index, POLICIES);
	w->policies[w->config.n_policies++] = p;
}

/* Tags as the file has them: one lane, or none. */
static struct config_map lane_map(struct world *w, const char *lane)
{
	struct config_pair *pair = arena_calloc(&w->arena, 1, sizeof *pair);

	*pair = (struct config_pair){"lane", lane};
	return (struct config_map){pair, 1};
}

static void random_methods(struct world *w, struct service_config *s)
{
	static const char *const names[] = {"*", "Get", "Put"}; /* sorted */
	struct method_config *list = arena_calloc(&w->arena, ARRAY_LEN(names), sizeof *list);

	s->methods = list;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (coin(w))
			continue;
		list[s->n_methods].name = names[i];
		random_policy(w, &list[s->n_methods++].policy, s);
	}
}

static void random_service(struct world *w, struct service_config *s, const char *label)
{
	static const char *const names[] = {"blue", "gray", "nobody"}; /* sorted */
	struct subset_config *subsets = arena_calloc(&w->arena, ARRAY_LEN(names), sizeof *subsets);

	*s = (struct service_config){.label = label, .name = label, .subsets = subsets};
	s->n_subsets = ARRAY_LEN(names);
	for (size_t i = 0; i < s->n_subsets; i++)
		subsets[i] = (struct subset_config){names[i], lane_map(w, names[i])};
	s->n_endpoints = label[0] == 'c' ? 0 : ENDPOINTS;
	s->balance = (struct balance_config){.type = coin(w) ? LB_MAGLEV : LB_RANDOM,
	    .virtual_nodes = 10,
	    .choices = 2,
	    .slow_start = USEC_NONE,
	    .panic = 0.5};
	if (coin(w))
		s->balance.key = random_key(w);
	if (coin(w))
		s->subset_by = (struct subset_by_config){
		    "lane", random_key(w), (enum subset_fallback)upto(w, 3)};
	random_policy(w, &s->policy, s);
	random_methods(w, s);
}

static const struct subset_config *random_subset(struct world *w, const struct service_config *s)
{
	return &s->subsets[upto(w, (unsigned)s->n_subsets)];
}

static void random_split(struct world *w, struct route_config *r, const struct service_config *to)
{
	struct split_part *parts = arena_calloc(&w->arena, 3, sizeof *parts);

	r->split = parts;
	r->n_split = 1 + upto(w, 3);
	for (size_t i = 0; i < r->n_split; i++) {
		parts[i].subset = random_subset(w, to);
		if (to->subset_by.tag && coin(w))
			parts[i].subset = NULL; /* base */
		parts[i].weight = 1 + upto(w, 50);
		r->split_total += parts[i].weight;
	}
	if (coin(w))
		r->sticky = random_key(w);
}

static void random_changes(struct world *w, struct route_config *r)
{
	struct route_change *set = arena_calloc(&w->arena, 1, sizeof *set);
	struct fact_key *removed = arena_calloc(&w->arena, 1, sizeof *removed);

	if (coin(w))
		return;
	set->to = random_key(w);
	set->value = slice_str(words[upto(w, ARRAY_LEN(words))]);
	*removed = random_key(w);
	r->set = set;
	r->n_set = upto(w, 2);
	r->remove = removed;
	r->n_remove = upto(w, 2);
}

static void random_route(struct world *w, struct route_config *r, const struct service_config *own)
{
	const struct service_config *to = own;

	*r = (struct route_config){.match = random_match(w)};
	r->at = arena_printf(&w->arena, "services.%s.routes[%td]", own->label, r - own->routes);
	if (own->n_endpoints == 0 || upto(w, 3) == 0)
		r->to = to = &w->services[upto(w, 2)];
	if (coin(w))
		r->subset = random_subset(w, to);
	else if (coin(w))
		random_split(w, r, to);
	if (coin(w))
		r->fallback = random_subset(w, to);
	else
		r->fallback_any = coin(w);
	random_changes(w, r);
	if (upto(w, 3) == 0)
		r->fault = (struct fault_config){.delay = upto(w, 2) * USEC_MS,
		    .delay_percent = random_share(w),
		    .has_abort = coin(w),
		    .abort_reason = REASON_FAULT_INJECTED,
		    .abort_percent = random_share(w)};
	if (upto(w, 4) == 0) {
		r->mirror = &w->services[1];
		r->mirror_percent = random_share(w);
	}
}

static void random_route_policy(
    struct world *w, struct route_config *r, const struct service_config *own)
{
	const struct service_config *to = r->to ? r->to : own;
	struct policy *list;

	r->has_policy = upto(w, 3) == 0;
	if (!r->has_policy)
		return;
	list = arena_calloc(&w->arena, to->n_methods + 1, sizeof *list);
	for (size_t i = 0; i <= to->n_methods; i++)
		random_policy(w, &list[i], to);
	r->methods = list;
	r->policy = &list[to->n_methods];
}

static void random_routes(struct world *w, struct service_config *s)
{
	size_t n = upto(w, ROUTES_MAX + 1);
	struct route_config *routes = arena_calloc(&w->arena, n, sizeof *routes);

	s->routes = routes;
	s->n_routes = n;
	for (size_t i = 0; i < n; i++) {
		random_route(w, &routes[i], s);
		random_route_policy(w, &routes[i], s);
	}
}

static void random_endpoints(struct world *w, struct endpoint *list)
{
	for (size_t i = 0; i < ENDPOINTS; i++) {
		const char *text = arena_printf(&w->arena, "127.0.0.1:%zu", 9000 + i);
		const char *lane = lanes[upto(w, ARRAY_LEN(lanes))];
		struct err err;

		list[i] = (struct endpoint){.weight = 10};
		ck_assert_int_eq(address_parse(&list[i].address, slice_str(text), &err), 0);
		if (*lane)
			list[i].tags = lane_map(w, lane);
	}
}

static void take_snapshot(struct world *w)
{
	struct endpoint endpoints[2][ENDPOINTS];
	struct endpoint_set sets[SERVICES] = {{endpoints[0], ENDPOINTS, ENDPOINTS_FRESH},
	    {endpoints[1], ENDPOINTS, ENDPOINTS_FRESH}, {NULL, 0, ENDPOINTS_EMPTY}};
	struct tallies *tallies = tallies_new();

	random_endpoints(w, endpoints[0]);
	random_endpoints(w, endpoints[1]);
	if (upto(w, 10) == 0)
		sets[upto(w, 2)] = (struct endpoint_set){NULL, 0, ENDPOINTS_EMPTY};
	w->shared = shared_config_new(&w->config);
	w->snapshot = snapshot_new(w->shared, sets, tallies, NULL, 0);
	tallies_free(&tallies);
}

static void begin_world(struct world *w, uint64_t seed)
{
	static const char *const labels[] = {"a", "b", "c"};

	*w = (struct world){.config = {.n_services = SERVICES, .n_listeners = 1}};
	arena_init(&w->arena, NULL, 0);
	rng_init(&w->rng, seed);
	w->listener = (struct listener_config){.name = "in"};
	w->config.listeners = &w->listener;
	w->config.services = w->list;
	w->config.policies = w->policies;
	w->config.origins = &w->origins;
	for (size_t i = 0; i < SERVICES; i++) {
		random_service(w, &w->services[i], labels[i]);
		w->list[i] = &w->services[i];
	}
	for (size_t i = 0; i < SERVICES; i++)
		random_routes(w, &w->services[i]);
	take_snapshot(w);
}

static void end_world(struct world *w)
{
	snapshot_unref(&w->snapshot);
	w->shared->config = NULL;
	shared_config_unref(&w->shared);
	arena_fini(&w->arena);
}

/* ---- a call out of chance ---- */

struct request {
	const char *service, *method;
	const char *values[ARRAY_LEN(keys)]; /* by the index of the key; NULL: absent */
	struct sockaddr_in address;
	bool has_address;
};

static const char *value_named(const struct request *r, struct slice name)
{
	if (slice_eq_str(name, "method"))
		return r->method;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (slice_eq_str(name, keys[i]))
			return r->values[i];
	return NULL;
}

static bool find(const void *call, const struct fact_key *key, struct slice *value)
{
	const char *text = value_named(call, key->text);

	*value = slice_str(text);
	return text != NULL;
}

static void random_request(struct world *w, struct request *r)
{
	static const char *const from[] = {"10.1.2.3", "192.168.1.7", "172.16.0.1"};
	static const char *const services[] = {"a", "a", "b", "c", "c", "nobody"};

	*r = (struct request){.service = services[upto(w, ARRAY_LEN(services))],
	    .method = methods[upto(w, ARRAY_LEN(methods))],
	    .address = {.sin_family = AF_INET},
	    .has_address = upto(w, 4) != 0};
	for (size_t i = 1; i < ARRAY_LEN(keys); i++)
		if (coin(w))
			r->values[i] = words[upto(w, ARRAY_LEN(words))];
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i], "uid") == 0)
			r->values[i] = coin(w) ? "7" : NULL;
		else if (strcmp(keys[i], "idl_service") == 0 && r->values[i] && !*r->values[i])
			r->values[i] = NULL;
	inet_pton(AF_INET, from[upto(w, ARRAY_LEN(from))], &r->address.sin_addr);
}

static struct call_facts facts_of(const struct world *w, const struct request *r)
{
	return (struct call_facts){.listener = &w->listener,
	    .service_asked = slice_str(r->service),
	    .idl_service = slice_str(value_named(r, SLICE_LIT("idl_service"))),
	    .method = slice_str(r->method),
	    .more = {.find = find,
		.call = r,
		.address = r->has_address ? (const struct sockaddr *)&r->address : NULL,
		.uid = value_named(r, SLICE_LIT("uid")) ? 7 : -1,
		.gid = -1}};
}

/* ---- the rules read a second time, without haste ---- */

/* What should come of a call. */
struct expected {
	enum reason reason;
	const struct service_config *service;
	const struct policy *policy;
	const struct route_config *route;
	bool has_group, has_hash, abort, is_mirrored;
	const char *tag; /* of the members of the group; "*": all endpoints */
	uint64_t hash;
	usec_t delay;
};

static bool chance(struct rng *rng, double share)
{
	if (share == 1 || share == 0)
		return share == 1;
	return ldexp((double)(rng_next(rng) >> 11), -53) < share;
}

static bool is_in(const struct request *r, const struct cidr *c)
{
	const uint8_t *bytes = (const uint8_t *)&r->address.sin_addr;

	if (!r->has_address || c->family != AF_INET)
		return false;
	for (unsigned bit = 0; bit < c->bits; bit++)
		if ((bytes[bit / 8] ^ c->bytes[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}

static bool reads(const struct request *r, const struct match_rule *rule)
{
	const char *value = value_named(r, rule->key.text);
	char text[32];
	size_t n;

	if (rule->how == MATCH_CIDR)
		return is_in(r, rule->cidrs);
	if (rule->how == MATCH_ABSENT)
		return value == NULL;
	if (value == NULL)
		return false;
	snprintf(
	    text, sizeof text, "%.*s", (int)rule->texts[0].len, (const char *)rule->texts[0].data);
	n = strlen(text);
	if (rule->how == MATCH_EXACT)
		return strcmp(value, text) == 0;
	if (rule->how == MATCH_PREFIX)
		return strstr(value, text) == value;
	if (rule->how == MATCH_SUFFIX)
		return strlen(value) >= n && strcmp(value + strlen(value) - n, text) == 0;
	if (rule->how == MATCH_REGEX)
		return regexec(rule->regex, value, 0, NULL, 0) == 0;
	if (rule->how == MATCH_IN)
		return strcmp(value, text) == 0 || slice_eq_str(rule->texts[1], value);
	return true;
}

static bool all_read(const struct request *r, const struct match *m, struct rng *rng)
{
	bool all = true;

	for (size_t i = 0; i < m->n; i++)
		if (m->rules[i].is_negated)
			all = all && !reads(r, &m->rules[i]);
		else
			all = all && reads(r, &m->rules[i]);
	return all && chance(rng, m->percent);
}

static const struct policy *policy_for(const struct expected *e, const char *method)
{
	const struct service_config *s = e->service;
	size_t found = s->n_methods;

	for (size_t i = 0; i < s->n_methods; i++)
		if (strcmp(s->methods[i].name, "*") == 0)
			found = i;
	for (size_t i = 0; i < s->n_methods; i++)
		if (strcmp(s->methods[i].name, method) == 0)
			found = i;
	if (e->route && e->route->has_policy)
		return found == s->n_methods ? e->route->policy : &e->route->methods[found];
	return found == s->n_methods ? &s->policy : &s->methods[found].policy;
}

static bool is_denied(const struct request *r, const struct policy *p, struct rng *rng)
{
	const struct acl_config *list[] = {p->acls[LEVEL_METHOD], p->acls[LEVEL_ROUTE],
	    p->acls[LEVEL_SERVICE], p->acls[LEVEL_DEFAULTS]};
	unsigned allows = 0;

	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		for (size_t k = 0; list[i] && k < list[i]->n; k++) {
			if (all_read(r, &list[i]->rules[k].match, rng))
				return !list[i]->rules[k].is_allow;
			allows += list[i]->rules[k].is_allow;
		}
	return allows > 0;
}

/* A value as it stands after the route has changed the call. */
static const char *changed(
    const struct expected *e, const struct request *r, const struct fact_key *key, char *room)
{
	const struct route_config *route = e->route;

	if (route && route->n_set && slice_eq(route->set[0].to.text, key->text)) {
		snprintf(room, 32, "%.*s", (int)route->set[0].value.len,
		    (const char *)route->set[0].value.data);
		return room;
	}
	if (route && route->n_remove && slice_eq(route->remove[0].text, key->text))
		return NULL;
	return value_named(r, key->text);
}

static size_t count_tagged(const struct world *w, const struct expected *e, const char *tag)
{
	const struct service *s = &w->snapshot->services[e->service - w->services];
	size_t n = 0;

	for (size_t i = 0; i < s->n_endpoints; i++) {
		const char *lane =
		    s->endpoints[i].tags.n ? s->endpoints[i].tags.pairs[0].value : "";

		n += strcmp(tag, "*") == 0 || strcmp(tag, lane) == 0;
	}
	return n;
}

static const char *tag_of_part(const struct expected *e, const struct request *r, struct rng *rng)
{
	const struct route_config *route = e->route;
	char room[32];
	const char *value = route->sticky.kind ? changed(e, r, &route->sticky, room) : NULL;
	uint64_t point = 0, before = 0;

	if (route->n_split > 1)
		point = value ? lb_hash(slice_str(value)) % route->split_total
			      : rng_below(rng, route->split_total);
	for (size_t i = 0; i < route->n_split; i++) {
		const struct subset_config *subset = route->split[i].subset;

		if (point >= before && point < before + route->split[i].weight)
			return subset ? subset->name : "";
		before += route->split[i].weight;
	}
	ck_abort_msg("no part of the split");
	return NULL;
}

/* The tag of the endpoints to balance among, or NULL: there are none. */
static const char *choose_tag(
    const struct world *w, const struct expected *e, const struct request *r, struct rng *rng)
{
	const struct route_config *route = e->route;
	const struct service_config *s = e->service;
	static char room[32];
	const char *tag = "*";

	if (count_tagged(w, e, "*") == 0)
		return NULL;
	if (route && route->n_split)
		tag = tag_of_part(e, r, rng);
	else if (route && route->subset)
		tag = route->subset->name;
	if (route && (route->n_split || route->subset)) {
		if (count_tagged(w, e, tag) == 0)
			tag = route->fallback_any ? "*"
			      : route->fallback   ? route->fallback->name
						  : tag;
		return count_tagged(w, e, tag) ? tag : NULL;
	}
	if (s->subset_by.tag == NULL)
		return "*";
	tag = changed(e, r, &s->subset_by.key, room);
	if (tag && *tag && count_tagged(w, e, tag))
		return tag;
	if (s->subset_by.fallback == SUBSET_NONE)
		return NULL;
	tag = s->subset_by.fallback == SUBSET_ANY ? "*" : "";
	return count_tagged(w, e, tag) ? tag : NULL;
}

static void expect_hash(struct expected *e, const struct request *r)
{
	char room[32];
	const char *value;

	if (e->service->balance.type != LB_MAGLEV || e->service->balance.key.kind == FACT_NONE)
		return;
	value = changed(e, r, &e->service->balance.key, room);
	e->has_hash = value != NULL;
	if (value)
		e->hash = lb_hash(slice_str(value));
}

static struct expected expect(const struct world *w, const struct request *r, struct rng *rng)
{
	struct expected e = {.reason = REASON_NO_ROUTE};
	const struct service_config *asked = NULL;

	for (size_t i = 0; i < SERVICES; i++)
		if (strcmp(w->services[i].label, r->service) == 0)
			e.service = asked = &w->services[i];
	if (asked == NULL)
		return e;
	for (size_t i = 0; i < asked->n_routes && e.route == NULL; i++)
		if (all_read(r, &asked->routes[i].match, rng))
			e.route = &asked->routes[i];
	if (e.route && e.route->to)
		e.service = e.route->to;
	e.policy = policy_for(&e, r->method);
	if (e.route == NULL && asked->n_endpoints == 0)
		return e;
	e.reason = is_denied(r, e.policy, rng)      ? REASON_ACL_DENIED
		   : chance(rng, e.policy->degrade) ? REASON_DEGRADED
						    : REASON_OK;
	if (e.reason != REASON_OK)
		return e;
	if (e.route && e.route->fault.delay && chance(rng, e.route->fault.delay_percent))
		e.delay = e.route->fault.delay;
	if (e.route && e.route->fault.has_abort)
		e.abort = chance(rng, e.route->fault.abort_percent);
	if (e.route && e.route->mirror)
		e.is_mirrored = chance(rng, e.route->mirror_percent);
	e.tag = choose_tag(w, &e, r, rng);
	if (e.tag)
		expect_hash(&e, r);
	else
		e.reason = REASON_NO_ENDPOINT;
	return e;
}

/* ---- both, side by side ---- */

static void must_be_as_expected(
    const struct world *w, const struct route_decision *d, const struct expected *e)
{
	ck_assert_msg(d->reason == e->reason, "%s, not %s: %s", reason_name(d->reason),
	    reason_name(e->reason), d->why);
	ck_assert_ptr_eq(d->service ? d->service->config : NULL, e->service);
	ck_assert_ptr_eq(d->route, e->route);
	ck_assert_ptr_eq(d->policy, e->policy);
	ck_assert_ptr_eq(d->guard, e->policy ? &w->snapshot->guards[e->policy->index] : NULL);
	ck_assert(d->delay == e->delay && d->abort == e->abort);
	ck_assert(d->is_mirrored == e->is_mirrored);
	ck_assert(d->has_hash == e->has_hash && d->hash == e->hash);
	ck_assert_ptr_nonnull(d->why);
	if (e->reason != REASON_OK)
		return;
	ck_assert_uint_eq(d->group->n, count_tagged(w, e, e->tag));
	for (size_t i = 0; i < d->group->n && strcmp(e->tag, "*") != 0; i++) {
		const struct endpoint *one = &d->service->endpoints[d->group->members[i]];

		ck_assert_str_eq(one->tags.n ? one->tags.pairs[0].value : "", e->tag);
	}
}

static void must_be_alike(const struct route_decision *a, const struct route_decision *b)
{
	ck_assert_ptr_eq(a->service, b->service);
	ck_assert_ptr_eq(a->policy, b->policy);
	ck_assert_ptr_eq(a->guard, b->guard);
	ck_assert_ptr_eq(a->route, b->route);
	ck_assert_ptr_eq(a->group, b->group);
	ck_assert_ptr_eq(a->why, b->why);
	ck_assert_ptr_eq(a->at, b->at);
	ck_assert(a->has_hash == b->has_hash && a->hash == b->hash && a->delay == b->delay);
	ck_assert(a->abort == b->abort && a->is_mirrored == b->is_mirrored);
	ck_assert_int_eq(a->reason, b->reason);
}

static struct lb_load no_load(const void *arg, size_t endpoint)
{
	(void)arg;
	(void)endpoint;
	return (struct lb_load){0};
}

/* What a worker that has just begun would pick after that decision. */
static const struct endpoint *pick(const struct route_decision *d, struct rng *rng)
{
	struct balance_request request = {.service = d->service,
	    .group = d->group,
	    .has_hash = d->has_hash,
	    .hash = d->hash,
	    .load = no_load};
	struct balance_state st;
	size_t found;

	if (d->reason != REASON_OK || d->abort)
		return NULL;
	balance_state_init(&st, d->group, rng);
	found = balance_pick(&st, &request, rng);
	balance_state_fini(&st);
	return found == LB_NONE ? NULL : &d->service->endpoints[found];
}

static void check_call(struct world *w, uint64_t seed, unsigned reasons[REASON_COUNT])
{
	struct rng taken, explained, naive;
	struct explanation explanation;
	struct route_decision decision;
	struct request request;
	struct call_facts facts;
	struct expected expected;

	rng_init(&taken, seed);
	explained = naive = taken;
	random_request(w, &request);
	facts = facts_of(w, &request);
	decision = route_decide(w->snapshot, &facts, &taken, NULL);
	expected = expect(w, &request, &naive);
	must_be_as_expected(w, &decision, &expected);
	ck_assert_mem_eq(&taken, &naive, sizeof taken); /* chance was asked as often */
	explanation_init(&explanation, w->snapshot, &facts, &explained, 0);
	must_be_alike(&explanation.decision, &decision);
	ck_assert_ptr_eq(explanation.pick, pick(&decision, &taken));
	ck_assert_mem_eq(&taken, &explained, sizeof taken);
	explanation_fini(&explanation);
	reasons[decision.reason]++;
}

START_TEST(what_is_decided_is_what_the_rules_say_and_what_is_explained)
{
	unsigned reasons[REASON_COUNT] = {0};
	struct world *w = mem_calloc(1, sizeof *w);

	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		ck_assert_int_eq(regcomp(&regexes[i], patterns[i], REG_EXTENDED | REG_NOSUB), 0);
	for (uint64_t world = 0; world < WORLDS; world++) {
		begin_world(w, world);
		for (uint64_t call = 0; call < CALLS; call++)
			check_call(w, world * CALLS + call, reasons);
		end_world(w);
	}
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		regfree(&regexes[i]);
	free(w);
	/* The worlds have some of everything. */
	ck_assert_uint_gt(reasons[REASON_OK], WORLDS * CALLS / 5);
	ck_assert_uint_gt(reasons[REASON_NO_ROUTE], WORLDS * CALLS / 50);
	ck_assert_uint_gt(reasons[REASON_ACL_DENIED], WORLDS * CALLS / 50);
	ck_assert_uint_gt(reasons[REASON_DEGRADED], WORLDS * CALLS / 100);
	ck_assert_uint_gt(reasons[REASON_NO_ENDPOINT], WORLDS * CALLS / 100);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {what_is_decided_is_what_the_rules_say_and_what_is_explained};

	return suite_run("route_random", tests, ARRAY_LEN(tests));
}
