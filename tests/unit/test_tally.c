/* Tallies: found again by name, forgotten when nobody names them; rows of failures, ejection,
 * health. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/tally.h"
#include "support/suite.h"

enum { MOST = 120 };

static struct tallies *tallies;
static struct service_tally *service;
static struct endpoint_tally *endpoints[MOST];
static size_t n_endpoints;

static const struct eject_policy five_of_third = {
    .on = EJECT_ON_RESET, .consecutive = 5, .time = 10 * USEC_S, .at_most = 0.3};

static void begin(void)
{
	tallies = tallies_new();
	service = tallies_service(tallies, SLICE_LIT("shop.cart"));
	n_endpoints = 0;
}

static void end(void)
{
	tallies_free(&tallies);
	ck_assert_ptr_null(tallies);
	for (size_t i = 0; i < n_endpoints; i++)
		endpoint_tally_unref(&endpoints[i]);
	service_tally_unref(&service);
	ck_assert_ptr_null(service);
}

static struct endpoint_tally *endpoint(size_t number, usec_t now)
{
	char address[32];

	snprintf(address, sizeof address, "10.0.0.%zu:80", number);
	return tallies_endpoint(tallies, service, slice_str(address), now);
}

/* The service has these, as a new snapshot would bring them. */
static void have(size_t first, size_t n, usec_t now)
{
	struct endpoint_tally *list[MOST] = {0};

	for (size_t i = 0; i < n; i++)
		list[i] = endpoint(first + i, now);
	service_tally_present(service, list, n);
	for (size_t i = 0; i < n_endpoints; i++)
		endpoint_tally_unref(&endpoints[i]);
	for (size_t i = 0; i < n; i++)
		endpoints[i] = list[i];
	n_endpoints = n;
}

static size_t ejected(usec_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < n_endpoints; i++)
		n += endpoint_tally_is_ejected(endpoints[i], now);
	return n;
}

static bool go_wrong(size_t i, unsigned times, const struct eject_policy *p, usec_t now)
{
	bool is_out = false;

	for (unsigned n = 0; n < times; n++)
		is_out |= endpoint_tally_bad(endpoints[i], p, now);
	return is_out;
}

START_TEST(a_name_finds_the_same_tally_again)
{
	struct limit_config limit = {.concurrency = COUNT_NONE};
	struct service_tally *same = tallies_service(tallies, SLICE_LIT("shop.cart"));
	struct service_tally *other = tallies_service(tallies, SLICE_LIT("shop.price"));
	struct endpoint_tally *mine = endpoint(1, 5), *again = endpoint(1, 6);
	struct endpoint_tally *others =
	    tallies_endpoint(tallies, other, SLICE_LIT("10.0.0.1:80"), 5);
	struct limit_tally *a = tallies_limit(tallies, SLICE_LIT("a/limit"), &limit);
	struct limit_tally *b = tallies_limit(tallies, SLICE_LIT("a/limit"), &limit);
	struct breaker_tally *c = tallies_breaker(tallies, SLICE_LIT("a/limit"));
	struct breaker_tally *d = tallies_breaker(tallies, SLICE_LIT("a/breaker"));

	ck_assert_ptr_eq(same, service);
	ck_assert_ptr_ne(other, service);
	ck_assert_str_eq(other->label, "shop.price");
	ck_assert_ptr_eq(mine, again);
	ck_assert_ptr_ne(mine, others);
	ck_assert_str_eq(mine->address, "10.0.0.1:80");
	ck_assert_ptr_eq(others->service, other);
	ck_assert_ptr_eq(a, b);
	ck_assert_ptr_ne((void *)c, (void *)a);
	ck_assert_ptr_ne(c, d);
	service_tally_unref(&same);
	service_tally_unref(&other);
	endpoint_tally_unref(&mine);
	endpoint_tally_unref(&again);
	endpoint_tally_unref(&others);
	limit_tally_unref(&a);
	limit_tally_unref(&b);
	breaker_tally_unref(&c);
	breaker_tally_unref(&d);
}
END_TEST

