/*
 * HTTP/2: windows of any size, a connection that is full, what waits and in which order it leaves,
 * and who gets his window back when.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/h2_end.h"
#include "support/recorder.h"
#include "support/suite.h"

#define CALL_FIELDS  "content-type application/grpc\nte trailers\n"
#define REPLY_FIELDS "content-type application/grpc\n"
#define LONG_BODY    300000u

static struct h2_end down, up;
static struct written w;

static void begin(void)
{
	h2_end_open(&down, CODEC_DOWNSTREAM, NULL);
	h2_end_open(&up, CODEC_UPSTREAM, NULL);
}

static void end(void)
{
	h2_end_close(&down);
	h2_end_close(&up);
	written_fini(&w);
}

/* `up` calls `down`, both have shaken hands, and its stream is 1. */
static void connect_both(void)
{
	uint32_t id = h2_end_begin(&up, "/p.S/M", "", false);

	ck_assert_uint_eq(id, 1);
	h2_ends_settle(&up, &down);
	h2_end_log(&down);
	h2_end_log(&up);
}

/* A listener whose caller begins with this window and has sent one call. */
static void hear_call(uint32_t window)
{
	h2_preface(&w);
	h2_setting(&w, 4, window);
	h2_call(&w, H2_END_STREAM, 1, "");
	h2_end_hears(&down, &w);
	h2_end_frames(&down);
	h2_end_log(&down);
}

static struct slice stream_bytes(size_t len, size_t at)
{
	uint8_t *bytes = mem_alloc(len);

	for (size_t i = 0; i < len; i++)
		bytes[i] = stream_byte(at + i);
	return slice_of(bytes, len);
}

static void send_stream(struct h2_end *e, uint32_t id, size_t len, size_t at, bool last)
{
	struct slice bytes = stream_bytes(len, at);

	codec_send_data(e->codec, id, bytes, last);
	free((void *)(uintptr_t)bytes.data);
}

/* What `e` has heard is the stream from its beginning. */
static void must_be_stream(const struct h2_end *e, size_t len)
{
	ck_assert_uint_eq(e->body.len, len);
	for (size_t i = 0; i < len; i++)
		ck_assert_uint_eq(e->body.bytes[i], stream_byte(i));
}

/* ---- windows of the other side ---- */

START_TEST(bytes_leave_one_by_one_through_a_window_of_one)
{
	hear_call(1);
	h2_end_reply(&down, 1, 200, "", false);
	codec_send_data(down.codec, 1, SLICE_LIT("abc"), false);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1\nDATA 1 1\n");
	ck_assert_uint_eq(codec_pending(down.codec, 1), 2);
	h2_end_trailers(&down, 1, "x 1\n");
	ck_assert_str_eq(h2_end_frames(&down), "");
	h2_frame_u32(&w, H2_WINDOW_UPDATE, 1, 1);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_frames(&down), "DATA 1 1\n");
	ck_assert_str_eq(h2_end_log(&down), "room 1\n");
	h2_frame_u32(&w, H2_WINDOW_UPDATE, 1, 1);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_frames(&down), "DATA 1 1\nHEADERS 1 end\n");
	ck_assert_str_eq(h2_end_log(&down), "room 1\n");
	ck_assert_uint_eq(codec_held(down.codec), 0);
}
END_TEST

START_TEST(the_end_rides_on_the_last_byte_that_waited)
{
	hear_call(2);
	h2_end_reply(&down, 1, 200, "", false);
	codec_send_data(down.codec, 1, SLICE_LIT("abc"), true);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1\nDATA 1 2\n");
	h2_frame_u32(&w, H2_WINDOW_UPDATE, 1, 100);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_frames(&down), "DATA 1 1 end\n");
}
END_TEST

START_TEST(a_window_may_shrink_below_nothing)
{
	hear_call(100);
	h2_end_reply(&down, 1, 200, "", false);
	codec_send_data(down.codec, 1, SLICE_LIT("0123456789"), false);
	h2_setting(&w, 4, 5);
	h2_end_hears(&down, &w);
	h2_end_frames(&down);
	codec_send_data(down.codec, 1, SLICE_LIT("ab"), false);
	ck_assert_str_eq(h2_end_frames(&down), "");
	h2_frame_u32(&w, H2_WINDOW_UPDATE, 1, 6);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_frames(&down), "DATA 1 1\n");
	h2_setting(&w, 4, 100);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_frames(&down), "SETTINGS ack\nDATA 1 1\n");
}
END_TEST

