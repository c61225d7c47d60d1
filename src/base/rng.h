/* A seedable generator (xoshiro256**), passed to whoever decides by chance. Not for secrets. */
#ifndef BRIDLE_BASE_RNG_H
#define BRIDLE_BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* Even over 0 .. @bound-1; @bound is not 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);
/* True for that share (0..1) of all times; at 0, 1 and beyond @r is not asked and may be NULL. */
bool rng_chance(struct rng *r, double share);

#endif
