/* Times of streams: what a caller states bounds the whole, the rest runs from the end of its
 * side. */
#include "support/sim.h"
#include "support/stream_end.h"

/* ---- what the caller states ---- */

START_TEST(a_stated_time_is_passed_on_and_ends_the_call)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .keys = "grpc-timeout=100m");
	served = hear_call(accepted_streams(GRPC), .message = "x", .keys = "grpc-timeout=100000u");
	let_pass(104); /* the caller's own timer is to fire first */
	hear_silence(call);
	let_pass(1);
	hear_refusal(call, REASON_CALLER_DEADLINE);
	hear_done(call);
	hear_reset(served, H2_CANCEL);
	hear_silence(served);
	logged("reason=caller_deadline status=4 attempts=1 total=105000");
	ck_assert_uint_eq(attempts(ATTEMPT_TIMEOUT), 1);
}
END_TEST

START_TEST(the_text_of_a_stated_time_that_is_up_is_grpcs_own)
{
	struct stream_end *caller;
	struct stream *call;
	const struct stream_event *e;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .keys = "grpc-timeout=10m", .ends = true);
	hear_call(accepted_streams(GRPC));
	let_pass(15);
	stream_next_event(call);
	e = stream_next_event(call);
	ck_assert_int_eq(e->kind, STREAM_END);
	ck_assert(strstr((const char *)e->text.data, "context deadline exceeded"));
}
END_TEST

START_TEST(a_stated_time_ends_a_stream_within_its_reply)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .keys = "grpc-timeout=1S");
	app = accepted_streams(GRPC);
	served = hear_call(app);
	head(served, .message = "a");
	hear_head(call, .message = "a");
	let_pass(1005);
	hear_refusal(call, REASON_CALLER_DEADLINE);
	hear_done(call);
	hear_reset(served, H2_CANCEL);
	logged("reason=caller_deadline status=4 out=1");
	speak(served, .message = "late");
	hear_silence(call);
	ck_assert(is_open(net_of(app)) && is_open(net_of(caller)));
}
END_TEST

START_TEST(only_the_rest_of_a_stated_time_is_passed_on)
{
	struct stream_end *caller, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial_streams(GRPC);
	begin(caller, .keys = "grpc-timeout=1S", .ends = true);
	app = accepted_streams(GRPC);
	let_pass(40);
	fake_connected(net_of(app));
	answer(hear_call(app, .keys = "grpc-timeout=960000u"));
	logged("reason=ok");
}
END_TEST

START_TEST(the_operators_time_leaves_the_upload_its_own)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.service = "timeout: {call: 200ms}");
	caller = dial_streams(GRPC);
	call = begin(caller, .keys = "grpc-timeout=1S");
	served = hear_call(accepted_streams(GRPC), .keys = "grpc-timeout=1000000u");
	let_pass(300);
	speak(call, .message = "x", .ends = true);
	hear_message(served, .message = "x");
	let_pass(199);
	hear_silence(call);
	let_pass(1);
	hear_refusal(call, REASON_TIMEOUT);
	logged("reason=timeout status=4 total=500000");
}
END_TEST

START_TEST(a_stated_time_runs_during_the_connect)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "timeout: {connect: 1s}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial_streams(GRPC);
	call = begin(caller, .keys = "grpc-timeout=50m", .ends = true);
	let_pass(55);
	hear_refusal(call, REASON_CALLER_DEADLINE);
	logged("reason=caller_deadline attempts=1");
	ck_assert(!is_open(accepted()));
}
END_TEST

START_TEST(junk_is_no_time)
{
	struct stream_end *caller;
	struct stream *call;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .keys = "grpc-timeout=soon", .ends = true);
	answer(hear_call(accepted_streams(GRPC)));
	hear_answer(call);
	logged("reason=ok");
}
END_TEST

/* ---- from the end of the caller's side to the first byte ---- */

