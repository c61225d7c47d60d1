#include "daemon/metrics_registrations.h"

#include "daemon/metrics.h"
#include "daemon/metrics_family.h"
#include "daemon/registrations.h"

struct registered_page {
	struct family present, drifts;
};

static void set(struct family *f, const struct registered_report *report, uint64_t value)
{
	struct text labels = {0};

	metrics_add_label(&labels, "service", slice_str(report->label), "");
	metrics_add_label(&labels, "registry", slice_str(report->registry), "");
	family_cell(f, &labels)->value = value;
	text_fini(&labels);
}

static void show(void *arg, const struct registered_report *report)
{
	struct registered_page *p = arg;

	set(&p->present, report, report->state == REGISTRATION_PRESENT);
	set(&p->drifts, report, report->drifts);
}

void metrics_render_registrations(
    const struct registrations *registrations, struct arena *arena, struct text *out)
{
	struct registered_page p;

	if (registrations == NULL)
		return;
	family_init(&p.present, arena, "bridle_registered", "gauge",
	    "Whether a service stands in a registry as it should: 1 only when that was read back.");
	family_init(&p.drifts, arena, "bridle_registration_drifts_total", "counter",
	    "Times that a registration was found missing or changed while it should have been there.");
	registrations_visit(registrations, show, &p);
	family_render(&p.present, out);
	family_render(&p.drifts, out);
	family_fini(&p.present);
	family_fini(&p.drifts);
}
