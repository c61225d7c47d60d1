/*
 * Metadata put into bodies that have no carrier yet: where it goes, under which names, what stays
 * behind, and which bodies are left alone. Bodies are written down as text (support/structs.h).
 */
#include <stdio.h>
#include <stdlib.h>

#include "support/carrying.h"
#include "support/frames.h"
#include "support/structs.h"
#include "support/suite.h"
#include "wire/ttheader.h"

static void must_be(const struct carrying *c, const char *expected)
{
	ck_assert_msg(carrying_is(c, expected), "not %s", expected);
}

/* The call with these sections and this body goes out with that body. */
static void must_carry(const char *sections, const char *body, const char *expected)
{
	struct carrying c;

	carrying_begin(&c, sections, body);
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, expected);
	carrying_end(&c);
}

static void must_refuse(const char *body, enum rpc_uncarried why)
{
	struct carrying c;

	carrying_begin(&c, "s RPC_PERSIST_k=v;", body);
	ck_assert_int_eq(carrying_go(&c), why);
	must_be(&c, body);
	carrying_end(&c);
}

#define BASE   "1:\"log\" 2:\"cal\" 3:\"1.2.3.4:5\" 4:\"bridled\" "
#define CALLEE "\"destination-service\"=\"svc\" \"destination-method\"=\"Echo\""

START_TEST(base_is_appended_to_the_request_struct)
{
	static const uint8_t body[] = {12, 0, 1, 11, 0, 1, 0, 0, 0, 2, 'h', 'i', 0, 0};
	static const uint8_t expected[] = {12, 0, 1, 11, 0, 1, 0, 0, 0, 2, 'h', 'i', /* as it was */
	    12, 0, 255, 11, 0, 1, 0, 0, 0, 3, 'l', 'o', 'g',                         /* LogID */
	    11, 0, 2, 0, 0, 0, 3, 'c', 'a', 'l',                                     /* Caller */
	    11, 0, 4, 0, 0, 0, 7, 'b', 'r', 'i', 'd', 'l', 'e', 'd',                 /* Client */
	    13, 0, 6, 11, 11, 0, 0, 0, 1,                                            /* Extra */
	    0, 0, 0, 13, 'R', 'P', 'C', '_', 'P', 'E', 'R', 'S', 'I', 'S', 'T', '_', 'k', 0, 0, 0,
	    1, 'v', 0, /* of Base */
	    0, 0};
	struct slice sections = frame_sections("s RPC_PERSIST_k=v;");
	struct carrying c;

	carrying_begin_with(&c, sections, slice_of(body, sizeof body));
	c.facts.address = c.facts.service = c.facts.method = SLICE_NONE;
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	ck_assert_uint_eq(c.out.len, sizeof expected);
	ck_assert_mem_eq(c.out.data, expected, sizeof expected);
	ck_assert_uint_eq(c.splice.cut, 0);
	carrying_end(&c);
	frame_free(&sections);
}
END_TEST

START_TEST(all_that_is_known_stands_in_its_place)
{
	struct carrying c;

	carrying_begin(&c, "s RPC_PERSIST_k=v;", "{1:{}}");
	c.facts.caller_method = SLICE_LIT("Say");
	c.facts.deadline_ms = 1795326243123;
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{" BASE "6:<ss \"source-method\"=\"Say\" " CALLEE
		    " \"rpc-deadline\"=\"1795326243123\" \"RPC_PERSIST_k\"=\"v\">}}}");
	carrying_end(&c);
}
END_TEST

