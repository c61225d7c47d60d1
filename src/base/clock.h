/*
 * Time. usec_t counts microseconds, either of a duration or since an arbitrary start. Only net/,
 * daemon/ and ctl/ call the functions; everything else is handed `now`.
 */
#ifndef BRIDLE_BASE_CLOCK_H
#define BRIDLE_BASE_CLOCK_H

#include <stdint.h>

typedef uint64_t usec_t;

#define USEC_NONE UINT64_MAX /* no time limit; later than any time */
#define USEC_MS   ((usec_t)1000)
#define USEC_S    ((usec_t)1000000)
#define USEC_MIN  (60 * USEC_S)

/* @at plus @wait, USEC_NONE when either is. */
static inline usec_t usec_after(usec_t at, usec_t wait)
{
	return at > USEC_NONE - wait ? USEC_NONE : at + wait;
}

static inline usec_t usec_min(usec_t a, usec_t b)
{
	return a < b ? a : b;
}

/* Never goes back, unrelated to the calendar. */
usec_t clock_monotonic(void);
/* Since 1970, for logs. */
usec_t clock_calendar(void);

#endif
