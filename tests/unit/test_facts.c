/*
 * Facts of a message by name: metadata, headers and int keys in every form, fields of the Thrift
 * argument by their ids.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/codec.h"
#include "rpc/facts.h"
#include "support/block.h"
#include "support/bytes.h"
#include "support/frames.h"
#include "support/golden.h"
#include "support/reading.h"
#include "support/suite.h"
#include "support/tts_end.h"

static const struct rpc_form tth = {RPC_TTHEADER, RPC_THRIFT, true};
static const struct rpc_form mesh = {RPC_MESH, RPC_THRIFT, true};
static const struct rpc_form plain = {RPC_PLAIN, RPC_THRIFT, true};

/* Who is asked: a message as its codec gave it out. */
static struct {
	struct reading read;
	struct tts_end stream;
	struct block block;
	const struct rpc_message *m;
} who;

static void begin(void)
{
	memset(&who, 0, sizeof who);
}

static void end(void)
{
	if (who.read.codec)
		reading_close(&who.read);
	if (who.stream.codec)
		tts_end_close(&who.stream);
	if (who.block.text)
		block_free(&who.block);
	memset(&who, 0, sizeof who);
}

static void ask_frame(struct slice frame)
{
	end();
	reading_open(&who.read, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&who.read, frame);
	ck_assert_uint_eq(who.read.n, 1);
	ck_assert(who.read.list[0].has_message);
	who.m = &who.read.list[0].message;
}

static void ask_body(struct rpc_form form, const char *header, struct slice body)
{
	struct slice sections = frame_sections(header), frame;
	struct frame f = {.form = form,
	    .type = 1,
	    .method = "Echo",
	    .seq = 7,
	    .transport_seq = 7,
	    .sections = sections,
	    .body = body};

	frame = frame_make(&f);
	ask_frame(frame);
	frame_free(&frame);
	frame_free(&sections);
}

static void ask(struct rpc_form form, const char *header)
{
	struct slice body = frame_body(20);

	ask_body(form, header, body);
	frame_free(&body);
}

static void ask_stream(const char *header)
{
	struct slice frame = tts_frame(1, header, SLICE_NONE);

	end();
	tts_end_open(&who.stream, CODEC_DOWNSTREAM, &reading_limits);
	tts_end_feed(&who.stream, frame);
	ck_assert_uint_eq(who.stream.n, 1);
	who.m = &who.stream.list[0].message;
	frame_free(&frame);
}

static void ask_block(const char *lines)
{
	end();
	block_make(&who.block, RPC_CALL, lines);
	who.m = &who.block.message;
}

/* NULL: it has none. */
static void must_be(bool is_found, struct slice value, const char *expected)
{
	ck_assert_msg(is_found == (expected != NULL), "%s", is_found ? "found" : "not found");
	if (expected)
		ck_assert_msg(slice_eq_str(value, expected), "%.*s", (int)value.len,
		    (const char *)value.data);
}

static void must_have_meta(const char *name, const char *expected)
{
	struct slice value = SLICE_NONE;
	bool is_found = rpc_find_meta(who.m, slice_str(name), &value);

	must_be(is_found, value, expected);
}

static void must_have_header(const char *name, const char *expected)
{
	struct slice value = SLICE_NONE;
	bool is_found = rpc_find_header(who.m, slice_str(name), &value);

	must_be(is_found, value, expected);
}

static void must_have_int(uint16_t number, const char *expected)
{
	struct slice value = SLICE_NONE;
	bool is_found = rpc_find_int(who.m, number, &value);

	must_be(is_found, value, expected);
}

/* ---- metadata ---- */

static void must_know_a_tenant(void)
{
	must_have_meta("tenant", "blue");
	must_have_meta("TENANT", "blue");
	must_have_meta("Tenant", "blue");
	must_have_meta("env_name", "test");
	must_have_meta("Env-Name", "test");
	must_have_meta("tenan", NULL);
	must_have_meta("tenants", NULL);
	must_have_meta("", NULL);
	must_have_meta("RPC_PERSIST_TENANT", NULL);
}

