/*
 * What a caller may not say, and what is known in its place: in TTHeaders, mesh headers, fields,
 * and what was lifted out of a body; by tables, and by chance against a plain model. The facts of a
 * message are those that its header says afterwards.
 */
#include "rpc/attest.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "support/block.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/suite.h"
#include "wire/ttheader.h"

#define ROUNDS  3000u
#define ENTRIES 40u

static const struct rpc_form tth = {RPC_TTHEADER, RPC_THRIFT, true};
static const struct rpc_form bare = {RPC_TTHEADER, RPC_THRIFT, false};
static const struct rpc_form mesh = {RPC_MESH, RPC_THRIFT, true};
static const struct rpc_form plain = {RPC_PLAIN, RPC_THRIFT, true};

static struct arena arena;
static unsigned dropped[RPC_DROPPED_CLASSES];

static void begin(void)
{
	arena_init(&arena, NULL, 0);
	memset(dropped, 0, sizeof dropped);
}

static void end(void)
{
	arena_fini(&arena);
}

/* "me m 1.2.3.4": the caller, its method, its address; "-" for what is not known. */
static struct rpc_attestation known_as(const char *text)
{
	static char words[3][32];
	struct rpc_attestation as = {.is_identity = true};

	ck_assert_int_eq(sscanf(text, "%31s %31s %31s", words[0], words[1], words[2]), 3);
	as.caller = *words[0] == '-' ? SLICE_NONE : slice_str(words[0]);
	as.caller_method = *words[1] == '-' ? SLICE_NONE : slice_str(words[1]);
	as.address = *words[2] == '-' ? SLICE_NONE : slice_str(words[2]);
	return as;
}

static struct slice call_of(struct rpc_form form, struct slice sections)
{
	struct slice body = frame_body(20), whole;
	struct frame call = {.form = form,
	    .type = 1,
	    .method = "Echo",
	    .seq = 7,
	    .transport_seq = 7,
	    .sections = sections,
	    .body = body};

	whole = frame_make(&call);
	frame_free(&body);
	return whole;
}

/* Reads a call and makes its head its own; the bytes it came in are gone then. */
static struct rpc_message take(struct slice *in)
{
	struct codec *codec =
	    codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, NULL, NULL);
	struct codec_item item;
	struct slice left = *in;
	struct rpc_message m;

	ck_assert_int_eq(codec_next(codec, &left, &item), CODEC_MESSAGE);
	m = item.message;
	rpc_message_keep_head(&m, &arena);
	m.body = arena_copy(&arena, m.body);
	codec_close(&codec);
	frame_free(in);
	return m;
}

/* The message says what one with this header would: the same bytes, the same facts. */
static void must_be(const struct rpc_message *m, struct slice after, const char *what)
{
	struct slice expected = call_of(m->form, after), copy = call_of(m->form, after);
	struct rpc_message e = take(&copy);

	ck_assert_msg(slice_eq(m->head, slice_first(expected, m->head.len)) &&
			  m->head.len + m->body.len == expected.len,
	    "%s: other bytes", what);
	ck_assert_uint_eq(m->payload_at, e.payload_at);
	ck_assert_uint_eq(m->message_at, e.message_at);
	ck_assert(slice_eq(m->sections, e.sections) && slice_eq(m->method, e.method));
	ck_assert_msg(slice_eq(m->caller, e.caller), "%s: the caller is another", what);
	ck_assert(slice_eq(m->caller_method, e.caller_method) && slice_eq(m->log_id, e.log_id));
	ck_assert(slice_eq(m->trace_id, e.trace_id) && slice_eq(m->idl_service, e.idl_service));
	ck_assert(m->timeout == e.timeout && m->marks == e.marks);
	frame_free(&expected);
}

struct row {
	const char *known, *before, *after;
};

static void check_row(struct rpc_form form, const struct rpc_attestation *as, const struct row *row)
{
	struct slice before = frame_sections(row->before), after = frame_sections(row->after);
	bool stays = strcmp(row->before, row->after) == 0;
	struct slice in = call_of(form, before);
	struct rpc_message m = take(&in);

	ck_assert_msg(rpc_is_attested(&m, as) == stays, "%s", row->before);
	ck_assert(rpc_attest(&m, as, &arena, dropped));
	must_be(&m, after, row->before);
	ck_assert(rpc_is_attested(&m, as));
	frame_free(&before);
	frame_free(&after);
}

