/* Business errors that the bodies of replies tell of, and what callers of each form make of
 * them. */
#include <stdio.h>
#include <stdlib.h>

#include "rpc/carry.h"
#include "rpc/grpc_head.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/structs.h"
#include "support/suite.h"
#include "wire/ttheader.h"

/* A reply, with a header of these sections, or NULL: without one. */
struct replied {
	struct reading reading;
	struct rpc_message *m;
	struct arena arena;
	struct slice body;
};

static void open_reply(struct replied *r, const char *sections, const char *body)
{
	struct frame frame = {.form = {sections ? RPC_TTHEADER : RPC_PLAIN, RPC_THRIFT, true},
	    .type = 2,
	    .method = "Echo",
	    .seq = 7,
	    .transport_seq = 7};
	struct slice whole;

	r->body = frame.body = struct_made(body);
	frame.sections = frame_sections(sections ? sections : "");
	whole = frame_make(&frame);
	reading_open(&r->reading, CODEC_UPSTREAM, &reading_limits);
	reading_feed(&r->reading, whole);
	ck_assert_uint_eq(r->reading.n, 1);
	r->m = &r->reading.list[0].message;
	arena_init(&r->arena, NULL, 0);
	frame_free(&frame.sections);
	frame_free(&whole);
}

static void close_reply(struct replied *r)
{
	reading_close(&r->reading);
	arena_fini(&r->arena);
	frame_free(&r->body);
}

static void must_tell(const char *body, const char *status, const char *message, const char *extra)
{
	struct replied r;
	int32_t code;

	open_reply(&r, NULL, body);
	ck_assert(rpc_note_base_resp(r.m, &r.arena));
	ck_assert_uint_eq(
	    r.m->marks & (RPC_HAS_BIZ | RPC_BIZ_IN_BODY), RPC_HAS_BIZ | RPC_BIZ_IN_BODY);
	ck_assert(slice_eq_str(r.m->biz_status, status));
	ck_assert(slice_eq_str(r.m->biz_message, message));
	ck_assert_msg(slice_eq_str(r.m->biz_extra, extra), "%.*s", (int)r.m->biz_extra.len,
	    (const char *)r.m->biz_extra.data);
	ck_assert(rpc_biz_code(r.m, &code));
	ck_assert(slice_eq(r.m->body, r.body));
	close_reply(&r);
}

static void must_tell_nothing(const char *body)
{
	struct replied r;

	open_reply(&r, NULL, body);
	ck_assert(!rpc_note_base_resp(r.m, &r.arena));
	ck_assert_uint_eq(r.m->marks & (RPC_HAS_BIZ | RPC_BIZ_IN_BODY), 0);
	ck_assert_uint_eq(r.m->biz_status.len + r.m->biz_message.len + r.m->biz_extra.len, 0);
	close_reply(&r);
}

START_TEST(a_status_code_is_a_business_error)
{
	must_tell("{0:{1:\"x\" 255:{1:\"no stock\" 2:i404 3:<ss \"sku\"=\"7\">} 2:i1}}", "404",
	    "no stock", "{\"sku\":\"7\"}");
	must_tell("{0:{255:{2:i-1}}}", "-1", "", "");
	must_tell("{0:{255:{2:i-2147483648}}}", "-2147483648", "", "");
	must_tell("{0:{255:{2:i2147483647 9:{255:i1}}}}", "2147483647", "", "");
}
END_TEST

START_TEST(code_0_and_no_code_are_success)
{
	must_tell_nothing("{0:{255:{1:\"OK\" 2:i0}}}");
	must_tell_nothing("{0:{255:{1:\"OK\"}}}");
	must_tell_nothing("{0:{255:{}}}");
	must_tell_nothing("{0:{1:i5}}");
}
END_TEST

START_TEST(what_is_no_base_resp_tells_nothing)
{
	must_tell_nothing("{}");
	must_tell_nothing("{0:\"text\"}");
	must_tell_nothing("{0:i5}");
	must_tell_nothing("{1:{255:{2:i1}}}"); /* an exception of the IDL */
	must_tell_nothing("{0:{255:i5}}");
	must_tell_nothing("{0:{255:{2:\"5\"}}}");
	must_tell_nothing("{0:{255:{2:l5}}}");
	must_tell_nothing("{0:{255:{2:i5 2:i6}}}");
	must_tell_nothing("{0:{255:{2:i5} 255:{2:i5}}}");
	must_tell_nothing("{0:{2:{255:{2:i5}}}}");
}
END_TEST

