/* What the rules of routes do to calls: where they lead, what they change, copy, delay and refuse;
 * and where calls go when nothing came of them. */
#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define H2_INTERNAL 2u

#define OTHER                                                                                      \
	"other: {endpoints: ['10.0.1.1:80'], protocol: same, timeout: {call: 1s}}, "               \
	"third: {endpoints: ['10.0.2.1:80']}"

static void check_address(struct fake_end *app, const char *address)
{
	ck_assert_str_eq(fake_address(app)->text, address);
}

/* ---- where they lead ---- */

START_TEST(a_call_goes_where_its_metadata_says)
{
	static const struct {
		const char *match, *keys, *to;
	} rows[] = {
	    {"meta.env: gray", "6=app RPC_PERSIST_ENV=gray", "10.0.1.1:80"},
	    {"meta.env: gray", "6=app RPC_TRANSIT_env=gray", "10.0.1.1:80"},
	    {"meta.env: gray", "6=app RPC_PERSIST_ENV=blue", "10.0.0.1:80"},
	    {"meta.env: gray", "6=app", "10.0.0.1:80"},
	    {"header.x: {prefix: ab}", "6=app x=abc", "10.0.1.1:80"},
	    {"int.stress_tag: {present: true}", "6=app 21=1", "10.0.1.1:80"},
	    {"caller: shop.web", "6=app 3=shop.web", "10.0.1.1:80"},
	    {"method: {in: [Echo, Other]}", "6=app", "10.0.1.1:80"},
	    {"field.1: hello", "6=app", "10.0.1.1:80"},
	    {"field: {path: 1, exact: other}", "6=app", "10.0.0.1:80"},
	    {"idl_service: Shop", "6=app isn=Shop", "10.0.1.1:80"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake_end *caller, *app;
		char service[300];

		snprintf(service, sizeof service, "routes: [{match: {%s}, to: {service: other}}]",
		    rows[i].match);
		start(.service = service, .services = OTHER);
		caller = dial();
		say(caller, TTHEADER_FRAMED, .seq = 7, .text = "hello", .keys = rows[i].keys);
		app = accepted();
		check_address(app, rows[i].to);
		hear(app, TTHEADER_FRAMED, .seq = 7, .text = "hello");
		say(app, TTHEADER_FRAMED, .seq = 7);
		hear(caller, TTHEADER_FRAMED, .seq = 7);
		logged(strcmp(rows[i].to, "10.0.1.1:80") == 0 ? "service=other reason=ok"
							      : "service=app reason=ok");
		sim_stop();
	}
}
END_TEST

START_TEST(what_a_route_sets_and_removes_is_all_that_changes)
{
	struct fake_end *caller, *app;

	start(.service = "routes: [{set: {meta.env: gray, header.x: y, int.env: t}, "
			 "remove: [meta.old, header.z]}]");
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 7, .text = "hello",
	    .keys = "6=app RPC_PERSIST_OLD=1 RPC_TRANSIT_OLD=2 z=3 kept=4 RPC_PERSIST_KEPT=5");
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 7, .text = "hello",
	    .keys =
		"6=app kept=4 RPC_PERSIST_KEPT=5 x=y 10=t !RPC_PERSIST_OLD !RPC_TRANSIT_OLD !z");
}
END_TEST

START_TEST(a_grpc_call_is_changed_as_well)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.service = "routes: [{match: {meta.env: blue}, set: {meta.env: gray, header.x: y}}]");
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .ends = true, .keys = "rpc-persist-env=blue a=b");
	served = hear_call(accepted_streams(GRPC), .message = "x", .ends = true,
	    .keys = "rpc-persist-env=gray x=y a=b");
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
}
END_TEST

