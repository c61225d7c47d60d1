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
#include "rpc/introduction.h"

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

/* A caller that is as each call states it is no fact of the connection. */
static void write_facts(
    struct writer *w, const struct downstream *d, const struct config *config, const char *id)
{
	struct address from = address_of_caller(d), to = unnamed;
	struct rpc_introduction facts = {.from = &from,
	    .to = &to,
	    .id = slice_str(id),
	    .listener = slice_str(d->listener->name)};
	struct conn_identity who;
	struct slice caller;
	bool is_known;

	conn_address(d->conn, &to);
	caller = access_caller(d, config, SLICE_NONE, &is_known);
	if (is_known)
		facts.caller = caller;
	facts.has_process = conn_identity(d->conn, &who);
	if (facts.has_process) {
		facts.uid = who.uid;
		facts.pid = who.pid;
	}
	rpc_introduction_write_facts(w, &facts);
}

static struct introduction *make(
    const struct downstream *d, const struct config *config, const char *id)
{
	uint8_t room[RPC_INTRODUCTION_FACTS_MAX];
	struct writer w = writer_of(room, sizeof room);
	struct introduction *i;

	write_facts(&w, d, config, id);
	assert(!w.bad);
	i = mem_calloc(1, sizeof *i + writer_len(&w));
	i->refs = 1;
	list_init(&i->connections);
	snprintf(i->id, sizeof i->id, "%s", id);
	i->len = writer_len(&w);
	memcpy(i->facts, room, i->len);
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
	struct introduction *i = call->world->introduces ? introduction_of(like) : NULL;

	if (call->introduction == NULL && i)
		call->introduction = introduction_ref(i);
}

void introduction_follow(struct downstream *d, const struct config *config)
{
	struct introduction *now, *before = d->introduction;

	if (before == NULL)
		return;
	now = make(d, config, before->id);
	if (slice_eq(slice_of(now->facts, now->len), slice_of(before->facts, before->len))) {
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
	uint8_t room[RPC_INTRODUCTION_MAX];
	struct writer w = writer_of(room, sizeof room);
	struct slice header;

	rpc_introduction_write(&w, i ? slice_of(i->facts, i->len) : SLICE_NONE, service);
	assert(!w.bad);
	header = writer_slice(&w);
	return conn_write(conn, &header, 1, error);
}
