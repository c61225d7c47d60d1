#include "wire/kitexpb.h"

#define VARINT_MAX 10 /* bytes of the longest: 64 bits, seven in a byte */

enum { FIELD_ID = 1, FIELD_TEXT = 2 };
enum { TYPE_VARINT = 0, TYPE_FIXED64 = 1, TYPE_BYTES = 2, TYPE_FIXED32 = 5 };

static void write_varint(struct writer *w, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		write_u8(w, (uint8_t)(v | 0x80));
	write_u8(w, (uint8_t)v);
}

static uint64_t read_varint(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < VARINT_MAX; i++) {
		uint8_t b = cursor_u8(c);

		if (i == VARINT_MAX - 1 && b > 1)
			break;
		v |= (uint64_t)(b & 0x7f) << (7 * i);
		if (b < 0x80)
			return v;
	}
	c->bad = true;
	return 0;
}

/* Protobuf leaves out what has its zero value, and so does Kitex. */
void kitexpb_error_write(struct writer *w, struct slice text, int32_t id)
{
	if (id) {
		write_u8(w, FIELD_ID << 3 | TYPE_VARINT);
		write_varint(w, (uint64_t)(int64_t)id);
	}
	if (text.len) {
		write_u8(w, FIELD_TEXT << 3 | TYPE_BYTES);
		write_varint(w, text.len);
		write_bytes(w, text);
	}
}

static struct slice take_counted(struct cursor *c)
{
	uint64_t len = read_varint(c);

	if (len > cursor_left(c)) {
		c->bad = true;
		return SLICE_NONE;
	}
	return cursor_take(c, (size_t)len);
}

/* Groups have been gone from protobuf since its third version; they count as bad. */
static void skip_field(struct cursor *c, unsigned type)
{
	switch (type) {
	case TYPE_VARINT:
		read_varint(c);
		return;
	case TYPE_FIXED64:
		cursor_take(c, 8);
		return;
	case TYPE_BYTES:
		take_counted(c);
		return;
	case TYPE_FIXED32:
		cursor_take(c, 4);
		return;
	}
	c->bad = true;
}

bool kitexpb_error_read(struct slice body, struct slice *text, int32_t *id)
{
	struct cursor c = cursor_of(body);

	*text = SLICE_NONE;
	*id = 0;
	while (!c.bad && cursor_left(&c)) {
		uint64_t tag = read_varint(&c);

		if (tag >> 3 == 0 || tag > UINT32_MAX)
			return false;
		if (tag == (FIELD_ID << 3 | TYPE_VARINT))
			*id = (int32_t)(uint32_t)read_varint(&c);
		else if (tag == (FIELD_TEXT << 3 | TYPE_BYTES))
			*text = take_counted(&c);
		else
			skip_field(&c, tag & 7);
	}
	return !c.bad;
}
