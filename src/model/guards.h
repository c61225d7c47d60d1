/*
 * The limits and breakers that stand around calls, one set for each policy of a configuration.
 * Their state lies in tallies, by names that stay the same over reloads: "LABEL/limit",
 * "LABEL/METHOD/limit", "LABEL/routes[0]/limit", and the same with "breaker".
 */
#ifndef BRIDLE_MODEL_GUARDS_H
#define BRIDLE_MODEL_GUARDS_H

#include "model/snapshot.h"

/* One for each of config->policies, in @arena; guards_free gives their references back. */
struct guard *guards_new(const struct config *config, struct tallies *tallies, struct arena *arena);
void guards_free(struct guard *guards, size_t n);

#endif
