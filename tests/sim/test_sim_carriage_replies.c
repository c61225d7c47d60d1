/* Business errors that the bodies of replies tell of. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define BASE       "metadata: base255"
#define ANY_ORDER  1u
#define IDEMPOTENT "methods: {'*': {idempotent: true}}, "
#define POOR       "@1=poor @2=4001 K=v"

START_TEST(callers_with_a_header_are_told_of_it_there)
{
	static const struct {
		enum sim_form form;
		const char *protocol;
	} targets[] = {
	    {FRAMED, "protocol: framed, "},
	    {BUFFERED, "protocol: buffered, "},
	    {TTHEADER, "protocol: ttheader_bare, "},
	};
	static const enum sim_form forms[] = {TTHEADER, TTHEADER_FRAMED};

	for (size_t i = 0; i < ARRAY_LEN(targets) * ARRAY_LEN(forms); i++) {
		enum sim_form form = forms[i % 2], target = targets[i / 2].form;
		struct fake_end *caller, *app;
		char service[100];

		snprintf(service, sizeof service, "%s" BASE, targets[i / 2].protocol);
		start(.service = service);
		caller = dial();
		say(caller, form, .seq = 7, .base = "");
		app = accepted();
		hear(app, target, .seq = 7);
		say(app, target, .seq = 7, .text = "y", .base = POOR);
		hear(caller, form, .seq = 7, .text = "y", .base = POOR,
		    .keys = "biz-status=4001 biz-message=poor biz-extra={\"K\":\"v\"}");
		logged("reason=biz_error biz_status=4001 status=0 attempts=1");
		ck_assert_uint_eq(attempts(ATTEMPT_OK), 1); /* and no fault of the endpoint's */
		ck_assert(is_open(app));
		sim_stop();
	}
}
END_TEST

START_TEST(callers_without_a_header_get_the_reply_as_it_is)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED};

	for (size_t i = 0; i < 4; i++) {
		struct fake_end *caller, *app;

		start(.service = i < 2 ? "protocol: framed, " BASE : "protocol: ttheader, " BASE);
		caller = dial();
		say(caller, forms[i % 2], .seq = 7, .base = "");
		app = accepted();
		hear(app, i < 2 ? FRAMED : TTHEADER_FRAMED, .seq = 7);
		say(app, i < 2 ? FRAMED : TTHEADER_FRAMED, .seq = 7, .text = "y", .base = POOR);
		hear(caller, forms[i % 2], .kind = REPLY, .seq = 7, .text = "y", .base = POOR);
		logged("reason=biz_error biz_status=4001 status=0");
		sim_stop();
	}
}
END_TEST

START_TEST(what_the_header_says_stays)
{
	struct fake_end *caller, *app;

	start(.service = BASE);
	caller = dial();
	say(caller, TTHEADER, .seq = 7, .base = "");
	app = accepted();
	hear(app, TTHEADER, .seq = 7);
	say(app, TTHEADER, .seq = 7, .base = POOR, .keys = "biz-status=17 biz-message=own");
	hear(caller, TTHEADER, .seq = 7, .base = POOR,
	    .keys = "biz-status=17 biz-message=own !biz-extra");
	logged("reason=biz_error biz_status=17");
}
END_TEST

START_TEST(a_code_of_zero_is_no_error)
{
	struct fake_end *caller, *app;

	start(.service = BASE ", protocol: framed");
	caller = dial();
	say(caller, TTHEADER, .seq = 7, .base = "");
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	say(app, FRAMED, .seq = 7, .base = "@1=fine @2=0 K=v");
	hear(caller, TTHEADER, .seq = 7, .base = "@1=fine @2=0", .keys = "!biz-status !biz-extra");
	logged("reason=ok");
}
END_TEST

START_TEST(replies_of_services_without_base_are_not_read)
{
	static const char *const services[] = {"protocol: framed",
	    "protocol: framed, metadata: 'argfield:3'", "protocol: framed, metadata: drop"};

	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		struct fake_end *caller, *app;

		start(.service = services[i]);
		caller = dial();
		say(caller, TTHEADER, .seq = 7, .base = "");
		app = accepted();
		hear(app, FRAMED, .seq = 7);
		say(app, FRAMED, .seq = 7, .base = POOR);
		hear(caller, TTHEADER, .seq = 7, .base = POOR, .keys = "!biz-status");
		logged("reason=ok");
		sim_stop();
	}
}
END_TEST

