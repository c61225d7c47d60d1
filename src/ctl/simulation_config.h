/*
 * The configuration that a simulation plays: the file that the plan names, or one made around the
 * service that stands in the plan itself. What is wrong with the latter is said with the place in
 * the plan.
 */
#ifndef BRIDLE_CTL_SIMULATION_CONFIG_H
#define BRIDLE_CTL_SIMULATION_CONFIG_H

#include "ctl/simulation_plan.h"

/* NULL when there are errors. @path: of the plan, which a relative path is relative to. */
struct config *simulation_config_load(
    const struct simulation_plan *plan, const char *path, struct problems *problems);
/* Is there an endpoint with that address, as it is written? */
bool simulation_config_has(const struct config *config, struct slice address);

#endif
