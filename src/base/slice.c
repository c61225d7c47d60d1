#include "base/slice.h"

#include "base/mem.h"

int slice_cmp(struct slice a, struct slice b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common ? memcmp(a.data, b.data, common) : 0;

	if (order)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

bool slice_to_u64(struct slice s, uint64_t *value)
{
	uint64_t sum = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)s.data[i] - '0';

		if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
			return false;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return true;
}

__extension__ typedef unsigned __int128 wide_t;

static uint64_t fold(uint64_t a, uint64_t b)
{
	wide_t product = (wide_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * Eight bytes at a time: a call looks its counters up by some fifty bytes of labels. What it is
 * multiplied with comes out of the seed, and both halves of the product count: otherwise names
 * could be made that collide under any seed, in their upper bits for a start, which no factor moves
 * down.
 */
uint64_t slice_hash(struct slice s, uint64_t seed)
{
	const uint64_t golden = 0x9e3779b97f4a7c15u; /* 2^64 by the golden ratio */
	uint64_t factor = fold(seed ^ golden, golden) | 1;
	uint64_t h = fold(seed ^ s.len ^ golden, factor), word = 0;

	for (; s.len >= sizeof word; s = slice_from(s, sizeof word)) {
		memcpy(&word, s.data, sizeof word);
		h = fold(h ^ word, factor) + golden;
	}
	word = 0;
	if (s.len)
		memcpy(&word, s.data, s.len);
	return fold(h ^ word, factor);
}

char *slice_dup(struct slice s)
{
	char *copy = mem_alloc(s.len + 1);

	if (s.len)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}
