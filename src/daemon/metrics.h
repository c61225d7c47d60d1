/*
 * The counters of all workers as a page in the Prometheus text format: Kitex's four families, so
 * that its dashboards keep working, and our own. Reads only; whatever moves is read once.
 */
#ifndef BRIDLE_DAEMON_METRICS_H
#define BRIDLE_DAEMON_METRICS_H

#include "base/text.h"
#include "proxy/worker.h"

struct discovery;
struct governance;
struct registrations;
struct trace_export;

struct metrics_log {
	const char *name;
	uint64_t dropped;
};

/* All borrowed. */
struct metrics_source {
	struct worker *const *workers;
	unsigned n_workers;
	const struct snapshot *snapshot;
	usec_t now; /* monotonic */
	enum overload_level overload;
	const struct metrics_log *logs;
	size_t n_logs;
	uint64_t reloads_succeeded, reloads_failed;
	bool reload_failed; /* the last one */
	usec_t loaded_at;   /* calendar: the configuration in force */
	uint64_t upgrades_succeeded, upgrades_failed;
	const struct registrations *registrations; /* NULL: there are none */
	const struct discovery *discovery;         /* whose registries are shown; NULL: none */
	const struct governance *governance;       /* NULL: there is none */
	const struct trace_export *spans;          /* NULL: none are exported */
};

void metrics_render(const struct metrics_source *source, struct text *out);

/* name="value" with the value escaped as the format wants it; bytes that are no UTF-8 become \xNN.
 * An empty value becomes @empty. Puts a comma before it unless @out is empty. */
void metrics_add_label(struct text *out, const char *name, struct slice value, const char *empty);

#endif
