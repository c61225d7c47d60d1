/* The limits and breakers around calls: which policies share one, and by which names they are
 * kept. */
#include "base/mem.h"
#include "model/guards.h"
#include "support/balanced.h"
#include "support/suite.h"

static const char text[] =
    "defaults: {limit: {rate: 1000/s}, breaker: {}}\n"
    "services:\n"
    "  own.limit:\n"
    "    endpoints: [10.0.0.1:80]\n"
    "    limit: {rate: 10/s}\n"
    "    methods:\n"
    "      Get: {limit: {rate: 1/s}}\n"
    "      Put: {timeout: {call: 1s}}\n"
    "  plain:\n"
    "    endpoints: [10.0.0.2:80]\n"
    "    breaker: {error_rate: 10%}\n"
    "    routes:\n"
    "      - {match: {method: Get}, to: {service: own.limit}, policy: {limit: {rate: 5/s}}}\n"
    "      - {policy: {breaker: {error_rate: 20%}}}\n"
    "  z: {endpoints: [10.0.0.3:80]}\n";

static struct balanced b;

static void begin(void)
{
	balanced_init(&b);
	balanced_load(&b, text);
}

static void end(void)
{
	balanced_free(&b);
}

static const struct service_config *service(const char *label)
{
	return config_service(b.snapshot->config, slice_str(label));
}

static const struct guard *guard_of(const struct policy *p)
{
	ck_assert_ptr_eq(b.snapshot->config->policies[p->index], p);
	return &b.snapshot->guards[p->index];
}

static const struct policy *method_of(const char *label, const char *name)
{
	const struct service_config *s = service(label);

	for (size_t i = 0; i < s->n_methods; i++)
		if (strcmp(s->methods[i].name, name) == 0)
			return &s->methods[i].policy;
	ck_abort_msg("no method %s", name);
}

/* The limit of @p at @level is the one that is called so. */
static void must_be_limit(const struct policy *p, enum level level, const char *name)
{
	struct limit_tally *tally = tallies_limit(b.tallies, slice_str(name), p->limits[level]);

	ck_assert_msg(guard_of(p)->limits[level] == tally, "not %s", name);
	limit_tally_unref(&tally);
}

static void must_be_breaker(const struct policy *p, enum level level, const char *name)
{
	struct breaker_tally *tally = tallies_breaker(b.tallies, slice_str(name));

	ck_assert_msg(guard_of(p)->breakers[level] == tally, "not %s", name);
	breaker_tally_unref(&tally);
}

START_TEST(what_stands_in_defaults_is_each_services_own)
{
	must_be_limit(&service("plain")->policy, LEVEL_DEFAULTS, "plain/limit");
	must_be_limit(&service("z")->policy, LEVEL_DEFAULTS, "z/limit");
	must_be_breaker(&service("z")->policy, LEVEL_DEFAULTS, "z/breaker");
	ck_assert_ptr_ne(guard_of(&service("plain")->policy)->limits[LEVEL_DEFAULTS],
	    guard_of(&service("z")->policy)->limits[LEVEL_DEFAULTS]);
}
END_TEST

START_TEST(a_services_own_takes_the_place_of_that_of_defaults)
{
	const struct policy *limited = &service("own.limit")->policy;
	const struct policy *broken = &service("plain")->policy;

	must_be_limit(limited, LEVEL_SERVICE, "own.limit/limit");
	ck_assert_ptr_null(guard_of(limited)->limits[LEVEL_DEFAULTS]);
	must_be_breaker(limited, LEVEL_DEFAULTS, "own.limit/breaker");
	must_be_breaker(broken, LEVEL_SERVICE, "plain/breaker");
	ck_assert_ptr_null(guard_of(broken)->breakers[LEVEL_DEFAULTS]);
}
END_TEST

