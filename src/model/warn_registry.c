/* Doubts about registries, and about what is found and published there. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/config_warn.h"

/* Sources: the keys' own defaults, which -T writes out; how often Kitex's clients look. */
#define TTL_DEFAULT    (60 * USEC_S)
#define PREFIX_DEFAULT "kitex/registry-etcd"
#define KITEX_LOOKS    (5 * USEC_S)

static void warn_registry(struct check *c, enum warning_id id,
    const struct registry_config *registry, const char *key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static void warn_registry(struct check *c, enum warning_id id,
    const struct registry_config *registry, const char *key, const char *format, ...)
{
	struct key_path path;
	char text[700];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	warn_at(c, id, origin_place(c->config, registry, key),
	    check_registry_path(registry, key, &path), "%s", text);
}

/* ---- one registry ---- */

static bool is_registered_in(
    const struct service_config *service, const struct registry_config *registry)
{
	for (size_t i = 0; i < service->registration.n_in; i++)
		if (service->registration.in[i] == registry)
			return true;
	return false;
}

static bool is_used(const struct config *config, const struct registry_config *registry)
{
	const struct service_config *service;

	for (size_t i = 0; (service = check_service_at(config, i)) != NULL; i++)
		if (service->discover.from == registry || service->governance.from == registry ||
		    is_registered_in(service, registry))
			return true;
	return false;
}

static void of_file(
    struct check *c, const struct registry_config *registry, const char *key, const char *file)
{
	if (file == NULL || access(file, R_OK) == 0)
		return;
	warn_registry(c, WARN_REGISTRY_FILE, registry, key,
	    "%s cannot be read: %s\nexpected a file that the daemon's user may read", file,
	    strerror(errno));
}

static void of_files(struct check *c, const struct registry_config *registry)
{
	of_file(c, registry, "path", registry->path);
	of_file(c, registry, "password", registry->password.file);
	of_file(c, registry, "auth", registry->auth.file);
	of_file(c, registry, "token", registry->token.file);
	if (!registry->tls.is_on)
		return;
	of_file(c, registry, "tls", registry->tls.ca);
	of_file(c, registry, "tls", registry->tls.cert);
	of_file(c, registry, "tls", registry->tls.key);
}

static void of_cache(struct check *c, const struct registry_config *registry)
{
	const char *slash = registry->cache ? strrchr(registry->cache, '/') : NULL;
	char directory[4096];
	struct stat st;

	if (slash == NULL || (size_t)(slash - registry->cache) >= sizeof directory)
		return;
	snprintf(
	    directory, sizeof directory, "%.*s", (int)(slash - registry->cache), registry->cache);
	if (slash == registry->cache)
		snprintf(directory, sizeof directory, "/");
	if (stat(registry->cache, &st) == 0 && S_ISDIR(st.st_mode))
		warn_registry(c, WARN_CACHE, registry, "cache",
		    "%s is a directory\nexpected the name of a file in it", registry->cache);
	else if (access(directory, W_OK | X_OK) < 0)
		warn_registry(c, WARN_CACHE, registry, "cache",
		    "the directory %s: %s\nexpected one that the daemon's user may write to; under "
		    "systemd StateDirectory= makes it",
		    directory, strerror(errno));
}

/* Only what stands in the file itself has a place of its own. */
static void of_secret(struct check *c, const struct registry_config *registry, const char *key,
    const struct secret_config *secret)
{
	const struct origin *origin = origin_find(c->config, secret, NULL);
	struct stat st;

	if (secret->text && strcmp(secret->text, SECRET_REDACTED) == 0) {
		warn_registry(c, WARN_REDACTED, registry, key,
		    "this is what is printed in place of a secret\nexpected the secret, or {file: "
		    "PATH}");
		return;
	}
	if (origin == NULL || origin->at.line == 0 || stat(origin->at.file, &st) < 0 ||
	    !(st.st_mode & S_IROTH))
		return;
	warn_registry(c, WARN_SECRET, registry, key,
	    "everybody on this machine can read it in %s\nexpected {file: PATH} or ${NAME}, or a "
	    "mode of this file like 0640",
	    origin->at.file);
}

static void of_registry(struct check *c, const struct registry_config *registry)
{
	if (!is_used(c->config, registry))
		warn_registry(c, WARN_REGISTRY_UNUSED, registry, NULL,
		    "nothing uses it\nexpected discover, register or governance: %s at a service",
		    registry->name);
	if (registry->empty_keep == 0)
		warn_registry(c, WARN_EMPTY_OBEY, registry, "empty.keep",
		    "a registry that answers with nothing by mistake ends all calls\nexpected a time, "
		    "like 10m");
	if (registry->tls.is_on && registry->tls.verify_none)
		warn_registry(c, WARN_TLS_VERIFY, registry, "tls",
		    "whoever is between us and the registry can say what it says\nexpected verify: "
		    "full, with ca: the file of those who signed its certificate");
	if (registry->type == REGISTRY_ETCD && registry->format == REGISTRY_FORMAT_RPCX &&
	    strcmp(registry->prefix, PREFIX_DEFAULT) == 0)
		warn_registry(c, WARN_RPCX_PREFIX, registry, "format",
		    "its applications keep their keys under a base path of their own\nexpected prefix: "
		    "the base path, like rpcx");
	if (registry->type == REGISTRY_ETCD && strchr(registry->prefix, '%'))
		warn_registry(c, WARN_PREFIX, registry, "prefix",
		    "Kitex takes a percent sign for the start of a format\nexpected a prefix without "
		    "one");
	of_files(c, registry);
	of_cache(c, registry);
	of_secret(c, registry, "password", &registry->password);
	of_secret(c, registry, "auth", &registry->auth);
	of_secret(c, registry, "token", &registry->token);
}

/* ---- registrations ---- */

/* Whether a call that says the service's name of the mesh is led to it; as route_index has it. */
static bool answers_to_its_name(const struct config *config, const struct service_config *service)
{
	struct slice name = slice_str(service->name);

	if (slice_eq_str(name, service->label))
		return true;
	if (config_service(config, name))
		return false;
	for (size_t i = 0; i < service->aliases.n; i++)
		if (slice_eq_str(name, service->aliases.items[i]))
			return true;
	return config->any == NULL;
}

static bool is_open(const struct config *config)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].service == NULL &&
		    (config->listeners[i].protocols & CHECK_NAMING_PROTOCOLS))
			return true;
	return false;
}

