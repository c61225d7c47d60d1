/*
 * Metadata taken out of the bodies of calls that have no transport header, and what the rest of the
 * code then finds where a header's metadata stands: rules, writers of other forms, onlookers,
 * traces.
 */
#include <stdio.h>

#include "rpc/carry.h"
#include "rpc/entries.h"
#include "rpc/facts.h"
#include "rpc/grpc_head.h"
#include "rpc/trace_context.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/structs.h"
#include "support/suite.h"

#define NOW     1795326243000u
#define CONTEXT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

/* A Framed call, read as one that came over a connection. */
struct lifted {
	struct reading reading;
	struct rpc_message *m;
	struct rpc_carrier carrier;
	struct arena arena;
	struct slice body;
};

static void open_call(struct lifted *l, const char *body)
{
	struct frame frame = {.form = {RPC_PLAIN, RPC_THRIFT, true},
	    .type = 1,
	    .method = "Echo",
	    .seq = 7,
	    .transport_seq = 7};
	struct slice whole;

	l->body = frame.body = struct_made(body);
	whole = frame_make(&frame);
	reading_open(&l->reading, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&l->reading, whole);
	frame_free(&whole);
	ck_assert_uint_eq(l->reading.n, 1);
	l->m = &l->reading.list[0].message;
	l->carrier = (struct rpc_carrier){.type = RPC_CARRIER_BASE};
	arena_init(&l->arena, NULL, 0);
}

static bool lift(struct lifted *l)
{
	bool is_lifted = rpc_lift(l->m, &l->carrier, NOW, &l->arena);

	ck_assert(slice_eq(l->m->body, l->body));
	ck_assert_int_eq(!!(l->m->marks & RPC_IS_LIFTED), is_lifted);
	return is_lifted;
}

static void close_call(struct lifted *l)
{
	reading_close(&l->reading);
	arena_fini(&l->arena);
	frame_free(&l->body);
}

static void open_lifted(struct lifted *l, const char *body)
{
	open_call(l, body);
	ck_assert(lift(l));
}

#define BASE(extra)                                                                                \
	"{1:{1:\"hi\" 255:{1:\"log\" 2:\"cal\" 3:\"addr\" 4:\"go\" 6:<ss " extra "> 9:i1}}}"

/* ---- facts ---- */

START_TEST(fields_of_a_base_are_facts_of_the_call)
{
	struct lifted l;

	open_lifted(
	    &l, BASE("\"source-method\"=\"Say\" \"rpc-deadline\"=\"1795326243250\" \"k\"=\"v\""));
	ck_assert(slice_eq_str(l.m->log_id, "log"));
	ck_assert(slice_eq_str(l.m->caller, "cal"));
	ck_assert(slice_eq_str(l.m->caller_method, "Say"));
	ck_assert(slice_eq_str(l.m->method, "Echo"));
	ck_assert(l.m->marks & RPC_HAS_CALLER);
	ck_assert_uint_eq(l.m->timeout, 250 * USEC_MS);
	close_call(&l);
}
END_TEST

START_TEST(what_is_not_said_is_not_known)
{
	struct lifted l;

	open_lifted(&l, "{1:{255:{}}}");
	ck_assert_uint_eq(l.m->log_id.len + l.m->caller.len + l.m->caller_method.len, 0);
	ck_assert(!(l.m->marks & RPC_HAS_CALLER));
	ck_assert_uint_eq(l.m->timeout, USEC_NONE);
	ck_assert_uint_eq(l.m->sections.len, 0);
	close_call(&l);
}
END_TEST

static void must_time_out(const char *deadline, usec_t timeout)
{
	char body[128];
	struct lifted l;

	snprintf(body, sizeof body, "{1:{255:{6:<ss \"rpc-deadline\"=\"%s\">}}}", deadline);
	open_lifted(&l, body);
	ck_assert_uint_eq(l.m->timeout, timeout);
	close_call(&l);
}

START_TEST(a_deadline_is_the_time_that_is_left)
{
	must_time_out("1795326243001", USEC_MS);
	must_time_out("1795326244000", 1000 * USEC_MS);
	must_time_out("1795326243000", USEC_MS); /* over already */
	must_time_out("1", USEC_MS);
	must_time_out("0", USEC_NONE);
	must_time_out("", USEC_NONE);
	must_time_out("-5", USEC_NONE);
	must_time_out("soon", USEC_NONE);
	must_time_out("18446744073709551615", USEC_NONE);
	must_time_out("99999999999999999999999", USEC_NONE);
}
END_TEST

