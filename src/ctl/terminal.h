/*
 * The terminal while a command has it for itself: the alternate screen, keys as they are pressed,
 * and everything as it was before at the end, also at that of a signal.
 */
#ifndef BRIDLE_CTL_TERMINAL_H
#define BRIDLE_CTL_TERMINAL_H

#include <signal.h>
#include <termios.h>

#include "base/clock.h"
#include "base/slice.h"

enum terminal_event {
	TERMINAL_TIME,   /* the time is over */
	TERMINAL_KEY,    /* one was pressed */
	TERMINAL_RESIZE, /* another size, or the screen has to be drawn anew */
	TERMINAL_END,    /* somebody or something wants it to end */
};

/* All private. */
struct terminal {
	struct termios before; /* to be put back */
	sigset_t mask;         /* that, too */
	int signals;           /* owned: tells of those that matter */
	bool is_broken;        /* it takes nothing any more */
};

/* Takes the terminal that is standard input and output. False when they are none; then it is not
 * open. */
bool terminal_open(struct terminal *t);
void terminal_close(struct terminal *t);
/* Both at least 1. */
void terminal_size(unsigned *width, unsigned *height);
/* Waits until then (monotonic) at most. */
enum terminal_event terminal_wait(struct terminal *t, usec_t until, char *key);
void terminal_write(struct terminal *t, struct slice bytes);

#endif
