#include "proxy/upstream.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/attempt.h"
#include "proxy/backend.h"
#include "proxy/introduction.h"
#include "proxy/slots.h"
#include "proxy/tying.h"
#include "proxy/worker.h"

#define PAUSE_REPLY 1u
/* Servers of Kitex take more than one ping in five minutes for an attack.
 * Source: kitex pkg/remote/trans/nphttp2/grpc/keepalive.go. */
#define PING_AFTER    (6 * USEC_MIN)
#define PING_PATIENCE (20 * USEC_S)
#define LAST_WORDS    (1 * USEC_S) /* for them to leave */

static struct loop *loop_of(const struct upstream *u)
{
	return u->backend->worker->loop;
}

bool upstream_is_multiplexed(const struct upstream *u)
{
	return u->use == UPSTREAM_FOR_HTTP2 || u->use == UPSTREAM_FOR_TTSTREAM;
}

void upstream_ask(struct upstream *u)
{
	if (upstream_is_multiplexed(u) && u->state != UPSTREAM_CLOSED)
		loop_defer(loop_of(u), &u->work);
}

static void sink(void *arg, const struct slice *pieces, int n)
{
	struct upstream *u = arg;

	if (u->state == UPSTREAM_CLOSED)
		return;
	upstream_ask(u);
	if (u->write_error == 0 && conn_write(u->conn, pieces, n, &u->write_error) < 0 &&
	    u->write_error == 0)
		u->write_error = EPIPE;
}

static bool is_full(void *arg)
{
	const struct upstream *u = arg;

	return u->state == UPSTREAM_CLOSED || conn_pending(u->conn) > CONN_HIGH_WATER;
}

static const struct codec_io upstream_io = {.write = sink, .is_full = is_full};

static void look_for_hungry(struct backend *b)
{
	if (!list_is_empty(&b->hungry))
		loop_defer(b->worker->loop, &b->supply);
}

static void free_upstream(void *object)
{
	struct upstream *u = object;

	codec_close(&u->codec);
	slots_free(&u->slots);
	oneway_notes_fini(&u->oneways);
	free(u);
}

static void forget_introduction(struct upstream *u)
{
	list_remove(&u->introduced);
	introduction_unref(&u->introduction);
}

/* Its codec and its memory stay to the end of the turn: views of the last reply may be in use. */
void upstream_close(struct upstream *u)
{
	struct backend *b = u->backend;

	if (u->state == UPSTREAM_CLOSED)
		return;
	counter_sub(&b->n_idle, u->state == UPSTREAM_IDLE);
	b->n_discarding -= u->state == UPSTREAM_DISCARDING;
	b->n_warming -= u->is_warming;
	u->state = UPSTREAM_CLOSED;
	if (u->process)
		tying_forget(u);
	wheel_clear(&u->timer);
	loop_undefer(&u->work);
	upstream_forget_name(u);
	worker_uncharge(b->worker, u->charged);
	list_remove(&u->link);
	if (u->introduction)
		forget_introduction(u);
	if (upstream_is_multiplexed(u) && u->write_error == 0)
		conn_close_after_output(&u->conn, LAST_WORDS); /* resets of its last streams */
	else
		conn_close(&u->conn);
	counter_sub(&b->connections, 1);
	counter_sub(&b->stats->upstream_connections, 1);
	loop_reap(loop_of(u), u, free_upstream);
	look_for_hungry(b);
	backend_connection_gone(b);
}

bool upstream_is_in_use(const struct upstream *u)
{
	return u->attempt || u->relaying || (u->slots && slots_waiting(u->slots) > 0) ||
	       !list_is_empty(&u->waiting) || !list_is_empty(&u->leaving) ||
	       !list_is_empty(&u->streams);
}

static void close_list(struct list *list)
{
	list_each_safe (link, list) {
		struct upstream *u = list_item(link, struct upstream, link);

		if (!upstream_is_in_use(u))
			upstream_close(u);
	}
}

