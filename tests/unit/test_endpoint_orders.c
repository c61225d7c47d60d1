/* What operators order of endpoints: whom an order is for, what takes it back, what is left of
 * it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/mem.h"
#include "daemon/endpoint_orders.h"
#include "support/suite.h"

#define N 3

static struct endpoint_orders *orders;
static struct arena arena;
static struct endpoint found[N];

static void setup(void)
{
	struct err err;

	orders = endpoint_orders_new(7);
	arena_init(&arena, NULL, 0);
	for (unsigned i = 0; i < N; i++) {
		char text[32];

		found[i] = (struct endpoint){.weight = 10};
		snprintf(text, sizeof text, "10.0.0.%u:80", i);
		ck_assert_int_eq(address_parse(&found[i].address, slice_str(text), &err), 0);
	}
}

static void teardown(void)
{
	arena_fini(&arena);
	endpoint_orders_free(&orders);
}

static int give(enum endpoint_verb verb, const char *service, const char *address, unsigned weight)
{
	const struct endpoint_order order = {
	    .verb = verb,
	    .service = slice_str(service),
	    .address = slice_str(address),
	    .weight = weight,
	};
	struct err err;

	return endpoint_orders_give(orders, &order, &err);
}

static struct endpoint_set apply_to(const char *service, const struct endpoint *list)
{
	struct endpoint_set set = {list, N, ENDPOINTS_FRESH};

	endpoint_orders_apply(orders, slice_str(service), &arena, &set);
	ck_assert_uint_eq(set.n, N);
	return set;
}

static struct endpoint_set apply(const char *service)
{
	return apply_to(service, found);
}

START_TEST(without_orders_nothing_is_copied)
{
	ck_assert_ptr_eq(apply("a").list, found);
	give(ENDPOINT_DISABLE, "a", "10.9.9.9:80", 0);
	ck_assert_ptr_eq(apply("a").list, found);
	endpoint_orders_apply(NULL, SLICE_LIT("a"), &arena, &(struct endpoint_set){found, N, 0});
}
END_TEST

START_TEST(an_order_is_for_one_address)
{
	struct endpoint_set set;

	ck_assert_int_eq(give(ENDPOINT_DISABLE, "a", "10.0.0.1:80", 0), 0);
	set = apply("a");
	ck_assert(!set.list[0].is_disabled && set.list[1].is_disabled && !set.list[2].is_disabled);
	ck_assert_uint_eq(endpoint_share(&set.list[1]), 0);
	ck_assert_uint_eq(endpoint_share(&set.list[2]), 10);
	ck_assert(!found[1].is_disabled);
	ck_assert(!apply("b").list[1].is_disabled);
}
END_TEST

START_TEST(without_a_service_it_is_for_all)
{
	give(ENDPOINT_DISABLE, "", "10.0.0.1:80", 0);
	ck_assert(apply("a").list[1].is_disabled);
	ck_assert(apply("b").list[1].is_disabled);
}
END_TEST

START_TEST(one_service_may_be_let_out_of_what_holds_for_all)
{
	give(ENDPOINT_DISABLE, "", "10.0.0.1:80", 0);
	give(ENDPOINT_ENABLE, "b", "10.0.0.1:80", 0);
	ck_assert(apply("a").list[1].is_disabled);
	ck_assert(!apply("b").list[1].is_disabled);
	give(ENDPOINT_WEIGHT, "", "10.0.0.1:80", 3);
	give(ENDPOINT_WEIGHT_FOUND, "b", "10.0.0.1:80", 0);
	ck_assert_uint_eq(apply("a").list[1].weight, 3);
	ck_assert_uint_eq(apply("b").list[1].weight, 10);
}
END_TEST

START_TEST(an_order_for_all_replaces_those_for_one)
{
	give(ENDPOINT_DISABLE, "a", "10.0.0.1:80", 0);
	give(ENDPOINT_WEIGHT, "a", "10.0.0.1:80", 5);
	give(ENDPOINT_ENABLE, "", "10.0.0.1:80", 0);
	ck_assert(!apply("a").list[1].is_disabled);
	ck_assert_uint_eq(apply("a").list[1].weight, 5); /* of that nothing was said */
	give(ENDPOINT_WEIGHT, "", "10.0.0.1:80", 7);
	ck_assert_uint_eq(apply("a").list[1].weight, 7);
	ck_assert_uint_eq(apply("b").list[1].weight, 7);
}
END_TEST

START_TEST(a_weight_remembers_what_it_stands_for)
{
	struct endpoint_set set;

	give(ENDPOINT_WEIGHT, "a", "10.0.0.2:80", 0);
	set = apply("a");
	ck_assert(set.list[2].is_weight_ordered);
	ck_assert_uint_eq(set.list[2].weight, 0);
	ck_assert_uint_eq(set.list[2].weight_found, 10);
	ck_assert(!set.list[1].is_weight_ordered);
}
END_TEST

