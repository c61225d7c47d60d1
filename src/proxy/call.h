/*
 * THE pipeline: one RPC from its first byte in to its last byte out, as a straight line of steps.
 *
 *     route -> admit -> (collect) -> try -> await -> judge -> reply -> finish
 *                ^                    ^-----------------'       |
 *                '------------- fallback, once -----------------'
 *
 * A step runs until it has to wait; everything that happens meanwhile comes in through call_event.
 */
#ifndef BRIDLE_PROXY_CALL_H
#define BRIDLE_PROXY_CALL_H

#include "base/arena.h"
#include "model/route.h"
#include "policy/deadline.h"
#include "proxy/admit.h"
#include "proxy/attempt.h"
#include "proxy/naming.h"
#include "rpc/codec.h"

struct call_trace;
struct downstream;
struct introduction;
struct rpc_handed_on;
struct tapped;
struct world;
struct world_service;

enum call_step {
	CALL_ROUTE,   /* which service, which policy, which form; waits while a name is looked up */
	CALL_ADMIT,   /* the deadline begins; limits, queues, breakers, injected delay */
	CALL_COLLECT, /* waits for the whole body where only a whole one can be converted */
	CALL_TRY,     /* opens one more attempt, or all at once: pick, lease, write */
	CALL_AWAIT,   /* waits for attempts, or to begin another */
	CALL_JUDGE,   /* again, or is that it? */
	CALL_REPLY,   /* writes the reply, or relays it until both directions have ended */
	CALL_FINISH,  /* counts, logs, frees */
	CALL_STEPS,
};

enum call_what {
	CALL_EVENT_ADMITTED, /* what admit waited for has come */
	CALL_EVENT_FAILED,   /* an attempt (call->failed) is over without a reply that counts */
	CALL_EVENT_SHOT,     /* time for another attempt: a backup, or after a back-off */
	CALL_EVENT_REPLY,    /* the reply, or its beginning */
	CALL_EVENT_DATA,     /* more of a long reply, or room for it */
	CALL_EVENT_BODY,     /* more of the call's own body has been taken in, or room for it */
	CALL_EVENT_TURN,     /* the caller's connection is free for this call's reply */
	CALL_EVENT_TIMEOUT,  /* the deadline */
	CALL_EVENT_DRAINED,  /* the time to drain is over */
	CALL_EVENT_CANCEL,   /* the caller is gone, or gave the call up */
};

/* What has gone one way in a call's bodies. */
struct call_flow {
	uint64_t bytes;    /* came in */
	uint64_t credited; /* of them, those for which their writer may send more */
	uint64_t given;    /* to the codec of the other side; an attempt begins anew */
	uint64_t messages; /* of a stream */
};

#define CALL_TRIED_MAX (RETRY_ATTEMPTS_MAX + 1)
#define CALL_ROOM      2048u

struct call {
	struct list link; /* in downstream->calls, worker->orphans, or the worker's free list */
	struct worker *worker;                  /* borrowed */
	struct world *world;                    /* entered */
	struct downstream *downstream;          /* borrowed; NULL once the caller is gone */
	struct introduction *introduction;      /* owned reference; of who may have no downstream */
	const struct listener_config *listener; /* of its world */
	struct listener_stats *listener_stats;
	struct world_service *service;      /* NULL until routed */
	const struct service_config *meant; /* where it was led first, as its copies are told */
	const struct policy *policy;
	const struct rpc_change *changes; /* by the rules of its route; in the arena */
	size_t n_changes;
	enum call_step step;
	bool is_running; /* inside a step, for an assertion: nothing may enter again */
	struct naming naming;
	struct call_trace *trace; /* in the arena; NULL: nothing is to be done about one */

	struct slice caller;      /* who calls, after the listener's rule */
	struct rpc_form target;   /* what the endpoint is spoken to in */
	bool body_is_kept;        /* request.body is ours, not a view into an input buffer */
	bool listener_is_gone;    /* a reload took it away: do not outlive the connection */
	bool has_begun;           /* has left the queue of its connection */
	bool is_spent;            /* a part of the body has been passed on and not kept */
	bool is_stream;           /* both sides carry it as a stream of one family */
	bool upload_is_over;      /* the caller has sent all of the body */
	bool upload_is_discarded; /* what still comes is thrown away */

	uint32_t id; /* on its caller's connection, where that carries many */
	struct rpc_message *request_trailers; /* in the arena, with all of it; NULL: none */
	struct call_flow up, down;
	usec_t active_at;             /* when anything last moved in a stream */
	usec_t stalled_at;            /* since when its caller takes nothing; 0: it does */
	struct codec_reset *given_up; /* by either side, in its words; in the arena; NULL: not */

