/* Frames of TTHeader Streaming: what is read of them, what is refused, and those of our own. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/bytes.h"
#include "support/frames.h"
#include "support/golden.h"
#include "support/suite.h"
#include "support/tts_end.h"
#include "wire/ttstream.h"

#define NO_LIMIT SIZE_MAX

static enum wire_result read_frame(struct slice in, struct ttstream_frame *f)
{
	struct wire_note note = {0};

	return ttstream_read(in, NO_LIMIT, NO_LIMIT, f, &note);
}

static void must_read(struct slice in, struct ttstream_frame *f)
{
	ck_assert_int_eq(read_frame(in, f), WIRE_OK);
	ck_assert(slice_eq(f->bytes, in));
	ck_assert(f->payload.data + f->payload.len == in.data + in.len);
}

static const struct {
	const char *name;
	enum ttstream_type types[3];
	int32_t exception; /* of the last frame; 0: none */
} goldens[] = {
    {"30_tts_client_header_data_trailer", {TTSTREAM_HEADER, TTSTREAM_DATA, TTSTREAM_TRAILER}, 0},
    {"31_tts_server_ok", {TTSTREAM_HEADER, TTSTREAM_DATA, TTSTREAM_TRAILER}, 0},
    {"32_tts_server_error_trailer", {TTSTREAM_HEADER, TTSTREAM_TRAILER}, 6},
    {"33_tts_server_biz_trailer", {TTSTREAM_HEADER, TTSTREAM_TRAILER}, 0},
    {"34_tts_client_rst", {TTSTREAM_RST}, 12007},
    {"35_tts_proxy_rst", {TTSTREAM_RST}, 12006},
};

START_TEST(golden_frames_are_read_as_they_are)
{
	struct golden_set set = golden_load();
	const struct golden *g = golden_find(&set, goldens[_i].name);
	struct ttstream_frame f;
	struct slice text;
	int32_t type = 0;

	ck_assert_ptr_nonnull(g);
	for (size_t i = 0; i < g->n_frames; i++) {
		must_read(g->frames[i], &f);
		ck_assert_int_eq(f.type, goldens[_i].types[i]);
		ck_assert_uint_eq(f.stream, 1);
		ck_assert_int_eq(f.flags, TTHEADER_FLAG_STREAMING);
		ck_assert(f.method.len == 0 || slice_eq_str(f.method, "Bidi"));
		ck_assert_uint_eq(ttstream_frame_len(g->frames[i]), g->frames[i].len);
	}
	ck_assert_int_eq(
	    ttstream_exception_read(f.payload, &text, &type), goldens[_i].exception != 0);
	ck_assert_int_eq(type, goldens[_i].exception);
	golden_free(&set);
}
END_TEST

START_TEST(beginnings_of_a_frame_say_how_much_is_missing)
{
	struct golden_set set = golden_load();
	struct slice all = golden_find(&set, goldens[_i].name)->frames[0];

	for (size_t len = 0; len < all.len; len++) {
		uint8_t *exact = mem_alloc(len ? len : 1);
		struct ttstream_frame f;
		struct wire_note note = {0};

		memcpy(exact, all.data, len);
		ck_assert_int_eq(
		    ttstream_read(slice_of(exact, len), NO_LIMIT, NO_LIMIT, &f, &note), WIRE_MORE);
		ck_assert_uint_gt(note.need, len);
		ck_assert_uint_le(note.need, all.len);
		if (len >= TTHEADER_SECTIONS)
			ck_assert_uint_eq(note.need, all.len);
		free(exact);
	}
	golden_free(&set);
}
END_TEST

static const struct {
	const char *sections, *why;
} bad_frames[] = {
    {"i 9=M;", "without a type"},
    {"s 27=3;", "without a type"},
    {"i 27=;", "without a type"},
    {"i 27=x;", "no number"},
    {"i 27=-3;", "no number"},
    {"i 27=3x;", "no number"},
    {"i 27=99999999999999999999;", "no number"},
};

START_TEST(frames_without_a_readable_type_are_refused)
{
	struct slice in = tts_frame(1, bad_frames[_i].sections, SLICE_NONE);
	struct ttstream_frame f;
	struct wire_note note;

	ck_assert_int_eq(ttstream_read(in, NO_LIMIT, NO_LIMIT, &f, &note), WIRE_BAD);
	ck_assert_msg(strstr(note.why, bad_frames[_i].why) != NULL, "%s", note.why);
	frame_free(&in);
}
END_TEST

