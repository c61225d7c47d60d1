/* Who looks on while calls go by: what is kept for them, what their lines say, and what is lost. */
#include <stdlib.h>

#include <cJSON.h>

#include "base/mem.h"
#include "net/inbox.h"
#include "net/loop.h"
#include "proxy/call.h"
#include "proxy/tap.h"
#include "proxy/world.h"
#include "support/frames.h"
#include "support/suite.h"

#define STARTED (5 * USEC_S)

/* A worker with one tap, and a call that goes through it. */
static struct {
	struct loop *loop;
	struct inbox *inbox;
	struct process_shares shares;
	struct config config;
	struct snapshot snapshot;
	struct world world;
	struct worker worker;
	struct service service;
	struct world_service world_service;
	struct listener_config listener;
	struct tap *tap;
	struct call *call;
	struct slice sections;
	cJSON *seen; /* the last line */
	unsigned lines;
} made;

static void see(void *arg)
{
	struct tap_line *line = arg;

	cJSON_Delete(made.seen);
	ck_assert_int_eq(line->text[line->len - 1], '\n');
	made.seen = cJSON_ParseWithLength(line->text, line->len - 1);
	ck_assert_msg(made.seen != NULL, "no JSON: %.300s", line->text);
	made.lines++;
	tap_line_free(line);
}

static void post(void *inbox, struct tap_line *line)
{
	inbox_post(inbox, see, line);
}

static void make_call(void)
{
	struct call *call = mem_calloc(1, sizeof *call);

	call->worker = &made.worker;
	call->world = &made.world;
	call->listener = &made.listener;
	call->service = &made.world_service;
	call->request.form = (struct rpc_form){RPC_TTHEADER, RPC_THRIFT, true};
	call->request.method = SLICE_LIT("Echo");
	call->request.log_id = SLICE_LIT("0201");
	call->request.body = SLICE_LIT("the body of the call");
	call->started = STARTED;
	arena_init(&call->arena, call->room, sizeof call->room);
	made.call = call;
}

static void begin(void)
{
	struct err err;

	memset(&made, 0, sizeof made);
	made.loop = loop_new(&err);
	made.inbox = inbox_new(made.loop, &err);
	ck_assert_ptr_nonnull(made.inbox);
	made.config.limit_memory = (uint64_t)1 << 20;
	made.snapshot.config = &made.config;
	made.world.snapshot = &made.snapshot;
	made.worker.world = &made.world;
	made.worker.loop = made.loop;
	made.worker.shares = &made.shares;
	rng_init(&made.worker.rng, 3);
	made.service.label = SLICE_LIT("price");
	made.world_service.service = &made.service;
	made.listener.name = "in";
	made.tap = tap_new(post, made.inbox);
	make_call();
}

static void end(void)
{
	tap_list_adopt(&made.worker, NULL);
	inbox_free(&made.inbox);
	tap_unref(&made.tap);
	arena_fini(&made.call->arena);
	free(made.call);
	cJSON_Delete(made.seen);
	frame_free(&made.sections);
	loop_free(&made.loop);
}

/* The tap as it is now is what the worker looks by. */
static void look(void)
{
	tap_list_adopt(&made.worker, tap_list_new(&made.tap, 1));
}

static void end_call(void)
{
	tap_call_ended(made.call, STARTED + 250);
	inbox_run(made.inbox);
}

static void call_with(const char *header)
{
	frame_free(&made.sections);
	made.sections = frame_sections(header);
	made.call->request.sections = made.sections;
}

static const cJSON *member(const char *of, const char *message, const char *group)
{
	const cJSON *at = cJSON_GetObjectItemCaseSensitive(made.seen, of);

	at = cJSON_GetObjectItemCaseSensitive(at, message);
	return group ? cJSON_GetObjectItemCaseSensitive(at, group) : at;
}

static void must_say(const char *message, const char *expected)
{
	char *text = cJSON_PrintUnformatted(member("metadata", message, NULL));

	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text, expected);
	cJSON_free(text);
}

