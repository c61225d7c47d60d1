/*
 * A connection that we opened to an endpoint, with its codec. It carries one call at a time
 * (leased), many at once (shared, towards multiplexing servers), or oneways alone.
 *
 *     CONNECTING --connected--> LEASED --reply--> IDLE --lease--> LEASED
 *                               LEASED --given up--> DISCARDING --reply--> IDLE
 *     CONNECTING --connected--> SHARED
 *     any --end, error, a byte that nobody asked for--> CLOSED
 */
#ifndef BRIDLE_PROXY_UPSTREAM_H
#define BRIDLE_PROXY_UPSTREAM_H

#include "base/list.h"
#include "base/wheel.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/correlation.h"
#include "proxy/oneway_notes.h"
#include "rpc/codec.h"

struct attempt;
struct backend;
struct conn;
struct conn_events;
struct introduction;

enum upstream_state {
	UPSTREAM_CONNECTING, /* waits for the connect; its attempts wait with it */
	UPSTREAM_LEASED,     /* waits for the reply of its attempt */
	UPSTREAM_IDLE,       /* waits for the next lease */
	UPSTREAM_DISCARDING, /* waits for a reply that nobody wants any more */
	UPSTREAM_SHARED,     /* carries many calls */
	UPSTREAM_ONEWAY,     /* only written to */
	UPSTREAM_CLOSED,     /* freed at the end of the turn */
};

enum upstream_use {
	UPSTREAM_FOR_CALL,
	UPSTREAM_FOR_MANY,
	UPSTREAM_FOR_ONEWAY,
	UPSTREAM_FOR_LONG_ONEWAY, /* as FOR_ONEWAY, but nothing else may be written meanwhile */
	UPSTREAM_FOR_HTTP2,       /* many at once, by nature */
	UPSTREAM_FOR_TTSTREAM,
};

struct upstream {
	struct list link; /* in one of its backend's lists */
	struct backend *backend;
	struct conn *conn;   /* owned */
	struct codec *codec; /* owned */
	enum upstream_state state;
	enum upstream_use use;
	struct introduction
	    *introduction;        /* owned reference: whose it began with; NULL: nobody's */
	struct list introduced;   /* in introduction->connections */
	struct attempt *attempt;  /* who has it alone: borrowed */
	struct slots *slots;      /* owned; shared ones */
	struct list waiting;      /* attempts for which a shared or oneway one connects */
	struct list leaving;      /* oneways whose last byte has not left yet */
	struct list streams;      /* attempts on a multiplexing one */
	struct loop_work work;    /* to take what its codec has to tell without input */
	size_t charged;           /* of what its codec holds, against limits.memory */
	usec_t pinged_at;         /* when a sign of life was asked for; 0: it was not */
	struct attempt *relaying; /* whose long reply is coming in; NULL: nobody's */
	uint64_t number; /* of its name (proxy/upstream_name), in worker->named; 0: it has none */
	struct oneway_notes oneways;         /* with a name: what was sent on it */
	usec_t heard_at;                     /* when its last byte came in */
	bool is_in_reply;                    /* a long reply is coming in */
	bool is_reused;                      /* has carried a call before */
	bool takes_no_more;                  /* no new calls: crrst, shutdown */
	bool is_unclean;                     /* not to be pooled after the present call */
	bool is_warming;                     /* connects for nobody yet */
	int write_error;                     /* errno of the last write, 0 */
	struct correlation_process *process; /* owned reference: who listens there; NULL: unknown */
	bool has_asked_process;
	struct correlation_flight flight; /* of the call whose reply is thrown away */
	usec_t blind_time;                /* how long that may run if the reply does not come */
	struct timer timer;               /* idle, discarding: when to close */
	usec_t idle_since;                /* its last call, or when one was seen on it last */
	usec_t keep_for;
	unsigned keep; /* the policy's pool.keep when it was last leased */
};

enum lease { LEASE_READY, LEASE_PENDING, LEASE_BACKLOG, LEASE_FULL, LEASE_FAILED };

