/*
 * The walk. What is still open lies on the stack; `skip` counts bytes that need no look, `want`
 * says what comes after them:
 *
 *     FIELD    one byte, a field's type or STOP (its id goes into `skip`)
 *     LENGTH   of a string
 *     LIST     element type and count
 *     MAP      key type, value type and count
 *     NOTHING  the outermost value has ended
 *
 * Only LENGTH, LIST and MAP can be split between two pieces; `pending` gathers them.
 */
#include "wire/thrift.h"

#define HEAD_FIXED    12u /* magic, type, length of the method, sequence id */
#define FIELD_ID      2u
#define FIELD_HEAD    3u /* type and id */
#define COUNT_MAX     INT32_MAX
#define EXCEPTION_STR 1
#define EXCEPTION_ID  2

enum { WANT_NOTHING, WANT_FIELD, WANT_LENGTH, WANT_LIST, WANT_MAP };
enum { IN_STRUCT, IN_LIST, IN_MAP };

static const uint8_t want_bytes[] = {
    [WANT_FIELD] = 1, [WANT_LENGTH] = 4, [WANT_LIST] = 5, [WANT_MAP] = 6};

/* 0 for the types whose values say themselves how long they are, and for what is no type. */
static const uint8_t fixed_size[UINT8_MAX + 1] = {[THRIFT_BOOL] = 1,
    [THRIFT_BYTE] = 1,
    [THRIFT_DOUBLE] = 8,
    [THRIFT_I16] = 2,
    [THRIFT_I32] = 4,
    [THRIFT_I64] = 8};

enum wire_result thrift_head_read(struct slice in, struct thrift_head *head, struct wire_note *note)
{
	uint32_t method;

	if (in.len < 2)
		return wire_more(note, HEAD_FIXED);
	head->magic = load_u16(in.data);
	if (head->magic != THRIFT_MAGIC && head->magic != KITEXPB_MAGIC)
		return wire_bad(note, "no thrift or kitex protobuf message");
	if (in.len < 8)
		return wire_more(note, HEAD_FIXED);
	method = load_u32(in.data + 4);
	if (method > THRIFT_METHOD_MAX)
		return wire_bad(note, "method name too long");
	head->len = HEAD_FIXED + method;
	if (in.len < head->len)
		return wire_more(note, head->len);
	head->type = load_u16(in.data + 2);
	head->method = slice_sub(in, 8, method);
	head->seq = (int32_t)load_u32(in.data + 8 + method);
	return WIRE_OK;
}

void thrift_head_write(
    struct writer *w, uint16_t magic, enum thrift_type type, struct slice method, int32_t seq)
{
	if (method.len > THRIFT_METHOD_MAX)
		w->bad = true;
	write_u16(w, magic);
	write_u16(w, (uint16_t)type);
	write_u32(w, (uint32_t)method.len);
	write_bytes(w, method);
	write_u32(w, (uint32_t)seq);
}

static bool is_type(uint8_t type)
{
	return fixed_size[type] || (type >= THRIFT_STRING && type <= THRIFT_LIST);
}

static const char *push(
    struct thrift_walk *walk, uint8_t kind, uint8_t first, uint8_t second, uint32_t count)
{
	if (walk->depth == walk->depth_max)
		return "thrift nested too deeply";
	walk->stack[walk->depth].kind = kind;
	walk->stack[walk->depth].first = first;
	walk->stack[walk->depth].second = second;
	walk->stack[walk->depth].at_second = 0;
	walk->stack[walk->depth].left = count;
	walk->depth++;
	return NULL;
}

/* A value begins whose type has no fixed size. */
static const char *open_value(struct thrift_walk *walk, uint8_t type)
{
	switch (type) {
	case THRIFT_STRING:
		walk->want = WANT_LENGTH;
		return NULL;
	case THRIFT_STRUCT:
		walk->want = WANT_FIELD;
		return push(walk, IN_STRUCT, 0, 0, 0);
	case THRIFT_SET:
	case THRIFT_LIST:
		walk->want = WANT_LIST;
		return NULL;
	case THRIFT_MAP:
		walk->want = WANT_MAP;
		return NULL;
	}
	return "unknown thrift type";
}

/* A value has ended: what comes next? Ends the containers that end with it. */
static const char *advance(struct thrift_walk *walk)
{
	while (walk->depth) {
		uint8_t kind = walk->stack[walk->depth - 1].kind, type;

		if (kind == IN_STRUCT) {
			walk->want = WANT_FIELD;
			return NULL;
		}
		if (walk->stack[walk->depth - 1].at_second) {
			type = walk->stack[walk->depth - 1].second;
			walk->stack[walk->depth - 1].at_second = 0;
		} else if (walk->stack[walk->depth - 1].left) {
			type = walk->stack[walk->depth - 1].first;
			walk->stack[walk->depth - 1].at_second = kind == IN_MAP;
			walk->stack[walk->depth - 1].left--;
		} else {
			walk->depth--;
			continue;
		}
		if (fixed_size[type] == 0)
			return open_value(walk, type);
		walk->skip += fixed_size[type];
	}
	walk->want = WANT_NOTHING;
	return NULL;
}

