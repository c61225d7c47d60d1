#include "model/config_allow.h"

#define ID_DIGITS_MAX 3u

static struct slice trim(struct slice s)
{
	while (s.len && strchr(" \t\r", s.data[s.len - 1]))
		s.len--;
	while (s.len && strchr(" \t\r", s.data[0]))
		s = slice_from(s, 1);
	return s;
}

/* Takes a word off the front. */
static bool take(struct slice *s, struct slice word)
{
	struct slice rest = trim(*s);

	if (!slice_starts(rest, word))
		return false;
	*s = trim(slice_from(rest, word.len));
	return true;
}

static bool take_id(struct slice *s, unsigned *id)
{
	struct slice rest = *s;
	size_t n = 0;

	if (rest.len == 0 || (rest.data[0] | 0x20) != 'w')
		return false;
	rest = slice_from(rest, 1);
	*id = 0;
	while (n < rest.len && n < ID_DIGITS_MAX && rest.data[n] >= '0' && rest.data[n] <= '9')
		*id = *id * 10 + (rest.data[n++] - '0');
	*s = trim(slice_from(rest, n));
	return n > 0;
}

/* Where a comment starts in the line; line.len when there is none. A # within a text stands between
 * quotes, or has no space before it. */
static size_t find_comment(struct slice line)
{
	uint8_t quote = 0;

	for (size_t i = 0; i < line.len; i++) {
		uint8_t c = line.data[i];
		bool begins = i == 0 || strchr(" \t[{,:", line.data[i - 1]);

		if (quote) {
			i += quote == '"' && c == '\\';
			quote = c == quote ? 0 : quote;
		} else if ((c == '"' || c == '\'') && begins) {
			quote = c;
		} else if (c == '#' &&
			   (i == 0 || line.data[i - 1] == ' ' || line.data[i - 1] == '\t')) {
			return i;
		}
	}
	return line.len;
}

/* Of "allow W07, W08: reason". */
static void read_comment(
    struct allows *allows, struct slice comment, struct place at, unsigned for_line)
{
	struct allow *first = allows->first;
	struct slice rest = slice_from(comment, 1);
	unsigned id;

	if (!take(&rest, SLICE_LIT("allow ")))
		return;
	while (take_id(&rest, &id)) {
		struct allow *allow = arena_calloc(allows->arena, 1, sizeof *allow);

		*allow =
		    (struct allow){.next = allows->first, .at = at, .line = for_line, .id = id};
		allows->first = allow;
		if (!take(&rest, SLICE_LIT(",")))
			break;
	}
	if (!take(&rest, SLICE_LIT(":")) || rest.len == 0)
		return;
	for (struct allow *a = allows->first; a != first; a = a->next)
		a->has_reason = true;
}

static struct slice take_line(struct slice *text)
{
	const uint8_t *end = text->len ? memchr(text->data, '\n', text->len) : NULL;
	struct slice line = slice_first(*text, end ? (size_t)(end - text->data) : text->len);

	*text = slice_from(*text, line.len + (end != NULL));
	return line;
}

/* The comment stands alone: it is for the next line that has something on it. */
static unsigned find_line(struct slice text, unsigned line)
{
	while (text.len > 0) {
		struct slice next = trim(take_line(&text));

		line++;
		if (next.len > 0 && next.data[0] != '#')
			return line;
	}
	return line;
}

void allows_read(struct allows *allows, const char *file, struct slice text)
{
	for (unsigned number = 1; text.len > 0; number++) {
		struct slice line = take_line(&text), before;
		size_t at = find_comment(line);

		if (at == line.len)
			continue;
		before = trim(slice_first(line, at));
		read_comment(allows, slice_from(line, at),
		    (struct place){file, number, (unsigned)at + 1},
		    before.len ? number : find_line(text, number));
	}
}

bool allows_has(struct allows *allows, struct place at, unsigned id)
{
	bool found = false;

	for (struct allow *a = allows->first; a && at.file; a = a->next) {
		if (a->id != id || a->line != at.line || !a->has_reason ||
		    strcmp(a->at.file, at.file) != 0)
			continue;
		a->is_used = true;
		found = true;
	}
	return found;
}
