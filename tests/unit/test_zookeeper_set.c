/* The instances under a node: what is asked when, and which sets come of the answers. The server is
 * the test: it answers in order, and its watches fire before an answer shows what fired them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "registry/client.h"
#include "registry/zookeeper_set.h"
#include "support/suite.h"

#define DATA "{\"Weight\":10,\"Tags\":null}"

static struct zookeeper_set set;
static usec_t now;

static void begin(void)
{
	now = 100 * USEC_S;
	zookeeper_set_init(&set, REGISTRY_FORMAT_KITEX, 1);
}

static void end(void)
{
	zookeeper_set_fini(&set);
}

/* What is asked next: "list", "await", "read NAME", or "" for nothing. */
static const char *asked(bool may_read)
{
	static char text[300];
	struct slice name;
	usec_t at;

	switch (zookeeper_set_next(&set, may_read, now, &name, &at)) {
	case ZOOKEEPER_SET_LIST:
		return "list";
	case ZOOKEEPER_SET_AWAIT:
		return "await";
	case ZOOKEEPER_SET_READ:
		snprintf(text, sizeof text, "read %.*s", (int)name.len, (const char *)name.data);
		return text;
	case ZOOKEEPER_SET_REST:
		break;
	}
	return "";
}

static void list_has(const char *const *names, size_t n)
{
	struct slice slices[8];

	for (size_t i = 0; i < n; i++)
		slices[i] = slice_str(names[i]);
	zookeeper_set_listed(&set, slices, n, 1, now);
}

static int has_data(const char *name, const char *data)
{
	struct err err;

	return zookeeper_set_read(&set, slice_str(name), slice_str(data), 2, &err);
}

static bool is_due(void)
{
	return zookeeper_set_is_due(&set, now);
}

static const struct endpoint *gathered(size_t *n)
{
	const struct endpoint *list;

	zookeeper_set_gather(&set, now, &list, n);
	return list;
}

static size_t n_gathered(void)
{
	size_t n;

	gathered(&n);
	return n;
}

static const struct endpoint *find(const char *address)
{
	size_t n;
	const struct endpoint *list = gathered(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].address.text, address) == 0)
			return &list[i];
	return NULL;
}

/* Lists these, reads all of them and tells the set; time goes on. */
static void follow(const char *const *names, size_t n)
{
	ck_assert_str_eq(asked(true), "list");
	list_has(names, n);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(strncmp(asked(true), "read ", 5), 0);
		ck_assert_int_eq(has_data(names[i], DATA), 0);
	}
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), n);
	now += USEC_S;
}

static const char *const two[] = {"127.0.0.1:1", "127.0.0.1:2"};

START_TEST(a_set_is_told_when_all_its_children_have_been_read)
{
	ck_assert_str_eq(asked(true), "list");
	ck_assert_str_eq(asked(true), "");
	list_has(two, 2);
	ck_assert_str_eq(asked(true), "read 127.0.0.1:1");
	ck_assert_str_eq(asked(true), "read 127.0.0.1:2");
	ck_assert_str_eq(asked(true), "");
	has_data("127.0.0.1:2", "{\"Weight\":7,\"Tags\":{\"lane\":\"x\"}}");
	ck_assert(!is_due());
	has_data("127.0.0.1:1", DATA);
	ck_assert(is_due());
	ck_assert_uint_eq(find("127.0.0.1:2")->weight, 7);
	ck_assert_uint_eq(find("127.0.0.1:2")->tags.n, 1);
	ck_assert(!is_due());
}
END_TEST

START_TEST(nothing_is_read_beyond_what_may_be_under_way)
{
	asked(true);
	list_has(two, 2);
	ck_assert_str_eq(asked(false), "");
	ck_assert_str_eq(asked(true), "read 127.0.0.1:1");
	ck_assert_str_eq(asked(false), "");
	ck_assert_str_eq(asked(true), "read 127.0.0.1:2");
}
END_TEST

START_TEST(a_node_without_children_is_an_empty_set)
{
	asked(true);
	list_has(NULL, 0);
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), 0);
}
END_TEST

START_TEST(a_missing_node_is_an_empty_set_and_awaited)
{
	asked(true);
	zookeeper_set_missing(&set, now);
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), 0);
	ck_assert_str_eq(asked(true), "await");
	ck_assert_str_eq(asked(true), "");
	zookeeper_set_appeared(&set, false);
	ck_assert_str_eq(asked(true), "");
	zookeeper_set_noticed(&set); /* it is created */
	now += USEC_S;
	follow(two, 2);
}
END_TEST

