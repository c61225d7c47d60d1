/* The types of keys that are registries, and what belongs to them. What refers to them is in
 * config_discover.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_dump.h"

#define REGISTRIES_MAX 100u
#define SERVERS_MAX    64u
#define SECRET_MAX     4096u

static void schema_of(const struct key *key, FILE *to)
{
	config_schema_values(key, to);
}

static void schema_string(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"string\"}", to);
}

static void print_none(const struct key *key, const void *base, FILE *to)
{
	(void)key;
	(void)base;
	fputs("none", to);
}

static void print_plain(const struct key *key, const void *base, FILE *to)
{
	key_text.print(key, base, to);
}

static const void *field(const struct key *key, const void *base)
{
	return (const char *)base + key->offset;
}

/* ---- the map of registries ---- */

static int compare_keys(const void *a, const void *b)
{
	const struct yaml_node *const *left = a, *const *right = b;

	return slice_cmp((*left)->key, (*right)->key);
}

static void bind_registry(
    struct binder *b, const struct yaml_node *value, struct registry_config *registry)
{
	struct yaml_node label = {.at = value->key_at};

	*registry = *(const struct registry_config *)bind_template(b, &registry_scope);
	registry->name = arena_str(b->arena, value->key);
	bind_origin(b, registry, NULL, value->key_at);
	bind_name(b, &label, value->key);
	if (value->kind == NODE_MAP)
		bind_scope(b, &registry_scope, value, registry, NULL);
	else if (!value->is_bad)
		bind_expected(
		    b, value, "a map", "a map, like {type: etcd, endpoints: [\"127.0.0.1:2379\"]}");
}

static int parse_registries(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const struct yaml_node **values;
	const struct registry_config **list;
	struct config *config = base;
	size_t n = 0;

	(void)key;
	if (node->kind != NODE_MAP)
		return bind_expected(b, node, "a map",
		    "a map, like {main: {type: etcd, endpoints: [\"127.0.0.1:2379\"]}}");
	if (node->n > REGISTRIES_MAX)
		return bind_error(
		    b, node, "%zu registries\nexpected at most %u", node->n, REGISTRIES_MAX);
	values = arena_calloc(b->scratch, node->n + 1, sizeof *values);
	list = arena_calloc(b->arena, node->n + 1, sizeof *list);
	for (const struct yaml_node *value = node->first; value; value = value->next)
		values[n++] = value;
	qsort(values, n, sizeof *values, compare_keys);
	for (size_t i = 0; i < n; i++) {
		size_t before = key_path_key(&b->path, values[i]->key);
		struct registry_config *registry = arena_calloc(b->arena, 1, sizeof *registry);

		bind_registry(b, values[i], registry);
		list[i] = registry;
		key_path_cut(&b->path, before);
	}
	config->registries = list;
	config->n_registries = n;
	return 0;
}

const struct key_type key_registries = {
    "map of registries", parse_registries, NULL, schema_of, KEY_MAP, NULL};

static int compare_name(const void *wanted, const void *element)
{
	const struct registry_config *const *registry = element;

	return slice_cmp(*(const struct slice *)wanted, slice_str((*registry)->name));
}

const struct registry_config *config_registry(const struct config *config, struct slice name)
{
	const struct registry_config *const *found;

	if (config->n_registries == 0)
		return NULL;
	found = bsearch(&name, config->registries, config->n_registries, sizeof *config->registries,
	    compare_name);
	return found ? *found : NULL;
}

/* ---- addresses ---- */

/* What there is when it was said already that they are wrong. */
static const struct address refused;

static int parse_server(struct binder *b, const struct yaml_node *node, struct address *address)
{
	static const struct key one = {.name = "endpoints"};

	if (node->is_bad || key_address.parse(b, &one, node, address) < 0)
		return -1;
	if (address->kind == ADDRESS_IP || address->kind == ADDRESS_NAME)
		return 0;
	return bind_error(b, node,
	    "%s: no registry is asked on a unix socket\nexpected host:port or [v6]:port",
	    bind_shows(b, node));
}

static int parse_endpoints(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct registry_config *registry = base;
	struct address *addresses;
	size_t n = 0, i = 0;
	int rc = 0;

	(void)key;
	registry->endpoints = &refused;
	registry->n_endpoints = 0;
	if (node->kind != NODE_LIST || node->n > SERVERS_MAX)
		return bind_expected(
		    b, node, "a list", "a list of up to 64 addresses, like [\"127.0.0.1:2379\"]");
	addresses = arena_calloc(b->arena, node->n + 1, sizeof *addresses);
	registry->endpoints = node->n ? addresses : NULL;
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);

		if (parse_server(b, item, &addresses[n]) < 0)
			rc = -1;
		else
			bind_origin(b, &addresses[n++], NULL, item->at);
		key_path_cut(&b->path, before);
	}
	registry->n_endpoints = n;
	return rc;
}

