#include <check.h>
#include <stdbool.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/wheel.h"
#include "support/suite.h"

#define MINUTE (60 * USEC_S)
#define HOUR   (60 * MINUTE)

/* --- single timers --- */

struct probe {
	struct timer timer;
	unsigned fired;
	usec_t when;
};

static void note_fire(struct timer *t, usec_t now)
{
	struct probe *p = container_of(t, struct probe, timer);

	ck_assert(!timer_is_set(t));
	p->fired++;
	p->when = now;
}

/* Runs the wheel as a loop does, waking at the times it names. */
static void run_until(struct wheel *w, usec_t from, usec_t until)
{
	for (usec_t now = from; now < until;) {
		usec_t next = wheel_next(w);

		now = usec_min(next, until);
		wheel_run(w, now);
	}
}

START_TEST(wheel_never_fires_early_and_at_most_a_tick_late)
{
	static const usec_t waits[] = {0, 1, 999, USEC_MS, USEC_MS + 1, 63 * USEC_MS, 64 * USEC_MS,
	    65 * USEC_MS, 4095 * USEC_MS, 4096 * USEC_MS, 4097 * USEC_MS, 262143 * USEC_MS,
	    262144 * USEC_MS, 262145 * USEC_MS, 4 * HOUR, 5 * HOUR, 100 * HOUR};
	static const usec_t starts[] = {
	    0, 1, 999, 63 * USEC_MS, 4095 * USEC_MS + 7, HOUR + 1, 1000000 * HOUR + 123457};

	for (size_t s = 0; s < ARRAY_LEN(starts); s++)
		for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
			usec_t start = starts[s], at = start + waits[i];
			struct probe p = {.fired = 0};
			struct wheel w;

			wheel_init(&w, start);
			wheel_set(&w, &p.timer, at, note_fire);
			ck_assert(timer_is_set(&p.timer));
			run_until(&w, start, at + 2 * USEC_MS);
			ck_assert_uint_eq(p.fired, 1);
			ck_assert_uint_ge(p.when, at);
			ck_assert_uint_le(p.when, at + USEC_MS + 999);
			ck_assert_uint_eq(wheel_next(&w), USEC_NONE);
		}
}
END_TEST

START_TEST(wheel_wakes_seldom_for_a_timer_far_away)
{
	struct probe p = {.fired = 0};
	struct wheel w;
	unsigned wakes = 0;

	wheel_init(&w, 0);
	wheel_set(&w, &p.timer, HOUR + 1, note_fire);
	while (p.fired == 0) {
		wheel_run(&w, wheel_next(&w));
		wakes++;
	}
	ck_assert_uint_le(wakes, WHEEL_LEVELS);
}
END_TEST

START_TEST(wheel_clears_and_moves_timers)
{
	struct probe p = {.fired = 0};
	struct wheel w;

	wheel_init(&w, 0);
	wheel_clear(&p.timer); /* never set: harmless */
	ck_assert(!timer_is_set(&p.timer));
	wheel_set(&w, &p.timer, 10 * USEC_MS, note_fire);
	wheel_clear(&p.timer);
	wheel_clear(&p.timer);
	wheel_run(&w, 20 * USEC_MS);
	ck_assert_uint_eq(p.fired, 0);
	wheel_set(&w, &p.timer, 30 * USEC_MS, note_fire);
	wheel_set(&w, &p.timer, 50 * USEC_MS, note_fire); /* later */
	wheel_run(&w, 40 * USEC_MS);
	ck_assert_uint_eq(p.fired, 0);
	wheel_set(&w, &p.timer, 45 * USEC_MS, note_fire); /* earlier */
	wheel_run(&w, 46 * USEC_MS);
	ck_assert_uint_eq(p.fired, 1);
	wheel_run(&w, USEC_S);
	ck_assert_uint_eq(p.fired, 1);
}
END_TEST

START_TEST(wheel_set_to_no_time_clears)
{
	struct probe p = {.fired = 0};
	struct wheel w;

	wheel_init(&w, 0);
	wheel_set(&w, &p.timer, 10 * USEC_MS, note_fire);
	wheel_set(&w, &p.timer, USEC_NONE, note_fire);
	ck_assert(!timer_is_set(&p.timer));
	ck_assert_uint_eq(wheel_next(&w), USEC_NONE);
}
END_TEST

