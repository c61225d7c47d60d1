/*
 * Bodies that are relayed as they arrive, messages that say nowhere how long they are, several
 * messages behind each other, and lengths that lie.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/bytes.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/suite.h"

#define LONG_BODY 80000u

/* Forms that say how long a Thrift struct is. */
static const struct rpc_form measured[] = {
    {RPC_PLAIN, RPC_THRIFT, true},
    {RPC_TTHEADER, RPC_THRIFT, false},
    {RPC_TTHEADER, RPC_THRIFT, true},
};

/* In bytes; 0: in one piece. */
static const size_t steps[] = {0, 1, 7, 512, 4096, 65535, 65536, 65537, LONG_BODY - 1};

static struct frame call_in(struct rpc_form form, struct slice body)
{
	return (struct frame){.form = form,
	    .type = 1,
	    .method = "Upload",
	    .seq = 3,
	    .transport_seq = 3,
	    .sections = form.transport == RPC_MESH ? SLICE_LIT("\0\0") : SLICE_NONE,
	    .body = body};
}

static struct slice make_call(struct rpc_form form, size_t body_len)
{
	struct slice body = frame_body(body_len), whole;
	struct frame f = call_in(form, body);

	whole = frame_make(&f);
	frame_free(&body);
	return whole;
}

/* A pair of codecs: what one hears the other writes at once, as a call that is relayed. */
struct relay {
	struct codec *from, *to;
	struct written out;
	enum codec_event last;
	struct rpc_status why;
	unsigned messages;
	bool is_whole;
};

static void relay_open(struct relay *r, const struct codec_limits *limits)
{
	*r = (struct relay){0};
	r->from = codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, limits, NULL, NULL);
	r->to = codec_open(CODEC_UPSTREAM, CODEC_UNARY, limits, &written_io, &r->out);
}

static void relay_close(struct relay *r)
{
	codec_close(&r->from);
	codec_close(&r->to);
	written_fini(&r->out);
}

static void relay_feed(struct relay *r, struct slice in)
{
	struct codec_item item;

	while ((r->last = codec_next(r->from, &in, &item)) != CODEC_MORE) {
		if (r->last == CODEC_MESSAGE) {
			struct rpc_edit edit = {.form = item.message.form};

			ck_assert(codec_send_message(r->to, 0, &item.message, &edit));
			r->messages++;
			r->is_whole = item.message.complete;
		} else if (r->last == CODEC_DATA) {
			codec_send_data(r->to, 0, item.data, item.last);
			r->is_whole = item.last;
		} else {
			r->why = item.why;
			return;
		}
	}
	ck_assert_uint_eq(in.len, 0);
}

static void relay_feed_in(struct relay *r, struct slice in, size_t step)
{
	for (step = step ? step : in.len; in.len && r->last != CODEC_REFUSED;
	     in = slice_from(in, step))
		relay_feed(r, slice_first(in, step));
}

START_TEST(long_messages_are_relayed_byte_by_byte_in_every_form)
{
	struct slice whole = make_call(frame_forms[_i], LONG_BODY);

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct relay r;

		relay_open(&r, &reading_limits);
		relay_feed_in(&r, whole, steps[i]);
		ck_assert_msg(r.is_whole, "step %zu: %s", steps[i], r.why.detail);
		ck_assert_uint_eq(r.messages, 1);
		ck_assert_uint_eq(r.out.len, whole.len);
		ck_assert_mem_eq(r.out.bytes, whole.data, whole.len);
		ck_assert(codec_is_idle(r.from));
		ck_assert_uint_eq(codec_held(r.from), 0);
		relay_close(&r);
	}
	frame_free(&whole);
}
END_TEST

START_TEST(long_messages_are_heard_the_same_wherever_they_are_cut)
{
	struct slice whole = make_call(frame_forms[_i], LONG_BODY);
	size_t cuts[] = {1, 7, 8, 11, 12, 15, 16, 20, 30, 36, 40, 41, 44, 65536, 65560, 65580,
	    whole.len - 9, whole.len - 2, whole.len - 1};
	struct reading once, cut;

	reading_open(&once, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&once, whole);
	ck_assert_uint_eq(once.n, 1);
	ck_assert(once.list[0].is_whole && !once.list[0].was_long); /* all of it was there */
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		const char *what;

		reading_open(&cut, CODEC_DOWNSTREAM, &reading_limits);
		reading_feed(&cut, slice_first(whole, cuts[i]));
		reading_feed(&cut, slice_from(whole, cuts[i]));
		what = reading_difference(&once, &cut);
		ck_assert_msg(what == NULL, "cut at %zu: %s", cuts[i], what);
		reading_close(&cut);
	}
	reading_close(&once);
	frame_free(&whole);
}
END_TEST

