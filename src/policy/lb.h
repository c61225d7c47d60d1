/*
 * Balancing: which endpoint gets the next attempt. What is constant and expensive (sequences, alias
 * tables, rings) is built once into an immutable lb_table on the control thread; what moves is an
 * lb_state, one for each worker and table; what is known of the endpoints right now is asked
 * through an lb_view. A pick is O(1) or O(log n) while most endpoints are usable, and allocates
 * nothing.
 *
 * No clock and no chance of its own: both are arguments.
 */
#ifndef BRIDLE_POLICY_LB_H
#define BRIDLE_POLICY_LB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/slice.h"

struct rng;

enum lb_type {
	LB_WEIGHTED_ROUND_ROBIN,             /* smooth; plain round robin where weights are equal */
	LB_INTERLEAVED_WEIGHTED_ROUND_ROBIN, /* rounds: each once while it has weight left */
	LB_WEIGHTED_RANDOM,
	LB_ROUND_ROBIN, /* weights above 0 count alike */
	LB_RANDOM,
	LB_LEAST_REQUEST, /* the least loaded for its weight, of `choices` drawn by weight */
	LB_PEAK_EWMA,     /* the same by expected wait: latency x (in flight + 1) / weight */
	LB_CONSISTENT_HASH,
	LB_MAGLEV,
	LB_CLOSEST,         /* of those nearest to `here`, drawn by weight */
	LB_NETWORK_QUALITY, /* drawn by measured connect time */
	LB_TYPES,
};

struct lb_options {
	enum lb_type type;
	unsigned virtual_nodes; /* of the ring, for each unit of weight */
	unsigned choices;       /* of least_request and peak_ewma */
	bool has_location;      /* of this node */
	double latitude, longitude;
};

/* What is constant of an endpoint. */
struct lb_endpoint {
	struct slice key; /* its address: what rings hash; borrowed while the table is built */
	uint32_t weight;  /* 0: gets nothing */
	bool has_location;
	double latitude, longitude; /* degrees */
};

/* What is known of an endpoint on this worker right now. */
struct lb_load {
	uint32_t in_flight;
	usec_t latency; /* moving average of replies; 0: none yet */
	usec_t connect; /* measured connect time; 0: none yet */
};

struct lb_view {
	/* Neither out nor tried already. */
	bool (*is_usable)(const void *arg, size_t endpoint);
	/* Asked by least_request, peak_ewma and network_quality. */
	struct lb_load (*load)(const void *arg, size_t endpoint);
	/* The part of its weight that a new endpoint has (slow start), in 1/256; NULL: all have
	 * all. */
	unsigned (*share)(const void *arg, size_t endpoint);
	const void *arg;
};

#define LB_NONE SIZE_MAX

struct lb_table; /* immutable; counted atomically, so that successive snapshots share it */

/* @list: of @n endpoints, the i-th of which is called @ids[i] in views and results (NULL: i). */
struct lb_table *lb_table_new(const struct lb_options *options, const struct lb_endpoint *list,
    const uint32_t *ids, size_t n);
struct lb_table *lb_table_ref(struct lb_table *table);
void lb_table_unref(struct lb_table **table);
size_t lb_table_size(const struct lb_table *table); /* bytes */

struct lb_state; /* one for each worker and table: owned by the worker */

struct lb_state *lb_state_new(const struct lb_table *table, struct rng *rng);
void lb_state_free(struct lb_state **state);

/* The endpoint, or LB_NONE when none is usable. @hash: for rings; others ignore it. */
size_t lb_pick(const struct lb_table *table, struct lb_state *state, const struct lb_view *view,
    uint64_t hash, struct rng *rng);

/* A fixed hash (xxHash64, seed 0) of a key: all sidecars agree on it. */
uint64_t lb_hash(struct slice key);

/* Metres between two places. Source of the radius: rpcx, 6 378 100 m. */
double lb_distance(double latitude1, double longitude1, double latitude2, double longitude2);

#endif
