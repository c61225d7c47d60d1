/* What answers, errors and silence of a registry mean for what is known. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <check.h>

#include "base/text.h"
#include "net/loop.h"
#include "support/fake_registry.h"
#include "support/suite.h"

#define KEEP (10 * USEC_MIN)

static struct registry *r;

static void begin(void)
{
	fake_registry_begin();
	r = NULL;
}

static void end(void)
{
	registry_free(&r);
	fake_registry_end();
}

static void follow(const char *a, const char *b)
{
	struct slice names[] = {slice_str(a), slice_str(b)};

	if (r == NULL)
		r = fake_registry_open();
	registry_follow(r, names, b ? 2 : 1);
	fake_registry_turn();
}

START_TEST(a_service_is_watched_once_and_unwatched_when_it_is_not_wanted)
{
	struct slice twice[] = {SLICE_LIT("shop"), SLICE_LIT("shop")};

	follow("shop", "cart");
	registry_follow(r, twice, 2);
	ck_assert_str_eq(fake_registry_asked, "watch shop\nwatch cart\nunwatch cart\n");
	ck_assert_str_eq(fake_registry_known(r, "cart"), "unknown");
}
END_TEST

START_TEST(nothing_is_known_before_the_first_answer)
{
	follow("shop", NULL);
	ck_assert_str_eq(fake_registry_known(r, "shop"), "unknown");
	ck_assert(!registry_set(r, SLICE_LIT("shop")).is_answered);
	ck_assert(!registry_report(r).has_answered && !registry_report(r).is_up);
}
END_TEST

START_TEST(a_set_is_sorted_and_each_address_counts_once)
{
	follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.3:80 1;10.0.0.1:80 2;10.0.0.3:80 9;10.0.0.2:80 3");
	ck_assert_str_eq(
	    fake_registry_known(r, "shop"), "fresh 10.0.0.1:80 10.0.0.2:80 10.0.0.3:80");
	/* Of two records with one address the first holds. */
	ck_assert_uint_eq(registry_set(r, SLICE_LIT("shop")).list[2].weight, 1);
	ck_assert_str_eq(fake_registry_raised, "set shop\n");
}
END_TEST

START_TEST(an_equal_set_raises_nothing_whatever_its_order)
{
	usec_t at;

	follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.1:80 1 az1 lane=a;10.0.0.2:80 2");
	at = registry_set(r, SLICE_LIT("shop")).at;
	fake_registry_raised[0] = '\0';
	fake_registry_calendar_skipped += USEC_MIN;
	fake_registry_hear(r, "shop", "10.0.0.2:80 2;10.0.0.1:80 1 az1 lane=a");
	ck_assert_str_eq(fake_registry_raised, "");
	ck_assert_uint_ge(registry_set(r, SLICE_LIT("shop")).at, at + USEC_MIN);
	ck_assert_uint_eq(registry_report(r).changes, 1);
}
END_TEST

START_TEST(weight_zone_and_tags_are_changes)
{
	static const char *const sets[] = {"10.0.0.1:80 1", "10.0.0.1:80 2", "10.0.0.1:80 2 az1",
	    "10.0.0.1:80 2 az1 lane=a", "10.0.0.1:80 2 az1 lane=b"};

	follow("shop", NULL);
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		fake_registry_raised[0] = '\0';
		fake_registry_hear(r, "shop", sets[i]);
		ck_assert_str_eq(fake_registry_raised, "set shop\n");
	}
	ck_assert_str_eq(fake_registry_history(r, "shop"),
	    "added 10.0.0.1:80 [7] weight 1\n"
	    "changed 10.0.0.1:80 [7] weight 1 -> 2\n"
	    "changed 10.0.0.1:80 [7] zone none -> az1\n"
	    "changed 10.0.0.1:80 [7] tags none -> lane=a\n"
	    "changed 10.0.0.1:80 [7] tags lane=a -> lane=b\n");
}
END_TEST

START_TEST(changes_within_a_turn_are_told_once_and_not_inside_the_call)
{
	const struct endpoint *list;
	size_t n;

	follow("shop", NULL);
	n = fake_registry_endpoints("10.0.0.1:80", &list);
	registry_heard(r, SLICE_LIT("shop"), list, n, "1");
	n = fake_registry_endpoints("10.0.0.2:80", &list);
	registry_heard(r, SLICE_LIT("shop"), list, n, "2");
	ck_assert_str_eq(fake_registry_raised, "");
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "set shop\n");
}
END_TEST

