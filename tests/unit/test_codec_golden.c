/*
 * The unary codec over every golden frame: the same is heard however the bytes are cut, what is not
 * allowed is refused for the right reason, and what is passed on without an edit leaves as it came.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "support/bytes.h"
#include "support/golden.h"
#include "support/reading.h"
#include "support/suite.h"

#define ROUNDS 400

static struct golden_set goldens;

static void begin(void)
{
	goldens = golden_load();
}

static void end(void)
{
	golden_free(&goldens);
}

/* What the INDEX says of the frame: "kind:method:type:id". */
struct expected {
	char payload[24], method[32];
	int type;
	int32_t seq;
};

static struct expected expected_of(const struct golden *g, size_t frame)
{
	const char *at = g->messages;
	struct expected e;

	for (; frame; frame--)
		at = strchr(at, ',') + 1;
	ck_assert_int_eq(
	    sscanf(at, "%23[^:]:%31[^:]:%d:%d", e.payload, e.method, &e.type, &e.seq), 4);
	return e;
}

/* A call is read from a caller, a reply from an endpoint. */
static enum codec_side side_of(const struct golden *g, size_t frame)
{
	struct expected e;

	if (!g->accept)
		return CODEC_DOWNSTREAM;
	e = expected_of(g, frame);
	return e.type == 1 || e.type == 4 ? CODEC_DOWNSTREAM : CODEC_UPSTREAM;
}

/* Runs @check for every frame of the unary protocols. */
static void for_each_frame(
    void (*check)(const struct golden *g, size_t frame, enum codec_side side))
{
	size_t seen = 0;

	for (size_t i = 0; i < goldens.count; i++) {
		const struct golden *g = &goldens.items[i];

		for (size_t k = 0; golden_is_unary(g) && k < g->n_frames; k++, seen++)
			check(g, k, side_of(g, k));
	}
	ck_assert_uint_ge(seen, 40);
}

static const enum rpc_kind kind_of_type[] = {
    [1] = RPC_CALL, [2] = RPC_REPLY, [3] = RPC_EXCEPTION, [4] = RPC_ONEWAY};

static void check_message(const struct golden *g, size_t frame, const struct heard *h)
{
	struct expected e = expected_of(g, frame);
	const struct rpc_message *m = &h->message;

	ck_assert_msg(h->has_message && h->is_whole && !h->is_refused, "%s", g->name);
	ck_assert_int_eq(m->kind, kind_of_type[e.type]);
	ck_assert_int_eq(m->seq, e.seq);
	ck_assert(slice_eq_str(m->method, e.method));
	ck_assert_int_eq(m->form.payload == RPC_KITEXPB, strcmp(e.payload, "kitex-protobuf") == 0);
	ck_assert_uint_eq(m->head.len + m->body.len, g->frames[frame].len);
	ck_assert_mem_eq(m->head.data, g->frames[frame].data, m->head.len);
	if (m->form.transport != RPC_TTHEADER)
		ck_assert_int_eq(m->transport_seq, m->seq);
}

static void check_whole(const struct golden *g, size_t frame, enum codec_side side)
{
	struct reading whole;

	reading_open(&whole, side, &reading_limits);
	reading_feed(&whole, g->frames[frame]);
	ck_assert_uint_eq(whole.n, 1);
	if (g->accept)
		check_message(g, frame, &whole.list[0]);
	else
		ck_assert_msg(whole.list[0].is_refused, "%s", g->name);
	reading_close(&whole);
}

START_TEST(golden_messages_are_heard_as_they_are)
{
	for_each_frame(check_whole);
}
END_TEST

static void must_hear_same(const char *name, size_t at, const struct reading *a, struct reading *b)
{
	const char *what = reading_difference(a, b);

	ck_assert_msg(what == NULL, "%s, cut %zu: %s", name, at, what);
	reading_close(b);
}

