/*
 * Limits of rates and of calls at once. The whole is what a limit counts: all calls, or with `by`
 * those of one key. With share: equal a whole has parts, one for each caller. A part has its even
 * share of the whole by right; beyond it, it gets only what is left when some is kept back for the
 * others.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "model/limit_pots.h"
#include "model/tally.h"
#include "model/tally_head.h"

struct limit_tally {
	struct tally_head head;
	_Atomic uint64_t refused, running;
	struct limit_pot all;               /* the whole without `by` */
	_Atomic(struct limit_pots *) keys;  /* owned; the wholes, with `by` */
	_Atomic(struct limit_pots *) parts; /* owned; with share: equal */
	atomic_uint workers;                /* those that ever waited are below this */
	_Atomic uint64_t waiting[LIMIT_WORKERS_MAX];
};

struct tally_head *limit_tally_new(void)
{
	struct limit_tally *t = mem_calloc(1, sizeof *t);

	return &t->head;
}

static struct limit_pots *pots_in(_Atomic(struct limit_pots *) *place)
{
	return atomic_load_explicit(place, memory_order_acquire);
}

void limit_tally_free(struct tally_head *head)
{
	struct limit_tally *t = container_of(head, struct limit_tally, head);
	struct limit_pots *keys = pots_in(&t->keys), *parts = pots_in(&t->parts);

	limit_pots_free(&keys);
	limit_pots_free(&parts);
	free(t->head.name);
	free(t);
}

struct limit_tally *limit_tally_ref(struct limit_tally *tally)
{
	ref_take(&tally->head.ref);
	return tally;
}

void limit_tally_unref(struct limit_tally **tally)
{
	if (*tally && ref_drop(&(*tally)->head.ref))
		limit_tally_free(&(*tally)->head);
	*tally = NULL;
}

static void make_pots(_Atomic(struct limit_pots *) *place)
{
	if (pots_in(place) == NULL)
		atomic_store_explicit(place, limit_pots_new(), memory_order_release);
}

/* Each caller is a whole already where the limit is by caller. */
static bool has_parts(const struct limit_config *config)
{
	return config->share_equal && config->by != LIMIT_BY_CALLER;
}

void limit_tally_prepare(struct limit_tally *tally, const struct limit_config *config)
{
	if (config->by != LIMIT_BY_NONE)
		make_pots(&tally->keys);
	if (has_parts(config))
		make_pots(&tally->parts);
}

/* slice_hash made even over all bits, since its upper ones choose the set. Source of the
 * numbers: the finish of splitmix64. */
static uint64_t hash_of(struct slice name, uint64_t seed)
{
	uint64_t h = slice_hash(name, seed);

	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
	h = (h ^ h >> 27) * 0x94d049bb133111ebu;
	return h ^ h >> 31;
}

/* What a call is counted in, held. */
struct share {
	struct limit_pot *whole, *part; /* part: NULL without shares */
	bool is_keyed;                  /* whole is one of tally->keys */
	uint64_t active;                /* parts */
};

static uint64_t hold_whole(struct limit_tally *t, const struct limit_config *config,
    const struct limit_who *who, usec_t now, struct share *share)
{
	struct slice name = config->by == LIMIT_BY_CALLER ? who->caller : who->method;
	uint64_t hash;

	*share = (struct share){.whole = &t->all, .active = 1};
	if (config->by == LIMIT_BY_NONE)
		return (uintptr_t)t;
	hash = hash_of(name, (uintptr_t)t);
	share->whole = limit_pots_hold(pots_in(&t->keys), hash, now);
	share->is_keyed = true;
	return hash;
}

/*
 * Active parts: those that called in this span of time or the one before. A span is a second, or
 * longer where the rate is so low that callers within their share call less often than that.
 */
#define SPAN_CALLS 128u

static uint32_t span_at(const struct limit_config *config, usec_t now)
{
	usec_t span = USEC_S;

	if (config->has_rate && config->rate.per / config->rate.count > span / SPAN_CALLS)
		span = config->rate.per / config->rate.count * SPAN_CALLS;
	return (uint32_t)(now / span) + 1; /* 0 is what cleared memory says */
}

