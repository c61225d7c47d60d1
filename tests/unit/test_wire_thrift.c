#include <check.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "support/bytes.h"
#include "support/suite.h"
#include "wire/thrift.h"

enum { STOP = 0, BOOL = 2, BYTE = 3, DOUBLE = 4, I16 = 6, I32 = 8, I64 = 10, STRING = 11 };
enum { STRUCT = 12, MAP = 13, SET = 14, LIST = 15 };

static const uint8_t types[] = {BOOL, BYTE, DOUBLE, I16, I32, I64, STRING, STRUCT, MAP, SET, LIST};

/* --- heads --- */

START_TEST(thrift_head_reads_what_it_wrote)
{
	uint8_t room[64];
	struct writer w = writer_of(room, sizeof room);
	struct thrift_head head;
	struct wire_note note;

	thrift_head_write(&w, KITEXPB_MAGIC, THRIFT_ONEWAY, SLICE_LIT("Fire"), -7);
	ck_assert(slice_eq(writer_slice(&w),
	    BYTES(0x90, 0x01, 0, 4, 0, 0, 0, 4, 'F', 'i', 'r', 'e', 0xff, 0xff, 0xff, 0xf9)));
	write_u8(&w, 0xee);
	ck_assert_int_eq(thrift_head_read(writer_slice(&w), &head, &note), WIRE_OK);
	ck_assert_uint_eq(head.magic, KITEXPB_MAGIC);
	ck_assert_uint_eq(head.type, THRIFT_ONEWAY);
	ck_assert_int_eq(head.seq, -7);
	ck_assert(slice_eq_str(head.method, "Fire"));
	ck_assert_uint_eq(head.len, 16);
}
END_TEST

START_TEST(thrift_head_asks_for_exactly_what_is_missing)
{
	struct slice whole = BYTES(0x80, 1, 0, 1, 0, 0, 0, 4, 'E', 'c', 'h', 'o', 0, 0, 0, 7);
	struct thrift_head head;
	struct wire_note note;

	for (size_t len = 0; len < whole.len; len++) {
		ck_assert_int_eq(
		    thrift_head_read(slice_first(whole, len), &head, &note), WIRE_MORE);
		ck_assert_uint_eq(note.need, len < 8 ? 12 : 16);
	}
}
END_TEST

START_TEST(thrift_head_keeps_all_sixteen_bits_of_the_type)
{
	struct thrift_head head;
	struct wire_note note;

	ck_assert_int_eq(
	    thrift_head_read(BYTES(0x80, 1, 0xff, 0x01, 0, 0, 0, 0, 0, 0, 0, 1), &head, &note),
	    WIRE_OK);
	ck_assert_uint_eq(head.type, 0xff01);
	ck_assert_uint_eq(head.method.len, 0);
}
END_TEST

START_TEST(thrift_head_refuses_other_magics_and_long_methods)
{
	struct slice bad[] = {
	    BYTES(0x80, 0x02),
	    BYTES(0x00, 0x00),
	    BYTES(0x82, 0x21),
	    BYTES(0x80, 1, 0, 1, 0, 0, 1, 1),             /* 257 */
	    BYTES(0x80, 1, 0, 1, 0xff, 0xff, 0xff, 0xff), /* -1 */
	    BYTES(0x80, 1, 0, 1, 0x80, 0, 0, 0),
	};
	struct thrift_head head;
	struct wire_note note;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		note.why = NULL;
		ck_assert_int_eq(thrift_head_read(bad[i], &head, &note), WIRE_BAD);
		ck_assert_ptr_nonnull(note.why);
	}
}
END_TEST

START_TEST(thrift_head_takes_the_longest_method_and_no_longer)
{
	uint8_t room[12 + THRIFT_METHOD_MAX + 1], name[THRIFT_METHOD_MAX + 1];
	struct writer w = writer_of(room, sizeof room);
	struct thrift_head head;
	struct wire_note note;

	memset(name, 'm', sizeof name);
	thrift_head_write(&w, THRIFT_MAGIC, THRIFT_CALL, slice_of(name, THRIFT_METHOD_MAX), 1);
	ck_assert(!w.bad);
	ck_assert_int_eq(thrift_head_read(writer_slice(&w), &head, &note), WIRE_OK);
	ck_assert_uint_eq(head.method.len, THRIFT_METHOD_MAX);
	w = writer_of(room, sizeof room);
	thrift_head_write(&w, THRIFT_MAGIC, THRIFT_CALL, slice_of(name, sizeof name), 1);
	ck_assert(w.bad);
}
END_TEST

