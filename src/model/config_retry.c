/* The types of keys of retries: how many, and how long to wait. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_dump.h"

static int parse_attempts(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (node->kind != NODE_SCALAR || !slice_eq_str(node->text, "auto"))
		return key_count.parse(b, key, node, base);
	*(unsigned *)(void *)((char *)base + key->offset) = RETRY_ATTEMPTS_AUTO;
	return 0;
}

static void print_attempts(const struct key *key, const void *base, FILE *to)
{
	if (*(const unsigned *)(const void *)((const char *)base + key->offset) ==
	    RETRY_ATTEMPTS_AUTO)
		fputs("auto", to);
	else
		key_count.print(key, base, to);
}

static void schema_attempts(const struct key *key, FILE *to)
{
	fputs("{\"anyOf\": [{\"const\": \"auto\"}, ", to);
	key_count.schema(key, to);
	fputs("]}", to);
}

const struct key_type key_attempts = {
    "count or auto", parse_attempts, print_attempts, schema_attempts, KEY_VALUE, NULL};

/* A number of 1 or more, with a fraction or without. */
static int parse_factor(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	char text[32], *end = text;
	double factor = 0;

	if (node->kind == NODE_SCALAR && node->text.len > 0 && node->text.len < sizeof text) {
		memcpy(text, node->text.data, node->text.len);
		text[node->text.len] = '\0';
		if (text[strspn(text, "0123456789.")] == '\0')
			factor = strtod(text, &end);
	}
	if (end == text || *end || factor < 1 || factor > 100)
		return bind_expected(b, node, "a factor", "a number from 1 to 100, like 2 or 1.5");
	*(double *)(void *)((char *)base + key->offset) = factor;
	return 0;
}

static void print_factor(const struct key *key, const void *base, FILE *to)
{
	fprintf(to, "%.9g", *(const double *)(const void *)((const char *)base + key->offset));
}

static void schema_factor(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"anyOf\": [{\"type\": \"number\", \"minimum\": 1, \"maximum\": 100}, "
	      "{\"$ref\": \"#/$defs/variable\"}]}",
	    to);
}

static const struct key_type key_factor = {
    "number", parse_factor, print_factor, schema_factor, KEY_VALUE, NULL};

/* As it is written: which form it is follows from what is there. */
struct backoff_form {
	usec_t min, base, max;
	double factor, jitter;
};

static const struct key backoff_keys[] = {
    {.name = "min",
	.type = &key_time,
	.offset = offsetof(struct backoff_form, min),
	.fallback = "none",
	.min = 1,
	.flags = KEY_NONE,
	.text = "The least time of one drawn by chance, evenly."},
    {.name = "base",
	.type = &key_time,
	.offset = offsetof(struct backoff_form, base),
	.fallback = "none",
	.min = 1,
	.flags = KEY_NONE,
	.text = "The first time of those that grow."},
    {.name = "max",
	.type = &key_time,
	.offset = offsetof(struct backoff_form, max),
	.fallback = "none",
	.min = 1,
	.flags = KEY_NONE,
	.text = "The longest time, before jitter. Both forms need it."},
    {.name = "factor",
	.type = &key_factor,
	.offset = offsetof(struct backoff_form, factor),
	.fallback = "2",
	.text = "With base: by what each time is longer than the one before it."},
    {.name = "jitter",
	.type = &key_share,
	.offset = offsetof(struct backoff_form, jitter),
	.fallback = "20%",
	.text = "With base: how far a time is changed by chance, up or down."},
};

const struct scope backoff_scope = {
    .name = "Backoff",
    .keys = backoff_keys,
    .n = ARRAY_LEN(backoff_keys),
    .size = sizeof(struct backoff_form),
};

static int take_form(struct binder *b, const struct yaml_node *node,
    const struct backoff_form *form, struct backoff *backoff)
{
	bool is_random = form->min != USEC_NONE, grows = form->base != USEC_NONE;

	if (is_random == grows || form->max == USEC_NONE)
		return bind_error(b, node,
		    "this says not how long\nexpected a time like 20ms, {min: 10ms, max: 50ms}, or "
		    "{base: 10ms, max: 1s, factor: 2, jitter: 20%%}");
	if (is_random &&
	    (yaml_find(node, SLICE_LIT("factor")) || yaml_find(node, SLICE_LIT("jitter"))))
		return bind_error(b, node,
		    "factor and jitter mean nothing to a time drawn between min and max\nexpected "
		    "base instead of min, or neither of them");
	backoff->kind = is_random ? BACKOFF_RANDOM : BACKOFF_EXPONENTIAL;
	backoff->min = is_random ? form->min : form->base;
	backoff->max = form->max;
	backoff->factor = is_random ? 0 : form->factor;
	backoff->jitter = is_random ? 0 : form->jitter;
	if (backoff->min <= backoff->max)
		return 0;
	return bind_error(
	    b, node, "max is less than %s\nexpected at least as much", is_random ? "min" : "base");
}

static int parse_backoff(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct backoff *backoff = (struct backoff *)(void *)((char *)base + key->offset);
	struct backoff_form *form;
	struct key as_time = *key;

	*backoff = (struct backoff){.kind = BACKOFF_NONE};
	if (bind_is_none(key, node))
		return 0;
	if (node->kind != NODE_MAP) {
		as_time.min = 1;
		as_time.offset = offsetof(struct backoff, min);
		if (key_time.parse(b, &as_time, node, backoff) < 0)
			return -1;
		backoff->kind = BACKOFF_FIXED;
		backoff->max = backoff->min;
		return 0;
	}
	form = arena_calloc(b->scratch, 1, sizeof *form);
	bind_defaults(b, &backoff_scope, form);
	bind_scope(b, &backoff_scope, node, form, NULL);
	return take_form(b, node, form, backoff);
}

static void print_time_named(const char *name, usec_t time, FILE *to)
{
	static const struct key at_start = {.offset = 0};

	fputs(name, to);
	key_time.print(&at_start, &time, to);
}

static void print_backoff(const struct key *key, const void *base, FILE *to)
{
	const struct backoff *backoff =
	    (const struct backoff *)(const void *)((const char *)base + key->offset);

	switch (backoff->kind) {
	case BACKOFF_NONE:
		fputs("none", to);
		break;
	case BACKOFF_FIXED:
		print_time_named("", backoff->min, to);
		break;
	case BACKOFF_RANDOM:
		print_time_named("{min: ", backoff->min, to);
		print_time_named(", max: ", backoff->max, to);
		fputc('}', to);
		break;
	case BACKOFF_EXPONENTIAL:
		print_time_named("{base: ", backoff->min, to);
		print_time_named(", max: ", backoff->max, to);
		fprintf(
		    to, ", factor: %.9g, jitter: %.9g%%}", backoff->factor, backoff->jitter * 100);
		break;
	}
}

static void schema_backoff(const struct key *key, FILE *to)
{
	fputs("{\"anyOf\": [", to);
	key_time.schema(key, to);
	fprintf(to, ", {\"$ref\": \"#/$defs/%s\"}]}", backoff_scope.name);
}

const struct key_type key_backoff = {
    "time or map", parse_backoff, print_backoff, schema_backoff, KEY_VALUE, NULL};
