/*
 * The door for applications of services with metadata: lookup: HTTP on a unix socket that anybody
 * may connect to, where GET /meta/NAME tells the metadata of the call in flight on the connection
 * whose far end, ours, has that name. Each is told of its own calls only, by the user it runs as.
 * What there is to tell the worker knows that has the connection; it is asked, never waited for.
 */
#ifndef BRIDLE_DAEMON_METADATA_SOCKET_H
#define BRIDLE_DAEMON_METADATA_SOCKET_H

#include "base/err.h"
#include "model/config.h"

struct inbox;
struct loop;
struct metadata_socket;
struct workers;

/* The socket of a configuration that is not in force yet. */
struct metadata_plan {
	int fd; /* owned; -1: stays as it is */
	struct address bound;
	bool closes; /* no application asks any more */
};

/* Nothing is open yet. All are borrowed; the inbox is the loop's. */
struct metadata_socket *metadata_socket_new(
    struct loop *loop, struct inbox *inbox, struct workers *workers);
/* Opens what @config asks for, if it does, also where @predecessor (0: nobody) serves it. Returns
 * 0, or -1 with @err set. */
int metadata_socket_enter(
    struct metadata_socket *m, const struct config *config, pid_t predecessor, struct err *err);
/* Who has asked is not told any more; what workers were asked may still come to the inbox. */
void metadata_socket_free(struct metadata_socket **m);

/* A change in two steps: what can fail, and what cannot. */
int metadata_socket_prepare(struct metadata_socket *m, const struct config *config,
    struct metadata_plan *plan, struct err *err);
void metadata_socket_cancel(struct metadata_plan *plan);
void metadata_socket_commit(
    struct metadata_socket *m, const struct config *config, struct metadata_plan *plan);

/* Another process serves in our place, and sends those who ask for connections of ours on to us. */
void metadata_socket_leave(struct metadata_socket *m);
/* That process is gone: takes the path again if it had taken it. */
void metadata_socket_take_back(struct metadata_socket *m);

#endif