static uint32_t active_in(const struct limit_pot *whole, uint32_t span)
{
	uint64_t word = atomic_load_explicit(&whole->active[span & 1], memory_order_relaxed);

	return (uint32_t)(word >> 32) == span ? (uint32_t)word : 0;
}

static void count_active(struct limit_pot *whole, uint32_t span)
{
	_Atomic uint64_t *place = &whole->active[span & 1];
	uint64_t word = atomic_load_explicit(place, memory_order_relaxed), more;

	do {
		if ((uint32_t)(word >> 32) > span)
			return; /* a whole span late */
		more = (uint32_t)(word >> 32) == span ? word + 1 : ((uint64_t)span << 32 | 1);
	} while (!atomic_compare_exchange_weak_explicit(
	    place, &word, more, memory_order_relaxed, memory_order_relaxed));
}

static uint64_t active_parts(struct share *share, uint32_t span)
{
	uint64_t seen = atomic_load_explicit(&share->part->seen, memory_order_relaxed);
	uint32_t before, now;

	if (seen < span && atomic_compare_exchange_strong_explicit(&share->part->seen, &seen, span,
			       memory_order_relaxed, memory_order_relaxed))
		count_active(share->whole, span);
	before = active_in(share->whole, span - 1);
	now = active_in(share->whole, span);
	if (now < before)
		now = before;
	return now ? now : 1;
}

static struct share hold_share(struct limit_tally *t, const struct limit_config *config,
    const struct limit_who *who, usec_t now)
{
	struct share share;
	uint64_t hash = hold_whole(t, config, who, now, &share);

	if (!has_parts(config))
		return share;
	share.part = limit_pots_hold(pots_in(&t->parts), hash_of(who->caller, hash), now);
	share.active = active_parts(&share, span_at(config, now));
	return share;
}

static void let_go(const struct share *share)
{
	if (share->is_keyed)
		limit_pots_let_go(share->whole);
	if (share->part)
		limit_pots_let_go(share->part);
}

/* A place: which part (16 bits, 0: none), which whole (16 bits, 0: all), and a bit that is
 * always set. */
#define PLACE_BIT (UINT64_C(1) << 32)

static uint64_t place_of(struct limit_tally *t, const struct share *share)
{
	uint64_t place = PLACE_BIT;

	if (share->is_keyed)
		place |= limit_pots_index(pots_in(&t->keys), share->whole) + 1;
	if (share->part)
		place |= (uint64_t)(limit_pots_index(pots_in(&t->parts), share->part) + 1) << 16;
	return place;
}

static struct share share_at(struct limit_tally *t, uint64_t place)
{
	uint32_t whole = place & 0xffff, part = place >> 16 & 0xffff;
	struct share share = {.whole = &t->all, .is_keyed = whole != 0};

	if (whole)
		share.whole = limit_pots_at(pots_in(&t->keys), whole - 1);
	if (part)
		share.part = limit_pots_at(pots_in(&t->parts), part - 1);
	return share;
}

void limit_count_refused(struct limit_tally *tally)
{
	atomic_fetch_add_explicit(&tally->refused, 1, memory_order_relaxed);
}

/*
 * With share: equal a call is in its caller's share, which is let through while the whole is not
 * empty to the bottom, or beyond it, which leaves a reserve for the others. The share is a little
 * less than the n-th part, so that the reserve fills again when all callers are at theirs; and a
 * part may come with its calls of a second at once, so that callers need not be regular to get what
 * is theirs.
 */
#define PART_BURST 20u

static struct rate part_rate(const struct limit_config *config, uint64_t active)
{
	usec_t per = config->rate.per * active;

	return (struct rate){.count = config->rate.count, .per = per + per / 40};
}

static uint64_t calls_in(struct rate rate, usec_t time)
{
	return rate.count * time / rate.per;
}

