/* A shutdown under running calls: what callers of each protocol see of it, and what is lost. */
#include <check.h>

#include "base/mem.h"
#include "net/loop.h"
#include "proxy/naming.h"
#include "support/sim.h"
#include "support/suite.h"

#define ANY_ORDER 1u
#define SILENCE   50 /* ms without a word, after which a caller is taken to have none */
#define LAST_WORD 1000

static void drain(unsigned spread_ms)
{
	worker_drain(sim_worker(), spread_ms * USEC_MS);
	fake_settle(sim_loop());
}

START_TEST(a_drain_closes_idle_connections_at_once)
{
	struct fake_end *caller;

	start();
	caller = dial();
	pass(1000);
	drain(0);
	hear_end(caller);
	ck_assert(sim_is_drained());
}
END_TEST

START_TEST(a_drain_lets_a_call_end_and_says_so_in_its_reply)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1);
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	drain(0);
	ck_assert(is_open(caller));
	say(app, TTHEADER, .seq = 1, .text = "last", .keys = "k=v");
	hear(caller, TTHEADER, .seq = 1, .text = "last", .keys = "crrst=1 k=v");
	pass(SILENCE);
	hear_end(caller);
	ck_assert(is_open(app)); /* others may still want it */
	ck_assert(sim_is_drained());
	logged("reason=ok");
}
END_TEST

START_TEST(a_drain_answers_what_has_come_in_part)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	pass(1000);
	say_part(caller, 0, 20, FRAMED, .seq = 1);
	drain(0);
	ck_assert(is_open(caller));
	say_part(caller, 20, 0, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	pass(SILENCE);
	hear_end(caller);
}
END_TEST

START_TEST(a_drain_answers_what_was_sent_ahead)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1);
	say(caller, TTHEADER, .seq = 2);
	app = accepted();
	drain(0);
	hear(app, TTHEADER, .seq = 1);
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1, .keys = "crrst=1");
	hear(app, TTHEADER, .seq = 2);
	say(app, TTHEADER, .seq = 2);
	hear(caller, TTHEADER, .seq = 2, .keys = "crrst=1");
	pass(SILENCE);
	hear_end(caller);
}
END_TEST

START_TEST(whoever_has_just_come_is_left_alone_for_its_first_call)
{
	struct fake_end *idle, *busy, *app;

	start();
	idle = dial();
	busy = dial();
	drain(0);
	pass(900);
	say(busy, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(busy, FRAMED, .seq = 1);
	ck_assert(is_open(idle));
	pass(100);
	hear_end(idle);
	hear_end(busy); /* it has been silent since */
}
END_TEST

START_TEST(a_drain_spreads_the_ends_of_idle_connections)
{
	struct fake_end *callers[20];
	unsigned open = 0;

	start();
	for (int i = 0; i < 20; i++)
		callers[i] = dial();
	pass(1000);
	drain(2000);
	pass(1000);
	for (int i = 0; i < 20; i++)
		open += is_open(callers[i]);
	ck_assert_uint_gt(open, 2);
	ck_assert_uint_lt(open, 18);
	pass(1001);
	ck_assert(sim_is_drained());
}
END_TEST

START_TEST(a_failure_while_draining_announces_the_end_too)
{
	struct fake_end *caller;

	start();
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, TTHEADER, .seq = 1);
	drain(0);
	fake_script(sim_loop(), FAKE_REFUSED, 2);
	fake_refuse(accepted(), 111);
	pass(0);
	hear_failure(caller, REASON_CONNECT_FAILED, TTHEADER, .seq = 1, .keys = "crrst=1");
	pass(SILENCE);
	hear_end(caller);
}
END_TEST

START_TEST(calls_that_outlive_the_drain_are_ended)
{
	struct fake_end *caller;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	say(caller, FRAMED, .kind = ONEWAY, .seq = 2);
	drain(0);
	pass(1000);
	ck_assert(!sim_is_drained());
	sim_stop();
}
END_TEST

START_TEST(a_connection_that_comes_late_has_its_call_answered)
{
	struct fake_end *caller, *app;

	start();
	drain(0);
	caller = dial();
	say(caller, TTHEADER, .seq = 1);
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1, .keys = "crrst=1");
	pass(1001);
	hear_end(caller);
}
END_TEST

/* ---- in silence ---- */

