/*
 * Whole gRPC calls and replies as unary ones: what is taken for one, and the bytes that go out in
 * each form. What is kept on the way there and back: test_convert_back.c.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "rpc/metadata.h"
#include "support/block.h"
#include "support/bytes.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/suite.h"
#include "wire/kitexpb.h"
#include "wire/thrift.h"

static struct block block, end_block;
static struct arena arena;
static struct written out;
static struct slice body;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
	out = (struct written){0};
	block = end_block = (struct block){0};
	body = SLICE_NONE;
}

static void end(void)
{
	block_free(&block);
	block_free(&end_block);
	frame_free(&body);
	written_fini(&out);
	arena_fini(&arena);
}

static const struct rpc_form thrift_grpc = {RPC_HTTP2, RPC_THRIFT, false};
static const struct rpc_form protobuf_grpc = {RPC_HTTP2, RPC_KITEXPB, false};
static const struct rpc_form in_ttheader = {RPC_TTHEADER, RPC_THRIFT, true};

/* ---- which forms become which ---- */

START_TEST(unary_forms_and_grpc_of_one_payload_become_each_other)
{
	for (size_t i = 0; i < frame_n_forms; i++) {
		struct rpc_form f = frame_forms[i];
		bool is_thrift = f.payload == RPC_THRIFT, is_mesh = f.transport == RPC_MESH;

		ck_assert_int_eq(codec_can_convert(f, thrift_grpc), is_thrift);
		ck_assert_int_eq(codec_can_convert(f, protobuf_grpc), !is_thrift);
		ck_assert_int_eq(codec_can_convert(thrift_grpc, f), is_thrift && !is_mesh);
		ck_assert_int_eq(codec_can_convert(protobuf_grpc, f), !is_thrift && !is_mesh);
	}
	ck_assert(
	    !codec_can_convert(protobuf_grpc, (struct rpc_form){RPC_TTHEADER, RPC_KITEXPB, false}));
	ck_assert(codec_can_convert(thrift_grpc, thrift_grpc));
	ck_assert(!codec_can_convert(thrift_grpc, protobuf_grpc));
}
END_TEST

START_TEST(streams_of_ttheader_and_plain_http_become_nothing_else)
{
	const struct rpc_form stream = {RPC_TTSTREAM, RPC_THRIFT, false};
	const struct rpc_form http = {RPC_HTTP2, RPC_OPAQUE, false};

	ck_assert(codec_can_convert(stream, stream) && codec_can_convert(http, http));
	ck_assert(
	    !codec_can_convert(stream, thrift_grpc) && !codec_can_convert(thrift_grpc, stream));
	ck_assert(
	    !codec_can_convert(http, protobuf_grpc) && !codec_can_convert(protobuf_grpc, http));
	for (size_t i = 0; i < frame_n_forms; i++) {
		ck_assert(!codec_can_convert(stream, frame_forms[i]));
		ck_assert(!codec_can_convert(frame_forms[i], stream));
		ck_assert(!codec_can_convert(http, frame_forms[i]));
	}
}
END_TEST

/* ---- calls ---- */

static const uint8_t args[] = {0x0b, 0, 1, 0, 0, 0, 2, 'h', 'i', 0};

static void make_call(const char *lines, uint8_t flag, struct slice message)
{
	block_free(&block);
	frame_free(&body);
	block_make(&block, RPC_CALL, lines);
	body = block_body(flag, message);
	block.message.body = body;
	block.message.body_len = RPC_LENGTH_UNKNOWN;
}

START_TEST(one_message_becomes_the_body_of_a_call)
{
	make_call(":path: /Echo/Say\n", 0, slice_of(args, sizeof args));
	ck_assert_ptr_null(rpc_call_from_grpc(&block.message));
	ck_assert(slice_eq(block.message.body, slice_of(args, sizeof args)));
	ck_assert_uint_eq(block.message.body_len, sizeof args);
	ck_assert(block.message.complete);
	ck_assert_int_eq(block.message.seq, 1);
	ck_assert_int_eq(block.message.transport_seq, 1);
}
END_TEST

START_TEST(an_empty_message_is_one_in_protobuf_only)
{
	make_call(":path: /Echo/Say\ncontent-type: application/grpc\n", 0, SLICE_NONE);
	ck_assert_ptr_null(rpc_call_from_grpc(&block.message));
	ck_assert_uint_eq(block.message.body_len, 0);
	make_call(":path: /Echo/Say\n", 0, SLICE_NONE);
	ck_assert_ptr_nonnull(rpc_call_from_grpc(&block.message));
}
END_TEST

