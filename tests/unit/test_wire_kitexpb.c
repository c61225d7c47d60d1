#include <check.h>

#include "base/mem.h"
#include "support/bytes.h"
#include "support/suite.h"
#include "wire/kitexpb.h"

static struct slice text;
static int32_t id;

static void check_written(int32_t number, struct slice words, struct slice expected)
{
	uint8_t room[64];
	struct writer w = writer_of(room, sizeof room);

	kitexpb_error_write(&w, words, number);
	ck_assert(!w.bad);
	ck_assert_mem_eq(room, expected.data, expected.len);
	ck_assert_uint_eq(writer_len(&w), expected.len);
	ck_assert(kitexpb_error_read(writer_slice(&w), &text, &id));
	ck_assert_int_eq(id, number);
	ck_assert(slice_eq(text, words));
}

START_TEST(kitexpb_error_is_written_as_kitex_writes_it)
{
	check_written(6, SLICE_LIT("boom"), BYTES(0x08, 6, 0x12, 4, 'b', 'o', 'o', 'm'));
	check_written(300, SLICE_NONE, BYTES(0x08, 0xac, 0x02));
	check_written(-1, SLICE_LIT("x"),
	    BYTES(0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x12, 1, 'x'));
	check_written(INT32_MIN, SLICE_NONE,
	    BYTES(0x08, 0x80, 0x80, 0x80, 0x80, 0xf8, 0xff, 0xff, 0xff, 0xff, 0x01));
}
END_TEST

START_TEST(kitexpb_error_leaves_zero_values_out)
{
	uint8_t room[1];
	struct writer w = writer_of(room, sizeof room);

	kitexpb_error_write(&w, SLICE_NONE, 0);
	ck_assert_uint_eq(writer_len(&w), 0);
	ck_assert(kitexpb_error_read(SLICE_NONE, &text, &id));
	ck_assert_int_eq(id, 0);
	ck_assert_uint_eq(text.len, 0);
}
END_TEST

START_TEST(kitexpb_error_reader_takes_the_last_of_repeated_fields)
{
	ck_assert(kitexpb_error_read(
	    BYTES(0x12, 1, 'a', 0x08, 1, 0x12, 2, 'b', 'c', 0x08, 7), &text, &id));
	ck_assert_int_eq(id, 7);
	ck_assert(slice_eq_str(text, "bc"));
}
END_TEST

START_TEST(kitexpb_error_reader_skips_unknown_fields)
{
	ck_assert(kitexpb_error_read(BYTES(0x18, 0x96, 0x01,              /* 3: varint */
					 0x21, 1, 2, 3, 4, 5, 6, 7, 8,    /* 4: 64 bits */
					 0x2a, 2, 'x', 'y',               /* 5: bytes */
					 0x35, 1, 2, 3, 4,                /* 6: 32 bits */
					 0xf8, 0xff, 0xff, 0xff, 0x0f, 1, /* the highest number */
					 0x0a, 1, 'q', /* 1 and 2 with other types are not ours */
					 0x10, 9, 0x08, 5),
	    &text, &id));
	ck_assert_int_eq(id, 5);
	ck_assert_uint_eq(text.len, 0);
}
END_TEST

START_TEST(kitexpb_error_reader_refuses_bad_protobuf)
{
	const struct slice bad[] = {
	    BYTES(0x08),                            /* no value */
	    BYTES(0x12),                            /* no length */
	    BYTES(0x12, 2, 'a'),                    /* length past the end */
	    BYTES(0x80),                            /* half a tag */
	    BYTES(0x00, 1),                         /* field number 0 */
	    BYTES(0x0b, 0x0c),                      /* a group */
	    BYTES(0x0e, 0),                         /* wire type 6 */
	    BYTES(0x21, 1, 2, 3),                   /* half of 64 bits */
	    BYTES(0x35, 1, 2, 3),                   /* half of 32 bits */
	    BYTES(0xfa, 0xff, 0xff, 0xff, 0x1f, 0), /* field number of 30 bits */
	    BYTES(0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
	    BYTES(0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02),
	    BYTES(0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00),
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!kitexpb_error_read(bad[i], &text, &id), "case %zu", i);
}
END_TEST

START_TEST(kitexpb_error_reader_refuses_every_cut_inside_a_field)
{
	struct slice whole = BYTES(0x08, 0xac, 0x02, 0x12, 4, 'b', 'o', 'o', 'm');

	for (size_t len = 0; len <= whole.len; len++)
		ck_assert_msg(kitexpb_error_read(slice_first(whole, len), &text, &id) ==
				  (len == 0 || len == 3 || len == whole.len),
		    "cut at %zu", len);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    kitexpb_error_is_written_as_kitex_writes_it,
	    kitexpb_error_leaves_zero_values_out,
	    kitexpb_error_reader_takes_the_last_of_repeated_fields,
	    kitexpb_error_reader_skips_unknown_fields,
	    kitexpb_error_reader_refuses_bad_protobuf,
	    kitexpb_error_reader_refuses_every_cut_inside_a_field,
	};

	return suite_run("wire_kitexpb", tests, ARRAY_LEN(tests));
}