START_TEST(who_may_not_call_hears_so)
{
	struct fake_end *caller;
	struct stream_end *streams;

	start(.service = "acl: [{deny: {caller: shop.web}}, {allow: {meta.key: right}}]");
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 7, .keys = "6=app 3=shop.web RPC_PERSIST_KEY=right");
	hear_failure(caller, REASON_ACL_DENIED, TTHEADER_FRAMED, .seq = 7);
	logged("reason=acl_denied attempts=0 detail~acl[0]");
	say(caller, TTHEADER_FRAMED, .seq = 8, .keys = "6=app 3=shop.app");
	hear_failure(caller, REASON_ACL_DENIED, TTHEADER_FRAMED, .seq = 8);
	logged("reason=acl_denied attempts=0");
	say(caller, TTHEADER_FRAMED, .seq = 9, .keys = "6=app 3=shop.app RPC_PERSIST_KEY=right");
	hear(accepted(), TTHEADER_FRAMED, .seq = 9);
	streams = dial_streams(GRPC);
	hear_refusal(begin(streams, .message = "x", .ends = true), REASON_ACL_DENIED);
	sim_stop_quietly();
}
END_TEST

START_TEST(an_empty_subset_is_named)
{
	struct fake_end *caller;

	start(.service = "subsets: {lab: {version: lab}}, routes: [{to: lab}]");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	hear_failure(caller, REASON_NO_ENDPOINT, FRAMED, .seq = 7);
	logged("reason=no_endpoint attempts=0 detail~lab detail~routes[0]");
}
END_TEST

START_TEST(a_share_of_calls_is_refused_by_chance)
{
	struct fake_end *caller, *app;
	int refused = 0;

	start(.service = "degrade: 30%");
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	while ((app = fake_accept(sim_loop())) == NULL) {
		hear_failure(caller, REASON_DEGRADED, FRAMED, .seq = 1);
		say(caller, FRAMED, .seq = 1);
	}
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	for (int i = 0; i < 2000; i++) {
		say(caller, FRAMED, .seq = 2);
		if (fake_received(app).len == 0) {
			hear_failure(caller, REASON_DEGRADED, FRAMED, .seq = 2);
			refused++;
			continue;
		}
		hear(app, FRAMED, .seq = 2);
		say(app, FRAMED, .seq = 2);
		hear(caller, FRAMED, .seq = 2);
	}
	ck_assert_int_ge(refused, 500);
	ck_assert_int_le(refused, 700);
	sim_stop_quietly();
}
END_TEST

/* ---- faults ---- */

START_TEST(an_injected_delay_takes_its_time)
{
	struct fake_end *caller;

	start(.service = "routes: [{fault: {delay: {for: 30ms}}}]");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "kept");
	pass(29);
	no_connect();
	pass(1);
	hear(accepted(), FRAMED, .seq = 7, .text = "kept");
}
END_TEST

START_TEST(an_injected_delay_is_bounded_by_the_calls_time)
{
	struct fake_end *caller;

	start(.service = "timeout: {call: 20ms}, routes: [{fault: {delay: {for: 30ms}}}]");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	pass(20);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 7);
	pass(50);
	no_connect();
}
END_TEST

START_TEST(a_call_is_refused_by_a_fault)
{
	struct fake_end *caller;

	start(.service = "routes: [{fault: {abort: {reason: overload}}}]");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	hear_failure(caller, REASON_OVERLOAD, FRAMED, .seq = 7);
	logged("reason=overload attempts=0 detail~routes[0]");
	sim_stop();

	start(.service = "routes: [{fault: {abort: {exception: 9}}}]");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	ck_assert_int_eq(hear(caller, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 9)->id, 9);
	logged("reason=fault_injected status=9");
	sim_stop();

	start(.service = "routes: [{fault: {abort: {reset: true}}}]");
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	pass(1);
	hear_end(caller);
	logged("reason=fault_injected");
	no_connect();
}
END_TEST

