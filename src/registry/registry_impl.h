/*
 * What the parts of one registry share: registry.c (its life, what is followed, events),
 * registry_sets.c (what an answer means), registry_history.c, registry_cache.c with
 * cache_writer.c (the last good sets on disk) and registration.c. Not for anybody else.
 */
#ifndef BRIDLE_REGISTRY_REGISTRY_IMPL_H
#define BRIDLE_REGISTRY_REGISTRY_IMPL_H

#include "base/ref.h"
#include "base/table.h"
#include "net/loop.h"
#include "registry/client.h"
#include "registry/history.h"

struct cache_writer;
struct cached;

/* The endpoints of a service at one time: never changed, shared with the thread that writes the
 * cache. */
struct endpoint_list {
	struct ref ref;
	struct arena arena;    /* owns what the endpoints point to */
	struct endpoint *list; /* owned; sorted by address, each once */
	size_t n;
};

/* A copy of what @sorted points to, n of them. */
struct endpoint_list *endpoint_list_new(const struct endpoint *const *sorted, size_t n);
void endpoint_list_unref(void *list);

/* A service that is followed. */
struct followed {
	struct registry *registry;
	struct list changed;       /* among those whose followers are to be told */
	struct endpoint_list *set; /* a reference; NULL: none was ever known */
	enum endpoint_state state;
	bool is_answered, is_wanted;
	bool is_away;        /* the last try to ask for it failed */
	usec_t at;           /* calendar */
	usec_t confirmed_at; /* the same, monotonic; 0: by an earlier process */
	char error[256];
	char revision[32];
	struct timer keep;  /* set: an empty answer is not believed until then */
	bool is_doubted;    /* an empty answer came, and is not believed yet */
	unsigned n_skipped; /* records of the answer that is being read */
	struct history history;
	char name[];
};

/* A document that is followed. */
struct followed_document {
	struct list changed;
	char *text; /* owned; NULL: there is none */
	size_t len;
	bool is_known, is_wanted;
	char key[];
};

struct registry {
	struct shared_config *shared; /* a reference; config lies in it */
	const struct registry_config *config;
	struct registry_place place;
	struct registry_events events;
	void *arg; /* borrowed */
	const struct registry_client_ops *ops;
	struct registry_client_start start;
	struct registry_client *client; /* owned */

	struct table services;  /* name -> struct followed, owned */
	struct table documents; /* key -> struct followed_document, owned */
	struct list registrations;
	struct list changed_services, changed_documents, changed_registrations;
	struct loop_work tell;

	bool is_up, has_answered, is_loading;
	usec_t heard_at; /* calendar */
	usec_t alive_at; /* the same, monotonic */
	uint64_t changes, errors;
	char error[256];
	struct cached *cached;       /* owned: what the cache held, until somebody answers */
	struct cache_writer *writer; /* owned; NULL: there is no cache */
};

/* registry.c */
void registry_tell_service(struct followed *f);
void registry_answered(struct registry *r);

/* registry_sets.c */
void followed_from_cache(struct followed *f);
void followed_fini(struct followed *f);

/* registration.c */
size_t registration_count(const struct registry *r);
void registration_end_all(struct registry *r);
void registration_tell_all(struct registry *r);

#endif