START_TEST(a_long_message_holds_no_more_than_its_head)
{
	struct slice whole = make_call(frame_forms[_i], LONG_BODY);
	bool is_measured = frame_forms[_i].framed || frame_forms[_i].transport == RPC_TTHEADER;
	struct reading r;

	reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed_in(&r, whole, 100);
	ck_assert(r.list[0].is_whole && r.list[0].was_long);
	/* A Buffered one is held until it is known to be long. */
	ck_assert_uint_le(r.most_held, is_measured ? 1024 : 2 * CODEC_RELAY_ABOVE);
	reading_close(&r);
	frame_free(&whole);
}
END_TEST

START_TEST(a_body_of_just_relay_above_is_given_out_whole)
{
	const struct rpc_form framed = {RPC_PLAIN, RPC_THRIFT, true};

	for (unsigned more = 0; more < 2; more++) {
		struct slice whole = make_call(framed, CODEC_RELAY_ABOVE + more);
		struct reading r;

		reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
		reading_feed_in(&r, whole, 1000);
		ck_assert_uint_eq(r.n, 1);
		ck_assert(r.list[0].is_whole);
		ck_assert_int_eq(r.list[0].was_long, more);
		reading_close(&r);
		frame_free(&whole);
	}
}
END_TEST

/* ---- structs that end elsewhere than their frames ---- */

/* A frame that is @off bytes longer (then with junk behind the struct) or shorter than it
 * should. */
static struct slice make_lying(struct rpc_form form, size_t body_len, int off)
{
	struct slice body = frame_body(body_len), junk = SLICE_LIT("\0\0\0\0\0\0\0\0"), longer,
		     whole;
	struct frame f = call_in(form, body);

	f.sections = SLICE_NONE;
	longer = off > 0 ? frame_join(body, slice_first(junk, (size_t)off))
			 : frame_join(slice_first(body, body_len - (size_t)-off), SLICE_NONE);
	f.body = longer;
	whole = frame_make(&f);
	frame_free(&body);
	frame_free(&longer);
	return whole;
}

START_TEST(a_struct_that_ends_elsewhere_is_refused_before_its_end_is_given_out)
{
	static const int offs[] = {-8, -2, -1, 1, 2, 8};

	for (size_t i = 0; i < ARRAY_LEN(offs) * ARRAY_LEN(steps); i++) {
		size_t step = steps[i % ARRAY_LEN(steps)];
		struct slice whole =
		    make_lying(measured[_i], LONG_BODY, offs[i / ARRAY_LEN(steps)]);
		struct relay r;

		relay_open(&r, &reading_limits);
		relay_feed_in(&r, whole, step);
		ck_assert_int_eq(r.last, CODEC_REFUSED);
		ck_assert_int_eq(r.why.reason, REASON_MALFORMED);
		ck_assert_uint_lt(r.out.len, whole.len);
		ck_assert(!r.is_whole);
		relay_close(&r);
		frame_free(&whole);
	}
}
END_TEST

START_TEST(a_short_message_whose_struct_ends_elsewhere_is_refused_with_its_call)
{
	for (int off = -3; off < 4; off++) {
		struct slice whole = make_lying(measured[_i], 100, off);
		struct reading r;

		reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
		reading_feed(&r, whole);
		ck_assert_uint_eq(r.n, 1);
		ck_assert_int_eq(r.list[0].is_refused, off != 0);
		ck_assert(r.list[0].has_message);
		ck_assert(slice_eq_str(r.list[0].message.method, "Upload"));
		ck_assert_int_eq(r.list[0].message.seq, 3);
		reading_close(&r);
		frame_free(&whole);
	}
}
END_TEST

