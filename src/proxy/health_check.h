/*
 * Active health checks: asks the endpoints of services that want it, each at its own pace, whether
 * they are well, and notes it in their tallies, where balancing looks. Runs on the control thread;
 * no call ever waits for it.
 *
 *     WAITING --time--> CONNECTING --connected--> ASKING --answer, end, timeout--> WAITING
 *                        |   ^
 *                        '---' the accept queue is full: a moment later
 */
#ifndef BRIDLE_PROXY_HEALTH_CHECK_H
#define BRIDLE_PROXY_HEALTH_CHECK_H

#include <stdint.h>

struct health_checks;
struct loop;
struct snapshot;

/* @loop is borrowed. @seed: for the times of checks. */
struct health_checks *health_checks_new(struct loop *loop, uint64_t seed);
/* Stops all. What endpoints are thought of stays. */
void health_checks_free(struct health_checks **checks);

/* From now on those of @snapshot are checked, of which it keeps a reference. One that is as it was
 * goes on; what is not checked any more is unknown again. */
void health_checks_follow(struct health_checks *checks, struct snapshot *snapshot);

#endif
