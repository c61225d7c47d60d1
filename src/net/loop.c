/*
 * A turn is: wait, callbacks of what is ready, work put off to the end of the turn, timers that are
 * due, work that those put off, and at last what was given up is freed.
 *
 * What a turn must not cost, because every call pays for it: the clock is read once; libevent holds
 * no timer of ours, since with one in its heap it reads the clock twice more for each wait and is,
 * with the coarse clock it uses by default, up to 4 ms late. The wheel has one timerfd instead. It
 * is set only when something is due before the time it is set to, and it is edge-triggered, so that
 * nobody has to read it: a wake-up too early does no harm, a second system call in each turn would.
 */
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"

#define LONGEST_WAIT USEC_S
#define STOOD_STILL                                                                                \
	(100 * USEC_MS) /* by so much a timer is late when not we, but all was stopped */
#define CATCH_UP  12    /* looks; each takes twice as many events as the one before */
#define STOCK_MAX 64    /* blocks; beyond, they go back to the allocator */

struct reaped {
	void *object; /* owned */
	void (*free_fn)(void *object);
};

struct loop {
	struct event_base *base; /* owned */
	struct event *timer_event, *wake_event;
	int timer_fd, wake_fd;
	usec_t armed; /* when the timerfd fires; USEC_NONE: not set */
	usec_t now;   /* USEC_NONE: not read in this turn yet */
	struct wheel wheel;
	struct counter turns;
	atomic_bool stopping;
	struct list deferred; /* of struct loop_work, borrowed */
	struct list orphans;
	struct reaped *reaped; /* owned array */
	size_t n_reaped, room_reaped;
	uint8_t *read_buffer;      /* owned */
	uint8_t *stock[STOCK_MAX]; /* owned */
	unsigned n_stock;
};

static void timer_fired(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;

	(void)fd;
	(void)what;
	loop->armed = USEC_NONE;
}

static void woken(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;

	(void)what;
	(void)arg;
	(void)!read(fd, &count, sizeof count);
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config == NULL)
		return NULL;
	/* No cached time: its upkeep is a clock read for each wait that nobody here looks at. */
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME) ==
		0 &&
	    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_O1) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

static struct event *watch(struct loop *loop, int fd, short what, event_callback_fn fn)
{
	struct event *ev = fd < 0 ? NULL : event_new(loop->base, fd, what | EV_PERSIST, fn, loop);

	if (ev && event_add(ev, NULL) < 0) {
		event_free(ev);
		return NULL;
	}
	return ev;
}

struct loop *loop_new(struct err *err)
{
	struct loop *loop = mem_calloc(1, sizeof *loop);

	list_init(&loop->deferred);
	list_init(&loop->orphans);
	loop->armed = USEC_NONE;
	loop->now = clock_monotonic();
	wheel_init(&loop->wheel, loop->now);
	loop->read_buffer = mem_alloc(LOOP_READ_BUFFER);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	loop->base = new_base();
	if (loop->base) {
		loop->timer_event = watch(loop, loop->timer_fd, EV_READ | EV_ET, timer_fired);
		loop->wake_event = watch(loop, loop->wake_fd, EV_READ, woken);
	}
	if (loop->timer_event == NULL || loop->wake_event == NULL) {
		err_set(err, errno, "cannot make an event loop: %s", strerror(errno));
		loop_free(&loop);
	}
	return loop;
}

static void reap(struct loop *loop)
{
	/* Freeing one thing may give up the next. */
	while (loop->n_reaped) {
		struct reaped r = loop->reaped[--loop->n_reaped];

		r.free_fn(r.object);
	}
}

void loop_free(struct loop **at)
{
	struct loop *loop = *at;
	struct list *link;

	if (loop == NULL)
		return;
	*at = NULL;
	while ((link = list_pop_front(&loop->orphans))) {
		struct loop_orphan *orphan = list_item(link, struct loop_orphan, link);

		orphan->end(orphan);
	}
	reap(loop);
	if (loop->timer_event)
		event_free(loop->timer_event);
	if (loop->wake_event)
		event_free(loop->wake_event);
	if (loop->base)
		event_base_free(loop->base);
	if (loop->timer_fd >= 0)
		close(loop->timer_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	while (loop->n_stock)
		free(loop->stock[--loop->n_stock]);
	free(loop->reaped);
	free(loop->read_buffer);
	free(loop);
}

static void run_deferred(struct loop *loop)
{
	struct list *link;

	while ((link = list_pop_front(&loop->deferred))) {
		struct loop_work *work = list_item(link, struct loop_work, link);

		work->run(work);
	}
}

static void arm(struct loop *loop, usec_t at_most)
{
	usec_t longest = usec_after(loop_now(loop), usec_min(at_most, LONGEST_WAIT));
	usec_t at = usec_min(wheel_next(&loop->wheel), longest);
	struct itimerspec when = {
	    .it_value = {.tv_sec = (time_t)(at / USEC_S), .tv_nsec = (long)(at % USEC_S * 1000)}};

	if (at >= loop->armed)
		return;
	if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0) {
		log_error("loop", "cannot set the timer", "error=\"%s\"", strerror(errno));
		return;
	}
	loop->armed = at;
}

