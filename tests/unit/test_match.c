/* Predicates over the facts of a call: every kind of rule, what is not there, and shares. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "policy/match.h"
#include "support/suite.h"

/* A call that has one piece of metadata, env, or none. */
struct one {
	bool has_env;
	struct slice env;
	unsigned asked;
};

static bool find_env(const void *call, const struct fact_key *key, struct slice *value)
{
	struct one *one = (struct one *)(uintptr_t)call;

	one->asked++;
	*value = one->env;
	return one->has_env && key->kind == FACT_META && slice_eq_str(key->name, "env");
}

static struct fact_source source_of(const struct one *one)
{
	return (struct fact_source){.find = find_env, .call = one, .uid = -1, .gid = -1};
}

static struct one env_is(const char *value)
{
	return (struct one){.has_env = true, .env = slice_str(value)};
}

static const struct one no_env = {.has_env = false};

static struct fact_key meta_key(const char *text)
{
	struct slice whole = slice_str(text);

	return (struct fact_key){.kind = FACT_META, .name = slice_from(whole, 5), .text = whole};
}

static bool holds(const struct match_rule *rule, struct one one)
{
	struct match m = {rule, 1, 1};
	struct fact_source source = source_of(&one);
	bool matches = match_call(&m, &source, NULL);

	ck_assert_ptr_eq(match_find_failing(&m, &source), matches ? NULL : rule);
	return matches;
}

static const struct slice two[] = {SLICE_LIT("gray"), SLICE_LIT("blue")};

static struct match_rule rule_of(enum match_how how, bool is_negated)
{
	return (struct match_rule){.key = meta_key("meta.env"),
	    .how = how,
	    .is_negated = is_negated,
	    .texts = two,
	    .n_texts = how == MATCH_IN ? 2 : 1};
}

START_TEST(values_are_compared_byte_by_byte)
{
	struct match_rule rule = rule_of(MATCH_EXACT, false);

	ck_assert(holds(&rule, env_is("gray")));
	ck_assert(!holds(&rule, env_is("gra")));
	ck_assert(!holds(&rule, env_is("grays")));
	ck_assert(!holds(&rule, env_is("Gray")));
	ck_assert(!holds(&rule, env_is("")));
	ck_assert(!holds(&rule, no_env));
}
END_TEST

START_TEST(prefixes_and_suffixes_are_compared_at_their_end)
{
	struct match_rule prefix = rule_of(MATCH_PREFIX, false);
	struct match_rule suffix = rule_of(MATCH_SUFFIX, false);

	ck_assert(holds(&prefix, env_is("gray")));
	ck_assert(holds(&prefix, env_is("gray-1")));
	ck_assert(!holds(&prefix, env_is("1-gray")));
	ck_assert(!holds(&prefix, env_is("gra")));
	ck_assert(holds(&suffix, env_is("gray")));
	ck_assert(holds(&suffix, env_is("1-gray")));
	ck_assert(!holds(&suffix, env_is("gray-1")));
	ck_assert(!holds(&suffix, env_is("ray")));
	ck_assert(!holds(&prefix, no_env));
	ck_assert(!holds(&suffix, no_env));
}
END_TEST

START_TEST(a_list_matches_each_of_its_values)
{
	struct match_rule rule = rule_of(MATCH_IN, false);

	ck_assert(holds(&rule, env_is("gray")));
	ck_assert(holds(&rule, env_is("blue")));
	ck_assert(!holds(&rule, env_is("green")));
	ck_assert(!holds(&rule, no_env));
}
END_TEST

START_TEST(presence_is_asked_for_whatever_the_value)
{
	struct match_rule present = rule_of(MATCH_PRESENT, false);
	struct match_rule absent = rule_of(MATCH_ABSENT, false);

	ck_assert(holds(&present, env_is("gray")));
	ck_assert(holds(&present, env_is("")));
	ck_assert(!holds(&present, no_env));
	ck_assert(!holds(&absent, env_is("gray")));
	ck_assert(!holds(&absent, env_is("")));
	ck_assert(holds(&absent, no_env));
}
END_TEST

