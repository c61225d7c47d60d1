#include <stdio.h>

#include <check.h>

#include "base/base64.h"
#include "base/mem.h"
#include "registry/json.h"
#include "support/asked_registry.h"
#include "support/suite.h"

static struct asked_registry a;
static struct script_peer *held; /* whoever waits for a change */

static void say_index(struct script_peer *peer, unsigned index, const char *body)
{
	char header[64];

	snprintf(header, sizeof header, "X-Consul-Index: %u\r\n", index);
	script_answer_with(peer, 200, header, body);
}

static bool is_held(struct asked_registry *unused)
{
	(void)unused;
	return held != NULL;
}

static void begin(void)
{
	held = NULL;
}

static void end(void)
{
	asked_close(&a);
}

/* ---- registrations with the agent ---- */

static struct {
	bool is_there, refuses, has_check;
	const char *service; /* as it reads it back */
	unsigned n_puts, n_passes, n_removals;
} agent;

#define AS_WANTED                                                                                  \
	"{\"ID\":\"shop.cart:127.0.0.1:8888\",\"Service\":\"shop.cart\",\"Tags\":[\"env:prod\"],"  \
	"\"Port\":8888,\"Address\":\"127.0.0.1\",\"Weights\":{\"Passing\":10,\"Warning\":10}}"

static void answer_look(struct script_peer *peer, const struct script_request *request)
{
	if (!agent.is_there)
		script_answer(peer, 404, "unknown service ID: shop.cart:127.0.0.1:8888");
	else if (strstr(request->target, "hash="))
		held = peer;
	else
		script_answer_with(peer, 200, "X-Consul-ContentHash: abc\r\n", agent.service);
}

static void answer_as_agent(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	if (agent.refuses) {
		script_answer(peer, 403, "Permission denied");
	} else if (script_asks(request, "PUT", "/v1/agent/service/register")) {
		agent.n_puts++;
		agent.is_there = agent.has_check = true;
		script_answer(peer, 200, "");
	} else if (script_asks(request, "PUT", "/v1/agent/service/deregister/")) {
		agent.n_removals++;
		agent.is_there = false;
		script_answer(peer, 200, "");
	} else if (script_asks(request, "PUT", "/v1/agent/check/pass/")) {
		agent.n_passes += agent.has_check;
		script_answer(
		    peer, agent.has_check ? 200 : 404, agent.has_check ? "" : "Unknown check");
	} else if (script_asks(request, "GET", "/v1/agent/service/")) {
		answer_look(peer, request);
	}
}

static void open_agent(const char *keys)
{
	memset(&agent, 0, sizeof agent);
	agent.service = AS_WANTED;
	asked_open(&a, keys, answer_as_agent);
}

static bool is_gone(struct asked_registry *unused)
{
	(void)unused;
	return a.n_withdrawn == 1;
}

START_TEST(a_registration_is_there_when_the_agent_gives_it_back_as_it_was_put)
{
	open_agent("type: consul");
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_eq(agent.n_puts, 1);
	ck_assert(asked_said(&a,
	    "{\"ID\":\"shop.cart:127.0.0.1:8888\",\"Name\":\"shop.cart\",\"Tags\":[\"env:prod\"],"
	    "\"Port\":8888,\"Address\":\"127.0.0.1\","
	    "\"Weights\":{\"Passing\":10,\"Warning\":10},"
	    "\"Check\":{\"Interval\":\"5s\",\"Timeout\":\"5s\",\"TCP\":\"127.0.0.1:8888\","
	    "\"DeregisterCriticalServiceAfter\":\"1m\"}}\n"));
	ck_assert(asked_was(&a, "GET /v1/agent/service/shop.cart%3A127.0.0.1%3A8888\n"));
	asked_until_asked(&a, "shop.cart%3A127.0.0.1%3A8888?hash=abc&wait=10s\n");
}
END_TEST

START_TEST(a_registration_that_vanishes_is_lost_and_put_again_at_once)
{
	usec_t begun;

	open_agent("type: consul");
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until(&a, is_held);
	asked_turn(&a, 100 * USEC_MS);
	agent.is_there = false;
	begun = clock_monotonic();
	script_answer(held, 404, "unknown service ID");
	asked_until_state(&a, REGISTRATION_LOST);
	ck_assert_uint_eq(registration_report(a.registration).drifts, 1);
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_le(clock_monotonic() - begun, 3 * USEC_S);
	ck_assert_uint_eq(agent.n_puts, 2);
}
END_TEST

