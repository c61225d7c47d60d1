/* Values of gRPC's fields in a TTHeader: any bytes, up to the length that one may have there. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "rpc/grpc_head.h"
#include "rpc/metadata.h"
#include "support/reading.h"
#include "support/suite.h"

#define VALUE_ROOM (4u * 22000)

static const struct rpc_form in_ttheader = {RPC_TTHEADER, RPC_THRIFT, true};
static const uint8_t args[] = {0x0b, 0, 1, 0, 0, 0, 2, 'h', 'i', 0};

static struct arena arena;
static struct written out;
static struct reading reading;
static unsigned dropped[RPC_DROPPED_CLASSES];

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

/* The sections of the TTHeader that a call with this one field becomes; `dropped` counts. */
static struct slice turned(struct slice name, struct slice value)
{
	struct rpc_field field = {.name = name, .value = value};
	struct rpc_message call = {.form = {RPC_HTTP2, RPC_THRIFT, false},
	    .kind = RPC_CALL,
	    .path = SLICE_LIT("/Echo/Say"),
	    .fields = &field,
	    .n_fields = 1,
	    .body = slice_of(args, sizeof args),
	    .body_len = sizeof args,
	    .complete = true};
	struct rpc_edit edit = {.form = in_ttheader};

	grpc_note_call(&call);
	ck_assert(written_message(&out, &call, &edit, CODEC_UPSTREAM));
	memcpy(dropped, edit.dropped, sizeof dropped);
	reading_open(&reading, CODEC_DOWNSTREAM, &reading_limits);
	reading_feed(&reading, written_slice(&out));
	ck_assert_uint_eq(reading.n, 1);
	return reading.list[0].message.sections;
}

static bool find(struct slice sections, const char *key, struct slice *value)
{
	struct ttheader_iter it = ttheader_entries(sections);
	struct ttheader_entry e;

	while (ttheader_next(&it, &e)) {
		*value = e.value;
		if (e.kind == TTHEADER_STR && slice_eq_str(e.key, key))
			return true;
	}
	return false;
}

START_TEST(any_bytes_go_into_a_ttheader_and_back)
{
	static uint8_t bytes[UINT16_MAX];
	struct rng rng;

	rng_init(&rng, (uint64_t)_i);
	for (int round = 0; round < 20; round++) {
		struct slice sent = slice_of(bytes, rng_below(&rng, round < 10 ? 8 : sizeof bytes));
		struct slice text, value, sections;

		for (size_t i = 0; i < sent.len; i++)
			bytes[i] = (uint8_t)rng_below(&rng, 256);
		text = grpc_in_base64(&arena, sent);
		ck_assert(metadata_is_field_value(text));
		sections = turned(SLICE_LIT("rpc-persist-x-bin"), text);
		ck_assert(find(sections, "RPC_PERSIST_X_BIN", &value));
		ck_assert(slice_eq(value, sent));
		ck_assert(slice_eq(grpc_in_base64(&arena, value), text));
		reading_close(&reading);
	}
}
END_TEST

static void check_length(const char *name, size_t len, int lost)
{
	static uint8_t value[VALUE_ROOM];

	ck_assert_uint_le(len, sizeof value);
	memset(value, 'A', sizeof value);
	turned(slice_str(name), slice_of(value, len));
	for (int i = 0; i < RPC_DROPPED_CLASSES; i++)
		ck_assert_msg(dropped[i] == (i == lost), "%s of %zu: class %d", name, len, i);
	reading_close(&reading);
}

START_TEST(a_value_too_long_for_a_header_is_lost_alone)
{
	check_length("x-tag", UINT16_MAX, -1);
	check_length("x-tag", UINT16_MAX + 1, RPC_DROPPED_HEADER);
	check_length("rpc-persist-k", UINT16_MAX + 1, RPC_DROPPED_PERSISTENT);
	check_length("rpc-transit-traceparent", UINT16_MAX + 1, RPC_DROPPED_TRANSIENT);
	check_length("rpc-transit-gdpr-token", UINT16_MAX + 1, RPC_DROPPED_ACL);
	check_length("stream-log-id", UINT16_MAX, -1);
	check_length("stream-log-id", UINT16_MAX + 1, RPC_DROPPED_INT);
	check_length("x-bin", UINT16_MAX / 3 * 4, -1);
	check_length("x-bin", UINT16_MAX / 3 * 4 + 4, RPC_DROPPED_HEADER);
}
END_TEST

START_TEST(what_is_no_base64_is_lost)
{
	static const char *const texts[] = {"a", "a=", "aGk*", "aGk===", "aG k", "=aGk"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		turned(SLICE_LIT("x-bin"), slice_str(texts[i]));
		ck_assert_msg(dropped[RPC_DROPPED_HEADER] == 1, "%s", texts[i]);
		reading_close(&reading);
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {any_bytes_go_into_a_ttheader_and_back, 3},
	    {a_value_too_long_for_a_header_is_lost_alone, 1},
	    {what_is_no_base64_is_lost, 1},
	};

	return suite_run_between("metadata_values", tests, ARRAY_LEN(tests), begin, end);
}
