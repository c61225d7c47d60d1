/*
 * Every form turned into every other: what a header that is made here says, what is dropped and
 * counted where there is no header to carry it, and failure replies in each caller's own form.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/bytes.h"
#include "support/frames.h"
#include "support/golden.h"
#include "support/reading.h"
#include "support/suite.h"
#include "wire/kitexpb.h"
#include "wire/thrift.h"

static struct written out;

static void begin(void)
{
	out = (struct written){0};
}

static void end(void)
{
	written_fini(&out);
}

/* Turns @f into edit->form; what was written is in `out`. */
static void turn(const struct frame *f, struct rpc_edit *edit)
{
	bool is_call = f->type == 1 || f->type == 4;
	struct slice whole = frame_make(f), in = whole;
	struct codec *from = codec_open(
	    is_call ? CODEC_DOWNSTREAM : CODEC_UPSTREAM, CODEC_UNARY, &reading_limits, NULL, NULL);
	struct codec *to = codec_open(is_call ? CODEC_UPSTREAM : CODEC_DOWNSTREAM, CODEC_UNARY,
	    &reading_limits, &written_io, &out);
	struct codec_item item;

	out.len = 0;
	ck_assert_int_eq(codec_next(from, &in, &item), CODEC_MESSAGE);
	ck_assert(codec_can_convert(f->form, edit->form));
	ck_assert(codec_send_message(to, 0, &item.message, edit));
	codec_close(&from);
	codec_close(&to);
	frame_free(&whole);
}

/* What was written is @f in another form and with this header. */
static void must_have_written(const struct frame *f, struct rpc_form form, const char *header)
{
	struct slice sections = frame_sections(header), expected;
	struct frame g = *f;

	g.form = form;
	g.sections = sections;
	expected = frame_make(&g);
	ck_assert_msg(slice_eq(written_slice(&out), expected), "%s to %s: other bytes",
	    frame_form_name(f->form), frame_form_name(form));
	frame_free(&expected);
	frame_free(&sections);
}

/* How many of each class were dropped; classes that are not named: none. */
struct drops {
	unsigned persistent, transient, header, ints, acl, checksum, biz;
};

static void must_have_dropped(const struct rpc_edit *edit, struct drops d)
{
	ck_assert_uint_eq(edit->dropped[RPC_DROPPED_PERSISTENT], d.persistent);
	ck_assert_uint_eq(edit->dropped[RPC_DROPPED_TRANSIENT], d.transient);
	ck_assert_uint_eq(edit->dropped[RPC_DROPPED_HEADER], d.header);
	ck_assert_uint_eq(edit->dropped[RPC_DROPPED_INT], d.ints);
	ck_assert_uint_eq(edit->dropped[RPC_DROPPED_ACL], d.acl);
	ck_assert_uint_eq(edit->dropped[RPC_DROPPED_CHECKSUM], d.checksum);
	ck_assert_uint_eq(edit->dropped[RPC_DROPPED_BIZ], d.biz);
}

static struct frame frame_in(struct rpc_form form, unsigned type, struct slice header)
{
	static const uint8_t result[] = {0x0b, 0, 1, 0, 0, 0, 2, 'h', 'i', 0};

	return (struct frame){.form = form,
	    .type = type,
	    .method = "Echo",
	    .seq = 0x0a0b0c0d,
	    .transport_seq = 0x0a0b0c0d,
	    .sections = header,
	    .body = slice_of(result, sizeof result)};
}

static void for_each_pair(void (*check)(struct rpc_form from, struct rpc_form to))
{
	unsigned n = 0;

	for (size_t i = 0; i < frame_n_forms; i++)
		for (size_t k = 0; k < frame_n_forms; k++)
			if (codec_can_convert(frame_forms[i], frame_forms[k])) {
				check(frame_forms[i], frame_forms[k]);
				n++;
			}
	ck_assert_uint_ge(n, 30);
}