START_TEST(an_argument_says_its_facts_by_name)
{
	struct lifted l;

	open_call(&l,
	    "{9:<ss \"stream-log-id\"=\"log\" \"source-service\"=\"cal\" \"rip\"=\"addr\" "
	    "\"source-method\"=\"Say\" \"RPC_PERSIST_k\"=\"v\"> 1:{255:{2:\"no\"}}}");
	l.carrier = (struct rpc_carrier){.type = RPC_CARRIER_ARGUMENT, .id = 9};
	ck_assert(lift(&l));
	ck_assert(slice_eq_str(l.m->log_id, "log"));
	ck_assert(slice_eq_str(l.m->caller, "cal"));
	ck_assert(slice_eq_str(l.m->caller_method, "Say"));
	close_call(&l);
}
END_TEST

/* Base has fields for them. */
START_TEST(names_of_an_arguments_facts_are_none_in_a_base)
{
	struct lifted l;
	struct slice value;

	open_lifted(&l, "{1:{255:{6:<ss \"stream-log-id\"=\"x\" \"source-service\"=\"x\">}}}");
	ck_assert_uint_eq(l.m->log_id.len + l.m->caller.len, 0);
	ck_assert(!rpc_find_header(l.m, SLICE_LIT("source-service"), &value));
	close_call(&l);
}
END_TEST

/* ---- metadata ---- */

START_TEST(rules_find_metadata_as_in_a_header)
{
	struct lifted l;
	struct slice value;

	open_lifted(
	    &l, BASE("\"RPC_PERSIST_env\"=\"blue\" \"RPC_TRANSIT_t\"=\"1\" \"K-Tag\"=\"x\" "
		     "\"RPC_TRANSIT_gdpr-token\"=\"secret\" \"k\"=\"first\" \"k\"=\"last\""));
	ck_assert(rpc_find_meta(l.m, SLICE_LIT("ENV"), &value) && slice_eq_str(value, "blue"));
	ck_assert(rpc_find_meta(l.m, SLICE_LIT("t"), &value) && slice_eq_str(value, "1"));
	ck_assert(rpc_find_header(l.m, SLICE_LIT("K-Tag"), &value) && slice_eq_str(value, "x"));
	ck_assert(rpc_find_header(l.m, SLICE_LIT("k"), &value) && slice_eq_str(value, "last"));
	ck_assert(rpc_find_meta(l.m, SLICE_LIT("gdpr-token"), &value));
	ck_assert(!rpc_find_meta(l.m, SLICE_LIT("other"), &value));
	close_call(&l);
}
END_TEST

START_TEST(what_a_header_alone_may_say_is_not_lifted)
{
	struct lifted l;
	struct slice value;

	open_lifted(&l, BASE("\"isn\"=\"x\" \"rip\"=\"x\" \"crrst\"=\"1\" \"crc32c\"=\"0\" "
			     "\"PV_a\"=\"x\" \"biz-status\"=\"1\" \"\"=\"x\""));
	ck_assert_uint_eq(l.m->sections.len, 0);
	ck_assert_uint_eq(l.m->idl_service.len, 0);
	ck_assert_uint_eq(
	    l.m->marks & (RPC_HAS_CRRST | RPC_HAS_CHECKSUM | RPC_HAS_BIZ | RPC_HAS_RIP), 0);
	ck_assert(!rpc_find_header(l.m, SLICE_LIT("isn"), &value));
	close_call(&l);
}
END_TEST

START_TEST(the_mark_of_a_retry_is_lifted)
{
	struct lifted l;

	open_lifted(&l, BASE("\"RPC_PERSIST_RetryReq\"=\"1\""));
	ck_assert(rpc_is_marked_retry(l.m));
	close_call(&l);
}
END_TEST

