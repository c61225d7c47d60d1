#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "model/config_source.h"
#include "support/loaded.h"
#include "support/suite.h"

#define LISTENER "listeners: [{address: \"127.0.0.1:0\", service: app}]\n"
#define SERVICE  "services: {app: {endpoints: [\"127.0.0.1:9000\"]}}\n"

/* The only service of a file that loads. */
static const struct service_config *app(const struct loaded *l)
{
	const struct service_config *service = config_service(loaded_config(l), SLICE_LIT("app"));

	ck_assert_ptr_nonnull(service);
	return service;
}

START_TEST(variables_are_put_into_values)
{
	struct loaded l = loaded_from(
	    "node: {zone: \"a-${WORD}-${UNSET:-b}-${EMPTY:-c}-${EMPTY}\", cluster: \"$${WORD} $ $x\", "
	    "id: \"${NUMBER}\"}\n"
	    "listeners: [{address: \"127.0.0.1:0\", service: app, in_flight: \"${NUMBER}\", "
	    "strict_service: \"${FLAG}\"}]\n" SERVICE);
	const struct config *config = loaded_config(&l);

	ck_assert_str_eq(config->node.zone, "a-many-b-c-");
	ck_assert_str_eq(config->node.cluster, "${WORD} $ $x");
	ck_assert_str_eq(config->node.id, "17");
	ck_assert_uint_eq(config->listeners[0].in_flight, 17);
	ck_assert(config->listeners[0].strict_service);
	loaded_free(&l);
}
END_TEST

START_TEST(variables_cannot_bring_structure_in)
{
	struct loaded l = loaded_from("node: {zone: \"${HOSTILE}\"}\n" LISTENER SERVICE);

	ck_assert_str_eq(loaded_config(&l)->node.zone, "127.0.0.1:0\", service: other");
	ck_assert_str_eq(l.config->listeners[0].service->label, "app");
	loaded_free(&l);
}
END_TEST

START_TEST(variables_that_fail_are_named)
{
	struct loaded l =
	    loaded_from("node: {zone: \"${UNSET}\", cluster: \"${LATIN1}\", id: \"${1}\"}\n"
			"workers: ${WORD}\n" LISTENER SERVICE);

	ck_assert(loaded_says(&l, "node.zone", "UNSET is not set", "${UNSET:-default}"));
	ck_assert(loaded_says(&l, "node.cluster", "LATIN1 is no UTF-8", "expected"));
	ck_assert(loaded_says(&l, "node.id", "without a name", "$${"));
	ck_assert(loaded_says(&l, "workers", "(from the variable WORD)", "whole number"));
	ck_assert_uint_eq(l.problems.n, 4);
	loaded_free(&l);
}
END_TEST

START_TEST(variables_cannot_grow_without_end)
{
	char text[9000] = "node: {zone: \"";
	struct loaded l;

	/* each expands to itself and more, 64 KiB in all would take far more of them */
	for (int i = 0; i < 500; i++)
		strcat(text, "${UNSET:-aaaaa}");
	strcat(text, "\"}\n" LISTENER SERVICE);
	l = loaded_from(text);
	ck_assert(loaded_says(&l, "node.zone", "2500 bytes are too many", "at most 200"));
	loaded_free(&l);
}
END_TEST

START_TEST(overrides_go_over_the_file)
{
	static const char *const overrides[] = {
	    "listeners[0].address=127.0.0.1:1",
	    "listeners[0].timeout.idle=7s",
	    "listeners[1]={address: \"127.0.0.1:2\", service: app}",
	    "services.app.timeout.connect=3ms",
	    "services.app.endpoints[0].weight=7",
	    "services.\"a.b\".endpoints=[\"127.0.0.1:3\"]",
	    "services.\"a.b\".protocol=framed",
	    "node.zone='x = y'",
	    "node.tags={env: test}",
	    "node.id=${WORD}",
	};
	struct loaded l = loaded_with(LISTENER
	    "services: {app: {endpoints: [\"127.0.0.1:9000\"], timeout: 1s}}\n",
	    overrides, ARRAY_LEN(overrides));
	const struct config *config = loaded_config(&l);

	ck_assert_str_eq(config->listeners[0].addresses[0].text, "127.0.0.1:1");
	ck_assert_uint_eq(config->listeners[0].timeout_idle, 7 * USEC_S);
	ck_assert_uint_eq(config->n_listeners, 2);
	/* the short form that the file has still counts */
	ck_assert_uint_eq(app(&l)->policy.timeout_call, USEC_S);
	ck_assert_uint_eq(app(&l)->policy.timeout_connect, 3 * USEC_MS);
	ck_assert_str_eq(app(&l)->endpoints[0].address.text, "127.0.0.1:9000");
	ck_assert_uint_eq(app(&l)->endpoints[0].weight, 7);
	ck_assert_int_eq(config_service(config, SLICE_LIT("a.b"))->protocol, SERVICE_FRAMED);
	ck_assert_str_eq(config->node.zone, "x = y");
	ck_assert_uint_eq(config->node.tags.n, 1);
	ck_assert_str_eq(config->node.id, "many");
	loaded_free(&l);
}
END_TEST

