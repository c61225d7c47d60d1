#include "ctl/shown.h"

#include "base/utf8.h"

#define CUT "\xe2\x80\xa6" /* … */
#define BAD "\xef\xbf\xbd" /* U+FFFD */

bool shown_is_text(struct slice s)
{
	uint32_t code;

	for (size_t at = 0, n; at < s.len; at += n) {
		n = utf8_take(slice_from(s, at), &code);
		if (n == 0)
			return false;
		if (utf8_steers(code) && code != '\t' && code != '\n' && code != '\r')
			return false;
	}
	return true;
}

/* Source: RFC 8259 section 7. None of what steers lies beyond the first 65536. */
static void add_escaped(struct text *out, uint32_t code)
{
	static const char letters[] = "\b\t\n\f\r", names[] = "btnfr";
	const char *found = code && code < 0x80 ? strchr(letters, (int)code) : NULL;

	if (found)
		text_printf(out, "\\%c", names[found - letters]);
	else
		text_printf(out, "\\u%04x", code);
}

/* One character, quoted; how many bytes it was. */
static size_t add_quoted(struct text *out, struct slice s)
{
	uint32_t code;
	size_t n = utf8_take(s, &code);

	if (n == 0) {
		text_add_str(out, BAD);
		return 1;
	}
	if (code == '"' || code == '\\')
		text_add_str(out, "\\");
	if (utf8_steers(code))
		add_escaped(out, code);
	else
		text_add(out, slice_first(s, n));
	return n;
}

/* How many bytes at the start are letters, digits and the like: nothing to think about. */
static size_t plain_len(struct slice s)
{
	size_t n = 0;

	while (n < s.len && s.data[n] > ' ' && s.data[n] < 0x7f && s.data[n] != '"' &&
	       s.data[n] != '\\')
		n++;
	return n;
}

void shown_quoted(struct text *out, struct slice s, size_t max)
{
	size_t at = 0;

	text_add_str(out, "\"");
	while (at < s.len && at < max) {
		struct slice rest = slice_from(s, at);
		size_t plain = plain_len(slice_first(rest, max - at));

		text_add(out, slice_first(rest, plain));
		at += plain ? plain : add_quoted(out, rest);
	}
	text_add_str(out, at < s.len ? CUT "\"" : "\"");
}

void shown_word(struct text *out, struct slice s, size_t max)
{
	size_t at = 0, n;
	uint32_t code;

	for (; at < s.len && at < max; at += n) {
		n = plain_len(slice_first(slice_from(s, at), max - at));
		text_add(out, slice_sub(s, at, n));
		if (n)
			continue;
		n = utf8_take(slice_from(s, at), &code);
		if (n && code != ' ' && !utf8_steers(code)) {
			text_add(out, slice_sub(s, at, n));
			continue;
		}
		text_add_str(out, "?");
		n = n ? n : 1;
	}
	if (at < s.len)
		text_add_str(out, CUT);
}

void shown_hex(struct text *out, struct slice s, size_t max)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < s.len && i < max; i++) {
		char pair[2] = {digits[s.data[i] >> 4], digits[s.data[i] & 15]};

		text_add(out, slice_of(pair, 2));
	}
	if (s.len > max)
		text_add_str(out, CUT);
}