static void close_discarding(struct list *list)
{
	list_each_safe (link, list) {
		struct upstream *u = list_item(link, struct upstream, link);

		if (u->state == UPSTREAM_DISCARDING)
			upstream_close(u);
	}
}

void upstream_close_unused(struct backend *b)
{
	close_discarding(&b->busy);
	close_list(&b->idle);
	close_list(&b->shared);
	close_list(&b->oneways);
}

static void outdate_list(struct list *list)
{
	list_each (link, list)
		list_item(link, struct upstream, link)->takes_no_more = true;
}

void upstream_outdate(struct backend *b)
{
	upstream_close_unused(b);
	outdate_list(&b->busy);
	outdate_list(&b->shared);
	outdate_list(&b->oneways);
}

/* ---- opening ---- */

void upstream_enter(struct upstream *u)
{
	struct backend *b = u->backend;

	list_remove(&u->link);
	switch (u->use) {
	case UPSTREAM_FOR_CALL:
		u->state = UPSTREAM_LEASED;
		list_push_back(&b->busy, &u->link);
		break;
	case UPSTREAM_FOR_MANY:
	case UPSTREAM_FOR_HTTP2:
	case UPSTREAM_FOR_TTSTREAM:
		u->state = UPSTREAM_SHARED;
		list_push_back(&b->shared, &u->link);
		conn_set_batching(u->conn, true);
		break;
	case UPSTREAM_FOR_ONEWAY:
	case UPSTREAM_FOR_LONG_ONEWAY:
		u->state = UPSTREAM_ONEWAY;
		list_push_back(&b->oneways, &u->link);
		break;
	}
}

static enum codec_family family_of(enum upstream_use use)
{
	if (use == UPSTREAM_FOR_HTTP2)
		return CODEC_HTTP2;
	return use == UPSTREAM_FOR_TTSTREAM ? CODEC_TTSTREAM : CODEC_UNARY;
}

static struct list *list_for(struct backend *b, enum upstream_use use)
{
	switch (use) {
	case UPSTREAM_FOR_CALL:
		break;
	case UPSTREAM_FOR_MANY:
	case UPSTREAM_FOR_HTTP2:
	case UPSTREAM_FOR_TTSTREAM:
		return &b->shared;
	case UPSTREAM_FOR_ONEWAY:
	case UPSTREAM_FOR_LONG_ONEWAY:
		return &b->oneways;
	}
	return &b->busy;
}

/* The connection begins with the PROXY header. False: it broke at once. */
static bool introduce(struct upstream *u, struct introduction *introduction, int *error)
{
	struct slice service = slice_str(u->backend->introduced_as);

	if (introduction_write(introduction, service, u->conn, error) < 0) {
		conn_close(&u->conn);
		return false;
	}
	if (introduction) {
		u->introduction = introduction_ref(introduction);
		list_push_back(&introduction->connections, &u->introduced);
	}
	return true;
}

static struct upstream *open_new(struct backend *b, enum upstream_use use,
    struct introduction *introduction, enum conn_start *start, int *error)
{
	struct upstream *u = mem_calloc(1, sizeof *u);

	*start = upstream_connect(u, b, error);
	if (*start == CONN_FAILED || *start == CONN_BACKLOG) {
		free(u);
		return NULL;
	}
	u->backend = b;
	if (b->introduced_as && !introduce(u, introduction, error)) {
		*start = CONN_FAILED;
		upstream_forget_name(u);
		free(u);
		return NULL;
	}
	u->use = use;
	u->codec = codec_open(CODEC_UPSTREAM, family_of(use), &b->limits, &upstream_io, u);
	u->work.run = upstream_work;
	list_init(&u->link);
	list_init(&u->streams);
	list_init(&u->waiting);
	list_init(&u->leaving);
	oneway_notes_init(&u->oneways);
	if (use == UPSTREAM_FOR_MANY)
		u->slots = slots_new();
	counter_add(&b->connections, 1);
	counter_add(&b->stats->upstream_connections, 1);
	if (*start == CONN_READY && use != UPSTREAM_FOR_HTTP2) {
		upstream_enter(u);
		return u;
	}
	if (*start == CONN_READY)
		codec_pump(u->codec);
	u->state = UPSTREAM_CONNECTING;
	list_push_back(list_for(b, use), &u->link);
	return u;
}

