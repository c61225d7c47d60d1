#include "proxy/downstream.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/access.h"
#include "proxy/call.h"
#include "proxy/worker.h"
#include "proxy/world.h"

#define PAUSE_AHEAD   1u
#define CHARGED_ABOVE (16u * 1024) /* what a connection may hold without being charged for it */
#define LATE_PATIENCE                                                                              \
	(1 * USEC_S) /* for the first call of a connection that comes while draining */
#define CLOSE_PATIENCE (5 * USEC_S) /* for the last reply to leave */

static const struct conn_events downstream_events;
static void on_timer(struct timer *timer, usec_t now);

static struct loop *loop_of(const struct downstream *d)
{
	return d->worker->loop;
}

/* The timer looks at everything when it fires, so it only ever has to be set earlier. */
static void arm(struct downstream *d, usec_t at)
{
	if (!timer_is_set(&d->timer) || d->timer.at > at)
		wheel_set(loop_wheel(loop_of(d)), &d->timer, at, on_timer);
}

static void sink(void *arg, const struct slice *pieces, int n)
{
	struct downstream *d = arg;
	usec_t now = loop_now(loop_of(d));
	int error;

	if (d->is_broken)
		return;
	if (conn_pending(d->conn) > DOWNSTREAM_QUEUE_MAX) {
		downstream_abort(d);
		return;
	}
	for (int i = 0; i < n; i++)
		d->sent += pieces[i].len;
	if (conn_write(d->conn, pieces, n, &error) < 0) {
		d->is_broken = true;
		arm(d, now); /* closed from there: its calls are in the middle of something here */
	} else if (conn_pending(d->conn) > 0) {
		arm(d, usec_after(now, d->listener->timeout_write_stall));
	}
}

static const struct codec_io downstream_io = {.write = sink};

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
	list_remove(&d->link);
	counter_sub(&d->stats->connections, 1);
	atomic_fetch_sub(&d->worker->connections, 1);
	atomic_fetch_sub(&d->worker->shares->connections, 1);
	if (d->is_over_limit)
		atomic_fetch_sub(&d->worker->shares->connecting, 1);
	loop_reap(loop_of(d), d, free_downstream);
}

void downstream_close(struct downstream *d)
{
	struct list *link;

	if (d->is_closed)
		return;
	conn_close(&d->conn);
	retire(d);
	while ((link = list_pop_front(&d->calls))) {
		struct call *call = list_item(link, struct call, link);

		call->downstream = NULL;
		call_event(call, CALL_EVENT_CANCEL);
	}
}

void downstream_end(struct downstream *d)
{
	struct rpc_status why;

	rpc_status_set(&why, REASON_DRAINING, "the time to drain was over");
	list_each (link, &d->calls) {
		struct call *call = list_item(link, struct call, link);

		if (!call->reply_is_begun && d->writing == NULL)
			codec_send_failure(d->codec, 0, &call->request, &why, true);
	}
	downstream_close(d);
}

/* Everything is answered: what is still queued goes out first. */
static void close_gracefully(struct downstream *d)
{
	conn_close_after_output(&d->conn, CLOSE_PATIENCE);
	retire(d);
}

static bool is_finished(const struct downstream *d)
{
	if (d->n_calls > 0)
		return false;
	return d->is_closing || (d->got_eof && d->ahead_len == 0) ||
	       (d->is_draining && d->ahead_len == 0 && codec_is_idle(d->codec));
}

void downstream_drain(struct downstream *d)
{
	d->is_draining = true;
	if (!d->is_closed && !d->is_reading && is_finished(d))
		close_gracefully(d);
}

void downstream_drain_after(struct downstream *d, usec_t wait)
{
	if (wait == 0) {
		downstream_drain(d);
		return;
	}
	d->drain_at = usec_after(loop_now(loop_of(d)), wait);
	arm(d, d->drain_at);
}

void downstream_orphan(struct downstream *d)
{
	if (d->kept == NULL)
		d->kept = snapshot_ref(d->worker->world->snapshot);
	downstream_drain(d);
}

void downstream_abort(struct downstream *d)
{
	d->is_broken = true;
	arm(d, loop_now(loop_of(d)));
}

/* ---- reading ---- */

static bool may_read(const struct downstream *d)
{
	if (d->is_closed || d->is_broken)
		return false;
	if (d->upload)
		return call_wants_body(d->upload);
	if (d->is_closing || d->parked || downstream_is_full(d))
		return false;
	return d->n_calls == 0 || (d->is_unordered && d->n_calls < d->listener->in_flight);
}