START_TEST(a_node_that_came_between_two_questions_is_listed)
{
	asked(true);
	zookeeper_set_missing(&set, now);
	n_gathered();
	asked(true);
	zookeeper_set_appeared(&set, true);
	now += USEC_S;
	ck_assert_str_eq(asked(true), "list");
}
END_TEST

START_TEST(a_node_that_goes_leaves_an_empty_set)
{
	follow(two, 2);
	zookeeper_set_noticed(&set);
	ck_assert_str_eq(asked(true), "list");
	zookeeper_set_missing(&set, now);
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), 0);
}
END_TEST

START_TEST(only_the_child_that_changed_is_read_again)
{
	follow(two, 2);
	zookeeper_set_child_noticed(&set, slice_str("127.0.0.1:2"));
	ck_assert_str_eq(asked(true), "read 127.0.0.1:2");
	ck_assert_str_eq(asked(true), "");
	ck_assert(!is_due());
	has_data("127.0.0.1:2", "{\"Weight\":99,\"Tags\":null}");
	ck_assert(is_due());
	ck_assert_uint_eq(find("127.0.0.1:2")->weight, 99);
}
END_TEST

START_TEST(a_new_list_reads_only_new_children_and_drops_those_that_went)
{
	static const char *const other[] = {"127.0.0.1:2", "127.0.0.1:3"};

	follow(two, 2);
	zookeeper_set_noticed(&set);
	ck_assert_str_eq(asked(true), "list");
	list_has(other, 2);
	ck_assert_str_eq(asked(true), "read 127.0.0.1:3");
	ck_assert_str_eq(asked(true), "");
	/* The one that went is gone at once; the new one comes when it is known. */
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), 1);
	now += USEC_S;
	has_data("127.0.0.1:3", DATA);
	ck_assert(is_due());
	ck_assert_ptr_nonnull(find("127.0.0.1:3"));
	ck_assert_ptr_null(find("127.0.0.1:1"));
}
END_TEST

START_TEST(a_child_that_vanishes_before_it_is_read_holds_nobody_up)
{
	asked(true);
	list_has(two, 2);
	asked(true);
	asked(true);
	has_data("127.0.0.1:1", DATA);
	zookeeper_set_vanished(&set, slice_str("127.0.0.1:2"));
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), 1);
	zookeeper_set_vanished(&set, slice_str("127.0.0.1:2"));
	ck_assert_int_eq(has_data("127.0.0.1:2", DATA), 0); /* an answer that comes too late */
	ck_assert_uint_eq(n_gathered(), 1);
}
END_TEST

START_TEST(a_malformed_child_is_skipped_alone_and_told_once)
{
	static const char *const bad[] = {"", "{", "[]", "{\"Weight\":\"x\"}", "\xff", "null"};

	asked(true);
	list_has(two, 2);
	asked(true);
	asked(true);
	has_data("127.0.0.1:1", DATA);
	ck_assert_int_eq(has_data("127.0.0.1:2", bad[_i]), -1);
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), 1);
	ck_assert_int_eq(has_data("127.0.0.1:2", bad[_i]), 0); /* nothing new */
	ck_assert_int_eq(has_data("127.0.0.1:2", "{\"Weight\":-"), -1);
	ck_assert_int_eq(has_data("127.0.0.1:2", DATA), 0);
	ck_assert_uint_eq(n_gathered(), 2);
	ck_assert_int_eq(has_data("127.0.0.1:2", bad[_i]), -1);
	ck_assert_uint_eq(n_gathered(), 1);
}
END_TEST

START_TEST(a_child_whose_name_is_no_address_is_skipped)
{
	static const char *const names[] = {"127.0.0.1:1", "lock-0000000001"};

	asked(true);
	list_has(names, 2);
	has_data(names[0], DATA);
	ck_assert_int_eq(has_data(names[1], DATA), -1);
	ck_assert_uint_eq(n_gathered(), 1);
}
END_TEST

START_TEST(a_child_that_may_not_be_read_is_tried_with_the_next_list)
{
	follow(two, 2);
	zookeeper_set_child_noticed(&set, slice_str("127.0.0.1:2"));
	asked(true);
	ck_assert(zookeeper_set_unreadable(&set, slice_str("127.0.0.1:2")));
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), 1);
	ck_assert_str_eq(asked(true), "");
	zookeeper_set_noticed(&set);
	now += USEC_S;
	asked(true);
	list_has(two, 2);
	ck_assert_str_eq(asked(true), "read 127.0.0.1:2");
	ck_assert(!zookeeper_set_unreadable(&set, slice_str("127.0.0.1:2")));
}
END_TEST

