#include "model/config_load.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_allow.h"
#include "model/config_bind.h"
#include "model/config_check.h"
#include "model/config_dump.h"

#define LISTENERS_MAX 1000u

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
	start = bind_template(b, &listener_scope);
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

static void schema_of(const struct key *key, FILE *to)
{
	config_schema_values(key, to);
}

const struct key_type key_listeners = {
    "list of listeners", parse_listeners, NULL, schema_of, KEY_LIST, NULL};

static struct config *new_config(struct config_tree *tree)
{
	struct config *config = mem_calloc(1, sizeof *config);
	struct config_origins *origins;

	arena_init(&config->arena, NULL, 0);
	origins = arena_calloc(&config->arena, 1, sizeof *origins);
	origins_init(origins, &config->arena);
	config->origins = origins;
	config->tree = config_tree_ref(tree);
	return config;
}

void config_free(struct config **config)
{
	struct config *c = *config;

	if (c == NULL)
		return;
	origins_fini((struct config_origins *)(uintptr_t)c->origins);
	arena_fini(&c->arena);
	config_tree_unref(&c->tree);
	free(c);
	*config = NULL;
}

static void bind_tree(struct binder *b, const struct config_binding *binding)
{
	struct config *config = b->config;

	bind_declare(b, yaml_find(binding->root, SLICE_LIT("services")));
	bind_defaults(b, &top_scope, config);
	bind_scope(b, &top_scope, binding->root, config, NULL);
	for (const struct late *late = b->late; late; late = late->next) {
		b->path = late->path;
		late->bind(b, late);
	}
	config_number_policies(config);
	config_know_neighbours(config);
	if (binding->adjust)
		binding->adjust(config, binding->arg);
	config_check(config, b->problems, b->allows);
	if (binding->hash)
		snprintf(config->hash, sizeof config->hash, "%s", binding->hash);
	else
		config_hash(config);
}

struct config *config_bind(const struct config_binding *binding)
{
	const struct config_source from = {.getenv = binding->tree->getenv};
	struct config *config = new_config(binding->tree);
	struct binder b = {
	    .config = config,
	    .arena = &config->arena,
	    .scratch = binding->scratch,
	    .origins = (struct config_origins *)(uintptr_t)config->origins,
	    .problems = binding->problems,
	    .from = &from,
	    .late_end = &b.late,
	    .allows = binding->allows,
	};

	bind_tree(&b, binding);
	if (binding->problems->n_errors > 0)
		config_free(&config);
	return config;
}

static struct config *load(const struct config_source *source, const char *name, struct slice text,
    struct problems *problems)
{
	struct config_tree *tree = config_tree_new();
	struct config *config = NULL;
	struct arena scratch;
	struct allows allows = {&scratch, NULL};
	struct source reader = {source, &tree->arena, problems, &allows};
	struct config_binding binding = {
	    .tree = tree, .scratch = &scratch, .problems = problems, .allows = &allows};

	arena_init(&scratch, NULL, 0);
	tree->getenv = source->getenv;
	tree->root = name ? source_read_text(&reader, name, text) : source_read(&reader);
	binding.root = tree->root;
	if (tree->root)
		config = config_bind(&binding);
	arena_fini(&scratch);
	config_tree_unref(&tree);
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
