/*
 * The addresses that the process has bound for its listeners, as the control thread knows them. A
 * new configuration is compared by address: a socket that is in both stays as it is, new ones are
 * bound before any old one is closed, and when one cannot be bound nothing changes.
 */
#ifndef BRIDLE_DAEMON_BINDINGS_H
#define BRIDLE_DAEMON_BINDINGS_H

#include "daemon/acceptor.h"
#include "daemon/inheritance.h"

/* One bound address. */
struct binding {
	struct list link;
	unsigned id;
	struct address asked, bound; /* they differ in the port when 0 was asked for */
	char *listener;              /* owned: name of its listener */
	mode_t mode;                 /* of a unix socket's file, with owner and group */
	uid_t owner;
	gid_t group;
	int fd; /* owned until the acceptor has it; then it is open as long as this is there */
	bool is_handed;     /* the acceptor has it */
	bool is_activated;  /* a service manager has bound it, and owns a unix socket's file */
	bool is_borrowed;   /* another process serves it until bindings_enter */
	bool is_taken_over; /* by the process that replaces this one */
};

struct bindings {
	struct list all; /* in the order of the configuration */
	unsigned next_id;
	struct inheritance *inheritance; /* borrowed: where sockets may come from; NULL: nowhere */
};

struct bindings_plan {
	struct planned_binding *list; /* owned */
	size_t n;
	uint64_t limit_connections;
	const struct listener_config *refused; /* whose address could not be bound; NULL: none */
};

void bindings_init(struct bindings *b);
/* Closes what was bound and never handed to an acceptor. */
void bindings_fini(struct bindings *b);

/*
 * Binds what @config asks for and is not bound yet. Returns 0 with @plan to be committed or
 * cancelled, or -1 with @err set (EADDRINUSE in err->code when the address is taken).
 */
int bindings_prepare(
    struct bindings *b, const struct config *config, struct bindings_plan *plan, struct err *err);
void bindings_cancel(struct bindings_plan *plan);
/* Makes the plan the present; the acceptor's share of it comes back and moves to the caller. */
struct acceptor_plan bindings_commit(struct bindings *b, struct bindings_plan *plan);
/* The same, with all doors shut until another plan is committed. */
void bindings_commit_shut(struct bindings *b, struct bindings_plan *plan);

/* From now on what was borrowed is ours: its files have the rights that are configured, and go with
 * it. */
void bindings_enter(struct bindings *b);
/* The doors that stay open when only what was taken over is left: then the files of the others
 * go. */
struct acceptor_plan bindings_taken_over(const struct bindings *b);

/* The most connections that descriptors allow: each has one here and one upstream. */
uint64_t bindings_connections_possible(void);

#endif
