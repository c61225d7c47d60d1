#include <check.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/bytes.h"
#include "support/golden.h"
#include "support/suite.h"
#include "wire/ttheader.h"

#define MAX_HEADER  65536u
#define MAX_MESSAGE (1u << 20)

static void put_fixed(uint8_t *p, uint32_t length, uint16_t words)
{
	store_u32(p, length);
	store_u16(p + 4, TTHEADER_MAGIC);
	store_u16(p + 6, 0);
	store_u32(p + 8, 7);
	store_u16(p + 12, words);
}

/* --- the fixed part --- */

START_TEST(ttheader_reads_its_fixed_part)
{
	struct slice in = BYTES(0, 0, 0, 22, 0x10, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe, 0, 1, 4, 0, 0,
	    0, 0x80, 1, 0, 1, 0, 0, 0, 0);
	struct ttheader h;
	struct wire_note note;

	ck_assert_int_eq(ttheader_read(in, MAX_HEADER, MAX_MESSAGE, &h, &note), WIRE_OK);
	ck_assert_uint_eq(h.length, 22);
	ck_assert_uint_eq(h.flags, TTHEADER_FLAG_OUT_OF_ORDER);
	ck_assert_int_eq(h.seq, -2);
	ck_assert_uint_eq(h.protocol_id, 4);
	ck_assert_uint_eq(h.header_len, 18);
	ck_assert_uint_eq(h.payload_len, 8);
	ck_assert_ptr_eq(h.sections.data, in.data + 16);
	ck_assert_uint_eq(h.sections.len, 2);
}
END_TEST

/* What a reader may conclude from the fixed part alone, written down a second time. */
static enum wire_result expect(
    uint32_t length, uint16_t words, size_t max_header, size_t max_message)
{
	int64_t header = 4 * (int64_t)words, whole = 4 + (int64_t)length;
	int64_t payload = whole - 14 - header;

	if (header == 0 || payload < 8)
		return WIRE_BAD;
	if (header > (int64_t)max_header || whole > (int64_t)max_message)
		return WIRE_TOO_LARGE;
	return WIRE_MORE;
}

START_TEST(ttheader_never_believes_a_lie_about_sizes)
{
	static const uint32_t far[] = {MAX_MESSAGE - 5, MAX_MESSAGE - 4, MAX_MESSAGE - 3, INT32_MAX,
	    0x80000000u, UINT32_MAX - 4, UINT32_MAX - 3, UINT32_MAX};
	uint8_t *bytes = mem_alloc(TTHEADER_FIXED);

	for (uint32_t words = 0; words <= UINT16_MAX; words++)
		for (uint32_t i = 0; i <= 64 + ARRAY_LEN(far) + 6; i++) {
			uint32_t header = 4 * words, length = i;
			struct ttheader h;
			struct wire_note note = {0};
			enum wire_result result;

			if (i > 64)
				length =
				    i - 65 < ARRAY_LEN(far)
					? far[i - 65]
					: 10 + header + (i - 65 - (uint32_t)ARRAY_LEN(far)) + 5;
			put_fixed(bytes, length, (uint16_t)words);
			result = ttheader_read(
			    slice_of(bytes, TTHEADER_FIXED), MAX_HEADER, MAX_MESSAGE, &h, &note);
			if (result != expect(length, (uint16_t)words, MAX_HEADER, MAX_MESSAGE))
				ck_abort_msg("words %u length %u: %d", words, length, result);
			if (result == WIRE_MORE && note.need != TTHEADER_FIXED + header)
				ck_abort_msg("words %u: needs %zu", words, note.need);
		}
	free(bytes);
}
END_TEST

/* Every header size with its bytes there, in memory that ends with the header. */
START_TEST(ttheader_views_exactly_the_header_it_read)
{
	size_t most = TTHEADER_FIXED + TTHEADER_HEADER_MAX;
	uint8_t *bytes = mem_calloc(most, 1);

	for (uint32_t words = 1; words <= UINT16_MAX; words++) {
		size_t len = TTHEADER_FIXED + 4 * (size_t)words;
		uint8_t *end = bytes + most - len; /* ends where the memory ends */
		struct ttheader h;
		struct wire_note note;

		put_fixed(end, (uint32_t)len - 4 + 8, (uint16_t)words);
		ck_assert(ttheader_read(slice_of(end, len - 1), TTHEADER_HEADER_MAX, MAX_MESSAGE,
			      &h, &note) == WIRE_MORE);
		ck_assert(ttheader_read(slice_of(end, len), TTHEADER_HEADER_MAX, MAX_MESSAGE, &h,
			      &note) == WIRE_OK);
		ck_assert(h.header_len == len && h.payload_len == 8);
		ck_assert(h.sections.data + h.sections.len == bytes + most);
		memset(end, 0, TTHEADER_FIXED);
	}
	free(bytes);
}
END_TEST

