#include "registry/dns.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define CARES_NO_DEPRECATED /* ares_search is all that old versions have */
#include <ares.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/table.h"
#include "net/loop.h"
#include "registry/dns_channel.h"

#define CLASS_IN 1  /* source: RFC 1035, section 3.2.4 */
#define TYPE_SRV 33 /* source: RFC 2782 */

/* A name that is followed. */
struct dns_name {
	struct dns *dns; /* borrowed; NULL once nobody follows it and only its query is left */
	struct timer again;
	bool is_service;            /* its targets are asked for, else its addresses */
	struct address *list;       /* owned */
	struct dns_target *targets; /* owned */
	size_t n;                   /* of whichever it is */
	bool is_known, is_stale, is_asked, is_wanted;
	int status; /* of the last try, the library's */
	uint64_t serial;
	usec_t backoff;
	char host[];
};

struct dns {
	struct loop *loop;            /* borrowed */
	struct dns_channel *channel;  /* owned */
	struct table names, services; /* host -> struct dns_name, owned */
	struct rng rng;
	usec_t pause_max;  /* between two tries of a name that fails */
	usec_t pause_none; /* ... of one that there is not, where that is another; else 0 */
	bool tells_all;
	dns_changed_fn changed;
	void *arg; /* borrowed */
};

static void ask(struct dns_name *name);

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct address *)a)->text, ((const struct address *)b)->text);
}

