/* The types of keys that say what a route changes of a call, and what callers may not state. */
#include <stdio.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/route_changes.h"

#define RESERVED_MAX 64u

static const char *const when_words[] = {
    [WHEN_ALWAYS] = "always", [WHEN_ABSENT] = "absent", [WHEN_PRESENT] = "present"};

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

/* ---- long forms ---- */

static int parse_when(struct binder *b, const struct yaml_node *node, enum change_when *when)
{
	for (size_t i = 0; node->kind == NODE_SCALAR && i < ARRAY_LEN(when_words); i++)
		if (slice_eq_str(node->text, when_words[i])) {
			*when = (enum change_when)i;
			return 0;
		}
	return bind_error(b, node, "unknown value %s\nexpected one of: always, absent, present",
	    bind_shows(b, node));
}

/* {@name: VALUE, when: WORD}: gives out the value; NULL: it was complained about. */
static const struct yaml_node *parse_long(
    struct binder *b, const struct yaml_node *map, const char *name, enum change_when *when)
{
	const struct yaml_node *value = NULL;
	int rc = 0;

	for (const struct yaml_node *node = map->first; node; node = node->next) {
		size_t before = key_path_key(&b->path, node->key);
		struct yaml_node label = {.at = node->key_at};

		if (slice_eq_str(node->key, name))
			value = node;
		else if (!slice_eq_str(node->key, "when"))
			rc = bind_error(b, &label, "unknown key\nexpected one of: %s, when", name);
		else if (parse_when(b, node, when) < 0)
			rc = -1;
		key_path_cut(&b->path, before);
	}
	if (rc == 0 && value == NULL)
		bind_error(b, map, "it lacks %s\nexpected %s, and perhaps when", name, name);
	return rc < 0 ? NULL : value;
}

static void print_when(enum change_when when, FILE *to)
{
	if (when != WHEN_ALWAYS)
		fprintf(to, ", when: %s}", when_words[when]);
}

/* How one map of changes is read, one entry at a time. */
typedef int entry_cb(struct binder *b, const struct yaml_node *value, struct route_change *change);

static int parse_map(struct binder *b, const struct yaml_node *map, size_t max, const char *like,
    entry_cb *parse, const struct route_change **list, size_t *n)
{
	struct route_change *changes;
	int rc = 0;

	if (map->kind != NODE_MAP || map->n > max)
		return bind_expected(b, map, "a map", like);
	changes = arena_calloc(b->arena, map->n + 1, sizeof *changes);
	*list = changes;
	for (const struct yaml_node *value = map->first; value; value = value->next) {
		size_t before = key_path_key(&b->path, value->key);

		if (parse(b, value, &changes[*n]) < 0)
			rc = -1;
		else
			++*n;
		key_path_cut(&b->path, before);
	}
	return rc;
}

/* ---- set ---- */

static int parse_set_entry(
    struct binder *b, const struct yaml_node *value, struct route_change *change)
{
	struct yaml_node label = {.at = value->key_at};

	if (bind_changed(b, &label, value->key, &change->to) < 0)
		return -1;
	if (value->kind == NODE_MAP && !value->is_bad)
		value = parse_long(b, value, "value", &change->when);
	return value ? bind_fact_value(b, value, &change->value) : -1;
}

static int parse_set(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct route_config *route = base;

	(void)key;
	return parse_map(b, node, ROUTE_SETS_MAX, "a map of up to 64 facts, like {meta.env: gray}",
	    parse_set_entry, &route->set, &route->n_set);
}

static void print_set(const struct key *key, const void *base, FILE *to)
{
	const struct route_config *route = base;

	(void)key;
	fputc('{', to);
	for (size_t i = 0; i < route->n_set; i++) {
		const struct route_change *c = &route->set[i];

		fputs(i ? ", " : "", to);
		print_label(c->to.text, to);
		fputs(c->when == WHEN_ALWAYS ? ": " : ": {value: ", to);
		print_text(c->value, to);
		print_when(c->when, to);
	}
	fputc('}', to);
}

#define SCHEMA_WHEN    "\"when\": {\"enum\": [\"always\", \"absent\", \"present\"]}"
#define SCHEMA_CHANGED "\"^(meta|header|int)[.].+$\""

static void schema_set(const struct key *key, FILE *to)
{
	static const char value[] = "{\"type\": [\"string\", \"number\", \"boolean\"]}";

	(void)key;
	fprintf(to,
	    "{\"type\": \"object\", \"propertyNames\": {\"pattern\": " SCHEMA_CHANGED "}, "
	    "\"additionalProperties\": {\"anyOf\": [%s, {\"type\": \"object\", \"properties\": "
	    "{\"value\": %s, " SCHEMA_WHEN "}, \"required\": [\"value\"], "
	    "\"additionalProperties\": false}]}}",
	    value, value);
}

const struct key_type key_set = {"map of texts", parse_set, print_set, schema_set, KEY_VALUE, NULL};

/* ---- rename, copy ---- */

static int parse_target(
    struct binder *b, const struct yaml_node *value, struct route_change *change)
{
	struct slice text;

	if (value->is_bad)
		return -1;
	if (value->kind == NODE_MAP)
		value = parse_long(b, value, "to", &change->when);
	if (value == NULL || bind_text(b, value, &text) < 0 ||
	    bind_changed(b, value, text, &change->to) < 0)
		return -1;
	if (fact_key_eq(&change->from, &change->to))
		return bind_error(b, value, "it is the fact itself\nexpected another");
	return 0;
}

