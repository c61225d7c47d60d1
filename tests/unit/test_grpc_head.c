/*
 * What header blocks of gRPC say, and blocks that are made from messages of other forms: metadata,
 * who calls whom, failures.
 */
#include "rpc/grpc_head.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "support/block.h"
#include "support/bytes.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/suite.h"
#include "wire/grpc.h"
#include "wire/kitexpb.h"
#include "wire/thrift.h"

#define REPEATED 1000u
#define ROUNDS   50u

#define FORM(transport, payload, framed) ((struct rpc_form){transport, payload, framed})

static struct block block;
static struct arena arena;
static struct field_list head, trailers;
static struct rpc_edit edit;
static struct slice path;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
	head = (struct field_list){.arena = &arena};
	trailers = (struct field_list){.arena = &arena};
	edit = (struct rpc_edit){.form = {RPC_HTTP2, RPC_THRIFT, false}};
	block = (struct block){0};
}

static void end(void)
{
	block_free(&block);
	arena_fini(&arena);
}

static void must_be(struct slice got, const char *expected)
{
	ck_assert_msg(slice_eq_str(got, expected), "\"%.*s\", not \"%s\"", (int)got.len,
	    (const char *)got.data, expected);
}

static void must_have_dropped(const unsigned *expected)
{
	for (int i = 0; i <= RPC_DROPPED_BIZ; i++)
		ck_assert_msg(edit.dropped[i] == expected[i], "class %d: %u, not %u", i,
		    edit.dropped[i], expected[i]);
}

#define MUST_HAVE_DROPPED(...) must_have_dropped((unsigned[RPC_DROPPED_BIZ + 1]){__VA_ARGS__})

/* ---- what blocks of calls say ---- */

#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const char full_call[] = ":path: /echo.v1.Echo/Say\n"
				":authority: shop.price\n"
				"content-type: application/grpc+thrift\n"
				"te: trailers\n"
				"grpc-timeout: 250m\n"
				"traceparent: " TRACEPARENT "\n"
				"stream-log-id: log-1\n"
				"source-service: shop.cart\n"
				"source-method: Add\n"
				"destination-service: shop.prices\n"
				"x-other: 1\n";

static void check_full_call(const struct rpc_message *m)
{
	must_be(m->idl_service, "echo.v1.Echo");
	must_be(m->method, "Say");
	must_be(m->authority, "shop.price");
	must_be(m->content_type, "application/grpc+thrift");
	must_be(m->trace_id, "0af7651916cd43dd8448eb211c80319c");
	must_be(m->log_id, "log-1");
	must_be(m->caller, "shop.cart");
	must_be(m->caller_method, "Add");
	must_be(m->service_asked, "shop.prices");
	ck_assert_uint_eq(m->timeout, 250 * USEC_MS);
	ck_assert(m->marks & RPC_HAS_CALLER);
}

START_TEST(a_call_says_who_calls_whom)
{
	block_make(&block, RPC_CALL, full_call);
	check_full_call(&block.message);
}
END_TEST

START_TEST(a_kept_call_says_the_same)
{
	block_make(&block, RPC_CALL, full_call);
	rpc_message_keep_head(&block.message, &arena);
	memset(block.text, 'x', strlen(block.text));
	check_full_call(&block.message);
	must_be(block.message.fields[block.message.n_fields - 1].name, "x-other");
}
END_TEST

START_TEST(a_call_may_say_nothing)
{
	const struct rpc_message *m = &block.message;

	block_make(&block, RPC_CALL, ":path: /Echo/Say\nx: destination-service\n");
	must_be(m->idl_service, "Echo");
	ck_assert_uint_eq(m->service_asked.len + m->caller.len + m->caller_method.len +
			      m->log_id.len + m->trace_id.len + m->content_type.len,
	    0);
	ck_assert(m->timeout == USEC_NONE);
	ck_assert_uint_eq(m->marks, 0);
}
END_TEST

