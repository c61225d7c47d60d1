/*
 * Calls that wait for a service of which nobody knows yet: a name that the configuration's "*"
 * stands for. The control thread is asked once for each name; its answer sets all calls going that
 * wait for it on this worker, in the world that has the service by then.
 */
#ifndef BRIDLE_PROXY_NAMING_H
#define BRIDLE_PROXY_NAMING_H

#include "base/list.h"
#include "base/slice.h"

struct call;
struct name_wait;
struct worker;

/* A call's place among them. Embedded; all zero is "not waiting". */
struct naming {
	struct list link;
	struct name_wait *wait; /* NULL: it does not wait */
	bool is_over;           /* it has waited, and will not again */
};

void naming_init(struct worker *worker);
/* Nobody may wait any more. */
void naming_fini(struct worker *worker);

/* The call waits for @name; CALL_EVENT_NAMED or a failure comes, never within this call. False:
 * nobody looks names up, or it has waited already. */
bool naming_wait(struct call *call, struct slice name);
/* It waits no more. Harmless when it does not. */
void naming_cancel(struct call *call);
/* In the worker's thread: the service is in its world now, or @why says that it is not to be had
 * (else NULL). */
void naming_settled(struct worker *worker, struct slice name, const char *why);

#endif
