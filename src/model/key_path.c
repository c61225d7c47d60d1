#include "model/key_path.h"

#include <stdio.h>

/* Bytes of the file: the path is one line of a message. What has no room is left out. */
static void append(struct key_path *path, struct slice text)
{
	size_t room = sizeof path->text - 1 - path->len;

	text = slice_first(text, room);
	for (size_t i = 0; i < text.len; i++)
		path->text[path->len + i] = text.data[i] < ' ' ? '?' : (char)text.data[i];
	path->len += text.len;
	path->text[path->len] = '\0';
}

static bool is_word_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '*';
}

static bool is_word(struct slice key)
{
	for (size_t i = 0; i < key.len; i++)
		if (!is_word_byte(key.data[i]))
			return false;
	return key.len > 0;
}

size_t key_path_key(struct key_path *path, struct slice key)
{
	struct slice quote = is_word(key) ? SLICE_NONE : SLICE_LIT("\"");
	size_t before = path->len;

	if (path->len)
		append(path, SLICE_LIT("."));
	append(path, quote);
	append(path, slice_first(key, 256));
	append(path, quote);
	return before;
}

size_t key_path_index(struct key_path *path, size_t index)
{
	size_t before = path->len;
	char text[32];

	snprintf(text, sizeof text, "[%zu]", index);
	append(path, slice_str(text));
	return before;
}

void key_path_cut(struct key_path *path, size_t len)
{
	path->len = len;
	path->text[len] = '\0';
}

static bool take_until(struct slice *rest, const char *stops, struct slice *part)
{
	size_t len = 0;

	while (len < rest->len && (rest->data[len] == 0 || !strchr(stops, rest->data[len])))
		len++;
	*part = slice_first(*rest, len);
	*rest = slice_from(*rest, len);
	return len > 0;
}

static bool take_index(struct slice *rest, struct key_step *step)
{
	struct slice digits;
	uint64_t value;

	*rest = slice_from(*rest, 1);
	if (!take_until(rest, "]", &digits) || rest->len == 0 || !slice_to_u64(digits, &value) ||
	    value > 1000000)
		return false;
	*rest = slice_from(*rest, 1);
	*step = (struct key_step){.is_index = true, .index = (size_t)value};
	return true;
}

static bool take_key(struct slice *rest, struct slice *key)
{
	if (rest->len == 0 || rest->data[0] != '"')
		return take_until(rest, ".[", key);
	*rest = slice_from(*rest, 1);
	if (!take_until(rest, "\"", key) || rest->len == 0)
		return false;
	*rest = slice_from(*rest, 1);
	return true;
}

bool key_path_step(struct slice *rest, struct key_step *step)
{
	struct slice left = *rest;
	bool fine;

	if (left.len == 0)
		return false;
	*step = (struct key_step){.is_index = left.data[0] == '['};
	if (left.data[0] == '.')
		left = slice_from(left, 1);
	fine = step->is_index ? take_index(&left, step) : take_key(&left, &step->key);
	if (fine)
		*rest = left;
	return fine;
}
