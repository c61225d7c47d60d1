#include "support/sim_frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/mem.h"

#define THRIFT  0x8001u
#define KITEXPB 0x9001u

/* Types of Thrift. */
enum { STOP = 0, I32 = 8, STRING = 11, STRUCT = 12, MAP = 13 };
#define BASE 255

/* ---- writing ---- */

struct out {
	uint8_t *data;
	size_t len, size;
};

static void put_room(struct out *o, size_t len)
{
	if (o->size - o->len < len) {
		o->size = (o->len + len) * 2;
		o->data = mem_realloc(o->data, o->size);
	}
}

static void put(struct out *o, const void *data, size_t len)
{
	put_room(o, len);
	if (len)
		memcpy(o->data + o->len, data, len);
	o->len += len;
}

static void put_number(struct out *o, uint64_t value, int bytes)
{
	while (bytes-- > 0)
		put(o, &(uint8_t){(uint8_t)(value >> (8 * bytes))}, 1);
}

static void put_varint(struct out *o, uint64_t value)
{
	for (; value > 0x7f; value >>= 7)
		put_number(o, (value & 0x7f) | 0x80, 1);
	put_number(o, value, 1);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)('a' + i % 23);
}

static void put_text(struct out *o, const struct sim_frame *f, bool is_pb)
{
	const char *start = f->text ? f->text : "";
	size_t len = strlen(start), whole = len > f->fill ? len : f->fill;

	if (is_pb)
		put_varint(o, whole);
	else
		put_number(o, whole, 4);
	put(o, start, len);
	put_room(o, whole - len);
	for (size_t i = len; i < whole; i++)
		o->data[o->len++] = pattern(i);
}

static bool is_pb(enum sim_form form)
{
	return form == KPB || form == KPB_TTHEADER;
}

static bool has_length(enum sim_form form)
{
	return form != BUFFERED && form != TTHEADER && form != MESH;
}

static void put_pb_body(struct out *o, const struct sim_frame *f)
{
	if (f->kind == EXCEPTION) {
		put_number(o, 0x08, 1);
		put_varint(o, (uint64_t)f->id);
	}
	put_number(o, f->kind == EXCEPTION ? 0x12 : 0x0a, 1);
	put_text(o, f, true);
}

static void put_field(struct out *o, int type, int id)
{
	put_number(o, (unsigned)type, 1);
	put_number(o, (unsigned)id, 2);
}

static void put_long_string(struct out *o, const char *s, size_t len)
{
	put_number(o, len, 4);
	put(o, s, len);
}

/* "@2=cart": the code of a reply is a number, all others are strings. */
static void put_base_field(struct out *o, const char *at, size_t whole, bool is_reply)
{
	int id = (int)strtol(at + 1, NULL, 10);
	size_t key = strcspn(at, "=") + 1;

	put_field(o, is_reply && id == 2 ? I32 : STRING, id);
	if (is_reply && id == 2)
		put_number(o, (uint32_t)strtol(at + key, NULL, 10), 4);
	else
		put_long_string(o, at + key, whole - key);
}

static void put_map(struct out *o, const char *pairs)
{
	struct out entries = {0};
	unsigned n = 0;

	for (const char *at = pairs; *at; at += strspn(at, " ")) {
		size_t whole = strcspn(at, " "), key = strcspn(at, "=");

		if (*at != '@') {
			put_long_string(&entries, at, key);
			put_long_string(&entries, at + key + 1, whole - key - 1);
			n++;
		}
		at += whole;
	}
	put_number(o, STRING, 1);
	put_number(o, STRING, 1);
	put_number(o, n, 4);
	put(o, entries.data, entries.len);
	free(entries.data);
}

static void put_base(struct out *o, const struct sim_frame *f)
{
	bool is_reply = f->kind == REPLY;

	put_field(o, STRUCT, BASE);
	for (const char *at = f->base; *at; at += strspn(at, " ")) {
		size_t whole = strcspn(at, " ");

		if (*at == '@')
			put_base_field(o, at, whole, is_reply);
		at += whole;
	}
	put_field(o, MAP, is_reply ? 3 : 6);
	put_map(o, f->base);
	put_number(o, STOP, 1);
}

