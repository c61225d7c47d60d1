/* The metric families of documents in registries that go over the file. */
#ifndef BRIDLE_DAEMON_METRICS_GOVERNANCE_H
#define BRIDLE_DAEMON_METRICS_GOVERNANCE_H

#include "base/text.h"

struct arena;
struct governance;

/* @governance NULL: nothing. */
void metrics_render_governance(
    const struct governance *governance, struct arena *arena, struct text *out);

#endif