START_TEST(a_buffered_struct_that_goes_wrong_is_refused_with_its_call)
{
	struct frame f = call_in((struct rpc_form){RPC_PLAIN, RPC_THRIFT, false},
	    BYTES(0x0b, 0, 1, 0xff, 0, 0, 0, 'x', 0));
	struct slice whole = frame_make(&f);
	struct reading r;

	reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&r, whole);
	ck_assert(r.list[0].is_refused && r.list[0].has_message);
	ck_assert_int_eq(r.list[0].why.reason, REASON_MALFORMED);
	ck_assert_int_eq(r.list[0].message.seq, 3);
	reading_close(&r);
	frame_free(&whole);
}
END_TEST

/* ---- several messages ---- */

START_TEST(what_stands_behind_a_message_stays_in_the_input)
{
	struct slice one = make_call(frame_forms[_i], 50), two = frame_join(one, one);
	struct codec *c = codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, NULL, NULL);

	for (size_t at = 0; at < one.len; at++) {
		struct slice in = slice_first(two, at);
		struct codec_item item;

		ck_assert_int_eq(codec_next(c, &in, &item), CODEC_MORE);
		in = slice_from(two, at);
		ck_assert_int_eq(codec_next(c, &in, &item), CODEC_MESSAGE);
		ck_assert(item.message.complete);
		ck_assert_uint_eq(item.message.head.len + item.message.body.len, one.len);
		ck_assert_msg(in.len == one.len, "cut at %zu: %zu bytes left", at, in.len);
		ck_assert_ptr_eq(in.data, two.data + one.len);
		ck_assert(codec_is_idle(c));
		ck_assert_int_eq(codec_next(c, &in, &item), CODEC_MESSAGE);
		ck_assert_uint_eq(in.len, 0);
		ck_assert_uint_eq(codec_held(c), 0);
	}
	codec_close(&c);
	frame_free(&one);
	frame_free(&two);
}
END_TEST

START_TEST(messages_of_every_form_follow_each_other_on_one_connection)
{
	struct slice all = SLICE_NONE;
	struct reading once, cut;

	for (size_t i = 0; i < frame_n_forms; i++) {
		struct slice a = make_call(frame_forms[i], i % 2 ? 40 : 70000), more;

		more = frame_join(all, a);
		frame_free(&a);
		frame_free(&all);
		all = more;
	}
	reading_open(&once, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&once, all);
	ck_assert_uint_eq(once.n, frame_n_forms);
	for (size_t i = 0; i < frame_n_forms; i++)
		ck_assert(rpc_form_eq(once.list[i].message.form, frame_forms[i]));
	for (size_t step = 3; step < 100000; step *= 3) {
		reading_open(&cut, CODEC_DOWNSTREAM, &reading_limits);
		reading_feed_in(&cut, all, step);
		ck_assert_ptr_null(reading_difference(&once, &cut));
		reading_close(&cut);
	}
	reading_close(&once);
	frame_free(&all);
}
END_TEST

START_TEST(what_has_been_given_out_stays_until_the_next_question)
{
	struct slice one = make_call(frame_forms[_i], 50);
	struct codec *c = codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, NULL, NULL);
	uint8_t *piece = mem_alloc(one.len);
	struct slice in = slice_first(one, 20);
	struct codec_item item;

	ck_assert_int_eq(codec_next(c, &in, &item), CODEC_MORE);
	ck_assert_uint_gt(codec_held(c), 0);
	ck_assert(!codec_is_idle(c));
	memcpy(piece, one.data, one.len);
	in = slice_of(piece + 20, one.len - 20);
	ck_assert_int_eq(codec_next(c, &in, &item), CODEC_MESSAGE);
	memset(piece, 0xee, one.len); /* the message was joined: it lies in the codec */
	ck_assert_mem_eq(item.message.head.data, one.data, item.message.head.len);
	ck_assert_mem_eq(
	    item.message.body.data, one.data + item.message.head.len, item.message.body.len);
	ck_assert_int_eq(codec_next(c, &in, &item), CODEC_MORE);
	ck_assert_uint_eq(codec_held(c), 0);
	codec_close(&c);
	free(piece);
	frame_free(&one);
}
END_TEST

