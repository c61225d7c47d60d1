/* Health checks against endpoints that the test plays: what is asked, what counts as an answer,
 * when an endpoint goes and comes back, and what a reload leaves of it. */
#include "proxy/health_check.h"

#include <stdlib.h>

#include <check.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/balance.h"
#include "model/file_snapshot.h"
#include "net/loop.h"
#include "support/bytes.h"
#include "support/fake_net.h"
#include "support/h2_end.h"
#include "support/loaded.h"
#include "support/suite.h"

#define INTERVAL (1 * USEC_S)
/* One that was just checked is checked again within this. */
#define ROUND (INTERVAL + INTERVAL / 10 + 2 * USEC_MS)

/* A configuration in force, with its snapshot. */
struct world {
	struct loaded loaded;
	struct snapshot *snapshot;
};

static struct loop *loop;
static struct tallies *tallies;
static struct health_checks *checks;
static struct world now, before;

static void forget(struct world *w)
{
	if (w->snapshot)
		file_snapshot_free(&w->snapshot);
	if (w->loaded.config)
		loaded_free(&w->loaded);
	*w = (struct world){0};
}

/* The service "app" with these keys, as a list of endpoints and whatever else. */
static void follow(const char *keys)
{
	char text[1024];

	snprintf(text, sizeof text,
	    "listeners: [{name: in, address: \"127.0.0.1:1\", service: app}]\n"
	    "services: {app: {%s}}\n",
	    keys);
	forget(&before);
	before = now;
	now.loaded = loaded_from(text);
	now.snapshot = file_snapshot_with(loaded_config(&now.loaded), tallies);
	if (checks == NULL)
		checks = health_checks_new(loop, 1);
	health_checks_follow(checks, now.snapshot);
}

#define ONE   "endpoints: [\"10.0.0.1:80\"], "
#define TIMES "interval: 1s, timeout: 200ms, rise: 2, fall: 3"

static void set_up(void)
{
	log_set_level(LOG_LEVEL_ERROR); /* what it says of each change is not looked at here */
	loop = fake_loop_new();
	tallies = tallies_new();
}

static void tear_down(void)
{
	health_checks_free(&checks);
	fake_settle(loop);
	ck_assert_uint_eq(fake_open(loop), 0);
	forget(&now);
	forget(&before);
	tallies_free(&tallies);
	fake_loop_free(&loop);
}

static enum health health_of(size_t endpoint)
{
	return (enum health)atomic_load(
	    &now.snapshot->services[0].endpoint_tallies[endpoint]->health);
}

/* The next connection of a check, waited for. */
static struct fake_end *asked(void)
{
	struct fake_end *end = fake_accept(loop);

	for (int i = 0; end == NULL && i < 300; i++) {
		fake_sleep(loop, 10 * USEC_MS);
		end = fake_accept(loop);
	}
	ck_assert_msg(end != NULL, "nobody asks");
	return end;
}

/* Answers the next check with these bytes. */
static void answer(struct slice bytes)
{
	struct fake_end *end = asked();

	fake_send(end, bytes);
	fake_settle(loop);
	ck_assert_msg(fake_is_over(end), "it was not the whole answer");
	fake_forget(end);
}

static void is(enum health expected)
{
	ck_assert_str_eq(health_name(health_of(0)), health_name(expected));
}

/* Framed: a reply, an exception. */
#define REPLY BYTES(0, 0, 0, 17, 0x80, 1, 0, 2, 0, 0, 0, 4, 'p', 'i', 'n', 'g', 0, 0, 0, 1, 0)
#define EXCEPTION                                                                                  \
	BYTES(0, 0, 0, 32, 0x80, 1, 0, 3, 0, 0, 0, 4, 'p', 'i', 'n', 'g', 0, 0, 0, 1, 11, 0, 1, 0, \
	    0, 0, 1, 'x', 8, 0, 2, 0, 0, 0, 1, 0)

/* --- tcp --- */

