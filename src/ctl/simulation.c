#include "ctl/simulation.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "ctl/simulated_call.h"
#include "model/file_snapshot.h"
#include "model/sample_call.h"

/* Times count from here, so that none of them is the 0 that stands for never. */
#define BEGINNING (1000 * USEC_S)
/* Facts of a sample call: service, method, caller; then keys. */
#define FACTS_MAX 16u
#define FACTS_OWN 3u

/* Calls of one caller, as routes see them. */
struct sample {
	struct sample_call call;
	struct fact_value facts[FACTS_MAX];
	size_t n_facts;
};

/* What comes in. */
struct arrivals {
	struct simulation *sim;
	struct moment next;
	struct rng rng;
	usec_t end;
	double mean_gap;        /* microseconds */
	struct sample *samples; /* owned; one for each caller */
	uint64_t shares;        /* of all callers */
	char key[32];           /* the value of all keys, for the call that comes now */
};

/* --- endpoints --- */

/* Neighbouring seeds, and streams of one seed, must not look alike. */
static uint64_t mix(uint64_t seed, uint64_t stream)
{
	struct rng rng;

	rng_init(&rng, seed ^ (stream * UINT64_C(0x9e3779b97f4a7c15)));
	return rng_next(&rng);
}

static const struct simulated_endpoint *find_model(
    const struct simulation_plan *plan, const char *address)
{
	static const struct simulated_endpoint plain = {
	    .p50 = USEC_MS, .p99 = USEC_MS, .connect = 200, .concurrency = UINT32_MAX};
	const struct simulated_endpoint *others = &plain;

	for (size_t i = 0; i < plan->n_endpoints; i++) {
		if (strcmp(plan->endpoints[i].address, address) == 0)
			return &plan->endpoints[i];
		if (strcmp(plan->endpoints[i].address, "*") == 0)
			others = &plan->endpoints[i];
	}
	return others;
}

static void open_service(
    struct simulation *sim, const struct service *service, struct simulated_load *loads)
{
	struct simulated_service *s = &sim->services[service->index];

	s->backends = mem_calloc(service->n_endpoints + 1, sizeof *s->backends);
	for (size_t i = 0; i < service->n_endpoints; i++) {
		/* The configuration's own, which outlives the snapshot. */
		const char *address = service->config->endpoints[i].address.text;
		size_t number = (size_t)(&loads[i] - sim->report->loads);

		loads[i] = (struct simulated_load){
		    .service = service->config->label,
		    .address = address,
		    .weight = service->endpoints[i].weight,
		};
		s->backends[i].load = &loads[i];
		far_end_init(&s->backends[i].far, &sim->timeline, find_model(sim->plan, address),
		    mix(sim->plan->seed, 16 + number));
	}
	s->balance = mem_calloc(service->n_groups + 1, sizeof *s->balance);
	for (size_t i = 0; i < service->n_groups; i++)
		balance_state_init(&s->balance[i], &service->groups[i], &sim->rng);
}

static void close_service(struct simulation *sim, const struct service *service)
{
	struct simulated_service *s = &sim->services[service->index];

	for (size_t i = 0; i < service->n_endpoints; i++)
		far_end_fini(&s->backends[i].far);
	for (size_t i = 0; i < service->n_groups; i++)
		balance_state_fini(&s->balance[i]);
	free(s->backends);
	free(s->balance);
}

static void open_world(struct simulation *sim)
{
	struct simulation_report *report = sim->report;
	const struct snapshot *s;
	size_t n = 0;

	sim->tallies = tallies_new();
	sim->snapshot = file_snapshot_with(sim->plan->config, sim->tallies);
	s = sim->snapshot;
	sim->services = mem_calloc(s->n_services + 1, sizeof *sim->services);
	for (size_t i = 0; i < s->n_services; i++)
		report->n_loads += s->services[i].n_endpoints;
	report->loads = mem_calloc(report->n_loads + 1, sizeof *report->loads);
	for (size_t i = 0; i < s->n_services; i++) {
		open_service(sim, &s->services[i], report->loads + n);
		n += s->services[i].n_endpoints;
	}
}

static void close_world(struct simulation *sim)
{
	simulated_call_drop_all(sim);
	for (size_t i = 0; i < sim->snapshot->n_services; i++)
		close_service(sim, &sim->snapshot->services[i]);
	free(sim->services);
	file_snapshot_free(&sim->snapshot);
	tallies_free(&sim->tallies);
	timeline_fini(&sim->timeline);
}

/* --- what comes in --- */

/* A key of which there are many values: those that a message brings along. */
static bool is_varied(const struct fact_key *key)
{
	return key->kind == FACT_META || key->kind == FACT_HEADER || key->kind == FACT_INT ||
	       key->kind == FACT_FIELD || key->kind == FACT_LOG_ID;
}

static void add_key(struct sample *sample, const struct fact_key *key)
{
	if (!is_varied(key) || sample->n_facts == FACTS_MAX)
		return;
	for (size_t i = 0; i < sample->n_facts; i++)
		if (fact_key_eq(&sample->facts[i].key, key))
			return;
	sample->facts[sample->n_facts++].key = *key;
}

