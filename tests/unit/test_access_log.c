/* A call's line in the access log: JSON that parses whatever callers say, and the operator's
 * format. */
#include <stdlib.h>

#include <cJSON.h>

#include "base/mem.h"
#include "model/access_field.h"
#include "net/loop.h"
#include "proxy/access_line.h"
#include "proxy/access_log.h"
#include "proxy/call.h"
#include "proxy/world.h"
#include "support/suite.h"

#define STARTED (5 * USEC_S)

/* A call that has ended, with just as much around it as its line wants. */
static struct {
	struct loop *loop;
	struct worker worker;
	struct config config;
	struct snapshot snapshot;
	struct world world;
	struct service service;
	struct world_service world_service;
	struct listener_config listener;
	struct endpoint endpoint;
	struct call *call;
	char line[20000];
	size_t len;
	unsigned lines;
} made;

static void take_line(void *arg, const char *line, size_t len)
{
	(void)arg;
	ck_assert_uint_lt(len, sizeof made.line);
	memcpy(made.line, line, len);
	made.line[len] = '\0';
	made.len = len;
	made.lines++;
}

static void make_call(void)
{
	struct call *call = mem_calloc(1, sizeof *call);

	call->worker = &made.worker;
	call->world = &made.world;
	call->listener = &made.listener;
	call->service = &made.world_service;
	call->endpoint = &made.endpoint;
	call->request.form = (struct rpc_form){RPC_TTHEADER, RPC_THRIFT, true};
	call->request.method = SLICE_LIT("Echo");
	call->request.idl_service = SLICE_LIT("EchoService");
	call->request.log_id = SLICE_LIT("0201");
	call->caller = SLICE_LIT("cart");
	call->started = STARTED;
	call->tried_at = STARTED + 10;
	call->connected = STARTED + 30;
	call->first_byte = STARTED + 100;
	call->n_attempts = 2;
	call->bytes_in = 581;
	call->bytes_out = 300;
	memcpy(call->source, "10.0.0.9:4711", 14);
	made.call = call;
}

static void begin(void)
{
	struct err err;

	made.loop = loop_new(&err);
	ck_assert_ptr_nonnull(made.loop);
	made.config.access_log = (struct access_log_config){
	    .to = "stderr", .sample = 1.0, .always_slower_than = USEC_NONE};
	made.snapshot.config = &made.config;
	made.world.snapshot = &made.snapshot;
	made.worker.loop = made.loop;
	made.worker.access_sink = take_line;
	rng_init(&made.worker.rng, 3);
	made.service.label = SLICE_LIT("price");
	made.world_service.service = &made.service;
	made.listener.name = "in";
	ck_assert_int_eq(
	    address_parse(&made.endpoint.address, SLICE_LIT("127.0.0.1:9000"), &err), 0);
	make_call();
}

static void end(void)
{
	free(made.call);
	loop_free(&made.loop);
}

static cJSON *log_json(void)
{
	cJSON *json;

	access_log_call(made.call, STARTED + 250);
	json = cJSON_ParseWithLength(made.line, made.len);
	ck_assert_msg(json != NULL, "no JSON: %.300s", made.line);
	return json;
}

static const char *text_at(const cJSON *json, const char *name)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));

	ck_assert_msg(text != NULL, "no %s", name);
	return text;
}

static double number_at(const cJSON *json, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);

	ck_assert_msg(cJSON_IsNumber(item), "no %s", name);
	return item->valuedouble;
}