/* Rounded up to a tick, the last microseconds of time must not wrap to its beginning. */
START_TEST(wheel_timer_at_the_end_of_time_does_not_fire_now)
{
	struct probe p = {.fired = 0};
	struct wheel w;

	wheel_init(&w, 0);
	wheel_set(&w, &p.timer, USEC_NONE - 1, note_fire);
	wheel_run(&w, HOUR);
	ck_assert_uint_eq(p.fired, 0);
	ck_assert(timer_is_set(&p.timer));
}
END_TEST

START_TEST(wheel_next_forgets_timers_that_were_cleared)
{
	struct probe p[3] = {{.fired = 0}};
	struct wheel w;

	wheel_init(&w, 0);
	wheel_set(&w, &p[0].timer, 10 * USEC_MS, note_fire);
	wheel_set(&w, &p[1].timer, 10 * USEC_S, note_fire);
	wheel_set(&w, &p[2].timer, HOUR, note_fire);
	ck_assert_uint_eq(wheel_next(&w), 10 * USEC_MS);
	wheel_clear(&p[0].timer);
	ck_assert_uint_gt(wheel_next(&w), USEC_S);
	wheel_clear(&p[1].timer);
	ck_assert_uint_gt(wheel_next(&w), 30 * MINUTE);
	wheel_clear(&p[2].timer);
	ck_assert_uint_eq(wheel_next(&w), USEC_NONE);
}
END_TEST

START_TEST(wheel_fires_past_timers_at_the_next_tick)
{
	struct probe p = {.fired = 0};
	struct wheel w;

	wheel_init(&w, HOUR);
	wheel_set(&w, &p.timer, 5, note_fire);
	wheel_run(&w, HOUR);
	ck_assert_uint_eq(p.fired, 0);
	wheel_run(&w, HOUR + USEC_MS);
	ck_assert_uint_eq(p.fired, 1);
}
END_TEST

START_TEST(wheel_does_not_mind_time_standing_still)
{
	struct probe p = {.fired = 0};
	struct wheel w;

	wheel_init(&w, HOUR);
	wheel_set(&w, &p.timer, HOUR + 2 * USEC_MS, note_fire);
	for (int i = 0; i < 10; i++)
		wheel_run(&w, HOUR);
	wheel_run(&w, HOUR - USEC_S);
	ck_assert_uint_eq(p.fired, 0);
	wheel_run(&w, HOUR + 2 * USEC_MS);
	ck_assert_uint_eq(p.fired, 1);
}
END_TEST

/* --- callbacks that change the wheel --- */

struct chain {
	struct timer timer, victim;
	struct wheel *wheel;
	unsigned left, victims;
};

static void fire_victim(struct timer *t, usec_t now)
{
	(void)now;
	container_of(t, struct chain, victim)->victims++;
}

static void fire_again(struct timer *t, usec_t now)
{
	struct chain *c = container_of(t, struct chain, timer);

	wheel_clear(&c->victim);
	if (--c->left)
		wheel_set(c->wheel, t, now, fire_again);
}

START_TEST(wheel_callback_may_clear_what_is_due_in_the_same_tick)
{
	struct wheel w;
	struct chain c = {.wheel = &w, .left = 1};

	wheel_init(&w, 0);
	wheel_set(&w, &c.timer, 5 * USEC_MS, fire_again);
	wheel_set(&w, &c.victim, 5 * USEC_MS, fire_victim);
	wheel_run(&w, 10 * USEC_MS);
	ck_assert_uint_eq(c.left, 0);
	ck_assert_uint_eq(c.victims, 0);
}
END_TEST

/* A timer that sets itself to "now" runs once a tick, and cannot hold a run up for ever. */
START_TEST(wheel_callback_that_sets_itself_again_runs_once_a_tick)
{
	struct wheel w;
	struct chain c = {.wheel = &w, .left = 1000};

	wheel_init(&w, 0);
	wheel_set(&w, &c.timer, USEC_MS, fire_again);
	wheel_run(&w, USEC_MS);
	ck_assert_uint_eq(c.left, 999);
	wheel_run(&w, USEC_MS);
	ck_assert_uint_eq(c.left, 999);
	wheel_run(&w, 2 * USEC_MS);
	ck_assert_uint_eq(c.left, 998);
}
END_TEST

/* --- against a model that looks at every timer every time --- */

#define TIMERS 150

struct entry {
	struct timer timer;
	struct world *world;
	bool set;
	uint64_t due; /* tick */
};

