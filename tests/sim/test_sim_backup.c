/* Several attempts at a time: backups, mixed, fork and broadcast, and what becomes of those that
 * lose. */
#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define BACKUP                                                                                     \
	"methods: {'*': {idempotent: true}}, "                                                     \
	"retry: {type: backup, delay: 20ms}"
#define MIXED                                                                                      \
	"methods: {'*': {idempotent: true}}, "                                                     \
	"retry: {type: mixed, delay: 20ms, attempts: 3, on: [reset, connect]}"

static uint64_t backups(void)
{
	return counter_get(&sim_stats()->retries_backup);
}

START_TEST(a_fast_reply_needs_no_backup)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2, .service = BACKUP);
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	pass(19);
	say(app, FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
	logged("reason=ok attempts=1");
	pass(100);
	no_connect();
	ck_assert_uint_eq(backups(), 0);
}
END_TEST

START_TEST(the_first_good_answer_wins)
{
	for (int second_wins = 0; second_wins < 2; second_wins++) {
		struct fake_end *caller, *first, *second;

		start(.endpoints = 2, .service = BACKUP);
		caller = dial();
		say(caller, TTHEADER_FRAMED, .seq = 7, .text = "hi", .keys = "6=app");
		first = accepted();
		hear(first, TTHEADER_FRAMED, .seq = 7, .keys = "!RPC_PERSIST_RetryReq");
		pass(19);
		no_connect();
		pass(1);
		second = accepted();
		hear(second, TTHEADER_FRAMED, .seq = 7, .text = "hi",
		    .keys = "RPC_PERSIST_RetryReq=1");
		say(second_wins ? second : first, TTHEADER_FRAMED, .seq = 7, .text = "winner");
		hear(caller, TTHEADER_FRAMED, .seq = 7, .text = "winner");
		logged("reason=ok attempts=2");
		ck_assert_uint_eq(backups(), 1);
		ck_assert_uint_eq(attempts(ATTEMPT_LOST), 1);
		ck_assert_uint_eq(attempts(ATTEMPT_OK), 1);
		ck_assert_uint_eq(in_flight(), 0);
		/* The loser's reply is read and thrown away, and its connection used again. */
		say(second_wins ? first : second, TTHEADER_FRAMED, .seq = 7, .text = "late");
		hear_nothing(caller);
		ck_assert_uint_eq(upstreams(), 2);
		sim_stop();
	}
}
END_TEST

