#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "base/text.h"
#include "registry/kitex_governance.h"
#include "support/loaded.h"
#include "support/suite.h"

static const char file[] =
    "node: {service: shop.web}\n"
    "registries:\n"
    "  main: {type: etcd, endpoints: [\"127.0.0.1:2379\"]}\n"
    "  zoo: {type: zookeeper, endpoints: [\"127.0.0.1:2181\"]}\n"
    "  con: {type: consul, endpoints: [\"127.0.0.1:8500\"]}\n"
    "  here: {type: file, path: /tmp/registry.yaml}\n"
    "listeners:\n"
    "  - {name: in, address: \"127.0.0.1:0\", service: local}\n"
    "  - {name: out, address: \"127.0.0.1:0\"}\n"
    "  - {name: in2, address: \"127.0.0.1:0\", service: local}\n"
    "services:\n"
    "  local:\n"
    "    name: shop.web\n"
    "    endpoints: [\"unix:/tmp/app.sock\", \"127.0.0.1:9000\"]\n"
    "    governance: main\n"
    "  shop.price:\n"
    "    discover: main\n"
    "    governance: main\n"
    "    timeout: {call: 3s, connect: 30ms}\n"
    "    methods:\n"
    "      Get: {timeout: 4s, degrade: 5%}\n"
    "      \"*\": {timeout: 5s}\n"
    "  zooed: {discover: zoo, governance: zoo}\n"
    "  consuled: {discover: con, governance: con}\n"
    "  filed: {discover: here, governance: here}\n"
    "  bare: {discover: main, governance: {from: main, prefix: \"\"}}\n"
    "  deep: {discover: main, governance: {from: main, prefix: /a/b}}\n"
    "  limited: {endpoints: [\"127.0.0.1:9001\"], governance: main, limit: {rate: 5/s, "
    "concurrency: 7}}\n"
    "  rated: {endpoints: [\"127.0.0.1:9001\"], governance: main, limit: {rate: 5/s}}\n"
    "  slotted: {endpoints: [\"127.0.0.1:9001\"], governance: main, limit: {concurrency: 7}}\n"
    "  stuck:\n"
    "    discover: main\n"
    "    governance: {from: main, locked: [timeout, retry, breaker, limit, degrade]}\n";

static struct loaded l;

static void begin(void)
{
	l = loaded_from(file);
	loaded_config(&l);
}

static void end(void)
{
	loaded_free(&l);
}

/* "path=value;" of all overlays, or the error; from malloc. */
static char *meaning(
    const char *label, enum governance_category category, const char *text, bool *is_good)
{
	struct governance_document document = {
	    .config = l.config,
	    .service = config_service(l.config, slice_str(label)),
	    .category = category,
	    .text = slice_str(text),
	    .source = "doc",
	};
	struct config_overlay *overlays;
	struct arena arena;
	struct text all = {0};
	struct err err;
	size_t n;

	arena_init(&arena, NULL, 0);
	*is_good = governance_overlays(&document, &arena, &overlays, &n, &err) == 0;
	if (!*is_good)
		text_add_str(&all, err.text);
	for (size_t i = 0; i < n; i++) {
		text_printf(&all, "%s=%s;", overlays[i].path, overlays[i].value);
		ck_assert_str_eq(overlays[i].source, "doc");
	}
	text_add(&all, slice_of("", 1));
	arena_fini(&arena);
	return all.bytes;
}

static void assert_means(
    const char *label, enum governance_category category, const char *text, const char *expected)
{
	bool is_good;
	char *all = meaning(label, category, text, &is_good);

	ck_assert_msg(is_good, "%s: %s", text, all);
	ck_assert_str_eq(all, expected);
	free(all);
}

static void assert_refused(enum governance_category category, const char *text, const char *why)
{
	bool is_good;
	char *all = meaning("shop.price", category, text, &is_good);

	ck_assert_msg(!is_good, "%s: %s", text, all);
	ck_assert_msg(strstr(all, why) != NULL, "%s: %s", text, all);
	free(all);
}

static const char *key_of(const char *label, enum governance_category category, struct arena *arena)
{
	struct slice key =
	    governance_key(config_service(l.config, slice_str(label)), "shop.web", category, arena);

	return arena_str(arena, key);
}

