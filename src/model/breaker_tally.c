/*
 * The breakers under one name: one, or one for each method. The table of methods only grows, so
 * workers read it without a lock, and a breaker stays where it is as long as its tally.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/tally.h"
#include "model/tally_head.h"

#define METHODS_MAX 1000u
#define SLOTS       2048u /* a power of two, at most half full */

struct method_breaker {
	struct breaker breaker;
	uint64_t hash;
	size_t len;
	uint8_t method[];
};

typedef _Atomic(struct method_breaker *) method_slot;

struct breaker_tally {
	struct tally_head head;
	struct breaker breaker;       /* of all, or of the methods past METHODS_MAX */
	_Atomic(method_slot *) slots; /* owned; NULL until a method needs it */
	atomic_uint n_methods;
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
	method_slot *slots = atomic_load_explicit(&t->slots, memory_order_acquire);

	for (size_t i = 0; slots && i < SLOTS; i++)
		free(atomic_load_explicit(&slots[i], memory_order_acquire));
	free(slots);
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
static method_slot *slots_of(struct breaker_tally *t)
{
	method_slot *slots = atomic_load_explicit(&t->slots, memory_order_acquire), *fresh;

	if (slots)
		return slots;
	fresh = mem_calloc(SLOTS, sizeof *fresh);
	if (atomic_compare_exchange_strong_explicit(
		&t->slots, &slots, fresh, memory_order_acq_rel, memory_order_acquire))
		return fresh;
	free(fresh);
	return slots;
}

/* Counts one method more, while there is room for it. */
static bool reserve(struct breaker_tally *t)
{
	unsigned n = atomic_load_explicit(&t->n_methods, memory_order_relaxed);

	do {
		if (n == METHODS_MAX)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    &t->n_methods, &n, n + 1, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* Puts a breaker for @method into the free @slot, or gives that of the one who was faster; NULL
 * when there are too many. */
static struct method_breaker *put(
    struct breaker_tally *t, method_slot *slot, struct slice method, uint64_t hash)
{
	struct method_breaker *fresh, *found = NULL;

	if (!reserve(t))
		return NULL;
	fresh = mem_calloc(1, sizeof *fresh + method.len);
	fresh->hash = hash;
	fresh->len = method.len;
	if (method.len)
		memcpy(fresh->method, method.data, method.len);
	if (atomic_compare_exchange_strong_explicit(
		slot, &found, fresh, memory_order_acq_rel, memory_order_acquire))
		return fresh;
	free(fresh);
	atomic_fetch_sub_explicit(&t->n_methods, 1, memory_order_relaxed);
	return found;
}

static bool is_of(const struct method_breaker *m, struct slice method, uint64_t hash)
{
	return m->hash == hash && slice_eq(slice_of(m->method, m->len), method);
}

struct breaker *breaker_tally_find(
    struct breaker_tally *tally, const struct breaker_config *config, struct slice method)
{
	uint64_t hash;
	method_slot *slots;

	if (config->policy.by == BREAKER_BY_SERVICE)
		return &tally->breaker;
	slots = slots_of(tally);
	hash = slice_hash(method, (uintptr_t)tally);
	for (size_t i = hash % SLOTS;; i = (i + 1) % SLOTS) {
		struct method_breaker *m = atomic_load_explicit(&slots[i], memory_order_acquire);

		if (m == NULL)
			m = put(tally, &slots[i], method, hash);
		if (m == NULL)
			return &tally->breaker;
		if (is_of(m, method, hash))
			return &m->breaker;
	}
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
	method_slot *slots = atomic_load_explicit(&tally->slots, memory_order_acquire);

	if (config->policy.by == BREAKER_BY_SERVICE)
		return state;
	for (size_t i = 0; slots && i < SLOTS; i++) {
		struct method_breaker *m = atomic_load_explicit(&slots[i], memory_order_acquire);

		if (m)
			state = worse(state, breaker_state_of(&m->breaker, &config->policy, now));
	}
	return state;
}
