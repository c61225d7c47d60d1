/* The steps of a call, in the order in which they run. */
#include <stdio.h>
#include <string.h>

#include "model/route.h"
#include "model/route_changes.h"
#include "net/loop.h"
#include "proxy/backend.h"
#include "proxy/call.h"
#include "proxy/carriage.h"
#include "proxy/downstream.h"
#include "proxy/facts.h"
#include "proxy/identity.h"
#include "proxy/relay.h"
#include "proxy/tap.h"
#include "proxy/trace.h"
#include "proxy/world.h"

static usec_t now_of(const struct call *call)
{
	return loop_now(call->worker->loop);
}

static enum step go(struct call *call, enum call_step next)
{
	call->step = next;
	return STEP_NEXT;
}

/* ---- route ---- */

/* What the endpoint is to be spoken to in. */
static struct rpc_form target_form(struct rpc_form from, enum service_protocol protocol)
{
	switch (protocol) {
	case SERVICE_SAME:
		return from;
	case SERVICE_BUFFERED:
		return (struct rpc_form){RPC_PLAIN, from.payload, false};
	case SERVICE_FRAMED:
		return (struct rpc_form){RPC_PLAIN, from.payload, true};
	case SERVICE_TTHEADER: /* as it was; heads that we make have the inner length */
		return (struct rpc_form){
		    RPC_TTHEADER, from.payload, from.framed || from.transport != RPC_TTHEADER};
	case SERVICE_TTHEADER_FRAMED:
		return (struct rpc_form){RPC_TTHEADER, from.payload, true};
	case SERVICE_TTHEADER_BARE:
		return (struct rpc_form){RPC_TTHEADER, from.payload, false};
	case SERVICE_GRPC:
		return (struct rpc_form){RPC_HTTP2, from.payload, false};
	case SERVICE_TTHEADER_STREAMING:
		return (struct rpc_form){RPC_TTSTREAM, from.payload, false};
	}
	return from;
}

/* A gRPC call has it in its path. */
static bool lacks_idl_service(const struct call *call)
{
	return call->target.transport == RPC_HTTP2 && call->request.idl_service.len == 0 &&
	       call_only_alias(call).len == 0;
}

static bool can_convert(const struct call *call)
{
	if (call->target.transport == RPC_HTTP2 && call->request.kind == RPC_ONEWAY)
		return false;
	if (lacks_idl_service(call) && !call->is_stream)
		return false;
	return codec_can_convert(call->request.form, call->target);
}

static const char *why_no_conversion(const struct call *call)
{
	if (call->request.kind == RPC_ONEWAY)
		return "gRPC has no oneways";
	if (call->request.form.transport == RPC_TTSTREAM || call->target.transport == RPC_TTSTREAM)
		return "streams of TTHeader become nothing else";
	if (call->request.form.payload == RPC_OPAQUE)
		return "HTTP/2 that is not gRPC stays HTTP/2";
	if (lacks_idl_service(call))
		return "the call does not say its IDL service, which the path of a gRPC call "
		       "needs; give the service that one name under aliases";
	if (call->request.form.payload == RPC_KITEXPB)
		return "Kitex Protobuf needs framed, ttheader_framed or grpc";
	return "a call of this kind cannot be turned into it";
}

const char *call_set_target(struct call *call)
{
	call->target = target_form(call->request.form, call->service->service->config->protocol);
	call->is_stream = rpc_form_is_multiplexed(call->request.form) &&
			  call->target.transport == call->request.form.transport;
	return can_convert(call) ? NULL : why_no_conversion(call);
}

void call_lead(struct call *call, const struct route_decision *decision)
{
	call->route = *decision;
	call->service = &call->world->services[decision->service->index];
	call->policy = decision->policy;
	if (call->meant == NULL)
		call->meant = decision->service->config;
}

/* As the codecs want it. What was looked up may lie in the body, which does not stay. */
static struct rpc_change change_of(struct call *call, const struct changed_fact *fact)
{
	static const enum rpc_change_kind kinds[] = {
	    [FACT_META] = RPC_CHANGE_META,
	    [FACT_HEADER] = RPC_CHANGE_HEADER,
	    [FACT_INT] = RPC_CHANGE_INT,
	};

	return (struct rpc_change){kinds[fact->key->kind], fact->key->name, fact->key->number,
	    fact->is_removal, arena_copy(&call->arena, fact->value)};
}