static void check_cuts(const struct golden *g, size_t frame, enum codec_side side)
{
	struct slice all = g->frames[frame];
	struct reading whole, cut;

	reading_open(&whole, side, &reading_limits);
	reading_feed(&whole, all);
	for (size_t at = 1; at < all.len; at++) {
		reading_open(&cut, side, &reading_limits);
		reading_feed(&cut, slice_first(all, at));
		reading_feed(&cut, slice_from(all, at));
		must_hear_same(g->name, at, &whole, &cut);
	}
	for (size_t step = 1; step < 5; step++) {
		reading_open(&cut, side, &reading_limits);
		reading_feed_in(&cut, all, step);
		must_hear_same(g->name, step, &whole, &cut);
	}
	reading_close(&whole);
}

START_TEST(golden_messages_are_heard_the_same_wherever_they_are_cut)
{
	for_each_frame(check_cuts);
}
END_TEST

static void check_beginning(const struct golden *g, size_t frame, enum codec_side side)
{
	for (size_t len = 0; g->accept && len < g->frames[frame].len; len++) {
		struct reading r;

		reading_open(&r, side, &reading_limits);
		reading_feed(&r, slice_first(g->frames[frame], len));
		ck_assert_msg(r.n == 0, "%s: heard something after %zu bytes", g->name, len);
		ck_assert_int_eq(codec_is_idle(r.codec), len == 0);
		ck_assert_int_eq(codec_has_detected(r.codec), len >= 8);
		reading_close(&r);
	}
}

START_TEST(beginnings_of_golden_messages_are_only_held)
{
	for_each_frame(check_beginning);
}
END_TEST

/* Several frames of one direction, one after the other; how many, and where they are from. */
static struct slice make_stream(enum codec_side side, struct rng *rng, size_t *n)
{
	struct written w = {0};

	*n = 0;
	for (unsigned tries = 0; tries < 16; tries++) {
		const struct golden *g = &goldens.items[rng_below(rng, goldens.count)];
		size_t frame = g->n_frames ? rng_below(rng, g->n_frames) : 0;

		if (!golden_is_unary(g) || !g->accept || side_of(g, frame) != side)
			continue;
		written_io.write(&w, &g->frames[frame], 1);
		(*n)++;
	}
	return written_slice(&w);
}

START_TEST(streams_of_golden_messages_are_heard_the_same_at_random_cuts)
{
	struct rng rng;

	rng_init(&rng, 4711);
	for (int round = 0; round < ROUNDS; round++) {
		enum codec_side side = round & 1 ? CODEC_UPSTREAM : CODEC_DOWNSTREAM;
		size_t n, most = 1 + rng_below(&rng, 300);
		struct slice all = make_stream(side, &rng, &n), rest = all;
		struct reading whole, cut;

		reading_open(&whole, side, &reading_limits);
		reading_feed(&whole, all);
		ck_assert_uint_eq(whole.n, n);
		reading_open(&cut, side, &reading_limits);
		while (rest.len) {
			size_t len = 1 + rng_below(&rng, most);

			reading_feed(&cut, slice_first(rest, len));
			rest = slice_from(rest, len);
		}
		must_hear_same("stream", (size_t)round, &whole, &cut);
		reading_close(&whole);
		free((void *)(uintptr_t)all.data);
	}
}
END_TEST

/* A negative frame, and why it is refused. */
static const struct {
	const char *name;
	enum reason reason;
	const char *detail;
} refusals[] = {
    {"50_neg_tth_zero_words", REASON_MALFORMED, "without a header"},
    {"51_neg_tth_protocol_id_2", REASON_MALFORMED, "protocol id"},
    {"52_neg_tth_bad_section", REASON_MALFORMED, "unknown ttheader section"},
    {"53_neg_thrift_nonstrict", REASON_PROTOCOL_UNKNOWN, "neither Thrift strict binary"},
    {"54_neg_thrift_compact", REASON_PROTOCOL_UNKNOWN, "neither Thrift strict binary"},
    {"55_neg_http1", REASON_PROTOCOL_UNKNOWN, "neither Thrift strict binary"},
    {"56_neg_kpb_unframed_in_tth", REASON_MALFORMED, "neither Thrift strict binary"},
};