/* --- the walk against a reference that calls itself, and looks at everything --- */

static enum wire_result reference_struct(struct cursor *c, unsigned depth);

static bool known(uint8_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i] == type)
			return true;
	return false;
}

static enum wire_result reference_bytes(struct cursor *c, uint64_t len)
{
	if (cursor_left(c) < len)
		return WIRE_MORE;
	c->at += len;
	return WIRE_OK;
}

static enum wire_result reference_value(struct cursor *c, uint8_t type, unsigned depth);

static enum wire_result reference_elements(
    struct cursor *c, uint8_t first, uint8_t second, uint32_t count, unsigned depth)
{
	for (uint32_t i = 0; i < count; i++) {
		enum wire_result result = reference_value(c, first, depth);

		if (result == WIRE_OK && second)
			result = reference_value(c, second, depth);
		if (result != WIRE_OK)
			return result;
	}
	return WIRE_OK;
}

static enum wire_result reference_container(struct cursor *c, bool map, unsigned depth)
{
	uint8_t first = cursor_u8(c), second = map ? cursor_u8(c) : 0;
	uint32_t count = cursor_u32(c);

	if (c->bad)
		return WIRE_MORE;
	if (count > INT32_MAX || depth >= THRIFT_DEPTH_MAX)
		return WIRE_BAD;
	if (!known(first) && (first || count))
		return WIRE_BAD;
	if (map && !known(second) && (second || count))
		return WIRE_BAD;
	return reference_elements(c, first, second, count, depth + 1);
}

static enum wire_result reference_value(struct cursor *c, uint8_t type, unsigned depth)
{
	uint32_t len;

	switch (type) {
	case BOOL:
	case BYTE:
		return reference_bytes(c, 1);
	case I16:
		return reference_bytes(c, 2);
	case I32:
		return reference_bytes(c, 4);
	case I64:
	case DOUBLE:
		return reference_bytes(c, 8);
	case STRING:
		len = cursor_u32(c);
		if (c->bad)
			return WIRE_MORE;
		return len > INT32_MAX ? WIRE_BAD : reference_bytes(c, len);
	case STRUCT:
		return reference_struct(c, depth);
	case MAP:
	case SET:
	case LIST:
		return reference_container(c, type == MAP, depth);
	}
	return WIRE_BAD;
}

static enum wire_result reference_struct(struct cursor *c, unsigned depth)
{
	if (depth >= THRIFT_DEPTH_MAX)
		return WIRE_BAD;
	for (;;) {
		uint8_t type = cursor_u8(c);
		enum wire_result result;

		if (c->bad)
			return WIRE_MORE;
		if (type == STOP)
			return WIRE_OK;
		if (!known(type))
			return WIRE_BAD;
		/* what nests too deeply is seen at the type, before the id */
		if (type == STRUCT && depth + 1 >= THRIFT_DEPTH_MAX)
			return WIRE_BAD;
		result = reference_bytes(c, 2);
		if (result == WIRE_OK)
			result = reference_value(c, type, depth + 1);
		if (result != WIRE_OK)
			return result;
	}
}

static enum wire_result walk_whole(struct slice in, size_t *used)
{
	struct thrift_walk walk;
	struct wire_note note;

	thrift_walk_init(&walk);
	return thrift_walk(&walk, in, used, &note);
}

/* In pieces of random size, 0 included, each in memory of its own. */
static enum wire_result walk_pieces(struct slice in, struct rng *rng, uint64_t most, size_t *used)
{
	enum wire_result result = WIRE_MORE;
	struct thrift_walk walk;
	struct wire_note note;
	size_t n;