START_TEST(the_connection_of_a_loser_never_brings_its_reply_to_another_call)
{
	struct fake_end *caller, *first, *second;

	start(.endpoints = 2, .service = BACKUP);
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	first = accepted();
	hear(first, FRAMED, .seq = 7);
	pass(20);
	second = accepted();
	hear(second, FRAMED, .seq = 7);
	say(second, FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
	for (int i = 0; i < 4; i++) {
		struct fake_end *app;

		say(caller, FRAMED, .seq = 8 + i);
		app = fake_accept(sim_loop());
		if (app == NULL)
			app = second;
		hear(app, FRAMED, .seq = 8 + i);
		if (i == 1)
			say(first, FRAMED, .seq = 7, .text = "late");
		say(app, FRAMED, .seq = 8 + i, .text = "right");
		hear(caller, FRAMED, .seq = 8 + i, .text = "right");
		if (i == 1)
			break;
	}
	hear_nothing(caller);
}
END_TEST

START_TEST(a_bad_answer_waits_for_the_other_shot)
{
	for (int good = 0; good < 2; good++) {
		struct fake_end *caller, *first, *second;

		start(.endpoints = 2, .service = BACKUP);
		caller = dial();
		say(caller, FRAMED, .seq = 7);
		first = accepted();
		hear(first, FRAMED, .seq = 7);
		pass(20);
		second = accepted();
		hear(second, FRAMED, .seq = 7);
		say(first, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "bad");
		hear_nothing(caller);
		if (good) {
			say(second, FRAMED, .seq = 7, .text = "good");
			hear(caller, FRAMED, .seq = 7, .text = "good");
			logged("reason=ok attempts=2");
		} else {
			reset(second);
			hear(caller, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "bad");
			logged("reason=app_exception attempts=2");
		}
		sim_stop();
	}
}
END_TEST

START_TEST(a_backup_goes_elsewhere_while_there_is_an_elsewhere)
{
	for (unsigned n = 1; n <= 2; n++) {
		struct fake_end *caller, *first, *second;

		start(.endpoints = n, .service = BACKUP);
		caller = dial();
		say(caller, FRAMED, .seq = 7);
		first = accepted();
		hear(first, FRAMED, .seq = 7);
		pass(20);
		second = accepted();
		hear(second, FRAMED, .seq = 7);
		ck_assert_int_eq(
		    strcmp(fake_address(first)->text, fake_address(second)->text) != 0, n > 1);
		sim_stop_quietly();
	}
}
END_TEST

START_TEST(a_backup_that_cannot_connect_harms_nothing)
{
	struct fake_end *caller, *first;

	start(.endpoints = 2, .service = BACKUP);
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	first = accepted();
	hear(first, FRAMED, .seq = 7);
	fake_script(sim_loop(), FAKE_REFUSED, 9);
	pass(30);
	hear_nothing(caller);
	say(first, FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
	logged("reason=ok");
}
END_TEST

START_TEST(a_caller_that_leaves_takes_all_shots_along)
{
	struct fake_end *caller, *first, *second;

	start(.endpoints = 2, .service = BACKUP);
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	first = accepted();
	hear(first, FRAMED, .seq = 7);
	pass(20);
	second = accepted();
	hear(second, FRAMED, .seq = 7);
	reset(caller);
	logged("reason=canceled attempts=2");
	ck_assert_uint_eq(attempts(ATTEMPT_CANCELED), 2);
	ck_assert_uint_eq(in_flight(), 0);
}
END_TEST

START_TEST(the_calls_time_ends_all_shots)
{
	struct fake_end *caller;

	start(.endpoints = 2, .service = BACKUP ", timeout: {call: 50ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	hear(accepted(), FRAMED, .seq = 7);
	pass(20);
	hear(accepted(), FRAMED, .seq = 7);
	pass(30);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 7);
	logged("reason=timeout attempts=2 total=50000");
	ck_assert_uint_eq(attempts(ATTEMPT_TIMEOUT), 2);
}
END_TEST

START_TEST(backups_stay_within_the_budget)
{
	struct fake_end *caller;
	unsigned connects;

	start(.endpoints = 2, .service = BACKUP);
	caller = dial();
	for (int i = 0; i < 300; i++) {
		struct fake_end *app;

		say(caller, FRAMED, .seq = i + 1);
		pass(25);
		while ((app = fake_accept(sim_loop())) != NULL) {
			hang_up(app);
			fake_settle(sim_loop());
			fake_forget(app);
		}
		sim_hear(__LINE__, caller,
		    &(struct sim_frame){FRAMED, .kind = EXCEPTION, .seq = i + 1, .id = 6});
	}
	connects = fake_connects(sim_loop());
	ck_assert_uint_ge(connects, 300 + 50);
	ck_assert_uint_le(connects, 300 * 5 / 4 + 30);
	sim_stop_quietly();
}
END_TEST

START_TEST(mixed_answers_a_failure_at_once_and_silence_after_the_delay)
{
	struct fake_end *caller, *first, *second, *third;

	start(.endpoints = 3, .service = MIXED);
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	first = accepted();
	hear(first, FRAMED, .seq = 7);
	pass(5);
	reset(first);
	second = accepted();
	hear(second, FRAMED, .seq = 7);
	pass(19);
	no_connect();
	pass(1);
	third = accepted();
	hear(third, FRAMED, .seq = 7);
	reset(third);
	hear(accepted(), FRAMED, .seq = 7);
	say(second, FRAMED, .seq = 7, .text = "good");
	hear(caller, FRAMED, .seq = 7, .text = "good");
	logged("reason=ok attempts=4");
}
END_TEST

/* What the proxy called the call that the endpoint hears next. */
static int32_t hear_id(struct fake_end *app)
{
	static struct sim_heard r;
	size_t used = sim_frame_read(fake_received(app), &r);

	ck_assert_uint_gt(used, 0);
	fake_consume(app, used);
	return r.seq;
}

START_TEST(a_failure_during_a_back_off_waits_for_what_comes_after_it)
{
	struct fake_end *caller, *first, *second, *third;

	start(.endpoints = 3,
	    .service = "methods: {'*': {idempotent: true}}, retry: {type: mixed, delay: 20ms, "
		       "attempts: 2, on: [reset, 'exception:9'], backoff: 30ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "call", .fill = 5000);
	first = accepted();
	hear(first, FRAMED, .seq = 7);
	pass(50);
	second = accepted();
	hear(second, FRAMED, .seq = 7);
	say(first, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 9, .text = "nine");
	pass(10);
	reset(second);
	hear_nothing(caller);
	pass(20);
	third = accepted();
	hear(third, FRAMED, .seq = 7, .text = "call", .fill = 5000);
	say(third, FRAMED, .seq = 7, .text = "good");
	hear(caller, FRAMED, .seq = 7, .text = "good");
	logged("reason=ok attempts=3");
}
END_TEST

START_TEST(backups_share_a_multiplexed_connection)
{
	struct fake_end *caller, *app;
	int32_t first, second, third;

	start(.service = BACKUP ", multiplex: true");
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 70, .keys = "6=app");
	app = accepted();
	first = hear_id(app);
	pass(20);
	no_connect();
	second = hear_id(app);
	ck_assert_int_ne(second, first);
	say(app, TTHEADER_FRAMED, .seq = second, .text = "second");
	hear(caller, TTHEADER_FRAMED, .seq = 70, .text = "second");
	say(app, TTHEADER_FRAMED, .seq = first, .text = "late");
	hear_nothing(caller);
	say(caller, TTHEADER_FRAMED, .seq = 71, .keys = "6=app");
	third = hear_id(app);
	say(app, TTHEADER_FRAMED, .seq = third, .text = "next");
	hear(caller, TTHEADER_FRAMED, .seq = 71, .text = "next");
}
END_TEST

/* ---- gRPC ---- */

START_TEST(a_grpc_call_has_backups_and_the_loser_is_reset)
{
	struct stream_end *caller, *one, *two;
	struct stream *call, *first, *second;

	start(.endpoints = 2, .service = BACKUP);
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .ends = true);
	one = accepted_streams(GRPC);
	first = hear_call(one, .message = "x", .ends = true);
	let_pass(20);
	two = accepted_streams(GRPC);
	second = hear_call(two, .message = "x", .ends = true, .keys = "rpc-persist-retryreq=1");
	answer(second, .message = "y");
	hear_answer(call, .message = "y");
	hear_reset(first, H2_CANCEL);
	logged("reason=ok attempts=2");
	ck_assert(is_open(net_of(one)));
}
END_TEST

START_TEST(a_grpc_call_that_goes_on_has_no_backup)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.endpoints = 2, .service = BACKUP);
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x");
	served = hear_call(accepted_streams(GRPC), .message = "x");
	let_pass(100);
	no_connect();
	speak(call, .message = "z", .ends = true);
	hear_message(served, .message = "z");
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	logged("attempts=1");
}
END_TEST

