/* Connecting, over unix sockets and TCP, and what is written or closed before it is known. */
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "net/loop.h"
#include "support/descriptors.h"
#include "support/recorder.h"
#include "support/suite.h"

/* The linker puts this between conn and the system. */
int __real_connect(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len);

static int nodelay_at_connect;
static bool is_self_connecting;

int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	socklen_t size = sizeof nodelay_at_connect;

	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay_at_connect, &size);
	if (is_self_connecting)
		ck_assert_int_eq(bind(fd, sa, len), 0);
	return __real_connect(fd, sa, len);
}

static struct loop *loop;
static struct recorder near; /* the conn under test */
static int far;              /* its other end; -1: closed */
static int descriptors_before, with_loop;
static char folder[32];

static void begin(void)
{
	struct err err;

	descriptors_before = descriptors_open();
	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	with_loop = descriptors_open();
	strcpy(folder, "/tmp/bridle-conn-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	near = (struct recorder){.conn = NULL};
	far = -1;
}

static void end(void)
{
	if (far >= 0)
		close(far);
	recorder_fini(&near);
	recorder_settle(loop);
	loop_free(&loop);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(descriptors_open(), descriptors_before);
}

static void close_near(struct recorder *r)
{
	conn_close(&r->conn);
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

static struct address on_loopback(uint16_t port)
{
	char text[32];

	snprintf(text, sizeof text, "127.0.0.1:%u", port);
	return parse(text);
}

static enum conn_start start(const struct address *to, int *error)
{
	return conn_connect(loop, to, &recorder_events, &near, &near.conn, error);
}

static int listen_unix(const struct address *at, int backlog)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (const struct sockaddr *)&at->sa, at->len), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

static void remove_unix(const struct address *at, int fd)
{
	close(fd);
	unlink(at->text + strlen("unix:"));
}

START_TEST(unix_connect_is_ready_at_once)
{
	struct address to = in_folder("s");
	int listening = listen_unix(&to, 4), error = -1;
	char room[8];

	ck_assert_int_eq(start(&to, &error), CONN_READY);
	far = accept(listening, NULL, NULL);
	recorder_write(&near, "hello", 5);
	ck_assert_int_eq(far_read(far, room, sizeof room), 5);
	far_write(far, "x", 1);
	recorder_await(loop, &near.inputs, 1);
	ck_assert_int_eq(near.connected, 0);
	remove_unix(&to, listening);
}
END_TEST

/* What the one who accepted sees of the other end: its length, the bytes in @name. */
static size_t name_seen(int fd, char name[static 128])
{
	struct sockaddr_un peer;
	socklen_t len = sizeof peer;
	size_t before = offsetof(struct sockaddr_un, sun_path);

	ck_assert_int_eq(getpeername(fd, (struct sockaddr *)&peer, &len), 0);
	memcpy(name, peer.sun_path, len - before);
	return len - before;
}

static enum conn_start start_as(
    struct recorder *from, struct slice name, const struct address *to, int *error)
{
	return conn_connect_as(loop, name, to, &recorder_events, from, &from->conn, error);
}

START_TEST(unix_connect_may_have_a_name_that_the_server_sees)
{
	struct slice name = SLICE_LIT("test-conn-name");
	struct address to = in_folder("s");
	int listening = listen_unix(&to, 4), error = -1;
	struct recorder second = {.conn = NULL};
	char seen[128];

	ck_assert_int_eq(start_as(&near, name, &to, &error), CONN_READY);
	far = accept(listening, NULL, NULL);
	ck_assert_uint_eq(name_seen(far, seen), 1 + name.len);
	ck_assert_int_eq(seen[0], '\0');
	ck_assert_mem_eq(seen + 1, name.data, name.len);

	/* It belongs to one connection, and is free when that has ended. */
	ck_assert_int_eq(start_as(&second, name, &to, &error), CONN_FAILED);
	ck_assert_int_eq(error, EADDRINUSE);
	ck_assert_ptr_null(second.conn);
	conn_close(&near.conn);
	ck_assert_int_eq(start_as(&near, name, &to, &error), CONN_READY);
	remove_unix(&to, listening);
}
END_TEST

START_TEST(name_of_a_connection_that_fails_is_free_at_once)
{
	static const char longest[107] = "n", longer[108] = "n";
	struct slice name = slice_of(longest, sizeof longest);
	struct address none = in_folder("none"), there = in_folder("s");
	int listening = listen_unix(&there, 4), error = -1;

	ck_assert_int_eq(start_as(&near, name, &none, &error), CONN_FAILED);
	ck_assert_int_eq(error, ENOENT);
	ck_assert_int_eq(
	    start_as(&near, slice_of(longer, sizeof longer), &there, &error), CONN_FAILED);
	ck_assert_int_eq(error, ENAMETOOLONG);
	ck_assert_int_eq(start_as(&near, name, &there, &error), CONN_READY);
	remove_unix(&there, listening);
}
END_TEST

START_TEST(full_accept_queue_of_a_unix_socket_is_told_apart)
{
	struct address to = in_folder("s");
	int listening = listen_unix(&to, 0), error = 0;
	struct recorder waiting[8] = {{.conn = NULL}};
	enum conn_start got = CONN_READY;

	for (int i = 0; i < 8 && got == CONN_READY; i++)
		got = conn_connect(
		    loop, &to, &recorder_events, &waiting[i], &waiting[i].conn, &error);
	ck_assert_int_eq(got, CONN_BACKLOG);
	ck_assert_int_eq(start(&to, &error), CONN_BACKLOG);
	ck_assert_ptr_null(near.conn);
	ck_assert_int_eq(error, EAGAIN);
	far = accept(listening, NULL, NULL);
	ck_assert_int_eq(start(&to, &error), CONN_READY);
	for (int i = 0; i < 8; i++)
		recorder_fini(&waiting[i]);
	remove_unix(&to, listening);
}
END_TEST

START_TEST(failed_unix_connects_say_why_and_leave_nothing)
{
	struct address missing = in_folder("none");
	struct address stale = in_folder("s");
	struct address name = parse("service.example:80");
	int error = 0;

	close(listen_unix(&stale, 1));
	ck_assert_int_eq(start(&missing, &error), CONN_FAILED);
	ck_assert_int_eq(error, ENOENT);
	ck_assert_int_eq(start(&stale, &error), CONN_FAILED);
	ck_assert_int_eq(error, ECONNREFUSED);
	ck_assert_int_eq(start(&name, &error), CONN_FAILED);
	ck_assert_int_eq(error, EDESTADDRREQ);
	ck_assert_ptr_null(near.conn);
	unlink(stale.text + strlen("unix:"));
}
END_TEST

/* The kernel may have the answer at once or later: after this, `connected` has been raised or was
 * not due. */
static void connect_tcp(int *listening)
{
	uint16_t port;
	struct address to;
	enum conn_start got;
	int error;

	*listening = listen_tcp(&port);
	to = on_loopback(port);
	got = start(&to, &error);
	ck_assert(got == CONN_PENDING || got == CONN_READY);
}

START_TEST(tcp_connect_succeeds_and_what_was_written_before_goes_out)
{
	char room[16];
	int listening;

	connect_tcp(&listening);
	recorder_write(&near, "early ", 6);
	ck_assert_uint_eq(conn_written(near.conn), 6);
	while (conn_taken(near.conn) < 6)
		loop_turn(loop, USEC_S);
	ck_assert_int_eq(near.connected, 1);
	ck_assert_uint_eq(conn_stalled_since(near.conn), USEC_NONE);
	recorder_write(&near, "late", 4);
	far = accept(listening, NULL, NULL);
	ck_assert_int_eq(far_read(far, room, sizeof room), 10);
	ck_assert_mem_eq(room, "early late", 10);
	far_write(far, "x", 1);
	recorder_await(loop, &near.inputs, 1);
	ck_assert_int_ne(nodelay_at_connect, 0);
	close(listening);
}
END_TEST

static void write_late(struct recorder *r)
{
	recorder_write(r, "late", 4);
}

START_TEST(order_holds_when_connected_itself_writes)
{
	char room[16];
	int listening;

	connect_tcp(&listening);
	near.on_connected = write_late;
	conn_set_batching(near.conn, _i);
	recorder_write(&near, "early ", 6);
	while (conn_taken(near.conn) < 10)
		loop_turn(loop, USEC_S);
	far = accept(listening, NULL, NULL);
	ck_assert_int_eq(far_read(far, room, sizeof room), 10);
	ck_assert_mem_eq(room, "early late", 10);
	close(listening);
}
END_TEST

START_TEST(refused_tcp_connect_is_told)
{
	uint16_t port;
	struct address to;
	enum conn_start got;
	int error;

	close(listen_tcp(&port));
	to = on_loopback(port);
	got = start(&to, &error);
	if (got == CONN_PENDING) {
		recorder_write(&near, "x", 1);
		recorder_await(loop, &near.closeds, 1);
		error = near.error;
		ck_assert_uint_eq(conn_taken(near.conn), 0);
		ck_assert_uint_eq(conn_written(near.conn), 1);
	}
	ck_assert_int_eq(error, ECONNREFUSED);
	ck_assert_int_eq(near.connected, 0);
}
END_TEST

START_TEST(connection_to_itself_counts_as_refused)
{
	uint16_t port;
	struct address to;
	enum conn_start got;
	int error;

	close(listen_tcp(&port));
	to = on_loopback(port);
	is_self_connecting = true;
	got = start(&to, &error);
	is_self_connecting = false;
	ck_assert_int_eq(got, CONN_PENDING);
	recorder_await(loop, &near.closeds, 1);
	ck_assert_int_eq(near.error, ECONNREFUSED);
	ck_assert_int_eq(near.connected, 0);
	recorder_fini(&near);
	near.closeds = 0;
	/* and the port is free for its service at once, even without SO_REUSEADDR */
	far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(far, (struct sockaddr *)&to.sa, to.len), 0);
}
END_TEST

