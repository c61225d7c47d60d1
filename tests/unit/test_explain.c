/* Explanations: what they gather, and what they know of endpoints that are out. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/explain_ask.h"
#include "model/file_snapshot.h"
#include "model/sample_call.h"
#include "support/loaded.h"
#include "support/suite.h"

static const char text[] =
    "node: {service: shop.web}\n"
    "defaults: {timeout: {connect: 100ms}, limit: {concurrency: 9}}\n"
    "listeners:\n"
    "  - {name: out, address: 'unix:/tmp/out.sock'}\n"
    "  - {name: tcp, address: '127.0.0.1:0'}\n"
    "  - {name: ours, address: '127.0.0.1:0', caller: node}\n"
    "  - {name: uids, address: 'unix:/tmp/uids.sock', caller: {uid: {1000: shop.cart}}}\n"
    "  - {name: local, address: '127.0.0.1:0', service: local}\n"
    "services:\n"
    "  local: {endpoints: ['127.0.0.1:9000']}\n"
    "  price:\n"
    "    endpoints: ['127.0.0.1:9001', '127.0.0.1:9002', '127.0.0.1:9003', '127.0.0.1:9004']\n"
    "    limit: {rate: 10/s}\n"
    "    breaker: {error_rate: 40%}\n"
    "    routes:\n"
    "      - {match: {caller: shop.web}, policy: {timeout: 7s}}\n"
    "      - {match: {caller: shop.cart}, policy: {limit: {rate: 1/s}}}\n"
    "  empty: {endpoints: [name-of-a-host:9000]}\n";

static struct loaded loaded;
static struct snapshot *snapshot;
static struct explanation e;

static void begin(void)
{
	loaded = loaded_from(text);
	snapshot = file_snapshot_new(loaded_config(&loaded));
	e = (struct explanation){0};
}

static void end(void)
{
	explanation_fini(&e);
	file_snapshot_free(&snapshot);
	loaded_free(&loaded);
}

/* @caller, @uid: NULL: not said. */
static void explain(
    const char *listener, const char *service, const char *caller, const char *uid, usec_t now)
{
	const struct fact_value list[] = {
	    {{.kind = FACT_SERVICE}, slice_str(service)},
	    {{.kind = FACT_METHOD}, SLICE_LIT("Get")},
	    {{.kind = caller ? FACT_CALLER : FACT_NONE}, slice_str(caller)},
	    {{.kind = uid ? FACT_UID : FACT_NONE}, slice_str(uid)},
	};
	struct sample_call call;
	struct rng rng;
	struct err err;

	explanation_fini(&e);
	rng_init(&rng, 1);
	ck_assert_msg(
	    sample_call_init(&call, snapshot->config,
		snapshot_listener(snapshot, slice_str(listener)), list, ARRAY_LEN(list), &err) == 0,
	    "%s", err.text);
	explanation_init(&e, snapshot, &call.facts, &rng, now);
}

static const struct explained_value *value_of(const char *name)
{
	for (size_t i = 0; i < e.n_values; i++)
		if (strcmp(e.values[i].name, name) == 0)
			return &e.values[i];
	return NULL;
}

static void must_be(const char *name, const char *value, const char *from)
{
	const struct explained_value *v = value_of(name);

	ck_assert_msg(v != NULL, "%s is not there", name);
	ck_assert_str_eq(v->value, value);
	if (from == NULL)
		ck_assert_ptr_null(v->from);
	else
		ck_assert_msg(v->from && strstr(v->from, from), "%s is from %s", name, v->from);
}

/* ---- rules and policy ---- */

START_TEST(every_rule_is_told_in_the_order_in_which_it_was_tried)
{
	explain("tcp", "price", "shop.cart", NULL, 0);
	ck_assert_uint_eq(e.n_rules, 3);
	ck_assert_str_eq(e.rules[0].at, "listeners[1]");
	ck_assert(e.rules[0].matched);
	ck_assert_str_eq(e.rules[1].at, "services.price.routes[0]");
	ck_assert(!e.rules[1].matched);
	ck_assert_str_eq(e.rules[1].why, "caller is \"shop.cart\", not \"shop.web\"");
	ck_assert_str_eq(e.rules[2].at, "services.price.routes[1]");
	ck_assert(e.rules[2].matched);
	ck_assert_str_eq(e.rules[2].why, "caller = \"shop.cart\"");
	ck_assert_int_eq(explanation_reason(&e), REASON_OK);
}
END_TEST

