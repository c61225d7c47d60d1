/*
 * A clock that stands still while anything is to be done, and is at the next timer's time as soon
 * as nothing is: for tests whose every peer lives in the loop they turn. What takes seconds takes
 * none, and a busy machine makes nothing late. Programs that want it have this file among their
 * sources: what is here takes the place of the C library's, also for the libraries that call it.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define GRACE_NS 200000 /* what was sent to a socket of the same process is there by then */
#define USEC_NS  1000

static usec_t now;              /* 0: nobody has asked yet */
static usec_t next = USEC_NONE; /* when the loop wants to be woken */
static int timer_fd = -1;       /* borrowed */

static struct timespec spec_of(usec_t time)
{
	return (struct timespec){(time_t)(time / USEC_S), (long)(time % USEC_S * USEC_NS)};
}

static usec_t usec_of(const struct timespec *spec)
{
	return (usec_t)spec->tv_sec * USEC_S + (usec_t)spec->tv_nsec / USEC_NS;
}

int clock_gettime(clockid_t id, struct timespec *spec)
{
	int result = 0;

	if (id != CLOCK_MONOTONIC || now == 0)
		result = (int)syscall(SYS_clock_gettime, id, spec);
	if (id != CLOCK_MONOTONIC || result < 0)
		return result;
	if (now == 0)
		now = usec_of(spec);
	*spec = spec_of(now);
	return 0;
}

/* The timer is not set before its time is the next thing to come. */
int timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *before)
{
	static const struct itimerspec never;

	timer_fd = fd;
	next = usec_of(&at->it_value);
	return (int)syscall(SYS_timerfd_settime, fd, flags, &never, before);
}

static void let_time_pass(void)
{
	static const struct itimerspec at_once = {.it_value = {.tv_nsec = 1}};

	if (next == USEC_NONE)
		return;
	if (now < next)
		now = next;
	next = USEC_NONE;
	syscall(SYS_timerfd_settime, timer_fd, 0, &at_once, NULL);
}

static int wait_for(int fd, struct epoll_event *events, int room, int timeout_ms)
{
	return (int)syscall(SYS_epoll_pwait, fd, events, room, timeout_ms, NULL, 0);
}

int epoll_wait(int fd, struct epoll_event *events, int room, int timeout_ms)
{
	static const struct timespec grace = {.tv_nsec = GRACE_NS};
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	int n = wait_for(fd, events, room, 0);

	if (n != 0 || timeout_ms == 0)
		return n;
	if (ppoll(&ready, 1, &grace, NULL) == 0)
		let_time_pass();
	return wait_for(fd, events, room, timeout_ms);
}
