/*
 * Edits of TTHeaders: the block that is touched is built anew, everything else stays as it came.
 * The headers are written down as text (tests/support/frames.h), before and after.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/suite.h"

static const struct rpc_form bare = {RPC_TTHEADER, RPC_THRIFT, false};
static const struct rpc_form framed = {RPC_TTHEADER, RPC_THRIFT, true};

/* CRC-32C bit by bit, as the polynomial says; the codec has tables. */
static uint32_t slow_crc32c(struct slice s)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < s.len; i++) {
		crc ^= s.data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}

static struct frame frame_of(struct rpc_form form, struct slice sections, struct slice body)
{
	return (struct frame){.form = form,
	    .type = 1,
	    .method = "Echo",
	    .seq = 7,
	    .transport_seq = 7,
	    .sections = sections,
	    .body = body};
}

/* Reads @in on its side and writes it on the other; false: it was said not to fit. */
static bool send_edited(
    struct slice in, enum codec_side side, struct rpc_edit *edit, struct written *out)
{
	enum codec_side other = side == CODEC_UPSTREAM ? CODEC_DOWNSTREAM : CODEC_UPSTREAM;
	struct codec *from = codec_open(side, CODEC_UNARY, &reading_limits, NULL, NULL);
	struct codec *to = codec_open(other, CODEC_UNARY, &reading_limits, &written_io, out);
	struct codec_item item;
	bool fits;

	ck_assert_int_eq(codec_next(from, &in, &item), CODEC_MESSAGE);
	fits = codec_send_message(to, 0, &item.message, edit);
	codec_close(&from);
	codec_close(&to);
	return fits;
}

static void must_equal(const struct written *out, struct slice expected)
{
	ck_assert_uint_eq(out->len, expected.len);
	ck_assert_mem_eq(out->bytes, expected.data, expected.len);
}

/* A call whose header is @before leaves with the header @after. */
static void must_turn(const char *before, const char *after, struct rpc_edit edit)
{
	struct slice a = frame_sections(before), b = frame_sections(after);
	struct slice body = frame_body(20);
	struct frame call = frame_of(framed, a, body);
	struct slice in = frame_make(&call), expected;
	struct written out = {0};

	call.sections = b;
	call.flags = edit.out_of_order;
	expected = frame_make(&call);
	edit.form = framed;
	ck_assert(send_edited(in, CODEC_DOWNSTREAM, &edit, &out));
	must_equal(&out, expected);
	written_fini(&out);
	frame_free(&in);
	frame_free(&expected);
	frame_free(&body);
	frame_free(&a);
	frame_free(&b);
}

static struct rpc_edit with_timeout(uint64_t ms)
{
	return (struct rpc_edit){.set_timeout = true, .timeout_ms = ms};
}

START_TEST(the_timeout_is_replaced_in_its_section)
{
	must_turn("s isn=Echo;i 3=cart 12=300 9=Echo", "s isn=Echo;i 3=cart 12=45 9=Echo",
	    with_timeout(45));
	must_turn("i 12=300;s isn=Echo", "i 12=86400000;s isn=Echo", with_timeout(86400000));
}
END_TEST

START_TEST(the_timeout_is_added_to_the_first_section_of_its_kind)
{
	must_turn(
	    "i 3=cart;s isn=Echo;i 9=Echo", "i 3=cart 12=45;s isn=Echo;i 9=Echo", with_timeout(45));
}
END_TEST

START_TEST(a_kind_that_is_missing_gets_a_section_at_the_end)
{
	must_turn("s isn=Echo", "s isn=Echo;i 12=45", with_timeout(45));
	must_turn("", "i 12=45", with_timeout(45));
	must_turn("a token;i 3=cart", "a token;i 3=cart;s rip=10.0.0.1",
	    (struct rpc_edit){.rip = SLICE_LIT("10.0.0.1")});
}
END_TEST

START_TEST(rip_is_added_or_replaced)
{
	struct rpc_edit edit = {.rip = SLICE_LIT("unix:uid=7")};

	must_turn("s isn=Echo;i 3=cart", "s isn=Echo rip=unix:uid=7;i 3=cart", edit);
	must_turn("s rip=forged isn=Echo", "s rip=unix:uid=7 isn=Echo", edit);
	must_turn("s rip= isn=Echo", "s rip=unix:uid=7 isn=Echo", edit);
}
END_TEST