_Static_assert(ROUTE_CHANGES_MAX <= RPC_CHANGES_MAX, "a route has no more than a message takes");

void call_note_changes(struct call *call, const struct fact_source *facts)
{
	struct route_changes found;
	struct rpc_change *changes;

	if (!route_has_changes(call->route.route))
		return;
	route_changes_find(&found, call->route.route, facts);
	changes = arena_calloc(&call->arena, found.n + 1, sizeof *changes);
	for (size_t i = 0; i < found.n; i++)
		changes[i] = change_of(call, &found.list[i]);
	call->changes = changes;
	call->n_changes = found.n;
}

static enum step refuse_unrouted(struct call *call, const struct route_decision *d)
{
	const struct rpc_message *m = &call->request;
	struct slice asked = m->service_asked.len ? m->service_asked
			     : m->idl_service.len ? m->idl_service
						  : m->authority;
	struct slice subset = d->group ? d->group->name : SLICE_NONE;
	char name[LOG_ESCAPED_MAX];

	log_escape(name, sizeof name, d->service ? subset : asked);
	if (d->service == NULL)
		call_fail(call, d->reason, "service \"%.100s\": %s", name, d->why);
	else
		call_fail(call, d->reason, "service %s%s%.100s: %s%s%s%s",
		    d->service->config->label, subset.len ? ", subset " : "", name, d->why,
		    d->at ? " (" : "", d->at ? d->at : "", d->at ? ")" : "");
	return STEP_NEXT;
}

/*
 * Where calls are streams, or may be, only what the caller states bounds the whole of one: the rest
 * begins when the caller's side has ended. A call that was led elsewhere has the operator's times
 * anew, but what its caller states holds from its first byte on.
 */
static void start_clock(struct call *call)
{
	const struct policy *p = call->policy;
	struct deadline_policy policy = {p->timeout_call, p->timeout_default, p->timeout_margin};
	usec_t start = call->has_fallen_back ? now_of(call) : call->started;
	usec_t stated = call->request.timeout;

	if (stated != USEC_NONE && start > call->started)
		stated = stated > start - call->started ? stated - (start - call->started) : 0;
	if (call->id)
		policy.call = policy.dflt = USEC_NONE;
	call->deadline = deadline_of(&policy, stated, start);
	if (call->upload_is_over)
		call_upload_is_over(call);
}

/* The name is being looked up: the call waits as long as its time allows, under what "*" says. */
static enum step wait_for_name(struct call *call)
{
	if (call->policy)
		return STEP_WAIT; /* it does already */
	if (!call_keep_body(call)) {
		call_fail(call, REASON_OVERLOAD, "no memory to keep the call (limits.memory)");
		return STEP_NEXT;
	}
	call->caller = arena_copy(&call->arena, call->caller); /* the world that it is of may go */
	call->policy = &call->world->snapshot->config->any->policy;
	start_clock(call);
	call_arm(call);
	return STEP_WAIT;
}

enum step call_step_route(struct call *call)
{
	struct call_finder finder;
	struct call_facts facts = {call->listener, call->request.service_asked,
	    call->request.authority, call->request.idl_service, call->request.method,
	    call_fact_source(call, &finder)};
	struct route_decision decision;
	const char *why;

	if (call->failure.reason != REASON_OK)
		return go(call, CALL_REPLY);
	decision = route_decide(call->world->snapshot, &facts, &call->worker->rng, NULL);
	if (decision.wanted.len && naming_wait(call, decision.wanted))
		return wait_for_name(call);
	if (decision.service == NULL)
		return refuse_unrouted(call, &decision);
	call_lead(call, &decision);
	why = call_set_target(call);
	if (decision.reason != REASON_OK)
		return refuse_unrouted(call, &decision);
	if (why) {
		call_fail(call, REASON_NO_CONVERSION, "service %s speaks another protocol, and %s",
		    decision.service->config->label, why);
		return STEP_NEXT;
	}
	call_note_changes(call, &facts.more);
	return go(call, CALL_ADMIT);
}

/* ---- admit, collect ---- */

/* A form that says how long a message is can only be written when that is known. */
static bool needs_whole(const struct rpc_message *m, struct rpc_form to)
{
	if (m->complete)
		return false;
	if ((m->form.transport == RPC_HTTP2) != (to.transport == RPC_HTTP2))
		return m->form.transport == RPC_HTTP2 || m->kind != RPC_CALL ||
		       m->body_len == RPC_LENGTH_UNKNOWN;
	return m->body_len == RPC_LENGTH_UNKNOWN && (to.framed || to.transport == RPC_TTHEADER);
}

