/* Limits of concurrency: when a call holds a place, and that it gives it back however it ends. */
#include <check.h>

#include "base/mem.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define ONE  "limit: {concurrency: 1}"
#define HERE "services.app.limit"

static const enum sim_form forms[] = {
    FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED, KPB, KPB_TTHEADER};

/* ---- unary calls ---- */

/* A call that holds the only place. */
static struct fake_end *hold_place(struct fake_end *caller, int seq)
{
	struct fake_end *app;

	say(caller, FRAMED, .seq = seq);
	app = accepted();
	hear(app, FRAMED, .seq = seq);
	ck_assert_uint_eq(running(HERE), 1);
	return app;
}

/* Whatever held it does not hold it any more. */
static void expect_free(void)
{
	struct fake_end *caller = dial(), *app;

	ck_assert_uint_eq(running(HERE), 0);
	say(caller, FRAMED, .seq = 99);
	app = accepted();
	hear(app, FRAMED, .seq = 99);
	ck_assert_uint_eq(running(HERE), 1);
	say(app, FRAMED, .seq = 99);
	hear(caller, FRAMED, .seq = 99);
	ck_assert_uint_eq(running(HERE), 0);
}

START_TEST(a_caller_hears_of_it_in_its_own_protocol)
{
	enum sim_form form = forms[_i];
	struct fake_end *first, *second, *app;

	start(.service = ONE);
	first = dial();
	second = dial();
	say(first, form, .seq = 1);
	app = accepted();
	hear(app, form, .seq = 1);
	say(second, form, .seq = 2);
	hear_failure(second, REASON_CONCURRENCY_LIMITED, form, .seq = 2);
	logged("reason=concurrency_limited attempts=0 detail~services.app.limit");
	say(app, form, .seq = 1);
	hear(first, form, .seq = 1);
	say(second, form, .seq = 3);
	hear(app, form, .seq = 3);
	say(app, form, .seq = 3);
	hear(second, form, .seq = 3);
}
END_TEST

START_TEST(calls_of_one_connection_count_one_by_one)
{
	struct fake_end *caller, *app;

	start(.service = ONE);
	caller = dial();
	app = hold_place(caller, 1);
	say(caller, FRAMED, .seq = 2); /* waits for its connection, not for a place */
	hear_nothing(caller);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	hear(app, FRAMED, .seq = 2);
	ck_assert_uint_eq(running(HERE), 1);
}
END_TEST

START_TEST(an_exception_ends_a_call)
{
	struct fake_end *caller, *app;

	start(.service = ONE);
	caller = dial();
	app = hold_place(caller, 1);
	say(app, FRAMED, .kind = EXCEPTION, .seq = 1, .id = 6, .text = "no");
	hear(caller, FRAMED, .kind = EXCEPTION, .seq = 1);
	hang_up(app);
	expect_free();
}
END_TEST

START_TEST(a_caller_that_goes_away_gives_its_place_back)
{
	struct fake_end *caller;

	start(.service = ONE);
	caller = dial_local(1000);
	say(caller, FRAMED, .seq = 1);
	hear(accepted(), FRAMED, .seq = 1);
	ck_assert_uint_eq(running(HERE), 1);
	hang_up(caller);
	logged("reason=canceled");
	expect_free();
}
END_TEST

START_TEST(a_call_whose_time_is_up_gives_its_place_back)
{
	struct fake_end *caller;

	start(.service = ONE ", timeout: {call: 50ms}");
	caller = dial();
	hang_up(hold_place(caller, 1));
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 1);
	ck_assert_uint_eq(running(HERE), 0);
	hold_place(caller, 2);
	pass(51);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 2);
	expect_free();
}
END_TEST

START_TEST(a_call_that_cannot_connect_gives_its_place_back)
{
	struct fake_end *caller;

	start(.service = ONE ", retry: none");
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	hear_failure(caller, REASON_CONNECT_FAILED, FRAMED, .seq = 1);
	expect_free();
}
END_TEST

START_TEST(a_long_reply_holds_the_place_to_its_last_byte)
{
	struct fake_end *caller, *app;

	start(.service = ONE);
	caller = dial();
	app = hold_place(caller, 1);
	say_part(app, 0, 1000, FRAMED, .seq = 1, .fill = 300000);
	ck_assert_uint_eq(running(HERE), 1);
	say_part(app, 1000, 0, FRAMED, .seq = 1, .fill = 300000);
	hear(caller, FRAMED, .seq = 1, .fill = 300000);
	hang_up(app);
	expect_free();
}
END_TEST

