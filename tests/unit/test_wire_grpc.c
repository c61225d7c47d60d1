#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/bytes.h"
#include "support/suite.h"
#include "wire/grpc.h"

/* ---- messages ---- */

/* Three messages: of three bytes, of none, and a compressed one of two. */
static const uint8_t stream[] = {
    0, 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe};
static const size_t ends[] = {8, 13, 20};

static struct grpc_walk walk;
static struct grpc_ended ended;
static struct wire_note note;

START_TEST(messages_are_counted_in_pieces_of_any_size)
{
	for (size_t step = 1; step <= sizeof stream; step++) {
		struct grpc_ended sum = {0};

		grpc_walk_init(&walk, 3);
		for (size_t at = 0; at < sizeof stream; at += step) {
			struct slice piece =
			    slice_first(slice_from(slice_of(stream, sizeof stream), at), step);

			ck_assert_int_eq(grpc_walk(&walk, piece, &ended, &note), WIRE_OK);
			sum.n += ended.n;
			sum.bytes += ended.bytes;
		}
		ck_assert_uint_eq(sum.n, 3);
		ck_assert_uint_eq(sum.bytes, 5);
		ck_assert(grpc_walk_is_between(&walk));
		ck_assert(walk.is_compressed);
	}
}
END_TEST

START_TEST(a_direction_may_end_between_messages_only)
{
	grpc_walk_init(&walk, 3);
	ck_assert(grpc_walk_is_between(&walk));
	for (size_t i = 0; i < sizeof stream; i++) {
		bool is_end = false;

		ck_assert_int_eq(grpc_walk(&walk, slice_of(stream + i, 1), &ended, &note), WIRE_OK);
		for (size_t k = 0; k < ARRAY_LEN(ends); k++)
			is_end |= ends[k] == i + 1;
		ck_assert_int_eq(grpc_walk_is_between(&walk), is_end);
		ck_assert_uint_eq(ended.n, is_end);
	}
}
END_TEST

START_TEST(the_flag_of_compression_stays_once_it_was_seen)
{
	grpc_walk_init(&walk, 9);
	ck_assert_int_eq(grpc_walk(&walk, BYTES(0, 0, 0, 0, 0), &ended, &note), WIRE_OK);
	ck_assert(!walk.is_compressed);
	ck_assert_int_eq(grpc_walk(&walk, BYTES(1, 0, 0, 0, 0), &ended, &note), WIRE_OK);
	ck_assert_int_eq(grpc_walk(&walk, BYTES(0, 0, 0, 0, 0), &ended, &note), WIRE_OK);
	ck_assert(walk.is_compressed);
}
END_TEST

START_TEST(a_long_message_is_refused_with_its_prefix)
{
	grpc_walk_init(&walk, 0x1000);
	ck_assert_int_eq(grpc_walk(&walk, BYTES(0, 0, 0, 0x10, 0), &ended, &note), WIRE_OK);
	ck_assert_uint_eq(ended.n, 0);
	grpc_walk_init(&walk, 0xfff);
	ck_assert_int_eq(grpc_walk(&walk, BYTES(0, 0, 0, 0x10), &ended, &note), WIRE_OK);
	ck_assert_int_eq(grpc_walk(&walk, BYTES(0), &ended, &note), WIRE_TOO_LARGE);
	ck_assert_ptr_nonnull(note.why);
	grpc_walk_init(&walk, UINT32_MAX);
	ck_assert_int_eq(
	    grpc_walk(&walk, BYTES(0, 0xff, 0xff, 0xff, 0xff, 1), &ended, &note), WIRE_OK);
	ck_assert_uint_eq(walk.left, UINT32_MAX - 1);
}
END_TEST

START_TEST(a_flag_that_is_neither_0_nor_1_is_refused_at_once)
{
	for (unsigned flag = 2; flag < 256; flag++) {
		grpc_walk_init(&walk, 9);
		ck_assert_int_eq(grpc_walk(&walk, BYTES((uint8_t)flag), &ended, &note), WIRE_BAD);
		ck_assert_ptr_nonnull(note.why);
	}
}
END_TEST

START_TEST(a_written_prefix_reads_as_its_message)
{
	uint8_t prefix[GRPC_PREFIX];

	grpc_prefix_write(prefix, 0x01020304);
	ck_assert(slice_eq(slice_of(prefix, sizeof prefix), BYTES(0, 1, 2, 3, 4)));
}
END_TEST