START_TEST(a_line_tells_the_whole_call)
{
	cJSON *json = log_json(), *us = cJSON_GetObjectItemCaseSensitive(json, "us");

	ck_assert_str_eq(text_at(json, "method"), "Echo");
	ck_assert_str_eq(text_at(json, "idl_service"), "EchoService");
	ck_assert_str_eq(text_at(json, "service"), "price");
	ck_assert_str_eq(text_at(json, "caller"), "cart");
	ck_assert_str_eq(text_at(json, "listener"), "in");
	ck_assert_str_eq(text_at(json, "protocol"), "ttheader");
	ck_assert_str_eq(text_at(json, "log_id"), "0201");
	ck_assert_str_eq(text_at(json, "kind"), "call");
	ck_assert_str_eq(text_at(json, "reason"), "ok");
	ck_assert_str_eq(text_at(json, "endpoint"), "127.0.0.1:9000");
	ck_assert_str_eq(text_at(json, "source"), "10.0.0.9:4711");
	ck_assert_uint_eq(strlen(text_at(json, "time")), strlen("2026-01-01T00:00:00.000000Z"));
	ck_assert_double_eq(number_at(json, "attempts"), 2);
	ck_assert_double_eq(number_at(json, "bytes_in"), 581);
	ck_assert_double_eq(number_at(json, "bytes_out"), 300);
	ck_assert_double_eq(number_at(us, "total"), 250);
	ck_assert_double_eq(number_at(us, "queue"), 10);
	ck_assert_double_eq(number_at(us, "connect"), 20);
	ck_assert_double_eq(number_at(us, "first_byte"), 70);
	cJSON_Delete(json);
}
END_TEST

START_TEST(a_stream_counts_its_messages)
{
	cJSON *json, *messages;

	json = log_json();
	ck_assert_ptr_null(cJSON_GetObjectItemCaseSensitive(json, "messages"));
	cJSON_Delete(json);
	made.call->request.form = (struct rpc_form){RPC_HTTP2, RPC_THRIFT, false};
	made.call->up.messages = 1;
	json = log_json();
	ck_assert_str_eq(text_at(json, "kind"), "call");
	cJSON_Delete(json);
	made.call->down.messages = 7;
	json = log_json();
	messages = cJSON_GetObjectItemCaseSensitive(json, "messages");
	ck_assert_str_eq(text_at(json, "kind"), "stream");
	ck_assert_str_eq(text_at(json, "protocol"), "grpc");
	ck_assert_double_eq(number_at(messages, "in"), 1);
	ck_assert_double_eq(number_at(messages, "out"), 7);
	cJSON_Delete(json);
}
END_TEST

START_TEST(a_refused_call_has_a_line_too)
{
	cJSON *json;

	made.call->service = NULL;
	made.call->endpoint = NULL;
	made.call->request = (struct rpc_message){.kind = RPC_CALL};
	made.call->request.log_id = SLICE_LIT("x");
	made.call->caller = SLICE_NONE;
	made.call->tried_at = made.call->connected = made.call->first_byte = 0;
	made.call->reason = REASON_MALFORMED;
	rpc_status_set(&made.call->failure, REASON_MALFORMED, "a \"quoted\" why");
	json = log_json();
	ck_assert_str_eq(text_at(json, "reason"), "malformed");
	ck_assert_str_eq(text_at(json, "method"), "");
	ck_assert_str_eq(text_at(json, "protocol"), "unknown");
	ck_assert_ptr_nonnull(strstr(made.line, "a \\\"quoted\\\" why"));
	cJSON_Delete(json);
}
END_TEST

START_TEST(every_byte_of_a_method_is_kept_and_escaped)
{
	for (unsigned b = 0; b < 256; b++) {
		char name[3] = {'a', (char)b, 'z'};
		cJSON *json;

		made.call->request.method = slice_of(name, 3);
		json = log_json();
		if (b >= 0x20 && b < 0x7f)
			ck_assert_mem_eq(text_at(json, "method"), name, 3);
		for (size_t i = 0; i < made.len; i++)
			ck_assert_msg(made.line[i] >= 0x20 && made.line[i] < 0x7f,
			    "byte %u stands in the line", b);
		cJSON_Delete(json);
	}
}
END_TEST

/* All that strangers can say, each as long and as much to be escaped as can be. */
static void say_everywhere(struct slice s)
{
	struct rpc_message *m = &made.call->request;

	m->method = m->idl_service = m->log_id = m->service_asked = s;
	made.call->caller = made.call->reply_biz_status = s;
	made.call->service = NULL;
	memset(
	    made.call->failure.detail, s.len ? s.data[0] : 0, sizeof made.call->failure.detail - 1);
}

