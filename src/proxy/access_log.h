/* One line for each call, also for those that were refused: JSON, or the operator's format. */
#ifndef BRIDLE_PROXY_ACCESS_LOG_H
#define BRIDLE_PROXY_ACCESS_LOG_H

#include "base/clock.h"

struct call;

/* Writes the line of a finished call to the worker's sink, if the configuration wants it. @now is
 * monotonic. */
void access_log_call(struct call *call, usec_t now);

#endif
