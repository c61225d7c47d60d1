#include "policy/breaker.h"

/* The state word: state (2 bits), successes of probes so far (14), generation (48). The
 * generation counts the changes of state; a ticket says in which one a call was let through. */
#define STATE_BITS     2
#define SUCCESSES_BITS 14
#define SUCCESSES_MAX  ((1u << SUCCESSES_BITS) - 1)
#define GENERATION_AT  (STATE_BITS + SUCCESSES_BITS)

static enum breaker_state state_in(uint64_t word)
{
	return (enum breaker_state)(word & ((1u << STATE_BITS) - 1));
}

static unsigned successes_in(uint64_t word)
{
	return (unsigned)(word >> STATE_BITS) & SUCCESSES_MAX;
}

static uint64_t generation_in(uint64_t word)
{
	return word >> GENERATION_AT;
}

/* The word of the generation after @word. */
static uint64_t next(uint64_t word, enum breaker_state state)
{
	return (generation_in(word) + 1) << GENERATION_AT | state;
}

static uint64_t ticket_of(uint64_t word)
{
	return generation_in(word) << 1 | 1;
}

const char *breaker_state_name(enum breaker_state state)
{
	static const char *const names[] = {[BREAKER_CLOSED] = "closed",
	    [BREAKER_OPEN] = "open",
	    [BREAKER_HALF_OPEN] = "half_open"};

	return names[state];
}

/*
 * The window. A bucket counts one span of a hundredth of it, and says by its lap which one.
 */
#define COUNT_BITS 20
#define COUNT_MAX  ((1u << COUNT_BITS) - 1)
#define LAP_MAX    ((1u << 24) - 1)

struct bucket {
	uint32_t lap, good, failed;
};

static struct bucket unpack(uint64_t word)
{
	return (struct bucket){
	    .lap = (uint32_t)(word >> (2 * COUNT_BITS)),
	    .good = (uint32_t)(word >> COUNT_BITS) & COUNT_MAX,
	    .failed = (uint32_t)word & COUNT_MAX,
	};
}

static uint64_t pack(struct bucket b)
{
	return (uint64_t)b.lap << (2 * COUNT_BITS) | (uint64_t)b.good << COUNT_BITS | b.failed;
}

static uint64_t span_of(const struct breaker_policy *p, usec_t now)
{
	usec_t width = p->window / BREAKER_BUCKETS;

	return now / (width ? width : 1);
}

static uint32_t lap_of(uint64_t span)
{
	return (uint32_t)(span / BREAKER_BUCKETS) & LAP_MAX;
}

static struct bucket one_more(struct bucket b, bool failed)
{
	if (b.good == COUNT_MAX || b.failed == COUNT_MAX) {
		b.good /= 2;
		b.failed /= 2;
	}
	if (failed)
		b.failed++;
	else
		b.good++;
	return b;
}

/* Relaxed: a bucket's word is whole by itself, and nothing else hangs on it. */
static void count(struct breaker *b, const struct breaker_policy *p, bool failed, usec_t now)
{
	uint64_t span = span_of(p, now);
	_Atomic uint64_t *place = &b->buckets[span % BREAKER_BUCKETS];
	uint64_t word = atomic_load_explicit(place, memory_order_relaxed);
	uint32_t lap = lap_of(span);
	struct bucket bucket;

	do {
		bucket = unpack(word);
		if (bucket.lap == ((lap + 1) & LAP_MAX))
			return; /* a whole window late */
		if (bucket.lap != lap)
			bucket = (struct bucket){.lap = lap};
	} while (!atomic_compare_exchange_weak_explicit(place, &word,
	    pack(one_more(bucket, failed)), memory_order_relaxed, memory_order_relaxed));
}

static bool is_over_threshold(const struct breaker *b, const struct breaker_policy *p, usec_t now)
{
	uint64_t span = span_of(p, now), good = 0, failed = 0;

	for (uint64_t i = 0; i < BREAKER_BUCKETS && i <= span; i++) {
		struct bucket bucket = unpack(atomic_load_explicit(
		    &b->buckets[(span - i) % BREAKER_BUCKETS], memory_order_relaxed));

		if (bucket.lap != lap_of(span - i))
			continue;
		good += bucket.good;
		failed += bucket.failed;
	}
	/* A quotient is as near to the share that was written as can be; a product is not. */
	return failed > 0 && good + failed >= p->min_samples &&
	       (double)failed / (double)(good + failed) >= p->error_rate;
}

static void forget_window(struct breaker *b)
{
	for (unsigned i = 0; i < BREAKER_BUCKETS; i++)
		atomic_store_explicit(&b->buckets[i], 0, memory_order_relaxed);
}