START_TEST(hostile_strings_everywhere_still_make_whole_json)
{
	static const char fills[] = {'x', '"', '\\', '\n', '\x01', '\x7f', '\xff', '\xc3'};
	static char text[70000];

	for (size_t i = 0; i < ARRAY_LEN(fills); i++) {
		for (size_t len = 1; len < sizeof text; len = len * 2 + 1) {
			cJSON *json;

			memset(text, fills[i], len);
			say_everywhere(slice_of(text, len));
			json = log_json();
			ck_assert_double_eq(
			    number_at(cJSON_GetObjectItemCaseSensitive(json, "us"), "total"), 250);
			cJSON_Delete(json);
		}
	}
}
END_TEST

START_TEST(strings_are_cut_at_256_bytes_and_say_so)
{
	static char text[300];
	cJSON *json;

	memset(text, 'm', sizeof text);
	made.call->request.method = slice_of(text, 256);
	json = log_json();
	ck_assert_uint_eq(strlen(text_at(json, "method")), 256);
	cJSON_Delete(json);
	made.call->request.method = slice_of(text, 257);
	json = log_json();
	ck_assert_uint_eq(strlen(text_at(json, "method")), 259);
	ck_assert_str_eq(text_at(json, "method") + 256, "...");
	cJSON_Delete(json);
}
END_TEST

static const char *log_format(const char *format)
{
	made.config.access_log.format = format;
	access_log_call(made.call, STARTED + 250);
	return made.line;
}

START_TEST(a_format_names_fields_and_leaves_the_rest_alone)
{
	ck_assert_str_eq(
	    log_format("%{method} %{us.total}us %{caller}->%{service}"), "Echo 250us cart->price");
	ck_assert_str_eq(
	    log_format("%{nothing} %{method %d %% %s }"), "%{nothing} %{method %d %% %s }");
	ck_assert_str_eq(log_format(""), "");
	ck_assert_str_eq(log_format("%"), "%");
	ck_assert_str_eq(log_format("%{"), "%{");
	ck_assert_str_eq(log_format("%{}"), "%{}");
	ck_assert_str_eq(log_format("%{%{method}"), "%{Echo");
	ck_assert_str_eq(log_format("%%{method}"), "%Echo");
}
END_TEST

START_TEST(a_format_shows_a_dash_for_what_is_empty)
{
	made.call->caller = SLICE_NONE;
	ck_assert_str_eq(log_format("[%{caller}] [%{biz_status}] [%{attempts}]"), "[-] [-] [2]");
}
END_TEST

START_TEST(a_format_escapes_what_strangers_say)
{
	made.call->request.method = SLICE_LIT("a\r\nb\x1b[31m %s");
	ck_assert_str_eq(log_format("%{method}"), "a\\x0d\\x0ab\\x1b[31m %s");
}
END_TEST

START_TEST(a_format_is_cut_where_the_line_is_full)
{
	static char format[40000], text[256];

	for (size_t i = 0; i + 9 < sizeof format; i += 9)
		memcpy(format + i, "%{method}", 9);
	memset(text, '\xff', sizeof text);
	made.call->request.method = slice_of(text, sizeof text);
	log_format(format);
	ck_assert_uint_gt(made.len, 8000);
}
END_TEST

START_TEST(only_a_share_is_logged_when_sampled)
{
	made.config.access_log.sample = 0.25;
	for (int i = 0; i < 10000; i++)
		access_log_call(made.call, STARTED + 250);
	ck_assert_uint_gt(made.lines, 2200);
	ck_assert_uint_lt(made.lines, 2800);
}
END_TEST

START_TEST(errors_and_slow_calls_are_logged_out_of_turn)
{
	struct access_log_config *c = &made.config.access_log;

	c->sample = 0;
	access_log_call(made.call, STARTED + 250);
	made.call->reason = REASON_TIMEOUT;
	access_log_call(made.call, STARTED + 250);
	ck_assert_uint_eq(made.lines, 0);
	c->always_errors = true;
	access_log_call(made.call, STARTED + 250);
	ck_assert_uint_eq(made.lines, 1);
	made.call->reason = REASON_BIZ_ERROR; /* no error in Kitex's sense */
	access_log_call(made.call, STARTED + 250);
	ck_assert_uint_eq(made.lines, 1);
	c->always_slower_than = 250;
	access_log_call(made.call, STARTED + 250);
	ck_assert_uint_eq(made.lines, 1);
	access_log_call(made.call, STARTED + 251);
	ck_assert_uint_eq(made.lines, 2);
}
END_TEST

