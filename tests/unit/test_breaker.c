/* The circuit breaker, against a plain list of what happened, and with many threads. */
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "policy/breaker.h"
#include "support/suite.h"

static const struct breaker_policy kitex = {
    .error_rate = 0.5,
    .min_samples = 200,
    .window = 10 * USEC_S,
    .open = 5 * USEC_S,
    .probe = 200 * USEC_MS,
    .successes = 2,
};

/* Calls that go and end at once. */
static void record(struct breaker *b, enum breaker_outcome outcome, unsigned n, usec_t now)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t ticket = breaker_allow(b, &kitex, now);

		ck_assert_uint_ne(ticket, BREAKER_REFUSED);
		breaker_record(b, &kitex, ticket, outcome, now);
	}
}

static enum breaker_state state(const struct breaker *b, usec_t now)
{
	return breaker_state_of(b, &kitex, now);
}

#define START (1000 * USEC_S)

static void open_it(struct breaker *b, usec_t now)
{
	record(b, BREAKER_SUCCESS, 100, now);
	record(b, BREAKER_FAILURE, 100, now);
	ck_assert_int_eq(state(b, now), BREAKER_OPEN);
}

START_TEST(it_opens_at_half_of_the_least_samples_and_not_before)
{
	struct breaker b = {0};

	record(&b, BREAKER_SUCCESS, 100, START);
	record(&b, BREAKER_FAILURE, 99, START);
	ck_assert_int_eq(state(&b, START), BREAKER_CLOSED);
	record(&b, BREAKER_SUCCESS, 1, START);
	record(&b, BREAKER_FAILURE, 1, START); /* 100 of 201 */
	ck_assert_int_eq(state(&b, START), BREAKER_CLOSED);
	record(&b, BREAKER_FAILURE, 1, START); /* 101 of 202 */
	ck_assert_int_eq(state(&b, START), BREAKER_OPEN);
	ck_assert_uint_eq(breaker_allow(&b, &kitex, START), BREAKER_REFUSED);
	ck_assert_uint_eq(b.changes, 1);
}
END_TEST

START_TEST(a_success_never_opens_it)
{
	struct breaker b = {0};

	record(&b, BREAKER_FAILURE, 199, START);
	record(&b, BREAKER_SUCCESS, 1, START); /* 199 of 200, but this was none */
	ck_assert_int_eq(state(&b, START), BREAKER_CLOSED);
	record(&b, BREAKER_FAILURE, 1, START);
	ck_assert_int_eq(state(&b, START), BREAKER_OPEN);
}
END_TEST

START_TEST(what_is_ignored_is_not_even_a_sample)
{
	struct breaker b = {0};

	record(&b, BREAKER_IGNORED, 1000, START);
	record(&b, BREAKER_FAILURE, 199, START);
	ck_assert_int_eq(state(&b, START), BREAKER_CLOSED);
}
END_TEST

START_TEST(it_lets_one_probe_go_after_its_time_and_one_each_interval)
{
	struct breaker b = {0};
	usec_t now = START;

	open_it(&b, now);
	now += kitex.open - 1;
	ck_assert_uint_eq(breaker_allow(&b, &kitex, now), BREAKER_REFUSED);
	now++;
	ck_assert_int_eq(state(&b, now), BREAKER_HALF_OPEN); /* for whoever comes now */
	ck_assert_uint_ne(breaker_allow(&b, &kitex, now), BREAKER_REFUSED);
	ck_assert_uint_eq(breaker_allow(&b, &kitex, now), BREAKER_REFUSED);
	ck_assert_uint_eq(breaker_allow(&b, &kitex, now + kitex.probe - 1), BREAKER_REFUSED);
	ck_assert_uint_ne(breaker_allow(&b, &kitex, now + kitex.probe), BREAKER_REFUSED);
	ck_assert_uint_eq(breaker_allow(&b, &kitex, now + kitex.probe), BREAKER_REFUSED);
	ck_assert_int_eq(state(&b, now), BREAKER_HALF_OPEN);
}
END_TEST

START_TEST(good_probes_close_it_and_the_window_begins_anew)
{
	struct breaker b = {0};
	usec_t now = START + kitex.open;
	uint64_t first, second;

	open_it(&b, START);
	first = breaker_allow(&b, &kitex, now);
	now += kitex.probe;
	second = breaker_allow(&b, &kitex, now);
	breaker_record(&b, &kitex, first, BREAKER_SUCCESS, now);
	ck_assert_int_eq(state(&b, now), BREAKER_HALF_OPEN);
	breaker_record(&b, &kitex, second, BREAKER_SUCCESS, now);
	ck_assert_int_eq(state(&b, now), BREAKER_CLOSED);
	record(&b, BREAKER_FAILURE, 199, now); /* the hundred of before are forgotten */
	ck_assert_int_eq(state(&b, now), BREAKER_CLOSED);
	ck_assert_uint_eq(b.changes, 3);
}
END_TEST