START_TEST(a_slow_reader_stops_nobody_else)
{
	h2_preface(&w);
	h2_call(&w, H2_END_STREAM, 1, "");
	h2_call(&w, H2_END_STREAM, 3, "");
	h2_frame_u32(&w, H2_WINDOW_UPDATE, 0, 1 << 20);
	h2_end_hears(&down, &w);
	h2_end_reply(&down, 1, 200, "", false);
	h2_end_reply(&down, 3, 200, "", false);
	send_stream(&down, 1, 70000, 0, false); /* more than its window */
	h2_end_frames(&down);
	ck_assert_uint_eq(codec_pending(down.codec, 1), 70000 - 65535);
	send_stream(&down, 3, 1000, 0, true);
	ck_assert_str_eq(h2_end_frames(&down), "DATA 3 1000 end\n");
}
END_TEST

START_TEST(a_window_that_overflows_ends_the_stream_or_the_connection)
{
	hear_call(65535);
	h2_frame_u32(&w, H2_WINDOW_UPDATE, 1, INT32_MAX);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_frames(&down), "RST_STREAM 1 3\n");
	ck_assert_ptr_nonnull(strstr(h2_end_log(&down), "reset 1 malformed 3: "));
	h2_frame_u32(&w, H2_WINDOW_UPDATE, 0, INT32_MAX);
	h2_end_hears(&down, &w);
	ck_assert_uint_eq(down.refused, 1);
}
END_TEST

/* ---- a connection that is full ---- */

START_TEST(data_waits_for_a_full_connection_and_heads_do_not)
{
	hear_call(65535);
	down.is_full = true;
	h2_end_reply(&down, 1, 200, "", false);
	codec_send_data(down.codec, 1, SLICE_LIT("abc"), false);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1\n");
	ck_assert_uint_eq(codec_pending(down.codec, 1), 3);
	ck_assert_uint_gt(codec_held(down.codec), 0);
	codec_pump(down.codec);
	ck_assert_str_eq(h2_end_frames(&down), "");
	codec_send_data(down.codec, 1, SLICE_LIT("de"), true);
	down.is_full = false;
	codec_pump(down.codec);
	ck_assert_str_eq(h2_end_frames(&down), "DATA 1 5 end\n");
	h2_end_feed(&down, SLICE_NONE);
	ck_assert_str_eq(h2_end_log(&down), "room 1\n");
	ck_assert_uint_eq(codec_held(down.codec), 0);
}
END_TEST

START_TEST(answers_to_pings_wait_for_a_full_connection)
{
	hear_call(65535);
	down.is_full = true;
	for (unsigned i = 0; i < 3; i++)
		h2_frame(&w, H2_PING, 0, 0, SLICE_LIT("12345678"));
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_frames(&down), "");
	down.is_full = false;
	codec_pump(down.codec);
	ck_assert_str_eq(h2_end_frames(&down),
	    "PING ack 3132333435363738\nPING ack 3132333435363738\nPING ack 3132333435363738\n");
}
END_TEST

START_TEST(a_reset_leaves_a_full_connection_at_once)
{
	struct codec_reset why = {.reason = REASON_CANCELED};

	hear_call(65535);
	down.is_full = true;
	h2_end_reply(&down, 1, 200, "", false);
	codec_send_data(down.codec, 1, SLICE_LIT("abc"), false);
	codec_reset(down.codec, 1, &why);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1\nRST_STREAM 1 8\n");
	h2_end_feed(&down, SLICE_NONE);
	ck_assert_uint_eq(codec_held(down.codec), 0);
}
END_TEST

