/*
 * The table of calls in flight to processes beside us: who is found, and that nobody is where there
 * is a doubt.
 */
#include "proxy/correlation.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "support/suite.h"

#define NOW     (1000 * USEC_S)
#define UID     7u
#define LABEL   SLICE_LIT("app")
#define THREADS 4
#define ROUNDS  4000

static struct correlation *c;
static struct correlation_process *app;
static struct correlation_asker asker;

static struct conn_process who(pid_t pid, int process)
{
	return (struct conn_process){pid, UID, process};
}

static struct correlation_process *process(pid_t pid)
{
	struct conn_process p = who(pid, -1);

	return correlation_process(c, &p, LABEL, NOW);
}

static void begin(void)
{
	c = correlation_new();
	app = process(100);
	asker = (struct correlation_asker){.pid = 100, .uid = UID};
}

static void end(void)
{
	if (app)
		correlation_leave(c, &app);
	correlation_free(&c);
}

/* A call that is known again by its log id. */
static struct correlated *carrying(const char *log_id)
{
	struct slice text = slice_str(log_id);
	struct correlated *carried = correlated_new(text.len);

	memcpy(carried->bytes, text.data, text.len);
	carried->what.log_id = slice_of(carried->bytes, text.len);
	return carried;
}

static void fly(struct correlation_flight *flight, const char *log_id)
{
	correlation_begin(c, flight, app, carrying(log_id));
}

/* As of a connection whose process has shown that it is there. */
static enum correlation_result find_at(
    struct correlation_asker *who_asks, usec_t now, struct correlated **found)
{
	char label[CORRELATION_LABEL_MAX];
	enum correlation_result result = correlation_find(c, who_asks, now, found, label);

	if (result == CORRELATION_UNPROVEN)
		result = correlation_find(c, who_asks, now, found, label);
	if (result < CORRELATION_COUNTED)
		ck_assert_str_eq(label, "app");
	return result;
}

static enum correlation_result look(usec_t now)
{
	struct correlated *found = NULL;
	enum correlation_result result = find_at(&asker, now, &found);

	ck_assert_int_eq(result == CORRELATION_TIED, found != NULL);
	correlated_unref(&found);
	return result;
}

static void must_find(const char *log_id)
{
	struct correlated *found = NULL;

	ck_assert_int_eq(find_at(&asker, NOW, &found), CORRELATION_TIED);
	ck_assert(slice_eq_str(found->what.log_id, log_id));
	correlated_unref(&found);
}

START_TEST(the_only_call_in_flight_is_found_until_it_ends)
{
	struct correlation_flight one = {.process = NULL};

	ck_assert_int_eq(look(NOW), CORRELATION_NONE);
	fly(&one, "one");
	must_find("one");
	must_find("one");
	correlation_end(c, &one, 0);
	ck_assert_ptr_null(one.process);
	ck_assert_int_eq(look(NOW), CORRELATION_NONE);
}
END_TEST

START_TEST(of_several_none_is_found)
{
	struct correlation_flight one = {.process = NULL}, two = {.process = NULL};

	fly(&one, "one");
	fly(&two, "two");
	ck_assert_int_eq(look(NOW), CORRELATION_SEVERAL);
	correlation_end(c, &one, 0);
	must_find("two");
	correlation_end(c, &two, 0);
}
END_TEST

START_TEST(what_was_found_outlives_its_flight)
{
	struct correlation_flight one = {.process = NULL};
	struct correlated *found = NULL;

	fly(&one, "one");
	ck_assert_int_eq(find_at(&asker, NOW, &found), CORRELATION_TIED);
	correlation_end(c, &one, 0);
	ck_assert(slice_eq_str(found->what.log_id, "one"));
	correlated_unref(&found);
	ck_assert_ptr_null(found);
}
END_TEST

