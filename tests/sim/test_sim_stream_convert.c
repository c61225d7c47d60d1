/* Unary calls between gRPC and the protocols of Kitex: what becomes of calls, replies and
 * failures. */
#include "support/bytes.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define TO_GRPC "protocol: grpc, aliases: [shop.Price]"
#define THRIFT  "application/grpc+thrift"

/* ---- callers of Kitex's protocols in front of gRPC ---- */

START_TEST(a_thrift_call_becomes_a_grpc_call)
{
	static const enum sim_form forms[] = {FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED};
	struct fake_end *caller;
	struct stream *served;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, forms[_i], .seq = 7, .method = "Quote", .text = "x");
	served = hear_call(accepted_streams(GRPC), .method = "Quote", .authority = "app",
	    .type = THRIFT, .message = "x", .body = AS_THRIFT, .ends = true);
	answer(served, .type = THRIFT, .message = "y", .body = AS_THRIFT);
	hear(caller, forms[_i], .seq = 7, .method = "Quote", .text = "y");
	logged("reason=ok status=0 attempts=1 kind=call");
	say(caller, forms[_i], .seq = 8, .method = "Quote", .text = "again");
	no_connect();
}
END_TEST

START_TEST(a_protobuf_call_becomes_a_grpc_call)
{
	static const enum sim_form forms[] = {KPB, KPB_TTHEADER};
	struct fake_end *caller;
	struct stream *served;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, forms[_i], .seq = 7, .method = "Quote", .text = "x");
	served = hear_call(
	    accepted_streams(GRPC), .method = "Quote", .message = "x", .body = AS_PB, .ends = true);
	answer(served, .message = "y", .body = AS_PB);
	hear(caller, forms[_i], .seq = 7, .method = "Quote", .text = "y");
	logged("reason=ok");
}
END_TEST

START_TEST(what_a_header_says_stands_in_fields)
{
	struct fake_end *caller;
	struct stream *served;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 1, .method = "Quote",
	    .keys = "2=log7 3=cart 12=100 99=odd isn=shop.Price RPC_PERSIST_LANE=gray own=1");
	served = hear_call(accepted_streams(GRPC), .method = "Quote",
	    .keys = "source-service=cart stream-log-id=log7 grpc-timeout=100000u "
		    "rpc-persist-lane=gray own=1 te=trailers !isn !99");
	head(served, .keys = "rpc-backward-k=v", .type = THRIFT, .message = "y", .body = AS_THRIFT);
	finish(served, .keys = "rpc-backward-l=w");
	hear(caller, TTHEADER_FRAMED, .seq = 1, .method = "Quote", .text = "y",
	    .keys = "K=v L=w !grpc-status !content-type");
	ck_assert_uint_eq(dropped(METADATA_INT), 1);
}
END_TEST

START_TEST(a_status_becomes_an_exception)
{
	static const struct {
		int status, id;
	} cases[] = {{5, 6}, {12, 1}, {14, 6}, {404404, 6}};
	struct fake_end *caller;
	struct stream_end *app;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .method = "Quote");
	app = accepted_streams(GRPC);
	refuse(hear_call(app), .status = cases[_i].status, .text = "not%20here");
	hear(caller, FRAMED, .kind = EXCEPTION, .seq = 1, .method = "Quote", .id = cases[_i].id,
	    .text = "not here");
	logged("reason=app_exception");
	say(caller, FRAMED, .seq = 2, .method = "Quote");
	head(hear_call(app), .type = THRIFT);
	ck_assert(is_open(caller));
}
END_TEST

START_TEST(a_status_behind_a_message_is_an_exception_too)
{
	struct fake_end *caller;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .method = "Quote");
	answer(hear_call(accepted_streams(GRPC)), .type = THRIFT, .message = "y", .body = AS_THRIFT,
	    .status = 13, .text = "broken");
	hear(caller, FRAMED, .kind = EXCEPTION, .seq = 1, .method = "Quote", .id = 6,
	    .text = "broken");
	logged("reason=app_exception");
}
END_TEST

