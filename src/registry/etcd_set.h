/*
 * The keys of one range as they are known: put together from a listing and from events, which may
 * overlap. Of two words about a key the one of the higher revision counts. Pure.
 */
#ifndef BRIDLE_REGISTRY_ETCD_SET_H
#define BRIDLE_REGISTRY_ETCD_SET_H

#include "model/snapshot.h"
#include "registry/etcd_read.h"

#define ETCD_SET_MAX 40000u /* keys; more are not taken in */

struct etcd_record {
	struct slice key;     /* in the arena, like all that endpoint points to */
	int64_t mod_revision; /* of the last word about it */
	bool is_deleted;
	bool is_listed; /* it is in the listing that is being read */
	bool is_good;   /* endpoint holds */
	struct endpoint endpoint;
	struct slice text; /* of a document */
	struct arena arena;
};

/* All zero to begin with. */
struct etcd_set {
	struct etcd_record **list; /* owned; in the order of the keys */
	size_t n, room;
	size_t n_deleted; /* of them */
};

void etcd_set_fini(struct etcd_set *set);
/* The record of a key, empty but for key and revision, where @key is news; else NULL. */
struct etcd_record *etcd_set_take(struct etcd_set *set, const struct etcd_key *key);
/* Between these two all keys of the range are taken; what is not among them, and was not said after
 * @revision, is forgotten. */
void etcd_set_list(struct etcd_set *set);
void etcd_set_listed(struct etcd_set *set, int64_t revision);
/* Forgets what was deleted: only between listings, when nothing older can come any more. */
void etcd_set_sweep(struct etcd_set *set);

#endif
