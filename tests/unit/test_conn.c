/* Input, the end of input, breaks and closing. Connecting is in test_conn_connect.c, what is
 * written in test_output.c. */
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "net/loop.h"
#include "support/descriptors.h"
#include "support/recorder.h"
#include "support/suite.h"

/* The linker puts these between conn and the system. */
ssize_t __real_recv(int fd, void *room, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *room, size_t len, int flags);

static int recv_calls;
static bool is_flooding;

ssize_t __wrap_recv(int fd, void *room, size_t len, int flags)
{
	recv_calls++;
	if (is_flooding && !(flags & (MSG_PEEK | MSG_DONTWAIT)))
		return (ssize_t)len;
	return __real_recv(fd, room, len, flags);
}

static struct loop *loop;
static struct recorder near; /* the conn under test */
static int far;              /* its other end; -1: closed */
static int descriptors_before, with_loop;

static void begin(void)
{
	struct err err;

	descriptors_before = descriptors_open();
	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	with_loop = descriptors_open();
	near = (struct recorder){.conn = NULL};
	far = -1;
}

static void close_far(void)
{
	if (far >= 0)
		close(far);
	far = -1;
}

static void end(void)
{
	close_far();
	recorder_fini(&near);
	recorder_settle(loop);
	loop_free(&loop);
	ck_assert_int_eq(descriptors_open(), descriptors_before);
}

static void open_pair(void (*make)(int fds[2]))
{
	int fds[2];

	make(fds);
	far = fds[1];
	near.conn = conn_accepted(loop, fds[0], &recorder_events, &near);
}

static void close_near(struct recorder *r)
{
	conn_close(&r->conn);
}

/* --- input --- */

START_TEST(input_arrives_in_order_and_by_one_read_each)
{
	open_pair(pair_unix);
	far_write(far, "one", 3);
	recorder_await(loop, &near.inputs, 1);
	recv_calls = 0;
	far_write(far, "two", 3);
	recorder_await(loop, &near.inputs, 2);
	ck_assert_int_eq(recv_calls, 1);
	far_write(far, "three", 5);
	recorder_await(loop, &near.inputs, 3);
	recorder_settle(loop);
	ck_assert_int_eq(recv_calls, 2);
	ck_assert_uint_eq(near.len, 11);
	ck_assert_mem_eq(near.bytes, "onetwothree", 11);
}
END_TEST

START_TEST(descriptor_becomes_nonblocking)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	far = fds[1];
	near.conn = conn_accepted(loop, fds[0], &recorder_events, &near);
	ck_assert_int_eq(__real_recv(fds[0], &far, 1, 0), -1);
	ck_assert_int_eq(errno, EAGAIN);
}
END_TEST

START_TEST(fast_sender_leaves_the_others_their_turn)
{
	open_pair(pair_unix);
	far_write(far, "x", 1);
	is_flooding = true;
	loop_turn(loop, USEC_S);
	is_flooding = false;
	ck_assert_int_gt(near.inputs, 1);
	ck_assert_int_le(near.inputs, 8);
}
END_TEST

static void pause_near(struct recorder *r)
{
	conn_pause(r->conn, 1);
}

START_TEST(pause_inside_input_stops_more_input_at_once)
{
	open_pair(pair_unix);
	near.on_input = pause_near;
	far_write(far, "x", 1);
	is_flooding = true;
	loop_turn(loop, USEC_S);
	is_flooding = false;
	ck_assert_int_eq(near.inputs, 1);
}
END_TEST

START_TEST(input_waits_while_any_pause_bit_is_set)
{
	open_pair(pair_unix);
	conn_pause(near.conn, 1);
	conn_pause(near.conn, 4);
	far_write(far, "x", 1);
	recorder_settle(loop);
	conn_resume(near.conn, 1);
	recorder_settle(loop);
	conn_resume(near.conn, 2);
	recorder_settle(loop);
	ck_assert_int_eq(near.inputs, 0);
	conn_resume(near.conn, 4);
	recorder_await(loop, &near.inputs, 1);
	ck_assert_uint_eq(near.len, 1);
	conn_resume(near.conn, 4);
	far_write(far, "y", 1);
	recorder_await(loop, &near.inputs, 2);
}
END_TEST

START_TEST(paused_connection_with_input_waiting_does_not_keep_the_loop_awake)
{
	open_pair(pair_unix);
	conn_pause(near.conn, 1);
	far_write(far, "x", 1);
	recorder_settle(loop);
	ck_assert(loop_sleeps(loop));
}
END_TEST

