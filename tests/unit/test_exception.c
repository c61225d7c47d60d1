/*
 * What a reply says of how its call went: overload and business errors, in every form; and failures
 * that tell an exception of a chosen type.
 */
#include <stdio.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "rpc/codec.h"
#include "support/block.h"
#include "support/bytes.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/suite.h"
#include "support/tts_pair.h"

static bool is_overload(const char *text, int32_t type)
{
	struct slice frame;
	struct reading r;
	struct frame f = {.form = {RPC_TTHEADER, RPC_THRIFT, true},
	    .type = 3,
	    .method = "Echo",
	    .seq = 7,
	    .transport_seq = 7};
	uint8_t room[256];
	struct writer w = writer_of(room, sizeof room);
	bool is;

	write_bytes(&w, BYTES(11, 0, 1));
	write_u32(&w, (uint32_t)strlen(text));
	write_bytes(&w, slice_str(text));
	write_bytes(&w, BYTES(8, 0, 2));
	write_u32(&w, (uint32_t)type);
	write_u8(&w, 0);
	f.body = writer_slice(&w);
	frame = frame_make(&f);
	reading_open(&r, CODEC_UPSTREAM, &reading_limits);
	reading_feed(&r, frame);
	is = rpc_is_overload(&r.list[0].message);
	reading_close(&r);
	frame_free(&frame);
	return is;
}

START_TEST(overload_is_told_by_kitexs_words)
{
	ck_assert(is_overload("request over limit: request too frequent", 6));
	ck_assert(is_overload("bridled: rate_limited: request over limit", 6));
	ck_assert(!is_overload("request over limit", 1));
	ck_assert(!is_overload("request forbidden", 6));
	ck_assert(!is_overload("", 6));
}
END_TEST

static bool is_block_overload(enum rpc_kind kind, const char *lines)
{
	struct block block;
	bool is;

	block_make(&block, kind, lines);
	is = rpc_is_overload(&block.message);
	block_free(&block);
	return is;
}

START_TEST(overload_is_told_by_a_grpc_status)
{
	ck_assert(is_block_overload(RPC_TRAILERS, "grpc-status: 8\n"));
	ck_assert(is_block_overload(RPC_REPLY, ":status: 200\ngrpc-status: 8\n"));
	ck_assert(!is_block_overload(RPC_TRAILERS, "grpc-status: 14\n"));
	ck_assert(!is_block_overload(RPC_TRAILERS, "grpc-status: 0\n"));
	ck_assert(!is_block_overload(RPC_REPLY, ":status: 200\n"));
}
END_TEST

static bool is_overload_when_converted(const char *lines)
{
	struct arena arena;
	struct block block;
	bool is;

	arena_init(&arena, NULL, 0);
	block_make(&block, RPC_REPLY, lines);
	ck_assert_ptr_null(rpc_reply_from_grpc(&block.message, NULL, &arena));
	ck_assert_int_eq(block.message.kind, RPC_EXCEPTION);
	is = rpc_is_overload(&block.message);
	block_free(&block);
	arena_fini(&arena);
	return is;
}

START_TEST(overload_is_still_told_when_the_status_has_become_an_exception)
{
	ck_assert(is_overload_when_converted(
	    ":status: 200\ncontent-type: application/grpc+thrift\ngrpc-status: 8\n"));
	ck_assert(!is_overload_when_converted(
	    ":status: 200\ncontent-type: application/grpc+thrift\ngrpc-status: 14\n"));
}
END_TEST

static const struct {
	const char *status;
	bool is_error;
	int32_t code;
} biz_codes[] = {
    {"404", true, 404},
    {"-1", true, -1},
    {"+7", true, 7},
    {"2147483647", true, INT32_MAX},
    {"-2147483648", true, INT32_MIN},
    {"0", false, 0},
    {"-0", false, 0},
    {"", false, 0},
    {"2147483648", false, 0},
    {"-2147483649", false, 0},
    {"4x", false, 0},
    {"--1", false, 0},
};

START_TEST(a_business_error_has_a_code)
{
	char lines[128];
	struct block block;
	int32_t code = 0;

	snprintf(lines, sizeof lines, "grpc-status: 13\nbiz-status: %s\n", biz_codes[_i].status);
	block_make(&block, RPC_TRAILERS, lines);
	ck_assert_int_eq(rpc_biz_code(&block.message, &code), biz_codes[_i].is_error);
	ck_assert_int_eq(code, biz_codes[_i].code);
	block_free(&block);
}
END_TEST

/* ---- failures ---- */

static struct rpc_status chosen(int32_t type)
{
	struct rpc_status why;

