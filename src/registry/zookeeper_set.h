/*
 * The instances of one service in ZooKeeper: a node, and a child for each of them. Says what is to
 * be asked next and makes a set of the answers; who asks, and how, is not its business. Pure:
 * answers come in the order in which the server gave them, and a watch fires before an answer shows
 * what fired it.
 *
 *     LIST --> children, READ each, then only those that a watch names
 *      '-----> no such node: AWAIT --> it is there: LIST
 *
 * A set is whole when every child of a list has been read once; from then on each change of one
 * child makes another set, and a child that was not read yet is not there yet.
 */
#ifndef BRIDLE_REGISTRY_ZOOKEEPER_SET_H
#define BRIDLE_REGISTRY_ZOOKEEPER_SET_H

#include "base/list.h"
#include "base/table.h"
#include "registry/registry.h"

enum zookeeper_set_step {
	ZOOKEEPER_SET_REST, /* until something is noticed, or some time */
	ZOOKEEPER_SET_LIST,
	ZOOKEEPER_SET_AWAIT,
	ZOOKEEPER_SET_READ,
};

/* Where the list of children stands. */
enum zookeeper_set_place {
	SET_PLACE_WANTED, /* to be listed */
	SET_PLACE_ASKED,
	SET_PLACE_LISTED,
	SET_PLACE_MISSING, /* there is no such node: to be awaited */
	SET_PLACE_AWAITED,
};

struct zookeeper_set {
	enum registry_format format;
	enum zookeeper_set_place place;
	struct table children; /* name -> struct zookeeper_child, owned */
	struct list wanted;    /* those to be read */
	size_t n, n_unread;    /* children, and those not read since the set was begun anew */
	size_t n_left_out;     /* children beyond what one service may have */
	bool is_whole, is_changed;
	bool is_doubted;         /* the last list failed */
	usec_t list_at, give_at; /* not before */
	int64_t change;          /* the newest change seen */
	unsigned list_number;
	struct endpoint *gathered; /* owned */
};

void zookeeper_set_init(struct zookeeper_set *set, enum registry_format format, uint64_t seed);
void zookeeper_set_fini(struct zookeeper_set *set);
/* Nothing that was asked is answered any more, and no watch is set: all is read anew, and what was
 * known lasts until then. */
void zookeeper_set_begin(struct zookeeper_set *set);
/* The same session is connected again: its watches hold, what was not answered is asked again. */
void zookeeper_set_resume(struct zookeeper_set *set);

/* What to ask now, which is taken as asked then; *name: the child to be read, valid until the set
 * is told something. REST: *at is when to ask again, or to gather; USEC_NONE for no time. */
enum zookeeper_set_step zookeeper_set_next(
    struct zookeeper_set *set, bool may_read, usec_t now, struct slice *name, usec_t *at);
/* Something is another at the node itself, at a child. */
void zookeeper_set_noticed(struct zookeeper_set *set);
void zookeeper_set_child_noticed(struct zookeeper_set *set, struct slice name);

/* Answers. */
void zookeeper_set_listed(
    struct zookeeper_set *set, const struct slice *names, size_t n, int64_t change, usec_t now);
void zookeeper_set_missing(struct zookeeper_set *set, usec_t now);
/* To AWAIT. */
void zookeeper_set_appeared(struct zookeeper_set *set, bool is_there);
/* Returns 0; -1 with @err set when this child is no instance, and was not known as such. */
int zookeeper_set_read(struct zookeeper_set *set, struct slice name, struct slice data,
    int64_t change, struct err *err);
void zookeeper_set_vanished(struct zookeeper_set *set, struct slice name);
/* This child cannot be read; it is tried again with the next list. Returns true the first time. */
bool zookeeper_set_unreadable(struct zookeeper_set *set, struct slice name);
/* No answer came: it is asked for again. */
void zookeeper_set_unanswered(struct zookeeper_set *set, struct slice name);
/* The list could not be had; asked again not before @at. */
void zookeeper_set_failed(struct zookeeper_set *set, usec_t at);

/* Is there a set to be told, and may it be told already? */
bool zookeeper_set_is_due(const struct zookeeper_set *set, usec_t now);
/* It is told now. *list is valid until the set hears something. */
void zookeeper_set_gather(
    struct zookeeper_set *set, usec_t now, const struct endpoint **list, size_t *n);

#endif