static const struct {
	const char *what;
	uint8_t len, bytes[24];
} bad_bodies[] = {
    {"no message", 0, {0}},
    {"half a prefix", 4, {0, 0, 0, 0}},
    {"cut", 6, {0, 0, 0, 0, 2, 0}},
    {"compressed", 6, {1, 0, 0, 0, 1, 0}},
    {"unknown flag", 6, {2, 0, 0, 0, 1, 0}},
    {"two messages", 12, {0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0}},
    {"a byte behind", 7, {0, 0, 0, 0, 1, 0, 0}},
    {"no struct", 6, {0, 0, 0, 0, 1, 0xff}},
    {"half a struct", 8, {0, 0, 0, 0, 3, 0x08, 0, 1}},
    {"bytes behind the struct", 7, {0, 0, 0, 0, 2, 0, 0}},
};

START_TEST(what_is_not_one_whole_message_is_refused)
{
	make_call(":path: /Echo/Say\n", 0, SLICE_NONE);
	block.message.body = slice_of(bad_bodies[_i].bytes, bad_bodies[_i].len);
	ck_assert_msg(rpc_call_from_grpc(&block.message) != NULL, "%s", bad_bodies[_i].what);
}
END_TEST

/* The message written is this frame with this header. */
static void must_have_written(struct frame f, const char *header)
{
	struct slice sections = frame_sections(header), expected;

	f.sections = sections;
	expected = frame_make(&f);
	ck_assert_msg(
	    slice_eq(written_slice(&out), expected), "%s: other bytes", frame_form_name(f.form));
	frame_free(&expected);
	frame_free(&sections);
}

static void must_have_dropped(const struct rpc_edit *edit, const unsigned *expected)
{
	for (int i = 0; i <= RPC_DROPPED_BIZ; i++)
		ck_assert_msg(edit->dropped[i] == expected[i], "class %d: %u, not %u", i,
		    edit->dropped[i], expected[i]);
}

#define MUST_HAVE_DROPPED(edit, ...)                                                               \
	must_have_dropped(edit, (unsigned[RPC_DROPPED_BIZ + 1]){__VA_ARGS__})

#define CALL_LINES                                                                                 \
	":path: /echo.v1.Echo/Say\n"                                                               \
	"user-agent: kitex/v0.16.3\n"                                                              \
	"te: trailers\n"                                                                           \
	"grpc-timeout: 250m\n"                                                                     \
	"grpc-accept-encoding: gzip\n"                                                             \
	"source-service: shop.cart\n"                                                              \
	"source-method: Add\n"                                                                     \
	"destination-service: shop.price\n"                                                        \
	"destination-method: Say\n"                                                                \
	"stream-log-id: log-1\n"                                                                   \
	"rpc-persist-lane-id: gray\n"                                                              \
	"rpc-transit-b: 2\n"                                                                       \
	"rpc-transit-gdpr-token: token\n"                                                          \
	"x-flag: on\n"

static struct frame say(struct rpc_form form, unsigned type, int32_t seq)
{
	return (struct frame){.form = form,
	    .type = type,
	    .method = "Say",
	    .seq = seq,
	    .transport_seq = seq,
	    .body = slice_of(args, sizeof args)};
}

static const char *header_of_call(struct rpc_form form)
{
	static char text[512];

	if (form.transport == RPC_PLAIN)
		return "";
	snprintf(text, sizeof text,
	    "s x-flag=on RPC_TRANSIT_B=2 RPC_PERSIST_LANE_ID=gray isn=Echo rip=10.0.0.9;"
	    "i 1=%s 3=shop.cart 6=shop.price 9=Say 2=log-1 12=200 20=Add 22=1;a token",
	    form.framed ? "framed" : "unframed");
	return text;
}

