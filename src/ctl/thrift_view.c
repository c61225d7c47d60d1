/*
 * One descent over the bytes. What is past a limit is walked on without being written (`muted`),
 * since only so the fields behind it can be found; what is past the limit of length ends the walk.
 *
 * Each function here answers whether the walk goes on. One that has opened a bracket closes it in
 * any case.
 */
#include "ctl/thrift_view.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "ctl/shown.h"
#include "wire/thrift.h"

#define CUT "\xe2\x80\xa6" /* … */

/* Source: thrift's binary protocol, as in wire/thrift.c. */
enum { STOP = 0, BOOL = 2, BYTE = 3, DOUBLE = 4, I16 = 6, I32 = 8, I64 = 10, STRING = 11 };
enum { STRUCT = 12, MAP = 13, SET = 14, LIST = 15 };

static const struct {
	const char *name; /* NULL: no such type */
	uint8_t size;     /* 0: the value says it */
} types[] = {
    [BOOL] = {"bool", 1},
    [BYTE] = {"byte", 1},
    [DOUBLE] = {"double", 8},
    [I16] = {"i16", 2},
    [I32] = {"i32", 4},
    [I64] = {"i64", 8},
    [STRING] = {"string", 0},
    [STRUCT] = {"struct", 0},
    [MAP] = {"map", 0},
    [SET] = {"set", 0},
    [LIST] = {"list", 0},
};

struct view {
	struct slice body;
	size_t at;
	struct text *out;
	size_t start; /* of ours in `out` */
	const struct thrift_view_limits *limits;
	bool is_json;
	unsigned depth, muted;
	char *why; /* of the answer */
};

static bool put_struct(struct view *v);
static bool put_value(struct view *v, uint8_t type, bool is_tagged);

/* ---- reading ---- */

__attribute__((format(printf, 2, 3))) static bool stop(struct view *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(v->why, sizeof((struct thrift_view){0}).why, format, args);
	va_end(args);
	return false;
}

static size_t left(const struct view *v)
{
	return v->body.len - v->at;
}

/* @len bytes, or NULL where the struct ends too early. */
static const uint8_t *take(struct view *v, size_t len, const char *what)
{
	const uint8_t *at;

	if (left(v) < len) {
		stop(v, "the bytes end within %s", what);
		return NULL;
	}
	at = v->body.data + v->at;
	v->at += len;
	return at;
}

static bool is_type(uint8_t type)
{
	return type < ARRAY_LEN(types) && types[type].name;
}

static bool know_type(struct view *v, uint8_t type)
{
	return is_type(type) || stop(v, "there is no type %u", type);
}

/* ---- writing ---- */

static void put(struct view *v, const char *text)
{
	if (v->muted == 0)
		text_add_str(v->out, text);
}

/* In place of items that are not shown; in JSON a struct is an object, all else are arrays. */
static void put_cut(struct view *v, bool is_struct)
{
	if (!v->is_json)
		put(v, CUT);
	else
		put(v, is_struct ? "\"" CUT "\":null" : "\"" CUT "\"");
}

/* What stands before an item: nothing before the first. Mutes those past the limit. */
static bool begin_item(struct view *v, uint32_t n, bool is_struct)
{
	if (n == v->limits->items)
		v->muted++;
	if (n)
		put(v, v->is_json ? "," : ", ");
	if (v->muted || v->out->len - v->start < v->limits->length)
		return true;
	put_cut(v, is_struct);
	return false;
}

/* After the last of @n items. */
static void end_items(struct view *v, uint32_t n, bool is_struct)
{
	if (n <= v->limits->items)
		return;
	v->muted--;
	if (v->muted)
		return;
	n -= v->limits->items;
	if (!v->is_json)
		text_printf(v->out, ", " CUT " %u more", n);
	else
		text_printf(v->out, is_struct ? ",\"" CUT "\":%u" : ",\"" CUT " %u more\"", n);
}

/* ---- values of a size ---- */

static uint64_t load(const uint8_t *p, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value = value << 8 | p[i];
	return value;
}

