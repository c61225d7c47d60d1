/*
 * Accepts connections for all workers, in the loop of worker 0, and hands each to the worker with
 * the fewest connections (of equals, the next in turn): a sidecar has few and long connections, so
 * leaving the choice to the kernel would let one worker burn beside an idle one.
 *
 * Above a limit at most ACCEPTOR_HELD connections at a time are handed over to be answered once and
 * closed; more are closed at once. Who may connect is not decided here.
 */
#ifndef BRIDLE_DAEMON_ACCEPTOR_H
#define BRIDLE_DAEMON_ACCEPTOR_H

#include "daemon/worker_thread.h"

#define ACCEPTOR_HELD 64u

struct acceptor;

/* One bound address. */
struct acceptor_door {
	unsigned id; /* stays over reloads, never used twice */
	int fd; /* bound and listening, moves to the acceptor; -1 when it has this door already */
	struct address asked, bound; /* as the file has it; with the port that it got */
	char *listener;              /* owned: the name in the configuration */
	uint64_t limit;              /* connections of that listener, over all its doors */
	bool keeps_file;             /* a unix socket's file stays when the door closes */
};

/* All doors there shall be from now on. */
struct acceptor_plan {
	struct acceptor_door *doors; /* owned */
	size_t n;
	uint64_t limit; /* connections of the process */
};

/* @threads and @shares are borrowed and outlive the acceptor. */
struct acceptor *acceptor_new(
    struct worker_thread *const *threads, unsigned n, struct process_shares *shares);
/*
 * From the control thread: the plan moves to worker 0, which opens the doors that are new and
 * closes those that are not in it (a unix socket's file goes with its door unless it keeps that).
 * An empty plan closes all.
 */
void acceptor_apply(struct acceptor *a, struct acceptor_plan *moved);
/* From the control thread: returns when all plans so far are carried out, so that what they closed
 * can be bound again; after whole seconds of @patience in any case. */
void acceptor_wait(struct acceptor *a, usec_t patience);
/* From the control thread: whether they are carried out by now, and so whoever waited at a door
 * that they closed counts among the connections. */
bool acceptor_has_applied(struct acceptor *a);
/* From the control thread: while it is held nothing is accepted. */
void acceptor_hold(struct acceptor *a, bool hold);
/* Worker 0 has been stopped, and what was posted to it has run. */
void acceptor_free(struct acceptor **a);

#endif
