/* What of ours stands in a registry: states, drifts, and the way out. */
#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "net/loop.h"
#include "support/fake_registry.h"
#include "support/suite.h"

static struct registry *r;
static struct registration_plan plan;

static void begin(void)
{
	struct err err;

	fake_registry_begin();
	plan =
	    (struct registration_plan){.service = SLICE_LIT("shop"), .weight = 10, .ttl = USEC_MIN};
	ck_assert_int_eq(address_parse(&plan.address, SLICE_LIT("10.0.0.1:80"), &err), 0);
	r = fake_registry_open();
}

static void end(void)
{
	registry_free(&r);
	fake_registry_end();
}

static const char *state_of(const struct registration *reg)
{
	return registration_state_name(registration_report(reg).state);
}

START_TEST(a_registration_is_pending_until_the_client_says_more)
{
	struct registration *reg = registry_enroll(r, &plan, &plan);

	ck_assert_str_eq(fake_registry_asked, "enroll shop 10.0.0.1:80 10\n");
	ck_assert_str_eq(state_of(reg), "pending");
	ck_assert_ptr_eq(registration_report(reg).arg, &plan);
	registration_is(reg, REGISTRATION_PRESENT, "");
	ck_assert_str_eq(fake_registry_raised, "");
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "registration shop present\n");
	registration_is(reg, REGISTRATION_PRESENT, "");
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "registration shop present\n");
}
END_TEST

START_TEST(what_was_present_and_is_not_is_a_drift)
{
	struct registration *reg = registry_enroll(r, &plan, NULL);

	registration_is(reg, REGISTRATION_LOST, "no connection");
	ck_assert_uint_eq(registration_report(reg).drifts, 0);
	registration_is(reg, REGISTRATION_PRESENT, "");
	registration_is(reg, REGISTRATION_LOST, "the key is gone");
	registration_is(reg, REGISTRATION_LOST, "still gone");
	ck_assert_uint_eq(registration_report(reg).drifts, 1);
	ck_assert_str_eq(registration_report(reg).error, "still gone");
	registration_is(reg, REGISTRATION_PRESENT, "");
	registration_is(reg, REGISTRATION_CONTESTED, "10.0.0.9 holds it");
	ck_assert_uint_eq(registration_report(reg).drifts, 2);
}
END_TEST

START_TEST(the_plan_is_copied_and_can_be_changed)
{
	char tag[] = "gray";
	struct config_pair pair = {"lane", tag};
	struct registration *reg;

	plan.tags = (struct config_map){&pair, 1};
	reg = registry_enroll(r, &plan, NULL);
	tag[0] = 'x';
	ck_assert_str_eq(reg->plan.tags.pairs[0].value, "gray");
	plan.weight = 20;
	registration_change(reg, &plan);
	ck_assert_str_eq(reg->plan.tags.pairs[0].value, "xray");
	ck_assert_str_eq(
	    fake_registry_asked, "enroll shop 10.0.0.1:80 10\nenroll shop 10.0.0.1:80 20\n");
}
END_TEST

START_TEST(withdrawn_is_the_last_that_is_said)
{
	struct registration *reg = registry_enroll(r, &plan, NULL);

	registration_is(reg, REGISTRATION_PRESENT, "");
	fake_registry_turn();
	fake_registry_raised[0] = '\0';
	registration_withdraw(reg);
	registration_withdraw(reg);
	ck_assert_str_eq(
	    fake_registry_asked, "enroll shop 10.0.0.1:80 10\nwithdraw shop 10.0.0.1:80\n");
	registration_is(reg, REGISTRATION_LOST, "on the way");
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "");
	ck_assert_uint_eq(registry_report(r).n_registrations, 1);
	registration_gone(reg);
	ck_assert_str_eq(fake_registry_raised, "");
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "registration shop withdrawn\n");
	ck_assert_uint_eq(registry_report(r).n_registrations, 0);
}
END_TEST

START_TEST(a_registry_that_does_not_answer_holds_nobody_up_for_more_than_five_seconds)
{
	struct registration *reg = registry_enroll(r, &plan, NULL);

	registration_withdraw(reg);
	fake_registry_pass(4900 * USEC_MS);
	ck_assert_str_eq(fake_registry_raised, "");
	fake_registry_pass(200 * USEC_MS);
	ck_assert_str_eq(fake_registry_raised, "registration shop withdrawn\n");
	ck_assert_uint_eq(registry_report(r).n_registrations, 0);
	/* The client still works on it; its word ends it, and nobody is told twice. */
	registration_gone(reg);
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "registration shop withdrawn\n");
}
END_TEST

