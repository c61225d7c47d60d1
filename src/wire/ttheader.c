#include "wire/ttheader.h"

#define WORD              4u
#define LENGTH_FIELD      4u
#define PAYLOAD_MIN       8u /* source: kitex pkg/remote/codec/default_codec.go peeks so many */
#define MESH_PREFIX       4u /* magic, size */
#define MESH_MIN          2u /* the count */
#define ID_THRIFT         0x00u
#define ID_COMPACT_V2     0x03u /* and Kitex Protobuf until Kitex 0.9.1 */
#define ID_KITEXPB        0x04u
#define ID_THRIFT_STRUCT  0x10u
#define ID_KITEXPB_STRUCT 0x11u
#define SECTION_HEAD      3u /* id, count */

enum { AT_LENGTH = 0, AT_MAGIC = 4, AT_FLAGS = 6, AT_SEQ = 8, AT_WORDS = 12, AT_PROTOCOL = 14 };
enum { AT_TRANSFORMS = 15 };

static enum wire_result too_large(struct wire_note *note, const char *why)
{
	note->why = why;
	return WIRE_TOO_LARGE;
}

static bool is_protocol_id(uint8_t id, bool streaming)
{
	if (id == ID_THRIFT_STRUCT || id == ID_KITEXPB_STRUCT)
		return streaming;
	return id == ID_THRIFT || id == ID_COMPACT_V2 || id == ID_KITEXPB;
}

/* The sizes against each other and against the limits; fills header_len and payload_len. */
static enum wire_result read_sizes(struct slice in, size_t max_header, size_t max_message,
    struct ttheader *h, struct wire_note *note)
{
	uint64_t header = (uint64_t)load_u16(in.data + AT_WORDS) * WORD;
	uint64_t whole = (uint64_t)h->length + LENGTH_FIELD, payload;

	if (header == 0)
		return wire_bad(note, "ttheader without a header");
	if (TTHEADER_FIXED + header > whole)
		return wire_bad(note, "ttheader longer than its message");
	payload = whole - TTHEADER_FIXED - header;
	if (payload < PAYLOAD_MIN && !(h->flags & TTHEADER_FLAG_STREAMING))
		return wire_bad(note, "ttheader without a message in it");
	if (header > max_header)
		return too_large(note, "ttheader over the limit");
	if (whole > max_message)
		return too_large(note, "message over the limit");
	h->header_len = (size_t)(TTHEADER_FIXED + header);
	h->payload_len = (size_t)payload;
	return WIRE_OK;
}

enum wire_result ttheader_read(struct slice in, size_t max_header, size_t max_message,
    struct ttheader *h, struct wire_note *note)
{
	enum wire_result result;

	if (in.len < TTHEADER_FIXED)
		return wire_more(note, TTHEADER_FIXED);
	if (load_u16(in.data + AT_MAGIC) != TTHEADER_MAGIC)
		return wire_bad(note, "no ttheader");
	h->length = load_u32(in.data + AT_LENGTH);
	h->flags = load_u16(in.data + AT_FLAGS);
	h->seq = (int32_t)load_u32(in.data + AT_SEQ);
	result = read_sizes(in, max_header, max_message, h, note);
	if (result != WIRE_OK)
		return result;
	if (in.len < TTHEADER_SECTIONS)
		return wire_more(note, h->header_len);
	h->protocol_id = in.data[AT_PROTOCOL];
	if (!is_protocol_id(h->protocol_id, h->flags & TTHEADER_FLAG_STREAMING))
		return wire_bad(note, "unknown ttheader protocol id");
	if (in.data[AT_TRANSFORMS])
		return wire_bad(note, "ttheader transforms are not supported");
	if (in.len < h->header_len)
		return wire_more(note, h->header_len);
	h->sections = slice_sub(in, TTHEADER_SECTIONS, h->header_len - TTHEADER_SECTIONS);
	return WIRE_OK;
}

enum wire_result meshheader_read(
    struct slice in, size_t max_header, struct meshheader *h, struct wire_note *note)
{
	size_t size;

	if (in.len < MESH_PREFIX)
		return wire_more(note, MESH_PREFIX);
	if (load_u16(in.data) != MESHHEADER_MAGIC)
		return wire_bad(note, "no mesh header");
	size = load_u16(in.data + 2);
	if (size < MESH_MIN)
		return wire_bad(note, "mesh header without a count");
	if (size > max_header)
		return too_large(note, "mesh header over the limit");
	h->header_len = MESH_PREFIX + size;
	if (in.len < h->header_len)
		return wire_more(note, h->header_len);
	h->sections = slice_sub(in, MESH_PREFIX, size);
	return WIRE_OK;
}

struct ttheader_iter ttheader_entries(struct slice sections)
{
	return (struct ttheader_iter){.in = cursor_of(sections), .start = sections.data};
}

struct ttheader_iter ttheader_entries_mesh(struct slice sections)
{
	struct ttheader_iter it = {
	    .in = cursor_of(sections), .start = sections.data, .kind = TTHEADER_STR, .mesh = true};

	it.left = cursor_u16(&it.in);
	if (it.in.bad)
		it.why = "mesh header without a count";
	return it;
}

static bool fail(struct ttheader_iter *it, const char *why)
{
	it->why = why;
	return false;
}

