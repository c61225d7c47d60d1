/* Flow: whoever does not read stops its own writer and nobody else, and what is held is bounded. */
#include "support/sim.h"
#include "support/stream_end.h"

#define MUCH     3000000u
#define PREFIX   5u
#define HELD_MAX (600u * 1024) /* a wide window, and what sockets may have queued */

static uint64_t memory(void)
{
	return atomic_load(&sim_worker()->shares->memory);
}

static size_t held(size_t said, const struct stream *from, const struct stream *to)
{
	return said + PREFIX - unsaid_bytes(from) - heard_bytes(to);
}

START_TEST(an_endpoint_that_gives_no_window_stops_its_caller)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller);
	served = hear_call(accepted_streams(GRPC));
	hold(served);
	speak(call, .fill = MUCH, .ends = true);
	ck_assert_uint_gt(unsaid_bytes(call), MUCH / 2);
	ck_assert_uint_gt(heard_bytes(served), 60000);
	ck_assert_uint_lt(held(MUCH, call, served), HELD_MAX);
	let_pass(1000);
	ck_assert_uint_gt(unsaid_bytes(call), MUCH / 2);
	release(served);
	hear_message(served, .fill = MUCH);
	hear_last(served);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	ck_assert_uint_eq(memory(), 0);
	logged("reason=ok in=1");
}
END_TEST

START_TEST(a_caller_that_gives_no_window_stops_its_endpoint)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .ends = true);
	hold(call);
	served = hear_call(accepted_streams(GRPC), .ends = true);
	answer(served, .fill = MUCH);
	ck_assert_uint_gt(unsaid_bytes(served), MUCH / 2);
	ck_assert_uint_lt(held(MUCH, served, call), HELD_MAX);
	let_pass(1000);
	ck_assert_uint_gt(unsaid_bytes(served), MUCH / 2);
	release(call);
	hear_answer(call, .fill = MUCH);
	ck_assert_uint_eq(memory(), 0);
	logged("reason=ok out=1");
}
END_TEST

START_TEST(a_stopped_stream_stops_none_of_its_connections)
{
	struct stream_end *caller, *app;
	struct stream *stopped, *other, *served, *fast;

	start();
	caller = dial_streams(GRPC);
	stopped = begin(caller);
	app = accepted_streams(GRPC);
	served = hear_call(app);
	hold(served);
	hold(stopped);
	head(served, .fill = MUCH);
	speak(stopped, .fill = MUCH);
	other = begin(caller);
	fast = hear_call(app);
	head(fast, .fill = MUCH);
	speak(other, .fill = MUCH, .ends = true);
	hear_message(fast, .fill = MUCH);
	hear_last(fast);
	finish(fast);
	hear_answer(other, .fill = MUCH);
	ck_assert_uint_gt(unsaid_bytes(stopped), MUCH / 2);
	ck_assert_uint_gt(unsaid_bytes(served), MUCH / 2);
	release(served);
	release(stopped);
	hear_message(served, .fill = MUCH);
	hear_head(stopped, .fill = MUCH);
	speak(stopped, .ends = true);
	finish(served);
	hear_last(stopped);
	ck_assert_uint_eq(memory(), 0);
}
END_TEST

START_TEST(a_caller_that_reads_nothing_stops_its_endpoint_and_not_its_neighbour)
{
	struct stream_end *slow, *quick, *app;
	struct stream *call, *other, *served, *fast;

	start();
	slow = dial_streams(GRPC, .window = 100000000);
	quick = dial_streams(GRPC);
	call = begin(slow, .ends = true);
	app = accepted_streams(GRPC);
	served = hear_call(app, .ends = true);
	take(net_of(slow), 0);
	answer(served, .fill = MUCH);
	ck_assert_uint_gt(unsaid_bytes(served), MUCH / 2);
	other = begin(quick, .ends = true);
	fast = hear_call(app, .ends = true);
	answer(fast, .fill = MUCH);
	hear_answer(other, .fill = MUCH);
	take(net_of(slow), FAKE_ALL);
	hear_answer(call, .fill = MUCH);
	ck_assert_uint_eq(memory(), 0);
}
END_TEST