START_TEST(what_is_not_known_is_not_said)
{
	struct carrying c;

	carrying_begin(&c, "", "{1:{1:i5}}");
	c.facts = (struct rpc_carry_facts){.deadline_ms = 0};
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{1:i5 255:{4:\"bridled\"}}}");
	carrying_end(&c);
}
END_TEST

START_TEST(keys_are_those_of_the_header)
{
	must_carry("s RPC_PERSIST_Log_Id=1 RPC_TRANSIT_t=2 RPC_TRANSIT_UPSTREAM_u=3 K-Env=4 "
		   "RPC_TRANSIT_traceparent=5 RPC_BACKWARD_b=6;a token;",
	    "{1:{}}",
	    "{1:{255:{" BASE "6:<ss " CALLEE
	    " \"RPC_PERSIST_Log_Id\"=\"1\" \"RPC_TRANSIT_t\"=\"2\" \"RPC_TRANSIT_UPSTREAM_u\"=\"3\""
	    " \"K-Env\"=\"4\" \"RPC_TRANSIT_traceparent\"=\"5\" \"RPC_BACKWARD_b\"=\"6\""
	    " \"RPC_TRANSIT_gdpr-token\"=\"token\">}}}");
}
END_TEST

START_TEST(what_belongs_to_the_hop_stays_behind)
{
	must_carry(
	    "s isn=Echo rip=1.1.1.1 crrst=1 crc32c=00000000 PV_x=y biz-status=1 biz-extra=2;",
	    "{1:{}}", "{1:{255:{" BASE "6:<ss " CALLEE ">}}}");
}
END_TEST

/* A caller could else say who it is, or whom its callee's next call comes from. */
START_TEST(names_of_facts_are_no_callers_to_use)
{
	must_carry("s source-method=x source-service=x destination-service=x destination-method=x "
		   "rpc-deadline=1 stream-log-id=x k=v;",
	    "{1:{}}", "{1:{255:{" BASE "6:<ss " CALLEE " \"k\"=\"v\">}}}");
}
END_TEST

START_TEST(of_a_repeated_key_the_last_value_is_carried_once)
{
	must_carry("s k=first a=b k=last;", "{1:{}}",
	    "{1:{255:{" BASE "6:<ss " CALLEE " \"k\"=\"last\" \"a\"=\"b\">}}}");
}
END_TEST

START_TEST(the_request_is_found_among_other_arguments)
{
	must_carry("", "{2:i7 1:{3:\"x\"} 5:{1:{} 255:{1:\"no\"}}}",
	    "{2:i7 1:{3:\"x\" 255:{" BASE "6:<ss " CALLEE ">}} 5:{1:{} 255:{1:\"no\"}}}");
}
END_TEST

START_TEST(fields_255_at_other_depths_are_none_of_it)
{
	must_carry("", "{255:{1:i1} 1:{7:<si> 9:{255:i3} 4:[r {255:{}} {}] -1:h2 256:B1}}",
	    "{255:{1:i1} 1:{7:<si> 9:{255:i3} 4:[r {255:{}} {}] -1:h2 256:B1 255:{" BASE
	    "6:<ss " CALLEE ">}}}");
}
END_TEST

START_TEST(an_argument_is_appended_behind_the_others)
{
	struct carrying c;

	carrying_begin(&c, "s RPC_PERSIST_k=v rip=9.9.9.9;", "{1:\"hi\" 255:i1}");
	c.carrier = (struct rpc_carrier){RPC_CARRIER_ARGUMENT, -2, RPC_MERGE_FILL, SLICE_NONE};
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:\"hi\" 255:i1 -2:<ss \"stream-log-id\"=\"log\" \"source-service\"=\"cal\" "
		    "\"rip\"=\"1.2.3.4:5\" " CALLEE " \"RPC_PERSIST_k\"=\"v\">}");
	carrying_end(&c);
}
END_TEST

