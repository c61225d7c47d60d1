/* All worker threads with their acceptor, as the control thread sees them. */
#ifndef BRIDLE_DAEMON_WORKERS_H
#define BRIDLE_DAEMON_WORKERS_H

#include "daemon/acceptor.h"
#include "daemon/logs.h"

struct workers {
	struct worker_thread **threads; /* owned */
	struct worker **list;           /* owned array of the workers inside, for their readers */
	unsigned n;
	struct acceptor *acceptor;    /* owned */
	struct process_shares shares; /* all workers' */
};

/* Makes @n of them and starts their threads; access lines go to @access, which may be NULL. Returns 0,
 * or -1 with @err set and nothing left. */
int workers_start(struct workers *w, unsigned n, struct snapshot *snapshot,
    struct log_writer *access, struct err *err);
/* Ends the threads, closes every connection and frees all. */
void workers_stop(struct workers *w);

void workers_adopt(struct workers *w, struct snapshot *snapshot, struct log_writer *access);
void workers_drain(struct workers *w, usec_t spread);
/* How short the process is of memory and descriptors, from now on. */
void workers_overload(struct workers *w, struct overload_levels levels);
/* Connections from callers, those on their way to a worker included. */
uint64_t workers_connections(const struct workers *w);
/* Calls under way, those whose caller is gone included. */
uint64_t workers_calls(const struct workers *w);

#endif