START_TEST(of_a_repeated_field_the_first_one_counts)
{
	block_make(&block, RPC_CALL,
	    ":path: /Echo/Say\n"
	    "source-service: a\nsource-service: b\n"
	    "stream-log-id: 1\nstream-log-id: 2\n"
	    "destination-service: c\ndestination-service: d\n"
	    "source-method: m\nsource-method: n\n");
	must_be(block.message.caller, "a");
	must_be(block.message.log_id, "1");
	must_be(block.message.service_asked, "c");
	must_be(block.message.caller_method, "m");
}
END_TEST

START_TEST(a_path_without_a_service_names_nothing)
{
	static const char *const lines[] = {":path: /Say\n", ":path: /\n", ":path: *\n", ""};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		block_make(&block, RPC_CALL, lines[i]);
		ck_assert_uint_eq(block.message.idl_service.len + block.message.method.len, 0);
		block_free(&block);
	}
}
END_TEST

START_TEST(junk_in_grpc_timeout_is_no_timeout)
{
	block_make(&block, RPC_CALL, ":path: /Echo/Say\ngrpc-timeout: 0m\n");
	ck_assert(block.message.timeout == USEC_NONE);
	block_free(&block);
	block_make(&block, RPC_CALL, ":path: /Echo/Say\ngrpc-timeout: soon\n");
	ck_assert(block.message.timeout == USEC_NONE);
}
END_TEST

START_TEST(a_trace_id_may_come_as_a_transient_value)
{
	block_make(
	    &block, RPC_CALL, ":path: /Echo/Say\nrpc-transit-traceparent: " TRACEPARENT "\n");
	must_be(block.message.trace_id, "0af7651916cd43dd8448eb211c80319c");
	block_free(&block);
	block_make(&block, RPC_CALL, ":path: /Echo/Say\ntraceparent: 00-short\n");
	ck_assert_uint_eq(block.message.trace_id.len, 0);
}
END_TEST

/* ---- what blocks of replies say ---- */

static const struct {
	const char *lines;
	int64_t status;
	bool is_biz;
} ends[] = {
    {"grpc-status: 0\n", 0, false},
    {"grpc-status: 14\ngrpc-message: no%20one\n", 14, false},
    {"grpc-status: 20\n", 20, false},
    {"grpc-status: 13\nbiz-status: 404\n", 13, true},
    {"biz-status: -1\ngrpc-status: 13\n", 13, true},
    {"grpc-status: 13\nbiz-status: 0\n", 13, false},
    {"grpc-status: 13\nbiz-status: x\n", 13, false},
    {"grpc-status: \n", RPC_STATUS_NONE, false},
    {"grpc-status: -1\n", RPC_STATUS_NONE, false},
    {"grpc-status: OK\n", RPC_STATUS_NONE, false},
    {"x-grpc-status: 0\n", RPC_STATUS_NONE, false},
    {"", RPC_STATUS_NONE, false},
};

START_TEST(a_reply_says_how_the_call_went)
{
	block_make(&block, RPC_TRAILERS, ends[_i].lines);
	ck_assert_int_eq(block.message.status, ends[_i].status);
	ck_assert_int_eq(!!(block.message.marks & RPC_HAS_BIZ), ends[_i].is_biz);
}
END_TEST

START_TEST(the_text_of_a_reply_stays_as_it_came)
{
	block_make(&block, RPC_TRAILERS,
	    "grpc-message: 100%25 %zz\ngrpc-status: 2\nbiz-status: 7\nbiz-extra: {}\n");
	must_be(block.message.status_text, "100%25 %zz");
	must_be(block.message.biz_status, "7");
	rpc_message_keep_head(&block.message, &arena);
	memset(block.text, 'x', strlen(block.text));
	must_be(block.message.status_text, "100%25 %zz");
	must_be(block.message.biz_status, "7");
}
END_TEST

/* ---- blocks of calls of other forms ---- */

static struct reading reading;
static struct slice whole;

