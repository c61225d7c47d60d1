/* Which registries are open, and what is followed in them and in DNS. */
#include <stdlib.h>

#include "base/mem.h"
#include "daemon/discovery_impl.h"
#include "registry/dns.h"

#define CLEANUP_EVERY (500 * USEC_MS)

/* Calls @visit for each endpoint of the configuration whose host is a name. */
void discovery_each_name(const struct config *config,
    void (*visit)(void *arg, const struct endpoint_config *e), void *arg)
{
	for (size_t i = 0; i < config->n_services; i++) {
		const struct service_config *s = config->services[i];

		for (size_t j = 0; j < s->n_endpoints; j++)
			if (s->endpoints[j].address.kind == ADDRESS_NAME)
				visit(arg, &s->endpoints[j]);
	}
}

/* ---- names of hosts ---- */

struct slices {
	struct slice *list; /* owned */
	size_t n, room;
};

static void slices_add(struct slices *s, struct slice one)
{
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 16;
		s->list = mem_realloc(s->list, s->room * sizeof *s->list);
	}
	s->list[s->n++] = one;
}

static void add_host(void *arg, const struct endpoint_config *e)
{
	slices_add(arg, address_host(&e->address));
}

static void follow_hosts(struct discovery *d, const struct config *config)
{
	struct slices hosts = {0}, servers = {0};

	discovery_each_name(config, add_host, &hosts);
	dns_follow(d->dns, hosts.list, hosts.n);
	free(hosts.list);
	for (size_t i = 0; i < config->n_registries; i++) {
		const struct registry_config *r = config->registries[i];

		for (size_t j = 0; j < r->n_endpoints; j++)
			if (r->endpoints[j].kind == ADDRESS_NAME)
				slices_add(&servers, address_host(&r->endpoints[j]));
	}
	dns_follow(d->hosts, servers.list, servers.n);
	free(servers.list);
}

