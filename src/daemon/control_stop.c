/*
 * The way out. First callers must stop to find us: what is registered is withdrawn, and while they
 * hear of that all is served as before. Then those who are connected are asked to go elsewhere; and
 * if the daemon is to end, the doors are closed, and it ends with the last call.
 *
 *     control_drain: REGISTRIES --withdrawn, or 5 s--> NEWS --deregister_wait--> CALLERS
 *                        '-------------- nothing was ever registered ---------------^
 *     control_stop:  the same; from CALLERS on doors are closed, and shutdown.drain counts
 *     control_undrain: back, unless it is stopping
 *
 * When the time is over, what still runs is answered with that, and gets a moment to hear it.
 *
 * An application under us is told to end when its callers have gone, or half of the time is over;
 * doors stay open for its own calls until it has ended.
 */
#include <inttypes.h>
#include <signal.h>

#include "daemon/admin.h"
#include "daemon/control.h"
#include "daemon/hosted.h"
#include "daemon/metadata_socket.h"
#include "daemon/notify.h"
#include "daemon/registrations.h"
#include "daemon/upgrade.h"
#include "net/loop.h"

#define DRAIN_LOOK_EVERY (20 * USEC_MS)
#define CUT_WITHIN       (1 * USEC_S) /* for the last answers to leave */
#define ALONE_FOR_LONG   (5 * USEC_S)
#define ASKERS_COME_FOR  (1 * USEC_S) /* by the name that was ours */

/* What still runs is answered, and what has been said leaves. */
static void cut(struct control *c, usec_t now)
{
	struct stopping *s = &c->stopping;

	s->is_cut = true;
	s->connections_cut = workers_connections(&c->workers);
	s->end_by = usec_after(now, CUT_WITHIN);
	if (s->connections_cut)
		log_warn("control", "the time to drain is over",
		    "connections=%" PRIu64 " calls=%" PRIu64, s->connections_cut,
		    workers_calls(&c->workers));
	workers_cut(&c->workers);
}

/* Copies and oneways may be left when nobody is there any more to be answered. */
static bool is_alone_for_long(struct stopping *s, uint64_t connections, usec_t now)
{
	if (connections)
		s->alone_since = 0;
	else if (s->alone_since == 0)
		s->alone_since = now;
	return s->alone_since && now - s->alone_since >= ALONE_FOR_LONG;
}

/* Who found the way to the admin socket while it was still ours gets an answer. */
static bool is_asked_soon(const struct control *c, usec_t now)
{
	return now < c->stopping.askers_until && admin_is_asked_soon(c->admin);
}

static void look_whether_drained(struct timer *timer, usec_t now)
{
	struct control *c = container_of(timer, struct control, stopping.look);
	/* First: whoever waits at a door counts before it is closed. */
	bool is_closed = acceptor_has_applied(c->workers.acceptor) && !is_asked_soon(c, now);
	uint64_t left = workers_connections(&c->workers);
	struct stopping *s = &c->stopping;

	if (!s->is_cut && (now >= s->deadline || is_alone_for_long(s, left, now)))
		cut(c, now);
	if ((is_closed && left == 0 && workers_calls(&c->workers) == 0) ||
	    (s->is_cut && now >= s->end_by)) {
		log_info("control", "stopping", "connections_cut=%" PRIu64, s->connections_cut);
		loop_stop(c->loop);
		return;
	}
	wheel_set(
	    loop_wheel(c->loop), &s->look, usec_after(now, DRAIN_LOOK_EVERY), look_whether_drained);
}

static void set_deadline(struct control *c)
{
	c->stopping.deadline = usec_min(c->stopping.deadline,
	    usec_after(loop_now(c->loop), c->snapshot->config->shutdown.drain));
}

static void ask_callers(struct control *c);

static void close_doors(struct control *c)
{
	struct acceptor_plan none = {0};

	acceptor_apply(c->workers.acceptor, &none);
	workers_forget_gone(&c->workers);
	if (c->stopping.is_hurried && c->stopping.deadline == USEC_NONE)
		set_deadline(c);
	wheel_set(loop_wheel(c->loop), &c->stopping.look, loop_now(c->loop), look_whether_drained);
}

/* --- the application under us --- */

static bool holds_doors(const struct control *c)
{
	return c->hosted && hosted_is_running(c->hosted);
}

