#include "ctl/capture.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "ctl/tcp_segment.h"
#include "support/bytes.h"
#include "support/made_capture.h"
#include "support/suite.h"

enum { ETHERNET = 1, RAW = 101 };

static struct text file;

/* Numbers in the order of bytes that the file has. */
static bool is_big;

static void add(struct slice s)
{
	text_add(&file, s);
}

static void add_number(uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(value >> 8 * (is_big ? size - 1 - i : i));

		add(slice_of(&byte, 1));
	}
}

static void add_pcap_head(uint32_t magic, uint32_t link)
{
	add_number(magic, 4);
	add_number(2, 2);
	add_number(4, 2);
	add_number(0, 8);
	add_number(65535, 4);
	add_number(link, 4);
}

static void add_pcap_packet(
    uint32_t seconds, uint32_t fraction, struct slice bytes, uint32_t length)
{
	add_number(seconds, 4);
	add_number(fraction, 4);
	add_number(bytes.len, 4);
	add_number(length, 4);
	add(bytes);
}

static void add_block(uint32_t type, const struct text *body)
{
	size_t padded = (body->len + 3) & ~(size_t)3;

	add_number(type, 4);
	add_number(padded + 12, 4);
	add(slice_of(body->bytes, body->len));
	add(slice_first(BYTES(0, 0, 0), padded - body->len));
	add_number(padded + 12, 4);
}

/* What is added between is the body of a block. */
static struct text outer;

static void begin_body(void)
{
	outer = file;
	file = (struct text){0};
}

static void end_body(uint32_t type)
{
	struct text body = file;

	file = outer;
	add_block(type, &body);
	text_fini(&body);
}

static void add_section(void)
{
	begin_body();
	add_number(0x1a2b3c4d, 4);
	add_number(1, 2);
	add_number(0, 2);
	add_number(UINT64_MAX, 8);
	end_body(0x0a0d0d0a);
}

static void add_interface(uint16_t link, uint32_t snap, int resolution, int64_t offset)
{
	begin_body();
	add_number(link, 2);
	add_number(0, 2);
	add_number(snap, 4);
	if (resolution >= 0) {
		add_number(9, 2);
		add_number(1, 2);
		add(BYTES((uint8_t)resolution, 0, 0, 0));
	}
	if (offset) {
		add_number(14, 2);
		add_number(8, 2);
		add_number((uint64_t)offset, 8);
	}
	add_number(0, 4);
	end_body(1);
}

static void add_packet(uint32_t interface, uint64_t ticks, struct slice bytes, uint32_t length)
{
	begin_body();
	add_number(interface, 4);
	add_number(ticks >> 32, 4);
	add_number(ticks & UINT32_MAX, 4);
	add_number(bytes.len, 4);
	add_number(length, 4);
	add(bytes);
	end_body(6);
}

static void add_simple(struct slice bytes, uint32_t length)
{
	begin_body();
	add_number(length, 4);
	add(bytes);
	end_body(3);
}

/* ---- reading it back ---- */

static FILE *from;
static struct capture *capture;
static struct packet packet;
static struct err err;

static enum capture_kind open_file(void)
{
	from = fmemopen(file.bytes, file.len, "rb");
	ck_assert_ptr_nonnull(from);
	capture = capture_open(from);
	return capture_kind(capture);
}

static void close_file(void)
{
	capture_close(&capture);
	fclose(from);
	text_fini(&file);
}

static void expect_packet(usec_t at, unsigned link, struct slice bytes, uint32_t length)
{
	ck_assert_int_eq(capture_next(capture, &packet, &err), CAPTURE_PACKET);
	ck_assert_uint_eq(packet.at, at);
	ck_assert_uint_eq(packet.link, link);
	ck_assert(slice_eq(packet.bytes, bytes));
	ck_assert_uint_eq(packet.length, length);
}

static void expect_end(void)
{
	ck_assert_int_eq(capture_next(capture, &packet, &err), CAPTURE_END);
	close_file();
}

static void expect_broken(const char *why)
{
	ck_assert_int_eq(capture_next(capture, &packet, &err), CAPTURE_BROKEN);
	ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
	close_file();
}

