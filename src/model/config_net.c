/* The types of keys that are addresses, and who may come from where. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/config_bind.h"

#define ADDRESSES_MAX 64u
#define RULES_MAX     1000u

static int parse_one(struct binder *b, const struct yaml_node *node, struct address *address)
{
	struct slice text;
	struct err err;

	if (bind_text(b, node, &text) < 0)
		return -1;
	if (address_parse(address, text, &err) == 0)
		return 0;
	address->text[0] = '\0';
	return bind_error(
	    b, node, "%s\nexpected host:port, [v6]:port, unix:/path or unix:@name", err.text);
}

static int parse_address(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct address *address = (struct address *)(void *)((char *)base + key->offset);

	if (parse_one(b, node, address) < 0)
		return -1;
	if (address->port > 0 || address->kind == ADDRESS_UNIX || address->kind == ADDRESS_ABSTRACT)
		return 0;
	address->text[0] = '\0';
	return bind_error(b, node,
	    "%s: nobody can be reached on port 0\nexpected a port from 1 to 65535",
	    bind_shows(b, node));
}

static void print_address(const struct key *key, const void *base, FILE *to)
{
	print_text(
	    slice_str((const char *)base + key->offset + offsetof(struct address, text)), to);
}

static void schema_address(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"$ref\": \"#/$defs/address\"}", to);
}

const struct key_type key_address = {
    "address", parse_address, print_address, schema_address, KEY_VALUE, NULL};

/* An address to bind: names are not looked up for that. */
static int parse_own(struct binder *b, const struct yaml_node *node, struct address *address)
{
	if (node->is_bad || parse_one(b, node, address) < 0)
		return -1;
	if (address->kind != ADDRESS_NAME)
		return 0;
	address->text[0] = '\0';
	return bind_error(b, node,
	    "%s: a name is not looked up here\nexpected an IP address, like "
	    "127.0.0.1:8888",
	    bind_shows(b, node));
}

static int parse_addresses(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct listener_config *listener = base;
	struct address *addresses;
	size_t n = 0, i = 0;
	int rc = 0;

	(void)key;
	if (node->kind == NODE_MAP || (node->kind == NODE_LIST && node->n == 0) ||
	    node->n > ADDRESSES_MAX)
		return bind_error(b, node,
		    "%s where addresses belong\nexpected an address, or a list of 1 "
		    "to 64 of them",
		    bind_shows(b, node));
	addresses = arena_calloc(b->arena, node->n + 1, sizeof *addresses);
	listener->addresses = addresses;
	if (node->kind == NODE_SCALAR) {
		rc = parse_own(b, node, &addresses[0]);
		bind_origin(b, &addresses[0], NULL, node->at);
		listener->n_addresses = rc == 0;
		return rc;
	}
	for (struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);

		if (parse_own(b, item, &addresses[n]) < 0)
			rc = -1;
		else
			bind_origin(b, &addresses[n++], NULL, item->at);
		key_path_cut(&b->path, before);
	}
	listener->n_addresses = n;
	return rc;
}

static void print_addresses(const struct key *key, const void *base, FILE *to)
{
	const struct listener_config *listener = base;

	(void)key;
	fputc('[', to);
	for (size_t i = 0; i < listener->n_addresses; i++) {
		fputs(i ? ", " : "", to);
		print_text(slice_str(listener->addresses[i].text), to);
	}
	fputc(']', to);
}

static void schema_addresses(const struct key *key, FILE *to)
{
	(void)key;
	fputs(
	    "{\"anyOf\": [{\"$ref\": \"#/$defs/address\"}, {\"type\": \"array\", \"minItems\": 1, "
	    "\"items\": {\"$ref\": \"#/$defs/address\"}}]}",
	    to);
}

const struct key_type key_addresses = {
    "address or list of them", parse_addresses, print_addresses, schema_addresses, KEY_VALUE, NULL};

static int parse_http(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct config *config = base;

	config->admin.has_http = false;
	if (bind_is_none(key, node))
		return 0;
	if (parse_own(b, node, &config->admin.http) < 0)
		return -1;
	if (config->admin.http.kind != ADDRESS_IP)
		return bind_error(b, node,
		    "%s is no address of HTTP\nexpected an IP address and a port, "
		    "like 127.0.0.1:9900; admin.socket is the unix socket",
		    bind_shows(b, node));
	config->admin.has_http = true;
	return 0;
}