START_TEST(the_first_checks_are_spread_over_an_interval)
{
	unsigned early, all;

	follow("health: {type: tcp, " TIMES "}, endpoints: [\"10.0.0.1:80\", \"10.0.0.2:80\", "
	       "\"10.0.0.3:80\", \"10.0.0.4:80\", \"10.0.0.5:80\", \"10.0.0.6:80\", "
	       "\"10.0.0.7:80\", \"10.0.0.8:80\"]");
	fake_sleep(loop, INTERVAL / 2);
	early = fake_connects(loop);
	ck_assert_uint_gt(early, 0);
	ck_assert_uint_lt(early, 8);
	fake_sleep(loop, INTERVAL / 2 + 2 * USEC_MS);
	all = fake_connects(loop);
	ck_assert_uint_ge(all, 8);
	for (size_t i = 0; i < 8; i++)
		ck_assert_int_eq(health_of(i), HEALTH_UP);
}
END_TEST

START_TEST(an_endpoint_that_refuses_goes_after_fall_checks_and_comes_back_after_rise)
{
	follow(ONE "health: {type: tcp, " TIMES "}");
	is(HEALTH_UNKNOWN);
	fake_sleep(loop, INTERVAL + 2 * USEC_MS);
	is(HEALTH_UP);
	fake_script(loop, FAKE_REFUSED, 3);
	fake_sleep(loop, 2 * (INTERVAL - INTERVAL / 10));
	is(HEALTH_UP);
	fake_sleep(loop, 3 * ROUND - 2 * (INTERVAL - INTERVAL / 10));
	is(HEALTH_DOWN);
	ck_assert_uint_gt(atomic_load(&now.snapshot->services[0].tally->troubles), 0);
	fake_sleep(loop, 2 * ROUND);
	is(HEALTH_UP);
	ck_assert_uint_eq(atomic_load(&now.snapshot->services[0].tally->troubles), 0);
}
END_TEST

START_TEST(a_good_check_between_bad_ones_starts_the_count_anew)
{
	follow(ONE "health: {type: tcp, " TIMES "}");
	for (int i = 0; i < 3; i++) {
		fake_script(loop, FAKE_REFUSED, 2);
		fake_script(loop, FAKE_AT_ONCE, 1);
		fake_sleep(loop, 3 * ROUND);
		ck_assert_int_ne(health_of(0), HEALTH_DOWN);
	}
}
END_TEST

START_TEST(a_connect_that_hangs_is_given_up)
{
	follow(ONE "health: {type: tcp, interval: 1s, timeout: 200ms, fall: 1}");
	fake_script(loop, FAKE_HANGS, 1);
	fake_sleep(loop, INTERVAL + 200 * USEC_MS + 4 * USEC_MS);
	ck_assert_uint_ge(fake_connects(loop), 1);
	is(HEALTH_DOWN);
	ck_assert_uint_eq(fake_open(loop), 0);
}
END_TEST

START_TEST(a_full_accept_queue_is_waited_for)
{
	follow("endpoints: [\"unix:/run/app.sock\"], "
	       "health: {type: tcp, interval: 1s, timeout: 200ms, fall: 1}");
	fake_script(loop, FAKE_BACKLOG, 3); /* then there is room */
	fake_sleep(loop, INTERVAL + 100 * USEC_MS);
	is(HEALTH_UP);
	fake_script(loop, FAKE_BACKLOG, 1000);
	fake_sleep(loop, ROUND + 200 * USEC_MS);
	is(HEALTH_DOWN);
}
END_TEST

START_TEST(a_want_of_our_own_descriptors_says_nothing_of_the_endpoint)
{
	follow(ONE "health: {type: tcp, interval: 1s, timeout: 200ms, fall: 1}");
	fake_script(loop, FAKE_NO_DESCRIPTOR, 3);
	fake_sleep(loop, 3 * (INTERVAL - INTERVAL / 10));
	is(HEALTH_UNKNOWN);
	fake_sleep(loop, 3 * ROUND);
	is(HEALTH_UP);
}
END_TEST

/* --- thrift --- */

START_TEST(a_thrift_check_is_a_call_without_arguments)
{
	struct fake_end *end;

	follow(ONE "protocol: framed, health: {type: thrift, " TIMES "}");
	end = asked();
	ck_assert(slice_eq(fake_received(end),
	    BYTES(0, 0, 0, 17, 0x80, 1, 0, 1, 0, 0, 0, 4, 'p', 'i', 'n', 'g', 0, 0, 0, 1, 0)));
	fake_send(end, REPLY);
	fake_settle(loop);
	is(HEALTH_UP);
	ck_assert(fake_is_over(end));
	fake_forget(end);
}
END_TEST

