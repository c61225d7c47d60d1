#include "daemon/metrics_policies.h"

#include "base/mem.h"
#include "daemon/metrics_family.h"

/* What the families of one page share. */
struct policies_page {
	const struct metrics_source *source;
	struct arena *arena;
	struct text labels; /* of the cell that is looked up */
	struct text *out;
};

static void set(struct policies_page *p, struct family *f, uint64_t value)
{
	family_cell(f, &p->labels)->value = value;
	p->labels.len = 0;
}

static void label(struct policies_page *p, const char *name, struct slice value)
{
	metrics_add_label(&p->labels, name, value, "");
}

/* ---- limits and breakers: by where they stand ---- */

static struct slice service_of(const struct policy *policy)
{
	return policy->service ? slice_str(policy->service->label) : SLICE_NONE;
}

static void show_limit(
    struct policies_page *p, struct family *f, const struct policy *policy, int level)
{
	const struct guard *guard = &p->source->snapshot->guards[policy->index];

	if (guard->limits[level] == NULL || policy->limits[level] == NULL)
		return;
	label(p, "service", service_of(policy));
	label(p, "limit", slice_str(policy->limits[level]->at));
	set(p, f, limit_refused(guard->limits[level]));
}

static void show_running(
    struct policies_page *p, struct family *f, const struct policy *policy, int level)
{
	const struct guard *guard = &p->source->snapshot->guards[policy->index];
	const struct limit_config *config = policy->limits[level];

	if (guard->limits[level] == NULL || config == NULL || config->concurrency == COUNT_NONE)
		return;
	label(p, "service", service_of(policy));
	label(p, "limit", slice_str(config->at));
	set(p, f, limit_running(guard->limits[level]));
}

/* As numbers that grow with the trouble. */
static uint64_t breaker_number(enum breaker_state state)
{
	switch (state) {
	case BREAKER_CLOSED:
		return 0;
	case BREAKER_HALF_OPEN:
		return 1;
	case BREAKER_OPEN:
		return 2;
	}
	return 0;
}

static void show_breaker(
    struct policies_page *p, struct family *f, const struct policy *policy, int level)
{
	const struct guard *guard = &p->source->snapshot->guards[policy->index];
	const struct breaker_config *config = policy->breakers[level];

	if (guard->breakers[level] == NULL || config == NULL)
		return;
	label(p, "service", service_of(policy));
	label(p, "breaker", slice_str(config->at));
	set(p, f,
	    breaker_number(breaker_tally_state(guard->breakers[level], config, p->source->now)));
}

static const struct policy_family {
	const char *name, *type, *help;
	void (*show)(
	    struct policies_page *p, struct family *f, const struct policy *policy, int level);
} policy_families[] = {
    {"bridle_limited_total", "counter", "Calls that a limit refused, by where it is written.",
	show_limit},
    {"bridle_limit_running", "gauge", "Calls that hold a place of a concurrency limit.",
	show_running},
    {"bridle_breaker_state", "gauge",
	"State of a breaker, of several the worst: 0 closed, 1 half open, 2 open.", show_breaker},
};

static void render_policies(struct policies_page *p, const struct policy_family *row)
{
	const struct config *config = p->source->snapshot->config;
	struct family f;

	family_init(&f, p->arena, row->name, row->type, row->help);
	for (size_t i = 0; i < config->n_policies; i++)
		for (int level = 0; level < LEVELS; level++)
			row->show(p, &f, config->policies[i], level);
	family_render(&f, p->out);
	family_fini(&f);
}

/* ---- services ---- */

static void show_ejections(struct policies_page *p, struct family *f, const struct service *s)
{
	label(p, "service", s->label);
	set(p, f, atomic_load_explicit(&s->tally->ejections, memory_order_relaxed));
}

static void show_exhausted(struct policies_page *p, struct family *f, const struct service *s)
{
	label(p, "service", s->label);
	set(p, f, atomic_load_explicit(&s->tally->budget_exhausted, memory_order_relaxed));
}

/* All, by how well they are known; of them those that are left out. */
static void show_endpoints(struct policies_page *p, struct family *f, const struct service *s)
{
	uint64_t ejected = 0, down = 0, disabled = 0;

	for (size_t i = 0; i < s->n_endpoints; i++) {
		const struct endpoint_tally *t = s->endpoint_tallies[i];

		ejected += endpoint_tally_is_ejected(t, p->source->now);
		down += atomic_load_explicit(&t->health, memory_order_relaxed) == (int)HEALTH_DOWN;
		disabled += endpoint_tally_is_disabled(t);
	}
	label(p, "service", s->label);
	label(p, "state", slice_str(endpoint_state_name(s->state)));
	set(p, f, s->n_endpoints);
	label(p, "service", s->label);
	label(p, "state", SLICE_LIT("ejected"));
	set(p, f, ejected);
	label(p, "service", s->label);
	label(p, "state", SLICE_LIT("down"));
	set(p, f, down);
	label(p, "service", s->label);
	label(p, "state", SLICE_LIT("disabled"));
	set(p, f, disabled);
}

static const struct service_family {
	const char *name, *type, *help;
	void (*show)(struct policies_page *p, struct family *f, const struct service *s);
} service_families[] = {
    {"bridle_ejections_total", "counter", "Endpoints left out for a while after failures in a row.",
	show_ejections},
    {"bridle_retry_budget_exhausted_total", "counter",
	"Retries and backups that the budget did not allow.", show_exhausted},
    {"bridle_endpoints", "gauge",
	"Endpoints of a service, by how well they are known; of them those that are ejected, that "
	"health checks found down, and that an operator disabled.",
	show_endpoints},
};

static void render_services(struct policies_page *p, const struct service_family *row)
{
	const struct snapshot *snapshot = p->source->snapshot;
	struct family f;

	family_init(&f, p->arena, row->name, row->type, row->help);
	for (size_t i = 0; i < snapshot->n_services; i++)
		row->show(p, &f, &snapshot->services[i]);
	family_render(&f, p->out);
	family_fini(&f);
}

static void render_overload(struct policies_page *p)
{
	struct family f;

	family_init(&f, p->arena, "bridle_overload_level", "gauge",
	    "How short the process is of memory or descriptors: 0 not, 1 pools shrink, 2 new calls "
	    "are refused for want of memory, 3 nothing is accepted.");
	set(p, &f, p->source->overload);
	family_render(&f, p->out);
	family_fini(&f);
}

void metrics_render_policies(
    const struct metrics_source *source, struct arena *arena, struct text *out)
{
	struct policies_page p = {.source = source, .arena = arena, .out = out};

	for (size_t i = 0; i < ARRAY_LEN(policy_families); i++)
		render_policies(&p, &policy_families[i]);
	for (size_t i = 0; i < ARRAY_LEN(service_families); i++)
		render_services(&p, &service_families[i]);
	render_overload(&p);
	text_fini(&p.labels);
}
