/*
 * The new process of an upgrade as the system sees it: which file it is started from, with what
 * descriptors, signals and environment, and how it ended.
 */
#ifndef BRIDLE_DAEMON_UPGRADE_SPAWN_H
#define BRIDLE_DAEMON_UPGRADE_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* The path by which this process was started: what lies there later is what an upgrade runs. From
 * malloc. @word: argv[0]. */
char *upgrade_find_binary(const char *word);
/* Starts @binary with the words of @argv and --upgrade. Of descriptors it has 0, 1, 2 and @channel.
 * Returns its process, or -1 with @err set, also when the file cannot be executed. */
pid_t upgrade_spawn(const char *binary, char *const argv[], int channel, struct err *err);
/* Has it ended? Then it is gone, and @how says in what way: "ended with status 1". */
bool upgrade_has_ended(pid_t process, char *how, size_t size);

#endif
