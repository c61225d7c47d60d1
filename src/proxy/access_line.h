/*
 * What is said of a finished call in one line: all fields as JSON, or those that an operator's
 * format names. Whether a call gets a line, and where it goes, is decided elsewhere.
 */
#ifndef BRIDLE_PROXY_ACCESS_LINE_H
#define BRIDLE_PROXY_ACCESS_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/slice.h"
#include "model/access_field.h"

struct call;

#define ACCESS_LINE_MAX 16384u /* bytes: any call's JSON fits */

/* What a line is made of beside its call. Two lines of one second share the text of that second. */
struct access_clock {
	usec_t second;
	char text[20]; /* 2026-01-01T00:00:00 */
};

struct access_moment {
	usec_t now;      /* monotonic */
	usec_t calendar; /* since 1970 */
	bool is_untimed; /* whoever takes the line has a clock: `time` is left out */
};

/*
 * Both write into @room of at least ACCESS_LINE_MAX bytes, without a newline or NUL, and return the
 * length. JSON is one whole object, whatever callers said; of a format, what does not fit is cut.
 */
size_t access_line_json(struct call *call, const struct access_moment *moment, char *room);
size_t access_line_format(
    struct call *call, const struct access_moment *moment, const char *format, char *room);

/* One of the fields that are texts; a view that stays as long as the call. */
struct slice access_line_text(enum access_field field, struct call *call);

#endif