static bool is_at_most(const struct backend *b)
{
	return counter_get(&b->connections) >= b->most_connections;
}

static void close_one_discarding(struct backend *b)
{
	list_each (link, &b->busy) {
		struct upstream *u = list_item(link, struct upstream, link);

		if (u->state == UPSTREAM_DISCARDING) {
			upstream_close(u);
			return;
		}
	}
}

/* There is one for each caller, and one more to come: so many rest as the pool may keep. */
static void rest_oneways(struct backend *b)
{
	unsigned resting = 1;
	struct list *before;

	for (struct list *link = b->oneways.prev; link != &b->oneways; link = before) {
		struct upstream *u = list_item(link, struct upstream, link);

		before = link->prev;
		if (!upstream_is_in_use(u) && ++resting > u->keep)
			upstream_close(u);
	}
}

static void close_one_resting(struct list *list)
{
	list_each (link, list) {
		struct upstream *u = list_item(link, struct upstream, link);

		if (!upstream_is_in_use(u)) {
			upstream_close(u);
			return;
		}
	}
}

/* For one that is to be opened: others are idle, or wait for what nobody wants. */
static void make_room(struct backend *b)
{
	if (!is_at_most(b))
		return;
	if (!list_is_empty(&b->idle))
		upstream_close(list_item(b->idle.prev, struct upstream, link));
	else if (b->n_discarding)
		close_one_discarding(b);
	else if (b->introduced_as)
		close_one_resting(&b->oneways);
}

/* There is an idle connection, or one may be opened; unless others wait for that already. */
static bool may_lease(
    struct backend *b, const struct introduction *introduction, const struct attempt *a)
{
	bool is_next = list_is_empty(&b->hungry) || a->is_offered;
	bool has_idle = upstream_first_idle(b, introduction) != NULL;

	if (is_next && !has_idle)
		make_room(b);
	return is_next && (has_idle || !is_at_most(b));
}

/* For connections that carry the calls of one caller. */
static struct introduction *introduction_for(
    const struct backend *b, enum upstream_use use, const struct attempt *a)
{
	if (b->introduced_as == NULL)
		return NULL;
	switch (use) {
	case UPSTREAM_FOR_CALL:
	case UPSTREAM_FOR_ONEWAY:
	case UPSTREAM_FOR_LONG_ONEWAY:
		return introduction_of(a->call);
	case UPSTREAM_FOR_MANY:
	case UPSTREAM_FOR_HTTP2:
	case UPSTREAM_FOR_TTSTREAM:
		break;
	}
	return NULL;
}

enum lease upstream_lease(struct backend *b, enum upstream_use use, struct attempt *a, int *error)
{
	bool is_alone = use == UPSTREAM_FOR_CALL || use == UPSTREAM_FOR_LONG_ONEWAY, is_enough;
	struct introduction *introduction = introduction_for(b, use, a);
	enum conn_start start = CONN_READY;
	struct upstream *u;

