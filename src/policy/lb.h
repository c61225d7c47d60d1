/*
 * Balancing: which endpoint gets the next attempt. Pure: the state is the caller's, chance comes in
 * as an argument, and what is known of the endpoints comes as an array of views.
 */
#ifndef BRIDLE_POLICY_LB_H
#define BRIDLE_POLICY_LB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng;

enum lb_type { LB_ROUND_ROBIN, LB_SMOOTH_WEIGHTED, LB_RANDOM };

struct lb_view {
	uint32_t weight; /* 0: gets nothing */
	bool is_usable;  /* false: down, or tried already */
};

/* What moves between picks; one for each service and worker. */
struct lb_state {
	size_t position;  /* round robin: the next one to look at */
	int64_t *current; /* owned; smooth weighted: one for each endpoint */
	size_t n;
};

#define LB_NONE SIZE_MAX

/* For @n endpoints; round robin starts anywhere, so that many sidecars do not start alike. */
void lb_state_init(struct lb_state *st, size_t n, struct rng *rng);
void lb_state_fini(struct lb_state *st);

/* The index of the endpoint, or LB_NONE when none is usable. @n is that of the state. */
size_t lb_pick(
    enum lb_type type, struct lb_state *st, const struct lb_view *views, size_t n, struct rng *rng);

#endif
