/* Who a call is said to come from, as its listener's `caller` has it. */
#ifndef BRIDLE_MODEL_CALLER_H
#define BRIDLE_MODEL_CALLER_H

#include "model/config.h"

/* @stated: what the call says, perhaps nothing. @uid: of the process behind a unix socket, -1 where
 * there is none. *replaced: whatever the call says, it is not passed on. The view is the
 * configuration's or the call's. */
struct slice caller_of(const struct config *config, const struct listener_config *listener,
    int64_t uid, struct slice stated, bool *replaced);
/* Does what a caller of the listener states of this count? Else it is taken out of its calls. */
bool caller_may_state(const struct listener_config *listener, const struct fact_key *key);

#endif
