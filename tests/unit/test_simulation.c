#include "ctl/simulation.h"

#include <stdlib.h>
#include <unistd.h>

#include <cJSON.h>
#include <check.h>

#include "base/mem.h"
#include "support/suite.h"

static struct simulation_report report;

/* Reads a plan that is written here. NULL when it is refused; what was said goes to *said. */
static struct simulation_plan *plan_of(const char *text, char **said)
{
	char path[] = "/tmp/plan.XXXXXX";
	struct simulation_plan *plan;
	struct problems problems;
	int fd = mkstemp(path);
	size_t len;
	FILE *to;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	problems_init(&problems);
	plan = simulation_plan_read(path, &problems);
	unlink(path);
	to = open_memstream(said, &len);
	problems_print(&problems, to, false);
	fclose(to);
	problems_fini(&problems);
	return plan;
}

/* Plays it; `report` is what came of it. */
static void play(const char *text)
{
	struct simulation_plan *plan;
	struct err err;
	char *said;

	simulation_report_fini(&report);
	plan = plan_of(text, &said);
	ck_assert_msg(plan != NULL, "%s", said);
	ck_assert_msg(simulation_run(plan, &report, &err) == 0, "%s", err.text);
	/* Names in the report are the plan's: those that tests ask for are kept by number. */
	simulation_plan_free(&plan);
	free(said);
}

static void is_refused(const char *text, const char *why)
{
	char *said;
	struct simulation_plan *plan = plan_of(text, &said);

	ck_assert_msg(plan == NULL, "taken: %s", text);
	ck_assert_msg(strstr(said, why) != NULL, "%s", said);
	free(said);
}

static double share(size_t endpoint)
{
	return (double)report.loads[endpoint].attempts / (double)report.attempts;
}

static double amplification(void)
{
	return (double)report.attempts / (double)report.calls;
}

static bool is_near(double value, double expected, double within)
{
	return value > expected - within && value < expected + within;
}

#define CALL "call: app/Get\nrate: 1000/s\nduration: 20s\n"
#define FOUR                                                                                       \
	"endpoints: {\"10.0.0.1:1\": {weight: 10}, \"10.0.0.2:1\": {weight: 20}, "                 \
	"\"10.0.0.3:1\": {weight: 30}, \"10.0.0.4:1\": {weight: 40}}\n"

/* --- the plan --- */

START_TEST(a_plan_says_what_is_wrong_with_it_and_where)
{
	is_refused("call: app\nrate: 1/s\nservice: {}\nendpoints: {\"1.1.1.1:1\": {}}\n",
	    ":1:7: error: call: ");
	is_refused(CALL "endpoints: {\"1.1.1.1:1\": {}}\n", "either config or service");
	is_refused(CALL "service: {}\nconfig: x\nendpoints: {\"1.1.1.1:1\": {}}\n",
	    "either config or service");
	is_refused(CALL "service: {}\n", "endpoints: is missing");
	is_refused(CALL "service: {}\nendpoints: {}\n", "a map of endpoints");
	is_refused(CALL "service: {}\nendpoints: {\"1.1.1.1:1\": {latncy: 5ms}}\n",
	    "did you mean \"latency\"");
	is_refused(CALL "service: {}\nendpoints: {\"1.1.1.1:1\": {latency: 5}}\n", "has no unit");
	is_refused(CALL "service: {}\nendpoints: {\"1.1.1.1:1\": {fail: 101%}}\n", "more than all");
	is_refused(CALL "service: {}\nendpoints: {\"1.1.1.1:1\": {fail_kind: luck}}\n",
	    "expected one of: reset, timeout, exception, connect");
	is_refused(CALL
	    "service: {}\nendpoints: {\"1.1.1.1:1\": {latency: {p50: 9ms, p99: 5ms}}}\n",
	    "p99 is less than p50");
	is_refused(
	    CALL "service: {}\nendpoints: {\"1.1.1.1:1\": {down: [5s, 4s]}}\n", "ends before");
	is_refused(CALL "service: {}\nendpoints: {\"1.1.1.1:1\": {down: [5s]}}\n", "from and to");
	is_refused(CALL "service: {}\nendpoints: {\"1.1.1.1:1\": {slow: [1s, 2s, -3]}}\n", "range");
	is_refused(
	    CALL "service: {}\nendpoints: {\"1.1.1.1:1\": {slow: [1s, 2s]}}\n", "how many times");
	is_refused(CALL "service: {}\nendpoints: {\"nonsense\": {}}\n", "nonsense");
	is_refused("call: app/Get\nrate: 4000000/s\nduration: 1h\nservice: {}\n"
		   "endpoints: {\"1.1.1.1:1\": {}}\n",
	    "are too many");
	is_refused("[]", "map");
	is_refused("a: [", "");
}
END_TEST