/* The message of a frame as its codec gives it out; forget_message ends it. */
static const struct rpc_message *read_message(struct frame f, const char *header)
{
	bool is_call = f.type == 1 || f.type == 4;
	struct slice sections = frame_sections(header);

	f.sections = sections;
	whole = frame_make(&f);
	reading_open(&reading, is_call ? CODEC_DOWNSTREAM : CODEC_UPSTREAM, &reading_limits);
	reading_feed(&reading, whole);
	ck_assert_uint_eq(reading.n, 1);
	ck_assert(reading.list[0].is_whole);
	frame_free(&sections);
	return &reading.list[0].message;
}

static void forget_message(void)
{
	reading_close(&reading);
	frame_free(&whole);
}

static struct frame call_frame(struct rpc_form form)
{
	return (struct frame){.form = form,
	    .type = 1,
	    .method = "Say",
	    .seq = 7,
	    .transport_seq = 7,
	    .body = BYTES(0)};
}

static bool make_call(struct rpc_form form, const char *header)
{
	static const uint8_t empty_struct[] = {0};
	struct frame f = call_frame(form);
	bool is_made;

	f.body = slice_of(empty_struct, sizeof empty_struct);
	edit.form.payload = form.payload;
	head.n = 0;
	is_made = grpc_call_fields(read_message(f, header), &edit, &head, &path);
	return is_made;
}

static const struct rpc_form in_ttheader = {RPC_TTHEADER, RPC_THRIFT, true};
static const struct rpc_form in_frame = {RPC_PLAIN, RPC_THRIFT, true};
static const struct rpc_form in_mesh = {RPC_MESH, RPC_THRIFT, true};

START_TEST(a_ttheader_call_becomes_fields)
{
	ck_assert(make_call(in_ttheader,
	    "s isn=Echo RPC_PERSIST_Lane_ID=gray RPC_TRANSIT_b=2 X-Flag=on;"
	    "i 1=framed 2=log-1 3=shop.cart 6=shop.price 9=Say 12=300 20=Add 22=1;a token"));
	must_be(path, "/Echo/Say");
	ck_assert_str_eq(block_text(&head), "content-type: application/grpc+thrift\n"
					    "te: trailers\n"
					    "grpc-timeout: 300000u\n"
					    "source-service: shop.cart\n"
					    "source-method: Add\n"
					    "destination-service: shop.price\n"
					    "stream-log-id: log-1\n"
					    "rpc-transit-gdpr-token: token\n"
					    "x-flag: on\n"
					    "rpc-transit-b: 2\n"
					    "rpc-persist-lane-id: gray\n");
	for (unsigned i = 0; i < head.n; i++) /* no compression table is to hold the token */
		ck_assert_int_eq(head.items[i].is_secret,
		    slice_eq_str(head.items[i].name, "rpc-transit-gdpr-token"));
	MUST_HAVE_DROPPED(0);
	forget_message();
}
END_TEST

START_TEST(a_framed_call_has_what_the_proxy_knows)
{
	edit.set_timeout = true;
	edit.timeout = 1500;
	edit.caller = SLICE_LIT("shop.cart");
	edit.service = SLICE_LIT("shop.price");
	edit.idl_service = SLICE_LIT("shop.v1.Price");
	edit.log_id = SLICE_LIT("made-here");
	ck_assert(make_call(in_frame, ""));
	must_be(path, "/shop.v1.Price/Say");
	ck_assert_str_eq(block_text(&head), "content-type: application/grpc+thrift\n"
					    "te: trailers\n"
					    "grpc-timeout: 1500000n\n"
					    "source-service: shop.cart\n"
					    "destination-service: shop.price\n"
					    "stream-log-id: made-here\n");
	forget_message();
}
END_TEST

START_TEST(a_framed_call_without_a_name_for_its_path_is_none)
{
	ck_assert(!make_call(in_frame, ""));
	forget_message();
	edit.idl_service = SLICE_LIT("shop v1");
	ck_assert(!make_call(in_frame, ""));
	forget_message();
	ck_assert(!make_call(in_ttheader, "s isn=a/../b"));
	forget_message();
	ck_assert(!make_call(in_ttheader, "s isn=a?b"));
	forget_message();
	ck_assert(!make_call(in_ttheader, "s isn=package.")); /* found by the fuzzer */
	forget_message();
}
END_TEST