/* Its caller has no word for it: what it says meanwhile is still heard. */
START_TEST(a_caller_that_goes_on_talking_is_answered_for_a_while)
{
	struct fake_end *caller, *app = NULL;
	int seq = 0;

	start();
	caller = dial();
	drain(0);
	for (unsigned ms = 0; ms < 1960; ms += 40) {
		say(caller, FRAMED, .seq = ++seq);
		app = app ? app : accepted();
		hear(app, FRAMED, .seq = seq);
		say(app, FRAMED, .seq = seq);
		hear(caller, FRAMED, .seq = seq);
		pass(40);
		ck_assert(is_open(caller));
	}
	pass(40);
	hear_end(caller);
}
END_TEST

START_TEST(a_caller_that_never_is_silent_loses_its_connection_behind_a_reply)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	drain(0);
	pass(2500);
	ck_assert(is_open(caller));
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	hear_end(caller);
}
END_TEST

/* It is in the kernel already when the time to close has come. */
START_TEST(a_call_that_has_come_but_was_not_read_yet_is_answered)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	pass(1000);
	put(caller, FRAMED, .seq = 1);
	worker_drain(sim_worker(), 0);
	fake_settle(sim_loop());
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	pass(SILENCE);
	hear_end(caller);
}
END_TEST

/* ---- many calls at once ---- */

/* As a server of Kitex says it: golden 22 of tests/wire has the same. */
static void hear_no_more(struct fake_end *caller)
{
	static const char said[] = "\0\0\0\x2b\x10\0\0\0\0\0\0\0\0\4\0\0\1\0\1\0\5crrst\0\1"
				   "1\0"
				   "\x80\1\0\2\0\0\0\4none\0\0\0\0";
	struct slice got = slice_first(fake_received(caller), sizeof said);

	ck_assert(slice_eq(got, slice_of(said, sizeof said)));
	fake_consume(caller, sizeof said);
}

START_TEST(a_caller_with_many_calls_at_once_is_told_when_none_runs)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .flags = ANY_ORDER);
	say(caller, TTHEADER, .seq = 2, .flags = ANY_ORDER);
	app = accepted();
	drain(0);
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1, .keys = "crrst=1");
	pass(200);
	hear_nothing(caller); /* the other one still runs */
	app = accepted();
	say(app, TTHEADER, .seq = 2);
	hear(caller, TTHEADER, .seq = 2, .keys = "crrst=1");
	hear_no_more(caller);
	ck_assert(is_open(caller));
	pass(LAST_WORD - 1);
	ck_assert(is_open(caller));
	pass(1);
	hear_end(caller);
}
END_TEST

START_TEST(calls_that_cross_that_word_are_answered_and_it_is_said_once)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .flags = ANY_ORDER);
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	drain(0);
	hear_no_more(caller);
	pass(LAST_WORD / 2);
	say(caller, TTHEADER, .seq = 2, .flags = ANY_ORDER);
	hear(app, TTHEADER, .seq = 2);
	pass(LAST_WORD);
	ck_assert(is_open(caller));
	say(app, TTHEADER, .seq = 2);
	hear(caller, TTHEADER, .seq = 2, .keys = "crrst=1");
	hear_end(caller);
}
END_TEST

START_TEST(a_caller_that_has_heard_it_may_close_first)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .flags = ANY_ORDER);
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	drain(0);
	hear_no_more(caller);
	half_close(caller);
	pass(0);
	hear_end(caller);
	ck_assert(sim_is_drained());
}
END_TEST

/* Whoever takes replies in order would take it for one. */
START_TEST(callers_that_wait_for_each_reply_are_not_told_so)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1);
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	pass(SILENCE);
	drain(0);
	hear_end(caller);
}
END_TEST

/* ---- back again ---- */

START_TEST(whoever_was_not_told_yet_stays_when_it_is_taken_back)
{
	struct fake_end *callers[20];
	unsigned open = 0, stay;

	start();
	for (int i = 0; i < 20; i++)
		callers[i] = dial();
	pass(1000);
	drain(2000);
	pass(1000);
	for (int i = 0; i < 20; i++)
		open += is_open(callers[i]);
	worker_undrain(sim_worker());
	pass(5000);
	stay = 0;
	for (int i = 0; i < 20; i++)
		stay += is_open(callers[i]);
	ck_assert_uint_eq(stay, open);
	ck_assert_uint_gt(stay, 2);
}
END_TEST

START_TEST(what_was_told_to_go_goes_though_it_is_taken_back)
{
	struct fake_end *caller, *other, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1);
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	drain(0);
	worker_undrain(sim_worker());
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1, .keys = "crrst=1");
	pass(SILENCE);
	hear_end(caller);
	other = dial();
	say(other, TTHEADER, .seq = 2);
	hear(app, TTHEADER, .seq = 2);
	say(app, TTHEADER, .seq = 2);
	hear(other, TTHEADER, .seq = 2, .keys = "!crrst");
	pass(5000);
	ck_assert(is_open(other));
}
END_TEST

