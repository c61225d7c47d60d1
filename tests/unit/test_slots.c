/* Sequence ids of shared connections: unique, positive, and useless once answered. */
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "proxy/slots.h"
#include "support/suite.h"

/* Attempts are only pointers here. */
static char places[SLOTS_MAX + 1];

static struct attempt *attempt(size_t i)
{
	return (struct attempt *)(void *)&places[i];
}

static struct slots *slots;

static void begin(void)
{
	slots = slots_new();
}

static void end(void)
{
	slots_free(&slots);
	ck_assert_ptr_null(slots);
}

static void must_answer(int32_t id, struct attempt *expected)
{
	struct attempt *a = attempt(SLOTS_MAX);

	ck_assert(slots_answer(slots, id, &a));
	ck_assert_ptr_eq(a, expected);
}

START_TEST(an_answer_finds_its_call_once)
{
	int32_t a = slots_take(slots, attempt(1)), b = slots_take(slots, attempt(2));
	struct attempt *nobody;

	ck_assert_int_gt(a, 0);
	ck_assert_int_gt(b, 0);
	ck_assert_int_ne(a, b);
	ck_assert_uint_eq(slots_waiting(slots), 2);
	must_answer(b, attempt(2));
	must_answer(a, attempt(1));
	ck_assert_uint_eq(slots_waiting(slots), 0);
	ck_assert(!slots_answer(slots, a, &nobody));
	ck_assert(!slots_answer(slots, b, &nobody));
}
END_TEST

START_TEST(ids_that_were_never_given_are_nobodys)
{
	static const int32_t ids[] = {0, -1, 1, 0x10000, 0x10001, 0x1ffff, INT32_MAX, INT32_MIN};
	struct attempt *nobody;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ck_assert(!slots_answer(slots, ids[i], &nobody));
	slots_abandon(slots, 0x10000);
	ck_assert_uint_eq(slots_waiting(slots), 0);
	for (int i = 0; i < 3; i++)
		slots_take(slots, attempt(0));
	ck_assert(!slots_answer(slots, 0, &nobody));
	ck_assert(!slots_answer(slots, 2, &nobody)); /* a slot's number without a generation */
	ck_assert(!slots_answer(slots, 0x10003, &nobody));
	ck_assert(!slots_answer(slots, (int32_t)0x80010000, &nobody));
}
END_TEST

START_TEST(an_answer_to_a_call_that_was_given_up_is_taken_and_dropped)
{
	int32_t id = slots_take(slots, attempt(1));
	struct attempt *nobody;

	slots_abandon(slots, id);
	slots_abandon(slots, id); /* twice is once */
	ck_assert_uint_eq(slots_waiting(slots), 0);
	ck_assert_uint_eq(slots->abandoned, 1);
	ck_assert_ptr_null(slots_at(slots, (uint32_t)id & 0xffff));
	must_answer(id, NULL);
	ck_assert_uint_eq(slots->abandoned, 0);
	ck_assert(!slots_answer(slots, id, &nobody));
	slots_abandon(slots, id); /* too late */
	ck_assert_uint_eq(slots->abandoned, 0);
}
END_TEST

START_TEST(a_slot_that_was_given_up_is_not_taken_again_before_its_answer)
{
	int32_t first = slots_take(slots, attempt(0));

	slots_abandon(slots, first);
	for (size_t i = 1; i < SLOTS_MAX; i++) {
		int32_t id = slots_take(slots, attempt(i));

		ck_assert_int_ne(id & 0xffff, first & 0xffff);
	}
	ck_assert_int_eq(slots_take(slots, attempt(0)), 0);
	must_answer(first, NULL);
	ck_assert_int_eq(slots_take(slots, attempt(0)) & 0xffff, first & 0xffff);
}
END_TEST

START_TEST(a_late_second_answer_never_reaches_a_newer_call_in_the_slot)
{
	int32_t old = slots_take(slots, attempt(0));
	struct attempt *nobody;

	must_answer(old, attempt(0));
	for (size_t i = 0; i < SLOTS_MAX; i++) /* all slots, the old one among them */
		ck_assert_int_ne(slots_take(slots, attempt(i)), old);
	ck_assert(!slots_answer(slots, old, &nobody));
}
END_TEST

