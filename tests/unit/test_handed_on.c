/*
 * What an application hands on, taken out of one call and put into another, in every form that
 * either may have: what goes with it, what stays with who has it, and that messages stay whole.
 */
#include "rpc/handed_on.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "rpc/facts.h"
#include "rpc/trace_context.h"
#include "support/block.h"
#include "support/changes_text.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/suite.h"
#include "support/tts_end.h"
#include "wire/ttheader.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define W3C   "00-" TRACE "-b7ad6b7169203331-01"
#define ROOM  4096u

static const struct rpc_form tth = {RPC_TTHEADER, RPC_THRIFT, true};
static const struct rpc_form bare = {RPC_TTHEADER, RPC_THRIFT, false};
static const struct rpc_form mesh = {RPC_MESH, RPC_THRIFT, true};
static const struct rpc_form plain = {RPC_PLAIN, RPC_THRIFT, true};
static const struct trace_context no_trace;

static struct arena arena;
static struct reading read_call, read_again;
static struct tts_end stream;
static struct block block;
static struct written out;
static struct changes_text changes;
static uint8_t room[ROOM];
static struct rpc_handed_on what;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
	what = (struct rpc_handed_on){.timeout = USEC_NONE};
}

static void forget(void)
{
	if (read_call.codec)
		reading_close(&read_call);
	if (read_again.codec)
		reading_close(&read_again);
	if (stream.codec)
		tts_end_close(&stream);
	if (block.text)
		block_free(&block);
	block = (struct block){0};
}

static void end(void)
{
	forget();
	written_fini(&out);
	changes_text_free(&changes);
	arena_fini(&arena);
}

/* ---- calls ---- */

static struct rpc_message call_of(struct rpc_form form, const char *header)
{
	struct slice sections = frame_sections(header), body = frame_body(20), frame;
	struct frame f = {.form = form,
	    .type = 1,
	    .method = "Echo",
	    .seq = 7,
	    .transport_seq = 9,
	    .sections = sections,
	    .body = body};

	forget();
	frame = frame_make(&f);
	reading_open(&read_call, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&read_call, frame);
	ck_assert_uint_eq(read_call.n, 1);
	frame_free(&frame);
	frame_free(&body);
	frame_free(&sections);
	return read_call.list[0].message;
}

static struct rpc_message fields_of(const char *lines)
{
	forget();
	block_make(&block, RPC_CALL, lines);
	return block.message;
}

static struct rpc_message stream_of(const char *header)
{
	struct slice frame = tts_frame(1, header, SLICE_NONE);

	forget();
	tts_end_open(&stream, CODEC_DOWNSTREAM, &reading_limits);
	tts_end_feed(&stream, frame);
	ck_assert_uint_eq(stream.n, 1);
	frame_free(&frame);
	return stream.list[0].message;
}

/* ---- taking ---- */

static bool take_in(
    const struct rpc_message *m, const char *rules, const struct trace_context *trace, size_t size)
{
	struct rpc_edit edit = {.form = m->form};

	changes_text_free(&changes);
	changes_read(&changes, rules, &edit);
	return rpc_hand_on(m, &edit, trace, room, size, &what.sections);
}

static void take(struct rpc_message m, const char *rules)
{
	ck_assert(take_in(&m, rules, &no_trace, sizeof room));
}

/* As "s k=v k=v" has it. */
static void must_have_taken(const char *expected)
{
	struct slice sections = frame_sections(expected);

	ck_assert_msg(slice_eq(what.sections, sections), "%zu bytes, not %zu: %.*s",
	    what.sections.len, sections.len, (int)what.sections.len,
	    (const char *)what.sections.data);
	frame_free(&sections);
}

