/* Calls that wait for a place: in which order they get it, and everything that ends a wait. */
#include <check.h>

#include "base/mem.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define HERE     "services.app.limit"
#define QUEUE(n) "limit: {concurrency: 1, queue: {length: " #n ", wait: 1s}}"

#define CALLERS 5

static struct fake_end *callers[CALLERS], *app;

/* One call holds the place, so many others wait for it, all on connections of their own. */
static void fill(unsigned waiting)
{
	for (unsigned i = 0; i <= waiting; i++) {
		callers[i] = dial();
		say(callers[i], FRAMED, .seq = (int)i);
	}
	app = accepted();
	hear(app, FRAMED, .seq = 0);
	no_connect();
	ck_assert_uint_eq(running(HERE), 1);
}

/* The call with that number is the one that has the place, and ends. */
static void serve(int seq)
{
	say(app, FRAMED, .seq = seq);
	hear(callers[seq], FRAMED, .seq = seq);
}

START_TEST(who_comes_first_is_served_first)
{
	start(.service = QUEUE(3));
	fill(3);
	for (int i = 0; i <= 3; i++) {
		if (i)
			hear(app, FRAMED, .seq = i);
		hear_nothing(app);
		ck_assert_uint_eq(running(HERE), 1);
		serve(i);
		logged("reason=ok");
	}
	no_connect();
	ck_assert_uint_eq(running(HERE), 0);
}
END_TEST

START_TEST(a_full_queue_refuses)
{
	start(.service = QUEUE(2));
	fill(2);
	callers[3] = dial();
	say(callers[3], FRAMED, .seq = 3);
	hear_failure(callers[3], REASON_CONCURRENCY_LIMITED, FRAMED, .seq = 3);
	logged("reason=concurrency_limited attempts=0 detail~queue detail~services.app.limit");
	serve(0);
	say(callers[3], FRAMED, .seq = 3); /* one has left it */
	hear_nothing(callers[3]);
	hear(app, FRAMED, .seq = 1);
	serve(1);
	hear(app, FRAMED, .seq = 2);
	serve(2);
	hear(app, FRAMED, .seq = 3);
	serve(3);
}
END_TEST

START_TEST(a_wait_in_vain_ends_after_its_time)
{
	start(.service = "limit: {concurrency: 1, queue: {length: 2, wait: 100ms}}");
	fill(1);
	pass(60);
	callers[2] = dial();
	say(callers[2], FRAMED, .seq = 2);
	pass(39);
	hear_nothing(callers[1]);
	pass(2);
	hear_failure(callers[1], REASON_QUEUE_TIMEOUT, FRAMED, .seq = 1);
	logged("reason=queue_timeout attempts=0 detail~services.app.limit");
	hear_nothing(callers[2]); /* its own time is not up */
	serve(0);
	hear(app, FRAMED, .seq = 2);
	serve(2);
	say(callers[1], FRAMED, .seq = 1); /* and that connection goes on */
	hear(app, FRAMED, .seq = 1);
	serve(1);
}
END_TEST

START_TEST(a_caller_that_goes_away_leaves_the_queue)
{
	struct fake_end *gone;

	start(.service = QUEUE(2));
	fill(1);
	gone = dial_local(1000);
	say(gone, FRAMED, .seq = 9);
	callers[2] = dial();
	say(callers[2], FRAMED, .seq = 2);
	hear_failure(callers[2], REASON_CONCURRENCY_LIMITED, FRAMED, .seq = 2);
	logged("reason=concurrency_limited");
	hang_up(gone);
	logged("reason=canceled attempts=0");
	say(callers[2], FRAMED, .seq = 2); /* there is a place again */
	hear_nothing(callers[2]);
	serve(0);
	hear(app, FRAMED, .seq = 1);
	serve(1);
	hear(app, FRAMED, .seq = 2);
	serve(2);
}
END_TEST

START_TEST(the_first_of_a_queue_may_go_away_too)
{
	struct fake_end *gone;

	start(.service = QUEUE(3));
	fill(0);
	gone = dial_local(1000);
	say(gone, FRAMED, .seq = 9);
	callers[1] = dial();
	say(callers[1], FRAMED, .seq = 1);
	hang_up(gone);
	serve(0);
	hear(app, FRAMED, .seq = 1);
	serve(1);
}
END_TEST