/* ---- grpc-timeout ---- */

static const struct {
	const char *text;
	usec_t timeout;
} timeouts[] = {
    {"1H", 3600 * USEC_S},
    {"2M", 120 * USEC_S},
    {"99999999S", GRPC_TIMEOUT_MAX},
    {"86400000S", GRPC_TIMEOUT_MAX},
    {"86399999S", 86399999 * USEC_S},
    {"99999999H", GRPC_TIMEOUT_MAX},
    {"100m", 100 * USEC_MS},
    {"00000001m", USEC_MS},
    {"7u", 7},
    {"1n", 1},
    {"1000n", 1},
    {"1001n", 2},
    {"99999999n", 100000},
    /* junk, and zero */
    {"", USEC_NONE},
    {"m", USEC_NONE},
    {"5", USEC_NONE},
    {"0m", USEC_NONE},
    {"00000000n", USEC_NONE},
    {"000000001m", USEC_NONE},
    {"123456789m", USEC_NONE},
    {"-1m", USEC_NONE},
    {"+1m", USEC_NONE},
    {"1.5S", USEC_NONE},
    {" 1S", USEC_NONE},
    {"1 S", USEC_NONE},
    {"1s", USEC_NONE},
    {"1h", USEC_NONE},
    {"1x", USEC_NONE},
    {"1ms", USEC_NONE},
};

START_TEST(a_timeout_is_read_or_ignored)
{
	usec_t timeout = grpc_timeout_read(slice_str(timeouts[_i].text));

	ck_assert_msg(timeout == timeouts[_i].timeout, "\"%s\": %llu", timeouts[_i].text,
	    (unsigned long long)timeout);
}
END_TEST

static void check_timeout(usec_t timeout, const char *text)
{
	char room[GRPC_TIMEOUT_ROOM];
	struct slice written = grpc_timeout_write(timeout, room);

	ck_assert_msg(slice_eq_str(written, text), "%llu: %.*s", (unsigned long long)timeout,
	    (int)written.len, (const char *)written.data);
}

START_TEST(a_timeout_is_written_in_the_finest_unit_that_holds_it)
{
	check_timeout(0, "0n");
	check_timeout(1, "1000n");
	check_timeout(99999, "99999000n");
	check_timeout(100000, "100000u");
	check_timeout(99999999, "99999999u");
	check_timeout(100000000, "100000m");
	check_timeout(100000001, "100001m"); /* rounded up */
	check_timeout(99999999 * USEC_MS, "99999999m");
	check_timeout(99999999 * USEC_MS + 1, "100000S");
	check_timeout(99999999 * USEC_S, "86400000S"); /* cut to the longest */
	check_timeout(USEC_NONE, "86400000S");
}
END_TEST

START_TEST(a_timeout_that_was_written_reads_as_no_less)
{
	for (usec_t t = 1; t < GRPC_TIMEOUT_MAX; t = t * 3 + 1) {
		char room[GRPC_TIMEOUT_ROOM];
		usec_t back = grpc_timeout_read(grpc_timeout_write(t, room));

		ck_assert_uint_ge(back, t);
		ck_assert_uint_le(back - t, t / 1000);
	}
}
END_TEST

/* ---- grpc-message ---- */

static void check_message(const char *plain, const char *encoded)
{
	uint8_t room[256];
	struct writer w = writer_of(room, sizeof room);

	grpc_message_encode(&w, slice_str(plain));
	ck_assert_msg(slice_eq_str(writer_slice(&w), encoded), "%.*s", (int)writer_len(&w), room);
	w = writer_of(room, strlen(encoded));
	grpc_message_decode(&w, slice_str(encoded));
	ck_assert(!w.bad);
	ck_assert(slice_eq_str(writer_slice(&w), plain));
}

START_TEST(a_message_goes_there_and_back)
{
	check_message("", "");
	check_message("plain ~text!", "plain ~text!");
	check_message("100%", "100%25");
	check_message("a\nb\x7f", "a%0Ab%7F");
	check_message("\xe4\xbd\xa0", "%E4%BD%A0");
	check_message(" ends ", "%20ends%20"); /* no field may begin or end with a blank */
	check_message(" ", "%20");
}
END_TEST