START_TEST(metadata_is_found_in_every_form_that_has_it)
{
	ask(tth, "i 3=cart 12=300;s RPC_PERSIST_TENANT=blue RPC_TRANSIT_env_name=test");
	must_know_a_tenant();
	ask(mesh, "m RPC_PERSIST_TENANT=blue RPC_TRANSIT_env_name=test");
	must_know_a_tenant();
	ask_stream("i 27=2 9=M;s RPC_PERSIST_TENANT=blue RPC_TRANSIT_env_name=test");
	must_know_a_tenant();
	ask_block(":path: /S/M\nrpc-persist-tenant: blue\nrpc-transit-env-name: test\n");
	must_know_a_tenant();
}
END_TEST

START_TEST(a_form_without_a_header_has_no_metadata)
{
	ask(plain, "");
	must_have_meta("tenant", NULL);
	must_have_header("tenant", NULL);
	must_have_int(14, NULL);
	ck_assert(!rpc_is_marked_retry(who.m));
}
END_TEST

START_TEST(what_is_persistent_comes_before_what_is_transient)
{
	ask(tth, "s RPC_PERSIST_K=p RPC_TRANSIT_K=t");
	must_have_meta("k", "p");
	ask(tth, "s RPC_TRANSIT_K=t RPC_PERSIST_K=p");
	must_have_meta("k", "p");
	ask_block(":path: /S/M\nrpc-transit-k: t\nrpc-persist-k: p\n");
	must_have_meta("k", "p");
}
END_TEST

START_TEST(an_empty_value_is_not_there_as_in_kitex)
{
	ask(tth, "s RPC_PERSIST_K= RPC_TRANSIT_K=t RPC_PERSIST_X=");
	must_have_meta("k", "t");
	must_have_meta("x", NULL);
	ask_block(":path: /S/M\nrpc-persist-k: \nrpc-transit-k: t\n");
	must_have_meta("k", "t");
	ask(tth, "s RPC_PERSIST_RetryReq=");
	ck_assert(!rpc_is_marked_retry(who.m));
}
END_TEST

START_TEST(the_last_of_a_key_counts_and_the_first_of_a_field)
{
	ask(tth, "s RPC_PERSIST_K=1 h=1;i 14=1;s RPC_PERSIST_K=2 h=2;i 14=2");
	must_have_meta("k", "2");
	must_have_header("h", "2");
	must_have_int(14, "2");
	ask(mesh, "m RPC_PERSIST_K=1 RPC_PERSIST_K=2 h=1 h=2");
	must_have_meta("k", "2");
	must_have_header("h", "2");
	ask_block(":path: /S/M\nrpc-persist-k: 1\nrpc-persist-k: 2\nh: 1\nh: 2\n");
	must_have_meta("k", "1");
	must_have_header("h", "1");
}
END_TEST

START_TEST(prefixes_are_known_as_kitex_knows_them)
{
	ask(tth, "s rpc_persist_K=1 RPC_TRANSIT_UPSTREAM_X=2 RPC_BACKWARD_Y=3 RPC_PERSISTZ=4");
	must_have_meta("k", NULL);
	must_have_meta("x", NULL);
	must_have_meta("upstream_x", NULL);
	must_have_meta("y", NULL);
	must_have_meta("z", NULL);
}
END_TEST

START_TEST(the_acl_token_is_found)
{
	ask(tth, "a secret;s k=v");
	must_have_meta("gdpr-token", "secret");
	must_have_header("RPC_TRANSIT_gdpr-token", "secret");
	must_have_header("RPC_TRANSIT_GDPR-TOKEN", NULL);
	ask(tth, "s RPC_TRANSIT_gdpr-token=plain");
	must_have_meta("gdpr_token", "plain");
	ask_stream("i 27=2 9=M;a secret");
	must_have_meta("gdpr-token", "secret");
	ask_block(":path: /S/M\nrpc-transit-gdpr-token: secret\n");
	must_have_meta("gdpr-token", "secret");
}
END_TEST

