/*
 * The codec of TTHeader Streaming on connections that are full: what waits, in which order it
 * leaves, and what is given up for it. Also memory and numbers.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/frame_queue.h"
#include "rpc/tts.h"
#include "support/frames.h"
#include "support/suite.h"
#include "support/tts_pair.h"

#define QUANTUM (16u * 1024)

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool memory_is_gone; /* for the next who asks */

void *__wrap_realloc(void *old, size_t size)
{
	if (!memory_is_gone)
		return __real_realloc(old, size);
	memory_is_gone = false;
	return NULL;
}

static void fill(struct tts_end *e)
{
	e->room = 0;
}

/* So much may be written, then it is full again. */
static void make_room(struct tts_end *e, size_t bytes)
{
	tts_end_forget(e);
	e->room = bytes;
	codec_pump(e->codec);
	e->room = bytes == SIZE_MAX ? bytes : 0;
	tts_end_feed(e, SLICE_NONE);
}

/* Data of @len bytes in all, with @mark in it. */
static void send_data(struct tts_end *e, uint32_t id, size_t len, char mark)
{
	struct slice empty = tts_frame_of('3', 99, SLICE_NONE), frame;
	uint8_t *payload = mem_alloc(len);

	memset(payload, mark, len);
	frame = tts_frame_of('3', 99, slice_of(payload, len - empty.len));
	codec_send_data(e->codec, id, frame, false);
	frame_free(&frame);
	frame_free(&empty);
	free(payload);
}

static size_t count(const struct tts_end *e, enum codec_event event, uint32_t id)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n; i++)
		n += e->list[i].event == event && e->list[i].id == id;
	return n;
}

/* Which streams the frames that were written belong to, one letter each. */
static const char *order(const struct tts_end *e)
{
	static char text[256];
	struct slice rest = written_slice(&e->out);
	size_t n = 0;

	while (rest.len && n < sizeof text - 1) {
		struct ttstream_frame f;
		struct wire_note note;

		ck_assert_int_eq(ttstream_read(rest, SIZE_MAX, SIZE_MAX, &f, &note), WIRE_OK);
		text[n++] = (char)('a' + f.stream % 26);
		rest = slice_from(rest, f.bytes.len);
	}
	text[n] = '\0';
	return text;
}

static void open_answered(uint32_t id)
{
	tts_open_down(id);
	tts_answer_down(id);
}

START_TEST(what_a_full_connection_does_not_take_waits_and_leaves_in_order)
{
	static const char marks[] = "123456";
	struct slice rest;

	open_answered(1);
	fill(&tts_down);
	tts_end_forget(&tts_down);
	for (const char *m = marks; *m; m++)
		send_data(&tts_down, 1, 100, *m);
	ck_assert_uint_eq(tts_down.out.len, 0);
	ck_assert_uint_eq(codec_pending(tts_down.codec, 1), 600);
	ck_assert_uint_ge(codec_held(tts_down.codec), 600);
	make_room(&tts_down, SIZE_MAX);
	ck_assert_uint_eq(codec_pending(tts_down.codec, 1), 0);
	ck_assert_uint_eq(codec_held(tts_down.codec), 0);
	rest = written_slice(&tts_down.out);
	ck_assert_uint_eq(rest.len, 600);
	for (const char *m = marks; *m; m++, rest = slice_from(rest, 100))
		ck_assert_int_eq(rest.data[99], *m);
}
END_TEST

START_TEST(room_is_told_once_for_each_pump_and_stream)
{
	open_answered(1);
	open_answered(2);
	fill(&tts_down);
	for (int i = 0; i < 10; i++)
		send_data(&tts_down, 1, 10000, 'x');
	make_room(&tts_down, 20001);
	ck_assert_uint_eq(count(&tts_down, CODEC_ROOM, 1), 1);
	ck_assert_uint_gt(codec_pending(tts_down.codec, 1), 0);
	make_room(&tts_down, SIZE_MAX);
	ck_assert_uint_eq(count(&tts_down, CODEC_ROOM, 1), 2);
	ck_assert_uint_eq(count(&tts_down, CODEC_ROOM, 2), 0);
	make_room(&tts_down, SIZE_MAX);
	ck_assert_uint_eq(count(&tts_down, CODEC_ROOM, 1), 2);
	ck_assert_ptr_eq(tts_last(&tts_down, CODEC_ROOM)->owner, tts_owner(1));
}
END_TEST

