#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "model/warn.h"
#include "support/loaded.h"
#include "support/suite.h"

/* The number at the end of a warning, 0 where there is none. */
static unsigned id_of(const struct problem *problem)
{
	const char *mark = strrchr(problem->text, '[');
	unsigned id = 0;

	if (mark == NULL || sscanf(mark, "[W%u]", &id) != 1)
		return 0;
	return id;
}

static unsigned count_id(const struct loaded *l, unsigned id)
{
	unsigned n = 0;

	for (size_t i = 0; i < l->problems.n; i++)
		n += id_of(&l->problems.list[i]) == id;
	return n;
}

START_TEST(warnings_are_numbered_without_a_gap)
{
	size_t n;
	const struct warning *list = warning_list(&n);

	ck_assert_uint_ge(n, 25);
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(list[i].id, i + 1);
		ck_assert_ptr_eq(warning_find(list[i].id), &list[i]);
		ck_assert_uint_gt(strlen(list[i].title), 0);
		ck_assert_uint_gt(strlen(list[i].text), 0);
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(list[i].title, list[k].title);
	}
	ck_assert_ptr_null(warning_find(0));
	ck_assert_ptr_null(warning_find((unsigned)n + 1));
	ck_assert_str_eq(warning_find(7)->title, "the whole call has less time than one attempt");
}
END_TEST

/* Each number has a file that shows it, and nothing else, and one that is beside it and is fine. */
START_TEST(each_doubt_has_a_file_that_raises_it_and_one_that_does_not)
{
	size_t n;

	warning_list(&n);
	ck_assert_int_eq(chdir(suite_path("tests/config/warnings")), 0);
	for (unsigned id = 1; id <= n; id++) {
		char name[40];
		struct loaded bad, good;

		snprintf(name, sizeof name, "W%02u-bad.yaml", id);
		/* one of them is about what others may read; whoever got the files chose the
		 * rest */
		(void)!chmod(name, 0644);
		bad = loaded_file(name);
		loaded_config(&bad);
		ck_assert_uint_ge(bad.problems.n, 1);
		for (size_t i = 0; i < bad.problems.n; i++) {
			const struct problem *p = &bad.problems.list[i];

			ck_assert_msg(id_of(p) == id, "%s: %s", name, p->text);
			ck_assert(p->is_warning && p->line > 0 && p->column > 0);
			ck_assert_msg(p->remedy && strlen(p->remedy) > 0, "%s", name);
		}
		snprintf(name, sizeof name, "W%02u-good.yaml", id);
		good = loaded_file(name);
		loaded_config(&good);
		ck_assert_msg(good.problems.n == 0, "%s: %s", name,
		    good.problems.n ? good.problems.list[0].text : "");
		loaded_free(&bad);
		loaded_free(&good);
	}
}
END_TEST

#define BEFORE                                                                                     \
	"listeners: [{address: \"127.0.0.1:0\"}]\nservices:\n  a:\n    endpoints: [\"127.0.0.1:1\"]\n"

