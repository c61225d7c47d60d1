/*
 * The codec of TTHeader Streaming: every way a stream can end, by either side and by us.
 */
#include <stdio.h>

#include "base/mem.h"
#include "support/frames.h"
#include "support/suite.h"
#include "support/tts_pair.h"

/* ---- endings of the caller's side ---- */

START_TEST(a_failure_before_the_header_is_a_header_and_a_trailer)
{
	struct ttstream_frame f[2];

	tts_open_down(0xfffffffe);
	tts_fail_down(0xfffffffe, REASON_NO_ENDPOINT);
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_HEADER, TTSTREAM_TRAILER);
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_eq(f[i].stream, 0xfffffffe);
		ck_assert(slice_eq_str(f[i].method, "M"));
	}
	ck_assert_uint_eq(f[0].payload.len, 0);
	tts_must_be_exception(&f[1], reason_ttstream_id(REASON_NO_ENDPOINT),
	    "bridled: no_endpoint: service discovery error: no instance available: detail");
}
END_TEST

START_TEST(a_failure_after_the_header_is_a_trailer)
{
	struct ttstream_frame f[2];

	tts_open_down(4);
	tts_answer_down(4);
	tts_fail_down(4, REASON_RESET);
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_HEADER, TTSTREAM_TRAILER);
	tts_must_be_exception(&f[1], reason_ttstream_id(REASON_RESET), "bridled: reset: ");
}
END_TEST

START_TEST(after_its_failure_a_stream_is_silent)
{
	size_t heard;

	tts_open_down(4);
	tts_fail_down(4, REASON_TIMEOUT);
	heard = tts_down.n;
	tts_end_forget(&tts_down);
	tts_feed_of(&tts_down, '3', 4);
	tts_feed_of(&tts_down, '4', 4);
	tts_feed_of(&tts_down, '5', 4);
	tts_fail_down(4, REASON_TIMEOUT);
	codec_send_end(tts_down.codec, 4, NULL);
	codec_reset(tts_down.codec, 4, &(struct codec_reset){.reason = REASON_TIMEOUT});
	codec_own(tts_down.codec, 4, NULL);
	ck_assert_uint_eq(tts_down.n, heard);
	ck_assert_uint_eq(tts_down.out.len, 0);
}
END_TEST

START_TEST(a_reply_that_is_over_cannot_fail)
{
	struct ttstream_frame f[2];

	tts_open_down(4);
	tts_answer_down(4);
	codec_send_end(tts_down.codec, 4, NULL);
	tts_fail_down(4, REASON_TIMEOUT);
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_HEADER, TTSTREAM_TRAILER);
	ck_assert_uint_eq(f[1].payload.len, 0);
}
END_TEST

START_TEST(a_reply_without_a_header_gets_one_before_anything_else)
{
	struct slice data = tts_frame_of('3', 9, SLICE_NONE);
	struct ttstream_frame f[5];

	tts_open_down(4);
	tts_open_down(5);
	codec_send_data(tts_down.codec, 4, data, true);
	codec_send_end(tts_down.codec, 5, NULL);
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_HEADER, TTSTREAM_DATA, TTSTREAM_TRAILER,
	    TTSTREAM_HEADER, TTSTREAM_TRAILER);
	frame_free(&data);
}
END_TEST

START_TEST(a_callers_reset_is_told_and_ends_its_stream)
{
	struct slice rst = tts_golden_stream("34_tts_client_rst", 4);
	const struct tts_heard *h;

	tts_open_down(4);
	tts_end_feed(&tts_down, rst);
	h = tts_last(&tts_down, CODEC_RESET);
	ck_assert_ptr_eq(h->owner, tts_owner(4));
	ck_assert_int_eq(h->reset.reason, REASON_CANCELED);
	ck_assert_uint_eq(h->reset.code, 12007);
	ck_assert(h->reset.is_passed_on && !h->reset.is_unprocessed);
	ck_assert(slice_eq(h->reset.frame, rst));
	ck_assert_msg(strncmp(h->reset.detail, "12007: user code", 16) == 0, "%s", h->reset.detail);
	tts_feed_of(&tts_down, '4', 4); /* as Kitex does */
	ck_assert_ptr_eq(tts_end_last(&tts_down), h);
	ck_assert_uint_eq(tts_down.out.len, 0);
	tts_open_down(4); /* the number is free again */
	frame_free(&rst);
}
END_TEST

START_TEST(a_reset_after_the_callers_trailer_is_told)
{
	tts_open_down(4);
	tts_feed_of(&tts_down, '4', 4);
	tts_feed_of(&tts_down, '5', 4);
	tts_last(&tts_down, CODEC_RESET);
}
END_TEST

