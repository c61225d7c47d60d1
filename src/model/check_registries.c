/* Rules within one registry, and between them: what its type needs and what it cannot have. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_check.h"

const char *check_registry_path(
    const struct registry_config *registry, const char *key, struct key_path *path)
{
	path->len = 0;
	key_path_key(path, SLICE_LIT("registries"));
	key_path_key(path, slice_str(registry->name));
	if (key)
		check_path_dotted(path, key);
	return path->text;
}

static void refuse(struct check *c, const struct registry_config *registry, const char *key,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

static void refuse(struct check *c, const struct registry_config *registry, const char *key,
    const char *format, ...)
{
	struct key_path path;
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	problems_error(c->problems, origin_place(c->config, registry, key),
	    check_registry_path(registry, key, &path), "%s", text);
}

static bool is_written(
    const struct check *c, const struct registry_config *registry, const char *key)
{
	return origin_named(c->config, registry, key) != NULL;
}

/* Whoever writes a key expects something of it. */
static void check_foreign(struct check *c, const struct registry_config *registry)
{
	char types[80];

	for (size_t i = 0; i < registry_scope.n; i++) {
		const char *key = registry_scope.keys[i].name;

		if (registry_knows(registry, key) || !is_written(c, registry, key))
			continue;
		registry_list_types(key, types, sizeof types);
		refuse(c, registry, key,
		    "means nothing to a registry of type %s%s\nleave it out: it is for %s%s",
		    registry_type_name(registry->type),
		    registry->type == REGISTRY_CONSUL && strcmp(key, "base") == 0
			? " with format kitex"
			: "",
		    types, strcmp(key, "base") == 0 ? " (there with format: rpcx)" : "");
	}
}

/* What was refused is not missing. */
static bool is_said(const struct check *c, const struct registry_config *registry, const char *key)
{
	struct key_path path;

	check_registry_path(registry, key, &path);
	for (size_t i = 0; i < c->problems->n; i++)
		if (c->problems->list[i].path && strcmp(c->problems->list[i].path, path.text) == 0)
			return true;
	return false;
}

/* Whoever looks names up cannot be found by one. */
static void check_name_servers(struct check *c, const struct registry_config *registry)
{
	for (size_t i = 0; registry->type == REGISTRY_DNS && i < registry->n_endpoints; i++) {
		const struct address *server = &registry->endpoints[i];
		struct key_path path;

		if (server->kind != ADDRESS_NAME)
			continue;
		check_registry_path(registry, "endpoints", &path);
		key_path_index(&path, i);
		problems_error(c->problems, origin_place(c->config, server, NULL), path.text,
		    "%s: a DNS server is not found by its name\nexpected an IP address, like "
		    "\"10.0.0.2:53\"",
		    server->text);
	}
}

static void check_needs(struct check *c, const struct registry_config *registry)
{
	if (registry_knows(registry, "endpoints") && registry->endpoints == NULL &&
	    registry->type != REGISTRY_DNS)
		refuse(c, registry, "endpoints",
		    "%s\nexpected a list of at least one address, like [\"127.0.0.1:2379\"]",
		    is_written(c, registry, "endpoints") ? "an empty list" : "is missing");
	if (registry->type == REGISTRY_FILE && registry->path == NULL &&
	    !is_said(c, registry, "path"))
		refuse(c, registry, "path",
		    "is missing\nexpected the file with the endpoints of each service");
	if (registry->format == REGISTRY_FORMAT_RPCX && registry->type != REGISTRY_ETCD &&
	    registry->type != REGISTRY_ZOOKEEPER && registry->type != REGISTRY_CONSUL)
		refuse(c, registry, "format",
		    "there is no format rpcx of type %s\nexpected kitex, or one of the types etcd, "
		    "zookeeper, consul",
		    registry_type_name(registry->type));
}

static bool has_secret(const struct secret_config *secret)
{
	return secret->text || secret->file;
}

/* What is only half there. */
static void check_pairs(struct check *c, const struct registry_config *registry)
{
	const struct tls_config *tls = &registry->tls;

	if (registry->user && registry_knows(registry, "user") && !has_secret(&registry->password))
		refuse(
		    c, registry, "user", "a user without a password\nexpected password: beside it");
	if (!registry->user && registry_knows(registry, "user") && has_secret(&registry->password))
		refuse(c, registry, "password", "a password of nobody\nexpected user: beside it");
	if (registry->auth.text && *registry->auth.text && !strchr(registry->auth.text, ':') &&
	    strcmp(registry->auth.text, SECRET_REDACTED) != 0)
		refuse(c, registry, "auth", "a user without a password\nexpected user:password");
	if (tls->cert && !tls->key)
		refuse(c, registry, "tls",
		    "a certificate without its key\nexpected key: beside cert in it");
	if (!tls->cert && tls->key)
		refuse(c, registry, "tls",
		    "a key without its certificate\nexpected cert: beside key in it");
}

/* Two would write over each other. */
static void check_cache(struct check *c, size_t i)
{
	const struct registry_config *registry = c->config->registries[i];

	for (size_t k = 0; registry->cache && k < i; k++) {
		const struct registry_config *other = c->config->registries[k];

		if (other->cache == NULL || strcmp(other->cache, registry->cache) != 0)
			continue;
		refuse(c, registry, "cache",
		    "this is the cache of the registry \"%s\" already\nexpected a file of its own",
		    other->name);
		return;
	}
}

void check_registries(struct check *c)
{
	for (size_t i = 0; i < c->config->n_registries; i++) {
		const struct registry_config *registry = c->config->registries[i];

		/* Without its type, or with a wrong one, nothing can be said of its keys. */
		if (!is_written(c, registry, "type"))
			continue;
		check_foreign(c, registry);
		check_needs(c, registry);
		check_name_servers(c, registry);
		check_pairs(c, registry);
		check_cache(c, i);
	}
}
