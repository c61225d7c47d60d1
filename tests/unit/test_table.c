#include <check.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/table.h"
#include "support/suite.h"

START_TEST(table_finds_what_was_put)
{
	struct table t;
	int a = 1, b = 2;

	table_init(&t, 1);
	ck_assert_ptr_null(table_get(&t, SLICE_LIT("a")));
	ck_assert_ptr_null(table_remove(&t, SLICE_LIT("a")));
	ck_assert_ptr_null(table_put(&t, SLICE_LIT("a"), &a));
	ck_assert_ptr_eq(table_get(&t, SLICE_LIT("a")), &a);
	ck_assert_ptr_eq(table_put(&t, SLICE_LIT("a"), &b), &a);
	ck_assert_uint_eq(t.used, 1);
	ck_assert_ptr_eq(table_remove(&t, SLICE_LIT("a")), &b);
	ck_assert_ptr_null(table_get(&t, SLICE_LIT("a")));
	ck_assert_uint_eq(t.used, 0);
	table_fini(&t);
}
END_TEST

START_TEST(table_takes_the_empty_key)
{
	struct table t;
	int a = 1;

	table_init(&t, 1);
	table_put(&t, SLICE_NONE, &a);
	ck_assert_ptr_eq(table_get(&t, SLICE_LIT("")), &a);
	table_fini(&t);
}
END_TEST

/* The key given last lies in the value given last; the old one may be gone. */
START_TEST(table_replaces_the_key_with_the_value)
{
	struct table t;
	char first[] = "key", second[] = "key";

	table_init(&t, 1);
	table_put(&t, slice_str(first), first);
	table_put(&t, slice_str(second), second);
	first[0] = 'x';
	ck_assert_ptr_eq(table_get(&t, SLICE_LIT("key")), second);
	table_fini(&t);
}
END_TEST

START_TEST(table_iterates_over_each_value_once)
{
	struct table t;
	struct entry {
		char key[8];
		unsigned seen;
	} entries[100];
	struct entry *e;
	size_t position = 0, n = 0;

	table_init(&t, 7);
	ck_assert_ptr_null(table_next(&t, &position));
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		snprintf(entries[i].key, sizeof entries[i].key, "%zu", i);
		entries[i].seen = 0;
		table_put(&t, slice_str(entries[i].key), &entries[i]);
	}
	while ((e = table_next(&t, &position))) {
		ck_assert_uint_eq(e->seen++, 0);
		n++;
	}
	ck_assert_uint_eq(n, ARRAY_LEN(entries));
	table_fini(&t);
}
END_TEST

/* Few keys in a small table: chains of collisions that wrap around its end, holes in all places. */
START_TEST(table_agrees_with_an_array_under_random_use)
{
	enum { KEYS = 200 };
	static char keys[KEYS][16];
	void *model[KEYS] = {0};
	struct rng rng;
	struct table t;
	size_t used = 0;

	rng_init(&rng, 3);
	table_init(&t, 11);
	for (int i = 0; i < KEYS; i++)
		snprintf(keys[i], sizeof keys[i], "k%d", i);
	for (int step = 0; step < 200000; step++) {
		size_t i = rng_below(&rng, step % 20000 < 10000 ? 12 : KEYS);
		struct slice key = slice_str(keys[i]);

		if (rng_below(&rng, 2)) {
			void *value = &keys[rng_below(&rng, KEYS)];

			ck_assert_ptr_eq(table_put(&t, key, value), model[i]);
			used += model[i] == NULL;
			model[i] = value;
		} else {
			ck_assert_ptr_eq(table_remove(&t, key), model[i]);
			used -= model[i] != NULL;
			model[i] = NULL;
		}
		ck_assert_uint_eq(t.used, used);
		if (step % 64 == 0)
			for (size_t k = 0; k < KEYS; k++)
				ck_assert_ptr_eq(table_get(&t, slice_str(keys[k])), model[k]);
	}
	table_fini(&t);
	ck_assert_uint_eq(t.size, 0);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    table_finds_what_was_put,
	    table_takes_the_empty_key,
	    table_replaces_the_key_with_the_value,
	    table_iterates_over_each_value_once,
	    table_agrees_with_an_array_under_random_use,
	};

	return suite_run("table", tests, ARRAY_LEN(tests));
}
