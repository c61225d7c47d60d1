/* What is written to a conn: when it leaves, in how many sends, and what the counters say. */
#include "net/output.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>
#include <event2/event.h>

#include "base/mem.h"
#include "base/rng.h"
#include "net/conn.h"
#include "net/loop.h"
#include "support/descriptors.h"
#include "support/recorder.h"
#include "support/suite.h"

/* The linker puts these between output and the system. */
ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);

static int sends, vectors; /* of those with iovecs */
static size_t send_limit;  /* what one send takes at most */
static int send_error;     /* not 0: what each send fails with */

static bool is_faked(int flags)
{
	return flags & MSG_NOSIGNAL && (send_error || send_limit != SIZE_MAX);
}

static ssize_t take_part(int fd, const void *bytes, size_t len)
{
	if (send_error) {
		errno = send_error;
		return -1;
	}
	return __real_send(fd, bytes, len < send_limit ? len : send_limit, MSG_NOSIGNAL);
}

ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags)
{
	sends++;
	return is_faked(flags) ? take_part(fd, bytes, len) : __real_send(fd, bytes, len, flags);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	sends++;
	vectors++;
	if (is_faked(flags))
		return take_part(fd, message->msg_iov[0].iov_base, message->msg_iov[0].iov_len);
	return __real_sendmsg(fd, message, flags);
}

static struct loop *loop;
static struct recorder near; /* the conn under test */
static int far;              /* its other end */
static int descriptors_before;
static bool memory_is_gone;

static void *malloc_or_not(size_t size)
{
	return memory_is_gone ? NULL : malloc(size);
}

static void *realloc_or_not(void *old, size_t size)
{
	return memory_is_gone ? NULL : realloc(old, size);
}

static void begin(void)
{
	struct err err;
	int fds[2];

	event_set_mem_functions(malloc_or_not, realloc_or_not, free);
	descriptors_before = descriptors_open();
	loop = loop_new(&err);
	pair_unix(fds);
	far = fds[1];
	near = (struct recorder){.conn = NULL};
	near.conn = conn_accepted(loop, fds[0], &recorder_events, &near);
	send_limit = SIZE_MAX;
	send_error = 0;
	sends = vectors = 0;
}

static void end(void)
{
	memory_is_gone = false;
	close(far);
	recorder_fini(&near);
	loop_free(&loop);
	ck_assert_int_eq(descriptors_open(), descriptors_before);
}

static void use_tcp(void)
{
	int fds[2];

	close(far);
	conn_close(&near.conn);
	pair_tcp(fds);
	far = fds[1];
	near.conn = conn_accepted(loop, fds[0], &recorder_events, &near);
}

/* Writes the next @len bytes of the test stream. */
static void write_stream(size_t len)
{
	uint8_t *bytes = mem_alloc(len);

	stream_fill(bytes, len, conn_written(near.conn));
	recorder_write(&near, bytes, len);
	free(bytes);
}

static uint64_t far_got;

/* Reads at most @len bytes at the far end, which have to continue the test stream. */
static size_t read_stream(size_t len)
{
	uint8_t *room = mem_alloc(len);
	ssize_t n = far_read(far, room, len);

	if (n > 0) {
		ck_assert(stream_matches(room, (size_t)n, far_got));
		far_got += (uint64_t)n;
	}
	free(room);
	return n > 0 ? (size_t)n : 0;
}

static void check_counters(void)
{
	ck_assert_uint_eq(conn_written(near.conn), conn_taken(near.conn) + conn_pending(near.conn));
	ck_assert_uint_eq(conn_taken(near.conn), far_got + far_waiting(far));
}

static void read_all(void)
{
	usec_t until = clock_monotonic() + 60 * USEC_S;

	while (far_got < conn_written(near.conn)) {
		ck_assert_uint_lt(clock_monotonic(), until);
		loop_turn(loop, read_stream(256 * 1024) ? 0 : 10 * USEC_MS);
	}
}

/* --- at once --- */

