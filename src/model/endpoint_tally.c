/*
 * What happens to the endpoints of a service while calls go on: rows of failures, ejection, health.
 * The lock of the service is taken only when an endpoint is about to be ejected, when its health
 * changes and when a snapshot brings another set. Atomics are relaxed throughout: each stands for
 * itself, and those that belong together are only written under the lock.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/tally.h"
#include "model/tally_head.h"

static bool is_down(const struct endpoint_tally *e)
{
	return atomic_load_explicit(&e->health, memory_order_relaxed) == HEALTH_DOWN;
}

bool endpoint_tally_is_present(const struct endpoint_tally *e)
{
	return atomic_load_explicit(&e->is_present, memory_order_relaxed);
}

static usec_t back_at(const struct endpoint_tally *e)
{
	return atomic_load_explicit(&e->ejected_until, memory_order_relaxed);
}

/* From here on: under the service's lock, unless it says otherwise. */

struct outs {
	size_t ejected, troubles; /* troubles: ejected or down */
	usec_t first_back;        /* when the first of the ejected is */
};

static struct outs count_outs(const struct service_tally *s, usec_t now)
{
	struct outs outs = {.first_back = USEC_NONE};

	for (size_t i = 0; i < s->n_endpoints; i++) {
		const struct endpoint_tally *e = s->endpoints[i];
		bool ejected = endpoint_tally_is_ejected(e, now);

		outs.ejected += ejected;
		outs.troubles += ejected || is_down(e);
		if (ejected)
			outs.first_back = usec_min(outs.first_back, back_at(e));
	}
	return outs;
}

static void note_troubles(struct service_tally *s, size_t n)
{
	atomic_store_explicit(&s->troubles, (unsigned)n, memory_order_relaxed);
}

void service_tally_look(struct service_tally *s, usec_t now)
{
	if (atomic_load_explicit(&s->troubles, memory_order_relaxed) == 0)
		return;
	pthread_mutex_lock(&s->lock);
	note_troubles(s, count_outs(s, now).troubles);
	pthread_mutex_unlock(&s->lock);
}

static bool is_back_sooner(const struct endpoint_tally *a, const struct endpoint_tally *b)
{
	return b == NULL || back_at(a) < back_at(b);
}

/* Takes one back of those that are ejected or were: the one whose time ends first. */
static void take_one_back(struct service_tally *s)
{
	struct endpoint_tally *first = NULL;

	for (size_t i = 0; i < s->n_endpoints; i++)
		if (back_at(s->endpoints[i]) && is_back_sooner(s->endpoints[i], first))
			first = s->endpoints[i];
	if (first)
		atomic_store_explicit(&first->ejected_until, 0, memory_order_relaxed);
}

static size_t count_marked(const struct service_tally *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_endpoints; i++)
		n += back_at(s->endpoints[i]) != 0;
	return n;
}

/* The troubles where no time is known: an ejection that is over counts until the next look. */
static size_t count_marked_or_down(const struct service_tally *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_endpoints; i++)
		n += back_at(s->endpoints[i]) != 0 || is_down(s->endpoints[i]);
	return n;
}

static void note_present(struct endpoint_tally *e, bool is_present)
{
	atomic_store_explicit(&e->is_present, is_present, memory_order_relaxed);
}

void service_tally_present(struct service_tally *s, struct endpoint_tally *const *list, size_t n)
{
	size_t cap;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_endpoints; i++)
		note_present(s->endpoints[i], false);
	free(s->endpoints);
	s->endpoints = n ? mem_alloc(n * sizeof(struct endpoint_tally *)) : NULL;
	s->n_endpoints = n;
	for (size_t i = 0; i < n; i++) {
		s->endpoints[i] = list[i];
		note_present(list[i], true);
	}
	s->had_endpoints |= n > 0;
	cap = eject_cap(&s->ejected_by, n);
	for (size_t marked = count_marked(s); marked > cap; marked--)
		take_one_back(s);
	atomic_store_explicit(&s->full_until, 0, memory_order_relaxed); /* it may be another cap */
	note_troubles(s, count_marked_or_down(s));
	pthread_mutex_unlock(&s->lock);
}

/* The cap is reached and holds until somebody is back: until then nobody need take the lock. */
static void note_full(struct service_tally *s, const struct eject_policy *p, usec_t until)
{
	atomic_store_explicit(&s->full_share, p->at_most, memory_order_relaxed);
	atomic_store_explicit(&s->full_until, until, memory_order_relaxed);
}

/* Ejects if the cap leaves room. */
static bool eject(struct endpoint_tally *e, const struct eject_policy *p, usec_t now)
{
	struct service_tally *s = e->service;
	struct outs outs = count_outs(s, now);

	if (outs.ejected >= eject_cap(p, s->n_endpoints)) {
		note_full(s, p, outs.first_back); /* none out, and none may be: for good */
		return false;
	}
	s->ejected_by = *p;
	s->ejected_by.biz = (struct code_list){NULL, 0}; /* its configuration may go */
	atomic_store_explicit(&e->ejected_until, usec_after(now, p->time), memory_order_relaxed);
	atomic_store_explicit(&e->failures, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&e->ejections, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&s->ejections, 1, memory_order_relaxed);
	note_troubles(s, outs.troubles + !is_down(e));
	return true;
}

/* From here on: any thread, without the lock. */

static bool is_full(const struct service_tally *s, const struct eject_policy *p, usec_t now)
{
	return now < atomic_load_explicit(&s->full_until, memory_order_relaxed) &&
	       p->at_most <= atomic_load_explicit(&s->full_share, memory_order_relaxed);
}

void endpoint_tally_good(struct endpoint_tally *e)
{
	/* Read first: of the many good ends hardly one changes anything. */
	if (atomic_load_explicit(&e->failures, memory_order_relaxed))
		atomic_store_explicit(&e->failures, 0, memory_order_relaxed);
}

bool endpoint_tally_bad(struct endpoint_tally *e, const struct eject_policy *p, usec_t now)
{
	bool ejected = false;

	/* Calls that were on their way when it was ejected say nothing new. */
	if (p->on == 0 || endpoint_tally_is_ejected(e, now))
		return false;
	if (atomic_fetch_add_explicit(&e->failures, 1, memory_order_relaxed) + 1 < p->consecutive ||
	    is_full(e->service, p, now))
		return false;
	pthread_mutex_lock(&e->service->lock);
	/* Many may come here at once, and something good may have come between. */
	if (endpoint_tally_is_present(e) && !endpoint_tally_is_ejected(e, now) &&
	    atomic_load_explicit(&e->failures, memory_order_relaxed) >= p->consecutive)
		ejected = eject(e, p, now);
	pthread_mutex_unlock(&e->service->lock);
	return ejected;
}

bool endpoint_tally_set_health(struct endpoint_tally *e, enum health health)
{
	struct service_tally *s = e->service;
	bool was_down, is_another;

	pthread_mutex_lock(&s->lock);
	was_down = is_down(e);
	is_another =
	    atomic_exchange_explicit(&e->health, (int)health, memory_order_relaxed) != (int)health;
	if (endpoint_tally_is_present(e) && was_down != is_down(e))
		note_troubles(s, count_marked_or_down(s));
	pthread_mutex_unlock(&s->lock);
	return is_another;
}
