#include "base/rng.h"

static uint64_t rotate(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

/* splitmix64 spreads one seed over the state, as the generator's authors advise. */
void rng_init(struct rng *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15u;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		r->s[i] = z ^ z >> 31;
	}
}

uint64_t rng_next(struct rng *r)
{
	uint64_t *s = r->s;
	uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
	uint64_t threshold = -bound % bound; /* values under it would favour the low results */
	uint64_t x;

	do
		x = rng_next(r);
	while (x < threshold);
	return x % bound;
}

bool rng_chance(struct rng *r, double share)
{
	if (share >= 1)
		return true;
	if (!(share > 0))
		return false;
	return (double)(rng_next(r) >> 11) * 0x1p-53 < share;
}