START_TEST(a_grpc_call_goes_out_in_every_form)
{
	for (size_t i = 0; i < frame_n_forms; i++) {
		struct rpc_form form = frame_forms[i];
		struct rpc_edit edit = {.form = form,
		    .set_timeout = true,
		    .timeout_ms = 200,
		    .service = SLICE_LIT("not asked for"),
		    .idl_service = SLICE_LIT("NotAsked"),
		    .log_id = SLICE_LIT("other"),
		    .rip = SLICE_LIT("10.0.0.9")};

		if (form.transport == RPC_MESH)
			continue;
		make_call(form.payload == RPC_THRIFT
			      ? "content-type: application/grpc+thrift\n" CALL_LINES
			      : "content-type: application/grpc\n" CALL_LINES,
		    0, slice_of(args, sizeof args));
		ck_assert(codec_can_convert(block.message.form, form));
		ck_assert_ptr_null(rpc_call_from_grpc(&block.message));
		ck_assert(written_message(&out, &block.message, &edit, CODEC_UPSTREAM));
		must_have_written(say(form, 1, 1), header_of_call(form));
		if (form.transport == RPC_PLAIN)
			MUST_HAVE_DROPPED(
			    &edit, [RPC_DROPPED_PERSISTENT] = 1, [RPC_DROPPED_TRANSIENT] = 1,
			    [RPC_DROPPED_ACL] = 1, [RPC_DROPPED_HEADER] = 1, [RPC_DROPPED_INT] = 5);
		else
			MUST_HAVE_DROPPED(&edit, 0);
	}
}
END_TEST

START_TEST(a_grpc_call_is_renumbered)
{
	struct rpc_edit edit = {.form = in_ttheader,
	    .renumber = true,
	    .seq = 77,
	    .transport_seq = 77,
	    .out_of_order = true};
	struct frame f = say(in_ttheader, 1, 77);

	make_call(":path: /Echo/Say\n", 0, slice_of(args, sizeof args));
	ck_assert_ptr_null(rpc_call_from_grpc(&block.message));
	ck_assert(written_message(&out, &block.message, &edit, CODEC_UPSTREAM));
	f.flags = 1;
	must_have_written(f, "s isn=Echo;i 1=framed 9=Say 22=1");
}
END_TEST

START_TEST(what_a_grpc_caller_states_of_itself_may_be_replaced)
{
	struct rpc_edit edit = {.form = in_ttheader, .caller = SLICE_LIT("node")};

	make_call(":path: /Echo/Say\nsource-service: forged\ngrpc-timeout: 1500u\n", 0,
	    slice_of(args, sizeof args));
	ck_assert_ptr_null(rpc_call_from_grpc(&block.message));
	ck_assert(written_message(&out, &block.message, &edit, CODEC_UPSTREAM));
	must_have_written(say(in_ttheader, 1, 1), "s isn=Echo;i 1=framed 3=node 9=Say 12=2 22=1");
}
END_TEST

START_TEST(fields_that_would_mean_something_else_in_a_ttheader_are_dropped)
{
	struct rpc_edit edit = {.form = in_ttheader};

	make_call(
	    ":path: /Echo/Say\n"
	    "isn: Other\nrip: 1.2.3.4\ncrrst: 1\ncrc32c: 00000000\nbiz-status: 1\n"
	    "biz-message: m\nrpc-transit-upstream-u: 1\nrpc-backward-b: 1\nrpc-persist-: 1\n"
	    "grpc-trace-bin: AAAA\nconnection: close\ndestination-addr: a\nx-bin: no base64\n",
	    0, slice_of(args, sizeof args));
	ck_assert_ptr_null(rpc_call_from_grpc(&block.message));
	ck_assert(written_message(&out, &block.message, &edit, CODEC_UPSTREAM));
	must_have_written(say(in_ttheader, 1, 1), "s isn=Echo;i 1=framed 9=Say 22=1");
	MUST_HAVE_DROPPED(&edit, [RPC_DROPPED_HEADER] = 8, [RPC_DROPPED_BIZ] = 2,
	    [RPC_DROPPED_PERSISTENT] = 1, [RPC_DROPPED_TRANSIENT] = 1, [RPC_DROPPED_INT] = 1);
}
END_TEST

START_TEST(of_a_repeated_field_the_first_value_comes_last)
{
	struct rpc_edit edit = {.form = in_ttheader};

	make_call(":path: /Echo/Say\nk: 1\nk: 2\nrpc-transit-gdpr-token: t\n"
		  "rpc-transit-gdpr-token: u\n",
	    0, slice_of(args, sizeof args));
	ck_assert_ptr_null(rpc_call_from_grpc(&block.message));
	ck_assert(written_message(&out, &block.message, &edit, CODEC_UPSTREAM));
	must_have_written(say(in_ttheader, 1, 1), "s k=2 k=1 isn=Echo;i 1=framed 9=Say 22=1;a t");
}
END_TEST

