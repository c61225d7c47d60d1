/*
 * Which calls are in flight to which process beside us, for services with `correlate`: so that a
 * call that such a process makes meanwhile can be told to belong to the one that it answers. One
 * table for all workers, behind one lock that only calls over unix sockets take, and only while a
 * configuration asks for it.
 *
 * Nothing is guessed. A process that answers no call before those that it made for it are answered
 * has the call in flight, as seen from here, for as long as one that it makes is on its way to us;
 * so if there is exactly one, it is that one. Whatever might still run counts, too: calls of other
 * services to the same process, and for some time those whose end cannot be seen from here
 * (oneways, and what was given up before its reply came). What was sent by those who do not count
 * (before a reload that asked for it, or by another bridled in an upgrade) forbids it altogether.
 */
#ifndef BRIDLE_PROXY_CORRELATION_H
#define BRIDLE_PROXY_CORRELATION_H

#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/ref.h"
#include "base/slice.h"
#include "net/conn.h"
#include "rpc/handed_on.h"

#define CORRELATION_LABEL_MAX 256u /* of a service, with a NUL */
/* Of one call: what is more is not kept. */
#define CORRELATION_BYTES_MAX (16u * 1024)

struct correlation;
/* As long as somebody has a connection to it. */
struct correlation_process;

/* What is handed on from a call in flight. Does not change; counted references. */
struct correlated {
	struct ref refs;
	bool is_large; /* more than is kept: there are no values */
	usec_t until;  /* by loop_now: when the time is up that its caller stated; USEC_NONE */
	struct rpc_handed_on what; /* its timeout says nothing */
	uint8_t bytes[];
};

/* Part of what was sent; all zero: it is in nobody's flight. */
struct correlation_flight {
	struct list link;
	struct correlation_process *process; /* a reference */
	struct correlated *hands_on;         /* a reference; NULL: its service does not correlate */
};

enum correlation_result {
	CORRELATION_TIED,
	CORRELATION_NONE,    /* no call is in flight, or none of a service with `correlate` */
	CORRELATION_SEVERAL, /* or what may be */
	CORRELATION_LARGE,
	CORRELATION_COUNTED,                        /* those above */
	CORRELATION_STRANGER = CORRELATION_COUNTED, /* no process that we send such calls to */
	CORRELATION_UNPROVEN, /* is it the same process, or one that has got its number? */
};
/* "tied", ...; only of those that are counted. */
const char *correlation_result_name(enum correlation_result result);

struct correlation *correlation_new(void);
/* Nothing may be in flight, and no connection have a process. */
void correlation_free(struct correlation **c);

/* Worlds (proxy/world.h) whose calls do not count begin and end; @now: loop_now. */
void correlation_begin_blind(struct correlation *c);
void correlation_end_blind(struct correlation *c, usec_t now);
/* Another bridled serves the same applications, from now on; or has ended. */
void correlation_share(struct correlation *c, bool is_shared, usec_t now);
/* The same until the process ends; the descriptor moves, -1: nobody can tell. And until @until: one
 * before it may serve them still; USEC_NONE: that is not waited for, unless nobody can tell. */
void correlation_share_with(struct correlation *c, int process, usec_t until);

/* The process that listens at the other end, by what conn_process says; the descriptor in @who
 * moves. @label: the service of the connection. */
struct correlation_process *correlation_process(
    struct correlation *c, struct conn_process *who, struct slice label, usec_t now);
void correlation_leave(struct correlation *c, struct correlation_process **process);

/* A call goes to the process, before its first byte does. @hands_on moves. */
void correlation_begin(struct correlation *c, struct correlation_flight *flight,
    struct correlation_process *process, struct correlated *hands_on);
/* Its call was given up, but its end will be seen: @to takes its place, and hands nothing
 * on. */
void correlation_give_up(
    struct correlation *c, struct correlation_flight *flight, struct correlation_flight *to);
/* It is over. @blind_until: it may still run until then; 0: it is known not to. */
void correlation_end(struct correlation *c, struct correlation_flight *flight, usec_t blind_until);

/* Who asks: the other end of a connection that has come. */
struct correlation_asker {
	pid_t pid;
	uid_t uid;
	uint64_t proven; /* which process it was found to be; 0: none yet */
};
/*
 * The call that a call of @asker belongs to. TIED: *found is a reference. UNPROVEN: ask again when
 * conn_process has said that the process at the other end is alive, with asker->proven as this call
 * has left it. @label, of CORRELATION_LABEL_MAX: the service that it is counted for.
 */
enum correlation_result correlation_find(struct correlation *c, struct correlation_asker *asker,
    usec_t now, struct correlated **found, char *label);

/* With room for @size bytes. */
struct correlated *correlated_new(size_t size);
void correlated_unref(struct correlated **correlated);

#endif
