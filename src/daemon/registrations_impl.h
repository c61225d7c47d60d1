/*
 * What registrations.c (all of them: which there are, events, leaving) and publication.c (one of
 * them: when, where, in which enrolment) share. Not for anybody else.
 */
#ifndef BRIDLE_DAEMON_REGISTRATIONS_IMPL_H
#define BRIDLE_DAEMON_REGISTRATIONS_IMPL_H

#include "daemon/enrolment.h"
#include "daemon/readiness.h"
#include "daemon/registrations.h"
#include "net/loop.h"

/* One service in one registry. */
struct publication {
	struct list link;
	char *label, *where; /* owned: the service's, the registry's */
	/* Of the present snapshot; NULL: not wanted any more. */
	const struct service_config *service;
	const struct registry_config *config;
	struct enrolment *present, *former; /* in registrations->enrolments, or NULL */
	usec_t former_until;
	struct address host; /* stands for a wildcard; len is 0 while it is not known */
	uint64_t drifts;     /* of enrolments that have ended */
	bool is_ready, is_due;
	char why[512];        /* it is not there, as far as we know it ourselves; "" */
	usec_t missing_since; /* due and not there; or since that was said last; 0: it is not so */
};

struct registrations {
	struct loop *loop;                 /* borrowed */
	const struct discovery *discovery; /* borrowed */
	const struct bindings *bindings;   /* borrowed */
	struct readiness *readiness;       /* owned */
	struct snapshot *snapshot;         /* owned reference; NULL: none yet */
	struct list publications;          /* owned */
	struct list enrolments;            /* owned; until their registries have let them go */
	struct loop_work work;             /* look */
	struct timer again;                /* look */
	usec_t routes_at;                  /* when local addresses are asked for anew */
	bool were_any, is_leaving;
	bool has_let_go; /* another process sees to them */
	usec_t leave_until;
	void (*done)(void *arg); /* NULL: nobody waits */
	void *arg;               /* borrowed */
};

/* Sees to it that it is there where it should be, and only while it should. */
void publication_settle(struct registrations *r, struct publication *p);
/* Nothing of it shall be there any more. */
void publication_withdraw(struct publication *p, const char *why);
struct registered_report publication_report(
    const struct registrations *r, const struct publication *p);

#endif