START_TEST(what_is_wrong_with_the_service_of_a_plan_is_said_at_its_place_there)
{
	is_refused(CALL "service:\n  balance: leest_request\nendpoints: {\"1.1.1.1:1\": {}}\n",
	    ":5:12: error: services.app.balance");
	is_refused(CALL
	    "service:\n  timeout: {call: 1s,\n    attempt: 5}\nendpoints: {\"1.1.1.1:1\": "
	    "{}}\n",
	    ":6:14: error: services.app.timeout.attempt");
	is_refused(
	    CALL "service: {}\nendpoints:\n  \"1.1.1.1:1\": {weight: many}\n", ":6:25: error");
	is_refused(CALL "service: {endpoints: [\"2.2.2.2:2\"]}\nendpoints: {\"1.1.1.1:1\": {}}\n",
	    "no service has the endpoint");
	is_refused(CALL "service: nothing\nendpoints: {\"1.1.1.1:1\": {}}\n", "no map");
}
END_TEST

START_TEST(texts_of_the_service_come_through_as_they_are)
{
	play(CALL
	    "service:\n  endpoints:\n    - {address: \"10.0.0.1:1\", tags: {\"a: b\": \"x\\n\\\"y\", "
	    "n: \"5\"}}\n  balance: {type: weighted_round_robin}\n"
	    "endpoints: {\"*\": {latency: 2ms}}\n");
	ck_assert_uint_eq(report.reasons[REASON_OK], report.calls);
	ck_assert_uint_eq(simulated_quantile(&report.times, 0.5), 2000);
}
END_TEST

/* --- the run --- */

static char *json_of(const char *text)
{
	struct simulation_plan *plan;
	struct simulation_report r;
	struct err err;
	char *said, *json;
	cJSON *root;

	plan = plan_of(text, &said);
	ck_assert_msg(plan != NULL, "%s", said);
	ck_assert_int_eq(simulation_run(plan, &r, &err), 0);
	root = simulation_report_json(plan, &r);
	json = cJSON_PrintUnformatted(root);
	cJSON_Delete(root);
	simulation_report_fini(&r);
	simulation_plan_free(&plan);
	free(said);
	return json;
}

#define LIVELY                                                                                     \
	"service: {balance: least_request, retry: {on: [connect, unsent, reset], unsafe: true}}\n" \
	"endpoints: {\"10.0.0.1:1\": {latency: {p50: 5ms, p99: 50ms}, fail: 5%},"                  \
	" \"10.0.0.2:1\": {latency: {p50: 5ms, p99: 50ms}, down: [2s, 4s]}}\n"

START_TEST(one_seed_gives_one_report_and_another_gives_another)
{
	char *a = json_of(CALL "seed: 7\n" LIVELY), *b = json_of(CALL "seed: 7\n" LIVELY);
	char *c = json_of(CALL "seed: 8\n" LIVELY);

	ck_assert_str_eq(a, b);
	ck_assert_str_ne(a, c);
	free(a);
	free(b);
	free(c);
}
END_TEST

