/*
 * One node of ours in ZooKeeper, kept there: what to do next, by what was answered last. Pure; who
 * asks, and when, is others' business.
 *
 *     READ --none--> PUBLISH --no parent--> PARENT, one after another --> PUBLISH
 *      |                '--> READ
 *      |--ours: as it should be--> REST until noticed, or ten seconds --> READ
 *      |--ours: another text--> WRITE --> READ
 *      |--another's, and it is our first--> REPLACE --> READ
 *      |--another's, later--> REST until it has gone
 *      '--leaving: ours--> REMOVE --> GONE; else GONE
 *
 * The first time it takes the node over from whoever holds it: our own session before a crash, or
 * the process before us. Later it yields, so that two of us never fight.
 */
#ifndef BRIDLE_REGISTRY_ZOOKEEPER_ENTRY_H
#define BRIDLE_REGISTRY_ZOOKEEPER_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/registry.h"
#include "registry/zookeeper_session.h"

#define ZOOKEEPER_ENTRY_FORMER 8u /* sessions of ours that are remembered */

enum zookeeper_entry_step {
	ZOOKEEPER_ENTRY_REST,
	ZOOKEEPER_ENTRY_READ,
	ZOOKEEPER_ENTRY_PUBLISH,
	ZOOKEEPER_ENTRY_PARENT,
	ZOOKEEPER_ENTRY_REPLACE,
	ZOOKEEPER_ENTRY_WRITE,
	ZOOKEEPER_ENTRY_REMOVE,
	ZOOKEEPER_ENTRY_GONE,
};

struct zookeeper_entry {
	enum zookeeper_entry_step step; /* asked, or to be asked */
	bool is_asked;
	bool is_leaving;
	bool was_put;      /* it was ours once: no more taking over */
	bool is_rewritten; /* we want another text there: what stands there is no drift */
	unsigned parent;   /* which part of the path is being made */
	unsigned turns;    /* steps since it rested */
	int version;       /* of the node that was read */
	int64_t session;   /* the present one */
	int64_t former[ZOOKEEPER_ENTRY_FORMER];
	unsigned n_former;
	/* What the operator is told. */
	enum registration_state state;
	char why[160];
};

void zookeeper_entry_init(struct zookeeper_entry *entry);
/* A session has begun, or is connected again; nothing that was asked is answered any more. */
void zookeeper_entry_begin(struct zookeeper_entry *entry, int64_t session);
/* It should have another text from now on; it should go. */
void zookeeper_entry_rewrite(struct zookeeper_entry *entry);
void zookeeper_entry_leave(struct zookeeper_entry *entry);
/* A watch has fired, or it is time to look. */
void zookeeper_entry_look(struct zookeeper_entry *entry);
/* Nobody can tell whether it is there. */
void zookeeper_entry_away(struct zookeeper_entry *entry, const char *why);

/* What to ask now; REST when there is nothing to ask, or something is asked already. */
enum zookeeper_entry_step zookeeper_entry_next(struct zookeeper_entry *entry);

/* What became of it. */
enum zookeeper_verdict {
	ZOOKEEPER_VERDICT_ON,    /* go on with zookeeper_entry_next */
	ZOOKEEPER_VERDICT_TAKEN, /* the same; the node of somebody else is about to be replaced */
	ZOOKEEPER_VERDICT_RETRY, /* no answer: when the session is connected again */
	ZOOKEEPER_VERDICT_PAUSE, /* refused; look again after a long pause */
};
/* @is_last: there is no further parent to be made. @is_same: the data is what it should be. */
enum zookeeper_verdict zookeeper_entry_answered(struct zookeeper_entry *entry,
    const struct zookeeper_answer *answer, bool is_same, bool is_last_parent);

#endif
