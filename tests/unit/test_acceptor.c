#include "daemon/acceptor.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "daemon/bindings.h"
#include "daemon/workers.h"
#include "support/descriptors.h"
#include "support/suite.h"

/* Real workers behind a real socket: connections are opened here, and counted there. */

static char directory[64];
static struct shared_config *shared;
static struct tallies *tallies;
static struct workers workers;
static struct bindings bindings;
static int before;

static void begin(void)
{
	before = descriptors_open();
	snprintf(directory, sizeof directory, "/tmp/test_acceptor.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	signal(SIGPIPE, SIG_IGN);
}

static void end(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", directory);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(descriptors_open(), before);
}

static struct shared_config *load(const char *listeners, unsigned limit)
{
	struct config_source source = {0};
	struct problems problems;
	struct config *config;
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/bridled.yaml", directory);
	f = fopen(path, "w");
	fprintf(f, "listeners: [%s]\n", listeners);
	fprintf(f, "services: {s: {endpoints: [\"unix:%s/app.sock\"]}}\n", directory);
	fprintf(f, "limits: {connections: %u}\nadmin: {socket: %s/admin.sock}\n", limit, directory);
	fclose(f);
	source.path = path;
	problems_init(&problems);
	config = config_load(&source, &problems);
	problems_print(&problems, stderr, false);
	ck_assert_ptr_nonnull(config);
	problems_fini(&problems);
	return shared_config_new(config);
}

static void apply(void)
{
	struct bindings_plan plan;
	struct acceptor_plan doors;
	struct err err;

	ck_assert_msg(
	    bindings_prepare(&bindings, shared->config, &plan, &err) == 0, "%s", err.text);
	doors = bindings_commit(&bindings, &plan);
	acceptor_apply(workers.acceptor, &doors);
}

static void start(unsigned n, const char *listeners, unsigned limit)
{
	struct endpoint_set none = {0};
	struct snapshot *snapshot;
	struct err err;

	shared = load(listeners, limit);
	tallies = tallies_new();
	snapshot = snapshot_new(shared, &none, tallies, NULL, 0);
	bindings_init(&bindings);
	ck_assert_int_eq(workers_start(&workers, n, snapshot, NULL, &err), 0);
	snapshot_unref(&snapshot);
	apply();
}

static void stop(void)
{
	workers_stop(&workers);
	bindings_fini(&bindings);
	shared_config_unref(&shared);
	tallies_free(&tallies);
}

static const char *listener_at(const char *name, unsigned limit)
{
	static char text[256];

	snprintf(text, sizeof text,
	    "{name: %s, address: \"unix:%s/%s.sock\", service: s, connections: %u}", name,
	    directory, name, limit);
	return text;
}

static int dial(const char *name)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof to.sun_path, "%s/%s.sock", directory, name);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

/* Until all that was dialled has been accepted, or given back. */
static void wait_for(uint64_t connections)
{
	while (workers_connections(&workers) != connections)
		usleep(200);
}

static unsigned spread(void)
{
	unsigned least = UINT_MAX, most = 0;

	for (unsigned i = 0; i < workers.n; i++) {
		unsigned n = atomic_load(&workers.list[i]->connections);

		least = n < least ? n : least;
		most = n > most ? n : most;
	}
	return most - least;
}

START_TEST(a_burst_is_spread_evenly_over_all_workers)
{
	int callers[42];

	start((unsigned)_i + 1, listener_at("a", 1000), 1000);
	for (int i = 0; i < 42; i++)
		callers[i] = dial("a");
	wait_for(42);
	ck_assert_uint_le(spread(), 1);
	for (int i = 0; i < 42; i++)
		close(callers[i]);
	wait_for(0);
	stop();
}
END_TEST

START_TEST(a_few_connections_use_all_workers)
{
	int callers[4];

	start(4, listener_at("a", 1000), 1000);
	for (int i = 0; i < 4; i++)
		callers[i] = dial("a");
	wait_for(4);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(atomic_load(&workers.list[i]->connections), 1);
	for (int i = 0; i < 4; i++)
		close(callers[i]);
	stop();
}
END_TEST