START_TEST(a_trace_is_found)
{
	struct lifted l;
	struct trace_context context;
	unsigned spellings;

	open_lifted(&l, BASE("\"RPC_TRANSIT_traceparent\"=\"" CONTEXT "\""));
	ck_assert(slice_eq_str(l.m->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736"));
	ck_assert(trace_context_find(&context, l.m, &spellings));
	ck_assert_uint_eq(spellings, TRACE_PARENT_TRANSIENT);
	ck_assert_int_eq(context.decision, TRACE_SAMPLED);
	close_call(&l);
}
END_TEST

START_TEST(onlookers_see_what_was_lifted)
{
	struct lifted l;
	struct rpc_entry list[4];

	open_lifted(&l, BASE("\"RPC_PERSIST_env\"=\"blue\" \"RPC_TRANSIT_gdpr-token\"=\"s\""));
	ck_assert_uint_eq(rpc_entries(l.m, list, 4), 2);
	ck_assert_int_eq(list[0].group, RPC_ENTRY_PERSISTENT);
	ck_assert(slice_eq_str(list[0].name, "env") && slice_eq_str(list[0].value, "blue"));
	ck_assert_int_eq(list[1].group, RPC_ENTRY_TRANSIENT);
	ck_assert(list[1].is_secret);
	close_call(&l);
}
END_TEST

/* ---- handed through ---- */

#define HANDED                                                                                     \
	BASE("\"source-method\"=\"Old\" \"destination-service\"=\"mid\" "                          \
	     "\"destination-method\"=\"Do\" \"RPC_PERSIST_p\"=\"1\" \"RPC_TRANSIT_t\"=\"2\" "      \
	     "\"RPC_TRANSIT_UPSTREAM_u\"=\"3\" \"RPC_TRANSIT_gdpr-token\"=\"4\" "                  \
	     "\"RPC_TRANSIT_traceparent\"=\"" CONTEXT "\" \"own\"=\"5\"")

START_TEST(who_hands_a_base_through_is_the_caller)
{
	struct lifted l;
	struct slice value;

	open_lifted(&l, HANDED);
	ck_assert(slice_eq_str(l.m->caller, "mid"));
	ck_assert(slice_eq_str(l.m->caller_method, "Do"));
	ck_assert(slice_eq_str(l.m->log_id, "log"));
	ck_assert(slice_eq_str(l.m->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736"));
	ck_assert(rpc_find_meta(l.m, SLICE_LIT("p"), &value));
	ck_assert(rpc_find_header(l.m, SLICE_LIT("own"), &value));
	ck_assert(!rpc_find_meta(l.m, SLICE_LIT("t"), &value));
	ck_assert(!rpc_find_meta(l.m, SLICE_LIT("UPSTREAM_u"), &value));
	ck_assert(!rpc_find_meta(l.m, SLICE_LIT("gdpr-token"), &value));
	close_call(&l);
}
END_TEST

/* The proxy of the caller has said it to the callee whose listener this is. */
START_TEST(what_was_said_for_this_very_call_was_not_handed_through)
{
	struct lifted l;
	struct slice value;

	open_call(&l, BASE("\"destination-service\"=\"svc\" \"destination-method\"=\"Echo\" "
			   "\"source-method\"=\"Say\" \"RPC_TRANSIT_t\"=\"2\""));
	l.carrier.service = SLICE_LIT("svc");
	ck_assert(lift(&l));
	ck_assert(slice_eq_str(l.m->caller, "cal"));
	ck_assert(slice_eq_str(l.m->caller_method, "Say"));
	ck_assert(rpc_find_meta(l.m, SLICE_LIT("t"), &value));
	close_call(&l);
}
END_TEST

START_TEST(what_was_said_for_another_method_was_handed_through)
{
	struct lifted l;

	open_call(&l, BASE("\"destination-service\"=\"svc\" \"destination-method\"=\"Other\""));
	l.carrier.service = SLICE_LIT("svc");
	ck_assert(lift(&l));
	ck_assert(slice_eq_str(l.m->caller, "svc"));
	ck_assert(slice_eq_str(l.m->caller_method, "Other"));
	close_call(&l);
}
END_TEST

/* ---- what is none ---- */

static void must_not_lift(const char *body)
{
	struct lifted l;

	open_call(&l, body);
	ck_assert(!lift(&l));
	ck_assert_uint_eq(l.m->sections.len + l.m->caller.len + l.m->log_id.len, 0);
	close_call(&l);
}

START_TEST(what_is_not_understood_is_not_lifted)
{
	must_not_lift("{}");
	must_not_lift("{1:\"hi\"}");
	must_not_lift("{1:{}}");
	must_not_lift("{1:{255:\"x\"}}");
	must_not_lift("{1:{255:{2:\"a\"} 255:{2:\"b\"}}}");
	must_not_lift("{1:{255:{2:\"a\"}} 1:{255:{2:\"b\"}}}");
	must_not_lift("{1:{255:{2:\"a\" 2:\"b\"}}}");
	must_not_lift("{1:{255:{2:i5}}}");
	must_not_lift("{1:{255:{2:\"a\" 3:i5}}}");
	must_not_lift("{1:{255:{2:\"a\" 6:<si \"k\"=i1>}}}");
	must_not_lift("{255:{2:\"a\"}}");
}
END_TEST

START_TEST(what_has_more_entries_than_it_may_is_not_lifted)
{
	char body[RPC_CARRY_ENTRIES * 16 + 64];
	size_t len = (size_t)snprintf(body, sizeof body, "{1:{255:{6:<ss");

	for (unsigned i = 0; i <= RPC_CARRY_ENTRIES; i++)
		len += (size_t)snprintf(body + len, sizeof body - len, " \"k%u\"=\"v\"", i);
	snprintf(body + len, sizeof body - len, ">}}}");
	must_not_lift(body);
}
END_TEST

/* Where Kitex's writers put it. */
START_TEST(the_token_has_a_section_of_its_own)
{
	static const uint8_t expected[] = {1, 0, 1, 0, 1, 'k', 0, 1, 'v', 0x11, 0, 1, 's'};
	struct lifted l;

	open_lifted(&l, BASE("\"RPC_TRANSIT_gdpr-token\"=\"s\" \"k\"=\"v\""));
	ck_assert(slice_eq(l.m->sections, slice_of(expected, sizeof expected)));
	close_call(&l);
}
END_TEST

START_TEST(calls_with_a_header_or_without_an_end_are_not_lifted)
{
	struct lifted l;

	open_call(&l, BASE("\"k\"=\"v\""));
	l.m->form.transport = RPC_TTHEADER;
	ck_assert(!lift(&l));
	l.m->form.transport = RPC_PLAIN;
	l.m->form.payload = RPC_KITEXPB;
	ck_assert(!lift(&l));
	l.m->form.payload = RPC_THRIFT;
	l.m->complete = false;
	ck_assert(!lift(&l));
	close_call(&l);
}
END_TEST

/* ---- on to other forms ---- */

static void send(struct lifted *l, struct rpc_edit *edit, struct reading *there)
{
	struct written out = {0};

	ck_assert(written_message(&out, l->m, edit, CODEC_UPSTREAM));
	reading_open(there, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(there, written_slice(&out));
	ck_assert_uint_eq(there->n, 1);
	written_fini(&out);
}

START_TEST(a_new_header_says_what_was_lifted)
{
	struct rpc_edit edit = {
	    .form = {RPC_TTHEADER, RPC_THRIFT, true}, .service = SLICE_LIT("next")};
	struct lifted l;
	struct reading there;
	struct slice value;
	const struct rpc_message *m;

	open_lifted(&l, BASE("\"RPC_PERSIST_env\"=\"blue\" \"RPC_TRANSIT_gdpr-token\"=\"secret\" "
			     "\"source-method\"=\"Say\" \"rpc-deadline\"=\"1795326243250\" "
			     "\"K-Tag\"=\"x\""));
	send(&l, &edit, &there);
	m = &there.list[0].message;
	ck_assert(slice_eq_str(m->caller, "cal") && slice_eq_str(m->caller_method, "Say"));
	ck_assert(slice_eq_str(m->log_id, "log") && slice_eq_str(m->service_asked, "next"));
	ck_assert_uint_eq(m->timeout, 250 * USEC_MS);
	ck_assert(rpc_find_header(m, SLICE_LIT("RPC_PERSIST_env"), &value));
	ck_assert(rpc_find_header(m, SLICE_LIT("K-Tag"), &value));
	ck_assert(rpc_find_header(m, SLICE_LIT("RPC_TRANSIT_gdpr-token"), &value));
	ck_assert(slice_eq_str(value, "secret"));
	ck_assert(slice_eq(m->body, l.body));
	for (size_t i = 0; i < sizeof edit.dropped / sizeof edit.dropped[0]; i++)
		ck_assert_uint_eq(edit.dropped[i], 0);
	reading_close(&there);
	close_call(&l);
}
END_TEST

START_TEST(rules_change_what_was_lifted)
{
	const struct rpc_change changes[] = {
	    {.kind = RPC_CHANGE_META, .name = SLICE_LIT("ENV"), .value = SLICE_LIT("green")},
	    {.kind = RPC_CHANGE_HEADER, .name = SLICE_LIT("K-Tag"), .is_removal = true}};
	struct rpc_edit edit = {
	    .form = {RPC_TTHEADER, RPC_THRIFT, false}, .changes = changes, .n_changes = 2};
	struct lifted l;
	struct reading there;
	struct slice value;

	open_lifted(&l, BASE("\"RPC_PERSIST_env\"=\"blue\" \"K-Tag\"=\"x\""));
	send(&l, &edit, &there);
	ck_assert(rpc_find_meta(&there.list[0].message, SLICE_LIT("env"), &value));
	ck_assert(slice_eq_str(value, "green"));
	ck_assert(!rpc_find_header(&there.list[0].message, SLICE_LIT("K-Tag"), &value));
	reading_close(&there);
	close_call(&l);
}
END_TEST

/* Its header has to be as long as what was lifted is, which no head tells. */
START_TEST(a_new_header_has_room_for_all_that_was_lifted)
{
	struct rpc_edit edit = {.form = {RPC_TTHEADER, RPC_THRIFT, true}};
	char body[24000];
	size_t len = (size_t)snprintf(body, sizeof body, "{1:{255:{6:<ss");
	struct lifted l;
	struct reading there;
	struct slice value;

	for (unsigned i = 0; i < 250; i++)
		len += (size_t)snprintf(body + len, sizeof body - len, " \"k%u\"=\"%060u\"", i, i);
	snprintf(body + len, sizeof body - len, ">}}}");
	open_lifted(&l, body);
	send(&l, &edit, &there);
	ck_assert(rpc_find_header(&there.list[0].message, SLICE_LIT("k249"), &value));
	reading_close(&there);
	close_call(&l);
}
END_TEST

static struct slice field_value(const struct field_list *fields, const char *name)
{
	for (unsigned i = 0; i < fields->n; i++)
		if (slice_eq_str(fields->items[i].name, name))
			return fields->items[i].value;
	return SLICE_NONE;
}

START_TEST(a_block_says_what_was_lifted)
{
	struct rpc_edit edit = {
	    .form = {RPC_HTTP2, RPC_THRIFT, false}, .idl_service = SLICE_LIT("Echoes")};
	struct lifted l;
	struct field_list fields = {.n = 0};
	struct slice path;

	open_lifted(&l, BASE("\"RPC_PERSIST_Env\"=\"blue\" \"RPC_TRANSIT_gdpr-token\"=\"secret\" "
			     "\"RPC_TRANSIT_traceparent\"=\"" CONTEXT "\""));
	fields.arena = &l.arena;
	ck_assert(grpc_call_fields(l.m, &edit, &fields, &path));
	ck_assert(slice_eq_str(path, "/Echoes/Echo"));
	ck_assert(slice_eq_str(field_value(&fields, "source-service"), "cal"));
	ck_assert(slice_eq_str(field_value(&fields, "stream-log-id"), "log"));
	ck_assert(slice_eq_str(field_value(&fields, "rpc-persist-env"), "blue"));
	ck_assert(slice_eq_str(field_value(&fields, "rpc-transit-gdpr-token"), "secret"));
	ck_assert(slice_eq_str(field_value(&fields, "traceparent"), CONTEXT));
	close_call(&l);
}
END_TEST

/* What stands in the body is not lost with a header. */
START_TEST(where_no_header_goes_out_nothing_is_lost)
{
	struct rpc_edit edit = {.form = {RPC_PLAIN, RPC_THRIFT, false}};
	struct lifted l;
	struct reading there;

	open_lifted(&l, BASE("\"RPC_PERSIST_env\"=\"blue\" \"k\"=\"v\""));
	send(&l, &edit, &there);
	ck_assert(slice_eq(there.list[0].message.body, l.body));
	for (size_t i = 0; i < sizeof edit.dropped / sizeof edit.dropped[0]; i++)
		ck_assert_uint_eq(edit.dropped[i], 0);
	reading_close(&there);
	close_call(&l);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    fields_of_a_base_are_facts_of_the_call,
	    what_is_not_said_is_not_known,
	    a_deadline_is_the_time_that_is_left,
	    an_argument_says_its_facts_by_name,
	    names_of_an_arguments_facts_are_none_in_a_base,
	    rules_find_metadata_as_in_a_header,
	    what_a_header_alone_may_say_is_not_lifted,
	    the_mark_of_a_retry_is_lifted,
	    a_trace_is_found,
	    onlookers_see_what_was_lifted,
	    who_hands_a_base_through_is_the_caller,
	    what_was_said_for_this_very_call_was_not_handed_through,
	    what_was_said_for_another_method_was_handed_through,
	    what_is_not_understood_is_not_lifted,
	    what_has_more_entries_than_it_may_is_not_lifted,
	    the_token_has_a_section_of_its_own,
	    calls_with_a_header_or_without_an_end_are_not_lifted,
	    a_new_header_says_what_was_lifted,
	    rules_change_what_was_lifted,
	    a_new_header_has_room_for_all_that_was_lifted,
	    a_block_says_what_was_lifted,
	    where_no_header_goes_out_nothing_is_lost,
	};

	return suite_run("lift", tests, sizeof tests / sizeof tests[0]);
}
