/*
 * What a simulation is to play: a service out of a configuration, how many calls of it come, and
 * how its endpoints behave. Read from a YAML file by the same table-driven reader as the
 * configuration, so units, names and complaints are the same.
 */
#ifndef BRIDLE_CTL_SIMULATION_PLAN_H
#define BRIDLE_CTL_SIMULATION_PLAN_H

#include "model/config.h"

struct yaml_node;

#define SIMULATION_CALLS_MAX UINT64_C(10000000)

enum simulated_failure { FAIL_RESET, FAIL_TIMEOUT, FAIL_EXCEPTION, FAIL_CONNECT };

/* A span of the simulated time; empty: from == to. */
struct simulated_span {
	usec_t from, to;
};

/* How an endpoint behaves. */
struct simulated_endpoint {
	const char *address;
	usec_t p50, p99; /* of its time to answer: log-normal, or exact where they are equal */
	usec_t connect;  /* time to connect, as network_quality sees it */
	double fail;     /* 0..1 */
	enum simulated_failure fail_kind;
	struct simulated_span down; /* refuses connections, and breaks those it has */
	struct simulated_span slow;
	double slow_factor;
	unsigned concurrency; /* works on so many at once, the others wait; UINT32_MAX: all */
	/* For a service that stands in the plan itself: as an endpoint there has them; NULL: not
	 * given. */
	const struct yaml_node *weight, *zone, *tags;
};

struct simulated_caller {
	struct slice name;
	unsigned share; /* of the calls, relative to the others */
};

struct simulation_plan {
	struct arena arena;
	const char *call; /* service/method, as written */
	struct slice service, method;
	struct rate rate;
	usec_t duration;
	usec_t timeout; /* stated by callers; USEC_NONE: none */
	uint64_t seed;
	unsigned keys; /* so many different values of what the balancing or split is keyed by */
	const struct simulated_caller *callers;
	size_t n_callers;
	const struct simulated_endpoint *endpoints; /* "*" stands for those that are not listed */
	size_t n_endpoints;
	/* Where the configuration is. */
	const char *config_path;
	const struct yaml_node *inline_service, *inline_node, *inline_defaults;
	struct config *config; /* owned */
};

/* NULL when there are errors, which are in @problems either way. The caller owns the plan. */
struct simulation_plan *simulation_plan_read(const char *path, struct problems *problems);
void simulation_plan_free(struct simulation_plan **plan);

#endif
