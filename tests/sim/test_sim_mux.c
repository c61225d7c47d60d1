/* Shared connections towards multiplexing servers: whose reply is whose, and what ends with
 * them. */
#include <check.h>

#include "base/mem.h"
#include "support/sim.h"

#define ANY_ORDER 1u
#define MUX       "multiplex: true"

/* What the proxy called the call that the endpoint hears next. */
static int32_t hear_id(struct fake_end *app, const char *text)
{
	static struct sim_heard r;
	size_t used = sim_frame_read(fake_received(app), &r);

	ck_assert_uint_gt(used, 0);
	ck_assert(sim_text_is(r.text, text, 0));
	ck_assert_int_eq(r.seq, r.outer);
	ck_assert_int_ne(r.seq, 0);
	ck_assert_uint_eq(r.flags & ANY_ORDER, ANY_ORDER);
	fake_consume(app, used);
	return r.seq;
}

START_TEST(ids_are_rewritten_and_restored)
{
	struct fake_end *a, *b, *app;
	int32_t first, second;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 7, .outer = 8, .text = "a");
	say(b, TTHEADER_FRAMED, .seq = 7, .text = "b");
	app = accepted();
	no_connect();
	first = hear_id(app, "a");
	second = hear_id(app, "b");
	ck_assert_int_ne(first, second);
	say(app, TTHEADER_FRAMED, .seq = second, .text = "B");
	say(app, TTHEADER, .seq = first, .text = "A");
	hear(a, TTHEADER, .seq = 7, .outer = 8, .text = "A");
	hear(b, TTHEADER_FRAMED, .seq = 7, .text = "B");
	logged("reason=ok");
	logged("reason=ok");
	ck_assert(is_open(app));
}
END_TEST

START_TEST(a_sequence_id_of_zero_gets_another_and_is_restored)
{
	struct fake_end *caller, *app;
	int32_t id;

	start(.service = MUX);
	caller = dial();
	say(caller, TTHEADER, .seq = 0, .text = "z");
	app = accepted();
	id = hear_id(app, "z");
	say(app, TTHEADER, .seq = id, .text = "Z");
	hear(caller, TTHEADER, .seq = 0, .text = "Z");
}
END_TEST

START_TEST(a_framed_caller_may_share_a_connection_too)
{
	struct fake_end *caller, *app;
	int32_t id;

	start(.service = MUX ", protocol: ttheader");
	caller = dial();
	say(caller, FRAMED, .seq = 3, .text = "f");
	app = accepted();
	id = hear_id(app, "f");
	say(app, TTHEADER_FRAMED, .seq = id, .text = "F");
	hear(caller, FRAMED, .seq = 3, .text = "F");
}
END_TEST

START_TEST(calls_of_one_turn_leave_together)
{
	struct fake_end *callers[20], *app;

	start(.service = MUX);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	for (int i = 0; i < 20; i++) {
		callers[i] = dial();
		say(callers[i], TTHEADER, .seq = i, .text = "t");
	}
	app = accepted();
	no_connect();
	fake_connected(app);
	pass(0);
	for (int i = 0; i < 20; i++)
		say(app, TTHEADER, .seq = hear_id(app, "t"));
	for (int i = 0; i < 20; i++)
		hear(callers[i], TTHEADER, .seq = i);
}
END_TEST

START_TEST(a_late_reply_on_a_shared_connection_meets_no_newer_call)
{
	struct fake_end *a, *b, *app;
	int32_t late, next;

	start(.service = MUX ", timeout: {call: 100ms}");
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "x");
	say(b, TTHEADER, .seq = 1, .text = "heard");
	app = accepted();
	late = hear_id(app, "x");
	say(app, TTHEADER, .seq = hear_id(app, "heard"));
	pass(100);
	hear_failure(a, REASON_TIMEOUT, TTHEADER, .seq = 1);
	say(a, TTHEADER, .seq = 1, .text = "y");
	no_connect();
	next = hear_id(app, "y");
	ck_assert_int_ne(late, next);
	say(app, TTHEADER, .seq = late, .text = "X");
	hear_nothing(a);
	say(app, TTHEADER, .seq = next, .text = "Y");
	hear(a, TTHEADER, .seq = 1, .text = "Y");
	ck_assert(is_open(app));
}
END_TEST

