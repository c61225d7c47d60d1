/*
 * The pick among a group of endpoints: balancing with everything that leaves endpoints out (tried
 * ones, ejected ones, those that are down), zones, slow start, and panic. What workers do for each
 * attempt and what `explain` shows is this one function.
 */
#ifndef BRIDLE_MODEL_BALANCE_H
#define BRIDLE_MODEL_BALANCE_H

#include "model/snapshot.h"

/* What moves between picks; one for each worker and group. */
struct balance_state {
	struct lb_state *here, *elsewhere; /* owned; NULL where the group has no such table */
	usec_t looked_at;                  /* when it was last counted who is out */
	bool is_panic;
};

void balance_state_init(
    struct balance_state *st, const struct endpoint_group *group, struct rng *rng);
void balance_state_fini(struct balance_state *st);

struct balance_request {
	const struct service *service;
	const struct endpoint_group *group;
	bool has_hash; /* without one rings pick by chance */
	uint64_t hash;
	const size_t *tried; /* endpoints left out while others remain */
	size_t n_tried;
	bool
	    avoids_tried; /* one that is out is better than one that was tried: that is not there */
	struct lb_load (*load)(
	    const void *arg, size_t endpoint); /* this worker's numbers; may be NULL */
	const void *arg;
	usec_t now;
};

/* The endpoint's index in the service, or LB_NONE when the group is empty. When too few are usable
 * (balance.panic) all are taken for usable; tried ones come again only when no other is left. */
size_t balance_pick(
    struct balance_state *st, const struct balance_request *request, struct rng *rng);

/* Why that endpoint would not be picked now, constant text ("disabled by an operator", "ejected",
 * "down", "weight 0", "in another zone", "tried"), or NULL when it would. */
const char *balance_why_not(const struct balance_request *request, size_t endpoint);
/* Has an operator taken it out? Also when a newer snapshot than this service's says so. */
bool balance_is_disabled(const struct service *service, size_t endpoint);
/* Are so many out that nobody is left out? */
bool balance_is_panic(
    const struct service *service, const struct endpoint_group *group, usec_t now);

/* Builds service->groups with their tables, as part of snapshot_new; tables of @before (the same
 * service in the last snapshot, or NULL) are shared where nothing changed. */
void balance_build_groups(struct service *service, const struct config *config,
    const struct service *before, struct arena *arena);
/* The group of subset_by for @value, or NULL when none has it. */
const struct endpoint_group *balance_group_by(const struct service *service, struct slice value);
const struct endpoint_group *balance_group_of(
    const struct service *service, const struct subset_config *subset);
/* Gives the references of the tables back. */
void balance_free_groups(struct service *service);

/* Is it in this node's zone? */
bool balance_is_here(const struct service *service, size_t endpoint);
/* Zones keep nothing but ours from calls, and that only with zone: only. */
bool balance_is_in_reach(const struct service *service, size_t endpoint);

#endif