/* ---- headers and int keys ---- */

START_TEST(a_header_is_a_key_exactly)
{
	ask(tth, "s X-Tag=a isn=Echo empty=;i 3=cart");
	must_have_header("X-Tag", "a");
	must_have_header("x-tag", NULL);
	must_have_header("isn", "Echo");
	must_have_header("empty", "");
	must_have_header("X-Ta", NULL);
	ask(mesh, "m X-Tag=a");
	must_have_header("X-Tag", "a");
	must_have_header("x-tag", NULL);
}
END_TEST

START_TEST(a_header_of_http2_has_no_case)
{
	ask_block(":path: /S/M\nx-tag: a\nx_tag: b\n");
	must_have_header("X-Tag", "a");
	must_have_header("x_tag", "b");
	must_have_header("x-ta", NULL);
	must_have_header(":path", NULL);
}
END_TEST

START_TEST(int_keys_are_those_of_a_ttheader)
{
	ask(tth, "s 14=no;i 14=ring 24= 65535=last");
	must_have_int(14, "ring");
	must_have_int(24, "");
	must_have_int(65535, "last");
	must_have_int(0, NULL);
	must_have_int(15, NULL);
	ask_stream("i 27=2 9=M 14=ring");
	must_have_int(14, "ring");
	ask(mesh, "m 14=no");
	must_have_int(14, NULL);
	must_have_int(0, NULL);
	ask_block(":path: /S/M\n14: no\n");
	must_have_int(14, NULL);
}
END_TEST

START_TEST(a_retry_is_marked_in_any_case)
{
	ask(tth, "s RPC_PERSIST_RetryReq=1");
	ck_assert(rpc_is_marked_retry(who.m));
	ask(tth, "s RPC_PERSIST_RETRYREQ=2");
	ck_assert(rpc_is_marked_retry(who.m));
	ask(mesh, "m RPC_PERSIST_retryreq=2");
	ck_assert(rpc_is_marked_retry(who.m));
	ask_block(":path: /S/M\nrpc-persist-retryreq: 1\n");
	ck_assert(rpc_is_marked_retry(who.m));
	ask_stream("i 27=2 9=M;s RPC_PERSIST_RetryReq=1");
	ck_assert(rpc_is_marked_retry(who.m));
}
END_TEST

START_TEST(what_is_not_persistent_is_no_mark)
{
	ask(tth, "s RPC_TRANSIT_RetryReq=1 RetryReq=1 RPC_PERSIST_RetryRe=1");
	ck_assert(!rpc_is_marked_retry(who.m));
	ask_block(":path: /S/M\nrpc-transit-retryreq: 1\nretryreq: 1\n");
	ck_assert(!rpc_is_marked_retry(who.m));
}
END_TEST

START_TEST(golden_calls_say_what_they_say)
{
	struct golden_set set = golden_load();
	const struct golden *g = golden_find(&set, "13_tth_call_full");

	ck_assert_ptr_nonnull(g);
	ask_frame(g->frames[0]);
	must_have_header("isn", "EchoService");
	must_have_meta("pk", "pv");
	must_have_meta("tk", "tv");
	must_have_int(12, "300");
	g = golden_find(&set, "11_tth_call_acl");
	ask_frame(g->frames[0]);
	must_have_header("RPC_TRANSIT_gdpr-token", "tok");
	g = golden_find(&set, "29_mesh_header_call");
	ask_frame(g->frames[0]);
	must_have_header("rip", "x");
	golden_free(&set);
}
END_TEST

/* ---- several questions ---- */

static const unsigned sizes[] = {
    1, RPC_FACTS_MAX - 5, RPC_FACTS_MAX - 4, RPC_FACTS_MAX - 3, RPC_FACTS_MAX - 2, 200};

