/*
 * Doubts about a file that is right: what can be meant so, but seldom is. Each has a number that
 * stays, by which one is silenced where it is meant so:
 *     call: 200ms  # allow W07: the first attempt is all there is
 */
#ifndef BRIDLE_MODEL_WARN_H
#define BRIDLE_MODEL_WARN_H

#include <stddef.h>

struct warning {
	unsigned id;       /* 7 of W07 */
	const char *title; /* "the whole call has less time than one attempt" */
	const char *text;  /* what comes of it and what helps, in sentences */
};

/* All of them, by number. */
const struct warning *warning_list(size_t *n);
/* NULL when there is none with that number. */
const struct warning *warning_find(unsigned id);

#endif
