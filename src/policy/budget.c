#include "policy/budget.h"

/* A slot's word: the second it counts (32 bits), how many (32 bits). */
static uint32_t second_of(usec_t now)
{
	return (uint32_t)(now / USEC_S);
}

static uint32_t count_of(uint64_t word, uint32_t second)
{
	return (uint32_t)(word >> 32) == second ? (uint32_t)word : 0;
}

static uint64_t one_more(uint64_t word, uint32_t second)
{
	uint32_t count = count_of(word, second);

	return (uint64_t)second << 32 | (count == UINT32_MAX ? count : count + 1);
}

/* A thread whose now is from before a slot was taken over for a later second. */
static bool is_past(uint64_t word, uint32_t second)
{
	return (uint32_t)(word >> 32) > second;
}

void budget_count_call(struct budget *b, usec_t now)
{
	uint32_t second = second_of(now);
	_Atomic uint64_t *slot = &b->slots[second % (BUDGET_SECONDS + 1)].calls;
	uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);

	/* Relaxed, here and below: each word says by itself what it counts. */
	do {
		if (is_past(word, second))
			return;
	} while (!atomic_compare_exchange_weak_explicit(
	    slot, &word, one_more(word, second), memory_order_relaxed, memory_order_relaxed));
}

struct budget_sum {
	uint64_t calls, retries;
};

/* Of the seconds that end with @second. */
static struct budget_sum sum(const struct budget *b, uint32_t second)
{
	struct budget_sum sum = {0};

	for (uint32_t i = 0; i < BUDGET_SECONDS && i <= second; i++) {
		const struct budget_slot *slot = &b->slots[(second - i) % (BUDGET_SECONDS + 1)];

		sum.calls +=
		    count_of(atomic_load_explicit(&slot->calls, memory_order_relaxed), second - i);
		sum.retries += count_of(
		    atomic_load_explicit(&slot->retries, memory_order_relaxed), second - i);
	}
	return sum;
}

/* One of the share. The count of this second is read before the others and goes up only from
 * what was read, so that two threads do not take the same last one. */
static bool take_share(struct budget *b, double share, usec_t now)
{
	uint32_t second = second_of(now);
	_Atomic uint64_t *slot = &b->slots[second % (BUDGET_SECONDS + 1)].retries;
	uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);

	do {
		struct budget_sum used = sum(b, second);

		if (is_past(word, second) ||
		    (double)(used.retries + 1) > share * (double)used.calls)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    slot, &word, one_more(word, second), memory_order_relaxed, memory_order_relaxed));
	return true;
}

bool budget_take(struct budget *b, double share, usec_t now)
{
	static const struct rate floor = {.count = BUDGET_FLOOR, .per = USEC_S};

	return take_share(b, share, now) || limiter_take(&b->floor, floor, BUDGET_FLOOR, now);
}