START_TEST(a_stream_is_reset_by_a_fault)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "routes: [{match: {method: Quote}, fault: {abort: {reset: true}}}]");
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	if (_i == GRPC)
		hear_reset(call, H2_INTERNAL);
	else
		hear_given_up(call, REASON_FAULT_INJECTED);
	ck_assert(is_open(net_of(caller)));
	logged("reason=fault_injected");
	sim_stop_quietly();
}
END_TEST

/* ---- mirrors ---- */

#define MIRROR "routes: [{mirror: {service: other}}]"

START_TEST(a_mirrored_call_is_answered_by_its_own_service_alone)
{
	struct fake_end *caller, *app, *copy;

	start(.service = MIRROR, .services = OTHER);
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 7, .text = "hello", .keys = "6=app k=v");
	app = accepted();
	copy = accepted();
	check_address(app, "10.0.0.1:80");
	check_address(copy, "10.0.1.1:80");
	hear(app, TTHEADER_FRAMED, .seq = 7, .text = "hello", .keys = "k=v");
	hear(copy, TTHEADER_FRAMED, .seq = 7, .text = "hello", .keys = "k=v");
	say(copy, TTHEADER_FRAMED, .seq = 7, .text = "wrong");
	hear_nothing(caller);
	say(app, TTHEADER_FRAMED, .seq = 7, .text = "right");
	hear(caller, TTHEADER_FRAMED, .seq = 7, .text = "right");
	logged("service=app reason=ok attempts=1");
	logged_nothing();
}
END_TEST

START_TEST(a_silent_or_broken_mirror_slows_nobody)
{
	for (int refuses = 0; refuses < 2; refuses++) {
		struct fake_end *caller, *app;

		start(.service = MIRROR, .services = OTHER);
		caller = dial();
		for (int i = 1; i < 20; i++) {
			struct fake_end *copy;

			fake_script(sim_loop(), FAKE_DEFAULT, i == 1);
			fake_script(
			    sim_loop(), refuses ? FAKE_REFUSED : FAKE_HANGS, refuses ? 3 : 1);
			say(caller, FRAMED, .seq = i);
			if (i == 1)
				app = accepted();
			hear(app, FRAMED, .seq = i);
			say(app, FRAMED, .seq = i);
			hear(caller, FRAMED, .seq = i);
			copy = fake_accept(sim_loop());
			if (copy)
				fake_forget(copy);
		}
		sim_stop_quietly();
	}
}
END_TEST

START_TEST(a_caller_that_leaves_does_not_take_the_mirror_along)
{
	struct fake_end *caller, *app, *copy;

	start(.service = MIRROR, .services = OTHER);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "hello");
	app = accepted();
	copy = accepted();
	hear(app, FRAMED, .seq = 7);
	reset(caller);
	logged("reason=canceled");
	hear(copy, FRAMED, .seq = 7, .text = "hello");
	say(copy, FRAMED, .seq = 7);
	ck_assert(sim_is_drained());
	ck_assert(is_open(copy));
}
END_TEST