START_TEST(an_endpoint_that_reads_nothing_stops_its_callers)
{
	struct stream_end *caller, *app;
	struct stream *calls[10], *served[10];
	size_t unsaid = 0;

	start();
	caller = dial_streams(GRPC);
	for (int i = 0; i < 10; i++)
		calls[i] = begin(caller);
	app = accepted_streams(GRPC, .window = 100000000);
	for (int i = 0; i < 10; i++)
		served[i] = hear_call(app);
	take(net_of(app), 0);
	for (int i = 0; i < 10; i++)
		speak(calls[i], .fill = MUCH / 10, .ends = true);
	for (int i = 0; i < 10; i++)
		unsaid += unsaid_bytes(calls[i]);
	ck_assert_uint_gt(unsaid, 0);
	take(net_of(app), FAKE_ALL);
	for (int i = 0; i < 10; i++) {
		hear_message(served[i], .fill = MUCH / 10);
		hear_last(served[i]);
		answer(served[i]);
		hear_answer(calls[i]);
	}
	ck_assert_uint_eq(memory(), 0);
}
END_TEST

START_TEST(a_connect_that_hangs_stops_its_caller)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start(.service = "timeout: {connect: 10s}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial_streams(GRPC);
	call = begin(caller);
	speak(call, .fill = MUCH, .ends = true);
	ck_assert_uint_gt(unsaid_bytes(call), MUCH / 2);
	ck_assert_uint_lt(memory(), HELD_MAX);
	app = accepted_streams(GRPC);
	fake_connected(net_of(app));
	served = hear_call(app);
	hear_message(served, .fill = MUCH);
	hear_last(served);
	answer(served);
	hear_answer(call);
	ck_assert_uint_eq(memory(), 0);
}
END_TEST

START_TEST(what_may_have_to_be_said_again_is_given_back_when_the_reply_begins)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .fill = 100000);
	served = hear_call(accepted_streams(GRPC), .fill = 100000);
	ck_assert_uint_gt(memory(), 0);
	head(served);
	hear_head(call);
	ck_assert_uint_eq(memory(), 0);
	speak(call, .fill = 100000);
	ck_assert_uint_eq(memory(), 0);
	give_up(call, H2_CANCEL);
}
END_TEST

START_TEST(windows_of_one_byte_are_enough)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC, .window = 1);
	call = begin(caller, .fill = 300, .ends = true);
	served = hear_call(accepted_streams(GRPC, .window = 1), .fill = 300, .ends = true);
	answer(served, .fill = 500);
	hear_answer(call, .fill = 500);
	logged("reason=ok in=1 out=1");
}
END_TEST

START_TEST(a_window_of_none_is_waited_for_and_then_used)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC, .window = 64);
	call = begin(caller, .ends = true);
	hold(call);
	served = hear_call(accepted_streams(GRPC), .ends = true);
	answer(served, .fill = 64 - PREFIX, .status = 5, .text = "why");
	hear_answer(call, .fill = 64 - PREFIX, .status = 5, .text = "why");
	logged("reason=app_exception");
	call = begin(caller, .ends = true);
	hold(call);
	gather(caller);
	release(call);
	let_go(caller);
	give_up(call, H2_CANCEL);
}
END_TEST

START_TEST(trailers_wait_for_the_data_before_them)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC, .window = 100);
	call = begin(caller, .ends = true);
	hold(call);
	served = hear_call(accepted_streams(GRPC), .ends = true);
	answer(served, .fill = 1000);
	hear_head(call);
	hear_silence(call);
	logged_nothing();
	release(call);
	hear_message(call, .fill = 1000);
	hear_last(call);
	logged("reason=ok");
}
END_TEST

START_TEST(an_error_of_the_proxy_passes_data_that_cannot_leave)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC, .window = 100);
	call = begin(caller, .ends = true);
	hold(call);
	app = accepted_streams(GRPC);
	served = hear_call(app, .ends = true);
	head(served, .fill = 1000);
	hear_head(call);
	reset(net_of(app));
	hear_refusal(call, REASON_RESET);
	logged("reason=reset");
	ck_assert_uint_eq(memory(), 0);
}
END_TEST

/* ---- TTHeader Streaming, which has no windows ---- */

