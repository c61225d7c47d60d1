/*
 * Places that real threads hand to each other: workers that are nothing but a loop and an inbox
 * take a place, hold it for a moment and give it back, or wait for it. A word that got lost would
 * leave all of them waiting for ever.
 */
#include "proxy/slot_queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "net/inbox.h"
#include "net/loop.h"
#include "proxy/worker.h"
#include "support/suite.h"

#define WORKERS 3u
#define CALLS   4u      /* of each worker, at a time */
#define ROUNDS  100000u /* of all */

/* Few callers are seldom waited for, which is when a word gets lost; many have queues on all
 * sides. */
static unsigned n_workers = WORKERS, n_calls = CALLS;

static struct tallies *tallies;
static struct limit_tally *tally;
static struct limit_config config;
static atomic_uint running, most, done;

/* One that wants a place again and again. */
struct call_like {
	struct slot_waiter waiter;
	struct loop_work work;
	struct thread_like *thread;
	bool has_place;
};

static struct thread_like {
	struct worker worker;
	struct inbox *inbox;
	pthread_t thread;
	struct call_like calls[CALLS];
} threads[WORKERS];

struct word {
	struct worker *to;
	struct limit_tally *tally;
	uint64_t key;
};

static void arrive(void *arg)
{
	struct word *word = arg;

	slot_queue_freed(word->to, word->tally, word->key);
	free(word);
}

static void wake(void *arg, unsigned worker, struct limit_tally *which, uint64_t key)
{
	struct word *word = mem_alloc(sizeof *word);

	(void)arg;
	*word = (struct word){&threads[worker].worker, which, key};
	inbox_post(threads[worker].inbox, arrive, word);
}

static void has_place(struct call_like *call)
{
	unsigned now = atomic_fetch_add(&running, 1) + 1, before = atomic_load(&most);

	while (before < now && !atomic_compare_exchange_weak(&most, &before, now))
		;
	call->has_place = true;
	loop_defer(call->thread->worker.loop, &call->work);
}

static void granted(struct slot_waiter *waiter)
{
	has_place(container_of(waiter, struct call_like, waiter));
}

static void want_place(struct call_like *call)
{
	struct worker *w = &call->thread->worker;

	if (slot_queue_take(w, &call->waiter.slot) ||
	    slot_queue_wait(w, &call->waiter) == SLOT_TAKEN)
		has_place(call);
}

/* Does something else for a while, so that not everybody always waits for everybody. */
static void linger(struct thread_like *t)
{
	for (uint64_t i = rng_below(&t->worker.rng, 4000); i > 0; i--)
		atomic_signal_fence(memory_order_seq_cst);
}

/* At the end of a turn: gives back what it has, and wants it anew. */
static void step(struct loop_work *work)
{
	struct call_like *call = container_of(work, struct call_like, work);
	struct thread_like *t = call->thread;

	if (call->has_place) {
		call->has_place = false;
		atomic_fetch_sub(&running, 1);
		slot_queue_release(&t->worker, &call->waiter.slot);
		if (atomic_fetch_add(&done, 1) >= ROUNDS)
			return;
		linger(t);
	}
	want_place(call);
}

static bool is_over(void)
{
	return atomic_load(&done) >= ROUNDS && limit_running(tally) == 0 &&
	       limit_longest_waiting(tally) < 0;
}

static void *run(void *arg)
{
	struct thread_like *t = arg;

	for (unsigned i = 0; i < n_calls; i++)
		loop_defer(t->worker.loop, &t->calls[i].work);
	while (!is_over())
		loop_turn(t->worker.loop, 10 * USEC_MS);
	return NULL;
}

static void begin_thread(unsigned index)
{
	struct thread_like *t = &threads[index];
	struct err err;

	t->worker.index = index;
	t->worker.loop = loop_new(&err);
	ck_assert_ptr_nonnull(t->worker.loop);
	t->inbox = inbox_new(t->worker.loop, &err);
	t->worker.wake = wake;
	rng_init(&t->worker.rng, index);
	slot_queue_init(&t->worker);
	for (unsigned i = 0; i < n_calls; i++) {
		struct call_like *call = &t->calls[i];

		call->thread = t;
		call->work.run = step;
		call->waiter.slot = (struct slot){.tally = tally, .config = &config};
		call->waiter.slot.who.caller = slice_str(i % 2 ? "a" : "b");
		call->waiter.granted = granted;
	}
}

/* Fails the test instead of hanging when nothing moves for so long. */
static void watch(void)
{
	unsigned before = 0, still = 0;

	while (!is_over()) {
		unsigned now = atomic_load(&done);

		still = now == before ? still + 1 : 0;
		ck_assert_msg(still < 6000, "%u done, %llu run: somebody waits for ever", now,
		    (unsigned long long)limit_running(tally));
		before = now;
		usleep(10000);
	}
}

