/* The types of keys that are tests of the file by itself; they only say what is to be tried. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_dump.h"

#define TESTS_MAX 10000u
#define FACTS_MAX 64u
#define TEXT_MAX  1024u

static int parse_tests(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct config *config = base;
	struct test_config *tests;
	size_t n = 0;

	(void)key;
	if (node->kind != NODE_LIST || node->n > TESTS_MAX)
		return bind_expected(b, node, "a list",
		    "a list of up to 10000 tests, like [{call: shop.cart/Get, expect: {subset: gray}}]");
	tests = arena_calloc(b->arena, node->n + 1, sizeof *tests);
	for (const struct yaml_node *item = node->first; item; item = item->next, n++) {
		size_t before = key_path_index(&b->path, n);

		tests[n] = *(const struct test_config *)bind_template(b, &test_scope);
		tests[n].at = arena_str(b->arena, slice_str(b->path.text));
		bind_origin(b, &tests[n], NULL, item->at);
		if (item->kind == NODE_MAP)
			bind_scope(b, &test_scope, item, &tests[n], NULL);
		else if (!item->is_bad)
			bind_expected(b, item, "a map",
			    "a map, like {call: shop.cart/Get, expect: {subset: gray}}");
		key_path_cut(&b->path, before);
	}
	config->tests = tests;
	config->n_tests = n;
	return 0;
}

static void schema_of(const struct key *key, FILE *to)
{
	config_schema_values(key, to);
}

const struct key_type key_tests = {"list of tests", parse_tests, NULL, schema_of, KEY_LIST, NULL};

static void schema_string(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"string\"}", to);
}

static int parse_listener(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const struct config *config = b->config;
	struct test_config *test = base;
	struct nearest nearest;
	struct slice text;

	test->listener = NULL;
	if (bind_is_plain_none(key, node))
		return 0;
	if (bind_text(b, node, &text) < 0)
		return -1;
	nearest_init(&nearest, text);
	for (size_t i = 0; i < config->n_listeners; i++) {
		if (slice_eq_str(text, config->listeners[i].name)) {
			test->listener = &config->listeners[i];
			return 0;
		}
		if (config->listeners[i].name)
			nearest_try(&nearest, slice_str(config->listeners[i].name));
	}
	return bind_error(b, node,
	    "there is no listener %s\nexpected the name of one under listeners%s",
	    bind_shows(b, node), bind_meant(b, &nearest));
}

static void print_listener(const struct key *key, const void *base, FILE *to)
{
	const struct test_config *test = base;

	(void)key;
	if (test->listener)
		print_text(slice_str(test->listener->name), to);
	else
		fputs("none", to);
}

const struct key_type key_test_listener = {
    "listener", parse_listener, print_listener, schema_string, KEY_VALUE, NULL};

/* shop.price/Quote; where the listener is pinned the method alone will do. */
static int parse_call(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct test_config *test = base;
	struct slice text;
	size_t slash;

	(void)key;
	if (bind_text(b, node, &text) < 0)
		return -1;
	text = slice_str(arena_str(b->arena, text));
	for (slash = text.len; slash > 0 && text.data[slash - 1] != '/';)
		slash--;
	test->service = slice_first(text, slash ? slash - 1 : 0);
	test->method = slice_from(text, slash);
	if (test->method.len > 0 && text.len <= TEXT_MAX)
		return 0;
	return bind_error(b, node,
	    "%s names no method\nexpected SERVICE/METHOD, like shop.price/Quote",
	    bind_shows(b, node));
}

static void print_call(const struct key *key, const void *base, FILE *to)
{
	const struct test_config *test = base;
	size_t len = test->service.len + 1 + test->method.len;
	char *text = mem_alloc(len + 1);

	(void)key;
	snprintf(text, len + 1, "%.*s%s%.*s", (int)test->service.len,
	    test->service.len ? (const char *)test->service.data : "", test->service.len ? "/" : "",
	    (int)test->method.len, test->method.len ? (const char *)test->method.data : "");
	print_text(slice_str(text), to);
	free(text);
}

const struct key_type key_test_call = {
    "text", parse_call, print_call, schema_string, KEY_VALUE, NULL};

/* A text that is looked at as a slice; empty: not given. */
static int parse_slice(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct slice *at = (struct slice *)(void *)((char *)base + key->offset), text;

	if (bind_text(b, node, &text) < 0)
		return -1;
	if (text.len > TEXT_MAX)
		return bind_error(
		    b, node, "%zu bytes are too many\nexpected at most %u", text.len, TEXT_MAX);
	*at = slice_str(arena_str(b->arena, text));
	return 0;
}

static void print_slice(const struct key *key, const void *base, FILE *to)
{
	print_text(*(const struct slice *)(const void *)((const char *)base + key->offset), to);
}

const struct key_type key_slice = {
    "text", parse_slice, print_slice, schema_string, KEY_VALUE, NULL};

/* ---- meta, header, int, field, uid, gid: all are facts, in one list ---- */

static struct fact_value *make_room(struct binder *b, struct test_config *test, size_t more)
{
	struct fact_value *facts = arena_calloc(b->arena, test->n_facts + more + 1, sizeof *facts);

	if (test->n_facts)
		memcpy(facts, test->facts, test->n_facts * sizeof *facts);
	test->facts = facts;
	return facts;
}

static int add_fact(struct binder *b, const struct yaml_node *node, const char *name,
    const struct yaml_node *value, struct test_config *test)
{
	struct fact_value *facts = make_room(b, test, 1);
	struct fact_value *fact = &facts[test->n_facts];

	if (bind_fact(b, node, slice_str(name), &fact->key) < 0 ||
	    bind_fact_value(b, value, &fact->value) < 0)
		return -1;
	test->n_facts++;
	return 0;
}

