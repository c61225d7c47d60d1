/*
 * One decision while it is made: what is known of the call, and what is told to whoever wants to
 * hear of every step. The steps themselves are route.c's and route_group.c's.
 */
#ifndef BRIDLE_MODEL_DECIDING_H
#define BRIDLE_MODEL_DECIDING_H

#include "model/route.h"
#include "model/route_changes.h"

struct deciding {
	const struct snapshot *s;
	const struct call_facts *facts;
	struct fact_source source; /* of everything that is known, call_facts included */
	struct rng *rng;
	const struct route_trace *trace;
	struct route_decision d;
	const struct route_config *changed_by; /* whose `changes` are; NULL: not looked at yet */
	struct route_changes changes;
};

/* Without rng and trace. It must not move afterwards. */
void deciding_init(struct deciding *w, const struct snapshot *s, const struct call_facts *facts);

/* Tells of a rule. */
void deciding_tell(const struct deciding *w, bool matched, const char *at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Does the call match? Tells of it, too. @does: what the rule is for, "allow: ", or "". */
bool deciding_matches(
    const struct deciding *w, const char *at, const char *does, const struct match *m);
/* Is the call among that share of all? Tells of it, too. */
bool deciding_draw(const struct deciding *w, const char *at, double share);
/* A fact as it is once the route has changed the call. */
bool deciding_find(
    struct deciding *w, const struct fact_key *key, char room[FACT_ROOM], struct slice *value);
/* The decision is a refusal. Returns -1. */
int deciding_refuse(struct deciding *w, enum reason reason, const char *at, const char *why);

#endif
