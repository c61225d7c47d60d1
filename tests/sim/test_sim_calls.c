/* Plain calls in every form, what a conversion changes, and who is asked. */
#include <check.h>

#include "base/mem.h"
#include "support/sim.h"

START_TEST(a_call_and_its_reply_keep_their_form)
{
	static const enum sim_form forms[] = {
	    FRAMED, BUFFERED, TTHEADER, TTHEADER_FRAMED, KPB, KPB_TTHEADER};
	static const char *const names[] = {
	    "framed", "buffered", "ttheader", "ttheader", "framed", "ttheader"};

	start();
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct fake_end *caller = dial(), *app;
		char expected[64];

		say(caller, forms[i], .seq = -7, .text = "hi", .keys = "");
		app = accepted();
		hear(app, forms[i], .seq = -7, .text = "hi");
		say(app, forms[i], .seq = -7, .text = "hello");
		hear(caller, forms[i], .seq = -7, .text = "hello");
		snprintf(expected, sizeof expected, "reason=ok attempts=1 protocol=%s", names[i]);
		logged(expected);
		hang_up(app);
	}
}
END_TEST

START_TEST(a_call_that_comes_byte_by_byte_is_the_same_call)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	for (long i = 0; i < 36; i++)
		say_part(caller, i, i + 1, TTHEADER_FRAMED, .seq = 3, .text = "slow");
	no_connect();
	say_part(caller, 36, 0, TTHEADER_FRAMED, .seq = 3, .text = "slow");
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 3, .text = "slow");
	for (long i = 0; i < 36; i++)
		say_part(app, i, i + 1, TTHEADER_FRAMED, .seq = 3, .text = "low");
	hear_nothing(caller);
	say_part(app, 36, 0, TTHEADER_FRAMED, .seq = 3, .text = "low");
	hear(caller, TTHEADER_FRAMED, .seq = 3, .text = "low");
}
END_TEST

START_TEST(one_connection_may_carry_one_form_after_another)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .text = "a", .keys = "6=x");
	app = accepted();
	hear(app, TTHEADER, .seq = 1, .text = "a", .keys = "6=x");
	say(app, TTHEADER, .seq = 1, .text = "A");
	say(caller, FRAMED, .seq = 2, .text = "b");
	hear(app, FRAMED, .seq = 2, .text = "b");
	say(app, FRAMED, .seq = 2, .text = "B");
	say(caller, BUFFERED, .seq = 3, .text = "c");
	hear(app, BUFFERED, .seq = 3, .text = "c");
	say(app, BUFFERED, .seq = 3, .text = "C");
	hear(caller, TTHEADER, .seq = 1, .text = "A");
	hear(caller, FRAMED, .seq = 2, .text = "B");
	hear(caller, BUFFERED, .seq = 3, .text = "C");
	no_connect();
}
END_TEST

START_TEST(a_ttheader_caller_reaches_a_framed_application)
{
	struct fake_end *caller, *app;

	start(.service = "protocol: framed");
	caller = dial();
	say(caller, TTHEADER, .seq = 5, .text = "hi",
	    .keys = "2=log 3=shop 12=200 RPC_PERSIST_A=1 RPC_TRANSIT_B=2 other=x crc32c=00000000");
	app = accepted();
	hear(app, FRAMED, .seq = 5, .text = "hi");
	say(app, FRAMED, .seq = 5, .text = "hello");
	hear(caller, TTHEADER, .seq = 5, .text = "hello", .keys = "22=2");
	logged("reason=ok protocol=ttheader caller=shop log_id=log");
	ck_assert_uint_eq(dropped(METADATA_PERSISTENT), 1);
	ck_assert_uint_eq(dropped(METADATA_TRANSIENT), 1);
	ck_assert_uint_eq(dropped(METADATA_HEADER), 1);
	ck_assert_uint_eq(dropped(METADATA_CHECKSUM), 1);
	ck_assert_uint_eq(dropped(METADATA_INT), 3);
}
END_TEST

