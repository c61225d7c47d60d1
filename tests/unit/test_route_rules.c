/* Routes, ACLs, degrade, faults, subsets, splits and hashes: what a file says of them is what
 * happens. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/file_snapshot.h"
#include "model/sample_call.h"
#include "support/loaded.h"
#include "support/suite.h"

#define HEAD                                                                                       \
	"listeners:\n"                                                                             \
	"  - {name: out, address: 127.0.0.1:0}\n"                                                  \
	"services:\n"

static struct loaded loaded;
static struct snapshot *snapshot;
static struct rng rng;
static struct arena arena;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
	rng_init(&rng, 3);
	snapshot = NULL;
}

static void end(void)
{
	if (snapshot)
		file_snapshot_free(&snapshot);
	loaded_free(&loaded);
	arena_fini(&arena);
}

static void world(const char *services)
{
	loaded = loaded_from(arena_printf(&arena, HEAD "%s", services));
	snapshot = file_snapshot_new(loaded_config(&loaded));
}

/* "service=a method=Get meta.env=gray" */
static struct route_decision decide(const char *call)
{
	struct fact_value list[16];
	struct sample_call sample;
	char *text = arena_str(&arena, slice_str(call)), *rest, *value;
	struct err err;
	size_t n = 0;

	for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		value = strchr(word, '=');
		*value++ = '\0';
		ck_assert_ptr_null(fact_key_parse(&list[n].key, slice_str(word), &arena));
		list[n++].value = slice_str(value);
	}
	ck_assert_msg(
	    sample_call_init(&sample, snapshot->config, NULL, list, n, &err) == 0, "%s", err.text);
	return route_decide(snapshot, &sample.facts, &rng, NULL);
}

/* @route: its number, -1: none. */
static void must_take(const char *call, int route)
{
	const struct route_config *taken = decide(call).route;
	int found = taken ? (int)(taken - snapshot->config->services[0]->routes) : -1;

	ck_assert_msg(found == route, "%s: takes %s", call, taken ? taken->at : "none");
}

static void must_end(const char *call, enum reason reason)
{
	struct route_decision d = decide(call);

	ck_assert_msg(d.reason == reason, "%s: %s, %s", call, reason_name(d.reason), d.why);
}

static void must_reach(const char *call, const char *group, size_t n)
{
	struct route_decision d = decide(call);

	ck_assert_msg(d.reason == REASON_OK, "%s: %s", call, d.why);
	ck_assert_msg(slice_eq_str(d.group->name, group), "%s: %.*s", call, (int)d.group->name.len,
	    (const char *)d.group->name.data);
	ck_assert_uint_eq(d.group->n, n);
}

/* ---- which route ---- */

START_TEST(the_first_route_that_matches_counts)
{
	world("  a:\n"
	      "    endpoints: [127.0.0.1:9001]\n"
	      "    routes:\n"
	      "      - {match: {method: Get, caller: cart}}\n"
	      "      - {match: {method: Get}}\n"
	      "      - {match: {caller: cart}}\n");
	must_take("service=a method=Get caller=cart", 0);
	must_take("service=a method=Get caller=web", 1);
	must_take("service=a method=Get", 1);
	must_take("service=a method=Put caller=cart", 2);
	must_take("service=a method=Put", -1);
}
END_TEST

