/* Metadata in bodies where a call is sent again, to many, later, or elsewhere. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/loop.h"
#include "proxy/naming.h"
#include "rpc/carry.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define BASE       "metadata: base255"
#define IDEMPOTENT "methods: {'*': {idempotent: true}}, "
#define MARK       "RPC_PERSIST_RetryReq"

static uint64_t unedited(enum rpc_uncarried why)
{
	return counter_get(&sim_worker()->metadata_unedited[why]);
}

START_TEST(another_attempt_is_marked_in_base)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED, TTHEADER};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct fake_end *caller, *app;

		start(.endpoints = 2, .service = IDEMPOTENT BASE ", retry: {on: [reset]}");
		caller = dial();
		say(caller, forms[i], .seq = 7, .text = "x", .base = "mine=1");
		app = accepted();
		hear(app, forms[i], .seq = 7, .text = "x", .base = "mine=1 @4=bridled !" MARK);
		reset(app);
		app = accepted();
		hear(app, forms[i], .seq = 7, .text = "x", .base = "mine=1 @4=bridled " MARK "=1");
		say(app, forms[i], .seq = 7);
		hear(caller, forms[i], .seq = 7);
		logged("reason=ok attempts=2");
		ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
		sim_stop();
	}
}
END_TEST

START_TEST(another_attempt_is_marked_in_an_argument)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2, .service = IDEMPOTENT "metadata: 'argfield:9', retry: {on: [reset]}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "x", .map = "mine=1", .map_id = 9);
	app = accepted();
	hear(app, FRAMED, .seq = 7, .text = "x", .map = "mine=1 !" MARK, .map_id = 9);
	reset(app);
	hear(accepted(), FRAMED, .seq = 7, .text = "x", .map = "mine=1 " MARK "=1", .map_id = 9);
}
END_TEST

START_TEST(a_long_body_is_edited_for_each_attempt)
{
	struct sim_frame call = {FRAMED, .seq = 7, .fill = 200000, .base = ""};
	struct fake_end *caller, *app;

	start(.endpoints = 2, .service = IDEMPOTENT BASE ", retry: {on: [reset]}");
	caller = dial();
	sim_say_part(caller, 0, 100000, &call);
	sim_say_part(caller, 100000, 0, &call);
	app = accepted();
	hear(app, FRAMED, .seq = 7, .text = "", .fill = 200000, .base = "@4=bridled !" MARK);
	reset(app);
	app = accepted();
	hear(app, FRAMED, .seq = 7, .text = "", .fill = 200000, .base = "@4=bridled " MARK "=1");
	say(app, FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(a_backup_is_marked_in_base)
{
	struct fake_end *caller, *first, *second;

	start(.endpoints = 2, .service = IDEMPOTENT BASE ", retry: {type: backup, delay: 10ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "x", .base = "");
	first = accepted();
	hear(first, FRAMED, .seq = 7, .text = "x", .base = "@4=bridled !" MARK);
	pass(11);
	second = accepted();
	hear(second, FRAMED, .seq = 7, .text = "x", .base = "@4=bridled " MARK "=1");
	say(second, FRAMED, .seq = 7, .text = "y");
	hear(caller, FRAMED, .seq = 7, .text = "y");
}
END_TEST

START_TEST(all_of_many_are_given_it)
{
	static const char *const types[] = {"fork", "broadcast"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct fake_end *caller, *apps[3];
		char service[200];

		snprintf(service, sizeof service, IDEMPOTENT BASE ", retry: {type: %s}", types[i]);
		start(.endpoints = 3, .service = service);
		caller = dial();
		say(caller, FRAMED, .seq = 7, .text = "x", .base = "mine=1");
		for (int k = 0; k < 3; k++) {
			apps[k] = accepted();
			hear(apps[k], FRAMED, .seq = 7, .text = "x", .base = "mine=1 @4=bridled");
		}
		for (int k = 0; k < 3; k++)
			say(apps[k], FRAMED, .seq = 7, .text = "y");
		hear(caller, FRAMED, .seq = 7, .text = "y");
		sim_stop();
	}
}
END_TEST

START_TEST(a_call_that_waits_for_its_connection_keeps_its_body)
{
	struct fake_end *caller, *app;

	start(.service = BASE);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "first", .base = "mine=1");
	app = accepted();
	say(caller, FRAMED, .seq = 2, .text = "others", .base = "mine=2"); /* over its bytes */
	fake_connected(app);
	pass(0);
	hear(app, FRAMED, .seq = 1, .text = "first", .base = "mine=1 @4=bridled");
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	hear(app, FRAMED, .seq = 2, .text = "others", .base = "mine=2 @4=bridled");
}
END_TEST

