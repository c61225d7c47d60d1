/* Metadata that applications without a header bring in the bodies of their calls. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/loop.h"
#include "rpc/carry.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define LIFTS   "metadata: base255"
#define BROUGHT "@1=log7 @2=cart source-method=Add RPC_PERSIST_LANE=gray RPC_TRANSIT_T=1 own=1"
#define HEADER  "2=log7 3=cart 20=Add RPC_PERSIST_LANE=gray RPC_TRANSIT_T=1 own=1"
#define PAST                                                                                       \
	"@1=log7 @2=front destination-service=cart destination-method=Add "                        \
	"RPC_PERSIST_LANE=gray RPC_TRANSIT_T=1"
#define HANDED "2=log7 3=cart 20=Add RPC_PERSIST_LANE=gray !RPC_TRANSIT_T"

START_TEST(what_a_call_brings_stands_in_its_new_header)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct fake_end *caller, *app;

		start(.listener = LIFTS, .service = "protocol: ttheader");
		caller = dial();
		say(caller, forms[i], .seq = 7, .text = "x", .base = BROUGHT);
		app = accepted();
		hear(app, TTHEADER_FRAMED, .seq = 7, .text = "x", .base = BROUGHT " !@4",
		    .keys = HEADER " 6=app !source-method");
		say(app, TTHEADER_FRAMED, .seq = 7, .text = "y");
		hear(caller, forms[i], .seq = 7, .text = "y");
		logged("reason=ok caller=cart log_id=log7");
		ck_assert_uint_eq(dropped(METADATA_PERSISTENT) + dropped(METADATA_HEADER), 0);
		sim_stop();
	}
}
END_TEST

START_TEST(what_an_argument_brings_stands_in_a_new_header)
{
	struct fake_end *caller;

	start(.listener = "metadata: 'argfield:3'", .service = "protocol: ttheader");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "x", .map_id = 3,
	    .map = "stream-log-id=log7 source-service=cart source-method=Add "
		   "RPC_PERSIST_LANE=gray RPC_TRANSIT_T=1 own=1");
	hear(accepted(), TTHEADER_FRAMED, .seq = 7, .text = "x", .keys = HEADER);
}
END_TEST

START_TEST(the_pinned_service_says_so_where_its_listener_does_not)
{
	struct fake_end *caller;

	start(.service = "protocol: ttheader, metadata: {type: base255, merge: keep}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .base = BROUGHT);
	hear(accepted(), TTHEADER_FRAMED, .seq = 7, .keys = HEADER, .base = "!@4");
	sim_stop();
	start(.listener = "metadata: drop",
	    .service = "protocol: ttheader, metadata: {type: base255, merge: keep}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .base = BROUGHT);
	hear(accepted(), TTHEADER_FRAMED, .seq = 7, .keys = "!3 !RPC_PERSIST_LANE", .base = "!@4");
}
END_TEST

START_TEST(what_a_call_brings_stands_in_fields_of_grpc)
{
	struct fake_end *caller;
	struct stream *served;

	start(.listener = LIFTS, .service = "protocol: grpc, aliases: [shop.Price]");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .method = "Quote", .base = BROUGHT);
	served =
	    hear_call(accepted_streams(GRPC), .method = "Quote", .type = "application/grpc+thrift",
		.keys = "source-service=cart source-method=Add stream-log-id=log7 "
			"rpc-persist-lane=gray rpc-transit-t=1 own=1");
	answer(served, .type = "application/grpc+thrift", .message = "y", .body = AS_THRIFT);
	hear(caller, FRAMED, .seq = 7, .method = "Quote", .text = "y");
	logged("reason=ok caller=cart");
}
END_TEST

START_TEST(what_a_call_brings_goes_on_in_its_body)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED};

	for (size_t i = 0; i < 4; i++) {
		enum sim_form target = forms[i / 2];
		struct fake_end *caller;

		start(.listener = LIFTS, .service = i < 2 ? "protocol: framed, metadata: drop"
							  : "protocol: buffered, metadata: drop");
		caller = dial();
		say(caller, forms[i % 2], .seq = 7, .text = "x", .base = BROUGHT);
		hear(accepted(), target, .seq = 7, .text = "x", .base = BROUGHT " !@4");
		ck_assert_uint_eq(dropped(METADATA_PERSISTENT) + dropped(METADATA_TRANSIENT) +
				      dropped(METADATA_HEADER),
		    0);
		sim_stop();
	}
}
END_TEST

START_TEST(what_was_handed_through_is_of_another_hop)
{
	struct fake_end *caller;

	start(.listener = LIFTS, .service = "protocol: ttheader");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "x", .base = PAST);
	hear(accepted(), TTHEADER_FRAMED, .seq = 7, .text = "x", .keys = HANDED);
	sim_stop();
	start(.listener = LIFTS, .service = "protocol: framed, metadata: base255");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "x", .base = PAST);
	hear(accepted(), FRAMED, .seq = 7, .text = "x",
	    .base = "@1=log7 @2=cart @4=bridled source-method=Add destination-service=app "
		    "destination-method=Echo RPC_PERSIST_LANE=gray !RPC_TRANSIT_T");
}
END_TEST

START_TEST(a_call_with_a_header_is_not_searched)
{
	struct fake_end *caller;

	start(.listener = LIFTS);
	caller = dial();
	say(caller, TTHEADER, .seq = 7, .base = BROUGHT, .keys = "3=own");
	hear(accepted(), TTHEADER, .seq = 7, .keys = "3=own !RPC_PERSIST_LANE !2");
}
END_TEST

/* ---- rules ---- */