START_TEST(a_caller_may_go_away_in_the_turn_that_gives_it_the_place)
{
	struct fake_end *gone;

	start(.service = QUEUE(3));
	fill(0);
	gone = dial_local(1000);
	say(gone, FRAMED, .seq = 9);
	callers[1] = dial();
	say(callers[1], FRAMED, .seq = 1);
	put(app, FRAMED, .seq = 0);
	fake_close(gone);
	fake_settle(sim_loop());
	hear(callers[0], FRAMED, .seq = 0);
	hear_end(gone);
	app = accepted(); /* the one who went away was sent, and took its connection along */
	hear(app, FRAMED, .seq = 1);
	ck_assert_uint_eq(running(HERE), 1);
	serve(1);
}
END_TEST

START_TEST(the_callers_own_time_runs_in_the_queue)
{
	start(.service = QUEUE(3));
	fill(0);
	callers[1] = dial();
	say(callers[1], TTHEADER, .seq = 1, .keys = "12=50");
	pass(56); /* the caller's time, and what it is given to be first */
	hear_failure(callers[1], REASON_CALLER_DEADLINE, TTHEADER, .seq = 1);
	logged("reason=caller_deadline attempts=0");
	serve(0);
	no_connect();
	hear_nothing(app);
}
END_TEST

START_TEST(the_operators_time_runs_in_the_queue)
{
	start(.service = QUEUE(3) ", timeout: {call: 80ms}");
	fill(1);
	pass(30);
	serve(0);
	hear(app, FRAMED, .seq = 1);
	pass(51);
	hear_failure(callers[1], REASON_TIMEOUT, FRAMED, .seq = 1);
	logged("reason=ok");
	logged("reason=timeout attempts=1");
}
END_TEST

START_TEST(the_log_says_how_long_a_call_waited)
{
	start(.service = QUEUE(3));
	fill(1);
	pass(70);
	serve(0);
	logged("reason=ok queue=0");
	hear(app, FRAMED, .seq = 1);
	serve(1);
	logged("reason=ok queue=70000 total=70000");
}
END_TEST

START_TEST(who_waits_for_its_method_keeps_no_place_of_the_service)
{
	struct fake_end *slow, *fast;

	start(.service =
		  "limit: {concurrency: 2, queue: {length: 9, wait: 1s}}, "
		  "methods: {Slow: {limit: {concurrency: 1, queue: {length: 9, wait: 1s}}}}");
	for (int i = 0; i < CALLERS; i++)
		callers[i] = dial();
	for (int i = 0; i < 3; i++)
		say(callers[i], FRAMED, .seq = i, .method = "Slow");
	slow = accepted();
	hear(slow, FRAMED, .seq = 0, .method = "Slow");
	no_connect();
	ck_assert_uint_eq(running(HERE), 1);
	say(callers[3], FRAMED, .seq = 3, .method = "Fast");
	fast = accepted();
	hear(fast, FRAMED, .seq = 3, .method = "Fast");
	say(callers[4], FRAMED, .seq = 4, .method = "Fast"); /* waits for the service alone */
	no_connect();
	/* The next slow one gets its method's place, and the service's behind the fast one. */
	say(slow, FRAMED, .seq = 0, .method = "Slow");
	hear(slow, FRAMED, .seq = 4, .method = "Fast");
	hear_nothing(fast);
	say(fast, FRAMED, .seq = 3, .method = "Fast");
	hear(fast, FRAMED, .seq = 1, .method = "Slow");
	ck_assert_uint_eq(running("services.app.methods.Slow.limit"), 1);
	ck_assert_uint_eq(running(HERE), 2);
}
END_TEST

START_TEST(a_caller_waits_for_a_place_of_its_own)
{
	struct fake_end *a, *b;

	start(.service = "limit: {concurrency: 1, by: caller, queue: {length: 9, wait: 1s}}");
	for (int i = 0; i < 4; i++)
		callers[i] = dial();
	say(callers[0], TTHEADER, .seq = 1, .keys = "3=shop.a");
	a = accepted();
	hear(a, TTHEADER, .seq = 1);
	say(callers[1], TTHEADER, .seq = 2, .keys = "3=shop.a");
	say(callers[2], TTHEADER, .seq = 3, .keys = "3=shop.b");
	b = accepted(); /* nobody waits for b */
	hear(b, TTHEADER, .seq = 3);
	say(callers[3], TTHEADER, .seq = 4, .keys = "3=shop.b");
	no_connect();
	say(b, TTHEADER, .seq = 3); /* a place of b's is of no use to the one who came first */
	hear(callers[2], TTHEADER, .seq = 3);
	hear(b, TTHEADER, .seq = 4);
	hear_nothing(a);
	say(a, TTHEADER, .seq = 1);
	hear(a, TTHEADER, .seq = 2);
}
END_TEST

