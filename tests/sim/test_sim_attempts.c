/*
 * What attempts of one call owe each other: the body that all of them send, the reply that was kept
 * for when nothing better comes, and whoever goes on when another cannot.
 */
#include <check.h>

#include "base/mem.h"
#include "model/tally.h"
#include "proxy/world.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define IDEMPOTENT "methods: {'*': {idempotent: true}}, "
#define TO_GRPC    IDEMPOTENT "protocol: grpc, aliases: [shop.Price], "
#define THRIFT     "application/grpc+thrift"
#define ANY_ORDER  1u

/* ---- the body ---- */

START_TEST(a_shot_that_connects_late_says_all_of_a_call_longer_than_the_buffer)
{
	struct stream_end *caller, *one;
	struct stream *call, *first;

	start(.endpoints = 2,
	    .service = IDEMPOTENT "retry: {type: backup, delay: 20ms, buffer: 1KiB}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .fill = 20000, .ends = true);
	one = accepted_streams(GRPC);
	let_pass(20);
	hear_call(accepted_streams(GRPC), .message = "x", .fill = 20000, .ends = true);
	fake_connected(net_of(one));
	first = hear_call(one, .message = "x", .fill = 20000, .ends = true);
	answer(first, .message = "y");
	hear_answer(call, .message = "y");
}
END_TEST

START_TEST(a_call_longer_than_the_buffer_goes_whole_to_all)
{
	struct stream_end *caller;
	struct stream *call;

	start(.endpoints = 3,
	    .service =
		IDEMPOTENT "retry: {type: fork, buffer: 1KiB}, routes: [{fault: {delay: 10ms}}]");
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .fill = 20000, .ends = true);
	let_pass(10);
	for (int i = 0; i < 3; i++) {
		struct stream *served =
		    hear_call(accepted_streams(GRPC), .message = "x", .fill = 20000, .ends = true);

		if (i == 2)
			answer(served, .message = "y");
	}
	hear_answer(call, .message = "y");
	logged("reason=ok attempts=3");
}
END_TEST

START_TEST(connections_that_are_there_already_carry_such_a_call_too)
{
	struct stream_end *caller, *apps[2];
	struct stream *call;

	start(.endpoints = 2,
	    .service = IDEMPOTENT
	    "retry: {type: broadcast, buffer: 1KiB}, routes: [{fault: {delay: 10ms}}]");
	caller = dial_streams(GRPC);
	for (int i = 0; i < 2; i++) {
		struct stream *served[2];

		call = begin(caller, .message = "x", .fill = 20000, .ends = true);
		let_pass(10);
		for (int k = 0; k < 2; k++) {
			apps[k] = i ? apps[k] : accepted_streams(GRPC);
			served[k] = hear_call(apps[k], .message = "x", .fill = 20000, .ends = true);
		}
		for (int k = 0; k < 2; k++)
			answer(served[k], .message = "y");
		hear_answer(call, .message = "y");
	}
}
END_TEST

START_TEST(a_stream_whose_last_words_found_no_room_is_not_led_elsewhere_without_them)
{
	const size_t taken = ((size_t)1 << 20) - 60000;
	struct stream *call;

	start(.service = "retry: none, fallback: {on: [any], to: {service: other}}",
	    .services = "other: {endpoints: ['10.0.1.1:80']}", .top = "limits: {memory: 1MiB}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	call = begin(dial_streams(GRPC), .message = "x", .fill = 30000);
	accepted();
	atomic_fetch_add(&sim_worker()->shares->memory, taken);
	speak(call, .message = "y", .fill = 5000, .ends = true);
	atomic_fetch_sub(&sim_worker()->shares->memory, taken);
	hear_refusal(call, REASON_OVERLOAD);
	no_connect();
	logged("reason=overload");
}
END_TEST

/* ---- the reply that is kept ---- */

START_TEST(a_status_that_is_given_in_the_end_is_turned_into_an_exception)
{
	struct fake_end *caller;
	struct stream *served;

	start(.endpoints = 2, .service = TO_GRPC "retry: {on: ['grpc:14'], attempts: 1}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .method = "Quote", .text = "x");
	served = hear_call(accepted_streams(GRPC));
	fake_script(sim_loop(), FAKE_REFUSED, 9);
	refuse(served, .status = 14, .text = "busy");
	hear(caller, FRAMED, .kind = EXCEPTION, .seq = 7, .method = "Quote", .id = 6,
	    .text = "busy");
	logged("reason=app_exception");
}
END_TEST

START_TEST(a_reply_that_broke_off_leaves_nothing_in_the_one_that_is_given)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2,
	    .service = IDEMPOTENT "protocol: buffered, retry: {on: ['exception:9']}");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	app = accepted();
	hear(app, BUFFERED, .seq = 7);
	say(app, BUFFERED, .kind = EXCEPTION, .seq = 7, .id = 9, .text = "nine");
	app = accepted();
	hear(app, BUFFERED, .seq = 7);
	say_part(app, 0, 90000, BUFFERED, .seq = 7, .text = "reply", .fill = 100000);
	reset(app);
	hear(caller, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 9, .text = "nine");
	logged("reason=app_exception attempts=2");
}
END_TEST

