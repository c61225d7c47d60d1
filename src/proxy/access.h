/* Who may connect: allow and deny of a listener, and who a caller is taken for. */
#ifndef BRIDLE_PROXY_ACCESS_H
#define BRIDLE_PROXY_ACCESS_H

#include "model/config.h"

struct downstream;

/* deny first; a non-empty allow admits nobody else. */
bool access_admits(
    const struct listener_config *listener, const struct address *from, const struct downstream *d);
/* The caller's name by the listener's rule. @stated: what the call says; *@replaced: the stated
 * name is to be replaced on the wire too. */
struct slice access_caller(
    const struct downstream *d, const struct config *config, struct slice stated, bool *replaced);

#endif
