/* Metadata that is given to applications in the bodies of their calls. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/carry.h"
#include "support/sim.h"

#define BASE "metadata: base255"
#define ARG  "metadata: 'argfield:3'"
#define SAID "2=log7 3=cart 20=Add 12=100 99=odd rip=192.0.2.1 RPC_PERSIST_LANE=gray own=1"
#define GIVEN                                                                                      \
	"@1=log7 @2=cart @3=192.0.2.1 @4=bridled source-method=Add RPC_PERSIST_LANE=gray own=1"
#define FOR_APP "destination-service=app destination-method=Echo"

static uint64_t unedited(enum rpc_uncarried why)
{
	return counter_get(&sim_worker()->metadata_unedited[why]);
}

static uint64_t held_memory(void)
{
	return atomic_load(&sim_worker()->shares->memory);
}

static const struct {
	enum sim_form form;
	const char *protocol;
} targets[] = {
    {FRAMED, "protocol: framed, "},
    {BUFFERED, "protocol: buffered, "},
    {TTHEADER, "protocol: ttheader_bare, "},
    {TTHEADER_FRAMED, "protocol: ttheader_framed, "},
};

static void start_service(const char *protocol, const char *keys)
{
	char service[300];

	snprintf(service, sizeof service, "%s%s", protocol, keys);
	start(.service = service, .endpoints = 1);
}

START_TEST(a_header_is_given_in_base_whatever_the_endpoint_speaks)
{
	static const enum sim_form forms[] = {TTHEADER, TTHEADER_FRAMED};

	for (size_t i = 0; i < ARRAY_LEN(targets) * ARRAY_LEN(forms); i++) {
		enum sim_form form = forms[i % 2], target = targets[i / 2].form;
		struct fake_end *caller, *app;

		start_service(targets[i / 2].protocol, BASE);
		caller = dial();
		say(caller, form, .seq = 7, .text = "x", .base = "", .keys = SAID);
		app = accepted();
		hear(app, target, .seq = 7, .text = "x", .base = GIVEN " " FOR_APP " !99 !3 !12");
		ck_assert_uint_eq(dropped(METADATA_INT), target == FRAMED || target == BUFFERED);
		say(app, target, .seq = 7, .text = "y", .base = "");
		hear(caller, form, .seq = 7, .text = "y", .base = "!@4");
		logged("reason=ok caller=cart");
		ck_assert_uint_eq(held_memory(), 0);
		sim_stop();
	}
}
END_TEST

START_TEST(a_header_is_given_in_an_argument_whatever_the_endpoint_speaks)
{
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct fake_end *caller, *app;

		start_service(targets[i].protocol, ARG);
		caller = dial();
		say(caller, TTHEADER, .seq = 7, .text = "x", .keys = SAID);
		app = accepted();
		hear(app, targets[i].form, .seq = 7, .text = "x", .map_id = 3,
		    .map = "stream-log-id=log7 source-service=cart source-method=Add "
			   "rip=192.0.2.1 RPC_PERSIST_LANE=gray own=1 " FOR_APP);
		say(app, targets[i].form, .seq = 7);
		hear(caller, TTHEADER, .seq = 7);
		sim_stop();
	}
}
END_TEST

START_TEST(callers_without_a_header_are_told_of_too)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED};

	for (size_t i = 0; i < ARRAY_LEN(targets) * 2; i++) {
		enum sim_form form = forms[i % 2], target = targets[i / 2].form;
		struct fake_end *caller, *app;

		start_service(targets[i / 2].protocol, "name: shop, " BASE);
		caller = dial();
		say(caller, form, .seq = 7, .text = "x", .base = "");
		app = accepted();
		hear(app, target, .seq = 7, .text = "x",
		    .base = "@1 @3=192.0.2.7:5555 @4=bridled !@2 destination-service=shop "
			    "destination-method=Echo");
		say(app, target, .seq = 7, .text = "y");
		hear(caller, form, .seq = 7, .text = "y");
		ck_assert_uint_eq(unedited(RPC_UNCARRIED_SHAPE), 0);
		sim_stop();
	}
}
END_TEST

START_TEST(a_base_that_is_there_is_filled_kept_or_replaced)
{
	static const struct {
		const char *merge, *base;
	} rows[] = {
	    {"fill", "@1=own @2=cart @4=bridled RPC_PERSIST_LANE=blue mine=1"},
	    {"keep", "@1=own !@2 !@4 RPC_PERSIST_LANE=blue mine=1 !destination-service"},
	    {"replace", "@1=log7 @2=cart @4=bridled RPC_PERSIST_LANE=gray mine=1"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake_end *caller;
		char service[100];

		snprintf(
		    service, sizeof service, "metadata: {type: base255, merge: %s}", rows[i].merge);
		start(.service = service);
		caller = dial();
		say(caller, TTHEADER, .seq = 7, .keys = SAID,
		    .base = "@1=own RPC_PERSIST_LANE=blue mine=1");
		hear(accepted(), TTHEADER, .seq = 7, .base = rows[i].base);
		ck_assert_uint_eq(unedited(RPC_UNCARRIED_KEPT), 0); /* nothing is wrong */
		sim_stop();
	}
}
END_TEST