/* Everything that balancing and splits are keyed by. */
static void add_keys(struct sample *sample, const struct config *config)
{
	/* Of rings without a key. Source: TTHeader's int keys, kitex
	 * pkg/remote/transmeta/metakey.go. */
	const struct fact_key ring = {.kind = FACT_INT, .number = 14};

	for (size_t i = 0; i < config->n_services; i++) {
		const struct service_config *service = config->services[i];
		enum lb_type type = service->balance.type;

		add_key(sample, &service->balance.key);
		if (service->balance.key.kind == FACT_NONE &&
		    (type == LB_CONSISTENT_HASH || type == LB_MAGLEV))
			add_key(sample, &ring);
		for (size_t j = 0; j < service->n_routes; j++)
			add_key(sample, &service->routes[j].sticky);
	}
}

static int init_sample(
    struct sample *sample, const struct simulation_plan *plan, size_t caller, struct err *err)
{
	sample->facts[0] = (struct fact_value){{.kind = FACT_SERVICE}, plan->service};
	sample->facts[1] = (struct fact_value){{.kind = FACT_METHOD}, plan->method};
	sample->facts[2] = (struct fact_value){{.kind = FACT_CALLER}, plan->callers[caller].name};
	sample->n_facts = FACTS_OWN;
	add_keys(sample, plan->config);
	return sample_call_init(
	    &sample->call, plan->config, NULL, sample->facts, sample->n_facts, err);
}

static usec_t draw_gap(struct arrivals *a)
{
	double even = ((double)(rng_next(&a->rng) >> 11) + 0.5) / 9007199254740992.0;

	return (usec_t)(-log(even) * a->mean_gap + 0.5);
}

static size_t draw_caller(struct arrivals *a)
{
	const struct simulation_plan *plan = a->sim->plan;
	uint64_t at = rng_below(&a->rng, a->shares);
	size_t i = 0;

	while (i + 1 < plan->n_callers && at >= plan->callers[i].share)
		at -= plan->callers[i++].share;
	return i;
}

static void set_keys(struct arrivals *a, struct sample *sample)
{
	struct slice value;

	snprintf(a->key, sizeof a->key, "key-%u", (unsigned)rng_below(&a->rng, a->sim->plan->keys));
	value = slice_str(a->key);
	for (size_t i = FACTS_OWN; i < sample->n_facts; i++)
		sample->facts[i].value = value;
}

static void call_comes(struct moment *moment);

static void expect_next(struct arrivals *a)
{
	usec_t at = a->sim->timeline.now + draw_gap(a);

	if (at < a->end)
		timeline_set(&a->sim->timeline, &a->next, at, call_comes);
}

static void call_comes(struct moment *moment)
{
	struct arrivals *a = container_of(moment, struct arrivals, next);
	struct simulation *sim = a->sim;
	size_t caller = draw_caller(a);
	struct sample *sample = &a->samples[caller];
	struct route_decision decision;

	set_keys(a, sample);
	decision = route_decide(sim->snapshot, &sample->call.facts, &sim->rng, NULL);
	sim->report->calls++;
	sim->report->callers[caller].calls++;
	expect_next(a);
	simulated_call_begin(sim, &decision, caller);
}

static int open_arrivals(struct arrivals *a, struct simulation *sim, struct err *err)
{
	const struct simulation_plan *plan = sim->plan;

	*a = (struct arrivals){
	    .sim = sim,
	    .end = usec_after(BEGINNING, plan->duration),
	    .mean_gap = (double)plan->rate.per / (double)plan->rate.count,
	    .samples = mem_calloc(plan->n_callers, sizeof *a->samples),
	};
	rng_init(&a->rng, mix(plan->seed, 1));
	for (size_t i = 0; i < plan->n_callers; i++) {
		a->shares += plan->callers[i].share;
		sim->report->callers[i].caller = plan->callers[i].name;
		if (init_sample(&a->samples[i], plan, i, err) < 0)
			return -1;
	}
	expect_next(a);
	return 0;
}

/* --- the run --- */

static int compare_times(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static void sort_times(struct simulated_times *times)
{
	if (times->n)
		qsort(times->list, times->n, sizeof *times->list, compare_times);
}

usec_t simulated_quantile(const struct simulated_times *times, double share)
{
	size_t at = (size_t)ceil(share * (double)times->n);

	return times->n ? times->list[at ? at - 1 : 0] : 0;
}

/* Until all calls have ended; what endpoints still work on then does not matter. */
static void play(struct simulation *sim, const struct arrivals *a)
{
	while ((a->next.place || !list_is_empty(&sim->calls)) && timeline_step(&sim->timeline))
		;
}

int simulation_run(
    const struct simulation_plan *plan, struct simulation_report *report, struct err *err)
{
	struct simulation sim = {.plan = plan, .report = report};
	struct arrivals arrivals;
	int rc;

	*report = (struct simulation_report){.n_callers = plan->n_callers};
	report->callers = mem_calloc(plan->n_callers, sizeof *report->callers);
	rng_init(&sim.rng, mix(plan->seed, 2));
	list_init(&sim.calls);
	list_init(&sim.waiting);
	timeline_init(&sim.timeline, BEGINNING);
	open_world(&sim);
	rc = open_arrivals(&arrivals, &sim, err);
	if (rc == 0)
		play(&sim, &arrivals);
	free(arrivals.samples);
	close_world(&sim);
	sort_times(&report->times);
	for (size_t i = 0; i < report->n_loads; i++)
		sort_times(&report->loads[i].times);
	return rc;
}

void simulation_report_fini(struct simulation_report *report)
{
	for (size_t i = 0; i < report->n_loads; i++)
		free(report->loads[i].times.list);
	free(report->loads);
	free(report->callers);
	free(report->times.list);
	*report = (struct simulation_report){0};
}
