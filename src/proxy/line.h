/*
 * A line of JSON or text under construction, in room of its owner's. Every call that is served may
 * have one: neither printf nor strftime is in its way.
 */
#ifndef BRIDLE_PROXY_LINE_H
#define BRIDLE_PROXY_LINE_H

#include "base/slice.h"

struct line {
	char *at, *end;
};

#define LINE_TEXT_MAX   256u /* bytes of a string that are shown */
#define LINE_VALUE_MAX  704u /* once a string has taken so many, escaped, the rest of it is cut */
#define LINE_STRING_MAX (LINE_VALUE_MAX + LINE_TEXT_MAX + 32u) /* what one comes to at most */

static inline size_t line_room(const struct line *l)
{
	return (size_t)(l->end - l->at);
}

/* What does not fit is cut. */
static inline void line_put(struct line *l, struct slice s)
{
	size_t room = line_room(l), len = s.len < room ? s.len : room;

	if (len)
		memcpy(l->at, s.data, len);
	l->at += len;
}

static inline void line_put_str(struct line *l, const char *text)
{
	line_put(l, slice_str(text));
}

void line_put_number(struct line *l, uint64_t n);
/* What stands between the quotes of a JSON string. JSON has no \xNN, so its own escapes are used;
 * cut like log_escape. */
void line_put_json(struct line *l, struct slice s);

#endif
