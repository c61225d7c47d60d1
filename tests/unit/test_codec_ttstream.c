/*
 * The codec of TTHeader Streaming: what is heard however the bytes are cut, what is passed on, and
 * what is no stream at all.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "support/frames.h"
#include "support/suite.h"
#include "support/tts_pair.h"

/* ---- hearing ---- */

static const char *const client_goldens[] = {"30_tts_client_header_data_trailer"};
static const char *const server_goldens[] = {"31_tts_server_ok", "32_tts_server_error_trailer",
    "33_tts_server_biz_trailer", "35_tts_proxy_rst"};

/* A stream to be read at this side; upstream it is number 1. */
static struct slice stream_for(enum codec_side side, int i)
{
	struct slice all, rst, joined;

	if (side == CODEC_UPSTREAM)
		return tts_golden_stream(server_goldens[i], 1);
	all = tts_golden_stream(client_goldens[0], 1);
	rst = tts_golden_stream("34_tts_client_rst", 1);
	joined = frame_join(all, rst);
	frame_free(&all);
	frame_free(&rst);
	return joined;
}

static void hear(struct tts_end *e, enum codec_side side, struct slice all, size_t cut, size_t step)
{
	struct slice header = tts_frame_of('2', 1, SLICE_NONE);

	tts_end_open(e, side, &tts_limits);
	if (side == CODEC_UPSTREAM)
		tts_end_begin(e, header);
	if (cut)
		tts_end_feed(e, slice_first(all, cut));
	tts_end_feed_in(e, slice_from(all, cut), step);
	frame_free(&header);
}

static void check_cuts(enum codec_side side, int i)
{
	struct slice all = stream_for(side, i);
	struct tts_end whole, cut;
	const char *what;

	hear(&whole, side, all, 0, 0);
	ck_assert_uint_gt(whole.n, 0);
	for (size_t at = 1; at < all.len; at++) {
		hear(&cut, side, all, at, 0);
		what = tts_end_difference(&whole, &cut);
		ck_assert_msg(what == NULL, "cut at %zu: %s", at, what);
		tts_end_close(&cut);
	}
	for (size_t step = 1; step < 20; step++) {
		hear(&cut, side, all, 0, step);
		what = tts_end_difference(&whole, &cut);
		ck_assert_msg(what == NULL, "steps of %zu: %s", step, what);
		ck_assert_uint_eq(codec_held(cut.codec), 0);
		tts_end_close(&cut);
	}
	tts_end_close(&whole);
	frame_free(&all);
}

START_TEST(a_callers_golden_stream_is_heard_the_same_wherever_it_is_cut)
{
	check_cuts(CODEC_DOWNSTREAM, 0);
}
END_TEST

START_TEST(an_endpoints_golden_stream_is_heard_the_same_wherever_it_is_cut)
{
	check_cuts(CODEC_UPSTREAM, _i);
}
END_TEST

START_TEST(a_callers_stream_is_heard_as_it_is)
{
	struct slice all = tts_golden_stream("30_tts_client_header_data_trailer", 5);
	const struct tts_heard *h = tts_down.list;
	const struct rpc_message *m;

	tts_end_feed(&tts_down, all);
	h = tts_down.list;
	ck_assert_uint_eq(tts_down.n, 3);
	m = &h[0].message;
	ck_assert_int_eq(h[0].event, CODEC_MESSAGE);
	ck_assert(rpc_form_eq(m->form, tts_form) && m->kind == RPC_CALL && !m->complete);
	ck_assert_uint_eq(m->body_len, RPC_LENGTH_UNKNOWN);
	ck_assert(slice_eq_str(m->method, "Bidi") && slice_eq_str(m->idl_service, "EchoService"));
	ck_assert_int_eq(m->transport_seq, 5);
	ck_assert(m->timeout == USEC_NONE);
	ck_assert_int_eq(h[1].event, CODEC_DATA);
	ck_assert_ptr_eq(h[1].owner, tts_owner(5));
	ck_assert_uint_eq(h[1].n_messages, 1);
	ck_assert_uint_eq(h[1].message_bytes, 10);
	ck_assert_int_eq(h[2].event, CODEC_END);
	ck_assert_int_eq(h[2].message.kind, RPC_TRAILERS);
	ck_assert_int_eq(h[2].message.status, 0);
	ck_assert(codec_is_multiplexed(tts_down.codec));
	frame_free(&all);
}
END_TEST

