/* Long bodies: relayed as they come, as fast as the other side takes them, and cut off anywhere. */
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "net/conn.h"
#include "support/sim.h"

#define MIB (1024u * 1024)

/* What a conn may hold: the high-water mark and one read on top of it. */
#define QUEUE_MOST (CONN_HIGH_WATER + 192u * 1024)

START_TEST(long_calls_and_replies_pass_in_every_form)
{
	static const enum sim_form forms[] = {
	    FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED, KPB, KPB_TTHEADER};

	start();
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct fake_end *caller = dial(), *app;

		for (long at = 0; at < 300000; at += 30000)
			say_part(caller, at, at + 30000, forms[i], .seq = 1, .fill = 300000);
		say_part(caller, 300000, 0, forms[i], .seq = 1, .fill = 300000);
		app = accepted();
		hear(app, forms[i], .seq = 1, .text = "", .fill = 300000);
		for (long at = 0; at < 300000; at += 30000)
			say_part(app, at, at + 30000, forms[i], .seq = 1, .fill = 300000);
		ck_assert_uint_gt(fake_received(caller).len, 100000); /* not collected */
		say_part(app, 300000, 0, forms[i], .seq = 1, .fill = 300000);
		hear(caller, forms[i], .seq = 1, .text = "", .fill = 300000);
		logged("reason=ok");
		ck_assert(is_open(app) && is_open(caller));
		hang_up(app);
	}
}
END_TEST

START_TEST(the_next_call_may_follow_in_the_same_read)
{
	struct fake_end *caller, *app;
	uint8_t *both, *one, *two;
	size_t len_one, len_two;

	start();
	caller = dial();
	one = sim_frame_make(&(struct sim_frame){BUFFERED, .seq = 1, .fill = 100000}, &len_one);
	two = sim_frame_make(&(struct sim_frame){TTHEADER, .seq = 2, .text = "b"}, &len_two);
	both = malloc(len_one + len_two);
	memcpy(both, one, len_one);
	memcpy(both + len_one, two, len_two);
	say_bytes(caller, slice_of(both, 90000));
	say_bytes(caller, slice_of(both + 90000, len_one + len_two - 90000));
	free(one);
	free(two);
	free(both);
	app = accepted();
	hear(app, BUFFERED, .seq = 1, .text = "", .fill = 100000);
	say(app, BUFFERED, .seq = 1);
	hear(caller, BUFFERED, .seq = 1);
	hear(app, TTHEADER, .seq = 2, .text = "b");
}
END_TEST

START_TEST(a_slow_endpoint_slows_its_caller_down)
{
	struct fake_end *caller, *app;
	size_t taken = 0, held;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	for (long at = 0; at < 8; at++)
		say_part(caller, at * MIB, at == 7 ? 0 : (at + 1) * MIB, FRAMED, .seq = 1,
		    .fill = 8 * MIB);
	app = accepted();
	fake_take(app, 0);
	fake_connected(app);
	pass(0);
	for (; taken < 8 * MIB; taken += 100000) {
		held = 8 * MIB - fake_unread(caller) - taken;
		ck_assert_uint_le(held, QUEUE_MOST + 64 * 1024 + 128 * 1024);
		take(app, 100000);
	}
	take(app, FAKE_ALL);
	hear(app, FRAMED, .seq = 1, .text = "", .fill = 8 * MIB);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
}
END_TEST

START_TEST(a_slow_caller_slows_the_endpoint_down)
{
	struct fake_end *caller, *app;
	size_t taken = 0;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	fake_take(caller, 0);
	for (long at = 0; at < 8; at++)
		say_part(
		    app, at * MIB, at == 7 ? 0 : (at + 1) * MIB, FRAMED, .seq = 1, .fill = 8 * MIB);
	for (; taken < 8 * MIB; taken += 100000) {
		ck_assert_uint_le(8 * MIB - fake_unread(app) - taken, QUEUE_MOST);
		take(caller, 100000);
	}
	take(caller, FAKE_ALL);
	hear(caller, FRAMED, .seq = 1, .text = "", .fill = 8 * MIB);
	logged("reason=ok");
	say(caller, FRAMED, .seq = 2);
	hear(app, FRAMED, .seq = 2); /* the connection reads again */
	say(app, FRAMED, .seq = 2);
	hear(caller, FRAMED, .seq = 2);
}
END_TEST

