/* Another attempt after one that failed: what counts as a failure, what it costs, how it is
 * marked. */
#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define IDEMPOTENT "methods: {'*': {idempotent: true}}, "

static uint64_t retries(void)
{
	return counter_get(&sim_stats()->retries_failure);
}

/* One call of two attempts: the first is @failed by the endpoint, the second one answered. */
static struct fake_end *second_of(struct fake_end *caller, void (*failed)(struct fake_end *app))
{
	struct fake_end *app;

	say(caller, TTHEADER_FRAMED, .seq = 7, .text = "hi", .keys = "6=app");
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 7, .text = "hi", .keys = "!RPC_PERSIST_RetryReq");
	failed(app);
	return accepted();
}

static void overloaded(struct fake_end *app)
{
	say(app, TTHEADER_FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6,
	    .text = "request over limit: request too frequent");
}

static void excepted(struct fake_end *app)
{
	say(app, TTHEADER_FRAMED, .kind = EXCEPTION, .seq = 7, .id = 9, .text = "nine");
}

static void biz_failed(struct fake_end *app)
{
	say(app, TTHEADER_FRAMED, .kind = REPLY, .seq = 7,
	    .keys = "biz-status=1404 biz-message=gone");
}

static void silent(struct fake_end *app)
{
	(void)app;
	pass(50);
}

START_TEST(what_the_policy_names_is_tried_again_and_marked)
{
	static const struct {
		const char *on;
		void (*failed)(struct fake_end *app);
	} rows[] = {
	    {"reset", reset},
	    {"reset", hang_up},
	    {"timeout", silent},
	    {"overload", overloaded},
	    {"'exception:9'", excepted},
	    {"'exception:1,9'", excepted},
	    {"'biz:7,1404'", biz_failed},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake_end *caller, *app;
		char service[300];

		snprintf(service, sizeof service,
		    IDEMPOTENT "timeout: {attempt: 50ms}, retry: {on: [%s]}", rows[i].on);
		start(.endpoints = 2, .service = service);
		caller = dial();
		app = second_of(caller, rows[i].failed);
		hear(
		    app, TTHEADER_FRAMED, .seq = 7, .text = "hi", .keys = "RPC_PERSIST_RetryReq=1");
		say(app, TTHEADER_FRAMED, .seq = 7, .text = "good");
		hear(caller, TTHEADER_FRAMED, .seq = 7, .text = "good");
		logged("reason=ok attempts=2");
		ck_assert_uint_eq(retries(), 1);
		sim_stop();
	}
}
END_TEST

START_TEST(what_it_does_not_name_goes_to_the_caller_as_it_came)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2, .service = IDEMPOTENT "retry: {on: [reset, 'exception:1', 'biz:1']}");
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 7, .keys = "6=app");
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 7);
	excepted(app);
	hear(caller, TTHEADER_FRAMED, .kind = EXCEPTION, .seq = 7, .id = 9, .text = "nine");
	logged("reason=app_exception attempts=1");
	no_connect();
}
END_TEST

START_TEST(methods_that_are_not_idempotent_are_not_repeated)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2,
	    .service = "methods: {Safe: {idempotent: true, retry: {on: [reset]}}}");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	reset(app);
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 7);
	no_connect();
	say(caller, FRAMED, .seq = 8, .method = "Safe");
	app = accepted();
	hear(app, FRAMED, .seq = 8, .method = "Safe");
	reset(app);
	hear(accepted(), FRAMED, .seq = 8, .method = "Safe");
}
END_TEST

START_TEST(the_last_answer_is_the_callers_when_none_is_good)
{
	struct fake_end *caller, *app;

	start(.endpoints = 3, .service = IDEMPOTENT "retry: {on: ['exception:9']}");
	caller = dial();
	app = second_of(caller, excepted);
	hear(app, TTHEADER_FRAMED, .seq = 7, .keys = "RPC_PERSIST_RetryReq=1");
	excepted(app);
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 7, .keys = "RPC_PERSIST_RetryReq=2");
	excepted(app);
	hear(caller, TTHEADER_FRAMED, .kind = EXCEPTION, .seq = 7, .id = 9, .text = "nine");
	logged("reason=app_exception attempts=3");
}
END_TEST

START_TEST(an_exception_is_better_than_no_answer)
{
	struct fake_end *caller;

	start(.endpoints = 2, .service = IDEMPOTENT "retry: {on: ['exception:9', connect]}");
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 7, .keys = "6=app");
	fake_script(sim_loop(), FAKE_REFUSED, 9);
	{
		struct fake_end *app = accepted();

		hear(app, TTHEADER_FRAMED, .seq = 7);
		excepted(app);
	}
	hear(caller, TTHEADER_FRAMED, .kind = EXCEPTION, .seq = 7, .id = 9, .text = "nine");
	logged("reason=app_exception attempts=3");
}
END_TEST

