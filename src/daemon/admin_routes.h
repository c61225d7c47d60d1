/* What each path of the admin door does: rows of the table in admin.c. */
#ifndef BRIDLE_DAEMON_ADMIN_ROUTES_H
#define BRIDLE_DAEMON_ADMIN_ROUTES_H

#include "daemon/http_server.h"

struct control;

/* Answers a request: at once, or by http_reply_later. */
typedef void (*admin_serve_fn)(
    struct control *control, const struct http_request *request, struct http_reply *reply);

/* A path, or a group of paths PATH/LABEL. */
struct admin_route {
	const char *method, *path;
	bool reads_only;  /* admin.http has it, too */
	bool takes_label; /* /services/LABEL */
	admin_serve_fn serve;
};

void admin_disable_endpoint(struct control *, const struct http_request *, struct http_reply *);
void admin_drain(struct control *, const struct http_request *, struct http_reply *);
void admin_enable_endpoint(struct control *, const struct http_request *, struct http_reply *);
void admin_get_errors(struct control *, const struct http_request *, struct http_reply *);
void admin_get_page(struct control *, const struct http_request *, struct http_reply *);
void admin_get_pools(struct control *, const struct http_request *, struct http_reply *);
void admin_get_tap(struct control *, const struct http_request *, struct http_reply *);
void admin_upgrade(struct control *, const struct http_request *, struct http_reply *);
void admin_undrain(struct control *, const struct http_request *, struct http_reply *);
void admin_weigh_endpoint(struct control *, const struct http_request *, struct http_reply *);

#endif
