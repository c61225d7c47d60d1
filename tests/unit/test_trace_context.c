/* Contexts of traces: read however they are spelled, refused when one byte is wrong, written so
 * that they are read the same, and carried from one protocol to another and back. */
#include "rpc/trace_context.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "rpc/head_write.h"
#include "support/block.h"
#include "support/bytes.h"
#include "support/frames.h"
#include "support/suite.h"

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define SPAN   "b7ad6b7169203331"
#define W3C    "00-" TRACE "-" SPAN "-01"
#define B3     TRACE "-" SPAN "-1"
#define ZERO16 "0000000000000000"

static struct trace_context got;
static unsigned spellings;

static void must_be_ids(const char *trace, const char *span)
{
	char text[33] = {0};

	ck_assert(got.has_ids);
	trace_write_hex(text, got.trace_id, sizeof got.trace_id);
	ck_assert_str_eq(text, trace);
	memset(text, 0, sizeof text);
	trace_write_hex(text, got.span_id, sizeof got.span_id);
	ck_assert_str_eq(text, span);
}

static bool read_w3c(const char *text)
{
	return trace_context_read_w3c(&got, slice_str(text));
}

static bool read_b3(const char *text)
{
	return trace_context_read_b3(&got, slice_str(text));
}

/* ---- one value ---- */

START_TEST(a_traceparent_is_read)
{
	ck_assert(read_w3c(W3C));
	must_be_ids(TRACE, SPAN);
	ck_assert_int_eq(got.decision, TRACE_SAMPLED);
	ck_assert(read_w3c("00-" TRACE "-" SPAN "-00"));
	ck_assert_int_eq(got.decision, TRACE_LEFT_OUT);
	ck_assert(read_w3c("00-" TRACE "-" SPAN "-fe"));
	ck_assert_int_eq(got.decision, TRACE_LEFT_OUT);
	ck_assert(read_w3c("00-" TRACE "-" SPAN "-ff"));
	ck_assert_int_eq(got.decision, TRACE_SAMPLED);
}
END_TEST

START_TEST(a_later_version_may_say_more)
{
	ck_assert(read_w3c("01-" TRACE "-" SPAN "-01"));
	ck_assert(read_w3c("fe-" TRACE "-" SPAN "-01-and-more"));
	must_be_ids(TRACE, SPAN);
	ck_assert(!read_w3c("01-" TRACE "-" SPAN "-01.and"));
	ck_assert(!read_w3c("ff-" TRACE "-" SPAN "-01"));
}
END_TEST

static const char *const bad_w3c[] = {"", "0", "00", "00-", W3C "-", W3C " ", " " W3C, W3C "-00",
    "00-" TRACE "-" SPAN "-1", "00-" TRACE "-" SPAN "-0g", "00-" TRACE "-" SPAN "- 1",
    "00-" TRACE "-" SPAN "-0A", "0A-" TRACE "-" SPAN "-01", "00_" TRACE "-" SPAN "-01",
    "00-" TRACE "_" SPAN "-01", "00-" TRACE "-" SPAN "_01",
    "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01", "00-" TRACE "-B7AD6B7169203331-01",
    "00-" ZERO16 ZERO16 "-" SPAN "-01", "00-" TRACE "-" ZERO16 "-01", "00-" TRACE "0-" SPAN "-1",
    "00-" SPAN "-" TRACE "-01", "00-" SPAN "-" SPAN "-01"};

START_TEST(a_traceparent_of_which_one_byte_is_wrong_is_none)
{
	ck_assert_msg(!read_w3c(bad_w3c[_i]), "%s", bad_w3c[_i]);
}
END_TEST

