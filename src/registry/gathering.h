/*
 * The endpoints of one answer of a registry, gathered record by record, with what had to be left
 * out. Knows no layout; decoders fill it, and a client tells the registry what is in it.
 */
#ifndef BRIDLE_REGISTRY_GATHERING_H
#define BRIDLE_REGISTRY_GATHERING_H

#include "registry/client.h"

#define GATHERING_SKIPPED 8u /* records that are told one by one; of more only how many */

struct gathering {
	struct arena arena;    /* what the endpoints point to */
	struct endpoint *list; /* owned */
	size_t n, room;
	struct {
		struct slice record; /* in the arena */
		const char *why;
	} skipped[GATHERING_SKIPPED];
	size_t n_skipped;
};

void gathering_init(struct gathering *g);
void gathering_fini(struct gathering *g);
/*
 * What became of a record, as record_read_*() say it: 0 takes @endpoint, 1 leaves it out as it
 * wants to be, -1 as one that cannot be used. @name: how the record is called in a log line;
 * copied.
 */
void gathering_take(struct gathering *g, int verdict, const struct endpoint *endpoint,
    struct slice name, const struct err *err);
/* registry_skipped for what was left out, then registry_heard. */
void gathering_tell(const struct gathering *g, struct registry *registry, struct slice service,
    const char *revision);

#endif