START_TEST(a_negated_rule_matches_what_is_not_there)
{
	static const enum match_how hows[] = {MATCH_EXACT, MATCH_PREFIX, MATCH_SUFFIX, MATCH_IN};

	for (size_t i = 0; i < ARRAY_LEN(hows); i++) {
		struct match_rule rule = rule_of(hows[i], true);

		ck_assert(!holds(&rule, env_is("gray")));
		ck_assert(holds(&rule, env_is("green")));
		ck_assert(holds(&rule, env_is("")));
		ck_assert(holds(&rule, no_env));
	}
}
END_TEST

START_TEST(presence_negated_is_absence)
{
	struct match_rule present = rule_of(MATCH_PRESENT, true);
	struct match_rule absent = rule_of(MATCH_ABSENT, true);

	ck_assert(!holds(&present, env_is("gray")));
	ck_assert(holds(&present, no_env));
	ck_assert(holds(&absent, env_is("gray")));
	ck_assert(!holds(&absent, no_env));
}
END_TEST

/* ---- regexes ---- */

static bool regex_holds(const char *pattern, struct one one)
{
	struct match_rule rule = rule_of(MATCH_REGEX, false);
	bool matches;
	regex_t regex;

	ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	rule.regex = &regex;
	matches = holds(&rule, one);
	rule.is_negated = true;
	ck_assert(holds(&rule, one) == !matches);
	regfree(&regex);
	return matches;
}

START_TEST(a_regex_is_found_anywhere_unless_it_is_anchored)
{
	ck_assert(regex_holds("ra", env_is("gray")));
	ck_assert(!regex_holds("^ra", env_is("gray")));
	ck_assert(regex_holds("^gr[ae]y$", env_is("grey")));
	ck_assert(!regex_holds("^gr[ae]y$", env_is("grey2")));
	ck_assert(regex_holds("^$", env_is("")));
	ck_assert(!regex_holds("", no_env));
}
END_TEST

START_TEST(a_regex_sees_the_whole_value_and_nothing_behind_it)
{
	static const char text[] = "gray\0evil";
	struct one with_nul = {.has_env = true, .env = slice_of(text, sizeof text - 1)};
	struct one cut = {.has_env = true, .env = slice_of("grayer", 4)};

	ck_assert(!regex_holds("^gray$", with_nul));
	ck_assert(regex_holds("evil$", with_nul));
	ck_assert(regex_holds("^gray$", cut));
}
END_TEST

START_TEST(a_regex_does_not_match_a_value_beyond_its_bound)
{
	char *text = mem_alloc(MATCH_REGEX_VALUE_MAX + 1);
	struct one one = {.has_env = true, .env = slice_of(text, MATCH_REGEX_VALUE_MAX)};

	memset(text, 'a', MATCH_REGEX_VALUE_MAX + 1);
	ck_assert(regex_holds("^a*$", one));
	one.env.len++;
	ck_assert(!regex_holds("^a*$", one));
	free(text);
}
END_TEST

/* ---- networks ---- */

static bool network_holds(const char *const *networks, size_t n, const char *from, bool is_negated)
{
	struct match_rule rule = {.key = {.kind = FACT_SOURCE, .text = SLICE_LIT("source")},
	    .how = MATCH_CIDR,
	    .is_negated = is_negated};
	struct cidr cidrs[4];
	struct address address;
	struct match m = {&rule, 1, 1};
	struct fact_source source = {.uid = -1, .gid = -1};
	struct err err;

	for (size_t i = 0; i < n; i++)
		ck_assert(cidr_parse(&cidrs[i], slice_str(networks[i])));
	rule.cidrs = cidrs;
	rule.n_cidrs = n;
	if (from) {
		ck_assert_int_eq(address_parse(&address, slice_str(from), &err), 0);
		source.address = (struct sockaddr *)&address.sa;
	}
	return match_call(&m, &source, NULL);
}

START_TEST(a_source_is_in_any_of_the_networks)
{
	static const char *const networks[] = {"10.0.0.0/8", "fd00::/8"};

	ck_assert(network_holds(networks, 2, "10.9.9.9:1", false));
	ck_assert(network_holds(networks, 2, "[fd00::1]:1", false));
	ck_assert(network_holds(networks, 2, "[::ffff:10.0.0.1]:1", false));
	ck_assert(!network_holds(networks, 2, "11.0.0.1:1", false));
	ck_assert(!network_holds(networks, 2, "[fe80::1]:1", false));
	ck_assert(!network_holds(networks, 2, "10.9.9.9:1", true));
	ck_assert(network_holds(networks, 2, "11.0.0.1:1", true));
}
END_TEST