START_TEST(connect_given_up_raises_nothing)
{
	int listening;

	connect_tcp(&listening);
	if (_i == 0)
		conn_close(&near.conn);
	else
		conn_close_after_output(&near.conn, USEC_S);
	ck_assert_ptr_null(near.conn);
	recorder_settle(loop);
	ck_assert_int_eq(recorder_events_seen(&near), 0);
	close(listening);
}
END_TEST

START_TEST(close_inside_connected_is_the_end)
{
	int listening;

	connect_tcp(&listening);
	near.on_connected = close_near;
	recorder_write(&near, "x", 1);
	recorder_await(loop, &near.connected, 1);
	recorder_settle(loop);
	ck_assert_int_eq(recorder_events_seen(&near), 1);
	close(listening);
}
END_TEST

START_TEST(what_was_written_before_the_connect_outlives_a_close_after_output)
{
	char room[8];
	ssize_t n, got = 0;
	int listening;

	connect_tcp(&listening);
	recorder_write(&near, "x", 1);
	conn_close_after_output(&near.conn, 60 * USEC_S);
	far = accept(listening, NULL, NULL);
	while ((n = far_read(far, room, sizeof room)) != 0) {
		ck_assert(n > 0 || errno == EAGAIN);
		got += n > 0 ? n : 0;
		loop_turn(loop, 10 * USEC_MS);
	}
	ck_assert_int_eq(got, 1);
	ck_assert_int_eq(recorder_events_seen(&near), 0);
	close(listening);
}
END_TEST

