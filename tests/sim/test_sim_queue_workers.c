/*
 * Places of one limit among the calls of two workers: who gets one that is free, and that none
 * stays free while somebody waits for it.
 */
#include <check.h>

#include "base/mem.h"
#include "base/rng.h"
#include "net/loop.h"
#include "proxy/call.h"
#include "proxy/downstream.h"
#include "support/sim.h"
#include "support/stream_end.h"

#define HERE   "services.app.limit"
#define ONE    "limit: {concurrency: 1, queue: {length: 9, wait: 10s}}"
#define SECOND 1

/* Has one call at most. */
static struct fake_end *asks(unsigned worker, int seq)
{
	struct fake_end *caller = worker == SECOND ? dial_second() : dial();

	say(caller, FRAMED, .seq = seq);
	return caller;
}

/* The call with that number has been let through: the connection that it came on. */
static struct fake_end *served(struct fake_end *app, int seq)
{
	if (app == NULL || !is_open(app) || fake_received(app).len == 0)
		app = accepted();
	hear(app, FRAMED, .seq = seq);
	return app;
}

static void begin_two(const char *service)
{
	start(.service = service);
	start_second_worker();
}

START_TEST(a_free_place_goes_to_a_waiter_of_the_other_worker)
{
	struct fake_end *first, *other, *app;

	begin_two(ONE);
	first = asks(0, 1);
	app = served(NULL, 1);
	other = asks(SECOND, 2);
	no_connect();
	say(app, FRAMED, .seq = 1);
	hear(first, FRAMED, .seq = 1);
	app = served(NULL, 2);
	say(app, FRAMED, .seq = 2);
	hear(other, FRAMED, .seq = 2);
	ck_assert_uint_eq(running(HERE), 0);
}
END_TEST

START_TEST(waiters_of_the_same_worker_come_first)
{
	struct fake_end *app;

	begin_two(ONE);
	asks(0, 1);
	app = served(NULL, 1);
	asks(SECOND, 2);
	pass(4); /* not markedly earlier */
	asks(0, 3);
	say(app, FRAMED, .seq = 1);
	hear(app, FRAMED, .seq = 3);
	no_connect();
	say(app, FRAMED, .seq = 3);
	served(NULL, 2);
}
END_TEST

START_TEST(one_who_has_waited_longer_elsewhere_is_not_passed_over_for_ever)
{
	struct fake_end *app;

	begin_two(ONE);
	asks(0, 1);
	app = served(NULL, 1);
	asks(SECOND, 2);
	for (int i = 3; i < 8; i++) { /* this worker always has somebody */
		pass(2);
		asks(0, i);
	}
	say(app, FRAMED, .seq = 1);
	hear(app, FRAMED, .seq = 3);
	say(app, FRAMED, .seq = 3);
	hear(app, FRAMED, .seq = 4);
	say(app, FRAMED, .seq = 4);
	served(NULL, 2);
	hear_nothing(app);
}
END_TEST

START_TEST(a_word_that_comes_too_late_is_passed_on)
{
	struct fake_end *gone, *first, *app;

	begin_two(ONE);
	first = asks(0, 1);
	app = served(NULL, 1);
	gone = asks(SECOND, 2);
	hold_wakes(true);
	say(app, FRAMED, .seq = 1);
	hear(first, FRAMED, .seq = 1);
	pass(1);
	asks(0, 3); /* does not push in front of the one who waits */
	hear_nothing(app);
	reset(gone);
	hear_nothing(app);
	hold_wakes(false); /* finds nobody there any more */
	hear(app, FRAMED, .seq = 3);
	ck_assert_uint_eq(running(HERE), 1);
}
END_TEST

START_TEST(a_word_for_nobody_is_of_no_harm)
{
	struct fake_end *gone, *app;

	begin_two(ONE);
	asks(0, 1);
	app = served(NULL, 1);
	gone = asks(SECOND, 2);
	hold_wakes(true);
	say(app, FRAMED, .seq = 1);
	reset(gone);
	hold_wakes(false);
	ck_assert_uint_eq(running(HERE), 0);
	asks(0, 3);
	hear(app, FRAMED, .seq = 3);
}
END_TEST

START_TEST(a_word_may_still_be_on_its_way_when_the_workers_end)
{
	struct fake_end *app;

	begin_two(ONE);
	asks(0, 1);
	app = served(NULL, 1);
	asks(SECOND, 2);
	hold_wakes(true);
	say(app, FRAMED, .seq = 1);
	sim_stop();
}
END_TEST