static int parse_rename_entry(
    struct binder *b, const struct yaml_node *value, struct route_change *change)
{
	struct yaml_node label = {.at = value->key_at};

	if (bind_changed(b, &label, value->key, &change->from) < 0)
		return -1;
	return parse_target(b, value, change);
}

static int parse_copy_entry(
    struct binder *b, const struct yaml_node *value, struct route_change *change)
{
	struct yaml_node label = {.at = value->key_at};

	if (bind_fact(b, &label, value->key, &change->from) < 0)
		return -1;
	return parse_target(b, value, change);
}

static int parse_rename(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct route_config *route = base;

	(void)key;
	return parse_map(b, node, ROUTE_COPIES_MAX,
	    "a map of up to 32 facts, like {meta.a: meta.b}", parse_rename_entry, &route->rename,
	    &route->n_rename);
}

static int parse_copy(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct route_config *route = base;

	(void)key;
	return parse_map(b, node, ROUTE_COPIES_MAX,
	    "a map of up to 32 facts, like {caller: meta.from}", parse_copy_entry, &route->copy,
	    &route->n_copy);
}

static void print_targets(const struct route_change *list, size_t n, FILE *to)
{
	fputc('{', to);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : "", to);
		print_label(list[i].from.text, to);
		fputs(list[i].when == WHEN_ALWAYS ? ": " : ": {to: ", to);
		print_text(list[i].to.text, to);
		print_when(list[i].when, to);
	}
	fputc('}', to);
}

static void print_rename(const struct key *key, const void *base, FILE *to)
{
	const struct route_config *route = base;

	(void)key;
	print_targets(route->rename, route->n_rename, to);
}

static void print_copy(const struct key *key, const void *base, FILE *to)
{
	const struct route_config *route = base;

	(void)key;
	print_targets(route->copy, route->n_copy, to);
}

static void schema_targets(const char *names, FILE *to)
{
	static const char target[] = "{\"type\": \"string\", \"pattern\": " SCHEMA_CHANGED "}";

	fprintf(to,
	    "{\"type\": \"object\", %s\"additionalProperties\": {\"anyOf\": [%s, "
	    "{\"type\": \"object\", \"properties\": {\"to\": %s, " SCHEMA_WHEN "}, "
	    "\"required\": [\"to\"], \"additionalProperties\": false}]}}",
	    names, target, target);
}

static void schema_rename(const struct key *key, FILE *to)
{
	(void)key;
	schema_targets("\"propertyNames\": {\"pattern\": " SCHEMA_CHANGED "}, ", to);
}

static void schema_copy(const struct key *key, FILE *to)
{
	(void)key;
	schema_targets("", to);
}

const struct key_type key_rename = {
    "map of facts", parse_rename, print_rename, schema_rename, KEY_VALUE, NULL};
const struct key_type key_copy = {
    "map of facts", parse_copy, print_copy, schema_copy, KEY_VALUE, NULL};

/* ---- lists of facts ---- */

static int parse_remove(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct route_config *route = base;
	struct fact_key *facts;
	size_t i = 0;
	int rc = 0;

	(void)key;
	if (node->kind != NODE_LIST || node->n > ROUTE_SETS_MAX)
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

static void schema_facts(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"array\", \"items\": {\"type\": \"string\", "
	      "\"pattern\": " SCHEMA_CHANGED "}}",
	    to);
}

const struct key_type key_remove = {
    "list of facts", parse_remove, print_remove, schema_facts, KEY_VALUE, NULL};

/* ---- reserved ---- */

/* A star at the end stands for anything. */
static int parse_reserved_name(
    struct binder *b, const struct yaml_node *node, struct reserved_name *name)
{
	struct slice text;

	if (node->is_bad || bind_text(b, node, &text) < 0)
		return -1;
	name->is_prefix = text.len && text.data[text.len - 1] == '*';
	if (!name->is_prefix)
		return bind_changed(b, node, text, &name->key);
	if (bind_fact(b, node, text, &name->key) < 0)
		return -1;
	if (name->key.kind != FACT_META && name->key.kind != FACT_HEADER)
		return bind_error(b, node,
		    "%s is no beginning of names\nexpected meta.NAME* or header.NAME*",
		    bind_shows(b, node));
	name->key.name.len--;
	return 0;
}

static int parse_reserved(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct listener_config *listener = base;
	struct reserved_name *names;
	size_t i = 0;
	int rc = 0;

	(void)key;
	if (node->kind != NODE_LIST || node->n > RESERVED_MAX)
		return bind_expected(b, node, "a list",
		    "a list of up to 64 facts, like [meta.user, \"header.x-internal-*\"]");
	names = arena_calloc(b->arena, node->n + 1, sizeof *names);
	listener->reserved = names;
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);

		if (parse_reserved_name(b, item, &names[listener->n_reserved]) < 0)
			rc = -1;
		else
			listener->n_reserved++;
		key_path_cut(&b->path, before);
	}
	return rc;
}

static void print_reserved(const struct key *key, const void *base, FILE *to)
{
	const struct listener_config *listener = base;

	(void)key;
	fputc('[', to);
	for (size_t i = 0; i < listener->n_reserved; i++) {
		fputs(i ? ", " : "", to);
		print_text(listener->reserved[i].key.text, to);
	}
	fputc(']', to);
}

const struct key_type key_reserved = {
    "list of facts", parse_reserved, print_reserved, schema_facts, KEY_VALUE, NULL};