START_TEST(payloads_are_never_turned_into_each_other)
{
	for (size_t i = 0; i < frame_n_forms; i++) {
		for (size_t k = 0; k < frame_n_forms; k++) {
			struct rpc_form a = frame_forms[i], b = frame_forms[k];
			bool mesh_is_new = b.transport == RPC_MESH && a.transport != RPC_MESH;

			ck_assert_int_eq(
			    codec_can_convert(a, b), a.payload == b.payload && !mesh_is_new);
		}
	}
}
END_TEST

START_TEST(kitex_protobuf_cannot_be_without_its_frame)
{
	const struct rpc_form framed = {RPC_PLAIN, RPC_KITEXPB, true};

	ck_assert(!codec_can_convert(framed, (struct rpc_form){RPC_PLAIN, RPC_KITEXPB, false}));
	ck_assert(!codec_can_convert(framed, (struct rpc_form){RPC_TTHEADER, RPC_KITEXPB, false}));
	ck_assert(codec_can_convert(framed, (struct rpc_form){RPC_TTHEADER, RPC_KITEXPB, true}));
}
END_TEST

/* ---- calls ---- */

static const char *word_for(struct rpc_form form)
{
	return form.framed ? "framed" : "unframed";
}

/* The header that stands before a call of this form. */
static const char *header_of(struct rpc_form form)
{
	static char text[256];

	if (form.transport == RPC_MESH)
		return "m isn=EchoService RPC_PERSIST_a=1 k=v";
	snprintf(text, sizeof text,
	    "s isn=EchoService RPC_PERSIST_a=1 RPC_TRANSIT_b=2;i 1=%s 3=web 6=other 9=Echo 2=id "
	    "12=300 22=1;a token",
	    word_for(form));
	return form.transport == RPC_TTHEADER ? text : "";
}

/* And behind the edit of these tests. */
static const char *header_after(struct rpc_form from, struct rpc_form to, unsigned type)
{
	static char text[256];
	const char *strs = "isn=Alias";

	if (to.transport == RPC_MESH)
		return header_of(from);
	if (to.transport == RPC_PLAIN)
		return "";
	if (from.transport == RPC_TTHEADER) {
		snprintf(text, sizeof text,
		    "s isn=EchoService RPC_PERSIST_a=1 RPC_TRANSIT_b=2 rip=10.0.0.9;i 1=%s 3=web "
		    "6=other 9=Echo 2=id 12=250 22=1;a token",
		    word_for(to));
		return text;
	}
	if (from.transport == RPC_MESH)
		strs = "isn=EchoService RPC_PERSIST_a=1 k=v";
	snprintf(text, sizeof text,
	    "s %s rip=10.0.0.9;i 1=%s 3=cart 6=price 9=Echo 2=log 12=250 22=%u", strs, word_for(to),
	    type);
	return text;
}

static void check_call(struct rpc_form from, struct rpc_form to, unsigned type)
{
	struct slice header = frame_sections(header_of(from));
	struct frame f = frame_in(from, type, header);
	struct rpc_edit edit = {.form = to,
	    .set_timeout = true,
	    .timeout_ms = 250,
	    .caller = SLICE_LIT("cart"),
	    .rip = SLICE_LIT("10.0.0.9"),
	    .service = SLICE_LIT("price"),
	    .idl_service = SLICE_LIT("Alias"),
	    .log_id = SLICE_LIT("log")};
	struct drops drops = {0};

	turn(&f, &edit);
	must_have_written(&f, to, header_after(from, to, type));
	if (to.transport == RPC_PLAIN && from.transport == RPC_MESH)
		drops = (struct drops){.persistent = 1, .header = 2};
	if (to.transport == RPC_PLAIN && from.transport == RPC_TTHEADER)
		drops = (struct drops){
		    .persistent = 1, .transient = 1, .header = 1, .ints = 4, .acl = 1};
	must_have_dropped(&edit, drops);
	frame_free(&header);
}

static void check_calls(struct rpc_form from, struct rpc_form to)
{
	check_call(from, to, 1);
	check_call(from, to, 4);
}

START_TEST(calls_in_every_form_become_calls_in_every_other)
{
	for_each_pair(check_calls);
}
END_TEST

