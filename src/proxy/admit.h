/*
 * What stands between the route of a call and its first try: overload of the process, limits of all
 * levels, the queues for slots, breakers, injected delay. At the end of the call slots go back, to
 * those who wait for them, and breakers hear how it went.
 *
 *     rates -> slots (method, route, service; each perhaps after a wait) -> breakers -> delay -> GO
 *
 * Whatever refuses a call gives back all that it had taken. Not here: whether a call may be made at
 * all (routes, ACLs, degrade) and which endpoint gets it.
 */
#ifndef BRIDLE_PROXY_ADMIT_H
#define BRIDLE_PROXY_ADMIT_H

#include "base/wheel.h"
#include "model/snapshot.h"
#include "net/loop.h"
#include "proxy/slot_queue.h"

struct call;

enum admit_verdict {
	ADMIT_GO,
	ADMIT_WAIT,    /* CALL_EVENT_ADMITTED will come, never within the call that said so */
	ADMIT_REFUSED, /* call_fail was called: overload, rate_limited, concurrency_limited,
			  queue_timeout, breaker_open */
};

enum admission_state {
	ADMISSION_NONE,    /* nothing was asked for, or all was given back */
	ADMISSION_PASSING, /* within admit_begin or admit_go_on */
	ADMISSION_QUEUED,  /* waits for a slot */
	ADMISSION_GRANTED, /* has got that slot; its event is due at the end of the turn */
	ADMISSION_LATE,    /* has waited for queue.wait in vain */
	ADMISSION_DELAYED, /* all is granted, the injected delay runs */
	ADMISSION_OVER,    /* so it did */
	ADMISSION_GIVEN,   /* until the call ends */
};

/* Embedded in a call; all zero is "nothing was asked for". */
struct admission {
	enum admission_state state;
	const struct guard *guard; /* borrowed from the call's world, like the policy */
	const struct policy *policy;
	uint64_t rates[LEVELS]; /* what it has taken of them, else LIMIT_REFUSED */
	uint64_t slots[LEVELS]; /* the places that it holds, else LIMIT_REFUSED */
	struct {
		struct breaker *breaker; /* that let it through; borrowed from the guard */
		uint64_t ticket;
	} breakers[LEVELS];
	unsigned next;             /* which slot comes next, in their order */
	struct slot_waiter waiter; /* for that slot */
	usec_t waited;             /* for slots, in all */
	usec_t delay;
	struct timer timer;    /* queue.wait, or the delay */
	struct loop_work wake; /* tells it what it has got */
};

/* @delay: to be injected, 0: none. The call has its service, caller and method; these stay as they
 * are until admit_finish. Once for each service that it is led to: what was granted for another is
 * first ended by admit_finish. */
enum admit_verdict admit_begin(
    struct call *call, const struct guard *guard, const struct policy *policy, usec_t delay);
/* After CALL_EVENT_ADMITTED; at any other event it says ADMIT_WAIT again. */
enum admit_verdict admit_go_on(struct call *call);
/* Something is waited for, or was granted. */
static inline bool admit_has_begun(const struct admission *a)
{
	return a->state != ADMISSION_NONE;
}
/* Whether the call still waits here; then what ends it calls admit_cancel. */
static inline bool admit_is_waiting(const struct admission *a)
{
	return a->state >= ADMISSION_QUEUED && a->state <= ADMISSION_OVER;
}
/* Leaves the queue and gives everything back; nothing was sent, so breakers hear nothing. Harmless
 * when it does not wait. */
void admit_cancel(struct call *call);
/* The call is over, or leaves for another service: slots go back and breakers hear call->reason;
 * one that was never tried tells them nothing. Harmless when nothing is held. */
void admit_finish(struct call *call);

#endif
