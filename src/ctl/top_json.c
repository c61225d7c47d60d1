#include "ctl/top_json.h"

#include <cJSON.h>

static void add_rates(cJSON *one, const struct top_rates *rates)
{
	cJSON_AddNumberToObject(one, "calls_per_s", rates->calls);
	cJSON_AddNumberToObject(one, "errors_per_s", rates->errors);
	cJSON_AddNumberToObject(one, "p50_us", (double)histogram_quantile(&rates->took, 0.5));
	cJSON_AddNumberToObject(one, "p99_us", (double)histogram_quantile(&rates->took, 0.99));
}

static void add_reasons(cJSON *one, const struct top_rates *rates)
{
	cJSON *reasons = cJSON_AddObjectToObject(one, "reasons_per_s");

	for (int i = 0; i < REASON_COUNT; i++)
		if (rates->by_reason[i] > 0)
			cJSON_AddNumberToObject(
			    reasons, reason_name((enum reason)i), rates->by_reason[i]);
}

static cJSON *build_endpoint(const struct top_row *row)
{
	cJSON *one = cJSON_CreateObject();

	cJSON_AddStringToObject(one, "address", row->name);
	cJSON_AddBoolToObject(one, "usable", !row->is_out);
	cJSON_AddNumberToObject(one, "in_flight", row->in_flight);
	cJSON_AddNumberToObject(one, "connections", row->connections);
	add_rates(one, &row->rates);
	return one;
}

static cJSON *build_service(const struct top_row *row)
{
	cJSON *one = cJSON_CreateObject(), *list;

	cJSON_AddStringToObject(one, "label", row->name);
	cJSON_AddStringToObject(one, "state", row->state);
	cJSON_AddStringToObject(one, "breaker", row->breaker);
	cJSON_AddNumberToObject(one, "usable", row->usable);
	cJSON_AddNumberToObject(one, "in_flight", row->in_flight);
	cJSON_AddNumberToObject(one, "connections", row->connections);
	add_rates(one, &row->rates);
	cJSON_AddNumberToObject(one, "retries_per_s", row->rates.retries);
	add_reasons(one, &row->rates);
	list = cJSON_AddArrayToObject(one, "endpoints");
	for (const struct top_row *e = row->first; e; e = e->next)
		cJSON_AddItemToArray(list, build_endpoint(e));
	return one;
}

struct cJSON *top_json(const struct top_rows *rows, double seconds)
{
	cJSON *root = cJSON_CreateObject(), *list;

	cJSON_AddNumberToObject(root, "interval_s", seconds);
	add_rates(root, &rows->all);
	cJSON_AddNumberToObject(root, "retries_per_s", rows->all.retries);
	add_reasons(root, &rows->all);
	list = cJSON_AddArrayToObject(root, "services");
	for (const struct top_row *s = rows->first; s; s = s->next)
		cJSON_AddItemToArray(list, build_service(s));
	return root;
}