START_TEST(calls_of_services_that_do_not_correlate_count_and_carry_nothing)
{
	struct correlation_flight one = {.process = NULL}, other = {.process = NULL};

	correlation_begin(c, &other, app, NULL);
	ck_assert_int_eq(look(NOW), CORRELATION_NONE);
	fly(&one, "one");
	ck_assert_int_eq(look(NOW), CORRELATION_SEVERAL);
	correlation_end(c, &other, 0);
	must_find("one");
	correlation_end(c, &one, 0);
}
END_TEST

START_TEST(what_carries_too_much_is_large_and_not_found)
{
	struct correlation_flight one = {.process = NULL};
	struct correlated *large = carrying("");

	large->is_large = true;
	correlation_begin(c, &one, app, large);
	ck_assert_int_eq(look(NOW), CORRELATION_LARGE);
	correlation_end(c, &one, 0);
}
END_TEST

START_TEST(processes_and_users_are_told_apart)
{
	struct correlation_process *other = process(200);
	struct correlation_flight one = {.process = NULL}, two = {.process = NULL};

	fly(&one, "one");
	correlation_begin(c, &two, other, carrying("two"));
	must_find("one");
	asker = (struct correlation_asker){.pid = 200, .uid = UID};
	must_find("two");
	asker = (struct correlation_asker){.pid = 200, .uid = UID + 1};
	ck_assert_int_eq(look(NOW), CORRELATION_STRANGER);
	asker = (struct correlation_asker){.pid = 300, .uid = UID};
	ck_assert_int_eq(look(NOW), CORRELATION_STRANGER);
	correlation_end(c, &one, 0);
	correlation_end(c, &two, 0);
	correlation_leave(c, &other);
}
END_TEST

START_TEST(connections_of_one_process_count_together)
{
	struct correlation_process *again = process(100);
	struct correlation_flight one = {.process = NULL}, two = {.process = NULL};

	ck_assert_ptr_eq(again, app);
	fly(&one, "one");
	correlation_begin(c, &two, again, carrying("two"));
	ck_assert_int_eq(look(NOW), CORRELATION_SEVERAL);
	correlation_end(c, &two, 0);
	correlation_leave(c, &again);
	must_find("one");
	correlation_end(c, &one, 0);
}
END_TEST

START_TEST(what_may_still_run_forbids_it_for_its_time_even_when_connections_have_gone)
{
	struct correlation_flight one = {.process = NULL}, two = {.process = NULL};

	fly(&one, "one");
	correlation_end(c, &one, NOW + 5);
	ck_assert_int_eq(look(NOW), CORRELATION_NONE); /* of what is known */
	correlation_leave(c, &app);
	app = process(100);
	fly(&two, "two");
	ck_assert_int_eq(look(NOW + 4), CORRELATION_SEVERAL);
	ck_assert_int_eq(look(NOW + 5), CORRELATION_TIED);
	correlation_end(c, &two, NOW + 9);
	fly(&two, "two");
	correlation_end(c, &two, NOW + 7); /* does not make it shorter */
	fly(&two, "two");
	ck_assert_int_eq(look(NOW + 8), CORRELATION_SEVERAL);
	ck_assert_int_eq(look(NOW + 9), CORRELATION_TIED);
	correlation_end(c, &two, 0);
}
END_TEST

START_TEST(a_flight_keeps_its_process_when_its_connection_goes)
{
	struct correlation_flight one = {.process = NULL};

	fly(&one, "one");
	correlation_leave(c, &app);
	must_find("one");
	correlation_end(c, &one, 0);
	ck_assert_int_eq(look(NOW), CORRELATION_STRANGER); /* nobody has anything to do with it */
}
END_TEST