START_TEST(a_stream_that_floods_a_connect_that_hangs_is_ended)
{
	struct stream_end *caller;
	struct stream *call;
	unsigned said = 0;

	start(.service = "timeout: {connect: 10s}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial_streams(TTS);
	call = begin(caller);
	for (; said < 100 && sim_lines() == 0; said++)
		speak(call, .fill = 10000);
	ck_assert_uint_ge(said * 10000, 250000);
	ck_assert_uint_lt(said, 30);
	hear_refusal(call, REASON_OVERLOAD);
	logged("reason=overload attempts=1");
	ck_assert_uint_eq(memory(), 0);
	ck_assert(!is_open(accepted()) && is_open(net_of(caller)));
}
END_TEST

START_TEST(a_slow_reader_loses_its_stream_and_its_neighbour_goes_on)
{
	struct stream_end *slow, *quick, *app;
	struct stream *call, *other, *served, *fast;
	unsigned said = 0;

	start();
	slow = dial_streams(TTS);
	quick = dial_streams(TTS);
	call = begin(slow);
	other = begin(quick);
	app = accepted_streams(TTS);
	served = hear_call(app);
	fast = hear_call(app);
	head(fast);
	hear_head(other);
	head(served);
	hear_head(call);
	take(net_of(slow), 0);
	for (; said < 100 && sim_lines() == 0; said++) {
		speak(served, .fill = 10000);
		speak(fast, .message = "quick");
		hear_message(other, .message = "quick");
	}
	ck_assert_uint_ge(said * 10000, 256 * 1024);
	ck_assert_uint_lt(said, 100);
	hear_given_up(served, REASON_CANCELED);
	logged("reason=overload");
	speak(fast, .message = "still", .ends = true);
	hear_message(other, .message = "still");
	hear_last(other);
	take(net_of(slow), FAKE_ALL);
	while (stream_next_event(call)->kind == STREAM_MESSAGE)
		;
	ck_assert_uint_lt(heard_bytes(call), said * 10000);
	ck_assert_uint_eq(memory(), 0);
	ck_assert(is_open(net_of(slow)) && is_open(net_of(app)));
}
END_TEST

START_TEST(an_endpoint_that_reads_slowly_costs_the_stream_that_floods_it)
{
	struct stream_end *caller, *app;
	struct stream *flood, *quiet, *served, *other;
	unsigned said = 0;

	start();
	caller = dial_streams(TTS);
	flood = begin(caller);
	quiet = begin(caller);
	app = accepted_streams(TTS);
	served = hear_call(app);
	other = hear_call(app);
	take(net_of(app), 0);
	for (; said < 100 && sim_lines() == 0; said++)
		speak(flood, .fill = 10000);
	ck_assert_uint_ge(said * 10000, 256 * 1024);
	ck_assert_uint_lt(said, 100);
	speak(quiet, .message = "quiet", .ends = true);
	hear_refusal(flood, REASON_RESET);
	take(net_of(app), FAKE_ALL);
	hear_message(other, .message = "quiet");
	hear_last(other);
	answer(other, .message = "served");
	hear_answer(quiet, .message = "served");
	while (stream_next_event(served)->kind == STREAM_MESSAGE)
		;
	ck_assert_uint_lt(heard_bytes(served), said * 10000);
	ck_assert_uint_eq(memory(), 0);
	logged("reason=reset detail~262144");
	logged("reason=ok");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {an_endpoint_that_gives_no_window_stops_its_caller, 1},
	    {a_caller_that_gives_no_window_stops_its_endpoint, 1},
	    {a_stopped_stream_stops_none_of_its_connections, 1},
	    {a_caller_that_reads_nothing_stops_its_endpoint_and_not_its_neighbour, 1},
	    {an_endpoint_that_reads_nothing_stops_its_callers, 1},
	    {a_connect_that_hangs_stops_its_caller, 1},
	    {what_may_have_to_be_said_again_is_given_back_when_the_reply_begins, 1},
	    {windows_of_one_byte_are_enough, 1},
	    {a_window_of_none_is_waited_for_and_then_used, 1},
	    {trailers_wait_for_the_data_before_them, 1},
	    {an_error_of_the_proxy_passes_data_that_cannot_leave, 1},
	    {a_stream_that_floods_a_connect_that_hangs_is_ended, 1},
	    {a_slow_reader_loses_its_stream_and_its_neighbour_goes_on, 1},
	    {an_endpoint_that_reads_slowly_costs_the_stream_that_floods_it, 1},
	};

	return stream_main("sim_stream_flow", tests, ARRAY_LEN(tests));
}
