#include "daemon/admin_pages.h"

#include <cJSON.h>

#include "daemon/control.h"
#include "daemon/governance.h"
#include "daemon/registrations.h"
#include "daemon/traffic.h"
#include "net/loop.h"

static double left_of(uint64_t until, usec_t now)
{
	return until > now ? (double)((until - now + USEC_MS - 1) / USEC_MS) : 0;
}

static cJSON *build_endpoint(const struct control *c, const struct service *s, size_t index)
{
	const struct endpoint *e = &s->endpoints[index];
	const struct endpoint_tally *tally = s->endpoint_tallies[index];
	cJSON *one = cJSON_CreateObject(), *tags;
	struct backend_report report = {0};

	workers_endpoint_report(&c->workers, s->label, e->address.text, &report);
	cJSON_AddStringToObject(one, "address", e->address.text);
	admin_add_orders(one, e);
	tags = cJSON_AddObjectToObject(one, "tags");
	for (size_t i = 0; i < e->tags.n; i++)
		cJSON_AddStringToObject(tags, e->tags.pairs[i].name, e->tags.pairs[i].value);
	cJSON_AddStringToObject(one, "zone", e->zone ? e->zone : "");
	cJSON_AddStringToObject(
	    one, "health", health_name((enum health)atomic_load(&tally->health)));
	cJSON_AddNumberToObject(
	    one, "ejected_for_ms", left_of(atomic_load(&tally->ejected_until), loop_now(c->loop)));
	cJSON_AddNumberToObject(one, "in_flight", (double)report.in_flight);
	cJSON_AddNumberToObject(one, "connections", (double)report.connections);
	cJSON_AddNumberToObject(one, "calls_total", (double)report.calls);
	cJSON_AddNumberToObject(one, "errors_total", (double)report.errors);
	cJSON_AddNumberToObject(one, "p50_us", (double)histogram_quantile(&report.took, 0.5));
	cJSON_AddNumberToObject(one, "p99_us", (double)histogram_quantile(&report.took, 0.99));
	admin_add_latency(one, &report.took);
	return one;
}

/* The worst of all that calls of this service pass. */
static enum breaker_state breaker_of(const struct control *c, const struct service *s)
{
	static const int badness[] = {
	    [BREAKER_CLOSED] = 0, [BREAKER_HALF_OPEN] = 1, [BREAKER_OPEN] = 2};
	const struct config *config = c->snapshot->config;
	enum breaker_state worst = BREAKER_CLOSED;

	for (size_t i = 0; i < config->n_policies * LEVELS; i++) {
		const struct policy *p = config->policies[i / LEVELS];
		struct breaker_tally *tally = c->snapshot->guards[i / LEVELS].breakers[i % LEVELS];
		enum breaker_state state;

		if (p->service != s->config || tally == NULL || p->breakers[i % LEVELS] == NULL)
			continue;
		state = breaker_tally_state(tally, p->breakers[i % LEVELS], loop_now(c->loop));
		worst = badness[state] > badness[worst] ? state : worst;
	}
	return worst;
}

/* Its registrations, while they are gathered. */
struct registered_list {
	const char *label;
	cJSON *list;
};

static void add_registered(void *arg, const struct registered_report *report)
{
	struct registered_list *r = arg;
	cJSON *one;

	if (strcmp(report->label, r->label) != 0)
		return;
	one = cJSON_CreateObject();
	cJSON_AddStringToObject(one, "registry", report->registry);
	cJSON_AddStringToObject(one, "address", report->address);
	cJSON_AddStringToObject(one, "state", registration_state_name(report->state));
	cJSON_AddBoolToObject(one, "ready", report->is_ready);
	cJSON_AddStringToObject(one, "why", report->why);
	cJSON_AddNumberToObject(one, "drifts", (double)report->drifts);
	cJSON_AddItemToArray(r->list, one);
}

static cJSON *build_service(
    const struct control *c, const struct service *s, const struct traffic *traffic)
{
	cJSON *root = cJSON_CreateObject(), *list;

	cJSON_AddStringToObject(root, "label", s->config->label);
	cJSON_AddStringToObject(root, "name", s->config->name);
	admin_add_source(root, c, s);
	cJSON_AddStringToObject(root, "breaker", breaker_state_name(breaker_of(c, s)));
	admin_add_traffic(root, traffic, s);
	list = cJSON_AddArrayToObject(root, "endpoints");
	for (size_t i = 0; i < s->n_endpoints; i++)
		cJSON_AddItemToArray(list, build_endpoint(c, s, i));
	if (s->config->registration.n_in) {
		struct registered_list registered = {
		    s->config->label, cJSON_AddArrayToObject(root, "registered")};

		registrations_visit(c->registrations, add_registered, &registered);
	}
	return root;
}

struct cJSON *admin_page_services(const struct control *c)
{
	cJSON *list = cJSON_CreateArray();
	struct traffic traffic;

	traffic_of_services(&traffic, c->workers.list, c->workers.n);
	for (size_t i = 0; i < c->snapshot->n_services; i++)
		cJSON_AddItemToArray(list, build_service(c, &c->snapshot->services[i], &traffic));
	traffic_fini(&traffic);
	return list;
}

/* Its documents, while they are gathered. */
struct document_list {
	const char *label;
	cJSON *list;
};

static void add_document(void *arg, const struct document_report *report)
{
	struct document_list *d = arg;
	cJSON *one;

	if (strcmp(report->service, d->label) != 0)
		return;
	one = cJSON_CreateObject();
	cJSON_AddStringToObject(one, "category", governance_category_name(report->category));
	cJSON_AddStringToObject(one, "document", report->source);
	cJSON_AddStringToObject(one, "state", document_state_name(report->state));
	cJSON_AddNumberToObject(one, "values", (double)report->n_values);
	cJSON_AddNumberToObject(one, "refused", (double)report->refused);
	cJSON_AddStringToObject(one, "error", report->error);
	cJSON_AddItemToArray(d->list, one);
}

struct cJSON *admin_page_service(const struct control *c, struct slice label)
{
	const struct service *s = NULL;
	struct traffic traffic;
	cJSON *root;

	for (size_t i = 0; i < c->snapshot->n_services; i++)
		if (slice_eq(c->snapshot->services[i].label, label))
			s = &c->snapshot->services[i];
	if (s == NULL)
		return NULL;
	traffic_of_services(&traffic, c->workers.list, c->workers.n);
	root = build_service(c, s, &traffic);
	traffic_fini(&traffic);
	if (s->config->governance.from) {
		struct document_list documents = {
		    s->config->label, cJSON_AddArrayToObject(root, "governance")};

		governance_visit(c->governance, add_document, &documents);
	}
	return root;
}
