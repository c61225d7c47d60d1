/* Several calls on one connection: one after another, or at once where the caller announced it. */
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "support/sim.h"

#define ANY_ORDER 1u /* the flag of a TTHeader that announces it */

START_TEST(calls_sent_ahead_are_carried_out_and_answered_in_order)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	for (int i = 1; i <= 3; i++)
		say(caller, FRAMED, .seq = i, .text = "c");
	app = accepted();
	no_connect();
	for (int i = 1; i <= 3; i++) {
		hear(app, FRAMED, .seq = i);
		hear_nothing(app);
		say(app, FRAMED, .seq = i, .text = "r");
		hear(caller, FRAMED, .seq = i, .text = "r");
		hear_nothing(caller);
	}
	ck_assert(is_open(caller));
}
END_TEST

START_TEST(three_calls_in_one_read_are_three_calls)
{
	struct fake_end *caller, *app;
	uint8_t all[512], *one;
	size_t at = 0, len;

	start();
	caller = dial();
	for (int i = 1; i <= 3; i++) {
		one = sim_frame_make(&(struct sim_frame){BUFFERED, .seq = i, .text = "c"}, &len);
		memcpy(all + at, one, len);
		at += len;
		free(one);
	}
	say_bytes(caller, slice_of(all, at));
	app = accepted();
	for (int i = 1; i <= 3; i++) {
		hear(app, BUFFERED, .seq = i);
		say(app, BUFFERED, .seq = i);
		hear(caller, BUFFERED, .seq = i);
	}
}
END_TEST

START_TEST(sequence_ids_may_be_equal)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	for (int i = 0; i < 3; i++)
		say(caller, FRAMED, .seq = 0, .text = i == 0 ? "a" : i == 1 ? "b" : "c");
	app = accepted();
	for (int i = 0; i < 3; i++) {
		const char *text = i == 0 ? "a" : i == 1 ? "b" : "c";

		hear(app, FRAMED, .seq = 0, .text = text);
		say(app, FRAMED, .seq = 0, .text = text);
		hear(caller, FRAMED, .seq = 0, .text = text);
	}
}
END_TEST

START_TEST(reading_ahead_stops_at_64_kib)
{
	struct fake_end *caller, *app;
	unsigned answered = 0;

	start();
	caller = dial();
	for (int i = 0; i < 300; i++)
		put(caller, FRAMED, .seq = i, .fill = 1000);
	pass(0);
	ck_assert_uint_gt(fake_unread(caller), 200000);
	ck_assert_uint_lt(fake_unread(caller), 300 * 1025 - 64 * 1024);
	app = accepted();
	for (int i = 0; i < 300; i++) {
		hear(app, FRAMED, .seq = i);
		say(app, FRAMED, .seq = i);
		hear(caller, FRAMED, .seq = i);
		answered++;
	}
	ck_assert_uint_eq(answered, 300);
	ck_assert_uint_eq(fake_unread(caller), 0);
}
END_TEST

START_TEST(a_failure_in_the_middle_does_not_disturb_the_order)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	for (int i = 1; i <= 3; i++)
		put(caller, FRAMED, .seq = i);
	pass(0);
	app = accepted();
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	hang_up(app);
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 2);
	app = accepted();
	hear(app, FRAMED, .seq = 3);
	say(app, FRAMED, .seq = 3);
	hear(caller, FRAMED, .seq = 3);
}
END_TEST

START_TEST(many_calls_that_fail_at_once_need_no_deep_stack)
{
	struct fake_end *caller;

	start();
	caller = dial_to("open");
	for (int i = 0; i < 2000; i++)
		put(caller, FRAMED, .seq = i);
	pass(0);
	for (int i = 0; i < 2000; i++)
		hear_failure(caller, REASON_NO_ROUTE, FRAMED, .seq = i);
	ck_assert(is_open(caller));
}
END_TEST

START_TEST(announced_calls_run_at_once_and_are_answered_as_they_end)
{
	struct fake_end *caller, *apps[3];

	start();
	caller = dial();
	for (int i = 0; i < 3; i++) {
		say(caller, TTHEADER, .seq = i + 1, .flags = ANY_ORDER);
		apps[i] = accepted();
		hear(apps[i], TTHEADER, .seq = i + 1, .flags = ANY_ORDER);
	}
	for (int i = 2; i >= 0; i--) {
		say(apps[i], TTHEADER, .seq = i + 1);
		hear(caller, TTHEADER, .seq = i + 1);
	}
}
END_TEST

