/*
 * HTTP/2: every way in which a call, a stream or a connection ends, from either side, and what may
 * not be written or said after it.
 */
#include <stdio.h>

#include "base/mem.h"
#include "support/h2_pair.h"
#include "support/suite.h"

/* ---- downstream ---- */

START_TEST(a_reply_may_end_before_its_call)
{
	h2_call(&w, 0, 1, "");
	h2_end_hears(&down, &w);
	h2_end_reply(&down, 1, 200, "content-type application/grpc\ngrpc-status 5\n", true);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1 end\nRST_STREAM 1 0\n");
	/* What was on its way is thrown away. */
	h2_message(&w, H2_END_STREAM, 1, 10);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /pkg.Service/Method\n");
	ck_assert_str_eq(h2_end_frames(&down), "");
}
END_TEST

START_TEST(a_reply_after_its_call_ends_with_nothing_more)
{
	h2_call(&w, H2_END_STREAM, 1, "");
	h2_end_hears(&down, &w);
	h2_end_reply(&down, 1, 200, REPLY_FIELDS, false);
	h2_end_message(&down, 1, 5, true);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1\nDATA 1 10 end\n");
	h2_end_trailers(&down, 1, "grpc-status 0\n"); /* too late */
	codec_send_data(down.codec, 1, SLICE_LIT("x"), false);
	ck_assert_str_eq(h2_end_frames(&down), "");
	h2_end_feed(&down, SLICE_NONE);
}
END_TEST

START_TEST(a_caller_that_cancels_is_told_to_the_owner)
{
	h2_call(&w, 0, 1, "");
	h2_message(&w, 0, 1, 3);
	h2_frame_u32(&w, H2_RST_STREAM, 1, 8);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /pkg.Service/Method\ndata 1 8 (1 of 3)\n"
					    "reset 1 canceled 8: the caller reset the stream\n");
	h2_end_reply(&down, 1, 200, REPLY_FIELDS, false); /* nobody is there to hear it */
	h2_end_fail(&down, 1, RPC_KITEXPB, REASON_CANCELED);
	ck_assert_str_eq(h2_end_frames(&down), "");
	let_go(&down, 1);
}
END_TEST

START_TEST(a_caller_may_cancel_after_the_end_of_its_call)
{
	h2_call(&w, H2_END_STREAM, 1, "");
	h2_end_hears(&down, &w);
	h2_end_reply(&down, 1, 200, REPLY_FIELDS, false);
	h2_frame_u32(&w, H2_RST_STREAM, 1, 1000);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /pkg.Service/Method end\n"
					    "reset 1 canceled 1000: the caller reset the stream\n");
	let_go(&down, 1);
}
END_TEST

START_TEST(a_cancel_without_an_owner_is_told_to_nobody)
{
	down.owns_none = true;
	h2_call(&w, 0, 1, "");
	h2_message(&w, 0, 1, 3);
	h2_frame_u32(&w, H2_RST_STREAM, 1, 8);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /pkg.Service/Method\n");
}
END_TEST

START_TEST(what_nobody_wants_is_read_and_thrown_away)
{
	h2_call(&w, 0, 1, "");
	h2_end_hears(&down, &w);
	codec_own(down.codec, 1, NULL);
	for (unsigned i = 0; i < 10; i++) {
		h2_message(&w, 0, 1, 10000);
		h2_end_hears(&down, &w);
	}
	h2_frame(&w, H2_DATA, H2_END_STREAM, 1, SLICE_NONE);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /pkg.Service/Method\n");
	/* Its writer got its window back, so it has not stopped in the middle. */
	ck_assert_ptr_nonnull(strstr(h2_end_frames(&down), "WINDOW_UPDATE 1 "));
	h2_end_reply(&down, 1, 200, "grpc-status 0\n", true);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1 end\n");
	h2_end_feed(&down, SLICE_NONE);
}
END_TEST