/* Goes on to the next section that has an entry; false at the end and on bad bytes. */
static bool open_section(struct ttheader_iter *it)
{
	if (it->mesh)
		return cursor_left(&it->in) ? fail(it, "bytes after a mesh header's entries")
					    : false;
	while (it->left == 0) {
		if (cursor_left(&it->in) == 0)
			return false;
		it->section = (size_t)(it->in.at - it->start);
		it->kind = cursor_u8(&it->in);
		if (it->kind == TTHEADER_STR || it->kind == TTHEADER_INT)
			it->left = cursor_u16(&it->in);
		else if (it->kind == TTHEADER_ACL)
			it->left = 1;
		else if (it->kind != TTHEADER_PADDING)
			return fail(it, "unknown ttheader section");
		if (it->in.bad)
			return fail(it, "ttheader section cut short");
	}
	return true;
}

/* A counted string at @at, which moves past it; false when it is not there. */
static bool take_counted(const uint8_t **at, const uint8_t *end, struct slice *s)
{
	const uint8_t *p = *at;

	if (end - p < 2 || end - p - 2 < load_u16(p))
		return false;
	*s = slice_of(p + 2, load_u16(p));
	*at = p + 2 + s->len;
	return true;
}

/* By hand and not by the cursor: every entry of every header goes through here. */
static bool take_entry(struct ttheader_iter *it, struct ttheader_entry *entry)
{
	const uint8_t *at = it->in.at, *end = it->in.end;

	entry->int_key = 0;
	entry->key = SLICE_NONE;
	if (it->kind == TTHEADER_STR) {
		if (!take_counted(&at, end, &entry->key))
			return false;
	} else if (it->kind == TTHEADER_INT) {
		if (end - at < 2)
			return false;
		entry->int_key = load_u16(at);
		at += 2;
	}
	if (!take_counted(&at, end, &entry->value))
		return false;
	it->in.at = at;
	return true;
}

bool ttheader_next(struct ttheader_iter *it, struct ttheader_entry *entry)
{
	const uint8_t *at;

	if (it->why || (it->left == 0 && !open_section(it)))
		return false;
	if (it->seen == TTHEADER_ENTRIES_MAX)
		return fail(it, "too many ttheader entries");
	at = it->kind == TTHEADER_ACL ? it->start + it->section : it->in.at;
	if (!take_entry(it, entry))
		return fail(it, "ttheader entry past the end");
	entry->kind = (enum ttheader_section)it->kind;
	entry->section = it->section;
	entry->offset = (size_t)(at - it->start);
	entry->len = (size_t)(it->in.at - at);
	it->left--;
	it->seen++;
	return true;
}

/*
 * Positions are kept in the writer's `need`, not as pointers: it goes on when the room has run out,
 * so that a header written into no room at all is measured right, padding included.
 */
void ttheader_begin(
    struct ttheader_writer *t, struct writer *w, uint16_t flags, int32_t seq, uint8_t protocol_id)
{
	*t = (struct ttheader_writer){.w = w, .start = w->need};
	write_u32(w, 0);
	write_u16(w, TTHEADER_MAGIC);
	write_u16(w, flags);
	write_u32(w, (uint32_t)seq);
	write_u16(w, 0);
	write_u8(w, protocol_id);
	write_u8(w, 0);
}

static void count_entry(struct ttheader_writer *t)
{
	if (t->count == UINT16_MAX)
		t->w->bad = true;
	else
		t->count++;
}

static void write_counted(struct writer *w, struct slice s)
{
	if (s.len > UINT16_MAX)
		w->bad = true;
	write_u16(w, (uint16_t)s.len);
	write_bytes(w, s);
}

void ttheader_section_begin(struct ttheader_writer *t, enum ttheader_section kind)
{
	write_u8(t->w, (uint8_t)kind);
	t->count_at = t->w->need;
	t->count = 0;
	write_u16(t->w, 0);
}

void ttheader_put_str(struct ttheader_writer *t, struct slice key, struct slice value)
{
	count_entry(t);
	write_counted(t->w, key);
	write_counted(t->w, value);
}

void ttheader_begin_str(struct ttheader_writer *t, struct slice key, uint16_t len)
{
	count_entry(t);
	write_counted(t->w, key);
	write_u16(t->w, len);
}

void ttheader_put_int(struct ttheader_writer *t, uint16_t key, struct slice value)
{
	count_entry(t);
	write_u16(t->w, key);
	write_counted(t->w, value);
}

void ttheader_section_end(struct ttheader_writer *t)
{
	struct writer *w = t->w;

	if (t->count == 0) {
		w->need -= SECTION_HEAD;
		if (!w->bad)
			w->at -= SECTION_HEAD;
		return;
	}
	if (!w->bad)
		store_u16(w->start + t->count_at, t->count);
}

void ttheader_put_acl(struct ttheader_writer *t, struct slice token)
{
	write_u8(t->w, TTHEADER_ACL);
	write_counted(t->w, token);
}

void ttheader_end(struct ttheader_writer *t, uint64_t payload_len)
{
	struct writer *w = t->w;
	uint64_t header, length;

	while ((w->need - t->start - TTHEADER_FIXED) % WORD)
		write_u8(w, 0);
	header = w->need - t->start - TTHEADER_FIXED;
	length = TTHEADER_FIXED - LENGTH_FIELD + header + payload_len;
	if (header > TTHEADER_HEADER_MAX || payload_len > UINT32_MAX || length > UINT32_MAX)
		w->bad = true;
	if (w->bad)
		return;
	store_u32(w->start + t->start + AT_LENGTH, (uint32_t)length);
	store_u16(w->start + t->start + AT_WORDS, (uint16_t)(header / WORD));
}