START_TEST(what_is_no_text_would_fail_readers_that_skip_it)
{
	static const uint8_t sections[] = {1, 0, 4, 0, 1, 'a', 0, 1, 0xff, 0, 1, 0x80, 0, 1, 'v', 0,
	    1, 'b', 0, 2, 0xc3, 0xa4, 0, 1, 'c', 0, 9, '1', '2', '3', '4', '5', '6', '7', '8',
	    0xc3};
	struct carrying c;
	struct slice empty = struct_made("{1:{}}");

	carrying_begin_with(&c, slice_of(sections, sizeof sections), empty);
	c.facts.caller = SLICE_LIT("\xed\xa0\x80");
	c.facts.caller_method = SLICE_LIT("abcdefgh\xfe"
					  "ij");
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{1:\"log\" 3:\"1.2.3.4:5\" 4:\"bridled\" 6:<ss " CALLEE
		    " \"b\"=\"\\xc3\\xa4\">}}}");
	ck_assert_uint_eq(c.edit.dropped[RPC_DROPPED_HEADER], 3);
	carrying_end(&c);
	frame_free(&empty);
}
END_TEST

START_TEST(no_byte_of_a_value_is_overlooked)
{
	char bytes[40];

	for (size_t len = 1; len <= sizeof bytes; len++) {
		for (size_t at = 0; at <= len; at++) {
			struct carrying c;

			memset(bytes, 'v', sizeof bytes);
			if (at < len)
				bytes[at] = (char)0xff;
			carrying_begin(&c, "", "{1:{}}");
			c.facts = (struct rpc_carry_facts){.log_id = slice_of(bytes, len)};
			ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
			ck_assert_int_eq(carrying_is(&c, "{1:{255:{4:\"bridled\"}}}"), at < len);
			carrying_end(&c);
		}
	}
}
END_TEST

START_TEST(empty_values_are_not_there)
{
	must_carry("s k= RPC_PERSIST_e=;", "{1:{}}", "{1:{255:{" BASE "6:<ss " CALLEE ">}}}");
}
END_TEST

/* ---- other forms ---- */

START_TEST(a_mesh_header_is_carried)
{
	struct slice sections = frame_sections("m RPC_PERSIST_k=v rip=x;"),
		     body = struct_made("{1:{}}");
	struct carrying c;

	carrying_begin_with(&c, sections, body);
	c.m.form.transport = RPC_MESH;
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{" BASE "6:<ss " CALLEE " \"RPC_PERSIST_k\"=\"v\">}}}");
	carrying_end(&c);
	frame_free(&sections);
	frame_free(&body);
}
END_TEST

START_TEST(fields_of_http2_are_carried_as_keys)
{
	static const struct rpc_field fields[] = {
	    {SLICE_LIT("content-type"), SLICE_LIT("application/grpc+thrift"), false},
	    {SLICE_LIT("rpc-persist-log-id"), SLICE_LIT("1"), false},
	    {SLICE_LIT("rpc-persist-log-id"), SLICE_LIT("2"), false},
	    {SLICE_LIT("rpc-transit-t"), SLICE_LIT("3"), false},
	    {SLICE_LIT("traceparent"), SLICE_LIT("4"), false},
	    {SLICE_LIT("rpc-transit-gdpr-token"), SLICE_LIT("5"), true},
	    {SLICE_LIT("x-env"), SLICE_LIT("6"), false},
	    {SLICE_LIT("x-raw-bin"), SLICE_LIT("Nw"), false},
	    {SLICE_LIT("source-service"), SLICE_LIT("cal"), false},
	};
	struct carrying c;
	struct slice map;
	struct struct_parts args, request, base;
	struct struct_field field;

	carrying_begin(&c, "", "{1:{}}");
	c.m.form.transport = RPC_HTTP2;
	c.m.fields = fields;
	c.m.n_fields = sizeof fields / sizeof fields[0];
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	ck_assert(struct_read(c.out, &args) && struct_find(&args, 1, &field) == 1);
	ck_assert(struct_read(field.value, &request) && struct_find(&request, 255, &field) == 1);
	ck_assert(struct_read(field.value, &base) && struct_find(&base, 6, &field) == 1);
	map = field.value;
	ck_assert(slice_eq_str(struct_value(map, "RPC_PERSIST_LOG_ID"), "1"));
	ck_assert(slice_eq_str(struct_value(map, "RPC_TRANSIT_T"), "3"));
	ck_assert(slice_eq_str(struct_value(map, "RPC_TRANSIT_traceparent"), "4"));
	ck_assert(slice_eq_str(struct_value(map, "RPC_TRANSIT_gdpr-token"), "5"));
	ck_assert(slice_eq_str(struct_value(map, "x-env"), "6"));
	ck_assert(slice_eq_str(struct_value(map, "x-raw-bin"), "7"));
	ck_assert_uint_eq(map.data[5], 8); /* and the two of the callee: none else */
	struct_parts_free(&args);
	struct_parts_free(&request);
	struct_parts_free(&base);
	carrying_end(&c);
}
END_TEST