START_TEST(a_shared_connection_that_fell_silent_is_given_up)
{
	struct fake_end *a, *b, *app;

	start(.service = MUX ", timeout: {call: 100ms}");
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "x");
	app = accepted();
	pass(50);
	say(b, TTHEADER, .seq = 2, .text = "y");
	pass(50);
	hear_failure(a, REASON_TIMEOUT, TTHEADER, .seq = 1);
	ck_assert(is_open(app)); /* one still waits */
	say(a, TTHEADER, .seq = 3, .text = "z");
	hear_id(accepted(), "z");
	pass(50);
	hear_failure(b, REASON_TIMEOUT, TTHEADER, .seq = 2);
	ck_assert(!is_open(app));
}
END_TEST

START_TEST(a_reply_that_comes_twice_is_dropped_and_harms_no_other_call)
{
	struct fake_end *a, *b, *app;
	int32_t first, second;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	say(b, TTHEADER, .seq = 1, .text = "b");
	app = accepted();
	first = hear_id(app, "a");
	second = hear_id(app, "b");
	say(app, TTHEADER, .seq = first, .text = "A");
	say(app, TTHEADER, .seq = first, .text = "A");
	hear(a, TTHEADER, .seq = 1, .text = "A");
	hear_nothing(a);
	hear_nothing(b);
	say(a, TTHEADER, .seq = 2, .text = "elsewhere"); /* it is not trusted with new calls */
	hear_id(accepted(), "elsewhere");
	say(app, TTHEADER, .seq = second, .text = "B");
	hear(b, TTHEADER, .seq = 1, .text = "B");
	hear_end(app);
}
END_TEST

START_TEST(a_reply_whose_two_ids_differ_is_a_bad_reply)
{
	struct fake_end *a, *b, *app;
	int32_t first;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	say(b, TTHEADER, .seq = 1, .text = "b");
	app = accepted();
	first = hear_id(app, "a");
	hear_id(app, "b");
	say(app, TTHEADER, .seq = first + 1, .outer = first, .text = "A");
	hear_failure(a, REASON_BAD_REPLY, TTHEADER, .seq = 1);
	hear_failure(b, REASON_RESET, TTHEADER, .seq = 1);
	hear_end(app);
}
END_TEST

START_TEST(an_exception_with_id_zero_is_found_by_its_header)
{
	struct fake_end *a, *b, *app;
	int32_t first;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	say(b, TTHEADER, .seq = 2, .text = "b");
	app = accepted();
	first = hear_id(app, "a");
	say(app, TTHEADER, .kind = EXCEPTION, .seq = 0, .outer = first, .text = "no", .id = 7);
	hear(a, TTHEADER, .kind = EXCEPTION, .seq = 0, .outer = 1, .text = "no", .id = 7);
	hear_nothing(b);
	ck_assert(is_open(app));
	logged("reason=app_exception");
}
END_TEST

START_TEST(a_control_frame_sends_new_calls_elsewhere_and_lets_the_others_end)
{
	struct fake_end *a, *b, *app, *next;
	int32_t first, second;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	app = accepted();
	first = hear_id(app, "a");
	say(app, TTHEADER, .seq = 0, .method = "none", .keys = "crrst=1");
	hear_nothing(a);
	say(b, TTHEADER, .seq = 2, .text = "b");
	next = accepted();
	second = hear_id(next, "b");
	ck_assert(is_open(app));
	say(app, TTHEADER, .seq = first, .text = "A");
	hear(a, TTHEADER, .seq = 1, .text = "A");
	hear_end(app);
	say(next, TTHEADER, .seq = second, .text = "B");
	hear(b, TTHEADER, .seq = 2, .text = "B");
}
END_TEST

START_TEST(a_control_frame_on_a_quiet_connection_closes_it)
{
	struct fake_end *caller, *app;

	start(.service = MUX);
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .text = "a");
	app = accepted();
	say(app, TTHEADER, .seq = hear_id(app, "a"));
	say(app, TTHEADER, .seq = 0, .method = "none", .keys = "crrst=1");
	hear_end(app);
	ck_assert_uint_eq(upstreams(), 0);
}
END_TEST

