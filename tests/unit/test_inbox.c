#include "net/inbox.h"

#include <pthread.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "net/loop.h"
#include "support/descriptors.h"
#include "support/recorder.h"
#include "support/suite.h"

static struct loop *loop;
static struct inbox *inbox;
static int descriptors_before;
static pthread_t owner;
static int seen[64], n_seen;

static void begin(void)
{
	struct err err;

	descriptors_before = descriptors_open();
	loop = loop_new(&err);
	inbox = inbox_new(loop, &err);
	ck_assert_ptr_nonnull(inbox);
	owner = pthread_self();
	n_seen = 0;
}

static void end(void)
{
	inbox_free(&inbox);
	ck_assert_ptr_null(inbox);
	loop_free(&loop);
	ck_assert_int_eq(descriptors_open(), descriptors_before);
}

static void *number(intptr_t n)
{
	return (void *)n; /* NOLINT: a message carries any word */
}

static void see(void *arg)
{
	ck_assert_int_lt(n_seen, 64);
	seen[n_seen++] = (int)(intptr_t)arg;
}

START_TEST(messages_run_in_the_order_of_posting)
{
	for (int i = 0; i < 50; i++)
		inbox_post(inbox, see, number(i));
	ck_assert_int_eq(n_seen, 0);
	loop_turn(loop, USEC_S);
	ck_assert_int_eq(n_seen, 50);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(seen[i], i);
}
END_TEST

START_TEST(empty_inbox_does_not_wake_the_loop)
{
	inbox_post(inbox, see, number(1));
	loop_turn(loop, USEC_S);
	ck_assert_int_eq(n_seen, 1);
	ck_assert(loop_sleeps(loop));
	ck_assert_int_eq(n_seen, 1);
}
END_TEST

static bool is_inside;

static void post_again(void *arg)
{
	intptr_t left = (intptr_t)arg;

	ck_assert(!is_inside);
	is_inside = true;
	see(arg);
	if (left)
		inbox_post(inbox, post_again, number(left - 1));
	is_inside = false;
}

START_TEST(message_posted_by_a_message_runs_after_it)
{
	inbox_post(inbox, post_again, number(3));
	inbox_post(inbox, see, number(10));
	for (int i = 0; i < 8; i++)
		loop_turn(loop, 0);
	ck_assert_int_eq(n_seen, 5);
	ck_assert_int_eq(seen[0], 3);
	ck_assert_int_eq(seen[1], 10);
	ck_assert_int_eq(seen[2], 2);
	ck_assert_int_eq(seen[4], 0);
}
END_TEST

static void stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void *post_stop(void *arg)
{
	/* The loop has turned: it is in loop_run, and most likely waits. */
	while (loop_turns(loop) == 0)
		;
	inbox_post(inbox, stop, NULL);
	return arg;
}

START_TEST(message_wakes_a_loop_that_waits)
{
	pthread_t thread;

	inbox_post(inbox, see, number(1)); /* lets the first turn pass */
	ck_assert_int_eq(pthread_create(&thread, NULL, post_stop, NULL), 0);
	loop_run(loop);
	pthread_join(thread, NULL);
	ck_assert_int_eq(n_seen, 1);
}
END_TEST

enum { THREADS = 4, EACH = 5000 };

struct note {
	int thread, n;
};

static int next_of[THREADS], total;

static void count(void *arg)
{
	struct note *note = arg;

	ck_assert(pthread_equal(pthread_self(), owner));
	ck_assert_int_eq(note->n, next_of[note->thread]);
	next_of[note->thread]++;
	free(note);
	if (++total == THREADS * EACH)
		loop_stop(loop);
}

static void *post_many(void *arg)
{
	for (int i = 0; i < EACH; i++) {
		struct note *note = mem_alloc(sizeof *note);

		*note = (struct note){(int)(intptr_t)arg, i};
		inbox_post(inbox, count, note);
	}
	return NULL;
}

START_TEST(all_messages_of_many_threads_arrive_in_the_order_of_each)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, post_many, number(i)), 0);
	loop_run(loop);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(total, THREADS * EACH);
}
END_TEST

START_TEST(free_runs_what_is_still_inside)
{
	inbox_post(inbox, see, number(1));
	inbox_post(inbox, see, number(2));
	inbox_free(&inbox);
	ck_assert_int_eq(n_seen, 2);
}
END_TEST

static void free_inbox(void *arg)
{
	(void)arg;
	inbox_free(&inbox);
	ck_assert_int_eq(n_seen, 2);
}

START_TEST(message_may_free_the_inbox)
{
	inbox_post(inbox, free_inbox, NULL);
	inbox_post(inbox, see, number(1));
	inbox_post(inbox, see, number(2));
	loop_turn(loop, USEC_S);
	ck_assert_int_eq(n_seen, 2);
	ck_assert_ptr_null(inbox);
	loop_turn(loop, 0);
}
END_TEST

START_TEST(what_is_inside_can_be_run_without_a_turn_of_the_loop)
{
	inbox_run(inbox);
	inbox_post(inbox, see, number(1));
	inbox_post(inbox, see, number(2));
	inbox_run(inbox);
	ck_assert_int_eq(n_seen, 2);
	inbox_post(inbox, see, number(3));
	loop_turn(loop, USEC_S);
	ck_assert_int_eq(n_seen, 3);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {messages_run_in_the_order_of_posting, 1},
	    {empty_inbox_does_not_wake_the_loop, 1},
	    {message_posted_by_a_message_runs_after_it, 1},
	    {message_wakes_a_loop_that_waits, 1},
	    {all_messages_of_many_threads_arrive_in_the_order_of_each, 1},
	    {free_runs_what_is_still_inside, 1},
	    {message_may_free_the_inbox, 1},
	    {what_is_inside_can_be_run_without_a_turn_of_the_loop, 1},
	};

	return suite_run_between("inbox", tests, ARRAY_LEN(tests), begin, end);
}
