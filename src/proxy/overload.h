/*
 * How short the process is of memory and descriptors, each as one of four levels. A level is
 * reached at a share of what there is and left only a little below it, so that it does not flicker.
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
	OVERLOAD_REFUSE, /* 90 %: new calls are refused; of memory only */
	OVERLOAD_CLOSED, /* 95 %: nothing is accepted, until below 90 % */
};
const char *overload_level_name(enum overload_level level);

/* What is used of what there is, 0 to 1 and more; 0 where there is no limit. */
struct overload_shares {
	double memory;      /* held for messages, of limits.memory */
	double resident;    /* of the cgroup's limit */
	double descriptors; /* of RLIMIT_NOFILE */
};

/* For want of descriptors calls are never refused: nearly all go without a new one, so it goes from
 * OVERLOAD_SHRINK to OVERLOAD_CLOSED. */
struct overload_levels {
	enum overload_level memory, descriptors;
};
static inline enum overload_level overload_worst(struct overload_levels l)
{
	return l.memory > l.descriptors ? l.memory : l.descriptors;
}

/* The levels that follow @before. */
struct overload_levels overload_next(
    struct overload_levels before, const struct overload_shares *shares);

/* Published by the control thread, read by workers for each call. */
struct overload {
	atomic_int memory, descriptors; /* enum overload_level */
};

static inline struct overload_levels overload_levels(const struct overload *o)
{
	return (struct overload_levels){
	    (enum overload_level)atomic_load_explicit(&o->memory, memory_order_relaxed),
	    (enum overload_level)atomic_load_explicit(&o->descriptors, memory_order_relaxed)};
}
/* The worse of the two. */
static inline enum overload_level overload_get(const struct overload *o)
{
	return overload_worst(overload_levels(o));
}
static inline bool overload_refuses(const struct overload *o)
{
	return atomic_load_explicit(&o->memory, memory_order_relaxed) >= OVERLOAD_REFUSE;
}
static inline void overload_set(struct overload *o, struct overload_levels levels)
{
	atomic_store_explicit(&o->memory, (int)levels.memory, memory_order_relaxed);
	atomic_store_explicit(&o->descriptors, (int)levels.descriptors, memory_order_relaxed);
}

#endif