START_TEST(a_business_error_stays_one_where_it_can)
{
	struct fake_end *a, *b;
	struct stream_end *app;

	start(.service = TO_GRPC);
	a = dial();
	b = dial();
	say(a, TTHEADER_FRAMED, .seq = 1, .method = "Quote");
	say(b, FRAMED, .seq = 2, .method = "Quote");
	app = accepted_streams(GRPC);
	refuse(hear_call(app), .status = 13, .text = "poor", .keys = "biz-status=1001");
	refuse(hear_call(app), .status = 13, .text = "poor", .keys = "biz-status=1001");
	hear(a, TTHEADER_FRAMED, .seq = 1, .method = "Quote",
	    .keys = "biz-status=1001 biz-message=poor");
	hear(b, FRAMED, .kind = EXCEPTION, .seq = 2, .method = "Quote", .id = 6, .text = "poor");
	logged("reason=biz_error biz_status=1001");
	logged("reason=biz_error biz_status=1001 status=6");
}
END_TEST

START_TEST(a_reply_of_several_messages_is_a_bad_one)
{
	struct fake_end *caller;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .method = "Quote");
	answer(hear_call(accepted_streams(GRPC)), .type = THRIFT, .message = "y", .body = AS_THRIFT,
	    .times = 2);
	hear_failure(caller, REASON_BAD_REPLY, FRAMED, .seq = 1, .method = "Quote");
	logged("reason=bad_reply");
}
END_TEST

START_TEST(a_reply_without_a_message_is_a_bad_one)
{
	struct fake_end *caller;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .method = "Quote");
	answer(hear_call(accepted_streams(GRPC)), .type = THRIFT);
	hear_failure(caller, REASON_BAD_REPLY, FRAMED, .seq = 1, .method = "Quote");
}
END_TEST

START_TEST(a_reply_without_trailers_is_a_bad_one)
{
	struct fake_end *caller;
	struct stream *served;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .method = "Quote");
	served = hear_call(accepted_streams(GRPC));
	head(served, .type = THRIFT, .message = "y", .body = AS_THRIFT);
	finish_bare(served);
	hear_failure(caller, REASON_BAD_REPLY, FRAMED, .seq = 1, .method = "Quote");
	logged("reason=bad_reply");
}
END_TEST

START_TEST(a_oneway_has_no_place_in_grpc)
{
	struct fake_end *caller;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1, .method = "Quote");
	hear_nothing(caller);
	logged("reason=no_conversion attempts=0 kind=oneway");
	no_connect();
}
END_TEST

START_TEST(a_call_without_an_idl_service_has_no_path)
{
	struct fake_end *caller;

	start(.service = "protocol: grpc");
	caller = dial();
	say(caller, FRAMED, .seq = 1, .method = "Quote");
	hear_failure(caller, REASON_NO_CONVERSION, FRAMED, .seq = 1, .method = "Quote");
	logged("reason=no_conversion detail~aliases attempts=0");
	say(caller, TTHEADER, .seq = 2, .method = "Quote", .keys = "isn=shop.Price");
	hear_call(accepted_streams(GRPC), .method = "Quote");
}
END_TEST

START_TEST(a_long_call_and_a_long_reply_become_whole_messages)
{
	struct fake_end *caller;
	struct stream *served;

	start(.service = TO_GRPC);
	caller = dial();
	say_part(caller, 0, 100000, FRAMED, .seq = 1, .method = "Quote", .fill = 300000);
	say_part(caller, 100000, 0, FRAMED, .seq = 1, .method = "Quote", .fill = 300000);
	served = hear_call(accepted_streams(GRPC), .fill = 300000, .body = AS_THRIFT, .ends = true);
	head(served, .type = THRIFT, .fill = 500000, .body = AS_THRIFT);
	hear_nothing(caller);
	finish(served);
	hear(caller, FRAMED, .seq = 1, .method = "Quote", .text = "", .fill = 500000);
	logged("reason=ok");
}
END_TEST

