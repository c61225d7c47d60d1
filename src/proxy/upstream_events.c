/*
 * What an upstream hears: that it is connected, replies, its end. Finds out whose each is and tells
 * the attempt; opening, lending and closing are in upstream.c.
 */
#include "base/log.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proxy/attempt.h"
#include "proxy/backend.h"
#include "proxy/slots.h"
#include "proxy/tying.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

static usec_t now_of(const struct upstream *u)
{
	return loop_now(u->backend->worker->loop);
}

/* Its attempt is out of everything here before it hears of it: it may begin anew at once. */
static void tell_broken(struct upstream *u, struct attempt *a, int error, const char *why)
{
	if (u->attempt == a)
		u->attempt = NULL;
	if (u->relaying == a)
		u->relaying = NULL;
	if (u->slots)
		slots_abandon(u->slots, a->id);
	if (a->link.next)
		list_remove(&a->link);
	a->stream = 0;
	attempt_broken(a, error, why);
}

void upstream_break(struct upstream *u, int error, const char *why)
{
	if (u->state == UPSTREAM_CLOSED)
		return;
	u->takes_no_more = true; /* those who begin anew at once must not come back here */
	if (u->attempt)
		tell_broken(u, u->attempt, error, why);
	if (u->relaying)
		tell_broken(u, u->relaying, error, why);
	while (!list_is_empty(&u->waiting))
		tell_broken(u, list_item(u->waiting.next, struct attempt, link), error, why);
	while (!list_is_empty(&u->leaving))
		tell_broken(u, list_item(u->leaving.next, struct attempt, link), error, why);
	while (!list_is_empty(&u->streams))
		tell_broken(u, list_item(u->streams.next, struct attempt, link), error, why);
	for (unsigned i = 0; u->slots && i < u->slots->size; i++)
		if (slots_at(u->slots, i))
			tell_broken(u, slots_at(u->slots, i), error, why);
	upstream_close(u);
}

/* It can carry calls: those that waited for it begin. */
static void on_ready(struct upstream *u)
{
	upstream_enter(u);
	if (u->is_warming) {
		u->is_warming = false;
		u->backend->n_warming--;
		upstream_keep(u);
		return;
	}
	if (u->attempt)
		attempt_connected(u->attempt);
	while (u->state != UPSTREAM_CLOSED && !list_is_empty(&u->waiting)) {
		struct attempt *a = list_item(u->waiting.next, struct attempt, link);

		list_remove(&a->link);
		attempt_connected(a);
	}
}

/* How many calls an HTTP/2 endpoint takes stands in its first frame: nothing begins before that. */
static void on_connected(void *arg)
{
	struct upstream *u = arg;

	if (u->use == UPSTREAM_FOR_HTTP2)
		codec_pump(u->codec);
	else
		on_ready(u);
}

/* A mux server that shuts down says so in a reply that answers no call.
 * Source: kitex pkg/remote/trans/netpollmux/server_handler.go. */
static bool is_control(const struct rpc_message *m)
{
	return m->transport_seq == 0 && m->seq == 0 && m->marks & RPC_HAS_CRRST &&
	       m->kind == RPC_REPLY && slice_eq(m->method, SLICE_LIT("none"));
}

/*
 * Whose reply is it? NULL: nobody's, any more or at all. On a shared connection an id that is not
 * out can harm nobody: the reply is dropped, the calls in flight go on, but new ones go elsewhere.
 */
static struct attempt *find_attempt(struct upstream *u, const struct rpc_message *m)
{
	struct attempt *a = NULL;

	if (u->slots == NULL)
		return u->attempt;
	if (!slots_answer(
		u->slots, m->form.transport == RPC_TTHEADER ? m->transport_seq : m->seq, &a)) {
		log_debug("upstream", "a reply that answers no call", "endpoint=%s",
		    u->backend->address.text);
		u->takes_no_more = true;
	}
	return a;
}

/* The reply that nobody wants has come whole. */
static void end_discard(struct upstream *u, bool clean)
{
	if (u->state != UPSTREAM_DISCARDING)
		return;
	if (u->flight.process)
		tying_answered(u);
	u->backend->n_discarding--;
	u->state = UPSTREAM_LEASED; /* as if its call had just ended */
	wheel_clear(&u->timer);
	if (clean && !u->is_unclean && !u->takes_no_more)
		upstream_keep(u);
	else
		upstream_close(u);
}

static void on_message(struct upstream *u, const struct rpc_message *m, bool clean)
{
	struct attempt *a;

	if (is_control(m)) {
		u->takes_no_more = true;
		return;
	}
	a = find_attempt(u, m);
	if (m->marks & RPC_HAS_CRRST)
		u->takes_no_more = true;
	u->is_in_reply = !m->complete;
	u->relaying = m->complete ? NULL : a;
	if (a) {
		attempt_reply(a, m, clean);
		return;
	}
	u->is_unclean |=
	    m->kind == RPC_EXCEPTION && codec_exception_id(m) != RPC_EXCEPTION_INTERNAL;
	if (m->complete)
		end_discard(u, clean);
}

