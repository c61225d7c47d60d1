#include "daemon/log_format.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Text that grows until the room is full; what does not fit is left out. */
struct line {
	char *room;
	size_t size, len;
};

static void add_bytes(struct line *l, const char *bytes, size_t n)
{
	if (n > l->size - l->len)
		n = l->size - l->len;
	memcpy(l->room + l->len, bytes, n);
	l->len += n;
}

static void add_text(struct line *l, const char *text)
{
	add_bytes(l, text, strlen(text));
}

static void add_json_string(struct line *l, const char *bytes, size_t n)
{
	add_text(l, "\"");
	for (size_t i = 0; i < n; i++) {
		unsigned char b = (unsigned char)bytes[i];
		char escape[8];

		if (b >= 0x20 && b < 0x7f && b != '"' && b != '\\') {
			add_bytes(l, &bytes[i], 1);
			continue;
		}
		snprintf(escape, sizeof escape, "\\u%04x", b);
		add_text(l, escape);
	}
	add_text(l, "\"");
}

static void add_time(struct line *l, usec_t calendar)
{
	time_t seconds = (time_t)(calendar / USEC_S);
	char day[32], part[16];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(part, sizeof part, ".%06uZ", (unsigned)(calendar % USEC_S));
	add_text(l, day);
	add_text(l, part);
}

/* Source for the numbers: syslog(3), as sd-daemon(3) reads them. */
static int journal_priority(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return 3;
	case LOG_LEVEL_WARN:
		return 4;
	case LOG_LEVEL_INFO:
		return 6;
	case LOG_LEVEL_DEBUG:
		return 7;
	}
	return 6;
}

static void add_plain(struct line *l, const struct log_record *r)
{
	add_text(l, r->subject);
	add_text(l, ": ");
	add_text(l, r->event);
	if (r->pairs[0] == '\0')
		return;
	add_text(l, " ");
	add_text(l, r->pairs);
}

/* Where the value that starts at @p ends: at a space, or at the closing quote. */
static const char *value_end(const char *p)
{
	if (*p != '"')
		return p + strcspn(p, " ");
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p + 1 : p;
}

/* key=value key="two words": each becomes a member, the value as a string. */
static void add_pairs(struct line *l, const char *p)
{
	while (*p) {
		size_t key = strcspn(p, "= ");
		const char *value = p + key, *end;

		if (*value == '=')
			value++;
		end = value_end(value);
		if (key) {
			bool quoted = *value == '"' && end - value >= 2 && end[-1] == '"';

			add_text(l, ",");
			add_json_string(l, p, key);
			add_text(l, ":");
			add_json_string(l, value + quoted, (size_t)(end - value) - 2u * quoted);
		}
		p = end + strspn(end, " ");
	}
}

static void add_json(struct line *l, const struct log_record *r, usec_t calendar)
{
	add_text(l, "{\"time\":\"");
	add_time(l, calendar);
	add_text(l, "\",\"level\":\"");
	add_text(l, log_level_name(r->level));
	add_text(l, "\",\"subject\":");
	add_json_string(l, r->subject, strlen(r->subject));
	add_text(l, ",\"event\":");
	add_json_string(l, r->event, strlen(r->event));
	add_pairs(l, r->pairs);
	add_text(l, "}");
}

size_t log_format_line(char *room, size_t size, enum log_format format,
    const struct log_record *record, usec_t calendar)
{
	struct line l = {room, size, 0};
	char priority[8];

	switch (format) {
	case LOG_FORMAT_JSON:
		add_json(&l, record, calendar);
		break;
	case LOG_FORMAT_JOURNAL:
		snprintf(priority, sizeof priority, "<%d>", journal_priority(record->level));
		add_text(&l, priority);
		add_plain(&l, record);
		break;
	case LOG_FORMAT_TEXT:
		add_time(&l, calendar);
		add_text(&l, " ");
		add_text(&l, log_level_name(record->level));
		add_text(&l, " ");
		add_plain(&l, record);
		break;
	}
	/* One record is one line, whatever somebody put into a pair. */
	for (size_t i = 0; i < l.len; i++)
		if (room[i] == '\n' || room[i] == '\r')
			room[i] = ' ';
	return l.len;
}
