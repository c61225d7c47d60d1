/* Streams that go well: every kind of call, what is rewritten, and who is asked. */
#include "support/sim.h"
#include "support/stream_end.h"

START_TEST(a_unary_call_is_passed_on_and_answered)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "how much?", .ends = true);
	app = accepted_streams(_i);
	served = hear_call(app, .method = "Quote", .message = "how much?", .ends = true);
	answer(served, .message = "7");
	hear_answer(call, .message = "7");
	hear_silence(call);
	hear_silence(served);
	logged("reason=ok status=0 attempts=1 service=app in=1");
	ck_assert(is_open(net_of(caller)) && is_open(net_of(app)));
}
END_TEST

START_TEST(a_client_stream_is_answered_when_it_ends)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller);
	served = hear_call(accepted_streams(_i));
	speak(call, .message = "1");
	hear_message(served, .message = "1");
	speak(call, .message = "2", .times = 2, .ends = true);
	hear_message(served, .message = "2", .times = 2);
	hear_last(served);
	answer(served, .message = "5");
	hear_answer(call, .message = "5");
	logged("reason=ok kind=stream in=3 out=1");
}
END_TEST

START_TEST(a_server_stream_comes_as_it_is_said)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "all", .ends = true);
	served = hear_call(accepted_streams(_i), .message = "all", .ends = true);
	head(served);
	hear_head(call);
	speak(served, .message = "a");
	hear_message(call, .message = "a");
	speak(served, .message = "b");
	hear_message(call, .message = "b");
	finish(served);
	hear_last(call);
	logged("reason=ok kind=stream in=1 out=2");
}
END_TEST

START_TEST(both_sides_speak_at_once)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller);
	served = hear_call(accepted_streams(_i));
	head(served, .message = "welcome");
	hear_head(call, .message = "welcome");
	for (int i = 0; i < 5; i++) {
		speak(call, .message = "ping");
		hear_message(served, .message = "ping");
		speak(served, .message = "pong");
		hear_message(call, .message = "pong");
	}
	speak(call, .ends = true);
	hear_last(served);
	finish(served);
	hear_last(call);
	logged("reason=ok kind=stream in=5 out=6");
}
END_TEST

START_TEST(many_streams_share_a_connection_on_either_side)
{
	struct stream_end *caller, *app;
	struct stream *calls[40], *served[40];

	start();
	caller = dial_streams(_i);
	for (int i = 0; i < 40; i++)
		calls[i] = begin(caller, .fill = (size_t)(i + 1), .ends = true);
	app = accepted_streams(_i);
	no_connect();
	for (int i = 0; i < 40; i++)
		served[i] = hear_call(app, .fill = (size_t)(i + 1), .ends = true);
	for (int i = 39; i >= 0; i--)
		answer(served[i], .fill = (size_t)(i + 1000));
	for (int i = 0; i < 40; i++)
		hear_answer(calls[i], .fill = (size_t)(i + 1000));
	for (int i = 0; i < 40; i++)
		logged("reason=ok");
	logged_nothing();
}
END_TEST

START_TEST(two_callers_share_one_connection_to_the_endpoint)
{
	struct stream_end *a, *b, *app;
	struct stream *one, *other, *first, *second;

	start();
	a = dial_streams(_i);
	b = dial_streams(_i);
	one = begin(a, .message = "a");
	other = begin(b, .message = "b");
	ck_assert_uint_eq(stream_number(one), stream_number(other));
	app = accepted_streams(_i);
	no_connect();
	first = hear_call(app, .message = "a");
	second = hear_call(app, .message = "b");
	ck_assert_uint_ne(stream_number(first), stream_number(second));
	answer(second, .message = "B");
	answer(first, .message = "A");
	hear_answer(one, .message = "A");
	hear_answer(other, .message = "B");
}
END_TEST

START_TEST(bytes_that_come_one_by_one_are_no_matter)
{
	struct stream_end *caller, *app;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i, .gathers = true);
	write_in_pieces(caller, 1);
	call = begin(caller, .fill = 300, .ends = true);
	let_go(caller);
	app = accepted_streams(_i);
	write_in_pieces(app, 1);
	served = hear_call(app, .fill = 300, .ends = true);
	answer(served, .fill = 300);
	hear_answer(call, .fill = 300);
	logged("reason=ok in=1 out=1");
}
END_TEST