START_TEST(a_codec_that_is_closed_in_the_middle_leaves_nothing)
{
	struct slice whole = make_call(frame_forms[_i], LONG_BODY);

	for (size_t len = 1; len < whole.len; len = len * 3 + 1) {
		struct reading r;

		reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
		reading_feed(&r, slice_first(whole, len));
		ck_assert(!codec_is_idle(r.codec));
		reading_close(&r); /* a leak is the sanitizer's to find */
	}
	frame_free(&whole);
}
END_TEST

/* ---- limits ---- */

static void must_end(
    struct slice whole, const struct codec_limits *limits, enum reason reason, bool has_message)
{
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct reading r;

		if (steps[i] == 1 && whole.len > 10000)
			continue; /* slow; that is tried where nothing is copied */
		reading_open(&r, CODEC_DOWNSTREAM, limits);
		reading_feed_in(&r, whole, steps[i]);
		ck_assert_uint_eq(r.n, 1);
		ck_assert_int_eq(r.list[0].is_whole, reason == REASON_OK);
		if (reason != REASON_OK)
			ck_assert_int_eq(r.list[0].why.reason, reason);
		ck_assert_msg(r.list[0].has_message == has_message, "step %zu", steps[i]);
		reading_close(&r);
	}
}

/* The length of a TTHeader is judged before anything behind it is read. */
static void check_message_limit(struct rpc_form form, size_t body_len)
{
	struct slice whole = make_call(form, body_len);
	struct codec_limits limits = {
	    .max_message = whole.len, .max_header = 262140, .protocols = ~0u};

	must_end(whole, &limits, REASON_OK, true);
	limits.max_message--;
	must_end(whole, &limits, REASON_TOO_LARGE, form.transport != RPC_TTHEADER);
	limits.max_message = 40;
	must_end(whole, &limits, REASON_TOO_LARGE, form.transport != RPC_TTHEADER);
	frame_free(&whole);
}

START_TEST(a_message_may_be_as_long_as_max_message)
{
	check_message_limit(frame_forms[_i], 100);
	check_message_limit(frame_forms[_i], LONG_BODY);
}
END_TEST

START_TEST(a_header_may_be_as_long_as_max_header)
{
	struct slice header = frame_sections("s key=0123456789012345678901234567890123456789");
	struct frame f = call_in((struct rpc_form){RPC_TTHEADER, RPC_THRIFT, true}, SLICE_LIT(""));
	struct codec_limits limits = reading_limits;
	struct slice whole;

	f.sections = header;
	f.body = SLICE_LIT("\0");
	whole = frame_make(&f);
	limits.max_header = (header.len + 2 + 3) / 4 * 4;
	must_end(whole, &limits, REASON_OK, true);
	limits.max_header--;
	must_end(whole, &limits, REASON_TOO_LARGE, false);
	frame_free(&whole);
	frame_free(&header);
}
END_TEST

START_TEST(a_mesh_header_may_be_as_long_as_max_header)
{
	struct slice header = frame_sections("m key=0123456789012345678901234567890123456789");
	struct frame f = call_in((struct rpc_form){RPC_MESH, RPC_THRIFT, true}, SLICE_LIT("\0"));
	struct codec_limits limits = reading_limits;
	struct slice whole;

	f.sections = header;
	whole = frame_make(&f);
	limits.max_header = header.len;
	must_end(whole, &limits, REASON_OK, true);
	limits.max_header--;
	must_end(whole, &limits, REASON_TOO_LARGE, false);
	frame_free(&whole);
	frame_free(&header);
}
END_TEST

START_TEST(a_protocol_that_is_not_admitted_is_refused_with_its_call)
{
	for (size_t i = 0; i < frame_n_forms; i++) {
		struct slice whole = make_call(frame_forms[i], 50);
		struct codec_limits limits = reading_limits;
		unsigned bit = PROTOCOL_BIT(rpc_form_protocol(frame_forms[i]));

		limits.protocols = bit;
		must_end(whole, &limits, REASON_OK, true);
		limits.protocols = ~bit;
		must_end(whole, &limits, REASON_PROTOCOL_UNKNOWN, true);
		frame_free(&whole);
	}
}
END_TEST

/* ---- lengths that lie ---- */