START_TEST(every_fact_can_be_matched)
{
	world("  a:\n"
	      "    endpoints: [127.0.0.1:9001]\n"
	      "    routes:\n"
	      "      - {match: {idl_service: shop.Price}}\n"
	      "      - {match: {caller_method: {suffix: All}}}\n"
	      "      - {match: {meta.env: {prefix: gr}}}\n"
	      "      - {match: {header.x: {regex: '^[0-9]+$'}}}\n"
	      "      - {match: {int.stress_tag: {in: [a, b]}}}\n"
	      "      - {match: {int.14: {present: true}}}\n"
	      "      - {match: {source: [10.0.0.0/8, '::1']}}\n"
	      "      - {match: {field.1.3.2: 42}}\n"
	      "      - {match: {uid: 1000}}\n"
	      "      - {match: {gid: 5}}\n");
	must_take("service=a method=M idl_service=shop.Price", 0);
	must_take("service=a method=M caller_method=GetAll", 1);
	must_take("service=a method=M meta.env=gray", 2);
	must_take("service=a method=M meta.ENV=gray", 2);
	must_take("service=a method=M header.x=123", 3);
	must_take("service=a method=M header.x=123a", -1);
	must_take("service=a method=M int.21=b", 4);
	must_take("service=a method=M int.21=c", -1);
	must_take("service=a method=M int.14=", 5);
	must_take("service=a method=M source=10.200.0.1", 6);
	must_take("service=a method=M source=::1", 6);
	must_take("service=a method=M source=11.0.0.1", -1);
	must_take("service=a method=M field.1.3.2=42", 7);
	must_take("service=a method=M field.1.3=42", -1);
	must_take("service=a method=M uid=1000", 8);
	must_take("service=a method=M uid=1001 gid=5", 9);
	must_take("service=a method=M", -1);
}
END_TEST

START_TEST(what_is_not_there_matches_not_and_absence_alone)
{
	world("  a:\n"
	      "    endpoints: [127.0.0.1:9001]\n"
	      "    routes:\n"
	      "      - {match: {meta.env: {present: false}, method: A}}\n"
	      "      - {match: {meta.env: {not: gray}, method: B}}\n"
	      "      - {match: {meta.env: {not: {prefix: gr}}, method: C}}\n"
	      "      - {match: {method: D}}\n");
	must_take("service=a method=A", 0);
	must_take("service=a method=A meta.env=gray", -1);
	must_take("service=a method=B", 1);
	must_take("service=a method=B meta.env=blue", 1);
	must_take("service=a method=B meta.env=gray", -1);
	must_take("service=a method=C", 2);
	must_take("service=a method=C meta.env=green", -1);
	must_take("service=a method=D", 3);
}
END_TEST

START_TEST(a_percentage_of_the_calls_takes_a_route)
{
	unsigned taken = 0;

	world("  a:\n"
	      "    endpoints: [127.0.0.1:9001]\n"
	      "    routes: [{match: {method: Get, percent: 20%}}]\n");
	for (int i = 0; i < 20000; i++)
		taken += decide("service=a method=Get").route != NULL;
	ck_assert_uint_gt(taken, 3700); /* 4000 +- 5 standard deviations */
	ck_assert_uint_lt(taken, 4300);
	must_take("service=a method=Put", -1);
}
END_TEST

START_TEST(a_route_leads_to_another_service_and_its_policy)
{
	world("  a:\n"
	      "    endpoints: [127.0.0.1:9001]\n"
	      "    timeout: 1s\n"
	      "    routes:\n"
	      "      - {match: {caller: x}, to: {service: b}}\n"
	      "      - {match: {caller: y}, to: {service: b}, policy: {timeout: 7s}}\n"
	      "  b:\n"
	      "    endpoints: [127.0.0.1:9002, 127.0.0.1:9003]\n"
	      "    timeout: 2s\n"
	      "    routes: [{match: {}, to: {service: a}}]\n"
	      "    methods: {Slow: {timeout: 9s}}\n");
	ck_assert_uint_eq(decide("service=a method=M").policy->timeout_call, 1 * USEC_S);
	ck_assert(slice_eq_str(decide("service=a method=M caller=x").service->label, "b"));
	ck_assert_uint_eq(decide("service=a method=M caller=x").policy->timeout_call, 2 * USEC_S);
	ck_assert_uint_eq(decide("service=a method=M caller=y").policy->timeout_call, 7 * USEC_S);
	ck_assert_uint_eq(
	    decide("service=a method=Slow caller=y").policy->timeout_call, 9 * USEC_S);
	must_reach("service=a method=M caller=x", "", 2);
}
END_TEST

START_TEST(a_service_may_have_routes_alone)
{
	world("  a:\n"
	      "    routes:\n"
	      "      - {match: {caller: x}, to: {service: b}}\n"
	      "      - {match: {percent: 0%}, to: {service: b}}\n"
	      "      - {to: {service: b}}\n"
	      "  b: {endpoints: [127.0.0.1:9002]}\n");
	must_take("service=a method=M", 2);
	must_end("service=a method=M", REASON_OK);
}
END_TEST

