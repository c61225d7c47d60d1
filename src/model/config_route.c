/*
 * The types of keys that are routes. They are bound when all services are: a route may lead to
 * another service, to its subsets, and has that service's policy to start from.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_dump.h"

#define ROUTES_MAX 1000u
#define MERGED_MAX 50000u /* policies: routes that have one, times methods */

static void bind_route(struct binder *b, const struct yaml_node *item, struct route_config *route)
{
	*route = *(const struct route_config *)bind_template(b, &route_scope);
	route->at = arena_str(b->arena, slice_str(b->path.text));
	bind_origin(b, route, NULL, item->at);
	if (item->kind == NODE_MAP)
		bind_scope(b, &route_scope, item, route, NULL);
	else if (!item->is_bad)
		bind_expected(
		    b, item, "a map", "a map, like {match: {caller: shop.cart}, to: canary}");
}

static void bind_routes(struct binder *b, const struct late *late)
{
	struct service_config *service = late->base;
	struct route_config *routes = arena_calloc(b->arena, late->node->n + 1, sizeof *routes);

	b->service = service;
	service->routes = routes;
	for (const struct yaml_node *item = late->node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, service->n_routes);

		bind_route(b, item, &routes[service->n_routes++]);
		key_path_cut(&b->path, before);
	}
}

static int parse_routes(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	(void)key;
	if (node->kind != NODE_LIST || node->n > ROUTES_MAX)
		return bind_expected(b, node, "a list",
		    "a list of up to 1000 routes, like [{match: {caller: shop.cart}, to: canary}]");
	if (node->n)
		bind_late(b, bind_routes, base, node);
	return 0;
}

static void schema_of(const struct key *key, FILE *to)
{
	config_schema_values(key, to);
}

const struct key_type key_routes = {
    "list of routes", parse_routes, NULL, schema_of, KEY_LIST, NULL};

static void print_none(const struct key *key, const void *base, FILE *to)
{
	(void)key;
	(void)base;
	fputs("none", to);
}

/* ---- the policy of a route ---- */

static const struct declared *declared_of(
    const struct binder *b, const struct service_config *service)
{
	for (size_t i = 0; i < b->n_declared; i++)
		if (b->declared[i].service == service)
			return &b->declared[i];
	return NULL;
}

/* One method of the service: once more what the file says of it, now over what the route says. That
 * it is right has been looked at before. */
static void merge_method(struct binder *b, const struct service_config *service,
    const struct yaml_node *node, const struct method_config *method, const struct policy *route,
    struct policy *merged)
{
	*merged = *route;
	b->path.len = 0;
	key_path_key(&b->path, SLICE_LIT("services"));
	key_path_key(&b->path, slice_str(service->label));
	key_path_key(&b->path, SLICE_LIT("methods"));
	key_path_key(&b->path, slice_str(method->name));
	bind_origin(b, merged, NULL, node->key_at);
	bind_included(b, &policy_scope, node, merged, route);
	merged->is_idempotent = method->policy.is_idempotent;
	if (merged->limits[LEVEL_METHOD])
		merged->limits[LEVEL_METHOD] = method->policy.limits[LEVEL_METHOD];
	if (merged->breakers[LEVEL_METHOD])
		merged->breakers[LEVEL_METHOD] = method->policy.breakers[LEVEL_METHOD];
	if (merged->acls[LEVEL_METHOD])
		merged->acls[LEVEL_METHOD] = method->policy.acls[LEVEL_METHOD];
}

static const struct policy *merge_methods(
    struct binder *b, const struct service_config *service, const struct policy *route)
{
	const struct declared *declared = declared_of(b, service);
	struct policy *merged = arena_calloc(b->arena, service->n_methods + 1, sizeof *merged);
	struct problems heard, *told = b->problems;
	struct key_path path = b->path;

	if (declared == NULL || declared->methods == NULL)
		return merged;
	problems_init(&heard);
	b->problems = &heard;
	b->level = LEVEL_METHOD;
	for (size_t i = 0; i < service->n_methods; i++)
		merge_method(
		    b, service, declared->methods[i], &service->methods[i], route, &merged[i]);
	b->problems = told;
	b->path = path;
	problems_fini(&heard);
	return merged;
}

static int parse_policy(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct route_config *route = base;
	const struct service_config *service = route->to ? route->to : b->service;
	struct policy *policy;

	route->has_policy = false;
	route->policy = NULL;
	if (bind_is_none(key, node))
		return 0;
	if (node->kind != NODE_MAP)
		return bind_expected(b, node, "a map", "a map, like {timeout: 1s}");
	b->merged += 1 + service->n_methods;
	if (b->merged > MERGED_MAX)
		return bind_error(b, node,
		    "routes with a policy, times the methods of where they lead, come to more than %u\n"
		    "expected fewer of either: what routes share can stand at a service of its own",
		    MERGED_MAX);
	policy = arena_alloc(b->arena, sizeof *policy);
	*policy = service->policy;
	b->level = LEVEL_ROUTE;
	bind_scope(b, &route_policy_scope, node, policy, &service->policy);
	route->policy = policy;
	route->methods = merge_methods(b, service, policy);
	route->has_policy = true;
	return 0;
}

