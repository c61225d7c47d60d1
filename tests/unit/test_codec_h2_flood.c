/*
 * HTTP/2: what costs us and brings no call, kind by kind: what each limit lets through, that it
 * strikes and says so, and that well-behaved peers never meet one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/http2_limits.h"
#include "base/mem.h"
#include "support/h2_end.h"
#include "support/suite.h"

#define MORE_THAN_ALLOWED 20000u

static struct h2_end down, up;
static struct written w;
static usec_t now;

static void begin(void)
{
	now = USEC_S;
	h2_end_open(&down, CODEC_DOWNSTREAM, NULL);
	codec_set_now(down.codec, now);
	h2_preface(&w);
	h2_end_hears(&down, &w);
	h2_end_frames(&down);
	h2_end_open(&up, CODEC_UPSTREAM, NULL);
	codec_set_now(up.codec, now);
	codec_pump(up.codec);
	h2_frame(&w, H2_SETTINGS, 0, 0, SLICE_NONE);
	h2_end_hears(&up, &w);
	h2_end_frames(&up);
}

static void end(void)
{
	h2_end_close(&down);
	h2_end_close(&up);
	written_fini(&w);
}

static void reopen(const struct codec_limits *limits)
{
	h2_end_close(&down);
	h2_end_open(&down, CODEC_DOWNSTREAM, limits);
	codec_set_now(down.codec, now);
	h2_preface(&w);
	h2_end_hears(&down, &w);
	h2_end_frames(&down);
}

static void pass_time(usec_t wait)
{
	now += wait;
	codec_set_now(down.codec, now);
}

/* One event after the other, until the connection ends. Returns how many were let through. */
static unsigned flood(struct h2_end *e, void (*make)(unsigned i))
{
	for (unsigned i = 0; i < MORE_THAN_ALLOWED; i++) {
		make(i);
		h2_end_hears(e, &w);
		e->out.len = e->refused ? e->out.len : 0;
		if (e->refused)
			return i;
	}
	return MORE_THAN_ALLOWED;
}

/* The last things said, to the proxy and to the peer. */
static void must_strike(struct h2_end *e, const char *reason, const char *key, unsigned code)
{
	char expected[128];
	const char *log = h2_end_log(e), *frames;

	snprintf(expected, sizeof expected, "refused %s: %s: ", reason, key);
	if (strstr(log, expected) == NULL)
		ck_assert_str_eq(log, expected);
	frames = h2_end_frames(e);
	snprintf(expected, sizeof expected, " %u %s: ", code, key);
	if (strstr(frames, "GOAWAY") == NULL || strstr(frames, expected) == NULL)
		ck_assert_str_eq(frames, expected);
}

/* ---- resets ---- */

static void make_rapid_reset(unsigned i)
{
	h2_call(&w, 0, 2 * i + 1, "");
	h2_frame_u32(&w, H2_RST_STREAM, 2 * i + 1, 8);
}

START_TEST(rapid_resets_strike_after_their_burst)
{
	down.owns_none = true; /* the proxy lets go of each at once */
	ck_assert_uint_eq(flood(&down, make_rapid_reset), 1000);
	must_strike(&down, "overload", "http2.resets", 11);
}
END_TEST

START_TEST(resets_at_the_rate_never_strike)
{
	down.owns_none = true;
	for (unsigned i = 0; i < 5000; i++) {
		make_rapid_reset(i);
		h2_end_hears(&down, &w);
		if (i > 900)
			pass_time(USEC_S / 33 + 1);
	}
	ck_assert_uint_eq(down.refused, 0);
}
END_TEST

/* The caller makes us reset streams. */
static void make_bad_update(unsigned i)
{
	h2_call(&w, 0, 2 * i + 1, "");
	h2_frame_u32(&w, H2_WINDOW_UPDATE, 2 * i + 1, INT32_MAX);
}

START_TEST(resets_that_we_are_made_to_send_count_too)
{
	down.owns_none = true;
	ck_assert_uint_eq(flood(&down, make_bad_update), 1000);
	must_strike(&down, "overload", "http2.resets", 11);
}
END_TEST

static void make_bad_head(unsigned i)
{
	h2_headers(&w, H2_END_STREAM, 2 * i + 1, ":method POST\n:path /\nUpper 1\n");
}

START_TEST(malformed_heads_count_as_resets)
{
	ck_assert_uint_eq(flood(&down, make_bad_head), 1000);
	must_strike(&down, "overload", "http2.resets", 11);
}
END_TEST