static const char *const changed[] = {
    "{\"Service\":\"other\",\"Tags\":[\"env:prod\"],\"Port\":8888,\"Address\":\"127.0.0.1\","
    "\"Weights\":{\"Passing\":10}}",
    "{\"Service\":\"shop.cart\",\"Tags\":[],\"Port\":8888,\"Address\":\"127.0.0.1\","
    "\"Weights\":{\"Passing\":10}}",
    "{\"Service\":\"shop.cart\",\"Tags\":[\"env:prod\"],\"Port\":8889,\"Address\":\"127.0.0.1\","
    "\"Weights\":{\"Passing\":10}}",
    "{\"Service\":\"shop.cart\",\"Tags\":[\"env:prod\"],\"Port\":8888,\"Address\":\"127.0.0.2\","
    "\"Weights\":{\"Passing\":10}}",
    "{\"Service\":\"shop.cart\",\"Tags\":[\"env:prod\"],\"Port\":8888,\"Address\":\"127.0.0.1\","
    "\"Weights\":{\"Passing\":1}}",
    "{\"Service\":\"shop.cart\",\"Tags\":[\"env:prod\"],\"Port\":8888,\"Address\":\"127.0.0.1\"}",
};

START_TEST(a_registration_that_somebody_changed_is_put_again)
{
	open_agent("type: consul");
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until(&a, is_held);
	script_answer_with(held, 200, "X-Consul-ContentHash: new\r\n", changed[_i]);
	asked_until_state(&a, REGISTRATION_LOST);
	ck_assert(strstr(registration_report(a.registration).error, "somebody changed"));
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_eq(agent.n_puts, 2);
}
END_TEST

START_TEST(an_agent_that_forgot_all_over_a_restart_has_it_back_within_five_seconds)
{
	usec_t begun;

	open_agent("type: consul");
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until(&a, is_held);
	script_deaf(a.script);
	script_reset_all(a.script);
	agent.is_there = false;
	asked_until_state(&a, REGISTRATION_LOST);
	asked_turn(&a, 3 * USEC_S);
	script_listen(a.script);
	begun = clock_monotonic();
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_le(clock_monotonic() - begun, 5 * USEC_S);
	ck_assert(agent.is_there);
}
END_TEST

