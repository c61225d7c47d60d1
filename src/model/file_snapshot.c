#include "model/file_snapshot.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static struct endpoint_set written(const struct service_config *service, struct arena *arena)
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

/* ---- what a registry would say ---- */

/* Stand for endpoints that nobody has looked up: one of each kind that the file knows of. */
struct imagined {
	struct arena *arena;
	const struct service_config *service;
	struct endpoint *list;
	size_t n;
};

/* @more wins over what discovery asks for. */
static struct config_map with_tags(const struct imagined *im, const struct config_map *more)
{
	const struct config_map *asked = &im->service->discover.tags;
	struct config_pair *pairs = arena_calloc(im->arena, asked->n + more->n, sizeof *pairs);
	size_t n = 0;

	for (size_t i = 0; i < more->n; i++)
		if (more->pairs[i].value[0])
			pairs[n++] = more->pairs[i];
	for (size_t i = 0; i < asked->n; i++)
		if (config_map_find(more, asked->pairs[i].name) == NULL)
			pairs[n++] = asked->pairs[i];
	qsort(pairs, n, sizeof *pairs, config_pair_compare);
	return (struct config_map){pairs, n};
}

static void imagine(struct imagined *im, const struct config_map *tags)
{
	struct endpoint *e = &im->list[im->n++];

	*e = (struct endpoint){.weight = 1, .tags = with_tags(im, tags)};
	e->address.kind = ADDRESS_NAME;
	snprintf(e->address.text, sizeof e->address.text, "endpoint-%zu-in-%.200s", im->n,
	    im->service->discover.from->name);
}

/* A test that expects endpoints with some tags, or a value of subset_by, takes it that there are
 * such. */
static void imagine_for_test(struct imagined *im, const struct test_config *test)
{
	const struct config_pair pair = {im->service->subset_by.tag, test->subset};
	const struct config_map by = {&pair, 1};

	if (test->endpoint_tags.n)
		imagine(im, &test->endpoint_tags);
	if (pair.name && pair.value && pair.value[0])
		imagine(im, &by);
}

static struct endpoint_set discovered(
    const struct config *config, const struct service_config *service, struct arena *arena)
{
	const struct config_map none = {0};
	struct imagined im = {arena, service, NULL, 0};

	im.list =
	    arena_calloc(arena, 1 + service->n_subsets + 2 * config->n_tests, sizeof *im.list);
	imagine(&im, &none);
	for (size_t i = 0; i < service->n_subsets; i++)
		imagine(&im, &service->subsets[i].tags);
	for (size_t i = 0; i < config->n_tests; i++)
		imagine_for_test(&im, &config->tests[i]);
	return (struct endpoint_set){im.list, im.n, ENDPOINTS_UNKNOWN};
}

static struct endpoint_set set_of(
    const struct config *config, const struct service_config *service, struct arena *arena)
{
	return service->discover.from ? discovered(config, service, arena)
				      : written(service, arena);
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
		sets[i] = set_of(config, config->services[i], &arena);
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
