#include "policy/lb.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include <xxhash.h>

#include "base/mem.h"
#include "policy/lb_impl.h"

#define EARTH_RADIUS 6378100.0 /* metres; source: rpcx client/geo_utils.go */

uint64_t lb_hash(struct slice key)
{
	return XXH64(key.data, key.len, 0);
}

double lb_distance(double latitude1, double longitude1, double latitude2, double longitude2)
{
	const double radian = 3.14159265358979323846 / 180;
	double half_north = sin((latitude2 - latitude1) * radian / 2);
	double half_east = sin((longitude2 - longitude1) * radian / 2);
	double h = half_north * half_north +
		   cos(latitude1 * radian) * cos(latitude2 * radian) * half_east * half_east;

	return 2 * EARTH_RADIUS * asin(sqrt(h < 1 ? h : 1));
}

/* ---- tables ---- */

static const struct lb_ops *ops_of(const struct lb_table *t)
{
	switch (t->options.type) {
	case LB_WEIGHTED_ROUND_ROBIN:
		if (t->is_even)
			return &lb_plain_ops;
		return lb_sequence_fits(t) ? &lb_sequence_ops : &lb_stride_ops;
	case LB_INTERLEAVED_WEIGHTED_ROUND_ROBIN:
		return t->is_even ? &lb_plain_ops : &lb_interleaved_ops;
	case LB_WEIGHTED_RANDOM:
		return t->is_even ? &lb_even_ops : &lb_weighted_ops;
	case LB_ROUND_ROBIN:
		return &lb_plain_ops;
	case LB_RANDOM:
		return &lb_even_ops;
	case LB_LEAST_REQUEST:
		return &lb_least_ops;
	case LB_PEAK_EWMA:
		return &lb_ewma_ops;
	case LB_CONSISTENT_HASH:
		return &lb_ring_ops;
	case LB_MAGLEV:
		return &lb_maglev_ops;
	case LB_CLOSEST:
		return &lb_closest_ops;
	case LB_NETWORK_QUALITY:
		return &lb_quality_ops;
	case LB_TYPES:
		break;
	}
	return &lb_plain_ops;
}

/* An endpoint of the list on its way to become a member. */
struct candidate {
	struct lb_endpoint endpoint;
	uint32_t id;
};

static int compare_keys(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return slice_cmp(x->endpoint.key, y->endpoint.key);
}

static size_t find_candidates(
    struct candidate *found, const struct lb_endpoint *list, const uint32_t *ids, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		if (list[i].weight > 0)
			found[count++] = (struct candidate){list[i], ids ? ids[i] : (uint32_t)i};
	return count;
}