START_TEST(reading_stops_at_the_limit_of_calls_in_flight)
{
	struct fake_end *caller, *apps[2];

	start(.listener = "in_flight: 2");
	caller = dial();
	for (int i = 0; i < 3; i++)
		say(caller, TTHEADER, .seq = i, .flags = ANY_ORDER);
	for (int i = 0; i < 2; i++) {
		apps[i] = accepted();
		hear(apps[i], TTHEADER, .seq = i);
	}
	no_connect();
	say(apps[1], TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	hear(apps[1], TTHEADER, .seq = 2);
}
END_TEST

START_TEST(an_unannounced_call_waits_for_all_before_it_and_runs_alone)
{
	struct fake_end *caller, *apps[2];

	start();
	caller = dial();
	for (int i = 0; i < 2; i++) {
		say(caller, TTHEADER, .seq = i, .flags = ANY_ORDER);
		apps[i] = accepted();
		hear(apps[i], TTHEADER, .seq = i);
	}
	say(caller, TTHEADER, .seq = 2, .text = "alone");
	say(caller, TTHEADER, .seq = 3, .flags = ANY_ORDER);
	say(apps[0], TTHEADER, .seq = 0);
	hear(caller, TTHEADER, .seq = 0);
	no_connect();
	hear_nothing(apps[0]);
	say(apps[1], TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	hear(apps[1], TTHEADER, .seq = 2, .text = "alone");
	hear_nothing(apps[0]); /* the next may not overtake it */
	no_connect();
	say(apps[1], TTHEADER, .seq = 2);
	hear(caller, TTHEADER, .seq = 2);
	hear(apps[1], TTHEADER, .seq = 3);
}
END_TEST

START_TEST(a_call_that_had_to_wait_is_counted_from_its_first_byte)
{
	struct fake_end *caller, *app;

	start(.service = "timeout: {call: 100ms}");
	caller = dial();
	say(caller, TTHEADER, .seq = 0, .flags = ANY_ORDER);
	app = accepted();
	say(caller, TTHEADER, .seq = 1);
	pass(60);
	say(app, TTHEADER, .seq = 0);
	hear(caller, TTHEADER, .seq = 0);
	pass(40);
	hear_failure(caller, REASON_TIMEOUT, TTHEADER, .seq = 1);
	logged("reason=ok");
	logged("reason=timeout total=100000");
}
END_TEST

START_TEST(a_waiting_call_is_cancelled_with_its_connection)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 0, .flags = ANY_ORDER);
	app = accepted();
	say(caller, TTHEADER, .seq = 1);
	reset(caller);
	logged("reason=canceled attempts=1");
	logged("reason=canceled attempts=0");
	ck_assert(is_open(app)); /* discards */
}
END_TEST

START_TEST(a_long_call_that_had_to_wait_is_sent_whole)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 0, .flags = ANY_ORDER);
	app = accepted();
	hear(app, TTHEADER, .seq = 0);
	say_part(caller, 0, 66000, TTHEADER, .seq = 1, .fill = 300000);
	say_part(caller, 66000, 0, TTHEADER, .seq = 1, .fill = 300000);
	hear_nothing(app);
	say(app, TTHEADER, .seq = 0);
	hear(caller, TTHEADER, .seq = 0);
	hear(app, TTHEADER, .seq = 1, .text = "", .fill = 300000);
}
END_TEST

START_TEST(replies_wait_while_a_long_one_is_written)
{
	struct fake_end *caller, *apps[3];

	start();
	caller = dial();
	for (int i = 0; i < 3; i++) {
		say(caller, TTHEADER, .seq = i, .flags = ANY_ORDER);
		apps[i] = accepted();
	}
	say_part(apps[0], 0, 100000, TTHEADER, .seq = 0, .fill = 200000);
	say(apps[1], TTHEADER, .seq = 1, .text = "short");
	say_part(apps[2], 0, 70000, TTHEADER, .seq = 2, .fill = 150000);
	ck_assert_uint_eq(fake_received(caller).len, 100000);
	say_part(apps[2], 70000, 0, TTHEADER, .seq = 2, .fill = 150000);
	say_part(apps[0], 100000, 0, TTHEADER, .seq = 0, .fill = 200000);
	hear(caller, TTHEADER, .seq = 0, .text = "", .fill = 200000);
	hear(caller, TTHEADER, .seq = 1, .text = "short");
	hear(caller, TTHEADER, .seq = 2, .text = "", .fill = 150000);
	for (int i = 0; i < 3; i++)
		logged("reason=ok");
}
END_TEST

