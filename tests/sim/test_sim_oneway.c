/* Calls that nobody answers. */
#include <check.h>

#include "base/mem.h"
#include "support/sim.h"

START_TEST(a_oneway_is_delivered_and_nothing_comes_back)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED, KPB};

	start();
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct fake_end *caller = dial(), *app;

		say(caller, forms[i], .kind = ONEWAY, .seq = 3, .text = "go");
		app = accepted();
		hear(app, forms[i], .kind = ONEWAY, .seq = 3, .text = "go");
		hear_nothing(caller);
		ck_assert(is_open(caller));
		logged("reason=ok kind=oneway attempts=1 bytes_out=0");
		hang_up(app);
	}
}
END_TEST

START_TEST(oneways_have_connections_of_their_own_and_share_them)
{
	struct fake_end *caller, *calls, *oneways;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	calls = accepted();
	hear(calls, FRAMED, .seq = 1);
	say(calls, FRAMED, .seq = 1);
	say(caller, FRAMED, .kind = ONEWAY, .seq = 2);
	oneways = accepted();
	hear(oneways, FRAMED, .kind = ONEWAY, .seq = 2);
	say(caller, FRAMED, .kind = ONEWAY, .seq = 3);
	hear(oneways, FRAMED, .kind = ONEWAY, .seq = 3);
	say(caller, FRAMED, .seq = 4);
	hear(calls, FRAMED, .seq = 4);
	no_connect();
}
END_TEST

START_TEST(what_a_server_answers_to_a_oneway_is_thrown_away)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1);
	say(app, FRAMED, .seq = 1, .text = "done!");
	hear_nothing(caller);
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1);
	say(caller, FRAMED, .seq = 1);
	hear(accepted(), FRAMED, .seq = 1);
	hear_nothing(caller);
}
END_TEST

START_TEST(a_oneway_whose_caller_closes_right_after_it_is_delivered)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	put(caller, FRAMED, .kind = ONEWAY, .seq = 1, .text = "go");
	hang_up(caller);
	app = accepted();
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1, .text = "go");
	logged("reason=ok kind=oneway");
}
END_TEST

START_TEST(a_oneway_whose_caller_is_gone_while_it_connects_is_delivered)
{
	struct fake_end *caller, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1, .text = "go");
	app = accepted();
	reset(caller);
	logged_nothing();
	ck_assert(!sim_is_drained());
	pass(20);
	fake_connected(app);
	pass(0);
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1, .text = "go");
	logged("reason=ok kind=oneway total=20000");
	ck_assert(sim_is_drained());
}
END_TEST

START_TEST(a_oneway_whose_caller_is_gone_and_that_cannot_be_delivered_is_no_success)
{
	struct fake_end *caller;

	start(.service = "timeout: {call: 100ms}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	reset(caller);
	pass(100);
	logged("reason=timeout kind=oneway attempts=1");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	reset(caller);
	accepted();
	fake_script(sim_loop(), FAKE_REFUSED, 9);
	fake_refuse(accepted(), 111);
	pass(0);
	logged("reason=connect_failed kind=oneway attempts=3");
}
END_TEST

START_TEST(a_oneway_that_fails_tells_nobody_but_the_log)
{
	struct fake_end *caller;

	start();
	fake_script(sim_loop(), FAKE_REFUSED, 3);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	hear_nothing(caller);
	ck_assert(is_open(caller));
	logged("reason=connect_failed kind=oneway attempts=3 bytes_out=0");
	caller = dial_to("open");
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	hear_nothing(caller);
	logged("reason=no_route kind=oneway");
}
END_TEST

START_TEST(oneways_wait_together_for_their_connection)
{
	struct fake_end *a, *b, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	a = dial();
	b = dial();
	say(a, FRAMED, .kind = ONEWAY, .seq = 1, .text = "a");
	say(b, FRAMED, .kind = ONEWAY, .seq = 2, .text = "b");
	app = accepted();
	no_connect();
	fake_connected(app);
	pass(0);
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1, .text = "a");
	hear(app, FRAMED, .kind = ONEWAY, .seq = 2, .text = "b");
}
END_TEST

