/* The tests of a file: which fail, and what is said of them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/config_tests.h"
#include "support/loaded.h"
#include "support/suite.h"

static const char text[] =
    "node: {service: shop.web}\n"
    "listeners:\n"
    "  - {name: in, address: 127.0.0.1:0, service: local}\n"
    "  - {name: out, address: 127.0.0.1:0}\n"
    "  - {name: own, address: 127.0.0.1:0, caller: node, reserved: [meta.user, 'header.x-in-*', "
    "'meta.auth-*', int.4]}\n"
    "services:\n"
    "  local:\n"
    "    endpoints: [127.0.0.1:9000]\n"
    "    acl: [{deny: {source: 10.0.0.0/8}}]\n"
    "  price:\n"
    "    endpoints:\n"
    "      - {address: 127.0.0.1:9001, tags: {lane: gray, zone: a}}\n"
    "      - {address: 127.0.0.1:9002, tags: {lane: gray}}\n"
    "      - {address: 127.0.0.1:9003}\n"
    "      - name-of-a-host:9004\n"
    "    subsets: {gray: {lane: gray}}\n"
    "    aliases: [PriceService]\n"
    "    timeout: 2s\n"
    "    methods: {Quote: {idempotent: true, timeout: 200ms, retry: {type: backup, delay: 60ms}}}\n"
    "    routes:\n"
    "      - {name: lane, match: {meta.env: gray}, to: gray}\n"
    "      - {match: {method: Break}, fault: {abort: {reason: overload}}}\n"
    "      - {match: {percent: 1%, method: Rare}, to: gray}\n"
    "      - {match: {method: Change}, remove: [meta.old], rename: {meta.a: meta.b}, "
    "copy: {caller: meta.from}, set: {meta.lane: {value: x, when: absent}}}\n"
    "tests:\n";

static struct loaded loaded;
static size_t failed;

static void forget(void)
{
	loaded_free(&loaded);
}

/* Runs one test, the inside of its map. */
static void run(const char *test)
{
	char whole[4096];

	loaded_free(&loaded);
	snprintf(whole, sizeof whole, "%s  - {%s}\n", text, test);
	loaded = loaded_from(whole);
	loaded_config(&loaded);
	failed = config_tests_run(loaded.config, &loaded.problems);
	ck_assert_uint_eq(loaded.problems.n_errors, failed);
}

static void must_pass(const char *test)
{
	run(test);
	ck_assert_msg(failed == 0, "%s: %s", test, failed ? loaded.problems.list[0].text : "");
}

static void must_fail(const char *test, const char *why)
{
	run(test);
	ck_assert_msg(failed == 1, "%s passes", test);
	ck_assert_msg(loaded_says(&loaded, "tests[0]", why, NULL), "%s: %s", test,
	    loaded.problems.list[0].text);
}

START_TEST(each_expectation_can_be_met)
{
	must_pass("call: price/Quote, expect: {service: price}");
	must_pass("call: price/Quote, meta: {env: gray}, expect: {subset: gray}");
	must_pass("call: price/Quote, meta: {env: gray}, expect: {route: lane}");
	must_pass("call: price/Break, expect: {route: 'services.price.routes[1]'}");
	must_pass("call: price/Quote, meta: {env: gray}, expect: {endpoint_tags: {lane: gray}}");
	must_pass("call: price/Quote, expect: {timeout: 200ms, attempts: 2}");
	must_pass("call: price/List, expect: {timeout: 2s, attempts: 3}");
	must_pass("listener: in, call: local/Get, expect: {timeout: 30s}"); /* the default */
	must_pass("call: price/Quote, expect: {reason: ok}");
	must_pass("call: price/Break, expect: {reason: overload}");
	must_pass("call: nobody/Get, expect: {reason: no_route}");
	must_pass("listener: in, call: local/Get, source: 10.0.0.1, expect: {reason: acl_denied}");
}
END_TEST

#define CHANGE "call: price/Change, caller: me, meta: {a: '1', old: '2'}, expect: {facts: "

START_TEST(facts_are_expected_as_the_call_goes_on)
{
	must_pass(CHANGE "{meta.b: '1', meta.a: '', meta.old: '', meta.from: me, meta.lane: x}}");
	must_pass(CHANGE "{method: Change, caller: me, header.x: ''}}");
	must_pass("call: price/Change, meta: {lane: y}, expect: {facts: {meta.lane: y}}");
	must_fail(CHANGE "{meta.old: '2'}}", "expected meta.old \"2\", came to no meta.old");
	must_fail(CHANGE "{meta.b: '2'}}", "expected meta.b \"2\", came to meta.b \"1\"");
	must_fail(CHANGE "{meta.from: ''}}", "expected no meta.from, came to meta.from \"me\"");
}
END_TEST

