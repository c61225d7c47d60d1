#include <check.h>

#include "base/base64.h"
#include "base/mem.h"
#include "base/rng.h"
#include "support/suite.h"

static struct arena arena;

static void begin(void)
{
	arena_init(&arena, NULL, 0);
}

static void end(void)
{
	arena_fini(&arena);
}

/* Source: RFC 4648, section 10. */
static const char *const base64[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};

START_TEST(base64_is_as_in_its_rfc)
{
	struct slice bytes;

	ck_assert(slice_eq_str(base64_encode(slice_str(base64[_i][0]), &arena), base64[_i][1]));
	ck_assert_int_eq(base64_decode(slice_str(base64[_i][1]), &arena, &bytes), 0);
	ck_assert(slice_eq_str(bytes, base64[_i][0]));
}
END_TEST

static const char *const not_base64[] = {"Z", "Zg",
    "Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", " Zm9v", "Zm-v", "Zm_v",
    "Zm9v=", "Z=9v", "Zm=v"};

START_TEST(base64_has_one_text_for_each_value)
{
	struct slice bytes;

	ck_assert_msg(
	    base64_decode(slice_str(not_base64[_i]), &arena, &bytes) == -1, "%s", not_base64[_i]);
}
END_TEST

START_TEST(base64_gives_back_what_it_was_given)
{
	struct rng rng;
	uint8_t bytes[200];

	rng_init(&rng, 4648);
	for (int i = 0; i < 2000; i++) {
		size_t len = (size_t)rng_below(&rng, sizeof bytes);
		struct slice back;

		for (size_t k = 0; k < len; k++)
			bytes[k] = (uint8_t)rng_next(&rng);
		ck_assert_int_eq(
		    base64_decode(base64_encode(slice_of(bytes, len), &arena), &arena, &back), 0);
		ck_assert(slice_eq(back, slice_of(bytes, len)));
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {base64_is_as_in_its_rfc, ARRAY_LEN(base64)},
	    {base64_has_one_text_for_each_value, ARRAY_LEN(not_base64)},
	    {base64_gives_back_what_it_was_given, 1},
	};

	return suite_run_between("base64", tests, ARRAY_LEN(tests), begin, end);
}
