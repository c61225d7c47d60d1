#include "ctl/tcp_streams.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/text.h"
#include "support/bytes.h"
#include "support/suite.h"

#define AT (1000 * USEC_S)

/* What was told, in words: "0:ab" bytes of side 0, "1?5" five missing of side 1, "0." its end, "!"
 * a reset, "-" the connection is gone. */
static struct text told;
static struct tcp_streams streams;
static usec_t now;

static void on_bytes(
    void *arg, struct tcp_stream *stream, unsigned side, usec_t at, struct slice bytes)
{
	(void)arg;
	(void)stream;
	(void)at;
	text_printf(&told, "%u:", side);
	text_add(&told, bytes);
	text_add_str(&told, " ");
}

static void on_missing(void *arg, struct tcp_stream *stream, unsigned side, usec_t at, uint32_t n)
{
	(void)arg;
	(void)stream;
	(void)at;
	text_printf(&told, "%u?%u ", side, n);
}

static void on_ended(void *arg, struct tcp_stream *stream, unsigned side, usec_t at, bool is_reset)
{
	(void)arg;
	(void)stream;
	(void)at;
	text_printf(&told, "%u%s ", side, is_reset ? "!" : ".");
}

static void on_gone(void *arg, struct tcp_stream *stream)
{
	(void)arg;
	(void)stream;
	text_add_str(&told, "- ");
}

static const struct tcp_events events = {
    .bytes = on_bytes, .missing = on_missing, .ended = on_ended, .gone = on_gone};

static void begin_with(unsigned connections, size_t kept)
{
	struct tcp_limits limits = {.connections = connections, .kept = kept};

	tcp_streams_init(&streams, &limits, &events, NULL);
	now = AT;
}

static void begin(void)
{
	begin_with(16, 1 << 20);
}

static void end(void)
{
	tcp_streams_fini(&streams);
	text_fini(&told);
}

/* A segment of the connection between ports 1 and 2, or @port and 2. */
static void take_from(
    uint16_t port, unsigned side, unsigned flags, uint32_t seq, uint32_t ack, struct slice data)
{
	struct segment s = {.seq = seq, .ack = ack, .flags = (uint8_t)flags, .data = data};

	s.length = (uint32_t)data.len;
	s.from.port = side ? 2 : port;
	s.to.port = side ? port : 2;
	tcp_streams_take(&streams, &s, now);
}

static void take(unsigned side, unsigned flags, uint32_t seq, uint32_t ack, const char *data)
{
	take_from(1, side, flags, seq, ack, slice_str(data));
}

static void say(unsigned side, uint32_t seq, const char *data)
{
	take(side, 0, seq, 0, data);
}

static void expect(const char *words)
{
	text_add(&told, SLICE_LIT("\0"));
	ck_assert_str_eq(told.bytes, words);
	told.len = 0;
}

static void shake_hands(void)
{
	take(0, TCP_SYN, 99, 0, "");
	take(1, TCP_SYN | TCP_ACK, 499, 100, "");
	take(0, TCP_ACK, 100, 500, "");
}

START_TEST(streams_give_out_bytes_in_order)
{
	shake_hands();
	say(0, 100, "ab");
	say(1, 500, "xy");
	say(0, 102, "c");
	expect("0:ab 1:xy 0:c ");
}
END_TEST

START_TEST(streams_wait_for_what_comes_late)
{
	shake_hands();
	say(0, 104, "ef");
	say(0, 102, "cd");
	say(0, 106, "g");
	expect("");
	say(0, 100, "ab");
	expect("0:ab 0:cd 0:ef 0:g ");
}
END_TEST

START_TEST(streams_give_out_nothing_twice)
{
	shake_hands();
	say(0, 100, "abcd");
	say(0, 100, "abcd");
	say(0, 102, "XXe");
	say(0, 107, "h");
	say(0, 107, "h");
	say(0, 106, "gH");
	say(0, 104, "Xf");
	expect("0:abcd 0:e 0:f 0:gH ");
}
END_TEST

