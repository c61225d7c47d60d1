/*
 * Collecting what is wrong with a file. The structs are in model/config.h; this is the side of
 * those who complain. The list stays sorted by place, and a file that is wrong a thousand times
 * over is not listed to the end.
 */
#ifndef BRIDLE_MODEL_PROBLEMS_H
#define BRIDLE_MODEL_PROBLEMS_H

#include "model/config.h"

#define PROBLEMS_MAX 1000u /* kept; further errors are only counted */

/* Where something was written; line 0 means the whole file. */
struct place {
	const char *file; /* borrowed */
	unsigned line, column;
};

/*
 * The text may hold one newline: what follows it is the remedy. Everything is copied. @path may be
 * NULL or empty.
 */
void problems_error(struct problems *p, struct place at, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void problems_warn(struct problems *p, struct place at, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