/* ---- TTHeaders ---- */

static const struct row headers[] = {
    /* In its place; else behind the others of its kind; else in a section of its own. */
    {"me - -", "i 2=L 3=you 9=M;s a=b", "i 2=L 3=me 9=M;s a=b"},
    {"me - -", "s a=b;i 2=L;i 9=M", "s a=b;i 2=L 3=me;i 9=M"},
    {"me - -", "s a=b", "s a=b;i 3=me"},
    {"me - -", "", "i 3=me"},
    {"me - -", "a t;s a=b", "s a=b;i 3=me"},
    {"me - -", "i 2=L;i 9=M 3=you;s a=b", "i 2=L;i 9=M 3=me;s a=b"},
    {"me m -", "s a=b;i 9=M", "s a=b;i 9=M 3=me 20=m"},
    /* What is said already stays, once. */
    {"me - -", "i 2=L 3=me 9=M;s a=b", "i 2=L 3=me 9=M;s a=b"},
    {"me - -", "i 3=me 3=you;s a=b;i 3=me 9=M", "i 3=me;s a=b;i 9=M"},
    {"me - -", "i 3=you 3=me;s a=b", "i 3=me;s a=b"},
    {"me m 1.2.3.4", "i 3=me 20=m;s rip=1.2.3.4", "i 3=me 20=m;s rip=1.2.3.4"},
    /* Nobody is known. */
    {"- - -", "i 2=L 3=you 20=m;s a=b rip=1", "i 2=L;s a=b"},
    {"- - -", "i 3=;s a=b", "s a=b"},
    {"- - -", "i 2=L;s a=b", "i 2=L;s a=b"},
    {"- - -", "i 3=you;s rip=1;a t", ""},
    {"me - -", "i 20=m", "i 3=me"},
    /* An address only where one was stated. */
    {"- - 1.2.3.4", "s a=b", "s a=b"},
    {"- - 1.2.3.4", "s a=b rip=5.6.7.8 c=d", "s a=b rip=1.2.3.4 c=d"},
    {"- - 1.2.3.4", "s rip=1 a=b;i 2=L;s rip=2", "s rip=1.2.3.4 a=b;i 2=L"},
    {"- - 1.2.3.4", "s RIP=1.2.3.4 a=b Rip=2", "s a=b"},
    /* The token, by whatever name a reader may find it. */
    {"- - -", "a t;s a=b;a u", "s a=b"},
    {"- - -", "s RPC_TRANSIT_gdpr-token=t a=b RPC_PERSIST_gdpr-token=t", "s a=b"},
    {"- - -", "s RPC_TRANSIT_GDPR_TOKEN=t RPC_TRANSIT_UPSTREAM_gdpr-token=t a=b", "s a=b"},
    {"- - -", "s rpc-transit-gdpr-token=t Rpc_Transit_Gdpr_Token=t a=b", "s a=b"},
    {"- - -", "s source-service=x Source_Method=y a=b", "s a=b"},
    /* No such things. */
    {"- - -", "s ripp=1 ri=2 gdpr-token=3 RPC_TRANSIT_gdpr-tokens=4 from=5;i 4=x 21=y",
	"s ripp=1 ri=2 gdpr-token=3 RPC_TRANSIT_gdpr-tokens=4 from=5;i 4=x 21=y"},
    {"me - -", "i 2=L 12=300;0;0;s isn=I RPC_TRANSIT_b3=80f198ee56343ba8;i 3=you;0",
	"i 2=L 12=300;0;0;s isn=I RPC_TRANSIT_b3=80f198ee56343ba8;i 3=me"},
};

START_TEST(a_header_says_what_is_known_and_keeps_the_rest)
{
	const struct row *row = &headers[_i / 2];
	struct rpc_attestation as = known_as(row->known);

	check_row(_i % 2 ? bare : tth, &as, row);
}
END_TEST

static const struct rpc_reserved reserved[] = {
    {.kind = RPC_CHANGE_META, .name = SLICE_LIT("user")},
    {.kind = RPC_CHANGE_META, .name = SLICE_LIT("auth-"), .is_prefix = true},
    {.kind = RPC_CHANGE_HEADER, .name = SLICE_LIT("x-in-"), .is_prefix = true},
    {.kind = RPC_CHANGE_HEADER, .name = SLICE_LIT("RPC_TRANSIT_HOP")},
    {.kind = RPC_CHANGE_INT, .number = 4},
};

