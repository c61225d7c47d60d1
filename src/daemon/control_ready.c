/* When the daemon is ready: at once where nothing is waited for, else with the last first answer,
 * or when time is up. */
#include <stdio.h>

#include "daemon/admin.h"
#include "daemon/control.h"
#include "daemon/hosted.h"
#include "daemon/metadata_socket.h"
#include "daemon/notify.h"
#include "daemon/registrations.h"
#include "daemon/successor.h"
#include "net/loop.h"

#define HOSTS_WITHIN      (2 * USEC_S)
#define REGISTRIES_WITHIN (10 * USEC_S)

static void print_missing(const struct discovery_missing *m, char *room, size_t size)
{
	int len = 0;

	room[0] = '\0';
	if (m->services)
		len = snprintf(room, size,
		    "the registry %s has not answered yet for %zu service%s, among them %.*s",
		    m->registry, m->services, m->services == 1 ? "" : "s", (int)m->service.len,
		    (const char *)m->service.data);
	if (m->hosts && (size_t)len < size)
		snprintf(room + len, size - (size_t)len,
		    "%sno answer yet for %zu name%s, among them %.*s", len ? "; " : "", m->hosts,
		    m->hosts == 1 ? "" : "s", (int)m->host.len, (const char *)m->host.data);
}

void control_missing(const struct control *c, char *room, size_t size)
{
	struct discovery_missing missing = discovery_missing(c->discovery, c->snapshot->config);

	print_missing(&missing, room, size);
	if (room[0] == '\0' && c->state == CONTROL_STARTING && c->hosted)
		snprintf(room, size, "%s", hosted_missing(c->hosted));
}

static void become_ready(struct control *c)
{
	char missing[320];

	wheel_clear(&c->start_wait);
	c->state = CONTROL_READY;
	control_missing(c, missing, sizeof missing);
	log_info("control", "ready", "workers=%u hash=%s missing=\"%s\"", c->workers.n,
	    c->snapshot->config->hash, missing);
	notify_ready();
	registrations_follow(c->registrations, c->snapshot);
}

int control_enter(struct control *c, struct err *err)
{
	const struct config *config = c->snapshot->config;
	struct bindings_plan plan;
	struct acceptor_plan doors;

	if (bindings_prepare(&c->bindings, config, &plan, err) < 0)
		return -1;
	if (admin_enter(c->admin, config, successor_of(c->successor), err) < 0 ||
	    metadata_socket_enter(c->metadata_socket, config, successor_of(c->successor), err) <
		0) {
		bindings_cancel(&plan);
		return -1;
	}
	bindings_enter(&c->bindings);
	discovery_hold_caches(c->discovery, false);
	doors = bindings_commit(&c->bindings, &plan);
	acceptor_apply(c->workers.acceptor, &doors);
	become_ready(c);
	return 0;
}

static void start_waited(struct timer *timer, usec_t now)
{
	(void)now;
	control_look_ready(container_of(timer, struct control, start_wait));
}

void control_look_ready(struct control *c)
{
	struct discovery_missing missing;
	usec_t until, now = loop_now(c->loop);

	if (c->state != CONTROL_STARTING)
		return;
	missing = discovery_missing(c->discovery, c->snapshot->config);
	until = usec_after(c->started_at, missing.services ? REGISTRIES_WITHIN : HOSTS_WITHIN);
	if ((missing.services || missing.hosts) && now < until)
		wheel_set(loop_wheel(c->loop), &c->start_wait, until, start_waited);
	else if (successor_is_waiting(c->successor))
		successor_is_complete(c->successor);
	else if (c->hosted == NULL || hosted_is_ready(c->hosted))
		become_ready(c);
}
