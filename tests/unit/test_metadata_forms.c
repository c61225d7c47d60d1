/*
 * What each fact, and each key that is known, becomes between each pair of forms: one table, from
 * which every message is made.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "rpc/h2_fields.h"
#include "rpc/metadata.h"
#include "support/block.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/suite.h"

enum { NONE = -1 };

/* Which way a row holds: out of a TTHeader, into one, or both. */
enum way { BOTH, THERE, BACK };

struct row {
	enum way way;
	const char *entry; /* "s key=value", "i number=value", "a token"; "": there is none */
	const char *field; /* "name: value", several with '|' between them; "": there is none */
	int lost; /* enum rpc_dropped where it has no place; NONE: nothing is lost with it */
};

static const struct row call_rows[] = {
    /* facts */
    {BOTH, "i 2=L17", "stream-log-id: L17", RPC_DROPPED_INT},
    {BOTH, "i 3=shop.cart", "source-service: shop.cart", RPC_DROPPED_INT},
    {BOTH, "i 20=Buy", "source-method: Buy", RPC_DROPPED_INT},
    {BOTH, "i 6=shop.price", "destination-service: shop.price", RPC_DROPPED_INT},
    {THERE, "i 12=1500", "grpc-timeout: 1500000u", RPC_DROPPED_INT},
    {BACK, "i 12=1500", "grpc-timeout: 1500m", RPC_DROPPED_INT},
    {THERE, "s isn=Price", ":path: /Price/Say", RPC_DROPPED_HEADER},
    {BACK, "s isn=Price", ":path: /shop.v1.Price/Say", NONE},
    {THERE, "i 2=a\x01z", "", RPC_DROPPED_INT},
    /* metadata */
    {BOTH, "s RPC_PERSIST_TENANT=blue", "rpc-persist-tenant: blue", RPC_DROPPED_PERSISTENT},
    {THERE, "s RPC_PERSIST_log_id=x", "rpc-persist-log-id: x", RPC_DROPPED_PERSISTENT},
    {BACK, "s RPC_PERSIST_LOG_ID=x", "rpc-persist-log-id: x", RPC_DROPPED_PERSISTENT},
    {BOTH, "s RPC_PERSIST_E=", "rpc-persist-e: ", RPC_DROPPED_PERSISTENT},
    {BOTH, "s RPC_PERSIST_X_BIN=hi", "rpc-persist-x-bin: aGk", RPC_DROPPED_PERSISTENT},
    {BACK, "s RPC_PERSIST_X_BIN=hi", "rpc-persist-x-bin: aGk=", RPC_DROPPED_PERSISTENT},
    {BACK, "", "rpc-persist-x-bin: a", RPC_DROPPED_PERSISTENT},
    {BACK, "", "rpc-persist-: x", RPC_DROPPED_PERSISTENT},
    {THERE, "s RPC_PERSIST_=x", "", RPC_DROPPED_PERSISTENT},
    {THERE, "s RPC_PERSIST_a/b=x", "", RPC_DROPPED_PERSISTENT},
    {THERE, "s RPC_PERSIST_K=a\x01z", "", RPC_DROPPED_PERSISTENT},
    {BOTH, "s RPC_TRANSIT_HOP=one", "rpc-transit-hop: one", RPC_DROPPED_TRANSIENT},
    {THERE, "s RPC_TRANSIT_UPSTREAM_K=v", "", RPC_DROPPED_TRANSIENT},
    {BACK, "", "rpc-transit-upstream-k: v", RPC_DROPPED_TRANSIENT},
    {THERE, "s RPC_BACKWARD_K=v", "", RPC_DROPPED_HEADER},
    {BACK, "", "rpc-backward-k: v", RPC_DROPPED_HEADER},
    {BOTH, "s x-tag=a", "x-tag: a", RPC_DROPPED_HEADER},
    {BOTH, "s x_tag=a", "x_tag: a", RPC_DROPPED_HEADER},
    {THERE, "s X-Tag=a", "x-tag: a", RPC_DROPPED_HEADER},
    {BOTH, "s blob-bin=hi", "blob-bin: aGk", RPC_DROPPED_HEADER},
    {BOTH, "s tc=default", "tc: default", RPC_DROPPED_HEADER},
    {BOTH, "s ti=az1", "ti: az1", RPC_DROPPED_HEADER},
    {BOTH, "a tok", "rpc-transit-gdpr-token: tok", RPC_DROPPED_ACL},
    {THERE, "s RPC_TRANSIT_gdpr-token=tok", "rpc-transit-gdpr-token: tok", RPC_DROPPED_ACL},
    {THERE, "s RPC_TRANSIT_b3=1", "rpc-transit-b3: 1|b3: 1", RPC_DROPPED_TRANSIENT},
    {BACK, "s RPC_TRANSIT_b3=1", "b3: 1", RPC_DROPPED_HEADER},
    {BACK, "s RPC_TRANSIT_b3=1", "rpc-transit-b3: 1", RPC_DROPPED_TRANSIENT},
    /* what means something on one side only */
    {THERE, "s rip=10.0.0.1:80", "", RPC_DROPPED_HEADER},
    {THERE, "s crrst=1", "", NONE},
    {THERE, "s crc32c=00000000", "", RPC_DROPPED_CHECKSUM},
    {THERE, "s PV_sum=1", "", RPC_DROPPED_CHECKSUM},
    {THERE, "s biz-status=7", "", RPC_DROPPED_BIZ},
    {THERE, "s Host=x", "", RPC_DROPPED_HEADER},
    {THERE, "s TE=x", "", RPC_DROPPED_HEADER},
    {THERE, "s content-type=x", "", RPC_DROPPED_HEADER},
    {THERE, "s grpc-timeout=1S", "", RPC_DROPPED_HEADER},
    {THERE, "s source-service=x", "", RPC_DROPPED_HEADER},
    {THERE, "s rpc-persist-k=x", "", RPC_DROPPED_HEADER},
    {BACK, "", "biz-status: 7", RPC_DROPPED_BIZ},
    {BACK, "", "destination-addr: 10.0.0.1:80", RPC_DROPPED_INT},
    {BACK, "", "destination-method: Say", NONE},
    {BACK, "", "user-agent: kitex/0.16", NONE},
    {BACK, "", "te: trailers", NONE},
    {BACK, "", "content-length: 15", NONE},
    {BACK, "", "host: a", NONE},
    {BACK, "", "grpc-encoding: identity", NONE},
    {BACK, "", "grpc-accept-encoding: gzip", NONE},
    {BACK, "", "grpc-tags-bin: AA", RPC_DROPPED_HEADER},
    {BACK, "", "connection: close", RPC_DROPPED_HEADER},
    {BACK, "", "keep-alive: 5", RPC_DROPPED_HEADER},
    {BACK, "", "proxy-connection: close", RPC_DROPPED_HEADER},
    {BACK, "", "transfer-encoding: chunked", RPC_DROPPED_HEADER},
    {BACK, "", "upgrade: h2c", RPC_DROPPED_HEADER},
    {BACK, "", "isn: Echo", RPC_DROPPED_HEADER},
    {BACK, "", "rip: 10.0.0.1:80", RPC_DROPPED_HEADER},
    {BACK, "", "crrst: 1", RPC_DROPPED_HEADER},
    {BACK, "", "crc32c: 00000000", RPC_DROPPED_HEADER},
    /* int keys without a word for them in HTTP/2 */
    {THERE, "i 0=v", "", RPC_DROPPED_INT},
    {THERE, "i 1=framed", "", NONE},
    {THERE, "i 4=v", "", RPC_DROPPED_INT},
    {THERE, "i 5=v", "", RPC_DROPPED_INT},
    {THERE, "i 7=v", "", RPC_DROPPED_INT},
    {THERE, "i 8=v", "", RPC_DROPPED_INT},
    {THERE, "i 9=Say", "", NONE},
    {THERE, "i 10=v", "", RPC_DROPPED_INT},
    {THERE, "i 11=v", "", RPC_DROPPED_INT},
    {THERE, "i 13=v", "", RPC_DROPPED_INT},
    {THERE, "i 14=v", "", RPC_DROPPED_INT},
    {THERE, "i 15=v", "", RPC_DROPPED_INT},
    {THERE, "i 16=3", "", RPC_DROPPED_INT},
    {THERE, "i 17=v", "", RPC_DROPPED_INT},
    {THERE, "i 18=v", "", RPC_DROPPED_INT},
    {THERE, "i 19=v", "", RPC_DROPPED_INT},
    {THERE, "i 21=v", "", RPC_DROPPED_INT},
    {THERE, "i 22=1", "", NONE},
    {THERE, "i 23=v", "", RPC_DROPPED_INT},
    {THERE, "i 24=v", "", RPC_DROPPED_INT},
    {THERE, "i 25=v", "", RPC_DROPPED_INT},
    {THERE, "i 26=v", "", RPC_DROPPED_INT},
    {THERE, "i 27=2", "", NONE},
    {THERE, "i 999=v", "", RPC_DROPPED_INT},
};