START_TEST(so_many_calls_come_as_the_rate_says)
{
	play(CALL "service: {}\n" FOUR);
	ck_assert(is_near((double)report.calls, 20000, 500));
	ck_assert_uint_eq(report.attempts, report.calls);
	ck_assert_uint_eq(report.reasons[REASON_OK], report.calls);
}
END_TEST

START_TEST(shares_follow_the_weights)
{
	static const char *const balances[] = {"weighted_round_robin",
	    "interleaved_weighted_round_robin", "weighted_random", "least_request", "peak_ewma"};

	for (size_t i = 0; i < ARRAY_LEN(balances); i++) {
		char text[512];

		snprintf(text, sizeof text, CALL "service: {balance: %s}\n" FOUR, balances[i]);
		play(text);
		for (size_t e = 0; e < 4; e++)
			ck_assert_msg(is_near(share(e), 0.1 * (double)(e + 1), 0.06), "%s: %zu: %g",
			    balances[i], e, share(e));
	}
}
END_TEST

START_TEST(latencies_are_those_of_the_model)
{
	play(CALL "service: {}\nendpoints: {\"10.0.0.1:1\": {latency: {p50: 5ms, p99: 50ms}}}\n");
	ck_assert(is_near((double)simulated_quantile(&report.times, 0.5), 5000, 250));
	ck_assert(is_near((double)simulated_quantile(&report.times, 0.99), 50000, 5000));
}
END_TEST

START_TEST(one_that_is_slow_for_a_while_is_slow_then)
{
	play(CALL
	    "service: {}\nendpoints: {\"10.0.0.1:1\": {latency: 2ms, slow: [5s, 10s, 4.5]}}\n");
	ck_assert_uint_eq(simulated_quantile(&report.times, 0.5), 2000);
	ck_assert_uint_eq(simulated_quantile(&report.times, 0.74), 2000);
	ck_assert_uint_eq(simulated_quantile(&report.times, 0.77), 9000);
}
END_TEST

START_TEST(calls_wait_where_an_endpoint_works_on_few_at_once)
{
	/* 1000/s of 5 ms each need 5 at once on the average. */
	play(CALL "service: {}\nendpoints: {\"10.0.0.1:1\": {latency: 5ms, concurrency: 6}}\n");
	ck_assert_uint_gt(simulated_quantile(&report.times, 0.9), 6000);
	ck_assert_uint_lt(simulated_quantile(&report.times, 0.5), 12000);
}
END_TEST

/* --- what protects --- */

#define BROKEN                                                                                     \
	"endpoints: {\"10.0.0.1:1\": {fail: 100%}, \"10.0.0.2:1\": {fail: 100%}, "                 \
	"\"10.0.0.3:1\": {fail: 100%}}\n"

START_TEST(when_all_fails_retries_stay_within_their_budget)
{
	play(CALL "service: {retry: {on: [connect, unsent, reset], unsafe: true}}\n" BROKEN);
	ck_assert_uint_eq(report.reasons[REASON_RESET], report.calls);
	ck_assert_uint_gt(report.budget_refused, 0);
	ck_assert(amplification() > 1.1);
	ck_assert(amplification() <= 1.25);
}
END_TEST

START_TEST(without_a_budget_there_is_no_such_bound)
{
	play(CALL
	    "service: {retry: {on: [connect, unsent, reset], unsafe: true, budget: none}}\n" BROKEN);
	ck_assert(is_near(amplification(), 3, 0.01));
}
END_TEST

START_TEST(a_breaker_keeps_calls_away_from_what_fails)
{
	play(CALL "service: {breaker: {error_rate: 50%, min_samples: 50}}\n" BROKEN);
	ck_assert_uint_gt(report.reasons[REASON_BREAKER_OPEN], report.calls * 9 / 10);
	ck_assert_uint_ge(report.breakers_opened, 3); /* each probe fails */
	ck_assert_uint_lt(report.attempts, report.calls / 10);
}
END_TEST

