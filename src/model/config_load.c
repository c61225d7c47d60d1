#include "model/config.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_check.h"
#include "model/config_dump.h"
#include "model/config_source.h"
#include "model/nearest.h"

#define ENDPOINTS_MAX 10000u
#define LISTENERS_MAX 1000u

/* A struct of the scope with its defaults, which every item starts as a copy of. */
static const void *template_of(struct binder *b, const struct scope *scope, void **made)
{
	if (*made == NULL) {
		*made = arena_calloc(b->arena, 1, scope->size);
		bind_defaults(b, scope, *made);
	}
	return *made;
}

static int parse_policy(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct policy *policy = (struct policy *)(void *)((char *)base + key->offset);

	if (node->kind != NODE_MAP)
		return bind_expected(b, node, "a map", "a map, like {timeout: {call: 1s}}");
	bind_defaults(b, &policy_scope, policy);
	bind_scope(b, &policy_scope, node, policy, NULL);
	return 0;
}

static int parse_listeners(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const struct listener_config *start;
	struct listener_config *listeners;
	struct config *config = base;
	size_t n = 0;

	if (node->kind != NODE_LIST || node->n == 0)
		return bind_error(b, node, "%s where listeners belong\nexpected %s",
		    node->kind == NODE_LIST ? "an empty list" : bind_shows(b, node), key->missing);
	if (node->n > LISTENERS_MAX)
		return bind_error(
		    b, node, "%zu listeners\nexpected at most %u", node->n, LISTENERS_MAX);
	start = template_of(b, &listener_scope, &b->listener);
	listeners = arena_calloc(b->arena, node->n, sizeof *listeners);
	config->listeners = listeners;
	for (const struct yaml_node *item = node->first; item; item = item->next, n++) {
		size_t before = key_path_index(&b->path, n);

		listeners[n] = *start;
		b->index = n;
		bind_origin(b, &listeners[n], NULL, item->at);
		if (item->kind == NODE_MAP)
			bind_scope(b, &listener_scope, item, &listeners[n], NULL);
		else if (!item->is_bad)
			bind_expected(
			    b, item, "a map", "a map, like {address: \"127.0.0.1:8888\"}");
		key_path_cut(&b->path, before);
	}
	config->n_listeners = n;
	return 0;
}

static int parse_endpoints(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct service_config *service = base;
	const struct endpoint_config *start;
	struct endpoint_config *endpoints;
	size_t n = 0;

	if (node->kind != NODE_LIST || node->n == 0)
		return bind_error(b, node, "%s where endpoints belong\nexpected %s",
		    node->kind == NODE_LIST ? "an empty list" : bind_shows(b, node), key->missing);
	if (node->n > ENDPOINTS_MAX)
		return bind_error(
		    b, node, "%zu endpoints\nexpected at most %u", node->n, ENDPOINTS_MAX);
	start = template_of(b, &endpoint_scope, &b->endpoint);
	endpoints = arena_calloc(b->arena, node->n, sizeof *endpoints);
	service->endpoints = endpoints;
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
	start = template_of(b, &method_scope, &b->method);
	values = sort_values(b, node);
	methods = arena_calloc(b->arena, node->n + 1, sizeof *methods);
	service->methods = methods;
	service->n_methods = node->n;
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
		key_path_cut(&b->path, before);
	}
	return 0;
}

static void bind_service(
    struct binder *b, const struct yaml_node *value, struct service_config *service)
{
	*service = *(const struct service_config *)template_of(b, &service_scope, &b->service);
	service->label = service->name = arena_str(b->arena, value->key);
	service->policy = b->config->defaults;
	bind_origin(b, service, NULL, value->key_at);
	if (slice_eq_str(value->key, "*"))
		problems_error(b->problems, value->key_at, b->path.text,
		    "services that are not listed are not supported by this version\n"
		    "list each service under its own label");
	else
		check_label(b, value);
	if (value->kind == NODE_MAP)
		bind_scope(b, &service_scope, value, service, &b->config->defaults);
	else if (!value->is_bad)
		bind_expected(b, value, "a map", "a map, like {endpoints: [\"127.0.0.1:8888\"]}");
}