START_TEST(ttheader_limits_hold_to_the_byte)
{
	uint8_t bytes[64] = {0};
	struct ttheader h;
	struct wire_note note;
	struct slice in = slice_of(bytes, sizeof bytes);

	put_fixed(bytes, 60, 4); /* 64 bytes, header 16 */
	ck_assert_int_eq(ttheader_read(in, 16, 64, &h, &note), WIRE_OK);
	ck_assert_int_eq(ttheader_read(in, 15, 64, &h, &note), WIRE_TOO_LARGE);
	ck_assert_int_eq(ttheader_read(in, 16, 63, &h, &note), WIRE_TOO_LARGE);
	ck_assert_ptr_nonnull(note.why);
}
END_TEST

START_TEST(ttheader_takes_the_protocol_ids_that_kitex_takes)
{
	uint8_t bytes[26] = {0};
	struct ttheader h;
	struct wire_note note;

	put_fixed(bytes, 22, 1);
	for (unsigned id = 0; id <= UINT8_MAX; id++)
		for (unsigned streaming = 0; streaming < 2; streaming++) {
			bool unary = id == 0 || id == 3 || id == 4;
			bool stream = id == 0x10 || id == 0x11;

			bytes[7] = streaming ? TTHEADER_FLAG_STREAMING : 0;
			bytes[14] = (uint8_t)id;
			ck_assert_int_eq(ttheader_read(slice_of(bytes, sizeof bytes), MAX_HEADER,
					     MAX_MESSAGE, &h, &note),
			    unary || (stream && streaming) ? WIRE_OK : WIRE_BAD);
		}
}
END_TEST

START_TEST(ttheader_refuses_transforms)
{
	uint8_t bytes[26] = {0};
	struct ttheader h;
	struct wire_note note;

	put_fixed(bytes, 22, 1);
	for (unsigned n = 1; n <= UINT8_MAX; n++) {
		bytes[15] = (uint8_t)n;
		ck_assert_int_eq(ttheader_read(slice_of(bytes, sizeof bytes), MAX_HEADER,
				     MAX_MESSAGE, &h, &note),
		    WIRE_BAD);
	}
}
END_TEST

START_TEST(ttheader_of_a_streaming_frame_may_have_no_payload)
{
	uint8_t bytes[18] = {0};
	struct ttheader h;
	struct wire_note note;

	put_fixed(bytes, 14, 1);
	ck_assert_int_eq(
	    ttheader_read(slice_of(bytes, sizeof bytes), MAX_HEADER, MAX_MESSAGE, &h, &note),
	    WIRE_BAD);
	bytes[7] = TTHEADER_FLAG_STREAMING;
	ck_assert_int_eq(
	    ttheader_read(slice_of(bytes, sizeof bytes), MAX_HEADER, MAX_MESSAGE, &h, &note),
	    WIRE_OK);
	ck_assert_uint_eq(h.payload_len, 0);
}
END_TEST

START_TEST(ttheader_refuses_other_magics)
{
	uint8_t bytes[26] = {0};
	struct ttheader h;
	struct wire_note note;

	put_fixed(bytes, 22, 1);
	bytes[5] = 1;
	ck_assert_int_eq(
	    ttheader_read(slice_of(bytes, sizeof bytes), MAX_HEADER, MAX_MESSAGE, &h, &note),
	    WIRE_BAD);
}
END_TEST

/* --- entries --- */

static unsigned count_entries(struct slice sections, const char **why)
{
	struct ttheader_iter it = ttheader_entries(sections);
	struct ttheader_entry e;
	unsigned n = 0;

	while (ttheader_next(&it, &e)) {
		ck_assert_uint_le(e.offset + e.len, sections.len);
		ck_assert_uint_lt(e.section, e.offset + e.len);
		n++;
	}
	ck_assert(!ttheader_next(&it, &e)); /* the end stays the end */
	*why = it.why;
	return n;
}

