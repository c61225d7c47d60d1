/* The types of keys that are texts, and how texts are written. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "model/access_field.h"
#include "model/config_bind.h"
#include "model/nearest.h"

#define PLAIN_TEXT_MAX 4096u
#define PAIRS_MAX      64u

static bool is_reserved(struct slice text)
{
	/* Some readers of YAML take the last ones for bools. */
	static const char *const words[] = {
	    "none", "auto", "null", "true", "false", "yes", "no", "on", "off", "y", "n"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (text.len == strlen(words[i]) &&
		    strncasecmp((const char *)text.data, words[i], text.len) == 0)
			return true;
	return false;
}

static bool is_safe(struct slice text)
{
	if (text.len == 0 || is_reserved(text))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i], lower = c | 0x20;
		bool letter = (lower >= 'a' && lower <= 'z') || c == '/' || c == '_';

		if (!letter && (i == 0 || !(c >= '0' && c <= '9')) &&
		    (i == 0 || (c != '.' && c != '-')))
			return false;
	}
	return true;
}

/* Characters beyond ASCII that YAML takes for the end of a line: U+0085, U+2028 and U+2029. Returns
 * their length, 0 for others. */
static size_t line_end_len(struct slice s)
{
	if (slice_starts(s, SLICE_LIT("\xc2\x85")))
		return 2;
	return slice_starts(s, SLICE_LIT("\xe2\x80\xa8")) ||
		       slice_starts(s, SLICE_LIT("\xe2\x80\xa9"))
		   ? 3
		   : 0;
}

void print_json(struct slice text, FILE *to)
{
	for (size_t i = 0; i < text.len; i++) {
		size_t len = line_end_len(slice_from(text, i));
		uint8_t c = text.data[i];

		if (c == '"' || c == '\\')
			fputc('\\', to);
		if (len > 0) {
			i += len - 1;
			fputs(len == 2               ? "\\u0085"
			      : text.data[i] == 0xa8 ? "\\u2028"
						     : "\\u2029",
			    to);
		} else if (c < 0x20) {
			fprintf(to, "\\u%04x", c);
		} else {
			fputc(c, to);
		}
	}
}

void print_label(struct slice text, FILE *to)
{
	if (is_safe(text)) {
		fwrite(text.data, 1, text.len, to);
		return;
	}
	fputc('"', to);
	print_json(text, to);
	fputc('"', to);
}

void print_text(struct slice text, FILE *to)
{
	size_t done = 0;

	if (is_safe(text)) {
		print_label(text, to);
		return;
	}
	fputc('"', to);
	/* A literal ${ has to survive the next reading. */
	for (size_t i = 0; i + 1 < text.len; i++) {
		if (text.data[i] != '$' || text.data[i + 1] != '{')
			continue;
		print_json(slice_sub(text, done, i - done), to);
		fputc('$', to);
		done = i;
	}
	print_json(slice_from(text, done), to);
	fputc('"', to);
}

static const char **text_at(const struct key *key, void *base)
{
	return (const char **)((char *)base + key->offset);
}

static int parse_any_text(
    struct binder *b, const struct key *key, const struct yaml_node *node, struct slice *text)
{
	uint64_t max = key->max ? key->max : PLAIN_TEXT_MAX;

	if (bind_text(b, node, text) < 0)
		return -1;
	if (text->len > max)
		return bind_error(b, node, "%zu bytes are too many\nexpected at most %zu",
		    text->len, (size_t)max);
	return 0;
}

static int parse_text(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct slice text;

	if (bind_is_plain_none(key, node)) {
		*text_at(key, base) = NULL;
		return 0;
	}
	if (parse_any_text(b, key, node, &text) < 0)
		return -1;
	*text_at(key, base) = arena_str(b->arena, text);
	return 0;
}

static void print_text_key(const struct key *key, const void *base, FILE *to)
{
	const char *text = *(const char *const *)((const char *)base + key->offset);

	if (text)
		print_text(slice_str(text), to);
	else
		fputs("none", to);
}

static void schema_text(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"string\"}", to);
}

const struct key_type key_text = {"text", parse_text, print_text_key, schema_text, KEY_VALUE, NULL};

static int parse_name(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct slice text;

	if (bind_is_plain_none(key, node)) {
		*text_at(key, base) = NULL;
		return 0;
	}
	if (bind_text(b, node, &text) < 0)
		return -1;
	/* An empty name means none where that is the default. */
	if (text.len > 0 || key->fallback == NULL)
		if (bind_name(b, node, text) < 0)
			return -1;
	*text_at(key, base) = arena_str(b->arena, text);
	return 0;
}

