/*
 * The command line of bridled. One table says what options there are; parsing and --help both read
 * it, so they cannot differ.
 */
#ifndef BRIDLE_DAEMON_OPTIONS_H
#define BRIDLE_DAEMON_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#define OPTIONS_CONFIG_PATH "/etc/bridled/bridled.yaml"

/* What the process returns. Source for 75 and 78: sysexits.h (EX_TEMPFAIL, EX_CONFIG). */
enum exit_code {
	EXIT_CODE_OK = 0,
	EXIT_CODE_FAILED = 1,
	EXIT_CODE_USAGE = 2,
	EXIT_CODE_AGAIN = 75,
	EXIT_CODE_CONFIG = 78,
};

enum options_action {
	OPTIONS_RUN,
	OPTIONS_CHECK,
	OPTIONS_DUMP,
	OPTIONS_SCHEMA,
	OPTIONS_MANUAL,
	OPTIONS_COMPLETION,
	OPTIONS_SIGNAL,
	OPTIONS_VERSION,
	OPTIONS_BUILD,
	OPTIONS_HELP,
};

enum options_command {
	COMMAND_RELOAD,
	COMMAND_STOP,
	COMMAND_QUIT,
	COMMAND_REOPEN,
	COMMAND_UPGRADE
};

/* The word: "reload". */
const char *options_command_name(enum options_command command);

struct options {
	enum options_action action;
	enum options_command command; /* of OPTIONS_SIGNAL */
	const char *config_path;      /* borrowed from argv, or constant */
	const char **overrides;       /* owned list of --set, the texts borrowed from argv */
	size_t n_overrides;
	char *const
	    *command_line; /* of `run`, borrowed from argv, ended by NULL; NULL: there is none */
	const char *shell; /* of OPTIONS_COMPLETION; borrowed from argv */
	char **argv;       /* borrowed: the whole command line */
	bool upgrades;     /* in the place of a process that runs */
	bool quiet;
	bool warnings_are_errors;
};

/* Returns 0, or -1 after saying on @errors what is wrong. options_fini is due either way. */
int options_parse(struct options *options, int argc, char **argv, FILE *errors);
void options_fini(struct options *options);
void options_help(FILE *to);
/* How that shell completes a command line. -1: there is no such shell. */
int options_completion(const char *shell, FILE *to);

#endif
