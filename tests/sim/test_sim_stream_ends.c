/* How streams end: each side finishing, giving up, or going away, at every point of a call. */
#include "support/bytes.h"
#include "support/sim.h"
#include "support/stream_end.h"

/* What a caller gives up with. */
static const uint32_t canceled[FAMILIES] = {H2_CANCEL, 12007};
/* What an endpoint gives up with. */
static const uint32_t broken[FAMILIES] = {2, 12011};

/* ---- the endpoint finishes first ---- */

START_TEST(an_endpoint_may_finish_before_its_caller)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	served = hear_call(accepted_streams(_i), .message = "1");
	answer(served, .message = "enough");
	hear_answer(call, .message = "enough");
	hear_done(call);
	hear_done(served);
	logged("reason=ok in=1 out=1");
	speak(call, .message = "too late", .ends = true);
	hear_silence(served);
	hear_silence(call);
	call = begin(caller, .ends = true);
	hear_silence(call);
	ck_assert_uint_eq(in_flight(), 1);
	give_up(call, canceled[_i]);
}
END_TEST

START_TEST(an_endpoint_may_refuse_before_its_caller_has_finished)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	served = hear_call(accepted_streams(_i), .message = "1");
	refuse(served, .status = 7, .text = "no");
	hear_answer(call, .status = 7, .text = "no");
	hear_done(call);
	hear_done(served);
	hear_silence(served);
	logged("reason=app_exception status=7");
}
END_TEST

START_TEST(an_endpoint_that_resets_behind_its_trailers_has_answered)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	app = accepted_streams(_i);
	served = hear_call(app, .message = "1");
	gather(app);
	answer(served, .message = "enough");
	give_up(served, _i == GRPC ? H2_NO_ERROR : broken[_i]);
	let_go(app);
	hear_answer(call, .message = "enough");
	hear_done(call);
	hear_silence(call);
	logged("reason=ok");
}
END_TEST

START_TEST(a_reply_may_end_long_after_the_call)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "1", .ends = true);
	served = hear_call(accepted_streams(_i), .message = "1", .ends = true);
	head(served, .message = "a");
	hear_head(call, .message = "a");
	let_pass(50 * 60 * 1000);
	speak(served, .message = "b");
	hear_message(call, .message = "b");
	let_pass(50 * 60 * 1000);
	finish(served);
	hear_last(call);
	logged("reason=ok out=2");
}
END_TEST

/* ---- the caller gives up ---- */

START_TEST(a_call_given_up_before_the_connect_is_never_written)
{
	struct stream_end *caller, *app;
	struct stream *call, *other;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial_streams(_i);
	call = begin(caller, .message = "x");
	other = begin(caller, .message = "y", .ends = true);
	app = accepted_streams(_i);
	give_up(call, canceled[_i]);
	logged("reason=canceled attempts=1");
	fake_connected(net_of(app));
	answer(hear_call(app, .message = "y", .ends = true), .message = "Y");
	hear_answer(other, .message = "Y");
	hear_silence(call);
	hear_no_call(app);
}
END_TEST

START_TEST(a_call_given_up_before_the_head_is_given_up_at_the_endpoint)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;
	const char *keys;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x");
	app = accepted_streams(_i);
	served = hear_call(app, .message = "x");
	give_up(call, canceled[_i]);
	keys = hear_reset(served, canceled[_i]);
	ck_assert(_i == GRPC || strstr(keys, "ttscp=tester,sidecar "));
	logged("reason=canceled attempts=1 in=1 out=0");
	answer(served, .message = "too late");
	hear_silence(call);
	hear_silence(served);
	ck_assert(is_open(net_of(app)) && is_open(net_of(caller)));
	ck_assert_uint_eq(attempts(ATTEMPT_CANCELED), 1);
}
END_TEST

START_TEST(a_call_given_up_behind_its_end_is_given_up_at_the_endpoint)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	served = hear_call(accepted_streams(_i), .message = "x", .ends = true);
	give_up(call, canceled[_i]);
	hear_reset(served, canceled[_i]);
	hear_silence(served);
	logged("reason=canceled attempts=1");
}
END_TEST

START_TEST(a_call_given_up_within_the_reply_is_given_up_at_the_endpoint)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x");
	served = hear_call(accepted_streams(_i), .message = "x");
	head(served, .message = "a");
	hear_head(call, .message = "a");
	give_up(call, canceled[_i]);
	hear_reset(served, canceled[_i]);
	logged("reason=canceled in=1 out=1");
	speak(served, .message = "b");
	hear_silence(call);
}
END_TEST