/* A set of an earlier snapshot is kept while nobody knows a better one. */
START_TEST(what_was_ordered_once_is_undone_in_old_sets_too)
{
	struct endpoint_set set;

	give(ENDPOINT_DISABLE, "a", "10.0.0.1:80", 0);
	give(ENDPOINT_WEIGHT, "a", "10.0.0.1:80", 99);
	set = apply("a");
	give(ENDPOINT_WEIGHT, "a", "10.0.0.1:80", 98);
	set = apply_to("a", set.list);
	ck_assert_uint_eq(set.list[1].weight, 98);
	ck_assert_uint_eq(set.list[1].weight_found, 10);
	give(ENDPOINT_ENABLE, "a", "10.0.0.1:80", 0);
	give(ENDPOINT_WEIGHT_FOUND, "a", "10.0.0.1:80", 0);
	set = apply_to("a", set.list);
	ck_assert(!set.list[1].is_disabled && !set.list[1].is_weight_ordered);
	ck_assert_uint_eq(set.list[1].weight, 10);
}
END_TEST

START_TEST(an_order_that_is_taken_back_leaves_nothing)
{
	give(ENDPOINT_DISABLE, "a", "10.0.0.1:80", 0);
	ck_assert(endpoint_orders_has(orders, SLICE_LIT("a"), SLICE_LIT("10.0.0.1:80")));
	ck_assert(!endpoint_orders_has(orders, SLICE_LIT("b"), SLICE_LIT("10.0.0.1:80")));
	give(ENDPOINT_ENABLE, "a", "10.0.0.1:80", 0);
	ck_assert(!endpoint_orders_has(orders, SLICE_LIT("a"), SLICE_LIT("10.0.0.1:80")));
	give(ENDPOINT_ENABLE, "", "10.0.0.1:80", 0); /* of what was never ordered */
	ck_assert(!endpoint_orders_has(orders, SLICE_LIT("a"), SLICE_LIT("10.0.0.1:80")));
}
END_TEST

START_TEST(there_are_not_more_than_so_many)
{
	char address[32];

	for (unsigned i = 0; i < ENDPOINT_ORDERS_MAX; i++) {
		snprintf(address, sizeof address, "10.1.%u.%u:80", i / 250, i % 250);
		ck_assert_int_eq(give(ENDPOINT_DISABLE, "", address, 0), 0);
	}
	ck_assert_int_eq(give(ENDPOINT_DISABLE, "", "10.0.0.1:80", 0), -1);
	ck_assert_int_eq(give(ENDPOINT_WEIGHT, "", "10.1.0.0:80", 1), 0); /* known already */
	ck_assert_int_eq(give(ENDPOINT_ENABLE, "", "10.1.0.1:80", 0), 0);
	ck_assert_int_eq(give(ENDPOINT_DISABLE, "", "10.0.0.1:80", 0), 0);
}
END_TEST

START_TEST(names_that_are_too_long_are_of_nobody)
{
	char label[600];

	memset(label, 'x', sizeof label - 1);
	label[sizeof label - 1] = '\0';
	ck_assert_int_eq(give(ENDPOINT_DISABLE, label, "10.0.0.1:80", 0), -1);
	ck_assert_int_eq(give(ENDPOINT_DISABLE, "a", label, 0), -1);
	ck_assert_int_eq(give(ENDPOINT_ENABLE, label, label, 0), 0);
	ck_assert_ptr_eq(apply("a").list, found);
}
END_TEST

/* Gives all that is listed to new orders, which take the place of the old ones. */
static void give_again(void)
{
	struct endpoint_orders *again = endpoint_orders_new(8);
	struct err err;
	size_t n;
	struct endpoint_order *list = endpoint_orders_list(orders, &n);

	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(endpoint_orders_give(again, &list[i], &err), 0);
	free(list);
	endpoint_orders_free(&orders);
	orders = again;
}

START_TEST(what_is_listed_can_be_given_again)
{
	size_t n;

	ck_assert_ptr_null(endpoint_orders_list(orders, &n));
	ck_assert_uint_eq(n, 0);
	/* An exception is older than the rule that it is taken from by the time it is listed. */
	give(ENDPOINT_WEIGHT, "b", "10.0.0.2:80", 4);
	give(ENDPOINT_DISABLE, "", "10.0.0.1:80", 0);
	give(ENDPOINT_ENABLE, "b", "10.0.0.1:80", 0);
	give(ENDPOINT_DISABLE, "", "10.0.0.2:80", 0);
	give_again();
	ck_assert(apply("a").list[1].is_disabled);
	ck_assert(!apply("b").list[1].is_disabled);
	ck_assert(apply("a").list[2].is_disabled && apply("b").list[2].is_disabled);
	ck_assert_uint_eq(apply("b").list[2].weight, 4);
	ck_assert_uint_eq(apply("a").list[2].weight, 10);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {without_orders_nothing_is_copied, 1},
	    {what_is_listed_can_be_given_again, 1},
	    {an_order_is_for_one_address, 1},
	    {without_a_service_it_is_for_all, 1},
	    {one_service_may_be_let_out_of_what_holds_for_all, 1},
	    {an_order_for_all_replaces_those_for_one, 1},
	    {a_weight_remembers_what_it_stands_for, 1},
	    {what_was_ordered_once_is_undone_in_old_sets_too, 1},
	    {an_order_that_is_taken_back_leaves_nothing, 1},
	    {there_are_not_more_than_so_many, 1},
	    {names_that_are_too_long_are_of_nobody, 1},
	};

	return suite_run_between("endpoint_orders", tests, ARRAY_LEN(tests), setup, teardown);
}
