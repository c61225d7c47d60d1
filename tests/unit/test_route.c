/* Who answers a call, and under which policy. */
#include <stdlib.h>

#include "base/mem.h"
#include "model/route.h"
#include "support/loaded.h"
#include "support/suite.h"

static const char text[] =
    "listeners:\n"
    "  - {name: pinned, address: 127.0.0.1:0, service: local}\n"
    "  - {name: strict, address: 127.0.0.1:0, service: local, strict_service: true}\n"
    "  - {name: open, address: 127.0.0.1:0}\n"
    "services:\n"
    "  local:\n"
    "    name: shop.cart\n"
    "    aliases: [CartService, cart.v2]\n"
    "    endpoints: [127.0.0.1:9001]\n"
    "    timeout: {call: 1s}\n"
    "    methods:\n"
    "      Slow: {timeout: {call: 9s}}\n"
    "      Add: {timeout: {call: 2s}}\n"
    "      '*': {timeout: {call: 3s}}\n"
    "  shop.stock:\n"
    "    aliases: [StockService]\n"
    "    endpoints: [127.0.0.1:9002]\n"
    "    timeout: {call: 4s}\n"
    "    methods:\n"
    "      Get: {timeout: {call: 5s}}\n"
    "  far:\n"
    "    name: shop.stock\n"
    "    aliases: [FarService]\n"
    "    endpoints: [127.0.0.1:9003]\n";

static struct loaded loaded;
static struct shared_config *shared;
static struct snapshot *snapshot;
static struct tallies *tallies;

static void begin(void)
{
	static const struct endpoint_set none[8];

	loaded = loaded_from(text);
	loaded_config(&loaded);
	shared = shared_config_new(loaded.config);
	loaded.config = NULL;
	tallies = tallies_new();
	snapshot = snapshot_new(shared, none, tallies, NULL, 0);
}

static void end(void)
{
	snapshot_unref(&snapshot);
	shared_config_unref(&shared);
	tallies_free(&tallies);
	loaded_free(&loaded);
}

static struct route_decision decide(
    const char *listener, const char *service, const char *idl_service, const char *method)
{
	struct call_facts f = {.listener = snapshot_listener(snapshot, slice_str(listener)),
	    .service_asked = slice_str(service),
	    .idl_service = slice_str(idl_service),
	    .method = slice_str(method)};

	ck_assert_ptr_nonnull(f.listener);
	return route_decide(snapshot, &f, NULL, NULL);
}

static void must_go(struct route_decision d, const char *label)
{
	ck_assert_msg(d.service != NULL, "%s", d.why);
	ck_assert_msg(slice_eq_str(d.service->label, label), "to another than %s", label);
	ck_assert_ptr_nonnull(d.policy);
	ck_assert_ptr_eq(d.guard, &snapshot->guards[d.policy->index]);
}

static void must_not_go(struct route_decision d, const char *why)
{
	ck_assert_int_eq(d.reason, REASON_NO_ROUTE);
	ck_assert_ptr_null(d.service);
	ck_assert_msg(strstr(d.why, why) != NULL, "%s", d.why);
}

START_TEST(a_pinned_listener_goes_to_its_service_whatever_is_asked_for)
{
	must_go(decide("pinned", "", "", "M"), "local");
	must_go(decide("pinned", "shop.stock", "", "M"), "local");
	must_go(decide("pinned", "nobody", "NoService", "M"), "local");
}
END_TEST

START_TEST(a_strict_listener_refuses_calls_that_ask_for_another_service)
{
	must_go(decide("strict", "", "", "M"), "local");
	must_go(decide("strict", "", "StockService", "M"), "local");
	must_go(decide("strict", "local", "", "M"), "local");
	must_go(decide("strict", "shop.cart", "", "M"), "local");
	must_go(decide("strict", "cart.v2", "", "M"), "local");
	must_not_go(decide("strict", "shop.stock", "", "M"), "strict_service");
	must_not_go(decide("strict", "FarService", "", "M"), "strict_service");
	must_not_go(decide("strict", "nobody", "", "M"), "strict_service");
}
END_TEST

START_TEST(an_open_listener_goes_by_the_service_that_is_asked_for)
{
	must_go(decide("open", "shop.stock", "", "M"), "shop.stock");
	must_go(decide("open", "local", "", "M"), "local");
	must_go(decide("open", "far", "", "M"), "far");
	must_go(decide("open", "StockService", "", "M"), "shop.stock");
}
END_TEST

START_TEST(labels_win_over_names)
{
	must_go(decide("open", "shop.stock", "", "M"), "shop.stock"); /* and is far's name */
	must_go(decide("open", "shop.cart", "", "M"), "local");
	must_go(decide("open", "", "CartService", "M"), "local");
	must_go(decide("open", "", "FarService", "M"), "far");
}
END_TEST

START_TEST(the_idl_service_counts_only_where_no_service_is_asked_for)
{
	must_go(decide("open", "", "StockService", "M"), "shop.stock");
	must_go(decide("open", "local", "StockService", "M"), "local");
	must_not_go(decide("open", "nobody", "StockService", "M"), "no service of that name");
	must_not_go(decide("open", "", "NoService", "M"), "aliases");
}
END_TEST

START_TEST(a_call_that_names_nothing_is_told_the_cure)
{
	must_not_go(decide("open", "", "", "M"), "names no service");
}
END_TEST

START_TEST(names_that_are_no_names_are_not_looked_up)
{
	static const char *const names[] = {
	    "shop stock", "shop.stock\n", "shop/stock", "\xff", "*", "shop.stock ", "SHOP.STOCK"};
	char longest[202];

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		must_not_go(decide("open", names[i], "", "M"), "no service of that name");
	memset(longest, 'a', sizeof longest);
	longest[201] = '\0';
	must_not_go(decide("open", longest, "", "M"), "no service of that name");
}
END_TEST

static usec_t time_of(struct route_decision d)
{
	return d.policy->timeout_call;
}

START_TEST(a_method_has_its_own_policy_or_the_stars_or_its_services)
{
	ck_assert_uint_eq(time_of(decide("pinned", "", "", "Add")), 2 * USEC_S);
	ck_assert_uint_eq(time_of(decide("pinned", "", "", "Slow")), 9 * USEC_S);
	ck_assert_uint_eq(time_of(decide("pinned", "", "", "Else")), 3 * USEC_S);
	ck_assert_uint_eq(time_of(decide("pinned", "", "", "add")), 3 * USEC_S);
	ck_assert_uint_eq(time_of(decide("pinned", "", "", "*")), 3 * USEC_S);
	ck_assert_uint_eq(time_of(decide("open", "shop.stock", "", "Get")), 5 * USEC_S);
	ck_assert_uint_eq(time_of(decide("open", "shop.stock", "", "Put")), 4 * USEC_S);
	ck_assert_uint_eq(time_of(decide("open", "far", "", "Get")), USEC_NONE);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_pinned_listener_goes_to_its_service_whatever_is_asked_for, 1},
	    {a_strict_listener_refuses_calls_that_ask_for_another_service, 1},
	    {an_open_listener_goes_by_the_service_that_is_asked_for, 1},
	    {labels_win_over_names, 1},
	    {the_idl_service_counts_only_where_no_service_is_asked_for, 1},
	    {a_call_that_names_nothing_is_told_the_cure, 1},
	    {names_that_are_no_names_are_not_looked_up, 1},
	    {a_method_has_its_own_policy_or_the_stars_or_its_services, 1},
	};

	return suite_run_between("route", tests, ARRAY_LEN(tests), begin, end);
}