START_TEST(quiet_means_neither_a_byte_nor_an_end_is_waiting)
{
	open_pair(pair_unix);
	ck_assert(conn_is_quiet(near.conn));
	far_write(far, "x", 1);
	ck_assert(!conn_is_quiet(near.conn));
	recorder_await(loop, &near.inputs, 1);
	ck_assert(conn_is_quiet(near.conn));
	close_far();
	ck_assert(!conn_is_quiet(near.conn));
	recorder_await(loop, &near.eofs, 1);
	ck_assert(!conn_is_quiet(near.conn));
	ck_assert_uint_eq(near.len, 1);
}
END_TEST

START_TEST(unix_peer_has_an_identity_and_tcp_peer_has_none)
{
	struct conn_identity who;
	struct recorder other = {.conn = NULL};
	int fds[2];

	open_pair(pair_unix);
	ck_assert(conn_identity(near.conn, &who));
	ck_assert_int_eq(who.pid, getpid());
	ck_assert_uint_eq(who.uid, geteuid());
	ck_assert_uint_eq(who.gid, getegid());
	pair_tcp(fds);
	other.conn = conn_accepted(loop, fds[0], &recorder_events, &other);
	ck_assert(!conn_identity(other.conn, &who));
	recorder_fini(&other);
	close(fds[1]);
}
END_TEST

/* --- the end of input, and breaks --- */

static void (*const pairs[])(int fds[2]) = {pair_unix, pair_tcp};

START_TEST(half_close_is_told_once_and_output_still_goes)
{
	char room[16];

	open_pair(pairs[_i]);
	far_write(far, "last", 4);
	shutdown(far, SHUT_WR);
	recorder_await(loop, &near.eofs, 1);
	ck_assert_uint_eq(near.len, 4);
	recorder_settle(loop);
	recorder_write(&near, "reply", 5);
	ck_assert_int_eq(far_read(far, room, sizeof room), 5);
	ck_assert_int_eq(recorder_events_seen(&near), near.inputs + 1);
	ck_assert(loop_sleeps(loop));
}
END_TEST

START_TEST(reset_after_a_half_close_is_told)
{
	open_pair(pair_tcp);
	shutdown(far, SHUT_WR);
	recorder_await(loop, &near.eofs, 1);
	recorder_settle(loop);
	ck_assert_int_eq(near.closeds, 0);
	far_reset(far);
	far = -1;
	recorder_await(loop, &near.closeds, 1);
	ck_assert(near.error == ECONNRESET || near.error == EPIPE);
	recorder_settle(loop);
	ck_assert_int_eq(recorder_events_seen(&near), 2);
}
END_TEST

START_TEST(full_close_of_a_unix_peer_after_its_half_close_is_told)
{
	open_pair(pair_unix);
	shutdown(far, SHUT_WR);
	recorder_await(loop, &near.eofs, 1);
	recorder_settle(loop);
	ck_assert_int_eq(near.closeds, 0);
	close_far();
	recorder_await(loop, &near.closeds, 1);
	ck_assert_int_eq(recorder_events_seen(&near), 2);
}
END_TEST

START_TEST(unix_peer_that_closed_altogether_gives_the_end_and_then_the_break)
{
	open_pair(pair_unix);
	far_write(far, "x", 1);
	close_far();
	recorder_await(loop, &near.eofs, 1);
	ck_assert_int_eq(near.closeds, 0);
	recorder_await(loop, &near.closeds, 1);
	ck_assert_uint_eq(near.len, 1);
}
END_TEST

static void fill_output(struct recorder *r)
{
	static uint8_t much[64 * 1024];

	do
		recorder_write(r, much, sizeof much);
	while (conn_pending(r->conn) == 0);
}

START_TEST(break_after_a_half_close_is_told_while_output_waits)
{
	open_pair(pairs[_i]);
	fill_output(&near);
	shutdown(far, SHUT_WR);
	recorder_await(loop, &near.eofs, 1);
	recorder_settle(loop);
	ck_assert_int_eq(near.closeds, 0);
	ck_assert_uint_gt(conn_pending(near.conn), 0);
	far_reset(far);
	far = -1;
	recorder_await(loop, &near.closeds, 1);
}
END_TEST

