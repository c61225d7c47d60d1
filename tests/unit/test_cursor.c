#include <check.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "support/bytes.h"
#include "support/suite.h"

START_TEST(cursor_reads_big_endian)
{
	struct cursor c = cursor_of(BYTES(0xff, 0x80, 0x01, 0x80, 0x00, 0x00, 0x01, 'x', 'y'));

	ck_assert_uint_eq(cursor_u8(&c), 0xff);
	ck_assert_uint_eq(cursor_u16(&c), 0x8001);
	ck_assert_uint_eq(cursor_u32(&c), 0x80000001u);
	ck_assert_uint_eq(cursor_left(&c), 2);
	ck_assert(slice_eq_str(cursor_take(&c, 2), "xy"));
	ck_assert_uint_eq(cursor_left(&c), 0);
	ck_assert(!c.bad);
}
END_TEST

START_TEST(cursor_stays_bad_and_gives_zeros)
{
	struct cursor c = cursor_of(BYTES(1, 2, 3));

	ck_assert_uint_eq(cursor_u32(&c), 0);
	ck_assert(c.bad);
	/* these bytes are there, but after a failed read nothing is what it seems */
	ck_assert_uint_eq(cursor_u8(&c), 0);
	ck_assert_uint_eq(cursor_u16(&c), 0);
	ck_assert_uint_eq(cursor_take(&c, 0).len, 0);
	ck_assert_ptr_null(cursor_take(&c, 1).data);
	ck_assert(c.bad);
}
END_TEST

START_TEST(cursor_takes_no_length_past_its_end)
{
	struct cursor c = cursor_of(BYTES(1, 2, 3));

	ck_assert_ptr_null(cursor_take(&c, SIZE_MAX).data);
	ck_assert(c.bad);
}
END_TEST

START_TEST(cursor_of_nothing_takes_nothing)
{
	struct cursor c = cursor_of(SLICE_NONE);

	ck_assert_uint_eq(cursor_left(&c), 0);
	ck_assert_uint_eq(cursor_take(&c, 0).len, 0);
	ck_assert(!c.bad);
	cursor_u8(&c);
	ck_assert(c.bad);
}
END_TEST

START_TEST(writer_writes_big_endian)
{
	uint8_t room[16];
	struct writer w = writer_of(room, sizeof room);

	write_u8(&w, 0xff);
	write_u16(&w, 0x8001);
	write_u32(&w, 0x80000001u);
	write_bytes(&w, SLICE_LIT("xy"));
	write_bytes(&w, SLICE_NONE);
	ck_assert(!w.bad);
	ck_assert(slice_eq(writer_slice(&w), BYTES(0xff, 0x80, 0x01, 0x80, 0, 0, 0x01, 'x', 'y')));
	ck_assert_uint_eq(w.need, 9);
}
END_TEST

START_TEST(writer_past_its_end_writes_nothing_more_but_counts)
{
	uint8_t room[4] = {9, 9, 9, 9};
	struct writer w = writer_of(room, 3);

	write_u16(&w, 0x0102);
	write_u16(&w, 0x0304);
	ck_assert(w.bad);
	write_u8(&w, 5); /* would fit, but not at the place meant */
	ck_assert_uint_eq(w.need, 5);
	ck_assert_uint_eq(writer_len(&w), 2);
	ck_assert_mem_eq(room, ((uint8_t[]){1, 2, 9, 9}), 4);
}
END_TEST

START_TEST(writer_fills_its_room_to_the_last_byte)
{
	uint8_t room[4];
	struct writer w = writer_of(room, sizeof room);

	write_u32(&w, 1);
	ck_assert(!w.bad);
	write_bytes(&w, SLICE_NONE);
	ck_assert(!w.bad);
	write_u8(&w, 1);
	ck_assert(w.bad);
}
END_TEST

START_TEST(writer_without_room_measures)
{
	struct writer w = writer_of(NULL, 0);

	write_bytes(&w, SLICE_NONE);
	ck_assert(!w.bad);
	write_u32(&w, 1);
	write_bytes(&w, SLICE_LIT("abc"));
	ck_assert(w.bad);
	ck_assert_uint_eq(w.need, 7);
	ck_assert_uint_eq(writer_len(&w), 0);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    cursor_reads_big_endian,
	    cursor_stays_bad_and_gives_zeros,
	    cursor_takes_no_length_past_its_end,
	    cursor_of_nothing_takes_nothing,
	    writer_writes_big_endian,
	    writer_past_its_end_writes_nothing_more_but_counts,
	    writer_fills_its_room_to_the_last_byte,
	    writer_without_room_measures,
	};

	return suite_run("cursor", tests, ARRAY_LEN(tests));
}
