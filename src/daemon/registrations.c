/*
 * Which publications there are follows from the snapshot. All are settled in one place (look), at
 * the end of the turn in which something changed, and once a second: for addresses that may have
 * changed, and for whoever reads the log.
 */
#include "daemon/registrations.h"

#include <stdlib.h>

#include "base/mem.h"
#include "daemon/registrations_impl.h"

#define LOOK_EVERY   USEC_S
#define ROUTES_EVERY (30 * USEC_S) /* how often local addresses are asked for */
#define LEAVE_MAX    (6 * USEC_S)  /* registries give up before */
#define LEAVE_UNSEEN USEC_S        /* where nothing was ever known to be there */

static usec_t now_of(const struct registrations *r)
{
	return loop_now(r->loop);
}

/* --- looking --- */

static void look(struct registrations *r);

static void look_again(struct timer *timer, usec_t now)
{
	(void)now;
	look(container_of(timer, struct registrations, again));
}

static void end_leaving(struct registrations *r)
{
	void (*done)(void *arg) = r->done;

	if (done == NULL)
		return;
	if (!list_is_empty(&r->enrolments) && now_of(r) < r->leave_until)
		return;
	r->done = NULL;
	done(r->arg);
}

static void look(struct registrations *r)
{
	usec_t now = now_of(r);

	if (r->has_let_go)
		return;
	list_each (link, &r->publications)
		publication_settle(r, list_item(link, struct publication, link));
	if (now >= r->routes_at)
		r->routes_at = usec_after(now, ROUTES_EVERY);
	if (!list_is_empty(&r->publications) || !list_is_empty(&r->enrolments))
		wheel_set(loop_wheel(r->loop), &r->again, usec_after(now, LOOK_EVERY), look_again);
	end_leaving(r);
}

static void look_deferred(struct loop_work *work)
{
	look(container_of(work, struct registrations, work));
}

/* Later in this turn: what it goes by may still be changing. */
static void look_soon(void *arg)
{
	struct registrations *r = arg;

	loop_defer(r->loop, &r->work);
}

/* --- which --- */

static void publication_free(struct registrations *r, struct publication *p)
{
	list_each (link, &r->enrolments) {
		struct enrolment *e = list_item(link, struct enrolment, link);

		if (e->of == p)
			e->of = NULL;
	}
	list_remove(&p->link);
	free(p->label);
	free(p->where);
	free(p);
}

static struct publication *find_or_add(
    struct registrations *r, const char *label, const char *where)
{
	struct publication *p;

	list_each (link, &r->publications) {
		p = list_item(link, struct publication, link);
		if (strcmp(p->label, label) == 0 && strcmp(p->where, where) == 0)
			return p;
	}
	p = mem_calloc(1, sizeof *p);
	p->label = mem_strdup(label);
	p->where = mem_strdup(where);
	list_push_back(&r->publications, &p->link);
	return p;
}

static void follow_service(struct registrations *r, const struct service_config *service)
{
	for (size_t i = 0; i < service->registration.n_in; i++) {
		const struct registry_config *config = service->registration.in[i];
		struct publication *p = find_or_add(r, service->label, config->name);

		p->service = service;
		p->config = config;
	}
}

void registrations_follow(struct registrations *r, struct snapshot *snapshot)
{
	struct snapshot *before = r->snapshot;

	if (r->has_let_go)
		return;
	list_each (link, &r->publications)
		list_item(link, struct publication, link)->service = NULL;
	for (size_t i = 0; i < snapshot->config->n_services; i++)
		follow_service(r, snapshot->config->services[i]);
	list_each_safe (link, &r->publications) {
		struct publication *p = list_item(link, struct publication, link);

		if (p->service)
			continue;
		publication_withdraw(p, "the configuration does not ask for it any more");
		publication_free(r, p);
	}
	r->snapshot = snapshot_ref(snapshot);
	if (before)
		snapshot_unref(&before);
	readiness_follow(r->readiness, snapshot);
	r->routes_at = 0; /* perhaps another registry, or another listener */
	look_soon(r);
}

/* --- events --- */

static void end_enrolment(struct enrolment *e)
{
	struct publication *p = e->of;

	if (p) {
		p->drifts += e->drifts;
		p->present = p->present == e ? NULL : p->present;
		p->former = p->former == e ? NULL : p->former;
	}
	enrolment_free(&e);
}

void registrations_changed(struct registrations *r, struct registration *registration)
{
	struct enrolment *e = registration_report(registration).arg;
	enum registration_state before = e->state;

	if (!enrolment_hear(e)) {
		end_enrolment(e);
	} else if (e->was_present) {
		r->were_any = true;
		/* The registry is there again: perhaps on another way. */
		if (before == REGISTRATION_LOST && e->state == REGISTRATION_PRESENT)
			r->routes_at = 0;
	}
	look_soon(r);
}

void registrations_leave(struct registrations *r, void (*done)(void *arg), void *arg)
{
	r->is_leaving = true;
	r->leave_until = usec_after(now_of(r), r->were_any ? LEAVE_MAX : LEAVE_UNSEEN);
	r->done = done;
	r->arg = arg;
	look_soon(r);
}

/* What is being withdrawn goes on its way. */
void registrations_let_go(struct registrations *r)
{
	size_t n = 0;

	r->has_let_go = true;
	wheel_clear(&r->again);
	loop_undefer(&r->work);
	list_each (link, &r->publications) {
		struct publication *p = list_item(link, struct publication, link);

		p->present = p->former = NULL;
		p->is_due = false;
		snprintf(p->why, sizeof p->why, "another process keeps it there now");
	}
	list_each_safe (link, &r->enrolments) {
		struct enrolment *e = list_item(link, struct enrolment, link);

		e->of = NULL;
		if (e->is_leaving)
			continue;
		enrolment_let_go(&e);
		n++;
	}
	if (n)
		log_info("registration", "left to the process that serves now", "n=%zu", n);
}

void registrations_return(struct registrations *r)
{
	r->is_leaving = false;
	r->done = NULL;
	r->routes_at = 0;
	look_soon(r);
}

bool registrations_were_any(const struct registrations *r)
{
	return r->were_any;
}

/* --- life --- */

struct registrations *registrations_new(
    struct loop *loop, struct discovery *discovery, const struct bindings *bindings)
{
	struct registrations *r = mem_calloc(1, sizeof *r);

	r->loop = loop;
	r->discovery = discovery;
	r->bindings = bindings;
	r->work.run = look_deferred;
	list_init(&r->publications);
	list_init(&r->enrolments);
	r->readiness =
	    readiness_new(loop, readiness_for_registration, READINESS_EVERY, look_soon, r);
	return r;
}

void registrations_free(struct registrations **pr)
{
	struct registrations *r = *pr;

	if (r == NULL)
		return;
	*pr = NULL;
	readiness_free(&r->readiness);
	wheel_clear(&r->again);
	loop_undefer(&r->work);
	list_each_safe (link, &r->publications)
		publication_free(r, list_item(link, struct publication, link));
	list_each_safe (link, &r->enrolments) {
		struct enrolment *e = list_item(link, struct enrolment, link);

		enrolment_free(&e);
	}
	if (r->snapshot)
		snapshot_unref(&r->snapshot);
	free(r);
}

/* --- seen from outside --- */

void registrations_visit(const struct registrations *r,
    void (*visit)(void *arg, const struct registered_report *report), void *arg)
{
	list_each (link, &r->publications) {
		struct registered_report report =
		    publication_report(r, list_item(link, struct publication, link));

		visit(arg, &report);
	}
}
