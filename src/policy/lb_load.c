/*
 * Balancing by load: of a few drawn by weight the one with the least to do for its weight. Two choices
 * are enough to keep the longest queue short (Mitzenmacher, "The power of two choices in randomized load
 * balancing", 1996), and a worker that knows only its own calls does no harm.
 */
#include "policy/lb_impl.h"

/* A member with what tells how busy it is. */
struct choice {
	size_t member;
	struct lb_load load;
	double weight;
};

typedef bool (*lighter_fn)(const struct choice *a, const struct choice *b);

/*
 * Two that have nothing to do were drawn by weight; to weigh them again would leave the lesser one
 * without calls.
 */
static double crowd(const struct choice *a, const struct choice *b)
{
	if (a->load.in_flight == 0 && b->load.in_flight == 0)
		return 1;
	return ((double)a->load.in_flight + 1) / a->weight;
}

static bool has_less(const struct choice *a, const struct choice *b)
{
	return crowd(a, b) < crowd(b, a);
}

/* One of whom nothing is known yet is taken to be as fast as the other. */
static bool is_sooner(const struct choice *a, const struct choice *b)
{
	double of_a = (double)a->load.latency, of_b = (double)b->load.latency;

	if (a->load.latency == 0 || b->load.latency == 0)
		of_a = of_b = 1;
	return of_a * crowd(a, b) < of_b * crowd(b, a);
}

static void consider(
    const struct lb_pick *p, size_t member, struct choice *best, lighter_fn is_lighter)
{
	struct choice c = {member, lb_load_of(p, member), (double)p->table->weights[member]};

	if (best->member == LB_NONE || is_lighter(&c, best))
		*best = c;
}

/* The best of all, when drawing finds nobody; begins anywhere so that not the first has every tie. */
static void consider_all(const struct lb_pick *p, struct choice *best, lighter_fn is_lighter)
{
	size_t n = p->table->n, from = (size_t)rng_below(p->rng, n);

	for (size_t i = 0; i < n; i++) {
		size_t member = from + i < n ? from + i : from + i - n;

		if (lb_is_usable(p, member))
			consider(p, member, best, is_lighter);
	}
}

static unsigned choices_of(const struct lb_table *t)
{
	unsigned choices = t->options.choices ? t->options.choices : 1;

	return t->n < choices ? (unsigned)t->n : choices;
}

static size_t pick_lightest(const struct lb_pick *p, lighter_fn is_lighter)
{
	const struct lb_table *t = p->table;
	unsigned wanted = choices_of(t), found = 0, passed_over = 0;
	struct choice best = {.member = LB_NONE};

	for (unsigned probe = 0; found < wanted && probe < LB_PROBES + wanted; probe++) {
		size_t member = lb_alias_draw(t->data, t->n, t->total, p->rng);

		if (member == best.member || !lb_is_usable(p, member))
			continue;
		if (passed_over < LB_REDRAWS && !lb_is_accepted(p, member)) {
			passed_over++;
			continue;
		}
		consider(p, member, &best, is_lighter);
		found++;
	}
	if (found == 0)
		consider_all(p, &best, is_lighter);
	return best.member;
}

static size_t pick_least(const struct lb_pick *p)
{
	return pick_lightest(p, has_less);
}

static size_t pick_ewma(const struct lb_pick *p)
{
	return pick_lightest(p, is_sooner);
}

const struct lb_ops lb_least_ops = {
    .build = lb_build_alias,
    .state_size = lb_state_bare,
    .pick = pick_least,
};

const struct lb_ops lb_ewma_ops = {
    .build = lb_build_alias,
    .state_size = lb_state_bare,
    .pick = pick_ewma,
};