START_TEST(facts_of_a_call_stand_in_its_header_frame)
{
	const struct rpc_message *m;

	tts_feed(&tts_down, tts_frame(1,
				"i 27=2 9=M 6=shop.price 3=shop.cart 20=Buy 2=log1 12=500;"
				"s isn=Idl rip=1.2.3.4 RPC_TRANSIT_traceparent="
				"00-0123456789abcdef0123456789abcdef-0123456789abcdef-01;",
				SLICE_NONE));
	m = &tts_last(&tts_down, CODEC_MESSAGE)->message;
	ck_assert(slice_eq_str(m->service_asked, "shop.price"));
	ck_assert(slice_eq_str(m->caller, "shop.cart") && slice_eq_str(m->caller_method, "Buy"));
	ck_assert(slice_eq_str(m->log_id, "log1") && slice_eq_str(m->idl_service, "Idl"));
	ck_assert(slice_eq_str(m->trace_id, "0123456789abcdef0123456789abcdef"));
	ck_assert_uint_eq(m->marks, RPC_HAS_CALLER | RPC_HAS_RIP);
	ck_assert(m->timeout == USEC_NONE); /* streams state none */
}
END_TEST

START_TEST(an_endpoints_error_and_business_error_are_told_by_its_trailer)
{
	struct slice error = tts_golden_stream("32_tts_server_error_trailer", tts_open_up());
	struct slice biz = tts_golden_stream("33_tts_server_biz_trailer", tts_open_up());
	const struct rpc_message *m;

	tts_end_feed(&tts_up, error);
	m = &tts_last(&tts_up, CODEC_END)->message;
	ck_assert_int_eq(m->status, 6);
	ck_assert(slice_eq_str(m->status_text, "biz error: stream boom"));
	ck_assert(!(m->marks & RPC_HAS_BIZ));
	tts_end_feed(&tts_up, biz);
	m = &tts_last(&tts_up, CODEC_END)->message;
	ck_assert_int_eq(m->status, 0);
	ck_assert(m->marks & RPC_HAS_BIZ && slice_eq_str(m->biz_status, "404"));
	ck_assert(slice_eq_str(m->biz_message, "not found"));
	ck_assert_uint_eq(tts_up.n, 4);
	frame_free(&error);
	frame_free(&biz);
}
END_TEST

START_TEST(a_trailer_with_an_unreadable_payload_is_no_success)
{
	uint32_t id = tts_open_up();

	tts_feed_of(&tts_up, '2', id);
	tts_feed(&tts_up, tts_frame_of('4', id, SLICE_LIT("junk")));
	ck_assert_int_eq(tts_last(&tts_up, CODEC_END)->message.status, TTSTREAM_CODE_RST);
}
END_TEST

/* ---- passing on ---- */

/* Everything that @from heard is sent to @to. */
static void pass_on(const struct tts_end *from, struct tts_end *to, uint32_t id)
{
	struct rpc_edit edit = {.form = tts_form};

	for (size_t i = 0; i < from->n; i++) {
		const struct tts_heard *h = &from->list[i];

		if (h->event == CODEC_MESSAGE)
			ck_assert(codec_send_message(to->codec, id, &h->message, &edit));
		else if (h->event == CODEC_DATA)
			codec_send_data(to->codec, id, h->bytes, false);
		else if (h->event == CODEC_END)
			codec_send_end(to->codec, id, &h->message);
	}
}

START_TEST(a_callers_stream_is_passed_on_with_another_number_and_no_other_change)
{
	struct slice in = tts_golden_stream("30_tts_client_header_data_trailer", 0x80000007);
	struct slice want = tts_golden_stream("30_tts_client_header_data_trailer", 3);
	uint32_t id;

	codec_begin(tts_up.codec, NULL);
	codec_begin(tts_up.codec, NULL);
	id = codec_begin(tts_up.codec, NULL);
	ck_assert_uint_eq(id, 3);
	tts_end_feed(&tts_down, in);
	ck_assert_uint_eq(tts_down.list[0].id, 0x80000007);
	pass_on(&tts_down, &tts_up, id);
	ck_assert(slice_eq(written_slice(&tts_up.out), want));
	frame_free(&in);
	frame_free(&want);
}
END_TEST

