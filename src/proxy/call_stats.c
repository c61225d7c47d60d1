#include "proxy/call_stats.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

#define KEY_MAX 1024u /* longer labels than this together count as "other" */

/* How many different values a kind of label has had; under a value's own name, that it was seen. */
struct name_count {
	unsigned n;
	char *key;
};

struct label_names {
	pthread_mutex_t lock;
	struct table names; /* under the lock */
};

struct label_names *label_names_new(uint64_t seed)
{
	struct label_names *names = mem_calloc(1, sizeof *names);

	pthread_mutex_init(&names->lock, NULL);
	table_init(&names->names, seed);
	return names;
}

static void free_names(struct table *names)
{
	struct name_count *name;
	size_t position = 0;

	while ((name = table_next(names, &position))) {
		free(name->key);
		free(name);
	}
	table_fini(names);
}

void label_names_free(struct label_names **names)
{
	if (*names == NULL)
		return;
	free_names(&(*names)->names);
	pthread_mutex_destroy(&(*names)->lock);
	free(*names);
	*names = NULL;
}

void call_stats_init(struct call_stats *s, uint64_t seed)
{
	s->shared = NULL;
	atomic_init(&s->first, NULL);
	table_init(&s->series, seed);
	table_init(&s->names, seed ^ 0x5bd1e995u);
	atomic_init(&s->n_series, 0);
	s->n_faults = 0;
}

void call_stats_fini(struct call_stats *s)
{
	struct call_series *series = atomic_load(&s->first);

	while (series) {
		struct call_series *next = atomic_load(&series->next);

		fault_list_fini(&series->faults);
		free(series->text);
		free(series);
		series = next;
	}
	free_names(&s->names);
	table_fini(&s->series);
}

static uint8_t *append(uint8_t *at, struct slice s)
{
	at[0] = (uint8_t)(s.len >> 8);
	at[1] = (uint8_t)s.len;
	if (s.len)
		memcpy(at + 2, s.data, s.len);
	return at + 2 + s.len;
}

/* All labels in one string; lengths keep them apart. */
static size_t make_key(uint8_t *room, const struct call_labels *l)
{
	uint8_t *at = room;

	*at++ = (uint8_t)l->protocol;
	*at++ = (uint8_t)(l->retries > 9 ? 9 : l->retries);
	*at++ = l->is_server;
	at = append(at, l->method);
	at = append(at, l->service);
	at = append(at, l->listener);
	at = append(at, l->caller);
	return (size_t)(at - room);
}

/* The count kept under a scope and a name, or NULL. */
static struct name_count *find_count(const struct table *names, char scope, struct slice a,
    struct slice b, uint8_t *key, size_t *len)
{
	key[0] = (uint8_t)scope;
	*len = (size_t)(append(append(key + 1, a), b) - key);
	return table_get(names, slice_of(key, *len));
}

static struct name_count *add_count(struct table *names, const uint8_t *key, size_t len)
{
	struct name_count *count = mem_calloc(1, sizeof *count);

	count->key = slice_dup(slice_of(key, len));
	table_put(names, slice_of(count->key, len), count);
	return count;
}

/* Has the value been let in, or is there room in its scope? @of tells scopes of one kind apart. */
static bool let_in(
    struct table *names, char scope, struct slice of, unsigned most, struct slice value)
{
	uint8_t seen[2 * KEY_MAX], all[2 * KEY_MAX];
	size_t seen_len, all_len;
	struct name_count *count;

	if (find_count(names, scope, of, value, seen, &seen_len))
		return true;
	count = find_count(names, scope, of, SLICE_NONE, all, &all_len);
	if (count == NULL)
		count = add_count(names, all, all_len);
	if (count->n >= most)
		return false;
	count->n++;
	add_count(names, seen, seen_len);
	return true;
}

/* What this worker has seen needs no lock; what it has not is asked for among all. */
static bool is_let_in(
    struct call_stats *s, char scope, struct slice of, unsigned most, struct slice value)
{
	uint8_t key[2 * KEY_MAX];
	size_t len;
	bool ok;

	if (s->shared == NULL)
		return let_in(&s->names, scope, of, most, value);
	if (find_count(&s->names, scope, of, value, key, &len))
		return true;
	pthread_mutex_lock(&s->shared->lock);
	ok = let_in(&s->shared->names, scope, of, most, value);
	pthread_mutex_unlock(&s->shared->lock);
	if (ok)
		add_count(&s->names, key, len);
	return ok;
}

static void bound(
    struct call_stats *s, char scope, struct slice of, unsigned most, struct slice *value)
{
	if (value->len && !is_let_in(s, scope, of, most, *value))
		*value = SLICE_LIT("other");
}

static struct call_series *add_series(
    struct call_stats *s, struct slice key, const struct call_labels *l)
{
	struct call_series *series = mem_calloc(1, sizeof *series);
	const struct slice *from[] = {
	    &l->listener, &l->service, &l->callee, &l->method, &l->caller};
	struct slice *to[] = {&series->labels.listener, &series->labels.service,
	    &series->labels.callee, &series->labels.method, &series->labels.caller};
	size_t len = key.len;
	uint8_t *at;

	for (size_t i = 0; i < ARRAY_LEN(from); i++)
		len += from[i]->len;
	series->labels = *l;
	series->text = at = mem_alloc(len);
	memcpy(at, key.data, key.len);
	at += key.len;
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		if (from[i]->len)
			memcpy(at, from[i]->data, from[i]->len);
		*to[i] = slice_of(at, from[i]->len);
		at += from[i]->len;
	}
	table_put(&s->series, slice_of(series->text, key.len), series);
	atomic_store_explicit(&series->next, atomic_load(&s->first), memory_order_relaxed);
	atomic_store_explicit(&s->first, series, memory_order_release);
	atomic_store_explicit(&s->n_series, s->n_series + 1, memory_order_relaxed);
	return series;
}

struct call_series *call_stats_find(struct call_stats *s, const struct call_labels *labels)
{
	struct call_labels l = *labels;
	uint8_t key[3 + 5 * 2 + KEY_MAX];
	struct call_series *series;
	size_t len;

	if (l.method.len + l.service.len + l.listener.len + l.caller.len > KEY_MAX)
		l.caller = l.method = SLICE_LIT("other");
	if (l.service.len + l.listener.len > KEY_MAX / 2)
		l.service = l.listener = SLICE_LIT("other");
	len = make_key(key, &l);
	series = table_get(&s->series, slice_of(key, len));
	if (series)
		return series;
	bound(s, 's', SLICE_NONE, CALL_STATS_SERVICES, &l.service);
	if (s->n_series >= CALL_STATS_SERIES)
		l.method = l.caller = SLICE_LIT("other");
	bound(s, 'c', SLICE_NONE, CALL_STATS_CALLERS, &l.caller);
	bound(s, 'm', l.service, CALL_STATS_METHODS, &l.method);
	len = make_key(key, &l);
	series = table_get(&s->series, slice_of(key, len));
	return series ? series : add_series(s, slice_of(key, len), &l);
}

bool reason_is_success(enum reason reason)
{
	return reason == REASON_OK || reason == REASON_BIZ_ERROR;
}

void call_series_count(struct call_series *series, enum reason reason, usec_t took)
{
	counter_add(&series->by_reason[reason], 1);
	histogram_add(reason_is_success(reason) ? &series->good : &series->bad, took);
}

void call_stats_note(struct call_stats *s, struct call_series *series, enum reason reason,
    struct slice detail, usec_t now)
{
	fault_list_note(&series->faults, &s->n_faults, reason, detail, now);
}
