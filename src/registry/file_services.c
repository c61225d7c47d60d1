#include "registry/file_services.h"

#include <stdlib.h>

#include "base/mem.h"
#include "registry/record_parts.h"

#define NODES_MAX 1000000u
#define TAGS_MAX  4096u

/* "line:column: path: what is wrong" of the first problem. */
static void first_problem(const struct problems *problems, const char *name, struct err *err)
{
	const struct problem *first = NULL;

	for (size_t i = 0; i < problems->n && first == NULL; i++)
		if (!problems->list[i].is_warning)
			first = &problems->list[i];
	if (first == NULL)
		err_set(err, 0, "%s: it cannot be read", name);
	else if (first->line == 0)
		err_set(err, 0, "%s: %s%s%s", name, first->text, first->remedy ? "; " : "",
		    first->remedy ? first->remedy : "");
	else
		err_set(err, 0, "%s:%u:%u: %s%s%s", name, first->line, first->column,
		    first->path ? first->path : "", first->path && first->path[0] ? ": " : "",
		    first->text);
}

/* A file without anything in it is one that is being written, or was cut off; {} says "none". */
static int check_root(const struct yaml_node *root, const char *name, struct err *err)
{
	if (root->kind == NODE_MAP)
		return 0;
	if (root->kind == NODE_SCALAR && root->text.len == 0)
		return err_set(
		    err, 0, "%s: the file is empty; {} would say that there is nothing", name);
	return err_set(
	    err, 0, "%s:%u:%u: not a map of service names", name, root->at.line, root->at.column);
}

int file_services_init(
    struct file_services *file, struct slice text, const char *name, struct err *err)
{
	struct problems problems;
	struct yaml_input in = {.file = name, .text = text, .arena = &file->arena};
	int rc = -1;

	arena_init(&file->arena, NULL, 0);
	problems_init(&problems);
	in.problems = &problems;
	file->root = yaml_read_up_to(&in, FILE_SERVICES_MAX, NODES_MAX);
	if (file->root == NULL || problems.n_errors)
		first_problem(&problems, name, err);
	else
		rc = check_root(file->root, name, err);
	problems_fini(&problems);
	if (rc < 0)
		file_services_fini(file);
	return rc;
}

void file_services_fini(struct file_services *file)
{
	arena_fini(&file->arena);
	file->root = NULL;
}

/* ---- one endpoint ---- */

/* Only here may an address be a socket's path. */
static int take_address(struct slice text, struct endpoint *endpoint, struct err *err)
{
	if (!slice_starts(text, SLICE_LIT("unix:/")))
		return record_take_address(text, &endpoint->address, err);
	return address_parse(&endpoint->address, text, err);
}

static int take_weight(const struct yaml_node *node, struct endpoint *endpoint, struct err *err)
{
	double value;
	char *end;

	if (node->kind != NODE_SCALAR || yaml_scalar_kind(node) != SCALAR_NUMBER)
		return err_set(err, 0, "the weight is no number");
	value = strtod((const char *)node->text.data, &end);
	if (*end != '\0' || !(value >= 0 && value <= RECORD_WEIGHT_MAX) ||
	    value != (double)(unsigned)value)
		return err_set(
		    err, 0, "the weight is no whole number of 0 to %u", RECORD_WEIGHT_MAX);
	endpoint->weight = (unsigned)value;
	return 0;
}

static bool is_null(const struct yaml_node *node)
{
	return node->kind == NODE_SCALAR && yaml_scalar_kind(node) == SCALAR_NULL;
}

static int take_tags(
    const struct yaml_node *node, struct arena *arena, struct endpoint *endpoint, struct err *err)
{
	struct config_pair *pairs;
	size_t n = 0, size = 0;

	if (is_null(node))
		return 0;
	if (node->kind != NODE_MAP)
		return err_set(err, 0, "the tags are no map");
	pairs = arena_calloc(arena, node->n + 1, sizeof *pairs);
	for (const struct yaml_node *tag = node->first; tag; tag = tag->next) {
		if (tag->kind != NODE_SCALAR)
			return err_set(err, 0, "a tag's value is no text");
		size += tag->key.len + tag->text.len;
		if (size > TAGS_MAX)
			return err_set(err, 0, "the tags are larger than 4 KiB");
		pairs[n++] =
		    (struct config_pair){arena_str(arena, tag->key), arena_str(arena, tag->text)};
	}
	qsort(pairs, n, sizeof *pairs, config_pair_compare);
	endpoint->tags = (struct config_map){n ? pairs : NULL, n};
	return 0;
}

/* Of etcd's records: the network says what the address is. */
static int check_network(const struct yaml_node *node, struct err *err)
{
	static const char *const known[] = {"tcp", "tcp4", "tcp6", "unix", ""};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (node->kind == NODE_SCALAR && slice_eq_str(node->text, known[i]))
			return 0;
	return err_set(err, 0, "its network is not tcp");
}

static int take_member(
    const struct yaml_node *node, struct arena *arena, struct endpoint *endpoint, struct err *err)
{
	if (slice_eq_str(node->key, "weight"))
		return is_null(node) ? 0 : take_weight(node, endpoint, err);
	if (slice_eq_str(node->key, "tags"))
		return take_tags(node, arena, endpoint, err);
	if (slice_eq_str(node->key, "network"))
		return check_network(node, err);
	if (slice_eq_str(node->key, "address"))
		return node->kind == NODE_SCALAR ? take_address(node->text, endpoint, err)
						 : err_set(err, 0, "the address is no text");
	if (!slice_eq_str(node->key, "zone"))
		return err_set(err, 0, "what is \"%.40s\"? expected address, weight, tags or zone",
		    (const char *)node->key.data);
	if (node->kind != NODE_SCALAR)
		return err_set(err, 0, "the zone is no text");
	endpoint->zone = node->text.len && !is_null(node) ? (const char *)node->text.data : NULL;
	return 0;
}