START_TEST(an_exception_is_one)
{
	struct fake_end *caller, *app;

	start(.service = BASE ", protocol: framed");
	caller = dial();
	say(caller, TTHEADER, .seq = 7, .base = "");
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	say(app, FRAMED, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "broken");
	hear(caller, TTHEADER, .kind = EXCEPTION, .seq = 7, .id = 6, .text = "broken",
	    .keys = "!biz-status");
	logged("reason=app_exception status=6");
}
END_TEST

START_TEST(a_short_reply_may_come_in_pieces)
{
	struct sim_frame reply = {BUFFERED, .kind = REPLY, .seq = 7, .fill = 60, .base = POOR};
	struct fake_end *caller, *app;
	size_t len;

	free(sim_frame_make(&reply, &len));
	start(.service = BASE ", protocol: buffered");
	caller = dial();
	say(caller, TTHEADER, .seq = 7, .base = "");
	app = accepted();
	hear(app, BUFFERED, .seq = 7);
	for (size_t at = 0; at < len; at++)
		sim_say(app, &reply, at, at + 1);
	hear(caller, TTHEADER, .seq = 7, .text = "", .fill = 60, .base = POOR,
	    .keys = "biz-status=4001");
	logged("reason=biz_error");
}
END_TEST

START_TEST(a_long_reply_passes_before_it_can_be_read)
{
	struct sim_frame reply = {FRAMED, .seq = 7, .fill = 200000, .base = POOR};
	struct fake_end *caller, *app;

	start(.service = BASE ", protocol: framed");
	caller = dial();
	say(caller, TTHEADER, .seq = 7, .base = "");
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	sim_say_part(app, 0, 100000, &reply);
	ck_assert_uint_gt(fake_received(caller).len, 90000);
	sim_say_part(app, 100000, 0, &reply);
	hear(caller, TTHEADER, .seq = 7, .text = "", .fill = 200000, .base = POOR,
	    .keys = "!biz-status");
	logged("reason=ok");
	ck_assert(is_open(app));
}
END_TEST

START_TEST(a_long_reply_that_is_held_in_any_case_is_read)
{
	struct sim_frame reply = {BUFFERED, .seq = 7, .fill = 200000, .base = POOR};
	struct fake_end *caller, *app;

	start(.service = BASE ", protocol: buffered");
	caller = dial();
	say(caller, TTHEADER, .seq = 7, .base = "");
	app = accepted();
	hear(app, BUFFERED, .seq = 7);
	sim_say_part(app, 0, 100000, &reply);
	hear_nothing(caller);
	sim_say_part(app, 100000, 0, &reply);
	hear(caller, TTHEADER, .seq = 7, .text = "", .fill = 200000, .base = POOR,
	    .keys = "biz-status=4001 biz-message=poor");
	logged("reason=biz_error biz_status=4001");
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(a_code_that_the_policy_names_is_tried_again)
{
	static const enum sim_form forms[] = {TTHEADER, FRAMED};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct fake_end *caller, *app;

		start(.endpoints = 2,
		    .service = IDEMPOTENT BASE ", protocol: framed, retry: {on: ['biz:7,4001']}");
		caller = dial();
		say(caller, forms[i], .seq = 7, .text = "x", .base = "");
		app = accepted();
		hear(app, FRAMED, .seq = 7, .base = "!RPC_PERSIST_RetryReq");
		say(app, FRAMED, .seq = 7, .base = POOR);
		ck_assert(is_open(app));
		app = accepted();
		hear(app, FRAMED, .seq = 7, .text = "x", .base = "RPC_PERSIST_RetryReq=1");
		say(app, FRAMED, .seq = 7, .text = "good", .base = "@2=0");
		hear(caller, forms[i], .seq = 7, .text = "good", .keys = "!biz-status");
		logged("reason=ok attempts=2");
		sim_stop();
	}
}
END_TEST

START_TEST(another_code_is_an_answer)
{
	struct fake_end *caller, *app;

	start(.endpoints = 2,
	    .service = IDEMPOTENT BASE ", protocol: framed, retry: {on: ['biz:7']}");
	caller = dial();
	say(caller, TTHEADER, .seq = 7, .base = "");
	app = accepted();
	hear(app, FRAMED, .seq = 7);
	say(app, FRAMED, .seq = 7, .base = POOR);
	hear(caller, TTHEADER, .seq = 7, .keys = "biz-status=4001");
	logged("reason=biz_error attempts=1");
}
END_TEST

