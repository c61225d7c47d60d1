/* Accepting, on TCP and unix sockets. How a unix socket takes its path is in test_socket_file.c. */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "support/descriptors.h"
#include "support/recorder.h"
#include "support/suite.h"

/* The linker puts this between the listener and the system. */
int __real_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);

static int accept_calls, failures_left, accept_error;

int __wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	accept_calls++;
	if (failures_left) {
		failures_left--;
		errno = accept_error;
		return -1;
	}
	return __real_accept4(fd, sa, len, flags);
}

static struct loop *loop;
static struct listener *listener;
static struct address bound;
static int descriptors_before, log_lines;
static char folder[32];
static const struct listener_options plain = {
    .mode = 0600, .owner = (uid_t)-1, .group = (gid_t)-1, .label = "test"};

enum { MANY = 200 };
static int accepted[MANY], n_accepted, far[MANY], n_far;
static struct address last_from;

static void count_line(const struct log_record *record)
{
	if (strcmp(record->subject, "listener") == 0)
		log_lines++;
}

static void begin(void)
{
	struct err err;

	log_set_sink(count_line);
	descriptors_before = descriptors_open();
	loop = loop_new(&err);
	strcpy(folder, "/tmp/bridle-listener-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	n_accepted = n_far = log_lines = accept_calls = failures_left = 0;
}

static void close_all(int *fds, int *n)
{
	while (*n)
		close(fds[--*n]);
}

static void end(void)
{
	listener_stop(&listener, true);
	ck_assert_ptr_null(listener);
	close_all(accepted, &n_accepted);
	close_all(far, &n_far);
	loop_free(&loop);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(descriptors_open(), descriptors_before);
}

static void keep(void *arg, int fd, const struct address *from)
{
	ck_assert_ptr_eq(arg, &listener);
	ck_assert_int_lt(n_accepted, MANY);
	accepted[n_accepted++] = fd;
	last_from = *from;
}

static struct address parse(const char *text)
{
	struct address a;
	struct err err;

	ck_assert_int_eq(address_parse(&a, slice_str(text), &err), 0);
	return a;
}

static struct address in_folder(const char *name)
{
	char text[100];

	snprintf(text, sizeof text, "unix:%s/%s", folder, name);
	return parse(text);
}

static int listen_at(struct address at, struct err *err)
{
	return listener_bind(&at, &plain, &bound, err);
}

static void start_at(struct address at)
{
	struct err err = {.text = ""};
	int fd = listen_at(at, &err);

	ck_assert_msg(fd >= 0, "%s", err.text);
	listener = listener_start(loop, fd, &bound, "test", keep, &listener);
}

static void connect_far(void)
{
	int fd = socket(bound.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int result = connect(fd, (struct sockaddr *)&bound.sa, bound.len);

	ck_assert(result == 0 || errno == EINPROGRESS);
	ck_assert_int_lt(n_far, MANY);
	far[n_far++] = fd;
}

static int option(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof value;

	ck_assert_int_eq(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

/* --- addresses --- */

START_TEST(port_zero_becomes_a_real_port)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;

	start_at(parse("127.0.0.1:0"));
	ck_assert_int_eq(bound.kind, ADDRESS_IP);
	ck_assert_uint_ne(bound.port, 0);
	connect_far();
	recorder_await(loop, &n_accepted, 1);
	ck_assert_int_eq(getpeername(far[0], (struct sockaddr *)&sin, &len), 0);
	ck_assert_uint_eq(ntohs(sin.sin_port), bound.port);
}
END_TEST

START_TEST(accepted_connection_is_ready_for_use)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof sin;

	start_at(parse("127.0.0.1:0"));
	connect_far();
	recorder_await(loop, &n_accepted, 1);
	ck_assert(fcntl(accepted[0], F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(accepted[0], F_GETFD) & FD_CLOEXEC);
	ck_assert_int_ne(option(accepted[0], IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_eq(getsockname(far[0], (struct sockaddr *)&sin, &len), 0);
	ck_assert_int_eq(last_from.kind, ADDRESS_IP);
	ck_assert_uint_eq(last_from.port, ntohs(sin.sin_port));
}
END_TEST

START_TEST(ipv6_address_is_served)
{
	struct err err;
	int fd = listen_at(parse("[::1]:0"), &err);

	if (fd < 0) {
		/* a machine without IPv6 */
		ck_assert(err.code == EAFNOSUPPORT || err.code == EADDRNOTAVAIL);
		return;
	}
	listener = listener_start(loop, fd, &bound, "test", keep, &listener);
	connect_far();
	recorder_await(loop, &n_accepted, 1);
	ck_assert_int_eq(last_from.sa.ss_family, AF_INET6);
}
END_TEST

START_TEST(second_listener_of_a_port_is_told_that_it_is_taken)
{
	struct address other;
	struct err err;

	start_at(parse("127.0.0.1:0"));
	ck_assert_int_eq(listener_bind(&bound, &plain, &other, &err), -1);
	ck_assert_int_eq(err.code, EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(err.text, bound.text));
}
END_TEST

START_TEST(port_is_free_again_after_stop_with_connections_open)
{
	struct address same;

	start_at(parse("127.0.0.1:0"));
	connect_far();
	recorder_await(loop, &n_accepted, 1);
	same = bound;
	listener_stop(&listener, true);
	close_all(accepted, &n_accepted);
	start_at(same);
	ck_assert_uint_eq(bound.port, same.port);
}
END_TEST

START_TEST(host_name_is_no_address_to_listen_on)
{
	struct err err;

	ck_assert_int_eq(listen_at(parse("service.example:80"), &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "service.example:80"));
}
END_TEST

START_TEST(address_of_another_machine_is_refused)
{
	struct err err;

	ck_assert_int_eq(listen_at(parse("192.0.2.1:0"), &err), -1);
	ck_assert_int_eq(err.code, EADDRNOTAVAIL);
}
END_TEST

START_TEST(abstract_name_is_served_by_one)
{
	char text[64];
	struct err err;

	snprintf(text, sizeof text, "unix:@%s", folder);
	start_at(parse(text));
	connect_far();
	recorder_await(loop, &n_accepted, 1);
	ck_assert_int_eq(listen_at(parse(text), &err), -1);
	ck_assert_int_eq(err.code, EADDRINUSE);
	listener_stop(&listener, true);
	start_at(parse(text));
}
END_TEST

START_TEST(unix_socket_is_served_and_its_file_goes_with_it)
{
	struct address at = in_folder("s");
	struct stat st;

	start_at(at);
	ck_assert_str_eq(bound.text, at.text);
	connect_far();
	recorder_await(loop, &n_accepted, 1);
	ck_assert(fcntl(accepted[0], F_GETFL) & O_NONBLOCK);
	ck_assert(fcntl(accepted[0], F_GETFD) & FD_CLOEXEC);
	listener_stop(&listener, true);
	ck_assert_int_eq(lstat(at.text + 5, &st), -1);
}
END_TEST

START_TEST(file_stays_when_asked_to_or_when_it_is_another_one)
{
	struct address at = in_folder("s");
	struct stat st;
	struct err err;
	int fd;

	start_at(at);
	listener_stop(&listener, false);
	ck_assert_int_eq(lstat(at.text + 5, &st), 0);
	start_at(at); /* takes the stale one */
	ck_assert_int_eq(unlink(at.text + 5), 0);
	fd = listen_at(at, &err);
	ck_assert_int_ge(fd, 0);
	listener_stop(&listener, true);
	ck_assert_int_eq(lstat(at.text + 5, &st), 0);
	close(fd);
	ck_assert_int_eq(unlink(at.text + 5), 0);
}
END_TEST

/* --- accepting --- */

START_TEST(burst_is_accepted_over_several_turns)
{
	int before;

	start_at(in_folder("s"));
	for (int i = 0; i < 150; i++)
		connect_far();
	loop_turn(loop, USEC_S);
	ck_assert_int_gt(n_accepted, 0);
	ck_assert_int_lt(n_accepted, 150);
	before = n_accepted;
	loop_turn(loop, USEC_S);
	ck_assert_int_gt(n_accepted, before);
	recorder_await(loop, &n_accepted, 150);
}
END_TEST

START_TEST(connection_that_died_in_the_queue_does_not_stop_the_others)
{
	static const int errors[] = {ECONNABORTED, EINTR, EPROTO, ENETUNREACH, EPERM};

	accept_error = errors[_i];
	failures_left = 3;
	start_at(in_folder("s"));
	connect_far();
	connect_far();
	loop_turn(loop, USEC_S);
	ck_assert_int_eq(n_accepted, 2);
	ck_assert_int_eq(log_lines, 0);
}
END_TEST

static void stop_on_first(void *arg, int fd, const struct address *from)
{
	keep(arg, fd, from);
	listener_stop(&listener, true);
}

START_TEST(listener_may_be_stopped_by_what_it_accepts)
{
	struct err err;
	int fd = listen_at(in_folder("s"), &err);

	listener = listener_start(loop, fd, &bound, "test", stop_on_first, &listener);
	connect_far();
	connect_far();
	recorder_await(loop, &n_accepted, 1);
	recorder_settle(loop);
	ck_assert_int_eq(n_accepted, 1);
}
END_TEST

START_TEST(who_waits_when_it_is_to_stop_is_let_in)
{
	struct address at = _i ? in_folder("s") : parse("127.0.0.1:0");
	struct stat st;

	start_at(at);
	connect_far();
	connect_far();
	listener_take_waiting(listener, true);
	ck_assert_int_eq(n_accepted, 2);
	if (_i)
		ck_assert_int_eq(lstat(at.text + 5, &st), -1); /* and nobody comes after them */
	listener_stop(&listener, true);
}
END_TEST

START_TEST(who_waits_is_not_let_in_where_nobody_is)
{
	start_at(parse("127.0.0.1:0"));
	listener_hold(listener, true);
	connect_far();
	listener_take_waiting(listener, true);
	ck_assert_int_eq(n_accepted, 0);
}
END_TEST

START_TEST(stop_during_a_pause_is_fine)
{
	accept_error = EMFILE;
	failures_left = 1;
	start_at(in_folder("s"));
	connect_far();
	recorder_await(loop, &log_lines, 1);
	listener_stop(&listener, true);
	recorder_settle(loop);
	ck_assert_int_eq(n_accepted, 0);
}
END_TEST

START_TEST(inherited_socket_that_does_not_listen_does_not_spin)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct address at = parse("127.0.0.1:0");

	listener = listener_start(loop, fd, &at, "test", keep, &listener);
	loop_turn(loop, 10 * USEC_MS);
	ck_assert_int_le(accept_calls, 4);
	ck_assert(loop_sleeps(loop));
}
END_TEST

/* --- out of descriptors --- */

static struct rlimit limit_before;

static void set_limit(rlim_t n)
{
	struct rlimit limit = {.rlim_cur = n, .rlim_max = limit_before.rlim_max};

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* So that the next descriptor is one too many: the limit is the lowest number that is free. */
static void use_up_descriptors(void)
{
	int lowest = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(lowest, 0);
	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit_before), 0);
	set_limit((rlim_t)lowest);
}

static int turned_away(void)
{
	char byte;
	int n = 0;

	for (int i = 0; i < n_far; i++)
		n += recv(far[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
	return n;
}

/* One for each second of the clock. */
static int most_lines_since(usec_t began)
{
	return 2 + (int)((loop_now(loop) - began) / USEC_S);
}

START_TEST(shortage_of_descriptors_pauses_turns_one_away_and_ends)
{
	usec_t began;
	uint64_t turns;

	start_at(in_folder("s"));
	for (int i = 0; i < 6; i++)
		connect_far();
	use_up_descriptors();
	began = loop_now(loop);
	turns = loop_turns(loop);
	while (loop_now(loop) < began + 350 * USEC_MS)
		loop_turn(loop, USEC_NONE);
	/* at 0, 100 and 300 ms: three tries, each turns one away, and nothing in between */
	ck_assert_int_eq(n_accepted, 0);
	ck_assert_int_ge(turned_away(), 1);
	ck_assert_int_le(turned_away(), 3);
	ck_assert_uint_le(loop_turns(loop) - turns, 30);
	ck_assert_int_le(log_lines, most_lines_since(began));
	ck_assert_int_ge(log_lines, 1);
	set_limit(limit_before.rlim_cur);
	recorder_await(loop, &n_accepted, 6 - turned_away());
	recorder_settle(loop);
	ck_assert_int_eq(n_accepted + turned_away(), 6);
}
END_TEST

/* When each try of a lasting shortage comes, in ms after the one before, and a log line with it. */
START_TEST(pauses_grow_to_a_second_and_start_small_again)
{
	static const usec_t at_least[] = {100, 200, 400, 800, 1000, 1000};
	usec_t began, last;

	accept_error = ENFILE;
	failures_left = 1000;
	start_at(in_folder("s"));
	connect_far();
	began = loop_now(loop);
	recorder_await(loop, &accept_calls, 2); /* the second is for the one turned away */
	last = loop_now(loop);
	for (size_t i = 0; i < ARRAY_LEN(at_least); i++) {
		recorder_await(loop, &accept_calls, accept_calls + 2);
		ck_assert_uint_ge(loop_now(loop) - last, at_least[i] * USEC_MS);
		last = loop_now(loop);
	}
	ck_assert_int_ge(log_lines, 3);
	ck_assert_int_le(log_lines, most_lines_since(began));
	failures_left = 0;
	recorder_await(loop, &n_accepted, 1);
	failures_left = 2;
	connect_far();
	accept_calls = 0;
	recorder_await(loop, &accept_calls, 2);
	ck_assert_uint_lt(wheel_next(loop_wheel(loop)), loop_now(loop) + 500 * USEC_MS);
	recorder_await(loop, &n_accepted, 2);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {port_zero_becomes_a_real_port, 1},
	    {accepted_connection_is_ready_for_use, 1},
	    {ipv6_address_is_served, 1},
	    {second_listener_of_a_port_is_told_that_it_is_taken, 1},
	    {port_is_free_again_after_stop_with_connections_open, 1},
	    {host_name_is_no_address_to_listen_on, 1},
	    {address_of_another_machine_is_refused, 1},
	    {abstract_name_is_served_by_one, 1},
	    {unix_socket_is_served_and_its_file_goes_with_it, 1},
	    {file_stays_when_asked_to_or_when_it_is_another_one, 1},
	    {burst_is_accepted_over_several_turns, 1},
	    {connection_that_died_in_the_queue_does_not_stop_the_others, 5},
	    {listener_may_be_stopped_by_what_it_accepts, 1},
	    {who_waits_when_it_is_to_stop_is_let_in, 2},
	    {who_waits_is_not_let_in_where_nobody_is, 1},
	    {stop_during_a_pause_is_fine, 1},
	    {inherited_socket_that_does_not_listen_does_not_spin, 1},
	    {shortage_of_descriptors_pauses_turns_one_away_and_ends, 1},
	    {pauses_grow_to_a_second_and_start_small_again, 1},
	};

	return suite_run_between("listener", tests, ARRAY_LEN(tests), begin, end);
}