START_TEST(a_body_that_is_not_understood_passes_as_it_came)
{
	struct fake_end *caller, *app;

	start(.service = BASE);
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .text = "no struct", .keys = SAID);
	app = accepted();
	hear(app, TTHEADER, .seq = 1, .text = "no struct");
	ck_assert_uint_eq(unedited(RPC_UNCARRIED_SHAPE), 1);
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	say(caller, KPB, .seq = 2, .text = "protobuf");
	hear(app, KPB, .seq = 2, .text = "protobuf");
	ck_assert_uint_eq(unedited(RPC_UNCARRIED_PAYLOAD), 1);
}
END_TEST

/* ---- long ones ---- */

static void say_pieces(struct fake_end *end, long from, long to, const struct sim_frame *f)
{
	for (long at = from; at < to; at += 30000)
		sim_say_part(end, at, at + 30000 < to ? at + 30000 : to, f);
}

START_TEST(a_short_body_may_come_byte_by_byte)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct sim_frame call = {
		    forms[i], .kind = CALL, .seq = 7, .fill = 60, .base = "mine=1"};
		struct fake_end *caller;
		size_t len;

		free(sim_frame_make(&call, &len));
		start(.service = BASE);
		caller = dial();
		for (size_t at = 0; at < len; at++)
			sim_say(caller, &call, at, at + 1);
		hear(accepted(), forms[i], .seq = 7, .text = "", .fill = 60,
		    .base = "mine=1 @4=bridled");
		sim_stop();
	}
}
END_TEST

START_TEST(a_long_body_is_held_until_it_is_whole)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct sim_frame call = {forms[i], .seq = 7, .fill = 300000, .base = ""};
		struct fake_end *caller, *app;

		start(.service = BASE);
		caller = dial();
		say_pieces(caller, 0, 300000, &call);
		no_connect();
		ck_assert_uint_gt(held_memory(), 290000);
		sim_say_part(caller, 300000, 0, &call);
		app = accepted();
		hear(app, forms[i], .seq = 7, .text = "", .fill = 300000, .base = "@4=bridled");
		say(app, forms[i], .seq = 7);
		hear(caller, forms[i], .seq = 7);
		ck_assert_uint_eq(held_memory(), 0);
		say(caller, forms[i], .seq = 8, .base = "");
		hear(app, forms[i], .seq = 8, .base = "@4=bridled");
		sim_stop();
	}
}
END_TEST

START_TEST(a_body_longer_than_retry_buffer_passes_in_pieces)
{
	static const enum sim_form forms[] = {FRAMED, TTHEADER, TTHEADER_FRAMED};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct sim_frame call = {forms[i], .seq = 7, .fill = 300000, .base = ""};
		struct fake_end *caller, *app;

		start(.service = BASE ", retry: {buffer: 100KiB}");
		caller = dial();
		say_pieces(caller, 0, 90000, &call);
		app = accepted();
		ck_assert_uint_gt(fake_received(app).len, 80000);
		say_pieces(caller, 90000, 300000, &call);
		sim_say_part(caller, 300000, 0, &call);
		hear(app, forms[i], .seq = 7, .text = "", .fill = 300000, .base = "!@4");
		ck_assert_uint_eq(unedited(RPC_UNCARRIED_LONG), 1);
		say(app, forms[i], .seq = 7);
		hear(caller, forms[i], .seq = 7);
		sim_stop();
	}
}
END_TEST

