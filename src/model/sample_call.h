/*
 * A call that nobody made, known by text alone: what the `tests:` of a file and explanations ask
 * route_decide about.
 */
#ifndef BRIDLE_MODEL_SAMPLE_CALL_H
#define BRIDLE_MODEL_SAMPLE_CALL_H

#include "base/err.h"
#include "model/route.h"

struct sample_call {
	struct call_facts facts; /* points into this struct: it stays where it is */
	const struct config *config;
	const struct fact_value *list; /* borrowed */
	size_t n;
	struct slice caller;
	struct address address;
};

/*
 * @facts: what is known of it, each kind once; stays as long as the call. @listener: NULL: the
 * first that is not pinned, else the first that is pinned to the service asked for, else the first.
 * Returns 0, or -1 with @err set: the file has no listener, a source is no IP address, a uid no
 * number.
 */
int sample_call_init(struct sample_call *call, const struct config *config,
    const struct listener_config *listener, const struct fact_value *facts, size_t n,
    struct err *err);

#endif