START_TEST(the_configuration_knows_the_package)
{
	edit.idl_service = SLICE_LIT("echo.v1.Echo");
	ck_assert(make_call(in_ttheader, "s isn=Echo"));
	must_be(path, "/echo.v1.Echo/Say");
	forget_message();
	ck_assert(make_call(in_ttheader, "s isn=cho")); /* another service's name */
	must_be(path, "/cho/Say");
	forget_message();
	ck_assert(make_call(in_ttheader, "s isn=Other"));
	must_be(path, "/Other/Say");
	forget_message();
}
END_TEST

START_TEST(a_mesh_header_becomes_fields)
{
	ck_assert(make_call(in_mesh, "m isn=Echo RPC_PERSIST_a=1 k=v rip=10.0.0.1"));
	must_be(path, "/Echo/Say");
	ck_assert_str_eq(block_text(&head), "content-type: application/grpc+thrift\nte: trailers\n"
					    "k: v\nrpc-persist-a: 1\n");
	MUST_HAVE_DROPPED([RPC_DROPPED_HEADER] = 1);
	forget_message();
}
END_TEST

START_TEST(kitex_protobuf_is_plain_grpc)
{
	edit.idl_service = SLICE_LIT("Echo");
	ck_assert(make_call(FORM(RPC_PLAIN, RPC_KITEXPB, true), ""));
	ck_assert_str_eq(block_text(&head), "content-type: application/grpc\nte: trailers\n");
	forget_message();
}
END_TEST

START_TEST(the_caller_is_replaced)
{
	edit.caller = SLICE_LIT("node");
	ck_assert(make_call(in_ttheader, "s isn=Echo;i 3=forged"));
	ck_assert_ptr_nonnull(strstr(block_text(&head), "source-service: node\n"));
	ck_assert_ptr_null(strstr(block_text(&head), "forged"));
	forget_message();
}
END_TEST

START_TEST(what_has_no_place_in_a_block_is_counted)
{
	ck_assert(make_call(in_ttheader,
	    "s isn=Echo crrst=1 rip=1.2.3.4 crc32c=00000000 PV_x=1 biz-status=1 "
	    "RPC_TRANSIT_UPSTREAM_u=1 RPC_PERSIST_\xc3\xa4=1 RPC_PERSIST_=1 RPC_TRANSIT_a\x01=1 "
	    "RPC_TRANSIT_GDPR_TOKEN=forged RPC_BACKWARD_b=1 "
	    "te=1 Grpc-Status=0 grpc-trace-bin=1 source-service=x content-length=3 "
	    "connection=close :path=/x host=y rpc-persist-z=1 bad\x7fkey=1 ctl=a\x01z;"
	    "i 1=framed 9=Say 22=1 4=cluster 11=addr 999=x 2=bad\x01log"));
	ck_assert_str_eq(
	    block_text(&head), "content-type: application/grpc+thrift\nte: trailers\n");
	MUST_HAVE_DROPPED([RPC_DROPPED_PERSISTENT] = 2, [RPC_DROPPED_TRANSIENT] = 3,
	    [RPC_DROPPED_HEADER] = 13, [RPC_DROPPED_INT] = 4, [RPC_DROPPED_CHECKSUM] = 2,
	    [RPC_DROPPED_BIZ] = 1);
	forget_message();
}
END_TEST

START_TEST(a_key_too_long_for_a_field_is_counted)
{
	char header[700] = "s isn=Echo RPC_PERSIST_";

	memset(header + strlen(header), 'K', 600);
	strcat(header, "=1");
	ck_assert(make_call(in_ttheader, header));
	ck_assert_uint_eq(head.n, 2);
	MUST_HAVE_DROPPED([RPC_DROPPED_PERSISTENT] = 1);
	forget_message();
}
END_TEST

START_TEST(of_a_repeated_key_the_last_one_comes_first)
{
	ck_assert(make_call(in_ttheader, "s isn=Echo k=1 RPC_PERSIST_a=1;s k=2 RPC_PERSIST_A=2"));
	ck_assert_str_eq(block_text(&head), "content-type: application/grpc+thrift\nte: trailers\n"
					    "rpc-persist-a: 2\nk: 2\nrpc-persist-a: 1\nk: 1\n");
	forget_message();
}
END_TEST

