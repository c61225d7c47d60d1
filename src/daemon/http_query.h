/* The query of a request taken apart: NAME=VALUE&NAME=VALUE, without its escapes. */
#ifndef BRIDLE_DAEMON_HTTP_QUERY_H
#define BRIDLE_DAEMON_HTTP_QUERY_H

#include "base/arena.h"

/* Takes the next pair off the front of @query; both are in @arena. What lacks a `=` has an empty
 * value. False at the end. */
bool http_query_next(
    struct slice *query, struct slice *name, struct slice *value, struct arena *arena);

#endif
