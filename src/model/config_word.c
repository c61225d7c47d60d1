/* The types of keys that are words out of a list. */
#include <stdio.h>

#include "model/config_bind.h"
#include "model/nearest.h"

static const struct word *find_word(const struct key *key, struct slice text)
{
	for (const struct word *w = key->words; w->word; w++) {
		struct slice word = slice_str(w->word);

		if (slice_eq(text, word))
			return w;
		/* exception:1,2 and the like */
		if (w->is_later && slice_starts(text, word) && text.data[word.len] == ':')
			return w;
	}
	return NULL;
}

static const char *list_words(struct binder *b, const struct key *key)
{
	const char *list = "";

	for (const struct word *w = key->words; w->word; w++)
		if (!w->is_later)
			list = arena_printf(b->scratch, "%s%s%s", list, *list ? ", " : "", w->word);
	return list;
}

static int refuse_word(struct binder *b, const struct key *key, const struct yaml_node *node)
{
	struct nearest nearest;
	const char *meant = "";

	nearest_init(&nearest, node->text);
	for (const struct word *w = key->words; w->word; w++)
		if (!w->is_later)
			nearest_try(&nearest, slice_str(w->word));
	if (nearest_found(&nearest))
		meant = arena_printf(b->scratch, "; did you mean \"%.*s\"?", (int)nearest.best.len,
		    (const char *)nearest.best.data);
	return bind_error(b, node, "unknown value %s\nexpected one of: %s%s", bind_shows(b, node),
	    list_words(b, key), meant);
}

static const struct word *parse_one(
    struct binder *b, const struct key *key, const struct yaml_node *node)
{
	const struct word *w;

	if (node->kind != NODE_SCALAR) {
		bind_error(b, node, "%s where a word belongs\nexpected one of: %s",
		    bind_shows(b, node), list_words(b, key));
		return NULL;
	}
	w = find_word(key, node->text);
	if (w == NULL) {
		refuse_word(b, key, node);
		return NULL;
	}
	if (!w->is_later)
		return w;
	bind_error(b, node, "%s is not supported by this version\nexpected one of: %s",
	    bind_shows(b, node), list_words(b, key));
	return NULL;
}

static const char *word_of(const struct key *key, unsigned value)
{
	for (const struct word *w = key->words; w->word; w++)
		if (!w->is_later && w->value == value)
			return w->word;
	return "none";
}

static void schema_word(const struct key *key, FILE *to)
{
	fputs("{\"anyOf\": [{\"enum\": [", to);
	for (const struct word *w = key->words, *first = w; w->word; w++) {
		if (w->is_later)
			continue;
		fprintf(to, "%s\"%s\"", w == first ? "" : ", ", w->word);
	}
	fputs("]}, {\"$ref\": \"#/$defs/variable\"}]}", to);
}

/* Into an enum. */
static int parse_word(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const struct word *w = parse_one(b, key, node);

	if (w == NULL)
		return -1;
	*(unsigned *)(void *)((char *)base + key->offset) = w->value;
	return 0;
}

static void print_word(const struct key *key, const void *base, FILE *to)
{
	fputs(
	    word_of(key, *(const unsigned *)(const void *)((const char *)base + key->offset)), to);
}

const struct key_type key_word = {"word", parse_word, print_word, schema_word, KEY_VALUE, NULL};

/* Two words for a bool. */
static int parse_word_bool(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const struct word *w = parse_one(b, key, node);

	if (w == NULL)
		return -1;
	*(bool *)((char *)base + key->offset) = w->value != 0;
	return 0;
}

static void print_word_bool(const struct key *key, const void *base, FILE *to)
{
	fputs(word_of(key, *(const bool *)((const char *)base + key->offset)), to);
}

const struct key_type key_word_bool = {
    "word", parse_word_bool, print_word_bool, schema_word, KEY_VALUE, NULL};

/* Calls @take for every word of a list that is not empty. */
static int parse_list(struct binder *b, const struct key *key, const struct yaml_node *node,
    void *base, void (*take)(const struct key *key, const struct word *w, void *base))
{
	size_t i = 0;
	int rc = 0;

	if (node->kind == NODE_LIST && node->n == 0 && key->missing)
		return bind_error(b, node, "an empty list\nexpected %s", key->missing);
	if (node->kind != NODE_LIST || node->n == 0)
		return bind_error(b, node,
		    "%s where a list of words belongs\nexpected a list of: %s",
		    node->kind == NODE_LIST ? "an empty list" : bind_shows(b, node),
		    list_words(b, key));
	for (struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);
		const struct word *w = item->is_bad ? NULL : parse_one(b, key, item);

		key_path_cut(&b->path, before);
		if (w)
			take(key, w, base);
		else
			rc = -1;
	}
	return rc;
}

static void schema_list(const struct key *key, FILE *to)
{
	fputs("{\"type\": \"array\", \"minItems\": 1, \"items\": ", to);
	schema_word(key, to);
	fputc('}', to);
}

static void print_list(const struct key *key, const void *base, FILE *to,
    bool (*has)(const struct key *key, const struct word *w, const void *base))
{
	const char *comma = "";

	fputc('[', to);
	for (const struct word *w = key->words; w->word; w++) {
		if (w->is_later || !has(key, w, base))
			continue;
		fprintf(to, "%s%s", comma, w->word);
		comma = ", ";
	}
	fputc(']', to);
}

/* Into the bits of one unsigned. */
static void set_bit(const struct key *key, const struct word *w, void *base)
{
	*(unsigned *)(void *)((char *)base + key->offset) |= w->value;
}

static bool has_bit(const struct key *key, const struct word *w, const void *base)
{
	return *(const unsigned *)(const void *)((const char *)base + key->offset) & w->value;
}

static int parse_bits(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	unsigned *bits = (unsigned *)(void *)((char *)base + key->offset);

	*bits = 0;
	if (bind_is_none(key, node))
		return 0;
	if (parse_list(b, key, node, base, set_bit) == 0)
		return 0;
	*bits = 0; /* half a list would mean something else to the rules between values */
	return -1;
}

static void print_bits(const struct key *key, const void *base, FILE *to)
{
	if ((key->flags & KEY_NONE) &&
	    *(const unsigned *)(const void *)((const char *)base + key->offset) == 0)
		fputs("none", to);
	else
		print_list(key, base, to, has_bit);
}

static void schema_bits(const struct key *key, FILE *to)
{
	if (key->flags & KEY_NONE)
		fputs("{\"anyOf\": [{\"const\": \"none\"}, ", to);
	schema_list(key, to);
	if (key->flags & KEY_NONE)
		fputs("]}", to);
}

const struct key_type key_word_bits = {
    "list of words", parse_bits, print_bits, schema_bits, KEY_VALUE, NULL};
