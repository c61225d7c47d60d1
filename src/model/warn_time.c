/* Doubts about times, and about retries, which live in them. */
#include <inttypes.h>

#include "model/config_warn.h"

static const char *const call_keys[] = {"timeout.call", "timeout.attempt", NULL};

static void of_connect(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {"timeout.connect", NULL};
	usec_t most = usec_min(p->timeout_call, p->timeout_attempt);

	if (p->timeout_connect == USEC_NONE || p->timeout_connect < most || !warn_own(c, p, keys))
		return;
	warn_policy(c, WARN_CONNECT_TIME, p, "timeout.connect",
	    "connecting may take all of the time that %s has\nexpected less than %s",
	    p->timeout_attempt < p->timeout_call ? "an attempt" : "the call",
	    p->timeout_attempt < p->timeout_call ? "timeout.attempt" : "timeout.call");
}

static void of_margin(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {"timeout.margin", "timeout.call", NULL};
	const char *own = warn_own(c, p, keys);

	if (own && p->timeout_margin != USEC_NONE && p->timeout_call != USEC_NONE &&
	    p->timeout_margin > p->timeout_call / 10)
		warn_policy(c, WARN_MARGIN, p, own,
		    "the margin is more than a tenth of timeout.call, and no more is taken\nexpected "
		    "at most %" PRIu64 "us",
		    p->timeout_call / 10);
}

static void of_default(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {"timeout.default", NULL};

	if (p->timeout_call != USEC_NONE && warn_own(c, p, keys))
		warn_policy(c, WARN_DEFAULT_TIME, p, "timeout.default",
		    "timeout.call is there for every call, so this never counts\nexpected one of the "
		    "two");
}

static void of_stream(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {"timeout.stream", "timeout.idle", NULL};
	const char *own = warn_own(c, p, keys);

	/* That of the built-in values is as long as it is for streams without a limit. */
	if (own && p->timeout_stream != USEC_NONE && p->timeout_idle != USEC_NONE &&
	    p->timeout_idle >= p->timeout_stream && check_is_own(c, p, "timeout.idle"))
		warn_policy(c, WARN_STREAM_TIME, p, own,
		    "a stream ends before it can be idle for so long\nexpected timeout.idle below "
		    "timeout.stream");
}

static void of_attempt(struct check *c, const struct policy *p)
{
	const char *own = warn_own(c, p, call_keys);

	if (own && p->timeout_attempt != USEC_NONE && p->timeout_call != USEC_NONE &&
	    p->timeout_attempt >= p->timeout_call)
		warn_policy(c, WARN_ATTEMPT_TIME, p, own,
		    "total timeout is shorter than one attempt, which so never ends by itself\n"
		    "expected timeout.attempt below timeout.call");
}

static bool retries_timeouts(const struct policy *p)
{
	return (p->retry.type == RETRY_FAILURE || p->retry.type == RETRY_MIXED) &&
	       (p->retry.on & RETRY_ON_TIMEOUT) && retry_attempts(&p->retry) > 0;
}

static void of_all_attempts(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {
	    "retry.attempts", "timeout.attempt", "timeout.call", "retry.on", "retry.type", NULL};
	uint64_t begun = 1 + retry_attempts(&p->retry);
	const char *own = warn_own(c, p, keys);

	if (own == NULL || !retries_timeouts(p) || p->timeout_attempt == USEC_NONE ||
	    p->timeout_call == USEC_NONE || p->timeout_attempt >= p->timeout_call)
		return;
	if (begun * p->timeout_attempt > p->timeout_call)
		warn_policy(c, WARN_ATTEMPTS_TIME, p, own,
		    "%" PRIu64 " attempts of %" PRIu64
		    "ms need more time than the call has, %" PRIu64
		    "ms\nexpected fewer attempts, shorter ones, or more time",
		    begun, p->timeout_attempt / USEC_MS, p->timeout_call / USEC_MS);
}

void warn_of_times(struct check *c, const struct policy *policy)
{
	of_connect(c, policy);
	of_margin(c, policy);
	of_default(c, policy);
	of_stream(c, policy);
	of_attempt(c, policy);
	of_all_attempts(c, policy);
}

/* ---- retries ---- */

static bool has_shots(const struct policy *p)
{
	return p->retry.type == RETRY_BACKUP || p->retry.type == RETRY_MIXED;
}

static bool has_turns(const struct policy *p)
{
	return p->retry.type == RETRY_FAILURE || p->retry.type == RETRY_MIXED;
}

static void of_delay(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {
	    "retry.delay", "retry.type", "timeout.call", "timeout.attempt", NULL};
	usec_t most = usec_min(p->timeout_call, p->timeout_attempt);
	const char *own = warn_own(c, p, keys);

	if (own && has_shots(p) && p->retry.delay != USEC_NONE && p->retry.delay >= most)
		warn_policy(c, WARN_BACKUP_DELAY, p, own,
		    "the call or its first attempt is over before a backup leaves\nexpected "
		    "retry.delay below timeout.call and timeout.attempt");
}

