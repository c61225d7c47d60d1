#include "daemon/metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "daemon/metrics_family.h"
#include "support/suite.h"

/* Workers without threads: counters by hand, and the page that comes of them. */

#define WORKERS 2

static struct worker workers[WORKERS];
static struct config config = {.hash = "0123456789abcdef"};
static struct service services[2];
static struct snapshot snapshot = {.config = &config, .services = services, .n_services = 2};
static struct service_tally tallies[2];
static struct endpoint_tally endpoint_tallies[3];
static struct endpoint_tally *const of_shop[3] = {
    &endpoint_tallies[0], &endpoint_tallies[1], &endpoint_tallies[2]};
static struct text page;

static void begin(void)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		memset(&workers[i], 0, sizeof workers[i]);
		call_stats_init(&workers[i].calls, i);
	}
	services[0] = (struct service){
	    .label = SLICE_LIT("shop"),
	    .n_endpoints = 3,
	    .state = ENDPOINTS_STALE,
	    .tally = &tallies[0],
	    .endpoint_tallies = (struct endpoint_tally **)(uintptr_t)of_shop,
	};
	services[1] = (struct service){
	    .label = SLICE_LIT("none"), .state = ENDPOINTS_UNKNOWN, .tally = &tallies[1]};
}

static void end(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		call_stats_fini(&workers[i].calls);
	text_fini(&page);
}

static struct call_labels labels_of(const char *method)
{
	return (struct call_labels){
	    .listener = SLICE_LIT("in"),
	    .service = SLICE_LIT("shop"),
	    .callee = SLICE_LIT("shop.cart"),
	    .method = slice_str(method),
	    .caller = SLICE_LIT("web"),
	    .protocol = PROTOCOL_FRAMED,
	};
}

static void count(
    unsigned worker, const struct call_labels *labels, enum reason reason, usec_t took)
{
	call_series_count(call_stats_find(&workers[worker].calls, labels), reason, took);
}

static void render(void)
{
	static const struct metrics_log logs[] = {{"daemon", 0}, {"access", 7}};
	struct worker *const list[WORKERS] = {&workers[0], &workers[1]};
	struct metrics_source source = {
	    .workers = list,
	    .n_workers = WORKERS,
	    .snapshot = &snapshot,
	    .logs = logs,
	    .n_logs = 2,
	    .reloads_succeeded = 4,
	    .reloads_failed = 1,
	};

	page.len = 0;
	metrics_render(&source, &page);
	text_add(&page, slice_of("", 1));
}

/* Stands as a line of its own. */
static bool stands(const char *line)
{
	size_t len = strlen(line);

	for (const char *at = page.bytes; (at = strstr(at, line)); at++)
		if ((at == page.bytes || at[-1] == '\n') && at[len] == '\n')
			return true;
	return false;
}

static void has(const char *line)
{
	ck_assert_msg(stands(line), "missing: %s\nin\n%s", line, page.bytes);
}

static unsigned occurrences(const char *part)
{
	unsigned n = 0;

	for (const char *at = page.bytes; (at = strstr(at, part)); at += strlen(part))
		n++;
	return n;
}

START_TEST(calls_are_summed_over_workers_and_split_by_reason)
{
	struct call_labels labels = labels_of("Get");

	count(0, &labels, REASON_OK, 10);
	count(1, &labels, REASON_OK, 10);
	count(1, &labels, REASON_TIMEOUT, 10);
	render();
	has("bridle_calls_total{listener=\"in\",service=\"shop\",method=\"Get\","
	    "protocol=\"framed\",reason=\"ok\"} 2");
	has("bridle_calls_total{listener=\"in\",service=\"shop\",method=\"Get\","
	    "protocol=\"framed\",reason=\"timeout\"} 1");
	ck_assert_uint_eq(occurrences("\nbridle_calls_total{"), 2);
}
END_TEST

START_TEST(series_that_differ_in_labels_a_family_lacks_become_one)
{
	struct call_labels labels = labels_of("Get");

	count(0, &labels, REASON_OK, 10);
	labels.caller = SLICE_LIT("other");
	count(0, &labels, REASON_OK, 10);
	labels.retries = 1;
	count(0, &labels, REASON_OK, 10);
	render();
	has("bridle_calls_total{listener=\"in\",service=\"shop\",method=\"Get\","
	    "protocol=\"framed\",reason=\"ok\"} 3");
	has("bridle_call_seconds_count{listener=\"in\",service=\"shop\",method=\"Get\"} 3");
	ck_assert_uint_eq(occurrences("\nbridle_call_seconds_count{"), 1);
	ck_assert_uint_eq(occurrences("\nkitex_client_throughput{"), 3);
}
END_TEST

