/* What is to be different in a call as it goes out, by the form that it goes out in. */
#include "net/loop.h"
#include "proxy/attempt.h"
#include "proxy/call.h"
#include "proxy/carriage.h"
#include "proxy/trace.h"
#include "proxy/world.h"

struct slice call_only_alias(const struct call *call)
{
	const struct service_config *config = call->service->service->config;

	if (config->aliases.n != 1)
		config = call->meant;
	return config->aliases.n == 1 ? slice_str(config->aliases.items[0]) : SLICE_NONE;
}

static void edit_for_ttheader(struct call *call, struct rpc_edit *edit)
{
	usec_t now = loop_now(call->worker->loop);
	bool is_new = call->request.form.transport != RPC_TTHEADER;

	if (is_new || (call->has_fallen_back && call->deadline.stated != USEC_NONE))
		edit->timeout_ms = deadline_rest_ms(&call->deadline, now);
	else
		edit->timeout_ms = deadline_to_write(&call->deadline, now);
	edit->set_timeout = edit->timeout_ms > 0;
	if (call->listener->caller_address_set)
		edit->rip = slice_str(call->source);
	if (is_new) {
		edit->caller = call->caller;
		edit->service = call->service->service->name;
		edit->idl_service = call_only_alias(call);
		edit->log_id = call_log_id(call);
	}
}

/* Both names that an HTTP/2 side goes by are ours: clients of unix sockets disagree about them. */
static void edit_for_http2(struct call *call, struct rpc_edit *edit)
{
	bool is_new = call->request.form.transport != RPC_HTTP2;

	edit->authority = call->service->service->name;
	if (call->deadline.stated != USEC_NONE) {
		edit->set_timeout = true;
		edit->timeout = deadline_rest(&call->deadline, loop_now(call->worker->loop));
	}
	if (is_new) {
		edit->caller = call->caller;
		edit->service = call->service->service->name;
		edit->idl_service = call_only_alias(call);
		edit->log_id = call_log_id(call);
	}
}

static void edit_for_ttstream(struct call *call, struct rpc_edit *edit)
{
	if (call->listener->caller_address_set)
		edit->rip = slice_str(call->source);
}

void call_request_edit(struct call *call, const struct attempt *a, struct rpc_edit *edit)
{
	edit->strip_crrst = true; /* whatever a caller means by it, it belongs to its connection */
	edit->changes = call->changes;
	edit->n_changes = call->n_changes;
	edit->retry = a->mark;
	if (a->id) {
		edit->renumber = true;
		edit->seq = edit->transport_seq = a->id;
		edit->out_of_order = call->request.kind != RPC_ONEWAY;
	}
	if (edit->form.transport == RPC_TTHEADER)
		edit_for_ttheader(call, edit);
	else if (edit->form.transport == RPC_HTTP2)
		edit_for_http2(call, edit);
	else if (edit->form.transport == RPC_TTSTREAM)
		edit_for_ttstream(call, edit);
	if (call->trace)
		trace_edit(a, edit);
	carriage_edit(call, edit);
}