/* A message is partly here: it has a time to be whole in. */
static void note_partial(struct downstream *d)
{
	const struct listener_config *l = d->listener;
	usec_t now = loop_now(loop_of(d));

	if (codec_is_idle(d->codec))
		return;
	if (d->message_since == 0)
		d->message_since = now;
	arm(d, usec_after(d->message_since,
		   codec_has_detected(d->codec) ? l->timeout_message : l->timeout_detect));
}

static void on_message(struct downstream *d, const struct rpc_message *m)
{
	usec_t now = loop_now(loop_of(d)), since = d->message_since ? d->message_since : now;
	struct rpc_status why;

	if (m->complete)
		d->message_since = 0;
	else
		note_partial(d);
	if (d->is_over_limit) {
		rpc_status_set(&why, REASON_CONNECTION_LIMITED,
		    "listener %s has as many connections "
		    "as it may",
		    d->listener->name);
		call_refuse(d, m, &why);
		d->is_closing = true;
		return;
	}
	call_start(d, m, since);
}

static void on_body_failed(struct downstream *d, const struct rpc_status *why)
{
	struct call *call = d->upload;

	d->upload = NULL;
	call_body_failed(call, why);
}

static void on_refused(struct downstream *d, struct codec_item *item)
{
	d->is_closing = true;
	d->message_since = 0;
	if (d->upload)
		on_body_failed(d, &item->why);
	else
		call_refuse(d, item->has_message ? &item->message : NULL, &item->why);
}

static void on_data(struct downstream *d, struct slice data, bool last)
{
	struct call *call = d->upload;

	if (last) {
		d->upload = NULL;
		d->message_since = 0;
	}
	call_body(call, data, last);
}

static void read_on(struct downstream *d, struct slice *in)
{
	struct codec_item item;

	d->is_reading = true;
	while (may_read(d)) {
		enum codec_event event = codec_next(d->codec, in, &item);

		if (event == CODEC_MORE) {
			note_partial(d);
			break;
		}
		if (event == CODEC_MESSAGE)
			on_message(d, &item.message);
		else if (event == CODEC_DATA)
			on_data(d, item.data, item.last);
		else
			on_refused(d, &item);
	}
	d->is_reading = false;
}

/* Keeps input for later. False when memory is gone. */
static bool stash(struct downstream *d, struct slice in)
{
	if (d->ahead_at) {
		memmove(d->ahead, d->ahead + d->ahead_at, d->ahead_len);
		d->ahead_at = 0;
	}
	if (d->ahead_size - d->ahead_len < in.len) {
		size_t size = d->ahead_len + in.len;
		uint8_t *bigger = realloc(d->ahead, size);

		if (bigger == NULL)
			return false;
		d->ahead = bigger;
		d->ahead_size = size;
	}
	if (in.len)
		memcpy(d->ahead + d->ahead_len, in.data, in.len);
	d->ahead_len += in.len;
	return true;
}

static void read_ahead(struct downstream *d)
{
	struct slice in = slice_of(d->ahead + d->ahead_at, d->ahead_len);

	read_on(d, &in);
	d->ahead_at += d->ahead_len - in.len;
	d->ahead_len = in.len;
	if (in.len == 0) {
		free(d->ahead);
		d->ahead = NULL;
		d->ahead_at = d->ahead_size = 0;
	}
}

/* All that came is read, and the call it belongs to is not whole. */
static void cut_off(struct downstream *d)
{
	struct rpc_status why;

	rpc_status_set(&why, REASON_CANCELED, "the caller ended within its message");
	d->is_closing = true;
	on_body_failed(d, &why);
}

/* Counts what the connection holds of unfinished input. False: over limits.memory. */
static bool charge(struct downstream *d)
{
	size_t held = codec_held(d->codec) + d->ahead_size;
	size_t due = held > CHARGED_ABOVE ? held : 0;

	if (due > d->charged && !worker_charge(d->worker, due - d->charged))
		return false;
	if (due < d->charged)
		worker_uncharge(d->worker, d->charged - due);
	d->charged = due;
	return true;
}

static void refuse_memory(struct downstream *d)
{
	struct rpc_status why;

	downstream_abort(d);
	rpc_status_set(&why, REASON_OVERLOAD, "no memory for the message (limits.memory)");
	call_refuse(d, NULL, &why);
}