START_TEST(an_endpoints_stream_is_passed_on_with_the_callers_number_and_no_other_change)
{
	struct slice in = tts_golden_stream(server_goldens[_i], tts_open_up());
	struct slice want = tts_golden_stream(server_goldens[_i], 0xffffffff);

	tts_open_down(0xffffffff);
	tts_end_feed(&tts_up, in);
	pass_on(&tts_up, &tts_down, 0xffffffff);
	ck_assert(slice_eq(written_slice(&tts_down.out), want));
	frame_free(&in);
	frame_free(&want);
}
END_TEST

START_TEST(frames_kept_one_behind_the_other_are_passed_on_one_by_one)
{
	struct slice one = tts_frame_of('3', 9, SLICE_LIT("one")), out;
	struct slice two = tts_frame_of('1', 9, SLICE_LIT("two")), both = frame_join(one, two);
	struct ttstream_frame f[2];
	uint32_t id = tts_open_up();

	codec_send_data(tts_up.codec, id, both, false);
	MUST_HAVE_WRITTEN(&tts_up, f, TTSTREAM_DATA, TTSTREAM_META);
	ck_assert_uint_eq(f[0].stream, id);
	ck_assert_uint_eq(f[1].stream, id);
	out = written_slice(&tts_up.out);
	ck_assert_uint_eq(out.len, both.len);
	ck_assert(slice_eq(slice_from(out, one.len + 12), slice_from(two, 12)));
	frame_free(&one);
	frame_free(&two);
	frame_free(&both);
}
END_TEST

static const struct {
	const char *before;
	struct rpc_edit edit;
	const char *after;
} edits[] = {
    {"i 27=2 9=M 3=you;s a=b;", {.caller = SLICE_LIT("me")}, "i 27=2 9=M 3=you;s a=b;"},
    {"i 27=2 9=M;s a=b;", {.rip = SLICE_LIT("1.2.3.4")}, "i 27=2 9=M;s a=b rip=1.2.3.4;"},
    {"i 27=2 9=M;", {.rip = SLICE_LIT("1.2.3.4")}, "i 27=2 9=M;s rip=1.2.3.4;"},
    /* What only unary messages have is not for streams. */
    {"i 27=2 9=M 12=5;",
	{.set_timeout = true, .timeout_ms = 9, .add_crrst = true, .out_of_order = true},
	"i 27=2 9=M 12=5;"},
    {"i 27=2 9=M;", {.renumber = true, .seq = 9, .transport_seq = 9}, "i 27=2 9=M;"},
};

START_TEST(a_header_frame_is_edited_and_keeps_the_rest)
{
	/* A header frame has no payload, but if it had one it would stay. */
	struct slice in = tts_frame(77, edits[_i].before, SLICE_LIT("payload"));
	struct slice want = tts_frame(1, edits[_i].after, SLICE_LIT("payload"));
	struct rpc_edit edit = edits[_i].edit;
	uint32_t id = codec_begin(tts_up.codec, NULL);

	edit.form = tts_form;
	tts_end_feed(&tts_down, in);
	ck_assert(codec_send_message(
	    tts_up.codec, id, &tts_last(&tts_down, CODEC_MESSAGE)->message, &edit));
	ck_assert(slice_eq(written_slice(&tts_up.out), want));
	frame_free(&in);
	frame_free(&want);
}
END_TEST