START_TEST(comment_allows_a_warning_on_its_line_and_on_the_one_below)
{
	static const char *const texts[] = {
	    BEFORE "    degrade: 100%  # allow W36: maintenance\n",
	    BEFORE "    degrade: 100% # allow W36: maintenance\n",
	    BEFORE "    # allow W36: maintenance\n    degrade: 100%\n",
	    BEFORE "    # allow W36: maintenance\n    # until tomorrow\n\n    degrade: 100%\n",
	    BEFORE "    degrade: 100%  # allow w36 : maintenance\n",
	    "listeners: [{address: \"127.0.0.1:0\"}]\nservices:\n  # allow W36, W07: both\n"
	    "  a: {endpoints: [\"127.0.0.1:1\"], degrade: 100%, timeout: {call: 1s, attempt: 1s}}\n",
	    BEFORE "    degrade: 100%  #allow W036: maintenance\r\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct loaded l = loaded_from(texts[i]);

		loaded_config(&l);
		if (l.problems.n)
			problems_print(&l.problems, stderr, true);
		ck_assert_msg(l.problems.n == 0, "%zu", i);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(comment_elsewhere_allows_nothing_and_is_told)
{
	static const struct {
		const char *text;
		unsigned allowed, told; /* W36 and W01 */
	} cases[] = {
	    {BEFORE "    degrade: 100%\n    # allow W36: too late\n", 1, 1},
	    {BEFORE "    # allow W36: two lines above\n    timeout: 1s\n    degrade: 100%\n", 1, 1},
	    {BEFORE "    degrade: 100%  # allow W07: another one\n", 1, 1},
	    {BEFORE "    degrade: 100%  # allow W36\n", 1, 1},
	    {BEFORE "    degrade: 100%  # allow W36:\n", 1, 1},
	    {BEFORE "    degrade: 100%  # allow W36, W07: one of them is for nothing\n", 0, 1},
	    {BEFORE "    degrade: 50%  # allow W36: nothing to allow\n", 0, 1},
	    {BEFORE "    degrade: 50%  # allow W999: no such\n", 0, 1},
	    {BEFORE "    degrade: 50%  # allow W01: one cannot allow that\n", 0, 1},
	    {BEFORE "    degrade: 100%  # we allow W36: prose\n", 1, 0},
	    {BEFORE "    degrade: 100%  # allowed\n", 1, 0},
	    {BEFORE "    name: \"b # allow W36: in a text\"\n    degrade: 100%\n", 0, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l = loaded_from(cases[i].text);

		/* the last is refused: its name has spaces in it; all it shows is that it is no
		 * comment */
		if (i + 1 < ARRAY_LEN(cases))
			loaded_config(&l);
		ck_assert_msg(count_id(&l, 36) == cases[i].allowed, "%s", cases[i].text);
		ck_assert_msg(count_id(&l, 1) == cases[i].told, "%s", cases[i].text);
		loaded_free(&l);
	}
}
END_TEST

START_TEST(comments_are_of_their_own_file)
{
	char folder[] = "/tmp/test_config_warn.XXXXXX", path[64];
	struct loaded l;
	FILE *file;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/a.yaml", folder);
	file = fopen(path, "w");
	fputs(
	    "# allow W36: not for the other file\nlisteners: [{address: \"127.0.0.1:0\"}]\n", file);
	ck_assert_int_eq(fclose(file), 0);
	snprintf(path, sizeof path, "%s/b.yaml", folder);
	file = fopen(path, "w");
	fputs("services:\n  a: {endpoints: [\"127.0.0.1:1\"], degrade: 100%}\n", file);
	ck_assert_int_eq(fclose(file), 0);
	l = loaded_file(folder);
	loaded_config(&l);
	ck_assert_uint_eq(count_id(&l, 36), 1);
	ck_assert_uint_eq(count_id(&l, 1), 1);
	loaded_free(&l);
	unlink(path);
	snprintf(path, sizeof path, "%s/a.yaml", folder);
	unlink(path);
	rmdir(folder);
}
END_TEST

START_TEST(doubts_come_only_when_the_file_is_right)
{
	struct loaded l = loaded_from(BEFORE "    degrade: 100%\n    limit: 5\n");

	ck_assert_ptr_null(l.config);
	ck_assert_uint_eq(l.problems.n, 1);
	loaded_free(&l);
}
END_TEST

START_TEST(what_is_inherited_is_doubted_once_where_it_was_written)
{
	struct loaded l =
	    loaded_from("defaults: {timeout: {call: 1s, attempt: 1s}, degrade: 100%}\n"
			"listeners: [{address: \"127.0.0.1:0\"}]\n"
			"services:\n"
			"  a: {endpoints: [\"127.0.0.1:1\"], methods: {Get: {pool: {keep: 1}}}}\n"
			"  b: {endpoints: [\"127.0.0.1:1\"], timeout: {attempt: 10ms}}\n"
			"  c: {endpoints: [\"127.0.0.1:1\"], timeout: {attempt: 2s}}\n");

	loaded_config(&l);
	ck_assert(loaded_says(&l, "defaults.timeout.call", "[W07]", NULL));
	ck_assert(loaded_says(&l, "services.c.timeout.attempt", "[W07]", NULL));
	ck_assert_uint_eq(count_id(&l, 7), 2);
	ck_assert_uint_eq(count_id(&l, 36), 1);
	loaded_free(&l);
}
END_TEST

START_TEST(value_of_the_command_line_cannot_be_allowed)
{
	static const char *const overrides[] = {"services.a.degrade=100%"};
	struct loaded l = loaded_with(BEFORE, overrides, 1);

	loaded_config(&l);
	ck_assert_uint_eq(count_id(&l, 36), 1);
	loaded_free(&l);
}
END_TEST

START_TEST(policy_of_a_route_is_doubted_as_any)
{
	struct loaded l =
	    loaded_from(BEFORE "    routes: [{policy: {timeout: {call: 1s, attempt: 1s}}}]\n"
			       "    methods: {Get: {timeout: {attempt: 500ms}}}\n");

	loaded_config(&l);
	ck_assert(loaded_says(&l, "services.a.routes[0].policy.timeout.call", "[W07]", NULL));
	ck_assert_uint_eq(l.problems.n, 1);
	loaded_free(&l);
}
END_TEST

START_TEST(subset_that_may_be_empty_has_a_fallback)
{
	static const char head[] = BEFORE "    subsets: {lab: {lane: lab}}\n    routes:\n";
	static const struct {
		const char *routes;
		unsigned told;
	} cases[] = {
	    {"      - {to: lab, fallback: any}\n", 0},
	    {"      - {match: {caller: x}, to: lab}\n      - {to: lab, fallback: any}\n", 1},
	    {"      - {match: {caller: x}, policy: {timeout: 1s}}\n", 1},
	};
	char text[600];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l;

		snprintf(text, sizeof text, "%s%s", head, cases[i].routes);
		l = loaded_from(text);
		loaded_config(&l);
		ck_assert_msg(count_id(&l, 25) == cases[i].told, "%s", text);
		loaded_free(&l);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    warnings_are_numbered_without_a_gap,
	    each_doubt_has_a_file_that_raises_it_and_one_that_does_not,
	    comment_allows_a_warning_on_its_line_and_on_the_one_below,
	    comment_elsewhere_allows_nothing_and_is_told,
	    comments_are_of_their_own_file,
	    doubts_come_only_when_the_file_is_right,
	    what_is_inherited_is_doubted_once_where_it_was_written,
	    value_of_the_command_line_cannot_be_allowed,
	    policy_of_a_route_is_doubted_as_any,
	    subset_that_may_be_empty_has_a_fallback,
	};

	return suite_run("config_warn", tests, ARRAY_LEN(tests));
}