START_TEST(a_call_that_came_as_a_retry_is_not_retried)
{
	static const char *const chains[] = {"stop", "ignore"};

	for (int ignores = 0; ignores < 2; ignores++) {
		struct fake_end *caller, *app;
		char service[200];

		snprintf(service, sizeof service, IDEMPOTENT "retry: {on: [reset], chain: %s}",
		    chains[ignores]);
		start(.endpoints = 2, .service = service);
		caller = dial();
		say(caller, TTHEADER_FRAMED, .seq = 7, .keys = "6=app RPC_PERSIST_RETRYREQ=1");
		app = accepted();
		hear(app, TTHEADER_FRAMED, .seq = 7, .keys = "RPC_PERSIST_RETRYREQ=1");
		reset(app);
		if (ignores)
			hear(accepted(), TTHEADER_FRAMED, .seq = 7,
			    .keys = "RPC_PERSIST_RetryReq=1 !RPC_PERSIST_RETRYREQ");
		else
			hear_failure(caller, REASON_RESET, TTHEADER_FRAMED, .seq = 7);
		sim_stop();
	}
}
END_TEST

START_TEST(a_back_off_is_waited_for)
{
	struct fake_end *caller, *app;

	start(.endpoints = 3, .service = IDEMPOTENT
			      "retry: {on: [reset], backoff: {base: 20ms, max: 1s, jitter: 0%}}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "kept");
	app = accepted();
	hear(app, FRAMED, .seq = 7, .text = "kept");
	reset(app);
	pass(19);
	no_connect();
	pass(1);
	app = accepted();
	hear(app, FRAMED, .seq = 7, .text = "kept");
	reset(app);
	pass(39);
	no_connect();
	pass(1);
	app = accepted();
	hear(app, FRAMED, .seq = 7, .text = "kept");
	say(app, FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
}
END_TEST

START_TEST(a_caller_that_leaves_during_a_back_off_ends_the_call)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2, .service = IDEMPOTENT "retry: {on: [reset], backoff: 100ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	reset(app);
	pass(10);
	reset(caller);
	logged("reason=canceled attempts=1");
	pass(200);
	no_connect();
}
END_TEST

START_TEST(the_calls_time_bounds_all_attempts_and_waits)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2,
	    .service = IDEMPOTENT "timeout: {call: 60ms}, retry: {on: [reset], backoff: 100ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	reset(app);
	pass(60);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 7);
	logged("reason=timeout attempts=1 total=60000");
	pass(100);
	no_connect();
}
END_TEST

START_TEST(no_attempt_begins_after_the_duration)
{
	struct fake_end *caller, *app;

	start(.endpoints = 3, .service = IDEMPOTENT "retry: {on: [reset], duration: 100ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	pass(60);
	reset(app);
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	pass(60);
	reset(app);
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 7);
	logged("reason=reset attempts=2");
}
END_TEST

START_TEST(the_same_endpoint_can_be_asked_for)
{
	struct fake_end *caller, *app;
	const char *first;

	start(.endpoints = 5, .service = IDEMPOTENT "retry: {on: [reset], same_endpoint: true}");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	app = accepted();
	first = fake_address(app)->text;
	hear(app, FRAMED, .seq = 7);
	reset(app);
	app = accepted();
	ck_assert_str_eq(fake_address(app)->text, first);
}
END_TEST

START_TEST(retries_stay_within_their_budget)
{
	struct fake_end *caller;
	unsigned connects;

	start(.endpoints = 4,
	    .service = IDEMPOTENT "eject: none, retry: {on: [reset], attempts: 5}");
	caller = dial();
	for (int i = 0; i < 500; i++) {
		say(caller, FRAMED, .seq = 7);
		for (struct fake_end *app; (app = fake_accept(sim_loop())) != NULL;) {
			reset(app);
			fake_settle(sim_loop());
			fake_forget(app);
		}
		hear_failure(caller, REASON_RESET, FRAMED, .seq = 7);
		pass(10);
	}
	connects = fake_connects(sim_loop());
	ck_assert_uint_ge(connects, 500 + 80);
	ck_assert_uint_le(connects, 500 * 5 / 4);
	sim_stop_quietly();
}
END_TEST

START_TEST(a_oneway_is_not_repeated)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2, .service = IDEMPOTENT "retry: {on: [reset, timeout]}");
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 7);
	app = accepted();
	hear(app, FRAMED, .kind = ONEWAY, .seq = 7);
	logged("reason=ok attempts=1 kind=oneway");
	reset(app);
	pass(10);
	no_connect();
}
END_TEST

