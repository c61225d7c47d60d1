/* Rules about what services ask of registries: finding, publishing, documents. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_check.h"

static void refuse(struct check *c, const struct service_config *service, const char *key,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

static void refuse(
    struct check *c, const struct service_config *service, const char *key, const char *format, ...)
{
	struct key_path path;
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	problems_error(c->problems, origin_place(c->config, service, key),
	    check_service_path(service, key, &path), "%s", text);
}

/* A key that means nothing where the one that it belongs to is not there. */
static void refuse_alone(struct check *c, const struct service_config *service, const char *map,
    const char *first, const char *const *keys)
{
	char needed[40];

	snprintf(needed, sizeof needed, "%s.%s", map, first);
	for (; *keys; keys++)
		if (origin_named(c->config, service, *keys) &&
		    !origin_named(c->config, service, needed))
			refuse(c, service, *keys,
			    "means nothing without %s\nexpected %s: {%s: NAME, ...}, the name of a "
			    "registry",
			    needed, map, first);
}

static void check_alone(struct check *c, const struct service_config *service)
{
	static const char *const discover[] = {"discover.tags", NULL};
	static const char *const publish[] = {"register.address", "register.weight",
	    "register.tags", "register.ttl", "register.when", NULL};
	static const char *const governance[] = {"governance.prefix", "governance.locked", NULL};

	/* Where it was refused there is none either. */
	if (service->discover.from == NULL)
		refuse_alone(c, service, "discover", "from", discover);
	if (service->registration.n_in == 0)
		refuse_alone(c, service, "register", "in", publish);
	if (service->governance.from == NULL)
		refuse_alone(c, service, "governance", "from", governance);
}

/* ---- where it is found ---- */

/* Only a name that DNS is asked for addresses may bring its port. */
static bool has_port(struct check *c, const struct service_config *service)
{
	const struct registry_config *from = service->discover.from;
	const char *port = strchr(service->name, ':');
	bool may_have = from && from->type == REGISTRY_DNS && service->name[0] != '_';

	if (port == NULL)
		return false;
	if (!may_have)
		refuse(c, service, "name",
		    "\"%s\" is not a name\nexpected 1 to 200 letters, digits, \".\", \"_\" or "
		    "\"-\": only a host name that DNS is asked for may bring its port",
		    service->name);
	else if (strlen(port) > 6 || atoi(port + 1) < 1 || atoi(port + 1) > UINT16_MAX)
		refuse(c, service, "name", "\"%s\": the port is out of range\nexpected 1 to 65535",
		    service->name);
	return true;
}

static void check_discovery(struct check *c, const struct service_config *service)
{
	const struct registry_config *from = service->discover.from;
	bool brings_port = has_port(c, service);

	if (from == NULL)
		return;
	if (service->n_endpoints > 0)
		refuse(c, service, "discover.from",
		    "there are endpoints, too\nexpected one of endpoints and discover");
	/* Which names calls give is not known here. */
	if (service_is_template(NULL, service) || service->is_found)
		return;
	if (from->type == REGISTRY_DNS && from->port == 0 && service->name[0] != '_' &&
	    !brings_port)
		refuse(c, service, "discover.from",
		    "DNS does not say on which port \"%s\" listens\nexpected port: in the registry "
		    "\"%s\", or a name: that is asked for as SRV, like _thrift._tcp.%s",
		    service->name, from->name, service->name);
}

/* ---- where it is published ---- */

static bool can_register(const struct registry_config *registry)
{
	return registry->type != REGISTRY_DNS && registry->type != REGISTRY_FILE;
}

