/*
 * Snapshots that have been replaced, until no worker has them any more. The control thread keeps a
 * reference of each so that it, and no worker between two calls, frees thousands of endpoints.
 */
#ifndef BRIDLE_DAEMON_RETIREMENT_H
#define BRIDLE_DAEMON_RETIREMENT_H

#include "base/wheel.h"
#include "model/snapshot.h"

/* Belongs to the control thread; all zero is empty. */
struct retirement {
	struct loop *loop; /* borrowed */
	struct snapshot **list;
	size_t n, room;
	struct timer look;
};

/* Takes the caller's reference over. */
void retirement_take(struct retirement *r, struct loop *loop, struct snapshot *snapshot);
/* Whoever still has them has the last word. */
void retirement_fini(struct retirement *r);

#endif