START_TEST(methods_share_what_is_the_services)
{
	const struct policy *get = method_of("own.limit", "Get");
	const struct policy *put = method_of("own.limit", "Put");

	must_be_limit(get, LEVEL_SERVICE, "own.limit/limit");
	must_be_limit(get, LEVEL_METHOD, "own.limit/Get/limit");
	must_be_limit(put, LEVEL_SERVICE, "own.limit/limit");
	ck_assert_ptr_null(guard_of(put)->limits[LEVEL_METHOD]);
	must_be_breaker(put, LEVEL_DEFAULTS, "own.limit/breaker");
}
END_TEST

/* They belong to the route, whatever service it leads to; the rest is that service's. */
START_TEST(routes_have_theirs_in_addition)
{
	const struct route_config *routes = service("plain")->routes;

	ck_assert_uint_eq(service("plain")->n_routes, 2);
	must_be_limit(routes[0].policy, LEVEL_ROUTE, "plain/routes[0]/limit");
	must_be_limit(routes[0].policy, LEVEL_SERVICE, "own.limit/limit");
	must_be_limit(&routes[0].methods[0], LEVEL_ROUTE, "plain/routes[0]/limit");
	must_be_limit(&routes[0].methods[0], LEVEL_METHOD, "own.limit/Get/limit");
	must_be_breaker(routes[1].policy, LEVEL_ROUTE, "plain/routes[1]/breaker");
	must_be_breaker(routes[1].policy, LEVEL_SERVICE, "plain/breaker");
	must_be_limit(routes[1].policy, LEVEL_DEFAULTS, "plain/limit");
}
END_TEST

START_TEST(defaults_alone_guard_nothing)
{
	const struct guard *g = &b.snapshot->guards[b.snapshot->config->defaults.index];

	for (enum level level = LEVEL_DEFAULTS; level < LEVELS; level++) {
		ck_assert_ptr_null(g->limits[level]);
		ck_assert_ptr_null(g->breakers[level]);
	}
}
END_TEST

START_TEST(their_state_outlives_a_reload)
{
	struct snapshot *old = snapshot_ref(b.snapshot);
	const struct limit_tally *limit =
	    guard_of(method_of("own.limit", "Get"))->limits[LEVEL_METHOD];
	const struct breaker_tally *breaker =
	    guard_of(&service("z")->policy)->breakers[LEVEL_DEFAULTS];

	balanced_load(&b, text);
	ck_assert_ptr_ne(old, b.snapshot);
	ck_assert_ptr_eq(guard_of(method_of("own.limit", "Get"))->limits[LEVEL_METHOD], limit);
	ck_assert_ptr_eq(guard_of(&service("z")->policy)->breakers[LEVEL_DEFAULTS], breaker);
	snapshot_unref(&old);
}
END_TEST

START_TEST(endpoints_keep_their_tallies_too)
{
	const struct endpoint_tally *tally = balanced_service(&b)->endpoint_tallies[0];

	ck_assert_str_eq(tally->address, "10.0.0.1:80");
	ck_assert_ptr_eq(tally->service, balanced_service(&b)->tally);
	ck_assert_str_eq(balanced_service(&b)->tally->label, "own.limit");
	balanced_load(&b, text);
	ck_assert_ptr_eq(balanced_service(&b)->endpoint_tallies[0], tally);
	ck_assert_uint_eq(balanced_service(&b)->tally->n_endpoints, 1);
	balanced_load(&b, "services: {own.limit: {endpoints: [10.0.0.8:80, 10.0.0.9:80]}}\n");
	ck_assert_uint_eq(balanced_service(&b)->tally->n_endpoints, 2);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {what_stands_in_defaults_is_each_services_own, 1},
	    {a_services_own_takes_the_place_of_that_of_defaults, 1},
	    {methods_share_what_is_the_services, 1},
	    {routes_have_theirs_in_addition, 1},
	    {defaults_alone_guard_nothing, 1},
	    {their_state_outlives_a_reload, 1},
	    {endpoints_keep_their_tallies_too, 1},
	};

	return suite_run_between("guards", tests, ARRAY_LEN(tests), begin, end);
}
