#include "daemon/metrics_registries.h"

#include "base/mem.h"
#include "daemon/discovery.h"
#include "daemon/metrics.h"
#include "daemon/metrics_family.h"

static uint64_t up(const struct registry_report *report)
{
	return report->is_up;
}

static uint64_t age(const struct registry_report *report)
{
	return report->age / USEC_S;
}

static uint64_t changes(const struct registry_report *report)
{
	return report->changes;
}

static uint64_t errors(const struct registry_report *report)
{
	return report->errors;
}

static const struct registry_family {
	const char *name, *type, *help;
	uint64_t (*value)(const struct registry_report *report);
	bool only_heard; /* not before the first good answer */
} registry_families[] = {
    {"bridle_registry_up", "gauge", "Whether the last exchange with a registry worked.", up, false},
    {"bridle_registry_age_seconds", "gauge", "Time since a registry last answered well.", age,
	true},
    {"bridle_registry_changes_total", "counter",
	"Changes of sets and documents that a registry has told.", changes, false},
    {"bridle_registry_errors_total", "counter", "Exchanges with a registry that failed.", errors,
	false},
};

struct registries_page {
	const struct registry_family *row;
	struct family family;
};

static void show(void *arg, const struct registry *registry)
{
	struct registry_report report = registry_report(registry);
	struct registries_page *p = arg;
	struct text labels = {0};

	if (report.age == USEC_NONE && (p->row->only_heard || report.errors == 0))
		return; /* nothing was asked yet: one that nobody uses is not down */
	metrics_add_label(&labels, "registry", slice_str(registry_config_of(registry)->name), "");
	family_cell(&p->family, &labels)->value = p->row->value(&report);
	text_fini(&labels);
}

static void count(void *arg, const struct registry *registry)
{
	size_t *n = arg;

	(void)registry;
	++*n;
}

void metrics_render_registries(
    const struct discovery *discovery, struct arena *arena, struct text *out)
{
	size_t n = 0;

	if (discovery)
		discovery_visit(discovery, count, &n);
	for (size_t i = 0; n && i < ARRAY_LEN(registry_families); i++) {
		struct registries_page p = {.row = &registry_families[i]};

		family_init(&p.family, arena, p.row->name, p.row->type, p.row->help);
		discovery_visit(discovery, show, &p);
		family_render(&p.family, out);
		family_fini(&p.family);
	}
}
