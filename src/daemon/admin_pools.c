/* GET /pools: connections to endpoints, and who waits for them. */
#include <cJSON.h>

#include "daemon/admin_reply.h"
#include "daemon/admin_routes.h"
#include "daemon/control.h"

/* How the pools of a service are told to be; null where nothing bounds them. */
static void add_rule(cJSON *one, const struct policy *policy)
{
	cJSON *pool = cJSON_AddObjectToObject(one, "pool");

	cJSON_AddNumberToObject(pool, "keep", policy->pool_keep);
	cJSON_AddNumberToObject(pool, "warm", policy->pool_warm);
	if (policy->pool_connections == UINT32_MAX)
		cJSON_AddNullToObject(pool, "connections");
	else
		cJSON_AddNumberToObject(pool, "connections", policy->pool_connections);
}

static cJSON *build_endpoint(
    const struct control *c, const struct service *s, const struct endpoint *e)
{
	cJSON *one = cJSON_CreateObject();
	struct backend_report report = {0};
	uint64_t leased;

	workers_endpoint_report(&c->workers, s->label, e->address.text, &report);
	/* Two counters that move meanwhile. */
	leased = report.connections > report.idle ? report.connections - report.idle : 0;
	cJSON_AddStringToObject(one, "address", e->address.text);
	cJSON_AddNumberToObject(one, "open", (double)report.connections);
	cJSON_AddNumberToObject(one, "idle", (double)report.idle);
	cJSON_AddNumberToObject(one, "leased", (double)leased);
	cJSON_AddNumberToObject(one, "waiting", (double)report.waiting);
	cJSON_AddNumberToObject(one, "backlog_total", (double)report.backlog);
	return one;
}

void admin_get_pools(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	cJSON *root = cJSON_CreateArray();

	(void)request;
	for (size_t i = 0; i < c->snapshot->n_services; i++) {
		const struct service *s = &c->snapshot->services[i];
		cJSON *one = cJSON_CreateObject(), *list;

		cJSON_AddStringToObject(one, "label", s->config->label);
		add_rule(one, &s->config->policy);
		list = cJSON_AddArrayToObject(one, "endpoints");
		for (size_t e = 0; e < s->n_endpoints; e++)
			cJSON_AddItemToArray(list, build_endpoint(c, s, &s->endpoints[e]));
		cJSON_AddItemToArray(root, one);
	}
	admin_reply_json(reply, 200, root);
}