/* ---- acl ---- */

START_TEST(acls_are_read_from_method_to_defaults_and_the_first_match_decides)
{
	loaded = loaded_from(
	    "defaults: {acl: [{deny: {caller: outcast}}, {allow: {caller: guest}}]}\n" HEAD "  a:\n"
	    "    endpoints: [127.0.0.1:9001]\n"
	    "    acl: [{allow: {caller: cart}}, {deny: {caller: guest, meta.x: y}}]\n"
	    "    methods:\n"
	    "      Open: {acl: [{allow: {caller: outcast}}]}\n"
	    "      Shut: {acl: [{deny: {}}]}\n"
	    "    routes:\n"
	    "      - {match: {meta.lab: yes}, policy: {acl: [{deny: {caller: cart}}]}}\n");
	snapshot = file_snapshot_new(loaded_config(&loaded));
	must_end("service=a method=M caller=cart", REASON_OK);
	must_end("service=a method=M caller=guest", REASON_OK);
	must_end("service=a method=M caller=guest meta.x=y", REASON_ACL_DENIED);
	must_end("service=a method=M caller=outcast", REASON_ACL_DENIED);
	must_end("service=a method=Open caller=outcast", REASON_OK);
	must_end("service=a method=Shut caller=cart", REASON_ACL_DENIED);
	must_end("service=a method=M caller=cart meta.lab=yes", REASON_ACL_DENIED);
	must_end("service=a method=M caller=nobody", REASON_ACL_DENIED); /* nothing allows it */
}
END_TEST

START_TEST(a_refusal_names_the_rule)
{
	struct route_decision d;

	world("  a:\n"
	      "    endpoints: [127.0.0.1:9001]\n"
	      "    acl: [{allow: {caller: x}}, {deny: {caller: y}}]\n");
	d = decide("service=a method=M caller=y");
	ck_assert_int_eq(d.reason, REASON_ACL_DENIED);
	ck_assert_str_eq(d.at, "services.a.acl[1]");
	ck_assert(slice_eq_str(d.service->label, "a"));
	d = decide("service=a method=M caller=z");
	ck_assert_int_eq(d.reason, REASON_ACL_DENIED);
	ck_assert_ptr_null(d.at);
}
END_TEST

START_TEST(denials_alone_let_all_others_pass)
{
	world("  a:\n"
	      "    endpoints: [127.0.0.1:9001]\n"
	      "    acl: [{deny: {source: 10.0.0.0/8}}, {deny: {uid: 0}}]\n");
	must_end("service=a method=M", REASON_OK);
	must_end("service=a method=M source=10.0.0.1", REASON_ACL_DENIED);
	must_end("service=a method=M uid=0", REASON_ACL_DENIED);
	must_end("service=a method=M uid=1", REASON_OK);
}
END_TEST

/* ---- degrade, faults, mirrors ---- */

START_TEST(degrade_refuses_its_share)
{
	unsigned refused = 0;

	world("  a: {endpoints: [127.0.0.1:9001], degrade: 30%}\n");
	for (int i = 0; i < 20000; i++)
		refused += decide("service=a method=M").reason == REASON_DEGRADED;
	ck_assert_uint_gt(refused, 5600);
	ck_assert_uint_lt(refused, 6400);
}
END_TEST

