/*
 * The way out. First callers must stop to find us: what is registered is withdrawn, and while they
 * hear of that all is served as before. Then those who are connected are asked to go elsewhere; and if
 * the daemon is to end, the doors are closed, and it ends with the last call.
 *
 *     control_drain: REGISTRIES --withdrawn, or 5 s--> NEWS --deregister_wait--> CALLERS
 *                        '-------------- nothing was ever registered ---------------^
 *     control_stop:  the same; from CALLERS on doors are closed, and shutdown.drain counts
 */
#include <inttypes.h>

#include "daemon/control.h"
#include "daemon/notify.h"
#include "daemon/registrations.h"
#include "net/loop.h"

#define DRAIN_LOOK_EVERY (20 * USEC_MS)

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

static void set_deadline(struct control *c)
{
	c->stopping.deadline = usec_after(loop_now(c->loop), c->snapshot->config->shutdown.drain);
}

static void close_doors(struct control *c)
{
	struct acceptor_plan none = {0};

	acceptor_apply(c->workers.acceptor, &none);
	if (c->stopping.is_hurried)
		set_deadline(c);
	wheel_set(loop_wheel(c->loop), &c->stopping.look, loop_now(c->loop), look_whether_drained);
}

static void ask_callers(struct control *c)
{
	c->stopping.leaving = LEAVING_CALLERS;
	if (c->stopping.is_under_way)
		close_doors(c);
	workers_drain(&c->workers, c->snapshot->config->shutdown.spread);
	log_info("control", "draining", "connections=%" PRIu64, workers_connections(&c->workers));
}

static void waited(struct timer *timer, usec_t now)
{
	(void)now;
	ask_callers(container_of(timer, struct control, stopping.wait));
}

static void withdrawn(void *arg)
{
	struct control *c = arg;
	usec_t wait = c->snapshot->config->shutdown.deregister_wait;

	if (c->stopping.leaving != LEAVING_REGISTRIES)
		return;
	if (wait == 0 || !registrations_were_any(c->registrations)) {
		ask_callers(c);
		return;
	}
	c->stopping.leaving = LEAVING_NEWS;
	log_info("control", "withdrawn everywhere, callers hear of it", "wait_ms=%" PRIu64,
	    wait / USEC_MS);
	wheel_set(
	    loop_wheel(c->loop), &c->stopping.wait, usec_after(loop_now(c->loop), wait), waited);
}

void control_drain(struct control *c)
{
	if (c->state == CONTROL_DRAINING)
		return;
	wheel_clear(&c->start_wait);
	c->state = CONTROL_DRAINING;
	c->stopping.leaving = LEAVING_REGISTRIES;
	registrations_leave(c->registrations, withdrawn, c);
}

void control_stop(struct control *c, bool patient)
{
	struct stopping *s = &c->stopping;

	if (!s->is_under_way) {
		s->is_under_way = true;
		s->deadline = USEC_NONE;
		s->is_hurried = false;
		notify_stopping();
		control_drain(c);
		if (s->leaving == LEAVING_CALLERS)
			close_doors(c);
	}
	if (patient)
		return;
	if (!s->is_hurried) {
		s->is_hurried = true;
		if (s->leaving == LEAVING_CALLERS)
			set_deadline(c);
		return;
	}
	s->deadline = loop_now(c->loop);
	wheel_clear(&s->wait);
	wheel_set(loop_wheel(c->loop), &s->look, s->deadline, look_whether_drained);
}