static void schema_name(const struct key *key, FILE *to)
{
	fprintf(to, "{\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9._-]{%d,200}$|\\\\$\\\\{\"}",
	    key->fallback ? 0 : 1);
}

const struct key_type key_name = {"name", parse_name, print_text_key, schema_name, KEY_VALUE, NULL};

static struct slice without_port(struct slice text)
{
	size_t n = text.len;

	while (n > 0 && text.data[n - 1] >= '0' && text.data[n - 1] <= '9')
		n--;
	return n > 1 && n < text.len && text.data[n - 1] == ':' ? slice_sub(text, 0, n - 1) : text;
}

/* A name that DNS is asked for may bring its port; whether it is one is not known here. */
static int parse_service_name(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct slice text;

	if (bind_text(b, node, &text) < 0 || bind_name(b, node, without_port(text)) < 0)
		return -1;
	*text_at(key, base) = arena_str(b->arena, text);
	return 0;
}

static void schema_service_name(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"string\", \"pattern\": "
	      "\"^[A-Za-z0-9._-]{1,200}(:[0-9]+)?$|\\\\$\\\\{\"}",
	    to);
}

const struct key_type key_service_name = {
    "name", parse_service_name, print_text_key, schema_service_name, KEY_VALUE, NULL};

static bool is_path(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] < 0x20)
			return false;
	return text.len > 1 && text.data[0] == '/';
}

static int check_path(struct binder *b, const struct yaml_node *node, struct slice text)
{
	if (is_path(text))
		return 0;
	return bind_error(
	    b, node, "%s is no path\nexpected a whole path, from / on", bind_shows(b, node));
}

static int parse_path(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct slice text;

	if (bind_is_none(key, node)) {
		*text_at(key, base) = NULL;
		return 0;
	}
	if (parse_any_text(b, key, node, &text) < 0 || check_path(b, node, text) < 0)
		return -1;
	*text_at(key, base) = arena_str(b->arena, text);
	return 0;
}

const struct key_type key_path = {"path", parse_path, print_text_key, schema_text, KEY_VALUE, NULL};

static int parse_log_target(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct slice text;

	if (bind_is_none(key, node)) {
		*text_at(key, base) = NULL;
		return 0;
	}
	if (parse_any_text(b, key, node, &text) < 0)
		return -1;
	if (!slice_eq_str(text, "stderr") && !slice_eq_str(text, "stdout") && !is_path(text))
		return bind_error(b, node,
		    "%s is nowhere to log to\nexpected stderr, stdout or a whole "
		    "path, from / on%s",
		    bind_shows(b, node), key->flags & KEY_NONE ? ", or none" : "");
	*text_at(key, base) = arena_str(b->arena, text);
	return 0;
}

const struct key_type key_log_target = {
    "stderr, stdout or path", parse_log_target, print_text_key, schema_text, KEY_VALUE, NULL};

static int bind_field(struct binder *b, const struct yaml_node *node, struct slice name)
{
	const char *known = "", *meant = "";
	struct nearest nearest;

	if (access_field_find(name) != ACCESS_COUNT)
		return 0;
	nearest_init(&nearest, name);
	for (int f = 0; f < ACCESS_COUNT; f++) {
		const char *field = access_field_name((enum access_field)f);

		nearest_try(&nearest, slice_str(field));
		known = arena_printf(b->scratch, "%s%s%s", known, f ? ", " : "", field);
	}
	if (nearest_found(&nearest))
		meant = arena_printf(b->scratch, "; did you mean \"%.*s\"?", (int)nearest.best.len,
		    (const char *)nearest.best.data);
	return bind_error(b, node, "\"%.*s\" is no field of the access log\nexpected one of: %s%s",
	    (int)slice_first(name, 80).len, (const char *)name.data, known, meant);
}

/* NULL stands for json; anything else is a format string with %{field}s. */
static int parse_format(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct slice text;
	const char *open;

	if (parse_any_text(b, key, node, &text) < 0)
		return -1;
	*text_at(key, base) = NULL;
	if (slice_eq_str(text, "json"))
		return 0;
	open = strstr(arena_str(b->scratch, text), "%{");
	if (open == NULL)
		return bind_error(b, node,
		    "%s is no format\nexpected json, or a text with fields like "
		    "%%{method} in it",
		    bind_shows(b, node));
	for (; open; open = strstr(open + 2, "%{")) {
		const char *end = strchr(open, '}');

		if (end == NULL)
			return bind_error(
			    b, node, "a %%{ without its }\nexpected fields like %%{method}");
		if (bind_field(b, node, slice_of(open + 2, (size_t)(end - open - 2))) < 0)
			return -1;
	}
	*text_at(key, base) = arena_str(b->arena, text);
	return 0;
}

