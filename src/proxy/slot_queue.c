#include "proxy/slot_queue.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/table.h"
#include "net/loop.h"
#include "policy/lb.h"
#include "proxy/worker.h"

/* A waiter elsewhere goes before those of this worker when it has waited so much longer: else a
 * worker whose calls hold all slots would keep them for ever. */
#define PATIENCE (5 * USEC_MS)

/* Whom a free slot may go to. */
#define KEY_ANY    0 /* whoever has waited longest */
#define KEY_SHARED 1 /* each is asked: shares decide */

struct slot_queue {
	struct limit_tally *tally; /* borrowed: its waiters' snapshots hold it; also the key */
	struct list waiters;
	unsigned n;
	struct table lanes;
};

/* Those of a queue that wait for the same: callers can make up so many names that nobody may look
 * for one among all that wait. */
struct slot_lane {
	uint64_t id;
	struct list waiters;
};

void slot_queue_init(struct worker *w)
{
	table_init(&w->slot_queues, (uint64_t)(uintptr_t)w);
}

void slot_queue_fini(struct worker *w)
{
	size_t position = 0;

	assert(table_next(&w->slot_queues, &position) == NULL);
	(void)position;
	table_fini(&w->slot_queues);
}

static struct slot_queue *find_queue(struct worker *w, const struct limit_tally *tally)
{
	return table_get(&w->slot_queues, slice_of(&tally, sizeof tally));
}

static struct slot_queue *find_or_add(struct worker *w, struct limit_tally *tally)
{
	struct slot_queue *q = find_queue(w, tally);

	if (q)
		return q;
	q = mem_calloc(1, sizeof *q);
	q->tally = tally;
	list_init(&q->waiters);
	table_init(&q->lanes, (uintptr_t)q);
	table_put(&w->slot_queues, slice_of(&q->tally, sizeof q->tally), q);
	return q;
}

static struct slot_waiter *first_of(const struct slot_queue *q)
{
	return list_item(q->waiters.next, struct slot_waiter, link);
}

/* Callers have shares: what one may not have is perhaps good for another. */
static bool is_shared(const struct slot *slot)
{
	return slot->config->share_equal && slot->config->by == LIMIT_BY_NONE;
}

/* Where a limit counts each caller or method by itself, a slot is of use to the same one only. */
static uint64_t key_of(const struct slot *slot)
{
	struct slice name =
	    slot->config->by == LIMIT_BY_METHOD ? slot->who.method : slot->who.caller;

	if (slot->config->by == LIMIT_BY_NONE)
		return is_shared(slot) ? KEY_SHARED : KEY_ANY;
	return lb_hash(name) | 2; /* neither of the two */
}

static uint64_t lane_of(const struct slot *slot)
{
	if (is_shared(slot)) /* unlike any key_of */
		return (lb_hash(slot->who.caller) & ~UINT64_C(3)) | KEY_SHARED;
	return key_of(slot);
}

static struct slot_lane *find_lane(const struct slot_queue *q, uint64_t id)
{
	return table_get(&q->lanes, slice_of(&id, sizeof id));
}

static void join_lane(struct slot_queue *q, struct slot_waiter *waiter)
{
	uint64_t id = lane_of(&waiter->slot);
	struct slot_lane *lane;

	waiter->lane = NULL;
	if (id == KEY_ANY)
		return;
	lane = find_lane(q, id);
	if (lane == NULL) {
		lane = mem_calloc(1, sizeof *lane);
		lane->id = id;
		list_init(&lane->waiters);
		table_put(&q->lanes, slice_of(&lane->id, sizeof lane->id), lane);
	}
	waiter->lane = lane;
	list_push_back(&lane->waiters, &waiter->in_lane);
}

static void leave_lane(struct slot_queue *q, struct slot_waiter *waiter)
{
	struct slot_lane *lane = waiter->lane;

	if (lane == NULL)
		return;
	waiter->lane = NULL;
	list_remove(&waiter->in_lane);
	if (!list_is_empty(&lane->waiters))
		return;
	table_remove(&q->lanes, slice_of(&lane->id, sizeof lane->id));
	free(lane);
}

