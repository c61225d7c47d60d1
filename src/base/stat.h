/*
 * Counters and histograms with one writer each and any number of readers: a worker counts, the
 * control thread reads and adds up. Relaxed atomics, no lock, no read-modify-write on the bus.
 */
#ifndef BRIDLE_BASE_STAT_H
#define BRIDLE_BASE_STAT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct counter {
	_Atomic uint64_t value;
};

/* Only the owning thread may call these two. */
static inline void counter_add(struct counter *c, uint64_t n)
{
	uint64_t old = atomic_load_explicit(&c->value, memory_order_relaxed);

	atomic_store_explicit(&c->value, old + n, memory_order_relaxed);
}

static inline void counter_sub(struct counter *c, uint64_t n)
{
	counter_add(c, -n);
}

/* Any thread. */
static inline uint64_t counter_get(const struct counter *c)
{
	return atomic_load_explicit(&c->value, memory_order_relaxed);
}

#define HISTOGRAM_BOUNDS 16

/* Upper bounds of the buckets in microseconds, ascending; one more bucket holds the rest. Kitex's
 * own bounds (5 ms to 1 s) are among them. Source: kitex-contrib monitor-prometheus. */
extern const usec_t histogram_bounds[HISTOGRAM_BOUNDS];

struct histogram {
	struct counter buckets[HISTOGRAM_BOUNDS + 1]; /* not cumulative */
	struct counter sum_us;
};

void histogram_add(struct histogram *h, usec_t value);
/* An estimate in microseconds for @share of 0..1, by interpolation; 0 when nothing was counted. */
usec_t histogram_quantile(const struct histogram *h, double share);

#endif
