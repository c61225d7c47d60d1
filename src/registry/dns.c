#include "registry/dns.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ares.h>
#include <event2/event.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/table.h"
#include "net/loop.h"

#define QUERY_TIMEOUT_MS 1000 /* of one try; the library doubles it for the next */
#define QUERY_TRIES      3

/* A name that is followed. */
struct dns_name {
	struct dns *dns; /* borrowed; NULL once nobody follows it and only its query is left */
	struct timer again;
	struct address *list; /* owned */
	size_t n;
	bool is_known, is_stale, is_asked, is_wanted;
	usec_t backoff;
	char host[];
};

/* A socket of the library's that we watch for it. */
struct dns_socket {
	struct list link;
	struct dns *dns;     /* borrowed */
	int fd;              /* the library's */
	struct event *event; /* owned */
};

struct dns {
	struct loop *loop;    /* borrowed */
	ares_channel channel; /* owned */
	struct table names;   /* host -> struct dns_name, owned */
	struct list sockets;
	struct timer tick; /* the library's own timeouts */
	struct rng rng;
	dns_changed_fn changed;
	void *arg; /* borrowed */
};

static void ask(struct dns_name *name);

/* The timeouts move with every exchange, so this follows each call into the library. */
static void arm_tick(struct dns *dns);

static void tick(struct timer *timer, usec_t now)
{
	struct dns *dns = container_of(timer, struct dns, tick);

	(void)now;
	ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm_tick(dns);
}

static void arm_tick(struct dns *dns)
{
	struct timeval room, *wait = ares_timeout(dns->channel, NULL, &room);
	usec_t at = USEC_NONE;

	if (wait)
		at = loop_now(dns->loop) + (usec_t)wait->tv_sec * USEC_S + (usec_t)wait->tv_usec;
	wheel_set(loop_wheel(dns->loop), &dns->tick, at, tick);
}

static void socket_ready(evutil_socket_t fd, short what, void *arg)
{
	struct dns_socket *s = arg;
	struct dns *dns = s->dns; /* the library may close the socket, and so free s */

	ares_process_fd(dns->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
	    what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	arm_tick(dns);
}

static void socket_free(struct dns_socket *s)
{
	list_remove(&s->link);
	event_free(s->event);
	free(s);
}

static struct dns_socket *find_socket(struct dns *dns, int fd)
{
	list_each (link, &dns->sockets) {
		struct dns_socket *s = list_item(link, struct dns_socket, link);

		if (s->fd == fd)
			return s;
	}
	return NULL;
}

static void socket_changed(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns *dns = arg;
	struct dns_socket *s = find_socket(dns, fd);
	short what = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0) | EV_PERSIST);

	if (s)
		socket_free(s);
	if (!readable && !writable)
		return;
	s = mem_calloc(1, sizeof *s);
	s->dns = dns;
	s->fd = fd;
	s->event = event_new(loop_base(dns->loop), fd, what, socket_ready, s);
	list_push_back(&dns->sockets, &s->link);
	event_add(s->event, NULL);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct address *)a)->text, ((const struct address *)b)->text);
}

static usec_t clamp(usec_t value, usec_t low, usec_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* The addresses of an answer without doubles, sorted; *ttl becomes the shortest time it may be kept. */
static struct address *collect(const struct ares_addrinfo *answer, size_t *n, usec_t *ttl)
{
	struct address *list;
	size_t room = 0, kept = 0;

	*ttl = DNS_TTL_MAX;
	for (const struct ares_addrinfo_cname *c = answer->cnames; c; c = c->next)
		*ttl = usec_min(*ttl, (usec_t)(c->ttl > 0 ? c->ttl : 0) * USEC_S);
	for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next)
		room++;
	list = mem_calloc(room, sizeof *list);
	room = 0;
	for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next) {
		if (node->ai_family != AF_INET && node->ai_family != AF_INET6)
			continue;
		address_from_sockaddr(&list[room++], node->ai_addr, (socklen_t)node->ai_addrlen);
		*ttl = usec_min(*ttl, (usec_t)(node->ai_ttl > 0 ? node->ai_ttl : 0) * USEC_S);
	}
	qsort(list, room, sizeof *list, by_text);
	for (size_t i = 0; i < room; i++)
		if (kept == 0 || by_text(&list[kept - 1], &list[i]) != 0)
			list[kept++] = list[i];
	*n = kept;
	return list;
}

