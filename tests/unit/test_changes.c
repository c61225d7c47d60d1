/*
 * Metadata set and taken away by rules, and the mark of a retry: in TTHeaders, mesh headers, header
 * frames of streams, and where there is no place for it. Headers are written down as text
 * (tests/support/frames.h), before and after: every byte that no change names must stay.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "policy/fact.h"
#include "rpc/facts.h"
#include "support/changes_text.h"
#include "support/frames.h"
#include "support/golden.h"
#include "support/reading.h"
#include "support/suite.h"
#include "support/tts_pair.h"

static const struct rpc_form tth = {RPC_TTHEADER, RPC_THRIFT, true};
static const struct rpc_form bare = {RPC_TTHEADER, RPC_THRIFT, false};
static const struct rpc_form mesh = {RPC_MESH, RPC_THRIFT, true};
static const struct rpc_form plain = {RPC_PLAIN, RPC_THRIFT, true};
static const struct rpc_form buffered = {RPC_PLAIN, RPC_THRIFT, false};

/* Reads @in as a call and writes it towards an endpoint; false: it was said not to fit. */
static bool send_changed(struct slice in, struct rpc_edit *edit, struct written *out)
{
	struct codec *from = codec_open(CODEC_DOWNSTREAM, CODEC_UNARY, &reading_limits, NULL, NULL);
	struct codec *to =
	    codec_open(CODEC_UPSTREAM, CODEC_UNARY, &reading_limits, &written_io, out);
	struct codec_item item;
	bool fits;

	ck_assert_int_eq(codec_next(from, &in, &item), CODEC_MESSAGE);
	fits = codec_send_message(to, 0, &item.message, edit);
	codec_close(&from);
	codec_close(&to);
	return fits;
}

static struct slice call_of(struct rpc_form form, const char *header)
{
	struct slice sections = frame_sections(header), body = frame_body(20), whole;
	struct frame call = {.form = form,
	    .type = 1,
	    .method = "Echo",
	    .seq = 7,
	    .transport_seq = 7,
	    .sections = sections,
	    .body = body};

	whole = frame_make(&call);
	frame_free(&sections);
	frame_free(&body);
	return whole;
}

/* A call in @from leaves as one in @to with this header; what was dropped is in @edit. */
static void must_turn_as(struct rpc_form from, struct rpc_form to, const char *before,
    const char *changes, const char *after, struct rpc_edit *edit)
{
	struct slice in = call_of(from, before), expected = call_of(to, after);
	struct changes_text text;
	struct written out = {0};

	edit->form = to;
	changes_read(&text, changes, edit);
	ck_assert(send_changed(in, edit, &out));
	ck_assert_msg(
	    slice_eq(written_slice(&out), expected), "%s, %s: no %s", before, changes, after);
	written_fini(&out);
	changes_text_free(&text);
	frame_free(&in);
	frame_free(&expected);
}

static void must_turn(
    struct rpc_form form, const char *before, const char *changes, const char *after)
{
	struct rpc_edit edit = {.form = form};

	must_turn_as(form, form, before, changes, after, &edit);
	for (size_t i = 0; i < ARRAY_LEN(edit.dropped); i++)
		ck_assert_uint_eq(edit.dropped[i], 0);
}

/* ---- TTHeaders ---- */

struct row {
	const char *before, *changes, *after;
};