START_TEST(a_bad_probe_opens_it_for_the_whole_time_again)
{
	struct breaker b = {0};
	usec_t now = START + kitex.open;
	uint64_t probe;

	open_it(&b, START);
	probe = breaker_allow(&b, &kitex, now);
	now += 10 * USEC_S; /* a slow one: the time counts from its end, not from its beginning */
	breaker_record(&b, &kitex, probe, BREAKER_FAILURE, now);
	ck_assert_int_eq(state(&b, now), BREAKER_OPEN);
	ck_assert_uint_eq(breaker_allow(&b, &kitex, now + kitex.open - 1), BREAKER_REFUSED);
	ck_assert_uint_ne(breaker_allow(&b, &kitex, now + kitex.open), BREAKER_REFUSED);
}
END_TEST

START_TEST(a_success_among_the_probes_does_not_outlive_a_failure)
{
	struct breaker b = {0};
	usec_t now = START + kitex.open;

	open_it(&b, START);
	breaker_record(&b, &kitex, breaker_allow(&b, &kitex, now), BREAKER_SUCCESS, now);
	now += kitex.probe;
	breaker_record(&b, &kitex, breaker_allow(&b, &kitex, now), BREAKER_FAILURE, now);
	now += kitex.open;
	breaker_record(&b, &kitex, breaker_allow(&b, &kitex, now), BREAKER_SUCCESS, now);
	ck_assert_int_eq(state(&b, now), BREAKER_HALF_OPEN);
}
END_TEST

START_TEST(calls_from_before_are_no_probes)
{
	struct breaker b = {0};
	uint64_t early[4], old_probe, probe;
	usec_t now = START + kitex.open;

	for (int i = 0; i < 4; i++)
		early[i] = breaker_allow(&b, &kitex, START);
	open_it(&b, START);
	breaker_record(&b, &kitex, early[0], BREAKER_SUCCESS, START + 1);
	ck_assert_int_eq(state(&b, START + 1), BREAKER_OPEN);
	old_probe = breaker_allow(&b, &kitex, now);
	breaker_record(&b, &kitex, early[1], BREAKER_SUCCESS, now);
	breaker_record(&b, &kitex, early[2], BREAKER_SUCCESS, now);
	ck_assert_int_eq(state(&b, now), BREAKER_HALF_OPEN);
	breaker_record(&b, &kitex, early[3], BREAKER_FAILURE, now);
	ck_assert_int_eq(state(&b, now), BREAKER_HALF_OPEN);
	/* Nor is a probe of the round before one of this. */
	probe = breaker_allow(&b, &kitex, now + kitex.probe);
	breaker_record(&b, &kitex, probe, BREAKER_FAILURE, now + kitex.probe);
	now += kitex.probe + kitex.open;
	ck_assert_uint_ne(breaker_allow(&b, &kitex, now), BREAKER_REFUSED);
	breaker_record(&b, &kitex, old_probe, BREAKER_SUCCESS, now);
	breaker_record(&b, &kitex, old_probe, BREAKER_SUCCESS, now);
	breaker_record(&b, &kitex, old_probe, BREAKER_FAILURE, now);
	ck_assert_int_eq(state(&b, now), BREAKER_HALF_OPEN);
}
END_TEST

START_TEST(what_is_older_than_the_window_does_not_count)
{
	struct breaker b = {0};

	record(&b, BREAKER_FAILURE, 199, START);
	record(&b, BREAKER_FAILURE, 199, START + kitex.window);
	ck_assert_int_eq(state(&b, START + kitex.window), BREAKER_CLOSED);
	record(&b, BREAKER_FAILURE, 1, START + kitex.window);
	ck_assert_int_eq(state(&b, START + kitex.window), BREAKER_OPEN);
}
END_TEST

START_TEST(millions_in_one_bucket_keep_their_share)
{
	struct breaker_policy p = kitex;
	struct breaker b = {0};

	p.error_rate = 0.12;
	for (int i = 0; i < 2000000; i++) /* a bucket holds about one million of each */
		breaker_record(&b, &p, 1, i % 10 ? BREAKER_SUCCESS : BREAKER_FAILURE, START);
	ck_assert_int_eq(breaker_state_of(&b, &p, START), BREAKER_CLOSED); /* a tenth */
	p.error_rate = 0.09;
	breaker_record(&b, &p, 1, BREAKER_FAILURE, START);
	ck_assert_int_eq(breaker_state_of(&b, &p, START), BREAKER_OPEN);
}
END_TEST