START_TEST(what_was_lifted_is_carried)
{
	struct carrying c;

	carrying_begin(&c, "s RPC_PERSIST_k=v;", "{1:{}}");
	c.m.form.transport = RPC_PLAIN;
	c.m.marks = RPC_IS_LIFTED;
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{" BASE "6:<ss " CALLEE " \"RPC_PERSIST_k\"=\"v\">}}}");
	carrying_end(&c);
}
END_TEST

/* ---- changes ---- */

START_TEST(changes_are_carried_as_a_header_would_have_them)
{
	struct carrying c;

	carrying_begin(&c, "s RPC_PERSIST_a=1 RPC_TRANSIT_b=2 x=3 RPC_PERSIST_d=4;", "{1:{}}");
	carrying_change(&c, "+meta.a=A -meta.b -header.x +header.y=Y +meta.new=N retry=2");
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{" BASE "6:<ss " CALLEE
		    " \"RPC_PERSIST_a\"=\"A\" \"RPC_PERSIST_d\"=\"4\" \"y\"=\"Y\""
		    " \"RPC_PERSIST_new\"=\"N\" \"RPC_PERSIST_RetryReq\"=\"2\">}}}");
	carrying_end(&c);
}
END_TEST

START_TEST(changes_hold_without_a_header_too)
{
	struct carrying c;

	carrying_begin(&c, "", "{1:{}}");
	c.m.form.transport = RPC_PLAIN;
	carrying_change(&c, "+header.RPC_TRANSIT_traceparent=t");
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	must_be(&c, "{1:{255:{" BASE "6:<ss " CALLEE " \"RPC_TRANSIT_traceparent\"=\"t\">}}}");
	ck_assert_uint_eq(c.edit.dropped[RPC_DROPPED_TRANSIENT], 0);
	carrying_end(&c);
}
END_TEST

/* ---- what is lost ---- */

START_TEST(int_keys_have_no_place_in_a_body)
{
	struct carrying c;

	carrying_begin(&c, "i 2=log 3=cal 4=cluster 10=env 12=100 22=1;s k=v;", "{1:{}}");
	carrying_change(&c, "+int.14=ring -int.15");
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	ck_assert_uint_eq(c.edit.dropped[RPC_DROPPED_INT], 3);
	ck_assert_uint_eq(c.edit.dropped[RPC_DROPPED_HEADER], 0);
	carrying_end(&c);
}
END_TEST

START_TEST(nothing_is_lost_where_a_header_goes_out_too)
{
	struct carrying c;

	carrying_begin(&c, "i 10=env;s crc32c=00000000 source-method=x;", "{1:{}}");
	c.edit.form.transport = RPC_TTHEADER;
	carrying_change(&c, "+int.14=ring");
	ck_assert_int_eq(carrying_go(&c), RPC_CARRIED);
	for (size_t i = 0; i < sizeof c.edit.dropped / sizeof c.edit.dropped[0]; i++)
		ck_assert_uint_eq(c.edit.dropped[i], 0);
	carrying_end(&c);
}
END_TEST

/* ---- what is left alone ---- */

START_TEST(a_body_without_a_request_struct_is_left_alone)
{
	must_refuse("{}", RPC_UNCARRIED_SHAPE);
	must_refuse("{1:\"text\"}", RPC_UNCARRIED_SHAPE);
	must_refuse("{2:{}}", RPC_UNCARRIED_SHAPE);
	must_refuse("{255:{}}", RPC_UNCARRIED_SHAPE);
}
END_TEST

