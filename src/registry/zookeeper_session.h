/*
 * One session with ZooKeeper: the C library and its threads behind questions that are asked and
 * answers that arrive on the loop's thread, in the order in which the server gave them. Knows nodes
 * and bytes; what they mean is others' business. Everything here is called on the loop's thread;
 * the library's threads copy what they are told and post it to the inbox, nothing else.
 *
 * The library resolves names where it is called, so only addresses are given to it; and ending a
 * session waits for its threads, so a thread of its own does that.
 */
#ifndef BRIDLE_REGISTRY_ZOOKEEPER_SESSION_H
#define BRIDLE_REGISTRY_ZOOKEEPER_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/slice.h"

struct inbox;
struct loop;
struct zookeeper_session;

enum zookeeper_state {
	ZOOKEEPER_CONNECTING, /* the library keeps trying; watches and our nodes live on */
	ZOOKEEPER_CONNECTED,
	ZOOKEEPER_EXPIRED, /* the session is over: our nodes are gone; a new one is needed */
	ZOOKEEPER_REFUSED, /* over, too: our secret is not accepted */
};

enum zookeeper_verb {
	ZOOKEEPER_ASK_LIST,   /* the children of a node; watched for a change of them, or its end */
	ZOOKEEPER_ASK_READ,   /* a node's data; watched for a change of it, or its end */
	ZOOKEEPER_ASK_AWAIT,  /* is there such a node? Watched for its coming and going */
	ZOOKEEPER_ASK_CREATE, /* a node that stays; empty */
	ZOOKEEPER_ASK_PUBLISH, /* a node that goes with the session */
	ZOOKEEPER_ASK_REPLACE, /* deletes it in that version, and publishes, both or neither */
	ZOOKEEPER_ASK_WRITE,   /* its data, in that version */
	ZOOKEEPER_ASK_DELETE,  /* in that version */
};

enum zookeeper_code {
	ZOOKEEPER_OK,
	ZOOKEEPER_NO_NODE,
	ZOOKEEPER_NODE_EXISTS,
	ZOOKEEPER_NOT_EMPTY,
	ZOOKEEPER_OTHER_VERSION,
	ZOOKEEPER_NO_RIGHT,
	ZOOKEEPER_LOST, /* no answer came; it may have been done */
	ZOOKEEPER_FAILED,
};

struct zookeeper_question {
	enum zookeeper_verb verb;
	const char *path;
	struct slice data; /* of PUBLISH, REPLACE, WRITE */
	int version;
	uint64_t asker; /* comes back with the answer */
};

struct zookeeper_answer {
	enum zookeeper_verb verb;
	enum zookeeper_code code;
	const char *path, *text; /* @text: the library's words for the code */
	uint64_t asker;
	struct slice data;         /* of READ */
	const struct slice *names; /* of LIST */
	size_t n_names;
	/* Of READ and LIST: */
	int64_t owner; /* the session whose end takes the node away, 0: none */
	int version;
	int64_t change; /* the number of the last change, which grows over the whole store */
};

struct zookeeper_events {
	void (*state)(void *arg, enum zookeeper_state state);
	/* A watch has fired, and is no more: something is another at that node. */
	void (*noticed)(void *arg, const char *path);
	void (*answered)(void *arg, const struct zookeeper_answer *answer);
};

struct zookeeper_start {
	struct loop *loop;
	struct inbox *inbox;
	const char *servers; /* "10.0.0.1:2181,::1:2181" */
	usec_t timeout;      /* how long the session outlives its connection */
	const char *secret;  /* user:password; "": nodes are everybody's */
	const struct zookeeper_events *events;
	void *arg; /* borrowed */
};

/* Begins to connect. NULL with @err set. */
struct zookeeper_session *zookeeper_session_new(
    const struct zookeeper_start *start, struct err *err);
/* No event comes from it any more, its nodes go as soon as the server hears of it. A loop that is
 * freed meanwhile waits a second for that. */
void zookeeper_session_free(struct zookeeper_session **session);
/* The session goes on until the server misses it, and with it its nodes; before the process
 * ends. */
void zookeeper_session_leave(struct zookeeper_session **session);
/* Tries these servers from now on. */
void zookeeper_session_move(struct zookeeper_session *session, const char *servers);
/* 0 until it was connected once. */
int64_t zookeeper_session_number(const struct zookeeper_session *session);
/* Returns 0, or -1 with @err set: then no answer comes. */
int zookeeper_session_ask(
    struct zookeeper_session *session, const struct zookeeper_question *question, struct err *err);

/* Of the library, NULL where it was left out. */
const char *zookeeper_library_version(void);

#endif