START_TEST(a_header_that_has_no_room_for_its_edit_is_not_written)
{
	size_t len = 65500;
	char *text = mem_calloc(1, 5 * len);
	struct rpc_edit edit = {.form = tts_form, .rip = slice_of(text + 4 * len, len)};
	uint32_t id = codec_begin(tts_up.codec, NULL);

	memset(text, 'x', 5 * len - 1);
	snprintf(text, 40, "i 27=2 9=M;s a=");
	text[15] = 'x';
	for (size_t i = 1; i < 4; i++)
		memcpy(text + i * len - 3, " k=", 3);
	text[4 * len - 1] = '\0';
	tts_feed(&tts_down, tts_frame(1, text, SLICE_NONE));
	ck_assert(!codec_send_message(
	    tts_up.codec, id, &tts_last(&tts_down, CODEC_MESSAGE)->message, &edit));
	ck_assert_uint_eq(tts_up.out.len, 0);
	ck_assert_uint_eq(codec_capacity(tts_up.codec), 10000);
	free(text);
}
END_TEST

START_TEST(messages_of_other_forms_are_not_written)
{
	struct rpc_message m = {.form = {RPC_TTHEADER, RPC_THRIFT, false}, .kind = RPC_CALL};
	struct rpc_edit edit = {.form = tts_form};
	uint32_t id = codec_begin(tts_up.codec, NULL);

	ck_assert(!codec_send_message(tts_up.codec, id, &m, &edit));
	ck_assert_uint_eq(tts_up.out.len, 0);
}
END_TEST

/* ---- what is no stream, and what passes ---- */

START_TEST(meta_and_unknown_frames_pass_when_their_stream_is_known)
{
	tts_open_down(4);
	tts_feed_of(&tts_down, '1', 4);
	ck_assert_uint_eq(tts_last(&tts_down, CODEC_DATA)->n_messages, 0);
	tts_feed(&tts_down, tts_frame(4, "i 27=4711;", SLICE_LIT("x")));
	ck_assert_uint_eq(tts_last(&tts_down, CODEC_DATA)->n_messages, 0);
	ck_assert_uint_eq(tts_down.n, 3);
}
END_TEST

START_TEST(frames_of_unknown_streams_are_ignored)
{
	static const char types[] = "13459";

	for (const char *t = types; *t; t++) {
		tts_feed_of(&tts_down, *t, 12);
		tts_feed_of(&tts_up, *t, 12);
	}
	tts_feed_of(&tts_up, '2', 12);
	ck_assert_uint_eq(tts_down.n + tts_up.n, 0);
	ck_assert_uint_eq(tts_down.out.len + tts_up.out.len, 0);
	ck_assert(codec_is_idle(tts_down.codec));
}
END_TEST

START_TEST(frames_of_the_connection_itself_are_ignored)
{
	static const char types[] = "123459";

	for (const char *t = types; *t; t++) {
		tts_feed_of(&tts_down, *t, 0);
		tts_feed_of(&tts_up, *t, 0);
	}
	ck_assert_uint_eq(tts_down.n + tts_up.n, 0);
}
END_TEST

START_TEST(what_comes_after_the_callers_trailer_is_ignored)
{
	tts_open_down(4);
	tts_feed_of(&tts_down, '4', 4);
	tts_feed_of(&tts_down, '3', 4);
	tts_feed_of(&tts_down, '1', 4);
	tts_feed_of(&tts_down, '4', 4);
	ck_assert_uint_eq(tts_down.n, 2);
}
END_TEST

START_TEST(nobody_hears_of_a_stream_without_an_owner)
{
	tts_open_down(4);
	codec_own(tts_down.codec, 4, NULL);
	tts_feed_of(&tts_down, '3', 4);
	tts_feed_of(&tts_down, '1', 4);
	tts_feed_of(&tts_down, '4', 4);
	tts_feed_of(&tts_down, '5', 4);
	ck_assert_uint_eq(tts_down.n, 1);
	for (int i = 0; i < 3; i++) {
		uint32_t id = tts_open_up();

		codec_own(tts_up.codec, id, NULL);
		tts_feed_of(&tts_up, "143"[i], id); /* before a header, too */
		tts_feed_of(&tts_up, '2', id);
		tts_feed_of(&tts_up, '3', id);
		tts_feed_of(&tts_up, '4', id);
	}
	ck_assert_uint_eq(tts_up.n, 0);
	ck_assert_uint_eq(codec_held(tts_up.codec), 0);
	ck_assert_uint_eq(codec_capacity(tts_up.codec), 10000);
}
END_TEST

