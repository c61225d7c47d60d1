/* Rules about services: names that calls use, endpoints, and loops through listeners. */
#include <stdio.h>

#include "base/mem.h"
#include "model/config_bind.h"
#include "model/config_check.h"
#include "model/config_warn.h"

const char *check_service_path(
    const struct service_config *service, const char *key, struct key_path *path)
{
	path->len = 0;
	key_path_key(path, SLICE_LIT("services"));
	key_path_key(path, slice_str(service->label));
	if (key)
		check_path_dotted(path, key);
	return path->text;
}

const struct service_config *check_service_at(const struct config *config, size_t i)
{
	if (i < config->n_services)
		return config->services[i];
	return i == config->n_services ? config->any : NULL;
}

static void check_alias(
    struct check *c, struct table *names, const struct service_config *service, size_t i)
{
	const char *const *alias = &service->aliases.items[i];
	const struct service_config *other = table_get(names, slice_str(*alias));
	struct key_path path;

	check_service_path(service, "aliases", &path);
	key_path_index(&path, i);
	if (other == NULL)
		table_put(names, slice_str(*alias), (void *)(uintptr_t)service);
	else if (other == service)
		problems_error(c->problems, origin_place(c->config, alias, NULL), path.text,
		    "\"%s\" names this service already\nleave it out", *alias);
	else
		problems_error(c->problems, origin_place(c->config, alias, NULL), path.text,
		    "\"%s\" already names the service \"%s\"\nexpected a name that only this one has",
		    *alias, other->label);
}

/* A call asks for a label or an alias; each leads to one service. */
static void check_names(struct check *c)
{
	struct table names;

	table_init(&names, 0);
	/* What a call was the first to name is not in the file, and makes way. */
	for (size_t i = 0; i < c->config->n_services; i++)
		if (!c->config->services[i]->is_found)
			table_put(&names, slice_str(c->config->services[i]->label),
			    (void *)(uintptr_t)c->config->services[i]);
	for (size_t i = 0; i < c->config->n_services; i++)
		for (size_t j = 0; j < c->config->services[i]->aliases.n; j++)
			check_alias(c, &names, c->config->services[i], j);
	table_fini(&names);
}

static const struct listener_config *find_listener(
    const struct check *c, const struct address *address)
{
	static const char *const wildcards[] = {"0.0.0.0", "[::]"};
	const struct listener_config *found = table_get(&c->addresses, slice_str(address->text));
	char text[32];

	/* A listener on all addresses has those of the loopback network too. */
	for (size_t i = 0; !found && i < ARRAY_LEN(wildcards); i++) {
		if (address->kind != ADDRESS_IP || !address_is_local(address))
			break;
		snprintf(text, sizeof text, "%s:%u", wildcards[i], address->port);
		found = table_get(&c->addresses, slice_str(text));
	}
	return found;
}

static void check_endpoint(
    struct check *c, const struct service_config *service, size_t i, struct table *seen)
{
	const struct endpoint_config *endpoint = &service->endpoints[i];
	const struct listener_config *listener;
	struct place at = origin_place(c->config, endpoint, "address");
	struct key_path path;

	if (endpoint->address.text[0] == '\0')
		return;
	check_service_path(service, "endpoints", &path);
	key_path_index(&path, i);
	if (table_put(seen, slice_str(endpoint->address.text), (void *)(uintptr_t)endpoint))
		warn_at(c, WARN_ENDPOINT_TWICE, at, path.text,
		    "the same endpoint a second time\ngive one of them more weight instead");
	listener = find_listener(c, &endpoint->address);
	if (listener && (listener->service == NULL || listener->service == service))
		problems_error(c->problems, at, path.text,
		    "a loop: this is the address of listeners[%zu], which leads back to this "
		    "service\nexpected the address of the application",
		    (size_t)(listener - c->config->listeners));
}

/* Whether the last route takes what the others leave, and each leads to another service. */
static bool is_led_elsewhere(const struct service_config *service)
{
	const struct route_config *last;

	if (service->n_routes == 0)
		return false;
	for (size_t i = 0; i < service->n_routes; i++)
		if (service->routes[i].to == NULL)
			return false;
	last = &service->routes[service->n_routes - 1];
	return last->match.n == 0 && last->match.percent >= 1;
}

static void check_missing_endpoints(struct check *c, const struct service_config *service)
{
	struct key_path path;

	/* Not NULL: they were refused. */
	if (service->n_endpoints > 0 || service->endpoints || service->discover.from ||
	    is_led_elsewhere(service))
		return;
	check_service_path(service, "endpoints", &path);
	problems_error(c->problems, origin_place(c->config, service, "endpoints"), path.text,
	    "%s\nexpected a list of at least one address: where it is found; or discover: the "
	    "registry in which it is looked up; or routes that all lead to other services, the last "
	    "of them without match",
	    origin_named(c->config, service, "endpoints") ? "an empty list" : "is missing");
}

