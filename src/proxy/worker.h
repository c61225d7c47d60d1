/*
 * One data-plane thread's side of the proxy: its connections, its calls, its pools, its counters.
 * Everything here belongs to the thread that runs the worker's loop, except what says otherwise.
 * The thread itself, and what it is told from outside, is the business of daemon/.
 */
#ifndef BRIDLE_PROXY_WORKER_H
#define BRIDLE_PROXY_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/address.h"
#include "base/http2_limits.h"
#include "base/list.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/stat.h"
#include "base/wheel.h"
#include "model/snapshot.h"
#include "proxy/access_line.h"
#include "proxy/call_stats.h"
#include "proxy/metadata_page.h"
#include "proxy/correlation.h"
#include "proxy/overload.h"
#include "proxy/span.h"
#include "rpc/carry.h"

struct loop;
struct call;
struct tap_list;
struct world;

/* What all workers share: atomics, and what has a lock that usual calls do not take. */
struct process_shares {
	struct label_names *label_names;   /* borrowed; NULL: each worker bounds its own */
	atomic_uint_least64_t memory;      /* bytes of long messages held, against limits.memory */
	atomic_uint_least64_t connections; /* downstream, against limits.connections */
	atomic_uint connecting;            /* accepted above the limits, held to be answered once */
	struct overload overload;
	/* borrowed; NULL: nothing is ever tied to what is in flight */
	struct correlation *correlation;
};

/* Takes one access-log line without its newline; must not block. */
typedef void (*access_sink_fn)(void *arg, const char *line, size_t len);

/* What a listener has seen on this worker; added once, never removed, read by any thread. */
struct listener_stats {
	_Atomic(struct listener_stats *) next;
	char *name;
	struct counter connections; /* open now */
	struct counter calls;
	struct counter refused_connections;        /* by allow and deny */
	struct counter http2_limits[HTTP2_LIMITS]; /* connections that one of these ended */
};

enum metadata_class {
	METADATA_PERSISTENT,
	METADATA_TRANSIENT,
	METADATA_HEADER,
	METADATA_INT,
	METADATA_ACL,
	METADATA_CHECKSUM,
	METADATA_BIZ,
	METADATA_IDENTITY,
	METADATA_CLASSES,
};
const char *metadata_class_name(enum metadata_class class);
struct worker;
/* What an edit, or an attestation, had no place for: enum rpc_dropped is the same list. */
void worker_count_dropped(struct worker *worker, const unsigned dropped[METADATA_CLASSES]);

enum attempt_outcome {
	ATTEMPT_OK,
	ATTEMPT_EXCEPTION,
	ATTEMPT_CONNECT_FAILED,
	ATTEMPT_UNSENT,
	ATTEMPT_RESET,
	ATTEMPT_TIMEOUT,
	ATTEMPT_BAD_REPLY,
	ATTEMPT_CANCELED,
	ATTEMPT_LOST, /* another attempt of the same call was faster */
	ATTEMPT_OUTCOMES,
};
const char *attempt_outcome_name(enum attempt_outcome outcome);

/* Per service label, those past CALL_STATS_SERVICES together; added once, never removed, read by
 * any thread. */
struct service_stats {
	_Atomic(struct service_stats *) next;
	char *label;
	struct counter attempts[ATTEMPT_OUTCOMES];
	struct counter retries_connect, retries_unsent, retries_failure, retries_backup;
	struct counter fallbacks, mirrored;  /* calls led away from it; copies sent to it */
	struct counter upstream_connections; /* open now */
	struct counter messages[2], message_bytes[2]; /* of streams: in from callers, out to them */
	/* Calls that its application made meanwhile, by what came of tying them. */
	struct counter correlated[CORRELATION_COUNTED];
	struct counter connect_backlog;
	struct counter
	    odd_sequence_ids; /* TTHeader SEQ of a reply differs, on a leased connection */
};

/* What is left to do before all backends follow the present world; a part in each turn of the loop,
 * so that thousands of endpoints hold no call up. Private to settling.c. */
struct settling {
	size_t n_backends;        /* from the front of the list, not looked at yet */
	size_t service, endpoint; /* where making backends for pool.warm is */
	struct timer next;
};

struct worker {
	unsigned index;
	struct loop *loop;             /* borrowed */
	struct process_shares *shares; /* borrowed */
	struct rng rng;

	char *node;            /* owned: node.service, which no reload can change */
	struct world *world;   /* the present snapshot with this worker's side of its services */
	struct list worlds;    /* older ones whose calls still run */
	struct table backends; /* "label\0address" -> backend */
	/* Guards the table against readers: taken when a backend is made or goes. */
	pthread_mutex_t backends_lock;
	struct list backend_list; /* of those in the table */
	struct settling settling;
	struct table named; /* by number: connections with a name, see metadata_page.h */

