/* Whether an attempt follows another: every outcome with every type, and what bounds it. */
#include "base/mem.h"
#include "base/rng.h"
#include "policy/retry.h"
#include "support/suite.h"

#define ON_ALL                                                                                     \
	(RETRY_ON_CONNECT | RETRY_ON_UNSENT | RETRY_ON_RESET | RETRY_ON_TIMEOUT | RETRY_ON_OVERLOAD)

static const int32_t sevens[] = {-3, 7};

static struct retry_policy policy(enum retry_type type, unsigned on)
{
	return (struct retry_policy){
	    .type = type,
	    .attempts = RETRY_ATTEMPTS_AUTO,
	    .on = on,
	    .delay = USEC_NONE,
	    .duration = USEC_NONE,
	    .budget = 0.2,
	};
}

static struct retry_state first_attempt(void)
{
	return (struct retry_state){.attempts = 1, .started = USEC_S, .is_idempotent = true};
}

static struct retry_verdict decide(
    const struct retry_policy *p, const struct retry_state *st, enum retry_outcome outcome)
{
	return retry_decide(p, st, outcome, 7, USEC_S + USEC_MS, NULL);
}

static const enum retry_type types[] = {
    RETRY_NONE, RETRY_FAILURE, RETRY_BACKUP, RETRY_MIXED, RETRY_FORK, RETRY_BROADCAST};

START_TEST(each_type_has_its_number_of_attempts)
{
	static const unsigned autos[] = {0, 2, 1, 1, 0, 0}, most[] = {0, 5, 2, 3, 0, 0};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct retry_policy p = policy(types[i], RETRY_ON_SAFE);

		ck_assert_uint_eq(retry_attempts(&p), autos[i]);
		for (p.attempts = 0; p.attempts < 10; p.attempts++)
			ck_assert_uint_eq(
			    retry_attempts(&p), p.attempts < most[i] ? p.attempts : most[i]);
	}
}
END_TEST

START_TEST(only_failures_with_safe_outcomes_are_for_any_method)
{
	struct retry_policy p = policy(RETRY_FAILURE, RETRY_ON_SAFE);
	struct code_list *const lists[] = {&p.exceptions, &p.biz, &p.grpc};

	ck_assert(!retry_needs_idempotent(&p));
	for (unsigned on = 0; on <= ON_ALL; on++) {
		p.on = on;
		ck_assert_int_eq(retry_needs_idempotent(&p), on > RETRY_ON_SAFE);
	}
	p.on = RETRY_ON_CONNECT;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		*lists[i] = (struct code_list){sevens, 1};
		ck_assert(retry_needs_idempotent(&p));
		*lists[i] = (struct code_list){0};
	}
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		p = policy(types[i], RETRY_ON_SAFE);
		ck_assert_int_eq(retry_needs_idempotent(&p), types[i] > RETRY_FAILURE);
	}
}
END_TEST

/* One row for each outcome: by what it is named in a policy. */
static const struct {
	enum retry_outcome outcome;
	unsigned on;
	bool in_exceptions, in_biz, in_grpc;
} outcomes[] = {
    {RETRY_GOOD, 0, false, false, false},
    {RETRY_CONNECT_FAILED, RETRY_ON_CONNECT, false, false, false},
    {RETRY_UNSENT, RETRY_ON_UNSENT, false, false, false},
    {RETRY_RESET, RETRY_ON_RESET, false, false, false},
    {RETRY_TIMED_OUT, RETRY_ON_TIMEOUT, false, false, false},
    {RETRY_OVERLOADED, RETRY_ON_OVERLOAD, true, false, true},
    {RETRY_EXCEPTION, 0, true, false, false},
    {RETRY_BIZ_ERROR, 0, false, true, false},
    {RETRY_GRPC, 0, false, false, true},
    {RETRY_OTHER, 0, false, false, false},
};

static bool is_safe(enum retry_outcome outcome)
{
	return outcome == RETRY_CONNECT_FAILED || outcome == RETRY_UNSENT;
}

