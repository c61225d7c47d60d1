/* What does not fit: into memory, into a queue, into a header, or into the number of ids. */
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "proxy/downstream.h"
#include "support/sim.h"

#define ANY_ORDER 1u
#define TIGHT     "limits: {memory: 1MiB}"

#define HEADER_MOST 262140u /* source: gopkg protocol/ttheader/encode.go MaxHeaderSize */

static uint64_t held(void)
{
	return atomic_load(&sim_worker()->shares->memory);
}

/* Leaves @rest bytes of the limit to the scenario. */
static void leave_memory(uint64_t rest)
{
	atomic_fetch_add(&sim_worker()->shares->memory, 1024 * 1024 - rest);
}

static void give_memory_back(uint64_t rest)
{
	atomic_fetch_sub(&sim_worker()->shares->memory, 1024 * 1024 - rest);
}

START_TEST(a_call_that_cannot_be_kept_for_its_connect_is_overload)
{
	struct fake_end *caller, *app;

	start(.top = TIGHT);
	leave_memory(20000);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .fill = 40000);
	app = accepted();
	hear_failure(caller, REASON_OVERLOAD, FRAMED, .seq = 1);
	hear_end(app);
	logged("reason=overload attempts=1 detail~limits.memory");
	give_memory_back(20000);
	say(caller, FRAMED, .seq = 2, .fill = 40000);
	hear(accepted(), FRAMED, .seq = 2);
}
END_TEST

START_TEST(what_goes_to_many_at_once_counts_for_each)
{
	struct fake_end *caller, *apps[3];

	start(.top = TIGHT, .endpoints = 6,
	    .service = "methods: {'*': {idempotent: true}}, retry: fork");
	leave_memory(150000);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .fill = 40000);
	for (int i = 0; i < 3; i++) {
		apps[i] = accepted();
		hear(apps[i], FRAMED, .seq = 1);
	}
	no_connect();
	say(apps[1], FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	give_memory_back(150000);
}
END_TEST

START_TEST(a_call_that_cannot_be_collected_is_overload)
{
	struct fake_end *caller;

	start(.top = TIGHT, .service = "protocol: framed");
	caller = dial();
	leave_memory(20000);
	say_part(caller, 0, 70000, BUFFERED, .seq = 1, .fill = 80000);
	hear_failure(caller, REASON_OVERLOAD, BUFFERED, .seq = 1);
	say_part(caller, 70000, 0, BUFFERED, .seq = 1, .fill = 80000);
	logged("reason=overload attempts=0");
	give_memory_back(20000);
	ck_assert(is_open(caller));
}
END_TEST

START_TEST(a_waiting_call_that_cannot_be_kept_is_overload)
{
	struct fake_end *caller, *app;

	start(.top = TIGHT);
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .flags = ANY_ORDER);
	app = accepted();
	leave_memory(20000);
	say(caller, TTHEADER, .seq = 2, .fill = 40000);
	hear_failure(caller, REASON_OVERLOAD, TTHEADER, .seq = 2);
	give_memory_back(20000);
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
}
END_TEST

START_TEST(a_reply_that_cannot_wait_for_its_turn_is_overload)
{
	struct fake_end *caller, *apps[2];

	start(.top = TIGHT);
	caller = dial();
	for (int i = 0; i < 2; i++) {
		say(caller, TTHEADER, .seq = i, .flags = ANY_ORDER);
		apps[i] = accepted();
	}
	leave_memory(20000);
	say_part(apps[0], 0, 100000, TTHEADER, .seq = 0, .fill = 200000);
	say(apps[1], TTHEADER, .seq = 1, .fill = 40000);
	say_part(apps[0], 100000, 0, TTHEADER, .seq = 0, .fill = 200000);
	hear(caller, TTHEADER, .seq = 0, .text = "", .fill = 200000);
	hear_failure(caller, REASON_OVERLOAD, TTHEADER, .seq = 1);
	give_memory_back(20000);
}
END_TEST

START_TEST(input_that_is_not_whole_yet_counts_as_memory)
{
	struct fake_end *caller;

	start(.top = TIGHT);
	leave_memory(30000);
	caller = dial();
	say_part(caller, 0, 50000, FRAMED, .seq = 1, .fill = 60000);
	pass(1);
	hear_end(caller);
	logged("reason=overload");
	ck_assert_uint_eq(held(), 1024 * 1024 - 30000);
	give_memory_back(30000);
}
END_TEST

START_TEST(a_shared_connection_whose_endpoint_does_not_read_takes_no_more_calls)
{
	struct fake_end *caller, *app;

	start(.service = "multiplex: true, timeout: {connect: 100ms}, retry: {type: none}");
	fake_script(sim_loop(), FAKE_HANGS, 1);
	caller = dial();
	say(caller, TTHEADER, .seq = 0, .flags = ANY_ORDER);
	app = accepted();
	fake_take(app, 0);
	fake_connected(app);
	for (int i = 1; i < 20; i++)
		say(caller, TTHEADER, .seq = i, .flags = ANY_ORDER, .fill = 60000);
	no_connect();
	pass(100);
	for (int i = 0; i < 10; i++)
		hear_failure(caller, REASON_CONNECT_FAILED, TTHEADER, .seq = 6 + i);
}
END_TEST