START_TEST(crrst_is_added_replaced_and_removed)
{
	struct rpc_edit add = {.add_crrst = true, .strip_crrst = true};
	struct rpc_edit strip = {.strip_crrst = true};

	must_turn("i 22=2;s k=v", "i 22=2;s k=v crrst=1", add);
	must_turn("i 22=2;s crrst=0 k=v", "i 22=2;s crrst=1 k=v", add);
	must_turn("i 22=2", "i 22=2;s crrst=1", add);
	must_turn("s a=1 crrst=1 b=2;i 22=2", "s a=1 b=2;i 22=2", strip);
	must_turn("s crrst=1;i 22=2", "i 22=2", strip);
	must_turn("s crrst=;s crrst=1 k=v;s crrst=2", "s k=v", strip);
	must_turn("s crrs=1 crrst2=1 Crrst=1", "s crrs=1 crrst2=1 Crrst=1", strip);
}
END_TEST

START_TEST(a_key_that_came_twice_goes_out_once)
{
	must_turn("i 12=1 12=2 3=a;i 12=3;s 12=4", "i 12=45 3=a;s 12=4", with_timeout(45));
	must_turn("s a=b;s rip=1;s rip=2 c=d rip=3", "s a=b rip=x;s c=d",
	    (struct rpc_edit){.rip = SLICE_LIT("x")});
}
END_TEST

START_TEST(many_repeated_keys_do_not_run_out_of_room)
{
	char before[8192] = "s";
	struct rpc_edit edit = {
	    .rip = SLICE_LIT("a-name-that-is-much-longer-than-the-one-that-it-replaces")};

	for (int i = 0; i < 1000; i++)
		strcat(before, " rip=a");
	must_turn(before, "s rip=a-name-that-is-much-longer-than-the-one-that-it-replaces", edit);
}
END_TEST

START_TEST(padding_empty_sections_and_acl_stay_where_they_were)
{
	must_turn("0;0;s;0;i;a tok;0;i 12=9;0;s k=v;0;s;0;0",
	    "0;0;s;0;i;a tok;0;i 12=45;0;s k=v;0;s", with_timeout(45));
	must_turn("a one;0;s crrst=1;0;a two;i 1=x", "a one;0;0;a two;i 1=x",
	    (struct rpc_edit){.strip_crrst = true});
	must_turn("s;i;0", "s;i;i 12=45", with_timeout(45));
}
END_TEST

START_TEST(several_edits_at_once)
{
	must_turn("s a=b crrst=1;i 3=x 12=7 9=Echo", "s a=b rip=r;i 3=x 12=45 9=Echo",
	    (struct rpc_edit){.set_timeout = true,
		.timeout_ms = 45,
		.rip = SLICE_LIT("r"),
		.strip_crrst = true,
		.out_of_order = true});
}
END_TEST

START_TEST(only_the_flag_is_set_for_a_shared_connection)
{
	must_turn("0;s;s a=b", "0;s;s a=b", (struct rpc_edit){.out_of_order = true});
}
END_TEST

START_TEST(facts_that_only_a_new_header_has_do_not_touch_one_that_is_there)
{
	must_turn("s isn=A;i 6=asked 3=cart", "s isn=A;i 6=asked 3=cart",
	    (struct rpc_edit){.caller = SLICE_LIT("me"),
		.service = SLICE_LIT("price"),
		.idl_service = SLICE_LIT("B"),
		.log_id = SLICE_LIT("0")});
}
END_TEST

/* A header of exactly @len bytes: protocol id and transforms, and one str entry of many. */
static struct slice header_of(size_t len)
{
	struct slice all = frame_sections("");
	size_t left = len - 2;

	while (left) {
		size_t n = left > 60100 ? 60000 : left;
		char *text = mem_alloc(n + 1);
		struct slice one, both;

		memset(text, 'v', n);
		memcpy(text, "s k=", 4);
		text[n - 4] = '\0'; /* "s k=" says what takes 8 bytes with its lengths */
		one = frame_sections(text);
		ck_assert_uint_eq(one.len, n);
		both = frame_join(all, one);
		frame_free(&all);
		frame_free(&one);
		free(text);
		all = both;
		left -= n;
	}
	return all;
}

