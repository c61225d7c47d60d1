#include "model/config_tests.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/config_bind.h"
#include "model/explain.h"
#include "model/file_snapshot.h"
#include "model/sample_call.h"

/* Chance is the same at each run: a file that is good stays good. */
#define SEED 1u

struct run {
	const struct config *config;
	const struct snapshot *snapshot;
	struct problems *problems;
	struct arena *arena; /* of one test */
	const struct test_config *test;
	const struct explanation *e;
	const struct call_facts *facts; /* of its call */
	bool is_failed;
};

/* All that the test says of its call, as one list. */
static const struct fact_value *list_facts(const struct run *r, size_t *n)
{
	const struct test_config *t = r->test;
	const struct {
		enum fact_kind kind;
		struct slice value;
	} own[] = {
	    {FACT_SERVICE, t->service},
	    {FACT_IDL_SERVICE, t->idl_service},
	    {FACT_METHOD, t->method},
	    {FACT_CALLER, t->caller},
	    {FACT_CALLER_METHOD, t->caller_method},
	    {FACT_SOURCE, t->source},
	};
	struct fact_value *list = arena_calloc(r->arena, ARRAY_LEN(own) + t->n_facts, sizeof *list);

	*n = 0;
	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		if (own[i].value.len == 0)
			continue;
		list[*n].key.kind = own[i].kind;
		list[(*n)++].value = own[i].value;
	}
	for (size_t i = 0; i < t->n_facts; i++)
		list[(*n)++] = t->facts[i];
	return list;
}

static struct place place_of(const struct run *r)
{
	return origin_place(r->config, r->test, NULL);
}

/* The rules that were tried, one a line. They are printed as a remedy is, whose first line is
 * indented. */
static const char *list_rules(const struct run *r)
{
	const char *list = "";

	for (size_t i = 0; i < r->e->n_rules; i++) {
		const struct explained_rule *rule = &r->e->rules[i];

		list = arena_printf(r->arena, "%s\n%s%s %s: %s", list, i ? "    " : "",
		    rule->matched ? "+" : "-", rule->at, rule->why);
	}
	return list;
}