START_TEST(keys_are_those_of_kitex)
{
	static const struct {
		const char *label;
		enum governance_category category;
		const char *key;
	} keys[] = {
	    {"shop.price", GOVERNANCE_RETRY, "/KitexConfig/shop.web/shop.price/retry"},
	    {"shop.price", GOVERNANCE_RPC_TIMEOUT, "/KitexConfig/shop.web/shop.price/rpc_timeout"},
	    {"shop.price", GOVERNANCE_CIRCUIT_BREAK,
		"/KitexConfig/shop.web/shop.price/circuit_break"},
	    {"shop.price", GOVERNANCE_DEGRADATION, "/KitexConfig/shop.web/shop.price/degradation"},
	    {"local", GOVERNANCE_LIMIT, "/KitexConfig/shop.web/limit"},
	    {"zooed", GOVERNANCE_RETRY, "/KitexConfig/shop.web/zooed/retry"},
	    {"consuled", GOVERNANCE_RETRY, "KitexConfig/shop.web/consuled/retry"},
	    {"consuled", GOVERNANCE_LIMIT, "KitexConfig/consuled/limit"},
	    {"filed", GOVERNANCE_RETRY, "shop.web/filed/retry"},
	    {"filed", GOVERNANCE_LIMIT, "filed/limit"},
	    {"bare", GOVERNANCE_RETRY, "/shop.web/bare/retry"},
	    {"deep", GOVERNANCE_RETRY, "/a/b/shop.web/deep/retry"},
	};
	struct arena arena;

	arena_init(&arena, NULL, 0);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		ck_assert_str_eq(key_of(keys[i].label, keys[i].category, &arena), keys[i].key);
	arena_fini(&arena);
}
END_TEST

START_TEST(the_application_beside_us_is_the_server)
{
	ck_assert(governance_is_of_server(config_service(l.config, SLICE_LIT("local"))));
	ck_assert(!governance_is_of_server(config_service(l.config, SLICE_LIT("shop.price"))));
}
END_TEST

/* ---- rpc_timeout ---- */

START_TEST(times_are_those_of_attempts)
{
	assert_means("bare", GOVERNANCE_RPC_TIMEOUT,
	    "{\"Quote\": {\"rpc_timeout_ms\": 500, \"conn_timeout_ms\": 20}}",
	    "services.bare.methods.Quote.timeout.call=none;"
	    "services.bare.methods.Quote.timeout.attempt=500ms;"
	    "services.bare.methods.Quote.timeout.default=3000ms;"
	    "services.bare.methods.Quote.timeout.connect=20ms;");
}
END_TEST

START_TEST(no_time_is_none_and_no_time_to_connect_is_the_files)
{
	static const char none[] = "services.bare.methods.Quote.timeout.call=none;"
				   "services.bare.methods.Quote.timeout.attempt=none;";

	assert_means("bare", GOVERNANCE_RPC_TIMEOUT,
	    "{\"Quote\": {\"rpc_timeout_ms\": 0, \"conn_timeout_ms\": 0}}", none);
	assert_means("bare", GOVERNANCE_RPC_TIMEOUT, "{\"Quote\": {}}", none);
	assert_means(
	    "bare", GOVERNANCE_RPC_TIMEOUT, "{\"Quote\": {\"rpc_timeout_ms\": null}}", none);
	assert_means("bare", GOVERNANCE_RPC_TIMEOUT, "{}", "");
}
END_TEST

START_TEST(any_method_is_the_service_and_the_methods_of_the_file_without_an_entry)
{
	assert_means("shop.price", GOVERNANCE_RPC_TIMEOUT,
	    "{\"*\": {\"rpc_timeout_ms\": 0}, \"Put\": {}}",
	    "services.\"shop.price\".timeout.call=none;"
	    "services.\"shop.price\".timeout.attempt=none;"
	    "services.\"shop.price\".methods.*.timeout.call=none;"
	    "services.\"shop.price\".methods.*.timeout.attempt=none;"
	    "services.\"shop.price\".methods.Get.timeout.call=none;"
	    "services.\"shop.price\".methods.Get.timeout.attempt=none;"
	    "services.\"shop.price\".methods.Put.timeout.call=none;"
	    "services.\"shop.price\".methods.Put.timeout.attempt=none;");
	assert_means("shop.price", GOVERNANCE_RPC_TIMEOUT, "{\"*\": {}, \"Get\": {}}",
	    "services.\"shop.price\".timeout.call=none;"
	    "services.\"shop.price\".timeout.attempt=none;"
	    "services.\"shop.price\".methods.*.timeout.call=none;"
	    "services.\"shop.price\".methods.*.timeout.attempt=none;"
	    "services.\"shop.price\".methods.Get.timeout.call=none;"
	    "services.\"shop.price\".methods.Get.timeout.attempt=none;");
}
END_TEST