START_TEST(streams_leave_in_turns)
{
	for (uint32_t id = 1; id < 4; id++)
		open_answered(id);
	fill(&tts_down);
	for (uint32_t id = 1; id < 4; id++)
		for (int i = 0; i < 3; i++)
			send_data(&tts_down, id, QUANTUM - 100, 'x');
	make_room(&tts_down, 2 * QUANTUM);
	ck_assert_str_eq(order(&tts_down), "bcd"); /* full only after the third */
	make_room(&tts_down, SIZE_MAX);
	ck_assert_str_eq(order(&tts_down), "bcdbcd");
}
END_TEST

START_TEST(small_frames_leave_together_in_one_turn)
{
	open_answered(1);
	open_answered(2);
	fill(&tts_down);
	for (int i = 0; i < 4; i++)
		for (uint32_t id = 1; id < 3; id++)
			send_data(&tts_down, id, 100, 'x');
	make_room(&tts_down, SIZE_MAX);
	ck_assert_str_eq(order(&tts_down), "bbbbcccc");
}
END_TEST

START_TEST(who_comes_later_waits_behind_who_waits)
{
	open_answered(1);
	open_answered(2);
	fill(&tts_down);
	send_data(&tts_down, 1, 100, 'x');
	tts_down.room = SIZE_MAX; /* it has room again, but its pump has not come yet */
	tts_end_forget(&tts_down);
	send_data(&tts_down, 2, 100, 'x');
	ck_assert_uint_eq(tts_down.out.len, 0);
	make_room(&tts_down, SIZE_MAX);
	ck_assert_str_eq(order(&tts_down), "bc");
	send_data(&tts_down, 2, 100, 'x');
	ck_assert_str_eq(order(&tts_down), "bcc");
}
END_TEST

START_TEST(a_stream_of_which_too_much_waits_is_reset_and_its_neighbours_go_on)
{
	const struct tts_heard *h;
	struct ttstream_frame f[3];

	open_answered(1);
	open_answered(2);
	fill(&tts_down);
	send_data(&tts_down, 2, 100, 'x');
	for (int i = 0; i < 4; i++)
		send_data(&tts_down, 1, 64 * 1024, 'x'); /* just as much as may wait */
	tts_end_feed(&tts_down, SLICE_NONE);
	ck_assert_uint_eq(codec_pending(tts_down.codec, 1), CODEC_STREAM_QUEUE);
	ck_assert_uint_eq(count(&tts_down, CODEC_RESET, 1), 0);
	send_data(&tts_down, 1, 100, 'x');
	send_data(&tts_down, 1, 100, 'x');
	tts_end_feed(&tts_down, SLICE_NONE);
	h = tts_last(&tts_down, CODEC_RESET);
	ck_assert_ptr_eq(h->owner, tts_owner(1));
	ck_assert_int_eq(h->reset.reason, REASON_OVERLOAD);
	ck_assert(!h->reset.is_passed_on && h->reset.frame.len == 0);
	ck_assert_uint_eq(count(&tts_down, CODEC_RESET, 1), 1);
	ck_assert_uint_eq(codec_pending(tts_down.codec, 1), 0);
	ck_assert_uint_lt(codec_held(tts_down.codec), 8192);
	codec_send_end(tts_down.codec, 1, NULL);
	codec_send_end(tts_down.codec, 2, NULL);
	make_room(&tts_down, SIZE_MAX);
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_RST, TTSTREAM_DATA, TTSTREAM_TRAILER);
	ck_assert_uint_eq(f[0].stream, 1);
	tts_must_be_exception(&f[0], reason_ttstream_id(REASON_OVERLOAD), "bridled: overload: ");
	ck_assert_uint_eq(f[1].stream, 2);
	ck_assert_uint_eq(f[2].stream, 2);
}
END_TEST

