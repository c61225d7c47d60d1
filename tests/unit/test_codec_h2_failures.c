/*
 * HTTP/2: how a call fails: what its caller is told, bodies that break the rules of gRPC, and
 * blocks that are too long to be written.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/h2_pair.h"
#include "support/suite.h"

/* ---- failures ---- */

START_TEST(a_failure_of_grpc_is_one_block)
{
	struct h2_end caller;
	uint32_t id;

	h2_end_open(&caller, CODEC_UPSTREAM, NULL);
	caller.tells_fields = true;
	id = h2_end_begin(&caller, "/p.S/M", CALL_FIELDS, true);
	h2_end_close(&down);
	h2_end_open(&down, CODEC_DOWNSTREAM, NULL);
	h2_end_pass(&caller, &down);
	h2_end_fail(&down, id, RPC_KITEXPB, REASON_NO_ENDPOINT);
	h2_end_pass(&down, &caller);
	h2_end_feed(&down, SLICE_NONE);
	ck_assert_str_eq(h2_end_log(&caller),
	    "reply 1 200 end grpc=14\n  content-type: application/grpc+proto\n  grpc-status: 14\n"
	    "  grpc-message: bridled: no_endpoint: service discovery error: no instance available: "
	    "why\n");
	h2_end_close(&caller);
}
END_TEST

START_TEST(a_failure_within_a_reply_is_its_trailers)
{
	struct h2_end caller;
	uint32_t id;

	h2_end_open(&caller, CODEC_UPSTREAM, NULL);
	caller.tells_fields = true;
	id = h2_end_begin(&caller, "/p.S/M", CALL_FIELDS, true);
	h2_end_close(&down);
	h2_end_open(&down, CODEC_DOWNSTREAM, NULL);
	h2_end_pass(&caller, &down);
	h2_end_reply(&down, id, 200, "", false);
	h2_end_message(&down, id, 3, false);
	h2_end_fail(&down, id, RPC_KITEXPB, REASON_CALLER_DEADLINE);
	h2_end_pass(&down, &caller);
	h2_end_feed(&down, SLICE_NONE);
	ck_assert_str_eq(h2_end_log(&caller),
	    "reply 1 200\ndata 1 8\ntrailers 1 grpc=4\n  grpc-status: 4\n"
	    "  grpc-message: bridled: caller_deadline: rpc timeout: context deadline exceeded: why\n");
	h2_end_close(&caller);
}
END_TEST

START_TEST(a_failure_does_not_wait_behind_data_that_cannot_leave)
{
	h2_setting(&w, 4, 10);
	h2_call(&w, H2_END_STREAM, 1, "");
	h2_end_hears(&down, &w);
	h2_end_reply(&down, 1, 200, REPLY_FIELDS, false);
	h2_end_message(&down, 1, 5000, false);
	ck_assert_uint_eq(codec_pending(down.codec, 1), 4995);
	ck_assert_str_eq(h2_end_frames(&down), "SETTINGS ack\nHEADERS 1\nDATA 1 10\n");
	h2_end_fail(&down, 1, RPC_KITEXPB, REASON_TIMEOUT);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1 end\n");
	ck_assert_uint_eq(codec_pending(down.codec, 1), 0);
	h2_end_feed(&down, SLICE_NONE);
}
END_TEST

START_TEST(a_failure_of_anything_else_is_a_page)
{
	h2_headers(&w, H2_END_STREAM, 1, ":method GET\n:scheme http\n:path /\n:authority a\n");
	h2_headers(&w, H2_END_STREAM, 3, ":method GET\n:scheme http\n:path /\n:authority a\n");
	h2_end_hears(&down, &w);
	h2_end_fail(&down, 1, RPC_OPAQUE, REASON_NO_ROUTE);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1\nDATA 1 41 end\n");
	h2_end_reply(&down, 3, 200, "", false);
	codec_send_data(down.codec, 3, SLICE_LIT("half"), false);
	h2_end_fail(&down, 3, RPC_OPAQUE, REASON_RESET);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 3\nDATA 3 4\nRST_STREAM 3 2\n");
	h2_end_feed(&down, SLICE_NONE);
}
END_TEST

static const struct {
	enum reason reason;
	unsigned status;
} pages[] = {
    {REASON_NO_ROUTE, 404},
    {REASON_MALFORMED, 400},
    {REASON_ACL_DENIED, 403},
    {REASON_TOO_LARGE, 413},
    {REASON_RATE_LIMITED, 429},
    {REASON_RESET, 502},
    {REASON_TIMEOUT, 504},
    {REASON_NO_ENDPOINT, 503},
    {REASON_INTERNAL, 500},
};

