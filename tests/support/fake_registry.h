/* A registry without a server: its client does nothing by itself and remembers what it was
 * asked. */
#ifndef BRIDLE_TESTS_FAKE_REGISTRY_H
#define BRIDLE_TESTS_FAKE_REGISTRY_H

#include "registry/client.h"

/* What the client was asked, line by line: "watch shop", "enroll shop 127.0.0.1:80 10". */
extern char fake_registry_asked[4096];
/* What was raised: "set shop", "document /a", "registration shop present". */
extern char fake_registry_raised[4096];
extern struct loop *fake_registry_loop;
extern struct registry_config fake_registry_config; /* may be changed before opening */
extern struct registration *fake_registry_enrolled; /* the last one given to the client */

/* The time of day and the monotonic clock are ahead by so much. Needs clock_monotonic and
 * clock_calendar wrapped by the linker. */
extern usec_t fake_registry_skipped, fake_registry_calendar_skipped;

/* Around each test: a loop, and the check that no descriptor is left. */
void fake_registry_begin(void);
void fake_registry_end(void);
struct registry *fake_registry_open(void);
/* One that only discovers. */
struct registry *fake_registry_open_plain(void);
/* Lets time pass: all that is due happens. */
void fake_registry_pass(usec_t time);
/* Runs what waits for the end of the turn. */
void fake_registry_turn(void);
/* "10.0.0.1:80 10 zone lane=gray;10.0.0.2:80 5": endpoints, valid until the next call. */
size_t fake_registry_endpoints(const char *text, const struct endpoint **list);
/* The registry hears this of the service. */
void fake_registry_hear(struct registry *r, const char *service, const char *set);
void fake_registry_fail(struct registry *r, const char *service, const char *why);
/* What is known of a service: "fresh 10.0.0.1:80 10.0.0.2:80", with "! why" at the end if there is
 * an error. */
const char *fake_registry_known(const struct registry *r, const char *service);
/* The history: "added 10.0.0.1:80 [7] weight 10\n...". */
const char *fake_registry_history(const struct registry *r, const char *service);

#endif
