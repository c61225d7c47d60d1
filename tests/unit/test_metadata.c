/* What names of metadata mean, and that none becomes another on its way between two spellings. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "policy/fact.h"
#include "rpc/metadata.h"
#include "support/suite.h"

#define NAME_ROOM (2 * METADATA_NAME_MAX)

static struct rng rng;
static struct arena arena;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
}

static void end(void)
{
	arena_fini(&arena);
}

/* ---- the table and the search in it ---- */

static bool fits(struct slice name, struct slice known, bool is_prefix)
{
	if (known.len == 0)
		return false;
	return is_prefix ? slice_starts(name, known) : slice_eq(name, known);
}

/* The longest row that fits; exact ones fit no other name. */
static enum metadata_name look_for(struct slice name, bool is_field)
{
	enum metadata_name found = METADATA_NAME_NONE;
	size_t len = 0;

	for (int i = 1; i < METADATA_NAMES; i++) {
		const struct metadata_spelling *row = &metadata_spellings[i];
		struct slice known = is_field ? row->field : row->key;

		if (fits(name, known, row->is_prefix) && known.len > len) {
			found = (enum metadata_name)i;
			len = known.len;
		}
	}
	return found;
}

static void check_search(struct slice name)
{
	ck_assert_msg(metadata_find_key(name) == look_for(name, false), "key %.*s", (int)name.len,
	    (const char *)name.data);
	ck_assert_msg(metadata_find_field(name) == look_for(name, true), "field %.*s",
	    (int)name.len, (const char *)name.data);
}

START_TEST(every_name_of_the_table_is_found_and_every_number)
{
	for (int i = 1; i < METADATA_NAMES; i++) {
		const struct metadata_spelling *row = &metadata_spellings[i];

		ck_assert(row->key.len || row->field.len || row->number);
		ck_assert(row->key.len == 0 || metadata_find_key(row->key) == (unsigned)i);
		ck_assert(row->field.len == 0 || metadata_find_field(row->field) == (unsigned)i);
		ck_assert(
		    row->number == 0 || metadata_find_int((uint16_t)row->number) == (unsigned)i);
	}
	ck_assert_int_eq(metadata_find_int(0), METADATA_NAME_NONE);
	ck_assert_int_eq(metadata_find_int(UINT16_MAX), METADATA_NAME_NONE);
}
END_TEST

/* A name of the table, cut, lengthened, or with a byte that is another. */
static struct slice bend(uint8_t room[NAME_ROOM], struct slice known)
{
	size_t len = rng_below(&rng, 4) ? known.len : rng_below(&rng, known.len + 1);

	if (known.len)
		memcpy(room, known.data, known.len);
	if (len && rng_below(&rng, 2))
		room[rng_below(&rng, len)] ^= (uint8_t)(1u << rng_below(&rng, 8));
	for (unsigned more = (unsigned)rng_below(&rng, 8); more > 4; more--)
		room[len++] = (uint8_t) "a-_Z0"[rng_below(&rng, 5)];
	return slice_of(room, len);
}

START_TEST(names_that_are_nearly_known_are_told_apart)
{
	uint8_t room[NAME_ROOM];

	rng_init(&rng, (uint64_t)_i);
	check_search(SLICE_NONE);
	for (int round = 0; round < 20000; round++) {
		const struct metadata_spelling *row =
		    &metadata_spellings[1 + rng_below(&rng, METADATA_NAMES - 1)];

		check_search(bend(room, rng_below(&rng, 2) ? row->key : row->field));
	}
}
END_TEST

/* The configuration has the list for itself: it knows nothing of messages. */
START_TEST(rules_may_change_what_the_table_leaves_free)
{
	struct rpc_change change = {.kind = RPC_CHANGE_HEADER};
	struct fact_key key = {.kind = FACT_HEADER};
	uint8_t room[NAME_ROOM];

	rng_init(&rng, (uint64_t)_i);
	for (int round = 0; round < 20000; round++) {
		const struct metadata_spelling *row =
		    &metadata_spellings[1 + rng_below(&rng, METADATA_NAMES - 1)];
		struct slice name = bend(room, rng_below(&rng, 2) ? row->key : row->field);

		if (name.len == 0)
			continue;
		change.name = key.name = name;
		ck_assert_msg(rpc_change_is_possible(&change) == fact_is_changeable(&key), "%.*s",
		    (int)name.len, (const char *)name.data);
	}
}
END_TEST

