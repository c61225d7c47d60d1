/*
 * Predicates over the facts of a call, as routes and ACLs have them: all given rules must match.
 * Built by model/ when a file is loaded, immutable afterwards, shared by all threads.
 */
#ifndef BRIDLE_POLICY_MATCH_H
#define BRIDLE_POLICY_MATCH_H

#include <regex.h>

#include "base/address.h"
#include "policy/fact.h"

struct rng;

enum match_how {
	MATCH_EXACT,
	MATCH_PREFIX,
	MATCH_SUFFIX,
	MATCH_REGEX, /* POSIX extended, anywhere in the value, no back-references */
	MATCH_IN,
	MATCH_PRESENT, /* there is such a fact, be it empty */
	MATCH_ABSENT,
	MATCH_CIDR, /* of FACT_SOURCE: any of the networks */
};

struct match_rule {
	struct fact_key key;
	enum match_how how;
	bool is_negated;           /* not: {...}: an absent fact matches, too */
	const struct slice *texts; /* EXACT, PREFIX, SUFFIX, REGEX (as written): one; IN: several */
	size_t n_texts;
	const struct cidr *cidrs;
	size_t n_cidrs;
	const regex_t *regex; /* owned by the configuration, freed with it */
};

struct match {
	const struct match_rule *rules;
	size_t n;
	double percent; /* 0..1 of the calls that match otherwise; 1: all */
};

/* Regexes see at most so much of a value; one that is longer does not match. */
#define MATCH_REGEX_VALUE_MAX 1024u

/* The first rule that fails, or NULL; the share (percent) is not asked. */
const struct match_rule *match_find_failing(const struct match *m, const struct fact_source *facts);
/* All rules, then the share; @rng is asked only when percent is below 1. */
bool match_call(const struct match *m, const struct fact_source *facts, struct rng *rng);
/* "meta.env is \"prod\", not \"gray\"" or "meta.env = \"gray\"", into @room. */
void match_describe(
    const struct match_rule *rule, const struct fact_source *facts, char *room, size_t size);

#endif