START_TEST(a_long_call_meets_windows_and_a_slow_endpoint)
{
	struct fake_end *caller;
	struct stream_end *app;
	struct stream *served;

	start(.service = TO_GRPC);
	caller = dial();
	say_part(caller, 0, 70000, FRAMED, .seq = 1, .method = "Quote", .fill = 3000000);
	app = accepted_streams(GRPC, .window = 1000);
	served = hear_call(app);
	hold(served);
	say_part(caller, 70000, 0, FRAMED, .seq = 1, .method = "Quote", .fill = 3000000);
	ck_assert_uint_gt(fake_unread(caller), 1000000);
	release(served);
	hear_message(served, .fill = 3000000, .body = AS_THRIFT);
	hear_last(served);
	answer(served, .type = THRIFT, .message = "y", .body = AS_THRIFT);
	hear(caller, FRAMED, .seq = 1, .method = "Quote", .text = "y");
}
END_TEST

START_TEST(a_reply_that_memory_has_no_room_for_is_refused)
{
	struct fake_end *caller;
	struct stream *served;

	start(.service = TO_GRPC, .top = "limits: {memory: 1MiB}");
	caller = dial();
	say(caller, FRAMED, .seq = 1, .method = "Quote", .text = "x");
	served = hear_call(accepted_streams(GRPC), .message = "x", .body = AS_THRIFT, .ends = true);
	answer(served, .type = THRIFT, .fill = 3000000, .body = AS_THRIFT);
	hear_failure(caller, REASON_OVERLOAD, FRAMED, .seq = 1, .method = "Quote");
	hear_given_up(served, REASON_CANCELED);
	logged("reason=overload");
}
END_TEST

START_TEST(failures_of_the_endpoint_are_told_as_exceptions)
{
	struct fake_end *caller;
	struct stream_end *app;

	start(.service = TO_GRPC ", timeout: {call: 100ms}");
	caller = dial();
	say(caller, FRAMED, .seq = 1, .method = "Quote");
	app = accepted_streams(GRPC);
	give_up(hear_call(app), 2);
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 1, .method = "Quote");
	logged("reason=reset attempts=1");
	say(caller, FRAMED, .seq = 2, .method = "Quote", .text = "slow");
	let_pass(100);
	hear_failure(caller, REASON_TIMEOUT, FRAMED, .seq = 2, .method = "Quote");
	hear_given_up(
	    hear_call(app, .message = "slow", .body = AS_THRIFT, .ends = true), REASON_TIMEOUT);
	logged("reason=timeout");
	say(caller, FRAMED, .seq = 3, .method = "Quote");
	reset(net_of(app));
	hear_failure(caller, REASON_RESET, FRAMED, .seq = 3, .method = "Quote");
	logged("reason=reset");
}
END_TEST

START_TEST(a_refused_call_is_saved_by_the_next_endpoint)
{
	struct fake_end *caller;

	start(.service = TO_GRPC, .endpoints = 2);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .method = "Quote", .text = "x");
	give_up(hear_call(accepted_streams(GRPC)), H2_REFUSED);
	answer(hear_call(accepted_streams(GRPC), .message = "x", .body = AS_THRIFT, .ends = true),
	    .type = THRIFT, .message = "y", .body = AS_THRIFT);
	hear(caller, FRAMED, .seq = 1, .method = "Quote", .text = "y");
	logged("reason=ok attempts=2");
}
END_TEST

START_TEST(a_call_refused_on_a_connection_in_use_is_saved_with_its_body)
{
	struct fake_end *caller;
	struct stream_end *app;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .method = "Quote", .text = "first");
	app = accepted_streams(GRPC);
	answer(hear_call(app), .type = THRIFT, .message = "y", .body = AS_THRIFT);
	hear(caller, FRAMED, .seq = 1, .method = "Quote", .text = "y");
	say(caller, FRAMED, .seq = 2, .method = "Quote", .fill = 50000);
	give_up(hear_call(app, .fill = 50000, .body = AS_THRIFT), H2_REFUSED);
	answer(hear_call(app, .fill = 50000, .body = AS_THRIFT, .ends = true), .type = THRIFT,
	    .message = "saved", .body = AS_THRIFT);
	hear(caller, FRAMED, .seq = 2, .method = "Quote", .text = "saved");
	logged("reason=ok attempts=1");
	logged("reason=ok attempts=2");
}
END_TEST