/* A gRPC call that becomes another has to be looked at in any case, if only to find no message. */
static bool is_from_grpc(const struct call *call)
{
	return call->request.form.transport == RPC_HTTP2 && call->target.transport != RPC_HTTP2;
}

/* Bodies that may be wanted again have to be whole; long ones are collected, up to retry.buffer. */
static bool is_wanted_whole(const struct call *call)
{
	const struct rpc_message *m = &call->request;

	return !call->id && !m->complete && m->kind == RPC_CALL && call_may_repeat(call) &&
	       m->body_len <= call->policy->retry.buffer;
}

static enum step abort_by_fault(struct call *call)
{
	const struct fault_config *fault = &call->route.route->fault;

	if (fault->is_reset) {
		call_reset_caller(call, REASON_FAULT_INJECTED, "reset by the rule of a route");
		return STEP_NEXT;
	}
	call_fail(call,
	    fault->abort_reason == REASON_OK ? REASON_FAULT_INJECTED : fault->abort_reason,
	    "service %s: injected by %s.fault", call->service->service->config->label,
	    call->route.route->at);
	call->failure.has_exception_id = fault->abort_exception >= 0;
	call->failure.exception_id = fault->abort_exception;
	return STEP_NEXT;
}

/* One for many endpoints has to be whole first, and not too long to be kept for all of them. */
static bool is_awaited(const struct call *call)
{
	const struct rpc_message *m = &call->request;

	if (!call_goes_to_all(call) || call_is_whole(call))
		return false;
	if (call->is_stream)
		return m->form.transport == RPC_HTTP2 && m->form.payload != RPC_OPAQUE;
	return m->body_len <= call->policy->retry.buffer || m->body_len == RPC_LENGTH_UNKNOWN;
}

bool call_has_to_be_whole(const struct call *call)
{
	return (is_awaited(call) && !call->is_stream) || is_from_grpc(call) ||
	       needs_whole(&call->request, call->target);
}

static bool is_collected(const struct call *call)
{
	return call_has_to_be_whole(call) || is_wanted_whole(call) || carriage_wants_body(call);
}

/* It may begin: all that is left is that it may have to be whole first. */
static enum step admitted(struct call *call)
{
	if (call->route.abort && !call->has_fallen_back)
		return abort_by_fault(call);
	if (call->policy->retry.type == RETRY_BROADCAST && !call_is_whole(call) &&
	    !is_awaited(call)) {
		call_fail(call, REASON_TOO_LARGE,
		    "service %s: a call for all endpoints has to fit into retry.buffer, and to end",
		    call->service->service->config->label);
		return STEP_NEXT;
	}
	if (is_awaited(call) && call->is_stream) {
		call->step = CALL_COLLECT;
		call_arm(call);
		return STEP_NEXT;
	}
	if (!is_collected(call))
		return go(call, CALL_TRY);
	if (call->kept_len == 0 && !call_collect(call, call->request.body)) {
		call_fail(call, REASON_OVERLOAD, "no memory for the whole call (limits.memory)");
		return STEP_NEXT;
	}
	return go(call, CALL_COLLECT);
}

/* It has to wait: what it has of its body is a view that does not. Where the whole is collected
 * more of it may come meanwhile. */
static enum step wait_outside(struct call *call)
{
	if (is_collected(call) ? call->kept_len || call_collect(call, call->request.body)
			       : call_keep_body(call))
		return STEP_WAIT;
	call_fail(call, REASON_OVERLOAD, "no memory to keep the call (limits.memory)");
	return STEP_NEXT;
}

enum step call_step_admit(struct call *call)
{
	enum admit_verdict verdict;
	usec_t delay = call->has_fallen_back ? 0 : call->route.delay;

	if (admit_has_begun(&call->admission)) {
		verdict = admit_go_on(call);
	} else {
		start_clock(call);
		if (now_of(call) >=
		    call->deadline.at) { /* it took so long to come in, or to wait */
			call_fail(call,
			    call->deadline.is_callers ? REASON_CALLER_DEADLINE : REASON_TIMEOUT,
			    "service %s: its time was up before it could be sent",
			    call->service->service->config->label);
			return STEP_NEXT;
		}
		call_arm(call);
		verdict = admit_begin(call, call->route.guard, call->policy, delay);
	}
	switch (verdict) {
	case ADMIT_GO:
		return admitted(call);
	case ADMIT_WAIT:
		return wait_outside(call);
	case ADMIT_REFUSED:
		break;
	}
	return STEP_NEXT;
}