START_TEST(persistent_values_go_on_and_nothing_else_does)
{
	take(call_of(tth,
		 "s RPC_PERSIST_a=1 RPC_TRANSIT_b=2 x=3 isn=S RPC_PERSIST_Cc=4 crrst=1 rip=r;"
		 "i 2=log 3=who 12=100;a token"),
	    "");
	must_have_taken("s RPC_PERSIST_a=1 RPC_PERSIST_Cc=4");
	take(call_of(mesh, "m RPC_PERSIST_a=1 RPC_TRANSIT_b=2"), "");
	must_have_taken("s RPC_PERSIST_a=1");
	take(stream_of("s RPC_PERSIST_a=1 RPC_TRANSIT_b=2;i 27=2 9=Echo"), "");
	must_have_taken("s RPC_PERSIST_a=1");
	take(fields_of(":path: /S/M\nrpc-persist-a-b: 1\nrpc-transit-b: 2\nx: 3\n"), "");
	must_have_taken("s RPC_PERSIST_A_B=1");
	take(call_of(plain, ""), "");
	ck_assert_uint_eq(what.sections.len, 0);
}
END_TEST

START_TEST(what_is_empty_is_not_there)
{
	take(call_of(tth, "s RPC_PERSIST_=1 RPC_PERSIST_a= RPC_PERSIST_b=2"), "");
	must_have_taken("s RPC_PERSIST_b=2");
}
END_TEST

START_TEST(of_a_repeated_field_the_first_counts)
{
	struct slice value;

	take(fields_of(":path: /S/M\nrpc-persist-a: first\nrpc-persist-a: second\n"), "");
	block.message = call_of(plain, "");
	ck_assert(rpc_handed_on_give(&block.message, &what, &arena));
	ck_assert(rpc_find_meta(&block.message, SLICE_LIT("a"), &value));
	ck_assert(slice_eq_str(value, "first"));
	block = (struct block){0};
}
END_TEST

START_TEST(what_rules_change_goes_on_changed)
{
	struct rpc_message m =
	    call_of(tth, "s RPC_PERSIST_a=1 RPC_PERSIST_b=2 RPC_TRANSIT_c=3 RPC_PERSIST_d=4");

	take(m, "+meta.A=new -meta.b +meta.c=lasts +header.RPC_PERSIST_e=5 +header.x=6 "
		"+header.RPC_TRANSIT_f=7 +int.14=8 retry=2");
	must_have_taken("s RPC_PERSIST_A=new RPC_PERSIST_d=4 RPC_PERSIST_c=lasts RPC_PERSIST_e=5 "
			"RPC_PERSIST_RetryReq=2");
}
END_TEST

START_TEST(binary_fields_are_bytes)
{
	take(fields_of(":path: /S/M\nrpc-persist-k-bin: AAH_\nrpc-persist-z: 1\n"), "");
	must_have_taken("s RPC_PERSIST_Z=1"); /* no base64 */
	take(fields_of(":path: /S/M\nrpc-persist-k-bin: aGk=\n"), "");
	must_have_taken("s RPC_PERSIST_K_BIN=hi");
}
END_TEST

START_TEST(the_parent_is_the_one_that_went_out_and_its_state_goes_with_it)
{
	struct trace_context parent = {.has_ids = false};
	struct rpc_message m = call_of(
	    tth, "s RPC_TRANSIT_traceparent=" W3C " RPC_TRANSIT_tracestate=v=1 RPC_PERSIST_a=1");

	ck_assert(take_in(&m, "", &parent, sizeof room));
	must_have_taken("s RPC_PERSIST_a=1");
	ck_assert(trace_context_read_w3c(&parent, SLICE_LIT("00-" TRACE "-1111111111111111-01")));
	ck_assert(take_in(&m, "", &parent, sizeof room));
	must_have_taken("s RPC_PERSIST_a=1 RPC_TRANSIT_traceparent=00-" TRACE
			"-1111111111111111-01 RPC_TRANSIT_tracestate=v=1");
	parent.decision = TRACE_UNDECIDED;
	m = fields_of(":path: /S/M\ntracestate: v=2\n");
	ck_assert(take_in(&m, "", &parent, sizeof room));
	must_have_taken("s RPC_TRANSIT_b3=" TRACE "-1111111111111111 RPC_TRANSIT_tracestate=v=2");
}
END_TEST