START_TEST(a_set_can_be_looked_at_until_the_end_of_the_turn)
{
	const struct endpoint *list;
	struct registry_set before;
	size_t n;

	follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.1:80 3 az1 lane=a");
	before = registry_set(r, SLICE_LIT("shop"));
	n = fake_registry_endpoints("10.0.0.2:80", &list);
	registry_heard(r, SLICE_LIT("shop"), list, n, "2");
	registry_follow(r, NULL, 0);
	ck_assert_str_eq(before.list[0].zone, "az1");
	ck_assert_str_eq(before.list[0].tags.pairs[0].value, "a");
}
END_TEST

START_TEST(what_cannot_be_an_endpoint_is_skipped_and_the_others_stay)
{
	follow("shop", NULL);
	fake_registry_hear(r, "shop",
	    "10.0.0.1:0;10.0.0.2:80;name.example:80;unix:/run/x.sock;10.0.0.3:80 1000001");
	ck_assert_str_eq(fake_registry_known(r, "shop"), "fresh 10.0.0.2:80");
	ck_assert_str_eq(fake_registry_history(r, "shop"),
	    "error 10.0.0.1:0 [7] skipped: its port is 0\n"
	    "error name.example:80 [7] skipped: a host name is not an address\n"
	    "error unix:/run/x.sock [7] skipped: a unix socket is taken from a file only\n"
	    "error 10.0.0.3:80 [7] skipped: its weight is more than 1000000\n"
	    "added 10.0.0.2:80 [7] weight 10\n");
}
END_TEST

START_TEST(a_bad_record_that_stays_is_noted_once)
{
	follow("shop", NULL);
	for (int i = 0; i < 50; i++)
		fake_registry_hear(r, "shop", "10.0.0.1:0;10.0.0.2:80");
	ck_assert_str_eq(fake_registry_history(r, "shop"),
	    "error 10.0.0.1:0 [7] skipped: its port is 0\n"
	    "added 10.0.0.2:80 [7] weight 10\n");
}
END_TEST

START_TEST(what_a_registry_says_stays_within_its_line)
{
	struct err err;

	follow("shop", NULL);
	registry_skipped(
	    r, SLICE_LIT("shop"), SLICE_LIT("a\nb\""), "no \"x\"\n\033[2J\xff \xc3\xa9");
	ck_assert_str_eq(fake_registry_history(r, "shop"),
	    "error a\\x0ab\\x22 [] skipped: no 'x'??[2J? \xc3\xa9\n");
	err_set(&err, 0, "it says \"\r\nlevel=error");
	registry_failed(r, SLICE_NONE, &err);
	ck_assert_str_eq(registry_report(r).error, "it says '??level=error");
}
END_TEST

START_TEST(thousands_of_bad_records_do_not_fill_the_history)
{
	struct text set = {0};

	follow("shop", NULL);
	for (int i = 0; i < 5000; i++)
		text_printf(&set, "10.0.%d.%d:0;", i / 250, i % 250);
	text_add(&set, slice_of("10.1.0.1:80", 12)); /* with its end */
	for (int i = 0; i < 3; i++)
		fake_registry_hear(r, "shop", set.bytes);
	ck_assert_str_eq(fake_registry_known(r, "shop"), "fresh 10.1.0.1:80");
	ck_assert_ptr_nonnull(strstr(fake_registry_history(r, "shop"), "added 10.1.0.1:80"));
	text_fini(&set);
}
END_TEST

START_TEST(a_unix_socket_is_taken_from_a_file)
{
	fake_registry_config.type = REGISTRY_FILE;
	follow("shop", NULL);
	fake_registry_hear(r, "shop", "unix:/run/x.sock");
	ck_assert_str_eq(fake_registry_known(r, "shop"), "fresh unix:/run/x.sock");
}
END_TEST

