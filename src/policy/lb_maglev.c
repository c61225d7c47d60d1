/*
 * Consistent hashing by lookup table, after Eisenbud et al., "Maglev: A Fast and Reliable Software
 * Network Load Balancer", 2016: members claim slots in turns, each by its own permutation of them.
 * More even and faster than a ring; when the set changes a few more keys move.
 */
#include "policy/lb_impl.h"

#include <stdlib.h>

#include <xxhash.h>

#include "base/mem.h"

/* Primes; source: the paper's two tables. There are no sizes between them, since another size is
 * another place for every key. */
#define SLOTS_FEW  65537u
#define SLOTS_MANY 655373u
#define SLOTS_EACH 100u
#define SLOTS_ONE  3u /* of one member: every key is its; there may be thousands of groups of one */

#define NOBODY UINT32_MAX

static size_t slots_of(const struct lb_table *t)
{
	if (t->n == 1)
		return SLOTS_ONE;
	return t->n <= SLOTS_FEW / SLOTS_EACH ? SLOTS_FEW : SLOTS_MANY;
}

/* The order in which a member wants slots: from `next` on, `skip` apart. */
struct wish {
	uint32_t next, skip;
	bool has_one;
};

static struct wish *wishes_of(const struct lb_endpoint *list, size_t n, size_t slots)
{
	struct wish *wishes = mem_alloc(n * sizeof *wishes);

	for (size_t i = 0; i < n; i++) {
		uint64_t other = XXH64(list[i].key.data, list[i].key.len, 1);

		wishes[i] = (struct wish){(uint32_t)(lb_hash(list[i].key) % slots),
		    (uint32_t)(other % (slots - 1)) + 1, false};
	}
	return wishes;
}

static void claim(uint32_t *owners, size_t slots, struct wish *w, uint32_t member)
{
	while (owners[w->next] != NOBODY) {
		w->next += w->skip; /* less than two rounds: a division would be slow */
		if (w->next >= slots)
			w->next -= (uint32_t)slots;
	}
	owners[w->next] = member;
}

/* Everybody gets one slot first, however small its weight; that counts as its first turn. */
static void claim_all(const struct lb_table *t, uint32_t *owners, size_t slots, struct wish *wishes)
{
	struct lb_stride *heap = mem_alloc(t->n * sizeof *heap);
	size_t left = slots;

	for (size_t i = 0; i < t->n && left > 0; i++, left--) {
		claim(owners, slots, &wishes[i], (uint32_t)i);
		wishes[i].has_one = true;
	}
	lb_stride_init(heap, t->weights, t->n, 0);
	while (left > 0) {
		size_t member = lb_stride_next(heap, t->weights, t->n);

		if (wishes[member].has_one) {
			wishes[member].has_one = false;
			continue;
		}
		claim(owners, slots, &wishes[member], (uint32_t)member);
		left--;
	}
	free(heap);
}

static void build_maglev(struct lb_table *t, const struct lb_endpoint *list)
{
	size_t slots = slots_of(t);
	struct wish *wishes = wishes_of(list, t->n, slots);
	struct lb_circle *circle;
	uint64_t *names;
	uint32_t *owners;

	t->data_size = sizeof *circle + t->n * sizeof *names + slots * sizeof *owners;
	t->data = circle = mem_alloc(t->data_size);
	names = (uint64_t *)(circle + 1);
	owners = (uint32_t *)(names + t->n);
	lb_hash_names(names, list, t->n);
	for (size_t i = 0; i < slots; i++)
		owners[i] = NOBODY;
	claim_all(t, owners, slots, wishes);
	*circle = (struct lb_circle){owners, slots, names};
	free(wishes);
}

static size_t pick_maglev(const struct lb_pick *p)
{
	const struct lb_circle *circle = p->table->data;

	return lb_pick_walking(p, circle, (size_t)(p->hash % circle->n));
}

const struct lb_ops lb_maglev_ops = {
    .build = build_maglev,
    .state_size = lb_state_bare,
    .pick = pick_maglev,
};
