#include "proxy/world.h"

#include <stdlib.h>

#include "base/mem.h"
#include "proxy/backend.h"
#include "proxy/worker.h"

static void fill_service(
    struct world *world, struct world_service *ws, const struct service *service)
{
	struct worker *worker = world->worker;

	ws->service = service;
	ws->stats = worker_service_stats(worker, service->label);
	ws->backends = mem_calloc(service->n_endpoints, sizeof(struct backend *));
	ws->balance = mem_calloc(service->n_groups, sizeof *ws->balance);
	for (size_t i = 0; i < service->n_groups; i++)
		balance_state_init(&ws->balance[i], &service->groups[i], &worker->rng);
	ws->is_local = service->n_endpoints > 0;
	for (size_t i = 0; i < service->n_endpoints; i++)
		ws->is_local &= address_is_local(&service->endpoints[i].address);
	for (size_t i = 0; i < service->n_endpoints; i++)
		ws->backends[i] = backend_use(
		    worker, service, &service->endpoints[i].address, ws->stats, world->snapshot);
}

struct world *world_new(struct worker *worker, struct snapshot *snapshot)
{
	struct world *world = mem_calloc(1, sizeof *world);

	list_init(&world->link);
	world->worker = worker;
	world->snapshot = snapshot_ref(snapshot);
	world->services = mem_calloc(snapshot->n_services, sizeof *world->services);
	pthread_mutex_lock(&worker->backends_lock);
	for (size_t i = 0; i < snapshot->n_services; i++)
		fill_service(world, &world->services[i], &snapshot->services[i]);
	pthread_mutex_unlock(&worker->backends_lock);
	return world;
}

void world_free(struct world **p)
{
	struct world *world = *p;

	*p = NULL;
	pthread_mutex_lock(&world->worker->backends_lock);
	for (size_t i = 0; i < world->snapshot->n_services; i++) {
		struct world_service *ws = &world->services[i];

		for (size_t k = 0; k < ws->service->n_endpoints; k++)
			backend_unuse(&ws->backends[k]);
		free(ws->backends);
		for (size_t k = 0; k < ws->service->n_groups; k++)
			balance_state_fini(&ws->balance[k]);
		free(ws->balance);
	}
	pthread_mutex_unlock(&world->worker->backends_lock);
	free(world->services);
	list_remove(&world->link);
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