START_TEST(a_field_too_long_for_a_key_is_counted)
{
	struct rpc_edit edit = {.form = in_ttheader};
	char lines[700] = ":path: /Echo/Say\nrpc-persist-";

	memset(lines + strlen(lines), 'k', 600);
	strcat(lines, ": 1\n");
	make_call(lines, 0, slice_of(args, sizeof args));
	ck_assert_ptr_null(rpc_call_from_grpc(&block.message));
	ck_assert(written_message(&out, &block.message, &edit, CODEC_UPSTREAM));
	must_have_written(say(in_ttheader, 1, 1), "s isn=Echo;i 1=framed 9=Say 22=1");
	MUST_HAVE_DROPPED(&edit, [RPC_DROPPED_PERSISTENT] = 1);
}
END_TEST

START_TEST(binary_fields_bring_their_bytes)
{
	struct rpc_edit edit = {.form = in_ttheader};

	make_call(":path: /Echo/Say\nx-bin: //4=\nrpc-persist-y-bin: Zm9vYg\n", 0,
	    slice_of(args, sizeof args));
	ck_assert_ptr_null(rpc_call_from_grpc(&block.message));
	ck_assert(written_message(&out, &block.message, &edit, CODEC_UPSTREAM));
	must_have_written(say(in_ttheader, 1, 1),
	    "s RPC_PERSIST_Y_BIN=foob x-bin=\xff\xfe isn=Echo;i 1=framed 9=Say 22=1");
}
END_TEST

#define REPEATED 1000u
#define ROUNDS   20u

START_TEST(a_trace_that_is_repeated_has_room_and_costs_no_more_each_time)
{
	static const char one[] = "b3: 1\n";
	char *lines = mem_alloc(REPEATED * (sizeof one - 1) + 32), *to = lines;
	clock_t began;

	to += sprintf(to, ":path: /Echo/Say\n");
	for (unsigned i = 0; i < REPEATED; i++)
		to += sprintf(to, "%s", one);
	make_call(lines, 0, slice_of(args, sizeof args));
	ck_assert_ptr_null(rpc_call_from_grpc(&block.message));
	began = clock();
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct rpc_edit edit = {.form = in_ttheader};

		written_fini(&out);
		out = (struct written){0};
		ck_assert(written_message(&out, &block.message, &edit, CODEC_UPSTREAM));
		MUST_HAVE_DROPPED(&edit, 0);
	}
	ck_assert_int_lt((clock() - began) / (CLOCKS_PER_SEC / 1000), 250); /* ms */
	ck_assert_uint_gt(written_slice(&out).len, REPEATED * strlen("..RPC_TRANSIT_b3..1"));
	free(lines);
}
END_TEST

START_TEST(a_method_too_long_for_thrift_is_not_written)
{
	struct rpc_edit edit = {.form = {RPC_PLAIN, RPC_THRIFT, true}};
	char lines[400] = ":path: /Echo/";

	memset(lines + strlen(lines), 'm', THRIFT_METHOD_MAX + 1);
	strcat(lines, "\n");
	make_call(lines, 0, slice_of(args, sizeof args));
	ck_assert_ptr_null(rpc_call_from_grpc(&block.message));
	ck_assert(!written_message(&out, &block.message, &edit, CODEC_UPSTREAM));
	ck_assert_uint_eq(out.len, 0);
}
END_TEST

/* ---- replies ---- */

static const char head_lines[] = ":status: 200\ncontent-type: application/grpc+thrift\n"
				 "rpc-backward-lane-id: gray\nserver: x\n";

/* NULL for @trailers: the head is all. Then what rpc_reply_from_grpc says. */
static const char *make_reply(const char *lines, const char *trailers, struct slice bytes)
{
	const char *why;

	block_free(&block);
	block_free(&end_block);
	block_make(&block, RPC_REPLY, lines);
	if (trailers)
		block_make(&end_block, RPC_TRAILERS, trailers);
	block.message.body = bytes;
	block.message.body_len = RPC_LENGTH_UNKNOWN;
	block.message.method = SLICE_LIT("Say");
	block.message.seq = 7;
	why = rpc_reply_from_grpc(&block.message, trailers ? &end_block.message : NULL, &arena);
	if (trailers) /* its views end with the event */
		memset(end_block.text, 'x', strlen(end_block.text));
	return why;
}

static struct slice one_message(void)
{
	frame_free(&body);
	body = block_body(0, slice_of(args, sizeof args));
	return body;
}