static bool same_list(const struct dns_name *name, const struct address *list, size_t n)
{
	if (name->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (by_text(&name->list[i], &list[i]) != 0)
			return false;
	return true;
}

static void ask_again(struct timer *timer, usec_t now)
{
	(void)now;
	ask(container_of(timer, struct dns_name, again));
}

static void ask_after(struct dns_name *name, usec_t wait)
{
	struct loop *loop = name->dns->loop;

	wheel_set(loop_wheel(loop), &name->again, usec_after(loop_now(loop), wait), ask_again);
}

static void take_answer(struct dns_name *name, const struct ares_addrinfo *answer)
{
	size_t n;
	usec_t ttl;
	struct address *list = collect(answer, &n, &ttl);
	bool is_new = !name->is_known || name->is_stale || !same_list(name, list, n);

	free(name->list);
	name->list = list;
	name->n = n;
	name->is_known = true;
	name->is_stale = false;
	name->backoff = 0;
	ask_after(name, clamp(ttl, DNS_TTL_MIN, DNS_TTL_MAX));
	if (is_new)
		name->dns->changed(name->dns->arg);
}

/* Keeps what is known, and waits longer each time; the jitter keeps many sidecars apart. */
static void take_failure(struct dns_name *name, int status)
{
	bool says_none = status == ARES_ENOTFOUND || status == ARES_ENODATA;
	bool is_new = (name->n && !name->is_stale) || (says_none && !name->is_known);
	usec_t wait = clamp(name->backoff * 2, DNS_BACKOFF_MIN, DNS_BACKOFF_MAX);

	name->backoff = wait;
	name->is_known = name->is_known || says_none;
	name->is_stale = name->n > 0;
	if (is_new || wait == DNS_BACKOFF_MAX)
		log_warn("dns", "a name cannot be resolved", "host=%s error=\"%s\" kept=%zu",
		    name->host, ares_strerror(status), name->n);
	ask_after(name, wait / 2 + rng_below(&name->dns->rng, wait / 2 + 1));
	if (is_new)
		name->dns->changed(name->dns->arg);
}

static void name_free(struct dns_name *name)
{
	wheel_clear(&name->again);
	free(name->list);
	free(name);
}

static void answered(void *arg, int status, int timeouts, struct ares_addrinfo *answer)
{
	struct dns_name *name = arg;

	(void)timeouts;
	name->is_asked = false;
	if (name->dns == NULL)
		name_free(name);
	else if (status == ARES_SUCCESS && answer && answer->nodes)
		take_answer(name, answer);
	else if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
		ask_after(name, 0); /* the servers have changed under it */
	else
		take_failure(name, status == ARES_SUCCESS ? ARES_ENODATA : status);
	if (answer)
		ares_freeaddrinfo(answer);
}

static void ask(struct dns_name *name)
{
	const struct ares_addrinfo_hints hints = {
	    .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_flags = ARES_AI_NOSORT,
	};
	struct dns *dns = name->dns;

	if (name->is_asked)
		return;
	name->is_asked = true;
	/* May answer at once, from the hosts file. */
	ares_getaddrinfo(dns->channel, name->host, NULL, &hints, answered, name);
	arm_tick(dns);
}

static int open_channel(
    struct dns *dns, const struct config_list *servers, ares_channel *channel, struct err *err)
{
	struct ares_options options = {
	    .timeout = QUERY_TIMEOUT_MS,
	    .tries = QUERY_TRIES,
	    .sock_state_cb = socket_changed,
	    .sock_state_cb_data = dns,
	};
	char csv[1024];
	size_t len = 0;
	int status;

	status = ares_init_options(
	    channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	if (status != ARES_SUCCESS)
		return err_set(err, 0, "name resolution: %s", ares_strerror(status));
	for (size_t i = 0; i < servers->n && len < sizeof csv; i++)
		len += (size_t)snprintf(
		    csv + len, sizeof csv - len, "%s%s", i ? "," : "", servers->items[i]);
	if (len >= sizeof csv)
		status = ARES_EBADSTR;
	else if (servers->n)
		status = ares_set_servers_ports_csv(*channel, csv);
	if (status == ARES_SUCCESS)
		return 0;
	ares_destroy(*channel);
	return err_set(err, 0, "resolvers: %s", ares_strerror(status));
}

struct dns *dns_new(
    struct loop *loop, uint64_t seed, dns_changed_fn changed, void *arg, struct err *err)
{
	static const struct config_list system_servers;
	struct dns *dns = mem_calloc(1, sizeof *dns);

	dns->loop = loop;
	dns->changed = changed;
	dns->arg = arg;
	rng_init(&dns->rng, seed);
	list_init(&dns->sockets);
	table_init(&dns->names, seed);
	ares_library_init(ARES_LIB_INIT_ALL);
	if (open_channel(dns, &system_servers, &dns->channel, err) < 0) {
		ares_library_cleanup();
		free(dns);
		return NULL;
	}
	return dns;
}

/* Its query, if there is one, still holds it. */
static void name_forget(struct dns *dns, struct dns_name *name)
{
	table_remove(&dns->names, slice_str(name->host));
	wheel_clear(&name->again);
	name->dns = NULL;
	if (!name->is_asked)
		name_free(name);
}

/* Forgets what is not wanted any more. A table must not change while it is walked, so from the
 * start after each. */
static void forget_unwanted(struct dns *dns)
{
	struct dns_name *name;
	size_t at = 0;

	while ((name = table_next(&dns->names, &at))) {
		if (name->is_wanted)
			continue;
		name_forget(dns, name);
		at = 0;
	}
}

static void want_none(struct dns *dns)
{
	struct dns_name *name;
	size_t at = 0;

	while ((name = table_next(&dns->names, &at)))
		name->is_wanted = false;
}

void dns_free(struct dns **pdns)
{
	struct dns *dns = *pdns;

	if (dns == NULL)
		return;
	*pdns = NULL;
	want_none(dns);
	forget_unwanted(dns);
	ares_destroy(dns->channel); /* calls back for what is asked, which frees the names */
	ares_library_cleanup();
	list_each_safe (link, &dns->sockets)
		socket_free(list_item(link, struct dns_socket, link));
	wheel_clear(&dns->tick);
	table_fini(&dns->names);
	free(dns);
}

int dns_set_servers(struct dns *dns, const struct config_list *servers, struct err *err)
{
	ares_channel fresh, old = dns->channel;
	struct dns_name *name;
	size_t at = 0;

	if (open_channel(dns, servers, &fresh, err) < 0)
		return -1;
	dns->channel = fresh;
	ares_destroy(old);
	while ((name = table_next(&dns->names, &at)))
		ask_after(name, 0);
	arm_tick(dns);
	return 0;
}

static struct dns_name *name_new(struct dns *dns, struct slice host)
{
	struct dns_name *name = mem_calloc(1, sizeof *name + host.len + 1);

	name->dns = dns;
	memcpy(name->host, host.data, host.len);
	table_put(&dns->names, slice_str(name->host), name);
	return name;
}

void dns_follow(struct dns *dns, const struct slice *hosts, size_t n)
{
	want_none(dns);
	for (size_t i = 0; i < n; i++) {
		struct dns_name *name = table_get(&dns->names, hosts[i]);
		bool is_new = name == NULL;

		if (is_new)
			name = name_new(dns, hosts[i]);
		name->is_wanted = true;
		if (is_new)
			ask(name);
	}
	forget_unwanted(dns);
}

struct dns_answer dns_answer(const struct dns *dns, struct slice host)
{
	const struct dns_name *name = table_get(&dns->names, host);

	if (name == NULL)
		return (struct dns_answer){0};
	return (struct dns_answer){name->list, name->n, name->is_known, name->is_stale};
}

const char *dns_library_version(void)
{
	return ares_version(NULL);
}
