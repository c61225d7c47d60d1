/* One Check suite made of a list of tests, and what every test program needs besides. */
#ifndef BRIDLE_TESTS_SUITE_H
#define BRIDLE_TESTS_SUITE_H

#include <stddef.h>

#include <check.h>

#include "base/clock.h"

/* Runs the tests and returns main's result. */
int suite_run(const char *name, const TTest *const *tests, size_t count);
/* The same with @begin and @end around each run, in its process; _i counts the runs of a test. */
struct suite_test {
	const TTest *test;
	int runs;
};
int suite_run_between(const char *name, const struct suite_test *tests, size_t count,
    void (*begin)(void), void (*end)(void));

/* A file that comes with the sources, seen from the top folder, wherever the build is. Valid until
 * the next call. */
const char *suite_path(const char *path);

/* What the calling thread has computed so far. Unlike the time of the clock it does not grow while
 * a busy machine has others to serve, so that a bound on it can be kept. */
usec_t suite_cpu_time(void);

/* What a computation that takes @figure of that time on the machine of the figures may take on this
 * one: more where a fixed piece of work takes longer, never less. */
usec_t suite_allow(usec_t figure);

#endif
