#include "policy/lb.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

void lb_state_init(struct lb_state *st, size_t n, struct rng *rng)
{
	st->position = n ? (size_t)rng_below(rng, n) : 0;
	st->current = mem_calloc(n, sizeof *st->current);
	st->n = n;
}

void lb_state_fini(struct lb_state *st)
{
	free(st->current);
	*st = (struct lb_state){0};
}

static bool takes_calls(const struct lb_view *view)
{
	return view->is_usable && view->weight > 0;
}

static size_t pick_round_robin(struct lb_state *st, const struct lb_view *views, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = (st->position + i) % n;

		if (takes_calls(&views[at])) {
			st->position = (at + 1) % n;
			return at;
		}
	}
	return LB_NONE;
}

/* Each pick credits every endpoint with its weight and charges the richest with all weights: shares
 * are exact over a round and never come in bursts. */
static size_t pick_smooth(struct lb_state *st, const struct lb_view *views, size_t n)
{
	size_t best = LB_NONE;
	int64_t total = 0;

	for (size_t i = 0; i < n; i++) {
		if (!takes_calls(&views[i]))
			continue;
		st->current[i] += views[i].weight;
		total += views[i].weight;
		if (best == LB_NONE || st->current[i] > st->current[best])
			best = i;
	}
	if (best != LB_NONE)
		st->current[best] -= total;
	return best;
}

static size_t pick_random(const struct lb_view *views, size_t n, struct rng *rng)
{
	size_t usable = 0, skip;

	for (size_t i = 0; i < n; i++)
		usable += takes_calls(&views[i]);
	if (usable == 0)
		return LB_NONE;
	skip = (size_t)rng_below(rng, usable);
	for (size_t i = 0;; i++)
		if (takes_calls(&views[i]) && skip-- == 0)
			return i;
}

size_t lb_pick(
    enum lb_type type, struct lb_state *st, const struct lb_view *views, size_t n, struct rng *rng)
{
	switch (type) {
	case LB_ROUND_ROBIN:
		return pick_round_robin(st, views, n);
	case LB_SMOOTH_WEIGHTED:
		return pick_smooth(st, views, n);
	case LB_RANDOM:
		return pick_random(views, n, rng);
	}
	return LB_NONE;
}
