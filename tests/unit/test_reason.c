#include <check.h>
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "base/protocol.h"
#include "base/reason.h"
#include "support/suite.h"

START_TEST(reason_words_are_there_and_differ)
{
	for (int i = 0; i < REASON_COUNT; i++) {
		const char *word = reason_name((enum reason)i);

		ck_assert_ptr_nonnull(word);
		for (const char *c = word; *c; c++)
			ck_assert(islower((unsigned char)*c) || *c == '_');
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(word, reason_name((enum reason)k));
	}
}
END_TEST

/* Others match on these words: they are part of the interface. */
START_TEST(reason_words_are_stable)
{
	ck_assert_str_eq(reason_name(REASON_OK), "ok");
	ck_assert_str_eq(reason_name(REASON_NO_ENDPOINT), "no_endpoint");
	ck_assert_str_eq(reason_name(REASON_CALLER_DEADLINE), "caller_deadline");
	ck_assert_str_eq(reason_name(REASON_PROTOCOL_UNKNOWN), "protocol_unknown");
	ck_assert_str_eq(reason_name(REASON_INTERNAL), "internal");
}
END_TEST

START_TEST(reason_exception_ids_are_those_of_kitex)
{
	ck_assert_int_eq(reason_exception_id(REASON_NO_ROUTE), 20);
	ck_assert_int_eq(reason_exception_id(REASON_MALFORMED), 7);
	ck_assert_int_eq(reason_exception_id(REASON_TIMEOUT), 6);
	for (int i = REASON_OK + 1; i < REASON_COUNT; i++) {
		int id = reason_exception_id((enum reason)i);

		ck_assert_msg(id == 6 || id == 7 || id == 20, "%s", reason_name((enum reason)i));
	}
}
END_TEST

/* OK is told by other means; every other reason is a failure in each protocol. */
START_TEST(reason_grpc_statuses_are_those_of_kitex)
{
	ck_assert_int_eq(reason_grpc_status(REASON_OK), 0);
	ck_assert_int_eq(reason_grpc_status(REASON_CANCELED), 1);
	ck_assert_int_eq(reason_grpc_status(REASON_TIMEOUT), 4);
	ck_assert_int_eq(reason_grpc_status(REASON_CALLER_DEADLINE), 4);
	ck_assert_int_eq(reason_grpc_status(REASON_ACL_DENIED), 7);
	ck_assert_int_eq(reason_grpc_status(REASON_RATE_LIMITED), 8);
	ck_assert_int_eq(reason_grpc_status(REASON_QUEUE_TIMEOUT), 8);
	ck_assert_int_eq(reason_grpc_status(REASON_TOO_LARGE), 8);
	ck_assert_int_eq(reason_grpc_status(REASON_NO_ROUTE), 12);
	ck_assert_int_eq(reason_grpc_status(REASON_NO_CONVERSION), 12);
	ck_assert_int_eq(reason_grpc_status(REASON_MALFORMED), 13);
	ck_assert_int_eq(reason_grpc_status(REASON_BAD_REPLY), 13);
	ck_assert_int_eq(reason_grpc_status(REASON_NO_ENDPOINT), 14);
	ck_assert_int_eq(reason_grpc_status(REASON_BREAKER_OPEN), 14);
	for (int i = REASON_OK + 1; i < REASON_COUNT; i++) {
		int status = reason_grpc_status((enum reason)i);

		ck_assert_msg(status > 0 && status <= 16, "%s", reason_name((enum reason)i));
	}
}
END_TEST

START_TEST(reason_stream_exceptions_are_those_of_kitex)
{
	ck_assert_int_eq(reason_ttstream_id(REASON_NO_ROUTE), 20);
	ck_assert_int_eq(reason_ttstream_id(REASON_MALFORMED), 12004);
	ck_assert_int_eq(reason_ttstream_id(REASON_RESET), 12006);
	ck_assert_int_eq(reason_ttstream_id(REASON_DRAINING), 12006);
	ck_assert_int_eq(reason_ttstream_id(REASON_CANCELED), 12007);
	ck_assert_int_eq(reason_ttstream_id(REASON_TIMEOUT), 12015);
	ck_assert_int_eq(reason_ttstream_id(REASON_RATE_LIMITED), 6);
	for (int i = REASON_OK + 1; i < REASON_COUNT; i++) {
		int id = reason_ttstream_id((enum reason)i);

		ck_assert_msg(id == 6 || id == 20 || (id > 12000 && id <= 12015), "%s",
		    reason_name((enum reason)i));
	}
}
END_TEST

START_TEST(reason_kitex_texts_are_single_lines)
{
	ck_assert_str_eq(reason_kitex_text(REASON_BREAKER_OPEN), "forbidden by circuitbreaker");
	ck_assert_ptr_null(reason_kitex_text(REASON_OK));
	for (int i = 0; i < REASON_COUNT; i++) {
		const char *text = reason_kitex_text((enum reason)i);

		ck_assert(text == NULL || (text[0] && strchr(text, '\n') == NULL));
	}
}
END_TEST

START_TEST(protocol_names_are_there_and_differ)
{
	for (int i = 0; i < PROTOCOL_COUNT; i++)
		for (int k = 0; k <= PROTOCOL_COUNT; k++)
			ck_assert_int_eq(strcmp(protocol_name((enum protocol)i),
					     protocol_name((enum protocol)k)) == 0,
			    i == k);
	ck_assert_str_eq(protocol_name(PROTOCOL_COUNT), "unknown");
	ck_assert_uint_eq(PROTOCOL_BIT(PROTOCOL_TTHEADER), 4);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    reason_words_are_there_and_differ,
	    reason_words_are_stable,
	    reason_exception_ids_are_those_of_kitex,
	    reason_grpc_statuses_are_those_of_kitex,
	    reason_stream_exceptions_are_those_of_kitex,
	    reason_kitex_texts_are_single_lines,
	    protocol_names_are_there_and_differ,
	};

	return suite_run("reason", tests, ARRAY_LEN(tests));
}
