/* The file registry: what a file says, and every way in which files are changed. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/mem.h"
#include "base/text.h"
#include "net/loop.h"
#include "support/followed_registry.h"
#include "support/suite.h"

int __real_inotify_init1(int flags);
int __wrap_inotify_init1(int flags);

static struct followed_registry f;
static char root[40];
static bool no_inotify;

int __wrap_inotify_init1(int flags)
{
	return no_inotify ? -1 : __real_inotify_init1(flags);
}

static void begin(void)
{
	strcpy(root, "/tmp/bridle-file-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	no_inotify = false;
	f = (struct followed_registry){.raised = 0};
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void end(void)
{
	if (f.registry)
		followed_close(&f);
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Four at a time. */
static const char *in_root(const char *name)
{
	static char paths[4][300];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", root, name);
	return path;
}

static void put(const char *name, const char *text)
{
	FILE *file = fopen(in_root(name), "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static void replace(const char *name, const char *text)
{
	put(".new", text);
	ck_assert_int_eq(rename(in_root(".new"), in_root(name)), 0);
}

/* Looks only once an hour: all that is seen comes from inotify. */
static void open_registry(const char *name)
{
	char keys[400];

	snprintf(keys, sizeof keys, "type: file, path: \"%s\", refresh: %s, empty: obey",
	    in_root(name), no_inotify ? "1s" : "1h");
	followed_open(&f, keys, "");
}

static void open_with(const char *text)
{
	put("s.yaml", text);
	open_registry("s.yaml");
}

/* ---- what a file says ---- */

START_TEST(a_service_is_a_list_of_addresses_or_of_maps)
{
	open_with("a: [10.0.0.1:80, \"[::1]:81\", \"unix:/run/a.sock\"]\n"
		  "b:\n"
		  "  - address: 10.0.0.2:80\n"
		  "    weight: 0\n"
		  "    zone: z1\n"
		  "    tags: {env: prod, n: 7, idc: z9}\n"
		  "  - {address: 10.0.0.3:80, tags: {idc: z9}}\n"
		  "c: [{network: tcp, address: \"10.0.0.4:80\", weight: 10, tags: null}]\n");
	followed_services(&f, "a b c");
	followed_until(&f, "a", "10.0.0.1:80 w10; [::1]:81 w10; unix:/run/a.sock w10");
	followed_until(
	    &f, "b", "10.0.0.2:80 w0 z1 {env=prod,idc=z9,n=7}; 10.0.0.3:80 w10 z9 {idc=z9}");
	followed_until(&f, "c", "10.0.0.4:80 w10");
}
END_TEST

START_TEST(json_is_read_as_well)
{
	open_with("{\"a\": [\"10.0.0.1:80\", {\"network\":\"tcp\",\"address\":\"10.0.0.2:80\","
		  "\"weight\":5,\"tags\":{\"x\":\"\\u00e9\"}}]}");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10; 10.0.0.2:80 w5 {x=é}");
}
END_TEST

START_TEST(a_service_that_is_not_in_the_file_has_no_endpoints)
{
	open_with("a: [10.0.0.1:80]\nb: []\nc:\n");
	followed_services(&f, "a b c d");
	followed_until(&f, "d", "empty:");
	ck_assert_str_eq(followed_set(&f, "b"), "empty:");
	ck_assert_str_eq(followed_set(&f, "c"), "empty:");
}
END_TEST

static const char *const bad_items[][2] = {
    {"db.local:80", "only an IP address"},
    {"10.0.0.9:0", "port is 0"},
    {"0.0.0.0:80", "every host"},
    {"\"unix:relative\"", "unix:/path"},
    {"\"unix:@abstract\"", "only an IP address"},
    {"nonsense", "port is missing"},
    {"[]", "neither an address"},
    {"{weight: 3}", "there is no address"},
    {"{address: 10.0.0.9:80, weight: -1}", "weight"},
    {"{address: 10.0.0.9:80, weight: 1000001}", "weight"},
    {"{address: 10.0.0.9:80, weight: 1.5}", "weight"},
    {"{address: 10.0.0.9:80, weight: \"5\"}", "weight"},
    {"{address: 10.0.0.9:80, weigth: 5}", "weigth"},
    {"{address: 10.0.0.9:80, tags: [a]}", "tags"},
    {"{address: 10.0.0.9:80, tags: {a: [b]}}", "tag"},
    {"{address: 10.0.0.9:80, zone: {}}", "zone"},
    {"{address: [10.0.0.9:80]}", "address"},
    {"{network: udp, address: 10.0.0.9:80}", "network"},
};

START_TEST(a_bad_endpoint_is_left_out_alone_and_remembered)
{
	char text[300];

	snprintf(text, sizeof text, "a:\n- 10.0.0.1:80\n- %s\n- 10.0.0.2:80\n", bad_items[_i][0]);
	open_with(text);
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10; 10.0.0.2:80 w10");
	ck_assert_msg(followed_remembers(&f, "a", bad_items[_i][1]), "%s", bad_items[_i][0]);
	ck_assert(followed_remembers(&f, "a", "3:3")); /* where it stands */
}
END_TEST

START_TEST(a_service_that_is_no_list_fails_alone)
{
	open_with("a: 10.0.0.1:80\nb: [10.0.0.2:80]\n");
	followed_services(&f, "a b");
	followed_until(&f, "b", "10.0.0.2:80 w10");
	followed_until_error(&f, "a", ":1:4: not a list");
	ck_assert_str_eq(followed_set(&f, "a"), "unknown:");
}
END_TEST

static const char *const bad_files[][2] = {
    {"a: [10.0.0.2:80\n", ""},
    {"a: [10.0.0.2:80]\nb: *x\n", ":2:4:"},
    {"a: [10.0.0.2:80]\na: []\n", ":2:1:"},
    {"- 10.0.0.2:80\n", ":1:1: not a map"},
    {"a: \xff\n", ":1:4:"},
    {"", "is empty"},
    {"# nothing\n", "is empty"},
};

START_TEST(a_file_that_is_wrong_anywhere_changes_nothing)
{
	open_with("a: [10.0.0.1:80]\n");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	replace("s.yaml", bad_files[_i][0]);
	followed_until(&f, "a", "stale: 10.0.0.1:80 w10");
	followed_until_error(&f, "a", bad_files[_i][1]);
	ck_assert_str_ne(registry_report(f.registry).error, "");
	replace("s.yaml", "a: [10.0.0.3:80]\n");
	followed_until(&f, "a", "10.0.0.3:80 w10");
}
END_TEST

START_TEST(what_is_too_large_is_not_read_to_its_end)
{
	open_with("a: [10.0.0.1:80]\n");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	ck_assert_int_eq(truncate(in_root("s.yaml"), (9 << 20)), 0);
	followed_until_error(&f, "a", "8 MiB");
}
END_TEST

START_TEST(what_is_no_file_blocks_nobody)
{
	ck_assert_int_eq(_i ? mkfifo(in_root("s.yaml"), 0600) : mkdir(in_root("s.yaml"), 0700), 0);
	open_registry("s.yaml");
	followed_services(&f, "a");
	followed_until_error(&f, "a", "not a file");
}
END_TEST

START_TEST(ten_thousand_endpoints_are_read_in_no_time)
{
	struct text text = {0};
	usec_t began, took;

	text_add_str(&text, "a:\n");
	for (unsigned i = 0; i < 10000; i++)
		text_printf(&text,
		    "  - {network: tcp, address: \"10.0.%u.%u:8888\", weight: 10, tags: {env: prod, "
		    "idc: eu%u}}\n",
		    i / 256, i % 256, i % 3);
	text_add(&text, SLICE_LIT("\0"));
	put("s.yaml", text.bytes);
	text_fini(&text);
	open_registry("s.yaml");
	followed_services(&f, "a");
	began = suite_cpu_time();
	while (registry_set(f.registry, SLICE_LIT("a")).n < 10000)
		loop_turn(f.loop, USEC_S);
	took = suite_cpu_time() - began;
	ck_assert_msg(took < 3 * USEC_S, "%lu ms", (unsigned long)(took / 1000));
}
END_TEST

/* ---- how files change ---- */

START_TEST(a_file_that_is_replaced_is_read_again)
{
	open_with("a: [10.0.0.1:80]\n");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	for (int i = 2; i < 5; i++) {
		char text[60], set[60];

		snprintf(text, sizeof text, "a: [10.0.0.%d:80]\n", i);
		snprintf(set, sizeof set, "10.0.0.%d:80 w10", i);
		replace("s.yaml", text);
		followed_until(&f, "a", set);
	}
}
END_TEST

START_TEST(a_file_that_is_written_in_place_is_read_once_its_writer_is_done)
{
	FILE *file;

	open_with("a: [10.0.0.1:80]\nb: [10.0.0.1:80]\n");
	followed_services(&f, "a b");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	file = fopen(in_root("s.yaml"), "w");
	fputs("a: [10.0.0.2:80]\n", file);
	fflush(file);
	/* What is there by now is a right file, too, in which b is missing. */
	followed_turn(&f, 200 * USEC_MS);
	ck_assert_str_eq(followed_set(&f, "a"), "10.0.0.1:80 w10");
	fputs("b: [10.0.0.2:80]\n", file);
	fclose(file);
	followed_until(&f, "b", "10.0.0.2:80 w10");
	ck_assert_str_eq(followed_set(&f, "a"), "10.0.0.2:80 w10");
	ck_assert(!followed_remembers(&f, "b", "empty"));
}
END_TEST

START_TEST(a_writer_that_never_closes_is_not_waited_for_for_ever)
{
	int fd;

	open_with("a: [10.0.0.1:80]\n");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	fd = open(in_root("s.yaml"), O_WRONLY);
	ck_assert_int_eq(write(fd, "a: [10.0.0.2:80]\n", 17), 17);
	followed_until(&f, "a", "10.0.0.2:80 w10");
	close(fd);
}
END_TEST

START_TEST(links_may_be_turned_as_kubernetes_does)
{
	mkdir(in_root("..1"), 0700);
	mkdir(in_root("..2"), 0700);
	put("..1/s.yaml", "a: [10.0.0.1:80]\n");
	put("..2/s.yaml", "a: [10.0.0.2:80]\n");
	ck_assert_int_eq(symlink("..1", in_root("..data")), 0);
	ck_assert_int_eq(symlink("..data/s.yaml", in_root("s.yaml")), 0);
	open_registry("s.yaml");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	ck_assert_int_eq(symlink("..2", in_root("..tmp")), 0);
	ck_assert_int_eq(rename(in_root("..tmp"), in_root("..data")), 0);
	unlink(in_root("..1/s.yaml"));
	rmdir(in_root("..1"));
	followed_until(&f, "a", "10.0.0.2:80 w10");
	/* and then what lies there is changed in its place */
	put("..2/s.yaml", "a: [10.0.0.3:80]\n");
	followed_until(&f, "a", "10.0.0.3:80 w10");
}
END_TEST

START_TEST(a_link_in_the_middle_of_the_path_may_be_turned)
{
	mkdir(in_root("one"), 0700);
	mkdir(in_root("two"), 0700);
	put("one/s.yaml", "a: [10.0.0.1:80]\n");
	put("two/s.yaml", "a: [10.0.0.2:80]\n");
	/* an absolute target, and one that climbs */
	ck_assert_int_eq(symlink(in_root("one"), in_root("now")), 0);
	open_registry("now/s.yaml");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	ck_assert_int_eq(symlink("./../two", in_root("one/next")), 0);
	ck_assert_int_eq(rename(in_root("one/next"), in_root("now")), 0);
	put("now-is-broken", "");
	followed_until(
	    &f, "a", "stale: 10.0.0.1:80 w10"); /* ./../two is elsewhere, seen from here */
	unlink(in_root("now"));
	ck_assert_int_eq(symlink("two", in_root("now")), 0);
	followed_until(&f, "a", "10.0.0.2:80 w10");
}
END_TEST

START_TEST(links_in_a_circle_are_given_up)
{
	ck_assert_int_eq(symlink("b", in_root("a")), 0);
	ck_assert_int_eq(symlink("a", in_root("b")), 0);
	open_registry("a");
	followed_services(&f, "a");
	followed_until_error(&f, "a", "symbolic links");
	unlink(in_root("a"));
	put("a", "a: [10.0.0.1:80]\n");
	followed_until(&f, "a", "10.0.0.1:80 w10");
}
END_TEST

START_TEST(a_file_that_is_gone_leaves_its_set_and_is_read_when_it_is_back)
{
	open_with("a: [10.0.0.1:80]\n");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	unlink(in_root("s.yaml"));
	followed_until(&f, "a", "stale: 10.0.0.1:80 w10");
	put("s.yaml", "a: [10.0.0.2:80]\n");
	followed_until(&f, "a", "10.0.0.2:80 w10");
}
END_TEST

START_TEST(a_file_and_its_directories_may_come_later)
{
	open_registry("x/y/s.yaml");
	followed_services(&f, "a");
	followed_until_error(&f, "a", "No such file");
	ck_assert_str_eq(followed_set(&f, "a"), "unknown:");
	mkdir(in_root("x"), 0700);
	followed_turn(&f, 100 * USEC_MS);
	mkdir(in_root("x/y"), 0700);
	followed_turn(&f, 100 * USEC_MS);
	put("x/y/s.yaml", "a: [10.0.0.1:80]\n");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	/* and go, and come again */
	unlink(in_root("x/y/s.yaml"));
	rmdir(in_root("x/y"));
	followed_until(&f, "a", "stale: 10.0.0.1:80 w10");
	mkdir(in_root("x/y"), 0700);
	put("x/y/s.yaml", "a: [10.0.0.2:80]\n");
	followed_until(&f, "a", "10.0.0.2:80 w10");
}
END_TEST

START_TEST(where_inotify_is_not_to_be_had_the_file_is_looked_at)
{
	no_inotify = true;
	open_with("a: [10.0.0.1:80]\n");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	replace("s.yaml", "a: [10.0.0.2:80]\n");
	followed_until(&f, "a", "10.0.0.2:80 w10");
	unlink(in_root("s.yaml"));
	followed_until(&f, "a", "stale: 10.0.0.2:80 w10");
	put("s.yaml", "a: [10.0.0.3:80]\n");
	followed_until(&f, "a", "10.0.0.3:80 w10");
}
END_TEST

static void limit_descriptors(rlim_t most)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(a_file_that_could_not_be_read_for_a_while_is_read_later)
{
	no_inotify = true;
	open_with("a: [10.0.0.1:80]\n");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	put(".new", "a: [10.0.0.2:80]\n");
	limit_descriptors(3);
	ck_assert_int_eq(rename(in_root(".new"), in_root("s.yaml")), 0);
	followed_until(&f, "a", "stale: 10.0.0.1:80 w10");
	limit_descriptors(1024);
	followed_until(&f, "a", "10.0.0.2:80 w10");
}
END_TEST

START_TEST(other_files_beside_it_are_no_news)
{
	unsigned raised;

	open_with("a: [10.0.0.1:80]\n");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	raised = f.raised;
	for (int i = 0; i < 50; i++)
		put("other", "x");
	followed_turn(&f, 200 * USEC_MS);
	ck_assert_uint_eq(f.raised, raised);
}
END_TEST

START_TEST(services_that_are_followed_later_are_told_too)
{
	open_with("a: [10.0.0.1:80]\nb: [10.0.0.2:80]\n");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
	followed_services(&f, "a b");
	followed_until(&f, "b", "10.0.0.2:80 w10");
	followed_services(&f, "b");
	ck_assert_str_eq(followed_set(&f, "a"), "unknown:");
	followed_services(&f, "a");
	followed_until(&f, "a", "10.0.0.1:80 w10");
}
END_TEST

/* ---- documents ---- */

START_TEST(a_map_holds_the_documents_of_dynamic_configuration)
{
	open_with("me/price:\n"
		  "  timeout: {\"*\": {rpc_timeout_ms: 100, conn_timeout_ms: 50}}\n"
		  "  retry: {Get: {enable: true, type: 0, x: 1.5, s: \"1\", h: 0x10, none: ~}}\n"
		  "  circuitbreaker: {Get: {err_rate: 0.5}}\n"
		  "price: {limit: {connection_limit: 100}}\n");
	followed_documents(&f, "me/price/rpc_timeout me/price/retry me/price/circuit_break "
			       "me/price/degradation price/limit other/limit limit");
	followed_until_document(
	    &f, "me/price/rpc_timeout", "{\"*\":{\"rpc_timeout_ms\":100,\"conn_timeout_ms\":50}}");
	followed_until_document(&f, "me/price/retry",
	    "{\"Get\":{\"enable\":true,\"type\":0,\"x\":1.5,\"s\":\"1\",\"h\":\"0x10\","
	    "\"none\":null}}");
	followed_until_document(&f, "me/price/circuit_break", "{\"Get\":{\"err_rate\":0.5}}");
	followed_until_document(&f, "price/limit", "{\"connection_limit\":100}");
	followed_until_document(&f, "me/price/degradation", "none");
	followed_until_document(&f, "other/limit", "none");
	followed_until_document(&f, "limit", "none");
}
END_TEST

START_TEST(documents_change_and_vanish_with_the_file)
{
	open_with("price: {limit: {qps_limit: 1}}\n");
	followed_documents(&f, "price/limit");
	followed_until_document(&f, "price/limit", "{\"qps_limit\":1}");
	replace("s.yaml", "price: {limit: {qps_limit: 2}}\n");
	followed_until_document(&f, "price/limit", "{\"qps_limit\":2}");
	replace("s.yaml", "price: {limit: \n");
	followed_turn(&f, 200 * USEC_MS);
	ck_assert_str_eq(followed_document(&f, "price/limit"), "{\"qps_limit\":2}");
	replace("s.yaml", "{}\n");
	followed_until_document(&f, "price/limit", "none");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_service_is_a_list_of_addresses_or_of_maps, 1},
	    {json_is_read_as_well, 1},
	    {a_service_that_is_not_in_the_file_has_no_endpoints, 1},
	    {a_bad_endpoint_is_left_out_alone_and_remembered, ARRAY_LEN(bad_items)},
	    {a_service_that_is_no_list_fails_alone, 1},
	    {a_file_that_is_wrong_anywhere_changes_nothing, ARRAY_LEN(bad_files)},
	    {what_is_too_large_is_not_read_to_its_end, 1},
	    {what_is_no_file_blocks_nobody, 2},
	    {ten_thousand_endpoints_are_read_in_no_time, 1},
	    {a_file_that_is_replaced_is_read_again, 1},
	    {a_file_that_is_written_in_place_is_read_once_its_writer_is_done, 1},
	    {a_writer_that_never_closes_is_not_waited_for_for_ever, 1},
	    {links_may_be_turned_as_kubernetes_does, 1},
	    {a_link_in_the_middle_of_the_path_may_be_turned, 1},
	    {links_in_a_circle_are_given_up, 1},
	    {a_file_that_is_gone_leaves_its_set_and_is_read_when_it_is_back, 1},
	    {a_file_and_its_directories_may_come_later, 1},
	    {where_inotify_is_not_to_be_had_the_file_is_looked_at, 1},
	    {a_file_that_could_not_be_read_for_a_while_is_read_later, 1},
	    {other_files_beside_it_are_no_news, 1},
	    {services_that_are_followed_later_are_told_too, 1},
	    {a_map_holds_the_documents_of_dynamic_configuration, 1},
	    {documents_change_and_vanish_with_the_file, 1},
	};

	return suite_run_between("file_registry", tests, ARRAY_LEN(tests), begin, end);
}