START_TEST(what_has_no_room_is_not_taken_in_part)
{
	struct rpc_message m = call_of(tth, "s RPC_PERSIST_a=1");
	char header[2048] = "s";
	size_t len = 1;

	ck_assert(take_in(&m, "", &no_trace, 3 + 4 + 13 + 1));
	for (size_t size = 0; size < 3 + 4 + 13 + 1; size++)
		ck_assert(!take_in(&m, "", &no_trace, size));
	for (unsigned i = 0; i < RPC_HANDED_ON_MAX; i++)
		len += (size_t)snprintf(header + len, sizeof header - len, " RPC_PERSIST_%u=v", i);
	m = call_of(tth, header);
	ck_assert(take_in(&m, "", &no_trace, sizeof room));
	ck_assert(!take_in(&m, "+meta.more=1", &no_trace, sizeof room));
}
END_TEST

/* ---- giving ---- */

static void give(struct rpc_message *m)
{
	size_t bound = rpc_handed_on_bound(m, &what);

	ck_assert_uint_gt(bound, 0);
	ck_assert(rpc_handed_on_give(m, &what, &arena));
}

static void have(const char *sections)
{
	struct slice made = frame_sections(sections);

	ck_assert_uint_le(made.len, sizeof room);
	if (made.len)
		memcpy(room, made.data, made.len);
	what.sections = slice_of(room, made.len);
	frame_free(&made);
}

/* As it goes out in @form, and is read by the next. */
static const struct rpc_message *passed_on(const struct rpc_message *m, struct rpc_form form)
{
	struct rpc_edit edit = {.form = form};

	ck_assert(written_message(&out, m, &edit, CODEC_UPSTREAM));
	if (read_again.codec)
		reading_close(&read_again);
	reading_open(&read_again, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&read_again, written_slice(&out));
	ck_assert_uint_eq(read_again.n, 1);
	ck_assert(read_again.list[0].is_whole);
	return &read_again.list[0].message;
}

static void must_have_header(const struct rpc_message *m, const char *key, const char *expected)
{
	struct slice value = SLICE_NONE;
	bool is_there = rpc_find_header(m, slice_str(key), &value);

	ck_assert_msg(is_there == (expected != NULL), "%s", key);
	if (expected)
		ck_assert_msg(slice_eq_str(value, expected), "%s: %.*s", key, (int)value.len,
		    (const char *)value.data);
}

static void must_have_int(const struct rpc_message *m, uint16_t number, const char *expected)
{
	struct slice value = SLICE_NONE;
	bool is_there = rpc_find_int(m, number, &value);

	ck_assert_msg(is_there == (expected != NULL), "%u", number);
	if (expected)
		ck_assert_msg(slice_eq_str(value, expected), "%u: %.*s", number, (int)value.len,
		    (const char *)value.data);
}

static void set_facts(void)
{
	what.log_id = SLICE_LIT("log");
	what.method = SLICE_LIT("Answers");
	what.timeout = 1500 * USEC_MS;
}

START_TEST(a_header_gets_what_it_lacks)
{
	const struct rpc_form forms[] = {tth, bare};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct rpc_message m = call_of(forms[i], "s x=1;i 6=svc"), kept = m;
		const struct rpc_message *next;

		have("s RPC_PERSIST_a=1 RPC_TRANSIT_traceparent=" W3C);
		set_facts();
		give(&m);
		ck_assert(
		    slice_eq_str(m.log_id, "log") && slice_eq_str(m.caller_method, "Answers"));
		ck_assert(slice_eq_str(m.trace_id, TRACE));
		ck_assert_uint_eq(m.timeout, 1500 * USEC_MS);
		must_have_header(&m, "RPC_PERSIST_a", "1");
		next = passed_on(&m, forms[i]);
		must_have_header(next, "x", "1");
		must_have_header(next, "RPC_PERSIST_a", "1");
		must_have_header(next, "RPC_TRANSIT_traceparent", W3C);
		must_have_int(next, 2, "log");
		must_have_int(next, 6, "svc");
		must_have_int(next, 12, "1500");
		must_have_int(next, 20, "Answers");
		ck_assert_int_eq(next->seq, 7);
		ck_assert_int_eq(next->transport_seq, 9);
		ck_assert(slice_eq(next->method, kept.method) && slice_eq(next->body, kept.body));
	}
}
END_TEST