START_TEST(each_byte_of_a_traceparent_counts)
{
	char text[sizeof W3C];

	for (size_t at = 0; at + 1 < sizeof text; at++) {
		for (unsigned b = 0; b < 256; b++) {
			bool is_hex = (b >= '0' && b <= '9') || (b >= 'a' && b <= 'f');
			bool is_dash = W3C[at] == '-';

			memcpy(text, W3C, sizeof text);
			text[at] = (char)b;
			ck_assert_int_eq(
			    trace_context_read_w3c(&got, slice_of(text, sizeof text - 1)),
			    is_dash ? b == '-' : is_hex);
		}
	}
	for (size_t len = 0; len + 1 < sizeof text; len++)
		ck_assert(!trace_context_read_w3c(&got, slice_of(W3C, len)));
}
END_TEST

static const struct {
	const char *text;
	bool is_good;
	enum trace_decision decision;
	bool has_ids;
} b3s[] = {
    {B3, true, TRACE_SAMPLED, true},
    {TRACE "-" SPAN "-0", true, TRACE_LEFT_OUT, true},
    {TRACE "-" SPAN "-d", true, TRACE_SAMPLED, true},
    {TRACE "-" SPAN, true, TRACE_UNDECIDED, true},
    {B3 "-" SPAN, true, TRACE_SAMPLED, true},
    {SPAN "-" SPAN "-1", true, TRACE_SAMPLED, true},
    {"0", true, TRACE_LEFT_OUT, false},
    {"1", true, TRACE_SAMPLED, false},
    {"d", true, TRACE_SAMPLED, false},
    {"", false, 0, false},
    {"2", false, 0, false},
    {"D", false, 0, false},
    {"-", false, 0, false},
    {"--", false, 0, false},
    {"---", false, 0, false},
    {TRACE, false, 0, false},
    {TRACE "-", false, 0, false},
    {TRACE "-" SPAN "-", false, 0, false},
    {TRACE "-" SPAN "-2", false, 0, false},
    {TRACE "-" SPAN "-11", false, 0, false},
    {TRACE "-" SPAN "--" SPAN, false, 0, false},
    {B3 "-", false, 0, false},
    {B3 "-" TRACE, false, 0, false},
    {B3 "-" SPAN "-", false, 0, false},
    {B3 "-" SPAN "-1", false, 0, false},
    {"0AF7651916CD43DD8448EB211C80319C-" SPAN, false, 0, false},
    {ZERO16 ZERO16 "-" SPAN "-1", false, 0, false},
    {ZERO16 "-" SPAN "-1", false, 0, false},
    {TRACE "-" ZERO16 "-1", false, 0, false},
    {TRACE "0-" SPAN "-1", false, 0, false},
    {"0" SPAN "-" SPAN "-1", false, 0, false},
    {B3 "-" ZERO16, false, 0, false},
    {" " B3, false, 0, false},
    {B3 " ", false, 0, false},
    {W3C, false, 0, false},
};

START_TEST(a_b3_is_read_or_refused)
{
	ck_assert_int_eq(read_b3(b3s[_i].text), b3s[_i].is_good);
	if (!b3s[_i].is_good)
		return;
	ck_assert_int_eq(got.decision, b3s[_i].decision);
	ck_assert_int_eq(got.has_ids, b3s[_i].has_ids);
}
END_TEST

START_TEST(a_short_trace_id_is_the_lower_half)
{
	char room[TRACE_W3C_TEXT], again[TRACE_B3_TEXT];

	ck_assert(read_b3(SPAN "-" SPAN "-1"));
	must_be_ids(ZERO16 SPAN, SPAN);
	ck_assert_uint_eq(trace_context_write_w3c(&got, room), TRACE_W3C_TEXT);
	ck_assert_mem_eq(room, "00-" ZERO16 SPAN "-" SPAN "-01", TRACE_W3C_TEXT);
	ck_assert_uint_eq(trace_context_write_b3(&got, again), 35);
	ck_assert_mem_eq(again, SPAN "-" SPAN "-1", 35);
}
END_TEST