START_TEST(what_waits_leaves_though_its_owner_has_gone)
{
	hear_call(1);
	h2_end_reply(&down, 1, 200, "", false);
	codec_send_data(down.codec, 1, SLICE_LIT("abc"), true);
	codec_own(down.codec, 1, NULL);
	h2_frame_u32(&w, H2_WINDOW_UPDATE, 1, 100);
	h2_frames_text(written_slice(&down.out));
	down.out.len = 0;
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_frames(&down), "DATA 1 2 end\n");
	ck_assert_str_eq(h2_end_log(&down), "");
	ck_assert_uint_eq(codec_held(down.codec), 0);
}
END_TEST

/* ---- our own windows ---- */

START_TEST(a_writer_stops_until_it_is_credited)
{
	connect_both();
	send_stream(&up, 1, LONG_BODY, 0, true);
	h2_ends_settle(&up, &down);
	ck_assert_uint_eq(down.body.len, 65535);
	ck_assert_uint_eq(codec_pending(up.codec, 1), LONG_BODY - 65535);
	codec_credit(down.codec, 1, 100); /* too little to be worth a frame */
	ck_assert_str_eq(h2_end_frames(&down), "");
	codec_credit(down.codec, 1, 40000);
	ck_assert_str_eq(h2_end_frames(&down), "WINDOW_UPDATE 1 40100\n");
}
END_TEST

START_TEST(a_stream_that_flows_gets_a_wide_window)
{
	size_t credited = 0;

	connect_both();
	send_stream(&up, 1, LONG_BODY, 0, true);
	while (down.body.len < 200000) {
		h2_ends_settle(&up, &down);
		ck_assert_uint_gt(down.body.len, credited); /* never stuck */
		codec_credit(down.codec, 1, down.body.len - credited);
		credited = down.body.len;
	}
	h2_ends_settle(&up, &down);
	/* All the rest at once: more than a first window. */
	must_be_stream(&down, LONG_BODY);
	ck_assert_ptr_nonnull(strstr(h2_end_log(&down), " end\n"));
	ck_assert_uint_eq(codec_pending(up.codec, 1), 0);
}
END_TEST

START_TEST(more_credit_than_is_due_does_no_harm)
{
	connect_both();
	send_stream(&up, 1, 1000, 0, false);
	h2_end_pass(&up, &down);
	codec_credit(down.codec, 1, SIZE_MAX);
	codec_credit(down.codec, 1, 5000000);
	send_stream(&up, 1, 100000, 1000, false);
	h2_end_pass(&up, &down);
	ck_assert_uint_le(down.body.len, 66535);
	ck_assert_uint_eq(down.refused, 0);
}
END_TEST

START_TEST(one_stream_that_nobody_reads_does_not_use_up_the_connection)
{
	uint32_t ids[40];

	connect_both();
	for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
		ids[i] = h2_end_begin(&up, "/p.S/M", "", false);
		send_stream(&up, ids[i], 100000, 0, true); /* no one is credited */
	}
	h2_ends_settle(&up, &down);
	ck_assert_uint_eq(down.body.len, 40 * 65535u);
}
END_TEST

START_TEST(data_for_a_stream_that_was_reset_is_not_lost_for_the_connection)
{
	struct codec_reset why = {.reason = REASON_CANCELED};
	uint64_t total = 0;

	connect_both();
	for (unsigned round = 0; round < 300; round++) {
		uint32_t id = h2_end_begin(&up, "/p.S/M", "", false);

		send_stream(&up, id, 60000, 0, false);
		down.body.len = 0;
		h2_end_pass(&up, &down); /* its bytes are heard, and never credited */
		total += down.body.len;
		ck_assert_uint_eq(down.body.len, 60000);
		codec_reset(down.codec, id, &why);
		codec_reset(up.codec, id, &why);
		h2_ends_settle(&up, &down);
	}
	ck_assert_uint_gt(total, 16u << 20); /* more than the connection's window */
}
END_TEST

START_TEST(padding_is_given_back)
{
	uint8_t padded[300] = {250}; /* 49 bytes of data, 250 of padding */

	h2_preface(&w);
	h2_headers(&w, 0, 1, ":method POST\n:scheme http\n:path /\n:authority a\n");
	h2_end_hears(&down, &w);
	for (unsigned i = 0; i < 400; i++) {
		h2_frame(&w, H2_DATA, H2_PADDED, 1, slice_of(padded, sizeof padded));
		h2_end_hears(&down, &w);
		codec_credit(down.codec, 1, 49);
	}
	ck_assert_uint_eq(down.body.len, 400 * 49);
	ck_assert_uint_eq(down.refused, 0);
	ck_assert_ptr_null(strstr(h2_end_log(&down), "reset"));
}
END_TEST

