/* Calls to names that no file lists: they wait while the name is looked up, and go on or are
 * refused. */
#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "proxy/naming.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define ANY   "'*': {discover: r}"
#define FOUND ANY ", shop.price: {endpoints: ['10.0.7.1:80']}"
#define TOP   "registries: {r: {type: file, path: /nonexistent/services.yaml}}"

static unsigned wants;
static char wanted[300];

static void note_want(void *arg, struct slice name)
{
	(void)arg;
	wants++;
	snprintf(wanted, sizeof wanted, "%.*s", (int)name.len, (const char *)name.data);
}

static void start_looking(const char *any)
{
	start(.services = any, .top = TOP);
	sim_worker()->want_name = note_want;
	wants = 0;
	wanted[0] = '\0';
}

static void settle_name(const char *name, const char *why)
{
	naming_settled(sim_worker(), slice_str(name), why);
	pass(0);
	stream_settle();
}

static void found(void)
{
	reload(.services = FOUND, .top = TOP);
	settle_name("shop.price", NULL);
}

static struct fake_end *accepted_there(void)
{
	struct fake_end *app = accepted();

	ck_assert_str_eq(fake_address(app)->text, "10.0.7.1:80");
	return app;
}

START_TEST(a_call_waits_while_its_name_is_looked_up)
{
	struct fake_end *caller, *app;

	start_looking(ANY);
	caller = dial_to("open");
	say(caller, TTHEADER, .seq = 1, .keys = "6=shop.price", .text = "first");
	no_connect();
	ck_assert_str_eq(wanted, "shop.price");
	pass(50);
	found();
	app = accepted_there();
	hear(app, TTHEADER, .seq = 1, .keys = "6=shop.price", .text = "first");
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	logged("service=shop.price reason=ok attempts=1");
	say(caller, TTHEADER, .seq = 2, .keys = "6=shop.price");
	hear(app, TTHEADER, .seq = 2);
	ck_assert_uint_eq(wants, 1);
}
END_TEST

START_TEST(all_that_wait_for_a_name_ask_once_and_go_on_together)
{
	struct fake_end *callers[3], *apps[3];

	start_looking(ANY);
	for (int i = 0; i < 3; i++) {
		callers[i] = dial_to("open");
		say(callers[i], TTHEADER, .seq = i, .keys = "6=shop.price");
	}
	ck_assert_uint_eq(wants, 1);
	found();
	for (int i = 0; i < 3; i++)
		apps[i] = accepted_there();
	for (int i = 0; i < 3; i++) {
		hear(apps[i], TTHEADER, .seq = i);
		say(apps[i], TTHEADER, .seq = i);
		hear(callers[i], TTHEADER, .seq = i);
	}
}
END_TEST

START_TEST(a_name_that_is_not_to_be_had_is_refused_with_the_reason)
{
	struct fake_end *caller;

	start_looking(ANY);
	caller = dial_to("open");
	say(caller, TTHEADER_FRAMED, .seq = 1, .keys = "6=nobody");
	settle_name("nobody", "registry r knows no endpoint of it");
	hear_failure(caller, REASON_NO_ENDPOINT, TTHEADER_FRAMED, .seq = 1);
	logged("reason=no_endpoint attempts=0 detail~nobody detail~knows");
	say(caller, TTHEADER_FRAMED, .seq = 2, .keys = "6=nobody");
	ck_assert_uint_eq(wants, 2);
	settle_name("nobody", "registry r knows no endpoint of it");
	hear_failure(caller, REASON_NO_ENDPOINT, TTHEADER_FRAMED, .seq = 2);
	ck_assert(is_open(caller));
}
END_TEST

START_TEST(a_service_that_is_gone_again_is_not_looked_up_for_ever)
{
	struct fake_end *caller;

	start_looking(ANY);
	caller = dial_to("open");
	say(caller, TTHEADER, .seq = 1, .keys = "6=shop.price");
	settle_name("shop.price", NULL); /* but the snapshot has none */
	hear_failure(caller, REASON_NO_ROUTE, TTHEADER, .seq = 1);
	ck_assert_uint_eq(wants, 1);
}
END_TEST

START_TEST(a_call_waits_no_longer_than_its_time)
{
	struct fake_end *caller;

	start_looking("'*': {discover: r, timeout: 300ms}");
	caller = dial_to("open");
	say(caller, TTHEADER, .seq = 1, .keys = "6=a 12=100");
	pass(90);
	hear_nothing(caller);
	pass(20);
	hear_failure(caller, REASON_CALLER_DEADLINE, TTHEADER, .seq = 1);
	logged("reason=caller_deadline attempts=0 detail~registry");
	say(caller, TTHEADER, .seq = 2, .keys = "6=a");
	pass(290);
	hear_nothing(caller);
	pass(20);
	hear_failure(caller, REASON_TIMEOUT, TTHEADER, .seq = 2);
	settle_name("a", NULL); /* nobody waits any more */
}
END_TEST

