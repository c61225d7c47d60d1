/* What the layouts have in common; for the files record_*.c, and for registries whose records are
 * nobody else's (file, DNS). */
#ifndef BRIDLE_REGISTRY_RECORD_PARTS_H
#define BRIDLE_REGISTRY_RECORD_PARTS_H

#include "registry/record.h"

struct cJSON;

/* An IP address that is no wildcard, with a port that is not 0. */
int record_take_address(struct slice text, struct address *address, struct err *err);
/* The same where host and port are apart; the host may have brackets. */
int record_take_host(struct slice host, int64_t port, struct address *address, struct err *err);
/* A whole number in @name: missing or not positive is RECORD_WEIGHT. */
int record_take_weight(
    const struct cJSON *object, const char *name, unsigned *weight, struct err *err);
/* A flat object of texts in @name; the zone is among them. */
int record_take_tags(const struct cJSON *object, const char *name, struct arena *arena,
    struct endpoint *endpoint, struct err *err);
/* The zone that tags give: zone, else Kitex's idc. */
const char *record_zone(const struct config_map *tags);

/* Go's encoding/json of a string and of a map of strings (null when it is empty). */
void record_write_string(struct slice s, struct text *out);
void record_write_tags(const struct config_map *tags, struct text *out);
/* As Go's url.QueryEscape: a space becomes +. */
void record_escape_query(struct slice bytes, struct text *out);

#endif
