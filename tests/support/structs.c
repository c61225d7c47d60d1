#include "support/structs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64u
#define NONE      SIZE_MAX

/* ---- written down ---- */

struct text {
	const char *at;
	uint8_t *bytes;
	size_t len, size;
};

static void fail(const struct text *t, const char *what)
{
	fprintf(stderr, "no %s: %s\n", what, t->at);
	abort();
}

static void put(struct text *t, uint64_t value, unsigned bytes)
{
	if (t->len + bytes > t->size) {
		t->size = 2 * t->size + bytes;
		t->bytes = realloc(t->bytes, t->size);
		if (t->bytes == NULL)
			abort();
	}
	while (bytes-- > 0)
		t->bytes[t->len++] = (uint8_t)(value >> 8 * bytes);
}

static void put_at(struct text *t, size_t at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		t->bytes[at + i] = (uint8_t)(value >> (24 - 8 * i));
}

static void skip_space(struct text *t)
{
	while (*t->at == ' ' || *t->at == '\n' || *t->at == '\t')
		t->at++;
}

static const struct {
	char letter;
	uint8_t type, size;
} types[] = {{'B', 2, 1}, {'y', 3, 1}, {'d', 4, 8}, {'h', 6, 2}, {'i', 8, 4}, {'l', 10, 8},
    {'s', 11, 0}, {'"', 11, 0}, {'r', 12, 0}, {'{', 12, 0}, {'m', 13, 0}, {'<', 13, 0},
    {'S', 14, 0}, {'(', 14, 0}, {'L', 15, 0}, {'[', 15, 0}, {'0', 0, 0}};

static size_t type_at(const struct text *t)
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (types[i].letter == *t->at)
			return i;
	fail(t, "type");
	return 0;
}

static void put_value(struct text *t);

static void put_string(struct text *t)
{
	size_t start = t->len;

	put(t, 0, 4);
	for (t->at++; *t->at != '"'; t->at++) {
		if (t->at[0] == '\\' && t->at[1] == 'x') {
			put(t, strtoul((char[]){t->at[2], t->at[3], 0}, NULL, 16), 1);
			t->at += 3;
		} else {
			put(t, (uint8_t)*t->at, 1);
		}
	}
	t->at++;
	put_at(t, start, (uint32_t)(t->len - start - 4));
}

static void put_struct(struct text *t)
{
	for (t->at++, skip_space(t); *t->at != '}'; skip_space(t)) {
		char *after;
		long id = strtol(t->at, &after, 10);

		if (after == t->at || *after != ':')
			fail(t, "field");
		t->at = after + 1;
		put(t, types[type_at(t)].type, 1);
		put(t, (uint64_t)id, 2);
		put_value(t);
	}
	t->at++;
	put(t, 0, 1);
}

static void put_elements(struct text *t, char end, bool is_map)
{
	uint32_t count = 0;
	size_t start;

	for (t->at++; *t->at != ' ' && *t->at != end; t->at++)
		put(t, types[type_at(t)].type, 1);
	start = t->len;
	put(t, 0, 4);
	for (skip_space(t); *t->at != end; skip_space(t), count++) {
		put_value(t);
		if (is_map && *t->at++ != '=')
			fail(t, "pair");
		if (is_map)
			put_value(t);
	}
	t->at++;
	put_at(t, start, count);
}

static void put_value(struct text *t)
{
	size_t type = type_at(t);
	char *after;

	switch (*t->at) {
	case '"':
		put_string(t);
		return;
	case '{':
		put_struct(t);
		return;
	case '<':
		put_elements(t, '>', true);
		return;
	case '[':
		put_elements(t, ']', false);
		return;
	case '(':
		put_elements(t, ')', false);
		return;
	}
	if (types[type].size == 0)
		fail(t, "value");
	put(t, (uint64_t)strtoll(t->at + 1, &after, 10), types[type].size);
	t->at = after;
}

struct slice struct_made(const char *text)
{
	struct text t = {.at = text};

	if (*text != '{')
		fail(&t, "struct");
	put_struct(&t);
	if (*t.at)
		fail(&t, "end");
	return slice_of(t.bytes, t.len);
}

/* ---- taken apart ---- */

static uint32_t number_at(struct slice in, size_t at)
{
	return (uint32_t)in.data[at] << 24 | (uint32_t)in.data[at + 1] << 16 |
	       (uint32_t)in.data[at + 2] << 8 | in.data[at + 3];
}

