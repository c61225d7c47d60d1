/*
 * The circuit breaker of a service or a method: a sliding window of outcomes; closed, open, half open.
 * Kitex's rules (pkg cloudwego/kitex circuitbreak, bytedance/gopkg cloud/circuitbreaker): it trips on a
 * failure when there are min_samples and the share of failures is error_rate or more; after `open` the
 * next call is the first probe, then one each `probe`; `successes` of them in a row close it, one
 * failure opens it anew. While it is open late successes are ignored, late failures still counted.
 * Shared by all threads; no lock.
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
	_Atomic uint64_t buckets[BREAKER_BUCKETS]; /* which span (24 bits), good (20), failed (20) */
	_Atomic uint64_t state;			   /* private: state, generation, successes so far */
	_Atomic uint64_t since;			   /* of the state; the last probe */
	_Atomic uint64_t changes;
};

/* May this call go? In the open state this is where it becomes half open. */
bool breaker_allow(struct breaker *b, const struct breaker_policy *p, usec_t now);
enum breaker_outcome { BREAKER_SUCCESS, BREAKER_FAILURE, BREAKER_IGNORED };
/* How a call that was allowed went. @was_probe of breaker_allow is not needed: the state tells. */
void breaker_record(
    struct breaker *b, const struct breaker_policy *p, enum breaker_outcome outcome, usec_t now);
enum breaker_state breaker_state_of(
    const struct breaker *b, const struct breaker_policy *p, usec_t now);

#endif