static void put_double(struct view *v, uint64_t bits)
{
	double value;
	bool is_quoted;

	memcpy(&value, &bits, sizeof value);
	is_quoted = v->is_json && !isfinite(value); /* JSON has no such numbers */
	text_printf(v->out, is_quoted ? "\"%.17g\"" : "%.17g", value);
}

static bool put_fixed(struct view *v, uint8_t type, bool is_tagged)
{
	const uint8_t *p = take(v, types[type].size, types[type].name);
	uint64_t bits;

	if (p == NULL) {
		put(v, v->is_json ? "null" : "?");
		return false;
	}
	if (v->muted)
		return true;
	if (is_tagged && !v->is_json && type != BOOL)
		text_printf(v->out, "%s ", types[type].name);
	bits = load(p, types[type].size);
	if (type == BOOL && bits <= 1)
		put(v, bits ? "true" : "false");
	else if (type == DOUBLE)
		put_double(v, bits);
	else if (type == I64)
		text_printf(v->out, "%lld", (long long)bits);
	else if (type == I32)
		text_printf(v->out, "%d", (int32_t)bits);
	else if (type == I16)
		text_printf(v->out, "%d", (int16_t)bits);
	else
		text_printf(v->out, "%d", (int8_t)bits);
	return true;
}

/* ---- strings ---- */

static void show_string(struct view *v, struct slice s, bool is_text)
{
	if (v->muted)
		return;
	if (is_text) {
		shown_quoted(v->out, s, v->limits->text);
		return;
	}
	put(v, v->is_json ? "\"" : "hex ");
	shown_hex(v->out, s, v->limits->text / 2);
	put(v, v->is_json ? "\"" : "");
}

static bool put_string(struct view *v, bool is_tagged)
{
	const uint8_t *p = take(v, 4, "the length of a string");
	uint32_t len = p ? load_u32(p) : 0;
	size_t here = len < left(v) ? len : left(v);
	struct slice s = slice_sub(v->body, v->at, here);
	bool is_text = shown_is_text(s), is_cut = len > here;

	if (v->is_json && (is_tagged || !is_text))
		put(v, is_text ? "{\"string\":" : "{\"binary\":");
	if (p && len <= INT32_MAX)
		show_string(v, s, is_text);
	else
		put(v, "\"\"");
	if (v->is_json && (is_tagged || !is_text))
		put(v, "}");
	if (p == NULL)
		return false;
	if (is_cut) {
		v->at -= 4;
		return stop(v, "a string of %u bytes, of which %zu are here", len, here);
	}
	v->at += here;
	return true;
}

/* ---- containers ---- */

/* Deeper than is shown: its brackets stay empty. */
static void enter(struct view *v, bool is_struct)
{
	if (v->depth++ == v->limits->depth) {
		put_cut(v, is_struct);
		v->muted++;
	}
}

static void leave(struct view *v)
{
	if (--v->depth == v->limits->depth)
		v->muted--;
}

static bool put_pair(struct view *v, uint8_t key, uint8_t value)
{
	bool goes_on;

	put(v, v->is_json ? "[" : "");
	goes_on = put_value(v, key, false);
	if (goes_on) {
		put(v, v->is_json ? "," : ": ");
		goes_on = put_value(v, value, false);
	}
	put(v, v->is_json ? "]" : "");
	return goes_on;
}

/* @second: of a map's values; else STOP. */
static bool put_elements(struct view *v, uint8_t first, uint8_t second, uint32_t count)
{
	bool goes_on = true;
	uint32_t n = 0;

	while (goes_on && n < count) {
		goes_on = begin_item(v, n++, false);
		if (goes_on && second)
			goes_on = put_pair(v, first, second);
		else if (goes_on)
			goes_on = put_value(v, first, false);
	}
	end_items(v, n, false);
	return goes_on;
}

static const char *type_name(uint8_t type)
{
	return is_type(type) ? types[type].name : "";
}

