/*
 * Who answers a call, and under which policy: one pure function of a snapshot and what is known of
 * the call. The live data path asks it, and so will everything that has to explain it.
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
};

struct route_decision {
	const struct service *service; /* NULL: none, and `why` says so */
	const struct policy *policy;
	const char *why;
};

struct route_decision route_decide(const struct snapshot *s, const struct call_facts *facts);

/* Fills the snapshot's index of names, as part of snapshot_new. */
void route_index(struct snapshot *s);

#endif
