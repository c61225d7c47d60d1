/*
 * What a Consul agent answers, read: sets of instances, the tree of rpcx, one key, a service as the
 * agent knows it. Pure; answers are untrusted.
 *
 * Source of all shapes: Consul's HTTP API, pages health, kv, agent/service, session.
 */
#ifndef BRIDLE_REGISTRY_CONSUL_READ_H
#define BRIDLE_REGISTRY_CONSUL_READ_H

#include "base/text.h"
#include "registry/gathering.h"

/* /v1/health/service/NAME. Returns -1 with @err set when it is no list at all. */
int consul_read_health(struct slice body, struct gathering *set, struct err *err);
/* /v1/kv/PREFIX?recurse with rpcx's servers under @prefix, which ends with a slash; the markers and
 * deeper keys that stand there, too, are passed over. */
int consul_read_tree(
    struct slice body, struct slice prefix, struct gathering *set, struct err *err);

/* One key of the store. */
struct consul_key {
	struct slice value, session; /* in the arena; session.len 0: nobody holds it */
};
/* /v1/kv/KEY: a list of one. */
int consul_read_key(
    struct slice body, struct arena *arena, struct consul_key *key, struct err *err);
/* /v1/session/create: the new session's ID, in @arena. */
int consul_read_session(struct slice body, struct arena *arena, struct slice *id, struct err *err);
/* The ID in the body of a registration of our own. */
void consul_read_id(struct slice wanted, struct text *id);
/* Is /v1/agent/service/ID the service that @wanted, the body of its registration, describes?
 * Returns 1, or 0 with @why saying what is another, or -1 with @why when it is no such answer. */
int consul_compare(struct slice body, struct slice wanted, struct err *why);

/* The next index to wait from, of the header X-Consul-Index (NULL: none) of an answer to @last; 0:
 * start over without waiting. Source: the API's page on blocking queries. */
uint64_t consul_next_index(const char *header, uint64_t last);

#endif