START_TEST(a_call_that_waits_for_room_in_a_backlog_keeps_its_body)
{
	struct fake_end *caller;

	start(.service = BASE, .is_local = true);
	fake_script(sim_loop(), FAKE_BACKLOG, 3);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "first", .base = "mine=1");
	no_connect();
	say(caller, FRAMED, .seq = 2, .text = "others", .base = "mine=2");
	pass(20);
	hear(accepted(), FRAMED, .seq = 1, .text = "first", .base = "mine=1 @4=bridled");
}
END_TEST

START_TEST(what_was_not_sent_goes_to_another_endpoint)
{
	struct fake_end *caller, *app, *other;

	start(.service = BASE, .endpoints = 2);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .base = "");
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	say(caller, FRAMED, .seq = 2, .base = "");
	other = accepted();
	hear(other, FRAMED, .seq = 2);
	say(other, FRAMED, .seq = 2);
	hear(caller, FRAMED, .seq = 2);
	fake_take(app, 0);
	fake_take(other, 0);
	say(caller, FRAMED, .seq = 3, .text = "x", .base = "mine=1");
	reset(app);
	reset(other);
	pass(0);
	hear(accepted(), FRAMED, .seq = 3, .text = "x", .base = "mine=1 @4=bridled !" MARK);
}
END_TEST

START_TEST(a_shared_connection_carries_edited_calls)
{
	struct fake_end *a, *b, *app;

	start(.service = "multiplex: true, " BASE);
	a = dial();
	b = dial();
	say(a, TTHEADER, .seq = 1, .text = "a", .base = "", .keys = "3=cart");
	say(b, TTHEADER, .seq = 1, .text = "b", .base = "", .keys = "3=tax");
	app = accepted();
	for (int i = 0; i < 2; i++) {
		struct sim_heard r;
		size_t used = sim_frame_read(fake_received(app), &r);

		ck_assert_uint_gt(used, 0);
		ck_assert_ptr_nonnull(strstr(r.base, i ? " @2=tax " : " @2=cart "));
		ck_assert(sim_text_is(r.text, i ? "b" : "a", 0));
		fake_consume(app, used);
		say(app, TTHEADER, .seq = r.seq);
	}
	hear(a, TTHEADER, .seq = 1);
	hear(b, TTHEADER, .seq = 1);
}
END_TEST

START_TEST(a_fallback_has_a_mode_of_its_own)
{
	struct fake_end *caller;

	start(.service = BASE ", fallback: {to: {service: other}, on: [no_endpoint]}, retry: none",
	    .services = "other: {endpoints: ['10.0.9.1:80'], metadata: 'argfield:9'}");
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "x", .base = "mine=1");
	hear(accepted(), FRAMED, .seq = 7, .text = "x", .base = "mine=1 !@4",
	    .map = "destination-service=other", .map_id = 9);
}
END_TEST