START_TEST(what_nobody_names_for_ten_minutes_is_forgotten)
{
	struct endpoint_tally *e = endpoint(1, 0);
	usec_t now = USEC_MIN;

	ck_assert(!endpoint_tally_set_health(e, HEALTH_UNKNOWN));
	ck_assert(endpoint_tally_set_health(e, HEALTH_UP));
	tallies_sweep(tallies, now);
	endpoint_tally_unref(&e);
	tallies_sweep(tallies, now += USEC_MIN); /* seen to be alone from here on */
	tallies_sweep(tallies, now + 9 * USEC_MIN);
	e = endpoint(1, 0); /* back in time */
	ck_assert_int_eq(e->health, HEALTH_UP);
	tallies_sweep(tallies, now += 20 * USEC_MIN);
	endpoint_tally_unref(&e);
	tallies_sweep(tallies, now);
	tallies_sweep(tallies, now + 10 * USEC_MIN - 1);
	e = endpoint(1, 0);
	ck_assert_int_eq(e->health, HEALTH_UP);
	endpoint_tally_unref(&e);
	tallies_sweep(tallies, now);
	tallies_sweep(tallies, now + 10 * USEC_MIN);
	e = endpoint(1, 0);
	ck_assert_int_eq(e->health, HEALTH_UNKNOWN);
	endpoint_tally_unref(&e);
}
END_TEST

/* Thousands come and go; what is held stays, in whatever order the table has them. */
START_TEST(a_sweep_takes_all_that_is_forgotten_and_nothing_else)
{
	enum { N = 3000 };
	static struct service_tally *held[N];
	struct limit_config limit = {.concurrency = COUNT_NONE};
	char name[32];

	for (int i = 0; i < N; i++) {
		struct limit_tally *l;
		struct endpoint_tally *e;

		snprintf(name, sizeof name, "s%d", i);
		held[i] = tallies_service(tallies, slice_str(name));
		e = tallies_endpoint(tallies, held[i], SLICE_LIT("unix:/x"), 0);
		endpoint_tally_unref(&e);
		atomic_store(&held[i]->ejections, 77);
		if (i % 3)
			service_tally_unref(&held[i]);
		l = tallies_limit(tallies, slice_str(name), &limit);
		limit_count_refused(l);
		limit_tally_unref(&l);
	}
	tallies_sweep(tallies, USEC_S);
	tallies_sweep(tallies, USEC_S + 10 * USEC_MIN); /* endpoints, then what they held */
	tallies_sweep(tallies, USEC_S + 20 * USEC_MIN);
	for (int i = 0; i < N; i++) {
		struct limit_tally *l;
		struct service_tally *s;

		snprintf(name, sizeof name, "s%d", i);
		s = tallies_service(tallies, slice_str(name));
		ck_assert_uint_eq(s->ejections, i % 3 ? 0 : 77);
		service_tally_unref(&s);
		service_tally_unref(&held[i]);
		l = tallies_limit(tallies, slice_str(name), &limit);
		ck_assert_uint_eq(limit_refused(l), 0);
		limit_tally_unref(&l);
	}
}
END_TEST

START_TEST(endpoints_say_since_when_they_are_there_unless_they_came_with_their_service)
{
	have(1, 3, 100);
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(endpoints[i]->since, 0);
	have(1, 4, 200); /* one more */
	ck_assert_uint_eq(endpoints[0]->since, 0);
	ck_assert_uint_eq(endpoints[3]->since, 200);
	have(1, 3, 300); /* and gone */
	have(1, 4, 400); /* back: new again */
	ck_assert_uint_eq(endpoints[3]->since, 400);
	have(1, 4, 500);
	ck_assert_uint_eq(endpoints[3]->since, 400);
	ck_assert_uint_eq(endpoints[2]->since, 0);
}
END_TEST

START_TEST(so_many_failures_in_a_row_eject_for_a_time)
{
	usec_t now = 50 * USEC_S;

	have(1, 4, 0);
	ck_assert(!go_wrong(0, 4, &five_of_third, now));
	ck_assert(!endpoint_tally_is_ejected(endpoints[0], now));
	ck_assert_uint_eq(service->troubles, 0);
	ck_assert(endpoint_tally_bad(endpoints[0], &five_of_third, now));
	ck_assert(endpoint_tally_is_ejected(endpoints[0], now));
	ck_assert(!endpoint_tally_is_usable(endpoints[0], now));
	ck_assert_uint_gt(service->troubles, 0);
	ck_assert_uint_eq(endpoints[0]->ejections, 1);
	ck_assert_uint_eq(service->ejections, 1);
	now += 10 * USEC_S;
	ck_assert(endpoint_tally_is_ejected(endpoints[0], now - 1));
	ck_assert(endpoint_tally_is_usable(endpoints[0], now));
	tallies_sweep(tallies, now); /* looks again, too */
	ck_assert_uint_eq(service->troubles, 0);
	/* What failed while it was out does not count: a new row is needed. */
	ck_assert(!go_wrong(0, 4, &five_of_third, now));
	ck_assert(endpoint_tally_bad(endpoints[0], &five_of_third, now));
}
END_TEST

