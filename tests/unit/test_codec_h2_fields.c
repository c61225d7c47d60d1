/*
 * HTTP/2: what is written anew in a call that is passed on, and messages of unary forms that become
 * whole calls and replies of gRPC.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/h2_end.h"
#include "support/suite.h"

#define FIELDS_MAX 32u

static struct h2_end up, app; /* one connection */

static void begin(void)
{
	h2_end_open(&up, CODEC_UPSTREAM, NULL);
	h2_end_open(&app, CODEC_DOWNSTREAM, NULL);
	app.tells_fields = up.tells_fields = true;
}

static void end(void)
{
	h2_end_close(&up);
	h2_end_close(&app);
}

static void settle(void)
{
	h2_ends_settle(&up, &app);
}

/* ---- calls of its own form ---- */

static struct rpc_edit own_edit(void)
{
	return (struct rpc_edit){
	    .form = {RPC_HTTP2, RPC_KITEXPB, false}, .authority = SLICE_LIT("app")};
}

/* What the application hears of a call with these fields. */
static const char *pass_call(const char *text, struct rpc_edit *edit)
{
	struct rpc_field fields[FIELDS_MAX];
	struct rpc_message m = {.form = {RPC_HTTP2, RPC_KITEXPB, false},
	    .kind = RPC_CALL,
	    .timeout = USEC_NONE,
	    .http_method = SLICE_LIT("POST"),
	    .path = SLICE_LIT("/p.S/M"),
	    .authority = SLICE_LIT("theirs"),
	    .fields = fields,
	    .n_fields = h2_fields_of(text, fields, FIELDS_MAX),
	    .complete = true};

	ck_assert(codec_send_message(up.codec, codec_begin(up.codec, &up), &m, edit));
	settle();
	return h2_end_log(&app) + strlen("call 1 POST /p.S/M end\n");
}

static const struct {
	const char *before, *after;
} timeouts[] = {
    /* In its place. */
    {"a 1\ngrpc-timeout 10S\nb 2\n", "  a: 1\n  grpc-timeout: 1500000u\n  b: 2\n"},
    {"grpc-timeout 10S\n", "  grpc-timeout: 1500000u\n"},
    {"x 1\ngrpc-timeout 10S\n", "  x: 1\n  grpc-timeout: 1500000u\n"},
    /* One, where the first stood. */
    {"grpc-timeout 10S\na 1\ngrpc-timeout 20S\n", "  grpc-timeout: 1500000u\n  a: 1\n"},
    /* Before the metadata. */
    {"content-type application/grpc\nuser-agent u\nte trailers\ngrpc-encoding gzip\nm 1\nte trailers\n",
	"  content-type: application/grpc\n  user-agent: u\n  te: trailers\n"
	"  grpc-encoding: gzip\n  grpc-timeout: 1500000u\n  m: 1\n  te: trailers\n"},
    {"content-type application/grpc\n",
	"  content-type: application/grpc\n  grpc-timeout: 1500000u\n"},
    {"", "  grpc-timeout: 1500000u\n"},
    {"m 1\n", "  grpc-timeout: 1500000u\n  m: 1\n"},
};

START_TEST(the_timeout_is_what_is_left)
{
	struct rpc_edit edit = own_edit();

	edit.set_timeout = true;
	edit.timeout = 1500000;
	ck_assert_str_eq(pass_call(timeouts[_i].before, &edit), timeouts[_i].after);
}
END_TEST

START_TEST(a_timeout_that_is_none_is_taken_away)
{
	struct rpc_edit edit = own_edit();

	edit.set_timeout = true;
	edit.timeout = USEC_NONE;
	ck_assert_str_eq(pass_call("a 1\ngrpc-timeout 10S\nb 2\n", &edit), "  a: 1\n  b: 2\n");
}
END_TEST

START_TEST(who_calls_stays_as_it_came)
{
	struct rpc_edit edit = own_edit();

	edit.caller = SLICE_LIT("me");
	ck_assert_str_eq(
	    pass_call("a 1\nsource-service x\n", &edit), "  a: 1\n  source-service: x\n");
	ck_assert_str_eq(pass_call("a 1\n", &edit), "  a: 1\n");
}
END_TEST

