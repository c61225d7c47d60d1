/*
 * DNS as a registry: a service's name is a host name, all of whose addresses are endpoints at the
 * registry's port (or at its own, name:port), or the name of a service (_name._tcp.domain), whose
 * SRV records name hosts, ports and weights. How names are followed is registry/dns.h; this turns
 * what is known of them into sets.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/table.h"
#include "net/loop.h"
#include "registry/client.h"
#include "registry/dns.h"
#include "registry/record_parts.h"

/* A service that is followed. */
struct named {
	bool is_service;
	bool is_told;           /* of a name that is not asked for at all */
	uint64_t serial;        /* what of its answers has been told */
	struct address address; /* host and port; of a service, only its name counts */
	struct err wrong;       /* why it is not asked for; text[0] is NUL where it is */
	char name[];
};

struct registry_client {
	struct registry *registry;            /* borrowed */
	const struct registry_config *config; /* borrowed */
	struct loop *loop;                    /* borrowed */
	struct dns *dns;                      /* owned */
	struct table watched;                 /* name -> struct named, owned */
	uint64_t services_serial;             /* the sum of all services' answers, as followed */
	bool is_dirty;                        /* other names are to be followed */
	struct loop_work look;
};

/* ---- which names are asked for ---- */

struct hosts {
	struct slice *list; /* owned */
	size_t n, room;
};

static void add_host(struct hosts *hosts, struct slice host)
{
	if (hosts->n == hosts->room) {
		hosts->room = hosts->room ? 2 * hosts->room : 16;
		hosts->list = mem_realloc(hosts->list, hosts->room * sizeof *hosts->list);
	}
	hosts->list[hosts->n++] = host;
}

static bool is_asked_for(const struct named *named)
{
	return named->wrong.text[0] == '\0' && named->address.kind == ADDRESS_NAME;
}

static void follow_services(struct registry_client *client)
{
	struct hosts names = {0};
	struct named *named;
	size_t at = 0;

	while ((named = table_next(&client->watched, &at)))
		if (is_asked_for(named) && named->is_service)
			add_host(&names, slice_str(named->name));
	dns_follow_services(client->dns, names.list, names.n);
	free(names.list);
}

static void add_targets(struct hosts *hosts, const struct dns_answer *answer)
{
	for (size_t i = 0; i < answer->n; i++)
		add_host(hosts, slice_str(answer->targets[i].host));
}

/* Of services, the hosts that they have named so far. */
static void follow_hosts(struct registry_client *client)
{
	struct hosts hosts = {0};
	struct named *named;
	size_t at = 0;

	while ((named = table_next(&client->watched, &at))) {
		if (!is_asked_for(named))
			continue;
		if (named->is_service) {
			struct dns_answer answer = dns_service(client->dns, slice_str(named->name));

			add_targets(&hosts, &answer);
		} else {
			add_host(&hosts, address_host(&named->address));
		}
	}
	dns_follow(client->dns, hosts.list, hosts.n);
	free(hosts.list);
}

static uint64_t services_serial(const struct registry_client *client)
{
	struct named *named;
	uint64_t sum = 0;
	size_t at = 0;

	while ((named = table_next(&client->watched, &at)))
		if (named->is_service)
			sum += dns_service(client->dns, slice_str(named->name)).serial;
	return sum;
}

static void follow_all(struct registry_client *client)
{
	uint64_t serial;

	if (client->is_dirty)
		follow_services(client);
	serial = services_serial(client);
	if (client->is_dirty || serial != client->services_serial)
		follow_hosts(client);
	client->is_dirty = false;
	client->services_serial = serial;
}

/* ---- what they say ---- */

/* A set on its way to the registry. */
struct set {
	struct endpoint *list; /* owned */
	size_t n, room;
};