START_TEST(more_calls_than_ids_are_refused)
{
	struct fake_end *callers[10];
	unsigned refused = 0;

	start(.service = "multiplex: true, retry: {type: none}");
	for (size_t i = 0; i < ARRAY_LEN(callers); i++) {
		callers[i] = dial();
		for (int k = 0; k < 1000; k++)
			put(callers[i], TTHEADER, .seq = k, .flags = ANY_ORDER);
		pass(0);
		refused += sim_lines();
		while (sim_lines())
			logged("reason=connect_failed attempts=1");
	}
	ck_assert_uint_eq(in_flight() + refused, 10000);
	ck_assert_uint_ge(in_flight(), 4096);
	ck_assert_uint_le(in_flight(), 2 * 4096);
}
END_TEST

START_TEST(a_caller_that_reads_none_of_many_replies_is_given_up)
{
	struct fake_end *caller, *apps[1000];

	start(.listener = "in_flight: 1000");
	caller = dial();
	fake_take(caller, 0);
	for (int i = 0; i < 400; i++) {
		say(caller, TTHEADER, .seq = i, .flags = ANY_ORDER);
		apps[i] = accepted();
	}
	for (int i = 0; i < 400; i++)
		say(apps[i], TTHEADER, .seq = i, .fill = 60000);
	pass(1);
	ck_assert(!is_open(caller));
}
END_TEST

START_TEST(a_header_that_has_no_room_for_what_is_added_is_too_large)
{
	struct fake_end *caller;
	char *keys = malloc(HEADER_MOST + 64);
	size_t at = 0, value = HEADER_MOST / 5 - 8;

	start(.listener = "caller: node, max_header: 256KiB", .service = "retry: {type: none}");
	caller = dial();
	for (int i = 0; i < 5; i++) {
		at += (size_t)sprintf(keys + at, "%sk%d=", i ? " " : "", i);
		memset(keys + at, 'v', value);
		at += value;
	}
	keys[at] = '\0';
	say(caller, TTHEADER, .seq = 1, .keys = keys);
	free(keys);
	hear_failure(caller, REASON_TOO_LARGE, TTHEADER, .seq = 1);
	logged("detail~header");
}
END_TEST

START_TEST(a_service_without_endpoints_has_no_endpoint)
{
	struct fake_end *caller;

	start(.is_empty = true);
	caller = dial();
	say(caller, TTHEADER, .seq = 1);
	hear_failure(caller, REASON_NO_ENDPOINT, TTHEADER, .seq = 1);
	logged("reason=no_endpoint attempts=0 service=app");
	reload();
	say(caller, TTHEADER, .seq = 2);
	hear(accepted(), TTHEADER, .seq = 2);
}
END_TEST

START_TEST(a_call_that_was_answered_early_has_no_time_any_more)
{
	struct fake_end *caller, *app;

	start(.service = "timeout: {call: 100ms}");
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	app = accepted();
	say(app, FRAMED, .seq = 1, .text = "early");
	hear(caller, FRAMED, .seq = 1, .text = "early");
	pass(200);
	ck_assert(is_open(caller));
	say_part(caller, 100000, 0, FRAMED, .seq = 1, .fill = 200000);
	logged("reason=ok total=200000");
	say(caller, FRAMED, .seq = 2);
	hear(accepted(), FRAMED, .seq = 2);
}
END_TEST

START_TEST(a_call_that_was_answered_early_may_be_cut_off)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	app = accepted();
	reset(app);
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 1);
	half_close(caller);
	hear_end(caller);
	logged("reason=reset");
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 2, .fill = 200000);
	app = accepted();
	say(app, FRAMED, .seq = 2);
	hear(caller, FRAMED, .seq = 2);
	reset(caller);
	logged("reason=ok");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_call_that_cannot_be_kept_for_its_connect_is_overload,
	    what_goes_to_many_at_once_counts_for_each,
	    a_call_that_cannot_be_collected_is_overload,
	    a_waiting_call_that_cannot_be_kept_is_overload,
	    a_reply_that_cannot_wait_for_its_turn_is_overload,
	    input_that_is_not_whole_yet_counts_as_memory,
	    a_shared_connection_whose_endpoint_does_not_read_takes_no_more_calls,
	    more_calls_than_ids_are_refused,
	    a_caller_that_reads_none_of_many_replies_is_given_up,
	    a_header_that_has_no_room_for_what_is_added_is_too_large,
	    a_service_without_endpoints_has_no_endpoint,
	    a_call_that_was_answered_early_has_no_time_any_more,
	    a_call_that_was_answered_early_may_be_cut_off,
	};

	return sim_main("sim_memory", tests, ARRAY_LEN(tests));
}
