/* Lists of what counts as a failure: words, and codes behind a word and a colon. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_dump.h"
#include "model/nearest.h"

#define CODES_MAX 64u

/* A word that has codes behind a colon; offset: of their code_list. */
struct coded {
	const char *word, *like;
	size_t offset;
	unsigned bit; /* beside the codes; 0: none */
};

/* Where the parts of a list are in what the key's offset leads to. */
struct on_list {
	size_t on; /* the bits: an unsigned */
	const struct coded *coded;
	size_t n_coded;
	const char *example;
	unsigned fallback; /* of a list that is wrong: half of one would mean something else to the
			      rules between values */
};

static const struct coded retry_coded[] = {
    {"exception", "types of exceptions, like exception:6,7",
	offsetof(struct retry_policy, exceptions), 0},
    {"biz", "codes of business errors, like biz:1001,1002", offsetof(struct retry_policy, biz), 0},
    {"grpc", "codes of gRPC, like grpc:4,14", offsetof(struct retry_policy, grpc), 0},
};

static const struct on_list retry_list = {
    .on = offsetof(struct retry_policy, on),
    .coded = retry_coded,
    .n_coded = ARRAY_LEN(retry_coded),
    .example = "[connect, unsent, timeout]",
    .fallback = RETRY_ON_SAFE,
};

static const struct coded eject_coded[] = {
    {"biz", "codes of business errors, like biz:5003", offsetof(struct eject_policy, biz),
	EJECT_ON_BIZ},
};

static const struct on_list eject_list = {
    .on = offsetof(struct eject_policy, on),
    .coded = eject_coded,
    .n_coded = ARRAY_LEN(eject_coded),
    .example = "[connect, reset, timeout]",
};

static const char *const list_end = ":-?[0-9]+(,-?[0-9]+)*)$|\\\\$\\\\{\"}}";

static unsigned *bits_of(const struct on_list *l, const void *policy)
{
	return (unsigned *)(uintptr_t)((const char *)policy + l->on);
}

static struct code_list *codes_of(const struct coded *c, const void *policy)
{
	return (struct code_list *)(uintptr_t)((const char *)policy + c->offset);
}

/* ---- reading ---- */

static bool parse_code(struct slice text, int32_t *code)
{
	bool is_negative = text.len > 0 && text.data[0] == '-';
	uint64_t value;

	if (!slice_to_u64(slice_from(text, is_negative), &value) || value > INT32_MAX)
		return false;
	*code = is_negative ? -(int32_t)value : (int32_t)value;
	return true;
}

/* Appends those of "6,7". */
static bool parse_codes(struct binder *b, struct slice text, struct code_list *codes)
{
	int32_t *list = arena_alloc(b->arena, CODES_MAX * sizeof *list);
	size_t n = codes->n;

	if (n)
		memcpy(list, codes->list, n * sizeof *list);
	for (size_t begin = 0, i = 0; i <= text.len; i++) {
		if (i < text.len && text.data[i] != ',')
			continue;
		if (n == CODES_MAX || !parse_code(slice_sub(text, begin, i - begin), &list[n++]))
			return false;
		begin = i + 1;
	}
	*codes = (struct code_list){list, n};
	return true;
}

static int refuse(
    struct binder *b, const struct key *key, const struct yaml_node *node, const struct on_list *l)
{
	const char *words = "";
	struct nearest nearest;

	nearest_init(&nearest, node->text);
	for (const struct word *w = key->words; w->word; w++) {
		words = arena_printf(b->scratch, "%s%s%s", words, *words ? ", " : "", w->word);
		nearest_try(&nearest, slice_str(w->word));
	}
	for (size_t i = 0; i < l->n_coded; i++)
		words = arena_printf(b->scratch, "%s, %s:NUMBERS", words, l->coded[i].word);
	return bind_error(b, node, "unknown value %s\nexpected one of: %s%s", bind_shows(b, node),
	    words, bind_meant(b, &nearest));
}

static bool is_coded(const struct coded *c, struct slice text)
{
	struct slice word = slice_str(c->word);

	return slice_starts(text, word) && text.len > word.len && text.data[word.len] == ':';
}

