#include "daemon/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"
#include "proxy/correlation.h"
#include "proxy/naming.h"
#include "proxy/slot_queue.h"

struct free_slot {
	struct worker *worker;
	struct limit_tally *tally; /* a counted reference */
	uint64_t key;
};

static void tell_freed(void *arg)
{
	struct free_slot *slot = arg;

	slot_queue_freed(slot->worker, slot->tally, slot->key);
	free(slot);
}

/* From a worker to another. */
static void wake(void *arg, unsigned worker, struct limit_tally *tally, uint64_t key)
{
	struct workers *w = arg;
	struct free_slot *slot = mem_alloc(sizeof *slot);

	*slot = (struct free_slot){w->list[worker], tally, key};
	worker_thread_post(w->threads[worker], tell_freed, slot);
}

static void want_name(void *arg, struct slice name)
{
	struct workers *w = arg;

	w->want_name(w->want_arg, name);
}

static int start_all(
    struct workers *w, struct snapshot *snapshot, struct log_writer *access, struct err *err)
{
	for (unsigned i = 0; i < w->n; i++) {
		uint64_t seed;

		if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
			return err_set(err, errno, "no random numbers: %s", strerror(errno));
		if (i == 0) {
			w->shares.label_names = label_names_new(~seed);
			w->shares.correlation = correlation_new();
		}
		w->threads[i] = worker_thread_new(i, &w->shares, snapshot, seed, err);
		if (w->threads[i] == NULL)
			return -1;
		w->list[i] = worker_thread_worker(w->threads[i]);
		worker_thread_log_to(w->threads[i], access);
		w->list[i]->spans.take = w->take_spans;
		w->list[i]->spans.arg = w->spans_arg;
		w->list[i]->wake = wake;
		w->list[i]->want_name = w->want_name ? want_name : NULL;
		w->list[i]->wake_arg = w;
	}
	for (unsigned i = 0; i < w->n; i++)
		if (worker_thread_start(w->threads[i], err) < 0)
			return -1;
	return 0;
}

int workers_start(struct workers *w, unsigned n, struct snapshot *snapshot,
    struct log_writer *access, struct err *err)
{
	w->n = n;
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
	for (unsigned i = 0; i < w->n; i++)
		if (w->threads[i])
			worker_thread_stop(w->threads[i]);
	/* Nobody is left who could be told of a free slot, or asked for a name. */
	for (unsigned i = 0; i < w->n; i++) {
		if (w->list[i] == NULL)
			continue;
		w->list[i]->wake = NULL;
		w->list[i]->want_name = NULL;
	}
	for (unsigned i = 0; i < w->n; i++)
		if (w->threads[i])
			worker_thread_empty(w->threads[i]);
	acceptor_free(&w->acceptor);
	for (unsigned i = 0; i < w->n; i++)
		worker_thread_free(&w->threads[i]);
	free(w->threads);
	free(w->list);
	label_names_free(&w->shares.label_names);
	if (w->shares.correlation)
		correlation_free(&w->shares.correlation);
	*w = (struct workers){0};
}

void workers_adopt(struct workers *w, struct snapshot *snapshot, struct log_writer *access)
{
	for (unsigned i = 0; i < w->n; i++)
		worker_thread_adopt(w->threads[i], snapshot, access);
}

void workers_be_patient(struct workers *w, usec_t time)
{
	for (unsigned i = 0; i < w->n; i++)
		worker_thread_be_patient(w->threads[i], time);
}

void workers_drain(struct workers *w, usec_t spread)
{
	for (unsigned i = 0; i < w->n; i++)
		worker_thread_drain(w->threads[i], spread);
}

void workers_undrain(struct workers *w)
{
	for (unsigned i = 0; i < w->n; i++)
		worker_thread_undrain(w->threads[i]);
}

void workers_forget_gone(struct workers *w)
{
	for (unsigned i = 0; i < w->n; i++)
		worker_thread_forget_gone(w->threads[i]);
}

void workers_cut(struct workers *w)
{
	for (unsigned i = 0; i < w->n; i++)
		worker_thread_cut(w->threads[i]);
}

struct settled_name {
	struct worker *worker;
	struct slice name;
	const char *why; /* NULL: it is a service now */
	char text[];     /* of both */
};

static void tell_named(void *arg)
{
	struct settled_name *s = arg;

	naming_settled(s->worker, s->name, s->why);
	free(s);
}

void workers_named(struct workers *w, struct slice name, const char *why)
{
	size_t why_size = why ? strlen(why) + 1 : 0;

	for (unsigned i = 0; i < w->n; i++) {
		struct settled_name *s = mem_alloc(sizeof *s + why_size + name.len);

		s->worker = w->list[i];
		s->why = why ? s->text : NULL;
		if (why)
			memcpy(s->text, why, why_size);
		memcpy(s->text + why_size, name.data, name.len);
		s->name = slice_of(s->text + why_size, name.len);
		worker_thread_post(w->threads[i], tell_named, s);
	}
}

void workers_overload(struct workers *w, struct overload_levels levels)
{
	enum overload_level before = overload_get(&w->shares.overload);
	enum overload_level level = overload_worst(levels);

	overload_set(&w->shares.overload, levels);
	/* First the doors: what pools give up is not for those who are still outside. */
	if ((before == OVERLOAD_CLOSED) != (level == OVERLOAD_CLOSED))
		acceptor_hold(w->acceptor, level == OVERLOAD_CLOSED);
	if (before < OVERLOAD_SHRINK && level >= OVERLOAD_SHRINK)
		for (unsigned i = 0; i < w->n; i++)
			worker_thread_shrink(w->threads[i]);
}

void workers_endpoint_report(
    const struct workers *w, struct slice label, const char *address, struct backend_report *report)
{
	for (unsigned i = 0; i < w->n; i++)
		worker_backend_report(w->list[i], label, slice_str(address), report);
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
