/*
 * A bump allocator whose memory is given back all at once. An arena can start in room that its
 * owner brings (the first bytes of a call), so that the common case allocates nothing.
 */
#ifndef BRIDLE_BASE_ARENA_H
#define BRIDLE_BASE_ARENA_H

#include <stddef.h>

#include "base/slice.h"

struct arena {
	uint8_t *at, *end;          /* free room in the newest chunk */
	struct arena_chunk *chunks; /* owned */
};

/* @room (may be NULL) is borrowed until arena_fini. */
void arena_init(struct arena *a, void *room, size_t size);
void arena_fini(struct arena *a);

/* Aligned for any object, not zeroed; aborts when memory is gone. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_calloc(struct arena *a, size_t count, size_t size);
struct slice arena_copy(struct arena *a, struct slice s);
/* A copy that ends with NUL. */
char *arena_str(struct arena *a, struct slice s);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