/* The pseudo fields are in no message; their literals stand in the bytes. */
static bool has_written(const struct written *w, struct slice what)
{
	for (size_t i = 0; i + what.len <= w->len; i++)
		if (memcmp(w->bytes + i, what.data, what.len) == 0)
			return true;
	return false;
}

START_TEST(scheme_and_authority_are_our_own)
{
	struct rpc_edit edit = own_edit();
	struct rpc_message m = {.form = {RPC_HTTP2, RPC_OPAQUE, false},
	    .kind = RPC_CALL,
	    .http_method = SLICE_LIT("GET"),
	    .path = SLICE_LIT("/"),
	    .authority = SLICE_LIT("theirs"),
	    .complete = true};
	struct codec_item item = {0};
	struct written w;
	struct slice in;

	ck_assert(codec_send_message(up.codec, codec_begin(up.codec, &up), &m, &edit));
	w = up.out;
	in = written_slice(&w);
	ck_assert_int_eq(codec_next(app.codec, &in, &item), CODEC_MESSAGE);
	ck_assert(slice_eq(item.message.authority, SLICE_LIT("app")));
	ck_assert(has_written(&w, SLICE_LIT("\x86"))); /* :scheme http, of the static table */
	edit.authority = SLICE_NONE;                   /* nothing else to say */
	up.out.len = 0;
	ck_assert(codec_send_message(up.codec, codec_begin(up.codec, &up), &m, &edit));
	in = written_slice(&up.out);
	ck_assert_int_eq(codec_next(app.codec, &in, &item), CODEC_MESSAGE);
	ck_assert(slice_eq(item.message.authority, SLICE_LIT("theirs")));
	ck_assert_int_eq(codec_next(app.codec, &in, &item), CODEC_MORE);
}
END_TEST

START_TEST(a_block_may_be_longer_than_a_frame)
{
	struct rpc_edit edit = own_edit();
	struct written text = {0};

	for (unsigned i = 0; i < 20; i++) {
		h2_put(&text, SLICE_LIT("name "));
		for (unsigned j = 0; j < 250; j++)
			h2_put(&text, SLICE_LIT("ABCDEFGHIJ"));
		h2_put(&text, SLICE_LIT("\n"));
	}
	h2_put(&text, SLICE_LIT("\0"));
	app.tells_fields = false;
	pass_call((const char *)text.bytes, &edit);
	ck_assert_uint_eq(app.refused, 0);
	written_fini(&text);
}
END_TEST

/* ---- unary messages ---- */

static struct rpc_message framed_call(struct slice body)
{
	return (struct rpc_message){.form = {RPC_PLAIN, RPC_THRIFT, true},
	    .kind = RPC_CALL,
	    .timeout = USEC_NONE,
	    .method = SLICE_LIT("Say"),
	    .body = body,
	    .body_len = body.len,
	    .complete = true};
}

static struct rpc_edit grpc_edit(void)
{
	return (struct rpc_edit){.form = {RPC_HTTP2, RPC_THRIFT, false},
	    .authority = SLICE_LIT("app"),
	    .idl_service = SLICE_LIT("echo.Echo")};
}

START_TEST(a_unary_call_becomes_a_whole_one_of_grpc)
{
	struct rpc_message m = framed_call(SLICE_LIT("struct"));
	struct rpc_edit edit = grpc_edit();

	edit.set_timeout = true;
	edit.timeout = 20 * USEC_S;
	edit.caller = SLICE_LIT("me");
	ck_assert(codec_send_message(up.codec, codec_begin(up.codec, &up), &m, &edit));
	ck_assert_str_eq(h2_frames_text(written_slice(&up.out)),
	    "SETTINGS 2=0 4=24576 6=65536\nWINDOW_UPDATE 0 16711681\nHEADERS 1\nDATA 1 11 end\n");
	settle();
	ck_assert_str_eq(h2_end_log(&app),
	    "call 1 POST /echo.Echo/Say\n  content-type: application/grpc+thrift\n  te: trailers\n"
	    "  grpc-timeout: 20000000u\n  source-service: me\ndata 1 11 (1 of 6) end\n");
	ck_assert(slice_eq(written_slice(&app.body), SLICE_LIT("\0\0\0\0\6struct")));
}
END_TEST

