/* The last changes of a service's endpoints, for people: a ring. Knows nothing about registries. */
#ifndef BRIDLE_REGISTRY_HISTORY_H
#define BRIDLE_REGISTRY_HISTORY_H

#include "registry/registry.h"

#define HISTORY_MAX 200u

struct history {
	struct history_entry **ring; /* owned; NULL until the first */
	size_t first, n;
};

/* Copies. The same error again, right after it, is counted instead. */
void history_add(struct history *h, const struct registry_change *change);
/* Was this said of that address within the last lines? */
bool history_has_error(const struct history *h, const char *address, const char *text);
void history_visit(const struct history *h,
    void (*visit)(void *arg, const struct registry_change *change), void *arg);
void history_fini(struct history *h);

/* Are two states of one endpoint the same in all that counts? */
bool history_same(const struct endpoint *a, const struct endpoint *b);
/* What is another between two states of one endpoint, in words: "weight 10 -> 20, zone az1 -> az2,
 * tags lane=base -> lane=canary". Returns @room. */
const char *history_difference(
    const struct endpoint *before, const struct endpoint *after, char *room, size_t size);
/* The differences of two lists, both sorted by address. More than a screenful of them are summed up
 * in one line. */
void history_add_differences(struct history *h, const struct endpoint *before, size_t n_before,
    const struct endpoint *after, size_t n_after, usec_t at, const char *revision);

#endif
