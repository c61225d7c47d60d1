/*
 * What a downstream hears: input, which becomes calls or goes to those that run; what has left; its
 * end. Decides when to read on; opening, ending and times are in downstream.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/conn.h"
#include "net/loop.h"
#include "proxy/call.h"
#include "proxy/downstream.h"
#include "proxy/relay.h"
#include "proxy/worker.h"

#define PAUSE_AHEAD 1u

static usec_t now_of(const struct downstream *d)
{
	return loop_now(d->worker->loop);
}

static bool may_read(const struct downstream *d)
{
	if (d->is_closed || d->is_broken)
		return false;
	if (codec_is_multiplexed(d->codec))
		return true;
	if (d->upload)
		return relay_wants_body(d->upload);
	if (d->is_closing || d->parked || downstream_is_full(d))
		return false;
	return d->n_calls == 0 || (d->is_unordered && d->n_calls < d->listener->in_flight);
}

/* A message is partly here: it has a time to be whole in. */
static void note_partial(struct downstream *d)
{
	const struct listener_config *l = d->listener;
	usec_t now = now_of(d);

	if (codec_is_idle(d->codec)) {
		d->message_since = 0; /* a handshake, or a header block, has become whole */
		return;
	}
	if (d->message_since == 0)
		d->message_since = now;
	downstream_arm(
	    d, usec_after(d->message_since,
		   codec_has_detected(d->codec) ? l->timeout_message : l->timeout_detect));
}

static void on_message(struct downstream *d, uint32_t id, const struct rpc_message *m)
{
	usec_t now = now_of(d), since = d->message_since ? d->message_since : now;
	struct rpc_status why;

	if (m->complete || id)
		d->message_since = 0;
	else
		note_partial(d);
	if (d->is_cut) {
		rpc_status_set(&why, REASON_DRAINING, "the time to drain is over");
		call_refuse(d, id, m, &why);
		return;
	}
	if (d->is_over_limit) {
		rpc_status_set(&why, REASON_CONNECTION_LIMITED,
		    "listener %s has as many connections as it may (connections)",
		    d->listener->name);
		call_refuse(d, id, m, &why);
		d->is_closing = true;
		return;
	}
	call_start(d, id, m, since);
}

void downstream_body_failed(struct downstream *d, const struct rpc_status *why)
{
	struct call *call = d->upload;

	d->upload = NULL;
	call_body_failed(call, why);
}

static void on_refused(struct downstream *d, struct codec_item *item)
{
	unsigned limit = http2_limit_in(slice_str(item->why.detail));

	if (limit < HTTP2_LIMITS)
		counter_add(&d->stats->http2_limits[limit], 1);
	d->is_closing = true;
	d->message_since = 0;
	if (d->upload)
		downstream_body_failed(d, &item->why);
	else
		call_refuse(d, 0, item->has_message ? &item->message : NULL, &item->why);
	if (codec_is_multiplexed(d->codec))
		downstream_cancel_calls(d);
}

static void on_data(struct downstream *d, const struct codec_item *item)
{
	struct call *call = d->upload;

	if (item->last) {
		d->upload = NULL;
		d->message_since = 0;
	}
	relay_body(call, item);
}

static void on_event(struct downstream *d, enum codec_event event, struct codec_item *item)
{
	struct call *call = item->owner;

	switch (event) {
	case CODEC_MORE:
		note_partial(d);
		break;
	case CODEC_MESSAGE:
		on_message(d, item->id, &item->message);
		break;
	case CODEC_DATA:
		if (call)
			relay_body(call, item);
		else if (item->id == 0)
			on_data(d, item);
		break;
	case CODEC_REFUSED:
		on_refused(d, item);
		break;
	case CODEC_END:
		if (call)
			relay_body_end(call, &item->message);
		break;
	case CODEC_RESET:
		if (call)
			call_given_up(call, &item->reset);
		break;
	case CODEC_ROOM:
		if (call)
			call_event(call, CALL_EVENT_DATA);
		break;
	}
}

static void read_on(struct downstream *d, struct slice *in)
{
	struct codec_item item;
	enum codec_event event;

	d->is_reading = true;
	codec_set_now(d->codec, now_of(d));
	while (may_read(d)) {
		event = codec_next(d->codec, in, &item);
		on_event(d, event, &item);
		if (event == CODEC_MORE)
			break;
	}
	d->is_reading = false;
	if (!d->is_closed && codec_is_multiplexed(d->codec))
		conn_set_batching(d->conn, true); /* the replies of a turn leave together */
}

/* What the codec has to tell after something was written. */
void downstream_work(struct loop_work *work)
{
	struct downstream *d = container_of(work, struct downstream, work);
	struct slice nothing = SLICE_NONE;

	if (!d->is_closed && !d->is_reading)
		read_on(d, &nothing);
	downstream_resume(d);
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
	downstream_body_failed(d, &why);
}

/* Counts what the connection holds. False: over limits.memory. */
static bool charge(struct downstream *d)
{
	return worker_charge_held(d->worker, codec_held(d->codec) + d->ahead_size, &d->charged);
}

static void refuse_memory(struct downstream *d)
{
	struct rpc_status why;

	downstream_abort(d);
	rpc_status_set(&why, REASON_OVERLOAD, "no memory for the message (limits.memory)");
	call_refuse(d, 0, NULL, &why);
}

/* After anything has moved: stop or go on reading the socket, or end. */
static void settle(struct downstream *d)
{
	bool has_waiting = d->ahead_len > 0 || codec_is_multiplexed(d->codec);
	bool pause = d->ahead_len >= DOWNSTREAM_AHEAD || (has_waiting && downstream_is_full(d));

	if (d->got_eof && d->upload && d->ahead_len == 0)
		cut_off(d);
	if (d->is_closed || d->is_broken)
		return;
	if (downstream_close_when_done(d))
		return;
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

	d->active_at = d->heard_at = now_of(d);
	counter_add(&d->worker->bytes_in, in.len);
	if (d->ahead_len == 0)
		read_on(d, &in);
	if (d->is_closed || d->is_broken) /* nobody reads what is kept from here on */
		return;
	if (d->is_closing && d->upload == NULL)
		in.len = 0; /* nothing more is read: what comes is thrown away */
	if (in.len && !stash(d, in)) {
		downstream_close(d);
		return;
	}
	downstream_resume(d);
}

/* What has not come of its streams never will. */
static void cut_off_streams(struct downstream *d)
{
	struct codec_reset why = {.reason = REASON_CANCELED};

	snprintf(why.detail, sizeof why.detail, "the caller closed its connection");
	d->is_reading = true; /* calls that end here must not end the connection under us */
	list_each_safe (link, &d->calls) {
		struct call *call = list_item(link, struct call, link);

		if (call->id && !call->upload_is_over)
			call_given_up(call, &why);
	}
	d->is_reading = false;
}

/* A caller that has only ended its own side is still answered. One that is gone looks the same
 * until something is written to it. */
static void on_eof(void *arg)
{
	struct downstream *d = arg;

	d->got_eof = true;
	if (d->worker->is_stopping)
		downstream_forget_gone(d);
	cut_off_streams(d);
	if (d->n_calls)
		codec_ping(d->codec);
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
	if (codec_is_multiplexed(d->codec)) {
		codec_pump(d->codec);
		downstream_work(&d->work);
		return;
	}
	downstream_resume(d);
}

const struct conn_events downstream_events = {
    .input = on_input,
    .eof = on_eof,
    .closed = on_closed,
    .drained = on_drained,
};
