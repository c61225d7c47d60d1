/*
 * Metadata set and taken away by rules, and the mark of a retry, in header blocks of HTTP/2: of
 * calls that are passed on, of such as are made from other forms, and back. Fields keep their
 * order, and those that no change names their bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/changes.h"
#include "rpc/h2_fields.h"
#include "support/block.h"
#include "support/changes_text.h"
#include "support/frames.h"
#include "support/h2_end.h"
#include "support/reading.h"
#include "support/suite.h"

#define PSEUDO ":method: POST\n:scheme: http\n:path: /p.S/M\n:authority: app\n"

static struct arena arena;
static struct changes_text text;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
	text = (struct changes_text){.text = NULL};
}

static void end(void)
{
	arena_fini(&arena);
	changes_text_free(&text);
}

static void must_drop(const struct rpc_edit *edit, enum rpc_dropped class, unsigned n)
{
	for (int i = 0; i < (int)ARRAY_LEN(edit->dropped); i++)
		ck_assert_msg(edit->dropped[i] == (i == (int)class ? n : 0), "class %d: %u", i,
		    edit->dropped[i]);
}

/* ---- passed on ---- */

static struct rpc_edit h2_edit(const char *changes)
{
	struct rpc_edit edit = {
	    .form = {RPC_HTTP2, RPC_KITEXPB, false}, .authority = SLICE_LIT("app")};

	changes_read(&text, changes, &edit);
	return edit;
}

/* The block of a call with these fields after its pseudo fields. */
static const char *passed_on(const char *lines, struct rpc_edit *edit)
{
	struct field_list list = {.arena = &arena};
	struct block block;
	char all[4096];

	snprintf(all, sizeof all, ":path: /p.S/M\n%s", lines);
	block_make(&block, RPC_CALL, all);
	ck_assert(h2_call_fields(&block.message, edit, &list));
	snprintf(all, sizeof all, "%s", block_text(&list));
	ck_assert_int_eq(strncmp(all, PSEUDO, strlen(PSEUDO)), 0);
	block_free(&block);
	return slice_dup(slice_str(all + strlen(PSEUDO)));
}

static void must_turn(const char *before, const char *changes, const char *after)
{
	struct rpc_edit edit = h2_edit(changes);
	const char *got = passed_on(before, &edit);

	ck_assert_str_eq(got, after);
	must_drop(&edit, RPC_DROPPED_HEADER, 0);
	free((void *)(uintptr_t)got);
}

