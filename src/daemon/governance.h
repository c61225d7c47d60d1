/*
 * Kitex's documents in registries for the services that have `governance`: follows them, keeps of
 * each what it last said that made sense, and gives all of it as values that are put over the
 * file's. Belongs to the control thread.
 *
 * A service whose endpoints are all on this machine reads `limit`, of itself; every other the four
 * documents of node.service as its client.
 */
#ifndef BRIDLE_DAEMON_GOVERNANCE_H
#define BRIDLE_DAEMON_GOVERNANCE_H

#include "model/snapshot.h"
#include "registry/kitex_governance.h"

struct discovery;
struct governance;

/* @discovery: whose registries are asked; borrowed. */
struct governance *governance_new(struct discovery *discovery);
void governance_free(struct governance **governance);

/*
 * Follows the documents of the services of @file, which has been given to discovery_follow, and of
 * the @names under the keys of its "*". What was known of documents that stay is known still. Takes
 * a reference.
 */
void governance_follow(struct governance *governance, struct shared_config *file,
    const struct slice *names, size_t n_names);
/* Looks at what the registries say now. */
void governance_refresh(struct governance *governance);
/* All that holds, in the order of services and categories; from malloc, NULL when there is nothing.
 * What it points at stays until the next call to one of the others. */
struct config_overlay *governance_gather(const struct governance *governance, size_t *n);
/* The document @source made no sense together with the file: what it said before counts again, or
 * nothing. False when there is no such document, or nothing more to be done about it. */
bool governance_refuse(struct governance *governance, const char *source, const char *why);

enum document_state {
	DOCUMENT_ABSENT, /* or nothing was ever heard of it */
	DOCUMENT_APPLIED,
	DOCUMENT_BAD, /* what it said before counts, or the file */
};
const char *document_state_name(enum document_state state);

struct document_report {
	const char *service; /* label */
	enum governance_category category;
	const char *source; /* registry:key */
	enum document_state state;
	size_t n_values;
	uint64_t refused;  /* times it was wrong */
	const char *error; /* "" */
};
void governance_visit(const struct governance *governance,
    void (*visit)(void *arg, const struct document_report *report), void *arg);

#endif
