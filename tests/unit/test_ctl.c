#include "ctl/command.h"

#include <stdlib.h>
#include <string.h>

#include <cJSON.h>
#include <check.h>

#include "base/mem.h"
#include "base/reason.h"
#include "ctl/answer.h"
#include "support/suite.h"

static char *printed, *complained; /* what the last command line led to */

static void forget(void)
{
	free(printed);
	free(complained);
	printed = complained = NULL;
}

/* Runs a command line of words with a space between them. */
static enum ctl_exit run(const char *line)
{
	char copy[256], *argv[16] = {NULL}, *rest;
	size_t out_len, errors_len;
	FILE *out, *errors;
	enum ctl_exit code;
	int argc = 0;

	forget();
	out = open_memstream(&printed, &out_len);
	errors = open_memstream(&complained, &errors_len);
	snprintf(copy, sizeof copy, "%s", line);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	code = ctl_run(argc, argv, out, errors);
	fclose(out);
	fclose(errors);
	return code;
}

static void is_refused(const char *line, const char *why)
{
	ck_assert_msg(run(line) == CTL_USAGE, "%s was taken", line);
	ck_assert_msg(strstr(complained, why) != NULL, "%s: %s", line, complained);
	ck_assert_str_eq(printed, "");
}

START_TEST(what_is_not_understood_is_refused_with_its_name)
{
	is_refused("bridlectl", "which command");
	is_refused("bridlectl --json", "which command");
	is_refused("bridlectl -x status", "-x");
	is_refused("bridlectl --nonsense", "--nonsense");
	is_refused("bridlectl nonsense", "nonsense");
	is_refused("bridlectl -S", "-S needs a value");
	is_refused("bridlectl status --socket", "--socket needs a value");
	is_refused("bridlectl status now", "now");
	is_refused("bridlectl status -V", "-V");
	is_refused("bridlectl reload --dry-run=yes", "--dry-run=yes");
	is_refused("bridlectl endpoints", "Usage: bridlectl [-S PATH] [--json] endpoints SERVICE");
	forget();
}
END_TEST

START_TEST(a_daemon_that_is_not_there_is_said_with_its_socket)
{
	static const char *const lines[] = {
	    "bridlectl -S /nowhere/admin.sock status",
	    "bridlectl --socket /nowhere/admin.sock status",
	    "bridlectl --socket=/nowhere/admin.sock status",
	    "bridlectl status -S /nowhere/admin.sock",
	    "bridlectl --json services -S /nowhere/admin.sock",
	    "bridlectl services svc -S /nowhere/admin.sock",
	    "bridlectl reload -S /nowhere/admin.sock --dry-run",
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		ck_assert_int_eq(run(lines[i]), CTL_UNREACHABLE);
		ck_assert_ptr_nonnull(strstr(complained, "/nowhere/admin.sock"));
		ck_assert_str_eq(printed, "");
	}
	forget();
}
END_TEST

START_TEST(the_environment_says_where_the_socket_is_by_default)
{
	setenv("RUNTIME_DIRECTORY", "/nowhere/first:/nowhere/second", 1);
	ck_assert_int_eq(run("bridlectl status"), CTL_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(complained, "/nowhere/first/admin.sock:"));
	forget();
}
END_TEST

START_TEST(every_reason_has_its_meaning)
{
	for (enum reason r = 0; r < REASON_COUNT; r++) {
		char line[64];

		snprintf(line, sizeof line, "bridlectl why %s", reason_name(r));
		ck_assert_int_eq(run(line), CTL_DONE);
		ck_assert_int_eq(strncmp(printed, reason_name(r), strlen(reason_name(r))), 0);
		ck_assert_msg(strstr(printed, "null") == NULL, "%s: %s", line, printed);
		ck_assert_uint_gt(strlen(printed), strlen(reason_name(r)) + 20);
	}
	ck_assert_int_eq(run("bridlectl why luck"), CTL_FAILED);
	forget();
}
END_TEST

