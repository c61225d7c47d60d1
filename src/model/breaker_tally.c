/*
 * The breakers under one name: one, or one for each method. Callers choose the names of methods, so
 * there is room for so many only: a new one takes the place of the one in its set that nobody has
 * called for the longest. None is ever freed before its tally: who holds one whose place was taken
 * counts for the wrong method once, no more.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "model/tally.h"
#include "model/tally_head.h"

#define SETS 512u /* a power of two */
#define WAYS 8u
/* How often it is looked whether another thread has put its new method into the set. */
#define PATIENCE 1000u

struct method_breaker {
	struct breaker breaker;
	_Atomic uint64_t hash; /* of the method's name: whose it is */
	_Atomic usec_t used;   /* when last */
};

typedef _Atomic(struct method_breaker *) method_slot;

struct methods {
	method_slot slots[SETS * WAYS]; /* owned; of a set the first are taken first */
	atomic_bool changing[SETS];     /* somebody puts a method into the set */
};

struct breaker_tally {
	struct tally_head head;
	struct breaker breaker;            /* of all */
	_Atomic(struct methods *) methods; /* owned; NULL until a method needs it */
};

struct tally_head *breaker_tally_new(void)
{
	struct breaker_tally *t = mem_calloc(1, sizeof *t);

	return &t->head;
}

static struct breaker_tally *of_head(struct tally_head *head)
{
	return container_of(head, struct breaker_tally, head);
}

void breaker_tally_free(struct tally_head *head)
{
	struct breaker_tally *t = of_head(head);
	struct methods *methods = atomic_load_explicit(&t->methods, memory_order_acquire);

	for (size_t i = 0; methods && i < SETS * WAYS; i++)
		free(atomic_load_explicit(&methods->slots[i], memory_order_acquire));
	free(methods);
	free(t->head.name);
	free(t);
}

void breaker_tally_unref(struct breaker_tally **tally)
{
	if (*tally && ref_drop(&(*tally)->head.ref))
		breaker_tally_free(&(*tally)->head);
	*tally = NULL;
}

/* The table, made by whoever comes first. Acquire and release: its contents are seen with it. */
static struct methods *methods_of(struct breaker_tally *t)
{
	struct methods *methods = atomic_load_explicit(&t->methods, memory_order_acquire), *fresh;

	if (methods)
		return methods;
	fresh = mem_calloc(1, sizeof *fresh);
	if (atomic_compare_exchange_strong_explicit(
		&t->methods, &methods, fresh, memory_order_acq_rel, memory_order_acquire))
		return fresh;
	free(fresh);
	return methods;
}

static struct method_breaker *find(method_slot *set, uint64_t hash)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct method_breaker *m = atomic_load_explicit(&set[i], memory_order_acquire);

		if (m == NULL)
			return NULL;
		if (atomic_load_explicit(&m->hash, memory_order_acquire) == hash)
			return m;
	}
	return NULL;
}

static usec_t used_at(const struct method_breaker *m)
{
	return atomic_load_explicit(&m->used, memory_order_relaxed);
}

/* One thread at a time puts a method into a set, so nobody else has put this one there
 * meanwhile. */
static struct method_breaker *put(method_slot *set, uint64_t hash)
{
	struct method_breaker *oldest = NULL, *m;

	for (unsigned i = 0; i < WAYS; i++) {
		m = atomic_load_explicit(&set[i], memory_order_acquire);
		if (m == NULL) {
			m = mem_calloc(1, sizeof *m);
			atomic_store_explicit(&m->hash, hash, memory_order_relaxed);
			atomic_store_explicit(&set[i], m, memory_order_release);
			return m;
		}
		if (oldest == NULL || used_at(m) < used_at(oldest))
			oldest = m;
	}
	breaker_forget(&oldest->breaker);
	atomic_store_explicit(&oldest->hash, hash, memory_order_release);
	return oldest;
}

static struct method_breaker *find_or_put(struct methods *methods, uint64_t hash)
{
	method_slot *set = &methods->slots[hash % SETS * WAYS];
	atomic_bool *changing = &methods->changing[hash % SETS];
	struct method_breaker *m;

	for (unsigned i = 0; i < PATIENCE; i++) {
		m = find(set, hash);
		if (m)
			return m;
		if (atomic_exchange_explicit(changing, true, memory_order_acquire))
			continue;
		m = find(set, hash);
		if (m == NULL)
			m = put(set, hash);
		atomic_store_explicit(changing, false, memory_order_release);
		return m;
	}
	return NULL;
}

struct breaker *breaker_tally_find(struct breaker_tally *tally, const struct breaker_config *config,
    struct slice method, usec_t now)
{
	struct method_breaker *m;

	if (config->policy.by == BREAKER_BY_SERVICE)
		return &tally->breaker;
	m = find_or_put(methods_of(tally), slice_hash(method, (uintptr_t)tally));
	if (m == NULL)
		return &tally->breaker;
	/* A millisecond is near enough, and spares a busy method most of the stores. */
	if (now > used_at(m) + USEC_MS)
		atomic_store_explicit(&m->used, now, memory_order_relaxed);
	return &m->breaker;
}

static enum breaker_state worse(enum breaker_state a, enum breaker_state b)
{
	if (a == BREAKER_OPEN || b == BREAKER_OPEN)
		return BREAKER_OPEN;
	return a == BREAKER_HALF_OPEN ? a : b;
}

enum breaker_state breaker_tally_state(
    const struct breaker_tally *tally, const struct breaker_config *config, usec_t now)
{
	enum breaker_state state = breaker_state_of(&tally->breaker, &config->policy, now);
	struct methods *methods = atomic_load_explicit(&tally->methods, memory_order_acquire);

	if (config->policy.by == BREAKER_BY_SERVICE)
		return state;
	for (size_t i = 0; methods && i < SETS * WAYS; i++) {
		struct method_breaker *m =
		    atomic_load_explicit(&methods->slots[i], memory_order_acquire);

		if (m)
			state = worse(state, breaker_state_of(&m->breaker, &config->policy, now));
	}
	return state;
}
