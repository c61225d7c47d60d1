/* Balancing by where endpoints are: by their places on the map, or by how long connecting takes. */
#include "policy/lb_impl.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* ---- closest ---- */

/* So much farther is as near. */
#define SAME_PART   1.01
#define SAME_METRES 1000.0

/* Members that are equally near; they stand side by side in the table. */
struct tier {
	size_t first, n;
	uint64_t total; /* of their weights */
};

struct closest {
	const struct lb_alias *alias; /* for each member, within its tier */
	size_t n;
	struct tier tiers[];
};

struct placed {
	double distance; /* metres; infinite for those without a place */
	uint32_t id, weight;
	size_t index; /* in the list */
};

static int compare_placed(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	return x->index < y->index ? -1 : 1;
}

/* Without a place of our own all are equally near. */
static double distance_of(const struct lb_options *o, const struct lb_endpoint *e)
{
	if (!o->has_location)
		return 0;
	if (!e->has_location)
		return INFINITY;
	return lb_distance(o->latitude, o->longitude, e->latitude, e->longitude);
}

/* Puts the members in order. */
static struct placed *place_members(struct lb_table *t, const struct lb_endpoint *list)
{
	struct placed *placed = mem_alloc(t->n * sizeof *placed);

	for (size_t i = 0; i < t->n; i++)
		placed[i] = (struct placed){
		    distance_of(&t->options, &list[i]), t->ids[i], t->weights[i], i};
	qsort(placed, t->n, sizeof *placed, compare_placed);
	for (size_t i = 0; i < t->n; i++) {
		t->ids[i] = placed[i].id;
		t->weights[i] = placed[i].weight;
	}
	return placed;
}

static size_t tier_size(const struct placed *placed, size_t n)
{
	double most = fmax(placed[0].distance * SAME_PART, placed[0].distance + SAME_METRES);
	size_t size = 1;

	while (size < n && placed[size].distance <= most)
		size++;
	return size;
}

static void build_closest(struct lb_table *t, const struct lb_endpoint *list)
{
	struct placed *placed = place_members(t, list);
	uint32_t *room = mem_alloc(t->n * sizeof *room);
	struct closest *c;
	struct lb_alias *alias;
	size_t n_tiers = 0;

	for (size_t at = 0; at < t->n; at += tier_size(placed + at, t->n - at))
		n_tiers++;
	t->data_size = sizeof *c + n_tiers * sizeof c->tiers[0] + t->n * sizeof *alias;
	t->data = c = mem_alloc(t->data_size);
	alias = (struct lb_alias *)(c->tiers + n_tiers);
	*c = (struct closest){alias, 0};
	for (size_t at = 0; at < t->n; at += c->tiers[c->n++].n) {
		struct tier *tier = &c->tiers[c->n];

		*tier = (struct tier){at, tier_size(placed + at, t->n - at), 0};
		tier->total = lb_alias_build(alias + at, t->weights + at, tier->n, room);
	}
	free(room);
	free(placed);
}

static size_t draw_in_tier(const struct lb_pick *p)
{
	const struct closest *c = p->table->data;
	const struct tier *tier = p->part;

	return tier->first + lb_alias_draw(c->alias + tier->first, tier->n, tier->total, p->rng);
}

static size_t scan_tier(const struct lb_pick *p)
{
	const struct tier *tier = p->part;

	return lb_pick_among(p, p->table->weights, tier->first, tier->n);
}

/* Farther ones only when nobody is left among the nearer. */
static size_t pick_closest(const struct lb_pick *p)
{
	const struct closest *c = p->table->data;
	struct lb_pick in_tier = *p;
	size_t member = LB_NONE;

	for (size_t i = 0; member == LB_NONE && i < c->n; i++) {
		in_tier.part = &c->tiers[i];
		member = c->tiers[i].n == 1 ? scan_tier(&in_tier)
					    : lb_pick_drawn(&in_tier, draw_in_tier, scan_tier);
	}
	return member;
}

const struct lb_ops lb_closest_ops = {
    .build = build_closest,
    .state_size = lb_state_bare,
    .pick = pick_closest,
};

