#include "daemon/options.h"

#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

static struct options options;
static char said[4096];

/* Parses a command line of words with a space between them; what is complained about goes to
 * `said`. */
static int parse(const char *line)
{
	static char copy[256];
	static char *argv[16];
	char *rest;
	int argc = 0, result;
	FILE *errors = fmemopen(said, sizeof said, "w");

	memset(argv, 0, sizeof argv);
	snprintf(copy, sizeof copy, "%s", line);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	result = options_parse(&options, argc, argv, errors);
	fclose(errors);
	return result;
}

static void parses(const char *line)
{
	ck_assert_msg(parse(line) == 0, "%s: %s", line, said);
}

static void is_refused(const char *line, const char *why)
{
	ck_assert_msg(parse(line) < 0, "%s was taken", line);
	ck_assert_msg(strstr(said, why) != NULL, "%s: %s", line, said);
	options_fini(&options);
}

START_TEST(without_options_the_daemon_runs_with_the_default_file)
{
	parses("bridled");
	ck_assert_int_eq(options.action, OPTIONS_RUN);
	ck_assert_str_eq(options.config_path, "/etc/bridled/bridled.yaml");
	ck_assert_uint_eq(options.n_overrides, 0);
	ck_assert(!options.quiet && !options.warnings_are_errors);
	options_fini(&options);
}
END_TEST

START_TEST(run_takes_a_command_behind_two_dashes)
{
	parses("bridled -c a.yaml run --set workers=1 -- app -c other --");
	ck_assert_int_eq(options.action, OPTIONS_RUN);
	ck_assert_str_eq(options.config_path, "a.yaml");
	ck_assert_uint_eq(options.n_overrides, 1);
	ck_assert_str_eq(options.command_line[0], "app");
	ck_assert_str_eq(options.command_line[2], "other");
	ck_assert_str_eq(options.command_line[3], "--");
	ck_assert_ptr_null(options.command_line[4]);
	options_fini(&options);
	parses("bridled");
	ck_assert_ptr_null(options.command_line);
	options_fini(&options);
	is_refused("bridled run", "which command?");
	is_refused("bridled run --", "which command?");
	is_refused("bridled run app", "app: no argument is expected");
	is_refused("bridled run -t -- app", "another action");
	is_refused("bridled -- app", "app: no argument is expected");
}
END_TEST

START_TEST(short_and_long_options_mean_the_same)
{
	static const struct {
		const char *shorter, *longer;
		enum options_action action;
	} pairs[] = {
	    {"bridled -t", "bridled --check-config", OPTIONS_CHECK},
	    {"bridled -T", "bridled --dump-config", OPTIONS_DUMP},
	    {"bridled -s stop", "bridled --signal=stop", OPTIONS_SIGNAL},
	    {"bridled -v", "bridled --version", OPTIONS_VERSION},
	    {"bridled -V", "bridled --build", OPTIONS_BUILD},
	    {"bridled -h", "bridled --help", OPTIONS_HELP},
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		parses(pairs[i].shorter);
		ck_assert_int_eq(options.action, pairs[i].action);
		options_fini(&options);
		parses(pairs[i].longer);
		ck_assert_int_eq(options.action, pairs[i].action);
		options_fini(&options);
	}
}
END_TEST

START_TEST(letters_can_stand_together)
{
	parses("bridled -tqWc some.yaml");
	ck_assert_int_eq(options.action, OPTIONS_CHECK);
	ck_assert(options.quiet && options.warnings_are_errors);
	ck_assert_str_eq(options.config_path, "some.yaml");
	options_fini(&options);
}
END_TEST

START_TEST(overrides_are_kept_in_their_order)
{
	parses("bridled --set workers=1 -c a --set log.level=debug --set=x=y=z");
	ck_assert_uint_eq(options.n_overrides, 3);
	ck_assert_str_eq(options.overrides[0], "workers=1");
	ck_assert_str_eq(options.overrides[1], "log.level=debug");
	ck_assert_str_eq(options.overrides[2], "x=y=z");
	options_fini(&options);
}
END_TEST

START_TEST(every_command_of_signal_is_known_by_its_name)
{
	static const enum options_command commands[] = {
	    COMMAND_RELOAD, COMMAND_STOP, COMMAND_QUIT, COMMAND_REOPEN};

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		char line[64];

		snprintf(line, sizeof line, "bridled -s %s", options_command_name(commands[i]));
		parses(line);
		ck_assert_int_eq(options.command, commands[i]);
		options_fini(&options);
	}
}
END_TEST

START_TEST(what_is_not_understood_is_refused_with_its_name)
{
	is_refused("bridled -x", "-x");
	is_refused("bridled -tx", "-x");
	is_refused("bridled --nonsense", "--nonsense");
	is_refused("bridled -c", "-c needs a value");
	is_refused("bridled --set", "--set needs a value");
	is_refused("bridled --quiet=yes", "--quiet");
	is_refused("bridled some.yaml", "some.yaml");
	is_refused("bridled -s", "-s needs a value");
	is_refused("bridled -s restart", "reload, stop, quit, reopen");
	is_refused("bridled -t -s stop", "another action");
	is_refused("bridled -T -t", "another action");
}
END_TEST

START_TEST(what_belongs_to_the_check_is_refused_without_it)
{
	is_refused("bridled -q", "-q means something with -t only");
	is_refused("bridled --warnings-are-errors -c a", "-W means something with -t only");
	is_refused("bridled -T -q", "-t only");
	parses("bridled -q -W -t"); /* the order is free */
	options_fini(&options);
}
END_TEST

START_TEST(the_same_action_twice_is_one)
{
	parses("bridled -t --check-config");
	ck_assert_int_eq(options.action, OPTIONS_CHECK);
	options_fini(&options);
}
END_TEST

START_TEST(help_lists_what_is_offered_and_nothing_else)
{
	static const char *const offered[] = {"-c, --config PATH", "-t, --check-config",
	    "-q, --quiet", "-W, --warnings-are-errors", "-T, --dump-config", "--set KEY=VALUE",
	    "--schema", "-s, --signal COMMAND", "-v, --version", "-V, --build", "-h, --help"};
	char help[8192] = "";
	FILE *to = fmemopen(help, sizeof help, "w");

	options_help(to);
	fclose(to);
	for (size_t i = 0; i < ARRAY_LEN(offered); i++)
		ck_assert_msg(strstr(help, offered[i]) != NULL, "%s is missing", offered[i]);
	ck_assert_ptr_null(strstr(help, "manual "));
	ck_assert_ptr_null(strstr(help, "--upgrade"));
	for (char *line = help, *end; (end = strchr(line, '\n')); line = end + 1)
		ck_assert_int_le(end - line, 100);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    without_options_the_daemon_runs_with_the_default_file,
	    short_and_long_options_mean_the_same,
	    run_takes_a_command_behind_two_dashes,
	    letters_can_stand_together,
	    overrides_are_kept_in_their_order,
	    every_command_of_signal_is_known_by_its_name,
	    what_is_not_understood_is_refused_with_its_name,
	    what_belongs_to_the_check_is_refused_without_it,
	    the_same_action_twice_is_one,
	    help_lists_what_is_offered_and_nothing_else,
	};

	return suite_run("options", tests, ARRAY_LEN(tests));
}