/* What a header holds past the room for it is found as well, and what comes last still counts. */
START_TEST(who_is_asked_often_answers_the_same)
{
	char header[8192] = "s first=1 RPC_PERSIST_K=a";
	struct rpc_facts facts;
	struct slice value;

	for (unsigned i = 0; i < sizes[_i]; i++)
		sprintf(header + strlen(header), " k%u=%u", i, i);
	strcat(header, " RPC_PERSIST_k=last;i 14=ring");
	ask(tth, header);
	rpc_facts_init(&facts, who.m);
	for (int times = 0; times < 3; times++) {
		ck_assert(rpc_facts_int(&facts, 14, &value));
		ck_assert(slice_eq_str(value, "ring"));
		ck_assert(rpc_facts_meta(&facts, SLICE_LIT("K"), &value));
		ck_assert(slice_eq_str(value, "last"));
		ck_assert(rpc_facts_header(&facts, SLICE_LIT("first"), &value));
		ck_assert(slice_eq_str(value, "1"));
		ck_assert(rpc_facts_header(&facts, SLICE_LIT("k0"), &value));
		ck_assert(!rpc_facts_header(&facts, SLICE_LIT("14"), &value));
		ck_assert(!rpc_facts_int(&facts, 0, &value));
		ck_assert(!rpc_facts_meta(&facts, SLICE_LIT(""), &value));
	}
}
END_TEST

START_TEST(another_message_is_another_matter)
{
	struct rpc_facts facts;
	struct slice value;

	ask(tth, "s a=1;i 14=ring");
	rpc_facts_init(&facts, who.m);
	ck_assert(rpc_facts_header(&facts, SLICE_LIT("a"), &value));
	ask(plain, "");
	rpc_facts_init(&facts, who.m);
	ck_assert(!rpc_facts_header(&facts, SLICE_LIT("a"), &value));
	ck_assert(!rpc_facts_int(&facts, 14, &value));
	ask_block(":path: /S/M\na: 2\n");
	rpc_facts_init(&facts, who.m);
	ck_assert(rpc_facts_header(&facts, SLICE_LIT("A"), &value) && slice_eq_str(value, "2"));
	ck_assert(!rpc_facts_int(&facts, 14, &value));
}
END_TEST

/* ---- fields of the argument ---- */

/*
 * 1: struct {1: "x", 2: i32 -5, 3: struct {2: "deep", 4: true}, 5: i64 min, 6: byte -1, 7: i16 300,
 * 8: double, 9: list of two strings, 10: map i32 to string, 11: list of structs, 12: false,
 * 13: ""}, 2: "second"
 */
#define ARGUMENT                                                                                   \
	12, 0, 1, 11, 0, 1, 0, 0, 0, 1, 'x', 8, 0, 2, 0xff, 0xff, 0xff, 0xfb, 9 + 6, 0, 9, 11, 0,  \
	    0, 0, 2, 0, 0, 0, 1, 'a', 0, 0, 0, 0, 13, 0, 10, 8, 11, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0,  \
	    0, 2, 'm', 'v', 15, 0, 11, 12, 0, 0, 0, 2, 0, 11, 0, 3, 0, 0, 0, 1, 'z', 0, 12, 0, 3,  \
	    11, 0, 2, 0, 0, 0, 4, 'd', 'e', 'e', 'p', 2, 0, 4, 1, 0, 10, 0, 5, 0x80, 0, 0, 0, 0,   \
	    0, 0, 0, 3, 0, 6, 0xff, 6, 0, 7, 1, 44, 4, 0, 8, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 2, 0,   \
	    12, 0, 11, 0, 13, 0, 0, 0, 0, 0, 11, 0, 2, 0, 0, 0, 6, 's', 'e', 'c', 'o', 'n', 'd'

static const uint8_t argument[] = {ARGUMENT, 0};

