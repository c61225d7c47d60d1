/*
 * The operator's door: HTTP with JSON on a unix socket of mode 0600, and on admin.http those pages
 * that only read. Runs in the control thread's loop; requests, bodies, connections and waiting are
 * bounded.
 */
#ifndef BRIDLE_DAEMON_ADMIN_H
#define BRIDLE_DAEMON_ADMIN_H

#include "base/err.h"
#include "model/config.h"

struct admin;
struct control;

/* The read-only address of a configuration that is not in force yet. */
struct admin_plan {
	int fd; /* owned; -1: stays as it is */
	struct address bound;
	bool closes; /* admin.http is gone from the file */
};

/* Binds both addresses. @control is borrowed and outlives it. NULL with @err set. */
struct admin *admin_new(struct control *control, const struct config *config, struct err *err);
void admin_free(struct admin **admin);

/* A change of admin.http in two steps: what can fail, and what cannot. */
int admin_prepare(
    struct admin *admin, const struct config *config, struct admin_plan *plan, struct err *err);
void admin_cancel(struct admin_plan *plan);
void admin_commit(struct admin *admin, const struct config *config, struct admin_plan *plan);

/* The JSON library's version, for --build. */
const char *admin_library_version(void);

#endif
