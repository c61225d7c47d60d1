/* What a TTHeader would say of calls in every form. */
#include <stdio.h>

#include "base/mem.h"
#include "rpc/entries.h"
#include "rpc/header_seen.h"
#include "support/block.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/suite.h"

#define FRAMED                                                                                     \
	{                                                                                          \
		RPC_PLAIN, RPC_THRIFT, true                                                        \
	}
#define TTHEADER                                                                                   \
	{                                                                                          \
		RPC_TTHEADER, RPC_THRIFT, false                                                    \
	}

static struct arena arena;
static struct rpc_message seen;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
}

static void end(void)
{
	arena_fini(&arena);
}

static bool see(const struct rpc_message *m, struct rpc_edit *edit)
{
	edit->form = rpc_seen_form(m);
	return rpc_see_header(m, edit, &arena, &seen);
}

static bool see_frame(const struct frame *f, struct rpc_edit *edit)
{
	struct slice whole = frame_make(f), in = whole;
	struct codec *codec =
	    codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, NULL, NULL);
	struct codec_item item;
	bool is_seen;

	ck_assert_int_eq(codec_next(codec, &in, &item), CODEC_MESSAGE);
	is_seen = see(&item.message, edit);
	codec_close(&codec);
	frame_free(&whole); /* all that was seen lies in the arena */
	return is_seen;
}

static bool see_sections(const char *text, struct rpc_edit *edit)
{
	struct slice sections = frame_sections(text), body = frame_body(20);
	struct frame f = {.form = TTHEADER,
	    .type = 1,
	    .method = "Echo",
	    .seq = 9,
	    .sections = sections,
	    .body = body};
	bool is_seen = see_frame(&f, edit);

	frame_free(&sections);
	frame_free(&body);
	return is_seen;
}

/* "name=value " for each str key of one group. */
static const char *say(enum rpc_entry_group group)
{
	static char text[4096];
	struct rpc_entry list[64];
	size_t n = rpc_entries(&seen, list, ARRAY_LEN(list)), len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (list[i].group == group)
			len += (size_t)snprintf(text + len, sizeof text - len, "%.*s=%.*s ",
			    (int)list[i].name.len, (const char *)list[i].name.data,
			    (int)list[i].value.len, (const char *)list[i].value.data);
	return text;
}

START_TEST(a_ttheader_is_seen_as_it_goes_out)
{
	struct rpc_change changes[] = {
	    {.kind = RPC_CHANGE_META, .name = SLICE_LIT("lane"), .value = SLICE_LIT("7")},
	    {.kind = RPC_CHANGE_META, .name = SLICE_LIT("B"), .is_removal = true},
	};
	struct rpc_edit edit = {.changes = changes,
	    .n_changes = ARRAY_LEN(changes),
	    .set_timeout = true,
	    .timeout_ms = 120};

	ck_assert(see_sections(
	    "i 3=stated 12=500 20=from;s RPC_PERSIST_A=1 RPC_TRANSIT_B=2 own=x;a tok", &edit));
	ck_assert(slice_eq_str(seen.caller, "stated") && slice_eq_str(seen.caller_method, "from"));
	ck_assert_uint_eq(seen.timeout, 120 * USEC_MS);
	ck_assert_int_eq(seen.seq, 9);
	ck_assert_str_eq(say(RPC_ENTRY_PERSISTENT), "A=1 lane=7 ");
	ck_assert_str_eq(say(RPC_ENTRY_TRANSIENT), "gdpr-token=tok ");
	ck_assert_str_eq(say(RPC_ENTRY_STR), "own=x ");
	ck_assert_uint_eq(seen.body.len, 0);
}
END_TEST

START_TEST(a_call_without_a_header_has_what_the_proxy_says_of_it)
{
	struct rpc_edit edit = {.caller = SLICE_LIT("me"),
	    .service = SLICE_LIT("shop"),
	    .idl_service = SLICE_LIT("Idl"),
	    .log_id = SLICE_LIT("log")};
	struct slice body = frame_body(20);
	struct frame f = {.form = FRAMED, .type = 4, .method = "Log", .seq = -3, .body = body};

	ck_assert(see_frame(&f, &edit));
	ck_assert(slice_eq_str(seen.caller, "me") && slice_eq_str(seen.service_asked, "shop"));
	ck_assert(slice_eq_str(seen.idl_service, "Idl") && slice_eq_str(seen.log_id, "log"));
	ck_assert(slice_eq_str(seen.method, "Log"));
	ck_assert_int_eq(seen.seq, -3);
	ck_assert_int_eq(seen.kind, RPC_ONEWAY);
	frame_free(&body);
}
END_TEST

START_TEST(a_call_of_grpc_is_seen_by_the_names_of_a_ttheader)
{
	struct rpc_edit edit = {.log_id = SLICE_LIT("log")};
	struct block block;

	block_make(&block, RPC_CALL,
	    ":path: /pkg.Svc/Get\ncontent-type: application/grpc\nsource-service: web\n"
	    "rpc-persist-tenant: blue\nrpc-transit-gdpr-token: tok\nx-own: y\n");
	block.message.method = SLICE_LIT("Get");
	ck_assert(see(&block.message, &edit));
	ck_assert(slice_eq_str(seen.caller, "web") && slice_eq_str(seen.method, "Get"));
	ck_assert(slice_eq_str(seen.idl_service, "Svc") && slice_eq_str(seen.log_id, "log"));
	ck_assert_str_eq(say(RPC_ENTRY_PERSISTENT), "TENANT=blue ");
	ck_assert_str_eq(say(RPC_ENTRY_TRANSIENT), "gdpr-token=tok ");
	ck_assert_str_eq(say(RPC_ENTRY_STR), "x-own=y isn=Svc ");
	block_free(&block);
}
END_TEST

START_TEST(what_no_ttheader_can_say_is_not_seen)
{
	struct rpc_message stream = {.form = {RPC_TTSTREAM, RPC_THRIFT, false}};
	struct rpc_message opaque = {.form = {RPC_HTTP2, RPC_OPAQUE, false}};
	struct rpc_edit edit = {.retry = 0};

	ck_assert(!see(&stream, &edit));
	ck_assert(!see(&opaque, &edit));
}
END_TEST

START_TEST(more_keys_than_a_header_may_have_are_not_seen)
{
	static struct rpc_field fields[1100];
	struct rpc_message m = {.form = {RPC_HTTP2, RPC_THRIFT, false},
	    .method = SLICE_LIT("b"),
	    .path = SLICE_LIT("/a/b"),
	    .timeout = USEC_NONE,
	    .fields = fields,
	    .n_fields = 100};
	struct rpc_edit edit = {.retry = 0};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		fields[i] = (struct rpc_field){.name = SLICE_LIT("x"), .value = SLICE_LIT("v")};
	ck_assert(see(&m, &edit));
	m.n_fields = ARRAY_LEN(fields);
	ck_assert(!see(&m, &edit));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_ttheader_is_seen_as_it_goes_out, 1},
	    {a_call_without_a_header_has_what_the_proxy_says_of_it, 1},
	    {a_call_of_grpc_is_seen_by_the_names_of_a_ttheader, 1},
	    {what_no_ttheader_can_say_is_not_seen, 1},
	    {more_keys_than_a_header_may_have_are_not_seen, 1},
	};

	return suite_run_between("header_seen", tests, ARRAY_LEN(tests), begin, end);
}