START_TEST(a_reset_without_an_exception_counts_as_13)
{
	tts_open_down(4);
	tts_feed_of(&tts_down, '5', 4);
	ck_assert_uint_eq(tts_last(&tts_down, CODEC_RESET)->reset.code, 13);
	tts_open_down(5);
	tts_feed(&tts_down, tts_frame_of('5', 5, SLICE_LIT("junk")));
	ck_assert_uint_eq(tts_last(&tts_down, CODEC_RESET)->reset.code, 13);
}
END_TEST

START_TEST(a_reset_of_our_own_has_a_code_and_our_name)
{
	static const enum reason reasons[] = {
	    REASON_CANCELED, REASON_TIMEOUT, REASON_RESET, REASON_OK};
	static const int32_t codes[] = {12007, 12015, 12006, 12007};
	struct ttstream_frame f[1];

	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		struct codec_reset why = {.reason = reasons[i], .detail = "because"};

		tts_open_down(4);
		codec_reset(tts_down.codec, 4, &why);
		MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_RST);
		ck_assert_uint_eq(f[0].stream, 4);
		ck_assert(slice_eq_str(f[0].method, "M"));
		tts_must_be_exception(&f[0], codes[i], ": because");
		ck_assert(tts_has_path(&f[0], "me"));
		tts_end_forget(&tts_down);
	}
}
END_TEST

START_TEST(who_has_no_name_puts_none_into_a_path)
{
	struct slice rst = tts_golden_stream("34_tts_client_rst", 77);
	struct codec_reset why = {.reason = REASON_TIMEOUT};
	struct ttstream_frame f[1];

	tts_end_close(&tts_down);
	tts_limits.node = SLICE_NONE;
	tts_end_open(&tts_down, CODEC_DOWNSTREAM, &tts_limits);
	tts_open_down(4);
	codec_reset(tts_down.codec, 4, &why);
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_RST);
	ck_assert(tts_has_path(&f[0], NULL));
	tts_end_forget(&tts_down);
	tts_open_down(77);
	why = (struct codec_reset){.is_passed_on = true, .frame = rst};
	codec_reset(tts_down.codec, 77, &why);
	ck_assert(slice_eq(written_slice(&tts_down.out), rst));
	frame_free(&rst);
}
END_TEST

START_TEST(a_second_header_ends_its_stream_alone)
{
	struct ttstream_frame f[1];
	const struct tts_heard *h;

	tts_open_down(4);
	tts_open_down(5);
	tts_feed_of(&tts_down, '2', 4);
	h = tts_last(&tts_down, CODEC_RESET);
	ck_assert_int_eq(h->reset.reason, REASON_MALFORMED);
	ck_assert(!h->reset.is_passed_on);
	ck_assert_ptr_eq(h->owner, tts_owner(4));
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_RST);
	tts_must_be_exception(&f[0], 12004, "a second header frame");
	tts_feed_of(&tts_down, '3', 5);
	ck_assert_uint_eq(tts_last(&tts_down, CODEC_DATA)->id, 5);
}
END_TEST

/* ---- endings of the endpoint's side ---- */

START_TEST(a_reset_is_passed_on_with_our_name_behind_its_path)
{
	struct slice rst = tts_golden_stream("34_tts_client_rst", 77);
	struct codec_reset why = {
	    .reason = REASON_CANCELED, .is_passed_on = true, .code = 12007, .frame = rst};
	struct ttstream_frame f[2], original;
	struct wire_note note;
	uint32_t id = tts_open_up();

	codec_reset(tts_up.codec, id, &why);
	MUST_HAVE_WRITTEN(
	    &tts_up, f, TTSTREAM_RST, TTSTREAM_TRAILER); /* it had not ended its side */
	ck_assert_int_eq(ttstream_read(rst, SIZE_MAX, SIZE_MAX, &original, &note), WIRE_OK);
	ck_assert_uint_eq(f[0].stream, id);
	ck_assert_uint_eq(f[1].stream, id);
	ck_assert(slice_eq(f[0].payload, original.payload));
	ck_assert(tts_has_path(&f[0], "demo.caller,me"));
	ck_assert_uint_eq(f[1].payload.len, 0);
	ck_assert_uint_eq(codec_capacity(tts_up.codec), 10000);
	frame_free(&rst);
}
END_TEST