static void on_data(struct upstream *u, const struct codec_item *item, bool clean)
{
	struct attempt *a = u->relaying;

	u->is_in_reply = !item->last;
	if (item->last)
		u->relaying = NULL;
	if (a)
		attempt_data(a, item, clean);
	else if (item->last)
		end_discard(u, clean);
}

static void on_refused(struct upstream *u, const struct rpc_status *why)
{
	log_debug("upstream", "bad reply", "endpoint=%s why=\"%s\"", u->backend->address.text,
	    why->detail);
	if (u->attempt || u->relaying)
		attempt_bad_reply(u->attempt ? u->attempt : u->relaying, "the reply is malformed");
	if (u->state != UPSTREAM_CLOSED)
		upstream_break(u, 0, "a malformed reply came on its connection");
}

/* ---- multiplexing families ---- */

static void on_stream_event(enum codec_event event, const struct codec_item *item)
{
	struct attempt *a = item->owner;

	if (a == NULL)
		return;
	switch (event) {
	case CODEC_MESSAGE:
		if (item->message.kind == RPC_INTERIM)
			attempt_interim(a, &item->message);
		else
			attempt_reply(a, &item->message, true);
		break;
	case CODEC_DATA:
		attempt_data(a, item, true);
		break;
	case CODEC_END:
		attempt_reply_end(a, &item->message);
		break;
	case CODEC_RESET:
		attempt_reset(a, &item->reset);
		break;
	case CODEC_ROOM:
		attempt_room(a);
		break;
	case CODEC_MORE:
	case CODEC_REFUSED:
		break;
	}
}

/* Everything its codec has to tell, with input and without. */
static void take_events(struct upstream *u, struct slice *in)
{
	struct codec_item item;

	codec_set_now(u->codec, now_of(u));
	while (u->state != UPSTREAM_CLOSED) {
		enum codec_event event = codec_next(u->codec, in, &item);

		if (event == CODEC_MORE)
			break;
		if (event == CODEC_REFUSED) {
			on_refused(u, &item.why);
			return;
		}
		on_stream_event(event, &item);
	}
	if (u->state == UPSTREAM_CONNECTING && codec_has_detected(u->codec))
		on_ready(u);
	if (u->state == UPSTREAM_CLOSED)
		return;
	u->takes_no_more |= codec_is_ending(u->codec);
	if (worker_charge_held(u->backend->worker, codec_held(u->codec), &u->charged))
		upstream_close_when_done(u);
	else
		upstream_break(u, 0, "more waits for it than limits.memory has left");
}

void upstream_work(struct loop_work *work)
{
	struct upstream *u = container_of(work, struct upstream, work);
	struct slice nothing = SLICE_NONE;

	take_events(u, &nothing);
}

static void on_input(void *arg, struct slice in)
{
	struct upstream *u = arg;
	struct codec_item item;

	u->heard_at = now_of(u);
	if (upstream_is_multiplexed(u)) {
		take_events(u, &in);
		return;
	}
	if (u->state == UPSTREAM_ONEWAY)
		return; /* servers that take a oneway for a call answer it; nobody asked */
	if (u->state == UPSTREAM_IDLE) {
		upstream_close(u); /* what comes unasked would be taken for the next call's reply */
		return;
	}
	while (u->state != UPSTREAM_CLOSED) {
		switch (codec_next(u->codec, &in, &item)) {
		case CODEC_MORE:
			upstream_close_when_done(u);
			return;
		case CODEC_MESSAGE:
			on_message(u, &item.message, in.len == 0);
			break;
		case CODEC_DATA:
			on_data(u, &item, in.len == 0);
			break;
		case CODEC_REFUSED:
			on_refused(u, &item.why);
			return;
		case CODEC_END:
		case CODEC_RESET:
		case CODEC_ROOM:
			break; /* not of a unary connection */
		}
		if (in.len == 0 && u->state != UPSTREAM_SHARED)
			return;
		if (u->state == UPSTREAM_IDLE) {
			upstream_close(u);
			return;
		}
	}
}

static void on_closed(void *arg, int error)
{
	upstream_break(arg, error, NULL);
}

static void on_eof(void *arg)
{
	upstream_break(arg, 0, "closed by the endpoint");
}

static void on_drained(void *arg)
{
	struct upstream *u = arg;

	if (u->attempt)
		attempt_room(u->attempt);
	if (!upstream_is_multiplexed(u))
		return;
	codec_pump(u->codec);
	upstream_work(&u->work);
}

const struct conn_events upstream_events = {
    .connected = on_connected,
    .input = on_input,
    .eof = on_eof,
    .closed = on_closed,
    .drained = on_drained,
};
