/* The time of a call: whose it is, when it is up, and what becomes of a reply that comes too
 * late. */
#include <check.h>

#include "base/mem.h"
#include "support/sim.h"

START_TEST(the_default_time_ends_a_call_for_which_nobody_set_one)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	pass(29999);
	hear_nothing(caller);
	pass(1);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 1);
	logged("reason=timeout attempts=1 total=30000000");
	hear_end(app);
	ck_assert(is_open(caller));
	ck_assert_uint_eq(attempts(ATTEMPT_TIMEOUT), 1);
}
END_TEST

START_TEST(the_operators_time_ends_a_call_and_an_exception_says_it)
{
	struct fake_end *caller, *app;
	const struct sim_heard *failure;

	start(.service = "timeout: {call: 100ms}");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .keys = "12=5000");
	app = accepted();
	hear(app, TTHEADER, .seq = 1, .keys = "12=100");
	pass(99);
	hear_nothing(caller);
	pass(1);
	failure = hear_failure(caller, REASON_TIMEOUT, TTHEADER, .seq = 1, .keys = "22=3 !crrst");
	ck_assert(slice_starts(failure->text, SLICE_LIT("bridled: timeout: rpc timeout: ")));
	logged("reason=timeout total=100000");
}
END_TEST

START_TEST(the_callers_own_timer_fires_first_by_five_milliseconds)
{
	struct fake_end *caller;

	start(.service = "timeout: {call: 1s}");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .keys = "12=80");
	hear(accepted(), TTHEADER, .seq = 1, .keys = "12=80");
	pass(84);
	hear_nothing(caller);
	pass(1);
	hear_failure(caller, REASON_CALLER_DEADLINE, TTHEADER, .seq = 1);
	logged("reason=caller_deadline total=85000");
}
END_TEST

START_TEST(a_margin_answers_before_the_callers_time_is_up)
{
	struct fake_end *caller;

	start(.service = "timeout: {margin: 5ms}");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .keys = "12=100");
	hear(accepted(), TTHEADER, .seq = 1);
	pass(94);
	hear_nothing(caller);
	pass(1);
	hear_failure(caller, REASON_CALLER_DEADLINE, TTHEADER, .seq = 1);
}
END_TEST

START_TEST(junk_and_zero_are_no_time)
{
	static const char *const keys[] = {"12=0", "12=-5", "12=soon", "12=99999999999999999999"};

	start(.service = "timeout: {default: 50ms}");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct fake_end *caller = dial(), *app;

		say(caller, TTHEADER, .seq = 1, .keys = keys[i]);
		app = accepted();
		hear(app, TTHEADER, .seq = 1, .keys = keys[i]);
		pass(50);
		hear_failure(caller, REASON_TIMEOUT, TTHEADER, .seq = 1);
	}
}
END_TEST

START_TEST(the_time_that_is_left_is_passed_on_when_some_is_gone)
{
	struct fake_end *caller, *app;

	start(.service = "timeout: {connect: 1s}");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .keys = "12=1000");
	app = accepted();
	hear(app, TTHEADER, .seq = 1, .keys = "12=1000");
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	hang_up(app);
	fake_script(sim_loop(), FAKE_HANGS, 2);
	say(caller, TTHEADER, .seq = 2, .keys = "12=1000 1=unframed");
	app = accepted();
	pass(10);
	fake_connected(app);
	pass(0);
	hear(app, TTHEADER, .seq = 2, .keys = "12=1000 1=unframed"); /* 99 % of it are left */
	say(app, TTHEADER, .seq = 2);
	hear(caller, TTHEADER, .seq = 2);
	hang_up(app);
	say(caller, TTHEADER, .seq = 3, .keys = "12=1000 1=unframed");
	app = accepted();
	pass(11);
	fake_connected(app);
	pass(0);
	hear(app, TTHEADER, .seq = 3, .keys = "12=989 1=unframed");
}
END_TEST

START_TEST(the_time_counts_from_the_first_byte)
{
	struct fake_end *caller;

	start(.service = "timeout: {call: 100ms}");
	caller = dial();
	say_part(caller, 0, 8, FRAMED, .seq = 1);
	pass(60);
	say_part(caller, 8, 0, FRAMED, .seq = 1);
	hear(accepted(), FRAMED, .seq = 1);
	pass(40);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 1);
	logged("total=100000 queue=60000");
}
END_TEST

