/* GET /explain: why a call would go where it would go, by what is known right now. */
#ifndef BRIDLE_DAEMON_ADMIN_EXPLAIN_H
#define BRIDLE_DAEMON_ADMIN_EXPLAIN_H

#include "base/err.h"
#include "base/slice.h"

struct control;

/* The answer to @query as JSON, from malloc, its length in *len; or NULL with @err set. */
char *admin_explain(
    const struct control *control, struct slice query, size_t *len, struct err *err);

#endif
