/* Limits of rate: whose calls they count, what a refused caller hears, and what it costs others. */
#include <check.h>

#include "base/mem.h"
#include "support/sim.h"
#include "support/stream_end.h"

static const enum sim_form forms[] = {
    FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED, KPB, KPB_TTHEADER};

/* What the next reply on the connection is: the endpoint's, or that of a limit. */
enum fate { PASSES, REFUSED };

static struct fake_end *app; /* the one connection to the endpoint */

static void ask(struct fake_end *caller, const struct sim_frame *call, enum fate fate)
{
	struct sim_frame reply = *call;

	sim_say(caller, call, 0, SIZE_MAX);
	reply.keys = NULL;
	if (fate == REFUSED) {
		sim_hear_failure(__LINE__, caller, REASON_RATE_LIMITED, &reply);
		logged("reason=rate_limited attempts=0");
		return;
	}
	if (app == NULL)
		app = accepted();
	sim_hear(__LINE__, app, &reply);
	sim_say(app, &reply, 0, SIZE_MAX);
	sim_hear(__LINE__, caller, &reply);
	logged("reason=ok");
}

#define asks(caller, fate, ...) ask(caller, &(struct sim_frame){__VA_ARGS__}, fate)

START_TEST(a_caller_hears_of_it_in_its_own_protocol)
{
	enum sim_form form = forms[_i];
	struct fake_end *caller;

	start(.service = "limit: {rate: 1/s}");
	caller = dial();
	asks(caller, PASSES, form, .seq = 1);
	say(caller, form, .seq = 2);
	hear_failure(caller, REASON_RATE_LIMITED, form, .seq = 2);
	logged("reason=rate_limited attempts=0 detail~services.app.limit detail~1/s");
	pass(1000);
	asks(caller, PASSES, form, .seq = 3); /* its connection is as good as before */
	no_connect();
}
END_TEST

START_TEST(a_stream_counts_once_when_it_opens)
{
	struct stream_end *caller;
	struct stream *call, *refused, *served;

	start(.service = "limit: {rate: 1/s}");
	caller = dial_streams(_i);
	call = begin(caller, .message = "1");
	served = hear_call(accepted_streams(_i), .message = "1");
	for (int i = 0; i < 5; i++) {
		speak(call, .message = "more");
		hear_message(served, .message = "more");
	}
	refused = begin(caller, .message = "2");
	hear_refusal(refused, REASON_RATE_LIMITED);
	logged("reason=rate_limited attempts=0");
	finish(call);
	hear_last(served);
	answer(served, .message = "done");
	hear_answer(call, .message = "done");
	logged("reason=ok");
}
END_TEST

START_TEST(a_oneway_over_the_limit_is_dropped_without_a_word)
{
	struct fake_end *caller;

	start(.service = "limit: {rate: 1/s}");
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	hear(accepted(), FRAMED, .kind = ONEWAY, .seq = 1);
	logged("reason=ok kind=oneway");
	say(caller, FRAMED, .kind = ONEWAY, .seq = 2);
	hear_nothing(caller);
	logged("reason=rate_limited kind=oneway attempts=0");
	ck_assert(is_open(caller));
}
END_TEST

START_TEST(a_burst_may_come_at_once)
{
	struct fake_end *caller;

	start(.service = "limit: {rate: 10/s, burst: 3}");
	caller = dial();
	for (int i = 1; i <= 3; i++)
		asks(caller, PASSES, FRAMED, .seq = i);
	asks(caller, REFUSED, FRAMED, .seq = 4);
	pass(100);
	asks(caller, PASSES, FRAMED, .seq = 5);
	asks(caller, REFUSED, FRAMED, .seq = 6);
}
END_TEST

START_TEST(a_rate_below_one_in_a_tenth_of_a_second_is_exact)
{
	struct fake_end *caller;
	unsigned good = 0;

	start(.service = "limit: {rate: 7/s}");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	for (int i = 1; i <= 1000; i++) { /* ten seconds */
		if (fake_received(app).len) {
			hear(app, FRAMED, .seq = i);
			say(app, FRAMED, .seq = i);
			hear(caller, FRAMED, .seq = i);
			logged("reason=ok");
			good++;
		} else {
			hear_failure(caller, REASON_RATE_LIMITED, FRAMED, .seq = i);
			logged("reason=rate_limited");
		}
		pass(10);
		say(caller, FRAMED, .seq = i + 1);
	}
	ck_assert_uint_ge(good, 70);
	ck_assert_uint_le(good, 71);
}
END_TEST