START_TEST(capture_reads_pcap_in_both_orders_and_both_resolutions)
{
	is_big = _i & 1;
	add_pcap_head(_i & 2 ? 0xa1b23c4d : 0xa1b2c3d4, ETHERNET);
	add_pcap_packet(1700000000, _i & 2 ? 123456789 : 123456, BYTES(1, 2, 3), 60);
	add_pcap_packet(1700000001, 0, SLICE_NONE, 0);
	ck_assert_int_eq(open_file(), CAPTURE_PCAP);
	expect_packet(1700000000123456, ETHERNET, BYTES(1, 2, 3), 60);
	expect_packet(1700000001000000, ETHERNET, SLICE_NONE, 0);
	expect_end();
}
END_TEST

START_TEST(capture_that_ends_within_a_packet_gives_those_before_it)
{
	add_pcap_head(0xa1b2c3d4, RAW);
	add_pcap_packet(1, 2, BYTES(1), 1);
	add_pcap_packet(1, 2, BYTES(1, 2, 3, 4), 4);
	file.len -= 2;
	open_file();
	expect_packet(1000002, RAW, BYTES(1), 1);
	expect_broken("ends within a packet");
	add_pcap_head(0xa1b2c3d4, RAW);
	add(BYTES(1, 2, 3));
	open_file();
	expect_broken("the head of a packet");
}
END_TEST

START_TEST(capture_passes_over_packets_that_are_too_long)
{
	uint8_t *much = mem_calloc(1, CAPTURE_PACKET_MAX + 1);

	add_pcap_head(0xa1b2c3d4, RAW);
	add_pcap_packet(1, 0, slice_of(much, CAPTURE_PACKET_MAX + 1), 9);
	add_pcap_packet(2, 0, BYTES(7), 1);
	free(much);
	open_file();
	expect_packet(2000000, RAW, BYTES(7), 1);
	ck_assert_uint_eq(packet.number, 2);
	ck_assert_uint_eq(capture_skipped(capture), 1);
	expect_end();
}
END_TEST

START_TEST(capture_never_believes_a_length)
{
	add_pcap_head(0xa1b2c3d4, RAW);
	add_number(1, 4);
	add_number(0, 4);
	add_number(UINT32_MAX, 4);
	add_number(1, 4);
	open_file();
	expect_broken("a packet that says it is long");
}
END_TEST

START_TEST(capture_reads_sections_and_interfaces_of_pcapng)
{
	is_big = false;
	add_section();
	add_interface(ETHERNET, 0, -1, 0);
	add_interface(RAW, 0, 9, 0);
	add_packet(0, 1700000000123456, BYTES(1, 2, 3), 3);
	add_packet(1, 1700000000123456789, BYTES(4), 100);
	is_big = true;
	add_section();
	begin_body(); /* of a kind that nobody knows */
	add(BYTES(1, 2, 3, 4, 5));
	end_body(0x0bad);
	add_interface(RAW, 2, 0x80 | 10, 5);
	add_packet(0, 1536, BYTES(5), 1);
	add_simple(BYTES(6, 7), 9);
	ck_assert_int_eq(open_file(), CAPTURE_PCAPNG);
	expect_packet(1700000000123456, ETHERNET, BYTES(1, 2, 3), 3);
	expect_packet(1700000000123456, RAW, BYTES(4), 100);
	expect_packet(6500000, RAW, BYTES(5), 1);
	expect_packet(USEC_NONE, RAW, BYTES(6, 7), 9);
	expect_end();
	is_big = false;
}
END_TEST

START_TEST(capture_reads_times_of_any_resolution)
{
	static const struct {
		int resolution;
		uint64_t ticks;
		usec_t at;
	} cases[] = {{0, 7, 7000000}, {3, 7, 7000}, {6, 7, 7}, {7, 70, 7}, {127, 5, 0},
	    {0x80 | 1, 3, 1500000}, {0x80 | 63, UINT64_C(3) << 62, 1500000}, {0xff, 9, 0},
	    {0, UINT64_MAX, USEC_NONE}};

	add_section();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		add_interface(RAW, 0, cases[i].resolution, 0);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		add_packet((uint32_t)i, cases[i].ticks, BYTES(1), 1);
	open_file();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect_packet(cases[i].at, RAW, BYTES(1), 1);
	expect_end();
}
END_TEST

