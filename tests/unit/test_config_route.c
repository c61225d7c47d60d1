#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "support/loaded.h"
#include "support/suite.h"

#define LISTENER "listeners: [{name: out, address: \"127.0.0.1:0\"}]\n"

static const struct service_config *service_of(const struct loaded *l, const char *label)
{
	const struct service_config *service = config_service(loaded_config(l), slice_str(label));

	ck_assert_ptr_nonnull(service);
	return service;
}

/* A service "a" with subsets, and a service "b", with these routes. */
static struct loaded with_routes(const char *routes)
{
	char text[3000];

	snprintf(text, sizeof text,
	    LISTENER
	    "services:\n"
	    "  a:\n"
	    "    endpoints: [{address: \"127.0.0.1:1\", tags: {lane: canary, env: e}}, "
	    "\"127.0.0.1:2\"]\n"
	    "    subsets: {stable: {lane: \"\"}, canary: {lane: canary}}\n"
	    "    subset_by: {tag: env, key: meta.env}\n"
	    "    timeout: {call: 1s}\n"
	    "    routes: [%s]\n"
	    "    methods: {Get: {idempotent: true, timeout: {attempt: 10ms}, limit: {rate: 5/s}}}\n"
	    "  b:\n"
	    "    endpoints: [{address: \"127.0.0.1:3\", tags: {t: u}}]\n"
	    "    subsets: {z: {t: u}}\n"
	    "    timeout: {call: 2s, connect: 20ms}\n"
	    "    methods: {Get: {idempotent: true, timeout: {connect: 7ms}}, Put: {limit: none}}\n",
	    routes);
	return loaded_from(text);
}

/* The only rule of the first route's match. */
static const struct match_rule *rule_of(const struct loaded *l)
{
	const struct service_config *a = service_of(l, "a");

	ck_assert_uint_ge(a->n_routes, 1);
	ck_assert_uint_eq(a->routes[0].match.n, 1);
	return &a->routes[0].match.rules[0];
}

START_TEST(value_of_a_match_has_many_forms)
{
	static const struct {
		const char *text;
		enum match_how how;
		bool is_negated;
		size_t n;
		const char *first;
	} cases[] = {
	    {"gray", MATCH_EXACT, false, 1, "gray"},
	    {"17", MATCH_EXACT, false, 1, "17"},
	    {"1.50", MATCH_EXACT, false, 1, "1.50"},
	    {"true", MATCH_EXACT, false, 1, "true"},
	    {"\"\"", MATCH_EXACT, false, 1, ""},
	    {"none", MATCH_EXACT, false, 1, "none"},
	    {"{exact: gray}", MATCH_EXACT, false, 1, "gray"},
	    {"{prefix: gr}", MATCH_PREFIX, false, 1, "gr"},
	    {"{suffix: ay}", MATCH_SUFFIX, false, 1, "ay"},
	    {"{regex: \"^g.*y$\"}", MATCH_REGEX, false, 1, "^g.*y$"},
	    {"{in: [a, 2, true]}", MATCH_IN, false, 3, "a"},
	    {"{present: true}", MATCH_PRESENT, false, 0, NULL},
	    {"{present: false}", MATCH_ABSENT, false, 0, NULL},
	    {"{not: {present: true}}", MATCH_ABSENT, false, 0, NULL},
	    {"{not: {present: false}}", MATCH_PRESENT, false, 0, NULL},
	    {"{not: gray}", MATCH_EXACT, true, 1, "gray"},
	    {"{not: {in: [a, b]}}", MATCH_IN, true, 2, "a"},
	    {"{not: {regex: a}}", MATCH_REGEX, true, 1, "a"},
	};
	char text[200];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct match_rule *rule;
		struct loaded l;

		snprintf(text, sizeof text, "{match: {meta.env: %s}, to: canary}", cases[i].text);
		l = with_routes(text);
		rule = rule_of(&l);
		ck_assert_int_eq((int)rule->key.kind, FACT_META);
		ck_assert(slice_eq_str(rule->key.name, "env"));
		ck_assert_int_eq((int)rule->how, (int)cases[i].how);
		ck_assert_int_eq(rule->is_negated, cases[i].is_negated);
		ck_assert_uint_eq(rule->n_texts, cases[i].n);
		if (cases[i].first)
			ck_assert(slice_eq_str(rule->texts[0], cases[i].first));
		ck_assert((rule->regex != NULL) == (rule->how == MATCH_REGEX));
		loaded_free(&l);
	}
}
END_TEST

