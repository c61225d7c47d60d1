/*
 * Who waits for a slot of a limit: for each worker and limit a list in the order of coming. A slot
 * that is given back goes to the first waiter of the same worker; when none waits there, or one
 * elsewhere has waited markedly longer, to the worker whose first waiter has waited longest.
 *
 * No slot stays free while somebody waits: whoever gives one back looks for waiters afterwards, and
 * whoever begins to wait looks for a free slot afterwards. A worker that is woken for waiters that
 * have gone meanwhile passes the word on.
 *
 * How many may run or wait is counted by model/tally; what waits is not known here.
 */
#ifndef BRIDLE_PROXY_SLOT_QUEUE_H
#define BRIDLE_PROXY_SLOT_QUEUE_H

#include "base/list.h"
#include "model/tally.h"

struct slot_lane;
struct slot_queue;
struct worker;

/* A slot as one call sees it; everything is borrowed. */
struct slot {
	struct limit_tally *tally;
	const struct limit_config *config;
	struct limit_who who;
	uint64_t place; /* while it is held; else LIMIT_REFUSED */
};

/* Embedded in its owner; all zero is "does not wait". */
struct slot_waiter {
	struct slot slot;
	/* It has got the slot and waits no more. Called from within slot_queue_release of another,
	 * so it may only put work off. */
	void (*granted)(struct slot_waiter *waiter);
	uint64_t key, place; /* whom it stands for; its place in the queue's count */
	usec_t since;
	struct list link, in_lane;
	struct slot_queue *queue; /* borrowed; NULL: does not wait */
	struct slot_lane *lane;   /* borrowed; NULL: anybody's slot is good for it */
};

/* A slot at once, unless others wait for it already. */
bool slot_queue_take(struct worker *worker, struct slot *slot);
enum slot_wait {
	SLOT_QUEUE_FULL, /* all places are taken */
	SLOT_WAITING,
	SLOT_TAKEN, /* one became free just now; granted is not called */
};
/* slot and granted are set, and stay. */
enum slot_wait slot_queue_wait(struct worker *worker, struct slot_waiter *waiter);
/* Harmless when it does not wait. */
void slot_queue_leave(struct worker *worker, struct slot_waiter *waiter);
/* Gives a slot back and hands it on. */
void slot_queue_release(struct worker *worker, struct slot *slot);

/* Another worker says that a slot of @tally is free: a reference, which moves here. @key: what it
 * said to worker->wake. */
void slot_queue_freed(struct worker *worker, struct limit_tally *tally, uint64_t key);

/* No waiter may be left at the end. */
void slot_queue_init(struct worker *worker);
void slot_queue_fini(struct worker *worker);

#endif