START_TEST(while_some_do_not_count_nothing_is_found_nor_soon_after)
{
	struct correlation_flight one = {.process = NULL};

	fly(&one, "one");
	correlation_begin_blind(c);
	correlation_begin_blind(c);
	ck_assert_int_eq(look(NOW), CORRELATION_SEVERAL);
	correlation_end_blind(c, NOW);
	ck_assert_int_eq(look(NOW + 60 * USEC_S), CORRELATION_SEVERAL);
	correlation_end_blind(c, NOW);
	ck_assert_int_eq(look(NOW + 30 * USEC_S - 1), CORRELATION_SEVERAL);
	ck_assert_int_eq(look(NOW + 30 * USEC_S), CORRELATION_TIED);
	correlation_end(c, &one, 0);
}
END_TEST

/* ---- with real processes ---- */

static pid_t child(int *process_of)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	ck_assert_int_gt(pid, 0);
	*process_of = (int)syscall(SYS_pidfd_open, pid, 0);
	ck_assert_int_ge(*process_of, 0);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

START_TEST(nothing_is_found_while_another_bridled_serves_the_same_nor_soon_after)
{
	struct correlation_flight one = {.process = NULL};
	const usec_t later = NOW + 30 * USEC_S;
	int before;
	pid_t pid = child(&before);

	fly(&one, "one");
	correlation_share(c, true, NOW);
	ck_assert_int_eq(look(NOW), CORRELATION_SEVERAL);
	correlation_share(c, false, NOW);
	ck_assert_int_eq(look(later - 1), CORRELATION_SEVERAL);
	ck_assert_int_eq(look(later), CORRELATION_TIED);
	correlation_share_with(c, before, NOW);
	ck_assert_int_eq(look(later), CORRELATION_SEVERAL);
	end_child(pid);
	ck_assert_int_eq(look(later), CORRELATION_SEVERAL);
	ck_assert_int_eq(look(later + 30 * USEC_S - 1), CORRELATION_SEVERAL);
	ck_assert_int_eq(look(later + 30 * USEC_S), CORRELATION_TIED);
	correlation_end(c, &one, 0);
}
END_TEST

START_TEST(a_predecessor_that_cannot_be_watched_is_given_its_time)
{
	struct correlation_flight one = {.process = NULL};

	fly(&one, "one");
	correlation_share_with(c, -1, NOW + 5);
	ck_assert_int_eq(look(NOW + 4), CORRELATION_SEVERAL);
	ck_assert_int_eq(look(NOW + 5), CORRELATION_TIED);
	correlation_end(c, &one, 0);
}
END_TEST

/* Which nobody here has heard of. */
START_TEST(the_predecessor_of_a_predecessor_is_given_its_time)
{
	struct correlation_flight one = {.process = NULL};
	const usec_t until = NOW + USEC_MIN;
	int before;
	pid_t pid = child(&before);

	fly(&one, "one");
	correlation_share_with(c, before, until);
	end_child(pid);
	ck_assert_int_eq(look(NOW), CORRELATION_SEVERAL);
	ck_assert_int_eq(look(until - 1), CORRELATION_SEVERAL);
	ck_assert_int_eq(look(until), CORRELATION_TIED);
	correlation_end(c, &one, 0);
}
END_TEST

/* The calls of the one that has gone are not those of the one that has its number. */
START_TEST(a_number_that_is_given_out_again_is_another_process)
{
	struct correlation_flight old = {.process = NULL}, fresh = {.process = NULL};
	struct correlation_process *gone, *next;
	struct conn_process p;
	int first, second;
	pid_t pid = child(&first), other = child(&second);

	p = who(500, first);
	gone = correlation_process(c, &p, LABEL, NOW);
	correlation_begin(c, &old, gone, carrying("old"));
	asker = (struct correlation_asker){.pid = 500, .uid = UID};
	must_find("old");
	end_child(pid);
	p = who(500, second);
	next = correlation_process(c, &p, LABEL, NOW);
	ck_assert_ptr_ne(next, gone);
	correlation_begin(c, &fresh, next, carrying("fresh"));
	must_find("fresh");
	correlation_end(c, &old, NOW + 5); /* forbids nothing in the other */
	must_find("fresh");
	correlation_end(c, &fresh, 0);
	correlation_leave(c, &gone);
	correlation_leave(c, &next);
	end_child(other);
}
END_TEST

