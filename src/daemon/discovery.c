#include "daemon/discovery.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/loop.h"
#include "registry/dns.h"

#define DEBOUNCE (100 * USEC_MS)

struct discovery {
	struct loop *loop; /* borrowed */
	struct dns *dns;   /* owned */
	struct timer debounce;
	void (*changed)(void *arg);
	void *arg; /* borrowed */
};

/* What one service's sources come to, while a snapshot is built. */
struct gathering {
	struct arena *arena;
	struct table seen; /* by address: two names may share one */
	struct endpoint *list;
	size_t n, room;
	bool has_unknown, has_stale;
};

static void debounced(struct timer *timer, usec_t now)
{
	struct discovery *d = container_of(timer, struct discovery, debounce);

	(void)now;
	d->changed(d->arg);
}

static void dns_changed(void *arg)
{
	struct discovery *d = arg;

	/* Counted from the first change, so that a name that changes without end is heard too. */
	if (!timer_is_set(&d->debounce))
		wheel_set(
		    loop_wheel(d->loop), &d->debounce, loop_now(d->loop) + DEBOUNCE, debounced);
}

struct discovery *discovery_new(
    struct loop *loop, uint64_t seed, void (*changed)(void *arg), void *arg, struct err *err)
{
	struct discovery *d = mem_calloc(1, sizeof *d);

	d->loop = loop;
	d->changed = changed;
	d->arg = arg;
	d->dns = dns_new(loop, seed, dns_changed, d, err);
	if (d->dns == NULL) {
		free(d);
		return NULL;
	}
	return d;
}

void discovery_free(struct discovery **pd)
{
	struct discovery *d = *pd;

	if (d == NULL)
		return;
	*pd = NULL;
	dns_free(&d->dns);
	wheel_clear(&d->debounce);
	free(d);
}

/* Calls @visit for each endpoint of the configuration whose host is a name. */
static void each_name(const struct config *config,
    void (*visit)(void *arg, const struct endpoint_config *e), void *arg)
{
	for (size_t i = 0; i < config->n_services; i++) {
		const struct service_config *s = config->services[i];

		for (size_t j = 0; j < s->n_endpoints; j++)
			if (s->endpoints[j].address.kind == ADDRESS_NAME)
				visit(arg, &s->endpoints[j]);
	}
}

struct host_list {
	struct slice *list; /* owned */
	size_t n, room;
};

static void add_host(void *arg, const struct endpoint_config *e)
{
	struct host_list *hosts = arg;

	if (hosts->n == hosts->room) {
		hosts->room = hosts->room ? hosts->room * 2 : 16;
		hosts->list = mem_realloc(hosts->list, hosts->room * sizeof *hosts->list);
	}
	hosts->list[hosts->n++] = address_host(&e->address);
}

int discovery_follow(struct discovery *d, const struct config *config, struct err *err)
{
	struct host_list hosts = {0};

	if (dns_set_servers(d->dns, &config->resolvers, err) < 0)
		return -1;
	each_name(config, add_host, &hosts);
	dns_follow(d->dns, hosts.list, hosts.n);
	free(hosts.list);
	return 0;
}

static void add_endpoint(
    struct gathering *g, const struct address *address, const struct endpoint_config *e)
{
	if (table_get(&g->seen, slice_str(address->text)))
		return;
	if (g->n == g->room) {
		struct endpoint *bigger;

		g->room = g->room ? g->room * 2 : 8;
		bigger = arena_calloc(g->arena, g->room, sizeof *bigger);
		if (g->n)
			memcpy(bigger, g->list, g->n * sizeof *bigger);
		g->list = bigger;
	}
	g->list[g->n++] = (struct endpoint){
	    .address = *address,
	    .weight = e->weight,
	    .zone = e->zone,
	    .tags = e->tags,
	};
	/* The key must stay where it is, and the list may move. */
	table_put(&g->seen, arena_copy(g->arena, slice_str(address->text)), g);
}

static struct address with_port(const struct address *address, uint16_t port)
{
	struct sockaddr_storage sa = address->sa;
	struct address with;

	if (sa.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&sa)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)&sa)->sin_port = htons(port);
	address_from_sockaddr(&with, (const struct sockaddr *)&sa, address->len);
	return with;
}

static void gather_name(
    struct gathering *g, const struct discovery *d, const struct endpoint_config *e)
{
	struct dns_answer answer = dns_answer(d->dns, address_host(&e->address));

	g->has_unknown = g->has_unknown || !answer.is_known;
	g->has_stale = g->has_stale || answer.is_stale;
	for (size_t i = 0; i < answer.n; i++) {
		struct address address = with_port(&answer.list[i], e->address.port);

		add_endpoint(g, &address, e);
	}
}

static struct endpoint_set gather(
    const struct discovery *d, const struct service_config *s, struct arena *arena)
{
	struct gathering g = {.arena = arena};
	struct endpoint_set set;

	table_init(&g.seen, 0);
	for (size_t i = 0; i < s->n_endpoints; i++) {
		if (s->endpoints[i].address.kind == ADDRESS_NAME)
			gather_name(&g, d, &s->endpoints[i]);
		else
			add_endpoint(&g, &s->endpoints[i].address, &s->endpoints[i]);
	}
	table_fini(&g.seen);
	set = (struct endpoint_set){g.list, g.n, ENDPOINTS_FRESH};
	if (g.n == 0)
		set.state = g.has_unknown ? ENDPOINTS_UNKNOWN : ENDPOINTS_EMPTY;
	else if (g.has_stale)
		set.state = ENDPOINTS_STALE;
	return set;
}

struct snapshot *discovery_snapshot(const struct discovery *d, struct shared_config *shared,
    struct tallies *tallies, const struct snapshot *before, usec_t now)
{
	const struct config *config = shared->config;
	struct endpoint_set *sets = mem_calloc(config->n_services, sizeof *sets);
	struct snapshot *snapshot;
	struct arena arena;

	arena_init(&arena, NULL, 0);
	for (size_t i = 0; i < config->n_services; i++)
		sets[i] = gather(d, config->services[i], &arena);
	snapshot = snapshot_new(shared, sets, tallies, before, now);
	arena_fini(&arena);
	free(sets);
	return snapshot;
}

struct unanswered {
	const struct discovery *d;
	struct slice host;
	size_t n;
};

static void count_unanswered(void *arg, const struct endpoint_config *e)
{
	struct unanswered *u = arg;

	if (dns_answer(u->d->dns, address_host(&e->address)).is_known)
		return;
	u->host = address_host(&e->address);
	u->n++;
}

size_t discovery_unanswered(
    const struct discovery *d, const struct config *config, struct slice *host)
{
	struct unanswered u = {.d = d};

	each_name(config, count_unanswered, &u);
	*host = u.host;
	return u.n;
}

const char *discovery_source(const struct service_config *service)
{
	for (size_t i = 0; i < service->n_endpoints; i++)
		if (service->endpoints[i].address.kind == ADDRESS_NAME)
			return "dns";
	return "static";
}
