#include "proxy/relay.h"

#include "net/loop.h"
#include "proxy/call.h"
#include "proxy/downstream.h"
#include "proxy/identity.h"
#include "proxy/tap.h"
#include "proxy/upstream.h"
#include "proxy/world.h"

#define PREFIX 5u /* of the one message in a gRPC body that is collected */

static void note_messages(struct call *call, struct call_flow *flow, unsigned n, uint64_t bytes)
{
	struct service_stats *stats = call->service->stats;
	int direction = flow == &call->down;

	flow->messages += n;
	counter_add(&stats->messages[direction], n);
	counter_add(&stats->message_bytes[direction], bytes);
	log_debug("stream", direction ? "StreamRecv" : "StreamSend",
	    "call=%llu messages=%u bytes=%llu", (unsigned long long)call->number, n,
	    (unsigned long long)bytes);
}

void relay_note_reply(struct call *call)
{
	note_messages(call, &call->down, 1, call->reply.body_len);
}

/* ---- flow control ---- */

/* How much of one direction has left on the other side. */
static uint64_t forwarded(
    const struct call *call, const struct call_flow *flow, struct codec *to, uint32_t id)
{
	size_t waiting;

	if (!call->is_stream)
		return flow->bytes;      /* it is collected */
	waiting = codec_pending(to, id); /* more than data, where other frames wait with it */
	return flow->given > waiting ? flow->given - waiting : 0;
}

static void credit(struct call_flow *flow, uint64_t upto, struct codec *from, uint32_t id)
{
	if (upto <= flow->credited)
		return;
	codec_credit(from, id, (size_t)(upto - flow->credited));
	flow->credited = upto;
}

static void credit_caller(struct call *call)
{
	struct attempt *a = call->attempt;

	if (call->step == CALL_ROUTE && !call->upload_is_discarded)
		return; /* nobody knows yet who is to read it */
	if (call->upload_is_discarded || !call->is_stream || call->step == CALL_COLLECT)
		credit(&call->up, call->up.bytes, call->downstream->codec, call->id);
	else if (a->stream)
		credit(&call->up, forwarded(call, &call->up, a->upstream->codec, a->stream),
		    call->downstream->codec, call->id);
}

static void credit_endpoint(struct call *call)
{
	struct attempt *a = call->attempt;

	credit(&call->down, forwarded(call, &call->down, call->downstream->codec, call->id),
	    a->upstream->codec, a->stream);
}

/* A caller that takes nothing may do so for a while; the call's timer looks at it. */
static void note_stall(struct call *call)
{
	bool is_waiting = codec_pending(call->downstream->codec, call->id) > 0;

	if (is_waiting && call->stalled_at == 0) {
		call->stalled_at = loop_now(call->worker->loop);
		call_arm(call);
	} else if (!is_waiting) {
		call->stalled_at = 0;
	}
}

void relay_settle(struct call *call)
{
	struct attempt *a = call->attempt;

	if (call->downstream == NULL) { /* its reply is thrown away */
		if (a->stream)
			credit(&call->down, call->down.bytes, a->upstream->codec, a->stream);
		return;
	}
	if (call->id) {
		credit_caller(call);
		note_stall(call);
	}
	if (a->stream)
		credit_endpoint(call);
	else if (call->reply_is_begun && downstream_is_full(call->downstream))
		attempt_pause(a);
	else
		attempt_resume(a);
}

bool relay_is_flushed(const struct call *call)
{
	return call->id == 0 || codec_pending(call->downstream->codec, call->id) == 0;
}

/* ---- the call's own body ---- */

bool relay_wants_body(const struct call *call)
{
	if (!call->has_begun)
		return false;
	if (call->upload_is_discarded || call->step == CALL_COLLECT)
		return true;
	if (call->step <= CALL_ADMIT || call->waits_to_try)
		return false;
	if (call->attempt->state == ATTEMPT_BACKLOG || call->attempt->state == ATTEMPT_CONNECTING)
		return false;
	return !call->attempt->is_sending || !attempt_is_full(call->attempt);
}

/*
 * What a stream sends is kept while it may have to be sent again: until the reply begins, or until
 * it is more than retry.buffer. What an endpoint has not been offered yet is kept in any case: its
 * window bounds it, or the limit of what may wait where there is none. False: too much, or no
 * memory.
 */
static bool keep(struct call *call, struct slice data)
{
	size_t fresh = call->kept_len - call->up.given; /* no endpoint was offered it yet */

	if (call->is_spent)
		return true;
	if (!call->attempt->is_sending)
		return (fresh == 0 || fresh + data.len <= CODEC_STREAM_QUEUE) &&
		       call_collect(call, data);
	if (call->kept_len + data.len <= call->policy->retry.buffer && call_collect(call, data))
		return true;
	call->is_spent = true;
	call_drop_kept(call);
	return true;
}

#define NO_MEMORY        "no memory for the whole call (limits.memory)"
#define TOO_LONG_FOR_ALL "it is longer than retry.buffer, so it cannot go to all"

