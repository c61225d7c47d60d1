/*
 * One thread's event loop: libevent for readiness, one timer wheel for every deadline, and work that
 * waits for the end of a turn. Owned and used by one thread; loop_stop and loop_turns may be called
 * by any.
 */
#ifndef BRIDLE_NET_LOOP_H
#define BRIDLE_NET_LOOP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/wheel.h"

struct loop;
struct event_base;

#define LOOP_READ_BUFFER (128u * 1024)

/* NULL with @err set when the kernel gives no descriptor. */
struct loop *loop_new(struct err *err);
void loop_free(struct loop **loop);

/* Runs until loop_stop. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Turns so far, for whoever watches that the loop is alive; it turns at least once a second. */
uint64_t loop_turns(const struct loop *loop);

/* The time of the present wake-up, read once for all its events. */
usec_t loop_now(struct loop *loop);
/* Timers are set on this with wheel_set and fire from the loop. */
struct wheel *loop_wheel(struct loop *loop);
/* Frees @object at the end of this turn: the way to free something inside its own callback. */
void loop_reap(struct loop *loop, void *object, void (*free_fn)(void *object));
/* For modules that use libevent themselves. */
struct event_base *loop_base(struct loop *loop);

#endif