START_TEST(failures_of_calls_on_their_way_do_not_eject_again)
{
	usec_t now = 50 * USEC_S;

	have(1, 4, 0);
	ck_assert(go_wrong(0, 5, &five_of_third, now));
	ck_assert(!go_wrong(0, 100, &five_of_third, now + USEC_S));
	now += 10 * USEC_S;
	ck_assert(!go_wrong(0, 4, &five_of_third, now));
	ck_assert_uint_eq(endpoints[0]->ejections, 1);
}
END_TEST

START_TEST(one_good_answer_ends_a_row)
{
	have(1, 4, 0);
	for (int i = 0; i < 10; i++) {
		ck_assert(!go_wrong(0, 4, &five_of_third, USEC_S));
		endpoint_tally_good(endpoints[0]);
	}
	ck_assert(!go_wrong(0, 4, &five_of_third, USEC_S));
	ck_assert(go_wrong(0, 1, &five_of_third, USEC_S));
}
END_TEST

START_TEST(nothing_is_ejected_where_nothing_ejects)
{
	struct eject_policy none = five_of_third;

	none.on = 0;
	have(1, 4, 0);
	ck_assert(!go_wrong(0, 100, &none, USEC_S));
	ck_assert_uint_eq(endpoints[0]->failures, 0);
}
END_TEST

/* Everything fails, at any size of set and any share: never more are out than may be. */
START_TEST(the_cap_holds_for_every_size_of_set)
{
	for (size_t n = 1; n <= 100; n++) {
		struct eject_policy p = five_of_third;
		usec_t now = (1 + n) * 100 * USEC_S;

		p.at_most = (double)(n * 7 % 101) / 100;
		have(1, n, 0);
		for (size_t i = 0; i < n; i++)
			go_wrong(i, 5, &p, now);
		ck_assert_uint_eq(ejected(now), eject_cap(&p, n));
		/* Those that were lucky fail on, and are out as soon as others are back. */
		for (size_t i = 0; i < n; i++)
			go_wrong(i, 3, &p, now + USEC_S);
		ck_assert_uint_eq(ejected(now + USEC_S), eject_cap(&p, n));
		now += p.time;
		ck_assert_uint_eq(ejected(now), 0);
		for (size_t i = n; i-- > 0;)
			go_wrong(i, 5, &p, now);
		ck_assert_uint_eq(ejected(now), eject_cap(&p, n));
	}
}
END_TEST

START_TEST(the_last_endpoint_is_never_out)
{
	struct eject_policy all = five_of_third;

	all.at_most = 1;
	have(1, 1, 0);
	ck_assert(!go_wrong(0, 100, &all, USEC_S));
	have(1, 2, 0);
	ck_assert(go_wrong(0, 1, &all, USEC_S)); /* there is another now */
	ck_assert(!go_wrong(1, 100, &all, USEC_S));
	ck_assert(endpoint_tally_is_usable(endpoints[1], USEC_S));
}
END_TEST

START_TEST(a_policy_that_allows_more_is_not_held_up_by_one_that_allows_less)
{
	struct eject_policy half = five_of_third;

	half.at_most = 0.5;
	have(1, 10, 0);
	for (size_t i = 0; i < 4; i++)
		go_wrong(i, 6, &five_of_third, USEC_S);
	ck_assert_uint_eq(ejected(USEC_S), 3);
	for (size_t i = 3; i < 7; i++)
		go_wrong(i, 5, &half, USEC_S);
	ck_assert_uint_eq(ejected(USEC_S), 5);
}
END_TEST

START_TEST(when_the_set_shrinks_those_that_would_be_back_soonest_come_back)
{
	have(1, 10, 0);
	for (size_t i = 0; i < 3; i++)
		ck_assert(go_wrong(i, 5, &five_of_third, (10 + i) * USEC_S));
	have(1, 3, 0); /* only these are left: one may be out */
	ck_assert_uint_eq(ejected(13 * USEC_S), 1);
	ck_assert(endpoint_tally_is_ejected(endpoints[2], 13 * USEC_S));
	have(3, 1, 0); /* and now this alone */
	ck_assert_uint_eq(ejected(13 * USEC_S), 0);
}
END_TEST