START_TEST(routes_see_what_was_brought)
{
	struct fake_end *caller, *app;

	start(.listener = LIFTS, .services = "other: {endpoints: ['10.0.9.1:80']}",
	    .service = "routes: [{match: {meta.LANE: gray, caller: cart}, to: {service: other}}]");
	caller = dial();
	say(caller, FRAMED, .seq = 1, .base = BROUGHT);
	app = accepted();
	ck_assert_str_eq(fake_address(app)->text, "10.0.9.1:80");
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	say(caller, FRAMED, .seq = 2, .base = "@2=cart");
	ck_assert_str_eq(fake_address(accepted())->text, "10.0.0.1:80");
}
END_TEST

START_TEST(access_rules_see_who_calls)
{
	struct fake_end *caller;

	start(.listener = LIFTS, .service = "acl: [{deny: {caller: cart}}]");
	caller = dial();
	say(caller, FRAMED, .seq = 1, .base = BROUGHT);
	hear_failure(caller, REASON_ACL_DENIED, FRAMED, .seq = 1);
	logged("reason=acl_denied caller=cart log_id=log7");
	say(caller, FRAMED, .seq = 2, .base = "@2=tax");
	hear(accepted(), FRAMED, .seq = 2);
}
END_TEST

START_TEST(limits_by_caller_see_who_calls)
{
	struct fake_end *caller, *other;

	start(.listener = LIFTS, .service = "limit: {concurrency: 1, by: caller}");
	caller = dial();
	other = dial();
	say(caller, FRAMED, .seq = 1, .base = "@2=cart");
	hear(accepted(), FRAMED, .seq = 1);
	say(other, FRAMED, .seq = 2, .base = "@2=cart");
	hear_failure(other, REASON_CONCURRENCY_LIMITED, FRAMED, .seq = 2);
	say(other, FRAMED, .seq = 3, .base = "@2=tax");
	hear(accepted(), FRAMED, .seq = 3);
}
END_TEST

/* ---- time ---- */

START_TEST(the_deadline_that_was_brought_bounds_the_call)
{
	static const char *const services[] = {"protocol: ttheader, timeout: {margin: 1ms}",
	    "protocol: framed, timeout: {margin: 1ms}"};

	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		struct fake_end *caller, *app;
		char base[100];

		start(.listener = LIFTS, .service = services[i]);
		snprintf(base, sizeof base, "rpc-deadline=%llu",
		    (unsigned long long)(loop_calendar(sim_loop()) / USEC_MS + 100));
		caller = dial();
		say(caller, FRAMED, .seq = 7, .base = base);
		app = accepted();
		if (i == 0)
			hear(app, TTHEADER_FRAMED, .seq = 7, .keys = "12=100");
		pass(98);
		hear_nothing(caller);
		pass(2);
		hear_failure(caller, REASON_CALLER_DEADLINE, FRAMED, .seq = 7);
		logged("reason=caller_deadline");
		sim_stop();
	}
}
END_TEST

START_TEST(a_deadline_that_is_over_ends_the_call_at_once)
{
	struct fake_end *caller;

	start(.listener = LIFTS, .service = "timeout: {margin: 1ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .base = "rpc-deadline=1000");
	pass(2);
	hear_failure(caller, REASON_CALLER_DEADLINE, FRAMED, .seq = 7);
}
END_TEST

/* ---- calls that wait, or are long ---- */

START_TEST(a_parked_call_keeps_what_it_brought)
{
	struct sim_frame second = {
	    FRAMED, .kind = CALL, .seq = 2, .text = "second", .base = BROUGHT};
	struct fake_end *caller, *app;

	start(.listener = LIFTS, .service = "protocol: ttheader");
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "first", .base = "@2=tax");
	sim_say(caller, &second, 0, SIZE_MAX);
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 1, .keys = "3=tax");
	hear_nothing(app);
	say(caller, FRAMED, .seq = 3, .text = "over its bytes", .base = "@2=none");
	say(app, TTHEADER_FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	hear(app, TTHEADER_FRAMED, .seq = 2, .text = "second", .keys = HEADER);
	say(app, TTHEADER_FRAMED, .seq = 2);
	hear(caller, FRAMED, .seq = 2);
	hear(app, TTHEADER_FRAMED, .seq = 3, .keys = "3=none");
}
END_TEST

