/* The types of keys that are services and what belongs to them: endpoints, methods, policies. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_dump.h"

#define ENDPOINTS_MAX 10000u

static int parse_policy(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct policy *policy = (struct policy *)(void *)((char *)base + key->offset), *builtin;

	if (node->kind != NODE_MAP)
		return bind_expected(b, node, "a map", "a map, like {timeout: {call: 1s}}");
	b->level = LEVEL_DEFAULTS;
	bind_defaults(b, &policy_scope, policy);
	builtin = arena_alloc(b->arena, sizeof *builtin);
	*builtin = *policy;
	b->origins->builtin = builtin;
	bind_scope(b, &policy_scope, node, policy, NULL);
	return 0;
}

/* What there is when it was said already that they are wrong. */
static const struct endpoint_config refused;

static int parse_endpoints(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct service_config *service = base;
	const struct endpoint_config *start;
	struct endpoint_config *endpoints;
	size_t n = 0;

	(void)key;
	service->endpoints = &refused;
	service->n_endpoints = 0;
	if (node->kind != NODE_LIST)
		return bind_error(b, node,
		    "%s where endpoints belong\nexpected a list of at least one address: where it "
		    "is found",
		    bind_shows(b, node));
	if (node->n > ENDPOINTS_MAX)
		return bind_error(
		    b, node, "%zu endpoints\nexpected at most %u", node->n, ENDPOINTS_MAX);
	start = bind_template(b, &endpoint_scope);
	endpoints = arena_calloc(b->arena, node->n, sizeof *endpoints);
	service->endpoints = node->n ? endpoints : NULL;
	for (const struct yaml_node *item = node->first; item; item = item->next, n++) {
		size_t before = key_path_index(&b->path, n);

		endpoints[n] = *start;
		bind_scope(b, &endpoint_scope, item, &endpoints[n], NULL);
		key_path_cut(&b->path, before);
	}
	service->n_endpoints = n;
	return 0;
}

static int compare_keys(const void *a, const void *b)
{
	const struct yaml_node *const *left = a, *const *right = b;

	return slice_cmp((*left)->key, (*right)->key);
}

/* In the order of their keys, so that what is made of them is sorted, and stays where it is. */
static const struct yaml_node **sort_values(struct binder *b, const struct yaml_node *map)
{
	const struct yaml_node **values = arena_calloc(b->scratch, map->n + 1, sizeof *values);
	size_t n = 0;

	for (const struct yaml_node *value = map->first; value; value = value->next)
		values[n++] = value;
	qsort(values, n, sizeof *values, compare_keys);
	return values;
}

/* The key of a map as the name of what is below it. */
static void check_label(struct binder *b, const struct yaml_node *value)
{
	struct yaml_node label = {.at = value->key_at};

	bind_name(b, &label, value->key);
}

static int parse_methods(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct service_config *service = base;
	const struct method_config *start;
	const struct yaml_node **values;
	struct method_config *methods;

	(void)key;
	if (node->kind != NODE_MAP)
		return bind_expected(b, node, "a map", "a map, like {Get: {timeout: 1s}}");
	start = bind_template(b, &method_scope);
	values = sort_values(b, node);
	methods = arena_calloc(b->arena, node->n + 1, sizeof *methods);
	service->methods = methods;
	service->n_methods = node->n;
	b->level = LEVEL_METHOD;
	for (size_t i = 0; i < node->n; i++) {
		size_t before = key_path_key(&b->path, values[i]->key);

		methods[i] = *start;
		methods[i].name = arena_str(b->arena, values[i]->key);
		methods[i].policy = service->policy;
		if (!slice_eq_str(values[i]->key, "*"))
			check_label(b, values[i]);
		if (values[i]->kind == NODE_MAP)
			bind_scope(b, &method_scope, values[i], &methods[i], &service->policy);
		else if (!values[i]->is_bad)
			bind_expected(b, values[i], "a map", "a map, like {timeout: 1s}");
		bind_origin(b, &methods[i].policy, NULL, values[i]->key_at);
		key_path_cut(&b->path, before);
	}
	b->level = LEVEL_SERVICE;
	return 0;
}

/* The nodes of its methods in the order in which they were bound. */
static void remember_methods(
    struct binder *b, struct declared *declared, const struct yaml_node *node)
{
	const struct yaml_node *methods =
	    node->kind == NODE_MAP ? yaml_find(node, SLICE_LIT("methods")) : NULL;

	if (methods && methods->kind == NODE_MAP)
		declared->methods = sort_values(b, methods);
}

/* What only one service can have. */
static void check_template(struct binder *b, const struct yaml_node *value)
{
	static const struct {
		const char *key, *remedy;
	} refused_keys[] = {
	    {"name", "leave it out: the name is the one that the call gives"},
	    {"endpoints", "expected discover: the registry in which the names are looked up"},
	    {"aliases", "list the service under its own label to give it other names"},
	    {"register", "list the service that is to be registered under its own label"},
	};

	for (size_t i = 0; value->kind == NODE_MAP && i < ARRAY_LEN(refused_keys); i++) {
		struct slice name = slice_str(refused_keys[i].key);
		const struct yaml_node *child = yaml_find(value, name);
		size_t before = key_path_key(&b->path, name);

		if (child)
			problems_error(b->problems, child->key_at, b->path.text,
			    "stands for many services here, which cannot share it\n%s",
			    refused_keys[i].remedy);
		key_path_cut(&b->path, before);
	}
}

