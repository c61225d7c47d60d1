/*
 * Tallies: the process-wide moving state of services, endpoints, limits and breakers. Found by name
 * on the control thread when a snapshot is built, counted references in snapshots, so they survive
 * reloads; what no snapshot names is forgotten after ten minutes. Workers touch them with atomics
 * alone; the one lock is taken when an endpoint is about to be ejected or its health changes, which
 * is never the usual path of a call.
 */
#ifndef BRIDLE_MODEL_TALLY_H
#define BRIDLE_MODEL_TALLY_H

#include <pthread.h>

#include "base/ref.h"
#include "model/config.h"
#include "policy/breaker.h"
#include "policy/budget.h"
#include "policy/eject.h"
#include "policy/limiter.h"

struct tallies; /* the table; control thread only */

struct tallies *tallies_new(void);
void tallies_free(struct tallies **tallies);
/* Forgets what nobody has named for ten minutes. */
void tallies_sweep(struct tallies *tallies, usec_t now);

enum health { HEALTH_UNKNOWN, HEALTH_UP, HEALTH_DOWN };
const char *health_name(enum health health); /* "up", "down", "unknown" */

/* One address of a service. */
struct endpoint_tally {
	struct ref ref;
	struct service_tally *service;  /* owned reference */
	char *address;                  /* owned */
	_Atomic usec_t since;           /* when it came to a service that was there; 0: with it */
	_Atomic int health;             /* enum health */
	_Atomic uint64_t ejected_until; /* 0: not ejected */
	_Atomic unsigned failures;      /* in a row */
	_Atomic uint64_t ejections;     /* ever */
	atomic_bool is_disabled; /* by an operator: calls of older snapshots go elsewhere, too */
	atomic_bool is_present;  /* in the newest snapshot; written under the service's lock */
	usec_t absent_since;     /* private to the table */
};

struct service_tally {
	struct ref ref;
	char *label; /* owned */
	struct budget budget;
	/* Some endpoint was ejected, or is down: only then is it worth to look for how many are
	 * out. */
	_Atomic unsigned troubles;
	_Atomic uint64_t ejections, budget_exhausted; /* ever */
	/* An attempt has ended since the control thread looked; written only when it is another, so
	 * that workers do not take it from each other. */
	atomic_bool is_used;
	uint64_t times_used;               /* private to the control thread: found used so often */
	pthread_mutex_t lock;              /* endpoints coming, going, ejected, up, down */
	struct endpoint_tally **endpoints; /* present ones; borrowed; under the lock */
	size_t n_endpoints;
	/* Private: until when, for policies with that at_most or less, no more may be ejected;
	 * the one that ejected last. */
	_Atomic uint64_t full_until;
	_Atomic double full_share;
	struct eject_policy ejected_by;
	bool had_endpoints;  /* private to the control thread: a first set was there */
	usec_t absent_since; /* private to the table */
};

/* Control thread; counted references for the caller. */
struct service_tally *tallies_service(struct tallies *tallies, struct slice label);
struct endpoint_tally *tallies_endpoint(
    struct tallies *tallies, struct service_tally *service, struct slice address, usec_t now);
/* These are the endpoints that the newest snapshot has: what is ejected of others counts no
 * more. */
void service_tally_present(
    struct service_tally *service, struct endpoint_tally *const *list, size_t n);
void service_tally_unref(struct service_tally **tally);
struct endpoint_tally *endpoint_tally_ref(struct endpoint_tally *tally);
void endpoint_tally_unref(struct endpoint_tally **tally);
/* Is it an endpoint of the newest snapshot? Any thread. */
bool endpoint_tally_is_present(const struct endpoint_tally *tally);

/* Control thread, which builds the newest snapshot. */
static inline void endpoint_tally_disable(struct endpoint_tally *t, bool is_disabled)
{
	atomic_store_explicit(&t->is_disabled, is_disabled, memory_order_relaxed);
}
/* Any thread. */
static inline bool endpoint_tally_is_disabled(const struct endpoint_tally *t)
{
	return atomic_load_explicit(&t->is_disabled, memory_order_relaxed);
}

/* Any thread. A good end of an attempt, or a bad one that counts; true when that ejects it now. */
void endpoint_tally_good(struct endpoint_tally *tally);
bool endpoint_tally_bad(struct endpoint_tally *tally, const struct eject_policy *p, usec_t now);
static inline bool endpoint_tally_is_ejected(const struct endpoint_tally *t, usec_t now)
{
	return atomic_load_explicit(&t->ejected_until, memory_order_relaxed) > now;
}
/* Any thread. What a health check found, after rise and fall; true when it is another than
 * before. */