START_TEST(no_trailer_follows_the_reset_of_a_call_that_had_ended)
{
	struct ttstream_frame f[2];
	uint32_t id = tts_open_up();

	codec_send_end(tts_up.codec, id, NULL);
	codec_reset(tts_up.codec, id, &(struct codec_reset){.reason = REASON_TIMEOUT});
	MUST_HAVE_WRITTEN(&tts_up, f, TTSTREAM_TRAILER, TTSTREAM_RST);
	tts_must_be_exception(&f[1], 12015, "bridled: timeout: rpc timeout");
	ck_assert(tts_has_path(&f[1], "me"));
}
END_TEST

START_TEST(the_path_of_a_reset_without_one_begins_here)
{
	struct slice rst = tts_frame_of('5', 1, SLICE_LIT("junk"));
	struct codec_reset why = {.is_passed_on = true, .frame = rst};
	struct ttstream_frame f[1];
	uint32_t id = tts_open_up();

	codec_send_end(tts_up.codec, id, NULL);
	tts_end_forget(&tts_up);
	codec_reset(tts_up.codec, id, &why);
	MUST_HAVE_WRITTEN(&tts_up, f, TTSTREAM_RST);
	ck_assert(tts_has_path(&f[0], "me"));
	ck_assert(slice_eq(f[0].payload, SLICE_LIT("junk")));
	frame_free(&rst);
}
END_TEST

START_TEST(a_reset_that_has_lost_its_frame_keeps_its_code)
{
	struct codec_reset why = {.reason = REASON_CANCELED, .is_passed_on = true, .code = 12009};
	struct ttstream_frame f[1];

	tts_open_down(4);
	codec_reset(tts_down.codec, 4, &why);
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_RST);
	tts_must_be_exception(&f[0], 12009, "bridled: canceled");
}
END_TEST

START_TEST(a_call_that_was_never_written_is_given_up_in_silence)
{
	uint32_t id = codec_begin(tts_up.codec, tts_owner(1));

	codec_reset(tts_up.codec, id, &(struct codec_reset){.reason = REASON_CANCELED});
	ck_assert_uint_eq(tts_up.out.len, 0);
	ck_assert_uint_eq(codec_capacity(tts_up.codec), 10000);
}
END_TEST

START_TEST(an_endpoints_trailer_ends_its_stream_both_ways)
{
	uint32_t id = tts_open_up();
	size_t heard;

	tts_feed_of(&tts_up, '2', id);
	tts_feed_of(&tts_up, '3', id);
	tts_feed_of(&tts_up, '4', id);
	tts_last(&tts_up, CODEC_END);
	ck_assert_uint_eq(codec_capacity(tts_up.codec), 10000);
	heard = tts_up.n;
	tts_feed_of(&tts_up, '3', id);
	tts_feed_of(&tts_up, '4', id);
	tts_feed_of(&tts_up, '5', id);
	codec_send_end(tts_up.codec, id, NULL);
	ck_assert_uint_eq(tts_up.n, heard);
	ck_assert_uint_eq(tts_up.out.len, 0);
}
END_TEST

START_TEST(an_endpoints_reset_is_told)
{
	uint32_t id = tts_open_up();
	struct slice rst = tts_golden_stream("35_tts_proxy_rst", id);
	const struct tts_heard *h;

	tts_end_feed(&tts_up, rst);
	h = tts_last(&tts_up, CODEC_RESET);
	ck_assert_int_eq(h->reset.reason, REASON_RESET);
	ck_assert_uint_eq(h->reset.code, 12006);
	ck_assert_str_eq(h->reset.detail, "12006: connection refused");
	ck_assert(h->reset.is_passed_on && slice_eq(h->reset.frame, rst));
	ck_assert_uint_eq(codec_capacity(tts_up.codec), 10000);
	frame_free(&rst);
}
END_TEST

START_TEST(a_second_header_of_a_reply_is_a_bad_reply)
{
	struct ttstream_frame f[2];
	uint32_t id = tts_open_up(), other = tts_open_up();

	tts_feed_of(&tts_up, '2', id);
	tts_feed_of(&tts_up, '2', id);
	ck_assert_int_eq(tts_last(&tts_up, CODEC_RESET)->reset.reason, REASON_BAD_REPLY);
	MUST_HAVE_WRITTEN(&tts_up, f, TTSTREAM_RST, TTSTREAM_TRAILER);
	tts_must_be_exception(&f[0], 12004, "a second header frame");
	tts_feed_of(&tts_up, '2', other);
	ck_assert_uint_eq(tts_last(&tts_up, CODEC_MESSAGE)->id, other);
}
END_TEST