static int add_id(
    struct binder *b, const struct key *key, const struct yaml_node *node, struct test_config *test)
{
	static const struct key number = {.offset = 0};
	unsigned id;

	if (bind_is_none(key, node))
		return 0;
	if (key_count.parse(b, &number, node, &id) < 0)
		return -1;
	return add_fact(b, node, key->name, node, test);
}

static int parse_facts(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct test_config *test = base;
	int rc = 0;

	if (key->flags & KEY_NONE)
		return add_id(b, key, node, test);
	if (node->kind != NODE_MAP || node->n > FACTS_MAX)
		return bind_expected(b, node, "a map", key->missing);
	for (const struct yaml_node *value = node->first; value; value = value->next) {
		size_t before = key_path_key(&b->path, value->key);
		struct yaml_node label = {.at = value->key_at};
		const char *name = arena_printf(b->scratch, "%s.%.*s", key->name,
		    (int)value->key.len, (const char *)value->key.data);

		if (add_fact(b, &label, name, value, test) < 0)
			rc = -1;
		key_path_cut(&b->path, before);
	}
	return rc;
}

static void print_facts(const struct key *key, const void *base, FILE *to)
{
	const struct test_config *test = base;
	struct slice prefix = slice_str(key->name);
	const char *comma = "";
	bool is_id = key->flags & KEY_NONE;

	fputs(is_id ? "" : "{", to);
	for (size_t i = 0; i < test->n_facts; i++) {
		struct slice name = test->facts[i].key.text;

		if (is_id ? !slice_eq(name, prefix)
			  : !slice_starts(name, prefix) || name.data[prefix.len] != '.')
			continue;
		fputs(comma, to);
		if (!is_id) {
			print_label(slice_from(name, prefix.len + 1), to);
			fputs(": ", to);
			print_text(test->facts[i].value, to);
		} else {
			fwrite(test->facts[i].value.data, 1, test->facts[i].value.len, to);
		}
		comma = ", ";
	}
	fputs(!is_id ? "}" : *comma ? "" : "none", to);
}

static void schema_facts(const struct key *key, FILE *to)
{
	if (key->flags & KEY_NONE)
		key_count.schema(key, to);
	else
		fputs("{\"type\": \"object\", \"additionalProperties\": {\"type\": [\"string\", "
		      "\"number\", \"boolean\"]}}",
		    to);
}

/* Facts of the call as it goes on. */
static int parse_expected(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct test_config *test = base;
	struct fact_value *facts;
	int rc = 0;

	if (node->kind != NODE_MAP || node->n > FACTS_MAX)
		return bind_expected(b, node, "a map", key->missing);
	facts = arena_calloc(b->arena, node->n + 1, sizeof *facts);
	test->expected = facts;
	for (const struct yaml_node *value = node->first; value; value = value->next) {
		size_t before = key_path_key(&b->path, value->key);
		struct yaml_node label = {.at = value->key_at};
		struct fact_value *fact = &facts[test->n_expected];

		if (bind_fact(b, &label, value->key, &fact->key) < 0 ||
		    bind_fact_value(b, value, &fact->value) < 0)
			rc = -1;
		else
			test->n_expected++;
		key_path_cut(&b->path, before);
	}
	return rc;
}

static void print_expected(const struct key *key, const void *base, FILE *to)
{
	const struct test_config *test = base;

	(void)key;
	fputc('{', to);
	for (size_t i = 0; i < test->n_expected; i++) {
		fputs(i ? ", " : "", to);
		print_label(test->expected[i].key.text, to);
		fputs(": ", to);
		print_text(test->expected[i].value, to);
	}
	fputc('}', to);
}

const struct key_type key_test_expected = {
    "map of texts", parse_expected, print_expected, schema_facts, KEY_VALUE, NULL};
const struct key_type key_test_facts = {
    "map of texts", parse_facts, print_facts, schema_facts, KEY_VALUE, NULL};
const struct key_type key_test_id = {
    "number", parse_facts, print_facts, schema_facts, KEY_VALUE, NULL};

/* ---- the expected reason: any there is ---- */

static const char *list_reasons(struct binder *b)
{
	const char *list = "";

	for (int r = 0; r < REASON_COUNT; r++)
		list = arena_printf(
		    b->scratch, "%s%s%s", list, r ? ", " : "", reason_name((enum reason)r));
	return list;
}

static int parse_reason(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct test_config *test = base;
	struct nearest nearest;

	test->has_reason = false;
	if (bind_is_none(key, node))
		return 0;
	nearest_init(&nearest, node->text);
	for (int r = 0; node->kind == NODE_SCALAR && r < REASON_COUNT; r++) {
		struct slice name = slice_str(reason_name((enum reason)r));

		if (slice_eq(node->text, name)) {
			test->reason = (enum reason)r;
			test->has_reason = true;
			return 0;
		}
		nearest_try(&nearest, name);
	}
	return bind_error(b, node, "unknown value %s\nexpected one of: %s%s", bind_shows(b, node),
	    list_reasons(b), bind_meant(b, &nearest));
}

static void print_reason(const struct key *key, const void *base, FILE *to)
{
	const struct test_config *test = base;

	(void)key;
	fputs(test->has_reason ? reason_name(test->reason) : "none", to);
}

static void schema_reason(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"enum\": [\"none\"", to);
	for (int r = 0; r < REASON_COUNT; r++)
		fprintf(to, ", \"%s\"", reason_name((enum reason)r));
	fputs("]}", to);
}

const struct key_type key_reason = {
    "reason", parse_reason, print_reason, schema_reason, KEY_VALUE, NULL};
