/*
 * Who answers a call, and under which policy: one pure function of a snapshot, what is known of the
 * call, chance and time. The live data path, `bridlectl explain` and the `tests:` of a file all ask
 * it, so what is explained is what happens.
 *
 * The order: the service (by the listener's pin, or by name), its routes (the first that matches),
 * the ACLs, degrade, the faults of the route. Limits and breakers, which remember, come after it.
 */
#ifndef BRIDLE_MODEL_ROUTE_H
#define BRIDLE_MODEL_ROUTE_H

#include "model/snapshot.h"

struct call_facts {
	const struct listener_config *listener;
	struct slice service_asked; /* int key 6, destination-service; empty: not said */
	struct slice authority;     /* HTTP/2's */
	struct slice idl_service;   /* isn; the path of a gRPC call */
	struct slice method;
	struct fact_source more; /* asked only where a rule needs it */
};

struct route_decision {
	const struct service *service; /* the one that answers, when refused the one that would */
	const struct policy *policy;
	const struct guard *guard;
	const struct route_config *route;   /* the one that matched, or NULL */
	const struct endpoint_group *group; /* to balance among; NULL when none was chosen */
	bool has_hash;
	uint64_t hash; /* of balance.key, when the call has it */
	usec_t delay;  /* to be injected, 0: none */
	bool abort;    /* by the fault of the route */
	bool is_mirrored;
	/* REASON_OK, or why not: NO_ROUTE (no service, too), ACL_DENIED, DEGRADED, NO_ENDPOINT. */
	enum reason reason;
	const char *why; /* constant text, or the configuration's; never NULL */
	const char *at;  /* the path of the rule that refused it, or NULL */
	/* NO_ROUTE: a name that may become a service by being looked up, a view of the facts. */
	struct slice wanted;
};

/* Hears of everything that was looked at, in order. */
struct route_trace {
	/* @at: services.a.routes[0]; @why: what matched, or what did not. */
	void (*rule)(void *arg, const char *at, bool matched, const char *why);
	void *arg;
};

/* @trace: NULL on the data path. */
struct route_decision route_decide(const struct snapshot *s, const struct call_facts *facts,
    struct rng *rng, const struct route_trace *trace);

/* A call is led to @service by other means than its own name (fallback, mirror): its policy for
 * @method and all of its endpoints, subset_by included; no routes, no ACL. REASON_OK or
 * NO_ENDPOINT, and then perhaps without a group. */
struct route_decision route_to(
    const struct snapshot *s, const struct service_config *service, const struct call_facts *facts);

/* Fills the snapshot's index of names, as part of snapshot_new. */
void route_index(struct snapshot *s);

#endif
