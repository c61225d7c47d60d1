/* /drain and /undrain: whether callers are wanted. */
#include <cJSON.h>

#include "daemon/admin_reply.h"
#include "daemon/admin_routes.h"
#include "daemon/control.h"
#include "daemon/upgrade.h"

static void reply_load(struct http_reply *reply, const struct control *c)
{
	cJSON *root = cJSON_CreateObject();

	cJSON_AddBoolToObject(root, "ok", true);
	cJSON_AddStringToObject(root, "state", control_state_name(c->state));
	cJSON_AddNumberToObject(root, "connections", (double)workers_connections(&c->workers));
	cJSON_AddNumberToObject(root, "calls", (double)workers_calls(&c->workers));
	admin_reply_json(reply, 200, root);
}

void admin_drain(struct control *c, const struct http_request *request, struct http_reply *to)
{
	(void)request;
	if (upgrade_is_under_way(c->upgrade)) { /* the next process would not know of it */
		admin_reply_error(to, 409, "an upgrade is under way: ask again when it is over");
		return;
	}
	control_drain(c);
	reply_load(to, c);
}

void admin_undrain(struct control *c, const struct http_request *request, struct http_reply *to)
{
	struct err err;

	(void)request;
	if (control_undrain(c, &err) < 0)
		admin_reply_error(to, 409, err.text);
	else
		reply_load(to, c);
}