START_TEST(a_call_given_up_within_a_message_is_given_up_at_the_endpoint)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller);
	served = hear_call(accepted_streams(GRPC));
	speak_bytes(call, BYTES(0, 0, 0, 0, 9, 'x', 'y'));
	ck_assert_uint_eq(heard_bytes(served), 7);
	give_up(call, H2_CANCEL);
	hear_reset(served, H2_CANCEL);
	logged("reason=canceled in=0");
}
END_TEST

START_TEST(a_call_that_is_answered_cannot_be_given_up)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	app = accepted_streams(_i);
	served = hear_call(app, .message = "x", .ends = true);
	gather(caller);
	answer(served, .message = "y");
	give_up(call, canceled[_i]);
	let_go(caller);
	hear_silence(served);
	logged("reason=ok");
	logged_nothing();
	ck_assert(is_open(net_of(caller)) && is_open(net_of(app)));
}
END_TEST

START_TEST(a_call_with_its_body_queued_is_given_up_without_it)
{
	struct stream_end *caller;
	struct stream *call, *served;
	size_t heard;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller);
	served = hear_call(accepted_streams(GRPC));
	hold(served);
	speak(call, .fill = 1000000);
	ck_assert_uint_gt(unsaid_bytes(call), 0);
	heard = heard_bytes(served);
	give_up(call, H2_CANCEL);
	hear_reset(served, H2_CANCEL);
	ck_assert_uint_eq(heard_bytes(served), heard);
	logged("reason=canceled");
}
END_TEST

START_TEST(a_lost_caller_gives_all_its_streams_up)
{
	struct stream_end *caller, *app, *other;
	struct stream *served[30], *kept;

	start();
	caller = dial_streams(_i);
	other = dial_streams(_i);
	for (int i = 0; i < 30; i++)
		begin(caller, .message = "x", .ends = i % 2);
	kept = begin(other, .message = "y", .ends = true);
	app = accepted_streams(_i);
	for (int i = 0; i < 30; i++) {
		served[i] = hear_call(app, .message = "x", .ends = i % 2);
		if (i % 3 == 0)
			head(served[i], .message = "begun");
	}
	reset(net_of(caller));
	for (int i = 0; i < 30; i++) {
		hear_given_up(served[i], REASON_CANCELED);
		logged("reason=canceled attempts=1");
	}
	answer(hear_call(app, .message = "y", .ends = true), .message = "Y");
	hear_answer(kept, .message = "Y");
	logged("reason=ok");
	ck_assert_uint_eq(in_flight(), 0);
}
END_TEST

START_TEST(a_caller_that_closes_its_side_is_still_answered)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	served = hear_call(accepted_streams(_i), .message = "x", .ends = true);
	half_close(net_of(caller));
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	logged("reason=ok");
	ck_assert(!is_open(net_of(caller)));
}
END_TEST

START_TEST(a_caller_that_closes_its_side_within_a_stream_has_given_it_up)
{
	struct stream_end *caller;
	struct stream *served;

	start();
	caller = dial_streams(_i);
	begin(caller, .message = "x");
	served = hear_call(accepted_streams(_i), .message = "x");
	half_close(net_of(caller));
	let_pass(1);
	hear_given_up(served, REASON_CANCELED);
	logged("reason=canceled");
	ck_assert(!is_open(net_of(caller)));
}
END_TEST

/* ---- the endpoint gives up ---- */

START_TEST(an_endpoint_that_gives_up_before_its_head_is_heard_in_its_own_words)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;
	const char *keys;

	start(.endpoints = 2);
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	app = accepted_streams(_i);
	served = hear_call(app, .message = "x", .ends = true);
	give_up(served, broken[_i]);
	keys = hear_reset(call, broken[_i]);
	ck_assert(_i == GRPC || strstr(keys, "ttscp=tester,sidecar "));
	hear_silence(call);
	hear_silence(served);
	logged("reason=reset attempts=1");
	no_connect();
	ck_assert_uint_eq(attempts(ATTEMPT_RESET), 1);
	ck_assert(is_open(net_of(app)) && is_open(net_of(caller)));
}
END_TEST

START_TEST(an_endpoint_that_shuts_down_resets_with_a_code_of_its_own)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x");
	served = hear_call(accepted_streams(GRPC), .message = "x");
	head(served);
	hear_head(call);
	give_up(served, 1000);
	hear_reset(call, 1000);
	hear_silence(call);
	logged("reason=reset");
}
END_TEST

START_TEST(an_endpoint_that_gives_up_within_its_reply_ends_it)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x");
	app = accepted_streams(_i);
	served = hear_call(app, .message = "x");
	head(served, .message = "a");
	hear_head(call, .message = "a");
	give_up(served, broken[_i]);
	hear_reset(call, broken[_i]);
	hear_silence(call);
	hear_silence(served);
	logged("reason=reset in=1 out=1");
	ck_assert(is_open(net_of(app)) && is_open(net_of(caller)));
}
END_TEST

