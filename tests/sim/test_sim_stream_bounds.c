/*
 * Calls on connections of many that would never end by themselves, or grow without an end: each has
 * a time and a size. And what says twice who calls.
 */
#include "support/bytes.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define TO_GRPC "protocol: grpc, aliases: [shop.Price]"
#define THRIFT  "application/grpc+thrift"
#define STALL   "timeout: {write_stall: 1s}"
#define SMALL   "max_message: 10KiB"

static uint64_t memory(void)
{
	return atomic_load(&sim_worker()->shares->memory);
}

/* A gRPC call to a service that speaks framed Thrift; the endpoint's connection has heard it. */
static struct stream *call_thrift(struct stream_end *caller, struct fake_end **app)
{
	struct stream *call = begin(caller, .method = "Quote", .type = THRIFT, .message = "x",
	    .body = AS_THRIFT, .ends = true);

	*app = accepted();
	hear(*app, FRAMED, .seq = 1, .method = "Quote", .text = "x");
	return call;
}

/* ---- replies that are whole, and cannot leave ---- */

START_TEST(a_whole_reply_that_is_not_taken_is_given_up)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.listener = STALL);
	caller = dial_streams(GRPC, .window = 1000);
	call = begin(caller, .ends = true);
	hold(call);
	served = hear_call(accepted_streams(GRPC), .ends = true);
	answer(served, .fill = 5000);
	let_pass(999);
	logged_nothing();
	let_pass(2);
	logged("reason=timeout status=4");
	ck_assert_uint_eq(memory(), 0);
	call = begin(caller, .ends = true);
	hear_silence(call);
	give_up(call, H2_CANCEL);
}
END_TEST

START_TEST(a_stated_time_ends_a_whole_reply_that_is_not_taken)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start(.listener = STALL);
	caller = dial_streams(GRPC, .window = 1000);
	call = begin(caller, .keys = "grpc-timeout=500m", .ends = true);
	hold(call);
	served = hear_call(accepted_streams(GRPC), .ends = true);
	answer(served, .fill = 5000);
	let_pass(505);
	logged("reason=caller_deadline");
}
END_TEST

START_TEST(a_reply_that_became_grpc_and_is_not_taken_is_given_up)
{
	struct stream_end *caller;
	struct stream *call;
	struct fake_end *app;

	start(.service = "protocol: framed", .listener = STALL);
	caller = dial_streams(GRPC, .window = 100);
	call = call_thrift(caller, &app);
	hold(call);
	say(app, FRAMED, .seq = 1, .method = "Quote", .fill = 5000);
	let_pass(1000);
	logged("reason=timeout");
	ck_assert_uint_eq(memory(), 0);
}
END_TEST

/* ---- calls and replies that do not become whole ---- */

START_TEST(a_reply_that_stops_within_itself_has_the_time_of_its_call)
{
	struct stream_end *caller;
	struct stream *call;
	struct fake_end *app;

	start(.service = "protocol: framed, timeout: {call: 1s}");
	caller = dial_streams(GRPC);
	call = call_thrift(caller, &app);
	say_part(app, 0, 100000, FRAMED, .seq = 1, .method = "Quote", .fill = 200000);
	let_pass(999);
	hear_silence(call);
	let_pass(1);
	hear_refusal(call, REASON_TIMEOUT);
	logged("reason=timeout");
	ck_assert(!is_open(app));
}
END_TEST

START_TEST(a_reply_that_becomes_grpc_has_the_time_of_its_call_and_no_more)
{
	struct stream_end *caller;
	struct stream *call;
	struct fake_end *app;

	start(.service = "protocol: framed, timeout: {call: 1s}");
	caller = dial_streams(GRPC, .window = 1000);
	call = call_thrift(caller, &app);
	hold(call);
	say(app, FRAMED, .seq = 1, .method = "Quote", .fill = 5000);
	let_pass(5000);
	release(call);
	hear_answer(call, .type = THRIFT, .fill = 5000, .body = AS_THRIFT);
	logged("reason=ok");
}
END_TEST

