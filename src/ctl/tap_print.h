/* A call that went by, for people: one line of what matters, and beneath it what was asked for. */
#ifndef BRIDLE_CTL_TAP_PRINT_H
#define BRIDLE_CTL_TAP_PRINT_H

#include <stdbool.h>
#include <stdio.h>

struct cJSON;

/* @call: a line of GET /tap. @is_verbose: its metadata, too; bodies are shown where it has any.
 * Nothing of it steers a terminal. */
void tap_print(const struct cJSON *call, bool is_verbose, FILE *to);

#endif