START_TEST(a_oneway_holds_the_place_until_it_is_written)
{
	struct fake_end *caller, *app;

	start(.service = ONE);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	ck_assert_uint_eq(running(HERE), 1);
	app = accepted();
	fake_connected(app);
	pass(0);
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1);
	ck_assert_uint_eq(running(HERE), 0);
}
END_TEST

START_TEST(service_and_method_both_must_have_a_place)
{
	struct fake_end *callers[4], *slow, *fast;

	start(.service = "limit: {concurrency: 2}, methods: {Slow: {limit: {concurrency: 1}}}");
	for (size_t i = 0; i < ARRAY_LEN(callers); i++)
		callers[i] = dial();
	say(callers[0], FRAMED, .seq = 1, .method = "Slow");
	slow = accepted();
	say(callers[1], FRAMED, .seq = 2, .method = "Slow");
	hear_failure(callers[1], REASON_CONCURRENCY_LIMITED, FRAMED, .seq = 2, .method = "Slow");
	logged("reason=concurrency_limited detail~services.app.methods.Slow.limit");
	ck_assert_uint_eq(running(HERE), 1); /* nothing of the service's was kept */
	say(callers[2], FRAMED, .seq = 3, .method = "Fast");
	fast = accepted();
	say(callers[3], FRAMED, .seq = 4, .method = "Fast");
	hear_failure(callers[3], REASON_CONCURRENCY_LIMITED, FRAMED, .seq = 4, .method = "Fast");
	logged("reason=concurrency_limited detail~services.app.limit");
	ck_assert_uint_eq(running("services.app.methods.Slow.limit"), 1);
	say(slow, FRAMED, .seq = 1, .method = "Slow");
	ck_assert_uint_eq(running("services.app.methods.Slow.limit"), 0);
	ck_assert_uint_eq(running(HERE), 1);
	say(fast, FRAMED, .seq = 3, .method = "Fast");
	ck_assert_uint_eq(running(HERE), 0);
}
END_TEST

START_TEST(each_caller_has_places_for_itself)
{
	struct fake_end *a, *b;

	start(.service = "limit: {concurrency: 1, by: caller}");
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .keys = "3=shop.a");
	hear(accepted(), TTHEADER, .seq = 1);
	say(b, TTHEADER, .seq = 2, .keys = "3=shop.a");
	hear_failure(b, REASON_CONCURRENCY_LIMITED, TTHEADER, .seq = 2);
	logged("reason=concurrency_limited detail~caller");
	say(b, TTHEADER, .seq = 3, .keys = "3=shop.b");
	hear(accepted(), TTHEADER, .seq = 3);
	ck_assert_uint_eq(running(HERE), 2);
}
END_TEST

START_TEST(a_reload_may_change_how_many)
{
	struct fake_end *callers[3];

	start(.service = "limit: {concurrency: 1}");
	for (int i = 0; i < 3; i++)
		callers[i] = dial();
	hold_place(callers[0], 1);
	reload(.service = "limit: {concurrency: 2}");
	say(callers[1], FRAMED, .seq = 2);
	hear(accepted(), FRAMED, .seq = 2);
	reload(.service = "limit: {concurrency: 1}");
	ck_assert_uint_eq(running(HERE), 2);
	say(callers[2], FRAMED, .seq = 3);
	hear_failure(callers[2], REASON_CONCURRENCY_LIMITED, FRAMED, .seq = 3);
}
END_TEST

/* ---- streams ---- */

START_TEST(a_stream_holds_a_place_until_it_ends)
{
	struct stream_end *caller, *app;
	struct stream *call, *refused, *served;

	start(.service = ONE);
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	app = accepted_streams(_i);
	served = hear_call(app, .message = "1");
	head(served, .message = "a");
	hear_head(call, .message = "a");
	let_pass(60 * 1000);
	refused = begin(caller, .message = "2");
	hear_refusal(refused, REASON_CONCURRENCY_LIMITED);
	logged("reason=concurrency_limited attempts=0");
	finish(call);
	hear_last(served);
	ck_assert_uint_eq(running(HERE), 1);
	finish(served);
	hear_last(call);
	ck_assert_uint_eq(running(HERE), 0);
	call = begin(caller, .message = "3", .ends = true);
	answer(hear_call(app, .message = "3", .ends = true), .message = "c");
	hear_answer(call, .message = "c");
}
END_TEST

