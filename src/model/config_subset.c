/* The types of keys that are subsets of a service's endpoints, and what leads to them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"

#define SUBSETS_MAX 1000u
#define PARTS_MAX   64u
#define WEIGHT_MAX  1000000u

static const char base_name[] = "base"; /* of subset_by */

static int compare_subsets(const void *a, const void *b)
{
	const struct subset_config *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static int parse_subset_tags(
    struct binder *b, const struct yaml_node *value, struct subset_config *subset)
{
	struct key tags = {.offset = offsetof(struct subset_config, tags)};
	struct yaml_node label = {.at = value->key_at};

	if (value->is_bad || bind_name(b, &label, value->key) < 0)
		return -1;
	if (slice_eq_str(value->key, "any") || slice_eq_str(value->key, base_name))
		return bind_error(b, &label,
		    "\"%.*s\" means something of its own in routes\nexpected another name",
		    (int)value->key.len, (const char *)value->key.data);
	if (value->kind == NODE_MAP && value->n == 0)
		return bind_error(
		    b, value, "a subset without tags\nexpected tags like {lane: canary}");
	subset->name = arena_str(b->arena, value->key);
	return key_pairs.parse(b, &tags, value, subset);
}

static int parse_subsets(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct service_config *service = base;
	struct subset_config *subsets;
	size_t n = 0;
	int rc = 0;

	(void)key;
	if (node->kind != NODE_MAP || node->n > SUBSETS_MAX)
		return bind_expected(b, node, "a map",
		    "a map of up to 1000 names with their tags, like {canary: {lane: canary}}");
	subsets = arena_calloc(b->arena, node->n + 1, sizeof *subsets);
	for (const struct yaml_node *value = node->first; value; value = value->next) {
		size_t before = key_path_key(&b->path, value->key);

		if (parse_subset_tags(b, value, &subsets[n]) == 0)
			n++;
		else
			rc = -1;
		key_path_cut(&b->path, before);
	}
	qsort(subsets, n, sizeof *subsets, compare_subsets);
	for (size_t i = 0; i < n; i++)
		bind_origin(
		    b, &subsets[i], NULL, yaml_find(node, slice_str(subsets[i].name))->key_at);
	service->subsets = subsets;
	service->n_subsets = n;
	return rc;
}

static void print_subsets(const struct key *key, const void *base, FILE *to)
{
	const struct service_config *service = base;
	struct key tags = {.offset = offsetof(struct subset_config, tags)};

	(void)key;
	fputc('{', to);
	for (size_t i = 0; i < service->n_subsets; i++) {
		fputs(i ? ", " : "", to);
		print_label(slice_str(service->subsets[i].name), to);
		fputs(": ", to);
		key_pairs.print(&tags, &service->subsets[i], to);
	}
	fputc('}', to);
}

static void schema_subsets(const struct key *key, FILE *to)
{
	fputs("{\"type\": \"object\", \"additionalProperties\": ", to);
	key_pairs.schema(key, to);
	fputc('}', to);
}

const struct key_type key_subsets = {
    "map of subsets", parse_subsets, print_subsets, schema_subsets, KEY_VALUE, NULL};

/* ---- names of subsets in routes ---- */

static const struct service_config *target_of(
    const struct binder *b, const struct route_config *route)
{
	return route->to ? route->to : b->service;
}

static const struct subset_config *find_subset(
    const struct service_config *service, struct slice name)
{
	for (size_t i = 0; i < service->n_subsets; i++)
		if (slice_eq_str(name, service->subsets[i].name))
			return &service->subsets[i];
	return NULL;
}

static int refuse_subset(struct binder *b, const struct yaml_node *node,
    const struct service_config *service, struct slice name, bool may_be_base)
{
	bool has_base = may_be_base && service->subset_by.tag;
	const char *known = "";
	struct nearest nearest;

	nearest_init(&nearest, name);
	for (size_t i = 0; i < service->n_subsets; i++) {
		nearest_try(&nearest, slice_str(service->subsets[i].name));
		known = arena_printf(
		    b->scratch, "%s%s%s", known, i ? ", " : "", service->subsets[i].name);
	}
	if (has_base)
		known = arena_printf(b->scratch, "%s%s%s", known, *known ? ", " : "", base_name);
	return bind_error(b, node, "the service \"%s\" has no subset \"%.*s\"\nexpected %s%.600s%s",
	    service->label, (int)slice_first(name, 200).len, (const char *)name.data,
	    *known ? "one of: " : "subsets: with such a name at that service", known,
	    bind_meant(b, &nearest));
}

/* NULL in *@subset and 0: the base of subset_by. */
static int find_named(struct binder *b, const struct yaml_node *node,
    const struct service_config *service, struct slice name, const struct subset_config **subset)
{
	*subset = find_subset(service, name);
	if (*subset || service->label == NULL)
		return 0;
	if (service->subset_by.tag && slice_eq_str(name, base_name))
		return 0;
	return refuse_subset(b, node, service, name, true);
}

/* Where a route leads: the base is a split of one part, for it is no subset. */
static int parse_subset(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct route_config *route = base;
	struct split_part *part;
	struct slice text;

	route->subset = NULL;
	if (bind_is_plain_none(key, node))
		return 0;
	if (bind_text(b, node, &text) < 0 ||
	    find_named(b, node, target_of(b, route), text, &route->subset) < 0)
		return -1;
	if (route->subset)
		return 0;
	part = arena_calloc(b->arena, 1, sizeof *part);
	part->weight = route->split_total = 1;
	route->split = part;
	route->n_split = 1;
	return 0;
}

static void print_subset(const struct key *key, const void *base, FILE *to)
{
	const struct route_config *route = base;

	(void)key;
	if (route->subset)
		print_text(slice_str(route->subset->name), to);
	else
		fputs("none", to);
}

static void schema_name(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"string\"}", to);
}