START_TEST(each_value_of_the_policy_says_where_it_is_from)
{
	explain("tcp", "price", "shop.web", NULL, 0);
	must_be("timeout.call", "7s", ":16");
	must_be("timeout.connect", "100ms", ":2");
	must_be("timeout.default", "30s", NULL);
	must_be("retry.type", "failure", NULL);
}
END_TEST

START_TEST(limits_and_breakers_are_told_by_where_they_stand)
{
	explain("tcp", "price", "shop.cart", NULL, 0);
	must_be("services.price.limit.rate", "10/s", ":13");
	must_be("services.price.breaker.error_rate", "40%", ":14");
	must_be("services.price.breaker.min_samples", "200", NULL);
	must_be("services.price.routes[1].policy.limit.rate", "1/s", ":17");
	ck_assert_ptr_null(value_of("defaults.limit.concurrency")); /* price has its own */
	explain("tcp", "local", NULL, NULL, 0);
	must_be("defaults.limit.concurrency", "9", ":2");
}
END_TEST

START_TEST(a_call_that_goes_nowhere_has_no_policy_and_no_candidates)
{
	explain("tcp", "nobody", NULL, NULL, 0);
	ck_assert_int_eq(explanation_reason(&e), REASON_NO_ROUTE);
	ck_assert_uint_eq(e.n_values, 0);
	ck_assert_uint_eq(e.n_candidates, 0);
	ck_assert_ptr_null(e.pick);
	ck_assert_uint_eq(e.n_rules, 1);
	ck_assert(!e.rules[0].matched);
}
END_TEST

START_TEST(a_name_that_nobody_has_resolved_is_one_endpoint)
{
	explain("tcp", "empty", NULL, NULL, 0);
	ck_assert_ptr_nonnull(e.pick);
	ck_assert_str_eq(e.pick->address.text, "name-of-a-host:9000");
}
END_TEST

/* ---- callers ---- */

START_TEST(the_caller_is_who_the_listener_says_it_is)
{
	explain("ours", "price", "shop.cart", NULL, 0); /* caller: node, whatever it says */
	ck_assert(e.decision.route == &e.decision.service->config->routes[0]);
	explain("out", "price", NULL, NULL, 0); /* a unix socket, and nothing said */
	ck_assert(e.decision.route == &e.decision.service->config->routes[0]);
	explain("out", "price", "shop.cart", NULL, 0);
	ck_assert(e.decision.route == &e.decision.service->config->routes[1]);
	explain("tcp", "price", NULL, NULL, 0);
	ck_assert_ptr_null(e.decision.route);
	explain("uids", "price", "shop.web", "1000", 0); /* by its uid alone */
	ck_assert(e.decision.route == &e.decision.service->config->routes[1]);
	explain("uids", "price", "shop.web", "1001", 0);
	ck_assert_ptr_null(e.decision.route);
}
END_TEST

/* ---- candidates ---- */

static struct endpoint_tally *tally_of(size_t endpoint)
{
	const struct service *s = e.decision.service;

	return s->endpoint_tallies[endpoint];
}

static void throw_out(size_t endpoint, usec_t until)
{
	atomic_store(&tally_of(endpoint)->ejected_until, until);
	atomic_fetch_add(&tally_of(endpoint)->service->troubles, 1);
}

START_TEST(candidates_that_are_out_are_told_with_the_reason)
{
	const usec_t now = 100 * USEC_S;

	explain("tcp", "price", NULL, NULL, now);
	throw_out(1, now + USEC_S);
	endpoint_tally_set_health(tally_of(3), HEALTH_DOWN);
	explain("tcp", "price", NULL, NULL, now);
	ck_assert_uint_eq(e.n_candidates, 4);
	ck_assert_ptr_null(e.candidates[0].why_not);
	ck_assert_str_eq(e.candidates[1].why_not, "ejected");
	ck_assert_ptr_null(e.candidates[2].why_not);
	ck_assert_str_eq(e.candidates[3].why_not, "down");
	ck_assert(!e.is_panic);
	ck_assert_ptr_ne(e.pick, &e.decision.service->endpoints[1]);
	ck_assert_ptr_ne(e.pick, &e.decision.service->endpoints[3]);
	explain("tcp", "price", NULL, NULL, now + 2 * USEC_S); /* the ejection is over */
	ck_assert_ptr_null(e.candidates[1].why_not);
}
END_TEST

