/* Picks among endpoints of which some are out, tried, new or elsewhere. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "support/balanced.h"
#include "support/suite.h"

static struct balanced b;

static void begin(void)
{
	balanced_init(&b);
}

static void end(void)
{
	balanced_free(&b);
}

static const char *const types[] = {"weighted_round_robin", "interleaved_weighted_round_robin",
    "weighted_random", "round_robin", "random", "least_request", "peak_ewma", "consistent_hash",
    "maglev", "closest", "network_quality"};

#define TYPES ((int)ARRAY_LEN(types))

/* Six endpoints, 0 to 3 in our zone, with more of balance: as given. */
static void load_six(const char *type, const char *more)
{
	char text[1024];

	snprintf(text, sizeof text,
	    "services:\n  a:\n    balance: {type: %s, %s%s}\n    endpoints:\n"
	    "      - {address: 10.0.0.1:80, zone: east}\n"
	    "      - {address: 10.0.0.2:80, zone: east}\n"
	    "      - {address: 10.0.0.3:80, zone: east}\n"
	    "      - {address: 10.0.0.4:80, zone: east}\n"
	    "      - {address: 10.0.0.5:80, zone: west}\n"
	    "      - {address: 10.0.0.6:80}\n",
	    type,
	    strstr(type, "hash") || strstr(type, "maglev") ? "key: meta.user, virtual_nodes: 200, "
							   : "",
	    more);
	balanced_load(&b, text);
}

static void must_be_about(size_t endpoint, double picks)
{
	ck_assert_msg(
	    (double)b.picked[endpoint] > picks * 0.8 && (double)b.picked[endpoint] < picks * 1.2,
	    "endpoint %zu was picked %zu times, not about %.0f", endpoint, b.picked[endpoint],
	    picks);
}

START_TEST(all_are_picked_while_nothing_is_wrong)
{
	load_six(types[_i], "zone: any");
	ck_assert_uint_eq(balanced_picks(&b, 60000), 0);
	for (size_t i = 0; i < 6; i++)
		must_be_about(i, 10000);
}
END_TEST

START_TEST(who_is_ejected_or_down_is_left_out)
{
	load_six(types[_i], "zone: any");
	balanced_eject(&b, 1);
	balanced_set_health(&b, 4, HEALTH_DOWN);
	ck_assert_uint_eq(balanced_picks(&b, 60000), 0);
	ck_assert_uint_eq(b.picked[1] + b.picked[4], 0);
	for (size_t i = 0; i < 6; i++)
		ck_assert((i == 1 || i == 4) == (b.picked[i] < 9000));
	b.request.now += 10 * USEC_S;
	balanced_set_health(&b, 4, HEALTH_UP);
	balanced_picks(&b, 60000);
	for (size_t i = 0; i < 6; i++)
		must_be_about(i, 10000);
}
END_TEST

START_TEST(who_was_tried_is_left_out_while_others_remain)
{
	load_six(types[_i], "zone: any");
	balanced_try(&b, 0);
	balanced_try(&b, 2);
	balanced_try(&b, 3);
	balanced_set_health(&b, 5, HEALTH_DOWN);
	balanced_picks(&b, 10000);
	ck_assert_uint_eq(b.picked[1] + b.picked[4], 10000);
	ck_assert_uint_gt(b.picked[1], 3000);
	balanced_try(&b, 1);
	balanced_try(&b, 4);
	/* All were: they come again, but who is down does not. */
	ck_assert_uint_eq(balanced_picks(&b, 10000), 0);
	ck_assert_uint_eq(b.picked[5], 0);
	for (size_t i = 0; i < 5; i++)
		ck_assert_uint_gt(b.picked[i], 1000);
}
END_TEST

/* ---- panic ---- */

/* As in a restart of one after another, where the first was ejected and is back. */
START_TEST(where_those_tried_are_not_there_one_that_is_out_comes_first)
{
	load_six(types[_i], "zone: any");
	for (size_t i = 0; i < 4; i++)
		balanced_try(&b, i);
	balanced_eject(&b, 4);
	balanced_set_health(&b, 5, HEALTH_DOWN);
	b.request.avoids_tried = true;
	ck_assert_uint_eq(balanced_picks(&b, 1000), 0);
	ck_assert_uint_eq(b.picked[4] + b.picked[5], 1000);
	balanced_set_health(&b, 5, HEALTH_UP);
	ck_assert_uint_eq(balanced_picks(&b, 1000), 0);
	ck_assert_uint_eq(b.picked[5], 1000);
}
END_TEST

