/*
 * One thread's event loop: libevent for readiness, one timer wheel for every deadline, and work
 * that waits for the end of a turn. Owned and used by one thread; loop_stop and loop_turns may be
 * called by any.
 */
#ifndef BRIDLE_NET_LOOP_H
#define BRIDLE_NET_LOOP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/wheel.h"

struct loop;
struct event_base;

#define LOOP_READ_BUFFER (128u * 1024)
#define LOOP_BLOCK       (16u * 1024)

/* NULL with @err set when the kernel gives no descriptor. */
struct loop *loop_new(struct err *err);
void loop_free(struct loop **loop);

/* Runs until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* One turn, which waits at most @at_most for something to happen; 0 only looks. */
void loop_turn(struct loop *loop, usec_t at_most);
/* Turns so far, for whoever watches that the loop is alive; it turns at least once a second. */
uint64_t loop_turns(const struct loop *loop);

/* The time of the present wake-up, read once for all its events. */
usec_t loop_now(struct loop *loop);
/* The time of day, for logs. */
usec_t loop_calendar(struct loop *loop);
/* Timers are set on this with wheel_set and fire from the loop. */
struct wheel *loop_wheel(struct loop *loop);
/* Frees @object at the end of this turn: the way to free something inside its own callback. */
void loop_reap(struct loop *loop, void *object, void (*free_fn)(void *object));
/* For modules that use libevent themselves. */
struct event_base *loop_base(struct loop *loop);

/* Work put off to the end of the turn, done once however often it was asked for. Embedded in its
 * owner; all zero is "not asked for". */
struct loop_work {
	struct list link;
	void (*run)(struct loop_work *work);
};
void loop_defer(struct loop *loop, struct loop_work *work);
void loop_undefer(struct loop_work *work);
static inline bool loop_is_deferred(const struct loop_work *work)
{
	return work->link.next != NULL && !list_is_empty(&work->link);
}

/* What no owner outside keeps any more but that has still something to do: loop_free calls @end for
 * what is left. Embedded; the object takes itself out with list_remove on its link. */
struct loop_orphan {
	struct list link;
	bool may_end; /* nothing would be lost with it any more */
	void (*end)(struct loop_orphan *orphan);
};
void loop_adopt(struct loop *loop, struct loop_orphan *orphan);
/* Turns, after loop_run has returned, until nothing would be lost with those that are left, for
 * @within at most. */
void loop_settle(struct loop *loop, usec_t within);

/* LOOP_READ_BUFFER bytes for one read at a time: what is in it lasts until the next read. */
uint8_t *loop_read_buffer(struct loop *loop);
/* LOOP_BLOCK bytes from a small stock, to be given back soon; the second call takes NULL. */
uint8_t *loop_block_take(struct loop *loop);
void loop_block_return(struct loop *loop, uint8_t *block);

#endif
