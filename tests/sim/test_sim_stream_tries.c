/* Where a stream goes: connects that fail, connections that are full or ending, and second
 * tries. */
#include "support/sim.h"
#include "support/stream_end.h"

/* ---- connecting ---- */

START_TEST(a_refused_connect_is_tried_at_the_next_endpoint)
{
	struct stream_end *caller;
	struct stream *call;

	start(.endpoints = 2);
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	answer(hear_call(accepted_streams(_i), .message = "x", .ends = true), .message = "y");
	hear_answer(call, .message = "y");
	logged("reason=ok attempts=2");
	ck_assert_uint_eq(attempts(ATTEMPT_CONNECT_FAILED), 1);
}
END_TEST

START_TEST(a_connect_refused_at_every_try_is_told)
{
	struct stream_end *caller;
	struct stream *call, *open;

	start();
	fake_script(sim_loop(), FAKE_REFUSED, 6);
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	hear_refusal(call, REASON_CONNECT_FAILED);
	hear_silence(call);
	logged("reason=connect_failed attempts=3");
	open = begin(caller, .message = "x");
	hear_refusal(open, REASON_CONNECT_FAILED);
	hear_done(open);
	hear_silence(open);
	logged("reason=connect_failed attempts=3");
}
END_TEST

START_TEST(a_connect_that_hangs_has_its_time)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "retry: none");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	let_pass(249);
	hear_silence(call);
	let_pass(1);
	hear_refusal(call, REASON_CONNECT_FAILED);
	logged("reason=connect_failed attempts=1 total=250000");
	ck_assert(!is_open(accepted()));
}
END_TEST

START_TEST(an_endpoint_that_never_says_its_settings_is_no_connection)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "retry: none");
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .ends = true);
	let_pass(250);
	hear_refusal(call, REASON_CONNECT_FAILED);
	ck_assert(!is_open(accepted()));
}
END_TEST

START_TEST(what_is_said_during_the_connect_comes_in_its_order)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	speak(call, .message = "2", .times = 3);
	app = accepted_streams(_i);
	speak(call, .fill = 30000);
	speak(call, .message = "last", .ends = true);
	fake_connected(net_of(app));
	served = hear_call(app, .message = "1");
	hear_message(served, .message = "2", .times = 3);
	hear_message(served, .fill = 30000);
	hear_message(served, .message = "last");
	hear_last(served);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	logged("reason=ok attempts=1 in=6");
}
END_TEST

START_TEST(what_was_said_to_a_connect_that_failed_is_said_to_the_next)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start(.endpoints = 2);
	fake_script(sim_loop(), FAKE_HANGS, 2);
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	fake_refuse(accepted(), 111);
	speak(call, .message = "2");
	app = accepted_streams(_i);
	speak(call, .message = "3", .ends = true);
	fake_connected(net_of(app));
	served = hear_call(app, .message = "1");
	hear_message(served, .message = "2");
	hear_message(served, .message = "3");
	hear_last(served);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	logged("reason=ok attempts=2");
}
END_TEST

/* ---- not a byte has left ---- */

START_TEST(a_stream_of_which_no_byte_has_left_is_saved)
{
	struct stream_end *caller, *app;
	struct stream *first, *second, *served;

	start(.endpoints = 1);
	caller = dial_streams(_i);
	first = begin(caller, .message = "1");
	app = accepted_streams(_i);
	hear_call(app, .message = "1");
	take(net_of(app), 0);
	second = begin(caller, .message = "2");
	speak(second, .message = "3", .ends = true);
	reset(net_of(app));
	hear_refusal(first, REASON_RESET);
	hear_done(first);
	logged("reason=reset attempts=1");
	served = hear_call(accepted_streams(_i), .message = "2");
	hear_message(served, .message = "3");
	hear_last(served);
	answer(served, .message = "saved");
	hear_answer(second, .message = "saved");
	logged("reason=ok attempts=2");
	ck_assert_uint_eq(attempts(ATTEMPT_UNSENT), 1);
	ck_assert_uint_eq(attempts(ATTEMPT_RESET), 1);
}
END_TEST

START_TEST(a_stream_of_which_a_byte_has_left_is_not)
{
	struct stream_end *caller, *app;
	struct stream *first, *second;

	start();
	caller = dial_streams(_i);
	first = begin(caller, .message = "1");
	app = accepted_streams(_i);
	hear_call(app, .message = "1");
	take(net_of(app), 1);
	second = begin(caller, .message = "2");
	reset(net_of(app));
	hear_refusal(first, REASON_RESET);
	hear_refusal(second, REASON_RESET);
	no_connect();
	logged("reason=reset attempts=1");
	logged("reason=reset attempts=1");
}
END_TEST

/* ---- refused unprocessed ---- */

