/*
 * The circuit breaker of a service or a method: a sliding window of outcomes; closed, open, half
 * open. Kitex's rules (pkg cloudwego/kitex circuitbreak, bytedance/gopkg cloud/circuitbreaker): it
 * trips on a failure when there are min_samples and the share of failures is error_rate or more;
 * after `open` the next call is the first probe, then one each `probe`; `successes` of them close
 * it, one failure among them opens it anew. While it is open late successes are ignored, late
 * failures still counted. Other than there, a call of before is never taken for a probe: each call
 * carries a ticket of its time. Shared by all threads; no lock.
 */
#ifndef BRIDLE_POLICY_BREAKER_H
#define BRIDLE_POLICY_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"

enum breaker_by { BREAKER_BY_SERVICE, BREAKER_BY_METHOD };

struct breaker_policy {
	double error_rate; /* 0..1 */
	uint64_t min_samples;
	usec_t window, open, probe;
	unsigned successes;
	enum breaker_by by;
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
const char *breaker_state_name(enum breaker_state state);

#define BREAKER_BUCKETS 100u

struct breaker {
	/* Which lap around the buckets (24 bits), good, failed (20 each: both are halved before one
	 * overflows, so that their share stays). */
	_Atomic uint64_t buckets[BREAKER_BUCKETS];
	_Atomic uint64_t state;   /* private: state, generation, successes so far */
	_Atomic uint64_t since;   /* of the state; the last probe */
	_Atomic uint64_t changes; /* of state, ever */
};

#define BREAKER_REFUSED UINT64_C(0)

/* May this call go? A ticket for breaker_record if it may, else BREAKER_REFUSED. In the open
 * state this is where it becomes half open. Zeroed memory is a closed breaker. */
uint64_t breaker_allow(struct breaker *b, const struct breaker_policy *p, usec_t now);
enum breaker_outcome { BREAKER_SUCCESS, BREAKER_FAILURE, BREAKER_IGNORED };
/* How a call went that was allowed with @ticket. */
void breaker_record(struct breaker *b, const struct breaker_policy *p, uint64_t ticket,
    enum breaker_outcome outcome, usec_t now);
/* It is another's from now on: closed, without a past. What was let through before is no probe. */
void breaker_forget(struct breaker *b);
/* As a call at @now would find it: half open when the time of being open is over. */
enum breaker_state breaker_state_of(
    const struct breaker *b, const struct breaker_policy *p, usec_t now);

#endif