static void check_template(struct check *c, const struct service_config *any)
{
	struct key_path path;

	if (any->discover.from || any->endpoints)
		return;
	check_service_path(any, "discover", &path);
	problems_error(c->problems, origin_place(c->config, any, NULL), path.text,
	    "is missing\nexpected the name of a registry, in which the names that are not listed "
	    "are looked up");
}

static void check_endpoints(struct check *c, const struct service_config *service)
{
	uint64_t weights = 0;
	struct key_path path;
	struct table seen;

	table_init(&seen, 0);
	for (size_t i = 0; i < service->n_endpoints; i++) {
		check_endpoint(c, service, i, &seen);
		weights += service->endpoints[i].weight;
	}
	table_fini(&seen);
	if (service->n_endpoints == 0 || weights > 0)
		return;
	check_service_path(service, "endpoints", &path);
	problems_error(c->problems, origin_place(c->config, service, "endpoints"), path.text,
	    "every endpoint has weight 0, so none takes calls\nexpected a weight above 0 for at least one");
}

static void check_multiplex(struct check *c, const struct service_config *service)
{
	struct place at = origin_place(c->config, service, "multiplex");
	struct key_path path;

	if (!service->multiplex)
		return;
	check_service_path(service, "multiplex", &path);
	switch (service->protocol) {
	case SERVICE_SAME:
	case SERVICE_TTHEADER:
	case SERVICE_TTHEADER_FRAMED:
	case SERVICE_TTHEADER_BARE:
		break;
	case SERVICE_BUFFERED:
	case SERVICE_FRAMED:
		warn_at(c, WARN_MULTIPLEX, at, path.text,
		    "only TTHeader can carry several calls at a time, the protocol here "
		    "cannot\nexpected protocol: ttheader, or multiplex: false");
		break;
	case SERVICE_TTHEADER_STREAMING:
	case SERVICE_GRPC:
		problems_error(c->problems, at, path.text,
		    "only TTHeader has a mux mode; calls in the protocol here share connections "
		    "without it\nleave it out, or expected protocol: ttheader");
		break;
	}
}

/* NULL: nothing does. */
static const char *shares_connections(const struct service_config *service)
{
	switch (service->protocol) {
	case SERVICE_SAME: /* where it is one of the two below, nobody is named */
	case SERVICE_BUFFERED:
	case SERVICE_FRAMED:
	case SERVICE_TTHEADER:
	case SERVICE_TTHEADER_FRAMED:
	case SERVICE_TTHEADER_BARE:
		break;
	case SERVICE_TTHEADER_STREAMING:
		return "protocol: ttheader_streaming";
	case SERVICE_GRPC:
		return "protocol: grpc";
	}
	return service->multiplex ? "multiplex: true" : NULL;
}

static void check_metadata(struct check *c, const struct service_config *service)
{
	const char *what = shares_connections(service);
	struct key_path path;

	if (service->metadata.type == METADATA_PROXY_V2 && what)
		problems_error(c->problems, origin_place(c->config, service, "metadata.type"),
		    check_service_path(service, "metadata.type", &path),
		    "the header tells of one caller, and with %s a connection carries the calls of "
		    "many\nexpected calls that have connections to themselves, or metadata: auto",
		    what);
}

bool check_is_led_to(const struct config *config, const struct service_config *service)
{
	const struct service_config *from;

	for (size_t i = 0; (from = check_service_at(config, i)) != NULL; i++) {
		for (size_t k = 0; k < from->n_routes; k++)
			if (from->routes[k].to == service || from->routes[k].mirror == service)
				return true;
	}
	for (size_t i = 0; i < config->n_policies; i++)
		if (config->policies[i]->fallback == service)
			return true;
	return false;
}

/* Pinned by some listener, open to all who ask for it by name, or led to by another service. */
static bool is_reachable(const struct check *c, const struct service_config *service)
{
	for (size_t i = 0; i < c->config->n_listeners; i++)
		if (c->config->listeners[i].service == NULL ||
		    c->config->listeners[i].service == service)
			return true;
	return check_is_led_to(c->config, service);
}

static void check_reached(
    struct check *c, const struct service_config *service, const char *remedy, const char *label)
{
	struct key_path path;

	/* After an error the listener that does may be among what is wrong. */
	if (c->problems->n_errors > 0 || is_reachable(c, service))
		return;
	check_service_path(service, NULL, &path);
	warn_at(c, WARN_UNREACHED, origin_place(c->config, service, NULL), path.text,
	    "no listener leads here\nexpected %s%s%s", remedy, label,
	    *label ? ", or one without service" : "");
}

void check_services(struct check *c)
{
	const struct service_config *any = c->config->any;

	check_names(c);
	for (size_t i = 0; i < c->config->n_services; i++) {
		const struct service_config *service = c->config->services[i];

		check_missing_endpoints(c, service);
		check_endpoints(c, service);
		check_multiplex(c, service);
		check_metadata(c, service);
		check_reached(c, service, "a listener with service: ", service->label);
	}
	if (any) {
		check_template(c, any);
		check_multiplex(c, any);
		check_metadata(c, any);
		check_reached(c, any, "a listener without service", "");
	}
}