	if (use == UPSTREAM_FOR_CALL && !may_lease(b, introduction, a)) {
		list_push_back(&b->hungry, &a->link);
		return LEASE_FULL;
	}
	u = upstream_find(b, use, introduction, &is_enough);
	if (u == NULL && use != UPSTREAM_FOR_CALL) {
		if (introduction)
			rest_oneways(b);
		make_room(b);
		is_enough |= is_at_most(b);
	}
	if (is_enough)
		return LEASE_BACKLOG; /* as many calls run as the endpoint allows */
	if (u && !upstream_is_multiplexed(u) && conn_pending(u->conn) > CONN_HIGH_WATER)
		return LEASE_BACKLOG; /* the endpoint does not read: nothing is piled up for it */
	if (u)
		u->is_reused = true;
	else
		u = open_new(b, use, introduction, &start, error);
	if (u == NULL)
		return start == CONN_BACKLOG ? LEASE_BACKLOG : LEASE_FAILED;
	if (use == UPSTREAM_FOR_MANY) {
		a->id = slots_take(u->slots, a);
		if (a->id == 0) {
			*error = EMFILE; /* as many calls in flight as ids */
			return LEASE_FAILED;
		}
	} else if (is_alone) {
		u->attempt = a;
	}
	if (u->number && (use == UPSTREAM_FOR_ONEWAY || use == UPSTREAM_FOR_LONG_ONEWAY))
		a->id = oneway_notes_number(&u->oneways);
	a->upstream = u;
	u->write_error = 0;
	if (u->state != UPSTREAM_CONNECTING)
		return LEASE_READY;
	if (!is_alone)
		list_push_back(&u->waiting, &a->link);
	return LEASE_PENDING;
}

/* ---- pool.connections, pool.warm ---- */

static void warming_hangs(struct timer *timer, usec_t now)
{
	(void)now;
	upstream_close(container_of(timer, struct upstream, timer));
}

/* False: not now. */
static bool warm_one(struct backend *b)
{
	struct loop *loop = b->worker->loop;
	enum conn_start start;
	int error;
	struct upstream *u = open_new(b, UPSTREAM_FOR_CALL, NULL, &start, &error);

	if (u == NULL)
		return false;
	u->keep = b->warm_keep < b->warm ? b->warm : b->warm_keep;
	u->keep_for = b->warm_keep_for;
	if (u->state != UPSTREAM_CONNECTING) {
		upstream_keep(u);
		return true;
	}
	u->is_warming = true;
	b->n_warming++;
	wheel_set(
	    loop_wheel(loop), &u->timer, usec_after(loop_now(loop), b->warm_within), warming_hangs);
	return true;
}

/* A call that gets a connection may end at once, and be the last one to need the backend. */
static void offer_free(struct backend *b)
{
	b->users++;
	while (!list_is_empty(&b->hungry) && (!list_is_empty(&b->idle) || !is_at_most(b))) {
		struct attempt *a = list_item(b->hungry.next, struct attempt, link);

		list_remove(&a->link);
		attempt_offered(a);
	}
	backend_unuse(&b);
}

void upstream_supply(struct loop_work *work)
{
	struct backend *b = container_of(work, struct backend, supply);
	const struct process_shares *shares = b->worker->shares;

	if (!list_is_empty(&b->hungry)) {
		offer_free(b);
		return;
	}
	if (backend_is_going(b) || b->worker->is_ending ||
	    overload_get(&shares->overload) >= OVERLOAD_SHRINK)
		return;
	while (counter_get(&b->n_idle) + b->n_warming < b->warm && !is_at_most(b))
		if (!warm_one(b))
			return;
}

/* ---- giving back ---- */

static void idle_over(struct timer *timer, usec_t now);

/* Streams may rest for long; whether their endpoint is still there is asked now and then. Returns
 * when to look again, or has closed it. */
static usec_t look_for_life(struct upstream *u, usec_t now)
{
	if (u->use != UPSTREAM_FOR_HTTP2 || !upstream_is_in_use(u))
		return USEC_NONE; /* no other protocol can ask */
	if (u->pinged_at && u->heard_at < u->pinged_at) {
		if (now < u->pinged_at + PING_PATIENCE)
			return u->pinged_at + PING_PATIENCE;
		upstream_break(u, 0, "it answered no ping");
		return USEC_NONE;
	}
	u->pinged_at = 0;
	if (now < u->heard_at + PING_AFTER)
		return u->heard_at + PING_AFTER;
	u->pinged_at = now;
	codec_ping(u->codec);
	return now + PING_PATIENCE;
}

