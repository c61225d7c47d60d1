#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_MAX_LEN    2048
#define OUTSIDE_MAX     256
#define USEC_PER_SECOND 1000000u
#define ESCAPE_LEN      4 /* \xNN */
#define CUT_LEN         3 /* ... */

static atomic_int threshold = LOG_LEVEL_INFO;
static _Atomic(log_sink_fn) current_sink;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_set_sink(log_sink_fn sink)
{
	atomic_store(&current_sink, sink);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&threshold, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

bool log_level_parse(const char *word, enum log_level *level)
{
	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
		if (strcmp(word, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static void write_stderr(const struct log_record *r)
{
	fprintf(stderr, "%s %s: %s%s%s\n", log_level_name(r->level), r->subject, r->event,
	    r->pairs[0] ? " " : "", r->pairs);
}

void log_write(
    enum log_level level, const char *subject, const char *event, const char *format, ...)
{
	char pairs[LINE_MAX_LEN];
	struct log_record record = {level, subject, event, pairs};
	log_sink_fn sink = atomic_load(&current_sink);
	va_list args;

	if (level > log_get_level())
		return;
	va_start(args, format);
	vsnprintf(pairs, sizeof pairs, format, args);
	va_end(args);
	(sink ? sink : write_stderr)(&record);
}

bool log_gate_open(struct log_gate *gate, uint64_t now_us, unsigned *held)
{
	uint64_t second = now_us / USEC_PER_SECOND + 1; /* 0 is "never" */

	if (gate->second == second) {
		gate->held++;
		return false;
	}
	*held = gate->held;
	gate->second = second;
	gate->held = 0;
	return true;
}

size_t log_escape(char *room, size_t size, struct slice s)
{
	static const char hex[] = "0123456789abcdef";
	size_t take = s.len < OUTSIDE_MAX ? s.len : OUTSIDE_MAX, n = 0, i;

	for (i = 0; i < take && n + ESCAPE_LEN + CUT_LEN < size; i++) {
		uint8_t b = s.data[i];

		if (b >= 0x20 && b < 0x7f && b != '"' && b != '\\') {
			room[n++] = (char)b;
			continue;
		}
		room[n++] = '\\';
		room[n++] = 'x';
		room[n++] = hex[b >> 4];
		room[n++] = hex[b & 15];
	}
	if (i < s.len)
		for (int dots = 0; dots < CUT_LEN && n + 1 < size; dots++)
			room[n++] = '.';
	if (size)
		room[n] = '\0';
	return n;
}
