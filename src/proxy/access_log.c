#include "proxy/access_log.h"

#include "net/loop.h"
#include "proxy/access_line.h"
#include "proxy/call.h"
#include "proxy/world.h"

static bool is_wanted(struct call *call, const struct access_log_config *c, usec_t took)
{
	if (c->always_errors && !reason_is_success(call->reason))
		return true;
	if (took > c->always_slower_than)
		return true;
	return c->sample >= 1.0 ||
	       (double)rng_below(&call->worker->rng, 1000000) < c->sample * 1000000.0;
}

void access_log_call(struct call *call, usec_t now)
{
	const struct access_log_config *c = &call->world->snapshot->config->access_log;
	struct access_moment moment = {.now = now, .is_untimed = call->worker->access_is_clocked};
	char room[ACCESS_LINE_MAX];
	size_t len;

	if (c->to == NULL || !is_wanted(call, c, now - call->started))
		return;
	moment.calendar = loop_calendar(call->worker->loop);
	if (c->format)
		len = access_line_format(call, &moment, c->format, room);
	else
		len = access_line_json(call, &moment, room);
	call->worker->access_sink(call->worker->access_arg, room, len);
}
