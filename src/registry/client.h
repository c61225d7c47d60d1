/*
 * How a kind of registry is asked: one table of functions each (etcd.c, zookeeper.c, consul.c,
 * nacos.c, names.c for DNS, file.c). A client tells what it hears by the functions at the end; it
 * gives whole sets, never differences, and decides nothing about them: what an error or an empty
 * set means is the registry's business (registry.c). A client is never told twice to follow the
 * same.
 *
 * Clients run on the control thread. Nothing may block it; a library with threads of its own does
 * no more in them than post to the inbox.
 */
#ifndef BRIDLE_REGISTRY_CLIENT_H
#define BRIDLE_REGISTRY_CLIENT_H

#include "base/arena.h"
#include "base/list.h"
#include "base/rng.h"
#include "base/wheel.h"
#include "registry/registry.h"

#define REGISTRY_TIMEOUT       (3 * USEC_S) /* of one exchange, unless it is a watch */
#define REGISTRY_BACKOFF_MIN   USEC_S       /* between tries, doubled up to the maximum */
#define REGISTRY_BACKOFF_MAX   (30 * USEC_S)
#define REGISTRY_RECONNECT_MAX (2 * USEC_S)       /* while nobody answers at all */
#define REGISTRY_ANSWER_MAX    (8u * 1024 * 1024) /* bytes of one answer */
#define REGISTRY_ENDPOINTS_MAX 10000u /* of one service; more are left out, and counted */

struct registry_client; /* each kind's own, behind this name */

/* What a client lives on; borrowed for its life. */
struct registry_client_start {
	const struct registry_config *config;
	const struct registry_place *place;
	const struct config_list *resolvers; /* name servers; empty: the system's */
	struct registry *registry;           /* whom it tells */
	struct rng rng;
};

struct registry_client_ops {
	struct registry_client *(*open)(const struct registry_client_start *start, struct err *err);
	void (*close)(struct registry_client **client); /* what is under way is dropped */
	void (*watch)(struct registry_client *client, struct slice service);
	void (*unwatch)(struct registry_client *client, struct slice service);
	/* NULL where there are no documents. */
	void (*watch_document)(struct registry_client *client, struct slice key);
	void (*unwatch_document)(struct registry_client *client, struct slice key);
	/* NULL where nothing can be registered. Keeps it there until withdraw, for ever; also
	 * called when the plan of one that is there has changed. */
	void (*enroll)(struct registry_client *client, struct registration *registration);
	/* Takes it away, then says registration_gone; once, and only then may it be forgotten. */
	void (*withdraw)(struct registry_client *client, struct registration *registration);
	/* Forgets it at once and asks for nothing more; what stands there stays, also when the
	 * client is closed: another process has it now. */
	void (*let_go)(struct registry_client *client, struct registration *registration);
};

extern const struct registry_client_ops etcd_ops, zookeeper_ops, consul_ops, nacos_ops, names_ops,
    file_ops;
/* False for zookeeper where it was left out when this was built. */
bool registry_type_is_built(enum registry_type type);
/* registry_new with another client than the one of its type: for tests. */
struct registry *registry_new_with(const struct registry_client_ops *ops,
    struct shared_config *shared, const struct registry_config *config,
    const struct registry_place *place, const struct registry_events *events, void *arg,
    struct err *err);

/* ---- what a client hears ---- */

/* The whole set of a service that is watched. Endpoints may repeat, be too many, point to
 * ourselves: that is looked at behind this. Copies. @revision: "" if there is none. */
void registry_heard(struct registry *registry, struct slice service, const struct endpoint *set,
    size_t n, const char *revision);
/* Some records of a set cannot be used: one line of why for the log and the history. The set
 * without them follows by registry_heard. */
void registry_skipped(
    struct registry *registry, struct slice service, struct slice record, const char *why);
/* The registry, or one service of it (else SLICE_NONE), could not be asked; what was known
 * stays. */
void registry_failed(struct registry *registry, struct slice service, const struct err *why);
/* It answers, and refuses something beside the services (a document, a registration, with @status):
 * what is known of those is as good as before. Where nobody has answered, @status 0, it is away. */
void registry_refused(struct registry *registry, int status, const struct err *why);
/* It answers; needed only where nothing else is told, as after a lease was renewed. */
void registry_alive(struct registry *registry);
/* @text.data NULL: there is no such document. */
void registry_heard_document(
    struct registry *registry, struct slice key, struct slice text, const char *revision);

/* ---- registrations, as clients see them ---- */

struct registration {
	struct list link; /* the registry's */
	struct registry *registry;
	struct registration_plan plan; /* what it points to lies in the arena */
	struct arena arena;
	enum registration_state state;
	uint64_t drifts;
	char error[256];
	void *arg;    /* its owner's */
	void *client; /* the client's own */
	/* The registry's: */
	struct list changed;   /* among those whose owner is to be told */
	struct timer patience; /* of a withdrawal */
	bool is_held; /* the client does not know it yet: one that is leaving stands in its place */
	bool is_leaving; /* to be withdrawn */
	bool is_told;    /* its owner knows that it is gone */
	bool is_gone;    /* the client has nothing to do with it any more */
};

/* A state that a client has found; @why is for the operator, "" when PRESENT. LOST and CONTESTED
 * coming after PRESENT count as a drift. */
void registration_is(
    struct registration *registration, enum registration_state state, const char *why);
/* It has been taken away, or will not be in this client's time: the last word about it. */
void registration_gone(struct registration *registration);

/* ---- helps ---- */

/* The next pause of something that failed: doubled up to the maximum, with jitter of a fifth. */
struct registry_pause {
	usec_t last; /* 0: nothing failed yet */
};
usec_t registry_pause_next(struct registry_pause *pause, struct rng *rng);
/* The same where no server could be reached, or an exchange broke: never long, for what an outage
 * took away has to be back within five seconds of its end. Refusals (a wrong password, an error in
 * answer) take the long pauses. */
usec_t registry_pause_reconnect(struct registry_pause *pause, struct rng *rng);
static inline void registry_pause_reset(struct registry_pause *pause)
{
	pause->last = 0;
}

/* The secret as it is now, read anew when it lies in a file (its last line end is cut); "" where
 * there is none. Returns -1 with @err set when its file cannot be read. @room: where it goes. */
int secret_read(const struct secret_config *secret, char *room, size_t size, struct err *err);
/* In a message with bytes from outside: control bytes and what is no UTF-8 become '?', a quote an
 * apostrophe, so that it can stand quoted in a line of a log. In place. */
void registry_make_plain(char *text);
/* The @i-th address to try of the registry's endpoints, names looked up (all their addresses
 * count); false past the end, or when a name is not known yet. */
bool registry_server(const struct registry_client_start *start, size_t i, struct address *server);
/* The same: the endpoint as configured, whose name it has, or NULL. */
const struct address *registry_server_of(
    const struct registry_client_start *start, size_t i, struct address *server);

#endif