static void check_renumbered(struct rpc_form from, struct rpc_form to)
{
	struct slice header = frame_sections(header_of(from));
	struct frame f = frame_in(from, 1, header);
	struct rpc_edit edit = {
	    .form = to, .renumber = true, .seq = 77, .transport_seq = 78, .out_of_order = true};
	struct reading r;
	const struct rpc_message *m;

	turn(&f, &edit);
	reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&r, written_slice(&out));
	ck_assert_uint_eq(r.n, 1);
	m = &r.list[0].message;
	ck_assert_int_eq(m->seq, 77);
	ck_assert_int_eq(m->transport_seq, to.transport == RPC_TTHEADER ? 78 : 77);
	ck_assert_int_eq(rpc_message_is_unordered(m), to.transport == RPC_TTHEADER);
	ck_assert(rpc_form_eq(m->form, to));
	reading_close(&r);
	frame_free(&header);
}

START_TEST(calls_are_renumbered_while_they_are_converted)
{
	for_each_pair(check_renumbered);
}
END_TEST

START_TEST(a_new_header_says_only_what_is_known)
{
	const struct rpc_form from = {RPC_PLAIN, RPC_THRIFT, false};
	const struct rpc_form to = {RPC_TTHEADER, RPC_THRIFT, true};
	struct frame f = frame_in(from, 1, SLICE_NONE);
	struct rpc_edit edit = {.form = to};

	f.transport_seq = f.seq = -2;
	turn(&f, &edit);
	must_have_written(&f, to, "i 1=framed 9=Echo 22=1");
}
END_TEST

START_TEST(a_mesh_header_does_not_bring_what_is_written_anew)
{
	struct rpc_form from = {RPC_MESH, RPC_THRIFT, true}, to = {RPC_TTHEADER, RPC_THRIFT, true};
	struct slice header =
	    frame_sections("m rip=forged a=b crrst=1 crc32c=00000000 PV_x=y rip=forged2");
	struct frame f = frame_in(from, 1, header);
	struct rpc_edit edit = {.form = to, .rip = SLICE_LIT("10.0.0.9")};

	turn(&f, &edit);
	must_have_written(
	    &f, to, "s a=b crc32c=00000000 PV_x=y rip=10.0.0.9;i 1=framed 9=Echo 22=1");
	must_have_dropped(&edit, (struct drops){0});
	edit = (struct rpc_edit){.form = to};
	edit.form.framed = false;
	turn(&f, &edit);
	must_have_written(&f, edit.form, "s rip=forged a=b rip=forged2;i 1=unframed 9=Echo 22=1");
	must_have_dropped(&edit, (struct drops){.checksum = 2});
	frame_free(&header);
}
END_TEST

START_TEST(every_class_of_metadata_that_is_dropped_is_counted)
{
	struct rpc_form from = {RPC_TTHEADER, RPC_THRIFT, true}, to = {RPC_PLAIN, RPC_THRIFT, true};
	struct slice header = frame_sections(
	    "s RPC_PERSIST_a=1 RPC_PERSIST_b=1 RPC_TRANSIT_UPSTREAM_c=1 RPC_TRANSIT_d=1 x=1 rip=1 "
	    "crc32c=0 PV_a=0 PV_b=0 biz-status=1 biz-message=m crrst=1;a one;a two;i 1=framed "
	    "9=Echo 22=1 12=5 999=x;i 12=6");
	struct frame f = frame_in(from, 1, header);
	struct rpc_edit edit = {.form = to};

	turn(&f, &edit);
	must_have_written(&f, to, "");
	must_have_dropped(&edit, (struct drops){2, 2, 2, 3, 2, 3, 2});
	frame_free(&header);
}
END_TEST

