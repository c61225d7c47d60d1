#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void text_fini(struct text *t)
{
	free(t->bytes);
	*t = (struct text){0};
}

char *text_room(struct text *t, size_t len)
{
	if (t->room - t->len < len) {
		t->room = t->room ? 2 * t->room : 1024;
		if (t->room - t->len < len)
			t->room = t->len + len;
		t->bytes = mem_realloc(t->bytes, t->room);
	}
	return t->bytes + t->len;
}

void text_add(struct text *t, struct slice s)
{
	if (s.len == 0)
		return;
	memcpy(text_room(t, s.len), s.data, s.len);
	t->len += s.len;
}

void text_add_str(struct text *t, const char *s)
{
	text_add(t, slice_str(s));
}

void text_add_u64(struct text *t, uint64_t value)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	text_add(t, slice_of(digits + at, sizeof digits - at));
}

void text_printf(struct text *t, const char *format, ...)
{
	char line[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (n > 0)
		text_add(t, slice_of(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1));
}
