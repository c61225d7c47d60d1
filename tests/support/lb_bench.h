/* Endpoints, what is known of them, and a balancer among them: what tests of balancing pick
 * with. */
#ifndef BRIDLE_TESTS_LB_BENCH_H
#define BRIDLE_TESTS_LB_BENCH_H

#include "base/rng.h"
#include "policy/lb.h"

struct lb_bench {
	struct lb_options options; /* set before lb_bench_build */
	struct rng rng;
	struct lb_table *table;
	struct lb_state *state;
	struct lb_view view; /* without shares unless a test sets view.share to lb_bench_share */
	size_t n;
	struct lb_endpoint *endpoints; /* owned, like the rest: one for each endpoint */
	char (*keys)[24];
	bool *is_out;
	unsigned *shares;
	struct lb_load *loads;
	size_t *picked;
};

/* Endpoints 10.0.0.0:80, 10.0.0.1:80, ... all in, with no load. @weights: NULL: 1 each. */
void lb_bench_init(struct lb_bench *b, enum lb_type type, const uint32_t *weights, size_t n);
/* The table by what the bench has now, and a state that begins by @seed. */
void lb_bench_build(struct lb_bench *b, uint64_t seed);
/* Both. */
void lb_bench_start(
    struct lb_bench *b, enum lb_type type, const uint32_t *weights, size_t n, uint64_t seed);
void lb_bench_free(struct lb_bench *b);

unsigned lb_bench_share(const void *arg, size_t endpoint);

/* One pick by chance, not counted. */
size_t lb_bench_pick(struct lb_bench *b);
/* Counts; fails the test when nobody is picked, or somebody who is out or weighs nothing while @b
 * has others. */
void lb_bench_picks(struct lb_bench *b, size_t times);
void lb_bench_forget(struct lb_bench *b);

/* Whether the picks counted are in proportion to @parts (NULL: the weights) but for chance:
 * Pearson's chi-square within five standard deviations of its mean. */
bool lb_bench_is_fair(const struct lb_bench *b, const double *parts);

#endif
