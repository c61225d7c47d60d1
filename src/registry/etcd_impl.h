/*
 * What the parts of the etcd client share: etcd.c (opening it, asking, keys), etcd_login.c (the
 * token that requests carry), etcd_follow.c (what is followed: services and documents),
 * etcd_watch.c (the streams of events), etcd_lease.c (registrations). Not for anybody else.
 */
#ifndef BRIDLE_REGISTRY_ETCD_IMPL_H
#define BRIDLE_REGISTRY_ETCD_IMPL_H

#include "base/table.h"
#include "base/text.h"
#include "registry/etcd_read.h"
#include "registry/etcd_set.h"
#include "registry/http_place.h"
#include "registry/upkeep.h"

#define ETCD_REFUSED 401 /* as good as: we have no token, or no password, to show */

struct registry_client {
	struct http_place place;
	const struct registry_client_start *start; /* borrowed */
	struct list follows;                       /* owned */
	struct list watches;                       /* owned */
	unsigned n_own;                            /* watches of one follow each */
	struct list enrolled;                      /* owned, of struct upkeep */
	struct {
		char *token;  /* owned; NULL: none yet, or refused */
		bool is_open; /* the servers ask for none */
		struct http_exchange *exchange;
		struct timer again;
		struct registry_pause pause;
		usec_t renewed_at;
		uint64_t refused;  /* hash of the password shown last; 0: it was not refused */
		usec_t not_before; /* the same password is not shown again */
		char error[256];   /* why there is no token */
	} login;
};

/* ---- etcd.c ---- */

typedef void (*etcd_done_fn)(void *arg, const struct http_response *response);
/* Asks @path with the JSON @body, which is done with. NULL with @err set when there is no token. */
struct http_exchange *etcd_ask(struct registry_client *client, const char *path, struct text *body,
    etcd_done_fn done, void *arg, struct err *err);
/* Why this answer is none. Also looks whether the token is to blame. Returns -1. */
int etcd_refuse(
    struct registry_client *client, const struct http_response *response, struct err *err);
/* A text of JSON, quoted. */
void etcd_add_text(struct text *body, const char *text);
/* "name":"base64 of bytes" */
void etcd_add_bytes(struct text *body, const char *name, struct slice bytes);
/* "key":…,"range_end":… of all keys from @start to before @end; of one key where @end is empty. */
void etcd_add_range(struct text *body, struct slice start, struct slice end);
/* The end of all keys that begin like @start, from malloc. */
struct slice etcd_range_end(struct slice start);
/* <prefix>/<service>/ from malloc. */
struct slice etcd_service_start(const struct registry_client *client, struct slice service);

/* ---- the token: etcd_login.c ---- */

void etcd_login_start(struct registry_client *client);
void etcd_login_end(struct registry_client *client);
/* False: nobody is to be asked before the login is through; whoever waits is woken then. */
bool etcd_may_ask(const struct registry_client *client);
/* The token is refused: there will be another. */
void etcd_login_again(struct registry_client *client);

/* ---- etcd_follow.c ---- */

struct etcd_watch;

/* A service or a document that is followed. */
struct etcd_follow {
	struct list link;    /* the client's */
	struct list of_same; /* the watch's */
	struct registry_client *client;
	struct etcd_watch *watch;
	bool is_document;
	char *name;              /* owned: of the service, or the document's key */
	struct slice start, end; /* owned; end is empty for a single key */
	struct etcd_set set;
	int64_t revision; /* of the last listing; 0: there is none */
	bool is_listed;
	struct http_exchange *listing;
	struct timer again, telling;
	usec_t told_at;
	struct registry_pause pause;
};

void etcd_follow_service(struct registry_client *client, struct slice service);
void etcd_unfollow_service(struct registry_client *client, struct slice service);
void etcd_follow_document(struct registry_client *client, struct slice key);
void etcd_unfollow_document(struct registry_client *client, struct slice key);
void etcd_unfollow_all(struct registry_client *client);
/* Lists it anew after @wait; what is known of it is kept. */
void etcd_follow_list(struct etcd_follow *follow, usec_t wait);
void etcd_follow_event(struct etcd_follow *follow, const struct etcd_key *key);
/* Its watch has been found to tell all: what was doubted meanwhile, as after a login that failed,
 * is as it was told. */
void etcd_follow_confirm(struct etcd_follow *follow);
/* Whoever waits because there was no token does so no longer. */
void etcd_follow_wake_all(struct registry_client *client);

/* ---- etcd_watch.c ---- */

/* Finds or makes the watch that brings the events of @follow. */
void etcd_watch_join(struct etcd_follow *follow);
/* The last one to leave ends it. */
void etcd_watch_leave(struct etcd_follow *follow);
bool etcd_watch_is_open(const struct etcd_watch *watch);
/* A listing of one of its follows has ended, well or not. */
void etcd_watch_listed(struct etcd_watch *watch);
/* The store is older than what was heard of it: another one, or put back from a copy. */
bool etcd_watch_is_past(const struct etcd_watch *watch, int64_t revision);
void etcd_watch_restart(struct etcd_watch *watch, const char *why);

/* ---- etcd_lease.c ---- */

void etcd_enroll(struct registry_client *client, struct registration *registration);
void etcd_withdraw(struct registry_client *client, struct registration *registration);
void etcd_let_go(struct registry_client *client, struct registration *registration);

#endif