START_TEST(a_header_without_sections_gets_some)
{
	struct rpc_message m = call_of(tth, "");
	const struct rpc_message *next;

	have("s RPC_PERSIST_a=1");
	set_facts();
	give(&m);
	next = passed_on(&m, tth);
	must_have_header(next, "RPC_PERSIST_a", "1");
	must_have_int(next, 2, "log");
}
END_TEST

START_TEST(what_a_header_says_itself_stays)
{
	struct rpc_message m = call_of(
	    tth, "s RPC_PERSIST_A=own RPC_TRANSIT_b=own RPC_TRANSIT_b3=0;i 2=own 20=Own 12=1000");
	const struct rpc_message *next;

	have("s RPC_PERSIST_a=1 RPC_PERSIST_B=2 RPC_PERSIST_c=3 RPC_TRANSIT_traceparent=" W3C);
	set_facts();
	give(&m);
	next = passed_on(&m, tth);
	must_have_header(next, "RPC_PERSIST_A", "own");
	must_have_header(next, "RPC_PERSIST_a", NULL);
	must_have_header(next, "RPC_PERSIST_B", NULL); /* the other life of the name is its own */
	must_have_header(next, "RPC_PERSIST_c", "3");
	must_have_header(next, "RPC_TRANSIT_traceparent", NULL);
	must_have_int(next, 2, "own");
	must_have_int(next, 20, "Own");
	must_have_int(next, 12, "1000");
}
END_TEST

START_TEST(what_is_stated_as_nothing_is_lacking)
{
	struct rpc_message m = call_of(tth, "i 2= 20= 12=99999 12=88888");
	const struct rpc_message *next;
	struct rpc_entry_count {
		int n;
	} seen = {0};

	have("");
	set_facts();
	give(&m);
	next = passed_on(&m, tth);
	must_have_int(next, 2, "log");
	must_have_int(next, 20, "Answers");
	must_have_int(next, 12, "1500");
	for (size_t i = 0; i + 6 <= next->head.len; i++)
		seen.n += memcmp(next->head.data + i, "88888", 5) == 0 ||
			  memcmp(next->head.data + i, "99999", 5) == 0;
	ck_assert_int_eq(seen.n, 0);
}
END_TEST

START_TEST(a_time_is_never_written_as_none)
{
	struct rpc_message m = call_of(tth, "");

	what.timeout = 1;
	have("");
	give(&m);
	must_have_int(passed_on(&m, tth), 12, "1");
}
END_TEST

START_TEST(a_stream_gets_values_and_states_no_time)
{
	struct rpc_message m = stream_of("s x=1;i 27=2 9=Echo");

	have("s RPC_PERSIST_a=1");
	set_facts();
	give(&m);
	must_have_header(&m, "RPC_PERSIST_a", "1");
	must_have_header(&m, "x", "1");
	must_have_int(&m, 2, "log");
	must_have_int(&m, 20, "Answers");
	must_have_int(&m, 9, "Echo");
	must_have_int(&m, 12, NULL);
	ck_assert_uint_eq(m.timeout, 1500 * USEC_MS); /* for those who pass it on */
}
END_TEST

START_TEST(a_call_without_a_header_is_lifted)
{
	struct rpc_message m = call_of(plain, "");
	const struct rpc_message *next;

	have("s RPC_PERSIST_Ab=1 RPC_TRANSIT_traceparent=" W3C);
	set_facts();
	give(&m);
	ck_assert(m.marks & RPC_IS_LIFTED);
	next = passed_on(&m, tth);
	must_have_header(next, "RPC_PERSIST_Ab", "1");
	must_have_header(next, "RPC_TRANSIT_traceparent", W3C);
	must_have_int(next, 2, "log");
	must_have_int(next, 12, "1500");
	must_have_int(next, 20, "Answers");
	next = passed_on(&m, plain); /* its own bytes are as they were */
	ck_assert_uint_eq(next->head.len, m.head.len);
	ck_assert(slice_eq(next->body, m.body));
}
END_TEST