	struct deadline deadline; /* of the whole; at USEC_NONE: none */
	usec_t reply_by; /* many at once: the first byte of the reply, counted from the end of
				     the caller's side */
	struct timer timer;
	/* The one that was begun last, or whose reply it is: there is always one. Several may run
	 * at a time (backups); they hang together by `next`, the others in the arena. */
	struct attempt *attempt;
	struct attempt *failed; /* the one that ended last without a reply that counts */
	unsigned n_running;
	unsigned n_attempts; /* begun */
	unsigned mark;       /* RetryReq of those that begin from now on; 0: none */
	struct timer shot;   /* the next backup, or the end of a back-off */
	bool waits_to_try;   /* for that end */
	bool
	    was_expected; /* judged already, with the reply that was dropped: another try follows */
	bool went_to_all; /* to many endpoints at once */
	bool is_blameless; /* what went wrong last says nothing of the endpoint */
	bool has_fallen_back;
	bool is_mirror;   /* a copy that nobody waits for */
	bool is_mirrored; /* its copy was sent, or could not be */
	struct rpc_message
	    *spare; /* a bad reply, kept for when nothing better comes; in the arena */
	int32_t spare_id;
	const struct endpoint *endpoint; /* of `attempt`; borrowed from its world */
	size_t tried[CALL_TRIED_MAX];

	bool has_reply;
	bool reply_is_kept;      /* its views are ours */
	bool reply_is_discarded; /* the caller got something else instead */
	bool waits_for_turn;     /* another's long reply is being written */
	bool reply_is_begun;     /* a byte of it went to the caller */
	bool reply_is_complete;  /* its last byte has come in */

	uint8_t *kept; /* owned: a collected body of call or reply */
	size_t kept_len, kept_size;
	size_t charged; /* for what is long in the arena */

	enum reason reason; /* how it ended */
	unsigned status;    /* the type of the exception that the caller got; 0: none */
	usec_t started, tried_at, connected, first_byte;
	uint64_t number, bytes_in, bytes_out;
	struct slice reply_biz_status; /* in the arena */
	char source[48];               /* who called */
	char log_id[40]; /* made here when the caller stated none; empty until wanted */
	bool is_tied;    /* to the call that its caller answers meanwhile */
	/* What that one hands on, until the body has come whole; in the arena; NULL: nothing. */
	const struct rpc_handed_on *handed_on;
	bool reply_is_at_hand; /* when the call ends: views of `reply` are still good */
	struct tapped *tapped; /* in the arena: kept for those who look on; NULL: nothing */

	/* Nothing from here on is cleared when a call begins: each is set before it is read. */
	struct rpc_message request;  /* its head is in the arena */
	struct rpc_message reply;    /* its head is in the arena once it had to wait */
	struct route_decision route; /* which the service and the policy are of */
	struct admission admission;
	struct attempt first;
	struct rpc_status failure; /* reason OK: none */
	struct arena arena;
	_Alignas(max_align_t) uint8_t room[CALL_ROOM];
};

/* Takes in a message of @d, whose views end with this call; may finish before it returns. @id: its
 * number there, 0 where calls have none. */
void call_start(struct downstream *d, uint32_t id, const struct rpc_message *m, usec_t started);
/* Sets a call going that was made earlier and had to wait. */
void call_go(struct call *call);
/* The service that it waits for can be found now; @why: it cannot (else NULL). */
void call_is_named(struct call *call, const char *why);
/* A message that was refused before it became a call: counted, logged, answered where possible. */
void call_refuse(struct downstream *d, uint32_t id, const struct rpc_message *partial,
    const struct rpc_status *why);

/* The one door for everything asynchronous. */
void call_event(struct call *call, enum call_what what);
/* The body of the call broke off or turned out to be malformed; @why says so. */
void call_body_failed(struct call *call, const struct rpc_status *why);
/* Its caller gave it up, or broke the rules of its stream. Views end with this call. */
void call_given_up(struct call *call, const struct codec_reset *why);
/* Keeps what an endpoint or a caller said when it gave the call up, to be passed on. */
void call_keep_reset(struct call *call, const struct codec_reset *why);
/* The caller has sent all of its body: times that run from there begin. */
void call_upload_is_over(struct call *call);
/* Sets the timer to whatever comes first. */
void call_arm(struct call *call);

/* A call without a message yet. */
struct call *call_take(
    struct world *world, const struct listener_config *listener, struct listener_stats *stats);