START_TEST(what_is_written_is_read_the_same)
{
	struct rng rng;

	rng_init(&rng, 5);
	for (int i = 0; i < 20000; i++) {
		struct trace_context c = {.has_ids = true};
		char w3c[TRACE_W3C_TEXT], b3[TRACE_B3_TEXT];
		size_t n;

		for (size_t at = rng_below(&rng, 4) ? 0 : 8; at < 16; at++)
			c.trace_id[at] = (uint8_t)rng_next(&rng);
		for (size_t at = 0; at < 8; at++)
			c.span_id[at] = (uint8_t)rng_next(&rng);
		c.trace_id[15] |= 1;
		c.span_id[7] |= 1;
		c.decision = (enum trace_decision)rng_below(&rng, 3);
		n = trace_context_write_b3(&c, b3);
		ck_assert(trace_context_read_b3(&got, slice_of(b3, n)));
		ck_assert_mem_eq(got.trace_id, c.trace_id, 16);
		ck_assert_mem_eq(got.span_id, c.span_id, 8);
		ck_assert_int_eq(got.decision, c.decision);
		n = trace_context_write_w3c(&c, w3c);
		ck_assert(trace_context_read_w3c(&got, slice_of(w3c, n)));
		ck_assert_mem_eq(got.trace_id, c.trace_id, 16);
		ck_assert_mem_eq(got.span_id, c.span_id, 8);
		ck_assert_int_eq(got.decision == TRACE_SAMPLED, c.decision == TRACE_SAMPLED);
	}
}
END_TEST

/* ---- a call ---- */

static bool find_in_block(const char *lines)
{
	struct block block = {0};
	bool is_found;

	block_make(&block, RPC_CALL, lines);
	is_found = trace_context_find(&got, &block.message, &spellings);
	block_free(&block);
	return is_found;
}

static bool find_in_sections(const char *text)
{
	struct slice sections = frame_sections(text);
	struct rpc_message m = {
	    .form = {RPC_TTHEADER, RPC_THRIFT, true}, .kind = RPC_CALL, .sections = sections};
	bool is_found = trace_context_find(&got, &m, &spellings);

	frame_free(&sections);
	return is_found;
}

START_TEST(fields_are_found_in_every_spelling)
{
	ck_assert(find_in_block("traceparent: " W3C "\n"));
	ck_assert_uint_eq(spellings, TRACE_PARENT);
	must_be_ids(TRACE, SPAN);
	ck_assert(find_in_block("rpc-transit-traceparent: " W3C "\n"));
	ck_assert_uint_eq(spellings, TRACE_PARENT_TRANSIENT);
	ck_assert(find_in_block("b3: " B3 "\n"));
	ck_assert_uint_eq(spellings, TRACE_B3_SINGLE);
	ck_assert(find_in_block("rpc-transit-b3: " B3 "\n"));
	ck_assert_uint_eq(spellings, TRACE_B3_SINGLE_TRANSIENT);
	ck_assert(find_in_block("x-b3-traceid: " TRACE "\nx-b3-spanid: " SPAN "\n"));
	ck_assert_uint_eq(spellings, TRACE_B3_MULTI);
	ck_assert_int_eq(got.decision, TRACE_UNDECIDED);
	must_be_ids(TRACE, SPAN);
	ck_assert(!find_in_block("x-b3-trace: 1\ntraceparents: " W3C "\n"));
	ck_assert_uint_eq(spellings, 0);
}
END_TEST

START_TEST(keys_are_found_in_every_spelling)
{
	ck_assert(find_in_sections("s RPC_TRANSIT_traceparent=" W3C ";"));
	ck_assert_uint_eq(spellings, TRACE_PARENT_TRANSIENT);
	ck_assert(find_in_sections("s RPC_TRANSIT_TRACEPARENT=" W3C ";"));
	ck_assert_uint_eq(spellings, TRACE_PARENT_TRANSIENT);
	ck_assert(find_in_sections(
	    "s RPC_TRANSIT_X_B3_TRACEID=" TRACE " RPC_TRANSIT_x-b3-SpanId=" SPAN ";"));
	ck_assert_uint_eq(spellings, TRACE_B3_MULTI_TRANSIENT);
	must_be_ids(TRACE, SPAN);
	ck_assert(find_in_sections("s traceparent=" W3C ";"));
	ck_assert_uint_eq(spellings, TRACE_PARENT);
	ck_assert(!find_in_sections("s RPC_PERSIST_traceparent=" W3C ";i 12=300;a token;"));
	ck_assert_uint_eq(spellings, 0);
}
END_TEST

