/*
 * What the parts of the Consul client share: consul.c (opening it, asking), consul_watch.c (sets and
 * documents), consul_enroll.c (the life of a registration) with its two kinds, consul_agent.c (a
 * service of the agent, as Kitex registers) and consul_lock.c (a key under a session, as rpcx does).
 * Not for anybody else.
 */
#ifndef BRIDLE_REGISTRY_CONSUL_IMPL_H
#define BRIDLE_REGISTRY_CONSUL_IMPL_H

#include "registry/http_place.h"
#include "registry/record.h"

struct registry_client {
	struct http_place place;
	const struct registry_client_start *start; /* borrowed */
	struct list watches;                       /* owned */
	struct list enrolled;                      /* owned */
};

#define CONSUL_BEAT_RETRY USEC_S /* after a beat without an answer */

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
/* A key of the store as it stands in a path: its slashes are kept, one at its begin is not part of it. */
void consul_add_key(struct text *target, struct slice key);
/* Where rpcx keeps the servers of a service: BASE/SERVICE/ without a slash at its begin. */
void consul_tree(const struct registry_config *config, struct slice service, struct text *prefix);

/* ---- what is followed: consul_watch.c ---- */

void consul_watch(struct registry_client *client, struct slice name, bool is_document);
void consul_unwatch(struct registry_client *client, struct slice name, bool is_document);
void consul_unwatch_all(struct registry_client *client);

/* ---- what is registered: consul_enroll.c ---- */

struct consul_enrolled;

/* A kind of registration, as steps that end in consul_step, consul_failed or consul_gone. */
struct consul_kind {
	/* Puts it there, anew or again. */
	void (*put)(struct consul_enrolled *e);
	/* Looks whether it is as it should be. */
	void (*look)(struct consul_enrolled *e);
	/* Says that we live. */
	void (*beat)(struct consul_enrolled *e);
	/* Takes it away. */
	void (*remove)(struct consul_enrolled *e);
};

extern const struct consul_kind consul_agent, consul_lock;

/* One registration of ours. */
struct consul_enrolled {
	struct list link; /* the client's */
	struct registry_client *client;
	const struct consul_kind *kind;
	struct registration *registration;    /* borrowed until it is gone */
	struct http_exchange *main, *beating; /* at most one of each at a time */
	struct timer again;                   /* the next step */
	struct timer beat;
	void (*next)(struct consul_enrolled *e); /* what `again` does */
	struct registry_pause pause;
	usec_t beat_every; /* 0: no beats */
	usec_t looked_at, put_at;
	usec_t leaving_since;
	unsigned failures; /* in a row */
	bool is_leaving;
	bool is_putting;  /* `main` may put it there: it is waited for before it is taken away */
	bool was_put;     /* once at least, in the life of this registration */
	uint64_t index;   /* lock: of the key */
	char session[64]; /* lock: ours, "" while there is none */
	char hash[64];    /* agent: of the service as it was read last, "" to read it at once */
};

void consul_enroll(struct registry_client *client, struct registration *registration);
void consul_withdraw(struct registry_client *client, struct registration *registration);
void consul_forget_enrolled(struct registry_client *client);

/* For the kinds. Asks, as the step that everything waits for; @done gets the struct consul_enrolled,
 * and calls consul_answered first. */
void consul_step(struct consul_enrolled *e, const char *method, struct text *target,
    struct slice body, usec_t wait, void (*done)(void *arg, const struct http_response *response));
/* A step that puts it there. */
void consul_put_step(struct consul_enrolled *e, struct text *target, struct slice body,
    void (*done)(void *arg, const struct http_response *response));
/* False: the step is over, and what was begun meanwhile (leaving) goes on by itself. */
bool consul_answered(struct consul_enrolled *e);
/* Asks beside the steps. */
void consul_beat(struct consul_enrolled *e, const char *method, struct text *target,
    void (*done)(void *arg, const struct http_response *response));
/* The next beat, earlier or later than beat_every after the last. */
void consul_beat_in(struct consul_enrolled *e, usec_t wait);
/* The step came to nothing: it is tried again after a pause. */
void consul_failed(struct consul_enrolled *e, void (*next)(struct consul_enrolled *e),
    const struct http_response *response, const struct err *err);
/* It is there, as it should be; it is looked at again. */
void consul_present(struct consul_enrolled *e);
/* It is not, or not as it should be: said, and put there again, at once but not all the time. */
void consul_lost(struct consul_enrolled *e, const char *why);
/* Does @next in a while. */
void consul_later(struct consul_enrolled *e, usec_t wait, void (*next)(struct consul_enrolled *e));
/* It has been taken away, or nothing more can be done about it. */
void consul_gone(struct consul_enrolled *e);

#endif
