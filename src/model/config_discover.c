/*
 * The types of keys by which services refer to registries: where one is found, where it is
 * published, where documents about it lie.
 */
#include <stdio.h>

#include "base/mem.h"
#include "model/config_bind.h"

#define REGISTRIES_MAX 100u

static const void *field(const struct key *key, const void *base)
{
	return (const char *)base + key->offset;
}

static void schema_string(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"string\"}", to);
}

/* What a reference that leads nowhere leads to, so that nothing more is said about it. */
static const struct registry_config nowhere = {.name = "", .type = REGISTRY_ETCD};

bool registry_is_nowhere(const struct registry_config *registry)
{
	return registry == &nowhere;
}

static int find_registry(
    struct binder *b, const struct yaml_node *node, const struct registry_config **registry)
{
	const struct config *config = b->config;
	struct nearest nearest;
	struct slice name;

	*registry = &nowhere;
	if (node->is_bad || bind_text(b, node, &name) < 0 || bind_name(b, node, name) < 0)
		return -1;
	*registry = config_registry(config, name);
	if (*registry)
		return 0;
	*registry = &nowhere;
	nearest_init(&nearest, name);
	for (size_t i = 0; i < config->n_registries; i++)
		nearest_try(&nearest, slice_str(config->registries[i]->name));
	return bind_error(b, node,
	    "there is no registry \"%.*s\"\nexpected a name under registries%s", (int)name.len,
	    (const char *)name.data, bind_meant(b, &nearest));
}

static int parse_registry(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	const struct registry_config **registry =
	    (const struct registry_config **)(uintptr_t)field(key, base);

	*registry = NULL;
	return bind_is_plain_none(key, node) ? 0 : find_registry(b, node, registry);
}

static void print_registry(const struct key *key, const void *base, FILE *to)
{
	const struct registry_config *const *registry = field(key, base);

	if (*registry)
		print_text(slice_str((*registry)->name), to);
	else
		fputs("none", to);
}

const struct key_type key_registry = {
    "registry", parse_registry, print_registry, schema_string, KEY_VALUE, NULL};

/* The key's offset is that of the registration: a list and its length. */
static int parse_in(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	struct register_config *registration = (void *)(uintptr_t)field(key, base);
	const struct registry_config **list;
	size_t n = 0, i = 0;
	int rc = 0;

	registration->in = NULL;
	registration->n_in = 0;
	if (bind_is_plain_none(key, node))
		return 0;
	if (node->kind == NODE_MAP || (node->kind == NODE_LIST && node->n == 0) ||
	    node->n > REGISTRIES_MAX)
		return bind_error(b, node,
		    "%s where registries belong\nexpected the name of a registry, or a list of them",
		    node->kind == NODE_LIST && node->n == 0 ? "an empty list"
							    : bind_shows(b, node));
	list = arena_calloc(b->arena, node->n + 1, sizeof *list);
	registration->in = list;
	registration->n_in = node->kind == NODE_LIST ? node->n : 1;
	if (node->kind == NODE_SCALAR) {
		bind_origin(b, &list[0], NULL, node->at);
		return find_registry(b, node, &list[0]);
	}
	for (const struct yaml_node *item = node->first; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);

		if (find_registry(b, item, &list[n]) < 0)
			rc = -1;
		bind_origin(b, &list[n++], NULL, item->at);
		key_path_cut(&b->path, before);
	}
	return rc;
}

static void print_in(const struct key *key, const void *base, FILE *to)
{
	const struct register_config *registration = field(key, base);

	if (registration->n_in == 0) {
		fputs("none", to);
		return;
	}
	fputc('[', to);
	for (size_t i = 0; i < registration->n_in; i++) {
		fputs(i ? ", " : "", to);
		print_text(slice_str(registration->in[i]->name), to);
	}
	fputc(']', to);
}

static void schema_in(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"minItems\": 1, "
	      "\"items\": {\"type\": \"string\"}}]}",
	    to);
}

const struct key_type key_register_in = {
    "registry or list of them", parse_in, print_in, schema_in, KEY_VALUE, NULL};