START_TEST(a_body_of_unknown_length_is_not_put_into_a_frame)
{
	struct slice body = frame_body(100000), header = frame_sections(""), whole, in;
	struct frame f = frame_in((struct rpc_form){RPC_PLAIN, RPC_THRIFT, false}, 1, header);
	struct codec *from = codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, NULL, NULL);
	struct codec *to =
	    codec_open(CODEC_UPSTREAM, CODEC_UNARY, &reading_limits, &written_io, &out);
	struct codec_item item;

	f.body = body;
	whole = frame_make(&f);
	in = slice_first(whole, 80000);
	ck_assert_int_eq(codec_next(from, &in, &item), CODEC_MESSAGE);
	ck_assert(item.message.body_len == RPC_LENGTH_UNKNOWN && !item.message.complete);
	for (size_t i = 1; i < 4; i++) {
		struct rpc_edit edit = {.form = frame_forms[i]};

		ck_assert(!codec_send_message(to, 0, &item.message, &edit));
	}
	ck_assert_uint_eq(out.times, 0);
	codec_close(&from);
	codec_close(&to);
	frame_free(&whole);
	frame_free(&body);
	frame_free(&header);
}
END_TEST

/* ---- replies ---- */

static void check_reply(struct rpc_form from, struct rpc_form to, unsigned type)
{
	bool has_header = from.transport == RPC_TTHEADER;
	struct slice header =
	    frame_sections(has_header ? "i 22=2;s back=1 crrst=1 biz-status=4;a tok" : "");
	struct frame f = frame_in(from, type, header);
	struct rpc_edit edit = {.form = to, .strip_crrst = true};
	const char *after = type == 2 ? "i 22=2" : "i 22=3";
	struct drops drops = {0};

	if (has_header && to.transport == RPC_TTHEADER)
		after = "i 22=2;s back=1 biz-status=4;a tok";
	if (has_header && to.transport == RPC_PLAIN)
		drops = (struct drops){.header = 1, .biz = 1, .acl = 1};
	turn(&f, &edit);
	must_have_written(&f, to, to.transport == RPC_TTHEADER ? after : "");
	must_have_dropped(&edit, drops);
	frame_free(&header);
}

static void check_replies(struct rpc_form from, struct rpc_form to)
{
	if (from.transport == RPC_MESH)
		return;
	check_reply(from, to, 2);
	check_reply(from, to, 3);
}

START_TEST(replies_in_every_form_become_replies_in_every_other)
{
	for_each_pair(check_replies);
}
END_TEST

START_TEST(a_new_reply_header_announces_the_end_when_asked_to)
{
	struct rpc_form from = {RPC_PLAIN, RPC_THRIFT, true};
	struct rpc_edit edit = {.form = {RPC_TTHEADER, RPC_THRIFT, true}, .add_crrst = true};
	struct frame f = frame_in(from, 2, SLICE_NONE);

	turn(&f, &edit);
	must_have_written(&f, edit.form, "s crrst=1;i 22=2");
}
END_TEST

/* ---- failures ---- */

/* The call of this form as a codec gives it out; then a failure reply to it is written. */
static void fail_call(const struct frame *f, bool closing)
{
	struct rpc_status why;
	struct slice whole = frame_make(f), in = whole;
	struct codec *d =
	    codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, &written_io, &out);
	struct codec_item item;

	out.len = 0;
	out.times = 0;
	rpc_status_set(&why, REASON_NO_ENDPOINT, "service %s", "price");
	ck_assert_int_eq(codec_next(d, &in, &item), CODEC_MESSAGE);
	codec_send_failure(d, 0, &item.message, &why, closing);
	codec_close(&d);
	frame_free(&whole);
}

#define FAILURE_TEXT                                                                               \
	"bridled: no_endpoint: service discovery error: no instance available: service price"

static struct slice failure_body(enum rpc_payload payload, uint8_t *room, size_t size)
{
	struct writer w = writer_of(room, size);

	if (payload == RPC_KITEXPB)
		kitexpb_error_write(&w, SLICE_LIT(FAILURE_TEXT), 6);
	else
		thrift_exception_write(&w, SLICE_LIT(FAILURE_TEXT), 6);
	return writer_slice(&w);
}