START_TEST(a_body_of_unknown_length_goes_on_in_pieces_when_it_gets_too_long)
{
	struct sim_frame call = {BUFFERED, .seq = 7, .fill = 300000, .base = ""};
	struct fake_end *caller, *app;

	start(.service = BASE ", retry: {buffer: 100KiB}");
	caller = dial();
	say_pieces(caller, 0, 90000, &call);
	no_connect();
	say_pieces(caller, 90000, 120000, &call);
	app = accepted();
	ck_assert_uint_gt(fake_received(app).len, 100000);
	say_pieces(caller, 120000, 300000, &call);
	sim_say_part(caller, 300000, 0, &call);
	hear(app, BUFFERED, .seq = 7, .text = "", .fill = 300000, .base = "!@4");
	ck_assert_uint_eq(unedited(RPC_UNCARRIED_LONG), 1);
	say(app, BUFFERED, .seq = 7);
	hear(caller, BUFFERED, .seq = 7);
	logged("reason=ok attempts=1");
	ck_assert_uint_eq(held_memory(), 0);
	say(caller, BUFFERED, .seq = 8, .base = "");
	hear(app, BUFFERED, .seq = 8, .base = "@4=bridled");
}
END_TEST

START_TEST(what_was_held_of_one_that_got_too_long_goes_to_the_next_endpoint)
{
	struct sim_frame call = {BUFFERED, .seq = 7, .fill = 300000, .base = ""};
	struct fake_end *caller, *app;

	start(.service = BASE ", retry: {buffer: 100KiB}", .endpoints = 2);
	fake_script(sim_loop(), FAKE_REFUSED, 1);
	caller = dial();
	say_pieces(caller, 0, 300000, &call);
	sim_say_part(caller, 300000, 0, &call);
	app = accepted();
	hear(app, BUFFERED, .seq = 7, .text = "", .fill = 300000, .base = "!@4");
	say(app, BUFFERED, .seq = 7);
	hear(caller, BUFFERED, .seq = 7);
	logged("reason=ok attempts=2");
}
END_TEST

START_TEST(one_that_got_too_long_may_break_off_behind)
{
	struct sim_frame call = {BUFFERED, .seq = 7, .fill = 300000, .base = ""};
	struct fake_end *caller, *app;

	start(.service = BASE ", retry: {buffer: 100KiB}");
	caller = dial();
	say_pieces(caller, 0, 150000, &call);
	app = accepted();
	reset(caller);
	ck_assert(!is_open(app));
	logged("reason=canceled");
	caller = dial();
	say_pieces(caller, 0, 150000, &call);
	app = accepted();
	reset(app);
	hear_failure(caller, REASON_RESET, BUFFERED, .seq = 7);
	say_pieces(caller, 150000, 300000, &call);
	sim_say_part(caller, 300000, 0, &call);
	logged("reason=reset attempts=1");
	ck_assert_uint_eq(held_memory(), 0);
	say(caller, BUFFERED, .seq = 8, .base = "");
	hear(accepted(), BUFFERED, .seq = 8, .base = "@4=bridled");
}
END_TEST

START_TEST(one_that_is_whole_in_any_case_may_be_too_long_all_the_same)
{
	struct sim_frame call = {BUFFERED, .seq = 7, .fill = 300000, .base = ""};
	struct fake_end *caller;

	start(.service = "protocol: framed, " BASE ", retry: {buffer: 100KiB}");
	caller = dial();
	say_pieces(caller, 0, 300000, &call);
	no_connect();
	sim_say_part(caller, 300000, 0, &call);
	hear(accepted(), FRAMED, .seq = 7, .text = "", .fill = 300000, .base = "!@4");
	ck_assert_uint_eq(unedited(RPC_UNCARRIED_LONG), 1);
}
END_TEST

START_TEST(a_held_call_may_be_cut_off)
{
	struct sim_frame call = {FRAMED, .seq = 7, .fill = 300000, .base = ""};
	struct fake_end *caller;

	start(.service = BASE);
	caller = dial();
	say_pieces(caller, 0, 200000, &call);
	half_close(caller);
	hear_failure(caller, REASON_CANCELED, FRAMED, .seq = 7);
	logged("reason=canceled attempts=0");
	caller = dial();
	say_pieces(caller, 0, 200000, &call);
	reset(caller);
	logged("reason=canceled attempts=0");
	no_connect();
	ck_assert_uint_eq(held_memory(), 0);
}
END_TEST