/* A connection that is not pooled between calls is idle from the last time that one was seen on
 * it. */
static void idle_over(struct timer *timer, usec_t now)
{
	struct upstream *u = container_of(timer, struct upstream, timer);
	usec_t life;

	if (upstream_is_in_use(u))
		u->idle_since = now;
	else if (u->use == UPSTREAM_FOR_CALL || now >= usec_after(u->idle_since, u->keep_for)) {
		if (u->backend->warm) /* a fresh one instead */
			loop_defer(loop_of(u), &u->backend->supply);
		upstream_close(u);
		return;
	}
	life = look_for_life(u, now);
	if (u->state != UPSTREAM_CLOSED)
		wheel_set(loop_wheel(loop_of(u)), timer,
		    usec_min(life, usec_after(u->idle_since, u->keep_for)), idle_over);
}

void upstream_use_policy(struct upstream *u, unsigned keep, usec_t keep_for)
{
	struct loop *loop = loop_of(u);
	usec_t next = u->use == UPSTREAM_FOR_HTTP2 ? usec_min(keep_for, PING_AFTER) : keep_for;

	u->keep = keep;
	u->keep_for = keep_for;
	if (u->use == UPSTREAM_FOR_CALL)
		return;
	u->idle_since = loop_now(loop);
	next = usec_after(u->idle_since, next);
	if (!timer_is_set(&u->timer) || u->timer.at > next)
		wheel_set(loop_wheel(loop), &u->timer, next, idle_over);
}

static unsigned may_keep(const struct upstream *u)
{
	const struct process_shares *shares = u->backend->worker->shares;

	return overload_get(&shares->overload) >= OVERLOAD_SHRINK ? u->keep / 2 : u->keep;
}

/* Nobody has calls for it any more. */
static bool is_of_no_more_use(const struct upstream *u)
{
	if (u->backend->introduced_as == NULL)
		return false;
	return u->introduction == NULL || u->introduction->is_over;
}

/* The pool keeps the most recently used; what is too much goes at the other end. */
void upstream_keep(struct upstream *u)
{
	struct backend *b = u->backend;
	struct loop *loop = loop_of(u);
	unsigned keep = may_keep(u);

	if (backend_is_going(b) || b->worker->is_ending || keep == 0 || is_of_no_more_use(u)) {
		upstream_close(u);
		return;
	}
	list_remove(&u->link);
	list_push_front(&b->idle, &u->link);
	u->state = UPSTREAM_IDLE;
	upstream_stand_in_line(u);
	u->idle_since = loop_now(loop);
	wheel_set(loop_wheel(loop), &u->timer, usec_after(u->idle_since, u->keep_for), idle_over);
	counter_add(&b->n_idle, 1);
	if (counter_get(&b->n_idle) > keep)
		upstream_close(list_item(b->idle.prev, struct upstream, link));
	look_for_hungry(b);
}

static void forget_attempt(struct upstream *u, struct attempt *a)
{
	if (u->attempt == a)
		u->attempt = NULL;
	if (u->relaying == a)
		u->relaying = NULL;
	if (a->link.next)
		list_remove(&a->link);
	a->upstream = NULL;
	a->stream = 0;
}

void upstream_close_when_done(struct upstream *u)
{
	bool is_last = u->takes_no_more || backend_is_going(u->backend);

	if (u->state == UPSTREAM_SHARED && is_last && !upstream_is_in_use(u) && !u->is_in_reply)
		upstream_close(u);
}

void upstream_begin(struct upstream *u, struct attempt *a)
{
	a->stream = codec_begin(u->codec, a);
	list_remove(&a->link);
	list_push_back(&u->streams, &a->link);
}

