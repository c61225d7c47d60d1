/*
 * Round robin: plain, smooth by weight, interleaved by weight. Whoever is not usable loses its turn
 * and nobody else gains or loses one; states start anywhere in the round, so that many sidecars do
 * not go in step.
 */
#include "policy/lb_impl.h"

#include <stdlib.h>

#include "base/mem.h"

/* ---- plain ---- */

struct plain {
	struct lb_state st;
	size_t next;
};

static size_t plain_size(const struct lb_table *t)
{
	(void)t;
	return sizeof(struct plain);
}

static struct plain *plain_of(struct lb_state *st)
{
	return container_of(st, struct plain, st);
}

static void start_plain(struct lb_state *st, struct rng *rng)
{
	plain_of(st)->next = (size_t)rng_below(rng, st->table->n);
}

static size_t draw_plain(const struct lb_pick *p)
{
	struct plain *plain = plain_of(p->state);
	size_t member = plain->next;

	plain->next = member + 1 == p->table->n ? 0 : member + 1;
	return member;
}

/* The turn goes on until it comes to one that is usable; all the way round, it has not moved. */
static size_t pick_plain(const struct lb_pick *p)
{
	unsigned passed_over = 0;

	for (size_t left = p->table->n; left > 0; left--) {
		size_t member = draw_plain(p);

		if (!lb_is_usable(p, member))
			continue;
		if (passed_over == LB_REDRAWS || lb_is_accepted(p, member))
			return member;
		passed_over++;
		left = p->table->n + 1;
	}
	return LB_NONE;
}

const struct lb_ops lb_plain_ops = {
    .state_size = plain_size,
    .start = start_plain,
    .pick = pick_plain,
};

/* ---- smooth, written down ---- */

#define SEQUENCE_SLOTS 65536u
#define SEQUENCE_STEPS (1u << 20)

/* The state is a struct plain: the next slot. */
struct sequence {
	size_t n;
	uint16_t slots[]; /* members: SEQUENCE_STEPS leaves room for 1024 at most */
};

bool lb_sequence_fits(const struct lb_table *t)
{
	uint64_t slots = t->gcd ? t->total / t->gcd : 0;

	return slots <= SEQUENCE_SLOTS && slots * t->n <= SEQUENCE_STEPS;
}

/* Each step credits every member with its weight and charges the richest with all weights. Source:
 * nginx ngx_http_upstream_get_peer, kitex pkg/loadbalance/weighted_round_robin.go. */
static size_t step_smooth(const struct lb_table *t, int64_t *credit)
{
	size_t best = 0;

	for (size_t i = 0; i < t->n; i++) {
		credit[i] += t->weights[i];
		if (credit[i] > credit[best])
			best = i;
	}
	credit[best] -= (int64_t)t->total;
	return best;
}

static void build_sequence(struct lb_table *t, const struct lb_endpoint *list)
{
	size_t n = (size_t)(t->total / t->gcd);
	int64_t *credit = mem_calloc(t->n, sizeof *credit);
	struct sequence *s;

	(void)list;
	t->data_size = sizeof *s + n * sizeof s->slots[0];
	t->data = s = mem_alloc(t->data_size);
	s->n = n;
	for (size_t i = 0; i < n; i++)
		s->slots[i] = (uint16_t)step_smooth(t, credit);
	free(credit);
}

static void start_sequence(struct lb_state *st, struct rng *rng)
{
	const struct sequence *s = st->table->data;

	plain_of(st)->next = (size_t)rng_below(rng, s->n);
}

static size_t draw_sequence(const struct lb_pick *p)
{
	const struct sequence *s = p->table->data;
	struct plain *plain = plain_of(p->state);
	size_t slot = plain->next;

	plain->next = slot + 1 == s->n ? 0 : slot + 1;
	return s->slots[slot];
}

static size_t pick_sequence(const struct lb_pick *p)
{
	struct plain *plain = plain_of(p->state);
	size_t slot = plain->next, member = lb_pick_drawn(p, draw_sequence, lb_pick_scanned);

	if (member == LB_NONE) /* turns are not lost in vain */
		plain->next = slot;
	return member;
}

