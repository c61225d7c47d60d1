/*
 * Consistent hashing by a ring of points, the hashes of "ADDRESS#SERIAL" with serials from 0: a key
 * goes to the owner of the first point above its hash. As in Kitex (pkg/loadbalance/consist.go),
 * but with a hash that is the same everywhere.
 */
#include "policy/lb_impl.h"

#include <stdlib.h>

#include "base/mem.h"

#define RING_POINTS (1u << 20) /* at most */
#define WALK        256u       /* points looked at before all members are */
#define KEY_MAX     512u
#define SERIAL_MAX  20u

struct ring {
	struct lb_circle circle;
	const uint64_t *points; /* ascending */
};

struct point {
	uint64_t hash;
	uint32_t owner;
};

/* ---- what rings and Maglev's tables share ---- */

void lb_hash_names(uint64_t *names, const struct lb_endpoint *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		names[i] = lb_hash(list[i].key);
}

/* Spreads every bit over all; source: MurmurHash3's 64-bit finalizer. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
	return x ^ x >> 33;
}

/* The highest of hash and name mixed: even, and the same wherever the same ones are usable. */
static size_t pick_highest(const struct lb_pick *p, const uint64_t *names)
{
	size_t best = LB_NONE;
	uint64_t highest = 0;

	for (size_t i = 0; i < p->table->n; i++) {
		uint64_t height = mix(p->hash ^ names[i]);

		if ((best == LB_NONE || height > highest) && lb_is_usable(p, i)) {
			best = i;
			highest = height;
		}
	}
	return best;
}

size_t lb_pick_walking(const struct lb_pick *p, const struct lb_circle *circle, size_t point)
{
	size_t last = LB_NONE, walk = circle->n < WALK ? circle->n : WALK;
	unsigned key_part = (unsigned)(mix(p->hash) >> 56), passed_over = 0;

	for (size_t i = 0; i < walk; i++) {
		size_t member = circle->owners[point];

		point = point + 1 == circle->n ? 0 : point + 1;
		if (member == last)
			continue;
		last = member;
		if (!lb_is_usable(p, member))
			continue;
		if (passed_over == LB_REDRAWS || key_part < lb_share(p, member))
			return member;
		passed_over++;
	}
	return pick_highest(p, circle->names);
}

/* ---- the ring ---- */

static size_t points_of(const struct lb_table *t, size_t member)
{
	uint64_t nodes = t->options.virtual_nodes ? t->options.virtual_nodes : 1;
	uint64_t spare = t->n < RING_POINTS ? RING_POINTS - t->n : 0;

	if (t->n == 1)
		return 1; /* every key is its; there may be thousands of groups of one */
	if (t->total <= RING_POINTS / nodes)
		return (size_t)(t->weights[member] * nodes);
	return 1 + (size_t)(t->weights[member] * spare / t->total);
}

/* "#SERIAL" at @to; returns its length. A million of them have to be written at times. */
static size_t write_serial(char *to, size_t serial)
{
	char digits[SERIAL_MAX];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + serial % 10);
		serial /= 10;
	} while (serial);
	to[0] = '#';
	for (size_t i = 0; i < n; i++)
		to[1 + i] = digits[n - 1 - i];
	return 1 + n;
}

static size_t add_points(struct point *list, struct slice key, uint32_t owner, size_t n)
{
	char text[KEY_MAX + 1 + SERIAL_MAX];
	size_t len = key.len < KEY_MAX ? key.len : KEY_MAX;

	if (len)
		memcpy(text, key.data, len);
	for (size_t i = 0; i < n; i++)
		list[i] = (struct point){
		    lb_hash(slice_of(text, len + write_serial(text + len, i))), owner};
	return n;
}

static bool is_behind(const struct point *a, const struct point *b)
{
	return a->hash != b->hash ? a->hash > b->hash : a->owner > b->owner;
}

/* Hashes are even, so by their first bits they are almost in their places. */
static void sort_points(struct point *list, size_t n)
{
	unsigned bits = 1;
	struct point *sorted = mem_alloc(n * sizeof *sorted);
	size_t *places;

	while (bits < 20 && (size_t)1 << bits < n)
		bits++;
	places = mem_calloc(((size_t)1 << bits) + 1, sizeof *places);
	for (size_t i = 0; i < n; i++)
		places[(list[i].hash >> (64 - bits)) + 1]++;
	for (size_t i = 1; i < (size_t)1 << bits; i++)
		places[i] += places[i - 1];
	for (size_t i = 0; i < n; i++)
		sorted[places[list[i].hash >> (64 - bits)]++] = list[i];
	for (size_t i = 0; i < n; i++) {
		size_t at = i;

		for (; at > 0 && is_behind(&list[at - 1], &sorted[i]); at--)
			list[at] = list[at - 1];
		list[at] = sorted[i];
	}
	free(places);
	free(sorted);
}

static void fill_ring(
    struct lb_table *t, const struct lb_endpoint *endpoints, const struct point *list, size_t n)
{
	struct ring *ring;
	uint64_t *names, *points;
	uint32_t *owners;

	t->data_size = sizeof *ring + t->n * sizeof *names + n * (sizeof *points + sizeof *owners);
	t->data = ring = mem_alloc(t->data_size);
	names = (uint64_t *)(ring + 1);
	points = names + t->n;
	owners = (uint32_t *)(points + n);
	for (size_t i = 0; i < n; i++) {
		points[i] = list[i].hash;
		owners[i] = list[i].owner;
	}
	lb_hash_names(names, endpoints, t->n);
	*ring = (struct ring){{owners, n, names}, points};
}

static void build_ring(struct lb_table *t, const struct lb_endpoint *list)
{
	struct point *points;
	size_t n = 0, at = 0;

	for (size_t i = 0; i < t->n; i++)
		n += points_of(t, i);
	points = mem_alloc(n * sizeof *points);
	for (size_t i = 0; i < t->n; i++)
		at += add_points(points + at, list[i].key, (uint32_t)i, points_of(t, i));
	sort_points(points, n);
	fill_ring(t, list, points, n);
	free(points);
}

static size_t pick_ring(const struct lb_pick *p)
{
	const struct ring *ring = p->table->data;
	size_t low = 0, high = ring->circle.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ring->points[middle] > p->hash)
			high = middle;
		else
			low = middle + 1;
	}
	return lb_pick_walking(p, &ring->circle, low == ring->circle.n ? 0 : low);
}

const struct lb_ops lb_ring_ops = {
    .build = build_ring,
    .state_size = lb_state_bare,
    .pick = pick_ring,
};
