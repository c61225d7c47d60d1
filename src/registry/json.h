/*
 * JSON from a registry, read with suspicion: exact length, no trailing bytes, keys compared as they
 * are written, numbers checked against their range. What two parsers could read differently is
 * refused as a whole: a member that stands twice in one object (some take the first, some the
 * last), a NUL in a string, control bytes, bytes that are no UTF-8; and so are more than 32 levels
 * or a million values. How long a text may be is for its reader to say.
 */
#ifndef BRIDLE_REGISTRY_JSON_H
#define BRIDLE_REGISTRY_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/config.h"

struct cJSON;

/* The whole of @text as one value, owned by the caller (cJSON_Delete), or NULL with @err set. */
struct cJSON *json_parse(struct slice text, struct err *err);
/* The same, of a text that has to be an object. */
struct cJSON *json_parse_object(struct slice text, struct err *err);
/* A member by its exact name; NULL when @object is none or has none (or only null). */
const struct cJSON *json_get(const struct cJSON *object, const char *name);
/* The text of a member; SLICE_NONE when it is no string. A view of the value. */
struct slice json_text(const struct cJSON *object, const char *name);
/* A whole number of min..max: a number, or its digits in a string, as etcd's gateway writes it.
 * False when it is missing or is none; *value is then untouched. */
bool json_integer(
    const struct cJSON *object, const char *name, int64_t min, int64_t max, int64_t *value);
bool json_bool(const struct cJSON *object, const char *name, bool *value);
/* A flat object of texts as tags, sorted by name; null or a missing member is no tags. Returns -1
 * where it is anything else, or larger than 4 KiB. */
int json_tags(
    const struct cJSON *object, const char *name, struct arena *arena, struct config_map *tags);

#endif