START_TEST(an_attempt_has_a_time_of_its_own)
{
	struct fake_end *caller, *app;

	start(.service = "timeout: {call: 1s, attempt: 100ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	pass(100);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 1);
	logged("reason=timeout attempts=1 total=100000");
	hear_end(app);
	no_connect(); /* it may have been carried out: not tried again */
}
END_TEST

START_TEST(a_late_reply_reaches_nobody)
{
	struct fake_end *caller, *app, *second;

	start(.service = "timeout: {call: 100ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	pass(100);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 1);
	say(caller, FRAMED, .seq = 1, .text = "again");
	second = accepted();
	hear(second, FRAMED, .seq = 1, .text = "again");
	say(app, FRAMED, .seq = 1, .text = "late");
	hear_nothing(caller);
	say(second, FRAMED, .seq = 1, .text = "right");
	hear(caller, FRAMED, .seq = 1, .text = "right");
}
END_TEST

START_TEST(the_reply_to_a_cancelled_call_is_thrown_away_and_the_connection_kept)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	reset(caller);
	logged("reason=canceled attempts=1");
	ck_assert(is_open(app));
	say(app, FRAMED, .seq = 1, .text = "for nobody");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	no_connect();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1, .text = "right");
	hear(caller, FRAMED, .seq = 1, .text = "right");
	ck_assert_uint_eq(attempts(ATTEMPT_CANCELED), 1);
}
END_TEST

START_TEST(a_discarded_reply_in_pieces_is_one_reply)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say_part(app, 0, 10, FRAMED, .seq = 1, .fill = 200000);
	reset(caller);
	say_part(app, 10, 100000, FRAMED, .seq = 1, .fill = 200000);
	say_part(app, 100000, 0, FRAMED, .seq = 1, .fill = 200000);
	caller = dial();
	say(caller, FRAMED, .seq = 2);
	no_connect();
	hear(app, FRAMED, .seq = 2);
}
END_TEST

START_TEST(a_reply_cancelled_in_its_middle_is_read_to_its_end)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say_part(app, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	reset(caller);
	logged("reason=canceled");
	say_part(app, 100000, 0, FRAMED, .seq = 1, .fill = 200000);
	caller = dial();
	say(caller, FRAMED, .seq = 2);
	no_connect();
	hear(app, FRAMED, .seq = 2);
}
END_TEST

START_TEST(a_discarding_connection_is_closed_when_the_calls_time_is_up)
{
	struct fake_end *caller, *app;

	start(.service = "timeout: {call: 100ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	pass(30);
	reset(caller);
	pass(69);
	ck_assert(is_open(app));
	pass(1);
	hear_end(app);
}
END_TEST

START_TEST(an_exception_that_is_discarded_ends_its_connection_like_any_other)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	reset(caller);
	say(app, FRAMED, .kind = EXCEPTION, .seq = 1, .text = "what?", .id = 7);
	hear_end(app);
}
END_TEST

START_TEST(at_most_four_connections_discard)
{
	struct fake_end *callers[6], *apps[6];

	start();
	for (int i = 0; i < 6; i++) {
		callers[i] = dial();
		say(callers[i], FRAMED, .seq = i);
		apps[i] = accepted();
		hear(apps[i], FRAMED, .seq = i);
	}
	for (int i = 0; i < 6; i++)
		reset(callers[i]);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(is_open(apps[i]), i < 4);
	for (int i = 0; i < 4; i++)
		say(apps[i], FRAMED, .seq = i);
	ck_assert_uint_eq(upstreams(), 4);
	callers[0] = dial();
	say(callers[0], FRAMED, .seq = 9);
	no_connect();
}
END_TEST

START_TEST(the_time_may_be_up_within_a_reply)
{
	struct fake_end *caller, *app;

	start(.service = "timeout: {call: 100ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say_part(app, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	ck_assert_uint_eq(fake_received(caller).len, 100000);
	pass(101);
	ck_assert(!is_open(caller));
	hear_end(app);
	logged("reason=timeout total=100000");
}
END_TEST

START_TEST(the_time_may_be_up_within_the_call_itself)
{
	struct fake_end *caller, *app;

	start(.service = "timeout: {call: 100ms}");
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	app = accepted();
	pass(100);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 1);
	fake_consume(app, fake_received(app).len);
	hear_end(app);
	say_part(caller, 100000, 0, FRAMED, .seq = 1, .fill = 200000);
	logged("reason=timeout");
	say(caller, FRAMED, .seq = 2);
	hear(accepted(), FRAMED, .seq = 2);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    the_default_time_ends_a_call_for_which_nobody_set_one,
	    the_operators_time_ends_a_call_and_an_exception_says_it,
	    the_callers_own_timer_fires_first_by_five_milliseconds,
	    a_margin_answers_before_the_callers_time_is_up,
	    junk_and_zero_are_no_time,
	    the_time_that_is_left_is_passed_on_when_some_is_gone,
	    the_time_counts_from_the_first_byte,
	    an_attempt_has_a_time_of_its_own,
	    a_late_reply_reaches_nobody,
	    the_reply_to_a_cancelled_call_is_thrown_away_and_the_connection_kept,
	    a_discarded_reply_in_pieces_is_one_reply,
	    a_reply_cancelled_in_its_middle_is_read_to_its_end,
	    a_discarding_connection_is_closed_when_the_calls_time_is_up,
	    an_exception_that_is_discarded_ends_its_connection_like_any_other,
	    at_most_four_connections_discard,
	    the_time_may_be_up_within_a_reply,
	    the_time_may_be_up_within_the_call_itself,
	};

	return sim_main("sim_times", tests, ARRAY_LEN(tests));
}