	*used = 0;
	thrift_walk_init(&walk);
	while (result == WIRE_MORE && *used < in.len) {
		size_t len = slice_first(slice_from(in, *used), rng_below(rng, most + 1)).len;
		uint8_t *copy = mem_alloc(len);

		memcpy(copy, in.data + *used, len);
		result = thrift_walk(&walk, slice_of(copy, len), &n, &note);
		ck_assert(result != WIRE_MORE || (n == len && note.need > 0));
		free(copy);
		*used += n;
	}
	return result;
}

static void check_all_ways(struct slice in, struct rng *rng)
{
	struct cursor c = cursor_of(in);
	enum wire_result expected = reference_struct(&c, 0);
	size_t used, whole;

	ck_assert_int_eq(walk_whole(in, &whole), expected);
	if (expected == WIRE_OK)
		ck_assert_uint_eq(whole, in.len - cursor_left(&c));
	if (in.len == 0)
		return;
	for (uint64_t most = 1; most <= 16; most += 5) {
		ck_assert_int_eq(walk_pieces(in, rng, most, &used), expected);
		ck_assert_uint_eq(used, whole);
	}
}

static void make_value(struct writer *w, struct rng *rng, uint8_t type, unsigned depth);

static uint8_t pick_type(struct rng *rng, unsigned depth)
{
	return types[rng_below(rng, depth > 5 ? 7 : ARRAY_LEN(types))];
}

static void make_bytes(struct writer *w, struct rng *rng, size_t len)
{
	while (len--)
		write_u8(w, (uint8_t)rng_next(rng));
}

static void make_struct(struct writer *w, struct rng *rng, unsigned depth)
{
	for (uint64_t n = rng_below(rng, 5); n; n--) {
		uint8_t type = pick_type(rng, depth);

		write_u8(w, type);
		write_u16(w, (uint16_t)rng_next(rng));
		make_value(w, rng, type, depth + 1);
	}
	write_u8(w, STOP);
}

static void make_container(struct writer *w, struct rng *rng, bool map, unsigned depth)
{
	uint8_t first = pick_type(rng, depth), second = pick_type(rng, depth);
	uint32_t count = (uint32_t)rng_below(rng, 4);

	write_u8(w, first);
	if (map)
		write_u8(w, second);
	write_u32(w, count);
	for (; count; count--) {
		make_value(w, rng, first, depth + 1);
		if (map)
			make_value(w, rng, second, depth + 1);
	}
}

static void make_value(struct writer *w, struct rng *rng, uint8_t type, unsigned depth)
{
	static const uint8_t sizes[] = {
	    [BOOL] = 1, [BYTE] = 1, [I16] = 2, [I32] = 4, [I64] = 8, [DOUBLE] = 8, [LIST] = 0};
	uint32_t len = (uint32_t)rng_below(rng, 20);

	if (sizes[type]) {
		make_bytes(w, rng, sizes[type]);
	} else if (type == STRING) {
		write_u32(w, len);
		make_bytes(w, rng, len);
	} else if (type == STRUCT) {
		make_struct(w, rng, depth);
	} else {
		make_container(w, rng, type == MAP, depth);
	}
}

START_TEST(thrift_walk_ends_where_a_random_struct_ends)
{
	static uint8_t room[1 << 16];
	struct rng rng;
	size_t used;

	rng_init(&rng, 1);
	for (int round = 0; round < 2000; round++) {
		struct writer w = writer_of(room, sizeof room - 1);
		struct slice in;

		make_struct(&w, &rng, 0);
		if (w.bad)
			continue;
		in = writer_slice(&w);
		check_all_ways(in, &rng);
		room[in.len] = 0x77; /* what follows is not looked at */
		ck_assert_int_eq(walk_whole(slice_of(room, in.len + 1), &used), WIRE_OK);
		ck_assert_uint_eq(used, in.len);
		if (in.len > 1)
			check_all_ways(slice_first(in, rng_below(&rng, in.len)), &rng);
	}
}
END_TEST

START_TEST(thrift_walk_agrees_with_the_reference_on_damaged_structs)
{
	static uint8_t room[1 << 14];
	struct rng rng;

	rng_init(&rng, 2);
	for (int round = 0; round < 5000; round++) {
		struct writer w = writer_of(room, sizeof room);
		struct slice in;

		make_struct(&w, &rng, 0);
		in = writer_slice(&w);
		for (uint64_t n = 1 + rng_below(&rng, 3); n; n--)
			room[rng_below(&rng, in.len)] = (uint8_t)rng_below(&rng, 17);
		check_all_ways(in, &rng);
	}
}
END_TEST