START_TEST(every_byte_of_a_message_goes_there_and_back)
{
	uint8_t plain[256], coded[3 * sizeof plain], back[sizeof coded];
	struct writer w = writer_of(coded, sizeof coded), b = writer_of(back, sizeof back);

	for (size_t i = 0; i < sizeof plain; i++)
		plain[i] = (uint8_t)i;
	grpc_message_encode(&w, slice_of(plain, sizeof plain));
	ck_assert(!w.bad);
	for (size_t i = 0; i < writer_len(&w); i++)
		ck_assert(coded[i] >= ' ' && coded[i] <= '~');
	grpc_message_decode(&b, writer_slice(&w));
	ck_assert(slice_eq(writer_slice(&b), slice_of(plain, sizeof plain)));
}
END_TEST

START_TEST(escapes_that_are_none_stay_as_they_are)
{
	static const char *const texts[] = {"%", "%4", "50%", "%zz", "%4g", "%%", "a%\xe4%"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		uint8_t room[16];
		struct writer w = writer_of(room, strlen(texts[i]));

		grpc_message_decode(&w, slice_str(texts[i]));
		ck_assert_msg(slice_eq_str(writer_slice(&w), texts[i]), "%s", texts[i]);
	}
}
END_TEST

START_TEST(escapes_in_either_case_are_read)
{
	uint8_t room[16];
	struct writer w = writer_of(room, sizeof room);

	grpc_message_decode(&w, SLICE_LIT("%2f%2F%%41"));
	ck_assert(slice_eq(writer_slice(&w), SLICE_LIT("//%A")));
}
END_TEST

/* ---- binary values ---- */

static const struct {
	const char *plain, *coded, *padded;
} binaries[] = {
    {"", "", ""},
    {"f", "Zg", "Zg=="},
    {"fo", "Zm8", "Zm8="},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg", "Zm9vYg=="},
    {"\xff\xfe\xfd", "//79", "//79"},
    {"\xfb\xef\xbe", "++++", "++++"},
};

static bool decodes_to(const char *text, const char *plain)
{
	uint8_t room[32];
	struct writer w = writer_of(room, strlen(text));

	return grpc_binary_decode(&w, slice_str(text)) && slice_eq_str(writer_slice(&w), plain);
}

START_TEST(binary_values_are_base64_with_or_without_padding)
{
	uint8_t room[32];
	struct writer w = writer_of(room, sizeof room);

	grpc_binary_encode(&w, slice_str(binaries[_i].plain));
	ck_assert(slice_eq_str(writer_slice(&w), binaries[_i].coded));
	ck_assert(decodes_to(binaries[_i].coded, binaries[_i].plain));
	ck_assert(decodes_to(binaries[_i].padded, binaries[_i].plain));
}
END_TEST

START_TEST(what_is_no_base64_is_refused)
{
	static const char *const junk[] = {
	    "A", "Zm9vY", "Zg=", "=", "==", "====", "Z===", "Zm 8", "Zm9v,Zm9v", "Zm-_", "Z=g="};

	for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
		uint8_t room[16];
		struct writer w = writer_of(room, sizeof room);

		ck_assert_msg(!grpc_binary_decode(&w, slice_str(junk[i])), "%s", junk[i]);
	}
}
END_TEST

START_TEST(binary_fields_are_known_by_their_names)
{
	ck_assert(grpc_is_binary(SLICE_LIT("x-bin")));
	ck_assert(grpc_is_binary(SLICE_LIT("-bin")));
	ck_assert(!grpc_is_binary(SLICE_LIT("bin")));
	ck_assert(!grpc_is_binary(SLICE_LIT("x-bins")));
	ck_assert(!grpc_is_binary(SLICE_NONE));
}
END_TEST

/* ---- content-type, :path, status ---- */

static const struct {
	const char *text;
	enum grpc_content content;
} contents[] = {
    {"application/grpc", GRPC_CONTENT_PROTOBUF},
    {"application/grpc+proto", GRPC_CONTENT_PROTOBUF},
    {"application/grpc;charset=utf-8", GRPC_CONTENT_PROTOBUF},
    {"application/grpc+", GRPC_CONTENT_PROTOBUF},
    {"application/grpc+thrift", GRPC_CONTENT_THRIFT},
    {"application/grpc;thrift", GRPC_CONTENT_THRIFT},
    {"application/grpc+thrift2", GRPC_CONTENT_PROTOBUF},
    {"application/grpc+Thrift", GRPC_CONTENT_PROTOBUF},
    {"application/grpc-web", GRPC_CONTENT_NONE},
    {"application/grpcx", GRPC_CONTENT_NONE},
    {"application/grp", GRPC_CONTENT_NONE},
    {"application/json", GRPC_CONTENT_NONE},
    {"text/html", GRPC_CONTENT_NONE},
    {"", GRPC_CONTENT_NONE},
};

