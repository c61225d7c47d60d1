/*
 * What discovery.c (its life, events), discovery_follow.c (registries, what is asked for) and
 * discovery_sets.c (snapshots) share. Not for others.
 */
#ifndef BRIDLE_DAEMON_DISCOVERY_IMPL_H
#define BRIDLE_DAEMON_DISCOVERY_IMPL_H

#include "base/wheel.h"
#include "daemon/discovery.h"
#include "daemon/own_addresses.h"
#include "net/loop.h"

/* A registry that is open. */
struct opened {
	struct list link;
	struct registry *registry; /* owned */
};

/* A name that is followed newly: it may be known already. */
struct untold_name {
	struct list link;
	size_t len;
	char text[];
};

struct discovery {
	struct discovery_start start;
	struct dns *dns;              /* owned: names of endpoints */
	struct dns *hosts;            /* owned: names of the registries' own servers */
	struct shared_config *shared; /* a reference: what is followed; NULL: nothing yet */
	struct list opened, leaving;  /* of struct opened; the former sorted by name */
	struct timer debounce, cleanup;
	usec_t changed_at; /* when `changed` was last raised; 0: never */
	struct own_addresses own;
	struct table told; /* own addresses that were logged; keys in told_arena */
	struct arena told_arena;
	struct table without; /* names of services that had no endpoints in the last snapshot */
	struct shared_config *pictured; /* a reference: where those names lie */
	bool waits_for_names;           /* some of them have endpoints that are names */
	struct slice *names;            /* owned, with their bytes; discovery_follow_names */
	struct table names_table;       /* the same, for looking up */
	size_t n_names;
	struct loop_work tell_names;
	struct list untold;                    /* of struct untold_name */
	const struct registry_config *refused; /* see discovery_refused */
};

/* Calls @visit for each endpoint of the configuration whose host is a name. */
void discovery_each_name(const struct config *config,
    void (*visit)(void *arg, const struct endpoint_config *e), void *arg);
struct opened *discovery_find(const struct list *list, const char *name);
void discovery_close(struct opened *o);
void discovery_drop_names(struct discovery *d);
extern const struct registry_events discovery_registry_events;

/* What is known of the endpoints that @config would have, if it were of the service @name. */
bool discovery_has_endpoints(
    struct discovery *d, const struct service_config *config, struct slice name, const char **why);

#endif