START_TEST(the_status_of_a_page_tells_its_reason)
{
	struct h2_end caller;
	char expected[32];
	uint32_t id;

	h2_end_open(&caller, CODEC_UPSTREAM, NULL);
	id = h2_end_begin(&caller, "/", "", true);
	h2_end_close(&down);
	h2_end_open(&down, CODEC_DOWNSTREAM, NULL);
	h2_end_pass(&caller, &down);
	h2_end_fail(&down, id, RPC_OPAQUE, pages[_i].reason);
	h2_end_pass(&down, &caller);
	h2_end_feed(&down, SLICE_NONE);
	snprintf(expected, sizeof expected, "reply 1 %u\n", pages[_i].status);
	ck_assert_int_eq(strncmp(h2_end_log(&caller), expected, strlen(expected)), 0);
	ck_assert(slice_starts(written_slice(&caller.body), SLICE_LIT("bridled: ")));
	h2_end_close(&caller);
}
END_TEST

START_TEST(a_failure_that_closes_says_goaway)
{
	struct rpc_message call = {.form = {RPC_HTTP2, RPC_KITEXPB, false}, .kind = RPC_CALL};
	struct rpc_status why;

	rpc_status_set(&why, REASON_DRAINING, "why");
	h2_call(&w, H2_END_STREAM, 1, "");
	h2_end_hears(&down, &w);
	codec_send_failure(down.codec, 1, &call, &why, true);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1 end\nGOAWAY 1 0\n");
	h2_end_feed(&down, SLICE_NONE);
}
END_TEST

/* ---- rules of gRPC ---- */

START_TEST(a_message_too_long_is_refused_by_its_prefix)
{
	h2_call(&w, 0, 1, "");
	h2_frame(&w, H2_DATA, 0, 1, SLICE_LIT("\0\0\x10\0\1m"));
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down),
	    "call 1 POST /pkg.Service/Method\n"
	    "reset 1 too_large 0: gRPC message longer than max_message\n");
	/* What still comes is thrown away, and the caller can be answered. */
	h2_message(&w, H2_END_STREAM, 1, 100);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "");
	ck_assert_str_eq(h2_end_frames(&down), "");
	h2_end_fail(&down, 1, RPC_KITEXPB, REASON_TOO_LARGE);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1 end\n");
	h2_end_feed(&down, SLICE_NONE);
}
END_TEST

START_TEST(the_longest_message_passes)
{
	h2_call(&w, 0, 1, "");
	h2_frame(&w, H2_DATA, 0, 1, SLICE_LIT("\0\0\x10\0\0m"));
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /pkg.Service/Method\ndata 1 6\n");
	h2_end_fail(&down, 1, RPC_KITEXPB, REASON_INTERNAL);
	h2_end_feed(&down, SLICE_NONE);
}
END_TEST

/* Bodies that no reader of gRPC would understand, and what is said of them. */
static const struct {
	const char *more; /* fields of the call */
	struct slice body;
	const char *why;
} wrong[] = {
    {"", {(const uint8_t *)"\2\0\0\0\0", 5}, "gRPC message with an unknown flag"},
    {"", {(const uint8_t *)"\1\0\0\0\1z", 6}, "a compressed message without grpc-encoding"},
    {"", {(const uint8_t *)"\0\0\0\0\2z", 6}, "the body ends within a gRPC message"},
    {"grpc-encoding gzip\n", {(const uint8_t *)"\1\0\0", 3}, "the body ends within a gRPC message"},
};

START_TEST(a_body_that_is_no_grpc_is_malformed)
{
	char expected[256];

	h2_call(&w, 0, 1, wrong[_i].more);
	h2_frame(&w, H2_DATA, H2_END_STREAM, 1, wrong[_i].body);
	h2_end_hears(&down, &w);
	snprintf(expected, sizeof expected, "reset 1 malformed 0: %s\n", wrong[_i].why);
	ck_assert_ptr_nonnull(strstr(h2_end_log(&down), expected));
	h2_end_fail(&down, 1, RPC_KITEXPB, REASON_MALFORMED);
	ck_assert_str_eq(h2_end_frames(&down), "HEADERS 1 end\n");
	h2_end_feed(&down, SLICE_NONE);
}
END_TEST

