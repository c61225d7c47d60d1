#include "daemon/acceptor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/listener.h"

/* An open door; belongs to worker 0. */
struct door {
	struct list link;
	struct acceptor *acceptor; /* borrowed */
	struct listener *listener; /* owned */
	unsigned id;
	char *name;                   /* owned */
	char *label;                  /* owned: "name address", for the listener's log lines */
	char asked[ADDRESS_TEXT_MAX]; /* its address as the file has it */
	uint64_t limit;               /* connections */
	bool keeps_file;
};

struct acceptor {
	struct worker_thread *const *threads; /* borrowed */
	unsigned n_threads;
	unsigned turn;                 /* where the search for the least loaded worker begins */
	struct process_shares *shares; /* borrowed */
	struct list doors;
	bool is_held;
	uint64_t limit;
	/* Handed over and not yet seen in any worker's listener_stats; counted over all listeners,
	 * so that a burst on one may be refused a little early, never late. */
	atomic_uint_least64_t in_transit;
	pthread_mutex_t lock;
	pthread_cond_t was_applied;
	uint64_t ordered; /* plans; the control thread's */
	uint64_t applied; /* under the lock */
};

/* A connection on its way to another worker. */
struct hand_over {
	struct acceptor *acceptor; /* borrowed */
	struct worker *worker;     /* borrowed */
	struct address from;
	int fd;
	bool over_limit;
	char door[ADDRESS_TEXT_MAX];
	char listener[]; /* the door may be gone when this arrives */
};

static unsigned least_loaded(struct acceptor *a)
{
	unsigned best = a->turn, fewest = UINT32_MAX;

	for (unsigned i = 0; i < a->n_threads; i++) {
		unsigned at = (a->turn + i) % a->n_threads;
		struct worker *w = worker_thread_worker(a->threads[at]);
		unsigned n = atomic_load_explicit(&w->connections, memory_order_relaxed);

		if (n < fewest) {
			fewest = n;
			best = at;
		}
	}
	a->turn = (best + 1) % a->n_threads;
	return best;
}

static uint64_t open_on_listener(const struct acceptor *a, const char *name)
{
	uint64_t open = atomic_load_explicit(&a->in_transit, memory_order_relaxed);

	for (unsigned i = 0; i < a->n_threads; i++) {
		struct worker *w = worker_thread_worker(a->threads[i]);
		struct listener_stats *s = atomic_load(&w->listeners);

		for (; s; s = atomic_load(&s->next))
			if (strcmp(s->name, name) == 0)
				open += counter_get(&s->connections);
	}
	return open;
}

static bool is_full(const struct acceptor *a, const struct door *door)
{
	uint64_t all = atomic_load_explicit(&a->shares->connections, memory_order_relaxed);
	uint64_t held = atomic_load_explicit(&a->shares->connecting, memory_order_relaxed);

	return all >= held + a->limit || open_on_listener(a, door->name) >= door->limit;
}

static void arrive(void *arg)
{
	struct hand_over *h = arg;

	worker_take(h->worker, h->listener, h->door, h->fd, &h->from, h->over_limit);
	atomic_fetch_sub_explicit(&h->acceptor->in_transit, 1, memory_order_relaxed);
	free(h);
}

static void post_connection(struct door *door, struct worker_thread *to, int fd,
    const struct address *from, bool over_limit)
{
	size_t name_size = strlen(door->name) + 1;
	struct hand_over *h = mem_alloc(sizeof *h + name_size);

	h->acceptor = door->acceptor;
	h->worker = worker_thread_worker(to);
	h->from = *from;
	h->fd = fd;
	h->over_limit = over_limit;
	memcpy(h->door, door->asked, sizeof h->door);
	memcpy(h->listener, door->name, name_size);
	atomic_fetch_add_explicit(&door->acceptor->in_transit, 1, memory_order_relaxed);
	worker_thread_post(to, arrive, h);
}

static void accepted(void *arg, int fd, const struct address *from)
{
	struct door *door = arg;
	struct acceptor *a = door->acceptor;
	bool over_limit = is_full(a, door);
	struct worker *worker;
	unsigned chosen;

	if (over_limit && atomic_load(&a->shares->connecting) >= ACCEPTOR_HELD) {
		close(fd);
		return;
	}
	chosen = least_loaded(a);
	worker = worker_thread_worker(a->threads[chosen]);
	atomic_fetch_add_explicit(&worker->connections, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&a->shares->connections, 1, memory_order_relaxed);
	if (over_limit)
		atomic_fetch_add_explicit(&a->shares->connecting, 1, memory_order_relaxed);
	if (chosen == 0)
		worker_take(worker, door->name, door->asked, fd, from, over_limit);
	else
		post_connection(door, a->threads[chosen], fd, from, over_limit);
}

static void name_door(struct door *door, const char *name, const struct address *bound)
{
	char label[ADDRESS_TEXT_MAX + 256];

	free(door->name);
	door->name = mem_strdup(name);
	if (bound == NULL)
		return;
	snprintf(label, sizeof label, "%s %s", name, bound->text);
	door->label = mem_strdup(label);
}

