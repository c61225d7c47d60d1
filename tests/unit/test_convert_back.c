/* What is kept of a TTHeader's metadata on the way to gRPC and back. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "rpc/grpc_head.h"
#include "rpc/metadata.h"
#include "support/bytes.h"
#include "support/frames.h"
#include "support/reading.h"
#include "support/suite.h"

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

static const struct rpc_form thrift_grpc = {RPC_HTTP2, RPC_THRIFT, false};
static const struct rpc_form in_ttheader = {RPC_TTHEADER, RPC_THRIFT, true};
static const uint8_t args[] = {0x0b, 0, 1, 0, 0, 0, 2, 'h', 'i', 0};

#define PAIRS_MAX 12

/* A key with its value, as they are drawn. */
struct pair {
	char key[80], value[40];
};

static struct rng rng;
static struct pair pairs[PAIRS_MAX];
static unsigned n_pairs;

static void draw_text(char *to, const char *alphabet, size_t max)
{
	size_t len = 1 + rng_below(&rng, max);

	for (size_t i = 0; i < len; i++)
		to[i] = alphabet[rng_below(&rng, strlen(alphabet))];
	to[len] = '\0';
}

static const char upper_name[] = "ABCXYZ0189_";
static const char lower_name[] = "abcxyz0189._~";
static const char wild_name[] = "aZ09_-.:/ \x01\x7f\xc3\xa4";
static const char plain_value[] = "abcXYZ0189 %=;,{}\"/\xc3\xa4";

/* Values neither begin nor end with a blank. */
static void draw_value(char *to)
{
	draw_text(to, plain_value, 30);
	to[0] = 'v';
	strcat(to, "z");
}

/* Names that mean the same in both spellings. */
static void draw_pair(struct pair *p, bool is_reply, unsigned number)
{
	static const char *const prefixes[] = {"RPC_PERSIST_", "RPC_TRANSIT_", ""};
	const char *prefix = is_reply ? "" : prefixes[rng_below(&rng, 3)];
	bool is_upper = is_reply || *prefix;
	char name[40];

	draw_text(name, is_upper ? upper_name : lower_name, 20);
	snprintf(p->key, sizeof p->key, "%s%c%u%s", prefix, is_upper ? 'K' : 'k', number, name);
	draw_value(p->value);
}

static void put_counted(struct writer *w, const char *text)
{
	write_u16(w, (uint16_t)strlen(text));
	write_bytes(w, slice_str(text));
}

static struct slice sections_of_pairs(void)
{
	static uint8_t room[4096];
	struct writer w = writer_of(room, sizeof room);

	write_u8(&w, 0x01);
	write_u16(&w, (uint16_t)(n_pairs + 1));
	for (unsigned i = 0; i < n_pairs; i++) {
		put_counted(&w, pairs[i].key);
		put_counted(&w, pairs[i].value);
	}
	put_counted(&w, "isn");
	put_counted(&w, "Echo");
	ck_assert(!w.bad);
	return writer_slice(&w);
}

/* The message of a frame whose header has the pairs, in @r. */
static const struct rpc_message *read_pairs(struct reading *r, bool is_reply)
{
	struct frame f = {.form = in_ttheader,
	    .type = is_reply ? 2 : 1,
	    .method = "Say",
	    .seq = 7,
	    .transport_seq = 7,
	    .body = slice_of(args, sizeof args)};
	struct slice whole;

	f.sections = sections_of_pairs();
	whole = frame_make(&f);
	reading_open(r, is_reply ? CODEC_UPSTREAM : CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(r, whole);
	ck_assert_uint_eq(r->n, 1);
	frame_free(&whole);
	return &r->list[0].message;
}

/* The fields of a message in TTHeader as the message that a gRPC codec makes of them. */
static struct rpc_message over_grpc(const struct rpc_message *m, struct rpc_edit *edit)
{
	struct field_list head = {.arena = &arena}, trailers = {.arena = &arena};
	struct rpc_message g = {.form = thrift_grpc, .kind = m->kind, .body = m->body};

	if (m->kind == RPC_CALL) {
		ck_assert(grpc_call_fields(m, edit, &head, &g.path));
	} else {
		grpc_reply_fields(m, edit, &head, &trailers);
		g.http_status = 200;
	}
	g.fields = head.items;
	g.n_fields = head.n;
	g.body_len = m->body_len;
	g.complete = true;
	if (m->kind == RPC_CALL)
		grpc_note_call(&g);
	else
		grpc_note_reply(&g);
	g.method = m->method;
	g.seq = g.transport_seq = m->seq;
	return g;
}

static bool has_key(const struct rpc_message *m, const char *key, const char *value)
{
	struct ttheader_iter it = ttheader_entries(m->sections);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e))
		if (e.kind == TTHEADER_STR && slice_eq_str(e.key, key))
			return slice_eq_str(e.value, value);
	return false;
}

