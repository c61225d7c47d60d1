#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>

/* Generous: the machine may be busy and the build instrumented; only a hang gets there. */
#define TIMEOUT_SECONDS 120

int suite_run(const char *name, const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, TIMEOUT_SECONDS);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

const char *suite_path(const char *path)
{
	static char whole[4096];
	const char *top = getenv("srcdir"); /* set by automake's test driver */

	snprintf(whole, sizeof whole, "%s/%s", top ? top : ".", path);
	return whole;
}
