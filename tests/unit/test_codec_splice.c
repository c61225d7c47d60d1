/*
 * Messages that go out with one change in their bodies: every length follows, checksums too, and no
 * other byte moves, in each form and from each form into each.
 */
#include <stdio.h>
#include <stdlib.h>

#include "support/frames.h"
#include "support/reading.h"
#include "support/structs.h"
#include "support/suite.h"
#include "wire/crc32c.h"
#include "wire/ttheader.h"

#define SECTIONS "s k=v crc32c=00000000 PV_x=1;i 1=framed 12=5"

/* What turns @before into @after. */
static struct rpc_splice splice_of(struct slice before, struct slice after)
{
	size_t least = before.len < after.len ? before.len : after.len, head = 0, tail = 0;

	while (head < least && before.data[head] == after.data[head])
		head++;
	while (tail < least - head &&
	       before.data[before.len - 1 - tail] == after.data[after.len - 1 - tail])
		tail++;
	return (struct rpc_splice){
	    head, before.len - head - tail, slice_sub(after, head, after.len - head - tail)};
}

/* One call on its way through both codecs. */
struct spliced {
	struct slice before, after, in; /* bodies; the message */
	struct rpc_splice splice;
	struct rpc_edit edit;
	struct written written;
	struct reading read; /* of what was written */
	const struct rpc_message *m;
};

static const char *sections_of(struct rpc_form form)
{
	return form.transport == RPC_MESH ? "m k=v crc32c=00000000 PV_x=1" : SECTIONS;
}

static void send(struct spliced *s)
{
	struct codec *from = codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, NULL, NULL);
	struct codec *to =
	    codec_open(CODEC_UPSTREAM, CODEC_UNARY, &reading_limits, &written_io, &s->written);
	struct codec_item item;
	struct slice in = s->in;

	ck_assert_int_eq(codec_next(from, &in, &item), CODEC_MESSAGE);
	ck_assert(item.message.complete);
	ck_assert(codec_send_message(to, 0, &item.message, &s->edit));
	codec_close(&from);
	codec_close(&to);
}

static void splice(struct spliced *s, struct rpc_form from, const char *before, const char *after,
    struct rpc_edit edit)
{
	struct frame call = {.form = from,
	    .type = 1,
	    .method = "Echo",
	    .seq = 7,
	    .transport_seq = 7,
	    .sections = frame_sections(sections_of(from))};

	*s = (struct spliced){
	    .before = struct_made(before), .after = struct_made(after), .edit = edit};
	call.body = s->before;
	s->in = frame_make(&call);
	s->splice = splice_of(s->before, s->after);
	s->edit.splice = &s->splice;
	send(s);
	reading_open(&s->read, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&s->read, written_slice(&s->written));
	ck_assert_uint_eq(s->read.n, 1);
	ck_assert(s->read.list[0].is_whole && !s->read.list[0].is_refused);
	s->m = &s->read.list[0].message;
	frame_free(&call.sections);
}

static void spliced_free(struct spliced *s)
{
	frame_free(&s->before);
	frame_free(&s->after);
	frame_free(&s->in);
	written_fini(&s->written);
	reading_close(&s->read);
}

static struct slice str_key(const struct rpc_message *m, const char *key)
{
	struct ttheader_iter it = ttheader_entries(m->sections);
	struct ttheader_entry e;
	struct slice found = SLICE_NONE;

	while (ttheader_next(&it, &e))
		if (e.kind == TTHEADER_STR && slice_eq_str(e.key, key))
			found = e.value;
	return found;
}

static const struct {
	const char *before, *after;
} changes[] = {
    {"{1:{}}", "{1:{255:{1:\"log\"}}}"},
    {"{1:{255:{1:\"log\"}}}", "{1:{}}"},
    {"{1:{255:{1:\"log\"} 2:i2}}", "{1:{255:{1:\"a longer log id\"} 2:i2}}"},
    {"{1:\"x\"}", "{2:\"x\" 1:\"x\"}"},
    {"{}", "{1:i1}"},
    {"{1:i1}", "{}"},
};