START_TEST(a_failure_waits_while_a_long_reply_is_written)
{
	struct fake_end *caller, *apps[2];

	start();
	caller = dial();
	for (int i = 0; i < 2; i++) {
		say(caller, TTHEADER, .seq = i, .flags = ANY_ORDER);
		apps[i] = accepted();
	}
	say_part(apps[0], 0, 100000, TTHEADER, .seq = 0, .fill = 200000);
	hang_up(apps[1]);
	say_part(apps[0], 100000, 0, TTHEADER, .seq = 0, .fill = 200000);
	hear(caller, TTHEADER, .seq = 0, .text = "", .fill = 200000);
	hear_failure(caller, REASON_RESET, TTHEADER, .seq = 1);
}
END_TEST

START_TEST(a_long_reply_that_waits_for_its_turn_is_not_read_meanwhile)
{
	struct fake_end *caller, *apps[2];

	start();
	caller = dial();
	for (int i = 0; i < 2; i++) {
		say(caller, TTHEADER, .seq = i, .flags = ANY_ORDER);
		apps[i] = accepted();
	}
	say_part(apps[0], 0, 100000, TTHEADER, .seq = 0, .fill = 200000);
	say_part(apps[1], 0, 100000, TTHEADER, .seq = 1, .fill = 9000000);
	say_part(apps[1], 100000, 0, TTHEADER, .seq = 1, .fill = 9000000);
	ck_assert_uint_gt(fake_unread(apps[1]), 8900000 - 1);
	say_part(apps[0], 100000, 0, TTHEADER, .seq = 0, .fill = 200000);
	hear(caller, TTHEADER, .seq = 0, .text = "", .fill = 200000);
	hear(caller, TTHEADER, .seq = 1, .text = "", .fill = 9000000);
	ck_assert_uint_eq(fake_unread(apps[1]), 0);
}
END_TEST

START_TEST(a_long_reply_that_broke_off_while_it_waited_cuts_the_caller_off)
{
	struct fake_end *caller, *apps[2];

	start();
	caller = dial();
	for (int i = 0; i < 2; i++) {
		say(caller, TTHEADER, .seq = i, .flags = ANY_ORDER);
		apps[i] = accepted();
	}
	say_part(apps[0], 0, 100000, TTHEADER, .seq = 0, .fill = 200000);
	say_part(apps[1], 0, 100000, TTHEADER, .seq = 1, .fill = 200000);
	reset(apps[1]);
	say_part(apps[0], 100000, 0, TTHEADER, .seq = 0, .fill = 200000);
	pass(1);
	hear(caller, TTHEADER, .seq = 0, .text = "", .fill = 200000);
	ck_assert(!is_open(caller));
	logged("reason=ok");
	logged("reason=reset");
}
END_TEST

START_TEST(a_long_reply_that_breaks_off_takes_the_waiting_replies_along)
{
	struct fake_end *caller, *apps[2];

	start();
	caller = dial();
	for (int i = 0; i < 2; i++) {
		say(caller, TTHEADER, .seq = i, .flags = ANY_ORDER);
		apps[i] = accepted();
	}
	say_part(apps[0], 0, 100000, TTHEADER, .seq = 0, .fill = 200000);
	say(apps[1], TTHEADER, .seq = 1, .text = "waits");
	reset(apps[0]);
	pass(1);
	ck_assert(!is_open(caller));
	ck_assert_uint_eq(fake_received(caller).len, 100000);
	logged("reason=reset");
	logged("reason=canceled");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    calls_sent_ahead_are_carried_out_and_answered_in_order,
	    three_calls_in_one_read_are_three_calls,
	    sequence_ids_may_be_equal,
	    reading_ahead_stops_at_64_kib,
	    a_failure_in_the_middle_does_not_disturb_the_order,
	    many_calls_that_fail_at_once_need_no_deep_stack,
	    announced_calls_run_at_once_and_are_answered_as_they_end,
	    reading_stops_at_the_limit_of_calls_in_flight,
	    an_unannounced_call_waits_for_all_before_it_and_runs_alone,
	    a_call_that_had_to_wait_is_counted_from_its_first_byte,
	    a_waiting_call_is_cancelled_with_its_connection,
	    a_long_call_that_had_to_wait_is_sent_whole,
	    replies_wait_while_a_long_one_is_written,
	    a_failure_waits_while_a_long_reply_is_written,
	    a_long_reply_that_waits_for_its_turn_is_not_read_meanwhile,
	    a_long_reply_that_broke_off_while_it_waited_cuts_the_caller_off,
	    a_long_reply_that_breaks_off_takes_the_waiting_replies_along,
	};

	return sim_main("sim_order", tests, ARRAY_LEN(tests));
}