static const struct row reserved_rows[] = {
    {NULL, "s RPC_PERSIST_USER=1 RPC_TRANSIT_user=2 RPC_TRANSIT_UPSTREAM_User=3 a=b", "s a=b"},
    {NULL, "s RPC_PERSIST_AUTH_LEVEL=1 RPC_TRANSIT_auth-=2 RPC_PERSIST_auth=3",
	"s RPC_PERSIST_auth=3"},
    {NULL, "s x-in-a=1 X_In_B=2 x-in=3 RPC_TRANSIT_hop=4 RPC_PERSIST_HOP=5",
	"s x-in=3 RPC_PERSIST_HOP=5"},
    {NULL, "i 3=you 4=c 5=d 4=e;a t;s rip=1 user=2", "i 3=you 5=d;a t;s rip=1 user=2"},
    {NULL, "i 3=you 3=me 20=m;a t;s RPC_PERSIST_users=1",
	"i 3=you 3=me 20=m;a t;s RPC_PERSIST_users=1"},
};

START_TEST(reserved_names_are_taken_out_of_a_header)
{
	const struct rpc_attestation as = {.reserved = reserved, .n_reserved = ARRAY_LEN(reserved)};

	check_row(tth, &as, &reserved_rows[_i]);
}
END_TEST

START_TEST(what_was_taken_out_is_counted_by_class)
{
	const struct row row = {NULL,
	    "i 3=a 3=b 20=c 4=d;s rip=1 source-service=x RPC_PERSIST_user=1 RPC_TRANSIT_user=1 "
	    "x-in-a=1 RPC_TRANSIT_gdpr-token=t;a t",
	    "i 3=me"};
	struct rpc_attestation as = known_as("me - -");

	as.reserved = reserved;
	as.n_reserved = ARRAY_LEN(reserved);
	check_row(tth, &as, &row);
	ck_assert_uint_eq(dropped[RPC_DROPPED_IDENTITY], 5);
	ck_assert_uint_eq(dropped[RPC_DROPPED_ACL], 2);
	ck_assert_uint_eq(dropped[RPC_DROPPED_PERSISTENT], 1);
	ck_assert_uint_eq(dropped[RPC_DROPPED_TRANSIENT], 1);
	ck_assert_uint_eq(dropped[RPC_DROPPED_HEADER], 1);
	ck_assert_uint_eq(dropped[RPC_DROPPED_INT], 1);
}
END_TEST

START_TEST(a_reserved_prefix_of_nothing_is_all_metadata_and_no_place_of_its_own)
{
	static const struct rpc_reserved all[] = {{.kind = RPC_CHANGE_META, .is_prefix = true},
	    {.kind = RPC_CHANGE_HEADER, .is_prefix = true}};
	const struct rpc_attestation as = {.reserved = all, .n_reserved = 2};
	const struct row row = {NULL,
	    "s isn=I rip=1 crrst=1 RPC_PERSIST_a=1 RPC_TRANSIT_b=1 x=1 biz-status=2;i 3=you;a t",
	    "s isn=I rip=1 crrst=1 biz-status=2;i 3=you"};

	check_row(tth, &as, &row);
}
END_TEST

/* The entries of a header that may have no more: int 1=x, a=, ..., and one whose bytes would say
 * int 3=admin where a section is looked for. */
static struct slice full_sections(void)
{
	static const uint8_t first[] = {TTHEADER_INT, 0, 1, 0, 1, 0, 1, 'x', TTHEADER_STR};
	static const uint8_t last[] = {
	    0, TTHEADER_INT, 0, 1, 0, 3, 0, 5, 'a', 'd', 'm', 'i', 'n', 0, 0, 0, 0, 0, 0, 0};
	static const uint8_t filling[] = {0, 1, 'a', 0, 0};
	size_t size = sizeof first + 2 + TTHEADER_ENTRIES_MAX * sizeof filling + sizeof last;
	struct writer w = writer_of(arena_calloc(&arena, 1, size), size);

	write_bytes(&w, slice_of(first, sizeof first));
	write_u16(&w, TTHEADER_ENTRIES_MAX - 1);
	for (unsigned i = 0; i < TTHEADER_ENTRIES_MAX - 2; i++)
		write_bytes(&w, slice_of(filling, sizeof filling));
	write_bytes(&w, slice_of(last, sizeof last));
	while (writer_len(&w) % 4 != 2)
		write_u8(&w, TTHEADER_PADDING);
	return writer_slice(&w);
}