START_TEST(a_field_that_is_there_twice_is_not_understood)
{
	must_refuse("{1:{} 1:{}}", RPC_UNCARRIED_SHAPE);
	must_refuse("{1:{} 1:i5}", RPC_UNCARRIED_SHAPE);
	must_refuse("{1:i5 1:{}}", RPC_UNCARRIED_SHAPE);
	must_refuse("{1:{255:{} 255:{}}}", RPC_UNCARRIED_SHAPE);
	must_refuse("{1:{255:{1:\"a\" 1:\"b\"}}}", RPC_UNCARRIED_SHAPE);
	must_refuse("{1:{255:{6:<ss> 6:<ss>}}}", RPC_UNCARRIED_SHAPE);
}
END_TEST

START_TEST(a_base_that_is_none_is_not_understood)
{
	must_refuse("{1:{255:\"text\"}}", RPC_UNCARRIED_SHAPE);
	must_refuse("{1:{255:{1:i5}}}", RPC_UNCARRIED_SHAPE);
	must_refuse("{1:{255:{4:{}}}}", RPC_UNCARRIED_SHAPE);
	must_refuse("{1:{255:{6:<si \"a\"=i1>}}}", RPC_UNCARRIED_SHAPE);
	must_refuse("{1:{255:{6:<si>}}}", RPC_UNCARRIED_SHAPE);
	must_refuse("{1:{255:{6:[s \"a\"]}}}", RPC_UNCARRIED_SHAPE);
}
END_TEST

START_TEST(an_argument_of_another_type_is_not_understood)
{
	struct carrying c;

	carrying_begin(&c, "", "{1:{} 7:\"text\"}");
	c.carrier = (struct rpc_carrier){RPC_CARRIER_ARGUMENT, 7, RPC_MERGE_FILL, SLICE_NONE};
	ck_assert_int_eq(carrying_go(&c), RPC_UNCARRIED_SHAPE);
	carrying_end(&c);
	carrying_begin(&c, "", "{7:<ss> 7:<ss>}");
	c.carrier = (struct rpc_carrier){RPC_CARRIER_ARGUMENT, 7, RPC_MERGE_FILL, SLICE_NONE};
	ck_assert_int_eq(carrying_go(&c), RPC_UNCARRIED_SHAPE);
	carrying_end(&c);
}
END_TEST

START_TEST(other_payloads_and_parts_of_bodies_are_left_alone)
{
	struct carrying c;

	carrying_begin(&c, "", "{1:{}}");
	c.m.form.payload = RPC_KITEXPB;
	ck_assert_int_eq(carrying_go(&c), RPC_UNCARRIED_PAYLOAD);
	c.m.form.payload = RPC_THRIFT;
	c.m.form.transport = RPC_TTSTREAM;
	ck_assert_int_eq(carrying_go(&c), RPC_UNCARRIED_PAYLOAD);
	c.m.form.transport = RPC_TTHEADER;
	c.m.complete = false;
	ck_assert_int_eq(carrying_go(&c), RPC_UNCARRIED_LONG);
	carrying_end(&c);
}
END_TEST

/* @n entries with keys of one length and values of another. */
static enum rpc_uncarried carry_entries(unsigned n, size_t value_len, size_t *len)
{
	struct slice body = struct_made("{1:{}}");
	size_t size = 3 + n * (4 + 8 + value_len);
	uint8_t *bytes = malloc(size), *at = bytes + 3;
	struct carrying c;
	enum rpc_uncarried why;

	bytes[0] = TTHEADER_STR;
	store_u16(bytes + 1, (uint16_t)n);
	for (unsigned i = 0; i < n; i++) {
		store_u16(at, 8);
		snprintf((char *)at + 2, 9, "k%07u", i % 10000000);
		store_u16(at + 10, (uint16_t)value_len);
		memset(at + 12, 'v', value_len);
		at += 12 + value_len;
	}
	carrying_begin_with(&c, slice_of(bytes, size), body);
	why = carrying_go(&c);
	*len = c.out.len - body.len;
	carrying_end(&c);
	frame_free(&body);
	free(bytes);
	return why;
}