static void print_http(const struct key *key, const void *base, FILE *to)
{
	const struct config *config = base;

	(void)key;
	if (config->admin.has_http)
		print_text(slice_str(config->admin.http.text), to);
	else
		fputs("none", to);
}

const struct key_type key_http = {
    "address", parse_http, print_http, schema_address, KEY_VALUE, NULL};

/* "uid:1000" */
static bool parse_id(struct slice text, struct slice prefix, uint32_t *id)
{
	uint64_t value;

	if (!slice_starts(text, prefix) || !slice_to_u64(slice_from(text, prefix.len), &value) ||
	    value >= UINT32_MAX)
		return false;
	*id = (uint32_t)value;
	return true;
}

static int parse_rule(struct binder *b, const struct yaml_node *node, struct access_rule *rule)
{
	struct slice text;

	if (node->is_bad || bind_text(b, node, &text) < 0)
		return -1;
	if (parse_id(text, SLICE_LIT("uid:"), &rule->id))
		rule->kind = ACCESS_UID;
	else if (parse_id(text, SLICE_LIT("gid:"), &rule->id))
		rule->kind = ACCESS_GID;
	else if (cidr_parse(&rule->cidr, text))
		rule->kind = ACCESS_CIDR;
	else
		return bind_error(b, node,
		    "%s names nobody\nexpected a network like 10.0.0.0/8 or fd00::/8, "
		    "or on a unix socket uid:N or gid:N",
		    bind_shows(b, node));
	return 0;
}

static int parse_access(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct access_list *list = (struct access_list *)(void *)((char *)base + key->offset);
	struct access_rule *rules;
	size_t n = 0, i = 0;
	int rc = 0;

	if (node->kind != NODE_LIST || node->n > RULES_MAX)
		return bind_expected(
		    b, node, "a list", "a list of up to 1000 networks, like [10.0.0.0/8]");
	rules = arena_calloc(b->arena, node->n + 1, sizeof *rules);
	for (struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);

		if (parse_rule(b, item, &rules[n]) < 0)
			rc = -1;
		else
			n++;
		key_path_cut(&b->path, before);
	}
	*list = (struct access_list){rules, n};
	return rc;
}

static void print_network(const struct cidr *c, FILE *to)
{
	fputc('"', to);
	if (c->family == AF_INET) {
		fprintf(to, "%u.%u.%u.%u", c->bytes[0], c->bytes[1], c->bytes[2], c->bytes[3]);
	} else {
		for (size_t i = 0; i < sizeof c->bytes; i += 2)
			fprintf(to, "%s%x", i ? ":" : "", c->bytes[i] << 8 | c->bytes[i + 1]);
	}
	fprintf(to, "/%u\"", c->bits);
}

void print_networks(const struct cidr *cidrs, size_t n, FILE *to)
{
	fputs(n > 1 ? "[" : "", to);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : "", to);
		print_network(&cidrs[i], to);
	}
	fputs(n > 1 ? "]" : "", to);
}

static void print_rule(const struct access_rule *rule, FILE *to)
{
	if (rule->kind == ACCESS_CIDR)
		print_network(&rule->cidr, to);
	else
		fprintf(
		    to, "\"%s:%" PRIu32 "\"", rule->kind == ACCESS_UID ? "uid" : "gid", rule->id);
}

static void print_access(const struct key *key, const void *base, FILE *to)
{
	const struct access_list *list =
	    (const struct access_list *)(const void *)((const char *)base + key->offset);

	fputc('[', to);
	for (size_t i = 0; i < list->n; i++) {
		fputs(i ? ", " : "", to);
		print_rule(&list->rules[i], to);
	}
	fputc(']', to);
}

static void schema_strings(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"array\", \"items\": {\"type\": \"string\"}}", to);
}

const struct key_type key_access = {
    "list of networks and ids", parse_access, print_access, schema_strings, KEY_VALUE, NULL};