START_TEST(ties_do_not_always_go_to_the_same_worker)
{
	bool used[3] = {false};

	start(3, listener_at("a", 1000), 1000);
	for (int i = 0; i < 3; i++) {
		int caller = dial("a");

		wait_for(1);
		for (unsigned w = 0; w < 3; w++)
			used[w] = used[w] || atomic_load(&workers.list[w]->connections) == 1;
		close(caller);
		wait_for(0);
	}
	ck_assert(used[0] && used[1] && used[2]);
	stop();
}
END_TEST

START_TEST(bursts_after_closings_even_out_again)
{
	int callers[30];

	start(3, listener_at("a", 1000), 1000);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 30; i++)
			callers[i] = dial("a");
		wait_for(30);
		ck_assert_uint_le(spread(), 1);
		/* One worker in three loses all of its own, or all of another's, by the round. */
		for (int i = round % 3; i < 30; i += 3)
			close(callers[i]);
		wait_for(20);
		for (int i = round % 3; i < 30; i += 3)
			callers[i] = dial("a");
		wait_for(30);
		ck_assert_uint_le(spread(), 1);
		for (int i = 0; i < 30; i++)
			close(callers[i]);
		wait_for(0);
	}
	stop();
}
END_TEST

/* How many of them the other side has closed without a word. */
static unsigned closed_among(const int *callers, unsigned n, unsigned expected)
{
	unsigned closed;

	do {
		closed = 0;
		for (unsigned i = 0; i < n; i++) {
			struct pollfd p = {.fd = callers[i], .events = POLLIN};
			char byte;

			if (poll(&p, 1, 0) == 1)
				closed += recv(callers[i], &byte, 1, MSG_DONTWAIT) <= 0;
		}
	} while (closed < expected);
	return closed;
}

static void limit_is_kept(unsigned n, const char *listeners, unsigned limit)
{
	int callers[3 + ACCEPTOR_HELD + 20];
	unsigned all = (unsigned)ARRAY_LEN(callers);

	start(n, listeners, limit);
	for (unsigned i = 0; i < all; i++) {
		callers[i] = dial("a");
		wait_for(i < 3 + ACCEPTOR_HELD ? i + 1 : 3 + ACCEPTOR_HELD);
	}
	ck_assert_uint_eq(closed_among(callers, all, 20), 20);
	ck_assert_uint_eq(atomic_load(&workers.shares.connecting), ACCEPTOR_HELD);
	for (unsigned i = 0; i < all; i++)
		close(callers[i]);
	wait_for(0);
	ck_assert_uint_eq(atomic_load(&workers.shares.connecting), 0);
	stop();
}

START_TEST(above_the_limit_of_a_listener_some_are_held_and_the_rest_closed)
{
	limit_is_kept((unsigned)_i + 1, listener_at("a", 3), 1000);
}
END_TEST

START_TEST(above_the_limit_of_the_process_some_are_held_and_the_rest_closed)
{
	limit_is_kept((unsigned)_i + 1, listener_at("a", 1000), 3);
}
END_TEST

static bool is_open(const char *name)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool open;

	snprintf(to.sun_path, sizeof to.sun_path, "%s/%s.sock", directory, name);
	open = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
	close(fd);
	return open;
}

START_TEST(a_new_plan_opens_what_is_new_and_closes_what_is_gone)
{
	char both[512];
	int caller;

	snprintf(both, sizeof both, "%s", listener_at("a", 10));
	snprintf(both + strlen(both), sizeof both - strlen(both), ",%s", listener_at("b", 10));
	start(2, both, 100);
	caller = dial("a");
	wait_for(1);
	shared_config_unref(&shared);
	snprintf(both, sizeof both, "%s", listener_at("b", 10));
	snprintf(both + strlen(both), sizeof both - strlen(both), ",%s", listener_at("c", 10));
	shared = load(both, 100);
	apply();
	while (is_open("a"))
		usleep(200);
	ck_assert(is_open("b"));
	ck_assert(is_open("c"));
	close(caller);
	stop();
	ck_assert(!is_open("b"));
}
END_TEST