START_TEST(several_free_places_reach_several_waiters)
{
	struct fake_end *apps[3];

	begin_two("limit: {concurrency: 3, queue: {length: 9, wait: 10s}}");
	for (int i = 0; i < 3; i++) {
		asks(0, i);
		apps[i] = served(NULL, i);
	}
	for (int i = 3; i < 6; i++)
		asks(SECOND, i);
	hold_wakes(true);
	for (int i = 0; i < 3; i++)
		say(apps[i], FRAMED, .seq = i);
	hold_wakes(false);
	for (int i = 3; i < 6; i++)
		hear(accepted(), FRAMED, .seq = i);
	ck_assert_uint_eq(running(HERE), 3);
}
END_TEST

START_TEST(a_callers_place_goes_to_the_same_caller_elsewhere)
{
	struct fake_end *callers[4], *a, *b;

	begin_two("limit: {concurrency: 1, by: caller, queue: {length: 9, wait: 10s}}");
	callers[0] = dial();
	callers[1] = dial();
	callers[2] = dial_second();
	callers[3] = dial_second();
	say(callers[0], TTHEADER, .seq = 0, .keys = "3=shop.a");
	a = accepted();
	hear(a, TTHEADER, .seq = 0);
	say(callers[1], TTHEADER, .seq = 1, .keys = "3=shop.b");
	b = accepted();
	hear(b, TTHEADER, .seq = 1);
	say(callers[2], TTHEADER, .seq = 2, .keys = "3=shop.b");
	say(callers[3], TTHEADER, .seq = 3, .keys = "3=shop.a");
	no_connect();
	say(a, TTHEADER, .seq = 0);
	hear(accepted(), TTHEADER, .seq = 3);
	no_connect();
	say(b, TTHEADER, .seq = 1);
	hear(accepted(), TTHEADER, .seq = 2);
}
END_TEST

/* ---- anything at any time ---- */

#define STEPS   3000
#define CLIENTS 24
#define APPS    64

static struct {
	struct rng rng;
	struct fake_end *callers[CLIENTS]; /* NULL: to be dialled */
	bool is_asking[CLIENTS];
	struct fake_end *apps[APPS];
	int seqs[APPS]; /* of the call it has to answer; 0: none */
	unsigned n_apps, n_good;
	int next_seq;
} soak;

static unsigned below(unsigned n)
{
	return (unsigned)rng_below(&soak.rng, n);
}

static const char *const rules[] = {
    "limit: {concurrency: 1, queue: {length: 9, wait: 80ms}}",
    "limit: {concurrency: 2, queue: {length: 20, wait: 80ms}}",
    "limit: {concurrency: 5, queue: {length: 4, wait: 30ms}}",
    ("limit: {concurrency: 3, queue: {length: 9, wait: 80ms}}, "
     "methods: {Echo: {limit: {concurrency: 2, queue: {length: 9, wait: 50ms}}}}"),
    "limit: {concurrency: 4, share: equal, queue: {length: 9, wait: 50ms}}",
    "limit: {concurrency: 2, by: method, queue: {length: 9, wait: 50ms}}",
};
static const unsigned places[] = {1, 2, 5}; /* of the first ones */

static void ask_or_leave(void)
{
	unsigned i = below(CLIENTS);

	if (soak.callers[i] == NULL) {
		soak.callers[i] = i % 2 ? dial_second() : dial();
		soak.is_asking[i] = false;
	}
	if (!soak.is_asking[i]) {
		soak.is_asking[i] = true;
		say(soak.callers[i], FRAMED, .seq = ++soak.next_seq);
	} else if (below(4) == 0) {
		reset(soak.callers[i]);
		fake_forget(soak.callers[i]);
		soak.callers[i] = NULL;
	}
}

static void look_at_callers(void)
{
	static struct sim_heard r;
	size_t used;

	for (unsigned i = 0; i < CLIENTS; i++) {
		struct fake_end *c = soak.callers[i];

		while (c && (used = sim_frame_read(fake_received(c), &r)) > 0) {
			soak.n_good += r.kind == REPLY;
			fake_consume(c, used);
			soak.is_asking[i] = false;
		}
	}
}