START_TEST(a_reply_that_begins_without_its_header_gets_an_empty_one)
{
	static const char types[] = {'3', '4'};
	static const enum codec_event events[] = {CODEC_DATA, CODEC_END};

	for (size_t step = 0; step < 3; step++) {
		for (size_t i = 0; i < 2; i++) {
			uint32_t id = tts_open_up();
			struct slice frame = tts_frame_of(types[i], id, SLICE_LIT("x"));
			const struct tts_heard *h;

			tts_end_feed_in(&tts_up, frame, step);
			h = &tts_up.list[tts_up.n - 2];
			ck_assert_int_eq(h->event, CODEC_MESSAGE);
			ck_assert_int_eq(h->message.kind, RPC_REPLY);
			ck_assert(slice_eq_str(h->message.method, "M"));
			ck_assert_int_eq(tts_last(&tts_up, events[i])->id, id);
			ck_assert(slice_eq(tts_last(&tts_up, events[i])->bytes, frame));
			frame_free(&frame);
		}
	}
}
END_TEST

START_TEST(meta_frames_before_the_header_of_a_reply_come_after_it)
{
	uint32_t id = tts_open_up();

	tts_feed(&tts_up, tts_frame_of('1', id, SLICE_LIT("one")));
	tts_feed(&tts_up, tts_frame_of('8', id, SLICE_LIT("two")));
	ck_assert_uint_eq(tts_up.n, 0);
	ck_assert_uint_gt(codec_held(tts_up.codec), 0);
	tts_feed_of(&tts_up, '2', id);
	ck_assert_uint_eq(tts_up.n, 3);
	ck_assert_int_eq(tts_up.list[0].event, CODEC_MESSAGE);
	for (size_t i = 1; i < 3; i++) {
		ck_assert_int_eq(tts_up.list[i].event, CODEC_DATA);
		ck_assert_uint_eq(tts_up.list[i].n_messages, 0);
	}
	ck_assert_mem_eq(tts_up.list[1].bytes.data + tts_up.list[1].bytes.len - 3, "one", 3);
	ck_assert_mem_eq(tts_up.list[2].bytes.data + tts_up.list[2].bytes.len - 3, "two", 3);
	ck_assert_uint_eq(codec_held(tts_up.codec), 0);
}
END_TEST

START_TEST(too_much_before_the_header_of_a_reply_is_a_bad_reply)
{
	uint32_t id = tts_open_up();
	struct slice one = tts_frame_of('1', id, SLICE_NONE);

	for (size_t i = 0; i < 16 * 1024 / one.len; i++)
		tts_end_feed(&tts_up, one);
	ck_assert_uint_eq(tts_up.n, 0);
	tts_end_feed(&tts_up, one);
	frame_free(&one);
	ck_assert_int_eq(tts_last(&tts_up, CODEC_RESET)->reset.reason, REASON_BAD_REPLY);
	ck_assert_uint_eq(codec_held(tts_up.codec), 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_failure_before_the_header_is_a_header_and_a_trailer, 1},
	    {a_failure_after_the_header_is_a_trailer, 1},
	    {after_its_failure_a_stream_is_silent, 1},
	    {a_reply_that_is_over_cannot_fail, 1},
	    {a_reply_without_a_header_gets_one_before_anything_else, 1},
	    {a_callers_reset_is_told_and_ends_its_stream, 1},
	    {a_reset_after_the_callers_trailer_is_told, 1},
	    {a_reset_without_an_exception_counts_as_13, 1},
	    {a_reset_of_our_own_has_a_code_and_our_name, 1},
	    {who_has_no_name_puts_none_into_a_path, 1},
	    {a_second_header_ends_its_stream_alone, 1},
	    {a_reset_is_passed_on_with_our_name_behind_its_path, 1},
	    {no_trailer_follows_the_reset_of_a_call_that_had_ended, 1},
	    {the_path_of_a_reset_without_one_begins_here, 1},
	    {a_reset_that_has_lost_its_frame_keeps_its_code, 1},
	    {a_call_that_was_never_written_is_given_up_in_silence, 1},
	    {an_endpoints_trailer_ends_its_stream_both_ways, 1},
	    {an_endpoints_reset_is_told, 1},
	    {a_second_header_of_a_reply_is_a_bad_reply, 1},
	    {a_reply_that_begins_without_its_header_gets_an_empty_one, 1},
	    {meta_frames_before_the_header_of_a_reply_come_after_it, 1},
	    {too_much_before_the_header_of_a_reply_is_a_bad_reply, 1},
	};

	return suite_run_between(
	    "codec_ttstream_ends", tests, ARRAY_LEN(tests), tts_begin, tts_done);
}
