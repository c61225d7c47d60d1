/* POST /upgrade, answered when it is known what became of it, and the record of the last one. */
#include <stdlib.h>

#include <cJSON.h>

#include "base/mem.h"
#include "daemon/admin_pages.h"
#include "daemon/admin_reply.h"
#include "daemon/admin_routes.h"
#include "daemon/control.h"
#include "daemon/upgrade.h"

/* Whoever has asked for an upgrade and waits. */
struct asker {
	struct control *control;  /* borrowed */
	struct http_later *later; /* the server's */
};

static void reply_record(struct http_reply *reply, const struct upgrade_record *record)
{
	cJSON *root;

	if (!record->ok) {
		admin_reply_error(reply, 409, record->error);
		return;
	}
	root = cJSON_CreateObject();
	cJSON_AddBoolToObject(root, "ok", true);
	cJSON_AddNumberToObject(root, "pid", record->process);
	admin_reply_json(reply, 200, root);
}

static void known(void *arg, const struct upgrade_record *record)
{
	struct asker *asker = arg;
	struct http_reply reply = {.status = 500, .type = "application/json"};

	reply_record(&reply, record);
	http_later_answer(&asker->later, &reply);
	free(asker);
}

static void gone(void *arg)
{
	struct asker *asker = arg;

	upgrade_forget(asker->control->upgrade, asker);
	free(asker);
}

void admin_upgrade(struct control *c, const struct http_request *request, struct http_reply *reply)
{
	struct asker *asker = mem_calloc(1, sizeof *asker);
	struct err err;

	(void)request;
	if (upgrade_begin(c->upgrade, known, asker, &err) < 0) {
		free(asker);
		admin_reply_error(reply, 409, err.text);
		return;
	}
	asker->control = c;
	asker->later = http_reply_later(reply, gone, asker);
}

void admin_add_upgrade(cJSON *root, const struct control *c)
{
	const struct upgrade_record *last = upgrade_last(c->upgrade);
	cJSON *object;

	if (last->at == 0) {
		cJSON_AddNullToObject(root, "upgrade");
		return;
	}
	object = cJSON_AddObjectToObject(root, "upgrade");
	cJSON_AddBoolToObject(object, "ok", last->ok);
	if (last->ok)
		cJSON_AddNullToObject(object, "error");
	else
		cJSON_AddStringToObject(object, "error", last->error);
	admin_add_time(object, "at", last->at);
	if (last->ok)
		cJSON_AddNumberToObject(object, "pid", last->process);
}