START_TEST(help_is_a_commands_own_after_it)
{
	ck_assert_int_eq(run("bridlectl why -h"), CTL_DONE);
	ck_assert_ptr_nonnull(strstr(printed, "[--json] why [REASON]"));
	ck_assert_int_eq(run("bridlectl -h why"), CTL_DONE);
	ck_assert_ptr_nonnull(strstr(printed, "[--json] why [REASON]"));
	ck_assert_int_eq(run("bridlectl --help"), CTL_DONE);
	ck_assert_ptr_nonnull(strstr(printed, "\n  why [REASON]"));
	for (char *at = printed, *end; (end = strchr(at, '\n')); at = end + 1)
		ck_assert_int_le(end - at, 100);
	forget();
}
END_TEST

START_TEST(the_columns_of_a_table_are_as_wide_as_they_need_to_be)
{
	static const char *const heads[] = {"NAME", "#N", "LAST"};
	struct answer_table table;
	char *text;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	answer_table_init(&table, heads, ARRAY_LEN(heads));
	answer_table_add(&table, "%s", "a");
	answer_table_add(&table, "%d", 1);
	answer_table_add(&table, "%s", "x\x1b[2J\n\xc2\x9b");
	answer_table_add(&table, "%s", "longer");
	answer_table_add(&table, "%d", 1234);
	answer_table_add(&table, "%s", "");
	answer_table_print(&table, to);
	answer_table_fini(&table);
	fclose(to);
	ck_assert_str_eq(text, "NAME       N  LAST\n"
			       "a          1  x?[2J???\n"
			       "longer  1234  \n");
	free(text);
}
END_TEST

START_TEST(nothing_in_a_table_steers_the_terminal)
{
	static const char *const heads[] = {"NAME"};
	struct answer_table table;
	char *text;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	answer_table_init(&table, heads, ARRAY_LEN(heads));
	answer_table_add(&table, "%s", "\x9b[2J");          /* an escape of one byte */
	answer_table_add(&table, "%s", "x\xe2\x80\xaezyx"); /* from right to left */
	answer_table_add(&table, "%s", "cut \xc3");
	answer_table_add(&table, "%s", "gr\xc3\xbc\xc3\x9f");
	answer_table_print(&table, to);
	answer_table_fini(&table);
	fclose(to);
	ck_assert_str_eq(text, "NAME\n?[2J\nx???zyx\ncut ?\ngr\xc3\xbc\xc3\x9f\n");
	free(text);
}
END_TEST

START_TEST(times_are_written_for_people)
{
	static const struct {
		double usec;
		const char *text;
	} times[] = {{0, "0s"}, {999, "999us"}, {1000, "1.00ms"}, {12340, "12.3ms"},
	    {250000, "250ms"}, {1500000, "1.5s"}, {90e6, "1m 30s"}, {3660e6, "1h 1m"},
	    {90000e6, "1d 1h"}};
	char room[24];

	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		ck_assert_str_eq(answer_usec(times[i].usec, room), times[i].text);
}
END_TEST

START_TEST(members_that_are_missing_are_nothing)
{
	cJSON *root = cJSON_Parse("{\"a\": 1, \"b\": \"x\", \"l\": [{\"n\": 2}, {}, {\"n\": 3}]}");

	ck_assert_str_eq(answer_text(root, "b"), "x");
	ck_assert_str_eq(answer_text(root, "a"), "");
	ck_assert_str_eq(answer_text(root, "z"), "");
	ck_assert_str_eq(answer_text(NULL, "z"), "");
	ck_assert(answer_number(root, "a") == 1);
	ck_assert(answer_number(root, "b") == 0);
	ck_assert(answer_sum(cJSON_GetObjectItem(root, "l"), "n") == 5);
	cJSON_Delete(root);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    what_is_not_understood_is_refused_with_its_name,
	    a_daemon_that_is_not_there_is_said_with_its_socket,
	    the_environment_says_where_the_socket_is_by_default,
	    every_reason_has_its_meaning,
	    help_is_a_commands_own_after_it,
	    the_columns_of_a_table_are_as_wide_as_they_need_to_be,
	    nothing_in_a_table_steers_the_terminal,
	    times_are_written_for_people,
	    members_that_are_missing_are_nothing,
	};

	return suite_run("ctl", tests, ARRAY_LEN(tests));
}