START_TEST(a_reset_is_told_by_its_reason)
{
	static const struct {
		enum reason reason;
		unsigned code;
	} codes[] = {
	    {REASON_OK, 0},
	    {REASON_CANCELED, 8},
	    {REASON_TIMEOUT, 8},
	    {REASON_CALLER_DEADLINE, 8},
	    {REASON_OVERLOAD, 11},
	    {REASON_DRAINING, 7},
	    {REASON_MALFORMED, 1},
	    {REASON_BAD_REPLY, 1},
	    {REASON_RESET, 2},
	    {REASON_INTERNAL, 2},
	};

	for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
		struct codec_reset why = {.reason = codes[i].reason};
		char expected[64];
		uint32_t id = open_call();

		codec_reset(up.codec, id, &why);
		snprintf(expected, sizeof expected, "RST_STREAM %u %u\n", id, codes[i].code);
		ck_assert_str_eq(h2_end_frames(&up), expected);
	}
	ck_assert_uint_eq(codec_capacity(up.codec), UINT32_MAX);
	h2_end_feed(&up, SLICE_NONE);
	ck_assert_str_eq(h2_end_log(&up), "");
}
END_TEST

START_TEST(a_code_that_is_passed_on_stays_what_it_is)
{
	struct codec_reset why = {.reason = REASON_RESET, .is_passed_on = true, .code = 1000};

	h2_call(&w, 0, 1, "");
	h2_end_hears(&down, &w);
	codec_reset(down.codec, 1, &why);
	codec_reset(down.codec, 1, &why); /* once */
	ck_assert_str_eq(h2_end_frames(&down), "RST_STREAM 1 1000\n");
	h2_end_feed(&down, SLICE_NONE);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /pkg.Service/Method\n");
}
END_TEST

START_TEST(events_that_wait_are_dropped_by_a_reset)
{
	struct codec_reset why = {.reason = REASON_CANCELED};
	struct codec_item item = {0};
	struct slice in;

	h2_call(&w, 0, 1, "");
	h2_message(&w, 0, 1, 3);
	h2_call(&w, H2_END_STREAM, 3, "");
	in = written_slice(&w);
	ck_assert_int_eq(codec_next(down.codec, &in, &item), CODEC_MESSAGE);
	codec_own(down.codec, 1, &down);
	codec_reset(down.codec, 1, &why);
	ck_assert_int_eq(codec_next(down.codec, &in, &item), CODEC_MESSAGE);
	ck_assert_uint_eq(item.id, 3);
	ck_assert_int_eq(codec_next(down.codec, &in, &item), CODEC_MORE);
	h2_end_reply(&down, 3, 200, "", true);
	h2_end_feed(&down, SLICE_NONE);
}
END_TEST

START_TEST(unknown_ids_are_ignored)
{
	struct codec_reset why = {.reason = REASON_CANCELED};

	codec_own(down.codec, 77, &down);
	codec_reset(down.codec, 77, &why);
	codec_credit(down.codec, 77, 100);
	codec_send_data(down.codec, 77, SLICE_LIT("x"), true);
	codec_send_end(down.codec, 77, NULL);
	h2_end_reply(&down, 77, 200, "", true);
	h2_end_fail(&down, 77, RPC_KITEXPB, REASON_INTERNAL);
	ck_assert_uint_eq(codec_pending(down.codec, 77), 0);
	ck_assert_str_eq(h2_end_frames(&down), "");
}
END_TEST

/* ---- upstream ---- */

START_TEST(an_endpoint_may_refuse_a_stream)
{
	uint32_t id = open_call();

	h2_frame_u32(&w, H2_RST_STREAM, id, 7);
	h2_end_hears(&up, &w);
	ck_assert_str_eq(
	    h2_end_log(&up), "reset 1 reset 7 unprocessed: the endpoint refused the stream\n");
	ck_assert_str_eq(h2_end_frames(&up), "");
}
END_TEST