START_TEST(ttheader_entries_come_in_order_with_their_places)
{
	struct slice in = BYTES(0, 0x11, 0, 2, 'o', 'k', 0x01, 0, 2, 0, 1, 'a', 0, 1, 'b', 0, 0, 0,
	    0, 0x10, 0, 1, 0, 22, 0, 1, '1', 0, 0);
	struct ttheader_iter it = ttheader_entries(in);
	struct ttheader_entry e;

	ck_assert(ttheader_next(&it, &e));
	ck_assert_int_eq(e.kind, TTHEADER_ACL);
	ck_assert(slice_eq_str(e.value, "ok"));
	ck_assert_uint_eq(e.offset, 1);
	ck_assert_uint_eq(e.len, 5);
	ck_assert_uint_eq(e.section, 1);
	ck_assert(ttheader_next(&it, &e));
	ck_assert_int_eq(e.kind, TTHEADER_STR);
	ck_assert(slice_eq_str(e.key, "a") && slice_eq_str(e.value, "b"));
	ck_assert_uint_eq(e.offset, 9);
	ck_assert_uint_eq(e.len, 6);
	ck_assert_uint_eq(e.section, 6);
	ck_assert(ttheader_next(&it, &e));
	ck_assert_uint_eq(e.key.len, 0);
	ck_assert_uint_eq(e.value.len, 0);
	ck_assert_uint_eq(e.offset, 15);
	ck_assert_uint_eq(e.len, 4);
	ck_assert(ttheader_next(&it, &e));
	ck_assert_int_eq(e.kind, TTHEADER_INT);
	ck_assert_uint_eq(e.int_key, TTKEY_MSG_TYPE);
	ck_assert_uint_eq(e.key.len, 0);
	ck_assert(slice_eq_str(e.value, "1"));
	ck_assert_uint_eq(e.offset, 22);
	ck_assert_uint_eq(e.section, 19);
	ck_assert(!ttheader_next(&it, &e));
	ck_assert_ptr_null(it.why);
}
END_TEST

START_TEST(ttheader_entries_of_nothing_are_none)
{
	const char *why;

	ck_assert_uint_eq(count_entries(SLICE_NONE, &why), 0);
	ck_assert_ptr_null(why);
	ck_assert_uint_eq(count_entries(BYTES(0, 0, 0), &why), 0);
	ck_assert_ptr_null(why);
	ck_assert_uint_eq(count_entries(BYTES(0x10, 0, 0, 0x01, 0, 0, 0), &why), 0);
	ck_assert_ptr_null(why);
}
END_TEST

START_TEST(ttheader_entries_know_four_sections)
{
	const char *why;

	for (unsigned id = 0; id <= UINT8_MAX; id++) {
		bool known = id == 0 || id == 1 || id == 0x10 || id == 0x11;
		uint8_t first = (uint8_t)id;

		count_entries(BYTES(first, 0, 0), &why);
		ck_assert_msg((why == NULL) == known, "section 0x%02x", id);
	}
}
END_TEST

START_TEST(ttheader_entries_refuse_every_cut_inside_a_section)
{
	struct slice whole =
	    BYTES(0x01, 0, 1, 0, 1, 'a', 0, 1, 'b', 0x10, 0, 1, 0, 9, 0, 1, 'c', 0x11, 0, 1, 't');

	for (size_t len = 0; len <= whole.len; len++) {
		uint8_t *copy = mem_alloc(len);
		const char *why;

		memcpy(copy, whole.data, len);
		count_entries(slice_of(copy, len), &why);
		free(copy);
		ck_assert_msg((why == NULL) == (len == 0 || len == 9 || len == 17 || len == 21),
		    "cut at %zu", len);
	}
}
END_TEST

START_TEST(ttheader_entries_refuse_lying_counts_and_lengths)
{
	const struct slice bad[] = {
	    BYTES(0x01, 0xff, 0xff, 0, 1, 'a', 0, 1, 'b'),
	    BYTES(0x01, 0, 1, 0xff, 0xff, 'a', 0, 1, 'b'),
	    BYTES(0x01, 0, 1, 0, 1, 'a', 0xff, 0xff, 'b'),
	    BYTES(0x10, 0, 2, 0, 1, 0, 1, 'b'),
	    BYTES(0x11, 0, 9, 't'),
	};
	const char *why;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		count_entries(bad[i], &why);
		ck_assert_ptr_nonnull(why);
	}
}
END_TEST