START_TEST(thrift_walk_reads_the_shortest_struct)
{
	size_t used = 9;

	ck_assert_int_eq(walk_whole(BYTES(0), &used), WIRE_OK);
	ck_assert_uint_eq(used, 1);
	ck_assert_int_eq(walk_whole(SLICE_NONE, &used), WIRE_MORE);
	ck_assert_uint_eq(used, 0);
}
END_TEST

START_TEST(thrift_walk_stays_at_the_end_once_it_is_there)
{
	struct thrift_walk walk;
	struct wire_note note;
	size_t used;

	thrift_walk_init(&walk);
	ck_assert_int_eq(thrift_walk(&walk, BYTES(0), &used, &note), WIRE_OK);
	ck_assert_int_eq(thrift_walk(&walk, BYTES(1, 2, 3), &used, &note), WIRE_OK);
	ck_assert_uint_eq(used, 0);
}
END_TEST

START_TEST(thrift_walk_says_how_many_bytes_it_needs_at_least)
{
	struct thrift_walk walk;
	struct wire_note note;
	size_t used;

	thrift_walk_init(&walk);
	ck_assert_int_eq(thrift_walk(&walk, BYTES(STRING), &used, &note), WIRE_MORE);
	ck_assert_uint_eq(note.need, 2); /* the id */
	ck_assert_int_eq(thrift_walk(&walk, BYTES(0, 1, 0, 0), &used, &note), WIRE_MORE);
	ck_assert_uint_eq(note.need, 2); /* of the length */
	ck_assert_int_eq(thrift_walk(&walk, BYTES(1, 0, 'x'), &used, &note), WIRE_MORE);
	ck_assert_uint_eq(note.need, 255);
}
END_TEST

START_TEST(thrift_walk_accepts_empty_containers_of_no_type)
{
	struct slice in = BYTES(LIST, 0, 1, 0, 0, 0, 0, 0, MAP, 0, 2, 0, 0, 0, 0, 0, 0, SET, 0, 3,
	    STRING, 0, 0, 0, 0, MAP, 0, 4, STRING, STRUCT, 0, 0, 0, 0, STOP);
	size_t used;

	ck_assert_int_eq(walk_whole(in, &used), WIRE_OK);
	ck_assert_uint_eq(used, in.len);
}
END_TEST

START_TEST(thrift_walk_refuses_what_is_no_type)
{
	for (unsigned type = 0; type <= UINT8_MAX; type++) {
		bool expected = known((uint8_t)type);
		uint8_t t = (uint8_t)type;
		size_t used;

		if (type)
			ck_assert_int_eq(walk_whole(BYTES(t, 0, 1), &used) == WIRE_MORE, expected);
		ck_assert_int_eq(
		    walk_whole(BYTES(LIST, 0, 1, t, 0, 0, 0, 9), &used) == WIRE_MORE, expected);
		ck_assert_int_eq(
		    walk_whole(BYTES(MAP, 0, 1, STRING, t, 0, 0, 0, 9), &used) == WIRE_MORE,
		    expected);
		ck_assert_int_eq(
		    walk_whole(BYTES(MAP, 0, 1, t, STRING, 0, 0, 0, 9), &used) == WIRE_MORE,
		    expected);
		/* and in an empty one, where 0 is the only other */
		ck_assert_int_eq(
		    walk_whole(BYTES(SET, 0, 1, t, 0, 0, 0, 0, STOP), &used) == WIRE_OK,
		    expected || type == 0);
	}
}
END_TEST

START_TEST(thrift_walk_refuses_negative_lengths_and_counts)
{
	struct slice bad[] = {
	    BYTES(STRING, 0, 1, 0xff, 0xff, 0xff, 0xfb),
	    BYTES(STRING, 0, 1, 0x80, 0, 0, 0),
	    BYTES(LIST, 0, 1, I32, 0x80, 0, 0, 0),
	    BYTES(SET, 0, 1, STRING, 0xff, 0xff, 0xff, 0xff),
	    BYTES(MAP, 0, 1, I32, I32, 0x80, 0, 0, 0),
	};
	size_t used;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_int_eq(walk_whole(bad[i], &used), WIRE_BAD);
}
END_TEST

