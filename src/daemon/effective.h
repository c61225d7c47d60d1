/*
 * The configuration that calls run under: what the file says, what registries say over it
 * (governance documents), and the names that "*" stands for. Each change of one of the latter two
 * binds the file's own tree anew with them and publishes the result; a reload does the same with a
 * new file.
 */
#ifndef BRIDLE_DAEMON_EFFECTIVE_H
#define BRIDLE_DAEMON_EFFECTIVE_H

#include "model/snapshot.h"

struct control;
struct effective;
struct registry;

/* Sets c->governance, which it owns. Needs c->loop and c->discovery, which follows @file. */
struct effective *effective_new(struct control *c, struct shared_config *file);
void effective_free(struct effective **effective);

/* After a reload: publishes what @file, which discovery follows, comes to. */
void effective_reload(struct control *c, struct shared_config *file);
/* Gives the doors the connections that listeners may have by now; after they were opened for a file
 * as it stands. */
void effective_limit_doors(struct control *c);
/* Governance or found names have changed: builds it anew from the file that was loaded last, and
 * publishes it; soon, and once for a burst. */
void effective_changed(struct control *c);

#endif