/* What a long body brings is known when it is whole: its service has been chosen by then, but its
 * time, its trace and who calls hold from now on. False: the call has failed. */
static bool take_what_it_brings(struct call *call)
{
	if (!carriage_lift(call))
		return true;
	if (!identity_establish(call))
		return false;
	call->trace = NULL;
	trace_begin_call(call);
	start_clock(call);
	call_arm(call);
	return true;
}

enum step call_step_collect(struct call *call)
{
	struct rpc_message *m = &call->request;
	const char *why = NULL;

	if (!call->upload_is_over)
		return STEP_WAIT;
	if (call->is_stream)
		return go(call, CALL_TRY);
	m->body = slice_of(call->kept, call->kept_len);
	m->body_len = call->kept_len;
	m->complete = true;
	call->body_is_kept = true;
	if (m->form.transport == RPC_HTTP2)
		why = rpc_call_from_grpc(m);
	if (!take_what_it_brings(call))
		return STEP_NEXT;
	if (why == NULL)
		return go(call, CALL_TRY);
	call_fail(call, REASON_NO_CONVERSION,
	    "the call cannot be turned into what service %s speaks: %s",
	    call->service->service->config->label, why);
	return STEP_NEXT;
}

/* ---- reply ---- */

static enum reason reason_of_reply(const struct rpc_message *reply)
{
	if (reply->kind == RPC_EXCEPTION)
		return REASON_APP_EXCEPTION;
	return reply->marks & RPC_HAS_BIZ ? REASON_BIZ_ERROR : REASON_OK;
}

/* The caller cannot carry a business error: it gets an exception with the text instead. */
static bool becomes_exception(const struct call *call)
{
	return rpc_header_tells_biz(&call->reply) && call->reply.kind == RPC_REPLY &&
	       call->request.form.transport != RPC_TTHEADER && call->id == 0 &&
	       !call->service->service->config->biz_error_drop;
}

static void send_biz_exception(struct call *call)
{
	struct slice text = call->reply.biz_message;

	if (text.len == 0)
		text = SLICE_LIT("business error without a text");
	codec_send_exception(
	    call->downstream->codec, &call->request, text, RPC_EXCEPTION_INTERNAL, false);
}

/* Replies mirror their calls; a mesh header is never answered with one. */
static struct rpc_form reply_form(const struct call *call)
{
	struct rpc_form form = call->request.form;

	if (form.transport == RPC_MESH)
		form.transport = RPC_PLAIN;
	return form;
}

/* ---- replies of streams ---- */

bool call_lacks_status(const struct call *call, const struct rpc_message *end)
{
	return call->reply.form.transport == RPC_HTTP2 && call->reply.form.payload != RPC_OPAQUE &&
	       end->status == RPC_STATUS_NONE;
}

/* What a reply, or the end of one, says of how the call went. */
static enum reason reason_of_end(const struct call *call, const struct rpc_message *end)
{
	if (end->marks & RPC_HAS_BIZ)
		return REASON_BIZ_ERROR;
	if (end->status > 0)
		return REASON_APP_EXCEPTION;
	if (end->status == RPC_STATUS_NONE && call->request.form.payload != RPC_OPAQUE)
		return REASON_BAD_REPLY; /* what answers a gRPC call is none */
	return REASON_OK;
}

void call_note_end(struct call *call, const struct rpc_message *end)
{
	call->reason = reason_of_end(call, end);
	call->status = end->status > 0 ? (unsigned)end->status : 0;
	if (end->marks & RPC_HAS_BIZ)
		call->reply_biz_status = arena_copy(&call->arena, end->biz_status);
}

