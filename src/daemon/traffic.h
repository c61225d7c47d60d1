/*
 * What calls came to, added up over all workers: for each service, and for each kind of failure. A
 * picture of one moment, made for one answer of the admin door.
 */
#ifndef BRIDLE_DAEMON_TRAFFIC_H
#define BRIDLE_DAEMON_TRAFFIC_H

#include "base/arena.h"
#include "base/reason.h"
#include "base/table.h"
#include "daemon/metrics_family.h"
#include "proxy/worker.h"

struct service_traffic {
	struct slice label; /* within the worker's */
	uint64_t calls, by_reason[REASON_COUNT];
	struct buckets took;
	uint64_t retries_connect, retries_unsent, retries_failure, retries_backup;
};

/* One reason why calls of one method failed; services and methods that have no name are "". */
struct failure {
	struct failure *next;
	struct slice service, method;
	enum reason reason;
	uint64_t count;
	/* NULL: it is counted, but nothing else is known. Of several the newest. */
	const struct fault_note *note;
	usec_t first, last; /* monotonic; 0: not known */
};

struct traffic {
	struct arena arena;
	struct table by_service; /* label -> struct service_traffic */
	struct table by_failure;
	struct failure *failures; /* in no order */
	size_t n_failures;
};

/* Reads the counters of services, or of failures; @workers is borrowed until traffic_fini. */
void traffic_of_services(struct traffic *t, struct worker *const *workers, unsigned n);
void traffic_of_failures(struct traffic *t, struct worker *const *workers, unsigned n);
void traffic_fini(struct traffic *t);
/* NULL: no call of that service has ended, nor was any tried. */
const struct service_traffic *traffic_service(const struct traffic *t, struct slice label);

#endif
