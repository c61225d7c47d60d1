/*
 * What the parts of the Consul client share: consul.c (opening it, asking), consul_watch.c (sets
 * and documents), and its two kinds of registrations: consul_agent.c (a service of the agent, as
 * Kitex registers) and consul_lock.c (a key under a session, as rpcx does). Not for anybody else.
 */
#ifndef BRIDLE_REGISTRY_CONSUL_IMPL_H
#define BRIDLE_REGISTRY_CONSUL_IMPL_H

#include "registry/http_place.h"
#include "registry/record.h"
#include "registry/upkeep.h"

/* Bytes of one answer. More than elsewhere: an instance is more than a thousand with all that
 * Consul says of its node and its checks, and ten thousand of them must be heard. */
#define CONSUL_ANSWER_MAX (2 * REGISTRY_ANSWER_MAX)

struct registry_client {
	struct http_place place;
	const struct registry_client_start *start; /* borrowed */
	struct list watches;                       /* owned */
	struct list enrolled;                      /* owned */
};

/* ---- asking: consul.c ---- */

struct consul_request {
	const char *method;
	struct slice target, body;
	usec_t wait; /* how long the agent is asked to wait for a change; 0: it answers at once */
	void (*done)(void *arg, const struct http_response *response);
	void *arg;
};

/* NULL with @err set: the token cannot be read. */
struct http_exchange *consul_ask(
    struct registry_client *client, const struct consul_request *request, struct err *err);
/* Asks for @parameter=value, the first or a further one of the target; the value is escaped. */
void consul_add(struct text *target, const char *parameter, struct slice value);
/* Asks that the answer comes when the index is past @index, or after @wait. */
void consul_add_wait(struct text *target, uint64_t index, usec_t wait);
/* A key of the store as it stands in a path: its slashes are kept, one at its begin is not part
 * of it. */
void consul_add_key(struct text *target, struct slice key);
/* Where rpcx keeps the servers of a service: BASE/SERVICE/ without a slash at its begin. */
void consul_tree(const struct registry_config *config, struct slice service, struct text *prefix);

/* ---- what is followed: consul_watch.c ---- */

void consul_watch(struct registry_client *client, struct slice name, bool is_document);
void consul_unwatch(struct registry_client *client, struct slice name, bool is_document);
void consul_unwatch_all(struct registry_client *client);

/* ---- what is registered: consul_agent.c, consul_lock.c ---- */

struct consul_upkeep {
	struct upkeep upkeep;
	struct registry_client *client; /* borrowed */
	uint64_t index;   /* lock: of the key as it was read last; 0: read it at once */
	char session[64]; /* lock: ours; "": there is none */
	char hash[64];    /* agent: of the service as it was read last; "": at once */
};

static inline struct consul_upkeep *consul_of(struct upkeep *u)
{
	return container_of(u, struct consul_upkeep, upkeep);
}

extern const struct upkeep_kind consul_agent, consul_lock;

/* Asks, as a step of the upkeep or as a beat beside it; @target is done with. @done gets the
 * struct consul_upkeep. */
void consul_step(struct consul_upkeep *c, const char *method, struct text *target,
    struct slice body, usec_t wait, void (*done)(void *arg, const struct http_response *response));
void consul_beat(struct consul_upkeep *c, struct text *target,
    void (*done)(void *arg, const struct http_response *response));
/* For both kinds: frees it; forgets what was read. */
void consul_upkeep_free(struct upkeep *u);
void consul_upkeep_forget(struct upkeep *u);

#endif
