/* What a listener allows: who, how much, how long, and in which protocol. */
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "support/sim.h"

START_TEST(a_first_byte_begins_the_time_to_say_the_protocol)
{
	struct fake_end *caller;

	start(.listener = "timeout: {detect: 1s, idle: 1m}");
	caller = dial();
	pass(5000);
	ck_assert(is_open(caller));
	say_part(caller, 0, 5, FRAMED, .seq = 1);
	pass(999);
	ck_assert(is_open(caller));
	pass(2);
	hear_end(caller);
	logged("reason=timeout attempts=0 protocol=unknown detail~detect");
}
END_TEST

START_TEST(a_message_has_a_time_to_become_whole)
{
	struct fake_end *caller;

	start(.listener = "timeout: {detect: 1s, message: 3s}");
	caller = dial();
	say_part(caller, 0, 20, FRAMED, .seq = 1, .text = "0123456789");
	pass(2000);
	say_part(caller, 20, 22, FRAMED, .seq = 1, .text = "0123456789"); /* does not help */
	pass(999);
	ck_assert(is_open(caller));
	pass(2);
	hear_end(caller);
	logged("reason=timeout detail~message");
}
END_TEST

START_TEST(a_message_on_its_way_does_not_time_out_when_it_was_whole)
{
	struct fake_end *caller, *app;

	start(.listener = "timeout: {message: 1s}");
	caller = dial();
	say_part(caller, 0, 20, FRAMED, .seq = 1);
	pass(900);
	say_part(caller, 20, 0, FRAMED, .seq = 1);
	pass(5000);
	app = accepted();
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	pass(5000);
	say(caller, FRAMED, .seq = 2);
	hear_nothing(caller);
	ck_assert(is_open(caller));
}
END_TEST

START_TEST(a_long_message_has_the_same_time)
{
	struct fake_end *caller, *app;

	start(.listener = "timeout: {message: 3s}");
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	app = accepted();
	pass(3001);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 1);
	hear_end(caller);
	ck_assert(!is_open(app));
	logged("reason=timeout attempts=1 detail~timeout.message");
	ck_assert_uint_eq(attempts(ATTEMPT_CANCELED), 1);
}
END_TEST

START_TEST(an_idle_connection_is_closed_after_its_time)
{
	struct fake_end *caller, *app;

	start(.listener = "timeout: {idle: 10s}");
	caller = dial();
	pass(6000);
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	pass(20000); /* a call is no idleness */
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	pass(9999);
	ck_assert(is_open(caller));
	pass(2);
	hear_end(caller);
	logged("reason=ok");
	logged_nothing();
}
END_TEST

START_TEST(a_short_reply_that_is_not_read_ends_the_connection)
{
	struct fake_end *caller, *app;

	start(.listener = "timeout: {write_stall: 2s}");
	caller = dial();
	fake_take(caller, 10);
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	say(app, FRAMED, .seq = 1);
	logged("reason=ok");
	pass(1999);
	ck_assert(is_open(caller));
	pass(2);
	ck_assert(!is_open(caller));
}
END_TEST

START_TEST(a_protocol_that_nobody_knows_is_refused_without_an_answer)
{
	struct fake_end *caller;

	start();
	caller = dial();
	say_bytes(caller, SLICE_LIT("GET / HTTP/1.1\r\n\r\n"));
	hear_end(caller);
	logged("reason=protocol_unknown protocol=unknown attempts=0");
}
END_TEST

START_TEST(a_protocol_that_the_listener_does_not_take_is_answered)
{
	struct fake_end *caller, *app;

	start(.listener = "protocols: [ttheader]");
	caller = dial();
	say(caller, FRAMED, .seq = 4);
	hear_failure(caller, REASON_PROTOCOL_UNKNOWN, FRAMED, .seq = 4);
	hear_end(caller);
	logged("reason=protocol_unknown protocol=framed");
	caller = dial();
	say(caller, TTHEADER, .seq = 5);
	app = accepted();
	hear(app, TTHEADER, .seq = 5);
}
END_TEST

START_TEST(what_a_caller_must_not_send_closes_its_connection)
{
	static const enum sim_kind kinds[] = {REPLY, EXCEPTION};

	start();
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct fake_end *caller = dial();

		say(caller, FRAMED, .kind = kinds[i], .seq = 1);
		ck_assert(!is_open(caller));
		logged("reason=malformed attempts=0");
	}
	no_connect();
}
END_TEST

START_TEST(a_message_over_the_limit_is_answered_and_ends_the_connection)
{
	struct fake_end *caller;

	start(.listener = "max_message: 8KiB");
	caller = dial();
	say(caller, FRAMED, .seq = 1, .fill = 9000);
	hear_failure(caller, REASON_TOO_LARGE, FRAMED, .seq = 1);
	hear_end(caller);
	logged("reason=too_large method=Echo attempts=0");
	no_connect();
}
END_TEST

START_TEST(a_header_over_the_limit_ends_the_connection)
{
	struct fake_end *caller;
	char keys[3000];

	start(.listener = "max_header: 1KiB");
	caller = dial();
	memset(keys, 'x', sizeof keys);
	keys[1] = '=';
	keys[sizeof keys - 1] = '\0';
	say(caller, TTHEADER, .seq = 1, .keys = keys);
	hear_end(caller);
	logged("reason=too_large attempts=0");
}
END_TEST

START_TEST(calls_before_a_bad_message_are_answered_first)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	say_bytes(caller, SLICE_LIT("garbage that is no message at all"));
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	ck_assert(is_open(caller));
	say(app, FRAMED, .seq = 1, .text = "good");
	hear(caller, FRAMED, .seq = 1, .text = "good");
	hear_end(caller);
	logged("reason=ok");
	logged("reason=protocol_unknown");
}
END_TEST