/*
 * After the process was stopped, or the machine slept, all sorts of times are up, while what they
 * were set for may have come long ago and lies in a socket. One look takes only so many events, so
 * there are more of them before anybody is told that it is late.
 */
static void catch_up(struct loop *loop, usec_t due)
{
	if (due == USEC_NONE || loop_now(loop) < usec_after(due, STOOD_STILL))
		return;
	for (int i = 0; i < CATCH_UP; i++)
		event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

void loop_turn(struct loop *loop, usec_t at_most)
{
	usec_t due;

	run_deferred(loop);
	if (at_most)
		arm(loop, at_most);
	loop->now = USEC_NONE;
	due = loop->armed;
	event_base_loop(loop->base, at_most ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);
	catch_up(loop, due);
	run_deferred(loop);
	wheel_run(&loop->wheel, loop_now(loop));
	run_deferred(loop);
	reap(loop);
	counter_add(&loop->turns, 1);
}

void loop_run(struct loop *loop)
{
	while (!atomic_load_explicit(&loop->stopping, memory_order_acquire))
		loop_turn(loop, USEC_NONE);
	atomic_store(&loop->stopping, false);
}

void loop_stop(struct loop *loop)
{
	uint64_t one = 1;

	atomic_store_explicit(&loop->stopping, true, memory_order_release);
	/* It fails only when the counter is full, and then the loop is awake. */
	(void)!write(loop->wake_fd, &one, sizeof one);
}

uint64_t loop_turns(const struct loop *loop)
{
	return counter_get(&loop->turns);
}

usec_t loop_now(struct loop *loop)
{
	if (loop->now == USEC_NONE)
		loop->now = clock_monotonic();
	return loop->now;
}

usec_t loop_calendar(struct loop *loop)
{
	(void)loop;
	return clock_calendar();
}

struct wheel *loop_wheel(struct loop *loop)
{
	return &loop->wheel;
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

void loop_reap(struct loop *loop, void *object, void (*free_fn)(void *object))
{
	if (loop->n_reaped == loop->room_reaped) {
		loop->room_reaped = loop->room_reaped ? 2 * loop->room_reaped : 16;
		loop->reaped = mem_realloc(loop->reaped, loop->room_reaped * sizeof *loop->reaped);
	}
	loop->reaped[loop->n_reaped++] = (struct reaped){object, free_fn};
}

void loop_defer(struct loop *loop, struct loop_work *work)
{
	assert(work->run);
	if (work->link.next == NULL)
		list_init(&work->link);
	if (list_is_empty(&work->link))
		list_push_back(&loop->deferred, &work->link);
}

void loop_undefer(struct loop_work *work)
{
	if (work->link.next)
		list_remove(&work->link);
}

void loop_adopt(struct loop *loop, struct loop_orphan *orphan)
{
	assert(orphan->end);
	list_push_back(&loop->orphans, &orphan->link);
}

static bool is_settled(const struct loop *loop)
{
	list_each (link, &loop->orphans)
		if (!list_item(link, struct loop_orphan, link)->may_end)
			return false;
	return true;
}

void loop_settle(struct loop *loop, usec_t within)
{
	usec_t now = clock_monotonic(), until = usec_after(now, within);

	for (; !is_settled(loop) && now < until; now = clock_monotonic())
		loop_turn(loop, until - now);
}

uint8_t *loop_read_buffer(struct loop *loop)
{
	return loop->read_buffer;
}

uint8_t *loop_block_take(struct loop *loop)
{
	if (loop->n_stock)
		return loop->stock[--loop->n_stock];
	return mem_alloc(LOOP_BLOCK);
}

void loop_block_return(struct loop *loop, uint8_t *block)
{
	if (block == NULL)
		return;
	if (loop->n_stock == STOCK_MAX)
		free(block);
	else
		loop->stock[loop->n_stock++] = block;
}
