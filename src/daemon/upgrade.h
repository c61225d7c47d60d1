/*
 * Puts a new process in the place of this one, without a moment in which nobody serves: starts the
 * program that lies at our own path now, passes it the listening sockets, lets it prove itself, and
 * only when it says that it serves does this one go. Whatever happens before that, this one goes
 * on. How the new process does its part is in successor.c.
 *
 *     NONE --asked--> PROVING --READY--> GOING --SERVING--> OVER
 *      ^                 '---- error, death, time is up ----'--> FAILING --it is gone--> NONE
 */
#ifndef BRIDLE_DAEMON_UPGRADE_H
#define BRIDLE_DAEMON_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/err.h"

struct control;
struct upgrade;

/* What became of the last one. */
struct upgrade_record {
	uint64_t succeeded, failed;
	bool ok;
	usec_t at;     /* calendar; 0: there was none */
	pid_t process; /* the new one, where it is ok */
	char error[512];
};

/* @control is borrowed and outlives it. */
struct upgrade *upgrade_new(struct control *control);
/* A new process that does not serve yet ends. */
void upgrade_free(struct upgrade **upgrade);

/*
 * Begins one. @done is called, later, when it is known what became of it; it may be NULL. Returns
 * -1 with @err set when it is refused; @done is then never called.
 */
int upgrade_begin(struct upgrade *upgrade,
    void (*done)(void *arg, const struct upgrade_record *record), void *arg, struct err *err);
/* Whoever asked does not want to know any more. */
void upgrade_forget(struct upgrade *upgrade, const void *arg);
/* From the start of the new process until it serves, or is gone. */
bool upgrade_is_under_way(const struct upgrade *upgrade);
/* This process is the one that an upgrade has put here, after so many: that is the last one's
 * record. */
void upgrade_was_made(struct upgrade *upgrade, uint64_t succeeded, uint64_t failed);
const struct upgrade_record *upgrade_last(const struct upgrade *upgrade);
/* A signal, or what is asked for in other ways and means the same. True when it must wait for the
 * end of the upgrade, and is then given to the process that serves: HUP, and those that end the
 * daemon when the new process is on its way in already. If it still proves itself, the upgrade ends
 * instead. */
bool upgrade_defers(struct upgrade *upgrade, int number);

#endif
