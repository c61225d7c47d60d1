/*
 * One service in one registry. It has a present enrolment while it is due, and for a moment a
 * former one, when its address or its registry has become another: callers find the new one before
 * the old one goes.
 *
 *     not due --application answers, address known--> PENDING --> PRESENT <--> LOST, CONTESTED
 *        ^                                                          |
 *        '---------- the application is down; a reload; leaving ----'
 */
#include <stdio.h>

#include "base/log.h"
#include "daemon/discovery.h"
#include "daemon/registration_address.h"
#include "daemon/registrations_impl.h"
#include "net/local_address.h"

#define FORMER_MAX   (2 * USEC_S) /* for the new enrolment to be there before the old one goes */
#define MISSING_SAID USEC_MIN     /* between two lines about the same */

static usec_t now_of(const struct registrations *r)
{
	return loop_now(r->loop);
}

/* --- where --- */

static bool has_host(const struct publication *p)
{
	return p->host.len != 0;
}

/* Where the registry is: at IPv4 if it is there, too, as Kitex's applications tell theirs. */
static int find_server(const struct registry *registry, struct address *server, struct err *err)
{
	struct address one;
	bool has_any = false;

	for (size_t i = 0; registry_reached_at(registry, i, &one); i++) {
		if (has_any && !registration_address_is_v4(&one))
			continue;
		*server = one;
		has_any = true;
		if (registration_address_is_v4(&one))
			break;
	}
	return has_any ? 0 : err_set(err, 0, "the address of the registry is not known yet");
}

/* Consul is asked through an agent on the same machine, which is no sign that others are there,
 * too. */
static bool is_agent(const struct registry *registry, const struct address *host)
{
	return registry_config_of(registry)->type == REGISTRY_CONSUL && address_is_local(host);
}

/* What is known stays while there is no way to the registry: addresses come back with it. */
static int find_host(struct registrations *r, struct publication *p,
    const struct registry *registry, bool only_v4, struct err *err)
{
	struct address server, host;

	if (has_host(p) && now_of(r) < r->routes_at)
		return 0;
	if (find_server(registry, &server, err) < 0 ||
	    local_address_towards(&server, only_v4, &host, err) < 0)
		return has_host(p) ? 0 : -1;
	if (is_agent(registry, &host))
		local_address_first(&host);
	p->host = host;
	return 0;
}

static int make_plan(struct registrations *r, struct publication *p, struct registry *registry,
    struct registration_plan *plan, struct err *err)
{
	const struct register_config *wish = &p->service->registration;
	struct address address;

	if (registration_address_find(r->snapshot->config, p->service, r->bindings, &address, err) <
	    0)
		return -1;
	if (registration_address_is_wildcard(&address)) {
		if (find_host(r, p, registry, registration_address_is_v4(&address), err) < 0)
			return -1;
		address = address_with_port(&p->host, address.port);
	}
	*plan = (struct registration_plan){
	    .service = slice_str(p->service->name),
	    .address = address,
	    .weight = wish->weight,
	    .tags = wish->tags,
	    .ttl = wish->ttl,
	};
	return 0;
}

/* --- enrolments --- */

static void withdraw(struct enrolment **moved, const char *why)
{
	if (*moved)
		enrolment_withdraw(*moved, why);
	*moved = NULL;
}

void publication_withdraw(struct publication *p, const char *why)
{
	withdraw(&p->former, why);
	withdraw(&p->present, why);
}

/* A registry that was opened anew is another to us, and the same to those who look into it. Where
 * keys have owners, the new one takes the old one's over; elsewhere the old one's end would be the
 * end of both. */
static bool has_owners(const struct registry_config *config)
{
	return config->type == REGISTRY_ETCD || config->type == REGISTRY_ZOOKEEPER;
}

/* What keeps @plan from being enrolled now: one of another service, or one that has to be gone
 * first. The registry itself sees to it that what leaves and what comes at one place do not
 * meet. */
static struct enrolment *find_in_the_way(const struct registrations *r, const struct publication *p,
    const struct registry *registry, const struct registration_plan *plan)
{
	list_each (link, &r->enrolments) {
		struct enrolment *e = list_item(link, struct enrolment, link);

		if (!enrolment_is_for(e, plan))
			continue;
		if (e->registry == registry
			? !e->is_leaving
			: strcmp(e->where, p->where) == 0 && !has_owners(p->config))
			return e;
	}
	return NULL;
}

static bool is_at(const struct enrolment *e, const struct registry *registry,
    const struct registration_plan *plan)
{
	return e && e->registry == registry && enrolment_is_for(e, plan);
}