/*
 * The reference: every outcome with its time, and the rules as they are told. Its clock is as
 * coarse as that of the window, which moves in hundredths.
 */
enum { EVENTS = 10000 };

struct reference {
	struct {
		uint64_t span;
		bool failed;
	} events[EVENTS];
	int n, first; /* those before first are forgotten */
	enum breaker_state state;
	usec_t opened, probed;
	unsigned good, generation;
};

static bool reference_allow(struct reference *r, const struct breaker_policy *p, usec_t now)
{
	if (r->state == BREAKER_CLOSED)
		return true;
	if (now - (r->state == BREAKER_OPEN ? r->opened : r->probed) <
	    (r->state == BREAKER_OPEN ? p->open : p->probe))
		return false;
	if (r->state == BREAKER_OPEN) {
		r->state = BREAKER_HALF_OPEN;
		r->good = 0;
		r->generation++;
	}
	r->probed = now;
	return true;
}

static void reference_open(struct reference *r, usec_t now)
{
	r->state = BREAKER_OPEN;
	r->opened = now;
	r->generation++;
}

static bool is_too_bad(const struct reference *r, const struct breaker_policy *p, usec_t now)
{
	uint64_t span = now / (p->window / BREAKER_BUCKETS), all = 0, failed = 0;

	for (int i = r->n - 1; i >= r->first; i--) {
		if (r->events[i].span + BREAKER_BUCKETS <= span)
			break;
		all++;
		failed += r->events[i].failed;
	}
	return all >= p->min_samples && (double)failed / (double)all >= p->error_rate;
}

static void reference_record(struct reference *r, const struct breaker_policy *p,
    unsigned generation, bool failed, usec_t now)
{
	if (r->state == BREAKER_HALF_OPEN && generation == r->generation) {
		if (failed)
			reference_open(r, now);
		else if (++r->good >= p->successes) {
			r->state = BREAKER_CLOSED;
			r->generation++;
			r->first = r->n;
		}
		return;
	}
	if (r->state == BREAKER_OPEN && !failed)
		return;
	r->events[r->n].span = now / (p->window / BREAKER_BUCKETS);
	r->events[r->n++].failed = failed;
	if (r->state == BREAKER_CLOSED && failed && is_too_bad(r, p, now))
		reference_open(r, now);
}

/* A call on its way. */
struct flight {
	usec_t ends;
	uint64_t ticket;
	unsigned generation;
};

static struct breaker_policy any_policy(struct rng *rng)
{
	return (struct breaker_policy){
	    .error_rate = (double)(1 + rng_below(rng, 100)) / 100,
	    .min_samples = rng_below(rng, 60),
	    .window = (1 + rng_below(rng, 30)) * 100 * USEC_MS,
	    .open = 1 + rng_below(rng, 3 * USEC_S),
	    .probe = 1 + rng_below(rng, 300 * USEC_MS),
	    .successes = 1 + (unsigned)rng_below(rng, 4),
	};
}

START_TEST(it_does_what_the_reference_does_for_hours)
{
	enum { FLIGHTS = 16 };
	struct reference *r = calloc(1, sizeof *r);
	struct flight flights[FLIGHTS] = {0};
	struct breaker b = {0};
	struct breaker_policy p;
	uint64_t trouble = 0;
	usec_t now = START;
	struct rng rng;

	ck_assert_ptr_nonnull(r);
	rng_init(&rng, (uint64_t)_i);
	p = any_policy(&rng);
	while (r->n < EVENTS && now < START + 7200 * USEC_S) {
		struct flight *f = &flights[rng_below(&rng, FLIGHTS)];

		now += rng_below(&rng, rng_below(&rng, 200) ? 60 * USEC_MS : 6 * USEC_S);
		if (rng_below(&rng, 500) == 0)
			trouble = rng_below(&rng, 101);
		if (f->ticket) {
			bool failed = rng_below(&rng, 100) < trouble;

			breaker_record(
			    &b, &p, f->ticket, failed ? BREAKER_FAILURE : BREAKER_SUCCESS, now);
			reference_record(r, &p, f->generation, failed, now);
			f->ticket = BREAKER_REFUSED;
		} else {
			f->ticket = breaker_allow(&b, &p, now);
			ck_assert_int_eq(f->ticket != BREAKER_REFUSED, reference_allow(r, &p, now));
			f->generation = r->generation;
		}
		if (breaker_state_of(&b, &p, now) != r->state) /* open, but its time is over */
			ck_assert(r->state == BREAKER_OPEN && now - r->opened >= p.open);
		ck_assert_uint_eq(b.changes, r->generation);
	}
	free(r);
}
END_TEST

enum { THREADS = 8, TRIES = 20000 };