START_TEST(a_call_that_waits_to_be_sent_keeps_what_it_brought)
{
	struct fake_end *caller, *app;

	start(.listener = LIFTS, .service = "protocol: ttheader", .endpoints = 2);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "first", .base = BROUGHT);
	say(caller, FRAMED, .seq = 2, .text = "over its bytes", .base = "@2=tax");
	app = accepted();
	fake_refuse(app, 111);
	pass(0);
	hear(accepted(), TTHEADER_FRAMED, .seq = 1, .text = "first", .keys = HEADER);
}
END_TEST

START_TEST(the_caller_may_be_gone_before_its_call_is_sent)
{
	struct fake_end *caller, *app;

	start(.listener = LIFTS, .service = "protocol: ttheader");
	fake_script(sim_loop(), FAKE_HANGS, 2);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1, .text = "x", .base = BROUGHT);
	app = accepted();
	hang_up(caller);
	fake_connected(app);
	pass(0);
	hear(app, TTHEADER_FRAMED, .kind = ONEWAY, .seq = 1, .text = "x", .keys = HEADER);
	logged("reason=ok caller=cart");
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "x", .base = BROUGHT);
	reset(caller);
	logged("reason=canceled caller=cart log_id=log7");
}
END_TEST

START_TEST(a_long_call_brings_it_when_it_is_whole)
{
	struct sim_frame call = {FRAMED, .seq = 7, .fill = 200000, .base = BROUGHT};
	struct fake_end *caller, *app;

	start(.listener = LIFTS, .service = "protocol: ttheader");
	caller = dial();
	sim_say_part(caller, 0, 100000, &call);
	no_connect();
	sim_say_part(caller, 100000, 0, &call);
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 7, .text = "", .fill = 200000, .base = BROUGHT,
	    .keys = HEADER);
	say(app, TTHEADER_FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
	logged("reason=ok caller=cart log_id=log7");
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(the_deadline_of_a_long_call_bounds_it_too)
{
	struct sim_frame call = {FRAMED, .seq = 7, .fill = 200000};
	struct fake_end *caller, *app;
	char base[100];

	start(.listener = LIFTS, .service = "protocol: ttheader, timeout: {margin: 1ms}");
	snprintf(base, sizeof base, "rpc-deadline=%llu",
	    (unsigned long long)(loop_calendar(sim_loop()) / USEC_MS + 100));
	call.base = base;
	caller = dial();
	sim_say_part(caller, 0, 100000, &call);
	pass(40);
	sim_say_part(caller, 100000, 0, &call);
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 7, .keys = "12=60");
	pass(58);
	hear_nothing(caller);
	pass(2);
	hear_failure(caller, REASON_CALLER_DEADLINE, FRAMED, .seq = 7);
	logged("reason=caller_deadline");
}
END_TEST

START_TEST(time_that_a_call_takes_to_come_in_does_not_count_twice)
{
	struct sim_frame call = {FRAMED, .seq = 7, .fill = 200};
	struct fake_end *caller;
	char base[100];

	start(.listener = LIFTS, .service = "protocol: ttheader");
	snprintf(base, sizeof base, "rpc-deadline=%llu",
	    (unsigned long long)(loop_calendar(sim_loop()) / USEC_MS + 100));
	call.base = base;
	caller = dial();
	sim_say_part(caller, 0, 100, &call);
	pass(40);
	sim_say_part(caller, 100, 0, &call);
	hear(accepted(), TTHEADER_FRAMED, .seq = 7, .keys = "12=60");
}
END_TEST

#define TRACEPARENT "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

START_TEST(a_long_call_goes_on_with_the_trace_that_it_brings)
{
	struct sim_frame call = {
	    FRAMED, .seq = 7, .fill = 200000, .base = "traceparent=" TRACEPARENT};
	struct fake_end *caller;

	start(.listener = LIFTS, .service = "protocol: ttheader",
	    .top = "tracing: {export: {otlp: 'http://127.0.0.1:4318'}}");
	caller = dial();
	sim_say_part(caller, 0, 100000, &call);
	sim_say_part(caller, 100000, 0, &call);
	hear(accepted(), TTHEADER_FRAMED, .seq = 7);
	pass(60000);
	logged("trace_id=0123456789abcdef0123456789abcdef");
}
END_TEST

