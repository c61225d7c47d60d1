/* Which of the machine's own addresses others are told. */
#include "net/local_address.h"

#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

static struct address parse(const char *text)
{
	struct address a;
	struct err err;

	ck_assert_int_eq(address_parse(&a, slice_str(text), &err), 0);
	return a;
}

static void expect_choice(const char *const *texts, size_t n, const char *expected)
{
	struct address list[8];
	const struct address *chosen;

	for (size_t i = 0; i < n; i++)
		list[i] = parse(texts[i]);
	chosen = local_address_choose(list, n);
	if (expected == NULL)
		ck_assert_ptr_null(chosen);
	else
		ck_assert_str_eq(chosen ? chosen->text : "none", expected);
}

#define EXPECT_CHOICE(expected, ...)                                                               \
	expect_choice((const char *const[]){__VA_ARGS__},                                          \
	    ARRAY_LEN(((const char *const[]){__VA_ARGS__})), expected)

START_TEST(the_first_ipv4_address_that_is_not_loopback_is_chosen)
{
	EXPECT_CHOICE("10.0.0.1:0", "127.0.0.1:0", "10.0.0.1:0", "10.0.0.2:0");
	EXPECT_CHOICE("10.0.0.1:0", "[fd00::1]:0", "10.0.0.1:0");
	EXPECT_CHOICE("10.0.0.1:0", "127.5.5.5:0", "10.0.0.1:0");
}
END_TEST

START_TEST(an_address_that_nobody_gave_is_chosen_where_there_is_no_other)
{
	EXPECT_CHOICE("192.168.0.9:0", "169.254.0.7:0", "192.168.0.9:0");
	EXPECT_CHOICE("169.254.0.7:0", "127.0.0.1:0", "169.254.0.7:0", "169.254.0.8:0");
}
END_TEST

START_TEST(loopback_and_ipv6_alone_are_no_choice)
{
	EXPECT_CHOICE(NULL, "127.0.0.1:0", "[::1]:0", "[fd00::1]:0");
	ck_assert_ptr_null(local_address_choose(NULL, 0));
}
END_TEST

START_TEST(what_is_reached_by_loopback_is_reached_from_loopback)
{
	struct address to = parse("127.0.0.1:2379"), own, first;
	struct err err;

	ck_assert_int_eq(local_address_towards(&to, false, &own, &err), 0);
	ck_assert_str_eq(own.text, "127.0.0.1:0");
	ck_assert_int_eq(own.sa.ss_family, AF_INET);
	ck_assert_uint_eq(own.port, 0);
	local_address_first(&first);
	to = first; /* the machine, by its outer address: the kernel answers with the same */
	ck_assert_int_eq(local_address_towards(&to, false, &own, &err), 0);
	ck_assert_str_eq(own.text, first.text);
}
END_TEST

START_TEST(a_listener_of_ipv4_is_not_told_to_be_at_ipv6)
{
	struct address to = parse("[::1]:2379"), own;
	struct err err;

	if (local_address_towards(&to, true, &own, &err) < 0)
		return; /* no IPv6 here */
	ck_assert_int_eq(own.sa.ss_family, AF_INET);
}
END_TEST

START_TEST(there_is_no_way_to_a_name)
{
	struct address to = parse("etcd.example:2379"), own;
	struct err err;

	ck_assert_int_eq(local_address_towards(&to, false, &own, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.text, "etcd.example:2379"));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    the_first_ipv4_address_that_is_not_loopback_is_chosen,
	    an_address_that_nobody_gave_is_chosen_where_there_is_no_other,
	    loopback_and_ipv6_alone_are_no_choice,
	    what_is_reached_by_loopback_is_reached_from_loopback,
	    a_listener_of_ipv4_is_not_told_to_be_at_ipv6,
	    there_is_no_way_to_a_name,
	};

	return suite_run("local_address", tests, ARRAY_LEN(tests));
}
