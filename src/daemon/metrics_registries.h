/* The families that tell whether registries answer, and how much they say. */
#ifndef BRIDLE_DAEMON_METRICS_REGISTRIES_H
#define BRIDLE_DAEMON_METRICS_REGISTRIES_H

#include "base/arena.h"
#include "base/text.h"

struct discovery;

/* Nothing at all where there are no registries. Cells lie in @arena. */
void metrics_render_registries(
    const struct discovery *discovery, struct arena *arena, struct text *out);

#endif