	rpc_status_set(&why, REASON_FAULT_INJECTED, "as the file says");
	why.has_exception_id = true;
	why.exception_id = type;
	return why;
}

static void must_be_told_in(struct rpc_form form, const struct rpc_status *why, int32_t type)
{
	static const char text[] = "bridled: fault_injected: as the file says";
	struct slice body = frame_body(20), sections = frame_sections(""), frame, in, said;
	struct frame call = {.form = form, .type = 1, .method = "Echo", .seq = 7, .body = body};
	struct codec_item item;
	struct written out = {0};
	struct reading r;
	struct codec *codec;
	const struct rpc_message *reply;

	call.sections = form.transport == RPC_MESH ? SLICE_LIT("\0\0") : sections;
	in = frame = frame_make(&call);
	codec = codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, &written_io, &out);
	ck_assert_int_eq(codec_next(codec, &in, &item), CODEC_MESSAGE);
	codec_send_failure(codec, 0, &item.message, why, false);
	reading_open(&r, CODEC_UPSTREAM, &reading_limits);
	reading_feed(&r, written_slice(&out));
	ck_assert_uint_eq(r.n, 1);
	reply = &r.list[0].message;
	ck_assert(reply->kind == RPC_EXCEPTION && reply->seq == 7);
	ck_assert_int_eq(codec_exception_id(reply), type);
	said = reply->body;
	ck_assert_ptr_nonnull(memmem(said.data, said.len, text, sizeof text - 1));
	reading_close(&r);
	codec_close(&codec);
	written_fini(&out);
	frame_free(&frame);
	frame_free(&sections);
	frame_free(&body);
}

START_TEST(a_failure_has_the_exception_that_was_chosen)
{
	struct rpc_status why = chosen(1000);

	for (size_t i = 0; i < frame_n_forms; i++)
		must_be_told_in(frame_forms[i], &why, 1000);
	why.exception_id = 0;
	must_be_told_in(frame_forms[0], &why, 0);
	why.exception_id = -3;
	must_be_told_in(frame_forms[0], &why, -3);
}
END_TEST

START_TEST(a_failure_without_a_choice_has_that_of_its_reason)
{
	struct rpc_status why = chosen(1000);

	rpc_status_set(&why, REASON_FAULT_INJECTED, "as the file says");
	for (size_t i = 0; i < frame_n_forms; i++)
		must_be_told_in(frame_forms[i], &why, reason_exception_id(REASON_FAULT_INJECTED));
}
END_TEST

static const struct {
	int32_t type;
	const char *status;
} statuses[] = {{6, "13"}, {1, "12"}, {20, "12"}, {7, "13"}, {0, "13"}, {1000, "13"}, {-1, "13"}};

START_TEST(a_grpc_caller_is_told_the_status_of_the_exception)
{
	struct rpc_status why = chosen(statuses[_i].type);
	struct field_list list = {0};
	struct arena arena;
	struct block call;
	char expected[128];

	arena_init(&arena, NULL, 0);
	list.arena = &arena;
	block_make(&call, RPC_CALL, ":path: /S/M\ncontent-type: application/grpc\n");
	grpc_failure_fields(&call.message, &why, &list);
	snprintf(expected, sizeof expected,
	    "content-type: application/grpc\ngrpc-status: %s\ngrpc-message: bridled: "
	    "fault_injected: as the file says\n",
	    statuses[_i].status);
	ck_assert_str_eq(block_text(&list), expected);
	block_free(&call);
	arena_fini(&arena);
}
END_TEST

START_TEST(a_stream_ends_with_the_exception_that_was_chosen)
{
	struct rpc_status why = chosen(1000);
	struct ttstream_frame f[2];

	tts_begin();
	tts_open_down(5);
	tts_end_forget(&tts_down);
	codec_send_failure(tts_down.codec, 5, NULL, &why, false);
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_HEADER, TTSTREAM_TRAILER);
	tts_must_be_exception(&f[1], 1000, "fault_injected: as the file says");
	tts_done();
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {overload_is_told_by_kitexs_words, 1},
	    {overload_is_told_by_a_grpc_status, 1},
	    {overload_is_still_told_when_the_status_has_become_an_exception, 1},
	    {a_business_error_has_a_code, ARRAY_LEN(biz_codes)},
	    {a_failure_has_the_exception_that_was_chosen, 1},
	    {a_failure_without_a_choice_has_that_of_its_reason, 1},
	    {a_grpc_caller_is_told_the_status_of_the_exception, ARRAY_LEN(statuses)},
	    {a_stream_ends_with_the_exception_that_was_chosen, 1},
	};

	return suite_run_between("exception", tests, ARRAY_LEN(tests), NULL, NULL);
}