START_TEST(the_first_error_is_given_when_nothing_better_comes)
{
	static const enum sim_form forms[] = {TTHEADER, FRAMED};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct fake_end *caller, *app;

		start(.endpoints = 2, .service = IDEMPOTENT BASE
				      ", protocol: framed, retry: {on: ['biz:4001'], attempts: 1}");
		caller = dial();
		say(caller, forms[i], .seq = 7, .base = "");
		app = accepted();
		hear(app, FRAMED, .seq = 7);
		say(app, FRAMED, .seq = 7, .text = "first", .base = POOR);
		app = accepted();
		hear(app, FRAMED, .seq = 7);
		reset(app);
		hear(caller, forms[i], .kind = REPLY, .seq = 7, .text = "first", .base = POOR,
		    .keys = forms[i] == TTHEADER
				? "biz-status=4001 biz-message=poor biz-extra={\"K\":\"v\"}"
				: NULL);
		logged("reason=biz_error biz_status=4001 attempts=2");
		sim_stop();
	}
}
END_TEST

START_TEST(a_good_answer_of_a_backup_is_better)
{
	struct fake_end *caller, *first, *second;

	start(.endpoints = 2,
	    .service = IDEMPOTENT BASE
	    ", protocol: framed, retry: {type: backup, delay: 10ms, on: ['biz:4001']}");
	caller = dial();
	say(caller, TTHEADER, .seq = 7, .base = "");
	first = accepted();
	hear(first, FRAMED, .seq = 7);
	pass(11);
	second = accepted();
	hear(second, FRAMED, .seq = 7);
	say(first, FRAMED, .seq = 7, .text = "bad", .base = POOR);
	hear_nothing(caller);
	say(second, FRAMED, .seq = 7, .text = "good", .base = "@2=0");
	hear(caller, TTHEADER, .seq = 7, .text = "good", .keys = "!biz-status");
	logged("reason=ok attempts=2");
}
END_TEST

START_TEST(a_reply_that_waits_for_its_turn_keeps_it)
{
	struct fake_end *caller, *app, *other;

	start(.endpoints = 2, .service = BASE ", protocol: framed");
	caller = dial();
	say(caller, TTHEADER, .flags = ANY_ORDER, .seq = 1, .text = "a", .base = "");
	app = accepted();
	hear(app, FRAMED, .seq = 1, .text = "a");
	say(caller, TTHEADER, .flags = ANY_ORDER, .seq = 2, .text = "b", .base = "");
	other = accepted();
	hear(other, FRAMED, .seq = 2, .text = "b");
	say_part(app, 0, 100000, FRAMED, .seq = 1, .fill = 200000);
	say(other, FRAMED, .seq = 2, .text = "short", .base = POOR);
	hang_up(other);
	say_part(app, 100000, 0, FRAMED, .seq = 1, .fill = 200000);
	hear(caller, TTHEADER, .seq = 1, .text = "", .fill = 200000);
	hear(caller, TTHEADER, .seq = 2, .text = "short", .base = POOR,
	    .keys = "biz-status=4001 biz-message=poor biz-extra={\"K\":\"v\"}");
	logged("reason=ok");
	logged("reason=biz_error biz_status=4001");
}
END_TEST

START_TEST(callers_of_grpc_get_the_reply_as_it_is)
{
	struct fake_end *app;
	struct stream *said;

	start(.service = "protocol: framed, " BASE);
	said = begin(dial_streams(GRPC), .method = "Quote", .type = "application/grpc+thrift",
	    .message = "x", .body = AS_THRIFT, .ends = true);
	app = accepted();
	hear(app, FRAMED, .method = "Quote", .seq = 1, .text = "x");
	say(app, FRAMED, .method = "Quote", .seq = 1, .text = "y", .base = POOR);
	hear_head(said, .type = "application/grpc+thrift");
	stream_next_event(said); /* the message is that of the endpoint */
	hear_last(said, .status = 0, .keys = "!biz-status");
	logged("reason=biz_error biz_status=4001");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    callers_with_a_header_are_told_of_it_there,
	    callers_without_a_header_get_the_reply_as_it_is,
	    what_the_header_says_stays,
	    a_code_of_zero_is_no_error,
	    replies_of_services_without_base_are_not_read,
	    an_exception_is_one,
	    a_short_reply_may_come_in_pieces,
	    a_long_reply_passes_before_it_can_be_read,
	    a_long_reply_that_is_held_in_any_case_is_read,
	    a_code_that_the_policy_names_is_tried_again,
	    another_code_is_an_answer,
	    the_first_error_is_given_when_nothing_better_comes,
	    a_good_answer_of_a_backup_is_better,
	    a_reply_that_waits_for_its_turn_keeps_it,
	    callers_of_grpc_get_the_reply_as_it_is,
	};

	return sim_main("sim_carriage_replies", tests, ARRAY_LEN(tests));
}