static const struct row headers[] = {
    /* Set: in its place, else behind the others of its kind, else in a section of its own. */
    {"s a=b RPC_PERSIST_K=1 c=d;i 9=M", "+meta.K=2", "s a=b RPC_PERSIST_K=2 c=d;i 9=M"},
    {"s a=b;i 9=M;s c=d", "+meta.K=2", "s a=b RPC_PERSIST_K=2;i 9=M;s c=d"},
    {"i 9=M", "+meta.K=2", "i 9=M;s RPC_PERSIST_K=2"},
    {"", "+meta.K=2", "s RPC_PERSIST_K=2"},
    {"a token", "+meta.K=2", "a token;s RPC_PERSIST_K=2"},
    {"s a=b", "+meta.K=", "s a=b RPC_PERSIST_K="},
    /* Any case, either life; what is written is as the rule spells it. */
    {"s RPC_PERSIST_LOG_ID=1", "+meta.log-id=2", "s RPC_PERSIST_log-id=2"},
    {"s RPC_TRANSIT_Env=1 a=b", "+meta.env=2", "s RPC_PERSIST_env=2 a=b"},
    {"s RPC_TRANSIT_K=1 a=b RPC_PERSIST_K=2 RPC_PERSIST_k=3;i 9=M;s RPC_PERSIST_K=4 e=f",
	"+meta.k=5", "s RPC_PERSIST_k=5 a=b;i 9=M;s e=f"},
    /* Not these. */
    {"s RPC_TRANSIT_UPSTREAM_K=1 rpc_persist_K=2 RPC_BACKWARD_K=3 K=4", "-meta.K",
	"s RPC_TRANSIT_UPSTREAM_K=1 rpc_persist_K=2 RPC_BACKWARD_K=3 K=4"},
    {"a token;s RPC_TRANSIT_gdpr-token=t", "-meta.gdpr-token",
	"a token;s RPC_TRANSIT_gdpr-token=t"},
    /* Removed: both lives, everywhere, and sections that become empty. */
    {"s RPC_PERSIST_K=1 a=b RPC_TRANSIT_K=2;i 9=M;s RPC_PERSIST_k=3", "-meta.K", "s a=b;i 9=M"},
    {"s RPC_PERSIST_K=1;i 9=M", "-meta.K", "i 9=M"},
    /* What is not there is not removed, and nothing else becomes different by it. */
    {"0;s;0;s a=b;i 9=M;0;0;0;0;0", "-meta.K -header.x -int.14", "0;s;0;s a=b;i 9=M;0;0;0;0;0"},
    /* Headers: a key exactly. */
    {"s X-Tag=1 x-tag=2", "+header.X-Tag=3", "s X-Tag=3 x-tag=2"},
    {"s X-Tag=1 x-tag=2 X-Tag=4", "-header.X-Tag", "s x-tag=2"},
    {"i 9=M", "+header.X-Tag=3", "i 9=M;s X-Tag=3"},
    {"s RPC_TRANSIT_K=1 RPC_PERSIST_K=2", "+header.RPC_TRANSIT_K=3",
	"s RPC_TRANSIT_K=3 RPC_PERSIST_K=2"},
    {"s RPC_TRANSIT_K=1 RPC_PERSIST_K=2", "-header.RPC_PERSIST_K", "s RPC_TRANSIT_K=1"},
    /* Int keys. */
    {"i 9=M 14=a 3=me", "+int.14=b", "i 9=M 14=b 3=me"},
    {"i 9=M 14=a;i 14=c", "+int.14=b", "i 9=M 14=b"},
    {"i 9=M 14=a;i 14=c", "-int.14", "i 9=M"},
    {"s a=b", "+int.14=b", "s a=b;i 14=b"},
    {"s a=b;i 9=M", "+int.65535=b", "s a=b;i 9=M 65535=b"},
    {"s 14=x;i 9=M", "-int.14", "s 14=x;i 9=M"},
    /* Many at once, and the last of a name. */
    {"s a=1 b=2;i 14=x", "-header.a +header.c=3 +int.14=y +meta.M=4 +int.15=z",
	"s b=2 c=3 RPC_PERSIST_M=4;i 14=y 15=z"},
    {"s a=1", "+header.a=2 +header.a=3", "s a=3"},
    {"s b=1", "+header.a=2 +header.a=3", "s b=1 a=3"},
    {"s b=1", "+header.a=2 -header.a", "s b=1"},
    {"s a=1", "-header.a +header.a=2", "s a=2"},
    {"s RPC_TRANSIT_K=1 RPC_PERSIST_K=2", "-meta.K +header.RPC_TRANSIT_K=3", "s RPC_TRANSIT_K=3"},
    {"s b=1", "+header.RPC_TRANSIT_K=3 +meta.k=4", "s b=1 RPC_PERSIST_k=4"},
    {"s b=1", "+meta.K=3 +header.RPC_PERSIST_K=4", "s b=1 RPC_PERSIST_K=4"},
    {"i 9=M", "+int.14=1 +int.14=2 +int.15=3", "i 9=M 14=2 15=3"},
    /* The mark of a retry. */
    {"s a=b", "retry=1", "s a=b RPC_PERSIST_RetryReq=1"},
    {"s RPC_PERSIST_RetryReq=1 a=b", "retry=2", "s RPC_PERSIST_RetryReq=2 a=b"},
    {"s RPC_PERSIST_RETRYREQ=1 a=b RPC_TRANSIT_retryreq=3", "retry=12",
	"s RPC_PERSIST_RetryReq=12 a=b"},
    {"s a=b", "+meta.RetryReq=9 retry=4294967295", "s a=b RPC_PERSIST_RetryReq=4294967295"},
    {"s RPC_PERSIST_RETRYREQ=1 a=b", "retry=0", "s RPC_PERSIST_RETRYREQ=1 a=b"},
    {"s RPC_PERSIST_RetryReq=1;i 14=x", "-meta.retryreq -int.14", ""},
};

