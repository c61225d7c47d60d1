/*
 * A hash table from slices to pointers. It owns neither: a key must stay where it is while its
 * entry is in the table, so it usually lies inside the value.
 */
#ifndef BRIDLE_BASE_TABLE_H
#define BRIDLE_BASE_TABLE_H

#include "base/slice.h"

struct table {
	struct table_slot *slots; /* owned */
	size_t size, used;        /* size is a power of two or 0 */
	uint64_t seed;
};

void table_init(struct table *t, uint64_t seed);
void table_fini(struct table *t);

/* The value, or NULL. */
void *table_get(const struct table *t, struct slice key);
/* Puts or replaces; @value is not NULL. Returns the value replaced, or NULL. */
void *table_put(struct table *t, struct slice key, void *value);
/* Takes an entry out and returns its value, or NULL. */
void *table_remove(struct table *t, struct slice key);
/* The value at or after *@position in no order, NULL at the end; start with 0, do not change the
 * table between. */
void *table_next(const struct table *t, size_t *position);

#endif