/* Addresses that nobody can call are skipped. */
static void add_address(struct registry_client *client, const struct named *named, struct set *set,
    const struct address *from, uint16_t port, unsigned weight)
{
	struct address address = address_with_port(from, port);
	struct endpoint *endpoint;
	struct err err;

	if (set->n == set->room) {
		set->room = set->room ? 2 * set->room : 16;
		set->list = mem_realloc(set->list, set->room * sizeof *set->list);
	}
	endpoint = &set->list[set->n];
	*endpoint = (struct endpoint){.weight = weight};
	if (record_take_address(slice_str(address.text), &endpoint->address, &err) < 0)
		registry_skipped(
		    client->registry, slice_str(named->name), slice_str(address.text), err.text);
	else
		set->n++;
}

static void fail(struct registry_client *client, const struct named *named, const char *why)
{
	struct err err;

	err_set(&err, 0, "%s: %s", named->name, why);
	registry_failed(client->registry, slice_str(named->name), &err);
}

static void tell_host(struct registry_client *client, struct named *named)
{
	struct dns_answer answer = dns_answer(client->dns, address_host(&named->address));
	struct set set = {0};

	if (answer.serial == named->serial)
		return;
	named->serial = answer.serial;
	if (answer.error[0] && !answer.says_none) {
		fail(client, named, answer.error);
		return;
	}
	for (size_t i = 0; i < answer.n && !answer.says_none; i++)
		add_address(
		    client, named, &set, &answer.list[i], named->address.port, RECORD_WEIGHT);
	registry_heard(client->registry, slice_str(named->name), set.list, set.n, "");
	free(set.list);
}

/* The sum of the answers that make a service, 0 while one of them is missing. */
static uint64_t serial_of(struct registry_client *client, const struct dns_answer *answer)
{
	uint64_t sum = answer->serial;

	for (size_t i = 0; i < answer->n; i++) {
		uint64_t serial =
		    dns_answer(client->dns, slice_str(answer->targets[i].host)).serial;

		if (serial == 0)
			return 0;
		sum += serial;
	}
	return sum;
}

/* Returns why some host has no address, which is not that there is none; NULL. */
static const char *add_all(struct registry_client *client, const struct named *named,
    const struct dns_answer *answer, struct set *set)
{
	const char *why = NULL;

	for (size_t i = 0; i < answer->n; i++) {
		const struct dns_target *target = &answer->targets[i];
		struct dns_answer host = dns_answer(client->dns, slice_str(target->host));

		for (size_t k = 0; k < host.n && !host.says_none; k++)
			add_address(
			    client, named, set, &host.list[k], target->port, target->weight);
		if (host.error[0] && (host.n == 0 || host.says_none))
			registry_skipped(client->registry, slice_str(named->name),
			    slice_str(target->host), host.error);
		if (host.n == 0 && host.error[0] && !host.says_none)
			why = host.error;
	}
	return why;
}

static void tell_service(struct registry_client *client, struct named *named)
{
	struct dns_answer answer = dns_service(client->dns, slice_str(named->name));
	uint64_t serial = serial_of(client, &answer);
	struct set set = {0};
	const char *why;

	if (serial == 0 || serial == named->serial)
		return;
	named->serial = serial;
	if (answer.error[0] && !answer.says_none) {
		fail(client, named, answer.error);
		return;
	}
	why = answer.says_none ? NULL : add_all(client, named, &answer, &set);
	if (set.n == 0 && why)
		fail(client, named, why);
	else
		registry_heard(client->registry, slice_str(named->name), set.list, set.n, "");
	free(set.list);
}

/* An address in place of a name is its own answer; a name that is none is asked for in vain. */
static void tell_unasked(struct registry_client *client, struct named *named)
{
	struct set set = {0};

	if (named->is_told)
		return;
	named->is_told = true;
	if (named->wrong.text[0]) {
		registry_failed(client->registry, slice_str(named->name), &named->wrong);
		return;
	}
	add_address(client, named, &set, &named->address, named->address.port, RECORD_WEIGHT);
	registry_heard(client->registry, slice_str(named->name), set.list, set.n, "");
	free(set.list);
}