START_TEST(an_exception_is_the_callers_where_the_fallback_cannot_have_the_call)
{
	struct fake_end *caller, *app;

	start(.service = "fallback: {on: [any], to: {service: other}}",
	    .services = "other: {endpoints: ['10.0.1.1:80'], protocol: grpc}");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	say(app, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 9, .text = "nine");
	hear(caller, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 9, .text = "nine");
	logged("service=app reason=app_exception status=9");
	no_connect();
}
END_TEST

START_TEST(the_alias_of_the_service_that_was_called_names_the_call_elsewhere)
{
	struct fake_end *caller, *app;
	struct stream *served;

	start(.service = "aliases: [shop.Price], fallback: {on: [any], to: {service: other}}",
	    .services = "other: {endpoints: ['10.0.1.1:80'], protocol: grpc}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .method = "Quote", .text = "x");
	app = accepted();
	hear(app, FRAMED, .seq = 7, .method = "Quote");
	reset(app);
	served = hear_call(accepted_streams(GRPC), .method = "Quote", .message = "x",
	    .body = AS_THRIFT, .ends = true);
	answer(served, .type = THRIFT, .message = "y", .body = AS_THRIFT);
	hear(caller, FRAMED, .seq = 7, .method = "Quote", .text = "y");
	logged("service=other reason=ok");
}
END_TEST

START_TEST(business_errors_of_grpc_are_answers_to_a_broadcast)
{
	struct fake_end *caller;
	struct stream *served[2];

	start(.endpoints = 2, .service = TO_GRPC "retry: broadcast");
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 7, .method = "Quote", .text = "x");
	for (int i = 0; i < 2; i++)
		served[i] = hear_call(accepted_streams(GRPC));
	refuse(served[0], .status = 13, .text = "gone", .keys = "biz-status=1404");
	hear_nothing(caller);
	answer(served[1], .type = THRIFT, .message = "y", .body = AS_THRIFT);
	hear(caller, TTHEADER_FRAMED, .seq = 7, .method = "Quote", .text = "y");
}
END_TEST

/* ---- who goes on ---- */

START_TEST(a_failure_that_waits_for_its_turn_stays_what_it_is)
{
	struct fake_end *caller, *app;

	start(.service = "retry: none, timeout: {call: 50ms}, "
			 "methods: {Slow: {timeout: {call: 10s}}}, "
			 "fallback: {on: [timeout], to: {service: other}}",
	    .services = "other: {endpoints: ['10.0.1.1:80']}");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .method = "Slow", .flags = ANY_ORDER);
	app = accepted();
	hear(app, TTHEADER, .seq = 1, .method = "Slow", .flags = ANY_ORDER);
	say_part(app, 0, 90000, TTHEADER, .kind = REPLY, .seq = 1, .method = "Slow",
	    .flags = ANY_ORDER, .fill = 100000);
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	say(caller, TTHEADER, .seq = 2, .flags = ANY_ORDER);
	pass(60);
	no_connect();
	say_part(app, 90000, 0, TTHEADER, .kind = REPLY, .seq = 1, .method = "Slow",
	    .flags = ANY_ORDER, .fill = 100000);
	hear(caller, TTHEADER, .seq = 1, .method = "Slow");
	hear_failure(caller, REASON_CONNECT_FAILED, TTHEADER, .seq = 2);
	sim_stop_quietly();
}
END_TEST

