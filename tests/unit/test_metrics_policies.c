/* What metrics tell of limits, breakers, ejection and budgets, out of the tallies of a snapshot. */
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "daemon/metrics.h"
#include "support/loaded.h"
#include "support/suite.h"

#define NOW (1000 * USEC_S)

static struct tallies *tallies;
static struct snapshot *snapshot;
static struct text page;

static void load(const char *text)
{
	struct loaded loaded = loaded_from(text);
	const struct config *config = loaded_config(&loaded);
	struct endpoint_set *sets = mem_calloc(config->n_services, sizeof *sets);
	static struct endpoint list[3];
	struct shared_config *shared;

	for (size_t i = 0; i < config->n_services; i++) {
		for (size_t k = 0; k < ARRAY_LEN(list); k++)
			list[k] = (struct endpoint){
			    .address = config->services[i]->endpoints[k].address, .weight = 10};
		sets[i] = (struct endpoint_set){list, ARRAY_LEN(list), ENDPOINTS_FRESH};
	}
	shared = shared_config_new(loaded.config);
	loaded.config = NULL;
	loaded_free(&loaded);
	tallies = tallies_new();
	snapshot = snapshot_new(shared, sets, tallies, NULL, NOW);
	shared_config_unref(&shared);
	free(sets);
}

static void end(void)
{
	text_fini(&page);
	snapshot_unref(&snapshot);
	tallies_free(&tallies);
}

static void render(enum overload_level overload)
{
	struct metrics_source source = {.snapshot = snapshot, .now = NOW, .overload = overload};

	page.len = 0;
	metrics_render(&source, &page);
	text_add(&page, slice_of("", 1));
}

static unsigned occurrences(const char *part)
{
	unsigned n = 0;

	for (const char *at = page.bytes; (at = strstr(at, part)); at += strlen(part))
		n++;
	return n;
}

static void has(const char *line)
{
	char wanted[256];

	snprintf(wanted, sizeof wanted, "\n%s\n", line);
	ck_assert_msg(occurrences(wanted) == 1, "missing: %s\nin\n%s", line, page.bytes);
}

/* One service with everything, one without anything. */
#define TEXT                                                                                       \
	"listeners: [{name: in, address: \"127.0.0.1:0\", service: shop}]\n"                       \
	"services:\n"                                                                              \
	"  shop: {endpoints: [\"10.0.0.1:80\", \"10.0.0.2:80\", \"10.0.0.3:80\"],\n"               \
	"    limit: {rate: 1/s, concurrency: 5}, breaker: {min_samples: 1, error_rate: 1%},\n"     \
	"    methods: {Get: {}, Put: {limit: {rate: 9/s}}}}\n"                                     \
	"  bare: {endpoints: [\"10.0.0.1:80\", \"10.0.0.2:80\", \"10.0.0.3:80\"]}\n"

static const struct service *shop(void)
{
	for (size_t i = 0; i < snapshot->n_services; i++)
		if (slice_eq_str(snapshot->services[i].label, "shop"))
			return &snapshot->services[i];
	ck_abort_msg("there is no shop");
	return NULL;
}

static const struct guard *guard(void)
{
	return &snapshot->guards[shop()->config->policy.index];
}

START_TEST(each_limit_is_told_once_however_many_methods_it_counts_for)
{
	const struct limit_config *config;
	struct limit_who who = {SLICE_LIT("a"), SLICE_LIT("Get")};
	uint64_t place;

	load(TEXT);
	config = shop()->config->policy.limits[LEVEL_SERVICE];
	for (int i = 0; i < 4; i++)
		limit_take(guard()->limits[LEVEL_SERVICE], config, &who, NOW);
	place = limit_enter(guard()->limits[LEVEL_SERVICE], config, &who, NOW);
	render(OVERLOAD_NONE);
	has("bridle_limited_total{service=\"shop\",limit=\"services.shop.limit\"} 3");
	has("bridle_limited_total{service=\"shop\",limit=\"services.shop.methods.Put.limit\"} 0");
	has("bridle_limit_running{service=\"shop\",limit=\"services.shop.limit\"} 1");
	ck_assert_uint_eq(occurrences("bridle_limit_running{"), 1); /* Put's has no places */
	ck_assert_uint_eq(occurrences("service=\"bare\",limit"), 0);
	limit_leave(guard()->limits[LEVEL_SERVICE], place);
}
END_TEST

START_TEST(a_breaker_is_a_number_that_grows_with_the_trouble)
{
	static const struct {
		usec_t opened; /* before now */
		const char *line;
	} cases[] = {
	    {6 * USEC_S,
		"bridle_breaker_state{service=\"shop\",breaker=\"services.shop.breaker\"} 1"},
	    {USEC_S, "bridle_breaker_state{service=\"shop\",breaker=\"services.shop.breaker\"} 2"},
	};
	const struct breaker_config *config;
	struct breaker *b;

	load(TEXT);
	config = shop()->config->policy.breakers[LEVEL_SERVICE];
	render(OVERLOAD_NONE);
	has("bridle_breaker_state{service=\"shop\",breaker=\"services.shop.breaker\"} 0");
	b = breaker_tally_find(guard()->breakers[LEVEL_SERVICE], config, SLICE_LIT("Get"), NOW);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		usec_t then = NOW - cases[i].opened;
		uint64_t ticket = breaker_allow(b, &config->policy, then);

		breaker_record(b, &config->policy, ticket, BREAKER_FAILURE, then);
		render(OVERLOAD_NONE);
		has(cases[i].line);
	}
}
END_TEST

START_TEST(endpoints_that_are_left_out_are_counted)
{
	const struct service *s;

	load(TEXT);
	s = shop();
	for (int i = 0; i < 5; i++)
		endpoint_tally_bad(s->endpoint_tallies[1], &s->config->policy.eject, NOW);
	endpoint_tally_set_health(s->endpoint_tallies[2], HEALTH_DOWN);
	atomic_store(&s->tally->budget_exhausted, 7);
	render(OVERLOAD_REFUSE);
	has("bridle_endpoints{service=\"shop\",state=\"fresh\"} 3");
	has("bridle_endpoints{service=\"shop\",state=\"ejected\"} 1");
	has("bridle_endpoints{service=\"shop\",state=\"down\"} 1");
	has("bridle_endpoints{service=\"bare\",state=\"ejected\"} 0");
	has("bridle_ejections_total{service=\"shop\"} 1");
	has("bridle_retry_budget_exhausted_total{service=\"shop\"} 7");
	has("bridle_overload_level 2");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {each_limit_is_told_once_however_many_methods_it_counts_for, 1},
	    {a_breaker_is_a_number_that_grows_with_the_trouble, 1},
	    {endpoints_that_are_left_out_are_counted, 1},
	};

	return suite_run_between("metrics_policies", tests, ARRAY_LEN(tests), NULL, end);
}