START_TEST(a_caller_that_hangs_up_waits_no_more)
{
	struct fake_end *callers[2];

	start_looking(ANY);
	for (int i = 0; i < 2; i++) {
		callers[i] = dial_to("open");
		say(callers[i], TTHEADER, .seq = i, .keys = "6=shop.price");
	}
	reset(callers[0]);
	logged("reason=canceled");
	found();
	hear(accepted_there(), TTHEADER, .seq = 1);
	no_connect();
}
END_TEST

START_TEST(a_oneway_whose_caller_has_gone_is_still_carried_out)
{
	struct fake_end *caller;

	start_looking(ANY);
	caller = dial_to("open");
	say(caller, TTHEADER, .seq = 1, .keys = "6=shop.price", .kind = ONEWAY, .text = "x");
	hang_up(caller);
	found();
	hear(accepted_there(), TTHEADER, .seq = 1, .kind = ONEWAY, .text = "x");
}
END_TEST

START_TEST(a_oneway_whose_listener_has_gone_is_not)
{
	struct fake_end *caller;

	start_looking(ANY);
	caller = dial_to("open");
	say(caller, TTHEADER, .seq = 1, .keys = "6=shop.price", .kind = ONEWAY);
	hang_up(caller);
	settle_name("shop.price", "no");
	no_connect();
	logged("reason=no_endpoint");
}
END_TEST

/* At every split of the message: what has come is kept, the rest is read later. */
START_TEST(a_call_that_still_comes_in_is_whole_in_the_end)
{
	static const enum sim_form forms[] = {TTHEADER, TTHEADER_FRAMED};
	static const size_t fills[] = {100, 3000, 200000};

	for (size_t i = 0; i < ARRAY_LEN(forms) * ARRAY_LEN(fills); i++) {
		struct sim_frame f = {.form = forms[i % 2],
		    .seq = 1,
		    .keys = "6=shop.price",
		    .text = "x",
		    .fill = fills[i / 2]};
		struct fake_end *caller, *app;

		start_looking(ANY);
		caller = dial_to("open");
		sim_say_part(caller, 0, (long)(f.fill > 1000 ? 1000 : 90), &f);
		pass(1);
		sim_say_part(caller, (long)(f.fill > 1000 ? 1000 : 90), 0, &f);
		found();
		app = accepted_there();
		sim_hear(__LINE__, app, &f);
		say(app, f.form, .seq = 1);
		hear(caller, f.form, .seq = 1);
		sim_stop();
	}
}
END_TEST

START_TEST(calls_behind_it_wait_for_their_turn)
{
	struct fake_end *caller, *app;

	start_looking(ANY);
	caller = dial_to("open");
	put(caller, TTHEADER, .seq = 1, .keys = "6=shop.price");
	say(caller, TTHEADER, .seq = 2, .keys = "6=app");
	no_connect();
	found();
	app = accepted_there();
	hear(app, TTHEADER, .seq = 1);
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	hear(accepted(), TTHEADER, .seq = 2);
}
END_TEST

/* ---- streams ---- */

START_TEST(a_stream_waits_with_all_that_it_says_meanwhile)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start_looking(ANY);
	caller = dial_streams_to("open", _i);
	call = begin(caller, .authority = "shop.price", .keys = _i == GRPC ? NULL : "6=shop.price",
	    .message = "one");
	ck_assert_str_eq(wanted, "shop.price");
	speak(call, .message = "two", .fill = 5000);
	no_connect();
	found();
	app = accepted_streams(_i);
	served = hear_call(app, .message = "one");
	hear_message(served, .message = "two", .fill = 5000);
	speak(call, .message = "three", .ends = true);
	hear_message(served, .message = "three");
	hear_last(served);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
}
END_TEST

START_TEST(a_stream_that_has_ended_meanwhile_is_whole)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start_looking(ANY);
	caller = dial_streams_to("open", _i);
	call = begin(caller, .authority = "shop.price", .keys = _i == GRPC ? NULL : "6=shop.price",
	    .message = "one", .ends = true);
	found();
	served = hear_call(accepted_streams(_i), .message = "one", .ends = true);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
}
END_TEST

START_TEST(a_grpc_call_becomes_thrift_after_its_wait)
{
	struct stream_end *caller;
	struct stream *call;
	struct fake_end *app;

	start_looking(ANY);
	caller = dial_streams_to("open", GRPC);
	call = begin(caller, .authority = "shop.price", .type = "application/grpc+thrift",
	    .method = "Echo", .message = "hello", .body = AS_THRIFT, .ends = true);
	reload(.services = ANY ", shop.price: {endpoints: ['10.0.7.1:80'], protocol: framed}",
	    .top = TOP);
	settle_name("shop.price", NULL);
	app = accepted_there();
	hear(app, FRAMED, .seq = 1, .text = "hello");
	hang_up(app);
	hear_refusal(call, REASON_RESET);
}
END_TEST

