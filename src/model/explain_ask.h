/* A question for an explanation, as names and values: a query of the admin socket, or a command
 * line. */
#ifndef BRIDLE_MODEL_EXPLAIN_ASK_H
#define BRIDLE_MODEL_EXPLAIN_ASK_H

#include <stdio.h>

#include "base/err.h"
#include "model/explain.h"

struct explain_ask {
	struct arena arena;    /* owns everything below */
	struct slice listener; /* a name; empty: chosen by sample_call_init */
	uint64_t seed;         /* of chance; 1 unless it is given */
	bool has_call;
	struct fact_value *facts;
	size_t n, room;
};

void explain_ask_init(struct explain_ask *ask);
void explain_ask_fini(struct explain_ask *ask);
/* call (SERVICE/METHOD), listener, seed, or any fact: caller, meta.env, ... Both are copied.
 * Returns 0, or -1 with @err set. */
int explain_ask_add(
    struct explain_ask *ask, struct slice name, struct slice value, struct err *err);
/* Prints the explanation as JSON. Returns 0, or -1 with @err set: there is no such listener, no
 * call was given, a value makes no sense. */
int explain_ask_answer(
    const struct explain_ask *ask, const struct snapshot *s, usec_t now, FILE *to, struct err *err);

#endif
