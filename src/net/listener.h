/*
 * A bound address that accepts connections and hands the descriptors on. Unix sockets: the file
 * gets its mode before anyone can connect, a stale file is replaced, a live one or anything that is
 * not our socket is refused, and closing removes the file if it is still ours.
 */
#ifndef BRIDLE_NET_LISTENER_H
#define BRIDLE_NET_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/address.h"
#include "base/err.h"

struct listener;
struct loop;

struct listener_options {
	mode_t mode;       /* unix sockets */
	uid_t owner;       /* (uid_t)-1: as it comes */
	gid_t group;       /* (gid_t)-1 */
	int backlog;       /* 0: 1024 */
	const char *label; /* for log lines; borrowed */
	pid_t
	    predecessor; /* may serve a unix socket's path, which is taken from it; 0: nobody may */
};

/* A new connection: non-blocking, close-on-exec, TCP_NODELAY; the receiver owns the descriptor. */
typedef void (*listener_accept_fn)(void *arg, int fd, const struct address *from);

/*
 * Binds and listens (accepting starts with listener_start). Returns the descriptor, or -1 with @err
 * set (err->code is the errno: EADDRINUSE when another process serves the address). @bound gets the
 * address with the port the kernel chose.
 */
int listener_bind(const struct address *address, const struct listener_options *options,
    struct address *bound, struct err *err);
/* Says anew that @fd listens: from then on the kernel names this process to those who connect to a
 * unix socket. What waits to be accepted stays. */
void listener_listen(int fd);

/*
 * Accepts on a bound descriptor, which it takes over, in @loop. Out of descriptors: pauses 100 ms
 * to 1 s, turns one waiting connection away with a spare descriptor, logs once a second.
 */
struct listener *listener_start(struct loop *loop, int fd, const struct address *bound,
    const char *label, listener_accept_fn accept, void *arg);
/* While it is held nothing is accepted: connections wait in the kernel's queue. */
void listener_hold(struct listener *listener, bool hold);
/* Stops accepting and closes; removes a unix socket's file if @unlink_file. */
void listener_stop(struct listener **listener, bool unlink_file);
/* Before it stops: accepts those who have connected and wait, who would find their connection
 * reset. With @unlink_file the name of a unix socket goes first, so that nobody comes after
 * them. */
void listener_take_waiting(struct listener *listener, bool unlink_file);

#endif
