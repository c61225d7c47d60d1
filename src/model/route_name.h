/* Which service a call is for: its listener's pin, or the names that the call gives. */
#ifndef BRIDLE_MODEL_ROUTE_NAME_H
#define BRIDLE_MODEL_ROUTE_NAME_H

#include "model/snapshot.h"

struct call_facts;

/*
 * The service, with @why saying how it was found; or NULL and why there is none: constant text.
 * Then @wanted is the name that the configuration's "*" stands for, a view of @facts, if the call
 * gives one: it may become a service by being looked up.
 */
const struct service *route_find_service(const struct snapshot *s, const struct call_facts *facts,
    const char **why, struct slice *wanted);

#endif
