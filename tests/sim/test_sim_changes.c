/* The world changes under running calls: reloads. */
#include <check.h>

#include "base/mem.h"
#include "support/sim.h"

/* ---- reloads ---- */

START_TEST(a_reload_leaves_connections_to_unchanged_endpoints_alone)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	reload(.service = "timeout: {call: 77ms}");
	ck_assert(is_open(caller) && is_open(app));
	say(caller, TTHEADER, .seq = 2, .keys = "12=1000");
	no_connect();
	hear(app, TTHEADER, .seq = 2, .keys = "12=77");
}
END_TEST

START_TEST(a_call_keeps_the_policy_it_began_with)
{
	struct fake_end *caller, *app;

	start(.service = "timeout: {call: 100ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	reload(.service = "timeout: {call: 5s}");
	reload(.service = "timeout: {call: 9s}, protocol: ttheader");
	pass(100);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 1);
	say(caller, FRAMED, .seq = 2);
	hear(accepted(), TTHEADER_FRAMED, .seq = 2, .keys = "12=9000");
}
END_TEST

START_TEST(an_endpoint_that_is_gone_keeps_its_calls_and_loses_its_pool)
{
	struct fake_end *callers[2], *apps[2];

	start();
	for (int i = 0; i < 2; i++) {
		callers[i] = dial();
		say(callers[i], FRAMED, .seq = i);
		apps[i] = accepted();
		hear(apps[i], FRAMED, .seq = i);
	}
	say(apps[0], FRAMED, .seq = 0);
	hear(callers[0], FRAMED, .seq = 0);
	reload(.first = 2);
	hear_end(apps[0]);
	say(callers[0], FRAMED, .seq = 5);
	apps[0] = accepted();
	ck_assert_str_eq(fake_address(apps[0])->text, "10.0.0.2:80");
	say(apps[1], FRAMED, .seq = 1, .text = "old");
	hear(callers[1], FRAMED, .seq = 1, .text = "old");
	hear_end(apps[1]);
	ck_assert_uint_eq(upstreams(), 1);
}
END_TEST

START_TEST(a_discarding_connection_goes_with_its_endpoint)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	reset(caller);
	ck_assert(is_open(app));
	reload(.first = 2);
	ck_assert(!is_open(app));
	sim_stop();
}
END_TEST

START_TEST(a_call_in_an_old_world_may_be_cancelled)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	reload(.first = 2);
	reset(caller);
	logged("reason=canceled service=app");
	ck_assert(!is_open(app));
	ck_assert_uint_eq(upstreams(), 0);
}
END_TEST

START_TEST(a_retry_in_an_old_world_stays_in_it)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	reload(.first = 5);
	fake_refuse(accepted(), 111);
	pass(0);
	app = accepted();
	ck_assert_str_ne(fake_address(app)->text, "10.0.0.5:80");
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	hear_end(app);
}
END_TEST

START_TEST(a_shared_connection_outlives_the_reload_for_its_calls)
{
	struct fake_end *caller, *app;
	struct sim_heard r;

	start(.service = "multiplex: true");
	caller = dial();
	say(caller, TTHEADER, .seq = 1);
	app = accepted();
	fake_consume(app, sim_frame_read(fake_received(app), &r));
	reload(.service = "multiplex: true", .first = 2);
	ck_assert(is_open(app));
	say(app, TTHEADER, .seq = r.seq, .text = "old");
	hear(caller, TTHEADER, .seq = 1, .text = "old");
	hear_end(app);
}
END_TEST

START_TEST(a_listener_that_is_gone_drains_its_connections)
{
	struct fake_end *idle, *busy, *app;

	start();
	idle = dial();
	busy = dial();
	say(busy, TTHEADER, .seq = 1);
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	reload(.without_in = true);
	pass(50);
	hear_end(idle);
	ck_assert(is_open(busy));
	say(app, TTHEADER, .seq = 1);
	hear(busy, TTHEADER, .seq = 1, .keys = "crrst=1");
	pass(50);
	hear_end(busy);
	ck_assert(is_open(app)); /* the service is still there */
	logged("reason=ok listener=in");
}
END_TEST