START_TEST(refusal_of_a_connect_that_nobody_waits_for_is_silent)
{
	uint16_t port;
	struct address to;
	int error;

	close(listen_tcp(&port));
	to = on_loopback(port);
	if (start(&to, &error) != CONN_PENDING)
		return;
	recorder_write(&near, "x", 1);
	conn_close_after_output(&near.conn, 60 * USEC_S);
	while (descriptors_open() > with_loop)
		loop_turn(loop, 100 * USEC_MS);
	ck_assert_int_eq(recorder_events_seen(&near), 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {unix_connect_is_ready_at_once, 1},
	    {unix_connect_may_have_a_name_that_the_server_sees, 1},
	    {name_of_a_connection_that_fails_is_free_at_once, 1},
	    {full_accept_queue_of_a_unix_socket_is_told_apart, 1},
	    {failed_unix_connects_say_why_and_leave_nothing, 1},
	    {tcp_connect_succeeds_and_what_was_written_before_goes_out, 1},
	    {order_holds_when_connected_itself_writes, 2},
	    {refused_tcp_connect_is_told, 1},
	    {connection_to_itself_counts_as_refused, 1},
	    {connect_given_up_raises_nothing, 2},
	    {close_inside_connected_is_the_end, 1},
	    {what_was_written_before_the_connect_outlives_a_close_after_output, 1},
	    {refusal_of_a_connect_that_nobody_waits_for_is_silent, 1},
	};

	return suite_run_between("conn_connect", tests, ARRAY_LEN(tests), begin, end);
}