const struct key_type key_subset = {
    "subset", parse_subset, print_subset, schema_name, KEY_VALUE, NULL};

static int parse_part(struct binder *b, const struct yaml_node *value,
    const struct service_config *service, struct split_part *part)
{
	struct key weight = {.offset = offsetof(struct split_part, weight), .max = WEIGHT_MAX};
	struct yaml_node label = {.at = value->key_at};

	if (value->is_bad || find_named(b, &label, service, value->key, &part->subset) < 0)
		return -1;
	return key_count.parse(b, &weight, value, part);
}

static int parse_split(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct route_config *route = base;
	struct split_part *parts;
	size_t n = 0;
	int rc = 0;

	if (bind_is_none(key, node))
		return 0;
	if (node->kind != NODE_MAP || node->n == 0 || node->n > PARTS_MAX)
		return bind_expected(b, node, "a map",
		    "a map of 1 to 64 subsets with their weights, like {stable: 95, canary: 5}");
	if (route->subset || route->n_split)
		return bind_error(
		    b, node, "the route leads to one subset already\nexpected one of to and split");
	parts = arena_calloc(b->arena, node->n, sizeof *parts);
	for (const struct yaml_node *value = node->first; value; value = value->next) {
		size_t before = key_path_key(&b->path, value->key);

		if (parse_part(b, value, target_of(b, route), &parts[n]) < 0)
			rc = -1;
		else
			bind_origin(b, &parts[n], NULL, value->at);
		route->split_total += parts[n++].weight;
		key_path_cut(&b->path, before);
	}
	route->split = parts;
	route->n_split = n;
	if (rc == 0 && route->split_total == 0)
		return bind_error(
		    b, node, "every part has weight 0\nexpected a weight above 0 for at least one");
	return rc;
}

static void print_split(const struct key *key, const void *base, FILE *to)
{
	const struct route_config *route = base;

	(void)key;
	if (route->n_split == 0) {
		fputs("none", to);
		return;
	}
	fputc('{', to);
	for (size_t i = 0; i < route->n_split; i++) {
		const struct split_part *part = &route->split[i];

		fputs(i ? ", " : "", to);
		print_label(slice_str(part->subset ? part->subset->name : base_name), to);
		fprintf(to, ": %u", part->weight);
	}
	fputc('}', to);
}

static void schema_split(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"anyOf\": [{\"const\": \"none\"}, {\"type\": \"object\", \"minProperties\": 1, "
	      "\"additionalProperties\": {\"type\": [\"integer\", \"string\"]}}]}",
	    to);
}

const struct key_type key_split = {
    "map of weights", parse_split, print_split, schema_split, KEY_VALUE, NULL};

static int parse_fallback(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct route_config *route = base;
	const struct service_config *service = target_of(b, route);
	struct slice text;

	if (bind_is_plain_none(key, node))
		return 0;
	if (bind_text(b, node, &text) < 0)
		return -1;
	if (slice_eq_str(text, "any")) {
		route->fallback_any = true;
		return 0;
	}
	route->fallback = find_subset(service, text);
	if (route->fallback || service->label == NULL)
		return 0;
	return refuse_subset(b, node, service, text, false);
}

static void print_fallback(const struct key *key, const void *base, FILE *to)
{
	const struct route_config *route = base;

	(void)key;
	if (route->fallback)
		print_text(slice_str(route->fallback->name), to);
	else
		fputs(route->fallback_any ? "any" : "none", to);
}

const struct key_type key_route_fallback = {
    "subset, or any", parse_fallback, print_fallback, schema_name, KEY_VALUE, NULL};