START_TEST(the_operators_time_runs_from_the_end_of_the_call)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.service = "timeout: {call: 100ms}");
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	served = hear_call(accepted_streams(_i), .message = "1", .keys = "!grpc-timeout");
	let_pass(5000);
	speak(call, .message = "2", .ends = true);
	hear_message(served, .message = "2");
	hear_last(served);
	let_pass(99);
	hear_silence(call);
	let_pass(1);
	hear_refusal(call, REASON_TIMEOUT);
	hear_silence(call);
	hear_given_up(served, REASON_TIMEOUT);
	logged("reason=timeout attempts=1 total=5100000");
}
END_TEST

START_TEST(the_first_byte_of_a_reply_ends_the_operators_time)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.service = "timeout: {call: 100ms, attempt: 80ms}");
	caller = dial_streams(_i);
	call = begin(caller, .message = "1", .ends = true);
	served = hear_call(accepted_streams(_i), .message = "1", .ends = true);
	let_pass(79);
	head(served);
	let_pass(10000);
	speak(served, .message = "late but good", .ends = true);
	hear_answer(call, .message = "late but good");
	logged("reason=ok total=10079000");
}
END_TEST

START_TEST(a_reply_that_begins_before_the_call_ends_has_all_the_time)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.service = "timeout: {call: 100ms}");
	caller = dial_streams(_i);
	call = begin(caller);
	served = hear_call(accepted_streams(_i));
	head(served);
	hear_head(call);
	speak(call, .ends = true);
	hear_last(served);
	let_pass(10000);
	finish(served);
	hear_last(call);
	logged("reason=ok");
}
END_TEST

START_TEST(the_default_time_ends_a_call_for_which_nobody_set_one)
{
	struct stream_end *caller;
	struct stream *call;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "1", .ends = true);
	hear_call(accepted_streams(_i));
	let_pass(29999);
	hear_silence(call);
	let_pass(1);
	hear_refusal(call, REASON_TIMEOUT);
	logged("reason=timeout total=30000000");
}
END_TEST

START_TEST(an_attempt_has_its_time_from_the_end_of_the_call)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.service = "timeout: {attempt: 100ms}", .endpoints = 2);
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	served = hear_call(accepted_streams(_i), .message = "1");
	let_pass(1000);
	speak(call, .ends = true);
	let_pass(100);
	hear_refusal(call, REASON_TIMEOUT);
	hear_last(served);
	hear_given_up(served, REASON_TIMEOUT);
	no_connect();
	logged("reason=timeout attempts=1");
}
END_TEST

START_TEST(an_endpoint_of_which_nothing_at_all_is_heard_gets_no_more_calls)
{
	struct stream_end *caller, *silent;
	struct stream *call;

	start(.service = "timeout: {call: 100ms}");
	caller = dial_streams(TTS);
	call = begin(caller, .message = "1", .ends = true);
	silent = accepted_streams(TTS);
	answer(hear_call(silent, .message = "1", .ends = true), .message = "2");
	hear_answer(call, .message = "2");
	logged("reason=ok");
	let_pass(10);
	call = begin(caller, .message = "3", .ends = true);
	hear_call(silent, .message = "3", .ends = true);
	let_pass(100);
	hear_refusal(call, REASON_TIMEOUT);
	logged("reason=timeout");
	call = begin(caller, .message = "4", .ends = true);
	answer(hear_call(accepted_streams(TTS), .message = "4", .ends = true), .message = "5");
	hear_answer(call, .message = "5");
	logged("reason=ok");
}
END_TEST

/* ---- streams that rest, and streams that last ---- */

START_TEST(a_stream_on_which_nothing_moves_has_its_time)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.service = "timeout: {idle: 1s}");
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	served = hear_call(accepted_streams(_i), .message = "1");
	head(served);
	hear_head(call);
	let_pass(900);
	speak(call, .message = "2");
	hear_message(served, .message = "2");
	let_pass(900);
	speak(served, .message = "3");
	hear_message(call, .message = "3");
	let_pass(999);
	hear_silence(call);
	let_pass(1);
	hear_refusal(call, REASON_TIMEOUT);
	hear_done(call);
	hear_given_up(served, REASON_TIMEOUT);
	logged("reason=timeout in=2 out=1");
}
END_TEST