START_TEST(a_header_full_of_entries_has_no_room_for_who_calls)
{
	struct rpc_attestation as = known_as("me - -");
	struct slice in = call_of(tth, full_sections()), whole = arena_copy(&arena, in);
	struct rpc_message m = take(&in);

	ck_assert(!rpc_attest(&m, &as, &arena, dropped));
	ck_assert(slice_eq(m.head, slice_first(whole, m.head.len)));
	ck_assert_uint_eq(dropped[RPC_DROPPED_IDENTITY], 0);
}
END_TEST

/* A header that is full has no room for who calls, and stays as it was. */
START_TEST(a_header_past_its_formats_limit_stays_as_it_was)
{
	size_t len = TTHEADER_HEADER_MAX - 2;
	uint8_t *bytes = mem_calloc(1, len);
	struct rpc_attestation as = known_as("me - -");
	size_t at = 3, left = len - 3;
	struct slice in, whole;
	struct rpc_message m;

	bytes[0] = TTHEADER_STR;
	bytes[2] = 5;
	for (int i = 0; i < 5; i++) {
		size_t value = i < 4 ? 60000 : left - 5;

		bytes[at + 1] = 1;
		bytes[at + 2] = 'k';
		store_u16(bytes + at + 3, (uint16_t)value);
		at += 5 + value;
		left -= 5 + value;
	}
	ck_assert_uint_eq(at, len);
	in = call_of(tth, slice_of(bytes, len));
	whole = arena_copy(&arena, in);
	m = take(&in);
	ck_assert(!rpc_is_attested(&m, &as));
	ck_assert(!rpc_attest(&m, &as, &arena, dropped));
	ck_assert(slice_eq(m.head, slice_first(whole, m.head.len)));
	ck_assert_uint_eq(dropped[RPC_DROPPED_IDENTITY], 0);
	free(bytes);
}
END_TEST

/* All views lie in the head, or go with it into another arena. */
START_TEST(a_copy_of_the_message_needs_nothing_of_the_first)
{
	static const char *const befores[] = {"i 3=you 2=L;s isn=I a=b", "m isn=I rip=1 a=b"};
	struct slice sections = frame_sections(befores[_i]);
	struct slice in = call_of(_i ? mesh : tth, sections);
	struct rpc_attestation as = known_as("me m -");
	struct rpc_message m = take(&in);
	struct arena other;

	ck_assert(rpc_attest(&m, &as, &arena, dropped));
	arena_init(&other, NULL, 0);
	rpc_message_keep_head(&m, &other);
	arena_fini(&arena);
	arena_init(&arena, NULL, 0);
	ck_assert(slice_eq_str(m.caller, "me") && slice_eq_str(m.caller_method, "m"));
	ck_assert(slice_eq_str(m.idl_service, "I") && slice_eq_str(m.method, "Echo"));
	ck_assert(m.sections.data > m.head.data && m.sections.data < m.head.data + m.head.len);
	arena_fini(&other);
	frame_free(&sections);
}
END_TEST

/* ---- other forms ---- */

static const struct row mesh_rows[] = {
    {"me - -", "m a=b rip=1 RPC_TRANSIT_gdpr-token=t c=d", "m a=b c=d"},
    {"me - 1.2.3.4", "m rip=1 a=b rip=2", "m rip=1.2.3.4 a=b"},
    {"- - 1.2.3.4", "m a=b rip=1.2.3.4", "m a=b rip=1.2.3.4"},
    {"- - -", "m isn=I RPC_PERSIST_a=b", "m isn=I RPC_PERSIST_a=b"},
};

START_TEST(a_mesh_header_says_what_it_has_room_for)
{
	const struct row *row = &mesh_rows[_i];
	struct rpc_attestation as = known_as(row->known);
	struct slice before = frame_sections(row->before), after = frame_sections(row->after);
	struct slice in = call_of(mesh, before), expected = call_of(mesh, after);
	struct rpc_message m = take(&in);

	ck_assert(rpc_attest(&m, &as, &arena, dropped));
	ck_assert_msg(slice_eq(m.head, slice_first(expected, m.head.len)), "%s", row->before);
	ck_assert(slice_eq(m.caller, as.caller) && slice_eq_str(m.method, "Echo"));
	ck_assert(rpc_is_attested(&m, &as));
	frame_free(&before);
	frame_free(&after);
	frame_free(&expected);
}
END_TEST

