/*
 * One snapshot as a worker sees it: for each service the worker's own backends and its place in the
 * balancing. A call counts itself on the world it started in and keeps it; when an older world's
 * last call has ended it goes, and with it the worker's reference of the snapshot.
 */
#ifndef BRIDLE_PROXY_WORLD_H
#define BRIDLE_PROXY_WORLD_H

#include "base/list.h"
#include "model/balance.h"
#include "model/snapshot.h"

struct backend;
struct service_stats;
struct worker;

struct world_service {
	const struct service *service; /* borrowed from the snapshot */
	struct service_stats *stats;   /* borrowed from the worker */
	struct backend **backends;     /* private, owned; NULL where none was wanted yet */
	struct balance_state *balance; /* private, owned; NULL until the first call */
};

struct world {
	struct list link; /* in worker->worlds once it is old */
	struct worker *worker;
	struct snapshot *snapshot; /* owned reference */
	struct world_service *services;
	unsigned calls;
	bool is_old;
	bool correlates; /* some service does (proxy/tying.h) */
	bool introduces; /* some service is told of callers' connections (proxy/introduction.h) */
};

/* Costs next to nothing for each endpoint: what calls need of one is made when they need it. */
struct world *world_new(struct worker *worker, struct snapshot *snapshot);
/* This worker's side of an endpoint of the service. */
struct backend *world_backend(struct world *world, struct world_service *service, size_t endpoint);
/* Its place in the balancing of a group. */
struct balance_state *world_balance(
    struct world *world, struct world_service *service, const struct endpoint_group *group);
/* No call may be left in it. */
void world_free(struct world **world);
/* No more new calls; frees it with its last. */
void world_retire(struct world *world);
static inline void world_enter(struct world *world)
{
	world->calls++;
}
void world_leave(struct world *world);

#endif