START_TEST(capture_skips_packets_that_contradict_their_block)
{
	add_section();
	add_packet(0, 1, BYTES(1), 1); /* of no interface */
	add_interface(RAW, 0, -1, 0);
	begin_body();
	add_number(0, 4);
	add_number(0, 8);
	add_number(100, 4); /* longer than the block */
	add_number(100, 4);
	add(BYTES(1, 2, 3, 4));
	end_body(6);
	add_packet(0, 1, BYTES(2), 1);
	open_file();
	expect_packet(1, RAW, BYTES(2), 1);
	ck_assert_uint_eq(capture_skipped(capture), 2);
	expect_end();
}
END_TEST

START_TEST(capture_refuses_blocks_that_contradict_themselves)
{
	add_section();
	add_number(6, 4);
	add_number(13, 4);
	open_file();
	expect_broken("a block of no such length");
	add_section();
	add_interface(RAW, 0, -1, 0);
	file.bytes[file.len - 1] = 1;
	open_file();
	expect_broken("two lengths differ");
	add(BYTES(0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 28, 1, 2, 3, 4));
	open_file();
	expect_broken("the mark of its byte order");
}
END_TEST

START_TEST(capture_knows_what_is_no_capture)
{
	add(BYTES(0, 0, 0, 0x1a, 0x80, 1));
	ck_assert_int_eq(open_file(), CAPTURE_RAW);
	ck_assert(slice_eq(capture_first(capture), BYTES(0, 0, 0, 0x1a)));
	close_file();
	add(BYTES(0xa1));
	ck_assert_int_eq(open_file(), CAPTURE_RAW);
	ck_assert_uint_eq(capture_first(capture).len, 1);
	close_file();
}
END_TEST

/* ---- packets ---- */

static const struct made_conn conn = {{{40000, 100}, {9000, 500}}};
static struct text made;

static struct slice made_after(struct slice before, struct slice data)
{
	text_fini(&made);
	text_add(&made, before);
	made_segment(&made, &conn, 0, TCP_ACK, 100, data);
	return slice_of(made.bytes, made.len);
}

static void expect_segment(unsigned link, struct slice s)
{
	struct segment segment;
	char room[TCP_PLACE_TEXT];

	ck_assert_int_eq(segment_read(link, s, &segment), SEGMENT_OK);
	ck_assert(slice_eq(segment.data, BYTES('h', 'i')));
	ck_assert_uint_eq(segment.length, 2);
	ck_assert_uint_eq(segment.seq, 100);
	ck_assert_str_eq(tcp_place_text(&segment.from, room), "127.0.0.1:40000");
	ck_assert_str_eq(tcp_place_text(&segment.to, room), "127.0.0.1:9000");
}

#define MAC  1, 2, 3, 4, 5, 6
#define ZERO 0, 0, 0, 0, 0, 0

START_TEST(segment_is_found_behind_every_link_header)
{
	struct slice hi = BYTES('h', 'i');

	expect_segment(101, made_after(SLICE_NONE, hi));
	expect_segment(12, made_after(SLICE_NONE, hi));
	expect_segment(228, made_after(SLICE_NONE, hi));
	expect_segment(1, made_after(BYTES(MAC, MAC, 8, 0), hi));
	expect_segment(1, made_after(BYTES(MAC, MAC, 0x81, 0, 0, 7, 8, 0), hi));
	expect_segment(1, made_after(BYTES(MAC, MAC, 0x88, 0xa8, 0, 1, 0x81, 0, 0, 7, 8, 0), hi));
	expect_segment(113, made_after(BYTES(0, 0, 0, 1, 0, 6, MAC, 0, 0, 8, 0), hi));
	expect_segment(276, made_after(BYTES(8, 0, ZERO, ZERO, ZERO), hi));
	expect_segment(0, made_after(BYTES(2, 0, 0, 0), hi));
	expect_segment(108, made_after(BYTES(0, 0, 0, 2), hi));
}
END_TEST

START_TEST(segment_leaves_out_what_an_ethernet_frame_is_filled_up_with)
{
	made_after(BYTES(MAC, MAC, 8, 0), BYTES('h', 'i'));
	text_add(&made, BYTES(ZERO));
	expect_segment(1, slice_of(made.bytes, made.len));
}
END_TEST