static void print_endpoints(const struct key *key, const void *base, FILE *to)
{
	const struct registry_config *registry = base;

	(void)key;
	fputc('[', to);
	for (size_t i = 0; i < registry->n_endpoints; i++) {
		fputs(i ? ", " : "", to);
		print_text(slice_str(registry->endpoints[i].text), to);
	}
	fputc(']', to);
}

static void schema_endpoints(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/address\"}}", to);
}

const struct key_type key_registry_endpoints = {
    "list of addresses", parse_endpoints, print_endpoints, schema_endpoints, KEY_VALUE, NULL};

static int parse_port(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct key number = {.name = key->name, .min = 1, .max = UINT16_MAX, .flags = key->flags};
	unsigned port;

	if (key_count_or_zero.parse(b, &number, node, &port) < 0)
		return -1;
	*(uint16_t *)(uintptr_t)field(key, base) = (uint16_t)port;
	return 0;
}

static void print_port(const struct key *key, const void *base, FILE *to)
{
	uint16_t port = *(const uint16_t *)field(key, base);

	if (port)
		fprintf(to, "%" PRIu16, port);
	else
		fputs("none", to);
}

static void schema_port(const struct key *key, FILE *to)
{
	struct key number = {.name = key->name, .min = 1, .max = UINT16_MAX, .flags = key->flags};

	key_count.schema(&number, to);
}

const struct key_type key_port = {"port", parse_port, print_port, schema_port, KEY_VALUE, NULL};

/* ---- encryption ---- */

static int parse_tls(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct tls_config *tls = (void *)(uintptr_t)field(key, base);

	*tls = (struct tls_config){0};
	if (bind_is_none(key, node))
		return 0;
	if (node->kind != NODE_MAP)
		return bind_expected(
		    b, node, "a map", "a map like {ca: /etc/ssl/registry.pem}, {}, or none");
	*tls = *(const struct tls_config *)bind_template(b, &tls_scope);
	bind_scope(b, &tls_scope, node, tls, NULL);
	tls->is_on = true;
	return 0;
}

static const void *find_tls(const struct key *key, const void *base)
{
	const struct tls_config *tls = field(key, base);

	return tls->is_on ? tls : NULL;
}

const struct key_type key_tls = {"map", parse_tls, print_none, schema_of, KEY_STRUCT, find_tls};

static int parse_ca(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (node->kind != NODE_SCALAR || !slice_eq_str(node->text, "system"))
		return key_path.parse(b, key, node, base);
	*(const char **)(uintptr_t)field(key, base) = NULL;
	return 0;
}

static void print_ca(const struct key *key, const void *base, FILE *to)
{
	const char *const *path = field(key, base);

	print_text(slice_str(*path ? *path : "system"), to);
}

const struct key_type key_ca = {
    "path or system", parse_ca, print_ca, schema_string, KEY_VALUE, NULL};

/* ---- secrets ---- */

static const char secret_like[] = "a text, or {file: /path/of/it}";

/* None of the messages may hold the text. */
static int parse_secret_text(
    struct binder *b, const struct yaml_node *node, struct secret_config *secret)
{
	enum scalar_kind kind = yaml_scalar_kind(node);

	if (kind != SCALAR_TEXT && !node->variable)
		return bind_error(b, node, "%s where a secret belongs\nexpected %s%s",
		    kind == SCALAR_NULL     ? "nothing"
		    : kind == SCALAR_NUMBER ? "a number"
					    : "a bool",
		    secret_like, kind == SCALAR_NULL ? "" : "; put it in quotes");
	if (node->text.len == 0 || node->text.len > SECRET_MAX)
		return bind_error(
		    b, node, "a secret of %zu bytes\nexpected 1 to %u", node->text.len, SECRET_MAX);
	for (size_t i = 0; i < node->text.len; i++)
		if (node->text.data[i] < 0x20 || node->text.data[i] == 0x7f)
			return bind_error(b, node,
			    "a control character in a secret\nexpected a text on one line");
	secret->text = arena_str(b->arena, node->text);
	/* It stands in the file itself. */
	if (node->variable == NULL)
		bind_origin(b, secret, NULL, node->at);
	return 0;
}

static int parse_secret_file(
    struct binder *b, const struct yaml_node *node, struct secret_config *secret)
{
	size_t before = key_path_key(&b->path, node->key);
	struct key path = {.name = "file", .offset = offsetof(struct secret_config, file)};
	int rc = -1;

