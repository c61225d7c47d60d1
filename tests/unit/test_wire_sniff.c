#include <check.h>

#include "base/mem.h"
#include "support/bytes.h"
#include "support/suite.h"
#include "wire/sniff.h"

static const struct {
	uint8_t bytes[SNIFF_BYTES];
	enum sniff_form message, payload;
} forms[] = {
    /* length, then what the magic behind it says */
    {{0, 0, 0, 40, 0x10, 0x00, 0, 0}, SNIFF_TTHEADER, SNIFF_UNKNOWN},
    {{0, 0, 0, 40, 0x80, 0x01, 0, 1}, SNIFF_FRAMED_THRIFT, SNIFF_FRAMED_THRIFT},
    {{0, 0, 0, 40, 0x90, 0x01, 0, 1}, SNIFF_FRAMED_KITEXPB, SNIFF_FRAMED_KITEXPB},
    {{0xff, 0xaf, 0, 10, 0, 1, 0, 3}, SNIFF_MESH, SNIFF_UNKNOWN},
    {{0x80, 0x01, 0, 1, 0, 0, 0, 4}, SNIFF_BARE_THRIFT, SNIFF_BARE_THRIFT},
    /* two magics at once: the earlier step wins, as in Kitex */
    {{0x80, 0x01, 0, 1, 0x10, 0x00, 0, 0}, SNIFF_TTHEADER, SNIFF_BARE_THRIFT},
    {{0xff, 0xaf, 0, 1, 0x10, 0x00, 0, 0}, SNIFF_TTHEADER, SNIFF_UNKNOWN},
    {{0xff, 0xaf, 0, 1, 0x80, 0x01, 0, 0}, SNIFF_MESH, SNIFF_FRAMED_THRIFT},
    {{0x80, 0x01, 0, 1, 0x80, 0x01, 0, 1}, SNIFF_BARE_THRIFT, SNIFF_BARE_THRIFT},
    {{0x80, 0x01, 0, 1, 0x90, 0x01, 0, 1}, SNIFF_BARE_THRIFT, SNIFF_BARE_THRIFT},
    /* an unframed Kitex Protobuf message, compact thrift, old binary thrift, HTTP/1, TLS, zeros */
    {{0x90, 0x01, 0, 1, 0, 0, 0, 4}, SNIFF_UNKNOWN, SNIFF_UNKNOWN},
    {{0x82, 0x21, 0x07, 4, 'E', 'c', 'h', 'o'}, SNIFF_UNKNOWN, SNIFF_UNKNOWN},
    {{0, 0, 0, 4, 'E', 'c', 'h', 'o'}, SNIFF_UNKNOWN, SNIFF_UNKNOWN},
    {{'G', 'E', 'T', ' ', '/', ' ', 'H', 'T'}, SNIFF_UNKNOWN, SNIFF_UNKNOWN},
    {{0x16, 0x03, 0x01, 2, 0, 1, 0, 1}, SNIFF_UNKNOWN, SNIFF_UNKNOWN},
    {{0, 0, 0, 0, 0, 0, 0, 0}, SNIFF_UNKNOWN, SNIFF_UNKNOWN},
    /* half a magic is none */
    {{0, 0, 0, 40, 0x10, 0x01, 0, 0}, SNIFF_UNKNOWN, SNIFF_UNKNOWN},
    {{0x80, 0x02, 0, 1, 0, 0, 0, 4}, SNIFF_UNKNOWN, SNIFF_UNKNOWN},
    {{0xff, 0xae, 0, 1, 0, 0, 0, 4}, SNIFF_UNKNOWN, SNIFF_UNKNOWN},
};

START_TEST(sniff_tells_forms_in_kitex_order)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct slice first = slice_of(forms[i].bytes, SNIFF_BYTES);

		ck_assert_msg(sniff_message(first) == forms[i].message, "message %zu", i);
		ck_assert_msg(sniff_payload(first) == forms[i].payload, "payload %zu", i);
	}
}
END_TEST

START_TEST(sniff_needs_eight_bytes_to_accept)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		for (size_t len = 0; len < SNIFF_BYTES; len++) {
			struct slice first = slice_of(forms[i].bytes, len);

			if (forms[i].message != SNIFF_UNKNOWN)
				ck_assert_int_eq(sniff_message(first), SNIFF_MORE);
			if (forms[i].payload != SNIFF_UNKNOWN)
				ck_assert_int_eq(sniff_payload(first), SNIFF_MORE);
		}
}
END_TEST