START_TEST(an_error_keeps_the_last_good_set)
{
	follow("shop", "cart");
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	fake_registry_raised[0] = '\0';
	fake_registry_fail(r, NULL, "connection refused");
	ck_assert_str_eq(fake_registry_known(r, "shop"), "stale 10.0.0.1:80 ! connection refused");
	ck_assert_str_eq(fake_registry_known(r, "cart"), "unknown ! connection refused");
	ck_assert(!registry_set(r, SLICE_LIT("cart")).is_answered);
	ck_assert(!registry_report(r).is_up && registry_report(r).has_answered);
	ck_assert_str_eq(registry_report(r).error, "connection refused");
	ck_assert_ptr_nonnull(strstr(fake_registry_raised, "set shop\n"));
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	ck_assert_str_eq(fake_registry_known(r, "shop"), "fresh 10.0.0.1:80");
	ck_assert(registry_report(r).is_up);
	ck_assert_str_eq(registry_report(r).error, "");
}
END_TEST

START_TEST(an_error_that_repeats_raises_nothing_and_is_counted)
{
	follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	fake_registry_fail(r, NULL, "refused");
	fake_registry_raised[0] = '\0';
	for (int i = 0; i < 36; i++)
		fake_registry_fail(r, NULL, "refused");
	ck_assert_str_eq(fake_registry_raised, "");
	ck_assert_uint_eq(registry_report(r).errors, 37);
	ck_assert_str_eq(fake_registry_history(r, "shop"),
	    "added 10.0.0.1:80 [7] weight 10\n"
	    "error - [7] refused (37 times, this is the last)\n");
}
END_TEST

START_TEST(an_error_of_one_service_leaves_the_others)
{
	follow("shop", "cart");
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	fake_registry_hear(r, "cart", "10.0.0.2:80");
	fake_registry_fail(r, "cart", "no permission");
	ck_assert_str_eq(fake_registry_known(r, "shop"), "fresh 10.0.0.1:80");
	ck_assert_str_eq(fake_registry_known(r, "cart"), "stale 10.0.0.2:80 ! no permission");
}
END_TEST

START_TEST(a_first_answer_that_is_empty_is_believed)
{
	follow("shop", NULL);
	fake_registry_hear(r, "shop", "");
	ck_assert_str_eq(fake_registry_known(r, "shop"), "empty");
	ck_assert(registry_set(r, SLICE_LIT("shop")).is_answered);
	fake_registry_raised[0] = '\0';
	fake_registry_hear(r, "shop", "");
	ck_assert_str_eq(fake_registry_raised, "");
}
END_TEST

START_TEST(an_empty_answer_after_a_set_is_kept_and_believed_in_the_end)
{
	follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.1:80;10.0.0.2:80");
	fake_registry_hear(r, "shop", "");
	ck_assert_str_eq(fake_registry_known(r, "shop"),
	    "stale 10.0.0.1:80 10.0.0.2:80 ! the registry says that there are none; "
	    "2 kept for 600 s");
	ck_assert(registry_report(r).is_up);
	fake_registry_pass(KEEP - USEC_S);
	fake_registry_hear(r, "shop", "");
	ck_assert_str_eq(endpoint_state_name(registry_set(r, SLICE_LIT("shop")).state), "stale");
	fake_registry_raised[0] = '\0';
	fake_registry_pass(2 * USEC_S);
	ck_assert_str_eq(fake_registry_known(r, "shop"), "empty");
	ck_assert_str_eq(fake_registry_raised, "set shop\n");
	ck_assert_str_eq(fake_registry_history(r, "shop"),
	    "added 10.0.0.1:80 [7] weight 10\n"
	    "added 10.0.0.2:80 [7] weight 10\n"
	    "kept - [7] the registry says that there are none; 2 kept for 600 s\n"
	    "removed 10.0.0.1:80 [7] \n"
	    "removed 10.0.0.2:80 [7] \n"
	    "removed - [7] it stayed empty: believed\n");
}
END_TEST

START_TEST(a_set_that_comes_back_in_time_was_never_gone)
{
	follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	fake_registry_hear(r, "shop", "");
	fake_registry_pass(KEEP / 2);
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	fake_registry_pass(KEEP);
	ck_assert_str_eq(fake_registry_known(r, "shop"), "fresh 10.0.0.1:80");
	/* The next doubt begins anew. */
	fake_registry_hear(r, "shop", "");
	fake_registry_pass(KEEP - USEC_S);
	ck_assert_uint_eq(registry_set(r, SLICE_LIT("shop")).n, 1);
	fake_registry_pass(2 * USEC_S);
	ck_assert_str_eq(fake_registry_known(r, "shop"), "empty");
}
END_TEST

