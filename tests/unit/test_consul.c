#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "registry/client.h"
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
		script_answer(
		    peer, 403, "Permission denied: token with AccessorID '0' lacks permission");
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
	script_answer_with(peer, 200, headers[a.stage++ % ARRAY_LEN(headers)], ONE);
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
		script_answer_with(peer, 404, "X-Consul-Index: 8\r\n", "");
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
		script_answer_with(peer, 404, "X-Consul-Index: 5\r\n", "");
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
	};

	return suite_run_between("consul", tests, ARRAY_LEN(tests), begin, end);
}
