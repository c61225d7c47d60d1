#include "proxy/downstream.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/access.h"
#include "proxy/call.h"
#include "proxy/introduction.h"
#include "proxy/worker.h"
#include "proxy/world.h"

#define LATE_PATIENCE                                                                              \
	(1 * USEC_S) /* for the first call of a connection that comes while draining */
#define CLOSE_PATIENCE (5 * USEC_S) /* for the last reply to leave */
/* A caller with streams but without a word is asked whether it is there. Kitex's servers do after
 * two hours; its clients count no pings. */
#define PING_AFTER    (10 * USEC_MIN)
#define PING_PATIENCE (20 * USEC_S)
#define REST_AFTER                                                                                 \
	(200 * USEC_MS) /* without calls, for a connection that holds more than a few bytes */

static void on_timer(struct timer *timer, usec_t now);

static struct loop *loop_of(const struct downstream *d)
{
	return d->worker->loop;
}

/* The timer looks at everything when it fires, so it only ever has to be set earlier. */
void downstream_arm(struct downstream *d, usec_t at)
{
	if (!timer_is_set(&d->timer) || d->timer.at > at)
		wheel_set(loop_wheel(loop_of(d)), &d->timer, at, on_timer);
}

void downstream_ask(struct downstream *d)
{
	if (codec_is_multiplexed(d->codec) && !d->is_reading && !d->is_closed)
		loop_defer(loop_of(d), &d->work);
}

static void sink(void *arg, const struct slice *pieces, int n)
{
	struct downstream *d = arg;
	usec_t now = loop_now(loop_of(d));
	int error;

	if (d->is_broken || d->is_closed)
		return;
	downstream_ask(d);
	if (conn_pending(d->conn) > DOWNSTREAM_QUEUE_MAX) {
		downstream_abort(d);
		return;
	}
	for (int i = 0; i < n; i++)
		d->sent += pieces[i].len;
	if (conn_write(d->conn, pieces, n, &error) < 0) {
		d->is_broken = true;
		downstream_arm(d, now); /* its calls are in the middle of something here */
	} else if (conn_pending(d->conn) > 0) {
		downstream_arm(d, usec_after(now, d->listener->timeout_write_stall));
	}
}

static bool is_full(void *arg)
{
	const struct downstream *d = arg;

	return d->is_closed || d->is_broken || downstream_is_full(d);
}

static const struct codec_io downstream_io = {.write = sink, .is_full = is_full};

static void free_downstream(void *object)
{
	struct downstream *d = object;

	codec_close(&d->codec);
	snapshot_unref(&d->kept);
	free(d->ahead);
	free(d);
}

/* Takes it out of everything; the conn is closed or given away already. */
static void retire(struct downstream *d)
{
	d->is_closed = true;
	worker_uncharge(d->worker, d->charged);
	wheel_clear(&d->timer);
	loop_undefer(&d->work);
	list_remove(&d->link);
	introduction_end(&d->introduction);
	counter_sub(&d->stats->connections, 1);
	atomic_fetch_sub(&d->worker->connections, 1);
	atomic_fetch_sub(&d->worker->shares->connections, 1);
	if (d->is_over_limit)
		atomic_fetch_sub(&d->worker->shares->connecting, 1);
	loop_reap(loop_of(d), d, free_downstream);
}

/* Its calls have nobody to answer any more. */
void downstream_cancel_calls(struct downstream *d)
{
	struct list *link;

	while ((link = list_pop_front(&d->calls))) {
		struct call *call = list_item(link, struct call, link);

		call->downstream = NULL;
		call_event(call, CALL_EVENT_CANCEL);
	}
	d->n_calls = 0;
}

/* Oneways may outlive their caller, but not as nobody's. */
static void introduce_oneways(struct downstream *d)
{
	list_each (link, &d->calls) {
		struct call *call = list_item(link, struct call, link);

		if (call->request.kind == RPC_ONEWAY)
			introduction_keep(call, call);
	}
}

void downstream_close(struct downstream *d)
{
	if (d->is_closed)
		return;
	introduce_oneways(d);
	conn_close(&d->conn);
	retire(d);
	downstream_cancel_calls(d);
}

/* Everything is answered: what is still queued goes out first. */
static void close_gracefully(struct downstream *d)
{
	conn_close_after_output(&d->conn, CLOSE_PATIENCE);
	retire(d);
}