START_TEST(cancelled_calls_count_until_the_proxy_lets_go)
{
	for (unsigned i = 0; i < 100; i++)
		make_rapid_reset(i);
	h2_end_hears(&down, &w);
	h2_end_log(&down);
	h2_end_frames(&down);
	h2_call(&w, 0, 201, "");
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_frames(&down), "RST_STREAM 201 7\n");
	ck_assert_str_eq(h2_end_log(&down), "");
	codec_own(down.codec, 1, NULL);
	h2_call(&w, 0, 203, "");
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 203 POST /pkg.Service/Method\n");
}
END_TEST

START_TEST(an_endpoint_may_reset_as_many_streams_as_we_open)
{
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t id = h2_end_begin(&up, "/p.S/M", "", false);

		h2_frame_u32(&w, H2_RST_STREAM, id, 8);
		h2_end_hears(&up, &w);
	}
	ck_assert_uint_eq(up.refused, 0);
}
END_TEST

/* ---- streams beyond those allowed ---- */

static void make_call(unsigned i)
{
	h2_call(&w, 0, 2 * i + 1, "");
}

START_TEST(streams_beyond_the_limit_are_refused_one_by_one)
{
	unsigned n = 0;

	for (unsigned i = 0; i < 150; i++)
		make_call(i);
	h2_end_hears(&down, &w);
	ck_assert_uint_eq(down.refused, 0);
	for (const char *at = h2_end_frames(&down); (at = strstr(at, "RST_STREAM")); at++)
		n++;
	ck_assert_uint_eq(n, 50);
	h2_end_log(&down);
	/* Once there is room again the next is served, and those before it do not matter. */
	h2_end_reply(&down, 1, 200, "", true);
	make_call(150);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 301 POST /pkg.Service/Method\n");
}
END_TEST

START_TEST(too_many_refused_streams_strike)
{
	ck_assert_uint_eq(flood(&down, make_call), 200); /* 100 are served, 100 refused */
	must_strike(&down, "overload", "http2.refused_streams", 11);
}
END_TEST

/* ---- control frames ---- */

static void make_ping(unsigned i)
{
	(void)i;
	h2_frame(&w, H2_PING, 0, 0, SLICE_LIT("12345678"));
}

static void make_settings(unsigned i)
{
	(void)i;
	h2_setting(&w, 4, 65535);
}

static void make_unknown(unsigned i)
{
	h2_frame(&w, 200, 0, i % 3, SLICE_LIT("?"));
}

static void make_priority(unsigned i)
{
	h2_frame(&w, H2_PRIORITY, 0, 2 * i + 1, SLICE_LIT("\0\0\0\0\1"));
}

static void make_update(unsigned i)
{
	(void)i;
	h2_frame_u32(&w, H2_WINDOW_UPDATE, 0, 1);
}

static const struct {
	void (*make)(unsigned i);
	unsigned allowed;
	const char *key;
} controls[] = {
    {make_ping, 199, "http2.control_frames"}, /* the first SETTINGS were one */
    {make_settings, 199, "http2.control_frames"},
    {make_unknown, 199, "http2.control_frames"},
    {make_priority, 100 + 199, "http2.priorities"},
    {make_update, 10 + 199, "http2.window_updates"},
};

START_TEST(control_frames_strike_after_their_burst)
{
	ck_assert_uint_eq(flood(&down, controls[_i].make), controls[_i].allowed);
	must_strike(&down, "overload", controls[_i].key, 11);
}
END_TEST

START_TEST(control_frames_of_an_endpoint_strike_too)
{
	ck_assert_uint_eq(flood(&up, make_ping), 199);
	must_strike(&up, "overload", "http2.control_frames", 11);
}
END_TEST

START_TEST(control_frames_at_the_rate_never_strike)
{
	for (unsigned i = 0; i < 1000; i++) {
		controls[_i].make(i);
		h2_end_hears(&down, &w);
		pass_time(USEC_S / 20);
	}
	ck_assert_uint_eq(down.refused, 0);
}
END_TEST

START_TEST(pings_that_measure_a_busy_connection_are_free)
{
	h2_call(&w, 0, 1, "");
	for (unsigned i = 0; i < 2000; i++) {
		h2_message(&w, 0, 1, 1);
		make_ping(i);
		h2_end_hears(&down, &w);
		codec_credit(down.codec, 1, 6);
	}
	ck_assert_uint_eq(down.refused, 0);
}
END_TEST

