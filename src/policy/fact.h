/*
 * What is known of a call, by name: "method", "caller", "meta.env", "header.x", "int.14",
 * "int.stress_tag", "source", "field.1.3.2". Routes and ACLs match on facts, splits and hash rings
 * are keyed by them. How a fact is found in a message is its owner's business: a fact_source.
 */
#ifndef BRIDLE_POLICY_FACT_H
#define BRIDLE_POLICY_FACT_H

#include <sys/types.h>

#include "base/arena.h"

struct sockaddr;

enum fact_kind {
	FACT_NONE, /* no key: a key that is not set */
	FACT_METHOD,
	FACT_IDL_SERVICE,
	FACT_SERVICE, /* the one asked for */
	FACT_CALLER,
	FACT_CALLER_METHOD,
	FACT_LOG_ID,
	FACT_META,   /* persistent, else transient metadata; folds case */
	FACT_HEADER, /* a str key exactly, or a field in lower case */
	FACT_INT,    /* an int key of TTHeader */
	FACT_SOURCE, /* the caller's address, without its port */
	FACT_UID,    /* of the process behind a unix socket */
	FACT_GID,
	FACT_FIELD, /* a field of the Thrift argument, by ids */
};

#define FACT_PATH_MAX 8u

struct fact_key {
	enum fact_kind kind;
	struct slice name; /* META, HEADER: without the prefix */
	uint16_t number;   /* INT */
	unsigned depth;    /* FIELD: of path */
	int16_t path[FACT_PATH_MAX];
	struct slice text; /* as written */
};

/* Reads a key, which is copied into @arena. NULL, or what is wrong with it: constant text. */
const char *fact_key_parse(struct fact_key *key, struct slice text, struct arena *arena);

/* May a rule set it, or take it away? Metadata, headers and int keys, but for what has a place of
 * its own in a message, or belongs to one hop. */
bool fact_is_changeable(const struct fact_key *key);

/* The number of a named int key ("stress_tag"), or -1. Source: kitex
 * pkg/remote/transmeta/metakey.go. */
int fact_int_named(struct slice name);
/* And back; NULL when the number has no name. */
const char *fact_int_name(unsigned number);

/* Where the facts of one call are found. */
struct fact_source {
	/* True when the call has it; the value is a view that stays as long as the call, or until
	 * the next two facts are asked for. May be NULL: then it has none. */
	bool (*find)(const void *call, const struct fact_key *key, struct slice *value);
	const void *call;
	const struct sockaddr *address; /* who called; NULL: not known. CIDRs match against it */
	int64_t uid, gid;               /* -1: not known */
};

#define FACT_ROOM 48u

/* @source->find, and what the source itself holds: address, uid, gid, as text in @room. A caller on
 * a unix socket has no source. */
bool fact_find(const struct fact_source *source, const struct fact_key *key, char room[FACT_ROOM],
    struct slice *value);
/* Do both name the same fact? */
bool fact_key_eq(const struct fact_key *a, const struct fact_key *b);

#endif
