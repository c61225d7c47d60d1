/*
 * An error for the operator: what happened, with context added on the way up. Functions that can
 * fail so return 0 or -1 and fill the caller's struct err.
 */
#ifndef BRIDLE_BASE_ERR_H
#define BRIDLE_BASE_ERR_H

struct err {
	int code; /* errno where one is known, else 0 */
	char text[512];
};

/* Sets the text; returns -1. */
int err_set(struct err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts "<context>: " before the text; returns -1. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