START_TEST(it_is_asked_in_the_form_that_its_service_speaks)
{
	static const struct {
		const char *protocol;
		size_t magic_at;
		uint8_t magic[2];
	} forms[] = {
	    {"buffered", 0, {0x80, 0x01}},
	    {"framed", 4, {0x80, 0x01}},
	    {"same", 4, {0x80, 0x01}},
	    {"ttheader", 4, {0x10, 0x00}},
	    {"ttheader_bare", 4, {0x10, 0x00}},
	};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		char keys[160];
		struct fake_end *end;
		struct slice got;

		snprintf(keys, sizeof keys,
		    ONE "protocol: %s, health: {type: thrift, method: Health%zu, " TIMES "}",
		    forms[i].protocol, i);
		follow(keys);
		end = asked();
		got = fake_received(end);
		ck_assert_uint_ge(got.len, 20);
		ck_assert_msg(memcmp(got.data + forms[i].magic_at, forms[i].magic, 2) == 0, "%s",
		    forms[i].protocol);
		ck_assert_ptr_nonnull(memmem(got.data, got.len, "Health", 6));
		fake_forget(end);
	}
}
END_TEST

START_TEST(an_exception_is_an_answer)
{
	follow(ONE "protocol: framed, health: {type: thrift, " TIMES "}");
	answer(EXCEPTION);
	is(HEALTH_UP);
}
END_TEST

START_TEST(what_is_no_answer_is_bad)
{
	static const enum {
		NONSENSE,
		SILENCE,
		END,
		RESET
	} kinds[] = {NONSENSE, SILENCE, END, RESET};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct fake_end *end;

		follow(
		    ONE "protocol: framed, "
			"health: {type: thrift, interval: 1s, timeout: 200ms, fall: 1, rise: 1}");
		end = asked();
		if (kinds[i] == NONSENSE)
			fake_send(end, SLICE_LIT("SSH-2.0-OpenSSH_9.2\r\n"));
		else if (kinds[i] == END)
			fake_half_close(end);
		else if (kinds[i] == RESET)
			fake_reset(end);
		else
			fake_sleep(loop, 200 * USEC_MS + 2 * USEC_MS);
		fake_settle(loop);
		is(HEALTH_DOWN);
		ck_assert(fake_is_over(end));
		fake_forget(end);
		answer(REPLY);
		is(HEALTH_UP);
	}
}
END_TEST

START_TEST(half_an_answer_is_waited_for)
{
	struct slice reply = REPLY;
	struct fake_end *end;

	follow(ONE "protocol: framed, health: {type: thrift, " TIMES "}");
	end = asked();
	fake_send(end, slice_first(reply, 7));
	fake_sleep(loop, 50 * USEC_MS);
	is(HEALTH_UNKNOWN);
	fake_send(end, slice_from(reply, 7));
	fake_settle(loop);
	is(HEALTH_UP);
	fake_forget(end);
}
END_TEST

/* --- grpc --- */

/* Lets the two sides of a check talk until neither has anything to say. */
static void talk(struct fake_end *end, struct h2_end *server)
{
	bool more = true;

	while (more) {
		struct slice in = fake_received(end);
		size_t len = in.len;

		if (len)
			h2_end_feed(server, in);
		fake_consume(end, len);
		more = len > 0 || server->out.len > 0;
		if (server->out.len)
			fake_send(end, slice_of(server->out.bytes, server->out.len));
		server->out.len = 0;
		fake_settle(loop);
	}
}

/* A server that answers the next check: a message of these bytes, then this status. */
static void serve(struct slice body, const char *status)
{
	struct fake_end *end = asked();
	struct h2_end server;

	h2_end_open(&server, CODEC_DOWNSTREAM, &h2_end_limits);
	talk(end, &server);
	ck_assert_ptr_nonnull(
	    strstr(h2_end_log(&server), "call 1 POST /grpc.health.v1.Health/Check"));
	h2_end_reply(&server, 1, 200, "content-type application/grpc\n", false);
	if (body.len)
		codec_send_data(server.codec, 1, body, false);
	h2_end_trailers(&server, 1, status);
	talk(end, &server);
	ck_assert(fake_is_over(end));
	h2_end_close(&server);
	fake_forget(end);
}

