/*
 * Reading documents of Kitex's configuration centres: members by their exact names, of the right
 * type and within bounds. What is not known is passed over, as Kitex does, since documents serve
 * newer readers too; what is known has to be right.
 */
#ifndef BRIDLE_REGISTRY_KITEX_READING_H
#define BRIDLE_REGISTRY_KITEX_READING_H

#include "base/err.h"
#include "model/yaml.h"

/* The whole text, a map; in @arena. NULL with @err set, which tells the line, when it is none. */
const struct yaml_node *kitex_read(struct slice text, struct arena *arena, struct err *err);

/* All of these: -1 with @err set. */
int kitex_refuse(const struct yaml_node *node, const char *name, const char *why, struct err *err);
int kitex_map(const struct yaml_node *node, const char *expected, struct err *err);
/* A map from names of methods, "*" among them. */
int kitex_methods(const struct yaml_node *map, struct err *err);
/* Members; when one is missing, or null, *value stays. */
int kitex_integer(const struct yaml_node *map, const char *name, int64_t min, int64_t max,
    int64_t *value, struct err *err);
int kitex_number(const struct yaml_node *map, const char *name, double min, double max,
    double *value, struct err *err);
int kitex_bool(const struct yaml_node *map, const char *name, bool *value, struct err *err);
/* NULL when it is missing, too, but then there is nothing in @err. */
int kitex_child(
    const struct yaml_node *map, const char *name, const struct yaml_node **child, struct err *err);
int kitex_text(const struct yaml_node *map, const char *name, struct slice *text, struct err *err);

#endif
