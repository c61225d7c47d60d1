/*
 * How short the process is of memory and descriptors, as one of four levels. Each is reached at a share
 * of what there is and left only a little below it, so that it does not flicker.
 *
 * Pure: who reads the shares, and how often, is the business of daemon/; workers look at the level.
 */
#ifndef BRIDLE_PROXY_OVERLOAD_H
#define BRIDLE_PROXY_OVERLOAD_H

#include <stdatomic.h>
#include <stdbool.h>

enum overload_level {
	OVERLOAD_NONE,
	OVERLOAD_SHRINK, /* 80 %: idle connections to endpoints are closed, pools keep half */
	OVERLOAD_REFUSE, /* 90 %: new calls are refused */
	OVERLOAD_CLOSED, /* 95 %: nothing is accepted, until below 90 % */
};
const char *overload_level_name(enum overload_level level);

/* What is used of what there is, 0 to 1 and more; 0 where there is no limit. */
struct overload_shares {
	double memory;      /* held for messages, of limits.memory */
	double resident;    /* of the cgroup's limit */
	double descriptors; /* of RLIMIT_NOFILE */
};

/* The level that follows @before. */
enum overload_level overload_next(enum overload_level before, const struct overload_shares *shares);

/* Published by the control thread, read by workers for each call. */
struct overload {
	atomic_int level;
};

static inline enum overload_level overload_get(const struct overload *o)
{
	return (enum overload_level)atomic_load_explicit(&o->level, memory_order_relaxed);
}
static inline bool overload_refuses(const struct overload *o)
{
	return overload_get(o) >= OVERLOAD_REFUSE;
}
static inline void overload_set(struct overload *o, enum overload_level level)
{
	atomic_store_explicit(&o->level, (int)level, memory_order_relaxed);
}

#endif