START_TEST(a_stream_that_is_given_up_waits_no_more)
{
	struct stream_end *caller;
	struct stream *call;

	start_looking(ANY);
	caller = dial_streams_to("open", GRPC);
	call = begin(caller, .authority = "shop.price", .message = "x");
	give_up(call, H2_CANCEL);
	logged("reason=canceled attempts=0");
	found();
	no_connect();
}
END_TEST

START_TEST(what_waits_of_a_stream_is_bounded)
{
	struct stream_end *caller;
	struct stream *call;

	start_looking(ANY);
	caller = dial_streams_to("open", _i);
	call = begin(caller, .authority = "shop.price", .keys = _i == GRPC ? NULL : "6=shop.price",
	    .message = "x");
	speak(call, .message = "x", .fill = 900000, .times = 20);
	if (_i == GRPC) {
		ck_assert_uint_gt(unsaid_bytes(call), 900000); /* its window is what stops it */
		settle_name("shop.price", "no");
		hear_refusal(call, REASON_NO_ENDPOINT);
	} else {
		hear_refusal(call, REASON_OVERLOAD);
	}
}
END_TEST

/* ---- which names ---- */

START_TEST(what_is_no_name_is_not_looked_up)
{
	static const char *const keys[] = {"6=a/b", "6=a%20b", "6=a:80", "6=none"};
	static const char *const authorities[] = {"127.0.0.1", "localhost", "a:80", "[::1]"};
	struct fake_end *caller;
	struct stream_end *streams;

	start_looking(ANY);
	caller = dial_to("open");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		say(caller, TTHEADER, .seq = 1, .keys = keys[i]);
		hear_failure(caller, REASON_NO_ROUTE, TTHEADER, .seq = 1);
	}
	streams = dial_streams_to("open", GRPC);
	for (size_t i = 0; i < ARRAY_LEN(authorities); i++)
		hear_refusal(
		    begin(streams, .authority = authorities[i], .message = "x", .ends = true),
		    REASON_NO_ROUTE);
	ck_assert_uint_eq(wants, 0);
	sim_stop_quietly();
}
END_TEST

START_TEST(a_pinned_listener_looks_nothing_up)
{
	struct fake_end *caller;

	start_looking(ANY);
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .keys = "6=shop.price");
	hear(accepted(), TTHEADER, .seq = 1);
	ck_assert_uint_eq(wants, 0);
}
END_TEST

START_TEST(without_the_template_nothing_is_looked_up)
{
	struct fake_end *caller;

	start();
	sim_worker()->want_name = note_want;
	wants = 0;
	caller = dial_to("open");
	say(caller, TTHEADER, .seq = 1, .keys = "6=shop.price");
	hear_failure(caller, REASON_NO_ROUTE, TTHEADER, .seq = 1);
	ck_assert_uint_eq(wants, 0);
}
END_TEST

START_TEST(the_end_comes_while_calls_wait)
{
	start_looking(ANY);
	say(dial_to("open"), TTHEADER, .seq = 1, .keys = "6=shop.price");
	say(dial_to("open"), TTHEADER, .seq = 1, .keys = "6=other");
	begin(dial_streams_to("open", GRPC), .authority = "shop.price", .message = "x");
	sim_stop_quietly();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_call_waits_while_its_name_is_looked_up, 1},
	    {all_that_wait_for_a_name_ask_once_and_go_on_together, 1},
	    {a_name_that_is_not_to_be_had_is_refused_with_the_reason, 1},
	    {a_service_that_is_gone_again_is_not_looked_up_for_ever, 1},
	    {a_call_waits_no_longer_than_its_time, 1},
	    {a_caller_that_hangs_up_waits_no_more, 1},
	    {a_oneway_whose_caller_has_gone_is_still_carried_out, 1},
	    {a_oneway_whose_listener_has_gone_is_not, 1},
	    {a_call_that_still_comes_in_is_whole_in_the_end, 1},
	    {calls_behind_it_wait_for_their_turn, 1},
	    {a_stream_waits_with_all_that_it_says_meanwhile, FAMILIES},
	    {a_stream_that_has_ended_meanwhile_is_whole, FAMILIES},
	    {a_grpc_call_becomes_thrift_after_its_wait, 1},
	    {a_stream_that_is_given_up_waits_no_more, 1},
	    {what_waits_of_a_stream_is_bounded, FAMILIES},
	    {what_is_no_name_is_not_looked_up, 1},
	    {a_pinned_listener_looks_nothing_up, 1},
	    {without_the_template_nothing_is_looked_up, 1},
	    {the_end_comes_while_calls_wait, 1},
	};

	return stream_main("sim_names", tests, ARRAY_LEN(tests));
}