START_TEST(who_is_disabled_gets_nothing_not_even_in_need)
{
	const struct service *service;

	load_six(types[_i], "zone: any");
	service = balanced_service(&b);
	endpoint_tally_disable(service->endpoint_tallies[2], true);
	ck_assert_uint_eq(balanced_picks(&b, 10000), 0);
	ck_assert_uint_eq(b.picked[2], 0);
	for (size_t i = 0; i < 6; i++)
		if (i != 2)
			balanced_set_health(&b, i, HEALTH_DOWN);
	b.request.now += USEC_S;
	ck_assert_uint_eq(balanced_picks(&b, 10000), 0); /* panic */
	ck_assert_uint_eq(b.picked[2], 0);
	ck_assert_str_eq(balance_why_not(&b.request, 2), "disabled by an operator");
	for (size_t i = 0; i < 6; i++)
		endpoint_tally_disable(service->endpoint_tallies[i], true);
	ck_assert_uint_eq(balanced_picks(&b, 100), 100);
}
END_TEST

START_TEST(when_too_few_are_usable_all_are_used)
{
	load_six(types[_i], "panic: 50%");
	for (size_t i = 0; i < 3; i++)
		balanced_set_health(&b, i, HEALTH_DOWN);
	balanced_picks(&b, 10000); /* a half is not too few */
	ck_assert_uint_eq(b.picked[0] + b.picked[1] + b.picked[2], 0);
	ck_assert(!balance_is_panic(balanced_service(&b), b.request.group, b.request.now));
	balanced_set_health(&b, 3, HEALTH_DOWN);
	ck_assert(balance_is_panic(balanced_service(&b), b.request.group, b.request.now));
	balanced_picks(&b, 10000); /* it is counted at times only */
	ck_assert_uint_eq(b.picked[4] + b.picked[5], 10000);
	b.request.now += 50 * USEC_MS;
	ck_assert_uint_eq(balanced_picks(&b, 60000), 0);
	for (size_t i = 0; i < 6; i++)
		must_be_about(i, 10000);
	balanced_set_health(&b, 0, HEALTH_UP);
	b.request.now += 50 * USEC_MS;
	balanced_picks(&b, 10000);
	ck_assert_uint_eq(b.picked[1] + b.picked[2] + b.picked[3], 0);
}
END_TEST

START_TEST(without_panic_nobody_is_picked_when_all_are_down)
{
	load_six(types[_i], "panic: 0%");
	for (size_t i = 0; i < 5; i++)
		balanced_set_health(&b, i, HEALTH_DOWN);
	ck_assert_uint_eq(balanced_picks(&b, 1000), 0);
	ck_assert_uint_eq(b.picked[5], 1000);
	balanced_set_health(&b, 5, HEALTH_DOWN);
	ck_assert_uint_eq(balanced_picks(&b, 1000), 1000);
}
END_TEST

/* Who is out is counted at times only; no call fails because the last ones went in between. */
START_TEST(panic_does_not_wait_for_the_next_count)
{
	load_six(types[_i], "zone: any");
	balanced_set_health(&b, 0, HEALTH_DOWN);
	ck_assert_uint_eq(balanced_picks(&b, 10), 0); /* counted now */
	for (size_t i = 1; i < 6; i++)
		balanced_set_health(&b, i, HEALTH_DOWN);
	ck_assert_uint_eq(balanced_picks(&b, 10), 0);
	balanced_try(&b, 3);
	balanced_picks(&b, 1000);
	ck_assert_uint_eq(b.picked[3], 0);
}
END_TEST

START_TEST(endpoints_that_weigh_nothing_are_not_counted)
{
	balanced_load(&b, "services:\n  a:\n    endpoints:\n"
			  "      - {address: 10.0.0.1:80, weight: 0}\n"
			  "      - {address: 10.0.0.2:80, weight: 0}\n"
			  "      - {address: 10.0.0.3:80, weight: 0}\n"
			  "      - 10.0.0.4:80\n"
			  "      - 10.0.0.5:80\n");
	balanced_set_health(&b, 0, HEALTH_DOWN);
	balanced_set_health(&b, 1, HEALTH_DOWN);
	balanced_set_health(&b, 2, HEALTH_DOWN);
	balanced_set_health(&b, 3, HEALTH_DOWN);
	balanced_picks(&b, 100); /* one of two */
	ck_assert_uint_eq(b.picked[4], 100);
	balanced_set_health(&b, 4, HEALTH_DOWN);
	ck_assert_uint_eq(balanced_picks(&b, 100), 0);
	ck_assert_uint_eq(b.picked[3] + b.picked[4], 100);
}
END_TEST

