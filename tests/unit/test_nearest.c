#include <check.h>

#include "base/mem.h"
#include "model/nearest.h"
#include "support/suite.h"

static const char *const words[] = {
    "weighted_round_robin", "round_robin", "random", "idle", "message", "peak_ewma", "log"};

static const char *nearest_word(const char *typed)
{
	struct nearest n;

	nearest_init(&n, slice_str(typed));
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		nearest_try(&n, slice_str(words[i]));
	return nearest_found(&n) ? (const char *)n.best.data : NULL;
}

START_TEST(nearest_finds_slips_of_the_finger)
{
	ck_assert_str_eq(nearest_word("peak_emwa"), "peak_ewma"); /* swapped */
	ck_assert_str_eq(nearest_word("peakewma"), "peak_ewma");  /* left out */
	ck_assert_str_eq(nearest_word("randomm"), "random");      /* put in */
	ck_assert_str_eq(nearest_word("round-robin"), "round_robin");
	ck_assert_str_eq(nearest_word("iddle"), "idle");
	ck_assert_str_eq(nearest_word("lgo"), "log");
	ck_assert_str_eq(nearest_word("messages"), "message");
	ck_assert_str_eq(nearest_word("IDLE"), "idle");
	ck_assert_str_eq(nearest_word("Round_Orbin"), "round_robin");
}
END_TEST

START_TEST(nearest_says_nothing_when_all_are_far)
{
	ck_assert_ptr_null(nearest_word("xyz"));
	ck_assert_ptr_null(nearest_word(""));
	ck_assert_ptr_null(nearest_word("timeout"));
	ck_assert_ptr_null(
	    nearest_word("roundrobinroundrobinroundrobinroundrobinroundrobinroundrobinroundrobin"));
}
END_TEST

START_TEST(nearest_without_candidates_says_nothing)
{
	struct nearest n;

	nearest_init(&n, SLICE_LIT("x"));
	ck_assert(!nearest_found(&n));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    nearest_finds_slips_of_the_finger,
	    nearest_says_nothing_when_all_are_far,
	    nearest_without_candidates_says_nothing,
	};

	return suite_run("nearest", tests, ARRAY_LEN(tests));
}
