#include "model/file_snapshot.h"

#include <stdlib.h>

#include "base/mem.h"

static struct endpoint_set set_of(const struct service_config *service, struct arena *arena)
{
	struct endpoint *list = arena_calloc(arena, service->n_endpoints, sizeof *list);

	for (size_t i = 0; i < service->n_endpoints; i++) {
		const struct endpoint_config *from = &service->endpoints[i];

		list[i] = (struct endpoint){
		    .address = from->address,
		    .weight = from->weight,
		    .zone = from->zone,
		    .tags = from->tags,
		};
	}
	return (struct endpoint_set){
	    list, service->n_endpoints, list ? ENDPOINTS_FRESH : ENDPOINTS_EMPTY};
}

struct snapshot *file_snapshot_with(const struct config *config, struct tallies *tallies)
{
	/* A snapshot never changes its configuration; only the last owner would free it. */
	struct shared_config *shared = shared_config_new((struct config *)(uintptr_t)config);
	struct endpoint_set *sets;
	struct snapshot *s;
	struct arena arena;

	arena_init(&arena, NULL, 0);
	sets = arena_calloc(&arena, config->n_services, sizeof *sets);
	for (size_t i = 0; i < config->n_services; i++)
		sets[i] = set_of(config->services[i], &arena);
	s = snapshot_new(shared, sets, tallies, NULL, 0);
	shared_config_unref(&shared);
	arena_fini(&arena);
	return s;
}

struct snapshot *file_snapshot_new(const struct config *config)
{
	struct tallies *tallies = tallies_new();
	struct snapshot *s = file_snapshot_with(config, tallies);

	tallies_free(&tallies);
	return s;
}

void file_snapshot_free(struct snapshot **snapshot)
{
	struct shared_config *shared = shared_config_ref((*snapshot)->shared);

	snapshot_unref(snapshot);
	shared->config = NULL; /* it is its lender's */
	shared_config_unref(&shared);
}
