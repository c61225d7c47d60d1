/*
 * Runs the `tests:` of a file: each is a call that nobody made, and what has to become of it. They
 * are decided by route_decide, on the file's endpoints as they are written.
 */
#ifndef BRIDLE_MODEL_CONFIG_TESTS_H
#define BRIDLE_MODEL_CONFIG_TESTS_H

#include "model/config.h"

/* Complains in @problems about each that fails: what was expected, what came, which rules were
 * tried. Returns how many failed. */
size_t config_tests_run(const struct config *config, struct problems *problems);

#endif
