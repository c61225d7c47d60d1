/* A finished call as a tap shows it: the fields of the access log, what its messages said beside,
 * and the beginnings of their bodies. */
#ifndef BRIDLE_PROXY_TAP_LINE_H
#define BRIDLE_PROXY_TAP_LINE_H

#include "base/clock.h"

struct call;
struct tap;
struct tap_line;

/* Takes a reference to @tap; tap->waiting does not count it yet. */
struct tap_line *tap_line_of(struct tap *tap, struct call *call, usec_t now);

#endif
