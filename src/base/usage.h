/*
 * What a usage text says: "SERVICE/METHOD [-c FILE] [OPTION]...", and lines below like
 * "  -c, --config FILE     ask the file". Options begin with a dash, the word behind one stands for
 * its value, two blanks begin what is said of it.
 */
#ifndef BRIDLE_BASE_USAGE_H
#define BRIDLE_BASE_USAGE_H

#include "base/slice.h"

#define USAGE_OPTIONS_MAX  48u
#define USAGE_OPERANDS_MAX 8u

struct usage_option {
	char letter;        /* 0: none */
	struct slice name;  /* without dashes; empty: there is only the letter */
	struct slice value; /* empty: takes none */
	struct slice help;  /* may be empty */
	unsigned line;      /* of the text, from 1, where it stood last */
};

/* All borrowed from the text. */
struct usage {
	struct usage_option options[USAGE_OPTIONS_MAX];
	size_t n_options;
	struct slice operands[USAGE_OPERANDS_MAX];
	size_t n_operands;
};

void usage_read(struct usage *usage, const char *text);

#endif
