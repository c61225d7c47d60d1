#include "net/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <check.h>
#include <event2/event.h>

#include "base/mem.h"
#include "support/descriptors.h"
#include "support/suite.h"

/* The linker puts these between the loop and the system. */
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old);
usec_t __real_clock_monotonic(void);
usec_t __wrap_clock_monotonic(void);

static int timer_calls, clock_reads;

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old)
{
	timer_calls++;
	return __real_timerfd_settime(fd, flags, at, old);
}

usec_t __wrap_clock_monotonic(void)
{
	clock_reads++;
	return __real_clock_monotonic();
}

static struct loop *loop;
static int descriptors_before;

static void begin(void)
{
	struct err err;

	descriptors_before = descriptors_open();
	loop = loop_new(&err);
	ck_assert_ptr_nonnull(loop);
	timer_calls = clock_reads = 0;
}

static void end(void)
{
	loop_free(&loop);
	ck_assert_ptr_null(loop);
	ck_assert_int_eq(descriptors_open(), descriptors_before);
}

static void pass(usec_t time)
{
	usec_t until = __real_clock_monotonic() + time;

	while (__real_clock_monotonic() < until)
		;
}

/* An event that is always ready. */
struct ready {
	struct event *event;
	int fds[2];
	void (*run)(struct ready *ready);
	int runs;
	usec_t seen;
	struct loop_work work;
	struct timer timer;
};

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct ready *ready = arg;

	(void)fd;
	(void)what;
	ready->runs++;
	ready->seen = loop_now(loop);
	if (ready->run)
		ready->run(ready);
}

static void ready_init(struct ready *ready, void (*run)(struct ready *ready))
{
	*ready = (struct ready){.run = run};
	ck_assert_int_eq(pipe(ready->fds), 0);
	ck_assert_int_eq(write(ready->fds[1], "x", 1), 1);
	ready->event =
	    event_new(loop_base(loop), ready->fds[0], EV_READ | EV_PERSIST, on_ready, ready);
	ck_assert_int_eq(event_add(ready->event, NULL), 0);
}

static void ready_fini(struct ready *ready)
{
	event_free(ready->event);
	close(ready->fds[0]);
	close(ready->fds[1]);
}

/* --- time --- */

struct alarm {
	struct timer timer;
	usec_t fired;
};

static void ring(struct timer *timer, usec_t now)
{
	container_of(timer, struct alarm, timer)->fired = now;
}

static int turns_until_fired(struct alarm *alarm)
{
	int turns = 0;

	while (alarm->fired == 0) {
		loop_turn(loop, USEC_NONE);
		turns++;
	}
	return turns;
}

START_TEST(timer_is_never_early_and_the_loop_sleeps_till_then)
{
	struct alarm alarm = {.fired = 0};
	usec_t at = loop_now(loop) + 30 * USEC_MS;

	wheel_set(loop_wheel(loop), &alarm.timer, at, ring);
	ck_assert_int_le(turns_until_fired(&alarm), 2);
	ck_assert_uint_ge(alarm.fired, at);
	ck_assert_uint_ge(__real_clock_monotonic(), at);
}
END_TEST

static void take_byte(struct ready *ready)
{
	char byte;

	ck_assert_int_eq(read(ready->fds[0], &byte, 1), 1);
}

enum { MANY_READY = 300 };
static struct ready many[MANY_READY];
static int had_run; /* when the timer fired */

static void count_those_that_ran(struct timer *timer, usec_t now)
{
	(void)timer;
	(void)now;
	for (int i = 0; i < MANY_READY; i++)
		had_run += many[i].runs;
}

/* One look at the sockets is not enough for so many. */
START_TEST(after_a_standstill_all_that_has_come_is_seen_before_a_timer)
{
	struct timer timer = {.at = 0};
	struct ready first;

	wheel_set(loop_wheel(loop), &timer, loop_now(loop) + 100 * USEC_MS, count_those_that_ran);
	ready_init(&first, take_byte);
	loop_turn(loop, USEC_NONE);
	for (int i = 0; i < MANY_READY; i++)
		ready_init(&many[i], take_byte);
	pass(250 * USEC_MS);
	loop_turn(loop, USEC_NONE);
	ck_assert_int_eq(had_run, MANY_READY);
	for (int i = 0; i < MANY_READY; i++)
		ready_fini(&many[i]);
	ready_fini(&first);
}
END_TEST

