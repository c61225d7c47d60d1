#include <check.h>

#include "base/list.h"
#include "support/suite.h"

struct item {
	int number;
	struct list link;
};

static int sum_in_order(struct list *head)
{
	int digits = 0;

	list_each (link, head)
		digits = digits * 10 + list_item(link, struct item, link)->number;
	return digits;
}

START_TEST(list_keeps_the_order_of_pushes)
{
	struct list head;
	struct item a = {.number = 1}, b = {.number = 2}, c = {.number = 3};

	list_init(&head);
	ck_assert(list_is_empty(&head));
	list_push_back(&head, &a.link);
	list_push_back(&head, &b.link);
	list_push_front(&head, &c.link);
	ck_assert_int_eq(sum_in_order(&head), 312);
}
END_TEST

START_TEST(list_remove_is_harmless_twice)
{
	struct list head;
	struct item a = {.number = 1}, b = {.number = 2};

	list_init(&head);
	list_init(&a.link);
	list_remove(&a.link);
	list_push_back(&head, &a.link);
	list_push_back(&head, &b.link);
	list_remove(&a.link);
	list_remove(&a.link);
	ck_assert_int_eq(sum_in_order(&head), 2);
	ck_assert(list_is_empty(&a.link));
}
END_TEST

START_TEST(list_pops_in_order_until_empty)
{
	struct list head;
	struct item a = {.number = 1}, b = {.number = 2};

	list_init(&head);
	list_push_back(&head, &a.link);
	list_push_back(&head, &b.link);
	ck_assert_ptr_eq(list_pop_front(&head), &a.link);
	ck_assert_ptr_eq(list_pop_front(&head), &b.link);
	ck_assert_ptr_null(list_pop_front(&head));
}
END_TEST

START_TEST(list_each_safe_allows_removal)
{
	struct list head;
	struct item items[6];

	list_init(&head);
	for (int i = 0; i < 6; i++) {
		items[i].number = i + 1;
		list_push_back(&head, &items[i].link);
	}
	list_each_safe (link, &head)
		if (list_item(link, struct item, link)->number % 2)
			list_remove(link);
	ck_assert_int_eq(sum_in_order(&head), 246);
	list_each_safe (link, &head)
		list_remove(link);
	ck_assert(list_is_empty(&head));
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    list_keeps_the_order_of_pushes,
	    list_remove_is_harmless_twice,
	    list_pops_in_order_until_empty,
	    list_each_safe_allows_removal,
	};

	return suite_run("list", tests, ARRAY_LEN(tests));
}