START_TEST(a_call_without_a_header_comes_from_who_is_known)
{
	struct slice in = call_of(plain, SLICE_NONE);
	struct rpc_attestation as = known_as("me - 1.2.3.4");
	struct rpc_message m = take(&in);
	struct slice head = arena_copy(&arena, m.head);

	ck_assert(rpc_attest(&m, &as, &arena, dropped));
	ck_assert(slice_eq_str(m.caller, "me") && slice_eq(m.head, head));
}
END_TEST

START_TEST(what_was_lifted_out_of_a_body_is_no_more_believed)
{
	struct slice in = call_of(plain, SLICE_NONE);
	struct slice lifted =
	    frame_sections("s a=b RPC_TRANSIT_gdpr-token=t rip=1 RPC_PERSIST_user=u "
			   "RPC_TRANSIT_x-b3-traceid=80f198ee56343ba8");
	struct slice left = frame_sections("s a=b RPC_TRANSIT_x-b3-traceid=80f198ee56343ba8");
	struct rpc_attestation as = known_as("me - 1.2.3.4");
	struct rpc_message m = take(&in);

	m.sections = arena_copy(&arena, lifted);
	m.marks |= RPC_IS_LIFTED;
	m.caller = SLICE_LIT("you");
	m.caller_method = SLICE_LIT("m");
	m.log_id = SLICE_LIT("L");
	as.reserved = reserved;
	as.n_reserved = ARRAY_LEN(reserved);
	ck_assert(!rpc_is_attested(&m, &as));
	ck_assert(rpc_attest(&m, &as, &arena, dropped));
	ck_assert(slice_eq(m.sections, left));
	ck_assert(slice_eq_str(m.caller, "me") && m.caller_method.len == 0);
	ck_assert(slice_eq_str(m.log_id, "L") && slice_eq_str(m.trace_id, "80f198ee56343ba8"));
	ck_assert(m.marks & RPC_IS_LIFTED);
	ck_assert(rpc_is_attested(&m, &as));
	frame_free(&lifted);
	frame_free(&left);
}
END_TEST

static const struct row fields[] = {
    {"me - 1.2.3.4",
	"source-service: you\nx: 1\nrip: 2\nsource-method: m\nrpc-transit-gdpr-token: t\n",
	"source-service: me\nx: 1\n"},
    {"me - -", "x: 1\nstream-log-id: L\n", "x: 1\nstream-log-id: L\nsource-service: me\n"},
    {"me - -", "source-service: me\nx: 1\nsource-service: you\n", "source-service: me\nx: 1\n"},
    {"me - -", "source-service: me\nx: 1\n", "source-service: me\nx: 1\n"},
    {"- - -", "rpc-persist-gdpr-token: 1\nrpc-transit-gdpr_token: 2\nx: 1\n", "x: 1\n"},
    {"- - -", "grpc-timeout: 1S\nsource-service: \ny: 1\n", "grpc-timeout: 1S\ny: 1\n"},
    {"me m -", "source-method: x\ny: 1\n", "source-method: m\ny: 1\nsource-service: me\n"},
};

START_TEST(fields_say_what_is_known_and_keep_the_rest)
{
	const struct row *row = &fields[_i];
	struct rpc_attestation as = known_as(row->known);
	struct block block;
	struct field_list list = {.arena = &arena};
	struct rpc_message m;

	block_make(&block, RPC_CALL, row->before);
	m = block.message;
	ck_assert(rpc_is_attested(&m, &as) == (strcmp(row->before, row->after) == 0));
	ck_assert(rpc_attest(&m, &as, &arena, dropped));
	for (unsigned i = 0; i < m.n_fields; i++)
		field_add(&list, m.fields[i].name, m.fields[i].value);
	ck_assert_str_eq(block_text(&list), row->after);
	ck_assert(slice_eq(m.caller, as.caller) && slice_eq(m.caller_method, as.caller_method));
	ck_assert(rpc_is_attested(&m, &as));
	block_free(&block);
}
END_TEST

