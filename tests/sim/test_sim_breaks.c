/* What ends in the middle: callers and endpoints that half-close, reset, or say what they must
 * not. */
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "support/sim.h"

/* ---- callers ---- */

START_TEST(a_caller_that_half_closes_after_its_call_gets_its_reply)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	put(caller, FRAMED, .seq = 1);
	half_close(caller);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	ck_assert(is_open(caller));
	say(app, FRAMED, .seq = 1, .text = "still");
	hear(caller, FRAMED, .seq = 1, .text = "still");
	hear_end(caller);
	ck_assert(!fake_was_cut(caller));
	logged("reason=ok");
}
END_TEST

START_TEST(a_half_close_with_calls_read_ahead_answers_all_of_them)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	put(caller, FRAMED, .seq = 1);
	put(caller, FRAMED, .seq = 2);
	put(caller, FRAMED, .seq = 3);
	half_close(caller);
	app = accepted();
	for (int i = 1; i <= 3; i++) {
		hear(app, FRAMED, .seq = i);
		say(app, FRAMED, .seq = i);
		hear(caller, FRAMED, .seq = i);
	}
	hear_end(caller);
}
END_TEST

START_TEST(a_half_close_while_connecting_is_no_reason_to_give_up)
{
	struct fake_end *caller, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	put(caller, FRAMED, .seq = 1);
	half_close(caller);
	app = accepted();
	pass(50);
	fake_connected(app);
	pass(0);
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	hear_end(caller);
}
END_TEST

START_TEST(a_half_close_of_an_idle_connection_closes_it)
{
	struct fake_end *caller;

	start();
	caller = dial();
	half_close(caller);
	hear_end(caller);
	logged_nothing();
}
END_TEST

START_TEST(a_half_close_within_a_head_closes_without_a_word)
{
	struct fake_end *caller;

	start();
	caller = dial();
	say_part(caller, 0, 15, FRAMED, .seq = 1);
	half_close(caller);
	hear_end(caller);
	no_connect();
}
END_TEST

START_TEST(a_half_close_within_a_long_call_cancels_it)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	app = accepted();
	half_close(caller);
	hear_failure(caller, REASON_CANCELED, FRAMED, .seq = 1);
	hear_end(caller);
	ck_assert(!is_open(app));
	logged("reason=canceled attempts=1");
}
END_TEST

START_TEST(a_half_close_within_a_long_call_that_still_connects_cancels_it)
{
	struct fake_end *caller, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say_part(caller, 0, 70000, FRAMED, .seq = 1, .fill = 200000);
	app = accepted();
	say_part(caller, 70000, 90000, FRAMED, .seq = 1, .fill = 200000); /* waits, read ahead */
	half_close(caller);
	fake_connected(app);
	pass(0);
	hear_failure(caller, REASON_CANCELED, FRAMED, .seq = 1);
	hear_end(caller);
	ck_assert(!is_open(app));
	logged("reason=canceled");
}
END_TEST

START_TEST(a_half_close_within_a_long_call_whose_endpoint_reads_slowly_cancels_it)
{
	struct fake_end *caller, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say_part(caller, 0, 70000, FRAMED, .seq = 1, .fill = 900000);
	app = accepted();
	fake_take(app, 0);
	fake_connected(app);
	pass(0);
	say_part(caller, 70000, 500000, FRAMED, .seq = 1, .fill = 900000);
	half_close(caller);
	take(app, FAKE_ALL);
	hear_failure(caller, REASON_CANCELED, FRAMED, .seq = 1);
	hear_end(caller);
	ck_assert(!is_open(app));
}
END_TEST

START_TEST(a_reset_before_the_call_is_whole_is_no_call)
{
	struct fake_end *caller;

	start();
	caller = dial();
	say_part(caller, 0, 20, FRAMED, .seq = 1);
	reset(caller);
	no_connect();
	logged_nothing();
	ck_assert_uint_eq(counter_get(&sim_worker()->listeners->connections), 0);
}
END_TEST

START_TEST(a_reset_while_connecting_cancels_the_call)
{
	struct fake_end *caller, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	reset(caller);
	hear_end(app);
	logged("reason=canceled attempts=1 bytes_out=0");
	no_connect();
	ck_assert_uint_eq(attempts(ATTEMPT_CANCELED), 1);
}
END_TEST

START_TEST(a_reset_within_a_long_call_closes_its_connection)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	app = accepted();
	reset(caller);
	ck_assert(!is_open(app));
	logged("reason=canceled");
}
END_TEST

START_TEST(a_reset_while_the_reply_is_relayed_keeps_the_rest_from_everybody)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say_part(app, 0, 100000, FRAMED, .seq = 1, .fill = 900000);
	fake_reset(caller);
	say_part(app, 100000, 300000, FRAMED, .seq = 1, .fill = 900000);
	pass(1);
	logged("reason=canceled");
	ck_assert(!is_open(caller));
	say_part(app, 300000, 0, FRAMED, .seq = 1, .fill = 900000);
	ck_assert_uint_eq(attempts(ATTEMPT_CANCELED), 1);
}
END_TEST