static void must_have(const char *name, const char *expected)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(made.seen, name);

	ck_assert_msg(cJSON_IsString(item), "no %s", name);
	ck_assert_str_eq(item->valuestring, expected);
}

/* Its reply, in a buffer that is gone when this returns. */
static void reply_with(const char *header, const char *body)
{
	struct slice sections = frame_sections(header);
	struct slice all = frame_join(sections, slice_str(body));
	struct rpc_message *m = &made.call->reply;

	*m = (struct rpc_message){.form = {RPC_TTHEADER, RPC_THRIFT, true}, .kind = RPC_REPLY};
	m->head = slice_first(all, sections.len);
	m->sections = m->head;
	m->body = slice_from(all, sections.len);
	tap_call_replied(made.call);
	frame_free(&sections);
	frame_free(&all);
}

START_TEST(a_line_has_the_fields_of_the_log_and_metadata)
{
	call_with("i 3=cart 21=1;s RPC_PERSIST_ENV=gray k=v;a tok");
	look();
	end_call();
	ck_assert_uint_eq(made.lines, 1);
	must_have("service", "price");
	must_have("method", "Echo");
	must_say("call", "{\"ints\":{\"from_service\":\"cart\",\"stress_tag\":\"1\"},"
			 "\"persistent\":{\"ENV\":\"gray\"},"
			 "\"transient\":{\"gdpr-token\":\"<redacted>\"},\"strs\":{\"k\":\"v\"}}");
	ck_assert_ptr_null(cJSON_GetObjectItemCaseSensitive(made.seen, "payload"));
}
END_TEST

START_TEST(a_reply_that_goes_on_is_kept)
{
	made.tap->body = 8;
	look();
	tap_call_started(made.call);
	reply_with("s RPC_BACKWARD_BOX=b", "0123456789");
	tap_note_body(made.call->tapped, &made.call->tapped->out, SLICE_LIT("more"));
	end_call();
	must_say("reply", "{\"backward\":{\"BOX\":\"b\"}}");
	must_have("request_body", "dGhlIGJvZHk="); /* the body */
	must_have("reply_body", "MDEyMzQ1Njc=");   /* 01234567 */
	ck_assert_double_eq(
	    cJSON_GetObjectItemCaseSensitive(made.seen, "reply_body_bytes")->valuedouble, 14);
}
END_TEST

START_TEST(a_reply_that_ends_with_its_call_is_not_copied)
{
	struct slice body = SLICE_LIT("0123");

	made.tap->body = 8;
	look();
	tap_call_started(made.call);
	made.call->reply_is_complete = made.call->upload_is_over = true;
	made.call->reply =
	    (struct rpc_message){.form = {RPC_PLAIN, RPC_THRIFT, true}, .body = body};
	tap_call_replied(made.call);
	ck_assert(!made.call->tapped->has_reply);
	end_call();
	must_have("reply_body", "MDEyMw==");
}
END_TEST

START_TEST(a_body_that_comes_in_parts_is_put_together)
{
	made.tap->body = 16;
	look();
	made.call->request.body = SLICE_NONE;
	tap_call_started(made.call);
	for (int i = 0; i < 5; i++)
		tap_note_body(made.call->tapped, &made.call->tapped->in, SLICE_LIT("part"));
	end_call();
	must_have("request_body", "cGFydHBhcnRwYXJ0cGFydA==");
	ck_assert_double_eq(
	    cJSON_GetObjectItemCaseSensitive(made.seen, "request_body_bytes")->valuedouble, 20);
}
END_TEST

START_TEST(nothing_is_kept_for_calls_that_do_not_fit)
{
	struct err err;

	made.tap->body = 16;
	ck_assert_int_eq(
	    tap_filter_add(&made.tap->filter, SLICE_LIT("method"), SLICE_LIT("Other"), &err), 0);
	look();
	tap_call_started(made.call);
	reply_with("s k=v", "0123");
	ck_assert_ptr_null(made.call->tapped);
	end_call();
	ck_assert_uint_eq(made.lines, 0);
}
END_TEST

