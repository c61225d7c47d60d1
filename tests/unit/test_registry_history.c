/* What people are told about the changes of a service. */
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "registry/history.h"
#include "support/fake_registry.h"
#include "support/suite.h"

static struct history history;

static void begin(void)
{
	fake_registry_begin();
	history = (struct history){0};
}

static void end(void)
{
	history_fini(&history);
	fake_registry_end();
}

struct seen {
	size_t n;
	char first[64], last[128];
	usec_t last_at;
};

static void see(void *arg, const struct registry_change *change)
{
	struct seen *seen = arg;

	if (seen->n++ == 0)
		snprintf(seen->first, sizeof seen->first, "%s", change->text);
	snprintf(seen->last, sizeof seen->last, "%s", change->text);
	seen->last_at = change->at;
}

static struct seen look(void)
{
	struct seen seen = {0};

	history_visit(&history, see, &seen);
	return seen;
}

static void add_error(const char *address, const char *text, usec_t at)
{
	struct registry_change change = {
	    .at = at, .kind = CHANGE_ERROR, .address = address, .revision = "", .text = text};

	history_add(&history, &change);
}

START_TEST(only_the_last_two_hundred_are_kept)
{
	char text[32];

	for (int i = 0; i < 450; i++) {
		snprintf(text, sizeof text, "error %d", i);
		add_error("", text, (usec_t)i);
	}
	ck_assert_uint_eq(look().n, HISTORY_MAX);
	ck_assert_str_eq(look().first, "error 250");
	ck_assert_str_eq(look().last, "error 449");
}
END_TEST

START_TEST(the_same_error_again_is_counted_with_its_last_time)
{
	for (usec_t i = 1; i <= 3; i++)
		add_error("", "refused", i);
	ck_assert_uint_eq(look().n, 1);
	ck_assert_str_eq(look().last, "refused (3 times, this is the last)");
	ck_assert_uint_eq(look().last_at, 3);
	add_error("", "reset", 4);
	add_error("", "refused", 5);
	add_error("10.0.0.1:80", "refused", 6);
	ck_assert_uint_eq(look().n, 4);
	ck_assert(history_has_error(&history, "10.0.0.1:80", "refused"));
	ck_assert(!history_has_error(&history, "10.0.0.2:80", "refused"));
}
END_TEST

START_TEST(a_difference_is_told_in_words)
{
	const struct endpoint *a, *b;
	char room[128];

	fake_registry_endpoints("10.0.0.1:80 10 az1 lane=base", &a);
	fake_registry_endpoints("10.0.0.1:80 20 - lane=canary", &b);
	ck_assert_str_eq(history_difference(a, b, room, sizeof room),
	    "weight 10 -> 20, zone az1 -> none, tags lane=base -> lane=canary");
	ck_assert_str_eq(history_difference(a, a, room, sizeof room), "");
	ck_assert_str_eq(history_difference(a, b, room, 10), "weight 10");
	ck_assert(history_same(a, a) && !history_same(a, b));
}
END_TEST

START_TEST(no_character_is_cut_in_two)
{
	struct config_pair tag = {"k", "aaaa\xe2\x82\xac"};
	struct endpoint before = {.weight = 1}, after = {.weight = 1, .tags = {&tag, 1}};
	char room[64];

	for (size_t size = sizeof "tags none -> k=aaaa"; size < sizeof "tags none -> k=aaaa" + 3;
	     size++)
		ck_assert_str_eq(
		    history_difference(&before, &after, room, size), "tags none -> k=aaaa");
	ck_assert_str_eq(history_difference(&before, &after, room, sizeof room),
	    "tags none -> k=aaaa\xe2\x82\xac");
}
END_TEST

START_TEST(two_lists_are_compared_address_by_address)
{
	const struct endpoint *before, *after;
	size_t n = fake_registry_endpoints("10.0.0.1:80 1;10.0.0.2:80 1;10.0.0.4:80 1", &before);
	size_t m = fake_registry_endpoints("10.0.0.2:80 1;10.0.0.3:80 1;10.0.0.4:80 2", &after);

	history_add_differences(&history, before, n, after, m, 5, "9");
	ck_assert_uint_eq(look().n, 3); /* one gone, one new, one changed */
	ck_assert_str_eq(look().last, "weight 1 -> 2");
	history_add_differences(&history, after, m, after, m, 6, "10");
	ck_assert_uint_eq(look().n, 3);
	history_add_differences(&history, after, m, NULL, 0, 7, "11");
	ck_assert_uint_eq(look().n, 6);
}
END_TEST

START_TEST(a_large_change_is_summed_up)
{
	static char text[60 * 16];
	const struct endpoint *list;
	size_t n, len = 0;

	for (int i = 0; i < 60; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "10.0.1.%d:80;", i + 100);
	n = fake_registry_endpoints(text, &list);
	history_add_differences(&history, NULL, 0, list, n, 5, "9");
	ck_assert_uint_eq(look().n, 51);
	ck_assert_str_eq(look().last,
	    "in all 60 added, 0 removed, 0 changed; only the first 50 of them are listed");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {only_the_last_two_hundred_are_kept, 1},
	    {the_same_error_again_is_counted_with_its_last_time, 1},
	    {a_difference_is_told_in_words, 1},
	    {no_character_is_cut_in_two, 1},
	    {two_lists_are_compared_address_by_address, 1},
	    {a_large_change_is_summed_up, 1},
	};

	return suite_run_between("registry_history", tests, ARRAY_LEN(tests), begin, end);
}