START_TEST(output_that_waits_goes_out_after_a_half_close)
{
	static uint8_t room[64 * 1024];
	uint64_t got = 0;

	open_pair(pairs[_i]);
	fill_output(&near);
	shutdown(far, SHUT_WR);
	recorder_await(loop, &near.eofs, 1);
	while (got < conn_written(near.conn)) {
		ssize_t n = far_read(far, room, sizeof room);

		if (n > 0)
			got += (uint64_t)n;
		loop_turn(loop, n > 0 ? 0 : 10 * USEC_MS);
	}
	ck_assert_uint_eq(conn_pending(near.conn), 0);
	ck_assert_int_eq(near.closeds, 0);
}
END_TEST

START_TEST(reset_is_told_once_and_nothing_follows)
{
	open_pair(pair_tcp);
	far_reset(far);
	far = -1;
	recorder_await(loop, &near.closeds, 1);
	ck_assert_int_eq(near.error, ECONNRESET);
	recorder_settle(loop);
	ck_assert_int_eq(recorder_events_seen(&near), 1);
}
END_TEST

START_TEST(write_after_the_break_is_refused_with_its_reason)
{
	struct slice piece = SLICE_LIT("x");
	int error = 0;

	open_pair(pair_tcp);
	far_reset(far);
	far = -1;
	recorder_await(loop, &near.closeds, 1);
	ck_assert_int_eq(conn_write(near.conn, &piece, 1, &error), -1);
	ck_assert_int_eq(error, ECONNRESET);
}
END_TEST

START_TEST(break_told_by_a_write_is_not_told_again)
{
	struct slice piece = SLICE_LIT("x");
	int error = 0;

	open_pair(pair_unix);
	close_far();
	ck_assert_int_eq(conn_write(near.conn, &piece, 1, &error), -1);
	ck_assert_int_eq(error, EPIPE);
	error = 0;
	ck_assert_int_eq(conn_write(near.conn, &piece, 1, &error), -1);
	ck_assert_int_eq(error, EPIPE);
	recorder_settle(loop);
	ck_assert_int_eq(recorder_events_seen(&near), 0);
	ck_assert_uint_eq(conn_taken(near.conn), 0);
}
END_TEST

START_TEST(last_words_are_heard_before_a_queue_breaks)
{
	open_pair(pair_unix);
	fill_output(&near);
	far_write(far, "too large", 9);
	close_far();
	recorder_await(loop, &near.closeds, 1);
	ck_assert_uint_eq(near.len, 9);
}
END_TEST

/* --- closing inside events --- */

START_TEST(close_inside_input_is_the_end)
{
	open_pair(pair_unix);
	near.on_input = close_near;
	far_write(far, "x", 1);
	shutdown(far, SHUT_WR);
	is_flooding = _i;
	recorder_await(loop, &near.inputs, 1);
	recorder_settle(loop);
	is_flooding = false;
	ck_assert_ptr_null(near.conn);
	ck_assert_int_eq(recorder_events_seen(&near), 1);
}
END_TEST

START_TEST(close_inside_eof_is_the_end)
{
	open_pair(pairs[_i]);
	fill_output(&near);
	near.on_eof = close_near;
	shutdown(far, SHUT_WR);
	recorder_await(loop, &near.eofs, 1);
	recorder_settle(loop);
	ck_assert_int_eq(recorder_events_seen(&near), 1);
}
END_TEST

START_TEST(close_inside_closed_is_fine)
{
	open_pair(pair_tcp);
	near.on_closed = close_near;
	far_reset(far);
	far = -1;
	recorder_await(loop, &near.closeds, 1);
	ck_assert_ptr_null(near.conn);
	recorder_settle(loop);
}
END_TEST

START_TEST(close_inside_drained_is_the_end)
{
	static uint8_t room[64 * 1024];

	open_pair(pair_unix);
	near.on_drained = close_near;
	while (conn_pending(near.conn) <= CONN_HIGH_WATER)
		recorder_write(&near, room, sizeof room);
	far_write(far, "x", 1);
	conn_pause(near.conn, 1);
	while (near.draineds == 0) {
		far_read(far, room, sizeof room);
		loop_turn(loop, 0);
	}
	recorder_settle(loop);
	ck_assert_int_eq(recorder_events_seen(&near), 1);
}
END_TEST

static struct recorder sibling;

static void close_sibling(struct recorder *r)
{
	(void)r;
	conn_close(&sibling.conn);
	conn_close(&near.conn);
}