/* ---- fork and broadcast ---- */

#define FORK      "methods: {'*': {idempotent: true}}, retry: fork"
#define BROADCAST "methods: {'*': {idempotent: true}}, retry: broadcast"

START_TEST(fork_asks_all_and_takes_the_first_good_answer)
{
	struct fake_end *caller, *apps[3];

	start(.endpoints = 3, .service = FORK);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "all");
	for (int i = 0; i < 3; i++) {
		apps[i] = accepted();
		hear(apps[i], FRAMED, .seq = 7, .text = "all");
	}
	say(apps[1], FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "bad");
	reset(apps[2]);
	hear_nothing(caller);
	say(apps[0], FRAMED, .seq = 7, .text = "good");
	hear(caller, FRAMED, .seq = 7, .text = "good");
	logged("reason=ok attempts=3");
}
END_TEST

START_TEST(fork_fails_when_all_do)
{
	for (int excepts = 0; excepts < 2; excepts++) {
		struct fake_end *caller, *apps[2];

		start(.endpoints = 2, .service = FORK);
		caller = dial();
		say(caller, FRAMED, .seq = 7);
		for (int i = 0; i < 2; i++) {
			apps[i] = accepted();
			hear(apps[i], FRAMED, .seq = 7);
		}
		if (excepts)
			say(apps[0], FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "bad");
		else
			reset(apps[0]);
		hear_nothing(caller);
		reset(apps[1]);
		if (excepts)
			hear(caller, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "bad");
		else
			hear_failure(caller, REASON_RESET, FRAMED, .seq = 7);
		sim_stop_quietly();
	}
}
END_TEST