START_TEST(overrides_that_make_no_sense_are_refused)
{
	static const struct {
		const char *override, *path, *text;
	} cases[] = {
	    {"workers", "", "no assignment"},
	    {"=3", "", "no assignment"},
	    {"workers=", "workers", "no value"},
	    {"listeners[3].name=x", "listeners[3].name", "no place"},
	    {"listeners[x].name=x", "listeners[x].name", "no place"},
	    {"listeners[0=x", "listeners[0", "no place"},
	    {"listeners.name=x", "listeners.name", "no place"},
	    {"node[0]=x", "node[0]", "no place"},
	    {"services.\"app.timeout=1s", "", "no assignment"},
	    {"worker=3", "worker", "unknown key"},
	    {"workers=three", "workers", "where a number belongs"},
	    {"workers=[1", "[1]", "not YAML"},
	    {"node.zone=*x", "", "aliases"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct loaded l =
		    loaded_with("node: {zone: a}\n" LISTENER SERVICE, &cases[i].override, 1);

		ck_assert_msg(l.config == NULL, "%s", cases[i].override);
		ck_assert_msg(
		    loaded_says(&l, cases[i].path, cases[i].text, NULL), "%s", cases[i].override);
		loaded_free(&l);
	}
}
END_TEST

/* A folder of its own for each test that needs files. */
static char folder[] = "/tmp/bridle-config-XXXXXX";

static void put_file(const char *name, const char *text)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	ck_assert_int_eq(fclose(file), 0);
}

static void remove_files(const char *const *names)
{
	char path[200];

	for (; *names; names++) {
		snprintf(path, sizeof path, "%s/%s", folder, *names);
		unlink(path);
	}
	ck_assert_int_eq(rmdir(folder), 0);
}

START_TEST(directory_is_merged_in_byte_order)
{
	static const char *const names[] = {
	    "10.yaml", "9.yaml", "Z.yaml", "a.yml", ".h.yaml", "b.yaml~", NULL};
	struct loaded l;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	put_file(
	    "10.yaml", "listeners: [{address: \"127.0.0.1:0\", service: app}]\nnode: {zone: a}\n");
	put_file(
	    "9.yaml", "services: {app: {timeout: 1s}}\nlisteners: [{address: \"127.0.0.1:0\"}]\n");
	put_file("Z.yaml", "services: {app: {endpoints: [\"127.0.0.1:1\"]}}\nnode: {cluster: b}\n");
	put_file("a.yml", "this: {is: not read\n");
	put_file(".h.yaml", "neither: {is: this\n");
	put_file("b.yaml~", "nor: {this\n");
	l = loaded_file(folder);
	ck_assert_uint_eq(loaded_config(&l)->n_listeners, 2);
	ck_assert_ptr_nonnull(l.config->listeners[0].service);
	ck_assert_ptr_null(l.config->listeners[1].service);
	ck_assert_str_eq(l.config->node.zone, "a");
	ck_assert_str_eq(l.config->node.cluster, "b");
	ck_assert_uint_eq(app(&l)->policy.timeout_call, USEC_S);
	loaded_free(&l);
	remove_files(names);
}
END_TEST