START_TEST(no_event_of_a_connection_follows_its_close_in_the_same_turn)
{
	int fds[2];

	open_pair(pair_unix);
	pair_unix(fds);
	sibling = near;
	sibling.conn = conn_accepted(loop, fds[0], &recorder_events, &sibling);
	near.on_input = sibling.on_input = close_sibling;
	far_write(far, "x", 1);
	far_write(fds[1], "x", 1);
	loop_turn(loop, USEC_S);
	recorder_settle(loop);
	ck_assert_int_eq(near.inputs + sibling.inputs, 1);
	close(fds[1]);
	recorder_fini(&sibling);
}
END_TEST

START_TEST(close_of_nothing_is_nothing)
{
	conn_close(&near.conn);
	conn_close_after_output(&near.conn, 60 * USEC_S);
}
END_TEST

/* --- closing after output --- */

/* Reads all to the end; the number of bytes, which have to be the test stream's. */
static uint64_t read_to_the_end(void)
{
	static uint8_t room[64 * 1024];
	usec_t until = clock_monotonic() + 60 * USEC_S;
	uint64_t got = 0;
	ssize_t n;

	while ((n = far_read(far, room, sizeof room)) != 0) {
		ck_assert_uint_lt(clock_monotonic(), until);
		if (n < 0) {
			ck_assert_int_eq(errno, EAGAIN);
			loop_turn(loop, 10 * USEC_MS);
			continue;
		}
		ck_assert(stream_matches(room, (size_t)n, got));
		got += (uint64_t)n;
		loop_turn(loop, 0);
	}
	return got;
}

static uint64_t write_until_queued(void)
{
	static uint8_t room[64 * 1024];

	do {
		stream_fill(room, sizeof room, conn_written(near.conn));
		recorder_write(&near, room, sizeof room);
	} while (conn_pending(near.conn) == 0);
	return conn_written(near.conn);
}

START_TEST(everything_goes_out_before_a_close_after_output)
{
	uint64_t all;

	open_pair(pairs[_i]);
	all = write_until_queued();
	conn_close_after_output(&near.conn, 60 * USEC_S);
	ck_assert_ptr_null(near.conn);
	ck_assert_uint_eq(read_to_the_end(), all);
	ck_assert_int_eq(descriptors_open(), with_loop + 2);
	close_far();
	recorder_settle(loop);
	ck_assert_int_eq(descriptors_open(), with_loop);
	ck_assert_int_eq(recorder_events_seen(&near), 0);
}
END_TEST

START_TEST(input_unread_does_not_turn_a_close_after_output_into_a_reset)
{
	open_pair(pairs[_i]);
	conn_pause(near.conn, 1);
	far_write(far, "never looked at", 15);
	recorder_settle(loop);
	recorder_write(&near, (uint8_t[2]){stream_byte(0), stream_byte(1)}, 2);
	conn_close_after_output(&near.conn, 60 * USEC_S);
	far_write(far, "nor this", 8);
	recorder_settle(loop);
	far_write(far, "nor this", 8);
	ck_assert_uint_eq(read_to_the_end(), 2);
	close_far();
	recorder_settle(loop);
	ck_assert_int_eq(recorder_events_seen(&near), 0);
}
END_TEST

START_TEST(batch_goes_out_before_a_close_after_output)
{
	open_pair(pair_unix);
	conn_set_batching(near.conn, true);
	recorder_write(&near, (uint8_t[1]){stream_byte(0)}, 1);
	conn_close_after_output(&near.conn, 60 * USEC_S);
	ck_assert_uint_eq(read_to_the_end(), 1);
}
END_TEST

START_TEST(patience_ends_with_a_peer_that_does_not_read)
{
	usec_t began = loop_now(loop);

	open_pair(pairs[_i]);
	write_until_queued();
	conn_close_after_output(&near.conn, 30 * USEC_MS);
	while (descriptors_open() > with_loop + 1)
		loop_turn(loop, 100 * USEC_MS);
	ck_assert_uint_ge(clock_monotonic() - began, 30 * USEC_MS);
}
END_TEST

START_TEST(peer_that_never_closes_is_waited_for_a_second)
{
	usec_t began = loop_now(loop);

	open_pair(pair_unix);
	conn_close_after_output(&near.conn, 60 * USEC_S);
	while (descriptors_open() > with_loop + 1)
		loop_turn(loop, USEC_NONE);
	ck_assert_uint_ge(clock_monotonic() - began, USEC_S);
	ck_assert_uint_lt(clock_monotonic() - began, 30 * USEC_S);
}
END_TEST

START_TEST(unlimited_patience_ends_with_the_output)
{
	uint64_t all;

	open_pair(pair_unix);
	all = write_until_queued();
	conn_close_after_output(&near.conn, USEC_NONE);
	recorder_settle(loop);
	ck_assert_uint_eq(read_to_the_end(), all);
}
END_TEST