START_TEST(a_call_that_is_collected_has_the_time_of_a_message)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "protocol: framed", .listener = "timeout: {message: 2s}");
	caller = dial_streams(GRPC);
	call = begin(caller, .method = "Quote", .type = THRIFT, .message = "x", .body = AS_THRIFT);
	let_pass(1999);
	hear_silence(call);
	let_pass(1);
	hear_refusal(call, REASON_TIMEOUT);
	hear_done(call);
	no_connect();
	logged("reason=timeout attempts=0 detail~timeout.message");
}
END_TEST

/* ---- more than there may be ---- */

START_TEST(messages_without_an_end_are_not_collected)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "protocol: framed", .listener = SMALL);
	caller = dial_streams(GRPC);
	call = begin(caller, .method = "Quote", .type = THRIFT);
	speak(call, .fill = 5000, .times = 2);
	hear_silence(call);
	speak(call, .fill = 5000, .times = 1000);
	hear_refusal(call, REASON_TOO_LARGE);
	hear_done(call);
	ck_assert_uint_eq(memory(), 0);
	logged("reason=too_large attempts=0");
}
END_TEST

START_TEST(a_call_as_long_as_it_may_be_is_collected)
{
	struct stream_end *caller;
	struct fake_end *app;

	start(.service = "protocol: framed", .listener = SMALL);
	caller = dial_streams(GRPC);
	begin(caller, .method = "Quote", .type = THRIFT, .fill = 10 * 1024 - 8, .body = AS_THRIFT,
	    .ends = true);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .method = "Quote", .fill = 10 * 1024 - 8);
}
END_TEST

START_TEST(replies_without_an_end_are_not_collected)
{
	struct fake_end *caller;
	struct stream *served;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .method = "Quote", .text = "x");
	served = hear_call(accepted_streams(GRPC), .method = "Quote");
	head(served, .type = THRIFT, .fill = 1 << 20, .times = 80);
	hear_failure(caller, REASON_BAD_REPLY, .seq = 7, .method = "Quote");
	ck_assert_uint_eq(memory(), 0);
	logged("reason=bad_reply detail~max_message");
}
END_TEST

START_TEST(a_reply_for_which_memory_is_gone_is_told_to_a_grpc_caller)
{
	struct stream_end *caller;
	struct stream *call;
	struct fake_end *app;

	start(.service = "protocol: framed", .top = "limits: {memory: 1MiB}");
	caller = dial_streams(GRPC);
	call = call_thrift(caller, &app);
	say_part(app, 0, 2000000, FRAMED, .seq = 1, .method = "Quote", .fill = 3000000);
	hear_refusal(call, REASON_OVERLOAD);
	logged("reason=overload");
	ck_assert_uint_eq(memory(), 0);
}
END_TEST

/* "x-a=aaaa...", of so many bytes. */
static const char *long_key(char *room, size_t size)
{
	memset(room, 'a', size - 1);
	room[size - 1] = '\0';
	memcpy(room, "x-a=", 4);
	return room;
}

START_TEST(heads_of_calls_count_against_the_memory)
{
	static char room[30000];
	struct stream_end *caller, *app;
	struct stream *calls[40], *served[40];
	int n = 0;

	start(.top = "limits: {memory: 1MiB}");
	caller = dial_streams(GRPC);
	calls[0] = begin(caller, .keys = long_key(room, sizeof room));
	app = accepted_streams(GRPC);
	while ((served[n] = stream_next_call(app)) && n < 39)
		calls[++n] = begin(caller, .keys = room);
	ck_assert_int_gt(n, 20);
	ck_assert_int_lt(n, 39);
	hear_refusal(calls[n], REASON_OVERLOAD);
	logged("reason=overload attempts=0 detail~limits.memory");
	ck_assert_uint_gt(memory(), 600000);
	for (int i = 0; i < n; i++)
		answer(served[i]);
	ck_assert_uint_eq(memory(), 0);
	sim_stop_quietly();
}
END_TEST