START_TEST(a_slow_endpoint_is_told_that_its_call_is_given_up)
{
	uint32_t id = tts_open_up();
	struct ttstream_frame f[2];

	fill(&tts_up);
	send_data(&tts_up, id, CODEC_STREAM_QUEUE, 'x');
	send_data(&tts_up, id, 100, 'x');
	tts_end_feed(&tts_up, SLICE_NONE);
	ck_assert_int_eq(tts_last(&tts_up, CODEC_RESET)->reset.reason, REASON_OVERLOAD);
	make_room(&tts_up, SIZE_MAX);
	MUST_HAVE_WRITTEN(&tts_up, f, TTSTREAM_RST, TTSTREAM_TRAILER);
	ck_assert_uint_eq(codec_capacity(tts_up.codec), 10000);
}
END_TEST

START_TEST(a_frame_longer_than_may_wait_passes_when_nothing_waits_before_it)
{
	open_answered(1);
	fill(&tts_down);
	send_data(&tts_down, 1, 2 * CODEC_STREAM_QUEUE, 'x');
	ck_assert_uint_eq(codec_pending(tts_down.codec, 1), 2 * CODEC_STREAM_QUEUE);
	make_room(&tts_down, SIZE_MAX);
	ck_assert_uint_eq(tts_down.out.len, 2 * CODEC_STREAM_QUEUE);
	fill(&tts_down);
	send_data(&tts_down, 1, 100, 'x');
	send_data(&tts_down, 1, 2 * CODEC_STREAM_QUEUE, 'x');
	tts_end_feed(&tts_down, SLICE_NONE);
	ck_assert_int_eq(tts_last(&tts_down, CODEC_RESET)->reset.reason, REASON_OVERLOAD);
}
END_TEST

START_TEST(a_stream_without_an_owner_is_given_up_without_an_event)
{
	size_t heard;

	open_answered(1);
	codec_own(tts_down.codec, 1, NULL);
	heard = tts_down.n;
	fill(&tts_down);
	send_data(&tts_down, 1, CODEC_STREAM_QUEUE, 'x');
	send_data(&tts_down, 1, 100, 'x');
	make_room(&tts_down, SIZE_MAX);
	ck_assert_uint_eq(tts_down.n, heard);
	ck_assert_str_eq(order(&tts_down), "b");
	tts_open_down(1); /* it is gone */
}
END_TEST

START_TEST(an_owner_that_leaves_before_the_event_does_not_get_it)
{
	open_answered(1);
	fill(&tts_down);
	send_data(&tts_down, 1, CODEC_STREAM_QUEUE, 'x');
	send_data(&tts_down, 1, 100, 'x');
	codec_own(tts_down.codec, 1, NULL);
	open_answered(2);
	send_data(&tts_down, 2, 100, 'x');
	tts_end_forget(&tts_down);
	tts_down.room = SIZE_MAX;
	codec_pump(tts_down.codec);
	codec_own(tts_down.codec, 2, NULL);
	tts_end_feed(&tts_down, SLICE_NONE);
	ck_assert_uint_eq(count(&tts_down, CODEC_RESET, 1), 0);
	ck_assert_uint_eq(count(&tts_down, CODEC_ROOM, 2), 0);
}
END_TEST

START_TEST(what_waits_of_a_stream_without_an_owner_still_leaves)
{
	open_answered(1);
	fill(&tts_down);
	send_data(&tts_down, 1, 100, 'x');
	codec_send_end(tts_down.codec, 1, NULL);
	codec_own(tts_down.codec, 1, NULL);
	make_room(&tts_down, SIZE_MAX);
	ck_assert_str_eq(order(&tts_down), "bb");
	ck_assert_uint_eq(count(&tts_down, CODEC_ROOM, 1), 0);
	tts_open_down(1); /* and then it is gone */
}
END_TEST

