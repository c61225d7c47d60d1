/*
 * Which of the connections that are open already a call can have: one that rests, one that others
 * share, or the one of oneways. What became of the choice is upstream.c's business.
 */
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/introduction.h"
#include "proxy/slots.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#define PEEK_AFTER                                                                                 \
	(10 * USEC_MS) /* a pooled connection idle for longer is looked at before reuse */
#define SHARED_MAX   2u
#define SHARED_CALLS 256u /* on one shared connection before a second is opened */
#define MULTIPLEXED_MAX                                                                            \
	64u /* connections of a multiplexing family to one endpoint: more calls wait their turn */

void upstream_stand_in_line(struct upstream *u)
{
	struct list *all;

	if (u->introduction == NULL)
		return;
	all = &u->introduction->connections;
	list_remove(&u->introduced);
	list_insert(u->state == UPSTREAM_IDLE ? all->next : all, &u->introduced);
}

struct upstream *upstream_first_idle(struct backend *b, const struct introduction *introduction)
{
	if (b->introduced_as)
		return introduction_idle(introduction, b);
	return list_is_empty(&b->idle) ? NULL : list_item(b->idle.next, struct upstream, link);
}

/* The most recently used idle connection on which nothing has happened since. */
static struct upstream *take_idle(struct backend *b, const struct introduction *introduction)
{
	usec_t now = loop_now(b->worker->loop);
	struct upstream *u;

	while ((u = upstream_first_idle(b, introduction))) {
		if (now - u->idle_since < PEEK_AFTER || conn_is_quiet(u->conn)) {
			counter_sub(&b->n_idle, 1);
			wheel_clear(&u->timer);
			upstream_enter(u);
			upstream_stand_in_line(u);
			if (counter_get(&b->n_idle) < b->warm)
				loop_defer(b->worker->loop, &b->supply);
			return u;
		}
		upstream_close(u);
	}
	return NULL;
}

static struct upstream *find_shared(struct backend *b)
{
	struct upstream *best = NULL;
	unsigned open = 0, fewest = 0;

	list_each (link, &b->shared) {
		struct upstream *u = list_item(link, struct upstream, link);
		unsigned calls = u->slots ? slots_waiting(u->slots) : 0;

		if (u->use != UPSTREAM_FOR_MANY)
			continue;
		open++;
		if (!u->takes_no_more && (best == NULL || calls < fewest)) {
			best = u;
			fewest = calls;
		}
	}
	return best && fewest >= SHARED_CALLS && open < SHARED_MAX ? NULL : best;
}

bool upstream_has_room(const struct upstream *u)
{
	return !upstream_is_multiplexed(u) || (!u->takes_no_more && codec_capacity(u->codec) > 0);
}

/* One on which a call can begin, or could once it is connected. *@is_enough: no more are to be
 * opened. */
static struct upstream *find_multiplexed(struct backend *b, enum upstream_use use, bool *is_enough)
{
	unsigned open = 0;

	list_each (link, &b->shared) {
		struct upstream *u = list_item(link, struct upstream, link);

		if (u->use != use || u->takes_no_more)
			continue;
		if (u->state == UPSTREAM_CONNECTING || upstream_has_room(u))
			return u;
		open++;
	}
	*is_enough = open >= MULTIPLEXED_MAX;
	return NULL;
}

/* Oneways are on it, or wait to be. */
static bool is_busy(const struct upstream *u)
{
	return u->state == UPSTREAM_CONNECTING || !list_is_empty(&u->waiting) ||
	       !list_is_empty(&u->leaving);
}

/* A oneway follows another, but not into the middle of a long one. A long one takes the connection
 * along when it is cut off, so it gets one on which nothing else is left. */
static struct upstream *find_oneway(
    struct backend *b, bool is_long, const struct introduction *introduction)
{
	list_each (link, &b->oneways) {
		struct upstream *u = list_item(link, struct upstream, link);

		if (u->attempt == NULL && !u->takes_no_more && u->introduction == introduction &&
		    !(is_long && is_busy(u)))
			return u;
	}
	return NULL;
}

struct upstream *upstream_find(struct backend *b, enum upstream_use use,
    const struct introduction *introduction, bool *is_enough)
{
	*is_enough = false;
	switch (use) {
	case UPSTREAM_FOR_CALL:
		return take_idle(b, introduction);
	case UPSTREAM_FOR_MANY:
		return find_shared(b);
	case UPSTREAM_FOR_ONEWAY:
	case UPSTREAM_FOR_LONG_ONEWAY:
		return find_oneway(b, use == UPSTREAM_FOR_LONG_ONEWAY, introduction);
	case UPSTREAM_FOR_HTTP2:
	case UPSTREAM_FOR_TTSTREAM:
		return find_multiplexed(b, use, is_enough);
	}
	return NULL;
}