START_TEST(a_writer_that_ignores_its_window_is_reset)
{
	uint8_t *bytes = mem_calloc(1, 16384);

	h2_preface(&w);
	h2_headers(&w, 0, 1, ":method POST\n:scheme http\n:path /\n:authority a\n");
	for (unsigned i = 0; i < 5; i++)
		h2_frame(&w, H2_DATA, 0, 1, slice_of(bytes, 16384));
	h2_end_hears(&down, &w);
	ck_assert_ptr_nonnull(strstr(h2_end_frames(&down), "RST_STREAM 1 3\n"));
	ck_assert_ptr_nonnull(strstr(h2_end_log(&down), "reset 1 malformed 3: "));
	free(bytes);
}
END_TEST

/* ---- both, in a stream of any shape ---- */

/* Windows, sizes of pieces, and how much a connection takes at once. */
static const struct {
	uint32_t window;
	size_t piece, room;
} shapes[] = {
    {1, 7, 0},
    {100, 1000, 50},
    {65535, 1, 0},
    {65535, 16384, 20000},
    {65535, 16385, 1},
    {65535, 100000, 0},
    {40000, 50000, 30000},
};

START_TEST(the_bytes_of_a_stream_arrive_in_their_order)
{
	size_t len = shapes[_i].window < 1000 || shapes[_i].piece < 100 ? 3000 : LONG_BODY;
	size_t sent = 0, credited = 0;

	connect_both();
	h2_setting(&w, 4, shapes[_i].window);
	h2_end_hears(&up, &w);
	h2_end_frames(&up); /* its answer, which `down` does not wait for */
	up.room = shapes[_i].room;
	for (unsigned turns = 0; down.body.len < len; turns++) {
		size_t n = len - sent < shapes[_i].piece ? len - sent : shapes[_i].piece;

		ck_assert_uint_lt(turns, 100000);
		if (sent < len && codec_pending(up.codec, 1) < 100000) {
			send_stream(&up, 1, n, sent, sent + n == len);
			sent += n;
		}
		h2_end_pass(&up, &down);
		codec_credit(down.codec, 1, down.body.len - credited);
		if (shapes[_i].window < 65535 && down.body.len > credited)
			h2_frame_u32(&w, H2_WINDOW_UPDATE, 1, (uint32_t)(down.body.len - credited));
		credited = down.body.len;
		if (w.len)
			h2_end_hears(&up, &w);
		h2_end_pass(&down, &up);
		codec_pump(up.codec);
	}
	must_be_stream(&down, len);
	ck_assert_ptr_nonnull(strstr(h2_end_log(&down), " end\n"));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {bytes_leave_one_by_one_through_a_window_of_one, 1},
	    {the_end_rides_on_the_last_byte_that_waited, 1},
	    {a_window_may_shrink_below_nothing, 1},
	    {a_slow_reader_stops_nobody_else, 1},
	    {a_window_that_overflows_ends_the_stream_or_the_connection, 1},
	    {data_waits_for_a_full_connection_and_heads_do_not, 1},
	    {answers_to_pings_wait_for_a_full_connection, 1},
	    {a_reset_leaves_a_full_connection_at_once, 1},
	    {what_waits_leaves_though_its_owner_has_gone, 1},
	    {a_writer_stops_until_it_is_credited, 1},
	    {a_stream_that_flows_gets_a_wide_window, 1},
	    {more_credit_than_is_due_does_no_harm, 1},
	    {one_stream_that_nobody_reads_does_not_use_up_the_connection, 1},
	    {data_for_a_stream_that_was_reset_is_not_lost_for_the_connection, 1},
	    {padding_is_given_back, 1},
	    {a_writer_that_ignores_its_window_is_reset, 1},
	    {the_bytes_of_a_stream_arrive_in_their_order, ARRAY_LEN(shapes)},
	};

	return suite_run_between("codec_h2_flow", tests, ARRAY_LEN(tests), begin, end);
}