START_TEST(a_call_that_outlives_the_drain_of_a_reload_is_ended)
{
	struct fake_end *caller;

	start(.top = "reload: {drain: 1s}");
	caller = dial();
	say(caller, TTHEADER, .seq = 1);
	hear(accepted(), TTHEADER, .seq = 1);
	reload(.without_in = true);
	pass(900);
	reload(.without_in = true);
	pass(99);
	ck_assert(is_open(caller));
	pass(1);
	hear_failure(caller, REASON_DRAINING, TTHEADER, .seq = 1, .keys = "crrst=1");
	hear_end(caller);
	logged("reason=draining listener=in");
}
END_TEST

START_TEST(a_call_sent_ahead_on_a_listener_that_is_gone_is_still_answered)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	say(caller, FRAMED, .seq = 2);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	reload(.without_in = true);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	hear(app, FRAMED, .seq = 2);
	reload(.without_in = true);
	say(app, FRAMED, .seq = 2);
	hear(caller, FRAMED, .seq = 2);
	pass(50);
	hear_end(caller);
	logged("listener=in");
	logged("listener=in");
}
END_TEST

START_TEST(a_oneway_on_a_listener_that_is_gone_ends_with_its_connection)
{
	struct fake_end *caller, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .kind = ONEWAY);
	app = accepted();
	reload(.without_in = true);
	ck_assert(is_open(caller));
	fake_connected(app);
	pass(0);
	hear(app, FRAMED, .seq = 1, .kind = ONEWAY);
	pass(50);
	hear_end(caller);
	logged("reason=ok kind=oneway");
}
END_TEST

START_TEST(a_connection_may_arrive_for_a_listener_that_is_gone)
{
	struct fake_end *caller;

	start();
	reload(.without_in = true);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	no_connect();
	ck_assert_uint_eq(atomic_load(&sim_worker()->connections), 0);
}
END_TEST

START_TEST(a_pinned_service_that_is_gone_with_its_listener_is_no_route)
{
	struct fake_end *caller, *app;

	start();
	caller = dial_to("open");
	say(caller, TTHEADER, .seq = 1, .keys = "6=app");
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	reload(.services = "other: {endpoints: [\"10.9.9.9:9\"]}");
	say(caller, TTHEADER, .seq = 2, .keys = "6=other");
	hear(accepted(), TTHEADER, .seq = 2);
}
END_TEST

START_TEST(many_reloads_leave_no_world_behind)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	for (unsigned i = 0; i < 50; i++)
		reload(.first = 1 + i % 3, .endpoints = 1 + i % 2);
	ck_assert(!list_is_empty(&sim_worker()->worlds));
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	ck_assert(list_is_empty(&sim_worker()->worlds));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_reload_leaves_connections_to_unchanged_endpoints_alone,
	    a_call_keeps_the_policy_it_began_with,
	    an_endpoint_that_is_gone_keeps_its_calls_and_loses_its_pool,
	    a_discarding_connection_goes_with_its_endpoint,
	    a_call_in_an_old_world_may_be_cancelled,
	    a_retry_in_an_old_world_stays_in_it,
	    a_shared_connection_outlives_the_reload_for_its_calls,
	    a_listener_that_is_gone_drains_its_connections,
	    a_call_that_outlives_the_drain_of_a_reload_is_ended,
	    a_call_sent_ahead_on_a_listener_that_is_gone_is_still_answered,
	    a_oneway_on_a_listener_that_is_gone_ends_with_its_connection,
	    a_connection_may_arrive_for_a_listener_that_is_gone,
	    a_pinned_service_that_is_gone_with_its_listener_is_no_route,
	    many_reloads_leave_no_world_behind,
	};

	return sim_main("sim_changes", tests, ARRAY_LEN(tests));
}