START_TEST(a_caller_that_is_gone_is_noticed_when_its_reply_cannot_be_written)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	put(app, FRAMED, .seq = 1); /* first in the turn */
	fake_reset(caller);
	pass(1);
	logged("reason=ok");
	ck_assert(!is_open(caller) && is_open(app));
}
END_TEST

/* ---- endpoints ---- */

START_TEST(an_endpoint_that_closes_instead_of_answering_is_a_reset)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	hang_up(app);
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 1);
	logged("reason=reset attempts=1 detail~closed");
	no_connect();
	say(caller, FRAMED, .seq = 2);
	app = accepted();
	hear(app, FRAMED, .seq = 2);
	reset(app);
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 2);
	logged("reason=reset attempts=1");
	ck_assert_uint_eq(attempts(ATTEMPT_RESET), 2);
}
END_TEST

START_TEST(an_endpoint_may_close_right_after_its_reply)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	put(app, FRAMED, .seq = 1, .text = "bye");
	hang_up(app);
	hear(caller, FRAMED, .seq = 1, .text = "bye");
	logged("reason=ok");
	hear_end(app);
	ck_assert(is_open(caller));
}
END_TEST

START_TEST(an_endpoint_that_breaks_off_within_a_short_reply_is_a_reset)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	for (int i = 0; i < 2; i++) {
		say(caller, FRAMED, .seq = i);
		app = accepted();
		hear(app, FRAMED, .seq = i);
		say_part(app, 0, 20 + 15 * i, FRAMED, .seq = i, .text = "not all of this");
		hang_up(app);
		hear_failure(caller, REASON_RESET, FRAMED, .seq = i);
		logged("reason=reset");
	}
	ck_assert(is_open(caller));
}
END_TEST

START_TEST(an_endpoint_that_breaks_off_within_a_long_reply_takes_the_callers_connection_along)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say_part(app, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	hang_up(app);
	pass(1);
	ck_assert_uint_eq(fake_received(caller).len, 100000);
	ck_assert(!is_open(caller));
	logged("reason=reset attempts=1");
	ck_assert_uint_eq(attempts(ATTEMPT_RESET), 1);
}
END_TEST

/* Each is said in place of a good reply. */
static void expect_bad_reply(const struct sim_frame *reply, const char *why)
{
	struct fake_end *caller = dial(), *app;
	char expected[64];

	say(caller, TTHEADER, .seq = 5, .text = "hi");
	app = accepted();
	hear(app, TTHEADER, .seq = 5);
	sim_say(app, reply, 0, SIZE_MAX);
	hear_failure(caller, REASON_BAD_REPLY, TTHEADER, .seq = 5);
	snprintf(expected, sizeof expected, "reason=bad_reply attempts=1 detail~%s", why);
	logged(expected);
	hear_end(app);
	ck_assert(is_open(caller));
	no_connect();
}

START_TEST(a_reply_that_is_not_the_calls_is_a_bad_reply)
{
	start(.endpoints = 2);
	expect_bad_reply(&(struct sim_frame){TTHEADER, .seq = 6}, "sequence");
	expect_bad_reply(&(struct sim_frame){TTHEADER, .seq = 6, .outer = 5}, "sequence");
	expect_bad_reply(&(struct sim_frame){TTHEADER, .seq = 5, .method = "Ecco"}, "method");
	expect_bad_reply(&(struct sim_frame){KPB_TTHEADER, .seq = 5}, "payload");
	expect_bad_reply(&(struct sim_frame){TTHEADER, .kind = CALL, .seq = 5}, "malformed");
	expect_bad_reply(&(struct sim_frame){TTHEADER, .kind = ONEWAY, .seq = 5}, "malformed");
	ck_assert_uint_eq(attempts(ATTEMPT_BAD_REPLY), 6);
}
END_TEST

START_TEST(an_odd_header_id_is_only_counted_on_a_connection_of_ones_own)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 5);
	app = accepted();
	hear(app, TTHEADER, .seq = 5);
	say(app, TTHEADER, .seq = 5, .outer = 77);
	hear(caller, TTHEADER, .seq = 5, .outer = 77);
	logged("reason=ok");
	ck_assert_uint_eq(counter_get(&sim_stats()->odd_sequence_ids), 1);
	ck_assert(is_open(app));
}
END_TEST

START_TEST(garbage_in_place_of_a_reply_is_a_bad_reply)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 5);
	app = accepted();
	say_bytes(app, SLICE_LIT("HTTP/1.1 400 Bad Request\r\n\r\n"));
	hear_failure(caller, REASON_BAD_REPLY, FRAMED, .seq = 5);
	logged("reason=bad_reply");
	ck_assert(!is_open(app));
}
END_TEST

