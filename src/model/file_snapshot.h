/*
 * The world as a file alone has it: its endpoints as they are written, a host name as one endpoint,
 * nothing ejected, nothing down. What only a registry knows is imagined: an endpoint without tags,
 * one for each subset, and one for each that a test of the file expects. For the file's own tests
 * and for explanations without a daemon.
 */
#ifndef BRIDLE_MODEL_FILE_SNAPSHOT_H
#define BRIDLE_MODEL_FILE_SNAPSHOT_H

#include "model/snapshot.h"

/* Owned by the caller, who gives it back with file_snapshot_free; @config is borrowed until
 * then. */
struct snapshot *file_snapshot_new(const struct config *config);
/* The same with what moves out of @tallies: while they are there endpoints can be ejected. */
struct snapshot *file_snapshot_with(const struct config *config, struct tallies *tallies);
void file_snapshot_free(struct snapshot **snapshot);

#endif