START_TEST(a_caller_that_is_gone_gives_its_grpc_call_up)
{
	struct fake_end *caller;
	struct stream *served;

	start(.service = TO_GRPC);
	caller = dial();
	say(caller, FRAMED, .seq = 1, .method = "Quote");
	served = hear_call(accepted_streams(GRPC), .fill = 0);
	hear_message(served);
	hear_last(served);
	reset(caller);
	hear_given_up(served, REASON_CANCELED);
	logged("reason=canceled");
}
END_TEST

/* ---- gRPC callers in front of Kitex's protocols ---- */

static struct stream *begin_thrift(struct stream_end *caller, const char *keys)
{
	return begin(
	    caller, .type = THRIFT, .message = "x", .body = AS_THRIFT, .keys = keys, .ends = true);
}

START_TEST(a_grpc_call_becomes_a_thrift_call)
{
	static const char *const services[] = {"protocol: framed", "protocol: buffered",
	    "protocol: ttheader", "protocol: ttheader_bare"};
	static const enum sim_form forms[] = {FRAMED, BUFFERED, TTHEADER_FRAMED, TTHEADER};
	struct stream_end *caller;
	struct fake_end *app;
	struct stream *call;

	start(.service = services[_i]);
	caller = dial_streams(GRPC);
	call = begin_thrift(caller, NULL);
	app = accepted();
	hear(app, forms[_i], .seq = 1, .method = "Quote", .text = "x");
	say(app, forms[_i], .seq = 1, .method = "Quote", .text = "y");
	hear_answer(call, .type = THRIFT, .message = "y", .body = AS_THRIFT);
	hear_silence(call);
	logged("reason=ok status=0 attempts=1 in=1 out=1 kind=call protocol=grpc");
	call = begin_thrift(caller, NULL);
	no_connect();
	hear(app, forms[_i], .seq = 1, .method = "Quote", .text = "x");
	give_up(call, H2_CANCEL);
}
END_TEST

START_TEST(a_grpc_call_becomes_a_protobuf_call)
{
	static const char *const services[] = {"protocol: framed", "protocol: ttheader_framed"};
	static const enum sim_form forms[] = {KPB, KPB_TTHEADER};
	struct stream_end *caller;
	struct fake_end *app;
	struct stream *call;

	start(.service = services[_i]);
	caller = dial_streams(GRPC);
	call = begin(caller, .message = "x", .body = AS_PB, .ends = true);
	app = accepted();
	hear(app, forms[_i], .seq = 1, .method = "Quote", .text = "x");
	say(app, forms[_i], .seq = 1, .method = "Quote", .text = "y");
	hear_answer(call, .message = "y", .body = AS_PB);
	logged("reason=ok");
}
END_TEST

START_TEST(calls_of_one_caller_run_at_once_on_connections_of_their_own)
{
	struct stream_end *caller;
	struct fake_end *one, *other;
	struct stream *a, *b;

	start(.service = "protocol: framed");
	caller = dial_streams(GRPC);
	a = begin_thrift(caller, NULL);
	b = begin_thrift(caller, NULL);
	one = accepted();
	other = accepted();
	hear(one, FRAMED, .seq = 1, .method = "Quote");
	hear(other, FRAMED, .seq = 1, .method = "Quote");
	say(other, FRAMED, .seq = 1, .method = "Quote", .text = "B");
	hear_answer(b, .message = "B", .body = AS_THRIFT);
	say(one, FRAMED, .seq = 1, .method = "Quote", .text = "A");
	hear_answer(a, .message = "A", .body = AS_THRIFT);
}
END_TEST

START_TEST(what_fields_say_stands_in_a_header)
{
	struct stream_end *caller;
	struct fake_end *app;
	struct stream *call;

	start(.service = "protocol: ttheader");
	caller = dial_streams(GRPC);
	call = begin_thrift(caller,
	    "source-service=cart stream-log-id=log7 grpc-timeout=100m rpc-persist-lane=gray own=1");
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 1, .method = "Quote", .text = "x",
	    .keys = "3=cart 2=log7 12=100 9=Quote isn=Price RPC_PERSIST_LANE=gray own=1");
	say(app, TTHEADER_FRAMED, .seq = 1, .method = "Quote", .text = "y", .keys = "back=v");
	hear_answer(
	    call, .type = THRIFT, .message = "y", .body = AS_THRIFT, .keys = "rpc-backward-back=v");
}
END_TEST