START_TEST(what_was_lifted_before_comes_first)
{
	struct rpc_message m = call_of(plain, "");
	struct slice own = frame_sections("s RPC_PERSIST_A=own x=1;a token");
	struct trace_context found;
	unsigned spellings;

	m.sections = own;
	m.marks |= RPC_IS_LIFTED;
	m.log_id = SLICE_LIT("own");
	have("s RPC_PERSIST_a=1 RPC_PERSIST_b=2 RPC_TRANSIT_traceparent=" W3C);
	set_facts();
	give(&m);
	must_have_header(&m, "RPC_PERSIST_A", "own");
	must_have_header(&m, "RPC_PERSIST_a", NULL);
	must_have_header(&m, "RPC_PERSIST_b", "2");
	must_have_header(&m, "x", "1");
	ck_assert(slice_eq_str(m.log_id, "own"));
	ck_assert(trace_context_find(&found, &m, &spellings));
	frame_free(&own);
}
END_TEST

static void must_have_fields(const struct rpc_message *m, const char *expected)
{
	struct field_list list = {
	    .arena = &arena, .items = (struct rpc_field *)(uintptr_t)m->fields, .n = m->n_fields};

	ck_assert_str_eq(block_text(&list), expected);
}

START_TEST(fields_are_added_behind_those_that_are_there)
{
	struct rpc_message m = fields_of(":path: /S/M\nx: 1\nrpc-persist-own: 1\n");

	have("s RPC_PERSIST_Mixed_Case=1 RPC_PERSIST_OWN=2 RPC_PERSIST_K_bin=hi "
	     "RPC_TRANSIT_traceparent=" W3C " RPC_TRANSIT_tracestate=v=1");
	set_facts();
	give(&m);
	must_have_fields(&m, "x: 1\nrpc-persist-own: 1\nrpc-persist-mixed-case: 1\n"
			     "rpc-persist-k-bin: aGk\ntraceparent: " W3C "\ntracestate: v=1\n"
			     "stream-log-id: log\nsource-method: Answers\n");
	ck_assert(slice_eq_str(m.log_id, "log"));
	ck_assert_uint_eq(m.timeout, 1500 * USEC_MS);
}
END_TEST

START_TEST(fields_of_its_own_stay)
{
	struct rpc_message m = fields_of(":path: /S/M\nstream-log-id: own\nsource-method: Own\n"
					 "rpc-persist-a: own\nb3: 0\ngrpc-timeout: 1S\n");

	have("s RPC_PERSIST_A=1 RPC_TRANSIT_traceparent=" W3C);
	set_facts();
	give(&m);
	must_have_fields(&m, "stream-log-id: own\nsource-method: Own\nrpc-persist-a: own\nb3: 0\n"
			     "grpc-timeout: 1S\n");
	ck_assert_uint_eq(m.timeout, USEC_S);
}
END_TEST

START_TEST(a_mesh_header_gets_facts_alone)
{
	struct rpc_message m = call_of(mesh, "m x=1");

	have("s RPC_PERSIST_a=1");
	set_facts();
	give(&m);
	must_have_header(&m, "RPC_PERSIST_a", NULL);
	must_have_int(passed_on(&m, tth), 2, "log");
}
END_TEST

START_TEST(a_header_that_has_no_room_is_as_it_was)
{
	static uint8_t long_value[UINT16_MAX];
	char key[] = "RPC_PERSIST_0";
	struct rpc_message m = call_of(tth, "s x=1"), kept = m;
	size_t size = 5 * sizeof long_value;
	uint8_t *sections = mem_calloc(1, size);
	size_t at = 3;

	memset(long_value, 'v', sizeof long_value);
	sections[0] = 1;
	sections[2] = 4;
	for (int i = 0; i < 4; i++) {
		key[12] = (char)('0' + i);
		sections[at + 1] = 13;
		memcpy(sections + at + 2, key, 13);
		sections[at + 15] = sections[at + 16] = 0xff;
		memcpy(sections + at + 17, long_value, sizeof long_value);
		at += 17 + sizeof long_value;
	}
	what.sections = slice_of(sections, at);
	set_facts();
	ck_assert(!rpc_handed_on_give(&m, &what, &arena));
	ck_assert(slice_eq(m.head, kept.head) && slice_eq(m.sections, kept.sections));
	ck_assert_uint_eq(m.log_id.len, 0);
	ck_assert_uint_eq(m.timeout, kept.timeout);
	free(sections);
}
END_TEST

