/* Applications that ask for the metadata of the call in their hands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "net/loop.h"
#include "proxy/metadata_page.h"
#include "proxy/upstream_name.h"
#include "support/sim.h"

#define LOOKUP "protocol: framed, metadata: lookup"
#define USER   1000

static struct text page;

static struct upstream_name name_of(const struct fake_end *app)
{
	struct upstream_name name;

	ck_assert_msg(upstream_name_read(slice_str(fake_name(app)), &name), "%s", fake_name(app));
	ck_assert_int_eq(name.process, getpid());
	ck_assert_uint_eq(name.worker, sim_worker()->index);
	return name;
}

static enum metadata_answer ask_as(struct metadata_question *question)
{
	enum metadata_answer answer;

	text_fini(&page);
	answer = metadata_page(sim_worker(), question, &page);
	if (answer == METADATA_ANSWERED)
		text_add(&page, slice_of("", 1));
	else
		ck_assert_uint_eq(page.len, 0);
	return answer;
}

/* By root. */
static enum metadata_answer ask(const struct fake_end *app)
{
	struct metadata_question question = {.number = name_of(app).number, .asker = {0, true}};

	return ask_as(&question);
}

static enum metadata_answer ask_for(const struct fake_end *app, int32_t seq)
{
	struct metadata_question question = {
	    .number = name_of(app).number, .has_seq = true, .seq = seq, .asker = {0, true}};

	return ask_as(&question);
}

static bool says(const char *part)
{
	return strstr(page.bytes, part) != NULL;
}

#define tells(app, part)                                                                           \
	do {                                                                                       \
		ck_assert_int_eq(ask(app), METADATA_ANSWERED);                                     \
		ck_assert_msg(says(part), "%s", page.bytes);                                       \
	} while (0)

static void forget_page(void)
{
	text_fini(&page);
}

START_TEST(each_connection_has_a_name_of_its_own)
{
	struct fake_end *apps[8];

	start(.service = LOOKUP, .is_local = true);
	for (size_t i = 0; i < ARRAY_LEN(apps); i++) {
		say(dial(), FRAMED, .seq = 1);
		apps[i] = accepted();
		for (size_t j = 0; j < i; j++)
			ck_assert_uint_ne(name_of(apps[i]).number, name_of(apps[j]).number);
	}
	ck_assert_uint_eq(sim_worker()->named.used, ARRAY_LEN(apps));
}
END_TEST

START_TEST(others_have_none)
{
	start(.service = LOOKUP);
	say(dial(), FRAMED, .seq = 1);
	ck_assert_str_eq(fake_name(accepted()), ""); /* TCP */
	sim_stop_quietly();
	start(.service = "protocol: framed", .is_local = true);
	say(dial(), FRAMED, .seq = 1);
	ck_assert_str_eq(fake_name(accepted()), "");
}
END_TEST

START_TEST(a_call_is_told_while_it_is_in_flight)
{
	struct fake_end *caller, *app;

	start(.service = LOOKUP, .is_local = true);
	caller = dial();
	say(caller, TTHEADER_FRAMED, .seq = 7, .keys = "3=web 2=log-1 12=5000 RPC_PERSIST_a=b");
	app = accepted();
	tells(app, "\"seq\":7");
	ck_assert(says("\"caller\":\"web\"") && says("\"log_id\":\"log-1\""));
	ck_assert(says("\"time_left_ms\":5000") && says("\"persistent\":{\"a\":\"b\"}"));
	pass(1000);
	tells(app, "\"time_left_ms\":4000");
	hear(app, FRAMED, .seq = 7);
	say(app, FRAMED, .seq = 7);
	ck_assert_int_eq(ask(app), METADATA_NO_CALL); /* idle */
	say(caller, TTHEADER_FRAMED, .seq = 8, .keys = "3=web.two");
	tells(app, "\"caller\":\"web.two\"");
	ck_assert(!says("\"a\":\"b\""));
}
END_TEST

START_TEST(a_call_that_nobody_waits_for_is_not_told)
{
	struct fake_end *caller, *app;

	start(.service = LOOKUP, .is_local = true);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	tells(app, "\"seq\":1");
	reset(caller);
	ck_assert_int_eq(ask(app), upstreams() ? METADATA_NO_CALL : METADATA_UNKNOWN);
}
END_TEST

START_TEST(a_name_ends_with_its_connection)
{
	struct metadata_question question = {.asker = {0, true}};
	struct fake_end *app;

	start(.service = LOOKUP, .is_local = true);
	say(dial(), FRAMED, .seq = 1);
	app = accepted();
	question.number = name_of(app).number;
	ck_assert_int_eq(ask_as(&question), METADATA_ANSWERED);
	hang_up(app);
	ck_assert_int_eq(ask_as(&question), METADATA_UNKNOWN);
	ck_assert_uint_eq(sim_worker()->named.used, 0);
	question.number = 0;
	ck_assert_int_eq(ask_as(&question), METADATA_UNKNOWN);
}
END_TEST