START_TEST(a_caller_that_stops_reading_is_given_up)
{
	struct fake_end *caller, *app;

	start(.listener = "timeout: {write_stall: 2s}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	fake_take(caller, 1000);
	for (long at = 0; at < 4; at++)
		say_part(app, at * MIB, (at + 1) * MIB, FRAMED, .seq = 1, .fill = 8 * MIB);
	pass(1000);
	take(caller, 1);
	pass(1999);
	ck_assert(is_open(caller));
	pass(2);
	ck_assert(!is_open(caller));
	logged("reason=canceled");
}
END_TEST

START_TEST(an_endpoint_that_dies_within_a_long_call_is_answered_for_and_the_rest_thrown_away)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2);
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .fill = 300000);
	app = accepted();
	reset(app);
	no_connect();
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 1);
	say_part(caller, 100000, 200000, FRAMED, .seq = 1, .fill = 300000);
	logged_nothing();
	say_part(caller, 200000, 0, FRAMED, .seq = 1, .fill = 300000);
	logged("reason=reset attempts=1");
	say(caller, FRAMED, .seq = 2);
	hear(accepted(), FRAMED, .seq = 2);
}
END_TEST

START_TEST(a_long_call_that_is_not_connected_yet_may_be_tried_elsewhere)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2);
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .fill = 300000);
	say_part(caller, 100000, 0, FRAMED, .seq = 1, .fill = 300000);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .text = "", .fill = 300000);
}
END_TEST

START_TEST(a_long_call_without_anybody_to_go_to_is_answered_and_read_to_its_end)
{
	struct fake_end *caller;

	start();
	fake_script(sim_loop(), FAKE_REFUSED, 3);
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .fill = 300000);
	hear_failure(caller, REASON_CONNECT_FAILED, FRAMED, .seq = 1);
	say_part(caller, 100000, 0, FRAMED, .seq = 1, .fill = 300000);
	logged("reason=connect_failed attempts=3");
	say(caller, FRAMED, .seq = 2);
	hear(accepted(), FRAMED, .seq = 2);
}
END_TEST

START_TEST(a_reply_may_come_before_the_call_is_whole)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .fill = 300000);
	app = accepted();
	say(app, FRAMED, .kind = EXCEPTION, .seq = 1, .text = "too long for me", .id = 6);
	hear(caller, FRAMED, .kind = EXCEPTION, .seq = 1, .text = "too long for me", .id = 6);
	ck_assert(!is_open(app));
	logged_nothing();
	say_part(caller, 100000, 0, FRAMED, .seq = 1, .fill = 300000);
	logged("reason=app_exception");
	say(caller, FRAMED, .seq = 2);
	hear(accepted(), FRAMED, .seq = 2);
}
END_TEST

START_TEST(a_long_reply_may_come_before_the_call_is_whole)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .fill = 300000);
	app = accepted();
	say_part(app, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	say_part(caller, 100000, 200000, FRAMED, .seq = 1, .fill = 300000);
	say_part(app, 100000, 0, FRAMED, .seq = 1, .fill = 200000);
	hear(caller, FRAMED, .seq = 1, .text = "", .fill = 200000);
	say_part(caller, 200000, 0, FRAMED, .seq = 1, .fill = 300000);
	logged("reason=ok");
	ck_assert(is_open(caller) && !is_open(app));
}
END_TEST

START_TEST(a_long_call_that_is_malformed_in_its_middle_never_ends_at_the_endpoint)
{
	struct fake_end *caller, *app;
	uint8_t junk = 0x77;

	start();
	caller = dial();
	say_part(caller, 0, -1, FRAMED, .seq = 1, .fill = 100000);
	app = accepted();
	say_bytes(caller, slice_of(&junk, 1));
	hear_failure(caller, REASON_MALFORMED, FRAMED, .seq = 1);
	hear_end(caller);
	ck_assert(!is_open(app));
	logged("reason=malformed attempts=1");
	ck_assert_uint_eq(attempts(ATTEMPT_CANCELED), 1); /* no fault of the endpoint's */
}
END_TEST