/* Ends it now; the last word of a protocol that has one still goes out. */
static void end_connection(struct downstream *d)
{
	if (codec_is_multiplexed(d->codec))
		downstream_end(d);
	else
		downstream_close(d);
}

static bool is_finished(const struct downstream *d)
{
	if (d->n_calls > 0)
		return false;
	if (d->is_draining && d->last_word_at != USEC_NONE && !d->got_eof)
		return false;
	if (codec_is_ending(d->codec))
		return true;
	return d->is_closing || (d->got_eof && d->ahead_len == 0) ||
	       (d->is_draining && d->ahead_len == 0 && codec_is_idle(d->codec));
}

bool downstream_close_when_done(struct downstream *d)
{
	if (!is_finished(d) || downstream_lingers(d))
		return false;
	close_gracefully(d);
	return true;
}

void downstream_end(struct downstream *d)
{
	if (d->is_closed)
		return;
	if (d->is_broken) {
		downstream_close(d);
		return;
	}
	codec_drain(d->codec, CODEC_DRAIN_NOW);
	introduce_oneways(d);
	close_gracefully(d);
	downstream_cancel_calls(d);
}

void downstream_abort(struct downstream *d)
{
	d->is_broken = true;
	downstream_arm(d, loop_now(loop_of(d)));
}

/* ---- times ---- */

/* The caller took too long over something: says what in the log, and ends it. */
static void time_out(struct downstream *d, const char *what)
{
	struct rpc_status why;

	rpc_status_set(&why, REASON_TIMEOUT, "%s", what);
	d->is_closing = true;
	if (d->upload)
		downstream_body_failed(d, &why);
	else if (d->message_since)
		call_refuse(d, 0, NULL, &why);
	else
		log_debug("downstream", "closed", "listener=%s source=%s why=\"%s\"",
		    d->listener->name, d->source, what);
	end_connection(d);
}

/* Streams may rest for long; whether their caller is still there is asked now and then. Returns
 * when to look again, or has closed it. */
static usec_t look_for_life(struct downstream *d, usec_t now)
{
	if (codec_family(d->codec) != CODEC_HTTP2 || d->n_calls == 0)
		return USEC_NONE; /* no other protocol can ask */
	if (d->pinged_at && d->heard_at < d->pinged_at) {
		if (now < d->pinged_at + PING_PATIENCE)
			return d->pinged_at + PING_PATIENCE;
		time_out(d, "it answered no ping");
		return USEC_NONE;
	}
	d->pinged_at = 0;
	if (now < d->heard_at + PING_AFTER)
		return d->heard_at + PING_AFTER;
	d->pinged_at = now;
	codec_ping(d->codec);
	return now + PING_PATIENCE;
}

/* Of those that do not hang on what is going on. */
static usec_t next_time(const struct downstream *d, usec_t now)
{
	usec_t drain = usec_min(downstream_drain_time(d), d->end_at);

	return usec_min(drain, usec_min(d->rest_at, usec_after(now, d->idle)));
}

static void on_timer(struct timer *timer, usec_t now)
{
	struct downstream *d = container_of(timer, struct downstream, timer);
	const struct listener_config *l = d->listener;
	usec_t stall = USEC_NONE, message = USEC_NONE, idle = USEC_NONE, life;

	if (d->is_broken) {
		downstream_close(d);
		return;
	}
	downstream_drain_on_time(d, now);
	life = d->is_closed ? USEC_NONE : look_for_life(d, now);
	if (d->is_closed)
		return;
	if (now >= d->rest_at) {
		d->rest_at = USEC_NONE;
		if (d->n_calls == 0)
			codec_rest(d->codec);
	}
	if (conn_stalled_since(d->conn) != USEC_NONE)
		stall = usec_after(conn_stalled_since(d->conn), l->timeout_write_stall);
	if (d->message_since)
		message = usec_after(d->message_since,
		    codec_has_detected(d->codec) ? l->timeout_message : l->timeout_detect);
	else if (d->n_calls == 0)
		idle = usec_after(d->active_at, d->idle);
	if (now >= stall)
		time_out(d, "it does not read its replies (timeout.write_stall)");
	else if (now >= message)
		time_out(d, codec_has_detected(d->codec)
				? "a message did not become whole in time (timeout.message)"
				: "the protocol could not be told in time (timeout.detect)");
	else if (now >= idle)
		time_out(d, "idle (timeout.idle)");
	else
		downstream_arm(d, usec_min(next_time(d, now),
				      usec_min(usec_min(stall, life), usec_min(message, idle))));
}