/* ---- retry ---- */

START_TEST(retries_that_are_switched_off_are_none)
{
	static const char none[] = "services.bare.methods.M.retry={type: none};";

	assert_means("bare", GOVERNANCE_RETRY, "{\"M\": {\"enable\": false}}", none);
	assert_means("bare", GOVERNANCE_RETRY, "{\"M\": {}}", none);
	assert_means("bare", GOVERNANCE_RETRY,
	    "{\"M\": {\"enable\": false, \"type\": 1, \"backup_policy\": {\"retry_delay_ms\": 10}}}",
	    none);
	/* switched on, but not once */
	assert_means(
	    "bare", GOVERNANCE_RETRY, "{\"M\": {\"enable\": true, \"failure_policy\": {}}}", none);
	assert_means("bare", GOVERNANCE_RETRY,
	    "{\"M\": {\"enable\": true, \"failure_policy\": {\"stop_policy\": {\"max_retry_times\": "
	    "0}}}}",
	    none);
}
END_TEST

START_TEST(failure_has_its_stops_and_waits)
{
	assert_means("bare", GOVERNANCE_RETRY,
	    "{\"*\": {\"enable\": true, \"type\": 0, \"failure_policy\": {\"stop_policy\": "
	    "{\"max_retry_times\": 3, \"max_duration_ms\": 2000, \"disable_chain_stop\": true, "
	    "\"ddl_stop\": true, \"cb_policy\": {\"error_rate\": 0.3}}, \"backoff_policy\": "
	    "{\"backoff_type\": \"fixed\", \"cfg_items\": {\"fix_ms\": 50}}, \"retry_same_node\": "
	    "true, \"extra\": \"x\"}}}",
	    "services.bare.retry={type: failure, attempts: 3, on: [connect, unsent, timeout], "
	    "delay: none, backoff: 50000us, budget: 30.000000%, duration: 2000ms, same_endpoint: "
	    "true, chain: ignore, unsafe: true};");
}
END_TEST

START_TEST(backup_leaves_after_its_delay_and_nothing_fails_for_it)
{
	assert_means("bare", GOVERNANCE_RETRY,
	    "{\"M\": {\"enable\": true, \"type\": 1, \"backup_policy\": {\"retry_delay_ms\": 40, "
	    "\"stop_policy\": {\"max_retry_times\": 2, \"cb_policy\": {\"error_rate\": 0.9}}}, "
	    "\"failure_policy\": {\"stop_policy\": {\"max_retry_times\": 99}}}}",
	    "services.bare.methods.M.retry={type: backup, attempts: 2, on: [connect, unsent], delay: "
	    "40ms, backoff: none, budget: 10.000000%, duration: none, same_endpoint: false, chain: "
	    "stop, unsafe: true};");
}
END_TEST

START_TEST(mixed_needs_no_other_policy_beside_it)
{
	assert_means("bare", GOVERNANCE_RETRY,
	    "{\"M\": {\"enable\": true, \"type\": 2, \"mixed_policy\": {\"retry_delay_ms\": 40, "
	    "\"stop_policy\": {\"max_retry_times\": 3}, \"backoff_policy\": {\"backoff_type\": "
	    "\"random\", \"cfg_items\": {\"min_ms\": 0, \"max_ms\": 12.5}}}}}",
	    "services.bare.methods.M.retry={type: mixed, attempts: 3, on: [connect, unsent, "
	    "timeout], delay: 40ms, backoff: {min: 1us, max: 12500us}, budget: 10.000000%, duration: "
	    "none, same_endpoint: false, chain: stop, unsafe: true};");
}
END_TEST

#define RETRY_WITH(type, member, inside)                                                           \
	"{\"M\": {\"enable\": true, \"type\": " type ", \"" member "\": " inside "}}"
#define FAILURE(inside) RETRY_WITH("0", "failure_policy", inside)
#define BACKOFF(inside)                                                                            \
	FAILURE("{\"stop_policy\": {\"max_retry_times\": 1}, \"backoff_policy\": " inside "}")