static const struct row reply_rows[] = {
    {BOTH, "s ECHOED=yes", "rpc-backward-echoed: yes", RPC_DROPPED_HEADER},
    {THERE, "s log_id=x", "rpc-backward-log-id: x", RPC_DROPPED_HEADER},
    {THERE, "s RPC_BACKWARD_ECHOED=yes", "rpc-backward-echoed: yes", RPC_DROPPED_HEADER},
    {BOTH, "s X_BIN=hi", "rpc-backward-x-bin: aGk", RPC_DROPPED_HEADER},
    {THERE, "s a/b=x", "", RPC_DROPPED_HEADER},
    {THERE, "s crrst=1", "", NONE},
    {THERE, "s rip=10.0.0.1:80", "", RPC_DROPPED_HEADER},
    {THERE, "s isn=Echo", "", RPC_DROPPED_HEADER},
    {THERE, "s RPC_PERSIST_K=v", "", RPC_DROPPED_PERSISTENT},
    {THERE, "s RPC_TRANSIT_K=v", "", RPC_DROPPED_TRANSIENT},
    {THERE, "a tok", "", RPC_DROPPED_ACL},
    {THERE, "i 22=2", "", NONE},
    {THERE, "i 25=v", "", RPC_DROPPED_INT},
    {BACK, "", "x-served-by: a", RPC_DROPPED_HEADER},
    {BACK, "", "set-cookie: a", RPC_DROPPED_HEADER},
    {BACK, "", "rpc-persist-k: v", RPC_DROPPED_PERSISTENT},
    {BACK, "", "rpc-transit-k: v", RPC_DROPPED_TRANSIENT},
    {BACK, "", "rpc-backward-rpc-persist-k: v", RPC_DROPPED_HEADER},
    {BACK, "", "rpc-backward-: v", RPC_DROPPED_HEADER},
    {BACK, "", "grpc-encoding: identity", NONE},
    {BACK, "", "grpc-status-details-bin: AA", RPC_DROPPED_HEADER},
};