static int parse_one(struct binder *b, const struct key *key, const struct yaml_node *node,
    const struct on_list *l, void *policy)
{
	if (node->kind != NODE_SCALAR)
		return refuse(b, key, node, l);
	for (const struct word *w = key->words; w->word; w++) {
		if (!slice_eq_str(node->text, w->word))
			continue;
		*bits_of(l, policy) |= w->value;
		return 0;
	}
	for (const struct coded *c = l->coded; c < l->coded + l->n_coded; c++) {
		if (!is_coded(c, node->text))
			continue;
		*bits_of(l, policy) |= c->bit;
		if (parse_codes(
			b, slice_from(node->text, strlen(c->word) + 1), codes_of(c, policy)))
			return 0;
		return bind_error(b, node,
		    "%s has no numbers that can be used\nexpected up to 64 %s", bind_shows(b, node),
		    c->like);
	}
	return refuse(b, key, node, l);
}

static void clear(const struct on_list *l, void *policy, unsigned bits)
{
	*bits_of(l, policy) = bits;
	for (size_t i = 0; i < l->n_coded; i++)
		*codes_of(&l->coded[i], policy) = (struct code_list){NULL, 0};
}

static int parse(struct binder *b, const struct key *key, const struct yaml_node *node, void *base,
    const struct on_list *l)
{
	void *policy = (char *)base + key->offset;
	size_t i = 0;
	int rc = 0;

	if (bind_is_none(key, node)) {
		clear(l, policy, 0);
		return 0;
	}
	if (node->kind == NODE_LIST && node->n == 0)
		return bind_error(b, node, "an empty list\nexpected %s", key->missing);
	if (node->kind != NODE_LIST)
		return bind_error(b, node,
		    "%s where a list of words belongs\nexpected a list like %s",
		    bind_shows(b, node), l->example);
	clear(l, policy, 0);
	for (struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);

		if (item->is_bad || parse_one(b, key, item, l, policy) < 0)
			rc = -1;
		key_path_cut(&b->path, before);
	}
	if (rc < 0)
		*bits_of(l, policy) = l->fallback;
	return rc;
}

/* ---- writing ---- */

static void print_codes(const struct coded *c, const struct code_list *codes, FILE *to)
{
	fprintf(to, "\"%s:", c->word);
	for (size_t i = 0; i < codes->n; i++)
		fprintf(to, "%s%" PRId32, i ? "," : "", codes->list[i]);
	fputc('"', to);
}

static void print(const struct key *key, const void *base, FILE *to, const struct on_list *l)
{
	const void *policy = (const char *)base + key->offset;
	unsigned bits = *bits_of(l, policy);
	const char *comma = "";

	if (key->flags & KEY_NONE && bits == 0) {
		fputs("none", to);
		return;
	}
	fputc('[', to);
	for (const struct word *w = key->words; w->word; w++) {
		if (!(bits & w->value))
			continue;
		fprintf(to, "%s%s", comma, w->word);
		comma = ", ";
	}
	for (const struct coded *c = l->coded; c < l->coded + l->n_coded; c++) {
		const struct code_list *codes = codes_of(c, policy);

		if (codes->n == 0)
			continue;
		fputs(comma, to);
		print_codes(c, codes, to);
		comma = ", ";
	}
	fputc(']', to);
}

static void schema(const struct key *key, FILE *to, const struct on_list *l)
{
	if (key->flags & KEY_NONE)
		fputs("{\"anyOf\": [{\"const\": \"none\"}, ", to);
	fputs("{\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\", "
	      "\"pattern\": \"^(",
	    to);
	for (const struct word *w = key->words; w->word; w++)
		fprintf(to, "%s|", w->word);
	for (size_t i = 0; i < l->n_coded; i++)
		fprintf(to, "%s%s", i ? "|" : "(", l->coded[i].word);
	fprintf(to, ")%s", list_end);
	if (key->flags & KEY_NONE)
		fputs("]}", to);
}

/* ---- the keys ---- */

static int parse_retry(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	return parse(b, key, node, base, &retry_list);
}

static void print_retry(const struct key *key, const void *base, FILE *to)
{
	print(key, base, to, &retry_list);
}

static void schema_retry(const struct key *key, FILE *to)
{
	schema(key, to, &retry_list);
}

const struct key_type key_retry_on = {
    "list of words", parse_retry, print_retry, schema_retry, KEY_VALUE, NULL};

static int parse_eject(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	return parse(b, key, node, base, &eject_list);
}

static void print_eject(const struct key *key, const void *base, FILE *to)
{
	print(key, base, to, &eject_list);
}

static void schema_eject(const struct key *key, FILE *to)
{
	schema(key, to, &eject_list);
}

const struct key_type key_eject_on = {
    "list of words", parse_eject, print_eject, schema_eject, KEY_VALUE, NULL};
