#include <limits.h>

#include <check.h>

#include "base/mem.h"
#include "base/rng.h"
#include "proxy/upstream_name.h"
#include "support/suite.h"

START_TEST(names_are_read_as_they_are_written)
{
	struct rng rng;

	rng_init(&rng, 8);
	for (int i = 0; i < 10000; i++) {
		struct upstream_name name = {(pid_t)rng_below(&rng, INT_MAX),
		    (unsigned)rng_below(&rng, 64), rng_next(&rng) >> rng_below(&rng, 64) | 1};
		struct upstream_name read;
		char room[UPSTREAM_NAME_MAX];

		ck_assert(upstream_name_read(upstream_name_write(&name, room), &read));
		ck_assert_int_eq(read.process, name.process);
		ck_assert_uint_eq(read.worker, name.worker);
		ck_assert_uint_eq(read.number, name.number);
	}
}
END_TEST

START_TEST(a_name_says_whose_connection_it_is)
{
	struct upstream_name name = {4711, 3, 0x9f3c51d2a4b86e07}, longest = {INT_MAX, UINT_MAX, 1};
	char room[UPSTREAM_NAME_MAX];

	ck_assert(
	    slice_eq_str(upstream_name_write(&name, room), "bridled-4711-3-9f3c51d2a4b86e07"));
	ck_assert_uint_lt(upstream_name_write(&longest, room).len, UPSTREAM_NAME_MAX);
}
END_TEST

START_TEST(what_is_no_name_to_the_letter_is_none)
{
	static const char *const none[] = {
	    "",
	    "bridled-",
	    "bridled-1",
	    "bridled-1-",
	    "bridled-1-0",
	    "bridled-1-0-",
	    "bridled-1-0-1",
	    "bridled-1-0-0000000000000000",
	    "bridled-1-0-000000000000000",
	    "bridled-1-0-00000000000000010",
	    "bridled-1-0-000000000000000g",
	    "bridled-1-0-000000000000000A",
	    "bridled-01-0-0000000000000001",
	    "bridled-1-00-0000000000000001",
	    "bridled-+1-0-0000000000000001",
	    "bridled--1-0-0000000000000001",
	    "bridled-1--0000000000000001",
	    "bridled-1-0-0-0000000000000001",
	    "bridled-2147483648-0-0000000000000001",
	    "bridled-1-2147483648-0000000000000001",
	    "bridled-99999999999999999999-0-0000000000000001",
	    "Bridled-1-0-0000000000000001",
	    " bridled-1-0-0000000000000001",
	    "bridled-1-0-0000000000000001 ",
	    "bridled-1-0-0x00000000000001",
	};
	struct upstream_name name;

	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		ck_assert_msg(!upstream_name_read(slice_str(none[i]), &name), "%s", none[i]);
	ck_assert(!upstream_name_read(SLICE_NONE, &name));
	ck_assert(!upstream_name_read(SLICE_LIT("bridled-1-0-0000000000000001\0"), &name));
	ck_assert(!upstream_name_read(SLICE_LIT("\0bridled-1-0-0000000000000001"), &name));
	ck_assert(upstream_name_read(SLICE_LIT("bridled-1-0-0000000000000001"), &name));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    names_are_read_as_they_are_written,
	    a_name_says_whose_connection_it_is,
	    what_is_no_name_to_the_letter_is_none,
	};

	return suite_run("upstream_name", tests, ARRAY_LEN(tests));
}