START_TEST(trailers_of_a_call_get_nothing)
{
	struct rpc_attestation as = known_as("me m 1.2.3.4");
	struct block block;
	struct rpc_message m;

	block_make(&block, RPC_TRAILERS, "source-service: you\nx: 1\nrip: 2\n");
	m = block.message;
	ck_assert(rpc_attest(&m, &as, &arena, dropped));
	ck_assert_uint_eq(m.n_fields, 1);
	ck_assert(slice_eq_str(m.fields[0].name, "x"));
	ck_assert_uint_eq(dropped[RPC_DROPPED_IDENTITY], 2);
	block_free(&block);
}
END_TEST

/* ---- by chance ---- */

/* Which fact an entry states, as the model has it: none, or an index into what is known. */
enum fact { NO_FACT = -1, CALLER_FACT, METHOD_FACT, ADDRESS_FACT, FORBIDDEN };

struct choice {
	uint8_t section;
	uint16_t number;
	const char *key;
	enum fact fact;
};

static const struct choice choices[] = {
    {TTHEADER_INT, 3, "", CALLER_FACT},
    {TTHEADER_INT, 20, "", METHOD_FACT},
    {TTHEADER_INT, 2, "", NO_FACT},
    {TTHEADER_INT, 4, "", NO_FACT},
    {TTHEADER_INT, 300, "", NO_FACT},
    {TTHEADER_STR, 0, "rip", ADDRESS_FACT},
    {TTHEADER_STR, 0, "RPC_TRANSIT_gdpr-token", FORBIDDEN},
    {TTHEADER_STR, 0, "RPC_PERSIST_GDPR_TOKEN", FORBIDDEN},
    {TTHEADER_STR, 0, "source-service", FORBIDDEN},
    {TTHEADER_STR, 0, "isn", NO_FACT},
    {TTHEADER_STR, 0, "RPC_PERSIST_a", NO_FACT},
    {TTHEADER_STR, 0, "RPC_TRANSIT_a", NO_FACT},
    {TTHEADER_STR, 0, "", NO_FACT},
    {TTHEADER_ACL, 0, "", FORBIDDEN},
};

static const char *const values[] = {"", "me", "m", "1.2.3.4", "you", "a longer value than others"};

struct entry {
	const struct choice *choice;
	const char *value;
	unsigned section; /* which one of the header */
};

struct random_header {
	struct entry list[ENTRIES];
	unsigned n;
	uint8_t bytes[8192];
	struct writer w;
};

static void put_entry(struct writer *w, const struct entry *e)
{
	if (e->choice->section == TTHEADER_STR) {
		write_u16(w, (uint16_t)strlen(e->choice->key));
		write_bytes(w, slice_str(e->choice->key));
	} else if (e->choice->section == TTHEADER_INT) {
		write_u16(w, e->choice->number);
	}
	write_u16(w, (uint16_t)strlen(e->value));
	write_bytes(w, slice_str(e->value));
}

/* Sections of any number and order, and padding between them. */
static void make_header(struct random_header *h, struct rng *rng)
{
	unsigned sections = (unsigned)rng_below(rng, 6);

	h->n = 0;
	h->w = writer_of(h->bytes, sizeof h->bytes);
	for (unsigned s = 0; s < sections; s++) {
		const struct choice *first = &choices[rng_below(rng, ARRAY_LEN(choices))];
		unsigned wanted = first->section == TTHEADER_ACL ? 1 : (unsigned)rng_below(rng, 7);
		uint8_t *count = NULL;

		write_u8(&h->w, first->section);
		if (first->section != TTHEADER_ACL)
			count = writer_room(&h->w, 2);
		for (unsigned i = 0; i < wanted; i++) {
			struct entry *e = &h->list[h->n++];

			do
				e->choice = &choices[rng_below(rng, ARRAY_LEN(choices))];
			while (e->choice->section != first->section);
			e->value = values[rng_below(rng, ARRAY_LEN(values))];
			e->section = s;
			put_entry(&h->w, e);
		}
		if (count)
			store_u16(count, (uint16_t)wanted);
		if (rng_below(rng, 4) == 0)
			write_u8(&h->w, TTHEADER_PADDING);
	}
}

