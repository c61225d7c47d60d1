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

/* Binds admin.http. @control is borrowed and outlives it. NULL with @err set. */
struct admin *admin_new(struct control *control, const struct config *config, struct err *err);
/* Binds admin.socket, also where @predecessor (0: nobody) serves it; from now on both answer. */
int admin_enter(
    struct admin *admin, const struct config *config, pid_t predecessor, struct err *err);
void admin_free(struct admin **admin);

/* A change of admin.http in two steps: what can fail, and what cannot. */
int admin_prepare(
    struct admin *admin, const struct config *config, struct admin_plan *plan, struct err *err);
void admin_cancel(struct admin_plan *plan);
void admin_commit(struct admin *admin, const struct config *config, struct admin_plan *plan);

/* The descriptor of admin.http and the address as it was asked for; false when there is none. */
bool admin_http_door(const struct admin *admin, struct slice *asked, int *fd);
/* Another process serves both addresses: who is connected is answered on, nobody else. */
void admin_leave(struct admin *admin);
/* Whether somebody has just connected to admin.socket, or is about to, and has asked nothing
 * yet. */
bool admin_is_asked_soon(struct admin *admin);
/* That process is gone: takes the path of admin.socket again if it had taken it. */
void admin_take_back(struct admin *admin);

/* The JSON library's version, for --build. */
const char *admin_library_version(void);

#endif