START_TEST(segment_is_found_behind_ipv6_extensions)
{
	uint8_t head[40] = {0x60, [6] = 0, [23] = 1, [39] = 1};
	struct segment segment;
	struct slice tcp;
	struct text s = {0};
	char room[TCP_PLACE_TEXT];

	tcp = slice_from(made_after(SLICE_NONE, BYTES('h', 'i')), 20);
	head[5] = (uint8_t)(tcp.len + 16);
	text_add(&s, slice_of(head, sizeof head));
	text_add(&s, BYTES(44, 0, 1, 4, 0, 0, 0, 0)); /* hop by hop, then: */
	text_add(&s, BYTES(6, 0, 0, 0, 0, 0, 0, 9));  /* the only fragment */
	text_add(&s, tcp);
	ck_assert_int_eq(segment_read(101, slice_of(s.bytes, s.len), &segment), SEGMENT_OK);
	ck_assert(slice_eq(segment.data, BYTES('h', 'i')));
	ck_assert_str_eq(tcp_place_text(&segment.from, room), "[::1]:40000");
	s.bytes[51] = 1; /* more of them */
	ck_assert_int_eq(segment_read(101, slice_of(s.bytes, s.len), &segment), SEGMENT_FRAGMENT);
	text_fini(&s);
}
END_TEST

START_TEST(segment_that_was_cut_tells_how_long_it_was)
{
	struct slice s = made_after(SLICE_NONE, BYTES('h', 'i', 't', 'h', 'e', 'r', 'e'));
	struct segment segment;

	ck_assert_int_eq(segment_read(101, slice_first(s, s.len - 5), &segment), SEGMENT_OK);
	ck_assert(slice_eq(segment.data, BYTES('h', 'i')));
	ck_assert_uint_eq(segment.length, 7);
}
END_TEST

START_TEST(segment_that_is_none_is_told_apart)
{
	struct segment segment;
	struct slice s = made_after(SLICE_NONE, BYTES('h', 'i'));

	ck_assert_int_eq(segment_read(4711, s, &segment), SEGMENT_LINK);
	ck_assert_int_eq(segment_read(1, BYTES(MAC, MAC, 8, 6, 0), &segment), SEGMENT_OTHER);
	for (size_t len = 0; len < 40; len++)
		ck_assert_int_eq(segment_read(101, slice_first(s, len), &segment), SEGMENT_BAD);
	made.bytes[6] = 0x20;
	ck_assert_int_eq(segment_read(101, s, &segment), SEGMENT_FRAGMENT);
	made.bytes[6] = 0;
	made.bytes[9] = 17; /* UDP */
	ck_assert_int_eq(segment_read(101, s, &segment), SEGMENT_OTHER);
	made.bytes[9] = 6;
	made.bytes[32] = 0x40; /* a header of 16 bytes */
	ck_assert_int_eq(segment_read(101, s, &segment), SEGMENT_BAD);
	made.bytes[32] = (char)0xf0; /* one that is longer than the packet */
	ck_assert_int_eq(segment_read(101, s, &segment), SEGMENT_BAD);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {capture_reads_pcap_in_both_orders_and_both_resolutions, 4},
	    {capture_that_ends_within_a_packet_gives_those_before_it, 1},
	    {capture_passes_over_packets_that_are_too_long, 1},
	    {capture_never_believes_a_length, 1},
	    {capture_reads_sections_and_interfaces_of_pcapng, 1},
	    {capture_reads_times_of_any_resolution, 1},
	    {capture_skips_packets_that_contradict_their_block, 1},
	    {capture_refuses_blocks_that_contradict_themselves, 1},
	    {capture_knows_what_is_no_capture, 1},
	    {segment_is_found_behind_every_link_header, 1},
	    {segment_leaves_out_what_an_ethernet_frame_is_filled_up_with, 1},
	    {segment_is_found_behind_ipv6_extensions, 1},
	    {segment_that_was_cut_tells_how_long_it_was, 1},
	    {segment_that_is_none_is_told_apart, 1},
	};

	return suite_run_between("capture", tests, ARRAY_LEN(tests), NULL, NULL);
}