START_TEST(a_header_is_changed_and_keeps_the_rest)
{
	must_turn(tth, headers[_i].before, headers[_i].changes, headers[_i].after);
	must_turn(bare, headers[_i].before, headers[_i].changes, headers[_i].after);
}
END_TEST

/* What has a place of its own is not for a rule. */
static const char *const not_free[] = {"isn", "rip", "crrst", "crc32c", "PV_x", "biz-status",
    "RPC_TRANSIT_gdpr-token", "RPC_TRANSIT_UPSTREAM_K", "RPC_BACKWARD_K", "content-type",
    "Content-Type", "content-length", "te", "TE", "host", "Host", "user-agent", "connection",
    "Keep-Alive", "proxy-connection", "upgrade", "transfer-encoding", "grpc-timeout", "GRPC-Status",
    "grpc-anything", "source-service", "source-method", "destination-service", "destination-method",
    "destination-addr", "stream-log-id", "rpc-transit-gdpr-token", "rpc-transit-upstream-k",
    "rpc-backward-k"};

START_TEST(facts_with_places_of_their_own_are_not_changed)
{
	char before[128], after[160], changes[256];

	snprintf(before, sizeof before, "s a=b %s=1;i 9=M", not_free[_i]);
	snprintf(changes, sizeof changes, "+header.%s=2", not_free[_i]);
	must_turn(tth, before, changes, before);
	snprintf(changes, sizeof changes, "-header.%s", not_free[_i]);
	must_turn(tth, before, changes, before);
	snprintf(changes, sizeof changes, "+header.%s=2 +header.c=d", not_free[_i]);
	snprintf(before, sizeof before, "s a=b %s=1", not_free[_i]);
	snprintf(after, sizeof after, "%s c=d", before);
	must_turn(tth, before, changes, after);
}
END_TEST

START_TEST(int_keys_that_the_proxy_writes_are_not_changed)
{
	must_turn(tth, "i 1=framed 2=log 3=me 6=you 9=M 12=300 20=F 22=1 27=2",
	    "-int.1 -int.2 -int.3 -int.6 -int.9 -int.12 -int.20 -int.22 -int.27 +int.12=9 +int.3=x",
	    "i 1=framed 2=log 3=me 6=you 9=M 12=300 20=F 22=1 27=2");
}
END_TEST

static const char *const free_names[] = {"x", "X-Tag", "ISN", "isn2", "is", "Rip", "rips", "CRC32C",
    "PV", "pv_x", "Biz", "biz", "RPC_PERSIST_K", "RPC_TRANSIT_K", "RPC_TRANSIT_UPSTREAM",
    "rpc-persist-k", "rpc-transit-k", "rpc-transit-upstream", "RPC_BACKWARD", "rpc-backward",
    "RPC_TRANSIT_GDPR_TOKEN", "tea", "hosts", "connection2", "content-typ", "grpc", "source",
    "source-services", "destination", "stream-log-ids", "traceparent", "authorization", "cookie",
    "K_ProcessAtTime", "tc", "ti", "rpc-", "RPC_"};

