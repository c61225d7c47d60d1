/* The type of keys that name facts of a call, and the values of facts. */
#include <stdio.h>

#include "model/config_bind.h"

#define VALUE_MAX 1024u

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
