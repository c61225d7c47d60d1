/* Orders about endpoints: /endpoints/disable, /endpoints/enable, /endpoints/weight. */
#include <stdio.h>

#include <cJSON.h>

#include "daemon/admin_pages.h"
#include "daemon/admin_reply.h"
#include "daemon/admin_routes.h"
#include "daemon/control.h"
#include "daemon/endpoint_orders.h"
#include "daemon/upgrade.h"
#include "model/nearest.h"

#define WEIGHT_MAX 1000000.0 /* as in a file */

/* A request, taken apart. */
struct asked {
	struct endpoint_order order;
	struct address address;
	cJSON *body; /* owned: the order's label lies there */
};

/* --- reading --- */

static int read_service(struct asked *asked, struct err *err)
{
	const cJSON *service = cJSON_GetObjectItemCaseSensitive(asked->body, "service");

	if (service == NULL || cJSON_IsNull(service))
		return 0;
	if (!cJSON_IsString(service) || service->valuestring[0] == '\0')
		return err_set(err, 0, "service: the label of one, or nothing for all");
	asked->order.service = slice_str(service->valuestring);
	return 0;
}

static int read_address(struct asked *asked, struct err *err)
{
	const cJSON *address = cJSON_GetObjectItemCaseSensitive(asked->body, "address");

	if (!cJSON_IsString(address))
		return err_set(err, 0, "address: that of an endpoint is missing");
	if (address_parse(&asked->address, slice_str(address->valuestring), err) < 0)
		return err_wrap(err, "address");
	asked->order.address = slice_str(asked->address.text);
	return 0;
}

static int read_weight(struct asked *asked, struct err *err)
{
	const cJSON *weight = cJSON_GetObjectItemCaseSensitive(asked->body, "weight");
	double value;

	if (cJSON_IsNull(weight)) {
		asked->order.verb = ENDPOINT_WEIGHT_FOUND;
		return 0;
	}
	value = cJSON_IsNumber(weight) ? weight->valuedouble : -1;
	if (!(value >= 0 && value <= WEIGHT_MAX) || value != (double)(unsigned)value)
		return err_set(err, 0,
		    "weight: a whole number of 0 to %.0f, or null for the one it was found with",
		    WEIGHT_MAX);
	asked->order.weight = (unsigned)value;
	return 0;
}

static int read_asked(struct asked *asked, const struct http_request *request,
    enum endpoint_verb verb, struct err *err)
{
	*asked = (struct asked){.order = {.verb = verb}};
	asked->body = cJSON_ParseWithLength((const char *)request->body.data, request->body.len);
	if (!cJSON_IsObject(asked->body))
		return err_set(err, 0,
		    "the body must be {\"address\": \"HOST:PORT or unix:/PATH\"%s}, with a "
		    "\"service\" if it is not meant for all",
		    verb == ENDPOINT_WEIGHT ? ", \"weight\": NUMBER" : "");
	if (read_service(asked, err) < 0 || read_address(asked, err) < 0)
		return -1;
	return verb == ENDPOINT_WEIGHT ? read_weight(asked, err) : 0;
}

/* --- whom it is for --- */

static bool is_for(const struct endpoint_order *order, const struct service *service)
{
	return order->service.len == 0 || slice_eq(order->service, service->label);
}

static const struct endpoint *find_endpoint(const struct service *s, struct slice address)
{
	for (size_t i = 0; i < s->n_endpoints; i++)
		if (slice_eq_str(address, s->endpoints[i].address.text))
			return &s->endpoints[i];
	return NULL;
}

static int refuse_service(const struct control *c, struct slice label, struct err *err)
{
	const struct snapshot *snapshot = c->snapshot;
	struct nearest near;

	nearest_init(&near, label);
	for (size_t i = 0; i < snapshot->n_services; i++)
		nearest_try(&near, snapshot->services[i].label);
	if (nearest_found(&near))
		return err_set(err, 404, "no service has the label %.*s; did you mean %.*s?",
		    (int)label.len, (const char *)label.data, (int)near.best.len,
		    (const char *)near.best.data);
	return err_set(err, 404, "no service has the label %.*s; /services lists them all",
	    (int)label.len, (const char *)label.data);
}

static int refuse_address(
    const struct control *c, const struct endpoint_order *order, struct err *err)
{
	const struct snapshot *snapshot = c->snapshot;
	char whose[300] = "no service";
	struct nearest near;

	if (order->service.len)
		snprintf(whose, sizeof whose, "the service %.*s does not", (int)order->service.len,
		    (const char *)order->service.data);
	nearest_init(&near, order->address);
	for (size_t i = 0; i < snapshot->n_services; i++) {
		const struct service *s = &snapshot->services[i];

		for (size_t j = 0; is_for(order, s) && j < s->n_endpoints; j++)
			nearest_try(&near, slice_str(s->endpoints[j].address.text));
	}
	if (nearest_found(&near))
		return err_set(err, 404, "%s%s an endpoint %.*s; did you mean %.*s?", whose,
		    order->service.len ? " have" : " has", (int)order->address.len,
		    (const char *)order->address.data, (int)near.best.len,
		    (const char *)near.best.data);
	return err_set(err, 404, "%s%s an endpoint %.*s; /services lists them all", whose,
	    order->service.len ? " have" : " has", (int)order->address.len,
	    (const char *)order->address.data);
}

