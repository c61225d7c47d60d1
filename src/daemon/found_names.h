/*
 * The services that calls ask for and no file lists: names that the template "*" stands for. A name
 * is looked up when it is first called, followed while it is used, forgotten after ten minutes
 * without a call; one that could not be found is refused for five seconds before it is looked up
 * again. Belongs to the control thread.
 */
#ifndef BRIDLE_DAEMON_FOUND_NAMES_H
#define BRIDLE_DAEMON_FOUND_NAMES_H

#include "base/clock.h"
#include "base/slice.h"

#define FOUND_NAMES_MAX     1000u
#define FOUND_NAME_KEPT     (10 * USEC_MIN)
#define FOUND_NAME_REFUSED  (5 * USEC_S)
#define FOUND_NAME_PATIENCE (3 * USEC_S) /* for the registry's first answer */

struct found_names;
struct wheel;

enum found_state {
	FOUND_LOOKING, /* the registry was asked */
	FOUND_LIVE,    /* it has endpoints, or had */
	FOUND_FAILED,  /* refused for a while */
};

struct found_name {
	struct slice name;
	enum found_state state;
	const char *why; /* FAILED: for the caller */
};

struct found_events {
	/* The names that are followed are others: LOOKING and LIVE are to be asked for, LIVE are to
	 * be services. */
	void (*changed)(void *arg);
	/* Whoever waits for @name can go on: it is LIVE, and `changed` was raised, or FAILED. */
	void (*settled)(void *arg, const struct found_name *name);
};

/* @wheel is borrowed: time comes from its timers alone. */
struct found_names *found_names_new(
    struct wheel *wheel, const struct found_events *events, void *arg);
void found_names_free(struct found_names **names);
/* A call asks for it. May raise `settled` at once. */
void found_names_want(struct found_names *names, struct slice name, usec_t now);
/* What the registry says: are there endpoints? @why: where there are none. */
void found_names_heard(
    struct found_names *names, struct slice name, bool has_endpoints, const char *why, usec_t now);
/* How many calls it has had so far; looked at now and then, so that what is not used goes. */
void found_names_used(struct found_names *names, struct slice name, uint64_t calls, usec_t now);
/* Forgets all, as when a reload takes "*" away; who waits for one is told that it failed. */
void found_names_clear(struct found_names *names, usec_t now);
/* In no order; do not change anything meanwhile. */
void found_names_visit(const struct found_names *names,
    void (*visit)(void *arg, const struct found_name *name), void *arg);

#endif