START_TEST(a_reply_that_waits_with_its_trailer_is_over_when_that_has_left)
{
	open_answered(1);
	fill(&tts_down);
	tts_end_forget(&tts_down);
	send_data(&tts_down, 1, 100, 'x');
	codec_send_end(tts_down.codec, 1, NULL);
	tts_feed_of(&tts_down, '3', 1); /* nobody listens any more */
	ck_assert_uint_eq(count(&tts_down, CODEC_DATA, 1), 0);
	ck_assert_uint_gt(codec_pending(tts_down.codec, 1), 100);
	make_room(&tts_down, SIZE_MAX);
	ck_assert_uint_eq(codec_pending(tts_down.codec, 1), 0);
	ck_assert_uint_eq(tts_last(&tts_down, CODEC_ROOM)->id, 1);
	tts_open_down(1);
}
END_TEST

START_TEST(room_for_a_call_does_not_let_out_what_came_before_its_reply)
{
	uint32_t id = tts_open_up();

	tts_feed_of(&tts_up, '1', id);
	fill(&tts_up);
	send_data(&tts_up, id, 100, 'x');
	make_room(&tts_up, SIZE_MAX);
	ck_assert_uint_eq(tts_up.n, 1);
	tts_last(&tts_up, CODEC_ROOM);
	tts_feed_of(&tts_up, '2', id);
	ck_assert_int_eq(tts_up.list[1].event, CODEC_MESSAGE);
	tts_last(&tts_up, CODEC_DATA);
	ck_assert_uint_eq(tts_up.n, 3);
}
END_TEST

START_TEST(a_failure_goes_behind_what_waits)
{
	struct ttstream_frame f[3];

	tts_open_down(1);
	fill(&tts_down);
	tts_answer_down(1);
	send_data(&tts_down, 1, 100, 'x');
	tts_fail_down(1, REASON_TIMEOUT);
	ck_assert_uint_eq(tts_down.out.len, 0);
	make_room(&tts_down, SIZE_MAX);
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_HEADER, TTSTREAM_DATA, TTSTREAM_TRAILER);
	tts_must_be_exception(&f[2], reason_ttstream_id(REASON_TIMEOUT), "bridled: timeout");
}
END_TEST

START_TEST(a_reset_throws_away_what_waits)
{
	struct ttstream_frame f[1];

	open_answered(1);
	fill(&tts_down);
	send_data(&tts_down, 1, 100, 'x');
	codec_reset(tts_down.codec, 1, &(struct codec_reset){.reason = REASON_TIMEOUT});
	ck_assert_uint_eq(codec_pending(tts_down.codec, 1), 0);
	make_room(&tts_down, SIZE_MAX);
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_RST);
	ck_assert_uint_eq(count(&tts_down, CODEC_ROOM, 1), 0);
}
END_TEST

START_TEST(a_call_whose_header_still_waits_is_given_up_in_silence)
{
	struct rpc_edit edit = {.form = tts_form};
	uint32_t id = codec_begin(tts_up.codec, tts_owner(1));

	tts_open_down(9);
	fill(&tts_up);
	ck_assert(codec_send_message(
	    tts_up.codec, id, &tts_last(&tts_down, CODEC_MESSAGE)->message, &edit));
	codec_send_end(tts_up.codec, id, NULL);
	codec_reset(tts_up.codec, id, &(struct codec_reset){.reason = REASON_CANCELED});
	make_room(&tts_up, SIZE_MAX);
	ck_assert_uint_eq(tts_up.out.len, 0);
}
END_TEST