START_TEST(a_breaker_closes_when_all_is_well_again)
{
	play(CALL "service: {breaker: {error_rate: 50%, min_samples: 50, window: 1s, open: 1s}}\n"
		  "endpoints: {\"10.0.0.1:1\": {down: [5s, 8s]}}\n");
	ck_assert_uint_gt(report.reasons[REASON_BREAKER_OPEN], 1500);
	ck_assert_uint_lt(report.reasons[REASON_BREAKER_OPEN], 5500);
	ck_assert_uint_gt(report.reasons[REASON_OK], 14000);
}
END_TEST

START_TEST(one_that_fails_is_ejected)
{
	const char *rest = "endpoints: {\"10.0.0.1:1\": {fail: 100%}, \"10.0.0.2:1\": {}, "
			   "\"10.0.0.3:1\": {}, \"10.0.0.4:1\": {}}\n";
	char text[512];

	snprintf(text, sizeof text, CALL "service: {eject: {consecutive: 5, for: 10s}}\n%s", rest);
	play(text);
	ck_assert_uint_ge(report.loads[0].ejections, 1);
	ck_assert_uint_lt(report.loads[0].attempts, 40);
	snprintf(text, sizeof text, CALL "service: {eject: none}\n%s", rest);
	play(text);
	ck_assert_uint_eq(report.loads[0].ejections, 0);
	ck_assert(is_near(share(0), 0.25, 0.02));
}
END_TEST

START_TEST(backups_cut_the_tail)
{
	const char *rest = "endpoints: {\"10.0.0.1:1\": {latency: {p50: 5ms, p99: 100ms}}, "
			   "\"10.0.0.2:1\": {latency: {p50: 5ms, p99: 100ms}}}\n";
	usec_t without;
	char text[512];

	snprintf(text, sizeof text, CALL "service: {}\n%s", rest);
	play(text);
	without = simulated_quantile(&report.times, 0.99);
	snprintf(text, sizeof text,
	    CALL "service: {retry: {type: backup, delay: 20ms, unsafe: true}}\n%s", rest);
	play(text);
	ck_assert_uint_gt(report.backups, 0);
	ck_assert_uint_lt(simulated_quantile(&report.times, 0.99), without / 2);
	ck_assert(amplification() <= 1.25);
}
END_TEST

START_TEST(a_rate_lets_so_many_through)
{
	play(CALL "service: {limit: {rate: 200/s, burst: 1}}\n" FOUR);
	ck_assert(is_near((double)report.reasons[REASON_OK], 4000, 100));
	ck_assert_uint_eq(
	    report.reasons[REASON_OK] + report.reasons[REASON_RATE_LIMITED], report.calls);
}
END_TEST

START_TEST(slots_and_their_queue_bound_what_runs)
{
	const char *rest = "endpoints: {\"10.0.0.1:1\": {latency: 10ms}}\n";
	uint64_t without;
	char text[512];

	snprintf(text, sizeof text, CALL "service: {limit: {concurrency: 10}}\n%s", rest);
	play(text);
	without = report.reasons[REASON_OK];
	ck_assert_uint_gt(report.reasons[REASON_CONCURRENCY_LIMITED], 1000);
	ck_assert_uint_eq(simulated_quantile(&report.times, 1), 10000);
	snprintf(text, sizeof text,
	    CALL "service: {limit: {concurrency: 10, queue: {length: 50, wait: 100ms}}}\n%s", rest);
	play(text);
	ck_assert_uint_gt(report.reasons[REASON_OK], without);
	ck_assert_uint_gt(simulated_quantile(&report.times, 0.9), 10000);
	ck_assert_uint_le(simulated_quantile(&report.times, 1), 110000);
}
END_TEST