static struct breaker shared;
static _Atomic uint64_t clock_shared;

static void *allow_many(void *arg)
{
	uint64_t *allowed = arg;

	for (int i = 0; i < TRIES; i++) {
		usec_t now = atomic_fetch_add_explicit(&clock_shared, 100, memory_order_relaxed);

		*allowed += breaker_allow(&shared, &kitex, now) != BREAKER_REFUSED;
	}
	return NULL;
}

static uint64_t run_all(void *(*body)(void *))
{
	pthread_t threads[THREADS];
	uint64_t results[THREADS] = {0}, sum = 0;

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, body, &results[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += results[i];
	}
	return sum;
}

START_TEST(threads_together_get_one_probe_each_interval)
{
	uint64_t probes, span = (uint64_t)THREADS * TRIES * 100;

	open_it(&shared, START);
	clock_shared = START;
	probes = run_all(allow_many);
	ck_assert_uint_le(probes, 1 + (span - kitex.open) / kitex.probe);
	ck_assert_uint_gt(probes, (span - kitex.open) / kitex.probe / 2);
	ck_assert_uint_eq(shared.changes, 2);
}
END_TEST

static void *fail_many(void *arg)
{
	uint64_t *refused = arg;

	for (int i = 0; i < TRIES; i++) {
		usec_t now = atomic_fetch_add_explicit(&clock_shared, 10, memory_order_relaxed);
		uint64_t ticket = breaker_allow(&shared, &kitex, now);

		*refused += ticket == BREAKER_REFUSED;
		if (ticket != BREAKER_REFUSED)
			breaker_record(&shared, &kitex, ticket, BREAKER_FAILURE, now);
	}
	return NULL;
}

/* 1.6 s of nothing but failures: it opens once, when the samples are there, and stays so. */
START_TEST(threads_together_open_it_once)
{
	uint64_t refused;

	clock_shared = START;
	refused = run_all(fail_many);
	ck_assert_int_eq(state(&shared, START + 2 * USEC_S), BREAKER_OPEN);
	ck_assert_uint_eq(shared.changes, 1);
	ck_assert_uint_le(refused, THREADS * TRIES - 200);
}
END_TEST

/* Until then too few; with one more there are enough. */
static const struct breaker_policy exact = {
    .error_rate = 0.5,
    .min_samples = (uint64_t)THREADS * TRIES,
    .window = 10 * USEC_S,
    .open = 5 * USEC_S,
    .probe = 200 * USEC_MS,
    .successes = 2,
};

static void *count_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < TRIES - 1; i++)
		breaker_record(&shared, &exact, 1, i % 2 ? BREAKER_SUCCESS : BREAKER_FAILURE,
		    START + (usec_t)(i % 50) * 100 * USEC_MS);
	return NULL;
}

START_TEST(threads_together_lose_no_count)
{
	usec_t now = START + 49 * 100 * USEC_MS;

	run_all(count_many);
	for (int i = 0; i < THREADS - 1; i++)
		breaker_record(&shared, &exact, 1, BREAKER_FAILURE, now);
	ck_assert_int_eq(breaker_state_of(&shared, &exact, now), BREAKER_CLOSED);
	breaker_record(&shared, &exact, 1, BREAKER_FAILURE, now);
	ck_assert_int_eq(breaker_state_of(&shared, &exact, now), BREAKER_OPEN);
}
END_TEST

START_TEST(states_have_names)
{
	ck_assert_str_eq(breaker_state_name(BREAKER_CLOSED), "closed");
	ck_assert_str_eq(breaker_state_name(BREAKER_OPEN), "open");
	ck_assert_str_eq(breaker_state_name(BREAKER_HALF_OPEN), "half_open");
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {it_opens_at_half_of_the_least_samples_and_not_before, 1},
	    {a_success_never_opens_it, 1},
	    {what_is_ignored_is_not_even_a_sample, 1},
	    {it_lets_one_probe_go_after_its_time_and_one_each_interval, 1},
	    {good_probes_close_it_and_the_window_begins_anew, 1},
	    {a_bad_probe_opens_it_for_the_whole_time_again, 1},
	    {a_success_among_the_probes_does_not_outlive_a_failure, 1},
	    {calls_from_before_are_no_probes, 1},
	    {what_is_older_than_the_window_does_not_count, 1},
	    {millions_in_one_bucket_keep_their_share, 1},
	    {it_does_what_the_reference_does_for_hours, 12},
	    {threads_together_get_one_probe_each_interval, 1},
	    {threads_together_open_it_once, 1},
	    {threads_together_lose_no_count, 1},
	    {states_have_names, 1},
	};

	return suite_run_between("breaker", tests, ARRAY_LEN(tests), NULL, NULL);
}
