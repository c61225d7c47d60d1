/* How many connections an endpoint gets: calls that wait for one, and ones that wait for calls. */
#include <check.h>

#include "base/mem.h"
#include "support/sim.h"

#define ONE "retry: none, pool: {connections: 1}, timeout: {connect: 200ms}"

static struct fake_end *callers[4], *app;

/* The first has the connection, so many others wait for it. */
static void fill(const char *service, int waiting)
{
	start(.service = service);
	for (int i = 0; i <= waiting; i++) {
		callers[i] = dial();
		say(callers[i], FRAMED, .seq = i);
	}
	app = accepted();
	hear(app, FRAMED, .seq = 0);
	no_connect();
}

START_TEST(calls_wait_for_the_connection_in_their_order)
{
	fill(ONE, 3);
	for (int i = 0; i <= 3; i++) {
		if (i)
			hear(app, FRAMED, .seq = i);
		hear_nothing(app);
		say(app, FRAMED, .seq = i);
		hear(callers[i], FRAMED, .seq = i);
	}
	no_connect();
	ck_assert_uint_eq(upstreams(), 1);
}
END_TEST

START_TEST(a_newcomer_does_not_push_in)
{
	fill(ONE, 1);
	put(app, FRAMED, .seq = 0);
	callers[2] = dial();
	say(callers[2], FRAMED, .seq = 2); /* arrives with the reply */
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(app, FRAMED, .seq = 2);
}
END_TEST

START_TEST(a_wait_lasts_as_long_as_a_connect_may)
{
	fill(ONE, 1);
	pass(199);
	hear_nothing(callers[1]);
	pass(2);
	hear_failure(callers[1], REASON_CONNECT_FAILED, FRAMED, .seq = 1);
	logged("reason=connect_failed attempts=1 detail~pool.connections");
	say(app, FRAMED, .seq = 0);
	hear(callers[0], FRAMED, .seq = 0);
	say(callers[1], FRAMED, .seq = 5);
	hear(app, FRAMED, .seq = 5);
}
END_TEST

START_TEST(a_connection_that_ends_makes_room_for_a_fresh_one)
{
	fill(ONE, 1);
	reset(app);
	hear_failure(callers[0], REASON_RESET, FRAMED, .seq = 0);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(callers[1], FRAMED, .seq = 1);
}
END_TEST

/* The connection would wait for a reply that nobody wants. */
START_TEST(a_call_that_was_given_up_keeps_no_connection_from_others)
{
	for (int waits = 0; waits < 2; waits++) {
		fill("pool: {connections: 1}, timeout: {call: 5s}, retry: none", waits);
		reset(callers[0]);
		logged("reason=canceled");
		if (!waits) {
			callers[1] = dial();
			say(callers[1], FRAMED, .seq = 1);
		}
		app = accepted();
		hear(app, FRAMED, .seq = 1);
		say(app, FRAMED, .seq = 1);
		hear(callers[1], FRAMED, .seq = 1);
		sim_stop_quietly();
	}
}
END_TEST

START_TEST(who_waits_may_go_away)
{
	struct fake_end *gone;

	fill(ONE, 0);
	gone = dial_local(1000);
	say(gone, FRAMED, .seq = 9);
	callers[1] = dial();
	say(callers[1], FRAMED, .seq = 1);
	hang_up(gone);
	logged("reason=canceled");
	say(app, FRAMED, .seq = 0);
	hear(app, FRAMED, .seq = 1);
}
END_TEST

START_TEST(another_endpoint_takes_what_one_has_no_connection_for)
{
	start(.service = "pool: {connections: 1}, timeout: {connect: 50ms}, balance: round_robin",
	    .endpoints = 2);
	for (int i = 0; i < 3; i++) {
		callers[i] = dial();
		say(callers[i], FRAMED, .seq = i);
	}
	app = accepted();
	accepted();
	no_connect();
	pass(30);
	say(app, FRAMED, .seq = 0);
	pass(21); /* the third has waited at one of the two, and goes to the other */
	ck_assert_uint_eq(upstreams(), 2);
}
END_TEST