START_TEST(write_leaves_without_a_turn)
{
	write_stream(100);
	ck_assert_uint_eq(far_waiting(far), 100);
	ck_assert_uint_eq(conn_taken(near.conn), 100);
	ck_assert_uint_eq(conn_pending(near.conn), 0);
	ck_assert_uint_eq(conn_stalled_since(near.conn), USEC_NONE);
	ck_assert_int_eq(sends, 1);
}
END_TEST

START_TEST(small_pieces_leave_in_one_plain_send)
{
	uint8_t bytes[1000];
	struct slice pieces[7];
	int error;

	stream_fill(bytes, sizeof bytes, 0);
	for (size_t i = 0; i < 5; i++)
		pieces[i] = slice_of(bytes + 200 * i, 200);
	pieces[5] = pieces[6] = SLICE_NONE;
	ck_assert_int_eq(conn_write(near.conn, pieces, 7, &error), 0);
	ck_assert_int_eq(sends, 1);
	ck_assert_int_eq(vectors, 0);
	ck_assert_uint_eq(read_stream(2000), 1000);
}
END_TEST

START_TEST(nothing_to_write_is_no_send)
{
	struct slice none = SLICE_NONE;
	int error;

	ck_assert_int_eq(conn_write(near.conn, &none, 1, &error), 0);
	ck_assert_int_eq(conn_write(near.conn, &none, 0, &error), 0);
	conn_set_batching(near.conn, true);
	ck_assert_int_eq(conn_write(near.conn, &none, 1, &error), 0);
	loop_turn(loop, 0);
	ck_assert_int_eq(sends, 0);
	ck_assert_uint_eq(conn_written(near.conn), 0);
}
END_TEST

/* Many pieces, small and large, more than fit one send or one set of iovecs. */
START_TEST(large_pieces_keep_their_order)
{
	enum { PIECES = 45, SIZE = 9000 };
	uint8_t *bytes = mem_alloc(PIECES * SIZE);
	struct slice pieces[PIECES];
	size_t at = 0;
	int error;

	if (_i)
		use_tcp();
	send_limit = _i == 1 ? 4097 : SIZE_MAX;
	stream_fill(bytes, PIECES * SIZE, 0);
	for (size_t i = 0; i < PIECES; i++) {
		pieces[i] = slice_of(bytes + at, i % 3 ? SIZE : i);
		at += pieces[i].len;
	}
	ck_assert_int_eq(conn_write(near.conn, pieces, PIECES, &error), 0);
	ck_assert_uint_eq(conn_written(near.conn), at);
	free(bytes);
	read_all();
	ck_assert_uint_eq(far_got, at);
	ck_assert_uint_eq(conn_taken(near.conn), at);
}
END_TEST

/* --- the queue --- */

START_TEST(writer_against_a_peer_that_does_not_read_queues_and_resumes)
{
	for (int i = 0; i < 40; i++) {
		write_stream(50001);
		check_counters();
	}
	ck_assert_uint_gt(conn_pending(near.conn), CONN_HIGH_WATER);
	recorder_settle(loop);
	check_counters();
	while (far_got < conn_written(near.conn)) {
		if (read_stream(30000) == 0)
			loop_turn(loop, 10 * USEC_MS);
		else
			loop_turn(loop, 0);
		check_counters();
	}
	ck_assert_uint_eq(conn_pending(near.conn), 0);
	ck_assert_uint_eq(conn_stalled_since(near.conn), USEC_NONE);
	ck_assert_int_eq(recorder_events_seen(&near), near.draineds);
}
END_TEST

static void exceed_high_water(void)
{
	while (conn_pending(near.conn) <= CONN_HIGH_WATER)
		write_stream(10000);
}

START_TEST(drained_is_told_once_for_each_time_above_high_water)
{
	for (int round = 1; round <= 3; round++) {
		exceed_high_water();
		recorder_settle(loop);
		ck_assert_int_eq(near.draineds, round - 1);
		read_all();
		recorder_settle(loop);
		ck_assert_int_eq(near.draineds, round);
	}
}
END_TEST