START_TEST(a_trailer_that_waits_has_not_ended_a_call_that_is_reset)
{
	struct ttstream_frame f[2];
	uint32_t id = tts_open_up();

	fill(&tts_up);
	codec_send_end(tts_up.codec, id, NULL);
	codec_reset(tts_up.codec, id, &(struct codec_reset){.reason = REASON_CANCELED});
	make_room(&tts_up, SIZE_MAX);
	MUST_HAVE_WRITTEN(&tts_up, f, TTSTREAM_RST, TTSTREAM_TRAILER);
}
END_TEST

START_TEST(a_callers_reset_throws_away_what_waits_for_it)
{
	open_answered(1);
	fill(&tts_down);
	tts_end_forget(&tts_down);
	send_data(&tts_down, 1, 100, 'x');
	codec_send_end(tts_down.codec, 1, NULL);
	tts_feed_of(&tts_down, '5', 1);
	tts_last(&tts_down, CODEC_RESET);
	make_room(&tts_down, SIZE_MAX);
	ck_assert_uint_eq(tts_down.out.len, 0);
	ck_assert_uint_eq(codec_held(tts_down.codec), 0);
}
END_TEST

START_TEST(answers_that_nobody_reads_end_the_connection)
{
	struct slice header = tts_frame_of('2', 1, SLICE_NONE);
	size_t n = 0;

	fill(&tts_down);
	for (; n < 100000; n++) { /* each second header resets the stream */
		tts_end_feed(&tts_down, header);
		if (tts_end_last(&tts_down)->event == CODEC_REFUSED)
			break;
	}
	ck_assert_int_eq(tts_last(&tts_down, CODEC_REFUSED)->why.reason, REASON_OVERLOAD);
	ck_assert_uint_gt(n, 1000);
	ck_assert_uint_le(tts_down.most_held, 2 * CODEC_STREAM_QUEUE + 1024);
	frame_free(&header);
}
END_TEST

/* ---- memory and numbers ---- */

START_TEST(a_stream_for_which_memory_is_gone_is_given_up_alone)
{
	struct slice data = tts_frame_of('3', 99, SLICE_NONE);
	struct rpc_edit edit = {.form = tts_form};

	for (uint32_t id = 1; id < 4; id++)
		tts_open_down(id);
	tts_answer_down(2);
	fill(&tts_down);
	tts_end_forget(&tts_down);
	memory_is_gone = true;
	tts_fail_down(1, REASON_TIMEOUT); /* its header */
	ck_assert(codec_send_message(
	    tts_down.codec, 1, &tts_last(&tts_up, CODEC_MESSAGE)->message, &edit));
	memory_is_gone = true;
	codec_send_data(tts_down.codec, 2, data, false);
	memory_is_gone = true;
	codec_send_end(tts_down.codec, 3, NULL);
	ck_assert(!memory_is_gone);
	tts_end_feed(&tts_down, SLICE_NONE);
	for (uint32_t id = 1; id < 4; id++)
		ck_assert_uint_eq(count(&tts_down, CODEC_RESET, id), 1);
	make_room(&tts_down, SIZE_MAX);
	ck_assert_str_eq(order(&tts_down), "bcd");
	tts_open_down(4);
	frame_free(&data);
}
END_TEST

START_TEST(a_frame_for_which_memory_is_gone_ends_the_connection)
{
	struct slice frame = tts_frame_of('3', 1, SLICE_NONE);

	tts_open_down(1);
	memory_is_gone = true;
	tts_end_feed(&tts_down, slice_first(frame, 10));
	ck_assert_int_eq(tts_last(&tts_down, CODEC_REFUSED)->why.reason, REASON_OVERLOAD);
	frame_free(&frame);
}
END_TEST

START_TEST(a_long_frame_for_which_memory_is_gone_in_its_middle_ends_the_connection)
{
	uint8_t *payload = mem_calloc(1, 5000);
	struct slice frame = tts_frame_of('3', 1, slice_of(payload, 5000));

	tts_open_down(1);
	tts_end_feed(&tts_down, slice_first(frame, 1000));
	memory_is_gone = true;
	tts_end_feed(&tts_down, slice_first(slice_from(frame, 1000), 1000));
	ck_assert_int_eq(tts_last(&tts_down, CODEC_REFUSED)->why.reason, REASON_OVERLOAD);
	frame_free(&frame);
	free(payload);
}
END_TEST