START_TEST(who_is_ejected_and_gone_takes_nobodys_place)
{
	have(1, 10, 0);
	for (size_t i = 0; i < 4; i++)
		go_wrong(i, 5, &five_of_third, USEC_S);
	ck_assert_uint_eq(ejected(USEC_S), 3);
	have(4, 10, 0); /* without the three */
	ck_assert_uint_eq(ejected(USEC_S), 0);
	ck_assert(go_wrong(0, 1, &five_of_third, USEC_S)); /* it waited for that */
	for (size_t i = 1; i < 10; i++)
		go_wrong(i, 5, &five_of_third, USEC_S);
	ck_assert_uint_eq(ejected(USEC_S), 3);
}
END_TEST

START_TEST(an_endpoint_that_is_gone_is_not_ejected)
{
	struct endpoint_tally *gone;

	have(1, 5, 0);
	gone = endpoint(1, 0);
	have(2, 4, 0);
	for (int i = 0; i < 20; i++)
		ck_assert(!endpoint_tally_bad(gone, &five_of_third, USEC_S));
	endpoint_tally_unref(&gone);
}
END_TEST

START_TEST(health_is_told_when_it_changes)
{
	have(1, 3, 0);
	ck_assert(endpoint_tally_is_usable(endpoints[0], USEC_S)); /* nothing is known */
	ck_assert(endpoint_tally_set_health(endpoints[0], HEALTH_DOWN));
	ck_assert(!endpoint_tally_set_health(endpoints[0], HEALTH_DOWN));
	ck_assert(!endpoint_tally_is_usable(endpoints[0], USEC_S));
	ck_assert_uint_eq(service->troubles, 1);
	ck_assert(endpoint_tally_set_health(endpoints[1], HEALTH_UP));
	ck_assert_uint_eq(service->troubles, 1);
	ck_assert(endpoint_tally_set_health(endpoints[0], HEALTH_UP));
	ck_assert(endpoint_tally_is_usable(endpoints[0], USEC_S));
	ck_assert_uint_eq(service->troubles, 0);
	ck_assert_str_eq(health_name(HEALTH_DOWN), "down");
	ck_assert_str_eq(health_name(HEALTH_UP), "up");
	ck_assert_str_eq(health_name(HEALTH_UNKNOWN), "unknown");
}
END_TEST

/* Against the rules in their plainest form: a row for each, times, a cap. */
START_TEST(ejection_is_what_the_plain_rules_say)
{
	enum { N = 12 };
	unsigned row[N] = {0};
	usec_t until[N] = {0}, now = USEC_S;
	struct rng rng;

	rng_init(&rng, (uint64_t)_i);
	have(1, N, 0);
	for (int step = 0; step < 20000; step++) {
		size_t i = rng_below(&rng, N), out = 0;
		bool expected;

		now += rng_below(&rng, 200 * USEC_MS);
		for (size_t k = 0; k < N; k++)
			out += until[k] > now;
		if (rng_below(&rng, 100) < 10 + i * 4) {
			endpoint_tally_good(endpoints[i]);
			row[i] = 0;
			continue;
		}
		row[i] += until[i] <= now;
		expected = until[i] <= now && row[i] >= 5 && out < 3;
		ck_assert_int_eq(endpoint_tally_bad(endpoints[i], &five_of_third, now), expected);
		if (expected) {
			until[i] = now + five_of_third.time;
			row[i] = 0;
		}
		ck_assert_uint_eq(ejected(now), out + expected);
	}
}
END_TEST

enum { THREADS = 8 };

static void *fail_all(void *arg)
{
	uint64_t *times = arg;

	for (unsigned i = 0; i < 20000; i++)
		*times += endpoint_tally_bad(
		    endpoints[i % n_endpoints], &five_of_third, USEC_S + i / 4000);
	return NULL;
}

