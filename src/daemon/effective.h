/*
 * The configuration that calls run under: what the file says, what registries say over it (governance
 * documents), and the names that "*" stands for. Each change of one of the latter two binds the file's
 * own texts anew with them and publishes the result; a reload does the same with a new file.
 */
#ifndef BRIDLE_DAEMON_EFFECTIVE_H
#define BRIDLE_DAEMON_EFFECTIVE_H

#include "model/config.h"

struct control;

/* What @file comes to with what is known now; consumes @file. @file itself where nothing is to be
 * added. Overlays that are wrong are logged and left out. */
struct config *effective_config(struct control *c, struct config *file);
/* Governance or found names have changed: builds it anew from the file that was loaded last, and
 * publishes it; soon, and once for a burst. */
void effective_changed(struct control *c);

#endif
