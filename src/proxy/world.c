#include "proxy/world.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/correlation.h"
#include "proxy/tying.h"
#include "proxy/worker.h"

struct world *world_new(struct worker *worker, struct snapshot *snapshot)
{
	struct world *world = mem_calloc(1, sizeof *world);

	list_init(&world->link);
	world->worker = worker;
	world->snapshot = snapshot_ref(snapshot);
	world->correlates = tying_is_asked(snapshot);
	if (!world->correlates && worker->shares->correlation)
		correlation_begin_blind(worker->shares->correlation);
	world->services = mem_calloc(snapshot->n_services, sizeof *world->services);
	for (size_t i = 0; i < snapshot->n_services; i++) {
		const struct service *service = &snapshot->services[i];

		world->services[i].service = service;
		world->introduces |= service->config->metadata.type == METADATA_PROXY_V2;
		world->services[i].stats = worker_service_stats(worker, service->label);
	}
	return world;
}

struct backend *world_backend(struct world *world, struct world_service *ws, size_t endpoint)
{
	if (ws->backends == NULL)
		ws->backends = mem_calloc(ws->service->n_endpoints, sizeof(struct backend *));
	if (ws->backends[endpoint] == NULL)
		ws->backends[endpoint] =
		    backend_use(world->worker, ws->service, endpoint, ws->stats, world->snapshot);
	return ws->backends[endpoint];
}

struct balance_state *world_balance(
    struct world *world, struct world_service *ws, const struct endpoint_group *group)
{
	const struct service *service = ws->service;

	if (ws->balance == NULL) {
		ws->balance = mem_calloc(service->n_groups, sizeof *ws->balance);
		for (size_t i = 0; i < service->n_groups; i++)
			balance_state_init(
			    &ws->balance[i], &service->groups[i], &world->worker->rng);
	}
	return &ws->balance[group->index];
}

static void free_service(struct world_service *ws)
{
	for (size_t i = 0; ws->backends && i < ws->service->n_endpoints; i++)
		if (ws->backends[i])
			backend_unuse(&ws->backends[i]);
	free(ws->backends);
	for (size_t i = 0; ws->balance && i < ws->service->n_groups; i++)
		balance_state_fini(&ws->balance[i]);
	free(ws->balance);
}

void world_free(struct world **p)
{
	struct world *world = *p;

	*p = NULL;
	for (size_t i = 0; i < world->snapshot->n_services; i++)
		free_service(&world->services[i]);
	free(world->services);
	list_remove(&world->link);
	if (!world->correlates && world->worker->shares->correlation)
		correlation_end_blind(
		    world->worker->shares->correlation, loop_now(world->worker->loop));
	snapshot_unref(&world->snapshot);
	free(world);
}

void world_retire(struct world *world)
{
	world->is_old = true;
	if (world->calls == 0)
		world_free(&world);
	else
		list_push_back(&world->worker->worlds, &world->link);
}

void world_leave(struct world *world)
{
	if (--world->calls == 0 && world->is_old)
		world_free(&world);
}