START_TEST(who_has_no_address_is_in_no_network)
{
	static const char *const all[] = {"0.0.0.0/0", "::/0"};

	ck_assert(!network_holds(all, 2, NULL, false));
	ck_assert(!network_holds(all, 2, "unix:/run/x.sock", false));
	ck_assert(network_holds(all, 2, NULL, true));
	ck_assert(network_holds(all, 2, "unix:/run/x.sock", true));
}
END_TEST

START_TEST(ids_are_compared_as_text)
{
	static const struct slice zero = SLICE_LIT("0");
	struct match_rule rule = {.key = {.kind = FACT_UID}, .texts = &zero, .n_texts = 1};
	struct match m = {&rule, 1, 1};
	struct fact_source source = {.uid = 0, .gid = 5};

	ck_assert(match_call(&m, &source, NULL));
	rule.key.kind = FACT_GID;
	ck_assert(!match_call(&m, &source, NULL));
	source.uid = -1;
	rule.key.kind = FACT_UID;
	ck_assert(!match_call(&m, &source, NULL));
}
END_TEST

/* ---- all of them ---- */

START_TEST(no_rules_match_every_call)
{
	struct match m = {NULL, 0, 1};
	struct one one = no_env;
	struct fact_source source = source_of(&one);

	ck_assert(match_call(&m, &source, NULL));
	ck_assert_ptr_null(match_find_failing(&m, &source));
	ck_assert_uint_eq(one.asked, 0);
}
END_TEST

START_TEST(all_rules_must_match_and_the_first_that_fails_is_told)
{
	struct match_rule rules[3] = {
	    rule_of(MATCH_PRESENT, false), rule_of(MATCH_EXACT, false), rule_of(MATCH_IN, true)};
	struct match m = {rules, 2, 1};
	struct one one = env_is("gray");
	struct fact_source source = source_of(&one);

	ck_assert(match_call(&m, &source, NULL));
	m.n = 3;
	ck_assert_ptr_eq(match_find_failing(&m, &source), &rules[2]);
	one.env = slice_str("green");
	one.asked = 0;
	ck_assert_ptr_eq(match_find_failing(&m, &source), &rules[1]);
	ck_assert_uint_eq(one.asked, 2);
}
END_TEST

/* ---- shares ---- */

START_TEST(a_share_of_all_or_none_asks_no_chance)
{
	struct match m = {NULL, 0, 1};
	struct fact_source source = {.uid = -1};

	ck_assert(match_call(&m, &source, NULL));
	m.percent = 0;
	ck_assert(!match_call(&m, &source, NULL));
}
END_TEST

START_TEST(chance_is_not_asked_about_calls_that_do_not_match)
{
	struct match_rule rule = rule_of(MATCH_EXACT, false);
	struct match m = {&rule, 1, 0.5};
	struct one one = env_is("green");
	struct fact_source source = source_of(&one);

	ck_assert(!match_call(&m, &source, NULL));
}
END_TEST

START_TEST(a_share_is_kept)
{
	static const double shares[] = {0.001, 0.05, 0.5, 0.95};
	const unsigned n = 200000;
	struct fact_source source = {.uid = -1};
	struct rng rng;

	rng_init(&rng, 7);
	for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
		struct match m = {NULL, 0, shares[i]};
		double expected = shares[i] * n,
		       bound = 5 * __builtin_sqrt(expected * (1 - shares[i]));
		unsigned found = 0;

		for (unsigned k = 0; k < n; k++)
			found += match_call(&m, &source, &rng);
		ck_assert_msg(found > expected - bound && found < expected + bound, "%g: %u of %u",
		    shares[i], found, n);
	}
}
END_TEST

/* ---- descriptions ---- */

static void must_read(const struct match_rule *rule, struct one one, const char *text)
{
	struct fact_source source = source_of(&one);
	char room[512];

	match_describe(rule, &source, room, sizeof room);
	ck_assert_str_eq(room, text);
}