static int parse_services(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const struct service_config **services;
	const struct yaml_node **values;
	struct config *config = base;

	(void)key;
	if (node->kind != NODE_MAP)
		return bind_expected(
		    b, node, "a map", "a map, like {shop.cart: {endpoints: [...]}}");
	values = sort_values(b, node);
	services = arena_calloc(b->arena, node->n + 1, sizeof *services);
	for (size_t i = 0; i < node->n; i++) {
		struct service_config *service = arena_alloc(b->arena, sizeof *service);
		size_t before = key_path_key(&b->path, values[i]->key);

		bind_service(b, values[i], service);
		services[i] = service;
		key_path_cut(&b->path, before);
	}
	config->services = services;
	config->n_services = node->n;
	return 0;
}

static void schema_of(const struct key *key, FILE *to)
{
	config_schema_values(key, to);
}

const struct key_type key_policy = {"policy", parse_policy, NULL, schema_of};
const struct key_type key_listeners = {"list of listeners", parse_listeners, NULL, schema_of};
const struct key_type key_endpoints = {"list of endpoints", parse_endpoints, NULL, schema_of};
const struct key_type key_services = {"map of services", parse_services, NULL, schema_of};
const struct key_type key_methods = {"map of methods", parse_methods, NULL, schema_of};

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

static void complain_dangling(struct binder *b, const struct pin *pin)
{
	const struct config *config = b->config;
	struct nearest nearest;
	const char *meant = "";

	nearest_init(&nearest, slice_str(pin->label));
	for (size_t i = 0; i < config->n_services; i++)
		nearest_try(&nearest, slice_str(config->services[i]->label));
	if (nearest_found(&nearest))
		meant = arena_printf(b->scratch, "; did you mean \"%.*s\"?", (int)nearest.best.len,
		    (const char *)nearest.best.data);
	problems_error(b->problems, pin->node->at, pin->path,
	    "there is no service \"%.200s\"\nexpected a label under services%s", pin->label, meant);
}

static void resolve_pins(struct binder *b)
{
	for (struct pin *pin = b->pins; pin; pin = pin->next) {
		pin->listener->service = config_service(b->config, slice_str(pin->label));
		if (pin->listener->service)
			continue;
		complain_dangling(b, pin);
		/* It is meant to be pinned: nothing else is to be said about that. */
		pin->listener->service = arena_calloc(b->arena, 1, sizeof *pin->listener->service);
	}
}

static struct config *new_config(void)
{
	struct config *config = mem_calloc(1, sizeof *config);
	struct config_origins *origins;

	arena_init(&config->arena, NULL, 0);
	origins = arena_calloc(&config->arena, 1, sizeof *origins);
	table_init(&origins->table, 0);
	config->origins = origins;
	return config;
}

void config_free(struct config **config)
{
	struct config *c = *config;

	if (c == NULL)
		return;
	table_fini((struct table *)(uintptr_t)&c->origins->table);
	arena_fini(&c->arena);
	free(c);
	*config = NULL;
}

/* The tree is read by now, or NULL. */
static void bind_tree(struct binder *b, const struct yaml_node *root)
{
	struct config *config = b->config;

	bind_defaults(b, &top_scope, config);
	bind_scope(b, &top_scope, root, config, NULL);
	resolve_pins(b);
	config_number_policies(config);
	config_check(config, b->problems);
	config_hash(config);
}

static struct config *load(const struct config_source *source, const char *name, struct slice text,
    struct problems *problems)
{
	struct config *config = new_config();
	struct arena scratch;
	struct source reader = {source, &scratch, &config->arena, problems};
	struct binder b = {
	    .config = config,
	    .arena = &config->arena,
	    .scratch = &scratch,
	    .origins = (struct config_origins *)(uintptr_t)config->origins,
	    .problems = problems,
	    .from = source,
	};
	const struct yaml_node *root;

	arena_init(&scratch, NULL, 0);
	root = name ? source_read_text(&reader, name, text) : source_read(&reader);
	if (root)
		bind_tree(&b, root);
	arena_fini(&scratch);
	if (root == NULL || problems->n_errors > 0)
		config_free(&config);
	return config;
}

struct config *config_load(const struct config_source *source, struct problems *problems)
{
	return load(source, NULL, SLICE_NONE, problems);
}

struct config *config_load_text(struct slice text, const char *name,
    const struct config_source *source, struct problems *problems)
{
	return load(source, name, text, problems);
}