static void must_splice(struct rpc_form from, struct rpc_form to, bool renumber)
{
	for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		struct rpc_edit edit = {
		    .form = to, .renumber = renumber, .seq = 99, .transport_seq = 99};
		struct spliced s;

		splice(&s, from, changes[i].before, changes[i].after, edit);
		ck_assert_msg(slice_eq(s.m->body, s.after), "%s as %s: %s", frame_form_name(from),
		    frame_form_name(to), changes[i].after);
		ck_assert(rpc_form_eq(s.m->form, to) && slice_eq_str(s.m->method, "Echo"));
		ck_assert_int_eq(s.m->seq, renumber ? 99 : 7);
		spliced_free(&s);
	}
}

START_TEST(lengths_follow_in_every_form)
{
	for (size_t from = 0; from < frame_n_forms; from++)
		for (size_t to = 0; to < frame_n_forms; to++)
			if (frame_forms[from].payload == RPC_THRIFT &&
			    codec_can_convert(frame_forms[from], frame_forms[to])) {
				must_splice(frame_forms[from], frame_forms[to], false);
				must_splice(frame_forms[from], frame_forms[to], true);
			}
}
END_TEST

START_TEST(crc32c_is_that_of_the_new_body)
{
	for (int framed = 0; framed < 2; framed++) {
		struct rpc_form form = {RPC_TTHEADER, RPC_THRIFT, framed};
		struct spliced s;
		struct slice payload;
		char sum[16];

		splice(
		    &s, form, changes[2].before, changes[2].after, (struct rpc_edit){.form = form});
		payload = slice_from(written_slice(&s.written), s.m->payload_at);
		snprintf(sum, sizeof sum, "%08x", crc32c(0, payload));
		ck_assert(slice_eq_str(str_key(s.m, "crc32c"), sum));
		ck_assert(slice_eq_str(str_key(s.m, "k"), "v"));
		spliced_free(&s);
	}
}
END_TEST

START_TEST(validators_of_the_old_body_go_and_are_counted)
{
	struct rpc_form form = {RPC_TTHEADER, RPC_THRIFT, true};
	struct spliced s;

	splice(&s, form, changes[0].before, changes[0].after, (struct rpc_edit){.form = form});
	ck_assert(!(s.m->marks & RPC_HAS_VALIDATOR));
	ck_assert_uint_eq(s.edit.dropped[RPC_DROPPED_CHECKSUM], 1);
	spliced_free(&s);
}
END_TEST

/* The bytes around the splice are the caller's own. */
START_TEST(nothing_else_moves)
{
	static const struct rpc_form forms[] = {
	    {RPC_PLAIN, RPC_THRIFT, false}, {RPC_PLAIN, RPC_THRIFT, true}};

	for (size_t i = 0; i < 2; i++) {
		struct spliced s;
		struct slice out;
		size_t head = forms[i].framed ? 20 : 16;

		splice(&s, forms[i], changes[2].before, changes[2].after,
		    (struct rpc_edit){.form = forms[i]});
		out = written_slice(&s.written);
		ck_assert_uint_eq(s.written.times, 1);
		ck_assert_uint_eq(out.len, s.in.len + s.after.len - s.before.len);
		ck_assert(slice_eq(slice_sub(out, head - 16, 16), slice_sub(s.in, head - 16, 16)));
		if (forms[i].framed)
			ck_assert_uint_eq(load_u32(out.data), out.len - 4);
		spliced_free(&s);
	}
}
END_TEST

/* It holds what the form has no place for: its maker has counted. */
START_TEST(what_the_body_holds_is_not_lost_with_the_header)
{
	struct rpc_form from = {RPC_TTHEADER, RPC_THRIFT, true}, to = {RPC_PLAIN, RPC_THRIFT, true};
	struct spliced s;

	splice(&s, from, changes[0].before, changes[0].after, (struct rpc_edit){.form = to});
	for (size_t i = 0; i < sizeof s.edit.dropped / sizeof s.edit.dropped[0]; i++)
		ck_assert_uint_eq(s.edit.dropped[i], 0);
	s.edit.splice = NULL;
	s.written.len = 0;
	send(&s);
	ck_assert_uint_eq(s.edit.dropped[RPC_DROPPED_HEADER], 1);
	ck_assert_uint_eq(s.edit.dropped[RPC_DROPPED_CHECKSUM], 2);
	spliced_free(&s);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    lengths_follow_in_every_form,
	    crc32c_is_that_of_the_new_body,
	    validators_of_the_old_body_go_and_are_counted,
	    nothing_else_moves,
	    what_the_body_holds_is_not_lost_with_the_header,
	};

	return suite_run("codec_splice", tests, sizeof tests / sizeof tests[0]);
}
