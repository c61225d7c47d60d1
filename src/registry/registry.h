/*
 * One registry of the configuration: what it last said of the services and documents that are
 * followed in it, and what of ours stands in it. Keeps the last good set over every error, believes
 * an empty set only as configured, remembers changes, and writes the cache; how a registry is asked
 * is its client's business (registry/client.h). Everything belongs to the control thread; no call
 * ever waits for anything here.
 */
#ifndef BRIDLE_REGISTRY_REGISTRY_H
#define BRIDLE_REGISTRY_REGISTRY_H

#include "model/snapshot.h"

struct dns;
struct inbox;
struct loop;
struct registry;
struct registration;

/* What every registry is given to live on; borrowed. */
struct registry_place {
	struct loop *loop;
	struct inbox *inbox; /* of the same loop: for clients whose library has threads */
	struct dns *hosts;   /* follows the names of the registries' own endpoints */
	uint64_t seed;
};

/* Raised soon after something changed, never inside a call to here. */
struct registry_events {
	/* The set of a service, or its state, is another. */
	void (*set_changed)(void *arg, struct registry *registry, struct slice service);
	void (*document_changed)(void *arg, struct registry *registry, struct slice key);
	void (*registration_changed)(void *arg, struct registration *registration);
};

/* Takes a reference of @shared, in which @config lies. Loads the cache. NULL with @err set. */
struct registry *registry_new(struct shared_config *shared, const struct registry_config *config,
    const struct registry_place *place, const struct registry_events *events, void *arg,
    struct err *err);
/* What of ours stands in it is left as it is: withdraw it before, or let it run out. */
void registry_free(struct registry **registry);
/* Would @config be the same registry? Then it need not be opened anew on a reload. */
bool registry_is_as(const struct registry *registry, const struct registry_config *config);
const struct registry_config *registry_config_of(const struct registry *registry);
/* The @i-th address at which it is asked, names looked up; false past the end, or when a name is
 * not known yet. */
bool registry_reached_at(const struct registry *registry, size_t i, struct address *server);

/* ---- services ---- */

/* Follows exactly these services; copies. What was known of others is forgotten. */
void registry_follow(struct registry *registry, const struct slice *services, size_t n);

/* What is known of a service. */
struct registry_set {
	const struct endpoint *list; /* valid until the loop's next turn; no tags are filtered */
	size_t n;
	enum endpoint_state state; /* EMPTY only when that is believed */
	bool is_answered;  /* the registry has said something since we asked, or its cache has */
	usec_t at;         /* calendar: when the set was last confirmed; 0: never */
	usec_t age;        /* since then; USEC_NONE: never */
	const char *error; /* why it is not fresh; "" */
};
struct registry_set registry_set(const struct registry *registry, struct slice service);

/* ---- documents ---- */

/* Follows exactly these keys of dynamic configuration; copies. */
void registry_follow_documents(struct registry *registry, const struct slice *keys, size_t n);

struct registry_document {
	struct slice text; /* valid until the loop's next turn */
	bool is_known;     /* the registry has said something of it */
	bool exists;
};
struct registry_document registry_document(const struct registry *registry, struct slice key);

/* ---- registrations ---- */

enum registration_state {
	REGISTRATION_PENDING,   /* wanted, not there yet */
	REGISTRATION_PRESENT,   /* there, read back, as it should be */
	REGISTRATION_LOST,      /* was there, is not, or the registry is away; being mended */
	REGISTRATION_CONTESTED, /* another holds our key; taken again when that is gone */
	REGISTRATION_WITHDRAWN, /* gone because we wanted it so */
};
const char *registration_state_name(enum registration_state state);

/* One application in one registry. */
struct registration_plan {
	struct slice service;   /* its name in the registry */
	struct address address; /* TCP, no wildcard, port not 0 */
	unsigned weight;        /* not 0 */
	struct config_map tags;
	usec_t ttl;
};

/* Wants it there from now on, through every outage; copies @plan. The same service and address may
 * be there only once. The registry owns the result until it is withdrawn. */
struct registration *registry_enroll(
    struct registry *registry, const struct registration_plan *plan, void *arg);
/* The same with another weight, tags or ttl. */
void registration_change(struct registration *registration, const struct registration_plan *plan);
/* Wants it gone: raises registration_changed with WITHDRAWN when it is, or when the registry has
 * not answered within five seconds; after that event the registration is gone, too. */
void registration_withdraw(struct registration *registration);

/* Forgets it, be it there or not; what stands in the registry stays for another process, which
 * renews it or lets it run out. Nothing is raised any more. */
void registration_let_go(struct registration *registration);

struct registration_report {
	struct slice service;
	const struct address *address;
	const struct registry_config *registry;
	enum registration_state state;
	uint64_t drifts; /* times it was found missing or changed while it should have been there */
	const char *error; /* "" */
	void *arg;         /* as given to registry_enroll */
};
struct registration_report registration_report(const struct registration *registration);

/* While it is held the cache is not written: another process does, or did last. */
void registry_hold_cache(struct registry *registry, bool hold);

/* ---- seen from outside ---- */

struct registry_report {
	bool is_up;        /* the last exchange worked */
	bool has_answered; /* once at least, or the cache was loaded */
	usec_t heard_at;   /* calendar: the last good answer; 0: never */
	usec_t age;        /* since then; USEC_NONE: never */
	uint64_t changes, errors;
	size_t n_services, n_documents;
	size_t n_registrations; /* whose owner has not been told that they are gone */
	const char *error;      /* the last one, "" */
};
struct registry_report registry_report(const struct registry *registry);

/* One change of a followed service's set. */
struct registry_change {
	usec_t at; /* calendar */
	enum {
		CHANGE_ADDED,
		CHANGE_REMOVED,
		CHANGE_CHANGED,
		CHANGE_KEPT,
		CHANGE_ERROR,
		CHANGE_CACHED
	} kind;
	const char *address;  /* "" where it is about the whole set */
	const char *revision; /* the registry's own: etcd's revision, Consul's index; "" */
	const char *text;     /* what changed, what became of it */
};
/* Oldest first; at most the last 200 of a service. @service: as followed. */
void registry_history(const struct registry *registry, struct slice service,
    void (*visit)(void *arg, const struct registry_change *change), void *arg);

#endif