static void must_reply(struct rpc_form form, unsigned type, struct slice bytes, const char *header)
{
	struct rpc_edit edit = {.form = form};
	struct frame f = say(form, type, 7);

	f.body = bytes;
	ck_assert(written_message(&out, &block.message, &edit, CODEC_DOWNSTREAM));
	must_have_written(f, form.transport == RPC_TTHEADER ? header : "");
}

/* In all forms that a caller of this payload may have. */
static void must_reply_everywhere(
    enum rpc_payload payload, unsigned type, struct slice bytes, const char *header)
{
	for (size_t i = 0; i < frame_n_forms; i++)
		if (frame_forms[i].payload == payload && frame_forms[i].transport != RPC_MESH)
			must_reply(frame_forms[i], type, bytes, header);
}

START_TEST(a_grpc_reply_goes_out_in_every_form)
{
	struct rpc_edit edit = {.form = {RPC_PLAIN, RPC_THRIFT, true}};

	ck_assert_ptr_null(make_reply(
	    head_lines, "grpc-status: 0\ngrpc-message: \nrpc-backward-t: 1\n", one_message()));
	ck_assert_int_eq(block.message.kind, RPC_REPLY);
	must_reply_everywhere(
	    RPC_THRIFT, 2, slice_of(args, sizeof args), "s T=1 LANE_ID=gray;i 22=2");
	ck_assert(written_message(&out, &block.message, &edit, CODEC_DOWNSTREAM));
	MUST_HAVE_DROPPED(&edit, [RPC_DROPPED_HEADER] = 3);
	edit = (struct rpc_edit){.form = in_ttheader};
	ck_assert(written_message(&out, &block.message, &edit, CODEC_DOWNSTREAM));
	MUST_HAVE_DROPPED(&edit, [RPC_DROPPED_HEADER] = 1);
}
END_TEST

START_TEST(a_protobuf_reply_may_be_empty)
{
	static const uint8_t empty[] = {0, 0, 0, 0, 0};

	ck_assert_ptr_null(make_reply(":status: 200\ncontent-type: application/grpc\n",
	    "grpc-status: 0\n", slice_of(empty, sizeof empty)));
	must_reply_everywhere(RPC_KITEXPB, 2, SLICE_NONE, "i 22=2");
}
END_TEST

START_TEST(no_private_field_becomes_a_key_of_a_reply)
{
	struct rpc_edit edit = {.form = in_ttheader};

	ck_assert_ptr_null(make_reply(
	    ":status: 200\ncontent-type: application/grpc+thrift\nisn: a\ncrrst: 1\nrip: b\n"
	    "biz-status: 0\nbiz-message: m\nx-internal: secret\nrpc-persist-p: 1\nrpc-transit-t: 1\n"
	    "rpc-backward-rpc-persist-p: 1\nrpc-backward-pv-x: 1\nrpc-backward-: 1\ndate: now\n",
	    "grpc-status: 0\ngrpc-trace-bin: AAAA\nset-cookie: secret\n", one_message()));
	ck_assert(written_message(&out, &block.message, &edit, CODEC_DOWNSTREAM));
	must_have_written(say(in_ttheader, 2, 7), "i 22=2");
}
END_TEST

static struct slice exception_body(enum rpc_payload payload, const char *text, int32_t id)
{
	static uint8_t room[512];
	struct writer w = writer_of(room, sizeof room);

	if (payload == RPC_KITEXPB)
		kitexpb_error_write(&w, slice_str(text), id);
	else
		thrift_exception_write(&w, slice_str(text), id);
	return writer_slice(&w);
}

static const struct {
	const char *trailers, *text;
	int32_t id;
} failures[] = {
    {"grpc-status: 12\ngrpc-message: no such%20method\n", "no such method", 1},
    {"grpc-status: 13\ngrpc-message: 100%25\n", "100%", 6},
    {"grpc-status: 1\ngrpc-message: unknown method\n", "unknown method", 6},
    {"grpc-status: 20\ngrpc-message: x\n", "x", 6},
    {"grpc-status: 4\ngrpc-message: context deadline exceeded\n", "context deadline exceeded", 6},
    {"grpc-status: 14\n", "grpc-status 14", 6},
    {"grpc-status: 14\ngrpc-message: \n", "grpc-status 14", 6},
    {"grpc-status: 13\nbiz-status: 0\ngrpc-message: a\n", "a", 6},
    {"grpc-status: 13\nbiz-status: x\ngrpc-message: a\n", "a", 6},
};