START_TEST(a_refused_registration_waits_and_says_why)
{
	open_agent("type: consul");
	agent.refuses = true;
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_turn(&a, 300 * USEC_MS);
	ck_assert_int_eq(registration_report(a.registration).state, REGISTRATION_PENDING);
	ck_assert(strstr(registration_report(a.registration).error, "403: Permission denied"));
	agent.refuses = false;
	asked_until_state(&a, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(a_ttl_check_is_passed_three_times_in_its_time)
{
	usec_t begun = clock_monotonic();

	open_agent("type: consul, check: ttl");
	asked_enroll(&a, 10, "env=prod", 1500 * USEC_MS);
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert(asked_said(
	    &a, "\"Check\":{\"TTL\":\"1500ms\",\"DeregisterCriticalServiceAfter\":\"1m\"}}"));
	ck_assert(asked_was(
	    &a, "PUT /v1/agent/check/pass/service%3Ashop.cart%3A127.0.0.1%3A8888?note=online\n"));
	asked_turn(&a, 1800 * USEC_MS);
	ck_assert_uint_ge(agent.n_passes, 3);
	ck_assert_uint_le(agent.n_passes, 2 + (clock_monotonic() - begun) / (500 * USEC_MS));
}
END_TEST

START_TEST(a_check_that_the_agent_lost_is_put_again)
{
	open_agent("type: consul, check: ttl");
	asked_enroll(&a, 10, "env=prod", 900 * USEC_MS);
	asked_until(&a, is_held);
	agent.has_check = false;
	asked_until_state(&a, REGISTRATION_LOST);
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_eq(agent.n_puts, 2);
}
END_TEST

START_TEST(another_weight_is_put_over_the_old_one)
{
	open_agent("type: consul");
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	asked_forget(&a);
	agent.service =
	    "{\"Service\":\"shop.cart\",\"Tags\":[\"env:prod\",\"zone:b\"],\"Port\":8888,"
	    "\"Address\":\"127.0.0.1\",\"Weights\":{\"Passing\":20,\"Warning\":20}}";
	asked_change(&a, 20, "env=prod,zone=b", 60 * USEC_S);
	asked_until_asked(&a, "/v1/agent/service/register\n");
	ck_assert(asked_said(&a, "\"Tags\":[\"env:prod\",\"zone:b\"]"));
	ck_assert(asked_said(&a, "\"Weights\":{\"Passing\":20,\"Warning\":20}"));
	asked_until_asked(&a, "GET ");
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_eq(registration_report(a.registration).drifts, 0);
}
END_TEST

START_TEST(a_withdrawn_registration_is_taken_away_and_not_put_again)
{
	open_agent("type: consul, check: ttl");
	asked_enroll(&a, 10, "env=prod", 900 * USEC_MS);
	asked_until_state(&a, REGISTRATION_PRESENT);
	registration_withdraw(a.registration);
	asked_until(&a, is_gone);
	ck_assert_uint_eq(agent.n_removals, 1);
	ck_assert(asked_was(&a, "PUT /v1/agent/service/deregister/shop.cart%3A127.0.0.1%3A8888\n"));
	asked_forget(&a);
	asked_turn(&a, 1200 * USEC_MS);
	ck_assert_uint_eq(a.n_requests, 0);
}
END_TEST

START_TEST(another_weight_for_one_that_leaves_does_not_bring_it_back)
{
	open_agent("type: consul");
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	registration_withdraw(a.registration);
	asked_change(&a, 20, "env=prod", 60 * USEC_S);
	asked_until(&a, is_gone);
	asked_turn(&a, 200 * USEC_MS);
	ck_assert_uint_eq(agent.n_puts, 1);
	ck_assert(!agent.is_there);
}
END_TEST

START_TEST(a_withdrawal_waits_for_the_put_that_is_under_way)
{
	open_agent("type: consul");
	a.respond = NULL;
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until_asked(&a, "/v1/agent/service/register\n");
	registration_withdraw(a.registration);
	asked_turn(&a, 200 * USEC_MS);
	ck_assert(!asked_was(&a, "deregister"));
	a.respond = answer_as_agent;
	asked_until(&a, is_gone);
	ck_assert_uint_eq(agent.n_removals, 1);
}
END_TEST

START_TEST(a_withdrawal_ends_even_when_nobody_answers)
{
	usec_t begun;

	open_agent("type: consul");
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	script_deaf(a.script);
	script_reset_all(a.script);
	begun = clock_monotonic();
	registration_withdraw(a.registration);
	asked_until(&a, is_gone);
	ck_assert_uint_le(clock_monotonic() - begun, 6 * USEC_S);
	asked_turn(&a, 1500 * USEC_MS); /* and what is left of it ends, too */
}
END_TEST

/* ---- registrations under a session ---- */

static struct {
	char session[64], key_session[64], value[256];
	unsigned n_sessions, n_acquired, n_renewals, n_destroyed, n_deleted;
	bool expired;
} store;

static void say_key(struct script_peer *peer, const struct script_request *request)
{
	char body[512], *encoded;
	struct arena arena;

	if (store.key_session[0] == '\0') {
		script_answer_with(peer, 404, "X-Consul-Index: 3\r\n", "");
		return;
	}
	if (strstr(request->target, "index=")) {
		held = peer;
		return;
	}
	arena_init(&arena, NULL, 0);
	encoded = arena_str(&arena, base64_encode(slice_str(store.value), &arena));
	snprintf(body, sizeof body, "[{\"Key\":\"k\",\"Value\":\"%s\",\"Session\":\"%s\"}]",
	    encoded, store.key_session);
	arena_fini(&arena);
	say_index(peer, 4, body);
}

static void acquire(struct script_peer *peer, const struct script_request *request)
{
	const char *session = strstr(request->target, "acquire=") + strlen("acquire=");
	size_t len = strcspn(session, "&");

	if (store.expired) {
		script_answer(peer, 500, "invalid session");
		return;
	}
	if (store.key_session[0] && strncmp(store.key_session, session, len) != 0) {
		script_answer(peer, 200, "false");
		return;
	}
	snprintf(store.key_session, sizeof store.key_session, "%.*s", (int)len, session);
	snprintf(store.value, sizeof store.value, "%.*s", (int)request->body.len,
	    (const char *)request->body.data);
	store.n_acquired++;
	script_answer(peer, 200, "true");
}

static void answer_as_store(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	char body[128];

	(void)arg;
	if (script_asks(request, "PUT", "/v1/session/create")) {
		snprintf(store.session, sizeof store.session, "session-%u", ++store.n_sessions);
		store.expired = false;
		snprintf(body, sizeof body, "{\"ID\":\"%s\"}", store.session);
		script_answer(peer, 200, body);
	} else if (script_asks(request, "PUT", "/v1/session/renew/")) {
		store.n_renewals++;
		script_answer(peer, store.expired ? 404 : 200, "[]");
	} else if (script_asks(request, "PUT", "/v1/session/destroy/")) {
		store.n_destroyed++;
		store.key_session[0] = '\0';
		script_answer(peer, 200, "true");
	} else if (script_asks(request, "PUT", "acquire=")) {
		acquire(peer, request);
	} else if (script_asks(request, "DELETE", "/v1/kv/")) {
		store.n_deleted++;
		store.key_session[0] = '\0';
		script_answer(peer, 200, "true");
	} else {
		say_key(peer, request);
	}
}

static void open_store(void)
{
	memset(&store, 0, sizeof store);
	asked_open(&a, "type: consul, format: rpcx, base: /rpcx", answer_as_store);
}

START_TEST(a_server_of_rpcx_is_a_key_locked_by_a_session)
{
	open_store();
	asked_enroll(&a, 10, "group=b", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert(asked_said(&a,
	    "{\"Name\":\"bridle\",\"TTL\":\"30s\",\"Behavior\":\"delete\",\"LockDelay\":\"1ms\"}"));
	ck_assert(asked_was(&a, "PUT /v1/kv/rpcx/shop.cart/tcp%40127.0.0.1%3A8888"
				"?acquire=session-1&flags=3304740253564472344\n"));
	ck_assert_str_eq(store.value, "group=b&weight=10");
	ck_assert_uint_eq(store.n_deleted, 0);
	asked_until_asked(&a, "index=4&wait=10s\n");
}
END_TEST

START_TEST(the_first_put_takes_the_key_from_whoever_holds_it)
{
	open_store();
	snprintf(store.key_session, sizeof store.key_session, "the-one-before");
	asked_enroll(&a, 10, "", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_eq(store.n_deleted, 1);
	ck_assert_str_eq(store.key_session, "session-1");
}
END_TEST

START_TEST(a_key_that_another_takes_later_is_left_to_it_until_it_is_gone)
{
	open_store();
	asked_enroll(&a, 10, "", 60 * USEC_S);
	asked_until(&a, is_held);
	snprintf(store.key_session, sizeof store.key_session, "another");
	say_index(held, 9, "[{\"Key\":\"k\",\"Value\":\"\",\"Session\":\"another\"}]");
	asked_until_state(&a, REGISTRATION_CONTESTED);
	asked_turn(&a, 2500 * USEC_MS);
	ck_assert_str_eq(store.key_session, "another");
	ck_assert_uint_eq(store.n_deleted, 0);
	ck_assert_uint_eq(store.n_acquired, 1);
	store.key_session[0] = '\0';
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_str_eq(store.key_session, "session-1");
}
END_TEST

START_TEST(a_session_that_ended_is_followed_by_another)
{
	open_store();
	asked_enroll(&a, 10, "", 60 * USEC_S);
	asked_until(&a, is_held);
	store.expired = true;
	store.key_session[0] = '\0';
	script_answer_with(held, 404, "X-Consul-Index: 10\r\n", "");
	asked_until_state(&a, REGISTRATION_LOST);
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_eq(store.n_sessions, 2);
	ck_assert_str_eq(store.key_session, "session-2");
}
END_TEST

START_TEST(a_withdrawn_key_goes_with_its_session)
{
	open_store();
	asked_enroll(&a, 10, "", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	registration_withdraw(a.registration);
	asked_until(&a, is_gone);
	ck_assert_uint_eq(store.n_destroyed, 1);
	ck_assert(asked_was(&a, "PUT /v1/session/destroy/session-1\n"));
	ck_assert_str_eq(store.key_session, "");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_registration_is_there_when_the_agent_gives_it_back_as_it_was_put, 1},
	    {a_registration_that_vanishes_is_lost_and_put_again_at_once, 1},
	    {a_registration_that_somebody_changed_is_put_again, (int)ARRAY_LEN(changed)},
	    {an_agent_that_forgot_all_over_a_restart_has_it_back_within_five_seconds, 1},
	    {a_refused_registration_waits_and_says_why, 1},
	    {a_ttl_check_is_passed_three_times_in_its_time, 1},
	    {a_check_that_the_agent_lost_is_put_again, 1},
	    {another_weight_is_put_over_the_old_one, 1},
	    {a_withdrawn_registration_is_taken_away_and_not_put_again, 1},
	    {another_weight_for_one_that_leaves_does_not_bring_it_back, 1},
	    {a_withdrawal_waits_for_the_put_that_is_under_way, 1},
	    {a_withdrawal_ends_even_when_nobody_answers, 1},
	    {a_server_of_rpcx_is_a_key_locked_by_a_session, 1},
	    {the_first_put_takes_the_key_from_whoever_holds_it, 1},
	    {a_key_that_another_takes_later_is_left_to_it_until_it_is_gone, 1},
	    {a_session_that_ended_is_followed_by_another, 1},
	    {a_withdrawn_key_goes_with_its_session, 1},
	};

	return suite_run_between("consul_registration", tests, ARRAY_LEN(tests), begin, end);
}