/* The largest legal sizes do not fit 32 bits: nothing may wrap. */
START_TEST(thrift_walk_counts_huge_containers_without_wrapping)
{
	struct thrift_walk walk;
	struct wire_note note;
	size_t used;

	thrift_walk_init(&walk);
	ck_assert_int_eq(
	    thrift_walk(&walk, BYTES(MAP, 0, 1, I64, DOUBLE, 0x7f, 0xff, 0xff, 0xff), &used, &note),
	    WIRE_MORE);
	ck_assert_uint_eq(walk.skip, (uint64_t)INT32_MAX * 16);
	ck_assert_int_eq(thrift_walk(&walk, BYTES(1, 2, 3), &used, &note), WIRE_MORE);
	ck_assert_uint_eq(walk.skip, (uint64_t)INT32_MAX * 16 - 3);
	thrift_walk_init(&walk);
	ck_assert_int_eq(
	    thrift_walk(&walk, BYTES(LIST, 0, 1, I64, 0x7f, 0xff, 0xff, 0xff), &used, &note),
	    WIRE_MORE);
	ck_assert_uint_eq(walk.skip, (uint64_t)INT32_MAX * 8);
}
END_TEST

/* Each empty struct of the list costs the sender a byte, and us a step. */
START_TEST(thrift_walk_of_a_count_bomb_costs_what_it_sends)
{
	static uint8_t stops[1 << 20];
	struct thrift_walk walk;
	struct wire_note note;
	size_t used;

	thrift_walk_init(&walk);
	ck_assert_int_eq(
	    thrift_walk(&walk, BYTES(LIST, 0, 1, STRUCT, 0x7f, 0xff, 0xff, 0xff), &used, &note),
	    WIRE_MORE);
	ck_assert_int_eq(
	    thrift_walk(&walk, slice_of(stops, sizeof stops), &used, &note), WIRE_MORE);
	ck_assert_uint_eq(used, sizeof stops);
	ck_assert_uint_eq(walk.depth, 3); /* the next element is open already */
	ck_assert_uint_eq(walk.stack[1].left, INT32_MAX - sizeof stops - 1);
}
END_TEST

static void nest(struct writer *w, uint8_t type, unsigned levels)
{
	for (unsigned i = 0; i < levels; i++) {
		if (type == STRUCT) {
			write_u8(w, STRUCT);
			write_u16(w, 1);
			continue;
		}
		if (i == 0) {
			write_u8(w, LIST);
			write_u16(w, 1);
		}
		write_u8(w, i + 1 < levels ? LIST : I32);
		write_u32(w, i + 1 < levels);
	}
}

START_TEST(thrift_walk_goes_64_levels_deep_and_no_deeper)
{
	static uint8_t room[1 << 12];
	const uint8_t kinds[] = {STRUCT, LIST};
	struct writer w;
	size_t used;

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		w = writer_of(room, sizeof room);
		nest(&w, kinds[k], THRIFT_DEPTH_MAX - 1); /* the outer struct is one */
		for (unsigned i = 0; i < (kinds[k] == STRUCT ? THRIFT_DEPTH_MAX : 1); i++)
			write_u8(&w, STOP);
		ck_assert_int_eq(walk_whole(writer_slice(&w), &used), WIRE_OK);
		ck_assert_uint_eq(used, writer_len(&w));
		w = writer_of(room, sizeof room);
		nest(&w, kinds[k], THRIFT_DEPTH_MAX);
		ck_assert_int_eq(walk_whole(writer_slice(&w), &used), WIRE_BAD);
	}
}
END_TEST

START_TEST(thrift_walk_refuses_bottomless_nesting)
{
	size_t size = 3 * 300000, used;
	uint8_t *bytes = mem_calloc(size, 1);

	for (size_t i = 0; i < size; i += 3)
		bytes[i] = STRUCT;
	ck_assert_int_eq(walk_whole(slice_of(bytes, size), &used), WIRE_BAD);
	ck_assert_uint_lt(used, 3 * (THRIFT_DEPTH_MAX + 1));
	free(bytes);
}
END_TEST