bool endpoint_tally_set_health(struct endpoint_tally *tally, enum health health);
/* Neither ejected nor down. */
static inline bool endpoint_tally_is_usable(const struct endpoint_tally *t, usec_t now)
{
	return !endpoint_tally_is_ejected(t, now) &&
	       atomic_load_explicit(&t->health, memory_order_relaxed) != HEALTH_DOWN;
}

/*
 * One limit. By caller or method it holds a state for each key, with room for LIMIT_KEYS and some
 * more: of those that could be replaced the one unused for the longest gives way. Keys are known by
 * a hash; its memory is there only when a configuration asks for it, and does not grow.
 */
#define LIMIT_KEYS 10000u

struct limit_tally;

struct limit_tally *tallies_limit(
    struct tallies *tallies, struct slice name, const struct limit_config *config);
struct limit_tally *limit_tally_ref(struct limit_tally *tally);
void limit_tally_unref(struct limit_tally **tally);

/* Who a call is to a limit. */
struct limit_who {
	struct slice caller, method;
};

#define LIMIT_REFUSED     UINT64_C(0)
#define LIMIT_TAKEN       UINT64_C(1)
#define LIMIT_TAKEN_SPARE UINT64_C(2) /* with share: equal, what others left */

/* Within the rate? Takes; LIMIT_REFUSED (0) if not. Exact for the process. With share: equal a
 * caller within its share is let through before one beyond; for that the whole may be ahead of its
 * rate by the calls of four seconds, and by no more than 16 or one for each caller. */
uint64_t limit_take(struct limit_tally *tally, const struct limit_config *config,
    const struct limit_who *who, usec_t now);
/* What limit_take took, as it said, goes back: another limit refused the call. */
void limit_give_back(struct limit_tally *tally, const struct limit_config *config,
    const struct limit_who *who, uint64_t taken, usec_t now);
/* A slot of `concurrency`: a place that is given back with limit_leave, or LIMIT_REFUSED. That
 * does not count as a refusal of the call, which may wait for a slot. */
uint64_t limit_enter(struct limit_tally *tally, const struct limit_config *config,
    const struct limit_who *who, usec_t now);
void limit_leave(struct limit_tally *tally, uint64_t place);
/* With share: equal, would a slot be the caller's by right? Those whose it is go first. */
bool limit_is_within_share(struct limit_tally *tally, const struct limit_config *config,
    const struct limit_who *who, usec_t now);
/*
 * Places in the queue of those who wait for a slot, at most queue_length (with `by` for each key),
 * divided evenly among the callers that are there with share: equal. A place that is given back
 * with limit_queue_leave, or LIMIT_REFUSED.
 */
uint64_t limit_queue_enter(struct limit_tally *tally, const struct limit_config *config,
    const struct limit_who *who, usec_t now);
void limit_queue_leave(struct limit_tally *tally, uint64_t place);
/* For handing a freed slot to the worker whose first waiter has waited longest: each worker notes
 * since when (0: none waits); the answer is a worker, or -1 when nobody waits. */
#define LIMIT_WORKERS_MAX 256u
void limit_note_waiting(struct limit_tally *tally, unsigned worker, usec_t since);
int limit_longest_waiting(const struct limit_tally *tally);
/* Since when the first one of that worker waits; 0: none waits. */
usec_t limit_waiting_since(const struct limit_tally *tally, unsigned worker);
/* A call was refused for lack of a slot. */
void limit_count_refused(struct limit_tally *tally);
/* For reports: calls that have a slot; calls refused, by the rate or for lack of a slot. */
uint64_t limit_running(const struct limit_tally *tally);
uint64_t limit_refused(const struct limit_tally *tally);

/* One breaker: of a service, a route, a method; with by: method one for each method, with room for
 * a thousand and some more: of those that could be replaced the one unused for the longest gives
 * way. */
struct breaker_tally;

struct breaker_tally *tallies_breaker(struct tallies *tallies, struct slice name);
void breaker_tally_unref(struct breaker_tally **tally);
struct breaker *breaker_tally_find(struct breaker_tally *tally, const struct breaker_config *config,
    struct slice method, usec_t now);
/* The worst state of its breakers, for /services. */
enum breaker_state breaker_tally_state(
    const struct breaker_tally *tally, const struct breaker_config *config, usec_t now);

#endif
