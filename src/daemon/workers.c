#include "daemon/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

static access_sink_fn access_sink(const struct log_writer *access)
{
	return access ? logs_access_line : NULL;
}

static int start_all(
    struct workers *w, struct snapshot *snapshot, struct log_writer *access, struct err *err)
{
	for (unsigned i = 0; i < w->n; i++) {
		uint64_t seed;

		if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
			return err_set(err, errno, "no random numbers: %s", strerror(errno));
		w->threads[i] = worker_thread_new(i, &w->shares, snapshot, seed, err);
		if (w->threads[i] == NULL)
			return -1;
		w->list[i] = worker_thread_worker(w->threads[i]);
		w->list[i]->access_sink = access_sink(access);
		w->list[i]->access_arg = access;
	}
	for (unsigned i = 0; i < w->n; i++)
		if (worker_thread_start(w->threads[i], err) < 0)
			return -1;
	return 0;
}

int workers_start(struct workers *w, unsigned n, struct snapshot *snapshot,
    struct log_writer *access, struct err *err)
{
	*w = (struct workers){.n = n};
	w->threads = mem_calloc(n, sizeof *w->threads);
	w->list = mem_calloc(n, sizeof *w->list);
	if (start_all(w, snapshot, access, err) < 0) {
		workers_stop(w);
		return -1;
	}
	w->acceptor = acceptor_new(w->threads, n, &w->shares);
	return 0;
}

void workers_stop(struct workers *w)
{
	/* In order: worker 0 is the one that gives work to the others. */
	for (unsigned i = 0; i < w->n; i++)
		if (w->threads[i])
			worker_thread_stop(w->threads[i]);
	acceptor_free(&w->acceptor);
	for (unsigned i = 0; i < w->n; i++)
		worker_thread_free(&w->threads[i]);
	free(w->threads);
	free(w->list);
	*w = (struct workers){0};
}

void workers_adopt(struct workers *w, struct snapshot *snapshot, struct log_writer *access)
{
	for (unsigned i = 0; i < w->n; i++)
		worker_thread_adopt(w->threads[i], snapshot, access_sink(access), access);
}

void workers_drain(struct workers *w, usec_t spread)
{
	for (unsigned i = 0; i < w->n; i++)
		worker_thread_drain(w->threads[i], spread);
}

uint64_t workers_connections(const struct workers *w)
{
	return atomic_load(&w->shares.connections);
}

uint64_t workers_calls(const struct workers *w)
{
	uint64_t calls = 0;

	for (unsigned i = 0; i < w->n; i++)
		calls += counter_get(&w->list[i]->calls_running);
	return calls;
}