/* `since` never goes back, whatever order threads with different clocks come in. */
static void set_since(struct breaker *b, usec_t now)
{
	uint64_t old = atomic_load_explicit(&b->since, memory_order_relaxed);

	while (old < now && !atomic_compare_exchange_weak_explicit(
				&b->since, &old, now, memory_order_relaxed, memory_order_relaxed))
		;
}

/* From the state of @word to another, if nobody else was there first. Release: whoever sees the
 * new state sees what was written before it, `since` and the window. */
static bool change(struct breaker *b, uint64_t word, enum breaker_state state)
{
	if (!atomic_compare_exchange_strong_explicit(
		&b->state, &word, next(word, state), memory_order_acq_rel, memory_order_acquire))
		return false;
	atomic_fetch_add_explicit(&b->changes, 1, memory_order_relaxed);
	return true;
}

/* One of those that come at @wait or more after `since` gets it. */
static bool is_turn(struct breaker *b, usec_t wait, usec_t now)
{
	uint64_t since = atomic_load_explicit(&b->since, memory_order_relaxed);

	return now >= since && now - since >= wait &&
	       atomic_compare_exchange_strong_explicit(
		   &b->since, &since, now, memory_order_relaxed, memory_order_relaxed);
}

uint64_t breaker_allow(struct breaker *b, const struct breaker_policy *p, usec_t now)
{
	uint64_t word = atomic_load_explicit(&b->state, memory_order_acquire);

	switch (state_in(word)) {
	case BREAKER_CLOSED:
		return ticket_of(word);
	case BREAKER_HALF_OPEN:
		return is_turn(b, p->probe, now) ? ticket_of(word) : BREAKER_REFUSED;
	case BREAKER_OPEN:
		break;
	}
	if (!is_turn(b, p->open, now))
		return BREAKER_REFUSED;
	change(b, word, BREAKER_HALF_OPEN);
	/* If somebody else was first, the turn is a probe of his generation. */
	word = atomic_load_explicit(&b->state, memory_order_acquire);
	return state_in(word) == BREAKER_OPEN ? BREAKER_REFUSED : ticket_of(word);
}

/* `since` comes first: who sees the breaker open must not take the time of the last probe for its
 * beginning. */
static void trip(struct breaker *b, uint64_t word, usec_t now)
{
	set_since(b, now);
	change(b, word, BREAKER_OPEN);
}

/* A good probe of @ticket's generation. The one that makes the successes complete closes; the
 * window is made empty before, so that the first failure after it does not find the old ones. */
static void probe_succeeded(
    struct breaker *b, const struct breaker_policy *p, uint64_t ticket, usec_t now)
{
	unsigned needed = p->successes < SUCCESSES_MAX ? p->successes : SUCCESSES_MAX;
	uint64_t word = atomic_load_explicit(&b->state, memory_order_acquire), better;

	do {
		if (ticket_of(word) != ticket || successes_in(word) == SUCCESSES_MAX)
			return;
		better = word + (1u << STATE_BITS);
	} while (!atomic_compare_exchange_weak_explicit(
	    &b->state, &word, better, memory_order_acq_rel, memory_order_acquire));
	if (successes_in(better) < needed)
		return;
	forget_window(b);
	set_since(b, now);
	change(b, better, BREAKER_CLOSED);
}

void breaker_record(struct breaker *b, const struct breaker_policy *p, uint64_t ticket,
    enum breaker_outcome outcome, usec_t now)
{
	uint64_t word = atomic_load_explicit(&b->state, memory_order_acquire);
	bool failed = outcome == BREAKER_FAILURE;

	if (outcome == BREAKER_IGNORED || ticket == BREAKER_REFUSED)
		return;
	switch (state_in(word)) {
	case BREAKER_CLOSED:
		count(b, p, failed, now);
		if (failed && is_over_threshold(b, p, now))
			trip(b, word, now);
		break;
	case BREAKER_OPEN:
		if (failed)
			count(b, p, failed, now);
		break;
	case BREAKER_HALF_OPEN:
		if (ticket != ticket_of(word))
			count(b, p, failed, now);
		else if (failed)
			trip(b, word, now);
		else
			probe_succeeded(b, p, ticket, now);
		break;
	}
}

void breaker_forget(struct breaker *b)
{
	uint64_t word = atomic_load_explicit(&b->state, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(&b->state, &word, next(word, BREAKER_CLOSED),
	    memory_order_acq_rel, memory_order_relaxed))
		;
	forget_window(b);
}

enum breaker_state breaker_state_of(
    const struct breaker *b, const struct breaker_policy *p, usec_t now)
{
	enum breaker_state state = state_in(atomic_load_explicit(&b->state, memory_order_acquire));
	uint64_t since = atomic_load_explicit(&b->since, memory_order_relaxed);

	if (state == BREAKER_OPEN && now >= since && now - since >= p->open)
		return BREAKER_HALF_OPEN;
	return state;
}