/* Any other byte might come next, so an early refusal is right only if no bytes could repair it. */
START_TEST(sniff_refuses_early_only_what_nothing_can_repair)
{
	const struct slice magics[] = {
	    BYTES(0x10, 0x00), BYTES(0x80, 0x01), BYTES(0x90, 0x01), BYTES(0, 0)};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		for (size_t len = 0; len < SNIFF_BYTES; len++) {
			bool repaired = false;

			for (size_t m = 0; m < ARRAY_LEN(magics); m++) {
				uint8_t bytes[SNIFF_BYTES] = {0};

				memcpy(bytes + 4, magics[m].data, 2);
				memcpy(bytes, forms[i].bytes, len);
				repaired |=
				    sniff_message(slice_of(bytes, SNIFF_BYTES)) != SNIFF_UNKNOWN;
			}
			ck_assert_msg((sniff_message(slice_of(forms[i].bytes, len)) ==
					  SNIFF_UNKNOWN) == !repaired,
			    "form %zu after %zu bytes", i, len);
		}
}
END_TEST

START_TEST(sniff_reads_no_more_than_eight_bytes)
{
	struct slice long_call = BYTES(0, 0, 0, 40, 0x80, 0x01, 0, 1, 0xff, 0xff, 0xff, 0xff);

	ck_assert_int_eq(sniff_message(long_call), SNIFF_FRAMED_THRIFT);
	ck_assert_int_eq(sniff_family(long_call), SNIFF_FAMILY_UNARY);
}
END_TEST

START_TEST(sniff_family_knows_http2_by_its_preface)
{
	struct slice preface = SLICE_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

	for (size_t len = 0; len <= preface.len; len++)
		ck_assert_int_eq(sniff_family(slice_first(preface, len)),
		    len < SNIFF_BYTES ? SNIFF_FAMILY_MORE : SNIFF_FAMILY_HTTP2);
	ck_assert_int_eq(sniff_family(SLICE_LIT("PRI * HX")), SNIFF_FAMILY_UNKNOWN);
}
END_TEST

START_TEST(sniff_family_knows_streaming_by_its_flag)
{
	ck_assert_int_eq(sniff_family(BYTES(0, 0, 0, 40, 0x10, 0x00, 0, 2)), SNIFF_FAMILY_TTSTREAM);
	ck_assert_int_eq(
	    sniff_family(BYTES(0, 0, 0, 40, 0x10, 0x00, 0xff, 0xff)), SNIFF_FAMILY_TTSTREAM);
	ck_assert_int_eq(sniff_family(BYTES(0, 0, 0, 40, 0x10, 0x00, 0, 1)), SNIFF_FAMILY_UNARY);
	ck_assert_int_eq(sniff_family(BYTES(0, 0, 0, 40, 0x10, 0x00, 0)), SNIFF_FAMILY_MORE);
	/* the flag's place means nothing in a frame */
	ck_assert_int_eq(sniff_family(BYTES(0, 0, 0, 40, 0x80, 0x01, 0, 2)), SNIFF_FAMILY_UNARY);
}
END_TEST

/* A frame of 0x50524920 bytes begins like HTTP/2: the fifth byte on decides. */
START_TEST(sniff_family_waits_while_two_are_possible)
{
	ck_assert_int_eq(sniff_family(SLICE_LIT("PRI ")), SNIFF_FAMILY_MORE);
	ck_assert_int_eq(
	    sniff_family(BYTES('P', 'R', 'I', ' ', 0x80, 0x01, 0, 1)), SNIFF_FAMILY_UNARY);
	ck_assert_int_eq(sniff_family(BYTES('P', 'R', 'I', ' ', 0x80)), SNIFF_FAMILY_MORE);
	ck_assert_int_eq(sniff_family(SLICE_NONE), SNIFF_FAMILY_MORE);
}
END_TEST

START_TEST(sniff_family_refuses_http1_at_its_fifth_byte)
{
	ck_assert_int_eq(sniff_family(SLICE_LIT("GET ")), SNIFF_FAMILY_MORE);
	ck_assert_int_eq(sniff_family(SLICE_LIT("GET /")), SNIFF_FAMILY_UNKNOWN);
	ck_assert_int_eq(sniff_family(SLICE_LIT("GET / HTTP/1.1\r\n")), SNIFF_FAMILY_UNKNOWN);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    sniff_tells_forms_in_kitex_order,
	    sniff_needs_eight_bytes_to_accept,
	    sniff_refuses_early_only_what_nothing_can_repair,
	    sniff_reads_no_more_than_eight_bytes,
	    sniff_family_knows_http2_by_its_preface,
	    sniff_family_knows_streaming_by_its_flag,
	    sniff_family_waits_while_two_are_possible,
	    sniff_family_refuses_http1_at_its_fifth_byte,
	};

	return suite_run("wire_sniff", tests, ARRAY_LEN(tests));
}