#define OWN(says, facts) "listener: own, call: price/Quote, " says ", expect: {facts: {" facts "}}"

START_TEST(what_a_caller_may_not_state_is_not_there)
{
	must_pass(OWN("caller: me, caller_method: Get", "caller: shop.web, caller_method: ''"));
	must_pass(OWN("meta: {gdpr-token: t, GDPR_TOKEN: u, a: b}",
	    "meta.gdpr-token: '', meta.GDPR_TOKEN: '', meta.a: b"));
	must_pass(OWN("header: {rip: r, RPC_TRANSIT_gdpr-token: t, source-service: s, ripp: x}",
	    "header.rip: '', header.RPC_TRANSIT_gdpr-token: '', header.source-service: '', "
	    "header.ripp: x"));
	must_pass(OWN("int: {3: a, 20: b, 4: c, 5: d}",
	    "int.3: '', int.20: '', int.from_cluster: '', int.5: d"));
	must_pass(OWN("meta: {USER: u, auth_level: x, auth: y, users: z}",
	    "meta.USER: '', meta.auth_level: '', meta.auth: y, meta.users: z"));
	must_pass(OWN("header: {x-in-a: b, X_IN_B: c, x-in: d, RPC_PERSIST_USER: e, isn: f}",
	    "header.x-in-a: '', header.X_IN_B: '', header.x-in: d, header.RPC_PERSIST_USER: '', "
	    "header.isn: f"));
	must_pass("listener: out, call: price/Quote, caller: me, caller_method: Get, "
		  "header: {rip: r}, meta: {user: u}, expect: {facts: {caller: me, "
		  "caller_method: Get, header.rip: r, meta.user: u}}");
	must_fail(OWN("meta: {gdpr-token: t}", "meta.gdpr-token: t"), "came to no meta.gdpr-token");
}
END_TEST

START_TEST(each_expectation_can_fail)
{
	must_fail("call: local/Get, expect: {service: price}",
	    "expected service \"price\", came to service \"local\"");
	must_fail("call: nobody/Get, expect: {service: price}",
	    "expected service \"price\", came to no service");
	must_fail("call: price/Get, expect: {subset: gray}",
	    "expected subset \"gray\", came to no subset");
	must_fail(
	    "call: price/Get, expect: {route: lane}", "expected route \"lane\", came to no route");
	must_fail("call: price/Break, expect: {route: lane}", "services.price.routes[1]");
	must_fail("call: price/Get, expect: {endpoint_tags: {lane: gray}}",
	    "expected endpoints with the tag lane \"gray\", among them is 127.0.0.1:9003");
	must_fail("call: price/Get, meta: {env: gray}, expect: {endpoint_tags: {zone: a}}",
	    "127.0.0.1:9002");
	must_fail("call: nobody/Get, expect: {endpoint_tags: {lane: gray}}", "came to none");
	must_fail(
	    "call: price/Quote, expect: {timeout: 2s}", "expected a timeout of 2s, came to 200ms");
	must_fail(
	    "call: price/Quote, expect: {attempts: 3}", "expected 3 attempts in all, came to 2");
	must_fail(
	    "call: price/Quote, expect: {reason: overload}", "the reason overload, came to ok");
	must_fail("call: price/Break, expect: {reason: ok}", "a fault of the route aborts it");
}
END_TEST

START_TEST(a_failure_says_which_call_and_which_rules_were_tried)
{
	must_fail("call: price/Get, meta: {env: blue}, expect: {subset: gray}", "call price/Get: ");
	ck_assert(loaded_says(&loaded, "tests[0]", "",
	    "+ listeners[1]: service price: the call asks for it by name\n"
	    "    - services.price.routes[0]: meta.env is \"blue\", not \"gray\"\n"
	    "    - services.price.routes[1]: method is \"Get\", not \"Break\"\n"));
	ck_assert_uint_gt(loaded.problems.list[0].line, 20);
}
END_TEST

