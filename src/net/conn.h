/*
 * A non-blocking byte stream over a TCP or unix socket. It knows bytes, not messages. Reads go into
 * the loop's one read buffer and are handed on in place; writes go to the kernel at once, and only
 * what the kernel did not take is copied into a queue. An idle connection holds no buffer.
 *
 * Nothing here raises an event inside a call into this module: a failure known at once is a return
 * value. A conn belongs to its loop's thread.
 */
#ifndef BRIDLE_NET_CONN_H
#define BRIDLE_NET_CONN_H

#include <errno.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/slice.h"

struct conn;
struct loop;

struct conn_events {
	/* A connect under way has succeeded. */
	void (*connected)(void *arg);
	/* Bytes, valid until the return; the receiver takes all of them. */
	void (*input)(void *arg, struct slice in);
	/* The other side sends no more; writing may still work. Raised once. */
	void (*eof)(void *arg);
	/* It broke; @error is an errno. Nothing follows; the owner still has to conn_close. */
	void (*closed)(void *arg, int error);
	/* The queue was above CONN_HIGH_WATER and has fallen to CONN_LOW_WATER. */
	void (*drained)(void *arg);
};

#define CONN_HIGH_WATER (256u * 1024)
#define CONN_LOW_WATER  (64u * 1024)

enum conn_start {
	CONN_READY,   /* connected already; `connected` will not be raised */
	CONN_PENDING, /* `connected` or `closed` follows */
	CONN_BACKLOG, /* unix socket whose accept queue is full: try again soon; no conn was made */
	CONN_FAILED,  /* *error says why; no conn was made */
};

/* A want of our own, which says nothing of the other side. */
static inline bool conn_error_is_ours(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
	       error == EADDRNOTAVAIL;
}

/* Takes over the descriptor, which is made non-blocking. @events and @arg are borrowed. If the
 * kernel will not watch it, `closed` says so. */
struct conn *conn_accepted(struct loop *loop, int fd, const struct conn_events *events, void *arg);
enum conn_start conn_connect(struct loop *loop, const struct address *to,
    const struct conn_events *events, void *arg, struct conn **conn, int *error);
/* The same from the abstract name @name, by which a server on a unix socket can ask who connected;
 * @to is a unix socket. CONN_FAILED with EADDRINUSE: the name is taken. */
enum conn_start conn_connect_as(struct loop *loop, struct slice name, const struct address *to,
    const struct conn_events *events, void *arg, struct conn **conn, int *error);
/* Closes now, unsent bytes are lost; NULLs the pointer. Legal inside a callback. */
void conn_close(struct conn **conn);
/* Closes once the queue is out, or after @patience; the conn is no longer the caller's. The other
 * side gets up to a second more to close too, so that no reset overtakes the last bytes. */
void conn_close_after_output(struct conn **conn, usec_t patience);

/*
 * Writes the pieces one after another. Returns 0, or -1 when the connection is broken, with the
 * errno in *error; `closed` is then not raised. With batching on, nothing leaves before the end of
 * the turn and a break is told by `closed`.
 */
int conn_write(struct conn *conn, const struct slice *pieces, int n, int *error);
void conn_set_batching(struct conn *conn, bool on);

/* Bytes handed to conn_write since the beginning, and those of them that the kernel took. */
uint64_t conn_written(const struct conn *conn);
uint64_t conn_taken(const struct conn *conn);
/* Bytes waiting in the queue. */
size_t conn_pending(const struct conn *conn);
/* When the kernel last took a byte, or the queue was empty; USEC_NONE while it is empty. */
usec_t conn_stalled_since(const struct conn *conn);

/* Reading stops while any bit is set; bits are the owner's. */
void conn_pause(struct conn *conn, unsigned bit);
void conn_resume(struct conn *conn, unsigned bit);

/* Looks for a byte or an end that has not been read yet: true when there is none (one system
 * call). */
bool conn_is_quiet(struct conn *conn);

/* Who is at the other end of a unix socket; false elsewhere. */
struct conn_identity {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
bool conn_identity(const struct conn *conn, struct conn_identity *who);
/* The address of our side: of a unix socket the path that it listens on; of the other. False: the
 * kernel does not say (any more). */
bool conn_address(const struct conn *conn, struct address *address);
bool conn_peer_address(const struct conn *conn, struct address *address);

/* The process at the other end of a unix socket: who connected, or who listened there. */
struct conn_process {
	pid_t pid; /* as this process sees it */
	uid_t uid;
	int process; /* a descriptor for it, the caller's to close; -1: the kernel has none */
};
/* False elsewhere, and when it is gone, or out of sight in another namespace. */
bool conn_process(const struct conn *conn, struct conn_process *who);

#endif