START_TEST(a_framed_caller_reaches_a_ttheader_application)
{
	struct fake_end *caller, *app;
	const struct sim_heard *call;

	start(.service = "protocol: ttheader, name: shop.cart, aliases: [CartService]");
	caller = dial_local(1000);
	say(caller, FRAMED, .seq = 5, .method = "Add", .text = "hi");
	app = accepted();
	call = hear(app, TTHEADER_FRAMED, .seq = 5, .method = "Add", .text = "hi",
	    .keys = "1=framed 3=sidecar 6=shop.cart 9=Add 22=1 12=30000 isn=CartService");
	ck_assert_ptr_nonnull(strstr(call->keys, " 2=02"));
	say(app, TTHEADER_FRAMED, .seq = 5, .method = "Add", .text = "hello", .keys = "22=2 k=v");
	hear(caller, FRAMED, .seq = 5, .method = "Add", .text = "hello");
	logged("reason=ok protocol=framed caller=sidecar source~uid=1000");
	ck_assert_uint_eq(dropped(METADATA_HEADER), 1);
}
END_TEST

START_TEST(bare_and_framed_headers_are_made_as_the_service_wants_them)
{
	struct fake_end *caller, *app;

	start(.service = "protocol: ttheader_bare");
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 5, .text = "hi", .keys = "1=framed 12=100");
	app = accepted();
	hear(app, TTHEADER, .seq = 5, .text = "hi", .keys = "1=unframed 12=100");
	say(app, TTHEADER, .seq = 5, .text = "hello");
	hear(caller, TTHEADER_FRAMED, .seq = 5, .text = "hello");
	reload(.service = "protocol: ttheader_framed");
	say(caller, TTHEADER, .seq = 6, .text = "hi");
	hear(app, TTHEADER_FRAMED, .seq = 6, .text = "hi");
	say(app, TTHEADER_FRAMED, .seq = 6, .text = "hello");
	hear(caller, TTHEADER, .seq = 6, .text = "hello");
}
END_TEST

START_TEST(a_mesh_header_goes_along_and_is_never_answered_with_one)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, MESH, .seq = 5, .text = "hi", .keys = "rip=x");
	app = accepted();
	ck_assert_uint_eq(fake_received(app).data[0], 0xff);
	fake_consume(app, 4 + 2 + 2 + 3 + 2 + 1);
	hear(app, BUFFERED, .seq = 5, .text = "hi");
	say(app, BUFFERED, .seq = 5, .text = "hello");
	hear(caller, BUFFERED, .seq = 5, .text = "hello");
}
END_TEST

START_TEST(kitex_protobuf_is_not_converted_into_what_cannot_carry_it)
{
	struct fake_end *caller;

	start(.service = "protocol: buffered");
	caller = dial();
	say(caller, KPB, .seq = 9, .text = "hi");
	no_connect();
	hear_failure(caller, REASON_NO_CONVERSION, KPB, .seq = 9);
	logged("reason=no_conversion attempts=0");
	say(caller, KPB_TTHEADER, .seq = 10, .text = "hi");
	hear_failure(caller, REASON_NO_CONVERSION, KPB_TTHEADER, .seq = 10);
	ck_assert(is_open(caller));
}
END_TEST

START_TEST(a_business_error_passes_where_it_can_be_carried)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .text = "hi");
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	say(app, TTHEADER, .seq = 1, .keys = "biz-status=404 biz-message=gone");
	hear(caller, TTHEADER, .seq = 1, .keys = "biz-status=404 biz-message=gone");
	logged("reason=biz_error biz_status=404");
	ck_assert_uint_eq(attempts(ATTEMPT_OK), 1);
}
END_TEST

START_TEST(a_business_error_becomes_an_exception_for_a_framed_caller)
{
	struct fake_end *caller, *app;

	start(.service = "protocol: ttheader");
	caller = dial();
	say(caller, FRAMED, .seq = 1, .text = "hi");
	app = accepted();
	hear(app, TTHEADER_FRAMED, .seq = 1);
	say(app, TTHEADER_FRAMED, .seq = 1, .keys = "biz-status=404 biz-message=gone");
	hear(caller, FRAMED, .kind = EXCEPTION, .seq = 1, .text = "gone", .id = 6);
	logged("reason=biz_error biz_status=404");
	reload(.service = "protocol: ttheader, biz_error: drop");
	say(caller, FRAMED, .seq = 2, .text = "hi");
	hear(app, TTHEADER_FRAMED, .seq = 2);
	say(app, TTHEADER_FRAMED, .seq = 2, .text = "", .keys = "biz-status=404 biz-message=gone");
	hear(caller, FRAMED, .seq = 2);
	ck_assert_uint_eq(dropped(METADATA_BIZ), 2);
}
END_TEST