START_TEST(a_crrst_in_a_reply_does_the_same_and_stays_here)
{
	struct fake_end *a, *b, *app;
	int32_t first, second;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	say(b, TTHEADER, .seq = 2, .text = "b");
	app = accepted();
	first = hear_id(app, "a");
	second = hear_id(app, "b");
	say(app, TTHEADER, .seq = first, .text = "A", .keys = "crrst=1");
	hear(a, TTHEADER, .seq = 1, .text = "A", .keys = "!crrst");
	ck_assert(is_open(app));
	say(app, TTHEADER, .seq = second, .text = "B");
	hear(b, TTHEADER, .seq = 2, .text = "B");
	hear_end(app);
}
END_TEST

START_TEST(the_break_of_a_shared_connection_fails_each_call_once)
{
	struct fake_end *callers[5], *app;

	start(.service = MUX);
	for (int i = 0; i < 5; i++) {
		callers[i] = dial();
		say(callers[i], TTHEADER, .seq = i, .text = "t");
	}
	app = accepted();
	reset(app);
	for (int i = 0; i < 5; i++) {
		hear_failure(callers[i], REASON_RESET, TTHEADER, .seq = i);
		logged("reason=reset attempts=1");
	}
	logged_nothing();
	ck_assert_uint_eq(attempts(ATTEMPT_RESET), 5);
}
END_TEST

START_TEST(what_had_not_left_a_broken_shared_connection_is_sent_elsewhere)
{
	struct fake_end *a, *b, *app;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	app = accepted();
	hear_id(app, "a");
	fake_take(app, 0);
	say(b, TTHEADER, .seq = 2, .text = "b");
	reset(app);
	hear_failure(a, REASON_RESET, TTHEADER, .seq = 1);
	app = accepted();
	say(app, TTHEADER, .seq = hear_id(app, "b"), .text = "B");
	hear(b, TTHEADER, .seq = 2, .text = "B");
	ck_assert_uint_eq(attempts(ATTEMPT_UNSENT), 1);
	ck_assert_uint_eq(attempts(ATTEMPT_RESET), 1);
}
END_TEST

START_TEST(a_refused_shared_connect_fails_each_waiting_call_once)
{
	struct fake_end *callers[3], *app;

	start(.service = MUX, .endpoints = 2);
	fake_script(sim_loop(), FAKE_HANGS, 2);
	for (int i = 0; i < 3; i++) {
		callers[i] = dial();
		say(callers[i], TTHEADER, .seq = i, .text = "t");
	}
	fake_refuse(accepted(), 111);
	pass(0);
	app = accepted();
	no_connect();
	fake_connected(app);
	pass(0);
	for (int i = 0; i < 3; i++)
		say(app, TTHEADER, .seq = hear_id(app, "t"), .text = "T");
	for (int i = 0; i < 3; i++)
		hear(callers[i], TTHEADER, .seq = i, .text = "T");
	ck_assert_uint_eq(attempts(ATTEMPT_OK), 3);
	ck_assert_uint_le(attempts(ATTEMPT_CONNECT_FAILED), 2);
	ck_assert_uint_eq(in_flight(), 0);
}
END_TEST

START_TEST(a_refused_shared_connect_is_tried_again_at_the_same_endpoint)
{
	struct fake_end *callers[3], *app;

	start(.service = MUX);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	for (int i = 0; i < 3; i++) {
		callers[i] = dial();
		say(callers[i], TTHEADER, .seq = i, .text = "t");
	}
	fake_refuse(accepted(), 111);
	pass(0);
	app = accepted();
	for (int i = 0; i < 3; i++)
		say(app, TTHEADER, .seq = hear_id(app, "t"), .text = "T");
	for (int i = 0; i < 3; i++) {
		hear(callers[i], TTHEADER, .seq = i, .text = "T");
		logged("reason=ok attempts=2");
	}
	no_connect();
	ck_assert_uint_eq(attempts(ATTEMPT_CONNECT_FAILED), 3);
	ck_assert_uint_eq(in_flight(), 0);
}
END_TEST

