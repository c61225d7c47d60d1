/* Streams and the end of things: drains, connections that are old, reloads, and a worker that
 * goes. */
#include "support/sim.h"
#include "support/stream_end.h"

#define LAST_OF_ALL INT32_MAX

/* Calls that are on their way when the first word of a drain is said are served, too. */
START_TEST(a_drain_is_announced_twice_and_waits_for_the_last_stream)
{
	struct stream_end *caller, *app;
	struct stream *call, *late, *served, *second;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x");
	app = accepted_streams(GRPC);
	served = hear_call(app, .message = "x");
	gather(caller);
	late = begin(caller, .message = "late"); /* it is on its way */
	worker_drain(sim_worker(), 0);
	stream_settle();
	ck_assert_uint_eq(goaways(caller), 1);
	ck_assert_int_eq(goaway_last(caller), LAST_OF_ALL);
	let_pass(500);
	let_go(caller);
	second = hear_call(app, .message = "late");
	let_pass(499);
	ck_assert_uint_eq(goaways(caller), 1);
	let_pass(1);
	ck_assert_uint_eq(goaways(caller), 2);
	ck_assert_int_eq(goaway_last(caller), (int32_t)stream_number(late));
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	hear_done(call);
	ck_assert(is_open(net_of(caller)));
	answer(second, .message = "z");
	hear_answer(late, .message = "z");
	hear_done(late);
	ck_assert(!is_open(net_of(caller)));
	let_pass(1);
	ck_assert(sim_is_drained());
	logged("reason=ok");
	logged("reason=ok");
}
END_TEST

START_TEST(an_idle_caller_hears_both_words_of_a_drain)
{
	static const uint8_t last_word[17] = {0, 0, 8, 7 /* GOAWAY, of no stream */};
	struct stream_end *caller;

	start();
	caller = dial_streams(GRPC);
	let_pass(1000); /* whoever has just come is left alone for its first call */
	worker_drain(sim_worker(), 0);
	let_pass(999);
	ck_assert_uint_eq(goaways(caller), 1);
	ck_assert(is_open(net_of(caller)));
	pass(1); /* the library of HTTP/2 does not look at it any more */
	ck_assert(slice_eq(fake_received(net_of(caller)), slice_of(last_word, sizeof last_word)));
	ck_assert(!is_open(net_of(caller)));
	ck_assert(sim_is_drained());
}
END_TEST

/* A caller may lose the call that crosses even the first word. */
START_TEST(where_there_is_time_a_caller_is_told_when_it_rests)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x");
	served = hear_call(accepted_streams(GRPC), .message = "x");
	worker_be_patient(sim_worker(), 10 * USEC_S);
	worker_drain(sim_worker(), 0);
	let_pass(2000);
	ck_assert_uint_eq(goaways(caller), 0);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	hear_done(call);
	let_pass(99);
	ck_assert_uint_eq(goaways(caller), 0);
	let_pass(1);
	ck_assert_uint_eq(goaways(caller), 1);
	let_pass(999);
	ck_assert(is_open(net_of(caller)));
	pass(1);
	ck_assert(!is_open(net_of(caller)));
	ck_assert(sim_is_drained());
	logged("reason=ok");
}
END_TEST

START_TEST(a_caller_that_never_rests_is_told_when_time_is_up)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x");
	served = hear_call(accepted_streams(GRPC), .message = "x");
	worker_be_patient(sim_worker(), 10 * USEC_S);
	worker_drain(sim_worker(), 0);
	let_pass(9999);
	ck_assert_uint_eq(goaways(caller), 0);
	let_pass(1);
	ck_assert_uint_eq(goaways(caller), 1);
	let_pass(1000);
	ck_assert_uint_eq(goaways(caller), 2);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	hear_done(call);
	ck_assert(!is_open(net_of(caller)));
	logged("reason=ok");
}
END_TEST

START_TEST(a_drain_waits_for_streams_that_have_no_word_for_it)
{
	struct stream_end *caller, *idle;
	struct stream *call, *served;

	start();
	idle = dial_streams(TTS);
	caller = dial_streams(TTS);
	call = begin(caller, .message = "x");
	served = hear_call(accepted_streams(TTS), .message = "x");
	worker_drain(sim_worker(), 0);
	let_pass(5000);
	ck_assert(is_open(net_of(caller)) && !is_open(net_of(idle)));
	speak(call, .message = "more", .ends = true);
	hear_message(served, .message = "more");
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	ck_assert(!is_open(net_of(caller)));
	ck_assert(sim_is_drained());
}
END_TEST