static bool same_list(const struct config_list *a, const struct config_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

static int set_resolvers(struct discovery *d, const struct config *config, struct err *err)
{
	if (d->shared && same_list(&d->shared->config->resolvers, &config->resolvers))
		return 0;
	if (dns_set_servers(d->hosts, &config->resolvers, err) < 0)
		return -1;
	return dns_set_servers(d->dns, &config->resolvers, err);
}

/* ---- registries ---- */

struct opened *discovery_find(const struct list *list, const char *name)
{
	list_each (link, list) {
		struct opened *o = list_item(link, struct opened, link);

		if (strcmp(registry_config_of(o->registry)->name, name) == 0)
			return o;
	}
	return NULL;
}

void discovery_close(struct opened *o)
{
	list_remove(&o->link);
	registry_free(&o->registry);
	free(o);
}

/* One of a configuration to come: the one that is open, if that would be the same. */
static struct opened *reuse(
    struct discovery *d, const struct registry_config *config, const struct config *of)
{
	struct opened *o = discovery_find(&d->opened, config->name);

	if (o == NULL || !registry_is_as(o->registry, config))
		return NULL;
	/* It looks names up by itself. */
	if (config->type == REGISTRY_DNS &&
	    !same_list(&d->shared->config->resolvers, &of->resolvers))
		return NULL;
	return o;
}

static struct opened *open_one(struct discovery *d, struct shared_config *shared,
    const struct registry_config *config, struct err *err)
{
	const struct registry_place place = {
	    .loop = d->start.loop,
	    .inbox = d->start.inbox,
	    .hosts = d->hosts,
	    .seed = d->start.seed,
	};
	struct registry *r =
	    registry_new(shared, config, &place, &discovery_registry_events, d, err);
	struct opened *o;

	if (r == NULL)
		return NULL;
	o = mem_calloc(1, sizeof *o);
	o->registry = r;
	list_init(&o->link);
	return o;
}

/* Opens what is not open yet, in the order of the configuration, into @fresh: NULL for those that
 * are used again. On failure none is open that was not before. */
static int open_new(
    struct discovery *d, struct shared_config *shared, struct opened **fresh, struct err *err)
{
	const struct config *config = shared->config;

	for (size_t i = 0; i < config->n_registries; i++) {
		fresh[i] = NULL;
		if (reuse(d, config->registries[i], config))
			continue;
		fresh[i] = open_one(d, shared, config->registries[i], err);
		if (fresh[i])
			continue;
		d->refused = config->registries[i];
		while (i-- > 0)
			if (fresh[i])
				discovery_close(fresh[i]);
		return -1;
	}
	return 0;
}

/* What of ours stands in it is withdrawn by its owner first; then nobody needs it. */
static void clean_up(struct timer *timer, usec_t now)
{
	struct discovery *d = container_of(timer, struct discovery, cleanup);

	list_each_safe (link, &d->leaving) {
		struct opened *o = list_item(link, struct opened, link);

		if (registry_report(o->registry).n_registrations == 0)
			discovery_close(o);
	}
	if (!list_is_empty(&d->leaving))
		wheel_set(
		    loop_wheel(d->start.loop), timer, usec_after(now, CLEANUP_EVERY), clean_up);
}

static void take_leave(struct discovery *d, struct opened *o)
{
	list_push_back(&d->leaving, &o->link);
	wheel_set(loop_wheel(d->start.loop), &d->cleanup,
	    usec_after(loop_now(d->start.loop), CLEANUP_EVERY), clean_up);
}

static void exchange(struct discovery *d, const struct config *config, struct opened **fresh)
{
	struct list before;
	struct list *link;

	list_init(&before);
	while ((link = list_pop_front(&d->opened)))
		list_push_back(&before, link);
	for (size_t i = 0; i < config->n_registries; i++) {
		struct opened *o =
		    fresh[i] ? fresh[i] : discovery_find(&before, config->registries[i]->name);

		list_remove(&o->link);
		list_push_back(&d->opened, &o->link);
	}
	while ((link = list_pop_front(&before)))
		take_leave(d, list_item(link, struct opened, link));
}

/* In each registry the services that are found there, and in that of "*" what calls have named. */
static void follow_services(struct discovery *d)
{
	const struct config *config = d->shared->config;

	list_each (link, &d->opened) {
		struct registry *r = list_item(link, struct opened, link)->registry;
		const char *name = registry_config_of(r)->name;
		struct slices services = {0};

		for (size_t i = 0; i < config->n_services; i++) {
			const struct service_config *s = config->services[i];

			if (s->discover.from && strcmp(s->discover.from->name, name) == 0)
				slices_add(&services, slice_str(s->name));
		}
		if (config->any && config->any->discover.from &&
		    strcmp(config->any->discover.from->name, name) == 0)
			for (size_t i = 0; i < d->n_names; i++)
				slices_add(&services, d->names[i]);
		registry_follow(r, services.list, services.n);
		free(services.list);
	}
}

int discovery_follow(struct discovery *d, struct shared_config *shared, struct err *err)
{
	const struct config *config = shared->config;
	struct opened **fresh = mem_calloc(config->n_registries + 1, sizeof(struct opened *));
	struct shared_config *old = d->shared;
	int result;

	d->refused = NULL;
	result = open_new(d, shared, fresh, err);
	if (result == 0 && set_resolvers(d, config, err) < 0) {
		for (size_t i = 0; i < config->n_registries; i++)
			if (fresh[i])
				discovery_close(fresh[i]);
		result = -1;
	}
	if (result == 0) {
		follow_hosts(d, config);
		exchange(d, config, fresh);
		d->shared = shared_config_ref(shared);
		follow_services(d);
		if (old)
			shared_config_unref(&old);
	}
	free(fresh);
	return result;
}

const struct registry_config *discovery_refused(const struct discovery *d)
{
	return d->refused;
}

/* ---- names that calls have given ---- */

void discovery_drop_names(struct discovery *d)
{
	table_fini(&d->names_table);
	table_init(&d->names_table, d->start.seed);
	for (size_t i = 0; i < d->n_names; i++)
		free((void *)(uintptr_t)d->names[i].data);
	free(d->names);
	d->names = NULL;
	d->n_names = 0;
}

static void note_untold(struct discovery *d, struct slice name)
{
	struct untold_name *u = mem_alloc(sizeof *u + name.len);

	u->len = name.len;
	memcpy(u->text, name.data, name.len);
	list_push_back(&d->untold, &u->link);
	loop_defer(d->start.loop, &d->tell_names);
}

void discovery_follow_names(struct discovery *d, const struct slice *names, size_t n)
{
	struct slice *copies = mem_calloc(n + 1, sizeof *copies);

	for (size_t i = 0; i < n; i++) {
		copies[i] = slice_of(slice_dup(names[i]), names[i].len);
		if (table_get(&d->names_table, names[i]) == NULL)
			note_untold(d, names[i]);
	}
	discovery_drop_names(d);
	d->names = copies;
	d->n_names = n;
	for (size_t i = 0; i < n; i++)
		table_put(&d->names_table, copies[i], d);
	if (d->shared)
		follow_services(d);
}