START_TEST(a_call_in_pieces_is_collected)
{
	struct stream_end *caller;
	struct fake_end *app;
	struct stream *call;

	start(.service = "protocol: framed");
	caller = dial_streams(GRPC);
	call = begin(caller, .type = THRIFT);
	speak_bytes(call, BYTES(0, 0, 0, 0, 9, 11, 0));
	let_pass(1000);
	no_connect();
	speak_bytes(call, BYTES(1, 0, 0, 0, 1, 'x', 0));
	no_connect();
	speak(call, .ends = true);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .method = "Quote", .text = "x");
	say(app, FRAMED, .seq = 1, .method = "Quote", .text = "y");
	hear_answer(call, .message = "y", .body = AS_THRIFT);
	logged("reason=ok in=1 out=1");
}
END_TEST

START_TEST(a_large_call_and_a_large_reply_pass)
{
	struct stream_end *caller;
	struct fake_end *app;
	struct stream *call;

	start(.service = "protocol: framed");
	caller = dial_streams(GRPC);
	call = begin(caller, .type = THRIFT, .fill = 1000000, .body = AS_THRIFT, .ends = true);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .method = "Quote", .text = "", .fill = 1000000);
	hold(call);
	say(app, FRAMED, .seq = 1, .method = "Quote", .fill = 3000000);
	let_pass(100);
	release(call);
	hear_answer(call, .fill = 3000000, .body = AS_THRIFT);
	logged("reason=ok");
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(an_exception_becomes_a_status)
{
	static const struct {
		int id, status;
	} cases[] = {{6, 13}, {1, 12}, {7, 13}, {20, 12}};
	struct stream_end *caller;
	struct fake_end *app;
	struct stream *call;

	start(.service = "protocol: framed");
	caller = dial_streams(GRPC);
	call = begin_thrift(caller, NULL);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .method = "Quote");
	say(app, FRAMED, .kind = EXCEPTION, .seq = 1, .method = "Quote", .id = cases[_i].id,
	    .text = "no");
	hear_answer(call, .status = cases[_i].status, .text = "no");
	hear_silence(call);
	logged("reason=app_exception");
	ck_assert_uint_eq(attempts(ATTEMPT_EXCEPTION), 1);
}
END_TEST

START_TEST(a_business_error_stays_one_on_the_way_to_grpc)
{
	struct stream_end *caller;
	struct fake_end *app;
	struct stream *call;

	start(.service = "protocol: ttheader");
	caller = dial_streams(GRPC);
	call = begin_thrift(caller, NULL);
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 1, .method = "Quote");
	say(app, TTHEADER_FRAMED, .seq = 1, .method = "Quote",
	    .keys = "biz-status=1001 biz-message=poor biz-extra={}");
	hear_head(call);
	hear_last(call, .status = 13, .text = "poor", .keys = "biz-status=1001 biz-extra={}");
	logged("reason=biz_error biz_status=1001");
}
END_TEST

START_TEST(only_one_message_can_be_turned_into_a_call)
{
	struct stream_end *caller;
	struct stream *two, *none;

	start(.service = "protocol: framed");
	caller = dial_streams(GRPC);
	two = begin(
	    caller, .type = THRIFT, .message = "x", .body = AS_THRIFT, .times = 2, .ends = true);
	hear_refusal(two, REASON_NO_CONVERSION);
	hear_silence(two);
	none = begin(caller, .type = THRIFT, .ends = true);
	hear_refusal(none, REASON_NO_CONVERSION);
	no_connect();
	logged("reason=no_conversion status=12 attempts=0 in=2 detail~more");
	logged("reason=no_conversion status=12 attempts=0 in=0");
	ck_assert(is_open(net_of(caller)));
}
END_TEST