START_TEST(negative_frames_are_refused_with_a_reason_and_no_message)
{
	const struct golden *g = golden_find(&goldens, refusals[_i].name);
	struct reading r;

	ck_assert_ptr_nonnull(g);
	reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&r, g->frames[0]);
	ck_assert_uint_eq(r.n, 1);
	ck_assert(r.list[0].is_refused && !r.list[0].has_message);
	ck_assert_int_eq(r.list[0].why.reason, refusals[_i].reason);
	ck_assert_msg(strstr(r.list[0].why.detail, refusals[_i].detail) != NULL, "%s: %s", g->name,
	    r.list[0].why.detail);
	reading_feed(&r, g->frames[0]); /* the codec is dead: nothing more is heard */
	ck_assert_uint_eq(r.n, 1);
	reading_close(&r);
}
END_TEST

static void check_wrong_side(const struct golden *g, size_t frame, enum codec_side side)
{
	struct reading r;

	if (!g->accept)
		return;
	reading_open(
	    &r, side == CODEC_UPSTREAM ? CODEC_DOWNSTREAM : CODEC_UPSTREAM, &reading_limits);
	reading_feed(&r, g->frames[frame]);
	ck_assert_uint_eq(r.n, 1);
	ck_assert(r.list[0].is_refused && !r.list[0].has_message);
	ck_assert_int_eq(r.list[0].why.reason, REASON_MALFORMED);
	reading_close(&r);
}

START_TEST(callers_may_not_reply_and_endpoints_may_not_call)
{
	for_each_frame(check_wrong_side);
}
END_TEST

START_TEST(other_families_are_named_when_they_are_refused)
{
	static const char *const texts[] = {"HTTP/2", "ttheader_streaming"};
	struct codec_limits limits = reading_limits;
	struct slice firsts[] = {SLICE_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
	    golden_find(&goldens, "30_tts_client_header_data_trailer")->frames[0]};

	limits.protocols = PROTOCOL_BIT(PROTOCOL_FRAMED) | PROTOCOL_BIT(PROTOCOL_TTHEADER);
	for (size_t i = 0; i < ARRAY_LEN(firsts); i++) {
		for (size_t step = 0; step < 9; step++) {
			struct reading r;

			reading_open(&r, CODEC_DOWNSTREAM, &limits);
			reading_feed_in(&r, firsts[i], step);
			ck_assert_uint_eq(r.n, 1);
			ck_assert_int_eq(r.list[0].why.reason, REASON_PROTOCOL_UNKNOWN);
			ck_assert_msg(strstr(r.list[0].why.detail, texts[i]) != NULL, "%zu: %s",
			    step, r.list[0].why.detail);
			reading_close(&r);
		}
	}
}
END_TEST

START_TEST(a_byte_that_leaves_no_form_is_refused_at_once)
{
	struct slice bytes = BYTES(0x82, 0x18, 0x02, 0x68, 0x69, 0x00);

	for (size_t step = 0; step < 6; step++) {
		struct reading r;

		reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
		reading_feed_in(&r, slice_first(bytes, 4), step);
		ck_assert_uint_eq(r.n, 0);
		reading_feed_in(&r, slice_from(bytes, 4), step);
		ck_assert_uint_eq(r.n, 1);
		ck_assert_int_eq(r.list[0].why.reason, REASON_PROTOCOL_UNKNOWN);
		reading_close(&r);
	}
}
END_TEST

START_TEST(a_stream_frame_after_a_unary_call_is_refused)
{
	const struct golden *stream = golden_find(&goldens, "30_tts_client_header_data_trailer");
	struct reading r;

	reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&r, golden_find(&goldens, "09_tth_call_min")->frames[0]);
	reading_feed(&r, stream->frames[0]);
	ck_assert_uint_eq(r.n, 2);
	ck_assert(r.list[1].is_refused && !r.list[1].has_message);
	ck_assert_int_eq(r.list[1].why.reason, REASON_PROTOCOL_UNKNOWN);
	reading_close(&r);
}
END_TEST

/* ---- passing on ---- */