START_TEST(a_description_says_what_was_found_and_what_was_wanted)
{
	struct match_rule rule = rule_of(MATCH_EXACT, false);

	must_read(&rule, env_is("gray"), "meta.env = \"gray\"");
	must_read(&rule, env_is("prod"), "meta.env is \"prod\", not \"gray\"");
	must_read(&rule, no_env, "there is no meta.env");
	rule = rule_of(MATCH_EXACT, true);
	must_read(&rule, env_is("gray"), "meta.env = \"gray\", as it must not");
	rule = rule_of(MATCH_IN, false);
	must_read(&rule, env_is("blue"), "meta.env is \"blue\", one of \"gray\", \"blue\"");
	must_read(&rule, env_is("x"), "meta.env is \"x\", none of \"gray\", \"blue\"");
	rule = rule_of(MATCH_PREFIX, false);
	must_read(&rule, env_is("gray1"), "meta.env is \"gray1\", which starts with \"gray\"");
	must_read(&rule, env_is("x"), "meta.env is \"x\", which does not start with \"gray\"");
	rule = rule_of(MATCH_SUFFIX, false);
	must_read(&rule, env_is("x"), "meta.env is \"x\", which does not end with \"gray\"");
	rule = rule_of(MATCH_PRESENT, false);
	must_read(&rule, env_is("x"), "meta.env is \"x\"");
	must_read(&rule, no_env, "there is no meta.env");
	rule = rule_of(MATCH_ABSENT, false);
	must_read(&rule, env_is("x"), "meta.env is \"x\"");
}
END_TEST

START_TEST(a_description_is_safe_and_short_whatever_the_value)
{
	struct match_rule rule = rule_of(MATCH_EXACT, false);
	struct one one = env_is("a\n\"\xff");
	struct fact_source source = source_of(&one);
	char room[40], *text = mem_alloc(5000);

	must_read(&rule, one, "meta.env is \"a\\x0a\\x22\\xff\", not \"gray\"");
	memset(text, 'a', 5000);
	one.env = slice_of(text, 5000);
	match_describe(&rule, &source, room, sizeof room);
	ck_assert_uint_lt(strlen(room), sizeof room);
	free(text);
}
END_TEST

START_TEST(a_network_is_described_by_the_address)
{
	struct match_rule rule = {
	    .key = {.kind = FACT_SOURCE, .text = SLICE_LIT("source")}, .how = MATCH_CIDR};
	struct cidr cidr;
	struct address address;
	struct fact_source source = {.uid = -1, .gid = -1};
	struct err err;
	char room[256];

	ck_assert(cidr_parse(&cidr, slice_str("10.0.0.0/8")));
	rule.cidrs = &cidr;
	rule.n_cidrs = 1;
	match_describe(&rule, &source, room, sizeof room);
	ck_assert_str_eq(room, "source is no IP address, so not in 10.0.0.0/8");
	ck_assert_int_eq(address_parse(&address, slice_str("10.1.1.1:5"), &err), 0);
	source.address = (struct sockaddr *)&address.sa;
	match_describe(&rule, &source, room, sizeof room);
	ck_assert_str_eq(room, "source is 10.1.1.1, in 10.0.0.0/8");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    values_are_compared_byte_by_byte,
	    prefixes_and_suffixes_are_compared_at_their_end,
	    a_list_matches_each_of_its_values,
	    presence_is_asked_for_whatever_the_value,
	    a_negated_rule_matches_what_is_not_there,
	    presence_negated_is_absence,
	    a_regex_is_found_anywhere_unless_it_is_anchored,
	    a_regex_sees_the_whole_value_and_nothing_behind_it,
	    a_regex_does_not_match_a_value_beyond_its_bound,
	    a_source_is_in_any_of_the_networks,
	    who_has_no_address_is_in_no_network,
	    ids_are_compared_as_text,
	    no_rules_match_every_call,
	    all_rules_must_match_and_the_first_that_fails_is_told,
	    a_share_of_all_or_none_asks_no_chance,
	    chance_is_not_asked_about_calls_that_do_not_match,
	    a_share_is_kept,
	    a_description_says_what_was_found_and_what_was_wanted,
	    a_description_is_safe_and_short_whatever_the_value,
	    a_network_is_described_by_the_address,
	};

	return suite_run("match", tests, ARRAY_LEN(tests));
}