START_TEST(int_keys_of_facts_are_named_alike_in_the_configuration)
{
	static const struct {
		enum metadata_name name;
		const char *word;
	} words[] = {
	    {METADATA_NAME_TRANSPORT_TYPE, "transport_type"},
	    {METADATA_NAME_LOG_ID, "log_id"},
	    {METADATA_NAME_CALLER, "from_service"},
	    {METADATA_NAME_TO_SERVICE, "to_service"},
	    {METADATA_NAME_TO_METHOD, "to_method"},
	    {METADATA_NAME_DEST_ADDRESS, "dest_address"},
	    {METADATA_NAME_TIMEOUT, "rpc_timeout"},
	    {METADATA_NAME_CALLER_METHOD, "from_method"},
	    {METADATA_NAME_MSG_TYPE, "msg_type"},
	    {METADATA_NAME_FRAME_TYPE, "frame_type"},
	};
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		ck_assert_int_eq(metadata_spellings[words[i].name].number,
		    fact_int_named(slice_str(words[i].word)));
	for (int i = 0; i < METADATA_NAMES; i++)
		n += metadata_spellings[i].number != 0;
	ck_assert_uint_eq(n, ARRAY_LEN(words));
}
END_TEST

/* ---- kinds ---- */

START_TEST(what_is_lost_is_counted_in_one_class_or_none)
{
	for (int kind = 0; kind < METADATA_KINDS; kind++) {
		struct rpc_edit edit = {.retry = 0};
		unsigned n = 0;

		metadata_drop(&edit, (enum metadata_kind)kind);
		for (int i = 0; i < RPC_DROPPED_CLASSES; i++)
			n += edit.dropped[i];
		ck_assert_uint_eq(n, kind != METADATA_WRAPPING);
	}
}
END_TEST

START_TEST(nothing_is_carried_both_ways_of_a_call)
{
	for (int kind = 0; kind < METADATA_KINDS; kind++)
		ck_assert(!metadata_is_carried((enum metadata_kind)kind, false) ||
			  !metadata_is_carried((enum metadata_kind)kind, true));
}
END_TEST

/* ---- spellings ---- */

static struct slice draw(uint8_t room[NAME_ROOM], struct slice prefix, const char *alphabet)
{
	size_t len = 1 + rng_below(&rng, 24);

	if (prefix.len)
		memcpy(room, prefix.data, prefix.len);
	for (size_t i = 0; i < len; i++)
		room[prefix.len + i] = (uint8_t)alphabet[rng_below(&rng, strlen(alphabet))];
	return slice_of(room, prefix.len + len);
}

static const enum metadata_kind carried[] = {
    METADATA_PERSISTENT, METADATA_TRANSIENT, METADATA_BACKWARD, METADATA_HEADER};

#define KEY_SIGNS   "abcxyzABCXYZ0189_-.~!"
#define FIELD_SIGNS "abcxyz0189-.~!"

/* What a reader of HTTP/2 makes of it: capitals and '_', or what applications call so themselves in
 * small letters. */
static void fold(struct slice key, enum metadata_kind kind, char *to)
{
	struct slice prefix = metadata_prefix(kind)->key;
	size_t skip = kind == METADATA_BACKWARD ? 0 : prefix.len;

	for (size_t i = 0; i < key.len; i++) {
		char c = (char)key.data[i];

		if (kind == METADATA_HEADER)
			c = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
		else if (i >= skip)
			c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c & 0xdf) : c;
		to[i] = c;
	}
}

START_TEST(a_key_comes_back_folded_and_as_nothing_else)
{
	uint8_t room[NAME_ROOM], back_room[METADATA_NAME_MAX];
	char expected[NAME_ROOM];

	rng_init(&rng, (uint64_t)_i);
	for (int round = 0; round < 5000; round++) {
		enum metadata_kind kind = carried[rng_below(&rng, ARRAY_LEN(carried))];
		struct slice prefix =
		    kind == METADATA_BACKWARD ? SLICE_NONE : metadata_prefix(kind)->key;
		struct slice key = draw(room, prefix, KEY_SIGNS), field, back;

		if (metadata_of_key(key, kind == METADATA_BACKWARD) != kind)
			continue; /* it happens to say something else: "PV_" */
		if (!metadata_to_field(kind, key, &arena, &field))
			continue;
		ck_assert_int_eq(metadata_of_field(field), kind);
		ck_assert(metadata_name_eq(metadata_bare(field, kind), metadata_bare(key, kind)));
		if (!metadata_to_key(kind, field, back_room, false, &back))
			continue; /* "k" is one, "ISN" would be another */
		fold(key, kind, expected);
		ck_assert_msg(slice_eq(back, slice_of(expected, key.len)), "%.*s: %.*s",
		    (int)key.len, (const char *)key.data, (int)back.len, (const char *)back.data);
	}
}
END_TEST

