/*
 * Spans on their way to a collector: OTLP over HTTP, in JSON. Workers hand batches over and never
 * wait; what a collector that is slow or away does not take is kept for it up to a bound, and past
 * that thrown away and counted.
 */
#ifndef BRIDLE_DAEMON_TRACE_EXPORT_H
#define BRIDLE_DAEMON_TRACE_EXPORT_H

#include "model/snapshot.h"
#include "net/inbox.h"
#include "proxy/span.h"

#define TRACE_EXPORT_QUEUE 4096u /* spans that may wait */

struct trace_export;

/* What became of spans; any of them may be read by any thread. */
struct trace_export_counts {
	uint64_t exported;
	uint64_t dropped; /* there was no room to keep them */
	uint64_t failed;  /* the collector refused them, or was not there to the end */
};

/* Belongs to the control thread, whose @inbox is borrowed. */
struct trace_export *trace_export_new(struct loop *loop, struct inbox *inbox, uint64_t seed);
/* Sends what is left, for at most @patience; turns the loop meanwhile. No worker may be left. */
void trace_export_free(struct trace_export **e, usec_t patience);
/* Sends to the collector of this configuration from now on. */
void trace_export_follow(struct trace_export *e, struct shared_config *shared);
/* Any thread: takes @batch over. An outbox's take. */
void trace_export_take(void *e, struct span_batch *batch);
struct trace_export_counts trace_export_counts(const struct trace_export *e);

#endif