START_TEST(streams_follow_numbers_that_go_round)
{
	take(0, TCP_SYN, UINT32_MAX - 2, 0, "");
	say(0, 1, "d");
	say(0, UINT32_MAX - 1, "ab");
	expect("0:ab ");
	say(0, 0, "c");
	expect("0:c 0:d ");
}
END_TEST

START_TEST(streams_begin_in_the_midst)
{
	say(1, 5000, "xy");
	say(0, 7000, "ab");
	say(1, 5002, "z");
	expect("0:xy 1:ab 0:z "); /* who spoke first is side 0 */
}
END_TEST

START_TEST(streams_are_not_begun_by_what_says_nothing)
{
	take(0, TCP_ACK, 100, 1, "");
	take(1, TCP_RST, 100, 1, "");
	take(1, TCP_FIN, 100, 1, "");
	expect("");
	ck_assert_uint_eq(streams.by_key.used, 0);
}
END_TEST

START_TEST(streams_give_a_hole_up_when_it_was_acknowledged_a_while_ago)
{
	shake_hands();
	say(0, 102, "cd");
	take(1, TCP_ACK, 500, 104, "");
	expect("");
	now += TCP_HOLE_WAIT / 2;
	take(1, TCP_ACK, 500, 104, "");
	expect("");
	now += TCP_HOLE_WAIT;
	take(1, TCP_ACK, 500, 104, "");
	expect("0?2 0:cd ");
	say(0, 100, "ab");
	expect("");
}
END_TEST

START_TEST(streams_give_a_hole_up_when_what_was_in_it_is_answered)
{
	shake_hands();
	say(0, 102, "cd");
	take(1, TCP_ACK, 500, 104, "");
	expect("");
	take(1, TCP_ACK, 500, 104, "xy");
	expect("0?2 0:cd 1:xy ");
}
END_TEST

START_TEST(streams_tell_of_bytes_that_only_an_acknowledgement_knows)
{
	shake_hands();
	take(1, TCP_ACK, 500, 150, "");
	now += 2 * TCP_HOLE_WAIT;
	take(1, TCP_ACK, 500, 150, "");
	expect("0?50 ");
	say(0, 150, "a");
	expect("0:a ");
}
END_TEST

START_TEST(streams_keep_no_more_behind_a_hole_than_they_may)
{
	shake_hands();
	for (uint32_t i = 0; i < TCP_PIECES_MAX; i++)
		say(0, 102 + 2 * i, "x");
	expect("");
	say(0, 102 + 2 * TCP_PIECES_MAX, "y");
	text_add(&told, SLICE_LIT("\0"));
	ck_assert(strncmp(told.bytes, "0?2 0:x ", 8) == 0);
}
END_TEST

START_TEST(streams_tell_what_was_cut_off_when_it_was_captured)
{
	struct segment s = {.seq = 100, .length = 10, .data = BYTES('a', 'b')};

	shake_hands();
	s.from.port = 1;
	s.to.port = 2;
	tcp_streams_take(&streams, &s, now);
	say(0, 110, "k");
	expect("0:ab 0?8 0:k ");
}
END_TEST

START_TEST(streams_end_when_both_sides_have)
{
	shake_hands();
	take(0, TCP_FIN, 100, 500, "ab");
	expect("0:ab 0. ");
	take(1, TCP_FIN | TCP_ACK, 502, 103, "");
	expect("");
	say(1, 500, "xy");
	expect("1:xy 1. - ");
	take(0, TCP_ACK, 103, 503, "");
	expect("");
	ck_assert_uint_eq(streams.by_key.used, 0);
}
END_TEST

START_TEST(streams_that_are_reset_give_out_what_they_have)
{
	shake_hands();
	say(0, 102, "c");
	take(1, TCP_RST, 500, 0, "");
	expect("0?2 0:c 1! - ");
}
END_TEST