static void look(struct loop_work *work)
{
	struct registry_client *client = container_of(work, struct registry_client, look);
	struct named *named;
	size_t at = 0;

	follow_all(client);
	while ((named = table_next(&client->watched, &at))) {
		if (!is_asked_for(named))
			tell_unasked(client, named);
		else if (named->is_service)
			tell_service(client, named);
		else
			tell_host(client, named);
	}
}

/* ---- its life ---- */

static void answers_came(void *arg)
{
	struct registry_client *client = arg;

	loop_defer(client->loop, &client->look);
}

static void parse_name(struct named *named, uint16_t port)
{
	char text[ADDRESS_TEXT_MAX];
	bool has_port = strchr(named->name, ':') != NULL;
	size_t len;

	named->is_service = named->name[0] == '_';
	len = (size_t)snprintf(text, sizeof text, "%s", named->name);
	if (len < sizeof text && (named->is_service || !has_port))
		len += (size_t)snprintf(
		    text + len, sizeof text - len, ":%u", named->is_service ? 1u : port);
	if (len >= sizeof text)
		err_set(&named->wrong, 0, "the name is too long for DNS");
	else if (address_parse(&named->address, slice_str(text), &named->wrong) < 0)
		err_wrap(&named->wrong, "no name for DNS");
	else if (named->address.kind != ADDRESS_NAME && named->address.kind != ADDRESS_IP)
		err_set(&named->wrong, 0, "%s: no name for DNS", named->name);
	else if (named->address.port == 0)
		err_set(&named->wrong, 0, "%s: no port, neither in the name nor in the registry",
		    named->name);
	else
		named->wrong.text[0] = '\0';
}

static void names_watch(struct registry_client *client, struct slice service)
{
	struct named *named = mem_calloc(1, sizeof *named + service.len + 1);

	memcpy(named->name, service.data, service.len);
	parse_name(named, client->config->port);
	table_put(&client->watched, slice_str(named->name), named);
	client->is_dirty = true;
	loop_defer(client->loop, &client->look);
}

static void names_unwatch(struct registry_client *client, struct slice service)
{
	free(table_remove(&client->watched, service));
	client->is_dirty = true;
	loop_defer(client->loop, &client->look);
}

/* The registry's own endpoints are its servers, else those of the whole configuration. */
static int use_servers(
    struct registry_client *client, const struct registry_client_start *start, struct err *err)
{
	const struct registry_config *config = start->config;
	struct config_list servers = {NULL, config->n_endpoints};
	const char **items;
	int rc;

	if (config->n_endpoints == 0)
		return dns_set_servers(client->dns, start->resolvers, err);
	items = mem_calloc(config->n_endpoints, sizeof *items);
	for (size_t i = 0; i < config->n_endpoints; i++)
		items[i] = config->endpoints[i].text;
	servers.items = items;
	rc = dns_set_servers(client->dns, &servers, err);
	free(items);
	return rc;
}

static void names_close(struct registry_client **pclient)
{
	struct registry_client *client = *pclient;
	struct named *named;
	size_t at = 0;

	*pclient = NULL;
	if (client == NULL)
		return;
	loop_undefer(&client->look);
	dns_free(&client->dns);
	while ((named = table_next(&client->watched, &at)))
		free(named);
	table_fini(&client->watched);
	free(client);
}

static struct registry_client *names_open(
    const struct registry_client_start *start, struct err *err)
{
	struct registry_client *client = mem_calloc(1, sizeof *client);

	client->registry = start->registry;
	client->config = start->config;
	client->loop = start->place->loop;
	client->look.run = look;
	table_init(&client->watched, start->place->seed);
	client->dns = dns_new(client->loop, start->place->seed, answers_came, client, err);
	if (client->dns && use_servers(client, start, err) == 0) {
		dns_set_pace(client->dns, REGISTRY_RECONNECT_MAX, start->config->refresh);
		return client;
	}
	names_close(&client);
	return NULL;
}

const struct registry_client_ops names_ops = {
    .open = names_open,
    .close = names_close,
    .watch = names_watch,
    .unwatch = names_unwatch,
};