/* The configuration refuses what would be ignored here, and nothing else. */
START_TEST(rules_and_their_writers_agree_on_what_can_be_changed)
{
	struct rpc_change change = {.kind = RPC_CHANGE_HEADER};
	struct fact_key key = {.kind = FACT_HEADER};

	for (size_t i = 0; i < ARRAY_LEN(free_names) + ARRAY_LEN(not_free); i++) {
		bool is_free = i < ARRAY_LEN(free_names);
		const char *name = is_free ? free_names[i] : not_free[i - ARRAY_LEN(free_names)];

		change.name = key.name = slice_str(name);
		ck_assert_msg(rpc_change_is_possible(&change) == is_free, "%s", name);
		ck_assert_msg(fact_is_changeable(&key) == is_free, "%s", name);
	}
	change.kind = RPC_CHANGE_INT;
	key.kind = FACT_INT;
	for (unsigned i = 0; i <= UINT16_MAX; i++) {
		change.number = key.number = (uint16_t)i;
		ck_assert_int_eq(rpc_change_is_possible(&change), fact_is_changeable(&key));
	}
}
END_TEST

START_TEST(names_that_are_none_are_ignored)
{
	char changes[1024] = "+meta.=1 +header.=1 -header. +meta.";

	memset(changes + strlen(changes), 'n', 501);
	strcat(changes, "=x");
	must_turn(tth, "s a=b", changes, "s a=b");
}
END_TEST

START_TEST(a_name_of_500_bytes_is_written)
{
	char changes[1024] = "+meta.", after[1024] = "s a=b RPC_PERSIST_";

	memset(changes + strlen(changes), 'n', 500);
	memset(after + strlen(after), 'n', 500);
	strcat(changes, "=x");
	strcat(after, "=x");
	must_turn(tth, "s a=b", changes, after);
}
END_TEST

START_TEST(changes_and_facts_are_edited_together)
{
	struct rpc_edit edit = {
	    .set_timeout = true, .timeout_ms = 45, .rip = SLICE_LIT("r"), .add_crrst = true};

	must_turn_as(tth, tth, "s K=1 isn=I;i 12=300 14=a", "+meta.E=x -header.K +int.14=b retry=2",
	    "s isn=I crrst=1 rip=r RPC_PERSIST_E=x RPC_PERSIST_RetryReq=2;i 12=45 14=b", &edit);
}
END_TEST

START_TEST(as_many_changes_as_there_may_be_are_made_and_those_behind_them_are_not)
{
	char changes[16384] = "", after[16384] = "s z=0";

	for (unsigned i = 0; i < RPC_CHANGES_MAX + 5; i++) {
		sprintf(changes + strlen(changes), "+header.k%u=%u ", i, i);
		if (i < RPC_CHANGES_MAX)
			sprintf(after + strlen(after), " k%u=%u", i, i);
	}
	must_turn(tth, "s z=0", changes, after);
	strcat(changes, "retry=3");
	strcat(after, " RPC_PERSIST_RetryReq=3");
	must_turn(tth, "s z=0", changes, after);
}
END_TEST

/* "s k=vvv", of this many bytes in a header. */
static char *section_of(size_t len)
{
	char *text = mem_calloc(1, len + 1);

	memset(text, 'v', len);
	memcpy(text, "s k=", 4);
	text[len - 4] = '\0'; /* it takes 8 bytes with its lengths */
	return text;
}

/* A value of @len bytes, on a header with three of 60 000 before it. */
static bool fits_with_value(size_t len)
{
	char *part = section_of(60000), *value = mem_calloc(1, len + 1);
	char *text = mem_calloc(4, 60000);
	struct rpc_change change = {.kind = RPC_CHANGE_HEADER, .name = SLICE_LIT("n")};
	struct rpc_edit edit = {.form = tth, .changes = &change, .n_changes = 1};
	struct written out = {0};
	struct slice in;
	bool fits;

	for (int i = 0; i < 4; i++)
		sprintf(text + strlen(text), "%s;", part);
	in = call_of(tth, text);
	memset(value, 'x', len);
	change.value = slice_of(value, len);
	fits = send_changed(in, &edit, &out);
	ck_assert_uint_eq(out.times, fits);
	if (fits) {
		struct reading r;
		struct slice found;

		reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
		reading_feed(&r, written_slice(&out));
		ck_assert(r.n == 1 && r.list[0].is_whole);
		ck_assert(rpc_find_header(&r.list[0].message, SLICE_LIT("n"), &found));
		ck_assert_uint_eq(found.len, len);
		reading_close(&r);
	}
	written_fini(&out);
	frame_free(&in);
	free(text);
	free(value);
	free(part);
	return fits;
}

