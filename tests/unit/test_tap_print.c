/* A call that went by, for people: what the daemon may say of one, and what it should not. */
#include <stdio.h>
#include <stdlib.h>

#include <cJSON.h>
#include <check.h>

#include "base/mem.h"
#include "ctl/tap_print.h"
#include "support/suite.h"

#define HEAD                                                                                         \
	"\"time\":\"2026-01-01T12:34:56.789012Z\",\"us\":{\"total\":1200},\"reason\":\"ok\","        \
	"\"service\":\"price\",\"method\":\"Echo\",\"caller\":\"cart\",\"endpoint\":\"10.0.0.1:9\"," \
	"\"protocol\":\"framed\",\"kind\":\"call\",\"bytes_in\":5,\"bytes_out\":7,\"attempts\":1"
#define LINE "12:34:56.789012  1.20ms ok            price/Echo cart>10.0.0.1:9 framed bytes=5>7"

static const char *print(const char *json, bool is_verbose)
{
	static char text[8192];
	cJSON *call = cJSON_Parse(json);
	FILE *to = fmemopen(text, sizeof text, "w");

	ck_assert_msg(call != NULL, "%s", json);
	ck_assert_ptr_nonnull(to);
	tap_print(call, is_verbose, to);
	fclose(to);
	cJSON_Delete(call);
	return text;
}

static const struct {
	const char *json, *text;
} calls[] = {
    {"{" HEAD "}", LINE "\n"},
    {"{" HEAD ",\"status\":14,\"log_id\":\"02\",\"biz_status\":\"7\"}",
	LINE " status=14 biz_status=7 log_id=02\n"},
    {"{" HEAD ",\"messages\":{\"in\":2,\"out\":3}}", LINE " messages=2>3\n"},
    {"{" HEAD ",\"detail\":\"no \\\"one\\\"\"}", LINE " \"no \\\"one\\\"\"\n"},
    {"{" HEAD ",\"metadata\":{\"call\":{\"ints\":{\"log_id\":\"02\"}}}}", LINE "\n"},
    /* {1: "hi"} */
    {"{" HEAD
     ",\"payload\":\"thrift\",\"request_body\":\"CwABAAAAAmhpAA==\",\"request_body_bytes\":10}",
	LINE "\n    request {1: \"hi\"}\n"},
    {"{" HEAD ",\"payload\":\"opaque\",\"reply_body\":\"aGk=\",\"reply_body_bytes\":200}",
	LINE "\n    reply \"hi\" (2 of 200 bytes)\n"},
    {"{" HEAD ",\"payload\":\"protobuf\",\"reply_body\":\"AAH/\",\"reply_body_bytes\":3}",
	LINE "\n    reply hex 0001ff\n"},
    {"{" HEAD ",\"reply_body\":\"\",\"reply_body_bytes\":0}", LINE "\n"},
    {"{" HEAD ",\"reply_body\":\"no base64\",\"reply_body_bytes\":9}", LINE "\n"},
    {"{}", "-       0us               -/- ->-  bytes=0>0 attempts=0\n"},
};

START_TEST(a_line_says_what_matters)
{
	const char *text = print(calls[_i].json, false);

	if (strcmp(calls[_i].json, "{}") != 0)
		ck_assert_str_eq(text, calls[_i].text);
	else
		ck_assert_ptr_nonnull(strstr(text, "-/- ->-"));
}
END_TEST

START_TEST(metadata_stands_beneath_it_when_asked_for)
{
	ck_assert_str_eq(print("{" HEAD ",\"metadata\":{\"call\":{\"ints\":{\"log_id\":\"02\"},"
			       "\"headers\":{\"x\":[\"1\",\"2\"]},\"left_out\":3},\"reply\":{}}}",
			     true),
	    LINE "\n    call ints: log_id=\"02\"\n    call headers: x=\"1\" x=\"2\"\n"
		 "    call left_out: 3 entries\n");
}
END_TEST

START_TEST(bytes_are_what_they_were_before_they_were_json)
{
	/* an e with an acute accent in UTF-8, and bytes that are none */
	ck_assert_ptr_nonnull(strstr(
	    print("{" HEAD ",\"metadata\":{\"call\":{\"strs\":{\"k\":\"\\u00c3\\u00a9\"}}}}", true),
	    "k=\"\xc3\xa9\""));
	ck_assert_ptr_nonnull(strstr(
	    print("{" HEAD ",\"metadata\":{\"call\":{\"strs\":{\"k\":\"\\u00ff\\u00fe\"}}}}", true),
	    "k=hex fffe"));
}
END_TEST

#define EVIL "\\u001b[31m\\u009b\\u0007\\n"

START_TEST(nothing_steers_the_terminal)
{
	const char *text =
	    print("{\"time\":\"T" EVIL "\",\"reason\":\"ok\",\"service\":\"" EVIL
		  "\",\"method\":\"" EVIL "\",\"caller\":\"" EVIL "\",\"endpoint\":\"" EVIL
		  "\",\"protocol\":\"x\",\"kind\":\"" EVIL "\",\"log_id\":\"" EVIL
		  "\",\"detail\":\"" EVIL "\",\"metadata\":{\"call\":{\"strs\":{\"" EVIL
		  "\":\"" EVIL "\"}}},\"payload\":\"thrift\",\"request_body\":\"CwABAAAAARsA\","
		  "\"request_body_bytes\":9}",
		true);

	for (const char *at = text; *at; at++)
		ck_assert_msg((unsigned char)*at >= ' ' || *at == '\n', "%#x in %s", *at, text);
	ck_assert_ptr_null(strstr(text, "\xc2\x9b"));
}
END_TEST

static const char *const odd[] = {"[]", "1", "\"x\"", "null", "{\"metadata\":[1]}",
    "{\"metadata\":{\"call\":[[{}]]}}", "{\"metadata\":{\"call\":{\"strs\":{\"k\":{\"x\":1}}}}}",
    "{\"us\":1,\"messages\":[],\"request_body\":7}",
    "{\"payload\":\"thrift\",\"request_body\":\"CwAB\",\"request_body_bytes\":3}",
    "{\"payload\":\"thrift\",\"protocol\":\"grpc\",\"reply_body\":\"AA==\",\"reply_body_bytes\":1}"};

START_TEST(whatever_is_said_something_is_shown)
{
	ck_assert_uint_gt(strlen(print(odd[_i], true)), 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_line_says_what_matters, ARRAY_LEN(calls)},
	    {metadata_stands_beneath_it_when_asked_for, 1},
	    {bytes_are_what_they_were_before_they_were_json, 1},
	    {nothing_steers_the_terminal, 1},
	    {whatever_is_said_something_is_shown, ARRAY_LEN(odd)},
	};

	return suite_run_between("tap_print", tests, ARRAY_LEN(tests), NULL, NULL);
}