START_TEST(an_endpoint_that_gives_up_within_a_message_ends_the_reply)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .ends = true);
	served = hear_call(accepted_streams(GRPC), .ends = true);
	head(served);
	hear_head(call);
	speak_bytes(served, BYTES(0, 0, 0, 0, 9, 'x'));
	give_up(served, broken[GRPC]);
	hear_reset(call, broken[GRPC]);
	logged("reason=reset out=0");
}
END_TEST

START_TEST(a_lost_endpoint_tells_each_caller_once)
{
	struct stream_end *callers[4], *app;
	struct stream *calls[4], *served[4];

	start();
	for (int i = 0; i < 4; i++) {
		callers[i] = dial_streams(_i);
		calls[i] = begin(callers[i], .message = "x", .ends = i % 2);
	}
	app = accepted_streams(_i);
	for (int i = 0; i < 4; i++)
		served[i] = hear_call(app, .message = "x", .ends = i % 2);
	head(served[2], .message = "a");
	head(served[3], .message = "a");
	hear_head(calls[2], .message = "a");
	hear_head(calls[3], .message = "a");
	reset(net_of(app));
	for (int i = 0; i < 4; i++) {
		hear_refusal(calls[i], REASON_RESET);
		if (i % 2 == 0)
			hear_done(calls[i]);
		hear_silence(calls[i]);
		logged("reason=reset attempts=1");
		ck_assert(is_open(net_of(callers[i])));
	}
	no_connect();
	ck_assert_uint_eq(attempts(ATTEMPT_RESET), 4);
	ck_assert_uint_eq(in_flight(), 0);
}
END_TEST

START_TEST(an_endpoint_that_closes_its_side_has_given_all_up)
{
	struct stream_end *caller, *app;
	struct stream *call;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	app = accepted_streams(_i);
	hear_call(app, .message = "x", .ends = true);
	half_close(net_of(app));
	hear_refusal(call, REASON_RESET);
	logged("reason=reset attempts=1");
	let_pass(1000);
	ck_assert(!is_open(net_of(app)));
}
END_TEST

/* ---- replies that are none ---- */

START_TEST(a_reply_without_trailers_is_never_a_good_one)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .ends = true);
	served = hear_call(accepted_streams(GRPC), .ends = true);
	head(served, .message = "a");
	hear_head(call, .message = "a");
	finish_bare(served);
	hear_refusal(call, REASON_BAD_REPLY);
	logged("reason=bad_reply out=1");
}
END_TEST

START_TEST(a_head_that_is_all_and_has_no_status_is_no_success)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .ends = true);
	app = accepted_streams(GRPC);
	served = hear_call(app, .ends = true);
	gather(app);
	head(served);
	finish_bare(served);
	let_go(app);
	hear_head(call);
	hear_refusal(call, REASON_BAD_REPLY);
	logged("reason=bad_reply");
}
END_TEST

START_TEST(a_message_longer_than_allowed_ends_the_call_alone)
{
	struct stream_end *caller;
	struct stream *call, *other, *served;

	start(.listener = "max_message: 1000B");
	caller = dial_streams(GRPC);
	call = begin(caller, .fill = 1001);
	hear_refusal(call, REASON_TOO_LARGE);
	hear_done(call);
	logged("reason=too_large");
	accepted(); /* it was given up before it was there */
	other = begin(caller, .fill = 1000, .ends = true);
	served = hear_call(accepted_streams(GRPC), .fill = 1000, .ends = true);
	answer(served, .message = "fits");
	hear_answer(other, .message = "fits");
}
END_TEST

START_TEST(a_message_longer_than_allowed_within_a_stream_ends_it_at_both_ends)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start(.listener = "max_message: 1000B");
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x");
	app = accepted_streams(GRPC);
	served = hear_call(app, .message = "x");
	head(served, .message = "y");
	hear_head(call, .message = "y");
	speak(call, .fill = 1001);
	hear_refusal(call, REASON_TOO_LARGE);
	hear_reset(served, H2_CANCEL);
	logged("reason=too_large");
	ck_assert(is_open(net_of(app)) && is_open(net_of(caller)));
}
END_TEST

/* A frame that belongs to no stream although it should; a frame of something else. */
static void say_junk(struct stream_end *end, enum stream_family family)
{
	static const uint8_t data_of_none[] = {0, 0, 1, 0, 0, 0, 0, 0, 0, 'x'};
	static const uint8_t no_frame[] = {0, 0, 0, 20, 0x80, 1, 0, 2, 0, 0, 0, 1, 0, 1, 0, 0};

	if (family == GRPC)
		say_bytes(net_of(end), slice_of(data_of_none, sizeof data_of_none));
	else
		say_bytes(net_of(end), slice_of(no_frame, sizeof no_frame));
}

