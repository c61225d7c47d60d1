/*
 * Log lines with a level, a subject and key=value pairs. This module formats and filters; where the
 * lines go is decided once at start-up by whoever sets the sink, which must not block. Any thread
 * may log.
 *
 *     log_warn("listener", "accept failed, pausing", "name=%s error=\"%s\"", name, text);
 */
#ifndef BRIDLE_BASE_LOG_H
#define BRIDLE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_record {
	enum log_level level;
	const char *subject; /* the module or object that speaks */
	const char *event;   /* what happened, constant text */
	const char *pairs;   /* key=value ..., may be empty */
};

/* Must not block and may be called by several threads at once. */
typedef void (*log_sink_fn)(const struct log_record *record);

void log_set_sink(log_sink_fn sink); /* NULL: standard error, directly */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
const char *log_level_name(enum log_level level);
/* False when the word is no level. */
bool log_level_parse(const char *word, enum log_level *level);

void log_write(enum log_level level, const char *subject, const char *event, const char *format,
    ...) __attribute__((format(printf, 4, 5)));

#define log_error(subject, event, ...) log_write(LOG_LEVEL_ERROR, subject, event, __VA_ARGS__)
#define log_warn(subject, event, ...)  log_write(LOG_LEVEL_WARN, subject, event, __VA_ARGS__)
#define log_info(subject, event, ...)  log_write(LOG_LEVEL_INFO, subject, event, __VA_ARGS__)
#define log_debug(subject, event, ...)                                                             \
	do {                                                                                       \
		if (log_get_level() >= LOG_LEVEL_DEBUG)                                            \
			log_write(LOG_LEVEL_DEBUG, subject, event, __VA_ARGS__);                   \
	} while (0)

/*
 * Lets one line a second through for a cause that an outsider can repeat at will. Owned by one
 * thread. When it opens again, *@held says how many were kept back in between.
 */
struct log_gate {
	uint64_t second;
	unsigned held;
};
bool log_gate_open(struct log_gate *gate, uint64_t now_us, unsigned *held);

/* Bytes from outside, made safe for a line: control bytes, quotes, backslashes and non-ASCII as
 * \xNN, cut at 256 bytes or where the room ends with "..." after it. Writes a terminated string;
 * returns its length. */
#define LOG_ESCAPED_MAX (256 * 4 + 4)
size_t log_escape(char *room, size_t size, struct slice s);

#endif