static const struct {
	const char *before, *changes, *after;
} blocks[] = {
    /* Set: in place of the first, else behind all others. */
    {"a: 1\nrpc-persist-k: 1\nb: 2\n", "+meta.K=2", "a: 1\nrpc-persist-k: 2\nb: 2\n"},
    {"a: 1\n", "+meta.Log_Id=2", "a: 1\nrpc-persist-log-id: 2\n"},
    {"", "+meta.K=2", "rpc-persist-k: 2\n"},
    {"rpc-transit-k: 1\na: 1\nrpc-persist-k: 2\nrpc-persist-k: 3\n", "+meta.k=4",
	"rpc-persist-k: 4\na: 1\n"},
    {"rpc-persist-log-id: 1\n", "+meta.LOG_ID=2", "rpc-persist-log-id: 2\n"},
    {"te: trailers\ngrpc-timeout: 1S\na: 1\n", "+header.X-Tag=2",
	"te: trailers\ngrpc-timeout: 1S\na: 1\nx-tag: 2\n"},
    {"x-tag: 1\na: 1\nx-tag: 2\n", "+header.X-TAG=3", "x-tag: 3\na: 1\n"},
    {"x_tag: 1\n", "+header.X_Tag=3", "x_tag: 3\n"},
    {"x-tag: 1\n", "+header.X_Tag=3", "x-tag: 1\nx_tag: 3\n"},
    {"x-tag: 1\n", "+header.x-tag=", "x-tag: \n"},
    {"rpc-transit-k: 1\nrpc-persist-k: 2\n", "+header.RPC_TRANSIT_K=3",
	"rpc-transit-k: 3\nrpc-persist-k: 2\n"},
    {"a: 1\n", "+header.RPC_TRANSIT_My_Key=3", "a: 1\nrpc-transit-my-key: 3\n"},
    {"a: 1\n", "+header.rpc-transit-my-key=3", "a: 1\nrpc-transit-my-key: 3\n"},
    /* Bytes are in base64. */
    {"x-bin: AAAA\n", "+header.X-Bin=hello", "x-bin: aGVsbG8\n"},
    /* Removed. */
    {"a: 1\nrpc-persist-k: 1\nrpc-transit-K: 1\nb: 2\nrpc-transit-k: 1\n", "-meta.K",
	"a: 1\nb: 2\n"},
    {"x-tag: 1\na: 1\nx-tag: 2\n", "-header.X-Tag", "a: 1\n"},
    {"a: 1\n", "-header.b -meta.c", "a: 1\n"},
    /* Not these. */
    {"rpc-transit-upstream-k: 1\nrpc-backward-k: 2\nk: 3\nrpc-transit-gdpr-token: t\n",
	"-meta.k -meta.gdpr-token",
	"rpc-transit-upstream-k: 1\nrpc-backward-k: 2\nk: 3\nrpc-transit-gdpr-token: t\n"},
    /* Many, and the last of a name. */
    {"a: 1\nb: 2\nc: 3\n", "-header.b +header.d=4 +header.a=5 +meta.E=6",
	"a: 5\nc: 3\nd: 4\nrpc-persist-e: 6\n"},
    {"a: 1\n", "+header.A=2 +header.a=3", "a: 3\n"},
    {"", "+header.RPC_PERSIST_K=2 +meta.k=3", "rpc-persist-k: 3\n"},
    {"a: 1\n", "+header.a=2 -header.A", ""},
    /* The mark of a retry. */
    {"a: 1\n", "retry=1", "a: 1\nrpc-persist-retryreq: 1\n"},
    {"rpc-persist-retryreq: 1\na: 1\n", "retry=2", "rpc-persist-retryreq: 2\na: 1\n"},
    {"rpc-persist-retryreq: 1\na: 1\n", "retry=0", "rpc-persist-retryreq: 1\na: 1\n"},
    /* What has a place of its own. */
    {"te: trailers\ncontent-type: application/grpc\nuser-agent: u\nsource-service: s\n",
	"-header.te -header.Content-Type +header.user-agent=x -header.source-service "
	"+header.grpc-timeout=1S +header.connection=close -header.isn",
	"te: trailers\ncontent-type: application/grpc\nuser-agent: u\nsource-service: s\n"},
    /* No int keys, but nothing is lost when one is taken away. */
    {"a: 1\n", "-int.14", "a: 1\n"},
};

START_TEST(a_block_is_changed_and_keeps_the_rest)
{
	must_turn(blocks[_i].before, blocks[_i].changes, blocks[_i].after);
}
END_TEST

START_TEST(pseudo_fields_are_out_of_reach)
{
	must_turn("a: 1\n", "-header.:path -header.:authority +header.:method=GET", "a: 1\n");
}
END_TEST

START_TEST(int_keys_have_no_place)
{
	struct rpc_edit edit = h2_edit("+int.14=1 +int.15=2");
	const char *got = passed_on("a: 1\n", &edit);

	ck_assert_str_eq(got, "a: 1\n");
	must_drop(&edit, RPC_DROPPED_INT, 2);
	free((void *)(uintptr_t)got);
}
END_TEST

static void must_not_be_said(const char *changes, enum rpc_dropped class)
{
	struct rpc_edit edit = h2_edit(changes);
	const char *got = passed_on("a: 1\n", &edit);

	ck_assert_str_eq(got, "a: 1\n");
	must_drop(&edit, class, 1);
	free((void *)(uintptr_t)got);
	changes_text_free(&text);
	text.text = NULL;
}

START_TEST(what_can_be_no_field_is_dropped)
{
	must_not_be_said("+meta.K=a\nb", RPC_DROPPED_PERSISTENT);
	must_not_be_said("+meta.K=\t", RPC_DROPPED_PERSISTENT);
	must_not_be_said("+meta.a(b=1", RPC_DROPPED_PERSISTENT);
	must_not_be_said("+header.a:b=1", RPC_DROPPED_HEADER);
	must_not_be_said("+header.a\tb=1", RPC_DROPPED_HEADER);
	must_not_be_said("+header.RPC_TRANSIT_a/b=1", RPC_DROPPED_TRANSIENT);
}
END_TEST