static bool put_container(struct view *v, uint8_t type)
{
	const uint8_t *p = take(v, type == MAP ? 6 : 5, "the head of a container");
	uint8_t first = p ? p[0] : 0, second = p && type == MAP ? p[1] : 0;
	uint32_t count = p ? load_u32(p + (type == MAP ? 2 : 1)) : 0;
	bool goes_on = p != NULL;

	if (v->muted == 0)
		text_printf(v->out, "%s%s<%s%s%s>%s", v->is_json ? "{\"" : "", types[type].name,
		    type_name(first), type == MAP ? "," : "", type_name(second),
		    v->is_json ? "\":" : "");
	put(v, type == MAP && !v->is_json ? "{" : "[");
	enter(v, false);
	/* Kitex writes the types of an empty container, too, others write 0. */
	if (goes_on && (first || count))
		goes_on = know_type(v, first);
	if (goes_on && type == MAP && (second || count))
		goes_on = know_type(v, second);
	if (goes_on && count > INT32_MAX)
		goes_on = stop(v, "a negative number of elements");
	if (goes_on && v->depth > THRIFT_DEPTH_MAX)
		goes_on = stop(v, "nested too deeply");
	if (goes_on)
		goes_on = put_elements(v, first, second, count);
	leave(v);
	put(v, type == MAP && !v->is_json ? "}" : "]");
	put(v, v->is_json ? "}" : "");
	return goes_on;
}

/* ---- structs ---- */

/* The head of field @n; false at the end of the struct, with *type STOP, and where the walk
 * ends. */
static bool next_field(struct view *v, uint32_t n, uint8_t *type)
{
	const uint8_t *p = take(v, 1, "a struct");

	*type = p ? *p : BOOL;
	if (p == NULL || *type == STOP)
		return false;
	v->at--;
	if (!know_type(v, *type))
		return false;
	p = take(v, 3, "the head of a field");
	if (p == NULL || !begin_item(v, n, true))
		return false;
	if (v->muted == 0)
		text_printf(v->out, v->is_json ? "\"%d\":" : "%d: ", (int16_t)load_u16(p + 1));
	return true;
}

static bool put_fields(struct view *v)
{
	bool goes_on = true;
	uint32_t n = 0;
	uint8_t type;

	while (goes_on && next_field(v, n, &type)) {
		n++;
		goes_on = put_value(v, type, true);
	}
	end_items(v, n, true);
	return goes_on && type == STOP;
}

static bool put_struct(struct view *v)
{
	bool goes_on;

	put(v, "{");
	enter(v, true);
	goes_on = v->depth <= THRIFT_DEPTH_MAX || stop(v, "nested too deeply");
	goes_on = goes_on && put_fields(v);
	leave(v);
	put(v, "}");
	return goes_on;
}

/* @is_tagged: nothing around it says the type. */
static bool put_value(struct view *v, uint8_t type, bool is_tagged)
{
	bool has_name = v->is_json && is_tagged && (types[type].size || type == STRUCT), goes_on;

	if (has_name && v->muted == 0)
		text_printf(v->out, "{\"%s\":", types[type].name);
	if (types[type].size)
		goes_on = put_fixed(v, type, is_tagged);
	else if (type == STRING)
		goes_on = put_string(v, is_tagged);
	else if (type == STRUCT)
		goes_on = put_struct(v);
	else
		goes_on = put_container(v, type);
	put(v, has_name ? "}" : "");
	return goes_on;
}

static struct thrift_view show(
    struct text *out, struct slice body, const struct thrift_view_limits *limits, bool is_json)
{
	struct thrift_view view = {.why = ""};
	struct view v = {
	    .body = body,
	    .out = out,
	    .start = out->len,
	    .limits = limits,
	    .is_json = is_json,
	    .why = view.why,
	};

	view.is_whole = put_struct(&v);
	view.used = v.at;
	return view;
}

struct thrift_view thrift_view_text(
    struct text *out, struct slice body, const struct thrift_view_limits *limits)
{
	return show(out, body, limits, false);
}

struct thrift_view thrift_view_json(
    struct text *out, struct slice body, const struct thrift_view_limits *limits)
{
	return show(out, body, limits, true);
}
