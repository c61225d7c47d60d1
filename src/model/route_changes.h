/*
 * What a route changes of a call on its way: an ordered list of facts with their new values, or
 * without any. Rename, copy and conditions are worked out here, over what is known of the call; how
 * a message is written is not known.
 */
#ifndef BRIDLE_MODEL_ROUTE_CHANGES_H
#define BRIDLE_MODEL_ROUTE_CHANGES_H

#include "model/config.h"

#define ROUTE_SETS_MAX   64u   /* of set, and of remove */
#define ROUTE_COPIES_MAX 32u   /* of copy, and of rename */
#define ROUTE_COPY_MAX   8192u /* bytes of a value: what is longer is not copied */
#define ROUTE_CHANGES_MAX                                                                          \
	(2 * ROUTE_SETS_MAX + 3 * ROUTE_COPIES_MAX) /* what is renamed goes, and comes */

struct changed_fact {
	const struct fact_key *key; /* the configuration's */
	struct slice value;         /* empty for a removal */
	bool is_removal;
};

/* Large, and not to be cleared: nothing is read of it but what was written. */
struct route_changes {
	size_t n;
	struct changed_fact list[ROUTE_CHANGES_MAX];
	unsigned n_rooms;
	char rooms[ROUTE_COPIES_MAX][FACT_ROOM]; /* short values that nobody else keeps */
};

static inline bool route_has_changes(const struct route_config *r)
{
	return r && r->n_remove + r->n_rename + r->n_copy + r->n_set > 0;
}

/* Fills @changes, in order: of two with the same key the later counts. Values are views of the
 * configuration, of the call, or of @changes. */
void route_changes_find(struct route_changes *changes, const struct route_config *route,
    const struct fact_source *facts);
/* The fact as it is after the changes. */
bool route_changes_fact(const struct route_changes *changes, const struct fact_source *facts,
    const struct fact_key *key, char room[FACT_ROOM], struct slice *value);

#endif