START_TEST(streams_above_a_goaway_were_not_looked_at)
{
	uint32_t first = open_call(), second = open_call(), third = open_call();

	h2_goaway(&w, first, 0);
	h2_end_hears(&up, &w);
	ck_assert(codec_is_ending(up.codec));
	ck_assert_uint_eq(codec_capacity(up.codec), 0);
	{
		const char *log = h2_end_log(&up);

		ck_assert_ptr_nonnull(strstr(log,
		    "reset 3 reset 7 unprocessed: the stream is above the GOAWAY of the endpoint\n"));
		ck_assert_ptr_nonnull(strstr(log, "reset 5 reset 7 unprocessed: "));
		ck_assert_ptr_null(strstr(log, "reset 1 "));
	}
	/* The first goes on to its end. */
	h2_end_message(&up, first, 1, true);
	h2_headers(&w, H2_END_STREAM, first, ":status 200\ngrpc-status 0\n");
	h2_end_hears(&up, &w);
	ck_assert_str_eq(h2_end_log(&up), "reply 1 200 end grpc=0\n");
	(void)second;
	(void)third;
}
END_TEST

START_TEST(a_goaway_in_two_steps_lets_calls_end)
{
	uint32_t id = open_call();

	h2_goaway(&w, INT32_MAX, 0);
	h2_end_hears(&up, &w);
	ck_assert_str_eq(h2_end_log(&up), "");
	ck_assert(codec_is_ending(up.codec));
	h2_frame_u32(&w, H2_RST_STREAM, id, 1000);
	h2_end_hears(&up, &w);
	ck_assert_str_eq(h2_end_log(&up), "reset 1 reset 1000: the endpoint reset the stream\n");
}
END_TEST

START_TEST(a_reset_after_the_whole_reply_is_not_told)
{
	uint32_t id = open_call();

	h2_headers(&w, 0, id, ":status 200\ncontent-type application/grpc\n");
	h2_headers(&w, H2_END_STREAM, id, "grpc-status 0\n");
	h2_frame_u32(&w, H2_RST_STREAM, id, 0);
	h2_end_hears(&up, &w);
	ck_assert_str_eq(h2_end_log(&up), "reply 1 200\ntrailers 1 grpc=0\n");
	codec_send_data(up.codec, id, SLICE_LIT("late"), true);
	ck_assert_str_eq(h2_end_frames(&up), "");
}
END_TEST

START_TEST(settings_of_an_endpoint_are_obeyed_at_once)
{
	struct h2_end fresh;
	uint32_t id;

	h2_end_open(&fresh, CODEC_UPSTREAM, NULL);
	ck_assert_uint_eq(codec_capacity(fresh.codec), 100);
	id = h2_end_begin(&fresh, "/p.S/M", CALL_FIELDS, true);
	ck_assert_uint_eq(codec_capacity(fresh.codec), 99);
	h2_setting(&w, 3, 2);
	h2_end_hears(&fresh, &w);
	ck_assert_uint_eq(codec_capacity(fresh.codec), 1);
	h2_end_begin(&fresh, "/p.S/M", CALL_FIELDS, true);
	ck_assert_uint_eq(codec_capacity(fresh.codec), 0);
	h2_setting(&w, 3, 0);
	h2_end_hears(&fresh, &w);
	ck_assert_uint_eq(codec_capacity(fresh.codec), 0);
	ck_assert(!codec_is_ending(fresh.codec));
	h2_setting(&w, 3, 3);
	h2_end_hears(&fresh, &w);
	ck_assert_uint_eq(codec_capacity(fresh.codec), 1);
	h2_headers(&w, H2_END_STREAM, id, ":status 200\n");
	h2_end_hears(&fresh, &w);
	ck_assert_uint_eq(codec_capacity(fresh.codec), 2);
	h2_end_close(&fresh);
}
END_TEST

START_TEST(a_call_that_was_never_sent_is_reset_in_silence)
{
	struct codec_reset why = {.reason = REASON_CANCELED};
	uint32_t id = codec_begin(up.codec, &up);

	codec_reset(up.codec, id, &why);
	ck_assert_str_eq(h2_end_frames(&up), "");
	ck_assert_uint_eq(h2_end_begin(&up, "/p.S/M", CALL_FIELDS, true), id);
	ck_assert_str_eq(h2_end_frames(&up), "HEADERS 1 end\n");
}
END_TEST

