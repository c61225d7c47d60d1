#include "ctl/dump_frame.h"

#include <ctype.h>

#include "base/cursor.h"
#include "wire/ttheader.h"

#define FRAME_LENGTH    4u /* before a framed message */
#define HEAD_MIN        12u
#define MESH_FIXED      4u
#define DUMP_FRAME_ROOM 4096u       /* memory that is kept from one message to the next */
#define GUESS_MAX       (64u << 20) /* a longer message in the midst of a connection is none */

void dump_frame_begin(struct dump_frame *frame, size_t body_kept)
{
	struct text kept = frame->kept;

	if (kept.room > DUMP_FRAME_ROOM)
		text_fini(&kept);
	kept.len = 0;
	*frame = (struct dump_frame){.kept = kept, .body_kept = body_kept};
	frame->want = frame->keep_max = SNIFF_BYTES;
}

void dump_frame_fini(struct dump_frame *frame)
{
	text_fini(&frame->kept);
}

static struct slice kept(const struct dump_frame *f)
{
	return slice_of(f->kept.bytes, f->kept.len);
}

/* So many bytes are wanted before the next look. */
static const char *want(struct dump_frame *f, size_t n)
{
	f->want = f->keep_max = n;
	return NULL;
}

static const char *ends_at(struct dump_frame *f, uint64_t total, size_t body_at)
{
	f->total = total;
	f->body_at = body_at;
	f->keep_max = body_at + FRAME_LENGTH + HEAD_MIN + THRIFT_METHOD_MAX + f->body_kept;
	return NULL;
}

static const char *plan_ttheader(struct dump_frame *f)
{
	struct slice s = kept(f);
	uint64_t total, header;

	if (s.len < TTHEADER_FIXED)
		return want(f, TTHEADER_FIXED);
	total = (uint64_t)load_u32(s.data) + FRAME_LENGTH;
	header = TTHEADER_FIXED + 4u * load_u16(s.data + TTHEADER_FIXED - 2);
	if (total < header)
		return "a TTHeader that is longer than its message";
	return ends_at(f, total, (size_t)header);
}

static const char *plan_framed(struct dump_frame *f, size_t at)
{
	uint32_t length = load_u32(kept(f).data + at);

	if (length < HEAD_MIN)
		return "a frame too short for a message";
	return ends_at(f, at + FRAME_LENGTH + (uint64_t)length, at);
}

static const char *plan_bare(struct dump_frame *f, size_t at)
{
	struct thrift_head head;
	struct wire_note note = {0};

	switch (thrift_head_read(slice_from(kept(f), at), &head, &note)) {
	case WIRE_MORE:
		return want(f, at + note.need);
	case WIRE_OK:
		ends_at(f, 0, at);
		f->is_walking = true;
		thrift_walk_init(&f->walk);
		return NULL;
	case WIRE_BAD:
	case WIRE_TOO_LARGE:
		break;
	}
	return note.why;
}

static const char *plan_mesh(struct dump_frame *f)
{
	size_t header = MESH_FIXED + load_u16(kept(f).data + 2);

	if (f->kept.len < header + SNIFF_BYTES)
		return want(f, header + SNIFF_BYTES);
	f->inner = sniff_payload(slice_from(kept(f), header));
	if (f->inner == SNIFF_BARE_THRIFT)
		return plan_bare(f, header);
	if (f->inner == SNIFF_FRAMED_THRIFT || f->inner == SNIFF_FRAMED_KITEXPB)
		return plan_framed(f, header);
	return "behind the mesh header is no message";
}

static const char *plan(struct dump_frame *f)
{
	f->form = sniff_message(kept(f));
	switch (f->form) {
	case SNIFF_TTHEADER:
		return plan_ttheader(f);
	case SNIFF_MESH:
		return plan_mesh(f);
	case SNIFF_BARE_THRIFT:
		return plan_bare(f, 0);
	case SNIFF_FRAMED_THRIFT:
	case SNIFF_FRAMED_KITEXPB:
		return plan_framed(f, 0);
	case SNIFF_MORE:
	case SNIFF_UNKNOWN:
		break;
	}
	return "no message of a protocol that is known";
}

