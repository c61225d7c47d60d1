/*
 * Balancing by load: of a few drawn by weight the one with the least to do for its weight. Two
 * choices are enough to keep the longest queue short (Mitzenmacher, "The power of two choices in
 * randomized load balancing", 1996), and a worker that knows only its own calls does no harm.
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

/* Begins anywhere, so that not the first has every tie. */
static void consider_all(const struct lb_pick *p, struct choice *best, lighter_fn is_lighter)
{
	size_t n = p->table->n, from = (size_t)rng_below(p->rng, n);
	bool is_last_resort = best->member == LB_NONE;

	for (size_t i = 0; i < n; i++) {
		size_t member = from + i < n ? from + i : from + i - n;

		if (member != best->member && lb_is_usable(p, member) &&
		    (is_last_resort || lb_is_accepted(p, member)))
			consider(p, member, best, is_lighter);
	}
}

static void consider_drawn(
    const struct lb_pick *p, unsigned wanted, struct choice *best, lighter_fn is_lighter)
{
	const struct lb_table *t = p->table;
	unsigned passed_over = 0, found = 0;

	for (unsigned probe = 0; found < wanted && probe < LB_PROBES + wanted; probe++) {
		size_t member = lb_alias_draw(t->data, t->n, t->total, p->rng);

		if (member == best->member || !lb_is_usable(p, member))
			continue;
		if (passed_over < LB_REDRAWS && !lb_is_accepted(p, member)) {
			passed_over++;
			continue;
		}
		consider(p, member, best, is_lighter);
		found++;
	}
}

/* Where all may be considered, the first one drawn still decides who has the ties. */
static size_t pick_lightest(const struct lb_pick *p, lighter_fn is_lighter)
{
	unsigned choices = p->table->options.choices;
	bool is_of_all = choices > 1 && p->table->n <= choices;
	struct choice best = {.member = LB_NONE};

	consider_drawn(p, is_of_all || choices == 0 ? 1 : choices, &best, is_lighter);
	if (is_of_all || best.member == LB_NONE)
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
