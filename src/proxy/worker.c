#include "proxy/worker.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/call.h"
#include "proxy/downstream.h"
#include "proxy/introduction.h"
#include "proxy/naming.h"
#include "proxy/settling.h"
#include "proxy/slot_queue.h"
#include "proxy/tap.h"
#include "proxy/upstream.h"
#include "proxy/world.h"

#define CHARGED_ABOVE (16u * 1024) /* what a connection may hold without being charged for it */

const char *metadata_class_name(enum metadata_class class)
{
	static const char *const names[METADATA_CLASSES] = {
	    [METADATA_PERSISTENT] = "persistent",
	    [METADATA_TRANSIENT] = "transient",
	    [METADATA_HEADER] = "header",
	    [METADATA_INT] = "int",
	    [METADATA_ACL] = "acl",
	    [METADATA_CHECKSUM] = "checksum",
	    [METADATA_BIZ] = "biz",
	    [METADATA_IDENTITY] = "identity",
	};

	return names[class];
}

_Static_assert((int)METADATA_IDENTITY == (int)RPC_DROPPED_IDENTITY &&
		   (int)METADATA_CLASSES == (int)RPC_DROPPED_CLASSES,
    "the codec counts by the same classes");

void worker_count_dropped(struct worker *worker, const unsigned dropped[METADATA_CLASSES])
{
	for (int i = 0; i < METADATA_CLASSES; i++)
		if (dropped[i])
			counter_add(&worker->metadata_dropped[i], dropped[i]);
}

const char *attempt_outcome_name(enum attempt_outcome outcome)
{
	static const char *const names[ATTEMPT_OUTCOMES] = {
	    [ATTEMPT_OK] = "ok",
	    [ATTEMPT_EXCEPTION] = "exception",
	    [ATTEMPT_CONNECT_FAILED] = "connect_failed",
	    [ATTEMPT_UNSENT] = "unsent",
	    [ATTEMPT_RESET] = "reset",
	    [ATTEMPT_TIMEOUT] = "timeout",
	    [ATTEMPT_BAD_REPLY] = "bad_reply",
	    [ATTEMPT_CANCELED] = "canceled",
	    [ATTEMPT_LOST] = "lost",
	};

	return names[outcome];
}

struct worker *worker_new(unsigned index, struct loop *loop, struct process_shares *shares,
    struct snapshot *snapshot, uint64_t seed)
{
	struct worker *w = mem_calloc(1, sizeof *w);

	w->index = index;
	w->loop = loop;
	w->shares = shares;
	rng_init(&w->rng, seed);
	list_init(&w->worlds);
	list_init(&w->downstreams);
	list_init(&w->orphans);
	slot_queue_init(w);
	naming_init(w);
	list_init(&w->backend_list);
	table_init(&w->backends, rng_next(&w->rng));
	table_init(&w->stats_by_label, rng_next(&w->rng));
	table_init(&w->named, 0);
	pthread_mutex_init(&w->backends_lock, NULL);
	call_stats_init(&w->calls, rng_next(&w->rng));
	w->calls.shared = shares->label_names;
	w->node = mem_strdup(snapshot->config->node.service);
	w->world = world_new(w, snapshot);
	settling_begin(w);
	return w;
}

static void free_stats(struct worker *w)
{
	struct listener_stats *l = atomic_load(&w->listeners);
	struct service_stats *s = atomic_load(&w->services);

	while (l) {
		struct listener_stats *next = atomic_load(&l->next);

		free(l->name);
		free(l);
		l = next;
	}
	while (s) {
		struct service_stats *next = atomic_load(&s->next);

		free(s->label);
		free(s);
		s = next;
	}
	call_stats_fini(&w->calls);
}

/* Cancelling a call gives its connection back to the pool or closes it; with `is_ending` set
 * nothing is pooled. */
static void end_calls(struct worker *w)
{
	worker_cut(w);
	while (!list_is_empty(&w->downstreams))
		downstream_end(list_item(w->downstreams.next, struct downstream, link));
	while (!list_is_empty(&w->orphans)) {
		struct call *call = list_item(w->orphans.next, struct call, link);

		call_give_up(call, ATTEMPT_CANCELED, 0);
		call->reason = REASON_CANCELED;
		call_finish(call);
	}
}

