#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Generous: the machine may be busy and the build instrumented; only a hang gets there. */
#define TIMEOUT_SECONDS 600

#define WORK_WORDS (1u << 18)
#define WORK_TAKES 700 /* us, on the machine of the figures, optimized */
#define WORK_TRIES 10  /* of which the quickest counts: others compute, too */

static int run(const char *name, TCase *tcase)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, TIMEOUT_SECONDS);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int suite_run(const char *name, const TTest *const *tests, size_t count)
{
	TCase *tcase = tcase_create(name);

	for (size_t i = 0; i < count; i++)
		tcase_add_test(tcase, tests[i]);
	return run(name, tcase);
}

int suite_run_between(const char *name, const struct suite_test *tests, size_t count,
    void (*begin)(void), void (*end)(void))
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, begin, end);
	for (size_t i = 0; i < count; i++)
		tcase_add_loop_test(tcase, tests[i].test, 0, tests[i].runs);
	return run(name, tcase);
}

const char *suite_path(const char *path)
{
	static char whole[4096];
	const char *top = getenv("srcdir"); /* set by automake's test driver */

	snprintf(whole, sizeof whole, "%s/%s", top ? top : ".", path);
	return whole;
}

usec_t suite_cpu_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (usec_t)t.tv_sec * USEC_S + (usec_t)t.tv_nsec / 1000;
}

/* Reckons, and touches memory that nothing has touched. */
static usec_t work(void)
{
	volatile uint32_t *words = malloc(WORK_WORDS * sizeof *words);
	usec_t began = suite_cpu_time();
	uint32_t at = 1;

	if (words == NULL)
		abort();
	for (uint32_t i = 0; i < WORK_WORDS; i++)
		words[i] = i;
	for (uint32_t i = 0; i < 2 * WORK_WORDS; i++) {
		at = at * UINT32_C(1664525) + UINT32_C(1013904223) + words[at >> 14];
		words[at >> 14] = at;
	}
	began = suite_cpu_time() - began;
	free((void *)(uintptr_t)words);
	return began;
}

usec_t suite_allow(usec_t figure)
{
	usec_t best = USEC_NONE;

	for (int i = 0; i < WORK_TRIES; i++)
		best = usec_min(best, work());
	return best > WORK_TAKES ? figure * best / WORK_TAKES : figure;
}