START_TEST(the_cap_is_exact_when_many_threads_see_everything_fail)
{
	uint64_t times[THREADS] = {0}, sum = 0;
	pthread_t threads[THREADS];

	have(1, 50, 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, fail_all, &times[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += times[i];
	}
	ck_assert_uint_eq(ejected(USEC_S + 5), 15);
	ck_assert_uint_eq(sum, 15);
	ck_assert_uint_eq(service->ejections, 15);
	ck_assert_uint_eq(service->troubles, 15);
}
END_TEST

static _Atomic bool is_over;

static void *fail_until_over(void *arg)
{
	struct endpoint_tally *const *list = arg;
	usec_t now = USEC_S;

	for (unsigned i = 0; !is_over; i++, now += 100) {
		endpoint_tally_bad(list[i % 20], &five_of_third, now);
		if (i % 7 == 0)
			endpoint_tally_good(list[i % 20]);
		if (i % 97 == 0)
			endpoint_tally_set_health(list[i % 20], i % 2 ? HEALTH_UP : HEALTH_DOWN);
	}
	return NULL;
}

/* The control thread brings other sets and sweeps while workers hold on to what they have. */
START_TEST(sets_change_while_threads_work)
{
	struct endpoint_tally *held[20];
	pthread_t threads[4];

	is_over = false;
	for (size_t i = 0; i < 20; i++)
		held[i] = endpoint(i, 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, fail_until_over, held), 0);
	for (size_t i = 0; i < 300; i++) {
		have(i % 13, 1 + i % 20, i * USEC_S);
		tallies_sweep(tallies, i * USEC_MIN);
	}
	is_over = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < 20; i++)
		endpoint_tally_unref(&held[i]);
}
END_TEST

START_TEST(a_service_that_is_gone_is_forgotten_with_its_endpoints)
{
	have(1, 5, 0);
	go_wrong(0, 5, &five_of_third, USEC_S);
	for (size_t i = 0; i < n_endpoints; i++)
		endpoint_tally_unref(&endpoints[i]);
	n_endpoints = 0;
	tallies_sweep(tallies, USEC_MIN);
	tallies_sweep(tallies, 11 * USEC_MIN);
	ck_assert_uint_eq(service->n_endpoints, 0);
	have(1, 5, 20 * USEC_MIN);
	ck_assert_uint_eq(ejected(0), 0);
	ck_assert_uint_eq(endpoints[0]->since, 20 * USEC_MIN);
}
END_TEST

static struct breaker_config by_method = {.policy = {.error_rate = 0.5,
					      .min_samples = 1,
					      .window = 10 * USEC_S,
					      .open = 5 * USEC_S,
					      .probe = 200 * USEC_MS,
					      .successes = 2,
					      .by = BREAKER_BY_METHOD}};

static struct breaker *breaker_of_at(struct breaker_tally *t, unsigned method, usec_t now)
{
	char name[24];

	snprintf(name, sizeof name, "Method%u", method);
	return breaker_tally_find(t, &by_method, slice_str(name), now);
}

static struct breaker *breaker_of(struct breaker_tally *t, unsigned method)
{
	return breaker_of_at(t, method, 0);
}

START_TEST(each_method_has_its_breaker)
{
	struct breaker_tally *t = tallies_breaker(tallies, SLICE_LIT("a/breaker"));
	static struct breaker *found[300];

	for (unsigned i = 0; i < 300; i++)
		found[i] = breaker_of(t, i);
	for (unsigned i = 0; i < 300; i++) {
		ck_assert_ptr_eq(breaker_of(t, i), found[i]);
		for (unsigned k = 0; k < i; k++)
			ck_assert_ptr_ne(found[i], found[k]);
	}
	breaker_tally_unref(&t);
}
END_TEST

static bool lets_through(struct breaker_tally *t, unsigned method, usec_t now)
{
	struct breaker *b = breaker_of_at(t, method, now);

	return breaker_allow(b, &by_method.policy, now) != BREAKER_REFUSED;
}

START_TEST(a_storm_of_methods_that_fail_opens_nobody_elses_breaker)
{
	struct breaker_tally *t = tallies_breaker(tallies, SLICE_LIT("a/breaker"));
	usec_t now = 100 * USEC_S;

	breaker_record(breaker_of_at(t, 1, now), &by_method.policy, 1, BREAKER_FAILURE, now);
	for (unsigned i = 0; i < 50000; i++) {
		struct breaker *b = breaker_of_at(t, 1000 + i, now);

		breaker_record(b, &by_method.policy, breaker_allow(b, &by_method.policy, now),
		    BREAKER_FAILURE, now);
		if (i % 100 == 0) {
			now += 2 * USEC_MS;
			/* One that is called meanwhile stays as it is. */
			ck_assert(!lets_through(t, 1, now));
		}
	}
	/* One that was never heard of is closed. */
	for (unsigned i = 0; i < 100; i++)
		ck_assert(lets_through(t, 500 + i, now));
	breaker_tally_unref(&t);
}
END_TEST