/* ---- messages ---- */

/* Where a message comes from, and where it goes. */
enum form { FRAMED_TTHEADER, BARE_TTHEADER, FRAMED_MESH, BARE_MESH, GRPC, FRAMED, BUFFERED, FORMS };

static const struct rpc_form forms[FORMS] = {
    [FRAMED_TTHEADER] = {RPC_TTHEADER, RPC_THRIFT, true},
    [BARE_TTHEADER] = {RPC_TTHEADER, RPC_THRIFT, false},
    [FRAMED_MESH] = {RPC_MESH, RPC_THRIFT, true},
    [BARE_MESH] = {RPC_MESH, RPC_THRIFT, false},
    [GRPC] = {RPC_HTTP2, RPC_THRIFT, false},
    [FRAMED] = {RPC_PLAIN, RPC_THRIFT, true},
    [BUFFERED] = {RPC_PLAIN, RPC_THRIFT, false},
};

static const char *const form_names[FORMS] = {
    "ttheader framed", "ttheader bare", "mesh framed", "mesh bare", "grpc", "framed", "buffered"};

static const uint8_t args[] = {0x0b, 0, 1, 0, 0, 0, 2, 'h', 'i', 0};

static struct arena arena;
static struct written out;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
	out = (struct written){0};
}

static void end(void)
{
	written_fini(&out);
	arena_fini(&arena);
}

static bool is_ttheader(enum form form)
{
	return form == FRAMED_TTHEADER || form == BARE_TTHEADER;
}

static bool is_mesh(enum form form)
{
	return form == FRAMED_MESH || form == BARE_MESH;
}