START_TEST(content_types_tell_the_payload)
{
	ck_assert_msg(grpc_content_type(slice_str(contents[_i].text)) == contents[_i].content, "%s",
	    contents[_i].text);
}
END_TEST

static const struct {
	const char *path, *service, *name, *method;
} paths[] = {
    {"/echo.v1.Echo/Say", "echo.v1.Echo", "Echo", "Say"},
    {"/Echo/Say", "Echo", "Echo", "Say"},
    {"Echo/Say", "Echo", "Echo", "Say"},
    {"/a/b.C/d", "a/b.C", "C", "d"},
    {"/.Echo/Say", ".Echo", "Echo", "Say"},
};

START_TEST(paths_are_split_at_the_last_slash_and_the_last_dot)
{
	struct grpc_path parts;

	ck_assert(grpc_path_split(slice_str(paths[_i].path), &parts));
	ck_assert(slice_eq_str(parts.service, paths[_i].service));
	ck_assert(slice_eq_str(parts.name, paths[_i].name));
	ck_assert(slice_eq_str(parts.method, paths[_i].method));
}
END_TEST

START_TEST(paths_without_a_service_or_a_method_are_none)
{
	static const char *const bad[] = {
	    "", "/", "//", "Say", "/Say", "/Echo/", "//Say", "/p./Say"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct grpc_path parts;

		ck_assert_msg(!grpc_path_split(slice_str(bad[i]), &parts), "%s", bad[i]);
	}
}
END_TEST

START_TEST(a_status_is_any_number)
{
	uint32_t status;

	ck_assert(grpc_status_read(SLICE_LIT("0"), &status) && status == 0);
	ck_assert(grpc_status_read(SLICE_LIT("20"), &status) && status == 20);
	ck_assert(grpc_status_read(SLICE_LIT("2147483647"), &status) && status == INT32_MAX);
	ck_assert(!grpc_status_read(SLICE_LIT("2147483648"), &status));
	ck_assert(!grpc_status_read(SLICE_LIT("-1"), &status));
	ck_assert(!grpc_status_read(SLICE_LIT("x"), &status));
	ck_assert(!grpc_status_read(SLICE_NONE, &status));
}
END_TEST

START_TEST(http_statuses_stand_for_those_of_grpc)
{
	static const unsigned pairs[][2] = {{400, 13}, {401, 16}, {403, 7}, {404, 12}, {429, 14},
	    {502, 14}, {503, 14}, {504, 14}, {200, 2}, {500, 2}, {302, 2}, {0, 2}};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		ck_assert_uint_eq(grpc_status_of_http(pairs[i][0]), pairs[i][1]);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {messages_are_counted_in_pieces_of_any_size, 1},
	    {a_direction_may_end_between_messages_only, 1},
	    {the_flag_of_compression_stays_once_it_was_seen, 1},
	    {a_long_message_is_refused_with_its_prefix, 1},
	    {a_flag_that_is_neither_0_nor_1_is_refused_at_once, 1},
	    {a_written_prefix_reads_as_its_message, 1},
	    {a_timeout_is_read_or_ignored, ARRAY_LEN(timeouts)},
	    {a_timeout_is_written_in_the_finest_unit_that_holds_it, 1},
	    {a_timeout_that_was_written_reads_as_no_less, 1},
	    {a_message_goes_there_and_back, 1},
	    {every_byte_of_a_message_goes_there_and_back, 1},
	    {escapes_that_are_none_stay_as_they_are, 1},
	    {escapes_in_either_case_are_read, 1},
	    {binary_values_are_base64_with_or_without_padding, ARRAY_LEN(binaries)},
	    {what_is_no_base64_is_refused, 1},
	    {binary_fields_are_known_by_their_names, 1},
	    {content_types_tell_the_payload, ARRAY_LEN(contents)},
	    {paths_are_split_at_the_last_slash_and_the_last_dot, ARRAY_LEN(paths)},
	    {paths_without_a_service_or_a_method_are_none, 1},
	    {a_status_is_any_number, 1},
	    {http_statuses_stand_for_those_of_grpc, 1},
	};

	return suite_run_between("wire_grpc", tests, ARRAY_LEN(tests), NULL, NULL);
}