/* How late a timer is that was set while the loop had been told to wait for a far one. */
static usec_t lateness_of_an_earlier_timer(void)
{
	struct alarm late = {.fired = 0}, early = {.fired = 0};

	wheel_set(loop_wheel(loop), &late.timer, loop_now(loop) + 3600 * USEC_S, ring);
	loop_turn(loop, USEC_MS);
	wheel_set(loop_wheel(loop), &early.timer, loop_now(loop) + 10 * USEC_MS, ring);
	turns_until_fired(&early);
	ck_assert_uint_eq(late.fired, 0);
	wheel_clear(&late.timer);
	return early.fired - early.timer.at;
}

START_TEST(earlier_timer_shortens_the_wait)
{
	usec_t least = USEC_NONE;

	/* The machine may be busy, but not each time. */
	for (int i = 0; i < 100 && least >= 100 * USEC_MS; i++)
		least = usec_min(least, lateness_of_an_earlier_timer());
	ck_assert_uint_lt(least, 100 * USEC_MS);
}
END_TEST

START_TEST(cleared_timer_does_not_fire)
{
	struct alarm cleared = {.fired = 0}, other = {.fired = 0};

	wheel_set(loop_wheel(loop), &cleared.timer, loop_now(loop) + 5 * USEC_MS, ring);
	wheel_set(loop_wheel(loop), &other.timer, loop_now(loop) + 15 * USEC_MS, ring);
	wheel_clear(&cleared.timer);
	turns_until_fired(&other);
	ck_assert_uint_eq(cleared.fired, 0);
}
END_TEST

START_TEST(idle_loop_turns_once_a_second)
{
	usec_t began = __real_clock_monotonic(), took;

	ck_assert_uint_eq(loop_turns(loop), 0);
	loop_turn(loop, USEC_NONE);
	took = __real_clock_monotonic() - began;
	ck_assert_uint_eq(loop_turns(loop), 1);
	ck_assert_uint_ge(took, 900 * USEC_MS);
}
END_TEST

START_TEST(turn_that_only_looks_does_not_wait)
{
	struct alarm alarm = {.fired = 0};

	wheel_set(loop_wheel(loop), &alarm.timer, loop_now(loop) + 3600 * USEC_S, ring);
	for (int i = 0; i < 1000; i++)
		loop_turn(loop, 0);
	ck_assert_uint_eq(loop_turns(loop), 1000);
	ck_assert_uint_eq(alarm.fired, 0);
	wheel_clear(&alarm.timer);
}
END_TEST

static void pass_a_while(struct ready *ready)
{
	(void)ready;
	pass(2 * USEC_MS);
}

START_TEST(time_stands_still_within_a_turn)
{
	struct ready a, b;
	struct alarm alarm = {.fired = 0};
	usec_t first;

	ready_init(&a, pass_a_while);
	ready_init(&b, pass_a_while);
	wheel_set(loop_wheel(loop), &alarm.timer, loop_now(loop), ring);
	pass(2 * USEC_MS);
	loop_turn(loop, USEC_NONE);
	ck_assert_uint_eq(a.seen, b.seen);
	ck_assert_uint_eq(alarm.fired, a.seen);
	first = a.seen;
	loop_turn(loop, USEC_NONE);
	ck_assert_uint_ge(a.seen, first + 4 * USEC_MS);
	ready_fini(&a);
	ready_fini(&b);
}
END_TEST

START_TEST(busy_turns_read_the_clock_once_and_set_no_timer)
{
	struct ready ready;
	struct alarm alarm = {.fired = 0};
	usec_t began;
	int armed, seconds;

	ready_init(&ready, NULL);
	wheel_set(loop_wheel(loop), &alarm.timer, loop_now(loop) + 3600 * USEC_S, ring);
	loop_turn(loop, USEC_NONE);
	began = loop_now(loop);
	armed = timer_calls;
	clock_reads = 0;
	for (int i = 0; i < 500; i++)
		loop_turn(loop, USEC_NONE);
	ck_assert_int_eq(ready.runs, 501);
	ck_assert_int_eq(clock_reads, 500);
	seconds = (int)((loop_now(loop) - began) / USEC_S); /* for each the loop may wake itself */
	ck_assert_int_le(timer_calls - armed, 1 + seconds);
	wheel_clear(&alarm.timer);
	ready_fini(&ready);
}
END_TEST

/* --- stopping --- */

static void *stop_from_outside(void *arg)
{
	/* The loop has turned, so it is inside loop_run; most likely it waits. */
	while (loop_turns(loop) == 0)
		;
	loop_stop(loop);
	return arg;
}

START_TEST(stop_from_another_thread_ends_the_run)
{
	pthread_t thread;
	struct alarm alarm = {.fired = 0};

	wheel_set(loop_wheel(loop), &alarm.timer, loop_now(loop) + USEC_MS, ring);
	ck_assert_int_eq(pthread_create(&thread, NULL, stop_from_outside, NULL), 0);
	loop_run(loop);
	pthread_join(thread, NULL);
	ck_assert_uint_ge(loop_turns(loop), 1);
}
END_TEST