START_TEST(failures_mirror_the_form_and_the_ids_of_their_calls)
{
	for (size_t i = 0; i < frame_n_forms; i++) {
		struct rpc_form form = frame_forms[i], mirror = form;
		struct slice header = frame_sections(header_of(form));
		struct frame f = frame_in(form, 1, header), reply;
		uint8_t room[256];

		if (mirror.transport == RPC_MESH)
			mirror.transport = RPC_PLAIN;
		f.flags = 1;
		if (form.transport == RPC_TTHEADER)
			f.transport_seq = -9;
		for (int closing = 0; closing < 2; closing++) {
			fail_call(&f, closing);
			reply = frame_in(mirror, 3, SLICE_NONE);
			reply.transport_seq = f.transport_seq;
			reply.body = failure_body(form.payload, room, sizeof room);
			must_have_written(&reply, mirror,
			    mirror.transport == RPC_PLAIN ? ""
			    : closing                     ? "s crrst=1;i 22=3"
							  : "i 22=3");
			ck_assert_uint_eq(out.times, 1);
		}
		frame_free(&header);
	}
}
END_TEST

START_TEST(a_oneway_is_never_answered)
{
	for (size_t i = 0; i < frame_n_forms; i++) {
		struct slice header = frame_sections(header_of(frame_forms[i]));
		struct frame f = frame_in(frame_forms[i], 4, header);

		fail_call(&f, true);
		ck_assert_uint_eq(out.len + out.times, 0);
		frame_free(&header);
	}
}
END_TEST

/* The suggested replies of the golden frames, with their own texts. */
static const struct {
	const char *name, *text;
	int id;
	bool closing;
} suggestions[] = {
    {"42_proxy_tth_overlimit", "request over limit: request too frequent", 6, false},
    {"43_proxy_tthframed_noinstance", "service discovery error: no instance available", 6, false},
    {"44_proxy_tth_decode_crrst", "decode error", 7, true},
    {"45_proxy_framed_timeout", "rpc timeout", 6, false},
};

START_TEST(failures_are_the_golden_ones)
{
	struct golden_set set = golden_load();
	const struct golden *g = golden_find(&set, suggestions[_i].name);
	struct codec *d =
	    codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, &written_io, &out);
	struct reading r;
	struct rpc_message call;

	reading_open(&r, CODEC_UPSTREAM, &reading_limits);
	reading_feed(&r, g->frames[0]);
	call = r.list[0].message; /* an answer to a call of the same form and ids */
	call.kind = RPC_CALL;
	codec_send_exception(
	    d, &call, slice_str(suggestions[_i].text), suggestions[_i].id, suggestions[_i].closing);
	ck_assert_uint_eq(out.len, g->frames[0].len);
	ck_assert_mem_eq(out.bytes, g->frames[0].data, out.len);
	ck_assert_int_eq(codec_exception_id(&r.list[0].message), suggestions[_i].id);
	reading_close(&r);
	codec_close(&d);
	golden_free(&set);
}
END_TEST

START_TEST(a_long_text_is_cut_between_two_characters)
{
	char text[4096];
	struct rpc_message call = {.kind = RPC_CALL, .method = SLICE_LIT("Echo"), .seq = 7};
	struct codec *d =
	    codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, &written_io, &out);

	for (size_t shift = 0; shift < 3; shift++) {
		struct slice cut;
		int32_t id;

		memset(text, 'x', shift);
		for (size_t i = shift; i + 3 <= sizeof text; i += 3)
			memcpy(text + i, "\xe2\x82\xac", 3);
		out.len = 0;
		codec_send_exception(d, &call, slice_of(text, sizeof text - 2), 6, false);
		ck_assert(thrift_exception_read(slice_from(written_slice(&out), 16), &cut, &id));
		ck_assert_uint_gt(cut.len, 1500);
		ck_assert_uint_eq((cut.len - shift) % 3, 0);
		ck_assert_mem_eq(cut.data, text, cut.len);
	}
	codec_close(&d);
}
END_TEST

/* ---- facts that replies carry ---- */

static unsigned marks_of(const char *header)
{
	struct slice sections = frame_sections(header);
	struct frame f = frame_in((struct rpc_form){RPC_TTHEADER, RPC_THRIFT, true}, 2, sections);
	struct slice whole = frame_make(&f);
	struct reading r;
	unsigned marks;

	reading_open(&r, CODEC_UPSTREAM, &reading_limits);
	reading_feed(&r, whole);
	ck_assert_uint_eq(r.n, 1);
	marks = r.list[0].message.marks;
	reading_close(&r);
	frame_free(&whole);
	frame_free(&sections);
	return marks;
}

