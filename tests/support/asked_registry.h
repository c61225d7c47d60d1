/*
 * A registry as the configuration makes it, whose one server is a script, all in the test's own
 * loop: what a client makes of answers, right or wrong, and what it asks.
 */
#ifndef BRIDLE_TESTS_ASKED_REGISTRY_H
#define BRIDLE_TESTS_ASKED_REGISTRY_H

#include "base/text.h"
#include "registry/registry.h"
#include "support/http_script.h"

struct shared_config;

struct asked_registry {
	struct loop *loop;
	struct script *script;
	struct shared_config *shared;
	struct registry *registry;
	struct registration *registration; /* NULL once it is gone */
	/* One line for each request: method, target. And one for each body that was not empty. */
	struct text requests, bodies;
	unsigned n_requests, n_withdrawn;
	script_fn respond; /* with the struct asked_registry; NULL: nobody answers */
	int descriptors_before;
	unsigned stage; /* the test's own */
	char said[512];
};

/* @keys: those of the registry beside its endpoints, like "type: consul, token: a". */
void asked_open(struct asked_registry *a, const char *keys, script_fn respond);
void asked_close(struct asked_registry *a);

void asked_follow(struct asked_registry *a, const char *service);
/* @tags: "a=b,c=d" or "". Registers shop.cart at 127.0.0.1:8888. */
void asked_enroll(struct asked_registry *a, unsigned weight, const char *tags, usec_t ttl);
void asked_change(struct asked_registry *a, unsigned weight, const char *tags, usec_t ttl);

/* Turns the loop until it is so; fails the test when that takes too long. */
void asked_until(struct asked_registry *a, bool (*is_so)(struct asked_registry *a));
void asked_turn(struct asked_registry *a, usec_t time);
/* The same for one of the following. */
void asked_until_set(struct asked_registry *a, const char *service, const char *text);
void asked_until_state(struct asked_registry *a, enum registration_state state);
void asked_until_asked(struct asked_registry *a, const char *part);

/* "127.0.0.1:1 w10 {a=b}; ...", and the state where it is not fresh: "stale: ...". Valid until the
 * next call. */
const char *asked_set(struct asked_registry *a, const char *service);
bool asked_was(const struct asked_registry *a, const char *part);
/* How often @part is among the requests. */
unsigned asked_times(const struct asked_registry *a, const char *part);
bool asked_said(const struct asked_registry *a, const char *part); /* among the bodies */
void asked_forget(struct asked_registry *a);                       /* what was asked so far */

#endif
