#include "proxy/introduction.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "proxy/access.h"
#include "proxy/call.h"
#include "proxy/downstream.h"
#include "proxy/upstream.h"
#include "proxy/world.h"

/* Names have at most 200 bytes; that of a service may end with a number, of which there is more than
 * enough then. */
#define FACTS_MAX     1024
#define SERVICE_MAX   512
#define NUMBER_DIGITS 24

struct introduction *introduction_ref(struct introduction *i)
{
	i->refs++;
	return i;
}

void introduction_unref(struct introduction **p)
{
	struct introduction *i = *p;

	*p = NULL;
	if (--i->refs == 0)
		free(i);
}

/* ---- making ---- */

static const struct address unnamed = {
    .kind = ADDRESS_UNIX, .sa.ss_family = AF_UNIX, .len = sizeof(sa_family_t)};

/* A connection that was reset has no other side any more, as far as the kernel is concerned. */
static struct address address_of_caller(const struct downstream *d)
{
	const struct sockaddr *sa = address_source_get(&d->from);
	struct address from = unnamed;

	if (sa)
		address_from_sockaddr(
		    &from, sa, sa->sa_family == AF_INET ? sizeof d->from.v4 : sizeof d->from.v6);
	else if (!conn_peer_address(d->conn, &from))
		from = unnamed;
	return from;
}

static void write_number(struct writer *w, enum proxy_v2_type type, uint64_t number)
{
	char digits[NUMBER_DIGITS];

	snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
	proxy_v2_write_value(w, type, slice_str(digits));
}

/* A caller that is as each call states it is no fact of the connection. */
static enum proxy_v2_family write_facts(
    struct writer *w, const struct downstream *d, const struct config *config, const char *id)
{
	struct address from = address_of_caller(d), to = unnamed;
	struct conn_identity who;
	enum proxy_v2_family family;
	struct slice caller;
	bool is_known;

	conn_address(d->conn, &to);
	family = proxy_v2_write_addresses(w, &from, &to);
	proxy_v2_write_value(w, PROXY_V2_UNIQUE_ID, slice_str(id));
	caller = access_caller(d, config, SLICE_NONE, &is_known);
	if (is_known && caller.len)
		proxy_v2_write_value(w, PROXY_V2_CALLER, caller);
	proxy_v2_write_value(w, PROXY_V2_LISTENER, slice_str(d->listener->name));
	if (conn_identity(d->conn, &who)) {
		write_number(w, PROXY_V2_UID, who.uid);
		write_number(w, PROXY_V2_PID, (uint64_t)who.pid);
	}
	return family;
}

static struct introduction *make(
    const struct downstream *d, const struct config *config, const char *id)
{
	uint8_t room[FACTS_MAX];
	struct writer w = writer_of(room, sizeof room);
	enum proxy_v2_family family = write_facts(&w, d, config, id);
	struct introduction *i;

	assert(!w.bad);
	i = mem_calloc(1, sizeof *i + writer_len(&w));
	i->refs = 1;
	list_init(&i->connections);
	snprintf(i->id, sizeof i->id, "%s", id);
	i->family = family;
	i->len = writer_len(&w);
	memcpy(i->bytes, room, i->len);
	return i;
}

static void make_first(struct downstream *d, const struct config *config)
{
	char id[sizeof d->introduction->id];

	snprintf(id, sizeof id, "%016llx", (unsigned long long)rng_next(&d->worker->rng));
	d->introduction = make(d, config, id);
	log_debug("downstream", "introduced", "listener=%s source=%s id=%s", d->listener->name,
	    d->source, id);
}

struct introduction *introduction_of(struct call *call)
{
	struct downstream *d = call->downstream;

	if (call->introduction || d == NULL)
		return call->introduction;
	if (d->introduction == NULL)
		make_first(d, call->world->snapshot->config);
	return d->introduction;
}

void introduction_keep(struct call *call, struct call *like)
{
	struct introduction *i = introduction_of(like);

	if (call->introduction == NULL && i)
		call->introduction = introduction_ref(i);
}

void introduction_follow(struct downstream *d, const struct config *config)
{
	struct introduction *now, *before = d->introduction;

	if (before == NULL)
		return;
	now = make(d, config, before->id);
	if (slice_eq(slice_of(now->bytes, now->len), slice_of(before->bytes, before->len))) {
		introduction_unref(&now);
		return;
	}
	introduction_end(&d->introduction);
	d->introduction = now;
}

/* ---- connections ---- */

void introduction_end(struct introduction **p)
{
	struct introduction *i = *p;

	if (i == NULL)
		return;
	i->is_over = true;
	list_each_safe (link, &i->connections) {
		struct upstream *u = list_item(link, struct upstream, introduced);

		if (!upstream_is_in_use(u))
			upstream_close(u);
	}
	introduction_unref(p);
}

struct upstream *introduction_idle(const struct introduction *i, const struct backend *b)
{
	if (i == NULL)
		return NULL;
	list_each (link, &i->connections) {
		struct upstream *u = list_item(link, struct upstream, introduced);

		if (u->state != UPSTREAM_IDLE)
			break;
		if (u->backend == b)
			return u;
	}
	return NULL;
}

int introduction_write(
    const struct introduction *i, struct slice service, struct conn *conn, int *error)
{
	uint8_t start_room[PROXY_V2_START], service_room[SERVICE_MAX + 3];
	struct writer start = writer_of(start_room, sizeof start_room);
	struct writer value = writer_of(service_room, sizeof service_room);
	struct slice pieces[3];

	if (i == NULL) {
		proxy_v2_write_start(&start, PROXY_V2_LOCAL, PROXY_V2_UNSPEC, 0);
		pieces[0] = writer_slice(&start);
		return conn_write(conn, pieces, 1, error);
	}
	proxy_v2_write_value(&value, PROXY_V2_AUTHORITY, slice_first(service, SERVICE_MAX));
	pieces[1] = slice_of(i->bytes, i->len);
	pieces[2] = writer_slice(&value);
	proxy_v2_write_start(
	    &start, PROXY_V2_PROXY, i->family, (uint16_t)(pieces[1].len + pieces[2].len));
	pieces[0] = writer_slice(&start);
	return conn_write(conn, pieces, 3, error);
}