START_TEST(a_call_longer_than_retry_buffer_brings_nothing)
{
	struct sim_frame call = {FRAMED, .seq = 7, .fill = 200000, .base = BROUGHT};
	struct fake_end *caller, *app;

	start(.listener = LIFTS, .service = "protocol: ttheader, retry: {buffer: 100KiB}");
	caller = dial();
	sim_say_part(caller, 0, 100000, &call);
	app = accepted();
	sim_say_part(caller, 100000, 0, &call);
	hear(app, TTHEADER_FRAMED, .seq = 7, .text = "", .fill = 200000, .base = BROUGHT,
	    .keys = "!3 !RPC_PERSIST_LANE");
	call.form = BUFFERED; /* which is held in any case, to be counted */
	caller = dial();
	sim_say_part(caller, 0, 0, &call);
	hear(
	    accepted(), TTHEADER_FRAMED, .seq = 7, .base = BROUGHT, .keys = "!3 !RPC_PERSIST_LANE");
}
END_TEST

START_TEST(a_call_that_is_refused_is_read_to_its_end)
{
	struct sim_frame call = {FRAMED, .seq = 7, .fill = 200000, .base = BROUGHT};
	struct fake_end *caller;

	start(.listener = LIFTS, .service = "degrade: 100%");
	caller = dial();
	sim_say_part(caller, 0, 100000, &call);
	hear_failure(caller, REASON_DEGRADED, FRAMED, .seq = 7);
	sim_say_part(caller, 100000, 0, &call);
	logged("reason=degraded");
	say(caller, FRAMED, .seq = 8, .base = BROUGHT);
	hear_failure(caller, REASON_DEGRADED, FRAMED, .seq = 8);
	logged("reason=degraded caller=cart");
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(a_mirror_has_a_copy_of_what_was_brought)
{
	struct fake_end *caller, *app, *mirror;

	start(.listener = LIFTS, .service = "routes: [{mirror: {service: other}}]",
	    .services = "other: {endpoints: ['10.0.9.1:80'], protocol: ttheader}");
	fake_script(sim_loop(), FAKE_DEFAULT, 1);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "x", .base = BROUGHT);
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	mirror = accepted();
	say(app, FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
	say(caller, FRAMED, .seq = 8, .text = "in the room of the first", .base = "@2=tax");
	hang_up(caller);
	fake_connected(mirror);
	pass(0);
	hear(mirror, TTHEADER_FRAMED, .seq = 7, .text = "x", .base = BROUGHT, .keys = HEADER);
}
END_TEST

START_TEST(a_fallback_reads_what_was_brought)
{
	struct fake_end *caller;

	start(.listener = LIFTS,
	    .service = "fallback: {to: {service: other}, on: [no_endpoint]}, retry: none",
	    .services = "other: {endpoints: ['10.0.9.1:80'], protocol: ttheader}");
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "x", .base = BROUGHT);
	hear(accepted(), TTHEADER_FRAMED, .seq = 7, .text = "x", .keys = HEADER " 6=other");
}
END_TEST

START_TEST(rules_change_what_was_brought)
{
	struct fake_end *caller;

	start(.listener = LIFTS,
	    .service =
		"protocol: ttheader, routes: [{set: {meta.LANE: blue}, remove: [header.own]}]");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "x", .base = BROUGHT);
	hear(accepted(), TTHEADER_FRAMED, .seq = 7, .keys = "RPC_PERSIST_LANE=blue !own 3=cart");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    what_a_call_brings_stands_in_its_new_header,
	    what_an_argument_brings_stands_in_a_new_header,
	    the_pinned_service_says_so_where_its_listener_does_not,
	    what_a_call_brings_stands_in_fields_of_grpc,
	    what_a_call_brings_goes_on_in_its_body,
	    what_was_handed_through_is_of_another_hop,
	    a_call_with_a_header_is_not_searched,
	    routes_see_what_was_brought,
	    access_rules_see_who_calls,
	    limits_by_caller_see_who_calls,
	    the_deadline_that_was_brought_bounds_the_call,
	    a_deadline_that_is_over_ends_the_call_at_once,
	    a_parked_call_keeps_what_it_brought,
	    a_call_that_waits_to_be_sent_keeps_what_it_brought,
	    the_caller_may_be_gone_before_its_call_is_sent,
	    a_long_call_brings_it_when_it_is_whole,
	    the_deadline_of_a_long_call_bounds_it_too,
	    time_that_a_call_takes_to_come_in_does_not_count_twice,
	    a_long_call_goes_on_with_the_trace_that_it_brings,
	    a_call_longer_than_retry_buffer_brings_nothing,
	    a_call_that_is_refused_is_read_to_its_end,
	    a_mirror_has_a_copy_of_what_was_brought,
	    a_fallback_reads_what_was_brought,
	    rules_change_what_was_brought,
	};

	return sim_main("sim_carriage_lift", tests, ARRAY_LEN(tests));
}