START_TEST(an_age_still_counts_when_a_drain_is_taken_back)
{
	struct fake_end *caller;

	start(.listener = "max_age: 10s");
	caller = dial();
	drain(60000);
	worker_undrain(sim_worker());
	pass(8000);
	ck_assert(is_open(caller));
	pass(4000);
	hear_end(caller);
}
END_TEST

/* ---- the end of the time ---- */

static void cut(void)
{
	worker_cut(sim_worker());
	fake_settle(sim_loop());
}

START_TEST(at_the_end_each_call_is_answered_in_its_own_form)
{
	static const enum sim_form forms[] = {
	    FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED, KPB, KPB_TTHEADER};
	struct fake_end *caller;
	enum sim_form form = forms[_i];

	start();
	caller = dial();
	say(caller, form, .seq = 7);
	hear(accepted(), form, .seq = 7);
	drain(0);
	cut();
	hear_failure(caller, REASON_DRAINING, form, .seq = 7);
	hear_end(caller);
	logged("reason=draining detail~service");
	ck_assert(sim_is_drained());
}
END_TEST

START_TEST(at_the_end_all_calls_of_a_connection_are_answered)
{
	struct fake_end *caller;

	start();
	caller = dial();
	for (int i = 1; i <= 3; i++) {
		say(caller, TTHEADER, .seq = i, .flags = ANY_ORDER);
		hear(accepted(), TTHEADER, .seq = i);
	}
	drain(0);
	cut();
	for (int i = 1; i <= 3; i++) {
		hear_failure(caller, REASON_DRAINING, TTHEADER, .seq = i, .keys = "crrst=1");
		logged("reason=draining");
	}
	hear_no_more(caller);
	hear_end(caller);
}
END_TEST

/* A call behind others of another kind is kept until they are answered; it never begins. */
START_TEST(a_call_that_waits_behind_others_is_answered_and_not_begun)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .flags = ANY_ORDER);
	say(caller, TTHEADER, .seq = 2);
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	cut();
	hear_failure(caller, REASON_DRAINING, TTHEADER, .seq = 1);
	hear_failure(caller, REASON_DRAINING, TTHEADER, .seq = 2);
	hear_end(caller);
	no_connect();
	logged("reason=draining attempts=1");
	logged("reason=draining attempts=0");
}
END_TEST

START_TEST(a_call_that_waits_for_a_slot_is_answered)
{
	struct fake_end *first, *second;

	start(.service = "limit: {concurrency: 1, queue: 5}");
	first = dial();
	second = dial();
	say(first, FRAMED, .seq = 1);
	hear(accepted(), FRAMED, .seq = 1);
	say(second, FRAMED, .seq = 2);
	cut();
	hear_failure(first, REASON_DRAINING, FRAMED, .seq = 1);
	hear_failure(second, REASON_DRAINING, FRAMED, .seq = 2);
	hear_end(second);
	no_connect();
	ck_assert_uint_eq(running("services.app.limit"), 0);
	logged("reason=draining attempts=1");
	logged("reason=draining attempts=0");
}
END_TEST

START_TEST(a_call_that_waits_to_try_again_is_answered)
{
	struct fake_end *caller;

	start(.service = "retry: {attempts: 3, backoff: 10s}");
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	hear_nothing(caller);
	cut();
	hear_failure(caller, REASON_DRAINING, FRAMED, .seq = 1);
	hear_end(caller);
	pass(20000);
	no_connect();
	logged("reason=draining attempts=1");
}
END_TEST

static void note_want(void *arg, struct slice name)
{
	(void)arg;
	(void)name;
}

START_TEST(a_call_that_waits_for_its_name_is_answered)
{
	struct fake_end *caller;

	start(.services = "'*': {discover: r}",
	    .top = "registries: {r: {type: file, path: /nonexistent/services.yaml}}");
	sim_worker()->want_name = note_want;
	caller = dial_to("open");
	say(caller, TTHEADER, .seq = 1, .keys = "6=shop.price");
	hear_nothing(caller);
	cut();
	hear_failure(caller, REASON_DRAINING, TTHEADER, .seq = 1);
	hear_end(caller);
	naming_settled(sim_worker(), SLICE_LIT("shop.price"), "nobody waits any more");
	logged("reason=draining attempts=0");
}
END_TEST

START_TEST(a_call_that_still_comes_in_is_answered)
{
	struct fake_end *caller;

	start();
	caller = dial();
	say_part(caller, 0, 150000, TTHEADER, .seq = 1, .fill = 200000);
	take(accepted(), 1);
	cut();
	hear_failure(caller, REASON_DRAINING, TTHEADER, .seq = 1);
	hear_end(caller);
	logged("reason=draining");
}
END_TEST

