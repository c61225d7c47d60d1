#include "ctl/timeline.h"

#include <stdlib.h>

#include <check.h>

#include "base/mem.h"
#include "base/rng.h"
#include "support/suite.h"

#define MANY 500

static struct timeline line;

struct event {
	struct moment moment;
	int number;
};

static struct event events[MANY];
static int fired[4 * MANY];
static size_t n_fired;

static void note(struct moment *moment)
{
	fired[n_fired++] = container_of(moment, struct event, moment)->number;
}

static void begin(void)
{
	timeline_init(&line, 1000);
	memset(events, 0, sizeof events);
	for (int i = 0; i < MANY; i++)
		events[i].number = i;
	n_fired = 0;
}

START_TEST(moments_come_in_the_order_of_their_times)
{
	struct rng rng;
	usec_t last = 0;

	begin();
	rng_init(&rng, 1);
	for (int i = 0; i < MANY; i++)
		timeline_set(&line, &events[i].moment, 1000 + rng_below(&rng, 50), note);
	while (timeline_step(&line)) {
		ck_assert_uint_ge(line.now, last);
		last = line.now;
	}
	ck_assert_uint_eq(n_fired, MANY);
	timeline_fini(&line);
}
END_TEST

START_TEST(those_of_one_time_come_in_the_order_in_which_they_were_set)
{
	begin();
	for (int i = 0; i < MANY; i++)
		timeline_set(&line, &events[i].moment, 2000, note);
	while (timeline_step(&line))
		;
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(fired[i], i);
	timeline_fini(&line);
}
END_TEST

START_TEST(a_moment_can_be_moved_and_cleared)
{
	begin();
	timeline_set(&line, &events[0].moment, 2000, note);
	timeline_set(&line, &events[1].moment, 3000, note);
	timeline_set(&line, &events[2].moment, 4000, note);
	timeline_set(&line, &events[2].moment, 1500, note);
	timeline_set(&line, &events[0].moment, 3500, note);
	timeline_clear(&line, &events[1].moment);
	timeline_clear(&line, &events[1].moment);
	timeline_set(&line, &events[3].moment, USEC_NONE, note);
	ck_assert(timeline_step(&line));
	ck_assert_uint_eq(line.now, 1500);
	timeline_set(&line, &events[4].moment, 7, note); /* in the past: now */
	while (timeline_step(&line))
		;
	ck_assert_uint_eq(n_fired, 3);
	ck_assert_int_eq(fired[0], 2);
	ck_assert_int_eq(fired[1], 4);
	ck_assert_int_eq(fired[2], 0);
	ck_assert_uint_eq(line.now, 3500);
	timeline_fini(&line);
}
END_TEST

START_TEST(any_mix_of_setting_and_clearing_keeps_the_order)
{
	struct rng rng;
	usec_t last = 0;

	begin();
	rng_init(&rng, 2);
	for (int i = 0; i < 20000; i++) {
		struct moment *m = &events[rng_below(&rng, MANY)].moment;

		if (rng_below(&rng, 3))
			timeline_set(&line, m, line.now + rng_below(&rng, 1000), note);
		else
			timeline_clear(&line, m);
		if (rng_below(&rng, 4) == 0 && timeline_step(&line)) {
			ck_assert_uint_ge(line.now, last);
			last = line.now;
			n_fired = 0;
		}
		for (size_t place = 2; place <= line.n; place++)
			ck_assert_uint_le(line.heap[place / 2]->at, line.heap[place]->at);
	}
	timeline_fini(&line);
}
END_TEST

int main(void)
{
	const TTest *tests[] = {
	    moments_come_in_the_order_of_their_times,
	    those_of_one_time_come_in_the_order_in_which_they_were_set,
	    a_moment_can_be_moved_and_cleared,
	    any_mix_of_setting_and_clearing_keeps_the_order,
	};

	return suite_run("timeline", tests, ARRAY_LEN(tests));
}