START_TEST(messages_are_counted_both_ways)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "12345", .times = 3, .ends = true);
	served = hear_call(accepted_streams(_i), .message = "12345", .times = 3, .ends = true);
	answer(served, .message = "1234567", .times = 2);
	hear_answer(call, .message = "1234567", .times = 2);
	ck_assert_uint_eq(counter_get(&sim_stats()->messages[0]), 3);
	ck_assert_uint_eq(counter_get(&sim_stats()->message_bytes[0]), 15);
	ck_assert_uint_eq(counter_get(&sim_stats()->messages[1]), 2);
	ck_assert_uint_eq(counter_get(&sim_stats()->message_bytes[1]), 14);
}
END_TEST

START_TEST(a_large_message_goes_through_in_both_directions)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .fill = 1000000, .ends = true);
	served = hear_call(accepted_streams(_i), .fill = 1000000, .ends = true);
	answer(served, .fill = 2000000);
	hear_answer(call, .fill = 2000000);
	logged("reason=ok in=1 out=1");
}
END_TEST

START_TEST(a_reply_of_nothing_but_a_status_stays_one)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	served = hear_call(accepted_streams(_i), .message = "x", .ends = true);
	refuse(served, .status = 5, .text = "nothing%20here");
	hear_answer(call, .status = 5, .text = "nothing%20here");
	hear_silence(call);
	logged("reason=app_exception status=5 attempts=1");
}
END_TEST

START_TEST(an_error_of_the_application_behind_messages_is_passed_on)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	served = hear_call(accepted_streams(_i), .message = "x", .ends = true);
	answer(served, .message = "half", .status = 13, .text = "broken");
	hear_answer(call, .message = "half", .status = 13, .text = "broken");
	logged("reason=app_exception status=13");
	ck_assert_uint_eq(attempts(ATTEMPT_EXCEPTION), 1);
}
END_TEST

START_TEST(a_status_code_that_has_no_name_passes)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .ends = true);
	served = hear_call(accepted_streams(_i), .ends = true);
	refuse(served, .status = 404404, .text = "odd");
	hear_answer(call, .status = 404404, .text = "odd");
}
END_TEST

START_TEST(a_business_error_is_one_in_the_log)
{
	static const char *const keys[FAMILIES] = {
	    "biz-status=1001 biz-extra={}", "biz-status=1001 biz-message=poor"};
	struct stream_end *caller;
	struct stream *call, *served;
	int status = _i == GRPC ? 13 : 0;

	start();
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	served = hear_call(accepted_streams(_i), .message = "x", .ends = true);
	head(served, .message = "y");
	finish(served, .status = status, .keys = keys[_i]);
	hear_head(call, .message = "y");
	hear_last(call, .status = status, .keys = keys[_i]);
	logged("reason=biz_error biz_status=1001");
}
END_TEST

START_TEST(metadata_passes_and_both_names_of_http_are_the_proxys)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .authority = "localhost:50051", .ends = true,
	    .keys = "x-user=7 trace-bin=AAECAw rpc-persist-k=v grpc-encoding=gzip");
	served = hear_call(accepted_streams(GRPC), .authority = "app", .method = "Quote",
	    .keys = ":scheme=http x-user=7 trace-bin=AAECAw rpc-persist-k=v grpc-encoding=gzip "
		    "te=trailers !grpc-timeout !source-service");
	head(served, .keys = "x-reply=1", .message = "y");
	hear_head(call, .keys = ":status=200 x-reply=1", .message = "y");
	finish(served, .keys = "x-last=2 grpc-status-details-bin=CAE");
	hear_last(call, .keys = "x-last=2 grpc-status-details-bin=CAE");
}
END_TEST