const struct lb_ops lb_sequence_ops = {
    .build = build_sequence,
    .state_size = plain_size,
    .start = start_sequence,
    .pick = pick_sequence,
};

/* ---- smooth, too long for that ---- */

struct strides {
	struct lb_state st;
	struct lb_stride heap[];
};

static struct strides *strides_of(struct lb_state *st)
{
	return container_of(st, struct strides, st);
}

static size_t strides_size(const struct lb_table *t)
{
	return sizeof(struct strides) + t->n * sizeof(struct lb_stride);
}

static void start_strides(struct lb_state *st, struct rng *rng)
{
	lb_stride_init(strides_of(st)->heap, st->table->weights, st->table->n,
	    (uint32_t)(rng_next(rng) >> 32));
}

static size_t draw_stride(const struct lb_pick *p)
{
	return lb_stride_next(strides_of(p->state)->heap, p->table->weights, p->table->n);
}

static size_t pick_stride(const struct lb_pick *p)
{
	return lb_pick_drawn(p, draw_stride, lb_pick_scanned);
}

const struct lb_ops lb_stride_ops = {
    .state_size = strides_size,
    .start = start_strides,
    .pick = pick_stride,
};

/* ---- interleaved ---- */

/*
 * In the k-th turn of a round those are taken whose weight is above k: with members sorted by
 * weight, all from `first` on. Kitex gets there with two queues (pkg/loadbalance/
 * interleaved_weighted_round_robin.go): whoever has used up its weight waits for the next round, so
 * from the second round on its order is by weight, too.
 */
struct interleaved {
	struct lb_state st;
	uint32_t turn;
	size_t first, next; /* places in the order */
};

static struct interleaved *interleaved_of(struct lb_state *st)
{
	return container_of(st, struct interleaved, st);
}

static size_t interleaved_size(const struct lb_table *t)
{
	(void)t;
	return sizeof(struct interleaved);
}

struct ordered {
	uint32_t turns, member;
};

static int compare_turns(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;

	if (x->turns != y->turns)
		return x->turns < y->turns ? -1 : 1;
	return x->member < y->member ? -1 : 1;
}

static void build_interleaved(struct lb_table *t, const struct lb_endpoint *list)
{
	struct ordered *order;

	(void)list;
	t->data_size = t->n * sizeof *order;
	t->data = order = mem_alloc(t->data_size);
	for (size_t i = 0; i < t->n; i++)
		order[i] = (struct ordered){t->weights[i] / t->gcd, (uint32_t)i};
	qsort(order, t->n, sizeof *order, compare_turns);
}

/* The first place whose member has more than @turn turns, or the end. */
static size_t place_above(const struct lb_table *t, uint32_t turn)
{
	const struct ordered *order = t->data;
	size_t low = 0, high = t->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (order[middle].turns > turn)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* At any of the turns of the round, each as likely as another. */
static void start_interleaved(struct lb_state *st, struct rng *rng)
{
	const struct lb_table *t = st->table;
	const struct ordered *order = t->data;
	struct interleaved *s = interleaved_of(st);
	uint64_t at = rng_below(rng, t->total / t->gcd);

	for (s->next = 0; at >= order[s->next].turns; s->next++)
		at -= order[s->next].turns;
	s->turn = (uint32_t)at;
	s->first = place_above(t, s->turn);
}

static size_t draw_interleaved(const struct lb_pick *p)
{
	struct interleaved *s = interleaved_of(p->state);
	const struct ordered *order = p->table->data;
	size_t member = order[s->next].member;

	if (++s->next < p->table->n)
		return member;
	s->turn++;
	s->first = place_above(p->table, s->turn);
	if (s->first == p->table->n) {
		s->turn = 0;
		s->first = 0;
	}
	s->next = s->first;
	return member;
}

static size_t pick_interleaved(const struct lb_pick *p)
{
	struct interleaved *s = interleaved_of(p->state), was = *s;
	size_t member = lb_pick_drawn(p, draw_interleaved, lb_pick_scanned);

	if (member == LB_NONE)
		*s = was;
	return member;
}

const struct lb_ops lb_interleaved_ops = {
    .build = build_interleaved,
    .state_size = interleaved_size,
    .start = start_interleaved,
    .pick = pick_interleaved,
};