START_TEST(by_service_all_methods_have_one_breaker)
{
	struct breaker_tally *t = tallies_breaker(tallies, SLICE_LIT("a/breaker"));
	struct breaker_config config = by_method;

	config.policy.by = BREAKER_BY_SERVICE;
	ck_assert_ptr_eq(breaker_tally_find(t, &config, SLICE_LIT("A"), 0),
	    breaker_tally_find(t, &config, SLICE_LIT("B"), 0));
	breaker_tally_unref(&t);
}
END_TEST

START_TEST(the_worst_of_its_breakers_is_told)
{
	struct breaker_tally *t = tallies_breaker(tallies, SLICE_LIT("a/breaker"));
	struct breaker *one = breaker_of(t, 1), *two = breaker_of(t, 2);
	usec_t now = 100 * USEC_S;

	ck_assert_int_eq(breaker_tally_state(t, &by_method, now), BREAKER_CLOSED);
	breaker_record(one, &by_method.policy, 1, BREAKER_FAILURE, now);
	ck_assert_int_eq(breaker_tally_state(t, &by_method, now), BREAKER_OPEN);
	now += 5 * USEC_S;
	ck_assert_int_eq(breaker_tally_state(t, &by_method, now), BREAKER_HALF_OPEN);
	breaker_record(two, &by_method.policy, 1, BREAKER_FAILURE, now);
	ck_assert_int_eq(breaker_tally_state(t, &by_method, now), BREAKER_OPEN);
	breaker_tally_unref(&t);
}
END_TEST

static struct breaker_tally *methods;

/* Who finds that another thread takes long to put the method in gets the one of all: it asks
 * again. */
static void *find_all(void *arg)
{
	struct breaker_config config = by_method;
	struct breaker **found = arg, *of_all;

	config.policy.by = BREAKER_BY_SERVICE;
	of_all = breaker_tally_find(methods, &config, SLICE_NONE, 0);
	for (unsigned i = 0; i < 300; i++)
		do
			found[i] = breaker_of(methods, i);
		while (found[i] == of_all);
	return NULL;
}

START_TEST(threads_find_the_same_breakers)
{
	static struct breaker *found[THREADS][300];
	pthread_t threads[THREADS];

	methods = tallies_breaker(tallies, SLICE_LIT("a/breaker"));
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, find_all, found[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 1; i < THREADS; i++)
		ck_assert_mem_eq(found[i], found[0], sizeof found[0]);
	breaker_tally_unref(&methods);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_name_finds_the_same_tally_again, 1},
	    {what_nobody_names_for_ten_minutes_is_forgotten, 1},
	    {a_sweep_takes_all_that_is_forgotten_and_nothing_else, 1},
	    {endpoints_say_since_when_they_are_there_unless_they_came_with_their_service, 1},
	    {so_many_failures_in_a_row_eject_for_a_time, 1},
	    {failures_of_calls_on_their_way_do_not_eject_again, 1},
	    {one_good_answer_ends_a_row, 1},
	    {nothing_is_ejected_where_nothing_ejects, 1},
	    {the_cap_holds_for_every_size_of_set, 1},
	    {the_last_endpoint_is_never_out, 1},
	    {a_policy_that_allows_more_is_not_held_up_by_one_that_allows_less, 1},
	    {when_the_set_shrinks_those_that_would_be_back_soonest_come_back, 1},
	    {who_is_ejected_and_gone_takes_nobodys_place, 1},
	    {an_endpoint_that_is_gone_is_not_ejected, 1},
	    {health_is_told_when_it_changes, 1},
	    {ejection_is_what_the_plain_rules_say, 4},
	    {the_cap_is_exact_when_many_threads_see_everything_fail, 1},
	    {sets_change_while_threads_work, 1},
	    {a_service_that_is_gone_is_forgotten_with_its_endpoints, 1},
	    {each_method_has_its_breaker, 1},
	    {a_storm_of_methods_that_fail_opens_nobody_elses_breaker, 1},
	    {by_service_all_methods_have_one_breaker, 1},
	    {the_worst_of_its_breakers_is_told, 1},
	    {threads_find_the_same_breakers, 1},
	};

	return suite_run_between("tally", tests, ARRAY_LEN(tests), begin, end);
}