START_TEST(keys_of_streams_pass_as_they_came)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(TTS);
	call = begin(caller, .keys = "3=cart 99=odd RPC_PERSIST_K=v", .ends = true);
	served = hear_call(accepted_streams(TTS), .method = "Quote", .ends = true,
	    .keys = "3=cart 99=odd RPC_PERSIST_K=v isn=shop.Price");
	head(served, .keys = "x=1");
	hear_head(call, .keys = "x=1");
	finish(served, .keys = "y=2");
	hear_last(call, .keys = "y=2");
	logged("reason=ok caller=cart method=Quote kind=stream");
}
END_TEST

START_TEST(who_calls_is_replaced_where_the_listener_says_so)
{
	static const char *const stated[FAMILIES] = {"source-service=thief", "3=thief"};
	static const char *const heard[FAMILIES] = {"source-service=sidecar", "3=sidecar"};
	struct stream_end *caller;

	start(.listener = "caller: node");
	caller = dial_streams(_i);
	begin(caller, .keys = stated[_i], .ends = true);
	answer(hear_call(accepted_streams(_i), .keys = heard[_i], .ends = true));
	logged("caller=sidecar");
}
END_TEST

START_TEST(unpinned_calls_name_their_service)
{
	struct stream_end *caller, *app;
	struct stream *call;

	start(.service = "aliases: [shop.Price]");
	caller = dial_streams_to("open", _i);
	call = begin(caller, .authority = "localhost", .ends = true);
	app = accepted_streams(_i);
	answer(hear_call(app, .ends = true));
	hear_answer(call);
	call = begin(caller, .authority = "app", .method = "Other", .ends = true);
	answer(hear_call(app, .method = "Other", .ends = true));
	hear_answer(call);
	no_connect();
}
END_TEST

START_TEST(a_call_for_nobody_is_refused_and_its_connection_serves_on)
{
	struct stream_end *caller;
	struct stream *call;

	start();
	caller = dial_streams_to("open", _i);
	call = begin(caller, .authority = "nobody", .message = "x");
	hear_refusal(call, REASON_NO_ROUTE);
	hear_done(call);
	hear_silence(call);
	logged("reason=no_route attempts=0");
	no_connect();
	call = begin(caller, .authority = "nobody", .ends = true);
	hear_refusal(call, REASON_NO_ROUTE);
	hear_silence(call);
	ck_assert(is_open(net_of(caller)));
}
END_TEST

START_TEST(a_connection_beyond_the_limit_has_one_call_refused)
{
	struct stream_end *caller;
	struct stream *call;

	start();
	caller = dial_streams_over_limit(_i);
	call = begin(caller, .message = "x", .ends = true);
	hear_refusal(call, REASON_CONNECTION_LIMITED);
	hear_silence(call);
	logged("reason=connection_limited attempts=0");
	let_pass(1000);
	ck_assert(!is_open(net_of(caller)));
	no_connect();
}
END_TEST

START_TEST(a_service_without_endpoints_refuses)
{
	struct stream_end *caller;
	struct stream *call;

	start(.is_empty = true);
	caller = dial_streams(_i);
	call = begin(caller, .message = "x", .ends = true);
	hear_refusal(call, REASON_NO_ENDPOINT);
	logged("reason=no_endpoint attempts=0");
}
END_TEST

START_TEST(grpc_and_streams_reach_one_endpoint_on_connections_of_their_own)
{
	struct stream_end *one, *other;
	struct fake_end *caller, *app;
	struct stream *a, *b;

	start();
	one = dial_streams(GRPC);
	a = begin(one, .message = "g", .ends = true);
	answer(hear_call(accepted_streams(GRPC), .message = "g", .ends = true), .message = "G");
	other = dial_streams(TTS);
	b = begin(other, .message = "t", .ends = true);
	answer(hear_call(accepted_streams(TTS), .message = "t", .ends = true), .message = "T");
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "f");
	app = accepted();
	hear(app, FRAMED, .seq = 1, .text = "f");
	say(app, FRAMED, .seq = 1, .text = "F");
	hear(caller, FRAMED, .seq = 1, .text = "F");
	hear_answer(a, .message = "G");
	hear_answer(b, .message = "T");
	ck_assert_uint_eq(upstreams(), 3);
}
END_TEST

