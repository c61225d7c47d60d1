#include "base/table.h"

#include <stdlib.h>

#include "base/mem.h"

/* Open addressing with linear probing; removal shifts back what followed, so no tombstones. */
struct table_slot {
	uint64_t hash;
	struct slice key;
	void *value; /* NULL: free */
};

void table_init(struct table *t, uint64_t seed)
{
	*t = (struct table){.seed = seed};
}

void table_fini(struct table *t)
{
	free(t->slots);
	*t = (struct table){0};
}

/* The slot of the key, or the free slot where it would go. */
static struct table_slot *find(const struct table *t, struct slice key, uint64_t hash)
{
	size_t mask = t->size - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct table_slot *slot = &t->slots[i];

		if (slot->value == NULL || (slot->hash == hash && slice_eq(slot->key, key)))
			return slot;
	}
}

static void grow(struct table *t)
{
	struct table bigger = {
	    .size = t->size ? t->size * 2 : 16, .used = t->used, .seed = t->seed};

	bigger.slots = mem_calloc(bigger.size, sizeof *bigger.slots);
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].value)
			*find(&bigger, t->slots[i].key, t->slots[i].hash) = t->slots[i];
	free(t->slots);
	*t = bigger;
}

void *table_get(const struct table *t, struct slice key)
{
	return t->size ? find(t, key, slice_hash(key, t->seed))->value : NULL;
}

void *table_put(struct table *t, struct slice key, void *value)
{
	uint64_t hash = slice_hash(key, t->seed);
	struct table_slot *slot;
	void *old;

	if (t->used * 4 >= t->size * 3)
		grow(t);
	slot = find(t, key, hash);
	old = slot->value;
	t->used += old == NULL;
	*slot = (struct table_slot){hash, key, value};
	return old;
}

void *table_remove(struct table *t, struct slice key)
{
	size_t mask = t->size - 1, hole, i;
	struct table_slot *slot;
	void *value;

	if (t->size == 0)
		return NULL;
	slot = find(t, key, slice_hash(key, t->seed));
	value = slot->value;
	if (value == NULL)
		return NULL;
	hole = (size_t)(slot - t->slots);
	for (i = (hole + 1) & mask; t->slots[i].value; i = (i + 1) & mask) {
		size_t home = t->slots[i].hash & mask;

		/* Moves back unless its home lies between the hole and itself. */
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			t->slots[hole] = t->slots[i];
			hole = i;
		}
	}
	t->slots[hole].value = NULL;
	t->used--;
	return value;
}

void *table_next(const struct table *t, size_t *position)
{
	while (*position < t->size) {
		void *value = t->slots[(*position)++].value;

		if (value)
			return value;
	}
	return NULL;
}