START_TEST(a_field_comes_back_as_it_was)
{
	uint8_t room[NAME_ROOM], key_room[METADATA_NAME_MAX];
	unsigned n = 0;

	rng_init(&rng, (uint64_t)_i);
	for (int round = 0; round < 5000; round++) {
		enum metadata_kind kind = carried[rng_below(&rng, ARRAY_LEN(carried))];
		struct slice field = draw(room, metadata_prefix(kind)->field, FIELD_SIGNS);
		bool with_prefix = rng_below(&rng, 2);
		struct slice key, back;

		if (metadata_of_field(field) != kind)
			continue;
		if (!metadata_to_key(kind, field, key_room, with_prefix, &key))
			continue;
		ck_assert_int_eq(metadata_of_key(key, kind == METADATA_BACKWARD), kind);
		ck_assert(metadata_to_field(kind, key, &arena, &back));
		ck_assert_msg(slice_eq(back, field), "%.*s: %.*s", (int)field.len,
		    (const char *)field.data, (int)back.len, (const char *)back.data);
		n++;
	}
	ck_assert_uint_gt(n, 4000);
}
END_TEST

START_TEST(the_names_of_traces_keep_their_spelling)
{
	static const char *const names[] = {"traceparent", "tracestate", "b3", "x-b3-traceid"};
	uint8_t room[METADATA_NAME_MAX];
	struct slice key;
	char text[64];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(text, sizeof text, "rpc-transit-%s", names[i]);
		ck_assert(metadata_to_key(METADATA_TRANSIENT, slice_str(text), room, false, &key));
		snprintf(text, sizeof text, "RPC_TRANSIT_%s", names[i]);
		ck_assert(slice_eq_str(key, text));
	}
}
END_TEST

START_TEST(the_token_has_one_name_on_each_side)
{
	uint8_t room[METADATA_NAME_MAX];
	struct slice name;

	ck_assert(metadata_to_field(METADATA_ACL, SLICE_NONE, &arena, &name));
	ck_assert(slice_eq_str(name, METADATA_TOKEN_FIELD));
	ck_assert_int_eq(metadata_of_field(name), METADATA_ACL);
	ck_assert(metadata_to_key(METADATA_ACL, name, room, false, &name));
	ck_assert(slice_eq_str(name, METADATA_TOKEN_KEY));
	ck_assert_int_eq(metadata_of_key(name, false), METADATA_ACL);
	ck_assert(slice_eq_str(metadata_bare(name, METADATA_ACL), "gdpr-token"));
}
END_TEST

START_TEST(a_backward_value_gets_the_prefix_that_its_reader_wants)
{
	uint8_t room[METADATA_NAME_MAX];
	struct slice field = SLICE_LIT("rpc-backward-log-id"), key;

	ck_assert(metadata_to_key(METADATA_BACKWARD, field, room, false, &key));
	ck_assert(slice_eq_str(key, "LOG_ID"));
	ck_assert(metadata_to_key(METADATA_BACKWARD, field, room, true, &key));
	ck_assert(slice_eq_str(key, "RPC_BACKWARD_LOG_ID"));
}
END_TEST

/* Without the prefix it would tell the caller something that the callee did not say. */
START_TEST(a_backward_value_becomes_no_key_with_a_meaning)
{
	static const char *const names[] = {"rpc-backward-rpc-persist-k",
	    "rpc-backward-rpc-transit-gdpr-token", "rpc-backward-pv-sum", "rpc-backward-"};
	uint8_t room[METADATA_NAME_MAX];
	struct slice key;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ck_assert_msg(
		    !metadata_to_key(METADATA_BACKWARD, slice_str(names[i]), room, false, &key),
		    "%s", names[i]);
}
END_TEST

START_TEST(names_at_the_limits)
{
	uint8_t room[NAME_ROOM], back_room[METADATA_NAME_MAX];

	for (size_t i = 0; i < ARRAY_LEN(carried); i++) {
		const struct metadata_spelling *known = metadata_prefix(carried[i]);
		size_t extra = carried[i] == METADATA_BACKWARD ? 0 : known->key.len;
		struct slice key, field, back;

		memset(room, 'K', sizeof room);
		memcpy(room, known->key.data ? known->key.data : room, extra);
		for (size_t len = 0; len < 2; len++) {
			key = slice_of(room, extra + len);
			ck_assert(metadata_to_field(carried[i], key, &arena, &field) == !!len);
		}
		key = slice_of(room, METADATA_NAME_MAX - known->field.len + extra);
		ck_assert(metadata_to_field(carried[i], key, &arena, &field));
		ck_assert_uint_eq(field.len, METADATA_NAME_MAX);
		ck_assert(metadata_to_key(carried[i], field, back_room, false, &back));
		ck_assert_uint_eq(back.len, key.len);
		key.len++;
		ck_assert(!metadata_to_field(carried[i], key, &arena, &field));
	}
}
END_TEST

