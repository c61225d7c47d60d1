#include "daemon/discovery.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon/discovery_impl.h"
#include "registry/dns.h"

#define DEBOUNCE  (50 * USEC_MS)  /* what goes and comes back meanwhile was never gone */
#define NOT_AGAIN (100 * USEC_MS) /* before so much has passed: a storm is ten snapshots a second */
#define FIRST_SET (3 * USEC_MS)   /* where calls wait for it; several are still one */

/* ---- events ---- */

static void debounced(struct timer *timer, usec_t now)
{
	struct discovery *d = container_of(timer, struct discovery, debounce);

	d->changed_at = now;
	d->start.events->changed(d->start.arg);
}

/* Counted from the first change, so that what changes without end is heard, too. */
static void schedule(struct discovery *d, bool at_once)
{
	usec_t now = loop_now(d->start.loop), at = now + (at_once ? FIRST_SET : DEBOUNCE);

	if (!at_once && d->changed_at && at < d->changed_at + NOT_AGAIN)
		at = d->changed_at + NOT_AGAIN;
	if (!timer_is_set(&d->debounce) || d->debounce.at > at)
		wheel_set(loop_wheel(d->start.loop), &d->debounce, at, debounced);
}

static void dns_changed(void *arg)
{
	struct discovery *d = arg;

	schedule(d, d->waits_for_names);
}

/* The clients ask for addresses when they need them. */
static void hosts_changed(void *arg)
{
	(void)arg;
}

static void tell_name(struct discovery *d, struct slice name)
{
	const struct service_config *any = d->shared->config->any;
	struct registry_set set = {.error = ""};
	struct registry *r;
	const char *why;
	bool has;

	if (any == NULL || any->discover.from == NULL || d->start.events->name_heard == NULL)
		return;
	r = discovery_registry(d, any->discover.from);
	if (r)
		set = registry_set(r, name);
	if (!set.is_answered)
		return;
	has = discovery_has_endpoints(d, any, name, &why);
	d->start.events->name_heard(d->start.arg, name, has, why);
}

static void tell_names(struct loop_work *work)
{
	struct discovery *d = container_of(work, struct discovery, tell_names);
	struct list *link;

	while ((link = list_pop_front(&d->untold))) {
		struct untold_name *u = list_item(link, struct untold_name, link);

		tell_name(d, slice_of(u->text, u->len));
		free(u);
	}
}

/* One that is leaving has nothing to say any more. */
static bool is_current(const struct discovery *d, const struct registry *registry)
{
	return d->shared && discovery_registry(d, registry_config_of(registry)) == registry;
}

static void set_changed(void *arg, struct registry *registry, struct slice service)
{
	struct discovery *d = arg;
	const struct service_config *any;
	bool is_first = registry_set(registry, service).n && table_get(&d->without, service);

	if (!is_current(d, registry))
		return;
	any = d->shared->config->any;
	schedule(d, is_first);
	if (table_get(&d->names_table, service) && any && any->discover.from &&
	    discovery_registry(d, any->discover.from) == registry)
		tell_name(d, service);
}

static void document_changed(void *arg, struct registry *registry, struct slice key)
{
	struct discovery *d = arg;

	if (d->start.events->document_changed && is_current(d, registry))
		d->start.events->document_changed(d->start.arg, registry, key);
}

static void registration_changed(void *arg, struct registration *registration)
{
	struct discovery *d = arg;

	if (d->start.events->registration_changed)
		d->start.events->registration_changed(d->start.arg, registration);
}

const struct registry_events discovery_registry_events = {
    set_changed, document_changed, registration_changed};

/* ---- its life ---- */

struct discovery *discovery_new(const struct discovery_start *start, struct err *err)
{
	struct discovery *d = mem_calloc(1, sizeof *d);

	d->start = *start;
	list_init(&d->opened);
	list_init(&d->leaving);
	list_init(&d->untold);
	own_addresses_init(&d->own);
	table_init(&d->told, start->seed);
	table_init(&d->without, start->seed);
	table_init(&d->names_table, start->seed);
	arena_init(&d->told_arena, NULL, 0);
	d->tell_names.run = tell_names;
	d->dns = dns_new(start->loop, start->seed, dns_changed, d, err);
	d->hosts = dns_new(start->loop, start->seed + 1, hosts_changed, d, err);
	if (d->dns == NULL || d->hosts == NULL)
		discovery_free(&d);
	return d;
}

static void close_all(struct list *list)
{
	list_each_safe (link, list)
		discovery_close(list_item(link, struct opened, link));
}

void discovery_free(struct discovery **pd)
{
	struct discovery *d = *pd;

	if (d == NULL)
		return;
	*pd = NULL;
	close_all(&d->opened);
	close_all(&d->leaving);
	list_each_safe (link, &d->untold)
		free(list_item(link, struct untold_name, link));
	loop_undefer(&d->tell_names);
	wheel_clear(&d->debounce);
	wheel_clear(&d->cleanup);
	discovery_drop_names(d);
	dns_free(&d->dns);
	dns_free(&d->hosts);
	if (d->shared)
		shared_config_unref(&d->shared);
	if (d->pictured)
		shared_config_unref(&d->pictured);
	own_addresses_fini(&d->own);
	table_fini(&d->told);
	table_fini(&d->without);
	table_fini(&d->names_table);
	arena_fini(&d->told_arena);
	free(d);
}

/* ---- what is known ---- */

struct registry *discovery_registry(const struct discovery *d, const struct registry_config *config)
{
	struct opened *o = config ? discovery_find(&d->opened, config->name) : NULL;

	return o ? o->registry : NULL;
}

void discovery_visit(
    const struct discovery *d, void (*visit)(void *arg, const struct registry *registry), void *arg)
{
	list_each (link, &d->opened)
		visit(arg, list_item(link, struct opened, link)->registry);
}

void discovery_hold_caches(struct discovery *d, bool hold)
{
	list_each (link, &d->opened)
		registry_hold_cache(list_item(link, struct opened, link)->registry, hold);
}

struct missing_hosts {
	const struct discovery *d;
	struct discovery_missing *missing;
};

static void count_missing_host(void *arg, const struct endpoint_config *e)
{
	struct missing_hosts *m = arg;

	if (dns_answer(m->d->dns, address_host(&e->address)).is_known)
		return;
	m->missing->host = address_host(&e->address);
	m->missing->hosts++;
}

struct discovery_missing discovery_missing(const struct discovery *d, const struct config *config)
{
	struct discovery_missing missing = {.registry = ""};
	struct missing_hosts hosts = {d, &missing};

	discovery_each_name(config, count_missing_host, &hosts);
	for (size_t i = 0; i < config->n_services; i++) {
		const struct service_config *s = config->services[i];
		struct registry_set set;

		if (s->is_found || !discovery_set(d, s, &set) || set.is_answered)
			continue;
		missing.services++;
		missing.service = slice_str(s->label);
		missing.registry = s->discover.from->name;
	}
	return missing;
}

bool discovery_set(
    const struct discovery *d, const struct service_config *service, struct registry_set *set)
{
	struct registry *r = discovery_registry(d, service->discover.from);

	if (r == NULL)
		return false;
	*set = registry_set(r, slice_str(service->name));
	return true;
}

const char *discovery_source(const struct service_config *service)
{
	if (service->discover.from)
		return registry_type_name(service->discover.from->type);
	for (size_t i = 0; i < service->n_endpoints; i++)
		if (service->endpoints[i].address.kind == ADDRESS_NAME)
			return "dns";
	return "static";
}