START_TEST(retries_that_kitex_refuses_are_refused)
{
	static const char *const wrong[][2] = {
	    {"{\"M\": {\"enable\": true}}", "failure_policy: is missing"},
	    {RETRY_WITH("1", "failure_policy", "{}"), "backup_policy: is missing"},
	    {RETRY_WITH("3", "failure_policy", "{}"), "M.type: expected a number from 0 to 2"},
	    {RETRY_WITH("-1", "failure_policy", "{}"), "M.type"},
	    {"{\"M\": {\"enable\": 1}}", "M.enable: expected true or false"},
	    {"{\"M\": {\"enable\": \"true\"}}", "M.enable: expected true or false"},
	    {"{\"M\": []}", "M: expected a map"},
	    {"{\"M\": true}", "M: expected a map"},
	    {FAILURE("[]"), "failure_policy: expected a map"},
	    {FAILURE("{\"stop_policy\": 1}"), "stop_policy: expected a map"},
	    {FAILURE("{\"stop_policy\": {\"max_retry_times\": 6}}"), "from 0 to 5"},
	    {FAILURE("{\"stop_policy\": {\"max_retry_times\": -1}}"), "from 0 to 5"},
	    {FAILURE("{\"stop_policy\": {\"max_retry_times\": 1.5}}"), "a whole number"},
	    {FAILURE("{\"stop_policy\": {\"max_retry_times\": \"2\"}}"), "a whole number"},
	    {FAILURE("{\"stop_policy\": {\"max_retry_times\": 99999999999999999999}}"),
		"from 0 to 5"},
	    {FAILURE("{\"stop_policy\": {\"max_duration_ms\": -5}}"), "max_duration_ms"},
	    {FAILURE("{\"stop_policy\": {\"cb_policy\": {\"error_rate\": \"x\"}}}"), "a number"},
	    {FAILURE("{\"stop_policy\": {\"cb_policy\": {\"error_rate\": .nan}}}"), "a number"},
	    {FAILURE("{\"retry_same_node\": 0}"), "true or false"},
	    {RETRY_WITH("1", "backup_policy", "{\"stop_policy\": {\"max_retry_times\": 3}}"),
		"from 0 to 2"},
	    {RETRY_WITH("1", "backup_policy", "{}"), "retry_delay_ms: is missing"},
	    {RETRY_WITH("1", "backup_policy", "{\"retry_delay_ms\": 0}"), "retry_delay_ms"},
	    {RETRY_WITH("2", "mixed_policy",
		 "{\"retry_delay_ms\": 1, \"stop_policy\": {\"max_retry_times\": 4}}"),
		"from 0 to 3"},
	    {BACKOFF("{\"backoff_type\": \"fixed\"}"), "cfg_items: is missing"},
	    {BACKOFF("{\"backoff_type\": \"fixed\", \"cfg_items\": {}}"), "fix_ms: is missing"},
	    {BACKOFF("{\"backoff_type\": \"fixed\", \"cfg_items\": {\"fix_ms\": 0}}"), "fix_ms"},
	    {BACKOFF("{\"backoff_type\": \"exponential\", \"cfg_items\": {}}"), "none, fixed or"},
	    {BACKOFF("{\"backoff_type\": 1, \"cfg_items\": {}}"), "a text"},
	    {BACKOFF("{\"backoff_type\": \"random\", \"cfg_items\": {\"min_ms\": 9, \"max_ms\": "
		     "8}}"),
		"at least min_ms"},
	    {BACKOFF("{\"backoff_type\": \"random\", \"cfg_items\": {}}"), "at least min_ms"},
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_refused(GOVERNANCE_RETRY, wrong[i][0], wrong[i][1]);
}
END_TEST

START_TEST(one_entry_that_is_wrong_is_the_whole_document)
{
	assert_refused(GOVERNANCE_RETRY,
	    "{\n\"A\": {\"enable\": false},\n\"B\": {\"enable\": true}\n}", "line 3: B");
	assert_refused(GOVERNANCE_RPC_TIMEOUT,
	    "{\"A\": {\"rpc_timeout_ms\": 1}, \"B\": {\"rpc_timeout_ms\": -1}}",
	    "line 1: B.rpc_timeout_ms: expected a number from 0 to 86400000");
}
END_TEST

/* ---- circuit_break ---- */

START_TEST(breakers_are_of_methods)
{
	assert_means("shop.price", GOVERNANCE_CIRCUIT_BREAK,
	    "{\"Get\": {\"enable\": true, \"err_rate\": 0.3, \"min_sample\": 100}, \"Put\": "
	    "{\"enable\": false, \"err_rate\": 7}, \"*\": {\"enable\": true, \"err_rate\": 1, "
	    "\"min_sample\": 1}}",
	    "services.\"shop.price\".methods.Get.breaker={error_rate: 30.000000%, min_samples: 100};"
	    "services.\"shop.price\".methods.Put.breaker=none;");
}
END_TEST

START_TEST(breakers_beyond_all_bounds_are_refused)
{
	static const char *const wrong[][2] = {
	    {"{\"M\": {\"enable\": true}}", "err_rate: is missing"},
	    {"{\"M\": {\"enable\": true, \"err_rate\": 0.5}}", "min_sample: is missing"},
	    {"{\"M\": {\"enable\": true, \"err_rate\": 0, \"min_sample\": 1}}", "err_rate"},
	    {"{\"M\": {\"enable\": true, \"err_rate\": 1.1, \"min_sample\": 1}}", "err_rate"},
	    {"{\"M\": {\"enable\": true, \"err_rate\": 0.5, \"min_sample\": 0}}", "min_sample"},
	    {"{\"M\": {\"enable\": true, \"err_rate\": 0.5, \"min_sample\": 1e3}}", "whole number"},
	    {"{\"*\": {\"enable\": true}}", "err_rate"},
	};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_refused(GOVERNANCE_CIRCUIT_BREAK, wrong[i][0], wrong[i][1]);
}
END_TEST

/* ---- degradation, limit ---- */

START_TEST(degradation_is_of_all_methods)
{
	assert_means("shop.price", GOVERNANCE_DEGRADATION, "{\"enable\": true, \"percentage\": 30}",
	    "services.\"shop.price\".degrade=30%;services.\"shop.price\".methods.*.degrade=30%;"
	    "services.\"shop.price\".methods.Get.degrade=30%;");
	assert_means("bare", GOVERNANCE_DEGRADATION, "{\"enable\": false, \"percentage\": 30}",
	    "services.bare.degrade=none;");
	assert_means("bare", GOVERNANCE_DEGRADATION, "{\"enable\": true, \"percentage\": 0}",
	    "services.bare.degrade=none;");
	assert_means(
	    "bare", GOVERNANCE_DEGRADATION, "{\"percentage\": 30}", "services.bare.degrade=none;");
	assert_refused(GOVERNANCE_DEGRADATION, "{\"enable\": true, \"percentage\": 101}", "to 100");
	assert_refused(GOVERNANCE_DEGRADATION, "{\"enable\": true, \"percentage\": 1.5}", "whole");
}
END_TEST

START_TEST(limits_are_of_the_service_and_the_listeners_pinned_to_it)
{
	assert_means("local", GOVERNANCE_LIMIT, "{\"connection_limit\": 9, \"qps_limit\": 100}",
	    "services.local.limit.rate=100/s;listeners[0].connections=9;"
	    "listeners[2].connections=9;");
	assert_means("local", GOVERNANCE_LIMIT, "{\"connection_limit\": 0, \"qps_limit\": -1}",
	    "services.local.limit=none;listeners[0].connections=none;"
	    "listeners[2].connections=none;");
	assert_means("local", GOVERNANCE_LIMIT, "{}", "");
	assert_refused(GOVERNANCE_LIMIT, "{\"qps_limit\": \"100\"}", "whole number");
	assert_refused(GOVERNANCE_LIMIT, "{\"qps_limit\": 5000000000}", "qps_limit");
}
END_TEST

START_TEST(no_rate_takes_no_concurrency_away)
{
	assert_means(
	    "limited", GOVERNANCE_LIMIT, "{\"qps_limit\": 0}", "services.limited.limit.rate=none;");
	assert_means("rated", GOVERNANCE_LIMIT, "{\"qps_limit\": 0}", "services.rated.limit=none;");
	assert_means("slotted", GOVERNANCE_LIMIT, "{\"qps_limit\": 0}", "");
	assert_means(
	    "slotted", GOVERNANCE_LIMIT, "{\"qps_limit\": 3}", "services.slotted.limit.rate=3/s;");
}
END_TEST

/* ---- all ---- */

START_TEST(what_is_locked_stays_as_the_file_says)
{
	static const char *const texts[GOVERNANCE_CATEGORIES] = {
	    [GOVERNANCE_RETRY] = "{\"M\": {}}",
	    [GOVERNANCE_RPC_TIMEOUT] = "{\"M\": {}}",
	    [GOVERNANCE_CIRCUIT_BREAK] = "{\"M\": {}}",
	    [GOVERNANCE_DEGRADATION] = "{}",
	    [GOVERNANCE_LIMIT] = "{\"qps_limit\": 1}",
	};
	bool is_good;

	for (int c = 0; c < GOVERNANCE_CATEGORIES; c++) {
		char *all;

		assert_means("stuck", (enum governance_category)c, texts[c], "");
		/* and yet it may be wrong */
		all = meaning("stuck", (enum governance_category)c, "[]", &is_good);
		ck_assert(!is_good);
		free(all);
	}
}
END_TEST

/* Kitex's clients of Consul write such where they find nothing. */
START_TEST(an_empty_document_says_nothing)
{
	for (int c = 0; c < GOVERNANCE_CATEGORIES; c++)
		assert_means("shop.price", (enum governance_category)c, "{}", "");
}
END_TEST

START_TEST(yaml_is_read_as_well)
{
	assert_means("bare", GOVERNANCE_RPC_TIMEOUT,
	    "# of the shop\nQuote:\n  rpc_timeout_ms: 0\n  conn_timeout_ms: 20\n",
	    "services.bare.methods.Quote.timeout.call=none;"
	    "services.bare.methods.Quote.timeout.attempt=none;"
	    "services.bare.methods.Quote.timeout.connect=20ms;");
}
END_TEST

START_TEST(what_is_no_document_is_refused)
{
	static const char *const wrong[] = {"", " ", "null", "[]", "1", "\"x\"", "{", "{}}",
	    "{\"a\": {}, \"a\": {}}", "{\"a\": &x {}}", "--- {}\n--- {}", "{\"a b\": {}}",
	    "{\"\": {}}", "{\"none\": {}}", "{\"a\\\"b\": {}}", "{\"a/b\": {}}", "%YAML 1.1\n{}",
	    "{\"M\": null}", "{[]: {}}"};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_refused(GOVERNANCE_RPC_TIMEOUT, wrong[i], "");
}
END_TEST

START_TEST(a_document_has_so_many_methods_and_no_more)
{
	for (unsigned n = GOVERNANCE_METHODS_MAX; n <= GOVERNANCE_METHODS_MAX + 1; n++) {
		struct text text = {0};
		bool is_good;
		char *all;

		text_add_str(&text, "{");
		for (unsigned i = 0; i < n; i++)
			text_printf(&text, "\"M%u\": {},", i);
		text_add(&text, slice_of("}", 2));
		all = meaning("bare", GOVERNANCE_RPC_TIMEOUT, text.bytes, &is_good);
		ck_assert(is_good == (n == GOVERNANCE_METHODS_MAX));
		free(all);
		text_fini(&text);
	}
}
END_TEST

/* What is not known here may be known to a newer Kitex. */
START_TEST(members_that_are_not_known_are_passed_over)
{
	assert_means("bare", GOVERNANCE_DEGRADATION,
	    "{\"enable\": true, \"percentage\": 7, \"PERCENTAGE\": 9, \"new\": [1]}",
	    "services.bare.degrade=7%;");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {keys_are_those_of_kitex, 1},
	    {the_application_beside_us_is_the_server, 1},
	    {times_are_those_of_attempts, 1},
	    {no_time_is_none_and_no_time_to_connect_is_the_files, 1},
	    {any_method_is_the_service_and_the_methods_of_the_file_without_an_entry, 1},
	    {retries_that_are_switched_off_are_none, 1},
	    {failure_has_its_stops_and_waits, 1},
	    {backup_leaves_after_its_delay_and_nothing_fails_for_it, 1},
	    {mixed_needs_no_other_policy_beside_it, 1},
	    {retries_that_kitex_refuses_are_refused, 1},
	    {one_entry_that_is_wrong_is_the_whole_document, 1},
	    {breakers_are_of_methods, 1},
	    {breakers_beyond_all_bounds_are_refused, 1},
	    {degradation_is_of_all_methods, 1},
	    {limits_are_of_the_service_and_the_listeners_pinned_to_it, 1},
	    {no_rate_takes_no_concurrency_away, 1},
	    {what_is_locked_stays_as_the_file_says, 1},
	    {an_empty_document_says_nothing, 1},
	    {yaml_is_read_as_well, 1},
	    {what_is_no_document_is_refused, 1},
	    {a_document_has_so_many_methods_and_no_more, 1},
	    {members_that_are_not_known_are_passed_over, 1},
	};

	return suite_run_between("kitex_governance", tests, ARRAY_LEN(tests), begin, end);
}
