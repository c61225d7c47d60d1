#include "daemon/admin_reply.h"

#include <cJSON.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "daemon/control.h"

void admin_reply_body(struct http_reply *reply, const char *type, char *moved, size_t len)
{
	reply->status = 200;
	reply->type = type;
	reply->body = moved;
	reply->len = len;
}

/* What callers have named stands in some answers, and may be any bytes; JSON is text. */
static void make_text(char *bytes, size_t len)
{
	uint32_t code;

	for (size_t at = 0, n; at < len; at += n ? n : 1) {
		n = (unsigned char)bytes[at] < 0x80
			? 1
			: utf8_take(slice_of(bytes + at, len - at), &code);
		if (n == 0)
			bytes[at] = '?';
	}
}

void admin_reply_json(struct http_reply *reply, int status, cJSON *moved)
{
	char *text = cJSON_PrintUnformatted(moved);
	size_t len;

	cJSON_Delete(moved);
	if (text == NULL)
		return; /* out of memory: the 500 without words that the reply began as */
	len = strlen(text);
	make_text(text, len);
	reply->status = status;
	reply->type = "application/json";
	reply->body = mem_realloc(text, len + 2);
	reply->body[len] = '\n';
	reply->len = len + 1;
}

void admin_reply_error(struct http_reply *reply, int status, const char *error)
{
	cJSON *root = cJSON_CreateObject();

	cJSON_AddBoolToObject(root, "ok", false);
	cJSON_AddStringToObject(root, "error", error);
	cJSON_AddArrayToObject(root, "problems"); /* those of a file, and no file is at fault */
	admin_reply_json(reply, status, root);
}

void admin_reply_state(struct http_reply *reply, const struct control *c)
{
	cJSON *root = cJSON_CreateObject();

	cJSON_AddBoolToObject(root, "ok", true);
	cJSON_AddStringToObject(root, "state", control_state_name(c->state));
	admin_reply_json(reply, 200, root);
}