/* A message, and what its views lie in. */
struct made {
	struct reading reading;
	struct block block;
	struct rpc_message message;
	bool is_block;
};

/* A mesh header has one kind of entries, and says so in another way. */
static void make_frame(struct made *made, enum form form, const char *entry, bool is_reply)
{
	struct frame f = {.form = forms[form],
	    .type = is_reply ? 2 : 1,
	    .method = "Say",
	    .seq = 7,
	    .transport_seq = 7,
	    .body = slice_of(args, sizeof args)};
	char *text = mem_strdup(*entry == '\0' && is_mesh(form) ? "m" : entry);
	struct slice whole;

	if (is_mesh(form))
		text[0] = 'm';
	if (is_mesh(form) || is_ttheader(form))
		f.sections = frame_sections(text);
	whole = frame_make(&f);
	reading_open(&made->reading, is_reply ? CODEC_UPSTREAM : CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&made->reading, whole);
	ck_assert_msg(made->reading.n == 1 && made->reading.list[0].is_whole, "%s in %s", entry,
	    form_names[form]);
	made->message = made->reading.list[0].message;
	frame_free(&whole);
	frame_free(&f.sections);
	free(text);
}

static void make_block(struct made *made, const char *field, bool is_reply)
{
	char lines[512];

	snprintf(lines, sizeof lines, "%s\n%s%s",
	    is_reply ? ":status: 200" : ":path: /shop.Echo/Say", field, *field ? "\n" : "");
	block_make(&made->block, is_reply ? RPC_REPLY : RPC_CALL, lines);
	made->is_block = true;
	made->message = made->block.message;
	made->message.method = SLICE_LIT("Say");
	made->message.seq = made->message.transport_seq = 7;
	made->message.body = slice_of(args, sizeof args);
	made->message.body_len = sizeof args;
	made->message.complete = true;
}

static void make(struct made *made, enum form form, const struct row *row, bool is_reply)
{
	*made = (struct made){.is_block = form == GRPC};
	if (form == GRPC)
		make_block(made, row ? row->field : "", is_reply);
	else
		make_frame(made, form, row ? row->entry : "", is_reply);
}

static void unmake(struct made *made)
{
	if (made->is_block)
		block_free(&made->block);
	else
		reading_close(&made->reading);
}

/* ---- what is written of them ---- */

#define LINES_MAX 32

struct lines {
	char text[LINES_MAX][256];
	unsigned n;
};

static void add_line(
    struct lines *l, const char *before, struct slice name, const char *between, struct slice value)
{
	ck_assert_uint_lt(l->n, LINES_MAX);
	snprintf(l->text[l->n++], sizeof l->text[0], "%s%.*s%s%.*s", before, (int)name.len,
	    (const char *)name.data, between, (int)value.len, (const char *)value.data);
}

static void list_fields(struct lines *l, const struct field_list *fields)
{
	for (unsigned i = 0; i < fields->n; i++)
		add_line(l, "", fields->items[i].name, ": ", fields->items[i].value);
}

static void list_entry(struct lines *l, const struct ttheader_entry *e)
{
	char number[8];

	snprintf(number, sizeof number, "%u", e->int_key);
	if (e->kind == TTHEADER_INT)
		add_line(l, "i ", slice_str(number), "=", e->value);
	else if (e->kind == TTHEADER_ACL)
		add_line(l, "a ", e->value, "", SLICE_NONE);
	else
		add_line(l, "s ", e->key, "=", e->value);
}

static void list_message(struct lines *l, struct slice bytes, enum form form, bool is_reply)
{
	struct reading r;
	struct ttheader_iter it;
	struct ttheader_entry e;

	reading_open(&r, is_reply ? CODEC_UPSTREAM : CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&r, bytes);
	ck_assert(r.n == 1 && r.list[0].is_whole && !r.list[0].is_refused);
	ck_assert(rpc_form_eq(r.list[0].message.form, forms[form]));
	ck_assert(slice_eq(r.list[0].message.body, slice_of(args, sizeof args)));
	it = is_mesh(form) ? ttheader_entries_mesh(r.list[0].message.sections)
			   : ttheader_entries(r.list[0].message.sections);
	while (ttheader_next(&it, &e))
		list_entry(l, &e);
	reading_close(&r);
}