static void look_at_apps(void)
{
	static struct sim_heard r;
	struct fake_end *fresh;
	size_t used;

	while ((fresh = fake_accept(sim_loop()))) {
		ck_assert_uint_lt(soak.n_apps, APPS);
		soak.apps[soak.n_apps++] = fresh;
	}
	for (unsigned i = 0; i < soak.n_apps; i++) {
		if (fake_is_over(soak.apps[i])) {
			fake_forget(soak.apps[i]);
			soak.apps[i] = soak.apps[--soak.n_apps];
			soak.seqs[i] = soak.seqs[soak.n_apps];
			soak.seqs[soak.n_apps] = 0;
			i--;
		} else if ((used = sim_frame_read(fake_received(soak.apps[i]), &r)) > 0) {
			soak.seqs[i] = r.seq;
			fake_consume(soak.apps[i], used);
		}
	}
}

static void answer_or_fail(void)
{
	unsigned i = soak.n_apps ? below(soak.n_apps) : 0;

	if (soak.n_apps == 0 || soak.seqs[i] == 0)
		return;
	if (below(10) == 0)
		reset(soak.apps[i]);
	else
		say(soak.apps[i], FRAMED, .seq = soak.seqs[i]);
	soak.seqs[i] = 0;
}

static unsigned waiting(const struct worker *w)
{
	unsigned n = 0;

	list_each (link, &w->downstreams) {
		const struct downstream *d = list_item(link, struct downstream, link);

		list_each (at, &d->calls)
			n += list_item(at, struct call, link)->admission.state == ADMISSION_QUEUED;
	}
	return n;
}

static void a_step(void)
{
	unsigned what = below(100);

	if (what < 45)
		ask_or_leave();
	else if (what < 85)
		answer_or_fail();
	else
		pass(below(20));
	look_at_apps();
	look_at_callers();
}

/* All calls come to an end; sim_stop sees whether any place is still held. */
static void end_soak(void)
{
	hold_wakes(false);
	for (int i = 0; i < 200; i++) {
		for (unsigned k = 0; k < soak.n_apps; k++)
			if (soak.seqs[k]) {
				say(soak.apps[k], FRAMED, .seq = soak.seqs[k]);
				soak.seqs[k] = 0;
			}
		pass(1);
		look_at_apps();
		look_at_callers();
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		ck_assert(soak.callers[i] == NULL || !soak.is_asking[i]);
	ck_assert_uint_eq(running(HERE), 0);
	ck_assert_uint_gt(soak.n_good, STEPS / 20);
	sim_stop();
}

START_TEST(nobody_waits_for_a_place_that_is_free)
{
	bool is_held = false;

	rng_init(&soak.rng, 100 + (unsigned)_i);
	begin_two(rules[(unsigned)_i % ARRAY_LEN(places)]);
	for (int i = 0; i < STEPS; i++) {
		a_step();
		if (below(50) == 0)
			hold_wakes(is_held = !is_held);
		/* Words on their way may be what they wait for. */
		if (!is_held && waiting(sim_worker()) + waiting(sim_second()))
			ck_assert_uint_eq(running(HERE), places[(unsigned)_i % ARRAY_LEN(places)]);
		ck_assert_uint_le(running(HERE), places[(unsigned)_i % ARRAY_LEN(places)]);
	}
	end_soak();
}
END_TEST

START_TEST(no_place_is_lost_over_changes_of_rules)
{
	rng_init(&soak.rng, 200 + (unsigned)_i);
	begin_two(rules[0]);
	for (int i = 0; i < STEPS; i++) {
		a_step();
		if (below(50) == 0)
			hold_wakes(below(2));
		if (below(50) == 0)
			reload(.service = rules[below(ARRAY_LEN(rules))]);
	}
	end_soak();
}
END_TEST

#define SEEDS 9

int main(void)
{
	const struct suite_test tests[] = {
	    {a_free_place_goes_to_a_waiter_of_the_other_worker, 1},
	    {waiters_of_the_same_worker_come_first, 1},
	    {one_who_has_waited_longer_elsewhere_is_not_passed_over_for_ever, 1},
	    {a_word_that_comes_too_late_is_passed_on, 1},
	    {a_word_for_nobody_is_of_no_harm, 1},
	    {a_word_may_still_be_on_its_way_when_the_workers_end, 1},
	    {several_free_places_reach_several_waiters, 1},
	    {a_callers_place_goes_to_the_same_caller_elsewhere, 1},
	    {nobody_waits_for_a_place_that_is_free, SEEDS},
	    {no_place_is_lost_over_changes_of_rules, SEEDS},
	};

	return stream_main("sim_queue_workers", tests, ARRAY_LEN(tests));
}