START_TEST(a_trace_that_is_repeated_costs_no_more_each_time)
{
	static const char one[] = " RPC_TRANSIT_b3=1";
	char *header = mem_alloc(REPEATED * sizeof one + 16), *to = header;
	struct rpc_message m;
	struct slice sections;
	clock_t began;

	to += sprintf(to, "s");
	for (unsigned i = 0; i < REPEATED; i++)
		to += sprintf(to, "%s", one);
	ck_assert(make_call(in_ttheader, "s isn=Echo"));
	m = reading.list[0].message; /* it does not come whole when it is as long as this */
	m.sections = sections = frame_sections(header);
	began = clock();
	for (unsigned i = 0; i < ROUNDS; i++) {
		head.n = 0;
		ck_assert(grpc_call_fields(&m, &edit, &head, &path));
	}
	ck_assert_int_lt((clock() - began) / (CLOCKS_PER_SEC / 1000), 250); /* ms */
	ck_assert_uint_eq(head.n, 2 + 2 * REPEATED);
	frame_free(&sections);
	forget_message();
	free(header);
}
END_TEST

START_TEST(binary_values_are_written_in_base64)
{
	ck_assert(make_call(in_ttheader, "s isn=Echo x-bin=\xff\xfe RPC_PERSIST_Y_BIN=foob"));
	ck_assert_str_eq(block_text(&head), "content-type: application/grpc+thrift\nte: trailers\n"
					    "rpc-persist-y-bin: Zm9vYg\nx-bin: //4\n");
	forget_message();
}
END_TEST

/* ---- blocks of replies of other forms ---- */

static void make_reply(struct rpc_form form, unsigned type, const char *header, struct slice body)
{
	struct frame f = call_frame(form);

	f.type = type;
	f.body = body;
	edit.form.payload = form.payload;
	head.n = trailers.n = 0;
	grpc_reply_fields(read_message(f, header), &edit, &head, &trailers);
	forget_message();
}

START_TEST(a_reply_has_a_head_and_trailers)
{
	make_reply(in_frame, 2, "", BYTES(0));
	ck_assert_str_eq(block_text(&head), "content-type: application/grpc+thrift\n");
	ck_assert_str_eq(block_text(&trailers), "grpc-status: 0\n");
	make_reply(FORM(RPC_PLAIN, RPC_KITEXPB, true), 2, "", BYTES(8, 1));
	ck_assert_str_eq(block_text(&head), "content-type: application/grpc\n");
}
END_TEST

START_TEST(backward_values_come_with_and_without_their_prefix)
{
	make_reply(in_ttheader, 2, "s Kitex_Way=1 RPC_BACKWARD_VOLO_WAY=2;i 22=2", BYTES(0));
	ck_assert_str_eq(block_text(&head),
	    "content-type: application/grpc+thrift\n"
	    "rpc-backward-volo-way: 2\nrpc-backward-kitex-way: 1\n");
	MUST_HAVE_DROPPED(0);
}
END_TEST

START_TEST(nothing_private_becomes_a_backward_value)
{
	make_reply(in_ttheader, 2,
	    "s crrst=1 rip=1.2.3.4 crc32c=00000000 PV_x=1 isn=Echo biz-status=0 biz-message=m "
	    "RPC_PERSIST_p=1 RPC_TRANSIT_t=1 RPC_TRANSIT_gdpr-token=s;i 22=2 1=framed 2=log;a token",
	    BYTES(0));
	ck_assert_str_eq(block_text(&head), "content-type: application/grpc+thrift\n");
	ck_assert_str_eq(block_text(&trailers), "grpc-status: 0\n");
	MUST_HAVE_DROPPED([RPC_DROPPED_PERSISTENT] = 1, [RPC_DROPPED_TRANSIENT] = 1,
	    [RPC_DROPPED_HEADER] = 2, [RPC_DROPPED_INT] = 1, [RPC_DROPPED_ACL] = 2,
	    [RPC_DROPPED_CHECKSUM] = 2);
}
END_TEST