START_TEST(statuses_become_exceptions)
{
	static const char *const heads[] = {":status: 200\ncontent-type: application/grpc+thrift\n",
	    ":status: 200\ncontent-type: application/grpc\n"};
	char only[256];

	for (int i = 0; i < 2; i++) {
		enum rpc_payload payload = i == 0 ? RPC_THRIFT : RPC_KITEXPB;
		struct slice expected = exception_body(payload, failures[_i].text, failures[_i].id);

		snprintf(only, sizeof only, "%s%s", heads[i], failures[_i].trailers);
		ck_assert_ptr_null(make_reply(heads[i], failures[_i].trailers, SLICE_NONE));
		ck_assert_int_eq(codec_exception_id(&block.message), failures[_i].id);
		must_reply_everywhere(payload, 3, expected, "i 22=3");
		/* Also when the head is all, and when messages came before it. */
		ck_assert_ptr_null(make_reply(only, NULL, SLICE_NONE));
		must_reply_everywhere(payload, 3, expected, "i 22=3");
		ck_assert_ptr_null(make_reply(heads[i], failures[_i].trailers, one_message()));
		must_reply_everywhere(payload, 3, expected, "i 22=3");
	}
}
END_TEST

START_TEST(a_text_of_any_length_becomes_an_exception)
{
	static char trailers[60000];
	struct rpc_edit edit = {.form = in_ttheader};
	struct slice text;
	int32_t id;

	strcpy(trailers, "grpc-status: 13\ngrpc-message: ");
	memset(trailers + strlen(trailers), 'x', 50000);
	strcat(trailers, "\n");
	ck_assert_ptr_null(make_reply(head_lines, trailers, SLICE_NONE));
	ck_assert(written_message(&out, &block.message, &edit, CODEC_DOWNSTREAM));
	ck_assert_uint_gt(out.len, 50000);
	ck_assert(thrift_exception_read(
	    slice_from(written_slice(&out), out.len - 50000 - 15), &text, &id));
	ck_assert_uint_eq(text.len, 50000);
}
END_TEST

/* Protobuf's readers refuse strings that are not. */
START_TEST(a_text_becomes_utf8)
{
	static const char *const texts[][2] = {
	    {"%E4%BD%A0%C3%A4%F0%9F%98%80", "\xe4\xbd\xa0\xc3\xa4\xf0\x9f\x98\x80"},
	    {"a%FFb", "a?b"},
	    {"%E4%BD", "??"},
	    {"%C0%80", "??"},         /* longer than need be */
	    {"%E0%80%80", "???"},     /* longer than need be */
	    {"%ED%A0%80", "???"},     /* half a surrogate pair */
	    {"%F4%90%80%80", "????"}, /* past the last character */
	    {"%E4x%BD%A0", "?x??"},
	    {"%F0%9F%98%C3%A4", "???\xc3\xa4"},
	};
	char trailers[128];

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		snprintf(
		    trailers, sizeof trailers, "grpc-status: 13\ngrpc-message: %s\n", texts[i][0]);
		ck_assert_ptr_null(make_reply(head_lines, trailers, SLICE_NONE));
		ck_assert_msg(
		    slice_eq_str(block.message.status_text, texts[i][1]), "%s", texts[i][0]);
	}
}
END_TEST

static const char biz_trailers[] = "grpc-status: 13\ngrpc-message: not%20here\nbiz-status: 404\n"
				   "biz-extra: {\"a\":\"b\"}\nrpc-backward-t: 1\n";

START_TEST(a_business_error_keeps_its_status_in_a_ttheader)
{
	ck_assert_ptr_null(make_reply(head_lines, biz_trailers, SLICE_NONE));
	ck_assert_int_eq(block.message.kind, RPC_REPLY);
	ck_assert(block.message.marks & RPC_HAS_BIZ);
	ck_assert(slice_eq_str(block.message.biz_status, "404"));
	ck_assert(slice_eq_str(block.message.biz_message, "not here"));
	block.message.biz_message = SLICE_LIT("not_here"); /* what frame_sections can say */
	must_reply(in_ttheader, 2, BYTES(0),
	    "s T=1 LANE_ID=gray biz-status=404 biz-message=not_here biz-extra={\"a\":\"b\"};i 22=2");
	must_reply((struct rpc_form){RPC_TTHEADER, RPC_THRIFT, false}, 2, BYTES(0),
	    "s T=1 LANE_ID=gray biz-status=404 biz-message=not_here biz-extra={\"a\":\"b\"};i 22=2");
}
END_TEST