/* ---- zones ---- */

START_TEST(calls_stay_in_their_zone)
{
	load_six(types[_i], "zone: prefer");
	ck_assert_uint_eq(balanced_picks(&b, 40000), 0);
	for (size_t i = 0; i < 4; i++)
		must_be_about(i, 10000);
	ck_assert_uint_eq(b.picked[4] + b.picked[5], 0);
}
END_TEST

/* As much as is out of our zone goes elsewhere, and no more. */
START_TEST(calls_leave_the_zone_in_proportion_to_what_is_out)
{
	load_six(types[_i], "zone: prefer");
	balanced_set_health(&b, 2, HEALTH_DOWN);
	balanced_picks(&b, 40000);
	ck_assert_uint_eq(b.picked[2], 0);
	ck_assert_uint_gt(b.picked[4] + b.picked[5], 8000);
	ck_assert_uint_lt(b.picked[4] + b.picked[5], 12000);
	for (size_t i = 0; i < 4; i++)
		ck_assert(i == 2 || b.picked[i] > 8000);
	balanced_try(&b, 0);
	balanced_picks(&b, 40000);
	ck_assert_uint_gt(b.picked[4] + b.picked[5], 17000);
	ck_assert_uint_lt(b.picked[4] + b.picked[5], 23000);
	ck_assert_uint_eq(b.picked[0] + b.picked[2], 0);
}
END_TEST

START_TEST(with_nobody_left_elsewhere_calls_come_back)
{
	load_six(types[_i], "zone: prefer");
	balanced_set_health(&b, 4, HEALTH_DOWN);
	balanced_set_health(&b, 5, HEALTH_DOWN);
	balanced_set_health(&b, 1, HEALTH_DOWN);
	ck_assert_uint_eq(balanced_picks(&b, 30000), 0);
	ck_assert_uint_eq(b.picked[1] + b.picked[4] + b.picked[5], 0);
	for (size_t i = 0; i < 4; i++)
		ck_assert(i == 1 || b.picked[i] > 7000);
}
END_TEST

START_TEST(with_nobody_left_here_calls_go_elsewhere)
{
	load_six(types[_i], "zone: prefer, panic: 0%");
	for (size_t i = 0; i < 4; i++)
		balanced_set_health(&b, i, HEALTH_DOWN);
	ck_assert_uint_eq(balanced_picks(&b, 10000), 0);
	must_be_about(4, 5000);
	must_be_about(5, 5000);
}
END_TEST

START_TEST(zone_only_keeps_calls_from_other_zones)
{
	load_six(types[_i], "zone: only, panic: 0%");
	balanced_picks(&b, 40000);
	for (size_t i = 0; i < 4; i++)
		must_be_about(i, 10000);
	for (size_t i = 0; i < 4; i++)
		balanced_set_health(&b, i, HEALTH_DOWN);
	ck_assert_uint_eq(balanced_picks(&b, 100), 100);
}
END_TEST

START_TEST(panic_with_zone_only_counts_our_zone)
{
	load_six("random", "zone: only");
	balanced_set_health(&b, 0, HEALTH_DOWN);
	balanced_set_health(&b, 1, HEALTH_DOWN);
	balanced_picks(&b, 40000);
	ck_assert_uint_eq(b.picked[0] + b.picked[1], 0);
	balanced_set_health(&b, 2, HEALTH_DOWN);
	b.request.now += 50 * USEC_MS;
	balanced_picks(&b, 40000);
	for (size_t i = 0; i < 4; i++)
		must_be_about(i, 10000);
}
END_TEST

START_TEST(a_zone_of_our_own_without_endpoints_is_no_zone)
{
	balanced_load(&b,
	    "services:\n  a:\n    balance: {type: random, zone: prefer}\n    endpoints:\n"
	    "      - {address: 10.0.0.1:80, zone: west}\n"
	    "      - {address: 10.0.0.2:80}\n"
	    "      - {address: 10.0.0.3:80, zone: east, weight: 0}\n");
	ck_assert_uint_eq(balanced_picks(&b, 20000), 0);
	must_be_about(0, 10000);
	must_be_about(1, 10000);
	balanced_load(&b,
	    "services:\n  a:\n    balance: {type: random, zone: only}\n    endpoints:\n"
	    "      - {address: 10.0.0.1:80, zone: west}\n");
	ck_assert_uint_eq(balanced_picks(&b, 10), 10);
}
END_TEST

