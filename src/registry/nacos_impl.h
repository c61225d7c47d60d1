/*
 * What the parts of the Nacos client share: nacos.c (opening it, asking), nacos_login.c (the token
 * that requests carry), nacos_watch.c (sets), nacos_enroll.c (instances of ours). Not for anybody
 * else.
 */
#ifndef BRIDLE_REGISTRY_NACOS_IMPL_H
#define BRIDLE_REGISTRY_NACOS_IMPL_H

#include "base/text.h"
#include "registry/http_place.h"
#include "registry/upkeep.h"

struct registry_client {
	struct http_place place;
	const struct registry_client_start *start; /* borrowed */
	struct list watches;                       /* owned */
	struct list enrolled;                      /* owned, of struct upkeep */
	struct {
		char *token;                   /* owned; NULL: none yet, or refused */
		usec_t refused_at, not_before; /* a refusal for it; the next login after one */
		struct registry_pause blame;   /* between those logins */
		struct http_exchange *exchange;
		struct timer again;
		struct registry_pause pause;
	} login;
};

/* ---- asking: nacos.c ---- */

/* As /nacos/v1/ns@target, with the token; @target is done with. */
struct http_exchange *nacos_ask(struct registry_client *client, const char *method,
    struct text *target, void (*done)(void *arg, const struct http_response *response), void *arg);
/* Adds @parameter and the value, escaped: "&ip=" */
void nacos_add(struct text *target, const char *parameter, struct slice value);
/* The question for all instances of a service in our cluster, or only for those that take calls. */
void nacos_list_target(const struct registry_client *client, struct slice service,
    bool only_healthy, struct text *target);

/* ---- the token: nacos_login.c ---- */

/* Logs in if there is a user; asks for a new token before the old one runs out. */
void nacos_login_start(struct registry_client *client);
void nacos_login_end(struct registry_client *client);
/* False: nobody is to be asked before the login is through; whoever waits is woken then. */
bool nacos_may_ask(const struct registry_client *client);
/* An answer of this status came: is the token to blame, then there will be another. */
void nacos_heard_status(struct registry_client *client, int status);

/* ---- nacos_watch.c ---- */

void nacos_watch(struct registry_client *client, struct slice service);
void nacos_unwatch(struct registry_client *client, struct slice service);
void nacos_unwatch_all(struct registry_client *client);
void nacos_watch_wake_all(struct registry_client *client);

/* ---- nacos_enroll.c ---- */

void nacos_enroll(struct registry_client *client, struct registration *registration);
void nacos_withdraw(struct registry_client *client, struct registration *registration);
void nacos_let_go(struct registry_client *client, struct registration *registration);

#endif
