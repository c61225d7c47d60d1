/*
 * Allocation policy in one place. Small allocations of our own size abort the process when memory
 * is gone (mem_*). Whatever a peer sizes goes through malloc directly, after a limit, and its
 * failure is an error of that call.
 */
#ifndef BRIDLE_BASE_MEM_H
#define BRIDLE_BASE_MEM_H

#include <stddef.h>

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/* The struct that holds @member at @ptr. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
/* Zeroed. */
void *mem_calloc(size_t count, size_t size)
    __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));

#endif
