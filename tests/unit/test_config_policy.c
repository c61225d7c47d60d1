#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "support/loaded.h"
#include "support/suite.h"

#define LISTENER "listeners: [{address: \"127.0.0.1:0\"}]\n"

static const struct service_config *service_of(const struct loaded *l, const char *label)
{
	const struct service_config *service = config_service(loaded_config(l), slice_str(label));

	ck_assert_ptr_nonnull(service);
	return service;
}

static const struct policy *method_of(const struct service_config *service, const char *name)
{
	for (size_t i = 0; i < service->n_methods; i++)
		if (strcmp(service->methods[i].name, name) == 0)
			return &service->methods[i].policy;
	ck_abort_msg("no method %s", name);
}

/* One service with these keys. */
static struct loaded with_keys(const char *keys)
{
	char text[2000];

	snprintf(text, sizeof text, LISTENER "services: {a: {endpoints: [\"127.0.0.1:1\"], %s}}\n",
	    keys);
	return loaded_from(text);
}

START_TEST(policy_has_the_documented_defaults)
{
	struct loaded l = with_keys("name: a");
	const struct policy *p = &service_of(&l, "a")->policy;

	ck_assert_int_eq((int)p->retry.type, RETRY_FAILURE);
	ck_assert_uint_eq(retry_attempts(&p->retry), 2);
	ck_assert_uint_eq(p->retry.on, RETRY_ON_CONNECT | RETRY_ON_UNSENT);
	ck_assert(p->retry.delay == USEC_NONE && p->retry.duration == USEC_NONE);
	ck_assert_int_eq((int)p->retry.backoff.kind, BACKOFF_NONE);
	ck_assert_double_eq_tol(p->retry.budget, 0.2, 1e-9);
	ck_assert(!p->retry.same_endpoint && !p->retry.goes_on_in_chain && !p->retry.is_unsafe);
	ck_assert_uint_eq(
	    p->eject.on, EJECT_ON_CONNECT | EJECT_ON_RESET | EJECT_ON_TIMEOUT | EJECT_ON_BAD_REPLY);
	ck_assert_uint_eq(p->eject.consecutive, 5);
	ck_assert_uint_eq(p->eject.time, 10 * USEC_S);
	ck_assert_double_eq_tol(p->eject.at_most, 0.3, 1e-9);
	ck_assert_int_eq((int)p->health.type, HEALTH_NONE);
	ck_assert_ptr_null(p->health.method);
	ck_assert_uint_eq(p->health.interval, 5 * USEC_S);
	ck_assert_uint_eq(p->health.timeout, USEC_S);
	ck_assert_uint_eq(p->health.rise, 2);
	ck_assert_uint_eq(p->health.fall, 3);
	ck_assert_uint_eq(p->pool_connections, UINT32_MAX);
	ck_assert_uint_eq(p->pool_warm, 0);
	ck_assert_uint_eq(p->fallback_on, 0);
	ck_assert_ptr_null(p->fallback);
	ck_assert(p->degrade == 0);
	for (int level = 0; level < LEVELS; level++)
		ck_assert(!p->limits[level] && !p->breakers[level] && !p->acls[level]);
	ck_assert(!p->is_idempotent);
	loaded_free(&l);
}
END_TEST

START_TEST(balance_has_the_documented_defaults)
{
	struct loaded l = with_keys("name: a");
	const struct balance_config *b = &service_of(&l, "a")->balance;

	ck_assert_int_eq((int)b->type, LB_WEIGHTED_ROUND_ROBIN);
	ck_assert_int_eq((int)b->key.kind, FACT_NONE);
	ck_assert_uint_eq(b->virtual_nodes, 100);
	ck_assert_uint_eq(b->choices, 2);
	ck_assert(b->slow_start == USEC_NONE);
	ck_assert_int_eq((int)b->zone, ZONE_ANY);
	ck_assert_double_eq_tol(b->panic, 0.5, 1e-9);
	loaded_free(&l);
}
END_TEST