static const char *step_field(struct thrift_walk *walk, uint8_t type)
{
	if (type == THRIFT_STOP) {
		walk->depth--;
		return advance(walk);
	}
	walk->skip = FIELD_ID + fixed_size[type];
	return fixed_size[type] ? NULL : open_value(walk, type);
}

static const char *step_length(struct thrift_walk *walk, uint32_t length)
{
	if (length > COUNT_MAX)
		return "negative thrift string length";
	walk->skip = length;
	return advance(walk);
}

/* Kitex writes the element types of an empty container, too, others write 0. */
static bool is_element(uint8_t type, uint32_t count)
{
	return is_type(type) || (type == THRIFT_STOP && count == 0);
}

static const char *step_list(struct thrift_walk *walk, uint8_t type, uint32_t count)
{
	const char *why;

	if (count > COUNT_MAX)
		return "negative thrift element count";
	if (!is_element(type, count))
		return "unknown thrift type";
	if (fixed_size[type]) {
		walk->skip = (uint64_t)count * fixed_size[type];
		count = 0;
	}
	why = push(walk, IN_LIST, type, 0, count);
	return why ? why : advance(walk);
}

static const char *step_map(struct thrift_walk *walk, uint8_t key, uint8_t value, uint32_t count)
{
	const char *why;

	if (count > COUNT_MAX)
		return "negative thrift element count";
	if (!is_element(key, count) || !is_element(value, count))
		return "unknown thrift type";
	if (fixed_size[key] && fixed_size[value]) {
		walk->skip = (uint64_t)count * (fixed_size[key] + fixed_size[value]);
		count = 0;
	}
	why = push(walk, IN_MAP, key, value, count);
	return why ? why : advance(walk);
}

static const char *step(struct thrift_walk *walk, const uint8_t *p)
{
	switch (walk->want) {
	case WANT_FIELD:
		return step_field(walk, p[0]);
	case WANT_LENGTH:
		return step_length(walk, load_u32(p));
	case WANT_LIST:
		return step_list(walk, p[0], load_u32(p + 1));
	default:
		return step_map(walk, p[0], p[1], load_u32(p + 2));
	}
}

/* Passes over what needs no look; false when the piece ends before it. */
static bool pass_over(struct thrift_walk *walk, struct cursor *c)
{
	size_t left = cursor_left(c);

	if (walk->skip > left) {
		walk->skip -= left;
		c->at = c->end;
		return false;
	}
	if (walk->skip)
		c->at += walk->skip;
	walk->skip = 0;
	return true;
}

/* @len bytes in one place, or NULL when the piece ends before them. */
static const uint8_t *gather(struct thrift_walk *walk, struct cursor *c, size_t len)
{
	const uint8_t *at = c->at;
	size_t left = cursor_left(c), take = len - walk->n_pending;

	if (left == 0)
		return NULL;
	if (walk->n_pending == 0 && left >= len) {
		c->at += len;
		return at;
	}
	if (take > left)
		take = left;
	memcpy(walk->pending + walk->n_pending, at, take);
	walk->n_pending = (uint8_t)(walk->n_pending + take);
	c->at += take;
	if (walk->n_pending < len)
		return NULL;
	walk->n_pending = 0;
	return walk->pending;
}

/* ---- what is all here ---- */

/* Fields that are numbers or strings, one after another: most are. What is anything else, wrong, or
 * not all here is left to step(). */
static void rush_fields(struct cursor *c)
{
	const uint8_t *at = c->at;
	size_t left = cursor_left(c);

	while (left >= FIELD_HEAD + 4) {
		uint8_t type = at[0];
		size_t len = FIELD_HEAD + fixed_size[type];

		if (type == THRIFT_STRING)
			len += 4 + (size_t)load_u32(at + FIELD_HEAD);
		else if (fixed_size[type] == 0)
			break;
		if (len > left || len > COUNT_MAX)
			break;
		at += len;
		left -= len;
	}
	c->at = at;
}

/* An element begins in a container of nothing but strings. */
static bool is_at_string(const struct thrift_walk *walk)
{
	uint8_t kind = walk->depth ? walk->stack[walk->depth - 1].kind : IN_STRUCT;

	return walk->want == WANT_LENGTH && walk->n_pending == 0 && kind != IN_STRUCT &&
	       walk->stack[walk->depth - 1].first == THRIFT_STRING &&
	       (kind == IN_LIST || walk->stack[walk->depth - 1].second == THRIFT_STRING);
}

