/*
 * A timer wheel: setting and clearing a timer cost the same however many there are. Ticks of one
 * millisecond; a timer never fires early and at most one tick late. Pure: somebody else says what
 * time it is and calls wheel_run.
 */
#ifndef BRIDLE_BASE_WHEEL_H
#define BRIDLE_BASE_WHEEL_H

#include "base/clock.h"
#include "base/list.h"

#define WHEEL_LEVELS 4
#define WHEEL_SLOTS  64

struct timer;
typedef void (*timer_fn)(struct timer *timer, usec_t now);

/* Embedded in its owner; all zero is "not set". */
struct timer {
	struct list link;
	usec_t at; /* when it is due, while it is set */
	timer_fn fire;
};

struct wheel {
	struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
	uint64_t bits[WHEEL_LEVELS]; /* which slots may hold something */
	struct list due;
	uint64_t tick; /* all timers up to this tick have fired */
};

void wheel_init(struct wheel *w, usec_t now);
/* Sets or moves the timer; USEC_NONE clears it. */
void wheel_set(struct wheel *w, struct timer *t, usec_t at, timer_fn fire);
void wheel_clear(struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
	return t->link.next != NULL && !list_is_empty(&t->link);
}

/* Fires what is due, each timer cleared first; a callback may set and clear any timer. */
void wheel_run(struct wheel *w, usec_t now);
/* A time at or before the first timer is due, USEC_NONE when none is set. */
usec_t wheel_next(struct wheel *w);

#endif
