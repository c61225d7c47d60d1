/*
 * Looks once a second how much of its memory and its descriptors the process uses, and tells the
 * workers what follows from it (proxy/overload.h). The control thread's.
 */
#ifndef BRIDLE_DAEMON_OVERLOAD_WATCH_H
#define BRIDLE_DAEMON_OVERLOAD_WATCH_H

#include "daemon/workers.h"

struct overload_watch;

/* @workers and *@snapshot, whose configuration says limits.memory, are borrowed. */
struct overload_watch *overload_watch_new(
    struct loop *loop, struct workers *workers, struct snapshot *const *snapshot);
void overload_watch_free(struct overload_watch **watch);

/* Memory of this process that is in use, in bytes; 0 where it cannot be told. */
uint64_t overload_resident(void);
/* Descriptors of this process that are open; 0 where it cannot be told. */
uint64_t overload_descriptors(void);

#endif