/* ---- network quality ---- */

/* Connect times weigh as rpcx weighs pings; source: client/selector.go, weightedICMPSelector. */
#define QUALITY_BEST   191u
#define QUALITY_LEVELS (QUALITY_BEST + 1)

static uint32_t quality_of(usec_t connect)
{
	usec_t ms = connect / USEC_MS;

	if (ms <= 10)
		return QUALITY_BEST;
	if (ms <= 200)
		return (uint32_t)(201 - ms);
	return ms < 1000 ? 1 : 0;
}

/* Measured times move, so what is drawn by is weighed anew after ever more picks. */
#define WEIGH_AFTER_FIRST 16u
#define WEIGH_AFTER_MOST  1024u /* at least; else the number of members */

struct quality {
	struct lb_state st;
	size_t picks_left, interval;
	uint64_t total;
	uint32_t *weights, *room;
	struct lb_alias alias[];
};

static struct quality *quality_state(struct lb_state *st)
{
	return container_of(st, struct quality, st);
}

static size_t quality_size(const struct lb_table *t)
{
	return sizeof(struct quality) + t->n * (sizeof(struct lb_alias) + 2 * sizeof(uint32_t));
}

static void start_quality(struct lb_state *st, struct rng *rng)
{
	struct quality *q = quality_state(st);
	size_t n = st->table->n;

	(void)rng;
	q->weights = (uint32_t *)(q->alias + n);
	q->room = q->weights + n;
	q->interval = WEIGH_AFTER_FIRST;
}

/* The middle of what was measured: quality falls with time, so it can be counted by quality. */
static uint32_t median_quality(const size_t *counts, size_t measured)
{
	size_t seen = 0;

	for (uint32_t quality = QUALITY_BEST; quality > 0; quality--) {
		seen += counts[quality];
		if (seen * 2 > measured)
			return quality;
	}
	return measured ? 0 : 1;
}

static void weigh(const struct lb_pick *p, struct quality *q)
{
	size_t n = p->table->n, measured = 0, counts[QUALITY_LEVELS] = {0};
	uint32_t median, best = 0;

	for (size_t i = 0; i < n; i++) {
		usec_t connect = lb_load_of(p, i).connect;

		q->weights[i] = connect ? quality_of(connect) : UINT32_MAX;
		if (connect) {
			counts[q->weights[i]]++;
			measured++;
		}
	}
	median = median_quality(counts, measured);
	for (size_t i = 0; i < n; i++) {
		if (q->weights[i] == UINT32_MAX)
			q->weights[i] = median;
		best = q->weights[i] > best ? q->weights[i] : best;
	}
	for (size_t i = 0; best == 0 && i < n; i++)
		q->weights[i] = 1; /* all are beyond measure */
	q->total = lb_alias_build(q->alias, q->weights, n, q->room);
}

static size_t draw_quality(const struct lb_pick *p)
{
	const struct quality *q = quality_state(p->state);

	return lb_alias_draw(q->alias, p->table->n, q->total, p->rng);
}

/* Those that are too slow to be drawn are better than nobody. */
static size_t scan_quality(const struct lb_pick *p)
{
	const struct quality *q = quality_state(p->state);
	size_t member = lb_pick_among(p, q->weights, 0, p->table->n);

	return member != LB_NONE ? member : lb_pick_scanned(p);
}

static size_t pick_quality(const struct lb_pick *p)
{
	struct quality *q = quality_state(p->state);
	size_t most = p->table->n > WEIGH_AFTER_MOST ? p->table->n : WEIGH_AFTER_MOST;

	if (q->picks_left == 0) {
		weigh(p, q);
		q->picks_left = q->interval;
		q->interval = 2 * q->interval < most ? 2 * q->interval : most;
	}
	q->picks_left--;
	return lb_pick_drawn(p, draw_quality, scan_quality);
}

const struct lb_ops lb_quality_ops = {
    .state_size = quality_size,
    .start = start_quality,
    .pick = pick_quality,
};