START_TEST(a_lost_answer_is_asked_for_again)
{
	asked(true);
	zookeeper_set_failed(&set, now);
	ck_assert_str_eq(asked(true), "list");
	list_has(two, 1);
	ck_assert_str_eq(asked(true), "read 127.0.0.1:1");
	zookeeper_set_unanswered(&set, slice_str("127.0.0.1:1"));
	ck_assert_str_eq(asked(true), "read 127.0.0.1:1");
}
END_TEST

START_TEST(a_list_that_failed_is_tried_again_when_it_is_time)
{
	struct slice name;
	usec_t at;

	asked(true);
	zookeeper_set_failed(&set, now + 5 * USEC_S);
	ck_assert_int_eq(zookeeper_set_next(&set, true, now, &name, &at), ZOOKEEPER_SET_REST);
	ck_assert_uint_eq(at, now + 5 * USEC_S);
	now = at;
	ck_assert_str_eq(asked(true), "list");
}
END_TEST

START_TEST(a_list_that_works_again_is_told_though_nothing_has_changed)
{
	follow(two, 2);
	zookeeper_set_noticed(&set);
	asked(true);
	zookeeper_set_failed(&set, now + USEC_S);
	ck_assert(!is_due()); /* that it failed is all that is known */
	now += USEC_S;
	ck_assert_str_eq(asked(true), "list");
	list_has(two, 2);
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), 2);
}
END_TEST

START_TEST(a_new_session_reads_all_anew_and_tells_it_whole)
{
	follow(two, 2);
	zookeeper_set_begin(&set);
	ck_assert(!is_due());
	ck_assert_str_eq(asked(true), "list");
	list_has(two, 2);
	asked(true);
	asked(true);
	has_data("127.0.0.1:1", DATA);
	ck_assert(!is_due()); /* what is known of the other may be old */
	has_data("127.0.0.1:2", DATA);
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), 2);
}
END_TEST

START_TEST(children_that_went_between_two_sessions_are_not_waited_for)
{
	follow(two, 2);
	zookeeper_set_begin(&set);
	asked(true);
	list_has(two, 1);
	ck_assert_str_eq(asked(true), "read 127.0.0.1:1");
	ck_assert_str_eq(asked(true), "");
	has_data("127.0.0.1:1", DATA);
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), 1);
}
END_TEST

START_TEST(the_same_session_again_lists_and_reads_only_what_was_not_answered)
{
	follow(two, 2);
	zookeeper_set_child_noticed(&set, slice_str("127.0.0.1:1"));
	asked(true);
	zookeeper_set_resume(&set);
	ck_assert_str_eq(asked(true), "list");
	ck_assert_str_eq(asked(true), "read 127.0.0.1:1");
	ck_assert_str_eq(asked(true), "");
	list_has(two, 2);
	ck_assert_str_eq(asked(true), "");
	ck_assert(is_due()); /* unchanged or not: it is no longer in doubt */
}
END_TEST

START_TEST(watches_that_fire_before_an_answer_are_part_of_it)
{
	ck_assert_str_eq(asked(true), "list");
	zookeeper_set_noticed(&set);
	list_has(two, 1);
	ck_assert_str_eq(asked(true), "read 127.0.0.1:1");
	zookeeper_set_child_noticed(&set, slice_str("127.0.0.1:1"));
	has_data("127.0.0.1:1", DATA);
	now += USEC_S;
	ck_assert_str_eq(asked(true), "");
}
END_TEST

START_TEST(changes_without_end_are_told_now_and_then)
{
	unsigned told = 0;

	follow(two, 2);
	for (unsigned i = 0; i < 1000; i++) {
		zookeeper_set_child_noticed(&set, slice_str("127.0.0.1:2"));
		zookeeper_set_noticed(&set);
		asked(true);
		asked(true);
		has_data("127.0.0.1:2", i % 2 ? DATA : "{\"Weight\":3,\"Tags\":null}");
		list_has(two, 2);
		if (is_due()) {
			told++;
			n_gathered();
		}
		now += USEC_MS;
	}
	ck_assert_uint_gt(told, 30);
	ck_assert_uint_lt(told, 60);
}
END_TEST