START_TEST(a_long_call_whose_struct_ends_early_is_malformed)
{
	struct fake_end *caller, *app;
	struct sim_frame call = {FRAMED, .seq = 1, .fill = 100000};
	size_t len;
	uint8_t *bytes = sim_frame_make(&call, &len);

	bytes[3] += 3; /* the frame says three bytes more than the struct has */
	start();
	caller = dial();
	say_bytes(caller, slice_of(bytes, 80000));
	app = accepted();
	say_bytes(caller, slice_of(bytes + 80000, len - 80000));
	say_bytes(caller, SLICE_LIT("abc"));
	free(bytes);
	hear_failure(caller, REASON_MALFORMED, FRAMED, .seq = 1);
	ck_assert(!is_open(app));
	ck_assert_uint_lt(fake_received(app).len, len + 3);
}
END_TEST

START_TEST(a_long_reply_that_is_malformed_in_its_middle_never_ends_at_the_caller)
{
	struct fake_end *caller, *app;
	uint8_t junk = 0x77;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say_part(app, 0, -1, FRAMED, .seq = 1, .fill = 100000);
	say_bytes(app, slice_of(&junk, 1));
	pass(1);
	ck_assert(!is_open(caller) && !is_open(app));
	logged("reason=bad_reply attempts=1");
	ck_assert_uint_eq(attempts(ATTEMPT_BAD_REPLY), 1);
}
END_TEST

START_TEST(a_buffered_call_becomes_framed_when_it_is_whole)
{
	struct fake_end *caller, *app;

	start(.service = "protocol: framed");
	caller = dial();
	say_part(caller, 0, 100000, BUFFERED, .seq = 1, .fill = 300000);
	no_connect();
	ck_assert_uint_ge(atomic_load(&sim_worker()->shares->memory), 100000 - 100);
	say_part(caller, 100000, 0, BUFFERED, .seq = 1, .fill = 300000);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .text = "", .fill = 300000);
	say_part(app, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	ck_assert_uint_gt(fake_received(caller).len, 99000); /* this way nothing need be known */
	say_part(app, 100000, 0, FRAMED, .seq = 1, .fill = 200000);
	hear(caller, BUFFERED, .seq = 1, .text = "", .fill = 200000);
	logged("reason=ok");
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(a_buffered_reply_becomes_framed_when_it_is_whole)
{
	struct fake_end *caller, *app;

	start(.service = "protocol: buffered");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, BUFFERED, .seq = 1);
	say_part(app, 0, 100000, BUFFERED, .seq = 1, .fill = 300000);
	say_part(app, 100000, 200000, BUFFERED, .seq = 1, .fill = 300000);
	hear_nothing(caller);
	say_part(app, 200000, 0, BUFFERED, .seq = 1, .fill = 300000);
	hear(caller, FRAMED, .seq = 1, .text = "", .fill = 300000);
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
	ck_assert(is_open(app));
}
END_TEST