/* The worker whose first waiter has waited longest, -1: nobody waits. A thread that has given a
 * slot back looks who waits, one that has begun to wait looks for a slot: with the fences one of
 * the two sees the other. */
static int longest_waiting(const struct limit_tally *tally)
{
	atomic_thread_fence(memory_order_seq_cst);
	return limit_longest_waiting(tally);
}

static bool enter(struct worker *w, struct slot *slot)
{
	slot->place = limit_enter(slot->tally, slot->config, &slot->who, loop_now(w->loop));
	return slot->place != LIMIT_REFUSED;
}

/* ---- coming and going ---- */

static void note_first(struct worker *w, const struct slot_queue *q)
{
	limit_note_waiting(q->tally, w->index, q->n ? first_of(q)->since : 0);
}

static void join(struct worker *w, struct slot_waiter *waiter)
{
	struct slot_queue *q = find_or_add(w, waiter->slot.tally);

	waiter->queue = q;
	waiter->since = loop_now(w->loop);
	list_push_back(&q->waiters, &waiter->link);
	join_lane(q, waiter);
	if (q->n++ == 0)
		note_first(w, q);
}

void slot_queue_leave(struct worker *w, struct slot_waiter *waiter)
{
	struct slot_queue *q = waiter->queue;
	bool was_first;

	if (q == NULL)
		return;
	was_first = first_of(q) == waiter;
	waiter->queue = NULL;
	list_remove(&waiter->link);
	leave_lane(q, waiter);
	limit_queue_leave(q->tally, waiter->place);
	q->n--;
	if (was_first)
		note_first(w, q);
	if (q->n)
		return;
	table_remove(&w->slot_queues, slice_of(&q->tally, sizeof q->tally));
	table_fini(&q->lanes);
	free(q);
}

/* The first of a lane of this worker's queue; NULL: nobody waits there. */
static struct slot_waiter *first_in(const struct slot_queue *q, uint64_t id)
{
	const struct slot_lane *lane = find_lane(q, id);

	return lane ? list_item(lane->waiters.next, struct slot_waiter, in_lane) : NULL;
}

static bool others_wait(struct worker *w, const struct slot *slot)
{
	const struct slot_queue *q;

	if (key_of(slot) == KEY_ANY)
		return limit_longest_waiting(slot->tally) >= 0;
	q = find_queue(w, slot->tally);
	return q && first_in(q, lane_of(slot));
}

bool slot_queue_take(struct worker *w, struct slot *slot)
{
	if (slot->config->queue_length && others_wait(w, slot))
		return false;
	return enter(w, slot);
}

/* Its turn, as far as it can be seen from here. */
static bool is_next(struct worker *w, const struct slot_waiter *waiter)
{
	if (waiter->lane)
		return first_in(waiter->queue, waiter->lane->id) == waiter;
	return first_of(waiter->queue) == waiter &&
	       limit_longest_waiting(waiter->slot.tally) == (int)w->index;
}

enum slot_wait slot_queue_wait(struct worker *w, struct slot_waiter *waiter)
{
	struct slot *slot = &waiter->slot;

	waiter->place = limit_queue_enter(slot->tally, slot->config, &slot->who, loop_now(w->loop));
	if (waiter->place == LIMIT_REFUSED)
		return SLOT_QUEUE_FULL;
	waiter->key = key_of(slot);
	join(w, waiter);
	atomic_thread_fence(memory_order_seq_cst);
	if (!is_next(w, waiter) || !enter(w, slot))
		return SLOT_WAITING;
	slot_queue_leave(w, waiter);
	return SLOT_TAKEN;
}

/* ---- handing on ---- */

static void grant(struct worker *w, struct slot_waiter *waiter)
{
	slot_queue_leave(w, waiter);
	waiter->granted(waiter);
}

static void wake(struct worker *w, unsigned other, struct limit_tally *tally, uint64_t key)
{
	if (w->wake)
		w->wake(w->wake_arg, other, limit_tally_ref(tally), key);
}