START_TEST(a_business_error_is_a_status_that_is_a_number_but_not_0)
{
	static const char *const errors[] = {"s biz-status=1", "s biz-status=-404",
	    "s biz-status=+7", "s biz-status=0;s biz-status=5", "s biz-status=2147483647",
	    "s biz-status=-2147483648"};
	static const char *const none[] = {"s biz-status=0", "s biz-status=-0",
	    "s biz-status=", "s biz-status=x", "s biz-status=1x", "s biz-status=--1",
	    "s biz-status=2147483648", "s biz-status=-2147483649", "s biz-status=5;s biz-status=0",
	    "s biz-statu=1"};

	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		ck_assert_msg(marks_of(errors[i]) & RPC_HAS_BIZ, "%s", errors[i]);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		ck_assert_msg(!(marks_of(none[i]) & RPC_HAS_BIZ), "%s", none[i]);
}
END_TEST

START_TEST(crrst_is_heard_whatever_it_says)
{
	ck_assert(marks_of("s crrst=1") & RPC_HAS_CRRST);
	ck_assert(marks_of("s crrst=") & RPC_HAS_CRRST);
	ck_assert(!(marks_of("s crrs=1 CRRST=1") & RPC_HAS_CRRST));
}
END_TEST

static usec_t timeout_of(const char *text)
{
	char header[128];
	struct frame f = {.form = {RPC_TTHEADER, RPC_THRIFT, false}, .type = 1, .method = "M"};
	struct slice sections, whole;
	struct reading r;
	usec_t timeout;

	snprintf(header, sizeof header, "i 12=%s", text);
	sections = frame_sections(header);
	f.sections = sections;
	f.body = BYTES(0);
	whole = frame_make(&f);
	reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&r, whole);
	ck_assert_uint_eq(r.n, 1);
	timeout = r.list[0].message.timeout;
	reading_close(&r);
	frame_free(&whole);
	frame_free(&sections);
	return timeout;
}

START_TEST(junk_in_the_timeout_is_no_timeout)
{
	static const char *const junk[] = {
	    "", "0", "-1", "1.5", "1s", "x", "99999999999999999999", "18446744073709551615"};

	ck_assert_uint_eq(timeout_of("1"), USEC_MS);
	ck_assert_uint_eq(timeout_of("300"), 300 * USEC_MS);
	for (size_t i = 0; i < ARRAY_LEN(junk); i++)
		ck_assert_msg(timeout_of(junk[i]) == USEC_NONE, "\"%s\"", junk[i]);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {payloads_are_never_turned_into_each_other, 1},
	    {kitex_protobuf_cannot_be_without_its_frame, 1},
	    {calls_in_every_form_become_calls_in_every_other, 1},
	    {calls_are_renumbered_while_they_are_converted, 1},
	    {a_new_header_says_only_what_is_known, 1},
	    {a_mesh_header_does_not_bring_what_is_written_anew, 1},
	    {every_class_of_metadata_that_is_dropped_is_counted, 1},
	    {a_body_of_unknown_length_is_not_put_into_a_frame, 1},
	    {replies_in_every_form_become_replies_in_every_other, 1},
	    {a_new_reply_header_announces_the_end_when_asked_to, 1},
	    {failures_mirror_the_form_and_the_ids_of_their_calls, 1},
	    {a_oneway_is_never_answered, 1},
	    {failures_are_the_golden_ones, ARRAY_LEN(suggestions)},
	    {a_long_text_is_cut_between_two_characters, 1},
	    {a_business_error_is_a_status_that_is_a_number_but_not_0, 1},
	    {crrst_is_heard_whatever_it_says, 1},
	    {junk_in_the_timeout_is_no_timeout, 1},
	};

	return suite_run_between("codec_convert", tests, ARRAY_LEN(tests), begin, end);
}
