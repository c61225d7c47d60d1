/* Breakers over real calls: when they open, whom they refuse, how they close again. */
#include <check.h>

#include "base/mem.h"
#include "support/sim.h"
#include "support/stream_end.h"

/* Opens with the second failure of four calls, for two seconds; one probe in 100 ms, two close
 * it. */
#define RULES   "{min_samples: 4, error_rate: 50%, window: 10s, open: 2s, probe: 100ms, successes: 2"
#define BREAKER "retry: none, breaker: " RULES "}"

static const enum sim_form forms[] = {
    FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED, KPB, KPB_TTHEADER};

static struct fake_end *caller, *app;
static const char *method = "Echo";

enum answer { GOOD, EXCEPTED };

static void called(enum answer answer)
{
	static int seq;
	int kind = answer == GOOD ? REPLY : EXCEPTION;

	seq++;
	say(caller, FRAMED, .seq = seq, .method = method);
	if (app == NULL || !is_open(app))
		app = accepted();
	hear(app, FRAMED, .seq = seq, .method = method);
	say(app, FRAMED, .seq = seq, .method = method, .kind = kind, .id = answer == GOOD ? 0 : 6);
	hear(caller, FRAMED, .seq = seq, .method = method, .kind = kind);
	logged(answer == GOOD ? "reason=ok" : "reason=app_exception");
}

static void refused(void)
{
	say(caller, FRAMED, .seq = 77, .method = method);
	hear_failure(caller, REASON_BREAKER_OPEN, FRAMED, .seq = 77, .method = method);
	logged("reason=breaker_open attempts=0");
}

static void begin_with(const char *service)
{
	start(.service = service);
	caller = dial();
}

static void trip(void)
{
	called(GOOD);
	called(GOOD);
	called(EXCEPTED);
	called(EXCEPTED);
}

START_TEST(it_opens_when_too_many_fail)
{
	begin_with(BREAKER);
	called(EXCEPTED);
	called(EXCEPTED);
	called(EXCEPTED); /* too few to tell */
	called(EXCEPTED);
	refused();
	pass(1999);
	refused();
}
END_TEST

START_TEST(a_caller_hears_of_it_in_its_own_protocol)
{
	begin_with(BREAKER);
	trip();
	caller = dial();
	say(caller, forms[_i], .seq = 5);
	hear_failure(caller, REASON_BREAKER_OPEN, forms[_i], .seq = 5);
	logged("reason=breaker_open detail~services.app.breaker detail~50%");
	ck_assert(is_open(caller));
}
END_TEST

START_TEST(good_probes_close_it)
{
	begin_with(BREAKER);
	trip();
	refused();
	pass(2000);
	called(GOOD);
	refused(); /* one probe at a time */
	pass(99);
	refused();
	pass(1);
	called(GOOD);
	called(EXCEPTED); /* closed: what was before is forgotten */
	called(GOOD);
	called(GOOD);
}
END_TEST

START_TEST(a_bad_probe_opens_it_anew)
{
	begin_with(BREAKER);
	trip();
	pass(2000);
	called(GOOD);
	pass(100);
	called(EXCEPTED);
	pass(1900);
	refused();
	pass(100);
	called(GOOD);
}
END_TEST

START_TEST(a_probe_that_says_nothing_makes_room_for_the_next)
{
	struct fake_end *gone;

	begin_with(BREAKER);
	trip();
	pass(2000);
	gone = dial_local(1000);
	say(gone, FRAMED, .seq = 1);
	hear(app, FRAMED, .seq = 1);
	hang_up(gone);
	logged("reason=canceled");
	app = NULL; /* it still owes a reply */
	refused();
	pass(100);
	called(GOOD);
	pass(100);
	called(GOOD);
	called(GOOD);
}
END_TEST