static void stop_now(struct ready *ready)
{
	(void)ready;
	loop_stop(loop);
}

START_TEST(stop_before_the_run_is_not_lost_and_the_loop_runs_again)
{
	struct ready ready;

	loop_stop(loop);
	loop_run(loop);
	ck_assert_uint_eq(loop_turns(loop), 0);
	ready_init(&ready, stop_now);
	loop_run(loop);
	ck_assert_int_ge(ready.runs, 1);
	ready_fini(&ready);
}
END_TEST

/* --- the end of a turn --- */

static int freed;

static void free_counted(void *object)
{
	freed++;
	free(object);
}

static void look_whether_freed(struct loop_work *work)
{
	(void)work;
	ck_assert_int_eq(freed, 0);
}

static void give_up(struct ready *ready)
{
	loop_reap(loop, malloc(1), free_counted);
	ck_assert_int_eq(freed, 0);
	ready->work.run = look_whether_freed;
	loop_defer(loop, &ready->work);
}

START_TEST(reaped_object_lives_to_the_end_of_the_turn)
{
	struct ready ready;

	freed = 0;
	ready_init(&ready, give_up);
	loop_turn(loop, USEC_NONE);
	ck_assert_int_eq(freed, 1);
	ready_fini(&ready);
}
END_TEST

static void free_with_next(void *object)
{
	int left = *(int *)object;

	free_counted(object);
	if (left) {
		int *next = malloc(sizeof *next);

		*next = left - 1;
		loop_reap(loop, next, free_with_next);
	}
}

START_TEST(freeing_may_give_up_more)
{
	for (int i = 0; i < 40; i++) {
		int *chain = malloc(sizeof *chain);

		*chain = 3;
		loop_reap(loop, chain, free_with_next);
	}
	freed = 0;
	loop_turn(loop, 0);
	ck_assert_int_eq(freed, 160);
}
END_TEST

START_TEST(loop_free_frees_what_was_given_up)
{
	struct err err;
	struct loop *other = loop_new(&err);

	freed = 0;
	loop_reap(other, malloc(1), free_counted);
	loop_free(&other);
	ck_assert_int_eq(freed, 1);
	loop_free(&other);
}
END_TEST

static char order[16];
static int n_order;

static void note(char what)
{
	ck_assert_int_lt(n_order, (int)sizeof order - 1);
	order[n_order++] = what;
	order[n_order] = '\0';
}

static void note_work(struct loop_work *work)
{
	(void)work;
	note('w');
}

static void note_timer(struct timer *timer, usec_t now)
{
	struct ready *ready = container_of(timer, struct ready, timer);

	(void)now;
	note('t');
	loop_defer(loop, &ready->work);
}

static void put_off(struct ready *ready)
{
	note('e');
	ready->work.run = note_work;
	loop_defer(loop, &ready->work);
	loop_defer(loop, &ready->work);
}

static void put_off_and_set(struct ready *ready)
{
	put_off(ready);
	wheel_set(loop_wheel(loop), &ready->timer, loop_now(loop), note_timer);
	pass(2 * USEC_MS);
}

static void free_noted(void *object)
{
	note('f');
	free(object);
}

START_TEST(end_of_turn_is_work_then_timers_then_their_work_then_freeing)
{
	struct ready ready;

	n_order = 0;
	ready_init(&ready, put_off_and_set);
	loop_turn(loop, USEC_NONE);
	ck_assert_str_eq(order, "ew"); /* the timer was set at the time of the turn */
	ready.run = put_off;
	loop_reap(loop, malloc(1), free_noted);
	loop_turn(loop, USEC_NONE);
	ck_assert_str_eq(order, "ewewtwf");
	ready_fini(&ready);
}
END_TEST

START_TEST(work_taken_back_is_not_done)
{
	struct loop_work a = {.run = note_work}, b = {.run = note_work}, never = {.run = note_work};

	n_order = 0;
	loop_undefer(&never);
	loop_defer(loop, &a);
	loop_defer(loop, &b);
	ck_assert(loop_is_deferred(&a));
	ck_assert(!loop_is_deferred(&never));
	loop_undefer(&a);
	ck_assert(!loop_is_deferred(&a));
	loop_turn(loop, 0);
	ck_assert_str_eq(order, "w");
	loop_turn(loop, 0);
	ck_assert_str_eq(order, "w");
}
END_TEST

START_TEST(work_put_off_before_a_turn_does_not_wait_for_an_event)
{
	struct loop_work work = {.run = note_work};

	n_order = 0;
	loop_defer(loop, &work);
	loop_turn(loop, USEC_MS);
	ck_assert_str_eq(order, "w");
}
END_TEST

