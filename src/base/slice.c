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

uint64_t slice_hash(struct slice s, uint64_t seed)
{
	uint64_t h = seed ^ 0xcbf29ce484222325u; /* FNV-1a's basis; the seed keeps tables apart */

	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.data[i]) * 0x100000001b3u;
	h ^= h >> 32;
	return h * 0x9e3779b97f4a7c15u;
}

char *slice_dup(struct slice s)
{
	char *copy = mem_alloc(s.len + 1);

	if (s.len)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return copy;
}