/* Somebody must have the endpoint, unless an order is taken back. */
static int check_known(const struct control *c, const struct endpoint_order *order, struct err *err)
{
	const struct snapshot *snapshot = c->snapshot;
	bool gives_back = order->verb == ENDPOINT_ENABLE || order->verb == ENDPOINT_WEIGHT_FOUND;

	for (size_t i = 0; i < snapshot->n_services; i++)
		if (is_for(order, &snapshot->services[i]) &&
		    find_endpoint(&snapshot->services[i], order->address))
			return 0;
	if (gives_back && endpoint_orders_has(c->orders, order->service, order->address))
		return 0;
	if (order->service.len && snapshot_service(snapshot, order->service) == NULL)
		return refuse_service(c, order->service, err);
	return refuse_address(c, order, err);
}

/* --- answering --- */

void admin_add_orders(cJSON *page, const struct endpoint *e)
{
	cJSON_AddNumberToObject(page, "weight", e->weight);
	if (e->is_weight_ordered) {
		cJSON_AddNumberToObject(page, "weight_ordered", e->weight);
		cJSON_AddNumberToObject(page, "weight_found", e->weight_found);
	}
	cJSON_AddBoolToObject(page, "disabled", e->is_disabled);
}

static bool has_any_left(const struct service *s)
{
	for (size_t i = 0; i < s->n_endpoints; i++)
		if (endpoint_share(&s->endpoints[i]))
			return true;
	return false;
}

static cJSON *build_answer(const struct control *c, const struct endpoint_order *order)
{
	cJSON *root = cJSON_CreateObject(), *endpoints, *without;

	cJSON_AddBoolToObject(root, "ok", true);
	endpoints = cJSON_AddArrayToObject(root, "endpoints");
	without = cJSON_AddArrayToObject(root, "without");
	for (size_t i = 0; i < c->snapshot->n_services; i++) {
		const struct service *s = &c->snapshot->services[i];
		const struct endpoint *e =
		    is_for(order, s) ? find_endpoint(s, order->address) : NULL;
		cJSON *one;

		if (e == NULL)
			continue;
		one = cJSON_CreateObject();
		cJSON_AddStringToObject(one, "service", s->config->label);
		cJSON_AddStringToObject(one, "address", e->address.text);
		admin_add_orders(one, e);
		cJSON_AddItemToArray(endpoints, one);
		if (!has_any_left(s))
			cJSON_AddItemToArray(without, cJSON_CreateString(s->config->label));
	}
	return root;
}

static void log_order(const struct endpoint_order *order)
{
	char service[LOG_ESCAPED_MAX], weight[32] = "";

	log_escape(service, sizeof service, order->service);
	if (order->verb == ENDPOINT_WEIGHT)
		snprintf(weight, sizeof weight, " weight=%u", order->weight);
	log_info("endpoint",
	    order->verb == ENDPOINT_DISABLE  ? "disabled by an operator"
	    : order->verb == ENDPOINT_ENABLE ? "enabled by an operator"
	    : order->verb == ENDPOINT_WEIGHT ? "weighed by an operator"
					     : "given its own weight again by an operator",
	    "endpoint=%.*s service=%s%s", (int)order->address.len,
	    (const char *)order->address.data, service[0] ? service : "*", weight);
}

static int obey(struct control *c, const struct endpoint_order *order, struct err *err)
{
	if (check_known(c, order, err) < 0)
		return -1;
	if (upgrade_is_under_way(c->upgrade)) { /* the next process has been told all orders */
		err_set(err, 409, "an upgrade is under way: ask again when it is over");
		return -1;
	}
	if (endpoint_orders_give(c->orders, order, err) < 0) {
		err->code = 409;
		return -1;
	}
	log_order(order);
	control_publish(c, c->snapshot->shared);
	return 0;
}

static void serve(struct control *c, enum endpoint_verb verb, const struct http_request *request,
    struct http_reply *reply)
{
	struct asked asked;
	struct err err = {0};

	if (read_asked(&asked, request, verb, &err) < 0)
		admin_reply_error(reply, 400, err.text);
	else if (obey(c, &asked.order, &err) < 0)
		admin_reply_error(reply, err.code, err.text);
	else
		admin_reply_json(reply, 200, build_answer(c, &asked.order));
	cJSON_Delete(asked.body);
}

void admin_disable_endpoint(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	serve(c, ENDPOINT_DISABLE, request, reply);
}

void admin_enable_endpoint(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	serve(c, ENDPOINT_ENABLE, request, reply);
}

void admin_weigh_endpoint(
    struct control *c, const struct http_request *request, struct http_reply *reply)
{
	serve(c, ENDPOINT_WEIGHT, request, reply);
}