START_TEST(a_header_past_the_formats_limit_is_not_written_at_all)
{
	/* 262140 bytes in all: two, four sections of 60000, two lengths and the name. */
	const size_t most = 262140 - 2 - 4 * 60000 - 5;

	ck_assert(fits_with_value(most));
	ck_assert(!fits_with_value(most + 1));
	ck_assert(!fits_with_value(65535));
	ck_assert(!fits_with_value(65536));
}
END_TEST

START_TEST(a_value_is_65535_bytes_long_at_most)
{
	struct rpc_change change = {.kind = RPC_CHANGE_META, .name = SLICE_LIT("n")};
	struct rpc_edit edit = {.form = tth, .changes = &change, .n_changes = 1};
	char *value = mem_calloc(1, 65537);
	struct slice in = call_of(tth, "s a=b");
	struct written out = {0};

	memset(value, 'x', 65536);
	change.value = slice_of(value, 65535);
	ck_assert(send_changed(in, &edit, &out));
	change.value = slice_of(value, 65536);
	out.len = 0;
	ck_assert(!send_changed(in, &edit, &out));
	ck_assert_uint_eq(out.len, 0);
	written_fini(&out);
	frame_free(&in);
	free(value);
}
END_TEST

/* ---- checksums, ids and framing ---- */

START_TEST(checksums_stay_when_only_metadata_is_changed)
{
	must_turn(tth, "s crc32c=deadbeef PV_x=y;i 1=framed", "+meta.K=1 retry=1",
	    "s crc32c=deadbeef PV_x=y RPC_PERSIST_K=1 RPC_PERSIST_RetryReq=1;i 1=framed");
}
END_TEST

/* ---- mesh headers ---- */

static const struct row mesh_headers[] = {
    {"m a=b RPC_PERSIST_K=1 c=d", "+meta.k=2", "m a=b RPC_PERSIST_k=2 c=d"},
    {"m a=b", "+meta.k=2", "m a=b RPC_PERSIST_k=2"},
    {"m", "+header.x=2", "m x=2"},
    {"m RPC_TRANSIT_K=1 a=b RPC_PERSIST_k=2", "-meta.k", "m a=b"},
    {"m RPC_PERSIST_K=1", "-meta.k", "m"},
    {"m a=b", "-meta.k", "m a=b"},
    {"m a=b", "retry=3", "m a=b RPC_PERSIST_RetryReq=3"},
    {"m RPC_PERSIST_RETRYREQ=1 a=b", "retry=3", "m RPC_PERSIST_RetryReq=3 a=b"},
    {"m rip=1", "-header.rip +header.rip=2", "m rip=1"},
    {"m a=b", "-int.3", "m a=b"},
};

START_TEST(a_mesh_header_is_changed_and_keeps_the_rest)
{
	must_turn(mesh, mesh_headers[_i].before, mesh_headers[_i].changes, mesh_headers[_i].after);
}
END_TEST

START_TEST(a_mesh_header_has_no_int_keys)
{
	struct rpc_edit edit = {0};

	must_turn_as(mesh, mesh, "m a=b", "+int.14=x +header.c=d", "m a=b c=d", &edit);
	ck_assert_uint_eq(edit.dropped[RPC_DROPPED_INT], 1);
	ck_assert_uint_eq(edit.dropped[RPC_DROPPED_HEADER], 0);
}
END_TEST

/* A mesh header says in 16 bits how long it is: entry and count take 2 + 2 + 2 + 1 + value. */
static bool mesh_fits(size_t len)
{
	struct rpc_change change = {.kind = RPC_CHANGE_HEADER, .name = SLICE_LIT("n")};
	struct rpc_edit edit = {.form = mesh, .changes = &change, .n_changes = 1};
	char *value = mem_calloc(1, len + 1);
	struct slice in = call_of(mesh, "m");
	struct written out = {0};
	bool fits;

	change.value = slice_of(value, len);
	fits = send_changed(in, &edit, &out);
	ck_assert_uint_eq(out.times, fits);
	if (fits)
		ck_assert_uint_eq(out.len, in.len + 5 + len);
	written_fini(&out);
	frame_free(&in);
	free(value);
	return fits;
}