START_TEST(the_slot_just_freed_is_the_last_to_be_taken_again)
{
	int32_t id = slots_take(slots, attempt(0)), next = 0;
	unsigned size = slots->size;

	for (unsigned i = 0; i < size; i++) {
		must_answer(id, attempt(0));
		next = slots_take(slots, attempt(0));
		if (i + 1 < size)
			ck_assert_int_eq(next & 0xffff, (id & 0xffff) + 1);
		id = next;
	}
	ck_assert_int_eq(id & 0xffff, 0);
	ck_assert_int_eq(id >> 16, 2);
}
END_TEST

START_TEST(there_are_4096_slots_and_no_more)
{
	static int32_t ids[SLOTS_MAX];

	for (size_t i = 0; i < SLOTS_MAX; i++) {
		ids[i] = slots_take(slots, attempt(i));
		ck_assert_int_gt(ids[i], 0);
		ck_assert_ptr_eq(slots_at(slots, (uint32_t)ids[i] & 0xffff), attempt(i));
	}
	ck_assert_int_eq(slots_take(slots, attempt(0)), 0);
	ck_assert_uint_eq(slots_waiting(slots), SLOTS_MAX);
	ck_assert_ptr_null(slots_at(slots, SLOTS_MAX));
	for (size_t i = 0; i < SLOTS_MAX; i++)
		must_answer(ids[i], attempt(i));
	ck_assert_uint_eq(slots_waiting(slots), 0);
}
END_TEST

START_TEST(generations_wrap_and_ids_stay_positive)
{
	const unsigned rounds = 0x7fff * 64 + 1000; /* every slot of the first size, all around */
	int32_t id = 0;

	for (unsigned i = 0; i < rounds; i++) {
		id = slots_take(slots, attempt(0));
		if (id <= 0 || id >> 16 == 0)
			ck_abort_msg("round %u: id %d", i, id);
		must_answer(id, attempt(0));
	}
	ck_assert_int_eq(id >> 16, 0x10); /* 1000 / 64: begun again at 1 */
}
END_TEST

/* Any order of taking, giving up and answering, against a plain list. */
START_TEST(random_steps_agree_with_a_plain_list)
{
	static int32_t ids[SLOTS_MAX];
	static bool is_out[SLOTS_MAX], is_given_up[SLOTS_MAX];
	unsigned waiting = 0;
	struct rng rng;

	rng_init(&rng, 5);
	for (int i = 0; i < 300000; i++) {
		size_t k = rng_below(&rng, 300);

		if (!is_out[k]) {
			ids[k] = slots_take(slots, attempt(k));
			ck_assert_int_gt(ids[k], 0);
			is_out[k] = true;
			is_given_up[k] = false;
			waiting++;
		} else if (!is_given_up[k] && rng_below(&rng, 4) == 0) {
			slots_abandon(slots, ids[k]);
			is_given_up[k] = true;
			waiting--;
		} else {
			must_answer(ids[k], is_given_up[k] ? NULL : attempt(k));
			waiting -= !is_given_up[k];
			is_out[k] = false;
		}
		ck_assert_uint_eq(slots_waiting(slots), waiting);
	}
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {an_answer_finds_its_call_once, 1},
	    {ids_that_were_never_given_are_nobodys, 1},
	    {an_answer_to_a_call_that_was_given_up_is_taken_and_dropped, 1},
	    {a_slot_that_was_given_up_is_not_taken_again_before_its_answer, 1},
	    {a_late_second_answer_never_reaches_a_newer_call_in_the_slot, 1},
	    {the_slot_just_freed_is_the_last_to_be_taken_again, 1},
	    {there_are_4096_slots_and_no_more, 1},
	    {generations_wrap_and_ids_stay_positive, 1},
	    {random_steps_agree_with_a_plain_list, 1},
	};

	return suite_run_between("slots", tests, ARRAY_LEN(tests), begin, end);
}
