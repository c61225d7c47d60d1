/* Limits by key and with shares: what each caller gets, what is kept, and exactness with many
 * threads. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/limit_pots.h"
#include "model/tally.h"
#include "support/suite.h"

static struct tallies *tallies;
static struct limit_tally *limit;
static struct limit_config config;

static void begin(void)
{
	tallies = tallies_new();
	limit = NULL;
	config = (struct limit_config){.at = "defaults.limit", .concurrency = COUNT_NONE};
}

static void end(void)
{
	limit_tally_unref(&limit);
	tallies_free(&tallies);
}

static void set_rate(unsigned count, usec_t per, unsigned burst)
{
	config.has_rate = true;
	config.rate = (struct rate){.count = count, .per = per};
	config.burst = burst;
}

static void make(void)
{
	limit_tally_unref(&limit);
	limit = tallies_limit(tallies, SLICE_LIT("defaults/limit"), &config);
}

static bool take(const char *caller, const char *method, usec_t now)
{
	struct limit_who who = {slice_str(caller), slice_str(method)};

	return limit_take(limit, &config, &who, now) != LIMIT_REFUSED;
}

static uint64_t enter(const char *caller, usec_t now)
{
	struct limit_who who = {slice_str(caller), SLICE_LIT("M")};

	return limit_enter(limit, &config, &who, now);
}

START_TEST(a_limit_without_a_rate_lets_all_calls_through)
{
	make();
	for (int i = 0; i < 1000; i++)
		ck_assert(take("a", "M", USEC_S));
	ck_assert_uint_eq(limit_refused(limit), 0);
}
END_TEST

START_TEST(without_keys_all_callers_and_methods_count_together)
{
	set_rate(10, USEC_S, 2);
	make();
	ck_assert(take("a", "M", USEC_S));
	ck_assert(take("b", "N", USEC_S));
	ck_assert(!take("c", "O", USEC_S));
	ck_assert_uint_eq(limit_refused(limit), 1);
}
END_TEST

START_TEST(by_caller_and_by_method_each_has_the_whole_limit)
{
	set_rate(10, USEC_S, 2);
	for (config.by = LIMIT_BY_CALLER; config.by <= LIMIT_BY_METHOD; config.by++) {
		bool is_caller = config.by == LIMIT_BY_CALLER;

		make();
		for (unsigned i = 0; i < 100; i++) {
			char name[16];

			snprintf(name, sizeof name, "x%u", i);
			for (int n = 0; n < 3; n++)
				ck_assert_int_eq(take(is_caller ? name : "-",
						     is_caller ? "-" : name, config.by * USEC_MIN),
				    n < 2);
		}
	}
}
END_TEST

START_TEST(what_another_limit_refused_goes_back)
{
	struct limit_who who = {SLICE_LIT("a"), SLICE_LIT("M")};
	usec_t now = USEC_MIN;

	set_rate(10, USEC_S, 1);
	config.by = _i & 1 ? LIMIT_BY_METHOD : LIMIT_BY_NONE;
	config.share_equal = _i & 2;
	make();
	for (int n = 0; n < 100; n++) {
		uint64_t taken = limit_take(limit, &config, &who, now);

		ck_assert_uint_ne(taken, LIMIT_REFUSED);
		limit_give_back(limit, &config, &who, taken, now);
	}
	limit_give_back(limit, &config, &who, LIMIT_REFUSED, now);
	ck_assert(take("a", "M", now));
	ck_assert(!take("a", "M", now));
}
END_TEST

START_TEST(slots_are_as_many_as_the_limit_and_come_back)
{
	uint64_t places[3];

	config.concurrency = 3;
	make();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3; i++) {
			places[i] = enter("a", USEC_S);
			ck_assert_uint_ne(places[i], LIMIT_REFUSED);
		}
		ck_assert_uint_eq(enter("b", USEC_S), LIMIT_REFUSED);
		ck_assert_uint_eq(limit_running(limit), 3);
		for (int i = 0; i < 3; i++)
			limit_leave(limit, places[i]);
		ck_assert_uint_eq(limit_running(limit), 0);
	}
	config.concurrency = COUNT_NONE;
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_ne(enter("a", USEC_S), LIMIT_REFUSED);
}
END_TEST

START_TEST(slots_by_caller_are_each_callers_own)
{
	uint64_t a, b;

	config.concurrency = 1;
	config.by = LIMIT_BY_CALLER;
	make();
	a = enter("a", USEC_S);
	b = enter("b", USEC_S);
	ck_assert_uint_ne(a, LIMIT_REFUSED);
	ck_assert_uint_ne(b, LIMIT_REFUSED);
	ck_assert_uint_eq(enter("a", USEC_S), LIMIT_REFUSED);
	limit_leave(limit, a);
	ck_assert_uint_eq(enter("b", USEC_S), LIMIT_REFUSED);
	ck_assert_uint_ne(enter("a", USEC_S), LIMIT_REFUSED);
}
END_TEST

/* A reload may say something else of keys and shares while calls run. */
START_TEST(a_slot_is_given_back_where_it_was_taken)
{
	uint64_t places[4];

	config.concurrency = 10;
	make();
	for (int i = 0; i < 4; i++) {
		config.by = i & 1 ? LIMIT_BY_CALLER : LIMIT_BY_NONE;
		config.share_equal = i & 2;
		make();
		places[i] = enter("a", USEC_S);
		ck_assert_uint_ne(places[i], LIMIT_REFUSED);
	}
	ck_assert_uint_eq(limit_running(limit), 4);
	for (int i = 0; i < 4; i++)
		limit_leave(limit, places[i]);
	ck_assert_uint_eq(limit_running(limit), 0);
	config = (struct limit_config){.concurrency = 2};
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(enter("a", USEC_S) != LIMIT_REFUSED, i < 2);
}
END_TEST

