/* The way out: callers are asked to go elsewhere, and the daemon ends when they have gone. */
#include <inttypes.h>

#include "daemon/control.h"
#include "daemon/notify.h"
#include "net/loop.h"

#define DRAIN_LOOK_EVERY (20 * USEC_MS)

void control_drain(struct control *c)
{
	if (c->state == CONTROL_DRAINING)
		return;
	wheel_clear(&c->start_wait);
	c->state = CONTROL_DRAINING;
	workers_drain(&c->workers, c->snapshot->config->shutdown.spread);
	log_info("control", "draining", "connections=%" PRIu64, workers_connections(&c->workers));
}

static void look_whether_drained(struct timer *timer, usec_t now)
{
	struct control *c = container_of(timer, struct control, stopping.look);
	uint64_t left = workers_connections(&c->workers);

	if ((left == 0 && workers_calls(&c->workers) == 0) || now >= c->stopping.deadline) {
		log_info("control", "stopping", "connections_cut=%" PRIu64, left);
		loop_stop(c->loop);
		return;
	}
	wheel_set(loop_wheel(c->loop), &c->stopping.look, usec_after(now, DRAIN_LOOK_EVERY),
	    look_whether_drained);
}

void control_stop(struct control *c, bool patient)
{
	struct stopping *s = &c->stopping;
	usec_t now = loop_now(c->loop);

	if (!s->is_under_way) {
		struct acceptor_plan none = {0};

		s->is_under_way = true;
		s->deadline = USEC_NONE;
		s->is_hurried = false;
		notify_stopping();
		acceptor_apply(c->workers.acceptor, &none);
		control_drain(c);
		wheel_set(loop_wheel(c->loop), &s->look, now, look_whether_drained);
	}
	if (patient)
		return;
	s->deadline = s->is_hurried ? now : usec_after(now, c->snapshot->config->shutdown.drain);
	s->is_hurried = true;
}