START_TEST(a_reply_longer_than_any_message_may_be_is_a_bad_reply)
{
	struct fake_end *caller, *app;

	start(.listener = "max_message: 100KiB");
	caller = dial();
	say(caller, FRAMED, .seq = 5);
	app = accepted();
	say_part(app, 0, 40, FRAMED, .seq = 5, .fill = 65 * 1024 * 1024);
	hear_failure(caller, REASON_BAD_REPLY, FRAMED, .seq = 5);
	logged("reason=bad_reply");
}
END_TEST

START_TEST(a_reply_sent_twice_reaches_the_caller_once)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 5);
	app = accepted();
	hear(app, FRAMED, .seq = 5);
	put(app, FRAMED, .seq = 5, .text = "one");
	say(app, FRAMED, .seq = 5, .text = "two");
	hear(caller, FRAMED, .seq = 5, .text = "one");
	hear_nothing(caller);
	hear_end(app);
	logged("reason=ok");
	logged_nothing();
}
END_TEST

START_TEST(two_replies_in_one_read_are_one_reply_and_a_connection_that_is_not_kept)
{
	struct fake_end *caller, *app;
	struct sim_frame reply = {FRAMED, .kind = REPLY, .seq = 5, .text = "x"};
	uint8_t twice[256], *one;
	size_t len;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 5);
	app = accepted();
	hear(app, FRAMED, .seq = 5);
	one = sim_frame_make(&reply, &len);
	memcpy(twice, one, len);
	memcpy(twice + len, one, len);
	free(one);
	say_bytes(app, slice_of(twice, 2 * len));
	hear(caller, FRAMED, .seq = 5, .text = "x");
	hear_nothing(caller);
	hear_end(app);
}
END_TEST

START_TEST(a_reply_before_the_call_has_left_ends_its_connection)
{
	struct fake_end *caller, *app;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 5);
	app = accepted();
	fake_take(app, 3);
	fake_connected(app);
	pass(0);
	say(app, FRAMED, .seq = 5, .text = "early");
	hear(caller, FRAMED, .seq = 5, .text = "early");
	ck_assert(!is_open(app));
	logged("reason=ok");
}
END_TEST

START_TEST(everything_may_end_at_once_in_the_middle_of_anything)
{
	struct fake_end *callers[5], *app;

	start(.endpoints = 2, .services = "mux: {endpoints: [\"10.3.3.3:3\"], multiplex: true}");
	for (size_t i = 0; i < ARRAY_LEN(callers); i++)
		callers[i] = dial_to("open");
	say(callers[0], TTHEADER, .seq = 1, .keys = "6=app"); /* waits for its reply */
	app = accepted();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	say(callers[1], TTHEADER, .seq = 1, .keys = "6=app"); /* connects */
	say_part(callers[2], 0, 99999, TTHEADER, .seq = 1, .fill = 200000, .keys = "6=app");
	say(callers[3], TTHEADER, .seq = 1, .keys = "6=mux");
	say(callers[4], TTHEADER, .kind = ONEWAY, .seq = 1, .keys = "6=app");
	say_part(app, 0, 70000, TTHEADER, .seq = 1, .fill = 200000); /* relays */
	sim_stop();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_caller_that_half_closes_after_its_call_gets_its_reply,
	    a_half_close_with_calls_read_ahead_answers_all_of_them,
	    a_half_close_while_connecting_is_no_reason_to_give_up,
	    a_half_close_of_an_idle_connection_closes_it,
	    a_half_close_within_a_head_closes_without_a_word,
	    a_half_close_within_a_long_call_cancels_it,
	    a_half_close_within_a_long_call_that_still_connects_cancels_it,
	    a_half_close_within_a_long_call_whose_endpoint_reads_slowly_cancels_it,
	    a_reset_before_the_call_is_whole_is_no_call,
	    a_reset_while_connecting_cancels_the_call,
	    a_reset_within_a_long_call_closes_its_connection,
	    a_reset_while_the_reply_is_relayed_keeps_the_rest_from_everybody,
	    a_caller_that_is_gone_is_noticed_when_its_reply_cannot_be_written,
	    an_endpoint_that_closes_instead_of_answering_is_a_reset,
	    an_endpoint_may_close_right_after_its_reply,
	    an_endpoint_that_breaks_off_within_a_short_reply_is_a_reset,
	    an_endpoint_that_breaks_off_within_a_long_reply_takes_the_callers_connection_along,
	    a_reply_that_is_not_the_calls_is_a_bad_reply,
	    an_odd_header_id_is_only_counted_on_a_connection_of_ones_own,
	    garbage_in_place_of_a_reply_is_a_bad_reply,
	    a_reply_longer_than_any_message_may_be_is_a_bad_reply,
	    a_reply_sent_twice_reaches_the_caller_once,
	    two_replies_in_one_read_are_one_reply_and_a_connection_that_is_not_kept,
	    a_reply_before_the_call_has_left_ends_its_connection,
	    everything_may_end_at_once_in_the_middle_of_anything,
	};

	return sim_main("sim_breaks", tests, ARRAY_LEN(tests));
}