START_TEST(what_nobody_hears_does_not_show_in_what_comes_next)
{
	struct slice data = tts_frame_of('3', 4, SLICE_LIT("data"));
	struct slice meta = tts_frame_of('1', 5, SLICE_NONE), both = frame_join(data, meta);

	tts_open_down(4);
	tts_open_down(5);
	codec_own(tts_down.codec, 4, NULL);
	tts_end_feed(&tts_down, both);
	ck_assert_uint_eq(tts_last(&tts_down, CODEC_DATA)->id, 5);
	ck_assert_uint_eq(tts_last(&tts_down, CODEC_DATA)->n_messages, 0);
	ck_assert_uint_eq(tts_last(&tts_down, CODEC_DATA)->message_bytes, 0);
	frame_free(&data);
	frame_free(&meta);
	frame_free(&both);
}
END_TEST

START_TEST(more_streams_than_admitted_are_answered_without_an_event)
{
	struct ttstream_frame f[2];

	tts_end_close(&tts_down);
	tts_limits.in_flight = 2;
	tts_end_open(&tts_down, CODEC_DOWNSTREAM, &tts_limits);
	tts_open_down(1);
	tts_open_down(2);
	tts_feed_of(&tts_down, '2', 3);
	tts_feed_of(&tts_down, '3', 3);
	tts_feed_of(&tts_down, '4', 3);
	ck_assert_uint_eq(tts_down.n, 2);
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_HEADER, TTSTREAM_TRAILER);
	ck_assert_uint_eq(f[0].stream, 3);
	ck_assert_uint_eq(f[1].stream, 3);
	tts_must_be_exception(&f[1], 6, "bridled: concurrency_limited: ");
	tts_fail_down(1, REASON_TIMEOUT);
	tts_open_down(4); /* there is room again */
}
END_TEST

START_TEST(a_stream_without_a_proper_method_is_answered_without_an_event)
{
	char sections[400] = "i 27=2 9=";
	struct ttstream_frame f[2];

	tts_feed(&tts_down, tts_frame(1, "i 27=2;", SLICE_NONE));
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_HEADER, TTSTREAM_TRAILER);
	tts_must_be_exception(&f[1], reason_ttstream_id(REASON_MALFORMED), "without a method");
	tts_end_forget(&tts_down);
	memset(sections + strlen(sections), 'm', 257);
	strcat(sections, ";");
	tts_feed(&tts_down, tts_frame(1, sections, SLICE_NONE));
	MUST_HAVE_WRITTEN(&tts_down, f, TTSTREAM_HEADER, TTSTREAM_TRAILER);
	tts_must_be_exception(&f[1], reason_ttstream_id(REASON_MALFORMED), "too long");
	ck_assert_uint_eq(tts_down.n, 0);
}
END_TEST

START_TEST(an_endpoint_that_names_no_method_may_reply)
{
	uint32_t id = tts_open_up();

	tts_feed(&tts_up, tts_frame(id, "i 27=2;", SLICE_NONE));
	tts_feed(&tts_up, tts_frame(id, "i 27=4;", SLICE_NONE));
	ck_assert_uint_eq(tts_last(&tts_up, CODEC_END)->id, id);
}
END_TEST

static const struct {
	const char *sections;
	uint16_t flags;
} refusals[] = {
    {"i 9=M;", 2},
    {"i 27=z;", 2},
    {"i 27=3 9=M;", 0},
    {"i 27=3 9=M;", 1},
};

START_TEST(a_frame_that_cannot_be_read_ends_the_connection)
{
	struct slice bad = tts_frame(4, refusals[_i].sections, SLICE_NONE);
	size_t heard;

	store_u16((uint8_t *)(uintptr_t)bad.data + 6, refusals[_i].flags);
	tts_open_down(4);
	tts_end_feed_in(&tts_down, bad, 1);
	ck_assert_int_eq(tts_last(&tts_down, CODEC_REFUSED)->why.reason, REASON_MALFORMED);
	heard = tts_down.n;
	tts_feed_of(&tts_down, '3', 4);
	ck_assert_uint_eq(tts_down.n, heard);
	tts_fail_down(4, REASON_MALFORMED); /* what runs may still be told */
	ck_assert_uint_gt(tts_down.out.len, 0);
	frame_free(&bad);
}
END_TEST