START_TEST(the_queue_has_so_many_places_and_each_caller_its_share)
{
	struct limit_who a = {.caller = SLICE_LIT("a")}, b = {.caller = SLICE_LIT("b")};
	uint64_t places[10], n = 0;

	config.queue_length = 10;
	config.share_equal = true;
	make();
	ck_assert_uint_ne(limit_queue_enter(limit, &config, &b, USEC_S), LIMIT_REFUSED);
	while (n < 10 && (places[n] = limit_queue_enter(limit, &config, &a, USEC_S)))
		n++;
	ck_assert_uint_ge(n, 5);    /* its share, and perhaps some of what b leaves */
	for (int i = 0; i < 2; i++) /* b is not shut out */
		ck_assert_uint_ne(limit_queue_enter(limit, &config, &b, USEC_S), LIMIT_REFUSED);
	while (n)
		limit_queue_leave(limit, places[--n]);
	config.share_equal = false;
	for (n = 3; limit_queue_enter(limit, &config, &a, USEC_S); n++)
		;
	ck_assert_uint_eq(n, 10);
	config.queue_length = 0;
	ck_assert_uint_eq(limit_queue_enter(limit, &config, &b, USEC_S), LIMIT_REFUSED);
}
END_TEST

START_TEST(the_worker_that_waits_longest_is_known)
{
	make();
	ck_assert_int_eq(limit_longest_waiting(limit), -1);
	limit_note_waiting(limit, 3, 500);
	limit_note_waiting(limit, 255, 400);
	limit_note_waiting(limit, 0, 600);
	limit_note_waiting(limit, LIMIT_WORKERS_MAX, 1); /* there is none such */
	ck_assert_int_eq(limit_longest_waiting(limit), 255);
	ck_assert_uint_eq(limit_waiting_since(limit, 255), 400);
	limit_note_waiting(limit, 255, 0);
	ck_assert_int_eq(limit_longest_waiting(limit), 3);
	limit_note_waiting(limit, 3, 0);
	limit_note_waiting(limit, 0, 0);
	ck_assert_int_eq(limit_longest_waiting(limit), -1);
}
END_TEST