static const void *find_policy(const struct key *key, const void *base)
{
	const struct route_config *route = base;

	(void)key;
	return route->policy;
}

const struct key_type key_route_policy = {
    "policy", parse_policy, print_none, schema_of, KEY_STRUCT, find_policy};

/* ---- faults ---- */

static int check_fault(
    struct binder *b, const struct yaml_node *node, const struct fault_config *fault)
{
	int ways =
	    (fault->abort_reason != REASON_OK) + (fault->abort_exception >= 0) + fault->is_reset;

	if (ways > 1)
		return bind_error(b, node,
		    "a call ends in one way\nexpected one of abort.reason, abort.exception and "
		    "abort.reset");
	if (ways == 0 && fault->abort_percent < 1)
		return bind_error(b, node,
		    "it is not said how calls end\nexpected abort.reason, abort.exception or "
		    "abort.reset");
	if (fault->delay == 0 && fault->delay_percent < 1)
		return bind_error(
		    b, node, "it is not said how long calls are held back\nexpected delay.for");
	return 0;
}

static int parse_fault(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct fault_config *fault = (struct fault_config *)(void *)((char *)base + key->offset);

	*fault = *(const struct fault_config *)bind_template(b, &fault_scope);
	if (bind_is_none(key, node))
		return 0;
	if (node->kind != NODE_MAP)
		return bind_expected(
		    b, node, "a fault", "a map like {delay: {for: 100ms, percent: 10%}}, or none");
	bind_scope(b, &fault_scope, node, fault, NULL);
	if (check_fault(b, node, fault) < 0)
		return -1;
	if (fault->abort_reason == REASON_OK)
		fault->abort_reason = REASON_FAULT_INJECTED;
	return 0;
}

static const void *find_fault(const struct key *key, const void *base)
{
	const struct fault_config *fault =
	    (const struct fault_config *)(const void *)((const char *)base + key->offset);

	return fault->delay || fault->has_abort ? fault : NULL;
}

const struct key_type key_fault = {
    "map", parse_fault, print_none, schema_of, KEY_STRUCT, find_fault};

static int parse_abort_reason(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct fault_config *fault = base;

	if (bind_is_none(key, node))
		return 0;
	fault->abort_reason = REASON_FAULT_INJECTED;
	if (key_word.parse(b, key, node, base) < 0)
		return -1;
	fault->has_abort = true;
	return 0;
}

static void print_abort_reason(const struct key *key, const void *base, FILE *to)
{
	const struct fault_config *fault = base;

	if (fault->has_abort && fault->abort_exception < 0 && !fault->is_reset)
		key_word.print(key, base, to);
	else
		fputs("none", to);
}

static void schema_abort_reason(const struct key *key, FILE *to)
{
	fputs("{\"anyOf\": [{\"const\": \"none\"}, ", to);
	key_word.schema(key, to);
	fputs("]}", to);
}

const struct key_type key_abort_reason = {
    "reason", parse_abort_reason, print_abort_reason, schema_abort_reason, KEY_VALUE, NULL};

static int parse_exception(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct fault_config *fault = base;
	struct key number = *key;
	unsigned type;

	fault->abort_exception = -1;
	if (bind_is_none(key, node))
		return 0;
	number.offset = 0;
	if (key_count.parse(b, &number, node, &type) < 0)
		return -1;
	fault->abort_exception = (int32_t)type;
	fault->has_abort = true;
	return 0;
}

static void print_exception(const struct key *key, const void *base, FILE *to)
{
	const struct fault_config *fault = base;

	(void)key;
	if (fault->abort_exception >= 0)
		fprintf(to, "%" PRId32, fault->abort_exception);
	else
		fputs("none", to);
}

static void schema_exception(const struct key *key, FILE *to)
{
	key_count.schema(key, to);
}

const struct key_type key_exception = {
    "number", parse_exception, print_exception, schema_exception, KEY_VALUE, NULL};

static int parse_reset(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct fault_config *fault = base;

	if (key_bool.parse(b, key, node, base) < 0)
		return -1;
	fault->has_abort |= fault->is_reset;
	return 0;
}

static void print_reset(const struct key *key, const void *base, FILE *to)
{
	key_bool.print(key, base, to);
}

static void schema_reset(const struct key *key, FILE *to)
{
	key_bool.schema(key, to);
}

const struct key_type key_reset = {"bool", parse_reset, print_reset, schema_reset, KEY_VALUE, NULL};