START_TEST(a_long_reply_of_a_mirror_is_read_to_its_end)
{
	struct fake_end *caller, *app, *copy;

	start(.service = MIRROR, .services = OTHER);
	caller = dial();
	say(caller, FRAMED, .seq = 7);
	app = accepted();
	copy = accepted();
	hear(app, FRAMED, .seq = 7);
	hear(copy, FRAMED, .seq = 7);
	say(copy, FRAMED, .seq = 7, .fill = 300000);
	say(app, FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
	say(caller, FRAMED, .seq = 8);
	hear(copy, FRAMED, .seq = 8); /* on the same connection */
	sim_stop_quietly();
}
END_TEST

START_TEST(a_grpc_call_is_mirrored_when_it_has_ended)
{
	struct stream_end *caller, *mirror;
	struct stream *call, *served, *copy;

	start(.service = MIRROR, .services = OTHER);
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x");
	served = hear_call(accepted_streams(GRPC), .message = "x");
	no_connect();
	speak(call, .message = "z", .ends = true);
	hear_message(served, .message = "z", .ends = true);
	mirror = accepted_streams(GRPC);
	copy = hear_call(mirror, .message = "x");
	hear_message(copy, .message = "z", .ends = true);
	answer(copy, .fill = 500000);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	ck_assert_uint_eq(unsaid_bytes(copy), 0);
}
END_TEST

/* ---- fallback ---- */

#define FALLBACK(on) "fallback: {on: [" on "], to: {service: other}}"

static void answered_by_other(struct fake_end *caller, const char *reason)
{
	struct fake_end *app = accepted();
	char line[100];

	check_address(app, "10.0.1.1:80");
	hear(app, TTHEADER_FRAMED, .seq = 7, .text = "hello");
	say(app, TTHEADER_FRAMED, .seq = 7, .text = "instead");
	hear(caller, TTHEADER_FRAMED, .seq = 7, .text = "instead");
	snprintf(line, sizeof line, "service=other %s", reason);
	logged(line);
}

START_TEST(another_service_answers_when_time_is_up)
{
	struct fake_end *caller, *app;

	start(.service = "timeout: {call: 50ms}, " FALLBACK("timeout"), .services = OTHER);
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 7, .text = "hello", .keys = "6=app");
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 7);
	pass(50);
	answered_by_other(caller, "reason=ok");
}
END_TEST

START_TEST(another_service_answers_when_there_is_no_endpoint)
{
	struct fake_end *caller;

	start(.service = FALLBACK("no_endpoint"), .services = OTHER, .is_empty = true);
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 7, .text = "hello", .keys = "6=app");
	hear_failure(caller, REASON_NO_ENDPOINT, TTHEADER_FRAMED, .seq = 7);
	sim_stop_quietly();
}
END_TEST

START_TEST(an_exception_leads_elsewhere_only_with_any)
{
	for (int any = 0; any < 2; any++) {
		struct fake_end *caller, *app;

		start(.service = any ? FALLBACK("any") : FALLBACK("timeout"), .services = OTHER);
		caller = dial();
		say(caller, TTHEADER_FRAMED, .seq = 7, .text = "hello", .keys = "6=app");
		app = accepted();
		hear(app, TTHEADER_FRAMED, .seq = 7);
		say(app, TTHEADER_FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "no");
		if (any)
			answered_by_other(caller, "reason=ok");
		else
			hear(caller, TTHEADER_FRAMED, .kind = EXCEPTION, .seq = 7, .text = "no");
		sim_stop_quietly();
	}
}
END_TEST

/* The reply that was collected has taken the room of the call. */
START_TEST(a_call_whose_reply_broke_off_is_not_led_elsewhere)
{
	struct fake_end *caller, *app;

	start(.service = FALLBACK("any") ", protocol: buffered", .services = OTHER);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "call", .fill = 5000);
	app = accepted();
	hear(app, BUFFERED, .seq = 7, .text = "call", .fill = 5000);
	say_part(app, 0, 90000, BUFFERED, .seq = 7, .text = "reply", .fill = 100000);
	reset(app);
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 7);
	no_connect();
}
END_TEST