/* A good frame with one byte changed: refused as soon as that byte and those before it are here. */
static const struct {
	size_t at;
	uint8_t value;
	size_t from; /* refused with so many bytes, and more */
} bad_bytes[] = {
    {4, 0x11, 14},  /* magic */
    {7, 0x00, 14},  /* no streaming flag */
    {7, 0x01, 14},  /* another flag in its place */
    {12, 0xff, 14}, /* a header past the frame */
    {14, 0x02, 16}, /* protocol */
    {15, 0x01, 16}, /* transforms */
    {16, 0x02, 0},  /* section; only the whole frame tells */
    {18, 0xff, 0},  /* entries past the end */
};

START_TEST(frames_with_a_wrong_byte_are_refused_as_early_as_can_be)
{
	struct slice in = tts_frame_of('3', 1, SLICE_LIT("payload"));
	uint8_t *bytes = (uint8_t *)(uintptr_t)in.data;
	struct ttstream_frame f;
	size_t from = bad_bytes[_i].from ? bad_bytes[_i].from : in.len;

	bytes[bad_bytes[_i].at] = bad_bytes[_i].value;
	for (size_t len = 0; len <= in.len; len++)
		ck_assert_int_eq(read_frame(slice_first(in, len), &f) == WIRE_BAD, len >= from);
	frame_free(&in);
}
END_TEST

START_TEST(limits_count_the_header_and_the_whole_frame)
{
	struct slice in = tts_frame_of('3', 1, SLICE_LIT("payload"));
	size_t header = in.len - 14 - strlen("payload");
	struct ttstream_frame f;
	struct wire_note note;

	ck_assert_int_eq(ttstream_read(in, header, in.len, &f, &note), WIRE_OK);
	ck_assert_int_eq(ttstream_read(in, header - 1, in.len, &f, &note), WIRE_TOO_LARGE);
	ck_assert_int_eq(ttstream_read(in, header, in.len - 1, &f, &note), WIRE_TOO_LARGE);
	/* Fourteen bytes are enough to know. */
	ck_assert_int_eq(
	    ttstream_read(slice_first(in, 14), header, in.len - 1, &f, &note), WIRE_TOO_LARGE);
	frame_free(&in);
}
END_TEST

static const struct {
	const char *sections;
	enum ttstream_type type;
} types[] = {
    {"i 27=1;", TTSTREAM_META},
    {"i 27=5;", TTSTREAM_RST},
    {"i 27=03;", TTSTREAM_DATA},
    {"i 27=0;", TTSTREAM_OTHER},
    {"i 27=6;", TTSTREAM_OTHER},
    {"i 27=4294967299;", TTSTREAM_OTHER},
    {"i 27=2;s a=b;0;i 27=3;", TTSTREAM_DATA},
};

START_TEST(types_are_numbers_and_the_last_one_counts)
{
	struct slice in = tts_frame(7, types[_i].sections, SLICE_NONE);
	struct ttstream_frame f;

	must_read(in, &f);
	ck_assert_int_eq(f.type, types[_i].type);
	ck_assert_uint_eq(f.method.len, 0);
	frame_free(&in);
}
END_TEST

START_TEST(an_exception_is_a_whole_message_of_its_kind)
{
	struct slice whole = tts_exception(1, "boom", 12007), text;
	int32_t type;

	ck_assert(ttstream_exception_read(whole, &text, &type));
	ck_assert(slice_eq_str(text, "boom"));
	ck_assert_int_eq(type, 12007);
	for (size_t len = 0; len < whole.len; len++)
		ck_assert(!ttstream_exception_read(slice_first(whole, len), &text, &type));
	((uint8_t *)(uintptr_t)whole.data)[3] = 2; /* a reply */
	ck_assert(!ttstream_exception_read(whole, &text, &type));
	frame_free(&whole);
}
END_TEST

static const struct ttstream_own owns[] = {
    {.type = TTSTREAM_HEADER, .stream = 1},
    {.type = TTSTREAM_HEADER, .stream = 0xfffffff0, .method = SLICE_LIT("Bidi")},
    {.type = TTSTREAM_TRAILER,
	.stream = 2,
	.method = SLICE_LIT("Bidi"),
	.has_exception = true,
	.text = SLICE_LIT("why"),
	.exception = 6},
    {.type = TTSTREAM_RST,
	.stream = 3,
	.path = SLICE_LIT("a,b"),
	.has_exception = true,
	.exception = 12007},
};