START_TEST(interim_heads_are_not_for_grpc)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .ends = true);
	served = hear_call(accepted_streams(GRPC), .ends = true);
	interim(served, 103, "link=x");
	hear_silence(call);
	answer(served, .message = "y");
	hear_answer(call, .message = "y");
	logged("reason=ok");
}
END_TEST

START_TEST(http_that_is_not_grpc_passes_a_pinned_listener_with_its_interim_heads)
{
	struct stream_end *caller;
	struct stream *call, *served;
	const struct stream_event *e;

	start();
	caller = dial_streams(GRPC);
	call = begin(caller, .type = "text/plain", .ends = true);
	served = hear_call(accepted_streams(GRPC), .type = "text/plain", .ends = true);
	interim(served, 103, "link=x");
	e = stream_next_event(call);
	ck_assert_int_eq(e->kind, STREAM_INTERIM);
	answer(served, .type = "text/plain", .message = "y");
	hear_answer(call, .type = "text/plain", .message = "y");
}
END_TEST

START_TEST(unknown_frames_of_a_stream_pass_in_both_directions)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(TTS);
	call = begin(caller);
	served = hear_call(accepted_streams(TTS));
	say_frame(call, "1", .keys = "k=v", .message = "meta");
	hear_frame(served, .keys = "27=1 k=v", .message = "meta");
	head(served);
	hear_head(call);
	say_frame(served, "9", .keys = "l=w", .message = "new");
	hear_frame(call, .keys = "27=9 l=w", .message = "new");
	finish(served);
	hear_last(call);
}
END_TEST

START_TEST(a_meta_frame_may_come_before_the_head_of_a_reply)
{
	struct stream_end *caller;
	struct stream *call, *served;

	start();
	caller = dial_streams(TTS);
	call = begin(caller, .ends = true);
	served = hear_call(accepted_streams(TTS), .ends = true);
	say_frame(served, "1", .keys = "k=v");
	hear_silence(call);
	answer(served, .message = "y");
	hear_head(call);
	hear_frame(call, .keys = "27=1 k=v");
	hear_message(call, .message = "y");
	hear_last(call);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_unary_call_is_passed_on_and_answered, FAMILIES},
	    {a_client_stream_is_answered_when_it_ends, FAMILIES},
	    {a_server_stream_comes_as_it_is_said, FAMILIES},
	    {both_sides_speak_at_once, FAMILIES},
	    {many_streams_share_a_connection_on_either_side, FAMILIES},
	    {two_callers_share_one_connection_to_the_endpoint, FAMILIES},
	    {bytes_that_come_one_by_one_are_no_matter, FAMILIES},
	    {messages_are_counted_both_ways, FAMILIES},
	    {a_large_message_goes_through_in_both_directions, FAMILIES},
	    {a_reply_of_nothing_but_a_status_stays_one, FAMILIES},
	    {an_error_of_the_application_behind_messages_is_passed_on, FAMILIES},
	    {a_status_code_that_has_no_name_passes, FAMILIES},
	    {a_business_error_is_one_in_the_log, FAMILIES},
	    {metadata_passes_and_both_names_of_http_are_the_proxys, 1},
	    {keys_of_streams_pass_as_they_came, 1},
	    {who_calls_is_replaced_where_the_listener_says_so, FAMILIES},
	    {unpinned_calls_name_their_service, FAMILIES},
	    {a_call_for_nobody_is_refused_and_its_connection_serves_on, FAMILIES},
	    {a_connection_beyond_the_limit_has_one_call_refused, FAMILIES},
	    {a_service_without_endpoints_refuses, FAMILIES},
	    {grpc_and_streams_reach_one_endpoint_on_connections_of_their_own, 1},
	    {interim_heads_are_not_for_grpc, 1},
	    {http_that_is_not_grpc_passes_a_pinned_listener_with_its_interim_heads, 1},
	    {unknown_frames_of_a_stream_pass_in_both_directions, 1},
	    {a_meta_frame_may_come_before_the_head_of_a_reply, 1},
	};

	return stream_main("sim_streams", tests, ARRAY_LEN(tests));
}