/* ---- opening, and what calls want ---- */

static void set_source(struct downstream *d, const char *source)
{
	struct conn_identity who;

	d->has_uid = conn_identity(d->conn, &who);
	if (d->has_uid) {
		d->uid = who.uid;
		d->gid = who.gid;
		d->asker.pid = who.pid;
		d->asker.uid = who.uid;
		snprintf(d->source, sizeof d->source, "unix:uid=%u,pid=%d", (unsigned)who.uid,
		    (int)who.pid);
	} else {
		snprintf(d->source, sizeof d->source, "%.47s", source);
	}
}

/* Connections that were opened together do not end together. */
static usec_t aged(struct worker *worker, usec_t max_age)
{
	usec_t spread = max_age / 5;

	return max_age - spread / 2 + (spread ? rng_below(&worker->rng, spread) : 0);
}

void downstream_open(struct worker *worker, const struct listener_config *listener, int fd,
    const struct address *from, bool over_limit)
{
	struct downstream *d = mem_calloc(1, sizeof *d);
	struct codec_limits limits = {
	    .max_message = listener->max_message,
	    .max_header = listener->max_header,
	    .protocols = listener->protocols,
	    .in_flight = listener->in_flight,
	    .http2 = &d->http2,
	    .node = slice_str(worker->node),
	};

	d->worker = worker;
	d->listener = listener;
	d->stats = worker_listener_stats(worker, listener->name);
	d->is_over_limit = over_limit;
	d->active_at = loop_now(worker->loop);
	d->heard_at = d->opened_at = d->active_at;
	d->drain_at = d->age_at = d->last_word_at = d->rest_at = d->end_at = USEC_NONE;
	d->http2 = listener->http2;
	d->work.run = downstream_work;
	list_init(&d->calls);
	list_push_back(&worker->downstreams, &d->link);
	d->conn = conn_accepted(worker->loop, fd, &downstream_events, d);
	d->codec = codec_open(CODEC_DOWNSTREAM, CODEC_UNDETECTED, &limits, &downstream_io, d);
	counter_add(&d->stats->connections, 1);
	set_source(d, from->text);
	address_source_from(&d->from, from);
	if (!access_admits(listener, from, d)) {
		counter_add(&d->stats->refused_connections, 1);
		downstream_close(d);
		return;
	}
	if (worker->draining)
		downstream_drain_after(d, LATE_PATIENCE);
	if (listener->max_age != USEC_NONE)
		d->age_at = usec_after(d->active_at, aged(worker, listener->max_age));
	/* A connection beyond the limit has a seat of few: it is to make its one call soon. */
	d->idle = over_limit ? listener->timeout_detect : listener->timeout_idle;
	downstream_arm(d, usec_min(d->age_at, usec_after(d->active_at, d->idle)));
}

bool downstream_is_full(const struct downstream *d)
{
	return d->conn && conn_pending(d->conn) > CONN_HIGH_WATER;
}

bool downstream_may_reply(const struct downstream *d, const struct call *call)
{
	return d->writing == NULL || d->writing == call;
}

/* Calls whose replies had to wait for another's long one. */
static void give_turns(struct downstream *d)
{
	bool again = true;

	while (again && d->writing == NULL && !d->is_closed && !d->is_broken) {
		again = false;
		list_each_safe (link, &d->calls) {
			struct call *call = list_item(link, struct call, link);

			if (call->step == CALL_REPLY && call->waits_for_turn) {
				call->waits_for_turn = false; /* one turn each */
				call_event(call, CALL_EVENT_TURN);
				again = true; /* the list may have changed under us */
				break;
			}
		}
	}
}

void downstream_call_done(struct downstream *d, struct call *call)
{
	list_remove(&call->link);
	d->n_calls--;
	d->active_at = loop_now(loop_of(d));
	if (d->n_calls == 0 && codec_is_multiplexed(d->codec)) {
		d->rest_at = usec_after(d->active_at, REST_AFTER);
		downstream_arm(d, d->rest_at);
	}
	if (d->upload == call)
		d->upload = NULL;
	if (d->parked == call)
		d->parked = NULL;
	if (d->writing == call) {
		d->writing = NULL;
		give_turns(d);
	}
	if (d->parked && d->n_calls == 1) {
		struct call *next = d->parked;

		d->parked = NULL;
		d->is_unordered = false; /* it runs alone */
		call_go(next);
	}
	downstream_resume(d);
}
