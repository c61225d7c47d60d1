#include "model/tally.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/table.h"
#include "model/tally_head.h"

#define FORGET_AFTER (10 * USEC_MIN)

/* A service with what the table knows beside it. */
struct service_entry {
	struct service_tally tally;
	/* address -> endpoint tally, one reference each; empty before the last reference of the
	 * service goes, because each endpoint holds one. */
	struct table endpoints;
};

struct tallies {
	struct table services, limits, breakers; /* one reference each */
};

const char *health_name(enum health health)
{
	static const char *const names[] = {
	    [HEALTH_UNKNOWN] = "unknown", [HEALTH_UP] = "up", [HEALTH_DOWN] = "down"};

	return names[health];
}

struct tallies *tallies_new(void)
{
	struct tallies *t = mem_calloc(1, sizeof *t);

	/* Where it lies is different in each process, which is all that a table's seed is for. */
	table_init(&t->services, (uintptr_t)t);
	table_init(&t->limits, (uintptr_t)t);
	table_init(&t->breakers, (uintptr_t)t);
	return t;
}

static struct service_entry *entry_of(struct service_tally *service)
{
	return container_of(service, struct service_entry, tally);
}

struct service_tally *tallies_service(struct tallies *tallies, struct slice label)
{
	struct service_tally *s = table_get(&tallies->services, label);
	struct service_entry *entry;

	if (s == NULL) {
		entry = mem_calloc(1, sizeof *entry);
		s = &entry->tally;
		ref_init(&s->ref);
		s->label = slice_dup(label);
		pthread_mutex_init(&s->lock, NULL);
		table_init(&entry->endpoints, (uintptr_t)entry);
		table_put(&tallies->services, slice_str(s->label), s);
	}
	s->absent_since = USEC_NONE;
	ref_take(&s->ref);
	return s;
}

void service_tally_unref(struct service_tally **tally)
{
	struct service_tally *s = *tally;

	*tally = NULL;
	if (s == NULL || !ref_drop(&s->ref))
		return;
	table_fini(&entry_of(s)->endpoints);
	pthread_mutex_destroy(&s->lock);
	free(s->endpoints);
	free(s->label);
	free(entry_of(s));
}

static struct endpoint_tally *endpoint_new(struct service_tally *service, struct slice address)
{
	struct endpoint_tally *e = mem_calloc(1, sizeof *e);

	ref_init(&e->ref);
	ref_take(&service->ref);
	e->service = service;
	e->address = slice_dup(address);
	return e;
}

struct endpoint_tally *tallies_endpoint(
    struct tallies *tallies, struct service_tally *service, struct slice address, usec_t now)
{
	struct service_entry *entry = entry_of(service);
	struct endpoint_tally *e = table_get(&entry->endpoints, address);

	(void)tallies; /* the service has the table of its endpoints */
	if (e == NULL) {
		e = endpoint_new(service, address);
		table_put(&entry->endpoints, slice_str(e->address), e);
	}
	/* Only this thread writes is_present, so it may read it without the lock. */
	if (!e->is_present)
		atomic_store_explicit(
		    &e->since, service->had_endpoints ? now : 0, memory_order_relaxed);
	e->absent_since = USEC_NONE;
	ref_take(&e->ref);
	return e;
}

struct endpoint_tally *endpoint_tally_ref(struct endpoint_tally *tally)
{
	ref_take(&tally->ref);
	return tally;
}

void endpoint_tally_unref(struct endpoint_tally **tally)
{
	struct endpoint_tally *e = *tally;

	*tally = NULL;
	if (e == NULL || !ref_drop(&e->ref))
		return;
	service_tally_unref(&e->service);
	free(e->address);
	free(e);
}

static struct tally_head *head_named(
    struct table *table, struct slice name, struct tally_head *(*make)(void))
{
	struct tally_head *head = table_get(table, name);

	if (head == NULL) {
		head = make();
		ref_init(&head->ref);
		head->name = slice_dup(name);
		table_put(table, slice_str(head->name), head);
	}
	head->absent_since = USEC_NONE;
	ref_take(&head->ref);
	return head;
}

struct limit_tally *tallies_limit(
    struct tallies *tallies, struct slice name, const struct limit_config *config)
{
	/* The head is the first member. */
	struct limit_tally *t = (void *)head_named(&tallies->limits, name, limit_tally_new);

	limit_tally_prepare(t, config);
	return t;
}

struct breaker_tally *tallies_breaker(struct tallies *tallies, struct slice name)
{
	return (void *)head_named(&tallies->breakers, name, breaker_tally_new);
}

/* Has nobody but the table held it for long enough? New references come from the table alone, on
 * this thread, so a count seen as @own does not go up behind our back. */
static bool is_forgotten(struct ref *ref, unsigned own, usec_t *absent_since, usec_t now)
{
	if (atomic_load_explicit(&ref->count, memory_order_acquire) > own) {
		*absent_since = USEC_NONE;
		return false;
	}
	if (*absent_since == USEC_NONE)
		*absent_since = now;
	return now >= *absent_since && now - *absent_since >= FORGET_AFTER;
}

/* Takes out what is forgotten, or all at USEC_NONE. What follows a removed entry in the table
 * may have moved into its place, so that is looked at again. */
static void sweep_endpoints(struct table *endpoints, usec_t now)
{
	struct endpoint_tally *e;

	for (size_t at = 0; (e = table_next(endpoints, &at)) != NULL;) {
		if (now != USEC_NONE && !is_forgotten(&e->ref, 1, &e->absent_since, now))
			continue;
		/* The newest snapshot would hold it if it had it: so that has not even the
		 * service. */
		if (e->is_present)
			service_tally_present(e->service, NULL, 0);
		table_remove(endpoints, slice_str(e->address));
		endpoint_tally_unref(&e);
		at--;
	}
}

static void sweep_services(struct table *services, usec_t now)
{
	struct service_tally *s;

	for (size_t at = 0; (s = table_next(services, &at)) != NULL;) {
		sweep_endpoints(&entry_of(s)->endpoints, now);
		service_tally_look(s, now);
		if (now != USEC_NONE && !is_forgotten(&s->ref, 1, &s->absent_since, now))
			continue;
		table_remove(services, slice_str(s->label));
		service_tally_unref(&s);
		at--;
	}
}

static void sweep_heads(struct table *heads, void (*destroy)(struct tally_head *), usec_t now)
{
	struct tally_head *head;

	for (size_t at = 0; (head = table_next(heads, &at)) != NULL;) {
		if (now != USEC_NONE && !is_forgotten(&head->ref, 1, &head->absent_since, now))
			continue;
		table_remove(heads, slice_str(head->name));
		if (ref_drop(&head->ref))
			destroy(head);
		at--;
	}
}

void tallies_sweep(struct tallies *tallies, usec_t now)
{
	sweep_services(&tallies->services, now);
	sweep_heads(&tallies->limits, limit_tally_free, now);
	sweep_heads(&tallies->breakers, breaker_tally_free, now);
}

void tallies_free(struct tallies **tallies)
{
	struct tallies *t = *tallies;

	*tallies = NULL;
	if (t == NULL)
		return;
	tallies_sweep(t, USEC_NONE);
	table_fini(&t->services);
	table_fini(&t->limits);
	table_fini(&t->breakers);
	free(t);
}