START_TEST(updates_of_windows_that_we_fill_are_free)
{
	h2_call(&w, H2_END_STREAM, 1, "");
	h2_end_hears(&down, &w);
	h2_end_reply(&down, 1, 200, "", false);
	for (unsigned i = 0; i < 3000; i++) {
		codec_send_data(down.codec, 1, SLICE_LIT("some"), false);
		h2_frame_u32(&w, H2_WINDOW_UPDATE, 0, 4);
		h2_frame_u32(&w, H2_WINDOW_UPDATE, 1, 4);
		h2_end_hears(&down, &w);
	}
	ck_assert_uint_eq(down.refused, 0);
}
END_TEST

START_TEST(acknowledgements_that_nobody_reads_strike)
{
	struct http2_limits http2 = http2_limits_default;
	struct codec_limits limits = h2_end_limits;

	http2.control_frames.burst = HTTP2_NO_LIMIT;
	limits.http2 = &http2;
	reopen(&limits);
	down.is_full = true;
	ck_assert_uint_le(flood(&down, make_ping), 101);
	ck_assert_ptr_nonnull(strstr(h2_end_log(&down), "refused overload: http2.unread_acks: "));
}
END_TEST

START_TEST(acknowledgements_that_are_read_never_strike)
{
	struct http2_limits http2 = http2_limits_default;
	struct codec_limits limits = h2_end_limits;

	http2.control_frames.burst = HTTP2_NO_LIMIT;
	limits.http2 = &http2;
	reopen(&limits);
	ck_assert_uint_eq(flood(&down, make_ping), MORE_THAN_ALLOWED);
}
END_TEST

/* ---- data ---- */

static void make_empty_data(unsigned i)
{
	if (i == 0)
		h2_call(&w, 0, 1, "");
	h2_frame(&w, H2_DATA, 0, 1, SLICE_NONE);
}

static void make_padding(unsigned i)
{
	if (i == 0)
		h2_call(&w, 0, 1, "");
	h2_frame(&w, H2_DATA, H2_PADDED, 1, SLICE_LIT("\3\0\0\0"));
}

START_TEST(empty_data_strikes)
{
	ck_assert_uint_eq(flood(&down, make_empty_data), 10);
	must_strike(&down, "malformed", "http2.empty_data", 1);
}
END_TEST

START_TEST(data_of_padding_alone_strikes)
{
	ck_assert_uint_eq(flood(&down, make_padding), 10);
	must_strike(&down, "malformed", "http2.empty_data", 1);
}
END_TEST

START_TEST(empty_data_between_data_does_not_strike)
{
	h2_call(&w, 0, 1, "");
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned j = 0; j < 10; j++)
			h2_frame(&w, H2_DATA, 0, 1, SLICE_NONE);
		h2_message(&w, 0, 1, 1);
	}
	h2_end_hears(&down, &w);
	ck_assert_uint_eq(down.refused, 0);
}
END_TEST

START_TEST(empty_data_that_ends_streams_does_not_strike)
{
	for (unsigned i = 0; i < 100; i++) {
		h2_call(&w, 0, 2 * i + 1, "");
		h2_frame(&w, H2_DATA, H2_END_STREAM, 2 * i + 1, SLICE_NONE);
	}
	h2_end_hears(&down, &w);
	ck_assert_uint_eq(down.refused, 0);
}
END_TEST

START_TEST(empty_messages_are_messages)
{
	h2_call(&w, 0, 1, "");
	for (unsigned i = 0; i < 1000; i++)
		h2_message(&w, 0, 1, 0);
	h2_end_hears(&down, &w);
	ck_assert_uint_eq(down.refused, 0);
	ck_assert_uint_eq(down.body.len, 5000);
}
END_TEST

/* ---- header blocks ---- */

START_TEST(continuations_strike)
{
	h2_frame(&w, H2_HEADERS, 0, 1, SLICE_NONE);
	for (unsigned i = 0; i < 8; i++)
		h2_frame(&w, H2_CONTINUATION, 0, 1, SLICE_NONE);
	h2_end_hears(&down, &w);
	ck_assert_uint_eq(down.refused, 0);
	h2_frame(&w, H2_CONTINUATION, 0, 1, SLICE_NONE);
	h2_end_hears(&down, &w);
	must_strike(&down, "overload", "http2.continuations", 11);
}
END_TEST

