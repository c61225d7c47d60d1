/*
 * What top shows, as numbers: two answers of the admin door, taken some time apart, and what their
 * counters say happened between them. Pure.
 */
#ifndef BRIDLE_CTL_TOP_ROWS_H
#define BRIDLE_CTL_TOP_ROWS_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/reason.h"
#include "base/stat.h"

struct cJSON;

/* /status and /services at one moment. */
struct top_sample {
	struct cJSON *status, *services; /* owned */
	usec_t at;
};

void top_sample_fini(struct top_sample *sample);

/* Between two samples. */
struct top_rates {
	double calls, errors, retries; /* a second */
	double by_reason[REASON_COUNT];
	struct histogram took; /* counted between them */
};

struct top_row {
	const char *name, *state, *breaker; /* of endpoints there is no breaker: "" */
	const char *note;                   /* why calls failed; of endpoints their zone and tags */
	unsigned usable, endpoints;         /* of a service */
	double in_flight, connections;
	struct top_rates rates;
	bool is_endpoint, is_out; /* out: it gets no calls */
	struct top_row *first;    /* of a service: its endpoints */
	struct top_row *next;
};

enum top_order { TOP_BY_CALLS, TOP_BY_ERRORS, TOP_BY_LATENCY, TOP_BY_NAME, TOP_ORDERS };
const char *top_order_name(enum top_order order);

/* Strings lie in @arena or in the newer sample. */
struct top_rows {
	struct top_row *first; /* services in order, each with its endpoints in order */
	size_t n_services, n_endpoints;
	struct top_rates all;
};

/* @before may be of another run of the daemon, or not there (its status is NULL): then no rates. */
void top_rows_build(struct top_rows *rows, struct arena *arena, const struct top_sample *before,
    const struct top_sample *now, enum top_order order);
/* "timeout 12/s, reset 0.5/s", the most frequent first. */
const char *top_reasons(struct arena *arena, const struct top_rates *rates);
/* 0.5, 12, 3456, 12.3k */
const char *top_rate(double rate, char room[static 16]);

#endif