START_TEST(a_long_call_is_repeated_whole_up_to_the_buffer)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2, .service = IDEMPOTENT "retry: {on: [reset], buffer: 300KiB}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "a", .fill = 200000);
	app = accepted();
	hear(app, FRAMED, .seq = 7, .text = "a", .fill = 200000);
	reset(app);
	app = accepted();
	hear(app, FRAMED, .seq = 7, .text = "a", .fill = 200000);
	say(app, FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
	logged("reason=ok attempts=2");
	say(caller, FRAMED, .seq = 8, .text = "b", .fill = 400000);
	app = accepted();
	hear(app, FRAMED, .seq = 8, .text = "b", .fill = 400000);
	reset(app);
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 8);
	logged("reason=reset attempts=1");
}
END_TEST

START_TEST(a_long_call_that_had_to_wait_is_collected_whole)
{
	struct fake_end *caller, *app, *other;

	start(.endpoints = 2, .service = IDEMPOTENT "retry: {on: [reset]}");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .flags = 1);
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	say_part(caller, 0, 600, TTHEADER, .seq = 2, .text = "long", .fill = 200000);
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	say_part(caller, 600, 0, TTHEADER, .seq = 2, .text = "long", .fill = 200000);
	other = accepted();
	hear(other, TTHEADER, .seq = 2, .text = "long", .fill = 200000);
	say(other, TTHEADER, .seq = 2);
	hear(caller, TTHEADER, .seq = 2);
}
END_TEST

/* ---- gRPC ---- */

START_TEST(a_grpc_call_is_repeated_after_its_end_and_before_its_reply)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.endpoints = 2,
	    .service = "methods: {'*': {idempotent: true}}, retry: {on: [reset, 'grpc:14']}");
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .ends = true);
	served = hear_call(
	    accepted_streams(GRPC), .message = "x", .ends = true, .keys = "!rpc-persist-retryreq");
	refuse(served, .status = 14, .text = "later");
	served = hear_call(
	    accepted_streams(GRPC), .message = "x", .ends = true, .keys = "rpc-persist-retryreq=1");
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	logged("reason=ok attempts=2");
}
END_TEST

START_TEST(a_grpc_call_whose_caller_still_sends_is_not_repeated)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.endpoints = 2,
	    .service = "methods: {'*': {idempotent: true}}, retry: {on: [reset, 'grpc:14']}");
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x");
	served = hear_call(accepted_streams(GRPC), .message = "x");
	refuse(served, .status = 14, .text = "later");
	hear_answer(call, .status = 14, .text = "later");
	no_connect();
	sim_stop_quietly();
}
END_TEST

START_TEST(a_grpc_reply_that_has_begun_is_not_repeated)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.endpoints = 2,
	    .service = "methods: {'*': {idempotent: true}}, retry: {on: [reset, 'grpc:14']}");
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .ends = true);
	served = hear_call(accepted_streams(GRPC), .message = "x", .ends = true);
	head(served);
	speak(served, .message = "half");
	hear_head(call);
	hear_message(call, .message = "half");
	finish(served, .status = 14, .text = "later");
	hear_last(call, .status = 14, .text = "later");
	no_connect();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {what_the_policy_names_is_tried_again_and_marked, 1},
	    {what_it_does_not_name_goes_to_the_caller_as_it_came, 1},
	    {methods_that_are_not_idempotent_are_not_repeated, 1},
	    {the_last_answer_is_the_callers_when_none_is_good, 1},
	    {an_exception_is_better_than_no_answer, 1},
	    {a_call_that_came_as_a_retry_is_not_retried, 1},
	    {a_back_off_is_waited_for, 1},
	    {a_caller_that_leaves_during_a_back_off_ends_the_call, 1},
	    {the_calls_time_bounds_all_attempts_and_waits, 1},
	    {no_attempt_begins_after_the_duration, 1},
	    {the_same_endpoint_can_be_asked_for, 1},
	    {retries_stay_within_their_budget, 1},
	    {a_oneway_is_not_repeated, 1},
	    {a_long_call_is_repeated_whole_up_to_the_buffer, 1},
	    {a_long_call_that_had_to_wait_is_collected_whole, 1},
	    {a_grpc_call_is_repeated_after_its_end_and_before_its_reply, 1},
	    {a_grpc_call_whose_caller_still_sends_is_not_repeated, 1},
	    {a_grpc_reply_that_has_begun_is_not_repeated, 1},
	};

	return stream_main("sim_retry", tests, ARRAY_LEN(tests));
}