START_TEST(faults_and_mirrors_are_drawn_each_by_its_own_share)
{
	unsigned delayed = 0, aborted = 0, both = 0, mirrored = 0;

	world(
	    "  a:\n"
	    "    endpoints: [127.0.0.1:9001]\n"
	    "    routes:\n"
	    "      - match: {method: M}\n"
	    "        fault: {delay: {for: 20ms, percent: 50%}, abort: {reason: overload, percent: 10%}}\n"
	    "        mirror: {service: b, percent: 25%}\n"
	    "  b: {endpoints: [127.0.0.1:9002]}\n");
	for (int i = 0; i < 20000; i++) {
		struct route_decision d = decide("service=a method=M");

		ck_assert(d.delay == 0 || d.delay == 20 * USEC_MS);
		delayed += d.delay > 0;
		aborted += d.abort;
		both += d.abort && d.delay;
		mirrored += d.is_mirrored;
	}
	ck_assert(delayed > 9600 && delayed < 10400);
	ck_assert(aborted > 1780 && aborted < 2220);
	ck_assert(both > 840 && both < 1160);
	ck_assert(mirrored > 4690 && mirrored < 5310);
	ck_assert(decide("service=a method=Other").delay == 0);
}
END_TEST

/* ---- subsets ---- */

#define TAGGED                                                                                     \
	"    endpoints:\n"                                                                         \
	"      - 127.0.0.1:9001\n"                                                                 \
	"      - 127.0.0.1:9002\n"                                                                 \
	"      - {address: 127.0.0.1:9003, tags: {lane: gray}}\n"                                  \
	"      - {address: 127.0.0.1:9004, tags: {lane: blue}}\n"

START_TEST(a_route_leads_to_a_subset_or_to_its_fallback)
{
	world("  a:\n" TAGGED
	      "    subsets: {gray: {lane: gray}, plain: {lane: ''}, red: {lane: red}}\n"
	      "    routes:\n"
	      "      - {match: {method: Gray}, to: gray}\n"
	      "      - {match: {method: Plain}, to: plain}\n"
	      "      - {match: {method: Red}, to: red}\n"
	      "      - {match: {method: RedGray}, to: red, fallback: gray}\n"
	      "      - {match: {method: RedAny}, to: red, fallback: any}\n"
	      "      - {match: {method: RedRed}, to: red, fallback: red}\n");
	must_reach("service=a method=Gray", "gray", 1);
	must_reach("service=a method=Plain", "plain", 2);
	must_reach("service=a method=RedGray", "gray", 1);
	must_reach("service=a method=RedAny", "", 4);
	must_reach("service=a method=Else", "", 4);
	must_end("service=a method=Red", REASON_NO_ENDPOINT);
	must_end("service=a method=RedRed", REASON_NO_ENDPOINT);
	ck_assert_str_eq(decide("service=a method=Red").at, "services.a.routes[2]");
}
END_TEST

static void by_lane(const char *fallback)
{
	world(arena_printf(&arena,
	    "  a:\n" TAGGED "    subset_by: {tag: lane, key: meta.env, fallback: %s}\n"
	    "    routes:\n"
	    "      - {match: {method: Paint}, set: {meta.env: blue}}\n"
	    "      - {match: {method: Clean}, remove: [meta.env]}\n"
	    "      - {match: {method: Base}, to: base}\n",
	    fallback));
}

START_TEST(subset_by_goes_by_the_value_in_the_call)
{
	by_lane("base");
	must_reach("service=a method=M meta.env=gray", "gray", 1);
	must_reach("service=a method=M meta.env=blue", "blue", 1);
	must_reach("service=a method=M meta.env=red", "base", 2);
	must_reach("service=a method=M meta.env=", "base", 2);
	must_reach("service=a method=M", "base", 2);
	must_reach("service=a method=Base meta.env=gray", "base", 2);
}
END_TEST

START_TEST(subset_by_falls_back_to_any_or_to_none)
{
	by_lane("any");
	must_reach("service=a method=M meta.env=gray", "gray", 1);
	must_reach("service=a method=M meta.env=red", "", 4);
	must_reach("service=a method=M", "", 4);
	file_snapshot_free(&snapshot);
	loaded_free(&loaded);
	by_lane("none");
	must_reach("service=a method=M meta.env=gray", "gray", 1);
	must_end("service=a method=M meta.env=red", REASON_NO_ENDPOINT);
	must_end("service=a method=M", REASON_NO_ENDPOINT);
}
END_TEST

START_TEST(what_a_route_sets_is_what_the_service_goes_by)
{
	by_lane("base");
	must_reach("service=a method=Paint", "blue", 1);
	must_reach("service=a method=Paint meta.env=gray", "blue", 1);
	must_reach("service=a method=Clean meta.env=gray", "base", 2);
}
END_TEST