static usec_t clamp(usec_t value, usec_t low, usec_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* The addresses of an answer without doubles, sorted; *ttl: the shortest time one may be kept. */
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

/* What an answer brought; moves to the name that it is of. */
struct found {
	struct address *list;
	struct dns_target *targets;
	size_t n;
	usec_t ttl;
};

static bool is_same(const struct dns_name *name, const struct found *found)
{
	if (name->n != found->n)
		return false;
	for (size_t i = 0; i < found->n; i++) {
		if (!name->is_service && by_text(&name->list[i], &found->list[i]) != 0)
			return false;
		if (name->is_service &&
		    memcmp(&name->targets[i], &found->targets[i], sizeof *found->targets) != 0)
			return false;
	}
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

static void tell(const struct dns *dns, bool is_new)
{
	if (is_new || dns->tells_all)
		dns->changed(dns->arg);
}

static void take_answer(struct dns_name *name, const struct found *found)
{
	bool is_new = !name->is_known || name->is_stale || !is_same(name, found);

	free(name->list);
	free(name->targets);
	name->list = found->list;
	name->targets = found->targets;
	name->n = found->n;
	name->serial++;
	name->is_known = true;
	name->is_stale = false;
	name->status = ARES_SUCCESS;
	name->backoff = 0;
	ask_after(name, clamp(found->ttl, DNS_TTL_MIN, DNS_TTL_MAX));
	tell(name->dns, is_new);
}

static bool says_none(const struct dns_name *name)
{
	return name->status == ARES_ENOTFOUND || name->status == ARES_ENODATA;
}

/* Keeps what is known, and waits longer each time; the jitter keeps many sidecars apart. */
static void take_failure(struct dns_name *name, int status)
{
	usec_t wait = clamp(name->backoff * 2, DNS_BACKOFF_MIN, name->dns->pause_max);
	bool is_new;

	name->serial++;
	name->status = status;
	is_new = (name->n && !name->is_stale) || (says_none(name) && !name->is_known);
	name->backoff = wait;
	name->is_known = name->is_known || says_none(name);
	name->is_stale = name->n > 0;
	if (is_new || wait == DNS_BACKOFF_MAX)
		log_warn("dns", "a name cannot be resolved", "host=%s error=\"%s\" kept=%zu",
		    name->host, ares_strerror(status), name->n);
	if (says_none(name) && name->dns->pause_none)
		wait = name->dns->pause_none;
	ask_after(name, wait / 2 + rng_below(&name->dns->rng, wait / 2 + 1));
	tell(name->dns, is_new);
}

static void name_free(struct dns_name *name)
{
	wheel_clear(&name->again);
	free(name->list);
	free(name->targets);
	free(name);
}

/* False when there is no answer to look at: @status was an end, or nobody wants to know. */
static bool is_wanted_answer(struct dns_name *name, int status)
{
	name->is_asked = false;
	if (name->dns == NULL) {
		name_free(name);
		return false;
	}
	if (status != ARES_EDESTRUCTION && status != ARES_ECANCELLED)
		return true;
	ask_after(name, 0); /* the servers have changed under it */
	return false;
}

static void addresses_came(void *arg, int status, int timeouts, struct ares_addrinfo *answer)
{
	struct dns_name *name = arg;
	struct found found = {0};

	(void)timeouts;
	if (!is_wanted_answer(name, status)) {
		/* nothing of it is used */
	} else if (status == ARES_SUCCESS && answer && answer->nodes) {
		found.list = collect(answer, &found.n, &found.ttl);
		take_answer(name, &found);
	} else {
		take_failure(name, status == ARES_SUCCESS ? ARES_ENODATA : status);
	}
	if (answer)
		ares_freeaddrinfo(answer);
}

static void targets_came(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
	struct dns_name *name = arg;
	struct found found = {0};

	(void)timeouts;
	if (!is_wanted_answer(name, status))
		return;
	if (status != ARES_SUCCESS) {
		take_failure(name, status);
		return;
	}
	if (dns_srv_read(slice_of(reply, (size_t)len), &found.targets, &found.n, &found.ttl) < 0) {
		take_failure(name, ARES_EBADRESP);
		return;
	}
	if (found.n) {
		take_answer(name, &found);
		return;
	}
	free(found.targets);
	take_failure(name, ARES_ENODATA);
}

static void ask(struct dns_name *name)
{
	const struct ares_addrinfo_hints hints = {
	    .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_flags = ARES_AI_NOSORT,
	};
	struct dns *dns = name->dns;
	ares_channel channel = dns_channel_of(dns->channel);

	if (name->is_asked)
		return;
	name->is_asked = true;
	/* May answer at once, from the hosts file. */
	if (name->is_service)
		ares_search(channel, name->host, CLASS_IN, TYPE_SRV, targets_came, name);
	else
		ares_getaddrinfo(channel, name->host, NULL, &hints, addresses_came, name);
	dns_channel_kick(dns->channel);
}

struct dns *dns_new(
    struct loop *loop, uint64_t seed, dns_changed_fn changed, void *arg, struct err *err)
{
	static const struct config_list system_servers;
	struct dns *dns = mem_calloc(1, sizeof *dns);

	dns->loop = loop;
	dns->changed = changed;
	dns->arg = arg;
	dns->pause_max = DNS_BACKOFF_MAX;
	rng_init(&dns->rng, seed);
	table_init(&dns->names, seed);
	table_init(&dns->services, seed);
	dns->channel = dns_channel_new(loop, &system_servers, err);
	if (dns->channel)
		return dns;
	free(dns);
	return NULL;
}

void dns_set_pace(struct dns *dns, usec_t pause_max, usec_t pause_none)
{
	dns->pause_max = pause_max;
	dns->pause_none = pause_none;
	dns->tells_all = true;
}

/* Its query, if there is one, still holds it. */
static void name_forget(struct table *names, struct dns_name *name)
{
	table_remove(names, slice_str(name->host));
	wheel_clear(&name->again);
	name->dns = NULL;
	if (!name->is_asked)
		name_free(name);
}

/* Forgets what is not wanted any more. A table must not change while it is walked, so from the
 * start after each. */
static void forget_unwanted(struct table *names)
{
	struct dns_name *name;
	size_t at = 0;

	while ((name = table_next(names, &at))) {
		if (name->is_wanted)
			continue;
		name_forget(names, name);
		at = 0;
	}
}

static void want_none(struct table *names)
{
	struct dns_name *name;
	size_t at = 0;

	while ((name = table_next(names, &at)))
		name->is_wanted = false;
}

void dns_free(struct dns **pdns)
{
	struct dns *dns = *pdns;

	if (dns == NULL)
		return;
	*pdns = NULL;
	want_none(&dns->names);
	want_none(&dns->services);
	forget_unwanted(&dns->names);
	forget_unwanted(&dns->services);
	dns_channel_free(&dns->channel); /* calls back for what is asked, which frees the names */
	table_fini(&dns->names);
	table_fini(&dns->services);
	free(dns);
}

static void ask_all_anew(struct table *names)
{
	struct dns_name *name;
	size_t at = 0;

	while ((name = table_next(names, &at)))
		ask_after(name, 0);
}

int dns_set_servers(struct dns *dns, const struct config_list *servers, struct err *err)
{
	struct dns_channel *old = dns->channel, *fresh = dns_channel_new(dns->loop, servers, err);

	if (fresh == NULL)
		return -1;
	dns->channel = fresh;
	dns_channel_free(&old);
	ask_all_anew(&dns->names);
	ask_all_anew(&dns->services);
	return 0;
}

static struct dns_name *name_new(
    struct dns *dns, struct table *names, struct slice host, bool is_service)
{
	struct dns_name *name = mem_calloc(1, sizeof *name + host.len + 1);

	name->dns = dns;
	name->is_service = is_service;
	memcpy(name->host, host.data, host.len);
	table_put(names, slice_str(name->host), name);
	return name;
}

static void follow(
    struct dns *dns, struct table *names, const struct slice *hosts, size_t n, bool is_service)
{
	want_none(names);
	for (size_t i = 0; i < n; i++) {
		struct dns_name *name = table_get(names, hosts[i]);
		bool is_new = name == NULL;

		if (is_new)
			name = name_new(dns, names, hosts[i], is_service);
		name->is_wanted = true;
		if (is_new)
			ask(name);
	}
	forget_unwanted(names);
}

void dns_follow(struct dns *dns, const struct slice *hosts, size_t n)
{
	follow(dns, &dns->names, hosts, n, false);
}

void dns_follow_services(struct dns *dns, const struct slice *names, size_t n)
{
	follow(dns, &dns->services, names, n, true);
}

static struct dns_answer answer_of(const struct dns_name *name)
{
	if (name == NULL)
		return (struct dns_answer){.error = ""};
	return (struct dns_answer){
	    .list = name->list,
	    .targets = name->targets,
	    .n = name->n,
	    .serial = name->serial,
	    .is_known = name->is_known,
	    .is_stale = name->is_stale,
	    .says_none = says_none(name),
	    .error = name->status == ARES_SUCCESS ? "" : ares_strerror(name->status),
	};
}

struct dns_answer dns_answer(const struct dns *dns, struct slice host)
{
	return answer_of(table_get(&dns->names, host));
}

struct dns_answer dns_service(const struct dns *dns, struct slice name)
{
	return answer_of(table_get(&dns->services, name));
}

const char *dns_library_version(void)
{
	return ares_version(NULL);
}
