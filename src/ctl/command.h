/*
 * The commands of bridlectl: one row each, listed in ctl.c. A command reads its own words, asks the
 * daemon or works by itself, and prints. Nothing here knows the daemon's insides: what it says of
 * itself on the admin socket is all there is.
 */
#ifndef BRIDLE_CTL_COMMAND_H
#define BRIDLE_CTL_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

#include "base/slice.h"

/* What the process returns. */
enum ctl_exit {
	CTL_DONE = 0,
	CTL_FAILED = 1, /* refused, or not there */
	CTL_USAGE = 2,
	CTL_UNREACHABLE = 3, /* no daemon answers */
};

/* What all commands share. */
struct ctl {
	const char *socket; /* borrowed: the admin socket's path */
	bool json;
	FILE *out, *errors; /* borrowed */
};

struct command {
	const char *name;
	const char
	    *usage; /* its words and options, "" when there are none; lines below explain them */
	const char *help; /* one line */
	/* argv[0] is the command's name; -h, --json and -S are taken out of the words already. */
	enum ctl_exit (*run)(int argc, char **argv, struct ctl *ctl);
};

extern const struct command command_status, command_services, command_endpoints, command_listeners,
    command_pools, command_errors, command_log, command_top, command_history, command_config,
    command_reload, command_drain, command_undrain, command_disable, command_enable, command_weight,
    command_explain, command_tap, command_upgrade, command_why, command_simulate, command_dump;

/* Says what is wrong with the words of a command, and how it is used. Returns CTL_USAGE. */
enum ctl_exit ctl_refuse(const struct ctl *ctl, const struct command *command, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/* GETs PAGE/LABEL, of the service with that label. */
struct cJSON;
enum ctl_exit ctl_get_service(
    const struct ctl *ctl, const char *page, const char *label, struct cJSON **root);

struct http_answer;

/* Asks the daemon, with a body of JSON unless it is empty. CTL_DONE when it answered at all, be it
 * with a failure; else the complaint is made. http_answer_fini is due in any case. */
enum ctl_exit ctl_ask(const struct ctl *ctl, const char *method, const char *target,
    struct slice body, struct http_answer *answer);

/* Prints the words that can stand where a usage text has @kind, one in a line, for the completions
 * of shells. Nothing where no daemon answers. */
void ctl_words(const struct ctl *ctl, const char *kind);

/* The whole program behind main(). */
enum ctl_exit ctl_run(int argc, char **argv, FILE *out, FILE *errors);

#endif
