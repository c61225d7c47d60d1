#include "registry/etcd_set.h"

#include <stdlib.h>

#include "base/mem.h"

#define RECORD_ROOM 448u /* what most endpoints need; only others cost a chunk of the arena */

static void free_record(struct etcd_record *record)
{
	arena_fini(&record->arena);
	free(record);
}

void etcd_set_fini(struct etcd_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		free_record(set->list[i]);
	free(set->list);
	*set = (struct etcd_set){0};
}

/* Where the key is, or would be. */
static size_t place_of(const struct etcd_set *set, struct slice key)
{
	size_t low = 0, high = set->n;

	/* A listing is in order: each key comes behind all others. */
	if (high && slice_cmp(set->list[high - 1]->key, key) < 0)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slice_cmp(set->list[middle]->key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void insert(struct etcd_set *set, size_t at, struct etcd_record *record)
{
	if (set->n == set->room) {
		set->room = set->room ? 2 * set->room : 16;
		set->list = mem_realloc(set->list, set->room * sizeof(struct etcd_record *));
	}
	memmove(&set->list[at + 1], &set->list[at], (set->n - at) * sizeof set->list[0]);
	set->list[at] = record;
	set->n++;
}

static struct etcd_record *record_new(const struct etcd_key *key, bool is_listed)
{
	struct etcd_record *record = mem_calloc(1, sizeof *record + RECORD_ROOM);

	arena_init(&record->arena, record + 1, RECORD_ROOM);
	record->key = arena_copy(&record->arena, key->key);
	record->mod_revision = key->mod_revision;
	record->is_deleted = key->is_deleted;
	record->is_listed = is_listed;
	return record;
}

struct etcd_record *etcd_set_take(struct etcd_set *set, const struct etcd_key *key)
{
	size_t at = place_of(set, key->key);
	struct etcd_record *old = at < set->n ? set->list[at] : NULL;

	if (old && !slice_eq(old->key, key->key))
		old = NULL;
	if (old && old->mod_revision >= key->mod_revision) {
		old->is_listed = true;
		return NULL;
	}
	if (old == NULL && set->n >= ETCD_SET_MAX)
		return NULL;
	if (old) {
		set->n_deleted -= old->is_deleted;
		free_record(old);
		set->list[at] = record_new(key, true);
	} else {
		insert(set, at, record_new(key, true));
	}
	set->n_deleted += key->is_deleted;
	return set->list[at];
}

void etcd_set_list(struct etcd_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		set->list[i]->is_listed = false;
}

/* Keeps what was said after @revision, and of the rest what was listed and is there. */
static void keep(struct etcd_set *set, int64_t revision)
{
	size_t kept = 0;

	set->n_deleted = 0;
	for (size_t i = 0; i < set->n; i++) {
		struct etcd_record *record = set->list[i];
		bool is_old = record->mod_revision <= revision;

		if (is_old && (!record->is_listed || record->is_deleted)) {
			free_record(record);
			continue;
		}
		set->n_deleted += record->is_deleted;
		set->list[kept++] = record;
	}
	set->n = kept;
}

void etcd_set_listed(struct etcd_set *set, int64_t revision)
{
	keep(set, revision);
}

void etcd_set_sweep(struct etcd_set *set)
{
	if (set->n_deleted == 0)
		return;
	for (size_t i = 0; i < set->n; i++)
		set->list[i]->is_listed = true;
	keep(set, INT64_MAX);
}
