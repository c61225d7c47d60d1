/* Which calls a tap shows: how a filter is written, and what is asked when. */
#include <stdlib.h>

#include "base/mem.h"
#include "proxy/call.h"
#include "proxy/tap_filter.h"
#include "proxy/world.h"
#include "support/suite.h"

#define STARTED (5 * USEC_S)

static struct {
	struct tap_filter filter;
	struct service service;
	struct world_service world_service;
	struct listener_config listener;
	struct endpoint endpoint;
	struct call *call;
} made;

static void begin(void)
{
	struct err err;
	struct call *call = mem_calloc(1, sizeof *call);

	memset(&made, 0, sizeof made);
	tap_filter_init(&made.filter);
	made.service.label = SLICE_LIT("price");
	made.world_service.service = &made.service;
	made.listener.name = "in";
	ck_assert_int_eq(
	    address_parse(&made.endpoint.address, SLICE_LIT("127.0.0.1:9000"), &err), 0);
	call->listener = &made.listener;
	call->service = &made.world_service;
	call->endpoint = &made.endpoint;
	call->request.form = (struct rpc_form){RPC_PLAIN, RPC_THRIFT, true};
	call->request.method = SLICE_LIT("Echo");
	call->request.log_id = SLICE_LIT("0201");
	call->caller = SLICE_LIT("cart");
	call->reason = REASON_TIMEOUT;
	call->started = STARTED;
	made.call = call;
}

static void end(void)
{
	tap_filter_fini(&made.filter);
	free(made.call);
}

static void add(const char *name, const char *value)
{
	struct err err;

	ck_assert_msg(tap_filter_add(&made.filter, slice_str(name), slice_str(value), &err) == 0,
	    "%s", err.text);
}

static bool holds(enum tap_stage stage)
{
	return tap_filter_holds(&made.filter, made.call, stage, STARTED + 1000);
}

static const struct {
	const char *pattern, *text;
	bool fits;
} patterns[] = {
    {"", "", true},
    {"", "a", false},
    {"a", "", false},
    {"Get", "Get", true},
    {"Get", "get", false},
    {"Get", "GetAll", false},
    {"Get*", "Get", true},
    {"Get*", "GetAll", true},
    {"*All", "GetAll", true},
    {"*All", "GetAllX", false},
    {"G*A*l", "GetAll", true},
    {"*", "", true},
    {"*", "any", true},
    {"**", "any", true},
    {"*a*", "bcd", false},
    {"*ab", "aab", true},
    {"*aab", "aaaab", true},
    {"a*b*c", "axbxbxc", true},
    {"a*b*c", "axbxbx", false},
    {"?", "a", false},
};

START_TEST(a_star_stands_for_any_bytes)
{
	ck_assert(tap_pattern_fits(slice_str(patterns[_i].pattern), slice_str(patterns[_i].text)) ==
		  patterns[_i].fits);
}
END_TEST

START_TEST(a_pattern_of_many_stars_takes_no_time)
{
	char pattern[200], text[4000];

	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = i % 2 ? 'a' : '*';
	pattern[sizeof pattern - 1] = 'b';
	memset(text, 'a', sizeof text);
	ck_assert(
	    !tap_pattern_fits(slice_of(pattern, sizeof pattern), slice_of(text, sizeof text)));
}
END_TEST

START_TEST(without_conditions_every_call_is_wanted)
{
	ck_assert(holds(TAP_STARTED));
	ck_assert(holds(TAP_ENDED));
}
END_TEST

START_TEST(what_is_not_known_yet_is_not_asked_yet)
{
	add("reason", "ok");
	ck_assert(holds(TAP_STARTED));
	ck_assert(holds(TAP_REPLIED));
	ck_assert(!holds(TAP_ENDED));
}
END_TEST

START_TEST(the_service_is_known_with_the_reply)
{
	add("service", "other");
	ck_assert(holds(TAP_STARTED));
	ck_assert(!holds(TAP_REPLIED));
}
END_TEST

