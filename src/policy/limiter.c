#include "policy/limiter.h"

#include <assert.h>

/*
 * The rate cuts time into a grid: its k-th line is the moment when, from the beginning of time, the
 * rate has let k calls through. `arrival` is always a time on the grid of the rate that was last
 * used: each call takes the line after it, and may go while that is less than a burst ahead of now.
 * Lines are worked out from their number each time, never by adding up a rounded distance, so
 * nothing drifts; and being a time, the word keeps its meaning when a reload changes the rate.
 *
 * The unit is 1/8192 us: fine enough for two lines of 4 000 000 000 calls a second to differ,
 * coarse enough for 71 years.
 */
#define UNITS 8192u

__extension__ typedef unsigned __int128 wide_t;

/* @a x @b / @c, down; UINT64_MAX when it is more. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
	wide_t value = (wide_t)a * b / c;

	return value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
}

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t period(struct rate rate)
{
	assert(rate.count > 0 && rate.per > 0);
	return rate.per > UINT64_MAX / UNITS ? UINT64_MAX : rate.per * UNITS;
}

/* The last line at or before @time. */
static uint64_t line_at(struct rate rate, uint64_t time)
{
	return scale(time, rate.count, period(rate));
}

/* The first unit of time that line_at says is at @line. */
static uint64_t time_of(struct rate rate, uint64_t line)
{
	wide_t value = ((wide_t)line * period(rate) + rate.count - 1) / rate.count;

	return line == UINT64_MAX || value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
}

/* Where the grid stands at a time: a bucket that is full, and one that is empty but for @keep
 * calls. */
struct reach {
	uint64_t full, last;
};

static struct reach reach_of(struct rate rate, unsigned burst, unsigned keep, usec_t now)
{
	uint64_t time = now > UINT64_MAX / UNITS ? UINT64_MAX : now * UNITS;
	uint64_t line = line_at(rate, time);

	return (struct reach){
	    .full = line,
	    .last = burst > keep ? time_of(rate, add(line, burst - keep - 1)) : 0,
	};
}

static bool is_within(const struct reach *reach, uint64_t arrival)
{
	/* The end of time is refused: there is no line after it. */
	return arrival <= reach->last && arrival != UINT64_MAX;
}

bool limiter_take_over(
    struct limiter *l, struct rate rate, unsigned burst, unsigned keep, usec_t now)
{
	struct reach reach = reach_of(rate, burst, keep, now);
	/* Relaxed: the word stands for itself, nothing else is read because of it. */
	uint64_t arrival = atomic_load_explicit(&l->arrival, memory_order_relaxed), line;

	do {
		if (!is_within(&reach, arrival))
			return false;
		line = line_at(rate, arrival);
		if (line < reach.full)
			line = reach.full;
	} while (!atomic_compare_exchange_weak_explicit(&l->arrival, &arrival,
	    time_of(rate, add(line, 1)), memory_order_relaxed, memory_order_relaxed));
	return true;
}

bool limiter_take(struct limiter *l, struct rate rate, unsigned burst, usec_t now)
{
	return limiter_take_over(l, rate, burst, 0, now);
}

bool limiter_has(const struct limiter *l, struct rate rate, unsigned burst, usec_t now)
{
	struct reach reach = reach_of(rate, burst, 0, now);

	return is_within(&reach, atomic_load_explicit(&l->arrival, memory_order_relaxed));
}

void limiter_give_back(struct limiter *l, struct rate rate)
{
	uint64_t arrival = atomic_load_explicit(&l->arrival, memory_order_relaxed), line;

	do {
		line = line_at(rate, arrival);
	} while (!atomic_compare_exchange_weak_explicit(&l->arrival, &arrival,
	    time_of(rate, line ? line - 1 : 0), memory_order_relaxed, memory_order_relaxed));
}