START_TEST(a_good_call_of_before_closes_nothing)
{
	struct fake_end *slow_caller, *slow;

	begin_with(BREAKER);
	slow_caller = dial();
	say(slow_caller, FRAMED, .seq = 1);
	slow = accepted();
	hear(slow, FRAMED, .seq = 1);
	called(GOOD);
	called(EXCEPTED);
	called(EXCEPTED);
	called(EXCEPTED);
	pass(2000);
	called(GOOD); /* the first probe; the late one is none */
	say(slow, FRAMED, .seq = 1);
	hear(slow_caller, FRAMED, .seq = 1);
	logged("reason=ok");
	refused();
}
END_TEST

START_TEST(business_errors_are_no_failures)
{
	begin_with(BREAKER);
	for (int i = 1; i <= 10; i++) {
		say(caller, TTHEADER, .seq = i);
		if (app == NULL)
			app = accepted();
		hear(app, TTHEADER, .seq = i);
		say(app, TTHEADER, .seq = i, .keys = "biz-status=404 biz-message=none");
		hear(caller, TTHEADER, .seq = i);
		logged("reason=biz_error");
	}
	called(GOOD);
}
END_TEST

START_TEST(resets_and_timeouts_are_failures)
{
	begin_with(BREAKER ", timeout: {call: 50ms}");
	for (int i = 1; i <= 4; i++) {
		say(caller, FRAMED, .seq = i);
		app = accepted();
		hear(app, FRAMED, .seq = i);
		if (i % 2) {
			reset(app);
			hear_failure(caller, REASON_RESET, FRAMED, .seq = i);
		} else {
			pass(51);
			hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = i);
			hang_up(app);
		}
		logged(i % 2 ? "reason=reset" : "reason=timeout");
	}
	refused();
}
END_TEST

START_TEST(callers_that_leave_no_time_open_nothing)
{
	begin_with(BREAKER);
	for (int i = 1; i <= 12; i++) {
		bool is_patient = i > 8;

		say(caller, TTHEADER, .seq = i, .keys = is_patient ? "12=200" : "12=1");
		app = accepted();
		hear(app, TTHEADER, .seq = i);
		pass(is_patient ? 206 : 7);
		hear_failure(caller, REASON_CALLER_DEADLINE, TTHEADER, .seq = i);
		logged("reason=caller_deadline");
		hang_up(app);
	}
	refused();
}
END_TEST

START_TEST(connects_that_fail_are_failures)
{
	begin_with(BREAKER);
	fake_script(sim_loop(), FAKE_REFUSED, 4);
	for (int i = 1; i <= 4; i++) {
		say(caller, FRAMED, .seq = i);
		hear_failure(caller, REASON_CONNECT_FAILED, FRAMED, .seq = i);
		logged("reason=connect_failed");
	}
	refused();
}
END_TEST

START_TEST(calls_that_callers_give_up_do_not_count)
{
	begin_with(BREAKER);
	for (int i = 0; i < 10; i++) {
		struct fake_end *gone = dial_local(1000);

		say(gone, FRAMED, .seq = i);
		hear(accepted(), FRAMED, .seq = i);
		hang_up(gone);
		logged("reason=canceled");
	}
	called(GOOD);
}
END_TEST

START_TEST(what_a_limit_refuses_does_not_count)
{
	begin_with(BREAKER ", limit: {rate: 2/m, burst: 2}");
	called(GOOD);
	called(EXCEPTED);
	for (int i = 0; i < 10; i++) {
		say(caller, FRAMED, .seq = i);
		hear_failure(caller, REASON_RATE_LIMITED, FRAMED, .seq = i);
		logged("reason=rate_limited");
	}
	pass(30000);
	called(GOOD);
}
END_TEST

START_TEST(each_method_may_have_one_of_its_own)
{
	begin_with("retry: none, breaker: " RULES ", by: method}");
	method = "Bad";
	trip();
	refused();
	method = "Good";
	called(GOOD);
	method = "Bad";
	refused();
}
END_TEST

