/*
 * The new process of an upgrade (started with --upgrade): takes the listening sockets of the old
 * one, proves that it can serve, and waits. Until the old one tells it to go it accepts nothing,
 * can be asked nothing, registers nothing and writes no cache; if the old one is gone before, it
 * ends. How the old process does its part is in upgrade.c.
 *
 *     TAKING --doors are there--> STARTING --complete--> PROVING --works--> WAITING --GO--> SERVING
 *        '-------------'--------- error: FAILED is said, the process ends -------'
 */
#ifndef BRIDLE_DAEMON_SUCCESSOR_H
#define BRIDLE_DAEMON_SUCCESSOR_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct control;
struct endpoint_orders;
struct inheritance;
struct problems;
struct successor;

/* Takes the doors that the old process passes into @inheritance; waits for them. NULL with @err set
 * when nobody is there to take them from. */
struct successor *successor_new(struct inheritance *inheritance, struct err *err);
/* Nothing becomes of it: says so, if there is anybody to hear. */
void successor_fail(struct successor *s, const char *why);
/* The same, by what is wrong in the file. */
void successor_fail_by_problems(struct successor *s, const struct problems *problems);
void successor_free(struct successor **successor);

/* Begins to listen to the old process. @control is borrowed; its loop is there. */
void successor_attach(struct successor *s, struct control *control);
/* The start is complete: proves itself, says so, waits for its turn. */
void successor_is_complete(struct successor *s);
/* Not serving yet? false for NULL. */
bool successor_is_waiting(const struct successor *s);
bool successor_has_failed(const struct successor *s);
/* The process that it replaces. */
pid_t successor_of(const struct successor *s);
/* What operators have ordered of endpoints; moves to the caller. */
struct endpoint_orders *successor_take_orders(struct successor *s);

#endif