static size_t resident(void)
{
	size_t pages = 0, shared = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%zu %zu", &shared, &pages) != 2)
		pages = 0;
	fclose(f);
	return pages * 4096;
}

/* So many names, one after the other, and one caller that goes on among them. */
START_TEST(a_storm_of_names_takes_no_memory_and_nobodys_state_who_is_there)
{
	enum { NAMES = 300000 };
	usec_t now = USEC_MIN;
	unsigned passed = 0, refused = 0;
	size_t half = 0;
	char name[32];

	set_rate(1, USEC_MIN, 5);
	config.by = LIMIT_BY_CALLER;
	make();
	for (unsigned i = 0; i < NAMES; i++, now += 10) {
		snprintf(name, sizeof name, "storm-%u", i);
		refused += !take(name, "M", now);
		/* Every 1000 names: in its set of eight about half a new one each time. */
		if (i % 1000 == 0)
			passed += take("steady", "M", now);
		if (i == NAMES / 2)
			half = resident();
	}
	ck_assert_uint_eq(refused, 0);
	ck_assert_uint_eq(passed, 5);
	ck_assert_uint_lt(resident(), half + 1024 * 1024);
}
END_TEST

START_TEST(ten_thousand_callers_keep_their_states)
{
	unsigned twice = 0;

	set_rate(1, 60 * USEC_MIN, 1);
	config.by = LIMIT_BY_CALLER;
	make();
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < LIMIT_KEYS; i++) {
			char name[16];

			snprintf(name, sizeof name, "caller%u", i);
			if (round == 0)
				ck_assert(take(name, "M", USEC_MIN + i));
			else
				twice += take(name, "M", 2 * USEC_MIN + i);
		}
	/* Sets of eight for five on average: some are over-full. */
	ck_assert_uint_lt(twice, LIMIT_KEYS * 15 / 100);
}
END_TEST

START_TEST(what_runs_is_not_forgotten_in_a_storm)
{
	uint64_t places[100];
	unsigned refused = 0;
	char name[32];

	config.by = LIMIT_BY_CALLER;
	config.concurrency = 1;
	make();
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "long-%u", i);
		places[i] = enter(name, USEC_S);
		ck_assert_uint_ne(places[i], LIMIT_REFUSED);
	}
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t place;

		snprintf(name, sizeof name, "storm-%u", i);
		place = enter(name, USEC_MIN + i);
		refused += place == LIMIT_REFUSED;
		if (place != LIMIT_REFUSED)
			limit_leave(limit, place);
	}
	ck_assert_uint_eq(refused, 0);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "long-%u", i);
		ck_assert_uint_eq(enter(name, 60 * USEC_MIN), LIMIT_REFUSED);
		limit_leave(limit, places[i]);
	}
	ck_assert_uint_eq(limit_running(limit), 0);
}
END_TEST

/* More callers at once than there is room for: those over share a state, and all comes back. */
START_TEST(more_running_keys_than_there_is_room_for_are_survived)
{
	enum { N = 30000 };
	static uint64_t places[N];
	unsigned refused = 0;
	char name[32];

	config.by = LIMIT_BY_CALLER;
	config.concurrency = 1;
	make();
	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof name, "caller%u", i);
		places[i] = enter(name, USEC_S);
		refused += places[i] == LIMIT_REFUSED;
	}
	ck_assert_uint_eq(limit_running(limit), N - refused);
	ck_assert_uint_le(limit_running(limit), LIMIT_POTS + 1);
	ck_assert_uint_gt(limit_running(limit), LIMIT_KEYS);
	for (unsigned i = 0; i < N; i++)
		if (places[i] != LIMIT_REFUSED)
			limit_leave(limit, places[i]);
	ck_assert_uint_eq(limit_running(limit), 0);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "later%u", i);
		ck_assert_uint_ne(enter(name, USEC_MIN), LIMIT_REFUSED);
	}
}
END_TEST