static void contend(void)
{
	config.at = "limit";
	config.queue_length = WORKERS * CALLS;
	tallies = tallies_new();
	tally = tallies_limit(tallies, SLICE_LIT("limit"), &config);
	for (unsigned i = 0; i < n_workers; i++)
		begin_thread(i);
	for (unsigned i = 0; i < n_workers; i++)
		ck_assert_int_eq(pthread_create(&threads[i].thread, NULL, run, &threads[i]), 0);
	watch();
	for (unsigned i = 0; i < n_workers; i++)
		pthread_join(threads[i].thread, NULL);
	for (unsigned i = 0; i < n_workers; i++)
		inbox_free(&threads[i].inbox);
	ck_assert_uint_eq(limit_running(tally), 0);
	ck_assert_int_eq(limit_longest_waiting(tally), -1);
	for (unsigned i = 0; i < n_workers; i++) {
		slot_queue_fini(&threads[i].worker);
		loop_free(&threads[i].worker.loop);
	}
	limit_tally_unref(&tally);
	tallies_free(&tallies);
}

START_TEST(no_thread_waits_for_a_place_that_is_free)
{
	config.concurrency = (unsigned)_i + 1;
	contend();
	ck_assert_uint_le(atomic_load(&most), config.concurrency);
}
END_TEST

START_TEST(nor_when_waiting_is_seldom)
{
	n_workers = 2;
	n_calls = 1;
	config.concurrency = 1;
	contend();
	ck_assert_uint_le(atomic_load(&most), 1);
}
END_TEST

START_TEST(nor_does_a_caller_for_one_of_its_own)
{
	config.concurrency = 1;
	config.by = LIMIT_BY_CALLER;
	contend();
	ck_assert_uint_le(atomic_load(&most), 2);
}
END_TEST

#define HOGS   50000u
#define OTHERS 20000u

static void never_granted(struct slot_waiter *waiter)
{
	(void)waiter;
	ck_abort_msg("nobody has given its place back");
}

/* Time in which others take places of their own and give them back while so many wait. */
static double time_of_others(unsigned n_waiting, struct slot_waiter *waiters)
{
	struct worker *w = &threads[0].worker;
	struct slot slot = {.tally = tally, .config = &config};
	clock_t begun;

	for (unsigned i = 0; i < n_waiting; i++) {
		waiters[i].slot = (struct slot){.tally = tally, .config = &config};
		waiters[i].slot.who.caller = SLICE_LIT("hog");
		waiters[i].granted = never_granted;
		ck_assert_int_eq(slot_queue_wait(w, &waiters[i]), SLOT_WAITING);
	}
	begun = clock();
	slot.who.caller = SLICE_LIT("other");
	for (unsigned i = 0; i < OTHERS; i++) {
		ck_assert(slot_queue_take(w, &slot));
		slot_queue_release(w, &slot);
	}
	begun = clock() - begun;
	for (unsigned i = 0; i < n_waiting; i++)
		slot_queue_leave(w, &waiters[i]);
	return (double)begun / CLOCKS_PER_SEC;
}

START_TEST(those_who_wait_for_something_else_cost_nothing)
{
	struct worker *w = &threads[0].worker;
	struct slot held = {.config = &config, .who = {.caller = SLICE_LIT("hog")}};
	struct slot_waiter *waiters = mem_calloc(HOGS, sizeof *waiters);
	double alone, beside;

	config = (struct limit_config){
	    .at = "limit", .concurrency = 1, .queue_length = HOGS, .by = LIMIT_BY_CALLER};
	tallies = tallies_new();
	tally = tallies_limit(tallies, SLICE_LIT("limit"), &config);
	begin_thread(0);
	held.tally = tally;
	ck_assert(slot_queue_take(w, &held));
	alone = time_of_others(1, waiters);
	beside = time_of_others(HOGS, waiters);
	ck_assert_msg(beside < 20 * alone + 0.5, "%.3f s, but %.3f s beside them", alone, beside);
	slot_queue_release(w, &held);
	slot_queue_fini(w);
	inbox_free(&threads[0].inbox);
	loop_free(&threads[0].worker.loop);
	limit_tally_unref(&tally);
	tallies_free(&tallies);
	free(waiters);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {no_thread_waits_for_a_place_that_is_free, 3},
	    {nor_when_waiting_is_seldom, 1},
	    {nor_does_a_caller_for_one_of_its_own, 1},
	    {those_who_wait_for_something_else_cost_nothing, 1},
	};

	return suite_run_between("slot_queue", tests, ARRAY_LEN(tests), NULL, NULL);
}