static unsigned part_burst(struct rate rate)
{
	uint64_t burst = calls_in(rate, USEC_S);

	if (burst < PART_BURST)
		return PART_BURST;
	return burst > UINT32_MAX ? UINT32_MAX : (unsigned)burst;
}

/* Beside the burst, so that bursts of one call have it, too: enough for all callers to come at
 * once, but not more than comes in RESERVE_TIME. */
#define RESERVE_LEAST 16u
#define RESERVE_TIME  (4 * USEC_S)

static unsigned reserve_of(const struct limit_config *config, uint64_t active)
{
	uint64_t most = calls_in(config->rate, RESERVE_TIME);
	uint64_t reserve = active > RESERVE_LEAST ? active : RESERVE_LEAST;

	if (most < reserve)
		reserve = most ? most : 1;
	return (unsigned)reserve;
}

/* By right, or what is spare. */
static uint64_t take_part(struct share *share, const struct limit_config *config, usec_t now)
{
	struct rate rate = part_rate(config, share->active);
	struct limiter *whole = &share->whole->limiter, *part = &share->part->limiter;
	unsigned reserve = reserve_of(config, share->active);
	unsigned burst =
	    config->burst > UINT32_MAX - reserve ? UINT32_MAX : config->burst + reserve;

	if (!limiter_take(part, rate, part_burst(rate), now))
		return limiter_take_over(whole, config->rate, burst, reserve, now)
			   ? LIMIT_TAKEN_SPARE
			   : LIMIT_REFUSED;
	if (limiter_take(whole, config->rate, burst, now))
		return LIMIT_TAKEN;
	limiter_give_back(part, rate);
	return LIMIT_REFUSED;
}

uint64_t limit_take(struct limit_tally *tally, const struct limit_config *config,
    const struct limit_who *who, usec_t now)
{
	struct share share;
	uint64_t taken;

	if (!config->has_rate)
		return LIMIT_TAKEN;
	share = hold_share(tally, config, who, now);
	if (share.active > 1)
		taken = take_part(&share, config, now);
	else
		taken = limiter_take(&share.whole->limiter, config->rate, config->burst, now)
			    ? LIMIT_TAKEN_SPARE
			    : LIMIT_REFUSED;
	let_go(&share);
	if (taken == LIMIT_REFUSED)
		limit_count_refused(tally);
	return taken;
}

void limit_give_back(struct limit_tally *tally, const struct limit_config *config,
    const struct limit_who *who, uint64_t taken, usec_t now)
{
	struct share share;

	if (!config->has_rate || taken == LIMIT_REFUSED)
		return;
	share = hold_share(tally, config, who, now);
	limiter_give_back(&share.whole->limiter, config->rate);
	if (share.part && taken == LIMIT_TAKEN)
		limiter_give_back(&share.part->limiter, part_rate(config, share.active));
	let_go(&share);
}

/* One more in @count, if that makes it not more than @most. */
static bool count_up(_Atomic uint32_t *count, uint64_t most)
{
	uint32_t n = atomic_load_explicit(count, memory_order_relaxed);

	do {
		if (n >= most || n == UINT32_MAX)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    count, &n, n + 1, memory_order_relaxed, memory_order_relaxed));
	return true;
}

