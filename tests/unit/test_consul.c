#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "net/loop.h"
#include "registry/client.h"
#include "registry/json.h"
#include "support/asked_registry.h"
#include "support/suite.h"

#define ONE                                                                                         \
	"[{\"Node\":{\"Address\":\"10.9.9.9\"},\"Service\":{\"ID\":\"a\",\"Address\":\"10.0.0.1\"," \
	"\"Port\":80,\"Tags\":[\"env:prod\",\"plain\"],\"Weights\":{\"Passing\":7}}}]"
#define TWO                                                                                        \
	"[{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":80}},"                                   \
	"{\"Service\":{\"Address\":\"10.0.0.2\",\"Port\":80,\"Weights\":{\"Passing\":3}}}]"

#define ANSWER_MAX (16u << 20)

static struct asked_registry a;
static struct script_peer *held; /* whoever waits for a change */

static void say(struct script_peer *peer, int status, const char *headers, const char *body)
{
	char head[512];

	snprintf(head, sizeof head, "HTTP/1.1 %d Word\r\n%sContent-Length: %zu\r\n\r\n", status,
	    headers, strlen(body));
	script_send_text(peer, head);
	script_send_text(peer, body);
}

static void say_index(struct script_peer *peer, unsigned index, const char *body)
{
	char header[64];

	snprintf(header, sizeof header, "X-Consul-Index: %u\r\n", index);
	say(peer, 200, header, body);
}

static bool asks(const struct script_request *request, const char *method, const char *part)
{
	return strcmp(request->method, method) == 0 && strstr(request->target, part) != NULL;
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

/* ---- sets ---- */

/* Index 5 and ONE; whoever waits is held. */
static void answer_one(void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	if (strstr(request->target, "index="))
		held = peer;
	else
		say_index(peer, 5, ONE);
}

START_TEST(those_that_pass_are_the_set_with_weights_and_tags)
{
	asked_open(&a, "type: consul", answer_one);
	asked_follow(&a, "shop.price");
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w7 {env=prod}");
	ck_assert(asked_was(&a, "GET /v1/health/service/shop.price?passing=true\n"));
}
END_TEST

START_TEST(a_change_ends_the_wait_and_the_next_begins_at_its_index)
{
	asked_open(&a, "type: consul", answer_one);
	asked_follow(&a, "shop.price");
	asked_until(&a, is_held);
	ck_assert(asked_was(&a, "shop.price?passing=true&index=5&wait=55s\n"));
	say_index(held, 9, TWO);
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w10; 10.0.0.2:80 w3");
	asked_until_asked(&a, "index=9&wait=55s\n");
}
END_TEST

START_TEST(the_data_centre_and_the_token_go_with_every_question)
{
	asked_open(&a, "type: consul, datacenter: \"dc 2\", token: open-sesame", answer_one);
	asked_follow(&a, "a b/c");
	asked_until(&a, is_held);
	ck_assert(asked_was(&a, "GET /v1/health/service/a%20b%2Fc?passing=true&dc=dc%202\n"));
	ck_assert(asked_was(&a, "passing=true&dc=dc%202&index=5&wait=55s\n"));
}
END_TEST

static void answer_by_token(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	if (memmem(request->head.data, request->head.len, "X-Consul-Token: right\r\n", 23))
		answer_one(arg, peer, request);
	else
		say(peer, 403, "", "Permission denied: token with AccessorID '0' lacks permission");
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

START_TEST(a_token_in_a_file_is_read_anew_after_it_was_refused)
{
	char path[] = "/tmp/bridle-consul-XXXXXX", keys[128];
	int fd = mkstemp(path);

	close(fd);
	write_file(path, "wrong\n");
	snprintf(keys, sizeof keys, "type: consul, token: {file: \"%s\"}", path);
	asked_open(&a, keys, answer_by_token);
	asked_follow(&a, "shop.price");
	asked_until_asked(&a, "shop.price");
	asked_turn(&a, 100 * USEC_MS);
	ck_assert(strstr(registry_report(a.registry).error, "403") ||
		  strstr(registry_set(a.registry, SLICE_LIT("shop.price")).error, "403"));
	write_file(path, "right\n");
	asked_until_set(&a, "shop.price", "10.0.0.1:80 w7 {env=prod}");
	unlink(path);
}
END_TEST

/* Index 10, then 3, then whoever waits is held. */
static void answer_backwards(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	(void)request;
	switch (a.stage++) {
	case 0:
		say_index(peer, 10, ONE);
		break;
	case 1:
		say_index(peer, 3, TWO);
		break;
	case 2:
		say_index(peer, 3, ONE);
		break;
	default:
		held = peer;
	}
}

START_TEST(an_index_that_goes_back_starts_over_without_waiting)
{
	asked_open(&a, "type: consul", answer_backwards);
	asked_follow(&a, "s");
	asked_until(&a, is_held);
	ck_assert_uint_eq(asked_times(&a, "passing=true\n"), 2);
	ck_assert(asked_was(&a, "passing=true&index=10&wait=55s\n"));
	ck_assert(asked_was(&a, "passing=true&index=3&wait=55s\n"));
	ck_assert_str_eq(asked_set(&a, "s"), "10.0.0.1:80 w7 {env=prod}");
}
END_TEST

static void answer_without_index(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	static const char *const headers[] = {
	    "", "X-Consul-Index: 0\r\n", "X-Consul-Index: many\r\n", "X-Consul-Index: -3\r\n"};

	(void)arg;
	(void)request;
	say(peer, 200, headers[a.stage++ % ARRAY_LEN(headers)], ONE);
}

START_TEST(without_an_index_it_is_asked_every_refresh_and_not_all_the_time)
{
	asked_open(&a, "type: consul, refresh: 300ms", answer_without_index);
	asked_follow(&a, "s");
	asked_turn(&a, 1000 * USEC_MS);
	ck_assert_uint_ge(a.n_requests, 2);
	ck_assert_uint_le(a.n_requests, 4);
	ck_assert(!asked_was(&a, "index="));
}
END_TEST

static void answer_always_new(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	(void)request;
	a.stage++;
	say_index(peer, 100 + a.stage, a.stage % 2 ? ONE : TWO);
}

START_TEST(what_changes_all_the_time_is_asked_ten_times_a_second_at_most)
{
	asked_open(&a, "type: consul", answer_always_new);
	asked_follow(&a, "s");
	asked_turn(&a, USEC_S);
	ck_assert_uint_ge(a.n_requests, 3);
	ck_assert_uint_le(a.n_requests, 11);
}
END_TEST

/* ONE at first, then something else for each time it is asked, then TWO. */
static const char *const *nonsense;

static void answer_nonsense(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	unsigned at = a.stage++;

	(void)arg;
	(void)request;
	if (at == 0)
		say_index(peer, 5, ONE);
	else if (nonsense[at - 1])
		script_send_text(peer, nonsense[at - 1]);
	else
		say_index(peer, 6, TWO);
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
    NONSENSE("HTTP/1.1 200 OK\r\nX-Consul-Index: 9\r\nContent-Length: 4\r\n\r\n[{]}"),
    NONSENSE("HTTP/1.1 200 OK\r\nX-Consul-Index: 9\r\nContent-Length: 2\r\n\r\n{}"),
    NONSENSE("HTTP/1.1 200 OK\r\nX-Consul-Index: 9\r\nContent-Length: 0\r\n\r\n"),
    NONSENSE("HTTP/1.1 500 No\r\nContent-Length: 17\r\n\r\nNo cluster leader"),
    NONSENSE("HTTP/1.1 404 No\r\nX-Consul-Index: 9\r\nContent-Length: 0\r\n\r\n"),
    NONSENSE("HTTP/1.1 301 No\r\nLocation: /ui/\r\nContent-Length: 0\r\n\r\n"),
    NONSENSE("HTTP/1.1 200 OK\r\nX-Consul-Index: 9\r\nContent-Length: 99999999\r\n\r\n[]"),
    NONSENSE("HTTP/1.1 200 OK\r\nX-Consul-KnownLeader: false\r\nX-Consul-Index: 9\r\n"
	     "Content-Length: 2\r\n\r\n[]"),
    NONSENSE("HTTP/1.1 200 OK\r\nX-Consul-Results-Filtered-By-ACLs: true\r\n"
	     "X-Consul-Index: 9\r\nContent-Length: 2\r\n\r\n[]"),
    NONSENSE("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
};

START_TEST(an_answer_that_is_none_keeps_the_set_and_is_asked_for_again)
{
	nonsense = nonsenses[_i];
	asked_open(&a, "type: consul", answer_nonsense);
	asked_follow(&a, "s");
	asked_until(&a, is_stale);
	asked_until_set(&a, "s", "10.0.0.1:80 w10; 10.0.0.2:80 w3");
	/* a full resync, whatever index was known */
	ck_assert_uint_eq(asked_times(&a, "passing=true\n"), 2);
}
END_TEST

static void answer_oversized(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	char *much;

	if (a.stage++ > 0) {
		answer_one(arg, peer, request);
		return;
	}
	much = mem_alloc(ANSWER_MAX + 10);
	memset(much, ' ', ANSWER_MAX + 10);
	script_send_text(peer, "HTTP/1.1 200 OK\r\nX-Consul-Index: 9\r\n\r\n");
	script_send(peer, slice_of(much, ANSWER_MAX + 10));
	script_close(peer);
	free(much);
}

START_TEST(an_answer_of_more_than_sixteen_mebibytes_is_none)
{
	asked_open(&a, "type: consul", answer_oversized);
	asked_follow(&a, "s");
	asked_until_set(&a, "s", "10.0.0.1:80 w7 {env=prod}");
	ck_assert_uint_ge(registry_report(a.registry).errors, 1);
}
END_TEST

static void answer_by_drops(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	if (strstr(request->target, "index="))
		held = peer;
	else if (a.stage++ == 0)
		script_drip(
		    peer, "HTTP/1.1 200 OK\r\nX-Consul-Index: 5\r\nContent-Length: 2\r\n\r\n[");
	else
		script_drip(peer,
		    "HTTP/1.1 200 OK\r\nX-Consul-Index: 5\r\nContent-Length: 48\r\n\r\n"
		    "[{\"Service\":{\"Address\":\"10.0.0.1\",\"Port\":80}} ] ");
}

START_TEST(an_answer_by_drops_is_taken_when_it_ends_in_time_and_given_up_when_not)
{
	usec_t begun = clock_monotonic();

	asked_open(&a, "type: consul", answer_by_drops);
	asked_follow(&a, "s");
	asked_until_set(&a, "s", "10.0.0.1:80 w10");
	ck_assert_uint_ge(clock_monotonic() - begun, REGISTRY_TIMEOUT);
	ck_assert_uint_ge(registry_report(a.registry).errors, 1);
}
END_TEST

START_TEST(a_server_that_never_answers_is_given_up_after_three_seconds_and_asked_again)
{
	asked_open(&a, "type: consul", NULL);
	asked_follow(&a, "s");
	asked_until_asked(&a, "/s?passing=true\n");
	asked_forget(&a);
	a.respond = answer_one;
	asked_until_set(&a, "s", "10.0.0.1:80 w7 {env=prod}");
	ck_assert(strstr(registry_report(a.registry).error, "") != NULL);
	ck_assert_uint_ge(registry_report(a.registry).errors, 1);
}
END_TEST

START_TEST(after_an_outage_the_set_is_asked_for_in_full_within_five_seconds)
{
	usec_t begun;

	asked_open(&a, "type: consul", answer_one);
	asked_follow(&a, "s");
	asked_until(&a, is_held);
	script_deaf(a.script);
	script_reset_all(a.script);
	asked_until(&a, is_stale);
	asked_turn(&a, 4 * USEC_S);
	ck_assert(is_stale(&a));
	asked_forget(&a);
	script_listen(a.script);
	begun = clock_monotonic();
	asked_until_set(&a, "s", "10.0.0.1:80 w7 {env=prod}");
	ck_assert_uint_le(clock_monotonic() - begun, 5 * USEC_S);
	ck_assert_uint_eq(asked_times(&a, "passing=true\n"), 1);
}
END_TEST

static void answer_bad_records(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	if (strstr(request->target, "index="))
		held = peer;
	else
		say_index(peer, 5,
		    "[{\"Node\":{\"Address\":\"10.1.1.1\"},\"Service\":{\"Address\":\"\",\"Port\":80}},"
		    "7, null, {\"Service\":{\"Address\":\"10.0.0.3\",\"Port\":0}},"
		    "{\"Service\":{\"Address\":\"host\",\"Port\":80}},"
		    "{\"Service\":{\"Address\":\"10.0.0.4\",\"Port\":80}}]");
}

START_TEST(records_that_cannot_be_used_are_left_out_one_by_one)
{
	asked_open(&a, "type: consul", answer_bad_records);
	asked_follow(&a, "s");
	asked_until_set(&a, "s", "10.0.0.4:80 w10");
}
END_TEST

static void answer_always_new_and_much(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	static char body[1000001];

	(void)arg;
	(void)request;
	memset(body, ' ', sizeof body - 1);
	memcpy(body, ONE, sizeof ONE - 1);
	say_index(peer, 100 + a.stage++, body);
}

START_TEST(a_large_set_that_changes_all_the_time_is_asked_for_less_often)
{
	asked_open(&a, "type: consul", answer_always_new_and_much);
	asked_follow(&a, "s");
	asked_until_set(&a, "s", "10.0.0.1:80 w7 {env=prod}");
	asked_forget(&a);
	asked_turn(&a, 1500 * USEC_MS);
	ck_assert_uint_ge(a.n_requests, 2);
	ck_assert_uint_le(a.n_requests, 3);
}
END_TEST

START_TEST(a_service_that_is_followed_no_more_is_asked_for_no_more)
{
	asked_open(&a, "type: consul", answer_one);
	asked_follow(&a, "s");
	asked_until(&a, is_held);
	asked_follow(&a, "other");
	asked_until_asked(&a, "/other?passing=true&index=5");
	asked_turn(&a, 50 * USEC_MS);
	ck_assert_uint_eq(asked_times(&a, "/s?"), 2);
	ck_assert_uint_le(script_open(a.script), 2);
}
END_TEST

/* ---- rpcx ---- */

static void answer_tree(void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	if (strstr(request->target, "index="))
		held = peer;
	else if (a.stage)
		say(peer, 404, "X-Consul-Index: 8\r\n", "");
	else
		say_index(peer, 5,
		    "[{\"Key\":\"rpcx/s/\",\"Value\":null},"
		    "{\"Key\":\"rpcx/s/tcp@10.0.0.1:80\",\"Value\":\"d2VpZ2h0PTM=\"},"
		    "{\"Key\":\"rpcx/s/tcp@10.0.0.2:80\",\"Value\":\"c3RhdGU9aW5hY3RpdmU=\"},"
		    "{\"Key\":\"rpcx/s/deeper/tcp@10.0.0.3:80\",\"Value\":\"\"},"
		    "{\"Key\":\"rpcx/s/tcp@10.0.0.4:80\",\"Value\":\"!\"},"
		    "{\"Key\":\"elsewhere/tcp@10.0.0.5:80\",\"Value\":\"\"}]");
}

START_TEST(servers_of_rpcx_are_the_keys_right_under_the_service)
{
	asked_open(&a, "type: consul, format: rpcx, base: /rpcx", answer_tree);
	asked_follow(&a, "s");
	asked_until_set(&a, "s", "10.0.0.1:80 w3");
	ck_assert(asked_was(&a, "GET /v1/kv/rpcx/s/?recurse=true\n"));
	asked_until_asked(&a, "/v1/kv/rpcx/s/?recurse=true&index=5&wait=55s\n");
}
END_TEST

START_TEST(a_tree_that_is_not_there_is_an_empty_set)
{
	asked_open(&a, "type: consul, format: rpcx, base: /rpcx", answer_tree);
	a.stage = 1;
	asked_follow(&a, "s");
	asked_until_set(&a, "s", "empty");
	asked_until_asked(&a, "index=8&wait=55s\n");
}
END_TEST

/* ---- documents ---- */

static void answer_document(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	if (strstr(request->target, "index=5"))
		held = peer;
	else if (strstr(request->target, "index="))
		return;
	else
		say(peer, 404, "X-Consul-Index: 5\r\n", "");
}

static bool knows_none(struct asked_registry *unused)
{
	struct registry_document d = registry_document(a.registry, SLICE_LIT("/Kitex/x/retry"));

	(void)unused;
	return d.is_known && !d.exists;
}

static bool knows_text(struct asked_registry *unused)
{
	struct registry_document d = registry_document(a.registry, SLICE_LIT("/Kitex/x/retry"));

	(void)unused;
	return d.is_known && d.exists && slice_eq_str(d.text, "{\"*\":1}");
}

START_TEST(a_document_is_known_to_be_none_and_then_appears)
{
	struct slice key = SLICE_LIT("/Kitex/x/retry");

	asked_open(&a, "type: consul", answer_document);
	registry_follow_documents(a.registry, &key, 1);
	asked_until(&a, knows_none);
	ck_assert(asked_was(&a, "GET /v1/kv/Kitex/x/retry?raw=true\n"));
	asked_until(&a, is_held);
	say_index(held, 6, "{\"*\":1}");
	asked_until(&a, knows_text);
	asked_until_asked(&a, "index=6&wait=55s\n");
}
END_TEST

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
		say(peer, 404, "", "unknown service ID: shop.cart:127.0.0.1:8888");
	else if (strstr(request->target, "hash="))
		held = peer;
	else
		say(peer, 200, "X-Consul-ContentHash: abc\r\n", agent.service);
}

static void answer_as_agent(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	(void)arg;
	if (agent.refuses) {
		say(peer, 403, "", "Permission denied");
	} else if (asks(request, "PUT", "/v1/agent/service/register")) {
		agent.n_puts++;
		agent.is_there = agent.has_check = true;
		say(peer, 200, "", "");
	} else if (asks(request, "PUT", "/v1/agent/service/deregister/")) {
		agent.n_removals++;
		agent.is_there = false;
		say(peer, 200, "", "");
	} else if (asks(request, "PUT", "/v1/agent/check/pass/")) {
		agent.n_passes += agent.has_check;
		say(peer, agent.has_check ? 200 : 404, "", agent.has_check ? "" : "Unknown check");
	} else if (asks(request, "GET", "/v1/agent/service/")) {
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
	say(held, 404, "", "unknown service ID");
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
	say(held, 200, "X-Consul-ContentHash: new\r\n", changed[_i]);
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
		say(peer, 404, "X-Consul-Index: 3\r\n", "");
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
		say(peer, 500, "", "invalid session");
		return;
	}
	if (store.key_session[0] && strncmp(store.key_session, session, len) != 0) {
		say(peer, 200, "", "false");
		return;
	}
	snprintf(store.key_session, sizeof store.key_session, "%.*s", (int)len, session);
	snprintf(store.value, sizeof store.value, "%.*s", (int)request->body.len,
	    (const char *)request->body.data);
	store.n_acquired++;
	say(peer, 200, "", "true");
}

static void answer_as_store(
    void *arg, struct script_peer *peer, const struct script_request *request)
{
	char body[128];

	(void)arg;
	if (asks(request, "PUT", "/v1/session/create")) {
		snprintf(store.session, sizeof store.session, "session-%u", ++store.n_sessions);
		store.expired = false;
		snprintf(body, sizeof body, "{\"ID\":\"%s\"}", store.session);
		say(peer, 200, "", body);
	} else if (asks(request, "PUT", "/v1/session/renew/")) {
		store.n_renewals++;
		say(peer, store.expired ? 404 : 200, "", "[]");
	} else if (asks(request, "PUT", "/v1/session/destroy/")) {
		store.n_destroyed++;
		store.key_session[0] = '\0';
		say(peer, 200, "", "true");
	} else if (asks(request, "PUT", "acquire=")) {
		acquire(peer, request);
	} else if (asks(request, "DELETE", "/v1/kv/")) {
		store.n_deleted++;
		store.key_session[0] = '\0';
		say(peer, 200, "", "true");
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
	say(held, 404, "X-Consul-Index: 10\r\n", "");
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
	    {those_that_pass_are_the_set_with_weights_and_tags, 1},
	    {a_change_ends_the_wait_and_the_next_begins_at_its_index, 1},
	    {the_data_centre_and_the_token_go_with_every_question, 1},
	    {a_token_in_a_file_is_read_anew_after_it_was_refused, 1},
	    {an_index_that_goes_back_starts_over_without_waiting, 1},
	    {without_an_index_it_is_asked_every_refresh_and_not_all_the_time, 1},
	    {what_changes_all_the_time_is_asked_ten_times_a_second_at_most, 1},
	    {an_answer_that_is_none_keeps_the_set_and_is_asked_for_again,
		(int)ARRAY_LEN(nonsenses)},
	    {an_answer_of_more_than_sixteen_mebibytes_is_none, 1},
	    {an_answer_by_drops_is_taken_when_it_ends_in_time_and_given_up_when_not, 1},
	    {a_server_that_never_answers_is_given_up_after_three_seconds_and_asked_again, 1},
	    {after_an_outage_the_set_is_asked_for_in_full_within_five_seconds, 1},
	    {records_that_cannot_be_used_are_left_out_one_by_one, 1},
	    {a_large_set_that_changes_all_the_time_is_asked_for_less_often, 1},
	    {a_service_that_is_followed_no_more_is_asked_for_no_more, 1},
	    {servers_of_rpcx_are_the_keys_right_under_the_service, 1},
	    {a_tree_that_is_not_there_is_an_empty_set, 1},
	    {a_document_is_known_to_be_none_and_then_appears, 1},
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

	return suite_run_between("consul", tests, ARRAY_LEN(tests), begin, end);
}
