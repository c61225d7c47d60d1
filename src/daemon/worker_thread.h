/*
 * A worker's thread: its event loop, its inbox, and the worker of proxy/ that runs on it. The
 * control thread and the acceptor speak to a worker through here only, by messages.
 */
#ifndef BRIDLE_DAEMON_WORKER_THREAD_H
#define BRIDLE_DAEMON_WORKER_THREAD_H

#include "daemon/log_writer.h"
#include "net/inbox.h"
#include "proxy/worker.h"

struct worker_thread;

/* Makes loop, inbox and worker; the thread does not run yet. Returns NULL with @err set. */
struct worker_thread *worker_thread_new(unsigned index, struct process_shares *shares,
    struct snapshot *snapshot, uint64_t seed, struct err *err);
/* All signals are blocked in the new thread. Returns 0, or -1 with @err set. */
int worker_thread_start(struct worker_thread *t, struct err *err);
/*
 * Ends the loop and waits for the thread. What is in its inbox waits: workers post to each other,
 * so all are stopped before one is emptied.
 */
void worker_thread_stop(struct worker_thread *t);
/* Runs what is still in the inbox, so that no descriptor is lost in it; nobody may post any more.
 * Connections stay as they are until worker_thread_free. */
void worker_thread_empty(struct worker_thread *t);
void worker_thread_free(struct worker_thread **t);

/* For readers of its counters. */
struct worker *worker_thread_worker(struct worker_thread *t);
struct loop *worker_thread_loop(struct worker_thread *t);

/* Any thread. @run is called in the worker's thread. */
void worker_thread_post(struct worker_thread *t, inbox_fn run, void *arg);
/* Before it starts: where access lines go; NULL: there are none. */
void worker_thread_log_to(struct worker_thread *t, struct log_writer *access);
/* Any thread. Takes a reference of its own; the access log changes together with the snapshot. */
void worker_thread_adopt(
    struct worker_thread *t, struct snapshot *snapshot, struct log_writer *access);
/* Any thread. Closes connections to endpoints that carry no call. */
void worker_thread_shrink(struct worker_thread *t);
void worker_thread_be_patient(struct worker_thread *t, usec_t time);
/* Any thread: worker_drain, worker_undrain, worker_stop, worker_cut. */
void worker_thread_drain(struct worker_thread *t, usec_t spread);
void worker_thread_undrain(struct worker_thread *t);
void worker_thread_forget_gone(struct worker_thread *t);
void worker_thread_cut(struct worker_thread *t);

#endif