/* ---- at each step ---- */

#define STEPS 7

/* The steps of a call between an endpoint's connection and a listener. */
static void take_step(struct h2_end *from, struct h2_end *to, unsigned step, uint32_t *id)
{
	switch (step) {
	case 0:
		*id = h2_end_begin(from, "/p.S/M", CALL_FIELDS, false);
		break;
	case 1:
		h2_end_message(from, *id, 70000, false); /* more than the window: some waits */
		break;
	case 2:
		h2_end_trailers(from, *id, "x 1\n");
		break;
	case 3:
		h2_end_reply(to, *id, 100, "", false);
		break;
	case 4:
		h2_end_reply(to, *id, 200, REPLY_FIELDS, false);
		break;
	case 5:
		h2_end_message(to, *id, 40000, false);
		break;
	case 6:
		h2_end_trailers(to, *id, "grpc-status 0\n");
		break;
	default:
		break;
	}
}

/* Who gives up: either end by a reset, either end by letting go and a reset behind that, the
 * listener by a failure. */
static void give_up(struct h2_end *from, struct h2_end *to, unsigned how, uint32_t id)
{
	struct codec_reset why = {.reason = REASON_CANCELED};

	switch (how) {
	case 0:
		codec_reset(from->codec, id, &why);
		break;
	case 1:
		codec_reset(to->codec, id, &why);
		break;
	case 2:
		codec_own(from->codec, id, NULL);
		codec_reset(to->codec, id, &why);
		break;
	case 3:
		codec_own(to->codec, id, NULL);
		codec_reset(from->codec, id, &why);
		break;
	default:
		h2_end_fail(to, id, RPC_KITEXPB, REASON_TIMEOUT);
		break;
	}
}

static void settle(struct h2_end *a, struct h2_end *b)
{
	h2_ends_settle(a, b);
}

START_TEST(giving_up_at_any_step_leaves_nothing)
{
	for (unsigned how = 0; how < 5; how++) {
		for (unsigned cut = 0; cut < 2; cut++) {
			struct h2_end from, to;
			uint32_t id = 0;

			h2_end_open(&from, CODEC_UPSTREAM, NULL);
			h2_end_open(&to, CODEC_DOWNSTREAM, NULL);
			codec_pump(from.codec);
			settle(&from, &to);
			for (unsigned step = 0; step <= (unsigned)_i; step++) {
				take_step(&from, &to, step, &id);
				if (cut == 0 || step < (unsigned)_i)
					settle(&from, &to); /* else the last step is on its way */
			}
			give_up(&from, &to, how, id);
			settle(&from, &to);
			codec_own(to.codec, id, NULL); /* who was told lets go */
			codec_own(from.codec, id, NULL);
			if (how == 4 ||
			    ((how == 1 || how == 2) && cut)) /* it could not know of the call */
				give_up(&from, &to, 0, id);
			settle(&from, &to);
			ck_assert_uint_eq(codec_held(from.codec), 0);
			ck_assert_uint_eq(codec_held(to.codec), 0);
			ck_assert_uint_eq(codec_capacity(from.codec), 100);
			ck_assert_uint_eq(from.refused + to.refused, 0);
			/* The connection is as good as new. */
			h2_end_log(&to);
			id = h2_end_begin(&from, "/p.S/M", CALL_FIELDS, true);
			settle(&from, &to);
			h2_end_reply(&to, id, 200, "grpc-status 0\n", true);
			h2_end_log(&from);
			settle(&from, &to);
			ck_assert_ptr_nonnull(strstr(h2_end_log(&from), " 200 end grpc=0\n"));
			h2_end_close(&from);
			h2_end_close(&to);
		}
	}
}
END_TEST

/* ---- draining ---- */