static void list_block(
    struct lines *l, const struct rpc_message *m, struct rpc_edit *edit, bool is_reply)
{
	struct field_list head = {.arena = &arena}, trailers = {.arena = &arena};

	if (!is_reply)
		ck_assert(h2_call_fields(m, edit, &head));
	else if (m->form.transport == RPC_HTTP2)
		h2_reply_fields(m, &head);
	else
		h2_unary_reply_fields(m, edit, &head, &trailers);
	list_fields(l, &head);
	list_fields(l, &trailers);
}

/* What goes out, and what is counted. */
static void pass_on(struct lines *l, const struct rpc_message *m, enum form to, bool is_reply,
    struct rpc_edit *edit)
{
	*edit = (struct rpc_edit){
	    .form = forms[to], .strip_crrst = true, .idl_service = SLICE_LIT("Echo")};
	l->n = 0;
	if (to == GRPC) {
		list_block(l, m, edit, is_reply);
		return;
	}
	ck_assert(written_message(&out, m, edit, is_reply ? CODEC_DOWNSTREAM : CODEC_UPSTREAM));
	list_message(l, written_slice(&out), to, is_reply);
}

/* ---- what is expected ---- */

struct expected {
	const char *more; /* lines that are there with the fact and not without it */
	int lost;
};

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Within the family of TTHeader a header stays as it came, but for what belongs to the connection,
 * or covers bytes that change. */
static struct expected expect_kept(const struct row *row, enum form from, enum form to)
{
	bool is_reframed = forms[from].framed != forms[to].framed;

	if (starts(row->entry, "s crrst"))
		return (struct expected){"", NONE};
	if (is_reframed && starts(row->entry, "s PV_"))
		return (struct expected){"", RPC_DROPPED_CHECKSUM};
	if (is_reframed && starts(row->entry, "i 1="))
		return (struct expected){forms[to].framed ? "i 1=framed" : "i 1=unframed", NONE};
	return (struct expected){row->entry, NONE};
}

static struct expected expect(const struct row *row, enum form from, enum form to)
{
	bool is_from_header = is_ttheader(from) || is_mesh(from);

	if (to == FRAMED || to == BUFFERED)
		return (struct expected){"", row->lost};
	if (from == GRPC && to == GRPC)
		return (struct expected){row->field, NONE};
	if (is_from_header && to != GRPC)
		return expect_kept(row, from, to);
	if (from == GRPC)
		return (struct expected){row->entry, *row->entry ? NONE : row->lost};
	return (struct expected){row->field, *row->field ? NONE : row->lost};
}

static bool has_line(const struct lines *l, const char *line, size_t len)
{
	for (unsigned i = 0; i < l->n; i++)
		if (strlen(l->text[i]) == len && memcmp(l->text[i], line, len) == 0)
			return true;
	return false;
}

/* Every line of @expected is there; returns how many they are. */
static unsigned check_lines(const struct lines *l, const char *expected, const char *what)
{
	unsigned n = 0;

	while (*expected) {
		size_t len = strcspn(expected, "|");

		ck_assert_msg(has_line(l, expected, len), "%s: no %s", what, expected);
		expected += len + (expected[len] == '|');
		n++;
	}
	return n;
}

static unsigned count_news(const struct lines *with, const struct lines *without, char *shown)
{
	unsigned n = 0;

	for (unsigned i = 0; i < with->n; i++)
		if (!has_line(without, with->text[i], strlen(with->text[i]))) {
			n++;
			strcat(strcat(shown, with->text[i]), "; ");
		}
	return n;
}

static void check_counted(const struct rpc_edit *edit, int lost, const char *what)
{
	for (int i = 0; i < RPC_DROPPED_CLASSES; i++)
		ck_assert_msg(edit->dropped[i] == (i == lost), "%s: class %d counts %u", what, i,
		    edit->dropped[i]);
}

