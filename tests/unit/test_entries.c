/* What transport headers say, entry by entry: in the form of each protocol. */
#include <stdio.h>

#include "base/mem.h"
#include "rpc/entries.h"
#include "support/block.h"
#include "support/frames.h"
#include "support/suite.h"

static const char *const groups[RPC_ENTRY_GROUPS] = {
    "int", "persistent", "transient", "backward", "str", "header"};

/* "group name=value;" for each; '!' before those that are secret. */
static const char *say(const struct rpc_message *m)
{
	static char text[4096];
	struct rpc_entry list[32];
	size_t n = rpc_entries(m, list, ARRAY_LEN(list)), len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		const struct rpc_entry *e = &list[i];
		char number[8];

		snprintf(number, sizeof number, "%u", e->number);
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s %.*s%s=%.*s;",
		    e->is_secret ? "!" : "", groups[e->group], (int)e->name.len,
		    (const char *)e->name.data, e->group == RPC_ENTRY_INT ? number : "",
		    (int)e->value.len, (const char *)e->value.data);
	}
	return text;
}

static const char *say_sections(enum rpc_transport transport, const char *header)
{
	struct slice sections = frame_sections(header);
	struct rpc_message m = {.form = {transport, RPC_THRIFT, true}, .sections = sections};
	const char *text = say(&m);

	frame_free(&sections);
	return text;
}

static const char *say_block(const char *lines)
{
	struct block block;
	const char *text;

	block_make(&block, RPC_CALL, lines);
	text = say(&block.message);
	block_free(&block);
	return text;
}

START_TEST(entries_of_a_ttheader_are_sorted_by_how_far_they_travel)
{
	ck_assert_str_eq(say_sections(RPC_TTHEADER,
			     "i 3=cart 999=x;a tok;s RPC_PERSIST_A=1 RPC_TRANSIT_B=2 "
			     "RPC_TRANSIT_UPSTREAM_C=3 RPC_BACKWARD_D=4 own=5 isn=6 biz-status=7"),
	    "int 3=cart;int 999=x;!transient gdpr-token=tok;persistent A=1;transient B=2;"
	    "transient UPSTREAM_C=3;backward D=4;str own=5;str isn=6;str biz-status=7;");
}
END_TEST

START_TEST(the_token_is_a_secret_as_a_str_key_too)
{
	ck_assert_str_eq(
	    say_sections(RPC_TTHEADER, "s RPC_TRANSIT_gdpr-token=t"), "!transient gdpr-token=t;");
	ck_assert_str_eq(
	    say_block(":path: /S/M\nrpc-transit-gdpr-token: t\n"), "!transient gdpr-token=t;");
}
END_TEST

START_TEST(streams_and_the_mesh_header_have_entries_too)
{
	ck_assert_str_eq(
	    say_sections(RPC_TTSTREAM, "i 27=2;s RPC_PERSIST_A=1"), "int 27=2;persistent A=1;");
	ck_assert_str_eq(
	    say_sections(RPC_MESH, "m RPC_PERSIST_A=1 k=v"), "persistent A=1;str k=v;");
}
END_TEST

START_TEST(fields_of_a_block_are_sorted_likewise)
{
	ck_assert_str_eq(say_block(":path: /S/M\nrpc-persist-env: gray\nrpc-transit-hop: 1\n"
				   "rpc-backward-box: b\nx-own: 2\nx-own: 3\n"),
	    "persistent env=gray;transient hop=1;backward box=b;header x-own=2;header x-own=3;");
}
END_TEST

START_TEST(what_its_writer_marks_as_secret_is_secret)
{
	struct rpc_field field = {SLICE_LIT("x-own"), SLICE_LIT("1"), true};
	struct rpc_message m = {
	    .form = {RPC_HTTP2, RPC_THRIFT, false}, .fields = &field, .n_fields = 1};

	ck_assert_str_eq(say(&m), "!header x-own=1;");
}
END_TEST

START_TEST(names_that_are_prefixes_alone_are_empty)
{
	ck_assert_str_eq(
	    say_sections(RPC_TTHEADER, "s RPC_PERSIST_=1 RPC_TRANSIT_=2 RPC_BACKWARD_=3"),
	    "persistent =1;transient =2;backward =3;");
}
END_TEST

START_TEST(no_header_has_no_entries)
{
	struct rpc_message m = {.form = {RPC_PLAIN, RPC_THRIFT, true}};

	ck_assert_uint_eq(rpc_entries(&m, NULL, 0), 0);
}
END_TEST

START_TEST(all_are_counted_and_as_many_given_as_there_is_room_for)
{
	struct slice sections = frame_sections("s a=1 b=2 c=3");
	struct rpc_message m = {.form = {RPC_TTHEADER, RPC_THRIFT, true}, .sections = sections};
	struct rpc_entry list[3] = {{.name = SLICE_NONE}};

	ck_assert_uint_eq(rpc_entries(&m, list, 2), 3);
	ck_assert(slice_eq_str(list[1].name, "b"));
	ck_assert_ptr_null(list[2].name.data);
	frame_free(&sections);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {entries_of_a_ttheader_are_sorted_by_how_far_they_travel, 1},
	    {the_token_is_a_secret_as_a_str_key_too, 1},
	    {streams_and_the_mesh_header_have_entries_too, 1},
	    {fields_of_a_block_are_sorted_likewise, 1},
	    {what_its_writer_marks_as_secret_is_secret, 1},
	    {names_that_are_prefixes_alone_are_empty, 1},
	    {no_header_has_no_entries, 1},
	    {all_are_counted_and_as_many_given_as_there_is_room_for, 1},
	};

	return suite_run_between("entries", tests, ARRAY_LEN(tests), NULL, NULL);
}