START_TEST(a_business_error_in_protobuf_has_no_body)
{
	ck_assert_ptr_null(make_reply(":status: 200\ncontent-type: application/grpc\n"
				      "grpc-status: 13\nbiz-status: 5\ngrpc-message: m\n",
	    NULL, SLICE_NONE));
	must_reply((struct rpc_form){RPC_TTHEADER, RPC_KITEXPB, true}, 2, SLICE_NONE,
	    "s biz-status=5 biz-message=m;i 22=2");
}
END_TEST

START_TEST(a_business_error_where_there_is_no_header_is_counted)
{
	struct rpc_edit edit = {.form = {RPC_PLAIN, RPC_THRIFT, true}};

	ck_assert_ptr_null(make_reply(head_lines, biz_trailers, SLICE_NONE));
	ck_assert(written_message(&out, &block.message, &edit, CODEC_DOWNSTREAM));
	MUST_HAVE_DROPPED(&edit, [RPC_DROPPED_BIZ] = 2, [RPC_DROPPED_HEADER] = 3);
}
END_TEST

/* Kitex takes grpc-status 0 for the end of the messages, whatever stands beside it. */
START_TEST(a_business_error_needs_a_status_that_is_not_0)
{
	ck_assert_ptr_null(
	    make_reply(head_lines, "grpc-status: 0\nbiz-status: 404\n", one_message()));
	ck_assert_int_eq(block.message.kind, RPC_REPLY);
	ck_assert(!(block.message.marks & RPC_HAS_BIZ));
	must_reply(in_ttheader, 2, slice_of(args, sizeof args), "s LANE_ID=gray;i 22=2");
}
END_TEST

START_TEST(http_errors_without_a_status_are_mapped)
{
	static const struct {
		const char *head, *text;
		int32_t id;
	} errors[] = {
	    {":status: 404\ncontent-type: text/html\n", "HTTP status 404 without a grpc-status", 1},
	    {":status: 503\n", "HTTP status 503 without a grpc-status", 6},
	    {":status: 400\n", "HTTP status 400 without a grpc-status", 6},
	    {":status: 500\nbiz-status: 7\n", "HTTP status 500 without a grpc-status", 6},
	};

	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		ck_assert_ptr_null(make_reply(errors[i].head, NULL, SLICE_NONE));
		must_reply(in_ttheader, 3, exception_body(RPC_THRIFT, errors[i].text, errors[i].id),
		    "i 22=3");
		ck_assert_ptr_null(make_reply(errors[i].head, "x: y\n", SLICE_LIT("<html>")));
		ck_assert_int_eq(codec_exception_id(&block.message), errors[i].id);
	}
}
END_TEST

START_TEST(what_is_no_reply_is_said_to_be_none)
{
	static const uint8_t compressed[] = {1, 0, 0, 0, 1, 0};

	ck_assert_ptr_nonnull(make_reply(head_lines, NULL, one_message()));
	ck_assert_ptr_nonnull(make_reply(head_lines, "x: y\n", one_message()));
	ck_assert_ptr_nonnull(make_reply(head_lines, "grpc-status: x\n", one_message()));
	ck_assert_ptr_nonnull(make_reply(head_lines, "grpc-status: 0\n", SLICE_NONE));
	ck_assert_ptr_nonnull(
	    make_reply(head_lines, "grpc-status: 0\n", slice_of(compressed, sizeof compressed)));
	for (size_t i = 0; i < ARRAY_LEN(bad_bodies); i++)
		ck_assert_msg(make_reply(head_lines, "grpc-status: 0\n",
				  slice_of(bad_bodies[i].bytes, bad_bodies[i].len)) != NULL,
		    "%s", bad_bodies[i].what);
}
END_TEST

START_TEST(a_draining_proxy_says_so_in_the_new_header)
{
	struct rpc_edit edit = {.form = in_ttheader, .add_crrst = true, .strip_crrst = true};

	ck_assert_ptr_null(make_reply(":status: 200\n", "grpc-status: 0\n", one_message()));
	ck_assert(written_message(&out, &block.message, &edit, CODEC_DOWNSTREAM));
	must_have_written(say(in_ttheader, 2, 7), "s crrst=1;i 22=2");
}
END_TEST