START_TEST(our_own_frames_are_read_back)
{
	const struct ttstream_own *own = &owns[_i];
	uint8_t room[256];
	struct writer w = writer_of(room, sizeof room);
	struct ttstream_frame f;
	struct slice text = SLICE_NONE;
	int32_t type = 0;
	size_t len;

	ttstream_write(&w, own);
	ck_assert(!w.bad);
	len = writer_len(&w);
	must_read(writer_slice(&w), &f);
	ck_assert_int_eq(f.type, own->type);
	ck_assert_uint_eq(f.stream, own->stream);
	ck_assert(slice_eq(f.method, own->method));
	ck_assert_int_eq(ttstream_exception_read(f.payload, &text, &type), own->has_exception);
	ck_assert(slice_eq(text, own->text));
	ck_assert_int_eq(type, own->exception);
	w = writer_of(room, len - 1);
	ttstream_write(&w, own);
	ck_assert(w.bad);
}
END_TEST

static struct slice extend(uint8_t *room, size_t size, struct slice rst, const char *node)
{
	struct writer w = writer_of(room, size);
	struct ttstream_frame f;

	must_read(rst, &f);
	if (!ttstream_extend_path(&w, &f, slice_str(node)))
		return SLICE_NONE;
	write_bytes(&w, f.payload);
	ck_assert(!w.bad);
	return writer_slice(&w);
}

static const struct {
	const char *before, *after;
} paths[] = {
    {"s ttscp=a;i 27=5 9=M;", "s ttscp=a,me;i 27=5 9=M;"},
    {"i 27=5 9=M;s x=1 ttscp=a,b y=2;", "i 27=5 9=M;s x=1 ttscp=a,b,me y=2;"},
    {"0;0;s ttscp=;0;i 27=5;", "0;0;s ttscp=,me;0;i 27=5;"},
    {"s ttscp=a;s ttscp=b;a token;i 27=5;", "s ttscp=a;s ttscp=b,me;a token;i 27=5;"},
    {"i 27=5;s ttscp=abcdefgh;", "i 27=5;s ttscp=abcdefgh,me;"},
    {"i 27=5;s x=y;", "s ttscp=me;i 27=5;s x=y;"},
};

/* Sections, without what padding is behind them. */
static struct slice trimmed(struct slice sections)
{
	while (sections.len && sections.data[sections.len - 1] == 0)
		sections.len--;
	return sections;
}

START_TEST(a_path_is_extended_where_it_stands)
{
	struct slice rst = tts_frame(9, paths[_i].before, SLICE_LIT("payload"));
	struct slice want = tts_frame(9, paths[_i].after, SLICE_LIT("payload")), got;
	struct ttstream_frame a, b;
	uint8_t room[256];

	got = extend(room, sizeof room, rst, "me");
	must_read(got, &a);
	must_read(want, &b);
	ck_assert(slice_eq(trimmed(a.sections), trimmed(b.sections)));
	ck_assert(slice_eq(a.payload, b.payload));
	ck_assert_uint_eq(a.stream, 9);
	ck_assert_uint_le(got.len - want.len, 4);
	frame_free(&rst);
	frame_free(&want);
}
END_TEST

START_TEST(a_path_that_cannot_grow_is_left_alone)
{
	uint8_t room[256];
	char *node = mem_calloc(1, 65536);
	struct slice some = tts_frame(9, "s ttscp=a;i 27=5;", SLICE_NONE);

	memset(node, 'n', 65534);
	ck_assert_uint_eq(extend(room, 10, some, "me").len, 0);
	ck_assert_uint_eq(extend(room, sizeof room, some, node).len, 0);
	ck_assert_uint_gt(extend(room, sizeof room, some, "me").len, 0);
	free(node);
	frame_free(&some);
}
END_TEST

static void nothing(void)
{
}

int main(void)
{
	const struct suite_test tests[] = {
	    {golden_frames_are_read_as_they_are, ARRAY_LEN(goldens)},
	    {beginnings_of_a_frame_say_how_much_is_missing, ARRAY_LEN(goldens)},
	    {frames_without_a_readable_type_are_refused, ARRAY_LEN(bad_frames)},
	    {frames_with_a_wrong_byte_are_refused_as_early_as_can_be, ARRAY_LEN(bad_bytes)},
	    {limits_count_the_header_and_the_whole_frame, 1},
	    {types_are_numbers_and_the_last_one_counts, ARRAY_LEN(types)},
	    {an_exception_is_a_whole_message_of_its_kind, 1},
	    {our_own_frames_are_read_back, ARRAY_LEN(owns)},
	    {a_path_is_extended_where_it_stands, ARRAY_LEN(paths)},
	    {a_path_that_cannot_grow_is_left_alone, 1},
	};

	return suite_run_between("wire_ttstream", tests, ARRAY_LEN(tests), nothing, nothing);
}
