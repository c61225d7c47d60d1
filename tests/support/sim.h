/*
 * The words in which scenarios are written: a worker of the proxy with one service "app" in front
 * of it, callers that say and hear messages, and connections of its endpoints that do the same.
 * Nothing here waits: all that can happen at a moment has happened when a word returns, and time
 * passes only when a scenario says so.
 */
#ifndef BRIDLE_TESTS_SIM_H
#define BRIDLE_TESTS_SIM_H

#include <check.h>

#include "base/reason.h"
#include "proxy/worker.h"
#include "support/fake_net.h"
#include "support/sim_frame.h"

struct sim_setup {
	const char *service;  /* keys of the service "app": protocol: framed, multiplex: true */
	const char *listener; /* keys of the listener "in", which is pinned to it */
	const char *local;    /* keys of the listener "local" */
	const char *services; /* more services: other: {...}, third: {...} */
	const char *top;      /* more keys at the top: limits: {...} */
	unsigned endpoints;   /* of app; 1 */
	unsigned first;       /* number of the first endpoint; 1 */
	bool is_local;        /* they are on unix sockets */
	bool without_in;      /* there is no listener "in" */
	bool is_empty;        /* discovery says that app has no endpoint */
};

/* The three listeners: "in" (TCP) and "local" (unix) are pinned to app, "open" is not pinned. */
#define start(...)  sim_start(&(struct sim_setup){__VA_ARGS__})
#define reload(...) sim_reload(&(struct sim_setup){__VA_ARGS__})
void sim_start(const struct sim_setup *setup);
void sim_reload(const struct sim_setup *setup);
/* Ends everything, in the middle of whatever goes on, and checks that nothing is left behind. */
void sim_stop(void);
/* Ends the worker alone: what it said last can be heard. */
void end_worker(void);
/* The same as sim_stop where not every call was to be logged. */
void sim_stop_quietly(void);
/* For the fixture: lets all calls come to their own end first, if the test has not stopped it. */
void sim_end(void);
struct worker *sim_worker(void);
/* Another worker of the same process, on the same loop, for whom dial_second is. */
void start_second_worker(void);
struct worker *sim_second(void);
/* What workers say to each other waits, until it is not held any more. */
void hold_wakes(bool hold);
/* No caller's connection is left, and no call without one. */
bool sim_is_drained(void);
struct loop *sim_loop(void);
usec_t sim_now(void);
struct service_stats *sim_stats(void); /* of app */
/* Runs a suite of scenarios with sim_end behind each. */
int sim_main(const char *name, const TTest *const *tests, size_t count);

/* ---- far ends ---- */

struct fake_end *dial(void);
struct fake_end *dial_second(void);
struct fake_end *dial_to(const char *listener);
struct fake_end *dial_local(int uid);
/* On a unix socket, by a process of that number, to the first worker (0) or the second. */
struct fake_end *dial_process(unsigned worker, const char *listener, int process);
/* The process behind the endpoints on unix sockets that are connected to from now on. */
void apps_run_as(int process);
/* A caller above the limit of its listener. */
struct fake_end *dial_over_limit(void);
/* The next connection that was made to an endpoint; there must be one. */
#define accepted() sim_accepted(__LINE__)
struct fake_end *sim_accepted(int line);
/* There is none that accepted() has not returned. */
#define no_connect() sim_no_connect(__LINE__)
void sim_no_connect(int line);

/* A caller says calls and hears replies, an endpoint the other way round, unless `kind` is
 * given. */
#define say(end, ...) sim_say(end, &(struct sim_frame){__VA_ARGS__}, 0, SIZE_MAX)
/* Only the bytes from @from up to @to of it; negative numbers count from the end, as 0 does for
 * @to. */
#define say_part(end, from, to, ...) sim_say_part(end, from, to, &(struct sim_frame){__VA_ARGS__})
void sim_say(struct fake_end *end, const struct sim_frame *f, size_t from, size_t to);
void sim_say_part(struct fake_end *end, long from, long to, const struct sim_frame *f);
void say_bytes(struct fake_end *end, struct slice bytes);
/* Without anything happening yet: what is put arrives with the next word. */
#define put(end, ...) sim_put(end, &(struct sim_frame){__VA_ARGS__})
void sim_put(struct fake_end *end, const struct sim_frame *f);
void half_close(struct fake_end *end);
void hang_up(struct fake_end *end);
void reset(struct fake_end *end);
/* The network takes so many bytes more towards that end. */
void take(struct fake_end *end, size_t bytes);

/*
 * The next message that has arrived is this one. The text is compared when it is given; each of
 * `keys`, `base` and `map` must be there, those that begin with "!" must not.
 */
#define hear(end, ...) sim_hear(__LINE__, end, &(struct sim_frame){__VA_ARGS__})
const struct sim_heard *sim_hear(int line, struct fake_end *end, const struct sim_frame *f);
/* It is an exception that the proxy made for this reason. */
#define hear_failure(end, reason, ...)                                                             \
	sim_hear_failure(__LINE__, end, reason, &(struct sim_frame){__VA_ARGS__})
const struct sim_heard *sim_hear_failure(
    int line, struct fake_end *end, enum reason reason, const struct sim_frame *f);
#define hear_nothing(end) sim_hear_nothing(__LINE__, end)
void sim_hear_nothing(int line, struct fake_end *end);
/* It was closed, and nothing had arrived that was not heard. */
#define hear_end(end) sim_hear_end(__LINE__, end)
void sim_hear_end(int line, struct fake_end *end);
/* It is open, and nothing has arrived. */
#define is_open(end) (!fake_is_over(end))

/* ---- time, and what was noted ---- */

void pass(unsigned ms);

/* The next line of the access log has these values: "reason=ok attempts=1". "detail~word" looks for
 * a part. */
#define logged(expected) sim_logged(__LINE__, expected)
void sim_logged(int line, const char *expected);
#define logged_nothing() sim_logged_nothing(__LINE__)
void sim_logged_nothing(int line);
/* The last line that was compared. */
const char *sim_line(void);
/* How many lines have come that nobody looked at. */
unsigned sim_lines(void);

uint64_t attempts(enum attempt_outcome outcome);
uint64_t dropped(enum metadata_class class);
/* In flight on, and connections to, all endpoints of app. */
uint64_t in_flight(void);
uint64_t upstreams(void);
/* Calls that hold a place of the limit that is written there: "services.app.limit". */
uint64_t running(const char *limit);

#endif