struct orphan {
	struct loop_orphan orphan;
	struct loop *loop;
	int *ended;
};

struct last {
	struct timer timer;
	struct orphan *orphan;
};

static void end_orphan(struct loop_orphan *orphan)
{
	struct orphan *self = container_of(orphan, struct orphan, orphan);

	++*self->ended;
	loop_reap(self->loop, self, free);
}

static struct orphan *new_orphan(int *ended)
{
	struct orphan *o = mem_calloc(1, sizeof *o);

	o->orphan.end = end_orphan;
	o->loop = loop;
	o->ended = ended;
	loop_adopt(loop, &o->orphan);
	return o;
}

START_TEST(loop_free_ends_the_orphans_that_are_left)
{
	int ended = 0;
	struct err err;
	struct orphan *gone;

	gone = new_orphan(&ended);
	new_orphan(&ended);
	new_orphan(&ended);
	list_remove(&gone->orphan.link);
	free(gone);
	loop_turn(loop, 0);
	ck_assert_int_eq(ended, 0);
	loop_free(&loop);
	ck_assert_int_eq(ended, 2);
	loop = loop_new(&err);
}
END_TEST

static void may_end(struct timer *timer, usec_t now)
{
	(void)now;
	container_of(timer, struct last, timer)->orphan->orphan.may_end = true;
}

START_TEST(settling_turns_until_nothing_would_be_lost)
{
	static int ended; /* it is told when the loop is freed */
	struct last last = {.orphan = new_orphan(&ended)};
	usec_t began = loop_now(loop);

	new_orphan(&ended)->orphan.may_end = true;
	wheel_set(loop_wheel(loop), &last.timer, began + 30 * USEC_MS, may_end);
	loop_settle(loop, 60 * USEC_S);
	ck_assert(last.orphan->orphan.may_end);
	ck_assert_uint_ge(loop_now(loop) - began, 30 * USEC_MS);
	ck_assert_int_eq(ended, 0); /* that is loop_free's */
}
END_TEST

START_TEST(settling_has_an_end)
{
	static int ended;
	usec_t began = loop_now(loop);

	new_orphan(&ended);
	loop_settle(loop, 20 * USEC_MS);
	ck_assert_uint_ge(clock_monotonic() - began, 20 * USEC_MS);
	ck_assert_int_eq(ended, 0);
}
END_TEST

START_TEST(blocks_are_distinct_and_come_back)
{
	enum { MANY = 200 };
	uint8_t *blocks[MANY], *last;

	for (int i = 0; i < MANY; i++) {
		blocks[i] = loop_block_take(loop);
		memset(blocks[i], i, LOOP_BLOCK);
	}
	for (int i = 0; i < MANY; i++) {
		ck_assert_uint_eq(blocks[i][0], (uint8_t)i);
		ck_assert_uint_eq(blocks[i][LOOP_BLOCK - 1], (uint8_t)i);
		loop_block_return(loop, blocks[i]);
	}
	loop_block_return(loop, NULL);
	last = loop_block_take(loop);
	loop_block_return(loop, last);
	ck_assert_ptr_eq(loop_block_take(loop), last);
	loop_block_return(loop, last);
}
END_TEST

int main(void)
{
	const struct suite_test tests[] = {
	    {timer_is_never_early_and_the_loop_sleeps_till_then, 1},
	    {earlier_timer_shortens_the_wait, 1},
	    {cleared_timer_does_not_fire, 1},
	    {after_a_standstill_all_that_has_come_is_seen_before_a_timer, 1},
	    {idle_loop_turns_once_a_second, 1},
	    {turn_that_only_looks_does_not_wait, 1},
	    {time_stands_still_within_a_turn, 1},
	    {busy_turns_read_the_clock_once_and_set_no_timer, 1},
	    {stop_from_another_thread_ends_the_run, 1},
	    {stop_before_the_run_is_not_lost_and_the_loop_runs_again, 1},
	    {reaped_object_lives_to_the_end_of_the_turn, 1},
	    {freeing_may_give_up_more, 1},
	    {loop_free_frees_what_was_given_up, 1},
	    {end_of_turn_is_work_then_timers_then_their_work_then_freeing, 1},
	    {work_taken_back_is_not_done, 1},
	    {work_put_off_before_a_turn_does_not_wait_for_an_event, 1},
	    {loop_free_ends_the_orphans_that_are_left, 1},
	    {settling_turns_until_nothing_would_be_lost, 1},
	    {settling_has_an_end, 1},
	    {blocks_are_distinct_and_come_back, 1},
	};

	return suite_run_between("loop", tests, ARRAY_LEN(tests), begin, end);
}