/* ---- slow start ---- */

static void load_slow(const char *type, bool with_third)
{
	char text[512];

	snprintf(text, sizeof text,
	    "services:\n  a:\n    balance: {type: %s, slow_start: 60s%s}\n"
	    "    endpoints: [10.0.0.1:80, 10.0.0.2:80%s]\n",
	    type,
	    strstr(type, "hash") || strstr(type, "maglev") ? ", key: meta.user, virtual_nodes: 500"
							   : "",
	    with_third ? ", 10.0.0.3:80" : "");
	balanced_load(&b, text);
}

/* What the third has of all calls, when it has @part of its weight. */
static void must_have_part(double part)
{
	double got;

	balanced_picks(&b, 60000);
	got = (double)b.picked[2] / 60000;
	ck_assert_msg(got > part / 3 * 0.8 && got < part / (2 + part) * 1.1 + 0.01,
	    "%.3f of all calls with %.2f of its weight", got, part);
}

START_TEST(an_endpoint_that_comes_later_starts_slowly)
{
	load_slow(types[_i], false);
	b.request.now += 3600 * USEC_S;
	load_slow(types[_i], true);
	must_have_part(0.1);
	b.request.now += 3 * USEC_S;
	must_have_part(0.1);
	b.request.now += 27 * USEC_S;
	must_have_part(0.5);
	b.request.now += 15 * USEC_S;
	must_have_part(0.75);
	b.request.now += 15 * USEC_S;
	must_have_part(1);
	load_slow(types[_i], true); /* another snapshot does not begin again */
	must_have_part(1);
}
END_TEST

START_TEST(the_first_endpoints_of_a_service_start_at_once)
{
	b.request.now = USEC_S; /* the machine has only just started */
	load_slow(types[_i], false);
	b.request.now += USEC_S;
	load_slow(types[_i], true);
	must_have_part(0.1); /* it alone is new */
}
END_TEST

/* ---- hashes, places, load ---- */

START_TEST(a_hash_goes_to_one_endpoint)
{
	size_t first;

	load_six(_i ? "maglev" : "consistent_hash", "zone: any");
	b.request.has_hash = true;
	b.request.hash = lb_hash(SLICE_LIT("user-1"));
	first = balanced_pick(&b);
	balanced_picks(&b, 1000);
	ck_assert_uint_eq(b.picked[first], 1000);
	balanced_try(&b, first);
	balanced_picks(&b, 1000);
	ck_assert_uint_eq(b.picked[first], 0);
	b.request.n_tried = 0;
	b.request.has_hash = false; /* by chance */
	balanced_picks(&b, 6000);
	for (size_t i = 0; i < 6; i++)
		ck_assert_uint_gt(b.picked[i], 500);
}
END_TEST

START_TEST(places_are_tags_of_endpoints)
{
	balanced_load(&b,
	    "services:\n  a:\n    balance: closest\n    endpoints:\n"
	    "      - {address: 10.0.0.1:80, tags: {latitude: '48.86', longitude: '2.35'}}\n"
	    "      - {address: 10.0.0.2:80, tags: {location: '50.11,8.68', latitude: '-50'}}\n"
	    "      - {address: 10.0.0.3:80, tags: {place: '50.11,8.68'}}\n"
	    "      - 10.0.0.4:80\n      - 10.0.0.5:80\n      - 10.0.0.6:80\n");
	balanced_picks(&b, 100);
	ck_assert_uint_eq(b.picked[1], 100);
	balanced_set_health(&b, 1, HEALTH_DOWN);
	balanced_picks(&b, 100);
	ck_assert_uint_eq(b.picked[0], 100);
	balanced_set_health(&b, 0, HEALTH_DOWN);
	balanced_picks(&b, 10000);
	for (size_t i = 2; i < 6; i++) /* those without a place */
		must_be_about(i, 2500);
}
END_TEST

static struct lb_load load_of(const void *arg, size_t endpoint)
{
	return (struct lb_load){.in_flight = ((const uint32_t *)arg)[endpoint]};
}

START_TEST(load_is_asked_of_the_caller)
{
	uint32_t in_flight[6] = {9, 9, 9, 9, 9, 9};

	load_six("least_request", "choices: 6");
	b.request.load = load_of;
	b.request.arg = in_flight;
	in_flight[4] = 8;
	balanced_picks(&b, 1000);
	ck_assert_uint_eq(b.picked[4], 1000);
}
END_TEST