void upstream_return(struct upstream *u, struct attempt *a, bool reusable)
{
	if (a->stream && u->state != UPSTREAM_CLOSED)
		codec_own(u->codec, a->stream, NULL);
	forget_attempt(u, a);
	upstream_close_when_done(u);
	if (u->state != UPSTREAM_LEASED)
		return;
	if (reusable && !u->is_unclean && !u->takes_no_more && conn_pending(u->conn) == 0)
		upstream_keep(u);
	else
		upstream_close(u);
}

static void discard(struct upstream *u, usec_t until)
{
	struct backend *b = u->backend;

	if (b->n_discarding >= BACKEND_DISCARDING_MAX || backend_is_going(b) ||
	    b->worker->is_ending || !list_is_empty(&b->hungry) || is_of_no_more_use(u)) {
		upstream_close(u);
		return;
	}
	u->state = UPSTREAM_DISCARDING;
	b->n_discarding++;
	conn_resume(u->conn, PAUSE_REPLY);
	wheel_set(loop_wheel(loop_of(u)), &u->timer, until, idle_over);
}

void upstream_doubt(struct upstream *u, const struct attempt *a)
{
	u->takes_no_more |= u->heard_at < a->began;
}

static void abandon_shared(struct upstream *u, struct attempt *a, bool sent, bool timed_out)
{
	struct attempt *nobody;

	if (!sent)
		slots_answer(u->slots, a->id, &nobody); /* no reply will come */
	else if (u->relaying != a)
		slots_abandon(u->slots, a->id);
	u->takes_no_more |= u->slots->abandoned > SLOTS_ABANDONED;
	if (timed_out)
		upstream_doubt(u, a);
	forget_attempt(u, a);
	upstream_close_when_done(u);
}

/* Half a oneway cannot be followed by anything. */
static void abandon_oneway(struct upstream *u, struct attempt *a, bool sent)
{
	bool was_alone = u->attempt == a;
	bool is_last = u->takes_no_more || backend_is_going(u->backend) || is_of_no_more_use(u);

	forget_attempt(u, a);
	if ((was_alone && !sent) || (is_last && !upstream_is_in_use(u)))
		upstream_close(u);
}

void upstream_abandon(struct upstream *u, struct attempt *a, bool sent, usec_t until)
{
	if (u->use != UPSTREAM_FOR_CALL) {
		if (u->slots)
			abandon_shared(u, a, sent, sent && until == 0);
		else if (upstream_is_multiplexed(u))
			upstream_return(u, a, true);
		else
			abandon_oneway(u, a, sent);
		if (u->state == UPSTREAM_CONNECTING && !upstream_is_in_use(u))
			upstream_close(u); /* it may hang for long: the next call tries anew */
		return;
	}
	forget_attempt(u, a);
	if (u->state == UPSTREAM_LEASED && sent && until > loop_now(loop_of(u)))
		discard(u, until);
	else
		upstream_close(u);
}

/* ---- small questions ---- */

void upstream_watch(struct upstream *u, struct attempt *a)
{
	if (u->attempt == a)
		return; /* it hears of it anyway */
	list_remove(&a->link);
	list_push_back(&u->leaving, &a->link);
}

bool upstream_is_unsent(const struct upstream *u, uint64_t start)
{
	return u->conn == NULL || conn_taken(u->conn) <= start;
}

uint64_t upstream_written(const struct upstream *u)
{
	return conn_written(u->conn);
}

bool upstream_is_full(const struct upstream *u)
{
	return conn_pending(u->conn) > CONN_HIGH_WATER;
}

void upstream_pause(struct upstream *u)
{
	if (u->state != UPSTREAM_SHARED) /* one slow caller must not stop the others */
		conn_pause(u->conn, PAUSE_REPLY);
}

void upstream_resume(struct upstream *u)
{
	conn_resume(u->conn, PAUSE_REPLY);
}