static bool is_wildcard(const struct address *address)
{
	const struct sockaddr_in *v4 = (const void *)&address->sa;
	const struct sockaddr_in6 *v6 = (const void *)&address->sa;

	if (address->sa.ss_family == AF_INET)
		return v4->sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

/* What others are told: it must lead here from anywhere. The key's offset is the registration's. */
static int parse_register_address(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	static const char expected[] = "an IP address and a port, like 10.0.0.5:8888";
	struct register_config *registration = (void *)(uintptr_t)field(key, base);
	struct key one = {.name = key->name, .offset = offsetof(struct register_config, address)};

	registration->has_address = false;
	if (bind_is_plain_none(key, node))
		return 0;
	if (key_address.parse(b, &one, node, registration) < 0)
		return -1;
	if (registration->address.kind == ADDRESS_NAME)
		return bind_error(b, node,
		    "%s: a name cannot be registered, those who find it connect to addresses\n"
		    "expected %s",
		    bind_shows(b, node), expected);
	if (registration->address.kind != ADDRESS_IP)
		return bind_error(b, node,
		    "%s: a unix socket cannot be reached from other machines\nexpected %s",
		    bind_shows(b, node), expected);
	if (is_wildcard(&registration->address))
		return bind_error(b, node,
		    "%s: all addresses of this machine, not one that others can reach\n"
		    "expected %s; or leave it out: then it is the one from which the registry is "
		    "reached",
		    bind_shows(b, node), expected);
	registration->has_address = true;
	return 0;
}

static void print_register_address(const struct key *key, const void *base, FILE *to)
{
	const struct register_config *registration = field(key, base);

	if (registration->has_address)
		print_text(slice_str(registration->address.text), to);
	else
		fputs("none", to);
}

static void schema_register_address(const struct key *key, FILE *to)
{
	key_address.schema(key, to);
}

const struct key_type key_register_address = {"address", parse_register_address,
    print_register_address, schema_register_address, KEY_VALUE, NULL};

/* ---- dynamic configuration ---- */

/* What the documents speak of: the keys of a policy that may stay as the file says. */
static const char *const lockable[] = {"timeout", "retry", "breaker", "limit", "degrade"};

static bool is_lockable(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(lockable); i++)
		if (slice_eq_str(name, lockable[i]))
			return true;
	return false;
}

static int check_lockable(struct binder *b, const struct yaml_node *node, struct slice name)
{
	struct nearest nearest;

	if (is_lockable(name))
		return 0;
	nearest_init(&nearest, name);
	for (size_t i = 0; i < ARRAY_LEN(lockable); i++)
		nearest_try(&nearest, slice_str(lockable[i]));
	return bind_error(b, node,
	    "%s is nothing that a registry could say\nexpected one of: timeout, retry, breaker, "
	    "limit, degrade%s",
	    bind_shows(b, node), bind_meant(b, &nearest));
}

static int parse_locked(
    struct binder *b, const struct key *key, const struct yaml_node *node, void *base)
{
	size_t i = 0;
	int rc = key_names.parse(b, key, node, base);

	for (const struct yaml_node *item = rc == 0 ? node->first : NULL; item; item = item->next) {
		size_t before = key_path_index(&b->path, i++);

		if (check_lockable(b, item, item->text) < 0)
			rc = -1;
		key_path_cut(&b->path, before);
	}
	return rc;
}

static void print_locked(const struct key *key, const void *base, FILE *to)
{
	key_names.print(key, base, to);
}

static void schema_locked(const struct key *key, FILE *to)
{
	(void)key;
	fputs("{\"type\": \"array\", \"items\": {\"enum\": [", to);
	for (size_t i = 0; i < ARRAY_LEN(lockable); i++)
		fprintf(to, "%s\"%s\"", i ? ", " : "", lockable[i]);
	fputs("]}}", to);
}

const struct key_type key_locked = {
    "list of keys", parse_locked, print_locked, schema_locked, KEY_VALUE, NULL};

/* ---- what the dump leaves out ---- */

bool service_is_template(const struct key *key, const void *base)
{
	const struct service_config *service = base;

	(void)key;
	return strcmp(service->label, "*") == 0;
}

bool service_is_without_endpoints(const struct key *key, const void *base)
{
	const struct service_config *service = base;

	return service_is_template(key, base) || (service->discover.from && !service->n_endpoints);
}

bool service_is_not_discovered(const struct key *key, const void *base)
{
	const struct service_config *service = base;

	(void)key;
	return service->discover.from == NULL;
}

bool service_is_not_registered(const struct key *key, const void *base)
{
	const struct service_config *service = base;

	(void)key;
	return service->registration.n_in == 0;
}

bool service_is_not_governed(const struct key *key, const void *base)
{
	const struct service_config *service = base;

	(void)key;
	return service->governance.from == NULL;
}