static size_t size_of(struct slice in, unsigned type, unsigned depth);

static bool add_size(size_t *at, struct slice in, unsigned type, unsigned depth)
{
	size_t size = size_of(slice_from(in, *at), type, depth);

	if (size == NONE)
		return false;
	*at += size;
	return true;
}

static size_t size_of_struct(struct slice in, unsigned depth)
{
	size_t at = 0;

	while (at < in.len) {
		unsigned type = in.data[at];

		if (type == 0)
			return at + 1;
		if (in.len - at < 3)
			return NONE;
		at += 3;
		if (!add_size(&at, in, type, depth))
			return NONE;
	}
	return NONE;
}

static bool is_type(unsigned type)
{
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (types[i].type == type && type)
			return true;
	return false;
}

/* @n types stand before the count. */
static size_t size_of_elements(struct slice in, unsigned n, unsigned depth)
{
	size_t at = n + 4;
	uint32_t count;

	if (in.len < at)
		return NONE;
	count = number_at(in, n);
	if (count > INT32_MAX)
		return NONE;
	for (unsigned i = 0; i < n; i++)
		if (!is_type(in.data[i]) && (in.data[i] || count))
			return NONE;
	for (uint32_t k = 0; k < count; k++)
		for (unsigned i = 0; i < n; i++)
			if (!add_size(&at, in, in.data[i], depth))
				return NONE;
	return at;
}

/* @depth: of what is around it. */
static size_t size_of(struct slice in, unsigned type, unsigned depth)
{
	size_t size = NONE;

	if (type >= 12 && depth == DEPTH_MAX)
		return NONE;
	switch (type) {
	case 11:
		if (in.len >= 4 && number_at(in, 0) <= INT32_MAX)
			size = 4 + (size_t)number_at(in, 0);
		break;
	case 12:
		return size_of_struct(in, depth + 1);
	case 13:
		return size_of_elements(in, 2, depth + 1);
	case 14:
	case 15:
		return size_of_elements(in, 1, depth + 1);
	default:
		for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
			if (types[i].type == type && types[i].size)
				size = types[i].size;
		break;
	}
	return size <= in.len ? size : NONE;
}

static void add_field(struct struct_parts *parts, struct struct_field field)
{
	if (parts->n == parts->size) {
		parts->size = parts->size ? 2 * parts->size : 8;
		parts->list = realloc(parts->list, parts->size * sizeof *parts->list);
		if (parts->list == NULL)
			abort();
	}
	parts->list[parts->n++] = field;
}

bool struct_read(struct slice in, struct struct_parts *parts)
{
	size_t at = 0;

	*parts = (struct struct_parts){NULL, 0, 0};
	if (size_of_struct(in, 1) != in.len)
		return false;
	while (in.data[at]) {
		struct slice value = slice_from(in, at + 3);

		value.len = size_of(value, in.data[at], 1);
		add_field(
		    parts, (struct struct_field){(int16_t)(in.data[at + 1] << 8 | in.data[at + 2]),
			       in.data[at], slice_sub(in, at, value.len + 3), value});
		at += value.len + 3;
	}
	return true;
}

void struct_parts_free(struct struct_parts *parts)
{
	free(parts->list);
	parts->list = NULL;
}

size_t struct_find(const struct struct_parts *parts, int16_t id, struct struct_field *last)
{
	size_t n = 0;

	for (size_t i = 0; i < parts->n; i++) {
		if (parts->list[i].id == id) {
			*last = parts->list[i];
			n++;
		}
	}
	return n;
}

bool struct_pair(struct slice map, size_t number, struct slice *key, struct slice *value)
{
	size_t at = 6;

	if (map.len < 6 || number_at(map, 2) <= number || map.data[0] != 11 || map.data[1] != 11)
		return false;
	for (size_t i = 0; i <= number; i++) {
		*key = slice_sub(map, at + 4, number_at(map, at));
		at += 4 + key->len;
		*value = slice_sub(map, at + 4, number_at(map, at));
		at += 4 + value->len;
	}
	return true;
}

struct slice struct_value(struct slice map, const char *key)
{
	struct slice found = SLICE_NONE, present, value;

	for (size_t i = 0; struct_pair(map, i, &present, &value); i++)
		if (slice_eq_str(present, key))
			found = value;
	return found;
}
