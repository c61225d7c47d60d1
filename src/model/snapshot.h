/*
 * The immutable world that calls run in: one configuration and, for each of its services, the
 * endpoints that discovery last gave. The control thread builds snapshots and hands them to the
 * workers; nobody changes one afterwards. References are counted atomically.
 */
#ifndef BRIDLE_MODEL_SNAPSHOT_H
#define BRIDLE_MODEL_SNAPSHOT_H

#include "base/ref.h"
#include "base/table.h"
#include "model/config.h"
#include "model/tally.h"

/* One address of a service: a value. */
struct endpoint {
	struct address address; /* never a NAME */
	unsigned weight;        /* that counts while it is not disabled */
	const char *zone;
	struct config_map tags;
	/* What an operator has ordered. */
	bool is_disabled;       /* it gets nothing */
	bool is_weight_ordered; /* `weight` is the operator's */
	unsigned weight_found;  /* what discovery says, where that is so */
};

/* What balancing goes by. */
static inline unsigned endpoint_share(const struct endpoint *e)
{
	return e->is_disabled ? 0 : e->weight;
}

enum endpoint_state {
	ENDPOINTS_UNKNOWN, /* nothing was ever heard of them */
	ENDPOINTS_FRESH,
	ENDPOINTS_STALE, /* the last good set, kept over an error */
	ENDPOINTS_EMPTY, /* discovery says there are none */
};

const char *endpoint_state_name(enum endpoint_state state);

/* What discovery says of one service; the list is the giver's. */
struct endpoint_set {
	const struct endpoint *list;
	size_t n;
	enum endpoint_state state;
};

/* Some of a service's endpoints, balanced by themselves. */
struct endpoint_group {
	struct slice name;       /* "" for all; the subset's; the value of the tag of subset_by */
	const uint32_t *members; /* indices in service->endpoints */
	size_t n;
	size_t index;     /* in service->groups */
	bool is_disabled; /* it has members, and all are disabled */
	/* Owned references. With zone: prefer `table` holds those of our zone and `elsewhere` the
	 * others; with zone: only `table` holds ours; else all. NULL where there are none. */
	struct lb_table *table, *elsewhere;
};

struct service {
	const struct service_config *config;
	struct slice label, name;
	size_t index; /* in snapshot->services */
	const struct endpoint *endpoints;
	size_t n_endpoints;
	enum endpoint_state state;
	bool is_local;    /* it has endpoints, and all are on this machine */
	const char *zone; /* this node's; borrowed; NULL: none, then zones play no part */
	/* All endpoints; then one for each of config->subsets, in their order; then those of
	 * subset_by: first the base (the endpoints without the tag), then one for each value,
	 * sorted. */
	struct endpoint_group *groups;
	size_t n_groups;
	struct service_tally *tally;              /* owned reference */
	struct endpoint_tally **endpoint_tallies; /* owned references, one for each endpoint */
};

/* What holds for calls under one policy beside its values: the moving state of it, process-wide. */
struct guard {
	/* Owned references, by level; NULL: none. A service's own limit replaces that of
	 * defaults. */
	struct limit_tally *limits[LEVELS];
	struct breaker_tally *breakers[LEVELS];
	bool is_open; /* there are none */
};

/* A configuration that several snapshots share; the last of them frees it. */
struct shared_config {
	struct ref ref;
	struct config *config;
};

struct shared_config *shared_config_new(struct config *moved);
struct shared_config *shared_config_ref(struct shared_config *shared);
void shared_config_unref(struct shared_config **shared);

struct snapshot {
	struct ref ref;
	struct shared_config *shared; /* owned reference */
	const struct config *config;
	struct service *services; /* in the order of config->services */
	size_t n_services;
	struct guard *guards; /* one for each of config->policies */
	struct table by_name; /* label, then wire name, then alias -> service; private to route.c */
	uint64_t max_message, max_header; /* the largest of all listeners: what a reply may have */
	struct arena arena;
};

/*
 * @sets: one for each service of the configuration, copied. Takes its own reference of @shared.
 * What moves comes out of @tallies, which finds what earlier snapshots used; the tables of services
 * that are as they were in @before (NULL: nothing was) are shared with it. @now: when endpoints
 * that were not there before are said to have begun.
 */
struct snapshot *snapshot_new(struct shared_config *shared, const struct endpoint_set *sets,
    struct tallies *tallies, const struct snapshot *before, usec_t now);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot **s);
/* The service with that label, or NULL. */
const struct service *snapshot_service(const struct snapshot *s, struct slice label);
const struct listener_config *snapshot_listener(const struct snapshot *s, struct slice name);

#endif