START_TEST(field_has_three_spellings)
{
	static const struct {
		const char *text;
		enum match_how how;
	} cases[] = {{"field: 1.3.2", MATCH_PRESENT}, {"field.1.3.2: x", MATCH_EXACT},
	    {"field: {path: 1.3.2, prefix: x}", MATCH_PREFIX},
	    {"field: {prefix: x, path: 1.3.2}", MATCH_PREFIX},
	    {"field: {path: 1.3.2}", MATCH_PRESENT}, {"field.1.3.2: {prefix: x}", MATCH_PREFIX}};
	char text[200];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct match_rule *rule;
		struct loaded l;

		snprintf(text, sizeof text, "{match: {%s}, to: canary}", cases[i].text);
		l = with_routes(text);
		rule = rule_of(&l);
		ck_assert_int_eq((int)rule->key.kind, FACT_FIELD);
		ck_assert_uint_eq(rule->key.depth, 3);
		ck_assert(
		    rule->key.path[0] == 1 && rule->key.path[1] == 3 && rule->key.path[2] == 2);
		ck_assert(slice_eq_str(rule->key.text, "field.1.3.2"));
		ck_assert_int_eq((int)rule->how, (int)cases[i].how);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(source_is_matched_by_networks)
{
	static const struct {
		const char *text;
		size_t n;
		bool is_negated;
	} cases[] = {{"10.0.0.0/8", 1, false}, {"[10.0.0.0/8, \"fd00::/8\"]", 2, false},
	    {"{not: 127.0.0.1}", 1, true}, {"{not: [127.0.0.1, 10.0.0.0/8]}", 2, true}};
	char text[200];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct match_rule *rule;
		struct loaded l;

		snprintf(text, sizeof text, "{match: {source: %s}, to: canary}", cases[i].text);
		l = with_routes(text);
		rule = rule_of(&l);
		ck_assert_int_eq((int)rule->how, MATCH_CIDR);
		ck_assert_uint_eq(rule->n_cidrs, cases[i].n);
		ck_assert_int_eq(rule->is_negated, cases[i].is_negated);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(match_without_anything_is_for_all)
{
	struct loaded l = with_routes("{match: {percent: 12.5%}, to: canary}, {to: stable}");
	const struct service_config *a = service_of(&l, "a");

	ck_assert_uint_eq(a->routes[0].match.n, 0);
	ck_assert_double_eq_tol(a->routes[0].match.percent, 0.125, 1e-9);
	ck_assert_uint_eq(a->routes[1].match.n, 0);
	ck_assert(a->routes[1].match.percent == 1);
	loaded_free(&l);
}
END_TEST

START_TEST(regex_that_could_take_long_is_refused)
{
	static const struct {
		const char *regex;
		bool fine;
	} cases[] = {
	    {"^a+$", true},
	    {"(a|b)*c", true},
	    {"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}", true},
	    {"[]{}0-9]{3}", true},
	    {"^shop[.](web|app)-[a-z0-9]+$", true},
	    {"^.*[.]prod[.]example[.]net$", true},
	    {"a.*b.*c.*d.*e", true},
	    {"(a|b)*a(a|b){60}c", false},
	    {"(a|b)*a[ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab][ab]", false},
	    {"^x*([ab]{3}){5}", false},
	    {"^([ab]{3}){5}x*$", false},
	    {"^([ab]{3}){4}x{1,}$", true},
	    {"^([ab]{3}){5}x{1,}$", false},
	    {"^([ab]{3}){5}x{1,2}$", true},
	    {"\\\\w{13}a*", false},
	    {"\\\\.{13}a*", true},
	    {"[[:alpha:]]{1000}x{1001}", false},
	    {"a{1999}", true},
	    {"a{2001}", false},
	    {"(a{50}){50}", false},
	    {"((a{10}){10}){10}b{10}", true},
	    {"(((a{10}){10}){10}){10}", false},
	    {"(a*){3000}", false},
	    {"(abcdefghij)*{255}", false},
	    {"(a)\\\\1", false},
	    {"\\\\.\\\\{", true},
	    {"[\\\\1]", true},
	    {"a[", false},
	    {"(", false},
	    {"", false},
	};
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l;

		snprintf(text, sizeof text, "{match: {method: {regex: \"%s\"}}, to: canary}",
		    cases[i].regex);
		l = with_routes(text);
		ck_assert_msg((l.config != NULL) == cases[i].fine, "%s", cases[i].regex);
		if (!cases[i].fine)
			ck_assert(loaded_says(&l, "services.a.routes[0].match.method.regex",
			    "no regular expression", "POSIX"));
		loaded_free(&l);
	}
}
END_TEST

START_TEST(route_leads_to_a_subset_a_service_or_a_split)
{
	struct loaded l =
	    with_routes("{match: {caller: x}, to: canary, fallback: stable}, "
			"{match: {caller: y}, to: {service: b, subset: z}}, "
			"{match: {caller: z}, to: base}, "
			"{split: {base: 95, canary: 5}, sticky: int.24, fallback: any}");
	const struct service_config *a = service_of(&l, "a");
	const struct route_config *r = a->routes;

	ck_assert_uint_eq(a->n_routes, 4);
	ck_assert_str_eq(a->subsets[0].name, "canary"); /* sorted */
	ck_assert_ptr_eq(r[0].subset, &a->subsets[0]);
	ck_assert_ptr_eq(r[0].fallback, &a->subsets[1]);
	ck_assert_str_eq(r[0].at, "services.a.routes[0]");
	ck_assert_ptr_null(r[0].to);
	ck_assert_ptr_eq(r[1].to, service_of(&l, "b"));
	ck_assert_ptr_eq(r[1].subset, &service_of(&l, "b")->subsets[0]);
	ck_assert(r[2].subset == NULL && r[2].n_split == 1 && r[2].split[0].subset == NULL);
	ck_assert_uint_eq(r[3].n_split, 2);
	ck_assert_ptr_null(r[3].split[0].subset);
	ck_assert_uint_eq(r[3].split[0].weight, 95);
	ck_assert_ptr_eq(r[3].split[1].subset, &a->subsets[0]);
	ck_assert_uint_eq(r[3].split_total, 100);
	ck_assert_int_eq((int)r[3].sticky.kind, FACT_INT);
	ck_assert(r[3].fallback_any && r[3].fallback == NULL);
	loaded_free(&l);
}
END_TEST

START_TEST(policy_of_a_route_comes_between_service_and_method)
{
	struct loaded l = with_routes(
	    "{match: {caller: x}, policy: {timeout: {call: 5s, attempt: 50ms}}}, "
	    "{match: {caller: y}, to: {service: b}, policy: {timeout: {connect: 5ms, attempt: 50ms}, "
	    "limit: {rate: 9/s}}}, {match: {caller: z}}");
	const struct service_config *a = service_of(&l, "a"), *b = service_of(&l, "b");
	const struct route_config *own = &a->routes[0], *led = &a->routes[1];

	ck_assert(own->has_policy && led->has_policy && !a->routes[2].has_policy);
	ck_assert_ptr_null(a->routes[2].policy);
	ck_assert_uint_eq(own->policy->timeout_call, 5 * USEC_S);
	ck_assert_uint_eq(own->policy->timeout_attempt, 50 * USEC_MS);
	/* Get of a says how long an attempt may take, and nothing of the call */
	ck_assert_uint_eq(own->methods[0].timeout_call, 5 * USEC_S);
	ck_assert_uint_eq(own->methods[0].timeout_attempt, 10 * USEC_MS);
	ck_assert(own->methods[0].is_idempotent && !own->policy->is_idempotent);
	ck_assert_ptr_eq(
	    own->methods[0].limits[LEVEL_METHOD], a->methods[0].policy.limits[LEVEL_METHOD]);

	/* the other service is what counts where it leads to one */
	ck_assert_uint_eq(led->policy->timeout_call, 2 * USEC_S);
	ck_assert_uint_eq(led->policy->timeout_connect, 5 * USEC_MS);
	ck_assert_ptr_eq(led->policy->service, b);
	ck_assert_ptr_eq(led->policy->route, led);
	ck_assert_uint_eq(led->policy->limits[LEVEL_ROUTE]->rate.count, 9);
	ck_assert_str_eq(led->policy->limits[LEVEL_ROUTE]->at, "services.a.routes[1].policy.limit");
	ck_assert_str_eq(led->methods[0].method, "Get");
	ck_assert_uint_eq(led->methods[0].timeout_connect, 7 * USEC_MS);
	ck_assert_uint_eq(led->methods[0].timeout_attempt, 50 * USEC_MS);
	ck_assert_ptr_eq(led->methods[0].limits[LEVEL_ROUTE], led->policy->limits[LEVEL_ROUTE]);
	/* none at the method lifts the route's */
	ck_assert_str_eq(led->methods[1].method, "Put");
	ck_assert_ptr_null(led->methods[1].limits[LEVEL_ROUTE]);

	/* defaults, a, a.Get, own with its Get, led with b's Get and Put, b with both */
	ck_assert_uint_eq(l.config->n_policies, 1 + 2 + 2 + 3 + 3);
	ck_assert_ptr_eq(l.config->policies[led->methods[1].index], &led->methods[1]);
	loaded_free(&l);
}
END_TEST

START_TEST(problem_of_a_method_is_not_told_again_by_each_route)
{
	struct loaded l =
	    loaded_from(LISTENER "services:\n"
				 "  a:\n"
				 "    endpoints: [\"127.0.0.1:1\"]\n"
				 "    routes: [{match: {caller: x}, policy: {timeout: 1s}}, "
				 "{policy: {timeout: 2s}}]\n"
				 "    methods: {Get: {timeout: {attempt: 5}}}\n");

	ck_assert_uint_eq(l.problems.n, 1);
	loaded_free(&l);
}
END_TEST

START_TEST(route_changes_facts_on_the_way)
{
	struct loaded l = with_routes("{set: {meta.env: gray, header.x: \"1\", int.14: 5}, "
				      "remove: [meta.debug, int.stress_tag]}");
	const struct route_config *r = service_of(&l, "a")->routes;

	ck_assert_uint_eq(r->n_set, 3);
	ck_assert_int_eq((int)r->set[0].to.kind, FACT_META);
	ck_assert(slice_eq_str(r->set[0].value, "gray"));
	ck_assert_int_eq((int)r->set[2].to.kind, FACT_INT);
	ck_assert_uint_eq(r->set[2].to.number, 14);
	ck_assert(slice_eq_str(r->set[2].value, "5"));
	ck_assert_uint_eq(r->n_remove, 2);
	ck_assert_uint_eq(r->remove[1].number, 21);
	loaded_free(&l);
}
END_TEST

START_TEST(faults_and_mirrors_have_short_forms)
{
	struct loaded l = with_routes(
	    "{match: {caller: a}, mirror: b, fault: {delay: 5ms, abort: overload}}, "
	    "{match: {caller: b}, mirror: {service: b, percent: 1%}, fault: {abort: {exception: 6, "
	    "percent: 5%}}}, {match: {caller: c}, fault: {abort: {reset: true}}}, {match: {caller: d}}");
	const struct route_config *r = service_of(&l, "a")->routes;

	ck_assert_ptr_eq(r[0].mirror, service_of(&l, "b"));
	ck_assert(r[0].mirror_percent == 1);
	ck_assert_uint_eq(r[0].fault.delay, 5 * USEC_MS);
	ck_assert(r[0].fault.delay_percent == 1 && r[0].fault.has_abort);
	ck_assert_int_eq((int)r[0].fault.abort_reason, REASON_OVERLOAD);
	ck_assert_int_eq(r[0].fault.abort_exception, -1);
	ck_assert_double_eq_tol(r[1].mirror_percent, 0.01, 1e-9);
	ck_assert_int_eq(r[1].fault.abort_exception, 6);
	ck_assert_int_eq((int)r[1].fault.abort_reason, REASON_FAULT_INJECTED);
	ck_assert_double_eq_tol(r[1].fault.abort_percent, 0.05, 1e-9);
	ck_assert(r[2].fault.is_reset && r[2].fault.has_abort && r[2].fault.delay == 0);
	ck_assert(!r[3].fault.has_abort && r[3].mirror == NULL);
	loaded_free(&l);
}
END_TEST

START_TEST(reason_to_abort_with_has_the_name_it_has_everywhere)
{
	for (int r = 0; r < REASON_COUNT; r++) {
		char text[200];
		struct loaded l;

		snprintf(text, sizeof text, "{match: {caller: x}, fault: {abort: %s}}",
		    reason_name((enum reason)r));
		l = with_routes(text);
		if (l.config) {
			ck_assert_int_eq((int)service_of(&l, "a")->routes[0].fault.abort_reason, r);
			ck_assert_int_ne(r, REASON_OK);
		} else {
			ck_assert(loaded_says(&l, "services.a.routes[0].fault.abort",
			    "unknown value", "fault_injected"));
		}
		loaded_free(&l);
	}
}
END_TEST

START_TEST(service_without_endpoints_leads_all_calls_elsewhere)
{
	static const struct {
		const char *routes;
		bool fine;
	} cases[] = {
	    {"[{to: {service: b}}]", true},
	    {"[{match: {caller: x}, to: {service: b}}, {to: {service: b}}]", true},
	    {"[{match: {caller: x}, to: {service: b}}]", false},
	    {"[{match: {percent: 99%}, to: {service: b}}]", false},
	    {"[{match: {caller: x}, policy: {timeout: 1s}}, {to: {service: b}}]", false},
	    {"[]", false},
	};
	char text[500];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l;

		snprintf(text, sizeof text,
		    LISTENER "services: {a: {routes: %s}, b: {endpoints: [\"127.0.0.1:1\"]}}\n",
		    cases[i].routes);
		l = loaded_from(text);
		ck_assert_msg((l.config != NULL) == cases[i].fine, "%s", text);
		if (!cases[i].fine)
			ck_assert(
			    loaded_says(&l, "services.a.endpoints", "is missing", "without match"));
		loaded_free(&l);
	}
}
END_TEST

