/* The path and the query of a request without their escapes; of the query NAME=VALUE&NAME=VALUE. */
#ifndef BRIDLE_DAEMON_HTTP_QUERY_H
#define BRIDLE_DAEMON_HTTP_QUERY_H

#include "base/arena.h"

/* What it means, in @arena. An escape that is none stands for itself. */
struct slice http_unescape(struct slice text, struct arena *arena);

/* Takes the next pair off the front of @query; both are in @arena. What lacks a `=` has an empty
 * value. False at the end. */
bool http_query_next(
    struct slice *query, struct slice *name, struct slice *value, struct arena *arena);

#endif
