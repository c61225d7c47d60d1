/*
 * The names that our ends of connections to applications are bound to where these ask for the
 * metadata of their calls: bridled-PROCESS-WORKER-NUMBER, in the abstract namespace. A number is
 * taken by chance, so that neither a process that had the same id before nor one in another
 * container comes to the same name.
 */
#ifndef BRIDLE_PROXY_UPSTREAM_NAME_H
#define BRIDLE_PROXY_UPSTREAM_NAME_H

#include <sys/types.h>

#include "base/slice.h"

#define UPSTREAM_NAME_MAX 64u

struct upstream_name {
	pid_t process;
	unsigned worker;
	uint64_t number; /* not 0 */
};

/* A view into @room. */
struct slice upstream_name_write(const struct upstream_name *name, char room[UPSTREAM_NAME_MAX]);
/* False: it is none, to the letter. */
bool upstream_name_read(struct slice text, struct upstream_name *name);

#endif
