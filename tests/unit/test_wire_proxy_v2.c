#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "support/bytes.h"
#include "support/suite.h"
#include "wire/proxy_v2.h"

#define SIGNATURE 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a

static uint8_t room[512];

static struct address address(const char *text)
{
	struct address a;
	struct err err;

	ck_assert_msg(address_parse(&a, slice_str(text), &err) == 0, "%s", text);
	return a;
}

static void check_addresses(
    const char *from_text, const char *to_text, enum proxy_v2_family family, struct slice expected)
{
	struct address from = address(from_text), to = address(to_text);
	struct writer w = writer_of(room, sizeof room);

	ck_assert_int_eq(proxy_v2_write_addresses(&w, &from, &to), family);
	ck_assert(!w.bad);
	ck_assert_uint_eq(writer_len(&w), expected.len);
	ck_assert(slice_eq(writer_slice(&w), expected));
}

START_TEST(addresses_stand_first_and_ports_behind_them)
{
	check_addresses("192.0.2.7:5555", "10.1.2.3:80", PROXY_V2_TCP4,
	    BYTES(192, 0, 2, 7, 10, 1, 2, 3, 0x15, 0xb3, 0, 80));
	check_addresses("[2001:db8::1]:65535", "[::1]:1", PROXY_V2_TCP6,
	    BYTES(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 1));
}
END_TEST

START_TEST(ipv4_that_came_to_a_socket_of_ipv6_is_ipv4)
{
	check_addresses("[::ffff:192.0.2.7]:9", "[::ffff:127.0.0.1]:8", PROXY_V2_TCP4,
	    BYTES(192, 0, 2, 7, 127, 0, 0, 1, 0, 9, 0, 8));
	check_addresses("[::ffff:192.0.2.7]:9", "127.0.0.1:8", PROXY_V2_TCP4,
	    BYTES(192, 0, 2, 7, 127, 0, 0, 1, 0, 9, 0, 8));
}
END_TEST

START_TEST(ends_of_two_families_have_no_addresses)
{
	check_addresses("192.0.2.7:9", "[::1]:8", PROXY_V2_UNSPEC, SLICE_NONE);
	check_addresses("192.0.2.7:9", "unix:/run/a.sock", PROXY_V2_UNSPEC, SLICE_NONE);
	check_addresses("unix:/run/a.sock", "[::1]:8", PROXY_V2_UNSPEC, SLICE_NONE);
	check_addresses("host.example:1", "127.0.0.1:8", PROXY_V2_UNSPEC, SLICE_NONE);
}
END_TEST

START_TEST(names_of_unix_sockets_are_filled_up_with_zeros)
{
	uint8_t expected[216] = {0};

	memcpy(expected + 1, "caller", 6);
	memcpy(expected + 108, "/run/in.sock", 12);
	check_addresses("unix:@caller", "unix:/run/in.sock", PROXY_V2_UNIX,
	    slice_of(expected, sizeof expected));
}
END_TEST

START_TEST(the_longest_name_of_a_unix_socket_fits)
{
	char text[5 + ADDRESS_PATH_MAX + 1] = "unix:";
	uint8_t expected[216] = {0};

	memset(text + 5, 'x', ADDRESS_PATH_MAX);
	text[5] = '/';
	memcpy(expected, text + 5, ADDRESS_PATH_MAX);
	memcpy(expected + 108, text + 5, ADDRESS_PATH_MAX);
	check_addresses(text, text, PROXY_V2_UNIX, slice_of(expected, sizeof expected));
}
END_TEST

START_TEST(a_unix_socket_without_a_name_is_all_zeros)
{
	static const uint8_t nothing[216];
	struct address none = {.kind = ADDRESS_UNIX, .sa.ss_family = AF_UNIX};
	struct writer w = writer_of(room, sizeof room);

	for (none.len = 0; none.len <= sizeof(sa_family_t); none.len += sizeof(sa_family_t)) {
		w = writer_of(room, sizeof room);
		ck_assert_int_eq(proxy_v2_write_addresses(&w, &none, &none), PROXY_V2_UNIX);
		ck_assert(slice_eq(writer_slice(&w), slice_of(nothing, sizeof nothing)));
	}
}
END_TEST

START_TEST(a_header_begins_with_its_signature)
{
	struct writer w = writer_of(room, sizeof room);

	proxy_v2_write_start(&w, PROXY_V2_PROXY, PROXY_V2_UNIX, 0x1234);
	ck_assert(slice_eq(writer_slice(&w), BYTES(SIGNATURE, 0x21, 0x31, 0x12, 0x34)));
	w = writer_of(room, sizeof room);
	proxy_v2_write_start(&w, PROXY_V2_LOCAL, PROXY_V2_UNSPEC, 0);
	ck_assert(slice_eq(writer_slice(&w), BYTES(SIGNATURE, 0x20, 0, 0, 0)));
	ck_assert_uint_eq(writer_len(&w), PROXY_V2_START);
}
END_TEST

START_TEST(a_value_has_its_type_and_length)
{
	struct writer w = writer_of(room, sizeof room);

	proxy_v2_write_value(&w, PROXY_V2_AUTHORITY, SLICE_LIT("shop"));
	proxy_v2_write_value(&w, PROXY_V2_UID, SLICE_NONE);
	ck_assert(slice_eq(writer_slice(&w), BYTES(2, 0, 4, 's', 'h', 'o', 'p', 0xe2, 0, 0)));
}
END_TEST