/* Passes over up to @n strings; returns how many are left. */
static uint64_t rush_strings(struct cursor *c, uint64_t n)
{
	for (; n && cursor_left(c) >= 4; n--) {
		uint32_t len = load_u32(c->at);

		if (len > COUNT_MAX || len > cursor_left(c) - 4)
			break;
		c->at += 4 + (size_t)len;
	}
	return n;
}

/* Elements that are strings, from the one that begins here on; true when the last of them has
 * ended. */
static bool rush_elements(struct thrift_walk *walk, struct cursor *c)
{
	bool is_map = walk->stack[walk->depth - 1].kind == IN_MAP;
	uint64_t n = walk->stack[walk->depth - 1].left;

	n = is_map ? 2 * n + 1 + walk->stack[walk->depth - 1].at_second : n + 1;
	n = rush_strings(c, n);
	walk->stack[walk->depth - 1].at_second = is_map && n > 0 && n % 2 == 0;
	walk->stack[walk->depth - 1].left = (uint32_t)(n == 0 ? 0 : is_map ? (n - 1) / 2 : n - 1);
	return n == 0;
}

void thrift_walk_init(struct thrift_walk *walk)
{
	walk->skip = 0;
	walk->depth = 0;
	walk->depth_max = THRIFT_DEPTH_MAX;
	walk->n_pending = 0;
	open_value(walk, THRIFT_STRUCT);
}

enum wire_result thrift_walk(
    struct thrift_walk *walk, struct slice in, size_t *used, struct wire_note *note)
{
	struct cursor c = cursor_of(in);
	const char *why = NULL;

	while (why == NULL && pass_over(walk, &c)) {
		const uint8_t *p;

		if (walk->want == WANT_NOTHING) {
			*used = in.len - cursor_left(&c);
			return WIRE_OK;
		}
		if (walk->want == WANT_FIELD) {
			rush_fields(&c);
		} else if (is_at_string(walk) && rush_elements(walk, &c)) {
			why = advance(walk);
			continue;
		}
		p = gather(walk, &c, want_bytes[walk->want]);
		if (p == NULL)
			break;
		why = step(walk, p);
	}
	*used = in.len - cursor_left(&c);
	if (why)
		return wire_bad(note, why);
	if (walk->skip)
		return wire_more(note, walk->skip);
	return wire_more(note, (size_t)want_bytes[walk->want] - walk->n_pending);
}

void thrift_exception_write(struct writer *w, struct slice text, int32_t id)
{
	if (text.len > COUNT_MAX)
		w->bad = true;
	write_u8(w, THRIFT_STRING);
	write_u16(w, EXCEPTION_STR);
	write_u32(w, (uint32_t)text.len);
	write_bytes(w, text);
	write_u8(w, THRIFT_I32);
	write_u16(w, EXCEPTION_ID);
	write_u32(w, (uint32_t)id);
	write_u8(w, THRIFT_STOP);
}

bool thrift_next_field(struct cursor *in, struct thrift_field *field)
{
	field->type = cursor_u8(in);
	if (field->type == THRIFT_STOP) /* so is a byte that is not there */
		return false;
	field->id = (int16_t)cursor_u16(in);
	return !in->bad;
}

/* Most values are numbers and strings, and need no stack. */
bool thrift_skip(struct cursor *in, uint8_t type, unsigned depth)
{
	struct thrift_walk walk;
	struct wire_note note;
	size_t used;

	if (fixed_size[type] || type == THRIFT_STRING) {
		cursor_take(in, fixed_size[type] ? fixed_size[type] : cursor_u32(in));
		return !in->bad;
	}
	walk.skip = walk.depth = walk.n_pending = 0;
	walk.depth_max = (uint8_t)(depth < THRIFT_DEPTH_MAX ? THRIFT_DEPTH_MAX - depth : 0);
	in->bad |= open_value(&walk, type) != NULL;
	if (in->bad ||
	    thrift_walk(&walk, slice_of(in->at, cursor_left(in)), &used, &note) != WIRE_OK)
		in->bad = true;
	else
		cursor_take(in, used);
	return !in->bad;
}

bool thrift_exception_read(struct slice body, struct slice *text, int32_t *id)
{
	struct cursor c = cursor_of(body);
	struct thrift_field field;

	*text = SLICE_NONE;
	*id = 0;
	while (thrift_next_field(&c, &field)) {
		if (field.type == THRIFT_STRING && field.id == EXCEPTION_STR)
			*text = cursor_take(&c, cursor_u32(&c));
		else if (field.type == THRIFT_I32 && field.id == EXCEPTION_ID)
			*id = (int32_t)cursor_u32(&c);
		else
			thrift_skip(&c, field.type, 1);
	}
	return !c.bad;
}