START_TEST(the_method_is_known_from_the_start)
{
	add("method", "Other");
	ck_assert(!holds(TAP_STARTED));
}
END_TEST

START_TEST(all_conditions_have_to_hold)
{
	add("method", "Echo");
	add("caller", "cart");
	ck_assert(holds(TAP_ENDED));
	add("caller!", "c*");
	ck_assert(!holds(TAP_ENDED));
}
END_TEST

START_TEST(errors_and_slow_calls_are_known_at_the_end)
{
	add("errors", "1");
	add("slower_than", "999us");
	ck_assert(holds(TAP_ENDED));
	add("slower_than", "1ms");
	ck_assert(!holds(TAP_ENDED));
	ck_assert(holds(TAP_REPLIED));
	add("slower_than", "0s");
	made.call->reason = REASON_OK;
	ck_assert(!holds(TAP_ENDED));
}
END_TEST

START_TEST(what_a_call_does_not_have_is_empty)
{
	add("meta.env", "");
	add("int.14!", "x");
	ck_assert(holds(TAP_ENDED));
	add("header.own!", "");
	ck_assert(!holds(TAP_ENDED));
}
END_TEST

static const char *const wrong[][2] = {{"bogus", "1"}, {"", "1"}, {"!", "1"}, {"time", "1"},
    {"us.total", "1"}, {"attempts", "1"}, {"field.1", "1"}, {"int.x", "1"}, {"meta.", "1"},
    {"errors", ""}, {"errors!", "1"}, {"slower_than", ""}, {"slower_than", "ms"},
    {"slower_than", "5"}, {"slower_than", "-5ms"}, {"slower_than", "86400001ms"}, {"sample", ""},
    {"sample", "0%"}, {"sample", "1.1"}, {"sample", "-1"}, {"sample", "5%%"}, {"sample", "inf"},
    {"sample", "0.0000000000000000000000001"}};

START_TEST(what_is_wrong_is_told)
{
	struct err err = {.text = ""};

	ck_assert_msg(tap_filter_add(
			  &made.filter, slice_str(wrong[_i][0]), slice_str(wrong[_i][1]), &err) < 0,
	    "%s=%s", wrong[_i][0], wrong[_i][1]);
	ck_assert_uint_gt(strlen(err.text), 10);
	ck_assert(holds(TAP_ENDED));
}
END_TEST

START_TEST(conditions_are_counted)
{
	struct err err;

	for (unsigned i = 0; i < TAP_CONDITIONS_MAX; i++)
		add("method", "Echo");
	ck_assert_int_eq(
	    tap_filter_add(&made.filter, SLICE_LIT("method"), SLICE_LIT("x"), &err), -1);
	ck_assert(holds(TAP_ENDED));
}
END_TEST

START_TEST(a_share_is_written_in_two_ways)
{
	add("sample", "25%");
	ck_assert_double_eq(made.filter.share, 0.25);
	add("sample", "0.5");
	ck_assert_double_eq(made.filter.share, 0.5);
	add("sample", "100%");
	ck_assert_double_eq(made.filter.share, 1);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_star_stands_for_any_bytes, ARRAY_LEN(patterns)},
	    {a_pattern_of_many_stars_takes_no_time, 1},
	    {without_conditions_every_call_is_wanted, 1},
	    {what_is_not_known_yet_is_not_asked_yet, 1},
	    {the_service_is_known_with_the_reply, 1},
	    {the_method_is_known_from_the_start, 1},
	    {all_conditions_have_to_hold, 1},
	    {errors_and_slow_calls_are_known_at_the_end, 1},
	    {what_a_call_does_not_have_is_empty, 1},
	    {what_is_wrong_is_told, ARRAY_LEN(wrong)},
	    {conditions_are_counted, 1},
	    {a_share_is_written_in_two_ways, 1},
	};

	return suite_run_between("tap_filter", tests, ARRAY_LEN(tests), begin, end);
}