	struct table
	    slot_queues; /* by limit: calls that wait for a slot; private to slot_queue.c */
	/* A slot of that limit (a counted reference) is free, of use to waiters of another worker:
	 * to be handed to slot_queue_freed in its thread. NULL: there is no other. */
	void (*wake)(void *arg, unsigned worker, struct limit_tally *tally, uint64_t key);
	/* Calls ask for a service of that name, which no file lists: naming_settled is to follow,
	 * in this worker's thread. NULL: nobody looks names up. */
	void (*want_name)(void *arg, struct slice name);
	void *wake_arg;

	struct table name_waits; /* by name: calls that wait for it; private to naming.c */

	struct list downstreams;
	struct list orphans; /* calls without a caller: oneways on their way, mirrored copies */
	unsigned n_mirrors;
	struct call *free_calls; /* owned, a bounded free list */
	unsigned n_free_calls;
	uint64_t next_call; /* numbers calls, for log ids */
	bool draining;      /* callers are asked to go */
	usec_t
	    patient_until; /* of draining: callers at rest who have no word for it are left alone */
	bool is_stopping;  /* for good */
	bool is_ending;    /* what still runs is cut off */

	access_sink_fn access_sink; /* NULL: no access log */
	void *access_arg;
	bool access_is_clocked; /* whoever takes the lines writes down when they came */
	struct tap_list *taps;  /* a reference: who looks on; NULL: nobody */
	struct access_clock access_clock;
	struct span_outbox spans;

	struct call_stats calls;
	_Atomic(struct listener_stats *) listeners;
	_Atomic(struct service_stats *) services;
	struct table stats_by_label;        /* the same, for this thread */
	struct counter bytes_in, bytes_out; /* callers' side */
	struct counter metadata_dropped[METADATA_CLASSES];
	struct counter metadata_asked[METADATA_ANSWERS];
	struct counter metadata_unedited[RPC_UNCARRIED]; /* bodies that were given none */
	struct counter calls_running, calls_total;
	/* Counted up by whoever hands connections over, down by the worker. */
	atomic_uint connections;

	struct log_gate gates[REASON_COUNT];
};

/* @snapshot: takes a reference of its own. */
struct worker *worker_new(unsigned index, struct loop *loop, struct process_shares *shares,
    struct snapshot *snapshot, uint64_t seed);
/* Every connection is closed and every call ended as it is; only then may readers stop. */
void worker_free(struct worker **worker);

/* Runs new calls on @snapshot (takes a reference of its own); connections to unchanged endpoints
 * stay; connections of listeners that are gone are drained. */
void worker_adopt(struct worker *worker, struct snapshot *snapshot);

/*
 * Serves an accepted connection; the descriptor is the worker's from here on. @listener is what its
 * listener was called when it came, @door the address as the file has it. The caller has counted it
 * in worker->connections and shares->connections already. @over_limit: answer one call with
 * connection_limited, then close.
 */
void worker_take(struct worker *worker, const char *listener, const char *door, int fd,
    const struct address *from, bool over_limit);

/* No new work: idle connections close over @spread, busy ones after their calls, TTHeader replies
 * carry crrst from now on. */
void worker_drain(struct worker *worker, usec_t spread);
/* When it drains: a connection at rest whose caller knows no word for that is for so long left to
 * the caller to close. 0: not any longer. */
void worker_be_patient(struct worker *worker, usec_t time);
/* It is wanted again: who was not told to go yet stays. */
void worker_undrain(struct worker *worker);
/* The process ends when its calls have ended: callers who have ended their side are not waited
 * for. */
void worker_stop(struct worker *worker);
/* The time to drain is over: whatever still runs is answered with that, and connections end. */
void worker_cut(struct worker *worker);

/* Closes connections to endpoints that carry no call. */
void worker_shrink(struct worker *worker);

/* For proxy/: finds or adds what is counted under a name. */
struct service_stats *worker_service_stats(struct worker *worker, struct slice label);
struct listener_stats *worker_listener_stats(struct worker *worker, const char *name);
/* Counts bytes of a long message in and out of the process's limit; false: over it. */
bool worker_charge(struct worker *worker, size_t bytes);
void worker_uncharge(struct worker *worker, size_t bytes);
/* Brings *@charged to what a connection holds now; a little is free. False: over the limit. */
bool worker_charge_held(struct worker *worker, size_t held, size_t *charged);

/* The state of one endpoint on this worker, for /services. */
struct backend_report {
	uint64_t in_flight, connections, calls, errors;
	uint64_t idle, waiting, backlog; /* of the pool: see struct backend */
	struct histogram took;
};
/* From any thread. False when the worker has not used that endpoint. Adds to what is in @report. */
bool worker_backend_report(
    struct worker *worker, struct slice label, struct slice address, struct backend_report *report);

#endif