START_TEST(a_secret_stays_one_when_its_value_is_another)
{
	struct rpc_field fields[] = {{SLICE_LIT("a"), SLICE_LIT("1"), true},
	    {SLICE_LIT("b"), SLICE_LIT("2"), true}, {SLICE_LIT("c"), SLICE_LIT("3"), false}};
	struct field_list list = {.arena = &arena, .items = fields, .n = 3, .size = 3};
	struct rpc_edit edit = h2_edit("+header.a=9 +header.d=4");

	changes_apply(&edit, &list, 0);
	ck_assert_str_eq(block_text(&list), "a: 9\nb: 2\nc: 3\nd: 4\n");
	ck_assert(list.items[0].is_secret && list.items[1].is_secret);
	ck_assert(!list.items[2].is_secret && !list.items[3].is_secret);
}
END_TEST

START_TEST(facts_and_metadata_are_edited_together)
{
	struct rpc_edit edit = h2_edit("+meta.K=2 -header.b");
	const char *got;

	edit.set_timeout = true;
	edit.timeout = 1500000;
	got = passed_on("grpc-timeout: 9S\nb: 1\nsource-service: me\n", &edit);
	ck_assert_str_eq(got, "grpc-timeout: 1500000u\nsource-service: me\nrpc-persist-k: 2\n");
	free((void *)(uintptr_t)got);
}
END_TEST

/* As the application hears it: through both codecs, and twice, so that tables have seen the
 * names. */
START_TEST(an_application_hears_what_was_changed)
{
	struct rpc_edit edit = h2_edit("+meta.Tenant=blue -header.x-debug retry=1");
	struct h2_end up, app;

	h2_end_open(&up, CODEC_UPSTREAM, NULL);
	h2_end_open(&app, CODEC_DOWNSTREAM, NULL);
	app.tells_fields = true;
	for (unsigned id = 1; id < 5; id += 2) {
		struct block block;
		char expected[256];

		block_make(&block, RPC_CALL,
		    ":path: /p.S/M\na: 1\nrpc-transit-tenant: red\nx-debug: 1\nz: 2\n");
		block.message.complete = true;
		ck_assert(codec_send_message(
		    up.codec, codec_begin(up.codec, &up), &block.message, &edit));
		h2_ends_settle(&up, &app);
		snprintf(expected, sizeof expected,
		    "call %u POST /p.S/M end\n  a: 1\n  rpc-persist-tenant: blue\n  z: 2\n"
		    "  rpc-persist-retryreq: 1\n",
		    id);
		ck_assert_str_eq(h2_end_log(&app), expected);
		block_free(&block);
	}
	h2_end_close(&up);
	h2_end_close(&app);
}
END_TEST

/* ---- made from other forms ---- */

static const char *made_of(struct rpc_form form, const char *header, struct rpc_edit *edit)
{
	struct slice sections = frame_sections(header), body = frame_body(20), frame;
	struct frame call = {
	    .form = form, .type = 1, .method = "Say", .sections = sections, .body = body};
	struct field_list list = {.arena = &arena};
	struct reading r;

	frame = frame_make(&call);
	reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&r, frame);
	edit->form = (struct rpc_form){RPC_HTTP2, RPC_THRIFT, false};
	edit->idl_service = SLICE_LIT("Echo");
	ck_assert(h2_call_fields(&r.list[0].message, edit, &list));
	reading_close(&r);
	frame_free(&frame);
	frame_free(&body);
	frame_free(&sections);
	return block_text(&list);
}

#define MADE                                                                                       \
	":method: POST\n:scheme: http\n:path: /Echo/Say\n:authority: app\n"                        \
	"content-type: application/grpc+thrift\nte: trailers\n"