START_TEST(a_drained_connection_waits_until_its_reply_has_left)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC, .window = 100);
	call = begin(caller, .ends = true);
	hold(call);
	served = hear_call(accepted_streams(GRPC), .ends = true);
	worker_drain(sim_worker(), 0);
	answer(served, .fill = 10000);
	let_pass(2000);
	ck_assert(is_open(net_of(caller)));
	release(call);
	hear_answer(call, .fill = 10000);
	ck_assert(!is_open(net_of(caller)));
	logged("reason=ok");
}
END_TEST

START_TEST(an_old_connection_is_drained)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.listener = "max_age: 10s");
	caller = dial_streams(_i);
	call = begin(caller, .message = "x");
	served = hear_call(accepted_streams(_i), .message = "x");
	let_pass(8999);
	ck_assert_uint_eq(goaways(caller), 0);
	let_pass(3002); /* at most a tenth more, and the gap between both words */
	ck_assert_uint_eq(goaways(caller), _i == GRPC ? 2 : 0);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	hear_done(call);
	ck_assert(!is_open(net_of(caller)));
	logged("reason=ok");
}
END_TEST

START_TEST(a_listener_that_is_gone_lets_its_streams_finish)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x");
	app = accepted_streams(_i);
	served = hear_call(app, .message = "x");
	reload(.without_in = true);
	let_pass(2000);
	ck_assert_uint_eq(goaways(caller), _i == GRPC ? 2 : 0);
	head(served, .message = "y");
	hear_head(call, .message = "y");
	speak(call, .message = "more", .ends = true);
	hear_message(served, .message = "more");
	hear_last(served);
	finish(served);
	hear_last(call);
	ck_assert(!is_open(net_of(caller)));
	logged("reason=ok");
}
END_TEST

START_TEST(an_endpoint_that_is_gone_keeps_the_streams_it_has)
{
	struct stream_end *caller, *app;
	struct stream *call, *other, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x");
	app = accepted_streams(_i);
	served = hear_call(app, .message = "x");
	reload(.first = 2);
	other = begin(caller, .message = "new", .ends = true);
	answer(hear_call(accepted_streams(_i), .message = "new", .ends = true), .message = "N");
	hear_answer(other, .message = "N");
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	logged("reason=ok endpoint=10.0.0.2:80");
	logged("reason=ok endpoint=10.0.0.1:80");
	let_pass(1000);
	ck_assert(!is_open(net_of(app)));
}
END_TEST

START_TEST(a_worker_that_ends_tells_all_that_wait_for_something)
{
	struct stream_end *caller, *app;
	struct stream *waiting, *reading, *served, *begun;

	start();
	caller = dial_streams(_i);
	waiting = begin(caller, .message = "x", .ends = true);
	reading = begin(caller, .message = "y");
	app = accepted_streams(_i);
	served = hear_call(app, .message = "x", .ends = true);
	begun = hear_call(app, .message = "y");
	head(begun, .message = "a");
	hear_head(reading, .message = "a");
	end_worker();
	hear_refusal(waiting, REASON_DRAINING);
	hear_refusal(reading, REASON_DRAINING);
	hear_done(reading);
	hear_given_up(served, REASON_CANCELED);
	hear_given_up(begun, REASON_CANCELED);
	ck_assert(!is_open(net_of(caller)) && !is_open(net_of(app)));
	logged("reason=draining");
	logged("reason=draining");
}
END_TEST

START_TEST(a_worker_may_end_at_any_time)
{
	struct stream_end *caller;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial_streams(_i);
	begin(caller, .fill = 100000);
	sim_stop();
}
END_TEST

START_TEST(a_first_call_that_comes_while_draining_is_served)
{
	struct stream_end *caller;
	struct stream *call;

	start();
	worker_drain(sim_worker(), 0);
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	answer(hear_call(accepted_streams(_i), .message = "x", .ends = true), .message = "y");
	hear_answer(call, .message = "y");
	let_pass(2001);
	ck_assert(!is_open(net_of(caller)));
	logged("reason=ok");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_drain_is_announced_twice_and_waits_for_the_last_stream, 1},
	    {an_idle_caller_hears_both_words_of_a_drain, 1},
	    {where_there_is_time_a_caller_is_told_when_it_rests, 1},
	    {a_caller_that_never_rests_is_told_when_time_is_up, 1},
	    {a_drain_waits_for_streams_that_have_no_word_for_it, 1},
	    {a_drained_connection_waits_until_its_reply_has_left, 1},
	    {an_old_connection_is_drained, FAMILIES},
	    {a_listener_that_is_gone_lets_its_streams_finish, FAMILIES},
	    {an_endpoint_that_is_gone_keeps_the_streams_it_has, FAMILIES},
	    {a_worker_that_ends_tells_all_that_wait_for_something, FAMILIES},
	    {a_worker_may_end_at_any_time, FAMILIES},
	    {a_first_call_that_comes_while_draining_is_served, FAMILIES},
	};

	return stream_main("sim_stream_drain", tests, ARRAY_LEN(tests));
}