/* The member of a field, where a dot leads into a group. */
static const cJSON *member(const cJSON *json, const char *name)
{
	const char *dot = strchr(name, '.');
	char group[32];

	if (dot == NULL)
		return cJSON_GetObjectItemCaseSensitive(json, name);
	memcpy(group, name, (size_t)(dot - name));
	group[dot - name] = '\0';
	return cJSON_GetObjectItemCaseSensitive(
	    cJSON_GetObjectItemCaseSensitive(json, group), dot + 1);
}

START_TEST(json_has_each_field_by_its_name)
{
	cJSON *json;

	made.call->request.form = (struct rpc_form){RPC_HTTP2, RPC_THRIFT, false};
	json = log_json();
	for (int f = 0; f < ACCESS_COUNT; f++)
		ck_assert_ptr_nonnull(member(json, access_field_name((enum access_field)f)));
	cJSON_Delete(json);
}
END_TEST

START_TEST(the_time_is_that_of_its_second_and_of_the_next)
{
	static const struct {
		usec_t at;
		const char *text;
	} times[] = {{0, "1970-01-01T00:00:00.000000Z"}, {999999, "1970-01-01T00:00:00.999999Z"},
	    {USEC_S + 7, "1970-01-01T00:00:01.000007Z"},
	    {951782399 * USEC_S + 120, "2000-02-28T23:59:59.000120Z"},
	    {951782400 * USEC_S, "2000-02-29T00:00:00.000000Z"},
	    {0, "1970-01-01T00:00:00.000000Z"}};

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		struct access_moment moment = {.now = STARTED, .calendar = times[i].at};
		char room[ACCESS_LINE_MAX];
		size_t n = access_line_format(made.call, &moment, "%{time}", room);

		ck_assert_uint_eq(n, strlen(times[i].text));
		ck_assert_mem_eq(room, times[i].text, n);
	}
}
END_TEST

START_TEST(where_somebody_else_has_a_clock_there_is_no_time)
{
	struct access_moment moment = {.now = STARTED, .is_untimed = true};
	char room[ACCESS_LINE_MAX];
	size_t n = access_line_json(made.call, &moment, room);
	cJSON *json = cJSON_ParseWithLength(room, n);

	ck_assert_ptr_nonnull(json);
	ck_assert_ptr_null(member(json, "time"));
	ck_assert_str_eq(json->child->string, "log_id");
	cJSON_Delete(json);
}
END_TEST

START_TEST(without_a_place_to_write_to_nothing_is_written)
{
	made.config.access_log.to = NULL;
	access_log_call(made.call, STARTED + 250);
	ck_assert_uint_eq(made.lines, 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_line_tells_the_whole_call, 1},
	    {a_stream_counts_its_messages, 1},
	    {a_refused_call_has_a_line_too, 1},
	    {every_byte_of_a_method_is_kept_and_escaped, 1},
	    {hostile_strings_everywhere_still_make_whole_json, 1},
	    {strings_are_cut_at_256_bytes_and_say_so, 1},
	    {a_format_names_fields_and_leaves_the_rest_alone, 1},
	    {a_format_shows_a_dash_for_what_is_empty, 1},
	    {a_format_escapes_what_strangers_say, 1},
	    {a_format_is_cut_where_the_line_is_full, 1},
	    {only_a_share_is_logged_when_sampled, 1},
	    {errors_and_slow_calls_are_logged_out_of_turn, 1},
	    {json_has_each_field_by_its_name, 1},
	    {the_time_is_that_of_its_second_and_of_the_next, 1},
	    {where_somebody_else_has_a_clock_there_is_no_time, 1},
	    {without_a_place_to_write_to_nothing_is_written, 1},
	};

	return suite_run_between("access_log", tests, ARRAY_LEN(tests), begin, end);
}