/*
 * Shares. Callers at rates of their own, in virtual time; each is regular, regular with jitter, or
 * by pure chance.
 */
enum { CALLERS = 50 };
enum arrival { REGULAR, JITTER, CHANCE };

struct caller {
	char name[16];
	double every, next; /* seconds */
	enum arrival arrival;
	unsigned sent, passed;
};

static double chance(struct rng *rng)
{
	return ((double)(rng_next(rng) >> 11) + 0.5) * 0x1p-53;
}

static double wait_of(const struct caller *c, struct rng *rng)
{
	switch (c->arrival) {
	case REGULAR:
		break;
	case JITTER:
		return c->every * (0.5 + chance(rng));
	case CHANCE:
		return -log(chance(rng)) * c->every;
	}
	return c->every;
}

static struct caller *next_of(struct caller *callers, unsigned n)
{
	struct caller *first = callers;

	for (unsigned i = 1; i < n; i++)
		if (callers[i].next < first->next)
			first = &callers[i];
	return first;
}

/* Calls from @start on for so many seconds; the number of all that passed. */
static unsigned play(
    struct caller *callers, unsigned n, double start, double seconds, struct rng *rng)
{
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++) {
		snprintf(callers[i].name, sizeof callers[i].name, "c%u", i);
		callers[i].next = start + chance(rng) * callers[i].every;
	}
	for (;;) {
		struct caller *c = next_of(callers, n);

		if (c->next > start + seconds)
			return passed;
		c->sent++;
		if (take(c->name, "M", (usec_t)(c->next * 1e6))) {
			c->passed++;
			passed++;
		}
		c->next += wait_of(c, rng);
	}
}

static const struct mix {
	unsigned rate, callers;
	double load; /* of the others, of their share */
	enum arrival arrival;
	double seconds;
} mixes[] = {
    {10, 2, 1, REGULAR, 3600},
    {10, 3, 1, JITTER, 900},
    {10, 5, 0.8, CHANCE, 1800},
    {5, 2, 1, REGULAR, 3600},
    {5, 3, 0.8, CHANCE, 3600},
    {30, 2, 1, JITTER, 900},
    {30, 10, 1, JITTER, 900},
    {30, 50, 0.8, CHANCE, 900},
    {30, 50, 1, REGULAR, 600},
    {100, 2, 1, JITTER, 300},
    {100, 5, 0.9, CHANCE, 300},
    {100, 10, 1, REGULAR, 300},
    {100, 10, 1, CHANCE, 300},
    {1000, 2, 1, JITTER, 20},
    {1000, 50, 0.9, CHANCE, 20},
};

START_TEST(one_at_ten_times_its_share_leaves_the_others_theirs)
{
	const struct mix *mix = &mixes[_i];
	double share = (double)mix->rate / mix->callers, left = mix->rate, most;
	struct caller callers[CALLERS] = {0};
	unsigned passed;
	struct rng rng;

	rng_init(&rng, (uint64_t)_i);
	set_rate(mix->rate, USEC_S, mix->rate > 10 ? mix->rate / 10 : 1);
	config.share_equal = true;
	make();
	callers[0].every = 1 / (share * 10);
	for (unsigned i = 1; i < mix->callers; i++) {
		callers[i].every = 1 / (share * mix->load);
		callers[i].arrival = mix->arrival;
	}
	passed = play(callers, mix->callers, 1000, mix->seconds, &rng);
	for (unsigned i = 1; i < mix->callers; i++) {
		double theirs = fmin(callers[i].sent, share * mix->seconds);

		ck_assert_double_ge(callers[i].passed, 0.95 * theirs);
		left -= share * mix->load;
	}
	/* The limit is kept, but for what may come early; what others leave is used. */
	most = mix->rate * (mix->seconds + 4) + config.burst + 1;
	ck_assert_double_le(passed, most);
	if (left < share * 10)
		ck_assert_double_ge(passed, 0.99 * mix->rate * mix->seconds);
}
END_TEST