static void look_at_application(struct timer *timer, usec_t now)
{
	struct control *c = container_of(timer, struct control, stopping.look);
	usec_t half = c->snapshot->config->shutdown.drain / 2;
	bool is_due = c->stopping.deadline != USEC_NONE && now + half >= c->stopping.deadline;

	if (now >= c->stopping.deadline) { /* once: its end is ours, too */
		hosted_signal(c->hosted, SIGKILL, true);
		return;
	}
	if (!c->stopping.has_told && (is_due || workers_calls(&c->workers) == 0)) {
		c->stopping.has_told = true;
		hosted_signal(c->hosted, c->stopping.signal ? c->stopping.signal : SIGTERM, true);
	}
	wheel_set(
	    loop_wheel(c->loop), timer, usec_after(now, DRAIN_LOOK_EVERY), look_at_application);
}

/* Its calls are served until it has ended. */
static void end_application(struct control *c)
{
	if (c->stopping.is_hurried)
		set_deadline(c);
	wheel_set(loop_wheel(c->loop), &c->stopping.look,
	    usec_after(loop_now(c->loop), DRAIN_LOOK_EVERY), look_at_application);
}

void control_application_ended(struct control *c)
{
	struct stopping *s = &c->stopping;

	if (!s->is_under_way)
		control_stop(c, false);
	if (s->deadline <= loop_now(c->loop)) { /* now is now */
		wheel_set(loop_wheel(c->loop), &s->look, loop_now(c->loop), look_whether_drained);
	} else if (s->leaving == LEAVING_NEWS) { /* nobody is there any more to serve meanwhile */
		wheel_clear(&s->wait);
		ask_callers(c);
	} else if (s->leaving == LEAVING_CALLERS) {
		close_doors(c);
	}
}

static void go_on_leaving(struct control *c)
{
	if (holds_doors(c))
		end_application(c);
	else
		close_doors(c);
}

static void ask_callers(struct control *c)
{
	c->stopping.leaving = LEAVING_CALLERS;
	if (c->stopping.is_under_way)
		go_on_leaving(c);
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
	if (wait == 0 || !registrations_were_any(c->registrations) ||
	    (c->hosted && !hosted_is_running(c->hosted))) {
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

int control_undrain(struct control *c, struct err *err)
{
	if (c->stopping.is_under_way)
		return err_set(err, 0, "it is stopping, and there is no way back from that");
	if (c->state != CONTROL_DRAINING)
		return 0;
	wheel_clear(&c->stopping.wait);
	c->stopping.leaving = LEAVING_NOT;
	log_info("control", "wanted again", "%s", "");
	workers_undrain(&c->workers);
	registrations_return(c->registrations);
	c->state = CONTROL_STARTING;
	control_look_ready(c);
	return 0;
}

/* Nothing is withdrawn: what is registered is the other process's now. */
void control_hand_over(struct control *c)
{
	struct acceptor_plan taken = bindings_taken_over(&c->bindings), none = {0};
	usec_t drain = c->snapshot->config->upgrade.drain;

	c->state = CONTROL_DRAINING;
	c->stopping.is_under_way = true;
	c->stopping.leaving = LEAVING_CALLERS;
	c->stopping.deadline = usec_after(loop_now(c->loop), drain);
	c->stopping.askers_until = usec_after(loop_now(c->loop), ASKERS_COME_FOR);
	registrations_let_go(c->registrations);
	discovery_hold_caches(c->discovery, true);
	admin_leave(c->admin);
	metadata_socket_leave(c->metadata_socket);
	acceptor_apply(c->workers.acceptor, &taken); /* the files of the others go */
	acceptor_apply(c->workers.acceptor, &none);
	workers_forget_gone(&c->workers);
	workers_be_patient(&c->workers, drain == USEC_NONE ? drain : drain / 4 * 3);
	workers_drain(&c->workers, c->snapshot->config->shutdown.spread);
	wheel_set(loop_wheel(c->loop), &c->stopping.look, loop_now(c->loop), look_whether_drained);
}

void control_stop(struct control *c, bool patient)
{
	struct stopping *s = &c->stopping;

	if (upgrade_defers(c->upgrade, patient ? SIGQUIT : SIGTERM))
		return;
	if (!s->is_under_way) {
		s->is_under_way = true;
		s->deadline = USEC_NONE;
		s->is_hurried = false;
		notify_stopping();
		control_drain(c);
		if (s->leaving == LEAVING_CALLERS)
			go_on_leaving(c);
	}
	if (patient)
		return;
	if (!s->is_hurried) {
		s->is_hurried = true;
		workers_be_patient(&c->workers, 0); /* after an upgrade they were */
		if (s->leaving == LEAVING_CALLERS)
			set_deadline(c);
		return;
	}
	s->deadline = s->end_by = loop_now(c->loop);
	wheel_clear(&s->wait);
	if (holds_doors(c)) { /* its end is ours, too */
		hosted_signal(c->hosted, SIGKILL, true);
		wheel_clear(&s->look);
		return;
	}
	wheel_set(loop_wheel(c->loop), &s->look, s->deadline, look_whether_drained);
}