START_TEST(a_handlers_exception_keeps_the_connection_and_another_ends_it)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .kind = EXCEPTION, .seq = 1, .text = "no", .id = 6);
	hear(caller, FRAMED, .kind = EXCEPTION, .seq = 1, .text = "no", .id = 6);
	logged("reason=app_exception attempts=1");
	say(caller, FRAMED, .seq = 2);
	hear(app, FRAMED, .seq = 2);
	say(app, FRAMED, .kind = EXCEPTION, .seq = 2, .text = "what?", .id = 1);
	hear(caller, FRAMED, .kind = EXCEPTION, .seq = 2, .text = "what?", .id = 1);
	hear_end(app);
	ck_assert(is_open(caller));
	ck_assert_uint_eq(attempts(ATTEMPT_EXCEPTION), 2);
}
END_TEST

START_TEST(an_exception_without_id_and_method_answers_the_call_in_flight)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, KPB, .seq = 12);
	app = accepted();
	hear(app, KPB, .seq = 12);
	say(app, KPB, .kind = EXCEPTION, .seq = 0, .method = "", .text = "bad", .id = 7);
	hear(caller, KPB, .kind = EXCEPTION, .seq = 0, .method = "", .text = "bad", .id = 7);
	logged("reason=app_exception");
	hear_end(app);
}
END_TEST

START_TEST(a_crrst_is_for_one_connection_and_never_passed_on)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1);
	app = accepted();
	hear(app, TTHEADER, .seq = 1);
	say(app, TTHEADER, .seq = 1, .text = "last", .keys = "crrst=1 k=v 22=2");
	hear(caller, TTHEADER, .seq = 1, .text = "last", .keys = "!crrst k=v 22=2");
	hear_end(app);
	ck_assert(is_open(caller));
	say(caller, TTHEADER, .seq = 2);
	hear(accepted(), TTHEADER, .seq = 2);
}
END_TEST

START_TEST(a_caller_may_be_named_by_the_node_or_by_its_uid)
{
	struct fake_end *caller, *app;

	start(.listener = "caller: node");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .keys = "3=liar 12=100");
	app = accepted();
	hear(app, TTHEADER, .seq = 1, .keys = "3=sidecar 12=100");
	say(app, TTHEADER, .seq = 1);
	logged("caller=sidecar");
	reload(.local = "caller: {uid: {1000: shop.cart}}");
	caller = dial_local(1000);
	say(caller, TTHEADER, .seq = 2, .keys = "3=liar");
	hear(app, TTHEADER, .seq = 2, .keys = "3=shop.cart");
	say(app, TTHEADER, .seq = 2);
	logged("caller=shop.cart");
}
END_TEST

START_TEST(the_callers_address_is_written_where_it_is_wanted)
{
	struct fake_end *caller, *app;

	start(.listener = "caller_address: set");
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .keys = "rip=forged");
	app = accepted();
	hear(app, TTHEADER, .seq = 1, .keys = "rip=192.0.2.7:5555");
}
END_TEST

START_TEST(an_unpinned_call_names_its_service)
{
	struct fake_end *caller, *app;

	start(.services = "other: {endpoints: [\"10.9.9.9:9\"], aliases: [Other]}");
	caller = dial_to("open");
	say(caller, TTHEADER, .seq = 1, .keys = "6=other");
	app = accepted();
	ck_assert_str_eq(fake_address(app)->text, "10.9.9.9:9");
	hear(app, TTHEADER, .seq = 1, .keys = "6=other");
	say(app, TTHEADER, .seq = 1);
	logged("service=other listener=open");
	say(caller, TTHEADER, .seq = 2, .keys = "isn=Other");
	hear(app, TTHEADER, .seq = 2);
	say(app, TTHEADER, .seq = 2);
	logged("service=other idl_service=Other");
}
END_TEST

