/*
 * Keeps one registration in a registry that speaks HTTP: put there, looked at for ever, put again
 * when it is missing or changed, taken away at the end. What is asked for each step is the business
 * of its kind (consul_agent.c, consul_lock.c, nacos_enroll.c).
 *
 *     put --done--> look --as it should be--> (PRESENT) look again and again
 *      ^              |
 *      '--- LOST <----'  missing, changed
 *
 * Beats (of a check, a session, an instance) run beside the steps.
 */
#ifndef BRIDLE_REGISTRY_UPKEEP_H
#define BRIDLE_REGISTRY_UPKEEP_H

#include "registry/http_place.h"

#define UPKEEP_BEAT_RETRY USEC_S /* after a beat without an answer */

struct upkeep;
typedef void (*upkeep_fn)(struct upkeep *u);

/* The steps of a kind. Each asks and, with the answer, ends in upkeep_present, _lost, _failed or
 * _gone, or begins the next. */
struct upkeep_kind {
	upkeep_fn put;    /* puts it there, anew or again */
	upkeep_fn look;   /* looks whether it is as it should be */
	upkeep_fn beat;   /* says that we live */
	upkeep_fn remove; /* takes it away */
	upkeep_fn forget; /* what was read of it is no longer to be counted on; NULL: nothing */
	void (*free)(struct upkeep *u);
};

/* Embedded in a kind's own. Members are for the kinds to read; what they set is said. */
struct upkeep {
	struct list link; /* the client's */
	const struct upkeep_kind *kind;
	struct http_place *place;             /* borrowed */
	struct registration *registration;    /* borrowed until it is gone */
	struct http_exchange *main, *beating; /* at most one of each at a time */
	struct timer again, beat;
	upkeep_fn next; /* what `again` does */
	struct registry_pause pause;
	usec_t beat_every; /* set by put; 0: no beats */
	usec_t looked_at, put_at, leaving_since;
	unsigned failures; /* in a row */
	bool is_leaving;
	bool is_putting; /* `main` may put it there: it is waited for before it is taken away */
	bool was_put;    /* once at least */
};

/* ---- for clients ---- */

/* Begins soon, never in this call. Puts it among @list. */
void upkeep_start(struct upkeep *u, const struct upkeep_kind *kind, struct http_place *place,
    struct registration *registration, struct list *list);
/* The plan of the registration is another; nothing when it is to leave. */
void upkeep_change(struct upkeep *u);
void upkeep_withdraw(struct upkeep *u);
/* Drops it without a word; what stands there stays. */
void upkeep_let_go(struct upkeep *u);
/* What waits for a pause to end does so no longer: something has changed for the better. */
void upkeep_wake(struct upkeep *u);
/* Drops all of @list without a word. */
void upkeep_drop_all(struct list *list);

/* ---- for kinds ---- */

/* A step was begun: @exchange, whose answer calls upkeep_answered first, or NULL with @err. */
void upkeep_began(struct upkeep *u, struct http_exchange *exchange, const struct err *err);
/* The same of a step that puts it there; say so before asking. */
void upkeep_puts(struct upkeep *u);
/* False: it is to leave, and the way to that has been taken. */
bool upkeep_answered(struct upkeep *u);
/* A beat was begun (NULL: it could not be asked); sets the time of the next. */
void upkeep_beats(struct upkeep *u, struct http_exchange *exchange);
/* The next beat, earlier or later than beat_every after the last. */
void upkeep_beat_in(struct upkeep *u, usec_t wait);
/* The step came to nothing: @next after a pause. @status: of the answer, 0: there was none. */
void upkeep_failed(struct upkeep *u, upkeep_fn next, int status, const struct err *err);
/* It is there, as it should be; looked at again @every after the last look, or a little later. */
void upkeep_present(struct upkeep *u, usec_t every);
/* It is not, or not as it should be: said, and put there again, at once but not all the time. */
void upkeep_lost(struct upkeep *u, const char *why);
void upkeep_later(struct upkeep *u, usec_t wait, upkeep_fn next);
/* It has been taken away, or nothing more can be done about it; @u is freed. */
void upkeep_gone(struct upkeep *u);

#endif