START_TEST(what_has_to_be_held_whole_is_bounded_by_the_memory_limit)
{
	struct fake_end *caller, *app;

	start(.service = "protocol: framed", .top = "limits: {memory: 1MiB}");
	caller = dial();
	for (long at = 0; at < 1500000; at += 100000)
		say_part(caller, at, at + 100000, BUFFERED, .seq = 1, .fill = 1600000);
	hear_failure(caller, REASON_OVERLOAD, BUFFERED, .seq = 1);
	say_part(caller, 1500000, 0, BUFFERED, .seq = 1, .fill = 1600000);
	logged("reason=overload attempts=0");
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
	say(caller, BUFFERED, .seq = 2);
	hear(accepted(), FRAMED, .seq = 2);
	sim_stop();

	start(.service = "protocol: buffered", .top = "limits: {memory: 1MiB}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, BUFFERED, .seq = 1);
	for (long at = 0; at < 1500000 && is_open(app); at += 100000)
		say_part(app, at, at + 100000, BUFFERED, .seq = 1, .fill = 1600000);
	hear_failure(caller, REASON_OVERLOAD, FRAMED, .seq = 1);
	logged("reason=overload attempts=1");
	ck_assert(!is_open(app));
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(a_collected_call_may_be_cut_off)
{
	struct fake_end *caller;

	start(.service = "protocol: framed");
	caller = dial();
	say_part(caller, 0, 100000, BUFFERED, .seq = 1, .fill = 300000);
	half_close(caller);
	hear_failure(caller, REASON_CANCELED, BUFFERED, .seq = 1);
	hear_end(caller);
	logged("reason=canceled attempts=0");
	caller = dial();
	say_part(caller, 0, 100000, BUFFERED, .seq = 1, .fill = 300000);
	reset(caller);
	logged("reason=canceled attempts=0");
	no_connect();
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(a_long_message_over_the_limit_is_refused_before_it_is_read)
{
	struct fake_end *caller;

	start(.listener = "max_message: 100KiB");
	caller = dial();
	say_part(caller, 0, 40, FRAMED, .seq = 1, .fill = 200000);
	hear_failure(caller, REASON_TOO_LARGE, FRAMED, .seq = 1);
	hear_end(caller);
	logged("reason=too_large attempts=0");
}
END_TEST

START_TEST(a_buffered_message_grows_over_the_limit_in_its_middle)
{
	struct fake_end *caller, *app;

	start(.listener = "max_message: 100KiB");
	caller = dial();
	say_part(caller, 0, 80000, BUFFERED, .seq = 1, .fill = 200000);
	app = accepted();
	say_part(caller, 80000, 150000, BUFFERED, .seq = 1, .fill = 200000);
	hear_failure(caller, REASON_TOO_LARGE, BUFFERED, .seq = 1);
	hear_end(caller);
	ck_assert(!is_open(app));
	logged("reason=too_large attempts=1");
}
END_TEST

START_TEST(a_long_business_error_becomes_a_short_exception)
{
	struct fake_end *caller, *app;

	start(.service = "protocol: ttheader");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 1);
	say_part(app, 0, 100000, TTHEADER_FRAMED, .seq = 1, .fill = 200000,
	    .keys = "biz-status=1 biz-message=no");
	hear(caller, FRAMED, .kind = EXCEPTION, .seq = 1, .text = "no", .id = 6);
	say_part(app, 100000, 0, TTHEADER_FRAMED, .seq = 1, .fill = 200000,
	    .keys = "biz-status=1 biz-message=no");
	logged("reason=biz_error");
	ck_assert(is_open(app));
	say(caller, FRAMED, .seq = 2);
	hear(app, TTHEADER_FRAMED, .seq = 2);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    long_calls_and_replies_pass_in_every_form,
	    the_next_call_may_follow_in_the_same_read,
	    a_slow_endpoint_slows_its_caller_down,
	    a_slow_caller_slows_the_endpoint_down,
	    a_caller_that_stops_reading_is_given_up,
	    an_endpoint_that_dies_within_a_long_call_is_answered_for_and_the_rest_thrown_away,
	    a_long_call_that_is_not_connected_yet_may_be_tried_elsewhere,
	    a_long_call_without_anybody_to_go_to_is_answered_and_read_to_its_end,
	    a_reply_may_come_before_the_call_is_whole,
	    a_long_reply_may_come_before_the_call_is_whole,
	    a_long_call_that_is_malformed_in_its_middle_never_ends_at_the_endpoint,
	    a_long_call_whose_struct_ends_early_is_malformed,
	    a_long_reply_that_is_malformed_in_its_middle_never_ends_at_the_caller,
	    a_buffered_call_becomes_framed_when_it_is_whole,
	    a_buffered_reply_becomes_framed_when_it_is_whole,
	    what_has_to_be_held_whole_is_bounded_by_the_memory_limit,
	    a_collected_call_may_be_cut_off,
	    a_long_message_over_the_limit_is_refused_before_it_is_read,
	    a_buffered_message_grows_over_the_limit_in_its_middle,
	    a_long_business_error_becomes_a_short_exception,
	};

	return sim_main("sim_bodies", tests, ARRAY_LEN(tests));
}