/* ---- splits ---- */

static void split(const char *more)
{
	world(arena_printf(&arena,
	    "  a:\n" TAGGED
	    "    subsets: {gray: {lane: gray}, blue: {lane: blue}, plain: {lane: ''}}\n"
	    "    routes: [{split: {plain: 90, gray: 7, blue: 3}%s}]\n",
	    more));
}

START_TEST(a_split_keeps_its_shares)
{
	unsigned gray = 0, blue = 0, plain = 0;

	split("");
	for (int i = 0; i < 50000; i++) {
		struct slice name = decide("service=a method=M meta.user=7").group->name;

		gray += slice_eq_str(name, "gray");
		blue += slice_eq_str(name, "blue");
		plain += slice_eq_str(name, "plain");
	}
	ck_assert_uint_eq(gray + blue + plain, 50000);
	ck_assert(gray > 3210 && gray < 3790); /* 3500 +- 5 standard deviations */
	ck_assert(blue > 1310 && blue < 1690);
}
END_TEST

START_TEST(a_sticky_split_gives_the_same_key_the_same_part)
{
	unsigned gray = 0;

	split(", sticky: meta.user");
	for (unsigned user = 0; user < 20000; user++) {
		const char *call = arena_printf(&arena, "service=a method=M meta.user=%u", user);
		const struct endpoint_group *first = decide(call).group;

		gray += slice_eq_str(first->name, "gray");
		if (user % 100 == 0)
			for (int i = 0; i < 10; i++)
				ck_assert_ptr_eq(decide(call).group, first);
	}
	ck_assert(gray > 1220 && gray < 1580); /* 1400 +- 5 standard deviations */
}
END_TEST

START_TEST(a_sticky_split_without_the_key_goes_by_chance)
{
	unsigned gray = 0;

	split(", sticky: meta.user");
	for (int i = 0; i < 20000; i++)
		gray += slice_eq_str(decide("service=a method=M").group->name, "gray");
	ck_assert(gray > 1220 && gray < 1580);
}
END_TEST

/* ---- hashes ---- */

START_TEST(a_ring_goes_by_its_key_else_by_the_keys_of_kitex)
{
	struct route_decision d;

	world(
	    "  a: {endpoints: [127.0.0.1:9001], balance: {type: consistent_hash, key: meta.user}}\n"
	    "  b: {endpoints: [127.0.0.1:9001], balance: maglev}\n"
	    "  c: {endpoints: [127.0.0.1:9001], balance: {type: random}}\n");
	d = decide("service=a method=M meta.user=7 int.14=8");
	ck_assert(d.has_hash && d.hash == lb_hash(slice_str("7")));
	ck_assert(!decide("service=a method=M int.14=8").has_hash);
	d = decide("service=b method=M int.14=8 int.24=9");
	ck_assert(d.has_hash && d.hash == lb_hash(slice_str("8")));
	d = decide("service=b method=M int.24=9");
	ck_assert(d.has_hash && d.hash == lb_hash(slice_str("9")));
	ck_assert(!decide("service=b method=M").has_hash);
	ck_assert(!decide("service=c method=M int.14=8").has_hash);
}
END_TEST

/* ---- what is asked, and what is not ---- */

struct counting {
	struct fact_source inner;
	unsigned asked;
};

static bool count(const void *call, const struct fact_key *key, struct slice *value)
{
	struct counting *c = (struct counting *)(uintptr_t)call;

	(void)key;
	(void)value;
	c->asked++;
	return false;
}