START_TEST(a_refused_stream_is_saved_by_the_next_endpoint)
{
	struct stream_end *caller;
	struct stream *call;

	start(.endpoints = 2);
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .ends = true);
	give_up(hear_call(accepted_streams(GRPC), .message = "x", .ends = true), H2_REFUSED);
	answer(hear_call(accepted_streams(GRPC), .message = "x", .ends = true), .message = "y");
	hear_answer(call, .message = "y");
	logged("reason=ok attempts=2 in=1 out=1");
	ck_assert_uint_eq(attempts(ATTEMPT_UNSENT), 1);
	ck_assert_uint_eq(counter_get(&sim_stats()->retries_unsent), 1);
}
END_TEST

START_TEST(a_refused_stream_says_again_all_it_had_said_and_goes_on)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.endpoints = 2);
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "1");
	served = hear_call(accepted_streams(GRPC), .message = "1");
	speak(call, .fill = 100000);
	hear_message(served, .fill = 100000);
	give_up(served, H2_REFUSED);
	served = hear_call(accepted_streams(GRPC), .message = "1");
	hear_message(served, .fill = 100000);
	speak(call, .message = "3");
	hear_message(served, .message = "3");
	speak(call, .ends = true);
	hear_last(served);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	logged("reason=ok attempts=2 in=3");
}
END_TEST

START_TEST(a_refused_stream_with_much_to_say_again_may_go_on_during_the_next_connect)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start(.endpoints = 2);
	caller = dial_streams(GRPC);
	call = begin(caller, .fill = 500000);
	served = hear_call(accepted_streams(GRPC), .fill = 500000);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	give_up(served, H2_REFUSED);
	speak(call, .fill = 1000);
	app = accepted_streams(GRPC);
	fake_connected(net_of(app));
	served = hear_call(app, .fill = 500000);
	hear_message(served, .fill = 1000);
	answer(served);
	hear_answer(call);
	logged("reason=ok attempts=2");
}
END_TEST

START_TEST(a_stream_refused_at_every_try_is_refused_to_its_caller)
{
	struct stream_end *caller, *app;
	struct stream *call;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .ends = true);
	app = accepted_streams(GRPC);
	for (int i = 0; i < 3; i++)
		give_up(hear_call(app, .message = "x", .ends = true), H2_REFUSED);
	hear_reset(call, H2_REFUSED);
	hear_silence(call);
	hear_no_call(app);
	logged("reason=reset attempts=3");
}
END_TEST

START_TEST(a_refused_stream_is_not_tried_again_without_retries)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "retry: none", .endpoints = 2);
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .ends = true);
	give_up(hear_call(accepted_streams(GRPC)), H2_REFUSED);
	hear_reset(call, H2_REFUSED);
	no_connect();
	logged("reason=reset attempts=1");
}
END_TEST

START_TEST(a_refused_stream_is_not_tried_again_behind_its_head)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.endpoints = 2);
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .ends = true);
	served = hear_call(accepted_streams(GRPC));
	head(served);
	hear_head(call);
	give_up(served, H2_REFUSED);
	hear_reset(call, H2_REFUSED);
	no_connect();
	logged("reason=reset attempts=1");
}
END_TEST

START_TEST(a_stream_longer_than_its_buffer_is_not_tried_again)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.service = "retry: {buffer: 1KiB}", .endpoints = 2);
	caller = dial_streams(GRPC);
	call = begin(caller, .fill = 1000);
	served = hear_call(accepted_streams(GRPC), .fill = 1000);
	speak(call, .fill = 100);
	hear_message(served, .fill = 100);
	give_up(served, H2_REFUSED);
	hear_reset(call, H2_REFUSED);
	no_connect();
	logged("reason=reset attempts=1");
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(a_body_that_just_fits_its_buffer_is_said_again)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "retry: {buffer: 1KiB}", .endpoints = 2);
	caller = dial_streams(GRPC);
	call = begin(caller, .fill = 1024 - 5, .ends = true);
	give_up(hear_call(accepted_streams(GRPC)), H2_REFUSED);
	answer(hear_call(accepted_streams(GRPC), .fill = 1024 - 5, .ends = true));
	hear_answer(call);
	logged("reason=ok attempts=2");
}
END_TEST

/* ---- GOAWAY ---- */

