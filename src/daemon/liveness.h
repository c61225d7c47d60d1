/*
 * Watches that every worker's loop keeps turning, and feeds the service manager's watchdog as long
 * as it does. A loop turns at least once a second even when nothing happens.
 */
#ifndef BRIDLE_DAEMON_LIVENESS_H
#define BRIDLE_DAEMON_LIVENESS_H

#include "daemon/workers.h"

struct liveness;

/* @loop is the control thread's; @workers are borrowed. */
struct liveness *liveness_new(struct loop *loop, const struct workers *workers);
void liveness_free(struct liveness **l);

/* The index of a worker that has not turned for 5 s, or -1. */
int liveness_stuck_worker(const struct liveness *l);

#endif