START_TEST(a_compressed_message_cannot_be_turned_into_a_call)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "protocol: framed");
	caller = dial_streams(GRPC);
	call = begin(caller, .type = THRIFT, .keys = "grpc-encoding=gzip");
	speak_bytes(call, BYTES(1, 0, 0, 0, 2, 'z', 'z'));
	speak(call, .ends = true);
	hear_refusal(call, REASON_NO_CONVERSION);
	no_connect();
}
END_TEST

START_TEST(streams_of_ttheader_become_nothing_else)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = TO_GRPC);
	caller = dial_streams(TTS);
	call = begin(caller, .message = "x");
	hear_refusal(call, REASON_NO_CONVERSION);
	hear_silence(call);
	speak(call, .message = "still talking", .ends = true);
	hear_silence(call);
	logged("reason=no_conversion attempts=0");
	no_connect();
}
END_TEST

START_TEST(failures_on_the_way_are_told_as_statuses)
{
	struct stream_end *caller;
	struct fake_end *app;
	struct stream *call;

	start(.service = "protocol: framed, timeout: {call: 100ms}");
	caller = dial_streams(GRPC);
	call = begin_thrift(caller, NULL);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .method = "Quote");
	reset(app);
	hear_refusal(call, REASON_RESET);
	call = begin_thrift(caller, NULL);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .method = "Quote");
	let_pass(100);
	hear_refusal(call, REASON_TIMEOUT);
	call = begin_thrift(caller, "grpc-timeout=50m");
	hear(accepted(), FRAMED, .seq = 1, .method = "Quote");
	let_pass(55);
	hear_refusal(call, REASON_CALLER_DEADLINE);
	fake_script(sim_loop(), FAKE_REFUSED, 3);
	call = begin_thrift(caller, NULL);
	hear_refusal(call, REASON_CONNECT_FAILED);
	logged("reason=reset status=14 attempts=1");
	logged("reason=timeout status=4");
	logged("reason=caller_deadline status=4");
	logged("reason=connect_failed status=14 attempts=3");
}
END_TEST

START_TEST(a_bad_reply_is_told_as_a_status)
{
	struct stream_end *caller;
	struct fake_end *app;
	struct stream *call;

	start(.service = "protocol: framed");
	caller = dial_streams(GRPC);
	call = begin_thrift(caller, NULL);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .method = "Quote");
	say(app, FRAMED, .seq = 1, .method = "Other");
	hear_refusal(call, REASON_BAD_REPLY);
	logged("reason=bad_reply status=13");
}
END_TEST

START_TEST(an_endpoint_lost_within_a_long_reply_is_told_as_a_status)
{
	struct stream_end *caller;
	struct fake_end *app;
	struct stream *call;

	start(.service = "protocol: framed");
	caller = dial_streams(GRPC);
	call = begin_thrift(caller, NULL);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .method = "Quote");
	say_part(app, 0, 100000, FRAMED, .seq = 1, .method = "Quote", .fill = 200000);
	reset(app);
	hear_refusal(call, REASON_RESET);
	hear_silence(call);
	logged("reason=reset status=14");
	ck_assert(is_open(net_of(caller)));
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(a_call_given_up_is_discarded_by_its_connection)
{
	struct stream_end *caller;
	struct fake_end *app;
	struct stream *call;

	start(.service = "protocol: framed");
	caller = dial_streams(GRPC);
	call = begin_thrift(caller, NULL);
	app = accepted();
	hear(app, FRAMED, .seq = 1, .method = "Quote");
	give_up(call, H2_CANCEL);
	logged("reason=canceled attempts=1");
	say(app, FRAMED, .seq = 1, .method = "Quote", .text = "for nobody");
	call = begin_thrift(caller, NULL);
	no_connect();
	hear(app, FRAMED, .seq = 1, .method = "Quote");
	say(app, FRAMED, .seq = 1, .method = "Quote", .text = "right");
	hear_answer(call, .message = "right", .body = AS_THRIFT);
}
END_TEST