START_TEST(streams_above_a_goaway_are_saved_and_those_below_go_on)
{
	struct stream_end *caller, *app, *next;
	struct stream *a, *b, *first, *saved;

	start();
	caller = dial_streams(GRPC);
	a = begin(caller, .message = "a");
	b = begin(caller, .message = "b", .ends = true);
	app = accepted_streams(GRPC);
	first = hear_call(app, .message = "a");
	hear_call(app, .message = "b", .ends = true);
	say_goaway(app, first);
	next = accepted_streams(GRPC);
	saved = hear_call(next, .message = "b", .ends = true);
	speak(a, .message = "more", .ends = true);
	hear_message(first, .message = "more");
	hear_last(first);
	answer(first, .message = "A");
	answer(saved, .message = "B");
	hear_answer(a, .message = "A");
	hear_answer(b, .message = "B");
	logged("reason=ok attempts=1");
	logged("reason=ok attempts=2");
	let_pass(2000);
	ck_assert(!is_open(net_of(app)) && is_open(net_of(next)));
}
END_TEST

START_TEST(a_goaway_sends_new_calls_elsewhere)
{
	struct stream_end *caller, *app;
	struct stream *a, *b, *first;

	start();
	caller = dial_streams(GRPC);
	a = begin(caller, .message = "a");
	app = accepted_streams(GRPC);
	first = hear_call(app, .message = "a");
	say_goaway(app, first);
	b = begin(caller, .message = "b", .ends = true);
	answer(hear_call(accepted_streams(GRPC), .message = "b", .ends = true), .message = "B");
	hear_answer(b, .message = "B");
	hear_no_call(app);
	answer(first, .message = "A");
	hear_answer(a, .message = "A");
	logged("reason=ok attempts=1");
	logged("reason=ok attempts=1");
}
END_TEST

START_TEST(a_goaway_on_an_idle_connection_closes_it)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .ends = true);
	app = accepted_streams(GRPC);
	served = hear_call(app, .ends = true);
	answer(served);
	hear_answer(call);
	say_goaway(app, served);
	let_pass(1000);
	ck_assert(!is_open(net_of(app)));
	ck_assert_uint_eq(upstreams(), 0);
	call = begin(caller, .ends = true);
	answer(hear_call(accepted_streams(GRPC), .ends = true));
	hear_answer(call);
}
END_TEST

/* ---- how many ---- */

START_TEST(a_full_connection_is_joined_by_another)
{
	struct stream_end *caller, *one, *other;
	struct stream *calls[3], *first, *second;

	start();
	caller = dial_streams(GRPC);
	calls[0] = begin(caller, .message = "0");
	one = accepted_streams(GRPC, .streams = 1);
	first = hear_call(one, .message = "0");
	calls[1] = begin(caller, .message = "1");
	other = accepted_streams(GRPC, .streams = 1);
	second = hear_call(other, .message = "1");
	answer(first);
	hear_answer(calls[0]);
	calls[2] = begin(caller, .message = "2");
	no_connect();
	answer(hear_call(one, .message = "2"));
	answer(second);
	hear_answer(calls[2]);
	hear_answer(calls[1]);
}
END_TEST

START_TEST(a_connection_that_admits_none_is_used_when_it_does)
{
	struct stream_end *caller, *one, *other;
	struct stream *a, *b, *first;

	start();
	caller = dial_streams(GRPC);
	a = begin(caller, .message = "a");
	one = accepted_streams(GRPC, .admits_none = true);
	hear_no_call(one);
	other = accepted_streams(GRPC, .streams = 1);
	first = hear_call(other, .message = "a");
	allow_streams(one, 1);
	b = begin(caller, .message = "b", .ends = true);
	no_connect();
	answer(hear_call(one, .message = "b", .ends = true));
	hear_answer(b);
	answer(first);
	hear_answer(a);
}
END_TEST

START_TEST(calls_that_wait_for_one_connection_do_not_all_fit_on_it)
{
	struct stream_end *caller;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial_streams(GRPC);
	for (int i = 0; i < 3; i++)
		begin(caller, .message = "x", .ends = true);
	for (int i = 0; i < 3; i++) {
		struct stream_end *app = accepted_streams(GRPC, .streams = 1);

		if (i == 0)
			fake_connected(net_of(app));
		hear_call(app, .message = "x", .ends = true);
		hear_no_call(app);
	}
	no_connect();
}
END_TEST

START_TEST(calls_beyond_all_connections_wait_for_a_place)
{
	struct stream_end *caller, *apps[64];
	struct stream *calls[65], *served[64];

	start(.service = "timeout: {connect: 1s}");
	caller = dial_streams(GRPC);
	for (int i = 0; i < 64; i++) {
		calls[i] = begin(caller, .fill = (size_t)i + 1);
		apps[i] = accepted_streams(GRPC, .streams = 1);
		served[i] = hear_call(apps[i], .fill = (size_t)i + 1);
	}
	calls[64] = begin(caller, .message = "waits", .ends = true);
	no_connect();
	let_pass(100);
	answer(served[7]);
	let_pass(100);
	answer(hear_call(apps[7], .message = "waits", .ends = true), .message = "served");
	hear_answer(calls[64], .message = "served");
	for (int i = 0; i < 64; i++)
		if (i != 7)
			answer(served[i]);
	no_connect();
}
END_TEST