START_TEST(a_refused_connect_for_oneways_fails_each_once)
{
	struct fake_end *callers[3], *app;

	start(.endpoints = 1);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	for (int i = 0; i < 3; i++) {
		callers[i] = dial();
		say(callers[i], FRAMED, .kind = ONEWAY, .seq = i);
	}
	fake_refuse(accepted(), 111);
	pass(0);
	app = accepted();
	no_connect();
	for (int i = 0; i < 3; i++) {
		hear(app, FRAMED, .kind = ONEWAY, .seq = i);
		logged("reason=ok attempts=2");
	}
	ck_assert_uint_eq(attempts(ATTEMPT_CONNECT_FAILED), 3);
}
END_TEST

START_TEST(a_stale_connection_for_oneways_is_replaced)
{
	struct fake_end *caller, *app;

	start(.service = "retry: {type: none}");
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1);
	put(caller, FRAMED, .kind = ONEWAY, .seq = 2);
	reset(app);
	hear(accepted(), FRAMED, .kind = ONEWAY, .seq = 2);
	logged("reason=ok");
	logged("reason=ok");
}
END_TEST

START_TEST(a_oneway_is_over_when_its_last_byte_has_left)
{
	struct fake_end *caller, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1, .text = "go");
	app = accepted();
	fake_take(app, 5);
	fake_connected(app);
	pass(20);
	logged_nothing();
	take(app, FAKE_ALL);
	pass(10);
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1, .text = "go");
	logged("reason=ok");
}
END_TEST

START_TEST(a_oneway_that_breaks_off_half_way_is_a_reset)
{
	struct fake_end *caller, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1, .text = "go");
	app = accepted();
	fake_take(app, 5);
	fake_connected(app);
	pass(20);
	reset(app);
	logged("reason=reset attempts=1");
	no_connect();
	hear_nothing(caller);
}
END_TEST

START_TEST(a_long_oneway_is_not_mixed_with_another)
{
	struct fake_end *a, *b, *app, *other;

	start();
	a = dial();
	b = dial();
	say_part(a, 0, 100000, FRAMED, .kind = ONEWAY, .seq = 1, .fill = 200000);
	app = accepted();
	say(b, FRAMED, .kind = ONEWAY, .seq = 2, .text = "between");
	other = accepted();
	hear(other, FRAMED, .kind = ONEWAY, .seq = 2, .text = "between");
	say_part(a, 100000, 0, FRAMED, .kind = ONEWAY, .seq = 1, .fill = 200000);
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1, .text = "", .fill = 200000);
	hear_nothing(a);
	logged("reason=ok");
	logged("reason=ok");
}
END_TEST

START_TEST(a_long_oneway_does_not_come_between_those_that_waited_for_a_connection)
{
	struct fake_end *one, *two, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	one = dial();
	two = dial();
	say(one, FRAMED, .kind = ONEWAY, .seq = 1, .text = "first");
	say_part(one, 0, 90000, FRAMED, .kind = ONEWAY, .seq = 2, .text = "long", .fill = 100000);
	say(two, FRAMED, .kind = ONEWAY, .seq = 3, .text = "second");
	app = accepted();
	fake_connected(app);
	fake_settle(sim_loop());
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1, .text = "first");
	hear(app, FRAMED, .kind = ONEWAY, .seq = 3, .text = "second");
	hear_nothing(app);
	say_part(one, 90000, 0, FRAMED, .kind = ONEWAY, .seq = 2, .text = "long", .fill = 100000);
	hear(accepted(), FRAMED, .kind = ONEWAY, .seq = 2, .text = "long", .fill = 100000);
}
END_TEST

START_TEST(a_long_oneway_goes_as_fast_as_its_endpoint_reads)
{
	struct fake_end *caller, *app;
	size_t sent = 0;

	start(.service = "pool: {idle_timeout: 50ms}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .kind = ONEWAY, .seq = 1, .fill = 2000000);
	app = accepted();
	fake_take(app, 0);
	fake_connected(app);
	for (long at = 100000; at < 1900000; at += 100000)
		say_part(
		    caller, at, at + 100000, FRAMED, .kind = ONEWAY, .seq = 1, .fill = 2000000);
	say_part(caller, 1900000, 0, FRAMED, .kind = ONEWAY, .seq = 1, .fill = 2000000);
	ck_assert_uint_gt(fake_unread(caller), 1000000);
	for (; sent < 2000000; sent += 100000) {
		take(app, 100000);
		pass(20);
	}
	take(app, FAKE_ALL);
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1, .text = "", .fill = 2000000);
	pass(10);
	logged("reason=ok");
}
END_TEST