START_TEST(an_extra_is_said_in_json)
{
	must_tell(
	    "{0:{255:{2:i1 3:<ss \"a\"=\"1\" \"b\"=\"\">}}}", "1", "", "{\"a\":\"1\",\"b\":\"\"}");
	must_tell("{0:{255:{2:i1 3:<ss \"q\\x22\\x5c\"=\"\\x0a\\x00\\xc3\\xa4\\xff\">}}}", "1", "",
	    "{\"q\\\"\\\\\":\"\\u000a\\u0000\xc3\xa4\\ufffd\"}");
	must_tell("{0:{255:{2:i1 3:<ss>}}}", "1", "", "");
	must_tell("{0:{255:{2:i1 3:<si \"a\"=i1>}}}", "1", "", "");
}
END_TEST

/* It has to go into a header that has to go out. */
START_TEST(what_is_long_is_cut)
{
	static char body[80000];
	struct replied r;

	snprintf(
	    body, sizeof body, "{0:{255:{2:i1 1:\"%065535u\" 3:<ss \"k\"=\"%010000u\">}}}", 0u, 0u);
	open_reply(&r, NULL, body);
	ck_assert(rpc_note_base_resp(r.m, &r.arena));
	ck_assert_uint_eq(r.m->biz_message.len, 8192);
	ck_assert_uint_eq(r.m->biz_extra.len, 10000 + sizeof "{'k':''}" - 1);
	close_reply(&r);
	snprintf(body, sizeof body, "{0:{255:{2:i1 3:<ss \"k\"=\"%020000u\">}}}", 0u);
	open_reply(&r, NULL, body);
	ck_assert(rpc_note_base_resp(r.m, &r.arena));
	ck_assert_uint_eq(r.m->biz_extra.len, 0);
	close_reply(&r);
}
END_TEST

START_TEST(what_a_header_says_already_stands)
{
	struct replied r;

	open_reply(&r, "s biz-status=9 biz-message=header;", "{0:{255:{1:\"body\" 2:i1}}}");
	ck_assert(rpc_note_base_resp(r.m, &r.arena));
	ck_assert(slice_eq_str(r.m->biz_status, "9"));
	ck_assert(slice_eq_str(r.m->biz_message, "header"));
	ck_assert(!(r.m->marks & RPC_BIZ_IN_BODY));
	close_reply(&r);
}
END_TEST

START_TEST(exceptions_and_parts_of_replies_are_not_read)
{
	struct replied r;

	open_reply(&r, NULL, "{0:{255:{2:i1}}}");
	r.m->kind = RPC_EXCEPTION;
	ck_assert(!rpc_note_base_resp(r.m, &r.arena));
	r.m->kind = RPC_REPLY;
	r.m->complete = false;
	ck_assert(!rpc_note_base_resp(r.m, &r.arena));
	r.m->complete = true;
	r.m->form.payload = RPC_KITEXPB;
	ck_assert(!rpc_note_base_resp(r.m, &r.arena));
	close_reply(&r);
}
END_TEST

START_TEST(a_reply_that_is_cut_short_tells_nothing)
{
	struct replied r;
	struct slice whole;

	open_reply(&r, NULL, "{0:{1:[s \"a\"] 255:{1:\"no\" 2:i1 3:<ss \"k\"=\"v\">} 2:{}} 1:B1}");
	whole = r.m->body;
	for (size_t len = 0; len < whole.len; len++) {
		struct slice cut = slice_first(whole, len);
		uint8_t *exact = malloc(len + 1);

		memcpy(exact, cut.data, len);
		r.m->body = slice_of(exact, len);
		ck_assert(!rpc_note_base_resp(r.m, &r.arena));
		free(exact);
	}
	r.m->body = whole;
	ck_assert(rpc_note_base_resp(r.m, &r.arena));
	close_reply(&r);
}
END_TEST

/* ---- towards callers ---- */