START_TEST(a_shared_connect_that_hangs_is_given_up_with_its_last_call)
{
	struct fake_end *a, *hanging;

	start(.service = MUX ", retry: {type: none}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	a = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	hanging = accepted();
	pass(250);
	hear_failure(a, REASON_CONNECT_FAILED, TTHEADER, .seq = 1);
	hear_end(hanging);
	say(a, TTHEADER, .seq = 2, .text = "b");
	hear_id(accepted(), "b");
}
END_TEST

START_TEST(a_call_cancelled_while_a_shared_connection_connects_is_not_sent)
{
	struct fake_end *a, *b, *app;

	start(.service = MUX);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	say(b, TTHEADER, .seq = 2, .text = "b");
	app = accepted();
	reset(a);
	fake_connected(app);
	pass(0);
	say(app, TTHEADER, .seq = hear_id(app, "b"), .text = "B");
	hear_nothing(app);
	hear(b, TTHEADER, .seq = 2, .text = "B");
}
END_TEST

START_TEST(a_long_call_has_a_connection_of_its_own)
{
	struct fake_end *a, *b, *shared, *own;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	shared = accepted();
	hear_id(shared, "a");
	say(b, TTHEADER, .seq = 2, .fill = 100000);
	own = accepted();
	hear(own, TTHEADER, .seq = 2, .text = "", .fill = 100000);
	hear_nothing(shared);
}
END_TEST

START_TEST(a_long_reply_on_a_shared_connection_is_relayed)
{
	struct fake_end *a, *b, *app;
	int32_t first, second;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	say(b, TTHEADER, .seq = 2, .text = "b");
	app = accepted();
	first = hear_id(app, "a");
	second = hear_id(app, "b");
	say_part(app, 0, 100000, TTHEADER, .seq = first, .fill = 300000);
	ck_assert_uint_eq(fake_received(a).len, 100000);
	say_part(app, 100000, 0, TTHEADER, .seq = first, .fill = 300000);
	say(app, TTHEADER, .seq = second, .text = "B");
	hear(a, TTHEADER, .seq = 1, .text = "", .fill = 300000);
	hear(b, TTHEADER, .seq = 2, .text = "B");
}
END_TEST

START_TEST(the_break_of_a_shared_connection_within_a_long_reply_cuts_off_that_caller_alone)
{
	struct fake_end *a, *b, *app;
	int32_t first;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	say(b, TTHEADER, .seq = 2, .text = "b");
	app = accepted();
	first = hear_id(app, "a");
	say_part(app, 0, 100000, TTHEADER, .seq = first, .fill = 300000);
	reset(app);
	pass(1);
	hear_failure(b, REASON_RESET, TTHEADER, .seq = 2);
	ck_assert(!is_open(a) && is_open(b));
	ck_assert_uint_eq(attempts(ATTEMPT_RESET), 2);
	ck_assert_uint_eq(in_flight(), 0);
}
END_TEST

START_TEST(a_long_reply_cancelled_in_its_middle_leaves_the_shared_connection_to_the_others)
{
	struct fake_end *a, *b, *app;
	int32_t first, second;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	say(b, TTHEADER, .seq = 2, .text = "b");
	app = accepted();
	first = hear_id(app, "a");
	second = hear_id(app, "b");
	say_part(app, 0, 100000, TTHEADER, .seq = first, .fill = 300000);
	reset(a);
	say_part(app, 100000, 0, TTHEADER, .seq = first, .fill = 300000);
	say(app, TTHEADER, .seq = second, .text = "B");
	hear(b, TTHEADER, .seq = 2, .text = "B");
	ck_assert(is_open(app));
}
END_TEST

START_TEST(a_long_reply_is_not_cut_off_by_the_idle_time_of_its_shared_connection)
{
	struct fake_end *caller, *app;
	int32_t id;

	start(.service = MUX ", pool: {idle_timeout: 100ms}");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .text = "a");
	app = accepted();
	id = hear_id(app, "a");
	say_part(app, 0, 100000, TTHEADER, .seq = id, .fill = 300000);
	pass(500);
	ck_assert(is_open(app));
	say_part(app, 100000, 0, TTHEADER, .seq = id, .fill = 300000);
	hear(caller, TTHEADER, .seq = 1, .text = "", .fill = 300000);
	pass(201);
	hear_end(app);
}
END_TEST

