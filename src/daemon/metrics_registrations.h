/* The families that tell what of ours stands in registries, and how often it did not though it
 * should. */
#ifndef BRIDLE_DAEMON_METRICS_REGISTRATIONS_H
#define BRIDLE_DAEMON_METRICS_REGISTRATIONS_H

#include "base/arena.h"
#include "base/text.h"

struct registrations;

/* Nothing at all where nothing is to be registered. Cells lie in @arena. */
void metrics_render_registrations(
    const struct registrations *registrations, struct arena *arena, struct text *out);

#endif