START_TEST(a_header_full_of_entries_is_as_it_was)
{
	char header[4 * TTHEADER_ENTRIES_MAX + 2] = "s";
	struct rpc_message m, kept;

	for (unsigned i = 1; i < TTHEADER_ENTRIES_MAX; i++)
		memcpy(header + 4 * i - 3, " a=v", 4);
	header[4 * TTHEADER_ENTRIES_MAX - 3] = '\0';
	m = kept = call_of(tth, header);
	have("s RPC_PERSIST_a=1 RPC_PERSIST_b=2");
	ck_assert(!rpc_handed_on_give(&m, &what, &arena));
	ck_assert(slice_eq(m.head, kept.head) && slice_eq(m.sections, kept.sections));
	have("s RPC_PERSIST_a=1");
	ck_assert(rpc_handed_on_give(&m, &what, &arena));
	must_have_header(&m, "RPC_PERSIST_a", "1");
}
END_TEST

/* Whatever was taken and given: what was there before is there, and so is what was lacking. */
START_TEST(no_byte_of_a_header_is_lost)
{
	static const char *const keys[] = {"RPC_PERSIST_a", "RPC_PERSIST_A", "RPC_PERSIST_b_c",
	    "RPC_PERSIST_B_C", "RPC_TRANSIT_a", "x", "isn"};
	struct rng rng;

	rng_init(&rng, 1);
	for (int round = 0; round < 2000; round++) {
		char first[512] = "s", second[512] = "s";
		size_t n[2] = {1, 1};
		struct rpc_message m;
		struct slice value;

		for (int i = 0; i < 6; i++) {
			char *to = i % 2 ? second : first;

			n[i % 2] += (size_t)snprintf(to + n[i % 2], 100, " %s=%d",
			    keys[rng_below(&rng, ARRAY_LEN(keys))], i);
		}
		take(call_of(tth, first), "");
		m = call_of(round % 2 ? tth : bare, second);
		what.log_id = round % 3 ? SLICE_LIT("log") : SLICE_NONE;
		give(&m);
		for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
			struct slice before = SLICE_NONE, name = slice_from(slice_str(keys[i]), 12);
			bool was_there = rpc_find_header(
			    &read_call.list[0].message, slice_str(keys[i]), &before);
			bool is_there =
			    rpc_find_header(passed_on(&m, m.form), slice_str(keys[i]), &value);

			ck_assert(!was_there || (is_there && slice_eq(value, before)));
			if (strstr(first, keys[i]) && i < 4)
				ck_assert(rpc_find_meta(&m, name, &value));
		}
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {persistent_values_go_on_and_nothing_else_does, 1},
	    {what_is_empty_is_not_there, 1},
	    {of_a_repeated_field_the_first_counts, 1},
	    {what_rules_change_goes_on_changed, 1},
	    {binary_fields_are_bytes, 1},
	    {the_parent_is_the_one_that_went_out_and_its_state_goes_with_it, 1},
	    {what_has_no_room_is_not_taken_in_part, 1},
	    {a_header_gets_what_it_lacks, 1},
	    {a_header_without_sections_gets_some, 1},
	    {what_a_header_says_itself_stays, 1},
	    {what_is_stated_as_nothing_is_lacking, 1},
	    {a_time_is_never_written_as_none, 1},
	    {a_stream_gets_values_and_states_no_time, 1},
	    {a_call_without_a_header_is_lifted, 1},
	    {what_was_lifted_before_comes_first, 1},
	    {fields_are_added_behind_those_that_are_there, 1},
	    {fields_of_its_own_stay, 1},
	    {a_mesh_header_gets_facts_alone, 1},
	    {a_header_that_has_no_room_is_as_it_was, 1},
	    {a_header_full_of_entries_is_as_it_was, 1},
	    {no_byte_of_a_header_is_lost, 1},
	};

	return suite_run_between("handed_on", tests, ARRAY_LEN(tests), begin, end);
}