/*
 * Finds or opens a connection for the attempt. READY: attempt->upstream can be written to. PENDING:
 * attempt_connected or attempt_broken follows. BACKLOG: the application's accept queue is full.
 * FULL: there may be no more connections (pool.connections); attempt_offered follows when one is
 * free. FAILED: *error is the errno.
 */
enum lease upstream_lease(
    struct backend *backend, enum upstream_use use, struct attempt *attempt, int *error);
/* The attempt has its whole reply; the connection goes back to the pool if it may. */
void upstream_return(struct upstream *u, struct attempt *attempt, bool reusable);
/*
 * The attempt wants no reply any more. @sent: its call has left whole, so exactly one reply will
 * come: the connection throws it away until @until and is pooled again; otherwise it is closed.
 */
void upstream_abandon(struct upstream *u, struct attempt *attempt, bool sent, usec_t until);
/* The attempt got no reply in time. If nothing at all was heard since it began, the far side may be
 * gone without a word: no more calls go there. */
void upstream_doubt(struct upstream *u, const struct attempt *attempt);
void upstream_close(struct upstream *u);
/* It is of no more use: every attempt on it is told, then it is closed. */
void upstream_break(struct upstream *u, int error, const char *why);
/* How many connections are to be kept, and how long, by the policy of the call that uses it now. */
void upstream_use_policy(struct upstream *u, unsigned keep, usec_t keep_for);
/* Of a backend: offers free connections to those who wait for one, and makes those that are to be
 * ready. */
void upstream_supply(struct loop_work *work);
/* Closes every connection of the backend that carries no call. */
void upstream_close_unused(struct backend *backend);
/* New connections begin with something else from now on: these carry their calls to the end and no
 * others. */
void upstream_outdate(struct backend *backend);
/* Somebody would have to be told if it went. */
bool upstream_is_in_use(const struct upstream *u);

/* It is of a family that carries many calls. */
bool upstream_is_multiplexed(const struct upstream *u);
/* Another call may begin on it now. */
bool upstream_has_room(const struct upstream *u);
/* Numbers the attempt's call, which is written at once. */
void upstream_begin(struct upstream *u, struct attempt *attempt);

/* Its codec has been given something to write, and may have something to tell of it that comes with
 * no input: it is asked before the turn ends. */
void upstream_ask(struct upstream *u);

/* Whoever has written a oneway wants to hear of it if the connection breaks. */
void upstream_watch(struct upstream *u, struct attempt *attempt);

/* No byte of what was written since @start has left. */
bool upstream_is_unsent(const struct upstream *u, uint64_t start);
uint64_t upstream_written(const struct upstream *u);
bool upstream_is_full(const struct upstream *u);
void upstream_pause(struct upstream *u);
void upstream_resume(struct upstream *u);

/* Between upstream.c and upstream_find.c. */
/* One that can have the call, taken out of the pool; NULL: none. *@is_enough: nor is another to be
 * opened. */
struct upstream *upstream_find(struct backend *backend, enum upstream_use use,
    const struct introduction *introduction, bool *is_enough);
/* The most recently used one that rests and would serve; NULL: none. */
struct upstream *upstream_first_idle(
    struct backend *backend, const struct introduction *introduction);
/* Of what began with one introduction the idle ones stand in front: to be called when one has
 * become idle, or is no more. */
void upstream_stand_in_line(struct upstream *u);

/* Between upstream.c and upstream_events.c, which hears what comes from the connection. */
extern const struct conn_events upstream_events;
/* Takes what its codec has to tell without input. */
void upstream_work(struct loop_work *work);
/* Connected, or leased again: it goes where others of its use are. */
void upstream_enter(struct upstream *u);
/* Into the pool, or closed where there is no room for it. */
void upstream_keep(struct upstream *u);
/* A shared connection that takes no more calls ends with its last one. */
void upstream_close_when_done(struct upstream *u);
/* Between upstream.c and upstream_connect.c: connects it to the backend, under a name where that
 * wants one; gives the name up. */
enum conn_start upstream_connect(struct upstream *u, struct backend *backend, int *error);
void upstream_forget_name(struct upstream *u);

#endif
