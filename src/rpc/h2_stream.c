#include "rpc/h2_stream.h"

#include <stdlib.h>

#include "base/mem.h"
#include "rpc/h2_memory.h"

#define FIRST_BUCKETS 8u
#define FIRST_EVENTS  16u
#define KEPT_EVENTS   64u

/* ---- streams ---- */

/* Ids of one side are every other number in a row, so this spreads them as evenly as can be. */
static struct h2_stream **bucket_of(const struct h2_streams *t, uint32_t id)
{
	return &t->buckets[(id >> 1) & (t->n_buckets - 1)];
}

static void rebuild(struct h2_streams *t, unsigned n_buckets)
{
	struct h2_stream **old = t->buckets;
	unsigned n_old = t->n_buckets;

	t->buckets = mem_calloc(n_buckets, sizeof *t->buckets);
	t->n_buckets = n_buckets;
	for (unsigned i = 0; i < n_old; i++) {
		while (old[i]) {
			struct h2_stream *s = old[i], **bucket = bucket_of(t, s->id);

			old[i] = s->next;
			s->next = *bucket;
			*bucket = s;
		}
	}
	free(old);
}

struct h2_stream *h2_streams_find(const struct h2_streams *t, uint32_t id)
{
	struct h2_stream *s = t->n ? *bucket_of(t, id) : NULL;

	while (s && s->id != id)
		s = s->next;
	return s;
}

struct h2_stream *h2_streams_add(struct h2_streams *t, uint32_t id)
{
	struct h2_stream *s = t->spare, **bucket;

	if (t->n >= t->n_buckets)
		rebuild(t, t->n_buckets ? 2 * t->n_buckets : FIRST_BUCKETS);
	if (s) {
		t->spare = s->next;
		t->n_spare--;
	} else {
		s = mem_alloc(sizeof *s);
	}
	*s = (struct h2_stream){.id = id};
	bucket = bucket_of(t, id);
	s->next = *bucket;
	*bucket = s;
	t->n++;
	return s;
}

void h2_streams_remove(struct h2_streams *t, struct h2_stream *s)
{
	struct h2_stream **link = bucket_of(t, s->id);

	while (*link != s)
		link = &(*link)->next;
	*link = s->next;
	t->n--;
	h2_queue_clear(&s->queue);
	free(s->trailers);
	if (t->n_spare < H2_SPARE_STREAMS) {
		s->next = t->spare;
		t->spare = s;
		t->n_spare++;
	} else {
		free(s);
	}
	if (t->n == 0 && t->n_buckets > FIRST_BUCKETS) {
		free(t->buckets);
		t->buckets = NULL;
		t->n_buckets = 0;
	}
}

void h2_streams_rest(struct h2_streams *t)
{
	while (t->spare) {
		struct h2_stream *s = t->spare;

		t->spare = s->next;
		free(s);
	}
	t->n_spare = 0;
	if (t->n == 0) {
		free(t->buckets);
		t->buckets = NULL;
		t->n_buckets = 0;
	}
}

void h2_streams_fini(struct h2_streams *t)
{
	for (unsigned i = 0; i < t->n_buckets && t->n; i++)
		while (t->buckets && t->buckets[i])
			h2_streams_remove(t, t->buckets[i]);
	h2_streams_rest(t);
}

static struct slice put(uint8_t **at, struct slice s)
{
	struct slice copy = slice_of(*at, s.len);

	if (s.len)
		memcpy(*at, s.data, s.len);
	*at += s.len;
	return copy;
}

void h2_stream_keep_trailers(
    struct h2_stream *s, const struct rpc_field *fields, unsigned n, size_t *held)
{
	size_t size = sizeof *s->trailers + n * sizeof *fields;
	uint8_t *at;

	h2_stream_drop_trailers(s, held);
	for (unsigned i = 0; i < n; i++)
		size += fields[i].name.len + fields[i].value.len;
	s->trailers = mem_alloc(size);
	s->trailers->n = n;
	s->trailers->size = size;
	at = (uint8_t *)&s->trailers->fields[n];
	for (unsigned i = 0; i < n; i++)
		s->trailers->fields[i] = (struct rpc_field){
		    put(&at, fields[i].name), put(&at, fields[i].value), fields[i].is_secret};
	*held += size;
}

void h2_stream_drop_trailers(struct h2_stream *s, size_t *held)
{
	if (s->trailers)
		*held -= s->trailers->size;
	free(s->trailers);
	s->trailers = NULL;
}

/* ---- events ---- */

void h2_events_fini(struct h2_events *q)
{
	h2_memory_free(q->items, NULL);
	*q = (struct h2_events){0};
}

static void grow(struct h2_events *q)
{
	size_t size = q->size ? 2 * q->size : FIRST_EVENTS;
	struct h2_event *items = h2_memory_array(NULL, size * sizeof *items);

	for (size_t i = 0; i < q->n; i++)
		items[i] = q->items[(q->first + i) & (q->size - 1)];
	h2_memory_free(q->items, NULL);
	q->items = items;
	q->first = 0;
	q->size = size;
}

struct h2_event *h2_events_add(struct h2_events *q, enum codec_event kind, struct h2_stream *stream)
{
	struct h2_event *e;

	if (q->n == q->size)
		grow(q);
	e = &q->items[(q->first + q->n++) & (q->size - 1)];
	*e = (struct h2_event){.kind = kind, .stream = stream, .block = H2_NO_BLOCK};
	stream->n_events++;
	return e;
}

struct h2_event *h2_events_first(struct h2_events *q)
{
	return q->n ? &q->items[q->first] : NULL;
}

struct h2_event *h2_events_newest(struct h2_events *q)
{
	return q->n ? &q->items[(q->first + q->n - 1) & (q->size - 1)] : NULL;
}

void h2_events_drop_first(struct h2_events *q)
{
	q->items[q->first].stream->n_events--;
	q->first = (q->first + 1) & (q->size - 1);
	q->n--;
}

void h2_events_reset(struct h2_events *q, bool is_idle)
{
	if (q->items && (is_idle || q->size > KEPT_EVENTS))
		h2_events_fini(q);
}
