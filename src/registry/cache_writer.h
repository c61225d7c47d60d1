/*
 * Brings a registry's sets to its cache file: some time after a change, at most every few seconds,
 * and at the end. A thread of its own waits for the disk; what it writes never changes under it.
 */
#ifndef BRIDLE_REGISTRY_CACHE_WRITER_H
#define BRIDLE_REGISTRY_CACHE_WRITER_H

#include <stdbool.h>

struct cache_writer;
struct registry;

/* @registry is borrowed; its configuration names a cache. */
struct cache_writer *cache_writer_new(struct registry *registry);
/* Writes what is not on disk yet; waits for it, but not for ever. */
void cache_writer_free(struct cache_writer **writer);
/* Something that the cache holds is another. @writer may be NULL. */
void cache_writer_dirty(struct cache_writer *writer);
/* While it is held nothing is written, at the end either. @writer may be NULL. */
void cache_writer_hold(struct cache_writer *writer, bool hold);

#endif