START_TEST(drained_is_not_told_below_high_water)
{
	while (conn_pending(near.conn) == 0)
		write_stream(50000);
	while (conn_pending(near.conn) < CONN_HIGH_WATER)
		write_stream(1);
	ck_assert_uint_eq(conn_pending(near.conn), CONN_HIGH_WATER);
	read_all();
	recorder_settle(loop);
	ck_assert_int_eq(near.draineds, 0);
}
END_TEST

START_TEST(drained_waits_for_low_water)
{
	exceed_high_water();
	while (near.draineds == 0) {
		if (conn_pending(near.conn) > CONN_LOW_WATER)
			ck_assert_int_eq(near.draineds, 0);
		read_stream(2000);
		loop_turn(loop, 0);
	}
	ck_assert_uint_le(conn_pending(near.conn), CONN_LOW_WATER);
}
END_TEST

static void write_more(struct recorder *r)
{
	if (r->draineds < 5)
		exceed_high_water();
}

START_TEST(drained_may_fill_the_queue_again)
{
	near.on_drained = write_more;
	exceed_high_water();
	read_all();
	ck_assert_int_eq(near.draineds, 5);
}
END_TEST

START_TEST(stall_is_counted_from_the_last_byte_taken)
{
	usec_t began, moved;

	loop_turn(loop, 0);
	began = loop_now(loop);
	exceed_high_water();
	ck_assert_uint_eq(conn_stalled_since(near.conn), began);
	loop_turn(loop, 5 * USEC_MS);
	loop_turn(loop, 5 * USEC_MS);
	ck_assert_uint_eq(conn_stalled_since(near.conn), began);
	while (conn_stalled_since(near.conn) == began) {
		read_stream(10000);
		loop_turn(loop, 0);
	}
	moved = conn_stalled_since(near.conn);
	ck_assert_uint_ne(moved, USEC_NONE);
	ck_assert_uint_gt(moved, began);
	read_all();
	ck_assert_uint_eq(conn_stalled_since(near.conn), USEC_NONE);
}
END_TEST

START_TEST(queue_does_not_send_while_the_kernel_is_full)
{
	int before;

	exceed_high_water();
	recorder_settle(loop);
	before = sends;
	for (int i = 0; i < 20; i++) {
		write_stream(10);
		loop_turn(loop, 0);
	}
	ck_assert_int_eq(sends, before);
}
END_TEST

START_TEST(queue_that_breaks_is_told_by_closed)
{
	exceed_high_water();
	send_error = ECONNRESET;
	while (near.closeds == 0) {
		read_stream(100000);
		loop_turn(loop, USEC_MS);
	}
	ck_assert_int_eq(near.error, ECONNRESET);
	ck_assert_int_eq(recorder_events_seen(&near), 1);
}
END_TEST

START_TEST(taken_tells_whether_a_message_can_have_arrived)
{
	struct slice piece = SLICE_LIT("message");
	uint64_t start;
	int error;

	write_stream(10);
	start = conn_written(near.conn);
	send_error = EPIPE;
	ck_assert_int_eq(conn_write(near.conn, &piece, 1, &error), -1);
	ck_assert_uint_eq(conn_taken(near.conn), start);
	ck_assert_uint_eq(conn_written(near.conn), start + 7);
}
END_TEST

START_TEST(queue_without_memory_breaks_the_connection_alone)
{
	static uint8_t much[4 * 1024 * 1024];
	struct slice piece = slice_of(much, sizeof much);
	int error = 0;

	memory_is_gone = true;
	ck_assert_int_eq(conn_write(near.conn, &piece, 1, &error), -1);
	ck_assert_int_eq(error, ENOMEM);
	memory_is_gone = false;
	recorder_settle(loop);
	ck_assert_int_eq(recorder_events_seen(&near), 0);
}
END_TEST

/* --- batches --- */