static void check_round_trip(bool is_reply)
{
	struct reading before, after;
	const struct rpc_message *m = read_pairs(&before, is_reply), *back;
	struct rpc_edit there = {.form = thrift_grpc}, again = {.form = in_ttheader};
	struct rpc_message g = over_grpc(m, &there);

	ck_assert(written_message(&out, &g, &again, is_reply ? CODEC_DOWNSTREAM : CODEC_UPSTREAM));
	reading_open(&after, is_reply ? CODEC_UPSTREAM : CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&after, written_slice(&out));
	ck_assert_uint_eq(after.n, 1);
	back = &after.list[0].message;
	for (unsigned i = 0; i < n_pairs; i++)
		ck_assert_msg(has_key(back, pairs[i].key, pairs[i].value), "%s=%s", pairs[i].key,
		    pairs[i].value);
	ck_assert(slice_eq(back->body, m->body) && slice_eq(back->method, m->method));
	for (int i = 0; i <= RPC_DROPPED_BIZ; i++)
		ck_assert_uint_eq(again.dropped[i], 0);
	reading_close(&before);
	reading_close(&after);
}

START_TEST(metadata_survives_the_way_there_and_back)
{
	rng_init(&rng, (uint64_t)_i);
	for (unsigned round = 0; round < 40; round++) {
		bool is_reply = round % 2;

		n_pairs = (unsigned)rng_below(&rng, PAIRS_MAX);
		for (unsigned i = 0; i < n_pairs; i++)
			draw_pair(&pairs[i], is_reply, i);
		check_round_trip(is_reply);
	}
}
END_TEST

static void check_wild(bool is_reply)
{
	struct reading before, after;
	const struct rpc_message *m = read_pairs(&before, is_reply);
	struct rpc_edit there = {.form = thrift_grpc}, again = {.form = in_ttheader};
	struct rpc_message g = over_grpc(m, &there);
	struct ttheader_iter it;
	struct ttheader_entry e;
	unsigned n_lost = 0, n_left = 0;

	for (unsigned i = 0; i < g.n_fields; i++)
		ck_assert(metadata_is_field_value(g.fields[i].value));
	ck_assert(written_message(&out, &g, &again, is_reply ? CODEC_DOWNSTREAM : CODEC_UPSTREAM));
	reading_open(&after, is_reply ? CODEC_UPSTREAM : CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&after, written_slice(&out));
	ck_assert_uint_eq(after.n, 1);
	it = ttheader_entries(after.list[0].message.sections);
	while (ttheader_next(&it, &e))
		n_left += e.kind != TTHEADER_INT && !slice_eq_str(e.key, "isn");
	for (int i = 0; i <= RPC_DROPPED_BIZ; i++)
		n_lost += there.dropped[i] + again.dropped[i];
	/* What is not there is counted, with isn, which no reply brings along. */
	ck_assert_uint_eq(n_left + n_lost, n_pairs + is_reply);
	reading_close(&before);
	reading_close(&after);
}

START_TEST(whatever_is_lost_on_the_way_is_counted)
{
	static const char *const prefixes[] = {"", "RPC_PERSIST_", "RPC_TRANSIT_",
	    "RPC_TRANSIT_UPSTREAM_", "RPC_BACKWARD_", "PV_", "rip", "grpc-", "rpc-persist-",
	    "rpc-backward-", "te", "RPC_TRANSIT_GDPR_TOKEN"};

	rng_init(&rng, (uint64_t)_i + 1000);
	for (unsigned round = 0; round < 40; round++) {
		n_pairs = (unsigned)rng_below(&rng, PAIRS_MAX);
		for (unsigned i = 0; i < n_pairs; i++) {
			struct pair *p = &pairs[i];

			strcpy(p->key, prefixes[rng_below(&rng, ARRAY_LEN(prefixes))]);
			draw_text(p->key + strlen(p->key), wild_name, 12);
			draw_text(p->value, wild_name, 8);
		}
		check_wild(round % 2);
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {metadata_survives_the_way_there_and_back, 10},
	    {whatever_is_lost_on_the_way_is_counted, 10},
	};

	return suite_run_between("convert_back", tests, ARRAY_LEN(tests), begin, end);
}