START_TEST(a_call_for_nobody_is_told_the_cure)
{
	struct fake_end *caller;

	start();
	caller = dial_to("open");
	say(caller, TTHEADER, .seq = 1, .keys = "6=nobody");
	hear_failure(caller, REASON_NO_ROUTE, TTHEADER, .seq = 1, .keys = "22=3 !crrst");
	logged("reason=no_route service=nobody attempts=0 detail~services");
	say(caller, TTHEADER, .seq = 2, .keys = "isn=Nothing");
	hear_failure(caller, REASON_NO_ROUTE, TTHEADER, .seq = 2);
	logged("reason=no_route detail~aliases");
	say(caller, FRAMED, .seq = 3);
	hear_failure(caller, REASON_NO_ROUTE, FRAMED, .seq = 3);
	logged("reason=no_route detail~pin");
	ck_assert(is_open(caller));
	no_connect();
}
END_TEST

START_TEST(a_pin_wins_over_what_the_call_asks_for_unless_strict)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say(caller, TTHEADER, .seq = 1, .keys = "6=other");
	app = accepted();
	hear(app, TTHEADER, .seq = 1, .keys = "6=other");
	say(app, TTHEADER, .seq = 1);
	hear(caller, TTHEADER, .seq = 1);
	logged("reason=ok service=app");
	reload(.listener = "strict_service: true");
	say(caller, TTHEADER, .seq = 2, .keys = "6=other");
	hear_failure(caller, REASON_NO_ROUTE, TTHEADER, .seq = 2);
	logged("reason=no_route detail~strict_service");
	say(caller, TTHEADER, .seq = 3, .keys = "6=app");
	hear(app, TTHEADER, .seq = 3);
}
END_TEST

START_TEST(every_line_says_how_long_and_how_much)
{
	struct fake_end *caller, *app;

	start();
	caller = dial();
	say_part(caller, 0, 9, FRAMED, .seq = 1, .text = "hi");
	pass(3);
	fake_script(sim_loop(), FAKE_HANGS, 1);
	say_part(caller, 9, 0, FRAMED, .seq = 1, .text = "hi");
	app = accepted();
	pass(4);
	fake_connected(app);
	pass(5);
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1, .text = "hello");
	logged("total=12000 queue=3000 connect=4000 first_byte=5000 bytes_in=30 bytes_out=33 "
	       "kind=call time=2023-11-14T22:13:20.012000Z");
}
END_TEST

START_TEST(a_format_string_makes_the_line)
{
	struct fake_end *caller;

	start(.top =
		  "access_log: {to: stderr, format: \"%{reason} %{method} 100% {x} %{source}\"}");
	caller = dial_to("open");
	say(caller, FRAMED, .seq = 1, .method = "A\nB");
	hear_failure(caller, REASON_NO_ROUTE, FRAMED, .seq = 1, .method = "A\nB");
	ck_assert_uint_eq(sim_lines(), 1);
	logged("");
	ck_assert_str_eq(sim_line(), "no_route A\\x0aB 100% {x} 192.0.2.7:5555");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_call_and_its_reply_keep_their_form,
	    a_call_that_comes_byte_by_byte_is_the_same_call,
	    one_connection_may_carry_one_form_after_another,
	    a_ttheader_caller_reaches_a_framed_application,
	    a_framed_caller_reaches_a_ttheader_application,
	    bare_and_framed_headers_are_made_as_the_service_wants_them,
	    a_mesh_header_goes_along_and_is_never_answered_with_one,
	    kitex_protobuf_is_not_converted_into_what_cannot_carry_it,
	    a_business_error_passes_where_it_can_be_carried,
	    a_business_error_becomes_an_exception_for_a_framed_caller,
	    a_handlers_exception_keeps_the_connection_and_another_ends_it,
	    an_exception_without_id_and_method_answers_the_call_in_flight,
	    a_crrst_is_for_one_connection_and_never_passed_on,
	    a_caller_may_be_named_by_the_node_or_by_its_uid,
	    the_callers_address_is_written_where_it_is_wanted,
	    an_unpinned_call_names_its_service,
	    a_call_for_nobody_is_told_the_cure,
	    a_pin_wins_over_what_the_call_asks_for_unless_strict,
	    every_line_says_how_long_and_how_much,
	    a_format_string_makes_the_line,
	};

	return sim_main("sim_calls", tests, ARRAY_LEN(tests));
}