START_TEST(broadcast_answers_when_all_have)
{
	struct fake_end *caller, *apps[3];

	start(.endpoints = 3, .service = BROADCAST);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "all");
	for (int i = 0; i < 3; i++) {
		apps[i] = accepted();
		hear(apps[i], FRAMED, .seq = 7, .text = "all");
	}
	say(apps[0], FRAMED, .seq = 7, .text = "1");
	say(apps[2], FRAMED, .seq = 7, .text = "2");
	hear_nothing(caller);
	say(apps[1], FRAMED, .seq = 7, .text = "3");
	hear(caller, FRAMED, .seq = 7, .text = "3");
	logged("reason=ok attempts=3");
	ck_assert_ptr_nonnull(strstr(sim_line(), "\"answers\":[{\"endpoint\":\"10.0.0."));
	ck_assert_ptr_nonnull(strstr(sim_line(), "\"outcome\":\"ok\",\"us\":0}]}"));
	ck_assert_uint_eq(attempts(ATTEMPT_OK), 3);
}
END_TEST

START_TEST(broadcast_fails_with_the_first_that_fails)
{
	for (int excepts = 0; excepts < 2; excepts++) {
		struct fake_end *caller, *apps[3];

		start(.endpoints = 3, .service = BROADCAST);
		caller = dial();
		say(caller, FRAMED, .seq = 7);
		for (int i = 0; i < 3; i++) {
			apps[i] = accepted();
			hear(apps[i], FRAMED, .seq = 7);
		}
		say(apps[0], FRAMED, .seq = 7);
		if (excepts) {
			say(apps[2], FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "no");
			hear(caller, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "no");
		} else {
			reset(apps[2]);
			hear_failure(caller, REASON_RESET, FRAMED, .seq = 7);
		}
		ck_assert_uint_eq(in_flight(), 0);
		sim_stop_quietly();
	}
}
END_TEST

START_TEST(a_call_that_comes_in_pieces_goes_to_all_when_it_is_whole)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED, TTHEADER_FRAMED};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct fake_end *caller, *app;

		start(.endpoints = 2, .service = BROADCAST);
		caller = dial();
		say_part(caller, 0, 1000, forms[i], .seq = 7, .text = "all", .fill = 100000);
		no_connect();
		say_part(caller, 1000, 0, forms[i], .seq = 7, .text = "all", .fill = 100000);
		for (int k = 0; k < 2; k++) {
			app = accepted();
			hear(app, forms[i], .seq = 7, .text = "all", .fill = 100000);
			say(app, forms[i], .seq = 7);
		}
		hear(caller, forms[i], .seq = 7);
		logged("reason=ok attempts=2");
		sim_stop();
	}
}
END_TEST

START_TEST(a_call_too_long_for_all_is_not_broadcast)
{
	struct fake_end *caller;

	start(.endpoints = 2,
	    .service =
		"methods: {'*': {idempotent: true}}, retry: {type: broadcast, buffer: 50KiB}");
	caller = dial();
	say_part(caller, 0, 70000, FRAMED, .seq = 7, .fill = 100000);
	say_part(caller, 70000, 0, FRAMED, .seq = 7, .fill = 100000);
	hear_failure(caller, REASON_TOO_LARGE, FRAMED, .seq = 7);
	logged("reason=too_large attempts=0");
	no_connect();
	caller = dial();
	say_part(caller, 0, 70000, BUFFERED, .seq = 8, .fill = 100000);
	say_part(caller, 70000, 0, BUFFERED, .seq = 8, .fill = 100000);
	hear_failure(caller, REASON_TOO_LARGE, BUFFERED, .seq = 8);
	sim_stop_quietly();
}
END_TEST