#define GRPC                                                                                       \
	ONE "protocol: grpc, health: {type: grpc, interval: 1s, timeout: 200ms, fall: 1, rise: 1}"
#define SERVING     BYTES(0, 0, 0, 0, 2, 8, 1)
#define NOT_SERVING BYTES(0, 0, 0, 0, 2, 8, 2)

START_TEST(of_grpc_servers_serving_alone_counts)
{
	follow(GRPC);
	serve(SERVING, "grpc-status 0\n");
	is(HEALTH_UP);
	serve(NOT_SERVING, "grpc-status 0\n");
	is(HEALTH_DOWN);
	serve(SERVING, "grpc-status 0\n");
	is(HEALTH_UP);
	serve(BYTES(0, 0, 0, 0, 0), "grpc-status 0\n"); /* UNKNOWN is 0, which is left out */
	is(HEALTH_DOWN);
	serve(SERVING, "grpc-status 0\n");
	serve(SLICE_NONE, "grpc-status 12\n"); /* there is no such service */
	is(HEALTH_DOWN);
}
END_TEST

START_TEST(a_grpc_server_that_says_nothing_is_bad)
{
	struct fake_end *end;

	follow(GRPC);
	end = asked();
	ck_assert_uint_gt(fake_received(end).len, 24); /* the preface */
	fake_sleep(loop, 200 * USEC_MS + 2 * USEC_MS);
	is(HEALTH_DOWN);
	fake_forget(end);
}
END_TEST

START_TEST(a_check_can_be_of_one_service_of_a_server)
{
	struct fake_end *end;
	struct h2_end server;

	follow(ONE "protocol: grpc, health: {type: grpc, method: shop.Cart, " TIMES "}");
	end = asked();
	h2_end_open(&server, CODEC_DOWNSTREAM, &h2_end_limits);
	talk(end, &server);
	ck_assert_uint_eq(server.body.len, 5 + 2 + 9);
	ck_assert_int_eq(
	    memcmp(server.body.bytes, "\0\0\0\0\x0b\x0a\x09shop.Cart", server.body.len), 0);
	h2_end_close(&server);
	fake_forget(end);
}
END_TEST

/* --- changes --- */

START_TEST(an_endpoint_that_is_gone_is_asked_no_more)
{
	struct fake_end *end;

	follow("endpoints: [\"10.0.0.1:80\"], protocol: framed, health: {type: thrift, " TIMES "}");
	end = asked();
	follow("endpoints: [\"10.0.0.9:80\"], protocol: framed, health: {type: thrift, " TIMES "}");
	fake_settle(loop);
	ck_assert(fake_is_over(end));
	fake_forget(end);
	end = asked();
	ck_assert_str_eq(fake_address(end)->text, "10.0.0.9:80");
	fake_forget(end);
}
END_TEST

START_TEST(a_reload_that_changes_nothing_keeps_what_was_found)
{
	struct fake_end *end;

	follow(ONE "protocol: framed, health: {type: thrift, " TIMES "}");
	fake_script(loop, FAKE_REFUSED, 2);
	fake_sleep(loop, 2 * ROUND);
	follow(ONE "protocol: framed, timeout: {call: 7s}, health: {type: thrift, " TIMES "}");
	fake_script(loop, FAKE_REFUSED, 1);
	fake_sleep(loop, ROUND);
	is(HEALTH_DOWN); /* the third in a row */
	follow(ONE "protocol: framed, health: {type: thrift, " TIMES "}");
	is(HEALTH_DOWN);
	end = asked();
	follow(ONE "protocol: framed, timeout: {call: 8s}, health: {type: thrift, " TIMES "}");
	ck_assert(!fake_is_over(end)); /* a check that runs goes on */
	fake_send(end, REPLY);
	fake_settle(loop);
	fake_forget(end);
	answer(REPLY);
	is(HEALTH_UP);
}
END_TEST