START_TEST(an_empty_unary_call_has_a_message_too)
{
	struct rpc_message m = framed_call(SLICE_NONE);
	struct rpc_edit edit = grpc_edit();

	ck_assert(codec_send_message(up.codec, codec_begin(up.codec, &up), &m, &edit));
	app.tells_fields = false;
	settle();
	ck_assert_str_eq(h2_end_log(&app), "call 1 POST /echo.Echo/Say\ndata 1 5 (1 of 0) end\n");
}
END_TEST

START_TEST(a_long_unary_call_is_sent_as_it_comes)
{
	struct rpc_message m = framed_call(SLICE_LIT("begin"));
	struct rpc_edit edit = grpc_edit();
	uint32_t id = codec_begin(up.codec, &up);

	m.complete = false;
	m.body_len = 10;
	ck_assert(codec_send_message(up.codec, id, &m, &edit));
	codec_send_data(up.codec, id, SLICE_LIT("-"), false);
	codec_send_data(up.codec, id, SLICE_LIT("ends"), true);
	app.tells_fields = false;
	settle();
	ck_assert_str_eq(h2_end_log(&app),
	    "call 1 POST /echo.Echo/Say\ndata 1 10\ndata 1 1\ndata 1 4 (1 of 10) end\n");
}
END_TEST

START_TEST(a_call_that_cannot_be_named_is_not_begun)
{
	struct rpc_message m = framed_call(SLICE_LIT("x"));
	struct rpc_edit edit = grpc_edit();
	uint32_t id = codec_begin(up.codec, &up);

	edit.idl_service = SLICE_NONE;
	ck_assert(!codec_send_message(up.codec, id, &m, &edit));
	ck_assert_uint_eq(up.out.len, 0);
	ck_assert_uint_eq(codec_capacity(up.codec), 100);
	m.body_len = RPC_LENGTH_UNKNOWN; /* no prefix can tell it */
	edit = grpc_edit();
	ck_assert(!codec_send_message(up.codec, codec_begin(up.codec, &up), &m, &edit));
	ck_assert_uint_eq(codec_capacity(up.codec), 100);
	m.body_len = 1;
	ck_assert_uint_eq(codec_begin(up.codec, &up), id);
	ck_assert(codec_send_message(up.codec, id, &m, &edit));
	settle();
	ck_assert_uint_eq(app.refused, 0);
}
END_TEST

/* The application's side is our own downstream: the reply of a unary endpoint to a gRPC caller. */
static uint32_t open_call(void)
{
	uint32_t id = h2_end_begin(&up, "/p.S/M", "content-type application/grpc\n", true);

	settle();
	h2_end_log(&app);
	return id;
}

static struct rpc_message unary_reply(enum rpc_kind kind, struct slice body)
{
	return (struct rpc_message){.form = {RPC_PLAIN, RPC_THRIFT, true},
	    .kind = kind,
	    .method = SLICE_LIT("Say"),
	    .body = body,
	    .body_len = body.len,
	    .complete = true};
}

START_TEST(a_unary_reply_becomes_a_whole_one)
{
	struct rpc_message m = unary_reply(RPC_REPLY, SLICE_LIT("result"));
	struct rpc_edit edit = grpc_edit();
	uint32_t id = open_call();

	ck_assert(codec_send_message(app.codec, id, &m, &edit));
	ck_assert_str_eq(
	    h2_frames_text(written_slice(&app.out)), "HEADERS 1\nDATA 1 11\nHEADERS 1 end\n");
	settle();
	ck_assert_str_eq(h2_end_log(&up),
	    "reply 1 200\n  content-type: application/grpc+thrift\ndata 1 11 (1 of 6)\n"
	    "trailers 1 grpc=0\n  grpc-status: 0\n");
}
END_TEST