static void print_format(const struct key *key, const void *base, FILE *to)
{
	const char *text = *(const char *const *)((const char *)base + key->offset);

	print_text(slice_str(text ? text : "json"), to);
}

const struct key_type key_format = {
    "json or format", parse_format, print_format, schema_text, KEY_VALUE, NULL};

static int parse_names(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct config_list *list = (struct config_list *)(void *)((char *)base + key->offset);
	const char **items;
	size_t n = 0, i = 0;
	int rc = 0;

	if (node->kind != NODE_LIST)
		return bind_expected(b, node, "a list", "a list of names, like [a, b]");
	items = arena_calloc(b->arena, node->n + 1, sizeof *items);
	for (struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);
		struct slice text;

		if (item->is_bad || bind_text(b, item, &text) < 0 || bind_name(b, item, text) < 0) {
			rc = -1;
		} else {
			bind_origin(b, &items[n], NULL, item->at);
			items[n++] = arena_str(b->arena, text);
		}
		key_path_cut(&b->path, before);
	}
	*list = (struct config_list){items, n};
	return rc;
}

static void print_names(const struct key *key, const void *base, FILE *to)
{
	const struct config_list *list =
	    (const struct config_list *)(const void *)((const char *)base + key->offset);

	fputc('[', to);
	for (size_t i = 0; i < list->n; i++) {
		fputs(i ? ", " : "", to);
		print_text(slice_str(list->items[i]), to);
	}
	fputc(']', to);
}

static void schema_names(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"array\", \"items\": {\"type\": \"string\"}}", to);
}

const struct key_type key_names = {
    "list of names", parse_names, print_names, schema_names, KEY_VALUE, NULL};

static int parse_pair(struct binder *b, const struct yaml_node *value, struct config_pair *pair)
{
	size_t before = key_path_key(&b->path, value->key);
	struct slice text;
	int rc = -1;

	if (value->is_bad || bind_text(b, value, &text) < 0)
		rc = -1;
	else if (value->key.len == 0 || value->key.len > 200 || text.len > PLAIN_TEXT_MAX)
		bind_error(b, value,
		    "the tag is too long, or has no name\nexpected a name of up to 200 "
		    "bytes and a value of up to 4096");
	else
		rc = 0;
	key_path_cut(&b->path, before);
	if (rc == 0)
		*pair = (struct config_pair){
		    arena_str(b->arena, value->key), arena_str(b->arena, text)};
	return rc;
}

static int parse_pairs(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct config_map *map = (struct config_map *)(void *)((char *)base + key->offset);
	struct config_pair *pairs;
	size_t n = 0;
	int rc = 0;

	if (node->kind != NODE_MAP)
		return bind_expected(b, node, "a map", "a map of texts, like {env: prod}");
	if (node->n > PAIRS_MAX)
		return bind_error(b, node, "%zu tags\nexpected at most %u", node->n, PAIRS_MAX);
	pairs = arena_calloc(b->arena, node->n + 1, sizeof *pairs);
	for (struct yaml_node *value = node->first; value; value = value->next) {
		if (parse_pair(b, value, &pairs[n]) == 0)
			n++;
		else
			rc = -1;
	}
	qsort(pairs, n, sizeof *pairs, config_pair_compare);
	*map = (struct config_map){pairs, n};
	return rc;
}

static void print_pairs(const struct key *key, const void *base, FILE *to)
{
	const struct config_map *map =
	    (const struct config_map *)(const void *)((const char *)base + key->offset);

	fputc('{', to);
	for (size_t i = 0; i < map->n; i++) {
		fputs(i ? ", " : "", to);
		print_label(slice_str(map->pairs[i].name), to);
		fputs(": ", to);
		print_text(slice_str(map->pairs[i].value), to);
	}
	fputc('}', to);
}

static void schema_pairs(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"object\", \"additionalProperties\": {\"type\": \"string\"}}", to);
}

const struct key_type key_pairs = {
    "map of texts", parse_pairs, print_pairs, schema_pairs, KEY_VALUE, NULL};
