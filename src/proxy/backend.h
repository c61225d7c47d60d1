/*
 * One worker's mutable side of an endpoint: the connections to it and what they did. Keyed by
 * service and address; made when the endpoint is first wanted, so that a snapshot of thousands
 * costs a worker nothing, and kept for as long as the snapshots name it.
 */
#ifndef BRIDLE_PROXY_BACKEND_H
#define BRIDLE_PROXY_BACKEND_H

#include "base/address.h"
#include "base/list.h"
#include "base/stat.h"
#include "net/loop.h"
#include "policy/latency.h"
#include "policy/lb.h"
#include "rpc/codec.h"

struct endpoint_tally;
struct service;
struct service_stats;
struct snapshot;
struct upstream;
struct worker;

#define BACKEND_DISCARDING_MAX 4u /* connections that wait for a reply nobody wants */

struct backend {
	struct worker *worker; /* borrowed */
	char *key;             /* owned: label NUL address */
	size_t key_len;
	struct list link;             /* in worker->backend_list */
	unsigned users;               /* worlds that have it in their arrays */
	bool is_vanished;             /* no snapshot names it: it goes with what is left of it */
	struct endpoint_tally *tally; /* owned reference */
	bool names_connections;       /* its application asks for metadata by their names */
	struct address address;
	struct service_stats *stats; /* borrowed from the worker */
	struct codec_limits limits;  /* of replies */
	char *introduced_as; /* owned: its service, for the PROXY header that its connections begin
			      * with; NULL: they begin with none */

	struct list idle;    /* most recently used first */
	struct list busy;    /* leased, connecting, discarding, closing */
	struct list shared;  /* multiplexed */
	struct list oneways; /* for oneways alone */
	unsigned n_discarding;

	/* pool.connections: attempts that wait for one of them, the longest first. */
	unsigned most_connections;
	struct list hungry;
	/* pool.warm: so many idle ones are kept ready; some are on their way. */
	unsigned warm, n_warming;
	unsigned warm_keep;
	usec_t warm_keep_for, warm_within;
	struct loop_work supply; /* hands out what is free, and makes what is missing */

	/* What balancing asks of it on this worker. */
	struct latency latency;
	usec_t connect_time; /* moving average; 0: never connected */

	/* Read by any thread. Of its connections those in `idle`; attempts that wait because of
	 * pool.connections; connects that found the accept queue full. */
	struct counter in_flight, connections, calls, errors;
	struct counter n_idle, waiting, backlog;
	struct histogram took;
};

/* Finds or makes the backend of @endpoint and counts one more user. */
struct backend *backend_use(struct worker *worker, const struct service *service, size_t endpoint,
    struct service_stats *stats, const struct snapshot *snapshot);
void backend_unuse(struct backend **backend);
/* Its connections end with their calls: it has vanished, or an operator has disabled it. */
bool backend_is_going(const struct backend *backend);
/* Does the snapshot that the worker has now still name it? Then it follows what the snapshot says
 * of its pool; else it vanishes. */
void backend_follow(struct backend *backend, const struct snapshot *snapshot);
/* No snapshot names it any more: closes what is idle; busy connections go when their calls end, and
 * the backend with the last of them and its last user. */
void backend_vanish(struct backend *backend);
/* Closes every connection, at the end of everything. */
void backend_close_all(struct backend *backend);
/* A reply took so long; a connect did. */
void backend_note_reply(struct backend *backend, usec_t took, usec_t now);
void backend_note_connect(struct backend *backend, usec_t took);
/* What it is like now, for balancing. */
struct lb_load backend_load(const struct backend *backend, usec_t now);
/* Called by its connections when one is gone. */
void backend_connection_gone(struct backend *backend);

#endif
