#include "base/clock.h"

#include <time.h>

static usec_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (usec_t)ts.tv_sec * USEC_S + (usec_t)ts.tv_nsec / 1000;
}

usec_t clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

usec_t clock_calendar(void)
{
	return read_clock(CLOCK_REALTIME);
}
