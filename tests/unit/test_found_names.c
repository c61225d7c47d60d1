/* Names that no file lists: how long each is looked for, followed, refused and kept. */
#include <stdio.h>

#include "base/mem.h"
#include "base/wheel.h"
#include "daemon/found_names.h"
#include "support/suite.h"

static struct wheel wheel;
static struct found_names *names;
static usec_t now;
static unsigned changes, settles;
static char last[300];

static void note_change(void *arg)
{
	(void)arg;
	changes++;
}

static void note_settled(void *arg, const struct found_name *name)
{
	(void)arg;
	settles++;
	snprintf(last, sizeof last, "%.*s %s", (int)name->name.len, (const char *)name->name.data,
	    name->state == FOUND_LIVE ? "live" : name->why);
}

static void setup(void)
{
	static const struct found_events events = {note_change, note_settled};

	now = 1000 * USEC_S;
	changes = settles = 0;
	last[0] = '\0';
	wheel_init(&wheel, now);
	names = found_names_new(&wheel, &events, NULL);
}

static void teardown(void)
{
	found_names_free(&names);
}

static void pass(usec_t time)
{
	now += time;
	wheel_run(&wheel, now);
}

static void want(const char *name)
{
	found_names_want(names, slice_str(name), now);
}

static void heard(const char *name, bool has_endpoints, const char *why)
{
	found_names_heard(names, slice_str(name), has_endpoints, why, now);
}

struct counts {
	unsigned n[FOUND_FAILED + 1];
};

static void count(void *arg, const struct found_name *name)
{
	((struct counts *)arg)->n[name->state]++;
}

static unsigned in(enum found_state state)
{
	struct counts c = {0};

	found_names_visit(names, count, &c);
	return c.n[state];
}

START_TEST(a_name_is_looked_up_once_and_then_known)
{
	want("shop.price");
	want("shop.price");
	ck_assert_uint_eq(changes, 1);
	ck_assert_uint_eq(settles, 0);
	ck_assert_uint_eq(in(FOUND_LOOKING), 1);
	heard("shop.price", true, "");
	ck_assert_uint_eq(changes, 2);
	ck_assert_str_eq(last, "shop.price live");
	want("shop.price");
	ck_assert_uint_eq(settles, 2);
	ck_assert_uint_eq(changes, 2);
}
END_TEST

START_TEST(a_name_without_endpoints_is_refused_for_five_seconds)
{
	want("nobody");
	heard("nobody", false, "main knows no endpoint of it");
	ck_assert_str_eq(last, "nobody main knows no endpoint of it");
	pass(FOUND_NAME_REFUSED - USEC_MS);
	want("nobody");
	ck_assert_uint_eq(settles, 2);
	ck_assert_uint_eq(in(FOUND_LOOKING), 0);
	pass(2 * USEC_MS);
	want("nobody");
	ck_assert_uint_eq(settles, 2);
	ck_assert_uint_eq(in(FOUND_LOOKING), 1);
}
END_TEST

START_TEST(a_registry_that_says_nothing_is_not_waited_for_longer_than_three_seconds)
{
	want("slow");
	pass(FOUND_NAME_PATIENCE - USEC_MS);
	ck_assert_uint_eq(settles, 0);
	pass(2 * USEC_MS);
	ck_assert_uint_eq(settles, 1);
	ck_assert(strstr(last, "has not answered"));
	heard("slow", true, ""); /* too late: it is asked for again when it is wanted again */
	ck_assert_uint_eq(in(FOUND_LIVE), 0);
}
END_TEST

START_TEST(what_is_not_called_for_ten_minutes_is_forgotten)
{
	want("a");
	heard("a", true, "");
	pass(FOUND_NAME_KEPT - USEC_S);
	found_names_used(names, SLICE_LIT("a"), 7, now);
	pass(FOUND_NAME_KEPT - USEC_S);
	found_names_used(names, SLICE_LIT("a"), 7, now);
	ck_assert_uint_eq(in(FOUND_LIVE), 1);
	changes = 0;
	pass(2 * USEC_S);
	found_names_used(names, SLICE_LIT("a"), 7, now);
	ck_assert_uint_eq(in(FOUND_LIVE), 0);
	ck_assert_uint_eq(changes, 1);
}
END_TEST

START_TEST(an_endpoint_that_goes_later_does_not_take_the_name_along)
{
	want("a");
	heard("a", true, "");
	heard("a", false, "gone");
	ck_assert_uint_eq(in(FOUND_LIVE), 1);
	ck_assert_uint_eq(settles, 1);
}
END_TEST

static void want_many(const char *prefix, unsigned n)
{
	char name[40];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%s%u", prefix, i);
		want(name);
	}
}

START_TEST(a_thousand_names_are_followed_and_no_more)
{
	want_many("n", FOUND_NAMES_MAX);
	ck_assert_uint_eq(settles, 0);
	want("one.more");
	ck_assert_uint_eq(settles, 1);
	ck_assert(strstr(last, "one.more 1000 names"));
	ck_assert_uint_eq(in(FOUND_LOOKING), FOUND_NAMES_MAX);
	pass(FOUND_NAME_PATIENCE + USEC_MS);
	want("one.more");
	ck_assert_uint_eq(in(FOUND_LOOKING), 1);
}
END_TEST

START_TEST(made_up_names_take_no_more_room_than_a_thousand)
{
	for (unsigned round = 0; round < 5; round++) {
		char prefix[20];

		snprintf(prefix, sizeof prefix, "r%u.", round);
		want_many(prefix, FOUND_NAMES_MAX);
		for (unsigned i = 0; i < FOUND_NAMES_MAX; i++) {
			char name[40];

			snprintf(name, sizeof name, "%s%u", prefix, i);
			heard(name, false, "no");
		}
	}
	ck_assert_uint_eq(in(FOUND_FAILED), FOUND_NAMES_MAX);
}
END_TEST

START_TEST(who_waits_is_told_when_all_are_forgotten)
{
	want("a");
	want("b");
	heard("b", true, "");
	settles = 0;
	found_names_clear(names, now);
	ck_assert_uint_eq(settles, 1);
	ck_assert(strstr(last, "a names are not looked up"));
	ck_assert_uint_eq(in(FOUND_LIVE) + in(FOUND_LOOKING) + in(FOUND_FAILED), 0);
	pass(FOUND_NAME_REFUSED + USEC_S);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_name_is_looked_up_once_and_then_known, 1},
	    {a_name_without_endpoints_is_refused_for_five_seconds, 1},
	    {a_registry_that_says_nothing_is_not_waited_for_longer_than_three_seconds, 1},
	    {what_is_not_called_for_ten_minutes_is_forgotten, 1},
	    {an_endpoint_that_goes_later_does_not_take_the_name_along, 1},
	    {a_thousand_names_are_followed_and_no_more, 1},
	    {made_up_names_take_no_more_room_than_a_thousand, 1},
	    {who_waits_is_told_when_all_are_forgotten, 1},
	};

	return suite_run_between("found_names", tests, ARRAY_LEN(tests), setup, teardown);
}