START_TEST(tests_of_the_file_are_read)
{
	struct loaded l = loaded_from(LISTENER
	    "services: {a: {endpoints: [\"127.0.0.1:1\"], subsets: {g: {x: \"\"}}, "
	    "routes: [{name: r, to: g}]}}\n"
	    "tests:\n"
	    "  - {listener: out, call: x/y/Get, caller: c, caller_method: m, source: 10.0.0.1, uid: 5, "
	    "meta: {env: gray, n: 1}, header: {h: v}, int: {14: u, stress_tag: t}, field: {1.2: f}, "
	    "expect: {service: a, subset: g, route: r, endpoint_tags: {x: y}, timeout: 3s, attempts: 2, "
	    "reason: no_route}}\n"
	    "  - {call: Get, expect: {reason: ok}}\n");
	const struct test_config *t = loaded_config(&l)->tests;

	ck_assert_uint_eq(l.config->n_tests, 2);
	ck_assert_str_eq(t[0].at, "tests[0]");
	ck_assert_ptr_eq(t[0].listener, l.config->listeners);
	ck_assert(slice_eq_str(t[0].service, "x/y") && slice_eq_str(t[0].method, "Get"));
	ck_assert(slice_eq_str(t[0].caller, "c") && slice_eq_str(t[0].caller_method, "m"));
	ck_assert(slice_eq_str(t[0].source, "10.0.0.1"));
	ck_assert_uint_eq(t[0].n_facts, 7);
	ck_assert_int_eq((int)t[0].facts[0].key.kind, FACT_UID);
	ck_assert(slice_eq_str(t[0].facts[0].value, "5"));
	ck_assert(slice_eq_str(t[0].facts[2].value, "1"));
	ck_assert_uint_eq(t[0].facts[5].key.number, 21);
	ck_assert_int_eq((int)t[0].facts[6].key.kind, FACT_FIELD);
	ck_assert_str_eq(t[0].service_label, "a");
	ck_assert_str_eq(t[0].subset, "g");
	ck_assert_str_eq(t[0].route, "r");
	ck_assert_uint_eq(t[0].endpoint_tags.n, 1);
	ck_assert_uint_eq(t[0].timeout, 3 * USEC_S);
	ck_assert_uint_eq(t[0].attempts, 2);
	ck_assert(t[0].has_reason && t[0].reason == REASON_NO_ROUTE);
	ck_assert(t[1].listener == NULL && t[1].service.len == 0 && t[1].timeout == USEC_NONE);
	ck_assert(t[1].service_label == NULL && t[1].subset == NULL && t[1].route == NULL);
	loaded_free(&l);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    value_of_a_match_has_many_forms,
	    field_has_three_spellings,
	    source_is_matched_by_networks,
	    match_without_anything_is_for_all,
	    regex_that_could_take_long_is_refused,
	    route_leads_to_a_subset_a_service_or_a_split,
	    policy_of_a_route_comes_between_service_and_method,
	    problem_of_a_method_is_not_told_again_by_each_route,
	    route_changes_facts_on_the_way,
	    faults_and_mirrors_have_short_forms,
	    reason_to_abort_with_has_the_name_it_has_everywhere,
	    service_without_endpoints_leads_all_calls_elsewhere,
	    tests_of_the_file_are_read,
	};

	return suite_run("config_route", tests, ARRAY_LEN(tests));
}