START_TEST(a_frame_in_small_pieces_is_held_and_nothing_else)
{
	uint8_t *payload = mem_calloc(1, 100000);
	struct slice frame = tts_frame_of('3', 1, slice_of(payload, 100000));

	tts_open_down(1);
	for (size_t at = 0; at < frame.len; at += 10) {
		tts_end_feed(&tts_down, slice_first(slice_from(frame, at), 10));
		ck_assert_int_eq(codec_is_idle(tts_down.codec), at + 10 >= frame.len);
		ck_assert_int_eq(codec_has_detected(tts_down.codec), at + 10 < frame.len);
		ck_assert_uint_le(codec_held(tts_down.codec), 2 * (at + 10) + 1024);
	}
	ck_assert(slice_eq(tts_last(&tts_down, CODEC_DATA)->bytes, frame));
	ck_assert_uint_eq(codec_held(tts_down.codec), 0);
	frame_free(&frame);
	free(payload);
}
END_TEST

START_TEST(eight_bytes_tell_what_a_frame_is)
{
	struct slice frame = tts_frame_of('3', 1, SLICE_NONE);

	tts_open_down(1);
	ck_assert(!codec_has_detected(tts_down.codec));
	tts_end_feed(&tts_down, slice_first(frame, 7));
	ck_assert(!codec_has_detected(tts_down.codec) && !codec_is_idle(tts_down.codec));
	tts_end_feed(&tts_down, slice_sub(frame, 7, 1));
	ck_assert(codec_has_detected(tts_down.codec));
	frame_free(&frame);
}
END_TEST

START_TEST(numbers_of_calls_wrap_and_pass_over_0_and_those_in_use)
{
	struct tts *state = tts_up.codec->state;
	uint32_t first = tts_open_up(), second = tts_open_up();

	ck_assert_uint_eq(first, 1);
	ck_assert_uint_eq(second, 2);
	state->last_id = UINT32_MAX - 1;
	ck_assert_uint_eq(codec_begin(tts_up.codec, NULL), UINT32_MAX);
	ck_assert_uint_eq(codec_begin(tts_up.codec, NULL), 3);
}
END_TEST

START_TEST(capacity_is_what_open_streams_leave)
{
	uint32_t id = tts_open_up();

	tts_open_up();
	ck_assert_uint_eq(codec_capacity(tts_up.codec), 9998);
	ck_assert(!codec_is_ending(tts_up.codec));
	tts_feed_of(&tts_up, '4', id);
	ck_assert_uint_eq(codec_capacity(tts_up.codec), 9999);
	for (int i = 0; i < 9999; i++)
		codec_begin(tts_up.codec, NULL);
	ck_assert_uint_eq(codec_capacity(tts_up.codec), 0);
}
END_TEST

START_TEST(the_table_of_many_streams_goes_with_the_last_of_them)
{
	struct tts *state = tts_up.codec->state;

	for (int i = 0; i < 1000; i++)
		tts_open_up();
	ck_assert_uint_gt(state->streams.size, 1000);
	for (uint32_t id = 1; id <= 1000; id++)
		codec_reset(tts_up.codec, id, &(struct codec_reset){.reason = REASON_CANCELED});
	ck_assert_uint_eq(state->streams.size, 0);
	ck_assert_uint_eq(tts_open_up(), 1001);
}
END_TEST

START_TEST(what_does_not_concern_streams_is_harmless)
{
	codec_drain(tts_down.codec, CODEC_DRAIN_SOON);
	tts_open_down(1);
	codec_drain(tts_down.codec, CODEC_DRAIN_NOW);
	codec_ping(tts_down.codec);
	codec_credit(tts_down.codec, 1, 100);
	ck_assert_uint_eq(codec_pending(tts_down.codec, 2), 0);
	codec_pump(tts_down.codec);
	ck_assert_uint_eq(tts_down.out.len, 0);
}
END_TEST