/* What its route changes in it, by what is known of it. */
void call_note_changes(struct call *call, const struct fact_source *facts);
/* Counts, logs and frees it. */
void call_finish(struct call *call);
/* Steps, in call_steps.c: each returns whether the next may run, something is waited for, or the
 * call is gone. */
enum step { STEP_NEXT, STEP_WAIT, STEP_DONE };
enum step call_step_route(struct call *call);
enum step call_step_admit(struct call *call);
enum step call_step_collect(struct call *call);
enum step call_step_try(struct call *call);
enum step call_step_await(struct call *call);
enum step call_step_judge(struct call *call);
enum step call_step_reply(struct call *call);
enum step call_step_finish(struct call *call);
/* The next thing is to tell the caller this. */
void call_fail(struct call *call, enum reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As call_fail, but the caller gets no words: its stream is reset, or its connection ends. */
void call_reset_caller(struct call *call, enum reason reason, const char *what);
/* It can go on in no other way than as a whole. */
bool call_has_to_be_whole(const struct call *call);
/* Appends to the collected body. False: over a limit, or no memory. */
bool call_collect(struct call *call, struct slice data);
/* A head, of so many bytes, is about to be copied into the arena: long ones count against
 * limits.memory. False: there is no room for it. */
bool call_charge(struct call *call, size_t size);
/* What the head of a message takes there. */
size_t call_head_size(const struct rpc_message *m);
/* Gives the collected body up. */
void call_drop_kept(struct call *call);

/* For the relay. */
/* A reply that has begun cannot go on. */
void call_break_reply(struct call *call, enum reason reason, const char *what);
/* A gRPC reply that ends so does not say how the call went: its caller must not take it for a good
 * one. */
bool call_lacks_status(const struct call *call, const struct rpc_message *end);
/* How a stream went, by what its reply ended with. */
void call_note_end(struct call *call, const struct rpc_message *end);
/* A gRPC reply to a unary call has come whole, in call->kept: turns it into one that its caller
 * reads. NULL, or why it is bad. */
const char *call_reply_is_collected(struct call *call, const struct rpc_message *trailers);
/* What the caller is told as a number when the proxy answers. */
unsigned call_failure_status(const struct call *call, enum reason reason);

/* call->reply is what the caller gets, or the beginning of that. */
void call_has_reply(struct call *call);
/* A bad reply that led elsewhere, when nothing can come of that. True: it is the call's reply. */
bool call_gives_spare(struct call *call);

/* Its policy sends it to many endpoints at once, if it is whole by then. */
bool call_goes_to_all(const struct call *call);
/* All of it is here, to be sent as often as need be. */
bool call_is_whole(const struct call *call);

/* For attempts. */
/* A reply, or its beginning: true when it is the one that the caller gets; false: it is bad, and
 * another attempt runs, or will. */
bool call_takes_reply(struct call *call, struct attempt *a, const struct rpc_message *m);
/* This attempt's reply it is: all others are given up. */
void call_choose(struct call *call, struct attempt *a);
/* The time for another attempt has come: true: it begins. */
bool call_shoots(struct call *call);
/* How many attempts it may have in all, for texts. */
unsigned call_attempts_allowed(const struct call *call);
/* Ends whatever runs. @until: how long replies to what has been sent may be waited for. */
void call_give_up(struct call *call, enum attempt_outcome outcome, usec_t until);
/* Before the caller is told of a failure: leads it elsewhere, once, if its policy says so. True: it
 * goes on. */
bool call_falls_back(struct call *call);
/* Its policy may want the body again, for more than what was surely not sent. */
bool call_may_repeat(const struct call *call);
/* Where it goes: what route_decide said. */
void call_lead(struct call *call, const struct route_decision *decision);
/* Can it be turned into what its service speaks? Sets target and is_stream. NULL, or why not. */
const char *call_set_target(struct call *call);
/* The IDL service's name: an alias that alone can be meant, empty if there is none. Where the call
 * was led elsewhere it is still that of the service that was called: no two can have it. */
struct slice call_only_alias(const struct call *call);
/* What to change in the request as the attempt sends it, in the form that @edit has. */
void call_request_edit(struct call *call, const struct attempt *a, struct rpc_edit *edit);
/* The body becomes the call's own, so that it can be sent later or again. False: no memory. */
bool call_keep_body(struct call *call);
/* The log id: the caller's, or one made here. */
struct slice call_log_id(struct call *call);
/* The service is our own application's, and its listener its door: we stand where it would. */
bool call_is_server(const struct call *call);
/* What the caller speaks; PROTOCOL_COUNT, called "unknown", where it could not be told. */
enum protocol call_protocol(const struct call *call);

#endif
