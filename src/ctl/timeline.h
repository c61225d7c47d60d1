/*
 * Virtual time: timers in the order in which they are due, and the jump from each to the next. Two
 * that are due at the same time fire in the order in which they were set, so that a run can be
 * repeated.
 */
#ifndef BRIDLE_CTL_TIMELINE_H
#define BRIDLE_CTL_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

struct moment;
typedef void (*moment_fn)(struct moment *moment);

/* Embedded in its owner; all zero is "not set". */
struct moment {
	usec_t at;
	uint64_t order;
	size_t place; /* in the heap, from 1; 0: not set */
	moment_fn fire;
};

struct timeline {
	usec_t now;
	uint64_t order;
	struct moment **heap; /* owned; the moments are not */
	size_t n, room;
};

void timeline_init(struct timeline *t, usec_t now);
void timeline_fini(struct timeline *t);
/* Sets or moves it; one in the past is due now. USEC_NONE clears it. */
void timeline_set(struct timeline *t, struct moment *m, usec_t at, moment_fn fire);
void timeline_clear(struct timeline *t, struct moment *m);
/* Goes on to the next moment and fires it. False when there is none. */
bool timeline_step(struct timeline *t);

#endif