START_TEST(a_name_that_another_has_is_tried_anew)
{
	struct fake_end *app;

	start(.service = LOOKUP, .is_local = true);
	fake_script(sim_loop(), FAKE_NAME_TAKEN, 3);
	say(dial(), FRAMED, .seq = 1);
	app = accepted();
	tells(app, "\"seq\":1");
	ck_assert_uint_eq(fake_connects(sim_loop()), 4);
	ck_assert_uint_eq(sim_worker()->named.used, 1);
}
END_TEST

START_TEST(where_no_name_is_to_be_had_calls_go_on_without_one)
{
	struct fake_end *caller, *app;

	start(.service = LOOKUP, .is_local = true);
	fake_script(sim_loop(), FAKE_NAME_TAKEN, 4);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	ck_assert_str_eq(fake_name(app), "");
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	hear(caller, FRAMED, .seq = 1);
	ck_assert_uint_eq(sim_worker()->named.used, 0);
}
END_TEST

START_TEST(connects_that_fail_leave_no_name)
{
	struct fake_end *caller;

	start(.service = LOOKUP, .is_local = true);
	fake_script(sim_loop(), FAKE_BACKLOG, 2);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	ck_assert_uint_eq(sim_worker()->named.used, 0);
	pass(100);
	tells(accepted(), "\"seq\":1");
	fake_script(sim_loop(), FAKE_REFUSED, 10);
	say(dial(), FRAMED, .seq = 2);
	ck_assert_uint_eq(sim_worker()->named.used, 1);
}
END_TEST

START_TEST(every_attempt_of_a_call_is_told_of_it)
{
	struct fake_end *first, *second;

	start(.service = LOOKUP ", retry: {type: backup, delay: 100ms, unsafe: true}",
	    .is_local = true, .endpoints = 2);
	say(dial(), TTHEADER_FRAMED, .seq = 5, .keys = "3=web");
	first = accepted();
	pass(150);
	second = accepted();
	tells(first, "\"caller\":\"web\"");
	ck_assert(!says("RetryReq"));
	tells(second, "\"caller\":\"web\"");
	ck_assert_msg(says("\"RetryReq\":\"1\""), "%s", page.bytes);
	hear(second, FRAMED, .seq = 5);
	say(second, FRAMED, .seq = 5);
	ck_assert_int_ne(ask(second), METADATA_ANSWERED);
}
END_TEST

/* What the proxy called the call that the application hears next. */
static int32_t hear_id(struct fake_end *app)
{
	static struct sim_heard r;
	size_t used = sim_frame_read(fake_received(app), &r);

	ck_assert_uint_gt(used, 0);
	fake_consume(app, used);
	return r.seq;
}

START_TEST(calls_on_one_connection_are_told_by_their_ids)
{
	struct fake_end *callers[3], *app = NULL;
	int32_t ids[3];

	start(.service = "protocol: ttheader, multiplex: true, metadata: lookup", .is_local = true);
	for (int i = 0; i < 3; i++) {
		char keys[32];

		snprintf(keys, sizeof keys, "2=log-%d", i);
		callers[i] = dial();
		say(callers[i], TTHEADER_FRAMED, .seq = 9, .keys = keys);
		app = app ? app : accepted();
		ids[i] = hear_id(app);
	}
	ck_assert_int_eq(ask(app), METADATA_SEVERAL);
	for (int i = 0; i < 3; i++) {
		char part[40];

		snprintf(part, sizeof part, "\"log_id\":\"log-%d\"", i);
		ck_assert_int_eq(ask_for(app, ids[i]), METADATA_ANSWERED);
		ck_assert(says(part));
	}
	ck_assert_int_eq(ask_for(app, 9999), METADATA_NO_CALL);
	say(app, TTHEADER_FRAMED, .seq = ids[0]);
	say(app, TTHEADER_FRAMED, .seq = ids[2]);
	tells(app, "log-1");
}
END_TEST

START_TEST(oneways_are_remembered_by_numbers_of_their_own)
{
	struct fake_end *caller, *app;

	start(.service = LOOKUP, .is_local = true);
	caller = dial();
	say(caller, TTHEADER_FRAMED, .kind = ONEWAY, .seq = 40, .keys = "2=one");
	app = accepted();
	hear(app, FRAMED, .kind = ONEWAY, .seq = 1);
	tells(app, "\"log_id\":\"one\"");
	say(caller, TTHEADER_FRAMED, .kind = ONEWAY, .seq = 40, .keys = "2=two");
	hear(app, FRAMED, .kind = ONEWAY, .seq = 2);
	ck_assert_int_eq(ask(app), METADATA_SEVERAL);
	ck_assert_int_eq(ask_for(app, 1), METADATA_ANSWERED);
	ck_assert(says("\"log_id\":\"one\"") && says("\"seq\":1,"));
	ck_assert_int_eq(ask_for(app, 40), METADATA_NO_CALL);
	ck_assert_int_eq(ask_for(app, 0), METADATA_NO_CALL);
}
END_TEST