START_TEST(a_carrier_has_no_more_entries_than_it_may)
{
	size_t len;

	ck_assert_int_eq(carry_entries(RPC_CARRY_ENTRIES - 2, 1, &len), RPC_CARRIED);
	ck_assert_int_eq(carry_entries(RPC_CARRY_ENTRIES - 1, 1, &len), RPC_UNCARRIED_SIZE);
	ck_assert_int_eq(carry_entries(1000, 1, &len), RPC_UNCARRIED_SIZE);
}
END_TEST

START_TEST(a_carrier_is_no_longer_than_it_may)
{
	size_t len, most = 0;

	for (size_t value_len = 65000; value_len <= UINT16_MAX; value_len++) {
		if (carry_entries(1, value_len, &len) != RPC_CARRIED) {
			ck_assert_int_eq(carry_entries(1, value_len, &len), RPC_UNCARRIED_SIZE);
			break;
		}
		most = len;
	}
	ck_assert_uint_le(most, RPC_CARRY_MAX);
	ck_assert_uint_gt(most, RPC_CARRY_MAX - 64);
	ck_assert_int_eq(carry_entries(4, 20000, &len), RPC_UNCARRIED_SIZE);
}
END_TEST

START_TEST(every_reason_that_is_a_loss_has_a_name)
{
	ck_assert_ptr_null(rpc_uncarried_name(RPC_CARRIED));
	ck_assert_ptr_null(rpc_uncarried_name(RPC_UNCARRIED_KEPT));
	for (int why = RPC_UNCARRIED_PAYLOAD; why <= RPC_UNCARRIED_SIZE; why++)
		ck_assert_ptr_nonnull(rpc_uncarried_name((enum rpc_uncarried)why));
}
END_TEST

/* Tens of thousands of comparisons, no more, whatever names a caller makes up. */
START_TEST(names_made_up_to_be_slow_are_not)
{
	size_t len;
	usec_t before = suite_cpu_time();

	for (int i = 0; i < 100; i++)
		carry_entries(RPC_CARRY_ENTRIES - 2, 200, &len);
	ck_assert_uint_lt(suite_cpu_time() - before, suite_allow(200000));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    base_is_appended_to_the_request_struct,
	    all_that_is_known_stands_in_its_place,
	    what_is_not_known_is_not_said,
	    keys_are_those_of_the_header,
	    what_belongs_to_the_hop_stays_behind,
	    names_of_facts_are_no_callers_to_use,
	    of_a_repeated_key_the_last_value_is_carried_once,
	    the_request_is_found_among_other_arguments,
	    fields_255_at_other_depths_are_none_of_it,
	    an_argument_is_appended_behind_the_others,
	    what_is_no_text_would_fail_readers_that_skip_it,
	    no_byte_of_a_value_is_overlooked,
	    empty_values_are_not_there,
	    a_mesh_header_is_carried,
	    fields_of_http2_are_carried_as_keys,
	    what_was_lifted_is_carried,
	    changes_are_carried_as_a_header_would_have_them,
	    changes_hold_without_a_header_too,
	    int_keys_have_no_place_in_a_body,
	    nothing_is_lost_where_a_header_goes_out_too,
	    a_body_without_a_request_struct_is_left_alone,
	    a_field_that_is_there_twice_is_not_understood,
	    a_base_that_is_none_is_not_understood,
	    an_argument_of_another_type_is_not_understood,
	    other_payloads_and_parts_of_bodies_are_left_alone,
	    a_carrier_has_no_more_entries_than_it_may,
	    a_carrier_is_no_longer_than_it_may,
	    every_reason_that_is_a_loss_has_a_name,
	    names_made_up_to_be_slow_are_not,
	};

	return suite_run("carry", tests, sizeof tests / sizeof tests[0]);
}