START_TEST(what_is_not_checked_any_more_is_unknown_again)
{
	follow(ONE "health: {type: tcp, interval: 1s, timeout: 200ms, fall: 1}");
	fake_script(loop, FAKE_REFUSED, 1);
	fake_sleep(loop, INTERVAL + 2 * USEC_MS);
	is(HEALTH_DOWN);
	follow(ONE "timeout: 1s");
	is(HEALTH_UNKNOWN);
	fake_sleep(loop, 5 * INTERVAL);
	ck_assert_uint_eq(fake_connects(loop), 1);
}
END_TEST

START_TEST(another_question_begins_anew)
{
	follow(ONE "protocol: framed, health: {type: tcp, interval: 1s, timeout: 200ms, fall: 1}");
	fake_script(loop, FAKE_REFUSED, 1);
	fake_sleep(loop, INTERVAL + 2 * USEC_MS);
	is(HEALTH_DOWN);
	follow(ONE "protocol: framed, health: {type: thrift, interval: 1s, timeout: 200ms}");
	is(HEALTH_UNKNOWN);
	answer(REPLY);
	is(HEALTH_UP);
}
END_TEST

START_TEST(a_shorter_interval_holds_at_once)
{
	follow(ONE "health: {type: tcp, interval: 1h, timeout: 200ms}");
	fake_sleep(loop, USEC_S);
	follow(ONE "health: {type: tcp, interval: 1s, timeout: 200ms}");
	fake_sleep(loop, INTERVAL + 2 * USEC_MS);
	ck_assert_uint_ge(fake_connects(loop), 1);
}
END_TEST

/* --- what balancing makes of it --- */

static size_t picks_of(size_t endpoint)
{
	const struct service *service = &now.snapshot->services[0];
	struct balance_request request = {
	    .service = service, .group = &service->groups[0], .now = loop_now(loop)};
	struct balance_state state;
	struct rng rng;
	size_t n = 0;

	rng_init(&rng, 7);
	balance_state_init(&state, request.group, &rng);
	for (int i = 0; i < 300; i++)
		n += balance_pick(&state, &request, &rng) == endpoint;
	balance_state_fini(&state);
	return n;
}

START_TEST(one_that_is_down_gets_no_calls_and_when_all_are_all_do)
{
	follow("endpoints: [\"10.0.0.1:80\", \"10.0.0.2:80\", \"10.0.0.3:80\"], "
	       "health: {type: tcp, interval: 1s, timeout: 200ms, fall: 1, rise: 1}");
	fake_sleep(loop, INTERVAL + 2 * USEC_MS);
	ck_assert_uint_eq(picks_of(1), 100);
	endpoint_tally_set_health(now.snapshot->services[0].endpoint_tallies[1], HEALTH_DOWN);
	ck_assert_uint_eq(picks_of(1), 0);
	fake_script(loop, FAKE_REFUSED, 100);
	fake_sleep(loop, 2 * ROUND);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(health_of(i), HEALTH_DOWN);
		ck_assert_uint_eq(picks_of(i), 100);
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {the_first_checks_are_spread_over_an_interval, 1},
	    {an_endpoint_that_refuses_goes_after_fall_checks_and_comes_back_after_rise, 1},
	    {a_good_check_between_bad_ones_starts_the_count_anew, 1},
	    {a_connect_that_hangs_is_given_up, 1},
	    {a_full_accept_queue_is_waited_for, 1},
	    {a_want_of_our_own_descriptors_says_nothing_of_the_endpoint, 1},
	    {a_thrift_check_is_a_call_without_arguments, 1},
	    {it_is_asked_in_the_form_that_its_service_speaks, 1},
	    {an_exception_is_an_answer, 1},
	    {what_is_no_answer_is_bad, 1},
	    {half_an_answer_is_waited_for, 1},
	    {of_grpc_servers_serving_alone_counts, 1},
	    {a_grpc_server_that_says_nothing_is_bad, 1},
	    {a_check_can_be_of_one_service_of_a_server, 1},
	    {an_endpoint_that_is_gone_is_asked_no_more, 1},
	    {a_reload_that_changes_nothing_keeps_what_was_found, 1},
	    {what_is_not_checked_any_more_is_unknown_again, 1},
	    {another_question_begins_anew, 1},
	    {a_shorter_interval_holds_at_once, 1},
	    {one_that_is_down_gets_no_calls_and_when_all_are_all_do, 1},
	};

	return suite_run_between("sim_health", tests, ARRAY_LEN(tests), set_up, tear_down);
}