START_TEST(a_whole_stream_has_its_time)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.service = "timeout: {stream: 1s}");
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	served = hear_call(accepted_streams(_i), .message = "1");
	head(served);
	hear_head(call);
	for (int i = 0; i < 9; i++) {
		let_pass(100);
		speak(call, .message = "2");
		hear_message(served, .message = "2");
	}
	let_pass(100);
	hear_refusal(call, REASON_TIMEOUT);
	hear_done(call);
	hear_given_up(served, REASON_TIMEOUT);
	logged("reason=timeout total=1000000");
}
END_TEST

START_TEST(a_caller_that_takes_nothing_has_its_time)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.listener = "timeout: {write_stall: 1s}");
	caller = dial_streams(GRPC);
	call = begin(caller, .ends = true);
	hold(call);
	served = hear_call(accepted_streams(GRPC), .ends = true);
	head(served, .fill = 1000000);
	hear_head(call);
	let_pass(999);
	hear_silence(served);
	let_pass(1);
	hear_refusal(call, REASON_TIMEOUT);
	hear_given_up(served, REASON_TIMEOUT);
	logged("reason=timeout");
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(a_caller_that_does_not_take_the_end_of_its_reply_has_its_time)
{
	struct stream_end *caller;
	struct stream *call;

	start(.listener = "timeout: {write_stall: 1s}");
	caller = dial_streams(GRPC, .window = 100);
	call = begin(caller, .ends = true);
	hold(call);
	answer(hear_call(accepted_streams(GRPC), .ends = true), .fill = 1000);
	hear_head(call);
	let_pass(1000);
	hear_reset(call, H2_CANCEL);
	logged("reason=timeout");
	ck_assert_uint_eq(counter_get(&sim_worker()->calls_running), 0);
}
END_TEST

START_TEST(a_caller_that_takes_something_now_and_then_has_more)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.listener = "timeout: {write_stall: 1s}");
	caller = dial_streams(GRPC);
	call = begin(caller, .ends = true);
	hold(call);
	served = hear_call(accepted_streams(GRPC), .ends = true);
	answer(served, .fill = 500000);
	for (int i = 0; i < 4; i++) {
		let_pass(900);
		release(call);
		hold(call);
	}
	release(call);
	hear_answer(call, .fill = 500000);
	logged("reason=ok out=1");
}
END_TEST

START_TEST(an_endpoint_that_takes_nothing_has_the_time_of_idle_streams)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.service = "timeout: {idle: 2s}");
	caller = dial_streams(GRPC);
	call = begin(caller);
	served = hear_call(accepted_streams(GRPC));
	hold(served);
	speak(call, .fill = 1000000);
	let_pass(1999);
	hear_silence(call);
	let_pass(1);
	hear_refusal(call, REASON_TIMEOUT);
	hear_done(call);
	hear_given_up(served, REASON_TIMEOUT);
	logged("reason=timeout attempts=1");
}
END_TEST

/* ---- connections ---- */

START_TEST(a_caller_without_streams_has_the_time_of_idle_connections)
{
	struct stream_end *caller;
	struct stream *call;

	start(.listener = "timeout: {idle: 1s}");
	caller = dial_streams(_i);
	call = begin(caller, .ends = true);
	answer(hear_call(accepted_streams(_i)));
	hear_answer(call);
	call = begin(caller);
	let_pass(5000);
	give_up(call, H2_CANCEL);
	let_pass(999);
	ck_assert(is_open(net_of(caller)));
	pass(1);
	ck_assert(!is_open(net_of(caller)));
	ck_assert_uint_eq(fake_received(net_of(caller)).len, _i == GRPC ? 17 : 0); /* GOAWAY */
}
END_TEST

