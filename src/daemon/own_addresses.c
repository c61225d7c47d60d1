#include "daemon/own_addresses.h"

#include <ifaddrs.h>
#include <stdlib.h>

#include "base/mem.h"
#include "daemon/bindings.h"

#define LOOK_EVERY (30 * USEC_S) /* at the machine's addresses */

void own_addresses_init(struct own_addresses *own)
{
	*own = (struct own_addresses){.n_local = 0};
	arena_init(&own->arena, NULL, 0);
	table_init(&own->exact, 0);
}

void own_addresses_fini(struct own_addresses *own)
{
	table_fini(&own->exact);
	arena_fini(&own->arena);
	free(own->local);
}

static const void *bytes_of(const struct address *a, size_t *len)
{
	if (a->sa.ss_family == AF_INET6) {
		*len = sizeof(struct in6_addr);
		return &((const struct sockaddr_in6 *)&a->sa)->sin6_addr;
	}
	*len = sizeof(struct in_addr);
	return &((const struct sockaddr_in *)&a->sa)->sin_addr;
}

static bool is_wildcard(const struct address *a)
{
	static const uint8_t zeros[sizeof(struct in6_addr)];
	size_t len;
	const void *bytes;

	if (a->kind != ADDRESS_IP)
		return false;
	bytes = bytes_of(a, &len);
	return memcmp(bytes, zeros, len) == 0;
}

static void look_at_machine(struct own_addresses *own)
{
	struct ifaddrs *list, *one;
	size_t room = 0;

	if (getifaddrs(&list) < 0)
		return; /* those of before */
	for (one = list; one; one = one->ifa_next)
		room++;
	free(own->local);
	own->local = mem_calloc(room + 1, sizeof *own->local);
	own->n_local = 0;
	for (one = list; one; one = one->ifa_next) {
		int family = one->ifa_addr ? one->ifa_addr->sa_family : AF_UNSPEC;

		if (family == AF_INET || family == AF_INET6)
			address_from_sockaddr(&own->local[own->n_local++], one->ifa_addr,
			    family == AF_INET ? sizeof(struct sockaddr_in)
					      : sizeof(struct sockaddr_in6));
	}
	freeifaddrs(list);
}

static void add(struct own_addresses *own, const struct address *a)
{
	struct slice text = arena_copy(&own->arena, slice_str(a->text));

	if (is_wildcard(a))
		own->wildcards[own->n_wildcards++] = *a;
	else
		table_put(&own->exact, text, own);
}

static const struct listener_config *unpinned(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (config->listeners[i].service == NULL &&
		    strcmp(config->listeners[i].name, name) == 0)
			return &config->listeners[i];
	return NULL;
}

static size_t count_addresses(const struct config *config, const struct bindings *bindings)
{
	size_t n = 0;

	for (size_t i = 0; i < config->n_listeners; i++)
		n += config->listeners[i].n_addresses;
	list_each (link, &bindings->all)
		n++;
	return n;
}

void own_addresses_set(struct own_addresses *own, const struct config *config,
    const struct bindings *bindings, usec_t now)
{
	table_fini(&own->exact);
	arena_fini(&own->arena);
	arena_init(&own->arena, NULL, 0);
	table_init(&own->exact, 0);
	own->n_wildcards = 0;
	own->wildcards =
	    arena_calloc(&own->arena, count_addresses(config, bindings), sizeof *own->wildcards);
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener_config *l = &config->listeners[i];

		for (size_t j = 0; l->service == NULL && j < l->n_addresses; j++)
			add(own, &l->addresses[j]);
	}
	list_each (link, &bindings->all) {
		const struct binding *b = list_item(link, struct binding, link);

		if (unpinned(config, b->listener))
			add(own, &b->bound);
	}
	if (own->n_wildcards && now >= own->local_until) {
		look_at_machine(own);
		own->local_until = usec_after(now, LOOK_EVERY);
	}
}

static bool same_host(const struct address *a, const struct address *b)
{
	size_t len, other;
	const void *x = bytes_of(a, &len), *y = bytes_of(b, &other);

	return a->sa.ss_family == b->sa.ss_family && memcmp(x, y, len) == 0;
}

static bool is_on_this_machine(const struct own_addresses *own, const struct address *a)
{
	if (address_is_local(a))
		return true;
	for (size_t i = 0; i < own->n_local; i++)
		if (same_host(&own->local[i], a))
			return true;
	return false;
}

bool own_addresses_has(const struct own_addresses *own, const struct address *a)
{
	if (table_get(&own->exact, slice_str(a->text)))
		return true;
	if (a->kind != ADDRESS_IP)
		return false;
	for (size_t i = 0; i < own->n_wildcards; i++) {
		const struct address *w = &own->wildcards[i];

		/* [::] takes IPv4 as well. */
		if (w->port == a->port &&
		    (w->sa.ss_family == AF_INET6 || a->sa.ss_family == AF_INET) &&
		    (is_wildcard(a) || is_on_this_machine(own, a)))
			return true;
	}
	return false;
}