START_TEST(oneways_are_forgotten_after_a_minute)
{
	struct fake_end *caller, *app;

	start(.service = LOOKUP ", pool: {idle_timeout: 10m}", .is_local = true);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	app = accepted();
	pass(40 * 1000);
	say(caller, FRAMED, .kind = ONEWAY, .seq = 2);
	ck_assert_int_eq(ask(app), METADATA_SEVERAL);
	pass(30 * 1000);
	tells(app, "\"seq\":2,");
	pass(40 * 1000);
	ck_assert_int_eq(ask(app), METADATA_NO_CALL);
}
END_TEST

START_TEST(a_long_oneway_is_told_while_it_is_sent)
{
	struct fake_end *caller, *app;

	start(.service = LOOKUP, .is_local = true);
	caller = dial();
	say_part(
	    caller, 0, -100, TTHEADER_FRAMED, .kind = ONEWAY, .fill = 300000, .keys = "2=long");
	app = accepted();
	tells(app, "\"log_id\":\"long\"");
}
END_TEST

START_TEST(each_user_is_told_of_its_own_and_only_it_of_tokens)
{
	struct metadata_question question = {.asker = {USER, false}};
	struct fake_end *app;

	start(.service = LOOKUP, .is_local = true);
	say(dial(), TTHEADER_FRAMED, .keys = "RPC_TRANSIT_gdpr-token=secret RPC_TRANSIT_x=y");
	app = accepted();
	question.number = name_of(app).number;
	ck_assert_int_eq(ask_as(&question), METADATA_FORBIDDEN); /* nobody knows whose it is */
	fake_listening_user(app, USER + 1);
	ck_assert_int_eq(ask_as(&question), METADATA_FORBIDDEN);
	fake_listening_user(app, USER);
	ck_assert_int_eq(ask_as(&question), METADATA_ANSWERED);
	ck_assert(says("\"gdpr-token\":\"secret\""));
	tells(app, "\"x\":\"y\"");
	ck_assert(!says("secret"));
}
END_TEST

START_TEST(connections_without_a_name_give_way_when_one_is_wanted)
{
	struct fake_end *caller, *app;

	start(.service = "protocol: framed", .is_local = true);
	caller = dial();
	say(caller, FRAMED, .seq = 1);
	app = accepted();
	hear(app, FRAMED, .seq = 1);
	say(app, FRAMED, .seq = 1);
	reload(.service = LOOKUP, .is_local = true);
	hear_end(app);
	say(caller, FRAMED, .seq = 2);
	tells(accepted(), "\"seq\":2");
}
END_TEST

START_TEST(what_a_route_changes_is_told_as_it_was_sent)
{
	struct fake_end *app;

	start(.service = LOOKUP ", routes: [{set: {meta.lane: '7'}, remove: [meta.a]}]",
	    .is_local = true);
	say(dial(), TTHEADER_FRAMED, .keys = "RPC_PERSIST_a=b RPC_PERSIST_c=d");
	app = accepted();
	tells(app, "\"lane\":\"7\"");
	ck_assert(says("\"c\":\"d\"") && !says("\"a\":"));
}
END_TEST

START_TEST(a_worker_ends_with_named_connections)
{
	struct fake_end *caller;

	start(.service = LOOKUP, .is_local = true);
	caller = dial();
	say(caller, FRAMED, .kind = ONEWAY, .seq = 1);
	say(caller, FRAMED, .seq = 2);
	tells(accepted(), "\"seq\":1");
	end_worker();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    each_connection_has_a_name_of_its_own,
	    others_have_none,
	    a_call_is_told_while_it_is_in_flight,
	    a_call_that_nobody_waits_for_is_not_told,
	    a_name_ends_with_its_connection,
	    a_name_that_another_has_is_tried_anew,
	    where_no_name_is_to_be_had_calls_go_on_without_one,
	    connects_that_fail_leave_no_name,
	    every_attempt_of_a_call_is_told_of_it,
	    calls_on_one_connection_are_told_by_their_ids,
	    oneways_are_remembered_by_numbers_of_their_own,
	    oneways_are_forgotten_after_a_minute,
	    a_long_oneway_is_told_while_it_is_sent,
	    each_user_is_told_of_its_own_and_only_it_of_tokens,
	    connections_without_a_name_give_way_when_one_is_wanted,
	    what_a_route_changes_is_told_as_it_was_sent,
	    a_worker_ends_with_named_connections,
	};

	atexit(forget_page);
	return sim_main("sim_lookup", tests, ARRAY_LEN(tests));
}