START_TEST(with_equal_shares_a_loud_caller_takes_nothing_from_a_quiet_one)
{
	play(CALL "callers: {loud: 9, quiet: 1}\n"
		  "service: {limit: {rate: 400/s, share: equal}}\n" FOUR);
	ck_assert_uint_eq(report.n_callers, 2);
	ck_assert_uint_gt(report.callers[1].ok, report.callers[1].calls * 9 / 10);
	ck_assert_uint_lt(report.callers[0].ok, report.callers[0].calls / 2);
}
END_TEST

START_TEST(a_key_stays_with_its_endpoint_on_a_ring)
{
	play(CALL "keys: 1\nservice: {balance: {type: consistent_hash, key: meta.user}}\n" FOUR);
	for (size_t e = 0; e < 4; e++)
		ck_assert(share(e) == 0 || share(e) == 1);
	play(CALL "keys: 100000\nservice: {balance: consistent_hash}\n" FOUR);
	for (size_t e = 0; e < 4; e++)
		ck_assert(is_near(share(e), 0.1 * (double)(e + 1), 0.1));
}
END_TEST

START_TEST(time_is_up_at_the_deadline)
{
	play(CALL "service: {timeout: {call: 50ms}}\n"
		  "endpoints: {\"10.0.0.1:1\": {fail: 10%, fail_kind: timeout}}\n");
	ck_assert(is_near((double)report.reasons[REASON_TIMEOUT], 2000, 200));
	ck_assert_uint_eq(simulated_quantile(&report.times, 1), 50000);
	play(CALL "timeout: 40ms\nservice: {timeout: {call: 1s}}\n"
		  "endpoints: {\"10.0.0.1:1\": {fail: 10%, fail_kind: timeout}}\n");
	ck_assert(is_near((double)report.reasons[REASON_CALLER_DEADLINE], 2000, 200));
}
END_TEST

START_TEST(all_at_once_asks_all)
{
	play(CALL "service: {retry: {type: fork, unsafe: true}}\n" FOUR);
	ck_assert(is_near(amplification(), 4, 0.01));
	ck_assert_uint_eq(report.reasons[REASON_OK], report.calls);
	play(CALL
	    "service: {retry: {type: broadcast, unsafe: true}}\n"
	    "endpoints: {\"10.0.0.1:1\": {}, \"10.0.0.2:1\": {fail: 50%, fail_kind: exception}}\n");
	ck_assert(is_near((double)report.reasons[REASON_APP_EXCEPTION], 10000, 500));
}
END_TEST

START_TEST(a_call_that_no_service_answers_is_told_so)
{
	play(CALL "service: {acl: [{deny: {method: Get}}]}\n" FOUR);
	ck_assert_uint_eq(report.reasons[REASON_ACL_DENIED], report.calls);
	ck_assert_uint_eq(report.attempts, 0);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    a_plan_says_what_is_wrong_with_it_and_where,
	    what_is_wrong_with_the_service_of_a_plan_is_said_at_its_place_there,
	    texts_of_the_service_come_through_as_they_are,
	    one_seed_gives_one_report_and_another_gives_another,
	    so_many_calls_come_as_the_rate_says,
	    shares_follow_the_weights,
	    latencies_are_those_of_the_model,
	    one_that_is_slow_for_a_while_is_slow_then,
	    calls_wait_where_an_endpoint_works_on_few_at_once,
	    when_all_fails_retries_stay_within_their_budget,
	    without_a_budget_there_is_no_such_bound,
	    a_breaker_keeps_calls_away_from_what_fails,
	    a_breaker_closes_when_all_is_well_again,
	    one_that_fails_is_ejected,
	    backups_cut_the_tail,
	    a_rate_lets_so_many_through,
	    slots_and_their_queue_bound_what_runs,
	    with_equal_shares_a_loud_caller_takes_nothing_from_a_quiet_one,
	    a_key_stays_with_its_endpoint_on_a_ring,
	    time_is_up_at_the_deadline,
	    all_at_once_asks_all,
	    a_call_that_no_service_answers_is_told_so,
	};
	int failed = suite_run("simulation", tests, ARRAY_LEN(tests));

	simulation_report_fini(&report);
	return failed;
}