START_TEST(a_malformed_long_reply_on_a_shared_connection_is_a_bad_reply)
{
	struct fake_end *a, *b, *app;
	uint8_t junk[4096];
	int32_t id;

	start(.service = MUX);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a");
	say(b, TTHEADER, .seq = 2, .text = "b");
	app = accepted();
	id = hear_id(app, "a");
	hear_id(app, "b");
	memset(junk, 0x77, sizeof junk);
	say_part(app, 0, -1, TTHEADER, .seq = id, .fill = 100000);
	say_bytes(app, slice_of(junk, 1)); /* where the struct has to end */
	pass(1);
	ck_assert(!is_open(a));
	hear_failure(b, REASON_RESET, TTHEADER, .seq = 2);
	hear_end(app);
	logged("reason=reset");
	logged("reason=bad_reply");
}
END_TEST

START_TEST(an_idle_shared_connection_has_its_time)
{
	struct fake_end *caller, *app;

	start(.service = MUX ", pool: {idle_timeout: 10s}");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .text = "a");
	app = accepted();
	say(app, TTHEADER, .seq = hear_id(app, "a"));
	pass(9999);
	ck_assert(is_open(app));
	pass(2);
	hear_end(app);
}
END_TEST

START_TEST(a_second_shared_connection_is_opened_when_the_first_is_busy)
{
	struct fake_end *caller;

	start(.service = MUX);
	caller = dial();
	for (int i = 0; i < 600; i++)
		put(caller, TTHEADER, .seq = i, .flags = ANY_ORDER);
	pass(0);
	accepted();
	accepted();
	no_connect();
	ck_assert_uint_eq(in_flight(), 600);
}
END_TEST

START_TEST(too_many_replies_that_never_come_make_a_connection_useless)
{
	struct fake_end *caller, *app = NULL;

	start(.service = MUX ", timeout: {call: 10ms}");
	caller = dial();
	for (int i = 0; i < 11; i++) {
		for (int k = 0; k < 100; k++)
			put(caller, TTHEADER, .seq = k, .flags = ANY_ORDER, .text = "k");
		pass(0);
		app = app ? app : accepted();
		say(app, TTHEADER, .seq = hear_id(app, "k"));
		fake_consume(app, fake_received(app).len);
		pass(20);
	}
	no_connect();
	ck_assert_uint_eq(attempts(ATTEMPT_TIMEOUT), 11 * 99);
	ck_assert(!is_open(app));
	say(caller, TTHEADER, .seq = 1, .flags = ANY_ORDER, .text = "new");
	hear_id(accepted(), "new");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    ids_are_rewritten_and_restored,
	    a_sequence_id_of_zero_gets_another_and_is_restored,
	    a_framed_caller_may_share_a_connection_too,
	    calls_of_one_turn_leave_together,
	    a_late_reply_on_a_shared_connection_meets_no_newer_call,
	    a_shared_connection_that_fell_silent_is_given_up,
	    a_reply_that_comes_twice_is_dropped_and_harms_no_other_call,
	    a_reply_whose_two_ids_differ_is_a_bad_reply,
	    an_exception_with_id_zero_is_found_by_its_header,
	    a_control_frame_sends_new_calls_elsewhere_and_lets_the_others_end,
	    a_control_frame_on_a_quiet_connection_closes_it,
	    a_crrst_in_a_reply_does_the_same_and_stays_here,
	    the_break_of_a_shared_connection_fails_each_call_once,
	    what_had_not_left_a_broken_shared_connection_is_sent_elsewhere,
	    a_refused_shared_connect_fails_each_waiting_call_once,
	    a_refused_shared_connect_is_tried_again_at_the_same_endpoint,
	    a_shared_connect_that_hangs_is_given_up_with_its_last_call,
	    a_call_cancelled_while_a_shared_connection_connects_is_not_sent,
	    a_long_call_has_a_connection_of_its_own,
	    a_long_reply_on_a_shared_connection_is_relayed,
	    the_break_of_a_shared_connection_within_a_long_reply_cuts_off_that_caller_alone,
	    a_long_reply_cancelled_in_its_middle_leaves_the_shared_connection_to_the_others,
	    a_long_reply_is_not_cut_off_by_the_idle_time_of_its_shared_connection,
	    a_malformed_long_reply_on_a_shared_connection_is_a_bad_reply,
	    an_idle_shared_connection_has_its_time,
	    a_second_shared_connection_is_opened_when_the_first_is_busy,
	    too_many_replies_that_never_come_make_a_connection_useless,
	};

	return sim_main("sim_mux", tests, ARRAY_LEN(tests));
}