/* Reads a frame on one side and writes it on the other, in the form that it had. */
static void pass_on(
    enum codec_side side, struct slice frame, struct rpc_edit *edit, struct written *out)
{
	enum codec_side other = side == CODEC_UPSTREAM ? CODEC_DOWNSTREAM : CODEC_UPSTREAM;
	struct codec *from = codec_open(side, CODEC_UNARY, &reading_limits, NULL, NULL);
	struct codec *to = codec_open(other, CODEC_UNARY, &reading_limits, &written_io, out);
	struct codec_item item;
	struct slice in = frame;

	ck_assert_int_eq(codec_next(from, &in, &item), CODEC_MESSAGE);
	edit->form = item.message.form;
	ck_assert(codec_can_convert(item.message.form, edit->form));
	ck_assert(codec_send_message(to, 0, &item.message, edit));
	ck_assert_uint_eq(out->times, 1);
	codec_close(&from);
	codec_close(&to);
}

static void must_be(const char *name, const struct written *out, struct slice expected)
{
	ck_assert_msg(slice_eq(written_slice(out), expected), "%s: not the same bytes", name);
}

static void check_honesty(const struct golden *g, size_t frame, enum codec_side side)
{
	struct written out = {0};
	struct rpc_edit edit = {0};

	if (!g->accept)
		return;
	pass_on(side, g->frames[frame], &edit, &out);
	must_be(g->name, &out, g->frames[frame]);
	for (size_t i = 0; i < ARRAY_LEN(edit.dropped); i++)
		ck_assert_uint_eq(edit.dropped[i], 0);
	written_fini(&out);
}

START_TEST(golden_messages_are_passed_on_byte_by_byte)
{
	for_each_frame(check_honesty);
}
END_TEST

/* Renumbered to its own numbers, as replies on leased connections are. */
static void check_own_numbers(const struct golden *g, size_t frame, enum codec_side side)
{
	struct written out = {0};
	struct rpc_edit edit = {.renumber = true};
	struct reading r;

	if (!g->accept)
		return;
	reading_open(&r, side, &reading_limits);
	reading_feed(&r, g->frames[frame]);
	edit.seq = r.list[0].message.seq;
	edit.transport_seq = r.list[0].message.transport_seq;
	edit.strip_crrst = !(r.list[0].message.marks & RPC_HAS_CRRST);
	pass_on(side, g->frames[frame], &edit, &out);
	must_be(g->name, &out, g->frames[frame]);
	reading_close(&r);
	written_fini(&out);
}

START_TEST(a_number_that_stays_changes_no_byte)
{
	for_each_frame(check_own_numbers);
}
END_TEST

