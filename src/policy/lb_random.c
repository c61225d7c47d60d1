/* Balancing by chance: evenly, or by weight. */
#include "policy/lb_impl.h"

#include <stdlib.h>

#include "base/mem.h"

uint64_t lb_alias_build(struct lb_alias *alias, const uint32_t *weights, size_t n, uint32_t *room)
{
	size_t small = 0, large = n; /* two stacks in one room, which grow towards each other */
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += weights[i];
	for (size_t i = 0; i < n; i++) {
		alias[i] = (struct lb_alias){(uint64_t)weights[i] * n, (uint32_t)i};
		if (alias[i].bound < total)
			room[small++] = (uint32_t)i;
		else
			room[--large] = (uint32_t)i;
	}
	while (small > 0 && large < n) {
		struct lb_alias *poor = &alias[room[--small]], *rich = &alias[room[large]];

		poor->other = room[large];
		rich->bound -= total - poor->bound;
		if (rich->bound < total)
			room[small++] = room[large++];
	}
	return total;
}

size_t lb_alias_draw(const struct lb_alias *alias, size_t n, uint64_t total, struct rng *rng)
{
	size_t at = (size_t)rng_below(rng, n);

	return rng_below(rng, total) < alias[at].bound ? at : alias[at].other;
}

static size_t draw_even(const struct lb_pick *p)
{
	return (size_t)rng_below(p->rng, p->table->n);
}

/* Evenly, weights do not count: the first usable from a random place on would favour those that
 * stand behind one that is out, so one is drawn of all. */
static size_t scan_even(const struct lb_pick *p)
{
	size_t usable = 0, at;

	for (size_t i = 0; i < p->table->n; i++)
		usable += lb_is_usable(p, i);
	if (usable == 0)
		return LB_NONE;
	at = (size_t)rng_below(p->rng, usable);
	for (size_t i = 0; i < p->table->n; i++)
		if (lb_is_usable(p, i) && at-- == 0)
			return i;
	return LB_NONE;
}

static size_t pick_even(const struct lb_pick *p)
{
	return lb_pick_drawn(p, draw_even, scan_even);
}

void lb_build_alias(struct lb_table *t, const struct lb_endpoint *list)
{
	uint32_t *room = mem_alloc(t->n * sizeof *room);

	(void)list;
	t->data_size = t->n * sizeof(struct lb_alias);
	t->data = mem_alloc(t->data_size);
	lb_alias_build(t->data, t->weights, t->n, room);
	free(room);
}

static size_t draw_weighted(const struct lb_pick *p)
{
	return lb_alias_draw(p->table->data, p->table->n, p->table->total, p->rng);
}

static size_t pick_weighted(const struct lb_pick *p)
{
	return lb_pick_drawn(p, draw_weighted, lb_pick_scanned);
}

const struct lb_ops lb_even_ops = {
    .state_size = lb_state_bare,
    .pick = pick_even,
};

const struct lb_ops lb_weighted_ops = {
    .build = lb_build_alias,
    .state_size = lb_state_bare,
    .pick = pick_weighted,
};