/* The first @n bytes of @in are the message's. */
static void take(struct dump_frame *f, struct slice *in, size_t n)
{
	if (f->missing == 0 && f->kept.len < f->keep_max)
		text_add(&f->kept, slice_first(slice_first(*in, n), f->keep_max - f->kept.len));
	f->have += n;
	*in = slice_from(*in, n);
}

static enum frame_result walk(struct dump_frame *f, struct slice *in, const char **why)
{
	struct wire_note note = {0};
	size_t used = 0;
	enum wire_result result = thrift_walk(&f->walk, *in, &used, &note);

	take(f, in, used);
	if (result == WIRE_OK) {
		f->is_walking = false;
		f->total = f->have;
		return FRAME_DONE;
	}
	*why = note.why;
	return result == WIRE_MORE ? FRAME_MORE : FRAME_BAD;
}

enum frame_result dump_frame_take(
    struct dump_frame *f, struct slice *in, usec_t at, const char **why)
{
	if (f->have == 0)
		f->at = at;
	while (in->len) {
		uint64_t rest = f->total ? f->total - f->have : f->want - f->have;

		if (f->is_walking)
			return walk(f, in, why);
		take(f, in, in->len < rest ? in->len : (size_t)rest);
		if (f->total && f->have == f->total)
			return FRAME_DONE;
		if (f->total || f->have < f->want)
			continue;
		*why = plan(f);
		if (*why)
			return FRAME_BAD;
		if (f->total && f->total <= f->have)
			return FRAME_DONE;
	}
	return FRAME_MORE;
}

bool dump_frame_miss(struct dump_frame *f, uint64_t n)
{
	if (f->total == 0 || n > f->total - f->have)
		return false;
	f->missing += n;
	f->have += n;
	return true;
}

/* ---- in the midst of a connection ---- */

static bool is_name(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!isalnum(s.data[i]) && s.data[i] != '_' && s.data[i] != '.' &&
		    s.data[i] != '$' && s.data[i] != '-')
			return false;
	return s.len > 0;
}

/* The head of a Thrift or Kitex Protobuf message. */
static enum frame_guess guess_head(struct slice s)
{
	struct wire_note note;
	struct thrift_head head;
	enum wire_result result = thrift_head_read(s, &head, &note);

	if (s.len >= 4 &&
	    (load_u16(s.data + 2) < THRIFT_CALL || load_u16(s.data + 2) > THRIFT_ONEWAY))
		return GUESS_NO;
	if (result != WIRE_OK)
		return result == WIRE_MORE ? GUESS_MORE : GUESS_NO;
	return is_name(head.method) ? GUESS_YES : GUESS_NO;
}

static enum frame_guess guess_ttheader(struct slice s)
{
	uint32_t length, header;
	uint8_t id;

	if (s.len < TTHEADER_SECTIONS)
		return GUESS_MORE;
	length = load_u32(s.data);
	header = 4u * load_u16(s.data + TTHEADER_FIXED - 2);
	id = s.data[TTHEADER_FIXED];
	if (length > GUESS_MAX || header == 0 || length < header + TTHEADER_FIXED - FRAME_LENGTH)
		return GUESS_NO;
	if (id != 0 && id != 3 && id != 4 && id != 0x10 && id != 0x11)
		return GUESS_NO;
	return s.data[TTHEADER_FIXED + 1] == 0 ? GUESS_YES : GUESS_NO;
}

static enum frame_guess guess_framed(struct slice s)
{
	uint32_t length = load_u32(s.data);

	if (length < HEAD_MIN || length > GUESS_MAX)
		return GUESS_NO;
	return guess_head(slice_from(s, FRAME_LENGTH));
}

enum frame_guess dump_frame_guess(struct slice s)
{
	switch (sniff_message(s)) {
	case SNIFF_MORE:
		return GUESS_MORE;
	case SNIFF_TTHEADER:
		return guess_ttheader(s);
	case SNIFF_BARE_THRIFT:
		return guess_head(s);
	case SNIFF_FRAMED_THRIFT:
	case SNIFF_FRAMED_KITEXPB:
		return guess_framed(s);
	case SNIFF_MESH: /* two bytes of it are no proof */
	case SNIFF_UNKNOWN:
		break;
	}
	return GUESS_NO;
}