START_TEST(kitex_sees_succeed_and_error_as_it_counts_them)
{
	struct call_labels labels = labels_of("Get");

	count(0, &labels, REASON_OK, 10);
	count(0, &labels, REASON_BIZ_ERROR, 10); /* the call itself went well */
	count(0, &labels, REASON_TIMEOUT, 10);
	render();
	has("kitex_client_throughput{caller=\"web\",callee=\"shop.cart\",method=\"Get\","
	    "status=\"succeed\",retry=\"0\"} 2");
	has("kitex_client_throughput{caller=\"web\",callee=\"shop.cart\",method=\"Get\","
	    "status=\"error\",retry=\"0\"} 1");
	ck_assert_uint_eq(occurrences("kitex_server"), 0);
}
END_TEST

START_TEST(a_local_service_counts_as_kitex_server)
{
	struct call_labels labels = labels_of("Get");

	labels.is_server = true;
	labels.caller = SLICE_NONE;
	count(0, &labels, REASON_OK, 10);
	render();
	has("kitex_server_throughput{caller=\"unknown\",callee=\"shop.cart\",method=\"Get\","
	    "status=\"succeed\",retry=\"0\"} 1");
	ck_assert_uint_eq(occurrences("kitex_client"), 0);
}
END_TEST

START_TEST(kitex_buckets_are_cumulative_and_its_own)
{
	static const char *const bounds[] = {
	    "5000", "10000", "25000", "50000", "100000", "250000", "500000", "1000000", "+Inf"};
	static const unsigned below[] = {2, 2, 2, 2, 3, 3, 3, 3, 4};
	struct call_labels labels = labels_of("Get");

	count(0, &labels, REASON_OK, 90);
	count(0, &labels, REASON_OK, 5000);
	count(1, &labels, REASON_OK, 60000);
	count(1, &labels, REASON_OK, 3000000);
	render();
	for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
		char line[256];

		snprintf(line, sizeof line,
		    "kitex_client_latency_us_bucket{caller=\"web\",callee=\"shop.cart\","
		    "method=\"Get\",status=\"succeed\",retry=\"0\",le=\"%s\"} %u",
		    bounds[i], below[i]);
		has(line);
	}
	ck_assert_uint_eq(occurrences("\nkitex_client_latency_us_bucket{"), ARRAY_LEN(bounds));
	has("kitex_client_latency_us_sum{caller=\"web\",callee=\"shop.cart\",method=\"Get\","
	    "status=\"succeed\",retry=\"0\"} 3065090");
	has("kitex_client_latency_us_count{caller=\"web\",callee=\"shop.cart\",method=\"Get\","
	    "status=\"succeed\",retry=\"0\"} 4");
}
END_TEST

START_TEST(our_histogram_is_in_seconds)
{
	struct call_labels labels = labels_of("Get");

	count(0, &labels, REASON_OK, 100);
	count(0, &labels, REASON_TIMEOUT, 2000000);
	render();
	has("bridle_call_seconds_bucket{listener=\"in\",service=\"shop\",method=\"Get\","
	    "le=\"0.0001\"} 1");
	has("bridle_call_seconds_bucket{listener=\"in\",service=\"shop\",method=\"Get\","
	    "le=\"2.5\"} 2");
	has("bridle_call_seconds_sum{listener=\"in\",service=\"shop\",method=\"Get\"} 2.000100");
}
END_TEST

START_TEST(names_from_outside_cannot_break_a_line)
{
	struct call_labels labels = labels_of("a\"b\\c\nd\x01\xff\xc3\xbc");

	count(0, &labels, REASON_OK, 10);
	render();
	has("bridle_calls_total{listener=\"in\",service=\"shop\","
	    "method=\"a\\\"b\\\\c\\nd\\\\x01\\\\xff\xc3\xbc\",protocol=\"framed\",reason=\"ok\"} 1");
}
END_TEST