/* --- exceptions --- */

START_TEST(thrift_exception_is_two_fields_in_order)
{
	uint8_t room[32];
	struct writer w = writer_of(room, sizeof room);
	struct slice text;
	int32_t id;

	thrift_exception_write(&w, SLICE_LIT("no"), 6);
	ck_assert(slice_eq(writer_slice(&w),
	    BYTES(STRING, 0, 1, 0, 0, 0, 2, 'n', 'o', I32, 0, 2, 0, 0, 0, 6, STOP)));
	ck_assert(thrift_exception_read(writer_slice(&w), &text, &id));
	ck_assert(slice_eq_str(text, "no"));
	ck_assert_int_eq(id, 6);
}
END_TEST

START_TEST(thrift_exception_reader_tolerates_unknown_fields)
{
	struct slice in =
	    BYTES(I32, 0, 2, 0xff, 0xff, 0xff, 0xff, LIST, 0, 3, STRING, 0, 0, 0, 1, 0, 0, 0, 1,
		'x', I64, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8, STRUCT, 0, 5, BOOL, 0, 1, 1, STOP, /**/
		I32, 0, 1, 0, 0, 0, 9,    /* field 1 as a number is not the text */
		STRING, 0, 2, 0, 0, 0, 0, /* nor field 2 as text the id */
		STRING, 0, 1, 0, 0, 0, 1, 'y', STOP, 0xee);
	struct slice text;
	int32_t id;

	ck_assert(thrift_exception_read(in, &text, &id));
	ck_assert(slice_eq_str(text, "y"));
	ck_assert_int_eq(id, -1);
}
END_TEST

START_TEST(thrift_exception_reader_refuses_every_cut)
{
	struct slice whole = BYTES(STRING, 0, 1, 0, 0, 0, 2, 'n', 'o', MAP, 0, 7, STRING, I32, 0, 0,
	    0, 1, 0, 0, 0, 1, 'k', 0, 0, 0, 1, I32, 0, 2, 0, 0, 0, 6, STOP);
	struct slice text;
	int32_t id;

	ck_assert(thrift_exception_read(whole, &text, &id));
	for (size_t len = 0; len < whole.len; len++) {
		uint8_t *copy = mem_alloc(len);

		memcpy(copy, whole.data, len);
		ck_assert(!thrift_exception_read(slice_of(copy, len), &text, &id));
		free(copy);
	}
	ck_assert(!thrift_exception_read(BYTES(1, 0, 1, 0), &text, &id));
	ck_assert(!thrift_exception_read(BYTES(STRING, 0, 1, 0xff, 0xff, 0xff, 0xff), &text, &id));
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    thrift_head_reads_what_it_wrote,
	    thrift_head_asks_for_exactly_what_is_missing,
	    thrift_head_keeps_all_sixteen_bits_of_the_type,
	    thrift_head_refuses_other_magics_and_long_methods,
	    thrift_head_takes_the_longest_method_and_no_longer,
	    thrift_walk_ends_where_a_random_struct_ends,
	    thrift_walk_agrees_with_the_reference_on_damaged_structs,
	    thrift_walk_reads_the_shortest_struct,
	    thrift_walk_stays_at_the_end_once_it_is_there,
	    thrift_walk_says_how_many_bytes_it_needs_at_least,
	    thrift_walk_accepts_empty_containers_of_no_type,
	    thrift_walk_refuses_what_is_no_type,
	    thrift_walk_refuses_negative_lengths_and_counts,
	    thrift_walk_counts_huge_containers_without_wrapping,
	    thrift_walk_of_a_count_bomb_costs_what_it_sends,
	    thrift_walk_goes_64_levels_deep_and_no_deeper,
	    thrift_walk_refuses_bottomless_nesting,
	    thrift_exception_is_two_fields_in_order,
	    thrift_exception_reader_tolerates_unknown_fields,
	    thrift_exception_reader_refuses_every_cut,
	};

	return suite_run("wire_thrift", tests, ARRAY_LEN(tests));
}