START_TEST(with_equal_shares_a_caller_of_many_calls_does_not_keep_others_waiting)
{
	struct fake_end *first, *second;

	start(.service = "limit: {concurrency: 2, share: equal, queue: {length: 9, wait: 1s}}");
	say(dial(), TTHEADER, .seq = 1, .keys = "3=hog");
	first = accepted();
	hear(first, TTHEADER, .seq = 1);
	say(dial(), TTHEADER, .seq = 2, .keys = "3=hog");
	second = accepted();
	hear(second, TTHEADER, .seq = 2);
	for (int i = 3; i <= 5; i++)
		say(dial(), TTHEADER, .seq = i, .keys = "3=hog");
	say(dial(), TTHEADER, .seq = 9, .keys = "3=other");
	say(first, TTHEADER, .seq = 1);
	hear(first, TTHEADER, .seq = 9); /* one of two is its by right */
	say(second, TTHEADER, .seq = 2);
	hear(second, TTHEADER, .seq = 3);
	say(first, TTHEADER, .seq = 9);
	hear_nothing(first); /* kept for the other, who was here just now */
	say(second, TTHEADER, .seq = 3);
	hear(second, TTHEADER, .seq = 4);
}
END_TEST

START_TEST(an_open_breaker_lets_nobody_wait)
{
	start(.service = QUEUE(3) ", breaker: {min_samples: 1, error_rate: 1%}");
	fill(1);
	say(app, FRAMED, .kind = EXCEPTION, .seq = 0, .id = 6, .text = "no");
	hear(callers[0], FRAMED, .kind = EXCEPTION, .seq = 0);
	logged("reason=app_exception");
	/* Who waited when it opened is refused when its turn comes. */
	hear_failure(callers[1], REASON_BREAKER_OPEN, FRAMED, .seq = 1);
	logged("reason=breaker_open attempts=0 detail~services.app.breaker");
	say(callers[0], FRAMED, .seq = 5);
	hear_failure(callers[0], REASON_BREAKER_OPEN, FRAMED, .seq = 5);
	ck_assert_uint_eq(running(HERE), 0);
}
END_TEST

START_TEST(a_long_body_comes_in_while_its_call_waits)
{
	start(.service = QUEUE(3));
	fill(0);
	callers[1] = dial();
	say_part(callers[1], 0, 5000, FRAMED, .seq = 1, .fill = 300000);
	say_part(callers[1], 5000, 90000, FRAMED, .seq = 1, .fill = 300000);
	serve(0);
	say_part(callers[1], 90000, 0, FRAMED, .seq = 1, .fill = 300000);
	hear(app, FRAMED, .seq = 1, .fill = 300000);
	serve(1);
}
END_TEST

START_TEST(a_call_to_be_converted_is_collected_while_it_waits)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = QUEUE(3) ", protocol: framed");
	fill(0);
	caller = dial_streams(GRPC);
	call = begin(caller, .type = "application/grpc+thrift", .body = AS_THRIFT);
	speak(call, .message = "question", .body = AS_THRIFT);
	let_pass(100);
	finish(call);
	hear_nothing(app);
	serve(0);
	hear(app, FRAMED, .seq = 1, .method = "Quote", .text = "question");
	say(app, FRAMED, .seq = 1, .method = "Quote", .text = "answer");
	hear_answer(call, .message = "answer", .body = AS_THRIFT);
}
END_TEST

START_TEST(a_call_that_has_to_be_whole_is_collected_after_its_wait)
{
	start(.service = QUEUE(3) ", protocol: ttheader_framed");
	callers[0] = dial();
	say(callers[0], FRAMED, .seq = 0);
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 0);
	callers[1] = dial();
	say_part(callers[1], 0, 1500, BUFFERED, .seq = 1, .fill = 20000);
	pass(10);
	say_part(callers[1], 1500, 9000, BUFFERED, .seq = 1, .fill = 20000);
	pass(10);
	say(app, TTHEADER_FRAMED, .seq = 0);
	hear(callers[0], FRAMED, .seq = 0);
	say_part(callers[1], 9000, 0, BUFFERED, .seq = 1, .fill = 20000);
	hear(app, TTHEADER_FRAMED, .seq = 1, .fill = 20000);
	say(app, TTHEADER_FRAMED, .seq = 1);
	hear(callers[1], BUFFERED, .seq = 1);
}
END_TEST

START_TEST(a_body_that_breaks_off_ends_the_wait)
{
	start(.service = QUEUE(3));
	fill(0);
	callers[1] = dial();
	say_part(callers[1], 0, 5000, FRAMED, .seq = 1, .fill = 300000);
	half_close(callers[1]);
	callers[2] = dial();
	say(callers[2], FRAMED, .seq = 2);
	serve(0);
	hear(app, FRAMED, .seq = 2);
	serve(2);
	ck_assert_uint_eq(running(HERE), 0);
}
END_TEST

