/* What the pages say of registries, and of what they said. */
#include <time.h>

#include <cJSON.h>

#include "daemon/admin_pages.h"
#include "daemon/control.h"

/* Seconds with a decimal; null for never. */
static void add_age(cJSON *object, usec_t age)
{
	if (age == USEC_NONE)
		cJSON_AddNullToObject(object, "age_s");
	else
		cJSON_AddNumberToObject(object, "age_s", (double)(age / (100 * USEC_MS)) / 10.0);
}

void admin_add_source(cJSON *page, const struct control *c, const struct service *s)
{
	struct registry_set set;

	cJSON_AddStringToObject(page, "from", discovery_source(s->config));
	if (s->config->discover.from)
		cJSON_AddStringToObject(page, "registry", s->config->discover.from->name);
	cJSON_AddStringToObject(page, "state", endpoint_state_name(s->state));
	if (!discovery_set(c->discovery, s->config, &set))
		return;
	add_age(page, set.age);
	cJSON_AddStringToObject(page, "error", set.error);
}

static void add_registry(void *arg, const struct registry *registry)
{
	const struct registry_config *config = registry_config_of(registry);
	struct registry_report report = registry_report(registry);
	cJSON *one = cJSON_CreateObject();

	cJSON_AddStringToObject(one, "name", config->name);
	cJSON_AddStringToObject(one, "type", registry_type_name(config->type));
	cJSON_AddBoolToObject(one, "up", report.is_up);
	add_age(one, report.age);
	cJSON_AddStringToObject(one, "error", report.error);
	cJSON_AddNumberToObject(one, "services", (double)report.n_services);
	cJSON_AddNumberToObject(one, "documents", (double)report.n_documents);
	cJSON_AddNumberToObject(one, "changes_total", (double)report.changes);
	cJSON_AddNumberToObject(one, "errors_total", (double)report.errors);
	cJSON_AddItemToArray(arg, one);
}

void admin_add_registries(cJSON *page, const struct control *c)
{
	discovery_visit(c->discovery, add_registry, cJSON_AddArrayToObject(page, "registries"));
}

static const char *kind_name(const struct registry_change *change)
{
	switch (change->kind) {
	case CHANGE_ADDED:
		return "added";
	case CHANGE_REMOVED:
		return "removed";
	case CHANGE_CHANGED:
		return "changed";
	case CHANGE_KEPT:
		return "kept";
	case CHANGE_ERROR:
		return "error";
	case CHANGE_CACHED:
		return "cached";
	}
	return "";
}

/* RFC 3339 in UTC, to the millisecond. */
static void add_moment(cJSON *object, usec_t calendar)
{
	time_t seconds = (time_t)(calendar / USEC_S);
	char text[48];
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, sizeof text - len, ".%03uZ", (unsigned)(calendar % USEC_S / USEC_MS));
	cJSON_AddStringToObject(object, "at", text);
}

static void add_change(void *arg, const struct registry_change *change)
{
	cJSON *one = cJSON_CreateObject();

	add_moment(one, change->at);
	cJSON_AddStringToObject(one, "change", kind_name(change));
	cJSON_AddStringToObject(one, "address", change->address);
	cJSON_AddStringToObject(one, "revision", change->revision);
	cJSON_AddStringToObject(one, "text", change->text);
	cJSON_AddItemToArray(arg, one);
}

/* By its label; else by its name, and then the one that is found under it rather than ours. */
static const struct service *find_service(const struct snapshot *snapshot, struct slice wanted)
{
	const struct service *named = NULL;

	for (size_t i = 0; i < snapshot->n_services; i++) {
		const struct service *s = &snapshot->services[i];

		if (slice_eq(s->label, wanted))
			return s;
		if (slice_eq_str(wanted, s->config->name) &&
		    (named == NULL || s->config->discover.from))
			named = s;
	}
	return named;
}

struct cJSON *admin_page_history(const struct control *c, struct slice wanted)
{
	const struct service *s = find_service(c->snapshot, wanted);
	struct registry *registry;
	cJSON *root, *list;

	if (s == NULL)
		return NULL;
	root = cJSON_CreateObject();
	cJSON_AddStringToObject(root, "label", s->config->label);
	cJSON_AddStringToObject(root, "name", s->config->name);
	admin_add_source(root, c, s);
	list = cJSON_AddArrayToObject(root, "changes");
	registry = discovery_registry(c->discovery, s->config->discover.from);
	if (registry)
		registry_history(registry, slice_str(s->config->name), add_change, list);
	return root;
}