START_TEST(all_that_fail_are_told)
{
	char whole[4096];

	snprintf(whole, sizeof whole,
	    "%s"
	    "  - {call: price/Get, expect: {subset: gray}}\n"
	    "  - {call: price/Get, expect: {service: price}}\n"
	    "  - {call: price/Get, expect: {reason: overload, subset: gray, timeout: 1s}}\n",
	    text);
	loaded = loaded_from(whole);
	ck_assert_uint_eq(config_tests_run(loaded_config(&loaded), &loaded.problems), 2);
	ck_assert(loaded_says(&loaded, "tests[0]", "subset", NULL));
	/* Of one test the first thing that is wrong. */
	ck_assert(loaded_says(&loaded, "tests[2]", "reason", NULL));
	ck_assert_uint_eq(loaded.problems.n, 2);
}
END_TEST

START_TEST(a_test_says_by_whom_and_by_which_listener)
{
	must_pass("call: price/Get, expect: {service: price}"); /* the one without a pin */
	must_pass("listener: in, call: price/Get, expect: {service: local}");
	must_pass("call: /Get, idl_service: PriceService, expect: {service: price}");
	must_pass("call: /Get, expect: {reason: no_route}");
}
END_TEST

START_TEST(chance_is_the_same_at_every_run)
{
	run("call: price/Rare, expect: {subset: gray}");
	for (size_t first = failed, i = 0; i < 20; i++) {
		run("call: price/Rare, expect: {subset: gray}");
		ck_assert_uint_eq(failed, first);
	}
}
END_TEST

START_TEST(a_file_without_tests_passes)
{
	char whole[4096];

	snprintf(whole, sizeof whole, "%.*s", (int)(strstr(text, "tests:") - text), text);
	loaded = loaded_from(whole);
	ck_assert_uint_eq(config_tests_run(loaded_config(&loaded), &loaded.problems), 0);
}
END_TEST

/* What a registry will say is not known; that it says something is taken for granted. */
START_TEST(a_call_to_a_service_of_a_registry_can_be_tested)
{
	static const struct {
		const char *test;
		unsigned failed;
	} cases[] = {
	    {"call: price/Quote, expect: {service: price, reason: ok, timeout: 2s}", 0},
	    {"call: price/Quote, meta: {env: gray}, expect: {subset: gray, endpoint_tags: {lane: "
	     "gray}}",
		0},
	    {"call: price/Quote, expect: {subset: gray}", 1},
	    {"call: other/Get, expect: {service: other, reason: ok, timeout: 5s}", 0},
	    {"call: other/Get, expect: {timeout: 2s}", 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char whole[2000];

		loaded_free(&loaded);
		snprintf(whole, sizeof whole,
		    "registries: {main: {type: etcd, endpoints: [\"127.0.0.1:2379\"]}}\n"
		    "listeners: [{address: 127.0.0.1:0}]\n"
		    "services:\n"
		    "  price: {discover: main, timeout: 2s, subsets: {gray: {lane: gray}}, routes: "
		    "[{match: {meta.env: gray}, to: gray}]}\n"
		    "  \"*\": {discover: main, timeout: 5s}\n"
		    "tests: [{%s}]\n",
		    cases[i].test);
		loaded = loaded_from(whole);
		failed = config_tests_run(loaded_config(&loaded), &loaded.problems);
		ck_assert_msg(failed == cases[i].failed, "%s", cases[i].test);
	}
}
END_TEST

START_TEST(a_name_that_is_not_listed_is_expected_only_of_its_own_calls)
{
	loaded = loaded_from("registries: {main: {type: etcd, endpoints: [\"127.0.0.1:2379\"]}}\n"
			     "listeners: [{address: 127.0.0.1:0}]\n"
			     "services: {\"*\": {discover: main}}\n"
			     "tests: [{call: other/Get, expect: {service: othr}}]\n");
	ck_assert_ptr_null(loaded.config);
	ck_assert(loaded_says(&loaded, "tests[0].expect.service", "no service \"othr\"", NULL));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {each_expectation_can_be_met, 1},
	    {facts_are_expected_as_the_call_goes_on, 1},
	    {what_a_caller_may_not_state_is_not_there, 1},
	    {each_expectation_can_fail, 1},
	    {a_failure_says_which_call_and_which_rules_were_tried, 1},
	    {all_that_fail_are_told, 1},
	    {a_test_says_by_whom_and_by_which_listener, 1},
	    {chance_is_the_same_at_every_run, 1},
	    {a_file_without_tests_passes, 1},
	    {a_call_to_a_service_of_a_registry_can_be_tested, 1},
	    {a_name_that_is_not_listed_is_expected_only_of_its_own_calls, 1},
	};

	return suite_run_between("config_tests", tests, ARRAY_LEN(tests), NULL, forget);
}