START_TEST(an_attempt_that_runs_is_waited_for_where_no_endpoint_is_left_for_another)
{
	struct fake_end *caller, *app;
	struct endpoint_tally *tally;

	start(.service = IDEMPOTENT "balance: {panic: 0%}, retry: {type: backup, delay: 20ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	tally = sim_worker()->world->snapshot->services[0].endpoint_tallies[0];
	endpoint_tally_set_health(tally, HEALTH_DOWN);
	pass(100);
	hear_nothing(caller);
	say(app, FRAMED, .seq = 7, .text = "late");
	hear(caller, FRAMED, .seq = 7, .text = "late");
	logged("reason=ok attempts=1");
}
END_TEST

START_TEST(a_back_off_that_has_begun_is_waited_for_whatever_becomes_of_others)
{
	struct fake_end *caller, *one, *two, *three;

	start(.endpoints = 3,
	    .service = IDEMPOTENT
	    "retry: {type: mixed, delay: 20ms, attempts: 3, backoff: 10ms, on: ['exception:9']}");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	one = accepted();
	hear(one, FRAMED, .seq = 7);
	pass(30);
	two = accepted();
	hear(two, FRAMED, .seq = 7);
	say(one, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 9);
	reset(two);
	hear_nothing(caller);
	pass(10);
	three = accepted();
	hear(three, FRAMED, .seq = 7);
	say(three, FRAMED, .seq = 7, .text = "good");
	hear(caller, FRAMED, .seq = 7, .text = "good");
	logged("reason=ok attempts=3");
}
END_TEST

START_TEST(a_forked_oneway_that_reached_one_is_good)
{
	struct fake_end *caller, *late;

	start(.endpoints = 2, .service = IDEMPOTENT "retry: fork");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 7, .text = "news");
	late = accepted();
	hear(accepted(), FRAMED, .kind = ONEWAY, .seq = 7, .text = "news");
	fake_refuse(late, 111);
	pass(0);
	logged("reason=ok attempts=2 kind=oneway");
}
END_TEST

/* ---- copies ---- */

START_TEST(a_copy_whose_reply_has_no_end_of_its_own_harms_nothing)
{
	struct fake_end *caller, *app;
	struct stream *copy;

	start(.service = "routes: [{mirror: {service: other}}]",
	    .services =
		"other: {endpoints: ['10.0.1.1:80'], protocol: grpc, aliases: [shop.Price]}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .method = "Quote", .text = "x");
	app = accepted();
	hear(app, FRAMED, .seq = 7, .method = "Quote");
	copy = hear_call(accepted_streams(GRPC), .message = "x", .body = AS_THRIFT, .ends = true);
	head(copy, .type = THRIFT, .message = "y", .fill = 3000, .body = AS_THRIFT);
	let_pass(1);
	finish_bare(copy);
	say(app, FRAMED, .seq = 7, .method = "Quote");
	hear(caller, FRAMED, .seq = 7, .method = "Quote");
}
END_TEST

/* What it needs of the listener goes with the connection. */
START_TEST(a_call_of_a_listener_that_is_gone_is_not_copied)
{
	struct fake_end *caller, *app, *copy;

	start(.service = "routes: [{mirror: {service: other}}]",
	    .services = "other: {endpoints: ['10.0.1.1:80']}");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .flags = ANY_ORDER);
	app = accepted();
	hear(app, TTHEADER, .seq = 1, .flags = ANY_ORDER);
	hear(accepted(), TTHEADER, .seq = 1, .flags = ANY_ORDER);
	reload(.service = "routes: [{mirror: {service: other}}]", .without_in = true,
	    .services = "other: {endpoints: ['10.0.1.2:80']}");
	fake_script(sim_loop(), FAKE_DEFAULT, 1);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	say(caller, TTHEADER, .seq = 2, .flags = ANY_ORDER);
	hear(accepted(), TTHEADER, .seq = 2, .flags = ANY_ORDER);
	copy = fake_accept(sim_loop());
	reset(caller);
	pass(1);
	if (copy)
		fake_connected(copy);
	pass(1);
	ck_assert_ptr_null(copy);
	sim_stop_quietly();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_shot_that_connects_late_says_all_of_a_call_longer_than_the_buffer, 1},
	    {a_call_longer_than_the_buffer_goes_whole_to_all, 1},
	    {connections_that_are_there_already_carry_such_a_call_too, 1},
	    {a_stream_whose_last_words_found_no_room_is_not_led_elsewhere_without_them, 1},
	    {a_failure_that_waits_for_its_turn_stays_what_it_is, 1},
	    {a_status_that_is_given_in_the_end_is_turned_into_an_exception, 1},
	    {a_reply_that_broke_off_leaves_nothing_in_the_one_that_is_given, 1},
	    {an_exception_is_the_callers_where_the_fallback_cannot_have_the_call, 1},
	    {the_alias_of_the_service_that_was_called_names_the_call_elsewhere, 1},
	    {business_errors_of_grpc_are_answers_to_a_broadcast, 1},
	    {an_attempt_that_runs_is_waited_for_where_no_endpoint_is_left_for_another, 1},
	    {a_back_off_that_has_begun_is_waited_for_whatever_becomes_of_others, 1},
	    {a_forked_oneway_that_reached_one_is_good, 1},
	    {a_copy_whose_reply_has_no_end_of_its_own_harms_nothing, 1},
	    {a_call_of_a_listener_that_is_gone_is_not_copied, 1},
	};

	return stream_main("sim_attempts", tests, ARRAY_LEN(tests));
}