START_TEST(a_reload_may_allow_more)
{
	fill(ONE, 1);
	reload(.service = "retry: none, pool: {connections: 2}");
	hear(accepted(), FRAMED, .seq = 1);
}
END_TEST

START_TEST(a_worker_may_end_while_calls_wait)
{
	fill(ONE, 3);
	sim_stop();
}
END_TEST

START_TEST(the_last_call_of_an_old_world_may_wait)
{
	fill("retry: none, pool: {connections: 1}", 1);
	reload(.service = "retry: none", .first = 7);
	fake_script(sim_loop(), FAKE_NO_DESCRIPTOR, 1);
	reset(app);
	hear_failure(callers[0], REASON_RESET, FRAMED, .seq = 0);
	hear_failure(callers[1], REASON_CONNECT_FAILED, FRAMED, .seq = 1);
}
END_TEST

/* ---- warm ---- */

#define WARM "retry: none, pool: {warm: 2, idle_timeout: 10s}, timeout: {connect: 200ms}"

START_TEST(connections_are_ready_before_the_first_call)
{
	struct fake_end *ready[2];

	start(.service = WARM);
	pass(0);
	ready[0] = accepted();
	ready[1] = accepted();
	no_connect();
	pass(1);
	callers[0] = dial();
	say(callers[0], FRAMED, .seq = 1);
	app = fake_received(ready[0]).len ? ready[0] : ready[1];
	hear(app, FRAMED, .seq = 1);
	accepted(); /* the one that it took is made up for */
	no_connect();
	say(app, FRAMED, .seq = 1);
	hear(callers[0], FRAMED, .seq = 1);
	ck_assert_uint_eq(upstreams(), 3);
}
END_TEST

START_TEST(those_that_were_idle_too_long_are_replaced)
{
	start(.service = WARM);
	pass(0);
	hang_up(accepted());
	accepted();
	pass(15000);
	ck_assert_uint_eq(upstreams(), 2);
}
END_TEST

START_TEST(an_endpoint_that_is_down_is_left_in_peace)
{
	start(.service = WARM);
	fake_script(sim_loop(), FAKE_REFUSED, 2);
	pass(5000);
	ck_assert_uint_eq(fake_connects(sim_loop()), 2);
	callers[0] = dial();
	say(callers[0], FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
}
END_TEST

START_TEST(a_connect_for_nobody_does_not_hang_for_ever)
{
	start(.service = WARM);
	fake_script(sim_loop(), FAKE_HANGS, 2);
	pass(100);
	ck_assert_uint_eq(upstreams(), 2);
	pass(101);
	ck_assert_uint_eq(upstreams(), 0);
}
END_TEST

START_TEST(no_more_are_made_ready_than_there_may_be)
{
	start(.service = "pool: {warm: 2, connections: 2}");
	pass(0);
	accepted();
	accepted();
	callers[0] = dial();
	say(callers[0], FRAMED, .seq = 1);
	no_connect();
	ck_assert_uint_eq(upstreams(), 2);
}
END_TEST

START_TEST(nothing_is_made_ready_for_streams)
{
	start(.service = "protocol: grpc, pool: {warm: 2}");
	pass(0);
	no_connect();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    calls_wait_for_the_connection_in_their_order,
	    a_newcomer_does_not_push_in,
	    a_wait_lasts_as_long_as_a_connect_may,
	    a_connection_that_ends_makes_room_for_a_fresh_one,
	    a_call_that_was_given_up_keeps_no_connection_from_others,
	    who_waits_may_go_away,
	    another_endpoint_takes_what_one_has_no_connection_for,
	    a_reload_may_allow_more,
	    a_worker_may_end_while_calls_wait,
	    the_last_call_of_an_old_world_may_wait,
	    connections_are_ready_before_the_first_call,
	    those_that_were_idle_too_long_are_replaced,
	    an_endpoint_that_is_down_is_left_in_peace,
	    a_connect_for_nobody_does_not_hang_for_ever,
	    no_more_are_made_ready_than_there_may_be,
	    nothing_is_made_ready_for_streams,
	};

	return sim_main("sim_pool", tests, ARRAY_LEN(tests));
}