static void count_down(_Atomic uint32_t *count)
{
	atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

/* What a part beyond its share leaves to the others, who have @n: two and about as many as their
 * number moves by chance, but not more than is theirs. */
static uint64_t kept_for(uint64_t n, uint64_t theirs)
{
	uint64_t root = 0;

	while ((root + 1) * (root + 1) <= n)
		root++;
	if (n >= theirs)
		return 0;
	return root + 2 < theirs - n ? root + 2 : theirs - n;
}

/* One more in the whole, which has @most. */
static bool count_share(
    _Atomic uint32_t *whole, _Atomic uint32_t *part, uint64_t most, uint64_t active)
{
	uint64_t share = most / active, mine, all;

	if (part == NULL)
		return count_up(whole, most);
	share = share ? share : 1;
	mine = atomic_fetch_add_explicit(part, 1, memory_order_relaxed);
	all = atomic_load_explicit(whole, memory_order_relaxed);
	if (count_up(whole, mine < share || active == 1 || all < mine
				? most
				: most - kept_for(all - mine, most - share)))
		return true;
	count_down(part);
	return false;
}

/* A slot, or if it @waits a place in the queue. */
static uint64_t take_place(struct limit_tally *t, const struct limit_config *config,
    const struct limit_who *who, usec_t now, bool waits)
{
	struct share share = hold_share(t, config, who, now);
	struct limit_pot *whole = share.whole, *part = share.part;
	bool has_one;

	if (waits)
		has_one = count_share(&whole->queued, part ? &part->queued : NULL,
		    config->queue_length, share.active);
	else
		has_one = count_share(&whole->running, part ? &part->running : NULL,
		    config->concurrency, share.active);
	if (has_one)
		return place_of(t, &share);
	let_go(&share);
	return LIMIT_REFUSED;
}

uint64_t limit_enter(struct limit_tally *tally, const struct limit_config *config,
    const struct limit_who *who, usec_t now)
{
	uint64_t place = take_place(tally, config, who, now, false);

	if (place != LIMIT_REFUSED)
		atomic_fetch_add_explicit(&tally->running, 1, memory_order_relaxed);
	return place;
}

bool limit_is_within_share(struct limit_tally *tally, const struct limit_config *config,
    const struct limit_who *who, usec_t now)
{
	struct share share = hold_share(tally, config, who, now);
	uint64_t part = config->concurrency / share.active;
	bool is_within = share.part == NULL || atomic_load_explicit(&share.part->running,
						   memory_order_relaxed) < (part ? part : 1);

	let_go(&share);
	return is_within;
}

void limit_leave(struct limit_tally *tally, uint64_t place)
{
	struct share share = share_at(tally, place);

	count_down(&share.whole->running);
	if (share.part)
		count_down(&share.part->running);
	let_go(&share);
	atomic_fetch_sub_explicit(&tally->running, 1, memory_order_relaxed);
}

uint64_t limit_queue_enter(struct limit_tally *tally, const struct limit_config *config,
    const struct limit_who *who, usec_t now)
{
	return take_place(tally, config, who, now, true);
}

void limit_queue_leave(struct limit_tally *tally, uint64_t place)
{
	struct share share = share_at(tally, place);

	count_down(&share.whole->queued);
	if (share.part)
		count_down(&share.part->queued);
	let_go(&share);
}

void limit_note_waiting(struct limit_tally *tally, unsigned worker, usec_t since)
{
	unsigned n = atomic_load_explicit(&tally->workers, memory_order_relaxed);

	if (worker >= LIMIT_WORKERS_MAX)
		return;
	atomic_store_explicit(&tally->waiting[worker], since, memory_order_relaxed);
	while (n <= worker && !atomic_compare_exchange_weak_explicit(&tally->workers, &n,
				  worker + 1, memory_order_relaxed, memory_order_relaxed))
		;
}

usec_t limit_waiting_since(const struct limit_tally *tally, unsigned worker)
{
	if (worker >= LIMIT_WORKERS_MAX)
		return 0;
	return atomic_load_explicit(&tally->waiting[worker], memory_order_relaxed);
}

int limit_longest_waiting(const struct limit_tally *tally)
{
	unsigned n = atomic_load_explicit(&tally->workers, memory_order_relaxed);
	uint64_t longest = USEC_NONE;
	int found = -1;

	for (unsigned i = 0; i < n; i++) {
		uint64_t since = atomic_load_explicit(&tally->waiting[i], memory_order_relaxed);

		if (since && since < longest) {
			longest = since;
			found = (int)i;
		}
	}
	return found;
}

uint64_t limit_running(const struct limit_tally *tally)
{
	return atomic_load_explicit(&tally->running, memory_order_relaxed);
}

uint64_t limit_refused(const struct limit_tally *tally)
{
	return atomic_load_explicit(&tally->refused, memory_order_relaxed);
}
