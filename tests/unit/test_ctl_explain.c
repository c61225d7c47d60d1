/*
 * What `bridlectl explain -c` prints of the example files, against tests/explain/NAME.txt: each
 * command line behind a "$ ", and below it what it prints.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cJSON.h>

#include "base/mem.h"
#include "ctl/command.h"
#include "support/suite.h"

#define WORDS_MAX 32

static char *printed, *complained; /* what the last command line led to */

static enum ctl_exit run(const char *line)
{
	char *copy = mem_strdup(line), *argv[WORDS_MAX] = {NULL}, *rest;
	size_t out_len, errors_len;
	FILE *out, *errors;
	enum ctl_exit code;
	int argc = 0;

	free(printed);
	free(complained);
	out = open_memstream(&printed, &out_len);
	errors = open_memstream(&complained, &errors_len);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		ck_assert_int_lt(argc, WORDS_MAX - 1);
		argv[argc++] = word;
	}
	code = ctl_run(argc, argv, out, errors);
	fclose(out);
	fclose(errors);
	free(copy);
	return code;
}

static void begin(void)
{
	unsetenv("RUNTIME_DIRECTORY");
	unsetenv("QUICKSTART_DIR");
	if (access("tests/explain", F_OK) != 0)
		ck_assert_int_eq(chdir(suite_path(".")), 0);
}

static void end(void)
{
	free(printed);
	free(complained);
	printed = complained = NULL;
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = NULL;
	size_t room = 0;

	ck_assert_msg(file != NULL, "%s", path);
	ck_assert(getdelim(&text, &room, '\0', file) > 0);
	fclose(file);
	return text;
}

/* One command line and what it has to print; returns where the next one begins. */
static char *check_one(char *at, const char *path)
{
	char *output = strchr(at, '\n'), *next;
	enum ctl_exit code;

	ck_assert_msg(strncmp(at, "$ ", 2) == 0 && output, "%s: no command line", path);
	*output++ = '\0';
	next = strstr(output, "\n$ ");
	if (next)
		*next++ = '\0';
	code = run(at + 2);
	ck_assert_msg(code == CTL_DONE, "%s: %s", at, complained);
	if (next) /* the newline before it went */
		printed[strlen(printed) - 1] = '\0';
	ck_assert_msg(strcmp(printed, output) == 0, "%s: %s\nprinted:\n%s", path, at, printed);
	return next;
}

START_TEST(explanations_of_the_examples_are_as_written_down)
{
	DIR *directory = opendir("tests/explain");
	struct dirent *entry;
	unsigned n = 0;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)) != NULL) {
		char path[512], *text;

		if (strstr(entry->d_name, ".txt") == NULL)
			continue;
		snprintf(path, sizeof path, "tests/explain/%s", entry->d_name);
		text = read_file(path);
		for (char *at = text; at; n++)
			at = check_one(at, path);
		free(text);
	}
	closedir(directory);
	ck_assert_uint_ge(n, 20);
}
END_TEST

START_TEST(json_has_what_an_explanation_promises)
{
	static const char *const names[] = {"service", "subset", "policy", "rules", "candidates",
	    "pick", "reason", "why", "route", "listener"};
	const cJSON *one;
	cJSON *root;

	ck_assert_int_eq(run("bridlectl --json explain -c conf/routes.yaml shop.price/Quote --meta "
			     "user=3"),
	    CTL_DONE);
	root = cJSON_Parse(printed);
	ck_assert_ptr_nonnull(root);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ck_assert_msg(cJSON_HasObjectItem(root, names[i]), "%s", names[i]);
	ck_assert_str_eq(cJSON_GetObjectItem(root, "subset")->valuestring, "v2");
	ck_assert_str_eq(cJSON_GetObjectItem(root, "pick")->valuestring, "192.0.2.12:8888");
	one = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "rules"), 1);
	ck_assert(cJSON_IsFalse(cJSON_GetObjectItem(one, "matched")));
	ck_assert(cJSON_HasObjectItem(one, "at") && cJSON_HasObjectItem(one, "why"));
	one = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "candidates"), 0);
	ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(one, "usable")));
	ck_assert(cJSON_IsNull(cJSON_GetObjectItem(one, "why")));
	one = cJSON_GetObjectItem(cJSON_GetObjectItem(root, "policy"), "timeout.call");
	ck_assert_str_eq(cJSON_GetObjectItem(one, "value")->valuestring, "200ms");
	ck_assert_ptr_nonnull(
	    strstr(cJSON_GetObjectItem(one, "at")->valuestring, "conf/routes.yaml:"));
	cJSON_Delete(root);
}
END_TEST

START_TEST(bytes_of_any_kind_are_explained_in_good_json)
{
	cJSON *root;

	ck_assert_int_eq(
	    run("bridlectl --json explain -c conf/routes.yaml shop.\xff\"\\/Qu\"o\x01te "
		"--meta version=\xc3\x28\" --caller \x7f"),
	    CTL_DONE);
	root = cJSON_Parse(printed);
	ck_assert_ptr_nonnull(root);
	ck_assert_str_eq(cJSON_GetObjectItem(root, "reason")->valuestring, "no_route");
	for (const char *c = printed; *c; c++)
		ck_assert_msg((unsigned char)*c < 0x7f, "a byte of the call came out as it was");
	cJSON_Delete(root);
}
END_TEST

static void must_be_refused(const char *words, const char *why)
{
	char line[512];

	snprintf(line, sizeof line, "bridlectl explain %s", words);
	ck_assert_msg(run(line) == CTL_USAGE, "%s was taken", line);
	ck_assert_msg(strstr(complained, why) != NULL, "%s: %s", line, complained);
	ck_assert_str_eq(printed, "");
}

START_TEST(words_that_make_no_call_are_refused_with_the_reason)
{
	must_be_refused("", "SERVICE/METHOD");
	must_be_refused("a/B c/D", "one call");
	must_be_refused("a", "SERVICE/METHOD");
	must_be_refused("a/", "SERVICE/METHOD");
	must_be_refused("a/B --meta", "--meta");
	must_be_refused("a/B --meta env", "NAME=VALUE");
	must_be_refused("a/B --meta =x", "NAME=VALUE");
	must_be_refused("a/B --int no_such=1", "int key");
	must_be_refused("a/B --field 1.x=1", "ids with dots");
	must_be_refused("a/B --seed x", "seed");
	must_be_refused("a/B --nonsense", "--nonsense");
}
END_TEST

static void must_fail(const char *words, const char *why)
{
	char line[512];

	snprintf(line, sizeof line, "bridlectl explain %s", words);
	ck_assert_msg(run(line) == CTL_FAILED, "%s did not fail", line);
	ck_assert_msg(strstr(complained, why) != NULL, "%s: %s", line, complained);
}

START_TEST(what_the_file_does_not_have_fails)
{
	must_fail("-c conf/no_such.yaml a/B", "conf/no_such.yaml");
	must_fail("-c conf/routes.yaml a/B --listener nobody", "no listener nobody");
	must_fail("-c conf/routes.yaml a/B --source somewhere", "no IP address");
	must_fail("-c conf/routes.yaml a/B --uid me", "no number");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {explanations_of_the_examples_are_as_written_down, 1},
	    {json_has_what_an_explanation_promises, 1},
	    {bytes_of_any_kind_are_explained_in_good_json, 1},
	    {words_that_make_no_call_are_refused_with_the_reason, 1},
	    {what_the_file_does_not_have_fails, 1},
	};

	return suite_run_between("ctl_explain", tests, ARRAY_LEN(tests), begin, end);
}
