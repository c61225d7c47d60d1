#include "model/config_map.h"

#include <string.h>

#include "base/arena.h"

int config_pair_compare(const void *a, const void *b)
{
	const struct config_pair *left = a, *right = b;

	return strcmp(left->name, right->name);
}

const char *config_map_find(const struct config_map *map, const char *name)
{
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->pairs[i].name, name) == 0)
			return map->pairs[i].value;
	return NULL;
}

const char *config_map_get(const struct config_map *map, const char *name)
{
	const char *value = config_map_find(map, name);

	return value ? value : "";
}

bool config_map_has(const struct config_map *map, const struct config_map *wanted)
{
	for (size_t i = 0; i < wanted->n; i++)
		if (strcmp(config_map_get(map, wanted->pairs[i].name), wanted->pairs[i].value) != 0)
			return false;
	return true;
}

bool config_map_eq(const struct config_map *a, const struct config_map *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->pairs[i].name, b->pairs[i].name) != 0 ||
		    strcmp(a->pairs[i].value, b->pairs[i].value) != 0)
			return false;
	return true;
}

struct config_map config_map_copy(struct arena *arena, const struct config_map *map)
{
	struct config_pair *pairs;

	if (map->n == 0)
		return (struct config_map){0};
	pairs = arena_calloc(arena, map->n, sizeof *pairs);
	for (size_t i = 0; i < map->n; i++) {
		pairs[i].name = arena_str(arena, slice_str(map->pairs[i].name));
		pairs[i].value = arena_str(arena, slice_str(map->pairs[i].value));
	}
	return (struct config_map){pairs, map->n};
}