/* All policies there can be as far as it matters, with the one outcome. */
static void check_outcome(size_t row, enum retry_type type, unsigned on, unsigned lists)
{
	struct code_list numbers = {sevens, 2}, none = {0};
	enum retry_outcome outcome = outcomes[row].outcome;
	bool named = (on & outcomes[row].on) || (lists & 1 && outcomes[row].in_exceptions) ||
		     (lists & 2 && outcomes[row].in_biz) || (lists & 4 && outcomes[row].in_grpc);
	bool by_result = type == RETRY_FAILURE || type == RETRY_MIXED ||
			 (type == RETRY_BACKUP && is_safe(outcome));
	struct retry_policy p = policy(type, on);
	struct retry_state st = first_attempt();
	struct retry_verdict v;

	p.exceptions = lists & 1 ? numbers : none;
	p.biz = lists & 2 ? numbers : none;
	p.grpc = lists & 4 ? numbers : none;
	v = decide(&p, &st, outcome);
	ck_assert_int_eq(v.again, named && by_result);
	ck_assert_int_eq(v.again, v.why_not == NULL);
	ck_assert_int_eq(v.needs_budget, v.again && !is_safe(outcome));
	ck_assert_int_eq(v.is_marked, v.again && !is_safe(outcome));
	ck_assert_uint_eq(v.wait, 0);
}

START_TEST(an_outcome_is_retried_when_the_policy_names_it)
{
	for (size_t row = 0; row < ARRAY_LEN(outcomes); row++)
		for (size_t i = 0; i < ARRAY_LEN(types); i++)
			for (unsigned on = 0; on <= ON_ALL; on++)
				for (unsigned lists = 0; lists < 8; lists++)
					check_outcome(row, types[i], on, lists);
}
END_TEST

START_TEST(a_number_that_is_not_listed_is_not_retried)
{
	struct retry_policy p = policy(RETRY_FAILURE, 0);
	struct retry_state st = first_attempt();

	p.exceptions = p.biz = p.grpc = (struct code_list){sevens, 2};
	for (int32_t number = -10; number < 10; number++)
		for (enum retry_outcome o = RETRY_OVERLOADED; o <= RETRY_GRPC; o++)
			ck_assert_int_eq(retry_decide(&p, &st, o, number, USEC_S, NULL).again,
			    number == -3 || number == 7);
}
END_TEST

START_TEST(what_may_have_been_done_is_not_done_again_unless_that_is_harmless)
{
	struct retry_policy p = policy(RETRY_MIXED, ON_ALL);
	struct retry_state st = first_attempt();

	st.is_idempotent = false;
	ck_assert(decide(&p, &st, RETRY_CONNECT_FAILED).again);
	ck_assert(decide(&p, &st, RETRY_UNSENT).again);
	ck_assert(!decide(&p, &st, RETRY_RESET).again);
	ck_assert(!decide(&p, &st, RETRY_OVERLOADED).again);
	ck_assert(!retry_decide_backup(&p, &st, USEC_S, NULL).again);
	p.is_unsafe = true;
	ck_assert(decide(&p, &st, RETRY_RESET).again);
	ck_assert(retry_decide_backup(&p, &st, USEC_S, NULL).again);
}
END_TEST

START_TEST(a_call_that_is_a_retry_is_not_retried_again_but_where_nobody_saw_it)
{
	struct retry_policy p = policy(RETRY_MIXED, ON_ALL);
	struct retry_state st = first_attempt();

	st.is_chained = true;
	ck_assert(decide(&p, &st, RETRY_CONNECT_FAILED).again);
	ck_assert(decide(&p, &st, RETRY_UNSENT).again);
	ck_assert(!decide(&p, &st, RETRY_TIMED_OUT).again);
	ck_assert(!retry_decide_backup(&p, &st, USEC_S, NULL).again);
	p.goes_on_in_chain = true;
	ck_assert(decide(&p, &st, RETRY_TIMED_OUT).again);
	ck_assert(retry_decide_backup(&p, &st, USEC_S, NULL).again);
}
END_TEST