START_TEST(trailers_of_calls_count_against_the_memory)
{
	static char room[30000];
	struct stream_end *caller, *app;
	struct stream *calls[40], *served[40];
	int n = 0;

	start(.top = "limits: {memory: 1MiB}");
	caller = dial_streams(_i);
	for (int i = 0; i < 40; i++)
		calls[i] = begin(caller);
	app = accepted_streams(_i);
	for (int i = 0; i < 40; i++)
		served[i] = hear_call(app);
	head(served[39]);
	hear_head(calls[39]);
	long_key(room, sizeof room);
	do
		finish(calls[n], .keys = room);
	while (sim_lines() == 0 && ++n < 39);
	ck_assert_int_gt(n, 20);
	ck_assert_int_lt(n, 39);
	hear_refusal(calls[n], REASON_OVERLOAD);
	hear_given_up(served[n], REASON_CANCELED);
	finish(calls[39], .keys = room);
	hear_refusal(calls[39], REASON_OVERLOAD);
	logged("reason=overload detail~limits.memory");
	logged("reason=overload");
	for (int i = 0; i < n; i++)
		answer(served[i]);
	ck_assert_uint_eq(memory(), 0);
	sim_stop_quietly();
}
END_TEST

/* ---- endpoints that lie ---- */

START_TEST(a_call_that_was_answered_is_not_sent_again)
{
	struct fake_end *caller;
	struct stream *served;

	start(.service = TO_GRPC, .endpoints = 2);
	caller = dial();
	say(caller, FRAMED, .seq = 7, .method = "Quote", .fill = 3000);
	served = hear_call(accepted_streams(GRPC), .method = "Quote");
	head(served, .type = THRIFT, .message = "reply", .body = AS_THRIFT);
	give_up(served, H2_REFUSED);
	no_connect();
	hear_failure(caller, REASON_RESET, .seq = 7, .method = "Quote");
	logged("reason=reset attempts=1");
}
END_TEST

START_TEST(an_early_reply_ends_a_call_that_could_not_leave)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller);
	served = hear_call(accepted_streams(GRPC, .window = 1000));
	hold(served);
	speak(call, .fill = 20000, .ends = true);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	hear_reset(served, H2_NO_ERROR);
	logged("reason=ok");
	ck_assert_uint_eq(memory(), 0);
}
END_TEST

/* ---- two names ---- */

START_TEST(a_second_name_of_the_caller_is_not_passed_on)
{
	static const struct {
		const char *said, *heard;
	} cases[FAMILIES] = {
	    {"source-service=sidecar source-service=admin",
		"source-service=sidecar !source-service=admin"},
	    {"3=admin 3=sidecar", "3=sidecar !3=admin"},
	};
	struct stream_end *caller;

	start(.listener = "caller: node");
	caller = dial_streams(_i);
	begin(caller, .keys = cases[_i].said, .ends = true);
	hear_call(accepted_streams(_i), .keys = cases[_i].heard);
}
END_TEST

START_TEST(a_second_name_in_a_header_is_not_passed_on)
{
	struct fake_end *caller;

	start(.listener = "caller: node");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .text = "x", .keys = "3=admin 3=sidecar");
	hear(accepted(), TTHEADER, .seq = 1, .text = "x", .keys = "3=sidecar !3=admin");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_whole_reply_that_is_not_taken_is_given_up, 1},
	    {a_stated_time_ends_a_whole_reply_that_is_not_taken, 1},
	    {a_reply_that_became_grpc_and_is_not_taken_is_given_up, 1},
	    {a_reply_that_stops_within_itself_has_the_time_of_its_call, 1},
	    {a_reply_that_becomes_grpc_has_the_time_of_its_call_and_no_more, 1},
	    {a_call_that_is_collected_has_the_time_of_a_message, 1},
	    {messages_without_an_end_are_not_collected, 1},
	    {a_call_as_long_as_it_may_be_is_collected, 1},
	    {replies_without_an_end_are_not_collected, 1},
	    {a_reply_for_which_memory_is_gone_is_told_to_a_grpc_caller, 1},
	    {heads_of_calls_count_against_the_memory, 1},
	    {trailers_of_calls_count_against_the_memory, 1},
	    {a_call_that_was_answered_is_not_sent_again, 1},
	    {an_early_reply_ends_a_call_that_could_not_leave, 1},
	    {a_second_name_of_the_caller_is_not_passed_on, FAMILIES},
	    {a_second_name_in_a_header_is_not_passed_on, 1},
	};

	return stream_main("sim_stream_bounds", tests, ARRAY_LEN(tests));
}