START_TEST(an_empty_answer_is_obeyed_at_once_where_that_is_asked_for)
{
	fake_registry_config.empty_keep = 0;
	follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	fake_registry_hear(r, "shop", "");
	ck_assert_str_eq(fake_registry_known(r, "shop"), "empty");
}
END_TEST

START_TEST(a_set_without_one_good_record_is_doubted_as_an_empty_one)
{
	follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	fake_registry_hear(r, "shop", "10.0.0.1:0");
	ck_assert_uint_eq(registry_set(r, SLICE_LIT("shop")).n, 1);
	ck_assert_str_eq(endpoint_state_name(registry_set(r, SLICE_LIT("shop")).state), "stale");
}
END_TEST

START_TEST(an_empty_answer_is_not_believed_while_the_registry_is_away)
{
	follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	fake_registry_hear(r, "shop", "");
	fake_registry_fail(r, NULL, "reset");
	fake_registry_pass(2 * KEEP);
	ck_assert_uint_eq(registry_set(r, SLICE_LIT("shop")).n, 1);
	/* The doubt has lasted long enough: the next answer decides. */
	fake_registry_hear(r, "shop", "");
	ck_assert_str_eq(fake_registry_known(r, "shop"), "empty");
}
END_TEST

START_TEST(a_jump_of_the_calendar_moves_no_timer)
{
	follow("shop", NULL);
	fake_registry_hear(r, "shop", "10.0.0.1:80");
	fake_registry_hear(r, "shop", "");
	fake_registry_calendar_skipped = 24 * 60 * USEC_MIN;
	fake_registry_pass(USEC_MIN);
	ck_assert_uint_eq(registry_set(r, SLICE_LIT("shop")).n, 1);
	fake_registry_calendar_skipped = 0 - 48 * 60 * USEC_MIN;
	fake_registry_pass(KEEP);
	ck_assert_str_eq(fake_registry_known(r, "shop"), "empty");
}
END_TEST

/* In order of address, all of one weight, or of another. */
static struct endpoint *many(size_t n, unsigned weight)
{
	struct endpoint *list = calloc(n, sizeof *list);
	struct err err;
	char text[32];

	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof text, "10.%zu.%zu.%zu:8080", i / 40000, i / 200 % 200,
		    i % 200 + 1);
		ck_assert_int_eq(address_parse(&list[i].address, slice_str(text), &err), 0);
		list[i].weight = weight;
	}
	return list;
}

START_TEST(no_more_than_ten_thousand_endpoints_are_used)
{
	struct endpoint *list = many(12000, 10);

	follow("shop", NULL);
	registry_heard(r, SLICE_LIT("shop"), list, 12000, "1");
	ck_assert_uint_eq(registry_set(r, SLICE_LIT("shop")).n, REGISTRY_ENDPOINTS_MAX);
	ck_assert_ptr_nonnull(
	    strstr(fake_registry_history(r, "shop"), "12000 endpoints are too many"));
	free(list);
}
END_TEST

START_TEST(ten_thousand_endpoints_take_few_milliseconds)
{
	struct endpoint *first = many(10000, 10), *other = many(10000, 20);
	usec_t before, fresh, same, changed;

	follow("shop", NULL);
	before = suite_cpu_time();
	registry_heard(r, SLICE_LIT("shop"), first, 10000, "1");
	fresh = suite_cpu_time() - before;
	before = suite_cpu_time();
	registry_heard(r, SLICE_LIT("shop"), first, 10000, "1");
	same = suite_cpu_time() - before;
	before = suite_cpu_time();
	registry_heard(r, SLICE_LIT("shop"), other, 10000, "2");
	changed = suite_cpu_time() - before;
	printf("10 000 endpoints: new %llu us, unchanged %llu us, all changed %llu us\n",
	    (unsigned long long)fresh, (unsigned long long)same, (unsigned long long)changed);
	ck_assert_uint_lt(fresh, 500 * USEC_MS);
	ck_assert_uint_lt(same, 500 * USEC_MS);
	ck_assert_uint_lt(changed, 500 * USEC_MS);
	ck_assert_ptr_nonnull(strstr(fake_registry_history(r, "shop"),
	    "in all 0 added, 0 removed, 10000 changed; only the first 50 of them are listed"));
	free(first);
	free(other);
}
END_TEST