START_TEST(streams_begin_anew_when_ports_are_used_again)
{
	shake_hands();
	say(0, 100, "ab");
	take(0, TCP_SYN, 9000, 0, "");
	expect("0:ab - ");
	take(0, TCP_SYN, 9000, 0, ""); /* sent again */
	say(0, 9001, "c");
	expect("0:c ");
}
END_TEST

START_TEST(streams_forget_those_that_were_silent_longest)
{
	end();
	begin_with(2, 1 << 20);
	take_from(11, 0, 0, 1, 0, BYTES('a'));
	take_from(12, 0, 0, 1, 0, BYTES('b'));
	take_from(11, 0, 0, 2, 0, BYTES('c'));
	take_from(13, 0, 0, 1, 0, BYTES('d'));
	expect("0:a 0:b 0:c - 0:d ");
	take_from(11, 0, 0, 3, 0, BYTES('e'));
	expect("0:e ");
	ck_assert_uint_eq(streams.evicted, 1);
}
END_TEST

START_TEST(streams_hold_no_more_than_they_may)
{
	end();
	begin_with(16, 10);
	take_from(11, 0, TCP_SYN, 0, 0, SLICE_NONE);
	take_from(11, 0, 0, 2, 0, slice_str("12345678"));
	take_from(12, 0, TCP_SYN, 0, 0, SLICE_NONE);
	expect("");
	take_from(12, 0, 0, 2, 0, slice_str("abcd"));
	expect("0?1 0:12345678 - ");
	ck_assert_uint_eq(streams.kept, 4);
}
END_TEST

/* Pieces of chance, in an order of chance, sent again and overlapping. */
START_TEST(streams_put_any_order_right)
{
	char whole[400], *at;
	struct rng rng;
	size_t got = 0;

	rng_init(&rng, (uint64_t)_i);
	for (size_t i = 0; i < sizeof whole; i++)
		whole[i] = (char)('a' + rng_below(&rng, 26));
	shake_hands();
	for (unsigned n = 0; n < 200 + sizeof whole; n++) {
		bool is_chance = n < 200; /* in the end all of it comes */
		uint32_t from = is_chance ? (uint32_t)rng_below(&rng, sizeof whole) : n - 200;
		uint32_t len = is_chance ? (uint32_t)rng_below(&rng, 20) : 1;

		if (from + len > sizeof whole)
			len = (uint32_t)sizeof whole - from;
		take_from(1, 0, 0, 100 + from, 0, slice_of(whole + from, len));
	}
	text_add(&told, SLICE_LIT("\0"));
	for (char *word = strtok_r(told.bytes, " ", &at); word; word = strtok_r(NULL, " ", &at)) {
		ck_assert(word[0] == '0' && word[1] == ':');
		ck_assert(memcmp(whole + got, word + 2, strlen(word + 2)) == 0);
		got += strlen(word + 2);
	}
	ck_assert_uint_eq(got, sizeof whole);
	told.len = 0;
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {streams_give_out_bytes_in_order, 1},
	    {streams_wait_for_what_comes_late, 1},
	    {streams_give_out_nothing_twice, 1},
	    {streams_follow_numbers_that_go_round, 1},
	    {streams_begin_in_the_midst, 1},
	    {streams_are_not_begun_by_what_says_nothing, 1},
	    {streams_give_a_hole_up_when_it_was_acknowledged_a_while_ago, 1},
	    {streams_give_a_hole_up_when_what_was_in_it_is_answered, 1},
	    {streams_tell_of_bytes_that_only_an_acknowledgement_knows, 1},
	    {streams_keep_no_more_behind_a_hole_than_they_may, 1},
	    {streams_tell_what_was_cut_off_when_it_was_captured, 1},
	    {streams_end_when_both_sides_have, 1},
	    {streams_that_are_reset_give_out_what_they_have, 1},
	    {streams_begin_anew_when_ports_are_used_again, 1},
	    {streams_forget_those_that_were_silent_longest, 1},
	    {streams_hold_no_more_than_they_may, 1},
	    {streams_put_any_order_right, 20},
	};

	return suite_run_between("tcp_streams", tests, ARRAY_LEN(tests), begin, end);
}
