/* An atomic reference count, for what threads share. */
#ifndef BRIDLE_BASE_REF_H
#define BRIDLE_BASE_REF_H

#include <stdatomic.h>
#include <stdbool.h>

struct ref {
	atomic_uint count;
};

static inline void ref_init(struct ref *r)
{
	atomic_init(&r->count, 1);
}

static inline void ref_take(struct ref *r)
{
	atomic_fetch_add_explicit(&r->count, 1, memory_order_relaxed);
}

/* True for the holder that dropped the last reference: it frees. */
static inline bool ref_drop(struct ref *r)
{
	return atomic_fetch_sub_explicit(&r->count, 1, memory_order_acq_rel) == 1;
}

/* Nobody else has one: true stays true for as long as the caller gives none away. */
static inline bool ref_is_sole(struct ref *r)
{
	return atomic_load_explicit(&r->count, memory_order_acquire) == 1;
}

#endif