static void close_upstreams(struct worker *w)
{
	list_each_safe (link, &w->backend_list)
		backend_close_all(list_item(link, struct backend, link));
}

static void end_backends(struct worker *w)
{
	list_each_safe (link, &w->backend_list)
		backend_vanish(list_item(link, struct backend, link));
}

void worker_free(struct worker **p)
{
	struct worker *w = *p;

	*p = NULL;
	end_calls(w);
	close_upstreams(w);
	settling_end(w);
	world_free(&w->world);
	end_backends(w);
	while (w->free_calls) {
		struct call *call = w->free_calls;

		w->free_calls = (struct call *)call->link.next;
		free(call);
	}
	span_outbox_flush(&w->spans);
	slot_queue_fini(w);
	naming_fini(w);
	tap_list_unref(&w->taps);
	table_fini(&w->backends);
	table_fini(&w->stats_by_label);
	table_fini(&w->named);
	pthread_mutex_destroy(&w->backends_lock);
	free_stats(w);
	free(w->node);
	free(w);
}

/* Those of a listener that is gone are drained. There are many connections on few listeners, so
 * each of these is looked for once. */
static void follow_listeners(
    struct worker *w, const struct config *old, const struct snapshot *snapshot)
{
	const struct listener_config **now = mem_calloc(old->n_listeners, sizeof *now);

	for (size_t i = 0; i < old->n_listeners; i++)
		now[i] = snapshot_listener(snapshot, slice_str(old->listeners[i].name));
	list_each_safe (link, &w->downstreams) {
		struct downstream *d = list_item(link, struct downstream, link);
		const struct listener_config *l =
		    d->kept ? NULL : now[d->listener - old->listeners];

		if (l == NULL) {
			downstream_orphan(d);
			continue;
		}
		d->listener = l;
		introduction_follow(d, snapshot->config);
	}
	free(now);
}

void worker_adopt(struct worker *w, struct snapshot *snapshot)
{
	struct world *old = w->world;

	if (snapshot->config != old->snapshot->config)
		follow_listeners(w, old->snapshot->config, snapshot);
	w->world = world_new(w, snapshot);
	settling_begin(w);
	world_retire(old);
}

/* A connection may come here under a name that a reload has just changed: then its door tells. */
static const struct listener_config *find_renamed(const struct config *config, const char *door)
{
	const struct listener_config *found = NULL;

	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct listener_config *l = &config->listeners[i];

		for (size_t j = 0; j < l->n_addresses; j++) {
			if (strcmp(l->addresses[j].text, door) != 0)
				continue;
			if (found) /* several ask for port 0 */
				return NULL;
			found = l;
		}
	}
	return found;
}

void worker_take(struct worker *w, const char *listener, const char *door, int fd,
    const struct address *from, bool over_limit)
{
	const struct listener_config *l =
	    snapshot_listener(w->world->snapshot, slice_str(listener));

	if (l == NULL)
		l = find_renamed(w->world->snapshot->config, door);
	if (l == NULL) { /* a reload took it away while the connection was on its way here */
		close(fd);
		atomic_fetch_sub(&w->connections, 1);
		atomic_fetch_sub(&w->shares->connections, 1);
		if (over_limit)
			atomic_fetch_sub(&w->shares->connecting, 1);
		return;
	}
	downstream_open(w, l, fd, from, over_limit);
}

/* Each connection drains at its own moment within @spread, so that callers do not come back all at
 * once. */
void worker_drain(struct worker *w, usec_t spread)
{
	w->draining = true;
	list_each_safe (link, &w->downstreams) {
		struct downstream *d = list_item(link, struct downstream, link);
		usec_t wait = spread && spread != USEC_NONE ? rng_below(&w->rng, spread) : 0;

		downstream_drain_after(d, wait);
	}
}

void worker_be_patient(struct worker *w, usec_t time)
{
	w->patient_until = time ? usec_after(loop_now(w->loop), time) : 0;
	list_each_safe (link, &w->downstreams) {
		struct downstream *d = list_item(link, struct downstream, link);

		if (d->is_draining && !d->is_closed && !d->is_reading)
			downstream_close_when_done(d);
	}
}

void worker_undrain(struct worker *w)
{
	w->draining = false;
	list_each (link, &w->downstreams)
		downstream_stay(list_item(link, struct downstream, link));
}