START_TEST(a_stream_given_up_gives_its_place_back)
{
	static const uint32_t canceled[FAMILIES] = {H2_CANCEL, 12007};
	static const uint32_t broken[FAMILIES] = {2, 12011};
	struct stream_end *caller, *app;
	struct stream *call;

	start(.service = ONE);
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	app = accepted_streams(_i);
	hear_call(app, .message = "1");
	give_up(call, canceled[_i]);
	ck_assert_uint_eq(running(HERE), 0);
	call = begin(caller, .message = "2");
	give_up(hear_call(app, .message = "2"), broken[_i]);
	ck_assert_uint_eq(running(HERE), 0);
	begin(caller, .message = "3");
	ck_assert_uint_eq(running(HERE), 1);
	hang_up(net_of(caller));
	stream_settle();
	ck_assert_uint_eq(running(HERE), 0);
}
END_TEST

/* ---- injected delay ---- */

#define DELAY "routes: [{fault: {delay: {for: 100ms}}}]"

START_TEST(an_injected_delay_holds_a_call_back)
{
	struct fake_end *caller, *app;

	start(.service = ONE ", " DELAY);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	pass(99);
	no_connect();
	ck_assert_uint_eq(running(HERE), 1);
	pass(1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	ck_assert_uint_eq(running(HERE), 0);
}
END_TEST

START_TEST(a_delayed_call_may_be_given_up)
{
	struct fake_end *caller;

	start(.service = ONE ", " DELAY);
	caller = dial_local(1000);
	say(caller, FRAMED, .seq = 1);
	hang_up(caller);
	logged("reason=canceled attempts=0");
	ck_assert_uint_eq(running(HERE), 0);
	pass(200);
	no_connect();
}
END_TEST

START_TEST(a_delay_longer_than_the_time_of_the_call_ends_with_it)
{
	struct fake_end *caller;

	start(.service = ONE ", timeout: {call: 60ms}, " DELAY);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	pass(61);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 1);
	logged("reason=timeout attempts=0");
	ck_assert_uint_eq(running(HERE), 0);
	pass(200);
	no_connect();
}
END_TEST

START_TEST(a_long_body_comes_in_while_its_call_is_delayed)
{
	struct fake_end *caller, *app;

	start(.service = DELAY);
	caller = dial();
	say_part(caller, 0, 5000, FRAMED, .seq = 1, .fill = 300000);
	pass(50);
	say_part(caller, 5000, 100000, FRAMED, .seq = 1, .fill = 300000);
	no_connect();
	pass(60);
	say_part(caller, 100000, 0, FRAMED, .seq = 1, .fill = 300000);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .fill = 300000);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_caller_hears_of_it_in_its_own_protocol, ARRAY_LEN(forms)},
	    {calls_of_one_connection_count_one_by_one, 1},
	    {an_exception_ends_a_call, 1},
	    {a_caller_that_goes_away_gives_its_place_back, 1},
	    {a_call_whose_time_is_up_gives_its_place_back, 1},
	    {a_call_that_cannot_connect_gives_its_place_back, 1},
	    {a_long_reply_holds_the_place_to_its_last_byte, 1},
	    {a_oneway_holds_the_place_until_it_is_written, 1},
	    {service_and_method_both_must_have_a_place, 1},
	    {each_caller_has_places_for_itself, 1},
	    {a_reload_may_change_how_many, 1},
	    {a_stream_holds_a_place_until_it_ends, FAMILIES},
	    {a_stream_given_up_gives_its_place_back, FAMILIES},
	    {an_injected_delay_holds_a_call_back, 1},
	    {a_delayed_call_may_be_given_up, 1},
	    {a_delay_longer_than_the_time_of_the_call_ends_with_it, 1},
	    {a_long_body_comes_in_while_its_call_is_delayed, 1},
	};

	return stream_main("sim_limits_slots", tests, ARRAY_LEN(tests));
}