static void check_pair(const struct row *row, enum form from, enum form to, bool is_reply)
{
	struct made with, without;
	struct lines more, base;
	struct rpc_edit edit, base_edit;
	struct expected expected = expect(row, from, to);
	char what[256], shown[2048] = "";

	snprintf(what, sizeof what, "%s, from %s to %s", from == GRPC ? row->field : row->entry,
	    form_names[from], form_names[to]);
	make(&with, from, row, is_reply);
	make(&without, from, NULL, is_reply);
	pass_on(&base, &without.message, to, is_reply, &base_edit);
	check_counted(&base_edit, NONE, what);
	pass_on(&more, &with.message, to, is_reply, &edit);
	check_counted(&edit, expected.lost, what);
	if (check_lines(&more, expected.more, what) != count_news(&more, &base, shown) &&
	    !has_line(&base, expected.more, strlen(expected.more)))
		ck_abort_msg("%s: \"%s\" in place of \"%s\"", what, shown, expected.more);
	unmake(&with);
	unmake(&without);
}

/* Mesh headers know one kind of entries, come with calls alone, and are made of nothing else. */
static bool is_possible(const struct row *row, enum form from, enum form to, bool is_reply)
{
	bool is_reframed = forms[from].framed != forms[to].framed;

	if (from == GRPC ? row->way == THERE : row->way == BACK)
		return false;
	if (is_mesh(from) && (is_reply || row->entry[0] != 's'))
		return false;
	if (is_mesh(to) && !is_mesh(from))
		return false;
	/* What it covers is summed up anew: another test knows how. */
	return !(starts(row->entry, "s crc32c") && is_reframed && to != GRPC);
}

static void check_row(const struct row *row, bool is_reply)
{
	for (int from = 0; from < FRAMED; from++)
		for (int to = 0; to < FORMS; to++)
			if (is_possible(row, (enum form)from, (enum form)to, is_reply))
				check_pair(row, (enum form)from, (enum form)to, is_reply);
}

START_TEST(calls_say_the_same_in_every_form_that_has_a_word_for_it)
{
	for (size_t i = 0; i < ARRAY_LEN(call_rows); i++)
		check_row(&call_rows[i], false);
}
END_TEST

START_TEST(replies_say_the_same_in_every_form_that_has_a_word_for_it)
{
	for (size_t i = 0; i < ARRAY_LEN(reply_rows); i++)
		check_row(&reply_rows[i], true);
}
END_TEST

/* All of wire's list are in the table. */
START_TEST(every_int_key_has_a_row)
{
	char entry[16];

	for (int number = 0; number <= TTKEY_FRAME_TYPE; number++) {
		bool has_row = false;

		snprintf(entry, sizeof entry, "i %d=", number);
		for (size_t i = 0; i < ARRAY_LEN(call_rows); i++)
			has_row |= starts(call_rows[i].entry, entry);
		ck_assert_msg(has_row, "%d", number);
	}
}
END_TEST

/* Messages without a header bring nothing along, whatever they become. */
START_TEST(what_has_no_header_says_nothing)
{
	static const char *const own[] = {
	    "i 1=", "i 9=", "i 22=", "s isn=Echo", ":", "content-type: ", "te: ", "grpc-status: "};

	for (int from = FRAMED; from <= BUFFERED; from++) {
		for (int to = 0; to < 2 * FORMS; to++) {
			bool is_reply = to >= FORMS;
			struct made made;
			struct lines lines;
			struct rpc_edit edit;

			if (is_mesh((enum form)(to % FORMS)))
				continue;
			make(&made, (enum form)from, NULL, is_reply);
			pass_on(&lines, &made.message, (enum form)(to % FORMS), is_reply, &edit);
			check_counted(&edit, NONE, form_names[from]);
			for (unsigned i = 0; i < lines.n; i++) {
				bool is_own = false;

				for (size_t k = 0; k < ARRAY_LEN(own); k++)
					is_own |= starts(lines.text[i], own[k]);
				ck_assert_msg(is_own, "%s", lines.text[i]);
			}
			unmake(&made);
		}
	}
}
END_TEST

/* ---- replies show an application nothing that its callee did not say ---- */

static struct rng rng;

static void draw_entry(char *to, size_t size)
{
	static const char *const keys[] = {"ECHOED", "log_id", "RPC_BACKWARD_K", "crrst", "rip",
	    "isn", "biz-status", "biz-message", "RPC_PERSIST_K", "RPC_TRANSIT_b3", "x-tag",
	    "rpc-backward-k", "crc32c", "PV_a", "K-BIN"};

	snprintf(to, size, "%s%s=%c", to[0] ? " " : "s ", keys[rng_below(&rng, ARRAY_LEN(keys))],
	    (int)('1' + rng_below(&rng, 3)));
}