static void fail(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The first thing that is wrong is said; what follows from it is not. */
static void fail(struct run *r, const char *format, ...)
{
	const struct test_config *t = r->test;
	char what[512];
	va_list args;

	if (r->is_failed)
		return;
	r->is_failed = true;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	problems_error(r->problems, place_of(r), t->at, "call %.*s/%.*s: %s%s", (int)t->service.len,
	    (const char *)t->service.data, (int)t->method.len, (const char *)t->method.data, what,
	    r->e ? list_rules(r) : "");
}

/* "no service" for what is not there. */
static const char *or_none(const struct run *r, const char *what, const char *name)
{
	return name && *name ? arena_printf(r->arena, "%s \"%s\"", what, name)
			     : arena_printf(r->arena, "no %s", what);
}

static void expect_name(struct run *r, const char *what, const char *wanted, const char *found)
{
	if (wanted == NULL || strcmp(wanted, found ? found : "") == 0)
		return;
	fail(r, "expected %s, came to %s", or_none(r, what, wanted), or_none(r, what, found));
}

static void expect_route(struct run *r)
{
	const struct route_config *route = r->e->decision.route;
	const char *wanted = r->test->route;

	if (wanted && route && strcmp(wanted, route->at) == 0)
		return;
	expect_name(r, "route", wanted,
	    route == NULL ? NULL
	    : route->name ? route->name
			  : route->at);
}

static void expect_reason(struct run *r)
{
	enum reason found = explanation_reason(r->e);

	if (!r->test->has_reason || r->test->reason == found)
		return;
	fail(r, "expected the reason %s, came to %s: %s", reason_name(r->test->reason),
	    reason_name(found), explanation_why(r->e));
}

static const char *print_time(const struct run *r, usec_t time)
{
	if (time == USEC_NONE)
		return "none";
	if (time % USEC_S == 0)
		return arena_printf(r->arena, "%" PRIu64 "s", (uint64_t)(time / USEC_S));
	if (time % USEC_MS)
		return arena_printf(r->arena, "%" PRIu64 "us", (uint64_t)time);
	return arena_printf(r->arena, "%" PRIu64 "ms", (uint64_t)(time / USEC_MS));
}

static void expect_policy(struct run *r)
{
	const struct policy *p = r->e->decision.policy;
	const struct test_config *t = r->test;
	usec_t time;
	unsigned attempts;

	if (p == NULL)
		return;
	time = p->timeout_call != USEC_NONE ? p->timeout_call : p->timeout_default;
	if (t->timeout != USEC_NONE && t->timeout != time)
		fail(r, "expected a timeout of %s, came to %s", print_time(r, t->timeout),
		    print_time(r, time));
	attempts = 1 + retry_attempts(&p->retry);
	if (t->attempts && t->attempts != attempts)
		fail(r, "expected %u attempts in all, came to %u", t->attempts, attempts);
}

static void expect_tags(struct run *r)
{
	const struct route_decision *d = &r->e->decision;
	const struct config_map *wanted = &r->test->endpoint_tags;

	if (wanted->n && (d->group == NULL || d->group->n == 0))
		fail(r, "expected endpoints with tags, came to none: %s", d->why);
	for (size_t i = 0; d->group && i < wanted->n * d->group->n; i++) {
		const struct endpoint *e = &d->service->endpoints[d->group->members[i / wanted->n]];
		const struct config_pair *tag = &wanted->pairs[i % wanted->n];
		const char *found = config_map_get(&e->tags, tag->name);

		if (strcmp(found, tag->value) != 0)
			fail(r,
			    "expected endpoints with the tag %s \"%s\", among them is %s with %s",
			    tag->name, tag->value, e->address.text, or_none(r, tag->name, found));
	}
}

static void expect_facts(struct run *r)
{
	const struct test_config *t = r->test;

	for (size_t i = 0; i < t->n_expected; i++) {
		const struct fact_value *wanted = &t->expected[i];
		const char *name = arena_str(r->arena, wanted->key.text);
		char room[FACT_ROOM];
		struct slice found = SLICE_NONE;

		if (!explanation_fact(r->e, r->facts, &wanted->key, room, &found))
			found = SLICE_NONE;
		if (!slice_eq(found, wanted->value))
			fail(r, "expected %s, came to %s",
			    or_none(r, name, arena_str(r->arena, wanted->value)),
			    or_none(r, name, arena_str(r->arena, found)));
	}
}

static void check(struct run *r)
{
	const struct route_decision *d = &r->e->decision;

	expect_reason(r);
	expect_name(
	    r, "service", r->test->service_label, d->service ? d->service->config->label : NULL);
	expect_route(r);
	expect_name(r, "subset", r->test->subset,
	    d->group && d->group->name.len ? arena_str(r->arena, d->group->name) : NULL);
	expect_tags(r);
	expect_policy(r);
	expect_facts(r);
}

static bool run_test(struct run *r)
{
	struct explanation explanation;
	struct sample_call call;
	struct rng rng;
	struct err err;
	size_t n;
	const struct fact_value *facts = list_facts(r, &n);

	r->is_failed = false;
	r->e = NULL;
	if (sample_call_init(&call, r->config, r->test->listener, facts, n, &err) < 0) {
		fail(r, "%s", err.text);
		return false;
	}
	rng_init(&rng, SEED);
	explanation_init(&explanation, r->snapshot, &call.facts, &rng, 0);
	r->e = &explanation;
	r->facts = &call.facts;
	check(r);
	explanation_fini(&explanation);
	return !r->is_failed;
}

static size_t run_all(const struct config *config, struct problems *problems)
{
	struct run run = {.config = config, .problems = problems};
	struct snapshot *snapshot = file_snapshot_new(config);
	size_t failed = 0;

	run.snapshot = snapshot;
	for (size_t i = 0; i < config->n_tests; i++) {
		struct arena arena;

		arena_init(&arena, NULL, 0);
		run.arena = &arena;
		run.test = &config->tests[i];
		failed += !run_test(&run);
		arena_fini(&arena);
	}
	file_snapshot_free(&snapshot);
	return failed;
}

/* With the names that tests call and "*" stands for as services, as if they had been found. */
static struct config *with_names(const struct config *config, struct problems *problems)
{
	struct config_additions with = {0};
	struct slice *names = mem_calloc(config->n_tests, sizeof *names);
	struct config *derived;

	for (size_t i = 0; i < config->n_tests; i++)
		if (config->tests[i].service.len)
			names[with.n_names++] = config->tests[i].service;
	with.names = names;
	derived = config_derive(config, &with, problems);
	free(names);
	return derived;
}

size_t config_tests_run(const struct config *config, struct problems *problems)
{
	struct config *derived = NULL;
	size_t failed;

	if (config->n_tests == 0)
		return 0;
	if (config->any)
		derived = with_names(config, problems);
	failed = run_all(derived ? derived : config, problems);
	config_free(&derived);
	return failed;
}