START_TEST(a_caller_that_is_alone_has_the_whole_rate)
{
	struct caller callers[2] = {{.every = 0.001}, {.every = 0.05}};
	struct rng rng;

	rng_init(&rng, 1);
	set_rate(100, USEC_S, 10);
	config.share_equal = true;
	make();
	ck_assert_uint_ge(play(callers, 1, 1000, 60, &rng), 6000);
	ck_assert_uint_le(callers[0].passed, 6010);
	/* Another one comes and takes 20 of the 100; its share would be 50. */
	callers[0].passed = 0;
	ck_assert_uint_ge(play(callers, 2, 2000, 60, &rng), 5800);
	ck_assert_uint_ge(callers[1].passed, 1180);
	ck_assert_uint_ge(callers[0].passed, 4700);
}
END_TEST

START_TEST(shares_are_taken_of_each_methods_limit)
{
	set_rate(10, USEC_S, 10);
	config.by = LIMIT_BY_METHOD;
	config.share_equal = true;
	make();
	for (int i = 0; i < 100; i++) {
		take("hog", "M", USEC_MIN);
		take("hog", "N", USEC_MIN + 30 * USEC_S);
	}
	ck_assert(take("other", "N", USEC_MIN + 30 * USEC_S));
	ck_assert(take("other", "M", USEC_MIN + 30 * USEC_S));
}
END_TEST

/* Callers that call again as soon as they are answered: ten times as many of one as of the
 * other. */
START_TEST(slots_are_shared_between_callers_that_are_never_satisfied)
{
	enum { HOGS = 50, OTHERS = 5, SLOTS = 10 };
	uint64_t places[HOGS + OTHERS] = {0}, busy[2] = {0}, over = 0;
	struct rng rng;

	rng_init(&rng, 2);
	config.concurrency = SLOTS;
	config.share_equal = true;
	make();
	for (usec_t now = USEC_S; now < 40 * USEC_S; now += USEC_MS) {
		size_t i = rng_below(&rng, HOGS + OTHERS), first = rng_below(&rng, HOGS + OTHERS);

		if (places[i]) {
			limit_leave(limit, places[i]);
			places[i] = 0;
		}
		for (size_t k = 0; k < HOGS + OTHERS; k++) {
			i = (first + k) % (HOGS + OTHERS);
			if (places[i] == 0)
				places[i] = enter(i < HOGS ? "hog" : "other", now);
			busy[i >= HOGS] += places[i] != 0;
		}
		over += limit_running(limit) > SLOTS;
	}
	ck_assert_uint_eq(over, 0);
	ck_assert_double_ge((double)busy[1], 0.95 * 39000 * SLOTS / 2);
	ck_assert_double_ge((double)busy[0], 0.90 * 39000 * SLOTS / 2);
}
END_TEST

enum { THREADS = 8 };

static _Atomic uint64_t clock_shared;

struct worker {
	pthread_t thread;
	unsigned number, passed, over;
};

static void run_all(void *(*body)(void *), struct worker *workers)
{
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.number = i};
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, body, &workers[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
}

static void *take_keys(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < 20000; i++) {
		char name[16];

		/* All of them look for the same new names at the same time. */
		snprintf(name, sizeof name, "x%u", i / 20);
		w->passed += take(name, "M", USEC_MIN);
	}
	return NULL;
}

START_TEST(threads_find_one_state_for_a_key)
{
	struct worker workers[THREADS];
	unsigned passed = 0;

	set_rate(1, 60 * USEC_MIN, 3);
	config.by = LIMIT_BY_CALLER;
	make();
	run_all(take_keys, workers);
	for (unsigned i = 0; i < THREADS; i++)
		passed += workers[i].passed;
	/* A thread that finds another at work in its set for a long time takes from a state that
	 * all such share, which is good for three more. */
	ck_assert_uint_ge(passed, 3000);
	ck_assert_uint_le(passed, 3003);
}
END_TEST