static void draw_reply(struct row *row, char entry[512], char field[512])
{
	static const char *const names[] = {"rpc-backward-echoed", "rpc-backward-log-id",
	    "x-served-by", "rpc-persist-k", "rpc-backward-pv-a", "rpc-backward-rpc-transit-k",
	    "biz-status", "biz-extra", "set-cookie", "crrst", "b3", "rpc-backward-k-bin"};
	unsigned n = (unsigned)rng_below(&rng, 8);

	entry[0] = field[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		size_t len = strlen(field);

		draw_entry(entry + strlen(entry), 512 - strlen(entry));
		snprintf(field + len, 512 - len, "%s%s: AA%u", len ? "\n" : "",
		    names[rng_below(&rng, ARRAY_LEN(names))], i);
	}
	*row = (struct row){BOTH, entry, field, NONE};
}

/* Would a caller that was told of it before be told of it now? */
static bool was_said(const struct rpc_message *before, struct slice key)
{
	struct ttheader_iter it = ttheader_entries(before->sections);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e))
		if (e.kind == TTHEADER_STR && slice_eq(e.key, key))
			return true;
	for (unsigned i = 0; i < before->n_fields; i++) {
		struct slice name = before->fields[i].name;

		if (metadata_of_field(name) == METADATA_BACKWARD &&
		    metadata_name_eq(metadata_bare(name, METADATA_BACKWARD),
			metadata_bare(key, METADATA_BACKWARD)))
			return true;
	}
	return false;
}

static void check_told(const struct rpc_message *before, struct slice bytes, bool add_crrst)
{
	struct reading r;
	struct ttheader_iter it;
	struct ttheader_entry e;

	reading_open(&r, CODEC_UPSTREAM, &reading_limits);
	reading_feed(&r, bytes);
	ck_assert(r.n == 1 && r.list[0].is_whole);
	it = ttheader_entries(r.list[0].message.sections);
	while (ttheader_next(&it, &e)) {
		if (e.kind != TTHEADER_STR || slice_starts(e.key, SLICE_LIT("biz-")))
			continue;
		if (slice_eq(e.key, SLICE_LIT("crrst")))
			ck_assert(add_crrst);
		else
			ck_assert_msg(was_said(before, e.key), "%.*s", (int)e.key.len,
			    (const char *)e.key.data);
	}
	reading_close(&r);
}

START_TEST(no_edit_of_a_reply_adds_a_key_but_crrst)
{
	char entry[512], field[512];

	rng_init(&rng, (uint64_t)_i);
	for (int round = 0; round < 2000; round++) {
		enum form from = (enum form)rng_below(&rng, FORMS);
		struct rpc_edit edit = {.form = forms[rng_below(&rng, 2)],
		    .renumber = rng_below(&rng, 2),
		    .seq = (int32_t)rng_below(&rng, 9),
		    .out_of_order = rng_below(&rng, 2),
		    .strip_crrst = true,
		    .add_crrst = rng_below(&rng, 2),
		    .add_prefix = rng_below(&rng, 2)};
		struct row row;
		struct made made;

		if (is_mesh(from))
			continue;
		draw_reply(&row, entry, field);
		make(&made, from, &row, true);
		ck_assert(written_message(&out, &made.message, &edit, CODEC_DOWNSTREAM));
		check_told(&made.message, written_slice(&out), edit.add_crrst);
		unmake(&made);
	}
}
END_TEST

/* ---- of a repeated name the last value counts in a TTHeader, in gRPC the first ---- */

#define REPEATS 12

/* The value that a reader of either side goes by, in what was written; the names have one spelling
 * there. */
static const char *value_of(const struct lines *l, const char *name, bool is_last)
{
	const char *found = NULL;
	size_t len = strlen(name);

	for (unsigned i = 0; i < l->n; i++)
		if (strncmp(l->text[i], name, len) == 0 && (is_last || found == NULL))
			found = l->text[i] + len;
	return found;
}