START_TEST(when_too_many_are_out_none_is_left_out)
{
	const usec_t now = 100 * USEC_S;

	explain("tcp", "price", NULL, NULL, now);
	for (size_t i = 0; i < 3; i++)
		throw_out(i, now + USEC_S);
	explain("tcp", "price", NULL, NULL, now);
	ck_assert(e.is_panic);
	ck_assert_ptr_nonnull(e.pick);
}
END_TEST

/* ---- questions ---- */

static char *answer(const char *const pairs[][2], size_t n, struct err *err)
{
	struct explain_ask ask;
	char *json = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&json, &len);
	int rc = 0;

	explain_ask_init(&ask);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = explain_ask_add(&ask, slice_str(pairs[i][0]), slice_str(pairs[i][1]), err);
	if (rc == 0)
		rc = explain_ask_answer(&ask, snapshot, 0, to, err);
	explain_ask_fini(&ask);
	fclose(to);
	if (rc == 0)
		return json;
	free(json);
	return NULL;
}

START_TEST(a_question_is_names_and_values)
{
	static const char *const pairs[][2] = {
	    {"call", "price/Get"}, {"listener", "tcp"}, {"caller", "shop.web"}, {"seed", "5"}};
	struct err err;
	char *json = answer(pairs, ARRAY_LEN(pairs), &err);

	ck_assert_ptr_nonnull(json);
	ck_assert_ptr_nonnull(strstr(json, "\"call\": \"price/Get\""));
	ck_assert_ptr_nonnull(strstr(json, "\"listener\": \"tcp\""));
	ck_assert_ptr_nonnull(strstr(json, "\"route\": \"services.price.routes[0]\""));
	ck_assert_uint_eq(json[strlen(json) - 1], '\n');
	free(json);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_answer)
{
	static const char *const pairs[][2] = {{"call", "price/Get"}, {"seed", "77"}};
	struct err err;
	char *first = answer(pairs, 2, &err), *second = answer(pairs, 2, &err);

	ck_assert_str_eq(first, second);
	free(first);
	free(second);
}
END_TEST

static void must_be_refused(const char *const pairs[][2], size_t n, const char *why)
{
	struct err err;

	ck_assert_ptr_null(answer(pairs, n, &err));
	ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
}

START_TEST(a_question_that_makes_no_sense_is_refused)
{
	static const char *const no_call[][2] = {{"caller", "x"}},
				 *const no_method[][2] = {{"call", "x/"}},
				 *const no_slash[][2] = {{"call", "x"}},
				 *const two[][2] = {{"call", "a/B"}, {"call", "a/C"}},
				 *const nobody[][2] = {{"call", "a/B"}, {"listener", "nobody"}},
				 *const unknown[][2] = {{"call", "a/B"}, {"colour", "blue"}},
				 *const source[][2] = {{"call", "a/B"}, {"source", "10.0.0.1:80"}};

	must_be_refused(no_call, 1, "which call");
	must_be_refused(no_method, 1, "SERVICE/METHOD");
	must_be_refused(no_slash, 1, "SERVICE/METHOD");
	must_be_refused(two, 2, "one call");
	must_be_refused(nobody, 2, "no listener nobody");
	must_be_refused(unknown, 2, "colour");
	must_be_refused(source, 2, "no IP address");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {every_rule_is_told_in_the_order_in_which_it_was_tried, 1},
	    {each_value_of_the_policy_says_where_it_is_from, 1},
	    {limits_and_breakers_are_told_by_where_they_stand, 1},
	    {a_call_that_goes_nowhere_has_no_policy_and_no_candidates, 1},
	    {a_name_that_nobody_has_resolved_is_one_endpoint, 1},
	    {the_caller_is_who_the_listener_says_it_is, 1},
	    {candidates_that_are_out_are_told_with_the_reason, 1},
	    {when_too_many_are_out_none_is_left_out, 1},
	    {a_question_is_names_and_values, 1},
	    {the_same_seed_gives_the_same_answer, 1},
	    {a_question_that_makes_no_sense_is_refused, 1},
	};

	return suite_run_between("explain", tests, ARRAY_LEN(tests), begin, end);
}
