/*
 * Explains one call: which rules were tried and why each matched or did not, whose policy it gets
 * and where each value of it was written, which endpoints could answer, and which one would. It
 * asks route_decide and balance_pick, as calls do, and decides nothing itself.
 */
#ifndef BRIDLE_MODEL_EXPLAIN_H
#define BRIDLE_MODEL_EXPLAIN_H

#include <stdio.h>

#include "model/route.h"

struct explained_rule {
	const char *at, *why; /* in the explanation's arena */
	bool matched;
};

struct explained_change {
	const struct fact_key *key; /* the configuration's */
	const char *value;          /* NULL: the call loses it */
};

struct explained_value {
	const char *name;  /* timeout.call */
	const char *value; /* as it is written in a file */
	const char *from;  /* file:line; NULL: a default */
};

struct explained_candidate {
	size_t endpoint;     /* of the decision's service */
	const char *why_not; /* constant text; NULL: usable */
};

struct explanation {
	struct arena arena;              /* owns the lists */
	const struct snapshot *snapshot; /* borrowed */
	const char *call;                /* SERVICE/METHOD as asked for, as a log has them */
	const struct listener_config *listener;
	struct route_decision decision;
	struct explained_rule *rules;
	size_t n_rules, rules_room;
	struct explained_change *changes; /* by the route */
	size_t n_changes;
	struct explained_value *values;
	size_t n_values, values_room;
	struct explained_candidate *candidates;
	size_t n_candidates;
	bool is_panic;               /* so many are out that nobody is left out */
	const struct endpoint *pick; /* NULL: none */
};

/* @rng draws percentages, splits and the pick: with the same seed it all comes out alike. What it
 * returns needs @s, and explanation_fini. @facts only for the time of this call. */
void explanation_init(struct explanation *e, const struct snapshot *s,
    const struct call_facts *facts, struct rng *rng, usec_t now);
void explanation_fini(struct explanation *e);

/* A fact of the call as it goes on; @facts as for explanation_init. */
bool explanation_fact(const struct explanation *e, const struct call_facts *facts,
    const struct fact_key *key, char room[FACT_ROOM], struct slice *value);
/* How the call ends as far as is known before an endpoint is asked. */
enum reason explanation_reason(const struct explanation *e);
const char *explanation_why(const struct explanation *e); /* constant text */
/* One JSON object and a newline. */
void explanation_print_json(const struct explanation *e, FILE *to);

#endif