/* What is kept of it is not all that came: it can go nowhere any more. */
static void cannot_collect(struct call *call, enum reason reason, const char *why)
{
	call->is_spent = true;
	call_fail(call, reason, "%s", why);
}

/* One for all endpoints, before it has gone to any. */
static void collect_stream(struct call *call, struct slice data)
{
	if (!call_collect(call, data))
		cannot_collect(call, REASON_OVERLOAD, NO_MEMORY);
	else if (call->kept_len <= call->policy->retry.buffer)
		return;
	else if (call->policy->retry.type == RETRY_BROADCAST)
		cannot_collect(call, REASON_TOO_LARGE, TOO_LONG_FOR_ALL);
	else
		call->step = CALL_TRY; /* to one, as it comes */
}

/* False: the call has failed, with or without an event to follow. */
static bool stream_body(struct call *call, struct slice data, bool last)
{
	if (call->step == CALL_COLLECT) {
		collect_stream(call, data);
		return true;
	}
	if (!keep(call, data)) {
		call->is_spent = true; /* what is kept is not all of it */
		call_give_up(call, ATTEMPT_CANCELED, 0);
		call_fail(call, REASON_OVERLOAD, "too much waits for the endpoint (limits.memory)");
		return true;
	}
	if (!call->attempt->is_sending)
		return true;
	call->up.given += data.len;
	return attempt_send_data(call->attempt, data, last);
}

/* What is collected is one message. Codecs bound each, but count none. */
static bool is_too_long(const struct call *call, struct slice data, uint64_t max_message)
{
	return call->kept_len + data.len > max_message + PREFIX;
}

/* It was collected because that would have been useful, and is longer than that may be. */
static void go_on_in_pieces(struct call *call)
{
	call->request.body = slice_of(call->kept, call->kept_len);
	call->body_is_kept = true;
	call->step = CALL_TRY;
}

static void collect_body(struct call *call, struct slice data)
{
	if (is_too_long(call, data, call->listener->max_message))
		cannot_collect(call, REASON_TOO_LARGE, "the call is longer than max_message");
	else if (call->policy && call_goes_to_all(call) &&
		 call->kept_len + data.len > call->policy->retry.buffer)
		cannot_collect(call, REASON_TOO_LARGE, TOO_LONG_FOR_ALL);
	else if (!call_collect(call, data))
		cannot_collect(call, REASON_OVERLOAD, NO_MEMORY);
	else if (call->step == CALL_COLLECT && call->kept_len > call->policy->retry.buffer &&
		 !call->upload_is_over && !call_has_to_be_whole(call))
		go_on_in_pieces(call);
}

/* Before it is known where it goes, and how. */
static void keep_unrouted(struct call *call, struct slice data)
{
	if (call->kept_len + data.len > CODEC_STREAM_QUEUE || !call_collect(call, data))
		cannot_collect(call, REASON_OVERLOAD,
		    "too much came before its service was known (limits.memory)");
}

static bool unary_body(struct call *call, struct slice data, bool last)
{
	if (call->step == CALL_ROUTE) {
		keep_unrouted(call, data);
		return true;
	}
	if (call->step == CALL_COLLECT || call->step == CALL_ADMIT) {
		collect_body(call, data);
		return true;
	}
	if (!call->attempt->is_sending)
		return true;
	call->is_spent = true;
	return attempt_send_data(call->attempt, data, last);
}

void relay_body(struct call *call, const struct codec_item *item)
{
	struct slice data = item->data;
	bool ok = true;

	call->bytes_in += data.len;
	call->up.bytes += data.len;
	if (call->tapped)
		tap_note_body(call->tapped, &call->tapped->in, data);
	call->active_at = loop_now(call->worker->loop);
	if (item->n_messages && call->id && call->service)
		note_messages(call, &call->up, item->n_messages, item->message_bytes);
	if (item->last)
		call_upload_is_over(call);
	if (!call->upload_is_discarded)
		ok = call->is_stream ? stream_body(call, data, item->last)
				     : unary_body(call, data, item->last);
	if (!ok) {
		call->failed = call->attempt;
		call_event(call, CALL_EVENT_FAILED);
	} else if (item->last || (call->step == CALL_REPLY && call->id == 0) ||
		   call->step == CALL_TRY || call->upload_is_discarded) {
		call_event(call, CALL_EVENT_BODY);
	} else {
		relay_settle(call);
	}
}

/* False: no memory. */
static bool keep_trailers(struct call *call, const struct rpc_message *trailers)
{
	struct rpc_message *kept;

	if (!call_charge(call, call_head_size(trailers) + trailers->body.len))
		return false;
	kept = arena_alloc(&call->arena, sizeof *kept);
	*kept = *trailers;
	rpc_message_keep_head(kept, &call->arena);
	if (!identity_check_trailers(call, kept))
		return false;
	kept->body = arena_copy(&call->arena, trailers->body);
	call->request_trailers = kept;
	return true;
}