static const struct {
	enum rpc_transport transport;
	const char *header, *changes, *after;
} made[] = {
    {RPC_TTHEADER, "s RPC_PERSIST_K=1 RPC_TRANSIT_Z=1 x=2", "+meta.k=3 -meta.z -header.X retry=1",
	MADE "rpc-persist-k: 3\nrpc-persist-retryreq: 1\n"},
    {RPC_TTHEADER, "s RPC_PERSIST_RetryReq=1", "retry=2", MADE "rpc-persist-retryreq: 2\n"},
    {RPC_MESH, "m RPC_PERSIST_K=1 x=2", "+meta.k=3 +header.New=4",
	MADE "x: 2\nrpc-persist-k: 3\nnew: 4\n"},
    {RPC_PLAIN, "", "+meta.k=3 +header.New=4 retry=1",
	MADE "rpc-persist-k: 3\nnew: 4\nrpc-persist-retryreq: 1\n"},
};

START_TEST(a_block_that_is_made_has_the_changes)
{
	struct rpc_edit edit = h2_edit(made[_i].changes);
	struct rpc_form form = {made[_i].transport, RPC_THRIFT, true};

	ck_assert_str_eq(made_of(form, made[_i].header, &edit), made[_i].after);
	must_drop(&edit, RPC_DROPPED_HEADER, 0);
}
END_TEST

/* A gRPC call as one with a TTHeader, or none. */
static void must_become(const char *lines, const char *changes, const char *after,
    struct rpc_form form, struct rpc_edit *edit)
{
	struct slice sections = frame_sections(after), body = frame_body(20), expected;
	struct frame call = {.form = form,
	    .type = 1,
	    .method = "M",
	    .seq = 1,
	    .transport_seq = 1,
	    .sections = sections,
	    .body = body};
	struct written out = {0};
	struct block block;

	block_make(&block, RPC_CALL, lines);
	block.message.body = body;
	block.message.body_len = body.len;
	block.message.complete = true;
	block.message.seq = block.message.transport_seq = 1;
	expected = frame_make(&call);
	changes_read(&text, changes, edit);
	edit->form = form;
	ck_assert(written_message(&out, &block.message, edit, CODEC_UPSTREAM));
	ck_assert(slice_eq(written_slice(&out), expected));
	written_fini(&out);
	block_free(&block);
	frame_free(&expected);
	frame_free(&body);
	frame_free(&sections);
}

START_TEST(a_grpc_call_that_becomes_a_ttheader_has_the_changes)
{
	const struct rpc_form form = {RPC_TTHEADER, RPC_THRIFT, true};
	struct rpc_edit edit = {.retry = 0};

	must_become(":path: /p.S/M\nrpc-persist-k: 1\nx-tag: 2\nrpc-transit-z: 3\n"
		    "rpc-persist-retryreq: 1\n",
	    "+meta.k=4 -header.X-TAG -meta.Z +header.New=5 +int.14=6 retry=2",
	    "s RPC_PERSIST_RetryReq=2 RPC_PERSIST_k=4 New=5 isn=S;i 1=framed 9=M 22=1 14=6", form,
	    &edit);
	must_drop(&edit, RPC_DROPPED_HEADER, 0);
}
END_TEST

START_TEST(a_grpc_call_that_becomes_a_framed_one_loses_them)
{
	const struct rpc_form form = {RPC_PLAIN, RPC_THRIFT, true};
	struct rpc_edit edit = {.retry = 0};

	must_become(":path: /p.S/M\nrpc-persist-k: 1\nx-tag: 2\nrpc-transit-z: 3\n",
	    "+meta.k=4 -header.X-TAG -meta.Z retry=2", "", form, &edit);
	must_drop(&edit, RPC_DROPPED_PERSISTENT, 1);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_block_is_changed_and_keeps_the_rest, ARRAY_LEN(blocks)},
	    {pseudo_fields_are_out_of_reach, 1},
	    {int_keys_have_no_place, 1},
	    {what_can_be_no_field_is_dropped, 1},
	    {a_secret_stays_one_when_its_value_is_another, 1},
	    {facts_and_metadata_are_edited_together, 1},
	    {an_application_hears_what_was_changed, 1},
	    {a_block_that_is_made_has_the_changes, ARRAY_LEN(made)},
	    {a_grpc_call_that_becomes_a_ttheader_has_the_changes, 1},
	    {a_grpc_call_that_becomes_a_framed_one_loses_them, 1},
	};

	return suite_run_between("changes_fields", tests, ARRAY_LEN(tests), begin, end);
}