static void patch(uint8_t *bytes, size_t at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		bytes[at + (size_t)i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Only the two ids differ; a flag, where it is asked for. */
static void check_renumbered(const struct golden *g, size_t frame, enum codec_side side)
{
	struct written out = {0};
	struct rpc_edit edit = {
	    .renumber = true, .seq = 0x01020304, .transport_seq = -5, .out_of_order = true};
	struct reading r;
	uint8_t *expected;

	if (!g->accept)
		return;
	reading_open(&r, side, &reading_limits);
	reading_feed(&r, g->frames[frame]);
	expected = mem_alloc(g->frames[frame].len);
	memcpy(expected, g->frames[frame].data, g->frames[frame].len);
	patch(expected, r.list[0].message.head.len - 4, 0x01020304);
	if (r.list[0].message.form.transport == RPC_TTHEADER) {
		patch(expected, 8, 0xfffffffb);
		expected[7] |= 1;
	}
	pass_on(side, g->frames[frame], &edit, &out);
	must_be(g->name, &out, slice_of(expected, g->frames[frame].len));
	free(expected);
	reading_close(&r);
	written_fini(&out);
}

START_TEST(renumbering_changes_the_ids_and_nothing_else)
{
	for_each_frame(check_renumbered);
}
END_TEST

/* The whole header of each golden reply that carries crrst, as it is without. */
static void must_lose_crrst(const char *name, size_t frame, struct slice header)
{
	const struct golden *g = golden_find(&goldens, name);
	struct slice whole = g->frames[frame];
	struct written out = {0}, expected = {0};
	struct rpc_edit edit = {.strip_crrst = true};
	size_t payload = 14 + 4 * (size_t)(whole.data[12] << 8 | whole.data[13]);
	struct slice pieces[] = {header, slice_from(whole, payload)};

	written_io.write(&expected, pieces, 2);
	pass_on(CODEC_UPSTREAM, whole, &edit, &out);
	must_be(name, &out, written_slice(&expected));
	written_fini(&out);
	written_fini(&expected);
}

START_TEST(crrst_alone_disappears_from_golden_replies)
{
	must_lose_crrst("17_tth_exception_unknown_method", 0,
	    BYTES(0, 0, 0, 0x5e, 0x10, 0, 0, 0, 0, 0, 0, 7, 0, 3, 0, 0, 0x10, 0, 1, 0, 0x16, 0, 1,
		'3', 0, 0));
	must_lose_crrst("22_mux_shutdown_control", 1,
	    BYTES(0, 0, 0, 0x1f, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0));
	must_lose_crrst("23_shutdown_crrst_reply", 0,
	    BYTES(0, 0, 0, 0x3f, 0x10, 0, 0, 0, 0, 0, 0, 14, 0, 6, 0, 0, 1, 0, 1, 0, 2, 'b', 'k', 0,
		2, 'b', 'v', 0x10, 0, 1, 0, 0x16, 0, 1, '2', 0, 0, 0));
	must_lose_crrst("44_proxy_tth_decode_crrst", 0,
	    BYTES(0, 0, 0, 0x41, 0x10, 0, 0, 0, 0, 0, 0, 7, 0, 3, 0, 0, 0x10, 0, 1, 0, 0x16, 0, 1,
		'3', 0, 0));
}
END_TEST

static void drain_after(const char *name, struct slice expected)
{
	struct written out = {0};
	struct codec *codec =
	    codec_open(CODEC_DOWNSTREAM, CODEC_UNDETECTED, &reading_limits, &written_io, &out);
	struct slice in = golden_find(&goldens, name)->frames[0];
	struct codec_item item;

	ck_assert_int_eq(codec_next(codec, &in, &item), CODEC_MESSAGE);
	codec_drain(codec, CODEC_DRAIN_SOON);
	ck_assert_uint_eq(out.len, 0);
	codec_drain(codec, CODEC_DRAIN_NOW);
	must_be(name, &out, expected);
	codec_close(&codec);
	written_fini(&out);
}

START_TEST(callers_with_many_calls_at_once_are_told_as_kitex_does)
{
	drain_after("21_mux_call", golden_find(&goldens, "22_mux_shutdown_control")->frames[1]);
	drain_after("09_tth_call_min", SLICE_NONE);
	drain_after("03_framed_call", SLICE_NONE);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {golden_messages_are_heard_as_they_are, 1},
	    {golden_messages_are_heard_the_same_wherever_they_are_cut, 1},
	    {beginnings_of_golden_messages_are_only_held, 1},
	    {streams_of_golden_messages_are_heard_the_same_at_random_cuts, 1},
	    {negative_frames_are_refused_with_a_reason_and_no_message, ARRAY_LEN(refusals)},
	    {callers_may_not_reply_and_endpoints_may_not_call, 1},
	    {other_families_are_named_when_they_are_refused, 1},
	    {a_byte_that_leaves_no_form_is_refused_at_once, 1},
	    {a_stream_frame_after_a_unary_call_is_refused, 1},
	    {golden_messages_are_passed_on_byte_by_byte, 1},
	    {a_number_that_stays_changes_no_byte, 1},
	    {renumbering_changes_the_ids_and_nothing_else, 1},
	    {crrst_alone_disappears_from_golden_replies, 1},
	    {callers_with_many_calls_at_once_are_told_as_kitex_does, 1},
	};

	return suite_run_between("codec_golden", tests, ARRAY_LEN(tests), begin, end);
}