START_TEST(an_endpoint_without_streams_has_the_time_of_the_pool)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start(.service = "pool: {idle_timeout: 1s}");
	caller = dial_streams(_i);
	call = begin(caller);
	app = accepted_streams(_i);
	served = hear_call(app);
	let_pass(5000);
	ck_assert(is_open(net_of(app)));
	answer(served);
	hear_answer(call);
	let_pass(2000);
	ck_assert(!is_open(net_of(app)));
	ck_assert_uint_eq(upstreams(), 0);
}
END_TEST

START_TEST(a_handshake_has_the_time_of_detection)
{
	struct stream_end *caller;

	start(.listener = "timeout: {detect: 1s, message: 3s}");
	caller = dial_streams(_i, .gathers = true);
	say_bytes(net_of(caller), SLICE_LIT("PRI * HTTP/2"));
	let_pass(999);
	ck_assert(is_open(net_of(caller)));
	let_pass(1);
	ck_assert(!is_open(net_of(caller)));
	logged("reason=timeout attempts=0");
}
END_TEST

/* ---- signs of life ---- */

START_TEST(an_endpoint_that_is_gone_without_a_word_is_found_out)
{
	static const char *const pools[] = {NULL, "pool: {idle_timeout: none}"};
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start(.service = pools[_i]);
	caller = dial_streams(GRPC);
	call = begin(caller);
	app = accepted_streams(GRPC);
	served = hear_call(app);
	head(served);
	hear_head(call);
	gather(app); /* it says nothing any more, not even that it heard a ping */
	let_pass(10 * 60 * 1000);
	hear_refusal(call, REASON_RESET);
	logged("reason=reset");
	ck_assert(!is_open(net_of(app)));
}
END_TEST

START_TEST(a_caller_that_is_gone_without_a_word_is_found_out)
{
	struct stream_end *caller;
	struct stream *served;

	start();
	caller = dial_streams(GRPC);
	begin(caller);
	served = hear_call(accepted_streams(GRPC));
	gather(caller);
	let_pass(11 * 60 * 1000);
	hear_given_up(served, REASON_CANCELED);
	logged("reason=canceled");
	ck_assert(!is_open(net_of(caller)));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_stated_time_is_passed_on_and_ends_the_call, 1},
	    {the_text_of_a_stated_time_that_is_up_is_grpcs_own, 1},
	    {a_stated_time_ends_a_stream_within_its_reply, 1},
	    {only_the_rest_of_a_stated_time_is_passed_on, 1},
	    {the_operators_time_leaves_the_upload_its_own, 1},
	    {a_stated_time_runs_during_the_connect, 1},
	    {junk_is_no_time, 1},
	    {the_operators_time_runs_from_the_end_of_the_call, FAMILIES},
	    {the_first_byte_of_a_reply_ends_the_operators_time, FAMILIES},
	    {a_reply_that_begins_before_the_call_ends_has_all_the_time, FAMILIES},
	    {the_default_time_ends_a_call_for_which_nobody_set_one, FAMILIES},
	    {an_attempt_has_its_time_from_the_end_of_the_call, FAMILIES},
	    {an_endpoint_of_which_nothing_at_all_is_heard_gets_no_more_calls, 1},
	    {a_stream_on_which_nothing_moves_has_its_time, FAMILIES},
	    {a_whole_stream_has_its_time, FAMILIES},
	    {a_caller_that_takes_nothing_has_its_time, 1},
	    {a_caller_that_does_not_take_the_end_of_its_reply_has_its_time, 1},
	    {a_caller_that_takes_something_now_and_then_has_more, 1},
	    {an_endpoint_that_takes_nothing_has_the_time_of_idle_streams, 1},
	    {a_caller_without_streams_has_the_time_of_idle_connections, FAMILIES},
	    {an_endpoint_without_streams_has_the_time_of_the_pool, FAMILIES},
	    {a_handshake_has_the_time_of_detection, 1},
	    {an_endpoint_that_is_gone_without_a_word_is_found_out, 2},
	    {a_caller_that_is_gone_without_a_word_is_found_out, 1},
	};

	return stream_main("sim_stream_times", tests, ARRAY_LEN(tests));
}
