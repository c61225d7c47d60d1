/*
 * Where the services of a configuration are found: addresses of the file as they stand, names by
 * what DNS says. Turns that into the endpoint sets of a snapshot. Belongs to the control thread.
 */
#ifndef BRIDLE_DAEMON_DISCOVERY_H
#define BRIDLE_DAEMON_DISCOVERY_H

#include "model/snapshot.h"

struct discovery;
struct loop;

/* @changed is called, soon but never within a call to here, when a snapshot would come out
 * different; a burst of changes raises it once. NULL with @err set. */
struct discovery *discovery_new(
    struct loop *loop, uint64_t seed, void (*changed)(void *arg), void *arg, struct err *err);
void discovery_free(struct discovery **d);

/* Follows the names of @config and no others. Returns -1 with @err set when its resolvers cannot be
 * used; nothing has changed then. */
int discovery_follow(struct discovery *d, const struct config *config, struct err *err);
/* The world by what is known now; @tallies, @before and @now as snapshot_new has them. The reference
 * is the caller's. */
struct snapshot *discovery_snapshot(const struct discovery *d, struct shared_config *shared,
    struct tallies *tallies, const struct snapshot *before, usec_t now);
/* Names of which nobody has said anything yet; @host gets one of them. */
size_t discovery_unanswered(
    const struct discovery *d, const struct config *config, struct slice *host);
/* Where a service's endpoints come from: "static" or "dns". */
const char *discovery_source(const struct service_config *service);

#endif