START_TEST(bytes_that_are_no_utf8_are_spelt_out)
{
	static const struct {
		const char *value, *label;
	} rows[] = {
	    {"\xe2\x82\xac", "\xe2\x82\xac"},
	    {"\xf0\x9f\x90\x8e", "\xf0\x9f\x90\x8e"},
	    {"\xe2\x82", "\\\\xe2\\\\x82"},                       /* cut short */
	    {"\xc0\xaf", "\\\\xc0\\\\xaf"},                       /* overlong */
	    {"\xe0\x80\xaf", "\\\\xe0\\\\x80\\\\xaf"},            /* overlong */
	    {"\xed\xa0\x80", "\\\\xed\\\\xa0\\\\x80"},            /* a surrogate */
	    {"\xf4\x90\x80\x80", "\\\\xf4\\\\x90\\\\x80\\\\x80"}, /* past the last */
	    {"\x80", "\\\\x80"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct text out = {0};
		char expected[64];

		snprintf(expected, sizeof expected, "m=\"%s\"", rows[i].label);
		metrics_add_label(&out, "m", slice_str(rows[i].value), "");
		ck_assert_msg(slice_eq_str(slice_of(out.bytes, out.len), expected), "%zu: %.*s", i,
		    (int)out.len, out.bytes);
		text_fini(&out);
	}
}
END_TEST

START_TEST(services_listeners_and_traffic_are_summed_over_workers)
{
	char shop[] = "shop", in[] = "in";
	struct service_stats stats[WORKERS] = {{.label = shop}, {.label = shop}};
	struct listener_stats seen[WORKERS] = {{.name = in}, {.name = in}};

	for (unsigned i = 0; i < WORKERS; i++) {
		counter_add(&stats[i].attempts[ATTEMPT_RESET], 3);
		counter_add(&stats[i].retries_unsent, 2);
		counter_add(&stats[i].retries_failure, 3);
		counter_add(&stats[i].retries_backup, 4);
		counter_add(&stats[i].fallbacks, 5);
		counter_add(&stats[i].mirrored, 6);
		counter_add(&stats[i].upstream_connections, 5);
		counter_add(&stats[i].connect_backlog, 1);
		counter_add(&stats[i].odd_sequence_ids, 4);
		counter_add(&stats[i].messages[1], 9);
		counter_add(&stats[i].message_bytes[0], 70);
		counter_add(&seen[i].refused_connections, 6);
		counter_add(&seen[i].http2_limits[http2_limit_in(SLICE_LIT("http2.resets: x"))], 1);
		counter_add(&seen[i].connections, 10);
		counter_add(&workers[i].bytes_in, 100);
		counter_add(&workers[i].metadata_dropped[METADATA_ACL], 1);
		atomic_store(&workers[i].services, &stats[i]);
		atomic_store(&workers[i].listeners, &seen[i]);
	}
	render();
	has("bridle_attempts_total{service=\"shop\",outcome=\"reset\"} 6");
	has("bridle_attempts_total{service=\"shop\",outcome=\"ok\"} 0");
	has("bridle_retries_total{service=\"shop\",kind=\"unsent\"} 4");
	has("bridle_retries_total{service=\"shop\",kind=\"failure\"} 6");
	has("bridle_retries_total{service=\"shop\",kind=\"backup\"} 8");
	has("bridle_fallbacks_total{service=\"shop\"} 10");
	has("bridle_mirrored_total{service=\"shop\"} 12");
	has("bridle_upstream_connections{service=\"shop\"} 10");
	has("bridle_connect_backlog_total{service=\"shop\"} 2");
	has("bridle_odd_sequence_ids_total{service=\"shop\"} 8");
	has("bridle_downstream_connections{listener=\"in\"} 20");
	has("bridle_refused_connections_total{listener=\"in\"} 12");
	has("bridle_stream_messages_total{service=\"shop\",direction=\"out\"} 18");
	has("bridle_stream_message_bytes_total{service=\"shop\",direction=\"in\"} 140");
	has("bridle_http2_limits_total{listener=\"in\",limit=\"resets\"} 2");
	has("bridle_bytes_total{direction=\"in\"} 200");
	has("bridle_metadata_dropped_total{class=\"acl\"} 2");
}
END_TEST

START_TEST(the_daemon_tells_of_itself)
{
	render();
	has("bridle_endpoints{service=\"shop\",state=\"stale\"} 3");
	has("bridle_endpoints{service=\"none\",state=\"unknown\"} 0");
	has("bridle_endpoints{service=\"shop\",state=\"ejected\"} 0");
	has("bridle_endpoints{service=\"shop\",state=\"disabled\"} 0");
	has("bridle_overload_level 0");
	has("bridle_reloads_total{result=\"ok\"} 4");
	has("bridle_reloads_total{result=\"failed\"} 1");
	has("bridle_log_dropped_total{log=\"access\"} 7");
	has("bridle_config_info{hash=\"0123456789abcdef\"} 1");
	has("bridle_build_info{version=\"" PACKAGE_VERSION "\"} 1");
}
END_TEST

START_TEST(each_family_is_introduced_once_and_only_when_it_has_something)
{
	struct call_labels labels = labels_of("Get");

	render();
	ck_assert_uint_eq(occurrences("# TYPE bridle_calls_total"), 0);
	count(0, &labels, REASON_OK, 10);
	labels.method = SLICE_LIT("Put");
	count(1, &labels, REASON_OK, 10);
	render();
	has("# TYPE bridle_calls_total counter");
	has("# TYPE bridle_call_seconds histogram");
	has("# TYPE kitex_client_latency_us histogram");
	ck_assert_uint_eq(occurrences("# TYPE bridle_calls_total"), 1);
	ck_assert_uint_eq(occurrences("# HELP bridle_calls_total"), 1);
	ck_assert_uint_eq(occurrences("# TYPE bridle_attempts_total"), 0);
}
END_TEST

/* So that those of several daemons can be added up. */
START_TEST(every_histogram_has_the_same_buckets)
{
	struct call_labels labels = labels_of("Get");

	count(0, &labels, REASON_OK, 10);
	labels.method = SLICE_LIT("Slow");
	count(1, &labels, REASON_OK, 60 * USEC_S);
	render();
	ck_assert_uint_eq(occurrences("\nbridle_call_seconds_bucket{"), 2 * (HISTOGRAM_BOUNDS + 1));
	ck_assert_uint_eq(occurrences(",le=\"10\"} "), 2);
	ck_assert_uint_eq(occurrences(",le=\"0.00025\"} "), 2);
	has("bridle_call_seconds_bucket{listener=\"in\",service=\"shop\",method=\"Slow\","
	    "le=\"10\"} 0");
	has("bridle_call_seconds_bucket{listener=\"in\",service=\"shop\",method=\"Slow\","
	    "le=\"+Inf\"} 1");
	has("bridle_call_seconds_sum{listener=\"in\",service=\"shop\",method=\"Slow\"} 60.000000");
}
END_TEST

START_TEST(a_page_of_many_series_has_each_of_them)
{
	for (unsigned i = 0; i < 500; i++) {
		char method[16];
		struct call_labels labels;

		snprintf(method, sizeof method, "M%u", i);
		labels = labels_of(method);
		count(i % WORKERS, &labels, REASON_OK, 10);
		count(0, &labels, REASON_OK, 10);
	}
	render();
	ck_assert_uint_eq(occurrences("\nbridle_calls_total{"), 500);
	ck_assert_uint_eq(occurrences("reason=\"ok\"} 2\n"), 500);
	ck_assert_uint_eq(occurrences("\nkitex_client_latency_us_count{"), 500);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {calls_are_summed_over_workers_and_split_by_reason, 1},
	    {series_that_differ_in_labels_a_family_lacks_become_one, 1},
	    {kitex_sees_succeed_and_error_as_it_counts_them, 1},
	    {a_local_service_counts_as_kitex_server, 1},
	    {kitex_buckets_are_cumulative_and_its_own, 1},
	    {our_histogram_is_in_seconds, 1},
	    {names_from_outside_cannot_break_a_line, 1},
	    {bytes_that_are_no_utf8_are_spelt_out, 1},
	    {services_listeners_and_traffic_are_summed_over_workers, 1},
	    {the_daemon_tells_of_itself, 1},
	    {each_family_is_introduced_once_and_only_when_it_has_something, 1},
	    {every_histogram_has_the_same_buckets, 1},
	    {a_page_of_many_series_has_each_of_them, 1},
	};

	return suite_run_between("metrics", tests, ARRAY_LEN(tests), begin, end);
}
