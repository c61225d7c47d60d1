#include <check.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "support/suite.h"

START_TEST(err_set_returns_failure_with_code_and_text)
{
	struct err err = {0};

	ck_assert_int_eq(err_set(&err, ENOENT, "open %s: %s", "a.yaml", "gone"), -1);
	ck_assert_int_eq(err.code, ENOENT);
	ck_assert_str_eq(err.text, "open a.yaml: gone");
}
END_TEST

START_TEST(err_wrap_puts_context_in_front_and_keeps_the_code)
{
	struct err err = {0};

	err_set(&err, EACCES, "denied");
	ck_assert_int_eq(err_wrap(&err, "listener %s", "in"), -1);
	ck_assert_int_eq(err_wrap(&err, "start"), -1);
	ck_assert_str_eq(err.text, "start: listener in: denied");
	ck_assert_int_eq(err.code, EACCES);
}
END_TEST

START_TEST(err_cuts_what_is_too_long)
{
	struct err err = {0};

	err_set(&err, 0, "%600s", "x");
	ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
	err_set(&err, 0, "cause");
	err_wrap(&err, "%600s", "x");
	ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
	err_set(&err, 0, "%600s", "x");
	err_wrap(&err, "context");
	ck_assert_uint_eq(strlen(err.text), sizeof err.text - 1);
	ck_assert_int_eq(strncmp(err.text, "context:  ", 10), 0);
}
END_TEST

/* The text that is wrapped may be an argument of what wraps it. */
START_TEST(err_wrap_may_quote_the_text_itself)
{
	struct err err = {0};

	err_set(&err, 0, "cause");
	err_wrap(&err, "again \"%s\"", err.text);
	ck_assert_str_eq(err.text, "again \"cause\": cause");
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    err_set_returns_failure_with_code_and_text,
	    err_wrap_puts_context_in_front_and_keeps_the_code,
	    err_cuts_what_is_too_long,
	    err_wrap_may_quote_the_text_itself,
	};

	return suite_run("err", tests, ARRAY_LEN(tests));
}