static bool goes_elsewhere(const struct worker *w, const struct slot_queue *q, int oldest)
{
	if (oldest < 0 || oldest == (int)w->index)
		return false;
	return first_of(q)->since >
	       usec_after(limit_waiting_since(q->tally, (unsigned)oldest), PATIENCE);
}

/* In the order of coming, here or elsewhere, as long as there are slots. */
static void hand_to_first(struct worker *w, struct limit_tally *tally)
{
	for (;;) {
		struct slot_queue *q = find_queue(w, tally);
		int oldest = longest_waiting(tally);

		if (q == NULL || goes_elsewhere(w, q, oldest)) {
			if (oldest >= 0 && oldest != (int)w->index)
				wake(w, (unsigned)oldest, tally, KEY_ANY);
			return;
		}
		if (!enter(w, &first_of(q)->slot))
			return;
		grant(w, first_of(q));
	}
}

static bool has_right(struct worker *w, const struct slot *slot)
{
	return limit_is_within_share(slot->tally, slot->config, &slot->who, loop_now(w->loop));
}

/* To waiters of this worker that wait for nothing else. */
static void hand_to_lane(struct worker *w, struct limit_tally *tally, uint64_t key)
{
	const struct slot_queue *q;
	struct slot_waiter *waiter;

	while ((q = find_queue(w, tally)) != NULL && (waiter = first_in(q, key)) != NULL) {
		if (!enter(w, &waiter->slot))
			return;
		grant(w, waiter);
	}
}

static bool is_used_up(const struct slot *slot)
{
	return limit_running(slot->tally) >= slot->config->concurrency;
}

/* To waiters of this worker whose share it is, or for whom it is spare. */
static void hand_to_sharing(struct worker *w, struct limit_tally *tally, bool by_right)
{
	struct slot_queue *q = find_queue(w, tally);
	const struct slot_waiter *refused = NULL;
	struct slot_waiter *waiter;

	if (q == NULL)
		return;
	for (struct list *link = q->waiters.next, *next; link != &q->waiters; link = next) {
		next = link->next;
		waiter = list_item(link, struct slot_waiter, link);
		if (is_used_up(&waiter->slot))
			return;
		if (waiter->key != KEY_SHARED ||
		    (refused && slice_eq(refused->slot.who.caller, waiter->slot.who.caller)))
			continue;
		if (by_right && !has_right(w, &waiter->slot))
			continue;
		if (!enter(w, &waiter->slot)) {
			refused = waiter;
			continue;
		}
		if (q->n == 1)
			next = NULL; /* the queue goes with its last */
		grant(w, waiter);
		if (next == NULL)
			return;
	}
}

/* Callers within their share come before those beyond it. */
static void hand_to_some(struct worker *w, struct limit_tally *tally, uint64_t key)
{
	if (key != KEY_SHARED) {
		hand_to_lane(w, tally, key);
		return;
	}
	hand_to_sharing(w, tally, true);
	hand_to_sharing(w, tally, false);
}

static void tell_others(struct worker *w, struct limit_tally *tally, uint64_t key)
{
	for (unsigned i = 0; i < LIMIT_WORKERS_MAX; i++)
		if (i != w->index && limit_waiting_since(tally, i))
			wake(w, i, tally, key);
}

void slot_queue_release(struct worker *w, struct slot *slot)
{
	uint64_t key = key_of(slot);

	limit_leave(slot->tally, slot->place);
	slot->place = LIMIT_REFUSED;
	if (longest_waiting(slot->tally) < 0)
		return;
	if (key == KEY_ANY) {
		hand_to_first(w, slot->tally);
		return;
	}
	hand_to_some(w, slot->tally, key);
	tell_others(w, slot->tally, key);
}

void slot_queue_freed(struct worker *w, struct limit_tally *tally, uint64_t key)
{
	if (key == KEY_ANY)
		hand_to_first(w, tally);
	else
		hand_to_some(w, tally, key);
	limit_tally_unref(&tally);
}
