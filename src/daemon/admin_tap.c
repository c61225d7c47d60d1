/* GET /tap: calls as they go by. */
#include <errno.h>

#include "base/err.h"
#include "daemon/admin_reply.h"
#include "daemon/admin_routes.h"
#include "daemon/control.h"
#include "daemon/taps.h"

void admin_get_tap(struct control *c, const struct http_request *request, struct http_reply *reply)
{
	struct err err;

	if (slice_eq_str(request->method, "HEAD")) { /* its answer would never end */
		admin_reply_error(reply, 405, "what goes by has no head; this path takes GET");
		reply->allow = "GET";
		return;
	}
	if (taps_open(c->taps, request->query, reply, &err) < 0)
		admin_reply_error(reply, err.code == EBUSY ? 503 : 400, err.text);
}