static void of_backoff(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {"retry.backoff", "timeout.call", NULL};
	const char *own = warn_own(c, p, keys);

	if (own && has_turns(p) && p->retry.backoff.kind != BACKOFF_NONE &&
	    p->timeout_call != USEC_NONE && p->retry.backoff.min >= p->timeout_call)
		warn_policy(c, WARN_BACKOFF, p, own,
		    "the call is over before the first wait is\nexpected a shorter backoff, or more "
		    "time");
}

static void of_duration(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {
	    "retry.duration", "retry.delay", "retry.backoff", "retry.type", NULL};
	const char *own = warn_own(c, p, keys);
	usec_t wait = 0;

	if (has_turns(p) && p->retry.backoff.kind != BACKOFF_NONE)
		wait = p->retry.backoff.min;
	if (p->retry.type == RETRY_BACKUP && p->retry.delay != USEC_NONE)
		wait = p->retry.delay;
	if (own && wait > 0 && p->retry.duration <= wait)
		warn_policy(c, WARN_DURATION, p, own,
		    "no attempt may begin any more when the first wait is over\nexpected "
		    "retry.duration above it");
}

static void of_budget(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {"retry.budget", "retry.type", "retry.on", NULL};
	const char *own = warn_own(c, p, keys);

	if (own && p->retry.budget >= 0 && p->retry.budget <= 0 &&
	    retry_needs_idempotent(&p->retry) && p->retry.type != RETRY_FORK &&
	    p->retry.type != RETRY_BROADCAST)
		warn_policy(c, WARN_BUDGET, p, own,
		    "these retries need budget, and there is none but 3 in a second\nexpected a share "
		    "like 20%%, or none for no limit");
}

static void of_keys(struct check *c, const struct policy *p)
{
	static const char *const delay[] = {"retry.delay", NULL}, *const on[] = {"retry.on", NULL},
				 *const backoff[] = {"retry.backoff", NULL},
				 *const attempts[] = {"retry.attempts", NULL};
	const char *own = NULL;

	if (!has_shots(p) && p->retry.delay != USEC_NONE)
		own = warn_own(c, p, delay);
	if (own == NULL && !has_turns(p) && !has_shots(p)) {
		if (p->retry.backoff.kind != BACKOFF_NONE)
			own = warn_own(c, p, backoff);
		if (own == NULL && p->retry.attempts != RETRY_ATTEMPTS_AUTO)
			own = warn_own(c, p, attempts);
	}
	if (own == NULL && !has_turns(p) &&
	    retry_needs_idempotent(
		&(struct retry_policy){.type = RETRY_FAILURE, .on = p->retry.on}))
		own = warn_own(c, p, on);
	if (own == NULL && p->retry.type == RETRY_FAILURE && p->retry.attempts == 0)
		own = warn_own(c, p, attempts);
	if (own)
		warn_policy(c, WARN_RETRY_KEY, p, own,
		    "it means nothing to retries of this type\nleave it out, or expected another type; "
		    "to retry nothing, retry: none");
}

static void of_timeout(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {"retry.on", "timeout.attempt", "retry.type", NULL};
	const char *own = warn_own(c, p, keys);

	if (own && retries_timeouts(p) && p->timeout_attempt == USEC_NONE)
		warn_policy(c, WARN_RETRY_TIMEOUT, p, own,
		    "no attempt is ever timed out without timeout.attempt\nexpected timeout: {attempt: "
		    "TIME} beside it");
}

static bool has_names(const struct service_config *service)
{
	for (size_t i = 0; i < service->n_endpoints; i++)
		if (service->endpoints[i].address.kind == ADDRESS_NAME)
			return true;
	return false;
}

static void of_fan(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {"retry.type", NULL};
	const struct service_config *s = p->service;

	if ((p->retry.type != RETRY_FORK && p->retry.type != RETRY_BROADCAST) || s == NULL ||
	    has_names(s) || !warn_own(c, p, keys))
		return;
	if (s->n_endpoints == 1)
		warn_policy(c, WARN_FAN, p, "retry.type",
		    "all endpoints are one here\nexpected several endpoints, or another type");
	if (s->n_endpoints > RETRY_FAN_MAX)
		warn_policy(c, WARN_FAN, p, "retry.type",
		    "of %zu endpoints only %u are asked\nexpected subsets, or another type",
		    s->n_endpoints, RETRY_FAN_MAX);
}

static void of_unsafe(struct check *c, const struct policy *p)
{
	static const char *const keys[] = {"retry.unsafe", NULL};

	if (!p->retry.is_unsafe || retry_needs_idempotent(&p->retry) || !warn_own(c, p, keys))
		return;
	/* Methods may add what it is for. */
	for (size_t i = 0; p->service && !p->method && i < p->service->n_methods; i++)
		if (retry_needs_idempotent(&p->service->methods[i].policy.retry))
			return;
	if (p->service)
		warn_policy(c, WARN_UNSAFE, p, "retry.unsafe",
		    "what is retried here is always safe\nleave it out");
}

void warn_of_retries(struct check *c, const struct policy *policy)
{
	of_delay(c, policy);
	of_backoff(c, policy);
	of_duration(c, policy);
	of_budget(c, policy);
	of_keys(c, policy);
	of_timeout(c, policy);
	of_fan(c, policy);
	of_unsafe(c, policy);
}
