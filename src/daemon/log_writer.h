/*
 * Writes log lines from a thread of its own, so that neither a full disk nor a pipe that nobody
 * reads ever holds up a loop. Lines wait in a bounded ring; what does not fit is counted and thrown
 * away, and when there is room again a warning says how much was lost.
 */
#ifndef BRIDLE_DAEMON_LOG_WRITER_H
#define BRIDLE_DAEMON_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

#define LOG_WRITER_RING ((size_t)1 << 20) /* bytes */

struct log_writer;

/*
 * Opens "stderr", "stdout" or a path (made if missing, 0640, appended to). Returns a descriptor of
 * the caller's own, or -1 with @err set.
 */
int log_destination_open(const char *to, struct err *err);

/* @name stands in metrics and warnings, borrowed. Takes over @fd. NULL with @err set when there is
 * no thread to be had; @fd is closed then. */
struct log_writer *log_writer_new(const char *name, int fd, struct err *err);
/* Writes what is left, but for no longer than @patience; then the rest is given up. */
void log_writer_free(struct log_writer **w, usec_t patience);

/* Any thread; never blocks. The newline is added here. */
void log_writer_put(struct log_writer *w, const char *line, size_t len);
/* From now on lines go to @fd, which it takes over; lines that wait go there too. */
void log_writer_switch(struct log_writer *w, int fd);

/* Any thread: whoever takes the lines writes down when they came. */
void log_writer_set_clocked(struct log_writer *w, bool is_clocked);
bool log_writer_is_clocked(const struct log_writer *w);

/* Any thread. Lines thrown away so far. */
uint64_t log_writer_dropped(const struct log_writer *w);
const char *log_writer_name(const struct log_writer *w);

#endif