static bool find_path(const char *text, char room[24], struct slice *value)
{
	int16_t path[8];
	unsigned depth = 0;

	for (const char *at = text; *at; at++) {
		char *after;

		path[depth++] = (int16_t)strtol(at, &after, 10);
		at = *after ? after : after - 1;
	}
	return rpc_find_field(who.m, path, depth, room, value);
}

static void must_have_field(const char *text, const char *expected)
{
	char room[24];
	struct slice value = SLICE_NONE;
	bool is_found = find_path(text, room, &value);

	must_be(is_found, value, expected);
}

static void must_know_the_argument(void)
{
	must_have_field("1.1", "x");
	must_have_field("1.2", "-5");
	must_have_field("1.3.2", "deep");
	must_have_field("1.3.4", "1");
	must_have_field("1.5", "-9223372036854775808");
	must_have_field("1.6", "-1");
	must_have_field("1.7", "300");
	must_have_field("1.12", "0");
	must_have_field("1.13", "");
	must_have_field("2", "second");
}

START_TEST(a_field_is_found_by_its_ids)
{
	ask_body(tth, "s a=b", slice_of(argument, sizeof argument));
	must_know_the_argument();
	ask_body(plain, "", slice_of(argument, sizeof argument));
	must_know_the_argument();
	ask_body(mesh, "m a=b", slice_of(argument, sizeof argument));
	must_know_the_argument();
}
END_TEST

static const char *const nowhere[] = {
    "",        /* the argument list itself */
    "1",       /* a struct */
    "3",       /* not there */
    "1.3",     /* a struct, deeper */
    "1.3.3",   /* not in it */
    "1.1.1",   /* through a string */
    "1.2.1",   /* through a number */
    "1.8",     /* a double */
    "1.9",     /* a list */
    "1.9.1",   /* through one */
    "1.10",    /* a map */
    "1.10.7",  /* through one */
    "1.11.3",  /* structs in a list */
    "1.3.2.1", /* past a leaf */
    "2.1",     /* the same, on top */
    "-1",
};

START_TEST(a_path_to_anything_else_finds_nothing)
{
	ask_body(tth, "", slice_of(argument, sizeof argument));
	must_have_field(nowhere[_i], NULL);
}
END_TEST

START_TEST(ids_are_signed)
{
	static const uint8_t body[] = {8, 0xff, 0xff, 0, 0, 0, 9, 8, 0x80, 0, 0, 0, 0, 8, 0};

	ask_body(plain, "", slice_of(body, sizeof body));
	must_have_field("-1", "9");
	must_have_field("-32768", "8");
	must_have_field("32767", NULL);
}
END_TEST

START_TEST(the_last_of_a_field_counts)
{
	static const uint8_t body[] = {12, 0, 1, 8, 0, 1, 0, 0, 0, 1, 8, 0, 1, 0, 0, 0, 2,
	    0,                                /* a */
	    12, 0, 1, 8, 0, 1, 0, 0, 0, 3, 0, /* b */
	    8, 0, 2, 0, 0, 0, 4, 0};

	ask_body(plain, "", slice_of(body, sizeof body));
	must_have_field("1.1", "3");
	must_have_field("2", "4");
}
END_TEST

START_TEST(a_bool_is_true_when_it_is_1)
{
	static const uint8_t body[] = {2, 0, 1, 1, 2, 0, 2, 0, 2, 0, 3, 2, 0};

	ask_body(plain, "", slice_of(body, sizeof body));
	must_have_field("1", "1");
	must_have_field("2", "0");
	must_have_field("3", "0"); /* as gopkg's reader takes it */
}
END_TEST

