#include "registry/etcd_set.h"

#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

static void take(struct etcd_set *set, const char *key, int64_t mod, bool is_deleted)
{
	struct etcd_key k = {slice_str(key), SLICE_NONE, mod, 0, is_deleted};

	etcd_set_take(set, &k);
}

START_TEST(a_listing_and_events_beside_it_agree_on_the_last_word)
{
	struct etcd_set set = {0};

	take(&set, "b", 2, false);
	take(&set, "a", 1, false);
	take(&set, "d", 9, false); /* events that come before the listing they are newer than */
	take(&set, "c", 8, true);
	take(&set, "e", 4, true);
	etcd_set_list(&set);
	take(&set, "a", 3, false);
	take(&set, "c", 5, false);
	etcd_set_listed(&set, 6);
	ck_assert_uint_eq(set.n, 3);
	ck_assert(slice_eq_str(set.list[0]->key, "a") && set.list[0]->mod_revision == 3);
	ck_assert(slice_eq_str(set.list[1]->key, "c") && set.list[1]->is_deleted);
	ck_assert(slice_eq_str(set.list[2]->key, "d"));
	etcd_set_sweep(&set);
	ck_assert_uint_eq(set.n, 2);
	etcd_set_fini(&set);
}
END_TEST

static int count_line(void *arg, struct slice line)
{
	(void)line;
	(*(unsigned *)arg)++;
	return 0;
}

START_TEST(a_line_has_an_end)
{
	struct etcd_lines lines = {0};
	unsigned n = 0;

	ck_assert_int_eq(etcd_lines_feed(&lines, SLICE_LIT("a\n\r\n\nbc"), 4, count_line, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(etcd_lines_feed(&lines, SLICE_LIT("de\n"), 4, count_line, &n), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(etcd_lines_feed(&lines, SLICE_LIT("abc"), 4, count_line, &n), 0);
	ck_assert_int_eq(etcd_lines_feed(&lines, SLICE_LIT("de"), 4, count_line, &n), -1);
	etcd_lines_fini(&lines);
	ck_assert_int_eq(etcd_lines_feed(&lines, SLICE_LIT("abcde\n"), 4, count_line, &n), -1);
	etcd_lines_fini(&lines);
}
END_TEST

START_TEST(a_record_holds_what_is_read_into_it_however_long)
{
	struct etcd_set set = {0};
	struct etcd_key key = {SLICE_LIT("key"), SLICE_NONE, 1, 0, false};
	struct etcd_record *record = etcd_set_take(&set, &key);
	char *text;

	ck_assert_ptr_nonnull(record);
	ck_assert(slice_eq_str(record->key, "key"));
	for (size_t size = 1; size < 100000; size *= 3) {
		text = arena_alloc(&record->arena, size);
		memset(text, 'x', size);
	}
	ck_assert_ptr_null(etcd_set_take(&set, &key));
	ck_assert(slice_eq_str(record->key, "key"));
	etcd_set_fini(&set);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    a_listing_and_events_beside_it_agree_on_the_last_word,
	    a_line_has_an_end,
	    a_record_holds_what_is_read_into_it_however_long,
	};

	return suite_run("etcd_set", tests, ARRAY_LEN(tests));
}