START_TEST(the_value_that_counts_is_the_one_that_counts_there)
{
	static const char *const keys[] = {
	    "RPC_PERSIST_A", "RPC_PERSIST_B", "RPC_TRANSIT_A", "x-tag"};
	static const char *const fields[] = {
	    "rpc-persist-a", "rpc-persist-b", "rpc-transit-a", "x-tag"};

	rng_init(&rng, (uint64_t)_i);
	for (int round = 0; round < 200; round++) {
		char entry[512] = "s", field[512] = "";
		char last[ARRAY_LEN(keys)] = "", first[ARRAY_LEN(keys)] = "";
		struct row row = {BOTH, entry, field, NONE};

		for (unsigned i = 0; i < 1 + rng_below(&rng, REPEATS); i++) {
			unsigned k = (unsigned)rng_below(&rng, ARRAY_LEN(keys));
			char value = (char)('a' + i);
			size_t at = strlen(entry), field_at = strlen(field);

			snprintf(entry + at, sizeof entry - at, " %s=%c", keys[k], value);
			snprintf(field + field_at, sizeof field - field_at, "%s%s: %c",
			    field_at ? "\n" : "", fields[k], value);
			last[k] = value;
			first[k] = first[k] ? first[k] : value;
		}
		for (int from = FRAMED_TTHEADER; from <= GRPC; from++) {
			bool to_grpc = from != GRPC;
			struct made made;
			struct lines lines;
			struct rpc_edit edit;

			make(&made, (enum form)from, &row, false);
			pass_on(
			    &lines, &made.message, to_grpc ? GRPC : FRAMED_TTHEADER, false, &edit);
			for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
				char name[32];
				const char *value;

				snprintf(name, sizeof name,
				    to_grpc ? "%s: " : "s %s=", to_grpc ? fields[k] : keys[k]);
				value = value_of(&lines, name, !to_grpc);
				ck_assert(!!value == !!last[k]);
				ck_assert(!value || *value == (to_grpc ? last[k] : first[k]));
			}
			unmake(&made);
		}
	}
}
END_TEST

/* ---- single matters ---- */

static void check_prefix(const char *field, bool add_prefix, const char *entry)
{
	struct rpc_edit edit = {.form = forms[BARE_TTHEADER], .add_prefix = add_prefix};
	struct row row = {BACK, "", field, NONE};
	struct made made;
	struct lines lines = {.n = 0};

	make(&made, GRPC, &row, true);
	ck_assert(written_message(&out, &made.message, &edit, CODEC_DOWNSTREAM));
	list_message(&lines, written_slice(&out), BARE_TTHEADER, true);
	ck_assert_msg(has_line(&lines, entry, strlen(entry)), "%s", lines.text[0]);
	check_counted(&edit, NONE, field);
	unmake(&made);
}

START_TEST(clients_of_volo_get_backward_values_with_their_prefix)
{
	check_prefix("rpc-backward-log-id: x", false, "s LOG_ID=x");
	check_prefix("rpc-backward-log-id: x", true, "s RPC_BACKWARD_LOG_ID=x");
	/* The prefix keeps it from being taken for anything else. */
	check_prefix("rpc-backward-rpc-persist-k: x", true, "s RPC_BACKWARD_RPC_PERSIST_K=x");
}
END_TEST

START_TEST(clients_of_volo_are_known_by_an_int_key)
{
	static const struct row rows[] = {
	    {THERE, "i 16=3", "", NONE}, {THERE, "i 16=1", "", NONE}, {THERE, "i 2=3", "", NONE}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct made made;

		make(&made, FRAMED_TTHEADER, &rows[i], false);
		ck_assert(!!(made.message.marks & RPC_WANTS_PREFIX) == (i == 0));
		unmake(&made);
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {calls_say_the_same_in_every_form_that_has_a_word_for_it, 1},
	    {replies_say_the_same_in_every_form_that_has_a_word_for_it, 1},
	    {every_int_key_has_a_row, 1},
	    {what_has_no_header_says_nothing, 1},
	    {no_edit_of_a_reply_adds_a_key_but_crrst, 3},
	    {the_value_that_counts_is_the_one_that_counts_there, 3},
	    {clients_of_volo_get_backward_values_with_their_prefix, 1},
	    {clients_of_volo_are_known_by_an_int_key, 1},
	};

	return suite_run_between("metadata_forms", tests, ARRAY_LEN(tests), begin, end);
}