static void bind_service(struct binder *b, struct declared *declared)
{
	const struct yaml_node *value = declared->node;
	struct service_config *service = declared->service;
	const char *label = service->label;

	*service = *(const struct service_config *)bind_template(b, &service_scope);
	service->label = service->name = label;
	service->policy = b->config->defaults;
	b->service = service;
	b->level = LEVEL_SERVICE;
	bind_origin(b, service, NULL, value->key_at);
	bind_origin(b, &service->policy, NULL, value->key_at);
	if (slice_eq_str(value->key, "*"))
		check_template(b, value);
	else
		check_label(b, value);
	if (value->kind == NODE_MAP) {
		bind_scope(b, &service_scope, value, service, &b->config->defaults);
	} else {
		service->endpoints = &refused;
		if (!value->is_bad)
			bind_expected(
			    b, value, "a map", "a map, like {endpoints: [\"127.0.0.1:8888\"]}");
	}
	remember_methods(b, declared, value);
}

/* The labels, in order: whatever is bound may refer to them. */
void bind_declare(struct binder *b, const struct yaml_node *services)
{
	const struct service_config **list;
	const struct yaml_node **values;
	size_t n = 0;

	if (services == NULL || services->kind != NODE_MAP)
		return;
	values = sort_values(b, services);
	list = arena_calloc(b->arena, services->n + 1, sizeof *list);
	b->declared = arena_calloc(b->scratch, services->n + 1, sizeof *b->declared);
	b->n_declared = services->n;
	for (size_t i = 0; i < services->n; i++) {
		struct service_config *service = arena_calloc(b->arena, 1, sizeof *service);

		service->label = arena_str(b->arena, values[i]->key);
		b->declared[i] = (struct declared){service, values[i], NULL};
		if (slice_eq_str(values[i]->key, "*"))
			b->config->any = service;
		else
			list[n++] = service;
	}
	b->config->services = list;
	b->config->n_services = n;
}

static int parse_services(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	(void)key;
	(void)base;
	if (node->kind != NODE_MAP)
		return bind_expected(
		    b, node, "a map", "a map, like {shop.cart: {endpoints: [...]}}");
	for (size_t i = 0; i < node->n; i++) {
		size_t before = key_path_key(&b->path, b->declared[i].node->key);

		bind_service(b, &b->declared[i]);
		key_path_cut(&b->path, before);
	}
	return 0;
}

static void schema_of(const struct key *key, FILE *to)
{
	config_schema_values(key, to);
}

static const void *find_policy(const struct key *key, const void *base)
{
	return (const char *)base + key->offset;
}

const struct key_type key_policy = {
    "policy", parse_policy, NULL, schema_of, KEY_STRUCT, find_policy};
const struct key_type key_endpoints = {
    "list of endpoints", parse_endpoints, NULL, schema_of, KEY_LIST, NULL};
const struct key_type key_services = {
    "map of services", parse_services, NULL, schema_of, KEY_MAP, NULL};
const struct key_type key_methods = {
    "map of methods", parse_methods, NULL, schema_of, KEY_MAP, NULL};

/* ---- references to services ---- */

static int compare_label(const void *wanted, const void *element)
{
	const struct service_config *const *service = element;

	return slice_cmp(*(const struct slice *)wanted, slice_str((*service)->label));
}

const struct service_config *config_service(const struct config *config, struct slice label)
{
	const struct service_config *const *found;

	if (config->n_services == 0)
		return NULL;
	found = bsearch(
	    &label, config->services, config->n_services, sizeof *config->services, compare_label);
	return found ? *found : NULL;
}

/* What a reference that leads nowhere leads to, so that nothing more is said about it. */
static const struct service_config nowhere;

int bind_service_named(struct binder *b, const struct yaml_node *node, struct slice label,
    const struct service_config **service)
{
	const struct config *config = b->config;
	struct nearest nearest;

	*service = config_service(config, label);
	if (*service)
		return 0;
	*service = &nowhere;
	nearest_init(&nearest, label);
	for (size_t i = 0; i < config->n_services; i++)
		nearest_try(&nearest, slice_str(config->services[i]->label));
	return bind_error(b, node,
	    "there is no service \"%.*s\"\nexpected a label under services%s",
	    (int)slice_first(label, 200).len, (const char *)label.data, bind_meant(b, &nearest));
}

static const struct service_config **service_at(const struct key *key, const void *base)
{
	return (const struct service_config **)(uintptr_t)((const char *)base + key->offset);
}

static int parse_service(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct slice text;

	*service_at(key, base) = NULL;
	if (bind_is_plain_none(key, node))
		return 0;
	if (bind_text(b, node, &text) < 0 || bind_name(b, node, text) < 0)
		return -1;
	return bind_service_named(b, node, text, service_at(key, base));
}

static void print_service(const struct key *key, const void *base, FILE *to)
{
	const struct service_config *service = *service_at(key, base);

	if (service)
		print_text(slice_str(service->label), to);
	else
		fputs("none", to);
}

static void schema_service(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"string\"}", to);
}

const struct key_type key_service = {
    "service", parse_service, print_service, schema_service, KEY_VALUE, NULL};
