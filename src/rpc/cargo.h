/*
 * What there is to put into a carrier: the facts of a call, and its metadata under the keys of a
 * TTHeader, whatever form it came in. Where it goes is carry.c's business. Private to rpc/.
 */
#ifndef BRIDLE_RPC_CARGO_H
#define BRIDLE_RPC_CARGO_H

#include "rpc/carry.h"
#include "rpc/changes.h"

#define CARGO_STRINGS 4u /* of Base, from LogID to Client */

struct cargo_pair {
	struct slice key, value;
	uint64_t hash; /* of the key, once there are many of them */
	bool is_due;   /* it is to be written, and has not been */
	bool is_said;  /* the carrier has a value for it already, which counts */
};

struct cargo {
	struct slice strings[CARGO_STRINGS]; /* of Base, by id - 1; empty: not known */
	struct cargo_pair pairs[RPC_CARRY_ENTRIES];
	unsigned n, n_facts; /* facts come first */
	bool is_hashed;      /* private */
	bool is_over;        /* there were more */
	size_t bytes;        /* of the pairs, on the wire */
	bool is_alone;       /* nothing but the carrier has them: what has no place in it is lost */
	bool is_asked;       /* there are changes */
	struct changes changes;
	char deadline[24];
};

#define CARGO_PAIR_EXTRA 8u /* two lengths */

/* Collects it; what is lost is counted in @edit. Views into everything that it is given. */
void cargo_collect(struct cargo *cargo, const struct rpc_message *m, struct rpc_edit *edit,
    const struct rpc_carrier *carrier, const struct rpc_carry_facts *facts, struct arena *arena);

/* NULL: there is none with this key. */
struct cargo_pair *cargo_find(struct cargo *cargo, struct slice key);
/* Does a change name this key? */
bool cargo_is_named(const struct cargo *cargo, struct slice key);

#endif
