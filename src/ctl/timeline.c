#include "ctl/timeline.h"

#include <stdlib.h>

#include "base/mem.h"

/* A binary heap, its root at place 1. */

void timeline_init(struct timeline *t, usec_t now)
{
	*t = (struct timeline){.now = now};
}

void timeline_fini(struct timeline *t)
{
	free(t->heap);
	*t = (struct timeline){0};
}

static bool is_before(const struct moment *a, const struct moment *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put(struct timeline *t, struct moment *m, size_t place)
{
	t->heap[place] = m;
	m->place = place;
}

static void sift_up(struct timeline *t, struct moment *m, size_t place)
{
	while (place > 1 && is_before(m, t->heap[place / 2])) {
		put(t, t->heap[place / 2], place);
		place /= 2;
	}
	put(t, m, place);
}

static void sift_down(struct timeline *t, struct moment *m, size_t place)
{
	for (size_t child; (child = 2 * place) <= t->n; place = child) {
		if (child < t->n && is_before(t->heap[child + 1], t->heap[child]))
			child++;
		if (!is_before(t->heap[child], m))
			break;
		put(t, t->heap[child], place);
	}
	put(t, m, place);
}

void timeline_clear(struct timeline *t, struct moment *m)
{
	size_t place = m->place;
	struct moment *last;

	if (place == 0)
		return;
	m->place = 0;
	last = t->heap[t->n--];
	if (last == m)
		return;
	if (place > 1 && is_before(last, t->heap[place / 2]))
		sift_up(t, last, place);
	else
		sift_down(t, last, place);
}

void timeline_set(struct timeline *t, struct moment *m, usec_t at, moment_fn fire)
{
	timeline_clear(t, m);
	if (at == USEC_NONE)
		return;
	if (t->n + 1 >= t->room) {
		t->room = t->room ? 2 * t->room : 256;
		t->heap = mem_realloc(t->heap, t->room * sizeof(struct moment *));
	}
	m->at = at > t->now ? at : t->now;
	m->order = t->order++;
	m->fire = fire;
	sift_up(t, m, ++t->n);
}

bool timeline_step(struct timeline *t)
{
	struct moment *m;

	if (t->n == 0)
		return false;
	m = t->heap[1];
	timeline_clear(t, m);
	t->now = m->at;
	m->fire(m);
	return true;
}