START_TEST(a_frame_over_the_limit_ends_the_connection_at_once)
{
	struct slice frame = tts_frame_of('3', 4, SLICE_LIT("0123456789"));

	tts_end_close(&tts_down);
	tts_limits.max_message = frame.len;
	tts_end_open(&tts_down, CODEC_DOWNSTREAM, &tts_limits);
	tts_open_down(4);
	tts_end_feed(&tts_down, frame);
	tts_last(&tts_down, CODEC_DATA);
	store_u32((uint8_t *)(uintptr_t)frame.data, (uint32_t)frame.len - 4 + 1);
	tts_end_feed(&tts_down, slice_first(frame, 14));
	ck_assert_int_eq(tts_last(&tts_down, CODEC_REFUSED)->why.reason, REASON_TOO_LARGE);
	frame_free(&frame);
}
END_TEST

START_TEST(random_bytes_in_a_stream_do_no_harm)
{
	struct slice all = stream_for(CODEC_DOWNSTREAM, 0);
	uint8_t *bytes = (uint8_t *)(uintptr_t)all.data;
	struct rng rng;

	rng_init(&rng, 4711);
	for (int i = 0; i < 5000; i++) {
		size_t at = (size_t)rng_below(&rng, all.len);
		uint8_t old = bytes[at];
		struct tts_end whole, cut;

		bytes[at] = (uint8_t)rng_next(&rng);
		hear(&whole, CODEC_DOWNSTREAM, all, 0, 0);
		hear(&cut, CODEC_DOWNSTREAM, all, 1 + (size_t)rng_below(&rng, all.len - 1), 7);
		/* In the first eight bytes another family may have been found. */
		if (codec_family(whole.codec) == CODEC_TTSTREAM)
			ck_assert_ptr_null(tts_end_difference(&whole, &cut));
		tts_end_close(&whole);
		tts_end_close(&cut);
		bytes[at] = old;
	}
	frame_free(&all);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_callers_golden_stream_is_heard_the_same_wherever_it_is_cut, 1},
	    {an_endpoints_golden_stream_is_heard_the_same_wherever_it_is_cut,
		ARRAY_LEN(server_goldens)},
	    {a_callers_stream_is_heard_as_it_is, 1},
	    {facts_of_a_call_stand_in_its_header_frame, 1},
	    {an_endpoints_error_and_business_error_are_told_by_its_trailer, 1},
	    {a_trailer_with_an_unreadable_payload_is_no_success, 1},
	    {a_callers_stream_is_passed_on_with_another_number_and_no_other_change, 1},
	    {an_endpoints_stream_is_passed_on_with_the_callers_number_and_no_other_change, 3},
	    {frames_kept_one_behind_the_other_are_passed_on_one_by_one, 1},
	    {a_header_frame_is_edited_and_keeps_the_rest, ARRAY_LEN(edits)},
	    {a_header_that_has_no_room_for_its_edit_is_not_written, 1},
	    {messages_of_other_forms_are_not_written, 1},
	    {meta_and_unknown_frames_pass_when_their_stream_is_known, 1},
	    {frames_of_unknown_streams_are_ignored, 1},
	    {frames_of_the_connection_itself_are_ignored, 1},
	    {what_comes_after_the_callers_trailer_is_ignored, 1},
	    {nobody_hears_of_a_stream_without_an_owner, 1},
	    {what_nobody_hears_does_not_show_in_what_comes_next, 1},
	    {more_streams_than_admitted_are_answered_without_an_event, 1},
	    {a_stream_without_a_proper_method_is_answered_without_an_event, 1},
	    {an_endpoint_that_names_no_method_may_reply, 1},
	    {a_frame_that_cannot_be_read_ends_the_connection, ARRAY_LEN(refusals)},
	    {a_frame_over_the_limit_ends_the_connection_at_once, 1},
	    {random_bytes_in_a_stream_do_no_harm, 1},
	};

	return suite_run_between("codec_ttstream", tests, ARRAY_LEN(tests), tts_begin, tts_done);
}