/* What is left of the entries, in order, with those that are added, as text. */
static void model(const struct random_header *h, const struct slice known[3], char *text)
{
	bool is_said[3] = {false, false, false};
	unsigned last_int = UINT32_MAX, first_int = UINT32_MAX;
	char added[128] = "", *at = text;

	for (unsigned i = 0; i < h->n; i++) {
		enum fact f = h->list[i].choice->fact;

		if (h->list[i].choice->section == TTHEADER_INT && first_int == UINT32_MAX)
			first_int = h->list[i].section;
		if (f >= 0 && f < FORBIDDEN)
			is_said[f] = true;
	}
	for (int f = CALLER_FACT; f <= METHOD_FACT; f++)
		if (known[f].len && !is_said[f])
			sprintf(added + strlen(added), "%d:%d:=%.*s;", TTHEADER_INT,
			    f == CALLER_FACT ? 3 : 20, (int)known[f].len,
			    (const char *)known[f].data);
	memset(is_said, 0, sizeof is_said);
	for (unsigned i = 0; i < h->n; i++) {
		const struct entry *e = &h->list[i];
		const struct choice *c = e->choice;
		struct slice value = slice_str(e->value);

		if (last_int == first_int && last_int != UINT32_MAX && e->section != first_int) {
			at += sprintf(at, "%s", added);
			added[0] = '\0';
		}
		last_int = e->section;
		if (c->fact == FORBIDDEN)
			continue;
		if (c->fact != NO_FACT) {
			if (is_said[c->fact] || known[c->fact].len == 0)
				continue;
			is_said[c->fact] = true;
			value = known[c->fact];
		}
		at += sprintf(at, "%d:%d:%s=%.*s;", c->section, c->number, c->key, (int)value.len,
		    (const char *)value.data);
	}
	sprintf(at, "%s", added);
}

static void describe(struct slice sections, char *text)
{
	struct ttheader_iter it = ttheader_entries(sections);
	struct ttheader_entry e;

	*text = '\0';
	while (ttheader_next(&it, &e))
		text += sprintf(text, "%d:%d:%.*s=%.*s;", (int)e.kind, e.int_key, (int)e.key.len,
		    e.key.len ? (const char *)e.key.data : "", (int)e.value.len,
		    e.value.len ? (const char *)e.value.data : "");
	ck_assert_ptr_null(it.why);
}

START_TEST(any_header_says_each_known_fact_once_and_keeps_the_rest)
{
	static const char *const knowns[] = {
	    "me - -", "me m 1.2.3.4", "- - -", "- - 1.2.3.4", "- m -"};
	static struct random_header h;
	static char expected[16384], got[16384];
	struct rng rng;

	rng_init(&rng, (uint64_t)_i);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct rpc_attestation as = known_as(knowns[rng_below(&rng, ARRAY_LEN(knowns))]);
		struct slice known[3] = {as.caller, as.caller_method, as.address}, in;
		struct rpc_message m;
		bool was;

		make_header(&h, &rng);
		in = call_of(rng_below(&rng, 2) ? tth : bare, writer_slice(&h.w));
		m = take(&in);
		describe(m.sections, got);
		model(&h, known, expected);
		was = strcmp(got, expected) == 0;
		ck_assert_msg(rpc_is_attested(&m, &as) == was, "%s", got);
		ck_assert(rpc_attest(&m, &as, &arena, dropped));
		describe(m.sections, got);
		ck_assert_str_eq(got, expected);
		must_be(&m, m.sections, got);
		arena_fini(&arena);
		arena_init(&arena, NULL, 0);
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_header_says_what_is_known_and_keeps_the_rest, 2 * ARRAY_LEN(headers)},
	    {reserved_names_are_taken_out_of_a_header, ARRAY_LEN(reserved_rows)},
	    {what_was_taken_out_is_counted_by_class, 1},
	    {a_reserved_prefix_of_nothing_is_all_metadata_and_no_place_of_its_own, 1},
	    {a_header_full_of_entries_has_no_room_for_who_calls, 1},
	    {a_header_past_its_formats_limit_stays_as_it_was, 1},
	    {a_copy_of_the_message_needs_nothing_of_the_first, 2},
	    {a_mesh_header_says_what_it_has_room_for, ARRAY_LEN(mesh_rows)},
	    {a_call_without_a_header_comes_from_who_is_known, 1},
	    {what_was_lifted_out_of_a_body_is_no_more_believed, 1},
	    {fields_say_what_is_known_and_keep_the_rest, ARRAY_LEN(fields)},
	    {trailers_of_a_call_get_nothing, 1},
	    {any_header_says_each_known_fact_once_and_keeps_the_rest, 4},
	};

	return suite_run_between("attest", tests, ARRAY_LEN(tests), begin, end);
}