/* ---- the queue itself ---- */

static void add_frame(struct frame_queue *q, uint32_t id, size_t payload)
{
	uint8_t *bytes = mem_calloc(1, payload + 1);
	struct slice frame = tts_frame_of('3', id, slice_of(bytes, payload));

	ck_assert(frame_queue_add(q, &frame, 1));
	frame_free(&frame);
	free(bytes);
}

START_TEST(a_queue_gives_whole_frames_and_its_memory_back)
{
	struct frame_queue q = {0};
	size_t one, moved = 0;

	add_frame(&q, 1, 10);
	one = q.len;
	add_frame(&q, 1, 10);
	ck_assert_uint_eq(frame_queue_first(&q, 0).len, one);
	ck_assert_uint_eq(frame_queue_first(&q, 2 * one - 1).len, one);
	ck_assert_uint_eq(frame_queue_first(&q, 2 * one).len, 2 * one);
	for (int i = 0; i < 10000; i++) { /* it does not grow when as much leaves as comes */
		frame_queue_skip(&q, one);
		add_frame(&q, 1, 10);
		moved += q.at == 0;
	}
	ck_assert_uint_le(q.size, 1024);
	ck_assert_uint_lt(moved, 1000);
	frame_queue_skip(&q, 2 * one);
	ck_assert_ptr_null(q.bytes);
	ck_assert_uint_eq(q.size, 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {what_a_full_connection_does_not_take_waits_and_leaves_in_order, 1},
	    {room_is_told_once_for_each_pump_and_stream, 1},
	    {streams_leave_in_turns, 1},
	    {small_frames_leave_together_in_one_turn, 1},
	    {who_comes_later_waits_behind_who_waits, 1},
	    {a_stream_of_which_too_much_waits_is_reset_and_its_neighbours_go_on, 1},
	    {a_slow_endpoint_is_told_that_its_call_is_given_up, 1},
	    {a_frame_longer_than_may_wait_passes_when_nothing_waits_before_it, 1},
	    {a_stream_without_an_owner_is_given_up_without_an_event, 1},
	    {an_owner_that_leaves_before_the_event_does_not_get_it, 1},
	    {what_waits_of_a_stream_without_an_owner_still_leaves, 1},
	    {a_reply_that_waits_with_its_trailer_is_over_when_that_has_left, 1},
	    {room_for_a_call_does_not_let_out_what_came_before_its_reply, 1},
	    {a_failure_goes_behind_what_waits, 1},
	    {a_reset_throws_away_what_waits, 1},
	    {a_call_whose_header_still_waits_is_given_up_in_silence, 1},
	    {a_trailer_that_waits_has_not_ended_a_call_that_is_reset, 1},
	    {a_callers_reset_throws_away_what_waits_for_it, 1},
	    {answers_that_nobody_reads_end_the_connection, 1},
	    {a_stream_for_which_memory_is_gone_is_given_up_alone, 1},
	    {a_frame_for_which_memory_is_gone_ends_the_connection, 1},
	    {a_long_frame_for_which_memory_is_gone_in_its_middle_ends_the_connection, 1},
	    {a_frame_in_small_pieces_is_held_and_nothing_else, 1},
	    {eight_bytes_tell_what_a_frame_is, 1},
	    {numbers_of_calls_wrap_and_pass_over_0_and_those_in_use, 1},
	    {capacity_is_what_open_streams_leave, 1},
	    {the_table_of_many_streams_goes_with_the_last_of_them, 1},
	    {what_does_not_concern_streams_is_harmless, 1},
	    {a_queue_gives_whole_frames_and_its_memory_back, 1},
	};

	return suite_run_between(
	    "codec_ttstream_queue", tests, ARRAY_LEN(tests), tts_begin, tts_done);
}
