/*
 * Where the services of a configuration are found: addresses of the file as they stand, names by
 * what DNS says, and what registries say. Opens the registries and follows in them what the
 * configuration uses; turns all of that into the endpoint sets of a snapshot. Belongs to the
 * control thread.
 */
#ifndef BRIDLE_DAEMON_DISCOVERY_H
#define BRIDLE_DAEMON_DISCOVERY_H

#include "model/snapshot.h"
#include "registry/registry.h"

struct bindings;
struct discovery;
struct endpoint_orders;
struct inbox;
struct loop;

/* Raised soon, never within a call to here. Only `changed` must be there. */
struct discovery_events {
	/* A snapshot would come out different; a burst of changes raises it once. */
	void (*changed)(void *arg);
	/* What a registry says of a name of discovery_follow_names: has it endpoints, and if not,
	 * why? Also when nothing has changed since before it was followed. */
	void (*name_heard)(void *arg, struct slice name, bool has_endpoints, const char *why);
	/* As the registries raise them. */
	void (*document_changed)(void *arg, struct registry *registry, struct slice key);
	void (*registration_changed)(void *arg, struct registration *registration);
};

/* What it lives on; borrowed. */
struct discovery_start {
	struct loop *loop;
	struct inbox *inbox; /* of the loop */
	uint64_t seed;
	const struct bindings *bindings;      /* our own listeners as they are bound */
	const struct endpoint_orders *orders; /* what operators have ordered of endpoints */
	const struct discovery_events *events;
	void *arg; /* of the events */
};

/* NULL with @err set. */
struct discovery *discovery_new(const struct discovery_start *start, struct err *err);
/* What is registered is left as it is: withdraw it before. */
void discovery_free(struct discovery **d);

/*
 * Follows what the configuration of @shared uses and nothing else: names, registries, services in
 * them. A registry that is as it was stays as it is; others are opened, and those that are not
 * wanted any more are closed once nothing of ours stands in them. Takes a reference. Returns -1
 * with @err set when resolvers or a registry cannot be used; nothing has changed then.
 */
int discovery_follow(struct discovery *d, struct shared_config *shared, struct err *err);
/* After that failed, while the configuration is there: the registry that could not be opened, or
 * NULL when it was the resolvers. */
const struct registry_config *discovery_refused(const struct discovery *d);
/* Follows these names, too, in the registry of "*", instead of those given before. Copies. */
void discovery_follow_names(struct discovery *d, const struct slice *names, size_t n);
/* The world by what is known now; @tallies, @before and @now as snapshot_new has them. A service of
 * which nothing is known yet keeps the endpoints that it has in @before. The reference is the
 * caller's. */
struct snapshot *discovery_snapshot(struct discovery *d, struct shared_config *shared,
    struct tallies *tallies, const struct snapshot *before, usec_t now);

/* What is still waited for. Services that only a call has named do not count. */
struct discovery_missing {
	size_t hosts; /* names of endpoints of which nobody has said anything yet */
	struct slice host;
	size_t services;      /* of which a registry has not said anything yet */
	struct slice service; /* one of them */
	const char *registry; /* of that one */
};
struct discovery_missing discovery_missing(const struct discovery *d, const struct config *config);

/* The one that is open for @config, by its name, or NULL. */
struct registry *discovery_registry(
    const struct discovery *d, const struct registry_config *config);
/* All that are open, in the order of their names. */
void discovery_visit(const struct discovery *d,
    void (*visit)(void *arg, const struct registry *registry), void *arg);

/* While they are held no registry's cache is written. */
void discovery_hold_caches(struct discovery *d, bool hold);

/* Where a service's endpoints come from: "static", "dns", or the type of its registry. */
const char *discovery_source(const struct service_config *service);
/* What its registry knows of it; false where it has none. */
bool discovery_set(
    const struct discovery *d, const struct service_config *service, struct registry_set *set);

#endif