START_TEST(attempts_bound_them_all)
{
	static const enum retry_outcome all[] = {RETRY_CONNECT_FAILED, RETRY_UNSENT, RETRY_RESET};

	for (unsigned attempts = 0; attempts <= 5; attempts++) {
		struct retry_policy p = policy(RETRY_FAILURE, ON_ALL);
		struct retry_state st = first_attempt();

		p.attempts = attempts;
		for (st.attempts = 1; st.attempts <= 7; st.attempts++)
			for (size_t i = 0; i < ARRAY_LEN(all); i++)
				ck_assert_int_eq(
				    decide(&p, &st, all[i]).again, st.attempts <= attempts);
	}
}
END_TEST

START_TEST(no_attempt_begins_when_the_duration_is_over)
{
	struct retry_policy p = policy(RETRY_FAILURE, ON_ALL);
	struct retry_state st = first_attempt();
	usec_t end = st.started + 100 * USEC_MS;

	p.duration = 100 * USEC_MS;
	ck_assert(retry_decide(&p, &st, RETRY_RESET, 0, end, NULL).again);
	ck_assert(!retry_decide(&p, &st, RETRY_RESET, 0, end + 1, NULL).again);
	ck_assert(retry_decide(&p, &st, RETRY_CONNECT_FAILED, 0, end, NULL).again);
	ck_assert(!retry_decide(&p, &st, RETRY_CONNECT_FAILED, 0, end + 1, NULL).again);
	p.backoff = (struct backoff){.kind = BACKOFF_FIXED, .min = 10 * USEC_MS};
	ck_assert(retry_decide(&p, &st, RETRY_RESET, 0, end - 10 * USEC_MS, NULL).again);
	ck_assert(!retry_decide(&p, &st, RETRY_RESET, 0, end - 10 * USEC_MS + 1, NULL).again);
	p = policy(RETRY_BACKUP, RETRY_ON_SAFE);
	p.duration = 100 * USEC_MS;
	ck_assert(retry_decide_backup(&p, &st, end, NULL).again);
	ck_assert(!retry_decide_backup(&p, &st, end + 1, NULL).again);
}
END_TEST

START_TEST(without_a_budget_there_is_no_limit)
{
	struct retry_policy p = policy(RETRY_MIXED, ON_ALL);
	struct retry_state st = first_attempt();

	p.budget = -1;
	ck_assert(!decide(&p, &st, RETRY_RESET).needs_budget);
	ck_assert(!retry_decide_backup(&p, &st, USEC_S, NULL).needs_budget);
	p.budget = 0; /* the floor is asked for */
	ck_assert(decide(&p, &st, RETRY_RESET).needs_budget);
	ck_assert(retry_decide_backup(&p, &st, USEC_S, NULL).needs_budget);
}
END_TEST

START_TEST(a_mark_stays_on_what_follows)
{
	struct retry_policy p = policy(RETRY_FAILURE, ON_ALL);
	struct retry_state st = first_attempt();

	st.attempts = 2;
	st.is_marked = true;
	ck_assert(decide(&p, &st, RETRY_CONNECT_FAILED).is_marked);
	ck_assert(!decide(&p, &st, RETRY_CONNECT_FAILED).needs_budget);
}
END_TEST

START_TEST(backups_go_out_while_there_are_attempts)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		bool has_backups = types[i] == RETRY_BACKUP || types[i] == RETRY_MIXED;
		struct retry_policy p = policy(types[i], RETRY_ON_SAFE);
		struct retry_state st = first_attempt();

		p.attempts = 2;
		for (st.attempts = 1; st.attempts <= 4; st.attempts++) {
			struct retry_verdict v = retry_decide_backup(&p, &st, USEC_S, NULL);

			ck_assert_int_eq(v.again, has_backups && st.attempts <= 2);
			ck_assert_int_eq(v.again, v.why_not == NULL);
			ck_assert_int_eq(v.needs_budget && v.is_marked, v.again);
		}
	}
}
END_TEST

static usec_t wait_of(const struct backoff *backoff, unsigned attempts, struct rng *rng)
{
	struct retry_policy p = policy(RETRY_FAILURE, ON_ALL);
	struct retry_state st = first_attempt();
	struct retry_verdict v;

	p.attempts = 5;
	p.backoff = *backoff;
	st.attempts = attempts;
	v = retry_decide(&p, &st, RETRY_RESET, 0, USEC_S, rng);
	ck_assert(v.again);
	return v.wait;
}