START_TEST(eight_continuations_are_a_call)
{
	struct written block = {0};
	struct slice bytes;

	h2_block(&block, ":method POST\n:scheme http\n:path /p.S/M\n:authority a\n");
	bytes = written_slice(&block);
	h2_frame(&w, H2_HEADERS, H2_END_STREAM, 1, slice_first(bytes, 1));
	for (unsigned i = 0; i < 7; i++)
		h2_frame(&w, H2_CONTINUATION, 0, 1, slice_sub(bytes, i + 1, 1));
	h2_frame(&w, H2_CONTINUATION, H2_END_HEADERS, 1, slice_from(bytes, 8));
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /p.S/M end\n");
	written_fini(&block);
}
END_TEST

START_TEST(a_block_without_end_strikes)
{
	uint8_t *junk = mem_calloc(1, 16384);

	memset(junk, 0x82, 16384); /* :method GET, again and again */
	h2_frame(&w, H2_HEADERS, 0, 1, slice_of(junk, 16384));
	for (unsigned i = 0; i < 5; i++)
		h2_frame(&w, H2_CONTINUATION, 0, 1, slice_of(junk, 16384));
	h2_end_hears(&down, &w);
	must_strike(&down, "overload", "max_header", 11);
	ck_assert_uint_le(down.most_held, 200000);
	free(junk);
}
END_TEST

/* A field of 4 KB goes into the table once, and is then said by a byte each. */
static void make_bomb(unsigned i)
{
	struct written block = {0};
	char *value = mem_alloc(3900);

	memset(value, 'v', 3900);
	h2_block(&block, ":method POST\n:scheme http\n:path /\n:authority a\n");
	h2_put(&block, SLICE_LIT("\x40\x01x\x7f\xbd\x1d")); /* literal with indexing; 3900 bytes */
	h2_put(&block, slice_of(value, 3900));
	for (unsigned n = 0; n < 10000; n++)
		h2_put(&block, SLICE_LIT("\xbe"));
	h2_frame(&w, H2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 2 * i + 1, written_slice(&block));
	free(value);
	written_fini(&block);
}

START_TEST(a_compressed_bomb_is_defused)
{
	for (unsigned i = 0; i < 100; i++) {
		make_bomb(i);
		h2_end_hears(&down, &w);
	}
	ck_assert_str_eq(h2_end_log(&down), "");
	ck_assert_uint_le(down.most_held, 300000);
	ck_assert_uint_eq(codec_held(down.codec), 0);
	ck_assert_uint_eq(down.refused, 0); /* yet: each counts as a reset */
	for (unsigned i = 100; i < 1100 && down.refused == 0; i++) {
		make_bomb(i);
		h2_end_hears(&down, &w);
	}
	ck_assert_ptr_nonnull(strstr(h2_end_log(&down), "refused overload: http2.resets: "));
}
END_TEST

START_TEST(too_many_fields_reset_the_stream)
{
	struct written fields = {0};

	for (unsigned i = 0; i < 194; i++)
		h2_put(&fields, SLICE_LIT("a b\n"));
	h2_put(&fields, SLICE_LIT("\0"));
	h2_call(&w, H2_END_STREAM, 1, (const char *)fields.bytes); /* 200 with its own two */
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /pkg.Service/Method end\n");
	fields.len--;
	for (unsigned i = 0; i < 5; i++)
		h2_put(&fields, SLICE_LIT("a b\n"));
	h2_put(&fields, SLICE_LIT("\0"));
	h2_call(&w, H2_END_STREAM, 3, (const char *)fields.bytes);
	h2_end_frames(&down);
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "");
	ck_assert_str_eq(h2_end_frames(&down), "RST_STREAM 3 11\n");
	h2_call(&w, H2_END_STREAM, 5, "");
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 5 POST /pkg.Service/Method end\n");
	written_fini(&fields);
}
END_TEST

START_TEST(a_header_list_too_long_resets_the_stream)
{
	struct codec_limits limits = h2_end_limits;

	limits.max_header = 400;
	reopen(&limits);
	h2_call(&w, H2_END_STREAM, 1, "a 0123456789\n");
	h2_call(&w, H2_END_STREAM, 3, "a 0123456789\nb 0123456789\nc 0123456789\n");
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down), "call 1 POST /pkg.Service/Method end\n");
	ck_assert_str_eq(h2_end_frames(&down), "RST_STREAM 3 11\n");
}
END_TEST