START_TEST(a_tap_that_came_late_has_no_reply_to_show)
{
	look();
	made.call->has_reply = true;
	made.call->reply = (struct rpc_message){
	    .form = {RPC_TTHEADER, RPC_THRIFT, true}, .sections = slice_of((const void *)1, 1000)};
	end_call();
	ck_assert_uint_eq(made.lines, 1);
	ck_assert_ptr_null(member("metadata", "reply", NULL));
}
END_TEST

START_TEST(without_memory_nothing_is_kept)
{
	made.config.limit_memory = 100;
	made.tap->body = TAP_BODY_MAX;
	look();
	tap_call_started(made.call);
	ck_assert_ptr_null(made.call->tapped);
	end_call();
	ck_assert_uint_eq(made.lines, 1);
	ck_assert_ptr_null(cJSON_GetObjectItemCaseSensitive(made.seen, "payload"));
}
END_TEST

START_TEST(lines_that_nobody_takes_are_lost_and_counted)
{
	unsigned calls = 0;

	look();
	while (atomic_load(&made.tap->lost) < 10) {
		tap_call_ended(made.call, STARTED + 1);
		calls++;
	}
	ck_assert_uint_le(atomic_load(&made.tap->waiting), TAP_WAITS + 65536);
	inbox_run(made.inbox);
	ck_assert_uint_eq(made.lines + 10, calls);
	ck_assert_uint_eq(atomic_load(&made.tap->waiting), 0);
	end_call();
	ck_assert_uint_eq(made.lines + 10, calls + 1);
}
END_TEST

START_TEST(no_more_are_shown_than_were_asked_for)
{
	made.tap->limit = 3;
	look();
	for (int i = 0; i < 5; i++)
		end_call();
	ck_assert_uint_eq(made.lines, 3);
}
END_TEST

START_TEST(a_list_keeps_its_taps_and_the_largest_wish)
{
	struct tap *other = tap_new(post, made.inbox);
	struct tap *both[] = {made.tap, other};
	struct tap_list *list;

	other->body = 100;
	list = tap_list_new(both, 2);
	tap_unref(&other);
	ck_assert_uint_eq(list->body, 100);
	tap_list_adopt(&made.worker, list);
	end_call();
	ck_assert_uint_eq(made.lines, 2);
	ck_assert_ptr_null(tap_list_new(both, 0));
}
END_TEST

/* Each of @n entries has a name of its own; escaped they are as long as can be. */
static void fill_header(unsigned n)
{
	char *text = mem_alloc((size_t)n * 600 + 3), *at = text;

	*at++ = 's';
	for (unsigned i = 0; i < n; i++) {
		at += sprintf(at, " k%u", i);
		memset(at, '\x01', 250);
		at += 250;
		*at++ = '=';
		memset(at, '\x01', 300);
		at += 300;
	}
	*at = '\0';
	call_with(text);
	free(text);
}

START_TEST(whatever_is_said_it_is_one_line_of_json)
{
	const cJSON *shown, *left_out;

	made.tap->body = TAP_BODY_MAX;
	look();
	fill_header((unsigned)_i);
	tap_call_started(made.call);
	end_call();
	shown = member("metadata", "call", "strs");
	left_out = member("metadata", "call", "left_out");
	ck_assert_int_eq(cJSON_GetArraySize(shown) + (left_out ? left_out->valueint : 0), _i);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_line_has_the_fields_of_the_log_and_metadata, 1},
	    {a_reply_that_goes_on_is_kept, 1},
	    {a_reply_that_ends_with_its_call_is_not_copied, 1},
	    {a_body_that_comes_in_parts_is_put_together, 1},
	    {nothing_is_kept_for_calls_that_do_not_fit, 1},
	    {a_tap_that_came_late_has_no_reply_to_show, 1},
	    {without_memory_nothing_is_kept, 1},
	    {lines_that_nobody_takes_are_lost_and_counted, 1},
	    {no_more_are_shown_than_were_asked_for, 1},
	    {a_list_keeps_its_taps_and_the_largest_wish, 1},
	    {whatever_is_said_it_is_one_line_of_json, 200},
	};

	return suite_run_between("tap", tests, ARRAY_LEN(tests), begin, end);
}
