#include "ctl/far_end.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* On one machine a refusal is there at once. */
#define REFUSED_AFTER (100 * (usec_t)1)
/* The 99th percentile of the normal distribution. */
#define NORMAL_P99 2.3263478740408408

struct far_work {
	struct far_end *end;
	struct moment moment;
	struct list link; /* in end->waiting */
	usec_t takes;
	bool is_served, is_over;
	enum far_result result;
	far_done_fn done; /* NULL: nobody waits */
	void *arg;
	struct list all;
};

void far_end_init(struct far_end *end, struct timeline *timeline,
    const struct simulated_endpoint *model, uint64_t seed)
{
	*end = (struct far_end){.timeline = timeline, .model = model, .start = timeline->now};
	rng_init(&end->rng, seed);
	list_init(&end->waiting);
	list_init(&end->all);
}

static void work_free(struct far_work *w)
{
	timeline_clear(w->end->timeline, &w->moment);
	list_remove(&w->link);
	list_remove(&w->all);
	free(w);
}

void far_end_fini(struct far_end *end)
{
	list_each_safe (link, &end->all)
		work_free(list_item(link, struct far_work, all));
}

/* --- chance --- */

/* Even over 0 < x < 1. */
static double draw(struct rng *rng)
{
	return ((double)(rng_next(rng) >> 11) + 0.5) / 9007199254740992.0;
}

/* Source: Box and Muller, A Note on the Generation of Random Normal Deviates. */
static double draw_normal(struct rng *rng)
{
	double a = draw(rng), b = draw(rng);

	return sqrt(-2 * log(a)) * cos(2 * 3.14159265358979323846 * b);
}

static usec_t draw_time(struct far_end *end)
{
	const struct simulated_endpoint *m = end->model;
	double normal = draw_normal(&end->rng), sigma, took;

	if (m->p50 == m->p99)
		return m->p50;
	sigma = log((double)m->p99 / (double)(m->p50 ? m->p50 : 1)) / NORMAL_P99;
	took = (double)m->p50 * exp(sigma * normal);
	return took < 1e12 ? (usec_t)took : (usec_t)1e12;
}

/* --- spans --- */

static bool is_within(const struct far_end *end, struct simulated_span span)
{
	usec_t since = end->timeline->now - end->start;

	return since >= span.from && since < span.to;
}

/* When it goes down next, if that is before @at; else @at. */
static usec_t down_before(const struct far_end *end, usec_t at)
{
	const struct simulated_span *down = &end->model->down;
	usec_t from = usec_after(end->start, down->from);

	return down->from < down->to && from > end->timeline->now && from < at ? from : at;
}

/* --- work --- */

static void begin_next(struct far_end *end);

static void is_done(struct moment *moment)
{
	struct far_work *w = container_of(moment, struct far_work, moment);
	struct far_end *end = w->end;

	end->running -= w->is_served;
	w->is_over = true;
	if (w->done && w->result != FAR_SILENT)
		w->done(w->arg, w->result);
	if (w->done == NULL || w->result != FAR_SILENT)
		work_free(w); /* else it is kept until it is given up */
	begin_next(end);
}

static void serve(struct far_work *w)
{
	struct far_end *end = w->end;
	usec_t takes = w->takes, until, breaks;

	if (is_within(end, end->model->slow))
		takes = (usec_t)((double)takes * end->model->slow_factor);
	if (is_within(end, end->model->down)) {
		w->result = FAR_RESET;
		takes = 0;
	}
	until = end->timeline->now + takes;
	breaks = down_before(end, until);
	if (breaks < until)
		w->result = FAR_RESET;
	w->is_served = true;
	end->running++;
	timeline_set(end->timeline, &w->moment, breaks, is_done);
}

static void begin_next(struct far_end *end)
{
	while (end->running < end->model->concurrency && !list_is_empty(&end->waiting)) {
		struct far_work *w = list_item(end->waiting.next, struct far_work, link);

		list_remove(&w->link);
		list_init(&w->link);
		serve(w);
	}
}

static enum far_result result_of(enum simulated_failure kind)
{
	switch (kind) {
	case FAIL_RESET:
		return FAR_RESET;
	case FAIL_TIMEOUT:
		return FAR_SILENT;
	case FAIL_EXCEPTION:
		return FAR_EXCEPTION;
	case FAIL_CONNECT:
		return FAR_REFUSED;
	}
	return FAR_RESET;
}

struct far_work *far_end_begin(struct far_end *end, far_done_fn done, void *arg)
{
	struct far_work *w = mem_calloc(1, sizeof *w);
	bool fails = draw(&end->rng) < end->model->fail;

	w->end = end;
	w->done = done;
	w->arg = arg;
	w->takes = draw_time(end);
	w->result = fails ? result_of(end->model->fail_kind) : FAR_ANSWERS;
	list_push_back(&end->all, &w->all);
	list_init(&w->link);
	if (w->result == FAR_REFUSED || is_within(end, end->model->down)) {
		w->result = FAR_REFUSED;
		timeline_set(
		    end->timeline, &w->moment, end->timeline->now + REFUSED_AFTER, is_done);
		return w;
	}
	list_push_back(&end->waiting, &w->link);
	begin_next(end);
	return w;
}

void far_work_forget(struct far_work *w)
{
	w->done = NULL;
	if (w->is_over)
		work_free(w);
}
