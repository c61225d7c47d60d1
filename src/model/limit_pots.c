#include "model/limit_pots.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

#define WAYS      8u
#define SETS      (LIMIT_POTS / WAYS)
#define SET_AT    53 /* the upper 11 bits of a hash name the set, the lower 44 the key in it */
#define HOLDS     20 /* bits */
#define HOLDS_MAX ((UINT64_C(1) << HOLDS) - 1)
/* How often it is looked whether another thread has put its new key into the set. That takes it
 * a few dozen instructions, unless it lost its processor in the middle. */
#define PATIENCE 1000u

/* One cache line each, so that callers do not slow each other down. */
struct place {
	_Alignas(64) struct limit_pot pot;
};

struct limit_pots {
	struct place places[LIMIT_POTS];
	struct place shared;        /* of keys that find all of their set held */
	atomic_bool changing[SETS]; /* somebody puts a new key into the set */
	void *memory;               /* owned; the whole, which begins somewhere before */
};

struct limit_pots *limit_pots_new(void)
{
	/* Not aligned_alloc: pages that nobody has touched cost nothing as long as nobody clears
	 * them. */
	size_t align = _Alignof(struct limit_pots);
	char *memory = mem_calloc(1, sizeof(struct limit_pots) + align);
	struct limit_pots *pots = (void *)(memory + (align - (uintptr_t)memory % align));

	pots->memory = memory;
	return pots;
}

void limit_pots_free(struct limit_pots **pots)
{
	if (*pots)
		free((*pots)->memory);
	*pots = NULL;
}

static uint64_t key_of(uint64_t hash)
{
	uint64_t key = hash << HOLDS >> HOLDS;

	return key ? key : 1; /* 0: nobody's */
}

static uint64_t key_in(uint64_t word)
{
	return word >> HOLDS;
}

static uint64_t holds_in(uint64_t word)
{
	return word & HOLDS_MAX;
}

/* One hold more on a state whose word was @word a moment ago; NULL when it is another's by now,
 * or as many hold it as can. Acquire: what its maker wrote is seen. */
static struct limit_pot *hold(struct limit_pot *pot, uint64_t word)
{
	uint64_t key = key_in(word);

	while (key_in(word) == key && holds_in(word) < HOLDS_MAX)
		if (atomic_compare_exchange_weak_explicit(
			&pot->key, &word, word + 1, memory_order_acquire, memory_order_relaxed))
			return pot;
	return NULL;
}

static struct limit_pot *find(struct place *set, uint64_t key)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct limit_pot *pot = &set[i].pot;
		uint64_t word = atomic_load_explicit(&pot->key, memory_order_relaxed);

		if (key_in(word) == key)
			return hold(pot, word);
	}
	return NULL;
}

/* The one that nobody holds and nobody has used for the longest, taken away from its key: it is
 * nobody's, and held. NULL when all are held. */
static struct limit_pot *oldest(struct place *set)
{
	struct limit_pot *found = NULL;
	uint64_t found_word = 0, found_used = UINT64_MAX;

	for (unsigned i = 0; i < WAYS; i++) {
		struct limit_pot *pot = &set[i].pot;
		uint64_t word = atomic_load_explicit(&pot->key, memory_order_relaxed);
		uint64_t used =
		    key_in(word) ? atomic_load_explicit(&pot->used, memory_order_relaxed) : 0;

		if (holds_in(word) || (found && used >= found_used))
			continue;
		found = pot;
		found_word = word;
		found_used = used;
	}
	/* Acquire: the last one that let it go has done with it. */
	if (found && atomic_compare_exchange_strong_explicit(
			 &found->key, &found_word, 1, memory_order_acquire, memory_order_relaxed))
		return found;
	return NULL;
}

static void clear(struct limit_pot *pot)
{
	atomic_store_explicit(&pot->limiter.arrival, 0, memory_order_relaxed);
	atomic_store_explicit(&pot->running, 0, memory_order_relaxed);
	atomic_store_explicit(&pot->queued, 0, memory_order_relaxed);
	atomic_store_explicit(&pot->seen, 0, memory_order_relaxed);
	atomic_store_explicit(&pot->active[0], 0, memory_order_relaxed);
	atomic_store_explicit(&pot->active[1], 0, memory_order_relaxed);
}

/* Only one thread at a time puts a key into a set, or two could put the same one in twice, and
 * each of the two would have the whole limit. */
static struct limit_pot *put(struct place *set, uint64_t key)
{
	struct limit_pot *pot = find(set, key);

	if (pot)
		return pot;
	pot = oldest(set);
	if (pot == NULL)
		return NULL;
	clear(pot);
	atomic_store_explicit(&pot->key, key << HOLDS | 1, memory_order_release);
	return pot;
}

static struct limit_pot *find_or_put(struct limit_pots *pots, uint64_t hash)
{
	size_t number = hash >> SET_AT;
	struct place *set = &pots->places[number * WAYS];
	struct limit_pot *pot;

	for (unsigned i = 0; i < PATIENCE; i++) {
		pot = find(set, key_of(hash));
		if (pot)
			return pot;
		if (atomic_exchange_explicit(&pots->changing[number], true, memory_order_acquire))
			continue;
		pot = put(set, key_of(hash));
		atomic_store_explicit(&pots->changing[number], false, memory_order_release);
		return pot;
	}
	return NULL;
}

struct limit_pot *limit_pots_hold(struct limit_pots *pots, uint64_t hash, usec_t now)
{
	struct limit_pot *pot = find_or_put(pots, hash);

	if (pot == NULL) {
		pot = &pots->shared.pot;
		atomic_fetch_add_explicit(&pot->key, 1, memory_order_relaxed);
	}
	/* A millisecond is near enough, and spares a busy key most of the stores. */
	if (now > atomic_load_explicit(&pot->used, memory_order_relaxed) + USEC_MS)
		atomic_store_explicit(&pot->used, now, memory_order_relaxed);
	return pot;
}

void limit_pots_let_go(struct limit_pot *pot)
{
	atomic_fetch_sub_explicit(&pot->key, 1, memory_order_release);
}

uint32_t limit_pots_index(const struct limit_pots *pots, const struct limit_pot *pot)
{
	/* shared follows the places */
	return (uint32_t)((const struct place *)(const void *)pot - pots->places);
}

struct limit_pot *limit_pots_at(struct limit_pots *pots, uint32_t index)
{
	return index < LIMIT_POTS ? &pots->places[index].pot : &pots->shared.pot;
}