static void begin_stream_reply(struct call *call)
{
	struct downstream *d = call->downstream;
	struct rpc_edit edit = {.form = call->reply.form, .strip_crrst = true};
	uint64_t sent = d->sent;

	call->reply_is_begun = true;
	if (call->worker->taps)
		tap_call_replied(call);
	call->is_spent = true; /* what comes from here on belongs to this reply's endpoint */
	call_drop_kept(call);
	call->reason = REASON_OK;
	if (!codec_send_message(d->codec, call->id, &call->reply, &edit)) {
		call_break_reply(
		    call, REASON_BAD_REPLY, "the reply's header does not fit the protocol");
	} else if (call->reply.complete) {
		call->reply_is_complete = true;
		call_note_end(call, &call->reply);
	}
	call->bytes_out += d->sent - sent;
}

static enum step reply_stream(struct call *call)
{
	if (!call->reply_is_begun && call->reply.complete &&
	    call_lacks_status(call, &call->reply)) {
		call_fail(call, REASON_BAD_REPLY, "the reply ended without a grpc-status");
		return STEP_NEXT;
	}
	if (!call->reply_is_begun)
		begin_stream_reply(call);
	if (call->reply_is_complete && relay_is_flushed(call))
		return go(call, CALL_FINISH);
	return STEP_WAIT;
}

/* Ids as the caller knows them. An exception that names no call keeps its own. */
static void renumber_reply(const struct call *call, struct rpc_edit *edit)
{
	const struct rpc_message *m = &call->reply, *request = &call->request;
	bool is_shared = call->attempt->id != 0;
	bool has_own_header = m->form.transport == RPC_TTHEADER;

	edit->renumber = true;
	edit->seq = is_shared && m->seq == call->attempt->id ? request->seq : m->seq;
	/* Callers that take replies in any order find their call by this number and no other. */
	edit->transport_seq = is_shared || !has_own_header || rpc_message_is_unordered(request)
				  ? request->transport_seq
				  : m->transport_seq;
}

static bool send_reply(struct call *call)
{
	struct downstream *d = call->downstream;
	struct rpc_edit edit = {.form = reply_form(call), .strip_crrst = true};

	edit.add_crrst =
	    (d->is_draining || call->worker->draining) && edit.form.transport == RPC_TTHEADER;
	edit.add_prefix = call->request.marks & RPC_WANTS_PREFIX;
	renumber_reply(call, &edit);
	if (!codec_send_message(d->codec, call->id, &call->reply, &edit))
		return false;
	worker_count_dropped(call->worker, edit.dropped);
	return true;
}

/* The reply's views end with this event; what has to wait is kept. */
static bool keep_reply(struct call *call)
{
	struct rpc_message *m = &call->reply;

	if (call->reply_is_kept)
		return true;
	if (!call_charge(call, call_head_size(m)))
		return false;
	rpc_message_keep_head(m, &call->arena);
	call->is_spent = true; /* the call itself is not needed again: the reply takes its room */
	call->kept_len = 0;
	if (!call_collect(call, m->body))
		return false;
	call->reply_is_kept = true;
	m->body = slice_of(call->kept, call->kept_len);
	return true;
}

static enum step wait_for_upload(struct call *call)
{
	if (call->id) /* the codec throws the rest of the call away, but knows what has not left */
		return relay_is_flushed(call) ? go(call, CALL_FINISH) : STEP_WAIT;
	if (call->upload_is_over)
		return go(call, CALL_FINISH);
	/* The rest of the call is read and thrown away: the connection is good for the next. */
	call->upload_is_discarded = true;
	return STEP_WAIT;
}

static enum step reply_failure(struct call *call)
{
	struct downstream *d = call->downstream;
	uint64_t sent;

	if (!call->reply_is_begun) {
		if (!downstream_may_reply(d, call)) {
			call->waits_for_turn = true;
			return STEP_WAIT;
		}
		call->waits_for_turn = false;
		call->reply_is_begun = true;
		call->reason = call->failure.reason;
		call->status = call_failure_status(call, call->reason);
		sent = d->sent;
		if (call->is_stream && call->given_up && call->given_up->is_passed_on)
			codec_reset(d->codec, call->id, call->given_up);
		else
			codec_send_failure(d->codec, call->id, &call->request, &call->failure,
			    d->is_closing || d->is_draining || call->worker->draining);
		call->bytes_out = d->sent - sent;
	}
	return wait_for_upload(call);
}

static unsigned status_of_reply(const struct call *call)
{
	int32_t id = codec_exception_id(&call->reply);

	if (call->id)
		return rpc_grpc_status_of(&call->reply);
	if (call->reply.kind == RPC_EXCEPTION)
		return id > 0 ? (unsigned)id : 0;
	return becomes_exception(call) ? RPC_EXCEPTION_INTERNAL : 0;
}