/* Whatever is cut away, what is found is what stands in the whole, and its end is here. */
START_TEST(a_cut_body_finds_what_is_here_and_nothing_else)
{
	static const char *const paths[] = {
	    "1.1", "1.2", "1.3.2", "1.3.4", "1.5", "1.6", "1.7", "1.12", "1.13", "2"};
	struct rpc_message whole = {
	    .form = plain, .kind = RPC_CALL, .body = slice_of(argument, sizeof argument)};
	unsigned found_before = 0;

	for (size_t len = 0; len <= sizeof argument; len++) {
		uint8_t *exact = mem_alloc(len + 1);
		struct rpc_message cut = whole;
		unsigned n_found = 0;

		memcpy(exact + 1, argument, len);
		cut.body = slice_of(exact + 1, len);
		for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
			char room[24], other[24];
			struct slice value, full;

			who.m = &whole;
			ck_assert(find_path(paths[i], other, &full));
			who.m = &cut;
			if (find_path(paths[i], room, &value)) {
				ck_assert(slice_eq(value, full));
				n_found++;
			}
		}
		ck_assert_uint_ge(n_found, found_before);
		found_before = n_found;
		free(exact);
	}
	ck_assert_uint_eq(found_before, ARRAY_LEN(paths));
}
END_TEST

static void must_find_nothing_in(struct slice body)
{
	struct rpc_message m = {.form = plain, .kind = RPC_CALL, .body = body};

	who.m = &m;
	must_have_field("1", NULL);
	must_have_field("9.9", NULL);
}

START_TEST(lengths_that_lie_find_nothing)
{
	must_find_nothing_in(BYTES(11, 0, 1, 0xff, 0xff, 0xff, 0xff, 'x', 0));
	must_find_nothing_in(BYTES(11, 0, 1, 0x7f, 0xff, 0xff, 0xff, 'x', 0));
	must_find_nothing_in(BYTES(11, 0, 2, 0, 0, 0, 9, 8, 0, 1, 0, 0, 0, 1, 0));
	must_find_nothing_in(BYTES(15, 0, 2, 12, 0x7f, 0xff, 0xff, 0xff, 8, 0, 1, 0, 0, 0, 1, 0));
	must_find_nothing_in(BYTES(15, 0, 2, 10, 0x7f, 0xff, 0xff, 0xff, 8, 0, 1, 0, 0, 0, 1, 0));
	must_find_nothing_in(BYTES(15, 0, 2, 3, 0xff, 0xff, 0xff, 0xff, 8, 0, 1, 0, 0, 0, 1, 0));
	must_find_nothing_in(
	    BYTES(13, 0, 2, 10, 10, 0x7f, 0xff, 0xff, 0xff, 8, 0, 1, 0, 0, 0, 1, 0));
	must_find_nothing_in(BYTES(13, 0, 2, 3, 0, 0, 0, 0, 1, 1, 8, 0, 1, 0, 0, 0, 1, 0));
	must_find_nothing_in(BYTES(1, 0, 2, 8, 0, 1, 0, 0, 0, 1, 0));
	must_find_nothing_in(BYTES(16, 0, 2, 8, 0, 1, 0, 0, 0, 1, 0));
}
END_TEST

START_TEST(what_is_nested_too_deeply_is_not_walked)
{
	uint8_t *body = mem_alloc(4000), *at = body;
	struct rpc_message m = {.form = plain, .kind = RPC_CALL};

	for (int i = 0; i < 1000; i++, at += 3)
		memcpy(at, "\x0c\0\2",
		    3); /* no ends: a walk without a limit would go down to the last */
	m.body = slice_of(body, 3000);
	who.m = &m;
	must_have_field("1", NULL);
	free(body);
}
END_TEST

START_TEST(other_payloads_have_no_fields)
{
	struct rpc_message m = {
	    .form = plain, .kind = RPC_CALL, .body = slice_of(argument, sizeof argument)};

	m.form.payload = RPC_KITEXPB;
	who.m = &m;
	must_have_field("2", NULL);
	m.form = (struct rpc_form){RPC_HTTP2, RPC_OPAQUE, false};
	must_have_field("2", NULL);
}
END_TEST

static void ask_grpc(uint8_t flag, struct slice message)
{
	ask_block(":path: /S/M\ncontent-type: application/grpc+thrift\n");
	who.block.message.body = block_body(flag, message);
}