START_TEST(an_address_that_cannot_be_bound_changes_nothing)
{
	struct bindings_plan plan;
	struct err err;
	char both[512];
	int plain;

	start(1, listener_at("a", 10), 100);
	shared_config_unref(&shared);
	/* A plain file is in the way of the second. */
	snprintf(both, sizeof both, "%s/c.sock", directory);
	plain = creat(both, 0600);
	close(plain);
	snprintf(both, sizeof both, "%s", listener_at("b", 10));
	snprintf(both + strlen(both), sizeof both - strlen(both), ",%s", listener_at("c", 10));
	shared = load(both, 100);
	ck_assert_int_eq(bindings_prepare(&bindings, shared->config, &plan, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "listener c"));
	ck_assert(is_open("a"));
	ck_assert(!is_open("b"));
	stop();
}
END_TEST

static void note(void *arg)
{
	atomic_store((atomic_bool *)arg, true);
}

/* Until worker 0 has done what it was told before, and has looked at its sockets after it. */
static void wait_for_worker(void)
{
	for (int i = 0; i < 3; i++) {
		atomic_bool done = false;

		worker_thread_post(workers.threads[0], note, &done);
		while (!atomic_load(&done))
			usleep(200);
	}
}

START_TEST(what_is_held_back_is_accepted_later)
{
	int first, second;

	start(2, listener_at("a", 1000), 1000);
	first = dial("a");
	wait_for(1);
	workers_overload(&workers, (struct overload_levels){.memory = OVERLOAD_CLOSED});
	wait_for_worker();
	second = dial("a");
	wait_for_worker();
	ck_assert_uint_eq(workers_connections(&workers), 1);
	workers_overload(&workers, (struct overload_levels){.memory = OVERLOAD_REFUSE});
	wait_for(2);
	workers_overload(&workers, (struct overload_levels){.memory = OVERLOAD_NONE});
	close(first);
	close(second);
	wait_for(0);
	stop();
}
END_TEST

static void stand_still(void *arg)
{
	while (!atomic_load((atomic_bool *)arg))
		usleep(200);
}

START_TEST(who_waits_at_a_door_that_closes_counts_before_that_is_done)
{
	struct acceptor_plan none = {0};
	atomic_bool may_go_on = false;
	int caller;

	start(2, listener_at("a", 1000), 1000);
	wait_for_worker();
	ck_assert(acceptor_has_applied(workers.acceptor));
	worker_thread_post(workers.threads[0], stand_still, &may_go_on);
	acceptor_apply(workers.acceptor, &none);
	caller = dial("a");
	ck_assert(!acceptor_has_applied(workers.acceptor));
	ck_assert_uint_eq(workers_connections(&workers), 0);
	atomic_store(&may_go_on, true);
	while (!acceptor_has_applied(workers.acceptor))
		usleep(200);
	ck_assert_uint_eq(workers_connections(&workers), 1);
	close(caller);
	wait_for(0);
	stop();
}
END_TEST

START_TEST(a_listener_that_comes_while_all_are_held_waits_too)
{
	struct shared_config *before_that;
	char both[600];
	int caller;

	start(1, listener_at("a", 1000), 1000);
	workers_overload(&workers, (struct overload_levels){.memory = OVERLOAD_CLOSED});
	before_that = shared;
	snprintf(both, sizeof both, "%s", listener_at("a", 1000));
	snprintf(both + strlen(both), sizeof both - strlen(both), ", %s", listener_at("b", 1000));
	shared = load(both, 1000);
	apply();
	shared_config_unref(&before_that);
	caller = dial("b");
	wait_for_worker();
	ck_assert_uint_eq(workers_connections(&workers), 0);
	close(caller);
	stop();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_burst_is_spread_evenly_over_all_workers, 4},
	    {a_few_connections_use_all_workers, 1},
	    {ties_do_not_always_go_to_the_same_worker, 1},
	    {bursts_after_closings_even_out_again, 1},
	    {above_the_limit_of_a_listener_some_are_held_and_the_rest_closed, 2},
	    {above_the_limit_of_the_process_some_are_held_and_the_rest_closed, 2},
	    {a_new_plan_opens_what_is_new_and_closes_what_is_gone, 1},
	    {an_address_that_cannot_be_bound_changes_nothing, 1},
	    {what_is_held_back_is_accepted_later, 1},
	    {who_waits_at_a_door_that_closes_counts_before_that_is_done, 1},
	    {a_listener_that_comes_while_all_are_held_waits_too, 1},
	};

	return suite_run_between("acceptor", tests, ARRAY_LEN(tests), begin, end);
}