START_TEST(ttheader_entries_are_at_most_1024_over_all_sections)
{
	static uint8_t room[16384];

	for (unsigned extra = 0; extra < 2; extra++) {
		struct writer w = writer_of(room, sizeof room);
		const char *why;

		for (unsigned section = 0; section < 2; section++) {
			write_u8(&w, TTHEADER_INT);
			write_u16(&w, (uint16_t)(TTHEADER_ENTRIES_MAX / 2 + (section ? extra : 0)));
			for (unsigned i = 0; i < TTHEADER_ENTRIES_MAX / 2 + extra; i++)
				if (i < TTHEADER_ENTRIES_MAX / 2 || section)
					write_u32(&w, i << 16);
		}
		ck_assert_uint_eq(count_entries(writer_slice(&w), &why), TTHEADER_ENTRIES_MAX);
		ck_assert_int_eq(why != NULL, extra);
	}
}
END_TEST

/* --- the mesh header --- */

START_TEST(meshheader_reads_its_entries)
{
	struct slice in = BYTES(0xff, 0xaf, 0, 10, 0, 1, 0, 3, 'r', 'i', 'p', 0, 1, 'x', 0x80, 1);
	struct meshheader h;
	struct wire_note note;
	struct ttheader_iter it;
	struct ttheader_entry e;

	ck_assert_int_eq(meshheader_read(in, MAX_HEADER, &h, &note), WIRE_OK);
	ck_assert_uint_eq(h.header_len, 14);
	it = ttheader_entries_mesh(h.sections);
	ck_assert(ttheader_next(&it, &e));
	ck_assert_int_eq(e.kind, TTHEADER_STR);
	ck_assert(slice_eq_str(e.key, "rip") && slice_eq_str(e.value, "x"));
	ck_assert_uint_eq(e.offset, 2);
	ck_assert_uint_eq(e.len, 8);
	ck_assert_uint_eq(e.section, 0);
	ck_assert(!ttheader_next(&it, &e));
	ck_assert_ptr_null(it.why);
	for (size_t len = 0; len < h.header_len; len++) {
		ck_assert_int_eq(
		    meshheader_read(slice_first(in, len), MAX_HEADER, &h, &note), WIRE_MORE);
		ck_assert_uint_eq(note.need, len < 4 ? 4 : 14);
	}
}
END_TEST

START_TEST(meshheader_refuses_no_count_other_magics_and_too_much)
{
	struct meshheader h;
	struct wire_note note;

	ck_assert_int_eq(meshheader_read(BYTES(0xff, 0xaf, 0, 0), MAX_HEADER, &h, &note), WIRE_BAD);
	ck_assert_int_eq(
	    meshheader_read(BYTES(0xff, 0xaf, 0, 1, 0), MAX_HEADER, &h, &note), WIRE_BAD);
	ck_assert_int_eq(
	    meshheader_read(BYTES(0xff, 0xae, 0, 2, 0, 0), MAX_HEADER, &h, &note), WIRE_BAD);
	ck_assert_int_eq(meshheader_read(BYTES(0xff, 0xaf, 0, 9), 8, &h, &note), WIRE_TOO_LARGE);
	ck_assert_int_eq(meshheader_read(BYTES(0xff, 0xaf, 0, 2, 0, 0), 2, &h, &note), WIRE_OK);
}
END_TEST