/* Begins to write the reply; false: wait. */
static bool begin_reply(struct call *call)
{
	struct downstream *d = call->downstream;

	if (!downstream_may_reply(d, call)) {
		call->waits_for_turn = true;
		return false;
	}
	call->waits_for_turn = false;
	call->reply_is_begun = true;
	call->reply_by = USEC_NONE;
	if (call->worker->taps)
		tap_call_replied(call);
	call->reason = reason_of_reply(&call->reply);
	call->status = status_of_reply(call);
	if (call->reply.marks & RPC_HAS_BIZ)
		call->reply_biz_status = arena_copy(&call->arena, call->reply.biz_status);
	if (becomes_exception(call)) {
		send_biz_exception(call);
		call->reply_is_discarded = true;
		return true;
	}
	if (call->id && call->reply.kind == RPC_REPLY)
		relay_note_reply(call);
	if (!send_reply(call)) {
		rpc_status_set(&call->failure, REASON_BAD_REPLY,
		    "the reply's header does not fit the protocol");
		call->reason = REASON_BAD_REPLY;
		codec_send_failure(d->codec, call->id, &call->request, &call->failure, false);
		call->reply_is_discarded = true;
	}
	return true;
}

/* What has been kept so far is the reply's body, or its beginning. */
static void refresh_kept(struct call *call)
{
	struct rpc_message *m = &call->reply;
	bool was_whole = m->complete;

	if (!call->reply_is_kept)
		return;
	m->body = slice_of(call->kept, call->kept_len);
	m->complete = call->reply_is_complete;
	if (m->complete)
		m->body_len = call->kept_len;
	if (m->complete && !was_whole && carriage_reads_replies(call))
		carriage_note_reply(call, m);
}

static enum step keep_and_wait(struct call *call)
{
	if (keep_reply(call)) {
		if (call->waits_for_turn)
			attempt_pause(call->attempt);
		else
			attempt_resume(call->attempt);
		return STEP_WAIT;
	}
	call_give_up(call, ATTEMPT_CANCELED, 0);
	call_fail(call, REASON_OVERLOAD, "no memory for the reply (limits.memory)");
	return STEP_NEXT;
}

/* Flow control of a long reply: the endpoint is read as fast as the caller reads. */
static enum step relay(struct call *call)
{
	relay_settle(call);
	return STEP_WAIT;
}

const char *call_reply_is_collected(struct call *call, const struct rpc_message *trailers)
{
	struct rpc_message *m = &call->reply;

	call->reply_is_complete = true;
	if (!keep_reply(call))
		return "there is no memory for it";
	refresh_kept(call);
	m->method = call->request.method;
	m->seq = call->request.seq;
	m->form.payload =
	    call->request.form.payload; /* bare application/grpc answers Thrift, too */
	return rpc_reply_from_grpc(m, trailers, &call->arena);
}

/* A oneway whose caller is gone, or a copy: the rest of its reply is read and thrown away. */
static enum step end_unheard(struct call *call)
{
	call->reason = call->failure.reason;
	if (!call->has_reply || call->reply.complete || call->reply_is_complete)
		return go(call, CALL_FINISH);
	call->reply_is_begun = call->reply_is_discarded = true;
	relay_settle(call);
	return STEP_WAIT;
}

enum step call_step_reply(struct call *call)
{
	struct downstream *d = call->downstream;

	if (d == NULL)
		return end_unheard(call);
	if (!call->has_reply && !call->reply_is_begun &&
	    (call_falls_back(call) || call_gives_spare(call)))
		return STEP_NEXT;
	if (!call->has_reply)
		return reply_failure(call);
	if (call->is_stream)
		return reply_stream(call);
	if (!call->reply_is_begun) {
		uint64_t sent = d->sent;

		call->reply_is_complete |= call->reply.complete;
		if (call->reply.form.transport != RPC_HTTP2)
			refresh_kept(call);

		if (needs_whole(&call->reply, reply_form(call)) || !begin_reply(call))
			return keep_and_wait(call);
		call->bytes_out = d->sent - sent;
		if (!call->reply_is_complete)
			d->writing = call;
	}
	return call->reply_is_complete ? wait_for_upload(call) : relay(call);
}

enum step call_step_finish(struct call *call)
{
	call_finish(call);
	return STEP_DONE;
}
