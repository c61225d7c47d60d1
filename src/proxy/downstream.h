/*
 * A connection that we accepted, with its codec and the calls on it. It reads one message after
 * another and decides when the next may be read: after the reply of the last, or at once where the
 * caller announced that it takes replies in any order.
 */
#ifndef BRIDLE_PROXY_DOWNSTREAM_H
#define BRIDLE_PROXY_DOWNSTREAM_H

#include "base/address.h"
#include "base/http2_limits.h"
#include "base/list.h"
#include "base/wheel.h"
#include "net/loop.h"
#include "proxy/correlation.h"
#include "rpc/codec.h"

struct call;
struct conn;
struct conn_events;
struct introduction;
struct listener_config;
struct listener_stats;
struct snapshot;
struct worker;

#define DOWNSTREAM_AHEAD (64u * 1024) /* bytes read ahead of a running call before reading stops */

/* Replies queued for a caller that does not read. Flow control stops far below it; where one
 * connection brings the replies of many callers and cannot be stopped for one, this is the end. */
#define DOWNSTREAM_QUEUE_MAX (16u * 1024 * 1024)

struct downstream {
	struct list link;                       /* in worker->downstreams */
	struct worker *worker;                  /* borrowed */
	struct conn *conn;                      /* owned */
	struct codec *codec;                    /* owned */
	const struct listener_config *listener; /* of the worker's present world */
	struct listener_stats *stats;           /* borrowed from the worker */
	struct introduction *introduction;      /* owned reference; NULL: nobody wants one */
	struct snapshot *kept; /* owned: of the listener, once it is no longer configured */

	struct list calls; /* owned, oldest first */
	unsigned n_calls;
	struct call *upload;  /* whose body is still coming in */
	struct call *parked;  /* read, but has to wait until all others are answered */
	struct call *writing; /* whose long reply is being written: others wait */

	uint8_t *ahead; /* owned: input that waits for its turn */
	size_t ahead_at, ahead_len, ahead_size;

	struct http2_limits http2; /* as they were when it was opened */
	struct loop_work work;     /* to take what its codec has to tell without input */
	usec_t heard_at;           /* when its last byte came in */
	usec_t pinged_at;          /* when a sign of life was asked for; 0: it was not */
	usec_t rest_at;            /* when memory is given back if no call has come; USEC_NONE */

	/* Of its drain, in downstream_drain.c; each USEC_NONE when it is not to come. */
	usec_t drain_at; /* when it is told to go, by the worker's drain */
	usec_t age_at;   /* the same, by its age */
	usec_t
	    last_word_at;  /* until then what is on its way may still come, after the first word of
			   * HTTP/2 or the only one of others; then it may close */
	usec_t end_at;     /* when it ends, calls or not */
	usec_t drained_at; /* since when it drains */

	struct timer timer;
	size_t charged;       /* of what it holds, against limits.memory */
	uint64_t sent;        /* bytes written to the caller so far */
	usec_t idle;          /* how long it may be */
	usec_t message_since; /* the first byte of the message that is coming in; 0: none */
	usec_t active_at;     /* when anything last happened */
	usec_t opened_at;
	bool is_reading;   /* inside the reading loop: do not enter again */
	bool is_unordered; /* every call in flight announced out-of-order replies */
	bool is_paused;
	bool got_eof;
	bool has_called;  /* at least once */
	bool is_closing;  /* answer what is running, read no more, close */
	bool is_draining; /* close as soon as nothing is running and nothing has come */
	bool
	    has_said_last; /* of draining ones: the caller was told, where there is a word for it */
	bool is_cut;       /* the time to drain is over: no call is taken any more */
	bool is_over_limit; /* answers one call with connection_limited */
	bool is_closed;     /* freed at the end of the turn */
	bool is_broken;     /* a write failed: closed by the timer */
	bool has_uid;       /* a unix socket: uid and gid are known */
	uint32_t uid, gid;
	struct correlation_asker asker; /* the process, while its calls may be tied; pid 0: not */
	char source[48];                /* who is at the other end, for rip and the log */
	struct address_source from;
};

/* @listener is of the worker's present world. */
void downstream_open(struct worker *worker, const struct listener_config *listener, int fd,
    const struct address *from, bool over_limit);
/* Ends it now: calls in flight are cancelled. */
void downstream_close(struct downstream *d);
/* Ends it now, with the last word of protocols that have one. */
void downstream_end(struct downstream *d);
/* Ends it soon, from outside of whatever is going on: a reply broke off in the middle. */
void downstream_abort(struct downstream *d);
/* Ends it when everything that has come is answered. */
void downstream_drain(struct downstream *d);
/* The same, @wait from now. */
void downstream_drain_after(struct downstream *d, usec_t wait);
/* The worker does not drain any more: if it has not been told to go, it stays. */
void downstream_stay(struct downstream *d);
/* The time to drain is over: all calls are answered with that, then it ends. */
void downstream_cut(struct downstream *d);
/* The process ends: a caller that has ended its side does not keep it for longer than a moment. */
void downstream_forget_gone(struct downstream *d);
/* Its listener is not in the snapshot that comes next: drains, by the rules it had, for
 * reload.drain at most. Called while the old snapshot is still the worker's. */
void downstream_orphan(struct downstream *d);

/* From calls. */
void downstream_call_done(struct downstream *d, struct call *call);
/* The call may write its reply now; otherwise it is told by CALL_EVENT_TURN. */
bool downstream_may_reply(const struct downstream *d, const struct call *call);
/* Its codec has been given something to write, and may have something to tell of it that comes with
 * no input: it is asked before the turn ends. */
void downstream_ask(struct downstream *d);
/* Reads on after something it waited for has happened. */
void downstream_resume(struct downstream *d);
/* Its output queue is above the high-water mark. */
bool downstream_is_full(const struct downstream *d);

/* Between downstream.c and downstream_events.c, which hears what comes from the connection. */
extern const struct conn_events downstream_events;
/* Takes what its codec has to tell without input. */
void downstream_work(struct loop_work *work);
/* The body that is coming in will not become whole. */
void downstream_body_failed(struct downstream *d, const struct rpc_status *why);
/* Between downstream.c and downstream_drain.c: when something of its drain is next due; does what
 * is. */
usec_t downstream_drain_time(const struct downstream *d);
void downstream_drain_on_time(struct downstream *d, usec_t now);
/* It could close, but its drain wants to wait: for what its caller has still to hear, or to say. */
bool downstream_lingers(struct downstream *d);
/* Its timer fires at @at, or before. */
void downstream_arm(struct downstream *d, usec_t at);
/* Closes it, once everything is out, if nothing runs and nothing more is to come. */
bool downstream_close_when_done(struct downstream *d);
/* Its calls have nobody to answer any more. */
void downstream_cancel_calls(struct downstream *d);

#endif