START_TEST(a_caller_that_cannot_be_read_on_has_lost_its_streams)
{
	struct stream_end *caller, *app;
	struct stream *served[2];

	start();
	caller = dial_streams(_i);
	begin(caller, .message = "x");
	begin(caller, .message = "y", .ends = true);
	app = accepted_streams(_i);
	served[0] = hear_call(app, .message = "x");
	served[1] = hear_call(app, .message = "y", .ends = true);
	say_junk(caller, _i);
	hear_given_up(served[0], REASON_CANCELED);
	hear_given_up(served[1], REASON_CANCELED);
	let_pass(1000);
	ck_assert(!is_open(net_of(caller)) && is_open(net_of(app)));
	ck_assert_uint_eq(goaways(caller), _i == GRPC);
	logged("reason=malformed");
	logged("reason=canceled");
	logged("reason=canceled");
}
END_TEST

START_TEST(an_endpoint_that_cannot_be_read_on_has_lost_its_streams)
{
	struct stream_end *caller, *app;
	struct stream *a, *b, *served;

	start();
	caller = dial_streams(_i);
	a = begin(caller, .message = "x");
	b = begin(caller, .message = "y", .ends = true);
	app = accepted_streams(_i);
	served = hear_call(app, .message = "x");
	head(served, .message = "z");
	hear_head(a, .message = "z");
	say_junk(app, _i);
	hear_refusal(a, REASON_RESET);
	hear_refusal(b, REASON_RESET);
	let_pass(1000);
	ck_assert(is_open(net_of(caller)) && !is_open(net_of(app)));
	logged("reason=reset attempts=1");
	logged("reason=reset attempts=1");
}
END_TEST

START_TEST(a_body_cut_off_within_a_message_is_malformed)
{
	struct stream_end *caller;
	struct stream *call;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller);
	speak_bytes(call, BYTES(0, 0, 0, 0, 9, 'x'));
	speak(call, .ends = true);
	hear_refusal(call, REASON_MALFORMED);
	logged("reason=malformed");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {an_endpoint_may_finish_before_its_caller, FAMILIES},
	    {an_endpoint_may_refuse_before_its_caller_has_finished, FAMILIES},
	    {an_endpoint_that_resets_behind_its_trailers_has_answered, FAMILIES},
	    {a_reply_may_end_long_after_the_call, FAMILIES},
	    {a_call_given_up_before_the_connect_is_never_written, FAMILIES},
	    {a_call_given_up_before_the_head_is_given_up_at_the_endpoint, FAMILIES},
	    {a_call_given_up_behind_its_end_is_given_up_at_the_endpoint, FAMILIES},
	    {a_call_given_up_within_the_reply_is_given_up_at_the_endpoint, FAMILIES},
	    {a_call_given_up_within_a_message_is_given_up_at_the_endpoint, 1},
	    {a_call_that_is_answered_cannot_be_given_up, FAMILIES},
	    {a_call_with_its_body_queued_is_given_up_without_it, 1},
	    {a_lost_caller_gives_all_its_streams_up, FAMILIES},
	    {a_caller_that_closes_its_side_is_still_answered, FAMILIES},
	    {a_caller_that_closes_its_side_within_a_stream_has_given_it_up, FAMILIES},
	    {an_endpoint_that_gives_up_before_its_head_is_heard_in_its_own_words, FAMILIES},
	    {an_endpoint_that_shuts_down_resets_with_a_code_of_its_own, 1},
	    {an_endpoint_that_gives_up_within_its_reply_ends_it, FAMILIES},
	    {an_endpoint_that_gives_up_within_a_message_ends_the_reply, 1},
	    {a_lost_endpoint_tells_each_caller_once, FAMILIES},
	    {an_endpoint_that_closes_its_side_has_given_all_up, FAMILIES},
	    {a_reply_without_trailers_is_never_a_good_one, 1},
	    {a_head_that_is_all_and_has_no_status_is_no_success, 1},
	    {a_message_longer_than_allowed_ends_the_call_alone, 1},
	    {a_message_longer_than_allowed_within_a_stream_ends_it_at_both_ends, 1},
	    {a_caller_that_cannot_be_read_on_has_lost_its_streams, FAMILIES},
	    {an_endpoint_that_cannot_be_read_on_has_lost_its_streams, FAMILIES},
	    {a_body_cut_off_within_a_message_is_malformed, 1},
	};

	return stream_main("sim_stream_ends", tests, ARRAY_LEN(tests));
}
