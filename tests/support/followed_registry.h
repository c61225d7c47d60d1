/*
 * A registry as the configuration makes it, in the test's own loop, and what it says of the
 * services and documents that are followed in it. For kinds whose other end is no HTTP server.
 */
#ifndef BRIDLE_TESTS_FOLLOWED_REGISTRY_H
#define BRIDLE_TESTS_FOLLOWED_REGISTRY_H

#include "registry/registry.h"

struct followed_registry {
	struct loop *loop;
	struct shared_config *shared;
	struct registry *registry;
	unsigned raised; /* events */
	int descriptors_before;
	char said[4096];
};

/* @keys: those of the registry, like "type: file, path: /x". @more: other top-level keys, or "". */
void followed_open(struct followed_registry *f, const char *keys, const char *more);
void followed_close(struct followed_registry *f);

/* Exactly these, separated by spaces; "" for none. */
void followed_services(struct followed_registry *f, const char *names);
void followed_documents(struct followed_registry *f, const char *keys);

/*
 * "10.0.0.1:80 w10 zone {a=b}; 10.0.0.2:80 w5", the state before it where that is not fresh:
 * "stale: 10.0.0.1:80 w10", "empty:", "unknown:". Valid until the next call.
 */
const char *followed_set(struct followed_registry *f, const char *service);
/* The text of a document; "none", "unknown". */
const char *followed_document(struct followed_registry *f, const char *key);
/* Turn the loop until it is so; fail the test when that takes too long. */
void followed_until(struct followed_registry *f, const char *service, const char *set);
void followed_until_document(struct followed_registry *f, const char *key, const char *text);
/* Until the error of the set has this in it. */
void followed_until_error(struct followed_registry *f, const char *service, const char *part);
void followed_turn(struct followed_registry *f, usec_t time);
/* Is it in the history? */
bool followed_remembers(struct followed_registry *f, const char *service, const char *part);

#endif