START_TEST(a_malformed_struct_is_answered_with_a_protocol_error)
{
	struct fake_end *caller;
	struct sim_frame call = {TTHEADER_FRAMED, .seq = 8, .text = "abc"};
	size_t len;
	uint8_t *bytes = sim_frame_make(&call, &len);

	start();
	caller = dial();
	bytes[len - 1] = 0x77;
	say_bytes(caller, slice_of(bytes, len));
	free(bytes);
	hear_failure(
	    caller, REASON_MALFORMED, TTHEADER_FRAMED, .seq = 8, .id = 7, .keys = "crrst=1");
	hear_end(caller);
	logged("reason=malformed method=Echo");
}
END_TEST

START_TEST(a_connection_above_the_limit_is_answered_once)
{
	struct fake_end *caller;

	start();
	atomic_store(&sim_worker()->shares->connecting, 0);
	caller = dial_over_limit();
	ck_assert(is_open(caller));
	say(caller, TTHEADER, .seq = 1);
	hear_failure(caller, REASON_CONNECTION_LIMITED, TTHEADER, .seq = 1, .keys = "crrst=1");
	hear_end(caller);
	logged("reason=connection_limited attempts=0 listener=in");
	no_connect();
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->connecting), 0);
}
END_TEST

START_TEST(callers_are_admitted_by_address)
{
	struct fake_end *caller;

	start(.listener = "allow: [\"198.51.100.0/24\"]");
	caller = dial();
	hear_end(caller);
	ck_assert_uint_eq(
	    counter_get(&worker_listener_stats(sim_worker(), "in")->refused_connections), 1);
	reload(.listener = "deny: [\"192.0.2.7\"]");
	hear_end(dial());
	reload(.listener = "allow: [\"192.0.2.0/24\"]");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	hear(accepted(), FRAMED, .seq = 1);
}
END_TEST

START_TEST(callers_are_admitted_by_uid)
{
	struct fake_end *caller;

	start(.local = "allow: [\"uid:1000\"]");
	hear_end(dial_local(1001));
	caller = dial_local(1000);
	say(caller, FRAMED, .seq = 1);
	hear(accepted(), FRAMED, .seq = 1);
	reload(.local = "allow: [\"uid:1000\"], deny: [\"gid:1000\"]");
	hear_end(dial_local(1000));
	ck_assert(is_open(caller)); /* it was let in */
}
END_TEST

START_TEST(nothing_is_logged_where_the_log_is_sampled_down_to_nothing_but_errors)
{
	struct fake_end *caller, *app;

	start(.top = "access_log: {to: stderr, sample: 0%, always: {errors: true, slower_than: "
		     "50ms}}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	say(app, FRAMED, .seq = 1);
	logged_nothing();
	say(caller, FRAMED, .seq = 2);
	pass(51);
	say(app, FRAMED, .seq = 2);
	logged("reason=ok total=51000");
	say(caller, FRAMED, .seq = 3);
	reset(app);
	logged("reason=reset");
	sim_stop_quietly();
}
END_TEST

static const struct call_series *find_series(enum reason reason)
{
	const struct call_series *s = atomic_load(&sim_worker()->calls.first);

	while (s && counter_get(&s->by_reason[reason]) == 0)
		s = atomic_load(&s->next);
	return s;
}

START_TEST(calls_are_counted_by_what_became_of_them)
{
	struct fake_end *caller, *app;
	const struct call_series *series;

	start();
	caller = dial();
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	say(caller, FRAMED, .seq = 1, .method = "One");
	app = accepted();
	say(app, FRAMED, .seq = 1, .method = "One");
	series = find_series(REASON_OK);
	ck_assert_ptr_nonnull(series);
	ck_assert(slice_eq_str(series->labels.method, "One"));
	ck_assert(slice_eq_str(series->labels.service, "app"));
	ck_assert(slice_eq_str(series->labels.listener, "in"));
	ck_assert_uint_eq(series->labels.retries, 1);
	ck_assert(!series->labels.is_server);
	say(caller, FRAMED, .seq = 2, .method = "Two");
	reset(app);
	series = find_series(REASON_RESET);
	ck_assert_ptr_nonnull(series);
	ck_assert(slice_eq_str(series->labels.method, "Two"));
	ck_assert_uint_eq(counter_get(&sim_worker()->calls_total), 2);
	ck_assert_uint_eq(counter_get(&worker_listener_stats(sim_worker(), "in")->calls), 2);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_first_byte_begins_the_time_to_say_the_protocol,
	    a_message_has_a_time_to_become_whole,
	    a_message_on_its_way_does_not_time_out_when_it_was_whole,
	    a_long_message_has_the_same_time,
	    an_idle_connection_is_closed_after_its_time,
	    a_short_reply_that_is_not_read_ends_the_connection,
	    a_protocol_that_nobody_knows_is_refused_without_an_answer,
	    a_protocol_that_the_listener_does_not_take_is_answered,
	    what_a_caller_must_not_send_closes_its_connection,
	    a_message_over_the_limit_is_answered_and_ends_the_connection,
	    a_header_over_the_limit_ends_the_connection,
	    calls_before_a_bad_message_are_answered_first,
	    a_malformed_struct_is_answered_with_a_protocol_error,
	    a_connection_above_the_limit_is_answered_once,
	    callers_are_admitted_by_address,
	    callers_are_admitted_by_uid,
	    nothing_is_logged_where_the_log_is_sampled_down_to_nothing_but_errors,
	    calls_are_counted_by_what_became_of_them,
	};

	return sim_main("sim_limits", tests, ARRAY_LEN(tests));
}