START_TEST(a_business_error_is_one_block)
{
	make_reply(in_ttheader, 2,
	    "s biz-status=404 biz-message=not\nhere biz-extra={\"a\":\"b\"} back=1;i 22=2",
	    BYTES(0));
	ck_assert_uint_eq(head.n, 0);
	ck_assert_str_eq(block_text(&trailers), "content-type: application/grpc+thrift\n"
						"grpc-status: 13\n"
						"grpc-message: not%0Ahere\n"
						"biz-status: 404\n"
						"biz-extra: {\"a\":\"b\"}\n"
						"rpc-backward-back: 1\n");
	MUST_HAVE_DROPPED(0);
	make_reply(in_ttheader, 2,
	    "s biz-status=1 biz-extra=a\x01"
	    "b",
	    BYTES(0));
	ck_assert_ptr_null(strstr(block_text(&trailers), "biz-extra"));
	ck_assert_ptr_nonnull(strstr(block_text(&trailers), "grpc-message: \n"));
	MUST_HAVE_DROPPED([RPC_DROPPED_BIZ] = 1);
}
END_TEST

static const struct {
	int id;
	const char *status;
} exceptions[] = {{0, "13"}, {1, "12"}, {2, "13"}, {5, "13"}, {6, "13"}, {7, "13"}, {20, "12"},
    {21, "13"}, {12007, "13"}, {-1, "13"}};

static void check_exception(struct rpc_form form, int id, const char *status)
{
	uint8_t room[64];
	struct writer w = writer_of(room, sizeof room);
	char expected[256];

	if (form.payload == RPC_KITEXPB)
		kitexpb_error_write(&w, SLICE_LIT("100% wrong"), id);
	else
		thrift_exception_write(&w, SLICE_LIT("100% wrong"), id);
	make_reply(form, 3, form.transport == RPC_TTHEADER ? "i 22=3" : "", writer_slice(&w));
	ck_assert_uint_eq(head.n, 0);
	snprintf(expected, sizeof expected,
	    "content-type: application/grpc%s\ngrpc-status: %s\ngrpc-message: 100%%25 wrong\n",
	    form.payload == RPC_THRIFT ? "+thrift" : "", status);
	ck_assert_str_eq(block_text(&trailers), expected);
}

START_TEST(exceptions_become_statuses)
{
	check_exception(in_frame, exceptions[_i].id, exceptions[_i].status);
	check_exception(in_ttheader, exceptions[_i].id, exceptions[_i].status);
	check_exception(
	    FORM(RPC_TTHEADER, RPC_KITEXPB, true), exceptions[_i].id, exceptions[_i].status);
}
END_TEST

START_TEST(an_exception_that_cannot_be_read_is_one_all_the_same)
{
	make_reply(FORM(RPC_PLAIN, RPC_KITEXPB, true), 3, "", BYTES(0xff, 0xff));
	ck_assert_uint_eq(head.n, 0);
	ck_assert_str_eq(block_text(&trailers), "content-type: application/grpc\ngrpc-status: 13\n"
						"grpc-message: an exception that cannot be read\n");
}
END_TEST

START_TEST(a_long_text_is_cut_so_that_the_block_stays_small)
{
	static uint8_t text[9000], body[9100];
	struct writer w = writer_of(body, sizeof body);
	struct slice message;

	for (size_t i = 0; i + 3 <= sizeof text; i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3);
	thrift_exception_write(&w, slice_of(text, sizeof text), 6);
	make_reply(in_frame, 3, "", writer_slice(&w));
	message = trailers.items[2].value;
	ck_assert_uint_gt(message.len, 4000);
	ck_assert_uint_le(message.len, 6 * 1024);
	ck_assert_uint_eq(message.len % 9, 0); /* no character was cut in two */
}
END_TEST

/* ---- refusals ---- */

static void refuse(
    const char *content_type, enum rpc_payload payload, enum reason reason, const char *detail)
{
	struct rpc_message call = {.form = {RPC_HTTP2, payload, false}};
	struct rpc_status why;

	call.content_type = slice_str(content_type);
	rpc_status_set(&why, reason, "%s", detail);
	head.n = 0;
	grpc_failure_fields(&call, &why, &head);
}