START_TEST(a_reply_that_is_no_grpc_is_a_bad_one)
{
	char expected[256], frames[64];
	uint32_t id = open_call();

	snprintf(frames, sizeof frames, ":status 200\ncontent-type application/grpc\n%s",
	    wrong[_i].more);
	h2_headers(&w, 0, id, frames);
	h2_frame(&w, H2_DATA, H2_END_STREAM, id, wrong[_i].body);
	h2_end_hears(&up, &w);
	snprintf(expected, sizeof expected, "reset 1 bad_reply 0: %s\n", wrong[_i].why);
	ck_assert_ptr_nonnull(strstr(h2_end_log(&up), expected));
	ck_assert_str_eq(h2_end_frames(&up), "RST_STREAM 1 1\n");
}
END_TEST

START_TEST(compressed_messages_pass_untouched)
{
	h2_call(&w, 0, 1, "grpc-encoding gzip\n");
	h2_frame(&w, H2_DATA, H2_END_STREAM, 1, SLICE_LIT("\1\0\0\0\1z\0\0\0\0\0\1\0\0\0\2zz"));
	h2_end_hears(&down, &w);
	ck_assert_str_eq(
	    h2_end_log(&down), "call 1 POST /pkg.Service/Method\ndata 1 18 (3 of 3) end\n");
	h2_end_fail(&down, 1, RPC_KITEXPB, REASON_INTERNAL);
	h2_end_feed(&down, SLICE_NONE);
}
END_TEST

START_TEST(bodies_that_are_not_grpc_are_not_looked_at)
{
	h2_headers(&w, 0, 1, ":method POST\n:scheme http\n:path /\n:authority a\n");
	h2_frame(&w, H2_DATA, H2_END_STREAM, 1, SLICE_LIT("\7\0\0"));
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /\ndata 1 3 end\n");
	h2_end_fail(&down, 1, RPC_OPAQUE, REASON_INTERNAL);
	h2_end_feed(&down, SLICE_NONE);
}
END_TEST

/* ---- what has no room ---- */

/* A value that is longer than any block may be. */
static char *long_field(void)
{
	size_t len = 2u << 20;
	char *text = mem_alloc(len + 4);

	memset(text, 'v', len + 4);
	memcpy(text, "a ", 2);
	memcpy(text + len + 2, "\n", 2);
	return text;
}

START_TEST(a_call_that_has_no_room_is_reset_unsent)
{
	char *fields = long_field();

	h2_end_begin(&up, "/p.S/M", fields, true);
	ck_assert_uint_eq(up.out.len, 0);
	h2_end_feed(&up, SLICE_NONE);
	ck_assert_ptr_nonnull(strstr(h2_end_log(&up), "reset 1 internal 2: "));
	ck_assert_uint_eq(codec_capacity(up.codec), UINT32_MAX);
	ck_assert_uint_eq(h2_end_begin(&up, "/p.S/M", "", true), 3);
	ck_assert_str_eq(h2_end_frames(&up), "HEADERS 3 end\n");
	h2_end_feed(&up, SLICE_NONE);
	free(fields);
}
END_TEST

START_TEST(a_reply_that_has_no_room_resets_its_call)
{
	char *fields = long_field();

	h2_call(&w, 0, 1, "");
	h2_end_hears(&down, &w);
	h2_end_log(&down);
	h2_end_reply(&down, 1, 200, fields, false);
	h2_end_feed(&down, SLICE_NONE);
	ck_assert_ptr_nonnull(strstr(h2_end_log(&down), "reset 1 internal 2: "));
	ck_assert_str_eq(h2_end_frames(&down), "RST_STREAM 1 2\n");
	let_go(&down, 1);
	free(fields);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_failure_of_grpc_is_one_block, 1},
	    {a_failure_within_a_reply_is_its_trailers, 1},
	    {a_failure_does_not_wait_behind_data_that_cannot_leave, 1},
	    {a_failure_of_anything_else_is_a_page, 1},
	    {the_status_of_a_page_tells_its_reason, ARRAY_LEN(pages)},
	    {a_failure_that_closes_says_goaway, 1},
	    {a_message_too_long_is_refused_by_its_prefix, 1},
	    {the_longest_message_passes, 1},
	    {a_body_that_is_no_grpc_is_malformed, ARRAY_LEN(wrong)},
	    {a_reply_that_is_no_grpc_is_a_bad_one, ARRAY_LEN(wrong)},
	    {compressed_messages_pass_untouched, 1},
	    {bodies_that_are_not_grpc_are_not_looked_at, 1},
	    {a_call_that_has_no_room_is_reset_unsent, 1},
	    {a_reply_that_has_no_room_resets_its_call, 1},
	};

	return suite_run_between(
	    "codec_h2_failures", tests, ARRAY_LEN(tests), h2_pair_begin, h2_pair_end);
}