static void door_open(struct acceptor *a, const struct acceptor_door *d)
{
	struct door *door = mem_calloc(1, sizeof *door);

	door->acceptor = a;
	door->id = d->id;
	door->limit = d->limit;
	door->keeps_file = d->keeps_file;
	memcpy(door->asked, d->asked.text, sizeof door->asked);
	name_door(door, d->listener, &d->bound);
	list_push_back(&a->doors, &door->link);
	door->listener = listener_start(
	    worker_thread_loop(a->threads[0]), d->fd, &d->bound, door->label, accepted, door);
	listener_hold(door->listener, a->is_held);
}

static void door_close(struct door *door)
{
	list_remove(&door->link);
	listener_stop(&door->listener, !door->keeps_file);
	free(door->name);
	free(door->label);
	free(door);
}

static struct door *find_door(struct acceptor *a, unsigned id)
{
	list_each (link, &a->doors) {
		struct door *door = list_item(link, struct door, link);

		if (door->id == id)
			return door;
	}
	return NULL;
}

static bool is_planned(const struct acceptor_plan *plan, unsigned id)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->doors[i].id == id)
			return true;
	return false;
}

struct plan_order {
	struct acceptor *acceptor;
	struct acceptor_plan plan;
};

/* Whoever waits at a door that is to close has connected already, under the limits that held
 * then. */
static void let_in_last(struct acceptor *a, const struct acceptor_plan *plan)
{
	list_each (link, &a->doors) {
		struct door *door = list_item(link, struct door, link);

		if (!is_planned(plan, door->id))
			listener_take_waiting(door->listener, !door->keeps_file);
	}
}

/* In worker 0's thread. */
static void apply(void *arg)
{
	struct plan_order *order = arg;
	struct acceptor *a = order->acceptor;
	struct acceptor_plan *plan = &order->plan;

	let_in_last(a, plan);
	a->limit = plan->limit;
	for (size_t i = 0; i < plan->n; i++) {
		struct acceptor_door *d = &plan->doors[i];
		struct door *door = find_door(a, d->id);

		if (door == NULL) {
			door_open(a, d);
			continue;
		}
		name_door(door, d->listener, NULL);
		door->limit = d->limit;
		door->keeps_file = d->keeps_file;
	}
	list_each_safe (link, &a->doors) {
		struct door *door = list_item(link, struct door, link);

		if (!is_planned(plan, door->id))
			door_close(door);
	}
	pthread_mutex_lock(&a->lock);
	a->applied++;
	pthread_cond_signal(&a->was_applied);
	pthread_mutex_unlock(&a->lock);
	for (size_t i = 0; i < plan->n; i++)
		free(plan->doors[i].listener);
	free(plan->doors);
	free(order);
}

struct acceptor *acceptor_new(
    struct worker_thread *const *threads, unsigned n, struct process_shares *shares)
{
	struct acceptor *a = mem_calloc(1, sizeof *a);

	a->threads = threads;
	a->n_threads = n;
	a->shares = shares;
	list_init(&a->doors);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->was_applied, NULL);
	return a;
}

void acceptor_apply(struct acceptor *a, struct acceptor_plan *moved)
{
	struct plan_order *order = mem_alloc(sizeof *order);

	*order = (struct plan_order){a, *moved};
	*moved = (struct acceptor_plan){0};
	a->ordered++;
	worker_thread_post(a->threads[0], apply, order);
}

void acceptor_wait(struct acceptor *a, usec_t patience)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(patience / USEC_S);
	pthread_mutex_lock(&a->lock);
	while (a->applied != a->ordered &&
	       pthread_cond_timedwait(&a->was_applied, &a->lock, &until) == 0)
		continue;
	pthread_mutex_unlock(&a->lock);
}

bool acceptor_has_applied(struct acceptor *a)
{
	bool has_applied;

	pthread_mutex_lock(&a->lock);
	has_applied = a->applied == a->ordered;
	pthread_mutex_unlock(&a->lock);
	return has_applied;
}

struct hold_order {
	struct acceptor *acceptor;
	bool hold;
};

static void hold_doors(void *arg)
{
	struct hold_order *order = arg;
	struct acceptor *a = order->acceptor;

	a->is_held = order->hold;
	list_each (link, &a->doors)
		listener_hold(list_item(link, struct door, link)->listener, a->is_held);
	free(order);
}

void acceptor_hold(struct acceptor *a, bool hold)
{
	struct hold_order *order = mem_alloc(sizeof *order);

	*order = (struct hold_order){a, hold};
	worker_thread_post(a->threads[0], hold_doors, order);
}

void acceptor_free(struct acceptor **pa)
{
	struct acceptor *a = *pa;

	if (a == NULL)
		return;
	*pa = NULL;
	list_each_safe (link, &a->doors)
		door_close(list_item(link, struct door, link));
	pthread_cond_destroy(&a->was_applied);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
