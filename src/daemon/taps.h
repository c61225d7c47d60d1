/*
 * Those who look on while calls go by: a few askers of the admin door at a time, each with a
 * filter. What their taps see comes from the workers by messages and goes on to them, line by line;
 * whoever reads too slowly loses lines and is told how many.
 */
#ifndef BRIDLE_DAEMON_TAPS_H
#define BRIDLE_DAEMON_TAPS_H

#include "base/err.h"
#include "base/slice.h"

struct http_reply;
struct inbox;
struct loop;
struct taps;
struct workers;

/* All borrowed; @inbox is of @loop, the control thread's. */
struct taps *taps_new(struct loop *loop, struct inbox *inbox, struct workers *workers);
/* Each answer ends as it should, with all calls that have ended by now. The workers still run. */
void taps_free(struct taps **taps);

/*
 * From within a request: what @query asks for is answered from now on, once all workers look.
 * Returns 0, or -1 with @err saying what is wrong with it; its code is EBUSY where there are too
 * many already.
 */
int taps_open(struct taps *taps, struct slice query, struct http_reply *reply, struct err *err);

#endif