/* A time after which the registry forgets what it does not hear of again. */
static bool looks_at_ttl(const struct registry_config *registry)
{
	if (registry->type == REGISTRY_CONSUL)
		return registry->check_ttl || registry->format == REGISTRY_FORMAT_RPCX;
	return registry->type == REGISTRY_ETCD;
}

static void of_ttl(struct check *c, const struct service_config *service)
{
	const struct register_config *r = &service->registration;

	for (size_t i = 0; i < r->n_in; i++)
		if (looks_at_ttl(r->in[i]))
			return;
	if (r->ttl == TTL_DEFAULT)
		return;
	warn_service(c, WARN_REGISTER_TTL, service, "register.ttl",
	    "no registry of this service looks at it\nleave it out; zookeeper has session, nacos "
	    "beat, consul check: ttl");
}

/* The registry itself is elsewhere, so whoever finds the record may be, too. */
static bool is_elsewhere(const struct registry_config *registry)
{
	for (size_t i = 0; i < registry->n_endpoints; i++)
		if (!address_is_local(&registry->endpoints[i]))
			return true;
	return false;
}

static void of_address(struct check *c, const struct service_config *service)
{
	const struct address *address = check_registered_address(c->config, service);
	const struct register_config *r = &service->registration;

	if (address == NULL || !address_is_local(address))
		return;
	for (size_t i = 0; i < r->n_in; i++) {
		if (!is_elsewhere(r->in[i]))
			continue;
		warn_service(c, WARN_REGISTER_LOCAL, service,
		    r->has_address ? "register.address" : "register.in",
		    "%s leads callers on other machines to themselves\nexpected an address of this "
		    "machine, or a listener on 0.0.0.0",
		    address->text);
		return;
	}
}

static void of_registration(struct check *c, const struct service_config *service)
{
	if (is_open(c->config) && answers_to_its_name(c->config, service))
		warn_service(c, WARN_REGISTERED_NAME, service, "register.in",
		    "calls for \"%s\" on a listener without service end at this application, not at "
		    "the others of that name\nexpected a label of its own, with name: %s, and discover for the "
		    "name: at a service labelled so, or at \"*\"",
		    service->name, service->name);
	if (service->registration.always)
		warn_service(c, WARN_REGISTER_ALWAYS, service, "register.when",
		    "callers come also while the application is away\nexpected when: ready");
	of_ttl(c, service);
	of_address(c, service);
}

/* ---- discovery ---- */

static void of_tags(struct check *c, const struct service_config *service)
{
	const struct config_map *tags = &service->discover.tags;

	if (service->subset_by.tag && config_map_find(tags, service->subset_by.tag))
		warn_service(c, WARN_DISCOVER_TAG, service, "subset_by.tag",
		    "every endpoint has the value that discover.tags asks for\nexpected one of the two");
}

void warn_of_registries(struct check *c)
{
	const struct service_config *service;
	bool is_registered = false;

	for (size_t i = 0; i < c->config->n_registries; i++)
		of_registry(c, c->config->registries[i]);
	for (size_t i = 0; (service = check_service_at(c->config, i)) != NULL; i++) {
		if (service->registration.n_in) {
			of_registration(c, service);
			is_registered = true;
		}
		of_tags(c, service);
	}
	if (is_registered && c->config->shutdown.deregister_wait < KITEX_LOOKS)
		warn_at(c, WARN_DEREGISTER_WAIT,
		    origin_place(c->config, c->config, "shutdown.deregister_wait"),
		    "shutdown.deregister_wait",
		    "clients of Kitex look every 5s, and come until they have\nexpected 6s");
}