START_TEST(close_after_output_when_both_sides_are_done_is_immediate)
{
	open_pair(pairs[_i]);
	shutdown(far, SHUT_WR);
	recorder_await(loop, &near.eofs, 1);
	conn_close_after_output(&near.conn, 60 * USEC_S);
	ck_assert_int_eq(descriptors_open(), with_loop + 1);
	ck_assert_uint_eq(read_to_the_end(), 0);
}
END_TEST

static void close_near_after_output(struct recorder *r)
{
	recorder_write(r, (uint8_t[1]){stream_byte(0)}, 1);
	conn_close_after_output(&r->conn, 60 * USEC_S);
}

START_TEST(close_after_output_inside_an_event_is_fine)
{
	open_pair(pair_unix);
	near.on_input = near.on_eof = close_near_after_output;
	if (_i != 1)
		far_write(far, "x", 1);
	if (_i != 0)
		shutdown(far, SHUT_WR);
	while (recorder_events_seen(&near) == 0)
		loop_turn(loop, USEC_S);
	ck_assert_uint_eq(read_to_the_end(), 1);
	close_far();
	recorder_settle(loop);
	ck_assert_int_eq(recorder_events_seen(&near), 1);
	ck_assert_int_eq(descriptors_open(), with_loop);
}
END_TEST

START_TEST(reset_while_leaving_frees_the_connection)
{
	open_pair(pair_tcp);
	write_until_queued();
	conn_close_after_output(&near.conn, 60 * USEC_S);
	far_reset(far);
	far = -1;
	while (descriptors_open() > with_loop)
		loop_turn(loop, 100 * USEC_MS);
}
END_TEST

START_TEST(loop_free_takes_along_what_is_leaving)
{
	struct err err;

	open_pair(pair_unix);
	write_until_queued();
	conn_close_after_output(&near.conn, 60 * USEC_S);
	loop_free(&loop);
	ck_assert_int_eq(descriptors_open(), descriptors_before + 1);
	loop = loop_new(&err);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {input_arrives_in_order_and_by_one_read_each, 1},
	    {descriptor_becomes_nonblocking, 1},
	    {fast_sender_leaves_the_others_their_turn, 1},
	    {pause_inside_input_stops_more_input_at_once, 1},
	    {input_waits_while_any_pause_bit_is_set, 1},
	    {paused_connection_with_input_waiting_does_not_keep_the_loop_awake, 1},
	    {quiet_means_neither_a_byte_nor_an_end_is_waiting, 1},
	    {unix_peer_has_an_identity_and_tcp_peer_has_none, 1},
	    {half_close_is_told_once_and_output_still_goes, 2},
	    {reset_after_a_half_close_is_told, 1},
	    {full_close_of_a_unix_peer_after_its_half_close_is_told, 1},
	    {unix_peer_that_closed_altogether_gives_the_end_and_then_the_break, 1},
	    {break_after_a_half_close_is_told_while_output_waits, 2},
	    {output_that_waits_goes_out_after_a_half_close, 2},
	    {reset_is_told_once_and_nothing_follows, 1},
	    {write_after_the_break_is_refused_with_its_reason, 1},
	    {break_told_by_a_write_is_not_told_again, 1},
	    {last_words_are_heard_before_a_queue_breaks, 1},
	    {close_inside_input_is_the_end, 2},
	    {close_inside_eof_is_the_end, 2},
	    {close_inside_closed_is_fine, 1},
	    {close_inside_drained_is_the_end, 1},
	    {no_event_of_a_connection_follows_its_close_in_the_same_turn, 1},
	    {close_of_nothing_is_nothing, 1},
	    {everything_goes_out_before_a_close_after_output, 2},
	    {input_unread_does_not_turn_a_close_after_output_into_a_reset, 2},
	    {batch_goes_out_before_a_close_after_output, 1},
	    {patience_ends_with_a_peer_that_does_not_read, 2},
	    {peer_that_never_closes_is_waited_for_a_second, 1},
	    {unlimited_patience_ends_with_the_output, 1},
	    {close_after_output_when_both_sides_are_done_is_immediate, 2},
	    {close_after_output_inside_an_event_is_fine, 3},
	    {reset_while_leaving_frees_the_connection, 1},
	    {loop_free_takes_along_what_is_leaving, 1},
	};

	return suite_run_between("conn", tests, ARRAY_LEN(tests), begin, end);
}