/* Complains about one of the registries of a registration. */
static void refuse_in(struct check *c, const struct service_config *service, size_t i,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

static void refuse_in(
    struct check *c, const struct service_config *service, size_t i, const char *format, ...)
{
	const struct register_config *r = &service->registration;
	struct key_path path;
	char text[512];
	va_list args;

	check_service_path(service, "register.in", &path);
	if (r->n_in > 1)
		key_path_index(&path, i);
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	problems_error(
	    c->problems, origin_place(c->config, &r->in[i], NULL), path.text, "%s", text);
}

static void check_in(struct check *c, const struct service_config *service, size_t i)
{
	const struct registry_config *registry = service->registration.in[i];

	if (registry_is_nowhere(registry))
		return;
	if (!can_register(registry))
		refuse_in(c, service, i,
		    "nothing can be registered in a registry of type %s\nexpected one of the types "
		    "etcd, zookeeper, consul, nacos",
		    registry_type_name(registry->type));
	if (registry == service->discover.from)
		refuse_in(c, service, i,
		    "this is where it is found: it would find itself\nexpected endpoints: where the "
		    "application listens; callers reach the others through a label of their own");
	for (size_t k = 0; k < i; k++)
		if (service->registration.in[k] == registry)
			refuse_in(
			    c, service, i, "\"%s\" a second time\nleave it out", registry->name);
}

const struct address *check_registered_address(
    const struct config *config, const struct service_config *service)
{
	if (service->registration.has_address)
		return &service->registration.address;
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener_config *listener = &config->listeners[i];

		for (size_t k = 0; listener->service == service && k < listener->n_addresses; k++)
			if (listener->addresses[k].kind == ADDRESS_IP)
				return &listener->addresses[k];
	}
	return NULL;
}

static void check_address(struct check *c, const struct service_config *service)
{
	if (service->registration.n_in == 0 || check_registered_address(c->config, service))
		return;
	refuse(c, service, "register.in",
	    "there is no address to register\nexpected a listener on host:port with service: %s, or "
	    "address: here, at which others reach one",
	    service->label);
}

static bool is_in(const struct register_config *r, const struct registry_config *registry)
{
	for (size_t i = 0; i < r->n_in; i++)
		if (r->in[i] == registry)
			return true;
	return false;
}

/* One record cannot stand for two. */
static void check_same(
    struct check *c, const struct service_config *service, const struct service_config *other)
{
	const struct register_config *r = &service->registration;
	const struct address *at = check_registered_address(c->config, service);
	const struct address *others = check_registered_address(c->config, other);

	if (strcmp(service->name, other->name) != 0 || at == NULL || others == NULL ||
	    strcmp(at->text, others->text) != 0)
		return;
	for (size_t i = 0; i < r->n_in; i++)
		if (!registry_is_nowhere(r->in[i]) && is_in(&other->registration, r->in[i]))
			refuse_in(c, service, i,
			    "the service \"%s\" is registered there with the same name and address "
			    "already\nexpected another name or address",
			    other->label);
}

static void check_registration(struct check *c, size_t index)
{
	const struct service_config *service = c->config->services[index];
	const struct register_config *r = &service->registration;

	for (size_t i = 0; i < r->n_in; i++)
		check_in(c, service, i);
	if (r->n_in == 0)
		return;
	if (service->n_endpoints == 0 && service->endpoints == NULL && !service->discover.from)
		refuse(c, service, "register.in",
		    "it has no endpoints of its own, so nothing ever says that it is "
		    "ready\nexpected endpoints: where the application listens");
	for (size_t i = 0; i < index; i++)
		check_same(c, service, c->config->services[i]);
}

/* ---- documents ---- */

static void check_governance(struct check *c, const struct service_config *service)
{
	const struct registry_config *from = service->governance.from;

	if (from == NULL || registry_is_nowhere(from))
		return;
	if (from->type == REGISTRY_NACOS || from->type == REGISTRY_DNS)
		refuse(c, service, "governance.from",
		    "documents are not read from a registry of type %s\nexpected one of the types etcd, "
		    "zookeeper, consul, file",
		    registry_type_name(from->type));
}

void check_registrations(struct check *c)
{
	/* After an error the listener, or the address, may be among what is wrong. */
	bool is_whole = c->problems->n_errors == 0;
	const struct service_config *service;

	for (size_t i = 0; (service = check_service_at(c->config, i)) != NULL; i++) {
		check_alone(c, service);
		check_discovery(c, service);
		check_governance(c, service);
	}
	for (size_t i = 0; i < c->config->n_services; i++) {
		check_registration(c, i);
		if (is_whole)
			check_address(c, c->config->services[i]);
	}
}