START_TEST(service_and_method_both_must_agree)
{
	begin_with(
	    "retry: none, breaker: {min_samples: 100}, methods: {Bad: {breaker: " RULES "}}}");
	method = "Bad";
	trip();
	say(caller, FRAMED, .seq = 5, .method = "Bad");
	hear_failure(caller, REASON_BREAKER_OPEN, FRAMED, .seq = 5, .method = "Bad");
	logged("reason=breaker_open detail~services.app.methods.Bad.breaker");
	method = "Good";
	called(GOOD);
}
END_TEST

START_TEST(two_workers_have_one)
{
	struct fake_end *first;

	begin_with(BREAKER);
	start_second_worker();
	first = caller;
	called(GOOD);
	called(EXCEPTED);
	caller = dial_second();
	app = NULL;
	called(GOOD);
	called(EXCEPTED);
	refused();
	caller = first;
	refused();
}
END_TEST

START_TEST(it_survives_a_reload)
{
	begin_with(BREAKER);
	trip();
	reload(.service = BREAKER ", protocol: framed");
	refused();
	reload(.service = "retry: none");
	called(GOOD);
}
END_TEST

/* ---- streams ---- */

START_TEST(a_stream_counts_when_it_ends)
{
	struct stream_end *far = NULL, *near;
	struct stream *calls[4], *served[4];

	start(.service = BREAKER);
	near = dial_streams(_i);
	for (int i = 0; i < 4; i++) {
		calls[i] = begin(near, .message = "x");
		far = far ? far : accepted_streams(_i);
		served[i] = hear_call(far, .message = "x");
		head(served[i], .message = "y");
		hear_head(calls[i], .message = "y");
	}
	for (int i = 0; i < 3; i++) {
		finish(served[i], .status = 6, .text = "no");
		hear_last(calls[i], .status = 6, .text = "no");
		logged("reason=app_exception");
	}
	finish(begin(near, .message = "early"));
	hear_call(far, .message = "early"); /* one of four is still good */
	finish(served[3], .status = 6, .text = "no");
	hear_last(calls[3], .status = 6, .text = "no");
	hear_refusal(begin(near, .message = "late"), REASON_BREAKER_OPEN);
}
END_TEST

START_TEST(a_refused_stream_costs_no_other)
{
	struct stream_end *far, *near;
	struct stream *call, *going, *served;

	start(.service = "retry: none, breaker: {min_samples: 1, error_rate: 1%, open: 1s}");
	near = dial_streams(_i);
	going = begin(near, .message = "long");
	far = accepted_streams(_i);
	served = hear_call(far, .message = "long");
	call = begin(near, .message = "x", .ends = true);
	refuse(hear_call(far, .message = "x", .ends = true), .status = 6, .text = "no");
	hear_answer(call, .status = 6, .text = "no");
	hear_refusal(begin(near, .message = "y"), REASON_BREAKER_OPEN);
	speak(going, .message = "more", .ends = true);
	hear_message(served, .message = "more");
	hear_last(served);
	answer(served, .message = "done");
	hear_answer(going, .message = "done");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {it_opens_when_too_many_fail, 1},
	    {a_caller_hears_of_it_in_its_own_protocol, ARRAY_LEN(forms)},
	    {good_probes_close_it, 1},
	    {a_bad_probe_opens_it_anew, 1},
	    {a_probe_that_says_nothing_makes_room_for_the_next, 1},
	    {a_good_call_of_before_closes_nothing, 1},
	    {business_errors_are_no_failures, 1},
	    {resets_and_timeouts_are_failures, 1},
	    {callers_that_leave_no_time_open_nothing, 1},
	    {connects_that_fail_are_failures, 1},
	    {calls_that_callers_give_up_do_not_count, 1},
	    {what_a_limit_refuses_does_not_count, 1},
	    {each_method_may_have_one_of_its_own, 1},
	    {service_and_method_both_must_agree, 1},
	    {two_workers_have_one, 1},
	    {it_survives_a_reload, 1},
	    {a_stream_counts_when_it_ends, FAMILIES},
	    {a_refused_stream_costs_no_other, FAMILIES},
	};

	return stream_main("sim_breaker", tests, ARRAY_LEN(tests));
}