static void enroll(struct registrations *r, struct publication *p, struct registry *registry,
    const struct registration_plan *plan)
{
	withdraw(&p->former, "moved");
	p->former = p->present;
	p->former_until = usec_after(now_of(r), FORMER_MAX);
	p->present = enrolment_new(registry, plan, p->label);
	p->present->of = p;
	list_push_back(&r->enrolments, &p->present->link);
}

/* Sees to it that the present enrolment is for @plan. */
static void place(struct registrations *r, struct publication *p, struct registry *registry,
    const struct registration_plan *plan)
{
	struct enrolment *other;

	if (is_at(p->former, registry, plan)) { /* back to where it was */
		other = p->present;
		p->present = p->former;
		p->former = other;
	}
	if (is_at(p->present, registry, plan)) {
		enrolment_change(p->present, plan);
		return;
	}
	other = find_in_the_way(r, p, registry, plan);
	if (other == NULL) {
		enroll(r, p, registry, plan);
		return;
	}
	if (other->of != p && !other->is_leaving) {
		snprintf(p->why, sizeof p->why, "%s is published there for the service %s already",
		    plan->address.text, other->label);
		publication_withdraw(p, p->why);
		return;
	}
	snprintf(p->why, sizeof p->why, "waits until it is withdrawn there");
	publication_withdraw(p, "the registry is opened anew");
}

static bool is_present(const struct publication *p)
{
	return p->present && p->present->state == REGISTRATION_PRESENT;
}

/* What keeps it from being there. */
static const char *why_not(const struct publication *p)
{
	const char *error;

	if (p->present == NULL)
		return p->why;
	if (p->present->why[0] || is_present(p))
		return p->present->why;
	error = registry_report(p->present->registry).error;
	return error[0] ? error : "the registry has not answered yet";
}

/* Says now and then that something is not as it should be. */
static void note_missing(struct registrations *r, struct publication *p)
{
	usec_t now = now_of(r);
	char text[LOG_ESCAPED_MAX];

	if (is_present(p)) {
		p->missing_since = 0;
	} else if (p->missing_since == 0) {
		p->missing_since = now;
	} else if (now - p->missing_since >= MISSING_SAID) {
		p->missing_since = now;
		log_escape(text, sizeof text, slice_str(why_not(p)));
		log_warn("registration", "still not published",
		    "service=%s registry=%s address=%s why=\"%s\"", p->label, p->where,
		    p->present ? p->present->plan.address.text : "", text);
	}
}

/* Why it should not be there now; NULL: it should. */
static const char *is_not_due(struct registrations *r, struct publication *p)
{
	const char *why;

	if (r->is_leaving)
		return "the daemon is leaving";
	p->is_ready = p->service->registration.always ||
		      readiness_is_ready(r->readiness, slice_str(p->label), &why);
	return p->is_ready ? NULL : why;
}

void publication_settle(struct registrations *r, struct publication *p)
{
	const char *not_due = is_not_due(r, p);
	struct registration_plan plan;
	struct registry *registry;
	struct err err;

	p->is_due = not_due == NULL;
	if (not_due) {
		snprintf(p->why, sizeof p->why, "%s", not_due);
		publication_withdraw(p, not_due);
		p->missing_since = 0;
		return;
	}
	p->why[0] = '\0';
	registry = discovery_registry(r->discovery, p->config);
	if (registry == NULL) {
		snprintf(p->why, sizeof p->why, "the registry cannot be opened");
		publication_withdraw(p, p->why);
	} else if (make_plan(r, p, registry, &plan, &err) < 0) {
		snprintf(p->why, sizeof p->why, "%s", err.text);
		publication_withdraw(p, p->why);
	} else {
		place(r, p, registry, &plan);
	}
	if (p->former && (is_present(p) || now_of(r) >= p->former_until))
		withdraw(&p->former, "moved");
	note_missing(r, p);
}

/* --- seen from outside --- */

static uint64_t drifts_of(const struct registrations *r, const struct publication *p)
{
	uint64_t drifts = p->drifts;

	list_each (link, &r->enrolments) {
		const struct enrolment *e = list_item(link, struct enrolment, link);

		drifts += e->of == p ? e->drifts : 0;
	}
	return drifts;
}

static enum registration_state state_of(const struct publication *p)
{
	if (p->present)
		return p->present->state;
	return p->is_due ? REGISTRATION_PENDING : REGISTRATION_WITHDRAWN;
}

struct registered_report publication_report(
    const struct registrations *r, const struct publication *p)
{
	return (struct registered_report){
	    .label = p->label,
	    .registry = p->where,
	    .address = p->present ? p->present->plan.address.text : "",
	    .is_ready = p->is_ready,
	    .why = why_not(p),
	    .state = state_of(p),
	    .drifts = drifts_of(r, p),
	};
}