START_TEST(service_and_method_both_must_agree)
{
	struct fake_end *caller;

	start(.service = "limit: {rate: 2/s, burst: 2}, methods: {Rare: {limit: {rate: 1/m}}}");
	caller = dial();
	asks(caller, PASSES, FRAMED, .seq = 1, .method = "Rare");
	say(caller, FRAMED, .seq = 2, .method = "Rare");
	hear_failure(caller, REASON_RATE_LIMITED, FRAMED, .seq = 2, .method = "Rare");
	logged("reason=rate_limited detail~services.app.methods.Rare.limit");
	/* What the method refused did not count for the service. */
	asks(caller, PASSES, FRAMED, .seq = 3);
	say(caller, FRAMED, .seq = 4);
	hear_failure(caller, REASON_RATE_LIMITED, FRAMED, .seq = 4);
	logged("reason=rate_limited detail~services.app.limit");
}
END_TEST

START_TEST(what_another_limit_refuses_does_not_count)
{
	struct fake_end *first, *second;

	start(.service = "limit: {rate: 2/m, burst: 2, concurrency: 1}");
	first = dial();
	second = dial();
	say(first, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	for (int i = 0; i < 5; i++) {
		say(second, FRAMED, .seq = i);
		hear_failure(second, REASON_CONCURRENCY_LIMITED, FRAMED, .seq = i);
		logged("reason=concurrency_limited");
	}
	say(app, FRAMED, .seq = 1);
	hear(first, FRAMED, .seq = 1);
	logged("reason=ok");
	asks(second, PASSES, FRAMED, .seq = 9);
	asks(second, REFUSED, FRAMED, .seq = 10);
}
END_TEST

START_TEST(each_caller_has_a_rate_for_itself)
{
	struct fake_end *caller;

	start(.service = "limit: {rate: 1/s, by: caller}");
	caller = dial();
	asks(caller, PASSES, TTHEADER, .seq = 1, .keys = "3=shop.a");
	asks(caller, REFUSED, TTHEADER, .seq = 2, .keys = "3=shop.a");
	asks(caller, PASSES, TTHEADER, .seq = 3, .keys = "3=shop.b");
	asks(caller, REFUSED, TTHEADER, .seq = 4, .keys = "3=shop.b");
	asks(caller, REFUSED, TTHEADER, .seq = 5, .keys = "3=shop.a");
}
END_TEST

START_TEST(each_method_has_a_rate_for_itself)
{
	struct fake_end *caller;

	start(.service = "limit: {rate: 1/s, by: method}");
	caller = dial();
	asks(caller, PASSES, FRAMED, .seq = 1, .method = "Get");
	asks(caller, PASSES, FRAMED, .seq = 2, .method = "Put");
	asks(caller, REFUSED, FRAMED, .seq = 3, .method = "Get");
	asks(caller, REFUSED, FRAMED, .seq = 4, .method = "Put");
}
END_TEST

START_TEST(a_limit_of_defaults_is_one_for_each_service)
{
	struct fake_end *caller;

	start(.top = "defaults: {limit: {rate: 1/m}}",
	    .services = "other: {endpoints: [\"10.0.0.1:80\"]}, "
			"third: {endpoints: [\"10.0.0.1:80\"], limit: {rate: 2/m, burst: 2}}");
	caller = dial_to("open");
	asks(caller, PASSES, TTHEADER, .seq = 1, .keys = "6=app");
	asks(caller, REFUSED, TTHEADER, .seq = 2, .keys = "6=app");
	app = NULL; /* pools are a service's own */
	asks(caller, PASSES, TTHEADER, .seq = 3, .keys = "6=other");
	asks(caller, REFUSED, TTHEADER, .seq = 4, .keys = "6=other");
	app = NULL;
	asks(caller, PASSES, TTHEADER, .seq = 5, .keys = "6=third");
	asks(caller, PASSES, TTHEADER, .seq = 6, .keys = "6=third"); /* it has one of its own */
	asks(caller, REFUSED, TTHEADER, .seq = 7, .keys = "6=third");
}
END_TEST

START_TEST(what_was_counted_survives_a_reload)
{
	struct fake_end *caller;

	start(.service = "limit: {rate: 1/m}");
	caller = dial();
	asks(caller, PASSES, FRAMED, .seq = 1);
	reload(.service = "limit: {rate: 1/m}, protocol: framed");
	asks(caller, REFUSED, FRAMED, .seq = 2);
	reload(.service = "limit: none");
	asks(caller, PASSES, FRAMED, .seq = 3);
}
END_TEST

START_TEST(two_workers_count_together)
{
	struct fake_end *caller, *other;

	start(.service = "limit: {rate: 2/m, burst: 2}");
	start_second_worker();
	caller = dial();
	other = dial_second();
	asks(caller, PASSES, FRAMED, .seq = 1);
	app = NULL;
	asks(other, PASSES, FRAMED, .seq = 2);
	asks(caller, REFUSED, FRAMED, .seq = 3);
	asks(other, REFUSED, FRAMED, .seq = 4);
}
END_TEST

START_TEST(a_process_short_of_memory_refuses_new_calls_alone)
{
	struct overload *overload;
	struct fake_end *caller, *busy;

	start(.service = "limit: {rate: 1/m}");
	overload = &sim_worker()->shares->overload;
	busy = dial();
	caller = dial();
	overload_set(overload, (struct overload_levels){.memory = OVERLOAD_REFUSE});
	say(caller, FRAMED, .seq = 1);
	hear_failure(caller, REASON_OVERLOAD, FRAMED, .seq = 1);
	logged("reason=overload attempts=0 detail~memory");
	overload_set(overload, (struct overload_levels){.memory = OVERLOAD_SHRINK});
	say(busy, FRAMED, .seq = 1); /* what was refused did not count */
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	overload_set(overload, (struct overload_levels){.memory = OVERLOAD_CLOSED});
	say(app, FRAMED, .seq = 1);
	hear(busy, FRAMED, .seq = 1);
	logged("reason=ok");
	overload_set(overload, (struct overload_levels){.memory = OVERLOAD_NONE});
}
END_TEST

START_TEST(a_process_short_of_memory_pools_half)
{
	struct overload *overload;
	struct fake_end *callers[3], *apps[3];

	start(.service = "pool: {keep: 2}");
	overload = &sim_worker()->shares->overload;
	for (int i = 0; i < 3; i++) {
		callers[i] = dial();
		say(callers[i], FRAMED, .seq = i);
		apps[i] = accepted();
		hear(apps[i], FRAMED, .seq = i);
	}
	overload_set(overload, (struct overload_levels){.memory = OVERLOAD_SHRINK});
	for (int i = 0; i < 3; i++) {
		say(apps[i], FRAMED, .seq = i);
		hear(callers[i], FRAMED, .seq = i);
	}
	ck_assert_uint_eq(upstreams(), 1);
	worker_shrink(sim_worker());
	ck_assert_uint_eq(upstreams(), 0);
	overload_set(overload, (struct overload_levels){.memory = OVERLOAD_NONE});
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_caller_hears_of_it_in_its_own_protocol, ARRAY_LEN(forms)},
	    {a_stream_counts_once_when_it_opens, FAMILIES},
	    {a_oneway_over_the_limit_is_dropped_without_a_word, 1},
	    {a_burst_may_come_at_once, 1},
	    {a_rate_below_one_in_a_tenth_of_a_second_is_exact, 1},
	    {service_and_method_both_must_agree, 1},
	    {what_another_limit_refuses_does_not_count, 1},
	    {each_caller_has_a_rate_for_itself, 1},
	    {each_method_has_a_rate_for_itself, 1},
	    {a_limit_of_defaults_is_one_for_each_service, 1},
	    {what_was_counted_survives_a_reload, 1},
	    {two_workers_count_together, 1},
	    {a_process_short_of_memory_refuses_new_calls_alone, 1},
	    {a_process_short_of_memory_pools_half, 1},
	};

	return stream_main("sim_limits_rate", tests, ARRAY_LEN(tests));
}