/* Whoever connected may have been the one that had the number before. */
START_TEST(who_asks_has_to_show_that_it_is_there)
{
	struct correlation_flight one = {.process = NULL};
	char label[CORRELATION_LABEL_MAX];
	struct correlated *found = NULL;
	struct correlation_process *p;
	struct conn_process at_end;
	int process_of;
	pid_t pid = child(&process_of);

	at_end = who(pid, process_of);
	p = correlation_process(c, &at_end, LABEL, NOW);
	correlation_begin(c, &one, p, carrying("one"));
	asker = (struct correlation_asker){.pid = pid, .uid = UID};
	ck_assert_int_eq(correlation_find(c, &asker, NOW, &found, label), CORRELATION_UNPROVEN);
	ck_assert_ptr_null(found);
	ck_assert_int_eq(correlation_find(c, &asker, NOW, &found, label), CORRELATION_TIED);
	correlated_unref(&found);
	end_child(pid);
	asker.proven = 0;
	ck_assert_int_eq(correlation_find(c, &asker, NOW, &found, label), CORRELATION_STRANGER);
	correlation_end(c, &one, 0);
	correlation_leave(c, &p);
}
END_TEST

/* ---- threads ---- */

/* Whoever finds a call while its own is in flight finds that one or none. */
static void *make_calls(void *arg)
{
	struct correlation_asker me = {.pid = 100, .uid = UID};
	const char *name = arg;
	uintptr_t tied = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct correlation_flight flight = {.process = NULL};
		struct conn_process p = who(100, -1);
		struct correlation_process *mine = correlation_process(c, &p, LABEL, NOW);
		struct correlated *found = NULL;

		correlation_begin(c, &flight, mine, carrying(name));
		switch (find_at(&me, NOW, &found)) {
		case CORRELATION_TIED:
			ck_assert(slice_eq_str(found->what.log_id, name));
			tied++;
			break;
		case CORRELATION_SEVERAL:
			break;
		default:
			ck_abort_msg("its own is there");
		}
		correlation_end(c, &flight, 0);
		correlated_unref(&found);
		correlation_leave(c, &mine);
	}
	return (void *)tied;
}

START_TEST(threads_find_their_own_call_or_none)
{
	static char names[THREADS][24];
	pthread_t threads[THREADS];
	void *tied;

	for (int i = 0; i < THREADS; i++) {
		snprintf(names[i], sizeof names[i], "call-%d", i);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, make_calls, names[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], &tied), 0);
	ck_assert_int_eq(look(NOW), CORRELATION_NONE);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {the_only_call_in_flight_is_found_until_it_ends, 1},
	    {of_several_none_is_found, 1},
	    {what_was_found_outlives_its_flight, 1},
	    {calls_of_services_that_do_not_correlate_count_and_carry_nothing, 1},
	    {what_carries_too_much_is_large_and_not_found, 1},
	    {processes_and_users_are_told_apart, 1},
	    {connections_of_one_process_count_together, 1},
	    {what_may_still_run_forbids_it_for_its_time_even_when_connections_have_gone, 1},
	    {a_flight_keeps_its_process_when_its_connection_goes, 1},
	    {while_some_do_not_count_nothing_is_found_nor_soon_after, 1},
	    {nothing_is_found_while_another_bridled_serves_the_same_nor_soon_after, 1},
	    {a_predecessor_that_cannot_be_watched_is_given_its_time, 1},
	    {the_predecessor_of_a_predecessor_is_given_its_time, 1},
	    {a_number_that_is_given_out_again_is_another_process, 1},
	    {who_asks_has_to_show_that_it_is_there, 1},
	    {threads_find_their_own_call_or_none, 1},
	};

	return suite_run_between("correlation", tests, ARRAY_LEN(tests), begin, end);
}