START_TEST(several_fields_of_b3_go_together)
{
	static const struct {
		const char *lines;
		enum trace_decision decision;
	} cases[] = {{"x-b3-sampled: 1\n", TRACE_SAMPLED}, {"x-b3-sampled: 0\n", TRACE_LEFT_OUT},
	    {"x-b3-sampled: true\n", TRACE_SAMPLED}, {"x-b3-sampled: false\n", TRACE_LEFT_OUT},
	    {"x-b3-sampled: yes\n", TRACE_UNDECIDED}, {"x-b3-flags: 1\n", TRACE_SAMPLED},
	    {"x-b3-flags: 1\nx-b3-sampled: 0\n", TRACE_SAMPLED},
	    {"x-b3-flags: 0\n", TRACE_UNDECIDED}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char lines[300];

		snprintf(lines, sizeof lines, "x-b3-traceid: " TRACE "\nx-b3-spanid: " SPAN "\n%s",
		    cases[i].lines);
		ck_assert(find_in_block(lines));
		ck_assert(got.has_ids);
		ck_assert_int_eq(got.decision, cases[i].decision);
		ck_assert_int_eq(
		    find_in_block(cases[i].lines), cases[i].decision != TRACE_UNDECIDED);
		ck_assert(!got.has_ids);
	}
	ck_assert(!find_in_block("x-b3-traceid: " TRACE "\nx-b3-sampled: 1\n"));
	ck_assert(!find_in_block("x-b3-traceid: " TRACE "\nx-b3-spanid: zz\nx-b3-sampled: 1\n"));
}
END_TEST

START_TEST(of_a_repeated_field_the_first_counts_and_of_a_key_the_last)
{
	ck_assert(find_in_block("traceparent: " W3C "\ntraceparent: 00-" TRACE "-" SPAN "-00\n"));
	ck_assert_int_eq(got.decision, TRACE_SAMPLED);
	ck_assert(!find_in_block("traceparent: x\ntraceparent: " W3C "\n"));
	ck_assert(find_in_sections(
	    "s RPC_TRANSIT_traceparent=" W3C " RPC_TRANSIT_traceparent=00-" TRACE "-" SPAN "-00;"));
	ck_assert_int_eq(got.decision, TRACE_LEFT_OUT);
}
END_TEST

START_TEST(what_can_be_read_comes_before_what_cannot)
{
	ck_assert(find_in_block("traceparent: " W3C "\nb3: 0\n"));
	ck_assert_int_eq(got.decision, TRACE_SAMPLED);
	ck_assert(find_in_block("traceparent: broken\nb3: " B3 "\n"));
	must_be_ids(TRACE, SPAN);
	ck_assert_uint_eq(spellings, TRACE_PARENT | TRACE_B3_SINGLE);
	ck_assert(find_in_block("b3: broken\nx-b3-traceid: " TRACE "\nx-b3-spanid: " SPAN "\n"));
	must_be_ids(TRACE, SPAN);
}
END_TEST

START_TEST(a_form_without_metadata_has_no_context)
{
	struct rpc_message m = {.form = {RPC_PLAIN, RPC_THRIFT, true}, .kind = RPC_CALL};

	ck_assert(!trace_context_find(&got, &m, &spellings));
	ck_assert_uint_eq(spellings, 0);
}
END_TEST

/* ---- there and back ---- */

static const char *const keys[] = {"traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid",
    "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"};

/* A call of TTHeader with some of them, in any order. Free with frame_free. */
static struct slice some_keys(struct rng *rng, char *text, size_t size)
{
	size_t at = (size_t)snprintf(text, size, "s RPC_TRANSIT_OTHER=1");
	unsigned first = (unsigned)rng_below(rng, ARRAY_LEN(keys));