START_TEST(batch_leaves_in_one_send_at_the_end_of_the_turn)
{
	conn_set_batching(near.conn, true);
	for (int i = 0; i < 20; i++)
		write_stream(100);
	ck_assert_int_eq(sends, 0);
	ck_assert_uint_eq(conn_taken(near.conn), 0);
	ck_assert_uint_eq(conn_pending(near.conn), 2000);
	loop_turn(loop, 0);
	ck_assert_int_eq(sends, 1);
	ck_assert_uint_eq(conn_taken(near.conn), 2000);
	ck_assert_uint_eq(read_stream(5000), 2000);
	loop_turn(loop, 0);
	ck_assert_int_eq(sends, 1);
}
END_TEST

static void answer(struct recorder *r)
{
	for (int i = 0; i < 8; i++)
		recorder_write(r, (uint8_t[1]){stream_byte(conn_written(r->conn))}, 1);
	ck_assert_int_eq(sends, 0);
}

START_TEST(batch_written_by_input_leaves_in_the_same_turn)
{
	conn_set_batching(near.conn, true);
	near.on_input = answer;
	__real_send(far, "x", 1, 0);
	loop_turn(loop, USEC_S);
	ck_assert_int_eq(sends, 1);
	ck_assert_uint_eq(read_stream(100), 8);
}
END_TEST

static void answer_later(struct timer *timer, usec_t now)
{
	(void)timer;
	(void)now;
	answer(&near);
}

START_TEST(batch_written_by_a_timer_leaves_in_the_same_turn)
{
	struct timer timer = {.at = 0};

	conn_set_batching(near.conn, true);
	wheel_set(loop_wheel(loop), &timer, loop_now(loop) + USEC_MS, answer_later);
	while (conn_written(near.conn) == 0)
		loop_turn(loop, USEC_S);
	ck_assert_int_eq(sends, 1);
	ck_assert_uint_eq(conn_taken(near.conn), 8);
}
END_TEST

START_TEST(batch_larger_than_a_block_leaves_in_as_few_sends)
{
	conn_set_batching(near.conn, true);
	for (int i = 0; i < 100; i++)
		write_stream(600);
	loop_turn(loop, 0);
	/* 27 messages fit a block */
	ck_assert_int_eq(sends, 4);
	ck_assert_uint_eq(read_stream(100000), 60000);
}
END_TEST

START_TEST(long_message_in_a_batch_keeps_the_order)
{
	conn_set_batching(near.conn, true);
	write_stream(10);
	write_stream(LOOP_BLOCK);
	write_stream(LOOP_BLOCK + 1);
	write_stream(10);
	loop_turn(loop, 0);
	ck_assert_uint_eq(read_stream(100000), 2 * LOOP_BLOCK + 21);
}
END_TEST

START_TEST(write_after_batching_goes_behind_the_batch)
{
	conn_set_batching(near.conn, true);
	write_stream(10);
	conn_set_batching(near.conn, false);
	write_stream(10);
	ck_assert_uint_eq(read_stream(100), 20);
	loop_turn(loop, 0);
	ck_assert_int_eq(sends, 2);
}
END_TEST

START_TEST(batch_that_the_kernel_takes_in_part_goes_on_later)
{
	conn_set_batching(near.conn, true);
	write_stream(5000);
	send_limit = 1000;
	loop_turn(loop, 0);
	write_stream(10);
	read_all();
	ck_assert_uint_eq(conn_taken(near.conn), 5010);
	ck_assert_int_ge(sends, 6);
}
END_TEST

START_TEST(break_of_a_batch_is_told_by_closed)
{
	conn_set_batching(near.conn, true);
	send_error = ECONNRESET;
	write_stream(10);
	if (_i)
		write_stream(100000); /* sends before the end of the turn, and knows */
	write_stream(10);
	ck_assert_int_eq(near.closeds, 0);
	loop_turn(loop, 0);
	ck_assert_int_eq(near.closeds, 1);
	ck_assert_int_eq(near.error, ECONNRESET);
	ck_assert_uint_eq(conn_taken(near.conn), 0);
	ck_assert_uint_eq(conn_written(near.conn), _i ? 100020 : 20);
	recorder_settle(loop);
	ck_assert_int_eq(recorder_events_seen(&near), 1);
}
END_TEST

static void close_it(struct recorder *r)
{
	conn_close(&r->conn);
}