static struct slice str_key(struct slice sections, const char *key)
{
	struct ttheader_iter it = ttheader_entries(sections);
	struct ttheader_entry e;
	struct slice found = SLICE_NONE;

	while (ttheader_next(&it, &e))
		if (e.kind == TTHEADER_STR && slice_eq_str(e.key, key))
			found = e.value;
	return found;
}

static void must_reach_header(const char *sections)
{
	struct rpc_edit edit = {.form = {RPC_TTHEADER, RPC_THRIFT, true}};
	struct written out = {0};
	struct replied r;
	struct reading there;
	const struct rpc_message *m;

	open_reply(&r, sections, "{0:{255:{1:\"no stock\" 2:i404 3:<ss \"sku\"=\"7\">}}}");
	ck_assert(rpc_note_base_resp(r.m, &r.arena));
	ck_assert(written_message(&out, r.m, &edit, CODEC_DOWNSTREAM));
	reading_open(&there, CODEC_UPSTREAM, &reading_limits);
	reading_feed(&there, written_slice(&out));
	ck_assert_uint_eq(there.n, 1);
	m = &there.list[0].message;
	ck_assert(m->marks & RPC_HAS_BIZ);
	ck_assert(slice_eq_str(m->biz_status, "404") && slice_eq_str(m->biz_message, "no stock"));
	ck_assert(slice_eq_str(str_key(m->sections, "biz-extra"), "{\"sku\":\"7\"}"));
	ck_assert(slice_eq(m->body, r.body) && m->kind == RPC_REPLY);
	reading_close(&there);
	written_fini(&out);
	close_reply(&r);
}

START_TEST(callers_with_a_header_hear_of_it_there)
{
	must_reach_header(NULL);
	must_reach_header("s k=v;i 22=2;");
	must_reach_header("0");
}
END_TEST

/* They read it where it stands. */
START_TEST(callers_without_a_header_get_the_reply_as_it_came)
{
	struct rpc_edit edit = {.form = {RPC_PLAIN, RPC_THRIFT, false}};
	struct written out = {0};
	struct replied r;
	struct reading there;

	open_reply(&r, NULL, "{0:{255:{1:\"no\" 2:i1}}}");
	ck_assert(rpc_note_base_resp(r.m, &r.arena));
	ck_assert(written_message(&out, r.m, &edit, CODEC_DOWNSTREAM));
	reading_open(&there, CODEC_UPSTREAM, &reading_limits);
	reading_feed(&there, written_slice(&out));
	ck_assert_int_eq(there.list[0].message.kind, RPC_REPLY);
	ck_assert(slice_eq(there.list[0].message.body, r.body));
	reading_close(&there);
	written_fini(&out);
	close_reply(&r);
}
END_TEST

START_TEST(callers_of_grpc_get_the_message_that_says_it)
{
	struct rpc_edit edit = {.form = {RPC_HTTP2, RPC_THRIFT, false}};
	struct field_list head = {.n = 0}, trailers = {.n = 0};
	struct replied r;

	open_reply(&r, NULL, "{0:{255:{1:\"no\" 2:i1}}}");
	ck_assert(rpc_note_base_resp(r.m, &r.arena));
	head.arena = trailers.arena = &r.arena;
	grpc_reply_fields(r.m, &edit, &head, &trailers);
	ck_assert_uint_gt(head.n, 0);
	ck_assert(slice_eq_str(trailers.items[0].name, "grpc-status") &&
		  slice_eq_str(trailers.items[0].value, "0"));
	ck_assert_uint_eq(rpc_grpc_status_of(r.m), 0);
	close_reply(&r);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_status_code_is_a_business_error,
	    code_0_and_no_code_are_success,
	    what_is_no_base_resp_tells_nothing,
	    an_extra_is_said_in_json,
	    what_is_long_is_cut,
	    what_a_header_says_already_stands,
	    exceptions_and_parts_of_replies_are_not_read,
	    a_reply_that_is_cut_short_tells_nothing,
	    callers_with_a_header_hear_of_it_there,
	    callers_without_a_header_get_the_reply_as_it_came,
	    callers_of_grpc_get_the_message_that_says_it,
	};

	return suite_run("base_resp", tests, sizeof tests / sizeof tests[0]);
}
