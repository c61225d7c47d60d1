/*
 * Level 0 has one slot a tick, each further level one slot for a whole turn of the level below. A
 * timer waits in the finest level whose turn reaches it; when the wheel gets to a slot of a higher
 * level, its timers are put in anew, closer. What is further away than the top level reaches waits
 * in its last slot and is put in again from there.
 */
#include "base/wheel.h"

#define TICK       USEC_MS
#define LEVEL_BITS 6

_Static_assert(1 << LEVEL_BITS == WHEEL_SLOTS, "slots are indexed by whole bits");

static uint64_t tick_of(usec_t at)
{
	return at / TICK + (at % TICK != 0); /* up: never early */
}

void wheel_init(struct wheel *w, usec_t now)
{
	for (int level = 0; level < WHEEL_LEVELS; level++) {
		w->bits[level] = 0;
		for (int slot = 0; slot < WHEEL_SLOTS; slot++)
			list_init(&w->slots[level][slot]);
	}
	list_init(&w->due);
	w->tick = now / TICK;
}

/* @earliest: the first tick whose slot has still to come up. */
static void place(struct wheel *w, struct timer *t, uint64_t earliest)
{
	uint64_t tick = tick_of(t->at), ahead;
	int level = 0;

	if (tick < earliest)
		tick = earliest;
	ahead = tick - w->tick;
	while (level < WHEEL_LEVELS - 1 && ahead >> (LEVEL_BITS * (level + 1)))
		level++;
	if (ahead >> (LEVEL_BITS * WHEEL_LEVELS))
		tick = w->tick + (UINT64_C(1) << (LEVEL_BITS * WHEEL_LEVELS)) - 1;
	unsigned slot = (tick >> (LEVEL_BITS * level)) % WHEEL_SLOTS;

	list_push_back(&w->slots[level][slot], &t->link);
	w->bits[level] |= UINT64_C(1) << slot;
}

void wheel_set(struct wheel *w, struct timer *t, usec_t at, timer_fn fire)
{
	wheel_clear(t);
	if (at == USEC_NONE)
		return;
	t->at = at;
	t->fire = fire;
	place(w, t, w->tick + 1);
}

void wheel_clear(struct timer *t)
{
	if (t->link.next == NULL)
		list_init(&t->link);
	list_remove(&t->link);
}

/* Moves a slot's timers to the end of @to. */
static void take_slot(struct wheel *w, int level, unsigned slot, struct list *to)
{
	struct list *link;

	w->bits[level] &= ~(UINT64_C(1) << slot);
	while ((link = list_pop_front(&w->slots[level][slot])))
		list_push_back(to, link);
}

static void cascade(struct wheel *w)
{
	for (int level = 1; level < WHEEL_LEVELS; level++) {
		unsigned slot = (w->tick >> (LEVEL_BITS * level)) % WHEEL_SLOTS;
		struct list again, *link;

		list_init(&again);
		take_slot(w, level, slot, &again);
		while ((link = list_pop_front(&again)))
			place(w, list_item(link, struct timer, link), w->tick);
		if (slot)
			break;
	}
}

void wheel_run(struct wheel *w, usec_t now)
{
	uint64_t target = now / TICK;
	struct list *link;

	while (w->tick < target) {
		usec_t next = wheel_next(w);

		/* Skip empty ticks in one step: nothing happens before the next slot. */
		if (next == USEC_NONE || next / TICK > target) {
			w->tick = target;
			break;
		}
		w->tick = next / TICK > w->tick ? next / TICK : w->tick + 1;
		if (w->tick % WHEEL_SLOTS == 0)
			cascade(w);
		take_slot(w, 0, w->tick % WHEEL_SLOTS, &w->due);
		while ((link = list_pop_front(&w->due))) {
			struct timer *t = list_item(link, struct timer, link);

			t->fire(t, now);
		}
	}
}

/*
 * The first tick after the present one at which a slot of the level comes up, 0 for none. Slots
 * that wheel_clear emptied are found out here, so that nobody wakes up for them.
 */
static uint64_t next_slot(struct wheel *w, int level)
{
	uint64_t position = (w->tick >> (LEVEL_BITS * level)) + 1;
	unsigned from = (unsigned)(position % WHEEL_SLOTS);

	while (w->bits[level]) {
		uint64_t bits = w->bits[level];
		uint64_t turned = from ? bits >> from | bits << (WHEEL_SLOTS - from) : bits;
		unsigned ahead = (unsigned)__builtin_ctzll(turned);
		unsigned slot = (from + ahead) % WHEEL_SLOTS;

		if (!list_is_empty(&w->slots[level][slot]))
			return (position + ahead) << (LEVEL_BITS * level);
		w->bits[level] &= ~(UINT64_C(1) << slot);
	}
	return 0;
}

usec_t wheel_next(struct wheel *w)
{
	uint64_t first = 0;

	for (int level = 0; level < WHEEL_LEVELS; level++) {
		uint64_t tick = next_slot(w, level);

		if (tick && (first == 0 || tick < first))
			first = tick;
	}
	return first ? first * TICK : USEC_NONE;
}
