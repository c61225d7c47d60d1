/*
 * What calls came to, counted for each set of labels. A worker finds or adds a series by one lookup
 * and is its only writer; series are never removed, so that any thread may walk the list while
 * calls run. The number of label values is bounded: what is past the bounds counts as "other".
 */
#ifndef BRIDLE_PROXY_CALL_STATS_H
#define BRIDLE_PROXY_CALL_STATS_H

#include "base/protocol.h"
#include "base/reason.h"
#include "base/slice.h"
#include "base/stat.h"
#include "base/table.h"
#include "proxy/fault_notes.h"

#define CALL_STATS_SERVICES 1000u
#define CALL_STATS_CALLERS  200u
#define CALL_STATS_METHODS  1000u  /* of one service */
#define CALL_STATS_SERIES   20000u /* of one worker, all labels together */

struct call_labels {
	struct slice listener, service, callee, method, caller;
	enum protocol protocol;
	unsigned retries;
	bool is_server; /* its listener is pinned to a service of local endpoints: Kitex's server */
};

struct call_series {
	_Atomic(struct call_series *) next;
	struct call_labels labels; /* slices point into `text` */
	struct counter by_reason[REASON_COUNT];
	struct histogram good,
	    bad; /* whole time of calls that count as succeed, error in Kitex's sense */
	struct fault_list faults;
	uint8_t *text;
};

/*
 * The values that were let in, by all workers that share them: what is bounded is bounded for the
 * process. The lock is taken for a value that a worker has not seen, and for those past the bounds.
 */
struct label_names;
struct label_names *label_names_new(uint64_t seed);
void label_names_free(struct label_names **names);

struct call_stats {
	_Atomic(struct call_series *) first; /* newest first */
	struct label_names *shared;          /* borrowed; NULL: its own are all there are */
	struct table series, names;          /* the worker's alone */
	_Atomic unsigned n_series;           /* any thread may read it */
	unsigned n_faults;
};

void call_stats_init(struct call_stats *s, uint64_t seed);
/* Only when no reader is left. */
void call_stats_fini(struct call_stats *s);
/* The worker's: never NULL, the labels are copied. */
struct call_series *call_stats_find(struct call_stats *s, const struct call_labels *labels);
void call_series_count(struct call_series *series, enum reason reason, usec_t took);
/* Notes what is known of a call that failed. */
void call_stats_note(struct call_stats *s, struct call_series *series, enum reason reason,
    struct slice detail, usec_t now);
/* Does Kitex count a call that ended so as `succeed`? */
bool reason_is_success(enum reason reason);

#endif
