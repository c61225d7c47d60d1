/*
 * Publishes the local applications: for each service with `register`, in each of its registries, at
 * the right address, only while the application answers, and withdrawn first when the daemon
 * leaves. Belongs to the control thread.
 */
#ifndef BRIDLE_DAEMON_REGISTRATIONS_H
#define BRIDLE_DAEMON_REGISTRATIONS_H

#include "base/text.h"
#include "registry/registry.h"

struct bindings;
struct discovery;
struct registrations;

/* @bindings: what ports listeners really have; @discovery: whose registries are used. Borrowed. */
struct registrations *registrations_new(
    struct loop *loop, struct discovery *discovery, const struct bindings *bindings);
void registrations_free(struct registrations **registrations);
/* Publishes what @snapshot wants and withdraws all else; what is as it was stays untouched. Takes a
 * reference of its own. */
void registrations_follow(struct registrations *registrations, struct snapshot *snapshot);
/* Withdraws all and publishes nothing any more. @done is called when all are gone, or when their
 * registries have not answered in time; at once, from the loop, when there are none. */
void registrations_leave(struct registrations *registrations, void (*done)(void *arg), void *arg);
/* Publishes, mends and withdraws nothing any more; what is there stays, for another process to
 * take. */
void registrations_let_go(struct registrations *registrations);
/* Publishes again what the present snapshot wants; the `done` of registrations_leave is not called
 * any more. */
void registrations_return(struct registrations *registrations);
/* Is, or was, anything published since the start? Then callers may still come for a while. */
bool registrations_were_any(const struct registrations *registrations);
/* Raised by the registry: hand it on. */
void registrations_changed(struct registrations *registrations, struct registration *registration);

/* One application in one registry, for the metrics and pages. */
struct registered_report {
	const char *label; /* of the service */
	const char *registry;
	const char *address; /* "" while it is not known */
	bool is_ready;       /* the application answers, or `when: always` */
	const char *why;     /* what keeps it from being there; "" when it is */
	enum registration_state state;
	uint64_t drifts;
};
void registrations_visit(const struct registrations *registrations,
    void (*visit)(void *arg, const struct registered_report *report), void *arg);

#endif