START_TEST(a_long_oneway_whose_endpoint_is_gone_is_read_to_its_end)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .kind = ONEWAY, .seq = 1, .fill = 200000);
	app = accepted();
	reset(app);
	say_part(caller, 100000, 0, FRAMED, .kind = ONEWAY, .seq = 1, .fill = 200000);
	hear_nothing(caller);
	logged("reason=reset attempts=1");
	say(caller, FRAMED, .seq = 2);
	hear(accepted(), FRAMED, .seq = 2);
}
END_TEST

START_TEST(a_long_oneway_cut_off_by_its_caller_is_cancelled)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .kind = ONEWAY, .seq = 1, .fill = 200000);
	app = accepted();
	reset(caller);
	ck_assert(!is_open(app));
	logged("reason=canceled kind=oneway");
}
END_TEST

START_TEST(a_long_oneway_that_is_cut_off_takes_no_other_along)
{
	struct fake_end *a, *b, *app, *other;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	a = dial();
	b = dial();
	say(a, FRAMED, .kind = ONEWAY, .seq = 1, .text = "first");
	app = accepted();
	fake_take(app, 5);
	fake_connected(app);
	pass(0);
	say_part(b, 0, 100000, FRAMED, .kind = ONEWAY, .seq = 2, .fill = 200000);
	other = accepted();
	reset(b);
	ck_assert(is_open(app) && !is_open(other));
	take(app, FAKE_ALL);
	pass(10);
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1, .text = "first");
	logged("reason=canceled");
	logged("reason=ok");
}
END_TEST

START_TEST(a_oneway_to_a_multiplexing_server_keeps_its_connection_and_id)
{
	struct fake_end *caller, *app;

	start(.service = "multiplex: true");
	caller = dial();
	say(caller, TTHEADER, .kind = ONEWAY, .seq = 9, .text = "go");
	app = accepted();
	hear(app, TTHEADER, .kind = ONEWAY, .seq = 9, .text = "go");
	logged("reason=ok");
}
END_TEST

START_TEST(a_oneway_above_the_limit_is_dropped_without_a_word)
{
	struct fake_end *caller;

	start();
	caller = dial_over_limit();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	hear_end(caller);
	logged("reason=connection_limited kind=oneway");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_oneway_is_delivered_and_nothing_comes_back,
	    oneways_have_connections_of_their_own_and_share_them,
	    what_a_server_answers_to_a_oneway_is_thrown_away,
	    a_oneway_whose_caller_closes_right_after_it_is_delivered,
	    a_oneway_whose_caller_is_gone_while_it_connects_is_delivered,
	    a_oneway_whose_caller_is_gone_and_that_cannot_be_delivered_is_no_success,
	    a_oneway_that_fails_tells_nobody_but_the_log,
	    oneways_wait_together_for_their_connection,
	    a_refused_connect_for_oneways_fails_each_once,
	    a_stale_connection_for_oneways_is_replaced,
	    a_oneway_is_over_when_its_last_byte_has_left,
	    a_oneway_that_breaks_off_half_way_is_a_reset,
	    a_long_oneway_is_not_mixed_with_another,
	    a_long_oneway_does_not_come_between_those_that_waited_for_a_connection,
	    a_long_oneway_goes_as_fast_as_its_endpoint_reads,
	    a_long_oneway_whose_endpoint_is_gone_is_read_to_its_end,
	    a_long_oneway_cut_off_by_its_caller_is_cancelled,
	    a_long_oneway_that_is_cut_off_takes_no_other_along,
	    a_oneway_to_a_multiplexing_server_keeps_its_connection_and_id,
	    a_oneway_above_the_limit_is_dropped_without_a_word,
	};

	return sim_main("sim_oneway", tests, ARRAY_LEN(tests));
}