static void check_lie(struct rpc_form form, int inner_off, int outer_off, bool has_message)
{
	struct frame f = call_in(form, BYTES(0x0b, 0, 1, 0, 0, 0, 2, 'h', 'i', 0));
	struct slice whole, padded;

	f.inner_off = inner_off;
	f.outer_off = outer_off;
	whole = frame_make(&f);
	padded = frame_join(whole, SLICE_LIT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
	must_end(padded, &reading_limits, REASON_MALFORMED, has_message);
	frame_free(&whole);
	frame_free(&padded);
}

START_TEST(lengths_that_lie_are_refused)
{
	const struct rpc_form framed = {RPC_PLAIN, RPC_THRIFT, true};
	const struct rpc_form tt = {RPC_TTHEADER, RPC_THRIFT, true};
	const struct rpc_form bare = {RPC_TTHEADER, RPC_THRIFT, false};

	/* 28 bytes of message, 18 of them head. */
	for (int off = -10; off < 10; off++) {
		if (off == 0)
			continue;
		check_lie(framed, off, 0, true);
		check_lie(tt, off, 0, true);
		check_lie(tt, 0, off, true);
		check_lie(bare, 0, off, true);
		check_lie(tt, off, off, true);
	}
	for (int off = -28; off < -10; off++) { /* not even its own head is inside */
		check_lie(framed, off, 0, false);
		check_lie(tt, off, 0, false);
		check_lie(bare, 0, off, false);
	}
}
END_TEST

START_TEST(a_method_may_be_256_bytes_long)
{
	char method[258];

	memset(method, 'm', sizeof method);
	for (size_t len = 255; len < 258; len++) {
		struct frame f = call_in(frame_forms[_i], SLICE_LIT("\0"));
		struct slice whole;

		method[len] = '\0';
		f.method = method;
		whole = frame_make(&f);
		must_end(
		    whole, &reading_limits, len > 256 ? REASON_MALFORMED : REASON_OK, len <= 256);
		frame_free(&whole);
		method[len] = 'm';
	}
}
END_TEST

START_TEST(a_call_without_a_method_is_refused_but_an_exception_may_have_none)
{
	struct frame f = call_in((struct rpc_form){RPC_PLAIN, RPC_THRIFT, true}, SLICE_LIT("\0"));
	struct slice call, exception;
	struct reading r;

	f.method = "";
	call = frame_make(&f);
	must_end(call, &reading_limits, REASON_MALFORMED, false);
	f.type = 3;
	exception = frame_make(&f);
	reading_open(&r, CODEC_UPSTREAM, &reading_limits);
	reading_feed(&r, exception);
	ck_assert(r.n == 1 && r.list[0].is_whole);
	ck_assert_int_eq(codec_exception_id(&r.list[0].message), 0);
	reading_close(&r);
	frame_free(&call);
	frame_free(&exception);
}
END_TEST

int main(void)
{
	const int all = (int)frame_n_forms;
	const struct suite_test tests[] = {
	    {long_messages_are_relayed_byte_by_byte_in_every_form, all},
	    {long_messages_are_heard_the_same_wherever_they_are_cut, all},
	    {a_long_message_holds_no_more_than_its_head, all},
	    {a_body_of_just_relay_above_is_given_out_whole, 1},
	    {a_struct_that_ends_elsewhere_is_refused_before_its_end_is_given_out,
		ARRAY_LEN(measured)},
	    {a_short_message_whose_struct_ends_elsewhere_is_refused_with_its_call,
		ARRAY_LEN(measured)},
	    {what_stands_behind_a_message_stays_in_the_input, all},
	    {messages_of_every_form_follow_each_other_on_one_connection, 1},
	    {what_has_been_given_out_stays_until_the_next_question, all},
	    {a_codec_that_is_closed_in_the_middle_leaves_nothing, all},
	    {a_message_may_be_as_long_as_max_message, all},
	    {a_header_may_be_as_long_as_max_header, 1},
	    {a_mesh_header_may_be_as_long_as_max_header, 1},
	    {a_protocol_that_is_not_admitted_is_refused_with_its_call, 1},
	    {a_buffered_struct_that_goes_wrong_is_refused_with_its_call, 1},
	    {lengths_that_lie_are_refused, 1},
	    {a_method_may_be_256_bytes_long, all},
	    {a_call_without_a_method_is_refused_but_an_exception_may_have_none, 1},
	};

	return suite_run_between("codec_long", tests, ARRAY_LEN(tests), NULL, NULL);
}
