/* Finding a connection: refusals, full accept queues, stale ones out of the pool, and another
 * try. */
#include <check.h>

#include "base/mem.h"
#include "support/sim.h"

static uint64_t retries_connect(void)
{
	return counter_get(&sim_stats()->retries_connect);
}

static uint64_t retries_unsent(void)
{
	return counter_get(&sim_stats()->retries_unsent);
}

START_TEST(a_refused_connect_is_tried_at_the_next_endpoint)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2);
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "hi");
	app = accepted();
	hear(app, FRAMED, .seq = 1, .text = "hi");
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	logged("reason=ok attempts=2");
	ck_assert_uint_eq(attempts(ATTEMPT_CONNECT_FAILED), 1);
	ck_assert_uint_eq(attempts(ATTEMPT_OK), 1);
	ck_assert_uint_eq(retries_connect(), 1);
}
END_TEST

START_TEST(when_all_refuse_the_call_fails_after_three_tries)
{
	for (int is_local = 0; is_local < 2; is_local++) {
		struct fake_end *caller;

		start(.endpoints = 4, .is_local = is_local);
		fake_script(sim_loop(), FAKE_REFUSED, 9);
		caller = dial();
		say(caller, FRAMED, .seq = 1);
		hear_failure(caller, REASON_CONNECT_FAILED, FRAMED, .seq = 1);
		logged("reason=connect_failed attempts=3 detail~refused");
		ck_assert_uint_eq(fake_connects(sim_loop()), 3);
		ck_assert_uint_eq(attempts(ATTEMPT_CONNECT_FAILED), 3);
		ck_assert(is_open(caller));
		sim_stop();
	}
}
END_TEST

START_TEST(one_endpoint_is_tried_again_when_there_is_no_other)
{
	struct fake_end *caller;

	start();
	fake_script(sim_loop(), FAKE_REFUSED, 2);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	hear(accepted(), FRAMED, .seq = 1);
	ck_assert_uint_eq(fake_connects(sim_loop()), 3);
}
END_TEST

START_TEST(without_retries_the_first_refusal_is_the_answer)
{
	struct fake_end *caller;

	start(.endpoints = 2, .service = "retry: {type: none}");
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	hear_failure(caller, REASON_CONNECT_FAILED, FRAMED, .seq = 1);
	logged("reason=connect_failed attempts=1");
	no_connect();
}
END_TEST

START_TEST(a_connect_that_takes_too_long_is_given_up)
{
	struct fake_end *caller, *hanging;

	start(.endpoints = 2);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "kept");
	hanging = accepted();
	pass(249);
	no_connect();
	pass(1);
	hear_end(hanging);
	hear(accepted(), FRAMED, .seq = 1, .text = "kept");
	ck_assert_uint_eq(attempts(ATTEMPT_CONNECT_FAILED), 1);
}
END_TEST

START_TEST(the_calls_time_ends_a_connect_too)
{
	struct fake_end *caller, *hanging;

	start(.service = "timeout: {call: 100ms}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	hanging = accepted();
	pass(100);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 1);
	hear_end(hanging);
	logged("reason=timeout attempts=1");
}
END_TEST

START_TEST(a_full_accept_queue_is_asked_again_and_again)
{
	static const unsigned waits[] = {1, 2, 4, 8, 16, 32, 50, 50};
	struct fake_end *caller;

	start(.is_local = true);
	fake_script(sim_loop(), FAKE_BACKLOG, ARRAY_LEN(waits));
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "patient");
	for (unsigned i = 0; i < ARRAY_LEN(waits); i++) {
		ck_assert_uint_eq(fake_connects(sim_loop()), i + 1);
		pass(waits[i] - 1);
		ck_assert_uint_eq(fake_connects(sim_loop()), i + 1);
		pass(1);
	}
	hear(accepted(), FRAMED, .seq = 1, .text = "patient");
	ck_assert_uint_eq(counter_get(&sim_stats()->connect_backlog), ARRAY_LEN(waits));
	ck_assert_uint_eq(attempts(ATTEMPT_CONNECT_FAILED), 0);
}
END_TEST

START_TEST(an_accept_queue_that_stays_full_is_a_connect_that_failed)
{
	struct fake_end *caller;

	start(.is_local = true, .service = "timeout: {connect: 20ms}, retry: {type: none}");
	fake_script(sim_loop(), FAKE_BACKLOG, 100);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	pass(19);
	hear_nothing(caller);
	pass(1);
	hear_failure(caller, REASON_CONNECT_FAILED, FRAMED, .seq = 1);
	logged("reason=connect_failed attempts=1 detail~queue");
}
END_TEST