START_TEST(more_children_than_one_service_may_have_are_left_out_by_name)
{
	enum { MORE = REGISTRY_ENDPOINTS_MAX + 5 };
	struct slice *names = mem_calloc(MORE, sizeof *names);
	char(*texts)[24] = mem_calloc(MORE, sizeof *texts);
	unsigned n_reads = 0;

	for (unsigned i = 0; i < MORE; i++) {
		unsigned number = MORE - i; /* worst order */

		snprintf(texts[i], sizeof texts[i], "10.0.0.1:%05u", number);
		names[i] = slice_str(texts[i]);
	}
	asked(true);
	zookeeper_set_listed(&set, names, MORE, 1, now);
	ck_assert_uint_eq(set.n_left_out, 5);
	while (asked(true)[0])
		n_reads++;
	ck_assert_uint_eq(n_reads, REGISTRY_ENDPOINTS_MAX);
	has_data("10.0.0.1:10005", DATA); /* one of those that nobody asked for */
	has_data("10.0.0.1:00001", DATA);
	ck_assert_uint_eq(n_gathered(), 1);
	free(names);
	free(texts);
}
END_TEST

START_TEST(another_number_left_out_is_told_though_the_set_is_the_same)
{
	static char texts[REGISTRY_ENDPOINTS_MAX + 1][24];
	static struct slice names[REGISTRY_ENDPOINTS_MAX + 1];
	const char *question;

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(texts[i], sizeof texts[i], "10.0.0.1:%05u", i + 1);
		names[i] = slice_str(texts[i]);
	}
	asked(true);
	zookeeper_set_listed(&set, names, REGISTRY_ENDPOINTS_MAX, 1, now);
	while ((question = asked(true))[0])
		has_data(question + strlen("read "), DATA);
	n_gathered();
	now += 10 * USEC_S;
	ck_assert(!is_due());
	zookeeper_set_listed(&set, names, REGISTRY_ENDPOINTS_MAX + 1, 2, now);
	ck_assert(is_due());
	n_gathered();
	now += 10 * USEC_S;
	zookeeper_set_listed(&set, names, REGISTRY_ENDPOINTS_MAX + 1, 3, now);
	ck_assert(!is_due());
}
END_TEST

START_TEST(rpcx_keeps_the_network_in_the_name_and_a_query_as_data)
{
	static const char *const names[] = {"tcp@127.0.0.1:1", "tcp@127.0.0.1:2"};

	zookeeper_set_fini(&set);
	zookeeper_set_init(&set, REGISTRY_FORMAT_RPCX, 1);
	asked(true);
	list_has(names, 2);
	has_data(names[0], "weight=5&group=a");
	ck_assert_int_eq(has_data(names[1], "state=inactive"), 0); /* right, but takes no calls */
	ck_assert(is_due());
	ck_assert_uint_eq(n_gathered(), 1);
	ck_assert_uint_eq(find("127.0.0.1:1")->weight, 5);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_set_is_told_when_all_its_children_have_been_read, 1},
	    {nothing_is_read_beyond_what_may_be_under_way, 1},
	    {a_node_without_children_is_an_empty_set, 1},
	    {a_missing_node_is_an_empty_set_and_awaited, 1},
	    {a_node_that_came_between_two_questions_is_listed, 1},
	    {a_node_that_goes_leaves_an_empty_set, 1},
	    {only_the_child_that_changed_is_read_again, 1},
	    {a_new_list_reads_only_new_children_and_drops_those_that_went, 1},
	    {a_child_that_vanishes_before_it_is_read_holds_nobody_up, 1},
	    {a_malformed_child_is_skipped_alone_and_told_once, 6},
	    {a_child_whose_name_is_no_address_is_skipped, 1},
	    {a_child_that_may_not_be_read_is_tried_with_the_next_list, 1},
	    {a_lost_answer_is_asked_for_again, 1},
	    {a_list_that_failed_is_tried_again_when_it_is_time, 1},
	    {a_list_that_works_again_is_told_though_nothing_has_changed, 1},
	    {a_new_session_reads_all_anew_and_tells_it_whole, 1},
	    {children_that_went_between_two_sessions_are_not_waited_for, 1},
	    {the_same_session_again_lists_and_reads_only_what_was_not_answered, 1},
	    {watches_that_fire_before_an_answer_are_part_of_it, 1},
	    {changes_without_end_are_told_now_and_then, 1},
	    {more_children_than_one_service_may_have_are_left_out_by_name, 1},
	    {another_number_left_out_is_told_though_the_set_is_the_same, 1},
	    {rpcx_keeps_the_network_in_the_name_and_a_query_as_data, 1},
	};

	return suite_run_between("zookeeper_set", tests, ARRAY_LEN(tests), begin, end);
}
