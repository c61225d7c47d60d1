#include "policy/retry.h"

#include "base/rng.h"

struct retry_kind {
	unsigned attempts, most; /* after the first: when not given, and at most */
};

/* Source of the numbers: kitex pkg/retry (failure.go, backup.go, mixed.go). */
static struct retry_kind kind_of(enum retry_type type)
{
	switch (type) {
	case RETRY_FAILURE:
		return (struct retry_kind){2, RETRY_ATTEMPTS_MAX};
	case RETRY_BACKUP:
		return (struct retry_kind){1, 2};
	case RETRY_MIXED:
		return (struct retry_kind){1, 3};
	case RETRY_NONE:
	case RETRY_FORK: /* all attempts are the first */
	case RETRY_BROADCAST:
		break;
	}
	return (struct retry_kind){0, 0};
}

unsigned retry_attempts(const struct retry_policy *p)
{
	struct retry_kind kind = kind_of(p->type);

	if (p->attempts == RETRY_ATTEMPTS_AUTO)
		return kind.attempts;
	return p->attempts < kind.most ? p->attempts : kind.most;
}

bool retry_needs_idempotent(const struct retry_policy *p)
{
	switch (p->type) {
	case RETRY_NONE:
		return false;
	case RETRY_FAILURE:
		return (p->on | RETRY_ON_SAFE) != RETRY_ON_SAFE || p->exceptions.n || p->biz.n ||
		       p->grpc.n;
	case RETRY_BACKUP:
	case RETRY_MIXED:
	case RETRY_FORK:
	case RETRY_BROADCAST:
		break;
	}
	return true;
}

/* Does the policy name that outcome? */
static bool is_wanted(const struct retry_policy *p, enum retry_outcome outcome, int32_t number)
{
	switch (outcome) {
	case RETRY_CONNECT_FAILED:
		return p->on & RETRY_ON_CONNECT;
	case RETRY_UNSENT:
		return p->on & RETRY_ON_UNSENT;
	case RETRY_RESET:
		return p->on & RETRY_ON_RESET;
	case RETRY_TIMED_OUT:
		return p->on & RETRY_ON_TIMEOUT;
	case RETRY_OVERLOADED:
		return p->on & RETRY_ON_OVERLOAD || code_list_has(&p->exceptions, number) ||
		       code_list_has(&p->grpc, number);
	case RETRY_EXCEPTION:
		return code_list_has(&p->exceptions, number);
	case RETRY_BIZ_ERROR:
		return code_list_has(&p->biz, number);
	case RETRY_GRPC:
		return code_list_has(&p->grpc, number);
	case RETRY_GOOD:
	case RETRY_OTHER:
		break;
	}
	return false;
}

/* No byte of the call has reached anybody: another endpoint may have it, whatever the method
 * does. */
static bool is_safe(enum retry_outcome outcome)
{
	return outcome == RETRY_CONNECT_FAILED || outcome == RETRY_UNSENT;
}

/* Even between @min and @max. */
static usec_t wait_between(usec_t min, usec_t max, struct rng *rng)
{
	if (max <= min)
		return min;
	return max - min == UINT64_MAX ? rng_next(rng) : min + rng_below(rng, max - min + 1);
}

/* min(max, base x factor^(n-1)), then x (1 +- jitter). */
static usec_t wait_exponential(const struct backoff *b, unsigned n, struct rng *rng)
{
	double wait = (double)b->min, max = (double)b->max, swing;

	for (unsigned i = 1; i < n && wait < max; i++)
		wait *= b->factor;
	if (wait > max)
		wait = max;
	swing = wait * b->jitter;
	if (swing < 0.5)
		return (usec_t)wait;
	return wait_between((usec_t)(wait - swing), (usec_t)(wait + swing), rng);
}

static usec_t wait_before(const struct backoff *b, unsigned n, struct rng *rng)
{
	switch (b->kind) {
	case BACKOFF_NONE:
		break;
	case BACKOFF_FIXED:
		return b->min;
	case BACKOFF_RANDOM:
		return wait_between(b->min, b->max, rng);
	case BACKOFF_EXPONENTIAL:
		return wait_exponential(b, n, rng);
	}
	return 0;
}

static struct retry_verdict no(const char *why)
{
	return (struct retry_verdict){.why_not = why};
}

/* What bounds each new attempt, safe or not. */
static const char *out_of_bounds(
    const struct retry_policy *p, const struct retry_state *st, usec_t wait, usec_t now)
{
	usec_t begins = usec_after(now, wait);

	if (st->attempts > retry_attempts(p))
		return "all attempts are used up";
	if (p->duration != USEC_NONE && begins > usec_after(st->started, p->duration))
		return "retry.duration is over";
	return NULL;
}

/* What stands in the way of an attempt that the endpoint may see for a second time. */
static const char *unsafe(const struct retry_policy *p, const struct retry_state *st)
{
	if (!st->is_idempotent && !p->is_unsafe)
		return "the method is not idempotent";
	if (st->is_chained && !p->goes_on_in_chain)
		return "the call is a retry already";
	return NULL;
}

static struct retry_verdict yes(
    const struct retry_policy *p, const struct retry_state *st, bool safe, usec_t wait)
{
	return (struct retry_verdict){
	    .again = true,
	    .needs_budget = !safe && p->budget >= 0,
	    .is_marked = !safe || st->is_marked,
	    .wait = wait,
	};
}

struct retry_verdict retry_decide(const struct retry_policy *p, const struct retry_state *st,
    enum retry_outcome outcome, int32_t number, usec_t now, struct rng *rng)
{
	bool safe = is_safe(outcome);
	const char *why;
	usec_t wait;

	if (outcome == RETRY_GOOD)
		return no("it went well");
	if (kind_of(p->type).most == 0)
		return no(p->type == RETRY_NONE ? "retry is none" : "all endpoints were asked");
	if (p->type == RETRY_BACKUP && !safe)
		return no("backups go by time, not by results");
	if (!is_wanted(p, outcome, number))
		return no("retry.on does not name it");
	why = safe ? NULL : unsafe(p, st);
	if (why)
		return no(why);
	wait = wait_before(&p->backoff, st->attempts, rng);
	why = out_of_bounds(p, st, wait, now);
	return why ? no(why) : yes(p, st, safe, wait);
}

struct retry_verdict retry_decide_backup(
    const struct retry_policy *p, const struct retry_state *st, usec_t now, struct rng *rng)
{
	usec_t wait = 0;
	const char *why;

	if (p->type != RETRY_BACKUP && p->type != RETRY_MIXED)
		return no("retry.type has no backups");
	why = unsafe(p, st);
	if (why)
		return no(why);
	if (p->type == RETRY_MIXED) /* as in Kitex: its pause comes before a backup, too */
		wait = wait_before(&p->backoff, st->attempts, rng);
	why = out_of_bounds(p, st, wait, now);
	return why ? no(why) : yes(p, st, false, wait);
}
