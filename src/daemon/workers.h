/* All worker threads with their acceptor, as the control thread sees them. */
#ifndef BRIDLE_DAEMON_WORKERS_H
#define BRIDLE_DAEMON_WORKERS_H

#include "daemon/acceptor.h"
#include "daemon/logs.h"

struct workers {
	struct worker_thread **threads; /* owned */
	struct worker **list;           /* owned array of the workers inside, for their readers */
	unsigned n;
	struct acceptor *acceptor; /* owned */
	/* Takes names that calls ask for and no file lists, in the thread of the worker that asks.
	 * NULL: nobody does. To be set before they start. */
	void (*want_name)(void *arg, struct slice name);
	void *want_arg;
	/* Takes spans over, in the thread of any worker. To be set before they start. */
	void (*take_spans)(void *arg, struct span_batch *batch);
	void *spans_arg;
	struct process_shares shares; /* all workers' */
};

/* Makes @n of them and starts their threads; access lines go to @access, which may be NULL. @w is
 * all zero but for want_name and take_spans. Returns 0, or -1 with @err set and nothing left. */
int workers_start(struct workers *w, unsigned n, struct snapshot *snapshot,
    struct log_writer *access, struct err *err);
/* Ends the threads, closes every connection and frees all. */
void workers_stop(struct workers *w);

void workers_adopt(struct workers *w, struct snapshot *snapshot, struct log_writer *access);
/* Callers are asked to go, each within @spread. */
void workers_drain(struct workers *w, usec_t spread);
/* worker_be_patient, of all. */
void workers_be_patient(struct workers *w, usec_t time);
/* They are wanted again. */
void workers_undrain(struct workers *w);
/* The process ends: callers who have ended their side are not waited for. */
void workers_forget_gone(struct workers *w);
/* The time to drain is over: what still runs is answered with that. */
void workers_cut(struct workers *w);
/* Tells those who wait for @name that it is a service now, or (@why) that it is not to be had. */
void workers_named(struct workers *w, struct slice name, const char *why);
/* How short the process is of memory and descriptors, from now on. */
void workers_overload(struct workers *w, struct overload_levels levels);
/* Adds what all workers know of an endpoint, by its address as text. */
void workers_endpoint_report(const struct workers *w, struct slice label, const char *address,
    struct backend_report *report);
/* Connections from callers, those on their way to a worker included. */
uint64_t workers_connections(const struct workers *w);
/* Calls under way, those whose caller is gone included. */
uint64_t workers_calls(const struct workers *w);

#endif
