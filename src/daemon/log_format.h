/* How a log record looks as a line: text for people, JSON for machines. Pure. */
#ifndef BRIDLE_DAEMON_LOG_FORMAT_H
#define BRIDLE_DAEMON_LOG_FORMAT_H

#include <stddef.h>

#include "base/clock.h"
#include "base/log.h"

#define LOG_LINE_MAX 8192u

enum log_format {
	LOG_FORMAT_TEXT,    /* time level subject: event pairs */
	LOG_FORMAT_JOURNAL, /* <priority>subject: event pairs; the journal has a clock of its own */
	LOG_FORMAT_JSON,
};

/* Writes the line without a newline; too long a line is cut. @calendar is microseconds since 1970.
 * Returns its length. */
size_t log_format_line(char *room, size_t size, enum log_format format,
    const struct log_record *record, usec_t calendar);

#endif