void relay_body_end(struct call *call, const struct rpc_message *trailers)
{
	static const char *const why = "no memory for the trailers (limits.memory)";
	struct attempt *a = call->attempt;
	bool is_wanted = call->is_stream && !call->upload_is_discarded;

	call->bytes_in += trailers->head.len + trailers->body.len;
	call_upload_is_over(call);
	if (is_wanted && keep_trailers(call, trailers)) {
		if (a->is_sending)
			attempt_send_end(a, call->request_trailers);
	} else if (is_wanted && call->reply_is_begun) {
		call_break_reply(call, REASON_OVERLOAD, why);
	} else if (is_wanted) {
		call->is_spent = true;
		call_give_up(call, ATTEMPT_CANCELED, 0);
		call_fail(call, REASON_OVERLOAD, "%s", why);
	}
	call_event(call, CALL_EVENT_BODY);
}

/* Another attempt of the call sends it too: it waits for its turn, its connection, or its time. */
static bool others_may_need(const struct call *call)
{
	return call->went_to_all || call->n_running > 1 || call->waits_to_try;
}

void relay_begin(struct attempt *a)
{
	struct call *call = a->call;
	struct codec *to = a->upstream->codec;
	bool has_trailers = call->request_trailers != NULL;
	bool is_last = call->upload_is_over && !has_trailers;

	call->up.given = call->kept_len;
	if (call->kept_len || is_last)
		codec_send_data(to, a->stream, slice_of(call->kept, call->kept_len), is_last);
	if (has_trailers)
		codec_send_end(to, a->stream, call->request_trailers);
	upstream_ask(a->upstream);
	a->is_sending = !call->upload_is_over;
	if (call->kept_len > call->policy->retry.buffer && !others_may_need(call)) {
		call->is_spent = true;
		call_drop_kept(call);
	}
}

/* ---- the reply ---- */

/* A gRPC reply ends with trailers: without them its caller must not take it for a success. */
static bool lacks_trailers(const struct call *call)
{
	return call->is_stream && call->reply.form.transport == RPC_HTTP2 &&
	       call->reply.form.payload != RPC_OPAQUE;
}

/* A gRPC reply to a unary call of another form: its end tells what it was. */
static bool is_collected(const struct call *call)
{
	return !call->is_stream && call->has_reply && !call->reply_is_discarded &&
	       call->reply.form.transport == RPC_HTTP2;
}

static void end_collected(struct call *call, const struct rpc_message *trailers)
{
	const char *why = call_reply_is_collected(call, trailers);

	if (why)
		call_fail(call, REASON_BAD_REPLY, "%s", why);
}

/* It waits, for its turn or for its end; whatever comes is added to what is kept. */
static void collect_reply(struct call *call, struct slice data)
{
	bool is_long = is_too_long(call, data, call->world->snapshot->max_message);

	if (!is_long && call_collect(call, data))
		return;
	call_give_up(call, is_long ? ATTEMPT_BAD_REPLY : ATTEMPT_CANCELED, 0);
	if (is_long)
		call_fail(call, REASON_BAD_REPLY, "the reply is longer than max_message");
	else
		call_fail(call, REASON_OVERLOAD, "no memory for the reply (limits.memory)");
}

static void pass_reply(struct call *call, struct slice data, bool last)
{
	struct downstream *d = call->downstream;

	call->down.given += data.len;
	call->bytes_out += data.len;
	codec_send_data(d->codec, call->id, data, last);
	downstream_ask(d);
}

void relay_reply(struct call *call, const struct codec_item *item)
{
	struct slice data = item->data;
	bool is_cut = item->last && lacks_trailers(call);

	call->reply_is_complete = item->last && !is_cut;
	call->down.bytes += data.len;
	if (call->tapped && call->reply_is_begun) /* else it is a part of the reply as it begins */
		tap_note_body(call->tapped, &call->tapped->out, data);
	call->active_at = loop_now(call->worker->loop);
	if (item->n_messages && call->is_stream)
		note_messages(call, &call->down, item->n_messages, item->message_bytes);
	if (!call->reply_is_begun) {
		collect_reply(call, data);
	} else if (!call->reply_is_discarded) {
		pass_reply(call, data, item->last && !is_cut);
	}
	if (is_cut)
		call_break_reply(call, REASON_BAD_REPLY, "the reply ended without trailers");
	if (item->last && is_collected(call))
		end_collected(call, NULL);
	relay_settle(call);
	if (item->last || call->id == 0 || !call->has_reply)
		call_event(call, CALL_EVENT_DATA);
}

void relay_reply_end(struct call *call, const struct rpc_message *trailers)
{
	struct downstream *d = call->downstream;

	call->reply_is_complete = true;
	call->active_at = loop_now(call->worker->loop);
	if (d == NULL) {
		call_event(call, CALL_EVENT_DATA);
		return;
	}
	if (call->is_stream && call_lacks_status(call, trailers)) {
		call_break_reply(call, REASON_BAD_REPLY, "the reply ended without a grpc-status");
	} else if (call->is_stream) {
		uint64_t sent = d->sent;

		call_note_end(call, trailers);
		if (call->tapped)
			tap_note_trailers(call, trailers);
		codec_send_end(d->codec, call->id, trailers);
		call->bytes_out += d->sent - sent;
	} else {
		end_collected(call, trailers);
	}
	call_event(call, CALL_EVENT_DATA);
}