START_TEST(a_mirror_has_a_mode_of_its_own_and_outlives_its_call)
{
	struct fake_end *caller, *app, *mirror;

	start(.service = "routes: [{mirror: {service: other}}]",
	    .services = "other: {endpoints: ['10.0.9.1:80'], metadata: base255}");
	fake_script(sim_loop(), FAKE_DEFAULT, 1);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .text = "x", .base = "mine=1");
	app = accepted();
	hear(app, FRAMED, .seq = 7, .text = "x", .base = "mine=1 !@4");
	mirror = accepted();
	say(app, FRAMED, .seq = 7);
	hear(caller, FRAMED, .seq = 7);
	hang_up(caller);
	logged("reason=ok");
	fake_connected(mirror);
	pass(0);
	hear(mirror, FRAMED, .seq = 7, .text = "x",
	    .base = "mine=1 @4=bridled destination-service=other");
	say(mirror, FRAMED, .seq = 7, .base = "@1=gone @2=5");
	logged_nothing();
}
END_TEST

START_TEST(what_a_route_sets_and_removes_is_in_base)
{
	struct fake_end *caller, *app;

	start(.service = BASE ", routes: [{set: {meta.LANE: blue, header.own: 2}, "
			      "remove: [meta.OLD, header.gone]}]");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .base = "",
	    .keys = "RPC_PERSIST_OLD=1 gone=1 own=1 RPC_PERSIST_KEPT=1");
	app = accepted();
	hear(app, TTHEADER, .seq = 1,
	    .base = "RPC_PERSIST_LANE=blue own=2 RPC_PERSIST_KEPT=1 !RPC_PERSIST_OLD !gone");
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	say(caller, FRAMED, .seq = 2, .base = "RPC_PERSIST_OLD=1 gone=1 own=1 RPC_PERSIST_KEPT=1");
	hear(app, FRAMED, .seq = 2,
	    .base = "RPC_PERSIST_LANE=blue own=2 RPC_PERSIST_KEPT=1 !RPC_PERSIST_OLD !gone");
}
END_TEST

/* ---- names that are looked up ---- */

#define TOP "registries: {r: {type: file, path: /nonexistent/services.yaml}}"
#define ANY "'*': {discover: r, " BASE "}"

static void want_nothing(void *arg, struct slice name)
{
	(void)arg;
	(void)name;
}

START_TEST(a_call_that_waited_for_its_name_is_edited)
{
	struct fake_end *caller;

	start(.services = ANY, .top = TOP);
	sim_worker()->want_name = want_nothing;
	caller = dial_to("open");
	say(caller, TTHEADER, .seq = 1, .text = "x", .base = "mine=1",
	    .keys = "6=shop.price 3=cart RPC_PERSIST_LANE=gray");
	no_connect();
	say(caller, TTHEADER, .seq = 2, .text = "over its bytes", .base = "mine=2");
	reload(.services = ANY ", shop.price: {endpoints: ['10.0.7.1:80'], " BASE "}", .top = TOP);
	naming_settled(sim_worker(), SLICE_LIT("shop.price"), NULL);
	pass(0);
	hear(accepted(), TTHEADER, .seq = 1, .text = "x",
	    .base = "mine=1 @2=cart @4=bridled RPC_PERSIST_LANE=gray "
		    "destination-service=shop.price");
	sim_stop_quietly();
}
END_TEST

/* ---- time ---- */

static uint64_t deadline_in(struct fake_end *app)
{
	struct sim_heard r;
	const char *at;

	ck_assert_uint_gt(sim_frame_read(fake_received(app), &r), 0);
	at = strstr(r.base, " rpc-deadline=");
	return at ? strtoull(at + 14, NULL, 10) : 0;
}

START_TEST(the_deadline_is_one_point_in_time_for_all_attempts)
{
	struct fake_end *caller, *app;
	uint64_t first;

	start(.endpoints = 2, .service = IDEMPOTENT BASE ", retry: {on: [reset]}, "
							 "timeout: {margin: 1ms}");
	caller = dial();
	say(caller, TTHEADER, .seq = 7, .base = "", .keys = "12=1000");
	app = accepted();
	first = deadline_in(app);
	ck_assert_uint_ge(first, loop_calendar(sim_loop()) / USEC_MS + 990);
	ck_assert_uint_le(first, loop_calendar(sim_loop()) / USEC_MS + 1000);
	pass(300);
	reset(app);
	ck_assert_uint_eq(deadline_in(accepted()), first);
}
END_TEST