START_TEST(a_call_that_still_comes_in_is_led_elsewhere)
{
	struct fake_end *caller, *app;

	start(.service = "retry: {type: none, buffer: 50KiB}, " FALLBACK("any"), .services = OTHER);
	caller = dial();
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	say_part(caller, 0, 90000, FRAMED, .seq = 7, .text = "long", .fill = 100000);
	app = accepted();
	check_address(app, "10.0.1.1:80");
	say_part(caller, 90000, 0, FRAMED, .seq = 7, .text = "long", .fill = 100000);
	hear(app, FRAMED, .seq = 7, .text = "long", .fill = 100000);
	say(app, FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
	logged("service=other reason=ok");
}
END_TEST

enum { CONNECT_REFUSED, ANSWERED_BADLY, BROKEN_OFF, WAYS_TO_FAIL };

START_TEST(a_grpc_call_is_led_elsewhere)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start(.service = "retry: none, " FALLBACK("any"), .services = OTHER);
	caller = dial_streams(GRPC);
	if (_i == CONNECT_REFUSED)
		fake_script(sim_loop(), FAKE_REFUSED, 1);
	call = begin(caller);
	if (_i != CONNECT_REFUSED) {
		app = accepted_streams(GRPC);
		served = hear_call(app);
		if (_i == ANSWERED_BADLY)
			refuse(served, .status = 13, .text = "no");
		else
			reset(net_of(app));
	}
	speak(call, .message = "x", .ends = true);
	app = accepted_streams(GRPC);
	check_address(net_of(app), "10.0.1.1:80");
	served = hear_call(app, .message = "x", .ends = true);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	logged("service=other reason=ok");
	sim_stop_quietly();
}
END_TEST

START_TEST(a_fallback_is_followed_once)
{
	struct fake_end *caller;

	start(.service = FALLBACK("any"),
	    .services = "other: {endpoints: ['10.0.1.1:80'], fallback: {on: [any], to: {service: "
			"third}}}, third: {endpoints: ['10.0.2.1:80']}");
	caller = dial();
	fake_script(sim_loop(), FAKE_REFUSED, 9);
	say(caller, TTHEADER_FRAMED, .seq = 7, .keys = "6=app");
	hear_failure(caller, REASON_CONNECT_FAILED, TTHEADER_FRAMED, .seq = 7);
	ck_assert_uint_eq(fake_connects(sim_loop()), 6);
	logged("service=other reason=connect_failed");
}
END_TEST

START_TEST(the_callers_own_time_is_not_extended)
{
	struct fake_end *caller, *app;

	start(.service = FALLBACK("any"), .services = OTHER);
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 7, .keys = "6=app 12=100");
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 7);
	pass(60);
	reset(app);
	app = accepted();
	check_address(app, "10.0.1.1:80");
	hear(app, TTHEADER_FRAMED, .seq = 7, .keys = "12=40");
	pass(45);
	hear_failure(caller, REASON_CALLER_DEADLINE, TTHEADER_FRAMED, .seq = 7);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_call_goes_where_its_metadata_says, 1},
	    {what_a_route_sets_and_removes_is_all_that_changes, 1},
	    {a_grpc_call_is_changed_as_well, 1},
	    {who_may_not_call_hears_so, 1},
	    {an_empty_subset_is_named, 1},
	    {a_share_of_calls_is_refused_by_chance, 1},
	    {an_injected_delay_takes_its_time, 1},
	    {an_injected_delay_is_bounded_by_the_calls_time, 1},
	    {a_call_is_refused_by_a_fault, 1},
	    {a_stream_is_reset_by_a_fault, FAMILIES},
	    {a_mirrored_call_is_answered_by_its_own_service_alone, 1},
	    {a_silent_or_broken_mirror_slows_nobody, 1},
	    {a_caller_that_leaves_does_not_take_the_mirror_along, 1},
	    {a_long_reply_of_a_mirror_is_read_to_its_end, 1},
	    {a_grpc_call_is_mirrored_when_it_has_ended, 1},
	    {another_service_answers_when_time_is_up, 1},
	    {another_service_answers_when_there_is_no_endpoint, 1},
	    {an_exception_leads_elsewhere_only_with_any, 1},
	    {a_call_whose_reply_broke_off_is_not_led_elsewhere, 1},
	    {a_call_that_still_comes_in_is_led_elsewhere, 1},
	    {a_grpc_call_is_led_elsewhere, WAYS_TO_FAIL},
	    {a_fallback_is_followed_once, 1},
	    {the_callers_own_time_is_not_extended, 1},
	};

	return stream_main("sim_routes", tests, ARRAY_LEN(tests));
}