START_TEST(trailers_too_long_end_their_call)
{
	struct codec_limits limits = h2_end_limits;

	limits.max_header = 400;
	reopen(&limits);
	h2_call(&w, 0, 1, "");
	h2_headers(&w, H2_END_STREAM, 1,
	    "a 0123456789\nb 0123456789\nc 0123456789\nd 0123456789\ne 0123456789\nf 0123456789\n"
	    "g 0123456789\nh 0123456789\ni 0123456789\nj 0123456789\n");
	h2_end_hears(&down, &w);
	ck_assert_str_eq(h2_end_log(&down),
	    "call 1 POST /pkg.Service/Method\n"
	    "reset 1 too_large 11: the header list is longer than max_header\n");
	ck_assert_str_eq(h2_end_frames(&down), "RST_STREAM 1 11\n");
}
END_TEST

/* ---- however it comes ---- */

START_TEST(a_strike_does_not_depend_on_cuts)
{
	static const size_t steps[] = {0, 1, 5, 9, 10, 100, 1000};

	for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
		reopen(NULL);
		h2_end_log(&down);
		h2_call(&w, 0, 1, "");
		for (unsigned n = 0; n < 199; n++)
			make_ping(n);
		h2_call(&w, 0, 3, "");
		make_ping(0);
		h2_call(&w, 0, 5, ""); /* never seen */
		h2_end_feed_in(&down, written_slice(&w), steps[i]);
		w.len = 0;
		ck_assert_str_eq(h2_end_log(&down),
		    "call 1 POST /pkg.Service/Method\ncall 3 POST /pkg.Service/Method\n"
		    "refused overload: http2.control_frames: too many control frames\n");
	}
}
END_TEST

START_TEST(no_limit_is_none)
{
	struct http2_limits http2 = {
	    .resets = {HTTP2_NO_LIMIT, {1, USEC_S}},
	    .control_frames = {HTTP2_NO_LIMIT, {1, USEC_S}},
	    .unread_acks = HTTP2_NO_LIMIT,
	    .continuations = HTTP2_NO_LIMIT,
	    .header_fields = HTTP2_NO_LIMIT,
	    .empty_data = HTTP2_NO_LIMIT,
	    .priorities = HTTP2_NO_LIMIT,
	    .window_updates = HTTP2_NO_LIMIT,
	    .refused_streams = HTTP2_NO_LIMIT,
	};
	struct codec_limits limits = h2_end_limits;

	limits.http2 = &http2;
	reopen(&limits);
	for (unsigned i = 0; i < 3000; i++) {
		make_rapid_reset(i);
		make_ping(i);
		make_unknown(i);
		make_update(i);
		h2_end_hears(&down, &w);
	}
	ck_assert_uint_eq(down.refused, 0);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {rapid_resets_strike_after_their_burst, 1},
	    {resets_at_the_rate_never_strike, 1},
	    {resets_that_we_are_made_to_send_count_too, 1},
	    {malformed_heads_count_as_resets, 1},
	    {cancelled_calls_count_until_the_proxy_lets_go, 1},
	    {an_endpoint_may_reset_as_many_streams_as_we_open, 1},
	    {streams_beyond_the_limit_are_refused_one_by_one, 1},
	    {too_many_refused_streams_strike, 1},
	    {control_frames_strike_after_their_burst, ARRAY_LEN(controls)},
	    {control_frames_of_an_endpoint_strike_too, 1},
	    {control_frames_at_the_rate_never_strike, ARRAY_LEN(controls)},
	    {pings_that_measure_a_busy_connection_are_free, 1},
	    {updates_of_windows_that_we_fill_are_free, 1},
	    {acknowledgements_that_nobody_reads_strike, 1},
	    {acknowledgements_that_are_read_never_strike, 1},
	    {empty_data_strikes, 1},
	    {data_of_padding_alone_strikes, 1},
	    {empty_data_between_data_does_not_strike, 1},
	    {empty_data_that_ends_streams_does_not_strike, 1},
	    {empty_messages_are_messages, 1},
	    {continuations_strike, 1},
	    {eight_continuations_are_a_call, 1},
	    {a_block_without_end_strikes, 1},
	    {a_compressed_bomb_is_defused, 1},
	    {too_many_fields_reset_the_stream, 1},
	    {a_header_list_too_long_resets_the_stream, 1},
	    {trailers_too_long_end_their_call, 1},
	    {a_strike_does_not_depend_on_cuts, 1},
	    {no_limit_is_none, 1},
	};

	return suite_run_between("codec_h2_flood", tests, ARRAY_LEN(tests), begin, end);
}