START_TEST(a_reload_keeps_who_waits_and_lets_more_in)
{
	struct fake_end *second;

	start(.service = QUEUE(3));
	fill(2);
	reload(.service = "limit: {concurrency: 2, queue: {length: 3, wait: 1s}}");
	callers[3] = dial();
	say(callers[3], FRAMED, .seq = 3); /* behind those who wait already */
	no_connect();
	hear_nothing(app);
	serve(0);
	hear(app, FRAMED, .seq = 1);
	serve(1);
	hear(app, FRAMED, .seq = 2);
	second = accepted(); /* there are two places now */
	hear(second, FRAMED, .seq = 3);
	ck_assert_uint_eq(running(HERE), 2);
}
END_TEST

START_TEST(a_stream_waits_like_any_other)
{
	struct stream_end *caller, *far;
	struct stream *first, *second, *served;

	start(.service = QUEUE(2));
	caller = dial_streams(_i);
	first = begin(caller, .message = "1");
	far = accepted_streams(_i);
	served = hear_call(far, .message = "1");
	second = begin(caller, .message = "2");
	speak(second, .message = "3", .ends = true);
	hear_no_call(far);
	let_pass(500);
	answer(served, .message = "a");
	hear_answer(first, .message = "a");
	served = hear_call(far, .message = "2");
	hear_message(served, .message = "3");
	hear_last(served);
	answer(served, .message = "b");
	hear_answer(second, .message = "b");
}
END_TEST

START_TEST(a_stream_that_waits_may_be_given_up)
{
	static const uint32_t canceled[FAMILIES] = {H2_CANCEL, 12007};
	struct stream_end *caller, *far;
	struct stream *second, *served;

	start(.service = QUEUE(2));
	caller = dial_streams(_i);
	begin(caller, .message = "1");
	far = accepted_streams(_i);
	served = hear_call(far, .message = "1");
	second = begin(caller, .message = "2");
	give_up(second, canceled[_i]);
	logged("reason=canceled attempts=0");
	answer(served, .message = "a");
	hear_no_call(far);
	ck_assert_uint_eq(running(HERE), 0);
}
END_TEST

START_TEST(a_worker_may_end_with_a_full_queue)
{
	start(.service = QUEUE(4));
	fill(4);
	sim_stop();
}
END_TEST

START_TEST(many_failing_calls_hand_the_place_on_without_a_pause)
{
	start(.service = "retry: none, limit: {concurrency: 1, queue: {length: 100, wait: 1s}}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	fake_script(sim_loop(), FAKE_REFUSED, 100);
	for (int i = 0; i <= 100; i++)
		say(dial(), FRAMED, .seq = i);
	fake_refuse(accepted(), 111);
	pass(0);
	for (int i = 0; i <= 100; i++)
		logged("reason=connect_failed attempts=1");
	ck_assert_uint_eq(running(HERE), 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {who_comes_first_is_served_first, 1},
	    {a_full_queue_refuses, 1},
	    {a_wait_in_vain_ends_after_its_time, 1},
	    {a_caller_that_goes_away_leaves_the_queue, 1},
	    {the_first_of_a_queue_may_go_away_too, 1},
	    {a_caller_may_go_away_in_the_turn_that_gives_it_the_place, 1},
	    {the_callers_own_time_runs_in_the_queue, 1},
	    {the_operators_time_runs_in_the_queue, 1},
	    {the_log_says_how_long_a_call_waited, 1},
	    {who_waits_for_its_method_keeps_no_place_of_the_service, 1},
	    {a_caller_waits_for_a_place_of_its_own, 1},
	    {with_equal_shares_a_caller_of_many_calls_does_not_keep_others_waiting, 1},
	    {an_open_breaker_lets_nobody_wait, 1},
	    {a_long_body_comes_in_while_its_call_waits, 1},
	    {a_call_to_be_converted_is_collected_while_it_waits, 1},
	    {a_call_that_has_to_be_whole_is_collected_after_its_wait, 1},
	    {a_body_that_breaks_off_ends_the_wait, 1},
	    {a_reload_keeps_who_waits_and_lets_more_in, 1},
	    {a_stream_waits_like_any_other, FAMILIES},
	    {a_stream_that_waits_may_be_given_up, FAMILIES},
	    {a_worker_may_end_with_a_full_queue, 1},
	    {many_failing_calls_hand_the_place_on_without_a_pause, 1},
	};

	return stream_main("sim_queue", tests, ARRAY_LEN(tests));
}