START_TEST(documents_are_followed_and_told_when_they_change)
{
	struct slice keys[] = {SLICE_LIT("/a"), SLICE_LIT("/b")};
	struct registry_document d;

	follow("shop", NULL);
	registry_follow_documents(r, keys, 2);
	ck_assert(!registry_document(r, keys[0]).is_known);
	registry_heard_document(r, keys[0], SLICE_LIT("{}"), "1");
	registry_heard_document(r, keys[1], SLICE_NONE, "1");
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "document /a\ndocument /b\n");
	d = registry_document(r, keys[0]);
	ck_assert(d.is_known && d.exists && slice_eq(d.text, SLICE_LIT("{}")));
	d = registry_document(r, keys[1]);
	ck_assert(d.is_known && !d.exists);
	fake_registry_raised[0] = '\0';
	registry_heard_document(r, keys[0], SLICE_LIT("{}"), "2");
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "");
	registry_heard_document(r, keys[0], SLICE_LIT(""), "3");
	fake_registry_turn();
	ck_assert(registry_document(r, keys[0]).exists);
	registry_heard_document(r, keys[0], SLICE_NONE, "4");
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "document /a\ndocument /a\n");
	registry_follow_documents(r, keys, 1);
	ck_assert_ptr_nonnull(strstr(fake_registry_asked, "unwatch_document /b\n"));
	ck_assert_uint_eq(registry_report(r).n_documents, 1);
}
END_TEST

START_TEST(an_error_keeps_the_documents)
{
	struct slice key = SLICE_LIT("/a");

	follow("shop", NULL);
	registry_follow_documents(r, &key, 1);
	registry_heard_document(r, key, SLICE_LIT("{}"), "1");
	fake_registry_fail(r, NULL, "away");
	ck_assert(registry_document(r, key).exists);
}
END_TEST

START_TEST(a_registry_without_documents_is_not_asked_for_them)
{
	struct slice key = SLICE_LIT("/a");

	r = fake_registry_open_plain();
	registry_follow_documents(r, &key, 1);
	ck_assert(!registry_document(r, key).is_known);
}
END_TEST

START_TEST(what_is_said_of_others_is_not_taken)
{
	follow("shop", NULL);
	fake_registry_hear(r, "other", "10.0.0.1:80");
	fake_registry_fail(r, "other", "gone");
	registry_heard_document(r, SLICE_LIT("/x"), SLICE_LIT("{}"), "1");
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "");
	ck_assert_str_eq(fake_registry_known(r, "other"), "unknown");
}
END_TEST

START_TEST(the_same_configuration_is_the_same_registry)
{
	struct address one, two;
	struct registry_config other;
	struct err err;

	ck_assert_int_eq(address_parse(&one, SLICE_LIT("127.0.0.1:1"), &err), 0);
	ck_assert_int_eq(address_parse(&two, SLICE_LIT("127.0.0.1:2"), &err), 0);
	fake_registry_config.endpoints = &one;
	fake_registry_config.n_endpoints = 1;
	fake_registry_config.prefix = "kitex";
	follow("shop", NULL);
	other = fake_registry_config;
	ck_assert(registry_is_as(r, &other));
	other.prefix = "kitey";
	ck_assert(!registry_is_as(r, &other));
	other = fake_registry_config;
	other.endpoints = &two;
	ck_assert(!registry_is_as(r, &other));
	other = fake_registry_config;
	other.password.text = "new";
	ck_assert(!registry_is_as(r, &other));
	other = fake_registry_config;
	other.empty_keep = 1;
	ck_assert(!registry_is_as(r, &other));
}
END_TEST

