/* How the admin door answers: JSON, and what is wrong in one form everywhere. */
#ifndef BRIDLE_DAEMON_ADMIN_REPLY_H
#define BRIDLE_DAEMON_ADMIN_REPLY_H

#include "daemon/http_server.h"

struct cJSON;
struct control;

/* 200; @moved is from malloc. */
void admin_reply_body(struct http_reply *reply, const char *type, char *moved, size_t len);
/* Deletes @moved. */
void admin_reply_json(struct http_reply *reply, int status, struct cJSON *moved);
/* {"ok": false, "error": ...} */
void admin_reply_error(struct http_reply *reply, int status, const char *error);
/* {"ok": true, "state": ...} */
void admin_reply_state(struct http_reply *reply, const struct control *control);

#endif
