/*
 * Whether a failed attempt is followed by another, when, and which results count as failures. Pure:
 * what moves is a retry_state, one for each call; the budget is asked by the caller of these
 * functions.
 */
#ifndef BRIDLE_POLICY_RETRY_H
#define BRIDLE_POLICY_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "policy/code_list.h"

struct rng;

enum retry_type {
	RETRY_NONE,
	RETRY_FAILURE,
	RETRY_BACKUP,    /* another shot each `delay`; the first good answer wins */
	RETRY_MIXED,     /* the same, and at once after a failure */
	RETRY_FORK,      /* all endpoints at once, the first good answer wins */
	RETRY_BROADCAST, /* all endpoints at once, all must answer */
};

enum retry_on {
	RETRY_ON_CONNECT = 1 << 0,
	RETRY_ON_UNSENT = 1 << 1,
	RETRY_ON_RESET = 1 << 2,
	RETRY_ON_TIMEOUT = 1 << 3,  /* timeout.attempt */
	RETRY_ON_OVERLOAD = 1 << 4, /* the endpoint says that it is over its limits */
};
#define RETRY_ON_SAFE (RETRY_ON_CONNECT | RETRY_ON_UNSENT)

#define RETRY_ATTEMPTS_MAX  5u  /* after the first */
#define RETRY_FAN_MAX       64u /* endpoints of fork and broadcast */
#define RETRY_ATTEMPTS_AUTO UINT32_MAX

enum backoff_kind { BACKOFF_NONE, BACKOFF_FIXED, BACKOFF_RANDOM, BACKOFF_EXPONENTIAL };

struct backoff {
	enum backoff_kind kind;
	usec_t min, max; /* fixed: min; random: between; exponential: base and cap */
	double factor;   /* exponential */
	double jitter;   /* 0..1, of exponential: +- */
};

struct retry_policy {
	enum retry_type type;
	unsigned attempts; /* after the first; RETRY_ATTEMPTS_AUTO: by type */
	unsigned on;       /* enum retry_on */
	struct code_list exceptions, biz, grpc;
	usec_t delay; /* backup, mixed; USEC_NONE: not given */
	struct backoff backoff;
	double budget;   /* share of the calls; < 0: none, no limit */
	usec_t duration; /* USEC_NONE: no limit */
	bool same_endpoint, goes_on_in_chain /* chain: ignore */, is_unsafe;
	uint64_t buffer; /* bytes of a call kept for another attempt; 0: none */
};

/* How many attempts may follow the first. */
unsigned retry_attempts(const struct retry_policy *p);
/* Does the policy ask for more than is safe for any method? */
bool retry_needs_idempotent(const struct retry_policy *p);

/* How an attempt ended, as far as retries are concerned. */
enum retry_outcome {
	RETRY_GOOD,
	RETRY_CONNECT_FAILED,
	RETRY_UNSENT,
	RETRY_RESET,
	RETRY_TIMED_OUT,
	RETRY_OVERLOADED, /* `number` is the exception's type or the grpc status that says so */
	RETRY_EXCEPTION,  /* `number` is its type */
	RETRY_BIZ_ERROR,  /* `number` is its code */
	RETRY_GRPC,       /* `number` is its status */
	RETRY_OTHER,      /* nothing that is ever retried */
};

struct retry_state {
	unsigned attempts; /* begun, the first included */
	usec_t started;    /* the first attempt */
	bool is_chained;   /* the call came marked as a retry */
	bool is_marked;    /* an attempt before went out marked: those that follow are, too */
	bool is_idempotent;
};

struct retry_verdict {
	bool again;
	bool needs_budget;   /* ask the budget; without it there is no other attempt */
	bool is_marked;      /* goes out with RetryReq */
	usec_t wait;         /* before it begins */
	const char *why_not; /* constant text, when not again */
};

struct retry_verdict retry_decide(const struct retry_policy *p, const struct retry_state *st,
    enum retry_outcome outcome, int32_t number, usec_t now, struct rng *rng);
/* The same for a backup shot, asked when `delay` is over. */
struct retry_verdict retry_decide_backup(
    const struct retry_policy *p, const struct retry_state *st, usec_t now, struct rng *rng);

#endif