static _Atomic unsigned inside;

static void *enter_and_leave(void *arg)
{
	struct worker *w = arg;
	static const char *const names[] = {"a", "b", "c", "d"};

	for (unsigned i = 0; i < 20000; i++) {
		uint64_t place = enter(names[(w->number + i) % 4],
		    atomic_fetch_add_explicit(&clock_shared, 10, memory_order_relaxed));

		if (place == LIMIT_REFUSED)
			continue;
		w->passed++;
		w->over += atomic_fetch_add(&inside, 1) >= 5;
		atomic_fetch_sub(&inside, 1);
		limit_leave(limit, place);
	}
	return NULL;
}

START_TEST(threads_together_never_have_more_slots_than_there_are)
{
	struct worker workers[THREADS];

	clock_shared = USEC_MIN;
	config.concurrency = 5;
	config.share_equal = _i;
	make();
	run_all(enter_and_leave, workers);
	for (unsigned i = 0; i < THREADS; i++) {
		ck_assert_uint_eq(workers[i].over, 0);
		ck_assert_uint_gt(workers[i].passed, 0);
	}
	ck_assert_uint_eq(limit_running(limit), 0);
}
END_TEST

static void *storm(void *arg)
{
	struct worker *w = arg;
	char name[32];

	for (unsigned i = 0; i < 10000; i++) {
		usec_t now = atomic_fetch_add_explicit(&clock_shared, 100, memory_order_relaxed);
		uint64_t place;

		snprintf(name, sizeof name, "s%u-%u", w->number % 2, i);
		place = enter(name, now);
		w->passed += place != LIMIT_REFUSED;
		take(name, "M", now);
		if (place != LIMIT_REFUSED)
			limit_leave(limit, place);
	}
	return NULL;
}

START_TEST(threads_in_a_storm_of_names_leave_nothing_behind)
{
	struct worker workers[THREADS];

	clock_shared = USEC_MIN;
	set_rate(10, USEC_S, 10);
	config.concurrency = 5;
	config.by = LIMIT_BY_METHOD;
	config.share_equal = true;
	make();
	run_all(storm, workers);
	ck_assert_uint_eq(limit_running(limit), 0);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_uint_ne(enter("after", 60 * USEC_MIN), LIMIT_REFUSED);
	ck_assert_uint_eq(enter("after", 60 * USEC_MIN), LIMIT_REFUSED);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {a_limit_without_a_rate_lets_all_calls_through, 1},
	    {without_keys_all_callers_and_methods_count_together, 1},
	    {by_caller_and_by_method_each_has_the_whole_limit, 1},
	    {what_another_limit_refused_goes_back, 4},
	    {slots_are_as_many_as_the_limit_and_come_back, 1},
	    {slots_by_caller_are_each_callers_own, 1},
	    {a_slot_is_given_back_where_it_was_taken, 1},
	    {the_queue_has_so_many_places_and_each_caller_its_share, 1},
	    {the_worker_that_waits_longest_is_known, 1},
	    {a_storm_of_names_takes_no_memory_and_nobodys_state_who_is_there, 1},
	    {ten_thousand_callers_keep_their_states, 1},
	    {what_runs_is_not_forgotten_in_a_storm, 1},
	    {more_running_keys_than_there_is_room_for_are_survived, 1},
	    {one_at_ten_times_its_share_leaves_the_others_theirs, ARRAY_LEN(mixes)},
	    {a_caller_that_is_alone_has_the_whole_rate, 1},
	    {shares_are_taken_of_each_methods_limit, 1},
	    {slots_are_shared_between_callers_that_are_never_satisfied, 1},
	    {threads_find_one_state_for_a_key, 1},
	    {threads_together_never_have_more_slots_than_there_are, 2},
	    {threads_in_a_storm_of_names_leave_nothing_behind, 1},
	};

	return suite_run_between("limit_tally", tests, ARRAY_LEN(tests), begin, end);
}