	for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
		if (rng_below(rng, 2))
			at += (size_t)snprintf(text + at, size - at, " RPC_TRANSIT_%s=%llx",
			    keys[(first + i) % ARRAY_LEN(keys)], (unsigned long long)rng_next(rng));
	snprintf(text + at, size - at, ";");
	return frame_sections(text);
}

/* What that becomes as a TTHeader again, by way of HTTP/2. */
static struct slice there_and_back(const struct rpc_message *call, struct arena *arena)
{
	struct rpc_edit to_http = {.form = {RPC_HTTP2, RPC_THRIFT, false}};
	struct rpc_edit back = {.form = call->form};
	struct field_list fields = {.arena = arena};
	struct rpc_message m = {.form = to_http.form, .kind = RPC_CALL, .method = call->method};
	struct writer w = writer_of(arena_alloc(arena, 4096), 4096);

	ck_assert(grpc_call_fields(call, &to_http, &fields, &m.path));
	m.fields = fields.items;
	m.n_fields = fields.n;
	m.timeout = USEC_NONE;
	head_write(&w, &m, &back);
	ck_assert(!w.bad);
	return writer_slice(&w);
}

static struct slice value_of(struct slice sections, const char *name, unsigned *n)
{
	struct ttheader_iter it = ttheader_entries(sections);
	struct slice value = SLICE_NONE;
	struct ttheader_entry e;
	char key[64];

	snprintf(key, sizeof key, "RPC_TRANSIT_%s", name);
	*n = 0;
	while (ttheader_next(&it, &e)) {
		if (e.kind == TTHEADER_STR && slice_eq_str(e.key, key)) {
			value = e.value;
			++*n;
		}
		ck_assert(e.kind != TTHEADER_STR || !slice_eq_str(e.key, name));
	}
	return value;
}

START_TEST(a_context_comes_back_from_http2_as_it_was)
{
	struct rng rng;

	rng_init(&rng, 11);
	for (int round = 0; round < 2000; round++) {
		char text[1000];
		struct slice sections = some_keys(&rng, text, sizeof text), again;
		struct rpc_message m = {.form = {RPC_TTHEADER, RPC_THRIFT, true},
		    .kind = RPC_CALL,
		    .method = SLICE_LIT("Say"),
		    .idl_service = SLICE_LIT("Echo"),
		    .timeout = USEC_NONE,
		    .sections = sections};
		struct ttheader tt;
		struct wire_note note;
		struct arena arena;

		arena_init(&arena, NULL, 0);
		again = there_and_back(&m, &arena);
		ck_assert_int_eq(ttheader_read(again, 65536, 65536, &tt, &note), WIRE_OK);
		for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
			unsigned before, after;
			struct slice old = value_of(sections, keys[i], &before);

			ck_assert(slice_eq(value_of(tt.sections, keys[i], &after), old));
			ck_assert_uint_eq(before, after);
		}
		arena_fini(&arena);
		frame_free(&sections);
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_traceparent_is_read, 1},
	    {a_later_version_may_say_more, 1},
	    {a_traceparent_of_which_one_byte_is_wrong_is_none, ARRAY_LEN(bad_w3c)},
	    {each_byte_of_a_traceparent_counts, 1},
	    {a_b3_is_read_or_refused, ARRAY_LEN(b3s)},
	    {a_short_trace_id_is_the_lower_half, 1},
	    {what_is_written_is_read_the_same, 1},
	    {fields_are_found_in_every_spelling, 1},
	    {keys_are_found_in_every_spelling, 1},
	    {several_fields_of_b3_go_together, 1},
	    {of_a_repeated_field_the_first_counts_and_of_a_key_the_last, 1},
	    {what_can_be_read_comes_before_what_cannot, 1},
	    {a_form_without_metadata_has_no_context, 1},
	    {a_context_comes_back_from_http2_as_it_was, 1},
	};

	return suite_run_between("trace_context", tests, ARRAY_LEN(tests), NULL, NULL);
}
