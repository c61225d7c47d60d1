/*
 * Copies of calls for another service: sent once the call itself is on its way, their replies
 * dropped. Nobody waits for one; it costs its caller no time, and where memory is short it is left
 * out.
 */
#ifndef BRIDLE_PROXY_MIRROR_H
#define BRIDLE_PROXY_MIRROR_H

#include <stdbool.h>

struct call;

/* What stands between the decision to mirror and the copy is that the whole call has to be here. */
bool mirror_is_due(const struct call *call);
/* Sends the copy: once for a call. */
void mirror_send(struct call *call);

#endif
