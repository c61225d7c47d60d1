/* What etcd's JSON gateway answers, read with suspicion. Pure. */
#ifndef BRIDLE_REGISTRY_ETCD_READ_H
#define BRIDLE_REGISTRY_ETCD_READ_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

/* A key as it is, or as an event has made it. */
struct etcd_key {
	struct slice key, value; /* in the arena */
	int64_t mod_revision;    /* when it was last put or deleted */
	int64_t lease;           /* 0: none */
	bool is_deleted;
};

struct etcd_range {
	int64_t revision; /* of the whole store, when it was read */
	int64_t count;    /* keys there are in the range */
	struct etcd_key *keys;
	size_t n;
};

struct etcd_message {
	int64_t revision;
	bool is_created, is_canceled;
	int64_t compact_revision; /* not 0: what was asked for is forgotten */
	struct slice reason;      /* of a cancel */
	struct etcd_key *events;
	size_t n;
};

/* Each returns 0, or -1 with @err set. */
int etcd_read_range(
    struct slice body, struct arena *arena, struct etcd_range *range, struct err *err);
/* One message of a watch. An error in its place is an error here. */
int etcd_read_message(
    struct slice line, struct arena *arena, struct etcd_message *message, struct err *err);
/* Of a grant or a renewal. *ttl is in seconds, 0 where the lease is gone. */
int etcd_read_lease(struct slice body, int64_t *id, int64_t *ttl, struct err *err);
/* @found: of a range in the first response. */
int etcd_read_txn(struct slice body, struct arena *arena, bool *succeeded, struct etcd_range *found,
    struct err *err);
int etcd_read_token(struct slice body, struct arena *arena, struct slice *token, struct err *err);
/* What an answer that is an error says, in @room; "" where it says nothing. */
void etcd_read_error(struct slice body, char *room, size_t size);

/* Puts a stream together into lines, each a message. All zero to begin with. */
struct etcd_lines {
	struct text rest; /* what has no end yet */
};
/* @visit returns -1 to stop. Returns -1 then, or when a line has more than @at_most bytes. */
int etcd_lines_feed(struct etcd_lines *lines, struct slice bytes, size_t at_most,
    int (*visit)(void *arg, struct slice line), void *arg);
void etcd_lines_fini(struct etcd_lines *lines);

#endif