START_TEST(a_call_given_up_while_it_is_collected_reaches_nobody)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "protocol: framed");
	caller = dial_streams(GRPC);
	call = begin(caller, .type = THRIFT, .fill = 100000, .body = AS_THRIFT);
	give_up(call, H2_CANCEL);
	no_connect();
	logged("reason=canceled attempts=0");
	ck_assert_uint_eq(atomic_load(&sim_worker()->shares->memory), 0);
}
END_TEST

START_TEST(a_message_that_is_too_large_is_refused)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "protocol: framed", .listener = "max_message: 1000B");
	caller = dial_streams(GRPC);
	call = begin(caller, .type = THRIFT, .fill = 1000, .body = AS_THRIFT, .ends = true);
	hear_refusal(call, REASON_TOO_LARGE);
	no_connect();
	logged("reason=too_large status=8 attempts=0");
	call = begin(caller, .type = THRIFT, .fill = 900, .body = AS_THRIFT, .ends = true);
	hear(accepted(), FRAMED, .seq = 1, .method = "Quote", .text = "", .fill = 900);
	give_up(call, H2_CANCEL);
}
END_TEST

START_TEST(a_call_that_memory_has_no_room_for_is_refused)
{
	struct stream_end *caller;
	struct stream *call;

	start(.service = "protocol: framed", .top = "limits: {memory: 1MiB}");
	caller = dial_streams(GRPC);
	call = begin(caller, .type = THRIFT, .fill = 3000000, .body = AS_THRIFT, .ends = true);
	hear_refusal(call, REASON_OVERLOAD);
	no_connect();
	logged("reason=overload status=8");
	ck_assert(is_open(net_of(caller)));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_thrift_call_becomes_a_grpc_call, 4},
	    {a_protobuf_call_becomes_a_grpc_call, 2},
	    {what_a_header_says_stands_in_fields, 1},
	    {a_status_becomes_an_exception, 4},
	    {a_status_behind_a_message_is_an_exception_too, 1},
	    {a_business_error_stays_one_where_it_can, 1},
	    {a_reply_of_several_messages_is_a_bad_one, 1},
	    {a_reply_without_a_message_is_a_bad_one, 1},
	    {a_reply_without_trailers_is_a_bad_one, 1},
	    {a_oneway_has_no_place_in_grpc, 1},
	    {a_call_without_an_idl_service_has_no_path, 1},
	    {a_long_call_and_a_long_reply_become_whole_messages, 1},
	    {a_long_call_meets_windows_and_a_slow_endpoint, 1},
	    {a_reply_that_memory_has_no_room_for_is_refused, 1},
	    {failures_of_the_endpoint_are_told_as_exceptions, 1},
	    {a_refused_call_is_saved_by_the_next_endpoint, 1},
	    {a_call_refused_on_a_connection_in_use_is_saved_with_its_body, 1},
	    {a_caller_that_is_gone_gives_its_grpc_call_up, 1},
	    {a_grpc_call_becomes_a_thrift_call, 4},
	    {a_grpc_call_becomes_a_protobuf_call, 2},
	    {calls_of_one_caller_run_at_once_on_connections_of_their_own, 1},
	    {what_fields_say_stands_in_a_header, 1},
	    {a_call_in_pieces_is_collected, 1},
	    {a_large_call_and_a_large_reply_pass, 1},
	    {an_exception_becomes_a_status, 4},
	    {a_business_error_stays_one_on_the_way_to_grpc, 1},
	    {only_one_message_can_be_turned_into_a_call, 1},
	    {a_compressed_message_cannot_be_turned_into_a_call, 1},
	    {streams_of_ttheader_become_nothing_else, 1},
	    {failures_on_the_way_are_told_as_statuses, 1},
	    {a_bad_reply_is_told_as_a_status, 1},
	    {an_endpoint_lost_within_a_long_reply_is_told_as_a_status, 1},
	    {a_call_given_up_is_discarded_by_its_connection, 1},
	    {a_call_given_up_while_it_is_collected_reaches_nobody, 1},
	    {a_message_that_is_too_large_is_refused, 1},
	    {a_call_that_memory_has_no_room_for_is_refused, 1},
	};

	return stream_main("sim_stream_convert", tests, ARRAY_LEN(tests));
}
