/* Sorted lists of names and values: tags. */
#ifndef BRIDLE_MODEL_CONFIG_MAP_H
#define BRIDLE_MODEL_CONFIG_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct arena;

struct config_pair {
	const char *name, *value;
};

struct config_map {
	const struct config_pair *pairs; /* by name, each once */
	size_t n;
};

/* For qsort: pairs by their names. */
int config_pair_compare(const void *a, const void *b);
/* The value of @name, or NULL. */
const char *config_map_find(const struct config_map *map, const char *name);
/* The same; "" where there is none. */
const char *config_map_get(const struct config_map *map, const char *name);
/* Has it all of @wanted? There "" asks for a value that is missing or empty. */
bool config_map_has(const struct config_map *map, const struct config_map *wanted);
bool config_map_eq(const struct config_map *a, const struct config_map *b);
/* With all its texts in @arena. */
struct config_map config_map_copy(struct arena *arena, const struct config_map *map);

#endif
