/*
 * The other side of a simulation: endpoints that take their time, fail, go down, become slow, and
 * work on so many calls at once. What nobody waits for any more is worked on all the same, as
 * applications do.
 */
#ifndef BRIDLE_CTL_FAR_END_H
#define BRIDLE_CTL_FAR_END_H

#include "base/list.h"
#include "base/rng.h"
#include "ctl/simulation_plan.h"
#include "ctl/timeline.h"

enum far_result {
	FAR_ANSWERS,
	FAR_EXCEPTION,
	FAR_REFUSED, /* no connection */
	FAR_RESET,
	FAR_SILENT, /* it never answers */
};

struct far_end {
	struct timeline *timeline; /* borrowed */
	const struct simulated_endpoint *model;
	usec_t start; /* what the times of the model count from */
	struct rng rng;
	unsigned running;
	struct list waiting, all; /* of work */
};

/* One call on one endpoint; owned by it until it is done. */
struct far_work;
/* How it went; FAR_SILENT never comes. */
typedef void (*far_done_fn)(void *arg, enum far_result result);

void far_end_init(struct far_end *end, struct timeline *timeline,
    const struct simulated_endpoint *model, uint64_t seed);
void far_end_fini(struct far_end *end);
/* Begins a call; @done is called later, unless far_work_forget comes first. */
struct far_work *far_end_begin(struct far_end *end, far_done_fn done, void *arg);
/* Nobody waits for it any more. Not after @done. */
void far_work_forget(struct far_work *work);

#endif
