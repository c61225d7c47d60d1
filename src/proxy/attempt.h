/*
 * One try of a call on one endpoint: finds a connection, writes the call, waits for the reply. It
 * is part of its call and tells it what became of it; whether there is another try is the call's to
 * decide.
 */
#ifndef BRIDLE_PROXY_ATTEMPT_H
#define BRIDLE_PROXY_ATTEMPT_H

#include "base/list.h"
#include "base/wheel.h"
#include "policy/retry.h"
#include "proxy/worker.h"
#include "rpc/codec.h"

struct backend;
struct call;
struct upstream;

enum attempt_state {
	ATTEMPT_NONE,    /* not begun, or over */
	ATTEMPT_BACKLOG, /* waits to try a connect again: the accept queue was full, or the pool */
	ATTEMPT_CONNECTING, /* waits for a connection */
	ATTEMPT_WAITING,    /* waits for the reply */
	ATTEMPT_RECEIVING,  /* waits for the rest of a long reply */
};

struct attempt {
	struct call *call;    /* borrowed: it is a part of it */
	struct attempt *next; /* of the same call */
	enum attempt_state state;
	size_t endpoint;           /* its index in the service */
	unsigned mark;             /* RetryReq on the wire; 0: none */
	struct backend *backend;   /* borrowed */
	struct upstream *upstream; /* borrowed while the attempt has it */
	struct list link;    /* in upstream->waiting, leaving or streams, or backend->hungry */
	bool is_offered;     /* it has waited for a connection, and its turn has come */
	bool waits_for_pool; /* in the state BACKLOG: for a connection, not for a connect */
	bool is_sending;     /* the rest of a long call is still to come from the caller */
	int32_t id;          /* its id on a shared connection */
	uint32_t stream;     /* its number on one of a multiplexing family; 0: none */
	uint64_t start, end; /* where its bytes lie in what the connection wrote */
	struct timer timer;  /* connect, backlog, timeout.attempt */
	usec_t began, connect_until, backlog_wait;
	usec_t asked;                     /* since when it has the whole call; 0: not yet */
	usec_t took;                      /* once it has ended */
	uint8_t span[8];                  /* its id in a trace that is recorded */
	struct correlation_flight flight; /* while its endpoint may answer */

	/* What its reply was, when that did not count. */
	enum retry_outcome result;
	int32_t number;
	bool is_sick; /* its reply tells of a business error that counts against the endpoint */
	/* How it ended, when it failed. */
	enum attempt_outcome outcome;
	int error;       /* errno, 0 */
	const char *why; /* constant text, or NULL */
};

void attempt_init(struct attempt *a, struct call *call);
/* On that endpoint of the call's service. False when it failed at once: outcome, error and why are
 * set and no event follows. */
bool attempt_begin(struct attempt *a, size_t endpoint);
/* More of a long call, while is_sending. False: failed. */
bool attempt_send_data(struct attempt *a, struct slice data, bool last);
/* A stream's own side ends with these trailers. */
void attempt_send_end(struct attempt *a, const struct rpc_message *trailers);
/* Can it take more without queueing too much? */
bool attempt_is_full(const struct attempt *a);
/* Not all of what was written has left: it may yet have to be written again. */
bool attempt_is_unsent(const struct attempt *a);
/* A oneway is over when its last byte has left: true, or CALL_EVENT_BODY follows. */
bool attempt_finish_oneway(struct attempt *a);
/* The call needs no reply any more, or it took too long. @until: how long a reply may be waited
 * for. */
void attempt_give_up(struct attempt *a, enum attempt_outcome outcome, usec_t until);
/* Flow control of a long reply. */
void attempt_pause(struct attempt *a);
void attempt_resume(struct attempt *a);

/* From the upstream. */
void attempt_connected(struct attempt *a);
/* The pool has a connection for it, or may open one. */
void attempt_offered(struct attempt *a);
void attempt_broken(struct attempt *a, int error, const char *why);
void attempt_room(struct attempt *a); /* its connection's queue has drained */
/* @clean: nothing follows the reply on the connection. */
void attempt_reply(struct attempt *a, const struct rpc_message *m, bool clean);
void attempt_data(struct attempt *a, const struct codec_item *item, bool clean);
/* HTTP/2 1xx. */
void attempt_interim(struct attempt *a, const struct rpc_message *m);
/* The reply of a stream has ended with these trailers. */
void attempt_reply_end(struct attempt *a, const struct rpc_message *trailers);
/* The endpoint gave it up, or broke the rules of its stream. */
void attempt_reset(struct attempt *a, const struct codec_reset *why);
void attempt_bad_reply(struct attempt *a, const char *why);

#endif
