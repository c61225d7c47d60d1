/* The types of keys that point at somebody: the caller, resolvers. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"

#define CALLERS_MAX   1000u
#define RESOLVERS_MAX 16u

static int parse_uid(struct binder *b, const struct yaml_node *node, struct caller_uid *caller)
{
	struct slice text;
	uint64_t uid;

	if (node->is_bad || bind_text(b, node, &text) < 0 || bind_name(b, node, text) < 0)
		return -1;
	if (!slice_to_u64(node->key, &uid) || uid >= UINT32_MAX)
		return bind_error(
		    b, node, "the key is no uid\nexpected a map like {1000: shop.cart}");
	*caller = (struct caller_uid){(uid_t)uid, arena_str(b->arena, text)};
	return 0;
}

static int compare_uids(const void *a, const void *b)
{
	const struct caller_uid *left = a, *right = b;

	return left->uid == right->uid ? 0 : left->uid < right->uid ? -1 : 1;
}

static int parse_uids(
    struct binder *b, const struct yaml_node *map, struct listener_config *listener)
{
	struct caller_uid *callers;
	size_t n = 0;
	int rc = 0;

	if (map->kind != NODE_MAP || map->n == 0 || map->n > CALLERS_MAX)
		return bind_expected(b, map, "a map", "a map of uids, like {1000: shop.cart}");
	callers = arena_calloc(b->arena, map->n, sizeof *callers);
	for (struct yaml_node *value = map->first; value; value = value->next) {
		size_t before = key_path_key(&b->path, value->key);

		if (parse_uid(b, value, &callers[n]) < 0)
			rc = -1;
		else
			n++;
		key_path_cut(&b->path, before);
	}
	qsort(callers, n, sizeof *callers, compare_uids);
	/* What is half read would be complained about again, as if it were meant. */
	if (rc < 0)
		return -1;
	listener->caller = CALLER_UID;
	listener->caller_uids = callers;
	listener->n_caller_uids = n;
	return 0;
}

static int parse_caller(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	static const char like[] = "as_stated, node, or {uid: {1000: shop.cart}}";
	struct listener_config *listener = base;
	int rc;

	(void)key;
	if (node->kind == NODE_MAP && node->n == 1 && slice_eq_str(node->first->key, "uid")) {
		size_t before = key_path_key(&b->path, node->first->key);

		rc = node->first->is_bad ? -1 : parse_uids(b, node->first, listener);
		key_path_cut(&b->path, before);
		return rc;
	}
	if (node->kind != NODE_SCALAR)
		return bind_expected(b, node, "a source of the caller's name", like);
	if (slice_eq_str(node->text, "tls"))
		return bind_error(
		    b, node, "\"tls\" is not supported by this version\nexpected %s", like);
	if (!slice_eq_str(node->text, "as_stated") && !slice_eq_str(node->text, "node"))
		return bind_error(
		    b, node, "unknown value %s\nexpected %s", bind_shows(b, node), like);
	listener->caller = slice_eq_str(node->text, "node") ? CALLER_NODE : CALLER_AS_STATED;
	return 0;
}

static void print_caller(const struct key *key, const void *base, FILE *to)
{
	const struct listener_config *listener = base;

	(void)key;
	if (listener->caller != CALLER_UID) {
		fputs(listener->caller == CALLER_NODE ? "node" : "as_stated", to);
		return;
	}
	fputs("{uid: {", to);
	for (size_t i = 0; i < listener->n_caller_uids; i++) {
		fprintf(to, "%s%u: ", i ? ", " : "", (unsigned)listener->caller_uids[i].uid);
		print_text(slice_str(listener->caller_uids[i].name), to);
	}
	fputs("}}", to);
}

static void schema_caller(const struct key *key, FILE *to)
{
	(void)key;
	fputs(
	    "{\"anyOf\": [{\"enum\": [\"as_stated\", \"node\"]}, {\"$ref\": \"#/$defs/variable\"}, "
	    "{\"type\": \"object\", \"required\": [\"uid\"], \"additionalProperties\": false, "
	    "\"properties\": {\"uid\": {\"type\": \"object\", \"minProperties\": 1, "
	    "\"additionalProperties\": {\"type\": \"string\"}}}}]}",
	    to);
}

const struct key_type key_caller = {
    "word or map", parse_caller, print_caller, schema_caller, KEY_VALUE, NULL};

/* 10.0.0.2, 10.0.0.2:53, fd00::2 or [fd00::2]:53. */
static bool is_resolver(struct slice text)
{
	static const char *const before[] = {"", "", "["}, *const after[] = {"", ":53", "]:53"};
	struct address address;
	struct err err;

	if (text.len > 64)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(before); i++) {
		char room[80];

		snprintf(room, sizeof room, "%s%.*s%s", before[i], (int)text.len,
		    (const char *)text.data, after[i]);
		if (address_parse(&address, slice_str(room), &err) == 0 &&
		    address.kind == ADDRESS_IP && address.port > 0)
			return true;
	}
	return false;
}

static int parse_resolvers(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct config_list *list = (struct config_list *)(void *)((char *)base + key->offset);
	const char **items;
	size_t n = 0, i = 0;
	int rc = 0;

	if (node->kind != NODE_LIST || node->n > RESOLVERS_MAX)
		return bind_expected(
		    b, node, "a list", "a list of up to 16 DNS servers, like [10.0.0.2]");
	items = arena_calloc(b->arena, node->n + 1, sizeof *items);
	for (struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);
		struct slice text;

		if (item->is_bad || bind_text(b, item, &text) < 0)
			rc = -1;
		else if (is_resolver(text))
			items[n++] = arena_str(b->arena, text);
		else
			rc = bind_error(b, item,
			    "%s is no address of a DNS server\nexpected an IP address, "
			    "with a port if it is not 53",
			    bind_shows(b, item));
		key_path_cut(&b->path, before);
	}
	*list = (struct config_list){items, n};
	return rc;
}

static void print_resolvers(const struct key *key, const void *base, FILE *to)
{
	key_names.print(key, base, to);
}

static void schema_resolvers(const struct key *key, FILE *to)
{
	key_names.schema(key, to);
}

const struct key_type key_resolvers = {
    "list of addresses", parse_resolvers, print_resolvers, schema_resolvers, KEY_VALUE, NULL};