START_TEST(of_a_grpc_call_the_first_message_is_read)
{
	struct slice one, two, both;

	ask_grpc(0, slice_of(argument, sizeof argument));
	must_know_the_argument();
	one = who.block.message.body;
	two = block_body(0, BYTES(11, 0, 9, 0, 0, 0, 1, 'n', 0));
	both = frame_join(one, two);
	who.block.message.body = both;
	must_know_the_argument();
	must_have_field("9", NULL);
	who.block.message.body = slice_first(one, 16);
	must_have_field("1.1", "x");
	must_have_field("1.2", NULL);
	who.block.message.body = slice_first(one, 4);
	must_have_field("1.1", NULL);
	frame_free(&one);
	frame_free(&two);
	frame_free(&both);
}
END_TEST

START_TEST(a_message_never_reaches_into_the_next)
{
	struct slice cut = block_body(0, slice_of(argument, 3));
	struct slice next = block_body(0, BYTES(11, 0, 2, 0, 0, 0, 1, 'n', 0));
	struct slice both = frame_join(cut, next);

	ask_block(":path: /S/M\ncontent-type: application/grpc+thrift\n");
	who.block.message.body = both;
	must_have_field("1.2", NULL);
	must_have_field("2", NULL);
	frame_free(&cut);
	frame_free(&next);
	frame_free(&both);
}
END_TEST

START_TEST(a_compressed_message_is_not_read)
{
	ask_grpc(1, slice_of(argument, sizeof argument));
	must_have_field("2", NULL);
	frame_free(&who.block.message.body);
}
END_TEST

START_TEST(a_grpc_call_that_has_become_a_unary_one_is_read_all_the_same)
{
	struct slice body;

	ask_grpc(0, slice_of(argument, sizeof argument));
	body = who.block.message.body;
	ck_assert_ptr_null(rpc_call_from_grpc(&who.block.message));
	must_know_the_argument();
	frame_free(&body);
	ask_grpc(0, BYTES(0));
	body = who.block.message.body;
	ck_assert_ptr_null(rpc_call_from_grpc(&who.block.message));
	must_have_field("1", NULL);
	frame_free(&body);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {metadata_is_found_in_every_form_that_has_it, 1},
	    {a_form_without_a_header_has_no_metadata, 1},
	    {what_is_persistent_comes_before_what_is_transient, 1},
	    {an_empty_value_is_not_there_as_in_kitex, 1},
	    {the_last_of_a_key_counts_and_the_first_of_a_field, 1},
	    {prefixes_are_known_as_kitex_knows_them, 1},
	    {the_acl_token_is_found, 1},
	    {a_header_is_a_key_exactly, 1},
	    {a_header_of_http2_has_no_case, 1},
	    {int_keys_are_those_of_a_ttheader, 1},
	    {a_retry_is_marked_in_any_case, 1},
	    {what_is_not_persistent_is_no_mark, 1},
	    {golden_calls_say_what_they_say, 1},
	    {who_is_asked_often_answers_the_same, ARRAY_LEN(sizes)},
	    {another_message_is_another_matter, 1},
	    {a_field_is_found_by_its_ids, 1},
	    {a_path_to_anything_else_finds_nothing, ARRAY_LEN(nowhere)},
	    {ids_are_signed, 1},
	    {the_last_of_a_field_counts, 1},
	    {a_bool_is_true_when_it_is_1, 1},
	    {a_cut_body_finds_what_is_here_and_nothing_else, 1},
	    {lengths_that_lie_find_nothing, 1},
	    {what_is_nested_too_deeply_is_not_walked, 1},
	    {other_payloads_have_no_fields, 1},
	    {of_a_grpc_call_the_first_message_is_read, 1},
	    {a_message_never_reaches_into_the_next, 1},
	    {a_compressed_message_is_not_read, 1},
	    {a_grpc_call_that_has_become_a_unary_one_is_read_all_the_same, 1},
	};

	return suite_run_between("facts", tests, ARRAY_LEN(tests), begin, end);
}
