/* The types of keys that name facts of a call, and what is done with them. */
#include <stdio.h>

#include "model/config_bind.h"

int bind_fact(
    struct binder *b, const struct yaml_node *node, struct slice text, struct fact_key *key)
{
	const char *wrong =
	    text.len > 200 ? "it is longer than 200 bytes" : fact_key_parse(key, text, b->arena);
	struct yaml_node shown = {.text = text};

	if (wrong == NULL)
		return 0;
	*key = (struct fact_key){.kind = FACT_NONE};
	return bind_error(b, node, "%s names nothing of a call\n%s%s", bind_shows(b, &shown),
	    strncmp(wrong, "method", 6) == 0 ? "expected one of: " : "", wrong);
}

static int parse_fact(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct fact_key *fact = (struct fact_key *)(void *)((char *)base + key->offset);
	struct slice text;

	*fact = (struct fact_key){.kind = FACT_NONE};
	if (bind_is_none(key, node))
		return 0;
	if (bind_text(b, node, &text) < 0)
		return -1;
	return bind_fact(b, node, text, fact);
}

static void print_fact(const struct key *key, const void *base, FILE *to)
{
	const struct fact_key *fact =
	    (const struct fact_key *)(const void *)((const char *)base + key->offset);

	if (fact->kind == FACT_NONE)
		fputs("none", to);
	else
		print_text(fact->text, to);
}

static void schema_fact(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"string\"}", to);
}

const struct key_type key_fact = {"fact", parse_fact, print_fact, schema_fact, KEY_VALUE, NULL};

/* ---- what a route changes ---- */

#define FACTS_MAX 64u
#define VALUE_MAX 1024u

static int bind_changed(
    struct binder *b, const struct yaml_node *node, struct slice text, struct fact_key *key)
{
	struct yaml_node shown = {.text = text};

	if (bind_fact(b, node, text, key) < 0)
		return -1;
	if (fact_is_changeable(key))
		return 0;
	if (key->kind == FACT_HEADER || key->kind == FACT_INT)
		return bind_error(b, node,
		    "%s cannot be changed: it has a place of its own in a message\nexpected another "
		    "header or int key",
		    bind_shows(b, &shown));
	return bind_error(b, node, "%s cannot be changed\nexpected meta.NAME, header.NAME or int.N",
	    bind_shows(b, &shown));
}

int bind_fact_value(struct binder *b, const struct yaml_node *value, struct slice *text)
{
	if (value->is_bad)
		return -1;
	if (value->kind != NODE_SCALAR ||
	    (yaml_scalar_kind(value) == SCALAR_NULL && !value->variable))
		return bind_expected(b, value, "a value", "a text");
	if (value->text.len > VALUE_MAX)
		return bind_error(b, value, "%zu bytes are too many\nexpected at most %u",
		    value->text.len, VALUE_MAX);
	*text = slice_str(arena_str(b->arena, value->text));
	return 0;
}

static int parse_set(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct route_config *route = base;
	struct fact_value *set;
	int rc = 0;

	(void)key;
	if (node->kind != NODE_MAP || node->n > FACTS_MAX)
		return bind_expected(
		    b, node, "a map", "a map of up to 64 facts, like {meta.env: gray}");
	set = arena_calloc(b->arena, node->n + 1, sizeof *set);
	route->set = set;
	for (const struct yaml_node *value = node->first; value; value = value->next) {
		size_t before = key_path_key(&b->path, value->key);
		struct yaml_node label = {.at = value->key_at};

		if (bind_changed(b, &label, value->key, &set[route->n_set].key) < 0 ||
		    bind_fact_value(b, value, &set[route->n_set].value) < 0)
			rc = -1;
		else
			route->n_set++;
		key_path_cut(&b->path, before);
	}
	return rc;
}

static void print_set(const struct key *key, const void *base, FILE *to)
{
	const struct route_config *route = base;

	(void)key;
	fputc('{', to);
	for (size_t i = 0; i < route->n_set; i++) {
		fputs(i ? ", " : "", to);
		print_label(route->set[i].key.text, to);
		fputs(": ", to);
		print_text(route->set[i].value, to);
	}
	fputc('}', to);
}

static void schema_set(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"object\", \"propertyNames\": {\"pattern\": "
	      "\"^(meta|header|int)[.].+$\"}, \"additionalProperties\": {\"type\": [\"string\", "
	      "\"number\", \"boolean\"]}}",
	    to);
}

const struct key_type key_set = {"map of texts", parse_set, print_set, schema_set, KEY_VALUE, NULL};

static int parse_remove(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct route_config *route = base;
	struct fact_key *facts;
	size_t i = 0;
	int rc = 0;

	(void)key;
	if (node->kind != NODE_LIST || node->n > FACTS_MAX)
		return bind_expected(
		    b, node, "a list", "a list of up to 64 facts, like [meta.env]");
	facts = arena_calloc(b->arena, node->n + 1, sizeof *facts);
	route->remove = facts;
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);
		struct slice text;

		if (item->is_bad || bind_text(b, item, &text) < 0 ||
		    bind_changed(b, item, text, &facts[route->n_remove]) < 0)
			rc = -1;
		else
			route->n_remove++;
		key_path_cut(&b->path, before);
	}
	return rc;
}

static void print_remove(const struct key *key, const void *base, FILE *to)
{
	const struct route_config *route = base;

	(void)key;
	fputc('[', to);
	for (size_t i = 0; i < route->n_remove; i++) {
		fputs(i ? ", " : "", to);
		print_text(route->remove[i].text, to);
	}
	fputc(']', to);
}

static void schema_remove(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"array\", \"items\": {\"type\": \"string\", \"pattern\": "
	      "\"^(meta|header|int)[.].+$\"}}",
	    to);
}

const struct key_type key_remove = {
    "list of facts", parse_remove, print_remove, schema_remove, KEY_VALUE, NULL};
