/*
 * How shells complete the command line of a program, written from the table that its command line
 * is read by and the usage texts that it prints. So an option or a command that is added completes
 * without further ado.
 *
 * What completes a value or a word is known by the name that stands for it: PATH, FILE, PLAN and
 * COMMAND by what the shell knows of files and programs; SERVICE, ENDPOINT and their like by what
 * the program prints when it is run with --words and that name; words with bars between them by
 * those.
 */
#ifndef BRIDLE_BASE_COMPLETION_H
#define BRIDLE_BASE_COMPLETION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum completion_shell { COMPLETION_BASH, COMPLETION_ZSH, COMPLETION_FISH };

/* All texts are borrowed. */
struct completion_option {
	int letter;       /* 0: there is no short form */
	const char *name; /* "" when there is no long form */
	const char
	    *value; /* what stands for its value, or words with bars between; NULL: takes none */
	const char *help;
};

struct completion_command {
	const char *name;
	const char *usage; /* its words and options, as it prints them; lines below explain those */
	const char *help;
};

struct completion_program {
	const char *name;
	const struct completion_option *options;
	size_t n_options;
	const struct completion_command *commands;
	size_t n_commands;
	bool answers; /* to --words, with what a running daemon knows */
};

/* False when there is no such shell. */
bool completion_shell_parse(const char *word, enum completion_shell *shell);
void completion_print(
    const struct completion_program *program, enum completion_shell shell, FILE *to);

#endif