/* Adding a timeout of 1 digit takes 8 bytes: section, count, key, length, the digit. */
static bool fits_with_timeout(size_t header, bool edited)
{
	struct slice sections = header_of(header), body = frame_body(8);
	struct frame call = frame_of(bare, sections, body);
	struct slice in = frame_make(&call);
	struct written out = {0};
	struct rpc_edit edit = {.form = bare, .set_timeout = edited, .timeout_ms = 5};
	bool fits;

	fits = send_edited(in, CODEC_DOWNSTREAM, &edit, &out);
	ck_assert_uint_eq(out.times, fits);
	if (fits && edited)
		ck_assert_uint_eq(out.len, in.len + 8);
	written_fini(&out);
	frame_free(&in);
	frame_free(&sections);
	frame_free(&body);
	return fits;
}

START_TEST(a_header_past_the_formats_limit_is_not_written_at_all)
{
	ck_assert(fits_with_timeout(262140, false));
	ck_assert(fits_with_timeout(262132, true));
	ck_assert(!fits_with_timeout(262136, true));
	ck_assert(!fits_with_timeout(262140, true));
}
END_TEST

/* ---- checksums ---- */

struct sums {
	struct slice in, out;
	struct rpc_edit edit;
	struct written written;
	struct reading read; /* of what was written */
};

static void send_summed(
    struct sums *s, const char *sections, struct rpc_form form, struct rpc_edit edit)
{
	struct slice text = frame_sections(sections), body = frame_body(100);
	struct frame call = frame_of(form, text, body);

	*s = (struct sums){.in = frame_make(&call), .edit = edit};
	ck_assert(send_edited(s->in, CODEC_DOWNSTREAM, &s->edit, &s->written));
	s->out = written_slice(&s->written);
	reading_open(&s->read, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&s->read, s->out);
	ck_assert_uint_eq(s->read.n, 1);
	frame_free(&text);
	frame_free(&body);
}

static void sums_fini(struct sums *s)
{
	frame_free(&s->in);
	written_fini(&s->written);
	reading_close(&s->read);
}

static void must_carry_sum(struct sums *s)
{
	const struct rpc_message *m = &s->read.list[0].message;
	char expected[16];

	snprintf(expected, sizeof expected, "%08x", slow_crc32c(slice_from(s->out, m->payload_at)));
	ck_assert(m->marks & RPC_HAS_CHECKSUM);
	ck_assert_ptr_nonnull(memmem(m->sections.data, m->sections.len, expected, 8));
	ck_assert_uint_eq(s->edit.dropped[RPC_DROPPED_CHECKSUM], 0);
}

START_TEST(crc32c_is_computed_anew_when_ids_change)
{
	struct rpc_edit edit = {.form = framed, .renumber = true, .seq = 1, .transport_seq = 1};
	struct sums s;

	send_summed(&s, "s crc32c=00000000 k=v;i 1=framed", framed, edit);
	must_carry_sum(&s);
	ck_assert_uint_eq(s.out.len, s.in.len);
	sums_fini(&s);
}
END_TEST

START_TEST(crc32c_is_computed_anew_when_the_framing_changes)
{
	struct sums s;

	send_summed(&s, "s k=v crc32c=00000000", framed, (struct rpc_edit){.form = bare});
	must_carry_sum(&s);
	ck_assert_uint_eq(s.out.len, s.in.len - 4);
	sums_fini(&s);
	send_summed(&s, "s k=v crc32c=00000000", bare, (struct rpc_edit){.form = framed});
	must_carry_sum(&s);
	ck_assert_uint_eq(s.out.len, s.in.len + 4);
	sums_fini(&s);
}
END_TEST

START_TEST(checksums_stay_while_the_payload_stays)
{
	struct rpc_edit edit = {.form = framed, .renumber = true, .seq = 7, .transport_seq = 99};
	struct sums s;

	edit.set_timeout = true;
	edit.timeout_ms = 1;
	send_summed(&s, "s crc32c=deadbeef PV_x=abc;i 12=2", framed, edit);
	ck_assert_ptr_nonnull(memmem(s.out.data, s.out.len, "deadbeef", 8));
	ck_assert(s.read.list[0].message.marks & RPC_HAS_VALIDATOR);
	ck_assert_uint_eq(s.edit.dropped[RPC_DROPPED_CHECKSUM], 0);
	sums_fini(&s);
}
END_TEST