void worker_stop(struct worker *w)
{
	w->is_stopping = true;
	list_each_safe (link, &w->downstreams)
		downstream_forget_gone(list_item(link, struct downstream, link));
}

void worker_cut(struct worker *w)
{
	struct list due, *link;

	w->draining = w->is_ending = true;
	list_init(&due);
	while ((link = list_pop_front(&w->downstreams)))
		list_push_back(&due, link);
	/* What one gives up may be what a call of another waited for, and end it. */
	while ((link = list_pop_front(&due))) {
		list_push_back(&w->downstreams, link);
		downstream_cut(list_item(link, struct downstream, link));
	}
}

void worker_shrink(struct worker *w)
{
	list_each_safe (link, &w->backend_list)
		upstream_close_unused(list_item(link, struct backend, link));
}

/* ---- counters by name ---- */

struct service_stats *worker_service_stats(struct worker *w, struct slice label)
{
	struct service_stats *s = table_get(&w->stats_by_label, label);

	/* Labels come and go with the names that callers ask for: beyond so many they are one. */
	if (s == NULL && w->stats_by_label.used >= CALL_STATS_SERVICES) {
		label = SLICE_LIT("other");
		s = table_get(&w->stats_by_label, label);
	}
	if (s)
		return s;
	s = mem_calloc(1, sizeof *s);
	s->label = slice_dup(label);
	table_put(&w->stats_by_label, slice_of(s->label, label.len), s);
	atomic_store(&s->next, atomic_load(&w->services));
	atomic_store_explicit(&w->services, s, memory_order_release);
	return s;
}

struct listener_stats *worker_listener_stats(struct worker *w, const char *name)
{
	struct listener_stats *l = atomic_load(&w->listeners);

	for (; l; l = atomic_load(&l->next))
		if (strcmp(l->name, name) == 0)
			return l;
	l = mem_calloc(1, sizeof *l);
	l->name = mem_strdup(name);
	atomic_store(&l->next, atomic_load(&w->listeners));
	atomic_store_explicit(&w->listeners, l, memory_order_release);
	return l;
}

bool worker_charge(struct worker *w, size_t bytes)
{
	uint64_t limit = w->world->snapshot->config->limit_memory;

	if (atomic_fetch_add(&w->shares->memory, bytes) + bytes <= limit)
		return true;
	atomic_fetch_sub(&w->shares->memory, bytes);
	return false;
}

void worker_uncharge(struct worker *w, size_t bytes)
{
	atomic_fetch_sub(&w->shares->memory, bytes);
}

bool worker_charge_held(struct worker *w, size_t held, size_t *charged)
{
	size_t due = held > CHARGED_ABOVE ? held : 0;

	if (due > *charged && !worker_charge(w, due - *charged))
		return false;
	if (due < *charged)
		worker_uncharge(w, *charged - due);
	*charged = due;
	return true;
}

/* ---- for other threads ---- */

static void add_histogram(struct histogram *to, const struct histogram *from)
{
	for (int i = 0; i <= HISTOGRAM_BOUNDS; i++)
		counter_add(&to->buckets[i], counter_get(&from->buckets[i]));
	counter_add(&to->sum_us, counter_get(&from->sum_us));
}

bool worker_backend_report(
    struct worker *w, struct slice label, struct slice address, struct backend_report *report)
{
	char key[1024];
	const struct backend *b;

	if (label.len + 1 + address.len > sizeof key)
		return false;
	memcpy(key, label.data, label.len);
	key[label.len] = '\0';
	memcpy(key + label.len + 1, address.data, address.len);
	pthread_mutex_lock(&w->backends_lock);
	b = table_get(&w->backends, slice_of(key, label.len + 1 + address.len));
	if (b) {
		report->in_flight += counter_get(&b->in_flight);
		report->connections += counter_get(&b->connections);
		report->calls += counter_get(&b->calls);
		report->errors += counter_get(&b->errors);
		report->idle += counter_get(&b->n_idle);
		report->waiting += counter_get(&b->waiting);
		report->backlog += counter_get(&b->backlog);
		add_histogram(&report->took, &b->took);
	}
	pthread_mutex_unlock(&w->backends_lock);
	return b != NULL;
}