/* The argument or the result. */
static void put_value(struct out *o, const struct sim_frame *f)
{
	int id = f->kind == REPLY ? 0 : 1;

	put_field(o, f->base ? STRUCT : STRING, id);
	if (f->base)
		put_field(o, STRING, 1);
	put_text(o, f, false);
	if (f->base == NULL)
		return;
	if (f->base[0])
		put_base(o, f);
	put_number(o, STOP, 1);
}

static void put_thrift_body(struct out *o, const struct sim_frame *f)
{
	if (f->kind == EXCEPTION) {
		put_field(o, STRING, 1);
		put_text(o, f, false);
		put_field(o, I32, 2);
		put_number(o, (uint32_t)f->id, 4);
	} else {
		put_value(o, f);
	}
	if (f->map) {
		put_field(o, MAP, f->map_id);
		put_map(o, f->map);
	}
	put_number(o, STOP, 1);
}

static void put_payload(struct out *o, const struct sim_frame *f)
{
	const char *method = f->method ? f->method : "Echo";
	struct out inner = {0};

	put_number(&inner, is_pb(f->form) ? KITEXPB : THRIFT, 2);
	put_number(&inner, f->kind ? f->kind : CALL, 2);
	put_number(&inner, strlen(method), 4);
	put(&inner, method, strlen(method));
	put_number(&inner, (uint32_t)f->seq, 4);
	if (is_pb(f->form))
		put_pb_body(&inner, f);
	else
		put_thrift_body(&inner, f);
	if (has_length(f->form))
		put_number(o, inner.len, 4);
	put(o, inner.data, inner.len);
	free(inner.data);
}

static void put_string(struct out *o, const char *s, size_t len)
{
	put_number(o, len, 2);
	put(o, s, len);
}

/* The entries of one kind; returns how many. */
static unsigned put_entries(struct out *o, const char *keys, bool ints)
{
	unsigned n = 0;

	for (const char *at = keys; at && *at;) {
		size_t whole = strcspn(at, " "), key = strcspn(at, "=");
		bool is_int = *at >= '0' && *at <= '9';

		ck_assert(key < whole);
		if (is_int == ints) {
			if (is_int)
				put_number(o, strtoul(at, NULL, 10), 2);
			else
				put_string(o, at, key);
			put_string(o, at + key + 1, whole - key - 1);
			n++;
		}
		at += whole;
		at += strspn(at, " ");
	}
	return n;
}

static void put_section(struct out *o, const struct sim_frame *f, bool ints)
{
	struct out entries = {0};
	unsigned n = put_entries(&entries, f->keys, ints);

	if (n) {
		put_number(o, ints ? 0x10 : 0x01, 1);
		put_number(o, n, 2);
		put(o, entries.data, entries.len);
	}
	free(entries.data);
}

static void put_ttheader(struct out *o, const struct sim_frame *f, size_t payload)
{
	int64_t seq = f->outer == OUTER_ZERO ? 0 : f->outer ? f->outer : f->seq;
	struct out sections = {0};

	put_number(&sections, 0, 2); /* protocol id, no transforms */
	put_section(&sections, f, false);
	put_section(&sections, f, true);
	while (sections.len % 4)
		put_number(&sections, 0, 1);
	put_number(o, 10 + sections.len + payload, 4);
	put_number(o, 0x1000, 2);
	put_number(o, f->flags, 2);
	put_number(o, (uint32_t)seq, 4);
	put_number(o, sections.len / 4, 2);
	put(o, sections.data, sections.len);
	free(sections.data);
}

static void put_mesh(struct out *o, const struct sim_frame *f)
{
	struct out entries = {0};
	unsigned n = put_entries(&entries, f->keys, false);

	put_number(o, 0xffaf, 2);
	put_number(o, 2 + entries.len, 2);
	put_number(o, n, 2);
	put(o, entries.data, entries.len);
	free(entries.data);
}

uint8_t *sim_frame_make(const struct sim_frame *f, size_t *len)
{
	struct out whole = {0}, payload = {0};

	put_payload(&payload, f);
	if (sim_form_has_header(f->form))
		put_ttheader(&whole, f, payload.len);
	else if (f->form == MESH)
		put_mesh(&whole, f);
	put(&whole, payload.data, payload.len);
	free(payload.data);
	*len = whole.len;
	return whole.data;
}