START_TEST(a_refusal_mirrors_the_content_type)
{
	refuse("application/grpc+proto", RPC_KITEXPB, REASON_NO_ENDPOINT, "service shop.price");
	ck_assert_str_eq(block_text(&head),
	    "content-type: application/grpc+proto\n"
	    "grpc-status: 14\n"
	    "grpc-message: bridled: no_endpoint: service discovery error: no instance available: "
	    "service shop.price\n");
	refuse("text/html", RPC_OPAQUE, REASON_DRAINING, "");
	ck_assert_str_eq(block_text(&head), "grpc-status: 14\ngrpc-message: bridled: draining\n");
}
END_TEST

START_TEST(a_refusal_for_time_has_the_words_that_clients_know)
{
	refuse("application/grpc", RPC_KITEXPB, REASON_TIMEOUT, "service a%b");
	ck_assert_str_eq(block_text(&head),
	    "content-type: application/grpc\n"
	    "grpc-status: 4\n"
	    "grpc-message: bridled: timeout: rpc timeout: context deadline exceeded: service "
	    "a%25b\n");
	refuse("application/grpc", RPC_KITEXPB, REASON_CALLER_DEADLINE, "");
	ck_assert_ptr_nonnull(strstr(block_text(&head), "context deadline exceeded\n"));
}
END_TEST

START_TEST(every_refusal_fits_a_block)
{
	char detail[512];

	memset(detail, '\n', sizeof detail - 1);
	detail[sizeof detail - 1] = '\0';
	for (int i = REASON_OK + 1; i < REASON_COUNT; i++) {
		refuse("application/grpc", RPC_KITEXPB, (enum reason)i, detail);
		ck_assert_uint_eq(head.n, 3);
		ck_assert_uint_lt(head.items[2].value.len, 3 * RPC_STATUS_TEXT_MAX);
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_call_says_who_calls_whom, 1},
	    {a_kept_call_says_the_same, 1},
	    {a_call_may_say_nothing, 1},
	    {of_a_repeated_field_the_first_one_counts, 1},
	    {a_path_without_a_service_names_nothing, 1},
	    {junk_in_grpc_timeout_is_no_timeout, 1},
	    {a_trace_id_may_come_as_a_transient_value, 1},
	    {a_reply_says_how_the_call_went, ARRAY_LEN(ends)},
	    {the_text_of_a_reply_stays_as_it_came, 1},
	    {a_ttheader_call_becomes_fields, 1},
	    {a_framed_call_has_what_the_proxy_knows, 1},
	    {a_framed_call_without_a_name_for_its_path_is_none, 1},
	    {the_configuration_knows_the_package, 1},
	    {a_mesh_header_becomes_fields, 1},
	    {kitex_protobuf_is_plain_grpc, 1},
	    {the_caller_is_replaced, 1},
	    {what_has_no_place_in_a_block_is_counted, 1},
	    {a_key_too_long_for_a_field_is_counted, 1},
	    {of_a_repeated_key_the_last_one_comes_first, 1},
	    {a_trace_that_is_repeated_costs_no_more_each_time, 1},
	    {binary_values_are_written_in_base64, 1},
	    {a_reply_has_a_head_and_trailers, 1},
	    {backward_values_come_with_and_without_their_prefix, 1},
	    {nothing_private_becomes_a_backward_value, 1},
	    {a_business_error_is_one_block, 1},
	    {exceptions_become_statuses, ARRAY_LEN(exceptions)},
	    {an_exception_that_cannot_be_read_is_one_all_the_same, 1},
	    {a_long_text_is_cut_so_that_the_block_stays_small, 1},
	    {a_refusal_mirrors_the_content_type, 1},
	    {a_refusal_for_time_has_the_words_that_clients_know, 1},
	    {every_refusal_fits_a_block, 1},
	};

	return suite_run_between("grpc_head", tests, ARRAY_LEN(tests), begin, end);
}