/* Half a reply cannot become another. */
START_TEST(a_reply_that_has_begun_is_broken_off)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say_part(app, 0, 150000, FRAMED, .seq = 1, .fill = 200000);
	cut();
	pass(1);
	ck_assert(!is_open(caller));
	logged("reason=draining");
}
END_TEST

START_TEST(what_has_been_answered_is_no_failure)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	cut();
	hear(caller, FRAMED, .seq = 1);
	hear_end(caller);
	logged("reason=ok");
}
END_TEST

START_TEST(a_caller_that_comes_after_the_end_is_answered_so)
{
	struct fake_end *caller;

	start();
	cut();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	hear(accepted(), FRAMED, .seq = 1); /* its connection is new: for this one there is time */
	cut();
	hear_failure(caller, REASON_DRAINING, FRAMED, .seq = 1);
	hear_end(caller);
}
END_TEST

/* ---- callers that are gone ---- */

START_TEST(a_stop_waits_no_longer_than_a_moment_for_callers_that_have_ended_their_side)
{
	struct fake_end *early, *late, *there, *app;

	start(.service = "timeout: {call: none, default: none}");
	early = dial();
	late = dial();
	there = dial();
	say(early, FRAMED, .seq = 1);
	hear(accepted(), FRAMED, .seq = 1);
	say(late, FRAMED, .seq = 2);
	hear(accepted(), FRAMED, .seq = 2);
	say(there, FRAMED, .seq = 3);
	app = accepted();
	hear(app, FRAMED, .seq = 3);
	half_close(early);
	drain(0);
	worker_stop(sim_worker());
	pass(3000);
	half_close(late);
	pass(1999);
	ck_assert(is_open(early));
	pass(1);
	hear_failure(early, REASON_DRAINING, FRAMED, .seq = 1);
	hear_end(early);
	pass(3000);
	hear_failure(late, REASON_DRAINING, FRAMED, .seq = 2);
	hear_end(late);
	pass(60000);
	ck_assert(is_open(there));
	say(app, FRAMED, .seq = 3);
	hear(there, FRAMED, .seq = 3);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_drain_closes_idle_connections_at_once, 1},
	    {a_drain_lets_a_call_end_and_says_so_in_its_reply, 1},
	    {a_drain_answers_what_has_come_in_part, 1},
	    {a_drain_answers_what_was_sent_ahead, 1},
	    {whoever_has_just_come_is_left_alone_for_its_first_call, 1},
	    {a_drain_spreads_the_ends_of_idle_connections, 1},
	    {a_failure_while_draining_announces_the_end_too, 1},
	    {calls_that_outlive_the_drain_are_ended, 1},
	    {a_connection_that_comes_late_has_its_call_answered, 1},
	    {a_caller_that_goes_on_talking_is_answered_for_a_while, 1},
	    {a_caller_that_never_is_silent_loses_its_connection_behind_a_reply, 1},
	    {a_call_that_has_come_but_was_not_read_yet_is_answered, 1},
	    {a_caller_with_many_calls_at_once_is_told_when_none_runs, 1},
	    {calls_that_cross_that_word_are_answered_and_it_is_said_once, 1},
	    {a_caller_that_has_heard_it_may_close_first, 1},
	    {callers_that_wait_for_each_reply_are_not_told_so, 1},
	    {whoever_was_not_told_yet_stays_when_it_is_taken_back, 1},
	    {what_was_told_to_go_goes_though_it_is_taken_back, 1},
	    {an_age_still_counts_when_a_drain_is_taken_back, 1},
	    {at_the_end_each_call_is_answered_in_its_own_form, 6},
	    {at_the_end_all_calls_of_a_connection_are_answered, 1},
	    {a_call_that_waits_behind_others_is_answered_and_not_begun, 1},
	    {a_call_that_waits_for_a_slot_is_answered, 1},
	    {a_call_that_waits_to_try_again_is_answered, 1},
	    {a_call_that_waits_for_its_name_is_answered, 1},
	    {a_call_that_still_comes_in_is_answered, 1},
	    {a_reply_that_has_begun_is_broken_off, 1},
	    {what_has_been_answered_is_no_failure, 1},
	    {a_caller_that_comes_after_the_end_is_answered_so, 1},
	    {a_stop_waits_no_longer_than_a_moment_for_callers_that_have_ended_their_side, 1},
	};

	return suite_run_between("sim_drain", tests, ARRAY_LEN(tests), NULL, sim_end);
}