START_TEST(directory_reports_clashes_with_both_places)
{
	static const char *const names[] = {"a.yaml", "b.yaml", "c.yaml", NULL};
	char place[200];
	struct loaded l;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	put_file("a.yaml", LISTENER SERVICE "log: {level: info}\n");
	put_file("b.yaml",
	    "log:\n  level: info\n  to: stderr\nservices: {app: {endpoints: [\"127.0.0.1:2\"]}}\n");
	put_file("c.yaml", "log: 3\nlisteners: {a: b}\nnode: {service: \"x y\"}\n");
	l = loaded_file(folder);
	ck_assert_ptr_null(l.config);
	snprintf(place, sizeof place, "first given at %s/a.yaml:3:7", folder);
	ck_assert(loaded_says(&l, "log.level", "two files", place));
	ck_assert(loaded_says(&l, "services.app.endpoints", "two files", "a.yaml:2:18"));
	ck_assert(loaded_says(&l, "log", "two files", "a.yaml:3:1"));
	ck_assert(loaded_says(&l, "listeners", "two files", "a.yaml:1:1"));
	/* the rest is checked all the same */
	ck_assert(loaded_says(&l, "node.service", "not a name", NULL));
	ck_assert_uint_eq(l.problems.n, 5);
	loaded_free(&l);
	remove_files(names);
}
END_TEST

START_TEST(files_that_cannot_be_read_are_said_so)
{
	static const char *const names[] = {"big.yaml", NULL};
	struct loaded l = loaded_file("/nonexistent/bridled.yaml");
	char path[200];

	ck_assert_ptr_null(l.config);
	ck_assert_ptr_nonnull(strstr(l.problems.list[0].text, "No such file"));
	ck_assert_str_eq(l.problems.list[0].file, "/nonexistent/bridled.yaml");
	loaded_free(&l);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	l = loaded_file(folder);
	ck_assert(loaded_says(&l, "", "holds no configuration", "*.yaml"));
	loaded_free(&l);
	put_file("big.yaml", "");
	snprintf(path, sizeof path, "%s/big.yaml", folder);
	ck_assert_int_eq(truncate(path, 1 << 30), 0);
	l = loaded_file(path);
	ck_assert(loaded_says(&l, "", "bytes long", "1 MiB"));
	loaded_free(&l);
	remove_files(names);
}
END_TEST

START_TEST(fifo_in_the_way_does_not_stop_the_reader)
{
	static const char *const names[] = {"a.yaml", NULL};
	char path[200];
	struct loaded l;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/a.yaml", folder);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	l = loaded_file(folder);
	ck_assert_ptr_null(l.config);
	loaded_free(&l);
	remove_files(names);
}
END_TEST

START_TEST(folder_called_like_a_file_is_refused)
{
	static const char *const names[] = {NULL};
	char path[200];
	struct loaded l;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/a.yaml", folder);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	l = loaded_file(folder);
	ck_assert(loaded_says(&l, "", "Is a directory", NULL));
	loaded_free(&l);
	ck_assert_int_eq(rmdir(path), 0);
	remove_files(names);
}
END_TEST

static bool says_the_same(const char *a, const char *b)
{
	struct loaded one = loaded_from(a), other = loaded_from(b);
	bool same = config_tree_same(loaded_config(&one)->tree, loaded_config(&other)->tree);

	loaded_free(&one);
	loaded_free(&other);
	return same;
}

START_TEST(trees_are_compared_by_what_they_say)
{
	ck_assert(says_the_same(LISTENER SERVICE "workers: 2\n",
	    "# a comment\n" LISTENER "\n\n" SERVICE "workers:   2 # more\n"));
	ck_assert(says_the_same(LISTENER SERVICE "workers: ${NUMBER}\n",
		      LISTENER SERVICE "workers: \"${NUMBER}\"\n") == false);
	ck_assert(!says_the_same(LISTENER SERVICE "workers: 2\n", LISTENER SERVICE "workers: 3\n"));
	ck_assert(!says_the_same(LISTENER SERVICE, LISTENER SERVICE "workers: 2\n"));
	ck_assert(!says_the_same(LISTENER SERVICE "workers: 2\n", LISTENER SERVICE));
	ck_assert(!says_the_same(
	    LISTENER SERVICE "node: {zone: a}\n", LISTENER SERVICE "node: {cluster: a}\n"));
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    variables_are_put_into_values,
	    variables_cannot_bring_structure_in,
	    variables_that_fail_are_named,
	    variables_cannot_grow_without_end,
	    overrides_go_over_the_file,
	    overrides_that_make_no_sense_are_refused,
	    directory_is_merged_in_byte_order,
	    directory_reports_clashes_with_both_places,
	    files_that_cannot_be_read_are_said_so,
	    fifo_in_the_way_does_not_stop_the_reader,
	    folder_called_like_a_file_is_refused,
	    trees_are_compared_by_what_they_say,
	};

	return suite_run("config_source", tests, ARRAY_LEN(tests));
}