START_TEST(a_held_call_has_its_time)
{
	struct sim_frame call = {TTHEADER, .seq = 7, .fill = 300000, .base = "", .keys = "12=100"};
	struct fake_end *caller;

	start(.service = BASE ", timeout: {margin: 1ms}");
	caller = dial();
	say_pieces(caller, 0, 200000, &call);
	pass(98);
	hear_nothing(caller);
	pass(2);
	hear_failure(caller, REASON_CALLER_DEADLINE, TTHEADER, .seq = 7);
	say_pieces(caller, 200000, 300000, &call);
	sim_say_part(caller, 300000, 0, &call);
	logged("reason=caller_deadline attempts=0");
	no_connect();
	ck_assert_uint_eq(held_memory(), 0);
}
END_TEST

START_TEST(without_memory_a_long_call_fails_and_a_short_one_passes)
{
	struct sim_frame hog = {FRAMED, .seq = 1, .fill = 1040000, .base = ""};
	struct sim_frame more = {FRAMED, .seq = 2, .fill = 100000, .base = ""};
	struct fake_end *first, *second, *app;
	char keys[3000] = "";
	size_t len = 0;

	for (int i = 0; i < 200; i++)
		len += (size_t)snprintf(keys + len, sizeof keys - len, "K%03d=v ", i);
	start(.service = BASE, .top = "limits: {memory: 1MiB}");
	first = dial();
	say_pieces(first, 0, 1020000, &hog);
	no_connect();
	second = dial();
	sim_say_part(second, 0, 90000, &more);
	hear_failure(second, REASON_OVERLOAD, FRAMED, .seq = 2);
	sim_say_part(second, 90000, 0, &more);
	logged("reason=overload attempts=0");
	say(second, TTHEADER, .seq = 3, .base = "", .keys = keys);
	app = accepted();
	hear(app, TTHEADER, .seq = 3, .base = "!@4");
	ck_assert_uint_eq(unedited(RPC_UNCARRIED_SIZE), 1);
	say(app, TTHEADER, .seq = 3);
	hear(second, TTHEADER, .seq = 3);
	logged("reason=ok");
	say(second, TTHEADER, .seq = 4, .base = ""); /* what is small needs none */
	hear(app, TTHEADER, .seq = 4, .base = "@4=bridled");
}
END_TEST

START_TEST(oneways_are_edited_too)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED, TTHEADER};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct sim_frame call = {
		    forms[i], .kind = ONEWAY, .seq = 7, .fill = 200000, .base = ""};
		struct fake_end *caller, *app;

		start(.service = BASE);
		caller = dial();
		say(caller, forms[i], .kind = ONEWAY, .seq = 1, .text = "x", .base = "");
		app = accepted();
		hear(app, forms[i], .kind = ONEWAY, .seq = 1, .text = "x", .base = "@4=bridled");
		logged("reason=ok kind=oneway");
		say_pieces(caller, 0, 200000, &call);
		sim_say_part(caller, 200000, 0, &call);
		hang_up(caller);
		if (fake_received(app).len == 0)
			app = accepted();
		hear(app, forms[i], .kind = ONEWAY, .seq = 7, .fill = 200000, .base = "@4=bridled");
		logged("reason=ok kind=oneway");
		sim_stop();
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_header_is_given_in_base_whatever_the_endpoint_speaks,
	    a_header_is_given_in_an_argument_whatever_the_endpoint_speaks,
	    callers_without_a_header_are_told_of_too,
	    a_base_that_is_there_is_filled_kept_or_replaced,
	    a_body_that_is_not_understood_passes_as_it_came,
	    a_short_body_may_come_byte_by_byte,
	    a_long_body_is_held_until_it_is_whole,
	    a_body_longer_than_retry_buffer_passes_in_pieces,
	    a_body_of_unknown_length_goes_on_in_pieces_when_it_gets_too_long,
	    what_was_held_of_one_that_got_too_long_goes_to_the_next_endpoint,
	    one_that_got_too_long_may_break_off_behind,
	    one_that_is_whole_in_any_case_may_be_too_long_all_the_same,
	    a_held_call_may_be_cut_off,
	    a_held_call_has_its_time,
	    without_memory_a_long_call_fails_and_a_short_one_passes,
	    oneways_are_edited_too,
	};

	return sim_main("sim_carriage", tests, ARRAY_LEN(tests));
}