START_TEST(a_call_that_waits_for_the_accept_queue_can_be_cancelled)
{
	struct fake_end *caller;

	start(.is_local = true);
	fake_script(sim_loop(), FAKE_BACKLOG, 100);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	pass(5);
	reset(caller);
	logged("reason=canceled attempts=1");
	pass(1000);
	ck_assert_uint_eq(fake_connects(sim_loop()), 3);
}
END_TEST

START_TEST(no_descriptor_left_is_a_connect_that_failed)
{
	struct fake_end *caller;

	start(.service = "retry: {type: none}");
	fake_script(sim_loop(), FAKE_NO_DESCRIPTOR, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	hear_failure(caller, REASON_CONNECT_FAILED, FRAMED, .seq = 1);
}
END_TEST

START_TEST(a_stale_connection_out_of_the_pool_costs_nothing)
{
	struct fake_end *caller, *app;

	start(.service = "retry: {type: none}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	put(caller, FRAMED, .seq = 2); /* in one turn, and the proxy looks here first */
	reset(app);
	hear(accepted(), FRAMED, .seq = 2);
	ck_assert_uint_eq(attempts(ATTEMPT_UNSENT), 0);
}
END_TEST

START_TEST(all_stale_connections_are_gone_through)
{
	struct fake_end *callers[3], *apps[3];

	start(.is_local = true);
	for (int i = 0; i < 3; i++) {
		callers[i] = dial();
		say(callers[i], FRAMED, .seq = i);
		apps[i] = accepted();
	}
	for (int i = 0; i < 3; i++)
		say(apps[i], FRAMED, .seq = i);
	put(callers[0], FRAMED, .seq = 9);
	for (int i = 0; i < 3; i++)
		fake_close(apps[i]);
	pass(0);
	hear(accepted(), FRAMED, .seq = 9);
	no_connect();
	ck_assert_uint_eq(upstreams(), 1);
}
END_TEST

START_TEST(a_fresh_connection_that_breaks_before_a_byte_left_is_tried_elsewhere)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "hi");
	app = accepted();
	fake_connected(app);
	reset(app); /* before the connect is seen */
	hear(accepted(), FRAMED, .seq = 1, .text = "hi");
	ck_assert_uint_eq(attempts(ATTEMPT_UNSENT), 1);
	ck_assert_uint_eq(retries_unsent(), 1);
}
END_TEST

START_TEST(a_call_of_which_nothing_was_taken_is_tried_elsewhere)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "hi");
	app = accepted();
	fake_take(app, 0);
	fake_connected(app);
	pass(5);
	reset(app);
	hear(accepted(), FRAMED, .seq = 1, .text = "hi");
	ck_assert_uint_eq(attempts(ATTEMPT_UNSENT), 1);
}
END_TEST

START_TEST(a_call_of_which_one_byte_has_left_is_never_sent_again)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	fake_take(app, 1);
	fake_connected(app);
	pass(5);
	reset(app);
	no_connect();
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 1);
	logged("reason=reset attempts=1");
	ck_assert_uint_eq(attempts(ATTEMPT_RESET), 1);
	ck_assert_uint_eq(retries_unsent(), 0);
}
END_TEST

START_TEST(retry_on_may_leave_one_kind_out)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2, .service = "retry: {on: [connect]}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	fake_take(app, 0);
	fake_connected(app);
	pass(1);
	reset(app);
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 1);
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	say(caller, FRAMED, .seq = 2);
	hear(accepted(), FRAMED, .seq = 2);
}
END_TEST

START_TEST(endpoints_take_turns)
{
	struct fake_end *caller, *apps[4];

	start(.endpoints = 2);
	for (int i = 0; i < 4; i++) {
		caller = dial();
		say(caller, FRAMED, .seq = i);
		apps[i] = accepted();
	}
	ck_assert_str_ne(fake_address(apps[0])->text, fake_address(apps[1])->text);
	ck_assert_str_eq(fake_address(apps[0])->text, fake_address(apps[2])->text);
	ck_assert_str_eq(fake_address(apps[1])->text, fake_address(apps[3])->text);
	ck_assert_uint_eq(in_flight(), 4);
}
END_TEST

