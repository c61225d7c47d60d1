/*
 * The states of a limit, one for each key, in memory of a fixed size that all workers share: sets
 * of eight, in which the one unused for the longest gives way to a new key. What somebody holds (a
 * running call has a slot of it, say) does not give way. Private to limit_tally.c.
 */
#ifndef BRIDLE_MODEL_LIMIT_POTS_H
#define BRIDLE_MODEL_LIMIT_POTS_H

#include "policy/limiter.h"

/*
 * What is counted for one key. Also for one caller's part of such a state, with share: equal.
 */
struct limit_pot {
	_Atomic uint64_t key; /* private: of whom (44 bits of the hash), held how many times (20) */
	_Atomic uint64_t used; /* private: when last */
	struct limiter limiter;
	_Atomic uint32_t running, queued;
	_Atomic uint64_t seen;      /* a part: the last span in which it counted as active */
	_Atomic uint64_t active[2]; /* a whole: of a span (32 bits), so many parts (32 bits) */
};

#define LIMIT_POTS 16384u

struct limit_pots;

struct limit_pots *limit_pots_new(void);
void limit_pots_free(struct limit_pots **pots);
/* The state of the key with that hash, held until limit_pots_let_go. When all that it could
 * replace are held it is one that such keys share. */
struct limit_pot *limit_pots_hold(struct limit_pots *pots, uint64_t hash, usec_t now);
void limit_pots_let_go(struct limit_pot *pot);
/* The name of a state that is held: 0 .. LIMIT_POTS. */
uint32_t limit_pots_index(const struct limit_pots *pots, const struct limit_pot *pot);
struct limit_pot *limit_pots_at(struct limit_pots *pots, uint32_t index);

#endif
