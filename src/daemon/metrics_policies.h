/*
 * The families that tell what policies do: limits, breakers, ejection, budgets, overload. They are
 * read from the tallies of the present snapshot: what no configuration names any more is not shown.
 */
#ifndef BRIDLE_DAEMON_METRICS_POLICIES_H
#define BRIDLE_DAEMON_METRICS_POLICIES_H

#include "daemon/metrics.h"

/* Cells lie in @arena. */
void metrics_render_policies(
    const struct metrics_source *source, struct arena *arena, struct text *out);

#endif
