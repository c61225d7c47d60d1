#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "net/loop.h"
#include "registry/client.h"
#include "registry/nacos_read.h"
#include "support/asked_registry.h"
#include "support/suite.h"

#define HOST(ip, more) "{\"ip\":\"" ip "\",\"port\":80" more "}"
#define LIST(hosts)    "{\"name\":\"DEFAULT_GROUP@@s\",\"hosts\":[" hosts "],\"checksum\":\"\"}"
#define ONE            LIST(HOST("10.0.0.1", ",\"weight\":7.9,\"metadata\":{\"env\":\"prod\"}"))
#define TWO            LIST(HOST("10.0.0.1", ",\"weight\":0.5") "," HOST("10.0.0.2", ""))

#define FAST "type: nacos, refresh: 200ms, beat: 500ms"

static struct asked_registry a;

static void begin(void)
{
}

static void end(void)
{
	asked_close(&a);
}

/* ---- sets ---- */

static void answer_one(void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	(void)request;
	script_answer(peer, 200, a.stage ? TWO : ONE);
}

START_TEST(the_set_is_asked_for_every_refresh)
{
	asked_open(&a, FAST, answer_one);
	asked_follow(&a, "shop.price");
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w7 {env=prod}");
	ck_assert(
	    asked_was(&a, "GET /nacos/v1/ns/instance/list?serviceName=DEFAULT_GROUP%40%40shop.price"
			  "&groupName=DEFAULT_GROUP&clusters=DEFAULT&healthyOnly=true\n"));
	a.stage = 1;
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w1; 10.0.0.2:80 w10");
	asked_forget(&a);
	asked_turn(&a, USEC_S);
	ck_assert_uint_ge(a.n_requests, 3);
	ck_assert_uint_le(a.n_requests, 6);
}
END_TEST

START_TEST(namespace_group_and_cluster_are_asked_for)
{
	asked_open(&a, FAST ", namespace: \"t 1\", group: G, cluster: \"C&\"", answer_one);
	asked_follow(&a, "a b");
	asked_until_asked(&a, "/list?serviceName=G%40%40a%20b&groupName=G&namespaceId=t%201"
			      "&clusters=C%26&healthyOnly=true\n");
}
END_TEST

static const char *const *nonsense;

static void answer_nonsense(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	unsigned at = a.stage++;

	(void)arg;
	(void)request;
	if (at == 0)
		script_answer(peer, 200, ONE);
	else if (nonsense[at - 1])
		script_send_text(peer, nonsense[at - 1]);
	else
		script_answer(peer, 200, TWO);
}

static bool is_stale(struct asked_registry *unused)
{
	(void)unused;
	return strcmp(asked_set(&a, "s"), "stale: 10.0.0.1:80 w7 {env=prod}") == 0;
}

#define NONSENSE(text)                                                                             \
	{                                                                                          \
		text, NULL                                                                         \
	}
