/*
 * Taps: somebody looks on while calls go by. A tap is made by the control thread and given to all
 * workers in a list that never changes; a worker without one pays for a pointer that is NULL. What
 * fits a tap's filter becomes a line when it ends, and is sent to who made the tap, with a bound on
 * what waits there: a call never waits for who looks on, who loses lines instead.
 */
#ifndef BRIDLE_PROXY_TAP_H
#define BRIDLE_PROXY_TAP_H

#include <stdatomic.h>

#include "base/ref.h"
#include "proxy/tap_filter.h"
#include "rpc/message.h"

struct call;
struct tap_line;
struct worker;

#define TAPS_MAX     8u                /* at a time */
#define TAP_BODY_MAX 4096u             /* bytes of a body that are shown */
#define TAP_WAITS    ((size_t)1 << 20) /* bytes of lines on their way to one tap's owner */

/* Takes over a line in a worker's thread, for another. */
typedef void (*tap_deliver_fn)(void *arg, struct tap_line *line);

struct tap {
	struct ref ref;
	struct tap_filter filter;
	uint64_t limit; /* calls; 0: no limit */
	size_t body;    /* bytes of bodies that are shown; 0: none */
	bool shows_secrets;
	tap_deliver_fn deliver;
	void *arg;   /* of deliver; stays as long as workers run */
	void *owner; /* of the thread that takes the lines; NULL: nobody looks any more */
	atomic_uint_least64_t taken; /* calls that fitted, */
	atomic_uint_least64_t lost;  /* of them those for which there was no room */
	atomic_size_t waiting;       /* bytes of lines that were posted and not yet freed */
};

/* Without a filter, to be filled in before it is given to anybody. */
struct tap *tap_new(tap_deliver_fn deliver, void *arg);
struct tap *tap_ref(struct tap *tap);
void tap_unref(struct tap **tap);

/* A call, or what else there is to say, with its newline. */
struct tap_line {
	struct tap *tap; /* a reference */
	size_t len;
	char text[];
};
void tap_line_free(struct tap_line *line);

struct tap_list {
	struct ref ref;
	unsigned n;
	size_t body;                /* the most that any wants */
	struct tap *taps[TAPS_MAX]; /* references */
};

/* NULL when @n is 0. */
struct tap_list *tap_list_new(struct tap *const *taps, unsigned n);
struct tap_list *tap_list_ref(struct tap_list *list);
void tap_list_unref(struct tap_list **list);
/* In the worker's thread: looks by @moved (NULL: none) from now on. */
void tap_list_adopt(struct worker *worker, struct tap_list *moved);

/*
 * What is kept of a call for its line, because it is gone when the call ends. In the call's arena,
 * made only while it may still fit a tap.
 */
struct tap_body {
	uint8_t *bytes;
	size_t len;
	uint64_t total; /* of all that came */
};

struct tapped {
	size_t room; /* of each body */
	struct tap_body in, out;
	bool has_reply, has_trailers;
	struct rpc_message reply, trailers; /* heads alone */
};

/* Moments of a call; only to be called while its worker has a list. */
void tap_call_started(struct call *call);
void tap_call_replied(struct call *call);
void tap_call_ended(struct call *call, usec_t now);
/* Only of a call with call->tapped. */
void tap_note_body(struct tapped *tapped, struct tap_body *body, struct slice data);
void tap_note_trailers(struct call *call, const struct rpc_message *trailers);

#endif
