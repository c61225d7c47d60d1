/* The heap of turns behind smooth orders that are too long to be written down. */
#include "policy/lb_impl.h"

/* Turns of all members are within two rounds of each other, so the difference tells the order even
 * when the count of rounds wraps. */
static bool is_before(const struct lb_stride *a, const struct lb_stride *b)
{
	int64_t ahead = (int64_t)(a->at - b->at);

	return ahead != 0 ? ahead < 0 : a->member < b->member;
}

/* Rounded down, a turn stays in its round: the shares of a round are exact. */
static uint64_t part_of_round(uint32_t turn, uint32_t weight)
{
	return ((2 * (uint64_t)turn + 1) << 31) / weight;
}

static void sift_down(struct lb_stride *heap, size_t n, size_t at)
{
	struct lb_stride moving = heap[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= n)
			break;
		if (child + 1 < n && is_before(&heap[child + 1], &heap[child]))
			child++;
		if (!is_before(&heap[child], &moving))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moving;
}

static void set_turn(struct lb_stride *s, uint32_t weight, uint64_t round)
{
	if (s->turns == weight) {
		s->turns = 0;
		round++;
	}
	s->at = (round << 32) + part_of_round(s->turns, weight);
}

/* How many turns lie before @phase: those with (2k + 1) x 2^31 below phase x weight. */
static uint32_t turns_before(uint32_t phase, uint32_t weight)
{
	uint64_t product = (uint64_t)phase * weight;
	uint64_t bound = (product >> 31) + ((product & 0x7fffffff) != 0);

	return (uint32_t)(bound / 2);
}

void lb_stride_init(struct lb_stride *heap, const uint32_t *weights, size_t n, uint32_t phase)
{
	for (size_t i = 0; i < n; i++) {
		heap[i].member = (uint32_t)i;
		heap[i].turns = turns_before(phase, weights[i]);
		set_turn(&heap[i], weights[i], 0);
	}
	for (size_t i = n / 2; i-- > 0;)
		sift_down(heap, n, i);
}

size_t lb_stride_next(struct lb_stride *heap, const uint32_t *weights, size_t n)
{
	size_t member = heap[0].member;

	heap[0].turns++;
	set_turn(&heap[0], weights[member], heap[0].at >> 32);
	sift_down(heap, n, 0);
	return member;
}