START_TEST(meshheader_entries_end_exactly_at_the_header_s_end)
{
	const struct {
		struct slice sections;
		bool good;
	} cases[] = {
	    {BYTES(0, 0), true},
	    {BYTES(0, 1, 0, 0, 0, 0), true},
	    {BYTES(0), false},
	    {SLICE_NONE, false},
	    {BYTES(0, 0, 0), false},
	    {BYTES(0, 1, 0, 0, 0, 0, 0), false},
	    {BYTES(0, 1, 0, 0, 0), false},
	    {BYTES(0xff, 0xff, 0, 0, 0, 0), false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ttheader_iter it = ttheader_entries_mesh(cases[i].sections);
		struct ttheader_entry e;

		while (ttheader_next(&it, &e))
			;
		ck_assert_msg((it.why == NULL) == cases[i].good, "case %zu", i);
	}
}
END_TEST

/* --- writing --- */

static void write_sample(struct writer *w, uint64_t payload_len)
{
	struct ttheader_writer t;

	ttheader_begin(&t, w, TTHEADER_FLAG_OUT_OF_ORDER, -2, 0);
	ttheader_put_acl(&t, SLICE_LIT("tok"));
	ttheader_section_begin(&t, TTHEADER_STR);
	ttheader_put_str(&t, SLICE_LIT("isn"), SLICE_LIT("Echo"));
	ttheader_put_str(&t, SLICE_LIT(""), SLICE_LIT(""));
	ttheader_section_end(&t);
	ttheader_section_begin(&t, TTHEADER_INT);
	ttheader_put_int(&t, TTKEY_TO_METHOD, SLICE_LIT("Echo"));
	ttheader_section_end(&t);
	ttheader_end(&t, payload_len);
}

START_TEST(ttheader_reads_what_it_wrote)
{
	uint8_t room[128] = {0};
	struct writer w = writer_of(room, sizeof room);
	struct ttheader h;
	struct wire_note note;
	const char *why;

	write_u16(&w, 0xabcd); /* it need not stand first */
	write_sample(&w, 26);
	ck_assert(!w.bad);
	ck_assert_int_eq(
	    ttheader_read(slice_from(writer_slice(&w), 2), MAX_HEADER, MAX_MESSAGE, &h, &note),
	    WIRE_OK);
	ck_assert_uint_eq(h.header_len, writer_len(&w) - 2);
	ck_assert_uint_eq(h.header_len % 4, TTHEADER_FIXED % 4);
	ck_assert_uint_eq(h.payload_len, 26);
	ck_assert_int_eq(h.seq, -2);
	ck_assert_uint_eq(h.flags, TTHEADER_FLAG_OUT_OF_ORDER);
	ck_assert_uint_eq(count_entries(h.sections, &why), 4);
	ck_assert_ptr_null(why);
	ck_assert_uint_eq(w.need, writer_len(&w));
}
END_TEST

START_TEST(ttheader_takes_empty_sections_back)
{
	uint8_t room[64];
	struct writer w = writer_of(room, sizeof room);
	struct ttheader_writer t;

	ttheader_begin(&t, &w, 0, 7, 0);
	ttheader_section_begin(&t, TTHEADER_STR);
	ttheader_section_end(&t);
	ttheader_section_begin(&t, TTHEADER_INT);
	ttheader_section_end(&t);
	ttheader_end(&t, 26);
	ck_assert(slice_eq(
	    writer_slice(&w), BYTES(0, 0, 0, 40, 0x10, 0, 0, 0, 0, 0, 0, 7, 0, 1, 0, 0, 0, 0)));
}
END_TEST

/* For whoever asks how much room it takes before making it. */
START_TEST(ttheader_measures_itself_in_too_little_room)
{
	uint8_t room[128];
	struct writer w = writer_of(room, sizeof room);
	size_t whole;

	write_sample(&w, 26);
	whole = writer_len(&w);
	for (size_t size = 0; size < whole; size++) {
		uint8_t *small = mem_alloc(size);

		w = writer_of(small, size);
		write_sample(&w, 26);
		ck_assert(w.bad);
		ck_assert_uint_eq(w.need, whole);
		free(small);
	}
	w = writer_of(NULL, 0);
	write_sample(&w, 26);
	ck_assert_uint_eq(w.need, whole);
}
END_TEST

START_TEST(ttheader_writer_refuses_what_no_field_can_hold)
{
	static uint8_t room[1 << 19], text[UINT16_MAX + 1];
	struct ttheader_writer t;
	struct writer w = writer_of(room, sizeof room);

	ttheader_begin(&t, &w, 0, 7, 0);
	ttheader_section_begin(&t, TTHEADER_INT);
	ttheader_put_int(&t, 1, slice_of(text, UINT16_MAX));
	ck_assert(!w.bad);
	ttheader_put_int(&t, 1, slice_of(text, sizeof text));
	ck_assert(w.bad);

	w = writer_of(room, sizeof room);
	ttheader_begin(&t, &w, 0, 7, 0);
	ttheader_section_begin(&t, TTHEADER_INT);
	for (int i = 0; i < 4; i++)
		ttheader_put_int(&t, 1, slice_of(text, UINT16_MAX));
	ttheader_section_end(&t);
	ck_assert(!w.bad);
	ttheader_end(&t, 26); /* longer than 65535 words */
	ck_assert(w.bad);

	w = writer_of(room, sizeof room);
	write_sample(&w, UINT32_MAX);
	ck_assert(w.bad);
	w = writer_of(room, sizeof room);
	write_sample(&w, UINT64_MAX - 4);
	ck_assert(w.bad);
}
END_TEST

START_TEST(ttheader_writer_counts_at_most_65535_entries)
{
	static uint8_t room[1 << 19];
	struct ttheader_writer t;
	struct writer w = writer_of(room, sizeof room);

	ttheader_begin(&t, &w, 0, 7, 0);
	ttheader_section_begin(&t, TTHEADER_INT);
	for (unsigned i = 0; i < UINT16_MAX; i++)
		ttheader_put_int(&t, 1, SLICE_NONE);
	ck_assert(!w.bad);
	ttheader_put_int(&t, 1, SLICE_NONE);
	ck_assert(w.bad);
}
END_TEST

/* --- golden --- */

static struct slice find_value(const struct golden *g, uint16_t int_key, const char *key)
{
	struct slice last = SLICE_NONE;
	struct ttheader h;
	struct wire_note note;
	struct ttheader_iter it;
	struct ttheader_entry e;

	ck_assert_int_eq(ttheader_read(g->frames[0], MAX_HEADER, MAX_MESSAGE, &h, &note), WIRE_OK);
	it = ttheader_entries(h.sections);
	while (ttheader_next(&it, &e))
		if (key ? slice_eq_str(e.key, key) : e.kind == TTHEADER_INT && e.int_key == int_key)
			last = e.value;
	ck_assert_ptr_null(it.why);
	return last;
}

START_TEST(ttheader_finds_what_kitex_put_in)
{
	struct golden_set set = golden_load();

	ck_assert(slice_eq_str(
	    find_value(golden_find(&set, "13_tth_call_full"), 0, "isn"), "EchoService"));
	ck_assert(slice_eq_str(
	    find_value(golden_find(&set, "18_tthframed_call"), TTKEY_TRANSPORT_TYPE, NULL),
	    "framed"));
	ck_assert(slice_eq_str(
	    find_value(golden_find(&set, "23_shutdown_crrst_reply"), 0, "crrst"), "1"));
	ck_assert(slice_eq_str(
	    find_value(golden_find(&set, "60_tth_odd_sections"), TTKEY_TO_METHOD, NULL), "Echo"));
	golden_free(&set);
}
END_TEST

/* Golden 09 holds no keys, so there is only one way to write it. */
START_TEST(ttheader_writes_the_smallest_header_as_gopkg_does)
{
	struct golden_set set = golden_load();
	struct slice frame = golden_find(&set, "09_tth_call_min")->frames[0];
	uint8_t room[64];
	struct writer w = writer_of(room, sizeof room);
	struct ttheader_writer t;

	ttheader_begin(&t, &w, 0, 7, 0);
	ttheader_end(&t, 26);
	ck_assert(slice_eq(writer_slice(&w), slice_first(frame, 18)));
	golden_free(&set);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    ttheader_reads_its_fixed_part,
	    ttheader_never_believes_a_lie_about_sizes,
	    ttheader_views_exactly_the_header_it_read,
	    ttheader_limits_hold_to_the_byte,
	    ttheader_takes_the_protocol_ids_that_kitex_takes,
	    ttheader_refuses_transforms,
	    ttheader_of_a_streaming_frame_may_have_no_payload,
	    ttheader_refuses_other_magics,
	    ttheader_entries_come_in_order_with_their_places,
	    ttheader_entries_of_nothing_are_none,
	    ttheader_entries_know_four_sections,
	    ttheader_entries_refuse_every_cut_inside_a_section,
	    ttheader_entries_refuse_lying_counts_and_lengths,
	    ttheader_entries_are_at_most_1024_over_all_sections,
	    meshheader_reads_its_entries,
	    meshheader_refuses_no_count_other_magics_and_too_much,
	    meshheader_entries_end_exactly_at_the_header_s_end,
	    ttheader_reads_what_it_wrote,
	    ttheader_takes_empty_sections_back,
	    ttheader_measures_itself_in_too_little_room,
	    ttheader_writer_refuses_what_no_field_can_hold,
	    ttheader_writer_counts_at_most_65535_entries,
	    ttheader_finds_what_kitex_put_in,
	    ttheader_writes_the_smallest_header_as_gopkg_does,
	};

	return suite_run("wire_ttheader", tests, ARRAY_LEN(tests));
}