START_TEST(fixed_waits_are_as_long_each_time_and_random_ones_between)
{
	struct backoff fixed = {.kind = BACKOFF_FIXED, .min = 20 * USEC_MS};
	struct backoff random = {.kind = BACKOFF_RANDOM, .min = 10, .max = 13};
	unsigned seen[4] = {0};
	struct rng rng;

	rng_init(&rng, 1);
	for (unsigned n = 1; n <= 5; n++)
		ck_assert_uint_eq(wait_of(&fixed, n, &rng), 20 * USEC_MS);
	for (int i = 0; i < 4000; i++) {
		usec_t wait = wait_of(&random, 1, &rng);

		ck_assert(wait >= 10 && wait <= 13);
		seen[wait - 10]++;
	}
	for (int i = 0; i < 4; i++)
		ck_assert(seen[i] > 850 && seen[i] < 1150); /* five standard deviations */
	random.max = random.min;
	ck_assert_uint_eq(wait_of(&random, 1, NULL), 10);
	random.max = 0;
	ck_assert_uint_eq(wait_of(&random, 1, NULL), 10);
}
END_TEST

START_TEST(exponential_waits_grow_to_their_cap)
{
	static const usec_t expected[] = {10000, 20000, 40000, 70000, 70000};
	struct backoff b = {.kind = BACKOFF_EXPONENTIAL, .min = 10000, .max = 70000, .factor = 2};

	for (unsigned n = 1; n <= 5; n++)
		ck_assert_uint_eq(wait_of(&b, n, NULL), expected[n - 1]);
	b.factor = 1;
	ck_assert_uint_eq(wait_of(&b, 5, NULL), 10000);
	b.min = 90000; /* over its cap from the start */
	ck_assert_uint_eq(wait_of(&b, 1, NULL), 70000);
}
END_TEST

START_TEST(jitter_swings_both_ways_and_no_further)
{
	struct backoff b = {
	    .kind = BACKOFF_EXPONENTIAL, .min = 10000, .max = 70000, .factor = 2, .jitter = 0.2};
	usec_t least = USEC_NONE, most = 0, sum = 0;
	struct rng rng;

	rng_init(&rng, 2);
	for (int i = 0; i < 10000; i++) {
		usec_t wait = wait_of(&b, 2, &rng);

		least = usec_min(least, wait);
		most = wait > most ? wait : most;
		sum += wait;
	}
	ck_assert(least >= 16000 && least < 16100);
	ck_assert(most <= 24000 && most > 23900);
	ck_assert(sum / 10000 > 19880 && sum / 10000 < 20120); /* five standard deviations */
}
END_TEST

START_TEST(a_backup_waits_as_kitex_does)
{
	struct retry_state st = first_attempt();
	struct retry_policy p = policy(RETRY_BACKUP, RETRY_ON_SAFE);

	p.backoff = (struct backoff){.kind = BACKOFF_FIXED, .min = 5};
	ck_assert_uint_eq(retry_decide_backup(&p, &st, USEC_S, NULL).wait, 0);
	p.type = RETRY_MIXED;
	ck_assert_uint_eq(retry_decide_backup(&p, &st, USEC_S, NULL).wait, 5);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    each_type_has_its_number_of_attempts,
	    only_failures_with_safe_outcomes_are_for_any_method,
	    an_outcome_is_retried_when_the_policy_names_it,
	    a_number_that_is_not_listed_is_not_retried,
	    what_may_have_been_done_is_not_done_again_unless_that_is_harmless,
	    a_call_that_is_a_retry_is_not_retried_again_but_where_nobody_saw_it,
	    attempts_bound_them_all,
	    no_attempt_begins_when_the_duration_is_over,
	    without_a_budget_there_is_no_limit,
	    a_mark_stays_on_what_follows,
	    backups_go_out_while_there_are_attempts,
	    fixed_waits_are_as_long_each_time_and_random_ones_between,
	    exponential_waits_grow_to_their_cap,
	    jitter_swings_both_ways_and_no_further,
	    a_backup_waits_as_kitex_does,
	};

	return suite_run("retry", tests, ARRAY_LEN(tests));
}
