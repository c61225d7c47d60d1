#include "rpc/h2_flood.h"

#include <check.h>

#include "base/cursor.h"
#include "base/mem.h"
#include "support/suite.h"

/* The order of frames on streams; how many there may be is tested through the codec. */

enum { DATA, HEADERS, PRIORITY, RST };
#define END_STREAM  0x1
#define END_HEADERS 0x4

static struct h2_flood flood;
static struct h2_strike strike;

static void begin(void)
{
	uint8_t preface[24] = {0};

	h2_flood_init(&flood, NULL, true, 65536);
	ck_assert_uint_eq(
	    h2_flood_walk(&flood, slice_of(preface, sizeof preface), 0, &strike), sizeof preface);
}

static void end(void)
{
}

/* A frame of four bytes: how many of its bytes may be read. */
static size_t put(uint8_t type, uint8_t flags, uint32_t id)
{
	uint8_t frame[13] = {0, 0, 4, type, flags};

	store_u32(frame + 5, id);
	return h2_flood_walk(&flood, slice_of(frame, sizeof frame), 0, &strike);
}

static void passes(uint8_t type, uint8_t flags, uint32_t id)
{
	ck_assert_uint_eq(put(type, flags, id), 13);
	ck_assert_ptr_null(strike.detail);
}

static void strikes(uint8_t type, uint8_t flags, uint32_t id, bool is_late)
{
	ck_assert_uint_eq(put(type, flags, id), 0);
	ck_assert_ptr_nonnull(strike.detail);
	ck_assert_int_eq(strike.reason, REASON_MALFORMED);
	ck_assert_int_eq(strike.is_late, is_late);
}

START_TEST(nothing_follows_the_end_of_a_stream)
{
	passes(HEADERS, END_HEADERS, 1);
	passes(DATA, 0, 1);
	passes(DATA, END_STREAM, 1);
	strikes(_i, END_HEADERS, 1, true);
}
END_TEST

START_TEST(nothing_follows_a_reset)
{
	passes(HEADERS, END_HEADERS, 1);
	passes(RST, 0, 1);
	passes(PRIORITY, 0, 1);
	passes(RST, 0, 1);
	strikes(_i, END_HEADERS, 1, true);
}
END_TEST

START_TEST(trailers_end_a_stream)
{
	passes(HEADERS, END_HEADERS, 1);
	passes(HEADERS, END_HEADERS, 3);
	passes(HEADERS, END_HEADERS | END_STREAM, 1);
	passes(DATA, 0, 3);
	strikes(HEADERS, END_HEADERS, 1, true);
}
END_TEST

START_TEST(streams_are_opened_in_order)
{
	passes(HEADERS, END_HEADERS, 5);
	strikes(HEADERS, END_HEADERS, 3, false);
}
END_TEST

START_TEST(sixty_four_streams_are_remembered)
{
	passes(HEADERS, END_HEADERS | END_STREAM, 1);
	passes(HEADERS, END_HEADERS, 1 + 2 * 63);
	strikes(DATA, 0, 1, true);
}
END_TEST

START_TEST(what_lies_further_back_is_left_to_the_session)
{
	passes(HEADERS, END_HEADERS | END_STREAM, 1);
	passes(HEADERS, END_HEADERS, 1 + 2 * 64);
	passes(DATA, 0, 1);
	passes(HEADERS, END_HEADERS, 100001);
	passes(DATA, 0, 1 + 2 * 64);
	strikes(HEADERS, END_HEADERS, 99999, false);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {nothing_follows_the_end_of_a_stream, 2},
	    {nothing_follows_a_reset, 2},
	    {trailers_end_a_stream, 1},
	    {streams_are_opened_in_order, 1},
	    {sixty_four_streams_are_remembered, 1},
	    {what_lies_further_back_is_left_to_the_session, 1},
	};

	return suite_run_between("h2_flood", tests, ARRAY_LEN(tests), begin, end);
}