START_TEST(a_grpc_call_goes_to_all_when_it_has_ended)
{
	struct stream_end *caller;
	struct stream *call, *served[2];

	start(.endpoints = 2, .service = _i ? BROADCAST : FORK);
	caller = dial_streams(GRPC);
	call = begin(caller);
	speak(call, .fill = 200000);
	no_connect();
	speak(call, .message = "last", .ends = true);
	for (int k = 0; k < 2; k++) {
		served[k] = hear_call(accepted_streams(GRPC));
		hear_message(served[k], .fill = 200000);
		hear_message(served[k], .message = "last", .ends = true);
	}
	answer(served[0], .message = "y");
	if (_i)
		answer(served[1], .message = "y");
	hear_answer(call, .message = "y");
	logged("reason=ok attempts=2");
}
END_TEST

START_TEST(a_grpc_call_too_long_for_all_forks_to_one)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.endpoints = 2,
	    .service = "methods: {'*': {idempotent: true}}, retry: {type: fork, buffer: 50KiB}");
	caller = dial_streams(GRPC);
	call = begin(caller);
	speak(call, .fill = 200000);
	served = hear_call(accepted_streams(GRPC));
	speak(call, .message = "last", .ends = true);
	hear_message(served, .fill = 200000);
	hear_message(served, .message = "last", .ends = true);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	logged("reason=ok attempts=1");
}
END_TEST

START_TEST(a_grpc_call_too_long_for_all_is_not_broadcast)
{
	struct stream *call;

	start(.endpoints = 2,
	    .service =
		"methods: {'*': {idempotent: true}}, retry: {type: broadcast, buffer: 50KiB}");
	call = begin(dial_streams(GRPC));
	speak(call, .fill = 200000);
	hear_refusal(call, REASON_TOO_LARGE);
	no_connect();
	sim_stop_quietly();
}
END_TEST

START_TEST(a_oneway_is_broadcast_too)
{
	struct fake_end *caller;

	start(.endpoints = 3, .service = BROADCAST);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 7, .text = "news");
	for (int i = 0; i < 3; i++)
		hear(accepted(), FRAMED, .kind = ONEWAY, .seq = 7, .text = "news");
	logged("reason=ok attempts=3 kind=oneway");
	hear_nothing(caller);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_fast_reply_needs_no_backup, 1},
	    {the_first_good_answer_wins, 1},
	    {the_connection_of_a_loser_never_brings_its_reply_to_another_call, 1},
	    {a_bad_answer_waits_for_the_other_shot, 1},
	    {a_backup_goes_elsewhere_while_there_is_an_elsewhere, 1},
	    {a_backup_that_cannot_connect_harms_nothing, 1},
	    {a_caller_that_leaves_takes_all_shots_along, 1},
	    {the_calls_time_ends_all_shots, 1},
	    {backups_stay_within_the_budget, 1},
	    {mixed_answers_a_failure_at_once_and_silence_after_the_delay, 1},
	    {a_failure_during_a_back_off_waits_for_what_comes_after_it, 1},
	    {backups_share_a_multiplexed_connection, 1},
	    {a_grpc_call_has_backups_and_the_loser_is_reset, 1},
	    {a_grpc_call_that_goes_on_has_no_backup, 1},
	    {fork_asks_all_and_takes_the_first_good_answer, 1},
	    {fork_fails_when_all_do, 1},
	    {broadcast_answers_when_all_have, 1},
	    {broadcast_fails_with_the_first_that_fails, 1},
	    {a_call_that_comes_in_pieces_goes_to_all_when_it_is_whole, 1},
	    {a_call_too_long_for_all_is_not_broadcast, 1},
	    {a_grpc_call_goes_to_all_when_it_has_ended, 2},
	    {a_grpc_call_too_long_for_all_forks_to_one, 1},
	    {a_grpc_call_too_long_for_all_is_not_broadcast, 1},
	    {a_oneway_is_broadcast_too, 1},
	};

	return stream_main("sim_backup", tests, ARRAY_LEN(tests));
}
