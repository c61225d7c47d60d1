/*
 * What is between a call to a name that no file lists and the registry: takes the name from the
 * worker that asks, has it followed (found_names.h says for how long), makes a service of it, and
 * tells the workers how it went. Belongs to the control thread.
 */
#ifndef BRIDLE_DAEMON_LOOKUPS_H
#define BRIDLE_DAEMON_LOOKUPS_H

#include <stdbool.h>

#include "base/slice.h"

struct control;
struct lookups;

/* Needs c->loop, c->inbox and c->workers, which are borrowed, and sets c->found_names. */
struct lookups *lookups_new(struct control *c);
void lookups_free(struct lookups **lookups);
/* A worker asks, from its own thread; @arg is the lookups. */
void lookups_want(void *arg, struct slice name);
/* What the registry says of a name that is followed: are there endpoints, and if not, why. */
void lookups_heard(struct lookups *lookups, struct slice name, bool has_endpoints, const char *why);
/* The workers have a new snapshot: whoever waits for what is new in it can go on. */
void lookups_published(struct lookups *lookups);
/* The file has changed: without "*" nothing is followed any more. */
void lookups_reloaded(struct lookups *lookups);

#endif
