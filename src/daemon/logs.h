/*
 * The two logs of the process: what the daemon says, and one line for each call. Where both go to
 * the same place they share one writer, so that their lines keep their order.
 */
#ifndef BRIDLE_DAEMON_LOGS_H
#define BRIDLE_DAEMON_LOGS_H

#include "daemon/log_format.h"
#include "daemon/log_writer.h"
#include "model/config.h"

/* Belongs to the control thread. */
struct logs {
	struct log_writer *daemon;
	struct log_writer *access;   /* NULL until a configuration asks for it; then to the end */
	char *daemon_to, *access_to; /* owned; access_to is NULL while there is no access log */
};

/* Descriptors that were opened for a configuration that is not in force yet. */
struct logs_plan {
	int daemon_fd, access_fd; /* owned; -1: as it is */
	const char *refused;      /* the key whose file could not be opened; NULL: none */
};

/* Starts the writers and takes the place of base/log's sink. Returns 0, or -1 with @err set. */
int logs_start(struct logs *l, const struct config *config, struct err *err);
/* Writes out what is left, for at most a second, and gives the sink back. */
void logs_stop(struct logs *l);

/* A change of destinations in two steps: what can fail, and what cannot. */
int logs_prepare(
    struct logs *l, const struct config *config, struct logs_plan *plan, struct err *err);
void logs_cancel(struct logs_plan *plan);
void logs_commit(struct logs *l, const struct config *config, struct logs_plan *plan);
/* Opens the files anew under their names. */
int logs_reopen(struct logs *l, struct err *err);

/* Where access lines go: the argument of logs_access_line, NULL when there is no access log. */
struct log_writer *logs_access(const struct logs *l);
/* An access_sink_fn. */
void logs_access_line(void *writer, const char *line, size_t len);

#endif