/* ---- statuses ---- */

START_TEST(exceptions_come_back_as_the_table_says)
{
	static const int32_t ids[][2] = {
	    {0, 6}, {1, 1}, {2, 6}, {5, 6}, {6, 6}, {7, 6}, {20, 1}, {21, 6}, {-7, 6}};
	struct field_list head = {.arena = &arena}, trailers = {.arena = &arena};

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct rpc_edit edit = {.form = thrift_grpc};
		struct rpc_message m = {
		    .form = in_ttheader, .kind = RPC_EXCEPTION, .complete = true};
		struct rpc_message back = {.form = thrift_grpc, .http_status = 200};

		head.n = trailers.n = 0;
		m.body = exception_body(RPC_THRIFT, "bad \xe4\xbd\xa0\n100% ", ids[i][0]);
		grpc_reply_fields(&m, &edit, &head, &trailers);
		back.fields = trailers.items;
		back.n_fields = trailers.n;
		grpc_note_reply(&back);
		ck_assert_ptr_null(rpc_reply_from_grpc(&back, NULL, &arena));
		ck_assert_int_eq(codec_exception_id(&back), ids[i][1]);
		ck_assert(slice_eq_str(back.status_text, "bad \xe4\xbd\xa0\n100% "));
	}
}
END_TEST

static unsigned status_of(enum rpc_kind kind, unsigned marks, struct slice bytes)
{
	struct rpc_message m = {
	    .form = in_ttheader, .kind = kind, .marks = marks, .complete = true};

	m.body = bytes;
	return rpc_grpc_status_of(&m);
}

START_TEST(a_unary_reply_has_a_status_too)
{
	ck_assert_uint_eq(status_of(RPC_REPLY, 0, SLICE_NONE), 0);
	ck_assert_uint_eq(status_of(RPC_REPLY, RPC_HAS_BIZ, SLICE_NONE), 13);
	ck_assert_uint_eq(status_of(RPC_EXCEPTION, 0, exception_body(RPC_THRIFT, "x", 20)), 12);
	ck_assert_uint_eq(status_of(RPC_EXCEPTION, 0, exception_body(RPC_THRIFT, "x", 6)), 13);
	ck_assert_uint_eq(status_of(RPC_EXCEPTION, 0, BYTES(0xff)), 13);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {unary_forms_and_grpc_of_one_payload_become_each_other, 1},
	    {streams_of_ttheader_and_plain_http_become_nothing_else, 1},
	    {one_message_becomes_the_body_of_a_call, 1},
	    {an_empty_message_is_one_in_protobuf_only, 1},
	    {what_is_not_one_whole_message_is_refused, ARRAY_LEN(bad_bodies)},
	    {a_grpc_call_goes_out_in_every_form, 1},
	    {a_grpc_call_is_renumbered, 1},
	    {what_a_grpc_caller_states_of_itself_may_be_replaced, 1},
	    {fields_that_would_mean_something_else_in_a_ttheader_are_dropped, 1},
	    {of_a_repeated_field_the_first_value_comes_last, 1},
	    {a_field_too_long_for_a_key_is_counted, 1},
	    {binary_fields_bring_their_bytes, 1},
	    {a_trace_that_is_repeated_has_room_and_costs_no_more_each_time, 1},
	    {a_method_too_long_for_thrift_is_not_written, 1},
	    {a_grpc_reply_goes_out_in_every_form, 1},
	    {a_protobuf_reply_may_be_empty, 1},
	    {no_private_field_becomes_a_key_of_a_reply, 1},
	    {statuses_become_exceptions, ARRAY_LEN(failures)},
	    {a_text_of_any_length_becomes_an_exception, 1},
	    {a_text_becomes_utf8, 1},
	    {a_business_error_keeps_its_status_in_a_ttheader, 1},
	    {a_business_error_in_protobuf_has_no_body, 1},
	    {a_business_error_where_there_is_no_header_is_counted, 1},
	    {a_business_error_needs_a_status_that_is_not_0, 1},
	    {http_errors_without_a_status_are_mapped, 1},
	    {what_is_no_reply_is_said_to_be_none, 1},
	    {a_draining_proxy_says_so_in_the_new_header, 1},
	    {exceptions_come_back_as_the_table_says, 1},
	    {a_unary_reply_has_a_status_too, 1},
	};

	return suite_run_between("convert", tests, ARRAY_LEN(tests), begin, end);
}