/* ---- reading ---- */

struct in {
	const uint8_t *at;
	size_t left;
	bool is_short;
};

static struct slice get_bytes(struct in *in, size_t len)
{
	struct slice s = slice_of(in->at, len);

	if (in->left < len) {
		in->is_short = true;
		in->left = 0;
		return SLICE_NONE;
	}
	in->at += len;
	in->left -= len;
	return s;
}

static uint64_t get(struct in *in, size_t bytes)
{
	struct slice s = get_bytes(in, bytes);
	uint64_t value = 0;

	for (size_t i = 0; i < s.len; i++)
		value = value << 8 | s.data[i];
	return value;
}

static uint64_t get_varint(struct in *in)
{
	uint64_t value = 0, byte;
	int shift = 0;

	do {
		byte = get(in, 1);
		value |= (byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80 && shift < 64);
	return value;
}

static void get_pb_body(struct in *in, struct sim_heard *r)
{
	while (in->left && !in->is_short) {
		uint64_t tag = get(in, 1);

		ck_assert_msg(
		    tag == 0x08 || tag == 0x0a || tag == 0x12, "protobuf tag %u", (unsigned)tag);
		if (tag == 0x08)
			r->id = (int)get_varint(in);
		else
			r->text = get_bytes(in, get_varint(in));
	}
}

static void note_text(char keys[SIM_KEYS_MAX], struct slice text)
{
	size_t len = strlen(keys);

	ck_assert_uint_lt(len + text.len, SIM_KEYS_MAX);
	if (text.len)
		memcpy(keys + len, text.data, text.len);
	keys[len + text.len] = '\0';
}

static void note_key(char keys[SIM_KEYS_MAX], struct slice key, struct slice value)
{
	note_text(keys, keys[0] ? SLICE_NONE : SLICE_LIT(" "));
	note_text(keys, key);
	note_text(keys, SLICE_LIT("="));
	note_text(keys, value);
	note_text(keys, SLICE_LIT(" "));
}

static struct slice get_long_string(struct in *in)
{
	return get_bytes(in, get(in, 4));
}

static void get_map(struct in *in, char keys[SIM_KEYS_MAX])
{
	uint64_t types = get(in, 2), n = get(in, 4);

	ck_assert_msg(in->is_short || types == (STRING << 8 | STRING), "a map of other types");
	while (n-- > 0 && !in->is_short) {
		struct slice key = get_long_string(in);

		note_key(keys, key, get_long_string(in));
	}
}

static void get_base(struct in *in, struct sim_heard *r)
{
	uint64_t type;

	while ((type = get(in, 1)) != STOP && !in->is_short) {
		char name[16], number[16];

		snprintf(name, sizeof name, "@%u", (unsigned)get(in, 2));
		if (type == MAP) {
			get_map(in, r->base);
		} else if (type == I32) {
			snprintf(number, sizeof number, "%d", (int)(int32_t)get(in, 4));
			note_key(r->base, slice_str(name), slice_str(number));
		} else {
			ck_assert_msg(type == STRING, "field %s of type %u", name, (unsigned)type);
			note_key(r->base, slice_str(name), get_long_string(in));
		}
	}
}

static void get_struct(struct in *in, struct sim_heard *r)
{
	uint64_t type;

	while ((type = get(in, 1)) != STOP && !in->is_short) {
		uint64_t id = get(in, 2);

		if (type == STRUCT && id == BASE) {
			ck_assert_msg(r->base[0] == '\0', "field 255 twice");
			get_base(in, r);
		} else {
			ck_assert_msg(in->is_short || (type == STRING && id == 1),
			    "field %u of type %u", (unsigned)id, (unsigned)type);
			r->text = get_long_string(in);
		}
	}
}

static void get_thrift_body(struct in *in, struct sim_heard *r)
{
	uint64_t type;

	while ((type = get(in, 1)) != STOP && !in->is_short) {
		int id = (int)get(in, 2);

		if (type == I32) {
			r->id = (int)(int32_t)get(in, 4);
		} else if (type == STRUCT) {
			get_struct(in, r);
		} else if (type == MAP) {
			r->map_id = id;
			get_map(in, r->map);
		} else {
			ck_assert_msg(type == STRING, "field of type %u", (unsigned)type);
			r->text = get_long_string(in);
		}
	}
}

static void get_message(struct in *in, struct sim_heard *r)
{
	uint64_t magic = get(in, 2);
	struct slice method;

	r->kind = (enum sim_kind)get(in, 2);
	method = get_bytes(in, get(in, 4));
	r->seq = (int32_t)get(in, 4);
	if (in->is_short)
		return;
	ck_assert_uint_lt(method.len, sizeof r->method);
	memcpy(r->method, method.data, method.len);
	if (magic == KITEXPB)
		get_pb_body(in, r);
	else
		get_thrift_body(in, r);
}

static void get_section(struct in *in, struct sim_heard *r, bool ints)
{
	for (uint64_t n = get(in, 2); n > 0; n--) {
		char number[8];
		struct slice key = SLICE_NONE;

		if (ints) {
			snprintf(number, sizeof number, "%u", (unsigned)get(in, 2));
			key = slice_str(number);
		} else {
			key = get_bytes(in, get(in, 2));
		}
		note_key(r->keys, key, get_bytes(in, get(in, 2)));
		ck_assert_msg(!in->is_short, "a header whose entries pass its end");
	}
}

static void get_sections(struct in in, struct sim_heard *r)
{
	get(&in, 2);
	while (in.left) {
		uint64_t kind = get(&in, 1);

		ck_assert_msg(kind == 0 || kind == 1 || kind == 0x10, "section %u", (unsigned)kind);
		if (kind)
			get_section(&in, r, kind == 0x10);
	}
}

/* What lies inside of a length must be there and fill it. */
static void get_measured(struct in *in, size_t len, struct sim_heard *r)
{
	struct in inner = {in->at, len, false};

	get_bytes(in, len);
	if (in->is_short)
		return;
	get_message(&inner, r);
	ck_assert_msg(!inner.is_short && inner.left == 0, "a message does not fill its frame");
}

static unsigned peek(const struct in *in, size_t at)
{
	return in->left < at + 2 ? 0 : (unsigned)(in->at[at] << 8 | in->at[at + 1]);
}

/* @len: of the payload, 0 where no header says it. */
static enum sim_form get_payload(struct in *in, struct sim_heard *r, size_t len)
{
	enum sim_form form = peek(in, 4) == KITEXPB ? KPB : FRAMED;
	size_t frame;

	if (peek(in, 0) == THRIFT) {
		if (len)
			get_measured(in, len, r);
		else
			get_message(in, r);
		return BUFFERED;
	}
	ck_assert_msg(in->left < 6 || form == KPB || peek(in, 4) == THRIFT, "no known magic");
	frame = get(in, 4);
	ck_assert_msg(len == 0 || frame == len - 4, "a frame does not fill its header's length");
	get_measured(in, frame, r);
	return form;
}

static void get_ttheader(struct in *in, struct sim_heard *r)
{
	static const enum sim_form with[] = {
	    [FRAMED] = TTHEADER_FRAMED, [BUFFERED] = TTHEADER, [KPB] = KPB_TTHEADER};
	size_t len = get(in, 4), header;

	get(in, 2);
	r->flags = (unsigned)get(in, 2);
	r->outer = (int32_t)get(in, 4);
	header = get(in, 2) * 4;
	if (in->is_short || in->left < len - 10) {
		in->is_short = true;
		return;
	}
	ck_assert_uint_gt(len, 10 + header);
	get_sections((struct in){in->at, header, false}, r);
	get_bytes(in, header);
	r->form = with[get_payload(in, r, len - 10 - header)];
}

size_t sim_frame_read(struct slice view, struct sim_heard *r)
{
	struct in in = {view.data, view.len, false};

	*r = (struct sim_heard){0};
	if (view.len < 8)
		return 0;
	if (peek(&in, 4) == 0x1000)
		get_ttheader(&in, r);
	else
		r->form = get_payload(&in, r, 0);
	return in.is_short ? 0 : view.len - in.left;
}

bool sim_text_is(struct slice text, const char *start, size_t fill)
{
	size_t len = strlen(start);

	if (text.len != (len > fill ? len : fill) || memcmp(text.data, start, len) != 0)
		return false;
	for (size_t i = len; i < text.len; i++)
		if (text.data[i] != pattern(i))
			return false;
	return true;
}
