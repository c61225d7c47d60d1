/*
 * Plays a plan: calls come, are routed, admitted, balanced and tried as the data path would, by the
 * same functions, against endpoints that are not there and in a time that does not pass. The same
 * plan and seed give the same report to the last digit.
 *
 * Left out: connections (they are taken for kept), health checks, fallbacks and mirrors.
 */
#ifndef BRIDLE_CTL_SIMULATION_H
#define BRIDLE_CTL_SIMULATION_H

#include "base/reason.h"
#include "ctl/simulation_plan.h"

struct simulated_times {
	uint32_t *list; /* owned: microseconds; in ascending order once the run is over */
	size_t n, room;
};

/* An endpoint that was tried, or might have been. */
struct simulated_load {
	const char *service, *address; /* borrowed from the plan */
	unsigned weight;
	uint64_t attempts, failed, ejections;
	struct simulated_times times; /* of attempts that were answered */
};

struct simulated_share {
	struct slice caller; /* borrowed from the plan */
	uint64_t calls, ok;
};

struct simulation_report {
	uint64_t calls, attempts;
	uint64_t retries, backups; /* of the attempts */
	uint64_t budget_refused;   /* there was no budget for so many more */
	uint64_t breakers_opened;
	uint64_t reasons[REASON_COUNT];
	struct simulated_times times; /* of the calls that were tried: all of their time */
	struct simulated_load *loads; /* owned */
	size_t n_loads;
	struct simulated_share *callers; /* owned */
	size_t n_callers;
};

/* The caller owns the report. -1: no call can be made at all, and @err says why. */
int simulation_run(
    const struct simulation_plan *plan, struct simulation_report *report, struct err *err);
void simulation_report_fini(struct simulation_report *report);

/* The time that so much of them (0..1) did not take longer than; 0 when there are none. */
usec_t simulated_quantile(const struct simulated_times *times, double share);

void simulation_report_print(
    const struct simulation_plan *plan, const struct simulation_report *report, FILE *to);
struct cJSON *simulation_report_json(
    const struct simulation_plan *plan, const struct simulation_report *report);

#endif