START_TEST(a_place_is_taken_again_only_when_the_one_before_is_gone)
{
	struct registration *first = registry_enroll(r, &plan, NULL), *second;

	registration_withdraw(first);
	fake_registry_asked[0] = '\0';
	plan.weight = 20;
	second = registry_enroll(r, &plan, NULL);
	ck_assert_str_eq(fake_registry_asked, "");
	plan.weight = 30;
	registration_change(second, &plan);
	ck_assert_str_eq(fake_registry_asked, "");
	registration_gone(first);
	ck_assert_str_eq(fake_registry_asked, "enroll shop 10.0.0.1:80 30\n");
	fake_registry_turn();
	ck_assert_ptr_eq(fake_registry_enrolled, second);
	ck_assert_str_eq(state_of(second), "pending");
}
END_TEST

START_TEST(a_place_that_was_left_in_this_turn_is_taken_at_once)
{
	struct registration *first = registry_enroll(r, &plan, NULL), *second;

	registration_withdraw(first);
	registration_gone(first); /* its owner has not heard of it yet */
	fake_registry_asked[0] = '\0';
	second = registry_enroll(r, &plan, NULL);
	ck_assert_str_eq(fake_registry_asked, "enroll shop 10.0.0.1:80 10\n");
	fake_registry_turn();
	registration_is(second, REGISTRATION_PRESENT, "");
	ck_assert_str_eq(state_of(second), "present");
}
END_TEST

START_TEST(one_that_waits_for_its_place_is_withdrawn_without_the_client)
{
	struct registration *first = registry_enroll(r, &plan, NULL), *second, *third;

	registration_withdraw(first);
	second = registry_enroll(r, &plan, NULL);
	third = registry_enroll(r, &plan, NULL);
	registration_withdraw(second);
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "registration shop withdrawn\n");
	fake_registry_asked[0] = '\0';
	registration_gone(first);
	ck_assert_str_eq(fake_registry_asked, "enroll shop 10.0.0.1:80 10\n");
	ck_assert_ptr_eq(fake_registry_enrolled, third);
}
END_TEST

START_TEST(other_addresses_and_services_do_not_wait)
{
	struct err err;

	registration_withdraw(registry_enroll(r, &plan, NULL));
	fake_registry_asked[0] = '\0';
	plan.service = SLICE_LIT("cart");
	registry_enroll(r, &plan, NULL);
	ck_assert_int_eq(address_parse(&plan.address, SLICE_LIT("10.0.0.2:80"), &err), 0);
	plan.service = SLICE_LIT("shop");
	registry_enroll(r, &plan, NULL);
	ck_assert_str_eq(
	    fake_registry_asked, "enroll cart 10.0.0.1:80 10\nenroll shop 10.0.0.2:80 10\n");
}
END_TEST

START_TEST(a_registry_where_nothing_can_be_registered_says_so)
{
	struct registry *plain = fake_registry_open_plain();
	struct registration *reg = registry_enroll(plain, &plan, NULL);

	ck_assert_str_eq(state_of(reg), "lost");
	ck_assert_str_eq(registration_report(reg).error, "nothing can be registered there");
	registration_change(reg, &plan);
	fake_registry_turn();
	registration_withdraw(reg);
	fake_registry_turn();
	ck_assert_str_eq(
	    fake_registry_raised, "registration shop lost\nregistration shop withdrawn\n");
	registry_free(&plain);
}
END_TEST

START_TEST(what_is_registered_goes_with_its_registry)
{
	registry_enroll(r, &plan, NULL);
	registration_withdraw(registry_enroll(r, &plan, NULL));
	registry_free(&r);
	fake_registry_turn();
	ck_assert_str_eq(fake_registry_raised, "");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_registration_is_pending_until_the_client_says_more, 1},
	    {what_was_present_and_is_not_is_a_drift, 1},
	    {the_plan_is_copied_and_can_be_changed, 1},
	    {withdrawn_is_the_last_that_is_said, 1},
	    {a_registry_that_does_not_answer_holds_nobody_up_for_more_than_five_seconds, 1},
	    {a_place_is_taken_again_only_when_the_one_before_is_gone, 1},
	    {a_place_that_was_left_in_this_turn_is_taken_at_once, 1},
	    {one_that_waits_for_its_place_is_withdrawn_without_the_client, 1},
	    {other_addresses_and_services_do_not_wait, 1},
	    {a_registry_where_nothing_can_be_registered_says_so, 1},
	    {what_is_registered_goes_with_its_registry, 1},
	};

	return suite_run_between("registration", tests, ARRAY_LEN(tests), begin, end);
}
