#include "daemon/worker_thread.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "daemon/logs.h"
#include "daemon/thread.h"
#include "net/loop.h"

#define LAST_REPLIES (5 * USEC_S) /* may take so long to leave once everything else is over */

struct worker_thread {
	unsigned index;
	struct loop *loop;     /* owned */
	struct inbox *inbox;   /* owned */
	struct worker *worker; /* owned */
	pthread_t thread;
	bool is_running; /* the control thread's */
};

struct worker_thread *worker_thread_new(unsigned index, struct process_shares *shares,
    struct snapshot *snapshot, uint64_t seed, struct err *err)
{
	struct worker_thread *t = mem_calloc(1, sizeof *t);

	t->index = index;
	t->loop = loop_new(err);
	if (t->loop == NULL)
		goto failed;
	t->inbox = inbox_new(t->loop, err);
	if (t->inbox == NULL)
		goto failed;
	t->worker = worker_new(index, t->loop, shares, snapshot, seed);
	return t;
failed:
	err_wrap(err, "worker %u", index);
	worker_thread_free(&t);
	return NULL;
}

static void *run(void *arg)
{
	struct worker_thread *t = arg;

	loop_run(t->loop);
	loop_settle(t->loop, LAST_REPLIES);
	return NULL;
}

int worker_thread_start(struct worker_thread *t, struct err *err)
{
	char name[16]; /* the kernel's limit, NUL included */

	snprintf(name, sizeof name, "worker-%u", t->index);
	if (thread_start(&t->thread, &(struct thread_options){.name = name}, run, t, err) < 0)
		return -1;
	t->is_running = true;
	return 0;
}

void worker_thread_stop(struct worker_thread *t)
{
	if (!t->is_running)
		return;
	loop_stop(t->loop);
	pthread_join(t->thread, NULL);
	t->is_running = false;
}

void worker_thread_empty(struct worker_thread *t)
{
	if (t->inbox)
		inbox_free(&t->inbox);
}

void worker_thread_free(struct worker_thread **pt)
{
	struct worker_thread *t = *pt;

	if (t == NULL)
		return;
	*pt = NULL;
	worker_thread_stop(t);
	worker_thread_empty(t);
	if (t->worker)
		worker_free(&t->worker);
	if (t->loop)
		loop_free(&t->loop);
	free(t);
}

struct worker *worker_thread_worker(struct worker_thread *t)
{
	return t->worker;
}

struct loop *worker_thread_loop(struct worker_thread *t)
{
	return t->loop;
}

void worker_thread_post(struct worker_thread *t, inbox_fn function, void *arg)
{
	inbox_post(t->inbox, function, arg);
}

static void log_to(struct worker *worker, struct log_writer *access)
{
	worker->access_sink = access ? logs_access_line : NULL;
	worker->access_arg = access;
	worker->access_is_clocked = access && log_writer_is_clocked(access);
}

void worker_thread_log_to(struct worker_thread *t, struct log_writer *access)
{
	log_to(t->worker, access);
}

struct adoption {
	struct worker *worker;
	struct snapshot *snapshot; /* owned reference */
	struct log_writer *access; /* NULL: there is no access log */
};

static void adopt(void *arg)
{
	struct adoption *a = arg;

	log_to(a->worker, a->access);
	worker_adopt(a->worker, a->snapshot);
	snapshot_unref(&a->snapshot);
	free(a);
}

void worker_thread_adopt(
    struct worker_thread *t, struct snapshot *snapshot, struct log_writer *access)
{
	struct adoption *a = mem_alloc(sizeof *a);

	*a = (struct adoption){t->worker, snapshot_ref(snapshot), access};
	inbox_post(t->inbox, adopt, a);
}

static void shrink(void *arg)
{
	worker_shrink(arg);
}

void worker_thread_shrink(struct worker_thread *t)
{
	inbox_post(t->inbox, shrink, t->worker);
}

static void undrain(void *arg)
{
	worker_undrain(arg);
}

void worker_thread_undrain(struct worker_thread *t)
{
	inbox_post(t->inbox, undrain, t->worker);
}

static void forget_gone(void *arg)
{
	worker_stop(arg);
}

void worker_thread_forget_gone(struct worker_thread *t)
{
	inbox_post(t->inbox, forget_gone, t->worker);
}

static void cut(void *arg)
{
	worker_cut(arg);
}

void worker_thread_cut(struct worker_thread *t)
{
	inbox_post(t->inbox, cut, t->worker);
}

struct timed_order {
	struct worker *worker;
	usec_t time;
};

static void be_patient(void *arg)
{
	struct timed_order *order = arg;

	worker_be_patient(order->worker, order->time);
	free(order);
}

void worker_thread_be_patient(struct worker_thread *t, usec_t time)
{
	struct timed_order *order = mem_alloc(sizeof *order);

	*order = (struct timed_order){t->worker, time};
	inbox_post(t->inbox, be_patient, order);
}

static void drain(void *arg)
{
	struct timed_order *order = arg;

	worker_drain(order->worker, order->time);
	free(order);
}

void worker_thread_drain(struct worker_thread *t, usec_t spread)
{
	struct timed_order *order = mem_alloc(sizeof *order);

	*order = (struct timed_order){t->worker, spread};
	inbox_post(t->inbox, drain, order);
}
