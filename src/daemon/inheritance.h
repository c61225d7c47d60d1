/*
 * Listening sockets that the process did not bind itself: from the process it replaces, or from a
 * service manager (LISTEN_FDS, as sd_listen_fds(3) describes). Each is taken by the listener whose
 * address it has; the configuration alone says what is listened on, so what nobody takes is closed.
 */
#ifndef BRIDLE_DAEMON_INHERITANCE_H
#define BRIDLE_DAEMON_INHERITANCE_H

#include "base/address.h"
#include "daemon/upgrade_channel.h"

struct inheritance;

struct inheritance *inheritance_new(void);
/* Closes what is left, with a line in the log about each. */
void inheritance_free(struct inheritance **inheritance);

/* From the old process: @fd moves; @asked is the address as its configuration had it, @id is to be
 * told when it is taken. Anything but a listening stream socket is closed. */
void inheritance_add(
    struct inheritance *inheritance, enum door_kind kind, uint32_t id, struct slice asked, int fd);
/* What the environment says a service manager has passed to this very process; the variables are
 * gone afterwards, so that no child believes them. Before there are threads. */
void inheritance_from_manager(struct inheritance *inheritance);

/* What a listener wants. */
struct inheritance_wish {
	bool is_admin;        /* for admin.http */
	const char *listener; /* its name */
	const struct address *asked;
};
/* A socket that was taken; the descriptor is the caller's. */
struct inherited {
	int fd;
	uint32_t id;
	enum door_kind kind;
	struct address bound;
};
/* False when there is none: then it is to be bound. @inheritance may be NULL. */
bool inheritance_take(
    struct inheritance *inheritance, const struct inheritance_wish *wish, struct inherited *taken);
/* Calls @visit with the ids of the old process's that were taken. */
void inheritance_visit_taken(
    const struct inheritance *inheritance, void (*visit)(void *arg, uint32_t id), void *arg);

#endif