START_TEST(facts_are_asked_only_where_a_rule_needs_them)
{
	struct counting counting = {.asked = 0};
	struct call_facts facts = {.service_asked = SLICE_LIT("b"),
	    .method = SLICE_LIT("M"),
	    .more = {.find = count, .call = &counting, .uid = -1, .gid = -1}};

	world("  a:\n"
	      "    endpoints: [127.0.0.1:9001]\n"
	      "    routes: [{match: {method: Other, meta.x: y}}, {match: {meta.x: y, meta.z: y}}]\n"
	      "  b: {endpoints: [127.0.0.1:9001]}\n");
	facts.listener = &snapshot->config->listeners[0];
	/* No chance to be asked, either. */
	ck_assert_int_eq(route_decide(snapshot, &facts, NULL, NULL).reason, REASON_OK);
	ck_assert_uint_eq(counting.asked, 0);
	facts.service_asked = SLICE_LIT("a");
	ck_assert_int_eq(route_decide(snapshot, &facts, NULL, NULL).reason, REASON_OK);
	ck_assert_uint_eq(counting.asked, 1); /* the method is known, and decides the first */
}
END_TEST

START_TEST(who_is_led_to_a_service_gets_its_policy_and_no_routes_or_acl)
{
	struct call_facts facts = {.method = SLICE_LIT("Slow"), .more = {.uid = -1, .gid = -1}};
	struct route_decision d;

	world("  a:\n"
	      "    endpoints: [127.0.0.1:9001]\n"
	      "    acl: [{deny: {}}]\n"
	      "    degrade: 100%\n"
	      "    routes: [{match: {}, to: {service: b}}]\n"
	      "    methods: {Slow: {timeout: 9s}}\n"
	      "  b: {endpoints: [127.0.0.1:9001]}\n");
	facts.listener = &snapshot->config->listeners[0];
	d = route_to(snapshot, config_service(snapshot->config, SLICE_LIT("a")), &facts);
	ck_assert_int_eq(d.reason, REASON_OK);
	ck_assert(slice_eq_str(d.service->label, "a"));
	ck_assert_uint_eq(d.policy->timeout_call, 9 * USEC_S);
	ck_assert_ptr_eq(d.guard, &snapshot->guards[d.policy->index]);
	ck_assert_uint_eq(d.group->n, 1);
	ck_assert_ptr_null(d.route);
}
END_TEST

START_TEST(who_is_led_to_a_service_without_such_a_lane_is_refused)
{
	struct call_facts facts = {.method = SLICE_LIT("M"), .more = {.uid = -1, .gid = -1}};
	struct route_decision d;

	by_lane("none");
	facts.listener = &snapshot->config->listeners[0];
	d = route_to(snapshot, snapshot->config->services[0], &facts);
	ck_assert_int_eq(d.reason, REASON_NO_ENDPOINT);
	ck_assert_ptr_null(d.group);
	ck_assert_ptr_nonnull(d.service);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {the_first_route_that_matches_counts, 1},
	    {every_fact_can_be_matched, 1},
	    {what_is_not_there_matches_not_and_absence_alone, 1},
	    {a_percentage_of_the_calls_takes_a_route, 1},
	    {a_route_leads_to_another_service_and_its_policy, 1},
	    {a_service_may_have_routes_alone, 1},
	    {acls_are_read_from_method_to_defaults_and_the_first_match_decides, 1},
	    {a_refusal_names_the_rule, 1},
	    {denials_alone_let_all_others_pass, 1},
	    {degrade_refuses_its_share, 1},
	    {faults_and_mirrors_are_drawn_each_by_its_own_share, 1},
	    {a_route_leads_to_a_subset_or_to_its_fallback, 1},
	    {subset_by_goes_by_the_value_in_the_call, 1},
	    {subset_by_falls_back_to_any_or_to_none, 1},
	    {what_a_route_sets_is_what_the_service_goes_by, 1},
	    {a_split_keeps_its_shares, 1},
	    {a_sticky_split_gives_the_same_key_the_same_part, 1},
	    {a_sticky_split_without_the_key_goes_by_chance, 1},
	    {a_ring_goes_by_its_key_else_by_the_keys_of_kitex, 1},
	    {facts_are_asked_only_where_a_rule_needs_them, 1},
	    {who_is_led_to_a_service_gets_its_policy_and_no_routes_or_acl, 1},
	    {who_is_led_to_a_service_without_such_a_lane_is_refused, 1},
	};

	return suite_run_between("route_rules", tests, ARRAY_LEN(tests), begin, end);
}
