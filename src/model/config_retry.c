/* The types of keys of retries: how many, after what, and how long to wait. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_dump.h"

#define NUMBERS_MAX 64u

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

/* The words of retry.on that have numbers behind a colon. */
static const struct {
	const char *prefix, *like;
	size_t offset;
} numbered[] = {
    {"exception:", "types of exceptions, like exception:6,7",
	offsetof(struct retry_policy, exceptions)},
    {"biz:", "codes of business errors, like biz:1001,1002", offsetof(struct retry_policy, biz)},
    {"grpc:", "codes of gRPC, like grpc:4,14", offsetof(struct retry_policy, grpc)},
};

static struct retry_numbers *numbers_at(struct retry_policy *policy, size_t i)
{
	return (struct retry_numbers *)(void *)((char *)policy + numbered[i].offset);
}

static bool parse_number(struct slice text, int32_t *number)
{
	bool is_negative = text.len > 0 && text.data[0] == '-';
	uint64_t value;

	if (!slice_to_u64(slice_from(text, is_negative), &value) || value > INT32_MAX)
		return false;
	*number = is_negative ? -(int32_t)value : (int32_t)value;
	return true;
}

/* Appends those of "6,7". */
static bool parse_numbers(struct binder *b, struct slice text, struct retry_numbers *numbers)
{
	int32_t *list = arena_alloc(b->arena, NUMBERS_MAX * sizeof *list);
	size_t n = numbers->n;

	if (n)
		memcpy(list, numbers->list, n * sizeof *list);
	for (size_t begin = 0, i = 0; i <= text.len; i++) {
		if (i < text.len && text.data[i] != ',')
			continue;
		if (n == NUMBERS_MAX ||
		    !parse_number(slice_sub(text, begin, i - begin), &list[n++]))
			return false;
		begin = i + 1;
	}
	*numbers = (struct retry_numbers){list, n};
	return true;
}

static int refuse_on(struct binder *b, const struct key *key, const struct yaml_node *node)
{
	const char *words = "";
	struct nearest nearest;

	nearest_init(&nearest, node->text);
	for (const struct word *w = key->words; w->word; w++) {
		words = arena_printf(b->scratch, "%s%s, ", words, w->word);
		nearest_try(&nearest, slice_str(w->word));
	}
	return bind_error(b, node,
	    "unknown value %s\nexpected one of: %sexception:NUMBERS, biz:NUMBERS, grpc:NUMBERS%s",
	    bind_shows(b, node), words, bind_meant(b, &nearest));
}

static int parse_one(struct binder *b, const struct key *key, const struct yaml_node *node,
    struct retry_policy *policy)
{
	if (node->kind != NODE_SCALAR)
		return refuse_on(b, key, node);
	for (const struct word *w = key->words; w->word; w++) {
		if (!slice_eq_str(node->text, w->word))
			continue;
		policy->on |= w->value;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(numbered); i++) {
		struct slice prefix = slice_str(numbered[i].prefix);

		if (!slice_starts(node->text, prefix))
			continue;
		if (parse_numbers(b, slice_from(node->text, prefix.len), numbers_at(policy, i)))
			return 0;
		return bind_error(b, node,
		    "%s has no numbers that can be used\nexpected up to 64 %s", bind_shows(b, node),
		    numbered[i].like);
	}
	return refuse_on(b, key, node);
}

static int parse_on(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct retry_policy *policy = (struct retry_policy *)(void *)((char *)base + key->offset);
	size_t i = 0;
	int rc = 0;

	if (node->kind == NODE_LIST && node->n == 0)
		return bind_error(b, node, "an empty list\nexpected %s", key->missing);
	if (node->kind != NODE_LIST)
		return bind_error(b, node,
		    "%s where a list of words belongs\nexpected a list like [connect, unsent, timeout]",
		    bind_shows(b, node));
	policy->on = 0;
	policy->exceptions = policy->biz = policy->grpc = (struct retry_numbers){NULL, 0};
	for (struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);

		if (item->is_bad || parse_one(b, key, item, policy) < 0)
			rc = -1;
		key_path_cut(&b->path, before);
	}
	/* Half a list would mean something else to the rules between values. */
	if (rc < 0)
		policy->on = RETRY_ON_SAFE;
	return rc;
}

static void print_on(const struct key *key, const void *base, FILE *to)
{
	const struct retry_policy *policy =
	    (const struct retry_policy *)(const void *)((const char *)base + key->offset);
	const char *comma = "";

	fputc('[', to);
	for (const struct word *w = key->words; w->word; w++) {
		if (!(policy->on & w->value))
			continue;
		fprintf(to, "%s%s", comma, w->word);
		comma = ", ";
	}
	for (size_t i = 0; i < ARRAY_LEN(numbered); i++) {
		const struct retry_numbers *numbers =
		    numbers_at((struct retry_policy *)(uintptr_t)policy, i);

		if (numbers->n == 0)
			continue;
		fprintf(to, "%s\"%s", comma, numbered[i].prefix);
		for (size_t k = 0; k < numbers->n; k++)
			fprintf(to, "%s%" PRId32, k ? "," : "", numbers->list[k]);
		fputc('"', to);
		comma = ", ";
	}
	fputc(']', to);
}

static void schema_on(const struct key *key, FILE *to)
{
	fputs("{\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\", "
	      "\"pattern\": \"^(",
	    to);
	for (const struct word *w = key->words; w->word; w++)
		fprintf(to, "%s|", w->word);
	fputs("(exception|biz|grpc):-?[0-9]+(,-?[0-9]+)*)$|\\\\$\\\\{\"}}", to);
}

const struct key_type key_retry_on = {
    "list of words", parse_on, print_on, schema_on, KEY_VALUE, NULL};

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