START_TEST(draining_is_told_in_two_steps)
{
	codec_drain(down.codec, CODEC_DRAIN_SOON);
	ck_assert_str_eq(h2_end_frames(&down), "GOAWAY 2147483647 0\n");
	h2_call(&w, H2_END_STREAM, 1, "");
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /pkg.Service/Method end\n");
	codec_drain(down.codec, CODEC_DRAIN_NOW);
	ck_assert_str_eq(h2_end_frames(&down), "GOAWAY 1 0\n");
	h2_call(&w, H2_END_STREAM, 3, ""); /* it could not know yet */
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "");
	h2_end_reply(&down, 1, 200, "grpc-status 0\n", true);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1 end\n");
	h2_end_feed(&down, SLICE_NONE);
	ck_assert_uint_eq(down.refused, 0);
}
END_TEST

START_TEST(frames_behind_the_end_of_a_stream_end_the_connection)
{
	h2_call(&w, H2_END_STREAM, 1, "");
	h2_message(&w, 0, 1, 1);
	h2_end_hears(&down, &w);
	ck_assert_ptr_nonnull(strstr(h2_end_log(&down), "refused malformed: "));
	ck_assert_ptr_nonnull(strstr(h2_end_frames(&down), "GOAWAY 1 5 "));
}
END_TEST

START_TEST(a_stream_that_was_passed_over_cannot_be_opened)
{
	h2_call(&w, H2_END_STREAM, 5, "");
	h2_call(&w, H2_END_STREAM, 3, "");
	h2_end_hears(&down, &w);
	ck_assert_ptr_nonnull(strstr(h2_end_log(&down), "refused malformed: "));
	ck_assert_ptr_nonnull(strstr(h2_end_frames(&down), "GOAWAY 5 1 "));
}
END_TEST

START_TEST(a_connection_error_is_told_last)
{
	h2_call(&w, 0, 1, "");
	h2_frame(&w, H2_DATA, 0, 0, SLICE_LIT("no stream has this number"));
	h2_end_hears(&down, &w);
	{
		const char *log = h2_end_log(&down);

		ck_assert_int_eq(
		    strncmp(log, "call 1 POST /pkg.Service/Method\nrefused malformed: ", 51), 0);
	}
	ck_assert_int_eq(strncmp(h2_end_frames(&down), "GOAWAY 1 1 ", 11), 0);
	/* Nothing works any more, and nothing hurts. */
	h2_end_reply(&down, 1, 200, "", true);
	codec_ping(down.codec);
	codec_drain(down.codec, CODEC_DRAIN_NOW);
	codec_pump(down.codec);
	codec_credit(down.codec, 1, 10);
	h2_call(&w, H2_END_STREAM, 3, "");
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "");
	ck_assert_uint_eq(down.refused, 1);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_reply_may_end_before_its_call, 1},
	    {a_reply_after_its_call_ends_with_nothing_more, 1},
	    {a_caller_that_cancels_is_told_to_the_owner, 1},
	    {a_caller_may_cancel_after_the_end_of_its_call, 1},
	    {a_cancel_without_an_owner_is_told_to_nobody, 1},
	    {what_nobody_wants_is_read_and_thrown_away, 1},
	    {a_reset_is_told_by_its_reason, 1},
	    {a_code_that_is_passed_on_stays_what_it_is, 1},
	    {events_that_wait_are_dropped_by_a_reset, 1},
	    {unknown_ids_are_ignored, 1},
	    {an_endpoint_may_refuse_a_stream, 1},
	    {streams_above_a_goaway_were_not_looked_at, 1},
	    {a_goaway_in_two_steps_lets_calls_end, 1},
	    {a_reset_after_the_whole_reply_is_not_told, 1},
	    {settings_of_an_endpoint_are_obeyed_at_once, 1},
	    {a_call_that_was_never_sent_is_reset_in_silence, 1},
	    {giving_up_at_any_step_leaves_nothing, STEPS},
	    {draining_is_told_in_two_steps, 1},
	    {frames_behind_the_end_of_a_stream_end_the_connection, 1},
	    {a_stream_that_was_passed_over_cannot_be_opened, 1},
	    {a_connection_error_is_told_last, 1},
	};

	return suite_run_between(
	    "codec_h2_ends", tests, ARRAY_LEN(tests), h2_pair_begin, h2_pair_end);
}
