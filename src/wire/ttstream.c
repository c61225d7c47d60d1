#include "wire/ttstream.h"

#include "wire/thrift.h"

#define WORDS_AT     12u
#define WORD         4u
#define PATH_SECTION 12u /* bytes of a section with an empty path in it */

/* Source: kitex pkg/remote/trans/ttstream/frame.go, which reads it with strconv.Atoi. */
static bool read_type(struct slice text, enum ttstream_type *type)
{
	uint64_t number;

	if (text.len == 1 && text.data[0] >= '1' && text.data[0] <= '5') {
		*type = (enum ttstream_type)(text.data[0] - '0');
		return true;
	}
	if (!slice_to_u64(text, &number))
		return false;
	*type = number >= TTSTREAM_META && number <= TTSTREAM_RST ? (enum ttstream_type)number
								  : TTSTREAM_OTHER;
	return true;
}

static enum wire_result read_entries(struct ttstream_frame *f, struct wire_note *note)
{
	struct ttheader_iter it = ttheader_entries(f->sections);
	struct slice type = SLICE_NONE;
	struct ttheader_entry e;

	while (ttheader_next(&it, &e)) {
		if (e.kind != TTHEADER_INT)
			continue;
		if (e.int_key == TTKEY_FRAME_TYPE)
			type = e.value;
		else if (e.int_key == TTKEY_TO_METHOD)
			f->method = e.value;
	}
	if (it.why)
		return wire_bad(note, it.why);
	if (type.len == 0)
		return wire_bad(note, "a frame without a type");
	if (!read_type(type, &f->type))
		return wire_bad(note, "a frame whose type is no number");
	return WIRE_OK;
}

enum wire_result ttstream_read(struct slice in, size_t max_header, size_t max_message,
    struct ttstream_frame *f, struct wire_note *note)
{
	struct ttheader h;
	enum wire_result result = ttheader_read(in, max_header, max_message, &h, note);
	uint64_t whole;

	if (result == WIRE_BAD || result == WIRE_TOO_LARGE || in.len < TTHEADER_FIXED)
		return result;
	if (!(h.flags & TTHEADER_FLAG_STREAMING))
		return wire_bad(note, "a ttheader without the streaming flag");
	if (in.len < TTHEADER_SECTIONS) /* each of these bytes may be a reason to refuse */
		return wire_more(note, TTHEADER_SECTIONS);
	whole = ttstream_frame_len(in);
	if (in.len < whole)
		return wire_more(note, (size_t)whole);
	*f = (struct ttstream_frame){.stream = (uint32_t)h.seq,
	    .flags = h.flags,
	    .bytes = slice_first(in, (size_t)whole),
	    .sections = h.sections,
	    .payload = slice_sub(in, h.header_len, h.payload_len)};
	return read_entries(f, note);
}

bool ttstream_exception_read(struct slice payload, struct slice *text, int32_t *type)
{
	struct thrift_head head;
	struct wire_note note;

	if (thrift_head_read(payload, &head, &note) != WIRE_OK || head.magic != THRIFT_MAGIC ||
	    head.type != THRIFT_EXCEPTION)
		return false;
	return thrift_exception_read(slice_from(payload, head.len), text, type);
}

static void write_exception(struct writer *w, const struct ttstream_own *own)
{
	if (!own->has_exception)
		return;
	thrift_head_write(w, THRIFT_MAGIC, THRIFT_EXCEPTION, own->method, (int32_t)own->stream);
	thrift_exception_write(w, own->text, own->exception);
}

void ttstream_write(struct writer *w, const struct ttstream_own *own)
{
	uint8_t type = (uint8_t)('0' + own->type);
	struct writer measure = writer_of(NULL, 0);
	struct ttheader_writer t;

	write_exception(&measure, own);
	ttheader_begin(&t, w, TTHEADER_FLAG_STREAMING, (int32_t)own->stream, TTSTREAM_PROTOCOL);
	if (own->path.len) {
		ttheader_section_begin(&t, TTHEADER_STR);
		ttheader_put_str(&t, SLICE_LIT("ttscp"), own->path);
		ttheader_section_end(&t);
	}
	ttheader_section_begin(&t, TTHEADER_INT);
	ttheader_put_int(&t, TTKEY_FRAME_TYPE, slice_of(&type, 1));
	if (own->method.len)
		ttheader_put_int(&t, TTKEY_TO_METHOD, own->method);
	ttheader_section_end(&t);
	ttheader_end(&t, measure.need);
	write_exception(w, own);
}

/* The last one: it is what readers see. */
static void find_path(struct slice sections, struct ttheader_entry *path)
{
	struct ttheader_iter it = ttheader_entries(sections);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e))
		if (e.kind == TTHEADER_STR && slice_eq(e.key, SLICE_LIT("ttscp")))
			*path = e;
}

/* The sections with the name behind the path; a path that was not there begins with it. */
static void write_with_path(
    struct writer *w, struct slice sections, const struct ttheader_entry *path, struct slice node)
{
	size_t end = path->offset + path->len; /* of the value, too */

	if (path->len == 0) {
		struct slice key = SLICE_LIT("ttscp");

		write_u8(w, TTHEADER_STR);
		write_u16(w, 1);
		write_u16(w, (uint16_t)key.len);
		write_bytes(w, key);
		write_u16(w, (uint16_t)node.len);
		write_bytes(w, node);
		write_bytes(w, sections);
		return;
	}
	write_bytes(w, slice_first(sections, end - path->value.len - 2));
	write_u16(w, (uint16_t)(path->value.len + 1 + node.len));
	write_bytes(w, path->value);
	write_u8(w, ',');
	write_bytes(w, node);
	write_bytes(w, slice_from(sections, end));
}

/* Behind the old padding there may have to be more. */
bool ttstream_extend_path(struct writer *w, const struct ttstream_frame *rst, struct slice node)
{
	size_t header = TTHEADER_SECTIONS - TTHEADER_FIXED + rst->sections.len, added, grown;
	struct ttheader_entry path = {0};
	uint8_t *at;

	find_path(rst->sections, &path);
	added = path.len ? 1 + node.len : PATH_SECTION + node.len;
	if (path.value.len + 1 + node.len > UINT16_MAX)
		return false;
	grown = (header + added + WORD - 1) / WORD * WORD;
	if (grown > TTHEADER_HEADER_MAX || rst->payload.len > UINT32_MAX - TTHEADER_FIXED - grown)
		return false;
	write_bytes(w, slice_first(rst->bytes, TTHEADER_SECTIONS));
	write_with_path(w, rst->sections, &path, node);
	for (size_t n = grown - header - added; n; n--)
		write_u8(w, TTHEADER_PADDING);
	if (w->bad)
		return false;
	at = w->at - TTHEADER_FIXED - grown;
	store_u32(at, (uint32_t)(TTHEADER_FIXED - 4 + grown + rst->payload.len));
	store_u16(at + WORDS_AT, (uint16_t)(grown / WORD));
	return true;
}
