/*
 * Whether local applications answer: those of services that somebody wants to know it of. Where a
 * service has health checks, what these find decides; else each of its endpoints is connected to
 * now and then. Nothing else plays a part: what calls meet on their way (breakers, ejections) is no
 * reason to be taken out of a registry, for nobody would come to find it well again.
 *
 *     UNKNOWN --connected--> UP --refused, or failed twice in a row--> DOWN --connected--> UP
 *
 * An application is ready while one endpoint at least is UP. When its endpoints become others, it
 * stays what it was until they have been asked. Belongs to one loop's thread.
 */
#ifndef BRIDLE_DAEMON_READINESS_H
#define BRIDLE_DAEMON_READINESS_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/slice.h"

#define READINESS_EVERY   USEC_S          /* what registrations ask for */
#define READINESS_TIMEOUT USEC_S          /* of a connect */
#define READINESS_LOOK    (100 * USEC_MS) /* at what health checks have found */

struct loop;
struct readiness;
struct service;
struct snapshot;

/* Is it wanted of this service? */
typedef bool (*readiness_wants_fn)(const struct snapshot *snapshot, const struct service *service);
/* Of those that are to be registered while they are ready. */
bool readiness_for_registration(const struct snapshot *snapshot, const struct service *service);

/* @every: from one connect to the next. @changed: some application has become ready, or is no more;
 * may be called inside readiness_follow. @loop and @arg are borrowed. */
struct readiness *readiness_new(struct loop *loop, readiness_wants_fn wants, usec_t every,
    void (*changed)(void *arg), void *arg);
void readiness_free(struct readiness **readiness);
/* Watches the applications of @snapshot that are wanted, and no others. Takes a reference of its
 * own. */
void readiness_follow(struct readiness *readiness, struct snapshot *snapshot);
/* Is the application of this service ready? *why: what it lacks, valid until the loop's next turn;
 * "" when it is ready. */
bool readiness_is_ready(const struct readiness *readiness, struct slice label, const char **why);
/* All that are watched. *why: what the first lacks that is not. */
bool readiness_all_ready(const struct readiness *readiness, const char **why);

#endif