START_TEST(a_call_that_found_no_place_in_time_is_refused)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "retry: none");
	caller = dial_streams(GRPC);
	for (int i = 0; i < 64; i++) {
		begin(caller, .message = "x");
		hear_call(accepted_streams(GRPC, .streams = 1));
	}
	call = begin(caller, .message = "waits", .ends = true);
	let_pass(251);
	hear_refusal(call, REASON_CONNECT_FAILED);
	logged("reason=connect_failed attempts=1");
	no_connect();
	reset(net_of(caller));
}
END_TEST

START_TEST(more_streams_than_a_listener_admits_are_refused)
{
	struct stream_end *caller, *app;
	struct stream *calls[3], *served[2];

	start(.listener = "in_flight: 2");
	caller = dial_streams(_i, .gathers = true); /* it has not heard of the limit */
	for (int i = 0; i < 3; i++)
		calls[i] = begin(caller, .message = "x", .ends = true);
	let_go(caller);
	if (_i == GRPC)
		hear_reset(calls[2], H2_REFUSED);
	else
		hear_refusal(calls[2], REASON_CONCURRENCY_LIMITED);
	hear_silence(calls[2]);
	app = accepted_streams(_i);
	for (int i = 0; i < 2; i++)
		served[i] = hear_call(app, .message = "x", .ends = true);
	hear_no_call(app);
	for (int i = 0; i < 2; i++) {
		answer(served[i]);
		hear_answer(calls[i]);
	}
	calls[2] = begin(caller, .message = "y", .ends = true);
	answer(hear_call(app, .message = "y", .ends = true));
	hear_answer(calls[2]);
}
END_TEST

START_TEST(a_caller_that_heard_the_limit_waits_for_a_place_itself)
{
	struct stream_end *caller, *app;
	struct stream *calls[3], *served;

	start(.listener = "in_flight: 2");
	caller = dial_streams(GRPC);
	calls[0] = begin(caller, .message = "0", .ends = true);
	calls[1] = begin(caller, .message = "1", .ends = true);
	app = accepted_streams(GRPC);
	calls[2] = begin(caller, .message = "2", .ends = true);
	served = hear_call(app, .message = "0", .ends = true);
	answer(hear_call(app, .message = "1", .ends = true));
	hear_answer(calls[1]);
	answer(hear_call(app, .message = "2", .ends = true));
	hear_answer(calls[2]);
	answer(served);
	hear_answer(calls[0]);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_refused_connect_is_tried_at_the_next_endpoint, FAMILIES},
	    {a_connect_refused_at_every_try_is_told, FAMILIES},
	    {a_connect_that_hangs_has_its_time, FAMILIES},
	    {an_endpoint_that_never_says_its_settings_is_no_connection, 1},
	    {what_is_said_during_the_connect_comes_in_its_order, FAMILIES},
	    {what_was_said_to_a_connect_that_failed_is_said_to_the_next, FAMILIES},
	    {a_stream_of_which_no_byte_has_left_is_saved, FAMILIES},
	    {a_stream_of_which_a_byte_has_left_is_not, FAMILIES},
	    {a_refused_stream_is_saved_by_the_next_endpoint, 1},
	    {a_refused_stream_says_again_all_it_had_said_and_goes_on, 1},
	    {a_refused_stream_with_much_to_say_again_may_go_on_during_the_next_connect, 1},
	    {a_stream_refused_at_every_try_is_refused_to_its_caller, 1},
	    {a_refused_stream_is_not_tried_again_without_retries, 1},
	    {a_refused_stream_is_not_tried_again_behind_its_head, 1},
	    {a_stream_longer_than_its_buffer_is_not_tried_again, 1},
	    {a_body_that_just_fits_its_buffer_is_said_again, 1},
	    {streams_above_a_goaway_are_saved_and_those_below_go_on, 1},
	    {a_goaway_sends_new_calls_elsewhere, 1},
	    {a_goaway_on_an_idle_connection_closes_it, 1},
	    {a_full_connection_is_joined_by_another, 1},
	    {a_connection_that_admits_none_is_used_when_it_does, 1},
	    {calls_that_wait_for_one_connection_do_not_all_fit_on_it, 1},
	    {calls_beyond_all_connections_wait_for_a_place, 1},
	    {a_call_that_found_no_place_in_time_is_refused, 1},
	    {more_streams_than_a_listener_admits_are_refused, FAMILIES},
	    {a_caller_that_heard_the_limit_waits_for_a_place_itself, 1},
	};

	return stream_main("sim_stream_tries", tests, ARRAY_LEN(tests));
}