START_TEST(a_mesh_header_past_64_kib_is_not_written_at_all)
{
	ck_assert(mesh_fits(65535 - 7));
	ck_assert(!mesh_fits(65535 - 6));
}
END_TEST

/* ---- where there is no place ---- */

START_TEST(what_has_no_place_is_counted)
{
	const struct rpc_form forms[] = {plain, buffered};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct rpc_edit edit = {0};

		must_turn_as(forms[i], forms[i], "",
		    "+meta.A=1 +meta.B=2 +header.c=3 +header.RPC_TRANSIT_D=4 +int.14=5 -meta.E "
		    "+header.isn=no retry=2",
		    "", &edit);
		ck_assert_uint_eq(edit.dropped[RPC_DROPPED_PERSISTENT], 2);
		ck_assert_uint_eq(edit.dropped[RPC_DROPPED_HEADER], 1);
		ck_assert_uint_eq(edit.dropped[RPC_DROPPED_TRANSIENT], 1);
		ck_assert_uint_eq(edit.dropped[RPC_DROPPED_INT], 1);
	}
}
END_TEST

START_TEST(a_mark_or_a_removal_loses_nothing)
{
	must_turn(plain, "", "retry=2", "");
	must_turn(buffered, "", "-meta.A -header.b -int.14", "");
}
END_TEST

START_TEST(what_a_rule_takes_away_is_not_lost_with_its_header)
{
	struct rpc_edit edit = {0};

	must_turn_as(tth, plain, "s RPC_PERSIST_A=1 RPC_PERSIST_B=2 x=y z=w;i 14=q",
	    "-meta.a -header.x +meta.B=3 -int.14", "", &edit);
	ck_assert_uint_eq(edit.dropped[RPC_DROPPED_PERSISTENT], 1);
	ck_assert_uint_eq(edit.dropped[RPC_DROPPED_HEADER], 1);
	ck_assert_uint_eq(edit.dropped[RPC_DROPPED_INT], 0);
}
END_TEST

/* ---- a header where there was none ---- */

START_TEST(a_new_header_has_what_is_set)
{
	struct rpc_edit edit = {0};

	must_turn_as(plain, tth, "", "+meta.K=1 +header.x=2 +int.14=3 -meta.Z retry=1",
	    "s RPC_PERSIST_K=1 x=2 RPC_PERSIST_RetryReq=1;i 1=framed 9=Echo 22=1 14=3", &edit);
	must_turn_as(buffered, tth, "", "", "i 1=framed 9=Echo 22=1", &(struct rpc_edit){0});
}
END_TEST

START_TEST(the_keys_of_a_mesh_header_are_changed_on_their_way_into_another)
{
	struct rpc_edit edit = {0};

	must_turn_as(mesh, tth, "m RPC_PERSIST_K=1 a=b RPC_TRANSIT_X=2 RPC_PERSIST_RETRYREQ=1",
	    "+meta.k=3 -meta.x +int.14=r retry=2",
	    "s RPC_PERSIST_k=3 a=b RPC_PERSIST_RetryReq=2;i 1=framed 9=Echo 22=1 14=r", &edit);
}
END_TEST

/* ---- streams ---- */

static const struct row frames[] = {
    {"i 27=2 9=M;s a=b", "+meta.K=1 +header.x=2 +int.14=3",
	"i 27=2 9=M 14=3;s a=b RPC_PERSIST_K=1 x=2"},
    {"i 27=2 9=M", "+meta.K=1", "i 27=2 9=M;s RPC_PERSIST_K=1"},
    {"i 27=2 9=M 14=a;s RPC_TRANSIT_K=1 a=b", "-meta.k -int.14", "i 27=2 9=M;s a=b"},
    {"i 27=2 9=M;s RPC_PERSIST_RETRYREQ=1 a=b", "retry=2",
	"i 27=2 9=M;s RPC_PERSIST_RetryReq=2 a=b"},
    {"i 27=2 9=M;s isn=I;0;0;0", "-meta.k -int.27 -int.9 +header.isn=x",
	"i 27=2 9=M;s isn=I;0;0;0"},
};