/* After anything has moved: stop or go on reading the socket, or end. */
static void settle(struct downstream *d)
{
	bool pause = d->ahead_len >= DOWNSTREAM_AHEAD || (d->ahead_len && downstream_is_full(d));

	if (d->got_eof && d->upload && d->ahead_len == 0)
		cut_off(d);
	if (d->is_closed || d->is_broken)
		return;
	if (is_finished(d)) {
		close_gracefully(d);
		return;
	}
	if (!charge(d)) {
		refuse_memory(d);
		return;
	}
	if (pause != d->is_paused) {
		d->is_paused = pause;
		if (pause)
			conn_pause(d->conn, PAUSE_AHEAD);
		else
			conn_resume(d->conn, PAUSE_AHEAD);
	}
}

void downstream_resume(struct downstream *d)
{
	if (d->is_reading || d->is_closed || d->is_broken)
		return;
	if (d->ahead_len)
		read_ahead(d);
	settle(d);
}

static void on_input(void *arg, struct slice in)
{
	struct downstream *d = arg;

	d->active_at = loop_now(loop_of(d));
	counter_add(&d->worker->bytes_in, in.len);
	if (d->ahead_len == 0)
		read_on(d, &in);
	if (d->is_closed)
		return;
	if (d->is_closing && d->upload == NULL)
		in.len = 0; /* nothing more is read: what comes is thrown away */
	if (in.len && !stash(d, in)) {
		downstream_close(d);
		return;
	}
	downstream_resume(d);
}

static void on_eof(void *arg)
{
	struct downstream *d = arg;

	d->got_eof = true;
	downstream_resume(d);
}

static void on_closed(void *arg, int error)
{
	(void)error;
	downstream_close(arg);
}

static void on_drained(void *arg)
{
	struct downstream *d = arg;

	if (d->writing)
		call_event(d->writing, CALL_EVENT_DATA);
	downstream_resume(d);
}

static const struct conn_events downstream_events = {
    .input = on_input,
    .eof = on_eof,
    .closed = on_closed,
    .drained = on_drained,
};

/* ---- times ---- */

/* The caller took too long over something: says what in the log, and ends it. */
static void time_out(struct downstream *d, const char *what)
{
	struct rpc_status why;

	rpc_status_set(&why, REASON_TIMEOUT, "%s", what);
	d->is_closing = true;
	if (d->upload)
		on_body_failed(d, &why);
	else if (d->message_since)
		call_refuse(d, NULL, &why);
	else
		log_debug("downstream", "closed", "listener=%s source=%s why=\"%s\"",
		    d->listener->name, d->source, what);
	downstream_close(d);
}

static void on_timer(struct timer *timer, usec_t now)
{
	struct downstream *d = container_of(timer, struct downstream, timer);
	const struct listener_config *l = d->listener;
	usec_t stall = USEC_NONE, message = USEC_NONE, idle = USEC_NONE;

	if (d->is_broken) {
		downstream_close(d);
		return;
	}
	if (now >= d->drain_at) {
		d->drain_at = USEC_NONE;
		downstream_drain(d);
		if (d->is_closed)
			return;
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
		arm(d, usec_min(usec_min(stall, usec_min(message, d->drain_at)),
			   usec_min(idle, usec_after(now, d->idle))));
}

/* ---- opening, and what calls want ---- */

static void set_source(struct downstream *d, const char *source)
{
	struct conn_identity who;

	d->has_uid = conn_identity(d->conn, &who);
	if (d->has_uid) {
		d->uid = who.uid;
		d->gid = who.gid;
		snprintf(d->source, sizeof d->source, "unix:uid=%u,pid=%d", (unsigned)who.uid,
		    (int)who.pid);
	} else {
		snprintf(d->source, sizeof d->source, "%.47s", source);
	}
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
	};

	d->worker = worker;
	d->listener = listener;
	d->stats = worker_listener_stats(worker, listener->name);
	d->is_over_limit = over_limit;
	d->active_at = loop_now(worker->loop);
	d->drain_at = USEC_NONE;
	list_init(&d->calls);
	list_push_back(&worker->downstreams, &d->link);
	d->conn = conn_accepted(worker->loop, fd, &downstream_events, d);
	d->codec = codec_open(CODEC_DOWNSTREAM, CODEC_UNDETECTED, &limits, &downstream_io, d);
	counter_add(&d->stats->connections, 1);
	set_source(d, from->text);
	if (!access_admits(listener, from, d)) {
		counter_add(&d->stats->refused_connections, 1);
		downstream_close(d);
		return;
	}
	if (worker->draining)
		downstream_drain_after(d, LATE_PATIENCE);
	/* A connection beyond the limit has a seat of few: it is to make its one call soon. */
	d->idle = over_limit ? listener->timeout_detect : listener->timeout_idle;
	arm(d, usec_after(d->active_at, d->idle));
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