/* Calls three at a time, each answered: three connections in the pool. */
static void fill_pool(struct fake_end *callers[3], struct fake_end *apps[3])
{
	for (int i = 0; i < 3; i++) {
		callers[i] = dial();
		say(callers[i], FRAMED, .seq = i);
		apps[i] = accepted();
		hear(apps[i], FRAMED, .seq = i);
	}
	for (int i = 0; i < 3; i++) {
		say(apps[i], FRAMED, .seq = i);
		hear(callers[i], FRAMED, .seq = i);
	}
}

START_TEST(the_pool_keeps_as_many_as_it_may_and_the_most_recent)
{
	struct fake_end *callers[3], *apps[3];

	start(.service = "pool: {keep: 2}");
	fill_pool(callers, apps);
	ck_assert(!is_open(apps[0]) && is_open(apps[1]) && is_open(apps[2]));
	say(callers[0], FRAMED, .seq = 9);
	hear(apps[2], FRAMED, .seq = 9);
	hear_nothing(apps[1]);
}
END_TEST

START_TEST(a_pool_of_none_closes_after_each_call)
{
	struct fake_end *callers[3], *apps[3];

	start(.service = "pool: {keep: 0}");
	fill_pool(callers, apps);
	ck_assert(!is_open(apps[0]) && !is_open(apps[1]) && !is_open(apps[2]));
}
END_TEST

START_TEST(an_idle_connection_has_its_time)
{
	struct fake_end *callers[3], *apps[3];

	start(.service = "pool: {idle_timeout: 10s}");
	fill_pool(callers, apps);
	pass(5000);
	say(callers[0], FRAMED, .seq = 9);
	hear(apps[2], FRAMED, .seq = 9);
	say(apps[2], FRAMED, .seq = 9);
	pass(5000);
	ck_assert(!is_open(apps[0]) && !is_open(apps[1]) && is_open(apps[2]));
	pass(5000);
	ck_assert(!is_open(apps[2]));
	ck_assert_uint_eq(upstreams(), 0);
}
END_TEST

START_TEST(an_idle_connection_is_looked_at_before_it_is_used_again)
{
	struct fake_end *callers[3], *apps[3];

	start();
	fill_pool(callers, apps);
	pass(11);
	put(callers[0], FRAMED, .seq = 9);
	fake_send(apps[2], SLICE_LIT("junk")); /* there already, but not read yet */
	pass(0);
	hear_end(apps[2]);
	hear(apps[1], FRAMED, .seq = 9);
}
END_TEST

START_TEST(a_byte_that_nobody_asked_for_ends_an_idle_connection)
{
	struct fake_end *callers[3], *apps[3];

	start();
	fill_pool(callers, apps);
	say_bytes(apps[0], SLICE_LIT("?"));
	half_close(apps[1]);
	reset(apps[2]);
	ck_assert(!is_open(apps[0]) && !is_open(apps[1]) && !is_open(apps[2]));
	ck_assert_uint_eq(upstreams(), 0);
	say(callers[0], FRAMED, .seq = 9);
	hear(accepted(), FRAMED, .seq = 9);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_refused_connect_is_tried_at_the_next_endpoint,
	    when_all_refuse_the_call_fails_after_three_tries,
	    one_endpoint_is_tried_again_when_there_is_no_other,
	    without_retries_the_first_refusal_is_the_answer,
	    a_connect_that_takes_too_long_is_given_up,
	    the_calls_time_ends_a_connect_too,
	    a_full_accept_queue_is_asked_again_and_again,
	    an_accept_queue_that_stays_full_is_a_connect_that_failed,
	    a_call_that_waits_for_the_accept_queue_can_be_cancelled,
	    no_descriptor_left_is_a_connect_that_failed,
	    a_stale_connection_out_of_the_pool_costs_nothing,
	    all_stale_connections_are_gone_through,
	    a_fresh_connection_that_breaks_before_a_byte_left_is_tried_elsewhere,
	    a_call_of_which_nothing_was_taken_is_tried_elsewhere,
	    a_call_of_which_one_byte_has_left_is_never_sent_again,
	    retry_on_may_leave_one_kind_out,
	    endpoints_take_turns,
	    the_pool_keeps_as_many_as_it_may_and_the_most_recent,
	    a_pool_of_none_closes_after_each_call,
	    an_idle_connection_has_its_time,
	    an_idle_connection_is_looked_at_before_it_is_used_again,
	    a_byte_that_nobody_asked_for_ends_an_idle_connection,
	};

	return sim_main("sim_connect", tests, ARRAY_LEN(tests));
}