START_TEST(a_header_frame_is_changed_and_keeps_the_rest)
{
	struct slice in = tts_frame(77, frames[_i].before, SLICE_LIT("payload"));
	struct slice want = tts_frame(1, frames[_i].after, SLICE_LIT("payload"));
	struct rpc_edit edit = {.form = tts_form};
	struct changes_text text;

	tts_begin();
	changes_read(&text, frames[_i].changes, &edit);
	tts_end_feed(&tts_down, in);
	ck_assert(codec_send_message(tts_up.codec, codec_begin(tts_up.codec, NULL),
	    &tts_last(&tts_down, CODEC_MESSAGE)->message, &edit));
	ck_assert(slice_eq(written_slice(&tts_up.out), want));
	tts_done();
	changes_text_free(&text);
	frame_free(&in);
	frame_free(&want);
}
END_TEST

/* ---- golden calls ---- */

/* Setting and taking away again leaves no trace, in every golden call. */
START_TEST(golden_calls_come_back_as_they_were)
{
	struct golden_set set = golden_load();
	unsigned n = 0;

	for (size_t i = 0; i < set.count; i++) {
		const struct golden *g = &set.items[i];
		struct written there = {0}, back = {0};
		struct rpc_edit edit = {0};
		struct changes_text text, undo;
		struct reading r;

		if (!golden_is_unary(g) || !g->accept || strcmp(g->direction, "request") != 0)
			continue;
		reading_open(&r, CODEC_DOWNSTREAM, &reading_limits);
		reading_feed(&r, g->frames[0]);
		edit.form = r.list[0].message.form;
		reading_close(&r);
		changes_read(&text, "+meta.NEW=1 +header.new=2 +int.65000=3", &edit);
		ck_assert(send_changed(g->frames[0], &edit, &there));
		edit = (struct rpc_edit){.form = edit.form};
		changes_read(&undo, "-meta.new -header.new -int.65000", &edit);
		ck_assert(send_changed(written_slice(&there), &edit, &back));
		n += there.len > g->frames[0].len;
		ck_assert_uint_le(back.len, g->frames[0].len);
		if (strcmp(g->name, "60_tth_odd_sections") != 0) /* padding in odd places */
			ck_assert_msg(
			    slice_eq(written_slice(&back), slice_first(g->frames[0], back.len)),
			    "%s", g->name);
		changes_text_free(&text);
		changes_text_free(&undo);
		written_fini(&there);
		written_fini(&back);
	}
	ck_assert_uint_ge(n, 8);
	golden_free(&set);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_header_is_changed_and_keeps_the_rest, ARRAY_LEN(headers)},
	    {facts_with_places_of_their_own_are_not_changed, ARRAY_LEN(not_free)},
	    {int_keys_that_the_proxy_writes_are_not_changed, 1},
	    {rules_and_their_writers_agree_on_what_can_be_changed, 1},
	    {names_that_are_none_are_ignored, 1},
	    {a_name_of_500_bytes_is_written, 1},
	    {changes_and_facts_are_edited_together, 1},
	    {as_many_changes_as_there_may_be_are_made_and_those_behind_them_are_not, 1},
	    {a_header_past_the_formats_limit_is_not_written_at_all, 1},
	    {a_value_is_65535_bytes_long_at_most, 1},
	    {checksums_stay_when_only_metadata_is_changed, 1},
	    {a_mesh_header_is_changed_and_keeps_the_rest, ARRAY_LEN(mesh_headers)},
	    {a_mesh_header_has_no_int_keys, 1},
	    {a_mesh_header_past_64_kib_is_not_written_at_all, 1},
	    {what_has_no_place_is_counted, 1},
	    {a_mark_or_a_removal_loses_nothing, 1},
	    {what_a_rule_takes_away_is_not_lost_with_its_header, 1},
	    {a_new_header_has_what_is_set, 1},
	    {the_keys_of_a_mesh_header_are_changed_on_their_way_into_another, 1},
	    {a_header_frame_is_changed_and_keeps_the_rest, ARRAY_LEN(frames)},
	    {golden_calls_come_back_as_they_were, 1},
	};

	return suite_run_between("changes", tests, ARRAY_LEN(tests), NULL, NULL);
}