START_TEST(what_is_no_name_of_a_field_has_none)
{
	static const char *const keys[] = {"RPC_PERSIST_a b", "RPC_PERSIST_a:b",
	    "RPC_PERSIST_\xc3\xa4", "RPC_PERSIST_a\x7f", "RPC_TRANSIT_a/b", "RPC_TRANSIT_a\"",
	    "RPC_TRANSIT_(a)"};
	struct slice field;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		ck_assert_msg(!metadata_to_field(metadata_of_key(slice_str(keys[i]), false),
				  slice_str(keys[i]), &arena, &field),
		    "%s", keys[i]);
}
END_TEST

/* A header of an application whose name means something on the other side stays behind. */
START_TEST(a_header_never_becomes_what_it_was_not)
{
	static const char *const keys[] = {"Host", "TE", "Content-Type", "Source-Service",
	    "RPC-PERSIST-K", "Grpc-Timeout", "Biz-Status", "rpc-transit-gdpr-token"};
	static const char *const fields[] = {"isn", "rip", "crrst", "crc32c"};
	uint8_t room[METADATA_NAME_MAX];
	struct slice name;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		ck_assert_msg(
		    !metadata_to_field(METADATA_HEADER, slice_str(keys[i]), &arena, &name), "%s",
		    keys[i]);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		ck_assert_msg(
		    !metadata_to_key(METADATA_HEADER, slice_str(fields[i]), room, false, &name),
		    "%s", fields[i]);
}
END_TEST

START_TEST(names_are_alike_when_http2_cannot_tell_them_apart)
{
	uint8_t one[NAME_ROOM], other[NAME_ROOM];

	rng_init(&rng, (uint64_t)_i);
	ck_assert(metadata_name_eq(SLICE_NONE, SLICE_NONE));
	for (int round = 0; round < 5000; round++) {
		struct slice key = draw(one, metadata_key(METADATA_NAME_PERSISTENT), KEY_SIGNS);
		struct slice like = slice_of(other, key.len), a, b;

		memcpy(other, one, key.len);
		for (size_t i = METADATA_PREFIX; i < key.len; i++)
			if (rng_below(&rng, 8) == 0)
				other[i] = (uint8_t)KEY_SIGNS[rng_below(&rng, strlen(KEY_SIGNS))];
		ck_assert(metadata_to_field(METADATA_PERSISTENT, key, &arena, &a));
		ck_assert(metadata_to_field(METADATA_PERSISTENT, like, &arena, &b));
		ck_assert(metadata_name_eq(key, like) == slice_eq(a, b));
		ck_assert(!metadata_name_eq(key, slice_first(like, key.len - 1)));
	}
}
END_TEST

START_TEST(a_value_is_one_of_a_field_if_no_reader_changes_it)
{
	static const char *const good[] = {"", "a", "a b", "a\tb", "\xc3\xa4", "!", "~"};
	static const char *const bad[] = {" ", " a", "a ", "a\n", "\r", "a\x7f", "\x01", "\ta"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(metadata_is_field_value(slice_str(good[i])), "\"%s\"", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!metadata_is_field_value(slice_str(bad[i])), "\"%s\"", bad[i]);
	ck_assert(!metadata_is_field_value(slice_of("a\0b", 3)));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {every_name_of_the_table_is_found_and_every_number, 1},
	    {names_that_are_nearly_known_are_told_apart, 4},
	    {rules_may_change_what_the_table_leaves_free, 4},
	    {int_keys_of_facts_are_named_alike_in_the_configuration, 1},
	    {what_is_lost_is_counted_in_one_class_or_none, 1},
	    {nothing_is_carried_both_ways_of_a_call, 1},
	    {a_key_comes_back_folded_and_as_nothing_else, 4},
	    {a_field_comes_back_as_it_was, 4},
	    {the_names_of_traces_keep_their_spelling, 1},
	    {the_token_has_one_name_on_each_side, 1},
	    {a_backward_value_gets_the_prefix_that_its_reader_wants, 1},
	    {a_backward_value_becomes_no_key_with_a_meaning, 1},
	    {names_at_the_limits, 1},
	    {what_is_no_name_of_a_field_has_none, 1},
	    {a_header_never_becomes_what_it_was_not, 1},
	    {names_are_alike_when_http2_cannot_tell_them_apart, 4},
	    {a_value_is_one_of_a_field_if_no_reader_changes_it, 1},
	};

	return suite_run_between("metadata", tests, ARRAY_LEN(tests), begin, end);
}