static const char *const nonsenses[][2] = {
    NONSENSE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"),
    NONSENSE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    NONSENSE("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"hosts\":{}}"),
    NONSENSE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    NONSENSE("HTTP/1.1 500 No\r\nContent-Length: 22\r\n\r\nserver is STARTING now"),
    NONSENSE("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
    NONSENSE("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n{}"),
};

START_TEST(an_answer_that_is_none_keeps_the_set_and_is_asked_for_again)
{
	nonsense = nonsenses[_i];
	asked_open(&a, FAST, answer_nonsense);
	asked_follow(&a, "s");
	asked_until(&a, is_stale);
	asked_until_set(&a, "s", "10.0.0.1:80 w1; 10.0.0.2:80 w10");
}
END_TEST

static void answer_bad_records(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	(void)request;
	script_answer(peer, 200,
	    LIST("7,null," HOST("host", "") "," HOST("10.0.0.3", ",\"weight\":\"many\"") "," HOST(
		"10.0.0.4", ",\"weight\":-1") "," HOST("10.0.0.5",
		",\"enabled\":false") "," HOST("10.0.0.6",
		",\"healthy\":false") "," HOST("10.0.0.7",
		",\"metadata\":7") ","
				   "{\"ip\":\"10.0.0.8\",\"port\":0}," HOST("10.0.0.9", "")));
}

START_TEST(records_that_cannot_be_used_are_left_out_one_by_one)
{
	asked_open(&a, FAST, answer_bad_records);
	asked_follow(&a, "s");
	asked_until_set(&a, "s", "10.0.0.9:80 w10");
}
END_TEST

START_TEST(a_server_that_never_answers_is_asked_again)
{
	asked_open(&a, FAST, NULL);
	asked_follow(&a, "s");
	asked_until_asked(&a, "/list");
	a.respond = answer_one;
	asked_until_set(&a, "s", "10.0.0.1:80 w7 {env=prod}");
	ck_assert_uint_ge(registry_report(a.registry).errors, 1);
}
END_TEST

/* ---- the token ---- */

static struct {
	const char *login, *token; /* the answer to a login; what requests must carry */
	unsigned n_logins, n_refused;
} doors;

static void answer_behind_a_door(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	if (script_asks(request, "POST", "/nacos/v1/auth/login")) {
		doors.n_logins++;
		script_answer(
		    peer, doors.login ? 200 : 403, doors.login ? doors.login : "unknown user!");
	} else if (doors.token && strstr(request->target, doors.token)) {
		answer_one(arg, peer, request);
	} else {
		doors.n_refused++;
		script_answer(peer, 403, "{\"status\":403,\"message\":\"token invalid!\"}");
	}
}

static void open_behind_a_door(const char *login, const char *token)
{
	memset(&doors, 0, sizeof doors);
	doors.login = login;
	doors.token = token;
	asked_open(&a, FAST ", user: \"a&b\", password: \"p w\"", answer_behind_a_door);
	asked_follow(&a, "s");
}

START_TEST(nothing_is_asked_before_the_login_and_then_all_with_its_token)
{
	open_behind_a_door("{\"accessToken\":\"t&1\",\"tokenTtl\":18000}", "&accessToken=t%261");
	asked_until_set(&a, "s", "10.0.0.1:80 w7 {env=prod}");
	ck_assert(asked_said(&a, "username=a%26b&password=p%20w\n"));
	ck_assert_uint_eq(doors.n_logins, 1);
	ck_assert_uint_eq(doors.n_refused, 0);
}
END_TEST

START_TEST(a_token_is_renewed_when_nine_tenths_of_its_time_are_over)
{
	open_behind_a_door("{\"accessToken\":\"t\",\"tokenTtl\":1}", "accessToken=t");
	asked_until_set(&a, "s", "10.0.0.1:80 w7 {env=prod}");
	asked_turn(&a, 2200 * USEC_MS);
	ck_assert_uint_ge(doors.n_logins, 3);
	ck_assert_uint_le(doors.n_logins, 4);
	ck_assert_uint_eq(doors.n_refused, 0);
}
END_TEST

START_TEST(a_token_that_is_refused_is_followed_by_another_at_once)
{
	usec_t begun;

	open_behind_a_door("{\"accessToken\":\"one\"}", "accessToken=one");
	asked_until_set(&a, "s", "10.0.0.1:80 w7 {env=prod}");
	doors.login = "{\"accessToken\":\"two\"}";
	doors.token = "accessToken=two";
	a.stage = 1;
	begun = clock_monotonic();
	asked_until_set(&a, "s", "10.0.0.1:80 w1; 10.0.0.2:80 w10");
	ck_assert_uint_le(clock_monotonic() - begun, 2 * USEC_S);
	ck_assert_uint_eq(doors.n_refused, 1);
}
END_TEST

START_TEST(a_user_who_may_not_is_not_logged_in_all_the_time)
{
	open_behind_a_door("{\"accessToken\":\"one\"}", NULL);
	asked_turn(&a, 4 * USEC_S);
	ck_assert_uint_ge(doors.n_refused, 2);
	ck_assert_uint_le(doors.n_logins, 5);
	ck_assert(strstr(registry_set(a.registry, SLICE_LIT("s")).error, "403"));
}
END_TEST

static const char *const no_logins[] = {
    NULL, "", "[]", "{}", "{\"accessToken\":7}", "{\"accessToken\":\"\"}"};

START_TEST(a_login_that_fails_is_tried_again_and_nothing_is_asked_meanwhile)
{
	open_behind_a_door(no_logins[_i], "accessToken=t");
	asked_turn(&a, 500 * USEC_MS);
	ck_assert(strstr(registry_report(a.registry).error, "login"));
	ck_assert(!asked_was(&a, "GET"));
	doors.login = "{\"accessToken\":\"t\"}";
	asked_until_set(&a, "s", "10.0.0.1:80 w7 {env=prod}");
}
END_TEST

/* ---- registrations ---- */

static struct {
	bool is_there, refuses;
	const char *instance; /* as it is read back */
	const char *beat;     /* the answer to one */
	unsigned n_puts, n_beats, n_full_beats, n_removals;
} server;

#define INSTANCE(weight, more)                                                                     \
	LIST("{\"ip\":\"127.0.0.1\",\"port\":8888,\"weight\":" weight more "}")
#define OURS INSTANCE("10.0", ",\"metadata\":{\"env\":\"prod\",\"more\":\"1\"}")

static void answer_beat(struct script_peer *peer, const struct script_request *request)
{
	server.n_beats++;
	server.n_full_beats += strstr(request->target, "&beat=") != NULL;
	if (server.is_there)
		script_answer(peer, 200, server.beat);
	else
		script_answer(peer, 200, "{\"code\":20404,\"lightBeatEnabled\":true}");
}

static void answer_as_server(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	if (server.refuses) {
		script_answer(peer, 400, "caused: errCode: 400");
	} else if (script_asks(request, "PUT", "/nacos/v1/ns/instance/beat?")) {
		answer_beat(peer, request);
	} else if (script_asks(request, "POST", "/nacos/v1/ns/instance?")) {
		server.n_puts++;
		server.is_there = true;
		script_answer(peer, 200, "ok");
	} else if (script_asks(request, "DELETE", "/nacos/v1/ns/instance?")) {
		server.n_removals++;
		server.is_there = false;
		script_answer(peer, 200, "ok");
	} else {
		script_answer(peer, 200, server.is_there ? server.instance : LIST(""));
	}
}

static void open_server(void)
{
	memset(&server, 0, sizeof server);
	server.instance = OURS;
	server.beat = "{\"clientBeatInterval\":5000,\"code\":10200,\"lightBeatEnabled\":true}";
	asked_open(&a, FAST, answer_as_server);
}

static bool is_gone(struct asked_registry *unused)
{
	(void)unused;
	return a.n_withdrawn == 1;
}

START_TEST(an_instance_is_there_when_the_list_has_it_as_it_was_put)
{
	open_server();
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_eq(server.n_puts, 1);
	ck_assert(asked_was(&a,
	    "POST /nacos/v1/ns/instance?serviceName=DEFAULT_GROUP%40%40shop.cart"
	    "&groupName=DEFAULT_GROUP&clusterName=DEFAULT&ip=127.0.0.1&port=8888&weight=10"
	    "&enabled=true&healthy=true&ephemeral=true"
	    "&metadata=%7B%22env%22%3A%22prod%22%7D\n"));
	ck_assert(asked_was(&a, "&clusters=DEFAULT&healthyOnly=false\n"));
}
END_TEST

START_TEST(beats_are_sent_in_time_and_only_the_first_says_all)
{
	open_server();
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	asked_turn(&a, 2200 * USEC_MS);
	ck_assert_uint_ge(server.n_beats, 4);
	ck_assert_uint_le(server.n_beats, 6);
	ck_assert_uint_eq(server.n_full_beats, 1);
	ck_assert(asked_was(&a,
	    "PUT /nacos/v1/ns/instance/beat?serviceName=DEFAULT_GROUP%40%40shop.cart"
	    "&groupName=DEFAULT_GROUP&clusterName=DEFAULT&ip=127.0.0.1&port=8888&ephemeral=true\n"));
}
END_TEST

START_TEST(a_server_that_wants_whole_beats_gets_them)
{
	open_server();
	server.beat = "{\"clientBeatInterval\":500}";
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_turn(&a, 1700 * USEC_MS);
	ck_assert_uint_ge(server.n_beats, 3);
	ck_assert_uint_eq(server.n_full_beats, server.n_beats);
}
END_TEST

START_TEST(a_beat_that_nobody_knows_is_a_loss_and_the_instance_is_put_again)
{
	open_server();
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	server.is_there = false;
	asked_until_state(&a, REGISTRATION_LOST);
	ck_assert_uint_eq(registration_report(a.registration).drifts, 1);
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_eq(server.n_puts, 2);
}
END_TEST

START_TEST(a_server_that_forgot_all_over_a_restart_has_it_back_within_five_seconds)
{
	usec_t begun;

	open_server();
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	script_deaf(a.script);
	script_reset_all(a.script);
	server.is_there = false;
	asked_turn(&a, 3 * USEC_S);
	script_listen(a.script);
	begun = clock_monotonic();
	asked_until_state(&a, REGISTRATION_LOST);
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_le(clock_monotonic() - begun, 5 * USEC_S);
}
END_TEST

START_TEST(a_refused_instance_waits_and_says_why)
{
	open_server();
	server.refuses = true;
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_turn(&a, 300 * USEC_MS);
	ck_assert_int_eq(registration_report(a.registration).state, REGISTRATION_PENDING);
	ck_assert(strstr(registration_report(a.registration).error, "400: caused"));
	server.refuses = false;
	asked_until_state(&a, REGISTRATION_PRESENT);
}
END_TEST

START_TEST(another_weight_is_put_over_the_old_one)
{
	open_server();
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	server.instance = INSTANCE("20", ",\"metadata\":{\"env\":\"prod\"}");
	asked_forget(&a);
	asked_change(&a, 20, "env=prod", 60 * USEC_S);
	asked_until_asked(&a, "&weight=20&");
	asked_until_asked(&a, "healthyOnly=false\n");
	asked_until_state(&a, REGISTRATION_PRESENT);
	ck_assert_uint_eq(registration_report(a.registration).drifts, 0);
}
END_TEST

START_TEST(a_withdrawn_instance_is_deleted_and_beats_no_more)
{
	open_server();
	asked_enroll(&a, 10, "env=prod", 60 * USEC_S);
	asked_until_state(&a, REGISTRATION_PRESENT);
	registration_withdraw(a.registration);
	asked_until(&a, is_gone);
	ck_assert(asked_was(&a,
	    "DELETE /nacos/v1/ns/instance?serviceName=DEFAULT_GROUP%40%40shop.cart"
	    "&groupName=DEFAULT_GROUP&clusterName=DEFAULT&ip=127.0.0.1&port=8888&ephemeral=true\n"));
	asked_forget(&a);
	asked_turn(&a, USEC_S);
	ck_assert_uint_eq(a.n_requests, 0);
}
END_TEST

/* ---- reading back ---- */

static const struct {
	const char *body;
	enum nacos_found found;
} found[] = {
    {OURS, NACOS_AS_WANTED},
    {INSTANCE("10", ",\"metadata\":{\"env\":\"prod\"},\"enabled\":true"), NACOS_AS_WANTED},
    {INSTANCE("10", ",\"metadata\":{\"env\":\"prod\"},\"enabled\":false"), NACOS_DISABLED},
    {INSTANCE("9.5", ",\"metadata\":{\"env\":\"prod\"}"), NACOS_CHANGED},
    {INSTANCE("null", ",\"metadata\":{\"env\":\"prod\"}"), NACOS_CHANGED},
    {INSTANCE("10", ",\"metadata\":{\"env\":\"test\"}"), NACOS_CHANGED},
    {INSTANCE("10", ",\"metadata\":[]"), NACOS_CHANGED},
    {INSTANCE("10", ""), NACOS_CHANGED},
    {LIST(""), NACOS_MISSING},
    {LIST("{\"ip\":\"127.0.0.1\",\"port\":8889},{\"ip\":\"127.0.0.2\",\"port\":8888},7"),
	NACOS_MISSING},
    {"{\"hosts\":7}", NACOS_UNREADABLE},
    {"[]", NACOS_UNREADABLE},
    {"", NACOS_UNREADABLE},
};

START_TEST(what_is_read_back_is_compared_with_what_was_put)
{
	struct config_pair tag = {"env", "prod"};
	struct registration_plan plan = {
	    .service = SLICE_LIT("shop.cart"), .weight = 10, .tags = {&tag, 1}};
	struct err err;

	ck_assert_int_eq(address_parse(&plan.address, SLICE_LIT("127.0.0.1:8888"), &err), 0);
	ck_assert_int_eq(nacos_find(slice_str(found[_i].body), &plan, &err), found[_i].found);
}
END_TEST

static void no_end(void)
{
}

int main(void)
{
	const struct suite_test tests[] = {
	    {the_set_is_asked_for_every_refresh, 1},
	    {namespace_group_and_cluster_are_asked_for, 1},
	    {an_answer_that_is_none_keeps_the_set_and_is_asked_for_again,
		(int)ARRAY_LEN(nonsenses)},
	    {records_that_cannot_be_used_are_left_out_one_by_one, 1},
	    {a_server_that_never_answers_is_asked_again, 1},
	    {nothing_is_asked_before_the_login_and_then_all_with_its_token, 1},
	    {a_token_is_renewed_when_nine_tenths_of_its_time_are_over, 1},
	    {a_token_that_is_refused_is_followed_by_another_at_once, 1},
	    {a_user_who_may_not_is_not_logged_in_all_the_time, 1},
	    {a_login_that_fails_is_tried_again_and_nothing_is_asked_meanwhile,
		(int)ARRAY_LEN(no_logins)},
	    {an_instance_is_there_when_the_list_has_it_as_it_was_put, 1},
	    {beats_are_sent_in_time_and_only_the_first_says_all, 1},
	    {a_server_that_wants_whole_beats_gets_them, 1},
	    {a_beat_that_nobody_knows_is_a_loss_and_the_instance_is_put_again, 1},
	    {a_server_that_forgot_all_over_a_restart_has_it_back_within_five_seconds, 1},
	    {a_refused_instance_waits_and_says_why, 1},
	    {another_weight_is_put_over_the_old_one, 1},
	    {a_withdrawn_instance_is_deleted_and_beats_no_more, 1},
	};
	const struct suite_test pure[] = {
	    {what_is_read_back_is_compared_with_what_was_put, (int)ARRAY_LEN(found)},
	};
	int result = suite_run_between("nacos", tests, ARRAY_LEN(tests), begin, end);

	return suite_run_between("nacos reading", pure, ARRAY_LEN(pure), begin, no_end) || result;
}