static int take_item(
    const struct yaml_node *item, struct arena *arena, struct endpoint *endpoint, struct err *err)
{
	*endpoint = (struct endpoint){.weight = RECORD_WEIGHT};
	if (item->kind == NODE_SCALAR)
		return take_address(item->text, endpoint, err);
	if (item->kind == NODE_LIST)
		return err_set(err, 0, "neither an address nor a map with one");
	for (const struct yaml_node *node = item->first; node; node = node->next)
		if (take_member(node, arena, endpoint, err) < 0)
			return -1;
	if (endpoint->address.len == 0)
		return err_set(err, 0, "there is no address");
	if (endpoint->zone == NULL)
		endpoint->zone = record_zone(&endpoint->tags);
	return 0;
}

/* ---- a set ---- */

static struct slice shown(const struct yaml_node *item, struct arena *arena)
{
	const struct yaml_node *address =
	    item->kind == NODE_MAP ? yaml_find(item, SLICE_LIT("address")) : item;
	const char *text = arena_printf(arena, "%u:%u %.80s", item->at.line, item->at.column,
	    address && address->kind == NODE_SCALAR ? (const char *)address->text.data : "");

	return slice_str(text);
}

int file_services_find(struct file_services *file, struct slice service, struct endpoint **list,
    size_t *n, file_skipped_fn skipped, void *arg, struct err *err)
{
	const struct yaml_node *node = yaml_find(file->root, service);

	*list = NULL;
	*n = 0;
	if (node == NULL || is_null(node) || node->kind == NODE_MAP)
		return 0;
	if (node->kind != NODE_LIST)
		return err_set(err, 0, "%s:%u:%u: not a list of endpoints", node->at.file,
		    node->at.line, node->at.column);
	*list = arena_calloc(&file->arena, node->n + 1, sizeof **list);
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		struct err why;

		if (take_item(item, &file->arena, &(*list)[*n], &why) < 0)
			skipped(arg, shown(item, &file->arena), why.text);
		else
			(*n)++;
	}
	return 0;
}

/* ---- documents ---- */

/* As RFC 8259 writes a number; YAML knows more forms. */
static bool is_json_number(struct slice s)
{
	size_t at = s.len && s.data[0] == '-', whole = at;

	while (at < s.len && s.data[at] >= '0' && s.data[at] <= '9')
		at++;
	if (at == whole || (s.data[whole] == '0' && at > whole + 1))
		return false;
	if (at < s.len && s.data[at] == '.') {
		if (at + 1 == s.len || s.data[at + 1] < '0' || s.data[at + 1] > '9')
			return false;
		for (at++; at < s.len && s.data[at] >= '0' && s.data[at] <= '9';)
			at++;
	}
	return at == s.len;
}

static void write_scalar(const struct yaml_node *node, struct text *out)
{
	switch (yaml_scalar_kind(node)) {
	case SCALAR_NULL:
		text_add_str(out, "null");
		return;
	case SCALAR_BOOL:
		text_add_str(
		    out, node->text.data[0] == 't' || node->text.data[0] == 'T' ? "true" : "false");
		return;
	case SCALAR_NUMBER:
		if (is_json_number(node->text)) {
			text_add(out, node->text);
			return;
		}
		break;
	case SCALAR_TEXT:
		break;
	}
	record_write_string(node->text, out);
}

/* The reader has seen to it that nothing is nested more than 32 deep. */
static void write_json(const struct yaml_node *node, struct text *out)
{
	bool is_map = node->kind == NODE_MAP;

	if (node->kind == NODE_SCALAR) {
		write_scalar(node, out);
		return;
	}
	text_add_str(out, is_map ? "{" : "[");
	for (const struct yaml_node *child = node->first; child; child = child->next) {
		if (child != node->first)
			text_add_str(out, ",");
		if (is_map) {
			record_write_string(child->key, out);
			text_add_str(out, ":");
		}
		write_json(child, out);
	}
	text_add_str(out, is_map ? "}" : "]");
}

/* What Kitex's file centre calls the categories that have other names elsewhere.
 * Source: config-file of kitex-contrib. */
static const struct {
	const char *category, *member;
} file_names[] = {{"rpc_timeout", "timeout"}, {"circuit_break", "circuitbreaker"}};

static const struct yaml_node *find_category(const struct yaml_node *map, struct slice category)
{
	const struct yaml_node *found = yaml_find(map, category);

	for (size_t i = 0; found == NULL && i < ARRAY_LEN(file_names); i++)
		if (slice_eq_str(category, file_names[i].category))
			found = yaml_find(map, slice_str(file_names[i].member));
	return found;
}

struct slice file_services_document(struct file_services *file, struct slice key)
{
	const struct yaml_node *map, *found;
	size_t names = key.len;
	struct text json = {0};
	struct slice copy;

	while (names > 0 && key.data[names - 1] != '/')
		names--;
	if (names < 2)
		return SLICE_NONE;
	map = yaml_find(file->root, slice_first(key, names - 1));
	if (map == NULL || map->kind != NODE_MAP)
		return SLICE_NONE;
	found = find_category(map, slice_from(key, names));
	if (found == NULL || is_null(found))
		return SLICE_NONE;
	write_json(found, &json);
	copy = arena_copy(&file->arena, slice_of(json.bytes, json.len));
	text_fini(&json);
	return copy;
}