static uint32_t divisor(uint32_t a, uint32_t b)
{
	while (b) {
		uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static void add_members(struct lb_table *t, const struct candidate *list, size_t n)
{
	t->ids = mem_alloc((2 * n + 1) * sizeof *t->ids);
	t->weights = t->ids + n;
	t->n = n;
	t->is_even = true;
	for (size_t i = 0; i < n; i++) {
		t->ids[i] = list[i].id;
		t->weights[i] = list[i].endpoint.weight;
		t->total += t->weights[i];
		t->gcd = divisor(t->weights[i], t->gcd);
		t->is_even &= t->weights[i] == t->weights[0];
	}
}

static void build(struct lb_table *t, struct candidate *list)
{
	struct lb_endpoint *endpoints;

	if (t->n == 0 || t->ops->build == NULL)
		return;
	endpoints = mem_alloc(t->n * sizeof *endpoints);
	for (size_t i = 0; i < t->n; i++)
		endpoints[i] = list[i].endpoint;
	t->ops->build(t, endpoints);
	free(endpoints);
}

static bool is_by_key(enum lb_type type)
{
	return type == LB_CONSISTENT_HASH || type == LB_MAGLEV;
}

struct lb_table *lb_table_new(
    const struct lb_options *options, const struct lb_endpoint *list, const uint32_t *ids, size_t n)
{
	struct lb_table *t = mem_calloc(1, sizeof *t);
	struct candidate *found = mem_alloc((n + 1) * sizeof *found);
	size_t count = find_candidates(found, list, ids, n);

	ref_init(&t->ref);
	t->options = *options;
	/* Rings must not depend on the order in which discovery tells of the endpoints. */
	if (is_by_key(options->type) && count)
		qsort(found, count, sizeof *found, compare_keys);
	add_members(t, found, count);
	t->ops = ops_of(t);
	build(t, found);
	free(found);
	return t;
}

struct lb_table *lb_table_ref(struct lb_table *table)
{
	ref_take(&table->ref);
	return table;
}

void lb_table_unref(struct lb_table **table)
{
	struct lb_table *t = *table;

	*table = NULL;
	if (t == NULL || !ref_drop(&t->ref))
		return;
	free(t->data);
	free(t->ids);
	free(t);
}

size_t lb_table_size(const struct lb_table *table)
{
	return sizeof *table + (2 * table->n + 1) * sizeof *table->ids + table->data_size;
}

/* ---- states ---- */

size_t lb_state_bare(const struct lb_table *t)
{
	(void)t;
	return sizeof(struct lb_state);
}

struct lb_state *lb_state_new(const struct lb_table *table, struct rng *rng)
{
	struct lb_state *st = mem_calloc(1, table->ops->state_size(table));

	st->table = table;
	if (table->n && table->ops->start)
		table->ops->start(st, rng);
	return st;
}

void lb_state_free(struct lb_state **state)
{
	free(*state);
	*state = NULL;
}

/* ---- picks ---- */

size_t lb_pick(const struct lb_table *table, struct lb_state *state, const struct lb_view *view,
    uint64_t hash, struct rng *rng)
{
	struct lb_pick p = {table, state, view, hash, rng, NULL};
	size_t member;

	assert(state->table == table);
	if (table->n == 0)
		return LB_NONE;
	member = table->ops->pick(&p);
	return member == LB_NONE ? LB_NONE : table->ids[member];
}

bool lb_is_usable(const struct lb_pick *p, size_t member)
{
	return p->view->is_usable(p->view->arg, p->table->ids[member]);
}

unsigned lb_share(const struct lb_pick *p, size_t member)
{
	return p->view->share ? p->view->share(p->view->arg, p->table->ids[member]) : 256;
}

bool lb_is_accepted(const struct lb_pick *p, size_t member)
{
	unsigned share = lb_share(p, member);

	return share >= 256 || rng_next(p->rng) >> 56 < share;
}

struct lb_load lb_load_of(const struct lb_pick *p, size_t member)
{
	if (p->view->load == NULL)
		return (struct lb_load){0};
	return p->view->load(p->view->arg, p->table->ids[member]);
}

size_t lb_pick_drawn(const struct lb_pick *p, size_t (*draw)(const struct lb_pick *p),
    size_t (*scan)(const struct lb_pick *p))
{
	unsigned passed_over = 0;

	for (unsigned probe = 0; probe < LB_PROBES; probe++) {
		size_t member = draw(p);

		if (!lb_is_usable(p, member))
			continue;
		if (passed_over == LB_REDRAWS || lb_is_accepted(p, member))
			return member;
		passed_over++;
	}
	return scan(p);
}

size_t lb_pick_among(const struct lb_pick *p, const uint32_t *weights, size_t first, size_t n)
{
	uint64_t total = 0, at;

	for (size_t i = first; i < first + n; i++)
		total += lb_is_usable(p, i) ? weights[i] : 0;
	if (total == 0)
		return LB_NONE;
	at = rng_below(p->rng, total);
	for (size_t i = first; i < first + n; i++) {
		uint64_t weight = lb_is_usable(p, i) ? weights[i] : 0;

		if (at < weight)
			return i;
		at -= weight;
	}
	return LB_NONE; /* fewer are usable than a moment ago */
}

size_t lb_pick_scanned(const struct lb_pick *p)
{
	return lb_pick_among(p, p->table->weights, 0, p->table->n);
}