	/* Who took one for the other must not find the secret in a log. */
	if (!node->is_bad && node->kind == NODE_SCALAR && !slice_starts(node->text, SLICE_LIT("/")))
		bind_error(b, node, "what is given is no path\nexpected a whole path, from / on");
	else if (!node->is_bad)
		rc = key_path.parse(b, &path, node, secret);
	if (rc == 0)
		secret->text = NULL;
	key_path_cut(&b->path, before);
	return rc;
}

static int parse_secret(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct secret_config *secret = (void *)(uintptr_t)field(key, base);

	*secret = (struct secret_config){NULL, NULL};
	if (bind_is_plain_none(key, node))
		return 0;
	secret->text = ""; /* meant to be there, be it wrong */
	if (node->kind == NODE_SCALAR)
		return parse_secret_text(b, node, secret);
	if (node->kind == NODE_MAP && node->n == 1 && slice_eq_str(node->first->key, "file"))
		return parse_secret_file(b, node->first, secret);
	return bind_error(b, node, "%s where a secret belongs\nexpected %s",
	    node->kind == NODE_LIST ? "a list" : "a map of other keys than file", secret_like);
}

/* What is printed loads again, as another secret. */
static void print_secret(const struct key *key, const void *base, FILE *to)
{
	const struct secret_config *secret = field(key, base);

	if (secret->file) {
		fputs("{file: ", to);
		print_text(slice_str(secret->file), to);
		fputc('}', to);
	} else {
		fputs(secret->text ? "\"" SECRET_REDACTED "\"" : "none", to);
	}
}

static void schema_secret(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"object\", \"required\": "
	      "[\"file\"], \"additionalProperties\": false, \"properties\": {\"file\": "
	      "{\"type\": \"string\"}}}]}",
	    to);
}

const struct key_type key_secret = {
    "text or {file: PATH}", parse_secret, print_secret, schema_secret, KEY_VALUE, NULL};

/* ---- the rest of a registry's ---- */

static int parse_empty(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (node->kind != NODE_SCALAR || !slice_eq_str(node->text, "obey"))
		return key_time.parse(b, key, node, base);
	*(usec_t *)(uintptr_t)field(key, base) = 0;
	return 0;
}

static void print_empty(const struct key *key, const void *base, FILE *to)
{
	if (*(const usec_t *)field(key, base) == 0)
		fputs("obey", to);
	else
		key_time.print(key, base, to);
}

static void schema_empty(const struct key *key, FILE *to)
{
	fputs("{\"anyOf\": [{\"const\": \"obey\"}, ", to);
	key_time.schema(key, to);
	fputs("]}", to);
}

const struct key_type key_empty = {
    "time or obey", parse_empty, print_empty, schema_empty, KEY_VALUE, NULL};

static bool has_control(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] <= 0x20 || text.data[i] == 0x7f)
			return true;
	return false;
}

/* Parts of keys of a registry: names between single slashes. */
static bool is_key_path(struct slice text)
{
	for (size_t i = 0; i + 1 < text.len; i++)
		if (text.data[i] == '/' && text.data[i + 1] == '/')
			return false;
	return !has_control(text) && (text.len == 0 || text.data[text.len - 1] != '/');
}

static int parse_prefix(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	if (key_text.parse(b, key, node, base) < 0)
		return -1;
	if (is_key_path(node->text))
		return 0;
	return bind_error(b, node,
	    "%s is no prefix of keys\nexpected names with single slashes between them and none at "
	    "the end, like kitex/registry-etcd",
	    bind_shows(b, node));
}

const struct key_type key_prefix = {
    "text", parse_prefix, print_plain, schema_string, KEY_VALUE, NULL};

static int parse_base(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const char **path = (const char **)(uintptr_t)field(key, base);
	bool has_default = key->fallback[0] == '/', is_rooted;

	if (key_text.parse(b, key, node, base) < 0)
		return -1;
	is_rooted = node->text.len == 0 || node->text.data[0] == '/';
	/* Servers of rpcx are told theirs without the slash, and add it; keys of documents are
	 * exact. */
	if (is_key_path(node->text) && !is_rooted && !has_default)
		*path = arena_printf(b->arena, "/%s", *path);
	if (is_key_path(node->text) && (is_rooted || !has_default))
		return 0;
	return bind_error(b, node,
	    "%s is no path of a registry\nexpected a path that starts with a slash and does not end "
	    "with one, like %s%s",
	    bind_shows(b, node), has_default ? key->fallback : "/rpcx",
	    has_default ? "" : ", or an empty text");
}

const struct key_type key_base = {"text", parse_base, print_plain, schema_string, KEY_VALUE, NULL};