START_TEST(pauses_double_up_to_the_maximum_and_differ)
{
	struct registry_pause pause = {0}, short_one = {0};
	usec_t expected = USEC_S, wait;
	struct rng rng;

	rng_init(&rng, 1);
	for (int i = 0; i < 10; i++) {
		wait = registry_pause_next(&pause, &rng);
		ck_assert_uint_le(wait, expected);
		ck_assert_uint_ge(wait, expected - expected / 5);
		expected = usec_min(2 * expected, REGISTRY_BACKOFF_MAX);
		ck_assert_uint_le(
		    registry_pause_reconnect(&short_one, &rng), REGISTRY_RECONNECT_MAX);
	}
	registry_pause_reset(&pause);
	ck_assert_uint_le(registry_pause_next(&pause, &rng), USEC_S);
}
END_TEST

START_TEST(a_secret_is_read_whenever_it_is_needed)
{
	char path[] = "/tmp/bridle-secret-XXXXXX", room[16];
	struct secret_config secret = {.text = "plain"};
	struct err err;
	int fd;

	ck_assert_int_eq(secret_read(&secret, room, sizeof room, &err), 0);
	ck_assert_str_eq(room, "plain");
	fd = mkstemp(path);
	secret = (struct secret_config){.file = path};
	ck_assert_int_eq(write(fd, "one\r\n", 5), 5);
	ck_assert_int_eq(secret_read(&secret, room, sizeof room, &err), 0);
	ck_assert_str_eq(room, "one");
	ck_assert_int_eq(pwrite(fd, "two\nx", 5, 0), 5);
	ck_assert_int_eq(secret_read(&secret, room, sizeof room, &err), 0);
	ck_assert_str_eq(room, "two\nx");
	ck_assert_int_eq(pwrite(fd, "a secret that is too long", 25, 0), 25);
	ck_assert_int_eq(secret_read(&secret, room, sizeof room, &err), -1);
	ck_assert_ptr_null(strstr(err.text, "a secret"));
	close(fd);
	unlink(path);
	ck_assert_int_eq(secret_read(&secret, room, sizeof room, &err), -1);
	ck_assert_str_eq(room, "");
	secret.file = NULL;
	ck_assert_int_eq(secret_read(&secret, room, sizeof room, &err), 0);
	ck_assert_str_eq(room, "");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_service_is_watched_once_and_unwatched_when_it_is_not_wanted, 1},
	    {nothing_is_known_before_the_first_answer, 1},
	    {a_set_is_sorted_and_each_address_counts_once, 1},
	    {an_equal_set_raises_nothing_whatever_its_order, 1},
	    {weight_zone_and_tags_are_changes, 1},
	    {changes_within_a_turn_are_told_once_and_not_inside_the_call, 1},
	    {a_set_can_be_looked_at_until_the_end_of_the_turn, 1},
	    {what_cannot_be_an_endpoint_is_skipped_and_the_others_stay, 1},
	    {a_bad_record_that_stays_is_noted_once, 1},
	    {what_a_registry_says_stays_within_its_line, 1},
	    {thousands_of_bad_records_do_not_fill_the_history, 1},
	    {a_unix_socket_is_taken_from_a_file, 1},
	    {an_error_keeps_the_last_good_set, 1},
	    {an_error_that_repeats_raises_nothing_and_is_counted, 1},
	    {an_error_of_one_service_leaves_the_others, 1},
	    {a_first_answer_that_is_empty_is_believed, 1},
	    {an_empty_answer_after_a_set_is_kept_and_believed_in_the_end, 1},
	    {a_set_that_comes_back_in_time_was_never_gone, 1},
	    {an_empty_answer_is_obeyed_at_once_where_that_is_asked_for, 1},
	    {a_set_without_one_good_record_is_doubted_as_an_empty_one, 1},
	    {an_empty_answer_is_not_believed_while_the_registry_is_away, 1},
	    {a_jump_of_the_calendar_moves_no_timer, 1},
	    {no_more_than_ten_thousand_endpoints_are_used, 1},
	    {ten_thousand_endpoints_take_few_milliseconds, 1},
	    {documents_are_followed_and_told_when_they_change, 1},
	    {an_error_keeps_the_documents, 1},
	    {a_registry_without_documents_is_not_asked_for_them, 1},
	    {what_is_said_of_others_is_not_taken, 1},
	    {the_same_configuration_is_the_same_registry, 1},
	    {pauses_double_up_to_the_maximum_and_differ, 1},
	    {a_secret_is_read_whenever_it_is_needed, 1},
	};

	return suite_run_between("registry", tests, ARRAY_LEN(tests), begin, end);
}