START_TEST(without_a_stated_time_the_operators_stands_in_base)
{
	struct fake_end *caller, *app;
	uint64_t now;

	start(.service = BASE ", timeout: {call: 2s}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .base = "");
	app = accepted();
	now = loop_calendar(sim_loop()) / USEC_MS;
	ck_assert_uint_ge(deadline_in(app), now + 1990);
	ck_assert_uint_le(deadline_in(app), now + 2000);
	sim_stop();
	start(.service = BASE ", timeout: {default: none}");
	caller = dial();
	say(caller, FRAMED, .seq = 7, .base = "");
	ck_assert_uint_eq(deadline_in(accepted()), 0);
	reset(caller); /* else it waits for ever */
}
END_TEST

/* ---- gRPC ---- */

START_TEST(a_grpc_call_that_becomes_framed_is_edited)
{
	struct sim_frame call = {BUFFERED, .kind = CALL, .text = "x", .base = "mine=1"};
	const size_t head = 16; /* of a message: version, method, sequence id */
	uint8_t prefix[5] = {0};
	struct fake_end *app;
	struct stream_end *caller;
	struct stream *said;
	uint8_t *bytes;
	size_t len;

	start(.service = "protocol: framed, " BASE);
	caller = dial_streams(GRPC);
	said = begin(caller, .method = "Echo", .type = "application/grpc+thrift",
	    .keys = "source-service=cart rpc-persist-lane=gray stream-log-id=log7");
	bytes = sim_frame_make(&call, &len);
	prefix[4] = (uint8_t)(len - head);
	speak_bytes(said, slice_of(prefix, 5));
	speak_bytes(said, slice_of(bytes + head, len - head));
	free(bytes);
	finish(said);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .text = "x",
	    .base = "mine=1 @1=log7 @2=cart @4=bridled RPC_PERSIST_LANE=gray "
		    "destination-service=app destination-method=Echo");
	ck_assert_uint_eq(unedited(RPC_UNCARRIED_SHAPE), 0);
	ck_assert_uint_eq(dropped(METADATA_PERSISTENT), 0);
}
END_TEST

START_TEST(a_service_that_speaks_grpc_is_given_headers_alone)
{
	struct fake_end *caller;
	struct stream *served;

	start(.service = "protocol: grpc, aliases: [shop.Price], " BASE);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .method = "Quote", .text = "x");
	served = hear_call(accepted_streams(GRPC), .method = "Quote", .message = "x",
	    .body = AS_THRIFT, .ends = true);
	answer(served, .type = "application/grpc+thrift", .message = "y", .body = AS_THRIFT);
	hear(caller, FRAMED, .seq = 7, .method = "Quote", .text = "y");
	ck_assert_uint_eq(unedited(RPC_UNCARRIED_PAYLOAD), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    another_attempt_is_marked_in_base,
	    another_attempt_is_marked_in_an_argument,
	    a_long_body_is_edited_for_each_attempt,
	    a_backup_is_marked_in_base,
	    all_of_many_are_given_it,
	    a_call_that_waits_for_its_connection_keeps_its_body,
	    a_call_that_waits_for_room_in_a_backlog_keeps_its_body,
	    what_was_not_sent_goes_to_another_endpoint,
	    a_shared_connection_carries_edited_calls,
	    a_fallback_has_a_mode_of_its_own,
	    a_mirror_has_a_mode_of_its_own_and_outlives_its_call,
	    what_a_route_sets_and_removes_is_in_base,
	    a_call_that_waited_for_its_name_is_edited,
	    the_deadline_is_one_point_in_time_for_all_attempts,
	    without_a_stated_time_the_operators_stands_in_base,
	    a_grpc_call_that_becomes_framed_is_edited,
	    a_service_that_speaks_grpc_is_given_headers_alone,
	};

	return sim_main("sim_carriage_tries", tests, ARRAY_LEN(tests));
}