/* Who is out has no load, and would seem to be the best of its zone. */
START_TEST(load_does_not_draw_calls_out_of_the_zone)
{
	uint32_t in_flight[6] = {5, 5, 0, 5, 5, 5};

	load_six(_i ? "peak_ewma" : "least_request", "choices: 4, zone: prefer");
	b.request.load = load_of;
	b.request.arg = in_flight;
	balanced_set_health(&b, 2, HEALTH_DOWN);
	balanced_picks(&b, 40000);
	ck_assert_uint_gt(b.picked[4] + b.picked[5], 9000);
	ck_assert_uint_lt(b.picked[4] + b.picked[5], 11000);
	in_flight[1] = 4; /* and those that stay go by load */
	balanced_picks(&b, 40000);
	ck_assert_uint_eq(b.picked[0] + b.picked[3], 0);
}
END_TEST

/* ---- why not ---- */

static void must_not(size_t endpoint, const char *why)
{
	const char *said = balance_why_not(&b.request, endpoint);

	ck_assert_msg(said && strcmp(said, why) == 0, "%s, not %s", said ? said : "nothing", why);
}

START_TEST(why_an_endpoint_is_not_picked_is_told)
{
	load_six("random", "zone: prefer");
	ck_assert_ptr_null(balance_why_not(&b.request, 0));
	must_not(4, "in another zone");
	balanced_eject(&b, 0);
	must_not(0, "ejected");
	ck_assert_ptr_null(balance_why_not(&b.request, 4)); /* in its stead */
	balanced_set_health(&b, 0, HEALTH_DOWN);
	must_not(0, "ejected");
	b.request.now += 10 * USEC_S;
	must_not(0, "down");
	balanced_try(&b, 1);
	must_not(1, "tried");
	ck_assert_ptr_null(balance_why_not(&b.request, 2));
	for (size_t i = 1; i < 4; i++)
		balanced_set_health(&b, i, HEALTH_DOWN);
	ck_assert_ptr_null(balance_why_not(&b.request, 3)); /* panic */
	load_six("random", "zone: only");
	must_not(5, "in another zone");
	balanced_load(&b, "services:\n  a:\n    subsets: {gray: {lane: gray}}\n    endpoints:\n"
			  "      - {address: 10.0.0.1:80, weight: 0}\n"
			  "      - {address: 10.0.0.2:80, tags: {lane: gray}}\n");
	must_not(0, "weight 0");
	balanced_use(&b, &balanced_service(&b)->groups[1]);
	b.request.n_tried = 0;
	must_not(0, "in another subset");
	ck_assert_ptr_null(balance_why_not(&b.request, 1));
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {all_are_picked_while_nothing_is_wrong, TYPES},
	    {who_is_ejected_or_down_is_left_out, TYPES},
	    {who_was_tried_is_left_out_while_others_remain, TYPES},
	    {where_those_tried_are_not_there_one_that_is_out_comes_first, TYPES},
	    {who_is_disabled_gets_nothing_not_even_in_need, TYPES},
	    {when_too_few_are_usable_all_are_used, TYPES},
	    {without_panic_nobody_is_picked_when_all_are_down, TYPES},
	    {panic_does_not_wait_for_the_next_count, TYPES},
	    {endpoints_that_weigh_nothing_are_not_counted, 1},
	    {calls_stay_in_their_zone, TYPES},
	    {calls_leave_the_zone_in_proportion_to_what_is_out, TYPES},
	    {with_nobody_left_elsewhere_calls_come_back, TYPES},
	    {with_nobody_left_here_calls_go_elsewhere, TYPES},
	    {zone_only_keeps_calls_from_other_zones, TYPES},
	    {panic_with_zone_only_counts_our_zone, 1},
	    {a_zone_of_our_own_without_endpoints_is_no_zone, 1},
	    {an_endpoint_that_comes_later_starts_slowly, TYPES},
	    {the_first_endpoints_of_a_service_start_at_once, TYPES},
	    {a_hash_goes_to_one_endpoint, 2},
	    {places_are_tags_of_endpoints, 1},
	    {load_is_asked_of_the_caller, 1},
	    {load_does_not_draw_calls_out_of_the_zone, 2},
	    {why_an_endpoint_is_not_picked_is_told, 1},
	};

	return suite_run_between("balance", tests, ARRAY_LEN(tests), begin, end);
}