START_TEST(close_inside_closed_of_a_batch_is_fine)
{
	conn_set_batching(near.conn, true);
	near.on_closed = close_it;
	send_error = EPIPE;
	write_stream(10);
	loop_turn(loop, 0);
	ck_assert_int_eq(near.closeds, 1);
	recorder_settle(loop);
}
END_TEST

START_TEST(close_with_a_batch_drops_it)
{
	conn_set_batching(near.conn, true);
	write_stream(10);
	conn_close(&near.conn);
	recorder_settle(loop);
	ck_assert_int_eq(sends, 0);
}
END_TEST

START_TEST(last_words_are_heard_before_a_batch_breaks)
{
	conn_set_batching(near.conn, true);
	__real_send(far, "why", 3, 0);
	write_stream(10);
	send_error = EPIPE;
	loop_turn(loop, 0);
	ck_assert_uint_eq(near.len, 3);
	ck_assert_int_eq(near.closeds, 1);
}
END_TEST

/* --- anything, in any order --- */

static void random_step(struct rng *rng)
{
	switch (rng_below(rng, 8)) {
	case 0:
		conn_set_batching(near.conn, rng_below(rng, 2));
		break;
	case 1:
		write_stream(1 + rng_below(rng, 100000));
		break;
	case 2:
	case 3:
		write_stream(1 + rng_below(rng, 3000));
		break;
	case 4:
		send_limit = rng_below(rng, 3) ? SIZE_MAX : 1 + rng_below(rng, 20000);
		break;
	case 5:
	case 6:
		read_stream(1 + rng_below(rng, 100000));
		break;
	case 7:
		loop_turn(loop, 0);
		break;
	}
}

START_TEST(stream_survives_any_mix_of_writes_batches_and_stalls)
{
	struct rng rng;

	rng_init(&rng, 20 + (uint64_t)_i);
	if (_i & 1)
		use_tcp();
	for (int i = 0; i < 3000; i++) {
		random_step(&rng);
		ck_assert_uint_ge(conn_taken(near.conn), far_got);
		if (!(_i & 1))
			check_counters();
	}
	read_all();
	ck_assert_uint_eq(conn_taken(near.conn), conn_written(near.conn));
	ck_assert_int_eq(near.closeds, 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {write_leaves_without_a_turn, 1},
	    {small_pieces_leave_in_one_plain_send, 1},
	    {nothing_to_write_is_no_send, 1},
	    {large_pieces_keep_their_order, 2},
	    {writer_against_a_peer_that_does_not_read_queues_and_resumes, 1},
	    {drained_is_told_once_for_each_time_above_high_water, 1},
	    {drained_is_not_told_below_high_water, 1},
	    {drained_waits_for_low_water, 1},
	    {drained_may_fill_the_queue_again, 1},
	    {stall_is_counted_from_the_last_byte_taken, 1},
	    {queue_does_not_send_while_the_kernel_is_full, 1},
	    {queue_that_breaks_is_told_by_closed, 1},
	    {taken_tells_whether_a_message_can_have_arrived, 1},
	    {queue_without_memory_breaks_the_connection_alone, 1},
	    {batch_leaves_in_one_send_at_the_end_of_the_turn, 1},
	    {batch_written_by_input_leaves_in_the_same_turn, 1},
	    {batch_written_by_a_timer_leaves_in_the_same_turn, 1},
	    {batch_larger_than_a_block_leaves_in_as_few_sends, 1},
	    {long_message_in_a_batch_keeps_the_order, 1},
	    {write_after_batching_goes_behind_the_batch, 1},
	    {batch_that_the_kernel_takes_in_part_goes_on_later, 1},
	    {break_of_a_batch_is_told_by_closed, 2},
	    {close_inside_closed_of_a_batch_is_fine, 1},
	    {close_with_a_batch_drops_it, 1},
	    {last_words_are_heard_before_a_batch_breaks, 1},
	    {stream_survives_any_mix_of_writes_batches_and_stalls, 8},
	};

	return suite_run_between("output", tests, ARRAY_LEN(tests), begin, end);
}
