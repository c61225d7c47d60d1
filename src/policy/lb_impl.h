/*
 * What the families of balancers share; private to lb*.c. A family is an lb_ops: what it builds for
 * all, where a worker starts, and how it picks. Within a table endpoints are members: those of
 * weight above 0, numbered from 0.
 */
#ifndef BRIDLE_POLICY_LB_IMPL_H
#define BRIDLE_POLICY_LB_IMPL_H

#include "base/ref.h"
#include "base/rng.h"
#include "policy/lb.h"

struct lb_table {
	struct ref ref;
	const struct lb_ops *ops;
	struct lb_options options;
	uint32_t *ids, *weights; /* of the members; one owned allocation */
	size_t n;
	uint64_t total; /* of the weights */
	uint32_t gcd;
	bool is_even;     /* all weights are equal */
	void *data;       /* owned: what ops->build made, one allocation */
	size_t data_size; /* bytes */
};

/* The head of what a family keeps for each worker. */
struct lb_state {
	const struct lb_table *table; /* borrowed */
};

/* One pick. */
struct lb_pick {
	const struct lb_table *table;
	struct lb_state *state;
	const struct lb_view *view;
	uint64_t hash;
	struct rng *rng;
	const void *part; /* of the members, for families that go through them by parts */
};

struct lb_ops {
	/* Fills table->data; NULL: there is nothing to build. @list[i] is member i. */
	void (*build)(struct lb_table *t, const struct lb_endpoint *list);
	size_t (*state_size)(const struct lb_table *t); /* struct lb_state is its first member */
	void (*start)(struct lb_state *st, struct rng *rng); /* NULL: zero bytes are a start */
	size_t (*pick)(const struct lb_pick *p);             /* a member, or LB_NONE */
};

extern const struct lb_ops lb_plain_ops, lb_sequence_ops, lb_stride_ops, lb_interleaved_ops;
extern const struct lb_ops lb_even_ops, lb_weighted_ops;
extern const struct lb_ops lb_least_ops, lb_ewma_ops;
extern const struct lb_ops lb_ring_ops, lb_maglev_ops;
extern const struct lb_ops lb_closest_ops, lb_quality_ops;

/* Is the smooth sequence of this table short enough to be written down? */
bool lb_sequence_fits(const struct lb_table *t);

/* So many members are tried before all are looked at. */
#define LB_PROBES 16u
/* A new endpoint that was drawn is passed over at most so often in one pick. */
#define LB_REDRAWS 3u

/* The state of families that keep nothing. */
size_t lb_state_bare(const struct lb_table *t);

bool lb_is_usable(const struct lb_pick *p, size_t member);
/* The part of its weight that the member has by now, in 1/256. */
unsigned lb_share(const struct lb_pick *p, size_t member);
/* Takes it with the probability of its share. */
bool lb_is_accepted(const struct lb_pick *p, size_t member);
struct lb_load lb_load_of(const struct lb_pick *p, size_t member);

/* Draws until a usable member comes; after LB_PROBES in vain it is the scan's. */
size_t lb_pick_drawn(const struct lb_pick *p, size_t (*draw)(const struct lb_pick *p),
    size_t (*scan)(const struct lb_pick *p));
/* One of the usable by weight: looks at all of them. */
size_t lb_pick_scanned(const struct lb_pick *p);
/* The same by other weights, among @n members from @first on. */
size_t lb_pick_among(const struct lb_pick *p, const uint32_t *weights, size_t first, size_t n);

/* Where hashes lead: points in their order, each with the member that owns it. */
struct lb_circle {
	const uint32_t *owners;
	size_t n;
	const uint64_t *names; /* the hash of each member's key */
};

/*
 * The owner of the point, or of the nearest one after it whose owner is usable. Chance plays no
 * part, so that all sidecars agree: which keys a new endpoint has yet is the hash's to say.
 */
size_t lb_pick_walking(const struct lb_pick *p, const struct lb_circle *circle, size_t point);
/* The hash of each member's key, into @names. */
void lb_hash_names(uint64_t *names, const struct lb_endpoint *list, size_t n);

/*
 * Alias tables (Vose, "A linear algorithm for generating random numbers with a given distribution",
 * 1991) in whole numbers, so that shares are exact: an entry is taken when a number below the total
 * of weights is below its bound, else the other one.
 */
struct lb_alias {
	uint64_t bound;
	uint32_t other;
};

/* @room: @n places to work in. At least one of the weights is above 0; returns their total. */
uint64_t lb_alias_build(struct lb_alias *alias, const uint32_t *weights, size_t n, uint32_t *room);
size_t lb_alias_draw(const struct lb_alias *alias, size_t n, uint64_t total, struct rng *rng);
/* An lb_ops.build: table->data is the alias table of the weights. */
void lb_build_alias(struct lb_table *t, const struct lb_endpoint *list);

/*
 * Smooth order without a written sequence: the k-th turn of a weight w is at (2k + 1) / 2w of a
 * round, the next turn is on top of a heap. Turns are whole numbers, so the shares of a round are
 * exact.
 */
struct lb_stride {
	uint64_t at; /* of the next turn: rounds in the upper half, the part of one in the lower */
	uint32_t turns; /* had in this round */
	uint32_t member;
};

/* Begins at @phase (in 1/2^32) of a round. */
void lb_stride_init(struct lb_stride *heap, const uint32_t *weights, size_t n, uint32_t phase);
/* The member whose turn it is. */
size_t lb_stride_next(struct lb_stride *heap, const uint32_t *weights, size_t n);

#endif