START_TEST(validators_are_dropped_and_counted_when_the_payload_changes)
{
	struct rpc_edit edit = {.form = framed, .renumber = true, .seq = 1, .transport_seq = 1};

	struct sums s;

	send_summed(&s, "s PV_a=1 k=v PV_b=2;i 3=c;s PV_c=3", framed, edit);
	ck_assert(!(s.read.list[0].message.marks & RPC_HAS_VALIDATOR));
	ck_assert_uint_eq(s.edit.dropped[RPC_DROPPED_CHECKSUM], 3);
	sums_fini(&s);
	must_turn("s PV_a=1 k=v;i 3=c", "s PV_a=1 k=v;i 3=c", (struct rpc_edit){.renumber = false});
}
END_TEST

START_TEST(the_word_for_the_framing_follows_it)
{
	struct sums s;

	send_summed(&s, "i 1=framed 3=c", framed, (struct rpc_edit){.form = bare});
	ck_assert_ptr_nonnull(memmem(s.out.data, s.out.len, "\0\x01\0\x08unframed", 12));
	sums_fini(&s);
	send_summed(&s, "i 3=c 1=unframed", bare, (struct rpc_edit){.form = framed});
	ck_assert_ptr_nonnull(memmem(s.out.data, s.out.len,
	    "\0\x01\0\x06"
	    "framed",
	    10));
	sums_fini(&s);
	send_summed(&s, "i 3=c", bare, (struct rpc_edit){.form = framed}); /* it said nothing */
	ck_assert_ptr_null(memmem(s.out.data, s.out.len, "framed", 6));
	sums_fini(&s);
}
END_TEST

START_TEST(crc32c_of_a_relayed_message_is_dropped_and_counted)
{
	struct slice sections = frame_sections("s crc32c=00000000 k=v"), body = frame_body(100000);
	struct frame call = frame_of(framed, sections, body);
	struct slice whole = frame_make(&call), in = slice_first(whole, 70000);
	struct rpc_edit edit = {.form = framed, .renumber = true, .seq = 1, .transport_seq = 1};
	struct codec *from = codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, NULL, NULL);
	struct written out = {0};
	struct codec *to =
	    codec_open(CODEC_UPSTREAM, CODEC_UNARY, &reading_limits, &written_io, &out);
	struct codec_item item;

	ck_assert_int_eq(codec_next(from, &in, &item), CODEC_MESSAGE);
	ck_assert(!item.message.complete);
	ck_assert(codec_send_message(to, 0, &item.message, &edit));
	ck_assert_ptr_null(memmem(out.bytes, out.len, "crc32c", 6));
	ck_assert_uint_eq(edit.dropped[RPC_DROPPED_CHECKSUM], 1);
	written_fini(&out);
	codec_close(&from);
	codec_close(&to);
	frame_free(&whole);
	frame_free(&sections);
	frame_free(&body);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    the_timeout_is_replaced_in_its_section,
	    the_timeout_is_added_to_the_first_section_of_its_kind,
	    a_kind_that_is_missing_gets_a_section_at_the_end,
	    rip_is_added_or_replaced,
	    crrst_is_added_replaced_and_removed,
	    a_key_that_came_twice_goes_out_once,
	    many_repeated_keys_do_not_run_out_of_room,
	    padding_empty_sections_and_acl_stay_where_they_were,
	    several_edits_at_once,
	    only_the_flag_is_set_for_a_shared_connection,
	    facts_that_only_a_new_header_has_do_not_touch_one_that_is_there,
	    a_header_past_the_formats_limit_is_not_written_at_all,
	    crc32c_is_computed_anew_when_ids_change,
	    crc32c_is_computed_anew_when_the_framing_changes,
	    checksums_stay_while_the_payload_stays,
	    validators_are_dropped_and_counted_when_the_payload_changes,
	    the_word_for_the_framing_follows_it,
	    crc32c_of_a_relayed_message_is_dropped_and_counted,
	};

	return suite_run("codec_edit", tests, ARRAY_LEN(tests));
}
