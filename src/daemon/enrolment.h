/*
 * One record of ours in one registry, from the wish that it be there to the word that it is gone:
 * what was asked for, what the registry last said of it, and the log lines about both. Whether it
 * is to be there, and where, is decided elsewhere (registrations.c).
 */
#ifndef BRIDLE_DAEMON_ENROLMENT_H
#define BRIDLE_DAEMON_ENROLMENT_H

#include "base/list.h"
#include "registry/registry.h"

struct publication;

struct enrolment {
	struct list link;          /* its owner's */
	struct publication *of;    /* its owner's */
	const char *label, *where; /* service and registry, for the log */
	struct registry *registry; /* borrowed: it stays open while this is there */
	struct registration *registration;
	struct registration_plan plan; /* as last asked for; in the arena */
	struct arena arena;
	enum registration_state state; /* as last heard */
	uint64_t drifts;
	bool was_present; /* once, at least */
	bool is_leaving;  /* withdrawn; the registry has not confirmed it yet */
	char why[256];    /* it is withdrawn, or is not there */
};

/* Asks @registry for it; copies. @label: of the service. */
struct enrolment *enrolment_new(
    struct registry *registry, const struct registration_plan *plan, const char *label);
/* Forgets it, whatever the registry does. */
void enrolment_free(struct enrolment **enrolment);

/* The same service at the same address? */
bool enrolment_is_for(const struct enrolment *enrolment, const struct registration_plan *plan);
/* Asks for other weight, tags or ttl; nothing when they are what they were. */
void enrolment_change(struct enrolment *enrolment, const struct registration_plan *plan);
/* Asks for its end, once. */
void enrolment_withdraw(struct enrolment *enrolment, const char *why);
/* Ends it here; what stands in the registry is another process's. */
void enrolment_let_go(struct enrolment **enrolment);
/* The registry has news of it. False when it is gone: then it can only be freed. */
bool enrolment_hear(struct enrolment *enrolment);

#endif