START_TEST(every_balancer_has_its_word)
{
	static const char *const words[LB_TYPES] = {"weighted_round_robin",
	    "interleaved_weighted_round_robin", "weighted_random", "round_robin", "random",
	    "least_request", "peak_ewma", "consistent_hash", "maglev", "closest",
	    "network_quality"};

	for (int type = 0; type < LB_TYPES; type++) {
		char text[500];
		struct loaded l;

		snprintf(text, sizeof text,
		    "node: {location: {latitude: 1, longitude: 2}}\n" LISTENER
		    "services: {a: {endpoints: [\"127.0.0.1:1\"], balance: %s}}\n",
		    words[type]);
		l = loaded_from(text);
		ck_assert_int_eq((int)service_of(&l, "a")->balance.type, type);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(short_form_is_the_first_key_of_the_map)
{
	struct loaded l = with_keys("eject: [reset], health: tcp, retry: none, breaker: {}, "
				    "methods: {Get: {eject: none, retry: {backoff: 20ms}}}");
	const struct service_config *a = service_of(&l, "a");

	ck_assert_uint_eq(a->policy.eject.on, EJECT_ON_RESET);
	ck_assert_uint_eq(a->policy.eject.consecutive, 5);
	ck_assert_int_eq((int)a->policy.health.type, HEALTH_TCP);
	ck_assert_int_eq((int)a->policy.retry.type, RETRY_NONE);
	ck_assert_uint_eq(a->policy.breakers[LEVEL_SERVICE]->policy.min_samples, 200);
	ck_assert_uint_eq(method_of(a, "Get")->eject.on, 0);
	ck_assert_int_eq((int)method_of(a, "Get")->retry.backoff.kind, BACKOFF_FIXED);
	loaded_free(&l);
}
END_TEST

START_TEST(retry_on_takes_words_and_numbers)
{
	struct loaded l = with_keys(
	    "retry: {unsafe: true, on: [unsent, reset, timeout, overload, \"exception:6,7\", "
	    "\"exception:20\", \"biz:-5\", \"grpc:4,14\"]}");
	const struct retry_policy *r = &service_of(&l, "a")->policy.retry;

	ck_assert_uint_eq(
	    r->on, RETRY_ON_UNSENT | RETRY_ON_RESET | RETRY_ON_TIMEOUT | RETRY_ON_OVERLOAD);
	ck_assert_uint_eq(r->exceptions.n, 3);
	ck_assert_int_eq(r->exceptions.list[0], 6);
	ck_assert_int_eq(r->exceptions.list[2], 20);
	ck_assert_uint_eq(r->biz.n, 1);
	ck_assert_int_eq(r->biz.list[0], -5);
	ck_assert_uint_eq(r->grpc.n, 2);
	ck_assert_int_eq(r->grpc.list[1], 14);
	loaded_free(&l);
}
END_TEST

START_TEST(list_of_failures_replaces_the_one_above)
{
	struct loaded l = loaded_from(
	    LISTENER "defaults: {retry: {unsafe: true, on: [reset, \"biz:1\"]}}\n"
		     "services: {a: {endpoints: [\"127.0.0.1:1\"], retry: {on: [connect]}}}\n");
	const struct retry_policy *r = &service_of(&l, "a")->policy.retry;

	ck_assert_uint_eq(r->on, RETRY_ON_CONNECT);
	ck_assert_uint_eq(r->biz.n, 0);
	loaded_free(&l);
}
END_TEST

START_TEST(eject_on_takes_codes_of_business_errors)
{
	struct loaded l = with_keys("eject: {on: [reset, \"biz:5003,5004\", \"biz:-7\"]}, "
				    "methods: {Get: {eject: [\"biz:1\"]}, Put: {eject: none}}");
	const struct service_config *a = service_of(&l, "a");
	const struct eject_policy *e = &a->policy.eject;

	ck_assert_uint_eq(e->on, EJECT_ON_RESET | EJECT_ON_BIZ);
	ck_assert_uint_eq(e->biz.n, 3);
	ck_assert(code_list_has(&e->biz, 5004) && code_list_has(&e->biz, -7));
	ck_assert(!code_list_has(&e->biz, 7) && !code_list_has(&e->biz, 0));
	ck_assert_uint_eq(e->consecutive, 5);
	e = &method_of(a, "Get")->eject;
	ck_assert_uint_eq(e->on, EJECT_ON_BIZ);
	ck_assert(e->biz.n == 1 && code_list_has(&e->biz, 1));
	e = &method_of(a, "Put")->eject;
	ck_assert(e->on == 0 && e->biz.n == 0);
	loaded_free(&l);
}
END_TEST

START_TEST(eject_on_without_codes_that_can_be_used_is_refused)
{
	static const struct {
		const char *on, *path, *text, *remedy;
	} rows[] = {
	    {"[\"biz:\"]", "services.a.eject.on[0]", "no numbers", "like biz:5003"},
	    {"[reset, \"biz:1,x\"]", "services.a.eject.on[1]", "no numbers", "biz:5003"},
	    {"[biz]", "services.a.eject.on[0]", "unknown value", "bad_reply, biz:NUMBERS"},
	    {"[\"exception:6\"]", "services.a.eject.on[0]", "unknown value", "biz:NUMBERS"},
	    {"[resett]", "services.a.eject.on[0]", "unknown value", "did you mean \"reset\""},
	    {"[]", "services.a.eject.on", "an empty list", "eject nobody"},
	    {"reset", "services.a.eject.on", "where a list", "[connect, reset, timeout]"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char keys[100];
		struct loaded l;

		snprintf(keys, sizeof keys, "eject: {on: %s}", rows[i].on);
		l = with_keys(keys);
		ck_assert_ptr_null(l.config);
		ck_assert_msg(
		    loaded_says(&l, rows[i].path, rows[i].text, rows[i].remedy), "%s", rows[i].on);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(backoff_has_three_forms)
{
	static const struct {
		const char *text;
		struct backoff due;
	} cases[] = {
	    {"none", {BACKOFF_NONE, 0, 0, 0, 0}},
	    {"20ms", {BACKOFF_FIXED, 20 * USEC_MS, 20 * USEC_MS, 0, 0}},
	    {"{min: 10ms, max: 30ms}", {BACKOFF_RANDOM, 10 * USEC_MS, 30 * USEC_MS, 0, 0}},
	    {"{base: 10ms, max: 1s}", {BACKOFF_EXPONENTIAL, 10 * USEC_MS, USEC_S, 2, 0.2}},
	    {"{base: 10ms, max: 1s, factor: 1.5, jitter: 0%}",
		{BACKOFF_EXPONENTIAL, 10 * USEC_MS, USEC_S, 1.5, 0}},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char keys[200];
		const struct backoff *b;
		struct loaded l;

		snprintf(keys, sizeof keys, "retry: {backoff: %s}", cases[i].text);
		l = with_keys(keys);
		b = &service_of(&l, "a")->policy.retry.backoff;
		ck_assert_int_eq((int)b->kind, (int)cases[i].due.kind);
		ck_assert_uint_eq(b->min, cases[i].due.min);
		ck_assert_uint_eq(b->max, cases[i].due.max);
		ck_assert_double_eq_tol(b->factor, cases[i].due.factor, 1e-9);
		ck_assert_double_eq_tol(b->jitter, cases[i].due.jitter, 1e-9);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(budget_of_none_is_no_bound)
{
	struct loaded l = with_keys("retry: {budget: none}, methods: {Get: {retry: {budget: 0%}}}");
	const struct service_config *a = service_of(&l, "a");

	ck_assert(a->policy.retry.budget < 0);
	ck_assert(method_of(a, "Get")->retry.budget == 0);
	loaded_free(&l);
}
END_TEST

/* JSON is YAML, and has no words but in quotes. */
START_TEST(none_may_stand_in_quotes_where_it_is_no_name)
{
	struct loaded l = with_keys(
	    "\"retry\": {\"budget\": \"none\", \"backoff\": \"none\"}, \"eject\": \"none\","
	    "\"timeout\": {\"default\": \"none\"}, \"limit\": \"none\", \"acl\": \"none\","
	    "\"degrade\": \"none\", \"pool\": {\"connections\": \"none\"}");
	const struct service_config *a = service_of(&l, "a");

	ck_assert(a->policy.retry.budget < 0);
	ck_assert_uint_eq(a->policy.eject.on, 0);
	loaded_free(&l);
}
END_TEST

START_TEST(burst_is_a_tenth_of_a_second)
{
	static const struct {
		const char *rate;
		unsigned burst;
	} cases[] = {{"1/h", 1}, {"9/s", 1}, {"10/s", 1}, {"20/s", 2}, {"1005/s", 100},
	    {"600/m", 1}, {"6000/m", 10}, {"4294967294/s", 429496729}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char keys[200];
		struct loaded l;

		snprintf(keys, sizeof keys, "limit: {rate: %s}", cases[i].rate);
		l = with_keys(keys);
		ck_assert_uint_eq(
		    service_of(&l, "a")->policy.limits[LEVEL_SERVICE]->burst, cases[i].burst);
		loaded_free(&l);
	}
}
END_TEST

static const char levels_text[] = LISTENER
    "defaults: {limit: {rate: 1/s}, breaker: {min_samples: 10}, acl: [{deny: {caller: x}}]}\n"
    "services:\n"
    "  plain: {endpoints: [\"127.0.0.1:1\"]}\n"
    "  own:\n"
    "    endpoints: [\"127.0.0.1:2\"]\n"
    "    limit: {rate: 2/s}\n"
    "    breaker: {}\n"
    "    acl: [{allow: {caller: y}}, {deny: {}}]\n"
    "    methods:\n"
    "      Both: {limit: {concurrency: 3}, acl: [{allow: {}}]}\n"
    "      Open: {limit: none, breaker: none, acl: none}\n"
    "      Same: {pool: {keep: 1}}\n"
    "  free: {endpoints: [\"127.0.0.1:3\"], limit: none, breaker: none, acl: none}\n";

START_TEST(limits_stand_at_their_level)
{
	struct loaded l = loaded_from(levels_text);
	const struct config *config = loaded_config(&l);
	const struct policy *plain = &service_of(&l, "plain")->policy;
	const struct policy *own = &service_of(&l, "own")->policy;
	const struct policy *both = method_of(service_of(&l, "own"), "Both");

	ck_assert_str_eq(config->defaults.limits[LEVEL_DEFAULTS]->at, "defaults.limit");
	/* without one of its own a service has that of defaults */
	ck_assert_ptr_eq(plain->limits[LEVEL_DEFAULTS], config->defaults.limits[LEVEL_DEFAULTS]);
	ck_assert_ptr_null(plain->limits[LEVEL_SERVICE]);
	ck_assert_ptr_eq(plain->acls[LEVEL_DEFAULTS], config->defaults.acls[LEVEL_DEFAULTS]);
	/* with one it has not; an ACL is read in addition */
	ck_assert_ptr_null(own->limits[LEVEL_DEFAULTS]);
	ck_assert_ptr_null(own->breakers[LEVEL_DEFAULTS]);
	ck_assert_uint_eq(own->limits[LEVEL_SERVICE]->rate.count, 2);
	ck_assert_str_eq(own->limits[LEVEL_SERVICE]->at, "services.own.limit");
	ck_assert_str_eq(own->breakers[LEVEL_SERVICE]->at, "services.own.breaker");
	ck_assert_uint_eq(own->acls[LEVEL_SERVICE]->n, 2);
	ck_assert_str_eq(own->acls[LEVEL_SERVICE]->rules[1].at, "services.own.acl[1]");
	ck_assert_ptr_nonnull(own->acls[LEVEL_DEFAULTS]);
	/* a method's counts in addition, and is not merged with what is above */
	ck_assert_ptr_eq(both->limits[LEVEL_SERVICE], own->limits[LEVEL_SERVICE]);
	ck_assert(!both->limits[LEVEL_METHOD]->has_rate);
	ck_assert_uint_eq(both->limits[LEVEL_METHOD]->concurrency, 3);
	ck_assert_str_eq(both->limits[LEVEL_METHOD]->at, "services.own.methods.Both.limit");
	ck_assert(both->acls[LEVEL_METHOD]->rules[0].is_allow);
	ck_assert_ptr_eq(method_of(service_of(&l, "own"), "Same")->limits[LEVEL_SERVICE],
	    own->limits[LEVEL_SERVICE]);
	loaded_free(&l);
}
END_TEST

START_TEST(none_lifts_what_is_above_as_well)
{
	struct loaded l = loaded_from(levels_text);
	const struct policy *open = method_of(service_of(&l, "own"), "Open");
	const struct policy *free_one = &service_of(&l, "free")->policy;

	for (int level = 0; level < LEVELS; level++) {
		ck_assert(!open->limits[level] && !open->breakers[level] && !open->acls[level]);
		ck_assert(!free_one->limits[level] && !free_one->breakers[level] &&
			  !free_one->acls[level]);
	}
	loaded_free(&l);
}
END_TEST

START_TEST(policies_are_numbered_and_know_whose_they_are)
{
	struct loaded l = loaded_from(levels_text);
	const struct config *config = loaded_config(&l);

	ck_assert_uint_eq(config->n_policies, 1 + 3 + 3);
	for (size_t i = 0; i < config->n_policies; i++)
		ck_assert_uint_eq(config->policies[i]->index, i);
	ck_assert_ptr_eq(config->policies[0], &config->defaults);
	ck_assert_ptr_null(config->policies[0]->service);
	ck_assert_ptr_eq(service_of(&l, "own")->policy.service, service_of(&l, "own"));
	ck_assert_str_eq(method_of(service_of(&l, "own"), "Both")->method, "Both");
	loaded_free(&l);
}
END_TEST

START_TEST(idempotent_is_not_inherited)
{
	struct loaded l = with_keys("methods: {Get: {idempotent: true}, \"*\": {}}");
	const struct service_config *a = service_of(&l, "a");

	ck_assert(method_of(a, "Get")->is_idempotent);
	ck_assert(!method_of(a, "*")->is_idempotent && !a->policy.is_idempotent);
	loaded_free(&l);
}
END_TEST

START_TEST(what_may_run_twice_needs_a_word)
{
	static const struct {
		const char *keys;
		bool fine;
	} cases[] = {
	    {"retry: {on: [connect, unsent]}", true},
	    {"retry: {on: [reset]}", false},
	    {"retry: {on: [reset], type: none}", true},
	    {"retry: {on: [reset], unsafe: true}", true},
	    {"retry: {on: [reset]}, methods: {Get: {idempotent: true}}", false},
	    {"retry: {on: [reset]}, methods: {\"*\": {idempotent: true}}", true},
	    {"retry: {on: [reset]}, methods: {\"*\": {idempotent: true}, Put: {}}", false},
	    {"retry: {on: [reset]}, methods: {\"*\": {idempotent: true}, Put: {retry: none}}",
		true},
	    {"retry: {on: [\"grpc:14\"]}", false},
	    {"retry: {type: backup, delay: 1ms}", false},
	    {"retry: {type: mixed, delay: 1ms}", false},
	    {"retry: fork", false},
	    {"retry: broadcast", false},
	    {"methods: {Get: {idempotent: true, retry: {type: backup, delay: 1ms}}}", true},
	    {"methods: {Get: {retry: {type: backup, delay: 1ms}}}", false},
	    {"methods: {Get: {retry: {type: backup, delay: 1ms, unsafe: true}}}", true},
	    {"methods: {Get: {idempotent: true, retry: {type: backup}}}", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l = with_keys(cases[i].keys);

		ck_assert_msg((l.config != NULL) == cases[i].fine, "%s", cases[i].keys);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(attempts_are_bounded_by_type)
{
	static const struct {
		const char *type;
		unsigned most;
	} cases[] = {{"failure", 5}, {"backup, delay: 1ms", 2}, {"mixed, delay: 1ms", 3}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (unsigned more = 0; more < 2; more++) {
			char keys[200];
			struct loaded l;

			snprintf(keys, sizeof keys, "retry: {unsafe: true, attempts: %u, type: %s}",
			    cases[i].most + more, cases[i].type);
			l = with_keys(keys);
			ck_assert_msg((l.config == NULL) == (more > 0), "%s", keys);
			if (more)
				ck_assert(loaded_says(&l, "services.a.retry.attempts",
				    i ? "too many" : "out of range", NULL));
			loaded_free(&l);
		}
}
END_TEST

START_TEST(fallback_may_lead_forth_in_the_file)
{
	struct loaded l =
	    loaded_from("defaults: {fallback: {on: [breaker], to: {service: z}}}\n" LISTENER
			"services: {a: {endpoints: [\"127.0.0.1:1\"]}, z: {endpoints: "
			"[\"127.0.0.1:2\"], fallback: none}}\n");
	const struct service_config *z = service_of(&l, "z");

	ck_assert_ptr_eq(service_of(&l, "a")->policy.fallback, z);
	ck_assert_uint_eq(service_of(&l, "a")->policy.fallback_on, FALLBACK_ON_BREAKER);
	ck_assert_uint_eq(z->policy.fallback_on, 0);
	loaded_free(&l);
}
END_TEST

START_TEST(policy_of_one_call_can_be_shown)
{
	struct loaded l =
	    loaded_from("defaults: {timeout: {call: 3s}, acl: [{deny: {caller: x}}]}\n" LISTENER
			"services: {a: {endpoints: [\"127.0.0.1:1\"], limit: {rate: 9/s},\n"
			"  methods: {Get: {timeout: {attempt: 1s}, limit: {rate: 1/s}}}}}\n");
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(to);
	config_dump_policy(loaded_config(&l), method_of(service_of(&l, "a"), "Get"), to);
	ck_assert_int_eq(fclose(to), 0);
	ck_assert_ptr_nonnull(strstr(text, "timeout.connect: 250ms  # default\n"));
	ck_assert_ptr_nonnull(strstr(text, "timeout.call: 3s  # test.yaml:1\n"));
	ck_assert_ptr_nonnull(strstr(text, "timeout.attempt: 1s  # test.yaml:4\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nbreaker: none\n"));
	ck_assert_ptr_nonnull(
	    strstr(text, "\nlimit: services.a.methods.Get.limit, services.a.limit\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nacl: defaults.acl\n"));
	free(text);
	loaded_free(&l);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    policy_has_the_documented_defaults,
	    balance_has_the_documented_defaults,
	    every_balancer_has_its_word,
	    short_form_is_the_first_key_of_the_map,
	    retry_on_takes_words_and_numbers,
	    list_of_failures_replaces_the_one_above,
	    eject_on_takes_codes_of_business_errors,
	    eject_on_without_codes_that_can_be_used_is_refused,
	    backoff_has_three_forms,
	    budget_of_none_is_no_bound,
	    none_may_stand_in_quotes_where_it_is_no_name,
	    burst_is_a_tenth_of_a_second,
	    limits_stand_at_their_level,
	    none_lifts_what_is_above_as_well,
	    policies_are_numbered_and_know_whose_they_are,
	    idempotent_is_not_inherited,
	    what_may_run_twice_needs_a_word,
	    attempts_are_bounded_by_type,
	    fallback_may_lead_forth_in_the_file,
	    policy_of_one_call_can_be_shown,
	};

	return suite_run("config_policy", tests, ARRAY_LEN(tests));
}