struct world {
	struct wheel wheel;
	struct rng rng;
	struct entry entries[TIMERS];
	usec_t now;
	uint64_t fired_tick; /* of the last fired in this run */
	unsigned fired;
};

static usec_t some_wait(struct rng *rng)
{
	static const usec_t scales[] = {0, 3 * USEC_MS, 70 * USEC_MS, 200 * USEC_MS, 5 * USEC_S,
	    5 * MINUTE, 6 * HOUR, 72 * HOUR};

	return rng_below(rng, scales[rng_below(rng, ARRAY_LEN(scales))] + 1);
}

static void fire_entry(struct timer *t, usec_t now);

static void set_entry(struct world *world, struct entry *e, usec_t at)
{
	uint64_t tick = (at + USEC_MS - 1) / USEC_MS, first = world->wheel.tick + 1;

	wheel_set(&world->wheel, &e->timer, at, fire_entry);
	e->set = true;
	e->due = tick > first ? tick : first;
}

static void change_something(struct world *world)
{
	struct entry *e = &world->entries[rng_below(&world->rng, TIMERS)];

	if (rng_below(&world->rng, 3) == 0) {
		wheel_clear(&e->timer);
		e->set = false;
		return;
	}
	set_entry(world, e, world->now + some_wait(&world->rng));
}

static void fire_entry(struct timer *t, usec_t now)
{
	struct entry *e = container_of(t, struct entry, timer);
	struct world *world = e->world;

	ck_assert(e->set);
	ck_assert_uint_eq(now, world->now);
	ck_assert_msg(e->due == world->wheel.tick, "due %llu fires %llu",
	    (unsigned long long)e->due, (unsigned long long)world->wheel.tick);
	ck_assert_uint_ge(e->due, world->fired_tick);
	world->fired_tick = e->due;
	world->fired++;
	e->set = false;
	if (rng_below(&world->rng, 2))
		set_entry(world, e, now + some_wait(&world->rng));
	if (rng_below(&world->rng, 4) == 0)
		change_something(world);
}

static void check_world(struct world *world)
{
	usec_t next = wheel_next(&world->wheel), first = USEC_NONE;

	for (size_t i = 0; i < TIMERS; i++) {
		struct entry *e = &world->entries[i];

		ck_assert(timer_is_set(&e->timer) == e->set);
		if (!e->set)
			continue;
		ck_assert_msg(e->due > world->now / USEC_MS, "forgotten");
		first = usec_min(first, e->due * USEC_MS);
	}
	ck_assert_int_eq(next == USEC_NONE, first == USEC_NONE);
	ck_assert_uint_le(next, first);
	ck_assert(next > world->now || next == USEC_NONE);
}

static void run_world(uint64_t seed, usec_t start)
{
	static struct world world;

	world = (struct world){.now = start};
	rng_init(&world.rng, seed);
	wheel_init(&world.wheel, start);
	for (size_t i = 0; i < TIMERS; i++)
		world.entries[i].world = &world;
	for (int step = 0; step < 3000; step++) {
		for (uint64_t n = rng_below(&world.rng, 4); n; n--)
			change_something(&world);
		if (rng_below(&world.rng, 3))
			world.now += some_wait(&world.rng);
		else
			world.now = usec_min(wheel_next(&world.wheel), world.now + HOUR);
		world.fired_tick = 0;
		wheel_run(&world.wheel, world.now);
		check_world(&world);
	}
	ck_assert_uint_gt(world.fired, 1000);
}

START_TEST(wheel_agrees_with_a_model_over_random_use)
{
	for (uint64_t seed = 1; seed <= 20; seed++)
		run_world(seed, seed * 977777777);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    wheel_never_fires_early_and_at_most_a_tick_late,
	    wheel_wakes_seldom_for_a_timer_far_away,
	    wheel_clears_and_moves_timers,
	    wheel_set_to_no_time_clears,
	    wheel_timer_at_the_end_of_time_does_not_fire_now,
	    wheel_next_forgets_timers_that_were_cleared,
	    wheel_fires_past_timers_at_the_next_tick,
	    wheel_does_not_mind_time_standing_still,
	    wheel_callback_may_clear_what_is_due_in_the_same_tick,
	    wheel_callback_that_sets_itself_again_runs_once_a_tick,
	    wheel_agrees_with_a_model_over_random_use,
	};

	return suite_run("wheel", tests, ARRAY_LEN(tests));
}
