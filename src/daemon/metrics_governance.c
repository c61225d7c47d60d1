#include "daemon/metrics_governance.h"

#include "daemon/governance.h"
#include "daemon/metrics.h"
#include "daemon/metrics_family.h"

struct documents_page {
	struct family documents, refused;
};

static void set(
    struct family *f, const struct document_report *report, const char *state, uint64_t value)
{
	struct text labels = {0};

	metrics_add_label(&labels, "service", slice_str(report->service), "");
	metrics_add_label(
	    &labels, "category", slice_str(governance_category_name(report->category)), "");
	if (state)
		metrics_add_label(&labels, "state", slice_str(state), "");
	family_cell(f, &labels)->value = value;
	text_fini(&labels);
}

static void show(void *arg, const struct document_report *report)
{
	struct documents_page *p = arg;

	set(&p->documents, report, document_state_name(report->state), 1);
	set(&p->refused, report, NULL, report->refused);
}

void metrics_render_governance(
    const struct governance *governance, struct arena *arena, struct text *out)
{
	struct documents_page p;

	if (governance == NULL)
		return;
	family_init(&p.documents, arena, "bridle_governance_documents", "gauge",
	    "Documents of Kitex's dynamic configuration that are followed, each with its state.");
	family_init(&p.refused, arena, "bridle_governance_refused_total", "counter",
	    "Times that a document made no sense, so that what was before stayed.");
	governance_visit(governance, show, &p);
	family_render(&p.documents, out);
	family_render(&p.refused, out);
	family_fini(&p.documents);
	family_fini(&p.refused);
}