START_TEST(a_value_that_is_too_long_is_bad)
{
	uint8_t *text = mem_calloc(1, UINT16_MAX + 1);
	uint8_t *big = mem_calloc(1, UINT16_MAX + 10);
	struct writer w = writer_of(big, UINT16_MAX + 10);

	proxy_v2_write_value(&w, PROXY_V2_CALLER, slice_of(text, UINT16_MAX));
	ck_assert(!w.bad);
	ck_assert_uint_eq(writer_len(&w), UINT16_MAX + 3);
	w = writer_of(big, UINT16_MAX + 10);
	proxy_v2_write_value(&w, PROXY_V2_CALLER, slice_of(text, UINT16_MAX + 1));
	ck_assert(w.bad);
	free(text);
	free(big);
}
END_TEST

/* ---- reading ---- */

static struct slice whole;

static void write_one(void)
{
	struct address from = address("192.0.2.7:5555"), to = address("10.1.2.3:80");
	struct writer w = writer_of(room, sizeof room);

	proxy_v2_write_start(&w, PROXY_V2_PROXY, PROXY_V2_TCP4, 12 + 7 + 3);
	proxy_v2_write_addresses(&w, &from, &to);
	proxy_v2_write_value(&w, PROXY_V2_CALLER, SLICE_LIT("shop"));
	proxy_v2_write_value(&w, 0x99, SLICE_NONE);
	whole = writer_slice(&w);
}

START_TEST(what_was_written_is_read)
{
	struct proxy_v2_head head;
	struct cursor values;
	struct slice value;
	uint8_t type;

	write_one();
	ck_assert_int_eq(proxy_v2_read(whole, &head), PROXY_V2_OK);
	ck_assert_int_eq(head.command, PROXY_V2_PROXY);
	ck_assert_uint_eq(head.family, PROXY_V2_TCP4);
	ck_assert_uint_eq(head.len, whole.len);
	ck_assert_ptr_eq(head.addresses.data, whole.data + PROXY_V2_START);
	ck_assert_uint_eq(head.addresses.len, 12);
	values = cursor_of(head.values);
	ck_assert(proxy_v2_next(&values, &type, &value));
	ck_assert_uint_eq(type, PROXY_V2_CALLER);
	ck_assert(slice_eq_str(value, "shop"));
	ck_assert(proxy_v2_next(&values, &type, &value));
	ck_assert_uint_eq(type, 0x99);
	ck_assert_uint_eq(value.len, 0);
	ck_assert(!proxy_v2_next(&values, &type, &value));
	ck_assert(!values.bad);
}
END_TEST

START_TEST(a_part_of_a_header_may_become_one)
{
	struct proxy_v2_head head;

	write_one();
	for (size_t len = 0; len < whole.len; len++)
		ck_assert_int_eq(proxy_v2_read(slice_first(whole, len), &head), PROXY_V2_MORE);
	whole.len += 5; /* what follows is not looked at */
	ck_assert_int_eq(proxy_v2_read(whole, &head), PROXY_V2_OK);
	ck_assert_uint_eq(head.len, whole.len - 5);
}
END_TEST

START_TEST(anything_else_is_no_header)
{
	static const struct {
		unsigned at;
		uint8_t byte;
	} wrong[] = {{0, 'P'}, {4, 1}, {11, '\r'}, {12, 0x11}, {12, 0x31}, {12, 0x22}, {12, 0x2f},
	    {13, 0x12}, {13, 0x22}, {13, 0x32}, {13, 0x41}, {13, 0x31}, {13, 0x21}, {13, 0xff}};
	struct proxy_v2_head head;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		write_one();
		room[wrong[i].at] = wrong[i].byte;
		ck_assert_msg(proxy_v2_read(whole, &head) == PROXY_V2_BAD, "%u: %#x", wrong[i].at,
		    wrong[i].byte);
	}
	ck_assert_int_eq(proxy_v2_read(SLICE_LIT("GET"), &head), PROXY_V2_BAD);
}
END_TEST

START_TEST(what_stands_in_a_local_header_means_nothing)
{
	struct proxy_v2_head head;

	write_one();
	room[12] = 0x20;
	room[13] = 0x7e;
	ck_assert_int_eq(proxy_v2_read(whole, &head), PROXY_V2_OK);
	ck_assert_int_eq(head.command, PROXY_V2_LOCAL);
	ck_assert_uint_eq(head.len, whole.len);
	ck_assert_uint_eq(head.addresses.len + head.values.len, 0);
}
END_TEST

START_TEST(values_that_are_cut_off_are_bad)
{
	struct slice good = BYTES(0xe0, 0, 2, 'a', 'b'), value;

	for (size_t len = 1; len < good.len; len++) {
		struct cursor values = cursor_of(slice_first(good, len));
		uint8_t type;

		ck_assert(!proxy_v2_next(&values, &type, &value));
		ck_assert(values.bad);
		ck_assert(!proxy_v2_next(&values, &type, &value));
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    addresses_stand_first_and_ports_behind_them,
	    ipv4_that_came_to_a_socket_of_ipv6_is_ipv4,
	    ends_of_two_families_have_no_addresses,
	    names_of_unix_sockets_are_filled_up_with_zeros,
	    the_longest_name_of_a_unix_socket_fits,
	    a_unix_socket_without_a_name_is_all_zeros,
	    a_header_begins_with_its_signature,
	    a_value_has_its_type_and_length,
	    a_value_that_is_too_long_is_bad,
	    what_was_written_is_read,
	    a_part_of_a_header_may_become_one,
	    anything_else_is_no_header,
	    what_stands_in_a_local_header_means_nothing,
	    values_that_are_cut_off_are_bad,
	};

	return suite_run("wire_proxy_v2", tests, ARRAY_LEN(tests));
}