START_TEST(a_long_unary_reply_ends_with_its_trailers)
{
	struct rpc_message m = unary_reply(RPC_REPLY, SLICE_LIT("res"));
	struct rpc_edit edit = grpc_edit();
	uint32_t id = open_call();

	m.complete = false;
	m.body_len = 6;
	up.tells_fields = false;
	ck_assert(codec_send_message(app.codec, id, &m, &edit));
	app.is_full = true;
	codec_send_data(app.codec, id, SLICE_LIT("ult"), true);
	settle();
	ck_assert_str_eq(h2_end_log(&up), "reply 1 200\ndata 1 8\n");
	app.is_full = false;
	codec_pump(app.codec);
	settle();
	ck_assert_str_eq(h2_end_log(&up), "data 1 3 (1 of 6)\ntrailers 1 grpc=0\n");
	ck_assert_uint_eq(codec_held(app.codec), 0);
}
END_TEST

START_TEST(an_exception_is_one_block)
{
	/* {1: string "no", 2: i32 6} */
	struct rpc_message m =
	    unary_reply(RPC_EXCEPTION, SLICE_LIT("\x0b\0\1\0\0\0\2no\x08\0\2\0\0\0\6\0"));
	struct rpc_edit edit = grpc_edit();
	uint32_t id = open_call();

	ck_assert(codec_send_message(app.codec, id, &m, &edit));
	ck_assert_str_eq(h2_frames_text(written_slice(&app.out)), "HEADERS 1 end\n");
	settle();
	ck_assert_str_eq(h2_end_log(&up),
	    "reply 1 200 end grpc=13\n  content-type: application/grpc+thrift\n"
	    "  grpc-status: 13\n  grpc-message: no\n");
}
END_TEST

START_TEST(a_reply_through_a_window_of_one_keeps_its_trailers_last)
{
	struct rpc_message m = unary_reply(RPC_REPLY, SLICE_LIT("abc"));
	struct rpc_edit edit = grpc_edit();
	struct written w = {0};

	h2_end_close(&app);
	h2_end_open(&app, CODEC_DOWNSTREAM, NULL);
	h2_preface(&w);
	h2_setting(&w, 4, 1);
	h2_call(&w, H2_END_STREAM, 1, "");
	h2_end_hears(&app, &w);
	h2_end_frames(&app);
	ck_assert(codec_send_message(app.codec, 1, &m, &edit));
	ck_assert_str_eq(h2_end_frames(&app), "HEADERS 1\nDATA 1 1\n");
	for (unsigned i = 0; i < 6; i++) {
		h2_frame_u32(&w, H2_WINDOW_UPDATE, 1, 1);
		h2_end_hears(&app, &w);
		ck_assert_str_eq(h2_end_frames(&app), "DATA 1 1\n");
	}
	h2_frame_u32(&w, H2_WINDOW_UPDATE, 1, 1);
	h2_end_hears(&app, &w);
	ck_assert_str_eq(h2_end_frames(&app), "DATA 1 1\nHEADERS 1 end\n");
	written_fini(&w);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {the_timeout_is_what_is_left, ARRAY_LEN(timeouts)},
	    {a_timeout_that_is_none_is_taken_away, 1},
	    {who_calls_stays_as_it_came, 1},
	    {scheme_and_authority_are_our_own, 1},
	    {a_block_may_be_longer_than_a_frame, 1},
	    {a_unary_call_becomes_a_whole_one_of_grpc, 1},
	    {an_empty_unary_call_has_a_message_too, 1},
	    {a_long_unary_call_is_sent_as_it_comes, 1},
	    {a_call_that_cannot_be_named_is_not_begun, 1},
	    {a_unary_reply_becomes_a_whole_one, 1},
	    {a_long_unary_reply_ends_with_its_trailers, 1},
	    {an_exception_is_one_block, 1},
	    {a_reply_through_a_window_of_one_keeps_its_trailers_last, 1},
	};

	return suite_run_between("codec_h2_fields", tests, ARRAY_LEN(tests), begin, end);
}
