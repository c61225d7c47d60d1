/* The last good sets on disk: what is written, what is believed, and when. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "base/text.h"
#include "net/loop.h"
#include "registry/cache.h"
#include "support/fake_registry.h"
#include "support/suite.h"

static struct registry *r;
static char folder[40], path[64];

static void begin(void)
{
	fake_registry_begin();
	strcpy(folder, "/tmp/bridle-cache-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/main.cache", folder);
	fake_registry_config.cache = path;
	r = NULL;
}

static void end(void)
{
	registry_free(&r);
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0); /* nothing else was left in it */
	fake_registry_end();
}

static void open_and_follow(const char *a, const char *b)
{
	struct slice names[] = {slice_str(a), slice_str(b)};

	r = fake_registry_open();
	registry_follow(r, names, b ? 2 : 1);
	fake_registry_turn();
}

static struct text read_all(void)
{
	struct text text = {0};
	char room[4096];
	size_t n;
	FILE *f = fopen(path, "r");

	if (f == NULL)
		return text;
	while ((n = fread(room, 1, sizeof room, f)) > 0)
		text_add(&text, slice_of(room, n));
	fclose(f);
	text_add(&text, SLICE_LIT("\0"));
	return text;
}

static void write_all(const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

static bool file_says(const char *part)
{
	struct text text = read_all();
	bool says = text.len && strstr(text.bytes, part);

	text_fini(&text);
	return says;
}

/* A file with one set of two endpoints of the service shop. */
static void make_file(void)
{
	open_and_follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.1:80 3 az1 lane=gray;10.0.0.2:80 4");
	registry_free(&r);
	ck_assert(file_says("shop"));
	fake_registry_raised[0] = '\0';
}

START_TEST(sets_come_back_as_they_were_and_are_stale)
{
	struct registry_set set;

	make_file();
	open_and_follow("shop", "cart");
	ck_assert_str_eq(fake_registry_known(r, "shop"),
	    "stale 10.0.0.1:80 10.0.0.2:80 ! from the cache; the registry has not answered yet");
	set = registry_set(r, SLICE_LIT("shop"));
	ck_assert(set.is_answered && set.at > 0);
	ck_assert_uint_eq(set.list[0].weight, 3);
	ck_assert_str_eq(set.list[0].zone, "az1");
	ck_assert_str_eq(set.list[0].tags.pairs[0].name, "lane");
	ck_assert_str_eq(set.list[0].tags.pairs[0].value, "gray");
	ck_assert_ptr_null(set.list[1].zone);
	ck_assert(registry_report(r).has_answered && !registry_report(r).is_up);
	ck_assert_str_eq(fake_registry_known(r, "cart"), "unknown");
	ck_assert_str_eq(fake_registry_raised, "set shop\n");
	ck_assert_str_eq(
	    fake_registry_history(r, "shop"), "cached - [7] 2 endpoints from the cache\n");
}
END_TEST

START_TEST(the_first_answer_takes_the_place_of_the_cache)
{
	make_file();
	open_and_follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.2:80 4;10.0.0.3:80");
	ck_assert_str_eq(fake_registry_known(r, "shop"), "fresh 10.0.0.2:80 10.0.0.3:80");
}
END_TEST

START_TEST(an_empty_answer_after_the_cache_is_doubted_as_any_other)
{
	make_file();
	open_and_follow("shop", NULL);
	fake_registry_hear(r, "shop", "");
	ck_assert_uint_eq(registry_set(r, SLICE_LIT("shop")).n, 2);
}
END_TEST

START_TEST(an_error_leaves_what_the_cache_gave)
{
	make_file();
	open_and_follow("shop", NULL);
	fake_registry_fail(r, NULL, "refused");
	ck_assert_str_eq(fake_registry_known(r, "shop"), "stale 10.0.0.1:80 10.0.0.2:80 ! refused");
}
END_TEST

START_TEST(a_service_that_is_asked_for_later_is_found_in_the_cache_until_the_registry_answers)
{
	struct slice both[] = {SLICE_LIT("other"), SLICE_LIT("shop")};

	make_file();
	open_and_follow("other", NULL);
	registry_follow(r, both, 2);
	ck_assert_uint_eq(registry_set(r, SLICE_LIT("shop")).n, 2);
	registry_follow(r, both, 1);
	registry_alive(r);
	registry_follow(r, both, 2);
	ck_assert_uint_eq(registry_set(r, SLICE_LIT("shop")).n, 0);
}
END_TEST

START_TEST(a_registry_that_never_answered_does_not_touch_the_file)
{
	struct text before, after;

	make_file();
	before = read_all();
	open_and_follow("other", NULL);
	fake_registry_fail(r, NULL, "refused");
	registry_follow(r, NULL, 0);
	fake_registry_pass(USEC_MIN);
	registry_free(&r);
	after = read_all();
	ck_assert_str_eq(before.bytes, after.bytes);
	text_fini(&before);
	text_fini(&after);
}
END_TEST

START_TEST(services_that_nobody_follows_go_with_the_next_writing)
{
	make_file();
	open_and_follow("cart", NULL);
	fake_registry_hear(r, "cart", "10.0.0.9:80");
	registry_free(&r);
	ck_assert(file_says("cart") && !file_says("shop"));
}
END_TEST

/* Lets the writer's thread come to its end; turns the loop meanwhile. */
static bool is_written(const char *part)
{
	for (int i = 0; i < 5000; i++) {
		fake_registry_turn();
		if (file_says(part))
			return true;
		usleep(1000);
	}
	return false;
}

START_TEST(a_change_is_written_soon_and_the_next_one_five_seconds_later)
{
	open_and_follow("shop", NULL);
	fake_registry_skipped += 10 * USEC_S;
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	ck_assert(!file_says("shop"));
	fake_registry_pass(USEC_S);
	ck_assert(is_written("10.0.0.1:80"));
	fake_registry_hear(r, "shop", "10.0.0.2:80");
	fake_registry_pass(USEC_S);
	fake_registry_pass(USEC_S);
	ck_assert(!file_says("10.0.0.2:80"));
	for (int i = 0; i < 5; i++)
		fake_registry_pass(USEC_S);
	ck_assert(is_written("10.0.0.2:80"));
}
END_TEST

START_TEST(only_the_owner_may_read_it)
{
	struct stat st;

	make_file();
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(what_another_has_put_beside_it_is_not_written_into)
{
	char fresh[80], other[80];
	struct stat st;
	struct err err;

	snprintf(fresh, sizeof fresh, "%s.new", path);
	snprintf(other, sizeof other, "%s.other", path);
	ck_assert_int_eq(close(open(other, O_WRONLY | O_CREAT, 0644)), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(i == 0   ? link(other, fresh)
				 : i == 1 ? symlink(other, fresh)
					  : mkfifo(fresh, 0600),
		    0);
		ck_assert_int_eq(cache_replace(path, SLICE_LIT("a set"), &err), 0);
		ck_assert_int_eq(lstat(path, &st), 0);
		ck_assert(S_ISREG(st.st_mode) && st.st_size == 5 && st.st_nlink == 1);
		ck_assert_uint_eq(st.st_mode & 07777, 0600);
		ck_assert_int_eq(stat(other, &st), 0);
		ck_assert_int_eq(st.st_size, 0);
	}
	unlink(other);
}
END_TEST

START_TEST(a_folder_that_is_not_there_costs_nothing_but_the_cache)
{
	fake_registry_config.cache = "/nonexistent/folder/cache";
	open_and_follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	ck_assert_str_eq(fake_registry_known(r, "shop"), "fresh 10.0.0.1:80");
	registry_free(&r);
}
END_TEST

static void refuse(const char *why)
{
	struct err err = {0};

	ck_assert_ptr_null(cache_load(&fake_registry_config, &err));
	ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
	/* And the registry does without. */
	open_and_follow("shop", NULL);
	ck_assert_str_eq(fake_registry_known(r, "shop"), "unknown");
	ck_assert(!registry_report(r).has_answered);
	registry_free(&r);
}

START_TEST(a_file_that_is_not_there_is_no_error)
{
	struct err err = {0};

	ck_assert_ptr_null(cache_load(&fake_registry_config, &err));
	ck_assert_str_eq(err.text, "");
}
END_TEST

START_TEST(every_byte_counts)
{
	struct text bytes;
	struct err err;

	make_file();
	bytes = read_all();
	bytes.len--; /* the NUL */
	for (size_t i = 0; i < bytes.len; i++) {
		struct cached *cached;

		bytes.bytes[i] ^= 1;
		cached = cache_parse(slice_of(bytes.bytes, bytes.len), &fake_registry_config, &err);
		ck_assert_ptr_null(cached);
		bytes.bytes[i] ^= 1;
		cached = cache_parse(slice_of(bytes.bytes, i), &fake_registry_config, &err);
		ck_assert_ptr_null(cached);
	}
	text_fini(&bytes);
}
END_TEST

START_TEST(damage_another_version_and_nothing_at_all_are_refused)
{
	make_file();
	write_all("bridle-cache 2 0000000000000000\n", 32);
	refuse("not a cache of this version");
	write_all("", 0);
	refuse("not a cache of this version");
	write_all("bridle-cache 1 0000000000000000\nregistry main etcd\n", 51);
	refuse("damaged");
}
END_TEST

START_TEST(the_cache_of_another_registry_is_refused)
{
	make_file();
	fake_registry_config.type = REGISTRY_CONSUL;
	refuse("of another registry");
}
END_TEST

START_TEST(a_file_that_others_may_write_is_refused)
{
	make_file();
	ck_assert_int_eq(chmod(path, 0606), 0);
	refuse("anybody may write it");
}
END_TEST

START_TEST(a_file_that_is_too_large_is_refused)
{
	make_file();
	ck_assert_int_eq(truncate(path, (off_t)CACHE_SIZE_MAX + 1), 0);
	refuse("larger than");
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	refuse("not a file");
}
END_TEST

static struct cached *parse_body(const char *body, struct err *err)
{
	struct text text = {0};
	struct cached *cached;

	text_printf(&text, CACHE_HEAD "%016llx\n%s",
	    (unsigned long long)cache_checksum(slice_str(body)), body);
	cached = cache_parse(slice_of(text.bytes, text.len), &fake_registry_config, err);
	text_fini(&text);
	return cached;
}

START_TEST(lines_that_mean_nothing_are_refused_with_their_number)
{
	static const char *const bodies[] = {
	    "registry main etcd\nservice shop 5 - 1\n",
	    "registry main etcd\nservice shop 5 - 1\n10.0.0.1:80 10 -\nservice\n",
	    "registry main etcd\nservice shop x - 1\n10.0.0.1:80 10 -\n",
	    "registry main etcd\nservice shop 5 - 10001\n",
	    "registry main etcd\nservice shop 5 - 1\n10.0.0.1:80 10 - lane\n",
	    "registry main etcd\nservice shop 5 - 1\n10.0.0.1:80 1000001 -\n",
	    "registry main etcd\nservice shop 5 - 1\nname.example:80 10 -\n",
	    "registry main etcd\nservice shop 5 - 1\n10.0.0.1:80 10 %zz\n",
	    "registry main etcd\nservice shop 5 - 1\n10.0.0.1:80 10 %00\n",
	    "registry main etcd\nservice shop 5 - 2\n10.0.0.2:80 10 -\n10.0.0.1:80 10 -\n",
	    "registry main etcd\nservice shop 5 - 1\n10.0.0.1:80 10 -",
	    "registry main etcd\nservice shop 5 - 0 more\n",
	    "registry main etcd\ndocument /a\n",
	    "registry main etcd\ndocument /a b c\n",
	    "registry main etcd\nsomething /a\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct err err = {0};
		struct cached *cached = parse_body(bodies[i], &err);

		ck_assert_msg(cached == NULL, "body %zu was taken", i);
		ck_assert_ptr_nonnull(strstr(err.text, "line "));
	}
}
END_TEST

START_TEST(strange_texts_come_back_as_they_were)
{
	static const char *const strange[] = {
	    "-", "", "a b", "50%", "x=y", "\n\t\x01", "\xe4\xb8\xad", "%2d", "--"};
	struct config_pair pairs[ARRAY_LEN(strange)];
	const struct endpoint *list, *back;
	struct endpoint e;

	for (size_t i = 0; i < ARRAY_LEN(strange); i++)
		pairs[i] = (struct config_pair){strange[ARRAY_LEN(strange) - 1 - i], strange[i]};
	fake_registry_endpoints("10.0.0.1:80", &list);
	e = *list;
	e.zone = "a zone";
	e.tags = (struct config_map){pairs, ARRAY_LEN(pairs)};
	open_and_follow("shop", NULL);
	registry_heard(r, SLICE_LIT("shop"), &e, 1, "rev 1");
	registry_free(&r);
	open_and_follow("shop", NULL);
	ck_assert_uint_eq(registry_set(r, SLICE_LIT("shop")).n, 1);
	back = registry_set(r, SLICE_LIT("shop")).list;
	ck_assert_str_eq(back->zone, "a zone");
	ck_assert_uint_eq(back->tags.n, ARRAY_LEN(strange));
	for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
		ck_assert_str_eq(back->tags.pairs[i].name, pairs[i].name);
		ck_assert_str_eq(back->tags.pairs[i].value, pairs[i].value);
	}
}
END_TEST

START_TEST(documents_come_back_too_until_the_registry_says_otherwise)
{
	struct slice keys[] = {SLICE_LIT("/a"), SLICE_LIT("/b"), SLICE_LIT("/c")};

	open_and_follow("shop", NULL);
	registry_follow_documents(r, keys, 3);
	registry_heard_document(r, keys[0], SLICE_LIT("{\"x\": 1}\n"), "1");
	registry_heard_document(r, keys[1], SLICE_LIT(""), "1");
	registry_heard_document(r, keys[2], SLICE_NONE, "1");
	registry_free(&r);
	fake_registry_raised[0] = '\0';

	open_and_follow("shop", NULL);
	registry_follow_documents(r, keys, 3);
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "document /a\ndocument /b\n");
	ck_assert(slice_eq_str(registry_document(r, keys[0]).text, "{\"x\": 1}\n"));
	ck_assert(registry_document(r, keys[1]).exists);
	ck_assert(!registry_document(r, keys[2]).is_known);
	registry_heard_document(r, keys[0], SLICE_NONE, "2");
	ck_assert(!registry_document(r, keys[0]).exists);
	ck_assert(registry_document(r, keys[1]).exists);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {sets_come_back_as_they_were_and_are_stale, 1},
	    {the_first_answer_takes_the_place_of_the_cache, 1},
	    {an_empty_answer_after_the_cache_is_doubted_as_any_other, 1},
	    {an_error_leaves_what_the_cache_gave, 1},
	    {a_service_that_is_asked_for_later_is_found_in_the_cache_until_the_registry_answers, 1},
	    {a_registry_that_never_answered_does_not_touch_the_file, 1},
	    {services_that_nobody_follows_go_with_the_next_writing, 1},
	    {a_change_is_written_soon_and_the_next_one_five_seconds_later, 1},
	    {only_the_owner_may_read_it, 1},
	    {what_another_has_put_beside_it_is_not_written_into, 1},
	    {a_folder_that_is_not_there_costs_nothing_but_the_cache, 1},
	    {a_file_that_is_not_there_is_no_error, 1},
	    {every_byte_counts, 1},
	    {damage_another_version_and_nothing_at_all_are_refused, 1},
	    {the_cache_of_another_registry_is_refused, 1},
	    {a_file_that_others_may_write_is_refused, 1},
	    {a_file_that_is_too_large_is_refused, 1},
	    {what_is_no_file_is_refused, 1},
	    {lines_that_mean_nothing_are_refused_with_their_number, 1},
	    {strange_texts_come_back_as_they_were, 1},
	    {documents_come_back_too_until_the_registry_says_otherwise, 1},
	};

	return suite_run_between("registry_cache", tests, ARRAY_LEN(tests), begin, end);
}
